//! What a load leaves in Harbor's books: the bytes that are there, each counted once.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use e2e::content::Family;
use e2e::harbor::{Account, Kind, Project};
use e2e::http::Ask;
use e2e::programs::{Run, signal, wait};
use e2e::tree::digest_of;
use e2e::{Bundle, Harbor, Tree, Verdict};
use serde_json::{Value, json};
use tranship_common::Digest;

use super::{loading, log_in};

/// Images of these repositories that share four layers.
fn sharing(seed: u64, repositories: &[String]) -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, seed);
        let shared: Vec<_> = (0..4).map(|_| tree.layer(Family::Oci, 5000)).collect();
        for repository in repositories {
            let image = tree.image(repository, Family::Oci, repository, &shared);
            tree.tag(repository, "1", digest_of(&image));
        }
        tree
    })
}

fn named(project: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{project}/app{number}")).collect()
}

#[test]
fn layers_that_another_project_has_already() {
    let harbor = Harbor::start();
    for name in ["first", "second"] {
        harbor.state().projects.insert(name.into(), Project::default());
    }
    // The same layers twice, by two bundles.
    for project in ["first", "second"] {
        let bundle = sharing(131, &named(project, 3));
        loading(&bundle, &harbor).args(["--jobs", "1"]).run().ok().prints("3 images loaded");
        harbor.assert_books(project);
        loading(&bundle, &harbor).run().ok().prints("3 already there");
        harbor.assert_books("again");
    }
}

#[test]
fn layers_that_many_repositories_of_a_project_share() {
    for made_before in [false, true] {
        // They are mounted from another project.
        let bundle = sharing(132, &[named("base", 1), named("team", 48)].concat());
        let harbor = Harbor::start();
        if made_before {
            for name in ["base", "team"] {
                harbor.state().projects.insert(name.into(), Project::default());
            }
        }
        // What is sent side by side meets here.
        harbor.hold(|request| {
            if request.target.contains("/blobs/uploads/") {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        loading(&bundle, &harbor).args(["--jobs", "8"]).run().ok().prints("49 images loaded");
        harbor.assert_books("side by side");
    }
}

#[test]
fn an_image_that_many_repositories_of_a_project_have() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 134);
        let layer = tree.layer(Family::Oci, 5000);
        for repository in named("team", 8) {
            let image = tree.image(&repository, Family::Oci, "same", std::slice::from_ref(&layer));
            let index = tree.index(&repository, Family::Oci, std::slice::from_ref(&image));
            tree.tag(&repository, "image", digest_of(&image));
            tree.tag(&repository, "index", digest_of(&index));
        }
        tree
    });
    let harbor = Harbor::start();
    // While one is pushed, the others would come.
    harbor.state().push_time = Duration::from_millis(20);
    loading(&bundle, &harbor).args(["--jobs", "8"]).run().ok().prints("16 images loaded");
    harbor.assert_books("side by side");
}

#[test]
fn what_other_images_of_a_project_have_takes_no_room() {
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::default());
    let first = sharing(135, &["team/first".to_owned()]);
    loading(&first, &harbor).run().ok();
    let with_both = {
        let elsewhere = Harbor::start();
        elsewhere.state().projects.insert("team".into(), Project::default());
        let both = sharing(135, &["team/first".to_owned(), "team/second".to_owned()]);
        loading(&both, &elsewhere).run().ok();
        elsewhere.state().projects["team"].used()
    };
    // Another bundle brings another image on the same layers, which is all that there is room for.
    harbor.state().projects.get_mut("team").unwrap().limit = Some(with_both);
    let second = Bundle::of(|root| {
        let mut tree = Tree::new(root, 135);
        let shared: Vec<_> = (0..4).map(|_| tree.layer(Family::Oci, 5000)).collect();
        let image = tree.image("team/second", Family::Oci, "team/second", &shared);
        tree.tag("team/second", "1", digest_of(&image));
        tree
    });
    loading(&second, &harbor).run().ok().prints("1 image loaded");
    assert_eq!(harbor.state().projects["team"].used(), with_both);
}

/// How many bytes each project holds with a whole bundle, and how many requests it takes.
fn held(bundle: &Bundle) -> (BTreeMap<String, u64>, usize) {
    let harbor = Harbor::start();
    loading(bundle, &harbor).run().ok();
    let state = harbor.state();
    let held = state.projects.iter().map(|(name, project)| (name.clone(), project.held_bytes()));
    (held.filter(|(_, held)| *held > 0).collect(), harbor.requests().len())
}

