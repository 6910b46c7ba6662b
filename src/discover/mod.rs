//! `privacy-operator discover URL`: a first `DataSource`, and a first policy commented out, from a live catalogue.
//!
//! [`connect`] and [`read`] talk to the server; what they find is a [`catalogue::Catalogue`]. Everything after that is
//! pure: [`category`] guesses what a column holds, [`choose`] which tables matter and where a policy could begin, and
//! [`print`](mod@print) writes it down.

pub mod catalogue;
pub mod category;
pub mod choose;
pub mod connect;
pub mod print;
pub mod read;
pub mod subjects;
pub mod yaml;

use catalogue::Origin;
use connect::{ConnectError, Target};

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The catalogue could not be read.
    #[error("the catalogue could not be read: {0}")]
    Read(#[from] read::ReadError),
    /// Nothing to declare.
    #[error(
        "database {0} has no table that a DataSource could name: no ordinary or partitioned table outside the system schemas and extensions. Is it the right database?"
    )]
    NoTables(String),
}

/// Reads the catalogue of a database and writes it down as YAML.
pub async fn discover(target: &Target) -> Result<String, DiscoverError> {
    let mut client = connect::connect(target).await?;
    let catalogue = read::catalogue(&mut client).await?;
    document(&catalogue, &target.origin())
}

/// Writes a catalogue down as YAML.
pub fn document(catalogue: &catalogue::Catalogue, origin: &Origin) -> Result<String, DiscoverError> {
    let choice = choose::choose(catalogue);
    if choice.datasets.is_empty() {
        return Err(DiscoverError::NoTables(catalogue.database.clone()));
    }
    Ok(print::document(catalogue, &choice, origin))
}

#[cfg(test)]
mod tests;
