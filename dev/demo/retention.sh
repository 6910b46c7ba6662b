# shellcheck shell=bash
# The first act: a retention policy removes and masks rows, exactly those that plain SQL written from the privacy policy
# expects. To be sourced after common.sh.

POLICY=kirim

# of_policy JSONPATH: a field of the policy.
of_policy() { k get dataretentionpolicy "$POLICY" -o "jsonpath=$1"; }

explain() {
  {
    say "-- what the policy says"
    of_policy '{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}' || true
    of_policy '{range .status.rules[*]}{.name}: {.problem.reason} {.problem.message}{"\n"}{end}' || true
    explain_cluster
  } >&2
}

# What an earlier demo left goes: the policy first, so that nothing sweeps while the data is replaced.
forget_retention() {
  kubectl get namespace "$NAMESPACE" >/dev/null 2>&1 || kubectl create namespace "$NAMESPACE" >/dev/null
  if kubectl get crd dataretentionpolicies.privacy-operator.dev >/dev/null 2>&1; then
    k delete dataretentionpolicies,datasources --all --wait >/dev/null
  fi
  k delete configmap privacy-operator-stop --ignore-not-found >/dev/null
  k delete cronjobs,jobs --selector app.kubernetes.io/managed-by=privacy-operator --cascade=foreground --wait >/dev/null
}

# act_retention: from the first look to the comparison.
act_retention() {
  worker_role kirim_retention kirim-db-retention "$EXAMPLE/datasource.yaml" "$EXAMPLE/policy.yaml"
  first_look
  enforce
  run_now
  judge
}

first_look() {
  headline "The policy in Observe: look first"
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
  headline "Enforce, with a word for the backlog"
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
  headline "A run, now instead of at the next slot"
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
  headline "Before and after, row by row, by plain SQL"
  [ "$(of_run result)" = Done ] || { explain; die "the run ended with $(of_run result)"; }
  expect "$(of_run startedAt)"
  sql -c 'table expectation.comparison'
  agree affected "What the run touched, as the status says and as plain SQL expects it:"
  [ "$(sql -At -c 'select sum(missing + surplus + wrong + rewritten) from expectation.comparison')" = 0 ] ||
    die "not exactly the right rows went: see the table above"
  [ "$(of_policy '{.status.due}')" = 0 ] || die "the status says that $(of_policy '{.status.due}') rows are still due"
  printf '%sExactly the right rows went, and the status says so.%s  (%d s)\n' "$BOLD" "$PLAIN" $SECONDS
}
