#!/usr/bin/env bash
# Programs of other people that check our evidence: Go with its transparency log packages, Python libraries
# in an environment of their own, a browser for the report. Debian's and Python's packages.
#   scripts/verifiers.sh install FOLDER   makes FOLDER/venv, and what is missing on the machine
#   scripts/verifiers.sh check FOLDER PROJECT   checks the evidence and the pack of a demo's folder
set -euo pipefail
verb=${1:?install or check} folder=${2:?a folder}
here=$(cd "$(dirname "$0")" && pwd)

case $verb in
install)
  missing=()
  command -v go >/dev/null || missing+=(golang-go)
  [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb ] || missing+=(golang-golang-x-mod-dev)
  command -v chromium >/dev/null || missing+=(chromium)
  command -v openssl >/dev/null || missing+=(openssl)
  if [ ${#missing[@]} -gt 0 ]; then
    apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 ||
      { apt-get update -q >&2 && apt-get install -y -q --no-install-recommends "${missing[@]}" >&2; }
  fi
  mkdir -p "$folder"
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install -q pymerkle==7.0.0 rfc8785==0.1.4 jcs==0.2.1 cryptography==50.0.2 \
    sd-jwt==0.10.4 check-jsonschema==0.39.0 >&2
  ;;
check)
  project=${3:?the folder of a demo}
  key=$(cat "$project/evidence/vkey")
  export GO111MODULE=off GOPATH=/usr/share/gocode
  go build -o "$folder/verify" "$here/../jml-evidence/assets/verify.go"
  "$folder/verify" log "$project/evidence" "$key"
  "$folder/verify" pack "$project/audit" "$key"
  kept=$(ls "$project/outside" | sort -t. -k2 -n | sed -n 3p)
  python3 "$here/../jml-evidence/assets/verify.py" "$project/audit" "$key" "$project/outside/$kept"
  schema=$here/../../shared/oscal/oscal_assessment-results_schema.json
  if [ -f "$schema" ]; then
    "$folder/venv/bin/python" "$here/independent.py" "$project/evidence" "$project/audit" "$key" "$schema"
  else
    "$folder/venv/bin/python" "$here/independent.py" "$project/evidence" "$project/audit" "$key"
  fi
  mkdir -p "$folder/shots"
  python3 "$here/report.py" "$project/audit/report.html" "$folder/shots"
  ;;
*)
  echo "install or check" >&2
  exit 2
  ;;
esac
