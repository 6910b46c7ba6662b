//! The world fails: the disk is full, another server takes over, nobody started a run for a day and more.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use privacy_operator::contract::{Mode, Reason, RunResult};
use serde_json::json;

use crate::clocked::at;
use crate::harness::trial_on;
use crate::program::Program;
use crate::runs::{YOUNG, minutes, number, totals, trial_with_ledger, until};
use crate::support::postgres::Server;
use crate::support::standby::{Door, PRIMARY};
use crate::support::wait;
use crate::trouble::age;

/// The primary dies in the middle of a sweep. Its standby answers, but only reads; then it is promoted.
#[tokio::test]
async fn a_standby_that_takes_over_during_a_sweep_ends_in_the_same_state() {
    let primary = Server::start_with(PRIMARY);
    let slow = "CREATE INDEX ON t (note); CREATE INDEX ON t (md5(note)); CREATE INDEX ON t USING gin (to_tsvector('simple', note));";
    let mut trial = trial_with_ledger(&primary, &minutes(40_000, slow))
        .await
        .rules(&[age()]);
    let standby = primary.standby();
    let door = Door::to(&primary).await;
    trial.plan.store.port = door.port();
    let admin = trial.database.admin().await;
    admin
        .batch_execute("BEGIN; SELECT FROM t WHERE id % 1000 = 0 FOR UPDATE")
        .await
        .unwrap();
    let mut worker = Program::of(&trial);
    let replica = standby.connect("postgres", trial.database.name()).await;
    until(&replica, "SELECT count(*) FROM t", |left| left < 36_000).await;
    assert!(worker.is_running(), "the sweep was too fast to be met");
    primary.stop_hard();
    door.lead_to(&standby);
    // It comes, and finds a server that it must not write to.
    let came = format!("connection authorized: user={}", trial.role);
    wait::until("the worker comes to the standby", async || {
        standby.log().contains(&came)
    })
    .await;
    let left = number(&replica, "SELECT count(*) FROM t").await;
    assert!(left > YOUNG && worker.is_running());
    standby.promote();
    let outcome = worker.wait().await;
    let report = outcome.report();
    let rule = &report.rules[0];
    assert_eq!(
        (report.result, report.problem.as_ref()),
        (RunResult::Done, None),
        "{}",
        outcome.output
    );
    assert_eq!((rule.due, rule.inexact), (0, true), "{report:?}");
    assert_eq!(number(&replica, "SELECT count(*) FROM t").await, YOUNG);
    assert_eq!(number(&replica, "SELECT max(id) FROM t").await, YOUNG);
    // What the primary had confirmed and the standby never heard of goes once more, and is counted at most once.
    let counted = totals(&replica).await.deleted;
    assert!(
        counted == rule.affected && counted >= left - YOUNG && counted <= 40_000 - YOUNG,
        "{counted} counted, {left} left"
    );
}

/// A file system of its own, of 16 MiB, taken away with the test.
struct Disk(PathBuf);

impl Disk {
    /// None where this process may not mount one.
    fn mount() -> Option<Self> {
        let directory = tempfile::Builder::new()
            .prefix("disk-")
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=0777", "tmpfs"])
            .arg(&directory)
            .status();
        let disk = Self(directory);
        mounted.is_ok_and(|status| status.success()).then_some(disk)
    }

