//! Manifests: their exact bytes, and the descriptors that these refer to.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Digest;
use crate::digest::ParseDigestError;
use crate::limits::{MAX_MANIFEST, MAX_MEDIA_TYPE};
use crate::media::{Descriptor, MediaType, kinds};
use crate::quote::explained;

/// Why bytes are not a manifest that can be carried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than [`MAX_MANIFEST`].
    #[error("the manifest has {0} bytes, more than the {MAX_MANIFEST} that registries accept")]
    TooLarge(u64),
    /// A media type or artifact type of more bytes than [`MAX_MEDIA_TYPE`].
    #[error(
        "`{field}` of the manifest has {length} bytes, more than the {MAX_MEDIA_TYPE} that \
         registries keep"
    )]
    LongType {
        /// The manifest's field.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// Not JSON, or not of a manifest's shape.
    #[error("the manifest cannot be read: {0}")]
    Malformed(String),
    /// A Docker image manifest of schema 1.
    #[error(
        "Docker schema 1 manifests are not carried yet; push the image again with a current client"
    )]
    Schema1,
    /// Nothing in it tells what it refers to.
    #[error(
        "nothing is known of media type `{0}`, and it has no config, layers, manifests or blobs to follow"
    )]
    Unknown(MediaType),
    /// One of its descriptors has no usable digest.
    #[error("`{field}` of the manifest: {source}")]
    Reference {
        /// The manifest's field that holds the descriptor.
        field: &'static str,
        /// What is wrong with its digest.
        #[source]
        source: ParseDigestError,
    },
}

/// A manifest, an index or an artifact: exact bytes and a view of what they refer to.
///
/// Covers Docker schema 2 and manifest lists, OCI image manifests and indexes (OCI image
/// specification, manifest.md and image-index.md), the OCI artifact manifest of the 1.1 release
/// candidates, and any other media type whose references stand in fields of the same names.
#[derive(Debug, Clone)]
pub struct Manifest {
    raw: Box<[u8]>,
    digest: Digest,
    media_type: MediaType,
    artifact_type: Option<MediaType>,
    children: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
    has_config: bool,
    subject: Option<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    artifact_type: Option<MediaType>,
    config: Option<Reference>,
    layers: Option<Vec<Reference>>,
    manifests: Option<Vec<Reference>>,
    blobs: Option<Vec<Reference>>,
    subject: Option<Reference>,
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    media_type: Option<MediaType>,
    digest: String,
    #[serde(default)]
    size: u64,
    urls: Option<Vec<IgnoredAny>>,
}

impl Reference {
    fn descriptor(self, field: &'static str) -> Result<Descriptor, ManifestError> {
        let digest =
            self.digest.parse().map_err(|source| ManifestError::Reference { field, source })?;
        let media_type = self.media_type.unwrap_or_else(|| "".into());
        let foreign = self.urls.is_some_and(|urls| !urls.is_empty());
        Ok(Descriptor { media_type, digest, size: self.size, foreign })
    }
}

fn descriptors(
    field: &'static str,
    references: Option<Vec<Reference>>,
) -> impl Iterator<Item = Result<Descriptor, ManifestError>> {
    references.into_iter().flatten().map(move |reference| reference.descriptor(field))
}

