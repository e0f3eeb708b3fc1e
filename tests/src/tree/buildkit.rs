//! What BuildKit pushes: images for several platforms with their attestations, and caches.

use serde_json::{Value, json};

use super::Tree;
use crate::content::{Family, OCI_LAYER, descriptor};

/// An image for several platforms; each part by its descriptor.
#[derive(Debug)]
pub struct Built {
    /// The index.
    pub index: Value,
    /// The image for each architecture, in their order.
    pub images: Vec<Value>,
    /// What is attested of each image, in the same order.
    pub attestations: Vec<Value>,
}

impl Tree {
    /// Stores an image for each of these architectures and an attestation of each, untagged.
    pub fn built(&mut self, repository: &str, architectures: &[&str]) -> Built {
        let (mut images, mut attestations) = (Vec::new(), Vec::new());
        for architecture in architectures {
            let layer = self.layer(Family::Oci, 1000);
            let note = format!("{repository} {architecture}");
            let mut image = self.image_for(repository, Family::Oci, architecture, &note, &[layer]);
            let note = format!("attestation of {note}");
            let mut attestation = self.image_for(repository, Family::Oci, "unknown", &note, &[]);
            attestation["annotations"] = json!({
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": image["digest"],
            });
            attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
            image["platform"] = json!({"architecture": architecture, "os": "linux"});
            images.push(image);
            attestations.push(attestation);
        }
        let children = [&images[..], &attestations[..]].concat();
        let index = self.index(repository, Family::Oci, &children);
        Built { index, images, attestations }
    }

    /// Stores a cache, untagged: an index whose children are layers and what is said of them.
    pub fn cache(&mut self, repository: &str) -> Value {
        let mut listed = Vec::new();
        for _ in 0..2 {
            let layer = self.layer(Family::Oci, 1500);
            let digest = self.layer_blob(repository, &layer.bytes);
            listed.push(descriptor(OCI_LAYER, digest, layer.bytes.len()));
        }
        let said = json!({"layers": listed}).to_string();
        let digest = self.layer_blob(repository, said.as_bytes());
        listed.push(descriptor("application/vnd.buildkit.cacheconfig.v0", digest, said.len()));
        self.index(repository, Family::Oci, &listed)
    }
}
