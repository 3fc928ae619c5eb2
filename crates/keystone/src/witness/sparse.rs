//! The part of a tree that a witness covers, with every node that was hashed to check it.

use crate::climb::{Climb, Siblings};
use crate::hash::{TreeHash, is_allocated};
use crate::view::{Missing, MissingWhat};
use ghostplane_types::TREE_DEPTH;

/// The nodes above some leaves of a tree of `used` leaves, and the nodes beside them.
#[derive(Clone, Debug)]
pub(super) struct Sparse<H: TreeHash> {
    used: u32,
    /// Nodes that follow from the leaves, every level.
    above: Climb<H>,
    /// Nodes that the witness carries, level by level, left to right, and their indices.
    beside: Vec<H::Digest>,
    beside_indices: Vec<u32>,
    /// Where each level starts in the two lists above.
    beside_starts: Vec<usize>,
}

/// The nodes of a witness are not as many as its leaves need.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeCount {
    pub(super) carried: usize,
    /// `None` if more than those carried.
    pub(super) needed: Option<usize>,
}

impl<H: TreeHash> Sparse<H> {
    /// Hashes from the leaves in the lowest level of `leaves` to the root, with `nodes` beside the way.
    pub(super) fn new(used: u32, leaves: Climb<H>, nodes: Vec<H::Digest>) -> Result<Self, NodeCount> {
        let mut above = leaves;
        let mut carried = Carried { used, nodes: &nodes, indices: Vec::with_capacity(nodes.len()), starts: vec![0] };
        if !above.top().0.is_empty() {
            above.run(&mut carried)?;
        }
        let Carried { indices: beside_indices, starts: mut beside_starts, .. } = carried;
        if beside_indices.len() != nodes.len() {
            return Err(NodeCount { carried: nodes.len(), needed: Some(beside_indices.len()) });
        }
        beside_starts.resize(TREE_DEPTH + 1, nodes.len());
        Ok(Self { used, above, beside: nodes, beside_indices, beside_starts })
    }

    /// The root, unless there are no leaves.
    pub(super) fn root(&self) -> Option<H::Digest> {
        self.above.top().1.first().copied()
    }

    /// Reads nodes in ascending order: level by level, left to right. `missing(height, index)` names what is not there.
    pub(super) fn reader<'a>(&'a self, missing: &'a dyn Fn(usize, u32) -> MissingWhat) -> SparseReader<'a, H> {
        SparseReader { tree: self, missing, height: 0, above_at: 0, beside_at: 0 }
    }
}

/// The nodes that a witness carries, handed out in the order in which they are asked for.
struct Carried<'a, H: TreeHash> {
    used: u32,
    nodes: &'a [H::Digest],
    /// Which node each one turned out to be.
    indices: Vec<u32>,
    starts: Vec<usize>,
}

impl<H: TreeHash> Siblings<H> for &mut Carried<'_, H> {
    type Error = NodeCount;

    fn node(&mut self, height: usize, index: u32) -> Result<H::Digest, NodeCount> {
        if !is_allocated(height, index, self.used) {
            return Ok(H::zeros()[height]);
        }
        self.starts.resize(height + 1, self.indices.len());
        let carried = self.nodes.len();
        let node = self.nodes.get(self.indices.len()).ok_or(NodeCount { carried, needed: None })?;
        self.indices.push(index);
        Ok(*node)
    }
}

/// Walks along the known nodes of a level, instead of searching each.
pub(super) struct SparseReader<'a, H: TreeHash> {
    tree: &'a Sparse<H>,
    missing: &'a dyn Fn(usize, u32) -> MissingWhat,
    height: usize,
    above_at: usize,
    beside_at: usize,
}

impl<H: TreeHash> SparseReader<'_, H> {
    fn find(&mut self, height: usize, index: u32) -> Option<H::Digest> {
        let tree = self.tree;
        if !is_allocated(height, index, tree.used) {
            return Some(H::zeros()[height]);
        }
        if self.height != height {
            (self.height, self.above_at, self.beside_at) = (height, 0, 0);
        }
        let range = tree.beside_starts[height]..tree.beside_starts[height + 1];
        let beside = &tree.beside_indices[range.clone()];
        if let Some(at) = walk(beside, &mut self.beside_at, index) {
            return Some(tree.beside[range.start + at]);
        }
        if height >= tree.above.levels() {
            return None;
        }
        let (above, digests) = tree.above.level(height);
        walk(above, &mut self.above_at, index).map(|at| digests[at])
    }
}

impl<H: TreeHash> Siblings<H> for SparseReader<'_, H> {
    type Error = Missing;

    fn node(&mut self, height: usize, index: u32) -> Result<H::Digest, Missing> {
        self.find(height, index).ok_or_else(|| (self.missing)(height, index).into())
    }
}

/// Moves `at` forward to the first of the ascending `indices` that is not below `index`; its place if it is `index`.
fn walk(indices: &[u32], at: &mut usize, index: u32) -> Option<usize> {
    while indices.get(*at).is_some_and(|&other| other < index) {
        *at += 1;
    }
    (indices.get(*at) == Some(&index)).then_some(*at)
}
