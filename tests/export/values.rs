//! Values arrive as they are: in JSON by their type, as files where they are bytes, whole however long they are.

use serde_json::{Value, json};

use crate::harness::trial;
use crate::opened::finish;
use crate::shop::shop;

#[tokio::test]
async fn values_keep_their_types() {
    let trial = shop().await.of(&[("user_id", "4")]);
    let (_, opened) = trial.delivered().await;
    assert_eq!(
        opened.rows("users"),
        [
            json!({"id": 4, "email": "user4@example.org", "name": "Person 4", "born": "1990-01-05", "credit": "6.00", "active": true,
            "created_at": "2026-01-01T14:00:00Z", "photo": {"file": "files/shop-db/users/000001-8.png", "bytes": 17},
            "settings": {"n": 4, "theme": "dark"}, "tags": ["a", "b4"], "shoe": 41.5})
        ]
    );
    assert_eq!(
        opened.members["files/shop-db/users/000001-8.png"],
        b"\x89PNG\r\n\x1a\npicture 4"
    );
    assert_eq!(opened.rows("orders")[0]["ordered_at"], "2026-02-03T04:05:06");
    // Nobody's value is no value.
    let trial = shop().await.of(&[("user_id", "3")]);
    let (_, opened) = trial.delivered().await;
    let user = &opened.rows("users")[0];
    for column in ["name", "photo", "settings", "tags", "active"] {
        assert_eq!(user[column], Value::Null, "{column}");
    }
}

#[tokio::test]
async fn data_json_is_as_its_schema_says() {
    let mut trial = shop().await.of(&[("user_id", "17"), ("email", "user17@example.org")]);
    trial.plan.formats = serde_json::from_value(json!(["html", "json", "csv"])).unwrap();
    let (report, opened) = trial.delivered().await;
    assert_eq!(
        opened.text("schema.json"),
        include_str!("../../src/worker/export/data.schema.json")
    );
    let validate = "import json, jsonschema; s = json.load(open('schema.json')); jsonschema.Draft202012Validator.check_schema(s); \
        jsonschema.Draft202012Validator(s).validate(json.load(open('data.json')))";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", validate]).current_dir(opened.directory.path());
    finish(&mut python, "apt-get install python3-jsonschema");

    let manifest = opened.json("manifest.json");
    let files = manifest["files"].as_array().unwrap();
    for file in files {
        let name = file["name"].as_str().unwrap();
        let member = &opened.members[name];
        assert_eq!(file["bytes"], member.len(), "{name}");
        let mut sum = std::process::Command::new("sha256sum");
        sum.arg(opened.directory.path().join(name));
        assert!(
            finish(&mut sum, "coreutils").starts_with(file["sha256"].as_str().unwrap()),
            "{name}"
        );
    }
    assert_eq!(
        files.len() + 1,
        opened.members.len(),
        "all members but the manifest itself"
    );
    let archive = report.archive.unwrap();
    assert_eq!(archive.files, i64::try_from(opened.members.len()).unwrap());
    assert_eq!(manifest["contentSha256"], archive.content_sha256);
    let mut sum = std::process::Command::new("sha256sum");
    sum.arg(trial.archive());
    assert!(finish(&mut sum, "coreutils").starts_with(&archive.sha256));
    assert_eq!(
        archive.bytes,
        i64::try_from(std::fs::metadata(trial.archive()).unwrap().len()).unwrap()
    );
    assert_eq!(
        archive.location,
        format!("volume://archives/{}.zip.age", crate::harness::REQUEST)
    );

    let rows = |name: &str| files.iter().find(|file| file["name"] == name).unwrap()["rows"].clone();
    assert_eq!(rows("data.json"), report.rows);
    assert_eq!(rows("csv/shop-db.orders.csv"), opened.rows("orders").len());
}

#[tokio::test]
async fn csv_is_read_back_as_it_was() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, words text, amount numeric, owner text DEFAULT 'me');
        INSERT INTO t VALUES (1, '=HYPERLINK(\"http://x\")', -1.5), (2, E'a\"b,\\r\\nc', NULL), (3, '', 0), (4, NULL, 1), (5, '+49 30', 2)";
    let datasets = json!([{"name": "t", "schema": "public", "table": "t", "subjects": [{"identity": "user_id", "by": {"column": "owner"}}],
        "fields": [{"column": "words"}, {"column": "amount"}]}]);
    let mut trial = trial(schema, datasets, json!([])).await;
    trial.plan.formats = serde_json::from_value(json!(["csv"])).unwrap();
    let trial = trial.of(&[("user_id", "me")]);
    let (_, opened) = trial.delivered().await;
    let read = "import csv, json; print(json.dumps(list(csv.reader(open('csv/shop-db.t.csv', encoding='utf-8-sig', newline='')))))";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", read]).current_dir(opened.directory.path());
    let rows: Value = serde_json::from_str(&finish(&mut python, "python3")).unwrap();
    let expected = json!([
        ["id", "owner", "words", "amount"],
        ["1", "me", "'=HYPERLINK(\"http://x\")", "-1.5"],
        ["2", "me", "a\"b,\r\nc", ""],
        ["3", "me", "", "0"],
        ["4", "me", "", "1"],
        ["5", "me", "'+49 30", "2"],
    ]);
    assert_eq!(rows, expected);
    assert_eq!(opened.names(), ["csv/shop-db.t.csv", "manifest.json"]);
}

