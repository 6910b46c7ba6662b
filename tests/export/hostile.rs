//! Keys made to meet somebody else's row: case, Unicode forms, blanks, numbers written in other ways, SQL. Whatever the
//! column's type and collation, only the very same key finds a row.

use privacy_operator::contract::export::ExportResult;
use serde_json::json;

use crate::harness::trial;
use crate::opened::Opened;

/// Texts that something between a Secret and a row could take for one another.
#[rustfmt::skip]
const ALIKE: &[&str] = &[
    "alice", "Alice", "ALICE", "alice ", " alice", "alice\n", "alice\t", "alice\u{a0}", "alice\u{200b}",
    "al\u{ad}ice", "аlice", "alíce", "ali\u{301}ce", "alic\u{65}\u{301}", "alic\u{e9}", "ﬁona", "fiona", "straße",
    "strasse", "STRASSE", "straẞe", "İstanbul", "istanbul", "i\u{307}stanbul", "ıstanbul", "Å", "Å", "A\u{30a}",
    "Ω", "Ω", "１２", "12", "٧", "7", "07", "+7", " 7", "7 ", "7.0", "7e0", "0x7", "-0", "0", "-7", "70",
    "2147483647", "2147483648", "-2147483648", "9223372036854775807", "9223372036854775808", "true", "t", "NULL",
    "null", "", "'", "''", "\"", "\\", "\\'", "' OR '1'='1", "' OR 1=1 --", "'; DROP TABLE people; --", "$1", "$$",
    "{}", "{alice}", "{alice,bob}", "(alice)", "ANY(ARRAY['alice'])", "%", "_", "alice%", "a_ice", "alice;",
    "alice--", "/*", "*/", "\u{202e}ecila", "😀", "😀\u{fe0f}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12", "alice@example.org", "Alice@example.org", "alice@EXAMPLE.ORG",
    "alice+x@example.org", "alice@example.org.", "a.lice@example.org",
];

/// Those, and more by a fixed sequence.
fn hostile() -> Vec<String> {
    let mut keys: Vec<String> = ALIKE.iter().map(|key| (*key).to_owned()).collect();
    // The rest by a fixed sequence: pieces that are alike, put together.
    let pieces = [
        "a", "A", "ä", "a\u{308}", "7", "0", " ", "'", "\"", "\\", "%", "_", "-", ".", "ß", "ss", "\u{200d}", "\u{0}",
        "E", "e",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while keys.len() < 160 {
        let mut key = String::new();
        for _ in 0..=keys.len() % 5 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            key.push_str(pieces[usize::try_from(state % 20).unwrap()]);
        }
        keys.push(key);
    }
    // What no Secret names a person by, and no text column holds.
    keys.retain(|key| !key.trim().is_empty() && !key.contains('\0'));
    keys.sort();
    keys.dedup();
    keys
}

