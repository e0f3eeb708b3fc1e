//! What a blob is to a manifest that needs it, in words.

use serde::Deserialize;
use tranship_common::Digest;

use crate::problem::Problem;
use crate::scan::Scan;
use crate::source::{Source, manifest_bytes};

/// For what is missing: `; it is the config of sha256:…`. Empty for any other problem, and for what
/// only tags need.
pub(crate) fn role(source: &dyn Source, scan: &Scan, node: u32, problem: &Problem) -> String {
    let Some(user) = scan.graph().users(node).first().copied() else { return String::new() };
    let Some(manifest) = scan.manifest(user) else { return String::new() };
    if !matches!(problem, Problem::Missing) {
        return String::new();
    }
    let (digest, of) = (scan.digest(node), manifest.digest());
    if manifest.config().is_some_and(|config| config.digest == digest) {
        return format!("; it is the config of {of}");
    }
    if !manifest.children().iter().any(|child| child.digest == digest) {
        return format!("; it is a layer of {of}");
    }
    match platform(source, of, digest) {
        Some(platform) => format!("; it is the child for {platform} of index {of}"),
        None => format!("; it is a child of index {of}"),
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
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// For which platform an index lists a child.
fn platform(source: &dyn Source, index: Digest, child: Digest) -> Option<String> {
    let raw = manifest_bytes(source.open(index).ok()?, index).ok()?;
    let index: Index = serde_json::from_slice(&raw).ok()?;
    let child = child.to_string();
    let listed = index.manifests.into_iter().find(|listed| listed.digest == child)?;
    let Platform { os, architecture, variant } = listed.platform?;
    let variant = variant.filter(|variant| !variant.is_empty());
    Some(match variant {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    })
}
