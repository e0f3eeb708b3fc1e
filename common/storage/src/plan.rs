//! From what was chosen and found whole to what a bundle holds, in its order.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tranship_common::bundle::{
    BlobEntry, Catalog, CatalogError, Contents, FORMAT_VERSION, Layout, LeftOut, LeftOutImage,
    ManifestEntry, RepositoryEntry, required_features,
};
use tranship_common::limits::MAX_LEFT_OUT;
use tranship_common::{Digest, Manifest, Marks};

use crate::chosen::Chosen;
use crate::finding::Finding;
use crate::referrers::{is_about, reached};
use crate::scan::Scan;

/// What a bundle holds and where each byte of it is.
#[derive(Debug)]
pub struct Plan {
    /// The catalog.
    pub contents: Contents,
    /// The place of every byte.
    pub layout: Layout,
    /// The plan in numbers.
    pub totals: Totals,
    /// Bytes that no storage has: indexes that were made for a selection of platforms.
    pub made: HashMap<Digest, Vec<u8>>,
}

/// A plan in numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Repositories with tags.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests, each counted once.
    pub manifests: u64,
    /// Manifests without a tag that are about others.
    pub referrers: u64,
    /// Configs and layers, each counted once.
    pub blobs: u64,
    /// Bytes of manifests and blobs, each counted once.
    pub bytes: u64,
    /// Bytes of manifests and blobs, counted for every tag that needs them.
    pub bytes_without_deduplication: u64,
    /// Size of the bundle in bytes.
    pub bundle_bytes: u64,
}

impl Plan {
    /// Orders what was chosen and is whole. `selection` says in words what was chosen.
    ///
    /// # Errors
    /// [`CatalogError`] when it is more than one bundle can hold.
    pub(crate) fn new(
        mut chosen: Chosen,
        scan: &Scan,
        findings: &[Finding],
        selection: String,
    ) -> Result<Self, CatalogError> {
        let broken = scan.graph().affected(scan.faults().iter().map(|fault| fault.node));
        let mut orphans = Vec::new();
        let repositories = std::mem::take(&mut chosen.repositories);
        let repositories = whole(repositories, scan, &broken, &mut orphans);
        let roots = repositories.iter().flat_map(|repository| {
            let tagged = repository.tags.iter().map(|tag| tag.digest);
            tagged.chain(repository.referrers.iter().copied())
        });
        let order = scan.graph().closure(roots.filter_map(|digest| scan.find(digest)));
        let manifests: Vec<u32> =
            order.into_iter().filter(|node| scan.manifest(*node).is_some()).collect();
        let blobs = blobs(scan, &manifests);
        let is_absent = |digest| scan.find(digest).is_none_or(|node| scan.is_absent(node));
        let entries = manifests.iter().filter_map(|node| scan.manifest(*node));
        let manifests: Vec<_> =
            entries.map(|manifest| ManifestEntry::describe(manifest, is_absent)).collect();
        let catalog = Catalog {
            format_version: FORMAT_VERSION,
            required_features: required_features(&manifests),
            repositories,
            manifests,
            blobs,
            left_out: left_out(&chosen, findings, orphans, selection),
        };
        let contents = Contents::new(catalog)?;
        let layout = Layout::new(&contents);
        let totals = totals(&contents, &layout);
        let is_planned = |digest: &Digest| contents.id(*digest).is_some();
        let made = chosen.made.into_iter().filter(|(digest, _)| is_planned(digest)).collect();
        Ok(Self { contents, layout, totals, made })
    }
}

