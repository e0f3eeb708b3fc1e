//! What an interrupted load has left: blobs of images that nobody has tagged yet, in repositories that
//! are in no list.

use std::cell::Cell;

use crate::plan::survey::Standing;

/// So many blobs are asked for before repositories without tags are believed to hold nothing.
const SAMPLE: u32 = 8;

/// Whether blobs of an earlier load are to be reckoned with.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Some were seen.
    are_seen: Cell<bool>,
    /// Blobs that were asked for in repositories without tags. They are those that an earlier load
    /// has begun with.
    sampled: Cell<u32>,
}

impl Leftovers {
    /// With what is known beforehand: whether an earlier load has come some way.
    pub(super) fn new(are_seen: bool) -> Self {
        Self { are_seen: Cell::new(are_seen), sampled: Cell::new(0) }
    }

    /// Whether a blob may be in a repository that it was not brought to in this run.
    pub(super) fn may_be_in(&self, standing: Standing) -> bool {
        match standing {
            Standing::New => false,
            Standing::Filled => true,
            Standing::Empty => self.are_seen.get() || self.sampled.get() < SAMPLE,
        }
    }

    /// A blob was asked for in such a repository.
    pub(super) fn learn(&self, standing: Standing, is_there: bool) {
        if standing == Standing::Empty {
            self.sampled.set(self.sampled.get().saturating_add(1));
            self.are_seen.set(self.are_seen.get() || is_there);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_shows_whether_there_are_any() {
        let none = Leftovers::new(false);
        for _ in 0..SAMPLE {
            assert!(none.may_be_in(Standing::Empty));
            none.learn(Standing::Filled, true);
            none.learn(Standing::Empty, false);
        }
        let may_be_in = |leftovers: &Leftovers| {
            [Standing::New, Standing::Empty, Standing::Filled]
                .map(|standing| leftovers.may_be_in(standing))
        };
        assert_eq!(may_be_in(&none), [false, false, true]);
        let some = Leftovers::new(false);
        for _ in 0..SAMPLE {
            some.learn(Standing::Empty, true);
        }
        assert_eq!(may_be_in(&some), [false, true, true]);
        assert_eq!(may_be_in(&Leftovers::new(true)), [false, true, true]);
    }
}
