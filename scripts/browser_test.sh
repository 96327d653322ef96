#!/usr/bin/env bash
# The built-in pages and the mails in a real browser (headless Chromium): from a mail's link to a new password by clicking,
# from a password to the devices that are logged in, and requests sent from the API's page; in English and Russian, with
# and without JavaScript; bad input; axe-core in light and dark; page weight.
#
#   scripts/browser_test.sh [--bin PROGRAM] [--screenshots FOLDER]
#
# Needs node, npm, chromium (as root on Debian they are installed) and two npm packages, which go into target/browser.
# Exit status 99: one of these cannot be had, and nothing was tested. Environment: as of conformance.sh. The last line is
# "N passed, N failed".
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

screenshots=
while (($# > 0)); do
  case $1 in
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    --screenshots) need_value "$@"; screenshots=$(absolute "$2"); shift 2 ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown option $1; see --help" ;;
  esac
done

# The browser: Debian's name, or others'.
find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
left_out() { say "$*: left out"; exit 99; }

command -v node >/dev/null && command -v npm >/dev/null || install_debian nodejs npm || left_out "node and npm are not installed"
find_chromium >/dev/null || install_debian chromium || left_out "chromium is not installed"
packages=$target_dir/browser
mkdir -p "$packages"
if ! cmp -s scripts/browser/package.json "$packages/installed.json"; then
  cp scripts/browser/package.json "$packages/package.json"
  npm install --prefix "$packages" --no-audit --no-fund --ignore-scripts --loglevel=error \
    || left_out "the npm packages of scripts/browser/package.json cannot be installed"
  cp scripts/browser/package.json "$packages/installed.json"
fi

need_gatehouse
make_scratch
screenshots=${screenshots:-$target_dir/screenshots}
mkdir -p "$screenshots"
status=0
printf '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="32" height="32"><circle cx="12" cy="12" r="11" fill="#ffd400"/></svg>' >"$scratch/logo.svg"
# Hashing is quick; the budgets are for people, who click more slowly.
quick=(GATEHOUSE_IDENTITY_BCRYPT_COST=4 GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE=0 GATEHOUSE_IDENTITY_MAILS_PER_HOUR=0
  GATEHOUSE_IDENTITY_PASSWORD_CHANGED_MAIL=on)
start_gatehouse "$scratch/plain" "${quick[@]}"
plain_url=$base_url plain_pid=$server_pid plain_log=$server_log
start_gatehouse "$scratch/brand" "${quick[@]}" GATEHOUSE_BRAND_NAME="Birch & Sons" GATEHOUSE_BRAND_COLOR=#ffd400 \
  GATEHOUSE_BRAND_URL=https://birch.example/ GATEHOUSE_BRAND_LOGO_FILE="$scratch/logo.svg"
cp scripts/browser/*.mjs "$packages/"
timeout 480 node "$packages/pages.mjs" "$(find_chromium)" "$plain_url" "$base_url" "$screenshots" \
  | tee "$scratch/report" || status=1
stop_gatehouse || status=1
stop_service "the plain program" "$plain_pid" "$plain_log" || status=1
read -r passed failed < <(awk '/^ok /{p++} /^FAIL /{f++} END{print p+0, f+0}' "$scratch/report")
if ((status != 0 && failed == 0)); then failed=1; fi
say "screenshots: $screenshots"
finish "$passed" "$failed"
