//! The real worker program, as a pod would run it.

use std::process::{Child, Command, Stdio};

use privacy_operator::contract::{WorkReport, parse_termination_message};

use crate::harness::Trial;
use crate::support::wait;

/// A running worker.
pub struct Program {
    child: Child,
    directory: tempfile::TempDir,
    progress_port: u16,
}

/// What a worker left behind.
pub struct Outcome {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Everything that it printed.
    pub output: String,
    /// Its termination message.
    pub message: String,
}

#[allow(dead_code, reason = "the tests of races end it in more ways")]
impl Program {
    /// Starts the worker with the plan and the files of a trial.
    pub fn of(trial: &Trial<'_>) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self::with_progress_port(trial, port)
    }

    /// Starts the worker, which tells its progress on this port.
    pub fn with_progress_port(trial: &Trial<'_>, progress_port: u16) -> Self {
        let settings = trial.settings();
        let directory = tempfile::tempdir().unwrap();
        let output = std::fs::File::create(directory.path().join("output")).unwrap();
        // Two workers of one trial each keep the plan that they were started with.
        let plan = directory.path().join("plan.json");
        std::fs::copy(&settings.plan, &plan).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_privacy-operator"))
            .arg("worker")
            .arg("--plan")
            .arg(plan)
            .arg("--credentials")
            .arg(&settings.credentials)
            .arg("--ca")
            .arg(&settings.ca)
            .arg("--holds")
            .arg(&settings.holds)
            .arg("--keys")
            .arg(&settings.keys)
            .arg("--stop")
            .arg(&settings.stop)
            .arg("--termination-message")
            .arg(directory.path().join("message"))
            .arg(format!("--progress-address=127.0.0.1:{progress_port}"))
            .env("RUST_LOG", "trace")
            .env("PRIVACY_OPERATOR_RUN", "trial-run")
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

    /// Port on which it tells its progress.
    pub fn progress_port(&self) -> u16 {
        self.progress_port
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks it to end, as Kubernetes does.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Ends it at once, as a node that runs out of memory does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end. Meanwhile this test's own connections go on.
    pub async fn wait(mut self) -> Outcome {
        let mut status = None;
        wait::until("the worker ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        let code = status.and_then(|status| status.code());
        let read = |name: &str| std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        Outcome {
            code,
            output: read("output"),
            message: read("message"),
        }
    }
}

impl Outcome {
    /// The report in the termination message.
    pub fn report(&self) -> WorkReport {
        parse_termination_message(&self.message).unwrap_or_else(|| panic!("no report: {}", self.output))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
