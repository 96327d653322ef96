#!/usr/bin/env bash
# Measures the gateway with wrk in one run: a user's own service with and without a required token (a thousand different
# ones, EdDSA), the CPU of a hop beside nginx's proxy_pass, and a good token/verify/ beside a bare actix-web answer.
#
#   scripts/bench-gateway.sh [SECONDS]
#
# SECONDS: how long each of the measurements lasts; default 8. CPU is user and system time of the server's processes
# for each request, so other work on the machine disturbs it little. Environment: GATEHOUSE_BIN and BARE_BIN name built
# programs; otherwise they are built for release. Exit status: 1 when a target is missed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=${1:-8}
[[ $seconds =~ ^[0-9]+$ ]] || { sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0; }
need_command wrk wrk
need_command nginx nginx-light
bare_bin=${BARE_BIN:-}
if [[ -z $gatehouse_bin || -z $bare_bin ]]; then
  cargo build --release -q -p gatehouse && cargo build --release -q -p gateway --example bare_answer
  gatehouse_bin=${gatehouse_bin:-$target_dir/release/gatehouse}
  bare_bin=${bare_bin:-$target_dir/release/examples/bare_answer}
fi

folder=$(mktemp -d)
pids=()
# shellcheck disable=SC2317 # Called by the trap.
stop_all() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$folder"
}
trap stop_all EXIT

gateway=127.0.0.1:18080 service=127.0.0.1:18081 nginx_hop=127.0.0.1:18082 bare=127.0.0.1:18083

# The user's own service, and nginx as a hop to it, each with its own processes.
nginx_config() { # NAME, SERVER BLOCK
  printf 'pid %s/%s.pid; error_log %s/%s.log; daemon off; worker_processes 2; events { worker_connections 1024; }\n' \
    "$folder" "$1" "$folder" "$1"
  printf 'http { access_log off; keepalive_requests 1000000000; %s }\n' "$2"
}
nginx_config service "server { listen $service; location / { default_type application/json; return 200 '{\"ok\": true}'; } }" \
  >"$folder/service.conf"
nginx_config hop "upstream service { server $service; keepalive 64; keepalive_requests 1000000000; }
  server { listen $nginx_hop; location / { proxy_pass http://service; proxy_http_version 1.1;
  proxy_set_header Connection ''; proxy_set_header X-Forwarded-For \$remote_addr; proxy_set_header X-Request-ID \$request_id; } }" \
  >"$folder/hop.conf"
for name in service hop; do
  nginx -c "$folder/$name.conf" 2>/dev/null &
  pids+=($!)
done
hop_pid=${pids[1]}

"$bare_bin" "$bare" &
bare_pid=$!
pids+=("$bare_pid")

for route in none required; do
  printf '[[route]]\nprefix = "/%s/"\nupstreams = ["http://%s"]\nauth = "%s"\n' "$route" "$service" "$route"
done >"$folder/routes.toml"
env GATEHOUSE_DATA_DIR="$folder/data" GATEHOUSE_GATEWAY_LISTEN=$gateway GATEHOUSE_LOG=warn \
  GATEHOUSE_GATEWAY_ROUTES_FILE="$folder/routes.toml" GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0 \
  GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_IDENTITY_ACCESS_TOKEN_SECONDS=3600 "$gatehouse_bin" >"$folder/gatehouse.log" &
gateway_pid=$!
pids+=("$gateway_pid")

python3 - "$gateway" "$folder" <<'PY' || die "the gateway gives no tokens"
import http.client, json, sys, time
address, folder = sys.argv[1:]
for attempt in range(100):
    try:
        connection = http.client.HTTPConnection(address); connection.connect(); break
    except OSError:
        time.sleep(0.1)
