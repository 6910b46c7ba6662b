//! Several rules, of one and of several policies, on one table.

use serde_json::{Value, json};

use crate::harness::{rule, trial};

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, kind text, at timestamptz, until timestamptz, ip text);
    INSERT INTO t (id, kind, at, ip) SELECT i, CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END, now() - interval '30 days', 'x' FROM generate_series(1, 9) i;";

fn delete(name: &str, kind: &str, period: &str, bound: &str) -> Value {
    json!({"name": name, "rows": [{"column": "kind", "operator": "In", "values": [kind]}],
        "grounds": [{"name": "age", "from": ["at"], "for": period, "bound": bound}], "action": "delete"})
}

#[tokio::test]
async fn each_of_two_rules_deletes_its_own_rows() {
    let rules = [delete("a", "a", "P7D", "Exact"), delete("b", "b", "P60D", "Exact")];
    let trial = trial(ROWS).await.rules(&rules);
    let report = trial.run().await;
    assert_eq!(
        report.rules.iter().map(|rule| rule.affected).collect::<Vec<_>>(),
        [3, 0]
    );
    assert_eq!(trial.ids().await, [1, 2, 4, 5, 7, 8]);
}

#[tokio::test]
async fn a_ground_of_another_deleting_rule_protects_unless_it_is_a_maximum() {
    for (bound, left) in [("Exact", 9), ("Minimum", 9), ("Maximum", 6)] {
        let mut law = delete("law", "a", "P60D", bound);
        law["rows"] = json!([]);
        let trial = trial(ROWS).await.rules(&[delete("a", "a", "P7D", "Exact"), law]);
        let report = trial.run().await;
        assert_eq!(trial.ids().await.len(), left, "{bound}: {report:?}");
        let again = trial.run().await;
        assert_eq!(
            again
                .rules
                .iter()
                .map(|rule| (rule.affected, rule.due))
                .collect::<Vec<_>>(),
            [(0, 0), (0, 0)]
        );
    }
}

#[tokio::test]
async fn a_row_that_two_rules_would_delete_is_deleted_and_counted_once() {
    let trial = trial(ROWS)
        .await
        .rules(&[delete("one", "a", "P7D", "Exact"), delete("two", "a", "P8D", "Exact")]);
    let report = trial.run().await;
    assert_eq!(
        report
            .rules
            .iter()
            .map(|rule| (rule.affected, rule.due))
            .collect::<Vec<_>>(),
        [(3, 0), (0, 0)]
    );
}

#[tokio::test]
async fn grounds_of_other_policies_protect_by_their_own_zone() {
    // In Kolkata the day after the end of `until` has begun, in the plan's zone it has not.
    let mut plain = delete("a", "a", "P7D", "Exact");
    plain["rows"] = json!([]);
    for (period, left) in [("P60D", 9), ("P8D", 0)] {
        let mut trial = trial(ROWS).await.rules(std::slice::from_ref(&plain));
        let mut other = delete("other/law", "a", period, "Exact");
        other["rows"] = json!([]);
        other["action"] = json!("protect");
        other["timeZone"] = json!("Asia/Kolkata");
        trial.plan.protections = vec![rule(other)];
        let report = trial.run().await;
        assert_eq!(report.rules.len(), 1);
        assert_eq!(trial.ids().await.len(), left, "{period}: {report:?}");
    }
}

#[tokio::test]
async fn the_zone_of_the_other_policy_decides_when_its_month_ends() {
    // Noted in the last hour of October in UTC: in Kolkata that is November.
    let schema = "CREATE TABLE t (id int, at timestamptz); INSERT INTO t VALUES (1, (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month' - interval '1 hour') AT TIME ZONE 'UTC');";
    for (zone, left) in [("Etc/UTC", 0), ("Asia/Kolkata", 1)] {
        let mut trial = trial(schema)
            .await
            .rules(&[json!({"grounds": [{"name": "g", "from": ["at"], "for": "PT1H"}], "action": "delete"})]);
        trial.plan.protections = vec![rule(
            json!({"name": "other/books", "timeZone": zone, "action": "protect",
            "grounds": [{"name": "g", "from": ["at"], "for": "P1M", "startsAt": "EndOfMonth", "bound": "Minimum"}]}),
        )];
        trial.run().await;
        assert_eq!(trial.ids().await.len(), left, "{zone}");
    }
}

#[tokio::test]
async fn a_protection_that_does_not_fit_the_table_stops_the_rule_and_names_it() {
    let mut trial = trial(ROWS).await.rules(&[delete("a", "a", "P7D", "Exact")]);
    for grounds in [
        json!([{"name": "g", "until": ["gone"]}]),
        json!([{"name": "g", "when": [{"column": "id", "operator": "In", "values": ["x"]}]}]),
    ] {
        trial.plan.protections = vec![rule(
            json!({"name": "other/law", "grounds": grounds, "action": "protect"}),
        )];
        let report = trial.run().await;
        let problem = report.rules[0].problem.clone().unwrap();
        assert!(
            problem.field.starts_with("rules[other/law].keepWhile[g]."),
            "{problem:?}"
        );
        assert_eq!(trial.ids().await.len(), 9);
    }
}
