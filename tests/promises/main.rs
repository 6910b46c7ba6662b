//! The retention promises of five real privacy policies, at the instants at which something must happen and a minute around
//! them: `examples/*/proof/expectations.yaml` says what must be there, `privacy-operator run` does the work, and every
//! column of every row of every table is compared.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod expectations;
mod rows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use expectations::{Expectations, Moment};
use jiff::Timestamp;
use rows::Rows;
use serde_json::Value;
use support::postgres::{Database, server};
use tempfile::TempDir;

#[tokio::test]
async fn kubermatic_keeps_its_promises_at_every_instant() {
    Company::with("kubermatic", "proof/data.sql")
        .await
        .keeps_its_promises()
        .await;
}

#[tokio::test]
async fn ranching_farm_keeps_its_promises_at_every_instant() {
    Company::with("ranching-farm", "proof/data.sql")
        .await
        .keeps_its_promises()
        .await;
}

#[tokio::test]
async fn banzai_cloud_keeps_its_promises_at_every_instant() {
    Company::with("banzai-cloud", "proof/data.sql")
        .await
        .keeps_its_promises()
        .await;
}

#[tokio::test]
async fn cloudwerk_keeps_its_promises_at_every_instant() {
    Company::with("cloudwerk", "proof/data.sql")
        .await
        .keeps_its_promises()
        .await;
}

#[tokio::test]
async fn kirim_email_keeps_its_promises_at_every_instant() {
    Company::with("kirim-email", "proof/data.sql")
        .await
        .keeps_its_promises()
        .await;
}

/// The rows for a run in a cluster, where no instant can be chosen, here.
#[tokio::test]
async fn as_of_now_exactly_the_due_rows_go() {
    for name in COMPANIES {
        let company = Company::with(name, "proof/now.sql").await;
        let mut expected = Rows::of(&company.template).await.keys();
        expected.retain(|(_, key)| *key > 0);
        for _ in 0..2 {
            company.run(
                &company.template,
                &company.expectations.policies,
                None,
                &BTreeSet::new(),
            );
        }
        assert_eq!(Rows::of(&company.template).await.keys(), expected, "{name}");
    }
}

const COMPANIES: [&str; 5] = [
    "kubermatic",
    "ranching-farm",
    "banzai-cloud",
    "cloudwerk",
    "kirim-email",
];

/// A folder of `examples`, and a database with its schema, its rows and the rights of its worker.
struct Company {
    folder: PathBuf,
    expectations: Expectations,
    template: Database<'static>,
    role: String,
    scratch: TempDir,
}

/// The folder with keys of its masks, where it has any: pseudonyms of the expectations are computed by Python's `hmac` from these.
const KEYS: &str = "proof/keys";

/// The file of a folder with its holds.
const HOLDS: &str = "holds.yaml";

impl Company {
    /// With these rows.
    async fn with(name: &str, data: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let expectations = Expectations::read(&folder);
        let template = server().database(&name.replace('-', "_")).await;
        let scripts = expectations.schema.iter().map(String::as_str);
        for script in scripts.chain([data]) {
            let text = std::fs::read_to_string(folder.join(script)).unwrap();
            template
                .psql(&text)
                .unwrap_or_else(|complaint| panic!("{name}/{script}: {complaint}"));
        }
        let company = Self {
            role: format!("worker_{}", template.name()),
            scratch: tempfile::tempdir().unwrap(),
            folder,
            expectations,
            template,
        };
        company.grant();
        company
    }

