//! The list tree: a bounded binary Merkle tree over an ordered list of digests (log, outbox, headers, flushes, chunks).
//!
//! The leaves, padded with zero digests to a power of two, form a dense tree of depth `ceil(log2(count))`. A node is
//! the keyed hash of its two children under [`Domain::MerkleNode`]. The root binds the count, so that a list and its
//! zero-extended twin differ: `hash(MerkleRoot, chain 0, count as u64 little-endian || top)`. The empty list has count 0
//! and a zero top; a single leaf is its own top.

use std::sync::LazyLock;

use thiserror::Error;

use crate::digest::{Digest, hash};
use crate::domain::Domain;
use crate::node::{TreeKey, hash_pairs, pair};

/// The most leaves a list may have.
pub const COUNT_MAX: u64 = 1 << 32;
const DEPTH_MAX: usize = 32;

static NODE_KEY: LazyLock<TreeKey> = LazyLock::new(|| TreeKey::new(Domain::MerkleNode));

/// `ZERO_NODES[d]` is the top of a tree of depth `d` whose leaves are all zero.
static ZERO_NODES: LazyLock<[Digest; DEPTH_MAX]> = LazyLock::new(|| {
    let mut node = Digest::ZERO;
    std::array::from_fn(|_| {
        let here = node;
        node = pair(&NODE_KEY, &here, &here);
        here
    })
});

/// Where a leaf stands in a list, and the nodes beside its way to the top, lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Position of the leaf, from 0, below `count`.
    pub index: u64,
    /// Number of leaves in the list, at most [`COUNT_MAX`].
    pub count: u64,
    /// One sibling per level: exactly [`depth`]`(count)` of them.
    pub siblings: Vec<Digest>,
}

/// Proof that [`verify`] found a leaf at a position of a list. Only `verify` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Included {
    index: u64,
    count: u64,
}

impl Included {
    /// Position of the leaf, below the count.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// Number of leaves in the list.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.count
    }
}

/// How a path fails to show that a leaf is in a list. Whoever supplied the path is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// The path claims more leaves than a list may have.
    #[error("path claims {count} leaves, the most is {COUNT_MAX}")]
    Count {
        /// Leaves claimed.
        count: u64,
    },
    /// The path points past the end of its own list.
    #[error("path claims position {index} of {count}")]
    Index {
        /// Position claimed.
        index: u64,
        /// Leaves claimed.
        count: u64,
    },
    /// The path does not have one sibling per level.
    #[error("path has {found} siblings, its count needs {expected}")]
    Depth {
        /// Siblings that the count asks for.
        expected: usize,
        /// Siblings that the path has.
        found: usize,
    },
    /// Leaf and path lead to another root.
    #[error("path leads to root {computed}, not {expected}")]
    Root {
        /// The root to check against.
        expected: Digest,
        /// The root that leaf and path give.
        computed: Digest,
    },
}

/// Depth of a list of `count` leaves: `ceil(log2(count))`, and 0 for the empty list.
#[must_use]
pub const fn depth(count: u64) -> usize {
    match count {
        0 | 1 => 0,
        _ => (u64::BITS - (count - 1).leading_zeros()) as usize,
    }
}

/// Returns the root of a list without keeping its nodes.
///
/// # Panics
/// If there are more than [`COUNT_MAX`] leaves.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    let count = checked_count(leaves);
    let Some((&first, _)) = leaves.split_first() else {
        return seal(0, &Digest::ZERO);
    };
    if count == 1 {
        return seal(1, &first);
    }
    let mut level = parents(leaves, 0);
    for height in 1..depth(count) {
        level = parents(&level, height);
    }
    seal(count, &level[0])
}

/// Checks that `leaf` stands at `path.index` of the list that has `root`.
///
/// # Errors
/// [`PathError`], naming what the path gets wrong.
pub fn verify(root: &Digest, leaf: &Digest, path: &Path) -> Result<Included, PathError> {
    let Path { index, count, ref siblings } = *path;
    if count > COUNT_MAX {
        return Err(PathError::Count { count });
    }
    if index >= count {
        return Err(PathError::Index { index, count });
    }
    let expected = depth(count);
    if siblings.len() != expected {
        return Err(PathError::Depth { expected, found: siblings.len() });
    }
    let mut node = *leaf;
    for (height, sibling) in siblings.iter().enumerate() {
        node = match index >> height & 1 {
            0 => pair(&NODE_KEY, &node, sibling),
            _ => pair(&NODE_KEY, sibling, &node),
        };
    }
    let computed = seal(count, &node);
    if computed != *root {
        return Err(PathError::Root { expected: *root, computed });
    }
    Ok(Included { index, count })
}

