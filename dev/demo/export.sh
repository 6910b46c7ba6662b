# shellcheck shell=bash
# The second act: a person asks for their data, and gets it sealed in an object store: every row of theirs, and no other.
# To be sourced after common.sh.

STORE=kirim-s3                 # the object store's Service, and the prefix of its Secrets
BUCKET=archives
RIGHTS=california              # the SubjectRightsPolicy
REQUEST=demo-$(date +%s)
ARCHIVE=$STATE/demo            # what was fetched, and the officer's key

# of_request JSONPATH: a field of the request.
of_request() { k get exportrequest "$REQUEST" -o "jsonpath=$1"; }

explain() {
  {
    say "-- what the request says"
    of_request '{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}' || true
    explain_cluster
  } >&2
}

act_export() {
  prepare
  request
  confirm_and_approve
  fetch
  show
  compare
}

prepare() {
  headline "A person's rights: the policy, the officer's key, an object store"
  if [ "${CLUSTER:-}" = current ]; then
    [ -n "${S3_IMAGE:-}" ] || die "S3_IMAGE is not set: with CLUSTER=current, name an image of versitygw that the cluster can pull"
  else
    slow "an S3 server's image, loaded into the cluster" make --no-print-directory s3-image
  fi
  k delete exportrequests --all --wait --timeout=120s >/dev/null
  k delete subjectrightspolicies --all --wait >/dev/null # what was patched below does not merge with the file
  slow "starting the S3 server" dev/s3/deploy.sh "$NAMESPACE" "$STORE" "$BUCKET"
  rm -rf "$ARCHIVE"
  mkdir -p "$ARCHIVE"
  chmod 0700 "$ARCHIVE"
  command_line "age-keygen -o officer.key"
  age-keygen -o "$ARCHIVE/officer.key" 2>/dev/null
  kubectl apply -f "$EXAMPLE/notice.yaml" -f "$EXAMPLE/activities.yaml" -f "$EXAMPLE/rights.yaml" >/dev/null
  k patch subjectrightspolicy "$RIGHTS" --type merge --patch "{\"spec\": {\"sealTo\": [\"$(age-keygen -y "$ARCHIVE/officer.key")\"],
    \"delivery\": {\"volume\": null, \"objectStore\": {\"endpoint\": \"https://$STORE.$NAMESPACE.svc:7070\", \"bucket\": \"$BUCKET\",
      \"credentialsSecretRef\": {\"name\": \"$STORE-credentials\"}, \"caSecretRef\": {\"name\": \"$STORE-ca\", \"key\": \"ca.crt\"},
      \"network\": {\"podSelector\": {\"matchLabels\": {\"app.kubernetes.io/name\": \"s3\", \"app.kubernetes.io/instance\": \"$STORE\"}}}}}}}" >/dev/null
  k get secret rights-hash-key >/dev/null 2>&1 ||
    k create secret generic rights-hash-key --from-file=key=<(openssl rand -base64 48) >/dev/null
  worker_role kirim_exports kirim-db-exports --data-source kirim-people "$EXAMPLE/rights.yaml"
}

# The person stands in a Secret that only workers mount, and that goes with the request.
request() {
  headline "A letter comes: \"what do you know about me?\""
  PERSON=$(sql -At -c 'select email from accounts order by random() limit 1')
  [ -n "$PERSON" ] || die "there is no account to ask for"
  sql_from <<<"insert into contact_requests (submitted_at, email, message) values
    (now(), '$PERSON', 'Where is my invoice?'), (now(), '$PERSON', 'Found it. <script>alert(1)</script>')"
  k create -f - >/dev/null <<YAML
apiVersion: privacy-operator.dev/v1alpha1
kind: ExportRequest
metadata: {name: $REQUEST}
spec:
  right: Access
  rightsPolicyRef: {name: $RIGHTS}
  subjectSecretRef: {name: $REQUEST}
  dataSourceRefs: [{name: kirim-people}]
  receivedAt: "$(date -u +%FT%TZ)"
YAML
  k create -f - >/dev/null <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: $REQUEST
  ownerReferences: [{apiVersion: privacy-operator.dev/v1alpha1, kind: ExportRequest, name: $REQUEST, uid: $(of_request '{.metadata.uid}')}]
stringData: {email: $PERSON}
YAML
  wait_for 180 "phase WaitingForIdentity" is_in WaitingForIdentity
  [ -z "$(k get jobs --selector "privacy-operator.dev/request=$(of_request '{.metadata.uid}')" -o name)" ] ||
    die "a worker was started before anybody said who asks"
}