/// The largest and smallest numbers of every whole type, in columns and arrays, read as JavaScript reads them: as doubles.
#[tokio::test]
async fn no_digit_is_lost_by_a_reader_that_has_only_doubles() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, small int2, whole int4, big int8, bigs int8[], amounts numeric[], words text[]);
        INSERT INTO t VALUES (1, 32767, 2147483647, 9223372036854775807, '{9007199254740993,NULL,-9223372036854775808}', '{0.1234567890123456789}', '{1}')";
    let columns = ["small", "whole", "big", "bigs", "amounts", "words"].map(|column| json!({"column": column}));
    let datasets = json!([{"name": "t", "schema": "public", "table": "t", "subjects": [{"identity": "user_id", "by": {"column": "id"}}], "fields": columns}]);
    let trial = trial(schema, datasets, json!([])).await.of(&[("user_id", "1")]);
    let (_, opened) = trial.delivered().await;
    let read =
        "import json; print(json.dumps(json.load(open('data.json'), parse_int=float)['stores'][0]['datasets'][0]))";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", read]).current_dir(opened.directory.path());
    let dataset: Value = serde_json::from_str(&finish(&mut python, "python3")).unwrap();
    let expected = json!([{"id": 1.0, "small": 32767.0, "whole": 2_147_483_647.0, "big": "9223372036854775807",
        "bigs": ["9007199254740993", null, "-9223372036854775808"], "amounts": ["0.1234567890123456789"], "words": ["1"]}]);
    assert_eq!(dataset["rows"], expected);
    let types: Vec<&Value> = dataset["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| &column["type"])
        .collect();
    assert_eq!(
        types,
        ["integer", "integer", "integer", "bigInteger", "list", "list", "list"]
    );
}

/// Texts, JSON and files far longer than a fetch, with characters of several bytes at every boundary.
#[tokio::test]
async fn long_values_arrive_whole() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, words text, document json, list text[], picture bytea, empty bytea);
        INSERT INTO t SELECT i, (SELECT string_agg(md5(n::text || i) || 'äß€😀\"\\', '') FROM generate_series(1, 20000) n),
            json_build_object('a', (SELECT json_agg(n || '\"é') FROM generate_series(1, 30000) n)),
            (SELECT array_agg('x' || n) FROM generate_series(1, 20000) n),
            (SELECT string_agg(decode(md5(n::text || i), 'hex'), '') FROM generate_series(1, 200000) n), '' FROM generate_series(1, 2) i";
    let columns = ["words", "document", "list", "picture", "empty"].map(|column| json!({"column": column}));
    let datasets = json!([{"name": "t", "schema": "public", "table": "t", "subjects": [{"identity": "user_id", "by": {"column": "id"}}], "fields": columns}]);
    let mut trial = trial(schema, datasets, json!([])).await;
    trial.plan.formats = serde_json::from_value(json!(["json", "csv", "html"])).unwrap();
    let trial = trial.of(&[("user_id", "2")]);
    let (_, opened) = trial.delivered().await;
    let row = &opened.rows("t")[0];
    let admin = trial.database.admin().await;
    let text = |sql: &'static str| {
        let admin = &admin;
        async move { admin.query_one(sql, &[]).await.unwrap().get::<_, String>(0) }
    };
    let words = text("SELECT words FROM t WHERE id = 2").await;
    assert!(words.len() > 800_000);
    assert!(row["words"] == words.as_str(), "a long text is whole");
    let document: Value = serde_json::from_str(&text("SELECT document::text FROM t WHERE id = 2").await).unwrap();
    assert!(row["document"] == document, "a long document is whole");
    assert_eq!(row["list"].as_array().unwrap().len(), 20_000);
    let picture: Vec<u8> = admin
        .query_one("SELECT picture FROM t WHERE id = 2", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(picture.len(), 3_200_000);
    assert!(
        opened.members[row["picture"]["file"].as_str().unwrap()] == picture,
        "a file is whole"
    );
    assert_eq!(opened.members[row["empty"]["file"].as_str().unwrap()], b"");
    assert!(
        opened.text("csv/shop-db.t.csv").contains(&words.replace('"', "\"\"")),
        "a long text is whole in CSV"
    );
    let page = opened.text("tables/shop-db.t-001.html");
    assert!(
        page.len() < 200_000 && page.contains("whole in data.json"),
        "a page stays small"
    );
}
