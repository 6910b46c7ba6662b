//! The chart's admission policies on a real API server: who may name a Secret, and what the operator may start. No pod
//! runs here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test may fail loudly; of the cluster's helpers only some are needed"
)]

#[path = "cluster/cluster.rs"]
mod cluster;
#[path = "admission/retention.rs"]
mod retention;

use std::sync::OnceLock;

use cluster::{kubectl, must, root, run, wait_for};
use retention::policy;
use serde_json::{Value, json};

/// Namespace of the release, of its operator's account and of what is judged.
const NAMESPACE: &str = "test-admission";
/// May write a `DataSource`, and read one Secret.
const AUTHOR: &str = "author@example.org";
/// May create requests under one policy, and approve none.
const CLERK: &str = "clerk@example.org";
/// May approve requests, and create none.
const OFFICER: &str = "officer@example.org";
const OPERATOR: &str = "system:serviceaccount:test-admission:privacy-operator";
const IMAGE: &str = "registry.example/privacy-operator:test";

fn apply(object: &Value) {
    must(
        "kubectl",
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &object.to_string(),
    );
}

/// What the API server says when `user` writes the object. `None`: accepted. Nothing is stored.
fn refusal(user: &str, object: &Value) -> Option<String> {
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--as",
        user,
        "-f",
        "-",
    ];
    let output = run("kubectl", &arguments, &object.to_string());
    (!output.ok).then_some(output.err)
}

fn role(user: &str, name: &str, rules: &Value) {
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    let api = "rbac.authorization.k8s.io/v1";
    apply(&json!({"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": rules}));
    apply(&json!({"apiVersion": api, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]}));
}

/// The release's policies, accounts and roles, once a test run, in force.
fn prepare() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "crds"]);
        apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
        let watched = format!("watchNamespaces={{{NAMESPACE}}}");
        let image = "image.repository=registry.example/privacy-operator,image.tag=test";
        let arguments = [
            "template",
            "privacy-operator",
            "charts/privacy-operator",
            "-n",
            NAMESPACE,
            "--kube-version",
            "1.34.0",
        ];
        let templates = [
            "serviceaccount",
            "rbac",
            "admission-datasource",
            "admission-exports",
            "admission-holds",
            "admission-retention",
            "admission-workers",
        ]
            .map(|name| ["--show-only".to_owned(), format!("templates/{name}.yaml")])
            .concat();
        let all: Vec<&str> = arguments
            .into_iter()
            .chain(["--set", watched.as_str(), "--set", image])
            .chain(templates.iter().map(String::as_str))
            .collect();
        let rendered = must("helm", &all, "");
        must(
            "kubectl",
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &rendered,
        );
        role(
            AUTHOR,
            "author",
            &json!([
            {"apiGroups": ["privacy-operator.dev"], "resources": ["datasources", "subjectrightspolicies", "legalholds", "dataretentionpolicies"], "verbs": ["get", "create", "patch"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["get"]}]),
        );
        // A policy takes a moment from being stored to being in force.
        let (stolen, foreign) = (
            source("foreign", None),
            with(&job(), "/spec/template/spec/hostPID", json!(true)),
        );
        let unasked = request("unasked");
        role(
            CLERK,
            "clerk",
            &json!([
            {"apiGroups": ["privacy-operator.dev"], "resources": ["exportrequests"], "verbs": ["get", "create", "patch"]},
            {"apiGroups": ["privacy-operator.dev"], "resources": ["subjectrightspolicies"], "resourceNames": ["mine"], "verbs": ["use"]}]),
        );
        role(
            OFFICER,
            "officer",
            &json!([{"apiGroups": ["privacy-operator.dev"], "resources": ["exportrequests"], "verbs": ["get", "patch", "approve"]}]),
        );
        wait_for("the policies to be in force", String::new, || {
            let all = [
                refusal(AUTHOR, &stolen),
                refusal(OPERATOR, &foreign),
                refusal(CLERK, &unasked),
                refusal(AUTHOR, &hold_on_person("foreign")),
                refusal(AUTHOR, &policy(&["foreign"])),
            ];
            all.iter().all(Option::is_some).then_some(())
        });
    });
}

