//! A whole tree in memory: one list of digests per level.

use crate::climb::{Climb, Siblings};
use crate::hash::{BLOCK, TreeHash, is_allocated};
use crate::level::{Couple, Level, SEGMENT};
use ghostplane_types::TREE_DEPTH;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Mutex;

/// The allocated nodes of a tree: level 0 the leaves, level 30 the root. A level ends with the last allocated subtree.
#[derive(Clone, Debug)]
pub(crate) struct Levels<H: TreeHash> {
    levels: Vec<Level<H::Digest>>,
    used: u32,
}

/// Leaves under the subtrees that one job hashes when a tree is built: those of one segment.
const JOB_LEAVES: usize = 2 * SEGMENT;
/// Levels that a job fills: from its leaves to the last that it does not share a couple of with the next job.
const JOB_LEVELS: usize = JOB_LEAVES.ilog2() as usize;

impl<H: TreeHash> Levels<H> {
    /// The tree over `used` leaves, at least 1, before any of it is hashed.
    pub(crate) fn unhashed(used: u32) -> Self {
        let level = |height| Level::new(level_len(used, height), H::zeros()[height]);
        Self { levels: (0..=TREE_DEPTH).map(level).collect(), used }
    }

    /// Cuts the lower levels into subtrees that can be hashed side by side, each by one job.
    pub(crate) fn subtrees(&mut self) -> Vec<Mutex<Subtree<'_, H>>> {
        let leaves = self.used as usize;
        let starts = (0..leaves).step_by(JOB_LEAVES);
        let mut subtrees: Vec<_> =
            starts.map(|start| Subtree { start, end: leaves.min(start + JOB_LEAVES), levels: Vec::new() }).collect();
        for (height, level) in self.levels[..JOB_LEVELS].iter_mut().enumerate() {
            let parts = level.segments_mut().flat_map(|segment| segment.chunks_mut(SEGMENT >> height));
            for (subtree, part) in subtrees.iter_mut().zip(parts) {
                subtree.levels.push(part);
            }
        }
        subtrees.into_iter().map(Mutex::new).collect()
    }

    /// Hashes what is above the subtrees, once they are hashed.
    pub(crate) fn join(&mut self) {
        for height in JOB_LEVELS - 1..TREE_DEPTH {
            let (below, above) = self.levels.split_at_mut(height + 1);
            hash_couples::<H>(below[height].couples(), |index, node| above[0].store(index, node));
        }
    }

    /// The node at the top.
    pub(crate) fn root(&self) -> H::Digest {
        *self.levels[TREE_DEPTH].node(0).expect("every level has a node")
    }

    /// The node at `index` of the level at `height`, allocated or not.
    #[inline]
    pub(crate) fn node(&self, height: usize, index: u32) -> H::Digest {
        self.levels[height].node(index as usize).copied().unwrap_or(H::zeros()[height])
    }

    /// Reads a word of the neighbour of each of `indices`. The reads wait for memory all at once, not one after another
    /// as they would between the steps of a climb.
    #[inline]
    fn touch(&self, height: usize, indices: &[u32]) {
        let nodes = indices.iter().filter_map(|&index| self.levels[height].node(index as usize ^ 1));
        std::hint::black_box(nodes.fold(0, |sum, node| sum ^ H::word(node)));
    }

    /// Makes `used` leaves allocated. New nodes stay unallocated subtrees until they are stored.
    pub(crate) fn resize(&mut self, used: u32) {
        for (height, level) in self.levels.iter_mut().enumerate() {
            level.resize(level_len(used, height));
        }
        self.used = used;
    }

    /// Takes over the nodes that `climb` recomputed from the level at height `from` upwards.
    pub(crate) fn store(&mut self, climb: &Climb<H>, from: usize) {
        for level in 0..climb.levels() {
            let nodes = &mut self.levels[from + level];
            let (indices, digests) = climb.level(level);
            for (&index, digest) in indices.iter().zip(digests) {
                nodes.store(index as usize, *digest);
            }
        }
    }

    /// The allocated nodes beside the way of leaf `index` to the root, lowest first.
    pub(crate) fn path(&self, index: u32) -> Vec<H::Digest> {
        let beside = |height: usize| (height, index >> height ^ 1);
        let allocated = (0..TREE_DEPTH).map(beside).filter(|&(height, index)| is_allocated(height, index, self.used));
        allocated.map(|(height, index)| self.node(height, index)).collect()
    }

    /// The allocated nodes that, with the leaves at `known` (ascending, distinct), determine the root: level by level,
    /// left to right.
    pub(crate) fn multiproof(&self, known: Vec<u32>) -> Vec<H::Digest> {
        let mut siblings = Vec::new();
        let mut indices = known;
        for height in 0..TREE_DEPTH {
            let mut parents: Vec<u32> = Vec::with_capacity(indices.len());
            for (at, &index) in indices.iter().enumerate() {
                if parents.last() == Some(&(index >> 1)) {
                    continue;
                }
                let beside = index ^ 1;
                if indices.get(at + 1) != Some(&beside) && is_allocated(height, beside, self.used) {
                    siblings.push(self.node(height, beside));
                }
                parents.push(index >> 1);
            }
            indices = parents;
        }
        siblings
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.levels.iter().map(Level::heap_bytes).sum::<usize>() + self.levels.capacity() * size_of::<Level<H::Digest>>()
    }
}

