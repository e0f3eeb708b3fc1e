//! What Harbor does not take: modes, quotas, rules, contents.

use e2e::content::{EMPTY, Family, descriptor};
use e2e::harbor::{Immutable, Project};
use e2e::programs::Run;
use e2e::tree::digest_of;
use e2e::{Bundle, Harbor, Tree, Verdict, skopeo};
use tranship_common::kinds;

use super::{command, loading};

/// An image that every registry takes, `team/good:1`, and `team/bad:1` with this manifest and config.
fn good_and_bad(seed: u64, media_type: &str, config_type: &str, config: &[u8]) -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, seed);
        tree.simple("team/good", "1");
        let digest = tree.layer_blob("team/bad", config);
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(config_type, digest, config.len()),
            "layers": [],
        });
        let digest = tree.manifest("team/bad", &manifest);
        tree.tag("team/bad", "1", digest);
        tree
    })
}

#[test]
fn read_only_mode_is_found_beforehand() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::default());
    harbor.state().read_only = true;
    loading(&bundle, &harbor).run().expect(1).says("read-only mode").says("nothing was sent");
    loading(&bundle, &harbor)
        .arg("--no-preflight")
        .run()
        .expect(1)
        .says("The system is in read only mode");
}

#[test]
fn a_quota_that_is_too_small() {
    let bundle = Bundle::everything(85);
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::limited(5000));
    loading(&bundle, &harbor)
        .run()
        .expect(1)
        .says("project team has a storage quota of 5000 bytes with 5000 left")
        .says("raise it by");
    // Without looking first: what fits goes in, and no other project suffers.
    loading(&bundle, &harbor)
        .arg("--no-preflight")
        .run()
        .expect(3)
        .says("will exceed the configured upper limit");
    assert!(harbor.state().projects["team"].used() <= 5000);
    for (name, digest) in &bundle.tree.tags {
        if name.starts_with("charts/") || name.starts_with("artifacts/") {
            assert_eq!(skopeo::tag_digest(&harbor.registry.address(), name), Some(*digest));
        }
    }
    harbor.state().projects.get_mut("team").unwrap().limit = None;
    loading(&bundle, &harbor).run().ok().prints(" 0 failed");
}

#[test]
fn a_refusal_in_the_middle_of_a_body_is_understood() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 89);
        let layer = tree.layer(Family::Oci, 2_000_000);
        let image = tree.image("team/large", Family::Oci, "1", &[layer]);
        tree.tag("team/large", "1", digest_of(&image));
        tree.simple("other/image", "1");
        tree
    });
    let harbor = Harbor::start();
    // What is refused while its bytes are on their way shows as 502.
    harbor.state().projects.insert("team".into(), Project::limited(100_000));
    loading(&bundle, &harbor)
        .arg("--no-preflight")
        .run()
        .expect(3)
        .prints("1 image loaded, 0 already there, 1 failed")
        .says("project team is full");
    let puts = harbor.requests().into_iter().filter(|request| {
        request.method == "PUT" && request.target.starts_with("/v2/team/large/blobs/")
    });
    assert!(puts.count() <= 3, "what does not fit is not sent again and again");
}

#[test]
fn what_harbor_always_fails_at_is_not_tried_for_long() {
    let wasm = "application/vnd.example.wasm";
    let bundle = good_and_bad(93, kinds::OCI_MANIFEST, wasm, b"\x7fELF no JSON");
    let harbor = Harbor::start();
    loading(&bundle, &harbor)
        .run()
        .expect(3)
        .prints("1 image loaded, 0 already there, 1 failed")
        .says("failed: team/bad:1")
        .says("internal server error");
    let puts = harbor
        .requests()
        .into_iter()
        .filter(|request| request.method == "PUT" && request.target == "/v2/team/bad/manifests/1");
    assert!(puts.count() <= 6);
}

