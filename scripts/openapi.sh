#!/usr/bin/env bash
# Prints the OpenAPI document that the program serves at /api/schema/, with the default settings.
#
#   scripts/openapi.sh [--bin PROGRAM] [--yaml] [en | ru]
#
# Default: English, JSON. The program is started for it on free ports, with a data folder of its own. Standard output has the
# document and nothing else, so that it can go into a file: scripts/openapi.sh ru > openapi.json. Environment: as of
# conformance.sh.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

language=en
format=json
while (($# > 0)); do
  case $1 in
    --bin) need_value "$@"; gatehouse_bin=$2; shift 2 ;;
    --yaml) format=yaml; shift ;;
    -h | --help) sed -n '2,/^source/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    en | ru) language=$1; shift ;;
    *) die "unknown argument \"$1\"; see --help" ;;
  esac
done

# What this script and its tools say goes to standard error.
exec {document}>&1 1>&2

need_command curl curl
need_command python3 python3
need_gatehouse
make_scratch
start_gatehouse "$scratch/server"
curl -sS --fail --max-time 10 "$base_url/api/schema/?lang=$language&format=$format" -o "$scratch/document" \
  || die "the program does not serve /api/schema/"
stop_gatehouse
cat "$scratch/document" >&"$document"