fn source(credentials: &str, authority: Option<&str>) -> Value {
    let tls = authority.map_or(
        json!({"mode": "Disable"}),
        |name| json!({"mode": "VerifyFull", "caSecretRef": {"name": name, "key": "ca.crt"}}),
    );
    json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataSource",
        "metadata": {"name": "judged", "namespace": NAMESPACE},
        "spec": {"postgres": {"host": "db", "database": "shop", "tls": tls, "credentialsSecretRef": {"name": credentials}},
                 "datasets": [{"name": "logs", "table": "public.logs"}]}})
}

fn hold() -> Value {
    json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "LegalHold",
        "metadata": {"name": "claim", "namespace": NAMESPACE, "finalizers": ["privacy-operator.dev/hold"]},
        "spec": {"dataSourceRef": {"name": "judged"}, "datasets": ["logs"], "matter": "M-1", "basis": "LegalClaims", "reviewAt": "2027-06-30"}})
}

fn hold_on_person(secret: &str) -> Value {
    let hold = with(&hold(), "/metadata/name", json!("person"));
    with(&hold, "/spec/subjectSecretRef", json!({"name": secret}))
}

/// The object with one field set, which may be new.
fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match parent {
        Value::Array(list) => list.push(value),
        other => other[field] = value,
    }
    object
}

#[test]
fn who_may_read_the_secrets_may_name_them() {
    prepare();
    assert_eq!(refusal(AUTHOR, &source("mine", None)), None);
    assert_eq!(refusal(AUTHOR, &source("mine", Some("mine"))), None);
}

#[test]
fn a_secret_that_the_author_may_not_read_is_refused_by_field_and_name() {
    prepare();
    for (object, field, secret) in [
        (source("foreign", None), "spec.postgres.credentialsSecretRef", "foreign"),
        (
            source("mine", Some("hidden")),
            "spec.postgres.tls.caSecretRef",
            "hidden",
        ),
    ] {
        let said = refusal(AUTHOR, &object).unwrap();
        assert!(said.contains(&format!("{field} names Secret {secret}")), "{said}");
        assert!(said.contains("kubectl create role"), "{said}");
    }
}

#[test]
fn who_may_not_read_the_secret_may_change_the_datasets_but_not_where_the_password_goes() {
    prepare();
    let name = |object: Value| with(&object, "/metadata/name", json!("foreign-store"));
    let stored = name(source("foreign", None));
    apply(&stored);
    let dataset = json!({"name": "more", "table": "public.more"});
    assert_eq!(refusal(AUTHOR, &with(&stored, "/spec/datasets/-", dataset)), None);
    let diverted = with(&stored, "/spec/postgres/host", json!("elsewhere.example.org"));
    assert!(refusal(AUTHOR, &diverted).unwrap().contains("credentialsSecretRef"));
}

/// A worker's Job.
fn job() -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "judged", "namespace": NAMESPACE},
        "spec": {"template": {"spec": pod()}}})
}

fn cron_job() -> Value {
    json!({"apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "judged", "namespace": NAMESPACE},
        "spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": {"spec": pod()}}}}})
}

