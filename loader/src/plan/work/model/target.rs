//! A target that takes what is brought, loses some of it, and is honest about it.

use std::collections::BTreeSet;

use tranship_common::bundle::{BlobId, Contents};

/// What repositories, by their numbers, have of a bundle.
#[derive(Debug, Default)]
pub(super) struct Target {
    there: BTreeSet<(usize, BlobId)>,
    /// What was there, or was said to be, and is not.
    lost: BTreeSet<(usize, BlobId)>,
    /// Of that, what has been told of.
    known_lost: BTreeSet<(usize, BlobId)>,
}

impl Target {
    pub(super) fn bring(&mut self, repository: usize, part: BlobId) {
        self.there.insert((repository, part));
        self.lost.remove(&(repository, part));
        self.known_lost.remove(&(repository, part));
    }

    pub(super) fn lose(&mut self, repository: usize, part: BlobId) {
        if self.there.remove(&(repository, part)) {
            self.lost.insert((repository, part));
        }
    }

    /// Something that is there, if anything is: the one after a random one.
    pub(super) fn any(&self, random: (usize, BlobId)) -> Option<(usize, BlobId)> {
        self.there.range(random..).next().or(self.there.first()).copied()
    }

    /// Tells of all that is lost before anybody relies on it.
    pub(super) fn tell_of_all(&mut self) {
        self.lost.clear();
    }

    pub(super) fn tell_of(&mut self, repository: usize, lost: BlobId) {
        self.known_lost.insert((repository, lost));
    }

    pub(super) fn has(&self, repository: usize, part: BlobId) -> bool {
        self.there.contains(&(repository, part))
    }

    /// Whether a load that makes no mistake may take something to be there.
    pub(super) fn seems_to_have(&self, repository: usize, part: BlobId) -> bool {
        self.has(repository, part) || self.lost.contains(&(repository, part))
    }

    /// The same, where it makes use of all that it was told.
    pub(super) fn is_known_to_have(&self, repository: usize, part: BlobId) -> bool {
        let place = (repository, part);
        self.seems_to_have(repository, part) && !self.known_lost.contains(&place)
    }

    /// What a manifest refers to that is not there.
    pub(super) fn lacks(
        &self,
        contents: &Contents,
        repository: usize,
        manifest: BlobId,
    ) -> Vec<BlobId> {
        contents.references(manifest).filter(|part| !self.has(repository, *part)).collect()
    }
}
