#!/usr/bin/env bash
# What an operator gets wrong, tried against the built programs on real servers: each mistake must give one clear
# sentence, and lose nothing.
#
#   scripts/bad_input_test.sh [--bin PROGRAM]
#
# Environment: as of conformance.sh. PostgreSQL and RabbitMQ are private ones. The last line is "N passed, N failed". Exit
# status: 1 when any failed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root/scripts/servers.sh"
source "$root/scripts/production.sh"

while (($# > 0)); do
  case $1 in
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown option $1; see --help" ;;
  esac
done

unset TEST_DATABASE_URL TEST_AMQP_URL TEST_SMTP_URL
make_scratch
need_production
mails=$scratch/mails
start_smtp_sink "$mails"
closed_port=$(free_ports 1)
passed=0
failed=0

# check LABEL STATUS [DETAIL]: STATUS 0 is good.
check() {
  if (($2 == 0)); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    say "FAIL $1${3:+: $3}"
  fi
}

# has_password TEXT: prints 1 when it tells the password of a URL.
has_password() { if grep -qE '://[^/@ ]+:[A-Za-z0-9_-]{12,}@|not-the-password' <<<"$1"; then echo 1; else echo 0; fi; }

# refused LABEL PATTERN NAME PROGRAM [NAME=VALUE]... [ARGUMENT...]: with other settings than DIR/NAME.env has, the program
# ends by itself, not with 0, with one line that matches, and without the password of a URL.
refused() {
  local label=$1 pattern=$2 env=$dir/$3.env program=$programs_dir/$4 settings=() status=0 text lines
  shift 4
  while [[ ${1:-} == *=* ]]; do settings+=("$1") && shift; done
  text=$(timeout 20 "$env" "${settings[@]}" "$program" "$@" 2>&1 </dev/null) || status=$?
  # Log lines may come before it.
  lines=$(grep -cvE '^\[?[0-9]{4}-[0-9-]+T[0-9:.]+' <<<"$text" || true)
  if ((status == 0 || status > 100)); then
    check "$label" 1 "ended with status $status: $text"
  elif ((lines != 1)); then
    check "$label" 1 "$lines lines, not one sentence: $text"
  elif ! grep -qE "$pattern" <<<"$text"; then
    check "$label" 1 "says \"$text\""
  else
    check "$label" "$(has_password "$text")" "tells a password: $text"
    say "  $label: $(tail -n 1 <<<"$text")"
  fi
}

# fetch PORT PATH: "STATUS BODY", in one line.
fetch() {
  python3 - "http://127.0.0.1:$1$2" <<'PY'
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=5)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    print(0, error)
    sys.exit()
print(getattr(answer, "status", 0), " ".join(answer.read().decode().split()))
PY
}

# register NAME: the status of a registration through the gateway.
register() {
  python3 - "$base_url/api/auth/registration/" "$1" <<'PY'
import json, sys, urllib.error, urllib.request
password = "Vx7-abcdefghijklmn-Qm"
fields = {"username": sys.argv[2], "email": f"{sys.argv[2]}@example.org", "password1": password, "password2": password}
request = urllib.request.Request(sys.argv[1], json.dumps(fields).encode(), {"Content-Type": "application/json"})
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print(error)
PY
}

# shellcheck disable=SC2317 # Called by eventually.
has_mail() { grep -lqs "^X-Envelope-To: $1@example.org" "$mails"/*.eml; }
# shellcheck disable=SC2317
ready_says() { [[ $(fetch "$1" /health/ready) =~ $2 ]]; }

# eventually SECONDS COMMAND...
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.3
  done
}

# --- what does not start ------------------------------------------------------------------------------------------

make_database mistakes
make_vhost mistakes
dir=$scratch/mistakes
write_production "$dir" GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0 \
  GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0 "GATEHOUSE_MAILER_SENDER_URL=$TEST_SMTP_URL"
wrong_password() { sed -E 's#(://[^:]+:)[^@]+@#\1not-the-password@#' <<<"$1"; }
at_closed_port() { sed -E "s#@127\.0\.0\.1:[0-9]+#@127.0.0.1:$closed_port#" <<<"$1"; }
identity=(identity-1 identity-svc) mailer=(mailer-1 mailer-svc) gateway=(gateway gateway)
url=GATEHOUSE_IDENTITY_DATABASE_URL
queue=GATEHOUSE_IDENTITY_QUEUE_URL
mailer_queue=GATEHOUSE_MAILER_QUEUE_URL

say "== what does not start"
refused "a database without tables" 'migrat' "${identity[@]}"
run_operator "$dir" migrate && check "migrate" 0
refused "no key to sign with" 'keys? ' "${identity[@]}"
run_operator "$dir" keys rotate && check "keys rotate" 0
refused "no key to encrypt with" 'no encryption key' "${identity[@]}"
run_operator "$dir" keys init && check "keys init" 0
refused "no file of encryption keys" GATEHOUSE_IDENTITY_ENCRYPTION_KEYS_FILE "${identity[@]}" GATEHOUSE_IDENTITY_ENCRYPTION_KEYS_FILE=
refused "a database URL of an unknown kind" "$url" "${identity[@]}" "$url=mysql://user@host/name"
refused "no database URL" "$url" "${identity[@]}" "$url="
refused "a wrong password of the database" 'database.*password' "${identity[@]}" "$url=$(wrong_password "$database_url")"
refused "a database that is not there" 'database.*does not exist' "${identity[@]}" "$url=${database_url%/*}/nobody"
refused "migrate without a server" 'cannot reach the database' "${identity[@]}" "$url=$(at_closed_port "$database_url")" migrate
refused "a queue URL of an unknown kind" "$queue" "${identity[@]}" "$queue=http://127.0.0.1/"
refused "a mailer's queue URL of an unknown kind" "$mailer_queue" "${mailer[@]}" "$mailer_queue=http://127.0.0.1/"
refused "a sender URL of an unknown kind" GATEHOUSE_MAILER_SENDER_URL "${mailer[@]}" GATEHOUSE_MAILER_SENDER_URL=pop3://127.0.0.1
refused "an identity URL that is none" GATEHOUSE_GATEWAY_IDENTITY_URL "${gateway[@]}" GATEHOUSE_GATEWAY_IDENTITY_URL=127.0.0.1
refused "a misspelt setting" GATEHOUSE_IDENTITY_LISTN "${identity[@]}" GATEHOUSE_IDENTITY_LISTN=127.0.0.1:1
refused "an address that is taken" 'cannot listen on' "${identity[@]}" "GATEHOUSE_IDENTITY_LISTEN=127.0.0.1:$rabbitmq_port"
query "$database_url" "insert into __diesel_schema_migrations (version) values ('29991231000000')"
refused "migrate on a newer release's database" 'newer release' "${identity[@]}" migrate
refused "migrate --check on a newer release's database" 'newer release' "${identity[@]}" migrate --check
query "$database_url" "delete from __diesel_schema_migrations where version = '29991231000000'"

# --- what starts, says why it is not ready, and goes on when it is mended -----------------------------------------

# started NAME PROGRAM [NAME=VALUE]...: in the background, with other settings; its id is in $started_pid.
started() {
  local name=$1 program=$programs_dir/$2
  shift 2
  start_process "$dir/$name.log" "$dir/$name.env" "$@" "$program"
  eventually 20 ready_says "${admin_port[$name]}" '^[1-9]' || check "$name starts" 1 "$(tail -n 3 "$dir/$name.log")"
}

# ended NAME PID: stops it; its log told no password.
ended() {
  stop_process "$2" 40
  check "$1 stops" "$?" "it had to be killed"
  check "$1 stops with status 0" "$stopped_status" "it was $stopped_status"
  check "$1's log tells no password" "$(has_password "$(cat "$dir/$1.log")")"
}

# not_ready LABEL NAME PATTERN
not_ready() {
  local port=${admin_port[$2]}
  eventually 20 ready_says "$port" "^503 .*$3"
  check "$1: not ready, with the reason" $? "$(fetch "$port" /health/ready)"
  say "  $1: $(fetch "$port" /health/ready)"
  [[ $(fetch "$port" /health/live) == 200* ]]
  check "$1: alive" $? "$(fetch "$port" /health/live)"
}

say "== what starts and is not ready"
set +e # From here on checks are counted.
started "${identity[@]}" "$url=$(at_closed_port "$database_url")"
not_ready "a database that cannot be reached" identity-1 'database'
ended identity-1 "$started_pid"

started "${identity[@]}" "$queue=$(wrong_password "$amqp_url")"
# Not a reason to be unready: accounts do without mails for a while.
eventually 20 grep -q 'refuses user or password' "$dir/identity-1.log"
check "a wrong password of the broker is logged" $? "$(tail -n 3 "$dir/identity-1.log")"
ended identity-1 "$started_pid"

started "${mailer[@]}" "$mailer_queue=$(wrong_password "$amqp_url")"
not_ready "a mailer's wrong password of the broker" mailer-1 '(queue|broker|RabbitMQ)'
ended mailer-1 "$started_pid"

started "${mailer[@]}" "$mailer_queue=$(at_closed_port "$amqp_url")"
not_ready "a broker that cannot be reached" mailer-1 '(queue|broker|RabbitMQ)'
ended mailer-1 "$started_pid"

started "${gateway[@]}" "GATEHOUSE_GATEWAY_IDENTITY_URL=http://127.0.0.1:$closed_port"
not_ready "no identity-svc" gateway 'identity'
[[ $(register nobody) == 503 ]]
check "no identity-svc: a registration is answered 503" $?
ended gateway "$started_pid"

say "== a queue that was declared differently"
make_vhost differently
vhost=differently
"$servers_dir/rabbitmqctl" eval "{new, _} = rabbit_amqqueue:declare(rabbit_misc:r(<<\"$vhost\">>, queue, <<\"mail.jobs\">>),
  true, false, [], none, <<\"gatehouse\">>), ok." >"$scratch/eval.log" 2>&1
check "the queue is made" $? "$(tail -n 1 "$scratch/eval.log")"
started "${identity[@]}" "$queue=$amqp_url"
identity_pid=$started_pid
started "${gateway[@]}" "GATEHOUSE_GATEWAY_IDENTITY_URL=http://127.0.0.1:${of_port[identity-1]}"
gateway_pid=$started_pid
started "${mailer[@]}" "$mailer_queue=$amqp_url"
mailer_pid=$started_pid
not_ready "a queue declared differently" mailer-1 'mail.jobs'
eventually 20 test "$(register early)" == 201
check "a registration is answered as always" $?
"$servers_dir/rabbitmqctl" delete_queue -p "$vhost" mail.jobs >"$scratch/delete.log" 2>&1
check "the queue is deleted" $? "$(tail -n 1 "$scratch/delete.log")"
eventually 60 has_mail early
check "its mail comes when the queue is gone" $?

say "== a poison message"
query "$database_url" "insert into outbox (job_id, kind, recipient, payload, state, created_at_ms, due_at_ms, failed_attempts)
  values ('poison-1', 'verify_email', 'poison@example.org', '{\"no\": job', 'waiting', extract(epoch from now()) * 1000, 0, 0)"
[[ $(register late) == 201 ]]
check "a registration after it is answered" $?
eventually 30 has_mail late
check "a mail after it is delivered" $?
dead_letters() { "$dir/mailer-1.env" "$mailer_queue=$amqp_url" "$programs_dir/mailer-svc" dead list 2>&1 | tr -s ' '; }
# shellcheck disable=SC2317
dead_lists() { grep -q "$1" < <(dead_letters); }
eventually 30 dead_lists poison-1
check "the operator finds it among the dead letters" $? "$(dead_letters)"
say "  a poison message: $(dead_letters | grep poison-1)"
ended mailer-1 "$mailer_pid"
ended gateway "$gateway_pid"
ended identity-1 "$identity_pid"
finish "$passed" "$failed"
