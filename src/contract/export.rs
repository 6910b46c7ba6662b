//! What the operator and an export worker say to each other: the plan of an export, of finding out who a request is
//! about, of deleting an archive, and the report of each. The programs are `privacy-operator worker export`, `worker
//! identify` and `worker expire`.
//!
//! # What the pod must have
//!
//! | what | where | for |
//! |---|---|---|
//! | the plan, key `plan.json` of a ConfigMap | [`super::PLAN_PATH`] | all three |
//! | the subject's Secret, whole: one file for each identity | [`SUBJECT_DIRECTORY`] | export, identify |
//! | the hash key's Secret, whole | [`HASH_KEY_DIRECTORY`] | export, identify |
//! | for each store (by its place in the plan) the credentials' Secret, whole | [`store_credentials_directory`] | export |
//! | for each store with TLS its authority's key, as the file `ca.crt` | [`store_ca_path`] (mount its folder) | export |
//! | the object store's credentials, whole | [`DELIVERY_CREDENTIALS_DIRECTORY`] | export, expire to an object store |
//! | the object store's authority, as the file `ca.crt` | [`DELIVERY_CA_PATH`] (mount its folder) | the same, where the plan has one |
//! | the volume that takes the archives, writable | [`DELIVERY_VOLUME_DIRECTORY`] | export, expire to a volume |
//! | the stop ConfigMap, optional | [`super::STOP_DIRECTORY`] | export |
//!
//! Every Secret is mounted with `optional: true`: the worker itself says `MissingSecret` with name and key, where a
//! missing Secret would otherwise leave a pod waiting without a word. A key that is missing in a Secret is no file, and
//! is told in the same way. Nothing else is written to: the root file system may be read-only, no scratch volume is
//! needed, 128 MiB of memory are enough. The pod needs no token. It talks to the stores, to the object store and to DNS.

mod facts;
mod report;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::facts::{
    Activity, AutomatedDecisions, Basis, Category, LegalBasis, Localized, NotIncluded, Notice, Party, Recipient,
    Retention, Transfer,
};
pub use self::report::{
    Archive, Coverage, ExpireReport, ExportReport, ExportResult, IdentifyReport, TerminationMessage,
};
use super::Store;

/// Version of this part of the contract.
pub const VERSION: u32 = 1;

/// Directory with the subject's Secret: each key is the name of an identity (`user_id`, `email`), its value the person's,
/// to the byte. Nothing is trimmed: a line break at the end is part of the value.
pub const SUBJECT_DIRECTORY: &str = "/etc/privacy-operator/subject";
/// Directory with the Secret that holds the hash key; which file it is, the plan says.
pub const HASH_KEY_DIRECTORY: &str = "/etc/privacy-operator/hash-key";
/// Directory with the credentials of the object store: files [`ACCESS_KEY_FILE`] and [`SECRET_KEY_FILE`].
pub const DELIVERY_CREDENTIALS_DIRECTORY: &str = "/etc/privacy-operator/delivery/credentials";
/// Key of the object store's Secret with the access key's id.
pub const ACCESS_KEY_FILE: &str = "accessKeyId";
/// Key of the object store's Secret with the secret access key.
pub const SECRET_KEY_FILE: &str = "secretAccessKey";
/// File with the certificate authority of the object store.
pub const DELIVERY_CA_PATH: &str = "/etc/privacy-operator/delivery/ca/ca.crt";
/// Where the volume that takes the archives is mounted.
pub const DELIVERY_VOLUME_DIRECTORY: &str = "/var/lib/privacy-operator/archives";

/// Fewest bytes of a hash key. A shorter one could be found by trying.
pub const SHORTEST_HASH_KEY: usize = 32;

/// Directory that holds what each store needs, see [`store_credentials_directory`] and [`store_ca_path`].
pub const STORES_DIRECTORY: &str = "/etc/privacy-operator/stores";

/// Directory with `username` and `password` of the store at this place of [`ExportPlan::stores`].
#[must_use]
pub fn store_credentials_directory(index: usize) -> String {
    format!("{STORES_DIRECTORY}/{index}/credentials")
}

/// File with the certificate authority of the store at this place of [`ExportPlan::stores`].
#[must_use]
pub fn store_ca_path(index: usize) -> String {
    format!("{STORES_DIRECTORY}/{index}/ca/ca.crt")
}

