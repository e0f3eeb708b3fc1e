//! Harbor as the target.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use e2e::content::{Family, descriptor};
use e2e::harbor::{Account, Immutable, Kind, Project};
use e2e::programs::{Run, load, loader};
use e2e::tree::digest_of;
use e2e::{Bundle, Harbor, Tree, Verdict, skopeo};

const ALL_ARRIVED: &str = "18 images loaded, 0 already there, 0 failed";

fn log_in<'a>(command: &'a mut Command, name: &str, password: &str) -> &'a mut Command {
    command.env("TRANSHIP_USERNAME", name).env("TRANSHIP_PASSWORD", password)
}

fn admin(mut command: Command) -> Command {
    log_in(&mut command, "admin", "Harbor12345");
    command
}

fn loading(bundle: &Bundle, harbor: &Harbor) -> Command {
    admin(load(&bundle.path(), &harbor.url()))
}

/// Another command of loader, for the same bundle and target.
fn command(name: &str, bundle: &Bundle, harbor: &Harbor) -> Command {
    let mut command = loader();
    command.arg(name).arg(bundle.path()).args(["--to", &harbor.url(), "--retry-delay", "10"]);
    admin(command)
}

#[test]
fn a_bundle_goes_into_projects_that_are_made_for_it() {
    let bundle = Bundle::everything(81);
    let harbor = Harbor::start();
    let planned = command("plan", &bundle, &harbor).arg("--json").run().ok().json();
    assert!(harbor.requests().iter().all(|request| !request.target.contains("manifests/sha")));
    assert_eq!(planned["harborVersion"], "v2.9.5-double");
    assert_eq!(planned["renamed"]["alpine"], "library/alpine");
    assert_eq!(planned["totals"]["images"], 18);

    loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED).says("made project team");
    for (name, digest) in &bundle.tree.tags {
        let name = if name.contains('/') { name.clone() } else { format!("library/{name}") };
        assert_eq!(skopeo::tag_digest(&harbor.registry.address(), &name), Some(*digest), "{name}");
    }
    let made: Vec<String> = harbor.state().projects.keys().cloned().collect();
    let want = ["a", "artifacts", "charts", "dots.and", "library", "team", "windows"];
    assert_eq!(made, want);
    for blob in bundle.blobs() {
        assert_eq!(harbor.registry.commits(&blob), 1, "{blob}");
    }
    command("check", &bundle, &harbor).run().ok().prints("18 tags checked, all in");

    // Again: who are you, which projects, and one HEAD a tag.
    let before = harbor.requests().len();
    loading(&bundle, &harbor).run().ok().prints("0 images loaded, 18 already there");
    let again = harbor.requests().split_off(before);
    let heads = again.iter().filter(|request| request.target.contains("/manifests/")).count();
    assert_eq!(heads, 18);
    // Ping, token, ping, what it is, and one for each project.
    assert_eq!(again.len() - heads, 4 + 7, "{again:#?}");
}

#[test]
fn an_empty_target_gets_no_more_requests_than_it_must() {
    let bundle = Bundle::everything(82);
    let harbor = Harbor::start();
    harbor.state().projects.clear();
    let planned = command("plan", &bundle, &harbor).arg("--json").run().ok().json();
    let least = planned["requests"].as_u64().unwrap();
    let before = harbor.requests().len();
    loading(&bundle, &harbor).run().ok().prints(ALL_ARRIVED);
    let sent = harbor.requests().split_off(before);
    let to_images = sent.iter().filter(|request| {
        request.target.contains("/manifests/") || request.target.contains("/blobs/")
    });
    // Nothing is asked of projects that were just made: not one HEAD.
    assert_eq!(to_images.count() as u64, least);
    // Ping, token, ping, what it is; asked for and made: 7 projects.
    assert_eq!(sent.len() as u64 - least, 4 + 2 * 7);
}

#[test]
fn names_that_harbor_refuses_are_found_before_anything_is_sent() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 83);
        for repository in ["a__b/x", "c--d/y", "fine/z"] {
            tree.simple(repository, "1");
        }
        tree
    });
    let harbor = Harbor::start();
    loading(&bundle, &harbor)
        .run()
        .expect(1)
        .says("--map 'a__b/*=a_b/*'")
        .says("--map 'c--d/*=c-d/*'")
        .says("2 names cannot be used");
    assert!(harbor.requests().iter().all(|request| request.method == "GET"));

    let rules = bundle.file("rules");
    fs::write(&rules, "# as suggested\na__b/*=a_b/*\n\nc--d/*=c-d/*\n").unwrap();
    let with_rules = |name: &str| {
        let mut command = command(name, &bundle, &harbor);
        command.arg("--map-file").arg(&rules);
        command
    };
    with_rules("load").run().ok().prints("3 images loaded");
    with_rules("check").run().ok();
    assert!(skopeo::tag_digest(&harbor.registry.address(), "a_b/x:1").is_some());

    let mut prefixed = command("load", &bundle, &harbor);
    prefixed
        .args(["--prefix", "old", "--map", "fine/*=new/*"])
        .run()
        .ok()
        .prints("3 images loaded");
    let projects: Vec<String> = harbor.state().projects.keys().cloned().collect();
    assert_eq!(projects, ["a_b", "c-d", "fine", "library", "new", "old"]);
    fs::write(&rules, "a__b/*=a_b/*\nnonsense\n").unwrap();
    with_rules("load").run().expect(1).says("line 2").says("`nonsense` is no rule");
}

