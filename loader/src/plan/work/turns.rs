//! What only one delivery or repository may do at a time, and those that wait for their turn.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The turns at many things, each of which only one may do at a time. Who that is goes by number.
#[derive(Debug)]
pub(super) struct Turns<K>(HashMap<K, Turn>);

#[derive(Debug, Default)]
struct Turn {
    is_taken: bool,
    waiting: VecDeque<u32>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Turns<K> {
    pub(super) fn is_taken(&self, at: K) -> bool {
        self.0.get(&at).is_some_and(|turn| turn.is_taken)
    }

    pub(super) fn take(&mut self, at: K) {
        self.0.entry(at).or_default().is_taken = true;
    }

    pub(super) fn give_back(&mut self, at: K) {
        if let Some(turn) = self.0.get_mut(&at) {
            turn.is_taken = false;
            self.drop_idle(at);
        }
    }

    /// Somebody waits until called.
    pub(super) fn wait(&mut self, at: K, who: u32) {
        self.0.entry(at).or_default().waiting.push_back(who);
    }

    /// Who has waited longest, if the turn is free. Only one is called: were it all of them, all but
    /// one would wait again, each time.
    pub(super) fn call(&mut self, at: K) -> Option<u32> {
        let turn = self.0.get_mut(&at).filter(|turn| !turn.is_taken)?;
        let next = turn.waiting.pop_front();
        self.drop_idle(at);
        next
    }

    /// All who wait: they need no turn any more.
    pub(super) fn call_all(&mut self, at: K) -> VecDeque<u32> {
        let waiting = self.0.get_mut(&at).map(|turn| std::mem::take(&mut turn.waiting));
        self.drop_idle(at);
        waiting.unwrap_or_default()
    }

    fn drop_idle(&mut self, at: K) {
        if self.0.get(&at).is_some_and(|turn| !turn.is_taken && turn.waiting.is_empty()) {
            self.0.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_in_the_order_of_waiting() {
        let mut turns = Turns::default();
        turns.take('a');
        turns.wait('a', 1);
        turns.wait('a', 2);
        assert_eq!((turns.call('a'), turns.call('b')), (None, None));
        turns.give_back('a');
        assert_eq!(turns.call('a'), Some(1));
        turns.take('a');
        assert!(turns.is_taken('a') && !turns.is_taken('b'));
        assert_eq!(turns.call_all('a'), [2]);
        turns.give_back('a');
        assert!(turns.0.is_empty());
    }
}
