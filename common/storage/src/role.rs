//! What a blob is to a manifest that needs it, in words.

use std::collections::HashMap;

use serde::Deserialize;
use tranship_common::{Digest, Manifest};

use crate::scan::Scan;
use crate::source::{Source, manifest_bytes};

/// Tells of missing blobs what they are to those that need them. What it has read of an index it
/// keeps: all of its children may be missing.
pub(crate) struct Roles<'a> {
    source: &'a dyn Source,
    scan: &'a Scan,
    /// The children of indexes, each with the platform that it is listed for.
    children: HashMap<Digest, HashMap<Digest, Option<String>>>,
}

impl<'a> Roles<'a> {
    pub(crate) fn new(source: &'a dyn Source, scan: &'a Scan) -> Self {
        Self { source, scan, children: HashMap::new() }
    }

    /// `; it is the config of sha256:…`. Empty for what only tags need.
    pub(crate) fn of(&mut self, node: u32) -> String {
        let user = self.scan.graph().users(node).first();
        let Some(manifest) = user.and_then(|user| self.scan.manifest(*user)) else {
            return String::new();
        };
        let (digest, of) = (self.scan.digest(node), manifest.digest());
        if manifest.config().is_some_and(|config| config.digest == digest) {
            return format!("; it is the config of {of}");
        }
        let source = self.source;
        let children = self.children.entry(of).or_insert_with(|| children(source, manifest));
        match children.get(&digest) {
            Some(Some(platform)) => format!("; it is the child for {platform} of index {of}"),
            Some(None) => format!("; it is a child of index {of}"),
            None => format!("; it is a layer of {of}"),
        }
    }
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Child>,
}

#[derive(Deserialize)]
struct Child {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// The children of an index with their platforms; none of what is no index.
fn children(source: &dyn Source, manifest: &Manifest) -> HashMap<Digest, Option<String>> {
    let children = manifest.children().iter();
    let mut platforms: HashMap<_, _> = children.map(|child| (child.digest, None)).collect();
    if platforms.is_empty() {
        return platforms;
    }
    let digest = manifest.digest();
    let raw = source.open(digest).and_then(|bytes| manifest_bytes(bytes, digest));
    let index: Option<Index> = raw.ok().and_then(|raw| serde_json::from_slice(&raw).ok());
    for listed in index.into_iter().flat_map(|index| index.manifests) {
        let known = listed.digest.parse().ok().and_then(|digest| platforms.get_mut(&digest));
        if let (Some(known), Some(platform)) = (known, listed.platform) {
            known.get_or_insert_with(|| platform.in_words());
        }
    }
    platforms
}

impl Platform {
    fn in_words(self) -> String {
        let Self { os, architecture, variant } = self;
        match variant.filter(|variant| !variant.is_empty()) {
            Some(variant) => format!("{os}/{architecture}/{variant}"),
            None => format!("{os}/{architecture}"),
        }
    }
}
