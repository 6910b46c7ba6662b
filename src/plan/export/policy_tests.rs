use serde_json::{Value, json};

use super::*;
use crate::plan::export::fixtures;

fn with(field: &str, value: Value) -> SubjectRightsPolicy {
    let mut document = serde_json::to_value(fixtures::policy()).unwrap();
    let mut target = &mut document["spec"];
    for part in field.split('.') {
        target = &mut target[part];
    }
    *target = value;
    serde_json::from_value(document).unwrap()
}

#[test]
fn defaults_are_those_of_the_law() {
    let parsed = parse(&fixtures::policy()).unwrap();
    assert_eq!(parsed.rules.respond, "P1M".parse().unwrap());
    assert_eq!(parsed.rules.max_extension, Some("P2M".parse().unwrap()));
    assert_eq!(parsed.rules.acknowledge, None);
    assert!(parsed.rules.rolls);
    assert_eq!(parsed.expire_after, Period::WEEK);
    let ccpa = parse(&with("regime", json!("CCPA"))).unwrap();
    assert_eq!(ccpa.rules.respond, "P45D".parse().unwrap());
    assert_eq!((ccpa.rules.acknowledge, ccpa.rules.rolls), (Some(10), false));
    let shine = parse(&with("regime", json!("ShineTheLight"))).unwrap();
    assert_eq!(
        (shine.rules.respond, shine.rules.max_extension),
        ("P30D".parse().unwrap(), None)
    );
}

#[test]
fn each_mistake_is_named_with_its_field() {
    for (field, value, reason, shown) in [
        ("timeZone", json!("Berlin"), "InvalidTimeZone", "spec.timeZone"),
        ("expireAfter", json!("7d"), "InvalidDuration", "spec.expireAfter"),
        ("deleteAfter", json!("PT1H"), "InvalidDuration", "spec.deleteAfter"),
        (
            "activeDeadline",
            json!("PT1S"),
            "InvalidDuration",
            "spec.activeDeadline",
        ),
        ("activeDeadline", json!("P1M"), "InvalidDuration", "spec.activeDeadline"),
        (
            "deadlines",
            json!({"respond": "PT5H"}),
            "InvalidDuration",
            "spec.deadlines.respond",
        ),
        (
            "deadlines",
            json!({"maxExtension": "x"}),
            "InvalidDuration",
            "spec.deadlines.maxExtension",
        ),
        ("formats", json!(["html", "html"]), "DuplicateName", "spec.formats"),
        ("languages", json!(["de", "de"]), "DuplicateName", "spec.languages"),
        (
            "limits",
            json!([{"right": "Access", "max": 1, "window": "Year"}]),
            "InvalidDuration",
            "spec.limits[0].window",
        ),
        (
            "limits",
            json!([{"right": "Access", "max": 1, "window": "P1Y", "onExceed": "Refuse"}]),
            "RefusalNotLawful",
            "spec.limits[0].onExceed",
        ),
    ] {
        let mistakes = parse(&with(field, value.clone())).unwrap_err();
        let told: Vec<(&str, &str)> = mistakes.iter().map(|it| (it.reason, it.field.as_str())).collect();
        assert_eq!(told, [(reason, shown)], "{field}: {value}");
    }
}

#[test]
fn more_time_than_the_law_gives_is_told() {
    let told = |value: Value| {
        let policy = with("deadlines", value);
        beyond_law(&policy, &parse(&policy).unwrap())
    };
    assert!(told(json!({})).is_empty());
    assert!(told(json!({"respond": "P4W", "maxExtension": "P1M"})).is_empty());
    // In February a month has 28 days.
    assert_eq!(told(json!({"respond": "P30D", "maxExtension": "P1D"})).len(), 1);
    assert_eq!(told(json!({"respond": "P1M", "maxExtension": "P6M"})).len(), 1);
    let mut policy = with("deadlines", json!({"acknowledge": {"businessDays": 11}}));
    assert!(beyond_law(&policy, &parse(&policy).unwrap()).is_empty());
    policy.spec.regime = Regime::Ccpa;
    assert_eq!(beyond_law(&policy, &parse(&policy).unwrap()).len(), 1);
}