#[test]
fn what_each_account_may() {
    let bundle = Bundle::simple();
    let robot = |name: &str| format!("robot${name}");
    let run = |harbor: &Harbor, name: &str, account: &str| {
        let mut command = command(name, &bundle, harbor);
        log_in(&mut command, account, "secret").run()
    };
    let new = || {
        let harbor = Harbor::start();
        let mut state = harbor.state();
        for (name, kind) in [
            ("developer", Kind::User(vec!["team".into()])),
            ("guest", Kind::User(vec![])),
            (&robot("loader"), Kind::SystemRobot),
            (&robot("team+push"), Kind::ProjectRobot("team".into())),
        ] {
            state.accounts.insert(name.to_owned(), Account::new("secret", kind));
        }
        drop(state);
        harbor
    };

    // A system robot makes projects where everybody may, and pushes everywhere.
    let harbor = new();
    let planned = run(&harbor, "plan", &robot("loader")).ok();
    let _ = planned.prints("team (the project will be made)");
    let loaded = run(&harbor, "load", &robot("loader")).ok().says("made project team");
    let _ = loaded.prints("1 image loaded");
    let _ = run(&harbor, "check", &robot("loader")).ok().says("not checked: Harbor's list");

    // A project robot pushes into its project, and makes none.
    let harbor = new();
    run(&harbor, "load", &robot("team+push"))
        .expect(1)
        .says("cannot make project team")
        .says("Only system level robot can create project");
    harbor.state().projects.insert("team".into(), Project::default());
    let loaded = run(&harbor, "load", &robot("team+push")).ok().prints("1 image loaded");
    let _ = loaded.says("not checked: the storage quota of project team");

    // Where only administrators make projects, another account does it.
    let harbor = new();
    harbor.state().admin_only = true;
    for name in ["plan", "load"] {
        let refused = run(&harbor, name, "developer").expect(1);
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains("only administrators may make projects here"), "{said}");
    }
    fs::write(bundle.file("admin-password"), "Harbor12345").unwrap();
    let mut with_administrator = command("load", &bundle, &harbor);
    with_administrator.args(["--admin-username", "admin", "--admin-password-file"]);
    with_administrator.arg(bundle.file("admin-password"));
    log_in(&mut with_administrator, "developer", "secret").run().ok().prints("1 image loaded");

    // Or beforehand.
    let harbor = new();
    harbor.state().admin_only = true;
    command("projects", &bundle, &harbor)
        .args(["--public", "--storage-limit", "1G"])
        .run()
        .ok()
        .prints("1 project made, 0 projects there before");
    assert!(harbor.state().projects["team"].public);
    assert_eq!(harbor.state().projects["team"].limit, Some(1 << 30));
    let _ =
        command("projects", &bundle, &harbor).run().ok().prints("0 projects made, 1 project there");
    let _ = run(&harbor, "load", "developer").ok();

    // A right that is missing is named, with the account and the project.
    let harbor = new();
    harbor.state().projects.insert("team".into(), Project::public());
    let _ = run(&harbor, "load", "guest").expect(1).says("guest may not push into project team");
    // Nobody at all.
    let mut anonymous = command("load", &bundle, &harbor);
    anonymous.env_remove("TRANSHIP_USERNAME").env_remove("TRANSHIP_PASSWORD");
    assert_ne!(anonymous.run().code, Some(0));
}

#[test]
fn a_wrong_password_is_said_at_once() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    let mut wrong = load(&bundle.path(), &harbor.url());
    log_in(&mut wrong, "admin", "nonsense")
        .run()
        .expect(1)
        .says("refuses the user name or password of admin");
    let mut unquoted = load(&bundle.path(), &harbor.url());
    log_in(&mut unquoted, "robotloader", "x").run().expect(1).says("put it between single quotes");
    assert!(harbor.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn somebody_elses_wrong_password_does_no_harm() {
    let bundle = Bundle::everything(84);
    let harbor = Harbor::start();
    // The name is locked in the middle of the load; the load asks once more when it is free.
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    let locking = Harbor::with_trouble(move |_, _| {
        (counted.fetch_add(1, Ordering::SeqCst) == 50).then(|| {
            Verdict::json(401, &serde_json::json!({"errors": []}))
                .with_header("www-authenticate", "Basic realm=\"harbor\"")
        })
    });
    drop(harbor);
    loading(&bundle, &locking).run().ok().prints(ALL_ARRIVED);
}

#[test]
fn read_only_mode_is_found_beforehand() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::default());
    harbor.state().read_only = true;
    loading(&bundle, &harbor).run().expect(1).says("read-only mode").says("nothing was sent");
    loading(&bundle, &harbor)
        .arg("--no-preflight")
        .run()
        .expect(1)
        .says("The system is in read only mode");
}

