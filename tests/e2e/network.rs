//! A network that cuts, stalls and answers what it likes between loader and registry.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::programs::{Run, load, loader};
use e2e::{Bundle, Front, Registry, Request, Tree, Verdict};
use serde_json::json;

const ALL_ARRIVED: &str = "18 images loaded, 0 already there, 0 failed";

/// One of the things that networks do, by a seeded chance.
fn fault(random: &mut fastrand::Rng) -> Verdict {
    match random.u32(..7) {
        0 => Verdict::CutUp(random.u64(..4000)),
        1 => Verdict::CutDown(random.u64(..300)),
        2 => Verdict::status(500),
        3 => Verdict::status(502),
        4 => Verdict::status(429).with_header("retry-after", "0"),
        5 => Verdict::status(408),
        _ => Verdict::CutUp(0),
    }
}

fn check(bundle: &Bundle, target: &Registry) {
    loader().arg("check").arg(bundle.path()).args(["--to", &target.url()]).run().ok();
}

#[test]
fn every_sixth_request_meets_a_fault() {
    let bundle = Bundle::everything(41);
    for seed in 0..8 {
        let target = Registry::start();
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let faults = AtomicUsize::new(0);
        let faults = std::sync::Arc::new(faults);
        let count = std::sync::Arc::clone(&faults);
        let front = Front::start(target.address(), move |_| {
            let mut random = random.lock().unwrap();
            if random.u32(..6) != 0 {
                return Verdict::Forward;
            }
            count.fetch_add(1, Ordering::Relaxed);
            fault(&mut random)
        });
        let loaded = load(&bundle.path(), &front.url()).run();
        assert_eq!(loaded.code, Some(0), "seed {seed}: {}", loaded.stderr);
        let _ = loaded.prints(ALL_ARRIVED);
        check(&bundle, &target);
        let faults = faults.load(Ordering::Relaxed);
        assert!(faults > 5, "seed {seed}: only {faults} faults");
        let commits: usize = bundle.blobs().iter().map(|blob| target.commits(blob)).sum();
        assert!(commits <= bundle.blobs().len() + faults, "seed {seed}: {commits} uploads");
    }
}

#[test]
fn an_upload_that_is_cut_in_the_middle_is_sent_again_whole() {
    let bundle = Bundle::everything(42);
    let target = Registry::start();
    let cut = Mutex::new(HashMap::<String, u32>::new());
    let front = Front::start(target.address(), move |request| {
        if request.method != "PUT" {
            return Verdict::Forward;
        }
        // Each blob and manifest breaks off twice, at other places.
        let what = request.target.rsplit(['=', '/']).next().unwrap_or_default().to_owned();
        let times = *cut.lock().unwrap().entry(what).and_modify(|times| *times += 1).or_insert(1);
        match times {
            1 => Verdict::CutUp(7),
            2 => Verdict::CutUp(200),
            _ => Verdict::Forward,
        }
    });
    load(&bundle.path(), &front.url()).run().ok().prints(ALL_ARRIVED);
    check(&bundle, &target);
}

#[test]
fn an_answer_that_is_lost_does_no_harm() {
    let bundle = Bundle::everything(43);
    let target = Registry::start();
    let lost = Mutex::new(std::collections::HashSet::new());
    let front = Front::start(target.address(), move |request| {
        let changes = request.method == "PUT" || request.method == "POST";
        let name = format!("{} {}", request.method, request.target);
        match changes && lost.lock().unwrap().insert(name) {
            true => Verdict::CutDown(0),
            false => Verdict::Forward,
        }
    });
    load(&bundle.path(), &front.url()).run().ok().prints(ALL_ARRIVED);
    check(&bundle, &target);
}

#[test]
fn a_list_that_stalls_in_the_middle_is_asked_for_again() {
    let tagged = |tags: &'static [&str]| {
        Bundle::of(|root| {
            let mut tree = Tree::new(root, 47);
            for tag in tags {
                tree.simple("team/image", tag);
            }
            tree
        })
    };
    let target = Registry::start();
    load(&tagged(&["0"]).path(), &target.url()).run().ok();
    let stalled = AtomicUsize::new(0);
    let front = Front::start(target.address(), move |request| {
        let is_list = request.target.ends_with("/tags/list");
        match is_list && stalled.fetch_add(1, Ordering::Relaxed) == 0 {
            true => Verdict::StallInBody,
            false => Verdict::Forward,
        }
    });
    let bundle = tagged(&["1", "2"]);
    load(&bundle.path(), &front.url())
        .args(["--timeout", "1"])
        .run()
        .ok()
        .prints("2 images loaded");
    let lists = target.requests().into_iter().filter(|line| line.contains("/tags/list"));
    assert_eq!(lists.count(), 2);
}

#[test]
fn a_registry_that_stalls_is_asked_again_on_another_connection() {
    let bundle = Bundle::simple();
    let target = Registry::start();
    let stalled = AtomicUsize::new(0);
    let front = Front::start(target.address(), move |request| {
        let stalls = request.method == "PUT" && stalled.fetch_add(1, Ordering::Relaxed) < 2;
        if stalls { Verdict::Stall } else { Verdict::Forward }
    });
    load(&bundle.path(), &front.url()).args(["--timeout", "1"]).run().ok().prints("1 image loaded");
    check(&bundle, &target);
}

