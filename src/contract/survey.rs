//! What the operator and a survey say to each other: what to look at in a store, and what was found. The program is
//! `privacy-operator worker survey`. It reads the catalogue, and of columns with hashes the number of values that do not
//! look like one; it writes nothing, and no value leaves the store.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Problem, Store};
pub use crate::api::measures::HashScheme;
use crate::report::{LARGEST_COUNT, TERMINATION_MESSAGE_LIMIT};

/// Version of this part of the contract.
pub const VERSION: u32 = 1;

/// Longest survey, in seconds.
pub const ACTIVE_DEADLINE_SECONDS: i64 = 900;

/// Most columns with hashes that one survey looks at.
pub const MOST_HASHED: usize = 32;

/// Most names of a kind that a report lists; the rest is counted.
pub const MOST_NAMES: usize = 32;

/// What to look at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SurveyPlan {
    /// [`VERSION`].
    pub version: u32,
    /// Namespace of the `DataSource`.
    pub namespace: String,
    /// Name of the `DataSource`.
    pub source: String,
    /// The store.
    pub store: Store,
    /// Name of the Secret with the credentials, for messages.
    pub credentials_secret: String,
    /// The datasets, in the order of the spec.
    pub datasets: Vec<PlannedDataset>,
    /// Tables without personal data, as schema and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_personal_data: Vec<(String, String)>,
    /// Columns that are claimed to hold hashes of passwords.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashed: Vec<PlannedHash>,
}

/// A dataset to look at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedDataset {
    /// Schema of the table, as in the catalogue.
    pub schema: String,
    /// Name of the table, as in the catalogue.
    pub table: String,
    /// Columns that the dataset names.
    pub columns: Vec<String>,
}

/// A column that is claimed to hold hashes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedHash {
    /// Place of the dataset in the plan.
    pub dataset: usize,
    /// The column.
    pub column: String,
    /// The scheme, by its name in the API.
    pub scheme: String,
}

/// What was found.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SurveyReport {
    /// [`VERSION`].
    pub version: u32,
    /// Hash of the plan that was executed.
    pub plan_hash: String,
    /// End, by the worker's clock.
    pub finished_at: Timestamp,
    /// Version of the server, for example `15.13`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Protocol of the connection's encryption, for example `TLSv1.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Each dataset, in the order of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<FoundDataset>,
    /// Tables that nobody declares.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub undeclared_tables: Names,
    /// Each column with hashes, in the order of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashed: Vec<FoundHash>,
    /// Why the survey could not do its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Names, as many as fit, and how many there are. On the wire a number, or a number with names: there may be many.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(from = "NamesForm", into = "NamesForm")]
pub struct Names {
    /// How many there are.
    pub count: i64,
    /// The first of them.
    pub list: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NamesForm {
    Count(i64),
    Listed(i64, Vec<String>),
}

impl From<NamesForm> for Names {
    fn from(form: NamesForm) -> Self {
        let (count, list) = match form {
            NamesForm::Count(count) => (count, Vec::new()),
            NamesForm::Listed(count, list) => (count, list),
        };
        Self { count, list }
    }
}

impl From<Names> for NamesForm {
    fn from(names: Names) -> Self {
        if names.list.is_empty() {
            Self::Count(names.count)
        } else {
            Self::Listed(names.count, names.list)
        }
    }
}

impl Names {
    /// The first of some names, and their number.
    #[must_use]
    pub fn of(all: Vec<String>) -> Self {
        Self {
            count: i64::try_from(all.len()).unwrap_or(LARGEST_COUNT),
            list: all.into_iter().take(MOST_NAMES).collect(),
        }
    }

    /// No name at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn cut(&mut self, most: usize) {
        self.list.truncate(most);
    }
}

/// A dataset as it was found.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FoundDataset {
    /// The table is not there.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
    /// Rows, as the server estimates them.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// Columns that the dataset does not name.
    #[serde(rename = "u", default, skip_serializing_if = "Names::is_empty")]
    pub undeclared: Names,
    /// Columns that the dataset names and the table does not have.
    #[serde(rename = "v", default, skip_serializing_if = "Names::is_empty")]
    pub vanished: Names,
}