    /// Leaves this much room; the file that takes the rest.
    fn fill(&self, room: u64) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let full = file.metadata().unwrap().len();
        file.set_len(full - room).unwrap();
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A directory on it that is the server's.
fn directory_of_the_server(disk: &Disk, server: &Server) -> PathBuf {
    let directory = disk.0.join("tablespace");
    std::fs::create_dir(&directory).unwrap();
    server.own(&directory);
    directory
}

#[tokio::test]
async fn a_full_disk_stops_the_rule_with_its_counts_and_the_next_run_goes_on() {
    let Some(disk) = Disk::mount() else {
        println!("not tried: a small file system is mounted, which only root may");
        return;
    };
    let server = Server::start_with(&["autovacuum = off"]);
    let directory = directory_of_the_server(&disk, &server);
    let admin = server.connect("postgres", "postgres").await;
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", directory.display());
    admin.batch_execute(&tablespace).await.unwrap();
    let schema = minutes(20_000, "").replace("CREATE TABLE t (", "SET default_tablespace = small; CREATE TABLE t (");
    let trial = trial_with_ledger(&server, &format!("{schema} RESET default_tablespace;")).await.rules(&[json!({
        "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": {"mask": [{"column": "note", "strategy": "Nullify"}]}
    })]);
    let admin = trial.database.admin().await;
    let filler = disk.fill(256 * 1024);
    let report = trial.run().await;
    let problem = report.rules[0].problem.clone().unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!(
        (report.result, problem.reason),
        (RunResult::Failed, Reason::StoreError),
        "{report:?}"
    );
    assert!(problem.detail.starts_with("SQLSTATE 53100"), "{problem:?}");
    let masked = number(&admin, "SELECT count(*) FROM t WHERE note IS NULL").await;
    assert!(masked > 0 && masked < 20_000 - YOUNG, "{masked} masked");
    assert_eq!(report.rules[0].affected, masked);
    assert_eq!(totals(&admin).await.masked, masked);
    std::fs::remove_file(filler).unwrap();
    let report = trial.run().await;
    assert_eq!(
        (report.result, report.rules[0].affected),
        (RunResult::Done, 20_000 - YOUNG - masked),
        "{report:?}"
    );
    assert_eq!(totals(&admin).await.masked, 20_000 - YOUNG);
    let wrong = format!("SELECT count(*) FROM t WHERE (note IS NULL) <> (id > {YOUNG})");
    assert_eq!(number(&admin, &wrong).await, 0);
    assert_eq!(number(&admin, "SELECT count(*) FROM t").await, 20_000);
    drop(trial);
    drop(server);
}

/// A row an hour ends its time. Nobody starts a run for thirty hours, over the night in which the clock is put forward or
/// back: what is late is told, and one run makes up for all.
#[tokio::test]
async fn after_thirty_hours_without_a_run_one_makes_up_for_all_whatever_the_clock_on_the_wall_did() {
    for begin in ["2027-03-27T12:00:00Z", "2026-10-24T12:00:00Z"] {
        let schema = format!(
            "CREATE TABLE t (id int, at timestamptz); INSERT INTO t SELECT i, timestamptz '{begin}' - interval '168 hours' + i * interval '1 hour' FROM generate_series(-5, 60) i;"
        );
        let mut clocked = at(begin, &schema).await.rules(&[age()]);
        let report = clocked.run().await;
        assert_eq!(
            (report.rules[0].affected, report.rules[0].overdue),
            (6, 0),
            "{report:?}"
        );
        let later = clocked.now + jiff::SignedDuration::from_hours(30);
        clocked.set_clock(&later.to_string());
        clocked.trial.plan.mode = Mode::Observe;
        let report = clocked.run().await;
        // The rule promises two hours: those that ended in the last two are not late.
        assert_eq!((report.rules[0].due, report.rules[0].overdue), (30, 28), "{report:?}");
        clocked.trial.plan.mode = Mode::Enforce;
        let report = clocked.run().await;
        assert_eq!(
            (report.rules[0].affected, report.rules[0].overdue),
            (30, 0),
            "{report:?}"
        );
        assert_eq!(clocked.trial.ids().await, (31..=60).collect::<Vec<_>>());
    }
}

/// The store is away when the Job begins: nothing is written, and the Job may try again.
#[tokio::test]
async fn a_server_that_is_away_fails_the_run_for_now_and_the_next_one_does_its_work() {
    let server = Server::start_private();
    let trial = trial_on(&server, &minutes(2000, "")).await.rules(&[age()]);
    server.stop_hard();
    let report = trial.run().await;
    assert_eq!(
        report.problem.as_ref().map(|problem| problem.reason),
        Some(Reason::Unreachable),
        "{report:?}"
    );
    assert_eq!(report.result, RunResult::Failed);
    server.start();
    assert_eq!(trial.run().await.rules[0].affected, 2000 - YOUNG);
}
