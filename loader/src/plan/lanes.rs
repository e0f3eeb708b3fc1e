//! Work that can be done now, in lanes that should not get in each other's way: Harbor lets one
//! request at a time change a project, so each project has a lane.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

/// A kind of work in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Repositories whose next image may be pushed.
    Ready,
    /// Deliveries that had to wait for another one.
    Urgent,
    /// Deliveries, in their order.
    Deliveries,
}

/// What can be done now in a lane. Numbers are those of repositories and deliveries in `Work`.
#[derive(Debug, Default)]
struct Lane {
    queues: [VecDeque<u32>; 3],
    /// Tasks that are under way.
    busy: usize,
}

/// The place of a lane among those that have work: the fewest tasks under way first, then the most
/// work left.
type Rank = (usize, Reverse<usize>, usize);

/// All lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    ranks: BTreeSet<Rank>,
}

impl Lanes {
    /// So many empty lanes.
    pub(super) fn new(count: usize) -> Self {
        let lanes = std::iter::repeat_with(Lane::default).take(count).collect();
        Self { lanes, ranks: BTreeSet::new() }
    }

    /// Adds something to be done.
    pub(super) fn push(&mut self, lane: usize, queue: Queue, what: u32) {
        self.change(lane, |lane| lane.queues[queue as usize].push_back(what));
    }

    /// Takes the next thing of a kind.
    pub(super) fn pop(&mut self, lane: usize, queue: Queue) -> Option<u32> {
        self.change(lane, |lane| lane.queues[queue as usize].pop_front())
    }

    /// A task of this lane begins.
    pub(super) fn begin(&mut self, lane: usize) {
        self.change(lane, |lane| lane.busy += 1);
    }

    /// A task of this lane has come to its end.
    pub(super) fn end(&mut self, lane: usize) {
        self.change(lane, |lane| lane.busy -= 1);
    }

    /// The lane that should be looked at next.
    pub(super) fn next(&self) -> Option<usize> {
        self.ranks.first().map(|(.., lane)| *lane)
    }

    fn change<T>(&mut self, at: usize, change: impl FnOnce(&mut Lane) -> T) -> T {
        let lane = &mut self.lanes[at];
        if let Some(rank) = lane.rank(at) {
            self.ranks.remove(&rank);
        }
        let changed = change(lane);
        if let Some(rank) = lane.rank(at) {
            self.ranks.insert(rank);
        }
        changed
    }
}

impl Lane {
    fn rank(&self, at: usize) -> Option<Rank> {
        let left: usize = self.queues.iter().map(VecDeque::len).sum();
        (left > 0).then_some((self.busy, Reverse(left), at))
    }
}
