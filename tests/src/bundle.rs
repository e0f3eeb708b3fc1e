//! Bundles for tests of loader.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{Run, packer};
use crate::tree::Tree;

/// A bundle in a folder of its own, and the tree that it was packed from.
#[derive(Debug)]
pub struct Bundle {
    folder: TempDir,
    /// What is in it.
    pub tree: Tree,
}

impl Bundle {
    /// Packs the tree that `make` fills in the given folder.
    pub fn of(make: impl FnOnce(&Path) -> Tree) -> Self {
        Self::packed(&[], make)
    }

    /// The same, packed with these options.
    pub fn packed(options: &[&str], make: impl FnOnce(&Path) -> Tree) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tree = make(&folder.path().join("storage"));
        let mut command = packer();
        command.args(["pack", "--storage", "storage", "--output", "images.tar"]);
        command.args(options).current_dir(folder.path()).run().ok();
        Self { folder, tree }
    }

    /// Packs a tree with every kind of content.
    #[must_use]
    pub fn everything(seed: u64) -> Self {
        Self::of(|root| Tree::everything(root, seed))
    }

    /// Packs one small image, `team/image:1`.
    #[must_use]
    pub fn simple() -> Self {
        Self::of(|root| {
            let mut tree = Tree::new(root, 1);
            tree.simple("team/image", "1");
            tree
        })
    }

    /// The bundle's file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.file("images.tar")
    }

    /// A file in the bundle's folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Digests of all blobs, without the manifests, as the catalog has them.
    #[must_use]
    pub fn blobs(&self) -> Vec<String> {
        let catalog = catalog(&self.path());
        let blobs = catalog["blobs"].as_array().expect("it lists blobs");
        blobs.iter().map(|blob| blob["digest"].as_str().expect("a digest").to_owned()).collect()
    }
}

/// The catalog of a bundle.
///
/// # Panics
/// When it has none.
#[must_use]
pub fn catalog(bundle: &Path) -> Value {
    let mut archive = tar::Archive::new(std::fs::File::open(bundle).expect("the bundle is there"));
    let mut entries = archive.entries().expect("it is an archive");
    let catalog = entries
        .find_map(|entry| {
            let entry = entry.expect("it is whole");
            let is_catalog = entry.path().expect("it has a name").ends_with("bundle.json");
            is_catalog.then_some(entry)
        })
        .expect("it has a catalog");
    serde_json::from_reader(catalog).expect("the catalog is JSON")
}
