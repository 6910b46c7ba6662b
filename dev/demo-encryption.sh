#!/usr/bin/env bash
# An act of the demo, and by itself: a Secret in plain text in etcd, the rotation watched, the same Secret after. Needs the
# development cluster and the operator's image in it (make cluster-up image load-image). What stays: the encryption.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=dev/lib.sh
. dev/lib.sh
use_engine
export PATH=$STATE/bin:$PATH
[ "$(cat "$STATE/engine" 2>/dev/null)" != current ] || die "this changes how a cluster stores Secrets: it needs one of its own, make cluster-up"
IMAGE=${IMAGE:-privacy-operator.dev/privacy-operator}
OPERATOR_NAMESPACE=privacy-operator
SECRET=default/cluster-credentials

shown() { dev/encryption/stored.sh "$SECRET" | sed 's/^/  etcd: /'; }
status() { kubectl get clusterencryption cluster -o "jsonpath=$1" 2>/dev/null; }
is_settled() { [ "$(status '{.status.phase}')" = Settled ] && [ -n "$(status '{.status.verified.key}')" ]; }

kubectl --namespace default create secret generic cluster-credentials --from-literal=token=a-canary \
  --dry-run=client -o yaml | kubectl apply --server-side --force-conflicts -f - >/dev/null
before=$(kubectl --namespace default get secret cluster-credentials -o 'jsonpath={.data.token}')
say "A Secret with the credentials of a cluster, as etcd holds it (k8s means plain text):"
shown

kubectl apply --server-side --force-conflicts -f crds >/dev/null
step "installing agents and migrator" helm upgrade --install privacy-operator charts/privacy-operator \
  --namespace "$OPERATOR_NAMESPACE" --create-namespace --wait --timeout 180s --reset-then-reuse-values \
  --set "image.repository=$IMAGE,image.pullPolicy=IfNotPresent" \
  --set encryption.enabled=true,encryption.apply=true,encryption.migrator.enabled=true
if [ ! -e "$STATE/escrow.txt" ] && have age-keygen; then (umask 077 && age-keygen -o "$STATE/escrow.txt" 2>/dev/null); fi
if [ -e "$STATE/escrow.txt" ]; then
  escrow="{ageRecipients: [$(age-keygen -y "$STATE/escrow.txt")]}"
else
  escrow='{none: {}}'
fi
kubectl apply --server-side --force-conflicts -f - <<YAML >/dev/null
apiVersion: privacy-operator.dev/v1alpha1
kind: ClusterEncryption
metadata: {name: cluster}
spec: {mode: Apply, escrow: $escrow, rotation: {request: "demo $(date -u +%FT%TZ)"}}
YAML
say "The rotation, step by step (API servers look for a new file once a minute):"
last="" end=$((SECONDS + 600))
# The request above must have been seen before the end counts.
until is_settled && [ "$(status '{.status.observedGeneration}')" = "$(status '{.metadata.generation}')" ]; do
  [ $SECONDS -lt $end ] || die "it does not settle: $(status '{.status.nextAction}')"
  now=$(status '{.status.step}: {.status.nextAction}')
  [ "$now" = "$last" ] || printf '  %4d s  %s\n' $SECONDS "$(cut -c1-110 <<<"$now")"
  last=$now
  sleep 1
done
kubectl get clusterencryption cluster
say "The same Secret, as etcd holds it now:"
shown
[ "$(kubectl --namespace default get secret cluster-credentials -o 'jsonpath={.data.token}')" = "$before" ] ||
  die "the Secret does not read as before"
dev/encryption/stored.sh | awk '$2 == "k8s" { plain++ } END { exit plain > 0 }' || die "some Secret is still in plain text"
say "It reads as before through the API, and no Secret is in plain text any more."
