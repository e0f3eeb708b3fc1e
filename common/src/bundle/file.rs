//! Reads a bundle at random from a file.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use super::contents::Contents;
use super::layout::{Entry, Layout};
use super::read_error::{OpenError, ReadError};
use super::stream::Stream;
use crate::{Digest, ReadAt, Verified};

/// A bundle file that is open, its front read and checked.
#[derive(Debug)]
pub struct BundleFile {
    file: File,
    size: u64,
    contents: Arc<Contents>,
    layout: Layout,
}

impl BundleFile {
    /// Opens a bundle and checks everything in front of the blobs.
    ///
    /// # Errors
    /// [`OpenError`]; a file that cannot be opened is its `Io` at byte 0.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let cannot_open = |source| OpenError::Io { offset: 0, source };
        let file = File::open(path).map_err(cannot_open)?;
        let metadata = file.metadata().map_err(cannot_open)?;
        if !metadata.is_file() {
            return Err(OpenError::NotAFile);
        }
        let size = metadata.len();
        let (contents, layout) = Stream::open(BufReader::new(&file))?.into_parts();
        Ok(Self { file, size, contents, layout })
    }

    /// What the bundle holds.
    #[must_use]
    pub fn contents(&self) -> &Arc<Contents> {
        &self.contents
    }

    /// Where everything is.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Size of the file in bytes, which differs from the layout's when it was cut off.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.size
    }

    /// The place of a manifest or blob.
    #[must_use]
    pub fn entry(&self, digest: Digest) -> Option<Entry> {
        self.layout.entry(self.contents.id(digest)?)
    }

    /// A reader of an entry's bytes that checks them: see [`Verified`].
    #[must_use]
    pub fn reader(&self, entry: Entry) -> impl Read + '_ {
        let bytes = ReadAt::new(&self.file, entry.offset);
        Verified::new(bytes.take(entry.size), entry.digest, entry.size)
    }

    /// Reads an entry whole; meant for small ones.
    ///
    /// # Errors
    /// [`ReadError`] when the bytes are damaged, cut off or cannot be read.
    pub fn read(&self, entry: Entry) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        self.reader(entry)
            .read_to_end(&mut bytes)
            .map_err(|error| ReadError::from_io(entry.offset, error))?;
        Ok(bytes)
    }

    /// Reads raw bytes of the file.
    pub(super) fn raw(&self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        ReadAt::new(&self.file, offset).take(size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
