#!/usr/bin/env bash
# Tries docker-compose.yml for real: builds the images, starts the stack on a free port, runs the contract's tests through
# the published port, breaks parts of it under load, takes it down and up, and restores it from a backup.
#
#   scripts/compose-test.sh [--prebuilt] [--no-build] [--profile NAME]... [SUITE_DIR]
#
# --prebuilt: images from the programs in target/release, which must have been built on Debian 12; without it they are
# compiled in the image, as an operator's are. --no-build: the images are there. --profile: of conformance.sh; default all
# four. SUITE_DIR: default ../shared/conformance; without it that part is left out, and said so.
# Needs Docker with Compose 2.24 or later, on this machine: mails of the contract's tests come in on the bridge's address.
# Images are taken as they are; POSTGRES_IMAGE and the other variables of docker-compose.yml name others.
# The last line is "N passed, N failed". Exit status: 1 when any failed, 2 when nothing could be run.
# shellcheck disable=SC2317 # Most functions are called by `check`.
images_named=$(compgen -e | grep -E '^(POSTGRES|RABBITMQ|MAILPIT|RUST|RUNTIME)_IMAGE$' || true)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

programs=built build=yes profiles=() suite=
while (($# > 0)); do
  case $1 in
    --prebuilt) programs=prebuilt; shift ;;
    --no-build) build=; shift ;;
    --profile) need_value "$@"; profiles+=("$2"); shift 2 ;;
    -h | --help) sed -n '2,/^images_named/{/^# shellcheck/d;/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) die "unknown option $1; see --help" ;;
    *) [[ -z $suite ]] || die "more than one suite given"; suite=$(absolute "$1"); shift ;;
  esac
