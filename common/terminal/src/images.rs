//! The list of images, in the same form from both programs.

use std::io;

use serde::Serialize;
use tranship_common::bundle::ManifestEntry;
use tranship_common::{Digest, MediaType, Repository, Tag};

use crate::terminal::Terminal;

/// An image in a list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedImage {
    repository: Repository,
    tag: Tag,
    digest: Digest,
    media_type: MediaType,
    size: u64,
}

impl ListedImage {
    /// An image and the manifest that its tag points to; `size` is the manifest's, in bytes.
    #[must_use]
    pub fn new(repository: &Repository, tag: &Tag, manifest: &ManifestEntry) -> Self {
        Self {
            repository: repository.clone(),
            tag: tag.clone(),
            digest: manifest.digest,
            media_type: manifest.media_type.clone(),
            size: manifest.size,
        }
    }
}

/// Prints a list: `REPOSITORY:TAG` a line, or a JSON array.
///
/// # Errors
/// As for writing.
pub fn list(images: &[ListedImage], json: bool, terminal: Terminal) -> io::Result<()> {
    if json {
        return terminal.json(images);
    }
    let line = |image: &ListedImage| format!("{}:{}\n", image.repository, image.tag);
    terminal.result(&images.iter().map(line).collect::<String>())
}
