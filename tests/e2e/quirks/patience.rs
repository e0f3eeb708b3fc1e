use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::{check, four_images, hasty, impatient, uploads};
use e2e::content::Family;
use e2e::programs::{Run, load, loader};
use e2e::tree::digest_of;
use e2e::{Bundle, Front, Registry, Tree, Verdict};

#[test]
fn a_blob_that_never_gets_through_costs_its_images_alone() {
    let bundle = Bundle::everything(201);
    let blob = bundle.tree.last_layer("alpine:3.18");
    for fault in [Verdict::status(504), Verdict::CutUp(100)] {
        let target = Registry::start();
        let front = Front::start(target.address(), move |request| {
            if uploads(request, &blob) { fault.clone() } else { Verdict::Forward }
        });
        for counts in ["17 images loaded, 0 already there", "0 images loaded, 17 already there"] {
            impatient(&bundle.path(), &front.url())
                .run()
                .expect(3)
                .prints(&format!("{counts}, 1 failed"))
                .says(&format!("failed: alpine:3.18: blob {blob}"));
        }
        load(&bundle.path(), &target.url()).run().ok().prints("1 image loaded");
        check(&bundle, &target);
    }
}

#[test]
fn a_blob_that_gets_into_no_repository_is_tried_in_a_few() {
    let bundle = super::of_one_base(20);
    let base = bundle.tree.last_layer("p/r00:1");
    let target = Registry::start();
    let front = Front::start(target.address(), move |request| {
        if uploads(request, &base) { Verdict::status(504) } else { Verdict::Forward }
    });
    let mut load = loader();
    load.arg("load").arg(bundle.path()).args(["--to", &front.url(), "--max-wait", "1"]);
    load.args(["--retry-delay", "20"]).run().expect(1).prints(" 20 failed");
    let tries = front.requests().iter().filter(|request| uploads(request, &base)).count();
    // Each repository for itself would take more than two hundred.
    assert!(tries < 120, "{tries} uploads of what never gets through");
}

#[test]
fn a_repository_that_never_answers_costs_its_images_alone() {
    let bundle = Bundle::everything(202);
    let target = Registry::start();
    let front = Front::start(target.address(), |request| {
        let is_bad = request.target.starts_with("/v2/alpine/");
        if is_bad { Verdict::status(503) } else { Verdict::Forward }
    });
    for counts in ["15 images loaded, 0 already there", "0 images loaded, 15 already there"] {
        impatient(&bundle.path(), &front.url())
            .run()
            .expect(3)
            .prints(&format!("{counts}, 3 failed"));
    }
    load(&bundle.path(), &target.url()).run().ok().prints("3 images loaded, 15 already there");
    check(&bundle, &target);
}

#[test]
fn a_repository_that_never_tells_is_pushed_to() {
    let bundle = Bundle::everything(203);
    let target = Registry::start();
    let front = Front::start(target.address(), |request| {
        let is_question = request.method == "HEAD" || request.method == "GET";
        match is_question && request.target.starts_with("/v2/alpine/") {
            true => Verdict::status(503),
            false => Verdict::Forward,
        }
    });
    impatient(&bundle.path(), &front.url()).run().ok().prints("18 images loaded");
    check(&bundle, &target);
}

#[test]
fn a_target_that_fails_at_everything_for_a_while_loses_nothing() {
    let bundle = four_images();
    // In the survey, in the first uploads, in the middle; with nothing else under way, too.
    for (from, jobs) in [(1, "8"), (8, "8"), (20, "8"), (1, "1"), (15, "1")] {
        let target = Registry::start();
        let (seen, ill) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // It answers pings: the disk behind it is what does not answer.
        let front = Front::start(target.address(), move |request| {
            if request.target == "/v2/" || seen.fetch_add(1, Ordering::SeqCst) < from {
                return Verdict::Forward;
            }
            match ill.fetch_add(1, Ordering::SeqCst) < 100 {
                true => Verdict::error(500, "UNKNOWN", "internal server error"),
                false => Verdict::Forward,
            }
        });
        let mut load = hasty(&bundle.path(), &front.url());
        let loaded = load.args(["--jobs", jobs]).run().ok();
        let _ = loaded.prints("4 images loaded, 0 already there, 0 failed");
        check(&bundle, &target);
    }
}

