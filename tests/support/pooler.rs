//! A pooler (`pgbouncer`) in front of a test server, ended when it is dropped or when the test process is gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::postgres::Server;

/// A running pooler.
pub struct Pooler {
    port: u16,
    shell: Child,
}

impl Pooler {
    /// Starts one over TLS, with the server's certificate. `settings` are further lines of its section `[pgbouncer]`;
    /// `user` may log in with `password`.
    pub fn start(server: &Server, settings: &str, user: &str, password: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = server.directory.display();
        let file = server.directory.join(format!("pgbouncer-{port}.ini"));
        let users = server.directory.join(format!("users-{port}.txt"));
        fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
        let configuration = format!(
            "[databases]\n* = host={directory} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = plain\nauth_file = {}\nclient_tls_sslmode = require\n\
             client_tls_cert_file = {directory}/server.crt\nclient_tls_key_file = {directory}/server.key\n{settings}\n",
            server.port(),
            users.display()
        );
        fs::write(&file, configuration).unwrap();
        // The shell ends the pooler when our end of its pipe closes, however this process ends.
        let script = r#"trap '' INT TERM HUP; pgbouncer -q "$1" </dev/null >"$1.log" 2>&1 & pid=$!; cat >/dev/null; kill -9 $pid"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "pooler"]).arg(&file);
        command.env("PATH", "/usr/sbin:/usr/bin:/bin").process_group(0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let pooler = Self {
            port,
            shell: server.account.apply(&mut command).spawn().unwrap(),
        };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(format!("{}.log", file.display())).unwrap_or_default();
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the pooler does not start (apt-get install pgbouncer):\n{log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
