//! Objects of this project from files.

use std::io::Read as _;
use std::path::PathBuf;

use crate::grants::{Manifests, ReadError};

/// Why files cannot be read as objects.
#[derive(Debug, thiserror::Error)]
pub enum ReadFileError {
    /// The file itself.
    #[error("{file}: cannot be read: {source}")]
    File {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What is in it.
    #[error(transparent)]
    Objects(#[from] ReadError),
}

/// Reads every file; `-` is standard input.
pub fn read(files: &[PathBuf]) -> Result<Manifests, ReadFileError> {
    let mut manifests = Manifests::default();
    for path in files {
        let file = path.display().to_string();
        let text = if file == "-" {
            read_standard_input()
        } else {
            std::fs::read_to_string(path)
        };
        let text = text.map_err(|source| ReadFileError::File {
            file: file.clone(),
            source,
        })?;
        manifests.add(&file, &text)?;
    }
    Ok(manifests)
}

fn read_standard_input() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