def call(path, body):
    connection.request("POST", "/api/auth/" + path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status in (200, 201), (answer.status, text)
    return json.loads(text)
new = {"username": "bench", "email": "bench@example.org", "password1": "Quartz-Lamp-9", "password2": "Quartz-Lamp-9"}
refresh = call("registration/", new)["refresh"]
tokens = [call("token/refresh/", {"refresh": refresh})["access"] for _ in range(1000)]
with open(folder + "/required.lua", "w") as lua:
    lua.write("local tokens = {" + ",".join(json.dumps(token) for token in tokens) + "}\nlocal next = 0\n"
              "request = function()\n  next = next % #tokens + 1\n"
              "  return wrk.format('GET', '/required/x', {['Authorization'] = 'Bearer ' .. tokens[next]})\nend\n")
with open(folder + "/none.lua", "w") as lua:
    lua.write(open(folder + "/required.lua").read().replace("/required/x", "/none/x"))
with open(folder + "/verify.lua", "w") as lua:
    lua.write(open(folder + "/required.lua").read().split("request =")[0] +
              "request = function()\n  next = next % #tokens + 1\n  return wrk.format('POST', '/api/auth/token/verify/',"
              " {['Content-Type'] = 'application/json'}, '{\"token\": \"' .. tokens[next] .. '\"}')\nend\n")
PY

# cpu PID: microseconds of the process and its children that it has now.
cpu() {
  local ticks=0 pid fields
  for pid in "$1" $(pgrep -P "$1" || true); do
    read -r -a fields <<<"$(sed 's/.*) //' "/proc/$pid/stat")"
    ticks=$((ticks + fields[11] + fields[12]))
  done
  echo $((ticks * 1000000 / $(getconf CLK_TCK)))
}

# measure NAME PID ADDRESS SCRIPT: sets rate[NAME] (requests a second) and micros[NAME] (CPU for each).
declare -A rate micros
measure() {
  local before after output requests
  wrk -t1 -c32 -d2s -s "$folder/$4.lua" "http://$3" >/dev/null
  before=$(cpu "$2")
  output=$(wrk -t1 -c32 -d"${seconds}s" -s "$folder/$4.lua" "http://$3")
  after=$(cpu "$2")
  ! grep -q 'Non-2xx\|Socket errors' <<<"$output" || die "$1: requests failed: $output"
  requests=$(awk '/requests in/ { print $1 }' <<<"$output")
  rate[$1]=$(awk '/Requests\/sec/ { printf "%d", $2 }' <<<"$output")
  micros[$1]=$(awk -v cpu=$((after - before)) -v count="$requests" 'BEGIN { printf "%.1f", cpu / count }')
  printf '%-28s %8s requests/s  %7s us CPU a request\n' "$1" "${rate[$1]}" "${micros[$1]}"
}
measure "gateway, auth none" "$gateway_pid" $gateway none
measure "gateway, auth required" "$gateway_pid" $gateway required
measure "nginx proxy_pass" "$hop_pid" $nginx_hop none
measure "gateway, token/verify" "$gateway_pid" $gateway verify
measure "bare actix-web answer" "$bare_pid" $bare verify

missed=0
# check NAME A B RELATION LIMIT: compares A / B.
check() {
  local value verdict
  value=$(awk -v a="$2" -v b="$3" 'BEGIN { printf "%.2f", a / b }')
  verdict=$(awk -v v="$value" -v limit="$5" -v relation="$4" \
    'BEGIN { print ((relation == ">=" ? v >= limit : v <= limit) ? "ok" : "MISSED") }')
  printf '%-44s %5s (%s %s) %s\n' "$1" "$value" "$4" "$5" "$verdict"
  [[ $verdict == ok ]] || missed=1
}
check "throughput, auth required / none" "${rate[gateway, auth required]}" "${rate[gateway, auth none]}" ">=" 0.8
check "CPU of a hop, gateway / nginx" "${micros[gateway, auth none]}" "${micros[nginx proxy_pass]}" "<=" 1.5
check "CPU, token/verify / bare answer" "${micros[gateway, token/verify]}" "${micros[bare actix-web answer]}" "<=" 2.5
exit $missed
