//! What a write would set off, or see: cascades, triggers, rules, references, row-level security and missing rights.

use privacy_operator::contract::{Reason, RunResult};
use serde_json::{Value, json};

use crate::harness::{Trial, trial};
use crate::trouble::{age, fingerprint, problem_of, refused};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, note text);
    INSERT INTO t SELECT i, now() - i * interval '1 day', 'n' FROM generate_series(1, 30) i;
    CREATE TABLE child (id int, parent int);
    INSERT INTO child VALUES (1, 20);
    CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM child; RETURN NULL; END';";

const SPLIT: &str = "CREATE TABLE t (id int, at timestamptz, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE old PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
    CREATE TABLE young PARTITION OF t DEFAULT;
    INSERT INTO t SELECT i, now() - i * interval '20 days', 'n' FROM generate_series(1, 60) i;
    CREATE TABLE child (id int, parent int, at timestamptz);
    CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM child; RETURN NULL; END';";

fn nullify() -> Value {
    json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": {"mask": [{"column": "note", "strategy": "Nullify"}]}})
}

fn note() -> Value {
    json!({"action": {"set": [{"column": "note", "value": "x"}]}})
}

#[tokio::test]
async fn what_a_delete_would_set_off_stops_the_rule_and_is_named() {
    for (schema, effect, named) in [
        (
            TABLE,
            "ALTER TABLE child ADD CONSTRAINT kin FOREIGN KEY (parent) REFERENCES t ON DELETE CASCADE",
            "foreign key kin of public.child (ON DELETE CASCADE)",
        ),
        (
            TABLE,
            "ALTER TABLE child ADD CONSTRAINT kin FOREIGN KEY (parent) REFERENCES t ON DELETE SET NULL",
            "foreign key kin of public.child (ON DELETE SET NULL)",
        ),
        (
            TABLE,
            "ALTER TABLE child ADD CONSTRAINT kin FOREIGN KEY (parent) REFERENCES t ON DELETE SET DEFAULT",
            "foreign key kin of public.child (ON DELETE SET DEFAULT)",
        ),
        (
            TABLE,
            "ALTER TABLE t ADD COLUMN up int CONSTRAINT self REFERENCES t ON DELETE CASCADE",
            "foreign key self of public.t (ON DELETE CASCADE)",
        ),
        (
            TABLE,
            "CREATE TRIGGER loud BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION act()",
            "trigger loud",
        ),
        (
            TABLE,
            "CREATE TRIGGER loud AFTER INSERT OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION act()",
            "trigger loud",
        ),
        (
            TABLE,
            "CREATE TRIGGER loud AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION act(); ALTER TABLE t ENABLE ALWAYS TRIGGER loud",
            "trigger loud",
        ),
        (
            TABLE,
            "CREATE RULE quiet AS ON DELETE TO t DO INSTEAD NOTHING",
            "rule quiet",
        ),
        (
            TABLE,
            "CREATE RULE also AS ON DELETE TO t DO ALSO DELETE FROM child",
            "rule also",
        ),
        (
            SPLIT,
            "CREATE TRIGGER loud BEFORE DELETE ON old FOR EACH ROW EXECUTE FUNCTION act()",
            "trigger loud",
        ),
        (
            SPLIT,
            "CREATE RULE quiet AS ON DELETE TO young DO INSTEAD NOTHING",
            "rule quiet",
        ),
        (
            SPLIT,
            "ALTER TABLE child ADD CONSTRAINT kin FOREIGN KEY (parent, at) REFERENCES t ON DELETE CASCADE",
            "foreign key kin of public.child (ON DELETE CASCADE)",
        ),
        (
            SPLIT,
            "ALTER TABLE child ADD CONSTRAINT kin FOREIGN KEY (parent, at) REFERENCES old ON DELETE SET NULL",
            "foreign key kin of public.child (ON DELETE SET NULL)",
        ),
    ] {
        let trial = trial(&format!("{schema} {effect};")).await;
        refused(trial, &[(age(), Reason::UndeclaredCascade, "dataset", named)]).await;
    }
}

