//! `DataRetentionPolicy`: data is kept while a ground holds, and then disposed of.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::disposal::{Delete, Dependent, EmptyParent, Mask, MaskStrategy, Set, Then};
use super::status::DataRetentionPolicyStatus;

/// Rules that say how long the rows of a store's datasets are kept, and what happens to them then.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privacy-operator.dev",
    version = "v1alpha1",
    kind = "DataRetentionPolicy",
    plural = "dataretentionpolicies",
    shortname = "drp",
    category = "privacy",
    namespaced,
    status = "DataRetentionPolicyStatus",
    derive = "PartialEq",
    doc = "Rules that say how long the rows of a store's datasets are kept, and what happens to them then. A row is due when at least one ground applied to it and all that applied have ended; in doubt it is kept and counted.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "On-Time",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='PromiseKept')].status",
        description = "Whether every rule keeps its promise, by the clock."
    ),
    printcolumn(
        name = "Overdue",
        type_ = "integer",
        json_path = ".status.overdue",
        description = "Rows that stayed longer than promised."
    ),
    printcolumn(
        name = "Due",
        type_ = "integer",
        json_path = ".status.due",
        description = "Rows that are due and still there."
    ),
    printcolumn(
        name = "Oldest",
        type_ = "string",
        json_path = ".status.oldest",
        description = "Age of the oldest row that a rule is about."
    ),
    printcolumn(
        name = "Held",
        type_ = "integer",
        json_path = ".status.held",
        description = "Rows that would be disposed of if no LegalHold bound them."
    ),
    printcolumn(
        name = "Last-Result",
        type_ = "string",
        json_path = ".status.lastResult",
        description = "Done, NothingDue, Halted, Failed, Unknown or NeverRan."
    ),
    printcolumn(
        name = "Next",
        type_ = "string",
        json_path = ".status.nextRunAt",
        description = "Next scheduled run."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        priority = 1
    ),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".spec.dataSourceRef.name",
        priority = 1
    ),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule", priority = 1),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataRetentionPolicySpec {
    /// The store, an object of this namespace.
    pub data_source_ref: DataSourceReference,

    /// When the sweep runs: five cron fields (minute, hour, day of month, month, day of week) or one of `@hourly`,
    /// `@daily`, `@weekly`, `@monthly`, `@yearly`, in `timeZone`.
    #[schemars(length(min = 1, max = 128))]
    pub schedule: String,

    /// IANA time zone of the schedule and of calendar periods, for example `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,

    /// `Observe` (default) counts what is due and writes nothing. `Enforce` disposes of it.
    #[serde(default)]
    pub mode: Mode,

    /// Ends a running sweep within one batch and starts no further one. Promises go on being judged by the clock.
    #[serde(default)]
    pub suspend: bool,

    /// Longest time that one run may take, an ISO 8601 duration of hours, minutes and seconds. The next run goes on
    /// where this one ended.
    #[serde(default = "default_active_deadline")]
    #[schemars(length(min = 3, max = 32))]
    pub active_deadline: String,

    /// What a run may touch at most. A run that would touch more stops before its first write and says so
    /// (`Halted`, reason `LimitExceeded`).
    #[serde(default)]
    pub limits: Limits,

    /// Lets one honest backlog through the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,

    /// The rules. Several may be about one table, of this and of other policies of the namespace: a row is deleted when
    /// some rule finds it due and no `Exact` or `Minimum` ground of any rule that deletes or only protects still holds.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<RetentionRule>,
}

fn default_time_zone() -> String {
    "Etc/UTC".to_owned()
}

fn default_active_deadline() -> String {
    "PT1H".to_owned()
}

/// Names a `DataSource` of the object's own namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataSourceReference {
    /// Name of the `DataSource`, in the namespace of this object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Whether a run writes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Mode {
    /// Count what is due; write nothing.
    #[default]
    Observe,
    /// Dispose of what is due.
    Enforce,
}

/// What one run may touch at most.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Rows that all rules of a run together may touch. Absent: no limit of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_i64))]
    pub max_rows: Option<i64>,

    /// Percent of a table's rows that a rule may touch in one run.
    #[serde(default = "default_max_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: i32,

    /// Tables with fewer rows than this are not judged by percent.
    #[serde(default = "default_percent_from")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_i64))]
    pub percent_from: i64,
}

const fn default_max_percent() -> i32 {
    25
}

const fn default_percent_from() -> i64 {
    200
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_rows: None,
            max_percent: default_max_percent(),
            percent_from: default_percent_from(),
        }
    }
}

/// A person's word that a backlog larger than the limits is right.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approve {
    /// A run may touch up to this many rows, whatever the limits say.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub up_to_rows: i64,

    /// The generation that was looked at (`.metadata.generation` before this edit). The approval ends when the rules,
    /// the store or the datasets change after it.
    #[schemars(range(min = 1))]
    pub generation: i64,

    /// Last day on which the approval counts, in `timeZone`, as `YYYY-MM-DD`.
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub until: String,
}

