//! Manifests: what their bytes refer to.

mod fields;
mod schema1;

use fields::{Fields, Loose, Reference};

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
    /// Of Docker's schema 1 and of a later one, and so nobody can tell what it refers to.
    #[error("it cannot be told which schema the manifest is of: {0}")]
    TwoSchemas(&'static str),
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

/// A manifest, an index or an artifact: what its bytes say, without the bytes.
///
/// Covers Docker schema 1 and 2 and manifest lists, OCI image manifests and indexes (OCI image
/// specification, manifest.md and image-index.md), the OCI artifact manifest of the 1.1 release
/// candidates, and any other media type whose references stand in fields of the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    digest: Digest,
    size: u64,
    media_type: MediaType,
    artifact_type: Option<MediaType>,
    children: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
    has_config: bool,
    subject: Option<Digest>,
}

impl Reference {
    fn descriptor(self, field: &'static str) -> Result<Descriptor, ManifestError> {
        let digest = self.digest.unwrap_or_default();
        let digest = digest.parse().map_err(|source| ManifestError::Reference { field, source })?;
        let media_type = self.media_type.map(MediaType::from);
        let has_urls = self.urls.is_some_and(|urls| !urls.is_empty());
        let foreign = field == "layers"
            && has_urls
            && media_type.is_some_and(|media_type| media_type.may_be_elsewhere());
        let size = self.size.and_then(|size| u64::try_from(size).ok());
        Ok(Descriptor { digest, size, foreign })
    }
}

fn descriptors(
    field: &'static str,
    references: Option<Vec<Reference>>,
) -> impl Iterator<Item = Result<Descriptor, ManifestError>> {
    references.into_iter().flatten().map(move |reference| reference.descriptor(field))
}

impl Manifest {
    /// Reads what manifest bytes refer to.
    ///
    /// # Errors
    /// [`ManifestError`] when they are too large, no manifest, or refer to what cannot be named.
    pub fn parse(raw: &[u8]) -> Result<Self, ManifestError> {
        let size = raw.len() as u64;
        if size > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(size));
        }
        let fields: Fields = serde_json::from_slice(raw)
            .map_err(|error| ManifestError::Malformed(explained(&error)))?;
        let readable = fields.config.is_some()
            || fields.layers.is_some()
            || fields.manifests.is_some()
            || fields.blobs.is_some();
        let digest = Digest::of(raw);
        let named = fields.media_type.filter(|media_type| !media_type.is_empty());
        if schema1::is_schema1(fields.schema_version, named.as_deref(), readable)? {
            return Ok(Self {
                digest,
                size,
                media_type: kinds::DOCKER_SCHEMA1.into(),
                artifact_type: None,
                children: Vec::new(),
                blobs: schema1::layers(fields.fs_layers)?,
                has_config: false,
                subject: None,
            });
        }
        // Distribution's own rule for bytes that do not name their type: an index if they list
        // manifests, an image otherwise.
        let unnamed =
            if fields.manifests.is_some() { kinds::OCI_INDEX } else { kinds::OCI_MANIFEST };
        let named_type = checked("mediaType", named)?;
        let media_type = named_type.clone().unwrap_or_else(|| unnamed.into());
        let artifact_type = match fields.artifact_type {
            Loose::Text(text) if !text.is_empty() => checked("artifactType", Some(text))?,
            _ => None,
        };
        // Go takes `null` for an empty list, and what is left out too.
        if !readable && !named_type.is_some_and(|media_type| media_type.is_of_schema2()) {
            return Err(ManifestError::Unknown(media_type));
        }
        let is_blob = |listed: &Reference| {
            let media_type = listed.media_type.as_deref().map(MediaType::from);
            media_type.is_some_and(|media_type| media_type.is_never_a_manifest())
        };
        let listed = fields.manifests.into_iter().flatten();
        let (listed_blobs, children): (Vec<_>, Vec<_>) = listed.partition(is_blob);
        let children = descriptors("manifests", Some(children)).collect::<Result<_, _>>()?;
        let has_config = fields.config.is_some();
        let blobs = descriptors("config", fields.config.map(|config| vec![config]))
            .chain(descriptors("layers", fields.layers))
            .chain(descriptors("blobs", fields.blobs))
            .chain(descriptors("manifests", Some(listed_blobs)))
            .collect::<Result<_, _>>()?;
        let subject = match fields.subject {
            Loose::Digest(digest) => digest.parse().ok(),
            Loose::Text(_) | Loose::Other => None,
        };
        Ok(Self { digest, size, media_type, artifact_type, children, blobs, has_config, subject })
    }

    /// The size of the exact bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
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

    /// The manifests that an index lists, in its order, but for what is no manifest by its media
    /// type.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        &self.children
    }

    /// Config first, then layers, an artifact's blobs, and what an index lists that is no manifest
    /// (BuildKit's caches do so), in the manifest's order.
    #[must_use]
    pub fn blobs(&self) -> &[Descriptor] {
        &self.blobs
    }

    /// The config, where there is one.
    #[must_use]
    pub fn config(&self) -> Option<&Descriptor> {
        self.blobs.first().filter(|_| self.has_config)
    }

    /// All of [`blobs`](Self::blobs) but the config.
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        &self.blobs[usize::from(self.has_config)..]
    }

    /// The manifest that this one is about; it may be absent from the registry. One that is not of
    /// the form that the OCI image specification gives is none: Distribution keeps it unread.
    #[must_use]
    pub fn subject(&self) -> Option<Digest> {
        self.subject
    }
}

