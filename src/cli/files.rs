//! What several programs read: manifests and passwords.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::grants::{Manifests, ReadError};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{file}: cannot be read: {source}")]
    File {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error(transparent)]
    Manifest(#[from] ReadError),
}

/// Reads every object of the files; `-` is standard input.
pub fn read_manifests(files: &[PathBuf]) -> Result<Manifests, FileError> {
    let mut manifests = Manifests::default();
    for (file, text) in read_texts(files)? {
        manifests.add(&file, &text)?;
    }
    Ok(manifests)
}

/// Reads the texts of the files, each with its name; `-` is standard input.
pub fn read_texts(files: &[PathBuf]) -> Result<Vec<(String, String)>, FileError> {
    let mut texts = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let text = if file == "-" {
            read_standard_input()
        } else {
            std::fs::read_to_string(path)
        };
        let text = text.map_err(|source| FileError::File {
            file: file.clone(),
            source,
        })?;
        texts.push((file, text));
    }
    Ok(texts)
}

/// The password of the file, else of the variable PGPASSWORD. Editors end a file with a line break, which is no part of
/// the password.
#[allow(clippy::disallowed_methods, reason = "what comes from the environment comes in here")]
pub fn password(file: Option<&Path>) -> Result<Option<String>, FileError> {
    let text = match file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|source| FileError::File {
            file: path.display().to_string(),
            source,
        })?),
        None => std::env::var("PGPASSWORD").ok(),
    };
    Ok(text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_standard_input() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
