//! Rows of other tables decide: `exists`, `notExists`, columns of related rows, and what it means when one is missing.

use privacy_operator::contract::Reason;
use serde_json::{Value, json};

use crate::harness::trial;
use crate::trouble::refused;

/// Contacts; subscriptions point at them; both belong to an account.
const TABLES: &str = "CREATE TABLE account (id int PRIMARY KEY, name text, closed_at timestamptz, state text);
    CREATE TABLE t (id int PRIMARY KEY, account int, at timestamptz, left_at timestamptz, kind text);
    CREATE TABLE sub (id int PRIMARY KEY, contact int, account int, since timestamptz, withdrawn_at timestamptz);";

fn subscription(columns: [&str; 2], when: Value) -> Value {
    json!({"relation": {"schema": "public", "table": "sub", "columns": [columns]}, "when": when})
}

fn account() -> Value {
    json!({"account": {"schema": "public", "table": "account", "columns": [["account", "id"]]}})
}

/// The rows that stay, and of the rule: no ground applies, without start event, missing a related row.
async fn kept(rows: &str, grounds: Value, relations: Value) -> (Vec<i64>, [i64; 3]) {
    let rule = json!({"grounds": grounds, "relations": relations, "action": "delete"});
    let trial = trial(&format!("{TABLES} {rows}")).await.rules(&[rule]);
    let report = trial.run().await;
    assert_eq!(
        (&report.problem, &report.rules[0].problem),
        (&None, &None),
        "{report:?}"
    );
    let again = trial.run().await;
    assert_eq!((again.rules[0].affected, again.rules[0].due), (0, 0), "{again:?}");
    let rule = &report.rules[0];
    assert!(rule.race_window, "no foreign key ties the tables: {rule:?}");
    (
        trial.ids().await,
        [rule.no_ground_applies, rule.without_start_event, rule.missing_related],
    )
}

const OLD: &str = "INSERT INTO t (id, at) SELECT i, now() - interval '1 year' FROM generate_series(1, 5) i;";

#[tokio::test]
async fn a_row_stays_while_a_row_that_points_at_it_exists() {
    let rows = format!(
        "{OLD} INSERT INTO sub (id, contact, withdrawn_at) VALUES (1, 1, NULL), (2, 2, now()), (3, 3, now()), (4, 3, NULL), (5, NULL, NULL)"
    );
    let open = json!([{"column": "withdrawn_at", "operator": "DoesNotExist"}]);
    let intake = json!({"name": "intake", "from": ["at"], "for": "P7D"});
    let grounds = json!([intake, {"name": "newsletter", "exists": subscription(["id", "contact"], open.clone())}]);
    assert_eq!(kept(&rows, grounds, json!({})).await, (vec![1, 3], [0, 0, 0]));
    let grounds = json!([intake, {"name": "none", "notExists": subscription(["id", "contact"], open)}]);
    assert_eq!(kept(&rows, grounds, json!({})).await, (vec![2, 4, 5], [0, 0, 0]));
}

#[tokio::test]
async fn rows_that_point_at_the_same_row_are_compared_with_the_row_being_judged() {
    let rows = format!(
        "{OLD} UPDATE t SET account = CASE WHEN id < 4 THEN id END;
         INSERT INTO sub (id, account, since) VALUES (1, 1, now() - interval '2 years'), (2, 2, now()), (3, 3, NULL), (4, NULL, '2000-01-01'), (5, 5, '2000-01-01')"
    );
    let before = json!([{"column": "since", "operator": "NotAfter", "otherColumn": "row.at"}]);
    let grounds = json!([{"name": "consent", "exists": subscription(["account", "account"], before)}, {"name": "intake", "from": ["at"], "for": "P1D"}]);
    assert_eq!(kept(&rows, grounds, json!({})).await, (vec![1], [0, 0, 0]));
}