/// A media type that is not too long.
fn checked(field: &'static str, text: Option<String>) -> Result<Option<MediaType>, ManifestError> {
    match text {
        Some(text) if text.len() > MAX_MEDIA_TYPE => {
            Err(ManifestError::LongType { field, length: text.len() })
        }
        text => Ok(text.map(MediaType::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(text.replace("DIGEST", DIGEST).as_bytes())
    }

    #[test]
    fn layers_of_a_foreign_kind_with_urls_are_foreign() {
        let manifest = parse(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
            "config":{"mediaType":"FOREIGN","size":2,"digest":"DIGEST","urls":["https://a/l"]},
            "layers":[{"mediaType":"FOREIGN","size":3,"digest":"DIGEST","urls":["https://a/l"]},
                      {"mediaType":"FOREIGN","size":4,"digest":"DIGEST","urls":[]},
                      {"mediaType":"l","size":5,"digest":"DIGEST","urls":["https://a/l"]}]}"#
                .replace("FOREIGN", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
                .as_str(),
        )
        .unwrap();
        assert_eq!(manifest.media_type().as_str(), kinds::DOCKER_MANIFEST);
        let seen: Vec<_> = manifest.blobs().iter().map(|b| (b.size, b.foreign)).collect();
        let want = [(2, false), (3, true), (4, false), (5, false)];
        assert_eq!(seen, want.map(|(size, foreign)| (Some(size), foreign)));
        assert!(manifest.children().is_empty());
    }

    #[test]
    fn layers_in_an_index_are_blobs() {
        let cache = parse(
            r#"{"schemaVersion":2,"manifests":[
            {"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":3,"digest":"DIGEST"},
            {"mediaType":"application/vnd.oci.image.manifest.v1+json","size":4,"digest":"DIGEST"},
            {"mediaType":"application/vnd.buildkit.cacheconfig.v0","size":5,"digest":"DIGEST"}]}"#,
        )
        .unwrap();
        let sizes = |descriptors: &[Descriptor]| -> Vec<_> {
            descriptors.iter().map(|descriptor| descriptor.size).collect()
        };
        assert_eq!(sizes(cache.children()), [Some(4)]);
        assert_eq!(sizes(cache.blobs()), [Some(3), Some(5)]);
        assert_eq!(cache.config(), None);
    }

    #[test]
    fn what_go_takes_is_taken() {
        let lenient = parse(
            r#"{"schemaVersion":2,"mediaType":"","artifactType":7,"subject":["x"],"manifests":null,
            "config":{"mediaType":null,"digest":"DIGEST","size":-1,"urls":null,"Digests":1},
            "layers":null}"#,
        )
        .unwrap();
        assert_eq!(lenient.media_type().as_str(), kinds::OCI_MANIFEST);
        assert_eq!(lenient.config().unwrap().size, None);
        assert_eq!((lenient.subject(), lenient.artifact_type()), (None, None));
        for kind in [kinds::OCI_INDEX, kinds::DOCKER_LIST, kinds::OCI_MANIFEST] {
            for empty in ["", r#","manifests":null,"layers":null"#] {
                let text = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}"{empty}}}"#);
                let manifest = parse(&text).unwrap();
                assert!(manifest.children().is_empty() && manifest.blobs().is_empty(), "{text}");
            }
        }
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        for subject in [
            r#"{"digest":"md5:00"}"#,
            r#"{"digest":1}"#,
            r#"{"digest":"DIGEST","digest":1}"#,
            &deep,
            r#""DIGEST""#,
            "{}",
            "null",
            "3",
        ] {
            let odd = parse(&format!(r#"{{"layers":[],"subject":{subject}}}"#)).unwrap();
            assert_eq!(odd.subject(), None);
        }
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
            (r#"{"schemaVersion":1,"fsLayers":[],"layers":[]}"#, "which schema"),
            (r#"{"schemaVersion":2,"mediaType":"x/y"}"#, "`x/y`"),
            (r#"{"schemaVersion":2,"layers":[{"digest":"md5:00"}]}"#, "`md5`"),
            (r#"{"schemaVersion":2,"layers":[{"digest":"rubbish"}]}"#, "`rubbish`"),
            (r#"{"schemaVersion":2,"layers":[{"size":1}]}"#, "`` is not a digest"),
            (r#"{"schemaVersion":2,"layers":[{"digest":"DIGEST","size":1.5}]}"#, "cannot be read"),
            (r#"{"schemaVersion":2,"Layers":[]}"#, "`Layers` differs from `layers` in case only"),
            (r#"{"layers":[{"digest":"DIGEST","\u017fize":1}]}"#, "differs from `size` in case"),
            (r#"{"layers":[],"layers":[]}"#, "`layers` stands in a manifest twice"),
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
        let large = Manifest::parse(&vec![b' '; (MAX_MANIFEST + 1) as usize]).unwrap_err();
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
            if let Ok(manifest) = Manifest::parse(&bytes) {
                prop_assert_eq!(manifest.digest(), Digest::of(&bytes));
            }
        }
    }
}
