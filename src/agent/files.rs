//! The node's directory: the API server's file, and the records that the agent wrote, so that keys can be recovered.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::encryption::custody::{Custody, RECORD_KEY};

/// How many records stay.
const KEPT: usize = 20;
/// Where they are, in the node's directory.
pub const HISTORY: &str = "privacy-operator-history";

/// The node's directory.
pub struct Files {
    file: PathBuf,
    history: PathBuf,
}

impl Files {
    pub fn new(directory: &Path, file: &str) -> Self {
        Self {
            file: directory.join(file),
            history: directory.join(HISTORY),
        }
    }

    /// The API server's file. `None`: it is not there.
    pub fn disk(&self) -> io::Result<Option<String>> {
        match fs::read(&self.file) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest record that makes sense.
    pub fn last(&self) -> Option<Custody> {
        let mut generations = self.generations();
        while let Some(generation) = generations.pop() {
            let record = fs::read(self.record(generation))
                .ok()
                .and_then(|text| Custody::parse(&text).ok());
            if record.is_some() {
                return record;
            }
        }
        None
    }

    /// Writes a record, and removes those that are too old.
    pub fn remember(&self, record: &Custody) -> io::Result<()> {
        fs::create_dir_all(&self.history)?;
        replace(&self.record(record.generation), record.text().as_bytes())?;
        let generations = self.generations();
        for generation in generations.iter().rev().skip(KEPT) {
            fs::remove_file(self.record(*generation))?;
        }
        Ok(())
    }

    /// Replaces the API server's file.
    pub fn write(&self, text: &str) -> io::Result<()> {
        replace(&self.file, text.as_bytes())
    }

    fn record(&self, generation: i64) -> PathBuf {
        self.history.join(format!("{generation}.json"))
    }

    fn generations(&self) -> Vec<i64> {
        let entries = fs::read_dir(&self.history).into_iter().flatten().flatten();
        let mut found: Vec<i64> = entries
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .collect();
        found.sort_unstable();
        found
    }
}

/// Puts a file into place whole or not at all, also when the power goes: a new one, flushed, renamed, and the
/// directory flushed. Only root reads it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let next = directory.join(format!(".{name}.next"));
    // What a killed agent left behind might have other permissions.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    File::open(directory)?.sync_all()
}

/// The record in the mounted Secret.
pub fn read_offered(keys: &Path) -> Result<Custody, String> {
    let path = keys.join(RECORD_KEY);
    let text = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "the key Secret is not mounted: it does not exist yet, or was deleted".to_owned(),
        _ => format!("the key Secret cannot be read: {error}"),
    })?;
    Custody::parse(&text).map_err(|what| format!("the key Secret makes no sense: {what}"))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes files")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_replaced_whole_for_root_only_and_twenty_records_stay() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), "config.yaml");
        assert_eq!(files.disk().unwrap(), None);
        fs::write(folder.path().join(".config.yaml.next"), "left by a killed agent").unwrap();
        files.write("one").unwrap();
        files.write("two").unwrap();
        assert_eq!(files.disk().unwrap().as_deref(), Some("two"));
        let mode = fs::metadata(folder.path().join("config.yaml"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut record = Custody::importing(&[0; 32]);
        for generation in 1..=25 {
            record.generation = generation;
            files.remember(&record).unwrap();
        }
        assert_eq!(files.generations(), (6..=25).collect::<Vec<i64>>());
        assert_eq!(files.last().unwrap().generation, 25);
        // One that is cut is passed over.
        fs::write(files.record(25), "{").unwrap();
        assert_eq!(files.last().unwrap().generation, 24);
    }

    #[test]
    fn a_secret_that_is_missing_or_makes_no_sense_is_told_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_offered(folder.path()).unwrap_err().contains("not mounted"));
        fs::write(
            folder.path().join(RECORD_KEY),
            r#"{"version": 1, "secret": "c2VjcmV0"}"#,
        )
        .unwrap();
        let error = read_offered(folder.path()).unwrap_err();
        assert!(error.contains("makes no sense") && !error.contains("c2Vj"), "{error}");
    }
}
