//! Pushes and pulls: what Harbor keeps from its registry, and what it enters into its books.

use std::fs;

use hyper::HeaderMap;
use hyper::header::{HeaderValue, LOCATION};
use serde_json::{Value, json};

use super::accounts::{Kind, Login};
use super::names::{illegal, no_project, no_repository};
use super::{State, digest_of};
use crate::front::{Answer, Request, Verdict};

/// A body of this size (bytes) is still on its way when Harbor has made up its mind.
const LONG_BODY: u64 = 64 << 10;

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
        // The last of these words ends the name, whose parts may be such words themselves.
        let found = kinds.into_iter().filter_map(|(word, kind)| {
            let (repository, reference) = path.rsplit_once(word)?;
            Some((repository, reference, kind))
        });
        let (repository, reference, kind) =
            found.max_by_key(|(repository, _, _)| repository.len())?;
        let project = repository.split('/').next()?;
        Some(Self { repository, project, kind, reference })
    }
}

impl State {
    /// Why Harbor does not pass a request on to its registry, if it does not.
    pub(super) fn refusal(&mut self, request: &Request, writes: bool) -> Option<Verdict> {
        let Some(subject) = Subject::of(&request.target) else {
            return self.ping_or_catalog(request);
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
        if let Some(from) = request.parameter("from") {
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
        match subject.kind {
            Endpoint::Referrers => return Some(self.referrers(&subject)),
            Endpoint::Tags => return Some(self.tags(request, &subject)),
            Endpoint::Manifest | Endpoint::Blob => {}
        }
        // The head of a blob is asked of Harbor's own books first.
        let is_head = request.method == "HEAD" && subject.kind == Endpoint::Blob;
        if is_head && !self.sizes.contains_key(subject.reference) {
            return Some(Verdict::status(404));
        }
        self.push_refusal(request, &subject).or_else(|| self.over_quota(request, &subject))
    }

    fn ping_or_catalog(&mut self, request: &Request) -> Option<Verdict> {
        let login = match self.login(request) {
            Ok(login) => login,
            Err(refusal) => return Some(refusal),
        };
        let is_catalog = request.target.starts_with("/v2/_catalog");
        match login {
            Login::Anonymous => Some(self.challenge(request, None)),
            Login::Account { kind: Kind::Administrator, .. } if is_catalog => {
                Some(self.catalog(request))
            }
            // Tokens are of no use there.
            _ if is_catalog => Some(Verdict::error(
                401,
                "UNAUTHORIZED",
                "unauthorized to list catalog: unauthorized to list catalog",
            )),
            _ => None,
        }
    }

    fn push_refusal(&self, request: &Request, subject: &Subject<'_>) -> Option<Verdict> {
        let project = &self.projects[subject.project];
        let puts_manifest = request.method == "PUT" && subject.kind == Endpoint::Manifest;
        if let Some(status) = project.proxy_cache
            && (puts_manifest || request.method == "POST")
        {
            let code = if status == 405 { "METHOD_NOT_ALLOWED" } else { "DENIED" };
            let words = format!("can not push artifact to a proxy project: {}", subject.project);
            return Some(Verdict::error(status, code, &words));
        }
        if !puts_manifest {
            return None;
        }
        if !self.config_is_json(&request.body) {
            return Some(Verdict::error(500, "UNKNOWN", "internal server error"));
        }
        if let Some(blob) = listed_blob(&request.body) {
            let words = format!("artifact {}@{blob} not found", subject.repository);
            return Some(Verdict::error(404, "NOT_FOUND", &words));
        }
        if project.is_immutable(subject.repository, subject.reference) {
            let (_, name) = subject.repository.split_once('/').unwrap_or_default();
            let words = format!(
                "Failed to process request due to '{name}:{}' configured as immutable.",
                subject.reference
            );
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
        let tag = self.pushed_as.remove(&request.number);
        let Some(subject) = Subject::of(&request.target) else { return };
        self.enter(request, &subject, answer);
        if answer.status != 201 || subject.kind != Endpoint::Manifest {
            return;
        }
        let Some(project) = self.projects.get_mut(subject.project) else { return };
        let manifest = serde_json::from_slice(&request.body).unwrap_or_default();
        // Of schema 1 it is not that of the body.
        let named = answer.headers.get("docker-content-digest").and_then(|name| name.to_str().ok());
        let digest = named.map_or_else(|| digest_of(&request.body), str::to_owned);
        let reference = tag.as_deref().unwrap_or(subject.reference);
        if project.store(subject.repository, reference, &digest, &manifest) {
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

/// What an index lists that is no manifest, as BuildKit's caches do: Harbor looks it up among its
/// artifacts in vain.
fn listed_blob(manifest: &[u8]) -> Option<String> {
    let manifest: Value = serde_json::from_slice(manifest).ok()?;
    let is_blob = |child: &&Value| {
        let media_type = child["mediaType"].as_str().unwrap_or_default();
        media_type.contains(".layer.") || media_type.contains(".buildkit.")
    };
    let blob = manifest["manifests"].as_array()?.iter().find(is_blob)?;
    blob["digest"].as_str().map(str::to_owned)
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

pub(super) fn read_only() -> Verdict {
    let words = "The system is in read only mode. Any modification is prohibited.";
    Verdict::error(403, "DENIED", words)
}
