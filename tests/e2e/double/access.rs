use super::{Client, NOBODY, double, image, names};
use e2e::http::Ask;
use tranship_common::Digest;

#[test]
fn tokens_of_those_without_an_account() {
    let harbor = double();
    let nobody = Client { harbor: &harbor, name: NOBODY };
    let admin = Client { harbor: &harbor, name: "admin" };
    admin.push_image("library/a", "1", b"{}");
    let endpoint = "/service/token?service=harbor-registry";
    assert_eq!(nobody.send("GET", endpoint).status, 401);
    // Of several scopes in one parameter, too, each counts.
    let scopes = "repository:team/a:pull%20repository:library/a:pull,push";
    let given = nobody.send("GET", &format!("{endpoint}&scope={scopes}"));
    assert_eq!(given.status, 200);
    let token = given.json()["token"].as_str().unwrap().to_owned();
    let with_token = |method: &str, target: &str| {
        let ask = Ask::new(&harbor.url(), method, target);
        ask.with("Authorization", &format!("Bearer {token}")).send()
    };
    assert_eq!(with_token("GET", "/v2/library/a/tags/list").json()["tags"][0], "1");
    assert_eq!(with_token("POST", "/v2/library/a/blobs/uploads/").status, 401);
    assert_eq!(with_token("GET", "/v2/team/a/tags/list").status, 401);
}

#[test]
fn the_address_of_the_token_endpoint() {
    let harbor = double();
    let nobody = Client { harbor: &harbor, name: NOBODY };
    let asked = || nobody.send("GET", "/v2/").header("www-authenticate").to_owned();
    assert!(asked().starts_with(&format!("Bearer realm=\"{}/service/token\"", harbor.url())));
    harbor.state().realm_is_external = true;
    assert!(asked().starts_with("Bearer realm=\"http://harbor.internal/service/token\""));
}

#[test]
fn accounts_of_another_house() {
    let harbor = double();
    let outsider = Client { harbor: &harbor, name: "outsider" };
    let digest = outsider.push_image("team/a", "1", b"{}");
    let token = "/service/token?service=harbor-registry&scope=repository:team/a:pull";
    let artifacts = "/api/v2.0/projects/team/repositories/a/artifacts";
    for (method, target, status) in [
        ("GET", "/v2/", 200),
        ("GET", token, 200),
        ("GET", "/api/v2.0/projects?name=team", 200),
        ("GET", "/api/v2.0/projects/team/repositories", 200),
        ("GET", artifacts, 200),
        ("HEAD", "/api/v2.0/projects?project_name=team", 401),
        ("GET", "/api/v2.0/projects/team/summary", 401),
        ("GET", "/api/v2.0/users/current", 401),
        ("GET", &format!("{artifacts}/{digest}"), 401),
    ] {
        assert_eq!(outsider.send(method, target).status, status, "{method} {target}");
    }
    let own = outsider.post_json("/api/v2.0/projects", r#"{"project_name": "own"}"#);
    assert_eq!(own.status, 201);
    outsider.push_image("own/a", "1", b"{}");
    // What it is told as if it were nobody.
    let info = outsider.send("GET", "/api/v2.0/systeminfo").json();
    assert_eq!(info["read_only"], false);
}

#[test]
fn which_projects_are_listed() {
    let harbor = double();
    for number in 0..12 {
        harbor.state().projects.insert(format!("team{number}"), e2e::harbor::Project::default());
    }
    let seen = |name: &'static str, query: &str| {
        let client = Client { harbor: &harbor, name };
        let listed = client.send("GET", &format!("/api/v2.0/projects?{query}"));
        assert_eq!(listed.status, 200);
        (names(&listed.json()).join(" "), listed.header("x-total-count").to_owned())
    };
    let listed = |names: &str, count: &str| (names.to_owned(), count.to_owned());
    assert_eq!(seen(NOBODY, ""), listed("library", "1"));
    assert_eq!(seen("developer", ""), listed("library team", "2"));
    assert_eq!(seen("robot$team+push", "name=EA"), listed("team", "1"));
    assert_eq!(seen("robot$system", "name=ther"), listed("other", "1"));
    // A name that is part of others may stand on a later page.
    let (first, count) = seen("admin", "name=team");
    assert_eq!((first.split(' ').count(), count.as_str()), (10, "13"));
    assert_eq!(seen("admin", "name=team&page=5&page_size=3"), listed("team9", "13"));
    let admin = Client { harbor: &harbor, name: "admin" };
    let link = admin.send("GET", "/api/v2.0/projects?page_size=3").header("link").to_owned();
    assert_eq!(link, "</api/v2.0/projects?page=2&page_size=3>; rel=\"next\"");
}

