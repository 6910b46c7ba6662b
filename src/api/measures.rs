//! Technical and organisational measures that a record of processing claims.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A measure that protects the data. What can be seen in the cluster or by the survey is observed; the rest is
/// recorded, and says so.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("has(self.of) == (self.kind in ['EncryptionAtRest', 'EncryptionInTransit'])").message("of says what is encrypted: it goes with the kinds EncryptionAtRest and EncryptionInTransit, and they need it"),
    validation = Rule::new("!has(self.of) || (self.kind == 'EncryptionInTransit') == (self.of in ['Database', 'Routes']) || self.kind == 'EncryptionAtRest' && self.of == 'Database'").message("EncryptionInTransit takes of: Database or Routes; EncryptionAtRest takes KubernetesSecrets, Database, Volume or Backup"),
    validation = Rule::new("has(self.fields) == (self.kind == 'PasswordHashing')").message("fields name the hashed columns: they go with the kind PasswordHashing, which needs them"),
    validation = Rule::new("has(self.secrets) == (self.kind == 'AccessControl')").message("secrets go with the kind AccessControl, which needs them"),
    validation = Rule::new("!has(self.allowed) || self.kind == 'AccessControl'").message("allowed goes with the kind AccessControl"),
    validation = Rule::new("!has(self.dataSources) || has(self.of) && self.of == 'Database'").message("dataSources go with of: Database"),
    validation = Rule::new("self.kind != 'Described' || has(self.description)").message("the kind Described needs a description")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measure {
    /// What kind of measure it is.
    pub kind: MeasureKind,

    /// What is encrypted. At rest only `KubernetesSecrets` can be seen from here, in transit only `Database`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Protected>,

    /// `DataSource`s of this namespace that the measure is about, with `of: Database`. Absent: those with a dataset
    /// that serves this activity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    pub data_sources: Vec<String>,

    /// Columns that hold hashes of passwords. The survey counts the values that do not look like one; no value leaves
    /// the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub fields: Vec<HashedField>,

    /// Secrets of this namespace that only `allowed` may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    pub secrets: Vec<String>,

    /// Who may read `secrets`. Kubernetes' own components and `system:masters` always may. Users cannot be named: a
    /// name of a person does not belong here; use a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub allowed: Vec<AccessSubject>,

    /// The measure in words, for the register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub description: Option<String>,
}

/// Kinds of measures.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum MeasureKind {
    /// Data is encrypted where it is stored.
    EncryptionAtRest,
    /// Data is encrypted on its way.
    EncryptionInTransit,
    /// Passwords are stored as hashes only.
    PasswordHashing,
    /// Only some may read certain Secrets.
    AccessControl,
    /// Any other measure, in words.
    Described,
}

/// What an encryption claim is about.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Protected {
    /// Secrets in the cluster's etcd, by `ClusterEncryption`.
    KubernetesSecrets,
    /// The database: its files (at rest), or the connection to it (in transit).
    Database,
    /// The volumes.
    Volume,
    /// The backups.
    Backup,
    /// The way between people and the platform.
    Routes,
}

/// A column with hashes of passwords.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HashedField {
    /// Name of the `DataSource`. Absent: every `DataSource` of this namespace with a dataset of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub data_source: Option<String>,

    /// Name of the dataset.
    #[schemars(length(min = 1, max = 63))]
    pub dataset: String,

    /// The column.
    #[schemars(length(min = 1, max = 63))]
    pub column: String,

    /// How the hashes were made.
    pub scheme: HashScheme,
}

/// Schemes of password hashes that can be told by their form.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HashScheme {
    /// `$2b$10$...`
    Bcrypt,
    /// `$argon2id$v=19$...`
    Argon2,
    /// `$scrypt$...` or `$7$...`
    Scrypt,
    /// `$pbkdf2-sha256$...` or `pbkdf2_sha256$...`
    Pbkdf2,
}

/// Somebody who may read Secrets.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("self.kind == 'ServiceAccount' || !has(self.__namespace__)").message("only a ServiceAccount has a namespace"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessSubject {
    /// `ServiceAccount` or `Group`.
    pub kind: SubjectKind,

    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Namespace of a `ServiceAccount`. Absent: this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Who can be allowed to read Secrets.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum SubjectKind {
    /// A service account.
    ServiceAccount,
    /// A group.
    Group,
}
