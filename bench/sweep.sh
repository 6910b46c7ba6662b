#!/usr/bin/env bash
# Ratios of a sweep over 5 million rows, of which 30 % are due, against one plain DELETE of the same rows.
# ROWS, ROUNDS and PG_BINDIR change the size, the number of rounds and the PostgreSQL.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "error: python3 is missing: apt-get install python3" >&2; exit 1; }
cargo build --release --locked --bin privacy-operator
exec python3 bench/sweep.py "$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/release/privacy-operator"
