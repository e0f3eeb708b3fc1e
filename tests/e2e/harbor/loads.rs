//! What a load sends, and in which order.

use std::time::Duration;

use e2e::content::Family;
use e2e::harbor::Project;
use e2e::programs::{Run, load};
use e2e::tree::digest_of;
use e2e::{Bundle, Harbor, Tree, Verdict, skopeo};

use super::{ALL_ARRIVED, command, loading};

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
    // Ping, once more with the password, what it is, and which projects there are.
    assert_eq!(again.len() - heads, 4, "{again:#?}");
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
    // Two pings, what it is; which projects there are, twice, and whether these are all, twice; what
    // new projects may hold; that 7 are made; whether there are quotas, and all of them.
    assert_eq!(sent.len() as u64 - least, 3 + 4 + 1 + 7 + 2);
}

#[test]
fn a_few_hundred_tags_get_hardly_more_requests_than_they_must() {
    let projects: Vec<String> = (0..8).map(|number| format!("project{number}")).collect();
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 97);
        let base = tree.layer(Family::Oci, 3000);
        for number in 0..400 {
            let repository = format!("{}/app{}", projects[number % 8], number % 5);
            let own = tree.layer(Family::Oci, 300);
            let layers = [base.clone(), own];
            let tag = number.to_string();
            let image = tree.image(&repository, Family::Oci, &tag, &layers);
            tree.tag(&repository, &tag, digest_of(&image));
        }
        tree
    });
    let harbor = Harbor::start();
    let empty = projects.iter().map(|name| (name.clone(), Project::default()));
    harbor.state().projects.extend(empty);
    let planned = command("plan", &bundle, &harbor).arg("--json").run().ok().json();
    let least = planned["requests"].as_u64().unwrap();
    let before = harbor.requests().len();
    loading(&bundle, &harbor).run().ok().prints("400 images loaded");
    let sent = harbor.requests().split_off(before);
    // Two pings, what it is; which projects there are; whether there are quotas, and all of them, twice;
    // of eight blobs, whether an earlier load has left them. The sessions that prove the right to push
    // are taken by uploads.
    assert_eq!(sent.len() as u64 - least, 3 + 1 + 4 + 8);
    assert!(sent.len() as f64 <= 1.01 * least as f64);
    assert_eq!(harbor.registry.open_sessions(), 0);
}

#[test]
fn harbor_taken_for_a_plain_registry() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 94);
        let shared = tree.layer(Family::Oci, 5000);
        for repository in ["team/image", "other/image"] {
            let image =
                tree.image(repository, Family::Oci, repository, std::slice::from_ref(&shared));
            tree.tag(repository, "1", digest_of(&image));
        }
        tree
    });
    let with_projects = || {
        let harbor = Harbor::start();
        for name in ["team", "other"] {
            harbor.state().projects.insert(name.into(), Project::default());
        }
        harbor
    };
    let harbor = with_projects();
    let as_registry = || {
        let mut command = loading(&bundle, &harbor);
        command.args(["--target-kind", "registry"]);
        command
    };
    as_registry().run().ok().prints("2 images loaded").prints("1 mounted");
    // The password does for the registry's part of it too.
    assert!(harbor.requests().iter().all(|request| request.target.starts_with("/v2/")));
    as_registry().run().ok().prints("0 images loaded, 2 already there");

    // With tokens, as any client has them; one of them for a mount out of another project.
    let harbor = with_projects();
    harbor.state().service = "registry".into();
    loading(&bundle, &harbor).run().ok().prints("2 images loaded").prints("1 mounted");
    let requests = harbor.requests();
    assert!(requests.iter().any(|request| request.target.starts_with("/service/token")));
    assert!(requests.iter().all(|request| !request.target.starts_with("/api/")));

    let plain = e2e::Registry::start();
    let mut mistaken = load(&bundle.path(), &plain.url());
    mistaken.args(["--target-kind", "harbor"]).run().expect(1).says("/api/v2.0/systeminfo");
}

#[test]
fn a_tag_that_has_another_image_is_replaced_and_named() {
    let bundle = Bundle::simple();
    let other = Bundle::of(|root| {
        let mut tree = Tree::new(root, 96);
        tree.simple("team/image", "1");
        tree
    });
    let harbor = Harbor::start();
    loading(&other, &harbor).run().ok();
    let had = format!("team/image:1 has {} there", other.tree.tags["team/image:1"]);
    command("plan", &bundle, &harbor).run().ok().prints(&had);
    let report = bundle.file("report.json");
    let loaded = loading(&bundle, &harbor).arg("--report").arg(&report).run().ok();
    let _ = loaded.says(&had.replace(" has ", " had ").replace(" there", ""));
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let replaced = report["images"][0]["replaced"].as_str();
    assert_eq!(replaced, Some(other.tree.tags["team/image:1"].to_string().as_str()));
}

#[test]
fn tokens_that_end_in_the_middle_of_a_load() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 95);
        for tag in 0..10 {
            tree.simple("team/image", &tag.to_string());
        }
        tree
    });
    // Harbor answers a token that is too old with a challenge for Basic, never for Bearer.
    let harbor = Harbor::with_trouble(|request, state| {
        if request.number % 10 == 9 {
            state.expire_tokens();
        }
        None
    });
    harbor.state().projects.insert("team".into(), Project::default());
    harbor.state().service = "registry".into();
    loading(&bundle, &harbor)
        .args(["--target-kind", "registry", "--jobs", "1"])
        .run()
        .ok()
        .prints("10 images loaded");
    let requests = harbor.requests();
    let tokens = requests.iter().filter(|request| request.target.starts_with("/service/token"));
    assert!(tokens.count() > 5);
    for blob in bundle.blobs() {
        assert_eq!(harbor.registry.commits(&blob), 1, "{blob}");
    }
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
fn a_mount_that_finds_nothing_becomes_an_upload() {
    let bundle = Bundle::simple();
    let harbor = Harbor::with_trouble(|request, _| {
        request.target.contains("mount=").then(|| Verdict::status(404))
    });
    loading(&bundle, &harbor).run().ok().prints("1 image loaded").prints("2 blobs uploaded");
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
