//! Every row of every table, and how it differs from what must be there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::postgres::Database;

/// Table, then key, then the whole row.
#[derive(Clone)]
pub struct Rows(pub BTreeMap<String, BTreeMap<i64, Value>>);

/// One query for all tables: each has a key named `id`.
const TABLES: &str = "SELECT string_agg(format(
        'SELECT %L AS name, id::bigint AS id, to_jsonb(row)::text AS row FROM %I AS row', tablename, tablename), ' UNION ALL '),
    array_agg(tablename::text)
    FROM pg_catalog.pg_tables WHERE schemaname = 'public'";

impl Rows {
    /// What is there.
    pub async fn of(database: &Database<'_>) -> Self {
        let client = database.admin().await;
        let tables = client.query_one(TABLES, &[]).await.unwrap();
        let names: Vec<String> = tables.get(1);
        let mut rows = Self(names.into_iter().map(|name| (name, BTreeMap::new())).collect());
        for row in client.query(tables.get::<_, &str>(0), &[]).await.unwrap() {
            let (table, key, text): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
            let value = serde_json::from_str(&text).unwrap();
            rows.0.get_mut(&table).unwrap().insert(key, value);
        }
        rows
    }

    /// Table and key of each.
    pub fn keys(&self) -> BTreeSet<(String, i64)> {
        let of_table = |(table, rows): (&String, &BTreeMap<i64, Value>)| {
            let table = table.clone();
            rows.keys().map(move |key| (table.clone(), *key)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_table).collect()
    }

    /// A row that must be there to be spoken of.
    pub fn row(&mut self, table: &str, key: i64) -> &mut Value {
        let rows = self.0.get_mut(table).unwrap_or_else(|| panic!("no table {table}"));
        rows.get_mut(&key)
            .unwrap_or_else(|| panic!("{table} {key} is not there, or has gone before"))
    }

    /// What differs in what was found, a line each; only in these tables where some are named.
    pub fn differences(&self, found: &Self, only: Option<&BTreeSet<String>>) -> Vec<String> {
        let mut differences = Vec::new();
        let counts = |table: &String| only.is_none_or(|tables| tables.contains(table));
        for (table, expected) in self.0.iter().filter(|(table, _)| counts(table)) {
            let found = &found.0[table];
            for key in found.keys().filter(|key| !expected.contains_key(key)) {
                differences.push(format!("{table} {key} is still there"));
            }
            for (key, row) in expected {
                match found.get(key) {
                    None => differences.push(format!("{table} {key} is gone")),
                    Some(other) if other != row => differences.extend(of_row(table, *key, row, other)),
                    Some(_) => {}
                }
            }
        }
        differences
    }
}

fn of_row(table: &str, key: i64, expected: &Value, found: &Value) -> Vec<String> {
    let columns = expected.as_object().unwrap();
    columns
        .iter()
        .filter(|(column, value)| found[*column] != **value)
        .map(|(column, value)| format!("{table} {key}: {column} is {}, not {value}", found[column]))
        .collect()
}
