//! Every mistake that can be judged without the store, each with its reason, its field and its remedy.

use serde_json::{Value, json};

use super::*;
use crate::plan::fixtures;

/// The fixture with one part replaced or added.
fn with(pointer: &str, value: Value) -> DataRetentionPolicy {
    let mut document = serde_json::to_value(fixtures::policy()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => other[key] = value,
    }
    serde_json::from_value(document).unwrap()
}

fn mistakes(policy: &DataRetentionPolicy) -> Vec<Invalid> {
    validate(&Inputs {
        policy,
        source: Some(&fixtures::source()),
        neighbours: &[],
        now: fixtures::now(),
    })
    .err()
    .unwrap_or_default()
}

#[test]
fn the_fixture_is_valid_and_its_times_are_right() {
    let validated = fixtures::validated(&fixtures::policy());
    assert_eq!(validated.largest_gap_seconds, 3600);
    assert_eq!(validated.active_deadline_seconds, 3600);
    assert_eq!(validated.slack_seconds, 3600 + 300 + 3600);
    assert_eq!(validated.rules[0].within_seconds, 7200);
    assert_eq!(validated.rules[0].categories, ["user.device.ip_address"]);
    assert!(validated.warnings.is_empty());
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn each_mistake_has_a_reason_a_field_and_a_remedy() {
    let rule =
        |ground: Value| json!({"name": "r", "dataset": "accounts", "keepWhile": [ground], "then": {"delete": {}}});
    let ground = json!({"name": "g", "from": "at", "for": "P1Y"});
    let time = |value: &str| json!({"name": "g", "from": "at", "for": "P1Y", "when": [{"column": "c", "operator": "Before", "values": [value]}]});
    let cases = [
        (
            "/spec/schedule",
            json!("61 * * * *"),
            "InvalidSchedule",
            "spec.schedule",
            "0 to 59",
        ),
        (
            "/spec/schedule",
            json!("0 0 30 2 *"),
            "InvalidSchedule",
            "spec.schedule",
            "never runs",
        ),
        (
            "/spec/schedule",
            json!("TZ=UTC 0 * * * *"),
            "InvalidSchedule",
            "spec.schedule",
            "spec.timeZone",
        ),
        (
            "/spec/timeZone",
            json!("Europe/Nowhere"),
            "InvalidTimeZone",
            "spec.timeZone",
            "Europe/Berlin",
        ),
        (
            "/spec/activeDeadline",
            json!("P1D"),
            "InvalidDuration",
            "spec.activeDeadline",
            "hours, minutes and seconds",
        ),
        (
            "/spec/activeDeadline",
            json!("PT25H"),
            "InvalidDuration",
            "spec.activeDeadline",
            "PT24H",
        ),
        (
            "/spec/activeDeadline",
            json!("PT5S"),
            "InvalidDuration",
            "spec.activeDeadline",
            "PT1M",
        ),
        (
            "/spec/activeDeadline",
            json!("1h"),
            "InvalidDuration",
            "spec.activeDeadline",
            "PT12H",
        ),
        (
            "/spec/approve",
            json!({"upToRows": 1, "generation": 1, "until": "2026-02-30"}),
            "InvalidValue",
            "spec.approve.until",
            "YYYY-MM-DD",
        ),
        (
            "/spec/rules/0/within",
            json!("soon"),
            "InvalidDuration",
            "spec.rules[seven-days].within",
            "P7D",
        ),
        (
            "/spec/rules/0/dataset",
            json!("nobody"),
            "UnknownDataset",
            "spec.rules[seven-days].dataset",
            "access-log and accounts",
        ),
        (
            "/spec/rules/0/keepWhile/0/for",
            json!("7 days"),
            "InvalidDuration",
            "spec.rules[seven-days].keepWhile[age].for",
            "P7D",
        ),
        (
            "/spec/rules/0/keepWhile/0",
            json!({"name": "age", "from": "at", "for": "P1DT1H", "startsAt": "EndOfDay"}),
            "InvalidDuration",
            "spec.rules[seven-days].keepWhile[age].for",
            "whole days",
        ),
        (
            "/spec/rules/0/keepWhile/0/from",
            json!("a\nb"),
            "InvalidIdentifier",
            "spec.rules[seven-days].keepWhile[age].from",
            "",
        ),
        (
            "/spec/rules/0/keepWhile/0/from",
            json!("ä".repeat(32)),
            "InvalidIdentifier",
            "spec.rules[seven-days].keepWhile[age].from",
            "63",
        ),
        (
            "/spec/rules/-",
            rule(time("yesterday")),
            "InvalidValue",
            "spec.rules[r].keepWhile[g].when[0].values[0]",
            "now",
        ),
        (
            "/spec/rules/-",
            json!({"name": "r", "dataset": "access-log", "keepWhile": [ground], "then": {"delete": {}}}),
            "TwoDeletes",
            "spec.rules[r].then.delete",
            "seven-days",
        ),
        (
            "/spec/rules/-",
            json!({"name": "addresses", "dataset": "accounts", "keepWhile": [ground], "then": {"delete": {}}}),
            "DuplicateName",
            "spec.rules[addresses].name",
            "rename",
        ),
        (
            "/spec/rules/1/then",
            json!({"mask": [{"column": "requested_at", "strategy": "Nullify"}]}),
            "ColumnInUse",
            "spec.rules[addresses].then.mask[requested_at].column",
            "spec.rules[seven-days].keepWhile[age].from",
        ),
        (
            "/spec/rules/-",
            json!({"name": "r", "dataset": "access-log", "always": {}, "then": {"set": [{"column": "client_ip", "value": "x"}]}}),
            "ColumnInUse",
            "spec.rules[r].then.set[client_ip].column",
            "addresses",
        ),
    ];
    for (pointer, value, reason, field, words) in cases {
        let found = mistakes(&with(pointer, value));
        assert_eq!(found.len(), 1, "{field}: {found:?}");
        assert_eq!((found[0].reason, found[0].field.as_str()), (reason, field));
        assert!(found[0].message.contains(words), "{}", found[0].message);
        assert_eq!(found[0].rule.is_some(), field.starts_with("spec.rules"));
    }
}

#[test]
fn a_value_that_is_not_a_time_is_not_repeated() {
    let ground = json!({"name": "g", "from": "at", "for": "P1Y", "when": [{"column": "c", "operator": "After", "values": ["canary@example.org"]}]});
    let rule = json!({"name": "r", "dataset": "accounts", "keepWhile": [ground], "then": {"delete": {}}});
    let found = mistakes(&with("/spec/rules/-", rule));
    assert!(!found[0].text().contains("canary"), "{}", found[0].text());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mut policy = with("/spec/schedule", json!("x"));
    policy.spec.time_zone = "x".to_owned();
    policy.spec.rules[0].dataset = "x".to_owned();
    assert_eq!(mistakes(&policy).len(), 3);
}

#[test]
fn a_set_may_write_the_column_by_which_its_own_rows_are_chosen_and_no_other() {
    let rule = |column: &str| {
        json!({"name": "r", "dataset": "accounts", "rows": [{"column": "blocked", "operator": "NotIn", "values": ["true"]}],
            "keepWhile": [{"name": "g", "until": ["objected_at"]}], "then": {"set": [{"column": column, "value": "true"}]}})
    };
    assert!(mistakes(&with("/spec/rules/-", rule("blocked"))).is_empty());
    assert_eq!(
        mistakes(&with("/spec/rules/-", rule("objected_at")))[0].reason,
        reasons::COLUMN_IN_USE
    );
}

#[test]
fn an_unknown_or_invalid_source_is_told_with_what_to_do() {
    let policy = fixtures::policy();
    let judge = |source: Option<&DataSource>| {
        let inputs = Inputs {
            policy: &policy,
            source,
            neighbours: &[],
            now: fixtures::now(),
        };
        validate(&inputs).unwrap_err()[0].clone()
    };
    let unknown = judge(None);
    assert_eq!(unknown.reason, reasons::UNKNOWN_DATA_SOURCE);
    assert!(unknown.message.contains("kubectl get datasources -n shop"));
    let mut source = fixtures::source();
    source.spec.datasets[1].table = "public.access_log".to_owned();
    let invalid = judge(Some(&source));
    assert_eq!(invalid.reason, reasons::INVALID_DATA_SOURCE);
    assert!(
        invalid.message.contains("spec.datasets[accounts].table"),
        "{}",
        invalid.message
    );
}

#[test]
fn policies_with_rules_for_one_table_are_refused_in_one_namespace_only() {
    let policy = fixtures::policy();
    let judge = |namespace: &str| {
        let neighbours = [Neighbour {
            namespace: namespace.to_owned(),
            name: "other".to_owned(),
            table: "public.access_log".to_owned(),
        }];
        let inputs = Inputs {
            policy: &policy,
            source: Some(&fixtures::source()),
            neighbours: &neighbours,
            now: fixtures::now(),
        };
        validate(&inputs).err()
    };
    assert_eq!(judge("shop").unwrap()[0].reason, reasons::SHARED_DATASET);
    assert!(judge("crm").is_none());
}

#[test]
fn a_schedule_that_may_be_late_by_more_than_a_quarter_of_a_maximum_is_too_coarse_for_that_rule() {
    let late = |schedule: &str, deadline: &str| {
        let mut policy = with("/spec/schedule", json!(schedule));
        policy.spec.active_deadline = deadline.to_owned();
        let rules = fixtures::validated(&policy).rules;
        (rules[0].too_coarse.is_some(), rules[1].too_coarse.is_some())
    };
    // A quarter of seven days is 42 hours.
    assert_eq!(late("0 5 * * *", "PT1H"), (false, false));
    assert_eq!(late("0 5 * * *", "PT24H"), (true, false));
    assert_eq!(late("@weekly", "PT1H"), (true, false));
}

#[test]
fn early_slots_in_a_zone_with_daylight_saving_time_are_warned_of() {
    let warnings = |policy: &DataRetentionPolicy| fixtures::validated(policy).warnings.len();
    assert_eq!(warnings(&with("/spec/schedule", json!("30 2 * * *"))), 1);
    let mut policy = with("/spec/schedule", json!("30 2 * * *"));
    policy.spec.time_zone = "Etc/UTC".to_owned();
    assert_eq!(warnings(&policy), 0);
}

#[test]
fn address_ranges_are_judged() {
    for (range, valid) in [
        ("10.20.0.0/16", true),
        ("2001:db8::/32", true),
        ("10.20.0.5", false),
        ("10.20.0.0/33", false),
        ("10.20.0.0/+8", false),
        ("example.org/8", false),
    ] {
        let mut source = fixtures::source();
        if let Some(network) = &mut source.spec.network {
            network.cidrs = Some(vec![range.to_owned()]);
        }
        assert_eq!(source::check(&source).is_empty(), valid, "{range}");
    }
}
