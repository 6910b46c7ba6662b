//! The archive, written as a stream: members -> zip -> age -> parts of a fixed size -> the place where it is delivered.
//! Nothing of it is ever on disk in clear, and memory holds one part at most.
//!
//! Zip, because a person opens it by a double click on every system; tar is for people who know tar. Each member is
//! compressed by itself, its sizes follow it, so that no member needs to be known before it is written.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use super::deliver::Sink;
use super::fault::Fault;
use crate::contract::{Problem, Reason};
use crate::worker::progress::Progress;

/// Bytes of one part, as it is sent. With it an object may have 80 GB.
pub const PART_BYTES: usize = 8 << 20;

/// What one piece may add before the part is sent.
const ROOM: usize = 2 << 20;

/// What is written is gathered up to this before it is hashed and compressed.
const GATHERED: usize = 32 << 10;

/// More files than this would make the list of them larger than what they hold is worth.
const MOST_MEMBERS: usize = 20_000;

/// Speed counts for more than the last percent: the level is what zlib calls fast.
const COMPRESSION: i64 = 1;

/// A file in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// Rows, where it holds some.
    pub rows: Option<i64>,
    /// Whether the person's data alone decides what is in it.
    pub content: bool,
}

/// What was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Bytes as delivered.
    pub bytes: u64,
    /// Parts.
    pub parts: u64,
    /// SHA-256 of what was delivered.
    pub sha256: String,
}

/// What leaves age, or the zip writer where nothing is sealed.
#[derive(Clone, Default)]
struct Outlet(Rc<RefCell<Vec<u8>>>);

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Sealed {
    Age(Box<age::stream::StreamWriter<Outlet>>),
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

struct Open {
    name: String,
    digest: Context,
    bytes: u64,
    content: bool,
}

/// An archive under way.
pub struct Archive<'a> {
    zip: ZipWriter<StreamWriter<Sealed>>,
    gathered: Vec<u8>,
    open: Option<Open>,
    members: BTreeMap<String, Member>,
    parts: Parts<'a>,
}

/// What is ready is sent in parts of one size.
struct Parts<'a> {
    outlet: Outlet,
    sink: Sink,
    digest: Context,
    bytes: u64,
    sent: u64,
    largest: u64,
    live: &'a Progress,
}

impl Parts<'_> {
    /// Sends parts as long as at least `from` bytes wait.
    async fn send(&mut self, from: usize) -> Result<(), Fault> {
        loop {
            let part = {
                let mut waiting = self.outlet.0.borrow_mut();
                if waiting.len() < from.max(1) {
                    return Ok(());
                }
                let length = waiting.len().min(PART_BYTES);
                // As much room as one part will need, so that it never grows to twice of it.
                let mut rest = Vec::with_capacity(PART_BYTES + ROOM);
                rest.extend_from_slice(&waiting[length..]);
                waiting.truncate(length);
                std::mem::replace(&mut *waiting, rest)
            };
            self.bytes += part.len() as u64;
            if self.bytes > self.largest {
                let detail = format!("more than {} bytes", self.largest);
                return Err(Fault::Stop(Problem::new(Reason::ArchiveTooLarge, "limits", detail)));
            }
            self.digest.update(&part);
            self.sent += 1;
            self.sink.part(Bytes::from(part)).await?;
            self.live.set_bytes(i64::try_from(self.bytes).unwrap_or(i64::MAX));
        }
    }
}

impl<'a> Archive<'a> {
    /// Begins an archive. No recipient: it is not sealed.
    pub fn begin(
        recipients: &[age::x25519::Recipient],
        sink: Sink,
        largest: u64,
        live: &'a Progress,
    ) -> Result<Self, Fault> {
        let outlet = Outlet::default();
        let sealed = if recipients.is_empty() {
            Sealed::Clear(outlet.clone())
        } else {
            let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
            let cannot = |_| Problem::new(Reason::InvalidRecipient, "sealTo", "the keys cannot be used together");
            let encryptor = age::Encryptor::with_recipients(recipients).map_err(cannot)?;
            let writer = encryptor.wrap_output(outlet.clone()).map_err(|error| broken(&error))?;
            Sealed::Age(Box::new(writer))
        };
        Ok(Self {
            zip: ZipWriter::new_stream(sealed),
            gathered: Vec::with_capacity(GATHERED * 2),
            open: None,
            members: BTreeMap::new(),
            parts: Parts {
                outlet,
                sink,
                digest: Context::new(&SHA256),
                bytes: 0,
                sent: 0,
                largest,
                live,
            },
        })
    }

