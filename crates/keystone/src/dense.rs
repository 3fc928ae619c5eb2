//! A whole tree in memory, updated in place.

use crate::hash::{BLOCK, TreeHash, is_allocated, leaf_count};
use crate::level::{Couple, Level, SEGMENT};
use ghostplane_types::TREE_DEPTH;
use std::ops::Range;

/// The allocated nodes of a tree: level 0 the leaves, level 30 the root. A level ends with the last allocated subtree.
#[derive(Clone, Debug)]
pub(crate) struct Levels<H: TreeHash> {
    levels: Vec<Level<H::Digest>>,
    used: u32,
}

/// The leaves of one subtree that a job hashes alone: those of one segment.
pub(crate) const SUBTREE_LEAVES: usize = 2 * SEGMENT;
/// Levels of such a subtree: from its leaves to the last that it does not share a couple of with its neighbour.
const SUBTREE_LEVELS: usize = SUBTREE_LEAVES.ilog2() as usize;

impl<H: TreeHash> Levels<H> {
    /// The tree over `used` leaves, at least 1, before any of it is hashed.
    pub(crate) fn unhashed(used: u32) -> Self {
        let level = |height| Level::new(level_len(used, height), H::zeros()[height]);
        Self { levels: (0..=TREE_DEPTH).map(level).collect(), used }
    }

    /// The node at the top.
    pub(crate) fn root(&self) -> H::Digest {
        *self.levels[TREE_DEPTH].node(0).expect("every level has a node")
    }

    /// The node at `index` of the level at `height`, allocated or not.
    pub(crate) fn node(&self, height: usize, index: u32) -> H::Digest {
        self.levels[height].node(index as usize).copied().unwrap_or(H::zeros()[height])
    }

    /// Makes `used` leaves allocated. New nodes stay unallocated subtrees until they are stored.
    pub(crate) fn resize(&mut self, used: u32) {
        for (height, level) in self.levels.iter_mut().enumerate() {
            level.resize(level_len(used, height));
        }
        self.used = used;
    }

    /// Cuts the lower levels into parts that can be updated side by side: each takes that many subtrees from the left.
    pub(crate) fn parts(&mut self, subtrees: impl IntoIterator<Item = usize>) -> Vec<LevelsPart<'_, H>> {
        let count = (self.used as usize).div_ceil(SUBTREE_LEAVES);
        let mut all: Vec<[&mut [Couple<H::Digest>]; SUBTREE_LEVELS]> = Vec::with_capacity(count);
        all.resize_with(count, Default::default);
        for (height, level) in self.levels[..SUBTREE_LEVELS].iter_mut().enumerate() {
            let couples = level.segments_mut().flat_map(|segment| segment.chunks_mut(SEGMENT >> height));
            for (subtree, couples) in all.iter_mut().zip(couples) {
                subtree[height] = couples;
            }
        }
        let mut first = 0;
        let mut all = all.into_iter();
        let used = self.used as usize;
        let parts = subtrees.into_iter().map(|count| {
            let start = first;
            first += count;
            let leaves = start * SUBTREE_LEAVES..used.min(first * SUBTREE_LEAVES);
            LevelsPart { first: start, leaves, subtrees: all.by_ref().take(count).collect() }
        });
        parts.collect()
    }

    /// The parts of one subtree each, all of them.
    pub(crate) fn subtrees(&mut self) -> Vec<LevelsPart<'_, H>> {
        let count = (self.used as usize).div_ceil(SUBTREE_LEAVES);
        self.parts(std::iter::repeat_n(1, count))
    }

    /// Hashes what is above the parts once they are up to date, over the nodes that [`LevelsPart::update`] left.
    pub(crate) fn join(&mut self, indices: &mut Vec<u32>) {
        climb(self, indices, SUBTREE_LEVELS - 1..TREE_DEPTH);
    }

    /// Hashes what is above the parts once all of them were built.
    pub(crate) fn join_all(&mut self) {
        let count = level_len(self.used, SUBTREE_LEVELS - 1);
        self.join(&mut (0..leaf_count(count)).collect());
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
        let lists = self.levels.capacity() * size_of::<Level<H::Digest>>();
        lists + self.levels.iter().map(Level::heap_bytes).sum::<usize>()
    }
}

