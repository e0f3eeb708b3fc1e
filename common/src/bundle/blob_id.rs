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
    /// The id of a position.
    pub(super) fn at(position: u32) -> Self {
        Self(position)
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
