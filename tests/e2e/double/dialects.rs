use super::image;
use e2e::dialect::{Dialect, Mounts};
use e2e::http::{Ask, Reply};
use e2e::{Front, Registry, skopeo};
use tranship_common::Digest;
use tranship_common::kinds::OCI_MANIFEST;

/// A registry that answers in this way.
fn speaking(dialect: Dialect) -> (Registry, Front) {
    let registry = Registry::start();
    let front = dialect.front(registry.address());
    (registry, front)
}

fn send(front: &Front, method: &str, target: &str, body: &[u8]) -> Reply {
    let ask = Ask::new(&front.url(), method, target).with("Accept", OCI_MANIFEST);
    let is_manifest = target.contains("/manifests/");
    let content_type = if is_manifest { OCI_MANIFEST } else { "application/octet-stream" };
    ask.with("Content-Type", content_type).body(body).send()
}

/// Uploads a config by PATCH and PUT, and pushes an image with it; returns both answers that vary.
fn push(front: &Front, name: &str, config: &[u8]) -> (u16, u16) {
    let opened = send(front, "POST", &format!("/v2/{name}/blobs/uploads/"), b"");
    assert_eq!(opened.status, 202, "{opened:?}");
    let patched = send(front, "PATCH", opened.header("location"), config);
    assert!(matches!(patched.status, 201 | 202), "{patched:?}");
    let digest = Digest::of(config);
    let put = format!("{}&digest={digest}", patched.header("location"));
    let done = send(front, "PUT", &put, b"");
    assert_eq!(done.status, 201, "{done:?}");
    let manifest = send(front, "PUT", &format!("/v2/{name}/manifests/1"), image(config).as_bytes());
    (patched.status, manifest.status)
}

#[test]
fn a_registry_like_quay() {
    let (registry, front) = speaking(Dialect::quay());
    assert_eq!(push(&front, "a/b", b"{}"), (202, 202));
    let mount = format!("/v2/a/c/blobs/uploads/?mount={}&from=a/b", Digest::of(b"{}"));
    assert_eq!(send(&front, "POST", &mount, b"").status, 201);
    let digest = Digest::of(image(b"{}").as_bytes());
    assert_eq!(skopeo::tag_digest(&registry.address(), "a/b:1"), Some(digest));
}

#[test]
fn a_registry_like_artifactory() {
    let (_registry, front) = speaking(Dialect::artifactory());
    for method in ["HEAD", "GET"] {
        assert_eq!(send(&front, method, "/v2/a/b/manifests/1", b"").status, 403);
    }
    assert_eq!(push(&front, "a/b", b"{}"), (202, 201));
    let digest = Digest::of(image(b"{}").as_bytes()).to_string();
    let head = send(&front, "HEAD", "/v2/a/b/manifests/1", b"");
    assert_eq!(
        (head.status, head.header("docker-content-digest"), head.header("etag")),
        (200, "", "")
    );
    let got = send(&front, "GET", "/v2/a/b/manifests/1", b"");
    assert_eq!(got.header("docker-content-digest"), digest);
    assert_eq!(got.body, image(b"{}"));
    // Elsewhere it is 401, which asks for credentials.
    let (_registry, front) = speaking(Dialect { missing_manifest: 401, ..Dialect::artifactory() });
    let refused = send(&front, "HEAD", "/v2/a/b/manifests/1", b"");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, "Basic realm=\"registry\"")
    );
}

#[test]
fn a_registry_like_ecr() {
    let (registry, front) = speaking(Dialect::ecr(&["a/b"]));
    assert_eq!(push(&front, "a/b", b"{}"), (201, 201));
    let got = send(&front, "GET", "/v2/a/b/manifests/1", b"");
    assert_eq!((got.status, got.header("docker-content-digest")), (200, ""));
    let head = send(&front, "HEAD", "/v2/a/b/manifests/1", b"");
    assert_ne!(head.header("docker-content-digest"), "");
    for (method, target) in [("POST", "/v2/a/c/blobs/uploads/"), ("GET", "/v2/a/c/manifests/1")] {
        let unknown = send(&front, method, target, b"");
        assert_eq!(
            (unknown.status, &unknown.json()["errors"][0]["code"]),
            (404, &"NAME_UNKNOWN".into())
        );
    }
    let mount = format!("/v2/a/b/blobs/uploads/?mount={}&from=a/b", Digest::of(b"{}"));
    let opened = send(&front, "POST", &mount, b"");
    assert_eq!(opened.status, 202);
    assert_eq!(registry.open_sessions(), 1);
}

#[test]
fn what_some_registries_refuse() {
    let (registry, front) = speaking(Dialect {
        head_refused: Some(405),
        mounts: Mounts::Refused(400),
        whole_upload_refused: Some(405),
        catalog_refused: Some(401),
        manifest_taken: 200,
        ..Dialect::default()
    });
    assert_eq!(push(&front, "a/b", b"{}"), (202, 200));
    assert_eq!(send(&front, "HEAD", "/v2/a/b/manifests/1", b"").status, 405);
    assert_eq!(send(&front, "GET", "/v2/a/b/manifests/1", b"").status, 200);
    assert_eq!(send(&front, "GET", "/v2/_catalog?n=10", b"").status, 401);
    let mount = format!("/v2/a/c/blobs/uploads/?mount={}&from=a/b", Digest::of(b"{}"));
    assert_eq!(send(&front, "POST", &mount, b"").status, 400);
    assert_eq!(registry.open_sessions(), 0);
    let opened = send(&front, "POST", "/v2/a/c/blobs/uploads/", b"");
    let put = format!("{}&digest={}", opened.header("location"), Digest::of(b"{}"));
    assert_eq!(send(&front, "PUT", &put, b"{}").status, 405);
    assert_eq!(registry.open_sessions(), 1);
}
