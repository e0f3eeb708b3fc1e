//! Pushes and pulls: what Harbor keeps from its registry, and what it enters into its books.

use std::fs;

use hyper::HeaderMap;
use hyper::header::{HeaderValue, LOCATION};
use serde_json::{Value, json};
use tranship_common::Repository;

use super::{State, digest_of, parameter};
use crate::front::{Answer, Request, Verdict};

/// A body of this size (bytes) is still on its way when Harbor has made up its mind.
const LONG_BODY: u64 = 64 << 10;

/// The longest name of a repository that the backend's file system takes.
const LONGEST_NAME: usize = 245;

/// What a request to the registry's API is about.
pub(super) struct Subject<'a> {
    pub(super) repository: &'a str,
    pub(super) project: &'a str,
    pub(super) kind: Endpoint,
    /// What comes behind `manifests/` or `blobs/`.
    pub(super) reference: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Manifest,
    Blob,
    Referrers,
    Tags,
}

impl<'a> Subject<'a> {
    pub(super) fn of(target: &'a str) -> Option<Self> {
        let path = target.strip_prefix("/v2/")?.split('?').next()?;
        let kinds = [
            ("/manifests/", Endpoint::Manifest),
            ("/blobs/", Endpoint::Blob),
            ("/referrers/", Endpoint::Referrers),
            ("/tags/", Endpoint::Tags),
        ];
        let (repository, reference, kind) = kinds.into_iter().find_map(|(word, kind)| {
            let (repository, reference) = path.split_once(word)?;
            Some((repository, reference, kind))
        })?;
        let project = repository.split('/').next()?;
        Some(Self { repository, project, kind, reference })
    }
}

impl State {
    /// Why Harbor does not pass a request on to its registry, if it does not.
    pub(super) fn refusal(&mut self, request: &Request, writes: bool) -> Option<Verdict> {
        let Some(subject) = Subject::of(&request.target) else {
            // The ping.
            return match self.login(request) {
                Ok(login) => login.is_anonymous().then(|| self.challenge(request, None)),
                Err(refusal) => Some(refusal),
            };
        };
        if let Some(refusal) = illegal(subject.repository, request) {
            return Some(refusal);
        }
        if writes && self.read_only {
            return Some(self.in_mid_body(request, read_only()));
        }
        let login = match self.login(request) {
            Ok(login) => login,
            Err(refusal) => return Some(refusal),
        };
        if !subject.repository.contains('/') && writes {
            return Some(no_repository(subject.repository));
        }
        if !self.projects.contains_key(subject.project) {
            return Some(no_project(subject.project));
        }
        let is_asked_who = request.header("authorization").is_none();
        let may = match request.method.as_str() {
            "DELETE" => login.may_delete(subject.project, self),
            _ => login.may(subject.repository, writes, self),
        };
        if is_asked_who || !may {
            return Some(self.challenge(request, Some(&subject)));
        }
        if let Some(from) = parameter(&request.target, "from") {
            let Some((project, _)) = from.split_once('/') else {
                return Some(no_repository(&from));
            };
            if !self.projects.contains_key(project) {
                return Some(no_project(project));
            }
            if !login.may(&from, false, self) {
                let words = format!("unauthorized to access repository: {from}, action: pull");
                return Some(Verdict::error(401, "UNAUTHORIZED", &words));
            }
        }
        if subject.kind == Endpoint::Referrers {
            return Some(self.referrers(&subject));
        }
        // The head of a blob is asked of Harbor's own books first.
        let is_head = request.method == "HEAD" && subject.kind == Endpoint::Blob;
        if is_head && !self.sizes.contains_key(subject.reference) {
            return Some(Verdict::status(404));
        }
        self.manifest_refusal(request, &subject).or_else(|| self.over_quota(request, &subject))
    }

    fn manifest_refusal(&self, request: &Request, subject: &Subject<'_>) -> Option<Verdict> {
        if !(request.method == "PUT" && subject.kind == Endpoint::Manifest) {
            return None;
        }
        if !self.config_is_json(&request.body) {
            return Some(Verdict::error(500, "UNKNOWN", "internal server error"));
        }
        let project = &self.projects[subject.project];
        if project.is_immutable(subject.repository, subject.reference) {
            let name = format!("{}:{}", subject.repository, subject.reference);
            let words =
                format!("Failed to process request due to '{name}' configured as immutable.");
            return Some(Verdict::error(412, "PRECONDITION", &words));
        }
        None
    }

