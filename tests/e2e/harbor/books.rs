//! What a load leaves in Harbor's books: the bytes that are there, each counted once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use e2e::content::Family;
use e2e::harbor::Project;
use e2e::programs::{Run, signal, wait};
use e2e::tree::digest_of;
use e2e::{Bundle, Harbor, Tree};

use super::loading;

/// Panics unless each project uses what it holds.
#[track_caller]
fn assert_counted_once(harbor: &Harbor, when: &str) {
    harbor.settle();
    for (name, project) in &harbor.state().projects {
        assert_eq!(project.used(), project.held_bytes(), "{when}: project {name}");
    }
}

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
        assert_counted_once(&harbor, project);
        loading(&bundle, &harbor).run().ok().prints("3 already there");
        assert_counted_once(&harbor, "again");
    }
}

#[test]
fn layers_that_many_repositories_of_a_project_share() {
    for made_before in [false, true] {
        // They are mounted from another project.
        let bundle = sharing(132, &[named("base", 1), named("team", 16)].concat());
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
        loading(&bundle, &harbor).args(["--jobs", "8"]).run().ok().prints("17 images loaded");
        assert_counted_once(&harbor, "side by side");
    }
}

#[test]
fn loads_that_are_killed_and_go_on() {
    let bundle = sharing(133, &[named("team", 3), named("other", 3)].concat());
    for number in (8..40).step_by(4) {
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
        let child = loading(&bundle, &harbor).start();
        process.store(child.id(), Ordering::SeqCst);
        let _ = wait(child);
        assert_counted_once(&harbor, &format!("killed at {number}"));
        loading(&bundle, &harbor).run().ok().prints(" 0 failed");
        assert_counted_once(&harbor, &format!("after {number}"));
    }
}
