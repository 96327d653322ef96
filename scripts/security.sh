#!/usr/bin/env bash
# Runs black-box attack scripts against the built program, each with the settings it needs.
#
#   scripts/security.sh [--stack embedded|production] [--bin PROGRAM] [SCRIPT ...]
#
# SCRIPT: a name in ../shared/security, with or without .py, or the path of another script that uses its lib.py.
# Default: jwt_attacks (twice: HS256 and EdDSA) naughty_inputs races enumeration throttle http_raw.
# Environment: GATEHOUSE_BIN names the program as --bin does; otherwise it is built (GATEHOUSE_PROFILE=dev or release,
# default release). CASES_DIR, CASES_MODULE and the scripts' other variables are passed on. The last line is
# "N passed, N failed"; a script that checked nothing counts as one failed. Exit status: 1 when any failed, 2 when
# nothing could be run.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

names=()
while (($# > 0)); do
  case $1 in
    --stack) need_value "$@"; set_stack "$2"; shift 2 ;;
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) die "unknown option $1; see --help" ;;
    *) names+=("$1"); shift ;;
  esac
done
((${#names[@]} > 0)) || names=(jwt_attacks naughty_inputs races enumeration throttle http_raw)

security=$suites_dir/security
[[ -f $security/lib.py ]] || die "there are no scripts in ../shared/security; the project's own tests are run by 'cargo test'"
security=$(cd "$security" && pwd)
scripts=()
for name in "${names[@]}"; do
  case $name in
    */*) file=$(absolute "$name") ;;
    *) file=$security/${name%.py}.py ;;
  esac
  [[ -f $file ]] || die "there is no script $file"
  scripts+=("$file")
done
[[ -z ${CASES_DIR:-} ]] || { CASES_DIR=$(absolute "$CASES_DIR") && export CASES_DIR; }
[[ -z ${CASES_MODULE:-} ]] || { CASES_MODULE=$(absolute "$CASES_MODULE") && export CASES_MODULE; }

need_python_venv
make_scratch
need_stack
secret=$(random_secret)
ulimit -n "$(ulimit -Hn)" # http_raw.py holds thousands of connections, and so does the program then.

rotation=(GATEHOUSE_IDENTITY_ROTATE_REFRESH_TOKENS=on GATEHOUSE_IDENTITY_ROTATION_GRACE_SECONDS=0)
no_limits=(GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0 GATEHOUSE_IDENTITY_LOGIN_FAILURES=0 GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0)
cheap_hash=(GATEHOUSE_IDENTITY_BCRYPT_COST=4)
hs256=(GATEHOUSE_IDENTITY_SIGNING_ALGORITHM=HS256 "GATEHOUSE_IDENTITY_HS256_SECRET=$secret")
eddsa=(GATEHOUSE_IDENTITY_SIGNING_ALGORITHM=EdDSA)

# export_private_key KEYS_FILE PEM_FILE: the newest EdDSA key of the program.
export_private_key() {
  (umask 077 && python3 - "$1" >"$2") <<'PY'
import json, sys
keys = [key for key in json.load(open(sys.argv[1]))["keys"] if key["algorithm"] == "EdDSA"]
print(max(keys, key=lambda key: key.get("active_from_ms", 0))["private_key"].strip())
PY
}

passed=0
failed=0

# run_script LABEL FILE SETTING...: adds to the two sums.
run_script() {
  local label=$1 file=$2 dir=$scratch/$1 smtp_port sink status=0 p=0 f=0
  shift 2
  say "== $label"
  mkdir -p "$dir/mail"
  smtp_port=$(free_ports 1)
  start_process "$dir/smtp_sink.log" "$python" "$security/smtp_sink.py" "$smtp_port" "$dir/mail"
  sink=$started_pid
  wait_for_port "$smtp_port" "$sink" || die "the SMTP sink does not start: $(tail -n 1 "$dir/smtp_sink.log")"
  if ! start_stack "$dir" "${rotation[@]}" "$@" "GATEHOUSE_MAILER_SENDER_URL=smtp://127.0.0.1:$smtp_port"; then
    failed=$((failed + 1))
    return
  fi
  (
    export BASE_URL=$base_url MAIL_DIR=$dir/mail PYTHONPATH=$security${PYTHONPATH:+:$PYTHONPATH}
    case $label in
      jwt_attacks-EdDSA)
        export_private_key "$keys_file" "$dir/key.pem"
        export JWKS_URL=$base_url/.well-known/jwks.json JWT_PRIVATE_KEY_FILE=$dir/key.pem
        ;;
      *) export JWT_SECRET=$secret ;;
    esac
    exec "$python" "$file"
  ) 2>&1 | tee "$dir/output" || status=$?
  read -r p f < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, [0-9]+ skipped$/\1 \2/p' "$dir/output" | tail -n 1) || true
  p=${p:-0} f=${f:-0}
  # 2 is "nothing was checked"; any other end without a count is a script that broke off.
  if ((status != 0 && f == 0)); then f=1; fi
  if ((p + f == 0)); then f=1; fi
  stop_stack || f=$((f + 1))
  stop_process "$sink" 5 || true
  passed=$((passed + p))
  failed=$((failed + f))
}

for file in "${scripts[@]}"; do
  name=$(basename "$file" .py)
  case $name in
    jwt_attacks)
      run_script jwt_attacks-HS256 "$file" "${no_limits[@]}" "${cheap_hash[@]}" "${hs256[@]}"
      run_script jwt_attacks-EdDSA "$file" "${no_limits[@]}" "${cheap_hash[@]}" "${eddsa[@]}"
      ;;
    enumeration) run_script "$name" "$file" "${no_limits[@]}" "${hs256[@]}" ;;
    throttle) run_script "$name" "$file" "${hs256[@]}" ;;
    *) run_script "$name" "$file" "${no_limits[@]}" "${cheap_hash[@]}" "${hs256[@]}" ;;
  esac
done
finish "$passed" "$failed"
