//! What happens to a due row: deleted with what hangs on it, masked, set.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::SecretKeyReference;

/// What happens to a due row.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.delete), has(self.mask), has(self.set)].filter(x, x).size() == 1").message("then takes exactly one of delete, mask and set"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Then {
    /// The row is deleted, alone or with rows of other datasets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<Delete>,

    /// Columns lose what identifies a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["column".into()]))]
    pub mask: Vec<Mask>,

    /// Columns get a fixed value: a restriction, a soft delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["column".into()]))]
    pub set: Vec<Set>,
}

/// A row goes, with what hangs on it and what it leaves behind. All of it goes in one transaction.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delete {
    /// Rows that point at the row, or at a row of an entry before, and go with it. A row goes with all of them or stays with
    /// all of them: it stays while one is protected by a ground of a rule on its table, or pointed at by a foreign key from a
    /// row that is not among them (`keptByDependent`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub dependents: Vec<Dependent>,

    /// Rows at which the row points, or at which a row of an entry before points, and that go when nothing points at them any
    /// more. They stay while an `Exact` or `Minimum` ground of a rule on their table holds; that never keeps the row itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub empty_parents: Vec<EmptyParent>,
}

/// Rows that hang on another.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependent {
    /// Their dataset.
    #[schemars(length(min = 1, max = 63))]
    pub dataset: String,

    /// Its relation that points at the dataset of the rule, or at that of an entry before.
    #[schemars(length(min = 1, max = 63))]
    pub relation: String,
}

/// The row at which a row points.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmptyParent {
    /// Whose relation it is: the dataset to which an entry before leads. Absent: that of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub dataset: Option<String>,

    /// The relation that leads to the row.
    #[schemars(length(min = 1, max = 63))]
    pub relation: String,
}

/// How a column loses what identifies a person. A masked value is recognised and not written again.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("self.strategy == 'TruncateIp' || !has(self.ipv4Prefix) && !has(self.ipv6Prefix)").message("ipv4Prefix and ipv6Prefix go only with strategy TruncateIp"),
    validation = Rule::new("(self.strategy == 'Pseudonymise') == has(self.keySecretRef)").message("strategy Pseudonymise needs keySecretRef, which goes with no other")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mask {
    /// Column name.
    #[schemars(length(min = 1, max = 63))]
    pub column: String,

    /// `Nullify` sets NULL. `TruncateIp` keeps the network part of an address and zeroes the rest. `Pseudonymise` replaces
    /// the value by a keyed hash: equal values stay equal, and who has the key can find a person again.
    pub strategy: MaskStrategy,

    /// Bits of an IPv4 address that stay, 24 unless said. IPv4-mapped IPv6 addresses count as IPv4.
    #[serde(default, rename = "ipv4Prefix", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 32))]
    pub ipv4_prefix: Option<i32>,

    /// Bits of an IPv6 address that stay, 48 unless said.
    #[serde(default, rename = "ipv6Prefix", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 128))]
    pub ipv6_prefix: Option<i32>,

    /// Secret and key with at least 32 random bytes, with strategy Pseudonymise. Only workers mount it. Once the key is
    /// destroyed nobody can tell whose a pseudonym is by trying values. All masks of a policy name one Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<SecretKeyReference>,
}

/// A way to mask a column.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum MaskStrategy {
    /// Set NULL.
    Nullify,
    /// Zero the host part of an IP address in an `inet`, `cidr` or text column. Text that is not an address stays.
    TruncateIp,
    /// Replace the value of a text column by `psn:`, the identifier of the key, `:` and the HMAC-SHA-256 of the value, 64
    /// characters in all. A value of that form counts as masked, whichever its key. What is pseudonymous is not anonymous.
    Pseudonymise,
}

/// A fixed value for a column.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Set {
    /// Column name.
    #[schemars(length(min = 1, max = 63))]
    pub column: String,

    /// The value, written as text. `now` in a time column is the time of the run, written only where the column is NULL.
    #[schemars(length(max = 253))]
    pub value: String,
}