#[test]
fn the_registry_says_when_to_come_back() {
    let bundle = Bundle::simple();
    let target = Registry::start();
    let refused = Mutex::new(None::<Instant>);
    let early = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&early);
    let front = Front::start(target.address(), move |request: &Request| {
        if !(request.method == "PUT" && request.target.contains("/manifests/")) {
            return Verdict::Forward;
        }
        let mut refused = refused.lock().unwrap();
        match *refused {
            None => {
                *refused = Some(Instant::now());
                Verdict::status(429).with_header("retry-after", "1")
            }
            Some(since) => {
                if since.elapsed() < Duration::from_secs(1) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Verdict::Forward
            }
        }
    });
    load(&bundle.path(), &front.url()).run().ok();
    assert_eq!(early.load(Ordering::Relaxed), 0, "it came back too early");
}

#[test]
fn one_image_that_fails_does_not_stop_the_others() {
    let bundle = Bundle::everything(44);
    let target = Registry::start();
    let front = Front::start(target.address(), |request| {
        match request.method == "PUT" && request.target.ends_with("/team/odd/manifests/layers") {
            true => Verdict::json(
                400,
                &json!({"errors": [{"code": "MANIFEST_INVALID", "message": "not to my taste"}]}),
            ),
            false => Verdict::Forward,
        }
    });
    let report = bundle.file("report.json");
    load(&bundle.path(), &front.url())
        .arg("--report")
        .arg(&report)
        .run()
        .expect(3)
        .prints("17 images loaded, 0 already there, 1 failed")
        .says("failed: team/odd:layers: PUT /v2/team/odd/manifests/layers: 400 Bad Request: MANIFEST_INVALID: not to my taste");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["totals"]["loaded"], 17);
    assert_eq!(report["totals"]["failed"], 1);
    let images = report["images"].as_array().unwrap();
    let failed: Vec<_> = images.iter().filter(|image| image["status"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["name"], "team/odd:layers");
    assert!(failed[0]["reason"].as_str().unwrap().contains("not to my taste"));
    let puts = front.requests().into_iter().filter(|request| {
        request.method == "PUT" && request.target.ends_with("/team/odd/manifests/layers")
    });
    assert_eq!(puts.count(), 1, "what cannot pass is not repeated");
}

#[test]
fn what_is_denied_is_said_once_for_a_repository() {
    let bundle = Bundle::everything(45);
    let target = Registry::start();
    let front = Front::start(target.address(), |request| {
        match request.method == "POST" && request.target.starts_with("/v2/alpine/") {
            true => Verdict::json(
                403,
                &json!({"errors": [{"code": "DENIED", "message": "requested access is denied"}]}),
            ),
            false => Verdict::Forward,
        }
    });
    load(&bundle.path(), &front.url())
        .env("TRANSHIP_USERNAME", "me")
        .env("TRANSHIP_PASSWORD", "x")
        .run()
        .expect(3)
        .prints("15 images loaded, 0 already there, 3 failed")
        .says("me may not push to alpine")
        .says("DENIED: requested access is denied");
}

#[test]
fn a_proxy_that_limits_bodies_is_named() {
    let bundle = Bundle::simple();
    let target = Registry::start();
    let front = Front::start(target.address(), |request| match request.method.as_str() {
        "PUT" => Verdict::status(413),
        _ => Verdict::Forward,
    });
    load(&bundle.path(), &front.url()).run().expect(1).says("client_max_body_size");
}

#[test]
fn nobody_answers() {
    let bundle = Bundle::simple();
    let mut target = Registry::start();
    let url = target.url();
    target.stop();
    load(&bundle.path(), &url).run().expect(1).says(&format!("cannot connect to {url}"));
}

#[test]
fn the_registry_goes_away_in_the_middle() {
    let bundle = Bundle::everything(46);
    let target = Registry::start();
    let address = target.address();
    let gone = AtomicUsize::new(0);
    let front = Front::start(address, move |_| {
        if gone.fetch_add(1, Ordering::Relaxed) < 60 { Verdict::Forward } else { Verdict::CutUp(0) }
    });
    let lost = load(&bundle.path(), &front.url()).args(["--max-wait", "1"]).run();
    assert!(lost.code == Some(3) || lost.code == Some(1), "{lost:?}");
    drop(front);
    load(&bundle.path(), &target.url()).run().ok();
    check(&bundle, &target);
    for blob in bundle.blobs() {
        assert!(target.commits(&blob) >= 1, "{blob}");
    }
}

#[test]
fn what_answers_is_no_registry() {
    let bundle = Bundle::simple();
    let front = Front::start(String::new(), |_| Verdict::page(404, "Not Found"));
    load(&bundle.path(), &front.url()).run().expect(1).says("404 Not Found");
    let redirects = Front::start(String::new(), |_| {
        Verdict::status(301).with_header("location", "https://elsewhere.example/v2/")
    });
    load(&bundle.path(), &redirects.url()).run().expect(1).says("https://elsewhere.example/v2/");
}