/// The pod that the operator's own code builds, from its snapshot, with the image of this release.
fn pod() -> Value {
    let folder = root().join("src/plan/children/snapshots");
    let snapshot = folder.join("privacy_operator__plan__children__cron_job__tests__it_reads_as_expected.snap");
    let text = std::fs::read_to_string(snapshot).unwrap();
    let built: Value = serde_saphyr::from_str(text.splitn(3, "---\n").nth(2).unwrap()).unwrap();
    let mut pod = built["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone();
    pod["containers"][0]["image"] = json!(IMAGE);
    pod
}

#[test]
fn the_operator_may_start_its_workers() {
    prepare();
    assert_eq!(refusal(OPERATOR, &job()), None);
    assert_eq!(refusal(OPERATOR, &cron_job()), None);
    let first_look = with(
        &job(),
        "/spec/template/spec/containers/0/args",
        json!(["worker", "--observe"]),
    );
    assert_eq!(refusal(OPERATOR, &first_look), None);
    for argument in ["identify", "export", "expire"] {
        let one = with(
            &job(),
            "/spec/template/spec/containers/0/args",
            json!(["worker", argument]),
        );
        assert_eq!(refusal(OPERATOR, &one), None, "{argument}");
        let claim = json!({"name": "claim", "persistentVolumeClaim": {"claimName": "archives"}});
        let with_volume = with(&one, "/spec/template/spec/volumes/-", claim);
        let answer = refusal(OPERATOR, &with_volume);
        assert_eq!(answer.is_none(), argument != "identify", "{argument}: {answer:?}");
    }
}

/// A request under a policy.
fn request(policy: &str) -> Value {
    json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ExportRequest",
        "metadata": {"name": "judged", "namespace": NAMESPACE},
        "spec": {"right": "Access", "rightsPolicyRef": {"name": policy}, "subjectSecretRef": {"name": "person"},
                 "receivedAt": "2026-03-01T09:00:00Z",
                 "handling": {"identity": {"method": "LoggedIn", "confirmedOn": "2026-03-01"}}}})
}

#[test]
fn a_request_takes_the_verb_use_on_its_policy() {
    prepare();
    assert_eq!(refusal(CLERK, &request("mine")), None);
    let said = refusal(CLERK, &request("foreign")).unwrap();
    assert!(
        said.contains("SubjectRightsPolicy foreign") && said.contains("--verb=use"),
        "{said}"
    );
}

#[test]
fn an_approval_takes_the_verb_approve_and_nothing_else_of_the_handling_does() {
    prepare();
    let approved = with(&request("mine"), "/spec/handling/approvedOn", json!("2026-03-02"));
    let said = refusal(CLERK, &approved).unwrap();
    assert!(
        said.contains("spec.handling.approvedOn") && said.contains("--verb=approve"),
        "{said}"
    );
    let stored = with(&request("mine"), "/metadata/name", json!("stored"));
    apply(&stored);
    let approve = |object: &Value| with(object, "/spec/handling/approvedOn", json!("2026-03-02"));
    assert!(refusal(CLERK, &approve(&stored)).is_some());
    assert_eq!(refusal(OFFICER, &approve(&stored)), None);
    let acknowledged = with(&stored, "/spec/handling/acknowledgedOn", json!("2026-03-02"));
    assert_eq!(refusal(CLERK, &acknowledged), None);
}

#[test]
fn only_the_handling_of_a_request_can_be_changed() {
    prepare();
    let stored = with(&request("mine"), "/metadata/name", json!("immutable"));
    apply(&stored);
    for (field, value) in [
        ("right", json!("Portability")),
        ("receivedAt", json!("2026-03-01T10:00:00Z")),
        ("rightsPolicyRef", json!({"name": "other"})),
        ("subjectSecretRef", json!({"name": "somebody-else"})),
        (
            "sealTo",
            json!(["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]),
        ),
        ("dataSourceRefs", json!([{"name": "db"}])),
    ] {
        let changed = with(&stored, &format!("/spec/{field}"), value);
        let said = run(
            "kubectl",
            &[
                "apply",
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "-f",
                "-",
            ],
            &changed.to_string(),
        );
        assert!(
            !said.ok && said.err.contains("only spec.handling can be changed"),
            "{field}: {}",
            said.err
        );
    }
}

#[test]
fn a_rights_policy_names_only_secrets_that_its_author_may_read() {
    prepare();
    let policy = |hash: &str, store: &str| {
        json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "SubjectRightsPolicy",
        "metadata": {"name": "judged", "namespace": NAMESPACE},
        "spec": {"regime": "GDPR", "hashKeySecretRef": {"name": hash, "key": "key"},
                 "delivery": {"objectStore": {"endpoint": "https://s3.example.org", "bucket": "exports", "credentialsSecretRef": {"name": store}}}}})
    };
    assert_eq!(refusal(AUTHOR, &policy("mine", "mine")), None);
    assert!(
        refusal(AUTHOR, &policy("foreign", "mine"))
            .unwrap()
            .contains("spec.hashKeySecretRef names Secret foreign")
    );
    assert!(
        refusal(AUTHOR, &policy("mine", "foreign"))
            .unwrap()
            .contains("credentialsSecretRef names Secret foreign")
    );
    let refused = with(
        &policy("mine", "mine"),
        "/spec/limits",
        json!([{"right": "Access", "max": 1, "window": "P1Y", "onExceed": "Refuse"}]),
    );
    assert!(refusal(AUTHOR, &refused).unwrap().contains("under the GDPR"));
    let survey = with(
        &job(),
        "/spec/template/spec/containers/0/args",
        json!(["worker", "survey"]),
    );
    assert_eq!(refusal(OPERATOR, &survey), None);
}

