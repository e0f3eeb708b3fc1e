use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{check, four_images, hasty, load_all};
use e2e::dialect::Dialect;
use e2e::front::{Answer, Judge};
use e2e::programs::{Finished, Run, load, loader};
use e2e::{Bundle, Front, Registry, Request, Tree, Verdict};
use serde_json::json;

fn check_at(bundle: &Bundle, url: &str, more: &[&str]) -> Finished {
    let mut check = loader();
    check.arg("check").arg(bundle.path()).args(["--to", url, "--retry-delay", "2"]).args(more);
    check.run()
}

#[test]
fn registries_that_speak_otherwise() {
    let bundle = four_images();
    let names: Vec<&str> =
        bundle.tree.tags.keys().map(|name| name.split(':').next().unwrap()).collect();
    let plain = Dialect::default();
    for dialect in [
        Dialect::quay(),
        Dialect::artifactory(),
        Dialect { missing_manifest: 401, ..Dialect::artifactory() },
        Dialect::ecr(&names),
        Dialect { head_names_digest: false, ..Dialect::ecr(&names) },
        Dialect { head_refused: Some(405), ..plain.clone() },
        Dialect { head_refused: Some(501), ..plain.clone() },
        Dialect { head_refused: Some(400), ..plain.clone() },
        Dialect { head_refused: Some(403), ..plain.clone() },
        Dialect { head_refused: Some(502), ..plain.clone() },
        Dialect { catalog_refused: Some(401), ..plain.clone() },
        Dialect { manifest_taken: 200, head_refused: Some(405), ..plain.clone() },
        Dialect { manifest_taken: 202, head_refused: Some(403), ..plain.clone() },
    ] {
        let target = Registry::start();
        let front = dialect.clone().front(target.address());
        for counts in ["4 images loaded, 0 already there", "0 images loaded, 4 already there"] {
            let loaded = hasty(&bundle.path(), &front.url()).run();
            assert_eq!(loaded.code, Some(0), "{dialect:?}: {}", loaded.stderr);
            let _ = loaded.prints(&format!("{counts}, 0 failed"));
        }
        let checked = check_at(&bundle, &front.url(), &["--deep"]);
        assert_eq!(checked.code, Some(0), "{dialect:?}: {}", checked.stdout);
        assert_eq!(target.open_sessions(), 0, "{dialect:?}");
        check(&bundle, &target);
    }
}

#[test]
fn a_tag_that_cannot_be_seen_is_not_called_missing() {
    let bundle = Bundle::everything(222);
    let target = Registry::start();
    load_all(&bundle, &target);
    let front = Front::start(target.address(), |request| {
        let unseen = request.target.ends_with("/team/odd/manifests/layers");
        match (unseen, request.target.ends_with("/a/manifests/_v1.0-x")) {
            (true, _) => Verdict::error(403, "DENIED", "not for you"),
            (_, true) => Verdict::status(404),
            _ => Verdict::Forward,
        }
    });
    let checked = check_at(&bundle, &front.url(), &[])
        .expect(1)
        .prints("unknown: team/odd:layers: HEAD /v2/team/odd/manifests/layers: 403 Forbidden")
        .prints("missing: a:_v1.0-x\n")
        .prints("18 tags checked, 2 of them not in");
    assert_eq!(checked.stdout.lines().count(), 3, "{}", checked.stdout);
    let listed = check_at(&bundle, &front.url(), &["--json"]).expect(1).json();
    let status = |name: &str| {
        let images = listed.as_array().unwrap();
        images.iter().find(|image| image["name"] == name).unwrap()["status"].clone()
    };
    assert_eq!(status("team/odd:layers"), "unknown");
    assert_eq!(status("a:_v1.0-x"), "missing");
    assert_eq!(status("a/b:_v1.0-x"), "same");
}

