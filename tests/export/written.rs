//! Values of the common types leave the store as it keeps them and are written out by us: each as the store itself would
//! have written it.

use privacy_operator::contract::export::ExportResult;
use serde_json::{Value, json};

use crate::harness::trial;

/// Columns and their types; beside each stands `NAME_text`, which the store wrote.
const COLUMNS: &[(&str, &str)] = &[
    ("truth", "bool"),
    ("small", "int2"),
    ("whole", "int4"),
    ("big", "int8"),
    ("money", "numeric(30,10)"),
    ("count", "numeric(38,0)"),
    ("share", "numeric(20,19)"),
    ("any_number", "numeric"),
    ("day", "date"),
    ("at", "timestamptz"),
    ("local", "timestamp"),
    ("tag", "uuid"),
    ("short", "varchar(20)"),
    ("label", "varchar"),
    ("words", "text"),
    ("padded", "char(8)"),
    ("day_of_domain", "a_day"),
    ("number_of_domain", "a_number"),
];

/// What is at the edges of a type, and a fixed sequence of random values between them: each row has one of each.
const VALUES: &str = "
  CREATE DOMAIN a_day AS date; CREATE DOMAIN a_number AS numeric(12,4);
  SET timezone = 'UTC'; SET datestyle = 'ISO'; SELECT setseed(0.25);
  CREATE TABLE raw AS SELECT i AS id, i % 3 = 0 AS truth,
    (ARRAY[-32768, 32767, 0, -1, 7, 9999, 10000])[1 + i % 7]::int2 AS small,
    (CASE WHEN i % 5 > 0 THEN (random() * 4294967294 - 2147483647)::int8 ELSE (ARRAY[-2147483648, 2147483647, 0])[1 + i / 5 % 3] END)::int4 AS whole,
    (CASE WHEN i % 5 > 0 THEN ((random() - 0.5) * 1.8e19)::numeric::int8 ELSE (ARRAY['-9223372036854775808', '9223372036854775807', '0', '-10'])[1 + i / 5 % 4]::int8 END) AS big,
    (CASE WHEN i % 4 > 0 THEN ((random() - 0.5) * power(10, i % 30 - 10))::numeric ELSE (ARRAY['NaN', '0', '0.0000000001', '-0.0001', '1', '9999.9999', '10000', '-10000.00001', '99999999', '100000000', '99999999999999999999.9999999999', '12345678901234567890.5'])[1 + i / 4 % 12]::numeric END)::numeric(30,10) AS money,
    (ARRAY['0', '1', '-1', '9999', '10000', '-99990000', '10000000000000000', '99999999999999999999999999999999999999'])[1 + i % 8]::numeric(38,0) AS count,
    (random() - 0.5)::numeric(20,19) AS share,
    (ARRAY['Infinity', '-Infinity', 'NaN', '1e40', '1e-40', '-0.50'])[1 + i % 6]::numeric AS any_number,
    (CASE WHEN i % 3 > 0 THEN date '1900-01-01' + (random() * 80000)::int ELSE (ARRAY['infinity', '-infinity', '4713-01-01 BC', '0001-12-31 BC', '0005-02-28 BC', '0005-02-29 BC', '0001-01-01', '1600-02-29', '1900-02-28', '1900-03-01', '2000-02-29', '2000-12-31', '9999-12-31', '10000-01-01', '5874897-12-31'])[1 + i / 3 % 15]::date END) AS day,
    (CASE WHEN i % 3 > 0 THEN timestamptz '2000-01-01' + (random() - 0.5) * interval '4000 years' ELSE (ARRAY['infinity', '-infinity', '4713-01-01 00:00:00 BC', '0001-12-31 23:59:59.5 BC', '0001-01-01 00:00:00', '1999-12-31 23:59:59.999999', '2000-01-01 00:00:00', '2000-01-01 00:00:00.1', '2024-02-29 12:00:00.000001', '9999-12-31 23:59:59', '294276-12-31 23:59:59.999999'])[1 + i / 3 % 11]::timestamptz END) AS at,
    gen_random_uuid() AS tag,
    (ARRAY['', 'ä ', 'plain', E'a\"b\\\\c\\n', '😀'])[1 + i % 5]::varchar(20) AS short,
    repeat(md5(i::text), i % 4)::varchar AS label, repeat('é\"\\', i % 50) AS words, (i % 1000)::text::char(8) AS padded
    FROM generate_series(1, 4000) i;
  ALTER TABLE raw ADD local timestamp, ADD day_of_domain a_day, ADD number_of_domain a_number, ADD PRIMARY KEY (id);
  UPDATE raw SET local = at AT TIME ZONE 'UTC', day_of_domain = day, number_of_domain = (whole / 1000.0)::numeric(12,4);
  UPDATE raw SET truth = NULL, whole = NULL, money = NULL, day = NULL, at = NULL, tag = NULL, words = NULL, short = NULL WHERE id % 17 = 0;";

/// In the archive a time is in the form of RFC 3339, where it has one.
fn as_text(name: &str, kind: &str) -> String {
    match kind {
        "timestamptz" | "timestamp" => format!(
            "CASE WHEN isfinite({name}) AND {name} >= '0001-01-01' THEN replace(replace({name}::text, ' ', 'T'), '+00', 'Z') ELSE {name}::text END"
        ),
        _ => format!("{name}::text"),
    }
}

#[tokio::test]
async fn values_are_written_as_the_store_writes_them() {
    let columns = COLUMNS
        .iter()
        .map(|(name, kind)| format!("{name}, {} AS {name}_text", as_text(name, kind)));
    // Twice: rows that are kept for all formats, and so many that they are read as one stream.
    let tables = [("few", "WHERE id <= 900"), ("many", "")].map(|(table, some)| {
        let columns: Vec<String> = columns.clone().collect();
        format!("CREATE TABLE {table} AS SELECT id, 1 AS person, {} FROM raw {some}; ALTER TABLE {table} ADD PRIMARY KEY (id);", columns.join(", "))
    });
    let fields: Vec<Value> = COLUMNS
        .iter()
        .flat_map(|(name, _)| [json!({"column": name}), json!({"column": format!("{name}_text")})])
        .collect();
    let datasets = ["few", "many"].map(|table| {
        json!({"name": table, "schema": "public", "table": table, "fields": fields,
            "subjects": [{"identity": "user_id", "by": {"column": "person"}}]})
    });
    let schema = format!("{VALUES} {} ANALYZE", tables.join(" "));
    let trial = trial(&schema, json!(datasets), json!([])).await.of(&[("user_id", "1")]);
    let (report, opened) = trial.delivered().await;
    assert_eq!(report.result, ExportResult::Delivered, "{report:?}");
    for (table, count) in [("few", 900), ("many", 4000)] {
        let rows = opened.rows(table);
        assert_eq!(rows.len(), count, "{table}");
        for row in rows {
            for (name, _) in COLUMNS {
                let ours = match &row[name] {
                    Value::Null => Value::Null,
                    Value::String(text) => json!(text),
                    other => json!(other.to_string()),
                };
                assert_eq!(ours, row[format!("{name}_text")], "{table}, {}: {name}", row["id"]);
            }
        }
    }
}
