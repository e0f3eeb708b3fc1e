//! What a catalog lists without need, and what it lists out of the order of first use.

use std::mem;

use super::blob_id::BlobId;
use super::contents::Contents;

/// An entry that stands where another should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misplaced {
    /// The entry.
    pub(super) id: BlobId,
    /// What should stand in its place.
    pub(super) instead: BlobId,
}

/// What tags and referrers lead to, in the order in which they do: what a manifest lists before itself.
#[derive(Debug)]
pub(super) struct FirstUse<'a> {
    contents: &'a Contents,
    manifests: Vec<BlobId>,
    used: Vec<bool>,
}

impl<'a> FirstUse<'a> {
    /// Follows all of them.
    pub(super) fn new(contents: &'a Contents) -> Self {
        let order = contents.graph().closure(contents.roots().map(|id| id.index() as u32));
        let mut used = vec![false; contents.ids().len()];
        order.iter().for_each(|node| used[*node as usize] = true);
        let is_manifest = |id: &BlobId| contents.manifest_by_id(*id).is_some();
        let manifests = order.into_iter().map(BlobId::at).filter(is_manifest).collect();
        Self { contents, manifests, used }
    }

    /// The entries that nothing leads to, in the order of the archive.
    pub(super) fn unused(&self) -> impl Iterator<Item = BlobId> {
        self.contents.ids().filter(|id| !self.used[id.index()])
    }

    /// The first manifest that is out of order.
    pub(super) fn misplaced_manifest(&self) -> Option<Misplaced> {
        self.first_difference(&self.manifests)
    }

    /// The first blob that is out of order. Which blob is a config, no catalog tells: `config_of`
    /// says it of a manifest.
    pub(super) fn misplaced_blob(
        &self,
        config_of: impl Fn(BlobId) -> Option<BlobId>,
    ) -> Option<Misplaced> {
        let configs = self.manifests.iter().filter_map(|manifest| config_of(*manifest));
        let all = self.manifests.iter().flat_map(|manifest| self.contents.references(*manifest));
        let mut seen = vec![false; self.used.len()];
        let mut is_first = |id: &BlobId| !mem::replace(&mut seen[id.index()], true);
        let is_blob = |id: &BlobId| self.contents.manifest_by_id(*id).is_none();
        let wanted = configs.chain(all).filter(|id| is_blob(id) && is_first(id));
        self.first_difference(&wanted.collect::<Vec<_>>())
    }

    /// Compares what is used of the kind of `wanted` with it, in the order of the archive.
    fn first_difference(&self, wanted: &[BlobId]) -> Option<Misplaced> {
        let is_manifest = |id: BlobId| self.contents.manifest_by_id(id).is_some();
        let kind = wanted.first().map(|id| is_manifest(*id))?;
        let used = self.contents.ids().filter(|id| self.used[id.index()]);
        let listed = used.filter(|id| is_manifest(*id) == kind);
        let mut pairs = listed.zip(wanted).map(|(id, instead)| Misplaced { id, instead: *instead });
        pairs.find(|pair| pair.id != pair.instead)
    }
}
