#!/usr/bin/env bash
# psql.sh NAMESPACE NAME [psql's arguments]: psql as the superuser, inside the pod.
set -euo pipefail
# shellcheck source=dev/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
[ $# -ge 2 ] || die "usage: psql.sh NAMESPACE NAME [psql's arguments]"
[ -f "$STATE/env" ] || die "there is no cluster: make cluster-up"
# shellcheck source=/dev/null
. "$STATE/env"
terminal=()
if [ -t 0 ] && [ -t 1 ]; then terminal=(--tty); fi
exec kubectl --namespace "$1" exec --stdin "${terminal[@]}" "$2-0" -- psql --username postgres "${@:3}"
