//! Makes Distribution storage trees, file by file, and damages them.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tranship_common::Digest;

use crate::content::{self, EMPTY, Family, descriptor};

mod buildkit;
mod everything;
mod wide;

pub use buildkit::Built;

/// A storage tree under construction.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    random: fastrand::Rng,
    /// The digest of every tag, by `REPOSITORY:TAG`.
    pub tags: BTreeMap<String, Digest>,
    /// Blobs that no tag needs.
    pub garbage: HashSet<Digest>,
    pushes: u64,
}

/// A layer as it is stored, and the digest of its uncompressed tar.
#[derive(Debug, Clone)]
pub struct Layer {
    media_type: &'static str,
    bytes: Vec<u8>,
    diff_id: Digest,
}

impl Tree {
    /// An empty tree whose root takes the place of `/var/lib/registry`.
    #[must_use]
    pub fn new(root: &Path, seed: u64) -> Self {
        let tree = Self {
            root: root.to_owned(),
            random: fastrand::Rng::with_seed(seed),
            tags: BTreeMap::new(),
            garbage: HashSet::new(),
            pushes: 0,
        };
        for folder in ["blobs/sha256", "repositories"] {
            fs::create_dir_all(tree.v2().join(folder)).expect("a folder can be made");
        }
        tree
    }

    /// The root folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder `docker/registry/v2`.
    #[must_use]
    pub fn v2(&self) -> PathBuf {
        self.root.join("docker/registry/v2")
    }

    /// The file with a blob's bytes.
    #[must_use]
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.v2().join("blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }

    /// A folder or file below a repository.
    #[must_use]
    pub fn in_repository(&self, repository: &str, path: &str) -> PathBuf {
        self.v2().join("repositories").join(repository).join(path)
    }

    /// The link that makes a tag.
    #[must_use]
    pub fn tag_link(&self, repository: &str, tag: &str) -> PathBuf {
        self.in_repository(repository, &format!("_manifests/tags/{tag}/current/link"))
    }

    /// Stores bytes, linked nowhere.
    pub fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        write(&self.blob_path(digest), bytes);
        digest
    }

    /// Stores bytes as a layer or config of a repository.
    pub fn layer_blob(&mut self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = self.blob(bytes);
        let link = format!("_layers/sha256/{}/link", digest.hex());
        write(&self.in_repository(repository, &link), digest.to_string().as_bytes());
        digest
    }

    /// Stores a manifest, untagged.
    pub fn manifest(&mut self, repository: &str, manifest: &Value) -> Digest {
        self.raw_manifest(repository, manifest.to_string().as_bytes())
    }

    /// Stores any bytes in the place of a manifest, untagged.
    pub fn raw_manifest(&mut self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = self.blob(bytes);
        let link = format!("_manifests/revisions/sha256/{}/link", digest.hex());
        write(&self.in_repository(repository, &link), digest.to_string().as_bytes());
        digest
    }

