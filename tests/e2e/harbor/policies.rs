//! Projects whose images may not be pulled, or whose tags may not be set again.

use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::harbor::{Account, Immutable, Kind, Policy, Project};
use e2e::programs::Run;
use e2e::{Bundle, Harbor, Tree, Verdict};

use super::{ALL_ARRIVED, command, loading, log_in};

/// `team/image:1`, or that and `team/image:2`.
fn image_and_next(with_next: bool) -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 141);
        tree.simple("team/image", "1");
        if with_next {
            tree.simple("team/image", "2");
        }
        tree
    })
}

fn set_policy(harbor: &Harbor, policy: Policy) {
    for project in harbor.state().projects.values_mut() {
        project.policy = Some(policy);
    }
}

#[test]
fn images_that_nobody_may_pull_are_found_in_the_list_of_artifacts() {
    let bundle = Bundle::everything(142);
    for policy in [Policy::Vulnerable, Policy::Unsigned] {
        let harbor = Harbor::start();
        loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
        set_policy(&harbor, policy);
        let again = loading(&bundle, &harbor).run().ok();
        let _ = again.prints("0 images loaded, 18 already there").prints("0 blobs uploaded");
        command("check", &bundle, &harbor).run().ok().prints("18 tags checked, all in");
    }
    // Nor is it a reason not to push.
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::default());
    set_policy(&harbor, Policy::Vulnerable);
    loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
}

#[test]
fn images_that_cannot_be_seen_are_not_called_missing() {
    let (first, both) = (image_and_next(false), image_and_next(true));
    let harbor = Harbor::start();
    loading(&first, &harbor).run().ok();
    set_policy(&harbor, Policy::Vulnerable);
    // It is not shown the list either.
    harbor.state().accounts.insert("robot$push".into(), Account::new("x", Kind::SystemRobot));
    let as_robot = |name: &str| {
        let mut command = command(name, &both, &harbor);
        log_in(&mut command, "robot$push", "x");
        command
    };
    let checked = as_robot("check").run().expect(1);
    let checked = checked.prints("unseen: team/image:1: cannot be seen: ");
    let _ = checked.prints("due to configured policy").prints("missing: team/image:2\n");
    // It is pushed, then, whether it is there or not: nothing is uploaded for it.
    let loaded = as_robot("load").run().ok().prints("2 images loaded, 0 already there, 0 failed");
    let _ = loaded.prints("2 blobs uploaded");
    let admin = command("check", &both, &harbor).run().ok().prints("2 tags checked, all in");
    assert!(!admin.stdout.contains("unseen"), "{}", admin.stdout);
}

#[test]
fn an_account_of_another_house_finds_them_in_the_list() {
    let bundle = image_and_next(false);
    let harbor = Harbor::start();
    let outsider = Account::new("x", Kind::OidcUser(vec!["team".into()]));
    harbor.state().accounts.insert("outsider".into(), outsider);
    loading(&bundle, &harbor).run().ok();
    set_policy(&harbor, Policy::Vulnerable);
    let mut check = command("check", &bundle, &harbor);
    log_in(&mut check, "outsider", "x").run().ok().prints("1 tag checked, all in");
}

#[test]
fn an_immutable_tag_that_was_set_without_an_answer() {
    let bundle = Bundle::everything(143);
    // Whoever pushes a manifest first, hears nothing of it.
    let seen = AtomicUsize::new(0);
    let harbor = Harbor::with_trouble(move |request, _| {
        let is_push = request.method == "PUT" && request.target.contains("/manifests/");
        let is_cut = is_push && seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        is_cut.then_some(Verdict::CutDown(0))
    });
    for name in ["library", "team", "charts", "artifacts", "windows", "a", "dots.and"] {
        let immutable = vec![Immutable::tags("**")];
        harbor.state().projects.entry(name.into()).or_default().immutable = immutable;
    }
    loading(&bundle, &harbor).args(["--jobs", "1"]).run().ok().prints(ALL_ARRIVED);
    command("check", &bundle, &harbor).run().ok();
}
