//! Parts of the archive on their way to the place where it is delivered.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::archive::hex;
use super::deliver::Sink;
use super::fault::Fault;
use crate::contract::{Problem, Reason};
use crate::worker::progress::Progress;

/// Bytes of one part, as it is sent. With it an object may have 80 GB.
pub const PART_BYTES: usize = 8 << 20;

/// A part.
pub struct Part {
    /// Its bytes.
    pub bytes: Bytes,
    /// The archive is whole with it.
    pub last: bool,
    /// Takes its memory when it was sent.
    pub done: oneshot::Sender<BytesMut>,
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

/// Sends parts up to the last, with which the archive appears. Without a last one it is given up (`None`), as
/// it is when it grows beyond what is allowed.
pub async fn send(
    mut parts: Receiver<Part>,
    mut sink: Sink,
    largest: u64,
    live: Progress,
) -> Result<Option<Delivered>, Fault> {
    let mut digest = Context::new(&SHA256);
    let (mut bytes, mut count) = (0, 0);
    let ended = loop {
        let Some(part) = parts.recv().await else {
            break Ok(false);
        };
        bytes += part.bytes.len() as u64;
        if bytes > largest {
            let detail = format!("more than {largest} bytes");
            break Err(Fault::Stop(Problem::new(Reason::ArchiveTooLarge, "limits", detail)));
        }
        digest.update(&part.bytes);
        if let Err(fault) = sink.part(part.bytes.clone(), part.last).await {
            break Err(fault);
        }
        count += 1;
        live.set_bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
        // Who else holds it is about to let go of it; whoever waits for it may have ended.
        let mut memory = part
            .bytes
            .try_into_mut()
            .unwrap_or_else(|_| BytesMut::with_capacity(PART_BYTES));
        memory.clear();
        let _ = part.done.send(memory);
        if part.last {
            break Ok(true);
        }
    };
    // Whoever packs ends too.
    drop(parts);
    if ended != Ok(true) {
        sink.abort().await;
        return ended.map(|_| None);
    }
    sink.finish().await?;
    Ok(Some(Delivered {
        bytes,
        parts: count,
        sha256: hex(digest.finish().as_ref()),
    }))
}
