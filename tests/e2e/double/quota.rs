use std::sync::Barrier;

use super::{Client, double, names};
use e2e::Harbor;
use e2e::harbor::{Account, Kind, Project};
use tranship_common::Digest;

const BLOB: &[u8] = b"{\"a blob\": \"of so many bytes\"}";
const SIZE: u64 = BLOB.len() as u64;

/// Used and held bytes of a project.
fn bytes_of(harbor: &Harbor, project: &str) -> (u64, u64) {
    harbor.settle();
    let project = &harbor.state().projects[project];
    (project.used(), project.held_bytes())
}

#[test]
fn a_blob_is_counted_once_for_each_project() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    let digest = admin.upload("team/a", BLOB);
    assert_eq!(bytes_of(&harbor, "team"), (SIZE, SIZE));
    assert_eq!(admin.upload("team/b", BLOB), digest);
    assert_eq!(admin.mount(&digest, "team/a", "team/c"), 201);
    assert_eq!(bytes_of(&harbor, "team"), (SIZE, SIZE));
    assert_eq!(admin.mount(&digest, "team/a", "other/a"), 201);
    assert_eq!(bytes_of(&harbor, "other"), (SIZE, SIZE));
    let manifest = admin.push("team/a", "1", BLOB);
    let _ = admin.push("team/a", "2", BLOB);
    assert_eq!(bytes_of(&harbor, "team"), (SIZE + manifest, SIZE + manifest));
}

#[test]
fn a_mount_that_finds_nothing_is_never_given_back() {
    let harbor = double();
    harbor.state().miscounts = true;
    let admin = Client { harbor: &harbor, name: "admin" };
    // Nobody has it: nothing is reserved.
    assert_eq!(admin.mount(&Digest::of(BLOB), "team/a", "team/a"), 202);
    assert_eq!(bytes_of(&harbor, "team"), (0, 0));
    let digest = admin.upload("other/a", BLOB);
    assert_eq!(admin.mount(&digest, "team/a", "team/a"), 202);
    assert_eq!(bytes_of(&harbor, "team"), (SIZE, 0));
    admin.upload("team/a", BLOB);
    assert_eq!(bytes_of(&harbor, "team"), (2 * SIZE, SIZE));
    let summary = admin.send("GET", "/api/v2.0/projects/team/summary").json();
    assert_eq!(summary["quota"]["used"]["storage"], 2 * SIZE);
    // Of what a project holds nothing is reserved, found or not.
    assert_eq!(admin.mount(&digest, "team/none", "team/b"), 202);
    assert_eq!(bytes_of(&harbor, "team"), (2 * SIZE, SIZE));

    let developer = Client { harbor: &harbor, name: "developer" };
    assert_eq!(developer.send("GET", "/api/internal/syncquota").status, 403);
    assert_eq!(admin.send("GET", "/api/internal/syncquota").status, 200);
    assert_eq!(bytes_of(&harbor, "team"), (SIZE, SIZE));
}

#[test]
fn what_is_refused_is_given_back() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    let session = admin.open_session("team/a");
    let wrong = format!("{session}&digest={}", Digest::of(b"something else"));
    assert_eq!(admin.ask("PUT", &wrong).body(BLOB).send().status, 400);
    assert_eq!(bytes_of(&harbor, "team"), (0, 0));
    harbor.state().projects.insert("small".into(), Project::limited(SIZE));
    admin.upload("small/a", BLOB);
    let target = format!("{}&digest={}", admin.open_session("small/a"), Digest::of(b"more"));
    let refused = admin.ask("PUT", &target).body(b"more").send();
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["errors"][0]["code"], "DENIED");
    assert_eq!(bytes_of(&harbor, "small"), (SIZE, SIZE));
}

#[test]
fn mounts_at_the_same_time_are_each_counted() {
    let harbor = double();
    harbor.state().miscounts = true;
    let admin = Client { harbor: &harbor, name: "admin" };
    let digest = admin.upload("other/a", BLOB);
    // All are judged before one is answered.
    let together = Barrier::new(3);
    harbor.hold(move |_| {
        together.wait();
    });
    std::thread::scope(|scope| {
        for repository in ["team/a", "team/b", "team/c"] {
            let (admin, digest) = (&admin, &digest);
            scope.spawn(move || assert_eq!(admin.mount(digest, "other/a", repository), 201));
        }
    });
    assert_eq!(bytes_of(&harbor, "team"), (3 * SIZE, SIZE));
}

