#!/usr/bin/env bash
# Breaks every part of the production stack under a load of registrations, and counts what was lost: see faults.py.
#
#   scripts/faults.sh [--long] [--seed N] [--rate N] [--bin PROGRAM]
#
# --long: every kind of fault on every part, about 15 minutes, at least 2,000 answered registrations. Without it some of
# each kind, about 2 minutes. --seed: which faults, in which order, how long; the default is the clock's, and is printed.
# --rate: registrations a second. The servers are private ones, with their durable settings; two identity-svc, two
# mailer-svc and one gateway reach them and each other through links that are cut.
# Environment: as of conformance.sh. The last line has the figures:
# "answered 2143, delivered 2143, doubled 9, lost 0, hung 0, faults 44". Exit status: 1 when anything was wrong.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root/scripts/servers.sh"
source "$root/scripts/production.sh"

seed=$(($(date +%s) % 1000000))
options=()
while (($# > 0)); do
  case $1 in
    --long) options+=(--long); shift ;;
    --seed) need_value "$@"; seed=$2; shift 2 ;;
    --rate) need_value "$@"; options+=(--rate "$2"); shift 2 ;;
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown option $1; see --help" ;;
  esac
done
[[ $seed =~ ^[0-9]+$ ]] || die "the seed is \"$seed\", not a number"

# Only servers that may be killed.
unset TEST_DATABASE_URL TEST_AMQP_URL TEST_SMTP_URL
make_scratch
need_programs
need_command python3 python3

say "seed $seed: scripts/faults.sh --seed $seed repeats the plan"
dir=$scratch/stack
mkdir -p "$dir/mails"
prepare_rabbitmq
start_postgres durable
make_database faults
amqp_url=$TEST_AMQP_URL
settings=(GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_IDENTITY_LOGIN_FAILURES=0 GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0
  GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0)
write_production "$dir" "${settings[@]}"
prepare_production "$dir" || exit 1
database_port=${TEST_DATABASE_URL##*:}
database_port=${database_port%/*}
stop_servers

# at_port URL PORT: the same server by another port.
at_port() { sed -E "s#(@|//)127\.0\.0\.1:[0-9]+#\1127.0.0.1:$2#" <<<"$1"; }

read -r smtp_port to_database to_broker to_smtp to_identity_1 to_identity_2 < <(free_ports 6)
write_production "$dir" "${settings[@]}" \
  "GATEHOUSE_IDENTITY_DATABASE_URL=$(at_port "$database_url" "$to_database")" \
  "GATEHOUSE_IDENTITY_QUEUE_URL=$(at_port "$amqp_url" "$to_broker")" \
  "GATEHOUSE_MAILER_QUEUE_URL=$(at_port "$amqp_url" "$to_broker")" \
  "GATEHOUSE_MAILER_SENDER_URL=smtp://127.0.0.1:$to_smtp" \
  "GATEHOUSE_GATEWAY_IDENTITY_URL=http://127.0.0.1:$to_identity_1,http://127.0.0.1:$to_identity_2"
write_run "$dir/smtp.run" python3 "$root/scripts/smtp_sink.py" "$smtp_port" "$dir/mails"

# part NAME PORT ADMIN_PORT COMMAND: a line of the list that faults_stack.py reads.
part() { printf '%s\t%s\t%s\t%s\n' "$@"; }
{
  part database "$database_port" '' "$servers_dir/postgres.run"
  part port-mapper "$epmd_port_used" '' "$servers_dir/epmd.run"
  part broker "$rabbitmq_port" '' "$servers_dir/rabbitmq.run"
  part smtp "$smtp_port" '' "$dir/smtp.run"
  part links 0 '' "to-database:$to_database:$database_port to-broker:$to_broker:$rabbitmq_port to-smtp:$to_smtp:$smtp_port \
to-identity-1:$to_identity_1:${of_port[identity-1]} to-identity-2:$to_identity_2:${of_port[identity-2]}"
  for name in "${production_names[@]}"; do part "$name" "${of_port[$name]}" "${admin_port[$name]}" "$dir/$name.run"; done
} >"$dir/parts"

ulimit -n "$(ulimit -Hn)" # Requests pile up while a part is frozen.
status=0
# In the background, so that a signal to this script ends it, and it its parts.
python3 "$root/scripts/faults.py" "$dir" --seed "$seed" "${options[@]}" &
process_ids+=("$!")
wait "$!" || status=$?
if ((status != 0)); then
  keep_scratch=yes
  # The figures stay the last line.
  say "logs and mails are kept in $dir" >&2
fi
exit "$status"
