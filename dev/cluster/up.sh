#!/usr/bin/env bash
# Brings up the development cluster, or repairs it, or finds that it is well.
#   CLUSTER=current   use the cluster that kubectl now points to instead (asks; CONFIRM=yes answers)
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
current_config=${KUBECONFIG:-$HOME/.kube/config}
# shellcheck source=dev/cluster/node/build.sh
. "$here/node/build.sh"
# shellcheck source=dev/cluster/box.sh
. "$here/box.sh"

STOCK_IMAGE=kindest/node:v1.34.0 # the one that kind v0.30.0 is made for

# shellcheck disable=SC2153 # STATE is lib.sh's
write_env() {
  {
    printf 'export KUBECONFIG=%q\n' "$KUBECONFIG"
    # shellcheck disable=SC2016 # expanded by who sources it
    printf 'case ":$PATH:" in *:%q:*) ;; *) export PATH=%q:"$PATH" ;; esac\n' "$STATE/bin" "$STATE/bin"
    if [ "${DOCKER_HOST:-}" = "unix://$STATE/box.sock" ]; then
      printf 'export DOCKER_HOST=%q\n' "$DOCKER_HOST"
      # The API server is a neighbour; a proxy for the Internet does not know it.
      # shellcheck disable=SC2016
      printf 'export NO_PROXY="%s${NO_PROXY:+,$NO_PROXY}" no_proxy="%s${no_proxy:+,$no_proxy}"\n' "$BOX_ADDRESS" "$BOX_ADDRESS"
    fi
  } >"$STATE/env.tmp"
  mv "$STATE/env.tmp" "$STATE/env"
}

# CLUSTER=current: nothing is created; the kubeconfig of .dev then names that cluster only.
use_current_cluster() {
  local context answer=${CONFIRM:-}
  [ ! -e "$STATE/created" ] || die "this checkout has a cluster of its own: make cluster-down first"
  tools_kubectl
  PATH=$STATE/bin:$PATH
  context=$(KUBECONFIG=$current_config kubectl config current-context 2>/dev/null) ||
    die "CLUSTER=current: kubectl has no current context; choose one with 'kubectl config use-context NAME'"
  say "CLUSTER=current: the current kubectl context is '$context'; tests and demos will create and delete objects there"
  if [ "$answer" != yes ]; then
    [ -t 0 ] || die "not confirmed: say CONFIRM=yes, or run this from a terminal to be asked"
    read -r -p "Use '$context'? [y/N] " answer
    [ "$answer" = y ] || [ "$answer" = yes ] || die "not confirmed, nothing was changed"
  fi
  KUBECONFIG=$current_config kubectl config view --minify --flatten --context "$context" >"$KUBECONFIG.tmp"
  chmod 600 "$KUBECONFIG.tmp"
  mv "$KUBECONFIG.tmp" "$KUBECONFIG"
  echo current >"$STATE/engine"
  write_env
  wait_until 10 kubectl get --raw /readyz || die "the cluster of context '$context' does not answer"
  say "using the cluster of context '$context'"
}

engine_answers() { timeout 10 docker info >/dev/null 2>&1; }

can_have_stock_image() {
  docker image inspect "$STOCK_IMAGE" >/dev/null 2>&1 || timeout 20 docker manifest inspect "$STOCK_IMAGE" >/dev/null 2>&1
}

# choose_engine: sets ENGINE to system or own, IMAGE to stock or built, and says why.
choose_engine() {
  ENGINE=own IMAGE=built
  if [ "$(cat "$STATE/engine" 2>/dev/null)" = own ] && [ -d "$STATE/docker/data" ]; then
    : # it was chosen before; choosing anew is for after cluster-down
  elif have docker && engine_answers; then
    ENGINE=system
    if can_have_stock_image; then
      IMAGE=stock
      say "this machine's Docker engine answers and has or can pull $STOCK_IMAGE: using both"
    else
      say "this machine's Docker engine answers but cannot pull $STOCK_IMAGE: using a node image of our own on it"
      can_build
    fi
  else
    can_build
    say "no Docker engine answers: starting one of our own, with a node image of our own"
  fi
}

can_build() {
  local instead="install Docker with access to an image registry, or use a cluster of yours with CLUSTER=current"
  [ "$(uname -s)" = Linux ] || die "without a Docker engine that can pull images, the cluster can be built on Linux only: $instead"
  [ "$(id -u)" = 0 ] || die "without a Docker engine that can pull images, the cluster has to be built as root: use sudo, or $instead"
  have apt-get || die "without a Docker engine that can pull images, the cluster is built from Debian packages, and here is no apt-get: $instead"
}

