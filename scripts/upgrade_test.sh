#!/usr/bin/env bash
# Upgrades a running stack of the separate programs from the release before to this one, under load, and counts the requests
# that failed: none may. Old and new programs work together on one database, with migrations between them.
#
#   scripts/upgrade_test.sh [--old DIR | --old-revision REVISION] [--bin PROGRAM]
#
# --old: a folder with gateway, identity-svc and mailer-svc of the release before. --old-revision: it is built from that commit
# (default: the last tag, or the commit before this one), in target/upgrade. PROGRAM as of conformance.sh: beside it stand the
# new ones. The order is that of docs/DEPLOY.md: tables, mailer-svc, identity-svc one by one, gateway; at the end one
# identity-svc goes back. The last line is "N requests, N failed, N mails, N lost". Exit status: 1 when any failed.
# shellcheck disable=SC2154 # Variables of production.sh.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root/scripts/servers.sh"
source "$root/scripts/production.sh"

old_dir='' revision=''
while (($# > 0)); do
  case $1 in
    --old) need_value "$@"; old_dir=$(absolute "$2"); shift 2 ;;
    --old-revision) need_value "$@"; revision=$2; shift 2 ;;
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    -h | --help) sed -n '2,/^source/{/^# shellcheck/d;/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown option $1; see --help" ;;
  esac
done

make_scratch
need_programs
new_dir=$programs_dir
if [[ -z $old_dir ]]; then
  [[ -n $revision ]] || revision=$(git describe --tags --abbrev=0 2>/dev/null || echo HEAD~1)
  say "building the release before: $(git log -1 --format='%h %s' "$revision")"
  git worktree add --quiet --detach "$scratch/old" "$revision" || die "cannot check out $revision"
  (cd "$scratch/old" && cargo build --quiet --locked --release --workspace --all-features --bins --target-dir "$target_dir/upgrade") || die "$revision does not build"
  git worktree remove --force "$scratch/old"
  old_dir=$target_dir/upgrade/release
fi
for name in gateway identity-svc mailer-svc; do
  [[ -x $old_dir/$name ]] || die "$old_dir has no $name"
  if cmp -s "$old_dir/$name" "$new_dir/$name"; then say "note: $name is the same in both releases"; fi
done

start_postgres durable
start_rabbitmq
start_smtp_sink "$scratch/mails"
dir=$scratch/stack
programs_dir=$old_dir
# Settings of this release that the one before would refuse.
old_prefix=() no_secret=
if ! "$old_dir/identity-svc" encryption-keys --help >/dev/null 2>&1; then
  old_prefix=(env -u GATEHOUSE_IDENTITY_ENCRYPTION_KEYS_FILE -u GATEHOUSE_IDENTITY_ENCRYPT_ROWS)
  # Its gateway shows no secret, so identity-svc must not ask for one yet.
  no_secret=GATEHOUSE_INTERNAL_SECRET=
fi
production_prefix=("${old_prefix[@]}")
start_production "$dir" GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_IDENTITY_LOGIN_FAILURES=0 GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0 \
  GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0 "GATEHOUSE_MAILER_SENDER_URL=$TEST_SMTP_URL" GATEHOUSE_IDENTITY_ENCRYPT_ROWS=off \
  ${no_secret:+"$no_secret"} || exit 1

declare -A pid_of
for i in "${!production_names[@]}"; do pid_of[${production_names[i]}]=${production_pids[i]}; done

# Which gateway clients are sent to: what a load balancer or a Service decides.
send_to() { printf '%s\n' "$1" >"$scratch/target.new" && mv "$scratch/target.new" "$scratch/target"; }
send_to "$base_url"
trouble=0
broken() { say "FAIL $1"; trouble=$((trouble + 1)); }

# start_of NAME DIR: from that release's folder, with the stack's settings and those given; waits until it is ready.
start_of() {
  local name=$1 release=$2 program=${1%-*} prefix=()
  if [[ $release == "$old_dir" ]]; then prefix=("${old_prefix[@]}"); fi
  case $program in identity) program=identity-svc ;; mailer) program=mailer-svc ;; esac
  start_process "$dir/$name.$(basename "$release").log" "$dir/$name.env" "${@:3}" "${prefix[@]}" "$release/$program"
  pid_of[$name]=$started_pid
  wait_for_http "http://127.0.0.1:${admin_port[$name]}/health/ready" "$started_pid" 30 || { tail -n 5 "$dir/$name.$(basename "$release").log"; broken "$name did not become ready"; }
}
# stop_of NAME: as an orchestrator does.
stop_of() {
  stop_process "${pid_of[$1]}" 40 || broken "$1 did not stop in time"
  ((stopped_status == 0)) || broken "$1 stopped with status $stopped_status"
}
replace() {
  say "$1 -> $(basename "$2")"
  stop_of "$1"
  start_of "$1" "$2"
  sleep 2
}
url_of() { printf 'http://127.0.0.1:%s' "${of_port[$1]}"; }

