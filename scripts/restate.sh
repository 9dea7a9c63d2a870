#!/usr/bin/env bash
# A Restate server on loopback, for tests and for trying: one process, one folder.
#   scripts/restate.sh start FOLDER   prints the addresses of its ingress and its admin API
#   scripts/restate.sh stop FOLDER    stops it by pid; what it has stored stays
# Started again on the same folder, it goes on where it was, on the same ports. Installs what it needs into FOLDER.
set -euo pipefail
verb=${1:?start or stop} folder=${2:?a folder}
free='import socket; s = [socket.socket() for _ in range(3)]; [it.bind(("127.0.0.1", 0)) for it in s]; print(*[it.getsockname()[1] for it in s])'

case $verb in
start)
  mkdir -p "$folder"
  folder=$(cd "$folder" && pwd)
  if [ ! -x "$folder/node_modules/.bin/restate-server" ]; then
    (npm install --prefix "$folder" --silent --no-fund --no-audit --ignore-scripts @restatedev/restate-server@1.7.12 >&2)
  fi
  [ -f "$folder/ports" ] || python3 -c "$free" >"$folder/ports"
  read -r ingress admin node <"$folder/ports"
  if [ -f "$folder/restate.pid" ] && kill -0 "$(cat "$folder/restate.pid")" 2>/dev/null; then
    echo "http://127.0.0.1:$ingress http://127.0.0.1:$admin"
    exit 0
  fi
  # The server itself, not the script that npm puts before it: the pid has to be the server's.
  server=$(echo "$folder"/node_modules/@restatedev/restate-server-*/bin/restate-server)
  RESTATE_LISTEN_MODE=tcp RESTATE_BIND_IP=127.0.0.1 RESTATE_DISABLE_TELEMETRY=true \
  RESTATE_INGRESS__BIND_PORT=$ingress RESTATE_ADMIN__BIND_PORT=$admin RESTATE_BIND_PORT=$node \
    "$server" --no-logo --node-name jml --base-dir "$folder/data" >>"$folder/restate.log" 2>&1 </dev/null &
  echo $! >"$folder/restate.pid"
  for _ in $(seq 300); do
    if curl -sf -o /dev/null "http://127.0.0.1:$admin/health" && curl -sf -o /dev/null "http://127.0.0.1:$ingress/restate/health"; then
      echo "http://127.0.0.1:$ingress http://127.0.0.1:$admin"
      exit 0
    fi
    sleep 0.1
  done
  echo "the server does not answer; see $folder/restate.log" >&2
  exit 1
  ;;
stop)
  if [ -f "$folder/restate.pid" ]; then
    pid=$(cat "$folder/restate.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    rm -f "$folder/restate.pid"
  fi
  ;;
*) echo "start or stop" >&2; exit 2 ;;
esac
