//! What every kind of storage can tell and give.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use tranship_common::bundle::BlobEntry;
use tranship_common::limits::MAX_MANIFEST;
use tranship_common::{Digest, Manifest, ManifestError, Progress, Repository, Tag, VerifyError};

use crate::inventory::{FoundTag, Inventory};
use crate::problem::{Problem, SourceError};

/// Bytes of a blob as they stand in the storage, checked by nobody.
pub type BlobReader<'a> = Box<dyn Read + Send + 'a>;

/// A registry's storage, read only: a folder, an archive of it, a bucket.
pub trait Source: fmt::Debug + Send + Sync {
    /// Repositories, tags and revisions.
    ///
    /// # Errors
    /// [`SourceError`] when it cannot be read at all; what is broken in it is part of the
    /// inventory.
    fn inventory(&self, progress: &dyn Progress) -> Result<Inventory, SourceError>;

    /// Reads one tag again, or `None` when it is gone.
    ///
    /// # Errors
    /// [`Problem`] when it is there and cannot be used.
    fn tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<FoundTag>, Problem>;

    /// The size of a blob as it is stored, in bytes.
    ///
    /// # Errors
    /// [`Problem::Missing`], or what hinders.
    fn size(&self, blob: Digest) -> Result<u64, Problem>;

    /// Opens a blob.
    ///
    /// # Errors
    /// As for [`size`](Self::size).
    fn open(&self, blob: Digest) -> Result<BlobReader<'_>, Problem>;

    /// Where a blob is, for messages only: a path, a member of an archive, a URL.
    fn location(&self, blob: Digest) -> String;

    /// Where the link of a tag is, for messages only.
    fn tag_location(&self, repository: &Repository, tag: &Tag) -> String;

    /// All blobs with their sizes, tagged or not, in any order.
    ///
    /// # Errors
    /// As for [`inventory`](Self::inventory). A blob that cannot be looked at is left out.
    fn blobs(&self) -> Result<Vec<BlobEntry>, SourceError>;

    /// How many reads at once serve best, given the number of processors.
    fn side_by_side(&self, processors: usize) -> usize {
        processors
    }

    /// Whether a registry may be changing it while it is read.
    fn may_change(&self) -> bool;

    /// Whether a file is part of it, given by its canonical path, or by that of its folder and its
    /// name where it is not there yet: nothing may be written to such a file.
    fn contains(&self, file: &Path) -> bool;

    /// Reads, checks and describes a manifest.
    ///
    /// # Errors
    /// [`Problem`].
    fn manifest(&self, digest: Digest) -> Result<Manifest, Problem> {
        Ok(Manifest::parse(&manifest_bytes(self.open(digest)?, digest)?)?)
    }

    /// The storage as one that gives its blobs in an order of its own, where reading it at random
    /// would be slow.
    fn as_passing(&self) -> Option<&dyn Passing> {
        None
    }
}

/// A storage whose bytes pass by: a compressed archive.
pub trait Passing {
    /// Reads it from front to back once and hands over the blobs that `is_wanted`, each as it
    /// comes and no more than once. What `take` leaves unread of one is passed over.
    ///
    /// # Errors
    /// The first that `take` returns; one of reading otherwise.
    fn pass(
        &self,
        is_wanted: &dyn Fn(Digest) -> bool,
        take: &mut dyn FnMut(Digest, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()>;
}

/// The bytes of a manifest, checked against its digest.
///
/// # Errors
/// [`Problem`] when they are too many, others, or cannot be read.
pub(crate) fn manifest_bytes(reader: impl Read, digest: Digest) -> Result<Vec<u8>, Problem> {
    let mut raw = Vec::new();
    reader.take(MAX_MANIFEST + 1).read_to_end(&mut raw)?;
    if raw.len() as u64 > MAX_MANIFEST {
        return Err(ManifestError::TooLarge(raw.len() as u64).into());
    }
    let got = Digest::of(&raw);
    if got == digest { Ok(raw) } else { Err(VerifyError::Digest { want: digest, got }.into()) }
}