/// Tables with one row for each key that their type takes, each in a column that is compared in a way of its own.
const SCHEMA: &str = "
    CREATE EXTENSION citext;
    CREATE COLLATION lax (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
    CREATE TABLE keys (n int PRIMARY KEY, key text);
    CREATE TABLE texts (n int PRIMARY KEY, key text UNIQUE);
    CREATE TABLE laxes (n int PRIMARY KEY, key text COLLATE lax);
    CREATE TABLE cases (n int PRIMARY KEY, key citext);
    CREATE TABLE padded (n int PRIMARY KEY, key char(80));
    CREATE TABLE words (n int PRIMARY KEY, key varchar(80));
    CREATE TABLE numbers (n int PRIMARY KEY, key int);
    CREATE TABLE bigs (n int PRIMARY KEY, key bigint);
    CREATE TABLE decimals (n int PRIMARY KEY, key numeric);
    CREATE TABLE uuids (n int PRIMARY KEY, key uuid);
    CREATE TABLE flags (n int PRIMARY KEY, key bool);
    CREATE TABLE children (n int PRIMARY KEY, parent citext);
    CREATE TABLE lax_children (n int PRIMARY KEY, parent text COLLATE lax);";

const FILL: &str = "
    INSERT INTO texts SELECT * FROM keys; INSERT INTO laxes SELECT * FROM keys; INSERT INTO cases SELECT * FROM keys;
    INSERT INTO padded SELECT * FROM keys WHERE key NOT LIKE '% '; INSERT INTO words SELECT * FROM keys;
    INSERT INTO children SELECT * FROM keys; INSERT INTO lax_children SELECT * FROM keys;
    INSERT INTO numbers VALUES (1, 7), (2, 12), (3, 0), (4, -7), (5, 70), (6, 2147483647), (7, -2147483648);
    INSERT INTO bigs SELECT * FROM numbers; INSERT INTO bigs VALUES (8, 2147483648), (9, 9223372036854775807);
    INSERT INTO decimals SELECT * FROM numbers; INSERT INTO decimals VALUES (8, 7.0), (9, 1e20);
    INSERT INTO uuids VALUES (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), (2, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12');
    INSERT INTO flags VALUES (1, true), (2, false)";

#[tokio::test]
async fn ten_thousand_pairs_of_hostile_keys_never_meet() {
    let tables = [
        "texts", "laxes", "cases", "padded", "words", "numbers", "bigs", "decimals", "uuids", "flags",
    ];
    let mut datasets: Vec<_> = tables
        .iter()
        .map(|table| json!({"name": table, "schema": "public", "table": table, "subjects": [{"identity": "user_id", "by": {"column": "key"}}]}))
        .collect();
    for child in ["children", "lax_children"] {
        datasets.push(json!({"name": child.replace('_', "-"), "schema": "public", "table": child, "fields": [{"column": "parent"}],
            "relations": [{"name": "parent", "dataset": "texts", "columns": {"parent": "key"}}],
            "subjects": [{"identity": "user_id", "by": {"through": "parent"}}]}));
    }
    let mut trial = trial(SCHEMA, json!(datasets), json!([])).await.unsealed();
    trial.plan.formats = serde_json::from_value(json!(["json"])).unwrap();
    let keys = hostile();
    let admin = trial.database.admin().await;
    for (number, key) in keys.iter().enumerate() {
        let number = i32::try_from(number).unwrap();
        admin
            .execute("INSERT INTO keys VALUES ($1, $2)", &[&number, key])
            .await
            .unwrap();
    }
    trial.database.execute(FILL).await;

    let mut pairs = 0;
    for key in &keys {
        trial = trial.of(&[("user_id", key)]);
        let report = trial.run().await;
        assert_eq!(report.result, ExportResult::Delivered, "{key:?}: {report:?}");
        let opened = Opened::unzip(&trial.archive());
        for table in tables {
            let found = opened.column(table, "key");
            // A char(80) is padded, and a numeric is written with its scale.
            let same = found
                .iter()
                .all(|other| other == key || table == "padded" && other.trim_end_matches(' ') == key.as_str());
            assert!(same, "{key:?} found {found:?} in {table}");
            let expected = usize::from(match table {
                "texts" | "laxes" | "cases" | "words" => true,
                "padded" => key.trim_end_matches(' ') == key,
                "numbers" => ["7", "12", "0", "-7", "70", "2147483647", "-2147483648"].contains(&key.as_str()),
                "bigs" => [
                    "7",
                    "12",
                    "0",
                    "-7",
                    "70",
                    "2147483647",
                    "-2147483648",
                    "2147483648",
                    "9223372036854775807",
                ]
                .contains(&key.as_str()),
                "decimals" => ["7", "12", "0", "-7", "70", "2147483647", "-2147483648", "7.0"].contains(&key.as_str()),
                "uuids" => key.len() == 36 && key.starts_with("a0eebc99"),
                _ => key == "true",
            });
            assert_eq!(found.len(), expected, "{key:?} in {table}: {found:?}");
        }
        for child in ["children", "lax-children"] {
            assert_eq!(opened.column(child, "parent"), [key.as_str()], "{child}");
        }
        pairs += keys.len() - 1;
    }
    assert!(pairs >= 10_000, "{pairs} pairs");
    // Nothing that was tried was run.
    assert_eq!(
        admin
            .query_one("SELECT count(*) FROM keys", &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        i64::try_from(keys.len()).unwrap()
    );
}
