//! Packs a storage whose blobs pass by in an order of their own: each goes to its place.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};

use tranship_common::bundle::{AppendError, Entry, Placement};
use tranship_common::{Digest, Progress, Verified};
use tranship_storage::{Passing, Plan, Problem};

use super::{Damage, PackError};

/// Writes the bundle into an empty file and returns its digest. Nothing of the storage is kept
/// elsewhere.
pub(crate) fn pack_passing(
    passing: &dyn Passing,
    plan: &Plan,
    file: &File,
    progress: &dyn Progress,
) -> Result<Digest, PackError> {
    let placement = Placement::new(file, &plan.contents, &plan.layout)?;
    let damaged = each_blob(passing, plan, progress, |entry, bytes| placement.place(entry, bytes))?;
    if !damaged.is_empty() {
        return Err(PackError::Damaged(damaged));
    }
    progress.begin("hashing", plan.layout.size(), 0);
    Ok(placement.finish(|bytes| progress.add_bytes(bytes))?)
}

/// Hands each blob of a plan to `take` as it comes, and returns those that are damaged or do not
/// come.
pub(super) fn each_blob(
    passing: &dyn Passing,
    plan: &Plan,
    progress: &dyn Progress,
    mut take: impl FnMut(Entry, &mut dyn Read) -> Result<(), AppendError<io::Error>>,
) -> Result<Damage, PackError> {
    let mut missing: HashSet<Digest> =
        plan.layout.entries().iter().map(|entry| entry.digest).collect();
    let mut damaged = Vec::new();
    let mut unwritten = None;
    let mut take_one = |digest: Digest, bytes: &mut dyn Read| -> io::Result<()> {
        let entry = plan.contents.id(digest).and_then(|id| plan.layout.entry(id));
        let Some(entry) = entry.filter(|_| missing.remove(&digest)) else { return Ok(()) };
        match take(entry, &mut Verified::new(bytes, digest, entry.size)) {
            Ok(()) => progress.add_bytes(entry.size),
            Err(AppendError::Source(error)) if error.kind() == io::ErrorKind::InvalidData => {
                damaged.push((digest, Problem::from(error)));
            }
            // What cannot be read any more is no fault of the blob.
            Err(AppendError::Source(error)) => return Err(error),
            Err(AppendError::Write(error)) => {
                unwritten = Some(error);
                return Err(io::ErrorKind::Interrupted.into());
            }
            Err(AppendError::Size { .. }) => unreachable!("the reader checks each blob's size"),
        }
        Ok(())
    };
    for (digest, bytes) in &plan.made {
        take_one(*digest, &mut bytes.as_slice())?;
    }
    let is_wanted = |digest: Digest| plan.contents.id(digest).is_some();
    let passed = passing.pass(&is_wanted, &mut take_one);
    if let Some(error) = unwritten {
        return Err(PackError::Write(error));
    }
    passed.map_err(PackError::Read)?;
    damaged.extend(missing.into_iter().map(|digest| (digest, Problem::Missing)));
    Ok(damaged)
}
