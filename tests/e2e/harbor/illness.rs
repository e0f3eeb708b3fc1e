//! Harbor is ill, or refuses for a while what it should not: a load waits, and blames nothing else.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::harbor::{Project, State};
use e2e::programs::Run;
use e2e::{Bundle, Harbor, Request, Tree, Verdict};

use super::{ALL_ARRIVED, command, loading};

/// So long Harbor locks a user name after a wrong password.
const LOCK: Duration = Duration::from_millis(1500);

/// So many requests find no database: more than any single thing is tried.
const AWAY: usize = 30;

/// Two images for each of two projects.
fn four_images() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 171);
        for repository in ["p/one", "p/two", "q/one", "q/two"] {
            tree.simple(repository, "1");
        }
        tree
    })
}

fn with_projects(harbor: Harbor) -> Harbor {
    for name in ["p", "q"] {
        harbor.state().projects.insert(name.into(), Project::limited(1 << 20));
    }
    harbor
}

/// Harbor to which something happens when it gets the request of a number.
fn at(numbers: &[usize], event: impl Fn(&mut State) + Send + Sync + 'static) -> Harbor {
    let numbers = numbers.to_vec();
    let seen = AtomicUsize::new(0);
    Harbor::with_trouble(move |_, state| {
        if numbers.contains(&seen.fetch_add(1, Ordering::SeqCst)) {
            event(state);
        }
        None
    })
}

fn assert_nothing_failed(said: &str) {
    assert!(!said.contains("failed:") && !said.contains("may not push"), "{said}");
}

#[test]
fn a_database_that_is_away_for_a_while() {
    let bundle = four_images();
    let requests = {
        let harbor = with_projects(Harbor::start());
        loading(&bundle, &harbor).run().ok();
        harbor.requests().len()
    };
    // From the first request on, while it is asked what there is and what may be done, and later.
    for number in (0..requests).step_by(3) {
        let harbor = with_projects(at(&[number], |state| state.database_away = AWAY));
        let loaded = loading(&bundle, &harbor).run().ok();
        let loaded = loaded.prints("4 images loaded, 0 already there, 0 failed");
        assert_nothing_failed(&loaded.stderr);
    }
}

#[test]
fn a_database_that_is_away_when_a_second_load_asks_what_there_is() {
    let bundle = four_images();
    let is_away = Arc::new(AtomicUsize::new(usize::MAX));
    let left = Arc::clone(&is_away);
    let harbor = with_projects(Harbor::with_trouble(move |_, state| {
        if left.fetch_sub(1, Ordering::SeqCst) == 0 {
            state.database_away = AWAY;
        }
        None
    }));
    loading(&bundle, &harbor).run().ok();
    for number in 0..8 {
        is_away.store(number, Ordering::SeqCst);
        let again = loading(&bundle, &harbor).run().ok();
        let _ = again.prints("0 images loaded, 4 already there, 0 failed");
        is_away.store(number, Ordering::SeqCst);
        command("check", &bundle, &harbor).run().ok().prints("4 tags checked, all in");
    }
}

/// A question or a push of something in a repository.
fn is_of_repository(request: &Request) -> bool {
    request.target.starts_with("/v2/") && request.target != "/v2/"
}

#[test]
fn what_fails_everywhere_is_the_targets_own_illness() {
    let bundle = Bundle::everything(172);
    // It lives, but whatever is brought to it fails: a full disk, a storage that is away.
    let seen = AtomicUsize::new(0);
    let harbor = Harbor::with_trouble(move |request, _| {
        let is_push =
            is_of_repository(request) && matches!(request.method.as_str(), "POST" | "PUT");
        let is_ill = is_push && (40..140).contains(&seen.fetch_add(1, Ordering::SeqCst));
        is_ill.then(|| Verdict::error(500, "UNKNOWN", "internal server error"))
    });
    let loaded = loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
    assert_nothing_failed(&loaded.stderr);
}

#[test]
fn somebody_elses_wrong_passwords_in_the_middle_of_a_load() {
    let bundle = Bundle::everything(173);
    let pending = Mutex::new(HashSet::from(["charts/my-chart", "windows/server", "team/odd"]));
    let harbor = Harbor::with_trouble(move |request, state| {
        let name = request.target.trim_start_matches("/v2/").split("/manifests/").next();
        let is_push = request.method == "PUT" && request.target.contains("/manifests/");
        if is_push && name.is_some_and(|name| pending.lock().unwrap().remove(name)) {
            state.lock_user("admin", LOCK);
        }
        None
    });
    let loaded = loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
    assert_nothing_failed(&loaded.stderr);
    for blob in bundle.blobs() {
        assert_eq!(harbor.registry.commits(&blob), 1, "{blob}");
    }
}