#[tokio::test]
async fn what_an_update_would_set_off_stops_masks_and_sets() {
    for (schema, effect, named) in [
        (
            TABLE,
            "CREATE TRIGGER loud BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION act()",
            "trigger loud",
        ),
        (
            TABLE,
            "CREATE TRIGGER loud AFTER UPDATE OF id ON t FOR EACH STATEMENT EXECUTE FUNCTION act()",
            "trigger loud",
        ),
        (
            TABLE,
            "CREATE RULE quiet AS ON UPDATE TO t DO INSTEAD NOTHING",
            "rule quiet",
        ),
        (
            SPLIT,
            "CREATE TRIGGER loud AFTER UPDATE ON young FOR EACH ROW EXECUTE FUNCTION act()",
            "trigger loud",
        ),
    ] {
        let trial = trial(&format!("{schema} {effect};")).await;
        refused(
            trial,
            &[
                (nullify(), Reason::UndeclaredCascade, "dataset", named),
                (note(), Reason::UndeclaredCascade, "dataset", named),
            ],
        )
        .await;
    }
}

async fn done(trial: &Trial<'_>, affected: i64) {
    let report = trial.run().await;
    assert_eq!(
        (report.result, report.rules[0].affected),
        (RunResult::Done, affected),
        "{report:?}"
    );
}

#[tokio::test]
async fn what_does_nothing_on_a_delete_does_not_stop_one() {
    for effect in [
        "CREATE TRIGGER loud BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION act(); ALTER TABLE t DISABLE TRIGGER loud",
        "CREATE TRIGGER loud AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION act(); ALTER TABLE t ENABLE REPLICA TRIGGER loud",
        "CREATE TRIGGER loud AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION act()",
        "CREATE TRIGGER loud AFTER TRUNCATE ON t EXECUTE FUNCTION act()",
        "CREATE RULE more AS ON INSERT TO t DO ALSO DELETE FROM child",
    ] {
        let trial = trial(&format!("{TABLE} {effect};")).await.rules(&[age()]);
        done(&trial, 24).await;
        assert_eq!(trial.ids().await, [1, 2, 3, 4, 5, 6], "{effect}");
        assert_eq!(trial.texts("SELECT count(*)::text FROM child").await, ["1"], "{effect}");
    }
}