    /// Begins a member. `content`: the person's data alone decides what is in it. `long`: it may have more than 4 GB.
    pub fn member(&mut self, name: &str, content: bool, long: bool) -> Result<(), Fault> {
        if self.members.len() >= MOST_MEMBERS {
            let detail = format!("more than {MOST_MEMBERS} files");
            return Err(Problem::new(Reason::ArchiveTooLarge, "limits", detail).into());
        }
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(COMPRESSION))
            .unix_permissions(0o644)
            .large_file(long);
        self.zip.start_file(name, options).map_err(|error| zip_fault(&error))?;
        self.open = Some(Open {
            name: name.to_owned(),
            digest: Context::new(&SHA256),
            bytes: 0,
            content,
        });
        Ok(())
    }

    /// Where the member's bytes are written. [`Self::drain`] takes them on from there.
    pub const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.gathered
    }

    /// Bytes of the member so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.bytes) + self.gathered.len() as u64
    }

    /// Takes on what was written, and delivers whole parts. To be called after every few kilobytes.
    pub async fn drain(&mut self) -> Result<(), Fault> {
        if self.gathered.len() >= GATHERED {
            self.compress()?;
        }
        self.parts.send(PART_BYTES).await
    }

    fn compress(&mut self) -> Result<(), Fault> {
        if let Some(open) = &mut self.open {
            open.digest.update(&self.gathered);
            open.bytes += self.gathered.len() as u64;
        }
        self.zip.write_all(&self.gathered).map_err(|error| broken(&error))?;
        self.gathered.clear();
        // One long piece must not be held for ever.
        self.gathered.shrink_to(GATHERED * 4);
        Ok(())
    }

    /// Ends the member.
    pub async fn end(&mut self, rows: Option<i64>) -> Result<(), Fault> {
        self.compress()?;
        if let Some(open) = self.open.take() {
            let member = Member {
                bytes: open.bytes,
                sha256: hex(open.digest.finish().as_ref()),
                rows,
                content: open.content,
            };
            self.members.insert(open.name, member);
        }
        self.drain().await
    }

    /// The members so far, by name.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// Hash of the person's data: the same for the same data.
    #[must_use]
    pub fn content_sha256(&self) -> String {
        let mut digest = Context::new(&SHA256);
        for (name, member) in self.members.iter().filter(|(_, member)| member.content) {
            digest.update(format!("{}  {name}\n", member.sha256).as_bytes());
        }
        hex(digest.finish().as_ref())
    }

    /// Ends the archive and delivers it, all or nothing.
    pub async fn finish(self) -> Result<Delivered, Fault> {
        let Self { zip, mut parts, .. } = self;
        let sealed = match zip.finish() {
            Ok(writer) => writer.into_inner(),
            Err(error) => {
                parts.sink.abort().await;
                return Err(zip_fault(&error));
            }
        };
        let ended = match sealed {
            Sealed::Age(writer) => writer.finish().map(drop).map_err(|error| broken(&error)),
            Sealed::Clear(_) => Ok(()),
        };
        let sent = match ended {
            Ok(()) => parts.send(1).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = sent {
            parts.sink.abort().await;
            return Err(fault);
        }
        parts.sink.finish().await?;
        Ok(Delivered {
            bytes: parts.bytes,
            parts: parts.sent,
            sha256: hex(parts.digest.finish().as_ref()),
        })
    }

    /// Gives the archive up: nothing of it stays.
    pub async fn abort(self) {
        self.parts.sink.abort().await;
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Writing into memory does not fail; what remains is a member that grew beyond what its header can say.
fn broken(_: &io::Error) -> Fault {
    Problem::new(
        Reason::ArchiveTooLarge,
        "limits",
        "a file of the archive is larger than its format allows",
    )
    .into()
}

fn zip_fault(_: &zip::result::ZipError) -> Fault {
    Problem::new(
        Reason::ArchiveTooLarge,
        "limits",
        "the archive is larger than its format allows",
    )
    .into()
}
