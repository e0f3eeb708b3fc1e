//! Accounts and what they may do.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use e2e::harbor::{Account, Kind, Project};
use e2e::programs::{Run, load};
use e2e::tls::Certificates;
use e2e::{Bundle, Harbor};

use super::{ALL_ARRIVED, admin, command, loading, log_in};

/// Harbor with an account of each kind, all with the password `secret`. The project `team` is there
/// or not; `admin_only` says who makes projects.
fn with_accounts(team: bool, admin_only: bool) -> Harbor {
    let harbor = Harbor::start();
    let mut state = harbor.state();
    for (name, kind) in [
        ("boss", Kind::Administrator),
        ("developer", Kind::User(vec!["team".into()])),
        ("guest", Kind::User(vec![])),
        ("robot$system", Kind::SystemRobot),
        ("robot$reading", Kind::ReadingRobot),
        ("robot$creating", Kind::CreatingRobot),
        ("robot$team+push", Kind::ProjectRobot("team".into())),
    ] {
        state.accounts.insert(name.to_owned(), Account::new("secret", kind));
    }
    state.admin_only = admin_only;
    if team {
        state.projects.insert("team".into(), Project::default());
    }
    drop(state);
    harbor
}

/// What a command says to an account: its exit code and some words of it.
type Outcome = (i32, &'static str);

/// Each account tries each command, in this order: plan, projects, load, check.
fn try_all(team: bool, admin_only: bool, expected: &[(&str, [Outcome; 4])]) {
    let bundle = Bundle::simple();
    for (account, outcomes) in expected {
        let harbor = with_accounts(team, admin_only);
        for (name, (code, words)) in ["plan", "projects", "load", "check"].iter().zip(outcomes) {
            let mut command = command(name, &bundle, &harbor);
            match *account {
                "nobody" => {
                    command.env_remove("TRANSHIP_USERNAME").env_remove("TRANSHIP_PASSWORD");
                }
                account => drop(log_in(&mut command, account, "secret")),
            }
            let done = command.run();
            let said = format!("{}{}", done.stdout, done.stderr);
            assert_eq!(done.code, Some(*code), "{account}: {name}: {said}");
            assert!(said.contains(words), "{account}: {name}: no `{words}` in {said}");
        }
    }
}

const PLANNED: Outcome = (0, "in all: 1 image to load, 0 there");
const TO_BE_MADE: Outcome = (0, "team (the project will be made)");
const MADE: Outcome = (0, "1 project made, 0 projects there before");
const NONE_MADE: Outcome = (0, "0 projects made, 1 project there before");
const LOADED: Outcome = (0, "1 image loaded, 0 already there, 0 failed");
const CHECKED: Outcome = (0, "1 tag checked, all in");
const CHECKED_BUT: Outcome = (0, "not checked: Harbor's list of artifacts of team/image");
const NO_ACCOUNT: Outcome = (1, "give credentials");

#[test]
fn what_each_account_may_where_the_project_is_there() {
    let without_quota = (0, "not checked: the storage quota of project team: these rights");
    let denied = |words| [(1, words), NONE_MADE, (1, words), (1, "unknown: team/image:1")];
    try_all(
        true,
        false,
        &[
            ("boss", [PLANNED, NONE_MADE, LOADED, CHECKED]),
            ("developer", [PLANNED, NONE_MADE, LOADED, CHECKED]),
            ("guest", denied("guest may not push to team/image")),
            ("robot$system", [without_quota, NONE_MADE, LOADED, CHECKED_BUT]),
            ("robot$reading", [PLANNED, NONE_MADE, LOADED, CHECKED]),
            ("robot$creating", denied("robot$creating may not push to team/image")),
            ("robot$team+push", [without_quota, NONE_MADE, LOADED, CHECKED_BUT]),
            ("nobody", [NO_ACCOUNT, NONE_MADE, NO_ACCOUNT, NO_ACCOUNT]),
        ],
    );
}

#[test]
fn what_each_account_may_where_everybody_makes_projects() {
    let no_project_robot = "robot$team+push is the robot of a project and makes none";
    let cannot = "cannot make project team";
    try_all(
        false,
        false,
        &[
            ("boss", [TO_BE_MADE, MADE, LOADED, CHECKED]),
            ("guest", [TO_BE_MADE, MADE, LOADED, CHECKED]),
            ("robot$system", [TO_BE_MADE, MADE, LOADED, CHECKED_BUT]),
            (
                "robot$team+push",
                [(1, no_project_robot), (1, cannot), (1, no_project_robot), (1, "missing: team")],
            ),
            ("nobody", [NO_ACCOUNT, NO_ACCOUNT, NO_ACCOUNT, (1, "missing: team/image:1")]),
        ],
    );
}

#[test]
fn what_each_account_may_where_administrators_make_projects() {
    let refused = (1, "only administrators may make projects here");
    let cannot = (1, "Only system admin can create project");
    let not_known = |account| (0, account);
    try_all(
        false,
        true,
        &[
            ("boss", [TO_BE_MADE, MADE, LOADED, CHECKED]),
            ("developer", [refused, cannot, refused, (1, "missing: team")]),
            (
                "robot$system",
                [
                    not_known("not checked: whether the robot robot$system may make projects"),
                    cannot,
                    cannot,
                    (1, "missing: team"),
                ],
            ),
            // What it makes it may not push into.
            (
                "robot$creating",
                [
                    not_known("not checked: whether the robot robot$creating may make projects"),
                    MADE,
                    (1, "robot$creating may not push to team/image"),
                    (1, "unknown: team/image:1"),
                ],
            ),
        ],
    );
}

#[test]
fn an_account_that_makes_projects_and_another_that_loads() {
    let bundle = Bundle::simple();
    fs::write(bundle.file("boss-password"), "secret").unwrap();
    for (maker, account) in [("boss", "developer"), ("robot$creating", "robot$system")] {
        let harbor = with_accounts(false, true);
        let mut load = command("load", &bundle, &harbor);
        load.args(["--admin-username", maker, "--admin-password-file"]);
        load.arg(bundle.file("boss-password"));
        let loaded = log_in(&mut load, account, "secret").run().ok().prints("1 image loaded");
        let _ = loaded.says("made project team");
    }
    // Or beforehand, with a limit and for everybody to pull from.
    let harbor = with_accounts(false, true);
    command("projects", &bundle, &harbor)
        .args(["--public", "--storage-limit", "1G"])
        .run()
        .ok()
        .prints("1 project made, 0 projects there before");
    assert!(harbor.state().projects["team"].public);
    assert_eq!(harbor.state().projects["team"].limit, Some(1 << 30));
    let mut load = command("load", &bundle, &harbor);
    log_in(&mut load, "developer", "secret").run().ok().prints("1 image loaded");
}

#[test]
fn a_storage_limit_from_somebody_who_may_not_set_it() {
    let bundle = Bundle::simple();
    let harbor = with_accounts(false, false);
    let mut projects = command("projects", &bundle, &harbor);
    projects.args(["--storage-limit", "1G"]);
    let made = log_in(&mut projects, "robot$system", "secret").run().ok().prints("1 project made");
    let _ = made.says("Harbor takes --storage-limit from administrators");
    assert_eq!(harbor.state().projects["team"].limit, None);
}

#[test]
fn a_project_that_somebody_else_makes_meanwhile() {
    let bundle = Bundle::simple();
    // It is not there when loader asks, and is there when it is to be made.
    let harbor = Harbor::with_trouble(|request, state| {
        if request.method == "POST" && request.target == "/api/v2.0/projects" {
            state.projects.insert("team".into(), Project::default());
        }
        None
    });
    loading(&bundle, &harbor).run().ok().prints("1 image loaded");
}

#[test]
fn a_wrong_password_is_said_at_once() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().lock = Duration::ZERO;
    for kind in ["harbor", "registry", "auto"] {
        let mut wrong = load(&bundle.path(), &harbor.url());
        log_in(&mut wrong, "admin", "nonsense")
            .args(["--target-kind", kind])
            .run()
            .expect(1)
            .says("refuses the user name or password of admin");
    }
    let mut unquoted = load(&bundle.path(), &harbor.url());
    log_in(&mut unquoted, "robotloader", "x").run().expect(1).says("put it between single quotes");
    assert!(harbor.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn somebody_elses_wrong_password_does_no_harm() {
    let bundle = Bundle::everything(84);
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    // The name is locked twice in the middle of the load, for less time than loader waits.
    let harbor = Harbor::with_trouble(move |_, state| {
        if matches!(count.fetch_add(1, Ordering::SeqCst), 5 | 50) {
            state.lock_user("admin", Duration::from_millis(8));
        }
        None
    });
    loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
}

#[test]
fn projects_that_must_not_be_made() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    let refused = loading(&bundle, &harbor).arg("--no-create-projects").run().expect(1);
    let _ = refused.says("these projects do not exist: team").says("loader projects");
    assert!(!harbor.state().projects.contains_key("team"));
}

#[test]
fn a_project_that_goes_away() {
    let bundle = Bundle::everything(107);
    // Somebody deletes it when the first blob has been asked for.
    let harbor = Harbor::with_trouble(|request, state| {
        if request.method == "POST" && request.target.starts_with("/v2/charts/") {
            state.projects.remove("charts");
        }
        None
    });
    let loaded = loading(&bundle, &harbor).run().expect(3);
    let _ = loaded.says("project charts does not exist").says("make it with `loader projects`");
    loading(&bundle, &harbor).args(["--map", "charts/*=team/*"]).run().ok();
}

#[test]
fn certificates_and_what_is_wrong_with_them() {
    let bundle = Bundle::simple();
    let secured = |certificates: &Certificates| Harbor::with(Some(certificates), |_, _| None);
    let good = Certificates::new();
    let harbor = secured(&good);
    let trusting = |harbor: &Harbor, certificates: &Certificates| {
        let mut command = admin(load(&bundle.path(), &harbor.url()));
        command.arg("--ca-file").arg(certificates.file("ca.pem"));
        command
    };
    loading(&bundle, &harbor).run().expect(1).says("--ca-file");
    trusting(&harbor, &Certificates::new()).run().expect(1).says("--ca-file");
    trusting(&harbor, &good).run().ok().prints("1 image loaded");
    loading(&bundle, &harbor).arg("--insecure-skip-tls-verify").run().ok();

    let expired = Certificates::for_server("127.0.0.1", 2001);
    let said = trusting(&secured(&expired), &expired).run().expect(1);
    let _ = said.says("renew it, or set this machine's clock");
    let misnamed = Certificates::for_server("harbor.example", 2099);
    let said = trusting(&secured(&misnamed), &misnamed).run().expect(1);
    let _ = said.says("use a name with --to that the certificate is for");
}
