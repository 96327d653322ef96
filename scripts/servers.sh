# shellcheck shell=bash
# Private PostgreSQL, RabbitMQ and SMTP servers for tests: on free loopback ports, as a user without rights, with their
# data in a scratch folder, started and stopped by process id only. Sourced after lib.sh.
#
#   start_postgres fast|durable  exports TEST_DATABASE_URL
#   start_rabbitmq               exports TEST_AMQP_URL
#   start_smtp_sink DIR          exports TEST_SMTP_URL; every mail becomes DIR/*.eml
#   stop_servers                 ends all of them; lib.sh's clean-up does it too
#
# A URL that is set already names a server to use in place of a private one. `durable`: with fsync, as an installation
# would have it; without, a test's many databases are made faster.
# shellcheck disable=SC2034,SC2154 # Variables of lib.sh, and of the scripts that source this file.

# Root's folders are closed to others, so the data does not lie below target/. Short, for PostgreSQL's socket path.
servers_dir=
servers_log_dir=
server_limit=120 # Seconds for a server to be ready; RabbitMQ takes 6 on an idle machine.
as_server=()     # What is put in front of a server's command.
postgres_pid=
rabbitmq_pid=
epmd_pid=
smtp_sink_pid=

make_servers_dir() {
  [[ -z $servers_dir ]] || return 0
  servers_dir=$(mktemp -d "${TMPDIR:-/tmp}/gatehouse-servers.XXXXXX")
  removed_at_exit+=("$servers_dir")
  servers_log_dir=${scratch:-$servers_dir}/servers-logs
  mkdir -p "$servers_log_dir"
  if [[ $(id -u) == 0 ]]; then
    need_command setpriv util-linux
    # No server here runs as root, and PostgreSQL would not.
    chown nobody "$servers_dir"
    as_server=(setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups --no-new-privs)
  fi
}

# need_server PROGRAM PACKAGE: installs the package when the program is missing, without the machine's own service being
# started: policy-rc.d is what Debian's packages ask first.
need_server() {
  local policy=/usr/sbin/policy-rc.d made_policy=
  [[ -n $("find_$1") ]] && return
  if [[ $(id -u) == 0 && -d /usr/sbin && ! -e $policy ]]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    removed_at_exit+=("$policy")
  fi
  install_debian "$2" || true
  [[ -z $made_policy ]] || rm -f "$policy"
  [[ -n $("find_$1") ]] || die "$2 is missing: install it with 'apt-get install $2' (as root), or name a server with $3"
}

# The folder of PostgreSQL's programs; Debian keeps them out of PATH.
find_postgres() {
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V -r) "$(dirname "$(command -v initdb || echo /)")"; do
    if [[ -x $folder/initdb && -x $folder/postgres ]]; then
      printf '%s\n' "$folder"
      return
    fi
  done
}

# The folder of RabbitMQ's own scripts; Debian's wrappers in PATH insist on its system user.
find_rabbitmq() {
  local folder
  for folder in /usr/lib/rabbitmq/bin "$(dirname "$(readlink -f "$(command -v rabbitmq-server || echo /)")")"; do
    if [[ -x $folder/rabbitmq-server && -x $folder/rabbitmq-env ]]; then
      printf '%s\n' "$folder"
      return
    fi
  done
}

# write_command FILE COMMAND...: a file that runs it as the servers' user, for other scripts that stop and start servers.
write_command() {
  local file=$1
  shift
  {
    printf '#!/bin/sh\nexec'
    printf ' %q' "${as_server[@]}" "$@"
    printf ' "$@"\n'
  } >"$file"
  chmod 755 "$file"
}

# server_failed NAME LOG
server_failed() {
  tail -n 15 "$2" >&2
  die "the private $1 did not start within $server_limit s; the end of its log is above"
}

# --- PostgreSQL ---------------------------------------------------------------------------------------------------