#[test]
fn a_quota_that_is_too_small() {
    let bundle = Bundle::everything(85);
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::limited(5000));
    loading(&bundle, &harbor)
        .run()
        .expect(1)
        .says("project team has a storage quota of 5000 bytes with 5000 left")
        .says("raise it by");
    // Without looking first: what fits goes in, and no other project suffers.
    loading(&bundle, &harbor)
        .arg("--no-preflight")
        .run()
        .expect(3)
        .says("will exceed the configured upper limit");
    assert!(harbor.state().projects["team"].used() <= 5000);
    for (name, digest) in &bundle.tree.tags {
        if name.starts_with("charts/") || name.starts_with("artifacts/") {
            assert_eq!(skopeo::tag_digest(&harbor.registry.address(), name), Some(*digest));
        }
    }
    harbor.state().projects.get_mut("team").unwrap().limit = None;
    loading(&bundle, &harbor).run().ok().prints(" 0 failed");
}

#[test]
fn a_refusal_in_the_middle_of_a_body_is_understood() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 89);
        let layer = tree.layer(Family::Oci, 2_000_000);
        let image = tree.image("team/large", Family::Oci, "1", &[layer]);
        tree.tag("team/large", "1", digest_of(&image));
        tree.simple("other/image", "1");
        tree
    });
    let harbor = Harbor::start();
    // What is refused while its bytes are on their way shows as 502.
    harbor.state().projects.insert("team".into(), Project::limited(100_000));
    loading(&bundle, &harbor)
        .arg("--no-preflight")
        .run()
        .expect(3)
        .prints("1 image loaded, 0 already there, 1 failed")
        .says("project team is full");
    let puts = harbor.requests().into_iter().filter(|request| {
        request.method == "PUT" && request.target.starts_with("/v2/team/large/blobs/")
    });
    assert!(puts.count() <= 3, "what does not fit is not sent again and again");
}

#[test]
fn a_mount_that_is_denied_is_not_tried_again_between_the_same_projects() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 90);
        let shared: Vec<_> = (0..4).map(|_| tree.layer(Family::Oci, 5000)).collect();
        for repository in ["private/base", "team/app"] {
            let image = tree.image(repository, Family::Oci, repository, &shared);
            tree.tag(repository, "1", digest_of(&image));
        }
        tree
    });
    // The account may push into both projects, but a token front would not let it pull: Harbor's
    // answer to a mount from a repository that is out of reach.
    let harbor = Harbor::with_trouble(|request, _| {
        let mounts = request.target.starts_with("/v2/team/");
        (mounts && request.target.ends_with("from=private%2Fbase")).then(|| {
            let words = "unauthorized to access repository: private/base, action: pull";
            let body = serde_json::json!({"errors": [{"code": "UNAUTHORIZED", "message": words}]});
            Verdict::json(401, &body)
        })
    });
    loading(&bundle, &harbor).args(["--jobs", "1"]).run().ok().prints("2 images loaded");
    let tried = harbor.requests().into_iter().filter(|request| {
        request.target.starts_with("/v2/team/") && request.target.ends_with("from=private%2Fbase")
    });
    // A 401 may be somebody's locked name, so the first is asked once more.
    assert!(tried.count() <= 2);
}

#[test]
fn what_harbor_always_fails_at_is_not_tried_for_long() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 93);
        tree.simple("team/good", "1");
        let config = tree.layer_blob("team/bad", b"\x7fELF no JSON");
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": tranship_common::kinds::OCI_MANIFEST,
            "config": descriptor("application/vnd.example.wasm", config, 12),
            "layers": [],
        });
        let digest = tree.manifest("team/bad", &manifest);
        tree.tag("team/bad", "1", digest);
        tree
    });
    let harbor = Harbor::start();
    loading(&bundle, &harbor)
        .run()
        .expect(3)
        .prints("1 image loaded, 0 already there, 1 failed")
        .says("failed: team/bad:1")
        .says("internal server error");
    let puts = harbor
        .requests()
        .into_iter()
        .filter(|request| request.method == "PUT" && request.target == "/v2/team/bad/manifests/1");
    assert!(puts.count() <= 6);
}

