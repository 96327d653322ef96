#!/usr/bin/env bash
# Measures how fast a backlog leaves: rows of the outbox by identity-svc's relay, beside bare lapin publishing with the
# same pipelining (512 in flight) on the same broker, in turn, in one run. PostgreSQL flushes to disk.
#
#   scripts/bench-relay.sh [ROWS] [ROUNDS]
#
# Default: 20,000 rows, 3 rounds. Starts PostgreSQL and RabbitMQ of its own; see servers.sh. Environment: GATEHOUSE_BIN
# names a built program with identity-svc beside it. Exit status: 1 when the relay is below half of bare lapin.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root/scripts/servers.sh"
source "$root/scripts/production.sh"

rows=${1:-20000} rounds=${2:-3}
[[ $rows =~ ^[0-9]+$ && $rounds =~ ^[0-9]+$ ]] || { sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0; }
make_scratch
need_programs
cargo build --quiet --locked --workspace --all-features --bench publish --profile "$cargo_profile" || die "the benchmark does not build"
start_postgres durable
start_rabbitmq
make_database bench_relay
make_vhost bench-relay
write_production "$scratch"
prepare_production "$scratch" || die "the database cannot be prepared"

# Rows as a registration writes them, with a payload of 500 bytes.
insert="insert into outbox (job_id, kind, recipient, payload, state, created_at_ms, due_at_ms, failed_attempts)
  select md5(random()::text || n), 'verify_email', 'user' || n || '@example.org', rpad('', 500, 'x'), 'waiting', now_ms, now_ms, 0
  from generate_series(1, $rows) n, (select (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms) t"
# The first batch is left out of the count: when it was claimed is not written down.
rate_of="with t as materialized (select min(published_at_ms) as first from outbox where published_at_ms is not null)
  select round((count(*) - count(*) filter (where published_at_ms = first)) * 1000.0 / (max(published_at_ms) - first))
  from outbox, t where published_at_ms is not null group by first"

relay_total=0 bare_total=0
for ((round = 1; round <= rounds; round++)); do
  query "$database_url" "truncate outbox"
  query "$database_url" "$insert"
  query "$database_url" "vacuum analyze outbox"
  query "$database_url" "checkpoint"
  start_process "$scratch/identity-1.log" "$scratch/identity-1.run"
  while [[ $(query "$database_url" "select count(*) from outbox where state = 'waiting'") != 0 ]]; do
    is_running "$started_pid" || die "identity-svc has ended: $(tail -n 3 "$scratch/identity-1.log")"
    sleep 2 # Each look costs the machine some of its time.
  done
  stop_process "$started_pid" || die "identity-svc does not stop"
  relay=$(query "$database_url" "$rate_of")
  "$servers_dir/rabbitmqctl" purge_queue -p bench-relay mail.jobs >/dev/null
  # The benchmark prints "round N: bare lapin X/s, ..." for three rounds of its own.
  bare=$(TEST_AMQP_URL=$amqp_url cargo bench --quiet --locked --workspace --all-features --bench publish 2>"$scratch/bench.log" \
    | sed -n 's/^round .*bare lapin \([0-9]*\).*/\1/p' | sort -n | sed -n 2p)
  [[ -n $bare ]] || die "bare lapin did not publish: $(tail -n 3 "$scratch/bench.log")"
  say "round $round: relay $relay rows/s, bare lapin $bare messages/s"
  relay_total=$((relay_total + relay)) bare_total=$((bare_total + bare))
done
ratio=$(awk -v relay=$relay_total -v bare=$bare_total 'BEGIN { printf "%.2f", relay / bare }')
say "relay / bare lapin: $ratio (at least 0.5)"
awk -v ratio="$ratio" 'BEGIN { exit !(ratio >= 0.5) }'