/// A column with hashes as it was found.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FoundHash {
    /// Values that are not NULL.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<i64>,
    /// Values that do not have the form.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub others: Option<i64>,
    /// Why it could not be checked.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

impl SurveyReport {
    /// The report for the termination message. Where names would not fit, fewer are listed, and details of problems go;
    /// the counts stay.
    #[must_use]
    pub fn to_termination_message(&self) -> String {
        let mut report = self.clone();
        let mut most = MOST_NAMES;
        loop {
            let text = serde_json::to_string(&report).unwrap_or_default();
            if text.len() <= TERMINATION_MESSAGE_LIMIT || most == 0 {
                return text;
            }
            most /= 2;
            report.undeclared_tables.cut(most);
            for dataset in &mut report.datasets {
                dataset.undeclared.cut(most);
                dataset.vanished.cut(most);
            }
            if most <= 4 {
                for problem in report.hashed.iter_mut().filter_map(|hash| hash.problem.as_mut()) {
                    problem.field.clear();
                    problem.detail.clear();
                }
            }
        }
    }
}

/// Turns a termination message back into a report. `None`: it is not ours, and is discarded.
#[must_use]
pub fn parse_survey_message(text: &str) -> Option<SurveyReport> {
    let report: SurveyReport = serde_json::from_str(text).ok()?;
    (report.version == VERSION).then_some(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Reason;

    fn names(count: usize) -> Names {
        Names::of((0..count).map(|index| format!("{index:0>63}")).collect())
    }

    #[test]
    fn a_report_of_the_largest_plan_fits_into_a_termination_message_and_keeps_its_counts() {
        let dataset = FoundDataset {
            missing: false,
            rows: Some(LARGEST_COUNT),
            undeclared: names(1600),
            vanished: names(256),
        };
        let report = SurveyReport {
            version: VERSION,
            plan_hash: "0123456789".to_owned(),
            finished_at: "2026-11-22T05:00:00.123456789Z".parse().unwrap(),
            server_version: Some("15.13".to_owned()),
            tls: Some("TLSv1.3".to_owned()),
            datasets: vec![dataset; 64],
            undeclared_tables: names(1000),
            hashed: vec![
                FoundHash {
                    problem: Some(Problem::new(Reason::MissingGrant, "x".repeat(100), "y".repeat(200))),
                    ..FoundHash::default()
                };
                MOST_HASHED
            ],
            problem: None,
        };
        let text = report.to_termination_message();
        assert!(text.len() <= 4096, "{}", text.len());
        let read = parse_survey_message(&text).unwrap();
        assert_eq!(read.datasets.len(), 64);
        assert!(
            read.datasets
                .iter()
                .all(|dataset| dataset.undeclared.count == 1600 && dataset.vanished.count == 256)
        );
        assert_eq!(read.undeclared_tables.count, 1000);
        assert_eq!(read.hashed.len(), MOST_HASHED);
    }

    #[test]
    fn an_ordinary_report_loses_nothing_on_its_way_and_other_text_is_discarded() {
        let report = SurveyReport {
            version: VERSION,
            plan_hash: "0123456789".to_owned(),
            finished_at: "2026-11-22T05:00:00Z".parse().unwrap(),
            server_version: None,
            tls: None,
            datasets: vec![FoundDataset {
                undeclared: names(3),
                ..FoundDataset::default()
            }],
            undeclared_tables: names(2),
            hashed: vec![FoundHash {
                checked: Some(7),
                others: Some(1),
                problem: None,
            }],
            problem: None,
        };
        assert_eq!(parse_survey_message(&report.to_termination_message()), Some(report));
        for text in ["", "{}", "panicked at 'jane@example.com'", r#"{"version":1}"#] {
            assert_eq!(parse_survey_message(text), None, "{text}");
        }
    }
}