/// Name of a request's archive: by its uid, which names nobody and never comes twice.
#[must_use]
pub fn archive_name(request_uid: &str, sealing: &Sealing) -> String {
    match sealing {
        Sealing::Age(_) => format!("{request_uid}.zip.age"),
        Sealing::Unsealed => format!("{request_uid}.zip"),
    }
}

/// Who a request is about, and the key under which that becomes a tag.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectSource {
    /// Name of the subject's Secret, for messages.
    pub secret: String,
    /// Names of the identities that the stores know, the one that limits count by first. The first of them that the
    /// Secret has stands for the person in the tag. Keys of the Secret that are not listed are not looked at.
    pub identities: Vec<String>,
    /// Name of the Secret with the hash key, for messages.
    pub hash_key_secret: String,
    /// Key in it, and so the file in [`HASH_KEY_DIRECTORY`].
    pub hash_key: String,
}

/// A person as far as the operator may know them: keyed hashes, in lower-case hexadecimal.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectTag {
    /// First 16 bytes of HMAC-SHA-256 over the uid of the namespace, the name of the identity that stands for the person
    /// and its bytes. Limits count by it.
    pub tag: String,
    /// The same over all listed identities in the Secret: none of them can be exchanged between the steps unseen.
    pub digest: String,
    /// Tells hash keys apart and says nothing about them: first 8 bytes of HMAC-SHA-256 over a fixed text.
    pub key_id: String,
    /// Name of the identity that stands for the person.
    pub identity: String,
}

/// Asks who a request is about. The report is an [`IdentifyReport`].
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentifyPlan {
    /// [`VERSION`].
    pub version: u32,
    /// Uid of the request's namespace.
    pub namespace_uid: String,
    /// Uid of the request.
    pub request_uid: String,
    /// Where to look.
    pub subject: SubjectSource,
}

/// Everything that an export worker needs to know, apart from what the Secrets hold.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportPlan {
    /// [`VERSION`].
    pub version: u32,
    /// Namespace of the request.
    pub namespace: String,
    /// Its uid.
    pub namespace_uid: String,
    /// Name of the request.
    pub request: String,
    /// Its uid.
    pub request_uid: String,
    /// When the request was received; printed on the first page.
    pub received_at: Timestamp,
    /// What the person asked for.
    pub right: Right,
    /// Under which law.
    pub regime: Regime,
    /// Languages of the pages, the first one being that of `index.html`.
    pub languages: Vec<Language>,
    /// What the archive holds beside `manifest.json`. `Json` also brings the schema.
    pub formats: Vec<Format>,
    /// Who the person is.
    pub subject: SubjectSource,
    /// What `worker identify` found: looked at again before anything is read.
    pub expected: SubjectTag,
    /// For whom the archive is sealed.
    pub sealing: Sealing,
    /// Where it goes.
    pub delivery: Delivery,
    /// Largest archive, as delivered, in bytes. A larger one is not delivered at all.
    pub largest_bytes: i64,
    /// Longest duration of a run, in seconds.
    pub active_deadline_seconds: i64,
    /// The stores.
    pub stores: Vec<ExportStore>,
    /// Who is responsible, from the `PrivacyNotice`.
    pub notice: Notice,
    /// The activities that the datasets name, and those that have no dataset.
    pub activities: Vec<Activity>,
    /// Stores that this export does not look into, each with the reason: the manifest and the first page say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_included: Vec<NotIncluded>,
}

/// What a person asks for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Everything about the person (Art. 15 GDPR).
    Access,
    /// What the person provided or what was observed of them, on consent or contract (Art. 20 GDPR).
    Portability,
}

/// Under which law a request is answered.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// Regulation (EU) 2016/679.
    #[serde(rename = "GDPR")]
    Gdpr,
    /// California Consumer Privacy Act.
    #[serde(rename = "CCPA")]
    Ccpa,
    /// California Civil Code section 1798.83.
    ShineTheLight,
}

/// A language of the pages.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
}

