#!/usr/bin/env bash
# Checks deploy/kubernetes without a cluster: every overlay, every component on top of the production overlay, that settings are
# ones the programs know, and that the check finds two mistakes made on purpose (deploy/kubernetes/tests).
#
#   scripts/kubernetes_test.sh
#
# The check is ../shared/deploytools/k8s/check.sh, which stands beside the project and is not part of it; without it nothing is
# checked, which is said, and the exit status is 0. Custom resources of operators have no schema there: they are parsed, and
# what they refer to is looked up. The last line is "N passed, N failed".
# shellcheck disable=SC2317 # Most functions are called by `expect`.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -x $suites_dir/deploytools/k8s/check.sh ]] || { say "../shared/deploytools is not there: left out"; exit 0; }
tools=$(cd "$suites_dir/deploytools" && pwd)
make_scratch
passed=0 failed=0
kubernetes=deploy/kubernetes

# The Secrets, which are not in the repository.
given=()
for name in gatehouse-identity gatehouse-keys gatehouse-encryption-keys gatehouse-internal gatehouse-mailer gateway-tls gatehouse-database gatehouse-broker; do given+=(--given "Secret/$name"); done

passes() { "$tools/k8s/check.sh" "${given[@]}" "$@" >"$scratch/out" 2>&1; }

# expect WHAT COMMAND...
expect() {
  if "${@:2}"; then
    passed=$((passed + 1))
    say "ok   $1"
  else
    failed=$((failed + 1))
    say "FAIL $1"
    sed 's/^/     /' "$scratch/out"
  fi
}

# refused FOLDER TEXT: the check fails, and says so.
refused() {
  if passes "$1"; then say "the check found nothing" >"$scratch/out"; return 1; fi
  grep -qF "$2" "$scratch/out"
}

# The components of operators, on the production overlay: what is Kubernetes' own is checked as the overlays are.
with_component() {
  local name=$1 dir=$scratch/component-$1
  mkdir -p "$dir"
  # Kustomize wants relative paths.
  printf 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: gatehouse\nresources: [%s]\ncomponents: [%s]\n' \
    "$(realpath --relative-to "$dir" "$kubernetes/overlays/production")" \
    "$(realpath --relative-to "$dir" "$kubernetes/components/$name")" >"$dir/kustomization.yaml"
  PATH=$PATH:$(find "${DEPLOYTOOLS_STATE:-/var/tmp/deploytools}" -path '*/kubectl/usr/bin' 2>/dev/null | head -n 1) \
    kubectl kustomize "$dir" >"$dir/all.yaml" 2>"$scratch/out" || return 1
  "$python" - "$dir/all.yaml" "$dir/own.yaml" >"$scratch/out" <<'PY' || return 1
import sys
import yaml

CUSTOM = ("monitoring.coreos.com/", "keda.sh/", "postgresql.cnpg.io/", "rabbitmq.com/")
documents = [d for d in yaml.safe_load_all(open(sys.argv[1])) if d]
custom = [d for d in documents if d["apiVersion"].startswith(CUSTOM)]
own = [d for d in documents if d not in custom]
yaml.safe_dump_all(own, open(sys.argv[2], "w"))
names = {(d["kind"], d["metadata"]["name"]) for d in documents} | {("Secret", name) for name in ("gatehouse-mailer", "gatehouse-database")}
wrong = [] if custom else ["no custom resource in this component"]
for d in custom:
    what = f'{d["kind"]}/{d["metadata"]["name"]}'
    if d["metadata"].get("namespace") != "gatehouse":
        wrong.append(f"{what} is in no namespace")
    spec = d["spec"]
    if d["kind"] == "ScaledObject":
        target = next(o for o in own if o["kind"] == "Deployment" and o["metadata"]["name"] == spec["scaleTargetRef"]["name"])
        if "replicas" in target["spec"]:
            wrong.append(f"{what}: the deployment still says how many")
        for trigger in spec["triggers"]:
            if ("TriggerAuthentication", trigger["authenticationRef"]["name"]) not in names:
                wrong.append(f"{what}: unknown authentication")
    if d["kind"] == "TriggerAuthentication":
        wrong += [f"{what}: unknown secret" for ref in spec["secretTargetRef"] if ("Secret", ref["name"]) not in names]
    if d["kind"] == "Cluster" and ("Secret", spec["bootstrap"]["initdb"]["secret"]["name"]) not in names:
        wrong.append(f"{what}: unknown secret")
    if d["kind"] == "PodMonitor":
        wanted = set(spec["selector"]["matchExpressions"][0]["values"])
        ports = {o["metadata"]["name"]: {p["name"] for p in o["spec"]["template"]["spec"]["containers"][0]["ports"]} for o in own if o["kind"] == "Deployment"}
        wrong += [f"{what}: {name} has no port {e['port']}" for name in wanted for e in spec["podMetricsEndpoints"] if e["port"] not in ports.get(name, ())]
print("\n".join(wrong))
sys.exit(bool(wrong))
PY
  passes "$dir/own.yaml"
}

# A misspelt setting would keep a program from starting.
settings_are_known() {
  local name
  while read -r name; do
    grep -qE "^#?${name%_FILE}(_FILE)?=" .env.example || { say "$name is not in .env.example" >"$scratch/out"; return 1; }
  done < <(grep -rhoE '\bGATEHOUSE_[A-Z0-9_]+=' "$kubernetes" --include='*.env' --include='*.yaml' | tr -d = | sort -u)
}

need_python_venv
"$python" -c 'import yaml' 2>/dev/null || "$python" -m pip install --quiet --disable-pip-version-check --no-input pyyaml
for folder in "$kubernetes"/overlays/*/; do expect "overlay $(basename "$folder")" passes "$folder"; done
for folder in "$kubernetes"/components/*/; do expect "component $(basename "$folder") on production" with_component "$(basename "$folder")"; done
expect "the settings are ones that the programs know" settings_are_known
expect "mistake 1 is found: a service leads to a port that is not there" refused "$kubernetes/tests/wrong-port" "targetPort 'https' is not a port of Deployment/identity"
expect "mistake 2 is found: a container that may become root" refused "$kubernetes/tests/open-container" "allowPrivilegeEscalation is not false"
finish "$passed" "$failed"