/// A list tree that keeps its nodes, to hand out paths.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Leaves first, then each level of parents without its padding; the last level is the top. Empty for no leaves.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// Builds the tree over `leaves`.
    ///
    /// # Panics
    /// If there are more than [`COUNT_MAX`] leaves.
    #[must_use]
    pub fn new(leaves: Vec<Digest>) -> Self {
        let depth = depth(checked_count(&leaves));
        let mut levels = Vec::with_capacity(depth + 1);
        levels.push(leaves);
        for height in 0..depth {
            levels.push(parents(&levels[height], height));
        }
        Self { levels }
    }

    /// The leaves, in order.
    #[must_use]
    pub fn leaves(&self) -> &[Digest] {
        &self.levels[0]
    }

    /// Number of leaves.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.levels[0].len() as u64
    }

    /// The root of the list.
    #[must_use]
    pub fn root(&self) -> Digest {
        let top = self.levels[self.levels.len() - 1].first();
        seal(self.count(), top.unwrap_or(&Digest::ZERO))
    }

    /// The path of the leaf at `index`; `None` if the list is not that long.
    #[must_use]
    pub fn path(&self, index: u64) -> Option<Path> {
        if index >= self.count() {
            return None;
        }
        let inner = &self.levels[..self.levels.len() - 1];
        let siblings = inner.iter().enumerate().map(|(height, level)| {
            let beside = usize::try_from(index >> height ^ 1).ok();
            let node = beside.and_then(|beside| level.get(beside));
            *node.unwrap_or(&ZERO_NODES[height])
        });
        Some(Path { index, count: self.count(), siblings: siblings.collect() })
    }
}

fn checked_count(leaves: &[Digest]) -> u64 {
    let count = leaves.len() as u64;
    assert!(count <= COUNT_MAX, "{count} leaves, the most is {COUNT_MAX}");
    count
}

/// Hashes a level of at least two nodes at `height` into its parents. A last odd node is paired with a zero subtree.
fn parents(level: &[Digest], height: usize) -> Vec<Digest> {
    let whole = level.len() / 2;
    let mut parents = vec![Digest::ZERO; level.len().div_ceil(2)];
    hash_pairs(&NODE_KEY, &level[..2 * whole], &mut parents[..whole]);
    if let Some(odd) = level[2 * whole..].first() {
        parents[whole] = pair(&NODE_KEY, odd, &ZERO_NODES[height]);
    }
    parents
}

