//! Projects that cannot be loaded into keep the others from it, unless they are to be skipped.

use std::fs;
use std::process::Command;

use e2e::harbor::{Account, Kind, Project};
use e2e::programs::Run;
use e2e::{Bundle, Harbor, Tree};
use serde_json::Value;

use super::{command, loading, log_in};

const NOTHING: &str = "nothing was sent; --skip-blocked leaves these projects out";

/// An image for each project; what becomes of them is in their names.
fn images_for(projects: &[&str]) -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 151);
        for project in projects {
            tree.simple(&format!("{project}/image"), "1");
        }
        tree
    })
}

/// Harbor with a developer of the projects `good` and `small`, who makes none.
fn with_developer() -> Harbor {
    let harbor = Harbor::start();
    let mut state = harbor.state();
    let kind = Kind::User(vec!["good".into(), "small".into()]);
    state.accounts.insert("developer".into(), Account::new("x", kind));
    state.accounts.insert("robot$push".into(), Account::new("x", Kind::SystemRobot));
    for (name, limit) in [("good", 1 << 20), ("small", 100), ("closed", 1 << 20)] {
        state.projects.insert(name.into(), Project::limited(limit));
    }
    state.admin_only = true;
    drop(state);
    harbor
}

fn by<'a>(command: &'a mut Command, account: &str) -> &'a mut Command {
    log_in(command, account, "x")
}

/// Whether anything was sent.
fn is_untouched(harbor: &Harbor) -> bool {
    let is_put = |request: &e2e::Request| request.method == "PUT";
    !harbor.requests().iter().any(is_put) && harbor.state().projects["good"].tags().is_empty()
}

#[test]
fn what_is_blocked_keeps_everything_from_being_sent() {
    let bundle = images_for(&["absent", "closed", "good", "small"]);
    let harbor = with_developer();
    let refused = by(&mut loading(&bundle, &harbor), "developer").run().expect(1);
    let _ = refused
        .says("project small has a storage quota of 100 bytes with 100 left, and would gain")
        .says("developer may not push to closed/image")
        .says(
            "only administrators may make projects here, and developer is none; missing are absent",
        )
        .says(NOTHING);
    assert!(is_untouched(&harbor));
    by(&mut command("plan", &bundle, &harbor), "developer").run().expect(1).prints("cannot load");
}

#[test]
fn what_is_blocked_is_left_out_if_that_is_wanted() {
    let bundle = images_for(&["absent", "closed", "good", "small"]);
    let harbor = with_developer();
    let report = bundle.file("load.json");
    let mut load = loading(&bundle, &harbor);
    load.arg("--skip-blocked").arg("--report").arg(&report);
    let loaded = by(&mut load, "developer").run().expect(3);
    let loaded = loaded.prints("1 image loaded, 0 already there, 3 failed");
    let _ = loaded.says("failed: small/image:1: project small has a storage quota of 100 bytes");
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let mut found = Vec::new();
    for (image, (name, reason)) in report["images"].as_array().unwrap().iter().zip([
        ("absent", "only administrators may make projects here"),
        ("closed", "developer may not push to closed/image"),
        ("good", ""),
        ("small", "raise it by"),
    ]) {
        assert_eq!(image["name"], format!("{name}/image:1"));
        assert_eq!(image["status"], if reason.is_empty() { "loaded" } else { "failed" });
        assert!(image["reason"].as_str().unwrap_or_default().contains(reason), "{image}");
        found.push(name);
    }
    assert_eq!(found.len(), 4);
    assert_eq!(harbor.state().projects["small"].used(), 0);
}

#[test]
fn projects_that_turn_out_not_to_be_made() {
    // Harbor does not say beforehand whether a robot may make projects.
    let bundle = images_for(&["absent", "good"]);
    let harbor = with_developer();
    let refused = by(&mut loading(&bundle, &harbor), "robot$push").run().expect(1);
    let _ = refused.says("robot$push cannot make project absent").says(NOTHING);
    assert!(is_untouched(&harbor));

    let mut load = loading(&bundle, &harbor);
    let loaded = by(load.arg("--skip-blocked"), "robot$push").run().expect(3);
    let _ = loaded
        .prints("1 image loaded, 0 already there, 1 failed")
        .says("failed: absent/image:1: robot$push cannot make project absent")
        .says("Only system admin can create project");
    // Or they must not be.
    let harbor = with_developer();
    let mut load = loading(&bundle, &harbor);
    load.args(["--skip-blocked", "--no-create-projects"]);
    let loaded = load.run().expect(3).prints("1 image loaded, 0 already there, 1 failed");
    let _ = loaded.says("failed: absent/image:1: these projects do not exist: absent");
}

#[test]
fn what_concerns_everything_cannot_be_skipped() {
    let bundle = images_for(&["good", "small"]);
    let harbor = with_developer();
    harbor.state().read_only = true;
    for options in [&[][..], &["--skip-blocked"]] {
        let mut load = loading(&bundle, &harbor);
        let refused = load.args(options).run().expect(1).says("read-only mode");
        let refused = refused.says("nothing was sent; --no-preflight begins all the same");
        assert_eq!(refused.stderr.matches("read-only mode").count(), 1, "{}", refused.stderr);
    }
    assert!(is_untouched(&harbor));
}

#[test]
fn caches_of_other_registries_take_no_pushes() {
    let bundle = images_for(&["cache", "good"]);
    for status in [403, 405] {
        let harbor = with_developer();
        harbor.state().projects.entry("cache".into()).or_default().proxy_cache = Some(status);
        let words = "cannot push into project cache: ";
        command("plan", &bundle, &harbor).run().expect(1).prints(words);
        let refused = loading(&bundle, &harbor).run().expect(1).says(words);
        let refused = refused.says("can not push artifact to a proxy project: cache").says(NOTHING);
        assert!(!refused.stderr.contains("role of a developer"), "{}", refused.stderr);
        assert!(is_untouched(&harbor));
        let loaded = loading(&bundle, &harbor).arg("--skip-blocked").run().expect(3);
        let _ = loaded.prints("1 image loaded, 0 already there, 1 failed");
    }
}
