#!/usr/bin/env bash
# Ratios of an export against scripts of psql, jq, zip, zstd and age that do the same, in the same run and in turns.
# USERS, SUBJECTS, ROUNDS, BULK_ROWS and PG_BINDIR change the sizes, the number of rounds and the PostgreSQL.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for program in python3 psql jq zip zstd age age-keygen; do
  command -v $program >/dev/null || { echo "error: $program is missing: apt-get install ${program%-keygen}" >&2; exit 1; }
done
cargo build --release --locked --bin privacy-operator
exec python3 bench/export.py "$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/release/privacy-operator"
