//! Delivery to a mounted volume: written under another name, brought to the disk, then renamed.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::contract::export::Volume;
use crate::contract::{Problem, Reason};
use crate::worker::export::fault::Fault;

const FIELD: &str = "delivery.volume";

/// A directory that takes archives.
pub struct Directory {
    directory: PathBuf,
    volume: Volume,
}

/// An archive on its way into a directory.
pub struct File {
    unfinished: fs::File,
    partial: PathBuf,
    whole: PathBuf,
    claim: String,
}

impl Directory {
    /// Checks that the name leads nowhere else, and that the volume is there.
    pub fn open(volume: &Volume, directory: &Path) -> Result<Self, Problem> {
        let name = &volume.file;
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']) && name.len() <= 200;
        if !is_plain {
            return Err(Problem::new(
                Reason::InvalidPlan,
                FIELD,
                "the file's name is not a plain name",
            ));
        }
        if !directory.is_dir() {
            let detail = format!("the claim {} is not mounted", volume.claim);
            return Err(Problem::new(Reason::DeliveryUnavailable, FIELD, detail));
        }
        Ok(Self {
            directory: directory.to_owned(),
            volume: volume.clone(),
        })
    }

    /// Where the archive is.
    pub fn location(&self) -> String {
        format!("volume://{}/{}", self.volume.claim, self.volume.file)
    }

    fn partial(&self) -> PathBuf {
        self.directory.join(format!(".{}.partial", self.volume.file))
    }

    /// Begins an archive. A lock on the unfinished file keeps two workers of one request apart; it ends with the worker,
    /// however that ends.
    pub fn begin(&self) -> Result<File, Fault> {
        let failed = |error: &std::io::Error| Fault::Problem(problem(error, &self.volume.claim));
        let partial = self.partial();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&partial)
            .map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Problem::new(Reason::ExportInProgress, FIELD, "").into());
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(&error)),
        }
        file.set_len(0).map_err(|error| failed(&error))?;
        Ok(File {
            unfinished: file,
            partial,
            whole: self.directory.join(&self.volume.file),
            claim: self.volume.claim.clone(),
        })
    }

    /// Deletes the archive, whole or half-written.
    pub fn delete(&self) -> Result<(), Problem> {
        for path in [self.partial(), self.directory.join(&self.volume.file)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(problem(&error, &self.volume.claim));
                }
                _ => {}
            }
        }
        sync(&self.directory).map_err(|error| problem(&error, &self.volume.claim))
    }
}

impl File {
    /// Writes the next part.
    pub fn part(&mut self, part: &[u8]) -> Result<(), Fault> {
        self.unfinished
            .write_all(part)
            .map_err(|error| problem(&error, &self.claim).into())
    }

    /// Makes the file appear, whole and on the disk.
    pub fn finish(self) -> Result<(), Fault> {
        let done = self
            .unfinished
            .sync_all()
            .and_then(|()| fs::rename(&self.partial, &self.whole))
            .and_then(|()| sync(self.whole.parent().unwrap_or(Path::new("/"))));
        done.map_err(|error| {
            let problem = problem(&error, &self.claim);
            self.abort();
            problem.into()
        })
    }

    /// Takes the unfinished file away.
    pub fn abort(self) {
        if fs::remove_file(&self.partial).is_err() {
            tracing::warn!("the unfinished archive cannot be deleted; the next run, or its expiry, does");
        }
    }
}

/// A new name is only safe once the directory is.
fn sync(directory: &Path) -> std::io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

fn problem(error: &std::io::Error, claim: &str) -> Problem {
    let (reason, what) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (Reason::DeliveryUnavailable, "is full"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            (Reason::DeliveryRefused, "cannot be written to")
        }
        _ => (Reason::DeliveryUnavailable, "failed"),
    };
    Problem::new(reason, FIELD, format!("the claim {claim} {what}"))
}
