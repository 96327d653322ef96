# shellcheck shell=bash
# The stack of several programs: two identity-svc, two mailer-svc, one gateway, on PostgreSQL and RabbitMQ. Sourced after
# lib.sh and servers.sh.
#
#   need_production                  the programs, built unless they are named, and the servers
#   write_production DIR NAME=VALUE...
#   start_production DIR NAME=VALUE...
#   stop_production
#
# Each program is started by a file DIR/<name>.run; <name> is one of $production_names. It calls DIR/<name>.env, which runs
# a command with the program's settings and those given before the command: DIR/gateway.env NAME=VALUE ... COMMAND ...
# shellcheck disable=SC2034,SC2154 # Variables of lib.sh and servers.sh, and of the scripts that source this file.

production_names=(identity-1 identity-2 mailer-1 mailer-2 gateway)
production_count=0 # Stacks made so far; each has its own database and virtual host.
programs_dir=

# need_programs: sets $programs_dir, which has gateway, identity-svc and mailer-svc. A program named by --bin or
# GATEHOUSE_BIN stands beside them.
need_programs() {
  local name folder=release
  if [[ -n $gatehouse_bin ]]; then
    gatehouse_bin=$(absolute "$gatehouse_bin")
    programs_dir=$(cd "$(dirname "$gatehouse_bin")" 2>/dev/null && pwd) || die "there is no folder of $gatehouse_bin"
  else
    need_cargo
    need_libpq
    if [[ $cargo_profile == dev ]]; then folder=debug; fi
    say "building the programs (profile $cargo_profile)"
    cargo build --quiet --locked --workspace --all-features --bins --profile "$cargo_profile" || die "the programs do not build"
    programs_dir=$target_dir/$folder
  fi
  for name in gateway identity-svc mailer-svc; do
    [[ -x $programs_dir/$name ]] || die "$programs_dir has no $name: build it with 'cargo build --release --workspace --all-features'"
  done
}

need_production() {
  need_programs
  start_postgres fast
  start_rabbitmq
}

# write_env FILE NAME=VALUE...
write_env() {
  {
    printf '#!/bin/sh\nexec env'
    printf ' %q' "${@:2}"
    printf ' "$@"\n'
  } >"$1"
  chmod 700 "$1"
}

# write_run FILE COMMAND...
write_run() {
  {
    printf '#!/bin/sh\nexec'
    printf ' %q' "${@:2}"
    printf ' "$@"\n'
  } >"$1"
  chmod 700 "$1"
}

# settings_for SERVICE NAME=VALUE...: those that the service reads, into $own: its own and what all read, and not those of
# the others, so that a program works with what it is given in an installation.
settings_for() {
  local setting
  own=()
  for setting in "${@:2}"; do
    case $setting in
      GATEHOUSE_"$1"_*) own+=("$setting") ;;
      GATEHOUSE_GATEWAY_* | GATEHOUSE_IDENTITY_* | GATEHOUSE_MAILER_*) ;;
      *) own+=("$setting") ;;
    esac
  done
}

