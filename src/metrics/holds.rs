//! Metrics of legal holds that are not released, read from the caches at each scrape.

use std::fmt;

use kube::ResourceExt as _;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::controller::Stores;

/// Writes everything down.
pub(super) fn encode(stores: &Stores, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let all = stores.holds();
    let with_status: Vec<_> = all
        .iter()
        .filter_map(|hold| hold.0.as_ref().ok())
        .filter(|hold| !hold.spec.released)
        .filter_map(|hold| Some((hold, hold.status.as_ref()?)))
        .collect();
    if with_status.is_empty() {
        return Ok(());
    }
    let help = "Conditions of legal holds that are not released: 1 for the status that a condition has";
    let mut metric = encoder.encode_descriptor("privacy_legal_hold_condition", help, None, MetricType::Gauge)?;
    for (hold, status) in with_status {
        let (namespace, name) = (hold.namespace().unwrap_or_default(), hold.name_any());
        let whose = [("namespace", namespace.as_str()), ("hold", name.as_str())];
        super::encode_conditions(&mut metric, &whose, &status.conditions)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;

    use crate::api::LegalHold;
    use crate::controller::Stores;
    use crate::controller::guarded::Guarded;
    use crate::metrics::Metrics;
    use crate::plan::fixtures;

    #[test]
    fn a_hold_is_told_until_it_is_released() {
        let mut hold: LegalHold = serde_json::from_value(serde_json::json!({
            "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "LegalHold", "metadata": {"name": "claim", "namespace": "shop"},
            "spec": {"dataSourceRef": {"name": "db"}, "datasets": ["a"], "matter": "M-1", "basis": "LegalClaims", "reviewAt": "2027-01-01"},
            "status": {"conditions": [{"type": "InForce", "status": "False", "reason": "Placing", "message": "", "lastTransitionTime": "2026-11-22T05:00:00Z"}]},
        }))
        .unwrap();
        let metrics = Metrics::new(fixtures::now);
        let (reader, mut writer) = store();
        writer.apply_watcher_event(&Event::Apply(Guarded(Ok(hold.clone()))));
        metrics.watch(Stores {
            holds: vec![reader],
            ..Stores::default()
        });
        let line = r#"privacy_legal_hold_condition{namespace="shop",hold="claim",type="InForce",status="False"} 1"#;
        assert!(metrics.encode().unwrap().contains(line));
        hold.spec.released = true;
        writer.apply_watcher_event(&Event::Apply(Guarded(Ok(hold))));
        assert!(!metrics.encode().unwrap().contains("privacy_legal_hold"));
    }
}
