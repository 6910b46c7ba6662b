//! When a ground applies, holds and has ended, and what is counted. The clock stands still at `NOW`.

use privacy_operator::contract::{Reason, RuleReport, RunResult};
use serde_json::{Value, json};

use crate::clocked::at;

const NOW: &str = "2026-06-15T12:00:00Z";

/// Runs one rule that deletes; returns the rows that stay, and the report.
async fn sweep(schema: &str, grounds: Value) -> (Vec<i64>, RuleReport) {
    sweep_rule(schema, json!({"grounds": grounds, "action": "delete"})).await
}

async fn sweep_rule(schema: &str, rule: Value) -> (Vec<i64>, RuleReport) {
    let clocked = at(NOW, schema).await.rules(&[rule]);
    let report = clocked.run().await;
    assert_eq!(
        (&report.problem, &report.rules[0].problem),
        (&None, &None),
        "{report:?}"
    );
    assert_eq!(report.rules[0].due, 0, "what was due went: {report:?}");
    let again = clocked.run().await;
    assert_eq!((again.result, again.rules[0].affected), (RunResult::NothingDue, 0));
    (clocked.trial.ids().await, report.rules[0].clone())
}

/// Rows kept without start event, undetermined, and without a ground.
fn counted(report: &RuleReport) -> (i64, i64, i64) {
    (
        report.without_start_event,
        report.undetermined,
        report.no_ground_applies,
    )
}

const EVENTS: &str =
    "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, other timestamptz, done timestamptz, kind text);";

#[tokio::test]
async fn a_period_has_passed_at_the_very_microsecond_of_its_end() {
    let schema = format!(
        "{EVENTS} INSERT INTO t VALUES (1, '2026-06-15T11:00:00Z'), (2, '2026-06-15T11:00:00.000001Z'), (3, '2026-06-15T10:59:59.999999Z')"
    );
    let (kept, report) = sweep(&schema, json!([{"name": "age", "from": ["at"], "for": "PT1H"}])).await;
    assert_eq!((kept, report.affected), (vec![2], 2));
}

#[tokio::test]
async fn an_end_has_passed_at_its_very_microsecond() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, done) VALUES (1, '{NOW}'), (2, '2026-06-15T12:00:00.000001Z'), (3, '2026-06-15T11:59:59.999999Z')"
    );
    let (kept, report) = sweep(&schema, json!([{"name": "open", "until": ["done"]}])).await;
    assert_eq!((kept, report.affected), (vec![2], 2));
}

#[tokio::test]
async fn a_row_stays_until_the_last_of_its_grounds_has_ended() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, other) VALUES
         (1, '2026-01-01', '2026-01-01'), (2, '2026-01-01', '2026-06-14'), (3, '2026-06-14', '2026-01-01'), (4, '2026-06-14', '2026-06-14')"
    );
    let grounds = json!([{"name": "a", "from": ["at"], "for": "P7D"}, {"name": "b", "from": ["other"], "for": "P30D"}]);
    assert_eq!(sweep(&schema, grounds).await.0, [2, 3, 4]);
}

#[tokio::test]
async fn a_ground_whose_condition_stopped_holding_no_longer_keeps_its_row() {
    let schema =
        format!("{EVENTS} INSERT INTO t (id, at, kind) VALUES (1, '2026-01-01', 'open'), (2, '2026-01-01', 'closed')");
    let grounds = json!([
        {"name": "open", "when": [{"column": "kind", "operator": "In", "values": ["open"]}]},
        {"name": "age", "from": ["at"], "for": "P7D"}
    ]);
    assert_eq!(sweep(&schema, grounds).await.0, [1]);
}

#[tokio::test]
async fn all_conditions_of_a_ground_must_hold_for_it_to_apply() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, kind, done) VALUES (1, '2026-01-01', 'a', '2026-01-01'), (2, '2026-01-01', 'a', NULL), (3, '2026-01-01', 'b', '2026-01-01')"
    );
    let grounds = json!([{"name": "age", "from": ["at"], "for": "P7D", "when": [
        {"column": "kind", "operator": "In", "values": ["a"]}, {"column": "done", "operator": "Exists"}]}]);
    let (kept, report) = sweep(&schema, grounds).await;
    assert_eq!((kept, counted(&report)), (vec![2, 3], (0, 0, 2)));
}