# move_to RELEASE IDENTITY...: a gateway of that release, in front of these, beside the present one; clients are sent to it, and
# then the present one stops. A Service or a load balancer does the same.
move_to() {
  local release=$1 urls='' before=${pid_of[gateway]} old_url port admin
  shift
  for name in "$@"; do urls+=${urls:+,}$(url_of "$name"); done
  say "gateway -> $(basename "$release"), in front of $*"
  old_url=$(<"$scratch/target")
  read -r port admin < <(free_ports 2)
  admin_port[gateway]=$admin
  start_of gateway "$release" "GATEHOUSE_GATEWAY_LISTEN=127.0.0.1:$port" "GATEHOUSE_GATEWAY_ADMIN_LISTEN=127.0.0.1:$admin" \
    "GATEHOUSE_GATEWAY_IDENTITY_URL=$urls"
  send_to "http://127.0.0.1:$port"
  sleep 0.5 # For clients that had read the old address.
  pid_of[gateway-before]=$before
  stop_of gateway-before
  if curl -s -o /dev/null "$old_url/"; then broken "the gateway before still answers"; fi
  sleep 2
}

# What a later release's migrate would do, with its note: both releases then see newer tables than their own.
expand_tables() {
  say "an expanding migration while old and new run"
  query "$database_url" "begin; set local lock_timeout = '2s';
    alter table users add column upgrade_test_note text;
    alter table sessions add column upgrade_test_number bigint not null default 0;
    create table upgrade_test (id bigint primary key);
    insert into __diesel_schema_migrations (version) values ('20991231000001'); commit" || broken "the migration failed"
  query "$database_url" "create index concurrently upgrade_test_index on sessions (created_at_ms)" || broken "the index failed"
  sleep 2
}

python3 scripts/upgrade_test.py "$scratch/target" "$scratch/stop" "$scratch/result" >"$scratch/load.log" 2>&1 &
load_pid=$!
process_ids+=("$load_pid")
sleep 3

say "tables: identity-svc migrate of the new release"
"$dir/identity-1.env" "$new_dir/identity-svc" migrate || broken "migrate failed"
"$dir/identity-1.env" "$new_dir/identity-svc" keys init || broken "keys init failed"
sleep 1

# Whether the release before says that it is about to stop, so that a gateway sends it nothing more.
ready_status=$(curl -s -o /dev/null -w '%{http_code}' "$(url_of identity-1)/internal/ready")
if [[ $ready_status == 204 || $ready_status == 403 ]]; then
  say "the release before announces its stop: in place, one after the other"
  replace mailer-1 "$new_dir"
  replace mailer-2 "$new_dir"
  replace identity-1 "$new_dir"
  expand_tables
  replace identity-2 "$new_dir"
  move_to "$new_dir" identity-1 identity-2
  say "and back: one identity-svc of the release before, on the newer tables"
  replace identity-2 "$old_dir"
else
  say "the release before does not announce its stop: an identity-svc is stopped when no gateway sends to it"
  # In front of one that is the old release's and one that is the new one's, through gateways of both.
  read -r port admin < <(free_ports 2)
  of_port[identity-3]=$port admin_port[identity-3]=$admin
  write_env "$dir/identity-3.env" "$dir/identity-1.env" "GATEHOUSE_IDENTITY_LISTEN=127.0.0.1:$port" "GATEHOUSE_IDENTITY_ADMIN_LISTEN=127.0.0.1:$admin"
  replace mailer-1 "$new_dir"
  replace mailer-2 "$new_dir"
  start_of identity-3 "$new_dir"
  move_to "$old_dir" identity-1 identity-3
  replace identity-2 "$new_dir"
  expand_tables
  move_to "$new_dir" identity-1 identity-3
  move_to "$new_dir" identity-2 identity-3
  stop_of identity-1
  say "and back: one identity-svc of the release before, on the newer tables"
  start_of identity-1 "$old_dir"
  move_to "$new_dir" identity-1 identity-2
  stop_of identity-3
fi

sleep 1
touch "$scratch/stop"
wait "$load_pid" || trouble=$((trouble + 1))
[[ -f $scratch/result ]] || { cat "$scratch/load.log"; die "the load ended without a result"; }
# What is left in the queue goes out now.
tries=60
while read -r lost < <(python3 scripts/upgrade_test.py mails "$scratch/result" "$scratch/mails") && ((lost > 0 && tries-- > 0)); do sleep 1; done
for name in gateway identity-1 identity-2 mailer-1 mailer-2; do stop_of "$name"; done
if grep -l 'panicked at' "$dir"/*.log; then broken "a program panicked"; fi
cat "$scratch/load.log"
requests=$(sed -n 's/^requests //p' "$scratch/result") failures=$(sed -n 's/^failed //p' "$scratch/result") mails=$(grep -c '^mail ' "$scratch/result")
if ((failures > 0 || lost > 0 || mails == 0)); then trouble=$((trouble + 1)); fi
((trouble == 0)) || keep_scratch=yes
say "$requests requests, $failures failed, $mails mails, $lost lost"
((trouble == 0))
