//! Members into a zip, the zip into age, what comes out into parts: work for a thread of its own.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::oneshot;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use super::fault::Fault;
use super::send::{PART_BYTES, Part};
use crate::contract::{Problem, Reason};

/// Speed counts for more than the last percent: the level is what zlib calls fast.
const COMPRESSION: i64 = 1;

/// What is to be packed.
pub enum Piece {
    /// A member of this name begins, and the one before has ended. True: it may have more than 4 GB.
    Member(String, bool),
    /// Bytes of the member.
    Bytes(Vec<u8>),
    /// The archive is whole.
    End,
}

/// What leaves age, or the zip writer where nothing is sealed: a part is filled while the one before is sent. Two pieces of
/// memory take turns, so that there are never more.
pub struct Outlet {
    filled: BytesMut,
    parts: Sender<Part>,
    /// Gives the memory of the part that is being sent.
    sent: Option<oneshot::Receiver<BytesMut>>,
    /// The zip writer writes its end also when it is dropped: it goes nowhere then.
    given_up: Arc<AtomicBool>,
}

impl Outlet {
    fn hand_on(&mut self, last: bool) -> io::Result<()> {
        let given_up = Arc::clone(&self.given_up);
        let ended = || {
            given_up.store(true, Ordering::Relaxed);
            io::Error::from(io::ErrorKind::BrokenPipe)
        };
        let next = match self.sent.take() {
            Some(sent) => sent.blocking_recv().map_err(|_| ended())?,
            None if last => BytesMut::new(),
            None => BytesMut::with_capacity(PART_BYTES),
        };
        let bytes: Bytes = std::mem::replace(&mut self.filled, next).freeze();
        let (done, sent) = oneshot::channel();
        self.sent = Some(sent);
        self.parts
            .blocking_send(Part { bytes, last, done })
            .map_err(|_| ended())
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::Relaxed) {
            return Ok(bytes.len());
        }
        // All parts but the last have one size.
        if self.filled.len() == PART_BYTES {
            self.hand_on(false)?;
        }
        let taken = bytes.len().min(PART_BYTES - self.filled.len());
        self.filled.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The stream of age, where it is sealed.
pub enum Sealed {
    /// Sealed.
    Age(Box<age::stream::StreamWriter<Outlet>>),
    /// In clear.
    Clear(Outlet),
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Age(writer) => writer.write(bytes),
            Self::Clear(outlet) => outlet.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // A flush would end a chunk of age, and all chunks but the last have one size.
        Ok(())
    }
}

/// A zip under way.
pub struct Packer {
    zip: ZipWriter<StreamWriter<Sealed>>,
    given_up: Arc<AtomicBool>,
}

/// Begins a zip, sealed for the recipients if there are any.
pub fn begin(recipients: &[age::x25519::Recipient], parts: Sender<Part>) -> Result<Packer, Fault> {
    let given_up = Arc::new(AtomicBool::new(false));
    let outlet = Outlet {
        filled: BytesMut::with_capacity(PART_BYTES),
        parts,
        sent: None,
        given_up: Arc::clone(&given_up),
    };
    let sealed = if recipients.is_empty() {
        Sealed::Clear(outlet)
    } else {
        let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let cannot = |_| Problem::new(Reason::InvalidRecipient, "sealTo", "the keys cannot be used together");
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(cannot)?;
        // Its header is far smaller than a part: nothing is sent yet.
        let writer = encryptor.wrap_output(outlet).map_err(|_| too_large())?;
        Sealed::Age(Box::new(writer))
    };
    Ok(Packer {
        zip: ZipWriter::new_stream(sealed),
        given_up,
    })
}

impl Packer {
    /// Packs what comes. Where it ends before [`Piece::End`], no last part is made.
    pub fn pack(mut self, mut pieces: Receiver<Piece>) -> Result<(), ZipError> {
        let outcome = loop {
            let packed = match pieces.blocking_recv() {
                Some(Piece::Member(name, long)) => self.zip.start_file(name, options(long)),
                Some(Piece::Bytes(bytes)) => self.zip.write_all(&bytes).map_err(ZipError::from),
                Some(Piece::End) => return self.end(),
                None => break Ok(()),
            };
            if packed.is_err() {
                break packed;
            }
        };
        self.given_up.store(true, Ordering::Relaxed);
        outcome
    }

    fn end(self) -> Result<(), ZipError> {
        let mut outlet = match self.zip.finish()?.into_inner() {
            Sealed::Age(writer) => writer.finish()?,
            Sealed::Clear(outlet) => outlet,
        };
        Ok(outlet.hand_on(true)?)
    }
}

fn options(long: bool) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .compression_level(Some(COMPRESSION))
        .unix_permissions(0o644)
        .large_file(long)
}

/// Why nothing is packed any more. Writing into memory does not fail; what remains is what the format has no room for.
pub fn fault(_: &ZipError) -> Fault {
    too_large().into()
}

fn too_large() -> Problem {
    Problem::new(
        Reason::ArchiveTooLarge,
        "limits",
        "the archive, or a file of it, is larger than its format allows",
    )
}
