//! The real program, as a pod would run it.

use std::process::{Child, Command, Stdio};

use privacy_operator::contract::export::{ExportReport, TerminationMessage};

use serde_json::Value;

use crate::harness::Trial;
use crate::support::{http, wait};

/// A running export.
pub struct Program {
    child: Child,
    directory: tempfile::TempDir,
    progress_port: u16,
}

/// What it left behind.
pub struct Outcome {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Everything that it printed.
    pub output: String,
    /// Its termination message.
    pub message: String,
}

impl Program {
    /// Starts an export with the plan and the files of a trial.
    pub fn export(trial: &Trial) -> Self {
        let settings = trial.settings();
        let directory = tempfile::tempdir().unwrap();
        let output = std::fs::File::create(directory.path().join("output")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_privacy-operator"));
        command.args(["worker", "export"]);
        for (argument, path) in [
            ("--plan", &settings.plan),
            ("--subject", &settings.subject),
            ("--hash-key", &settings.hash_key),
            ("--stores", &settings.stores),
            ("--delivery-credentials", &settings.delivery.credentials),
            ("--delivery-ca", &settings.delivery.ca),
            ("--volume", &settings.delivery.volume),
            ("--stop", &settings.stop),
            ("--termination-message", &directory.path().join("message")),
        ] {
            command.arg(argument).arg(path);
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let progress_port = free.local_addr().unwrap().port();
        drop(free);
        let child = command
            .arg(format!("--progress-address=127.0.0.1:{progress_port}"))
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self {
            child,
            directory,
            progress_port,
        }
    }

    /// What it tells on its port, if it answers.
    pub fn progress(&self) -> Option<Value> {
        serde_json::from_str(&http::get(self.progress_port, "/progress")?).ok()
    }

    /// Asks it to end, as Kubernetes does.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it at once, as a node that runs out of memory does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The most memory that it held, in bytes, read while it runs.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Waits for its end. Meanwhile this test's own connections go on.
    pub async fn wait(mut self) -> Outcome {
        let mut status = None;
        wait::until("the export ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        let read = |name: &str| std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        Outcome {
            code: status.and_then(|status| status.code()),
            output: read("output"),
            message: read("message"),
        }
    }
}

impl Outcome {
    /// The report in the termination message.
    pub fn report(&self) -> ExportReport {
        ExportReport::parse(&self.message).unwrap_or_else(|| panic!("no report: {}", self.output))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
