//! Work that can be done now, in lanes that should not get in each other's way: Harbor lets one
//! request at a time change a project, so each project has a lane.

use std::cmp::Reverse;
use std::collections::VecDeque;

use tranship_common::Digest;

/// What can be done now in a lane. Numbers are those of repositories in `Work`.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Repositories whose next image may be pushed.
    pub(crate) ready: VecDeque<usize>,
    /// Deliveries that can be done by a mount.
    pub(crate) mounts: VecDeque<(Digest, usize)>,
    /// Blobs that no repository is known to have, in the order of the bundle.
    pub(crate) uploads: VecDeque<Digest>,
    /// Tasks that are under way.
    pub(crate) busy: usize,
}

impl Lane {
    fn left(&self) -> usize {
        self.ready.len() + self.mounts.len() + self.uploads.len()
    }
}

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Vec<Lane>);

impl Lanes {
    /// Adds an empty lane and returns its number.
    pub(crate) fn add(&mut self) -> usize {
        self.0.push(Lane::default());
        self.0.len() - 1
    }

    pub(crate) fn lane(&mut self, number: usize) -> &mut Lane {
        &mut self.0[number]
    }

    /// The lanes that have work: those with the fewest tasks under way first, and among them those
    /// with the most work left.
    pub(crate) fn by_need(&self) -> Vec<usize> {
        let mut lanes: Vec<usize> = (0..self.0.len()).filter(|at| self.0[*at].left() > 0).collect();
        lanes.sort_by_key(|at| (self.0[*at].busy, Reverse(self.0[*at].left())));
        lanes
    }
}
