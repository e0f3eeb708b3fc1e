//! Features that a reader must know (spec/bundle.md, "Versions and features").

use super::catalog::ManifestEntry;

/// Docker images of schema 1: a bundle carries the payload, which is to be signed before it is
/// pushed.
const DOCKER_SCHEMA1: &str = "docker-schema-1";

/// The features that this code knows.
pub(super) const KNOWN: &[&str] = &[DOCKER_SCHEMA1];

/// The features that a bundle with these manifests requires.
#[must_use]
pub fn required_features(manifests: &[ManifestEntry]) -> Vec<String> {
    let has_schema1 = manifests.iter().any(ManifestEntry::is_schema1);
    has_schema1.then(|| DOCKER_SCHEMA1.to_owned()).into_iter().collect()
}
