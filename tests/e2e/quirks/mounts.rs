use super::{check, four_images, hasty, load_all, of_one_base};
use e2e::dialect::{Dialect, Mounts};
use e2e::programs::{Run, load};
use e2e::{Front, Registry, Request, Verdict};

const REPOSITORIES: usize = 12;

/// Whether it asks for a mount into this repository.
fn mounts_into(request: &Request, repository: &str) -> bool {
    request.parameter("mount").is_some()
        && request.target.starts_with(&format!("/v2/{repository}/blobs/"))
}

#[test]
fn a_refused_mount_switches_off_no_other() {
    let bundle = of_one_base(REPOSITORIES);
    for status in [400, 404, 405, 500, 502, 503] {
        let target = Registry::start();
        let front =
            Front::start(target.address(), move |request| match mounts_into(request, "p/r03") {
                true => Verdict::error(status, "UNSUPPORTED", "not here"),
                false => Verdict::Forward,
            });
        let loaded = load(&bundle.path(), &front.url()).run().ok();
        let _ = loaded.prints("12 images loaded").prints("4 blobs uploaded");
        check(&bundle, &target);
        for blob in bundle.blobs() {
            assert_eq!(target.commits(&blob), 2, "{status}");
        }
        assert_eq!(target.uploads("POST", 201), 2 * (REPOSITORIES - 2), "{status}");
    }
}

#[test]
fn a_repository_that_may_not_be_mounted_from_is_not_asked_again() {
    let bundle = of_one_base(REPOSITORIES);
    for status in [401, 403] {
        let target = Registry::start();
        let front = Front::start(target.address(), move |request| {
            match request.parameter("from").as_deref() == Some("p/r00") {
                true => Verdict::error(status, "DENIED", "access to the resource is denied"),
                false => Verdict::Forward,
            }
        });
        load(&bundle.path(), &front.url())
            .args(["--jobs", "1"])
            .run()
            .ok()
            .prints("12 images loaded")
            .prints("4 blobs uploaded");
        check(&bundle, &target);
        // What was uploaded again serves all others.
        assert_eq!(target.uploads("POST", 201), 2 * (REPOSITORIES - 2), "{status}");
        let from_there = front
            .requests()
            .into_iter()
            .filter(|request| request.parameter("from").as_deref() == Some("p/r00"));
        assert_eq!(from_there.count(), 1, "{status}");
    }
}

#[test]
fn a_repository_that_may_not_be_pushed_to_closes_no_other() {
    let bundle = of_one_base(REPOSITORIES);
    let target = Registry::start();
    let front = Front::start(target.address(), |request| {
        match request.method == "POST" && request.target.starts_with("/v2/p/r01/") {
            true => Verdict::error(403, "DENIED", "requested access is denied"),
            false => Verdict::Forward,
        }
    });
    load(&bundle.path(), &front.url())
        .args(["--jobs", "1"])
        .run()
        .expect(3)
        .prints("11 images loaded, 0 already there, 1 failed")
        .prints("2 blobs uploaded");
    assert_eq!(target.uploads("POST", 201), 2 * (REPOSITORIES - 2));
}

#[test]
fn a_mount_whose_answers_are_lost_becomes_an_upload() {
    let bundle = of_one_base(3);
    let target = Registry::start();
    let front = Front::start(target.address(), |request| match mounts_into(request, "p/r01") {
        true => Verdict::CutUp(0),
        false => Verdict::Forward,
    });
    hasty(&bundle.path(), &front.url()).run().ok().prints("3 images loaded");
    check(&bundle, &target);
}

#[test]
fn a_registry_without_mounts_is_asked_before_bytes_are_sent_again() {
    let bundle = four_images();
    for mounts in [Mounts::Ignored, Mounts::Refused(405), Mounts::Refused(501)] {
        let target = Registry::start();
        // All blobs are there, and no image is.
        let front = Front::start(target.address(), |request| {
            let is_tag = request.method == "PUT" && request.target.contains("/manifests/");
            if is_tag { Verdict::status(400) } else { Verdict::Forward }
        });
        load(&bundle.path(), &front.url()).run().expect(1).prints(" 4 failed");
        let before = target.requests().len();
        let front = Dialect { mounts, ..Dialect::default() }.front(target.address());
        let loaded = load(&bundle.path(), &front.url()).run().ok();
        let _ = loaded.prints("4 images loaded").prints("0 blobs uploaded (0 B), 0 mounted");
        let again = target.requests().split_off(before);
        let sent =
            again.iter().filter(|line| line.starts_with("PUT ") && line.contains("/uploads/"));
        assert_eq!(sent.count(), 0, "{mounts:?}");
        assert_eq!(target.open_sessions(), 0, "{mounts:?}");
        check(&bundle, &target);
    }
}

#[test]
fn a_holder_that_the_target_has_emptied_is_no_obstacle() {
    // The image is there, so its layers should be, and can be mounted from it.
    let bundle = of_one_base(2);
    let target = Registry::start();
    load_all(&of_one_base(1), &target);
    let layer = bundle.tree.last_layer("p/r00:1");
    let layers = target.storage().join("docker/registry/v2/repositories/p/r00/_layers/sha256");
    std::fs::remove_dir_all(layers.join(layer.hex())).unwrap();
    load(&bundle.path(), &target.url()).run().ok().prints("1 image loaded, 1 already there");
    assert_eq!(target.commits(&layer.to_string()), 2);
}