    /// Harbor reads the config of each image, and fails at one that is no JSON object.
    fn config_is_json(&self, manifest: &[u8]) -> bool {
        let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
        let digest = manifest["config"]["digest"].as_str().unwrap_or_default();
        let Some(hex) = digest.strip_prefix("sha256:") else { return true };
        let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        match fs::read(self.storage.join(path)) {
            Ok(config) if config.is_empty() => true,
            Ok(config) => serde_json::from_slice::<Value>(&config).is_ok_and(|v| v.is_object()),
            Err(_) => true,
        }
    }

    /// Sees what the registry has answered: its own name goes into addresses, and what was stored
    /// into the books.
    pub(super) fn answered(&mut self, request: &Request, answer: &mut Answer) {
        rename_location(&mut answer.headers, &self.external_url);
        let Some(subject) = Subject::of(&request.target) else { return };
        self.enter(request, &subject, answer);
        if answer.status != 201 || subject.kind != Endpoint::Manifest {
            return;
        }
        let Some(project) = self.projects.get_mut(subject.project) else { return };
        let manifest = serde_json::from_slice(&request.body).unwrap_or_default();
        let digest = digest_of(&request.body);
        if project.store(subject.repository, subject.reference, &digest, &manifest) {
            let of = manifest["subject"]["digest"].as_str().unwrap_or_default();
            let value = HeaderValue::from_str(of).expect("a digest");
            answer.headers.insert("oci-subject", value);
        }
    }

    fn referrers(&self, subject: &Subject<'_>) -> Verdict {
        let found =
            self.projects[subject.project].accessories(subject.repository, subject.reference);
        let listed: Vec<Value> = found.iter().map(|digest| json!({"digest": digest})).collect();
        Verdict::json(200, &json!({"schemaVersion": 2, "manifests": listed}))
    }
}

impl State {
    /// A refusal of a body that is still on its way becomes a bad gateway.
    pub(super) fn in_mid_body(&self, request: &Request, refusal: Verdict) -> Verdict {
        let passes_through = request.body.is_empty();
        match passes_through && request.content_length() > LONG_BODY {
            true if self.without_proxy => Verdict::Early(Box::new(refusal)),
            true => Verdict::EarlyBehindProxy(Box::new(refusal)),
            false => refusal,
        }
    }
}

fn rename_location(headers: &mut HeaderMap, external_url: &str) {
    let path = headers.get(LOCATION).and_then(|value| {
        let value = value.to_str().ok()?;
        Some(value[value.find("/v2/")?..].to_owned())
    });
    if let Some(path) = path {
        let value = HeaderValue::from_str(&format!("{external_url}{path}")).expect("an address");
        headers.insert(LOCATION, value);
    }
}

/// Names that Harbor's router or its backend cannot take.
fn illegal(repository: &str, request: &Request) -> Option<Verdict> {
    if repository.len() > 255 {
        return Some(Verdict::error(500, "UNKNOWN", "unknown error"));
    }
    if repository.len() > LONGEST_NAME {
        return Some(Verdict::text(500, "application/json", "{}".into()));
    }
    if repository.parse::<Repository>().is_ok() {
        return None;
    }
    let words = format!("un-recognized request: {} {}", request.method, request.target);
    Some(Verdict::error(401, "UNAUTHORIZED", &words).with_header("www-authenticate", ""))
}

pub(super) fn read_only() -> Verdict {
    let words = "The system is in read only mode. Any modification is prohibited.";
    Verdict::error(403, "DENIED", words)
}

fn no_repository(name: &str) -> Verdict {
    let words = format!("bad request: invalid repository name: {name}");
    Verdict::error(400, "BAD_REQUEST", &words)
}

/// Whoever asks: a project that does not exist looks like one that is forbidden.
fn no_project(name: &str) -> Verdict {
    let words = format!("project {name} not found: project {name} not found");
    Verdict::error(401, "UNAUTHORIZED", &words).with_header("www-authenticate", "")
}
