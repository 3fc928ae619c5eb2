//! Final commitments for ever, in a few digests: a Merkle mountain range.
//!
//! The records are the leaves. Each set bit of their count is a mountain, a perfect binary tree of that many leaves, from
//! the highest on the left to the lowest on the right; only the peaks are kept. A new leaf merges mountains of equal
//! height, so that a record's path grows at its end and never changes below.
//!
//! A leaf is `hash(Archive, chain_id, record)`; a node is the keyed hash of its children under [`Domain::Archive`].

use crate::codec::{fields, put_items, read_items};
use crate::limits::{ARCHIVE_DEPTH_MAX, RECENT_FINALS_MAX};
use ghostplane_ghostcipher::node::{TreeKey, pair};
use ghostplane_ghostcipher::{Digest, Domain, digest};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_list, put_varint};
use std::collections::VecDeque;
use std::sync::LazyLock;
use thiserror::Error;

static NODE_KEY: LazyLock<TreeKey> = LazyLock::new(|| TreeKey::new(Domain::Archive));

/// What stays of a commitment that is final as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalRecord {
    /// Its first batch.
    pub first_batch: u64,
    /// Its last batch that is final: a conviction may have cut the rest off.
    pub last_batch: u64,
    /// Its root over header digests, those of cut batches included.
    pub headers_root: Digest,
    /// Its root over posted batches, those of cut batches included.
    pub data_digest: Digest,
    /// Digest of the header of its last final batch.
    pub last_header: Digest,
}

fields!(FinalRecord {
    first_batch: u64,
    last_batch: u64,
    headers_root: Digest,
    data_digest: Digest,
    last_header: Digest,
});

impl FinalRecord {
    /// The leaf of the archive.
    pub fn leaf(&self, chain_id: u64) -> Digest {
        digest::hash(Domain::Archive, chain_id, &[&self.to_bytes()])
    }
}

/// The peaks of a mountain range: all that is needed to append and to verify.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    count: u64,
    peaks: Vec<Digest>,
}

/// Where a leaf stands in a mountain range, and the nodes beside its way to its mountain's peak, lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Position of the leaf, from 0.
    pub index: u64,
    /// One sibling per level of the leaf's mountain.
    pub siblings: Vec<Digest>,
}

/// Proof that [`Peaks::verify`] found a leaf at a position. Only it makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archived {
    index: u64,
}

impl Archived {
    /// Position of the leaf.
    pub const fn index(self) -> u64 {
        self.index
    }
}

/// How a path fails to show that a leaf is in the archive. Whoever supplied the path is wrong, or late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ArchivePathError {
    /// The archive is not that long.
    #[error("path claims position {index}, the archive has {count}")]
    Index {
        /// Position claimed.
        index: u64,
        /// Leaves of the archive.
        count: u64,
    },
    /// Not one sibling per level. A path made before the archive grew can be too short: make it again.
    #[error("path has {found} siblings, its mountain has {expected} levels now")]
    Depth {
        /// Levels of the mountain.
        expected: usize,
        /// Siblings found.
        found: usize,
    },
    /// Leaf and path lead to another peak.
    #[error("path leads to {computed}, the peak is {expected}")]
    Peak {
        /// The peak.
        expected: Digest,
        /// Where leaf and path lead.
        computed: Digest,
    },
}

impl Peaks {
    /// Leaves so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The peaks, highest mountain first.
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Appends a leaf and returns its position. Takes at most one hash per level.
    pub fn append(&mut self, leaf: Digest) -> u64 {
        let index = self.count;
        let mut node = leaf;
        for _ in 0..index.trailing_ones() {
            let left = self.peaks.pop().expect("one peak per set bit of the count");
            node = pair(&NODE_KEY, &left, &node);
        }
        self.peaks.push(node);
        self.count += 1;
        index
    }

