#!/usr/bin/env bash
# Licences, duplicates and sources of what is linked in, as deny.toml says; and known vulnerabilities where their
# database, a git repository, can be reached.
set -euo pipefail
# shellcheck source=dev/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=0.20.2
DATABASE=https://github.com/RustSec/advisory-db

install_deny() { cargo install --quiet --locked "cargo-deny@$VERSION" --root "$1"; }

reachable() { GIT_TERMINAL_PROMPT=0 timeout 15 git ls-remote --exit-code "$DATABASE" HEAD >/dev/null 2>&1; }

cached "cargo-deny-$VERSION" "building cargo-deny $VERSION (5 minutes, once)" install_deny
cd "$ROOT"
checks=(licenses bans sources)
if reachable; then
  checks+=(advisories)
else
  say "known vulnerabilities were not checked: $DATABASE cannot be reached"
  # `make audit` is for that check.
  [ "${1:-}" != audit ] || exit 1
fi
"$CACHED/bin/cargo-deny" --log-level error check --hide-inclusion-graph "${checks[@]}"
