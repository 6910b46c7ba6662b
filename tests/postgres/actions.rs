//! What happens to a due row, and how several rules of one table stand to each other.

use privacy_operator::contract::{RunResult, WorkReport};
use serde_json::{Value, json};

use crate::harness::trial;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, old timestamptz, young timestamptz, kind text, secret text, number int, blocked bool, gone_at timestamptz);
    INSERT INTO t SELECT i, now() - interval '30 days', now() - interval '1 day', 'k' || i, 's', i, NULL, NULL FROM generate_series(1, 4) i;";

/// A ground that has ended for every row, and one that holds for every row.
fn ended() -> Value {
    json!({"name": "ended", "from": ["old"], "for": "P7D"})
}
fn holding(bound: &str) -> Value {
    json!({"name": "holding", "from": ["young"], "for": "P7D", "bound": bound})
}
fn nullify() -> Value {
    json!({"mask": [{"column": "secret", "strategy": "Nullify"}]})
}
fn block() -> Value {
    json!({"set": [{"column": "blocked", "value": "true"}]})
}

/// Runs the rules twice, the second time for nothing; returns the first report and `id secret blocked` of what is left.
async fn run(rules: &[Value]) -> (WorkReport, Vec<String>) {
    let named: Vec<Value> = rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let mut rule = rule.clone();
            rule["name"] = json!(format!("rule-{index}"));
            rule
        })
        .collect();
    let trial = trial(TABLE).await.rules(&named);
    let report = trial.run().await;
    assert!(
        report.problem.is_none() && report.rules.iter().all(|rule| rule.problem.is_none()),
        "{report:?}"
    );
    let left = trial
        .texts("SELECT concat_ws(' ', id, coalesce(secret, '-'), coalesce(blocked::text, '-')) FROM t ORDER BY id")
        .await;
    let again = trial.run().await;
    assert_eq!(again.result, RunResult::NothingDue, "{again:?}");
    assert!(again.rules.iter().all(|rule| rule.affected == 0), "{again:?}");
    (report, left)
}

const UNTOUCHED: [&str; 4] = ["1 s -", "2 s -", "3 s -", "4 s -"];
const MASKED: [&str; 4] = ["1 - -", "2 - -", "3 - -", "4 - -"];
const BLOCKED: [&str; 4] = ["1 s true", "2 s true", "3 s true", "4 s true"];

#[tokio::test]
async fn a_mask_is_written_once() {
    let (report, left) = run(&[json!({"grounds": [ended()], "action": nullify()})]).await;
    assert_eq!((report.rules[0].affected, left), (4, MASKED.map(String::from).to_vec()));
}

#[tokio::test]
async fn a_set_is_written_once() {
    let (report, left) = run(&[json!({"grounds": [ended()], "action": block()})]).await;
    assert_eq!(
        (report.rules[0].affected, left),
        (4, BLOCKED.map(String::from).to_vec())
    );
}

#[tokio::test]
async fn always_masks_on_sight() {
    let (report, left) = run(&[json!({"grounds": [], "action": nullify()})]).await;
    assert_eq!((report.rules[0].affected, left), (4, MASKED.map(String::from).to_vec()));
}

#[tokio::test]
async fn a_rule_that_only_protects_touches_and_counts_nothing() {
    let (report, left) = run(&[json!({"grounds": [ended()], "action": "protect"})]).await;
    assert_eq!(
        (
            report.rules[0].affected,
            report.rules[0].due,
            report.rules[0].no_ground_applies
        ),
        (0, 0, 0)
    );
    assert_eq!(left, UNTOUCHED);
}

