#!/usr/bin/env bash
# make demo: a retention policy, applied in a cluster, removes and masks rows of a PostgreSQL, exactly those that plain
# SQL written from the privacy policy expects. Exits 0 only then. The cluster stays; running it again starts over.
#   CLUSTER=current   use the cluster that kubectl now points to (IMAGE=REGISTRY/NAME:TAG names an image it can pull)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=dev/lib.sh
. dev/lib.sh

NAMESPACE=kirim-email          # of the example: policy, workers and database
DATABASE_SERVER=kirim-db       # the Service, and the prefix of the Secret with its certificate authority
OPERATOR_NAMESPACE=privacy-operator
POLICY=kirim
ROLE=kirim_retention           # of the workers, in the database
EXAMPLE=examples/kirim-email
IMAGE=${IMAGE:-}
BINARY=target/release/privacy-operator

# ---------------------------------------------------------------------------------------------- what the steps share

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

# of_policy JSONPATH: a field of the policy.
of_policy() { k get dataretentionpolicy "$POLICY" -o "jsonpath=$1"; }

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

# explain: what someone would look at first.
explain() {
  {
    say "-- what the policy says"
    of_policy '{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}' || true
    of_policy '{range .status.rules[*]}{.name}: {.problem.reason} {.problem.message}{"\n"}{end}' || true
    say "-- jobs and pods in $NAMESPACE, and the operator"
    k get cronjobs,jobs,pods || true
    kubectl --namespace "$OPERATOR_NAMESPACE" get pods || true
    kubectl --namespace "$OPERATOR_NAMESPACE" logs deployment/privacy-operator --tail 20 || true
  } >&2
}

# ---------------------------------------------------------------------------------------------------------- the steps

