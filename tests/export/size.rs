//! A person with 200 MB of data: the worker's memory stays flat.

use std::time::Duration;

use privacy_operator::contract::export::ExportResult;
use serde_json::json;

use crate::harness::{REQUEST, trial};
use crate::opened::Opened;
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
    let mut program = Program::export(&trial);
    let mut peak = 0;
    wait::until_within(Duration::from_mins(8), "the export ends", async || {
        peak = program.peak_memory().unwrap_or(0).max(peak);
        !program.is_running()
    })
    .await;
    let outcome = program.wait().await;
    let report = outcome.report();
    assert_eq!(report.result, ExportResult::Delivered, "{report:?}");
    assert_eq!(report.rows, 140_000 + 20 + 1);
    println!("peak memory: {} MiB", peak >> 20);
    assert!(peak > 0 && peak <= 64 << 20, "{} MiB", peak >> 20);

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
