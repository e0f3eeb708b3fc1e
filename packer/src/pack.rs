//! Writes a planned bundle: many threads read and hash, one writes.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::ThreadPool;
use tranship_common::bundle::{AppendError, Entry, Layout, Writer};
use tranship_common::{Digest, Progress, Verified};

use crate::plan::Plan;
use crate::storage::{Problem, Storage};

/// Blobs travel from the readers to the writer in pieces of this many bytes.
const PIECE: usize = 256 << 10;

/// Pieces of one blob that may wait for the writer.
const PIECES_AHEAD: usize = 2;

/// Blobs that are read ahead of the writer, for each reader. Together with the pieces' size and
/// number this bounds the memory: 4 MiB for each reader.
const BLOBS_AHEAD: usize = 8;

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("{} of the storage cannot be packed", indicatif::HumanCount(.0.len() as u64))]
    Broken(Vec<(Digest, PathBuf, Problem)>),
    #[error("cannot write the bundle")]
    Write(#[source] io::Error),
}

type Piece = Result<Vec<u8>, Problem>;

/// Writes the bundle to `out` and returns its digest.
///
/// When a blob turns out to be damaged, the rest is read and hashed all the same, without being
/// written, so that the error lists everything that is damaged.
pub(crate) fn pack(
    storage: &Storage,
    plan: &Plan,
    out: impl Write,
    readers: &ThreadPool,
    progress: &dyn Progress,
) -> Result<Digest, PackError> {
    let Plan { contents, layout, .. } = plan;
    let mut writer = Writer::new(out, contents, layout).map_err(PackError::Write)?;
    let mut broken = Vec::new();
    in_order(readers, storage, layout.entries(), |entry, pieces| {
        let next = || match pieces.recv() {
            Ok(Ok(piece)) => {
                progress.add_bytes(piece.len() as u64);
                Ok(Some(piece))
            }
            Ok(Err(problem)) => Err(problem),
            Err(_) => Ok(None),
        };
        if broken.is_empty() {
            match writer.append(next) {
                Ok(()) => return Ok(()),
                Err(AppendError::Source(problem)) => broken.push((entry, problem)),
                Err(AppendError::Write(error)) => return Err(PackError::Write(error)),
                Err(AppendError::Size { .. }) => {
                    unreachable!("the readers check each blob's size")
                }
            }
        } else {
            broken.extend(pieces.iter().find_map(Result::err).map(|problem| (entry, problem)));
        }
        Ok(())
    })?;
    if broken.is_empty() {
        return writer.finish().map_err(PackError::Write);
    }
    let named = |(entry, problem): (Entry, Problem)| {
        (entry.digest, storage.blob_path(entry.digest), problem)
    };
    Err(PackError::Broken(broken.into_iter().map(named).collect()))
}

/// Reads and hashes all blobs without writing anything, and returns what is damaged.
pub(crate) fn find_damage(
    storage: &Storage,
    layout: &Layout,
    readers: &ThreadPool,
    progress: &dyn Progress,
) -> Result<Vec<(Digest, PathBuf, Problem)>, PackError> {
    let mut damaged = Vec::new();
    in_order(readers, storage, layout.entries(), |entry, pieces| {
        for piece in pieces {
            match piece {
                Ok(piece) => progress.add_bytes(piece.len() as u64),
                Err(problem) => {
                    damaged.push((entry.digest, storage.blob_path(entry.digest), problem));
                }
            }
        }
        Ok(())
    })?;
    Ok(damaged)
}

/// Has the readers read blobs side by side, and hands each to `take` in the order of `entries`.
fn in_order(
    readers: &ThreadPool,
    storage: &Storage,
    entries: &[Entry],
    mut take: impl FnMut(Entry, Receiver<Piece>) -> Result<(), PackError>,
) -> Result<(), PackError> {
    // Tasks start in the order in which they are spawned, so the blob that the writer waits for
    // is always among those being read, and no reader can be blocked for good.
    readers.in_place_scope_fifo(|scope| {
        let mut ahead = VecDeque::new();
        let mut to_read = entries.iter().copied();
        loop {
            while ahead.len() < readers.current_num_threads() * BLOBS_AHEAD {
                let Some(entry) = to_read.next() else { break };
                let (sender, receiver) = sync_channel(PIECES_AHEAD);
                scope.spawn_fifo(move |_| read_blob(storage, entry, &sender));
                ahead.push_back((entry, receiver));
            }
            let Some((entry, receiver)) = ahead.pop_front() else { return Ok(()) };
            take(entry, receiver)?;
        }
    })
}

/// Sends a blob's bytes piece by piece, or the problem that it has. Ends early when nobody
/// receives any more.
fn read_blob(storage: &Storage, entry: Entry, sender: &SyncSender<Piece>) {
    let send_all = || -> Result<(), Problem> {
        let (file, _) = storage.open(&storage.blob_path(entry.digest))?;
        let mut reader = Verified::new(file, entry.digest, entry.size);
        loop {
            // One byte more than is left makes the reader see, and check, the end.
            let mut piece = Vec::with_capacity(PIECE.min(entry.size as usize + 1));
            let limit = piece.capacity() as u64;
            let read = reader.by_ref().take(limit).read_to_end(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            if sender.send(Ok(piece)).is_err() {
                return Ok(());
            }
        }
    };
    if let Err(problem) = send_all() {
        // Nobody receives any more when the writer has failed.
        let _ = sender.send(Err(problem));
    }
}
