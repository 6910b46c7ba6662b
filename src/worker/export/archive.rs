//! The archive, written as a stream: members -> zip -> age -> parts of a fixed size -> the place where it is delivered.
//! Nothing of it is ever on disk in clear, and memory holds two parts at most: one is filled while the other is sent.
//!
//! Zip, because a person opens it by a double click on every system; tar is for people who know tar. Each member is
//! compressed by itself, its sizes follow it, so that no member needs to be known before it is written.
//!
//! Compressing and sealing have a thread of their own (`pack.rs`), so that the store is read and rows are written meanwhile.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::mpsc::{self, Sender};
use tokio::task::{JoinError, JoinHandle};
use zip::result::ZipError;

use super::deliver::Sink;
use super::fault::Fault;
use super::pack::{self, Piece};
use super::send::{self, Delivered, Part};
use crate::contract::{Problem, Reason};
use crate::worker::progress::Progress;

/// What is written is gathered up to this before it is hashed and handed on.
const GATHERED: usize = 64 << 10;

/// Pieces that wait to be packed.
const WAITING: usize = 2;

/// More files than this would make the list of them larger than what they hold is worth.
const MOST_MEMBERS: usize = 20_000;

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

struct Open {
    name: String,
    digest: Context,
    bytes: u64,
    content: bool,
}

struct Working {
    packing: JoinHandle<Result<(), ZipError>>,
    sending: JoinHandle<Result<Option<Delivered>, Fault>>,
}

impl Working {
    async fn end(self) -> Result<Delivered, Fault> {
        match joined(self.sending.await)? {
            Some(delivered) => Ok(delivered),
            // Nothing fails while it is sent, so it does while it is packed.
            None => Err(joined(self.packing.await)
                .err()
                .map_or_else(given_up, |error| pack::fault(&error))),
        }
    }
}

/// An archive under way.
pub struct Archive {
    gathered: Vec<u8>,
    open: Option<Open>,
    members: BTreeMap<String, Member>,
    pieces: Sender<Piece>,
    /// Who packs and who sends; none where they have ended.
    working: Option<Working>,
}

impl Archive {
    /// Begins an archive. No recipient: it is not sealed.
    pub fn begin(
        recipients: &[age::x25519::Recipient],
        sink: Sink,
        largest: u64,
        live: &Progress,
    ) -> Result<Self, Fault> {
        let (parts, receiver) = mpsc::channel::<Part>(1);
        let packer = pack::begin(recipients, parts)?;
        let (pieces, waiting) = mpsc::channel(WAITING);
        Ok(Self {
            gathered: Vec::with_capacity(GATHERED * 2),
            open: None,
            members: BTreeMap::new(),
            pieces,
            working: Some(Working {
                packing: tokio::task::spawn_blocking(move || packer.pack(waiting)),
                sending: tokio::spawn(send::send(receiver, sink, largest, live.clone())),
            }),
        })
    }

    /// Begins a member. `content`: the person's data alone decides what is in it. `long`: it may have more than 4 GB.
    pub async fn member(&mut self, name: &str, content: bool, long: bool) -> Result<(), Fault> {
        if self.members.len() >= MOST_MEMBERS {
            let detail = format!("more than {MOST_MEMBERS} files");
            return Err(Problem::new(Reason::ArchiveTooLarge, "limits", detail).into());
        }
        let begin = Piece::Member(name.to_owned(), long);
        self.hand_on(begin).await?;
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

    /// Hands on what was written. To be called after every few kilobytes.
    pub async fn drain(&mut self) -> Result<(), Fault> {
        if self.gathered.len() >= GATHERED {
            self.hand_on_bytes().await?;
        }
        Ok(())
    }

    async fn hand_on_bytes(&mut self) -> Result<(), Fault> {
        // With room for what the last row adds.
        let bytes = std::mem::replace(&mut self.gathered, Vec::with_capacity(GATHERED + GATHERED / 8));
        if let Some(open) = &mut self.open {
            open.digest.update(&bytes);
            open.bytes += bytes.len() as u64;
        }
        self.hand_on(Piece::Bytes(bytes)).await
    }

    async fn hand_on(&mut self, piece: Piece) -> Result<(), Fault> {
        if self.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        // Whoever packs has ended, since it or whoever sends cannot go on.
        match self.working.take() {
            Some(working) => working.end().await.map(drop),
            None => Err(given_up()),
        }
    }

    /// Ends the member.
    pub async fn end(&mut self, rows: Option<i64>) -> Result<(), Fault> {
        self.hand_on_bytes().await?;
        if let Some(open) = self.open.take() {
            let member = Member {
                bytes: open.bytes,
                sha256: hex(open.digest.finish().as_ref()),
                rows,
                content: open.content,
            };
            self.members.insert(open.name, member);
        }
        Ok(())
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
    pub async fn finish(mut self) -> Result<Delivered, Fault> {
        self.hand_on(Piece::End).await?;
        match self.working {
            Some(working) => working.end().await,
            None => Err(given_up()),
        }
    }

    /// Gives the archive up: nothing of it stays.
    pub async fn abort(self) {
        // Without a last part, what was sent is given up.
        drop(self.pieces);
        if let Some(working) = self.working {
            let _ = working.end().await;
        }
    }
}

fn given_up() -> Fault {
    Fault::stop(Reason::Interrupted)
}

/// What a task of ours came to. It panics where the task did.
fn joined<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// In hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