#[test]
fn a_target_that_fails_at_everything_is_left_in_the_end() {
    let bundle = Bundle::everything(206);
    let target = Registry::start();
    let seen = AtomicUsize::new(0);
    let front = Front::start(target.address(), move |request| {
        match request.target != "/v2/" && seen.fetch_add(1, Ordering::SeqCst) > 40 {
            true => Verdict::error(500, "UNKNOWN", "internal server error"),
            false => Verdict::Forward,
        }
    });
    // One job: an answer from before, that comes late, would be one more thing that went well.
    let mut command = load(&bundle.path(), &front.url());
    let lost = command.args(["--max-wait", "1", "--jobs", "1"]).run();
    assert!(matches!(lost.code, Some(1 | 3)), "{lost:?}");
    // It is said once, and each image is named.
    let lost = lost.says("nothing goes well now: trying again for up to 1 s");
    assert_eq!(lost.stderr.matches("nothing goes well now").count(), 1, "{}", lost.stderr);
    assert!(!lost.stderr.contains("left: "), "{}", lost.stderr);
    drop(front);
    load(&bundle.path(), &target.url()).run().ok().prints(" 0 failed");
    check(&bundle, &target);
}

#[test]
fn a_target_that_is_gone_leaves_what_is_left() {
    let bundle = Bundle::everything(207);
    let target = Registry::start();
    let seen = AtomicUsize::new(0);
    let front = Front::start(target.address(), move |_| {
        if seen.fetch_add(1, Ordering::SeqCst) < 40 { Verdict::Forward } else { Verdict::CutUp(0) }
    });
    let lost = load(&bundle.path(), &front.url()).args(["--max-wait", "1"]).run();
    assert!(matches!(lost.code, Some(1 | 3)), "{lost:?}");
    let _ = lost.prints(" 0 failed").says("left: the same command goes on with them");
    drop(front);
    load(&bundle.path(), &target.url()).run().ok();
    check(&bundle, &target);
}

#[test]
fn a_long_upload_is_tried_again_whatever_time_it_has_taken() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 208);
        let layer = tree.layer(Family::Oci, 3_000_000);
        let image = tree.image("team/large", Family::Oci, "large", &[layer]);
        tree.tag("team/large", "1", digest_of(&image));
        tree
    });
    let blob = bundle.tree.last_layer("team/large:1");
    let target = Registry::start();
    let cuts = AtomicUsize::new(0);
    let front = Front::start(target.address(), move |request| {
        if !uploads(request, &blob) || cuts.fetch_add(1, Ordering::SeqCst) >= 4 {
            return Verdict::Forward;
        }
        // A slow network that breaks late: each time half of the patience is over.
        sleep(Duration::from_millis(500));
        Verdict::CutUp(1_000_000)
    });
    let mut load = hasty(&bundle.path(), &front.url());
    load.args(["--max-wait", "1"]).run().ok().prints("1 image loaded");
    check(&bundle, &target);
    assert_eq!(target.commits(&blob.to_string()), 1);
}

#[test]
fn patience_ends_when_the_registry_asks_for_a_year() {
    let bundle = Bundle::simple();
    let target = Registry::start();
    for year in ["31536000", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let is_first = AtomicBool::new(true);
        let front = Front::start(target.address(), move |request| {
            let refused = request.method == "PUT" && is_first.swap(false, Ordering::SeqCst);
            match refused {
                true => Verdict::status(429).with_header("retry-after", year),
                false => Verdict::Forward,
            }
        });
        load(&bundle.path(), &front.url()).args(["--max-wait", "1"]).run().ok();
    }
}
