//! `DataSource`: a store, and where personal data lives in it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{SecretKeyReference, SecretReference};

/// A store that holds personal data, and the datasets in it. Policies of the same namespace refer to it by name.
///
/// `privacy-operator discover URL` prints a first version from the live database.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privacy-operator.dev",
    version = "v1alpha1",
    kind = "DataSource",
    plural = "datasources",
    shortname = "dsrc",
    category = "privacy",
    namespaced,
    status = "DataSourceStatus",
    derive = "PartialEq",
    doc = "A store that holds personal data, and the datasets in it. Policies of the same namespace refer to it by name. `privacy-operator discover URL` prints a first version from the live database.",
    printcolumn(name = "Engine", type_ = "string", json_path = ".status.engine"),
    printcolumn(
        name = "Reachable",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Reachable')].status",
        description = "As the last run of a policy or survey found it."
    ),
    printcolumn(
        name = "Drift",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='SchemaDrift')].status",
        description = "Whether the store differs from the declaration."
    ),
    printcolumn(name = "Server", type_ = "string", json_path = ".status.serverVersion"),
    printcolumn(name = "Datasets", type_ = "integer", json_path = ".status.datasets"),
    printcolumn(
        name = "Policies",
        type_ = "integer",
        json_path = ".status.policies",
        description = "How many policies of this namespace refer to it."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataSourceSpec {
    /// A PostgreSQL database (version 14 or later).
    pub postgres: Postgres,

    /// Where the store is on the network. From it the worker's NetworkPolicy is made, which lets worker pods reach
    /// this and the cluster's DNS, nothing else. Absent: no NetworkPolicy, and the policies say `EgressOpen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,

    /// When a worker looks at the store: whether the declaration is still true, and what activities claim of it.
    /// Absent: no survey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survey: Option<Survey>,

    /// How long deleted rows live on in backups. Declared, not checked: the register says "gone from backups by".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<Backups>,

    /// The tables with personal data, each under a name that policies use.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub datasets: Vec<Dataset>,
}

/// How to reach a PostgreSQL database.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgres {
    /// Host name or address, for example `platform-db.platform.svc`. Workers connect straight to the server: a pooler
    /// in transaction mode is refused, because it breaks the lock that keeps two sweeps apart.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-zA-Z0-9]([-a-zA-Z0-9.:_]*[a-zA-Z0-9])?\.?$")
    )]
    pub host: String,

    /// Port, 5432 unless said.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// Database name.
    #[schemars(length(min = 1, max = 63))]
    pub database: String,

    /// Transport security. There is no default: an unencrypted connection must be said out loud.
    pub tls: Tls,

    /// Secret with the keys `username` and `password`. Only worker pods mount it; the operator never reads it.
    /// `privacy-operator grants FILES` prints the SQL for a role that may do exactly what the policies need.
    pub credentials_secret_ref: SecretReference,
}

const fn default_port() -> i32 {
    5432
}

/// Transport security of a store connection.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("self.mode != 'VerifyFull' || has(self.caSecretRef)").message("tls.caSecretRef is required with mode VerifyFull: name the Secret and key with the certificate authority of the server"),
    validation = Rule::new("self.mode != 'Disable' || !has(self.caSecretRef)").message("tls.caSecretRef has no meaning with mode Disable: remove one of the two")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// `VerifyFull` checks the certificate and the host name; `Disable` sends passwords and personal data in clear.
    pub mode: TlsMode,

    /// The certificate authority (PEM) that signed the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
}

/// How the connection to the store is protected.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum TlsMode {
    /// Encrypted; the certificate must be signed by the given authority and name the host.
    VerifyFull,
    /// Not encrypted.
    Disable,
}

