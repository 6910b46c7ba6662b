#!/usr/bin/env bash
# Runs every measurement and writes what they printed into BENCHMARKS.md: all.sh TARGET...
# A measurement that ends in an error is named there as such, and makes this fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || { echo "usage: bench/all.sh TARGET..." >&2; exit 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
status=0

describe() {
  sed -nE "s/^$1:.*## (.*)/\1/p" Makefile
}

# What a measurement prints for people, without the lines of the build and of the test program.
results() {
  grep -vE '^(make\[|cargo |servers=|eval |  cargo | +(Compiling|Finished|Running|Executable)|running |test |$)' "$1" || true
}

for target; do
  printf '\n=== %s: %s\n' "$target" "$(describe "$target")"
  if ! ROUNDS="${ROUNDS:-5}" "${MAKE:-make}" --no-print-directory "$target" 2>&1 | tee "$folder/$target"; then
    echo "the measurement ended in an error" >>"$folder/$target"
    status=1
  fi
done

{
  echo "# Benchmarks"
  echo
  echo "Written by \`make bench\` on $(date -u +%F), commit $(git describe --always --dirty), $(nproc) cores," \
    "$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), load before $(cut -d ' ' -f 1 /proc/loadavg)."
  echo "Peers run in the same round, in turns; what counts are the ratios. A goal that was missed says so."
  for target; do
    printf '\n## %s\n\n%s\n\n```text\n' "$target" "$(describe "$target")"
    results "$folder/$target"
    printf '```\n'
  done
} >BENCHMARKS.md
echo "written: BENCHMARKS.md"
exit $status