start_engine() {
  if [ $ENGINE = own ]; then
    need_packages "to run a Docker engine" docker.io iptables iproute2
    box_network
    export DOCKER_HOST=unix://$STATE/box.sock
    boxes | while read -r pid state; do
      [ "$state" = "$STATE" ] || say "note: the cluster of $state runs too (to stop it: kill $pid)"
    done
    if box_is_alive && ! engine_answers; then
      say "our Docker engine does not answer: restarting it"
      box_stop
    fi
    if ! box_is_alive; then
      tools_node
      "$here/check-clean.sh" record
      step "starting our Docker engine" box_start "$NODE_BINARIES/runc-fit"
    fi
  fi
  echo $ENGINE >"$STATE/engine"
}

node_state() {
  local state
  state=$(docker container inspect --format '{{.State.Status}}' "$NODE" 2>/dev/null) || state=absent
  echo "$state"
}

api_is_ready() { timeout 10 kubectl get --raw /readyz >/dev/null 2>&1; }

is_well() {
  [ -e "$STATE/created" ] && [ "$(node_state)" = running ] && api_is_ready &&
    timeout 10 kubectl wait --for=condition=Ready node --all --timeout=0 >/dev/null 2>&1
}

# recipe: what decides how a cluster is made, as a hash.
recipe() { digest "$here"/*.yaml "$NODE_DIR"/* "$TOOLS"/{k8s,kind}/go.mod; }

create_cluster() {
  local address=127.0.0.1 port=0 own_cni=true
  # In our box every port is free; kind looks for a free one outside of it.
  [ $ENGINE = system ] || { address=$BOX_ADDRESS; port=6443; }
  if [ $IMAGE = stock ]; then
    own_cni=false NODE_IMAGE=$STOCK_IMAGE
  else
    node_image
  fi
  rm -rf "$STATE/encryption" "$STATE/created"
  mkdir -m 700 "$STATE/encryption"
  cp "$here/encryption-config.yaml" "$STATE/encryption/"
  sed -e "s#@STATE@#$STATE#; s#@API_ADDRESS@#$address#; s#@API_PORT@#$port#; s#@OWN_CNI@#$own_cni#" \
    "$here/kind-config.yaml" >"$STATE/kind-config.yaml"
  step "creating the cluster" kind create cluster --name "$CLUSTER_NAME" --image "$NODE_IMAGE" \
    --config "$STATE/kind-config.yaml" --wait 180s
  step "waiting for the cluster's DNS" kubectl --namespace kube-system rollout status deployment/coredns --timeout 120s
  recipe >"$STATE/created"
}

# A node that was stopped, or died with the engine, keeps its etcd: starting it is enough, as after a
# reboot. One that runs gets a moment to recover by itself (systemd and kubelet restart what died).
repair_cluster() {
  say "the cluster is there but not well (node: $(node_state)): repairing it"
  if [ "$(node_state)" != running ] || ! wait_until 45 is_well; then
    docker restart --time 3 "$NODE" >>"$LOG" 2>&1 || return 1
  fi
  kind export kubeconfig --name "$CLUSTER_NAME" >>"$LOG" 2>&1 || return 1
  wait_until 90 is_well || return 1
  say "the cluster $CLUSTER_NAME is well again after $SECONDS s"
}

up() {
  lock_state
  use_engine
  box_network
  PATH=$STATE/bin:$PATH
  if [ -e "$STATE/created" ] && have kubectl && have docker && is_well; then
    write_env
    say "the cluster $CLUSTER_NAME is up and well"
    [ "$(cat "$STATE/created")" = "$(recipe)" ] ||
      say "note: it was made by another version of dev/cluster; 'make cluster-down cluster-up' makes it anew"
    return
  fi
  choose_engine
  # What takes minutes comes first, side by side; a repair needs none of it.
  [ $IMAGE = stock ] || [ -e "$STATE/created" ] || node_image_parts
  start_engine
  tools_kind
  tools_kubectl
  case $(node_state) in
    absent) create_cluster ;;
    *)
      if [ ! -e "$STATE/created" ]; then
        say "the cluster was created only in part: creating it anew"
      elif repair_cluster; then
        write_env
        return
      else
        say "it does not get well: creating it anew (what was in it is lost)"
      fi
      step "deleting the old cluster" kind delete cluster --name "$CLUSTER_NAME"
      create_cluster
      ;;
  esac
  write_env
  say "the cluster $CLUSTER_NAME is up after $SECONDS s; for your shell: source $STATE/env"
}

case ${CLUSTER:-} in
  '') up ;;
  current) use_current_cluster ;;
  *) die "CLUSTER=$CLUSTER is not known: leave it out, or say CLUSTER=current" ;;
esac
