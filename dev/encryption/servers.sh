#!/usr/bin/env bash
# Binaries for the rotation tests: etcd, kube-apiserver and kubectl as the development cluster has them, and a
# kube-apiserver that looks for a new encryption configuration every second instead of every minute. The variable is
# the one that Kubernetes' own tests change; here it is changed when the program is compiled.
#   dev/encryption/servers.sh     prints assignments, to be evaluated
set -euo pipefail
# shellcheck source=dev/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"

CONTROLLER=pkg/server/options/encryptionconfig/controller/controller.go

# build_impatient OUT: from a copy of the module, since Go lets no overlay replace files of its module cache.
build_impatient() {
  local out=$1 copy=$1/apiserver
  mkdir -p "$out"
  cd "$TOOLS/k8s"
  cp -r --no-preserve=mode "$(go list -m -f '{{.Dir}}' k8s.io/apiserver)" "$copy"
  sed -i 's/^var EncryptionConfigFileChangePollDuration = time.Minute$/var EncryptionConfigFileChangePollDuration = time.Second/' \
    "$copy/$CONTROLLER"
  grep -q 'PollDuration = time.Second' "$copy/$CONTROLLER" || { say "$CONTROLLER has no such variable any more"; return 1; }
  cp go.mod "$out/impatient.mod"
  cp go.sum "$out/impatient.sum"
  go mod edit -replace "k8s.io/apiserver=$copy" "$out/impatient.mod"
  CGO_ENABLED=0 go build -modfile "$out/impatient.mod" -trimpath -buildvcs=false -ldflags '-s -w' \
    -o "$out/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver
  rm -rf "$copy" "$out"/impatient.*
}

tools_node
cached "impatient-apiserver-$(digest "$TOOLS/k8s/go.mod" "${BASH_SOURCE[0]}")" \
  "building an API server with a one-second poll (minutes, once)" build_impatient
printf 'export KUBERNETES_BINARIES=%q IMPATIENT_APISERVER=%q\n' "$NODE_BINARIES" "$CACHED/kube-apiserver"
