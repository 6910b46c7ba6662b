//! What the operator and the worker say to each other, and the only thing that they share: a work plan, mounted into
//! the worker's pod, and a work report, returned through the container's termination message.
//!
//! Both are versioned. A worker refuses a plan of another version; the operator discards a report that is not one.

pub mod cascade;
pub mod evidence;
pub mod export;
pub mod holds;
pub mod ledger;
pub mod progress;
pub mod survey;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::cascade::{PlannedCascade, PlannedDependent, PlannedParent};
pub use crate::api::common::SecretKeyReference;
pub use crate::api::data_retention_policy::{
    Bound, Condition, Mask, MaskStrategy, Mode, OnMissingRelated, Operator, Set, StartsAt,
};
pub use crate::report::{
    LedgerReport, Level, Problem, Reason, RuleReport, RunResult, Totals, WorkReport, parse_termination_message,
};

/// Version of this contract.
pub const VERSION: u32 = 1;

/// Exit code of a worker that ran and reported: done, nothing due, or halted on purpose.
pub const EXIT_OK: u8 = 0;
/// Exit code for a fault that may pass: the Job tries again.
pub const EXIT_TRANSIENT: u8 = 1;
/// Exit code for a wrong configuration: trying again is no use, the Job fails at once.
pub const EXIT_CONFIGURATION: u8 = 42;

/// Where a worker pod finds the work plan.
pub const PLAN_PATH: &str = "/etc/privacy-operator/plan/plan.json";
/// Directory with the files `username` and `password`.
pub const CREDENTIALS_DIRECTORY: &str = "/etc/privacy-operator/credentials";
/// File with the certificate authority of the store.
pub const CA_PATH: &str = "/etc/privacy-operator/ca/ca.crt";
/// Directory with a directory for each Secret with keys of masks, and in it a file for each key.
pub const KEYS_DIRECTORY: &str = "/etc/privacy-operator/keys";
/// Directory into which the stop ConfigMap is mounted: any file in it stops the run.
pub const STOP_DIRECTORY: &str = "/etc/privacy-operator/stop";
/// Name of the ConfigMap that stops all disposal in its namespace.
pub const STOP_CONFIG_MAP: &str = "privacy-operator-stop";

/// Everything that a worker needs to know, apart from the credentials.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkPlan {
    /// [`VERSION`].
    pub version: u32,
    /// Namespace of the policy.
    pub namespace: String,
    /// Name of the policy.
    pub policy: String,
    /// Uid of the policy: totals in the ledger are kept by it.
    pub policy_uid: String,
    /// Hash of rules, store and datasets.
    pub rules_hash: String,
    /// Generation of the policy in which these last changed. `None`: the policy came from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Whether the run writes.
    pub mode: Mode,
    /// IANA zone of calendar periods.
    pub time_zone: String,
    /// The store.
    pub store: Store,
    /// Name of the Secret with the credentials, for messages.
    pub credentials_secret: String,
    /// What a run may touch at most.
    pub limits: PlannedLimits,
    /// Longest duration of a run, in seconds.
    pub active_deadline_seconds: i64,
    /// By how much a `Maximum` ground ends early, in seconds.
    pub slack_seconds: i64,
    /// The rules, in the order of the spec.
    pub rules: Vec<PlannedRule>,
    /// What protects rows from these rules though it is no rule of this plan: grounds of other policies of the
    /// namespace on the same tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protections: Vec<PlannedRule>,
    /// Rows that nothing may touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<holds::PlannedHold>,
    /// What the `DataSource` declares of the tables of the rules. What is gone from there stops the rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared: Vec<DeclaredTable>,
}

/// The columns of a table that its dataset names.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeclaredTable {
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// Each column once, sorted.
    pub columns: Vec<String>,
}

impl WorkPlan {
    /// Every rule that speaks of a table, of this policy and of others.
    pub fn on_table(&self, schema: &str, table: &str) -> impl Iterator<Item = &PlannedRule> {
        let rules = self.rules.iter().chain(&self.protections);
        rules.filter(move |rule| rule.schema == schema && rule.table == table)
    }

    /// Names of the Secrets with keys of masks.
    #[must_use]
    pub fn key_secrets(&self) -> BTreeSet<&str> {
        let masks = self.rules.iter().flat_map(|rule| rule.action.pseudonyms());
        masks.map(|(_, key)| key.name.as_str()).collect()
    }
}

/// How to reach the store.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Store {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database name.
    pub database: String,
    /// Verify the certificate and the host name against [`CA_PATH`]; else no TLS at all.
    pub verify_tls: bool,
    /// Name and key of the Secret with the certificate authority, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<(String, String)>,
}

/// What one run may touch at most, an approval included.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedLimits {
    /// Rows over all rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<i64>,
    /// Percent of a table's rows, for each rule.
    pub max_percent: i64,
    /// Tables with fewer rows are not judged by percent.
    pub percent_from: i64,
    /// A backlog that a person approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approved>,
}