#[tokio::test]
async fn a_column_of_the_related_row_starts_and_ends_grounds() {
    let rows = "INSERT INTO account (id, closed_at, state) VALUES (1, now() - interval '1 year', 'a'), (2, now() - interval '1 day', 'a'), (3, NULL, NULL), (4, now() + interval '1 day', 'b');
        INSERT INTO t (id, account) VALUES (1, 1), (2, 2), (3, 3), (4, 4);";
    let from = json!([{"name": "contract", "from": ["account.closed_at"], "for": "P90D", "beginsLater": true}]);
    assert_eq!(kept(rows, from, account()).await, (vec![2, 3, 4], [0, 0, 0]));
    let from = json!([{"name": "contract", "from": ["account.closed_at"], "for": "P90D"}]);
    assert_eq!(kept(rows, from, account()).await, (vec![2, 3, 4], [0, 1, 0]));
    let until = json!([{"name": "contract", "until": ["account.closed_at"]}]);
    assert_eq!(kept(rows, until, account()).await, (vec![3, 4], [0, 0, 0]));
    let when = json!([{"name": "contract", "when": [{"column": "account.state", "operator": "NotIn", "values": ["b"]}], "until": ["account.closed_at"]}]);
    assert_eq!(kept(rows, when, account()).await, (vec![3, 4], [1, 0, 0]));
}

/// Accounts 1 (closed) and 2 (open); a row that points at nothing, and one that points at what is gone.
const MISSING: &str = "INSERT INTO account (id, closed_at, state) VALUES (1, now() - interval '1 year', 'x'), (2, NULL, 'x');
    INSERT INTO t (id, account, left_at) VALUES (1, 1, NULL), (2, 2, NULL), (3, NULL, NULL), (4, 9, NULL), (5, 9, now() - interval '1 day');";

#[tokio::test]
async fn what_a_missing_related_row_means_is_said_or_the_row_is_kept_and_counted() {
    let ground = |missing: Value| {
        let mut ground = json!({"name": "contract", "until": ["account.closed_at", "left_at"]});
        if !missing.is_null() {
            ground["onMissingRelated"] = missing;
        }
        json!([ground])
    };
    // Row 5 goes in any case: it has certainly ended.
    assert_eq!(
        kept(MISSING, ground(Value::Null), account()).await,
        (vec![2, 3, 4], [0, 0, 2])
    );
    assert_eq!(
        kept(MISSING, ground(json!("Keep")), account()).await,
        (vec![2, 3, 4], [0, 0, 0])
    );
    assert_eq!(
        kept(MISSING, ground(json!("Ended")), account()).await,
        (vec![2], [0, 0, 0])
    );
}

#[tokio::test]
async fn a_condition_on_a_missing_row_leaves_open_whether_the_ground_applied() {
    for operator in [
        json!({"column": "account.state", "operator": "In", "values": ["x"]}),
        json!({"column": "account.state", "operator": "NotIn", "values": ["y"]}),
    ] {
        let ground = |missing: &str| json!([{"name": "g", "when": [operator], "until": ["left_at"], "onMissingRelated": missing}]);
        let rows = format!("{MISSING} UPDATE t SET left_at = now() - interval '1 day' WHERE id = 1");
        let unsaid = json!([{"name": "g", "when": [operator], "until": ["left_at"]}]);
        assert_eq!(kept(&rows, unsaid, account()).await, (vec![2, 3, 4, 5], [0, 0, 3]));
        assert_eq!(
            kept(&rows, ground("Keep"), account()).await,
            (vec![2, 3, 4, 5], [0, 0, 0])
        );
        assert_eq!(kept(&rows, ground("Ended"), account()).await, (vec![2], [0, 0, 0]));
    }
}

#[tokio::test]
async fn a_foreign_key_closes_the_window_and_only_one_over_the_same_columns() {
    let rule = json!({"grounds": [{"name": "a", "from": ["at"], "for": "P1D"}, {"name": "g", "exists": subscription(["id", "contact"], json!([]))}], "action": "delete"});
    for (key, window) in [
        ("ALTER TABLE sub ADD FOREIGN KEY (contact) REFERENCES t", false),
        ("ALTER TABLE sub ADD FOREIGN KEY (account) REFERENCES t", true),
    ] {
        let trial = trial(&format!("{TABLES} {key}; {OLD}"))
            .await
            .rules(std::slice::from_ref(&rule));
        let report = trial.run().await;
        assert_eq!(
            (report.rules[0].race_window, report.rules[0].affected),
            (window, 5),
            "{key}: {report:?}"
        );
    }
}

