//! What is generated from the types is current, complete and explains itself.

use std::collections::BTreeMap;
use std::process::Command;

use privacy_operator::api;
use serde_json::Value;

use super::{assert_none, files, read};

/// What `privacy-operator crds` prints, by the name of each definition.
fn printed() -> BTreeMap<String, Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_privacy-operator"))
        .arg("crds")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    documents
        .into_iter()
        .map(|document| (document["metadata"]["name"].as_str().unwrap().to_owned(), document))
        .collect()
}

fn committed(folder: &str) -> BTreeMap<String, Value> {
    files(folder, "")
        .into_iter()
        .map(|file| {
            let document: Value = serde_saphyr::from_str(&read(&file)).unwrap();
            let name = document["metadata"]["name"].as_str().unwrap().to_owned();
            assert_eq!(file.file_name().unwrap().to_string_lossy(), format!("{name}.yaml"));
            (name, document)
        })
        .collect()
}

#[test]
fn the_committed_crds_are_those_of_the_types() {
    let printed = printed();
    assert_eq!(printed.len(), api::all_crds().len());
    for folder in ["crds", "charts/privacy-operator/crds"] {
        assert!(
            committed(folder) == printed,
            "{folder}/ differs from src/api: run 'make crds' and commit the result"
        );
    }
}

#[test]
fn every_field_of_every_kind_explains_itself() {
    let mut complaints = Vec::new();
    for (name, crd) in printed() {
        for version in crd["spec"]["versions"].as_array().unwrap() {
            let schema = &version["schema"]["openAPIV3Schema"];
            for part in ["spec", "status"] {
                undescribed(&schema["properties"][part], &format!("{name}: {part}"), &mut complaints);
            }
        }
    }
    assert_none(&complaints, "write a doc comment: it is what `kubectl explain` prints");
}

fn undescribed(schema: &Value, path: &str, complaints: &mut Vec<String>) {
    if schema["description"].as_str().is_none_or(str::is_empty) {
        complaints.push(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        undescribed(field, &format!("{path}.{name}"), complaints);
    }
    for (name, field) in schema["items"]["properties"].as_object().into_iter().flatten() {
        undescribed(field, &format!("{path}[].{name}"), complaints);
    }
}

#[test]
fn what_a_user_writes_is_bounded() {
    // Without bounds the API server refuses the CRD for the cost of its CEL rules, and one object could fill etcd.
    let mut complaints = Vec::new();
    for (name, crd) in printed() {
        for version in crd["spec"]["versions"].as_array().unwrap() {
            let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
            unbounded(spec, &format!("{name}: spec"), &mut complaints);
        }
    }
    assert_none(&complaints, "add #[schemars(length(max = ...))] or range(...)");
}

fn unbounded(schema: &Value, path: &str, complaints: &mut Vec<String>) {
    let is_bounded = match schema["type"].as_str() {
        Some("string") => schema.get("maxLength").is_some() || schema.get("enum").is_some(),
        Some("array") => schema.get("maxItems").is_some(),
        Some("integer") => {
            schema.get("minimum").is_some() && (schema.get("maximum").is_some() || path.ends_with("generation"))
        }
        _ => true,
    };
    if !is_bounded {
        complaints.push(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        // A type of Kubernetes, which bounds it itself.
        if name != "matchExpressions" && name != "matchLabels" {
            unbounded(field, &format!("{path}.{name}"), complaints);
        }
    }
    if let Some(items) = schema.get("items") {
        unbounded(items, &format!("{path}[]"), complaints);
    }
}

#[test]
fn crate_and_chart_have_one_version() {
    let chart: Value = serde_saphyr::from_str(&read("charts/privacy-operator/Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(chart["version"], version, "charts/privacy-operator/Chart.yaml: version");
    assert_eq!(
        chart["appVersion"], version,
        "charts/privacy-operator/Chart.yaml: appVersion"
    );
    assert!(
        read("CHANGELOG.md").contains(&format!("## [{version}]")) || read("CHANGELOG.md").contains("## [Unreleased]"),
        "CHANGELOG.md has no section for {version}"
    );
}
