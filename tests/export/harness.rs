//! Runs export plans against a database of the shared server, with the files that a worker pod would have.

use std::path::PathBuf;
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use jiff::Timestamp;
use privacy_operator::contract::Store;
use privacy_operator::contract::export::{
    Delivery, ExpirePlan, ExpireReport, ExportPlan, ExportReport, IdentifyPlan, IdentifyReport, ObjectStore, Sealing,
    Volume, archive_name,
};
use privacy_operator::domain::identifier::TableName;
use privacy_operator::grants::{Manifests, grants};
use privacy_operator::worker::export::{self, Mounts, Settings};
use privacy_operator::worker::progress::Progress;
use serde_json::{Value, json};

use crate::opened::Opened;
use crate::s3::Bucket;
use crate::support::postgres::{Database, Server, server};

/// Uid of the one request of a trial.
pub const REQUEST: &str = "5f0c1f9e-0000-4000-8000-000000000001";

/// A database, a plan, and the files of a pod.
pub struct Trial {
    pub server: &'static Server,
    pub database: Database<'static>,
    pub role: String,
    pub files: tempfile::TempDir,
    pub plan: ExportPlan,
    pub identity: age::x25519::Identity,
}

/// What `grants` prints for exports of these datasets.
pub fn printed_grants(database: &str, datasets: &Value, role: &str) -> String {
    let declared: Vec<Value> = datasets.as_array().unwrap().iter().map(declared).collect();
    let source = json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataSource", "metadata": {"name": "shop-db"},
        "spec": {"postgres": {"host": "db", "database": database, "tls": {"mode": "Disable"}, "credentialsSecretRef": {"name": "shop-export"}},
                 "datasets": declared}});
    let policy = json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "SubjectRightsPolicy", "metadata": {"name": "default"},
        "spec": {"regime": "GDPR", "delivery": {"volume": {"claimName": "archives"}}, "hashKeySecretRef": {"name": "hash", "key": "key"}}});
    let mut manifests = Manifests::default();
    manifests.add("source", &source.to_string()).unwrap();
    manifests.add("policy", &policy.to_string()).unwrap();
    grants(&manifests, role, None).unwrap().sql
}

/// A dataset of a plan as a `DataSource` declares it.
fn declared(planned: &Value) -> Value {
    let mut dataset = planned.clone();
    let fields = dataset.as_object_mut().unwrap();
    let [schema, table] = ["schema", "table"].map(|part| fields.remove(part).unwrap());
    let table = TableName::new(schema.as_str().unwrap(), table.as_str().unwrap()).unwrap();
    fields.insert("table".to_owned(), json!(table.quoted()));
    for subject in fields
        .get_mut("subjects")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let subject = subject.as_object_mut().unwrap();
        let Value::Object(by) = subject.remove("by").unwrap() else {
            panic!("no way")
        };
        subject.extend(by);
    }
    dataset
}

/// A database with this schema, the role that `grants` prints for it, and a plan with these datasets and activities; the
/// archive goes to a volume, sealed.
pub async fn trial(schema: &str, datasets: Value, activities: Value) -> Trial {
    trial_granting(schema, datasets, activities, printed_grants).await
}

/// The same with rights of the test's own, where a declaration is wrong and nothing could be printed for it.
pub async fn trial_granting(
    schema: &str,
    datasets: Value,
    activities: Value,
    rights: impl Fn(&str, &Value, &str) -> String,
) -> Trial {
    let server = server();
    let database = server.database("export").await;
    database.execute(schema).await;
    let role = database.role("exporter", "s3cret-of-the-role").await;
    database.psql(&rights(database.name(), &datasets, &role)).unwrap();
    let files = tempfile::tempdir().unwrap();
    for directory in [
        "subject",
        "hash",
        "stores/0/credentials",
        "stores/0/ca",
        "delivery/credentials",
        "delivery/ca",
        "volume",
        "stop",
    ] {
        std::fs::create_dir_all(files.path().join(directory)).unwrap();
    }
    let write = |name: &str, text: &str| std::fs::write(files.path().join(name), text).unwrap();
    write("stores/0/credentials/username", &role);
    write("stores/0/credentials/password", "s3cret-of-the-role\n");
    write("hash/key", "0123456789abcdef0123456789abcdef");
    std::fs::copy(server.ca_path(), files.path().join("stores/0/ca/ca.crt")).unwrap();
    let identity = age::x25519::Identity::generate();
    write("identity", identity.to_string().expose_secret());
    let sealing = Sealing::Age(vec![identity.to_public().to_string()]);
    let store = Store {
        host: server.host().to_owned(),
        port: server.port(),
        database: database.name().to_owned(),
        verify_tls: true,
        ca_secret: Some(("db-ca".to_owned(), "ca.crt".to_owned())),
    };
    let plan = serde_json::from_value(json!({
        "version": 1, "namespace": "shop", "namespaceUid": "11111111-2222-4333-8444-555555555555",
        "request": "dsr-1", "requestUid": REQUEST, "receivedAt": "2026-11-01T09:00:00Z",
        "right": "Access", "regime": "GDPR", "languages": ["en"], "formats": ["html", "json"],
        "subject": {"secret": "dsr-1", "identities": ["user_id", "email"], "hashKeySecret": "hash", "hashKey": "key"},
        "expected": {"tag": "", "digest": "", "keyId": "", "identity": ""},
        "sealing": sealing,
        "delivery": {"volume": {"claim": "archives", "file": archive_name(REQUEST, &sealing)}},
        "largestBytes": 10_000_000_000_i64, "activeDeadlineSeconds": 3600,
        "stores": [{"name": "shop-db", "store": store, "credentialsSecret": "shop-export", "datasets": datasets}],
        "notice": {}, "activities": activities,
    }))
    .unwrap();
    Trial {
        server,
        database,
        role,
        files,
        plan,
        identity,
    }
}

