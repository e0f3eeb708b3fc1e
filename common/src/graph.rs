//! What needs what: a graph of manifests and blobs, walked from either end.

use std::ops::Range;

/// Arrows of one direction, those of each node side by side.
#[derive(Debug, Clone)]
struct Arrows {
    /// The arrows of node `i` stand in `ends` from `starts[i]` to `starts[i + 1]`.
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Arrows {
    fn of(&self, node: u32) -> &[u32] {
        &self.ends[self.range(node)]
    }

    fn range(&self, node: u32) -> Range<usize> {
        self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize
    }

    fn reversed(&self) -> Self {
        let count = self.starts.len() - 1;
        let mut starts = vec![0; count + 1];
        for end in &self.ends {
            starts[*end as usize + 1] += 1;
        }
        for node in 0..count {
            starts[node + 1] += starts[node];
        }
        let mut free = starts.clone();
        let mut ends = vec![0; self.ends.len()];
        for node in 0..count as u32 {
            for end in self.of(node) {
                let place = &mut free[*end as usize];
                ends[*place as usize] = node;
                *place += 1;
            }
        }
        Self { starts, ends }
    }
}

/// Who needs whom among nodes that are counted from zero. It is built once; each question costs no
/// more than the nodes and arrows that the answer passes. No walk recurses, so that no chain of
/// indexes, however long, is too deep for it.
#[derive(Debug, Clone)]
pub struct Graph {
    needs: Arrows,
    users: Arrows,
}

impl Graph {
    /// A graph of the nodes that `needs` tells one by one, each with the nodes that it needs. All
    /// of them have to come: an arrow leads to a node that is told, earlier or later.
    ///
    /// # Panics
    /// When an arrow leads to a node that is not told, or there are 2^32 of either.
    #[must_use]
    pub fn new<N: IntoIterator<Item = u32>>(needs: impl IntoIterator<Item = N>) -> Self {
        let mut arrows = Arrows { starts: vec![0], ends: Vec::new() };
        for node in needs {
            arrows.ends.extend(node);
            let end = u32::try_from(arrows.ends.len()).expect("a graph has fewer than 2^32 arrows");
            arrows.starts.push(end);
        }
        arrows.ends.shrink_to_fit();
        arrows.starts.shrink_to_fit();
        Self { users: arrows.reversed(), needs: arrows }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.needs.starts.len() - 1
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a node needs, in the order in which it was told.
    #[must_use]
    pub fn needs(&self, node: u32) -> &[u32] {
        self.needs.of(node)
    }

    /// Who needs a node, in the order in which they were told.
    #[must_use]
    pub fn users(&self, node: u32) -> &[u32] {
        self.users.of(node)
    }

    /// All that these nodes need, however indirectly, and they themselves; each once, in the order
    /// in which it is come upon, a node after all that it needs.
    #[must_use]
    pub fn closure(&self, roots: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut seen = Marks::new(self.len());
        let mut order = Vec::new();
        // Nodes on the way down, each with how many of its arrows have been followed.
        let mut path: Vec<(u32, usize)> = Vec::new();
        for root in roots {
            if seen.add(root) {
                path.push((root, 0));
            }
            while let Some((node, followed)) = path.last_mut() {
                match self.needs.of(*node).get(*followed) {
                    Some(next) => {
                        *followed += 1;
                        if seen.add(*next) {
                            path.push((*next, 0));
                        }
                    }
                    None => {
                        order.push(*node);
                        path.pop();
                    }
                }
            }
        }
        order
    }

    /// All that need one of these nodes, however indirectly, and they themselves.
    #[must_use]
    pub fn affected(&self, faults: impl IntoIterator<Item = u32>) -> Marks {
        let mut affected = Marks::new(self.len());
        self.spread(faults, |node| affected.add(node));
        affected
    }

    /// Walks from these nodes to those that need them. `is_new` tells of a node whether it was not
    /// met before; so it can keep what it needs of the walk in the way that suits it.
    pub fn spread(
        &self,
        faults: impl IntoIterator<Item = u32>,
        mut is_new: impl FnMut(u32) -> bool,
    ) {
        let mut open: Vec<u32> = faults.into_iter().filter(|node| is_new(*node)).collect();
        while let Some(node) = open.pop() {
            open.extend(self.users.of(node).iter().filter(|user| is_new(**user)));
        }
    }

    /// The longest way down from each node, in arrows between nodes that `counts`. A way that comes
    /// back to where it was is not followed again.
    #[must_use]
    pub fn depths(&self, counts: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut depths = vec![0; self.len()];
        for node in self.closure(0..self.len() as u32) {
            let below = self.needs.of(node).iter().filter(|next| counts(**next));
            let deepest = below.map(|next| depths[*next as usize] + 1).max();
            depths[node as usize] = deepest.unwrap_or(0);
        }
        depths
    }
}

/// A set of nodes.
#[derive(Debug, Clone)]
pub struct Marks(Vec<bool>);

impl Marks {
    /// None of so many nodes.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(vec![false; count])
    }

    /// Adds a node and tells whether it was not in the set.
    pub fn add(&mut self, node: u32) -> bool {
        !std::mem::replace(&mut self.0[node as usize], true)
    }

    /// Whether a node is in the set.
    #[must_use]
    pub fn has(&self, node: u32) -> bool {
        self.0[node as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 needs 1 and 2, 1 and 2 need 3; 4 is alone.
    fn diamond() -> Graph {
        Graph::new([vec![1, 2], vec![3], vec![3], vec![], vec![]])
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        assert_eq!(diamond().closure([0]), [3, 1, 2, 0]);
        assert_eq!(diamond().closure([2, 0, 0]), [3, 2, 1, 0]);
        assert_eq!(diamond().closure([]), [0; 0]);
    }

    #[test]
    fn a_fault_reaches_those_above_it() {
        let affected = |faults: &[u32]| {
            let marks = diamond().affected(faults.iter().copied());
            (0..5).filter(|node| marks.has(*node)).collect::<Vec<_>>()
        };
        assert_eq!(affected(&[1]), [0, 1]);
        assert_eq!(affected(&[3]), [0, 1, 2, 3]);
        assert_eq!(affected(&[4]), [4]);
        assert_eq!(affected(&[2, 4]), [0, 2, 4]);
    }

    #[test]
    fn the_longest_way_down_counts() {
        let graph = Graph::new([vec![1, 2], vec![2], vec![3], vec![]]);
        assert_eq!(graph.depths(|_| true), [3, 2, 1, 0]);
        assert_eq!(graph.depths(|node| node != 3), [2, 1, 0, 0]);
    }

    #[test]
    fn no_chain_is_too_long() {
        let length = 1_000_000;
        let chain = Graph::new((0..length).map(|node| (node + 1 < length).then_some(node + 1)));
        assert_eq!(chain.closure([0]).len(), length as usize);
        assert!(chain.affected([length - 1]).has(0));
        assert_eq!(chain.depths(|_| true)[0], length - 1);
    }
}
