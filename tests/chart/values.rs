//! Values are documented, and a mistake in them is refused before anything is installed.

use serde_json::Value;

use crate::helm::{chart, helm, refusal, release, root};

fn defaults() -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(chart().join("values.yaml")).unwrap()).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&std::fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap()
}

#[test]
fn a_typo_or_a_value_of_the_wrong_kind_is_refused_by_name() {
    for (set, expected) in [
        ("replica=2", "'replica' not allowed"),
        ("image.tagg=x", "'tagg' not allowed"),
        ("admissionPolicies.enable=false", "'enable' not allowed"),
        ("replicas=two", "replicas"),
        ("log.format=xml", "log/format"),
        ("watchNamespaces={Shop}", "watchNamespaces/0"),
        ("worker.resources.limits.memory=64MB", "worker/resources/limits/memory"),
        (
            "networkPolicy.apiServer.ports={https}",
            "networkPolicy/apiServer/ports/0",
        ),
        ("serviceAccount.create=false", "serviceAccount.name"),
    ] {
        let message = refusal(&["--set", set]);
        assert!(message.contains(expected), "{set}: {message}");
    }
}

/// Every value, as a path, with its schema.
fn walk(values: &Value, schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value, &Value)) {
    for (name, value) in values.as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let schema = &schema["properties"][name];
        visit(&path, value, schema);
        walk(value, schema, &path, visit);
    }
}

#[test]
fn values_and_schema_list_the_same() {
    let (values, schema) = (defaults(), schema());
    let mut count = 0;
    walk(&values, &schema, "", &mut |path, value, schema| {
        count += 1;
        let is_free = path.starts_with("resources.");
        assert!(is_free || schema.is_object(), "values.schema.json lacks {path}");
        if schema.get("properties").is_some() {
            assert_eq!(schema["additionalProperties"], false, "{path} takes typos");
            for name in schema["properties"].as_object().unwrap().keys() {
                let is_there = value.get(name).is_some() || path == "resources";
                assert!(is_there, "values.yaml does not list {path}.{name}");
            }
        }
    });
    assert!(count > 40, "{count}");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn every_value_is_used_by_a_template() {
    let mut templates = String::new();
    for entry in std::fs::read_dir(chart().join("templates")).unwrap() {
        templates.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    walk(&defaults(), &Value::Null, "", &mut |path, value, _| {
        let is_leaf = value.as_object().is_none_or(serde_json::Map::is_empty);
        if is_leaf && !path.starts_with("resources.") {
            assert!(
                templates.contains(&format!(".Values.{path}")),
                "no template reads {path}"
            );
        }
    });
}

#[test]
fn every_group_of_values_says_what_it_is_for() {
    let text = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut described = 0;
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(':')) {
        let is_leaf_value = !line.trim_start().starts_with('#') && !line.trim_end().ends_with(':');
        let before = lines[..number].iter().rev();
        // A comment above it, or above the group of which it is.
        let has_comment = before
            .clone()
            .take_while(|line| !line.is_empty())
            .any(|line| line.trim_start().starts_with('#'));
        let explains_itself = [
            "resources:",
            "requests:",
            "limits:",
            "cpu:",
            "memory:",
            "service:",
            "annotations:",
        ];
        if is_leaf_value && !explains_itself.iter().any(|name| line.trim_start().starts_with(name)) {
            assert!(has_comment, "values.yaml:{}: {line}: no comment", number + 1);
            described += 1;
        }
    }
    assert!(described > 30, "{described}");
}

#[test]
fn helm_carries_the_crds_outside_of_the_templates_so_that_it_never_deletes_them() {
    let crds = std::fs::read_dir(chart().join("crds")).unwrap().count();
    assert_eq!(crds, privacy_operator::api::all_crds().len());
    assert!(
        release("default")
            .iter()
            .all(|object| object["kind"] != "CustomResourceDefinition")
    );
    let output = helm(&["show", "crds", chart().to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("name: dataretentionpolicies.privacy-operator.dev"),
        "{text}"
    );
}

#[test]
fn the_notes_tell_how_to_begin_stop_and_remove() {
    let notes = std::fs::read_to_string(root().join("charts/privacy-operator/templates/NOTES.txt")).unwrap();
    for expected in [
        "First steps",
        "privacy-operator-stop",
        "kubectl delete crd",
        "kubectl apply --server-side",
    ] {
        assert!(notes.contains(expected), "{expected}");
    }
    for crd in privacy_operator::api::all_crds() {
        assert!(notes.contains(&crd.metadata.name.unwrap()));
    }
}
