//! The rules of this repository, held by tests: what may import what, that generated files are current, that what the
//! documents show is true.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, and reads files and variables"
)]

mod architecture;
mod commitments;
mod documents;
mod examples;
mod generated;
mod imports;
mod records;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path in the repository.
fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder of the repository whose name ends so, as paths in the repository. What is built and what
/// is hidden is left out. A folder that does not exist has none.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name == "target" || name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if name.ends_with(ending) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Fails with every complaint at once.
fn assert_none(complaints: &[String], remedy: &str) {
    assert!(complaints.is_empty(), "{remedy}:\n  {}", complaints.join("\n  "));
}