#[tokio::test]
async fn a_ground_ends_at_the_earliest_of_its_period_and_its_ends() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, other, done) VALUES
         (1, '2026-01-01', NULL, NULL), (2, '2026-06-15', '2026-06-14', NULL), (3, '2026-06-15', NULL, '2026-06-14'),
         (4, '2026-06-15', '2026-06-16', '2026-06-14'), (5, '2026-06-15', '2026-06-16', '2026-06-17'), (6, '2026-06-15', NULL, NULL)"
    );
    let (kept, report) = sweep(
        &schema,
        json!([{"name": "a", "from": ["at"], "for": "P7D", "until": ["other", "done"]}]),
    )
    .await;
    assert_eq!((kept, counted(&report)), (vec![5, 6], (0, 0, 0)));
}

#[tokio::test]
async fn an_end_that_is_missing_or_infinitely_late_never_passes() {
    let schema = format!("{EVENTS} INSERT INTO t (id, done) VALUES (1, NULL), (2, 'infinity'), (3, '2026-01-01')");
    assert_eq!(
        sweep(&schema, json!([{"name": "open", "until": ["done"]}])).await.0,
        [1, 2]
    );
}

#[tokio::test]
async fn once_one_end_has_passed_the_ground_has_ended_whatever_is_unknown_in_its_other_parts() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, done) VALUES (1, NULL, '2026-01-01'), (2, 'infinity', '2026-01-01'),
         (3, '2030-01-01', '2026-01-01'), (4, '-infinity', '2026-01-01'), (5, '2026-01-01', NULL), (6, '2026-01-01', 'infinity')"
    );
    let (kept, report) = sweep(
        &schema,
        json!([{"name": "a", "from": ["at"], "for": "P7D", "until": ["done"]}]),
    )
    .await;
    assert_eq!((kept, report.affected, counted(&report)), (vec![], 6, (0, 0, 0)));
}

#[tokio::test]
async fn a_row_to_which_no_ground_applies_is_kept_and_counted() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, kind) VALUES (1, '2026-01-01', 'a'), (2, '2026-01-01', 'b'), (3, '2026-01-01', NULL)"
    );
    let grounds = json!([{"name": "a", "when": [{"column": "kind", "operator": "In", "values": ["a"]}], "from": ["at"], "for": "P7D"}]);
    let (kept, report) = sweep(&schema, grounds).await;
    assert_eq!((kept, counted(&report)), (vec![2, 3], (0, 0, 2)));
}

#[tokio::test]
async fn a_row_without_start_event_is_kept_and_counted() {
    let schema = format!("{EVENTS} INSERT INTO t (id, at) VALUES (1, NULL), (2, '2026-01-01'), (3, NULL)");
    let (kept, report) = sweep(&schema, json!([{"name": "a", "from": ["at"], "for": "P7D"}])).await;
    assert_eq!((kept, counted(&report)), (vec![1, 3], (2, 0, 0)));
}

#[tokio::test]
async fn the_first_start_that_is_not_null_counts_in_the_order_of_the_list() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, other, done) VALUES
         (1, '2026-06-15', '2026-01-01', '2026-01-01'), (2, NULL, '2026-06-15', '2026-01-01'), (3, NULL, NULL, '2026-01-01'),
         (4, '2026-01-01', '2026-06-15', '2026-06-15'), (5, NULL, '2026-01-01', '2026-06-15'), (6, NULL, NULL, NULL), (7, 'infinity', '2026-01-01', NULL)"
    );
    let (kept, report) = sweep(
        &schema,
        json!([{"name": "a", "from": ["at", "other", "done"], "for": "P7D"}]),
    )
    .await;
    assert_eq!((kept, counted(&report)), (vec![1, 2, 6, 7], (1, 1, 0)));
}

