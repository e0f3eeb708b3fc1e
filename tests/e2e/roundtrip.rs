//! From a registry's storage through a bundle into another registry.

use std::fs;
use std::path::Path;

use e2e::programs::{self, Run, shell};
use e2e::{Registry, Tree, loader, packer, skopeo};
use tranship_common::Digest;

/// Packs everything and returns the tree; the bundle is `images.tar` in the folder.
fn packed(folder: &Path) -> Tree {
    let tree = Tree::everything(&folder.join("storage"), 1);
    packer()
        .args(["pack", "--output", "images.tar", "--storage"])
        .arg(tree.root())
        .current_dir(folder)
        .run()
        .ok()
        .prints("packed 18 tags of 13 repositories");
    tree
}

#[test]
fn every_tag_arrives_with_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let tree = packed(folder.path());
    let bundle = folder.path().join("images.tar");
    let target = Registry::start();

    let load = || programs::load(&bundle, &target.url()).run();
    load().ok().prints("18 images loaded, 0 already there, 0 failed");
    for (name, digest) in &tree.tags {
        assert_eq!(skopeo::tag_digest(&target.address(), name), Some(*digest), "{name}");
    }
    let check = || loader().arg("check").arg(&bundle).args(["--to", &target.url()]).run();
    check().ok().prints("18 tags checked, all in");

    let before = target.requests().len();
    load().ok().prints("0 images loaded, 18 already there, 0 failed");
    let requests = target.requests().split_off(before);
    assert_eq!(requests.len(), 1 + 18, "one ping and one HEAD a tag: {requests:#?}");
}

#[test]
fn auditors_need_none_of_our_programs() {
    let folder = tempfile::tempdir().unwrap();
    let tree = packed(folder.path());
    let folder = folder.path();
    assert_eq!(shell(folder, "sha256sum -c images.tar.sha256"), "images.tar: OK\n");
    let listed = shell(folder, "tar tf images.tar");
    assert!(listed.starts_with("oci-layout\nbundle.json\nindex.json\nSHA256SUMS\nblobs/sha256/"));
    shell(folder, "mkdir out && tar xf images.tar -C out && cd out && sha256sum -c SHA256SUMS");
    for digest in &tree.garbage {
        assert!(!listed.contains(&digest.hex()), "{digest} is garbage");
    }

    for (name, digest) in &tree.tags {
        let legal = !name.contains("__") && !name.contains(":_");
        let reference = if legal { name.clone() } else { digest.to_string() };
        let place = format!("oci-archive:{}/images.tar:{reference}", folder.display());
        assert_eq!(Digest::of(skopeo::raw(&place).as_bytes()), *digest, "{name}");
    }
    let place = format!("oci-archive:{}/images.tar:alpine:3.18", folder.display());
    let copied = format!("dir:{}", folder.join("copied").display());
    skopeo::skopeo(&["copy", &place, &copied]).ok();
    let manifest = fs::read(folder.join("copied/manifest.json")).unwrap();
    assert_eq!(Digest::of(&manifest), tree.tags["alpine:3.18"]);
}
