#!/usr/bin/env bash
# SCIM servers that nobody here wrote, on loopback, for tests: scim2-server (Python) and SCIMMY (Node).
#   scripts/scim-servers.sh start FOLDER   prints JML_SCIM_SERVERS: "name url token" of each, separated by ;
#   scripts/scim-servers.sh stop FOLDER    stops them by pid
# Installs what it needs into FOLDER. Versions are pinned: another version is another server.
set -euo pipefail
verb=${1:?start or stop} folder=${2:?a folder}
here=$(cd "$(dirname "$0")" && pwd)
token=tests-of-jml
free='import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'

wait_for() {
  for _ in $(seq 100); do
    if curl -s -o /dev/null -H "Authorization: Bearer $token" "$1/ServiceProviderConfig"; then return; fi
    sleep 0.1
  done
  echo "$1 does not answer" >&2
  exit 1
}

case $verb in
start)
  mkdir -p "$folder"
  if [ ! -x "$folder/venv/bin/scim2-server" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install -q scim2-server==0.8.3 >&2
  fi
  if [ ! -d "$folder/node_modules/scimmy-routers" ]; then
    (cd "$folder" && npm install --silent --no-fund --no-audit scimmy@1.3.5 scimmy-routers@1.3.2 express@5 >&2)
  fi
  one=$(python3 -c "$free") two=$(python3 -c "$free")
  "$folder/venv/bin/scim2-server" --hostname 127.0.0.1 --port "$one" --bearer-token "$token" \
    >"$folder/scim2-server.log" 2>&1 </dev/null &
  echo $! >"$folder/scim2-server.pid"
  # Node looks for packages beside the program.
  cp "$here/scimmy.mjs" "$folder/"
  node "$folder/scimmy.mjs" "$two" "$token" >"$folder/scimmy.log" 2>&1 </dev/null &
  echo $! >"$folder/scimmy.pid"
  wait_for "http://127.0.0.1:$one/v2"
  wait_for "http://127.0.0.1:$two/scim"
  echo "scim2-server http://127.0.0.1:$one/v2 $token;scimmy http://127.0.0.1:$two/scim $token"
  ;;
stop)
  for pid in "$folder"/*.pid; do
    [ ! -f "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
    rm -f "$pid"
  done
  ;;
*) echo "start or stop" >&2; exit 2 ;;
esac
