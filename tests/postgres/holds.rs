//! Legal holds: what they bind is neither deleted nor masked nor set, whatever rule finds it due; and what is released is
//! due at once.

use privacy_operator::contract::{Reason, RunResult};
use serde_json::{Value, json};

use crate::cascade;
use crate::harness::{Trial, trial};
use crate::program::Program;
use crate::runs::{YOUNG, minutes, number, until};
use crate::trouble::{age, fingerprint, problem_of};

/// Nine rows that are due; three of them are disputed.
const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, status text, ip text, blocked_at timestamptz);
    INSERT INTO t SELECT i, now() - interval '1 year', CASE WHEN i > 6 THEN 'disputed' END, '192.0.2.' || i FROM generate_series(1, 9) i;";

impl Trial<'_> {
    fn holds(mut self, holds: Value) -> Self {
        self.plan.holds = serde_json::from_value(holds).unwrap();
        self
    }

    /// Puts identities where the Secret is mounted.
    fn person(self, secret: &str, identities: &[(&str, &str)]) -> Self {
        let directory = self.files.path().join("holds").join(secret);
        std::fs::create_dir_all(&directory).unwrap();
        for (name, value) in identities {
            std::fs::write(directory.join(name), value).unwrap();
        }
        self
    }
}

fn disputed() -> Value {
    json!([{"name": "claim", "schema": "public", "table": "t", "when": [{"column": "status", "operator": "In", "values": ["disputed"]}]}])
}

#[tokio::test]
async fn held_rows_are_neither_deleted_nor_masked_nor_set_and_are_counted() {
    let masks = json!({"name": "mask", "action": {"mask": [{"column": "ip", "strategy": "Nullify"}]}});
    let sets = json!({"name": "set", "action": {"set": [{"column": "blocked_at", "value": "now"}]}});
    for (rule, left) in [
        (age(), "SELECT string_agg(id::text, ',' ORDER BY id) FROM t"),
        (
            masks,
            "SELECT string_agg(id::text, ',' ORDER BY id) FROM t WHERE ip IS NOT NULL",
        ),
        (
            sets,
            "SELECT string_agg(id::text, ',' ORDER BY id) FROM t WHERE blocked_at IS NULL",
        ),
    ] {
        for index in ["", "CREATE INDEX ON t (at); ANALYZE t;"] {
            let mut trial = trial(&format!("{ROWS} {index}"))
                .await
                .rules(std::slice::from_ref(&rule))
                .holds(disputed());
            let report = trial.run().await;
            let counts = &report.rules[0];
            assert_eq!((counts.affected, counts.due, counts.held), (6, 0, 3), "{report:?}");
            assert_eq!(
                (counts.overdue, report.result),
                (0, RunResult::Done),
                "a held row is not late"
            );
            assert_eq!(trial.texts(left).await, ["7,8,9"]);
            // Released, they are due at once.
            trial.plan.holds = Vec::new();
            let report = trial.run().await;
            assert_eq!((report.rules[0].affected, report.rules[0].held), (3, 0), "{report:?}");
            assert_eq!(trial.texts(left).await, ["NULL"]);
        }
    }
}

#[tokio::test]
async fn a_rule_that_only_protects_is_held_up_by_nothing() {
    let law = json!({"name": "law", "grounds": [{"name": "law", "from": ["at"], "for": "P1D"}], "action": "protect"});
    let trial = trial(ROWS).await.rules(&[age(), law]).holds(disputed());
    let report = trial.run().await;
    let held: Vec<_> = report.rules.iter().map(|rule| (rule.affected, rule.held)).collect();
    assert_eq!(held, [(6, 3), (0, 0)], "{report:?}");
}

#[tokio::test]
async fn a_hold_without_conditions_binds_every_row_and_one_of_another_table_none() {
    let all = json!([{"name": "claim", "schema": "public", "table": "t"}]);
    let trial_held = trial(ROWS).await.rules(&[age()]).holds(all);
    let report = trial_held.run().await;
    assert_eq!(
        (report.rules[0].held, report.result),
        (9, RunResult::NothingDue),
        "{report:?}"
    );
    assert_eq!(trial_held.ids().await.len(), 9);
    let other = json!([{"name": "claim", "schema": "public", "table": "u"}]);
    let trial_free = trial(ROWS).await.rules(&[age()]).holds(other);
    assert_eq!(trial_free.run().await.rules[0].affected, 9);
}