/// An approval that is in force until a time.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approved {
    /// Rows that a run may touch whatever the limits say.
    pub up_to_rows: i64,
    /// First instant at which the approval no longer counts.
    pub until: Timestamp,
}

/// A rule as the worker executes it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedRule {
    /// Name of the rule.
    pub name: String,
    /// Schema of the table, as in the catalogue.
    pub schema: String,
    /// Name of the table, as in the catalogue.
    pub table: String,
    /// Zones of `timestamp` and `date` columns, by column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub column_time_zones: BTreeMap<String, String>,
    /// Zone of its calendar periods, where it is not that of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Rows that a row of the table points at, by the name of the relation: `relation.column` in a condition or ground
    /// is a column of that row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relations: BTreeMap<String, PlannedRelation>,
    /// Latest time from the end of the last ground to disposal, in seconds.
    pub within_seconds: i64,
    /// Which rows the rule is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Condition>,
    /// What keeps a row; empty means due on sight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grounds: Vec<PlannedGround>,
    /// How many newest rows stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_newest: Option<PlannedNewest>,
    /// What goes with a row that is deleted.
    #[serde(default, skip_serializing_if = "PlannedCascade::is_empty")]
    pub cascade: PlannedCascade,
    /// What happens to a due row.
    pub action: Action,
}

impl PlannedRule {
    /// A rule of another policy, here for what it protects. Its name is that of the policy and its own, and no name of
    /// a rule has a slash.
    #[must_use]
    pub fn is_of_another_policy(&self) -> bool {
        self.name.contains('/')
    }
}

/// The newest rows of each group, which stay.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedNewest {
    /// How many.
    pub count: i64,
    /// Columns whose values a group shares; empty: the whole table is one.
    pub per: Vec<String>,
    /// Column with the time.
    pub order_by: String,
    /// The declared key of the table, which decides between equal times. Empty: its primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
}

/// Another table, and how its rows are tied to the row being judged.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedRelation {
    /// Schema of the other table.
    pub schema: String,
    /// Name of the other table.
    pub table: String,
    /// Pairs of a column of the row being judged and the column of the other row that equals it.
    pub columns: Vec<(String, String)>,
    /// Zones of the other table's `timestamp` and `date` columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub column_time_zones: BTreeMap<String, String>,
}

/// Rows of another table that decide whether a ground applies.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedExists {
    /// The other table.
    pub relation: PlannedRelation,
    /// Which of its rows count; `row.column` is a column of the row being judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
}

/// What happens to a due row.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Nothing: the rule protects rows from the other rules of its table.
    Protect,
    /// The row is deleted.
    Delete,
    /// Columns are masked.
    Mask(Vec<Mask>),
    /// Columns get fixed values.
    Set(Vec<Set>),
}

impl Action {
    /// The masks that pseudonymise, each with its key, in the order of the list.
    pub fn pseudonyms(&self) -> impl Iterator<Item = (&Mask, &SecretKeyReference)> {
        let masks: &[Mask] = match self {
            Self::Mask(masks) => masks,
            Self::Protect | Self::Delete | Self::Set(_) => &[],
        };
        let pseudonymises = |mask: &&Mask| mask.strategy == MaskStrategy::Pseudonymise;
        masks
            .iter()
            .filter(pseudonymises)
            .filter_map(|mask| Some((mask, mask.key_secret_ref.as_ref()?)))
    }

    /// How far it takes what it disposes of; none where it takes nothing away. Of several masks the least counts.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::Delete => Some(Level::Deleted),
            Self::Mask(masks) => {
                let levels = masks.iter().map(|mask| match mask.strategy {
                    MaskStrategy::TruncateIp => Level::Truncated,
                    MaskStrategy::Pseudonymise => Level::Pseudonymised,
                    MaskStrategy::Nullify => Level::Deleted,
                });
                levels.min()
            }
            Self::Protect | Self::Set(_) => None,
        }
    }
}

/// A ground as the worker judges it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedGround {
    /// Name of the ground.
    pub name: String,
    /// To which rows it applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// It applies only where such a row exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<PlannedExists>,
    /// It applies only where no such row exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_exists: Option<PlannedExists>,
    /// What it does where a related row that it needs is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing_related: Option<OnMissingRelated>,
    /// Start columns: the first that is not NULL counts. Empty: no period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// A NULL start is normal: the ground holds, and the row is not counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begins_later: bool,
    /// ISO 8601 period after the start.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// Where the period begins.
    #[serde(default)]
    pub starts_at: StartsAt,
    /// Columns with an end; the earliest counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub until: Vec<String>,
    /// What the end promises.
    #[serde(default)]
    pub bound: Bound,
}
