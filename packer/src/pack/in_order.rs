//! Reads blobs side by side and hands them over in the order of the bundle.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::ThreadPool;
use tranship_common::Verified;
use tranship_common::bundle::Entry;
use tranship_storage::{BlobReader, Plan, Problem, Source};

use super::PackError;

/// Blobs travel from the readers to the writer in pieces of this many bytes.
const PIECE: usize = 256 << 10;

/// Pieces of one blob that may wait for the writer.
const PIECES_AHEAD: usize = 2;

/// Blobs that are read ahead of the writer, for each reader. Together with the pieces' size and
/// number this bounds the memory: 4 MiB for each reader.
const BLOBS_AHEAD: usize = 8;

pub(super) type Piece = Result<Vec<u8>, Problem>;

/// Has the readers read the blobs of a plan side by side, and hands each to `take` in the order of
/// the bundle.
pub(super) fn in_order(
    readers: &ThreadPool,
    source: &dyn Source,
    plan: &Plan,
    mut take: impl FnMut(Entry, Receiver<Piece>) -> Result<(), PackError>,
) -> Result<(), PackError> {
    // Tasks start in the order in which they are spawned, so the blob that the writer waits for
    // is always among those being read, and no reader can be blocked for good.
    readers.in_place_scope_fifo(|scope| {
        let mut ahead = VecDeque::new();
        let mut to_read = plan.layout.entries().iter().copied();
        loop {
            while ahead.len() < readers.current_num_threads() * BLOBS_AHEAD {
                let Some(entry) = to_read.next() else { break };
                let (sender, receiver) = sync_channel(PIECES_AHEAD);
                scope.spawn_fifo(move |_| read_blob(source, plan, entry, &sender));
                ahead.push_back((entry, receiver));
            }
            let Some((entry, receiver)) = ahead.pop_front() else { return Ok(()) };
            take(entry, receiver)?;
        }
    })
}

/// Opens a blob of the plan, or what was made for it.
fn open<'a>(
    source: &'a dyn Source,
    plan: &'a Plan,
    entry: Entry,
) -> Result<BlobReader<'a>, Problem> {
    match plan.made.get(&entry.digest) {
        Some(made) => Ok(Box::new(made.as_slice())),
        None => source.open(entry.digest),
    }
}

/// Sends a blob's bytes piece by piece, or the problem that it has. Ends early when nobody
/// receives any more.
fn read_blob(source: &dyn Source, plan: &Plan, entry: Entry, sender: &SyncSender<Piece>) {
    let send_all = || -> Result<(), Problem> {
        let mut reader = Verified::new(open(source, plan, entry)?, entry.digest, entry.size);
        loop {
            // One byte more than is left makes the reader see, and check, the end.
            let mut piece = Vec::with_capacity(PIECE.min(entry.size as usize + 1));
            let limit = piece.capacity() as u64;
            let read = reader.by_ref().take(limit).read_to_end(&mut piece)? as u64;
            // What stays below the limit has come to the end, and was checked there.
            if read > 0 && sender.send(Ok(piece)).is_err() || read < limit {
                return Ok(());
            }
        }
    };
    if let Err(problem) = send_all() {
        // Nobody receives any more when the writer has failed.
        let _ = sender.send(Err(problem));
    }
}
