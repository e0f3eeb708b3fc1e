//! From a registry's storage through a bundle into another registry.

use std::fs;
use std::path::Path;

use e2e::programs::{self, Run, shell};
use e2e::{Registry, Tree, loader, packer, registry, skopeo};
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

/// Everything that skopeo finds of an image, in a folder of its own.
fn fetched(address: &str, name: &str, folder: &Path) {
    let place = format!("docker://{address}/{name}");
    let folder = format!("dir:{}", folder.display());
    let options = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false"];
    skopeo::skopeo(&[&options[..], &[&place, &folder]].concat()).ok();
}

#[test]
fn what_skopeo_pushes_into_one_registry_it_finds_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tree = Tree::everything(&folder.join("tree"), 3);
    let origin =
        Registry::with(&registry::Options { storage: Some(tree.root()), ..Default::default() });
    let mut source = Registry::start();
    // Beyond skopeo: a foreign layer that is nowhere, an index inside an index.
    let beyond = ["windows/server:2022", "team/a/index:nested"];
    let names: Vec<&String> =
        tree.tags.keys().filter(|name| !beyond.contains(&name.as_str())).collect();
    for name in &names {
        let from = format!("docker://{}/{name}", origin.address());
        let to = format!("docker://{}/{name}", source.address());
        let options = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false"];
        let options = [&options[..], &["--dest-tls-verify=false", &from, &to]].concat();
        skopeo::skopeo(&options).ok();
    }
    // Once while it runs, once when it is stopped: the same bundle.
    let pack = |storage: &Path, output: &str| {
        let mut command = packer();
        command.args(["pack", "--output", output, "--storage"]).arg(storage).current_dir(folder);
        command.run().ok().prints("packed 16 tags of 12 repositories");
        fs::read(folder.join(output)).unwrap()
    };
    let running = pack(&source.storage(), "running.tar");
    let storage = source.stop();
    assert!(running == pack(&storage, "images.tar"));

    let target = Registry::start();
    programs::load(&folder.join("images.tar"), &target.url()).run().ok().prints("16 images loaded");
    for (number, name) in names.into_iter().enumerate() {
        let [before, after] =
            ["before", "after"].map(|side| folder.join(format!("{side}{number}")));
        fetched(&origin.address(), name, &before);
        fetched(&target.address(), name, &after);
        shell(folder, &format!("diff -r before{number} after{number}"));
    }
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