#[tokio::test]
async fn a_start_that_begins_later_keeps_its_row_and_is_not_counted() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, other) VALUES (1, NULL, NULL), (2, '2026-01-01', NULL), (3, NULL, '2026-01-01')"
    );
    let grounds = json!([{"name": "a", "from": ["at", "other"], "for": "P7D", "beginsLater": true}]);
    let (kept, report) = sweep(&schema, grounds).await;
    assert_eq!((kept, counted(&report)), (vec![1], (0, 0, 0)));
}

#[tokio::test]
async fn infinite_and_future_starts_keep_their_rows_and_are_counted_as_undetermined() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at) VALUES (1, 'infinity'), (2, '-infinity'), (3, '2026-06-15T12:00:00.000001Z'),
         (4, '{NOW}'), (5, '2026-01-01'), (6, '294000-01-01'), (7, '4000-01-01 BC')"
    );
    let (kept, report) = sweep(&schema, json!([{"name": "a", "from": ["at"], "for": "P7D"}])).await;
    assert_eq!((kept, counted(&report)), (vec![1, 2, 3, 4, 6], (0, 4, 0)));
}

#[tokio::test]
async fn a_start_that_begins_later_is_still_undetermined_when_it_is_infinite() {
    let schema = format!("{EVENTS} INSERT INTO t (id, at) VALUES (1, '-infinity'), (2, NULL)");
    let (kept, report) = sweep(
        &schema,
        json!([{"name": "a", "from": ["at"], "for": "P7D", "beginsLater": true}]),
    )
    .await;
    assert_eq!((kept, counted(&report)), (vec![1, 2], (0, 1, 0)));
}

#[tokio::test]
async fn a_start_event_of_a_ground_that_does_not_apply_is_not_missed() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, other, kind) VALUES (1, NULL, '2026-01-01', 'b'), (2, NULL, '2026-01-01', 'a')"
    );
    let grounds = json!([
        {"name": "a", "when": [{"column": "kind", "operator": "In", "values": ["a"]}], "from": ["at"], "for": "P7D"},
        {"name": "b", "from": ["other"], "for": "P7D"}
    ]);
    let (kept, report) = sweep(&schema, grounds).await;
    assert_eq!((kept, counted(&report)), (vec![2], (1, 0, 0)));
}

#[tokio::test]
async fn a_ground_without_an_end_keeps_its_rows_for_ever() {
    let schema = format!("{EVENTS} INSERT INTO t (id, at) VALUES (1, '1990-01-01')");
    let (kept, report) = sweep(&schema, json!([{"name": "open"}])).await;
    assert_eq!((kept, counted(&report)), (vec![1], (0, 0, 0)));
}

#[tokio::test]
async fn rows_limits_what_is_judged_and_counted() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, kind) VALUES (1, '2026-01-01', 'x'), (2, '2026-01-01', 'y'), (3, NULL, 'y'), (4, NULL, 'x'), (5, 'infinity', 'y')"
    );
    let rule = json!({"rows": [{"column": "kind", "operator": "In", "values": ["x"]}], "action": "delete",
                      "grounds": [{"name": "a", "from": ["at"], "for": "P7D"}]});
    let (kept, report) = sweep_rule(&schema, rule).await;
    assert_eq!((kept, counted(&report)), (vec![2, 3, 4, 5], (1, 0, 0)));
}

#[tokio::test]
async fn a_maximum_ends_early_by_the_slack_and_an_exact_ground_does_not() {
    // The slack of a trial is one hour.
    let rows = "INSERT INTO t (id, at) VALUES (1, '2026-06-08T13:00:00Z'), (2, '2026-06-08T13:00:00.000001Z'), (3, '2026-06-08T12:00:00Z'), (4, '2026-06-08T12:00:00.000001Z')";
    for (bound, expected) in [
        ("Maximum", vec![2]),
        ("Exact", vec![1, 2, 4]),
        ("Minimum", vec![1, 2, 4]),
    ] {
        let grounds = json!([{"name": "a", "from": ["at"], "for": "P7D", "bound": bound}]);
        let (kept, _) = sweep(&format!("{EVENTS} {rows}"), grounds).await;
        assert_eq!(kept, expected, "{bound}");
    }
}

