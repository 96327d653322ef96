# shellcheck shell=bash
# Common parts of the scripts in this folder. Sourced, never run.
set -euo pipefail

caller_dir=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck disable=SC2034 # Used by the scripts that source this file.
suites_dir=$root/../shared # Test suites kept beside the project; a clone does not need them.
target_dir=${CARGO_TARGET_DIR:-target}
[[ $target_dir == /* ]] || target_dir=$root/$target_dir
mkdir -p "$target_dir"

export CARGO_TERM_COLOR=never NO_COLOR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

# Which program the suites start. These two are the scripts' own; all other GATEHOUSE_ variables are settings of the
# program, and a developer's must not reach the servers that are started here.
gatehouse_bin=${GATEHOUSE_BIN:-}
cargo_profile=${GATEHOUSE_PROFILE:-release}
for name in $(compgen -e GATEHOUSE_); do unset "$name"; done

say() { printf '%s\n' "$*"; }

# die SENTENCE: for what the caller can mend; a failed check is exit 1.
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}

# absolute PATH: as seen from where the script was called.
absolute() {
  case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$caller_dir/$1" ;;
  esac
}

# need_value OPTION VALUE...: dies when an option stands without its value.
need_value() { [[ $# -ge 2 && -n $2 ]] || die "$1 needs a value"; }

# --- what has to be installed -------------------------------------------------------------------------------------

# install_debian PACKAGE...: as root on Debian or Ubuntu, or fails.
install_debian() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  say "installing with apt-get: $*"
  local log=$target_dir/apt.log
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; } \
    </dev/null >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    return 1
  fi
}

# need_command COMMAND PACKAGE...: installs the packages when the command is missing.
need_command() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return
  install_debian "$@" || die "$command is missing: install it with 'apt-get install $*' (as root), or as your system does it"
}

# libpq with its headers. Debian's postgresql-common has a pg_config of its own, which finds nothing when libpq-dev is not there.
need_libpq() {
  pg_config --libdir >/dev/null 2>&1 && return
  install_debian libpq-dev && pg_config --libdir >/dev/null 2>&1 \
    || die "libpq is missing: install it with 'apt-get install libpq-dev' (as root), or as your system does it"
}

need_cargo() {
  command -v cargo >/dev/null || die "cargo is missing: install Rust with rustup, see https://rustup.rs"
  need_command cc gcc libc6-dev
}

# need_cargo_tool NAME VERSION: the cargo command of this name, from PATH or from target/tools, where it is built once in a
# folder of its own. Its program is in $cargo_tool.
need_cargo_tool() {
  local tools=$target_dir/tools
  cargo_tool=$(command -v "$1" || true)
  [[ -z $cargo_tool ]] || return 0
  cargo_tool=$tools/bin/$1
  [[ ! -x $cargo_tool || $(cat "$tools/$1.version" 2>/dev/null) != "$2" ]] || return 0
  need_cargo
  say "building $1 $2 into $tools, once"
  mkdir -p "$tools"
  if ! cargo install --quiet --locked --force --root "$tools" --target-dir "$tools/build" --version "$2" "$1" >"$tools/$1.log" 2>&1; then
    tail -n 5 "$tools/$1.log" >&2
    die "$1 cannot be built: see above"
  fi
  rm -rf "$tools/build"
  printf '%s\n' "$2" >"$tools/$1.version"
}

# need_python_venv [VENV REQUIREMENTS]: a Python with scripts/requirements.txt in target/venv, or with other packages elsewhere;
# its interpreter is in $python.
need_python_venv() {
  need_command python3 python3 python3-venv
  local venv=${1:-$target_dir/venv} requirements=${2:-scripts/requirements.txt} lock
  python=$venv/bin/python
  exec {lock}>"$venv.lock"
  if command -v flock >/dev/null; then flock "$lock"; fi
  if ! cmp -s "$requirements" "$venv/requirements.done" || ! "$python" -c '' 2>/dev/null; then
    say "making the Python environment $venv"
    make_venv "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check --no-input -r "$requirements" \
      || die "the Python packages of $requirements cannot be installed: see pip's message above"
    cp "$requirements" "$venv/requirements.done"
  fi
  exec {lock}>&-
}

make_venv() {
  rm -rf "$1"
  python3 -m venv "$1" >"$target_dir/venv.log" 2>&1 && return
  rm -rf "$1"
  if install_debian python3-venv && python3 -m venv "$1" >"$target_dir/venv.log" 2>&1; then return; fi
  tail -n 3 "$target_dir/venv.log" >&2
  die "python3 cannot make virtual environments: install the package python3-venv (as root: apt-get install python3-venv)"
}

# --- processes and folders ----------------------------------------------------------------------------------------

process_ids=()
scratch=
keep_scratch=
removed_at_exit=()

# A folder for this run, in $scratch; removed at the end unless keep_scratch is set.
make_scratch() { scratch=$(mktemp -d "$target_dir/$(basename "$0" .sh).XXXXXX"); }

# stage LABEL COMMAND...: one check, with the end of the command's output when it failed.
stage() {
  local label=$1 begin=$SECONDS log
  log=$scratch/${label//[^a-zA-Z0-9]/-}.log
  shift
  if "$@" >"$log" 2>&1; then
    say "ok $label ($((SECONDS - begin)) s)"
  else
    say "FAIL $label:"
    tail -n 40 "$log"
    return 1
  fi
}

# finish PASSED FAILED: the closing line and the exit status of a suite; after a failure its logs are kept.
finish() {
  if (($2 > 0)); then
    keep_scratch=yes
    say "logs and data are kept in $scratch"
  fi
  say "$1 passed, $2 failed"
  (($2 == 0)) || exit 1
  exit 0
}

# start_process LOG COMMAND...: in the background, with standard error in LOG and standard output beside it; its id is
# in $started_pid.
start_process() {
  local log=$1
  shift
  "$@" >"${log%.log}.out" 2>"$log" </dev/null &
  started_pid=$!
  process_ids+=("$started_pid")
}

is_running() { kill -0 "$1" 2>/dev/null; }

# stop_process PID [SECONDS]: TERM, then KILL when it has not ended in time. Fails when it had to be killed. Its exit
# status is in $stopped_status.
stop_process() {
  local pid=$1 tenths=$((${2:-30} * 10)) id kept=() status=0
  kill -TERM "$pid" 2>/dev/null || true
  while is_running "$pid" && ((tenths-- > 0)); do sleep 0.1; done
  if is_running "$pid"; then
    kill -KILL "$pid" 2>/dev/null || true
    status=1
  fi
  stopped_status=0
  # The shell itself would say there that a signal ended it.
  { wait "$pid" || stopped_status=$?; } 2>/dev/null
  for id in "${process_ids[@]}"; do [[ $id == "$pid" ]] || kept+=("$id"); done
  process_ids=("${kept[@]}")
  return "$status"
}

cleanup() {
  local status=$? pid
  trap - EXIT INT TERM
  if declare -F stop_servers >/dev/null; then stop_servers; fi
  for pid in "${process_ids[@]}"; do stop_process "$pid" 5 || true; done
  ((${#removed_at_exit[@]} == 0)) || rm -rf "${removed_at_exit[@]}"
  if [[ -n $scratch && -d $scratch ]]; then
    [[ -n $keep_scratch ]] || rm -rf "$scratch"
  fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

reserved_ports=() # Promised to somebody who has not bound them yet.

# free_ports COUNT: loopback ports that are free now, below the range from which the kernel takes clients' ports.
free_ports() {
  python3 - "$1" "${reserved_ports[@]}" <<'PY'
import random, socket, sys
held, reserved = [], set(map(int, sys.argv[2:]))
while len(held) < int(sys.argv[1]):
    port = random.randrange(20000, 32000)
    if port in reserved:
        continue
    listener = socket.socket()
    try:
        listener.bind(("127.0.0.1", port))
        held.append(listener)
    except OSError:
        listener.close()
ports = [listener.getsockname()[1] for listener in held]
# Freed before they are told: the reader does not wait for this process to end.
for listener in held:
    listener.close()
print(*ports)
PY
}

random_secret() { python3 -c 'import secrets; print(secrets.token_urlsafe(48))'; }

# wait_for_http URL PID [SECONDS]: until the server answers with a status below 500; of an https URL the certificate is
# not checked, since a test made it. Fails when the server ended or is too slow.
wait_for_http() {
  python3 - "$1" "$2" "${3:-20}" <<'PY'
import os, ssl, sys, time, urllib.error, urllib.request
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
url, pid, deadline = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
while time.monotonic() < deadline:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        sys.exit(1)
    try:
        urllib.request.urlopen(url, timeout=2, context=context).close()
        sys.exit(0)
    except urllib.error.HTTPError as error:
        if error.code < 500:
            sys.exit(0)
    except OSError:
        pass
    time.sleep(0.05)
sys.exit(1)
PY
}

# wait_for_port PORT PID [SECONDS]
wait_for_port() {
  local tenths=$((${3:-10} * 10))
  while ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
    if ! is_running "$2" || ((tenths-- <= 0)); then return 1; fi
    sleep 0.1
  done
}

# --- the program --------------------------------------------------------------------------------------------------

# Sets $gatehouse_bin, building the program unless one was named.
need_gatehouse() {
  if [[ -n $gatehouse_bin ]]; then
    gatehouse_bin=$(absolute "$gatehouse_bin")
    [[ -x $gatehouse_bin && ! -d $gatehouse_bin ]] || die "$gatehouse_bin is not a program"
    return
  fi
  need_cargo
  local folder
  case $cargo_profile in
    dev) folder=debug ;;
    release) folder=release ;;
    *) die "GATEHOUSE_PROFILE is \"$cargo_profile\", not dev or release" ;;
  esac
  say "building the program (profile $cargo_profile)"
  cargo build --quiet --locked --package gatehouse --profile "$cargo_profile" || die "the program does not build"
  gatehouse_bin=$target_dir/$folder/gatehouse
}

# setting_of NAME NAME=VALUE...: the value that the last of the settings gives it; nothing when none does.
setting_of() {
  local setting value=
  for setting in "${@:2}"; do [[ $setting != "$1="* ]] || value=${setting#*=}; done
  printf '%s\n' "$value"
}

# scheme_of NAME=VALUE...: what a gateway with these settings speaks; with a certificate it is TLS only.
scheme_of() { if [[ -n $(setting_of GATEHOUSE_GATEWAY_TLS_CERTIFICATE_FILE "$@") ]]; then echo https; else echo http; fi; }

# start_gatehouse DIR NAME=VALUE...: the embedded stack with a fresh data folder below DIR, on free ports, with the
# settings given. Waits until it answers. Sets $base_url, $server_pid and $server_log, and writes DIR/users, which is
# `gatehouse users` with the same settings.
start_gatehouse() {
  local dir=$1 port identity_port
  shift
  mkdir -p "$dir"
  read -r port identity_port < <(free_ports 2)
  base_url=$(scheme_of "$@")://127.0.0.1:$port
  server_log=$dir/gatehouse.log
  local settings=(
    "GATEHOUSE_DATA_DIR=$dir/data"
    "GATEHOUSE_PUBLIC_URL=$base_url"
    "GATEHOUSE_GATEWAY_LISTEN=127.0.0.1:$port"
    "GATEHOUSE_IDENTITY_LISTEN=127.0.0.1:$identity_port"
    "$@"
  )
  {
    printf '#!/bin/sh\nexec env'
    printf ' %q' "${settings[@]}" "$gatehouse_bin" users
    printf ' "$@"\n'
  } >"$dir/users"
  chmod +x "$dir/users"
  start_process "$server_log" env "${settings[@]}" "$gatehouse_bin"
  server_pid=$started_pid
  if ! wait_for_http "$base_url/api/auth/token/verify/" "$server_pid" 30; then
    if is_running "$server_pid"; then say "FAIL the program did not answer on $base_url within 30 s"; else say "FAIL the program ended at its start"; fi
    say "the end of its log:"
    tail -n 20 "$server_log"
    stop_process "$server_pid" 2 || true
    return 1
  fi
}

stop_gatehouse() { stop_service "the program" "$server_pid" "$server_log"; }

# stop_service NAME PID LOG: stops it, and prints what was wrong with it beside its answers, one line each: an early end,
# a slow stop, a panic, a secret in its log. Fails when there was anything.
stop_service() {
  local problems=() log=$3
  is_running "$2" || problems+=("it ended by itself")
  if ! stop_process "$2" 30; then
    problems+=("it did not stop within 30 s of SIGTERM")
  elif ((stopped_status != 0)); then
    problems+=("it stopped with status $stopped_status, not 0")
  fi
  if grep -q 'panicked at' "$log"; then
    problems+=("it panicked: $(grep -m 1 'panicked at' "$log")")
  fi
  # JSON Web Tokens, the suites' passwords, the mail addresses of their users, private keys.
  local secrets='eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.|Zx9-quartz|Nw7-basalt|Vx7-[a-z0-9]{14}-Qm|[a-z0-9]@(mail\.test|example\.org)|PRIVATE KEY'
  # Passwords of URLs: of database and broker.
  secrets+='|://[^/@ ]+:[A-Za-z0-9_-]{32,}@'
  if grep -qE "$secrets" "$log"; then
    problems+=("its log holds a secret or an address: $(grep -m 1 -oE ".{0,60}($secrets).{0,20}" "$log")")
  fi
  ((${#problems[@]} == 0)) && return
  printf "FAIL $1: %s\n" "${problems[@]}"
  return 1
}

# --- which stack the suites run against ---------------------------------------------------------------------------

stack=embedded

# set_stack NAME: embedded, which is one process; or production, which is what production.sh starts.
set_stack() {
  case $1 in
    embedded) ;;
    production)
      source "$root/scripts/servers.sh"
      source "$root/scripts/production.sh"
      ;;
    *) die "unknown stack \"$1\"; there are: embedded production" ;;
  esac
  stack=$1
}

# After make_scratch: servers write their logs there.
need_stack() { if [[ $stack == production ]]; then need_production; else need_gatehouse; fi; }

# start_stack DIR NAME=VALUE...: see start_gatehouse and start_production. $keys_file is its file of signing keys.
start_stack() {
  if [[ $stack == production ]]; then
    start_production "$@"
    return
  fi
  # shellcheck disable=SC2034 # For the script that sources this.
  keys_file=$1/data/keys.json
  start_gatehouse "$@"
}

stop_stack() { if [[ $stack == production ]]; then stop_production; else stop_gatehouse; fi; }

# --- the contract's tests ------------------------------------------------------------------------------------------

# conformance_settings PROFILE: what the contract's tests expect of a server in this profile, one setting a line; its
# signing key is $signing_key. They count mails as the reference sends them: none on a change of the password.
conformance_settings() {
  printf '%s\n' \
    GATEHOUSE_IDENTITY_SIGNING_ALGORITHM=HS256 "GATEHOUSE_IDENTITY_HS256_SECRET=$signing_key" \
    "GATEHOUSE_IDENTITY_LEGACY_JWT_SECRET=$signing_key" GATEHOUSE_IDENTITY_LEGACY_JWT_UNTIL=2099-12-31 \
    GATEHOUSE_IDENTITY_ROTATE_REFRESH_TOKENS=on GATEHOUSE_IDENTITY_ROTATION_GRACE_SECONDS=0 \
    GATEHOUSE_IDENTITY_LOGIN_FAILURES=0 GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0 GATEHOUSE_IDENTITY_PASSWORD_CHANGED_MAIL=off \
    GATEHOUSE_IDENTITY_BCRYPT_COST=4
  local limit=0
  case $1 in
    optional) ;;
    mandatory) printf '%s\n' GATEHOUSE_IDENTITY_EMAIL_VERIFICATION=mandatory ;;
    short-lived)
      printf '%s\n' GATEHOUSE_IDENTITY_ACCESS_TOKEN_SECONDS=2 GATEHOUSE_IDENTITY_REFRESH_TOKEN_SECONDS=4 \
        GATEHOUSE_IDENTITY_VERIFY_LINK_SECONDS=2 GATEHOUSE_IDENTITY_RESET_LINK_SECONDS=2
      ;;
    throttled) limit=5 ;;
  esac
  printf '%s\n' "GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=$limit"
}
