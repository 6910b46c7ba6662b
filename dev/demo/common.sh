# shellcheck shell=bash
# What the acts of the demo share: where things are, how steps are shown, the cluster, the operator, the database.
# To be sourced after lib.sh. An act defines explain: what someone would look at first when it goes wrong.
# shellcheck disable=SC2034 # some of this is for the acts

NAMESPACE=kirim-email          # of the example: policy, workers and database
DATABASE_SERVER=kirim-db       # the Service, and the prefix of the Secret with its certificate authority
OPERATOR_NAMESPACE=privacy-operator
EXAMPLE=examples/kirim-email
IMAGE=${IMAGE:-}
BINARY=target/release/privacy-operator

if [ -t 1 ]; then BOLD=$'\033[1m' PLAIN=$'\033[0m'; else BOLD='' PLAIN=''; fi
headline() { printf '\n%s%s%s  (%d s)\n' "$BOLD" "$*" "$PLAIN" $SECONDS; }
command_line() { printf '  $ %s\n' "$*"; }

# slow TEXT COMMAND...: output goes to the log; every ten seconds a line says that it goes on, and where it is.
slow() {
  local text=$1 start=$SECONDS rc=0 job tick=0
  shift
  printf '\n== %s\n' "$text" >>"$LOG"
  set -m # a process group of its own, so that Ctrl-C ends all of it
  "$@" >>"$LOG" 2>&1 </dev/null &
  job=$!
  set +m
  trap 'kill -- -'"$job"' 2>/dev/null; die "interrupted: $text"' INT TERM
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.5
    tick=$((tick + 1))
    [ $((tick % 20)) -ne 0 ] || printf '%4d s  %s ... %s\n' $((SECONDS - start)) "$text" "$(last_words)"
  done
  wait "$job" || rc=$?
  trap - INT TERM
  if [ $rc -ne 0 ]; then
    tail -n 25 "$LOG" >&2
    die "failed after $((SECONDS - start)) s: $text (the whole output is in $LOG)"
  fi
  printf '%4d s  %s\n' $((SECONDS - start)) "$text"
}

last_words() { tail -n 1 "$LOG" | tr -cd '[:print:]' | cut -c1-60; }

k() { kubectl --namespace "$NAMESPACE" "$@"; }

# psql as the owner of the tables; the workers have a role of their own. sql_from reads standard input.
sql_from() { dev/postgres/psql.sh "$NAMESPACE" "$DATABASE_SERVER" -X -q -v ON_ERROR_STOP=1 -d kirim "$@"; }
sql() { sql_from "$@" </dev/null; }

# wait_for SECONDS WHAT COMMAND...: polls, and says what there is to see when it does not happen.
wait_for() {
  local seconds=$1 what=$2 start=$SECONDS next=15
  shift 2
  until "$@"; do
    if [ $((SECONDS - start)) -ge "$seconds" ]; then
      explain
      die "waited $seconds s in vain for $what"
    fi
    if [ $((SECONDS - start)) -ge $next ]; then
      printf '%4d s  waiting for %s\n' $((SECONDS - start)) "$what"
      next=$((next + 15))
    fi
    sleep 0.3
  done
  printf '%4d s  %s\n' $((SECONDS - start)) "$what"
}

# explain_cluster: what is of interest in every act.
explain_cluster() {
  say "-- jobs and pods in $NAMESPACE, and the operator"
  k get cronjobs,jobs,pods || true
  kubectl --namespace "$OPERATOR_NAMESPACE" get pods || true
  kubectl --namespace "$OPERATOR_NAMESPACE" logs deployment/privacy-operator --tail 20 || true
}

cluster() {
  headline "A cluster, the image, the chart's tools"
  make --no-print-directory cluster-up
  make --no-print-directory tools
  # shellcheck source=/dev/null
  . "$STATE/env"
  if [ -n "$IMAGE" ]; then # it is in a registry already
    slow "building the command line tool" cargo build --release --locked
  else
    slow "building the image" make --no-print-directory image
    slow "loading the image into the cluster" make --no-print-directory load-image
    IMAGE=$(built_image)
  fi
  [ -x "$BINARY" ] || die "$BINARY is not there: 'make image' should have built it"
}

# The name under which the cluster has the image that was built.
built_image() {
  tar -xOf target/image/privacy-operator.tar index.json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["manifests"][0]["annotations"]["io.containerd.image.name"])'
}

# worker_role ROLE SECRET GRANTS-ARGUMENT...: the role gets what the files need, and nothing else; its password goes
# straight into a Secret of the namespace.
worker_role() {
  local role=$1 secret=$2 password
  shift 2
  password=$(od -An -tx1 -N18 /dev/urandom | tr -d ' \n')
  command_line "privacy-operator grants --role $role $* | psql"
  "$BINARY" grants --role "$role" "$@" | sql_from
  sql_from <<<"alter role $role password '$password'"
  k create secret generic "$secret" --dry-run=client -o yaml \
    --from-literal=username="$role" --from-file=password=<(printf %s "$password") | k apply -f - >/dev/null
}

database() {
  headline "PostgreSQL with TLS, reached as $DATABASE_SERVER.$NAMESPACE.svc"
  if [ "${CLUSTER:-}" = current ]; then
    export POSTGRES_IMAGE=${POSTGRES_IMAGE:-postgres:15}
  else
    slow "a PostgreSQL image, loaded into the cluster" make --no-print-directory postgres-image
  fi
  slow "starting the database" dev/postgres/deploy.sh "$NAMESPACE" "$DATABASE_SERVER"
  if [ "$(sql -d postgres -At -c "select count(*) from pg_database where datname = 'kirim'")" = 0 ]; then
    sql -d postgres -c 'create database kirim'
  fi
  slow "loading 200,000 log lines, 5,000 accounts, 12,000 contact requests" load_data
}

load_data() {
  sql_from <"$EXAMPLE/schema.sql"
  sql_from <"$EXAMPLE/data.sql"
}

operator() {
  headline "The operator, from its Helm chart"
  "$BINARY" crds | kubectl apply --server-side --force-conflicts -f - >/dev/null
  command_line "helm upgrade --install privacy-operator charts/privacy-operator --namespace $OPERATOR_NAMESPACE --create-namespace"
  slow "installing the chart" helm upgrade --install privacy-operator charts/privacy-operator \
    --namespace "$OPERATOR_NAMESPACE" --create-namespace --set "image.repository=${IMAGE%:*}" --set "image.tag=${IMAGE##*:}"
  # The tag is the same for each build: a running operator would go on with the image before.
  kubectl --namespace "$OPERATOR_NAMESPACE" rollout restart deployment/privacy-operator >/dev/null
  slow "waiting until it is ready" kubectl --namespace "$OPERATOR_NAMESPACE" rollout status deployment/privacy-operator --timeout=180s
}
