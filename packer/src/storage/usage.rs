//! What a storage tree takes on the disk.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use rayon::prelude::*;

use super::Storage;

/// Blob files of a storage tree, tagged or not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Number of blobs.
    pub(crate) blobs: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

impl Usage {
    /// Looks at the size of every blob. What cannot be read is not counted: where a tag needs
    /// it, the scan says so.
    pub(crate) fn measure(storage: &Storage) -> Self {
        let folders = children(&storage.blobs());
        folders
            .par_iter()
            .flat_map(|folder| children(folder))
            .filter_map(|blob| fs::metadata(blob.join(OsStr::new("data"))).ok())
            .map(|data| Self { blobs: 1, bytes: data.len() })
            .reduce(Self::default, |a, b| Self {
                blobs: a.blobs + b.blobs,
                bytes: a.bytes + b.bytes,
            })
    }
}

fn children(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}
