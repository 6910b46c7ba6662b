//! `proof/expectations.yaml`: what must have happened at which instant.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use privacy_operator::api::DataRetentionPolicy;
use serde::Deserialize;
use serde_json::Value;

use crate::rows::Rows;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// SQL files with the tables.
    pub schema: Vec<String>,
    /// Files with the store and its policies.
    pub files: Vec<String>,
    /// The policies, in the order in which they run.
    pub policies: Vec<String>,
    /// `policy/rule` that does nothing at any of these instants, and why.
    #[serde(default)]
    pub idle: BTreeMap<String, String>,
    /// What has happened at a first instant.
    begin: Begin,
    /// What happens then, in the order of time.
    timeline: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    at: Timestamp,
    #[serde(default)]
    gone: Gone,
    #[serde(default)]
    changed: Changed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    at: Timestamp,
    why: String,
    #[serde(default)]
    gone: Gone,
    #[serde(default)]
    changed: Changed,
}

/// Table, and keys of the rows that go.
type Gone = BTreeMap<String, Vec<i64>>;
/// Table, key, column, and the value from then on.
type Changed = BTreeMap<String, BTreeMap<i64, BTreeMap<String, Value>>>;

/// All rows as they must be at an instant.
pub struct Moment {
    pub at: Timestamp,
    pub why: String,
    pub rows: Rows,
    /// The very instant of a step, not the minute before or after it.
    pub is_turn: bool,
}

impl Expectations {
    pub fn read(folder: &Path) -> Self {
        let path = folder.join("proof/expectations.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let expectations: Self = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let times: Vec<Timestamp> = expectations.timeline.iter().map(|step| step.at).collect();
        assert!(
            times.is_sorted() && times.first() > Some(&expectations.begin.at),
            "{times:?}"
        );
        expectations
    }

    /// The first instant; then of each step a minute before, the instant, a minute after.
    pub fn moments(&self, original: &Rows) -> Vec<Moment> {
        let minute = SignedDuration::from_mins(1);
        let mut rows = original.clone();
        happen(&mut rows, &self.begin.gone, &self.begin.changed);
        let mut moments = vec![Moment {
            at: self.begin.at,
            why: "the first instant".to_owned(),
            rows: rows.clone(),
            is_turn: true,
        }];
        for step in &self.timeline {
            let before = rows.clone();
            happen(&mut rows, &step.gone, &step.changed);
            for (at, said, expected) in [
                (step.at - minute, "a minute before: ", &before),
                (step.at, "", &rows),
                (step.at + minute, "a minute after: ", &rows),
            ] {
                moments.push(Moment {
                    at,
                    why: format!("{said}{}", step.why),
                    rows: expected.clone(),
                    is_turn: said.is_empty(),
                });
            }
        }
        moments
    }

    /// `policy/rule` of every rule that does something to due rows.
    pub fn rules(&self, folder: &Path) -> impl Iterator<Item = String> {
        let policies = self.files.iter().flat_map(move |file| {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            documents
                .into_iter()
                .filter(|document| document["kind"] == "DataRetentionPolicy")
                .map(|document| serde_json::from_value::<DataRetentionPolicy>(document).unwrap())
        });
        policies.flat_map(|policy| {
            let name = policy.metadata.name.unwrap();
            let rules = policy.spec.rules.into_iter().filter(|rule| rule.then.is_some());
            rules.map(move |rule| format!("{name}/{}", rule.name))
        })
    }
}

fn happen(rows: &mut Rows, gone: &Gone, changed: &Changed) {
    for (table, keys) in gone {
        for key in keys {
            rows.row(table, *key);
            rows.0.get_mut(table).unwrap().remove(key);
        }
    }
    for (table, changes) in changed {
        for (key, columns) in changes {
            let row = rows.row(table, *key);
            for (column, value) in columns {
                let old = row
                    .get_mut(column)
                    .unwrap_or_else(|| panic!("no column {table}.{column}"));
                assert!(old != value, "{table} {key}: {column} is {value} before");
                *old = value.clone();
            }
        }
    }
}
