#!/usr/bin/env bash
# load.sh ARCHIVE: loads an image archive of oci.py into the development cluster, unless it is there.
set -euo pipefail
# shellcheck source=dev/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
archive=${1:?usage: load.sh ARCHIVE}
[ -f "$archive" ] || die "there is no $archive"
[ "$(cat "$STATE/engine" 2>/dev/null)" != current ] ||
  die "CLUSTER=current: push $archive to a registry that this cluster pulls from; only our own cluster can be loaded directly"
use_engine
PATH=$STATE/bin:$PATH
[ -e "$STATE/created" ] || die "there is no cluster: make cluster-up"

on_node() { docker exec -i "$NODE" ctr --namespace k8s.io images "$@"; }

# "NAME DIGEST" of the archive's image, and whether the node has that very one under that name.
image=$(tar -xOf "$archive" index.json | python3 -c '
import json, sys
m = json.load(sys.stdin)["manifests"][0]
print(m["annotations"]["io.containerd.image.name"], m["digest"])')
if on_node list | awk '{ print $1, $3 }' | grep -qxF "$image"; then
  say "the cluster has ${image% *} already, the same one"
  exit
fi
step "loading ${image% *}" kind load image-archive "$archive" --name "$CLUSTER_NAME"