impl Trial {
    /// Whose data is asked for, and the tag that is found for them.
    pub fn of(mut self, identities: &[(&str, &str)]) -> Self {
        self.set_subject(identities);
        self.plan.expected = self.identify().subject.expect("the person is identified");
        self
    }

    /// Replaces the subject's Secret.
    pub fn set_subject(&self, identities: &[(&str, &str)]) {
        let directory = self.files.path().join("subject");
        std::fs::remove_dir_all(&directory).unwrap();
        std::fs::create_dir(&directory).unwrap();
        for (name, value) in identities {
            std::fs::write(directory.join(name), value).unwrap();
        }
    }

    /// The archive goes into a bucket instead.
    pub fn into_bucket(mut self, bucket: &Bucket) -> Self {
        let write = |name: &str, text: &str| std::fs::write(self.files.path().join(name), text).unwrap();
        write("delivery/credentials/accessKeyId", bucket.server.access_key());
        write("delivery/credentials/secretAccessKey", bucket.server.secret_key());
        std::fs::copy(bucket.server.ca_path(), self.files.path().join("delivery/ca/ca.crt")).unwrap();
        self.plan.delivery = Delivery::ObjectStore(ObjectStore {
            endpoint: bucket.server.endpoint(),
            region: "us-east-1".to_owned(),
            bucket: bucket.name.clone(),
            key: format!("exports/{}", archive_name(REQUEST, &self.plan.sealing)),
            credentials_secret: "archive-store".to_owned(),
            ca_secret: Some(("archive-ca".to_owned(), "ca.crt".to_owned())),
        });
        self
    }

    /// Not sealed, into the volume.
    pub fn unsealed(mut self) -> Self {
        self.plan.sealing = Sealing::Unsealed;
        self.plan.delivery = Delivery::Volume(Volume {
            claim: "archives".to_owned(),
            file: archive_name(REQUEST, &Sealing::Unsealed),
        });
        self
    }

    pub fn settings(&self) -> Settings {
        let plan = self.files.path().join("plan.json");
        std::fs::write(&plan, serde_json::to_vec(&self.plan).unwrap()).unwrap();
        self.settings_for(plan)
    }

    fn settings_for(&self, plan: PathBuf) -> Settings {
        let files = self.files.path();
        Settings {
            plan,
            subject: files.join("subject"),
            hash_key: files.join("hash"),
            stores: files.join("stores"),
            delivery: Mounts {
                credentials: files.join("delivery/credentials"),
                ca: files.join("delivery/ca/ca.crt"),
                volume: files.join("volume"),
            },
            stop: files.join("stop"),
            termination_message: None,
            run: "trial-run".to_owned(),
        }
    }

    /// Exports.
    pub async fn run(&self) -> ExportReport {
        let (settings, progress) = (self.settings(), Progress::default());
        let run = export::execute(&settings, Timestamp::now, &progress);
        tokio::time::timeout(Duration::from_mins(5), run)
            .await
            .expect("an export ends")
    }

    pub fn identify(&self) -> IdentifyReport {
        let plan = IdentifyPlan {
            version: 1,
            namespace_uid: self.plan.namespace_uid.clone(),
            request_uid: REQUEST.to_owned(),
            subject: self.plan.subject.clone(),
        };
        let path = self.files.path().join("identify.json");
        std::fs::write(&path, serde_json::to_vec(&plan).unwrap()).unwrap();
        export::identify(&self.settings_for(path))
    }

    pub async fn expire(&self) -> ExpireReport {
        let plan = ExpirePlan {
            version: 1,
            request_uid: REQUEST.to_owned(),
            delivery: self.plan.delivery.clone(),
        };
        let path = self.files.path().join("expire.json");
        std::fs::write(&path, serde_json::to_vec(&plan).unwrap()).unwrap();
        export::expire(&self.settings_for(path)).await
    }

    /// The archive as it lies in the volume.
    pub fn archive(&self) -> PathBuf {
        let Delivery::Volume(volume) = &self.plan.delivery else {
            panic!("the archive goes into a bucket")
        };
        self.files.path().join("volume").join(&volume.file)
    }

    /// Names of all files in the volume.
    pub fn volume(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.files.path().join("volume")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Exports, and opens the archive with Debian's tools.
    pub async fn delivered(&self) -> (ExportReport, Opened) {
        let report = self.run().await;
        assert!(report.archive.is_some(), "{report:?}");
        let opened = Opened::with_age(&self.archive(), &self.files.path().join("identity"));
        (report, opened)
    }
}