/// What keeps a row, and what happens when nothing keeps it any more.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("has(self.always) != (has(self.keepWhile) || has(self.keepNewest))").message("set either what keeps a row (keepWhile, keepNewest or both) or always (due on sight)"),
    validation = Rule::new("!has(self.always) || has(self.then) && !has(self.then.delete)").message("always goes only with then.mask or then.set: nothing is deleted on sight"),
    validation = Rule::new("has(self.then) || !has(self.keepNewest)").message("keepNewest protects within its own rule only, so it needs then"),
    validation = Rule::new("has(self.then) || has(self.keepWhile) && self.keepWhile.all(g, has(g.bound) && g.bound == 'Minimum' || !has(g.__for__) && !has(g.until))").message("then may be absent only where every ground has bound Minimum (the rule protects) or never ends")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionRule {
    /// Name of the rule, in status, metrics and reports.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The published promise that this rule keeps, shown in status beside what the rule does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<Promise>,

    /// The dataset, by its name in the `DataSource`.
    #[schemars(length(min = 1, max = 63))]
    pub dataset: String,

    /// The latest time from the end of a row's last ground to its disposal, an ISO 8601 duration. Past it
    /// `PromiseKept` is False, whether or not a run took place. Default: two schedule intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 32))]
    pub within: Option<String>,

    /// Which rows the rule is about: all conditions hold. Absent: all rows. A row for which that depends on a related row
    /// that is missing is left alone and counted as `missingRelated`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub rows: Vec<Condition>,

    /// The grounds that keep a row. A row is due when at least one applied and all that applied have ended. A row to
    /// which none applies is kept and counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub keep_while: Vec<Ground>,

    /// The newest rows stay, whatever their age. Beside `keepWhile` a row goes when its grounds have ended and it is not
    /// among the newest either. It protects within this rule only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_newest: Option<KeepNewest>,

    /// Nothing keeps the row from this rule: it is due on sight. Only with `mask` or `set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always: Option<Empty>,

    /// What happens to a due row. Absent where the rule only protects rows from other rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Then>,
}

/// So many newest rows that stay. They are counted among the rows that the rule is about and that no other rule of the
/// policy is about to delete.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeepNewest {
    /// How many rows stay.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub count: i64,

    /// Columns whose values a group of rows shares: so many rows stay for each of them, for example `[user_id]`. `[]`:
    /// so many rows of the whole table. A row in which one of them is NULL stays, and is never counted.
    #[schemars(length(max = 8), inner(length(min = 1, max = 63)))]
    pub per: Vec<String>,

    /// Column with the time by which rows are new or old. Of equal times the key decides; NULL is the oldest.
    #[schemars(length(min = 1, max = 63))]
    pub order_by: String,
}

/// An empty object: its presence says it all.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// A promise of the published privacy policy.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Promise {
    /// Where it stands, for example `6.2`.
    #[schemars(length(min = 1, max = 64))]
    pub clause: String,

    /// Its words.
    #[schemars(length(min = 1, max = 512))]
    pub quote: String,
}

/// A reason to keep a row.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("!has(self.__for__) || has(self.from)").message("for needs from: the column with the start event"),
    validation = Rule::new("!has(self.from) || has(self.__for__)").message("from needs for: how long the ground holds after the start event"),
    validation = Rule::new("!has(self.fromFallback) || has(self.from)").message("fromFallback needs from"),
    validation = Rule::new("!has(self.beginsLater) || !self.beginsLater || has(self.from)").message("beginsLater needs from"),
    validation = Rule::new("!has(self.startsAt) || self.startsAt == 'Event' || has(self.from)").message("startsAt needs from"),
    validation = Rule::new("!has(self.onMissingRelated) || has(self.from) && self.from.contains('.') || has(self.fromFallback) && self.fromFallback.exists(c, c.contains('.')) || has(self.until) && self.until.exists(c, c.contains('.')) || has(self.when) && self.when.exists(c, c.column.contains('.') || has(c.otherColumn) && c.otherColumn.contains('.'))").message("onMissingRelated needs a column of a related row (relation.column) in when, from, fromFallback or until")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ground {
    /// Name of the ground.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Which rows it applies to: all conditions hold now. Absent: every row, newborn ones too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub when: Vec<Condition>,

    /// It applies only to rows for which a row of another dataset exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<RelatedRows>,

    /// It applies only to rows for which no such row of another dataset exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_exists: Option<RelatedRows>,

    /// Column with the event that starts the period, or `relation.column`: a column of the row that this one points at.
    /// A row in which it is NULL is kept and counted as without start event, unless `fromFallback` or `beginsLater`
    /// says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 127))]
    pub from: Option<String>,

    /// Columns to take the start from, in this order, where `from` is NULL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 127)))]
    pub from_fallback: Vec<String>,

    /// A NULL start is normal: the event has not happened yet. The ground then holds, and the row is not counted as
    /// without start event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begins_later: bool,

    /// How long the ground holds after its start, an ISO 8601 duration such as `P7D`, `P6M`, `P2Y` or `PT12H`. Weeks,
    /// days and smaller units are exact (a day is 24 hours); months and years are calendar periods in `timeZone`,
    /// clamped to the last day of the month.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 32))]
    pub for_: Option<String>,

    /// Columns with a time at which the ground ends, or `relation.column`; the earliest counts, and NULL is no end. With
    /// `for` as well, the ground ends at whichever comes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 127)))]
    pub until: Vec<String>,

    /// What the ground does for a row that points at no related row (the columns of the relation are NULL, or what they
    /// name is gone) where it needs one (`relation.column`): `Keep` holds the row, `Ended` counts as a ground that has
    /// ended. Unsaid: the row is kept and counted as `missingRelated`. An end that has certainly passed ends the ground
    /// in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing_related: Option<OnMissingRelated>,

    /// Where the period begins: at the event itself (default), or `EndOfDay`, `EndOfMonth`, `EndOfYear` in `timeZone`,
    /// for periods in days or longer. Statutory book-keeping periods begin at the end of the year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<StartsAt>,

    /// The policy's own words where it gives no number. With `for`, the number is the deployer's (condition
    /// `Parameterised`); without an end, nothing is ever due by this ground (condition `Indeterminate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub stated_as: Option<String>,

    /// `Exact` (default): the row stays until the end and then goes. `Minimum`: as Exact, and the row is protected from
    /// deletes and masks of every rule on its table. `Maximum`: the row must be gone by the end, so the ground ends
    /// early by what the schedule may be late; status shows the effective period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,

    /// The law behind the ground, for example `§ 147(3) AO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub legal_reference: Option<String>,
}

