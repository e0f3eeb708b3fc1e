//! The place of every byte of a bundle, known before the first is written.

use super::blob_id::BlobId;
use super::catalog::BlobEntry;
use super::contents::Contents;
use super::front::{Front, entry_name};
use super::tar_header::{BLOCK, header, padding};
use crate::Digest;

/// Two blocks of zeros end a tar archive (bytes).
pub(super) const TRAILER: u64 = 2 * BLOCK;

/// A manifest or blob in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its identity within the bundle.
    pub id: BlobId,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Where its tar header begins, counted in bytes from the start of the bundle.
    pub header_offset: u64,
    /// Where its bytes begin, counted in bytes from the start of the bundle.
    pub offset: u64,
}

impl Entry {
    /// The name in the archive.
    #[must_use]
    pub fn name(&self) -> String {
        entry_name(self.digest)
    }

    /// The tar header in front of the bytes.
    pub(super) fn header(&self) -> Vec<u8> {
        header(&self.name(), self.size)
    }
}

/// The place of every byte of a bundle.
#[derive(Debug, Clone)]
pub struct Layout {
    front: Front,
    entries: Vec<Entry>,
    size: u64,
}

impl Layout {
    /// The layout of the bundle with this catalog.
    #[must_use]
    pub fn new(contents: &Contents) -> Self {
        let front = Front::new(contents);
        let mut end = front.size();
        let mut entries = Vec::with_capacity(contents.ids().len());
        for id in contents.ids() {
            let BlobEntry { digest, size } = contents.entry(id);
            let mut entry = Entry { id, digest, size, header_offset: end, offset: end };
            entry.offset += entry.header().len() as u64;
            end = entry.offset + entry.size + padding(entry.size);
            entries.push(entry);
        }
        Self { front, entries, size: end + TRAILER }
    }

    /// Manifests, then blobs, in the order of the archive.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The place of a manifest or blob; `None` when the id is of a bundle with more entries.
    #[must_use]
    pub fn entry(&self, id: BlobId) -> Option<Entry> {
        self.entries.get(id.index()).copied()
    }

    /// Size of the whole bundle in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What stands in front of the first entry.
    pub(super) fn front(&self) -> &Front {
        &self.front
    }
}
