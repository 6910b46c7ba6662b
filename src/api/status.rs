//! What a `DataRetentionPolicy` says of itself: counts, times and conditions, never a value from the store.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is promised, what is kept and what is late.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DataRetentionPolicyStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Hash of the rules, the store and the datasets: what an approval is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_hash: Option<String>,

    /// Generation in which `rulesHash` was first seen. `approve.generation` must not be lower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_generation: Option<i64>,

    /// When `rulesHash` was first seen. A promise that no run has judged yet is late from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Time>,

    /// The `rulesHash` for which the first look, a run in Observe, was started. There is one for each set of rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_look_rules_hash: Option<String>,

    /// Hash of the work plan that runs now: the end of the name of its ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,

    /// `Done`, `NothingDue`, `Halted`, `Failed`, `Unknown` (it ended without a report) or `NeverRan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_result: Option<String>,

    /// End of the last run that reported, by the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_at: Option<Time>,

    /// Next slot of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<Time>,

    /// Rows that were due and still there when the last run ended, over all rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,

    /// Rows among them that stayed longer than promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<i64>,

    /// Rows that would have been disposed of if no `LegalHold` bound them, over all rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<i64>,

    /// Age of the oldest row that a rule is about, when the last run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,

    /// The run that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningStatus>,

    /// Longest time by which a scheduled run may be late, in seconds: the largest gap of the schedule, the starting
    /// deadline and the active deadline. A `Maximum` ground ends early by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack_seconds: Option<i64>,

    /// Each rule, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<RuleStatus>,

    /// The last ten runs, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunStatus>,

    /// The store, as the last run that reported found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreStatus>,

    /// The evidence that is kept in the store itself, as the last run found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerStatus>,

    /// `Ready`, `PromiseKept`, `Halted`, `ScheduleTooCoarse`, `Indeterminate`, `Parameterised`, `EgressOpen`,
    /// `SharedDataset`, `SharedStore`, `RaceWindow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A run that is under way.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningStatus {
    /// Name of its Job.
    pub job: String,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// What its worker was doing when it was last asked: `Connecting`, `Counting`, `Disposing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Rows deleted, masked or set so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected: Option<i64>,
    /// Rows that were due when it had counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
    /// When it was last asked, at most every ten seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Time>,
}

/// The store, as a run found it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    /// When the run looked.
    pub looked_at: Time,
    /// Version of the server, if it was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Why it was not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemStatus>,
}

/// What one rule promises and how it stands.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    /// Name of the rule.
    pub name: String,

    /// The rule as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<Sentence>,

    /// Clause of the published promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,

    /// Words of the published promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,

    /// The table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,

    /// Categories of personal data that the dataset declares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,

    /// Effective period of each `Maximum` ground, shortened by the slack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effective_periods: Vec<EffectivePeriod>,

    /// Rows due and still there when the last run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,

    /// Rows that the last run deleted, masked or set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected: Option<i64>,

    /// Rows that stayed longer than promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<i64>,

    /// How far the rows that the rule disposed of are from the people whom they are about, as the last run in Enforce that
    /// left nothing due found it: `Truncated`, `Pseudonymised`, `KeyDestroyed` (the key is not in its Secret any more),
    /// `Deleted` (the rows, or their values). Of several columns the nearest counts. Backups keep what they hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,

    /// Rows kept because they have no start event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_start_event: Option<i64>,

    /// Rows kept because a start event is infinite or in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undetermined: Option<i64>,

    /// Rows kept because no ground applies to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_ground_applies: Option<i64>,

    /// Due rows kept because a row of another table points at them, or because of a dependent row that must stay: each
    /// counted once, whatever hangs on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_by_dependent: Option<i64>,

    /// Rows of other tables that went with those that the last run deleted; in `Observe`, that would go with the due ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cascaded: Option<i64>,

    /// Rows kept because a related row that the rule needs is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_related: Option<i64>,

    /// Rows that would be disposed of if no `LegalHold` bound them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<i64>,

    /// The rule looks at rows of a table that no foreign key ties to its own: see the condition `RaceWindow`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub race_window: bool,

    /// Age of the oldest row that the rule is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,

    /// `True`, `False` or `Unknown`: whether the rule keeps its promise, by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_time: Option<String>,

    /// When a row could become overdue if no run succeeds before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_from: Option<Time>,

    /// Seconds until then, when this status was written; negative once it has passed. The metric
    /// `privacy_rule_seconds_until_overdue` is always current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_until_overdue: Option<i64>,

    /// When the rule's rows were last counted, by the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Time>,

    /// Last time, by the store's clock, at which a run left nothing due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_at: Option<Time>,

    /// How the last run went through the table: `Index` or `Pages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_path: Option<String>,

    /// Why the rule did not run, with the field and the remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemStatus>,
}

/// A rule in words.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct Sentence {
    /// In English.
    pub en: String,
    /// In German.
    pub de: String,
}

/// The period by which a `Maximum` ground really ends.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePeriod {
    /// Name of the ground.
    pub ground: String,
    /// The promised period.
    pub promised: String,
    /// The promised period less this is when a row becomes due.
    pub shortened_by: String,
}

/// Why a rule or a run could not do its work.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct ProblemStatus {
    /// Reason, one word.
    pub reason: String,
    /// The field of the spec that is to be looked at.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// One run.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// Name of its Job.
    pub job: String,
    /// Uid of its Job.
    pub uid: String,
    /// `Observe` or `Enforce`.
    pub mode: String,
    /// `Done`, `NothingDue`, `Halted`, `Failed` or `Unknown` (it ended without a report).
    pub result: String,
    /// Hash of the work plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// Generation of the policy in which the rules that it ran, their store or its datasets last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Start, by the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// End, by the store's clock, or as Kubernetes saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Rows deleted, masked or set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected: Option<i64>,
    /// Rows due and still there at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
    /// Why the whole run failed or halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemStatus>,
    /// SHA-256 of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_hash: Option<String>,
}

/// The evidence kept in the store: a table to which the worker's role can only add lines.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerStatus {
    /// Number of the last line of this policy.
    pub sequence: i64,
    /// Hash of that line, which includes the hash of the line before.
    pub head: String,
    /// Rows deleted by this policy so far.
    pub deleted: i64,
    /// Rows masked by this policy so far.
    pub masked: i64,
    /// Rows set by this policy so far.
    pub set: i64,
}
