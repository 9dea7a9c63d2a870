#!/usr/bin/env bash
# The vendors' own clients, and a public SCIM tester, on the fakes of jml-testkit.
#   scripts/clients.sh install FOLDER   makes a Python environment with pinned versions
#   scripts/clients.sh check FOLDER     starts the fakes, runs every client, stops the fakes by pid
# JumpCloud's own Python client is not in the index, and the one that somebody else published there makes no users; its
# fake is held against JumpCloud's documents only.
set -euo pipefail
verb=${1:?install or check} folder=${2:?a folder}
here=$(cd "$(dirname "$0")" && pwd)

case $verb in
install)
  mkdir -p "$folder"
  if [ ! -x "$folder/venv/bin/scim2" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install -q okta==3.4.0 msgraph-sdk==1.65.0 google-api-python-client==2.202.0 \
      google-auth scim2-tester==0.5.2 scim2-cli==0.6.0
  fi
  ;;
check)
  # With the features that the tests of the workspace are built with.
  cargo build --quiet --workspace --example fakes
  target=${CARGO_TARGET_DIR:-$here/../target}
  mkfifo "$folder/hold.$$"
  "$target/debug/examples/fakes" <"$folder/hold.$$" >"$folder/fakes.json" &
  fakes=$!
  # Opening the pipe lets the fakes begin; closing it, or this program's end, lets them go.
  exec 9>"$folder/hold.$$"
  rm "$folder/hold.$$"
  trap 'kill "$fakes" 2>/dev/null || true' EXIT
  for _ in $(seq 100); do [ -s "$folder/fakes.json" ] && break; sleep 0.1; done
  for client in okta entra google; do
    "$folder/venv/bin/python" "$here/clients/${client}_client.py" "$folder/fakes.json"
  done
  field() { python3 -c "import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])" "$folder/fakes.json" "$1"; }
  SCIM_CLI_HEADERS="Authorization: Bearer $(field token)" \
    "$folder/venv/bin/scim2" --url "$(field scim)" test >"$folder/scim.txt" 2>&1 || true
  passed=$(grep -c '^SUCCESS' "$folder/scim.txt" || true)
  if grep -E '^(ERROR|CRITICAL)' -A 2 "$folder/scim.txt" || [ "$passed" -lt 50 ]; then
    tail -20 "$folder/scim.txt"
    echo "the SCIM tester is not content" >&2
    exit 1
  fi
  echo "scim: $passed checks of scim2-tester passed"
  ;;
*) echo "install or check" >&2; exit 2 ;;
esac
