//! Files of mounted Secrets. All Secret volumes are optional, so that what is missing is told here and not by a pod that
//! waits without a word.

use std::path::Path;

use crate::contract::{Problem, Reason};

/// The bytes of a key, if it is there.
pub fn optional(directory: &Path, key: &str) -> Option<Vec<u8>> {
    // Keys of a Secret cannot hold a slash; a name from the plan must not lead elsewhere either.
    if key.contains('/') || key.starts_with("..") {
        return None;
    }
    std::fs::read(directory.join(key)).ok()
}

/// The bytes of a key that must be there.
pub fn required(directory: &Path, key: &str, secret: &str, field: &str) -> Result<Vec<u8>, Problem> {
    optional(directory, key).ok_or_else(|| missing(secret, key, field))
}

/// The text of a key that must be there, without the line break that an editor leaves.
pub fn required_text(directory: &Path, key: &str, secret: &str, field: &str) -> Result<String, Problem> {
    let bytes = required(directory, key, secret, field)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let detail = format!("key {key} of Secret {secret} is no text");
        Problem::new(Reason::MissingSecret, field, detail)
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// What is said of a Secret or key that is not there.
pub fn missing(secret: &str, key: &str, field: &str) -> Problem {
    let detail = format!("Secret {secret} has no key {key}, or does not exist");
    Problem::new(Reason::MissingSecret, field, detail)
}
