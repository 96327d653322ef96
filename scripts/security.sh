#!/usr/bin/env bash
# Runs black-box attack scripts against the built program, each with the settings it needs.
#
#   scripts/security.sh [--stack embedded|production] [--bin PROGRAM] [--requests N] [SCRIPT ...]
#
# SCRIPT: a name in ../shared/security, with or without .py, or the path of another script that uses its lib.py or its
# gatekit.py. One that uses gatekit says itself which settings, upstreams and certificate it needs (`--setup`).
# Default: jwt_attacks (twice: HS256 and EdDSA) naughty_inputs races enumeration throttle http_raw paths http2_raw
# lifecycle http_diff accounts.
# --requests N: how many mutated requests http_diff sends (default 5000), at most 50,000 in one run of it, each run with the
# next seed; the long run is `scripts/security.sh --requests 1000000 http_diff`. SEED (default 20240) is the first one.
# Environment: GATEHOUSE_BIN names the program as --bin does; otherwise it is built (GATEHOUSE_PROFILE=dev or release,
# default release). CASES_DIR, CASES_MODULE and the scripts' other variables are passed on. The last line is
# "N passed, N failed"; a script that checked nothing counts as one failed, and so does every check that a script left out
# (SKIP), unless POLICY_OFF asked for it. Exit status: 1 when any failed, 2 when nothing could be run.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

names=()
requests=5000
while (($# > 0)); do
  case $1 in
    --stack) need_value "$@"; set_stack "$2"; shift 2 ;;
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    --requests) need_value "$@"; requests=$2; shift 2 ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) die "unknown option $1; see --help" ;;
    *) names+=("$1"); shift ;;
  esac
done
[[ $requests =~ ^[1-9][0-9]*$ ]] || die "--requests is \"$requests\", not a number"
((${#names[@]} > 0)) || names=(jwt_attacks naughty_inputs races enumeration throttle http_raw
  paths http2_raw lifecycle http_diff accounts)

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
export PYTHONPATH=$security${PYTHONPATH:+:$PYTHONPATH}

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

# uses_gatekit FILE: whether it imports gatekit, itself or through a script that it imports.
uses_gatekit() {
  python3 - "$1" "$security" <<'PY'
import ast, pathlib, sys
first, shared = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
waiting, seen = [first], set()
while waiting:
    file = waiting.pop()
    if file in seen or not file.is_file():
        continue
    seen.add(file)
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if "gatekit" in names:
            sys.exit(0)
        waiting += [folder / f"{name}.py" for name in names for folder in (first.parent, shared)]
sys.exit(1)
PY
}

passed=0
failed=0
skipped=0

# start_sink DIR: an SMTP server whose mails are in DIR/mail; $smtp_port, $sink.
start_sink() {
  mkdir -p "$1/mail"
  smtp_port=$(free_ports 1)
  start_process "$1/smtp_sink.log" "$python" "$security/smtp_sink.py" "$smtp_port" "$1/mail"
  sink=$started_pid
  wait_for_port "$smtp_port" "$sink" || die "the SMTP sink does not start: $(tail -n 1 "$1/smtp_sink.log")"
}

# count_output FILE STATUS: adds to $p, $f and $s what a script has printed as its sums; it ended with this status.
count_output() {
  local script_p=0 script_f=0 script_s=0
  read -r script_p script_f script_s < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$1" | tail -n 1) || true
  script_p=${script_p:-0} script_f=${script_f:-0} script_s=${script_s:-0}
  script_s=$((script_s - $(grep -cE '^SKIP .*: switched off$' "$1" || true)))
  # 2 is "nothing was checked"; any other end without a count is a script that broke off.
  if (($2 != 0 && script_f == 0)); then script_f=1; fi
  if ((script_p + script_f == 0)); then script_f=1; fi
  p=$((p + script_p)) f=$((f + script_f)) s=$((s + script_s))
}

# end_run LABEL: stops the stack and the sink, and adds $p, $f and $s to the sums.
end_run() {
  stop_stack || f=$((f + 1))
  stop_process "$sink" 5 || true
  if ((s > 0)); then say "FAIL $1: $s checks were left out"; fi
  passed=$((passed + p)) failed=$((failed + f + s)) skipped=$((skipped + s))
}

# run_script LABEL FILE SETTING...: a script that attacks what it finds.
run_script() {
  local label=$1 file=$2 dir=$scratch/$1 smtp_port sink status=0 p=0 f=0 s=0
  shift 2
  say "== $label"
  start_sink "$dir"
  if ! start_stack "$dir" "${rotation[@]}" "$@" "GATEHOUSE_MAILER_SENDER_URL=smtp://127.0.0.1:$smtp_port"; then
    failed=$((failed + 1))
    return
  fi
  (
    export BASE_URL=$base_url MAIL_DIR=$dir/mail
    case $label in
      jwt_attacks-EdDSA)
        export_private_key "$keys_file" "$dir/key.pem"
        export JWKS_URL=$base_url/.well-known/jwks.json JWT_PRIVATE_KEY_FILE=$dir/key.pem
        ;;
      *) export JWT_SECRET=$secret ;;
    esac
    exec "$python" "$file"
  ) 2>&1 | tee "$dir/output" || status=$?
  count_output "$dir/output" "$status"
  end_run "$label"
}

