//! From a scan to what the bundle will hold, in its order.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use tranship_common::bundle::{
    BlobEntry, Catalog, CatalogError, Contents, FORMAT_VERSION, Layout, RepositoryEntry, TagEntry,
};
use tranship_common::{Digest, Repository};

use crate::scan::Scan;
use crate::storage::Usage;

/// What the bundle will hold and where each byte of it will be.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) contents: Contents,
    pub(crate) layout: Layout,
    pub(crate) totals: Totals,
}

/// A plan in numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    pub(crate) repositories: u64,
    pub(crate) tags: u64,
    pub(crate) manifests: u64,
    /// Configs and layers.
    pub(crate) blobs: u64,
    /// Bytes of manifests and blobs, each counted once.
    pub(crate) bytes: u64,
    /// Bytes of manifests and blobs, counted for every tag that needs them.
    pub(crate) bytes_without_deduplication: u64,
    /// Size of the bundle in bytes.
    pub(crate) bundle_bytes: u64,
    /// Bytes of all blobs in the storage.
    pub(crate) storage_bytes: u64,
    /// Bytes of blobs in the storage that no packed tag needs.
    pub(crate) storage_garbage_bytes: u64,
}

impl Plan {
    /// Orders what the scan found to be whole.
    ///
    /// # Errors
    /// [`CatalogError`] when it is more than one bundle can hold.
    pub(crate) fn new(scan: &Scan, usage: Usage) -> Result<Self, CatalogError> {
        let repositories = repositories(scan);
        let mut order = Order { scan, manifests: Vec::new(), seen: HashSet::new() };
        for tag in repositories.iter().flat_map(|repository| &repository.tags) {
            order.visit(tag.digest);
        }
        let manifests = order.manifests;
        let blobs = blobs(scan, &manifests);
        let catalog = Catalog {
            format_version: FORMAT_VERSION,
            required_features: Vec::new(),
            repositories,
            manifests: manifests
                .iter()
                .map(|digest| scan.manifests[digest].entry.clone())
                .collect(),
            blobs,
        };
        let contents = Contents::new(catalog)?;
        let layout = Layout::new(&contents);
        let bytes = contents.entries().map(|entry| entry.size).sum();
        let totals = Totals {
            repositories: contents.catalog().repositories.len() as u64,
            tags: contents.image_count() as u64,
            manifests: contents.catalog().manifests.len() as u64,
            blobs: contents.catalog().blobs.len() as u64,
            bytes,
            bytes_without_deduplication: bytes_without_deduplication(&contents),
            bundle_bytes: layout.size(),
            storage_bytes: usage.bytes,
            // A registry that runs may have gained blobs since they were counted.
            storage_garbage_bytes: usage.bytes.saturating_sub(bytes),
        };
        Ok(Self { contents, layout, totals })
    }
}

/// Repositories by name, their tags by time of push.
fn repositories(scan: &Scan) -> Vec<RepositoryEntry> {
    let mut by_name: BTreeMap<&Repository, Vec<TagEntry>> = BTreeMap::new();
    for tag in &scan.tags {
        let entry = TagEntry { name: tag.tag.clone(), digest: tag.digest, pushed: tag.pushed };
        by_name.entry(&tag.repository).or_default().push(entry);
    }
    let entry = |(name, mut tags): (&Repository, Vec<TagEntry>)| {
        tags.sort_by(|a, b| (a.pushed, &a.name).cmp(&(b.pushed, &b.name)));
        RepositoryEntry { name: name.clone(), tags }
    };
    by_name.into_iter().map(entry).collect()
}

/// Manifests in order of first use, children first.
struct Order<'a> {
    scan: &'a Scan,
    manifests: Vec<Digest>,
    seen: HashSet<Digest>,
}

impl Order<'_> {
    /// The scan bounds the nesting, so this may recurse.
    fn visit(&mut self, digest: Digest) {
        if self.seen.insert(digest) {
            let scan = self.scan;
            for child in &scan.manifests[&digest].entry.manifests {
                self.visit(*child);
            }
            self.manifests.push(digest);
        }
    }
}

/// Configs, then layers, in order of first use.
fn blobs(scan: &Scan, manifests: &[Digest]) -> Vec<BlobEntry> {
    // A layer may be a copy of a manifest: it is in the bundle already then.
    let mut seen: HashSet<Digest> = manifests.iter().copied().collect();
    let scanned = || manifests.iter().map(|digest| &scan.manifests[digest]);
    let configs = scanned().filter_map(|manifest| manifest.config);
    let layers = scanned().flat_map(|manifest| manifest.entry.blobs.iter().copied());
    configs
        .chain(layers)
        .filter(|digest| scan.sizes.contains_key(digest) && seen.insert(*digest))
        .map(|digest| BlobEntry { digest, size: scan.sizes[&digest] })
        .collect()
}

fn bytes_without_deduplication(contents: &Contents) -> u64 {
    let image_bytes = |root: Digest| -> u64 {
        let mut needed = HashSet::new();
        for manifest in contents.closure(root) {
            needed.insert(manifest.digest);
            needed.extend(&manifest.blobs);
        }
        needed.iter().filter_map(|digest| contents.size(*digest)).sum()
    };
    contents.images().map(|(_, tag)| image_bytes(tag.digest)).sum()
}