#[test]
fn a_question_about_blobs_that_is_refused_stops_no_push() {
    let first = Bundle::of(|root| {
        let mut tree = Tree::new(root, 223);
        for repository in ["base", "team/app", "team/list"] {
            tree.simple(repository, "0");
        }
        tree
    });
    let second = four_images();
    for status in [401, 403, 405, 500, 503] {
        let target = Registry::start();
        load_all(&first, &target);
        let front = Front::start(target.address(), move |request| {
            let is_question = request.method == "HEAD" && request.target.contains("/blobs/");
            if is_question { Verdict::status(status) } else { Verdict::Forward }
        });
        let loaded = hasty(&second.path(), &front.url()).run();
        assert_eq!(loaded.code, Some(0), "{status}: {}", loaded.stderr);
        check(&second, &target);
    }
}

/// A registry that keeps its blobs in a store of objects and lets that hand them out.
struct WithStore(u16);

impl Judge for WithStore {
    fn judge(&self, _request: &mut Request) -> Verdict {
        Verdict::Forward
    }

    fn answered(&self, request: &Request, answer: &mut Answer) {
        let is_read = request.method == "HEAD" || request.method == "GET";
        if is_read && request.target.contains("/blobs/sha256:") && answer.status.is_success() {
            answer.status = self.0.try_into().unwrap();
            let store = "https://store.example/bucket/key?signature=x";
            answer.headers.insert("location", store.parse().unwrap());
        }
    }
}

#[test]
fn blobs_that_another_machine_hands_out_are_there() {
    let bundle = four_images();
    for status in [302, 307] {
        let target = Registry::start();
        // All blobs are there, and no image is.
        let front = Front::start(target.address(), |request| {
            let is_tag = request.method == "PUT" && request.target.contains("/manifests/");
            if is_tag { Verdict::status(400) } else { Verdict::Forward }
        });
        load(&bundle.path(), &front.url()).run().expect(1).prints(" 4 failed");
        let front = Front::with(target.address(), Arc::new(WithStore(status)), None);
        let loaded = load(&bundle.path(), &front.url()).run().ok();
        let _ = loaded.prints("4 images loaded").prints("0 blobs uploaded");
        check_at(&bundle, &front.url(), &["--deep"]).ok();
    }
}

#[test]
fn a_manifest_that_is_taken_and_not_stored_is_no_success() {
    let bundle = Bundle::simple();
    for status in [200, 202] {
        let target = Registry::start();
        let front = Front::start(target.address(), move |request| {
            match request.method == "PUT" && request.target.contains("/manifests/") {
                true => Verdict::status(status),
                false => Verdict::Forward,
            }
        });
        hasty(&bundle.path(), &front.url())
            .run()
            .expect(1)
            .says("team/image:1: the registry takes the manifest, but does not show it");
    }
}

/// Answers 202 to manifests, and shows each only when it was looked for so often.
struct Hesitant {
    looks: usize,
    seen: Mutex<HashMap<String, usize>>,
}

impl Judge for Hesitant {
    fn judge(&self, request: &mut Request) -> Verdict {
        let mut seen = self.seen.lock().unwrap();
        let is_manifest = request.target.contains("/manifests/");
        match (request.method.as_str(), seen.get_mut(&request.target)) {
            ("PUT", _) if is_manifest => {
                seen.insert(request.target.clone(), 0);
            }
            ("HEAD", Some(looks)) if *looks < self.looks => {
                *looks += 1;
                return Verdict::status(404);
            }
            _ => {}
        }
        Verdict::Forward
    }

    fn answered(&self, request: &Request, answer: &mut Answer) {
        if request.method == "PUT" && request.target.contains("/manifests/") {
            answer.status = 202.try_into().unwrap();
            answer.headers.remove("docker-content-digest");
        }
    }
}

#[test]
fn a_manifest_that_shows_a_little_later_is_stored() {
    let bundle = four_images();
    let target = Registry::start();
    let judge = Hesitant { looks: 2, seen: Mutex::default() };
    let front = Front::with(target.address(), Arc::new(judge), None);
    hasty(&bundle.path(), &front.url()).run().ok().prints("4 images loaded");
    check(&bundle, &target);
}

