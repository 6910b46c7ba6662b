//! Masks that pseudonymise: exactly the due values, by HMAC-SHA-256 as other code computes it, under locks, and nothing of
//! key or values anywhere else.

use std::io::Write as _;
use std::process::{Command, Stdio};

use privacy_operator::contract::{Level, Mode, Reason, RunResult, WorkReport};
use serde_json::{Value, json};

use crate::harness::{Trial, trial, trial_on};
use crate::program::Program;
use crate::runs::{YOUNG, minutes, number, trial_with_ledger, until};
use crate::support::postgres::{Server, server};
use crate::trouble::fingerprint;

/// Not of 64 bytes, which would be a block of the hash, and with a line break at the end, as an editor leaves it.
const KEY: &str = "canary-key-0123456789abcdef-0123456789abcdef\n";
const OTHER_KEY: &str = "canary-key-fedcba9876543210-fedcba9876543210";

/// Pseudonyms of some texts, computed by Python's `hmac` from the bytes of the key.
fn pseudonyms(key: &str, texts: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
import base64, hashlib, hmac, json, sys
key, texts = json.load(sys.stdin)
mac = lambda message: hmac.new(key.encode(), message, hashlib.sha256).digest()
name = b"privacy-operator key"
identifier = mac(len(name).to_bytes(8, "big") + name)[:8].hex()
print(json.dumps(["psn:%s:%s" % (identifier, base64.urlsafe_b64encode(mac(text.encode())).decode().rstrip("=")) for text in texts]))
"#;
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!([key, texts]).to_string();
    python.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn pseudonym(key: &str, text: &str) -> String {
    pseudonyms(key, &[text]).remove(0)
}

trait WithKey: Sized {
    fn key(self, name: &str, key: &str) -> Self;
}

impl WithKey for Trial<'_> {
    /// Puts a key into the Secret, as a pod would find it mounted.
    fn key(self, name: &str, key: &str) -> Self {
        let directory = self.files.path().join("keys/masks");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(name), key).unwrap();
        self
    }
}

fn mask_of(column: &str, key: &str) -> Value {
    json!({"column": column, "strategy": "Pseudonymise", "keySecretRef": {"name": "masks", "key": key}})
}

fn mask(column: &str) -> Value {
    mask_of(column, "key")
}

/// Rows older than a week.
fn old(masks: &[Value]) -> Value {
    json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": {"mask": masks}})
}

fn counts(report: &WorkReport) -> (i64, i64, Option<Level>) {
    let rule = &report.rules[0];
    assert_eq!((&report.problem, &rule.problem), (&None, &None), "{report:?}");
    (rule.affected, rule.due, rule.level)
}

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, who text, mail varchar(64), ip text);";

/// Four old rows and a young one; two old ones are of the same person, one of nobody.
const ROWS: &str = "INSERT INTO t VALUES
    (1, '2020-01-01', 'ada', 'ada@example.org', '192.0.2.7'), (2, '2020-01-02', 'bob', 'bob@example.org', '192.0.2.8'),
    (3, '2020-01-03', 'ada', NULL, '192.0.2.9'), (4, '2020-01-04', NULL, 'Ä, \\ \"{}\" NULL', NULL), (5, now(), 'ada', 'ada@example.org', '192.0.2.7');";

#[tokio::test]
async fn exactly_the_due_values_become_what_other_code_computes_and_only_once() {
    for index in ["", "CREATE INDEX ON t (at); ANALYZE t;"] {
        let trial = trial(&format!("{SCHEMA} {ROWS} {index}"))
            .await
            .rules(&[old(&[
                mask("who"),
                mask("mail"),
                json!({"column": "ip", "strategy": "Nullify"}),
            ])])
            .key("key", KEY);
        assert_eq!(counts(&trial.run().await), (4, 0, Some(Level::Pseudonymised)));
        let expected = pseudonyms(
            KEY,
            &["ada", "bob", "ada@example.org", "bob@example.org", "Ä, \\ \"{}\" NULL"],
        );
        let [ada, bob, ada_mail, bob_mail, odd] = expected.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            unreachable!()
        };
        assert_eq!(
            trial.texts("SELECT who FROM t ORDER BY id").await,
            [ada, bob, ada, "NULL", "ada"]
        );
        let mails = [ada_mail, bob_mail, "NULL", odd, "ada@example.org"];
        assert_eq!(trial.texts("SELECT mail FROM t ORDER BY id").await, mails);
        let addresses = ["NULL", "NULL", "NULL", "NULL", "192.0.2.7"];
        assert_eq!(trial.texts("SELECT ip FROM t ORDER BY id").await, addresses);
        let before = fingerprint(&trial).await;
        let again = trial.run().await;
        assert_eq!(
            (again.result, counts(&again)),
            (RunResult::NothingDue, (0, 0, Some(Level::Pseudonymised)))
        );
        assert_eq!(before, fingerprint(&trial).await, "not a row was written again");
    }
}

