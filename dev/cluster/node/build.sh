#!/usr/bin/env bash
# Our own node image, for where kind's cannot be pulled. To be sourced.
#   node_image_parts   builds what goes into it: binaries from Go modules, a file system from Debian packages
#   node_image         does that too and sets NODE_IMAGE, an image that the engine at $DOCKER_HOST has

# shellcheck source=dev/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tools.sh"
# shellcheck source=dev/image/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../image/debian.sh"
NODE_DIR=$ROOT/dev/cluster/node
NODE_PACKAGES=systemd,dbus,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,bash
NODE_PACKAGES+=,ca-certificates,jq,procps,containerd,runc,containernetworking-plugins,hostname,findutils

node_image_parts() {
  # The two have nothing in common but the cache: side by side.
  debian_rootfs node-rootfs --include="$NODE_PACKAGES" &
  local beside=$!
  tools_node
  wait $beside
  debian_rootfs node-rootfs --include="$NODE_PACKAGES"
  NODE_ROOTFS=$CACHED
}

# build_node_image TAG OUT.tar: docker builds it; the archive serves every checkout.
build_node_image() {
  local tag=$1 out=$2 context=$STATE/node-context kind_files
  kind_files=$(cd "$TOOLS/kind" && go list -m -f '{{.Dir}}' sigs.k8s.io/kind)/images/base/files
  rm -rf "$context"
  mkdir -p "$context/kind"
  cp -r --no-preserve=mode "$kind_files"/. "$context/kind/"
  rm -r "$context/kind/LICENSES"
  printf '%s' "$KUBERNETES" >"$context/kind/kind/version"
  cp "$NODE_DIR"/{Dockerfile,containerd.toml,cni.conflist,kubelet-services.conf,storage.yaml} "$context/"
  ln "$NODE_ROOTFS" "$context/rootfs.tar" 2>/dev/null || cp "$NODE_ROOTFS" "$context/rootfs.tar"
  cp "$NODE_BINARIES"/{kubelet,kubeadm,kubectl,runc-fit} "$context/"
  python3 "$NODE_DIR/images.py" "$NODE_BINARIES" "$NODE_ROOTFS" "$KUBERNETES" "$context/images.tar"
  # The classic builder: BuildKit is a plugin of its own, which Debian does not have.
  DOCKER_BUILDKIT=0 docker build --network none --force-rm --tag "$tag" "$context"
  docker save --output "$out" "$tag"
  docker image prune --force --filter label=dev.privacy-operator.stage
  rm -rf "$context"
}

node_image() {
  local hash
  node_image_parts
  hash=$({ echo "$NODE_BINARIES $NODE_ROOTFS"; cat "$NODE_DIR"/* "$ROOT/dev/image/oci.py" "$TOOLS/kind/go.mod"; } | digest -)
  NODE_IMAGE=privacy-operator.dev/kind-node:$hash
  docker image inspect "$NODE_IMAGE" >/dev/null 2>&1 && return
  cached "node-image-$hash" "building the node image" build_node_image "$NODE_IMAGE"
  docker image inspect "$NODE_IMAGE" >/dev/null 2>&1 ||
    step "loading the node image" docker load --quiet --input "$CACHED"
  # Former node images of ours are of no use; one that a container still has is left.
  docker image ls --format '{{.Repository}}:{{.Tag}}' "${NODE_IMAGE%:*}" | grep -vxF "$NODE_IMAGE" |
    xargs --no-run-if-empty docker image rm >/dev/null 2>&1 || true
}
