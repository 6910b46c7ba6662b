#!/usr/bin/env bash
# request.sh NAMESPACE NAME PATH [curl's arguments]: a signed request to the S3 server of deploy.sh, from outside of the
# cluster: its certificate is checked as its users check it.
set -euo pipefail
# shellcheck source=dev/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
[ $# -ge 3 ] || die "usage: request.sh NAMESPACE NAME PATH [curl's arguments]"
namespace=$1 name=$2 path=$3
shift 3
[ -f "$STATE/env" ] || die "there is no cluster: make cluster-up"
# shellcheck source=/dev/null
. "$STATE/env"
host=$name.$namespace.svc

secret() { kubectl --namespace "$namespace" get secret "$1" --output "go-template={{index .data \"$2\" | base64decode}}"; }

dir=$(mktemp -d)
kubectl --namespace "$namespace" port-forward "$name-0" :7070 >"$dir/forward" 2>&1 &
forward=$!
trap 'kill $forward 2>/dev/null || true; rm -rf "$dir"' EXIT
secret "$name-ca" ca.crt >"$dir/ca.crt"
# Not as an argument: arguments can be seen by every process.
printf 'user = "%s:%s"\n' "$(secret "$name-credentials" accessKeyId)" "$(secret "$name-credentials" secretAccessKey)" >"$dir/curlrc"
wait_until 20 grep -q '^Forwarding from 127' "$dir/forward" || die "no way to $namespace/$name: $(cat "$dir/forward")"
port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$dir/forward" | head -n 1)
curl --silent --show-error --config "$dir/curlrc" --aws-sigv4 aws:amz:us-east-1:s3 \
  --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --cacert "$dir/ca.crt" --connect-to "$host:7070:127.0.0.1:$port" "https://$host:7070/$path" "$@"
