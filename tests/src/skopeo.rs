//! skopeo, the independent witness.

use std::process::{Command, Stdio};

use tranship_common::Digest;

use crate::programs::{Finished, Run};

/// Runs skopeo with these arguments.
#[track_caller]
pub fn skopeo(arguments: &[&str]) -> Finished {
    let mut command = Command::new("skopeo");
    command.arg("--insecure-policy").args(arguments).stdin(Stdio::null());
    command.run()
}

/// The exact bytes of what a registry or an archive has under a name.
#[track_caller]
#[must_use]
pub fn raw(place: &str) -> String {
    let mut arguments = vec!["inspect", "--raw"];
    if place.starts_with("docker://") {
        arguments.push("--tls-verify=false");
    }
    arguments.push(place);
    skopeo(&arguments).ok().stdout
}

/// The digest of a tag in a registry, or `None` where there is none.
#[must_use]
pub fn tag_digest(address: &str, name: &str) -> Option<Digest> {
    let place = format!("docker://{address}/{name}");
    let inspected = skopeo(&["inspect", "--raw", "--tls-verify=false", &place]);
    match inspected.code {
        Some(0) => Some(Digest::of(inspected.stdout.as_bytes())),
        _ => {
            let missing = ["manifest unknown", "name unknown"];
            let said = &inspected.stderr;
            assert!(missing.iter().any(|text| said.contains(text)), "skopeo: {said}");
            None
        }
    }
}
