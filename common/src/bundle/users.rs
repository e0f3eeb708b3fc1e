//! Which images need what: the references of the catalog, read backwards.

use std::collections::{HashMap, HashSet};

use super::blob_id::BlobId;
use super::contents::Contents;
use crate::{Repository, Tag};

/// Who needs each entry. It is made once, so that asking costs no more than the answer is long.
#[derive(Debug)]
pub(super) struct Users<'a> {
    /// Manifests that refer to entries: those that refer to entry `i` stand from `starts[i]` to
    /// `starts[i + 1]`.
    manifests: Vec<BlobId>,
    starts: Vec<usize>,
    images: Vec<(&'a Repository, &'a Tag)>,
    /// Where the tags of each manifest stand in `images`.
    tags: HashMap<BlobId, Vec<usize>>,
}

impl<'a> Users<'a> {
    pub(super) fn new(contents: &'a Contents) -> Self {
        let references = || {
            let of = |user| contents.references(user).map(move |used| (user, used.index()));
            contents.ids().flat_map(of)
        };
        let mut starts = vec![0; contents.ids().len() + 1];
        references().for_each(|(_, used)| starts[used + 1] += 1);
        for entry in 1..starts.len() {
            starts[entry] += starts[entry - 1];
        }
        let mut next = starts.clone();
        let mut manifests = vec![BlobId::at(0); starts[starts.len() - 1]];
        for (user, used) in references() {
            manifests[next[used]] = user;
            next[used] += 1;
        }
        let (mut images, mut tags) = (Vec::new(), HashMap::<BlobId, Vec<usize>>::new());
        for (repository, tag) in contents.images() {
            if let Some(id) = contents.id(tag.digest) {
                tags.entry(id).or_default().push(images.len());
            }
            images.push((repository, &tag.name));
        }
        Self { manifests, starts, images, tags }
    }

    /// The images, as `REPOSITORY:TAG` and in the order of the catalog, that need any of these.
    pub(super) fn images_with(&self, entries: impl IntoIterator<Item = BlobId>) -> Vec<String> {
        let mut open: Vec<BlobId> = entries.into_iter().collect();
        let mut affected: HashSet<BlobId> = open.iter().copied().collect();
        let mut found = Vec::new();
        while let Some(id) = open.pop() {
            found.extend(self.tags.get(&id).into_iter().flatten());
            let users = &self.manifests[self.starts[id.index()]..self.starts[id.index() + 1]];
            open.extend(users.iter().filter(|user| affected.insert(**user)));
        }
        found.sort_unstable();
        let name = |(repository, tag): (&Repository, &Tag)| format!("{repository}:{tag}");
        found.into_iter().map(|image: &usize| name(self.images[*image])).collect()
    }
}
