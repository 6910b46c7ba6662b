#!/usr/bin/env bash
# A Docker engine in a box: mount, network, process and IPC namespaces of its own.
#
# Whatever happens to the engine, the kernel clears up: when the box's first process ends, also by
# SIGKILL, every process in the box ends, and with them go its mounts, bridges and firewall rules. The
# machine's own tables are never touched, and engines of several checkouts do not disturb each other.
# What shows outside is a network interface, box-*, which leads to the box and goes with it, and cgroups.
#
# To be sourced after lib.sh; `box.sh init STATE RUNC` is what runs inside.
set -euo pipefail

# boxes: "PID STATE" of every box that is alive, ours or another checkout's. It asks the kernel and no
# pid file: a box is a process that runs this script's `init` as the first one of its namespace.
boxes() {
  local proc argv
  for proc in /proc/[0-9]*; do
    { mapfile -d '' -t argv <"$proc/cmdline"; } 2>/dev/null || continue
    if [[ ${argv[1]:-} == */dev/cluster/box.sh && ${argv[2]:-} == init ]] &&
      grep -Eqs '^NSpid:.*[[:space:]][0-9]+[[:space:]]1$' "$proc/status"; then
      printf '%s %s\n' "${proc#/proc/}" "${argv[3]}"
    fi
  done
}

box_pid() { boxes | awk -v state="$STATE" '{ pid = $1; sub(/^[0-9]+ /, "") } $0 == state { print pid; exit }'; }
box_is_alive() { [ -n "$(box_pid)" ]; }
box_is_gone() { ! box_is_alive && ! ip link show "$BOX_LINK"; }

# What a box is called outside, also in cgroups: made from the folder's name.
box_link() { printf 'box-%s\n' "$(printf '%s' "$1" | sha256sum | cut -c1-6)"; }

# The box's network: two addresses of 198.18.0.0/15, which is set aside for benchmarks, so that no real
# network is hidden. A restarted box has its old address.
box_network() {
  BOX_LINK=$(box_link "$STATE")
  local hash=$((0x${BOX_LINK#box-}))
  local prefix=198.$((18 + (hash >> 14 & 1))).$((hash >> 6 & 255)) last=$(((hash & 63) * 4))
  BOX_HOST=$prefix.$((last + 1))
  BOX_ADDRESS=$prefix.$((last + 2))
}

# box_start RUNC: the engine listens at $STATE/box.sock.
box_start() {
  local pid inside
  box_network
  # The longest path of a socket inside must fit into 108 bytes.
  [ ${#STATE} -le 60 ] || die "$STATE is too long a path for Unix sockets: set DEV_STATE to a folder of at most 60 characters"
  mkdir -p "$STATE/docker/exec" "$STATE/log" /run/containerd
  rm -f "$STATE/box.sock"
  box_cgroups_swept 2>/dev/null || true
  # A session of its own: Ctrl-C and a closed terminal are not for the engine. It must not hold our lock.
  setsid unshare --mount --net --ipc --pid --fork --kill-child --mount-proc --propagation private \
    bash "$ROOT/dev/cluster/box.sh" init "$STATE" "$1" \
    </dev/null >"$STATE/log/dockerd.log" 2>&1 {STATE_LOCK}>&- &
  wait_until 10 box_is_alive || die "the box did not start: $(tail -n 3 "$STATE/log/dockerd.log")"
  pid=$(box_pid)
  inside="nsenter --target $pid --net ip"
  ip link add "$BOX_LINK" type veth peer name eth0 netns "$pid"
  ip address add "$BOX_HOST/30" dev "$BOX_LINK"
  ip link set "$BOX_LINK" up
  # No default route: the cluster reaches this machine at $BOX_HOST and nothing else. What asks for more
  # hears so at once instead of waiting in vain.
  $inside link set lo up
  $inside link set eth0 up
  $inside address add "$BOX_ADDRESS/30" dev eth0
  wait_until 60 docker --host "unix://$STATE/box.sock" info ||
    die "the Docker engine did not start: $(tail -n 3 "$STATE/log/dockerd.log")"
}

# box_stop: without ceremony, as a power cut; what is worth keeping survives that.
box_stop() {
  local pid
  box_network
  pid=$(box_pid)
  [ -z "$pid" ] || kill -KILL "$pid"
  wait_until 20 box_is_gone || die "the box of $STATE does not end (process $pid, interface $BOX_LINK)"
  rm -f "$STATE/box.sock"
  wait_until 10 box_cgroups_swept || say "note: some empty cgroups of $BOX_LINK stay until the next run"
}

# What dead boxes leave, also those of checkouts that are gone: empty cgroups.
box_cgroups_swept() {
  local top alive left=0
  alive=$(boxes | while read -r _ state; do box_link "$state"; done)
  for top in /sys/fs/cgroup/privacy-operator-dev/* /sys/fs/cgroup/*/privacy-operator-dev/*; do
    if [ -d "$top" ] && ! grep -qxF "${top##*/}" <<<"$alive"; then
      # The kernel may need a moment to see that they are empty.
      find "$top" -depth -type d -exec rmdir {} + || left=1
      rmdir --ignore-fail-on-non-empty "${top%/*}" || true
    fi
  done
  return $left
}

box_init() {
  local runc=$2 dockerd
  STATE=$1
  box_network
  # Fresh at every start, as after a reboot: nothing stale can be met there.
  mount -t tmpfs tmpfs "$STATE/docker/exec"
  mount -t tmpfs tmpfs /run/containerd
  # Containers that the engine starts by itself publish ports at the box's address.
  until ip -4 -o address show | grep -q "$BOX_ADDRESS/"; do sleep 0.1; done
  # The cgroup driver is not systemd's: the machine's systemd knows nothing of the box's process ids.
  dockerd --host "unix://$STATE/box.sock" --data-root "$STATE/docker/data" \
    --exec-root "$STATE/docker/exec" --pidfile "$STATE/docker/exec/docker.pid" \
    --add-runtime "fit=$runc" --default-runtime fit \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/privacy-operator-dev/$BOX_LINK" &
  dockerd=$!
  trap 'kill -TERM $dockerd' TERM INT
  # bash, as the first process, also reaps what is left to it. When the engine ends, the box ends.
  while kill -0 "$dockerd" 2>/dev/null; do wait "$dockerd" || true; done
}

if [ "${BASH_SOURCE[0]}" = "$0" ] && [ "${1:-}" = init ]; then
  box_init "$2" "$3"
fi
