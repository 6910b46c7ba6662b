//! What is observed of each line, and how the status tells it.

use serde_json::{Value, json};

use super::{World, set, world};
use crate::plan::records::{measures, retention, status};

fn retention_of(world: &World) -> (String, String, Option<String>) {
    let line = world.with(retention::observed).remove(0);
    (line.observed, line.reason, line.gone_from_backups)
}

#[test]
fn a_retention_line_says_what_its_rule_does() {
    let status = |on_time: &str, kept: &str, reason: &str, generation: i64| {
        json!({
            "observedGeneration": generation,
            "rules": [{"name": "applications", "onTime": on_time}],
            "conditions": [{"type": "PromiseKept", "status": kept, "reason": reason, "message": "", "lastTransitionTime": "2026-11-22T05:00:00Z"}],
        })
    };
    let mut world = world();
    let gone = Some("at the latest P35D after it is gone from the store".to_owned());
    assert_eq!(
        retention_of(&world),
        ("Unknown".into(), "NoRunYet".into(), gone.clone())
    );
    for (status, mode, observed, reason) in [
        (status("True", "True", "OnTime", 2), "Enforce", "True", "OnTime"),
        (
            status("True", "True", "OnTime", 2),
            "Observe",
            "True",
            "KeptWhileObserving",
        ),
        (
            status("False", "False", "NoRecentRun", 2),
            "Enforce",
            "False",
            "NoRecentRun",
        ),
        // Another rule of the policy is unknown: the reason of the whole is none for this one.
        (status("False", "Unknown", "NeverRan", 2), "Enforce", "False", "Overdue"),
        (
            status("Unknown", "Unknown", "NeverRan", 2),
            "Enforce",
            "Unknown",
            "NeverRan",
        ),
        // A status about an older spec says nothing about this one.
        (status("True", "True", "OnTime", 1), "Enforce", "Unknown", "NoRunYet"),
    ] {
        set(&mut world.policy, "/status", status);
        set(&mut world.policy, "/spec/mode", json!(mode));
        assert_eq!(retention_of(&world), (observed.into(), reason.into(), gone.clone()));
    }
    set(
        &mut world.activity,
        "/spec/retention/0",
        json!({"categories": ["user"], "stated": {"text": "1 Jahr", "period": "P1Y", "storedBy": "Device"}}),
    );
    assert_eq!(retention_of(&world), ("Unknown".into(), "Recorded".into(), None));
}

fn measure_of(world: &World, index: usize) -> (String, String) {
    let line = world.with(measures::observed).remove(index);
    (line.observed, line.reason)
}

#[test]
fn encryption_in_transit_is_what_the_survey_saw() {
    let mut world = world();
    assert_eq!(measure_of(&world, 0), ("Unknown".into(), "NotSurveyed".into()));
    let survey = |at: &str, tls: Option<&str>, problem: Option<&str>| {
        let mut survey = json!({"job": "j", "uid": "u", "finishedAt": at, "tls": tls});
        if let Some(reason) = problem {
            survey["problem"] = json!({"reason": reason, "message": ""});
        }
        json!({"survey": survey})
    };
    for (status, observed, reason) in [
        (
            survey("2026-11-22T04:08:00Z", Some("TLSv1.3"), None),
            "True",
            "TlsInUse",
        ),
        (survey("2026-11-22T04:08:00Z", None, None), "False", "TlsNotInUse"),
        (
            survey("2026-11-22T04:08:00Z", None, Some("Unreachable")),
            "Unknown",
            "NotReachable",
        ),
        // Every hour, and none for three.
        (
            survey("2026-11-22T01:59:00Z", Some("TLSv1.3"), None),
            "Unknown",
            "SurveyOutdated",
        ),
    ] {
        set(&mut world.source, "/status", status);
        assert_eq!(measure_of(&world, 0), (observed.into(), reason.into()));
    }
    set(&mut world.source, "/spec/postgres/tls", json!({"mode": "Disable"}));
    assert_eq!(measure_of(&world, 0), ("False".into(), "TlsDisabled".into()));
}