#[tokio::test]
async fn conditions_of_holds_are_two_valued() {
    let held = |operator: Value| {
        let mut when = json!({"column": "status"});
        when.as_object_mut()
            .unwrap()
            .extend(operator.as_object().unwrap().clone());
        json!([{"name": "claim", "schema": "public", "table": "t", "when": [when]}])
    };
    for (operator, expected) in [
        (json!({"operator": "NotIn", "values": ["disputed"]}), 6),
        (json!({"operator": "Exists"}), 3),
        (json!({"operator": "DoesNotExist"}), 6),
    ] {
        let trial = trial(ROWS).await.rules(&[age()]).holds(held(operator.clone()));
        assert_eq!(trial.run().await.rules[0].held, expected, "{operator}");
    }
}

/// People, their orders and the items of these, in partitions. Ada has two orders; the order 4 points at nobody, and the
/// order 5 at somebody who is gone.
const SHOP: &str = "CREATE TABLE users (id int PRIMARY KEY, at timestamptz, email text);
    CREATE TABLE orders (id int PRIMARY KEY, at timestamptz, buyer int, gift_to text);
    CREATE TABLE t (id int, at timestamptz, order_id bigint, note text) PARTITION BY RANGE (id);
    CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (5);
    CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (5) TO (100);
    INSERT INTO users SELECT i, now() - interval '1 year', (ARRAY['Ada@Example.org', 'bob@example.org'])[i] FROM generate_series(1, 2) i;
    INSERT INTO orders SELECT i, now() - interval '1 year', (ARRAY[1, 1, 2, NULL, 9])[i], CASE WHEN i = 3 THEN E' ada@example.org\\t' END FROM generate_series(1, 5) i;
    INSERT INTO t SELECT i, now() - interval '1 year', (i + 1) / 2, 'x' FROM generate_series(1, 10) i;";

fn relation(table: &str, columns: [&str; 2]) -> Value {
    json!({"schema": "public", "table": table, "columns": [columns]})
}

/// Holds of one person on all three tables, as the operator plans them.
fn of_person() -> Value {
    let user = json!([{"identity": "user_id", "by": {"column": "id"}}]);
    let buyer = json!({"identity": "user_id", "by": {"through": [relation("users", ["buyer", "id"]), user]}});
    let order = json!({"identity": "user_id", "by": {"through": [relation("orders", ["order_id", "id"]), [buyer]]}});
    let hold = |table: &str, paths: Value| json!({"name": "claim", "schema": "public", "table": table, "person": {"secret": "person", "paths": paths}});
    let gift = json!({"identity": "email", "by": {"column": "gift_to"}});
    let email = json!({"identity": "email", "by": {"column": "email"}});
    let mut users = user.as_array().unwrap().clone();
    users.push(email);
    json!([
        hold("t", json!([order])),
        hold("orders", json!([buyer, gift])),
        hold("users", json!(users))
    ])
}

fn rules() -> Vec<Value> {
    let mut rules = vec![age(), age(), age()];
    for (rule, (name, table)) in rules
        .iter_mut()
        .zip([("items", "t"), ("orders", "orders"), ("users", "users")])
    {
        (rule["name"], rule["table"]) = (json!(name), json!(table));
    }
    rules
}

#[tokio::test]
async fn a_persons_rows_are_held_by_columns_and_through_relations_and_what_nobody_can_tell_too() {
    for (user_id, email) in [("1", ""), ("1\n", ""), ("1", "ADA@example.org\n")] {
        let trial = trial(SHOP)
            .await
            .rules(&rules())
            .holds(of_person())
            .person("person", &[("user_id", user_id), ("email", email)]);
        let report = trial.run().await;
        assert_eq!(
            (report.problem.as_ref(), report.result),
            (None, RunResult::Done),
            "{report:?}"
        );
        // Items 9 and 10 are of the order that points at nobody who is there.
        assert_eq!(trial.ids().await, [1, 2, 3, 4, 9, 10]);
        let orders = if email.is_empty() { ["1,2,5"] } else { ["1,2,3,5"] };
        assert_eq!(
            trial
                .texts("SELECT string_agg(id::text, ',' ORDER BY id) FROM orders")
                .await,
            orders
        );
        assert_eq!(trial.texts("SELECT id::text FROM users").await, ["1"]);
        assert_eq!(report.rules[0].held, 6);
        assert!(report.rules[0].race_window, "no foreign key ties items and orders");
        let shown = serde_json::to_string(&report).unwrap();
        assert!(!shown.to_lowercase().contains("example"), "{shown}");
    }
}

