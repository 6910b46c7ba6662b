//! Runs work plans against a database of the shared server.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use privacy_operator::contract::{PlannedRule, Store, WorkPlan, WorkReport};
use privacy_operator::worker::{self, Settings};
use serde_json::{Value, json};

use crate::support::postgres::{Database, Server, server};

/// A database with a role for the worker, and the files that a worker pod would have.
pub struct Trial<'a> {
    pub server: &'a Server,
    pub database: Database<'a>,
    #[allow(dead_code)]
    pub role: String,
    pub files: tempfile::TempDir,
    pub plan: WorkPlan,
}

/// A database of the shared server with this schema, and a role that may do everything in it.
pub async fn trial(schema: &str) -> Trial<'static> {
    trial_on(server(), schema).await
}

pub async fn trial_on<'a>(server: &'a Server, schema: &str) -> Trial<'a> {
    let database = server.database("trial").await;
    database.execute(schema).await;
    let role = database.role("worker", "s3cret").await;
    database
        .execute(&format!(
            "GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO \"{role}\"; GRANT USAGE ON SCHEMA public TO \"{role}\""
        ))
        .await;
    let files = tempfile::tempdir().unwrap();
    for directory in ["credentials", "stop"] {
        std::fs::create_dir(files.path().join(directory)).unwrap();
    }
    std::fs::write(files.path().join("credentials/username"), &role).unwrap();
    std::fs::write(files.path().join("credentials/password"), "s3cret").unwrap();
    let plan = WorkPlan {
        version: 1,
        namespace: "test".to_owned(),
        policy: "trial".to_owned(),
        policy_uid: "00000000-0000-0000-0000-000000000001".to_owned(),
        rules_hash: "0".to_owned(),
        generation: Some(3),
        mode: privacy_operator::contract::Mode::Enforce,
        time_zone: "Europe/Berlin".to_owned(),
        store: Store {
            host: server.host().to_owned(),
            port: server.port(),
            database: database.name().to_owned(),
            verify_tls: true,
            ca_secret: Some(("db-ca".to_owned(), "ca.crt".to_owned())),
        },
        credentials_secret: "db-worker".to_owned(),
        limits: serde_json::from_value(json!({"maxPercent": 100, "percentFrom": 0})).unwrap(),
        active_deadline_seconds: 600,
        slack_seconds: 3600,
        rules: Vec::new(),
        protections: Vec::new(),
        holds: Vec::new(),
        declared: Vec::new(),
    };
    Trial {
        server,
        database,
        role,
        files,
        plan,
    }
}

/// A rule from its JSON; name, schema, table and `within` may be left out.
pub fn rule(rule: Value) -> PlannedRule {
    let mut whole = json!({"name": "rule", "schema": "public", "table": "t", "withinSeconds": 7200});
    let (Value::Object(whole_map), Value::Object(given)) = (&mut whole, rule) else {
        panic!("a rule is an object")
    };
    whole_map.extend(given);
    serde_json::from_value(whole).unwrap()
}

impl Trial<'_> {
    pub fn rules(mut self, rules: &[Value]) -> Self {
        self.plan.rules = rules.iter().cloned().map(rule).collect();
        self
    }

    pub fn settings(&self) -> Settings {
        let plan = self.files.path().join("plan.json");
        std::fs::write(&plan, serde_json::to_vec(&self.plan).unwrap()).unwrap();
        Settings {
            plan,
            credentials: self.files.path().join("credentials"),
            ca: self.server.ca_path(),
            holds: self.files.path().join("holds"),
            keys: self.files.path().join("keys"),
            stop: self.files.path().join("stop"),
            termination_message: None::<PathBuf>,
            run: "trial-run".to_owned(),
            observe: false,
        }
    }

    /// Runs the plan.
    pub async fn run(&self) -> WorkReport {
        tokio::time::timeout(
            Duration::from_mins(2),
            worker::execute(&self.settings(), Timestamp::now),
        )
        .await
        .expect("a run ends")
    }

    /// One column of a query, as text, in order.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.database.admin().await.query(sql, &[]).await.unwrap();
        rows.iter()
            .map(|row| row.get::<_, Option<String>>(0).unwrap_or_else(|| "NULL".to_owned()))
            .collect()
    }

    pub async fn ids(&self) -> Vec<i64> {
        let rows = self
            .database
            .admin()
            .await
            .query("SELECT id::int8 FROM t ORDER BY 1", &[])
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}
