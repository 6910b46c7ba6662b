# shellcheck shell=bash
# What the scripts under dev/ share: where things are, progress lines, the cache.
# To be sourced; `set -euo pipefail` is theirs.
# shellcheck disable=SC2034 # most of this is for those who source it

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
STATE=${DEV_STATE:-$ROOT/.dev}                            # all that belongs to this checkout
# A Unix socket's path may have 107 bytes, and the engine puts some 45 below this one: a checkout with a long path keeps
# its state in a short place, and .dev points there.
if [ -z "${DEV_STATE:-}" ] && [ ${#STATE} -gt 60 ]; then
  short=/tmp/privacy-operator-$(printf %s "$STATE" | sha256sum | cut -c1-12)
  mkdir -p "$short"
  ln -sfnT "$short" "$STATE"
  STATE=$short
fi
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/privacy-operator    # what is costly, for all checkouts
LOG=$STATE/log/dev.log
CLUSTER_NAME=privacy-operator
NODE=$CLUSTER_NAME-control-plane                          # kind names its containers so
TOOLS=$ROOT/dev/cluster/tools
export KUBECONFIG=$STATE/kubeconfig
mkdir -p "$STATE/log" "$STATE/bin"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# step TEXT COMMAND...: a slow step. Its output goes to the log; the line says how long it took.
# Not to be called in a condition: `set -e` would not hold in COMMAND.
step() {
  local text=$1 start=$SECONDS rc=0
  shift
  printf '\n== %s (%s)\n' "$text" "$(date -u +%FT%TZ)" >>"$LOG"
  ( set -e; "$@" ) >>"$LOG" 2>&1 & # in the background, so that `||` below does not disarm `set -e`
  wait $! || rc=$?
  if [ $rc -ne 0 ]; then
    tail -n 25 "$LOG" >&2
    die "failed after $((SECONDS - start)) s: $text (the whole output is in $LOG)"
  fi
  printf '%4d s  %s\n' $((SECONDS - start)) "$text" >&2
}

# wait_until SECONDS COMMAND...: polls until COMMAND succeeds.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.3
  done
}

# digest FILE...: a short hash of their content, for names in the cache.
digest() { cat "$@" | sha256sum | cut -c1-12; }

# cached NAME TEXT COMMAND...: sets CACHED to the file or folder NAME in the cache. When it is not
# there, COMMAND makes it at the path which it gets as its last argument. Runs of other checkouts wait
# for each other; a killed run leaves nothing that could be taken for the whole.
cached() {
  local name=$1 text=$2 lock
  shift 2
  CACHED=$CACHE/$name
  if [ ! -e "$CACHED" ]; then
    mkdir -p "$CACHE"
    exec {lock}>"$CACHE/.lock-${name%-*}"
    flock -n "$lock" || { say "waiting for another run that makes $CACHED"; flock "$lock"; }
    if [ ! -e "$CACHED" ]; then
      rm -rf "$CACHE"/tmp-"${name%-*}"-*
      step "$text" "$@" "$CACHE/tmp-$name"
      mv "$CACHE/tmp-$name" "$CACHED"
    fi
    exec {lock}>&-
  fi
  touch "$CACHED"
  # What no checkout has used for a month was made for another version.
  find "$CACHE" -maxdepth 1 -name "${name%-*}-????????????*" -mtime +30 -exec rm -rf {} +
}

# lock_state: one script at a time changes this checkout's cluster.
lock_state() {
  exec {STATE_LOCK}>"$STATE/lock"
  flock -n "$STATE_LOCK" || { say "waiting for another run in $STATE"; flock "$STATE_LOCK"; }
}

# need_packages WHY PACKAGE...: installs what is missing, where that is possible.
need_packages() {
  local why=$1 package missing=()
  shift
  for package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing Debian packages ($why): ${missing[*]}"
  step "apt-get update" apt-get update -qq
  step "apt-get install" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# link_tool NAME PATH: what .dev/env puts first on the PATH.
link_tool() { ln -sfn "$2" "$STATE/bin/$1"; }

# use_engine: the Docker engine of this checkout: ours when we started one, else the machine's, and not
# that of another checkout whose .dev/env this shell has sourced.
use_engine() {
  case ${DOCKER_HOST:-} in
    */box.sock) unset DOCKER_HOST ;;
  esac
  case $(cat "$STATE/engine" 2>/dev/null) in
    own) export DOCKER_HOST=unix://$STATE/box.sock ;;
  esac
}
