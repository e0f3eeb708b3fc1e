//! A tree with every kind of content that a registry collects.

use std::path::Path;

use serde_json::json;
use tranship_common::kinds;

use super::{Tree, digest_of, write};
use crate::content::{self, Family, OCI_CONFIG, descriptor};

impl Tree {
    /// Every media type and every oddity once, all of it whole.
    #[must_use]
    pub fn everything(root: &Path, seed: u64) -> Self {
        let mut tree = Self::new(root, seed);
        tree.shared_base();
        tree.indexes();
        tree.artifacts();
        tree.odd_layers();
        tree.names();
        tree.left_overs();
        tree
    }

    /// Images that share a layer, within a repository and across; two tags of one digest.
    fn shared_base(&mut self) {
        let base = self.layer(Family::Docker, 20_000);
        for (repository, tag) in [("alpine", "3.18"), ("alpine", "3.19"), ("team/app", "1.0")] {
            let top = self.layer(Family::Docker, 3000);
            let image = self.image(repository, Family::Docker, tag, &[base.clone(), top]);
            self.tag(repository, tag, digest_of(&image));
        }
        self.tag("alpine", "latest", self.tags["alpine:3.19"]);
    }

    /// A manifest list, an index with an attestation, and an index of indexes.
    fn indexes(&mut self) {
        let repository = "team/a/b/multi-arch";
        let mut children = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let layer = self.layer(Family::Docker, 1000);
            let mut child = self.image(repository, Family::Docker, architecture, &[layer]);
            child["platform"] = json!({"architecture": architecture, "os": "linux"});
            children.push(child);
        }
        let list = self.index(repository, Family::Docker, &children);
        self.tag(repository, "v1", digest_of(&list));

        let repository = "team/a/index";
        let layer = self.layer(Family::Oci, 1000);
        let image = self.image(repository, Family::Oci, "amd64", &[layer]);
        let mut attestation = self.image(repository, Family::Oci, "attestation", &[]);
        attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
        let inner = self.index(repository, Family::Oci, &[image, attestation]);
        self.tag(repository, "2024.01", digest_of(&inner));
        let outer = self.index(repository, Family::Oci, &[inner]);
        self.tag(repository, "nested", digest_of(&outer));
    }

    /// Charts, signatures, referrers, and an artifact that is nothing but its type.
    fn artifacts(&mut self) {
        let repository = "charts/my-chart";
        let config = br#"{"name":"my-chart","version":"1.0.0"}"#;
        let chart = content::gzip(b"chart");
        let config_digest = self.layer_blob(repository, config);
        let chart_digest = self.layer_blob(repository, &chart);
        let helm = "application/vnd.cncf.helm";
        let manifest = json!({
            "schemaVersion": 2,
            "config": descriptor(&format!("{helm}.config.v1+json"), config_digest, config.len()),
            "layers": [descriptor(
                &format!("{helm}.chart.content.v1.tar+gzip"), chart_digest, chart.len())],
        });
        let digest = self.manifest(repository, &manifest);
        self.tag(repository, "1.0.0_build.5", digest);

        let repository = "library/nginx_alt.web-1";
        let layer = self.layer(Family::Oci, 2000);
        let subject = self.image(repository, Family::Oci, "nginx", &[layer]);
        let digest = digest_of(&subject);
        self.tag(repository, "1.25.3-r1", digest);
        let payload = format!(r#"{{"critical":{{"image":"{digest}"}}}}"#);
        let config = content::config("", "", &[]);
        let config_digest = self.layer_blob(repository, &config);
        let payload_digest = self.layer_blob(repository, payload.as_bytes());
        let signature = json!({
            "schemaVersion": 2,
            "mediaType": kinds::OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, config_digest, config.len()),
            "layers": [descriptor(
                "application/vnd.dev.cosign.simplesigning.v1+json", payload_digest, payload.len())],
        });
        let signature = self.manifest(repository, &signature);
        self.tag(repository, &format!("sha256-{}.sig", digest.hex()), signature);
        self.artifact(repository, "sbom", "application/spdx+json", Some(&subject));
        self.artifact("artifacts/flag", "v0", "application/vnd.example.flag", None);
    }

    fn odd_layers(&mut self) {
        let layer = "application/vnd.oci.image.layer.v1.tar";
        let zstd = self.odd_layer("application/vnd.oci.image.layer.v1.tar+zstd", content::zstd);
        let plain = self.odd_layer(layer, <[u8]>::to_vec);
        let image = self.image("team/odd", Family::Oci, "odd", &[zstd, plain]);
        self.tag("team/odd", "layers", digest_of(&image));

        // A foreign layer is described, but its bytes are elsewhere.
        let repository = "windows/server";
        let config = content::config("amd64", "windows", &[]);
        let config_digest = self.layer_blob(repository, &config);
        let elsewhere = tranship_common::Digest::of(b"somewhere else");
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let mut layer = descriptor(foreign, elsewhere, 14);
        layer["urls"] = json!(["https://example.com/layer"]);
        let [media_type, config_type, _, _] = Family::Docker.kinds();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(config_type, config_digest, config.len()),
            "layers": [layer],
        });
        let digest = self.manifest(repository, &manifest);
        self.tag(repository, "2022", digest);
    }

    /// Names of one to six components, one the parent folder of another, all separators.
    fn names(&mut self) {
        for repository in ["a", "a/b", "a/b/c/d/e/f", "dots.and/under__score/da--sh"] {
            self.simple(repository, "_v1.0-x");
        }
    }

    /// What deletions, moved tags and broken pushes leave behind.
    fn left_overs(&mut self) {
        for name in ["old", "older"] {
            let layer = self.layer(Family::Docker, 5000);
            let untagged = self.image("team/app", Family::Docker, name, &[layer]);
            self.garbage.insert(digest_of(&untagged));
        }
        let never_tagged = self.layer(Family::Docker, 800);
        let image = self.image("never/tagged", Family::Docker, "x", &[never_tagged]);
        self.garbage.insert(digest_of(&image));
        let orphan = self.blob(b"linked nowhere");
        self.garbage.insert(orphan);
        let upload = "_uploads/0f5f4b1e-3c53-4ad7-9f0e-0c0a7f4f7f01/data";
        write(&self.in_repository("team/app", upload), b"broken off");
    }
}
