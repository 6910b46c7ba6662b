//! `helm template`, as parsed objects.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// Namespace of the rendered release.
pub const NAMESPACE: &str = "privacy-system";

/// The chart's folder.
pub fn chart() -> PathBuf {
    root().join("charts/privacy-operator")
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs helm; a machine without it fails the test, for a skipped check looks like one that holds.
pub fn helm(arguments: &[&str]) -> Output {
    let ours = root().join(".dev/bin/helm");
    let program = if ours.exists() { ours } else { PathBuf::from("helm") };
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("helm does not start ({error}): run 'make tools', or install helm"))
}

fn template(arguments: &[&str]) -> Output {
    let chart = chart();
    let mut all = vec![
        "template",
        "privacy-operator",
        chart.to_str().unwrap(),
        "--namespace",
        NAMESPACE,
    ];
    // Helm built from its module believes in a Kubernetes of its own.
    all.extend(["--kube-version", "1.34.0"]);
    all.extend(arguments);
    helm(&all)
}

/// The objects of a release with these values.
pub fn render(arguments: &[&str]) -> Vec<Value> {
    let output = template(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Why helm refuses these values.
pub fn refusal(arguments: &[&str]) -> String {
    let output = template(arguments);
    assert!(!output.status.success(), "helm accepts {arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The releases that the tests look at, by the name of the values file. Rendered once.
pub fn releases() -> Vec<(&'static str, Vec<Value>)> {
    static RENDERED: OnceLock<Vec<(&str, Vec<Value>)>> = OnceLock::new();
    let rendered = RENDERED.get_or_init(|| {
        let mut releases = vec![("default", render(&[]))];
        for name in ["everything", "namespaces", "nothing"] {
            let file = root().join(format!("tests/chart/values/{name}.yaml"));
            releases.push((name, render(&["--values", file.to_str().unwrap()])));
        }
        releases
    });
    rendered.clone()
}

/// One of [`releases`].
pub fn release(name: &str) -> Vec<Value> {
    releases()
        .into_iter()
        .find_map(|(other, objects)| (other == name).then_some(objects))
        .unwrap()
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The only object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

/// The strings of a JSON array.
pub fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
