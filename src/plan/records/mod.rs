//! Records of processing, held against their notice, their stores and the law: findings, and what is observed. Pure.

pub mod access;
pub mod article30;
pub mod countries;
pub mod found;
pub mod measures;
pub mod neighbours;
pub mod notice;
pub mod recipients;
pub mod retention;
pub mod status;
pub mod stores;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use self::access::Readers;
use super::conditions::Truth;
use crate::api::findings::{Finding, ObservedLine};
use crate::api::processing_activity::Role;
use crate::api::{DataRetentionPolicy, DataSource, PrivacyNotice, ProcessingActivity};

/// What an activity is held against: everything that its namespace has, and the time.
pub struct Inputs<'a> {
    /// The activity, with its present status.
    pub activity: &'a ProcessingActivity,
    /// The notice that it names, if it exists.
    pub notice: Option<&'a PrivacyNotice>,
    /// The activities of its namespace.
    pub activities: &'a [&'a ProcessingActivity],
    /// The stores of its namespace.
    pub sources: &'a [&'a DataSource],
    /// The policies of its namespace.
    pub policies: &'a [&'a DataRetentionPolicy],
    /// Whether Secrets are encrypted in etcd, as `ClusterEncryption` says. `None`: nothing says so.
    pub encryption: Option<Observed>,
    /// Who may read the Secrets that measures of access control name, in the order of [`secrets`].
    pub readers: &'a [(String, Readers)],
    /// The time.
    pub now: Timestamp,
}

impl Inputs<'_> {
    /// Today.
    #[must_use]
    pub fn today(&self) -> Date {
        self.now.to_zoned(TimeZone::UTC).date()
    }

    /// A processor keeps the shorter record of Art. 30(2).
    #[must_use]
    pub fn is_processor(&self) -> bool {
        self.activity.spec.role == Role::Processor
    }
}

/// What is seen of a line: the truth, one word, and what was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Seen to be so, not so, or not to be seen.
    pub truth: Truth,
    /// One word.
    pub reason: String,
    /// What was looked at, and what to do.
    pub message: String,
}

impl Observed {
    /// An observation.
    pub fn new(truth: impl Into<Truth>, reason: &str, message: impl Into<String>) -> Self {
        Self {
            truth: truth.into(),
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// Nothing to be seen from here.
    pub fn unknown(reason: &str, message: impl Into<String>) -> Self {
        Self::new(Truth::Unknown, reason, message)
    }

    /// As a line of the status.
    #[must_use]
    pub fn line(self, line: usize, subject: String) -> ObservedLine {
        ObservedLine {
            line: i64::try_from(line).unwrap_or(i64::MAX),
            subject,
            observed: self.truth.as_str().to_owned(),
            reason: self.reason,
            message: self.message,
            gone_from_backups: None,
        }
    }
}

/// Every finding about an activity, the worst first.
#[must_use]
pub fn findings(inputs: &Inputs<'_>) -> Vec<Finding> {
    let mut all = article30::findings(inputs);
    all.extend(notice::of_activity(inputs));
    all.extend(recipients::findings(inputs));
    all.extend(retention::findings(inputs));
    all.extend(measures::findings(inputs));
    all.extend(stores::of_activity(inputs));
    sorted(all)
}

/// The worst first, and then by field: the same findings always make the same list.
#[must_use]
pub fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|left, right| {
        (left.severity, &left.reason, &left.field, &left.message).cmp(&(
            right.severity,
            &right.reason,
            &right.field,
            &right.message,
        ))
    });
    findings.dedup();
    findings
}

/// Whether a category or purpose is another one or stands below it.
#[must_use]
pub fn covers(upper: &str, lower: &str) -> bool {
    lower
        .strip_prefix(upper)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A day, or the finding that it is none.
fn date(text: Option<&str>, field: &str, findings: &mut Vec<Finding>) -> Option<Date> {
    let text = text?;
    match text.parse() {
        Ok(date) => Some(date),
        Err(_) => {
            findings.push(found::INVALID_DATE.at(field, format!("`{text}` is no day of the calendar")));
            None
        }
    }
}
