//! `privacy-operator grants FILES`: the SQL of exactly the role that the policies and exports in the files need.
//!
//! Pure: text in, SQL out. [`manifests`] reads the files, [`needs`] works out what each policy reads and writes, and
//! [`sql`] writes it down.

pub mod exports;
pub mod holds;
pub mod manifests;
pub mod needs;
pub mod sql;

use crate::domain::identifier::{Identifier, IdentifierError};

pub use manifests::{Manifests, ReadError};
pub use needs::NeedsError;

/// Why there are no grants to print.
#[derive(Debug, thiserror::Error)]
pub enum GrantsError {
    /// A file is not what it should be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The objects do not fit together.
    #[error(transparent)]
    Needs(#[from] NeedsError),
    /// The role's name.
    #[error("--role: {0}")]
    Role(#[source] IdentifierError),
    /// No policy at all.
    #[error(
        "there is no DataRetentionPolicy in the files, no DataSource with a survey, and no SubjectRightsPolicy beside a DataSource with subjects: name the files of the policies and of their DataSource"
    )]
    NoPolicy,
    /// A `DataSource` that is not there.
    #[error("--data-source {0}: no policy in the files refers to a DataSource of this name; the policies refer to {1}")]
    NotReferred(String, String),
}

/// What is printed: the SQL, and remarks for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// SQL that psql runs with `ON_ERROR_STOP`, as often as one likes.
    pub sql: String,
    /// What was left out, and why.
    pub remarks: Vec<String>,
}

/// Writes down the rights that `role` needs. With `only`, for the `DataSource` of that name alone.
pub fn grants(manifests: &Manifests, role: &str, only: Option<&str>) -> Result<Grants, GrantsError> {
    let role = Identifier::parse(role).map_err(GrantsError::Role)?;
    let all = needs::needs(manifests)?;
    if all.is_empty() {
        return Err(GrantsError::NoPolicy);
    }
    let mut remarks = manifests.ignored.clone();
    let is_used = |source: &manifests::Located<_>| all.iter().any(|needs| std::ptr::eq(needs.source, source));
    for source in manifests.sources.iter().filter(|source| !is_used(source)) {
        remarks.push(format!(
            "{source}: no policy in the files refers to it, so there is nothing to grant"
        ));
    }
    let chosen: Vec<_> = all
        .iter()
        .filter(|needs| only.is_none_or(|name| needs.source.name == name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = all.iter().map(|needs| needs.source.name.as_str()).collect();
        return Err(GrantsError::NotReferred(
            only.unwrap_or_default().to_owned(),
            names.join(", "),
        ));
    }
    let blocks: Vec<String> = chosen.into_iter().map(|needs| sql::block(needs, &role)).collect();
    Ok(Grants {
        sql: blocks.join("\n"),
        remarks,
    })
}

#[cfg(test)]
mod tests;
