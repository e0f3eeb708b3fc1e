//! Registries that answer a push otherwise than Distribution does, as fronts before one.
//!
//! Each switch is a way to answer that some registry was seen to have; they can be combined:
//! `Dialect { mounts: Mounts::Ignored, ..Dialect::quay() }`.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::StatusCode;

use crate::front::{Answer, Front, Judge, Request, Verdict};
use crate::http::Ask;

/// What becomes of `POST …/blobs/uploads/?mount=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounts {
    /// As Distribution does it.
    Done,
    /// The parameters are not looked at: always 202 and an upload session.
    Ignored,
    /// Always this status, 400 or more, and no session.
    Refused(u16),
}

/// How a registry answers a push. The default is Distribution's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// The status of GET and HEAD of a manifest that is not there. Artifactory: 403, where a virtual
    /// repository stands before one that the user may not read.
    pub missing_manifest: u16,
    /// Each HEAD of a manifest is refused with this status: 405 where only GET is known.
    pub head_refused: Option<u16>,
    /// HEAD of a manifest has `Docker-Content-Digest`, which the specification does not demand.
    pub head_names_digest: bool,
    /// GET of a manifest has it.
    pub get_names_digest: bool,
    /// What becomes of mounts.
    pub mounts: Mounts,
    /// The status of a manifest's PUT that went well: 201; 200 and 202 elsewhere.
    pub manifest_taken: u16,
    /// A PUT with a body into an upload session is refused with this status: only PATCH, then PUT
    /// without one, is taken.
    pub whole_upload_refused: Option<u16>,
    /// The status of a PATCH that went well.
    pub patch_taken: u16,
    /// `_catalog` is refused with this status, as Docker Hub does with 401.
    pub catalog_refused: Option<u16>,
    /// The repositories that were made beforehand, where a push makes none.
    pub repositories: Option<BTreeSet<String>>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            missing_manifest: 404,
            head_refused: None,
            head_names_digest: true,
            get_names_digest: true,
            mounts: Mounts::Done,
            manifest_taken: 201,
            whole_upload_refused: None,
            patch_taken: 202,
            catalog_refused: None,
            repositories: None,
        }
    }
}

impl Dialect {
    /// Quay, which long answered 202 to manifests.
    #[must_use]
    pub fn quay() -> Self {
        Self { manifest_taken: 202, ..Self::default() }
    }

    /// Artifactory: 403 for tags that are not there yet, and no digest in the heads of manifests.
    #[must_use]
    pub fn artifactory() -> Self {
        Self { missing_manifest: 403, head_names_digest: false, ..Self::default() }
    }

    /// ECR with these repositories: a push makes none, and nothing is mounted unless that was
    /// switched on; GET of a manifest has no digest, a PATCH is answered 201.
    #[must_use]
    pub fn ecr(repositories: &[&str]) -> Self {
        Self {
            get_names_digest: false,
            mounts: Mounts::Ignored,
            patch_taken: 201,
            repositories: Some(repositories.iter().map(|&name| name.to_owned()).collect()),
            ..Self::default()
        }
    }

    /// A front before `upstream` (host and port) that answers in this way.
    #[must_use]
    pub fn front(self, upstream: String) -> Front {
        let judge = Speaker { dialect: self, upstream: upstream.clone() };
        Front::with(upstream, Arc::new(judge), None)
    }
}

struct Speaker {
    dialect: Dialect,
    upstream: String,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Manifest,
    Upload,
    Catalog,
    Else,
}

fn about(request: &Request) -> About {
    let path = request.target.split('?').next().unwrap_or_default();
    match path {
        "/v2/_catalog" => About::Catalog,
        _ if path.contains("/blobs/uploads/") => About::Upload,
        _ if path.contains("/manifests/") => About::Manifest,
        _ => About::Else,
    }
}

/// Whether a body is announced, of a known size or in chunks.
fn has_body(request: &Request) -> bool {
    request.content_length() > 0 || request.header("transfer-encoding").is_some()
}

