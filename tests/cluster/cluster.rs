//! Namespaces, databases and kubectl.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Where the operator runs.
pub const OPERATOR: &str = "privacy-operator";
/// Where the tests' PostgreSQL runs, and its name.
pub const STORE: (&str, &str) = ("test-store", "test-db");

/// Longest wait for anything: a pod on a busy machine of two cores takes its time.
const PATIENCE: Duration = Duration::from_secs(150);

static ALONE: RwLock<()> = RwLock::new(());

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What a command printed.
pub struct Output {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

/// Runs a command.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; run the cluster tests with make cluster-test"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // From a thread of its own: a child that prints before it has read everything would wait for us.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A child that does not read its input closes it: its exit code tells whether that was right.
    let _ = writer.join().unwrap();
    Output {
        ok: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command that must succeed, and returns what it printed.
pub fn must(program: &str, arguments: &[&str], input: &str) -> String {
    let output = run(program, arguments, input);
    assert!(output.ok, "{program} {arguments:?}: {}{}", output.out, output.err);
    output.out
}

/// kubectl that must succeed.
pub fn kubectl(arguments: &[&str]) -> String {
    must("kubectl", arguments, "")
}

/// Waits until `check` gives something; tells what was waited for and what was seen instead.
pub fn wait_for<T>(what: &str, seen: impl Fn() -> String, check: impl FnMut() -> Option<T>) -> T {
    wait_longer(PATIENCE, what, seen, check)
}

/// As [`wait_for`], for what takes longer by its nature.
pub fn wait_longer<T>(
    patience: Duration,
    what: &str,
    seen: impl Fn() -> String,
    mut check: impl FnMut() -> Option<T>,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(
            begin.elapsed() < patience,
            "waited in vain for {what}; seen: {}",
            seen()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Installs the operator and the store, once a test run.
fn prepare() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        install(&[]);
        must(
            root().join("dev/postgres/deploy.sh").to_str().unwrap(),
            &[STORE.0, STORE.1],
            "",
        );
    });
}

/// Installs or upgrades the release, with further values, and waits until it is ready.
pub fn install(values: &[&str]) {
    // Helm never upgrades CRDs: whoever upgrades applies them, as the operator's readiness says.
    kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "crds"]);
    let mut arguments = vec![
        "upgrade",
        "--install",
        OPERATOR,
        "charts/privacy-operator",
        "-n",
        OPERATOR,
        "--create-namespace",
        "--wait",
        "--timeout",
        "180s",
        "--set",
        "image.repository=privacy-operator.dev/privacy-operator,image.pullPolicy=Never",
    ];
    arguments.extend(values);
    must("helm", &arguments, "");
}

/// A test that shares the operator with others.
pub fn together() -> RwLockReadGuard<'static, ()> {
    let guard = ALONE.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    prepare();
    guard
}

/// A test that stops or restarts the operator.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    let guard = ALONE.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    prepare();
    guard
}

/// A namespace with a database of its own, and the Secrets to reach it.
pub struct Place {
    pub namespace: String,
    pub database: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        // A failed test leaves its namespace for whoever wants to look.
        if !std::thread::panicking() {
            let _ = run("kubectl", &["delete", "namespace", &self.namespace, "--wait=false"], "");
        }
    }
}

impl Place {
    /// A new place; `schema` is run as the database's owner.
    pub fn new(name: &str, schema: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let place = Self {
            namespace: unique.clone(),
            database: unique.replace('-', "_"),
        };
        kubectl(&["create", "namespace", &place.namespace]);
        kubectl(&[
            "label",
            "namespace",
            &place.namespace,
            "pod-security.kubernetes.io/enforce=restricted",
        ]);
        admin("postgres", &format!("CREATE DATABASE {}", place.database));
        place.sql(schema);
        let ca = kubectl(&[
            "-n",
            STORE.0,
            "get",
            "secret",
            &format!("{}-ca", STORE.1),
            "-o",
            "jsonpath={.data.ca\\.crt}",
        ]);
        place.apply(
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-ca"}, "data": {"ca.crt": ca}}),
        );
        place
    }

    /// Runs SQL as superuser; returns rows as lines, columns separated by `|`.
    pub fn sql(&self, sql: &str) -> String {
        admin(&self.database, sql)
    }