#[test]
fn a_lock_is_no_reason_to_upload_what_can_be_mounted() {
    let bundle = Bundle::everything(177);
    let is_locked = AtomicUsize::new(0);
    let harbor = Harbor::with_trouble(move |request, state| {
        if request.target.contains("mount=") && is_locked.fetch_add(1, Ordering::SeqCst) == 0 {
            state.lock_user("admin", LOCK);
        }
        None
    });
    loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED).prints(" 2 mounted");
}

#[test]
fn somebody_elses_wrong_passwords_while_it_is_asked_what_there_is() {
    // More projects than are asked for one by one.
    let bundle = Bundle::everything(174);
    let count = Arc::new(AtomicUsize::new(usize::MAX));
    let left = Arc::clone(&count);
    let harbor = Harbor::with_trouble(move |_, state| {
        if left.fetch_sub(1, Ordering::SeqCst) == 0 {
            state.lock_user("admin", LOCK);
        }
        None
    });
    loading(&bundle, &harbor).run().ok();
    // What is shown to everybody is not all that there is.
    for number in [3, 4, 5, 9, 20] {
        count.store(number, Ordering::SeqCst);
        let again = loading(&bundle, &harbor).run().ok();
        let again = again.prints("0 images loaded, 18 already there, 0 failed");
        assert!(!again.stderr.contains("made project"), "{number}: {}", again.stderr);
    }
    count.store(3, Ordering::SeqCst);
    command("check", &bundle, &harbor).run().ok().prints("18 tags checked, all in");
    // Few projects are asked for one by one.
    let few = four_images();
    let harbor = with_projects(at(&[3], |state| state.lock_user("admin", LOCK)));
    loading(&few, &harbor).run().ok().prints("4 images loaded");
}

/// A refusal of everything that is to be pushed to a repository.
fn closed(repository: &'static str) -> impl Fn(&Request, &mut State) -> Option<Verdict> {
    move |request, _| {
        let is_push = matches!(request.method.as_str(), "POST" | "PUT");
        let is_meant = request.target.starts_with(&format!("/v2/{repository}/"));
        (is_push && is_meant).then(|| {
            Verdict::error(401, "UNAUTHORIZED", "unauthorized: unauthorized")
                .with_header("www-authenticate", "Basic realm=\"harbor\"")
        })
    }
}

#[test]
fn one_repository_that_is_closed_does_not_close_its_project() {
    let bundle = Bundle::everything(175);
    for are_there in [false, true] {
        let harbor = Harbor::with_trouble(closed("team/a/b/multi-arch"));
        if are_there {
            harbor.state().projects.insert("team".into(), Project::default());
        }
        let loaded = loading(&bundle, &harbor).run().expect(3);
        let loaded = loaded.prints("17 images loaded, 0 already there, 1 failed");
        let loaded = loaded.says("failed: team/a/b/multi-arch:v1: ");
        let loaded = loaded.says("admin may not push to team/a/b/multi-arch: ");
        let warned = loaded.stderr.contains("will not arrive: what goes to team/a/b/multi-arch: ");
        assert_eq!(warned, are_there, "{}", loaded.stderr);
    }
}

#[test]
fn a_refusal_that_passes_is_none() {
    let bundle = Bundle::everything(176);
    let seen = Mutex::new(HashSet::new());
    // Each manifest is refused once, when it is asked for and when it is pushed, and each repository's
    // first upload.
    let harbor = Harbor::with_trouble(move |request, _| {
        let is_meant = request.target.contains("/manifests/") || request.method == "POST";
        let is_new = is_of_repository(request)
            && is_meant
            && seen.lock().unwrap().insert((request.method.clone(), request.target.clone()));
        is_new.then(|| {
            Verdict::error(401, "UNAUTHORIZED", "unauthorized: unauthorized")
                .with_header("www-authenticate", "Basic realm=\"harbor\"")
        })
    });
    let loaded = loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
    assert_nothing_failed(&loaded.stderr);
}
