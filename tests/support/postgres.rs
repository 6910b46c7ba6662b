//! A throw-away PostgreSQL server for tests: real, local, gone when the test process is gone.
//!
//! - `server()` starts one server a test binary, on first use. Each test takes its own database from it.
//! - `Server::start_private()` starts one for a test that stops or restarts it.
//!
//! Over the socket every role is trusted; over TCP (127.0.0.1, with or without TLS) passwords are asked for. The
//! server also listens on 127.0.0.2, a name that its certificate does not carry.
//!
//! A `Drop` of a static never runs, and a killed test runs nothing at all. So a watchdog shell reads from a pipe whose
//! other end only the test process holds: when that process ends, however it ends, the pipe closes, and the watchdog
//! stops the server and removes its directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use tokio_postgres::{Client, Config, NoTls};

/// The superuser, trusted over the socket.
pub const SUPERUSER: &str = "postgres";

/// The server that all tests of this binary share.
pub fn server() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start_private)
}

/// A running server.
pub struct Server {
    pub(super) directory: PathBuf,
    binaries: PathBuf,
    pub(super) account: Account,
    port: u16,
    /// Closing it tells the watchdog to stop the server.
    lifeline: Option<ChildStdin>,
    watchdog: Child,
    /// Further variables of the server's environment.
    environment: Vec<(&'static str, String)>,
}

impl Server {
    /// A server for one test, stopped when it is dropped.
    pub fn start_private() -> Self {
        Self::start_with(&[])
    }

    /// As [`Self::start_private`], with further lines of `postgresql.conf`.
    pub fn start_with(settings: &[&str]) -> Self {
        let mut server = Self::prepare();
        server.initialize(settings);
        server.start_on_a_free_port();
        server
    }

    /// A server whose clock stands still at a time that a test chooses, see [`Self::set_clock`]. What waits by the
    /// server's clock (`pg_sleep`, `lock_timeout`) never ends there.
    pub fn start_with_clock(now: Timestamp) -> Self {
        let mut server = Self::prepare();
        server.initialize(&[]);
        server.set_clock(now);
        server.environment = vec![
            ("LD_PRELOAD", faketime()),
            ("FAKETIME_TIMESTAMP_FILE", server.path("clock")),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("TZ", "UTC".to_owned()),
        ];
        server.start_on_a_free_port();
        server
    }

    /// Sets the clock of a server that [`Self::start_with_clock`] started; every session sees it at once.
    pub fn set_clock(&self, now: Timestamp) {
        let text = now.strftime("%Y-%m-%d %H:%M:%S%.f").to_string();
        let next = self.directory.join("clock.next");
        fs::write(&next, text).unwrap();
        fs::rename(&next, self.directory.join("clock")).unwrap();
    }

    /// The directory and the watchdog of a server that is not initialised yet.
    pub(super) fn prepare() -> Self {
        let binaries = binaries();
        let account = Account::unprivileged();
        // A short path: that of a socket may have 107 bytes.
        let directory = tempfile::Builder::new()
            .prefix("pg-")
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        account.own(&directory);
        let mut watchdog = watchdog(&binaries, &directory, &account);
        Self {
            lifeline: watchdog.stdin.take(),
            directory,
            binaries,
            account,
            port: 0,
            watchdog,
            environment: Vec::new(),
        }
    }

    /// Address in the certificate.
    #[allow(clippy::unused_self, reason = "a caller should not know that it is fixed")]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// Address of the same server that the certificate does not name.
    #[allow(clippy::unused_self, reason = "a caller should not know that it is fixed")]
    pub fn host_not_in_certificate(&self) -> &'static str {
        "127.0.0.2"
    }

    /// TCP port, and part of the name of the socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Directory with the socket.
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// The authority (PEM) that signed the server's certificate.
    pub fn ca_path(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// An authority (PEM) that did not.
    pub fn other_ca_path(&self) -> PathBuf {
        self.directory.join("other-ca.crt")
    }

    /// Everything that the server logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("server.log")).unwrap_or_default()
    }