#[test]
fn loads_that_are_killed_anywhere_go_on_in_the_room_that_is_left() {
    let bundle = sharing(133, &[named("team", 2), named("other", 1)].concat());
    let (held, requests) = held(&bundle);
    for number in 0..requests {
        let process = Arc::new(AtomicU32::new(0));
        let (to_kill, seen) = (Arc::clone(&process), AtomicUsize::new(0));
        let harbor = Harbor::with_trouble(move |_, _| {
            if seen.fetch_add(1, Ordering::SeqCst) == number {
                while to_kill.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                signal(to_kill.load(Ordering::SeqCst), "KILL");
            }
            None
        });
        // Not one byte more than all of it takes.
        for (name, bytes) in &held {
            harbor.state().projects.insert(name.clone(), Project::limited(*bytes));
        }
        let child = loading(&bundle, &harbor).start();
        process.store(child.id(), Ordering::SeqCst);
        let _ = wait(child);
        harbor.settle();
        harbor.assert_books(&format!("killed at {number}"));
        loading(&bundle, &harbor).run().ok().prints(" 0 failed");
        let state = harbor.state();
        for (name, bytes) in &held {
            assert_eq!(state.projects[name].used(), *bytes, "{name}, after {number}");
        }
    }
}

#[test]
fn a_count_that_has_grown_too_much_is_said() {
    let bundle = sharing(136, &named("team", 2));
    let (held, _) = held(&bundle);
    for options in [&[][..], &["--no-preflight"]] {
        let harbor = Harbor::with_trouble(|request, state| {
            if request.target.ends_with("/v2/team/app1/manifests/1") && request.method == "PUT" {
                state.projects.get_mut("team").unwrap().miscount(1234);
            }
            None
        });
        harbor.state().miscounts = true;
        let [json, page] = ["load.json", "load.html"].map(|name| bundle.file(name));
        let loaded = loading(&bundle, &harbor).args(options).arg("--report").arg(&json).run().ok();
        let (added, counted) = (held["team"], held["team"] + 1234);
        let words = format!(
            "project team: {added} bytes were added, and Harbor's quota has grown by {counted}"
        );
        let _ = loaded.says(&words).says("GET /api/internal/syncquota");
        let report: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
        let expected = json!([{"project": "team", "added": added, "counted": counted}]);
        assert_eq!(report["overcounts"], expected);
        // What helps, and then there is nothing to be said.
        let sync = Ask::new(&harbor.url(), "GET", "/api/internal/syncquota");
        assert_eq!(sync.by("admin", "Harbor12345").send().status, 200);
        harbor.assert_books("set right");
        let again = loading(&bundle, &harbor).arg("--report").arg(&page).run().ok();
        assert!(!again.stderr.contains("syncquota"), "{}", again.stderr);
        assert!(!fs::read_to_string(page).unwrap().contains("syncquota"));
    }
}

#[test]
fn the_page_says_what_was_counted_too_much() {
    let bundle = sharing(137, &named("team", 1));
    let harbor = Harbor::with_trouble(|request, state| {
        if request.target.ends_with("/manifests/1") && request.method == "PUT" {
            state.projects.get_mut("team").unwrap().miscount(7);
        }
        None
    });
    harbor.state().miscounts = true;
    let page = bundle.file("load.html");
    loading(&bundle, &harbor).arg("--report").arg(&page).run().ok();
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("project team: ") && page.contains("GET /api/internal/syncquota"));
}

#[test]
fn what_was_brought_without_an_answer_or_in_vain_is_no_overcount() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 138);
        let layer = tree.layer(Family::Oci, 5000);
        let images = ["one", "two"]
            .map(|name| tree.image("team/app", Family::Oci, name, std::slice::from_ref(&layer)));
        let index = tree.index("team/app", Family::Oci, &images);
        tree.tag("team/app", "1", digest_of(&index));
        tree.simple("team/other", "1");
        tree
    });
    // Nobody hears of the first blobs and of the first manifest that they have arrived, and the last
    // manifest is refused.
    let (cut, refused) = (AtomicUsize::new(0), bundle.tree.tags["team/app:1"]);
    let harbor = Harbor::with_trouble(move |request, _| {
        let is_put = request.method == "PUT";
        if is_put && Digest::of(&request.body) == refused {
            return Some(Verdict::error(400, "MANIFEST_INVALID", "not to my taste"));
        }
        let is_first = is_put && cut.fetch_add(1, Ordering::SeqCst) < 3;
        is_first.then_some(Verdict::CutDown(0))
    });
    let loaded = loading(&bundle, &harbor).args(["--jobs", "1"]).run().expect(3);
    let loaded = loaded.says("not to my taste").prints("1 image loaded");
    assert!(!loaded.stderr.contains("syncquota"), "{}", loaded.stderr);
    assert!(harbor.state().projects["team"].used() > 0);
}

#[test]
fn a_limit_that_is_not_shown_is_said_to_be_unknown() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::public());
    harbor.state().accounts.insert("robot$push".into(), Account::new("x", Kind::SystemRobot));
    let words = "not checked: the storage quota of project team: its limit is unknown";
    for (name, is_error) in [("plan", false), ("load", true)] {
        let mut command = super::command(name, &bundle, &harbor);
        let done = log_in(&mut command, "robot$push", "x").run().ok();
        let said = if is_error { done.stderr } else { done.stdout };
        assert!(said.contains(words), "{said}");
    }
}
