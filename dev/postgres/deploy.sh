#!/usr/bin/env bash
# deploy.sh NAMESPACE NAME: a PostgreSQL with required TLS in the cluster, reached as NAME.NAMESPACE.svc.
# Secrets: NAME-ca (ca.crt), NAME-admin (username, password). A second run changes nothing.
# POSTGRES_IMAGE=postgres:15 takes the official image, for clusters that can pull it.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=dev/lib.sh
. "$here/../lib.sh"
# shellcheck source=dev/certificates.sh
. "$here/../certificates.sh"
[ $# = 2 ] || die "usage: deploy.sh NAMESPACE NAME"
namespace=$1 name=$2
image=${POSTGRES_IMAGE:-privacy-operator.dev/postgres:15}
[ -f "$STATE/env" ] || die "there is no cluster: make cluster-up"
# shellcheck source=/dev/null
. "$STATE/env"
for word in "$namespace" "$name"; do
  [[ $word =~ ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ ]] || die "'$word' is not a name that Kubernetes takes"
done

k() { kubectl --namespace "$namespace" "$@"; }
exists() { k get "$1" "$2" >/dev/null 2>&1; }

exists namespace "$namespace" || kubectl create namespace "$namespace" >/dev/null
{ exists secret "$name-ca" && exists secret "$name-tls"; } || server_certificate "$namespace" "$name"
exists secret "$name-admin" ||
  k create secret generic "$name-admin" --from-literal=username=postgres --from-literal=password="$(openssl rand -hex 16)" >/dev/null

# New Secrets or a new configuration make a new pod, and with it an empty database.
config=$({ cat "$here/postgres.yaml" && k get secret "$name-tls" "$name-admin" --output jsonpath='{.items[*].metadata.uid}'; } | digest -)
sed -e "s#@NAME@#$name#g; s#@NAMESPACE@#$namespace#g; s#@IMAGE@#$image#g; s#@CONFIG@#$config#g" "$here/postgres.yaml" |
  kubectl apply --filename - >>"$LOG"
k rollout status "statefulset/$name" --timeout=120s >>"$LOG" 2>&1 ||
  die "PostgreSQL $namespace/$name does not get ready: kubectl -n $namespace describe pod $name-0"

# As its users will: by its Service's name, with a verified certificate and the password.
# shellcheck disable=SC2016 # expanded in the pod
wait_until 30 k exec "$name-0" -- sh -c \
  'PGPASSWORD=$(cat /etc/postgres-admin/password) psql "host=$0 user=postgres sslmode=verify-full sslrootcert=/etc/postgres-tls/ca.crt" -c "select 1"' \
  "$name.$namespace.svc" || die "PostgreSQL $namespace/$name runs but does not answer at $name.$namespace.svc"
say "PostgreSQL answers at $name.$namespace.svc:5432 (TLS required; CA in Secret $name-ca, superuser in $name-admin)"
