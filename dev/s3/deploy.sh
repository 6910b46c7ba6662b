#!/usr/bin/env bash
# deploy.sh NAMESPACE NAME BUCKET: an S3 server with TLS in the cluster, reached as https://NAME.NAMESPACE.svc:7070, with a
# bucket. Secrets: NAME-ca (ca.crt), NAME-credentials (accessKeyId, secretAccessKey). A second run changes nothing.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=dev/lib.sh
. "$here/../lib.sh"
# shellcheck source=dev/certificates.sh
. "$here/../certificates.sh"
[ $# = 3 ] || die "usage: deploy.sh NAMESPACE NAME BUCKET"
namespace=$1 name=$2 bucket=$3
image=${S3_IMAGE:-privacy-operator.dev/s3:1}
[ -f "$STATE/env" ] || die "there is no cluster: make cluster-up"
# shellcheck source=/dev/null
. "$STATE/env"

k() { kubectl --namespace "$namespace" "$@"; }
exists() { k get "$1" "$2" >/dev/null 2>&1; }

exists namespace "$namespace" || kubectl create namespace "$namespace" >/dev/null
{ exists secret "$name-ca" && exists secret "$name-tls"; } || server_certificate "$namespace" "$name"
exists secret "$name-credentials" ||
  k create secret generic "$name-credentials" --from-literal=accessKeyId=archives \
    --from-literal=secretAccessKey="$(openssl rand -hex 16)" >/dev/null

# New Secrets make a new pod, and with it an empty store.
config=$({ cat "$here/s3.yaml" && k get secret "$name-tls" "$name-credentials" --output jsonpath='{.items[*].metadata.uid}'; } | digest -)
sed -e "s#@NAME@#$name#g; s#@NAMESPACE@#$namespace#g; s#@IMAGE@#$image#g; s#@CONFIG@#$config#g" "$here/s3.yaml" |
  kubectl apply --filename - >>"$LOG"
k rollout status "statefulset/$name" --timeout=120s >>"$LOG" 2>&1 ||
  die "the S3 server $namespace/$name does not get ready: kubectl -n $namespace describe pod $name-0"

code=$("$here/request.sh" "$namespace" "$name" "$bucket" --head --output /dev/null --write-out '%{http_code}')
[ "$code" = 200 ] || "$here/request.sh" "$namespace" "$name" "$bucket" --request PUT --fail-with-body
say "an S3 server answers at https://$name.$namespace.svc:7070 (CA in Secret $name-ca, keys in $name-credentials)"
