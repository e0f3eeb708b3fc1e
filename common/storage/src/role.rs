//! What a blob is to a manifest that needs it, in words.

use std::collections::HashMap;

use serde::Deserialize;
use tranship_common::{Digest, Manifest};

use crate::problem::Problem;
use crate::scan::Scan;
use crate::small::read_small;
use crate::source::Source;

/// Tells of missing blobs what they are to those that need them.
pub(crate) struct Roles<'a> {
    scan: &'a Scan,
    /// The children of indexes, each with the platform that it is listed for.
    children: HashMap<Digest, HashMap<Digest, Option<String>>>,
}

impl<'a> Roles<'a> {
    /// Reads the indexes of which children are missing, all at once.
    pub(crate) fn new(source: &dyn Source, scan: &'a Scan) -> Self {
        let missing =
            scan.faults().iter().filter(|fault| matches!(fault.problem, Problem::Missing));
        let users = missing.filter_map(|fault| user(scan, fault.node));
        let indexes = users.filter(|manifest| !manifest.children().is_empty());
        let mut children: HashMap<_, _> =
            indexes.map(|index| (index.digest(), HashMap::new())).collect();
        let mut raw = read_small(source, children.keys().copied().collect());
        for (index, children) in &mut children {
            let manifest = scan.find(*index).and_then(|node| scan.manifest(node));
            let mut platforms = platforms(&raw.remove(index).unwrap_or_default());
            for child in manifest.map(Manifest::children).unwrap_or_default() {
                let platform = || platforms.remove(&child.digest);
                children.entry(child.digest).or_insert_with(platform);
            }
        }
        Self { scan, children }
    }

    /// `; it is the config of sha256:…`. Empty for what only tags need.
    pub(crate) fn of(&self, node: u32) -> String {
        let Some(manifest) = user(self.scan, node) else { return String::new() };
        let (digest, of) = (self.scan.digest(node), manifest.digest());
        if manifest.config().is_some_and(|config| config.digest == digest) {
            return format!("; it is the config of {of}");
        }
        match self.children.get(&of).and_then(|children| children.get(&digest)) {
            Some(Some(platform)) => format!("; it is the child for {platform} of index {of}"),
            Some(None) => format!("; it is a child of index {of}"),
            None => format!("; it is a layer of {of}"),
        }
    }
}

/// The first manifest that needs a blob.
fn user(scan: &Scan, node: u32) -> Option<&Manifest> {
    scan.graph().users(node).first().and_then(|user| scan.manifest(*user))
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

/// For which platforms an index lists its children, as far as it says so.
fn platforms(index: &[u8]) -> HashMap<Digest, String> {
    let index: Option<Index> = serde_json::from_slice(index).ok();
    let listed = index.into_iter().flat_map(|index| index.manifests);
    let listed = listed.filter_map(|child| Some((child.digest.parse().ok()?, child.platform?)));
    // A child that is listed twice is called by its first platform.
    let mut platforms = HashMap::new();
    for (digest, platform) in listed {
        platforms.entry(digest).or_insert_with(|| platform.in_words());
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
