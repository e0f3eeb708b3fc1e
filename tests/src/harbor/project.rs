//! A project: what it holds and what it may hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use serde_json::{Value, json};

use super::immutable::Immutable;
use super::policy::Policy;
use super::quota::references;
use crate::content::{DOCKER_CONFIG, OCI_CONFIG};

/// A manifest in a repository.
#[derive(Debug, Clone)]
struct Stored {
    subject: Option<String>,
    /// Digests of the manifests and blobs that it refers to.
    parts: Vec<String>,
    /// A scanner can look for vulnerabilities in it.
    is_image: bool,
}

/// A project.
#[derive(Debug, Default)]
pub struct Project {
    /// Anybody may pull.
    pub public: bool,
    /// Bytes that it may hold.
    pub limit: Option<u64>,
    /// Tags that never change once they are set.
    pub immutable: Vec<Immutable>,
    /// What keeps its images from being pulled.
    pub policy: Option<Policy>,
    /// It is a cache of another registry, and refuses pushes with this status: 403. Releases before
    /// 2.2 answered 405.
    pub proxy_cache: Option<u16>,
    /// When it was made, if it was made by a request.
    pub(super) made: Option<Instant>,
    /// The request that pushes into it now.
    pub(super) pushed_by: Option<u64>,
    /// The user who has made it, and may do everything in it.
    pub(super) maker: Option<String>,
    /// Blobs and manifests that it holds, with their sizes.
    held: HashMap<String, u64>,
    /// Bytes that its quota counts as used, whatever it holds.
    counted: u64,
    /// The part of it that requests have reserved that are under way, by their numbers.
    reserved: HashMap<u64, u64>,
    /// Digest by `REPOSITORY:TAG`, the project's name included.
    tags: BTreeMap<String, String>,
    /// By `REPOSITORY@DIGEST`.
    manifests: BTreeMap<String, Stored>,
    /// Digests of subjects by `REPOSITORY@DIGEST` of cosign's signatures that found theirs.
    signatures: BTreeMap<String, String>,
}

impl Project {
    /// One that anybody may pull from.
    #[must_use]
    pub fn public() -> Self {
        Self { public: true, ..Self::default() }
    }

