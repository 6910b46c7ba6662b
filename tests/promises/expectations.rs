//! `proof/expectations.yaml`: what must have happened at which instant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use kube::Resource;
use privacy_operator::api::{DataRetentionPolicy, DataSource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
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
    /// Holds that are released from then on.
    #[serde(default)]
    released: Vec<String>,
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
    /// Holds that somebody has released by then.
    pub released: BTreeSet<String>,
    pub rows: Rows,
}

/// A step, with all rows as they must be around it.
pub struct Turn {
    /// Tables in which something happens, and policies with rules on them.
    pub tables: BTreeSet<String>,
    pub policies: Vec<String>,
    pub before: Moment,
    pub instant: Moment,
    pub after: Moment,
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

    /// What must be there at the first instant.
    pub fn first(&self, original: &Rows) -> Moment {
        let mut rows = original.clone();
        happen(&mut rows, &self.begin.gone, &self.begin.changed);
        Moment {
            at: self.begin.at,
            why: "the first instant".to_owned(),
            released: BTreeSet::new(),
            rows,
        }
    }

    /// What must be there around each step.
    pub fn turns(&self, folder: &Path, original: &Rows) -> Vec<Turn> {
        let minute = SignedDuration::from_mins(1);
        let Moment {
            mut released, mut rows, ..
        } = self.first(original);
        let tables_of = self.tables(folder);
        let turn = |step: &Step| {
            let moment = |at: Timestamp, said: &str, released: &BTreeSet<String>, rows: &Rows| Moment {
                at,
                why: format!("{said}{}", step.why.trim()),
                released: released.clone(),
                rows: rows.clone(),
            };
            let before = moment(step.at - minute, "a minute before: ", &released, &rows);
            released.extend(step.released.iter().cloned());
            happen(&mut rows, &step.gone, &step.changed);
            let tables: BTreeSet<String> = step.gone.keys().chain(step.changed.keys()).cloned().collect();
            let concerned = |policy: &&String| tables_of[*policy].intersection(&tables).next().is_some();
            Turn {
                policies: self.policies.iter().filter(concerned).cloned().collect(),
                before,
                instant: moment(step.at, "", &released, &rows),
                after: moment(step.at + minute, "a minute after: ", &released, &rows),
                tables,
            }
        };
        self.timeline.iter().map(turn).collect()
    }

    /// The tables that each policy has rules on.
    fn tables(&self, folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
        let sources: Vec<DataSource> = self.objects(folder);
        let policies: Vec<DataRetentionPolicy> = self.objects(folder);
        let of_policy = |policy: DataRetentionPolicy| {
            let name = &policy.spec.data_source_ref.name;
            let source = sources
                .iter()
                .find(|source| source.metadata.name.as_ref() == Some(name));
            let datasets = &source.unwrap().spec.datasets;
            let used = datasets
                .iter()
                .filter(|dataset| policy.spec.rules.iter().any(|rule| rule.dataset == dataset.name));
            let tables = used.map(|dataset| dataset.table.trim_start_matches("public.").to_owned());
            (policy.metadata.name.unwrap(), tables.collect())
        };
        policies.into_iter().map(of_policy).collect()
    }

    fn objects<K: DeserializeOwned + Resource<DynamicType = ()>>(&self, folder: &Path) -> Vec<K> {
        let documents = self.files.iter().flat_map(|file| {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            serde_saphyr::from_multiple::<Value>(&text).unwrap()
        });
        documents
            .filter(|document| document["kind"] == K::kind(&()).as_ref())
            .map(|document| serde_json::from_value(document).unwrap())
            .collect()
    }

    /// `policy/rule` of every rule that does something to due rows.
    pub fn rules(&self, folder: &Path) -> BTreeSet<String> {
        let policies: Vec<DataRetentionPolicy> = self.objects(folder);
        let of_policy = |policy: DataRetentionPolicy| {
            let name = policy.metadata.name.unwrap();
            let rules = policy.spec.rules.into_iter().filter(|rule| rule.then.is_some());
            rules.map(move |rule| format!("{name}/{}", rule.name))
        };
        policies.into_iter().flat_map(of_policy).collect()
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
