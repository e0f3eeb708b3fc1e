//! The doubles answer as the registries that they stand for were seen to answer.

use e2e::Harbor;
use e2e::content::{OCI_CONFIG, descriptor};
use e2e::harbor::{Account, Kind, Project};
use e2e::http::{Ask, Reply};
use tranship_common::Digest;
use tranship_common::kinds::OCI_MANIFEST;

mod access; // accounts, tokens, what each is shown
mod dialects; // other registries
mod images; // names, tags, policies, versions
mod quota; // what is counted, and what never becomes free again

/// Asks without an account.
const NOBODY: &str = "";

/// Somebody who asks a double.
struct Client<'a> {
    harbor: &'a Harbor,
    name: &'static str,
}

impl Client<'_> {
    fn ask(&self, method: &str, target: &str) -> Ask {
        if self.name == NOBODY {
            return Ask::new(&self.harbor.url(), method, target);
        }
        let password = if self.name == "admin" { "Harbor12345" } else { "secret" };
        Ask::new(&self.harbor.url(), method, target).by(self.name, password)
    }

    fn send(&self, method: &str, target: &str) -> Reply {
        self.ask(method, target).send()
    }

    fn open_session(&self, repository: &str) -> String {
        let opened = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"));
        assert_eq!(opened.status, 202, "{opened:?}");
        opened.header("location").to_owned()
    }

    fn upload(&self, repository: &str, blob: &[u8]) -> Digest {
        let digest = Digest::of(blob);
        let target = format!("{}&digest={digest}", self.open_session(repository));
        assert_eq!(self.ask("PUT", &target).body(blob).send().status, 201);
        digest
    }

    /// The status of a mount.
    fn mount(&self, digest: &Digest, from: &str, to: &str) -> u16 {
        let target = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}");
        self.send("POST", &target).status
    }

    /// Pushes the manifest of an image with this config; returns its size.
    fn push(&self, repository: &str, tag: &str, config: &[u8]) -> u64 {
        let body = image(config);
        let put = self.put_manifest(repository, tag, &body);
        assert_eq!(put.status, 201, "{put:?}");
        body.len() as u64
    }

    fn put_manifest(&self, repository: &str, tag: &str, body: &str) -> Reply {
        let put = self.ask("PUT", &format!("/v2/{repository}/manifests/{tag}"));
        put.with("Content-Type", OCI_MANIFEST).body(body.as_bytes()).send()
    }

    /// Uploads a config and pushes an image with it; returns the image's digest.
    fn push_image(&self, repository: &str, tag: &str, config: &[u8]) -> Digest {
        self.upload(repository, config);
        self.push(repository, tag, config);
        Digest::of(image(config).as_bytes())
    }

    fn head_manifest(&self, repository: &str, reference: &str) -> Reply {
        let head = self.ask("HEAD", &format!("/v2/{repository}/manifests/{reference}"));
        head.with("Accept", OCI_MANIFEST).send()
    }

    fn get_manifest(&self, repository: &str, reference: &str) -> Reply {
        let get = self.ask("GET", &format!("/v2/{repository}/manifests/{reference}"));
        get.with("Accept", OCI_MANIFEST).send()
    }

    fn post_json(&self, target: &str, body: &str) -> Reply {
        let post = self.ask("POST", target).with("Content-Type", "application/json");
        post.body(body.as_bytes()).send()
    }
}

/// The manifest of an image with this config and no layers.
fn image(config: &[u8]) -> String {
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, Digest::of(config), config.len()),
        "layers": [],
    });
    manifest.to_string()
}

/// The names in a list.
fn names(list: &serde_json::Value) -> Vec<&str> {
    let all = list.as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter_map(|item| item["name"].as_str().or(item.as_str())).collect()
}

/// A double with the projects `team` and `other`, and an account of each kind with the password
/// `secret`.
fn double() -> Harbor {
    let harbor = Harbor::start();
    let mut state = harbor.state();
    for (name, kind) in [
        ("developer", Kind::User(vec!["team".into()])),
        ("outsider", Kind::OidcUser(vec!["team".into()])),
        ("robot$system", Kind::SystemRobot),
        ("robot$reading", Kind::ReadingRobot),
        ("robot$tagging", Kind::TaggingRobot),
        ("robot$team+push", Kind::ProjectRobot("team".into())),
    ] {
        state.accounts.insert(name.to_owned(), Account::new("secret", kind));
    }
    for name in ["team", "other"] {
        state.projects.insert(name.into(), Project::default());
    }
    drop(state);
    harbor
}