#[tokio::test]
async fn other_rows_that_cannot_be_told_or_read_stop_the_rule_with_field_and_remedy() {
    let trial = trial(&format!(
        "{TABLES} CREATE TABLE loose (id int, big text, hidden_at timestamptz); CREATE UNIQUE INDEX ON loose (id) WHERE id > 5;
         CREATE VIEW seen AS SELECT * FROM account; {OLD}"
    ))
    .await;
    let until = |table: &str, columns: [&str; 2], column: &str| json!({"relations": {"r": {"schema": "public", "table": table, "columns": [columns]}}, "grounds": [{"name": "g", "until": [column]}], "action": "delete"});
    let exists = |columns: [&str; 2], when: Value| json!({"grounds": [{"name": "g", "exists": subscription(columns, when)}], "action": "delete"});
    let field = "keepWhile[g].until";
    let cases = [
        (
            until("loose", ["account", "id"], "r.hidden_at"),
            Reason::RelationNotUnique,
            field,
            "(id) is not unique in public.loose",
        ),
        (
            until("nothing", ["account", "id"], "r.x"),
            Reason::UnknownTable,
            field,
            "public.nothing",
        ),
        (
            until("seen", ["account", "id"], "r.closed_at"),
            Reason::UnsupportedTable,
            field,
            "a view",
        ),
        (
            until("account", ["account", "id"], "r.nothing"),
            Reason::UnknownColumn,
            field,
            "nothing",
        ),
        (
            until("account", ["account", "id"], "r.name"),
            Reason::NotATime,
            field,
            "r.name",
        ),
        (
            until("account", ["kind", "id"], "r.closed_at"),
            Reason::NotComparable,
            field,
            "kind",
        ),
        (
            exists(["id", "nothing"], json!([])),
            Reason::UnknownColumn,
            "keepWhile[g].exists",
            "nothing",
        ),
        (
            exists(["id", "since"], json!([])),
            Reason::NotComparable,
            "keepWhile[g].exists",
            "since",
        ),
        (
            exists(
                ["id", "contact"],
                json!([{"column": "row.nothing", "operator": "Exists"}]),
            ),
            Reason::UnknownColumn,
            "keepWhile[g].exists.when[0].column",
            "nothing",
        ),
        (
            exists(
                ["id", "contact"],
                json!([{"column": "account", "operator": "In", "values": ["x"]}]),
            ),
            Reason::InvalidValue,
            "keepWhile[g].exists.when[0].values",
            "read",
        ),
    ];
    refused(trial, &cases).await;
}

#[tokio::test]
async fn a_role_needs_to_read_the_other_columns_and_to_lock_rows() {
    let disposal = json!({"grounds": [{"name": "a", "from": ["at"], "for": "P1D"}, {"name": "g", "exists": subscription(["id", "contact"], json!([]))}], "action": "delete"});
    let trial = trial(&format!("{TABLES} {OLD}")).await.rules(&[disposal]);
    let role = trial.role.clone();
    for (taken, given) in [
        (
            format!("REVOKE SELECT ON sub FROM \"{role}\""),
            format!("GRANT SELECT (contact) ON sub TO \"{role}\""),
        ),
        (
            format!("REVOKE UPDATE ON t FROM \"{role}\""),
            format!("GRANT UPDATE (id) ON t TO \"{role}\""),
        ),
    ] {
        trial.database.execute(&taken).await;
        let report = trial.run().await;
        let problem = report.rules[0].problem.clone().unwrap();
        assert_eq!(
            (problem.reason, report.rules[0].affected),
            (Reason::MissingGrant, 0),
            "{problem:?}"
        );
        let (grant, _) = given.split_once(" ON").unwrap();
        assert!(
            problem.detail.contains(&grant.replace('(', "(\"").replace(')', "\")")),
            "{problem:?}"
        );
        trial.database.execute(&given).await;
    }
    assert_eq!(trial.run().await.rules[0].affected, 5);
}

#[tokio::test]
async fn rows_of_partitions_are_told_apart_though_their_places_are_the_same() {
    let schema = "CREATE TABLE t (id int, at timestamptz) PARTITION BY RANGE (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100); CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (100) TO (200);
        CREATE TABLE sub (contact int); INSERT INTO t SELECT i, '2020-01-01' FROM generate_series(0, 199) i;
        INSERT INTO sub SELECT i FROM generate_series(0, 99, 2) i; INSERT INTO sub SELECT i FROM generate_series(101, 199, 2) i;";
    let rule = json!({"grounds": [{"name": "a", "from": ["at"], "for": "P1D"}, {"name": "g", "exists": subscription(["id", "contact"], json!([]))}], "action": "delete"});
    let trial = trial(schema).await.rules(&[rule]);
    assert_eq!(trial.run().await.rules[0].affected, 100);
    let expected: Vec<i64> = (0..200).filter(|id| (id % 2 == 0) == (*id < 100)).collect();
    assert_eq!(trial.ids().await, expected);
}