    /// One number.
    pub fn number(&self, sql: &str) -> i64 {
        self.sql(sql)
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("not a number: {sql}"))
    }

    /// kubectl in the namespace; must succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut all = vec!["-n", &self.namespace];
        all.extend(arguments);
        kubectl(&all)
    }

    /// Applies an object; must succeed.
    pub fn apply(&self, object: &Value) {
        let output = self.try_apply(object);
        assert!(output.ok, "{}: {object}", output.err);
    }

    /// Applies an object.
    pub fn try_apply(&self, object: &Value) -> Output {
        run(
            "kubectl",
            &["-n", &self.namespace, "apply", "--server-side", "-f", "-"],
            &object.to_string(),
        )
    }

    /// An object, where it exists.
    pub fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let output = run("kubectl", &["-n", &self.namespace, "get", kind, name, "-o", "json"], "");
        output.ok.then(|| serde_json::from_str(&output.out).unwrap())
    }

    /// All objects of a kind.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let list: Value = serde_json::from_str(&self.kubectl(&["get", kind, "-o", "json"])).unwrap();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Makes the role that the manifests need, with `privacy-operator grants`, and its Secret.
    pub fn grant(&self, manifests: &[&Value]) {
        let role = format!("worker_{}", self.database);
        let documents: Vec<String> = manifests.iter().map(ToString::to_string).collect();
        let grants = must(
            env!("CARGO_BIN_EXE_privacy-operator"),
            &["grants", "--role", &role, "-"],
            &documents.join("\n---\n"),
        );
        self.sql(&grants);
        self.sql(&format!("ALTER ROLE \"{role}\" PASSWORD 'worker-s3cret'"));
        self.apply(
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-worker"},
            "stringData": {"username": role, "password": "worker-s3cret"}}),
        );
    }

    /// A `DataSource` named `db` with these datasets.
    pub fn source(&self, datasets: &Value) -> Value {
        json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataSource",
            "metadata": {"name": "db", "namespace": self.namespace},
            "spec": {
                "postgres": {"host": format!("{}.{}.svc", STORE.1, STORE.0), "port": 5432, "database": self.database,
                    "tls": {"mode": "VerifyFull", "caSecretRef": {"name": "db-ca", "key": "ca.crt"}},
                    "credentialsSecretRef": {"name": "db-worker"}},
                "datasets": datasets}})
    }

    /// A `DataRetentionPolicy` on `db` that runs once a year unless started by hand.
    pub fn policy(&self, name: &str, mode: &str, rules: &Value) -> Value {
        json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataRetentionPolicy",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"dataSourceRef": {"name": "db"}, "schedule": "17 5 1 1 *", "timeZone": "Europe/Berlin", "mode": mode,
                "limits": {"maxPercent": 100}, "rules": rules}})
    }

    /// The policy's status when `check` holds of the whole object.
    pub fn wait_policy(&self, name: &str, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        wait_for(
            &format!("policy {name}: {what}"),
            || {
                self.get("drp", name)
                    .map_or_else(|| "no policy".to_owned(), |policy| policy["status"].to_string())
            },
            || self.get("drp", name).filter(&check),
        )
    }

    /// Waits for the first look, which starts at once.
    pub fn wait_first_look(&self, name: &str) -> Value {
        self.wait_policy(name, "the first look is reported", |policy| {
            policy["status"]["runs"].as_array().is_some_and(|runs| !runs.is_empty())
        })
    }

    /// The CronJob of a policy.
    pub fn cron_job(&self, policy: &str) -> Value {
        wait_for(
            &format!("the CronJob of {policy}"),
            || self.kubectl(&["get", "cronjobs", "-o", "wide"]),
            || {
                self.list("cronjobs")
                    .into_iter()
                    .find(|job| job["metadata"]["labels"]["privacy-operator.dev/policy"] == policy)
            },
        )
    }

    /// Starts a run from the CronJob at once, as a user would, and waits until the status reports it.
    pub fn run_now(&self, policy: &str) -> Value {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("now-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.start(policy, &name);
        self.wait_policy(policy, "the run is reported", |object| {
            object["status"]["runs"]
                .as_array()
                .is_some_and(|runs| runs.iter().any(|run| run["job"] == name))
        })
    }

    /// Starts a run from the CronJob at once.
    pub fn start(&self, policy: &str, job: &str) {
        let cron_job = self.cron_job(policy)["metadata"]["name"].as_str().unwrap().to_owned();
        self.kubectl(&["create", "job", job, &format!("--from=cronjob/{cron_job}")]);
    }
}

/// A condition of an object.
pub fn condition(object: &Value, kind: &str) -> Option<Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
        .cloned()
}

/// Whether a condition has this status.
pub fn is(object: &Value, kind: &str, status: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == status)
}

fn admin(database: &str, sql: &str) -> String {
    must(
        root().join("dev/postgres/psql.sh").to_str().unwrap(),
        &[STORE.0, STORE.1, "-d", database, "-v", "ON_ERROR_STOP=1", "-qAt"],
        sql,
    )
}