#[tokio::test]
async fn rows_that_others_point_at_stay_and_are_counted_and_the_others_go() {
    for index in ["", "CREATE INDEX ON t (at);"] {
        let trial = trial(&format!(
            "{TABLE} {index}
             ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES t;
             CREATE TABLE second (parent int REFERENCES t ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO second VALUES (21), (22), (3), (NULL); GRANT SELECT ON second TO PUBLIC;"
        ))
        .await
        .rules(&[age()]);
        let report = trial.run().await;
        let rule = &report.rules[0];
        assert_eq!(
            (rule.affected, rule.kept_by_dependent, rule.due),
            (21, 3, 0),
            "{report:?}"
        );
        assert_eq!(trial.ids().await, [1, 2, 3, 4, 5, 6, 20, 21, 22]);
    }
}

#[tokio::test]
async fn a_key_of_two_columns_with_a_null_keeps_nothing() {
    let trial = trial(
        "CREATE TABLE t (id int, part int, at timestamptz, PRIMARY KEY (id, part));
         INSERT INTO t SELECT i, 1, '2001-01-01' FROM generate_series(1, 4) i;
         CREATE TABLE child (a int, b int, FOREIGN KEY (b, a) REFERENCES t (part, id));
         INSERT INTO child VALUES (1, 1), (2, NULL), (NULL, 1);",
    )
    .await
    .rules(&[age()]);
    let report = trial.run().await;
    assert_eq!((report.rules[0].affected, report.rules[0].kept_by_dependent), (3, 1));
    assert_eq!(trial.ids().await, [1]);
}

#[tokio::test]
async fn row_level_security_that_hides_rows_stops_the_rule() {
    let policy = "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id > 10);";
    refused(
        trial(&format!("{TABLE} {policy}")).await,
        &[(age(), Reason::RowLevelSecurity, "dataset", "public.t")],
    )
    .await;
    // Hidden references would look like no references.
    let hidden =
        "ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES t; ALTER TABLE child ENABLE ROW LEVEL SECURITY;";
    refused(
        trial(&format!("{TABLE} {hidden}")).await,
        &[(age(), Reason::RowLevelSecurity, "dataset", "public.child")],
    )
    .await;
    let trial = trial(&format!("{TABLE} {policy}")).await.rules(&[age()]);
    trial
        .database
        .execute(&format!("ALTER ROLE \"{}\" BYPASSRLS", trial.role))
        .await;
    done(&trial, 24).await;
}

/// Without the right, the rule is refused and the message names a GRANT; with exactly that GRANT it goes on.
#[tokio::test]
async fn each_missing_right_is_named_by_the_grant_that_gives_it() {
    let trial = trial(
        "CREATE SCHEMA \"My App\";
         CREATE TABLE \"My App\".\"T\" (id int PRIMARY KEY, \"At\" timestamptz, note text, \"odd \"\"one\"\"\" text);
         INSERT INTO \"My App\".\"T\" SELECT i, now() - i * interval '1 day', 'n', 'o' FROM generate_series(1, 30) i;
         CREATE TABLE \"My App\".\"points here\" (\"The T\" int REFERENCES \"My App\".\"T\", extra text);",
    )
    .await
    .rules(&[
        json!({"name": "erase", "schema": "My App", "table": "T", "rows": [{"column": "note", "operator": "In", "values": ["n"]}],
            "grounds": [{"name": "age", "from": ["At"], "for": "P7D"}], "action": "delete"}),
        json!({"name": "mask", "schema": "My App", "table": "T", "action": {"mask": [{"column": "odd \"one\"", "strategy": "Nullify"}]}}),
    ]);
    let admin = trial.database.admin().await;
    let before = fingerprint(&trial).await;
    let mut granted = Vec::new();
    let mut affected = [0, 0];
    loop {
        let report = trial.run().await;
        for (sum, rule) in affected.iter_mut().zip(&report.rules) {
            *sum += rule.affected;
        }
        let Some(problem) = report.rules.iter().find_map(|rule| rule.problem.clone()) else {
            assert_eq!(affected, [24, 6]);
            break;
        };
        assert_eq!(problem.reason, Reason::MissingGrant, "{problem:?}");
        assert!(
            report
                .rules
                .iter()
                .all(|rule| rule.affected == 0 || rule.problem.is_none())
        );
        let start = problem
            .detail
            .find("GRANT ")
            .unwrap_or_else(|| panic!("no GRANT in {problem:?} after {granted:?}"));
        let grant = problem.detail[start..].to_owned();
        assert!(!granted.contains(&grant), "{grant} did not help, after {granted:?}");
        if granted.is_empty() {
            let now = fingerprint(&trial).await;
            assert_eq!(before, now);
        }
        admin
            .batch_execute(&format!("{grant} TO \"{}\"", trial.role))
            .await
            .unwrap_or_else(|error| panic!("{grant}: {error}"));
        granted.push(grant);
    }
    let expected = [
        "GRANT USAGE ON SCHEMA \"My App\"",
        "GRANT SELECT (\"note\") ON \"My App\".\"T\"",
        "GRANT DELETE ON \"My App\".\"T\"",
        "GRANT SELECT (\"id\") ON \"My App\".\"T\"",
        "GRANT UPDATE (\"odd \"\"one\"\"\") ON \"My App\".\"T\"",
        "GRANT SELECT (\"The T\") ON \"My App\".\"points here\"",
    ];
    for grant in expected {
        assert!(
            granted.iter().any(|given| given == grant),
            "{grant} is not among {granted:?}"
        );
    }
}

#[tokio::test]
async fn a_problem_of_one_rule_leaves_the_others_their_work() {
    let trial = trial(&format!("{TABLE} CREATE TABLE u AS SELECT * FROM t; GRANT ALL ON u TO PUBLIC;")).await.rules(&[
        json!({"name": "bad", "grounds": [{"name": "age", "from": ["nothing"], "for": "P7D"}], "action": "delete"}),
        json!({"name": "good", "table": "u", "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": "delete"}),
    ]);
    let report = trial.run().await;
    assert_eq!(report.result, RunResult::Failed);
    problem_of(&report, 0, Reason::UnknownColumn, "rules[bad].keepWhile[age].from");
    assert_eq!(report.rules[1].affected, 24, "{report:?}");
    assert_eq!(trial.ids().await.len(), 30);
}