#[tokio::test]
async fn unlinking_and_masking_what_says_whose_a_row_is_waits_for_the_release() {
    let unlink =
        json!({"name": "unlink", "table": "orders", "action": {"mask": [{"column": "buyer", "strategy": "Nullify"}]}});
    let mask =
        json!({"name": "mask", "table": "users", "action": {"mask": [{"column": "email", "strategy": "Nullify"}]}});
    let trial = trial(SHOP)
        .await
        .rules(&[unlink, mask])
        .holds(of_person())
        .person("person", &[("user_id", "1"), ("email", "")]);
    let report = trial.run().await;
    assert_eq!((report.rules[0].affected, report.rules[0].held), (1, 3), "{report:?}");
    assert_eq!((report.rules[1].affected, report.rules[1].held), (1, 1), "{report:?}");
    let linked = "SELECT string_agg(id::text, ',' ORDER BY id) FROM orders WHERE buyer IS NOT NULL";
    assert_eq!(trial.texts(linked).await, ["1,2,5"]);
}

#[tokio::test]
async fn a_person_who_cannot_be_read_stops_everything_before_the_first_write() {
    let both: [(&str, &str); 2] = [("user_id", "1"), ("email", "")];
    for (identities, reason, detail) in [
        (&[][..], Reason::MissingSecret, "Secret person has no key user_id"),
        (&both[..1], Reason::MissingSecret, "Secret person has no key email"),
        (
            &[("user_id", ""), ("email", " ")][..],
            Reason::InvalidValue,
            "names nobody",
        ),
    ] {
        let trial = trial(SHOP)
            .await
            .rules(&rules())
            .holds(of_person())
            .person("person", identities);
        let before = fingerprint(&trial).await;
        let report = trial.run().await;
        let problem = report.problem.clone().unwrap();
        assert_eq!(
            (problem.reason, report.result),
            (reason, RunResult::Failed),
            "{report:?}"
        );
        assert_eq!(problem.field, "LegalHold claim: spec.subjectSecretRef");
        assert!(problem.detail.contains(detail), "{problem:?}");
        assert_eq!(before, fingerprint(&trial).await);
    }
}

#[tokio::test]
async fn what_does_not_fit_the_tables_stops_the_rules_that_need_it_and_quotes_nothing() {
    let wrong = trial(SHOP)
        .await
        .rules(&rules())
        .holds(of_person())
        .person("person", &[("user_id", "canary"), ("email", "")]);
    let before = fingerprint(&wrong).await;
    let report = wrong.run().await;
    for index in 0..3 {
        let field = "LegalHold claim: spec.subjectSecretRef (key user_id)";
        problem_of(&report, index, Reason::InvalidValue, field);
    }
    assert!(!format!("{report:?}").contains("canary"));
    assert_eq!(before, fingerprint(&wrong).await);

    let by = |column: &str, values: &str| {
        let when = json!([{"column": column, "operator": "In", "values": [values]}]);
        json!([{"name": "claim", "schema": "public", "table": "t", "when": when}])
    };
    for (holds, reason, field) in [
        (by("gone", "a"), Reason::UnknownColumn, "when[0].column"),
        (by("id", "a"), Reason::InvalidValue, "when[0].values"),
    ] {
        let trial = trial(ROWS).await.rules(&[age()]).holds(holds);
        let report = trial.run().await;
        problem_of(&report, 0, reason, &format!("LegalHold claim: spec.{field}"));
        assert_eq!(trial.ids().await.len(), 9);
    }
}

/// What a hold asks of the role: to read what it is judged by, and to lock the row where another table decides.
#[tokio::test]
async fn a_missing_right_is_told_with_the_grant() {
    let trial = trial(SHOP)
        .await
        .rules(&rules()[1..2])
        .holds(of_person())
        .person("person", &[("user_id", "1"), ("email", "")]);
    let revoke = format!("REVOKE SELECT ON users FROM \"{}\"", trial.role);
    trial.database.execute(&revoke).await;
    let report = trial.run().await;
    let problem = problem_of(
        &report,
        0,
        Reason::MissingGrant,
        "LegalHold claim: spec.subjectSecretRef",
    );
    assert!(problem.detail.contains("GRANT SELECT (\"id\")"), "{problem:?}");
    assert_eq!(trial.texts("SELECT count(*)::text FROM orders").await, ["5"]);
}

