#!/usr/bin/env bash
# Everything that has to pass before a change is taken: what continuous integration runs, and what a developer types.
#
#   scripts/test.sh [STEP ...]
#
# Steps, in order: scripts fmt clippy doc deny tests build conformance security crash conformance-production
# security-production bad-input browser clients openapi faults load kubernetes watch upgrade compose. Default: all of them. A
# failed step does not keep the others from running. The steps tests and most of the later ones start PostgreSQL, RabbitMQ
# and an SMTP server of their own: see servers.sh; browser needs Node.js and Chromium, clients Java and Node.js, openapi
# Java, compose a Docker daemon. The last line is "N passed, N failed": the checks of all test runners together, and one
# failed for a step that failed without a count. Exit status: 1 when any failed.
#
# As root on Debian it installs what is missing (compiler, libpq, Python, PostgreSQL, RabbitMQ, Node.js); otherwise it says
# what to install. cargo-deny is built into target/tools when it is not there, which takes some minutes once. The suites of conformance and security are optional: they are run when they stand beside the project in ../shared.
# Environment: GATEHOUSE_PROFILE=dev or release (default) is the build that the suites start.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root/scripts/servers.sh"

all_steps=(scripts fmt clippy doc deny tests build conformance security crash conformance-production
  security-production bad-input browser clients openapi faults load kubernetes watch upgrade compose)
