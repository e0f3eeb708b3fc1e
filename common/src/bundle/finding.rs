//! Something that is wrong in a bundle.

use serde::Serialize;

use crate::Digest;

/// What sort of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FindingKind {
    /// Bytes are not as they should be.
    Damaged,
    /// The bundle ends too early.
    CutOff,
    /// Something is in the bundle that nothing needs.
    Added,
    /// Something stands in the place of another.
    Misplaced,
}

/// Something that is wrong in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What sort of thing is wrong.
    pub kind: FindingKind,
    /// Where, in bytes from the start of the bundle.
    pub offset: u64,
    /// The manifest or blob concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What is wrong.
    pub what: String,
    /// What it breaks: images, as `REPOSITORY:TAG`, and referrers, as `REPOSITORY@DIGEST`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}
