//! Harbor's books: what a request is charged, and what a project comes to hold.
//!
//! A request reserves what it would bring before it is passed on, and gives it back unless the
//! registry says that all went well. Harbor takes any answer below 400 for that: a mount that is
//! answered 202 has brought nothing, and its room is never given back. What two requests bring at
//! the same time both reserve.

use hyper::header::HeaderMap;
use serde_json::Value;

use super::images::{Endpoint, Subject};
use super::{Project, State, digest_of, stored};
use crate::front::{Answer, Request, Verdict};

impl State {
    /// Reserves what a request would bring into its project, or refuses the request.
    pub(super) fn over_quota(
        &mut self,
        request: &Request,
        subject: &Subject<'_>,
    ) -> Option<Verdict> {
        if self.quotas_off {
            return None;
        }
        let gain = self.gain(request, subject);
        let project = self.projects.get_mut(subject.project)?;
        if project.reserve(request.number, gain) {
            return None;
        }
        let words = format!(
            "adding {} of storage resource, which when updated to current usage of {} will exceed \
             the configured upper limit of {}.",
            in_kib(gain),
            in_kib(project.used()),
            in_kib(project.limit.unwrap_or(0)),
        );
        Some(self.in_mid_body(request, Verdict::error(403, "DENIED", &words)))
    }

    /// How many bytes a request would add to its project.
    fn gain(&self, request: &Request, subject: &Subject<'_>) -> u64 {
        let Some(project) = self.projects.get(subject.project) else { return 0 };
        let brought = self.brought(request, subject);
        // A manifest that is there has brought all that it needs.
        if brought.last().is_some_and(|(digest, _)| project.holds(digest)) {
            return 0;
        }
        brought.iter().filter(|(digest, _)| !project.holds(digest)).map(|(_, size)| size).sum()
    }

    /// Digests and sizes of what a request would bring; a manifest comes after all that it names.
    fn brought(&self, request: &Request, subject: &Subject<'_>) -> Vec<(String, u64)> {
        match (request.method.as_str(), subject.kind) {
            ("PUT", Endpoint::Manifest) => {
                let manifest = serde_json::from_slice(&request.body).unwrap_or_default();
                let mut all = references(&manifest);
                all.push((digest_of(&request.body), stored(&request.body).len() as u64));
                all
            }
            ("PUT", Endpoint::Blob) => {
                let sent = request.content_length();
                let session = subject.reference.trim_start_matches("uploads/");
                let size = if sent == 0 { self.accepted(session) } else { sent };
                request.parameter("digest").map(|digest| (digest, size)).into_iter().collect()
            }
            // Whether the repository to mount from has the blob is not looked at.
            ("POST", Endpoint::Blob) => request
                .parameter("mount")
                .and_then(|digest| self.sizes.get_key_value(&digest))
                .map(|(digest, size)| (digest.clone(), *size))
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }

    fn accepted(&self, session: &str) -> u64 {
        self.accepted.get(session).copied().unwrap_or(0)
    }

    /// Enters what the registry has taken.
    pub(super) fn enter(&mut self, request: &Request, subject: &Subject<'_>, answer: &mut Answer) {
        if answer.status == 202 && request.method == "PATCH" {
            self.accepted.extend(progress(&answer.headers));
        }
        let brought = self.brought(request, subject);
        // A blob that was placed into the storage by hand can be mounted by the registry only.
        if answer.status == 201 && request.method == "POST" && brought.is_empty() {
            answer.status = hyper::StatusCode::NOT_FOUND;
        }
        let Some(project) = self.projects.get_mut(subject.project) else { return };
        if answer.status.is_success() {
            project.keep_reserved(request.number);
        }
        if answer.status == 201 {
            for (digest, size) in brought {
                let size = *self.sizes.entry(digest.clone()).or_insert(size);
                project.hold(&digest, size);
            }
        }
    }

    /// Sets the quotas right, as an administrator can ask for.
    pub(super) fn sync_quotas(&mut self) {
        self.projects.values_mut().for_each(Project::recount);
    }
}

/// What a manifest refers to, except for layers that are elsewhere.
pub(super) fn references(manifest: &Value) -> Vec<(String, u64)> {
    let of = |field: &str| manifest[field].as_array().cloned().unwrap_or_default();
    let is_foreign = |descriptor: &Value| {
        let media_type = descriptor["mediaType"].as_str().unwrap_or_default();
        media_type.contains("foreign") || media_type.contains("nondistributable")
    };
    [vec![manifest["config"].clone()], of("layers"), of("manifests"), of("fsLayers")]
        .concat()
        .iter()
        .filter(|descriptor| !is_foreign(descriptor))
        .filter_map(|descriptor| {
            // Layers of schema 1 tell no size; they were pushed before, and Harbor remembers it.
            let digest = descriptor["digest"].as_str().or(descriptor["blobSum"].as_str())?;
            Some((digest.to_owned(), descriptor["size"].as_u64().unwrap_or(0)))
        })
        .collect()
}

/// The upload session of an answer and how many bytes it has taken.
fn progress(headers: &HeaderMap) -> Option<(String, u64)> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let last: u64 = text("range")?.split_once('-')?.1.parse().ok()?;
    Some((text("docker-upload-uuid")?.to_owned(), last + 1))
}

/// As Harbor writes sizes.
fn in_kib(bytes: u64) -> String {
    format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024)
}
