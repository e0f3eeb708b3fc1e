//! Docker images of schema 1: stored without their signatures, signed anew on the other side.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::content::{DOCKER_CONFIG, DOCKER_LAYER, descriptor};
use e2e::dialect::Dialect;
use e2e::http::Ask;
use e2e::programs::{Finished, Run, load, loader, packer, shell};
use e2e::registry::Options;
use e2e::schema1::payload;
use e2e::{Front, Harbor, Registry, Verdict, skopeo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tranship_common::{Digest, kinds};

/// Layers of all images here.
const LAYERS: [&[u8]; 3] = [b"a base layer of schema 1", b"a layer upon it", b"a layer of nothing"];

/// Images as clients push them, signed by a program of its own: in libtrust's form, in one line with
/// a line feed behind it, and with signatures in what is signed. Their names for themselves are
/// `old/app:1.0`, `old/app:line` and `another/name:and-tag`.
const SIGNED: [(&str, &str, &[u8]); 3] = [
    ("old/app", "1.0", include_bytes!("schema1/indented.json")),
    ("old/app", "line", include_bytes!("schema1/one-line.json")),
    ("old/moved", "inside", include_bytes!("schema1/signatures-inside.json")),
];

fn with_schema1() -> Registry {
    Registry::with(&Options { schema1: true, ..Default::default() })
}

fn push_blob(registry: &Registry, repository: &str, bytes: &[u8]) -> Digest {
    let url = registry.url();
    let begun = Ask::new(&url, "POST", &format!("/v2/{repository}/blobs/uploads/")).send();
    let digest = Digest::of(bytes);
    let end = format!("{}&digest={digest}", begun.header("location"));
    assert_eq!(Ask::new(&url, "PUT", &end).body(bytes).send().status, 201);
    digest
}

/// Pushes a manifest and gives the digest that the registry names it by.
fn push(registry: &Registry, name: (&str, &str), media_type: &str, bytes: &[u8]) -> Digest {
    let target = format!("/v2/{}/manifests/{}", name.0, name.1);
    let put = Ask::new(&registry.url(), "PUT", &target).with("Content-Type", media_type);
    let reply = put.body(bytes).send();
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.header("docker-content-digest").parse().unwrap()
}

fn pull(registry: &Registry, repository: &str, reference: &str) -> Vec<u8> {
    let target = format!("/v2/{repository}/manifests/{reference}");
    let accept = format!("{}, {}", kinds::DOCKER_MANIFEST, kinds::DOCKER_LIST);
    let reply = Ask::new(&registry.url(), "GET", &target).with("Accept", &accept).send();
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body.into_bytes()
}

/// What a registry with images of schema 1 in it leaves behind, packed.
struct Packed {
    folder: TempDir,
    /// Digests by `REPOSITORY:TAG`.
    tags: BTreeMap<String, Digest>,
}

impl Packed {
    /// Three images of schema 1, a list of one, and an image of today.
    fn new() -> Self {
        let mut source = with_schema1();
        let mut tags = BTreeMap::new();
        for repository in ["old/app", "old/moved", "old/list"] {
            for layer in LAYERS {
                push_blob(&source, repository, layer);
            }
        }
        for (repository, tag, signed) in SIGNED {
            let name = (repository, tag);
            let digest = push(&source, name, kinds::DOCKER_SCHEMA1_SIGNED, signed);
            tags.insert(format!("{repository}:{tag}"), digest);
        }

        let (_, _, signed) = SIGNED[0];
        let child = Digest::of(&payload(signed).unwrap());
        push(&source, ("old/list", &child.to_string()), kinds::DOCKER_SCHEMA1_SIGNED, signed);
        let list = json!({
            "schemaVersion": 2,
            "mediaType": kinds::DOCKER_LIST,
            "manifests": [descriptor(kinds::DOCKER_SCHEMA1, child, signed.len())],
        });
        let list =
            push(&source, ("old/list", "1.0"), kinds::DOCKER_LIST, list.to_string().as_bytes());
        tags.insert("old/list:1.0".to_owned(), list);

        let [config, layer] = [&b"{}"[..], LAYERS[0]];
        let parts = [config, layer].map(|bytes| push_blob(&source, "team/new", bytes));
        let image = json!({
            "schemaVersion": 2,
            "mediaType": kinds::DOCKER_MANIFEST,
            "config": descriptor(DOCKER_CONFIG, parts[0], config.len()),
            "layers": [descriptor(DOCKER_LAYER, parts[1], layer.len())],
        });
        let image = image.to_string();
        let digest = push(&source, ("team/new", "1"), kinds::DOCKER_MANIFEST, image.as_bytes());
        tags.insert("team/new:1".to_owned(), digest);

        let packed = Self { folder: tempfile::tempdir().unwrap(), tags };
        let mut pack = packer();
        pack.args(["pack", "--output", "images.tar", "--storage"]).arg(source.stop());
        pack.current_dir(packed.folder.path()).run().ok().prints("packed 5 tags of 4 repositories");
        packed
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn bundle(&self) -> PathBuf {
        self.folder().join("images.tar")
    }

    fn load(&self, url: &str) -> Finished {
        load(&self.bundle(), url).run()
    }

    fn check(&self, url: &str) -> Finished {
        let mut check = loader();
        check.arg("check").arg(self.bundle()).args(["--to", url, "--deep", "--retry-delay", "10"]);
        check.run()
    }

    /// Everything is in a registry as it was in the one before, by the words of the registry, and by
    /// skopeo's reckoning.
    fn assert_there(&self, target: &Registry) {
        for (name, digest) in &self.tags {
            let (repository, tag) = name.split_once(':').unwrap();
            let pulled = pull(target, repository, tag);
            let stored = payload(&pulled).unwrap_or(pulled.clone());
            assert_eq!(Digest::of(&stored), *digest, "{name}");
            let file = self.folder().join("manifest.json");
            fs::write(&file, &pulled).unwrap();
            let counted = skopeo::skopeo(&["manifest-digest", file.to_str().unwrap()]).ok();
            assert_eq!(counted.stdout.trim(), digest.to_string(), "{name}");
        }
        for repository in ["old/app", "old/list"] {
            for layer in LAYERS {
                let target_path = format!("/v2/{repository}/blobs/{}", Digest::of(layer));
                let reply = Ask::new(&target.url(), "GET", &target_path).send();
                assert_eq!(reply.body.as_bytes(), layer, "{repository}");
            }
        }
    }
}

#[test]
fn they_arrive_under_the_digest_of_their_payload() {
    let packed = Packed::new();
    let payloads: Vec<Vec<u8>> =
        SIGNED.iter().map(|(_, _, signed)| payload(signed).unwrap()).collect();
    for ((repository, tag, signed), payload) in SIGNED.iter().zip(&payloads) {
        let digest = packed.tags[&format!("{repository}:{tag}")];
        assert_eq!(digest, Digest::of(payload));
        assert_ne!(digest, Digest::of(signed));
        // What a bundle carries is what was stored.
        let carried = format!("tar xOf images.tar blobs/sha256/{}", digest.hex());
        assert_eq!(shell(packed.folder(), &carried).as_bytes(), payload);
    }
    let catalog: Value =
        serde_json::from_str(&shell(packed.folder(), "tar xOf images.tar bundle.json")).unwrap();
    assert_eq!(catalog["requiredFeatures"], json!(["docker-schema-1"]));
    assert_eq!(catalog["manifests"][0]["mediaType"], kinds::DOCKER_SCHEMA1);
    loader().arg("verify").arg(packed.bundle()).run().ok();
    let listed = loader().arg("list").arg(packed.bundle()).run().ok();
    assert!(packed.tags.keys().all(|name| listed.stdout.contains(name)), "{}", listed.stdout);

    let target = with_schema1();
    packed.load(&target.url()).ok().prints("5 images loaded, 0 already there, 0 failed");
    packed.assert_there(&target);
    packed.check(&target.url()).ok().prints("5 tags checked, all in");
    packed.load(&target.url()).ok().prints("0 images loaded, 5 already there, 0 failed");
}

#[test]
fn where_the_target_takes_none_all_others_arrive() {
    let packed = Packed::new();
    let target = Registry::start();
    let loaded = packed.load(&target.url()).expect(3);
    let loaded = loaded.prints("1 image loaded, 0 already there, 4 failed");
    for name in ["old/app:1.0", "old/app:line", "old/moved:inside", "old/list:1.0"] {
        let repository = name.split(':').next().unwrap();
        assert!(
            loaded.stderr.contains(&format!("failed: {name}: PUT /v2/{repository}/manifests/"))
        );
    }
    let told = "this is a Docker image of schema 1, which the registry may not take";
    assert_eq!(loaded.stderr.matches(told).count(), 4, "{}", loaded.stderr);
    assert!(!loaded.stderr.contains("nothing goes well"), "{}", loaded.stderr);
    let puts = target.requests();
    let puts = puts.iter().filter(|line| line.starts_with("PUT ") && line.ends_with(" 500"));
    assert_eq!(puts.count(), 2 * 4, "each is refused twice");
    let digest = packed.tags["team/new:1"];
    assert_eq!(Digest::of(&pull(&target, "team/new", "1")), digest);
    let _ = packed.check(&target.url()).expect(1).prints("5 tags checked, 4 of them not in");
}

#[test]
fn a_target_that_fails_without_words_once_is_asked_again() {
    let packed = Packed::new();
    let target = with_schema1();
    let failed = AtomicUsize::new(0);
    let front = Front::start(target.address(), move |request| {
        let is_first = || failed.fetch_add(1, Ordering::Relaxed) == 0;
        match request.method == "PUT" && request.target.ends_with("/manifests/line") && is_first() {
            true => Verdict::json(
                500,
                &json!({"errors": [
                    {"code": "UNKNOWN", "message": "unknown error", "detail": {}},
                ]}),
            ),
            false => Verdict::Forward,
        }
    });
    packed.load(&front.url()).ok().prints("5 images loaded, 0 already there, 0 failed");
    packed.assert_there(&target);
}

#[test]
fn a_target_that_knows_an_image_by_its_own_name_only() {
    let packed = Packed::new();
    let target = with_schema1();
    let front = Front::start(target.address(), |request| {
        let is_moved = request.method == "PUT" && request.target.contains("old/moved/manifests/");
        match is_moved {
            true => Verdict::error(400, "NAME_INVALID", "manifest name does not match"),
            false => Verdict::Forward,
        }
    });
    packed
        .load(&front.url())
        .expect(3)
        .prints("4 images loaded, 0 already there, 1 failed")
        .says("NAME_INVALID: manifest name does not match; this is a Docker image of schema 1")
        .says("or only under the name that the image gives itself");
}

#[test]
fn a_target_that_tells_no_digests_is_read() {
    let packed = Packed::new();
    let target = with_schema1();
    let dialect =
        Dialect { manifest_taken: 202, head_refused: Some(405), ..Dialect::artifactory() };
    let front = dialect.front(target.address());
    packed.load(&front.url()).ok().prints("5 images loaded, 0 already there, 0 failed");
    packed.assert_there(&target);
    packed.load(&front.url()).ok().prints("0 images loaded, 5 already there, 0 failed");
    packed.check(&front.url()).ok().prints("5 tags checked, all in");
}

#[test]
fn harbor_takes_them() {
    for version in ["2.9.5", "2.15.0"] {
        let packed = Packed::new();
        let harbor = Harbor::start();
        harbor.state().version = version.to_owned();
        let as_admin = |mut command: Command| {
            command.env("TRANSHIP_USERNAME", "admin").env("TRANSHIP_PASSWORD", "Harbor12345");
            command.run()
        };
        let loaded = as_admin(load(&packed.bundle(), &harbor.url())).ok();
        let loaded = loaded.prints("5 images loaded, 0 already there, 0 failed");
        assert!(!loaded.stderr.contains("does not store"), "{}", loaded.stderr);
        harbor.settle();
        harbor.assert_books(version);
        let mut check = loader();
        check.arg("check").arg(packed.bundle()).args(["--deep", "--to", &harbor.url()]);
        as_admin(check).ok().prints("5 tags checked, all in");
    }
}