#[tokio::test]
async fn who_protects_from_what() {
    let nobody: [&str; 0] = [];
    let delete = json!({"grounds": [ended()], "action": "delete"});
    let mask = json!({"grounds": [ended()], "action": nullify()});
    let set = json!({"grounds": [ended()], "action": block()});
    let protect = |bound| json!({"grounds": [holding(bound)], "action": "protect"});
    let other_mask =
        |bound| json!({"grounds": [holding(bound)], "action": {"mask": [{"column": "kind", "strategy": "Nullify"}]}});
    let other_delete = |bound| json!({"grounds": [ended(), holding(bound)], "action": "delete"});
    for (what, rules, expected) in [
        (
            "Minimum of a protecting rule, from deletes",
            [&delete, &protect("Minimum")],
            &UNTOUCHED[..],
        ),
        (
            "Minimum of a protecting rule, from masks",
            [&mask, &protect("Minimum")],
            &UNTOUCHED[..],
        ),
        (
            "Minimum of a protecting rule, not from sets",
            [&set, &protect("Minimum")],
            &BLOCKED[..],
        ),
        (
            "Exact of a protecting rule, from deletes",
            [&delete, &protect("Exact")],
            &UNTOUCHED[..],
        ),
        (
            "Exact of a protecting rule, not from masks",
            [&mask, &protect("Exact")],
            &MASKED[..],
        ),
        (
            "Exact of a mask, not from deletes",
            [&delete, &other_mask("Exact")],
            &nobody[..],
        ),
        (
            "Minimum of a mask, from deletes",
            [&delete, &other_mask("Minimum")],
            &UNTOUCHED[..],
        ),
        (
            "Minimum of a mask, from other masks",
            [&mask, &other_mask("Minimum")],
            &UNTOUCHED[..],
        ),
        (
            "Maximum of a mask, not from deletes",
            [&delete, &other_mask("Maximum")],
            &nobody[..],
        ),
        (
            "Minimum of a delete, from masks",
            [&mask, &other_delete("Minimum")],
            &UNTOUCHED[..],
        ),
        (
            "Exact of a delete, not from masks",
            [&mask, &other_delete("Exact")],
            &MASKED[..],
        ),
        (
            "Minimum of a delete, not from sets",
            [&set, &other_delete("Minimum")],
            &BLOCKED[..],
        ),
    ] {
        let (_, left) = run(&[rules[0].clone(), rules[1].clone()]).await;
        assert_eq!(left, expected, "{what}");
        let (_, left) = run(&[rules[1].clone(), rules[0].clone()]).await;
        assert_eq!(left, expected, "{what}, the other way round");
    }
}

#[tokio::test]
async fn a_protecting_ground_keeps_only_rows_that_its_rule_is_about_and_that_it_applies_to() {
    let only = |id: &str| json!([{"column": "number", "operator": "In", "values": [id]}]);
    let mut with_when = holding("Minimum");
    with_when["when"] = only("2");
    let (_, left) = run(&[
        json!({"grounds": [ended()], "action": "delete"}),
        json!({"rows": only("1"), "grounds": [holding("Minimum")], "action": "protect"}),
        json!({"grounds": [with_when], "action": "protect"}),
    ])
    .await;
    assert_eq!(left, ["1 s -", "2 s -"]);
}

#[tokio::test]
async fn a_protecting_ground_whose_start_is_missing_protects() {
    let (_, left) = run(&[
        json!({"grounds": [ended()], "action": "delete"}),
        json!({"grounds": [{"name": "later", "from": ["gone_at"], "for": "P7D", "beginsLater": true, "bound": "Minimum"}], "action": "protect"}),
    ])
    .await;
    assert_eq!(left, UNTOUCHED);
}

#[tokio::test]
async fn now_is_set_only_where_the_column_is_null() {
    let rule = json!({"grounds": [ended()], "action": {"set": [{"column": "gone_at", "value": "now"}, {"column": "number", "value": "7"}]}});
    let trial = trial(&format!("{TABLE} UPDATE t SET gone_at = '2020-01-01' WHERE id = 1"))
        .await
        .rules(&[rule]);
    assert_eq!(trial.run().await.rules[0].affected, 4);
    let sql = "SELECT concat_ws(' ', id, number, gone_at = '2020-01-01', gone_at > now() - interval '5 minutes' AND gone_at <= now()) FROM t ORDER BY id";
    let expected = ["1 7 t f", "2 7 f t", "3 7 f t", "4 7 f t"];
    assert_eq!(trial.texts(sql).await, expected);
    assert_eq!(trial.run().await.result, RunResult::NothingDue);
    assert_eq!(trial.texts(sql).await, expected);
}