/// When a worker looks at the store.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Survey {
    /// Five cron fields (minute, hour, day of month, month, day of week) or one of `@hourly`, `@daily`, `@weekly`,
    /// `@monthly`, `@yearly`, in `timeZone`.
    #[schemars(length(min = 1, max = 128))]
    pub schedule: String,

    /// IANA time zone of the schedule, `Etc/UTC` unless said.
    #[serde(default = "default_survey_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,

    /// Tables in the schemas of the datasets that somebody has looked at and found to hold no personal data, as
    /// `schema.table`. Every other table there that no dataset names is told as drift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(min = 3, max = 264)))]
    pub without_personal_data: Vec<String>,

    /// Lets the survey rest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_survey_time_zone() -> String {
    "Etc/UTC".to_owned()
}

/// How long deleted rows live on in backups.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backups {
    /// Age at which a backup is destroyed, an ISO 8601 duration such as `P35D`.
    #[schemars(length(min = 3, max = 32))]
    pub kept_for: String,

    /// Age at which archived write-ahead log is destroyed, where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 32))]
    pub wal_kept_for: Option<String>,
}

/// Where a store is on the network, for the worker's NetworkPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.podSelector) != has(self.cidrs)").message("set exactly one of network.podSelector (the store runs in this cluster) and network.cidrs (it runs elsewhere)"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Labels of the store's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,

    /// Labels of the namespaces in which those pods run. Absent: this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,

    /// Address ranges of the store, for example `10.20.0.0/16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 3, max = 43)))]
    pub cidrs: Option<Vec<String>>,
}

/// A table with personal data.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.subjects) || self.subjects.all(s, !has(s.through) || has(self.relations) && self.relations.exists(r, r.name == s.through))").message("subjects[].through names a relation that is not in relations of the same dataset"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dataset {
    /// Name that policies refer to.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The table as `schema.table`; a part with unusual characters stands in double quotes. Ordinary and partitioned
    /// tables only.
    #[schemars(length(min = 3, max = 264))]
    pub table: String,

    /// Columns that identify a row, for exports: rows are ordered by them, and no row is shown twice. Absent: the
    /// primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    pub key: Vec<String>,

    /// Names of the `ProcessingActivity` objects of this namespace that this data serves. An export says for each row
    /// which purposes, legal bases and recipients it has, and which categories of an activity have no dataset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    pub activities: Vec<String>,

    /// Rows of other datasets that a row of this one points at, a foreign key for example.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub relations: Vec<Relation>,

    /// Whose row it is: any entry that fits makes the row part of that person's export. Several people may share a row.
    /// A dataset without `subjects` is part of no export, and the manifest of each export says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub subjects: Vec<Subject>,

    /// What is known about columns. A column need not be listed to be used in a policy, unless it is a `timestamp`
    /// or `date` column (its `timeZone` is needed).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["column".into()]))]
    pub fields: Vec<Field>,
}

/// A row of another dataset that a row points at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Relation {
    /// Name of the relation within its dataset, for example `inviter`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Name of the dataset of the row that is pointed at, in this `DataSource`.
    #[schemars(length(min = 1, max = 63))]
    pub dataset: String,

    /// Columns of this dataset, each with the column of the other dataset that it equals: `{inviter_id: id}`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8), inner(length(min = 1, max = 63)))]
    pub columns: BTreeMap<String, String>,
}

/// Whose row it is: a column holds an identity of the person, or a related row says it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.column) != has(self.through)").message("set exactly one of column (it holds the identity) and through (a relation: the row is whose the related row is)"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// Name of the identity, for example `user_id` or `email`: a key of the Secret in which a request names its person.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-zA-Z0-9_]([-._a-zA-Z0-9]*[a-zA-Z0-9_])?$")
    )]
    pub identity: String,

    /// Column that holds the identity. Values are compared to the byte, whatever the equality of the column's type is:
    /// case and form matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub column: Option<String>,

    /// Name of a relation of this dataset: the row belongs to whom the related row belongs to by this identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub through: Option<String>,

    /// Columns that are about another person when the row is found by this entry. An export shows `other person` in
    /// their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub other_party_columns: Vec<String>,
}

/// How a controller came by data. Portability (Art. 20 GDPR) covers what was provided by the person or observed of them.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Origin {
    /// The person gave it.
    Provided,
    /// It was recorded while the person used the service.
    Observed,
    /// It was computed or concluded from other data.
    Derived,
    /// Somebody else gave it.
    ThirdParty,
}