# Writes $servers_dir/postgres.run and exports TEST_DATABASE_URL. The user may make databases.
prepare_postgres() {
  local bin port password data options=()
  need_server postgres postgresql TEST_DATABASE_URL
  make_servers_dir
  bin=$(find_postgres)
  port=$(free_ports 1)
  password=$(random_secret)
  data=$servers_dir/postgres
  [[ $1 == durable ]] || options=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off)
  (umask 077 && printf '%s\n' "$password" >"$servers_dir/postgres.password")
  [[ ${#as_server[@]} == 0 ]] || chown nobody "$servers_dir/postgres.password"
  (
    cd "$servers_dir"
    LC_ALL=C "${as_server[@]}" "$bin/initdb" --pgdata "$data" --username gatehouse --pwfile postgres.password \
      --auth scram-sha-256 --encoding UTF8 --locale C --no-sync >"$servers_log_dir/initdb.log" 2>&1
  ) || { tail -n 5 "$servers_log_dir/initdb.log" >&2; die "the private PostgreSQL cannot be set up: see above"; }
  write_command "$servers_dir/postgres.run" "$bin/postgres" -D "$data" -p "$port" -k "$servers_dir" \
    -c listen_addresses=127.0.0.1 -c max_connections=300 -c shared_buffers=64MB "${options[@]}"
  export TEST_DATABASE_URL=postgres://gatehouse:$password@127.0.0.1:$port/postgres
}

start_postgres() {
  local begin=$SECONDS log
  if [[ -n ${TEST_DATABASE_URL:-} ]]; then
    say "PostgreSQL: the one of TEST_DATABASE_URL"
    return
  fi
  prepare_postgres "$@"
  log=$servers_log_dir/postgres.log
  start_server "$log" "$servers_dir/postgres.run"
  postgres_pid=$started_pid
  wait_for_postgres "$postgres_pid" "$TEST_DATABASE_URL" || server_failed PostgreSQL "$log"
  say "PostgreSQL: private, ready after $((SECONDS - begin)) s"
}

# wait_for_postgres PID URL: until it takes queries; it listens before it does.
wait_for_postgres() {
  local tenths=$((server_limit * 10))
  until query "$2" 'select 1' >/dev/null 2>&1; do
    if ! is_running "$1" || ((tenths-- <= 0)); then return 1; fi
    sleep 0.1
  done
}

# query URL SQL: the rows, bare.
query() {
  local folder
  folder=$(find_postgres)
  PGCONNECT_TIMEOUT=5 "${folder:+$folder/}psql" --no-psqlrc --quiet --tuples-only --no-align \
    --set ON_ERROR_STOP=1 --dbname "$1" --command "$2" </dev/null
}

# make_database NAME: a fresh one; its URL is in $database_url.
make_database() {
  query "$TEST_DATABASE_URL" "create database \"$1\"" || die "cannot make a database on the server of TEST_DATABASE_URL"
  database_url=${TEST_DATABASE_URL%/*}/$1
}

# --- RabbitMQ -----------------------------------------------------------------------------------------------------

# Writes $servers_dir/rabbitmq.run, epmd.run and rabbitmqctl, and exports TEST_AMQP_URL.
prepare_rabbitmq() {
  local bin port dist_port epmd_port dir password settings
  need_server rabbitmq rabbitmq-server TEST_AMQP_URL
  make_servers_dir
  bin=$(find_rabbitmq)
  read -r port dist_port epmd_port < <(free_ports 3)
  password=$(random_secret)
  dir=$servers_dir/rabbitmq
  mkdir -p "$dir"
  : >"$dir/env.conf"
  printf '[].\n' >"$dir/enabled_plugins"
  printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$port" 'default_user = gatehouse' "default_pass = $password" \
    'loopback_users = none' 'log.file = false' 'log.console = true' 'log.console.level = info' \
    'disk_free_limit.absolute = 200MB' 'vm_memory_high_watermark.absolute = 1GB' >"$dir/rabbitmq.conf"
  chmod 600 "$dir/rabbitmq.conf"
  [[ ${#as_server[@]} == 0 ]] || chown -R nobody "$dir"
  settings=(
    "HOME=$dir" # Where Erlang keeps its cookie.
    "ERL_EPMD_PORT=$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1
    "RABBITMQ_NODENAME=gatehouse-$port@localhost" "RABBITMQ_DIST_PORT=$dist_port"
    "RABBITMQ_MNESIA_BASE=$dir/data" "RABBITMQ_LOG_BASE=$dir/log"
    "RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf" "RABBITMQ_CONF_ENV_FILE=$dir/env.conf"
    "RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins"
    # The node listens for its tools on loopback only.
    'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}'
    # So that the shell script becomes the node, and the process that is started is the one that is stopped.
    RUNNING_UNDER_SYSTEMD=yes
    LC_ALL=C.UTF-8
  )
  write_command "$servers_dir/rabbitmq.run" env --chdir="$dir" "${settings[@]}" "$bin/rabbitmq-server"
  write_command "$servers_dir/rabbitmqctl" env --chdir="$dir" "${settings[@]}" "$bin/rabbitmqctl" --quiet
  # The node would start one by itself and leave it behind.
  write_command "$servers_dir/epmd.run" epmd -port "$epmd_port" -address 127.0.0.1
  rabbitmq_port=$port epmd_port_used=$epmd_port
  export TEST_AMQP_URL=amqp://gatehouse:$password@127.0.0.1:$port/%2f
}

start_rabbitmq() {
  local begin=$SECONDS log
  if [[ -n ${TEST_AMQP_URL:-} ]]; then
    say "RabbitMQ: the one of TEST_AMQP_URL"
    return
  fi
  prepare_rabbitmq
  log=$servers_log_dir/rabbitmq.log
  start_server "$servers_log_dir/epmd.log" "$servers_dir/epmd.run"
  epmd_pid=$started_pid
  wait_for_port "$epmd_port_used" "$epmd_pid" "$server_limit" || server_failed "port mapper (epmd)" "$servers_log_dir/epmd.log"
  start_server "$log" "$servers_dir/rabbitmq.run"
  rabbitmq_pid=$started_pid
  wait_for_port "$rabbitmq_port" "$rabbitmq_pid" "$server_limit" || server_failed RabbitMQ "${log%.log}.out"
  say "RabbitMQ: private, ready after $((SECONDS - begin)) s"
}

# make_vhost NAME: a fresh virtual host; its URL is in $amqp_url. On a server that was named, its own one.
make_vhost() {
  amqp_url=$TEST_AMQP_URL
  [[ -n $rabbitmq_pid ]] || return 0
  {
    "$servers_dir/rabbitmqctl" add_vhost "$1" && "$servers_dir/rabbitmqctl" set_permissions -p "$1" gatehouse '.*' '.*' '.*'
  } >"$servers_log_dir/rabbitmqctl.log" 2>&1 || { tail -n 5 "$servers_log_dir/rabbitmqctl.log" >&2; die "cannot make a virtual host"; }
  amqp_url=${TEST_AMQP_URL%/*}/$1
}

# --- SMTP ---------------------------------------------------------------------------------------------------------

# start_smtp_sink DIR [OPTION...]: see smtp_sink.py for the options.
start_smtp_sink() {
  local dir=$1 port log
  shift
  if [[ -n ${TEST_SMTP_URL:-} ]]; then
    say "SMTP: the server of TEST_SMTP_URL"
    return
  fi
  make_servers_dir
  port=$(free_ports 1)
  log=$servers_log_dir/smtp_sink.log
  start_process "$log" python3 "$root/scripts/smtp_sink.py" "$port" "$dir" "$@"
  smtp_sink_pid=$started_pid
  wait_for_port "$port" "$smtp_sink_pid" || server_failed "SMTP server" "$log"
  export TEST_SMTP_URL=smtp://127.0.0.1:$port
}

# --- starting and stopping ----------------------------------------------------------------------------------------

# start_server LOG COMMAND...: as start_process, away from the terminal's Ctrl-C, which ends this script and then the server.
start_server() {
  start_process "$1" setsid "${@:2}"
}

# process_tree PID: it and everything below it.
process_tree() {
  local children=() child
  printf '%s\n' "$1"
  read -r -a children < <(cat "/proc/$1/task/"*/children 2>/dev/null | tr '\n' ' ') || true
  for child in "${children[@]}"; do process_tree "$child"; done
}

# stop_server PID [SECONDS]: TERM, then KILL for it and its children.
stop_server() {
  local pid=$1 tree child
  is_running "$pid" || return 0
  tree=$(process_tree "$pid")
  if stop_process "$pid" "${2:-20}"; then return 0; fi
  for child in $tree; do kill -KILL "$child" 2>/dev/null || true; done
}

# In reverse order of their start; the variables that were exported for them are gone afterwards.
stop_servers() {
  if [[ -n $smtp_sink_pid ]]; then stop_server "$smtp_sink_pid" 5; unset TEST_SMTP_URL; fi
  if [[ -n $rabbitmq_pid ]]; then stop_server "$rabbitmq_pid"; unset TEST_AMQP_URL; fi
  if [[ -n $epmd_pid ]]; then stop_server "$epmd_pid" 5; fi
  # INT: PostgreSQL's TERM waits for clients.
  if [[ -n $postgres_pid ]]; then
    kill -INT "$postgres_pid" 2>/dev/null || true
    stop_server "$postgres_pid"
    unset TEST_DATABASE_URL
  fi
  smtp_sink_pid='' rabbitmq_pid='' epmd_pid='' postgres_pid=''
}