    /// One that may hold so many bytes.
    #[must_use]
    pub fn limited(limit: u64) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// Bytes that it uses, as Harbor's summary says it: what it holds, what was reserved and never
    /// given back, and what was counted more than once.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.counted
    }

    /// Bytes that it uses whatever becomes of the requests under way.
    pub(super) fn settled(&self) -> u64 {
        self.counted - self.reserved.values().sum::<u64>()
    }

    /// Counts so many bytes too much, as Harbor does that was killed in the middle of pushes.
    pub fn miscount(&mut self, bytes: u64) {
        self.counted += bytes;
    }

    /// Bytes that it really holds, each blob and manifest once.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.held.values().sum()
    }

    /// Digests by `REPOSITORY:TAG`, the project's name included.
    #[must_use]
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// Repositories that have a manifest, the project's name included.
    #[must_use]
    pub fn repositories(&self) -> BTreeSet<String> {
        let keys = self.manifests.keys().filter_map(|key| key.split_once('@'));
        keys.map(|(repository, _)| repository.to_owned()).collect()
    }

    /// The accessories of an image, by digest: referrers and signatures.
    #[must_use]
    pub fn accessories(&self, repository: &str, digest: &str) -> Vec<String> {
        let in_repository = |key: &str| {
            key.strip_prefix(repository).and_then(|rest| rest.strip_prefix('@')).map(str::to_owned)
        };
        let referrers = self
            .manifests
            .iter()
            .filter(|(_, stored)| stored.subject.as_deref() == Some(digest))
            .map(|(key, _)| key);
        let signatures = self.signatures.iter().filter(|(_, of)| *of == digest).map(|(key, _)| key);
        referrers.chain(signatures).filter_map(|key| in_repository(key)).collect()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.pushed_by.is_some()
    }

    pub(super) fn holds(&self, digest: &str) -> bool {
        self.held.contains_key(digest)
    }

    /// Reserves so many bytes for a request, if there is room.
    pub(super) fn reserve(&mut self, request: u64, size: u64) -> bool {
        let fits = size == 0 || self.limit.is_none_or(|limit| self.counted + size <= limit);
        if fits && size > 0 {
            self.counted += size;
            self.reserved.insert(request, size);
        }
        fits
    }

    /// What a request has reserved stays counted.
    pub(super) fn keep_reserved(&mut self, request: u64) {
        self.reserved.remove(&request);
    }

    /// A request is over: what it has reserved and not used is given back.
    pub(super) fn done(&mut self, request: u64) {
        self.counted -= self.reserved.remove(&request).unwrap_or(0);
        if self.pushed_by == Some(request) {
            self.pushed_by = None;
        }
    }

    pub(super) fn hold(&mut self, digest: &str, size: u64) {
        self.held.insert(digest.to_owned(), size);
    }

    /// Counts what it holds anew.
    pub(super) fn recount(&mut self) {
        self.reserved.clear();
        self.counted = self.held_bytes();
    }

    /// Enters a manifest. Returns whether its subject is there.
    pub(super) fn store(
        &mut self,
        repository: &str,
        reference: &str,
        digest: &str,
        manifest: &Value,
    ) -> bool {
        let key = format!("{repository}@{digest}");
        let subject = manifest["subject"]["digest"].as_str().map(str::to_owned);
        let is_there = |of: &str| self.manifests.contains_key(&format!("{repository}@{of}"));
        let linked = subject.as_deref().is_some_and(is_there);
        // A signature that comes before its image stays an image of its own.
        let signed = reference
            .strip_prefix("sha256-")
            .and_then(|rest| rest.strip_suffix(".sig"))
            .map(|hex| format!("sha256:{hex}"));
        if let Some(of) = signed.filter(|of| is_there(of)) {
            self.signatures.insert(key.clone(), of);
        }
        let config = manifest["config"]["mediaType"].as_str().unwrap_or_default();
        let is_image =
            [DOCKER_CONFIG, OCI_CONFIG].contains(&config) || manifest["manifests"].is_array();
        let parts = references(manifest).into_iter().map(|(digest, _)| digest).collect();
        self.manifests.insert(key, Stored { subject, parts, is_image });
        if !reference.contains(':') {
            self.set_tag(repository, reference, digest);
        }
        linked
    }

    pub(super) fn set_tag(&mut self, repository: &str, tag: &str, digest: &str) {
        self.tags.insert(format!("{repository}:{tag}"), digest.to_owned());
    }

    /// The digest of a manifest that is named by a tag or a digest.
    pub(super) fn find(&self, repository: &str, reference: &str) -> Option<String> {
        if reference.contains(':') {
            let is_there = self.manifests.contains_key(&format!("{repository}@{reference}"));
            return is_there.then(|| reference.to_owned());
        }
        self.tags.get(&format!("{repository}:{reference}")).cloned()
    }

    /// Whether a scanner can look into a manifest.
    pub(super) fn is_image(&self, repository: &str, digest: &str) -> bool {
        self.manifests.get(&format!("{repository}@{digest}")).is_some_and(|stored| stored.is_image)
    }

    /// Whether cosign has signed a manifest, or it is such a signature itself.
    pub(super) fn is_signed(&self, repository: &str, digest: &str) -> bool {
        let mut signed = self.signatures.iter();
        signed.any(|(key, of)| {
            key.strip_prefix(repository).is_some_and(|rest| {
                rest.strip_prefix('@').is_some_and(|own| own == digest || of == digest)
            })
        })
    }

    /// Whether a tag may not be set (again).
    pub(super) fn is_immutable(&self, repository: &str, tag: &str) -> bool {
        let name = repository.split_once('/').map_or(repository, |(_, name)| name);
        self.tags.contains_key(&format!("{repository}:{tag}"))
            && self.immutable.iter().any(|rule| rule.names(name, tag))
    }

    pub(super) fn summary(&self, without_quota: bool) -> Value {
        if without_quota {
            return json!({"repo_count": 1});
        }
        json!({"quota": self.quota()})
    }

    /// What it may hold and what it uses.
    pub(super) fn quota(&self) -> Value {
        let hard = self.limit.map_or(json!(-1), |limit| json!(limit));
        json!({"hard": {"storage": hard}, "used": {"storage": self.used()}})
    }

    /// Whether a manifest of a repository is this, or refers to it.
    pub(super) fn uses(&self, repository: &str, digest: &str) -> bool {
        self.manifests.iter().any(|(key, stored)| {
            key.split_once('@').is_some_and(|(of, own)| {
                of == repository && (own == digest || stored.parts.iter().any(|p| p == digest))
            })
        })
    }

    /// The artifacts of a repository, each with its tags, or the one with this tag. Accessories are
    /// left out.
    pub(super) fn artifacts(&self, repository: &str, tag: Option<&str>) -> Vec<Value> {
        let mut by_digest: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (tag, digest) in self.tags_of(repository) {
            by_digest.entry(digest).or_default().push(json!({"name": tag}));
        }
        by_digest
            .into_iter()
            .filter(|(digest, _)| !self.is_accessory(repository, digest))
            .filter(|(_, tags)| tag.is_none_or(|tag| tags.iter().any(|have| have["name"] == tag)))
            .map(|(digest, tags)| json!({"digest": digest, "tags": tags}))
            .collect()
    }

    fn is_accessory(&self, repository: &str, digest: &str) -> bool {
        let key = format!("{repository}@{digest}");
        let subject = self.manifests.get(&key).and_then(|stored| stored.subject.as_ref());
        let is_there =
            |subject: &String| self.manifests.contains_key(&format!("{repository}@{subject}"));
        subject.is_some_and(is_there) || self.signatures.contains_key(&key)
    }

    pub(super) fn tags_of<'a>(
        &'a self,
        repository: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.tags.iter().filter_map(move |(name, digest)| {
            let tag = name.strip_prefix(repository)?.strip_prefix(':')?;
            Some((tag, digest.as_str()))
        })
    }
}