is_in() { [ "$(of_request '{.status.phase}')" = "$1" ]; }

confirm_and_approve() {
  headline "Who asks is made sure, and the request is approved: only now anything is read"
  local today
  today=$(TZ=America/Los_Angeles date +%F)
  handling "{\"identity\": {\"method\": \"Document\", \"confirmedOn\": \"$today\"}, \"acknowledgedOn\": \"$today\"}"
  wait_for 180 "phase WaitingForApproval" is_in WaitingForApproval
  handling "{\"approvedOn\": \"$today\"}"
  wait_for 600 "phase ReadyForDelivery" is_in ReadyForDelivery
  command_line "kubectl get xr --namespace $NAMESPACE"
  k get exportrequests
}

handling() {
  command_line "kubectl patch xr $REQUEST --type merge --patch '{\"spec\": {\"handling\": $1}}'"
  k patch exportrequest "$REQUEST" --type merge --patch "{\"spec\": {\"handling\": $1}}" >/dev/null
}

fetch() {
  headline "The archive, fetched and opened with the officer's key"
  local location
  location=$(of_request '{.status.archive.location}')
  dev/s3/request.sh "$NAMESPACE" "$STORE" "$BUCKET/${location##*/}" --fail --output "$ARCHIVE/sealed.zip.age"
  command_line "age --decrypt --identity officer.key --output archive.zip ${location##*/} && unzip archive.zip"
  ! grep -aqF -e "$PERSON" -e index.html "$ARCHIVE/sealed.zip.age" || die "the archive can be read without a key"
  age --decrypt --identity "$ARCHIVE/officer.key" --output "$ARCHIVE/archive.zip" "$ARCHIVE/sealed.zip.age"
  python3 -m zipfile --extract "$ARCHIVE/archive.zip" "$ARCHIVE/opened"
  (cd "$ARCHIVE/opened" && find . -type f -printf '  %P (%s bytes)\n' | sort)
}

# The beginning of the first page, as text.
show() {
  headline "The first page; in a browser: $ARCHIVE/opened/index.html"
  python3 - "$ARCHIVE/opened/index.html" <<'PYTHON' | head -n 25
import html.parser, re, sys
class Text(html.parser.HTMLParser):
    hidden, text = 0, ""
    def handle_starttag(self, tag, attributes):
        self.hidden += tag in ("style", "title")
        self.text += "\n" if re.fullmatch("h[1-6]|p|tr|li|dt|dd|section|table", tag) else " "
    def handle_endtag(self, tag):
        self.hidden -= tag in ("style", "title")
    def handle_data(self, data):
        self.text += "" if self.hidden else data
page = Text()
page.feed(open(sys.argv[1], encoding="utf-8").read())
for line in page.text.split("\n"):
    if line := " ".join(line.split()):
        print("  " + line[:120])
PYTHON
}

compare() {
  headline "The rows of the archive, and those that plain SQL finds"
  local rows
  python3 - "$ARCHIVE/opened/data.json" >"$ARCHIVE/in-archive" <<'PYTHON'
import json, sys
for dataset in json.load(open(sys.argv[1], encoding="utf-8"))["stores"][0]["datasets"]:
    for row in dataset["rows"]:
        values = (row.get(name) for name in ("id", "email", "full_name", "last_invoiced_on", "message"))
        print("|".join([dataset["name"], *("" if value is None else str(value) for value in values)]))
PYTHON
  sql -At -c "select 'accounts', id, email, full_name, last_invoiced_on, '' from accounts where email = '$PERSON'" >"$ARCHIVE/by-sql"
  sql -At -c "select 'contact-requests', id, email, '', '', message from contact_requests where email = '$PERSON' order by id" >>"$ARCHIVE/by-sql"
  rows=$(wc -l <"$ARCHIVE/by-sql")
  diff "$ARCHIVE/by-sql" "$ARCHIVE/in-archive" || die "SQL (<) and the archive (>) differ"
  if [ "$rows" -lt 3 ] || [ "$(of_request '{.status.rows}')" != "$rows" ]; then
    die "the status says $(of_request '{.status.rows}') rows, and SQL finds $rows"
  fi
  ! grep -rqi '<script' "$ARCHIVE/opened" --include='*.html' || die "a page holds a script"
  printf '%s%s rows, each of them this person'"'"'s, and no other.%s  (%d s)\n' "$BOLD" "$rows" "$PLAIN" $SECONDS
}