#[tokio::test]
async fn a_pseudonym_of_another_key_is_one_and_what_only_looks_like_one_is_not() {
    let other = pseudonym(OTHER_KEY, "ada");
    let digest = &other[21..];
    let not_quite = [
        other.replace("psn:", "PSN:"),
        other.to_uppercase(),
        format!("{other} "),
        format!("{other}\n"),
        format!("\n{other}"),
        other[..63].to_owned(),
        format!("{}B", &other[..63]),
        format!("psn:{}:{digest}", "g".repeat(16)),
        format!("psn:{}:{digest}", "0".repeat(15)),
        format!("psn:{}:{}=", "0".repeat(16), &digest[..42]),
        digest.to_owned(),
    ];
    let rows: Vec<String> = not_quite
        .iter()
        .enumerate()
        .map(|(index, text)| format!("({}, '2020-01-01', '{text}')", index + 2))
        .collect();
    let trial = trial(&format!(
        "{SCHEMA} INSERT INTO t VALUES (1, '2020-01-01', '{other}'), {}",
        rows.join(", ")
    ))
    .await
    .rules(&[old(&[mask("who")])])
    .key("key", KEY);
    assert_eq!(counts(&trial.run().await).0, 11);
    let texts: Vec<&str> = not_quite.iter().map(String::as_str).collect();
    let mut expected = vec![other.clone()];
    expected.extend(pseudonyms(KEY, &texts));
    assert_eq!(trial.texts("SELECT who FROM t ORDER BY id").await, expected);
}

