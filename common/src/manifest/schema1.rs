//! Docker images of schema 1 (Docker, "Image Manifest Version 2, Schema 1").
//!
//! They travel signed, and the signatures stand in the manifest itself, but a registry stores its
//! payload alone: the bytes that were signed, whose digest is the manifest's. Those are the bytes
//! that are carried. Should a payload hold signatures all the same, they are a part of it like any
//! other: Distribution serves such bytes with one more signature, and under the same digest.

use super::ManifestError;
use super::fields::Layer;
use crate::media::{Descriptor, kinds};

/// Whether a manifest is of schema 1. Distribution goes by `schemaVersion` alone, and then follows
/// `fsLayers` alone. What looks like both schemas is refused, for something in it would be lost.
pub(super) fn is_schema1(
    schema_version: Option<u64>,
    media_type: Option<&str>,
    has_later_fields: bool,
) -> Result<bool, ManifestError> {
    let says_so = media_type.is_some_and(|media_type| {
        [kinds::DOCKER_SCHEMA1, kinds::DOCKER_SCHEMA1_SIGNED].contains(&media_type)
    });
    match (schema_version, says_so, has_later_fields) {
        (Some(1), _, false) => Ok(true),
        (Some(1), _, true) => {
            Err(ManifestError::TwoSchemas("`schemaVersion` is 1, but it has fields of schema 2"))
        }
        (_, true, _) => Err(ManifestError::TwoSchemas(
            "`mediaType` says schema 1, but `schemaVersion` is not 1",
        )),
        (_, false, _) => Ok(false),
    }
}

/// The layers, newest first, as often as they are named. Their sizes are not told.
pub(super) fn layers(layers: Option<Vec<Layer>>) -> Result<Vec<Descriptor>, ManifestError> {
    let descriptors = layers.into_iter().flatten().map(|layer| {
        let digest = layer.blob_sum.unwrap_or_default().parse();
        let digest =
            digest.map_err(|source| ManifestError::Reference { field: "fsLayers", source })?;
        Ok(Descriptor { digest, size: None, foreign: false })
    });
    descriptors.collect()
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;
    use super::*;
    use crate::Digest;

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(text.as_bytes())
    }

    fn payload(sums: &[&str]) -> String {
        let layers: Vec<_> = sums.iter().map(|sum| format!(r#"{{"blobSum": "{sum}"}}"#)).collect();
        let layers = layers.join(", ");
        format!(r#"{{"schemaVersion": 1, "name": "a/b", "tag": "1", "fsLayers": [{layers}]}}"#)
    }

    #[test]
    fn layers_are_newest_first_and_may_be_repeated() {
        let [old, new] = [b"old", b"new"].map(|bytes| Digest::of(bytes));
        let [old_text, new_text] = [old, new].map(|digest| digest.to_string());
        let text = payload(&[&new_text, &old_text, &new_text]);
        let manifest = parse(&text).unwrap();
        let seen: Vec<_> = manifest.layers().iter().map(|layer| layer.digest).collect();
        assert_eq!(seen, [new, old, new]);
        assert!(manifest.layers().iter().all(|layer| layer.size.is_none() && !layer.foreign));
        assert!(manifest.config().is_none() && manifest.children().is_empty());
        assert_eq!(manifest.media_type().as_str(), kinds::DOCKER_SCHEMA1);
        assert_eq!(manifest.digest(), Digest::of(text.as_bytes()));
    }

    #[test]
    fn what_it_says_of_its_type_does_not_matter() {
        let signed =
            r#"{"schemaVersion":1,"mediaType":"x/y","artifactType":"x/z","fsLayers":null}"#;
        let manifest = parse(signed).unwrap();
        assert_eq!(manifest.media_type().as_str(), kinds::DOCKER_SCHEMA1);
        assert_eq!(manifest.artifact_type(), None);
        assert!(manifest.blobs().is_empty());
    }

    #[test]
    fn what_is_of_two_schemas_is_refused() {
        let later = ["config", "layers", "manifests", "blobs"];
        for field in later {
            let value = if field == "config" { r#"{"digest":"x"}"# } else { "[]" };
            let text = format!(r#"{{"schemaVersion":1,"fsLayers":[],"{field}":{value}}}"#);
            assert!(matches!(parse(&text), Err(ManifestError::TwoSchemas(_))), "{field}");
        }
        for kind in [kinds::DOCKER_SCHEMA1, kinds::DOCKER_SCHEMA1_SIGNED] {
            let text = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","layers":[]}}"#);
            let refused = parse(&text).unwrap_err().to_string();
            assert!(refused.contains("`mediaType` says schema 1"), "{refused}");
        }
        // Layers of schema 1 alone make none.
        let neither = parse(r#"{"schemaVersion":2,"fsLayers":[]}"#);
        assert!(matches!(neither, Err(ManifestError::Unknown(_))), "{neither:?}");
    }

    #[test]
    fn layers_without_a_usable_digest_are_refused() {
        let sum = format!("tarsum.v1+sha256:{}", "0".repeat(64));
        let error = parse(&payload(&[&sum])).unwrap_err();
        assert!(matches!(error, ManifestError::Reference { field: "fsLayers", .. }), "{error}");
        let nameless = parse(r#"{"schemaVersion":1,"fsLayers":[{}]}"#);
        assert!(matches!(nameless, Err(ManifestError::Reference { .. })), "{nameless:?}");
        let other = parse(r#"{"schemaVersion":1,"fslayers":[]}"#);
        assert!(matches!(other, Err(ManifestError::Malformed(_))), "{other:?}");
    }
}
