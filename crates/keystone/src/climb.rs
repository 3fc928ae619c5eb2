//! Hashing from some leaves to the root with whatever is known beside the way: the loop behind witnesses and replays.

use crate::hash::{BLOCK, TreeHash};
use ghostplane_types::TREE_DEPTH;

/// Where a climb finds the nodes beside its way.
pub(crate) trait Siblings<H: TreeHash> {
    /// Why a node is not to be had.
    type Error;

    /// The node at `index` of the level at `height`.
    fn node(&mut self, height: usize, index: u32) -> Result<H::Digest, Self::Error>;
}

/// Some leaves and the nodes above them, level by level.
#[derive(Clone, Debug)]
pub(crate) struct Climb<H: TreeHash> {
    /// Where each level starts in the two lists below; the last level ends with them.
    starts: Vec<usize>,
    indices: Vec<u32>,
    digests: Vec<H::Digest>,
}

impl<H: TreeHash> Default for Climb<H> {
    fn default() -> Self {
        Self { starts: vec![0], indices: Vec::new(), digests: Vec::new() }
    }
}

impl<H: TreeHash> Climb<H> {
    /// The lowest level, to be filled with ascending distinct indices and their digests before the climb.
    pub(crate) fn bottom(&mut self) -> (&mut Vec<u32>, &mut Vec<H::Digest>) {
        (&mut self.indices, &mut self.digests)
    }

    /// Hashes from the lowest level, which must have been filled, to the root.
    ///
    /// Takes unchanged neighbours from `siblings`: level by level, left to right.
    pub(crate) fn run<S: Siblings<H>>(&mut self, mut siblings: S) -> Result<(), S::Error> {
        assert_eq!(self.indices.len(), self.digests.len(), "one digest per changed leaf");
        let mut pairs = [H::PAIR; BLOCK];
        for height in 0..TREE_DEPTH {
            let end = self.indices.len();
            let mut at = *self.starts.last().expect("there is always a lowest level");
            self.starts.push(end);
            while at < end {
                let mut filled = 0;
                while at < end && filled < BLOCK {
                    let index = self.indices[at];
                    let is_right = index & 1 == 1;
                    let pair = &mut pairs[filled];
                    H::put(pair, is_right, &self.digests[at]);
                    at += 1;
                    if !is_right && at < end && self.indices[at] == index + 1 {
                        H::put(pair, true, &self.digests[at]);
                        at += 1;
                    } else {
                        H::put(pair, !is_right, &siblings.node(height, index ^ 1)?);
                    }
                    self.indices.push(index >> 1);
                    filled += 1;
                }
                let start = self.digests.len();
                self.digests.resize(start + filled, H::Digest::default());
                H::hash_pairs(&pairs[..filled], &mut self.digests[start..]);
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
}