#[test]
fn immutable_tags_stay_and_are_named() {
    let bundle = Bundle::everything(86);
    let harbor = Harbor::start();
    loading(&bundle, &harbor).run().ok();
    let immutable = || vec![Immutable::tags("{3.18,v1}")];
    for name in ["library", "team"] {
        harbor.state().projects.get_mut(name).unwrap().immutable = immutable();
    }
    // The same digest is left alone.
    loading(&bundle, &harbor).run().ok().prints("18 already there");
    // Another one is a finding; the rest goes on.
    let other = Bundle::everything(87);
    let warning = "will not arrive: library/alpine:3.18 has another digest there";
    command("plan", &other, &harbor).run().expect(3).prints(warning);
    loading(&other, &harbor)
        .run()
        .expect(3)
        .prints("2 failed")
        .says(warning)
        .says("failed: library/alpine:3.18")
        .says("configured as immutable");
    let kept = skopeo::tag_digest(&harbor.registry.address(), "library/alpine:3.18");
    assert_eq!(kept, Some(bundle.tree.tags["alpine:3.18"]));
}

#[test]
fn rules_that_are_off_or_for_other_repositories() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    loading(&bundle, &harbor).run().ok();
    let other = Bundle::of(|root| {
        let mut tree = Tree::new(root, 103);
        tree.simple("team/image", "1");
        tree
    });
    let off = Immutable { disabled: true, ..Immutable::tags("**") };
    let elsewhere = Immutable { repositories: "scratch".into(), ..Immutable::tags("**") };
    harbor.state().projects.get_mut("team").unwrap().immutable = vec![off, elsewhere];
    let loaded = loading(&other, &harbor).run().ok().prints("1 image loaded");
    assert!(!loaded.stderr.contains("will not arrive"), "{}", loaded.stderr);
}

#[test]
fn quotas_that_are_switched_off() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().quotas_off = true;
    harbor.state().projects.insert("team".into(), Project::limited(10));
    let planned = command("plan", &bundle, &harbor).run().ok();
    assert!(!planned.stdout.contains("not checked"), "{}", planned.stdout);
    loading(&bundle, &harbor).run().ok().prints("1 image loaded");
}

#[test]
fn new_projects_that_would_be_too_small() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().storage_per_project = 1000;
    let words = "project team has a storage quota of 1000 bytes with 1000 left, and would gain";
    command("plan", &bundle, &harbor).run().expect(1).prints(words);
    loading(&bundle, &harbor).run().expect(1).says(words).says("nothing was sent");
    assert!(!harbor.state().projects.contains_key("team"));
    let larger = loading(&bundle, &harbor).args(["--storage-limit", "1K"]).run().expect(1);
    let _ = larger.says("a storage quota of 1024 bytes");
    loading(&bundle, &harbor).args(["--storage-limit", "1M"]).run().ok().prints("1 image loaded");
    assert_eq!(harbor.state().projects["team"].limit, Some(1 << 20));
}

#[test]
fn a_proxy_before_harbor_that_limits_bodies() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 104);
        let layer = tree.layer(Family::Oci, 100_000);
        let image = tree.image("team/large", Family::Oci, "1", &[layer]);
        tree.tag("team/large", "1", digest_of(&image));
        tree.simple("team/small", "1");
        tree
    });
    let harbor = Harbor::with_trouble(|request, _| {
        (request.content_length() > 50_000).then(|| Verdict::page(413, "Request Entity Too Large"))
    });
    loading(&bundle, &harbor)
        .run()
        .expect(3)
        .prints("1 image loaded, 0 already there, 1 failed")
        .says("failed: team/large:1")
        .says("client_max_body_size");
}

#[test]
fn no_cookies_and_no_long_headers() {
    // Harbor sets a cookie in each answer of its API, and takes no change with one.
    let bundle = Bundle::everything(105);
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::limited(1 << 30));
    loading(&bundle, &harbor).run().ok();
    command("check", &bundle, &harbor).run().ok();
    for request in harbor.requests() {
        assert!(request.header("cookie").is_none(), "{request:?}");
        assert!(request.headers.values().all(|value| value.len() < 2000), "{request:?}");
    }
}

#[test]
fn a_type_of_manifest_that_harbor_does_not_store() {
    let artifact = "application/vnd.oci.artifact.manifest.v1+json";
    let bundle = good_and_bad(106, artifact, EMPTY, b"{}");
    let harbor = Harbor::start();
    loading(&bundle, &harbor)
        .run()
        .expect(3)
        .prints("1 image loaded, 0 already there, 1 failed")
        .says(&format!("team/bad:1 has a manifest of type {artifact}, which Harbor does not store"))
        .says("failed: team/bad:1")
        .says("MANIFEST_INVALID");
}
