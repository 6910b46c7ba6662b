//! Every mistake that can be judged without the store, each with its reason, its field and its remedy.

use serde_json::{Value, json};

use super::*;
use crate::plan::fixtures;
use crate::plan::sharing::Other;

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
        others: &[],
        holds: &[],
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
            others: &[],
            holds: &[],
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

fn beside(other: &DataRetentionPolicy) -> Result<Validated, Vec<Invalid>> {
    let source = fixtures::source();
    let policy = fixtures::policy();
    validate(&Inputs {
        policy: &policy,
        source: Some(&source),
        others: &[Other {
            policy: other,
            source: &source,
        }],
        holds: &[],
        now: fixtures::now(),
    })
}

fn other(rules: Value) -> DataRetentionPolicy {
    let mut other = with("/spec/rules", rules);
    other.metadata.name = Some("other".to_owned());
    other
}

#[test]
fn rules_of_another_policy_on_the_same_table_protect_whatever_becomes_of_that_policy() {
    let keep = json!([{"name": "a", "from": "at", "for": "P1Y"}, {"name": "b", "from": "at", "for": "P1D", "bound": "Maximum"}]);
    let mut policy = other(json!([
        {"name": "here", "dataset": "access-log", "keepWhile": keep, "then": {"delete": {}}},
        {"name": "elsewhere", "dataset": "accounts", "keepWhile": keep, "then": {"delete": {}}},
    ]));
    policy.spec.suspend = true;
    policy.spec.schedule = "nonsense".to_owned();
    policy.spec.time_zone = "Asia/Kolkata".to_owned();
    let planned = crate::plan::work_plan::plan(&fixtures::policy(), beside(&policy).unwrap(), fixtures::now()).unwrap();
    let [protection] = &planned.work_plan.protections[..] else {
        panic!("{:?}", planned.work_plan.protections)
    };
    assert_eq!(protection.name, "other/here");
    assert_eq!(protection.time_zone.as_deref(), Some("Asia/Kolkata"));
    let grounds: Vec<&str> = protection.grounds.iter().map(|ground| ground.name.as_str()).collect();
    assert_eq!(grounds, ["a"], "a Maximum protects within its own rule only");
}

#[test]
fn while_it_cannot_be_told_what_another_policy_protects_nothing_runs() {
    let unclear = other(
        json!([{"name": "here", "dataset": "access-log", "keepWhile": [{"name": "a", "from": "at", "for": "a year"}], "then": {"delete": {}}}]),
    );
    let found = beside(&unclear).unwrap_err();
    assert_eq!(found[0].reason, reasons::SHARED_DATASET);
    assert!(
        found[0].message.contains("`other`") && found[0].message.contains("rules[here].keepWhile[a].for"),
        "{}",
        found[0].message
    );
}

#[test]
fn no_policy_writes_a_column_by_which_another_one_judges() {
    let reads = other(
        json!([{"name": "here", "dataset": "access-log", "keepWhile": [{"name": "a", "until": ["client_ip"]}], "then": {"delete": {}}}]),
    );
    let found = beside(&reads).unwrap_err();
    assert_eq!(
        (found[0].reason, found[0].field.as_str()),
        (
            reasons::COLUMN_IN_USE,
            "spec.rules[addresses].then.mask[client_ip].column"
        )
    );
    assert!(
        found[0]
            .message
            .contains("spec.rules[here].keepWhile[a].until[0] of the policy `other`"),
        "{}",
        found[0].message
    );
}

/// Orders of users, each with lines; both point at the user.
fn shop() -> DataSource {
    let mut source = fixtures::source();
    source.spec.datasets = serde_saphyr::from_str(
        "- {name: users, table: public.users, subjects: [{identity: email, column: email}]}\n\
         - {name: orders, table: public.orders, relations: [{name: buyer, dataset: users, columns: {user_id: id}}]}\n\
         - {name: lines, table: public.lines, relations: [{name: order, dataset: orders, columns: {order_id: id}}, {name: buyer, dataset: users, columns: {who: id}}]}\n",
    )
    .unwrap();
    source
}

fn in_shop(rules: Value) -> Result<Validated, Vec<Invalid>> {
    let policy = with("/spec/rules", rules);
    validate(&Inputs {
        policy: &policy,
        source: Some(&shop()),
        others: &[],
        holds: &[],
        now: fixtures::now(),
    })
}