/// What is known about a column.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    /// Column name, as in the catalogue (case matters).
    #[schemars(length(min = 1, max = 63))]
    pub column: String,

    /// Category of personal data in it, a key of the Fideslang taxonomy such as `user.contact.email`. The status of
    /// each rule lists the categories of its dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"))]
    pub category: Option<String>,

    /// Where the data came from: `Provided` by the person, `Observed` of them, `Derived` from other data, or from a
    /// `ThirdParty`. A portability export takes `Provided` and `Observed` only and says what it left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,

    /// The column holds a password, its hash, a token or another secret: no export ever contains it. It may still tell
    /// whose row it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,

    /// IANA time zone in which values of a `timestamp` (without time zone) or `date` column are written, for example
    /// `Europe/Berlin`. Without it such a column is not a time for us, and a rule that uses it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

/// What is known about the store.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DataSourceStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Kind of store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,

    /// Server version, from the last run of a policy or survey that reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,

    /// When a run last reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reached_at: Option<Time>,

    /// Number of datasets declared.
    #[serde(default)]
    pub datasets: i64,

    /// Number of policies of this namespace that refer to it.
    #[serde(default)]
    pub policies: i64,

    /// What the last survey that reported found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survey: Option<SurveyStatus>,

    /// `Ready`: the declaration is usable. `Reachable`: as the last run of a policy or survey found it. `Surveyed`: the
    /// last survey did its work. `SchemaDrift`: the store has columns or tables that are not declared, or lacks declared
    /// ones. `Recorded`: every dataset serves a declared activity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What a survey found.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SurveyStatus {
    /// Name of its Job.
    pub job: String,

    /// Uid of its Job.
    pub uid: String,

    /// When it ended.
    pub finished_at: Time,

    /// Hash of the survey plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,

    /// Protocol of the encryption that was in use on the connection, for example `TLSv1.3`; `None` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,

    /// Each dataset, as the survey found it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub datasets: Vec<SurveyedDataset>,

    /// Tables in the schemas of declared ones that neither a dataset nor `withoutPersonalData` names, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared_tables: Vec<String>,

    /// Number of all such tables.
    #[serde(default)]
    pub undeclared_tables_count: i64,

    /// Columns that are claimed to hold hashes of passwords.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashed: Vec<HashedColumn>,

    /// Why the survey could not do its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<super::status::ProblemStatus>,
}

impl SurveyStatus {
    /// Whether the survey got as far as to say something about the store: it reported, and it was not a plan or a
    /// Secret that kept it from connecting.
    #[must_use]
    pub fn tells_of_the_store(&self) -> bool {
        self.problem
            .as_ref()
            .is_none_or(|problem| !matches!(problem.reason.as_str(), "NoReport" | "InvalidPlan" | "MissingSecret"))
    }
}

/// A dataset as a survey found it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SurveyedDataset {
    /// Name of the dataset.
    pub name: String,

    /// Whether the table is there.
    pub exists: bool,

    /// Rows, as the server estimates them. Absent: it has never counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,

    /// Columns of the table that the dataset does not name, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared_columns: Vec<String>,

    /// Number of all such columns.
    #[serde(default)]
    pub undeclared_columns_count: i64,

    /// Columns that the dataset names and the table does not have, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vanished_columns: Vec<String>,

    /// Number of all such columns.
    #[serde(default)]
    pub vanished_columns_count: i64,
}

/// A column that is claimed to hold hashes of passwords, as a survey found it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HashedColumn {
    /// Name of the dataset.
    pub dataset: String,

    /// The column.
    pub column: String,

    /// The scheme that is claimed.
    pub scheme: super::measures::HashScheme,

    /// Values that were looked at: all that are not NULL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<i64>,

    /// Values that do not look like such a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<i64>,

    /// Why it could not be checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<super::status::ProblemStatus>,
}
