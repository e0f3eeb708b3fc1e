//! A storage in a tar archive.
//!
//! An archive as it is, in a file, is read in place: one walk from header to header finds what is
//! where. A compressed one is read in passes. One that comes down a pipe is kept in a file. What a
//! file is, its first bytes tell.

mod collect;
mod decompress;
mod extension;
mod format;
mod gzip;
mod hard_links;
mod header;
mod index;
mod input;
mod links;
mod members;
mod name;
mod packed;
mod root;
mod spool;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use tranship_common::bundle::BlobEntry;
use tranship_common::{Digest, Manifest, Progress, ReadAt, Repository, Silent, Tag};

use crate::inventory::{FoundTag, Inventory};
use crate::problem::{Problem, SourceError};
use crate::source::{BlobReader, Passing, Source, manifest_bytes};
use collect::{Collected, Witness};
use format::Format;
use header::BLOCK;
use index::Index;
use input::{FileInput, Input};
use members::{Members, TarError};
use packed::Packed;
use spool::spool_stream;

/// A storage in an archive.
#[derive(Debug)]
struct Archive {
    index: Arc<Index>,
    bytes: Bytes,
    /// What was given.
    file: Arc<File>,
}

/// Where the bytes of members are.
#[derive(Debug)]
enum Bytes {
    Plain(Arc<File>),
    Packed(Packed),
}

/// In which order the blobs of an archive will be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In that of the archive, by [`Passing`], where it is compressed.
    AsTheyPass,
    /// In any: what is compressed is kept inflated.
    Any,
}

/// Reads what is in an archive, which may be compressed with gzip or Zstandard. What is no file in
/// which one can leap, as a pipe, or as a compressed one is in which one has to, is kept in a file
/// without a name in `spool_folder`. `name` is that of the archive in messages.
///
/// # Errors
/// [`SourceError`] when it is no whole archive of one storage.
pub fn open_archive(
    file: File,
    name: &str,
    order: Order,
    spool_folder: &Path,
    progress: &dyn Progress,
) -> Result<Box<dyn Source>, SourceError> {
    let file = Arc::new(file);
    let spooled = |file: Arc<File>| -> Result<Box<dyn Source>, SourceError> {
        let stream = file.try_clone().map_err(|error| unreadable(name, error))?;
        let spooled = Arc::new(spool_stream(stream, name, spool_folder, progress)?);
        let length = spooled.metadata().map_err(|error| unreadable(name, error))?.len();
        let index = Arc::new(plain_index(&spooled, length, name, progress)?);
        Ok(Box::new(Archive { index, bytes: Bytes::Plain(spooled), file }))
    };
    let Some(length) = length_in_place(&file).map_err(|error| unreadable(name, error))? else {
        return spooled(file);
    };
    let mut head = Vec::new();
    let read = ReadAt::new(&*file, 0).take(BLOCK as u64).read_to_end(&mut head);
    read.map_err(|error| unreadable(name, error))?;
    progress.begin("reading the archive", length, 0);
    let (index, bytes) = match Format::of(&head).map_err(|what| refused(name, what))? {
        Format::Tar => {
            (Arc::new(plain_index(&file, length, name, progress)?), Bytes::Plain(file.clone()))
        }
        _ if order == Order::Any => return spooled(file),
        format => {
            let packed = Packed::read(file.clone(), format, name, progress)?;
            (packed.index().clone(), Bytes::Packed(packed))
        }
    };
    Ok(Box::new(Archive { index, bytes, file }))
}

/// The length of a file or disk that has not been read from, or `None` for what is read once.
fn length_in_place(mut file: &File) -> io::Result<Option<u64>> {
    let kind = file.metadata()?.file_type();
    if !(kind.is_file() || kind.is_block_device()) || file.stream_position()? != 0 {
        return Ok(None);
    }
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    Ok(Some(length))
}

fn plain_index(
    file: &File,
    length: u64,
    name: &str,
    progress: &dyn Progress,
) -> Result<Index, SourceError> {
    let open = |progress| Ok(FileInput::new(file, length, progress));
    indexed(name, open, &mut |_, _, _| Ok(()), progress)
}

/// Goes through an archive, and once more where there are hard links in it.
fn indexed<'p, I: Input>(
    name: &str,
    open: impl Fn(&'p dyn Progress) -> io::Result<I>,
    witness: &mut Witness<'_>,
    progress: &'p dyn Progress,
) -> Result<Index, SourceError> {
    let mut collect = || {
        let mut members = Members::new(open(progress)?);
        let mut collected = Collected::read(&mut members, witness)?;
        // The checksum of a compressed archive comes behind all else.
        members.into_input().pass_over(u64::MAX)?;
        if collected.has_hard_links() {
            collected.follow_hard_links(&mut Members::new(open(&Silent)?), witness)?;
        }
        Ok(collected)
    };
    let collected = collect().map_err(|error| match error {
        TarError::Read(error) => unreadable(name, error),
        other => refused(name, other.to_string()),
    })?;
    Index::new(name, collected).map_err(|what| refused(name, what))
}

fn refused(path: impl ToString, what: String) -> SourceError {
    SourceError::Refused { path: path.to_string(), what }
}

/// What a failure to read means: the disk's own, or that of what was read.
fn unreadable(name: &str, error: io::Error) -> SourceError {
    match error.raw_os_error() {
        Some(_) => SourceError::of_io(name, error),
        None => refused(name, error.to_string()),
    }
}

/// Whether a path leads to this file, under whatever name.
#[must_use]
pub fn is_file_at(file: &File, path: &Path) -> bool {
    let id = |file: std::fs::Metadata| (file.dev(), file.ino());
    let (own, other) = (file.metadata().map(id), std::fs::metadata(path).map(id));
    matches!((own, other), (Ok(own), Ok(other)) if own == other)
}

impl Source for Archive {
    fn inventory(&self, progress: &dyn Progress) -> Result<Inventory, SourceError> {
        progress.begin("scanning", 0, 0);
        Ok(self.index.inventory())
    }

    fn tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<FoundTag>, Problem> {
        self.index.tag(repository, tag)
    }

    fn size(&self, blob: Digest) -> Result<u64, Problem> {
        Ok(self.index.span(blob)?.size)
    }

    fn open(&self, blob: Digest) -> Result<BlobReader<'_>, Problem> {
        let span = self.index.span(blob)?;
        match &self.bytes {
            Bytes::Plain(file) => Ok(Box::new(ReadAt::new(&**file, span.offset).take(span.size))),
            Bytes::Packed(packed) => Ok(packed.open(span)?),
        }
    }

    fn location(&self, blob: Digest) -> String {
        self.index.location(blob)
    }

    fn tag_location(&self, repository: &Repository, tag: &Tag) -> String {
        self.index.tag_location(repository, tag)
    }

    fn blobs(&self) -> Result<Vec<BlobEntry>, SourceError> {
        Ok(self.index.blobs())
    }

    fn may_change(&self) -> bool {
        false
    }

    fn contains(&self, file: &Path) -> bool {
        is_file_at(&self.file, file)
    }

    fn manifest(&self, digest: Digest) -> Result<Manifest, Problem> {
        if let Bytes::Packed(packed) = &self.bytes
            && let Some(seen) = packed.manifest(digest, self.size(digest)?)
        {
            return seen;
        }
        Ok(Manifest::parse(&manifest_bytes(self.open(digest)?, digest)?)?)
    }

    fn as_passing(&self) -> Option<&dyn Passing> {
        match &self.bytes {
            Bytes::Plain(_) => None,
            Bytes::Packed(packed) => Some(packed),
        }
    }
}