    /// Checks that `leaf` stands at `path.index`.
    pub fn verify(&self, leaf: &Digest, path: &Path) -> Result<Archived, ArchivePathError> {
        let index = path.index;
        let (mountain, expected) =
            mountain_of(self.count, index).ok_or(ArchivePathError::Index { index, count: self.count })?;
        if path.siblings.len() != expected {
            return Err(ArchivePathError::Depth { expected, found: path.siblings.len() });
        }
        // The leaves of earlier mountains are a multiple of this one's size, so the bits of the index are those within it.
        let computed =
            path.siblings.iter().enumerate().fold(*leaf, |node, (height, sibling)| match index >> height & 1 {
                0 => pair(&NODE_KEY, &node, sibling),
                _ => pair(&NODE_KEY, sibling, &node),
            });
        let peak = self.peaks[mountain];
        if computed != peak {
            return Err(ArchivePathError::Peak { expected: peak, computed });
        }
        Ok(Archived { index })
    }
}

/// Which mountain a leaf is in, counted from the highest, and how many levels that has.
fn mountain_of(count: u64, index: u64) -> Option<(usize, usize)> {
    if index >= count {
        return None;
    }
    // Index and count agree above the mountain's bit, which is set in the count only.
    let height = (count ^ index).ilog2();
    let mountain = (count >> height).count_ones() as usize - 1;
    Some((mountain, height as usize))
}

/// All leaves of an archive with their nodes, to make paths: what a host or client builds from
/// [`crate::Event::Archived`].
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Leaves first, then each level of the nodes whose two children exist.
    levels: Vec<Vec<Digest>>,
}

impl History {
    /// Appends a leaf.
    pub fn append(&mut self, leaf: Digest) {
        let mut node = leaf;
        for height in 0.. {
            if self.levels.len() == height {
                self.levels.push(Vec::new());
            }
            let level = &mut self.levels[height];
            level.push(node);
            match level.as_slice() {
                [.., left, right] if level.len().is_multiple_of(2) => node = pair(&NODE_KEY, left, right),
                _ => break,
            }
        }
    }

    /// Leaves so far.
    pub fn count(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The path of the leaf at `index` as the archive is now; nothing if it is not that long.
    pub fn path(&self, index: u64) -> Option<Path> {
        let (_, height) = mountain_of(self.count(), index)?;
        let beside = |height: usize| {
            let at = usize::try_from(index >> height ^ 1).ok()?;
            self.levels[height].get(at).copied()
        };
        let siblings = (0..height).map(beside).collect::<Option<_>>()?;
        Some(Path { index, siblings })
    }
}

/// The settlement's archive: the peaks over all records, and the last of them whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Archive {
    peaks: Peaks,
    recent: VecDeque<FinalRecord>,
}

impl Archive {
    pub(crate) fn peaks(&self) -> &Peaks {
        &self.peaks
    }

    pub(crate) fn recent(&self) -> &VecDeque<FinalRecord> {
        &self.recent
    }

    /// The record of the commitment that starts at `first_batch`, while it is kept whole.
    pub(crate) fn record(&self, first_batch: u64) -> Option<&FinalRecord> {
        let at = self.recent.binary_search_by_key(&first_batch, |record| record.first_batch).ok()?;
        self.recent.get(at)
    }

    /// Appends a record and returns its position.
    pub(crate) fn append(&mut self, record: FinalRecord, chain_id: u64) -> u64 {
        if self.recent.len() == RECENT_FINALS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(record);
        self.peaks.append(record.leaf(chain_id))
    }
}

impl Encode for Path {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.index);
        put_list(out, &self.siblings);
    }
}

impl Decode for Path {
    const BYTES_MIN: usize = 2;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { index: reader.varint()?, siblings: reader.list("archive path siblings", ARCHIVE_DEPTH_MAX)? })
    }
}

impl Encode for Archive {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.peaks.count);
        put_list(out, &self.peaks.peaks);
        put_items(out, self.recent.iter());
    }
}

