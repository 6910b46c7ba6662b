#!/usr/bin/env bash
# The demo's act about encryption, and by itself: a Secret in plain text in etcd, the record of processing that says it is
# encrypted, the rotation that makes it true, watched, the same Secret after, and the register. Exits 0 only if all of that
# was seen. Needs the development cluster and the operator's image in it (make demo-encryption brings both); running it again
# starts over. The cluster stays encrypted: dev/encryption/reset.sh takes that back.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=dev/lib.sh
. dev/lib.sh
use_engine
export PATH=$STATE/bin:$PATH
[ "$(cat "$STATE/engine" 2>/dev/null)" != current ] || die "this changes how a cluster stores Secrets: it needs one of its own, make cluster-up"
OPERATOR_NAMESPACE=privacy-operator
NAMESPACE=ranching-farm        # of the example: the record says "credentials of clusters are stored encrypted"
EXAMPLE=examples/ranching-farm
SECRET=cluster-credentials
BINARY=target/release/privacy-operator
IMAGE=${IMAGE:-privacy-operator.dev/privacy-operator}

if [ -t 1 ]; then BOLD=$'\033[1m' PLAIN=$'\033[0m'; else BOLD='' PLAIN=''; fi
headline() { printf '\n%s%s%s  (%d s)\n' "$BOLD" "$*" "$PLAIN" $SECONDS; }
command_line() { printf '  $ %s\n' "$*"; }
k() { kubectl --namespace "$NAMESPACE" "$@"; }
encryption() { kubectl get clusterencryption cluster -o "jsonpath=$1" 2>/dev/null; }
stored() { dev/encryption/stored.sh "$NAMESPACE/$SECRET" | cut -d' ' -f2-; }
value() { k get secret "$SECRET" -o 'jsonpath={.data.token}'; }

# How the line of the record about Secrets is observed: its truth and reason.
observed() {
  k get processingactivity clusters -o json | python3 -c '
import json, sys
for line in json.load(sys.stdin).get("status", {}).get("measures", []):
    if line["subject"].startswith("EncryptionAtRest"):
        print(line["observed"], line["reason"])'
}
is_observed() { [[ $(observed) == "$1"* ]]; }

begin() {
  headline "1. A Secret as a new cluster stores it"
  dev/encryption/reset.sh
  kubectl get namespace "$NAMESPACE" >/dev/null 2>&1 || kubectl create namespace "$NAMESPACE" >/dev/null
  k delete secret "$SECRET" --ignore-not-found >/dev/null
  k create secret generic "$SECRET" --from-literal=token="$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')" >/dev/null
  BEFORE=$(value)
  command_line "etcdctl get /registry/secrets/$NAMESPACE/$SECRET | head -c 40"
  printf '  %s\n' "$(stored)"
  [ "$(stored)" = k8s ] || die "it should be in plain text (k8s) before anything is done"
  echo "k8s: in plain text, in etcd's files and in each backup of them."
}

operator() {
  headline "2. The operator, with agents on the control plane and a migrator"
  kubectl apply --server-side --force-conflicts -f crds >/dev/null
  local image="image.repository=${IMAGE%:*},image.pullPolicy=IfNotPresent"
  [[ $IMAGE != *:* ]] || image+=",image.tag=${IMAGE##*:}"
  # What an earlier act set stays.
  step "installing agents and migrator" helm upgrade --install privacy-operator charts/privacy-operator \
    --namespace "$OPERATOR_NAMESPACE" --create-namespace --wait --timeout 180s --reset-then-reuse-values \
    --set "$image" \
    --set encryption.enabled=true,encryption.apply=true,encryption.migrator.enabled=true
  # The tag is the same for each build: what runs already would go on with the image before.
  kubectl --namespace "$OPERATOR_NAMESPACE" rollout restart deployment/privacy-operator >/dev/null
  kubectl --namespace privacy-operator-encryption rollout restart daemonset/privacy-operator-agent deployment/privacy-operator-migrator >/dev/null
  step "waiting until they are ready" kubectl --namespace "$OPERATOR_NAMESPACE" rollout status deployment/privacy-operator --timeout=180s
}

record() {
  headline "3. The record of processing claims that it is encrypted"
  command_line "kubectl apply -f $EXAMPLE/notice.yaml -f $EXAMPLE/activities.yaml"
  kubectl apply -f "$EXAMPLE/notice.yaml" -f "$EXAMPLE/activities.yaml" >/dev/null
  grep -n 'of: KubernetesSecrets' "$EXAMPLE/activities.yaml" | sed 's/^/  line /'
  wait_until 60 is_observed Unknown || die "the claim should be unknown so far, but it is: $(observed)"
  printf '  observed: %s\n' "$(observed)"
}