steps=()
while (($# > 0)); do
  case $1 in
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) [[ " ${all_steps[*]} " == *" $1 "* ]] || die "unknown step \"$1\"; see --help"; steps+=("$1"); shift ;;
  esac
done
((${#steps[@]} > 0)) || steps=("${all_steps[@]}")

# One set of features for clippy, doc and tests, so that each dependency is built once for them.
whole_workspace=(--workspace --all-features --locked)
case $cargo_profile in dev) program=$target_dir/debug/gatehouse ;; *) program=$target_dir/$cargo_profile/gatehouse ;; esac
[[ -z $gatehouse_bin ]] || program=$(absolute "$gatehouse_bin")
logs=$target_dir/test-logs
mkdir -p "$logs"

# --- the steps: each is one function, run in its own shell; 99 is "left out", with the reason printed --------------

step_scripts() {
  # `bash -n` reads one file at a time.
  local file
  local files=(scripts/*.sh deploy/compose/*.sh deploy/kubernetes/*.sh .ci/run)
  for file in "${files[@]}"; do bash -n "$file"; done
  python3 -c 'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]' scripts/*.py
  if command -v shellcheck >/dev/null; then shellcheck -x -P scripts "${files[@]}"; else say "shellcheck is not installed: only the syntax was checked"; fi
}

step_fmt() { cargo fmt --all --check; }

# Warnings are errors here only, so that a new compiler does not break anybody's checkout. The second time it is what
# `cargo run` builds: the program without PostgreSQL and RabbitMQ.
step_clippy() {
  cargo clippy "${whole_workspace[@]}" --all-targets -- -D warnings
  cargo clippy --locked --package gatehouse -- -D warnings
}

step_doc() { RUSTDOCFLAGS="-D warnings" cargo doc "${whole_workspace[@]}" --no-deps --document-private-items; }

# Advisories are another matter: new ones must not fail an old commit. See audit.sh.
step_deny() {
  need_cargo_tool cargo-deny 0.18.5
  "$cargo_tool" --all-features --locked check --hide-inclusion-graph bans licenses sources
  say "3 passed, 0 failed"
}

# Against real servers, which are not there for the steps after it.
step_tests() {
  trap cleanup EXIT
  make_scratch
  start_postgres fast
  start_rabbitmq
  start_smtp_sink "$scratch/mails"
  cargo test "${whole_workspace[@]}" --no-fail-fast
}

step_build() {
  [[ -z $gatehouse_bin ]] || { say "GATEHOUSE_BIN names a program"; return 99; }
  # All programs with one set of features, so that each dependency is built once.
  cargo build "${whole_workspace[@]}" --bins --profile "$cargo_profile"
}

have_program() { [[ -x $program ]] || { say "there is no program $program: run 'scripts/test.sh build' first"; return 1; }; }

step_conformance() {
  [[ -f $suites_dir/conformance/harness.py ]] || { say "../shared/conformance is not there: left out"; return 99; }
  have_program && scripts/conformance.sh --bin "$program"
}

step_security() {
  [[ -f $suites_dir/security/lib.py ]] || { say "../shared/security is not there: left out"; return 99; }
  have_program && scripts/security.sh --bin "$program"
}

step_conformance-production() {
  [[ -f $suites_dir/conformance/harness.py ]] || { say "../shared/conformance is not there: left out"; return 99; }
  have_program && scripts/conformance.sh --stack production --bin "$program"
}

step_security-production() {
  [[ -f $suites_dir/security/lib.py ]] || { say "../shared/security is not there: left out"; return 99; }
  have_program && scripts/security.sh --stack production --bin "$program"
}

step_bad-input() { have_program && scripts/bad_input_test.sh --bin "$program"; }

# Left out (99) where node or Chromium cannot be had.
step_browser() { have_program && scripts/browser_test.sh --bin "$program"; }

step_clients() { have_program && scripts/clients_test.sh --bin "$program"; }

# With fewer generated requests; openapi_test.sh by hand sends more.
step_openapi() { have_program && scripts/openapi_test.sh --quick --bin "$program"; }

# Always the same plan; faults.sh by hand draws another one each time.
step_faults() { have_program && scripts/faults.sh --seed 20240 --bin "$program"; }

# Only what does not depend on how busy the machine is; the rest of load_test.py is for a quiet one.
step_load() { have_program && scripts/load_test.py --bin "$(dirname "$program")" reload stop; }

step_kubernetes() {
  [[ -x $suites_dir/deploytools/k8s/check.sh ]] || { say "../shared/deploytools is not there: left out"; return 99; }
  scripts/kubernetes_test.sh
}

step_watch() { have_program && scripts/watch_test.sh --bin "$program"; }

# From the last tag, which is built once; as long as there is none, these programs are replaced by themselves.
step_upgrade() {
  local from=()
  git describe --tags --abbrev=0 >/dev/null 2>&1 || from=(--old "$(dirname "$program")")
  have_program && scripts/upgrade_test.sh "${from[@]}" --bin "$program"
}

step_compose() {
  docker info >/dev/null 2>&1 || { say "there is no Docker daemon: left out"; return 99; }
  scripts/compose-test.sh
}

step_crash() { have_program && scripts/crash_test.py --bin "$program" --rounds 6 --self-check; }

# --- running them -------------------------------------------------------------------------------------------------

# counts_of LOG: "passed failed", summed over the closing lines of cargo's test runs, or of our own scripts.
counts_of() {
  awk '
    /^test result: / { for (i = 2; i <= NF; i++) { if ($i == "passed;") p += $(i - 1); if ($i == "failed;") f += $(i - 1) } }
    /^[0-9]+ passed, [0-9]+ failed$/ { last_p = $1; last_f = $3 }
    # The figures of faults.sh: a check for each answered registration.
    /^[0-9]+ requests, [0-9]+ failed, [0-9]+ mails, [0-9]+ lost$/ { last_p = $1 - $3; last_f = $3 + $7 }
    /^answered [0-9]+, delivered [0-9]+, / { last_p = $4 + 0; last_f = $8 + 0 }
    END { print p + last_p + 0, f + last_f + 0 }
  ' "$1"
}

need_cargo
need_libpq # --all-features has PostgreSQL's driver.
need_command python3 python3 python3-venv

total_passed=0
total_failed=0
table=()
failed_steps=()
for step in "${steps[@]}"; do
  printf '\n=== %s\n' "$step"
  begin=$SECONDS
  status=0
  # Not `if step...` nor `step... ||`: these would switch off the shell's -e inside the step.
  set +e
  (set -e; "step_$step") 2>&1 </dev/null | tee "$logs/$step.log"
  status=${PIPESTATUS[0]}
  set -e
  took=$((SECONDS - begin))
  read -r passed failed < <(counts_of "$logs/$step.log")
  if ((status == 0 && failed > 0)); then status=1; fi
  if ((status != 0 && status != 99 && failed == 0)); then failed=1; fi
  total_passed=$((total_passed + passed))
  total_failed=$((total_failed + failed))
  case $status in
    0) result=ok ;;
    99) result="left out" ;;
    *)
      result=FAILED
      failed_steps+=("$step")
      say "step $step failed; to run it alone: scripts/test.sh $step"
      ;;
  esac
  say "=== $step: $result in $took s"
  table+=("$(printf '%-22s %6s s  %-8s %6s passed %5s failed' "$step" "$took" "$result" "$passed" "$failed")")
done

say ""
printf '%s\n' "${table[@]}"
if ((${#failed_steps[@]} > 0)); then say "failed: ${failed_steps[*]} (logs in $logs; one alone: scripts/test.sh ${failed_steps[0]})"; fi
say "$total_passed passed, $total_failed failed"
((${#failed_steps[@]} == 0))