#[tokio::test]
async fn every_kind_of_text_takes_it_and_what_cannot_says_so() {
    let trial = trial(
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE DOMAIN long AS varchar(64); CREATE DOMAIN longer AS long; CREATE DOMAIN short AS varchar(63); CREATE DOMAIN shorter AS short;
         CREATE TABLE t (id int PRIMARY KEY, plain text NOT NULL, free varchar, fixed char(70), domained longer, loosely text COLLATE loose,
           tight varchar(63), tight_char char(40), tight_domain shorter, number int, code uuid, ip inet, state \"char\", list text[]);
         CREATE UNIQUE INDEX ON t (plain);
         INSERT INTO t (id, plain, free, fixed, domained, loosely) VALUES (1, 'Ada', 'Ada', 'Ada', 'Ada', 'Ada'), (2, 'ada', 'ada', 'ada', 'ada', 'ada');",
    )
    .await;
    let fits = ["plain", "free", "fixed", "domained", "loosely"];
    let misfits = [
        ("tight", "takes 63 characters"),
        ("tight_char", "takes 40 characters"),
        ("tight_domain", "takes 63 characters"),
        ("number", "is of type"),
        ("code", "is of type"),
        ("ip", "is of type"),
        ("state", "is of type"),
        ("list", "is of type"),
    ];
    let rules: Vec<Value> = fits
        .iter()
        .chain(misfits.iter().map(|(column, _)| column))
        .map(|column| json!({"name": column.replace('_', "-"), "action": {"mask": [mask(column)]}}))
        .collect();
    let trial = trial.rules(&rules).key("key", KEY);
    let report = trial.run().await;
    let (good, bad) = report.rules.split_at(fits.len());
    assert!(
        good.iter().all(|rule| rule.affected == 2 && rule.problem.is_none()),
        "{report:?}"
    );
    for (rule, (column, detail)) in bad.iter().zip(misfits) {
        let problem = rule.problem.as_ref().unwrap();
        let field = format!("rules[{}].then.mask[{column}]", column.replace('_', "-"));
        assert_eq!((problem.reason, &problem.field), (Reason::NoRoomForPseudonym, &field));
        assert!(problem.detail.contains(detail), "{problem:?}");
    }
    let expected = pseudonyms(KEY, &["Ada", "ada"]);
    for column in fits {
        assert_eq!(
            trial.texts(&format!("SELECT {column}::text FROM t ORDER BY id")).await,
            expected,
            "{column}"
        );
    }
    assert!(trial.run().await.rules[..fits.len()].iter().all(|rule| rule.due == 0));
}

#[tokio::test]
async fn columns_that_no_mask_may_write_are_refused_as_for_any_mask() {
    let trial = trial(
        "CREATE TABLE t (id int PRIMARY KEY, handle text UNIQUE, twice text GENERATED ALWAYS AS (handle || handle) STORED);
         CREATE TABLE pointing (handle text REFERENCES t (handle)); INSERT INTO t VALUES (1, 'canary');",
    )
    .await
    .rules(&["handle", "twice"].map(|column| json!({"name": column, "action": {"mask": [mask(column)]}})))
    .key("key", KEY);
    let report = trial.run().await;
    for rule in &report.rules {
        assert_eq!(
            rule.problem.as_ref().unwrap().reason,
            Reason::ColumnNotWritable,
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn without_a_good_key_nothing_is_written_by_the_rule_and_others_go_on() {
    let truncate = json!({"name": "addresses", "action": {"mask": [{"column": "ip", "strategy": "TruncateIp"}]}});
    let both = old(&[mask("who"), mask_of("mail", "second")]);
    for (keys, reason, detail) in [
        (
            &[][..],
            Reason::MissingSecret,
            "4 rows are due; Secret masks has no key key, or does not exist",
        ),
        (
            &[("key", KEY)][..],
            Reason::MissingSecret,
            "4 rows are due; Secret masks has no key second",
        ),
        (
            &[("key", KEY), ("second", "canary-canary-canary-canary-123")][..],
            Reason::WeakHashKey,
            "4 rows are due; key second of Secret masks has 31 bytes",
        ),
    ] {
        let mut trial = trial(&format!("{SCHEMA} {ROWS}"))
            .await
            .rules(&[both.clone(), truncate.clone()]);
        for (name, key) in keys {
            trial = trial.key(name, key);
        }
        let report = trial.run().await;
        let problem = report.rules[0].problem.as_ref().unwrap();
        assert_eq!(
            (problem.reason, report.result),
            (reason, RunResult::Failed),
            "{report:?}"
        );
        assert!(problem.field.starts_with("rules[rule].then.mask["), "{problem:?}");
        assert!(problem.detail.contains(detail), "{problem:?}");
        if reason == Reason::MissingSecret {
            let message = problem.message();
            for remedy in [
                "put a new one there",
                "mask with Nullify",
                "create the Secret with that key",
            ] {
                assert!(message.contains(remedy), "{message}");
            }
        }
        assert_eq!(
            (report.rules[0].affected, report.rules[0].due, report.rules[0].level),
            (0, 4, None)
        );
        assert_eq!(report.rules[1].affected, 4);
        assert_eq!(
            trial
                .texts("SELECT concat_ws(' ', who, mail) FROM t WHERE id < 3 ORDER BY id")
                .await,
            ["ada ada@example.org", "bob bob@example.org"]
        );
        assert!(!format!("{report:?}").contains("canary"));
    }
}

#[tokio::test]
async fn rows_that_another_rule_deletes_need_no_key() {
    let delete = json!({"name": "old", "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": "delete"});
    let trial = trial(&format!("{SCHEMA} {ROWS}"))
        .await
        .rules(&[old(&[mask("who")]), delete]);
    let report = trial.run().await;
    assert_eq!((report.result, counts(&report)), (RunResult::Done, (0, 0, None)));
    assert_eq!(trial.ids().await, [5]);
}

#[tokio::test]
async fn observe_counts_without_a_key_and_writes_nothing() {
    let mut trial = trial(&format!("{SCHEMA} {ROWS}")).await.rules(&[old(&[mask("who")])]);
    trial.plan.mode = Mode::Observe;
    let before = fingerprint(&trial).await;
    assert_eq!(counts(&trial.run().await), (0, 3, None));
    assert_eq!(before, fingerprint(&trial).await);
}

#[tokio::test]
async fn a_key_that_is_gone_while_nothing_is_due_was_destroyed_and_another_one_was_not() {
    let trial = trial(&format!("{SCHEMA} {ROWS}")).await.rules(&[old(&[mask("who")])]);
    // No key, nothing due and no pseudonym: nothing can be said.
    trial.database.execute("UPDATE t SET at = now()").await;
    assert_eq!(counts(&trial.run().await), (0, 0, None));
    trial.database.execute("UPDATE t SET at = '2020-01-01'").await;
    let trial = trial.key("key", KEY);
    assert_eq!(counts(&trial.run().await), (4, 0, Some(Level::Pseudonymised)));
    let path = trial.files.path().join("keys/masks/key");
    std::fs::remove_file(&path).unwrap();
    let gone = trial.run().await;
    assert_eq!(
        (gone.result, counts(&gone)),
        (RunResult::NothingDue, (0, 0, Some(Level::KeyDestroyed)))
    );
    let trial = trial.key("key", OTHER_KEY);
    assert_eq!(counts(&trial.run().await), (0, 0, Some(Level::Pseudonymised)));
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    trial
        .database
        .execute("INSERT INTO t VALUES (6, '2020-01-01', 'eve')")
        .await;
    let report = trial.run().await;
    let rule = &report.rules[0];
    assert_eq!(
        (rule.problem.as_ref().unwrap().reason, rule.due, rule.level),
        (Reason::MissingSecret, 1, None)
    );
    assert_eq!(trial.texts("SELECT who FROM t WHERE id = 6").await, ["eve"]);
}

#[tokio::test]
async fn a_rule_says_how_far_what_it_disposed_of_is() {
    let nullify = |column: &str| json!({"column": column, "strategy": "Nullify"});
    let truncate = json!({"column": "ip", "strategy": "TruncateIp"});
    for (action, level) in [
        (json!("delete"), Some(Level::Deleted)),
        (json!({"mask": [nullify("who")]}), Some(Level::Deleted)),
        (json!({"mask": [nullify("who"), truncate]}), Some(Level::Truncated)),
        (json!({"mask": [mask("who"), truncate]}), Some(Level::Truncated)),
        (
            json!({"mask": [mask("who"), nullify("mail")]}),
            Some(Level::Pseudonymised),
        ),
        (json!({"set": [{"column": "ip", "value": "x"}]}), None),
        (json!("protect"), None),
    ] {
        let trial = trial(&format!("{SCHEMA} {ROWS}"))
            .await
            .rules(&[json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": action})])
            .key("key", KEY);
        assert_eq!(counts(&trial.run().await).2, level, "{action}");
    }
}

#[tokio::test]
async fn partitions_holds_related_rows_and_the_newest_all_decide_as_ever() {
    let schema = "CREATE TABLE contracts (person text PRIMARY KEY, ended_at timestamptz);
        CREATE TABLE t (id int, at timestamptz, who text, person text, status text) PARTITION BY RANGE (id);
        CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (5); CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (5) TO (100);
        INSERT INTO t SELECT i, timestamptz '2020-01-01' + i * interval '1 day', 'x' || i, 'p' || i, CASE WHEN i IN (2, 7) THEN 'disputed' END FROM generate_series(1, 9) i;
        INSERT INTO contracts VALUES ('p3', NULL), ('p8', '2020-06-01');";
    let masked = "SELECT string_agg(id::text, ',' ORDER BY id) FROM t WHERE who LIKE 'psn:%'";
    let relation = json!({"schema": "public", "table": "contracts", "columns": [["person", "person"]]});
    let open = json!([{"column": "ended_at", "operator": "DoesNotExist"}]);
    let age = json!({"name": "age", "from": ["at"], "for": "P7D"});
    let contract = json!({"name": "contract", "exists": {"relation": relation, "when": open}});
    let action = json!({"mask": [mask("who")]});
    for (rule, expected) in [
        (json!({"grounds": [age], "action": action}), "1,3,4,5,6,8,9"),
        (json!({"grounds": [age, contract], "action": action}), "1,4,5,6,8,9"),
        (
            json!({"keepNewest": {"count": 2, "per": [], "orderBy": "at", "key": ["id"]}, "action": action}),
            "1,3,4,5,6",
        ),
    ] {
        let mut trial = trial(&format!(
            "{schema} ALTER TABLE t ALTER id SET NOT NULL; CREATE UNIQUE INDEX ON t (id);"
        ))
        .await
        .rules(std::slice::from_ref(&rule))
        .key("key", KEY);
        trial.plan.holds = serde_json::from_value(json!([{"name": "claim", "schema": "public", "table": "t",
            "when": [{"column": "status", "operator": "In", "values": ["disputed"]}]}]))
        .unwrap();
        let (affected, due, _) = counts(&trial.run().await);
        assert_eq!(trial.texts(masked).await, [expected], "{rule}");
        assert_eq!(
            (affected, due),
            (i64::try_from(expected.split(',').count()).unwrap(), 0)
        );
        let expected = pseudonyms(KEY, &["x1", "x5"]);
        assert_eq!(
            trial.texts("SELECT who FROM t WHERE id IN (1, 5) ORDER BY id").await,
            expected
        );
        assert_eq!(counts(&trial.run().await).0, 0);
    }
}

/// The log of a server that writes down every statement with everything that is bound in it.
#[tokio::test]
async fn neither_key_nor_values_reach_the_servers_log_or_leave_the_worker_otherwise() {
    let server = Server::start_with(&[
        "log_statement = 'all'",
        "log_parameter_max_length = -1",
        "log_parameter_max_length_on_error = -1",
    ]);
    let rows = ROWS.replace("ada", "canary");
    let trial = trial_on(&server, SCHEMA)
        .await
        .rules(&[old(&[mask("who"), mask("mail")])])
        .key("key", KEY);
    // A session of its own, which the log does not tell.
    let quiet = trial.database.admin().await;
    quiet.batch_execute("SET log_statement = 'none'").await.unwrap();
    quiet.batch_execute(&rows).await.unwrap();
    let outcome = Program::of(&trial).wait().await;
    assert_eq!(
        counts(&outcome.report()),
        (4, 0, Some(Level::Pseudonymised)),
        "{}",
        outcome.output
    );
    let log = server.log();
    assert!(
        log.contains("UPDATE \"public\".\"t\"") && log.contains(&pseudonym(KEY, "canary")),
        "the log tells all that is bound"
    );
    for (place, text) in [
        ("log", &log),
        ("output", &outcome.output),
        ("termination message", &outcome.message),
    ] {
        for secret in ["canary", "bob", &KEY.trim()[7..]] {
            assert!(!text.contains(secret), "{place}: {secret}");
        }
    }
}

/// A check of the column that waits while a session holds an advisory lock: it stops the worker between its reading and its
/// writing.
const WAITS: &str = "CREATE FUNCTION waits(text) RETURNS bool LANGUAGE plpgsql SET lock_timeout = 0 SET statement_timeout = 0 AS $$ BEGIN
      IF $1 LIKE 'psn:%' THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; RETURN true; END $$;
    ALTER TABLE t ADD CHECK (waits(who)) NOT VALID;";

#[tokio::test]
async fn a_value_that_changes_between_reading_and_writing_is_not_lost() {
    let trial = trial(&format!("{SCHEMA} {ROWS} {WAITS}"))
        .await
        .rules(&[old(&[mask("who")])])
        .key("key", KEY);
    let admin = trial.database.admin().await;
    let (holder, writer) = (trial.database.admin().await, trial.database.admin().await);
    holder.batch_execute("SELECT pg_advisory_lock(4711)").await.unwrap();
    let worker = Program::of(&trial);
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(&admin, waiting, |waiting| waiting == 1).await;
    let change = tokio::spawn(async move {
        writer
            .execute("UPDATE t SET who = 'eve' WHERE id = 1", &[])
            .await
            .unwrap()
    });
    until(&admin, waiting, |waiting| waiting == 2 || change.is_finished()).await;
    holder.batch_execute("SELECT pg_advisory_unlock(4711)").await.unwrap();
    assert_eq!(change.await.unwrap(), 1);
    worker.wait().await.report();
    // It was written after the pseudonym of the old value, and is due as that was.
    counts(&trial.run().await);
    let expected = pseudonyms(KEY, &["eve", "bob", "ada"]);
    assert_eq!(
        trial.texts("SELECT who FROM t WHERE id <= 3 ORDER BY id").await,
        expected
    );
}

#[tokio::test]
async fn rows_that_others_hold_are_left_and_told_and_become_pseudonyms_later() {
    let trial = trial(&format!("{SCHEMA} {ROWS}"))
        .await
        .rules(&[old(&[mask("who")])])
        .key("key", KEY);
    let session = trial.database.admin().await;
    session
        .batch_execute("BEGIN; SELECT FROM t WHERE id = 2 FOR KEY SHARE")
        .await
        .unwrap();
    let report = trial.run().await;
    let rule = &report.rules[0];
    assert_eq!((rule.affected, rule.due, rule.level), (2, 1, None), "{report:?}");
    assert_eq!(rule.problem.as_ref().unwrap().reason, Reason::RowsLocked);
    session.batch_execute("COMMIT").await.unwrap();
    assert_eq!(counts(&trial.run().await), (1, 0, Some(Level::Pseudonymised)));
}

/// Every note of `minutes` is what it must be: the young are as they were, the others their pseudonyms.
async fn assert_all_masked(trial: &Trial<'_>, rows: i64) {
    let admin = trial.database.admin().await;
    let plain = format!("SELECT count(*) FROM t WHERE note = 'note ' || id AND id <= {YOUNG}");
    assert_eq!(number(&admin, &plain).await, YOUNG);
    let found = trial
        .texts(&format!("SELECT note FROM t WHERE id > {YOUNG} ORDER BY id"))
        .await;
    let notes: Vec<String> = (YOUNG + 1..=rows).map(|id| format!("note {id}")).collect();
    let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
    assert!(found == pseudonyms(KEY, &notes), "a note is not its pseudonym");
}

#[tokio::test]
async fn killed_again_and_again_two_at_once_the_end_is_the_same_and_the_ledger_never_says_too_much() {
    const ALL: i64 = 30_000;
    for index in ["", "CREATE INDEX ON t (at);"] {
        let trial = trial_with_ledger(server(), &minutes(ALL, index))
            .await
            .rules(&[old(&[mask("note")])])
            .key("key", KEY);
        let admin = trial.database.admin().await;
        // Rows that a session holds: to look for them and to wait for them takes the sweep seconds, however fast the machine is.
        let holder = trial.database.admin().await;
        holder
            .batch_execute("BEGIN; SELECT FROM t WHERE id % 1000 = 0 FOR UPDATE")
            .await
            .unwrap();
        let mut kills = 0;
        for part in 1..=3 {
            let mut worker = Program::of(&trial);
            let enough = (ALL - YOUNG) * part / 5;
            until(&admin, "SELECT count(*) FROM t WHERE note LIKE 'psn:%'", |done| {
                done >= enough || !worker.is_running()
            })
            .await;
            kills += i32::from(worker.is_running());
            worker.kill();
        }
        assert!(kills >= 2, "only {kills} workers were killed");
        holder.batch_execute("ROLLBACK").await.unwrap();
        let (one, other) = (Program::of(&trial), Program::of(&trial));
        let (one, other) = (one.wait().await.report(), other.wait().await.report());
        for report in [&one, &other] {
            let problem = report.rules[0].problem.as_ref().map(|problem| problem.reason);
            assert!(matches!(problem, None | Some(Reason::SweepInProgress)), "{report:?}");
        }
        assert_eq!(counts(&trial.run().await), (0, 0, Some(Level::Pseudonymised)));
        assert_all_masked(&trial, ALL).await;
        let masked = number(
            &admin,
            "SELECT coalesce(sum(masked), 0)::int8 FROM privacy_operator.ledger",
        )
        .await;
        assert_eq!(masked, one.rules[0].affected + other.rules[0].affected);
    }
}
