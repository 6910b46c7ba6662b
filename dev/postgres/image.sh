#!/usr/bin/env bash
# A PostgreSQL 15 image from Debian's packages, made once and loaded into the development cluster.
# It is laid out as the official image: the server in /usr/lib/postgresql/15/bin, its user has id 999.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=dev/lib.sh
. "$here/../lib.sh"
# shellcheck source=dev/image/debian.sh
. "$here/../image/debian.sh"

REFERENCE=privacy-operator.dev/postgres:15
# The server is asked to start by the pod, not by Debian's wrappers; libLLVM is large and only for JIT.
# shellcheck disable=SC2016 # mmdebstrap expands $1
ARGUMENTS=(
  --setup-hook='mkdir -p "$1/etc/postgresql-common" && echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"'
  --dpkgopt='path-exclude=/usr/lib/*/libLLVM*'
  --customize-hook='chroot "$1" sh -c "groupmod --gid 999 postgres && usermod --uid 999 postgres"'
  --include=postgresql-15
)
CONFIG='{
  "User": "999:999",
  "Env": ["PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
  "StopSignal": "SIGINT"
}'

debian_rootfs postgres-rootfs "${ARGUMENTS[@]}"
rootfs=$CACHED
cached "postgres-image-$(printf '%s' "$rootfs$CONFIG" | digest - "$here/../image/oci.py")" "the image $REFERENCE" \
  python3 "$here/../image/oci.py" "$REFERENCE" "$CONFIG" "$rootfs"
"$here/../image/load.sh" "$CACHED"
