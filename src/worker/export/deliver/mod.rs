//! Where an archive goes. It appears there whole or not at all, under a name that is the request's: a second run of the
//! same request puts its archive in the place of the first.

mod client;
mod object_store;
mod volume;

use std::path::PathBuf;

use bytes::Bytes;

use self::object_store::{Bucket, Upload};
use self::volume::{Directory, File};
use super::fault::Fault;
use crate::contract::Problem;
use crate::contract::export::Delivery;

/// What is mounted for the delivery.
#[derive(Debug, Clone)]
pub struct Mounts {
    /// Directory with the credentials of the object store.
    pub credentials: PathBuf,
    /// Certificate authority of the object store.
    pub ca: PathBuf,
    /// The volume.
    pub volume: PathBuf,
}

/// Where an archive goes.
pub enum Place {
    /// A bucket.
    Bucket(Box<Bucket>),
    /// A mounted volume.
    Directory(Directory),
}

/// An archive on its way.
pub enum Sink {
    /// Into a bucket.
    Upload(Box<Upload>),
    /// Into a file.
    File(File),
}

impl Place {
    /// Reads credentials and prepares; nothing is sent yet.
    pub fn open(delivery: &Delivery, mounts: &Mounts) -> Result<Self, Problem> {
        Ok(match delivery {
            Delivery::ObjectStore(store) => Self::Bucket(Box::new(Bucket::open(store, mounts)?)),
            Delivery::Volume(volume) => Self::Directory(Directory::open(volume, &mounts.volume)?),
        })
    }

    /// Where it is, for the person who fetches it.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Bucket(bucket) => bucket.location(),
            Self::Directory(directory) => directory.location(),
        }
    }

    /// Begins an archive. What a killed run left half-written is taken away.
    pub async fn begin(&self) -> Result<Sink, Fault> {
        Ok(match self {
            Self::Bucket(bucket) => Sink::Upload(Box::new(bucket.begin().await?)),
            Self::Directory(directory) => Sink::File(directory.begin()?),
        })
    }

    /// Deletes the archive and what a killed run left half-written. Nothing there is success.
    pub async fn delete(&self) -> Result<(), Problem> {
        match self {
            Self::Bucket(bucket) => bucket.delete().await,
            Self::Directory(directory) => directory.delete(),
        }
    }
}

impl Sink {
    /// Takes the next part. All have one size but the last, which may be smaller.
    pub async fn part(&mut self, part: Bytes, last: bool) -> Result<(), Fault> {
        match self {
            Self::Upload(upload) => upload.part(part, last).await,
            Self::File(file) => file.part(&part),
        }
    }

    /// The archive is whole: it appears under its name.
    pub async fn finish(self) -> Result<(), Fault> {
        match self {
            Self::Upload(upload) => upload.finish().await,
            Self::File(file) => file.finish(),
        }
    }

    /// The archive is given up: nothing stays.
    pub async fn abort(self) {
        match self {
            Self::Upload(upload) => upload.abort().await,
            Self::File(file) => file.abort(),
        }
    }
}
