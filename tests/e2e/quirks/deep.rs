use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use super::{check, four_images, load_all, of_one_base};
use e2e::content::Family;
use e2e::programs::{Finished, Run, load, loader};
use e2e::tree::digest_of;
use e2e::{Bundle, Front, Registry, Tree, Verdict};
use serde_json::Value;
use tranship_common::Digest;

/// What is done to a registry.
type Fault<'a> = &'a dyn Fn(&Registry);

fn repositories(target: &Registry) -> PathBuf {
    target.storage().join("docker/registry/v2/repositories")
}

/// Takes a layer out of a repository, as a careless collection of garbage does.
fn unlink(target: &Registry, repository: &str, blob: Digest) {
    let layers = repositories(target).join(repository).join("_layers/sha256");
    fs::remove_dir_all(layers.join(blob.hex())).unwrap();
}

/// Takes the bytes of a blob away.
fn erase(target: &Registry, blob: Digest) {
    let hex = blob.hex();
    let folder = target.storage().join("docker/registry/v2/blobs/sha256").join(&hex[..2]);
    fs::remove_dir_all(folder.join(hex)).unwrap();
}

/// Takes a manifest out of a repository.
fn unlink_manifest(target: &Registry, repository: &str, manifest: Digest) {
    let revisions = repositories(target).join(repository).join("_manifests/revisions/sha256");
    fs::remove_dir_all(revisions.join(manifest.hex())).unwrap();
}

fn check_deep(bundle: &Bundle, target: &Registry) -> Finished {
    let mut check = loader();
    check.arg("check").arg(bundle.path()).args(["--to", &target.url(), "--deep"]).run()
}

fn manifest(bundle: &Bundle, digest: Digest) -> Value {
    serde_json::from_slice(&fs::read(bundle.tree.blob_path(digest)).unwrap()).unwrap()
}

/// The manifests of an index.
fn children(bundle: &Bundle, name: &str) -> Vec<Digest> {
    let index = manifest(bundle, bundle.tree.tags[name]);
    index["manifests"].as_array().unwrap().iter().map(digest_of).collect()
}