impl Ground {
    /// The bound, `Exact` where none is given.
    #[must_use]
    pub fn bound(&self) -> Bound {
        self.bound.unwrap_or_default()
    }
}

/// What a ground does where the related row that it needs is missing.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum OnMissingRelated {
    /// It keeps the row.
    Keep,
    /// It has ended.
    Ended,
}

/// Rows of another dataset that are tied to the row being judged.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.relation) != has(self.same)").message("set exactly one of relation (of the other dataset, pointing at this row) and same (a relation that both datasets have: both rows point at one row)"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RelatedRows {
    /// The other dataset, by its name in the `DataSource`.
    #[schemars(length(min = 1, max = 63))]
    pub dataset: String,

    /// The relation of the other dataset by which its rows point at the row being judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub relation: Option<String>,

    /// A relation that both datasets have, to one dataset: the other row and the row being judged point at the same row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub same: Option<String>,

    /// Which of the other rows count: all conditions hold. Columns are those of the other row; `row.column` is a column
    /// of the row being judged. Absent: every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub when: Vec<Condition>,
}

/// Where a period begins.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum StartsAt {
    /// At the event itself.
    #[default]
    Event,
    /// Counted in whole days; ends at 24:00 of the last day.
    EndOfDay,
    /// At the first instant of the month after the event.
    EndOfMonth,
    /// At the first instant of the year after the event.
    EndOfYear,
}

/// What the end of a ground promises.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Bound {
    /// Not before its end, and then at once.
    #[default]
    Exact,
    /// As Exact, and protects the row from deletes and masks of every rule.
    Minimum,
    /// Gone by its end.
    Maximum,
}

/// A condition on a column of the row, or of a row that it points at. Comparisons and `In` do not hold for NULL; `NotIn` does, as in label selectors.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("!(self.operator in ['In', 'NotIn']) || has(self.values) && !has(self.otherColumn)").message("operators In and NotIn take values"),
    validation = Rule::new("!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) && !has(self.otherColumn)").message("operators Exists and DoesNotExist take neither values nor otherColumn"),
    validation = Rule::new("!(self.operator in ['Before', 'NotBefore', 'After', 'NotAfter']) || has(self.otherColumn) != has(self.values) && (!has(self.values) || size(self.values) == 1)").message("time operators take either one value (a time or now) or otherColumn")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// Column name, as in the catalogue (case matters); `relation.column` is a column of the row that this one points at
    /// by a relation of its dataset. The other row's columns of that relation must be unique.
    #[schemars(length(min = 1, max = 127))]
    pub column: String,

    /// `In`, `NotIn`, `Exists` (is not NULL), `DoesNotExist` (is NULL), or a comparison of times: `Before`,
    /// `NotBefore`, `After`, `NotAfter`.
    pub operator: Operator,

    /// Values to compare with, written as text. For times an RFC 3339 timestamp or `now`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 253)))]
    pub values: Vec<String>,

    /// Another column to compare with, of the same type, named as in `column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 127))]
    pub other_column: Option<String>,
}

/// How a condition compares.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Operator {
    /// The column has one of the values.
    In,
    /// The column has none of the values, or is NULL.
    NotIn,
    /// The column is not NULL.
    Exists,
    /// The column is NULL.
    DoesNotExist,
    /// Earlier than.
    Before,
    /// At the same time or later.
    NotBefore,
    /// Later than.
    After,
    /// At the same time or earlier.
    NotAfter,
}
