//! What Harbor does not store, though registries do.

use tranship_common::bundle::ManifestEntry;
use tranship_common::{Digest, kinds};

use crate::plan::survey::Survey;

/// The types of manifests that Harbor stores.
const STORED: [&str; 5] = [
    kinds::OCI_MANIFEST,
    kinds::OCI_INDEX,
    kinds::DOCKER_MANIFEST,
    kinds::DOCKER_LIST,
    kinds::DOCKER_SCHEMA1,
];

/// Layers larger than this (bytes) are too much for old versions of Harbor.
const LARGE_BLOB: u64 = 32 << 30;

/// Images with something that this Harbor is not known to store.
pub(super) fn not_stored(survey: &Survey, version: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let largest = if fails_at_large_blobs(version) { LARGE_BLOB } else { u64::MAX };
    let contents = &survey.contents;
    for image in survey.images.iter().filter(|image| !image.is_there()) {
        let name = survey.name(image);
        let mut odd = None;
        let mut is_cache = false;
        let mut large: Option<Digest> = None;
        for part in survey.parts(image) {
            let entry = contents.entry(part);
            match contents.manifest_by_id(part) {
                Some(manifest) if !STORED.contains(&manifest.media_type.as_str()) => {
                    odd = odd.or(Some(&manifest.media_type));
                }
                Some(manifest) => is_cache |= lists_blobs(manifest),
                None if entry.size > largest => large = large.or(Some(entry.digest)),
                _ => {}
            }
        }
        if let Some(media_type) = odd {
            warnings.push(format!(
                "{name} has a manifest of type {media_type}, which Harbor does not store"
            ));
        }
        if is_cache {
            warnings.push(format!(
                "{name} has an index that lists layers, as caches of BuildKit do, which Harbor \
                 does not store: with image-manifest=true BuildKit writes another kind"
            ));
        }
        if let Some(blob) = large {
            warnings.push(format!(
                "{name} has the layer {blob} of more than 32 GiB, at which Harbor before 2.9.2 \
                 fails"
            ));
        }
    }
    warnings
}

/// Whether a manifest is an index with blobs among its children, which Harbor looks up among its
/// artifacts in vain.
fn lists_blobs(manifest: &ManifestEntry) -> bool {
    let is_index = [kinds::OCI_INDEX, kinds::DOCKER_LIST].contains(&manifest.media_type.as_str());
    is_index && !manifest.blobs.is_empty()
}

/// Whether this version of Harbor, as `v2.9.5-5f14fa1e`, fails at layers beyond [`LARGE_BLOB`]:
/// mended in 2.9.2.
fn fails_at_large_blobs(version: &str) -> bool {
    let numbers = version.trim_start_matches('v').split('-').next().unwrap_or_default();
    let numbers: Vec<u32> = numbers.split('.').map_while(|number| number.parse().ok()).collect();
    numbers.len() == 3 && numbers < vec![2, 9, 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_fail_at_large_blobs() {
        for version in ["v2.8.4-1a2b3c", "v2.9.1-1a2b3c", "2.0.0"] {
            assert!(fails_at_large_blobs(version), "{version}");
        }
        for version in ["v2.9.2-1a2b3c", "v2.9.5-1a2b3c", "v2.10.0-1a2b3c", "v3.0.0", "dev", ""] {
            assert!(!fails_at_large_blobs(version), "{version}");
        }
    }
}
