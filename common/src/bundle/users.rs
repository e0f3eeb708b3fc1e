//! Which images and referrers need what.

use std::collections::{HashMap, HashSet};

use super::blob_id::BlobId;
use super::contents::Contents;
use crate::{Repository, Tag};

/// What a bundle is for, found by what it needs. It is made once, so that asking costs no more than
/// the answer is long.
#[derive(Debug)]
pub(super) struct Users<'a> {
    contents: &'a Contents,
    /// Images, each with its tag, and referrers, in the order of the catalog.
    roots: Vec<(&'a Repository, Option<&'a Tag>)>,
    /// Where those of each manifest stand in `roots`.
    of_manifest: HashMap<u32, Vec<usize>>,
}

impl<'a> Users<'a> {
    pub(super) fn new(contents: &'a Contents) -> Self {
        let (mut roots, mut of_manifest) = (Vec::new(), HashMap::<u32, Vec<usize>>::new());
        for repository in &contents.catalog().repositories {
            let tagged = repository.tags.iter().map(|tag| (Some(&tag.name), tag.digest));
            let untagged = repository.referrers.iter().map(|referrer| (None, *referrer));
            for (tag, digest) in tagged.chain(untagged) {
                if let Some(id) = contents.id(digest) {
                    of_manifest.entry(id.index() as u32).or_default().push(roots.len());
                }
                roots.push((&repository.name, tag));
            }
        }
        Self { contents, roots, of_manifest }
    }

    /// The images, as `REPOSITORY:TAG`, and referrers, as `REPOSITORY@DIGEST`, that need any of
    /// these, in the order of the catalog.
    pub(super) fn needing(&self, entries: impl IntoIterator<Item = BlobId>) -> Vec<String> {
        let mut affected = HashSet::new();
        let entries = entries.into_iter().map(|id| id.index() as u32);
        self.contents.graph().spread(entries, |node| affected.insert(node));
        let roots = affected.iter().filter_map(|node| Some((*node, self.of_manifest.get(node)?)));
        let roots = roots.flat_map(|(node, roots)| roots.iter().map(move |root| (*root, node)));
        let mut found: Vec<(usize, u32)> = roots.collect();
        found.sort_unstable();
        found.into_iter().map(|(root, node)| self.name(root, node)).collect()
    }

    fn name(&self, root: usize, node: u32) -> String {
        match self.roots[root] {
            (repository, Some(tag)) => format!("{repository}:{tag}"),
            (repository, None) => {
                format!("{repository}@{}", self.contents.entry(BlobId::at(node)).digest)
            }
        }
    }
}