impl Decode for Archive {
    const BYTES_MIN: usize = 3;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.varint_at_most("archived commitments", 1 << ARCHIVE_DEPTH_MAX)?;
        let peaks: Vec<Digest> = reader.list("archive peaks", ARCHIVE_DEPTH_MAX + 1)?;
        if peaks.len() != count.count_ones() as usize {
            return Err(reader.non_canonical("archive peaks"));
        }
        let recent: VecDeque<FinalRecord> = read_items(reader, "final commitments", RECENT_FINALS_MAX)?;
        let kept = usize::try_from(count).map_or(RECENT_FINALS_MAX, |count| count.min(RECENT_FINALS_MAX));
        let first_of_all =
            count > RECENT_FINALS_MAX as u64 || recent.front().is_none_or(|first| first.first_batch == 1);
        let rises = recent.iter().all(|record| record.first_batch <= record.last_batch);
        let follows = recent.iter().zip(recent.iter().skip(1));
        let follows = follows.into_iter().all(|(one, next)| one.last_batch.checked_add(1) == Some(next.first_batch));
        if recent.len() != kept || !first_of_all || !rises || !follows {
            return Err(reader.non_canonical("final commitments"));
        }
        Ok(Self { peaks: Peaks { count, peaks }, recent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(number: u64) -> Digest {
        digest::hash(Domain::Test, 0, &[&number.to_le_bytes()])
    }

    /// The range as its definition has it: perfect trees over the leaves, the largest first.
    fn naive_peaks(leaves: &[Digest]) -> Vec<Digest> {
        let mut rest = leaves;
        let mut peaks = Vec::new();
        while !rest.is_empty() {
            let (tree, after) = rest.split_at(1 << rest.len().ilog2());
            peaks.push(naive_root(tree));
            rest = after;
        }
        peaks
    }

    fn naive_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len() / 2);
                pair(&NODE_KEY, &naive_root(left), &naive_root(right))
            }
        }
    }

    #[test]
    fn peaks_and_paths_agree_with_the_definition() {
        let mut peaks = Peaks::default();
        let mut history = History::default();
        let mut leaves = Vec::new();
        for number in 0..130 {
            assert_eq!(peaks.append(leaf(number)), number);
            history.append(leaf(number));
            leaves.push(leaf(number));
            assert_eq!(peaks.peaks(), naive_peaks(&leaves));
            for index in 0..=number {
                let path = history.path(index).expect("within the history");
                assert_eq!(peaks.verify(&leaf(index), &path).map(Archived::index), Ok(index));
            }
            assert_eq!(history.path(number + 1), None);
        }
    }

    #[test]
    fn wrong_paths_are_refused() {
        let mut peaks = Peaks::default();
        let mut history = History::default();
        for number in 0..11 {
            peaks.append(leaf(number));
            history.append(leaf(number));
        }
        for index in 0..11 {
            let path = history.path(index).expect("within the history");
            assert!(matches!(peaks.verify(&leaf(99), &path), Err(ArchivePathError::Peak { .. })));
            for other in (0..11).filter(|other| *other != index) {
                let moved = Path { index: other, ..path.clone() };
                assert!(peaks.verify(&leaf(index), &moved).is_err(), "{index} as {other}");
            }
            for at in 0..path.siblings.len() {
                let mut bent = path.clone();
                bent.siblings[at].0[0] ^= 1;
                assert!(matches!(peaks.verify(&leaf(index), &bent), Err(ArchivePathError::Peak { .. })));
            }
            let mut long = path.clone();
            long.siblings.push(Digest::ZERO);
            assert!(matches!(peaks.verify(&leaf(index), &long), Err(ArchivePathError::Depth { .. })));
        }
        let beyond = Path { index: 11, siblings: Vec::new() };
        assert_eq!(peaks.verify(&leaf(11), &beyond), Err(ArchivePathError::Index { index: 11, count: 11 }));
    }

    #[test]
    fn an_old_path_is_a_prefix_of_the_new_one() {
        let mut history = History::default();
        (0..8).for_each(|number| history.append(leaf(number)));
        let before = history.path(3).expect("within the history");
        (8..100).for_each(|number| history.append(leaf(number)));
        let after = history.path(3).expect("within the history");
        assert_eq!(after.siblings[..before.siblings.len()], before.siblings);
    }
}