impl<H: TreeHash> Siblings<H> for &Levels<H> {
    type Error = Infallible;

    #[inline]
    fn node(&mut self, height: usize, index: u32) -> Result<H::Digest, Infallible> {
        Ok(Levels::node(self, height, index))
    }

    fn warm(&self, height: usize, indices: &[u32]) {
        self.touch(height, indices);
    }
}

/// Nodes that cover the first `used` leaves at a height; a level is never empty.
fn level_len(used: u32, height: usize) -> usize {
    (used as usize).div_ceil(1 << height).max(1)
}

/// A part of a tree that is being built: the lower levels above a run of leaves.
#[derive(Debug)]
pub(crate) struct Subtree<'a, H: TreeHash> {
    start: usize,
    end: usize,
    levels: Vec<&'a mut [Couple<H::Digest>]>,
}

impl<H: TreeHash> Subtree<'_, H> {
    /// Hashes the subtree from its leaves, which `leaf(range of indices, out)` yields.
    pub(crate) fn hash(&mut self, leaf: impl FnOnce(Range<usize>, &mut [H::Digest])) {
        let mut leaves = vec![H::Digest::default(); self.end - self.start];
        leaf(self.start..self.end, &mut leaves);
        for (couple, leaves) in self.levels[0].iter_mut().zip(leaves.chunks(2)) {
            couple.0[..leaves.len()].copy_from_slice(leaves);
        }
        for height in 1..JOB_LEVELS {
            let (below, above) = self.levels.split_at_mut(height);
            hash_couples::<H>(below[height - 1].iter(), |index, node| above[0][index / 2].0[index % 2] = node);
        }
    }
}

/// Hashes the couples of a level, and hands each parent to `store(position, node)`.
fn hash_couples<'a, H: TreeHash>(
    couples: impl Iterator<Item = &'a Couple<H::Digest>>,
    mut store: impl FnMut(usize, H::Digest),
) {
    let mut pairs = couples.map(|couple| H::pair(&couple.0[0], &couple.0[1]));
    let mut block = Vec::with_capacity(BLOCK);
    let mut parents = [H::Digest::default(); BLOCK];
    let mut hashed = 0;
    loop {
        block.clear();
        block.extend(pairs.by_ref().take(BLOCK));
        if block.is_empty() {
            return;
        }
        H::hash_pairs(&block, &mut parents[..block.len()]);
        for (index, node) in (hashed..).zip(&parents[..block.len()]) {
            store(index, *node);
        }
        hashed += block.len();
    }
}
