//! What an `ExportRequest` says of itself: dates, counts, keyed hashes and closed reasons; nothing about the person.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a request stands.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExportRequestStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Received`, `WaitingForIdentity`, `WaitingForApproval`, `Deferred`, `Running`, `ReadyForDelivery`, `Answered`,
    /// `Refused`, `Expired` (the archive is gone and nobody answered) or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// Last day for the acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge_by: Option<String>,

    /// Last day for the answer, an extension included, until 24:00 in the policy's `timeZone`. It does not move for
    /// weekends or holidays: the safe date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_on: Option<String>,

    /// Last day for the answer by Regulation (EEC, Euratom) No 1182/71, which moves it to a working day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lawful_until: Option<String>,

    /// Days until `dueOn`; negative when it has passed. Gone once the request is answered or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,

    /// Hash of the keys for whose holders the archive is sealed, as they were when the request was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing_hash: Option<String>,

    /// The person, as keyed hashes that say nothing without the hash key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectStatus>,

    /// When the limits let the request pass. It then counts against later ones, also when it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted_at: Option<Time>,

    /// Until when the limits hold the request back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred_until: Option<Time>,

    /// Why the limits hold it back or refuse it: `LimitExceeded` or `SubjectKeyChanged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<String>,

    /// The work that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<WorkStatus>,

    /// Rows of the person: those of the archive, or those read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,

    /// Size of the archive, or of what was sent so far, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,

    /// The export found no row of this person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nothing_found: bool,

    /// The archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveStatus>,

    /// What the archive covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageStatus>,

    /// Something may lie at the place of delivery of which no report tells: an export was started, and its report is not
    /// here yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,

    /// The last failure, until it is overcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureStatus>,

    /// `handling.retry` when the last work ended: a higher one is tried once more.
    #[serde(default)]
    pub retry: i32,

    /// Uids of the Jobs whose reports are in this status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reported: Vec<String>,

    /// When the request was answered or refused, and the person told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_on: Option<String>,

    /// Day on which this object is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_on: Option<String>,

    /// `Ready`, `DueSoon`, `Overdue`, `AcknowledgementOverdue`, `ExtensionInvalid`, `PartialCoverage`, `EgressOpen`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// How far a request has come.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
pub enum Phase {
    /// It is there, and something must be put right before it can go on.
    Received,
    /// Nobody has confirmed who asks.
    WaitingForIdentity,
    /// Nobody has approved it, or nobody has confirmed that nothing was found.
    WaitingForApproval,
    /// The limits hold it back for now.
    Deferred,
    /// A worker is finding out who it is about, or gathers the data.
    Running,
    /// The answer is ready; nobody has told the person yet.
    ReadyForDelivery,
    /// The person has the answer.
    Answered,
    /// It is not carried out.
    Refused,
    /// The archive was deleted, and nobody has answered.
    Expired,
    /// It could not be done, and trying again by itself is no use.
    Failed,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 10] = [
        Self::Received,
        Self::WaitingForIdentity,
        Self::WaitingForApproval,
        Self::Deferred,
        Self::Running,
        Self::ReadyForDelivery,
        Self::Answered,
        Self::Refused,
        Self::Expired,
        Self::Failed,
    ];

    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "Received",
            Self::WaitingForIdentity => "WaitingForIdentity",
            Self::WaitingForApproval => "WaitingForApproval",
            Self::Deferred => "Deferred",
            Self::Running => "Running",
            Self::ReadyForDelivery => "ReadyForDelivery",
            Self::Answered => "Answered",
            Self::Refused => "Refused",
            Self::Expired => "Expired",
            Self::Failed => "Failed",
        }
    }
}

/// The person, as keyed hashes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectStatus {
    /// By which limits count: a keyed hash of one identity.
    pub tag: String,
    /// A keyed hash of all identities: they cannot be exchanged unseen.
    pub digest: String,
    /// Tells hash keys apart.
    pub key_id: String,
    /// Name of the identity in the tag, `user_id` for example.
    pub identity: String,
    /// Names of all identities that were asked for.
    pub identities: Vec<String>,
}

/// Work that is under way.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkStatus {
    /// `Identify`, `Export` or `Expire`.
    pub work: String,
    /// Name of its Job.
    pub job: String,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the worker last said how far it is: rows and size are of then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Time>,
}

/// An archive.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveStatus {
    /// Where it is: `s3://bucket/key` or `volume://claim/file`.
    pub location: String,
    /// Its size in bytes.
    pub bytes: i64,
    /// Files in it.
    pub files: i64,
    /// SHA-256 of what was delivered.
    pub sha256: String,
    /// Hash of the person's data alone.
    pub content_sha256: String,
    /// The time that the data is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<Time>,
    /// When it was delivered.
    pub delivered_at: Time,
    /// When it is deleted.
    pub expires_at: Time,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
}

/// What an archive covers.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoverageStatus {
    /// Stores that were looked into.
    pub stores: i64,
    /// Stores that were not.
    pub stores_not_included: i64,
    /// Datasets that were looked into.
    pub datasets: i64,
    /// Datasets that were not: they do not say whose their rows are, or the right leaves them out.
    pub datasets_left_out: i64,
    /// Categories of the activities.
    pub categories: i64,
    /// Categories that no dataset of their activity holds.
    pub categories_missing: i64,
    /// Columns that were withheld.
    pub columns_withheld: i64,
    /// Columns that the `DataSource` does not declare.
    pub columns_undeclared: i64,
}

/// Why a step could not be done.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureStatus {
    /// `Identify`, `Export` or `Expire`.
    pub work: String,
    /// Reason, one word.
    pub reason: String,
    /// The field to look at.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// How often it has failed in a row.
    pub attempts: i64,
    /// When it is tried again by itself. Absent: only after a change, or when `handling.retry` is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// Hash of the plan that failed: with another plan it is tried again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan_hash: String,
}
