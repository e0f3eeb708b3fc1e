//! Robots that may push and nothing else, and accounts of another house.

use e2e::content::Family;
use e2e::harbor::{Account, Kind, Project};
use e2e::programs::Run;
use e2e::tree::digest_of;
use e2e::{Bundle, Harbor, Tree};

use super::{command, loading, log_in};

const PROJECTS: [&str; 6] = ["p0", "p1", "p2", "p3", "p4", "p5"];

/// Harbor with six projects that are empty, and an account that may push into them.
fn with_account(name: &str, kind: Kind) -> Harbor {
    let harbor = Harbor::start();
    harbor.state().accounts.insert(name.into(), Account::new("x", kind));
    for project in PROJECTS {
        harbor.state().projects.insert(project.into(), Project::default());
    }
    harbor
}

fn an_image_each() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 161);
        for project in PROJECTS {
            tree.simple(&format!("{project}/image"), "1");
        }
        tree
    })
}

/// How often sessions were asked to be given back.
fn deletes(harbor: &Harbor) -> usize {
    harbor.requests().iter().filter(|request| request.method == "DELETE").count()
}

#[test]
fn sessions_that_a_robot_may_not_give_back_are_not_asked_for_again_and_again() {
    let bundle = an_image_each();
    let harbor = with_account("robot$push", Kind::SystemRobot);
    let by_robot = |name: &str| {
        let mut command = command(name, &bundle, &harbor);
        log_in(&mut command, "robot$push", "x");
        command
    };
    by_robot("plan").run().ok().prints("6 images to load");
    assert_eq!((deletes(&harbor), harbor.registry.open_sessions()), (1, 6));
    // What it is not given is not asked for twice.
    let refused = |target: &str| {
        harbor.requests().iter().filter(|request| request.target.contains(target)).count()
    };
    assert_eq!(refused("/api/v2.0/projects/p0/summary"), 1);

    // A load gives the sessions of its own rehearsal to its uploads.
    by_robot("load").run().ok().prints("6 images loaded");
    assert_eq!((deletes(&harbor), harbor.registry.open_sessions()), (1, 6));
    by_robot("load").run().ok().prints("6 already there");
    assert_eq!((deletes(&harbor), harbor.registry.open_sessions()), (1, 6));
}

#[test]
fn a_session_that_no_upload_takes_is_given_back() {
    // All of the second image is mounted from the first.
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 162);
        let layer = tree.layer(Family::Oci, 2000);
        for repository in ["p0/image", "p1/image"] {
            let image = tree.image(repository, Family::Oci, "same", std::slice::from_ref(&layer));
            tree.tag(repository, "1", digest_of(&image));
        }
        tree
    });
    for (account, left) in [("admin", 0), ("robot$push", 1)] {
        let harbor = with_account("robot$push", Kind::SystemRobot);
        let password = if account == "admin" { "Harbor12345" } else { "x" };
        let mut load = loading(&bundle, &harbor);
        let loaded = log_in(load.args(["--jobs", "1"]), account, password).run().ok();
        let _ = loaded.prints("2 images loaded").prints("2 mounted");
        assert_eq!((deletes(&harbor), harbor.registry.open_sessions()), (1, left), "{account}");
    }
}

#[test]
fn an_account_of_another_house_does_everything_that_a_load_needs() {
    let bundle = an_image_each();
    for are_there in [true, false] {
        let own = if are_there { PROJECTS.map(str::to_owned).to_vec() } else { Vec::new() };
        let harbor = with_account("outsider", Kind::OidcUser(own));
        if !are_there {
            harbor.state().projects.retain(|name, _| name == "library");
        }
        let by_outsider = |name: &str| {
            let mut command = command(name, &bundle, &harbor);
            log_in(&mut command, "outsider", "x");
            command
        };
        let planned = by_outsider("plan").run().ok().prints("6 images to load");
        assert_eq!(planned.stdout.matches("will be made").count(), if are_there { 0 } else { 6 });
        let made = if are_there { "0 projects made, 6" } else { "6 projects made, 0" };
        by_outsider("projects").run().ok().prints(made);
        by_outsider("load").run().ok().prints("6 images loaded, 0 already there, 0 failed");
        by_outsider("load").run().ok().prints("0 images loaded, 6 already there, 0 failed");
        let checked = by_outsider("check").run().ok().prints("6 tags checked, all in");
        assert!(!checked.stderr.contains("not checked"), "{}", checked.stderr);
    }
    // A private project that it is no member of is there all the same.
    let harbor = with_account("outsider", Kind::OidcUser(vec![]));
    let mut load = loading(&bundle, &harbor);
    let refused = log_in(&mut load, "outsider", "x").run().expect(1);
    let refused = refused.says("outsider may not push to p0/image");
    assert!(!refused.stderr.contains("made project"), "{}", refused.stderr);
}

#[test]
fn every_version_of_harbor() {
    let bundle = Bundle::everything(163);
    for version in ["2.9.5", "2.12.0", "2.15.0"] {
        // Tokens are never too old for projects, since none are used where there is a password.
        for kind in ["harbor", "registry"] {
            let harbor = Harbor::start();
            harbor.state().version = version.to_owned();
            harbor.state().token_leeway = std::time::Duration::ZERO;
            if kind == "registry" {
                command("projects", &bundle, &harbor).run().ok();
            }
            // What is taken for a plain registry gets no project for short names by itself.
            let as_kind = |name: &str| {
                let mut command = command(name, &bundle, &harbor);
                command.args(["--target-kind", kind, "--default-project", "library"]);
                command
            };
            as_kind("load").run().ok().prints(super::ALL_ARRIVED);
            as_kind("check").run().ok().prints("18 tags checked, all in");
        }
    }
}
