//! The catalog, `bundle.json`: what is serialised, and nothing else.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};

use serde::{Deserialize, Deserializer, Serialize};

use super::PIECE;
use super::left_out::LeftOut;
use crate::{
    Descriptor, Digest, Manifest, ManifestError, MediaType, PushTime, Repository, Tag, kinds,
};

/// The version of the bundle format that this code writes and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Everything that a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// Version of the format, [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Features that a reader must know to read the bundle: those of
    /// [`required_features`](super::required_features).
    pub required_features: Vec<String>,
    /// Repositories in ascending order of their names (bytes).
    pub repositories: Vec<RepositoryEntry>,
    /// Manifests, each once, in order of first use; a child stands before every index that lists it.
    pub manifests: Vec<ManifestEntry>,
    /// All other blobs, each once: configs, then layers, in order of first use.
    pub blobs: Vec<BlobEntry>,
    /// What the bundle does not hold of its source, for the other side to know.
    #[serde(skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
}

/// A repository and its tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryEntry {
    /// Name in the source registry, without a host.
    pub name: Repository,
    /// Tags by the time of their last push, oldest first; tags of one time by name.
    pub tags: Vec<TagEntry>,
    /// Manifests without a tag that are about one of the bundle (signatures, SBOMs), by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<Digest>,
}

/// A tag and what it points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagEntry {
    /// The tag.
    pub name: Tag,
    /// Digest of its manifest.
    pub digest: Digest,
    /// When the tag was last pushed to the source registry.
    pub pushed: PushTime,
    /// What the tag points to in the source registry, where it is an index of which a selection of
    /// platforms has taken a part.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub selected_from: Option<Digest>,
}

/// A manifest and what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestEntry {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Media type under which it is pushed.
    pub media_type: MediaType,
    /// Its `artifactType`, if any.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// Its `subject`, if any; the bundle need not hold it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// Manifests that it lists, in its order, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Digest>,
    /// Config and layers that the bundle holds, in its order, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Digest>,
    /// Layers that are fetched from elsewhere (`urls`) and are not in the bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<Digest>,
}

/// A config or a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobEntry {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// A field that may be left out, but is not `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    field: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

impl Catalog {
    /// Writes `bundle.json`: JSON, indented by two blanks, with a line feed at the end.
    ///
    /// # Errors
    /// As for writing.
    pub fn write_json(&self, out: impl Write) -> io::Result<()> {
        write_pretty(self, out)
    }
}

/// Writes JSON as it stands in a bundle: indented by two blanks, with a line feed at the end.
pub(super) fn write_pretty(value: &impl Serialize, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(PIECE, out);
    serde_json::to_writer_pretty(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Why a manifest is not what the catalog says of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// It is no manifest that can be carried.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Media type, size or references differ.
    #[error("bundle.json does not describe the manifest as it is")]
    Different,
}

impl ManifestEntry {
    /// Whether it is a Docker image of schema 1, whose bytes are signed before they are pushed.
    #[must_use]
    pub fn is_schema1(&self) -> bool {
        self.media_type.as_str() == kinds::DOCKER_SCHEMA1
    }

    /// Checks that this is what the bytes of the manifest say.
    ///
    /// # Errors
    /// [`DescriptionError`] when it is not.
    pub fn check(&self, raw: &[u8]) -> Result<(), DescriptionError> {
        self.check_manifest(&Manifest::parse(raw)?)
    }

    /// Checks that this is what a manifest says.
    pub(super) fn check_manifest(&self, manifest: &Manifest) -> Result<(), DescriptionError> {
        match Self::describe(manifest, |digest| self.foreign.contains(&digest)) == *self {
            true => Ok(()),
            false => Err(DescriptionError::Different),
        }
    }

    /// Describes a manifest. `is_foreign` tells for a layer with `urls` whether its bytes are
    /// elsewhere.
    #[must_use]
    pub fn describe(manifest: &Manifest, is_foreign: impl Fn(Digest) -> bool) -> Self {
        let elsewhere = |blob: &Descriptor| blob.foreign && is_foreign(blob.digest);
        let (foreign, blobs): (Vec<_>, Vec<_>) =
            manifest.blobs().iter().partition(|b| elsewhere(b));
        Self {
            digest: manifest.digest(),
            size: manifest.size(),
            media_type: manifest.media_type().clone(),
            artifact_type: manifest.artifact_type().cloned(),
            subject: manifest.subject(),
            manifests: distinct(manifest.children()),
            blobs: distinct(blobs),
            foreign: distinct(foreign),
        }
    }
}

/// Digests in order of first appearance.
fn distinct<'a>(descriptors: impl IntoIterator<Item = &'a Descriptor>) -> Vec<Digest> {
    let mut seen = HashSet::new();
    let digests = descriptors.into_iter().map(|descriptor| descriptor.digest);
    digests.filter(|digest| seen.insert(*digest)).collect()
}