#[test]
fn a_hold_is_not_deleted_and_keeps_its_finalizer_until_it_is_released() {
    prepare();
    assert_eq!(refusal(AUTHOR, &hold_on_person("mine")), None);
    let said = refusal(AUTHOR, &hold_on_person("foreign")).unwrap();
    assert!(said.contains("names Secret foreign"), "{said}");
    apply(&hold());
    let delete = || {
        run(
            "kubectl",
            &["delete", "legalhold", "claim", "-n", NAMESPACE, "--wait=false"],
            "",
        )
    };
    let disarm = r#"{"metadata":{"finalizers":null}}"#;
    let disarm = || {
        run(
            "kubectl",
            &[
                "patch",
                "legalhold",
                "claim",
                "-n",
                NAMESPACE,
                "--type=merge",
                "-p",
                disarm,
            ],
            "",
        )
    };
    let said = delete();
    assert!(
        !said.ok && said.err.contains("not released cannot be deleted"),
        "{}",
        said.err
    );
    let said = disarm();
    assert!(
        !said.ok && said.err.contains("the finalizer of a LegalHold"),
        "{}",
        said.err
    );
    apply(&with(&hold(), "/spec/released", json!(true)));
    let said = delete();
    assert!(said.ok, "{}", said.err);
    let said = disarm();
    assert!(said.ok, "{}", said.err);
}