#[tokio::test]
async fn the_end_of_a_maximum_that_a_column_names_is_not_foreseen() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, done) VALUES (1, '2026-06-15', '2026-06-15T12:30:00Z'), (2, '2026-06-15', '{NOW}')"
    );
    let grounds = json!([{"name": "a", "from": ["at"], "for": "P7D", "until": ["done"], "bound": "Maximum"}]);
    assert_eq!(sweep(&schema, grounds).await.0, [1]);
}

#[tokio::test]
async fn rows_are_overdue_once_they_are_due_for_longer_than_within() {
    // `within` is two hours. What a Maximum promised is broken at its end, without slack and without `within`.
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at) VALUES (1, '2026-06-08T10:00:00Z'), (2, '2026-06-08T10:00:00.000001Z'), (3, '2026-06-08T12:00:00Z'), (4, '2026-06-08T12:00:00.000001Z'), (5, '2026-06-15')"
    );
    for (bound, due, overdue) in [("Exact", 3, 1), ("Minimum", 3, 1), ("Maximum", 4, 3)] {
        let rule =
            json!({"grounds": [{"name": "a", "from": ["at"], "for": "P7D", "bound": bound}], "action": "delete"});
        let mut clocked = at(NOW, &schema).await.rules(&[rule]);
        clocked.trial.plan.mode = privacy_operator::contract::Mode::Observe;
        let report = clocked.run().await;
        assert_eq!(
            (report.rules[0].due, report.rules[0].overdue),
            (due, overdue),
            "{bound}: {report:?}"
        );
        assert_eq!(clocked.trial.ids().await, [1, 2, 3, 4, 5], "Observe writes nothing");
        clocked.trial.plan.mode = privacy_operator::contract::Mode::Enforce;
        let report = clocked.run().await;
        assert_eq!(
            (report.rules[0].due, report.rules[0].overdue),
            (0, 0),
            "{bound}: {report:?}"
        );
    }
}

#[tokio::test]
async fn the_age_of_the_oldest_row_is_counted_from_the_first_start_that_is_a_time() {
    let schema = format!(
        "{EVENTS} INSERT INTO t (id, at, kind) VALUES (1, '-infinity', 'x'), (2, '2026-06-12T12:00:00Z', 'x'), (3, '2026-06-14', 'x'), (4, NULL, 'x'), (5, '2026-06-10', 'y')"
    );
    let rule = json!({"rows": [{"column": "kind", "operator": "In", "values": ["x"]}], "action": "delete",
                      "grounds": [{"name": "a", "from": ["at"], "for": "P7D"}]});
    let (kept, report) = sweep_rule(&schema, rule).await;
    assert_eq!((kept, report.oldest_seconds), (vec![1, 2, 3, 4, 5], Some(3 * 86_400)));
}

#[tokio::test]
async fn local_times_without_a_zone_are_refused_and_nothing_goes() {
    for kind in ["timestamp", "date"] {
        let schema = format!(
            "CREATE TABLE t (id int PRIMARY KEY, at {kind}, ok timestamptz); INSERT INTO t VALUES (1, '2020-01-01', '2020-01-01')"
        );
        for ground in [
            json!({"name": "a", "from": ["at"], "for": "P7D"}),
            json!({"name": "a", "from": ["ok"], "for": "P7D", "until": ["at"]}),
        ] {
            let clocked = at(NOW, &schema)
                .await
                .rules(&[json!({"grounds": [ground], "action": "delete"})]);
            let report = clocked.run().await;
            assert_eq!(report.result, RunResult::Failed);
            let problem = report.rules[0].problem.as_ref().unwrap();
            assert_eq!(problem.reason, Reason::TimeZoneRequired, "{problem:?}");
            assert_eq!(clocked.trial.ids().await, [1]);
        }
    }
}
