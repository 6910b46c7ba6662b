//! What goes with a row: rows that hang on it, and rows that nothing points at any more once it is gone.

use serde::{Deserialize, Serialize};

use super::PlannedRelation;

/// Rows of other tables that go with the rows of a rule.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedCascade {
    /// Rows that hang on a row and go before it, from the row outwards. One row that must stay keeps all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<PlannedDependent>,
    /// Rows that a row points at, and that go when nothing points at them any more, from the row outwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<PlannedParent>,
}

impl PlannedCascade {
    /// A row goes alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dependents.is_empty() && self.parents.is_empty()
    }

    /// Every tie between tables in it.
    pub fn relations(&self) -> impl Iterator<Item = &PlannedRelation> {
        let dependents = self.dependents.iter().map(|dependent| &dependent.relation);
        let parents = self
            .parents
            .iter()
            .flat_map(|parent| std::iter::once(&parent.relation).chain(&parent.pointed_at_by));
        dependents.chain(parents)
    }
}

/// Rows that hang on a row.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedDependent {
    /// On which rows: 0: on those of the rule; n: on those of the nth entry of the list.
    pub of: usize,
    /// Their table. Pairs are a column of the row on which they hang, and the column of theirs that points at it.
    pub relation: PlannedRelation,
}

/// The row that a row points at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedParent {
    /// Which rows point at it: 0: those of the rule; n: those of the nth entry of the list.
    pub of: usize,
    /// Its table. Pairs are the column that points, and the column of the parent.
    pub relation: PlannedRelation,
    /// What else may point at it, by declared relations. Pairs are a column of the parent, and the column that points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pointed_at_by: Vec<PlannedRelation>,
}
