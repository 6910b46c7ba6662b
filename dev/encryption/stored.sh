#!/usr/bin/env bash
# stored.sh [NAMESPACE/NAME]: how etcd of the development cluster holds Secrets, read without Kubernetes: one line each, its
# name and the beginning of what is stored. `k8s` is plain text, `k8s:enc:PROVIDER:v1:KEY:` is encrypted.
set -euo pipefail
# shellcheck source=dev/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
use_engine
PATH=$STATE/bin:$PATH
scratch=$(mktemp -d)
forward=
cleanup() { [ -z "$forward" ] || kill "$forward" 2>/dev/null || true; rm -rf "$scratch"; }
trap cleanup EXIT
for file in ca.crt healthcheck-client.crt healthcheck-client.key; do
  docker exec "$NODE" cat "/etc/kubernetes/pki/etcd/$file" >"$scratch/$file"
done
kubectl --namespace kube-system port-forward "pod/etcd-$NODE" :2379 >"$scratch/forward" 2>&1 &
forward=$!
wait_until 15 grep -q 'Forwarding from 127.0.0.1' "$scratch/forward" || die "etcd cannot be reached: $(cat "$scratch/forward")"
port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$scratch/forward" | head -n 1)
python3 - "$scratch" "$port" "${1:-}" <<'PYTHON'
import base64, json, ssl, sys, urllib.request

scratch, port, only = sys.argv[1:4]
context = ssl.create_default_context(cafile=f"{scratch}/ca.crt")
context.load_cert_chain(f"{scratch}/healthcheck-client.crt", f"{scratch}/healthcheck-client.key")
encode = lambda text: base64.b64encode(text.encode()).decode()
begin = f"/registry/secrets/{only}"
query = {"key": encode(begin)} if only else {"key": encode(begin), "range_end": encode("/registry/secrets0")}
request = urllib.request.Request(f"https://127.0.0.1:{port}/v3/kv/range", json.dumps(query).encode())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
answer = json.load(opener.open(request, timeout=30))
for pair in answer.get("kvs", []):
    name = base64.b64decode(pair["key"]).decode().removeprefix("/registry/secrets/")
    value = base64.b64decode(pair["value"])
    head = b":".join(value.split(b":")[:5]) if value.startswith(b"k8s:enc:") else value.split(b"\0")[0]
    print(name, head.decode(errors="replace"))
PYTHON
