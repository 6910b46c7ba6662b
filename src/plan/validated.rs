//! What validation hands on: parsed values that later steps can use without failing.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::holds::Binding;
use super::relations::Related;
use crate::api::data_retention_policy::RetentionRule;
use crate::contract::{Approved, DeclaredTable, PlannedCascade, Store};
use crate::domain::identifier::TableName;
use crate::domain::schedule::Schedule;

/// A user's mistake: shown in a condition, waiting for a change. It is never an error of the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// One word, of [`super::reasons`].
    pub reason: &'static str,
    /// Field of the spec.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Name of the rule in which it is, if it is in one.
    pub rule: Option<String>,
}

impl Invalid {
    /// A mistake outside the rules.
    pub fn new(reason: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason,
            field: field.into(),
            message: message.into(),
            rule: None,
        }
    }

    /// The same mistake, put into a rule.
    #[must_use]
    pub fn in_rule(mut self, rule: &str) -> Self {
        self.field = format!("spec.rules[{rule}].{}", self.field);
        self.rule = Some(rule.to_owned());
        self
    }

    /// Field and message together.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

/// A policy in which everything that can be judged without the store is right.
#[derive(Debug, Clone)]
pub struct Validated {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// When the CronJob runs.
    pub schedule: Schedule,
    /// Zone of schedule and calendar periods.
    pub zone: TimeZone,
    /// Its name.
    pub time_zone: String,
    /// Largest gap between two slots, in seconds.
    pub largest_gap_seconds: i64,
    /// Longest run, in seconds.
    pub active_deadline_seconds: i64,
    /// Longest time by which a scheduled run may be late, in seconds.
    pub slack_seconds: i64,
    /// The store.
    pub store: Store,
    /// Secret with user name and password.
    pub credentials_secret: String,
    /// Every rule, in the order of the spec.
    pub rules: Vec<ValidatedRule>,
    /// Rules of other policies on the same tables.
    pub protections: Vec<Protection>,
    /// The holds that bind rows of the store.
    pub holds: Binding,
    /// What the source declares of the tables of the rules.
    pub declared: Vec<DeclaredTable>,
    /// Which store it is, as a label: see [`super::sharing::store_key`].
    pub store_key: String,
    /// What is accepted, but worth a thought.
    pub warnings: Vec<String>,
}

/// A rule with what its dataset adds to it.
#[derive(Debug, Clone)]
pub struct ValidatedRule {
    /// As the user wrote it.
    pub spec: RetentionRule,
    /// The table.
    pub table: TableName,
    /// Its declared key.
    pub key: Vec<String>,
    /// Zones of `timestamp` and `date` columns.
    pub column_time_zones: BTreeMap<String, String>,
    /// The other rows that it looks at.
    pub related: Related,
    /// The other rows that go with its own.
    pub cascade: PlannedCascade,
    /// Categories of personal data in the dataset.
    pub categories: Vec<String>,
    /// Latest time from the end of the last ground to disposal, in seconds.
    pub within_seconds: i64,
    /// Why the schedule cannot keep a `Maximum` of this rule. Such a rule does not run.
    pub too_coarse: Option<String>,
}

/// A rule of another policy that may protect rows from the rules of this one.
#[derive(Debug, Clone)]
pub struct Protection {
    /// Name of that policy.
    pub policy: String,
    /// Zone of its calendar periods.
    pub time_zone: String,
    /// The rule.
    pub rule: ValidatedRule,
}

/// A person's word about a backlog, judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Approval {
    /// None was given.
    None,
    /// It counts.
    InForce(Approved),
    /// It does not count, for a reason to be told.
    Refused(String),
}

/// The rules' hash and the generation in which it was first seen: what an approval is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesIdentity {
    /// Hash of rules, store and datasets.
    pub hash: String,
    /// First generation with it.
    pub generation: i64,
}