cluster() {
  headline "1. A cluster, the image, the chart's tools"
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

# What an earlier demo left goes: the policy first, so that nothing sweeps while the data is replaced.
start_over() {
  kubectl get namespace "$NAMESPACE" >/dev/null 2>&1 || kubectl create namespace "$NAMESPACE" >/dev/null
  if kubectl get crd dataretentionpolicies.privacy-operator.dev >/dev/null 2>&1; then
    k delete dataretentionpolicies,datasources --all --wait >/dev/null
  fi
  k delete configmap privacy-operator-stop --ignore-not-found >/dev/null
  k delete cronjobs,jobs --selector app.kubernetes.io/managed-by=privacy-operator --cascade=foreground --wait >/dev/null
}

database() {
  headline "3. PostgreSQL with TLS, reached as $DATABASE_SERVER.$NAMESPACE.svc"
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

# The role gets what the two files need, and nothing else; its password goes straight into a Secret of the namespace.
role() {
  local password
  password=$(od -An -tx1 -N18 /dev/urandom | tr -d ' \n')
  command_line "privacy-operator grants --role $ROLE $EXAMPLE/datasource.yaml $EXAMPLE/policy.yaml | psql"
  "$BINARY" grants --role "$ROLE" "$EXAMPLE/datasource.yaml" "$EXAMPLE/policy.yaml" | sql_from
  sql_from <<<"alter role $ROLE password '$password'"
  k create secret generic kirim-db-retention --dry-run=client -o yaml \
    --from-literal=username="$ROLE" --from-file=password=<(printf %s "$password") | k apply -f - >/dev/null
}

operator() {
  headline "2. The operator, from its Helm chart"
  "$BINARY" crds | kubectl apply --server-side --force-conflicts -f - >/dev/null
  command_line "helm upgrade --install privacy-operator charts/privacy-operator --namespace $OPERATOR_NAMESPACE --create-namespace"
  slow "installing the chart" helm upgrade --install privacy-operator charts/privacy-operator \
    --namespace "$OPERATOR_NAMESPACE" --create-namespace --set "image.repository=${IMAGE%:*}" --set "image.tag=${IMAGE##*:}"
  # The tag is the same for each build: a running operator would go on with the image before.
  kubectl --namespace "$OPERATOR_NAMESPACE" rollout restart deployment/privacy-operator >/dev/null
  slow "waiting until it is ready" kubectl --namespace "$OPERATOR_NAMESPACE" rollout status deployment/privacy-operator --timeout=180s
}

first_look() {
  headline "4. The policy in Observe: look first"
  command_line "kubectl apply -f $EXAMPLE/datasource.yaml -f $EXAMPLE/policy.yaml"
  kubectl apply -f "$EXAMPLE/datasource.yaml" -f "$EXAMPLE/policy.yaml" >/dev/null
  wait_for 180 "the first look at the data" looked
  command_line "kubectl get drp --namespace $NAMESPACE"
  k get dataretentionpolicies
  expect "$(of_policy '{.status.runs[0].startedAt}')"
  agree due "What would go, as the status says and as plain SQL counts it:"
  [ "$(sql -At -c 'table expectation.untouched')" = 0 ] || die "Observe must not write, but rows of the tables were written"
  echo "Nothing was written so far: every row is as it was loaded."
}

looked() { [ "$(of_policy '{.status.runs[0].mode} {.status.runs[0].result}')" = "Observe Done" ]; }

# expect TIME: lets plain SQL judge every row, for a run at that time.
expect() {
  sql_from -v as_of="$1" -v slack="$(of_policy '{.status.slackSeconds}')" <"$EXAMPLE/expected.sql"
}

# agree COLUMN TEXT: shows the status of each rule beside plain SQL; they must be the same. Columns: due, affected.
agree() {
  local column=$1 rows
  rows= # a count that is not there is none: 0 before the digits makes it one
  rows=$(of_policy "{range .status.rules[*]}('{.name}',0{.$column}),{end}")
  echo "$2"
  sql -c "select rule, status, sql, case when status = sql then 'same' else 'DIFFERENT' end as verdict
          from (values ${rows%,}) as reported (rule, status)
          full join (select position, rule, $column as sql from expectation.rules) as counted using (rule) order by position"
  [ "$(sql -At -c "select count(*) from (values ${rows%,}) as reported (rule, status)
          full join expectation.rules using (rule) where status is distinct from $column")" = 0 ] ||
    die "status and plain SQL differ"
}

enforce() {
  headline "5. Enforce, with a word for the backlog"
  local due generation until patch
  due=$(of_policy '{.status.due}')
  generation=$(of_policy '{.metadata.generation}')
  until=$(sql -At -c "select (now() at time zone 'Asia/Jakarta')::date + 1")
  echo "The limits stop a run that touches more than 50,000 rows or a quarter of a table. This backlog was looked at:"
  patch="{\"spec\": {\"mode\": \"Enforce\", \"approve\": {\"upToRows\": $due, \"generation\": $generation, \"until\": \"$until\"}}}"
  command_line "kubectl patch drp $POLICY --namespace $NAMESPACE --type merge --patch '$patch'"
  k patch dataretentionpolicy "$POLICY" --type merge --patch "$patch" >/dev/null
  wait_for 60 "the operator to take it over" taken_over
}

# The status speaks of this generation, and the CronJob carries the plan that it names.
taken_over() {
  [ "$(of_policy '{.status.observedGeneration}')" = "$(of_policy '{.metadata.generation}')" ] &&
    [ "$(cron_job '{.items[0].spec.jobTemplate.metadata.labels.privacy-operator\.dev/plan}')" = "$(of_policy '{.status.planHash}')" ]
}

cron_job() { k get cronjobs --selector "privacy-operator.dev/policy=$POLICY" -o "jsonpath=$1"; }

run_now() {
  headline "6. A run, now instead of at the next slot"
  local cron_job
  cron_job=$(cron_job '{.items[0].metadata.name}')
  JOB=$POLICY-now-$(date +%s)
  command_line "kubectl create job $JOB --from=cronjob/$cron_job --namespace $NAMESPACE"
  k create job "$JOB" --from="cronjob/$cron_job" >/dev/null
  wait_for 600 "the status to report the run" reported
  command_line "kubectl get drp --namespace $NAMESPACE"
  k get dataretentionpolicies
}

of_run() { of_policy "{.status.runs[?(@.job==\"$JOB\")].$1}"; }
reported() { [ -n "$(of_run finishedAt)" ] && [ -n "$(of_run result)" ]; }

judge() {
  headline "7. Before and after, row by row, by plain SQL"
  [ "$(of_run result)" = Done ] || { explain; die "the run ended with $(of_run result)"; }
  expect "$(of_run startedAt)"
  sql -c 'table expectation.comparison'
  agree affected "What the run touched, as the status says and as plain SQL expects it:"
  [ "$(sql -At -c 'select sum(missing + surplus + wrong + rewritten) from expectation.comparison')" = 0 ] ||
    die "not exactly the right rows went: see the table above"
  [ "$(of_policy '{.status.due}')" = 0 ] || die "the status says that $(of_policy '{.status.due}') rows are still due"
  printf '%sExactly the right rows went, and the status says so.%s  (%d s)\n' "$BOLD" "$PLAIN" $SECONDS
}

what_next() {
  cat <<TEXT

The cluster stays up. What to try next (first: source $STATE/env):
  kubectl describe drp $POLICY -n $NAMESPACE           # each rule as a sentence beside its quote, the runs, the ledger
  kubectl create configmap privacy-operator-stop -n $NAMESPACE --from-literal=reason=test   # stops all disposal there
  kubectl delete drp $POLICY -n $NAMESPACE             # removes the CronJob, and no row
  target/release/privacy-operator discover --help      # drafts a DataSource from a database of your own
  make demo, or make cluster-down                      # all of it again, or the cluster away
TEXT
}

cluster
start_over
operator
database
role
first_look
enforce
run_now
judge
what_next
# Encryption changes how a cluster stores Secrets: only in one of our own.
[ "${CLUSTER:-}" = current ] || IMAGE=$IMAGE dev/demo-encryption.sh