impl Speaker {
    fn refusal(&self, request: &mut Request) -> Option<Verdict> {
        let dialect = &self.dialect;
        let about = about(request);
        if let Some(refusal) = self.unknown_repository(request) {
            return Some(refusal);
        }
        match (request.method.as_str(), about) {
            ("GET", About::Catalog) => dialect.catalog_refused.map(|status| {
                refused(status, "UNAUTHORIZED", "the catalog is not for this account")
            }),
            ("HEAD", About::Manifest) if dialect.head_refused.is_some() => {
                dialect.head_refused.map(Verdict::status)
            }
            ("HEAD" | "GET", About::Manifest)
                if dialect.missing_manifest != 404 && self.is_missing(request) =>
            {
                let words = "The client does not have permission for manifest";
                Some(refused(dialect.missing_manifest, "UNAUTHORIZED", words))
            }
            ("POST", About::Upload) if request.parameter("mount").is_some() => match dialect.mounts
            {
                Mounts::Done => None,
                Mounts::Refused(status) => {
                    Some(refused(status, "UNSUPPORTED", "blobs are not mounted here"))
                }
                Mounts::Ignored => {
                    let end = request.target.find('?').unwrap_or(request.target.len());
                    request.target.truncate(end);
                    None
                }
            },
            ("PUT", About::Upload) if has_body(request) => dialect
                .whole_upload_refused
                .map(|status| refused(status, "UNSUPPORTED", "a blob is sent in pieces by PATCH")),
            _ => None,
        }
    }

    fn unknown_repository(&self, request: &Request) -> Option<Verdict> {
        let known = self.dialect.repositories.as_ref()?;
        let path = request.target.strip_prefix("/v2/")?;
        let ends =
            ["/manifests/", "/blobs/", "/tags/"].into_iter().filter_map(|word| path.rfind(word));
        let name = &path[..ends.max()?];
        let words =
            format!("The repository with name '{name}' does not exist in the registry with id '1'");
        (!known.contains(name)).then(|| Verdict::error(404, "NAME_UNKNOWN", &words))
    }

    /// Asks the registry itself.
    fn is_missing(&self, request: &Request) -> bool {
        let mut ask = Ask::new(&format!("http://{}", self.upstream), "HEAD", &request.target);
        for name in ["accept", "authorization"] {
            for value in request.headers.get_all(name) {
                ask = ask.with(name, value.to_str().unwrap_or_default());
            }
        }
        ask.send().status == 404
    }
}

impl Judge for Speaker {
    fn judge(&self, request: &mut Request) -> Verdict {
        self.refusal(request).unwrap_or(Verdict::Forward)
    }

    fn answered(&self, request: &Request, answer: &mut Answer) {
        let dialect = &self.dialect;
        let status = |status| StatusCode::from_u16(status).expect("a status of HTTP");
        match (request.method.as_str(), about(request)) {
            ("PUT", About::Manifest) if answer.status == 201 => {
                answer.status = status(dialect.manifest_taken);
            }
            ("PATCH", About::Upload) if answer.status == 202 => {
                answer.status = status(dialect.patch_taken);
            }
            ("HEAD", About::Manifest) if !dialect.head_names_digest => hide_digest(answer),
            ("GET", About::Manifest) if !dialect.get_names_digest => hide_digest(answer),
            _ => {}
        }
    }
}

/// The digest stands in the entity tag too.
fn hide_digest(answer: &mut Answer) {
    answer.headers.remove("docker-content-digest");
    answer.headers.remove("etag");
}

/// A refusal; one for lack of rights asks for credentials.
fn refused(status: u16, code: &str, words: &str) -> Verdict {
    let refusal = Verdict::error(status, code, words);
    match status {
        401 => refusal.with_header("www-authenticate", "Basic realm=\"registry\""),
        _ => refusal,
    }
}