#[test]
fn who_is_shown_what_is_in_a_project() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    admin.push_image("team/a/b", "1", b"{}");
    admin.push_image("team/c", "1", b"{}");
    admin.upload("team/without-manifests", b"{}");
    let (list, catalog) = ("/api/v2.0/projects/team/repositories", "/v2/_catalog");
    assert_eq!(names(&admin.send("GET", list).json()), ["team/a/b", "team/c"]);
    let page = admin.send("GET", &format!("{list}?page=2&page_size=1"));
    assert_eq!(names(&page.json()), ["team/c"]);
    let all = admin.send("GET", &format!("{catalog}?n=1"));
    assert_eq!(names(&all.json()["repositories"]), ["team/a/b"]);
    assert_eq!(all.header("link"), "</v2/_catalog?last=team/a/b&n=1>; rel=\"next\"");
    let rest = admin.send("GET", &format!("{catalog}?last=team/a/b&n=1"));
    assert_eq!((names(&rest.json()["repositories"]), rest.header("link")), (vec!["team/c"], ""));
    for (name, status) in [
        ("developer", 200),
        ("robot$reading", 200),
        ("robot$system", 403),
        ("robot$team+push", 403),
        (NOBODY, 401),
    ] {
        let client = Client { harbor: &harbor, name };
        assert_eq!(client.send("GET", list).status, status, "{name}");
        assert_eq!(client.send("GET", catalog).status, 401, "{name}");
    }
    harbor.state().projects.get_mut("team").unwrap().public = true;
    let nobody = Client { harbor: &harbor, name: NOBODY };
    assert_eq!(names(&nobody.send("GET", list).json()), ["team/a/b", "team/c"]);
    assert_eq!(nobody.send("GET", "/api/v2.0/projects/team/immutabletagrules").status, 401);
}

#[test]
fn a_name_that_somebody_else_locks() {
    let harbor = double();
    let developer = Client { harbor: &harbor, name: "developer" };
    let robot = Client { harbor: &harbor, name: "robot$system" };
    harbor.state().lock_user_for_tries("developer", 2);
    harbor.state().lock_user_for_tries("robot$system", 2);
    let statuses: Vec<u16> = (0..3).map(|_| developer.send("GET", "/v2/").status).collect();
    assert_eq!(statuses, [401, 401, 200]);
    assert_eq!(robot.send("GET", "/v2/").status, 200);
}

#[test]
fn other_tags_for_what_is_there() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    let digest = admin.push_image("team/a/b", "1", b"{}");
    let other = admin.push_image("team/a/b", "2", b"{\"other\": 1}");
    let tags =
        |digest| format!("/api/v2.0/projects/team/repositories/a%252Fb/artifacts/{digest}/tags");
    for (name, status) in [
        ("robot$system", 403),
        ("robot$reading", 403),
        ("outsider", 401),
        ("developer", 201),
        ("robot$tagging", 409),
    ] {
        let client = Client { harbor: &harbor, name };
        assert_eq!(client.post_json(&tags(digest), r#"{"name": "v1"}"#).status, status, "{name}");
    }
    // It never moves.
    assert_eq!(admin.post_json(&tags(other), r#"{"name": "v1"}"#).status, 409);
    let missing = tags(Digest::of(b"nothing"));
    assert_eq!(admin.post_json(&missing, r#"{"name": "v2"}"#).status, 404);
    assert_eq!(admin.get_manifest("team/a/b", "v1").body, image(b"{}"));
    let listed = admin.send("GET", "/v2/team/a/b/tags/list");
    assert_eq!(names(&listed.json()["tags"]), ["1", "2", "v1"]);
    assert_eq!(harbor.state().projects["team"].tags()["team/a/b:v1"], digest.to_string());
}