/// Nodes that cover the first `used` leaves at a height; a level is never empty.
fn level_len(used: u32, height: usize) -> usize {
    (used as usize).div_ceil(1 << height).max(1)
}

/// The lower levels of some neighbouring subtrees, held by one job.
#[derive(Debug)]
pub(crate) struct LevelsPart<'a, H: TreeHash> {
    /// The first subtree.
    first: usize,
    leaves: Range<usize>,
    subtrees: Vec<[&'a mut [Couple<H::Digest>]; SUBTREE_LEVELS]>,
}

impl<H: TreeHash> LevelsPart<'_, H> {
    /// Hashes all of these levels from their leaves, which `leaf(range of indices, out)` yields.
    pub(crate) fn build(&mut self, leaf: impl FnOnce(Range<usize>, &mut [H::Digest])) {
        let mut leaves = vec![H::Digest::default(); self.leaves.len()];
        leaf(self.leaves.clone(), &mut leaves);
        self.update(&mut self.leaves.clone().map(leaf_count).collect(), &leaves);
    }

    /// Stores `leaves` at `indices`, ascending and distinct, and hashes what they change in these levels.
    ///
    /// Leaves the changed nodes of the highest of them in `indices`.
    pub(crate) fn update(&mut self, indices: &mut Vec<u32>, leaves: &[H::Digest]) {
        for (&index, leaf) in indices.iter().zip(leaves) {
            self.store(0, index as usize, *leaf);
        }
        climb(self, indices, 0..SUBTREE_LEVELS - 1);
    }
}

/// Nodes of some levels, to be read by couples and written one by one.
trait Nodes<H: TreeHash> {
    /// The couple whose parent is at `parent` of the level above `height`.
    fn couple(&self, height: usize, parent: usize) -> &Couple<H::Digest>;

    /// Overwrites a node.
    fn store(&mut self, height: usize, index: usize, node: H::Digest);
}

impl<H: TreeHash> Nodes<H> for LevelsPart<'_, H> {
    #[inline]
    fn couple(&self, height: usize, parent: usize) -> &Couple<H::Digest> {
        let width = SEGMENT >> height;
        &self.subtrees[parent / width - self.first][height][parent % width]
    }

    #[inline]
    fn store(&mut self, height: usize, index: usize, node: H::Digest) {
        let width = SEGMENT >> height;
        self.subtrees[index / 2 / width - self.first][height][index / 2 % width].0[index % 2] = node;
    }
}

impl<H: TreeHash> Nodes<H> for Levels<H> {
    fn couple(&self, height: usize, parent: usize) -> &Couple<H::Digest> {
        self.levels[height].couple(parent)
    }

    fn store(&mut self, height: usize, index: usize, node: H::Digest) {
        self.levels[height].store(index, node);
    }
}

/// Hashes what is above the changed nodes at `indices` (ascending, distinct) of the lowest of `heights`, one level after
/// the other, and leaves the changed nodes of the highest in `indices`.
///
/// Couples are gathered in one tight loop per block, so that many wait for memory at once, and then hashed together.
fn climb<H: TreeHash>(nodes: &mut impl Nodes<H>, indices: &mut Vec<u32>, heights: Range<usize>) {
    let mut pairs = [H::PAIR; BLOCK];
    let mut parents = [H::Digest::default(); BLOCK];
    for height in heights {
        indices.iter_mut().for_each(|index| *index >>= 1);
        indices.dedup();
        for indices in indices.chunks(BLOCK) {
            for (pair, &index) in pairs.iter_mut().zip(indices) {
                H::set(pair, &nodes.couple(height, index as usize).0);
            }
            H::hash_pairs(&pairs[..indices.len()], &mut parents[..indices.len()]);
            for (&index, parent) in indices.iter().zip(&parents) {
                nodes.store(height + 1, index as usize, *parent);
            }
        }
    }
}
