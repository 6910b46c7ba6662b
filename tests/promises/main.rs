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

#[tokio::test]
async fn kubermatic_keeps_its_promises_at_every_instant() {
    Company::new("kubermatic").await.keeps_its_promises().await;
}

#[tokio::test]
async fn ranching_farm_keeps_its_promises_at_every_instant() {
    Company::new("ranching-farm").await.keeps_its_promises().await;
}

#[tokio::test]
async fn banzai_cloud_keeps_its_promises_at_every_instant() {
    Company::new("banzai-cloud").await.keeps_its_promises().await;
}

#[tokio::test]
async fn cloudwerk_keeps_its_promises_at_every_instant() {
    Company::new("cloudwerk").await.keeps_its_promises().await;
}

#[tokio::test]
async fn kirim_email_keeps_its_promises_at_every_instant() {
    Company::new("kirim-email").await.keeps_its_promises().await;
}

/// A folder of `examples`, and a database with its schema, its rows and the rights of its worker.
struct Company {
    folder: PathBuf,
    expectations: Expectations,
    template: Database<'static>,
    role: String,
}

impl Company {
    async fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let expectations = Expectations::read(&folder);
        let template = server().database(&name.replace('-', "_")).await;
        let scripts = expectations.schema.iter().map(String::as_str);
        for script in scripts.chain(["proof/data.sql"]) {
            let text = std::fs::read_to_string(folder.join(script)).unwrap();
            template
                .psql(&text)
                .unwrap_or_else(|complaint| panic!("{name}/{script}: {complaint}"));
        }
        let company = Self {
            role: format!("worker_{}", template.name()),
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

    /// Runs every policy once as of an instant; the names of rules that did something.
    fn run(&self, database: &Database<'_>, at: Timestamp) -> BTreeSet<String> {
        let mut busy = BTreeSet::new();
        let (url, at) = (database.socket_url(&self.role), at.to_string());
        let files: Vec<PathBuf> = self
            .expectations
            .files
            .iter()
            .map(|file| self.folder.join(file))
            .collect();
        for policy in &self.expectations.policies {
            let arguments = ["run", "--policy", policy, "--url", &url, "--as-of", &at];
            let enforce = ["--mode", "Enforce", "--on-a-copy", "--rows", "0", "-o", "json"];
            let outcome = program(&[&arguments[..], &enforce].concat(), &files);
            let outcome: Value = serde_json::from_str(&outcome).unwrap();
            let rules = outcome["report"]["rules"].as_array().unwrap();
            for (rule, named) in rules.iter().zip(outcome["sentences"].as_array().unwrap()) {
                if rule["affected"].as_i64().unwrap() > 0 {
                    busy.insert(format!("{policy}/{}", named["rule"].as_str().unwrap()));
                }
            }
        }
        busy
    }

    /// How the rows differ from what must be there. What one rule or policy frees for another may go in the run after: so
    /// all run a second time where something differs.
    async fn kept(&self, database: &Database<'_>, moment: &Moment, busy: &mut BTreeSet<String>) -> Vec<String> {
        let mut differences = Vec::new();
        for _ in 0..2 {
            busy.extend(self.run(database, moment.at));
            differences = moment.rows.differences(&Rows::of(database).await);
            if differences.is_empty() {
                break;
            }
        }
        let place = format!("at {} ({})", moment.at, moment.why);
        differences
            .into_iter()
            .map(|difference| format!("{place}: {difference}"))
            .collect()
    }

    async fn keeps_its_promises(&self) {
        let original = Rows::of(&self.template).await;
        let mut differences = Vec::new();
        let mut busy = BTreeSet::new();
        // Each instant on rows that no run has seen.
        for moment in self.expectations.moments(&original) {
            let database = server().copy_of(&self.template).await;
            differences.extend(self.kept(&database, &moment, &mut busy).await);
        }
        // One database that lives through all of them.
        let database = server().copy_of(&self.template).await;
        for moment in self
            .expectations
            .moments(&original)
            .iter()
            .filter(|moment| moment.is_turn)
        {
            let found = self.kept(&database, moment, &mut busy).await;
            differences.extend(
                found
                    .into_iter()
                    .map(|found| format!("{found} (after the runs before)")),
            );
        }
        assert!(differences.is_empty(), "\n{}", differences.join("\n"));
        // A rule that never did anything proves nothing.
        let all: BTreeSet<String> = self.expectations.rules(&self.folder).collect();
        let idle: BTreeSet<&String> = all.difference(&busy).collect();
        let expected: BTreeSet<&String> = self.expectations.idle.keys().collect();
        assert_eq!(idle, expected, "rules that did nothing at any instant");
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
