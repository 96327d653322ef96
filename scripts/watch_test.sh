#!/usr/bin/env bash
# Checks what watches the programs: the Prometheus rules and their own tests with promtool, that the Kubernetes component has the
# same rules, and that every metric and label which rules and dashboard ask for is one that running programs export.
#
#   scripts/watch_test.sh [--bin PROGRAM] [--write]
#
# --write: writes the component's rules from deploy/prometheus/gatehouse.rules.yml. PROGRAM as of conformance.sh; gateway,
# identity-svc and mailer-svc stand beside it. The last line is "N passed, N failed".
# shellcheck disable=SC2317 # Most functions are called by `expect`.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root/scripts/servers.sh"
source "$root/scripts/production.sh"

write=
while (($# > 0)); do
  case $1 in
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    --write) write=yes; shift ;;
    -h | --help) sed -n '2,/^source/{/^# shellcheck/d;/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown option $1; see --help" ;;
  esac
done
rules=deploy/prometheus/gatehouse.rules.yml
component=deploy/kubernetes/components/monitoring/prometheus-rule.yaml

# The rules as the Prometheus Operator wants them.
component_text() {
  printf '# Written by scripts/watch_test.sh --write from %s.\n' "$rules"
  printf 'apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: gatehouse\n  labels: { app.kubernetes.io/part-of: gatehouse }\nspec:\n'
  grep -v '^#' "$rules" | sed -E 's/^(.+)$/  \1/'
}
if [[ -n $write ]]; then
  component_text >"$component"
  say "wrote $component"
  exit 0
fi

make_scratch
need_command promtool prometheus
need_command python3 python3
passed=0 failed=0
expect() {
  if "${@:2}" >"$scratch/out" 2>&1; then
    passed=$((passed + 1))
    say "ok   $1"
  else
    failed=$((failed + 1))
    say "FAIL $1"
    tail -n 30 "$scratch/out" | sed 's/^/     /'
  fi
}

same_rules() { diff <(component_text) "$component"; }
# promtool looks for the files of rules beside the configuration, as Prometheus does.
expect "promtool: the rules" promtool check rules "$rules"
expect "promtool: the example configuration" promtool check config deploy/prometheus/prometheus.yml
expect "promtool: each alert rings when it should, and is silent when it should be" promtool test rules deploy/prometheus/gatehouse.rules.test.yml
expect "the Kubernetes component has the same rules" same_rules

# --- against running programs -------------------------------------------------------------------------------------------

need_production
start_smtp_sink "$scratch/mails"
# A route, so that there is an upstream of one's own; hashes are cheap.
start_production "$scratch/stack" GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_MAILER_SENDER_URL="$TEST_SMTP_URL" || exit 1
session=$scratch/session
python3 scripts/compose_load.py session "$base_url" "$session" && python3 scripts/compose_load.py check "$base_url" "$session" >/dev/null
sleep 3 # A mail goes out, and a list of ended sessions is read.
for name in "${production_names[@]}"; do curl -sf "http://127.0.0.1:${admin_port[$name]}/metrics" >"$scratch/$name.metrics"; done
metrics_are_valid() { local file; for file in "$scratch"/*.metrics; do promtool check metrics <"$file" 2>&1 | grep -i 'error' && return 1; done; return 0; }
expect "promtool can read what the programs export" metrics_are_valid
expect "every metric of rules and dashboard is exported, with its labels" python3 scripts/watch_test.py names "$scratch" "$rules" deploy/grafana/gatehouse.json
sed 's/^/     /' "$scratch/out" | tail -n 1
misspelt() {
  sed 's/gatehouse_outbox_oldest_seconds/gatehouse_outbox_oldest_second/' "$rules" >"$scratch/misspelt.yml"
  ! python3 scripts/watch_test.py names "$scratch" "$scratch/misspelt.yml" deploy/grafana/gatehouse.json
}
expect "a misspelt metric would be found" misspelt
expect "the dashboard is well formed, and promtool parses each query" python3 scripts/watch_test.py dashboard "$scratch" deploy/grafana/gatehouse.json
stop_production || failed=$((failed + 1))
finish "$passed" "$failed"
