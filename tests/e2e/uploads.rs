//! What is sent, how often, and in which order.

use std::fs;
use std::process::{Command, Stdio};

use e2e::content::Family;
use e2e::programs::{Run, load, loader, packer, wait};
use e2e::tree::{Tree, digest_of};
use e2e::{Bundle, Front, Registry, Verdict, skopeo};
use serde_json::Value;
use tranship_common::Digest;

#[test]
fn each_blob_is_uploaded_once_and_mounted_elsewhere() {
    let bundle = Bundle::everything(31);
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    for blob in bundle.blobs() {
        assert_eq!(target.commits(&blob), 1, "{blob}");
    }
    // The base layer of alpine is mounted into team/app, and the empty config elsewhere.
    let mounts: Vec<_> = target
        .requests()
        .into_iter()
        .filter(|line| line.starts_with("POST ") && line.ends_with(" 201"))
        .collect();
    assert_eq!(mounts.len(), 2, "{mounts:#?}");
}

#[test]
fn blobs_that_other_repositories_of_the_target_have_are_mounted() {
    let bundle = Bundle::everything(32);
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    // Another bundle brings a further image on the same base.
    let more = Bundle::of(|root| {
        let mut tree = Tree::everything(root, 32);
        let raw = fs::read(tree.blob_path(tree.tags["alpine:3.18"])).unwrap();
        let manifest: Value = serde_json::from_slice(&raw).unwrap();
        let digest = tree.raw_manifest("later", manifest.to_string().as_bytes());
        for layer in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let bytes = fs::read(tree.blob_path(digest_of(layer))).unwrap();
            tree.layer_blob("later", &bytes);
        }
        tree.tag("later", "1", digest);
        tree
    });
    load(&more.path(), &target.url())
        .run()
        .ok()
        .prints("1 image loaded, 18 already there, 0 failed")
        .prints("0 blobs uploaded (0 B), 3 mounted");
}

#[test]
fn tags_are_pushed_oldest_first() {
    let order = ["v3", "v1", "latest", "v2", "a"];
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 33);
        for tag in order {
            tree.simple("team/image", tag);
        }
        tree
    });
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    let pushed: Vec<_> = target
        .requests()
        .into_iter()
        .filter_map(|line| {
            let path = line.strip_prefix("PUT /v2/team/image/manifests/")?;
            Some(path.split(' ').next()?.to_owned())
        })
        .collect();
    assert_eq!(pushed, order);
}

#[test]
fn a_refused_mount_becomes_an_upload_in_the_session_that_it_opened() {
    let bundle = Bundle::everything(34);
    let target = Registry::start();
    let address = target.address();
    // As a registry that does not mount: it forgets what it was asked to mount.
    let front = Front::rewriting(address, |request| {
        if request.method == "POST" {
            request.target = request.target.split('?').next().unwrap_or_default().to_owned();
        }
        Verdict::Forward
    });
    load(&bundle.path(), &front.url()).run().ok().prints("18 images loaded").prints(" 0 mounted");
    assert_eq!(target.uploads("POST", 202), target.uploads("PUT", 201));
    assert_eq!(target.uploads("POST", 202), bundle.blobs().len() + 2);
}

#[test]
fn a_mount_that_is_denied_becomes_an_upload() {
    let bundle = Bundle::everything(35);
    let target = Registry::start();
    let address = target.address();
    let front = Front::start(address, |request| {
        let to =
            request.target.trim_start_matches("/v2/").split("/blobs/").next().unwrap_or_default();
        let from_elsewhere = request.target.contains("from=")
            && !request.target.ends_with(&format!("from={}", to.replace('/', "%2F")));
        match from_elsewhere {
            true => Verdict::status(403),
            false => Verdict::Forward,
        }
    });
    load(&bundle.path(), &front.url()).run().ok().prints("18 images loaded").prints(" 0 mounted");
}

#[test]
fn packer_and_loader_in_one_pipe() {
    let bundle = Bundle::everything(36);
    let target = Registry::start();
    let mut pack = packer();
    pack.args(["pack", "-o", "-", "--storage"]).arg(bundle.tree.root());
    let mut pack = pack.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut load: Command = loader();
    load.args(["load", "-", "--to", &target.url()]);
    load.stdin(Stdio::from(pack.stdout.take().unwrap()));
    load.run().ok().prints("18 images loaded, 0 already there, 0 failed");
    wait(pack).ok();
    for (name, digest) in &bundle.tree.tags {
        assert_eq!(skopeo::tag_digest(&target.address(), name), Some(*digest), "{name}");
    }
    for blob in bundle.blobs() {
        assert_eq!(target.commits(&blob), 1, "{blob}");
    }
}

#[test]
fn large_blobs_through_a_pipe() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 37);
        let base = tree.layer(Family::Oci, 30_000_000);
        for repository in ["one", "two", "three"] {
            let own = tree.layer(Family::Oci, 10_000_000);
            let image = tree.image(repository, Family::Oci, repository, &[base.clone(), own]);
            tree.tag(repository, "1", digest_of(&image));
        }
        tree
    });
    let target = Registry::start();
    let mut load: Command = loader();
    load.args(["load", "-", "--to", &target.url()]).stdin(fs::File::open(bundle.path()).unwrap());
    load.run().ok().prints("3 images loaded").prints("7 blobs uploaded").prints("2 mounted");
    loader().arg("check").arg(bundle.path()).args(["--to", &target.url()]).run().ok();
}

#[test]
fn check_names_what_is_missing_and_what_is_different() {
    let bundle = Bundle::everything(38);
    let target = Registry::start();
    let check = || {
        let mut command = loader();
        command.arg("check").arg(bundle.path()).args(["--to", &target.url()]);
        command
    };
    check()
        .run()
        .expect(1)
        .prints("18 tags checked, 18 of them not in")
        .prints("missing: alpine:3.18\n");
    load(&bundle.path(), &target.url()).run().ok();
    check().run().ok();
    // Somebody pushes another image under a tag, and deletes one.
    let source = format!("docker://{}/a:_v1.0-x", target.address());
    let destination = format!("docker://{}/a/b:_v1.0-x", target.address());
    skopeo::skopeo(&[
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        &source,
        &destination,
    ])
    .ok();
    let doomed = format!("docker://{}/team/odd:layers", target.address());
    skopeo::skopeo(&["delete", "--tls-verify=false", &doomed]).ok();
    let found = check().run().expect(1);
    let other: &Digest = &bundle.tree.tags["a:_v1.0-x"];
    let packed = &bundle.tree.tags["a/b:_v1.0-x"];
    let found = found
        .prints(&format!("different: a/b:_v1.0-x has {other}, packed was {packed}\n"))
        .prints("missing: team/odd:layers\n")
        .prints("18 tags checked, 2 of them not in");
    assert_eq!(found.stdout.lines().count(), 3);
    let json = check().arg("--json").run().expect(1).json();
    let wrong: Vec<_> =
        json.as_array().unwrap().iter().filter(|image| image["status"] != "same").collect();
    assert_eq!(wrong.len(), 2);
    // And the load puts both right.
    load(&bundle.path(), &target.url()).run().ok().prints("2 images loaded, 16 already there");
    check().run().ok();
}
