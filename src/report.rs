//! The work report: what a run found and did, in counts, times and closed reasons.
//!
//! It exists in two forms: readable JSON, the last line of the worker's log, and a short form for the termination
//! message, which Kubernetes cuts at 4,096 bytes. The short form of 32 rules at the largest numbers stays below
//! [`TERMINATION_MESSAGE_LIMIT`]; where problems would not fit, their details go first, never the counts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::data_retention_policy::Mode;
use crate::contract::evidence::DueStarts;
use crate::contract::ledger::LedgerLine;
use crate::domain::base62;

/// Longest termination message that we write, in bytes.
pub const TERMINATION_MESSAGE_LIMIT: usize = 3500;

/// Counts above this are reported as this. No PostgreSQL table can hold more rows.
pub const LARGEST_COUNT: i64 = 999_999_999_999;

/// What a run found and did.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkReport {
    /// Version of the contract.
    pub version: u32,
    /// Hash of the work plan that was executed.
    pub plan_hash: String,
    /// Whether the run could write.
    pub mode: Mode,
    /// Generation of the policy in which rules, store or datasets last changed. `None`: the policy came from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// How it ended.
    pub result: RunResult,
    /// Start, by the store's clock (by the worker's, where the store was not reached).
    pub started_at: Timestamp,
    /// End, by the same clock.
    pub finished_at: Timestamp,
    /// Version of the server, for example `15.13`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Each rule, in the order of the plan.
    pub rules: Vec<RuleReport>,
    /// The ledger in the store, where the role may write one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerReport>,
    /// Why the whole run failed or halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// How a run ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// Rows were due, and what could be done was done (or, in Observe, counted).
    Done,
    /// Nothing was due.
    NothingDue,
    /// Stopped on purpose: by a limit or by hand.
    Halted,
    /// At least one rule could not do its work.
    Failed,
}

impl RunResult {
    /// The word in status and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::NothingDue => "NothingDue",
            Self::Halted => "Halted",
            Self::Failed => "Failed",
        }
    }
}

/// What a run found and did for one rule. Times are seconds.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    /// Rows deleted, masked or set.
    pub affected: i64,
    /// Rows due and still there at the end.
    pub due: i64,
    /// Rows among them that stayed longer than promised.
    pub overdue: i64,
    /// Rows kept because they have no start event.
    pub without_start_event: i64,
    /// Rows kept because a start event is infinite or in the future.
    pub undetermined: i64,
    /// Rows kept because no ground applies.
    pub no_ground_applies: i64,
    /// Due rows kept because a row of another table points at them, or because of one that would go with them.
    pub kept_by_dependent: i64,
    /// Rows of other tables that went with the affected ones; where nothing was disposed of, those that would go with the due.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cascaded: i64,
    /// Rows kept because a related row that a ground needs is missing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_related: i64,
    /// Rows that would be disposed of if no hold bound them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: i64,
    /// The rule looks at rows of other tables to which no foreign key ties its own: what commits there while a batch is
    /// under way may be seen too late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub race_window: bool,
    /// Age of the oldest row that the rule is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<i64>,
    /// The way through the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_path: Option<AccessPath>,
    /// By which starts rows were due, in the log only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub due_starts: Vec<DueStarts>,
    /// How far the rows that it disposed of are from the people whom they are about, where the run left nothing due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// A batch's outcome was lost with the connection, so that `affected` is a lower limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inexact: bool,
    /// Why the rule could not do its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
const fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// The way through a table.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessPath {
    /// Forward along an index on the start event.
    Index,
    /// Forward through the pages of the table.
    Pages,
}

impl AccessPath {
    /// The word in status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "Index",
            Self::Pages => "Pages",
        }
    }
}

/// How far disposed rows are from the people whom they are about, the nearest first.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A network is left of each address.
    Truncated,
    /// A pseudonym is left of each value, and there is a key by which it can be told whose it is.
    Pseudonymised,
    /// A pseudonym is left of each value, and its key is gone from where it was.
    KeyDestroyed,
    /// The rows are gone, or their values are.
    Deleted,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 4] = [Self::Truncated, Self::Pseudonymised, Self::KeyDestroyed, Self::Deleted];

    /// The word in status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "Truncated",
            Self::Pseudonymised => "Pseudonymised",
            Self::KeyDestroyed => "KeyDestroyed",
            Self::Deleted => "Deleted",
        }
    }
}