impl Manifest {
    /// Reads what manifest bytes refer to. The bytes are kept exactly.
    ///
    /// # Errors
    /// [`ManifestError`] when they are too large, no manifest, or refer to what cannot be named.
    pub fn parse(raw: Vec<u8>) -> Result<Self, ManifestError> {
        if raw.len() as u64 > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(raw.len() as u64));
        }
        let fields: Fields = serde_json::from_slice(&raw)
            .map_err(|error| ManifestError::Malformed(explained(&error)))?;
        for (field, value) in
            [("mediaType", &fields.media_type), ("artifactType", &fields.artifact_type)]
        {
            let length = value.as_ref().map_or(0, |value| value.as_str().len());
            if length > MAX_MEDIA_TYPE {
                return Err(ManifestError::LongType { field, length });
            }
        }
        if fields.schema_version == Some(1) || fields.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        let readable = fields.config.is_some()
            || fields.layers.is_some()
            || fields.manifests.is_some()
            || fields.blobs.is_some();
        // Distribution's own rule for bytes that do not name their type: an index if they list
        // manifests, an image otherwise.
        let media_type = fields.media_type.unwrap_or_else(|| match fields.manifests {
            Some(_) => kinds::OCI_INDEX.into(),
            None => kinds::OCI_MANIFEST.into(),
        });
        if !readable {
            return Err(ManifestError::Unknown(media_type));
        }
        let children = descriptors("manifests", fields.manifests).collect::<Result<_, _>>()?;
        let has_config = fields.config.is_some();
        let blobs = descriptors("config", fields.config.map(|config| vec![config]))
            .chain(descriptors("layers", fields.layers))
            .chain(descriptors("blobs", fields.blobs))
            .collect::<Result<_, _>>()?;
        let subject = fields
            .subject
            .map(|subject| subject.descriptor("subject").map(|descriptor| descriptor.digest))
            .transpose()?;
        Ok(Self {
            digest: Digest::of(&raw),
            raw: raw.into(),
            media_type,
            artifact_type: fields.artifact_type,
            children,
            blobs,
            has_config,
            subject,
        })
    }

    /// The exact bytes.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The digest of the exact bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The media type that the bytes declare, or that Distribution would take them for.
    #[must_use]
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// The artifact type, where the manifest declares one.
    #[must_use]
    pub fn artifact_type(&self) -> Option<&MediaType> {
        self.artifact_type.as_ref()
    }

    /// The manifests that an index lists, in its order.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        &self.children
    }

    /// Config first, then layers (or an artifact's blobs), in the manifest's order.
    #[must_use]
    pub fn blobs(&self) -> &[Descriptor] {
        &self.blobs
    }

    /// The config, where there is one.
    #[must_use]
    pub fn config(&self) -> Option<&Descriptor> {
        self.blobs.first().filter(|_| self.has_config)
    }

    /// The layers (or an artifact's blobs), in the manifest's order.
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        &self.blobs[usize::from(self.has_config)..]
    }

    /// The manifest that this one is about; it may be absent from the registry.
    #[must_use]
    pub fn subject(&self) -> Option<Digest> {
        self.subject
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(text.replace("DIGEST", DIGEST).into_bytes())
    }

    #[test]
    fn image_with_a_foreign_layer() {
        let manifest = parse(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
            "config":{"mediaType":"c","size":2,"digest":"DIGEST"},
            "layers":[{"mediaType":"l","size":3,"digest":"DIGEST","urls":["https://example.com/l"]},
                      {"mediaType":"l","size":4,"digest":"DIGEST","urls":[]}]}"#,
        )
        .unwrap();
        assert_eq!(manifest.media_type().as_str(), kinds::DOCKER_MANIFEST);
        let seen: Vec<_> = manifest.blobs().iter().map(|b| (b.size, b.foreign)).collect();
        assert_eq!(seen, [(2, false), (3, true), (4, false)]);
        assert!(manifest.children().is_empty());
    }

    #[test]
    fn without_a_media_type_the_shape_decides() {
        let index = parse(r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
        assert_eq!(index.media_type().as_str(), kinds::OCI_INDEX);
        let image =
            parse(r#"{"schemaVersion":2,"config":{"digest":"DIGEST"},"layers":[]}"#).unwrap();
        assert_eq!(image.media_type().as_str(), kinds::OCI_MANIFEST);
    }

    #[test]
    fn artifact_with_subject() {
        let manifest = parse(
            r#"{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","artifactType":"a/b",
            "blobs":[{"mediaType":"l","size":3,"digest":"DIGEST"}],
            "subject":{"mediaType":"m","size":3,"digest":"DIGEST"}}"#,
        )
        .unwrap();
        assert_eq!(manifest.blobs().len(), 1);
        assert_eq!(manifest.subject().unwrap().to_string(), DIGEST);
        assert_eq!(manifest.artifact_type().unwrap().as_str(), "a/b");
    }

    #[test]
    fn refusals_say_why() {
        for (text, want) in [
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (r#"{"schemaVersion":2,"mediaType":"x/y"}"#, "`x/y`"),
            (r#"{"schemaVersion":2,"layers":[{"digest":"md5:00"}]}"#, "`md5`"),
            (r#"{"schemaVersion":2,"layers":[{"digest":"rubbish"}]}"#, "`rubbish`"),
            (r#"{"schemaVersion":2,"layers":[{"digest":"DIGEST","size":-1}]}"#, "cannot be read"),
            (r#"{"schemaVersion":2,"layers":[]"#, "cannot be read"),
            ("[]", "cannot be read"),
            (&format!(r#"{{"mediaType":"{}","layers":[]}}"#, "x".repeat(256)), "has 256 bytes"),
            (&format!(r#"{{"artifactType":"{}","layers":[]}}"#, "x".repeat(256)), "has 256 bytes"),
            ("", "cannot be read"),
            ("\u{0}", "cannot be read"),
        ] {
            let error = parse(text).expect_err(text);
            let chain = match &error {
                ManifestError::Reference { source, .. } => format!("{error} {source}"),
                other => other.to_string(),
            };
            assert!(chain.contains(want), "{text}: {chain}");
        }
        let large = Manifest::parse(vec![b' '; (MAX_MANIFEST + 1) as usize]).unwrap_err();
        assert_eq!(large, ManifestError::TooLarge(MAX_MANIFEST + 1));
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        let deep = format!(r#"{{"schemaVersion":2,"layers":[],"x":{}}}"#, "[".repeat(1_000_000));
        assert!(matches!(parse(&deep), Err(ManifestError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(manifest) = Manifest::parse(bytes.clone()) {
                prop_assert_eq!(manifest.raw(), &bytes[..]);
            }
        }
    }
}