#[test]
fn a_tag_that_never_changes_and_has_the_image_is_loaded() {
    // ECR, Nexus and others have each their own words for it.
    let bundle = Bundle::simple();
    for status in [400, 403, 409, 412] {
        let target = Registry::start();
        let puts = AtomicUsize::new(0);
        let front = Front::start(target.address(), move |request| {
            if !(request.method == "PUT" && request.target.contains("/manifests/")) {
                return Verdict::Forward;
            }
            match puts.fetch_add(1, Ordering::SeqCst) {
                // It arrives, and the answer does not.
                0 => Verdict::CutDown(0),
                _ => Verdict::error(status, "TAG_INVALID", "the tag is there and is immutable"),
            }
        });
        hasty(&bundle.path(), &front.url()).run().ok().prints("1 image loaded");
    }
}

#[test]
fn registries_that_take_only_patch_and_put() {
    let bundle = four_images();
    let plain = Dialect::default();
    for (status, patch_taken) in [(405, 202), (400, 201), (411, 204), (415, 200), (501, 202)] {
        let target = Registry::start();
        let dialect = Dialect { whole_upload_refused: Some(status), patch_taken, ..plain.clone() };
        let front = dialect.front(target.address());
        let mut load = load(&bundle.path(), &front.url());
        load.args(["--jobs", "1"]).run().ok().prints("4 images loaded");
        // Tried once, then remembered.
        let refused = front.requests().into_iter().filter(|request| {
            request.method == "PUT"
                && request.target.contains("/uploads/")
                && request.content_length() > 0
        });
        assert_eq!(refused.count(), 1, "{status}");
        assert_eq!(target.open_sessions(), 0, "{status}");
        check(&bundle, &target);
        for blob in bundle.blobs() {
            assert_eq!(target.commits(&blob), 1, "{status}: {blob}");
        }
    }
}

#[test]
fn a_registry_that_looks_at_no_body_of_a_put() {
    // It finds nothing but the digest, which is that of something else than nothing.
    let bundle = four_images();
    for code in ["DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_INVALID"] {
        let target = Registry::start();
        let front = Front::start(target.address(), move |request| {
            let is_upload = request.method == "PUT" && request.target.contains("/uploads/");
            match is_upload && request.content_length() > 0 {
                true => Verdict::error(400, code, "provided digest did not match"),
                false => Verdict::Forward,
            }
        });
        load(&bundle.path(), &front.url()).run().ok().prints("4 images loaded");
        assert_eq!(target.open_sessions(), 0, "{code}");
        check(&bundle, &target);
    }
}

#[test]
fn an_upload_that_is_taken_in_other_words() {
    struct Taken(u16);
    impl Judge for Taken {
        fn judge(&self, _request: &mut Request) -> Verdict {
            Verdict::Forward
        }
        fn answered(&self, request: &Request, answer: &mut Answer) {
            if request.method == "PUT" && request.target.contains("/uploads/") {
                answer.status = self.0.try_into().unwrap();
            }
        }
    }
    let bundle = four_images();
    for status in [200, 202, 204] {
        let target = Registry::start();
        let front = Front::with(target.address(), Arc::new(Taken(status)), None);
        load(&bundle.path(), &front.url()).run().ok().prints("4 images loaded");
        check(&bundle, &target);
    }
    // Said, but not done.
    let target = Registry::start();
    let front = Front::start(target.address(), |request| {
        let is_upload = request.method == "PUT" && request.target.contains("/uploads/");
        if is_upload { Verdict::json(200, &json!({})) } else { Verdict::Forward }
    });
    let lost = load(&bundle.path(), &front.url()).run().expect(1);
    let _ = lost.says("as if it had taken it, but does not show the blob");
    assert_eq!(target.open_sessions(), 0);
}
