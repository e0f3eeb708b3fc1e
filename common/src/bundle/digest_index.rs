//! From a digest to the id of its entry, in some eight bytes an entry.

use std::hash::{BuildHasher, RandomState};

use super::blob_id::BlobId;
use crate::Digest;

/// A hash table of ids alone: the digests that they are found by stand in the catalog already, and
/// the table asks for them. Digests in a catalog are whatever somebody wrote there, so they are
/// hashed with a key of this process and nobody can make them collide.
#[derive(Debug, Clone)]
pub(super) struct DigestIndex {
    /// Positions, or [`EMPTY`]. Never full, so that each search ends.
    slots: Box<[u32]>,
    key: RandomState,
}

const EMPTY: u32 = u32::MAX;

impl DigestIndex {
    /// Finds the ids of entries in the order of the archive, whose digests `digest_of` knows.
    ///
    /// # Errors
    /// With a digest that stands twice.
    pub(super) fn new(
        ids: impl ExactSizeIterator<Item = BlobId>,
        digest_of: impl Fn(BlobId) -> Digest,
    ) -> Result<Self, Digest> {
        let size = (ids.len() + ids.len() / 3 + 1).next_power_of_two();
        let mut index = Self { slots: vec![EMPTY; size].into(), key: RandomState::new() };
        for id in ids {
            let digest = digest_of(id);
            match index.search(digest, &digest_of) {
                Ok(_) => return Err(digest),
                // Ids are below u32::MAX: `BlobId::all` counts them with a u32.
                Err(free) => index.slots[free] = id.index() as u32,
            }
        }
        Ok(index)
    }

    /// The id of a digest, if it is listed.
    pub(super) fn find(
        &self,
        digest: Digest,
        digest_of: impl Fn(BlobId) -> Digest,
    ) -> Option<BlobId> {
        self.search(digest, &digest_of).ok()
    }

    /// The id of a digest, or the slot where it would stand.
    fn search(
        &self,
        digest: Digest,
        digest_of: impl Fn(BlobId) -> Digest,
    ) -> Result<BlobId, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = self.key.hash_one(digest) as usize & mask;
        loop {
            let id = match self.slots[slot] {
                EMPTY => return Err(slot),
                position => BlobId::at(position),
            };
            if digest_of(id) == digest {
                return Ok(id);
            }
            slot = (slot + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_listed_and_nothing_else() {
        for count in [0, 1, 2, 3, 4, 1000] {
            let listed: Vec<Digest> =
                (0..count).map(|n: u32| Digest::of(&n.to_be_bytes())).collect();
            let digest_of = |id: BlobId| listed[id.index()];
            let index = DigestIndex::new(BlobId::all(count), digest_of).unwrap();
            for id in BlobId::all(count) {
                assert_eq!(index.find(digest_of(id), digest_of), Some(id));
            }
            assert_eq!(index.find(Digest::of(b"another"), digest_of), None);
        }
    }

    #[test]
    fn what_stands_twice_is_named() {
        let listed = [b"a", b"b", b"a"].map(|text| Digest::of(text));
        let index = DigestIndex::new(BlobId::all(3), |id| listed[id.index()]);
        assert_eq!(index.unwrap_err(), listed[0]);
    }
}
