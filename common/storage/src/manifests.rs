//! Reads manifests, and the manifests that these list.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use tranship_common::limits::MAX_NESTING;
use tranship_common::{Digest, Manifest, Progress};

use crate::problem::Problem;
use crate::source::Source;

/// Manifests that were read and checked, and those that could not be.
#[derive(Debug, Default)]
pub struct Manifests {
    pub(crate) read: HashMap<Digest, Manifest>,
    pub(crate) unreadable: HashMap<Digest, Problem>,
}

impl Manifests {
    /// The manifest with this digest, if it was read.
    #[must_use]
    pub fn get(&self, digest: Digest) -> Option<&Manifest> {
        self.read.get(&digest)
    }

    /// Reads these and whatever they list, level by level, each once. Since each is checked
    /// against its digest, none can list itself; only the number of levels needs a bound.
    pub(crate) fn read(
        &mut self,
        source: &dyn Source,
        roots: impl IntoIterator<Item = Digest>,
        progress: &dyn Progress,
    ) {
        let mut level: HashSet<Digest> = roots.into_iter().collect();
        for depth in 0.. {
            level.retain(|digest| !self.knows(*digest));
            if level.is_empty() {
                return;
            }
            if depth > MAX_NESTING {
                self.unreadable.extend(level.drain().map(|digest| (digest, Problem::Nested)));
                return;
            }
            let read: Vec<_> = level
                .par_drain()
                .map(|digest| {
                    let manifest = source.manifest(digest);
                    progress.add_bytes(manifest.as_ref().map_or(0, Manifest::size));
                    (digest, manifest)
                })
                .collect();
            for (digest, result) in read {
                match result {
                    Ok(manifest) => {
                        level.extend(manifest.children().iter().map(|child| child.digest));
                        self.read.insert(digest, manifest);
                    }
                    Err(problem) => {
                        self.unreadable.insert(digest, problem);
                    }
                }
            }
        }
    }

    /// Adds one that was made.
    pub(crate) fn add(&mut self, manifest: Manifest) {
        self.read.insert(manifest.digest(), manifest);
    }

    fn knows(&self, digest: Digest) -> bool {
        self.read.contains_key(&digest) || self.unreadable.contains_key(&digest)
    }
}
