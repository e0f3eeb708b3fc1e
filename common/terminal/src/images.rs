//! The list of images, in the same form from both programs.

use serde::Serialize;
use tranship_common::bundle::ManifestEntry;
use tranship_common::{Digest, MediaType, Repository, Tag};

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

/// The text of a list: `REPOSITORY:TAG` a line, or a JSON array.
///
/// # Errors
/// None in practice: serialising cannot fail for these fields.
pub fn list(images: &[ListedImage], json: bool) -> serde_json::Result<String> {
    if json {
        return serde_json::to_string_pretty(images).map(|json| json + "\n");
    }
    Ok(images.iter().map(|image| format!("{}:{}\n", image.repository, image.tag)).collect())
}
