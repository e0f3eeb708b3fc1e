//! The graph of what is tagged: tags, manifests, blobs, and what is broken in it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use rayon::prelude::*;
use tranship_common::bundle::ManifestEntry;
use tranship_common::limits::MAX_NESTING;
use tranship_common::{Digest, Manifest, Progress};

use crate::finding::Finding;
use crate::storage::{FoundTag, Problem, Storage, Tags};

/// A manifest that was read and checked; its bytes are read again when they are packed.
#[derive(Debug)]
pub(crate) struct ScannedManifest {
    pub(crate) entry: ManifestEntry,
    pub(crate) config: Option<Digest>,
}

/// Everything that tagged manifests reach.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Tags whose images are whole.
    pub(crate) tags: Vec<FoundTag>,
    /// Manifests by digest, those of broken images included.
    pub(crate) manifests: HashMap<Digest, ScannedManifest>,
    /// Sizes of the blobs in bytes.
    pub(crate) sizes: HashMap<Digest, u64>,
    /// All that is broken, in a stable order.
    pub(crate) findings: Vec<Finding>,
}

/// A blob or manifest that cannot be used.
struct Broken {
    digest: Digest,
    path: PathBuf,
    problem: Problem,
}

impl Scan {
    /// Reads all tags and manifests of a storage tree and the sizes of their blobs.
    pub(crate) fn new(storage: &Storage, progress: &dyn Progress) -> Self {
        progress.begin("scanning", 0, 0);
        let Tags { found, broken } = Tags::read(storage);
        let roots: HashSet<Digest> = found.iter().map(|tag| tag.digest).collect();
        let (manifests, mut broken_blobs) = read_manifests(storage, roots, progress);
        broken_blobs.extend(too_deep(&manifests).into_iter().map(|digest| {
            let problem = Problem::Nested(MAX_NESTING);
            Broken { digest, path: storage.blob_path(digest), problem }
        }));
        let (sizes, foreign, unusable) = measure_blobs(storage, &manifests);
        broken_blobs.extend(unusable);

        let scanned = manifests
            .iter()
            .map(|(digest, manifest)| {
                let entry = ManifestEntry::describe(manifest, |blob| foreign.contains(&blob));
                let config = manifest.config().map(|config| config.digest);
                (*digest, ScannedManifest { entry, config })
            })
            .collect();
        let mut scan = Self {
            tags: found,
            manifests: scanned,
            sizes,
            findings: broken.into_iter().map(Finding::of_tag).collect(),
        };
        scan.exclude(
            broken_blobs.into_iter().map(|broken| (broken.digest, broken.path, broken.problem)),
        );
        scan
    }

    /// Takes the images out that need one of these blobs or manifests, and adds the findings.
    pub(crate) fn exclude(&mut self, broken: impl IntoIterator<Item = (Digest, PathBuf, Problem)>) {
        let mut users: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for (digest, manifest) in &self.manifests {
            let ManifestEntry { manifests, blobs, .. } = &manifest.entry;
            for needed in manifests.iter().chain(blobs) {
                users.entry(*needed).or_default().push(*digest);
            }
        }
        let mut all_affected = HashSet::new();
        for (digest, path, problem) in broken {
            let mut affected = HashSet::from([digest]);
            let mut open = vec![digest];
            while let Some(needed) = open.pop() {
                for user in users.get(&needed).into_iter().flatten() {
                    if affected.insert(*user) {
                        open.push(*user);
                    }
                }
            }
            let tags = self.tags.iter().filter(|tag| affected.contains(&tag.digest));
            self.findings.push(Finding::of_blob(digest, &path, &problem, tags));
            all_affected.extend(affected);
        }
        self.tags.retain(|tag| !all_affected.contains(&tag.digest));
        self.findings.sort();
    }
}