#[test]
fn what_the_target_has_lost_is_found_and_brought_again() {
    let bundle = four_images();
    let layer = bundle.tree.last_layer("base:1");
    let other = bundle.tree.last_layer("team/app:1");
    let list = "team/list:1";
    let child = children(&bundle, list)[0];
    let child_config = digest_of(&manifest(&bundle, child)["config"]);
    let faults: [(&str, Digest, Fault<'_>); 4] = [
        ("base:1", layer, &|target| unlink(target, "base", layer)),
        ("team/app:1", other, &|target| erase(target, other)),
        (list, child, &|target| unlink_manifest(target, "team/list", child)),
        (list, child_config, &|target| erase(target, child_config)),
    ];
    for (name, missing, damage) in faults {
        let target = Registry::start();
        load_all(&bundle, &target);
        damage(&target);
        // Its tag says that all is well.
        let mut shallow = loader();
        shallow.arg("check").arg(bundle.path()).args(["--to", &target.url()]).run().ok();
        let found = check_deep(&bundle, &target).expect(1);
        let found = found.prints(&format!("incomplete: {name}: without {missing}\n"));
        assert_eq!(found.stdout.lines().count(), 2, "{}", found.stdout);
        load(&bundle.path(), &target.url()).run().ok().prints("0 images loaded, 4 already there");
        let _ = check_deep(&bundle, &target).expect(1);

        let before = target.requests().len();
        let mut deep = load(&bundle.path(), &target.url());
        deep.arg("--deep").run().ok().prints("1 image loaded, 3 already there, 0 failed");
        let again = target.requests().split_off(before);
        let sent = again.iter().filter(|line| line.starts_with("PUT ") && line.contains("/blobs/"));
        let manifests = bundle.blobs().iter().all(|blob| *blob != missing.to_string());
        assert_eq!(sent.count(), usize::from(!manifests), "{name}: {again:#?}");
        check(&bundle, &target);
    }
}

#[test]
fn a_layer_that_many_repositories_have_lost_is_brought_to_each() {
    let bundle = of_one_base(5);
    let base = bundle.tree.last_layer("p/r00:1");
    let target = Registry::start();
    load_all(&bundle, &target);
    erase(&target, base);
    let found = check_deep(&bundle, &target).expect(1);
    let _ = found.prints("5 tags checked, 5 of them not in");
    let mut deep = load(&bundle.path(), &target.url());
    deep.arg("--deep").run().ok().prints("5 images loaded, 0 already there, 0 failed");
    check(&bundle, &target);
}

#[test]
fn a_manifest_whose_parts_were_lost_is_repaired_without_being_asked() {
    // The images of the first are there, as far as anybody knows; the second has one more tag.
    let repository = "team/list";
    let [first, second] = [&["1"][..], &["1", "again"]].map(|tags| {
        Bundle::of(|root| {
            let mut tree = Tree::new(root, 232);
            let children = ["amd64", "arm64"].map(|architecture| {
                let layer = tree.layer(Family::Oci, 1000);
                tree.image(repository, Family::Oci, architecture, &[layer])
            });
            let list = tree.index(repository, Family::Oci, &children);
            tags.iter().for_each(|tag| tree.tag(repository, tag, digest_of(&list)));
            tree
        })
    });
    let children = children(&first, "team/list:1");
    let image = manifest(&first, children[0]);
    let layer = digest_of(&image["layers"][0]);
    let config = digest_of(&image["config"]);
    let faults: [(Fault<'_>, usize); 4] = [
        (&|target| unlink_manifest(target, repository, children[0]), 0),
        (
            &|target| children.iter().for_each(|child| unlink_manifest(target, repository, *child)),
            0,
        ),
        (
            &|target| {
                unlink_manifest(target, repository, children[0]);
                unlink(target, repository, layer);
            },
            1,
        ),
        (
            &|target| {
                children.iter().for_each(|child| unlink_manifest(target, repository, *child));
                erase(target, layer);
                erase(target, config);
            },
            2,
        ),
    ];
    for (damage, blobs) in faults {
        let target = Registry::start();
        load_all(&first, &target);
        damage(&target);
        load(&second.path(), &target.url())
            .run()
            .ok()
            .prints("1 image loaded, 1 already there, 0 failed")
            .prints(&format!("{blobs} blob"));
        check(&second, &target);
    }
}

#[test]
fn a_registry_that_names_one_missing_blob_at_a_time() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 233);
        let layers: Vec<_> = (0..12).map(|_| tree.layer(Family::Oci, 1000)).collect();
        for tag in ["1", "2"] {
            let image = tree.image("team/image", Family::Oci, tag, &layers);
            tree.tag("team/image", tag, digest_of(&image));
        }
        tree
    });
    let first = manifest(&bundle, bundle.tree.tags["team/image:1"]);
    let layers: Vec<Digest> = first["layers"].as_array().unwrap().iter().map(digest_of).collect();
    for one_at_a_time in [true, false] {
        let target = Registry::start();
        let only_first = Front::start(target.address(), |request| {
            let is_second = request.target.ends_with("/manifests/2") && request.method == "PUT";
            if is_second { Verdict::status(400) } else { Verdict::Forward }
        });
        load(&bundle.path(), &only_first.url()).run().expect(3).prints("1 image loaded");
        for layer in &layers {
            unlink(&target, "team/image", *layer);
        }
        let missing = Mutex::new(layers.clone());
        let front = Front::start(target.address(), move |request| {
            let mut missing = missing.lock().unwrap();
            if request.method == "PUT" && request.target.contains("/uploads/") {
                missing.retain(|layer| !super::uploads(request, layer));
            }
            let is_second = request.target.ends_with("/manifests/2") && request.method == "PUT";
            match missing.first() {
                Some(layer) if is_second && one_at_a_time => {
                    Verdict::error(400, "MANIFEST_BLOB_UNKNOWN", &format!("no {layer} here"))
                }
                _ => Verdict::Forward,
            }
        });
        load(&bundle.path(), &front.url())
            .run()
            .ok()
            .prints("1 image loaded, 1 already there, 0 failed")
            .prints("12 blobs uploaded");
    }
}

#[test]
fn what_stays_missing_is_not_brought_for_ever() {
    let bundle = Bundle::simple();
    let layer = bundle.tree.last_layer("team/image:1");
    let target = Registry::start();
    let front = Front::start(target.address(), move |request| {
        match request.method == "PUT" && request.target.contains("/manifests/") {
            true => Verdict::error(404, "MANIFEST_BLOB_UNKNOWN", &format!("no {layer} here")),
            false => Verdict::Forward,
        }
    });
    load(&bundle.path(), &front.url()).run().expect(1).says("MANIFEST_BLOB_UNKNOWN");
    assert_eq!(target.commits(&layer.to_string()), 2, "once, and once more");
}