#[test]
fn hashes_are_told_by_counts_alone() {
    let mut world = world();
    let survey = |column: Value| json!({"survey": {"job": "j", "uid": "u", "finishedAt": "2026-11-22T04:08:00Z", "tls": "TLSv1.3", "hashed": [column]}});
    let column = |scheme: &str, checked: i64, others: i64| json!({"dataset": "applications", "column": "secret_hash", "scheme": scheme, "checked": checked, "others": others});
    let mut refused = column("bcrypt", 0, 0);
    refused["problem"] = json!({"reason": "MissingGrant", "message": "grant it"});
    for (found, observed, reason) in [
        (column("bcrypt", 400, 0), "True", "FormMatches"),
        (column("bcrypt", 400, 1), "False", "NotHashed"),
        (column("bcrypt", 0, 0), "Unknown", "NoValues"),
        // The claim was changed since.
        (column("argon2", 400, 0), "Unknown", "NotSurveyed"),
        (refused, "Unknown", "MissingGrant"),
    ] {
        set(&mut world.source, "/status", survey(found));
        assert_eq!(measure_of(&world, 1), (observed.into(), reason.into()));
    }
}

#[test]
fn what_nobody_here_can_see_is_recorded_and_never_true() {
    let mut world = world();
    let of = |kind: &str, of: &str| json!({"kind": kind, "of": of});
    for (measure, reason) in [
        (of("EncryptionAtRest", "Database"), "Recorded"),
        (of("EncryptionAtRest", "Volume"), "Recorded"),
        (of("EncryptionAtRest", "Backup"), "Recorded"),
        (of("EncryptionInTransit", "Routes"), "Recorded"),
        (of("EncryptionAtRest", "KubernetesSecrets"), "NoClusterEncryption"),
        (json!({"kind": "Described", "description": "a fence"}), "Recorded"),
        (json!({"kind": "AccessControl", "secrets": ["x"]}), "NotEvaluated"),
    ] {
        set(&mut world.activity, "/spec/measures/0", measure);
        assert_eq!(measure_of(&world, 0), ("Unknown".into(), reason.into()));
    }
}

#[test]
fn the_status_keeps_what_people_were_told_until_the_notice_has_a_new_version() {
    let mut world = world();
    let first = world.with(status::of_activity);
    assert_eq!(
        (first.findings_summary.as_deref(), first.purposes.as_deref()),
        (Some("0"), Some("employment.recruitment"))
    );
    assert_eq!(first.observed.as_deref(), Some("0/3"));
    set(&mut world.activity, "/status", serde_json::to_value(&first).unwrap());
    // What people are not told of may change.
    set(&mut world.activity, "/spec/responsibleUnit", json!("HR"));
    assert_eq!(world.with(status::of_activity).findings_summary.as_deref(), Some("0"));
    set(&mut world.activity, "/spec/dataSubjects/-", json!("employee"));
    let changed = world.with(status::of_activity);
    assert_eq!(changed.findings[0].reason, "NoticeBehind");
    assert_eq!(changed.disclosed, first.disclosed);
    let told = world.with(|inputs| status::transitions(inputs.activity, &changed));
    assert_eq!(told, [], "a warning is no event");
    set(&mut world.notice, "/spec/version", json!("4"));
    let published = world.with(status::of_activity);
    assert_eq!(published.findings_summary.as_deref(), Some("0"));
    assert_ne!(published.disclosed, first.disclosed);
}

#[test]
fn a_new_error_and_a_line_that_turned_false_are_told_once() {
    let mut world = world();
    let before = world.with(status::of_activity);
    set(&mut world.activity, "/status", serde_json::to_value(&before).unwrap());
    set(&mut world.activity, "/spec/recipients/0/agreement", Value::Null);
    set(&mut world.source, "/spec/postgres/tls", json!({"mode": "Disable"}));
    let after = world.with(status::of_activity);
    let words = |world: &World| -> Vec<String> {
        world.with(|inputs| {
            status::transitions(inputs.activity, &after)
                .into_iter()
                .map(|told| told.reason)
                .collect()
        })
    };
    assert_eq!(words(&world), ["ProcessorWithoutAgreement", "NotObserved"]);
    set(&mut world.activity, "/status", serde_json::to_value(&after).unwrap());
    assert_eq!(words(&world), [] as [&str; 0]);
    let same = world.with(status::of_activity);
    assert!(status::activity_unchanged(&after, &same));
}
