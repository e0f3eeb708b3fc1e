//! The place of every byte of a bundle, known before the first is written.

use super::CATALOG_NAME;
use super::blob_id::BlobId;
use super::catalog::BlobEntry;
use super::contents::Contents;
use super::image_index::image_index;
use super::tar_header::{BLOCK, header, padding};
use crate::Digest;

/// The content of the file `oci-layout` (OCI image specification, image-layout.md).
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Two blocks of zeros end a tar archive (bytes).
pub(super) const TRAILER: u64 = 2 * BLOCK;

/// A file at the front of the bundle, in front of the blobs.
#[derive(Debug, Clone)]
pub(super) struct FrontFile {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

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
        blob_name(self.digest)
    }

    /// The tar header in front of the bytes.
    pub(super) fn header(&self) -> Vec<u8> {
        header(&self.name(), self.size)
    }
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The place of every byte of a bundle.
#[derive(Debug, Clone)]
pub struct Layout {
    front: [FrontFile; 4],
    entries: Vec<Entry>,
    size: u64,
}

impl Layout {
    /// The layout of a bundle to be written.
    #[must_use]
    pub fn new(contents: &Contents) -> Self {
        Self::with_catalog(contents, contents.catalog().to_json())
    }

    /// The layout that goes with the given bytes of `bundle.json`.
    pub(super) fn with_catalog(contents: &Contents, catalog: Vec<u8>) -> Self {
        let described = [
            FrontFile { name: "oci-layout", bytes: OCI_LAYOUT.to_vec() },
            FrontFile { name: CATALOG_NAME, bytes: catalog },
            FrontFile { name: "index.json", bytes: image_index(contents) },
        ];
        let mut sums = String::new();
        for file in &described {
            sums += &format!("{}  {}\n", Digest::of(&file.bytes).hex(), file.name);
        }
        for entry in contents.entries() {
            sums += &format!("{}  {}\n", entry.digest.hex(), blob_name(entry.digest));
        }
        let [oci_layout, bundle, index] = described;
        let sums = FrontFile { name: "SHA256SUMS", bytes: sums.into_bytes() };
        let front = [oci_layout, bundle, index, sums];

        let mut end = front_size(&front);
        let mut entries = Vec::new();
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

    pub(super) fn front(&self) -> &[FrontFile; 4] {
        &self.front
    }

    /// All bytes in front of the first entry.
    pub(super) fn front_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(front_size(&self.front) as usize);
        for file in &self.front {
            let size = file.bytes.len() as u64;
            bytes.extend(header(file.name, size));
            bytes.extend(&file.bytes);
            bytes.resize(bytes.len() + padding(size) as usize, 0);
        }
        bytes
    }
}

fn front_size(front: &[FrontFile]) -> u64 {
    front
        .iter()
        .map(|file| {
            let size = file.bytes.len() as u64;
            BLOCK + size + padding(size)
        })
        .sum()
}