#[test]
fn blobs_in_pieces_and_blobs_placed_by_hand() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    let digest = Digest::of(BLOB);
    let patched = admin.ask("PATCH", &admin.open_session("team/a")).body(BLOB).send();
    assert_eq!(patched.status, 202);
    let put = format!("{}&digest={digest}", patched.header("location"));
    assert_eq!(admin.ask("PUT", &put).body(b"").send().status, 201);
    assert_eq!(bytes_of(&harbor, "team"), (SIZE, SIZE));

    let placed = b"{\"nobody\": \"has sent this\"}";
    let digest = harbor.registry.place("team/placed", placed);
    let blob = format!("/v2/team/placed/blobs/{digest}");
    assert_eq!(admin.send("HEAD", &blob).status, 404);
    assert_eq!(admin.send("GET", &blob).status, 200);
    assert_eq!(admin.mount(&digest, "team/placed", "team/b"), 404);
    let manifest = admin.push("team/placed", "1", placed);
    assert_eq!(admin.send("HEAD", &blob).status, 200);
    let all = SIZE + manifest + placed.len() as u64;
    assert_eq!(bytes_of(&harbor, "team"), (all, all));
}

#[test]
fn a_head_sees_one_repository() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    let digest = admin.upload("team/a", BLOB);
    assert_eq!(admin.send("HEAD", &format!("/v2/team/a/blobs/{digest}")).status, 200);
    assert_eq!(admin.send("HEAD", &format!("/v2/team/b/blobs/{digest}")).status, 404);
    assert_eq!(admin.send("HEAD", &format!("/v2/other/a/blobs/{digest}")).status, 404);
}

#[test]
fn who_is_told_what_a_project_may_hold() {
    let harbor = double();
    let summary = "/api/v2.0/projects/team/summary";
    for name in ["robot$system", "robot$team+push"] {
        let robot = Client { harbor: &harbor, name };
        harbor.state().projects.get_mut("team").unwrap().public = false;
        assert_eq!(robot.send("GET", summary).status, 403);
        harbor.state().projects.get_mut("team").unwrap().public = true;
        let seen = robot.send("GET", summary);
        assert_eq!(seen.status, 200);
        assert!(seen.json().is_object() && seen.json()["quota"].is_null(), "{seen:?}");
    }
    let developer = Client { harbor: &harbor, name: "developer" };
    assert_eq!(developer.send("GET", summary).json()["quota"]["hard"]["storage"], -1);
}

#[test]
fn sessions_stay_with_those_who_may_not_delete() {
    let harbor = double();
    let kinds = Kind::User(vec![]);
    harbor.state().accounts.insert("maker".into(), Account::new("secret", kinds));
    let maker = Client { harbor: &harbor, name: "maker" };
    let made = maker.post_json("/api/v2.0/projects", r#"{"project_name": "own"}"#);
    assert_eq!(made.status, 201);
    let mut left = 0;
    for (name, repository, status) in [
        ("admin", "team/a", 204),
        ("robot$system", "team/a", 401),
        ("robot$team+push", "team/a", 401),
        ("developer", "team/a", 401),
        ("maker", "own/a", 204),
    ] {
        let client = Client { harbor: &harbor, name };
        let session = client.open_session(repository);
        assert_eq!(harbor.registry.open_sessions(), left + 1);
        assert_eq!(client.send("DELETE", &session).status, status, "{name}");
        left += usize::from(status == 401);
        assert_eq!(harbor.registry.open_sessions(), left, "{name}");
    }
}

#[test]
fn all_quotas_at_once_are_for_administrators() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    admin.upload("team/a", BLOB);
    harbor.state().quotas_off = true;
    let list = "/api/v2.0/quotas?reference=project&page_size=2&page=2";
    let listed = admin.send("GET", list);
    assert_eq!(listed.header("x-total-count"), "3");
    assert_eq!(listed.json()[0]["ref"]["name"], "team");
    assert_eq!(listed.json()[0]["used"]["storage"], SIZE);
    let developer = Client { harbor: &harbor, name: "developer" };
    assert_eq!(developer.send("GET", list).status, 403);
}

#[test]
fn repositories_by_a_blob_of_an_image() {
    let harbor = double();
    let admin = Client { harbor: &harbor, name: "admin" };
    let image = admin.push_image("team/a", "1", BLOB);
    admin.upload("team/b", BLOB);
    for digest in [image, Digest::of(BLOB)] {
        let query = format!("/api/v2.0/projects/team/repositories?q=blob_digest%3D{digest}");
        assert_eq!(names(&admin.send("GET", &query).json()), ["team/a"]);
    }
    let tagged = "/api/v2.0/projects/team/repositories/a/artifacts?q=tags%3D";
    assert_eq!(admin.send("GET", &format!("{tagged}1")).json().as_array().unwrap().len(), 1);
    assert!(admin.send("GET", &format!("{tagged}2")).json().as_array().unwrap().is_empty());
}
