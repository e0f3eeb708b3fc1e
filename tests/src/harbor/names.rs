//! Names that Harbor does not take, and what it says of them.

use tranship_common::Repository;

use crate::front::{Request, Verdict};

/// The longest name of a repository that the backend's file system takes.
const LONGEST_NAME: usize = 245;

/// Parts of a name that Harbor's routes take for their own words.
const OWN_WORDS: [&str; 4] = ["blobs", "manifests", "tags", "referrers"];

/// Why Harbor's router or its backend cannot take the name of a repository.
pub(super) fn illegal(repository: &str, request: &Request) -> Option<Verdict> {
    if repository.len() > 255 {
        return Some(Verdict::error(500, "UNKNOWN", "unknown error"));
    }
    if repository.len() > LONGEST_NAME {
        return Some(Verdict::text(500, "application/json", "{}".into()));
    }
    if repository.parse::<Repository>().is_err() {
        let words = format!("un-recognized request: {} {}", request.method, request.target);
        return Some(
            Verdict::error(401, "UNAUTHORIZED", &words).with_header("www-authenticate", ""),
        );
    }
    // Seen on a running Harbor: 400, or the answer of another endpoint.
    let below_project = repository.split('/').skip(1);
    let is_taken_apart = below_project.into_iter().any(|part| OWN_WORDS.contains(&part));
    is_taken_apart.then(|| no_repository(repository))
}

/// A repository outside of all projects.
pub(super) fn no_repository(name: &str) -> Verdict {
    let words = format!("bad request: invalid repository name: {name}");
    Verdict::error(400, "BAD_REQUEST", &words)
}

/// Whoever asks: a project that does not exist looks like one that is forbidden.
pub(super) fn no_project(name: &str) -> Verdict {
    let words = format!("project {name} not found: project {name} not found");
    Verdict::error(401, "UNAUTHORIZED", &words).with_header("www-authenticate", "")
}

/// Harbor's own rule for names of projects.
pub(super) fn is_legal_project(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let parts: Vec<&str> = name.split(['.', '_', '-']).collect();
    parts.iter().all(|part| !part.is_empty() && part.chars().all(alphanumeric))
}
