//! A throw-away S3 server that nobody here wrote (versitygw, a gateway over a folder), with TLS. It ends with the test
//! process, however that ends.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::opened::finish;

const ACCESS_KEY: &str = "test-access-key";
const SECRET_KEY: &str = "test-secret-key-of-the-object-store";

/// A running server.
pub struct S3 {
    pub directory: PathBuf,
    port: u16,
    _shell: Child,
}

/// A bucket of one test.
pub struct Bucket {
    pub server: &'static S3,
    pub name: String,
}

/// The server that all tests of this binary share.
pub fn s3() -> &'static S3 {
    static SHARED: OnceLock<S3> = OnceLock::new();
    SHARED.get_or_init(S3::start)
}

/// A new, empty bucket.
pub fn bucket() -> Bucket {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("bucket-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let server = s3();
    fs::create_dir(server.directory.join("data").join(&name)).unwrap();
    Bucket { server, name }
}

impl S3 {
    fn start() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("s3-")
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        fs::create_dir(directory.join("data")).unwrap();
        certificates(&directory);
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut shell = start(&directory, port);
            let began = Instant::now();
            while shell.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(30) {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self {
                        directory,
                        port,
                        _shell: shell,
                    };
                }
                std::thread::yield_now();
            }
        }
        let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
        panic!("the S3 server does not start:\n{log}");
    }

    pub fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    #[allow(clippy::unused_self, reason = "a caller should not know that it is fixed")]
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    #[allow(clippy::unused_self, reason = "a caller should not know that it is fixed")]
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// The authority that signed its certificate.
    pub fn ca_path(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }
}

impl Bucket {
    /// Where the server keeps an object.
    pub fn path(&self, key: &str) -> PathBuf {
        self.server.directory.join("data").join(&self.name).join(key)
    }

    /// Every file that the server keeps for the bucket, unfinished parts included.
    pub fn files(&self) -> Vec<String> {
        let root = self.path("");
        let mut names = Vec::new();
        let mut waiting = vec![root.clone()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    waiting.push(entry.path());
                } else {
                    names.push(entry.path().strip_prefix(&root).unwrap().display().to_string());
                }
            }
        }
        names.sort();
        names
    }
}

fn start(directory: &Path, port: u16) -> Child {
    // The shell ends the server when our end of its pipe closes, however this process ends.
    let script = r#"trap '' INT TERM HUP
        "$1" --access "$4" --secret "$5" --port "127.0.0.1:$3" --cert "$2/s3.crt" --key "$2/s3.key" posix "$2/data" </dev/null >"$2/log" 2>&1 &
        pid=$!
        cat >/dev/null
        kill -9 $pid
        cd / && rm -rf "$2""#;
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "s3"])
        .arg(program())
        .arg(directory)
        .arg(port.to_string());
    command.args([ACCESS_KEY, SECRET_KEY]).process_group(0);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// What `make s3-server` built, or what is on the PATH.
fn program() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(".dev/bin/versitygw");
    if built.exists() {
        built
    } else {
        PathBuf::from("versitygw")
    }
}

fn certificates(directory: &Path) {
    let configuration = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = test\n\
        [authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
        [server]\nsubjectAltName = IP:127.0.0.1\n";
    fs::write(directory.join("openssl.cnf"), configuration).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config openssl.cnf";
    for arguments in [
        format!("req -x509 -days 30 -extensions authority {key} -keyout ca.key -out ca.crt -subj /CN=ca"),
        format!("req -new {key} -keyout s3.key -out s3.csr -subj /CN=s3"),
        "x509 -req -in s3.csr -out s3.crt -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile openssl.cnf -extensions server".to_owned(),
    ] {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(directory);
        finish(&mut command, "apt-get install openssl");
    }
}
