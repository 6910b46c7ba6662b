//! The operator gets the rights that it needs, and none on Secrets.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::helm::{NAMESPACE, of_kind, release, releases, strings};

/// `group/resource verb` for every right in a role.
fn rights(role: &Value) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    rights.insert(format!("{group}/{resource} {verb}"));
                }
            }
        }
    }
    rights
}

fn named<'a>(objects: &'a [Value], kind: &str, ending: &str) -> &'a Value {
    of_kind(objects, kind)
        .into_iter()
        .find(|object| object["metadata"]["name"].as_str().unwrap().ends_with(ending))
        .unwrap_or_else(|| panic!("no {kind} with a name that ends in {ending}"))
}

#[test]
fn no_role_gives_a_right_on_secrets_or_on_everything() {
    for (name, objects) in releases() {
        for role in of_kind(&objects, "ClusterRole")
            .into_iter()
            .chain(of_kind(&objects, "Role"))
        {
            for right in rights(role) {
                let is_too_much = right.contains("secrets") || right.contains('*') || right.contains("impersonate");
                assert!(!is_too_much, "{name}: {}: {right}", role["metadata"]["name"]);
                for forbidden in ["escalate", "bind ", "exec", "serviceaccounts"] {
                    assert!(!right.contains(forbidden), "{name}: {right}");
                }
                // Roles and their bindings are listed where that was asked for, and never written.
                assert!(!right.contains("role") || right.ends_with(" list"), "{name}: {right}");
            }
            assert!(
                role["rules"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|rule| rule.get("nonResourceURLs").is_none()),
                "{name}"
            );
        }
    }
}

#[test]
fn the_operator_has_exactly_the_rights_that_it_uses() {
    let objects = release("default");
    let role = named(&objects, "ClusterRole", &format!(".{NAMESPACE}"));
    let mut expected = BTreeSet::new();
    let mut expect = |resource: &str, verbs: &str| {
        expected.extend(verbs.split(' ').map(|verb| format!("{resource} {verb}")));
    };
    for kind in [
        "datasources",
        "dataretentionpolicies",
        "subjectrightspolicies",
        "exportrequests",
        "processingactivities",
        "legalholds",
        "privacynotices",
    ] {
        expect(&format!("privacy-operator.dev/{kind}"), "get list watch");
        expect(&format!("privacy-operator.dev/{kind}/status"), "patch update");
    }
    // A finalizer while there is an archive, and the end of the object's own time.
    expect("privacy-operator.dev/exportrequests", "patch delete");
    // A finalizer while it is not released.
    expect("privacy-operator.dev/legalholds", "patch");
    for kind in ["datasources", "dataretentionpolicies", "exportrequests"] {
        expect(&format!("privacy-operator.dev/{kind}/finalizers"), "update");
    }
    expect("privacy-operator.dev/clusterencryptions", "get list watch");
    expect("privacy-operator.dev/clusterencryptions/status", "patch update");
    expect("/namespaces", "get");
    for child in [
        "batch/cronjobs",
        "batch/jobs",
        "/configmaps",
        "networking.k8s.io/networkpolicies",
    ] {
        expect(child, "get list watch create patch delete");
    }
    expect("/pods", "get list watch");
    expect("events.k8s.io/events", "create patch");
    expect("apiextensions.k8s.io/customresourcedefinitions", "get list");
    assert_eq!(rights(role), expected);
}