    /// The role is the one that `grants` prints for these files: it can do what they need and nothing else.
    fn grant(&self) {
        // Rights are for the database of the files; this one has a name of its own.
        let named = |line: &str| match line.trim_start().strip_prefix("database: ") {
            Some(_) => format!("    database: {}", self.template.name()),
            None => line.to_owned(),
        };
        let text = |file: &String| std::fs::read_to_string(self.folder.join(file)).unwrap();
        let texts: Vec<String> = self.expectations.files.iter().map(text).collect();
        let renamed: Vec<String> = texts.join("\n---\n").lines().map(named).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), renamed.join("\n")).unwrap();
        let grants = program(&["grants", "--role", &self.role], &[file.path().to_owned()]);
        self.template.psql(&grants).unwrap();
    }

    /// The files, with these holds released.
    fn files(&self, released: &BTreeSet<String>) -> Vec<PathBuf> {
        let path = |file: &String| {
            let original = self.folder.join(file);
            if released.is_empty() || file != HOLDS {
                return original;
            }
            let text = std::fs::read_to_string(original).unwrap();
            let mut holds = serde_saphyr::from_multiple::<Value>(&text).unwrap();
            for hold in &mut holds {
                if released.contains(hold["metadata"]["name"].as_str().unwrap()) {
                    hold["spec"]["released"] = true.into();
                }
            }
            let texts: Vec<String> = holds.iter().map(Value::to_string).collect();
            let changed = self.scratch.path().join(file);
            std::fs::write(&changed, texts.join("\n---\n")).unwrap();
            changed
        };
        self.expectations.files.iter().map(path).collect()
    }

    /// Runs policies once as of an instant, or of now; the names of rules that did something.
    fn run(
        &self,
        database: &Database<'_>,
        policies: &[String],
        at: Option<Timestamp>,
        released: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let mut busy = BTreeSet::new();
        let (url, at) = (database.socket_url(&self.role), at.map(|at| format!("--as-of={at}")));
        let files = self.files(released);
        let keys = self.folder.join(KEYS).display().to_string();
        for policy in policies {
            let mut arguments = vec!["run", "--policy", policy, "--url", &url, "--mode", "Enforce"];
            arguments.extend(["--on-a-copy", "--rows", "0", "-o", "json", "--keys", &keys]);
            arguments.extend(at.as_deref());
            let outcome: Value = serde_json::from_str(&program(&arguments, &files)).unwrap();
            let rules = outcome["report"]["rules"].as_array().unwrap();
            for (rule, named) in rules.iter().zip(outcome["sentences"].as_array().unwrap()) {
                if rule["affected"].as_i64().unwrap() > 0 {
                    busy.insert(format!("{policy}/{}", named["rule"].as_str().unwrap()));
                }
            }
        }
        busy
    }

    async fn keeps_its_promises(&self) {
        let original = Rows::of(&self.template).await;
        let mut trial = Trial {
            company: self,
            busy: BTreeSet::new(),
            differences: Vec::new(),
        };
        // One database lives through all instants; others have rows that no run has seen.
        let living = server().copy_of(&self.template).await;
        let all = &self.expectations.policies;
        trial
            .hold(&living, all, &self.expectations.first(&original), None)
            .await;
        for turn in self.expectations.turns(&self.folder, &original) {
            let early = server().copy_of(&self.template).await;
            trial
                .hold(&early, &turn.policies, &turn.before, Some(&turn.tables))
                .await;
            let fresh = server().copy_of(&self.template).await;
            trial.hold(&fresh, all, &turn.instant, None).await;
            trial.hold(&living, &turn.policies, &turn.after, None).await;
        }
        assert!(trial.differences.is_empty(), "\n{}", trial.differences.join("\n"));
        // A rule that never did anything proves nothing.
        let rules = self.expectations.rules(&self.folder);
        let idle: BTreeSet<&String> = rules.difference(&trial.busy).collect();
        let expected: BTreeSet<&String> = self.expectations.idle.keys().collect();
        assert_eq!(idle, expected, "rules that did nothing at any instant");
    }
}

/// What was seen so far.
struct Trial<'a> {
    company: &'a Company,
    busy: BTreeSet<String>,
    differences: Vec<String>,
}

impl Trial<'_> {
    /// Runs policies, and holds what is there then against what must be there. What one rule or policy frees for another may
    /// go in the run after: so all run a second time where something differs.
    async fn hold(
        &mut self,
        database: &Database<'_>,
        policies: &[String],
        moment: &Moment,
        only: Option<&BTreeSet<String>>,
    ) {
        let mut differences = Vec::new();
        for _ in 0..2 {
            let (at, released) = (Some(moment.at), &moment.released);
            self.busy.extend(self.company.run(database, policies, at, released));
            differences = moment.rows.differences(&Rows::of(database).await, only);
            if differences.is_empty() {
                break;
            }
        }
        let place = format!("at {} ({})", moment.at, moment.why);
        let told = differences
            .into_iter()
            .map(|difference| format!("{place}: {difference}"));
        self.differences.extend(told);
    }
}

/// Runs the program with files; it must succeed.
fn program(arguments: &[&str], files: &[PathBuf]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_privacy-operator"))
        .args(arguments)
        .args(files)
        .env_remove("PGPASSWORD")
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {complaint}{text}");
    text
}
