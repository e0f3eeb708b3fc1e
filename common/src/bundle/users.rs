//! Which images need what.

use std::collections::{HashMap, HashSet};

use super::blob_id::BlobId;
use super::contents::Contents;
use crate::{Repository, Tag};

/// The images of a bundle, found by what they need. It is made once, so that asking costs no more
/// than the answer is long.
#[derive(Debug)]
pub(super) struct Users<'a> {
    contents: &'a Contents,
    images: Vec<(&'a Repository, &'a Tag)>,
    /// Where the tags of each manifest stand in `images`.
    tags: HashMap<u32, Vec<usize>>,
}

impl<'a> Users<'a> {
    pub(super) fn new(contents: &'a Contents) -> Self {
        let (mut images, mut tags) = (Vec::new(), HashMap::<u32, Vec<usize>>::new());
        for (repository, tag) in contents.images() {
            if let Some(id) = contents.id(tag.digest) {
                tags.entry(id.index() as u32).or_default().push(images.len());
            }
            images.push((repository, &tag.name));
        }
        Self { contents, images, tags }
    }

    /// The images, as `REPOSITORY:TAG` and in the order of the catalog, that need any of these.
    pub(super) fn images_with(&self, entries: impl IntoIterator<Item = BlobId>) -> Vec<String> {
        let mut affected = HashSet::new();
        let entries = entries.into_iter().map(|id| id.index() as u32);
        self.contents.graph().spread(entries, |node| affected.insert(node));
        let tags = affected.iter().filter_map(|node| self.tags.get(node));
        let mut found: Vec<usize> = tags.flatten().copied().collect();
        found.sort_unstable();
        let name = |(repository, tag): (&Repository, &Tag)| format!("{repository}:{tag}");
        found.into_iter().map(|image| name(self.images[image])).collect()
    }
}
