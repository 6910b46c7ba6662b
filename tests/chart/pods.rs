//! The operator's pod is what a restricted namespace takes, and every switch of the values reaches it.

use serde_json::{Value, json};

use crate::helm::{NAMESPACE, of_kind, only, release, releases, render, strings};

fn pod(objects: &[Value]) -> &Value {
    &only(objects, "Deployment")["spec"]["template"]["spec"]
}

#[test]
fn every_pod_template_passes_the_restricted_pod_security_standard() {
    for (name, objects) in releases() {
        let templates: Vec<&Value> = objects
            .iter()
            .filter_map(|object| object.pointer("/spec/template/spec"))
            .collect();
        assert!(!templates.is_empty(), "{name}");
        for pod in templates {
            for field in ["hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"] {
                assert!(pod.get(field).is_none(), "{name}: {field}");
            }
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(
                pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault",
                "{name}"
            );
            assert_ne!(pod["securityContext"]["runAsUser"], 0, "{name}");
            for container in pod["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(strings(&context["capabilities"]["drop"]), ["ALL"], "{name}");
                assert!(context["capabilities"].get("add").is_none(), "{name}");
                assert!(context.get("privileged").is_none(), "{name}");
            }
        }
    }
}

#[test]
fn the_operator_is_told_what_it_needs_and_is_probed() {
    let objects = release("default");
    let container = &pod(&objects)["containers"][0];
    let arguments = strings(&container["args"]);
    assert_eq!(arguments[0], "operator");
    for expected in [
        "--worker-image=",
        "--metrics-address=:8080",
        "--log-format=json",
        "--worker-memory-limit=64Mi",
    ] {
        assert!(
            arguments.iter().any(|argument| argument.starts_with(expected)),
            "{expected}"
        );
    }
    assert!(!arguments.iter().any(|argument| argument.contains("watch-namespaces")));
    assert_eq!(container["env"][0]["name"], "POD_NAMESPACE");
    assert_eq!(
        container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"],
        "metadata.namespace"
    );
    // bench-operator measures with it.
    assert_eq!(container["env"][2], json!({"name": "MALLOC_ARENA_MAX", "value": "1"}));
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    assert_eq!(container["ports"][0]["containerPort"], 8080);
    assert!(container["resources"]["limits"]["memory"].is_string());
}

#[test]
fn operator_and_worker_take_the_image_of_the_release_unless_told_otherwise() {
    let objects = render(&[]);
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("ghcr.io/privacy-operator/privacy-operator:{version}");
    assert_eq!(pod(&objects)["containers"][0]["image"], image);
    assert!(strings(&pod(&objects)["containers"][0]["args"]).contains(&format!("--worker-image={image}").as_str()));
    let objects = release("everything");
    assert!(
        pod(&objects)["containers"][0]["image"]
            .as_str()
            .unwrap()
            .contains("@sha256:")
    );
    let arguments = strings(&pod(&objects)["containers"][0]["args"]).join(" ");
    assert!(arguments.contains("--worker-image=registry.example/privacy-operator:worker"));
    assert!(arguments.contains("--worker-cpu-limit=1 "), "{arguments}");
}