#[test]
fn harbor_taken_for_a_plain_registry() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 94);
        tree.simple("team/image", "1");
        tree.simple("team/other", "1");
        tree
    });
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::default());
    let as_registry = || {
        let mut command = loading(&bundle, &harbor);
        command.args(["--target-kind", "registry"]);
        command
    };
    // With tokens, as any client has them.
    as_registry().run().ok().prints("2 images loaded");
    let requests = harbor.requests();
    assert!(requests.iter().any(|request| request.target.starts_with("/service/token")));
    assert!(requests.iter().all(|request| !request.target.starts_with("/api/")));
    as_registry().run().ok().prints("0 images loaded, 2 already there");

    let plain = e2e::Registry::start();
    let mut mistaken = load(&bundle.path(), &plain.url());
    mistaken.args(["--target-kind", "harbor"]).run().expect(1).says("/api/v2.0/systeminfo");
}

#[test]
fn a_mount_that_finds_nothing_becomes_an_upload() {
    let bundle = Bundle::simple();
    let harbor = Harbor::with_trouble(|request, _| {
        request.target.contains("mount=").then(|| Verdict::status(404))
    });
    loading(&bundle, &harbor).run().ok().prints("1 image loaded").prints("2 blobs uploaded");
}

#[test]
fn immutable_tags_stay_and_are_named() {
    let bundle = Bundle::everything(86);
    let harbor = Harbor::start();
    loading(&bundle, &harbor).run().ok();
    let immutable = || vec![Immutable::tags("{3.18,v1}")];
    for name in ["library", "team"] {
        harbor.state().projects.get_mut(name).unwrap().immutable = immutable();
    }
    // The same digest is left alone.
    loading(&bundle, &harbor).run().ok().prints("18 already there");
    // Another one is a finding; the rest goes on.
    let other = Bundle::everything(87);
    loading(&other, &harbor)
        .run()
        .expect(3)
        .prints("2 failed")
        .says("failed: library/alpine:3.18")
        .says("configured as immutable");
    let kept = skopeo::tag_digest(&harbor.registry.address(), "library/alpine:3.18");
    assert_eq!(kept, Some(bundle.tree.tags["alpine:3.18"]));
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
fn no_two_pushes_wait_for_each_other_without_need() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 88);
        for project in 0..4 {
            for tag in 0..6 {
                for repository in ["x", "y"] {
                    tree.simple(&format!("project{project}/{repository}"), &tag.to_string());
                }
            }
        }
        tree
    });
    let harbor = Harbor::start();
    harbor.state().push_time = Duration::from_millis(20);
    loading(&bundle, &harbor).args(["--jobs", "4"]).run().ok().prints("48 images loaded");
    // Four projects for four jobs: only at the end is there no other project with work.
    let waits = harbor.state().waits;
    assert!(waits <= 4, "{waits} of 48 pushes waited");
    command("check", &bundle, &harbor).run().ok();
}

#[test]
fn the_report_is_a_page_that_needs_nothing_else() {
    let bundle = Bundle::everything(92);
    let harbor = Harbor::with_trouble(|request, _| {
        let refused =
            request.method == "PUT" && request.target.ends_with("/team/odd/manifests/layers");
        let words = "<script>alert(1)</script> & not to my taste";
        let errors =
            serde_json::json!({"errors": [{"code": "MANIFEST_INVALID", "message": words}]});
        refused.then(|| Verdict::json(400, &errors))
    });
    let file = bundle.file("load.html");
    loading(&bundle, &harbor).arg("--report").arg(&file).run().expect(3).prints("17 images loaded");
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.contains("17 images loaded, 0 there before, 1 failed, 0 left."));
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("<code>sha256:")).collect();
    assert_eq!(rows.len(), 18);
    assert!(rows[0].starts_with("<tr><td>team/odd:layers</td><td class=\"failed\">failed</td>"));
    assert!(rows[0].contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; not to my taste"));
    assert!(rows.iter().any(|row| row.contains("library/alpine:3.18 (from alpine)")));
    assert_eq!(page.matches("class=\"bar\"").count(), 7, "a bar for each project");
    // In a browser: what is searched for stays, the rest is hidden.
    let address = |search: &str| format!("file://{}{search}", file.display());
    for (search, shown) in
        [("", "18 of 18"), ("#failed", "1 of 18"), ("#library%20alpine", "3 of 18")]
    {
        let seen = browsed(&address(search));
        assert!(seen.contains(&format!("<span id=\"shown\">{shown}</span>")), "{search}: {seen}");
        let hidden = seen.matches("<tr hidden=\"\">").count();
        assert_eq!(format!("{} of 18", 18 - hidden), shown, "{search}");
    }
    // From a disk, without a network.
    for outside in ["src=", "href=", "url(", "@import", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

/// What a page has become in a browser, its script run.
fn browsed(address: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    chromium.args(["--dump-dom", address]).run().ok().stdout
}
