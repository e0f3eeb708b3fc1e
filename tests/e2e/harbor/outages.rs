//! Harbor goes away in the middle of a load, or the user wants to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use e2e::harbor::Project;
use e2e::programs::{Finished, Run, signal, wait};
use e2e::shown::whole_tags;
use e2e::{Bundle, Harbor, Tree, Verdict};

use super::{ALL_ARRIVED, command, loading};

/// Harbor with trouble at the request of this number.
fn with_trouble_at(number: usize, trouble: Verdict) -> Harbor {
    let seen = AtomicUsize::new(0);
    Harbor::with_trouble(move |_, _| {
        (seen.fetch_add(1, Ordering::SeqCst) == number).then(|| trouble.clone())
    })
}

#[test]
fn harbor_starts_anew_in_the_middle() {
    let bundle = Bundle::everything(121);
    let harbor = with_trouble_at(60, Verdict::Restart(60));
    let loaded = loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
    // Said once, whichever and however many requests have noticed.
    assert_eq!(loaded.stderr.matches("waiting up to 300 s").count(), 1, "{}", loaded.stderr);
    assert_eq!(loaded.stderr.matches("it is back after").count(), 1, "{}", loaded.stderr);
    assert!(!loaded.stderr.contains("trying again in"), "{}", loaded.stderr);
    command("check", &bundle, &harbor).run().ok();
}

#[test]
fn a_proxy_that_finds_nobody_behind_it() {
    let bundle = Bundle::everything(122);
    let seen = AtomicUsize::new(0);
    let harbor = Harbor::with_trouble(move |_, _| {
        let number = seen.fetch_add(1, Ordering::SeqCst);
        (60..120).contains(&number).then(|| Verdict::page(502, "Bad Gateway"))
    });
    let loaded = loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
    assert_eq!(loaded.stderr.matches("waiting up to").count(), 1, "{}", loaded.stderr);
}

#[test]
fn harbor_that_is_not_up_yet() {
    let bundle = Bundle::simple();
    let seen = AtomicUsize::new(0);
    let harbor = Harbor::with_trouble(move |_, _| {
        (seen.fetch_add(1, Ordering::SeqCst) < 5).then(|| Verdict::page(502, "Bad Gateway"))
    });
    let loaded = loading(&bundle, &harbor).run().ok().prints("1 image loaded");
    let _ = loaded.says("502 Bad Gateway; waiting up to 300 s");
}

#[test]
fn harbor_that_stays_away() {
    let bundle = Bundle::everything(123);
    let seen = AtomicUsize::new(0);
    let harbor = Harbor::with_trouble(move |_, _| {
        (seen.fetch_add(1, Ordering::SeqCst) >= 100).then(|| Verdict::page(503, "Not Available"))
    });
    let ended = loading(&bundle, &harbor).args(["--max-wait", "1"]).run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let ended = ended.says("503").says("left: the same command goes on with them");
    // What is left is not tried image by image, each for as long.
    assert_eq!(ended.stderr.matches("waiting up to 1 s").count(), 1, "{}", ended.stderr);
    let whole = whole_tags(&harbor.registry, &named_in_harbor(&bundle));
    assert!(ended.stdout.contains(&format!("{whole} image")), "{whole}: {}", ended.stdout);
}

/// Digests by the names that images have in Harbor.
fn named_in_harbor(bundle: &Bundle) -> std::collections::BTreeMap<String, tranship_common::Digest> {
    let tags = bundle.tree.tags.iter();
    tags.map(|(name, digest)| match name.contains('/') {
        true => (name.clone(), *digest),
        false => (format!("library/{name}"), *digest),
    })
    .collect()
}

/// A load that gets this signal at the request of this number, which is then answered in this way.
/// Harbor has these projects already.
fn signalled_at(
    number: usize,
    name: &'static str,
    answer: Verdict,
    bundle: &Bundle,
    projects: &[&str],
) -> (Harbor, Finished) {
    let process = Arc::new(AtomicU32::new(0));
    let to_signal = Arc::clone(&process);
    let seen = AtomicUsize::new(0);
    let harbor = Harbor::with_trouble(move |_, _| {
        if seen.fetch_add(1, Ordering::SeqCst) == number {
            while to_signal.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            signal(to_signal.load(Ordering::SeqCst), name);
            return Some(answer.clone());
        }
        None
    });
    for project in projects {
        harbor.state().projects.insert((*project).to_owned(), Project::default());
    }
    let child = loading(bundle, &harbor).args(["--jobs", "4", "--timeout", "86400"]).start();
    process.store(child.id(), Ordering::SeqCst);
    let ended = wait(child);
    (harbor, ended)
}

#[test]
fn ctrl_c_finishes_what_is_under_way_and_says_how_to_go_on() {
    let bundle = Bundle::everything(124);
    for name in ["INT", "TERM"] {
        let (harbor, ended) = signalled_at(80, name, Verdict::Forward, &bundle, &[]);
        let _ = ended
            .expect(3)
            .says("what is under way is finished; again to stop at once")
            .says("interrupted")
            .says("left: the same command goes on with them");
        let _ = whole_tags(&harbor.registry, &named_in_harbor(&bundle));
        assert_eq!(harbor.registry.uploads("POST", 202), harbor.registry.uploads("PUT", 201) + 1);
        loading(&bundle, &harbor).run().ok().prints(" 0 failed");
        for blob in bundle.blobs() {
            assert_eq!(harbor.registry.commits(&blob), 1, "{name}: {blob}");
        }
    }
}

#[test]
fn ctrl_c_before_anything_is_sent() {
    let projects = ["p0", "p1", "p2", "p3", "p4"];
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 125);
        for project in projects {
            tree.simple(&format!("{project}/image"), "1");
            tree.simple(&format!("{project}/image"), "2");
        }
        tree
    });
    // The first thing that a load does itself is to ask for a blob.
    let until_load = {
        let (harbor, _) = signalled_at(usize::MAX, "INT", Verdict::Forward, &bundle, &projects);
        let requests = harbor.requests();
        requests.iter().position(|request| request.target.contains("/blobs/sha256")).unwrap()
    };
    for number in 0..until_load {
        // Whether there is ever an answer does not matter.
        let answer = if number % 2 == 0 { Verdict::Stall } else { Verdict::Forward };
        let (harbor, ended) = signalled_at(number, "INT", answer, &bundle, &projects);
        let ended = ended.says("what is under way is finished").says("interrupted");
        assert!(!ended.stderr.contains("failed: "), "{number}: {}", ended.stderr);
        // What an answer comes too late for is not known: at most one session for each job.
        harbor.settle();
        assert!(harbor.registry.open_sessions() <= 4, "{number}");
        // It may have begun to load before it heard of it.
        match ended.code {
            Some(1) => assert_eq!(whole_tags(&harbor.registry, &bundle.tree.tags), 0, "{number}"),
            code => assert_eq!(code, Some(3), "{number}: {}", ended.stderr),
        }
    }
}