    /// A new, empty database; `name` is only to recognise it.
    pub async fn database(&self, name: &str) -> Database<'_> {
        let name = unique(name);
        let admin = self.connect(SUPERUSER, "postgres").await;
        admin
            .batch_execute(&format!("CREATE DATABASE {}", quoted(&name)))
            .await
            .unwrap();
        Database { server: self, name }
    }

    /// A new database with everything that is in `template`, rights included. Nobody may be connected to that meanwhile.
    pub async fn copy_of(&self, template: &Database<'_>) -> Database<'_> {
        let name = unique(template.name());
        let admin = self.connect(SUPERUSER, "postgres").await;
        let (copy, original) = (quoted(&name), quoted(template.name()));
        admin
            .batch_execute(&format!("CREATE DATABASE {copy} TEMPLATE {original}"))
            .await
            .unwrap();
        Database { server: self, name }
    }

    /// A connection over the socket, where no password is asked for.
    pub async fn connect(&self, user: &str, database: &str) -> Client {
        let (client, connection) = Config::new()
            .host_path(&self.directory)
            .port(self.port)
            .user(user)
            .dbname(database)
            .connect(NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }

    /// Stops in good order, ending all sessions, and starts again on the same port.
    pub fn restart(&self) {
        self.run(
            "pg_ctl",
            &[
                "restart",
                "--mode=fast",
                "--wait",
                "--silent",
                "--log",
                &self.path("server.log"),
            ],
        );
    }

    /// Stops as a crash does: no checkpoint, all sessions cut. Comes back with [`Self::start`].
    pub fn stop_hard(&self) {
        self.run("pg_ctl", &["stop", "--mode=immediate", "--wait", "--silent"]);
    }

    /// Starts after [`Self::stop_hard`] and waits until it answers.
    pub fn start(&self) {
        assert!(self.try_start(), "the server does not start:\n{}", self.log());
    }

    /// Gives a file or directory to the account of the server.
    pub fn own(&self, path: &Path) {
        self.account.own(path);
    }

    fn initialize(&self, settings: &[&str]) {
        self.run(
            "initdb",
            &[
                "--username",
                SUPERUSER,
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        );
        self.certificates();
        let data = self.directory.join("data");
        let mut configuration = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        let _ = write!(
            configuration,
            "listen_addresses = '127.0.0.1,127.0.0.2'\nunix_socket_directories = '{directory}'\nmax_connections = 200\n\
             fsync = off\nfull_page_writes = off\ntimezone = 'UTC'\nlog_timezone = 'UTC'\n\
             ssl = on\nssl_cert_file = '{directory}/server.crt'\nssl_key_file = '{directory}/server.key'\n{}\n",
            settings.join("\n"),
            directory = self.directory.display(),
        );
        fs::write(data.join("postgresql.conf"), configuration).unwrap();
        let access = "local all,replication all trust\nhost all all 127.0.0.0/8 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), access).unwrap();
    }

    /// Two authorities; the first signs a certificate for `localhost` and 127.0.0.1. An authority's own certificate
    /// would not do: rustls does not take it for a server's.
    fn certificates(&self) {
        let configuration = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = test\n\
            [authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
            [server]\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n";
        fs::write(self.directory.join("openssl.cnf"), configuration).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config openssl.cnf";
        for authority in ["ca", "other-ca"] {
            let files = format!("-keyout {authority}.key -out {authority}.crt -subj /CN={authority}");
            self.openssl(&format!("req -x509 -days 30 -extensions authority {key} {files}"));
        }
        self.openssl(&format!(
            "req -new {key} -keyout server.key -out server.csr -subj /CN=localhost"
        ));
        let signing = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile openssl.cnf -extensions server";
        self.openssl(&format!("x509 -req -in server.csr -out server.crt {signing}"));
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(&self.directory);
        finish(self.account.apply(&mut command));
    }

    /// Another process may take the port between our look and the server's start: then the next one.
    pub(super) fn start_on_a_free_port(&mut self) {
        for _ in 0..5 {
            self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let line = format!("port = {}\n", self.port);
            fs::write(self.directory.join("data/postgresql.auto.conf"), line).unwrap();
            if self.try_start() {
                return;
            }
        }
        panic!("the server does not start:\n{}", self.log());
    }

    fn try_start(&self) -> bool {
        let log = self.path("server.log");
        // Its output goes to the log file, so that the server does not hold the test's own pipes open.
        self.command("pg_ctl", &["start", "--wait", "--silent", "--log", &log])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    pub(super) fn run(&self, program: &str, arguments: &[&str]) {
        let output = fs::File::create(self.directory.join("command.log")).unwrap();
        // A file, not a pipe: the server inherits it and would keep a pipe open for ever.
        let status = self
            .command(program, arguments)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .status()
            .unwrap();
        let output = fs::read_to_string(self.directory.join("command.log")).unwrap();
        assert!(status.success(), "{program} failed: {output}");
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command
            .arg("--pgdata")
            .arg(self.directory.join("data"))
            .args(arguments)
            .stdin(Stdio::null());
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory);
        self.account.apply(&mut command);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.watchdog.wait();
    }
}

/// A database of one test.
pub struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl Database<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A superuser's connection to it.
    pub async fn admin(&self) -> Client {
        self.connect(SUPERUSER).await
    }

    /// A connection as `user`, over the socket.
    pub async fn connect(&self, user: &str) -> Client {
        self.server.connect(user, &self.name).await
    }

    /// Runs SQL as the superuser.
    pub async fn execute(&self, sql: &str) {
        self.admin().await.batch_execute(sql).await.unwrap();
    }

    /// Runs a script as a person would, with psql as the superuser, stopping at the first error: its output, or what
    /// it complained of.
    pub fn psql(&self, script: &str) -> Result<String, String> {
        let file = self.server.directory.join(format!("{}.sql", unique("script")));
        fs::write(&file, script).unwrap();
        let mut command = Command::new(self.server.binaries.join("psql"));
        command.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--username",
        ]);
        command.args([
            SUPERUSER,
            "--port",
            &self.server.port.to_string(),
            "--dbname",
            &self.name,
        ]);
        command
            .arg("--host")
            .arg(&self.server.directory)
            .arg("--file")
            .arg(&file);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Creates a role that may log in, under a name of its own (roles belong to the whole server), and returns it.
    pub async fn role(&self, name: &str, password: &str) -> String {
        let name = unique(name);
        self.execute(&format!("CREATE ROLE {} LOGIN PASSWORD '{password}'", quoted(&name)))
            .await;
        name
    }

    /// Where `user` finds it over TCP; the password is not in it.
    pub fn url(&self, user: &str) -> String {
        format!(
            "postgres://{user}@{}:{}/{}",
            self.server.host(),
            self.server.port(),
            self.name
        )
    }

    /// Where `user` finds it over the socket, without a password.
    pub fn socket_url(&self, user: &str) -> String {
        let directory = self.server.socket_directory().display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{directory}:{}/{}", self.server.port(), self.name)
    }
}

/// The account that the server runs under: PostgreSQL refuses root.
pub(super) struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    /// Ourselves, or, where we are root, the account that the PostgreSQL package created.
    fn unprivileged() -> Self {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Self { ids: None };
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap();
        let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let account = fields.into_iter().find(|fields| fields[0] == "postgres");
        let account = account.expect("the tests run as root, which PostgreSQL refuses: create the account postgres");
        Self {
            ids: Some((account[2].parse().unwrap(), account[3].parse().unwrap())),
        }
    }

    pub(super) fn own(&self, path: &Path) {
        if let Some((user, group)) = self.ids {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    pub(super) fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self.ids {
            Some((user, group)) => command.uid(user).gid(group),
            None => command,
        }
    }
}

/// A shell that outlives us just long enough to stop the server. Signals of the terminal do not reach it.
fn watchdog(binaries: &Path, directory: &Path, account: &Account) -> Child {
    let script = r#"trap '' INT TERM HUP
        cat >/dev/null
        "$1/pg_ctl" --pgdata="$2/data" stop --mode=immediate --wait --silent
        cd / && rm -rf "$2""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "watchdog"]).arg(binaries).arg(directory);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.current_dir(directory).process_group(0);
    account.apply(&mut command).spawn().unwrap()
}

/// Where `initdb` is: the newest Debian package, or what `PG_BINDIR` names.
fn binaries() -> PathBuf {
    if let Some(directory) = std::env::var_os("PG_BINDIR") {
        return directory.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max().expect(
        "these tests need a PostgreSQL server: apt-get install postgresql, or set PG_BINDIR to the directory of initdb",
    );
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// The library that tells a process another time.
fn faketime() -> String {
    let name = "faketime/libfaketime.so.1";
    let architecture = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let candidates = [architecture.as_str(), "/usr/lib", "/usr/lib64", "/usr/local/lib"];
    let found = candidates.iter().map(|directory| format!("{directory}/{name}"));
    let found = found.into_iter().find(|path| Path::new(path).exists());
    found.expect("the tests of calendar dates set the clock of a server of their own: apt-get install libfaketime")
}

/// A name that no other test of this server has.
fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn finish(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
