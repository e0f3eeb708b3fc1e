use std::time::Duration;

use super::{Client, double, image};
use e2e::harbor::{Account, Kind, Policy, Project};
use e2e::http::Ask;
use e2e::{Verdict, skopeo};

#[test]
fn names_that_its_routes_take_apart() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    for name in ["team/blobs/x", "team/x/manifests", "team/tags", "team/a/referrers/b"] {
        let refused = admin.send("POST", &format!("/v2/{name}/blobs/uploads/"));
        assert_eq!(refused.status, 400, "{name}");
        assert_eq!(admin.put_manifest(name, "1", &image(b"{}")).status, 400, "{name}");
        assert_eq!(admin.head_manifest(name, "1").status, 400, "{name}");
        // Its registry alone has no such trouble.
        let plain = Ask::new(&harbor.registry.url(), "POST", &format!("/v2/{name}/blobs/uploads/"));
        assert_eq!(plain.send().status, 202, "{name}");
    }
    admin.push_image("team/blobs-and-tags", "1", b"{}");
}

#[test]
fn images_that_may_not_be_pulled() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    let digest = admin.push_image("team/a", "1", b"{}").to_string();
    let set = |policy| harbor.state().projects.get_mut("team").unwrap().policy = policy;
    for (policy, words) in [
        (Policy::Vulnerable, "current image without vulnerability scanning cannot be pulled"),
        (Policy::Unsigned, "The image is not signed in Cosign."),
    ] {
        set(Some(policy));
        for reference in ["1", &digest] {
            assert_eq!(admin.head_manifest("team/a", reference).status, 412);
            let refused = admin.get_manifest("team/a", reference);
            assert_eq!(refused.status, 412);
            assert_eq!(refused.json()["errors"][0]["code"], "PROJECTPOLICYVIOLATION");
            assert!(refused.body.contains(words), "{refused:?}");
        }
        // What is not there is not forbidden, pushes go on, and the API shows all.
        assert_eq!(admin.head_manifest("team/a", "2").status, 404);
        admin.push("team/a", "1", b"{}");
        let listed = admin.send("GET", "/api/v2.0/projects/team/repositories/a/artifacts").json();
        assert_eq!(listed[0]["digest"], digest);
    }
    // A signature, and what has one, may be pulled.
    let signature = format!("{}.sig", digest.replace(':', "-"));
    admin.push_image("team/a", &signature, b"{\"signature\": 1}");
    assert_eq!(admin.head_manifest("team/a", "1").status, 200);
    assert_eq!(admin.head_manifest("team/a", &signature).status, 200);
    set(None);
    assert_eq!(admin.get_manifest("team/a", "1").body, image(b"{}"));
}

#[test]
fn a_project_that_is_a_cache() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    admin.push_image("team/a", "1", b"{}");
    let words = "can not push artifact to a proxy project: team";
    for (status, code) in [(403, "DENIED"), (405, "METHOD_NOT_ALLOWED")] {
        harbor.state().projects.get_mut("team").unwrap().proxy_cache = Some(status);
        let session = admin.send("POST", "/v2/team/a/blobs/uploads/");
        let manifest = admin.put_manifest("team/a", "2", &image(b"{}"));
        for refused in [session, manifest] {
            assert_eq!(refused.status, status);
            assert_eq!(refused.json()["errors"][0]["code"], code);
            assert!(refused.body.contains(words), "{refused:?}");
        }
    }
    assert_eq!(admin.head_manifest("team/a", "1").status, 200);
}

#[test]
fn a_database_that_is_away() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    let ill = Verdict::error(500, "UNKNOWN", "internal server error");
    let Verdict::Answer { body, .. } = ill else { panic!("it is an answer") };
    let all = ["/v2/", "/service/token?service=harbor-registry", "/api/v2.0/systeminfo"];
    harbor.state().database_away = all.len();
    for target in all {
        let answer = admin.send("GET", target);
        assert_eq!((answer.status, answer.body), (500, body.clone()), "{target}");
    }
    assert_eq!(admin.send("GET", "/v2/").status, 200);
    harbor.state().database_away = usize::MAX;
    assert_eq!(admin.send("GET", "/v2/").status, 500);
    assert_eq!(admin.send("GET", "/v2/").status, 500);
    harbor.state().database_away = 0;
    assert_eq!(admin.send("GET", "/v2/").status, 200);
}

#[test]
fn tags_of_version_2_15_are_in_its_database_only() {
    for (version, in_registry) in [("2.14.0", true), ("2.15.0", false)] {
        let harbor = double();
        version.clone_into(&mut harbor.state().version);
        let admin = Client { harbor: &harbor, name: "admin" };
        let info = admin.send("GET", "/api/v2.0/systeminfo").json();
        assert_eq!(info["harbor_version"], format!("v{version}-double"));
        let digest = admin.push_image("team/a", "1", b"{}");
        assert_eq!(
            admin.head_manifest("team/a", "1").header("docker-content-digest"),
            digest.to_string()
        );
        let found = skopeo::tag_digest(&harbor.registry.address(), "team/a:1");
        assert_eq!(found.is_some(), in_registry, "{version}");
        assert_eq!(harbor.state().projects["team"].tags()["team/a:1"], digest.to_string());
    }
}

#[test]
fn tokens_that_are_older_than_the_project() {
    let harbor = double();
    harbor.state().token_leeway = Duration::ZERO;
    let kind = Kind::User(vec!["team".into()]);
    harbor.state().accounts.insert("maker".into(), Account::new("secret", kind));
    let maker = Client { harbor: &harbor, name: "maker" };
    let token = "/service/token?service=harbor-registry&scope=repository:team/a:pull,push";
    let token = maker.send("GET", token).json()["token"].as_str().unwrap().to_owned();
    let push = || {
        let ask = Ask::new(&harbor.url(), "POST", "/v2/team/a/blobs/uploads/");
        ask.with("Authorization", &format!("Bearer {token}")).send().status
    };
    assert_eq!(push(), 202);
    harbor.state().projects.remove("team");
    let made = maker.post_json("/api/v2.0/projects", r#"{"project_name": "team"}"#);
    assert_eq!(made.status, 201);
    // Earlier versions do not look.
    assert_eq!(push(), 202);
    "2.15.0".clone_into(&mut harbor.state().version);
    assert_eq!(push(), 401);
    harbor.state().token_leeway = Duration::from_secs(60);
    assert_eq!(push(), 202);
    harbor.state().projects.insert("team".into(), Project::default());
    assert_eq!(push(), 202);
}
