#!/usr/bin/env bash
# Compares the locked dependencies with the RustSec advisory database. By command, and not a part of test.sh: a new
# advisory must not fail an old commit. What it last found stands in docs/SECURITY.md.
#
#   scripts/audit.sh [DATABASE]
#
# DATABASE: a folder with a copy of https://github.com/rustsec/advisory-db, or the URL of one (default: that one). cargo-audit
# is built into target/tools when it is not installed. Exit status: 1 when an advisory touches a dependency.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
  -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
esac
database=${1:-https://github.com/RustSec/advisory-db.git}

need_cargo_tool cargo-audit 0.22.2
case $database in
  *://*) options=(--url "$database" --db "$target_dir/tools/advisory-db") ;;
  *)
    database=$(absolute "$database")
    [[ -d $database/crates ]] || die "there is no copy of the advisory database in $database: it has no folder crates"
    options=(--db "$database" --no-fetch)
    ;;
esac
"$cargo_tool" audit "${options[@]}" --color never