#[test]
fn with_watch_namespaces_the_rights_end_at_those_namespaces() {
    let everywhere = release("default");
    let objects = release("namespaces");
    let cluster = rights(named(&objects, "ClusterRole", &format!(".{NAMESPACE}")));
    // What belongs to no namespace: the definitions, notices, and the encryption of the cluster.
    let is_cluster_scoped = |right: &&String| {
        ["customresourcedefinitions", "privacynotices", "clusterencryptions"]
            .iter()
            .any(|resource| right.contains(resource))
    };
    assert_eq!(cluster.iter().find(|right| !is_cluster_scoped(right)), None);
    assert!(cluster.contains("privacy-operator.dev/privacynotices watch"));
    let everywhere = rights(named(&everywhere, "ClusterRole", &format!(".{NAMESPACE}")));
    for namespace in ["careers", "shop"] {
        let roles: Vec<_> = of_kind(&objects, "Role")
            .into_iter()
            .filter(|role| role["metadata"]["namespace"] == namespace)
            .collect();
        assert_eq!(roles.len(), 1, "{namespace}");
        let here = rights(roles[0]);
        assert!(here.is_subset(&everywhere));
        assert!(everywhere.difference(&here).all(|right| is_cluster_scoped(&right)));
        let bound = of_kind(&objects, "RoleBinding").into_iter().any(|binding| {
            binding["metadata"]["namespace"] == namespace && binding["roleRef"]["name"] == roles[0]["metadata"]["name"]
        });
        assert!(bound, "{namespace}");
    }
    let arguments =
        strings(&crate::helm::only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"])
            .join(" ");
    assert!(arguments.contains("--watch-namespaces=careers,shop"), "{arguments}");
}

#[test]
fn roles_and_bindings_are_listed_only_where_that_was_asked_for() {
    let on_roles = |name: &str| -> BTreeSet<String> {
        let role = release(name);
        let role = named(&role, "ClusterRole", &format!(".{NAMESPACE}")).clone();
        rights(&role)
            .into_iter()
            .filter(|right| right.contains("rbac."))
            .collect()
    };
    assert!(on_roles("default").is_empty());
    let lists = ["clusterrolebindings", "clusterroles", "rolebindings", "roles"];
    let expected: BTreeSet<String> = lists
        .iter()
        .map(|kind| format!("rbac.authorization.k8s.io/{kind} list"))
        .collect();
    assert_eq!(on_roles("everything"), expected);
}

#[test]
fn lease_and_ledger_are_the_only_rights_in_the_operators_own_namespace() {
    for (name, objects) in releases().into_iter().filter(|(name, _)| *name != "nothing") {
        let here: BTreeSet<String> = of_kind(&objects, "Role")
            .into_iter()
            .filter(|role| role["metadata"]["namespace"] == NAMESPACE)
            .flat_map(rights)
            .collect();
        let verbs = ["create", "get", "patch", "update"];
        let leases = verbs.map(|verb| format!("coordination.k8s.io/leases {verb}"));
        let ledger = ["create", "get", "update"].map(|verb| format!("/configmaps {verb}"));
        let expected: BTreeSet<String> = leases.into_iter().chain(ledger).collect();
        assert_eq!(here, expected, "{name}");
    }
}

#[test]
fn every_binding_binds_the_operators_account_to_a_role_that_exists() {
    for (name, objects) in releases() {
        let account = &crate::helm::only(&objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"];
        for binding in of_kind(&objects, "ClusterRoleBinding")
            .into_iter()
            .chain(of_kind(&objects, "RoleBinding"))
        {
            let subjects = binding["subjects"].as_array().unwrap();
            assert_eq!(subjects.len(), 1, "{name}");
            assert_eq!(&subjects[0]["name"], account, "{name}");
            assert_eq!(subjects[0]["namespace"], NAMESPACE, "{name}");
            let role = &binding["roleRef"];
            assert!(
                objects.iter().any(|object| object["kind"] == role["kind"]
                    && object["metadata"]["name"] == role["name"]
                    && object["metadata"]["namespace"] == binding["metadata"]["namespace"]),
                "{name}: {role}"
            );
        }
    }
}

#[test]
fn viewers_see_and_editors_write_the_kinds_but_nobody_writes_status() {
    let objects = release("default");
    let view = named(&objects, "ClusterRole", "-view");
    let edit = named(&objects, "ClusterRole", "-edit");
    let label = |role: &Value, to: &str| {
        role["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{to}")].clone()
    };
    assert_eq!(label(view, "view"), "true");
    assert_eq!(label(edit, "view"), Value::Null);
    for to in ["edit", "admin"] {
        assert_eq!((label(view, to), label(edit, to)), ("true".into(), "true".into()));
    }
    assert!(
        rights(view)
            .iter()
            .all(|right| ["get", "list", "watch"].contains(&right.split(' ').nth(1).unwrap()))
    );
    assert!(rights(edit).iter().all(|right| !right.contains("/status")));
}

#[test]
fn every_admission_policy_is_bound_and_fails_closed() {
    for name in ["default", "namespaces", "everything"] {
        let objects = release(name);
        let policies = of_kind(&objects, "ValidatingAdmissionPolicy");
        assert_eq!(policies.len(), 6, "{name}");
        for policy in policies {
            assert_eq!(policy["spec"]["failurePolicy"], "Fail");
            for validation in policy["spec"]["validations"].as_array().unwrap() {
                let expression = validation["expression"].as_str().unwrap();
                assert!(expression.starts_with("variables.unchanged ||"), "{expression}");
                assert!(validation.get("message").is_some() || validation.get("messageExpression").is_some());
            }
            let bindings = of_kind(&objects, "ValidatingAdmissionPolicyBinding");
            let binding = bindings
                .into_iter()
                .find(|binding| binding["spec"]["policyName"] == policy["metadata"]["name"])
                .unwrap();
            assert_eq!(strings(&binding["spec"]["validationActions"]), ["Deny"]);
        }
    }
    assert!(of_kind(&release("nothing"), "ValidatingAdmissionPolicy").is_empty());
}

/// Every kind by which a worker uses a Secret, with the parts of its spec that name one.
#[test]
fn whoever_names_a_secret_is_asked_whether_they_may_read_it() {
    let objects = release("default");
    for (resource, references) in [
        ("datasources", &["credentialsSecretRef", "caSecretRef"][..]),
        ("subjectrightspolicies", &["hashKeySecretRef", "credentialsSecretRef"]),
        ("legalholds", &["subjectSecretRef"]),
        ("dataretentionpolicies", &["keySecretRef"]),
    ] {
        let policies = of_kind(&objects, "ValidatingAdmissionPolicy").into_iter();
        let policy = policies
            .filter(|policy| {
                strings(&policy["spec"]["matchConstraints"]["resourceRules"][0]["resources"]) == [resource]
            })
            .map(|policy| policy["spec"].to_string())
            .find(|policy| policy.contains("resource('secrets')") && policy.contains(".check('get').allowed()"));
        let policy = policy.unwrap_or_else(|| panic!("nobody asks about {resource}"));
        for reference in references {
            assert!(policy.contains(reference), "{resource}: {reference}");
        }
    }
}

#[test]
fn the_worker_policy_speaks_of_the_account_and_the_image_of_the_release() {
    for name in ["default", "everything"] {
        let objects = release(name);
        let pod = &crate::helm::only(&objects, "Deployment")["spec"]["template"]["spec"];
        let arguments = strings(&pod["containers"][0]["args"]).join("\n");
        let image = arguments
            .lines()
            .find_map(|line| line.strip_prefix("--worker-image="))
            .unwrap();
        let policy = named(&objects, "ValidatingAdmissionPolicy", &format!(".{NAMESPACE}"));
        let policies = of_kind(&objects, "ValidatingAdmissionPolicy");
        let policy = policies
            .into_iter()
            .find(|policy| policy["spec"].get("matchConditions").is_some())
            .unwrap_or(policy);
        let user = format!(
            "'system:serviceaccount:{NAMESPACE}:{}'",
            pod["serviceAccountName"].as_str().unwrap()
        );
        let condition = policy["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
        assert_eq!(condition, format!("request.userInfo.username == {user}"));
        let expressions = policy["spec"]["validations"].to_string();
        assert!(
            expressions.contains(&format!("variables.worker.image == '{image}'")),
            "{name}"
        );
    }
}
