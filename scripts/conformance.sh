#!/usr/bin/env bash
# Runs a suite of contract tests against the built program, started afresh in each profile, with nothing skipped.
#
#   scripts/conformance.sh [--stack embedded|production] [--bin PROGRAM] [--profile NAME]... [SUITE_DIR]
#
# SUITE_DIR: pytest files that use the harness of ../shared/conformance, which is the default suite.
# --profile: only this one of optional, mandatory, short-lived, throttled; may be given several times.
# Environment: GATEHOUSE_BIN names the program as --bin does; otherwise it is built (GATEHOUSE_PROFILE=dev or release,
# default release). The last line is "N passed, N failed"; a skipped test counts as failed. Exit status: 1 when any
# failed, 2 when nothing could be run.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

profiles=()
suite=
while (($# > 0)); do
  case $1 in
    --stack) need_value "$@"; set_stack "$2"; shift 2 ;;
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    --profile)
      need_value "$@"
      case $2 in optional | mandatory | short-lived | throttled) ;; *) die "unknown profile \"$2\"; see --help" ;; esac
      profiles+=("$2")
      shift 2
      ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) die "unknown option $1; see --help" ;;
    *) [[ -z $suite ]] || die "more than one suite given"; suite=$(absolute "$1"); shift ;;
  esac
done
((${#profiles[@]} > 0)) || profiles=(optional mandatory short-lived throttled)

harness=$suites_dir/conformance
[[ -f $harness/harness.py ]] || die "there is no suite in ../shared/conformance; the project's own tests are run by 'cargo test'"
harness=$(cd "$harness" && pwd)
suite=$(cd "${suite:-$harness}" 2>/dev/null && pwd) || die "there is no folder $suite"

pytest_options=(-p no:cacheprovider --rootdir "$suite")
if [[ -f $suite/pytest.ini ]]; then pytest_options+=(-c "$suite/pytest.ini"); else pytest_options+=(-c "$harness/pytest.ini"); fi
[[ -f $suite/conftest.py ]] || pytest_options+=(-p conftest) # The harness's own.
vectors=$suites_dir/contract/django-password-vectors.json

need_python_venv
make_scratch
need_stack
signing_key=$(random_secret)

# counts_of JUNIT_FILE: "passed failed skipped".
counts_of() {
  python3 - "$1" <<'PY'
import sys
import xml.etree.ElementTree as tree
passed = failed = skipped = 0
for case in tree.parse(sys.argv[1]).iter("testcase"):
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        failed += 1
    elif "skipped" in kinds:
        skipped += 1
    else:
        passed += 1
print(passed, failed, skipped)
PY
}

passed=0
failed=0

# run_profile NAME: adds to the two sums.
run_profile() {
  local dir=$scratch/$1 smtp_port settings status=0 p=0 f=0 s=0
  settings=$(conformance_settings "$1")
  smtp_port=$(free_ports 1)
  mapfile -t settings <<<"$settings"
  say "== profile $1"
  if ! start_stack "$dir" "${settings[@]}" "GATEHOUSE_MAILER_SENDER_URL=smtp://127.0.0.1:$smtp_port"; then
    failed=$((failed + 1))
    return
  fi
  (
    export CONFORMANCE_BASE_URL=$base_url CONFORMANCE_PROFILE=$1 CONFORMANCE_SIGNING_KEY=$signing_key
    export CONFORMANCE_SMTP_HOST=127.0.0.1 CONFORMANCE_SMTP_PORT=$smtp_port
    export CONFORMANCE_ADMIN="'$dir/users'" CONFORMANCE_IMPROVEMENTS=1 CONFORMANCE_EXTRAS=1
    [[ ! -f $vectors ]] || export CONFORMANCE_VECTORS=${CONFORMANCE_VECTORS:-$vectors}
    export PYTHONPATH=$harness${PYTHONPATH:+:$PYTHONPATH}
    exec "$python" -m pytest "${pytest_options[@]}" --junitxml="$dir/junit.xml" -rs "$suite"
  ) || status=$?
  # pytest's 5: the suite has no test for this profile.
  if [[ -f $dir/junit.xml ]]; then read -r p f s < <(counts_of "$dir/junit.xml"); fi
  if ((status != 0 && status != 5 && f == 0)); then f=1; fi
  if ((s > 0)); then say "FAIL $s skipped in profile $1; nothing may be skipped"; fi
  stop_stack || f=$((f + 1))
  passed=$((passed + p))
  failed=$((failed + f + s))
}

for profile in "${profiles[@]}"; do run_profile "$profile"; done
if ((passed + failed == 0)); then
  say "FAIL no test was run"
  failed=1
fi
finish "$passed" "$failed"