rotate() {
  headline "4. The administrator lets the record have it, and the key is rotated in"
  if [ ! -e "$STATE/escrow.txt" ] && have age-keygen; then (umask 077 && age-keygen -o "$STATE/escrow.txt" 2>/dev/null); fi
  local escrow='{none: {}}'
  [ ! -e "$STATE/escrow.txt" ] || escrow="{ageRecipients: [$(age-keygen -y "$STATE/escrow.txt")]}"
  sed 's/^/  /' <<YAML
$(manifest "$escrow")
YAML
  manifest "$escrow" | kubectl apply --server-side --force-conflicts -f - >/dev/null
  echo "Step by step; API servers look for a new file once a minute:"
  local last="" now end=$((SECONDS + 900))
  until is_settled; do
    [ $SECONDS -lt $end ] || die "it does not settle: $(encryption '{.status.nextAction}')"
    now=$(encryption '{.status.step}: readable {.status.readable}, safe to restart {.status.safeToRestartApiServer}; {.status.nextAction}')
    [ "$now" = "$last" ] || printf '  %4d s  %s\n' $SECONDS "$(cut -c1-150 <<<"$now")"
    last=$now
    [ "$(value)" = "$BEFORE" ] || die "the Secret does not read as before, in the middle of the rotation"
    sleep 1
  done
  command_line "kubectl get clusterencryption"
  kubectl get clusterencryption
}

manifest() {
  cat <<YAML
apiVersion: privacy-operator.dev/v1alpha1
kind: ClusterEncryption
metadata: {name: cluster}
spec: {mode: Apply, resources: [secrets], escrow: $1}
YAML
}

is_settled() {
  [ "$(encryption '{.status.phase} {.status.observedGeneration}')" = "Settled $(encryption '{.metadata.generation}')" ] &&
    [ -n "$(encryption '{.status.verified.key}')" ]
}

after() {
  headline "5. The same Secret, and all others"
  local key plain
  key=$(encryption '{.status.activeKey}')
  command_line "etcdctl get /registry/secrets/$NAMESPACE/$SECRET | head -c 60"
  printf '  %s\n' "$(stored)"
  [ "$(stored)" = "k8s:enc:secretbox:v1:$key" ] || die "it is not under the active key $key"
  [ "$(value)" = "$BEFORE" ] || die "the Secret does not read as before"
  plain=$(dev/encryption/stored.sh | awk -v head="k8s:enc:secretbox:v1:$key" '$2 != head')
  [ -z "$plain" ] || die "these are not under the active key: $plain"
  echo "It reads as before, and each of the $(dev/encryption/stored.sh | wc -l) Secrets of the cluster is under the key $key."
  wait_until 90 is_observed True || die "the record does not say so: $(observed)"
  printf '  observed: %s\n' "$(observed)"
}

register() {
  headline "6. The register, as an authority asks for it"
  command_line "privacy-operator register --namespace $NAMESPACE -o html > target/register.html"
  "$BINARY" register --namespace "$NAMESPACE" -o html >target/register.html
  grep -q '</html>' target/register.html || die "target/register.html is no whole page"
  local lines
  lines=$("$BINARY" register --namespace "$NAMESPACE" -o csv | grep ',"measures",')
  cut -d, -f4- <<<"$lines" | grep '^"clusters"' | sed 's/^/  /'
  grep -q '"EncryptionAtRest of KubernetesSecrets","True"' <<<"$lines" ||
    die "the register does not show the encryption of Secrets as seen"
  printf '%sWhat the record says is so, and was seen to be so.%s  (%d s)\n' "$BOLD" "$PLAIN" $SECONDS
  cat <<TEXT

What to try next (first: source $STATE/env):
  kubectl describe ce cluster                        # servers, agents, keys, what comes next
  kubectl patch ce cluster --type merge -p '{"spec":{"rotation":{"request":"again"}}}'      # the next key
  kubectl delete secret encryption-keys -n privacy-operator-encryption                     # it says KeyMaterialMissing; docs/encryption.md
  dev/encryption/reset.sh                            # Secrets in plain text again, as a new cluster has them
TEXT
}

begin
operator
record
rotate
after
register
