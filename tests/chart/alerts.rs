//! Monitoring is off by default; each alert leads to its section of the runbook.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::helm::{NAMESPACE, of_kind, only, release, root};

fn alerts() -> Vec<Value> {
    only(&release("everything"), "PrometheusRule")["spec"]["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn without_the_prometheus_operator_none_of_its_kinds_is_rendered() {
    for kind in ["ServiceMonitor", "PrometheusRule"] {
        assert!(of_kind(&release("default"), kind).is_empty(), "{kind}");
    }
}

#[test]
fn the_monitor_finds_the_service_and_the_service_its_port() {
    let objects = release("everything");
    let (monitor, service) = (only(&objects, "ServiceMonitor"), only(&objects, "Service"));
    for (key, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&service["metadata"]["labels"][key], value);
    }
    assert_eq!(
        monitor["spec"]["endpoints"][0]["port"],
        service["spec"]["ports"][0]["name"]
    );
    assert_eq!(monitor["spec"]["endpoints"][0]["honorLabels"], true);
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    assert_eq!(service["metadata"]["annotations"]["prometheus.io/scrape"], "true");
}

#[test]
fn every_alert_has_its_section_in_the_runbook_and_no_section_is_left_over() {
    let runbook = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let sections: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("### Privacy"))
        .map(|name| format!("Privacy{name}"))
        .collect();
    let mut named = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap().to_owned();
        let url = alert["annotations"]["runbook_url"].as_str().unwrap();
        assert!(url.ends_with(&format!("#{}", name.to_lowercase())), "{url}");
        assert!(alert["annotations"]["summary"].is_string(), "{name}");
        assert!(
            ["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap()),
            "{name}"
        );
        named.insert(name);
    }
    assert_eq!(named, sections);
}

#[test]
fn alerts_speak_of_this_release_and_of_the_chosen_margin() {
    let expressions: Vec<String> = alerts()
        .iter()
        .map(|alert| alert["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        expressions.iter().any(|text| text.contains("< 7200")),
        "{expressions:?}"
    );
    let down = expressions.iter().find(|text| text.contains("absent(")).unwrap();
    assert!(
        down.contains(&format!("namespace=\"{NAMESPACE}\"")) && down.contains("job=\"privacy-operator\""),
        "{down}"
    );
}

#[test]
fn every_metric_of_an_alert_is_one_that_the_operator_has() {
    let files = [
        "src/metrics.rs",
        "src/metrics/exports.rs",
        "src/metrics/holds.rs",
        "src/metrics/records.rs",
    ];
    let source = files
        .map(|file| std::fs::read_to_string(root().join(file)).unwrap())
        .concat();
    let mut count = 0;
    for alert in alerts() {
        let expression = alert["expr"].as_str().unwrap().to_owned();
        for word in expression.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_')) {
            if word.starts_with("privacy_") {
                // Counters get their ending from the encoder.
                let name = word.trim_end_matches("_total");
                assert!(source.contains(&format!("\"{name}\"")), "{word}");
                count += 1;
            }
        }
    }
    assert!(count >= 6, "{count}");
}
