//! What registries have in their storage and hardly a generator of images makes: odd manifests, and
//! what accidents leave behind. Of each stands here what a docker-registry makes of it and what
//! packer does, and why where these differ; the tests ask both.

mod manifests;
mod storages;

use serde_json::{Value, json};
use tranship_common::{Digest, kinds};

use crate::content::{self, Family, OCI_CONFIG, OCI_LAYER, descriptor};
use crate::tree::Tree;

pub use manifests::MANIFESTS;
pub use storages::STORAGES;

/// What a docker-registry answers for a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// The manifest, and everything that it refers to.
    Whole,
    /// The manifest, but not all that it refers to.
    Partly,
    /// An error.
    Nothing,
}

/// What packer makes of a tag.
#[derive(Debug, Clone, Copy)]
pub enum Packs {
    /// It packs it: as it should where the registry serves it whole.
    Yes,
    /// It packs it though the registry does not serve it whole, and why.
    Though(&'static str),
    /// It calls it broken with these words: as it should where the registry does not serve it whole.
    No(&'static str),
    /// It calls it broken with these words though the registry serves it, and why.
    NoThough(&'static str, &'static str),
}

/// A manifest that is odd.
#[derive(Debug)]
pub struct OddManifest {
    /// A name for it, which can be a part of a repository's.
    pub name: &'static str,
    /// Stores what it refers to in a repository and makes its bytes.
    pub make: fn(&mut Tree, &str) -> Vec<u8>,
    /// Whether a docker-registry serves it from its storage.
    pub serves: Serves,
    /// Whether a docker-registry takes it when it is pushed.
    pub takes: bool,
    /// What packer makes of it.
    pub packs: Packs,
}

/// A place of a storage that is odd.
#[derive(Debug)]
pub struct OddStorage {
    /// A name for it, which can be a part of a repository's.
    pub name: &'static str,
    /// Makes tag `1` of a repository, and what is odd about it.
    pub make: fn(&mut Tree, &str),
    /// Whether a docker-registry serves the tag.
    pub serves: Serves,
    /// What packer makes of it.
    pub packs: Packs,
}

/// The bytes of a layer that no storage has.
pub const ABSENT: &[u8] = b"a layer that no storage has";

/// Stores a config and a layer and gives their descriptors.
fn parts(tree: &mut Tree, repository: &str) -> (Value, Value) {
    let layer = content::gzip(repository.as_bytes());
    let config = content::config("amd64", repository, &[Digest::of(repository.as_bytes())]);
    let stored = |tree: &mut Tree, kind, bytes: &[u8]| {
        descriptor(kind, tree.layer_blob(repository, bytes), bytes.len())
    };
    (stored(tree, OCI_CONFIG, &config), stored(tree, OCI_LAYER, &layer))
}

/// A sound OCI image, which is not stored yet.
fn image(tree: &mut Tree, repository: &str) -> Value {
    let (config, layer) = parts(tree, repository);
    json!({
        "schemaVersion": 2, "mediaType": kinds::OCI_MANIFEST, "config": config, "layers": [layer],
    })
}

/// A sound OCI image that is stored, untagged; its descriptor.
fn stored(tree: &mut Tree, repository: &str) -> Value {
    let layer = tree.layer(Family::Oci, 300);
    tree.image(repository, Family::Oci, "stored", &[layer])
}

/// An index of these descriptors, which is not stored yet.
fn index(media_type: &str, children: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children})
}