# run_kit_script FILE: a script of gatekit, which brings settings, routes, certificate and upstreams of its own. The program
# is started with them, and KIT_PROGRAM is for the short-lived instances that it starts itself.
run_kit_script() {
  local file=$1 label dir kit smtp_port sink status p=0 f=0 s=0 begin=$SECONDS settings kit_program=$gatehouse_bin
  local slice left seed arguments
  label=$(basename "$file" .py)
  dir=$scratch/$label kit=$scratch/$label/kit
  say "== $label"
  [[ -n $kit_program ]] || kit_program=$programs_dir/gatehouse
  [[ -x $kit_program ]] || die "there is no program $kit_program"
  need_command openssl openssl
  if [[ $label == http_diff ]]; then need_command node nodejs; fi
  mkdir -p "$kit"
  if ! "$python" "$file" --setup "$kit" >"$kit/settings" 2>"$kit/setup.log"; then
    say "FAIL $label --setup: $(tail -n 1 "$kit/setup.log")"
    failed=$((failed + 1))
    return
  fi
  mapfile -t settings <"$kit/settings"
  # The script's upstreams come up after the program.
  mapfile -t reserved_ports < <(grep -oE '[0-9]+' "$kit/kit.json")
  start_sink "$dir"
  if ! start_stack "$dir" "GATEHOUSE_MAILER_SENDER_URL=smtp://127.0.0.1:$smtp_port" "${settings[@]}"; then
    failed=$((failed + 1))
    reserved_ports=()
    return
  fi
  left=1 seed=${SEED:-20240}
  [[ $label != http_diff ]] || left=$requests
  while ((left > 0)); do
    slice=$((left > 50000 ? 50000 : left)) arguments=() status=0
    left=$((left - slice))
    [[ $label != http_diff ]] || arguments=(--n "$slice" --seed "$seed")
    (
      export BASE_URL=$base_url MAIL_DIR=$dir/mail KIT_DIR=$kit SERVER_PID=$server_pid SERVER_LOG=$server_log \
        OPERATOR=$dir/users KIT_PROGRAM=$kit_program
      exec "$python" "$file" "${arguments[@]}"
    ) 2>&1 | tee "$dir/output" || status=$?
    count_output "$dir/output" "$status"
    seed=$((seed + 1))
  done
  reserved_ports=()
  end_run "$label"
  say "$label: $((SECONDS - begin)) s"
}

for file in "${scripts[@]}"; do
  name=$(basename "$file" .py)
  if uses_gatekit "$file"; then
    run_kit_script "$file"
    continue
  fi
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
say "$skipped checks left out"
finish "$passed" "$failed"
