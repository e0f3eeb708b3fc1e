//! Features that a reader must know (spec/bundle.md, "Versions and features").

use super::catalog::ManifestEntry;
use crate::kinds;

/// Docker images of schema 1: a bundle carries the payload, which is to be signed before it is
/// pushed.
const DOCKER_SCHEMA1: &str = "docker-schema-1";

/// The features that this code knows.
pub(super) const KNOWN: &[&str] = &[DOCKER_SCHEMA1];

/// The features that a bundle with these manifests requires.
#[must_use]
pub fn required_features(manifests: &[ManifestEntry]) -> Vec<String> {
    let is_schema1 =
        |manifest: &ManifestEntry| manifest.media_type.as_str() == kinds::DOCKER_SCHEMA1;
    let feature = manifests.iter().any(is_schema1).then(|| DOCKER_SCHEMA1.to_owned());
    feature.into_iter().collect()
}