/// A form in which the data is delivered.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `index.html` and pages of tables.
    #[serde(rename = "html")]
    Html,
    /// `data.json` and `schema.json`.
    #[serde(rename = "json")]
    Json,
    /// One file a dataset.
    #[serde(rename = "csv")]
    Csv,
}

/// Who can open the archive.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// The holders of these keys, `age1...`; at least one.
    #[serde(rename = "age")]
    Age(Vec<String>),
    /// Anybody who gets it. The policy must allow this.
    #[serde(rename = "unsealed")]
    Unsealed,
}

/// Where the archive goes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An object of an S3-compatible store.
    #[serde(rename = "objectStore")]
    ObjectStore(ObjectStore),
    /// A file of the mounted volume.
    #[serde(rename = "volume")]
    Volume(Volume),
}

/// An S3-compatible object store.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectStore {
    /// `https://host:port` or, where the network may see what is sent, `http://host:port`; no path.
    pub endpoint: String,
    /// Region, for the signature; `us-east-1` where the store has none.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// Key of the object: the policy's prefix and [`archive_name`].
    pub key: String,
    /// Name of the Secret with the credentials, for messages.
    pub credentials_secret: String,
    /// Name and key of the Secret with the certificate authority. Absent with `https`: the authorities of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<(String, String)>,
}

/// A mounted volume.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Name of the claim, for messages and the location.
    pub claim: String,
    /// Name of the file, without a folder: [`archive_name`].
    pub file: String,
}

/// A store, and what of it belongs to people.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportStore {
    /// Name of the `DataSource`.
    pub name: String,
    /// How to reach it.
    pub store: Store,
    /// Name of the Secret with the credentials, for messages.
    pub credentials_secret: String,
    /// The datasets. Those without `subjects` are listed as left out.
    pub datasets: Vec<ExportDataset>,
}

/// A table, and whose its rows are.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportDataset {
    /// Name of the dataset.
    pub name: String,
    /// Schema of the table, as in the catalogue.
    pub schema: String,
    /// Name of the table, as in the catalogue.
    pub table: String,
    /// Columns by which rows are ordered. Empty: the primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Names of the activities that the data serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<String>,
    /// Rows that a row points at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<ExportRelation>,
    /// Whose a row is: any entry that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<ExportSubject>,
    /// The columns that are exported, and those that never are. A column that is not listed is not exported, and the
    /// manifest says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<ExportField>,
}

/// A row of another dataset of the same store that a row points at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportRelation {
    /// Name of the relation.
    pub name: String,
    /// Name of the dataset that it points at.
    pub dataset: String,
    /// Columns of this dataset, each with the column of the other one that it equals.
    pub columns: std::collections::BTreeMap<String, String>,
}

/// Whose a row is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportSubject {
    /// Name of the identity.
    pub identity: String,
    /// A column holds it, or a related row says it.
    pub by: SubjectBy,
    /// Columns that are about somebody else when a row is found by this entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_party_columns: Vec<String>,
}

/// What says whose a row is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum SubjectBy {
    /// This column holds the identity. It is compared to the byte, whatever its type's own equality is.
    #[serde(rename = "column")]
    Column(String),
    /// The row that this relation points at is the person's by the same identity.
    #[serde(rename = "through")]
    Through(String),
}

/// What is known about a column.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportField {
    /// Name of the column, as in the catalogue.
    pub column: String,
    /// Category of personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Where the data came from. Absent: not known, and no part of a portability export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Never read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// Where data came from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The person gave it.
    Provided,
    /// It was recorded while the person used the service.
    Observed,
    /// It was computed or concluded.
    Derived,
    /// Somebody else gave it.
    ThirdParty,
}

/// Deletes an archive. The report is an [`ExpireReport`].
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpirePlan {
    /// [`VERSION`].
    pub version: u32,
    /// Uid of the request.
    pub request_uid: String,
    /// Where the archive is. What a killed export left half-written there goes too.
    pub delivery: Delivery,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_named_by_the_uid_and_by_whether_it_is_sealed() {
        assert_eq!(archive_name("u-1", &Sealing::Age(vec![])), "u-1.zip.age");
        assert_eq!(archive_name("u-1", &Sealing::Unsealed), "u-1.zip");
        assert_eq!(store_ca_path(2), "/etc/privacy-operator/stores/2/ca/ca.crt");
    }
}
