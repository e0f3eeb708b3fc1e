//! Findings: what is broken in the storage, and which images that concerns.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use tranship_common::Digest;

use crate::storage::{BrokenTag, FoundTag, Problem};

/// Something broken in the storage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    /// The images that it breaks, sorted: `REPOSITORY:TAG`.
    pub(crate) images: Vec<String>,
    /// The blob, manifest or tagged manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    /// The file or folder to look at.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) problem: String,
}

impl Finding {
    pub(crate) fn of_tag(broken: BrokenTag) -> Self {
        Self {
            images: vec![broken.name],
            digest: broken.digest,
            path: broken.path.display().to_string(),
            problem: broken.problem.to_string(),
        }
    }

    pub(crate) fn of_blob<'a>(
        digest: Digest,
        path: &Path,
        problem: &Problem,
        tags: impl Iterator<Item = &'a FoundTag>,
    ) -> Self {
        let mut images: Vec<String> =
            tags.map(|tag| format!("{}:{}", tag.repository, tag.tag)).collect();
        images.sort();
        let path = path.display().to_string();
        Self { images, digest: Some(digest), path, problem: problem.to_string() }
    }
}

impl fmt::Display for Finding {
    /// The thing, its path and problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(digest) = &self.digest {
            write!(f, "{digest} ")?;
        }
        write!(f, "({}): {}", self.path, self.problem)
    }
}
