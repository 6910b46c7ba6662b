#!/usr/bin/env bash
# Runs make targets one after the other, shows what they print, and at the end the seconds of each and the number of
# tests. Stops at the first that fails: stages.sh TARGET...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

output=$(mktemp)
trap 'rm -f "$output"' EXIT
table='' passed=0 failed=0 failed_stage=''

# count WORD: the sum of "N WORD" over the closing lines of cargo in this stage's output.
count() {
  grep -E '^test result: ' "$output" | grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }' || true
}

for stage; do
  printf '\n=== %s\n' "$stage"
  start=$SECONDS status=0
  "${MAKE:-make}" --no-print-directory "$stage" 2>&1 | tee "$output" || status=$?
  stage_passed=$(count passed) stage_failed=$(count failed)
  passed=$((passed + stage_passed)) failed=$((failed + stage_failed))
  word=ok
  [ $status -eq 0 ] || { word=FAILED; failed_stage=$stage; }
  table+=$(printf '%6d s  %-16s %-7s %s' $((SECONDS - start)) "$stage" "$word" \
    "$([ $((stage_passed + stage_failed)) -eq 0 ] || echo "$stage_passed passed, $stage_failed failed")")$'\n'
  [ $status -eq 0 ] || break
done

printf '\n=== all stages\n%s' "$table"
printf '%6d s  tests: %d passed, %d failed\n' $SECONDS $passed $failed
if [ -n "$failed_stage" ]; then
  echo "stage $failed_stage failed; to run it alone: make $failed_stage" >&2
  exit 1
fi