fn seal(count: u64, top: &Digest) -> Digest {
    hash(Domain::MerkleRoot, 0, &[&count.to_le_bytes(), &top.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count as u64).map(|index| hash(Domain::Test, 0, &[&index.to_le_bytes()])).collect()
    }

    /// The definition, word for word: pad to a power of two, hash level by level, bind the count.
    fn root_by_definition(leaves: &[Digest]) -> Digest {
        let key = TreeKey::new(Domain::MerkleNode);
        let mut level = leaves.to_vec();
        level.resize(leaves.len().next_power_of_two(), Digest::ZERO);
        while level.len() > 1 {
            level = level.chunks(2).map(|children| pair(&key, &children[0], &children[1])).collect();
        }
        hash(Domain::MerkleRoot, 0, &[&(leaves.len() as u64).to_le_bytes(), &level[0].0])
    }

    #[test]
    fn root_and_tree_follow_the_definition() {
        for count in (0..140).chain([255, 256, 257, 1000]) {
            let leaves = leaves(count);
            let expected = root_by_definition(&leaves);
            assert_eq!(root(&leaves), expected, "{count}");
            assert_eq!(Tree::new(leaves).root(), expected, "{count}");
        }
    }

    #[test]
    fn every_leaf_of_every_small_list_is_included() {
        for count in 1..=66 {
            let tree = Tree::new(leaves(count));
            for (index, leaf) in (0..).zip(tree.leaves()) {
                let path = tree.path(index).expect("the index is below the count");
                let included = verify(&tree.root(), leaf, &path).expect("the tree made the path");
                assert_eq!((included.index(), included.count()), (index, count as u64));
            }
            assert_eq!(tree.path(count as u64), None);
        }
        assert_eq!(Tree::new(Vec::new()).path(0), None);
    }

    #[test]
    fn a_path_that_is_touched_anywhere_fails() {
        let tree = Tree::new(leaves(13));
        let root = tree.root();
        let leaf = tree.leaves()[5];
        let path = tree.path(5).expect("the list is that long");
        let failure = |leaf: &Digest, touch: &dyn Fn(&mut Path)| {
            let mut path = path.clone();
            touch(&mut path);
            verify(&root, leaf, &path).expect_err("the path was touched")
        };
        for height in 0..4 {
            let error = failure(&leaf, &|path| path.siblings[height].0[31] ^= 1);
            assert!(matches!(error, PathError::Root { expected, .. } if expected == root));
        }
        assert!(matches!(failure(&tree.leaves()[6], &|_| {}), PathError::Root { .. }));
        assert!(matches!(failure(&leaf, &|path| path.index = 4), PathError::Root { .. }));
        // The count is bound by the root even where it does not change the depth.
        assert!(matches!(failure(&leaf, &|path| path.count = 14), PathError::Root { .. }));
        assert_eq!(failure(&leaf, &|path| path.index = 13), PathError::Index { index: 13, count: 13 });
        assert_eq!(failure(&leaf, &|path| path.count = 0), PathError::Index { index: 5, count: 0 });
        assert_eq!(failure(&leaf, &|path| path.count = 17), PathError::Depth { expected: 5, found: 4 });
        assert_eq!(failure(&leaf, &|path| path.count = 8), PathError::Depth { expected: 3, found: 4 });
        assert_eq!(
            failure(&leaf, &|path| path.siblings.push(Digest::ZERO)),
            PathError::Depth { expected: 4, found: 5 }
        );
        assert_eq!(failure(&leaf, &|path| path.count = COUNT_MAX + 1), PathError::Count { count: COUNT_MAX + 1 });
        assert_eq!(failure(&leaf, &|path| path.count = COUNT_MAX), PathError::Depth { expected: 32, found: 4 });
    }

    #[test]
    fn lists_that_pad_alike_differ() {
        let mut list = leaves(5);
        let mut roots = vec![root(&[]), root(&[Digest::ZERO]), root(&[Digest::ZERO; 2]), root(&list)];
        list.push(Digest::ZERO);
        roots.push(root(&list));
        list.push(Digest::ZERO);
        roots.push(root(&list));
        let count = roots.len();
        roots.sort_unstable();
        roots.dedup();
        assert_eq!(roots.len(), count);
    }

    #[test]
    fn the_longest_list_has_a_path() {
        // Too long to build, but its last leaf and the zero subtrees beside it make a valid path.
        let siblings: Vec<Digest> = ZERO_NODES.to_vec();
        let leaf = Digest([7; 32]);
        let top = siblings.iter().fold(leaf, |node, sibling| pair(&NODE_KEY, sibling, &node));
        let path = Path { index: COUNT_MAX - 1, count: COUNT_MAX, siblings };
        let included = verify(&seal(COUNT_MAX, &top), &leaf, &path).expect("every other leaf is zero");
        assert_eq!(included.index(), COUNT_MAX - 1);
    }

    #[test]
    fn depths_are_ceilings_of_the_logarithm() {
        let depths = [0, 1, 2, 3, 4, 5, 8, 9, 1 << 20, (1 << 20) + 1, COUNT_MAX].map(depth);
        assert_eq!(depths, [0, 0, 1, 2, 2, 3, 3, 4, 20, 21, DEPTH_MAX]);
    }

    #[test]
    fn a_known_root_stays_what_it_was() {
        assert_eq!(root(&[]).to_string(), "0af67d03f6fc289d4991e61e7b4f0e41c4e0b418f2e4ea5c0a2f7798b807e986");
        assert_eq!(root(&leaves(5)).to_string(), "3a525e5c76af590466baedca56c775cddc2542b82aa2fca96e7a1b5e7d0410a1");
    }
}
