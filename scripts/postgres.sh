#!/usr/bin/env bash
# A PostgreSQL server for tests, on loopback, in a folder of its own.
#   scripts/postgres.sh start FOLDER [PORT]   prints the URL for JML_POSTGRES; any free port if not said
#   scripts/postgres.sh stop FOLDER         stops it by its pid and removes the folder
# Installs Debian's package if there is no server on the machine. Nothing in it is meant to survive:
# files are not synced to the disk slower than the tests need, so never use it for anything else.
set -euo pipefail
verb=${1:?start or stop} folder=${2:?a folder}

# The server refuses to run as root.
as_server() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; else "$@"; fi
}

find_server() {
  command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -1
}

case $verb in
start)
  free='import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
  port=${3:-$(python3 -c "$free")}
  if [ -z "$(find_server)" ]; then
    apt-get install -y -q --no-install-recommends postgresql >&2 ||
      { apt-get update -q >&2 && apt-get install -y -q --no-install-recommends postgresql >&2; }
  fi
  bin=$(dirname "$(readlink -f "$(find_server)")")
  mkdir -p "$folder"
  [ "$(id -u)" != 0 ] || chown postgres "$folder"
  as_server "$bin/initdb" --pgdata="$folder/data" --username=jml --auth=trust --no-sync >/dev/null
  as_server "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c max_connections=60 >"$folder/log" 2>&1 </dev/null &
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && grep -q 'ready to accept' "$folder/log"; then
      echo "postgres://jml@127.0.0.1:$port/postgres"
      exit 0
    fi
    sleep 0.1
  done
  cat "$folder/log" >&2
  exit 1
  ;;
stop)
  # The first line is the pid of the server itself; it removes the file when it ends.
  if pid=$(head -1 "$folder/data/postmaster.pid" 2>/dev/null); then
    kill -INT "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
  fi
  rm -rf "$folder"
  ;;
*)
  echo "start or stop" >&2
  exit 2
  ;;
esac
