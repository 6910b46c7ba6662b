//! What an export worker reports, and how that fits into a container's termination message.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{SubjectTag, VERSION};
use crate::contract::Problem;
use crate::report::TERMINATION_MESSAGE_LIMIT;

/// Who a request is about, or why that could not be found out.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentifyReport {
    /// [`VERSION`].
    pub version: u32,
    /// Hash of the plan.
    pub plan_hash: String,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectTag>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// How an export ended, in counts, times and closed reasons.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportReport {
    /// [`VERSION`].
    pub version: u32,
    /// Hash of the plan.
    pub plan_hash: String,
    /// How it ended.
    pub result: ExportResult,
    /// Start, by the worker's clock.
    pub started_at: Timestamp,
    /// End, by the worker's clock.
    pub finished_at: Timestamp,
    /// The time that the data is of: when the first store's snapshot was taken, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<Timestamp>,
    /// Rows of the person.
    pub rows: i64,
    /// What was left out, and what could not be looked at.
    pub coverage: Coverage,
    /// The archive, where one was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// How an export ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportResult {
    /// The archive is where it should be.
    Delivered,
    /// No store has a row of this person. No archive was delivered.
    SubjectNotFound,
    /// Stopped on purpose: by hand or by the size cap. Nothing was delivered.
    Halted,
    /// It could not be done. Nothing was delivered.
    Failed,
}

/// A delivered archive.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Archive {
    /// Where it is: `s3://bucket/key` or `volume://claim/file`.
    pub location: String,
    /// Its size as delivered.
    pub bytes: i64,
    /// In how many parts it was sent.
    pub parts: i64,
    /// SHA-256 of what was delivered, in hexadecimal.
    pub sha256: String,
    /// Hash of the person's data alone: the same for the same data, whenever and for whomever it is sealed.
    pub content_sha256: String,
    /// Files in it.
    pub files: i64,
}

/// What of a person's data the archive covers.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Coverage {
    /// Stores that were looked into.
    pub stores: i64,
    /// Stores that were not.
    pub stores_not_included: i64,
    /// Datasets that were looked into.
    pub datasets: i64,
    /// Datasets that say nothing about whose their rows are, or that the right leaves out.
    pub datasets_left_out: i64,
    /// Categories of the activities.
    pub categories: i64,
    /// Those without a field in any dataset of their activity.
    pub categories_missing: i64,
    /// Columns withheld: secrets, and what the right leaves out.
    pub columns_withheld: i64,
    /// Columns that the table has and the `DataSource` does not declare.
    pub columns_undeclared: i64,
}

/// Whether an archive is gone.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpireReport {
    /// [`VERSION`].
    pub version: u32,
    /// Hash of the plan.
    pub plan_hash: String,
    /// Nothing of the archive is left. An archive that was not there is gone too.
    pub gone: bool,
    /// Why it is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// A report that fits into a container's termination message.
pub trait TerminationMessage: Serialize + serde::de::DeserializeOwned {
    /// The program that writes it.
    const PROGRAM: &'static str;

    /// The problem in it, which can be cut short.
    fn problem_mut(&mut self) -> Option<&mut Problem>;

    /// Version of the contract that it was written for.
    fn version(&self) -> u32;

    /// The message, at most [`TERMINATION_MESSAGE_LIMIT`] bytes: a long problem loses its detail first.
    #[must_use]
    fn to_termination_message(mut self) -> String {
        for longest in [400, 80, 0] {
            if let Some(problem) = self.problem_mut() {
                problem.detail = problem.detail.chars().take(longest).collect();
                problem.field = problem.field.chars().take(longest.max(80)).collect();
            }
            let text = self.as_message();
            if text.len() <= TERMINATION_MESSAGE_LIMIT {
                return text;
            }
        }
        self.as_message()
    }

    /// The message, whatever its length.
    #[must_use]
    fn as_message(&self) -> String {
        let message = Message {
            program: Self::PROGRAM.to_owned(),
            report: self,
        };
        serde_json::to_string(&message).unwrap_or_default()
    }

    /// Reads a termination message. `None`: it is not ours, and is discarded.
    #[must_use]
    fn parse(text: &str) -> Option<Self> {
        let message: Message<serde_json::Value> = serde_json::from_str(text).ok()?;
        if message.program != Self::PROGRAM {
            return None;
        }
        let report: Self = serde_json::from_value(message.report).ok()?;
        (report.version() == VERSION).then_some(report)
    }
}

/// Each report says which program wrote it, so that none is taken for another.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<T> {
    program: String,
    report: T,
}

macro_rules! termination_message {
    ($report:ty, $program:literal) => {
        impl TerminationMessage for $report {
            const PROGRAM: &'static str = $program;

            fn problem_mut(&mut self) -> Option<&mut Problem> {
                self.problem.as_mut()
            }

            fn version(&self) -> u32 {
                self.version
            }
        }
    };
}

termination_message!(ExportReport, "export");
termination_message!(IdentifyReport, "identify");
termination_message!(ExpireReport, "expire");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Reason;

    fn worst() -> ExportReport {
        let many = i64::MAX;
        let time: Timestamp = "2026-11-24T04:05:06.123456789Z".parse().unwrap();
        ExportReport {
            version: VERSION,
            plan_hash: "0123456789".to_owned(),
            result: ExportResult::Delivered,
            started_at: time,
            finished_at: time,
            collected_at: Some(time),
            rows: many,
            coverage: Coverage {
                stores: many,
                stores_not_included: many,
                datasets: many,
                datasets_left_out: many,
                categories: many,
                categories_missing: many,
                columns_withheld: many,
                columns_undeclared: many,
            },
            archive: Some(Archive {
                location: format!("s3://{}/{}", "b".repeat(63), "k".repeat(1024)),
                bytes: many,
                parts: many,
                sha256: "f".repeat(64),
                content_sha256: "f".repeat(64),
                files: many,
            }),
            problem: Some(Problem::new(
                Reason::DeliveryUnavailable,
                "\"".repeat(3000),
                "\u{1}".repeat(3000),
            )),
        }
    }

    #[test]
    fn the_longest_report_fits_into_a_termination_message_and_keeps_its_counts() {
        let text = worst().to_termination_message();
        assert!(text.len() <= TERMINATION_MESSAGE_LIMIT, "{} bytes", text.len());
        let back = ExportReport::parse(&text).unwrap();
        assert_eq!(
            (back.rows, back.coverage, back.archive),
            (i64::MAX, worst().coverage, worst().archive)
        );
        assert_eq!(back.problem.unwrap().reason, Reason::DeliveryUnavailable);
    }

    #[test]
    fn what_is_not_a_report_of_this_program_and_version_is_discarded() {
        let text = worst().to_termination_message();
        assert!(IdentifyReport::parse(&text).is_none());
        assert!(ExpireReport::parse(&text).is_none());
        assert!(ExportReport::parse(&text.replacen("\"version\":1", "\"version\":2", 1)).is_none());
        for text in [
            "",
            "{}",
            "panicked at 'Key (email)=(a@b.c)'",
            "{\"program\":\"export\",\"report\":{}}",
        ] {
            assert!(ExportReport::parse(text).is_none(), "{text}");
        }
    }
}
