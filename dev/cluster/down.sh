#!/usr/bin/env bash
# Deletes the development cluster and stops what up.sh started. Images stay in .dev and in the cache for
# the next time; both folders can be deleted by hand after this.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=dev/lib.sh
. "$here/../lib.sh"
# shellcheck source=dev/cluster/box.sh
. "$here/box.sh"

lock_state
use_engine
PATH=$STATE/bin:$PATH
engine=$(cat "$STATE/engine" 2>/dev/null || true)
if [ "$engine" != current ] && have kind && have docker && timeout 10 docker info >/dev/null 2>&1; then
  step "deleting the cluster" kind delete cluster --name "$CLUSTER_NAME"
  # kind leaves its network; other clusters of the machine's engine may be on it, then it stays.
  docker network rm kind >/dev/null 2>&1 || true
fi
if [ "$engine" = own ] || box_is_alive; then box_stop; fi
rm -rf "$STATE"/{engine,created,env,kubeconfig,kind-config.yaml,encryption}
say "the cluster is down"
