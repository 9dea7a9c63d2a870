#!/usr/bin/env bash
# Instructions a person in the walk over a population, as valgrind counts them: the same on a busy machine.
#   scripts/instructions.sh [PEOPLE]     2000 people if not said; the company is always the same
set -euo pipefail
people=${1:-2000}
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
  echo "skipped: no valgrind"
  exit 0
fi
cargo build --quiet --release -p jml-bench
out=$(mktemp)
trap 'rm -f "$out"' EXIT
counted=$(valgrind --tool=callgrind --callgrind-out-file="$out" --collect-atstart=no --toggle-collect='*Flat*walk*' \
  "${CARGO_TARGET_DIR:-target}/release/jml-bench" --walk "$people" 2>&1 | sed -n 's/.*Collected : //p')
if [ -z "$counted" ] || [ "$counted" -eq 0 ]; then
  echo "the walk was not found: is it inlined under another name?" >&2
  exit 1
fi
echo "$people people, $((counted / people)) instructions a person"
