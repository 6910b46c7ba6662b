//! `privacy-operator run`: a policy of a file against its store, without a cluster, as of any instant.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

mod support;

use std::process::Command;

use serde_json::Value;
use support::postgres::{Database, server};

const SCHEMA: &str = "
    CREATE TABLE applications (id int PRIMARY KEY, outcome text, decided_at timestamptz, hired_until timestamptz, note text);
    INSERT INTO applications VALUES
      (1, 'rejected', '2026-08-31T10:00:00Z', NULL, 'canary'),
      (2, 'rejected', NULL, NULL, 'canary'),
      (3, 'hired', '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z', 'canary'),
      (4, 'withdrawn', '2026-01-01T00:00:00Z', NULL, 'canary'),
      (5, 'rejected', '2026-08-28T09:00:00Z', NULL, 'canary');";

const FILE: &str = "
apiVersion: privacy-operator.dev/v1alpha1
kind: DataSource
metadata: {name: db}
spec:
  postgres: {host: db.example, database: DATABASE, tls: {mode: Disable}, credentialsSecretRef: {name: role}}
  datasets: [{name: applications, table: public.applications}]
---
apiVersion: privacy-operator.dev/v1alpha1
kind: DataRetentionPolicy
metadata: {name: recruiting}
spec:
  dataSourceRef: {name: db}
  schedule: '23 * * * *'
  timeZone: Etc/UTC
  limits: {maxPercent: 100}
  rules:
  - name: applications
    promise: {clause: '6.2', quote: 'six months after the decision'}
    dataset: applications
    keepWhile:
    - {name: claims, when: [{column: outcome, operator: In, values: [rejected]}], from: decided_at, for: P6M}
    - {name: employed, when: [{column: outcome, operator: In, values: [hired]}], until: [hired_until]}
    then: {delete: {}}
";

struct Ran {
    code: Option<i32>,
    output: String,
    complaint: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {} {}", self.output, self.complaint))
    }
}

/// Runs the program with the file and these arguments.
fn run(database: &Database<'_>, arguments: &[&str]) -> Ran {
    run_file(database, FILE, arguments)
}

fn run_file(database: &Database<'_>, text: &str, arguments: &[&str]) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text.replace("DATABASE", database.name())).unwrap();
    let url = format!(
        "postgres:///{}?host={}&port={}&user=postgres",
        database.name(),
        server().socket_directory().display(),
        server().port()
    );
    let own_url = arguments.contains(&"--url");
    let output = Command::new(env!("CARGO_BIN_EXE_privacy-operator"))
        .arg("run")
        .arg(file.path())
        .args(["--url", &url].iter().filter(|_| !own_url))
        .args(arguments)
        .env_remove("PGPASSWORD")
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        complaint: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn database() -> Database<'static> {
    let database = server().database("run").await;
    database.execute(SCHEMA).await;
    database
}

