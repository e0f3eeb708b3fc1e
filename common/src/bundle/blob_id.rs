//! The short identity of what a bundle holds.

use std::fmt;

/// A manifest or blob of a bundle: its position among all entries of the archive, manifests first,
/// then blobs.
///
/// The ids of a bundle are dense: they count from zero to the number of its entries. So what is
/// known of each entry fits in a `Vec`, and an id takes an eighth of a digest's memory. An id means
/// nothing outside its bundle; what two bundles share has one digest and, as a rule, two ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(u32);

impl BlobId {
    /// The id of a position, if it can be counted.
    pub(super) fn at(position: usize) -> Option<Self> {
        u32::try_from(position).ok().map(Self)
    }

    /// The ids of a bundle with this many entries, in the order of the archive.
    pub(super) fn all(count: u32) -> impl ExactSizeIterator<Item = Self> + DoubleEndedIterator {
        (0..count).map(Self)
    }

    /// The position in the order of the archive, from zero.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_that_do_not_fit_have_no_id() {
        let last = u32::MAX as usize;
        assert_eq!(BlobId::at(last).map(BlobId::index), Some(last));
        assert_eq!(BlobId::at(last + 1), None);
        let ids: Vec<usize> = BlobId::all(3).map(BlobId::index).collect();
        assert_eq!(ids, [0, 1, 2]);
    }
}
