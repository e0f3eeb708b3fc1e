//! Writes a planned bundle.

mod in_order;
mod passing;

use std::io::{self, Read};

use rayon::ThreadPool;
use tranship_common::bundle::{AppendError, Entry, Writer};
use tranship_common::{Digest, Progress};
use tranship_storage::{Plan, Problem, Source};

pub(crate) use passing::pack_passing;

use in_order::in_order;

/// Blobs whose bytes are not what they should be.
pub(crate) type Damage = Vec<(Digest, Problem)>;

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("{} of the storage cannot be packed", indicatif::HumanCount(.0.len() as u64))]
    Damaged(Damage),
    #[error("cannot read the storage")]
    Read(#[source] io::Error),
    #[error("cannot write the bundle")]
    Write(#[from] io::Error),
}

/// Writes the bundle to `out` and returns its digest: many threads read and hash, one writes.
///
/// When a blob turns out to be damaged, the rest is read and hashed all the same, without being
/// written, so that the error lists everything that is damaged.
pub(crate) fn pack(
    source: &dyn Source,
    plan: &Plan,
    out: impl io::Write,
    readers: &ThreadPool,
    progress: &dyn Progress,
) -> Result<Digest, PackError> {
    let mut writer = Writer::new(out, &plan.contents, &plan.layout)?;
    let mut damaged = Vec::new();
    in_order(readers, source, plan, |entry, pieces| {
        let next = || match pieces.recv() {
            Ok(Ok(piece)) => {
                progress.add_bytes(piece.len() as u64);
                Ok(Some(piece))
            }
            Ok(Err(problem)) => Err(problem),
            Err(_) => Ok(None),
        };
        if damaged.is_empty() {
            match writer.append(next) {
                Ok(()) => return Ok(()),
                Err(AppendError::Source(problem)) => damaged.push((entry.digest, problem)),
                Err(AppendError::Write(error)) => return Err(PackError::Write(error)),
                Err(AppendError::Size { .. }) => {
                    unreachable!("the readers check each blob's size")
                }
            }
        } else {
            let problem = pieces.iter().find_map(Result::err);
            damaged.extend(problem.map(|problem| (entry.digest, problem)));
        }
        Ok(())
    })?;
    match damaged.is_empty() {
        true => Ok(writer.finish()?),
        false => Err(PackError::Damaged(damaged)),
    }
}

/// Reads and hashes all blobs without writing anything, and returns what is damaged.
pub(crate) fn find_damage(
    source: &dyn Source,
    plan: &Plan,
    readers: &ThreadPool,
    progress: &dyn Progress,
) -> Result<Damage, PackError> {
    if let Some(passing) = source.as_passing() {
        let discard = |_: Entry, bytes: &mut dyn Read| match io::copy(bytes, &mut io::sink()) {
            Ok(_) => Ok(()),
            Err(error) => Err(AppendError::Source(error)),
        };
        return passing::each_blob(passing, plan, progress, discard);
    }
    let mut damaged = Vec::new();
    in_order(readers, source, plan, |entry, pieces| {
        for piece in pieces {
            match piece {
                Ok(piece) => progress.add_bytes(piece.len() as u64),
                Err(problem) => damaged.push((entry.digest, problem)),
            }
        }
        Ok(())
    })?;
    Ok(damaged)
}
