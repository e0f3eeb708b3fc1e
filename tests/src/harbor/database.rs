//! What Harbor knows by itself: which tags and manifests there are. Its registry is asked for
//! manifests by digest only, and from version 2.15 on is given them so too.

use serde_json::{Value, json};

use super::images::{Endpoint, Subject};
use super::{State, digest_of};
use crate::front::{Request, Verdict};

impl State {
    /// Answers a question about a manifest, or makes it one about a digest.
    pub(super) fn find_manifest(&self, request: &mut Request) -> Option<Verdict> {
        let subject = Subject::of(&request.target)?;
        if subject.kind != Endpoint::Manifest || !matches!(request.method.as_str(), "GET" | "HEAD")
        {
            return None;
        }
        let (repository, reference) = (subject.repository, subject.reference);
        let project = self.projects.get(subject.project)?;
        let Some(digest) = project.find(repository, reference) else {
            let words = format!("artifact {repository}:{reference} not found");
            return Some(Verdict::error(404, "NOT_FOUND", &words));
        };
        let refusal = project.policy_refusal(repository, &digest);
        request.target = format!("/v2/{repository}/manifests/{digest}");
        refusal
    }

    /// From version 2.15 on the registry gets no tags.
    pub(super) fn keep_tag(&mut self, request: &mut Request) {
        let Some(subject) = Subject::of(&request.target) else { return };
        let is_push = subject.kind == Endpoint::Manifest && request.method == "PUT";
        if !is_push || self.minor_version() < 15 {
            return;
        }
        let target = format!("/v2/{}/manifests/{}", subject.repository, digest_of(&request.body));
        self.pushed_as.insert(request.number, subject.reference.to_owned());
        request.target = target;
    }

    /// `tags/list`.
    pub(super) fn tags(&self, request: &Request, subject: &Subject<'_>) -> Verdict {
        let project = &self.projects[subject.project];
        if !project.repositories().contains(subject.repository) {
            let words = format!("repository {} not found", subject.repository);
            return Verdict::error(404, "NOT_FOUND", &words);
        }
        let tags = project.tags_of(subject.repository).map(|(tag, _)| tag.to_owned()).collect();
        names(request, tags, |tags| json!({"name": subject.repository, "tags": tags}))
    }

    /// All repositories that have a manifest.
    pub(super) fn catalog(&self, request: &Request) -> Verdict {
        let all = self.projects.values().flat_map(super::Project::repositories).collect();
        names(request, all, |names| json!({"repositories": names}))
    }
}

/// `n` names behind the one that was the last.
fn names(request: &Request, mut all: Vec<String>, shown: impl Fn(&[String]) -> Value) -> Verdict {
    all.sort();
    if let Some(last) = request.parameter("last") {
        all.retain(|name| *name > last);
    }
    let Some(asked) = request.parameter("n") else { return Verdict::json(200, &shown(&all)) };
    let Ok(count) = asked.parse::<usize>() else {
        return Verdict::error(400, "BAD_REQUEST", "the N must be a positive int type");
    };
    let listed = &all[..count.min(all.len())];
    let answer = Verdict::json(200, &shown(listed));
    match listed.last() {
        Some(last) if listed.len() < all.len() => {
            let path = request.target.split('?').next().unwrap_or_default();
            answer.with_header("link", &format!("<{path}?last={last}&n={count}>; rel=\"next\""))
        }
        _ => answer,
    }
}