#[test]
fn the_operator_may_start_nothing_else() {
    prepare();
    let export_in_a_cron_job = with(
        &cron_job(),
        "/spec/jobTemplate/spec/template/spec/containers/0/args",
        json!(["worker", "export"]),
    );
    assert!(
        refusal(OPERATOR, &export_in_a_cron_job)
            .unwrap()
            .contains("only the program worker")
    );
    let container = json!({"name": "other", "image": IMAGE, "args": ["worker"]});
    let secret = json!({"name": "X", "valueFrom": {"secretKeyRef": {"name": "any", "key": "any"}}});
    for (field, value, said) in [
        (
            "containers/0/image",
            json!("registry.example/evil"),
            "its own image only",
        ),
        ("containers/0/args", json!(["operator"]), "only the program worker"),
        (
            "containers/0/args",
            json!(["worker", "--stop=/nowhere"]),
            "only the program worker",
        ),
        ("containers/0/args", Value::Null, "only the program worker"),
        ("containers/0/command", json!(["/bin/sh"]), "only the program worker"),
        (
            "containers/0/lifecycle",
            json!({"preStop": {"exec": {"command": ["x"]}}}),
            "only the program worker",
        ),
        ("containers/0/env/-", secret, "no Secret in its environment"),
        (
            "containers/0/envFrom",
            json!([{"secretRef": {"name": "any"}}]),
            "no Secret in its environment",
        ),
        ("containers/-", container.clone(), "one container only"),
        ("initContainers", json!([container]), "one container only"),
        ("automountServiceAccountToken", json!(true), "no service account token"),
        ("automountServiceAccountToken", Value::Null, "no service account token"),
        ("serviceAccountName", json!("powerful"), "no service account token"),
        ("hostNetwork", json!(true), "does not share the node"),
        ("hostPID", json!(true), "does not share the node"),
        ("hostIPC", json!(true), "does not share the node"),
        (
            "volumes/-",
            json!({"name": "host", "hostPath": {"path": "/"}}),
            "ConfigMaps and Secrets only",
        ),
        (
            "volumes/-",
            json!({"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
            "ConfigMaps and Secrets only",
        ),
        (
            "volumes/-",
            json!({"name": "claim", "persistentVolumeClaim": {"claimName": "any"}}),
            "ConfigMaps and Secrets only",
        ),
        ("containers/0/securityContext", Value::Null, "without root"),
        (
            "containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
            "without root",
        ),
        (
            "containers/0/securityContext/runAsNonRoot",
            json!(false),
            "without root",
        ),
        (
            "containers/0/securityContext/capabilities/add",
            json!(["SYS_ADMIN"]),
            "without root",
        ),
        ("securityContext/runAsNonRoot", json!(false), "without root"),
    ] {
        for (object, pod) in [
            (job(), "/spec/template/spec"),
            (cron_job(), "/spec/jobTemplate/spec/template/spec"),
        ] {
            let changed = with(&object, &format!("{pod}/{field}"), value.clone());
            let answer = refusal(OPERATOR, &changed).unwrap_or_else(|| panic!("accepted: {field} {value}"));
            assert!(answer.contains(said), "{field} {value}: {answer}");
        }
    }
}

#[test]
fn a_job_that_was_there_before_an_upgrade_may_be_suspended() {
    prepare();
    let old = with(&cron_job(), "/metadata/name", json!("of-the-release-before"));
    let old = with(
        &old,
        "/spec/jobTemplate/spec/template/spec/containers/0/image",
        json!("registry.example/older"),
    );
    apply(&old);
    assert_eq!(refusal(OPERATOR, &with(&old, "/spec/suspend", json!(true))), None);
    let program = with(
        &old,
        "/spec/jobTemplate/spec/template/spec/containers/0/args",
        json!(["operator"]),
    );
    assert!(refusal(OPERATOR, &program).is_some());
}

#[test]
fn others_may_start_what_their_own_rights_allow() {
    prepare();
    role(
        "runner@example.org",
        "runner",
        &json!([{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "patch"]}]),
    );
    let other = with(
        &job(),
        "/spec/template/spec/containers/0/image",
        json!("registry.example/anything"),
    );
    assert_eq!(refusal("runner@example.org", &other), None);
}

#[test]
fn the_operators_rights_end_at_secrets_and_at_its_namespaces() {
    prepare();
    let may = |verb: &str, resource: &str, namespace: &str| {
        run(
            "kubectl",
            &["auth", "can-i", verb, resource, "-n", namespace, "--as", OPERATOR],
            "",
        )
        .ok
    };
    assert!(may("create", "jobs.batch", NAMESPACE));
    assert!(may("delete", "networkpolicies.networking.k8s.io", NAMESPACE));
    assert!(!may("create", "jobs.batch", "default"));
    for verb in ["get", "list", "watch"] {
        assert!(!may(verb, "secrets", NAMESPACE), "{verb}");
    }
    assert!(!may("create", "pods", NAMESPACE));
    assert!(!may("delete", "dataretentionpolicies.privacy-operator.dev", NAMESPACE));
}

#[test]
fn the_api_server_finds_no_fault_in_the_expressions() {
    prepare();
    assert!(root().join("charts").is_dir());
    for policy in [
        "datasource-secrets",
        "rightspolicy-secrets",
        "export-requests",
        "legal-holds",
        "worker-jobs",
    ] {
        let name = format!("{policy}.privacy-operator.{NAMESPACE}");
        let object = wait_for("the expressions to be checked", String::new, || {
            let text = kubectl(&["get", "validatingadmissionpolicy", &name, "-o", "json"]);
            let object: Value = serde_json::from_str(&text).unwrap();
            object["status"].get("observedGeneration").is_some().then_some(object)
        });
        let warnings = &object["status"]["typeChecking"]["expressionWarnings"];
        assert!(warnings.is_null(), "{warnings}");
    }
}
