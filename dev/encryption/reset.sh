#!/usr/bin/env bash
# The development cluster as it began: no ClusterEncryption, no keys, Secrets in plain text in etcd. The demo and the
# cluster tests begin so, since they show a first rotation. What is encrypted is read with the keys that are there and
# written anew; if that fails, nothing is taken away. A cluster that is plain is left as it is.
set -euo pipefail
# shellcheck source=dev/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
use_engine
PATH=$STATE/bin:$PATH
[ "$(cat "$STATE/engine" 2>/dev/null)" != current ] ||
  die "this changes how a cluster stores Secrets: it needs one of its own, make cluster-up"
FILE=$STATE/encryption/encryption-config.yaml
PLAIN=$ROOT/dev/cluster/encryption-config.yaml
KEYS=privacy-operator-encryption

keys() { kubectl --namespace "$KEYS" "$@"; }

# put: standard input becomes the API server's file, whole or not at all.
put() { (umask 077 && cat >"$FILE.new") && mv "$FILE.new" "$FILE"; }

loaded() {
  local metrics
  metrics=$(kubectl get --raw /metrics | grep last_config_info)
  grep -qF "$(sha256sum <"$FILE" | cut -d' ' -f1)" <<<"$metrics"
}

until_loaded() {
  wait_until 120 loaded || die "the API server does not load $FILE: see its log (docker exec $NODE crictl logs ...)"
}

# As the file is, with plain text first: what is encrypted can be read, and what is written is plain.
plain_first() {
  python3 - "$FILE" <<'PYTHON'
import re, sys
text = open(sys.argv[1]).read()
for entry in re.split(r"(?m)^(?=  - resources:)", text):
    head, found, rest = entry.partition("    providers:\n")
    if found:
        rest = "      - identity: {}\n" + rest.replace("      - identity: {}\n", "")
    print(head + found + rest, end="")
PYTHON
}

rewritten() {
  kubectl get secrets --all-namespaces -o json | kubectl replace -f - >/dev/null || true
  [ -z "$(dev/encryption/stored.sh | awk '$2 != "k8s"')" ]
}

cd "$ROOT"
if kubectl get crd clusterencryptions.privacy-operator.dev >/dev/null 2>&1; then
  kubectl delete clusterencryptions --all --wait >/dev/null
fi
if kubectl get namespace "$KEYS" >/dev/null 2>&1; then
  # Nobody else may write the file now; helm upgrade brings the agents back.
  keys delete daemonsets --all --cascade=foreground --wait >/dev/null
fi
if ! cmp -s "$FILE" "$PLAIN"; then
  if grep -q secretbox "$FILE"; then
    plain_first | put
    step "waiting until the API server writes plain text" until_loaded
    wait_until 60 rewritten || die "these Secrets are not in plain text: $(dev/encryption/stored.sh | awk '$2 != "k8s"')"
  fi
  put <"$PLAIN"
  step "waiting until the API server has forgotten the keys" until_loaded
fi
if kubectl get namespace "$KEYS" >/dev/null 2>&1; then
  keys delete secrets,configmaps --selector app.kubernetes.io/managed-by=privacy-operator >/dev/null
  keys delete secret encryption-keys --ignore-not-found >/dev/null
  keys delete configmap encryption-escrow migration-order migration-report --ignore-not-found >/dev/null
fi
rm -rf "$STATE/encryption/privacy-operator-history" "$STATE"/encryption/.*.next