/// The repositories without what is broken, and without what is about nothing that is left. Of the
/// latter `orphans` gets the names.
fn whole(
    mut repositories: Vec<RepositoryEntry>,
    scan: &Scan,
    broken: &Marks,
    orphans: &mut Vec<String>,
) -> Vec<RepositoryEntry> {
    let is_whole = |digest: Digest| scan.find(digest).is_some_and(|node| !broken.has(node));
    let manifest = |digest| scan.manifest(scan.find(digest)?);
    for RepositoryEntry { name, tags, referrers } in &mut repositories {
        tags.retain(|tag| is_whole(tag.digest));
        referrers.retain(|referrer| is_whole(*referrer));
        let left = reached(tags.iter().map(|tag| tag.digest), referrers.clone(), manifest);
        let (about_these, about_nothing) =
            referrers.iter().partition(|referrer| is_about(**referrer, &left, manifest));
        *referrers = about_these;
        let about_nothing: Vec<Digest> = about_nothing;
        orphans.extend(about_nothing.iter().map(|referrer| format!("{name}@{referrer}")));
    }
    repositories.retain(|repository| !repository.tags.is_empty());
    repositories
}

/// Configs, then layers, in order of first use.
fn blobs(scan: &Scan, manifests: &[u32]) -> Vec<BlobEntry> {
    let needed = || manifests.iter().filter_map(|node| scan.manifest(*node));
    let configs = needed().filter_map(|manifest| manifest.config());
    let all = needed().flat_map(Manifest::blobs);
    let mut seen: HashSet<u32> = HashSet::new();
    configs
        .chain(all)
        .filter_map(|blob| scan.find(blob.digest))
        // A layer may be a copy of a manifest: it is in the bundle already then.
        .filter(|node| scan.manifest(*node).is_none() && !scan.is_absent(*node))
        .filter(|node| seen.insert(*node))
        .map(|node| BlobEntry { digest: scan.digest(node), size: scan.size(node) })
        .collect()
}

fn left_out(
    chosen: &Chosen,
    findings: &[Finding],
    orphans: Vec<String>,
    selection: String,
) -> LeftOut {
    let orphans = orphans.into_iter().map(|name| LeftOutImage {
        name,
        reason: "what it is about is not in the bundle".to_owned(),
    });
    let other_platforms = chosen.other_platforms.iter().map(|name| LeftOutImage {
        name: name.clone(),
        reason: "runs on none of the wanted platforms".to_owned(),
    });
    let broken = findings.iter().flat_map(|finding| {
        let reason = match &finding.digest {
            Some(digest) => format!("{digest}: {}", finding.problem),
            None => finding.problem.clone(),
        };
        finding.images.iter().map(move |name| LeftOutImage {
            name: shortened(name.clone()),
            reason: shortened(reason.clone()),
        })
    });
    let mut images: Vec<LeftOutImage> = other_platforms.chain(orphans).chain(broken).collect();
    images.sort_by(|a, b| (&a.name, &a.reason).cmp(&(&b.name, &b.reason)));
    // One reason an image: the first.
    images.dedup_by(|a, b| a.name == b.name);
    LeftOut { selection: shortened(selection), images }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_LEFT_OUT {
        let room = MAX_LEFT_OUT - '…'.len_utf8();
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

fn totals(contents: &Contents, layout: &Layout) -> Totals {
    let catalog = contents.catalog();
    let image_bytes = |root: Digest| -> u64 {
        let mut needed = HashSet::new();
        for manifest in contents.closure(root) {
            needed.insert(manifest.digest);
            needed.extend(&manifest.blobs);
        }
        needed.iter().filter_map(|digest| contents.size(*digest)).sum()
    };
    let referrers = catalog.repositories.iter().map(|repository| repository.referrers.len());
    Totals {
        repositories: catalog.repositories.len() as u64,
        tags: contents.image_count() as u64,
        manifests: catalog.manifests.len() as u64,
        referrers: referrers.sum::<usize>() as u64,
        blobs: catalog.blobs.len() as u64,
        bytes: contents.entries().map(|entry| entry.size).sum(),
        bytes_without_deduplication: contents
            .images()
            .map(|(_, tag)| image_bytes(tag.digest))
            .sum(),
        bundle_bytes: layout.size(),
    }
}
