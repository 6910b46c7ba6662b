# shellcheck shell=bash
# Certificates for servers in the development cluster. To be sourced after lib.sh.

# server_certificate NAMESPACE NAME: a CA of its own whose key is thrown away, and the certificate of the Service NAME:
# Secrets NAME-ca (ca.crt) and NAME-tls (ca.crt, tls.crt, tls.key).
server_certificate() (
  namespace=$1 name=$2
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  dns=DNS:$name,DNS:$name.$namespace,DNS:$name.$namespace.svc,DNS:$name.$namespace.svc.cluster.local,DNS:localhost
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$name test CA" -keyout "$dir/ca.key" \
    -out "$dir/ca.crt" -addext "keyUsage=critical,keyCertSign,cRLSign" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$dir/tls.key" -out "$dir/tls.csr" 2>/dev/null
  openssl x509 -req -in "$dir/tls.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -days 3650 \
    -out "$dir/tls.crt" 2>/dev/null -extfile <(printf '%s\n' "subjectAltName=$dns" basicConstraints=critical,CA:FALSE \
      keyUsage=critical,digitalSignature,keyEncipherment extendedKeyUsage=serverAuth)
  kubectl --namespace "$namespace" delete secret "$name-ca" "$name-tls" --ignore-not-found >/dev/null
  kubectl --namespace "$namespace" create secret generic "$name-ca" --from-file="$dir/ca.crt" >/dev/null
  kubectl --namespace "$namespace" create secret generic "$name-tls" --from-file="$dir/ca.crt" \
    --from-file="$dir/tls.crt" --from-file="$dir/tls.key" >/dev/null
)
