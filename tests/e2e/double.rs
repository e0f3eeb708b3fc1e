//! The double of Harbor answers as a running Harbor was seen to answer.

use e2e::Harbor;
use e2e::content::descriptor;
use e2e::harbor::{Account, Kind, Project};
use e2e::http::{Ask, Reply};
use tranship_common::Digest;

mod quota; // what is counted, and what never becomes free again

/// Somebody who asks a double.
struct Client<'a> {
    harbor: &'a Harbor,
    name: &'static str,
}

impl Client<'_> {
    fn ask(&self, method: &str, target: &str) -> Ask {
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

    /// Pushes an image with this config and no layers; returns its size.
    fn push(&self, repository: &str, tag: &str, config: &[u8]) -> u64 {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": kind,
            "config": descriptor("application/vnd.example", Digest::of(config), config.len()),
            "layers": [],
        });
        let body = manifest.to_string();
        let put = self.ask("PUT", &format!("/v2/{repository}/manifests/{tag}"));
        let put = put.with("Content-Type", kind).body(body.as_bytes()).send();
        assert_eq!(put.status, 201, "{put:?}");
        body.len() as u64
    }
}

/// A double with the projects `team` and `other`, and an account of each kind with the password
/// `secret`.
fn double() -> Harbor {
    let harbor = Harbor::start();
    let mut state = harbor.state();
    for (name, kind) in [
        ("developer", Kind::User(vec!["team".into()])),
        ("robot$system", Kind::SystemRobot),
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
