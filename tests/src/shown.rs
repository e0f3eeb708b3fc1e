//! What a registry shows under its tags, read from its storage: a tag must never show half an image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tranship_common::Digest;

use crate::programs::shell;
use crate::registry::Registry;

/// Counts the tags that a registry shows, each with all that it refers to.
///
/// # Panics
/// When a tag is none of `packed` (digests by `REPOSITORY:TAG`), or has another digest, or when
/// something that its image needs is not in its repository.
#[track_caller]
#[must_use]
pub fn whole_tags(registry: &Registry, packed: &BTreeMap<String, Digest>) -> usize {
    let v2 = registry.storage().join("docker/registry/v2");
    if !v2.join("repositories").exists() {
        return 0;
    }
    // What was under way when a client was killed may still move folders about.
    let find =
        "find repositories -path '*/_manifests/tags/*/current/link' -size +0 2>/dev/null || true";
    let listed = shell(&v2, find);
    for link in listed.lines() {
        let (repository, tag) = link
            .trim_start_matches("repositories/")
            .trim_end_matches("/current/link")
            .split_once("/_manifests/tags/")
            .expect("a link of a tag");
        let name = format!("{repository}:{tag}");
        let digest = fs::read_to_string(v2.join(link)).expect("the link can be read");
        let digest = digest.parse().expect("the link holds a digest");
        assert_eq!(packed.get(&name), Some(&digest), "{name}");
        assert_whole(&v2, repository, &digest.hex(), &name);
    }
    listed.lines().count()
}

/// Panics unless a manifest is there with everything below it.
#[track_caller]
fn assert_whole(v2: &Path, repository: &str, hex: &str, name: &str) {
    let folder = v2.join("repositories").join(repository);
    let is_linked = |kind: &str, hex: &str| folder.join(kind).join(hex).join("link").exists();
    assert!(is_linked("_manifests/revisions/sha256", hex), "{name}: manifest {hex}");
    let manifest = fs::read(data_of(v2, hex)).expect("the manifest can be read");
    let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest is JSON");
    let descriptors = |field: &str| manifest[field].as_array().cloned().unwrap_or_default();
    let hex_of = |descriptor: &Value| {
        descriptor["digest"].as_str().map(|digest| digest.trim_start_matches("sha256:").to_owned())
    };
    for child in descriptors("manifests").iter().filter_map(hex_of) {
        assert_whole(v2, repository, &child, name);
    }
    // A foreign layer is elsewhere.
    let is_here = |layer: &&Value| layer["urls"].is_null();
    let config = manifest["config"].clone();
    let layers = descriptors("layers");
    for blob in layers.iter().filter(is_here).chain([&config]).filter_map(hex_of) {
        let there = is_linked("_layers/sha256", &blob) && data_of(v2, &blob).exists();
        assert!(there, "{name}: blob {blob}");
    }
}

fn data_of(v2: &Path, hex: &str) -> PathBuf {
    v2.join("blobs/sha256").join(&hex[..2]).join(hex).join("data")
}
