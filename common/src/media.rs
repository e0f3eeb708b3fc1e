//! Media types and descriptors (OCI image specification, descriptor.md).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The media types that decide how something is read or named.
pub mod kinds {
    /// Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image manifest, schema 1: the payload, without signatures.
    pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
    /// The same as it travels, with signatures.
    pub const DOCKER_SCHEMA1_SIGNED: &str =
        "application/vnd.docker.distribution.manifest.v1+prettyjws";
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
}

/// A media type, kept as it was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Cow<'_, str>")]
pub struct MediaType(Cow<'static, str>);

impl MediaType {
    /// The media type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether layers of this kind may be absent from a registry and fetched from their `urls`
    /// (Docker's foreign layers, OCI's non-distributable ones).
    #[must_use]
    pub fn may_be_elsewhere(&self) -> bool {
        self.0.starts_with("application/vnd.docker.image.rootfs.foreign.")
            || self.0.starts_with("application/vnd.oci.image.layer.nondistributable.")
    }

    /// Whether this is an image or an index of Docker's schema 2 or of OCI, so that it is known in
    /// which fields its references stand.
    #[must_use]
    pub fn is_of_schema2(&self) -> bool {
        COMMON.contains(&self.as_str())
    }

    /// Whether this is the type of a layer or a config. An index may list such (BuildKit's caches
    /// do); whatever else it lists is a manifest.
    #[must_use]
    pub fn is_never_a_manifest(&self) -> bool {
        NEVER_MANIFESTS.iter().any(|prefix| self.0.starts_with(prefix))
    }
}

/// How the types of layers and configs begin.
const NEVER_MANIFESTS: [&str; 5] = [
    "application/vnd.oci.image.layer.",
    "application/vnd.oci.image.config.",
    "application/vnd.docker.image.rootfs.",
    "application/vnd.docker.container.image.",
    "application/vnd.buildkit.",
];

/// The types that nearly all manifests have; they take no memory of their own.
const COMMON: [&str; 4] =
    [kinds::DOCKER_MANIFEST, kinds::DOCKER_LIST, kinds::OCI_MANIFEST, kinds::OCI_INDEX];

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        match COMMON.iter().find(|common| **common == text) {
            Some(common) => Self(Cow::Borrowed(common)),
            None => Self(Cow::Owned(text.to_owned())),
        }
    }
}

impl From<Cow<'_, str>> for MediaType {
    fn from(text: Cow<'_, str>) -> Self {
        Self::from(&*text)
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a manifest says of a blob or of another manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Size in bytes as the manifest declares it, where it declares one that can be; registries do
    /// not check it.
    pub size: Option<u64>,
    /// Whether the bytes are fetched from `urls` elsewhere and may be absent here
    /// (foreign or non-distributable layers).
    pub foreign: bool,
}