done
((${#profiles[@]} > 0)) || profiles=(optional mandatory short-lived throttled)

docker info >/dev/null 2>&1 || die "there is no Docker daemon: start one, or let DOCKER_HOST name it"
docker compose version >/dev/null 2>&1 || die "docker has no compose: install the plugin, version 2.24 or later"
need_command python3 python3
make_scratch

port=$(free_ports 1)
base_url=http://127.0.0.1:$port
export COMPOSE_PROJECT_NAME=gatehouse-test-$$
export GATEHOUSE_PORT=$port GATEHOUSE_TAG=compose-test GATEHOUSE_PROGRAMS=$programs
files=(-f docker-compose.yml)
env_file=$scratch/env
: >"$env_file"
passed=0 failed=0

compose() { docker compose --env-file "$env_file" "${files[@]}" "$@"; }

# Called by lib.sh at the end, whatever happened.
stop_servers() {
  [[ -f $env_file ]] || return 0
  if ((failed > 0)); then compose logs --no-color >"$scratch/compose.log" 2>&1 || true; fi
  compose down -v --remove-orphans --timeout 10 >/dev/null 2>&1 || true
}

# check WHAT COMMAND...
check() {
  local what=$1
  shift
  if "$@" >"$scratch/check.out" 2>&1; then
    passed=$((passed + 1))
    say "ok   $what$([[ ! -s $scratch/check.out ]] || printf ': %s' "$(tail -n 1 "$scratch/check.out")")"
  else
    failed=$((failed + 1))
    say "FAIL $what"
    tail -n 15 "$scratch/check.out" | sed 's/^/     /'
  fi
}
not() { ! "$@"; }

load() { python3 scripts/compose_load.py "$@"; }
container() { compose ps -a -q "$1"; }
inspect() { docker inspect -f "$2" "$(container "$1")"; }
services=(database broker mail identity-1 identity-2 mailer-1 mailer-2 gateway)

all_healthy() {
  local name
  for name in "${services[@]}"; do [[ $(inspect "$name" '{{.State.Health.Status}}') == healthy ]] || { say "$name is not healthy"; return 1; }; done
}

# wait_healthy SECONDS
wait_healthy() {
  local end=$((SECONDS + $1))
  until all_healthy >/dev/null 2>&1; do
    if ((SECONDS > end)); then all_healthy; return 1; fi
    sleep 0.5
  done
}

# up: as an operator types it, but in the background, and until everything is healthy.
up() {
  local log=$scratch/up.log begin=${EPOCHREALTIME/./}
  compose up -d --no-build >"$log" 2>&1 || { tail -n 15 "$log"; return 1; }
  wait_healthy 180 || return 1
  up_ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
  say "healthy after $((up_ms / 1000)).$((up_ms % 1000 / 100)) s"
}

give_up() {
  say "FAIL $1"
  failed=$((failed + 1))
  finish "$passed" "$failed"
}

# --- images -------------------------------------------------------------------------------------------------------

[[ -z $images_named ]] || say "images named by: ${images_named//$'\n'/ }"
if [[ -n $build ]]; then
  begin=$SECONDS
  say "building the images ($programs)"
  for target in gateway identity-svc mailer-svc gatehouse; do
    docker build -q -f deploy/Dockerfile --target "$target" -t "gatehouse/$target:$GATEHOUSE_TAG" \
      --build-arg "PROGRAMS=$programs" ${RUST_IMAGE:+--build-arg "RUST_IMAGE=$RUST_IMAGE"} \
      ${RUNTIME_IMAGE:+--build-arg "RUNTIME_IMAGE=$RUNTIME_IMAGE"} . >"$scratch/build.log" 2>&1 \
      || { tail -n 20 "$scratch/build.log"; give_up "the image $target does not build"; }
  done
  say "built in $((SECONDS - begin)) s"
fi

base_size=$(docker image inspect -f '{{.Size}}' "${RUNTIME_IMAGE:-gcr.io/distroless/cc-debian12:nonroot}")
is_small() {
  local size
  size=$(($(docker image inspect -f '{{.Size}}' "gatehouse/$1:$GATEHOUSE_TAG") - base_size))
  say "$((size / 100000 / 10)).$((size / 100000 % 10)) MB"
  ((size < 40000000))
}
has_no_shell() {
  local shell
  for shell in sh bash dash busybox /bin/sh; do
    ! docker run --rm --network none --entrypoint "$shell" "gatehouse/$1:$GATEHOUSE_TAG" -c true >/dev/null 2>&1 || return 1
  done
}
user_of() { docker image inspect -f '{{.Config.User}}' "gatehouse/$1:$GATEHOUSE_TAG"; }
is_not_root() { [[ $(user_of "$1") == 65532:65532 ]]; }
for target in gateway identity-svc mailer-svc gatehouse; do
  check "image $target is below 40 MB without its base" is_small "$target"
  check "image $target has no shell" has_no_shell "$target"
  check "image $target is not root's" is_not_root "$target"
done

# The override for production: nothing of the trial is left, every secret is a file, TLS for mail is demanded.
production_override() {
  local text services
  text=$(GATEHOUSE_SECRETS_DIR=/etc/gatehouse GATEHOUSE_MAILER_SENDER_URL=smtp://a@smtp.example.org \
    docker compose -f docker-compose.yml -f deploy/compose/production.yml config) || return 1
  services=$(GATEHOUSE_SECRETS_DIR=/etc/gatehouse GATEHOUSE_MAILER_SENDER_URL=smtp://a@smtp.example.org \
    docker compose -f docker-compose.yml -f deploy/compose/production.yml config --services | sort | xargs)
  say "$services"
  [[ $services == "broker gateway identity-1 identity-2 keys mailer-1 mailer-2 migrate secrets" ]] || return 1
  text=${text%%$'\n'x-*} # Without the templates at its end.
  ! grep -qE 'mail:1025|compose/routes.toml|127\.0\.0\.1' <<<"$text" && grep -q 'GATEHOUSE_MAILER_SMTP_STARTTLS: required' <<<"$text"
}
check "the production override leaves out the trial's parts" production_override

# The program of all in one: an account, a mail as a file, and its own health command.
all_in_one() {
  local id port status=0
  port=$(free_ports 1)
  id=$(docker run -d --read-only --cap-drop ALL --security-opt no-new-privileges -p "127.0.0.1:$port:8000" \
    -v "$COMPOSE_PROJECT_NAME-all:/data" "gatehouse/gatehouse:$GATEHOUSE_TAG")
  local tries=60
  until [[ $(docker inspect -f '{{.State.Health.Status}}' "$id") == healthy ]] || ((tries-- <= 0)); do sleep 0.5; done
  ((tries > 0)) || { docker logs "$id"; status=1; }
  load session "http://127.0.0.1:$port" "$scratch/all" || status=1
  docker restart -t 20 "$id" >/dev/null
  sleep 1
  load check "http://127.0.0.1:$port" "$scratch/all" || status=1
  docker rm -f "$id" >/dev/null
  docker volume rm "$COMPOSE_PROJECT_NAME-all" >/dev/null
  return "$status"
}
check "image gatehouse: read-only, healthy, an account outlives a restart" all_in_one

# --- the contract through the published port ------------------------------------------------------------------------

suite=${suite:-$suites_dir/conformance}
# This machine, as containers see it.
bridge_address=$(docker run --rm --network bridge --add-host here:host-gateway --entrypoint cat "${POSTGRES_IMAGE:-postgres:17}" /etc/hosts | awk '$2 == "here" { print $1 }')
signing_key=$(random_secret)

# Mail comes to the tests' own SMTP server on the host, through a network that leads there.
write_sink_override() {
  local name
  {
    printf 'services:\n'
    for name in mailer-1 mailer-2; do
      printf '  %s:\n    environment: { GATEHOUSE_MAILER_SENDER_URL: "smtp://sink:%s" }\n' "$name" "$1"
      printf '    extra_hosts: ["sink:%s"]\n    networks: [inner, outer]\n' "$bridge_address"
    done
  } >"$scratch/sink.yml"
}

# junit_counts FILE: "passed failed"; what is skipped counts as failed.
junit_counts() {
  python3 - "$1" <<'PY'
import sys
import xml.etree.ElementTree as tree
bad = [bool({child.tag for child in case} & {"failure", "error", "skipped"}) for case in tree.parse(sys.argv[1]).iter("testcase")]
print(len(bad) - sum(bad), sum(bad))
PY
}

run_profile() {
  local p=0 f=1 status=0 smtp_port
  smtp_port=$(free_ports 1)
  say "== profile $1, through $base_url"
  conformance_settings "$1" >"$env_file"
  write_sink_override "$smtp_port"
  files=(-f docker-compose.yml -f "$scratch/sink.yml")
  up || { failed=$((failed + 1)); return; }
  # `users` is the operator's command, in the container.
  printf '#!/bin/sh\nexec docker exec -i %s /usr/local/bin/identity-svc users "$@"\n' "$(container identity-1)" >"$scratch/users"
  chmod 755 "$scratch/users"
  (
    export CONFORMANCE_BASE_URL=$base_url CONFORMANCE_PROFILE=$1 CONFORMANCE_SIGNING_KEY=$signing_key
    export CONFORMANCE_SMTP_HOST=$bridge_address CONFORMANCE_SMTP_PORT=$smtp_port
    export CONFORMANCE_ADMIN="'$scratch/users'" CONFORMANCE_IMPROVEMENTS=1 CONFORMANCE_EXTRAS=1
    export PYTHONPATH=$suites_dir/conformance${PYTHONPATH:+:$PYTHONPATH}
    exec "$python" -m pytest -p no:cacheprovider --rootdir "$suite" -c "$suites_dir/conformance/pytest.ini" \
      --junitxml="$scratch/junit.xml" -q -rs "$suite"
  ) >"$scratch/pytest-$1.log" 2>&1 || status=$?
  if [[ -f $scratch/junit.xml ]]; then read -r p f < <(junit_counts "$scratch/junit.xml"); rm "$scratch/junit.xml"; fi
  if ((status != 0 && status != 5 && f == 0)); then f=1; fi
  if ((f > 0)); then grep -E '^(FAILED|ERROR|SKIPPED)' "$scratch/pytest-$1.log" | head -n 20 || true; fi
  say "   $p passed, $f failed, in profile $1"
  passed=$((passed + p)) failed=$((failed + f))
}

if [[ -f $suites_dir/conformance/harness.py ]]; then
  need_python_venv
  for profile in "${profiles[@]}"; do run_profile "$profile"; done
  compose down -v --timeout 20 >"$scratch/down.log" 2>&1
else
  say "../shared/conformance is not there: the contract's tests are left out"
fi

# --- a first start: nothing set but what makes a test quick -----------------------------------------------------------

files=(-f docker-compose.yml)
printf '%s\n' GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_IDENTITY_LOGIN_FAILURES=0 GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0 \
  GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0 >"$env_file"
say "== a first start"
up || give_up "the stack does not start"
first_up=$up_ms
check "started from nothing: secrets, keys, tables, eight healthy services" all_healthy

only_the_gateway_is_published() {
  local published
  published=$(docker ps --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --format '{{.Names}}: {{.Ports}}' \
    | sed -n -E 's/^([^:]*): (.*, )?([^ ]*->[^ ]*).*/\1 \3/p')
  say "$published"
  [[ $published == "$COMPOSE_PROJECT_NAME-gateway-1 127.0.0.1:$port->8000/tcp" ]]
}
check "only the gateway is published, on 127.0.0.1" only_the_gateway_is_published
hardened() {
  local name wrong=0
  for name in "${services[@]}"; do
    [[ $(inspect "$name" '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}') == 'true [ALL] [no-new-privileges:true]' ]] \
      || { say "$name: $(inspect "$name" '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}')"; wrong=1; }
    [[ $(inspect "$name" '{{.HostConfig.Memory}}') -gt 0 && $(inspect "$name" '{{.HostConfig.PidsLimit}}') -gt 0 ]] || { say "$name: no limits"; wrong=1; }
    docker top "$(container "$name")" -eo pid,uid | awk 'NR > 1 { n++; if ($2 == 0) root++ } END { exit !n || root }' || { say "$name: runs as root"; wrong=1; }
  done
  return "$wrong"
}
check "every service: not root, read-only, no capability, no new privileges, limits" hardened

# secret_of VOLUME_PATH: read as its owner.
backup_file() { compose run --rm -T --no-deps -u "$1" --entrypoint cat secrets "/secrets/$2" 2>/dev/null; }
no_secret_is_told() {
  local text secret
  text=$(compose logs --no-color 2>&1; compose ps -a -q | xargs docker inspect)
  for secret in "$(backup_file 65532 identity/database-url | sed -E 's#.*:([0-9a-f]{64})@.*#\1#')" \
    "$(backup_file 65532 mailer/queue-url | sed -E 's#.*:([0-9a-f]{64})@.*#\1#')" "$(backup_file 999 database/postgres-password)"; do
    ((${#secret} == 64)) || { say "cannot read a secret to look for"; return 1; }
    ! grep -qF "$secret" <<<"$text" || { say "a secret stands in a log or in a container's description"; return 1; }
  done
}
check "no secret in logs, environments or commands" no_secret_is_told
# It reaches the gateway on the inner network, and not where the gateway is outside of it.
no_way_out() {
  local inner outer reach
  inner=$(inspect gateway "{{(index .NetworkSettings.Networks \"${COMPOSE_PROJECT_NAME}_inner\").IPAddress}}")
  outer=$(inspect gateway "{{(index .NetworkSettings.Networks \"${COMPOSE_PROJECT_NAME}_outer\").IPAddress}}")
  # shellcheck disable=SC2016 # For the shell in the container.
  reach='exec 3<>/dev/tcp/$0/8000'
  docker exec "$(container database)" timeout 3 bash -c "$reach" "$inner" || { say "it does not even reach $inner"; return 1; }
  ! docker exec "$(container database)" timeout 3 bash -c "$reach" "$outer" 2>/dev/null || { say "it reaches $outer"; return 1; }
  [[ $(docker network inspect -f '{{.Internal}}' "${COMPOSE_PROJECT_NAME}_inner") == true ]]
}
check "the database has no way out" no_way_out

mail_url=http://$(inspect mail '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'):8025
if curl -sf "$mail_url/mailbox/api/v1/messages" >/dev/null 2>&1; then
  mail_url=$base_url/mailbox
else
  say "the mail catcher knows no MP_WEBROOT, as the stand-in does not: its mails are read beside the gateway"
fi

# --- faults under load ------------------------------------------------------------------------------------------------

check "an account is registered" load session "$base_url" "$scratch/session"
say "== faults under load"
start_process "$scratch/load.log" python3 scripts/compose_load.py load "$base_url" "$scratch/answers" "$scratch/stop" 8
load_pid=$started_pid
sleep 3

# kill_service NAME: its process, as a crash would; the restart policy has to bring it back. A daemon on another machine
# has processes that cannot be reached, so there the container is killed and started.
kill_service() {
  local id before pid
  id=$(container "$1")
  before=$(docker inspect -f '{{.State.StartedAt}}' "$id")
  pid=$(docker inspect -f '{{.State.Pid}}' "$id")
  if grep -qs "$id" "/proc/$pid/cgroup" && kill -KILL "$pid" 2>/dev/null; then :; else docker kill "$id" && docker start "$id"; fi
  local tries=80
  until [[ $(docker inspect -f '{{.State.StartedAt}}' "$id") != "$before" ]] || ((tries-- <= 0)); do sleep 0.25; done
  ((tries > 0)) && wait_healthy 60
}
paused() { docker pause "$(container "$1")" && sleep "$2" && docker unpause "$(container "$1")" && wait_healthy 60; }
cut() {
  docker network disconnect "${COMPOSE_PROJECT_NAME}_inner" "$(container "$1")" && sleep "$2" \
    && docker network connect --alias "$1" "${COMPOSE_PROJECT_NAME}_inner" "$(container "$1")" && wait_healthy 60
}
check "broker paused for 8 s" paused broker 8
check "identity-1 killed, and back" kill_service identity-1
check "mailer-1 killed, and back" kill_service mailer-1
check "identity-2 cut from the network for 6 s" cut identity-2 6
check "broker cut from the network for 6 s" cut broker 6
check "gateway killed, and back" kill_service gateway
check "database killed, and back" kill_service database
check "broker killed, and back" kill_service broker
sleep 2
touch "$scratch/stop"
wait "$load_pid" || true
# The mail catcher keeps mails in memory and is not killed. Mails that met the broker's death wait for a retry queue: a minute.
check "nothing is lost" load mails "$mail_url" "$scratch/answers" 120
say "     $(tail -n 1 "$scratch/check.out")"
head -n 1 "$scratch/check.out" | sed 's/^/     /'

# --- down and up, and a backup ----------------------------------------------------------------------------------------

say "== down and up"
compose down --timeout 30 >"$scratch/down.log" 2>&1
up || give_up "the stack does not start again"
second_up=$up_ms
check "after down and up: the account, its session and the keys are there" load check "$base_url" "$scratch/session"

say "== restore drill"
dump() { compose exec -T database pg_dump -U postgres -Fc gatehouse >"$scratch/gatehouse.dump"; }
check "dump of the database" dump
keep_keys() {
  backup_file 65532 identity/keys.json >"$scratch/keys.json" && grep -q 'PRIVATE KEY' "$scratch/keys.json" \
    && backup_file 65532 identity/encryption-keys.json >"$scratch/encryption-keys.json" && grep -q '"key"' "$scratch/encryption-keys.json"
}
check "copy of the signing and encryption keys" keep_keys
compose down -v --timeout 30 >"$scratch/down.log" 2>&1
nothing_left() { [[ -z $(docker volume ls -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME") ]]; }
check "everything is destroyed" nothing_left
put_back() { compose run --rm -T --no-deps -u 65532 --entrypoint sh secrets -c "umask 077; cat > /secrets/identity/$1" <"$scratch/$1"; }
restore() {
  compose up -d --wait database \
    && compose exec -T database pg_restore -U postgres -d gatehouse --role=gatehouse --no-owner --exit-on-error <"$scratch/gatehouse.dump" \
    && put_back keys.json && put_back encryption-keys.json
}
begin=$SECONDS
check "restore into a fresh installation" restore
up || give_up "the restored stack does not start"
check "the account logs in, and a token from before is good" load check "$base_url" "$scratch/session"
say "restored in $((SECONDS - begin)) s"
rm -f "$scratch/gatehouse.dump" "$scratch/keys.json" "$scratch/encryption-keys.json"

say "up to healthy: first start $((first_up / 100))00 ms, second $((second_up / 100))00 ms"
finish "$passed" "$failed"