async fn ids(database: &Database<'_>) -> Vec<i32> {
    let rows = database
        .admin()
        .await
        .query("SELECT id FROM applications ORDER BY 1", &[])
        .await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Keys of the due rows of the first rule.
fn due(outcome: &Value) -> Vec<&str> {
    let rows = outcome["explained"][0]["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| row["key"][0]["value"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn it_tells_what_is_due_a_minute_before_and_after_and_writes_nothing() {
    let database = database().await;
    // 31 August and six months is 28 February, at the same time of day; 28 August too.
    for (as_of, expected) in [
        ("2027-02-28T08:59:00Z", vec!["3"]),
        ("2027-02-28T09:00:00Z", vec!["3", "5"]),
        ("2027-02-28T09:59:00Z", vec!["3", "5"]),
        ("2027-02-28T10:00:00Z", vec!["1", "3", "5"]),
        ("2026-01-31T23:59:59Z", vec![]),
    ] {
        let ran = run(&database, &["--as-of", as_of, "-o", "json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.complaint);
        let outcome = ran.json();
        assert_eq!(due(&outcome), expected, "{as_of}");
        let counts = &outcome["report"]["rules"][0];
        assert_eq!(counts["due"], expected.len(), "{as_of}");
        assert_eq!(
            (&counts["withoutStartEvent"], &counts["noGroundApplies"]),
            (&1.into(), &1.into())
        );
        assert!(!ran.output.contains("canary"), "values of other columns are not read");
    }
    assert_eq!(ids(&database).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn it_disposes_as_of_now_and_of_another_instant_only_on_a_copy() {
    let database = database().await;
    let later = ["--as-of", "2099-01-01T00:00:00Z", "--mode", "Enforce"];
    let refused = run(&database, &later);
    assert_eq!(refused.code, Some(1));
    assert!(refused.complaint.contains("--on-a-copy"), "{}", refused.complaint);
    assert_eq!(ids(&database).await, [1, 2, 3, 4, 5]);

    let earlier = run(
        &database,
        &["--as-of", "2026-02-01T00:00:00Z", "--mode", "Enforce", "-o", "json"],
    );
    assert_eq!(earlier.json()["report"]["result"], "Done", "{}", earlier.complaint);
    assert_eq!(ids(&database).await, [1, 2, 4, 5]);

    let copy = run(&database, &[&later[..], &["--on-a-copy"]].concat());
    assert_eq!(copy.code, Some(0), "{}", copy.complaint);
    assert!(copy.output.contains("2 disposed of"), "{}", copy.output);
    assert_eq!(ids(&database).await, [2, 4], "no start event, and no ground: they stay");
}

#[tokio::test]
async fn a_key_of_a_directory_pseudonymises_and_observe_needs_none() {
    let database = database().await;
    let mask = "then: {mask: [{column: note, strategy: Pseudonymise, keySecretRef: {name: masks, key: key}}]}";
    let file = FILE.replace("then: {delete: {}}", mask);
    let keys = tempfile::tempdir().unwrap();
    std::fs::create_dir(keys.path().join("masks")).unwrap();
    std::fs::write(keys.path().join("masks/key"), "k".repeat(32)).unwrap();
    let directory = keys.path().to_str().unwrap();
    let as_of = ["--as-of", "2026-02-01T00:00:00Z", "-o", "json"];
    let observed = run_file(&database, &file, &as_of);
    assert_eq!(observed.json()["report"]["rules"][0]["due"], 1, "{}", observed.output);
    let enforce = [&as_of[..], &["--mode", "Enforce"]].concat();
    let refused = run_file(&database, &file, &enforce);
    let rule = &refused.json()["report"]["rules"][0];
    assert_eq!(
        (refused.code, &rule["problem"]["reason"]),
        (Some(1), &"MissingSecret".into())
    );
    assert!(
        rule["problem"]["detail"]
            .as_str()
            .unwrap()
            .contains("name --keys DIRECTORY"),
        "{rule}"
    );
    let done = run_file(&database, &file, &[&enforce[..], &["--keys", directory]].concat());
    let rule = &done.json()["report"]["rules"][0];
    assert_eq!(
        (&rule["affected"], &rule["level"]),
        (&1.into(), &"Pseudonymised".into()),
        "{}",
        done.complaint
    );
    let notes = database.psql("SELECT count(*) FROM applications WHERE note LIKE 'psn:%'");
    assert_eq!(notes.unwrap(), "1\n");
    // Without the directory nobody knows whether the key was destroyed.
    let again = run_file(&database, &file, &enforce);
    assert_eq!(
        again.json()["report"]["rules"][0].get("level"),
        None,
        "{}",
        again.output
    );
}

/// A worker's role may read what its rules need, which does not include keys.
#[tokio::test]
async fn without_rows_to_show_the_role_of_a_worker_is_enough() {
    let database = database().await;
    let role = database.role("worker", "unused").await;
    let needed = "ctid, outcome, decided_at, hired_until";
    database
        .execute(&format!(
            "GRANT SELECT ({needed}) ON applications TO {role}; GRANT DELETE ON applications TO {role}"
        ))
        .await;
    let url = ["--url", &database.socket_url(&role), "--as-of", "2026-02-01T00:00:00Z"];
    let shown = run(&database, &url);
    assert_eq!(shown.code, Some(1), "{}", shown.output);
    assert!(shown.output.contains("MissingGrant"), "{}", shown.output);
    let counted = run(&database, &[&url[..], &["--rows", "0"]].concat());
    assert_eq!(counted.code, Some(0), "{}{}", counted.output, counted.complaint);
}

#[tokio::test]
async fn it_explains_one_row_due_or_not() {
    let database = database().await;
    let explain = |key: &str| {
        let ran = run(&database, &["--as-of", "2026-12-01T00:00:00Z", "--explain", key]);
        assert_eq!(ran.code, Some(0), "{}", ran.complaint);
        ran.output
    };
    for (key, words) in [
        (
            "1",
            ["stays: kept by claims", "decided_at = 2026-08-31 10:00:00+00, for P6M"],
        ),
        ("2", ["stays: kept by claims", "decided_at = NULL"]),
        (
            "3",
            ["due", "employed: has ended (hired_until = 2026-02-01 00:00:00+00)"],
        ),
        ("4", ["stays: no ground applies", "claims: does not apply"]),
    ] {
        let output = explain(key);
        for word in words {
            assert!(output.contains(word), "{key}: no {word:?} in {output}");
        }
        assert!(output.contains("six months after the decision"), "{output}");
    }
    let wrong = run(&database, &["--explain", "1,2"]);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.output.contains("the key of public.applications is (\"id\")"),
        "{}",
        wrong.output
    );
}

#[tokio::test]
async fn what_the_operator_would_refuse_is_refused() {
    let database = database().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let run = |text: &str, arguments: &[&str]| {
        std::fs::write(file.path(), text.replace("DATABASE", database.name())).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_privacy-operator"))
            .arg("run")
            .arg(file.path())
            .args(arguments)
            .env_remove("PGUSER")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    for (text, arguments, word) in [
        (FILE.replace("for: P6M", "for: 6M"), vec![], "keepWhile[claims].for"),
        (
            FILE.replace("{name: db}\n  schedule", "{name: other}\n  schedule"),
            vec![],
            "there is no DataSource `other`",
        ),
        (FILE.to_owned(), vec![], "PGUSER is not set"),
        (FILE.to_owned(), vec!["--policy", "x"], "the files have recruiting"),
    ] {
        let complaint = run(&text, &arguments);
        assert!(complaint.contains(word), "no {word:?} in {complaint}");
    }
}