# write_production DIR NAME=VALUE...: the settings given come last, so they replace those made here; the gateway's admin
# listener too. Uses $database_url and $amqp_url. Sets $base_url, $keys_file and the ports: of_port[<name>] and admin_port[<name>].
declare -gA of_port admin_port
# Put in front of each program: `env -u NAME` for a release that does not know a setting.
production_prefix=()
write_production() {
  local dir=$1 name ports settings i own admin
  shift
  mkdir -p "$dir"
  read -r -a ports < <(free_ports $((2 * ${#production_names[@]})))
  for i in "${!production_names[@]}"; do
    of_port[${production_names[i]}]=${ports[2 * i]}
    admin_port[${production_names[i]}]=${ports[2 * i + 1]}
  done
  admin=$(setting_of GATEHOUSE_GATEWAY_ADMIN_LISTEN "$@")
  [[ -z $admin ]] || admin_port[gateway]=${admin##*:}
  base_url=$(scheme_of "$@")://127.0.0.1:${of_port[gateway]}
  keys_file=$dir/keys.json
  # Of gateway and identity-svc; the same when the settings of a stack are written again.
  if [[ ! -f $dir/internal-secret ]]; then random_secret >"$dir/internal-secret"; fi
  local internal_secret
  internal_secret=$(<"$dir/internal-secret")
  settings=(
    "GATEHOUSE_IDENTITY_DATABASE_URL=$database_url" "GATEHOUSE_IDENTITY_QUEUE_URL=$amqp_url"
    "GATEHOUSE_IDENTITY_KEYS_FILE=$keys_file"
    "GATEHOUSE_IDENTITY_ENCRYPTION_KEYS_FILE=$dir/encryption-keys.json"
    "GATEHOUSE_IDENTITY_VERIFY_URL=$base_url/account/verify-email/{key}"
    "GATEHOUSE_IDENTITY_RESET_URL=$base_url/account/password/reset/confirm/{uid}/{token}"
    "GATEHOUSE_IDENTITY_ASK_RESET_URL=$base_url/account/password/reset"
    "GATEHOUSE_MAILER_QUEUE_URL=$amqp_url"
    "GATEHOUSE_INTERNAL_SECRET=$internal_secret"
    "GATEHOUSE_GATEWAY_LISTEN=127.0.0.1:${of_port[gateway]}"
    "GATEHOUSE_GATEWAY_IDENTITY_URL=http://127.0.0.1:${of_port[identity-1]},http://127.0.0.1:${of_port[identity-2]}"
    "$@"
  )
  for name in "${production_names[@]}"; do
    local program service
    case $name in
      identity-*) program=identity-svc service=IDENTITY ;;
      mailer-*) program=mailer-svc service=MAILER ;;
      gateway) program=gateway service=GATEWAY ;;
    esac
    settings_for "$service" "${settings[@]}"
    [[ $service != IDENTITY ]] || own+=("GATEHOUSE_IDENTITY_LISTEN=127.0.0.1:${of_port[$name]}")
    own+=("GATEHOUSE_${service}_ADMIN_LISTEN=127.0.0.1:${admin_port[$name]}")
    write_env "$dir/$name.env" "${own[@]}"
    write_run "$dir/$name.run" "$dir/$name.env" "${production_prefix[@]}" "$programs_dir/$program"
  done
  write_run "$dir/operator" "$dir/identity-1.env" "${production_prefix[@]}" "$programs_dir/identity-svc"
  write_run "$dir/users" "$dir/operator" users
}

# run_operator DIR ARGUMENT...: a command that has to work.
run_operator() {
  local dir=$1
  shift
  "$dir/operator" "$@" >"$dir/operator.log" 2>&1 </dev/null && return 0
  say "FAIL identity-svc $*: $(tail -n 3 "$dir/operator.log")"
  return 1
}

# prepare_production DIR: tables and keys, once for all replicas.
prepare_production() {
  run_operator "$1" migrate || return 1
  if ((${#production_prefix[@]} == 0)); then
    run_operator "$1" keys init
  elif ! grep -q GATEHOUSE_IDENTITY_HS256_SECRET "$1/identity-1.env"; then
    run_operator "$1" keys rotate
  fi
}

# start_production DIR NAME=VALUE...: a fresh stack. Waits until every server answers. Sets $base_url, $keys_file and, of
# the gateway, $server_pid and $server_log, and writes DIR/users, which is `identity-svc users` with the same settings.
start_production() {
  local dir=$1 i name pid
  shift
  production_count=$((production_count + 1))
  make_database "stack_${$}_$production_count"
  make_vhost "stack-$$-$production_count"
  write_production "$dir" "$@"
  prepare_production "$dir" || return 1
  production_pids=()
  production_dir=$dir
  for name in "${production_names[@]}"; do
    start_process "$dir/$name.log" "$dir/$name.run"
    production_pids+=("$started_pid")
  done
  server_pid=${production_pids[-1]} server_log=$dir/gateway.log
  for i in "${!production_names[@]}"; do
    name=${production_names[i]} pid=${production_pids[i]}
    wait_for_http "http://127.0.0.1:${admin_port[$name]}/health/ready" "$pid" 30 || { start_failed "$name" "$pid"; return 1; }
  done
}

# start_failed NAME PID
start_failed() {
  if is_running "$2"; then say "FAIL $1 was not ready within 30 s"; else say "FAIL $1 ended at its start"; fi
  say "the end of its log:"
  tail -n 20 "$production_dir/$1.log"
  for pid in "${production_pids[@]}"; do stop_process "$pid" 5 || true; done
}

# stop_production: from the gateway to the mailers, and prints what was wrong, as stop_gatehouse does.
stop_production() {
  local i status=0
  for i in 4 0 1 2 3; do
    stop_service "${production_names[i]}" "${production_pids[i]}" "$production_dir/${production_names[i]}.log" || status=1
  done
  query "$TEST_DATABASE_URL" "drop database \"${database_url##*/}\" with (force)" || true
  return "$status"
}
