//! A person with 200 MB of data, and one with 10 GB (`make soak`): the worker's memory stays flat.

use std::time::Duration;

use privacy_operator::contract::Reason;
use privacy_operator::contract::export::{ExportReport, ExportResult};
use serde_json::json;

use crate::harness::{REQUEST, Trial, trial};
use crate::opened::{Opened, finish};
use crate::program::Program;
use crate::s3::bucket;
use crate::support::wait;

/// 140 MB in 140,000 rows, 30 MB in 20 files, 30 MB in one text, and rows of others between them.
const SCHEMA: &str = "
    CREATE TABLE events (id int PRIMARY KEY, person int, words text);
    CREATE TABLE files (id int PRIMARY KEY, person int, content bytea);
    CREATE TABLE letters (id int PRIMARY KEY, person int, words text);
    INSERT INTO events SELECT i, i % 2, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 31) n) FROM generate_series(1, 280000) i WHERE i % 2 = 1 OR i % 100 = 0;
    INSERT INTO files SELECT i, 1, (SELECT string_agg(sha256(convert_to(n::text || i, 'UTF8')), '') FROM generate_series(1, 47000) n) FROM generate_series(1, 20) i;
    INSERT INTO letters SELECT 1, 1, string_agg(md5(n::text), '') FROM generate_series(1, 940000) n;
    CREATE INDEX ON events (person); ANALYZE";

/// Exports in a process of its own, whose memory never goes beyond 64 MiB.
async fn within_64_mib(trial: &Trial, patience: Duration) -> ExportReport {
    let mut program = Program::export(trial);
    let mut peak = 0;
    wait::until_within(patience, "the export ends", async || {
        peak = program.peak_memory().unwrap_or(0).max(peak);
        !program.is_running()
    })
    .await;
    let report = program.wait().await.report();
    println!("peak memory: {} MiB", peak >> 20);
    assert!(peak > 0 && peak <= 64 << 20, "{} MiB", peak >> 20);
    report
}

#[tokio::test]
async fn two_hundred_megabytes_pass_through_sixty_four() {
    let dataset = |name: &str, column: &str| json!({"name": name, "schema": "public", "table": name, "subjects": [{"identity": "user_id", "by": {"column": "person"}}], "fields": [{"column": column}]});
    let datasets = json!([
        dataset("events", "words"),
        dataset("files", "content"),
        dataset("letters", "words")
    ]);
    let bucket = bucket();
    let mut trial = trial(SCHEMA, datasets, json!([])).await;
    trial.plan.formats = serde_json::from_value(json!(["html", "json", "csv"])).unwrap();
    let trial = trial.of(&[("user_id", "1")]).into_bucket(&bucket);
    let report = within_64_mib(&trial, Duration::from_mins(8)).await;
    assert_eq!(report.result, ExportResult::Delivered, "{report:?}");
    assert_eq!(report.rows, 140_000 + 20 + 1);

    let opened = Opened::with_age(
        &bucket.path(&format!("exports/{REQUEST}.zip.age")),
        &trial.files.path().join("identity"),
    );
    let data = opened.members["data.json"].len();
    let files: usize = opened
        .members
        .iter()
        .filter(|(name, _)| name.starts_with("files/"))
        .map(|(_, file)| file.len())
        .sum();
    assert!(data + files > 200_000_000, "{data} + {files} bytes");
    let pages = opened
        .names()
        .into_iter()
        .filter(|name| name.starts_with("tables/shop-db.events-"))
        .count();
    assert!(pages >= 280, "{pages} pages");
    assert!(
        opened
            .pages()
            .into_iter()
            .all(|page| opened.members[page].len() < 2_000_000)
    );
}

/// Ten thousand rows of a megabyte that cannot be compressed: 10 GB in the database, 10 GB in the object store.
/// `PRIVACY_OPERATOR_SOAK_ROWS` asks for fewer.
#[tokio::test]
#[ignore = "10 GB through the worker take a while: make soak"]
async fn ten_gigabytes_pass_through_sixty_four_megabytes() {
    let rows = std::env::var("PRIVACY_OPERATOR_SOAK_ROWS").map_or(10_000, |rows| rows.parse::<i64>().unwrap());
    let schema = format!(
        "CREATE TABLE events (id int PRIMARY KEY, person int, content bytea); ALTER TABLE events ALTER content SET STORAGE EXTERNAL;
         INSERT INTO events SELECT i, 1, (SELECT string_agg(sha256(convert_to(n::text || i, 'UTF8')), '') FROM generate_series(1, 32768) n) FROM generate_series(1, 100) i;
         INSERT INTO events SELECT 100 + i, 1, (SELECT content FROM events WHERE id = 1 + i % 100) FROM generate_series(1, {rows} - 100) i;
         CREATE INDEX ON events (person); ANALYZE"
    );
    let datasets = json!([{"name": "events", "schema": "public", "table": "events",
        "subjects": [{"identity": "user_id", "by": {"column": "person"}}], "fields": [{"column": "content"}]}]);
    let bucket = bucket();
    let mut trial = trial(&schema, datasets, json!([])).await;
    trial.plan.largest_bytes = i64::MAX;
    trial.plan.active_deadline_seconds = 4 * 3600;
    let mut trial = trial.of(&[("user_id", "1")]).into_bucket(&bucket);
    let patience = Duration::from_hours(3);
    let report = within_64_mib(&trial, patience).await;
    assert_eq!(
        (report.result, report.rows),
        (ExportResult::Delivered, rows),
        "{report:?}"
    );
    let archive = bucket.path(&format!("exports/{REQUEST}.zip.age"));
    let size = std::fs::metadata(&archive).unwrap().len();
    assert!(size > u64::try_from(rows).unwrap() << 20, "{size} bytes");

    // Opened as a stream: nothing of this size is kept twice.
    let check = "set -o pipefail; age --decrypt --identity \"$1\" \"$2\" | tail -c +1 | wc -c";
    let mut age = std::process::Command::new("bash");
    age.args(["-c", check, "age"])
        .arg(trial.files.path().join("identity"))
        .arg(&archive);
    let clear: u64 = finish(&mut age, "apt-get install age").trim().parse().unwrap();
    assert!(
        clear > u64::try_from(rows).unwrap() << 20 && clear < size,
        "{clear} bytes in clear"
    );
    std::fs::remove_file(&archive).unwrap();

    // The same with a cap on the way: a clear end, and nothing is left.
    trial.plan.largest_bytes = rows << 19;
    let report = within_64_mib(&trial, patience).await;
    let reason = report.problem.as_ref().map(|problem| problem.reason);
    assert_eq!(
        (report.result, reason),
        (ExportResult::Halted, Some(Reason::ArchiveTooLarge)),
        "{report:?}"
    );
    assert_eq!(bucket.files(), Vec::<String>::new());
}
