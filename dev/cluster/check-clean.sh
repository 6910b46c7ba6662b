#!/usr/bin/env bash
# Checks that nothing of this checkout's cluster is left: no process, mount, network interface,
# firewall chain or cgroup. Says what is, and then fails. `check-clean.sh record`, which up.sh calls,
# notes which interfaces and chains are there before, because those are not ours.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=dev/lib.sh
. "$here/../lib.sh"
# shellcheck source=dev/cluster/box.sh
. "$here/box.sh"

# Interfaces and chains of a kind that Docker, kind and CNI make.
network_picture() {
  {
    ip -o link show | awk -F'[ @:]+' '{ print "interface", $2 }' | grep -E ' (docker0|br-|veth|cni)' || true
    for table in iptables-save ip6tables-save; do
      { "$table" 2>/dev/null || true; } | sed -n "s/^:\([^ ]*\(DOCKER\|KIND\|KUBE\|CNI\)[^ ]*\) .*/chain \1 ($table)/p"
    done
  } | LC_ALL=C sort
}

leftovers() {
  local proc
  box_network
  for proc in /proc/[0-9]*; do
    if grep -qsF "$STATE" "$proc/cmdline" && grep -qsE 'dockerd|containerd|box\.sh' "$proc/cmdline"; then
      echo "process ${proc#/proc/}: $(tr '\0' ' ' <"$proc/cmdline")"
    fi
  done
  awk -v under="$STATE/" 'index($5, under) == 1 { print "mount " $5 }' /proc/self/mountinfo
  ip -o link show "$BOX_LINK" 2>/dev/null || true
  find /sys/fs/cgroup -maxdepth 3 -type d -path "*/privacy-operator-dev/$BOX_LINK"
  LC_ALL=C comm -13 <(cat "$STATE/network-before" 2>/dev/null) <(network_picture)
}

if [ "${1:-}" = record ]; then
  network_picture >"$STATE/network-before"
else
  left=$(leftovers)
  [ -z "$left" ] || die "left behind:"$'\n'"$left"
  say "clean: no process, mount, interface, firewall chain or cgroup of $STATE"
fi