/// As the operator places a hold: what runs is ended, and only then the plan that knows it begins. Whatever is held and was
/// there when the first worker was gone is there at the end.
#[tokio::test]
async fn a_hold_that_is_placed_while_a_sweep_is_under_way_binds_what_is_left() {
    const ALL: i64 = 60_000;
    let mut trial = trial(&minutes(ALL, "")).await.rules(&[age()]);
    let admin = trial.database.admin().await;
    // Rows that a session holds: to look for them takes the sweep seconds, however fast the machine is.
    let holder = trial.database.admin().await;
    holder
        .batch_execute("BEGIN; SELECT FROM t WHERE id % 1000 = 0 FOR UPDATE")
        .await
        .unwrap();
    let mut worker = Program::of(&trial);
    until(&admin, &format!("SELECT {ALL} - count(*) FROM t"), |gone| gone > 0).await;
    assert!(worker.is_running(), "the sweep was too fast to be met");
    worker.terminate();
    let outcome = worker.wait().await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    admin
        .batch_execute(
            "CREATE TABLE held AS SELECT id FROM t WHERE id % 3 = 0; UPDATE t SET hold = true WHERE id % 3 = 0",
        )
        .await
        .unwrap();
    let left = number(&admin, "SELECT count(*) FROM held").await;
    assert!(left > YOUNG / 3, "the sweep was too fast to be met: {}", outcome.output);
    let when = json!([{"column": "hold", "operator": "In", "values": ["true"]}]);
    trial = trial.holds(json!([{"name": "claim", "schema": "public", "table": "t", "when": when}]));
    let report = Program::of(&trial).wait().await.report();
    assert_eq!((report.result, report.rules[0].due), (RunResult::Done, 0), "{report:?}");
    assert_eq!(
        number(
            &admin,
            "SELECT count(*) FROM held LEFT JOIN t USING (id) WHERE t.id IS NULL"
        )
        .await,
        0
    );
    let others = format!("SELECT count(*) FROM t WHERE NOT hold AND id > {YOUNG}");
    assert_eq!(number(&admin, &others).await, 0);
}

#[tokio::test]
async fn a_held_row_keeps_the_tree_that_hangs_together_and_a_held_parent_only_itself() {
    let on = |table: &str| json!([{"name": "claim", "schema": "public", "table": table, "when": [{"column": "kept", "operator": "In", "values": ["true"]}]}]);
    let start = format!("{}{}", cascade::SCHEMA, cascade::ROWS);
    let dependent = trial(&format!("{start} UPDATE f SET kept = true WHERE id IN (12, 31, 99)"))
        .await
        .rules(&[cascade::both()])
        .holds(on("f"));
    assert_eq!(cascade::counts(&dependent.run().await), (3, 3, 0, 1));
    assert_eq!(cascade::left(&dependent).await[2..4], ["1 3 5", "11 12 31 99"]);
    let parent = trial(&format!("{start} UPDATE p SET kept = true WHERE id = 2"))
        .await
        .rules(&[cascade::both()])
        .holds(on("p"));
    assert_eq!(cascade::counts(&parent.run().await), (4, 7, 0, 0));
    assert_eq!(cascade::left(&parent).await[..3], ["1 2", "2 3 4", "3 5"]);
}

#[tokio::test]
async fn a_held_row_beyond_the_newest_stays_and_is_counted() {
    // The newest of nine is 9; of those beyond it 7 and 8 are disputed.
    let start = ROWS.replace(
        "now() - interval '1 year'",
        "now() - interval '1 year' + i * interval '1 day'",
    );
    let newest = json!({"name": "newest", "keepNewest": {"count": 1, "per": [], "orderBy": "at", "key": ["id"]}, "action": "delete"});
    let trial = trial(&start).await.rules(&[newest]).holds(disputed());
    let report = trial.run().await;
    let counts = &report.rules[0];
    assert_eq!((counts.affected, counts.due, counts.held), (6, 0, 2), "{report:?}");
    assert_eq!(trial.ids().await, [7, 8, 9]);
}