/// The ledger after a run.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerReport {
    /// Number of the last line of this policy.
    pub sequence: i64,
    /// Its hash, which includes the hash of the line before.
    pub head: String,
    /// Totals of all lines of this policy, so that a later run delivers what a lost report could not.
    pub totals: Totals,
    /// The line that this run added, in the log only: `privacy-operator verify` recomputes the chain from these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LedgerLine>,
}

/// Rows touched by a policy over all its runs.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Deleted.
    pub deleted: i64,
    /// Masked.
    pub masked: i64,
    /// Set.
    pub set: i64,
}

/// Why a run or a rule could not do its work. It carries identifiers and codes, never a value from the store.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Which of the known reasons.
    pub reason: Reason,
    /// Field of the spec to look at, for example `rules[logs].keepWhile[age].from`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What about it: identifiers, numbers, an SQLSTATE.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Problem {
    /// A problem with a reason, a field and a detail.
    pub fn new(reason: Reason, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            reason,
            field: field.into(),
            detail: detail.into(),
        }
    }

    /// What is wrong and what to do, in words, for a condition's message.
    #[must_use]
    pub fn message(&self) -> String {
        let mut message = String::new();
        if !self.field.is_empty() {
            message.push_str(&self.field);
            message.push_str(": ");
        }
        if !self.detail.is_empty() {
            message.push_str(&self.detail);
            message.push_str("; ");
        }
        message.push_str(self.reason.remedy());
        message
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident, $permanent:literal, $remedy:literal;)*) => {
        /// The closed set of reasons for which a run or a rule does not do its work.
        #[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for tests and documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in conditions, events and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Trying again without a change is no use.
            #[must_use]
            pub const fn is_permanent(self) -> bool {
                match self { $(Self::$name => $permanent,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    /// The table does not exist, or the role may not see it.
    UnknownTable, true, "correct the table in the DataSource, or grant the role access (privacy-operator grants FILES prints the SQL)";
    /// The column does not exist.
    UnknownColumn, true, "correct the column name; it is written as in the catalogue, case matters";
    /// A view, a foreign table or an inheritance parent.
    UnsupportedTable, true, "name an ordinary or partitioned table";
    /// A column that should hold a time holds something else.
    NotATime, true, "use a column of type timestamptz, timestamp or date; text is not a time";
    /// A `timestamp` or `date` column without a zone.
    TimeZoneRequired, true, "add the column under fields of the dataset in the DataSource, with its timeZone";
    /// The column's type cannot be compared with values or with the other column.
    NotComparable, true, "use text, boolean, integer, numeric, uuid or enum columns with In and NotIn, and time columns of one type with the time operators";
    /// `relation.column` through a relation whose columns are not unique in the other table.
    RelationNotUnique, true, "more than one row may be meant: use exists or notExists, or put a unique index on those columns of the other table";
    /// `keepNewest` on a table of which no key is known that tells its rows apart.
    KeyRequired, true, "equal times are put in order by the key: declare key of the dataset in the DataSource, unique and NOT NULL in the table, or give the table a primary key";
    /// A value does not fit the column's type.
    InvalidValue, true, "correct the value; it must be readable as the type of the column";
    /// Nullify on a NOT NULL column.
    NotNullable, true, "the column is NOT NULL: mask it another way, or drop the constraint";
    /// `TruncateIp` on a column that cannot hold an address.
    NotAnAddress, true, "use TruncateIp on inet, cidr or text columns";
    /// `Pseudonymise` on a column that cannot hold a pseudonym.
    NoRoomForPseudonym, true, "use Pseudonymise on text or varchar columns with room for 64 characters, or mask the column another way";
    /// The column is part of a key that other rows refer to, decides about the partition, or is generated.
    ColumnNotWritable, true, "choose a column that no foreign key refers to, that is not part of a partition key, and not generated or an identity";
    /// A column that the dataset names is gone.
    SchemaDrift, true, "nothing was changed; correct the dataset in the DataSource, or bring the column back";
    /// A trigger, a rule or a cascading foreign key would do more than the policy says.
    UndeclaredCascade, true, "nothing was changed; name a cascading foreign key under then.delete.dependents, remove it from the table, or take the table off this policy";
    /// Row-level security would hide rows from the role.
    RowLevelSecurity, true, "row-level security hides rows from the role: give it BYPASSRLS, or policies that let it see all rows it must judge are not supported";
    /// A privilege is missing.
    MissingGrant, true, "grant it to the role (privacy-operator grants FILES prints the SQL)";
    /// A Secret, or a key in it, is missing.
    MissingSecret, false, "create the Secret with that key in the namespace of the policy";
    /// The store cannot be reached.
    Unreachable, false, "check host, port and network policies, and that the database is up";
    /// User name or password is wrong.
    AuthenticationFailed, true, "check username and password in the Secret, and the server's pg_hba.conf";
    /// The certificate is not signed by the given authority, has expired, or names another host.
    CertificateNotTrusted, true, "check tls.caSecretRef, and that the server's certificate is valid and names the host";
    /// The server does not offer TLS.
    TlsNotOffered, true, "turn TLS on in the server, or set tls.mode to Disable if the network may read the data";
    /// The certificate authority cannot be read.
    InvalidCertificateAuthority, true, "the key of tls.caSecretRef must hold PEM certificates";
    /// The database does not exist.
    UnknownDatabase, true, "correct postgres.database in the DataSource";
    /// The server is too old.
    UnsupportedServer, true, "PostgreSQL 14 or later is needed";
    /// A pooler in transaction mode stands between.
    PoolerDetected, true, "connect to the server itself, or to a pooler in session mode that has options among its ignore_startup_parameters";
    /// The server is a standby or read-only.
    ReadOnlyStore, false, "name the primary server in the DataSource";
    /// Store and worker disagree about the time.
    ClockSkew, false, "the clocks of store and node differ by more than 60 seconds: synchronise them";
    /// Another sweep of the same table is under way.
    SweepInProgress, false, "another run works on this table; the next run goes on";
    /// Rows stayed locked by other sessions.
    RowsLocked, false, "other sessions hold locks on the remaining rows; the next run tries them again";
    /// The store answered with an error.
    StoreError, false, "look up the SQLSTATE in the manual of the server; its log has the full message";
    /// The run took its whole active deadline.
    DeadlineReached, false, "the next run goes on where this one ended; raise activeDeadline if this repeats";
    /// The pod was asked to end.
    Interrupted, false, "the pod was asked to end; the next run goes on where this one ended";
    /// A run would touch more than the limits allow.
    LimitExceeded, true, "nothing was changed; if this is right, set spec.approve, else correct the rules";
    /// The stop ConfigMap is there.
    StoppedByHand, true, "delete the ConfigMap privacy-operator-stop in this namespace to go on";
    /// The plan cannot be read.
    InvalidPlan, true, "operator and worker must be of the same release";
    /// The subject's Secret does not hold what it held when the request was admitted.
    SubjectChanged, true, "nothing was read; the Secret that names the person was changed after the request was admitted: create a new request";
    /// The hash key is not the one under which the request was admitted.
    SubjectKeyChanged, true, "nothing was read; the hash key was changed after the request was admitted: create a new request, limits count anew";
    /// The hash key could be found by trying.
    WeakHashKey, true, "put at least 32 random bytes under that key of the Secret, for example of openssl rand -base64 48";
    /// A key to seal for is malformed or weak.
    InvalidRecipient, true, "nothing was read; correct sealTo: each entry is a public key that age-keygen prints, age1...";
    /// The archive would be larger than allowed.
    ArchiveTooLarge, true, "nothing was delivered; raise the size limit of the SubjectRightsPolicy, or answer this request by hand";
    /// The place for archives cannot be reached, or answered with an error that may pass.
    DeliveryUnavailable, false, "nothing was delivered; check the endpoint or the volume of the SubjectRightsPolicy, and network policies";
    /// The place for archives refuses.
    DeliveryRefused, true, "nothing was delivered; check bucket, region, credentials and their rights in the SubjectRightsPolicy";
    /// Another worker writes the same archive.
    ExportInProgress, false, "another run of this export is under way; the next attempt goes on when it has ended";
}

/// Turns a short form back into a report. `None`: it is not ours, and is discarded.
#[must_use]
pub fn parse_termination_message(text: &str) -> Option<WorkReport> {
    let short: Short = serde_json::from_str(text).ok()?;
    if short.v != crate::contract::VERSION {
        return None;
    }
    let mut rules = short
        .rules
        .iter()
        .map(|rule| decode_rule(rule))
        .collect::<Option<Vec<_>>>()?;
    for (index, reason, field, detail) in short.p {
        rules.get_mut(index)?.problem = Some(Problem { reason, field, detail });
    }
    Some(WorkReport {
        version: short.v,
        plan_hash: short.plan,
        mode: short.mode,
        generation: short.g,
        result: short.result,
        started_at: short.at.0,
        finished_at: short.at.1,
        server_version: short.server,
        rules,
        ledger: short.ledger,
        problem: short.problem,
    })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Short {
    v: u32,
    plan: String,
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    g: Option<i64>,
    result: RunResult,
    at: (Timestamp, Timestamp),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    rules: Vec<String>,
    /// Problems of rules: index of the rule, reason, field, detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    p: Vec<(usize, Reason, String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl WorkReport {
    /// The short form, at most [`TERMINATION_MESSAGE_LIMIT`] bytes.
    #[must_use]
    pub fn to_termination_message(&self) -> String {
        // Details first, then fields, are given up when there are too many problems to fit.
        for (field_length, detail_length) in [(200, 300), (120, 80), (80, 0), (0, 0)] {
            let text = self.short(field_length, detail_length);
            if text.len() <= TERMINATION_MESSAGE_LIMIT {
                return text;
            }
        }
        self.short(0, 0)
    }

    fn short(&self, field_length: usize, detail_length: usize) -> String {
        let cut = |problem: &Problem| Problem {
            reason: problem.reason,
            field: truncate(&problem.field, field_length),
            detail: truncate(&problem.detail, detail_length),
        };
        let short = Short {
            v: self.version,
            plan: self.plan_hash.clone(),
            mode: self.mode,
            g: self.generation,
            result: self.result,
            at: (self.started_at, self.finished_at),
            server: self.server_version.as_deref().map(|version| truncate(version, 24)),
            rules: self.rules.iter().map(encode_rule).collect(),
            p: self
                .rules
                .iter()
                .enumerate()
                .filter_map(|(index, rule)| {
                    let problem = cut(rule.problem.as_ref()?);
                    Some((index, problem.reason, problem.field, problem.detail))
                })
                .collect(),
            ledger: self.ledger.clone().map(|ledger| LedgerReport { line: None, ..ledger }),
            problem: self.problem.as_ref().map(cut),
        };
        serde_json::to_string(&short).unwrap_or_default()
    }
}

/// How many numbers are told of a rule.
const COUNTS: usize = 12;

/// The level stands above the flags, which are less than this.
const LEVELS: i64 = 16;

/// The counts of a rule, in base 62 and separated by commas, without trailing zeros: short at its worst, and most of a
/// run's counts are zero.
fn encode_rule(rule: &RuleReport) -> String {
    let flags = i64::from(rule.inexact)
        + if rule.race_window { 8 } else { 0 }
        + match rule.access_path {
            None => 0,
            Some(AccessPath::Index) => 2,
            Some(AccessPath::Pages) => 4,
        }
        + LEVELS * rule.level.map_or(0, |level| level as i64 + 1);
    let numbers: [i64; COUNTS] = [
        rule.affected,
        rule.due,
        rule.overdue,
        rule.without_start_event,
        rule.undetermined,
        rule.no_ground_applies,
        rule.kept_by_dependent,
        rule.oldest_seconds.map_or(0, |seconds| seconds.saturating_add(1)),
        flags,
        rule.missing_related,
        rule.cascaded,
        rule.held,
    ];
    let words: Vec<String> = numbers
        .iter()
        .map(|number| base62::encode((*number).clamp(0, LARGEST_COUNT)))
        .collect();
    words.join(",").trim_end_matches(',').to_owned()
}

fn decode_rule(text: &str) -> Option<RuleReport> {
    let numbers: Vec<i64> = text.split(',').map(base62::decode).collect::<Option<_>>()?;
    if numbers.len() > COUNTS || numbers.iter().any(|number| *number > LARGEST_COUNT) {
        return None;
    }
    let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
    Some(RuleReport {
        affected: at(0),
        due: at(1),
        overdue: at(2),
        without_start_event: at(3),
        undetermined: at(4),
        no_ground_applies: at(5),
        kept_by_dependent: at(6),
        oldest_seconds: (at(7) > 0).then(|| at(7) - 1),
        access_path: match at(8) & 6 {
            2 => Some(AccessPath::Index),
            4 => Some(AccessPath::Pages),
            _ => None,
        },
        inexact: at(8) & 1 == 1,
        race_window: at(8) & 8 == 8,
        level: usize::try_from(at(8) / LEVELS - 1)
            .ok()
            .and_then(|level| Level::ALL.get(level).copied()),
        missing_related: at(9),
        cascaded: at(10),
        held: at(11),
        due_starts: Vec::new(),
        problem: None,
    })
}

fn truncate(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

#[cfg(test)]
mod tests;
