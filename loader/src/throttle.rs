//! How much is done side by side: less when the target is overloaded, more again when it is not.

use std::cell::Cell;

/// So many tasks have to go well before one more is tried at a time.
const CALM: usize = 16;

/// A bound on the tasks under way.
#[derive(Debug)]
pub(crate) struct Throttle {
    most: usize,
    allowed: Cell<usize>,
    gone_well: Cell<usize>,
}

impl Throttle {
    /// Begins with the most that is ever allowed.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, allowed: Cell::new(most), gone_well: Cell::new(0) }
    }

    /// How many tasks may be under way now.
    pub(crate) fn allowed(&self) -> usize {
        self.allowed.get()
    }

    /// The target is overloaded: half as much from now on.
    pub(crate) fn overloaded(&self) {
        // Many tasks hear of one overload; only the first of them counts.
        if self.gone_well.replace(0) > 0 || self.allowed.get() == self.most {
            self.allowed.set((self.allowed.get() / 2).max(1));
        }
    }

    /// A task has gone well.
    pub(crate) fn went_well(&self) {
        self.gone_well.set(self.gone_well.get() + 1);
        if self.gone_well.get() >= CALM && self.allowed.get() < self.most {
            self.gone_well.set(1);
            self.allowed.set(self.allowed.get() + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_at_once_and_grows_slowly() {
        let throttle = Throttle::new(8);
        for _ in 0..8 {
            throttle.overloaded();
        }
        assert_eq!(throttle.allowed(), 4, "eight tasks hear of one overload");
        throttle.went_well();
        throttle.overloaded();
        assert_eq!(throttle.allowed(), 2);
        for _ in 0..CALM {
            throttle.went_well();
        }
        assert_eq!(throttle.allowed(), 3);
        for _ in 0..10 {
            throttle.went_well();
            throttle.overloaded();
        }
        assert_eq!(throttle.allowed(), 1, "it never stops");
        for _ in 0..CALM * 20 {
            throttle.went_well();
        }
        assert_eq!(throttle.allowed(), 8);
    }
}