/// Reads manifests level by level: the tagged ones, then their children, and so on. Since each is
/// checked against its digest, an index cannot list itself; only the depth needs a bound.
fn read_manifests(
    storage: &Storage,
    roots: HashSet<Digest>,
    progress: &dyn Progress,
) -> (HashMap<Digest, Manifest>, Vec<Broken>) {
    let mut manifests = HashMap::new();
    let mut broken = Vec::new();
    let mut level: Vec<Digest> = roots.into_iter().collect();
    for depth in 0.. {
        if level.is_empty() {
            break;
        }
        let read: Vec<_> = level
            .par_iter()
            .map(|digest| {
                let result = if depth > MAX_NESTING {
                    Err(Problem::Nested(MAX_NESTING))
                } else {
                    storage.manifest(*digest)
                };
                (*digest, result)
            })
            .collect();
        let mut next = HashSet::new();
        for (digest, result) in read {
            match result {
                Ok(manifest) => {
                    progress.add_bytes(manifest.raw().len() as u64);
                    next.extend(manifest.children().iter().map(|child| child.digest));
                    manifests.insert(digest, manifest);
                }
                Err(problem) => {
                    broken.push(Broken { digest, path: storage.blob_path(digest), problem });
                }
            }
        }
        let known = |digest: &Digest| manifests.contains_key(digest);
        level = next.into_iter().filter(|digest| !known(digest)).collect();
        let unusable: HashSet<_> = broken.iter().map(|broken: &Broken| broken.digest).collect();
        level.retain(|digest| !unusable.contains(digest));
    }
    (manifests, broken)
}

/// The innermost indexes that nest too deep. The levels above do not show them all: one way down
/// from a tag may be short and another long.
fn too_deep(manifests: &HashMap<Digest, Manifest>) -> Vec<Digest> {
    let lists_any = |manifest: &Manifest, listed: &HashSet<Digest>| {
        manifest.children().iter().any(|child| listed.contains(&child.digest))
    };
    // In each round those remain that have one level more below them.
    let mut deep: HashSet<Digest> = manifests.keys().copied().collect();
    for _ in 0..=MAX_NESTING {
        let listing = manifests.iter().filter(|(_, manifest)| lists_any(manifest, &deep));
        deep = listing.map(|(digest, _)| *digest).collect();
        if deep.is_empty() {
            break;
        }
    }
    let innermost = deep.iter().filter(|digest| !lists_any(&manifests[digest], &deep));
    innermost.copied().collect()
}

/// What manifests say of one blob.
#[derive(Default)]
struct Declared {
    sizes: Vec<u64>,
    /// Whether every manifest says that it may be fetched from elsewhere.
    foreign: bool,
}

/// Sizes of all blobs, the digests of foreign layers that are not here, and what is broken.
fn measure_blobs(
    storage: &Storage,
    manifests: &HashMap<Digest, Manifest>,
) -> (HashMap<Digest, u64>, HashSet<Digest>, Vec<Broken>) {
    let mut declared: HashMap<Digest, Declared> = HashMap::new();
    for blob in manifests.values().flat_map(Manifest::blobs) {
        let known =
            declared.entry(blob.digest).or_insert(Declared { sizes: Vec::new(), foreign: true });
        known.foreign &= blob.foreign;
        if !known.sizes.contains(&blob.size) {
            known.sizes.push(blob.size);
        }
    }
    let measured: Vec<_> = declared
        .into_par_iter()
        .map(|(digest, declared)| {
            (digest, declared.foreign, storage.blob_size(digest, &declared.sizes))
        })
        .collect();
    let (mut sizes, mut foreign, mut broken) = (HashMap::new(), HashSet::new(), Vec::new());
    for (digest, is_foreign, size) in measured {
        match size {
            Ok(size) => {
                sizes.insert(digest, size);
            }
            Err(Problem::Missing) if is_foreign => {
                foreign.insert(digest);
            }
            Err(problem) => {
                broken.push(Broken { digest, path: storage.blob_path(digest), problem });
            }
        }
    }
    (sizes, foreign, broken)
}