#[test]
fn the_program_understands_every_flag_that_the_chart_gives_it() {
    for (name, objects) in releases() {
        let arguments = strings(&pod(&objects)["containers"][0]["args"]);
        // With --help last, what comes before is read and judged, and nothing is started.
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_privacy-operator"))
            .args(arguments)
            .arg("--help")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn what_the_values_say_of_the_pod_reaches_it() {
    let objects = release("everything");
    let deployment = only(&objects, "Deployment");
    let template = &deployment["spec"]["template"];
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(template["metadata"]["labels"]["team"], "platform");
    assert_eq!(template["metadata"]["annotations"]["example.org/note"], "hello");
    assert_eq!(template["spec"]["priorityClassName"], "high");
    assert_eq!(template["spec"]["nodeSelector"]["kubernetes.io/os"], "linux");
    assert_eq!(template["spec"]["tolerations"][0]["operator"], "Exists");
    assert_eq!(template["spec"]["imagePullSecrets"][0]["name"], "registry");
    assert!(template["spec"]["affinity"].get("nodeAffinity").is_some());
    assert!(template["spec"]["affinity"].get("podAntiAffinity").is_none());
    assert_eq!(
        only(&objects, "ServiceAccount")["metadata"]["annotations"]["example.org/owner"],
        "platform"
    );
    assert!(of_kind(&release("nothing"), "ServiceAccount").is_empty());
    assert_eq!(pod(&release("nothing"))["serviceAccountName"], "brought");
}

#[test]
fn a_disruption_budget_is_there_only_with_more_than_one_operator() {
    assert!(of_kind(&release("default"), "PodDisruptionBudget").is_empty());
    let objects = release("everything");
    let budget = only(&objects, "PodDisruptionBudget");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert!(of_kind(&release("nothing"), "PodDisruptionBudget").is_empty());
}

#[test]
fn every_selector_selects_the_operator_and_never_a_worker() {
    for (name, objects) in releases() {
        let labels = only(&objects, "Deployment")["spec"]["template"]["metadata"]["labels"].clone();
        let pointers = [
            "/spec/selector/matchLabels",
            "/spec/podSelector/matchLabels",
            "/spec/selector",
        ];
        for object in objects.iter().filter(|object| object["kind"] != "ServiceMonitor") {
            for selector in pointers.iter().filter_map(|pointer| object.pointer(pointer)) {
                let selector = selector.as_object().unwrap();
                if selector.contains_key("matchLabels") {
                    continue;
                }
                assert!(
                    selector.iter().all(|(key, value)| labels[key] == *value),
                    "{name}: {}",
                    object["kind"]
                );
                // A version in it would cut off the pods of the release before.
                assert_eq!(selector.len(), 3, "{name}: {}", object["kind"]);
                // Worker pods carry the same name, but another component.
                assert_eq!(
                    selector["app.kubernetes.io/component"], "operator",
                    "{name}: {}",
                    object["kind"]
                );
            }
        }
    }
}

#[test]
fn the_network_policy_opens_the_api_server_dns_and_metrics_and_nothing_else() {
    let objects = release("default");
    let spec = &only(&objects, "NetworkPolicy")["spec"];
    assert_eq!(strings(&spec["policyTypes"]), ["Ingress", "Egress"]);
    let ports = |direction: &str| -> Vec<String> {
        spec[direction]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|rule| rule["ports"].as_array().unwrap())
            .map(|port| port["port"].to_string())
            .collect()
    };
    assert_eq!(ports("ingress"), ["\"http\""]);
    assert_eq!(ports("egress"), ["443", "6443", "53", "53", "8090"]);
    let objects = release("everything");
    let spec = &only(&objects, "NetworkPolicy")["spec"];
    assert_eq!(spec["egress"][0]["to"][0]["ipBlock"]["cidr"], "10.0.0.10/32");
    assert!(spec["ingress"][0]["from"][0].get("namespaceSelector").is_some());
}

#[test]
fn every_object_is_labelled_and_in_the_release_or_a_watched_namespace() {
    for (name, objects) in releases() {
        for object in &objects {
            let metadata = &object["metadata"];
            let place = format!("{name}: {} {}", object["kind"], metadata["name"]);
            assert_eq!(
                metadata["labels"]["app.kubernetes.io/name"], "privacy-operator",
                "{place}"
            );
            let namespace = metadata["namespace"].as_str().unwrap_or(NAMESPACE);
            assert!([NAMESPACE, "careers", "shop"].contains(&namespace), "{place}");
            assert!(metadata["name"].as_str().unwrap().len() <= 253, "{place}");
        }
    }
}

#[test]
fn two_releases_share_no_object_but_the_crds() {
    let name = |object: &Value| {
        format!(
            "{} {} {}",
            object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]
        )
    };
    let first: Vec<String> = release("everything").iter().map(name).collect();
    let second: Vec<String> = render(&["--namespace", "other"]).iter().map(name).collect();
    assert!(first.iter().all(|object| !second.contains(object)));
}