#[test]
fn rows_of_other_datasets_are_planned_by_the_relations_of_the_source() {
    let rules = json!([{"name": "r", "dataset": "orders", "then": {"delete": {}}, "keepWhile": [
        {"name": "a", "until": ["buyer.left_at"], "onMissingRelated": "Ended"},
        {"name": "b", "exists": {"dataset": "lines", "relation": "order", "when": [{"column": "open", "operator": "In", "values": ["true"]}]}},
        {"name": "c", "notExists": {"dataset": "lines", "same": "buyer", "when": [{"column": "at", "operator": "After", "otherColumn": "row.at"}]}}]}]);
    let validated = in_shop(rules).unwrap();
    let planned = crate::plan::work_plan::plan(&fixtures::policy(), validated, fixtures::now()).unwrap();
    let rule = &planned.work_plan.rules[0];
    let pair = |ours: &str, theirs: &str| vec![(ours.to_owned(), theirs.to_owned())];
    assert_eq!(rule.relations["buyer"].columns, pair("user_id", "id"));
    assert_eq!(
        rule.grounds[1].exists.as_ref().unwrap().relation.columns,
        pair("id", "order_id")
    );
    assert_eq!(
        rule.grounds[2].not_exists.as_ref().unwrap().relation.columns,
        pair("user_id", "who")
    );
}

#[test]
fn what_no_relation_leads_to_is_refused_with_what_there_is() {
    let ground =
        |ground: Value| json!([{"name": "r", "dataset": "orders", "keepWhile": [ground], "then": {"delete": {}}}]);
    let cases = [
        (
            json!({"name": "g", "until": ["seller.left_at"]}),
            "UnknownRelation",
            "until[0]",
            "it has buyer",
        ),
        (
            json!({"name": "g", "until": ["buyer."]}),
            "InvalidIdentifier",
            "until[0]",
            "",
        ),
        (
            json!({"name": "g", "exists": {"dataset": "nobody", "relation": "order"}}),
            "UnknownDataset",
            "exists.dataset",
            "users, orders and lines",
        ),
        (
            json!({"name": "g", "notExists": {"dataset": "lines", "relation": "buyer"}}),
            "UnknownRelation",
            "notExists.relation",
            "not at `orders`",
        ),
        (
            json!({"name": "g", "exists": {"dataset": "users", "same": "buyer"}}),
            "UnknownRelation",
            "exists.same",
            "`users` has no relation `buyer`",
        ),
        (
            json!({"name": "g", "exists": {"dataset": "lines", "relation": "order", "when": [{"column": "buyer.x", "operator": "Exists"}]}}),
            "UnknownRelation",
            "exists.when[0].column",
            "`row.`",
        ),
        (
            json!({"name": "g", "exists": {"dataset": "lines", "relation": "order", "when": [{"column": "x", "operator": "After", "values": ["soon"]}]}}),
            "InvalidValue",
            "exists.when[0].values[0]",
            "now",
        ),
    ];
    for (given, reason, field, words) in cases {
        let found = in_shop(ground(given)).unwrap_err();
        assert_eq!(found.len(), 1, "{field}: {found:?}");
        assert_eq!(
            (found[0].reason, found[0].field.clone()),
            (reason, format!("spec.rules[r].keepWhile[g].{field}"))
        );
        assert!(found[0].message.contains(words), "{}", found[0].message);
    }
}

#[test]
fn a_column_that_leads_somewhere_is_emptied_only_where_it_is_said_what_that_means() {
    let rules = |missing: Value, strategy: &str, column: &str| {
        let mut ground = json!({"name": "g", "until": ["buyer.left_at"]});
        if !missing.is_null() {
            ground["onMissingRelated"] = missing;
        }
        json!([{"name": "r", "dataset": "orders", "keepWhile": [ground], "then": {"delete": {}}},
            {"name": "w", "dataset": "orders", "keepWhile": [{"name": "g", "until": ["closed_at"]}], "then": {"mask": [{"column": column, "strategy": strategy}]}}])
    };
    assert!(in_shop(rules(json!("Keep"), "Nullify", "user_id")).is_ok());
    for (missing, strategy, words) in [
        (Value::Null, "Nullify", "decides about rows"),
        (json!("Keep"), "TruncateIp", "stands in relations"),
    ] {
        let found = in_shop(rules(missing, strategy, "user_id")).unwrap_err();
        assert_eq!((found.len(), found[0].reason), (1, reasons::COLUMN_IN_USE));
        assert!(found[0].message.contains(words), "{}", found[0].message);
    }
    // A column of the other dataset, written by a rule for that one.
    let found = in_shop(json!([{"name": "r", "dataset": "orders", "keepWhile": [{"name": "g", "until": ["buyer.left_at"]}], "then": {"delete": {}}},
        {"name": "w", "dataset": "users", "always": {}, "then": {"set": [{"column": "left_at", "value": "now"}]}}])).unwrap_err();
    assert!(
        found[0].message.contains("spec.rules[r].keepWhile[g].until[0]"),
        "{}",
        found[0].message
    );
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
