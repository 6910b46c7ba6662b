//! Encryption is off unless asked for, and each of its parts gets what it needs and no more.

use serde_json::Value;

use crate::helm::{NAMESPACE, of_kind, release, render, root, strings};

const KEYS: &str = "privacy-operator-encryption";

fn encrypting() -> Vec<Value> {
    let file = root().join("tests/chart/values/encryption.yaml");
    render(&["--values", file.to_str().unwrap()])
}

fn named<'a>(objects: &'a [Value], kind: &str, ending: &str) -> &'a Value {
    of_kind(objects, kind)
        .into_iter()
        .find(|object| object["metadata"]["name"].as_str().unwrap().ends_with(ending))
        .unwrap_or_else(|| panic!("no {kind} that ends in {ending}"))
}

fn arguments(workload: &Value) -> Vec<&str> {
    strings(&workload["spec"]["template"]["spec"]["containers"][0]["args"])
}

#[test]
fn without_the_value_there_is_no_namespace_no_agent_and_no_right_on_a_secret() {
    for name in ["default", "everything", "namespaces", "nothing"] {
        let objects = release(name);
        assert!(
            of_kind(&objects, "Namespace").is_empty() && of_kind(&objects, "DaemonSet").is_empty(),
            "{name}"
        );
        for role in of_kind(&objects, "ClusterRole")
            .into_iter()
            .chain(of_kind(&objects, "Role"))
        {
            assert!(!role["rules"].to_string().contains("secrets"), "{name}");
        }
        let operator = &of_kind(&objects, "Deployment")[0];
        assert!(arguments(operator).contains(&"--encryption=false"), "{name}");
    }
}

#[test]
fn the_agent_is_root_with_one_directory_and_nothing_else() {
    let objects = encrypting();
    let agent = named(&objects, "DaemonSet", "-agent");
    assert_eq!(agent["metadata"]["namespace"], KEYS);
    let pod = &agent["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    for field in [
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "serviceAccountName",
        "initContainers",
    ] {
        assert!(pod.get(field).is_none(), "{field}");
    }
    assert_eq!(
        pod["nodeSelector"],
        serde_json::json!({"example.org/control-plane": "yes"})
    );
    assert_eq!(pod["imagePullSecrets"][0]["name"], "registry");
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(strings(&container["capabilities"]["drop"]), ["ALL"]);
    assert!(container["capabilities"].get("add").is_none() && container.get("privileged").is_none());
    let volumes = pod["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 2);
    // Never one that the kubelet would make: no API server would read it.
    assert_eq!(
        volumes[0]["hostPath"],
        serde_json::json!({"path": "/srv/encryption", "type": "Directory"})
    );
    assert_eq!(volumes[1]["secret"]["optional"], true);
    assert!(arguments(agent).contains(&"--file=config.yaml"));
    let namespace = named(&objects, "Namespace", KEYS);
    assert_eq!(
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "privileged"
    );
    assert_eq!(namespace["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    // Nobody but the operator asks it, and it asks nobody.
    let policy = named(&objects, "NetworkPolicy", "-agent");
    assert_eq!(strings(&policy["spec"]["policyTypes"]), ["Ingress", "Egress"]);
    assert!(policy["spec"].get("egress").is_none());
    let from = &policy["spec"]["ingress"][0]["from"][0];
    assert_eq!(
        from["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
        NAMESPACE
    );
    assert_eq!(
        from["podSelector"]["matchLabels"]["app.kubernetes.io/component"],
        "operator"
    );
}

#[test]
fn without_agents_the_namespace_is_restricted() {
    let objects = render(&["--set", "encryption.enabled=true"]);
    assert!(of_kind(&objects, "DaemonSet").is_empty());
    let namespace = named(&objects, "Namespace", KEYS);
    assert_eq!(
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    assert!(!serde_json::to_string(&objects).unwrap().contains("migrator\""));
}

#[test]
fn the_operator_reaches_the_keys_by_name_and_no_other_secret() {
    let objects = encrypting();
    let account =
        named(&objects, "Deployment", "privacy-operator")["spec"]["template"]["spec"]["serviceAccountName"].clone();
    let bound_to_operator = |role: &Value| {
        let bindings = of_kind(&objects, "RoleBinding")
            .into_iter()
            .chain(of_kind(&objects, "ClusterRoleBinding"));
        bindings
            .filter(|binding| {
                binding["roleRef"]["name"] == role["metadata"]["name"] && binding["roleRef"]["kind"] == role["kind"]
            })
            .any(|binding| {
                binding["subjects"][0]["name"] == account && binding["subjects"][0]["namespace"] == NAMESPACE
            })
    };
    let roles = of_kind(&objects, "ClusterRole")
        .into_iter()
        .chain(of_kind(&objects, "Role"));
    let mut seen = 0;
    for role in roles.filter(|role| bound_to_operator(role)) {
        for rule in role["rules"].as_array().unwrap() {
            if let Some(urls) = rule.get("nonResourceURLs") {
                assert_eq!(strings(urls), ["/metrics"]);
            }
            if strings(&rule["resources"]).contains(&"secrets") {
                seen += 1;
                assert_eq!(
                    (&role["kind"], &role["metadata"]["namespace"]),
                    (&"Role".into(), &KEYS.into())
                );
                let names = strings(&rule["resourceNames"]);
                let verbs = strings(&rule["verbs"]);
                match verbs.as_slice() {
                    // A name cannot be asked for when something is made.
                    ["create"] => assert!(names.is_empty()),
                    ["get", "update"] => assert_eq!(names, ["encryption-keys"]),
                    ["get"] => assert_eq!(names, ["encryption-baseline"]),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!(seen, 3);
}

#[test]
fn only_the_migrators_account_lists_and_patches_what_the_value_names() {
    let objects = encrypting();
    let role = named(&objects, "ClusterRole", "-migrator");
    let rules = role["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 2);
    for (rule, (group, resource)) in rules.iter().zip([("", "secrets"), ("example.org", "things")]) {
        assert_eq!(
            (strings(&rule["apiGroups"]), strings(&rule["resources"])),
            (vec![group], vec![resource])
        );
        assert_eq!(strings(&rule["verbs"]), ["list", "patch"]);
    }
    let binding = named(&objects, "ClusterRoleBinding", "-migrator");
    let deployment = named(&objects, "Deployment", "-migrator");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(binding["subjects"][0]["name"], pod["serviceAccountName"]);
    assert_eq!(binding["subjects"][0]["namespace"], KEYS);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        strings(&pod["containers"][0]["securityContext"]["capabilities"]["drop"]),
        ["ALL"]
    );
    assert!(arguments(deployment).contains(&"--in-flight=8"));
}

#[test]
fn the_programs_understand_the_flags_that_the_chart_gives_them() {
    let objects = encrypting();
    let workloads = of_kind(&objects, "Deployment")
        .into_iter()
        .chain(of_kind(&objects, "DaemonSet"));
    for workload in workloads {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_privacy-operator"))
            .args(arguments(workload))
            .arg("--help")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let operator = named(&objects, "Deployment", "privacy-operator");
    assert!(arguments(operator).contains(&"--encryption=true"));
    // And may ask the agents.
    let policy = named(&objects, "NetworkPolicy", "privacy-operator");
    assert!(policy["spec"]["egress"].to_string().contains("8089"));
}
