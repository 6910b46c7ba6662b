//! Legal holds, as a work plan carries them: which rows of which table nothing may touch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Condition, PlannedRelation};

/// Directory with a directory for each Secret in which a hold names a person, and in it a file for each identity.
pub const HOLDS_DIRECTORY: &str = "/etc/privacy-operator/holds";

/// One hold on one table. A row that it binds is neither deleted nor masked nor set, by whatever rule.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedHold {
    /// Name of the `LegalHold`, for messages; with its namespace where that is another one.
    pub name: String,
    /// Schema of the table, as in the catalogue.
    pub schema: String,
    /// Name of the table, as in the catalogue.
    pub table: String,
    /// Zones of `timestamp` and `date` columns, by column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub column_time_zones: BTreeMap<String, String>,
    /// Which rows it binds: all conditions hold. Empty: every row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// Whose rows it binds. Absent: anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<HeldPerson>,
}

/// The person whose rows a hold binds.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeldPerson {
    /// Name of the Secret, and of its directory within [`HOLDS_DIRECTORY`].
    pub secret: String,
    /// How it is told that a row is the person's: any of these.
    pub paths: Vec<HeldPath>,
}

/// How it is told that a row is a person's by one identity.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeldPath {
    /// Name of the identity: a key of the Secret.
    pub identity: String,
    /// How the row is tied to it.
    pub by: HeldBy,
}

/// How a row is tied to an identity.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum HeldBy {
    /// A column holds it.
    Column(String),
    /// The row is whose the row is that it points at.
    Through(PlannedRelation, Vec<HeldPath>),
}

impl PlannedHold {
    /// The ties of its rows to rows of other tables.
    pub fn relations(&self) -> impl Iterator<Item = &PlannedRelation> {
        self.paths().iter().filter_map(|path| match &path.by {
            HeldBy::Column(_) => None,
            HeldBy::Through(relation, _) => Some(relation),
        })
    }

    /// How it is told that a row is the person's.
    #[must_use]
    pub fn paths(&self) -> &[HeldPath] {
        self.person.as_ref().map_or(&[], |person| &person.paths)
    }
}

impl HeldPath {
    /// This tie to a row of another table, and those that follow it.
    #[must_use]
    pub fn all_relations(&self) -> Vec<&PlannedRelation> {
        match &self.by {
            HeldBy::Column(_) => Vec::new(),
            HeldBy::Through(relation, next) => std::iter::once(relation)
                .chain(next.iter().flat_map(Self::all_relations))
                .collect(),
        }
    }
}
