#!/usr/bin/env bash
# Measures what docs/SCALING.md calculates with: processor time of each part for each kind of request, and what an account, a
# session and a mail take in the database. Processor time hardly depends on what else the machine does.
#
#   scripts/sizing.sh [--bin PROGRAM] [--accounts N]
#
# PROGRAM as of conformance.sh. The separate programs, PostgreSQL with its durable settings, RabbitMQ, all on this machine.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root/scripts/servers.sh"
source "$root/scripts/production.sh"

accounts=2000
while (($# > 0)); do
  case $1 in
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    --accounts) need_value "$@"; accounts=$2; shift 2 ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown option $1; see --help" ;;
  esac
done
[[ $accounts =~ ^[0-9]+$ ]] || die "--accounts is \"$accounts\", not a number"

make_scratch
need_programs
start_postgres durable
start_rabbitmq
start_smtp_sink "$scratch/mails"
unlimited=(GATEHOUSE_IDENTITY_LOGIN_FAILURES=0 GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0 GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0
  "GATEHOUSE_MAILER_SENDER_URL=$TEST_SMTP_URL")

# measure KIND COUNT...: PIDs of the stack that runs now.
measure() {
  python3 scripts/sizing.py "$base_url" "$scratch/accounts" \
    "gateway=${production_pids[4]}" "identity=${production_pids[0]},${production_pids[1]}" \
    "mailer=${production_pids[2]},${production_pids[3]}" "database=$postgres_pid" "broker=$rabbitmq_pid" -- "$@"
}

say "processor time for one request, in microseconds"
start_production "$scratch/cheap" GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_IDENTITY_ROTATE_REFRESH_TOKENS=on "${unlimited[@]}" || exit 1
measure "registration=$accounts" login=2000 verify=20000 user=4000 refresh=2000
query "$database_url" 'vacuum analyze' || true
say "bytes in the database, with indexes"
query "$database_url" "select format('%s: %s rows, %s bytes a row', name, rows, bytes / greatest(rows, 1)) from (
  values ('users', (select count(*) from users), pg_total_relation_size('users')),
    ('sessions', (select count(*) from sessions), pg_total_relation_size('sessions')),
    ('one_time_secrets', (select count(*) from one_time_secrets), pg_total_relation_size('one_time_secrets')),
    ('outbox', (select count(*) from outbox), pg_total_relation_size('outbox'))) as t(name, rows, bytes)"
stop_production || exit 1

say "a login with the default cost of its hash (bcrypt 12)"
start_production "$scratch/dear" GATEHOUSE_IDENTITY_HASH_QUEUE_SECONDS=60 "${unlimited[@]}" || exit 1
rm -f "$scratch/accounts"
measure registration=10 login=60
stop_production || exit 1