    /// Points a tag to a manifest; each later than the one before.
    pub fn tag(&mut self, repository: &str, tag: &str, digest: Digest) {
        let index = format!("_manifests/tags/{tag}/index/sha256/{}/link", digest.hex());
        write(&self.in_repository(repository, &index), digest.to_string().as_bytes());
        let link = self.tag_link(repository, tag);
        write(&link, digest.to_string().as_bytes());
        self.pushes += 1;
        let pushed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.pushes * 60);
        let file = fs::File::options().write(true).open(&link).expect("the link is there");
        file.set_modified(pushed).expect("times can be set");
        self.tags.insert(format!("{repository}:{tag}"), digest);
    }

    /// A gzip layer with about this many bytes.
    pub fn layer(&mut self, family: Family, size: usize) -> Layer {
        let tar = content::tarball(&mut self.random, size);
        let [_, _, media_type, _] = family.kinds();
        Layer { media_type, bytes: content::gzip(&tar), diff_id: Digest::of(&tar) }
    }

    /// A layer of another kind than gzip.
    pub fn odd_layer(&mut self, media_type: &'static str, wrap: fn(&[u8]) -> Vec<u8>) -> Layer {
        let tar = content::tarball(&mut self.random, 2000);
        Layer { media_type, bytes: wrap(&tar), diff_id: Digest::of(&tar) }
    }

    /// Stores an image for amd64 with these layers, untagged; returns its descriptor.
    pub fn image(
        &mut self,
        repository: &str,
        family: Family,
        note: &str,
        layers: &[Layer],
    ) -> Value {
        self.image_for(repository, family, "amd64", note, layers)
    }

    /// The same for any architecture.
    pub fn image_for(
        &mut self,
        repository: &str,
        family: Family,
        architecture: &str,
        note: &str,
        layers: &[Layer],
    ) -> Value {
        let [media_type, config_type, _, _] = family.kinds();
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        let config = content::config(architecture, note, &diff_ids);
        let config_digest = self.layer_blob(repository, &config);
        let mut described = Vec::new();
        for layer in layers {
            let digest = self.layer_blob(repository, &layer.bytes);
            described.push(descriptor(layer.media_type, digest, layer.bytes.len()));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(config_type, config_digest, config.len()),
            "layers": described,
        });
        self.described(repository, media_type, &manifest)
    }

    /// Stores a manifest, untagged; returns its descriptor.
    pub fn described(&mut self, repository: &str, media_type: &str, manifest: &Value) -> Value {
        let digest = self.manifest(repository, manifest);
        descriptor(media_type, digest, manifest.to_string().len())
    }

    /// Stores an index of these descriptors, untagged; returns its own.
    pub fn index(&mut self, repository: &str, family: Family, children: &[Value]) -> Value {
        let [_, _, _, media_type] = family.kinds();
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children});
        self.described(repository, media_type, &index)
    }

    /// Stores and tags a small image; the simplest that there is.
    pub fn simple(&mut self, repository: &str, tag: &str) -> Digest {
        let layer = self.layer(Family::Docker, 1500);
        let image = self.image(repository, Family::Docker, tag, &[layer]);
        let digest = digest_of(&image);
        self.tag(repository, tag, digest);
        digest
    }

    /// Stores and tags an artifact with an empty config.
    pub fn artifact(&mut self, repository: &str, tag: &str, kind: &str, subject: Option<&Value>) {
        let artifact = self.untagged(repository, tag, kind, subject);
        self.tag(repository, tag, digest_of(&artifact));
    }

    /// The same without a tag, as signatures and lists of contents are pushed; returns its
    /// descriptor.
    pub fn untagged(
        &mut self,
        repository: &str,
        note: &str,
        kind: &str,
        subject: Option<&Value>,
    ) -> Value {
        let empty = self.layer_blob(repository, b"{}");
        let body = format!(r#"{{"of":"{note}"}}"#);
        let blob = self.layer_blob(repository, body.as_bytes());
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": tranship_common::kinds::OCI_MANIFEST,
            "artifactType": kind,
            "config": descriptor(EMPTY, empty, 2),
            "layers": [descriptor(kind, blob, body.len())],
        });
        if let Some(subject) = subject {
            manifest["subject"] = subject.clone();
        }
        self.described(repository, tranship_common::kinds::OCI_MANIFEST, &manifest)
    }

    /// The digest of the only layer, or the last one, of a tagged image.
    #[must_use]
    pub fn last_layer(&self, name: &str) -> Digest {
        let raw = fs::read(self.blob_path(self.tags[name])).expect("the manifest is there");
        let manifest: Value = serde_json::from_slice(&raw).expect("it is JSON");
        let layers = manifest["layers"].as_array().expect("it has layers");
        digest_of(layers.last().expect("it has a layer"))
    }
}

/// The digest in a descriptor.
#[must_use]
pub fn digest_of(descriptor: &Value) -> Digest {
    let text = descriptor["digest"].as_str().expect("a descriptor has a digest");
    text.parse().expect("it is one")
}

/// Flips a bit of a file.
pub fn damage(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file is there");
    let at = at % bytes.len();
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("it can be written");
}

/// Writes a file and the folders that it is in.
pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file is in a folder"))
        .expect("a folder can be made");
    fs::write(path, bytes).expect("a file can be written");
}
