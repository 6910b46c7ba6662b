#!/usr/bin/env bash
# make demo, in two acts, each of which is judged by plain SQL:
#   1. a retention policy, applied in a cluster, removes and masks rows of a PostgreSQL, exactly those that SQL written from
#      the privacy policy expects;
#   2. a person asks for their data, and gets it sealed: every row of theirs, and no other;
#   3. a record of processing asks for encryption, and a Secret that lay in plain text in etcd does so no more.
# Exits 0 only then. The cluster stays; running it again starts over.
#   CLUSTER=current   use the cluster that kubectl now points to (IMAGE=REGISTRY/NAME:TAG names an image it can pull,
#                     S3_IMAGE that of a versitygw)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=dev/lib.sh
. dev/lib.sh
# shellcheck source=dev/demo/common.sh
. dev/demo/common.sh
# shellcheck source=dev/demo/retention.sh
. dev/demo/retention.sh

what_next() {
  cat <<TEXT

The cluster stays up. What to try next (first: source $STATE/env):
  kubectl describe drp $POLICY -n $NAMESPACE           # each rule as a sentence beside its quote, the runs, the ledger
  kubectl create configmap privacy-operator-stop -n $NAMESPACE --from-literal=reason=test   # stops all disposal there
  kubectl delete drp $POLICY -n $NAMESPACE             # removes the CronJob, and no row
  kubectl delete xr --all -n $NAMESPACE                # the request, and its archive with it
  target/release/privacy-operator discover --help      # drafts a DataSource from a database of your own
  make demo, or make cluster-down                      # all of it again, or the cluster away
TEXT
}

cluster
forget_retention
operator
database
act_retention
# Each act has an explain of its own.
# shellcheck source=dev/demo/export.sh
. dev/demo/export.sh
act_export
# Encryption changes how a cluster stores Secrets: only in one of our own.
[ "${CLUSTER:-}" = current ] || IMAGE=$IMAGE dev/demo-encryption.sh
what_next
