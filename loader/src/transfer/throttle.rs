//! How much is done side by side: less when the target is overloaded, or has become slow; more again
//! when it is not.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;

/// So many tasks have to go well before one more is tried at a time, and so many answers are
/// looked at together.
const CALM: usize = 16;

/// Answers are slow when they take this many times as long as the target's best,
const SLOW: u32 = 8;

/// and at least this long.
const NOTICEABLE: Duration = Duration::from_secs(1);

/// A bound on the tasks under way.
#[derive(Debug)]
pub(crate) struct Throttle {
    most: usize,
    allowed: Cell<usize>,
    gone_well: Cell<usize>,
    /// Answers since they were last looked at, and the time that they took.
    answers: Cell<(usize, Duration)>,
    /// The shortest mean of as many answers.
    best: Cell<Duration>,
    /// Tasks that do nothing, and wait until it is time to try again.
    resting: Cell<usize>,
    rested: Notify,
}

/// A task that rests until this is dropped.
#[derive(Debug)]
pub(crate) struct Resting<'a>(&'a Throttle);

impl Throttle {
    /// Begins with the most that is ever allowed.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            allowed: Cell::new(most),
            gone_well: Cell::new(0),
            answers: Cell::default(),
            best: Cell::new(Duration::MAX),
            resting: Cell::new(0),
            rested: Notify::new(),
        }
    }

    /// How many tasks may be under way now, those that rest included: what fails again and again
    /// keeps nothing else from being done.
    pub(crate) fn allowed(&self) -> usize {
        self.allowed.get() + self.resting.get().min(self.most)
    }

    /// Another task rests.
    pub(crate) fn rest(&self) -> Resting<'_> {
        self.resting.set(self.resting.get() + 1);
        self.rested.notify_one();
        Resting(self)
    }

    /// Completes when another task rests.
    pub(crate) async fn rested(&self) {
        self.rested.notified().await;
    }

    /// The target is overloaded: half as much from now on.
    pub(crate) fn overloaded(&self) {
        // Many tasks hear of one overload; only the first of them counts.
        if self.gone_well.replace(0) > 0 || self.allowed.get() == self.most {
            let half = (self.allowed.get() / 2).max(1);
            tracing::info!("the target is overloaded: {half} at a time from now on");
            self.allowed.set(half);
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

    /// A request of the kind that always costs the same was answered after this time.
    pub(crate) fn answered_after(&self, time: Duration) {
        let (count, sum) = self.answers.get();
        let (count, sum) = (count + 1, sum + time);
        if count < CALM {
            self.answers.set((count, sum));
            return;
        }
        self.answers.set((0, Duration::ZERO));
        let mean = sum / CALM as u32;
        let best = self.best.get().min(mean);
        self.best.set(best);
        if mean >= NOTICEABLE && mean >= best * SLOW {
            self.overloaded();
        }
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.resting.set(self.0.resting.get() - 1);
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

    #[test]
    fn a_task_that_rests_makes_way_for_another() {
        let throttle = Throttle::new(2);
        throttle.overloaded();
        assert_eq!(throttle.allowed(), 1);
        let resting = [throttle.rest(), throttle.rest(), throttle.rest()];
        assert_eq!(throttle.allowed(), 3, "they are not without number");
        drop(resting);
        assert_eq!(throttle.allowed(), 1);
    }

    #[test]
    fn slow_answers_are_an_overload() {
        let throttle = Throttle::new(8);
        let answers = |milliseconds| {
            for _ in 0..CALM {
                throttle.went_well();
                throttle.answered_after(Duration::from_millis(milliseconds));
            }
            throttle.allowed()
        };
        assert_eq!(answers(20), 8);
        assert_eq!(answers(900), 8, "slower, but nobody waits long");
        assert_eq!(answers(1200), 4);
        assert_eq!(answers(1200), 2, "still slow, though one more was tried");
        assert_eq!(answers(30), 3);
        // What has always been slow is not overloaded.
        let slow = Throttle::new(8);
        for _ in 0..CALM * 3 {
            slow.answered_after(Duration::from_secs(3));
        }
        assert_eq!(slow.allowed(), 8);
    }
}
