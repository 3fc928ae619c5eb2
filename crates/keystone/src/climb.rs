//! Hashing from changed leaves to the root: the one loop behind updates, witnesses and replays.

use crate::hash::{BLOCK, TreeHash};
use std::ops::Range;

/// Where a climb finds the nodes beside its way.
pub(crate) trait Siblings<H: TreeHash> {
    /// Why a node is not to be had.
    type Error;

    /// The node at `index` of the level at `height`.
    fn node(&mut self, height: usize, index: u32) -> Result<H::Digest, Self::Error>;

    /// Says that the neighbours of these nodes are asked for next.
    fn warm(&self, _height: usize, _indices: &[u32]) {}
}

/// Recomputed nodes, level by level from the changed leaves upwards. Kept between batches for its memory.
#[derive(Clone, Debug)]
pub(crate) struct Climb<H: TreeHash> {
    /// Where each level starts in the two lists below; the last level ends with them.
    starts: Vec<usize>,
    indices: Vec<u32>,
    digests: Vec<H::Digest>,
    pairs: Vec<H::Pair>,
}

impl<H: TreeHash> Default for Climb<H> {
    fn default() -> Self {
        Self { starts: vec![0], indices: Vec::new(), digests: Vec::new(), pairs: Vec::new() }
    }
}

impl<H: TreeHash> Climb<H> {
    /// Forgets everything but the memory. The lowest level is filled next, through [`Self::bottom`].
    pub(crate) fn clear(&mut self) {
        self.starts.clear();
        self.starts.push(0);
        self.indices.clear();
        self.digests.clear();
    }

    /// The lowest level, to be filled with ascending distinct indices and their digests before the climb.
    pub(crate) fn bottom(&mut self) -> (&mut Vec<u32>, &mut Vec<H::Digest>) {
        (&mut self.indices, &mut self.digests)
    }

    /// Hashes from the level at height `from`, which must have been filled, up to the level at height `to`.
    ///
    /// Takes unchanged neighbours from `siblings`: level by level, left to right.
    pub(crate) fn run<S: Siblings<H>>(&mut self, from: usize, to: usize, mut siblings: S) -> Result<(), S::Error> {
        assert_eq!(self.indices.len(), self.digests.len(), "one digest per changed leaf");
        for height in from..to {
            let end = self.indices.len();
            let mut at = *self.starts.last().expect("there is always a lowest level");
            self.starts.push(end);
            while at < end {
                self.pairs.clear();
                siblings.warm(height, &self.indices[at..end.min(at + BLOCK)]);
                while at < end && self.pairs.len() < BLOCK {
                    let index = self.indices[at];
                    let node = &self.digests[at];
                    let is_left = index & 1 == 0;
                    if is_left && at + 1 < end && self.indices[at + 1] == index + 1 {
                        self.pairs.push(H::pair(node, &self.digests[at + 1]));
                        at += 2;
                    } else {
                        let beside = siblings.node(height, index ^ 1)?;
                        let (left, right) = if is_left { (node, &beside) } else { (&beside, node) };
                        self.pairs.push(H::pair(left, right));
                        at += 1;
                    }
                    self.indices.push(index >> 1);
                }
                let start = self.digests.len();
                self.digests.resize(start + self.pairs.len(), H::Digest::default());
                H::hash_pairs(&self.pairs, &mut self.digests[start..]);
            }
        }
        Ok(())
    }

    /// How many levels have been filled.
    pub(crate) fn levels(&self) -> usize {
        self.starts.len()
    }

    /// The nodes of the `level`-th level that was filled, ascending by index.
    pub(crate) fn level(&self, level: usize) -> (&[u32], &[H::Digest]) {
        let end = self.starts.get(level + 1).copied().unwrap_or(self.indices.len());
        let range = self.starts[level]..end;
        (&self.indices[range.clone()], &self.digests[range])
    }

    /// The highest level that was filled.
    pub(crate) fn top(&self) -> (&[u32], &[H::Digest]) {
        self.level(self.levels() - 1)
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.starts.capacity() * size_of::<usize>()
            + self.indices.capacity() * size_of::<u32>()
            + self.digests.capacity() * size_of::<H::Digest>()
            + self.pairs.capacity() * size_of::<H::Pair>()
    }
}

/// Leaves per part: few enough that the nodes on their way stay in the second-level cache until they are stored, many
/// enough that the narrow levels at a part's top do not count.
const PART_LEAVES: usize = 512;

/// A split of changed leaves into parts that share no node below `height`.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    /// Ranges of positions in the list of changed leaves, in order, none empty unless there are no leaves.
    pub(crate) parts: Vec<Range<usize>>,
    /// Each part climbs alone up to this height; with one part, to the root.
    pub(crate) height: usize,
}

impl Split {
    /// Splits `count` leaves, of which `index(position)` ascends, into parts of about equal size.
    ///
    /// Cuts where neighbouring leaves part highest in the tree, so that as little as possible is left to climb after.
    pub(crate) fn new(count: usize, index: impl Fn(usize) -> u32) -> Self {
        let parts = (count / PART_LEAVES).max(1);
        let mut height = ghostplane_types::TREE_DEPTH;
        let mut cuts = vec![0];
        let reach = count / (4 * parts);
        for part in 1..parts {
            let centre = part * count / parts;
            let meeting = |at: usize| u32::BITS - (index(at - 1) ^ index(at)).leading_zeros();
            let best = (centre - reach..=centre + reach).max_by_key(|&at| (meeting(at), centre.abs_diff(at) == 0));
            let best = best.expect("the range holds its centre");
            height = height.min(meeting(best) as usize - 1);
            cuts.push(best);
        }
        cuts.push(count);
        Self { parts: cuts.windows(2).map(|cut| cut[0]..cut[1]).collect(), height }
    }
}
