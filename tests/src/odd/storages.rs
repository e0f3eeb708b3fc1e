//! Odd places of a storage.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tranship_common::Digest;

use super::{OddStorage, Packs, Serves, image, stored};
use crate::content::Family;
use crate::tree::{Tree, damage, digest_of, write};
use Packs::{No, NoThough, Though, Yes};
use Serves::{Nothing, Partly, Whole};

/// Why what else stands in a link of a revision does not matter.
const THERE: &str =
    "that the repository has the manifest is said by its link; its bytes are checked";
/// Why bytes that a registry serves are refused.
const UNCHECKED: &str = "a registry does not look at the bytes that it serves";

/// Stores a sound image and tags it; its manifest and layer.
fn sound(tree: &mut Tree, repository: &str) -> (Digest, Digest) {
    let manifest = image(tree, repository);
    let digest = tree.manifest(repository, &manifest);
    tree.tag(repository, "1", digest);
    (digest, digest_of(&manifest["layers"][0]))
}

fn revision(tree: &Tree, repository: &str, digest: Digest) -> PathBuf {
    let link = format!("_manifests/revisions/sha256/{}/link", digest.hex());
    tree.in_repository(repository, &link)
}

/// A sound image with this in the link of its tag, after what the link has held.
fn with_link(tree: &mut Tree, repository: &str, length: usize, more: &str) {
    sound(tree, repository);
    let link = tree.tag_link(repository, "1");
    let mut text = fs::read_to_string(&link).expect("the link is there");
    text.truncate(length);
    fs::write(link, text + more).expect("the link can be written");
}

/// Stores and tags an index of these descriptors.
fn index(tree: &mut Tree, repository: &str, children: &[Value]) {
    let index = tree.index(repository, Family::Oci, children);
    tree.tag(repository, "1", digest_of(&index));
}

/// As many indexes as that, each of the one before.
fn chain(tree: &mut Tree, repository: &str, length: usize) {
    let mut child = stored(tree, repository);
    for _ in 0..length {
        child = tree.index(repository, Family::Oci, &[child]);
    }
    tree.tag(repository, "1", digest_of(&child));
}

macro_rules! odd {
    ($name:literal, $serves:expr, $packs:expr, $make:expr) => {
        OddStorage { name: $name, make: $make, serves: $serves, packs: $packs }
    };
}

/// Odd places of a storage, and what becomes of them.
pub const STORAGES: &[OddStorage] = &[
    odd!("sound", Whole, Yes, |t, r| {
        sound(t, r);
    }),
    // Links.
    odd!("link-of-no-bytes", Nothing, No("the link holds no digest"), |t, r| with_link(
        t, r, 0, ""
    )),
    odd!("link-cut-short", Nothing, No("the link holds no digest"), |t, r| with_link(t, r, 40, "")),
    odd!("link-with-a-line-feed", Nothing, No("the link holds no digest"), |t, r| {
        with_link(t, r, 71, "\n");
    }),
    odd!("link-of-zeros", Nothing, No("the link holds no digest"), |t, r| {
        with_link(t, r, 0, &"\0".repeat(71));
    }),
    odd!("link-that-is-a-folder", Nothing, No("cannot be read"), |t, r| {
        sound(t, r);
        let link = t.tag_link(r, "1");
        fs::remove_file(&link).and_then(|()| fs::create_dir(link)).expect("it can be replaced");
    }),
    odd!("link-that-is-gone", Nothing, No("the tag has no `current/link`"), |t, r| {
        sound(t, r);
        fs::remove_file(t.tag_link(r, "1")).expect("the link is there");
    }),
    // Revisions.
    odd!("revision-deleted", Nothing, No("was deleted from the repository"), |t, r| {
        let (manifest, _) = sound(t, r);
        fs::remove_file(revision(t, r, manifest)).expect("the link is there");
    }),
    odd!("revision-of-no-bytes", Nothing, Though(THERE), |t, r| {
        let (manifest, _) = sound(t, r);
        write(&revision(t, r, manifest), b"");
    }),
    odd!(
        "revision-of-a-child-deleted",
        Partly,
        Though("the bytes of the child are there"),
        |t, r| {
            let child = stored(t, r);
            index(t, r, std::slice::from_ref(&child));
            fs::remove_file(revision(t, r, digest_of(&child))).expect("the link is there");
        }
    ),
    // Blobs.
    odd!("manifest-missing", Nothing, No("the blob is missing"), |t, r| {
        let (manifest, _) = sound(t, r);
        fs::remove_file(t.blob_path(manifest)).expect("the manifest is there");
    }),
    odd!("manifest-of-no-bytes", Nothing, No("hashes to"), |t, r| {
        let (manifest, _) = sound(t, r);
        write(&t.blob_path(manifest), b"");
    }),
    odd!("layer-missing", Partly, No("the blob is missing; it is a layer of sha256:"), |t, r| {
        let (_, layer) = sound(t, r);
        fs::remove_file(t.blob_path(layer)).expect("the layer is there");
    }),
    odd!("layer-damaged", Whole, NoThough("hashes to", UNCHECKED), |t, r| {
        let (_, layer) = sound(t, r);
        damage(&t.blob_path(layer), 12);
    }),
    odd!("layer-cut-short", Whole, NoThough("the file has 7 bytes", UNCHECKED), |t, r| {
        let (_, layer) = sound(t, r);
        let file = fs::File::options().write(true).open(t.blob_path(layer));
        file.and_then(|file| file.set_len(7)).expect("the layer can be cut");
    }),
    odd!("layers-without-links", Partly, Though("the bytes of the layers are there"), |t, r| {
        sound(t, r);
        fs::remove_dir_all(t.in_repository(r, "_layers")).expect("the links are there");
    }),
    odd!(
        "child-missing",
        Partly,
        No("it is the child for linux/arm64/v8 of index sha256:"),
        |t, r| {
            let mut child = stored(t, r);
            child["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
            let other = stored(t, r);
            index(t, r, &[other, child.clone()]);
            fs::remove_file(t.blob_path(digest_of(&child))).expect("the child is there");
        }
    ),
    // Depth.
    odd!("index-in-index", Whole, Yes, |t, r| chain(t, r, 32)),
    odd!(
        "index-in-too-many",
        Whole,
        NoThough("index inside index, more than 32 deep", "a bound"),
        { |t, r| chain(t, r, 33) }
    ),
];
