//! Metrics of records of processing and of stores, read from the caches at each scrape.

use std::collections::BTreeMap;
use std::fmt;

use kube::ResourceExt as _;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::api::findings::Finding;
use crate::controller::Stores;

/// Namespace, kind and name of an object, then reason and severity.
type FindingLabels = (String, &'static str, String, String, &'static str);

/// Writes everything down.
pub(super) fn encode(stores: &Stores, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    findings(stores, encoder)?;
    lines(stores, encoder)?;
    sources(stores, encoder)
}

fn findings(stores: &Stores, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut counts: BTreeMap<FindingLabels, i64> = BTreeMap::new();
    let mut count = |namespace: String, kind: &'static str, name: String, findings: &[Finding]| {
        for finding in findings {
            let labels = (
                namespace.clone(),
                kind,
                name.clone(),
                finding.reason.clone(),
                finding.severity.as_str(),
            );
            *counts.entry(labels).or_default() += 1;
        }
    };
    for activity in stores
        .activities()
        .iter()
        .filter_map(|activity| activity.0.as_ref().ok())
    {
        if let Some(status) = &activity.status {
            let namespace = activity.namespace().unwrap_or_default();
            count(namespace, "ProcessingActivity", activity.name_any(), &status.findings);
        }
    }
    for notice in stores.notices().iter().filter_map(|notice| notice.0.as_ref().ok()) {
        if let Some(status) = &notice.status {
            count(String::new(), "PrivacyNotice", notice.name_any(), &status.findings);
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    let help = "Findings about records of processing and notices";
    let mut metric = encoder.encode_descriptor("privacy_findings", help, None, MetricType::Gauge)?;
    for ((namespace, kind, name, reason, severity), count) in &counts {
        let labels = [
            ("namespace", namespace.as_str()),
            ("kind", kind),
            ("name", name.as_str()),
            ("reason", reason.as_str()),
            ("severity", severity),
        ];
        metric.encode_family(&labels)?.encode_gauge(count)?;
    }
    Ok(())
}

fn lines(stores: &Stores, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let activities = stores.activities();
    let with_status: Vec<_> = activities
        .iter()
        .filter_map(|activity| activity.0.as_ref().ok())
        .filter_map(|activity| Some((activity, activity.status.as_ref()?)))
        .collect();
    if with_status.is_empty() {
        return Ok(());
    }
    let help = "Retention lines and measures of a record of processing, by what is observed of them";
    let mut metric = encoder.encode_descriptor("privacy_activity_lines", help, None, MetricType::Gauge)?;
    for (activity, status) in with_status {
        let (namespace, name) = (activity.namespace().unwrap_or_default(), activity.name_any());
        for observed in ["True", "False", "Unknown"] {
            let count = status
                .retention
                .iter()
                .chain(&status.measures)
                .filter(|line| line.observed == observed)
                .count();
            let labels = [
                ("namespace", namespace.as_str()),
                ("activity", name.as_str()),
                ("observed", observed),
            ];
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metric.encode_family(&labels)?.encode_gauge(&count)?;
        }
    }
    Ok(())
}

fn sources(stores: &Stores, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let sources = stores.sources();
    let with_status: Vec<_> = sources
        .iter()
        .filter_map(|source| source.0.as_ref().ok())
        .filter_map(|source| Some((source, source.status.as_ref()?)))
        .collect();
    if with_status.is_empty() {
        return Ok(());
    }
    let help = "Conditions of stores: 1 for the status that a condition has";
    let mut metric = encoder.encode_descriptor("privacy_source_condition", help, None, MetricType::Gauge)?;
    for (source, status) in with_status {
        let (namespace, name) = (source.namespace().unwrap_or_default(), source.name_any());
        let whose = [("namespace", namespace.as_str()), ("source", name.as_str())];
        super::encode_conditions(&mut metric, &whose, &status.conditions)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;

    use crate::api::ProcessingActivity;
    use crate::controller::Stores;
    use crate::controller::guarded::Guarded;
    use crate::metrics::Metrics;
    use crate::plan::fixtures;

    #[test]
    fn findings_are_counted_by_reason_and_vanish_with_the_activity() {
        let activity: ProcessingActivity = serde_json::from_value(serde_json::json!({
            "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ProcessingActivity",
            "metadata": {"name": "logs", "namespace": "shop"},
            "spec": {"noticeRef": {"name": "n"}, "title": "Logs", "role": "Controller"},
            "status": {
                "findings": [
                    {"reason": "ReviewOverdue", "severity": "Warning", "field": "a", "message": "b", "remedy": "c"},
                    {"reason": "ReviewOverdue", "severity": "Warning", "field": "d", "message": "e", "remedy": "f"},
                ],
                "measures": [{"line": 0, "subject": "x", "observed": "False", "reason": "TlsDisabled", "message": ""}],
            },
        }))
        .unwrap();
        let metrics = Metrics::new(fixtures::now);
        let (reader, mut writer) = store();
        writer.apply_watcher_event(&Event::Apply(Guarded(Ok(activity.clone()))));
        metrics.watch(Stores {
            activities: vec![reader],
            ..Stores::default()
        });
        let text = metrics.encode().unwrap();
        for line in [
            r#"privacy_findings{namespace="shop",kind="ProcessingActivity",name="logs",reason="ReviewOverdue",severity="Warning"} 2"#,
            r#"privacy_activity_lines{namespace="shop",activity="logs",observed="False"} 1"#,
            r#"privacy_activity_lines{namespace="shop",activity="logs",observed="True"} 0"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        writer.apply_watcher_event(&Event::Delete(Guarded(Ok(activity))));
        assert!(!metrics.encode().unwrap().contains("privacy_findings{"));
    }
}
