#!/usr/bin/env bash
# Command-line tools, pinned by the go.mod files under dev/cluster/tools and built from Go modules.
#   dev/tools.sh            kubectl and helm into .dev/bin, each only when the machine has none
#   dev/tools.sh s3         an S3 server for tests (versitygw) into .dev/bin
#   source dev/tools.sh     the functions below
set -euo pipefail
# shellcheck source=dev/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# go_version MODULE PACKAGE: the version that a go.mod of ours pins.
go_version() { awk -v p="$2" '$1 == p && $2 ~ /^v/ { print $2; exit }' "$TOOLS/$1/go.mod"; }
KUBERNETES=$(go_version k8s k8s.io/kubernetes)

need_go() {
  have go || die "Go is needed to build ${1}: install Go 1.24 or newer (https://go.dev/dl)"
}

# go_build MODULE PACKAGES OUT: static binaries into the folder OUT.
go_build() {
  local module=$1 packages=$2 out=$3 v=k8s.io/component-base/version minor=${KUBERNETES#v1.}
  local -a list
  read -ra list <<<"$packages"
  mkdir -p "$out"
  # CGO_ENABLED=0: static, to run in images that hold nothing else. The versions are those which
  # Kubernetes' own build stamps; kubeadm and kind read them.
  cd "$TOOLS/$module"
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w
    -X $v.gitVersion=$KUBERNETES -X $v.gitMajor=1 -X $v.gitMinor=${minor%%.*} -X $v.gitTreeState=clean
    -X $v.gitCommit=modules -X $v.buildDate=2026-01-01T00:00:00Z" -o "$out/" "${list[@]}"
}

# tools NAME MODULE PACKAGES: sets CACHED to a folder with the binaries.
tools() {
  local name=$1 module=$2 packages=$3 hash
  hash=$(cd "$TOOLS/$module" && { echo "$packages"; find . -type f | LC_ALL=C sort | xargs cat; } | digest -)
  [ -e "$CACHE/$name-$hash" ] || need_go "$name"
  cached "$name-$hash" "building $name from Go modules (minutes, once)" go_build "$module" "$packages"
}

# tools_node: sets NODE_BINARIES to a folder with what runs on a node.
tools_node() {
  tools kubernetes k8s "tool ./cmd/..."
  NODE_BINARIES=$CACHED
  link_tool kubectl "$NODE_BINARIES/kubectl"
}

tools_kind() {
  tools kind kind tool
  link_tool kind "$CACHED/kind"
}

tools_kubectl() {
  # What the node's build holds is there already, and of the right version.
  if [ ! -x "$STATE/bin/kubectl" ] && ! have kubectl; then
    tools kubectl k8s k8s.io/kubernetes/cmd/kubectl
    link_tool kubectl "$CACHED/kubectl"
  fi
}

tools_helm() {
  if [ ! -x "$STATE/bin/helm" ] && ! have helm; then
    tools helm helm tool
    link_tool helm "$CACHED/helm"
  fi
}

# An S3 server that nobody here wrote, a gateway over a folder: where tests deliver archives.
tools_s3() {
  if [ ! -x "$STATE/bin/versitygw" ] && ! have versitygw; then
    tools s3 s3 tool
    link_tool versitygw "$CACHED/versitygw"
  fi
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  if [ "${1:-}" = s3 ]; then
    tools_s3
    exit
  fi
  tools_kubectl
  tools_helm
  for tool in kubectl helm; do
    say "$tool: $(PATH=$STATE/bin:$PATH command -v $tool)"
  done
fi
