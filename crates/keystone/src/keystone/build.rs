//! Rebuilding the state from its leaves, as a checkpoint holds them.

use super::{Keystone, Scratch};
use crate::cells::{Objects, Slots};
use crate::dense::Levels;
use crate::directory::Directory;
use crate::hash::{BLOCK, LeafHasher, LeafValue, LedgerHash, ObjectHash, leaf_count, slot_preimage};
use crate::order::Order;
use ghostplane_ghostcipher::FieldDigest;
use ghostplane_ghostcipher::poseidon2::compress_many;
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_types::limits::OBJECT_BYTES_MAX;
use ghostplane_types::{ObjectKey, Slot, TREE_DEPTH};
use std::ops::Range;
use std::sync::Mutex;
use thiserror::Error;

/// Why a list of leaves is no state. The checkpoint is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RebuildError {
    /// Two leaves have one key.
    #[error("two leaves have the key {0:?}")]
    Duplicate(ObjectKey),
    /// The sentinel is listed.
    #[error("the sentinel's key is listed; it is implied")]
    Sentinel,
    /// A value is over its limit.
    #[error("object {key:?} takes {bytes} bytes, the most is {OBJECT_BYTES_MAX}")]
    ValueBytes {
        /// Which object.
        key: ObjectKey,
        /// How long its value is.
        bytes: usize,
    },
    /// A tree has no room for that many leaves.
    #[error("more than 2^{TREE_DEPTH} leaves of a tree")]
    Full,
}

impl Keystone {
    /// Rebuilds the state: `slots` by index from 1, `objects` by index from 1 with `None` for removed ones.
    ///
    /// Compare the roots with those that the leaves are supposed to have.
    pub fn from_leaves<V: AsRef<[u8]>>(
        index_seed: u64,
        slots: impl IntoIterator<Item = Slot, IntoIter: Send>,
        objects: impl IntoIterator<Item = (ObjectKey, Option<V>), IntoIter: Send>,
        workers: &dyn Workers,
    ) -> Result<Self, RebuildError> {
        let lists = (Mutex::new(Some(slots.into_iter())), Mutex::new(Some(objects.into_iter())));
        let stored = (Mutex::new(None), Mutex::new(None));
        workers.run(2, &|job| match job {
            0 => *lock(&stored.0) = lock(&lists.0).take().map(store_slots),
            _ => *lock(&stored.1) = lock(&lists.1).take().map(store_objects),
        });
        let (slots, mut ledger_tree) = finished(stored.0)?;
        let (mut objects, mut object_tree) = finished(stored.1)?;

        // The directory and the order are one job each; the ledger's subtrees keep the other workers busy meanwhile.
        let (directory, order) = (Mutex::new(None), Mutex::new(None));
        let subtrees: Vec<_> = ledger_tree.subtrees().into_iter().map(Mutex::new).collect();
        workers.run(2 + subtrees.len(), &|job| match job {
            0 => *lock(&order) = Some(sort(&objects)),
            1 => *lock(&directory) = Some(index(index_seed, &objects)),
            _ => lock(&subtrees[job - 2]).build(|range, out| hash_slots(&slots, range, out)),
        });
        drop(subtrees);
        ledger_tree.join_all();
        let directory = finished(directory);
        let (order, next) = finished(order)?;

        let subtrees: Vec<_> = object_tree.subtrees().into_iter().map(Mutex::new).collect();
        workers.run(subtrees.len(), &|job| {
            lock(&subtrees[job]).build(|range, out| hash_objects(&objects, &next, range, out));
        });
        drop(subtrees);
        object_tree.join_all();

        for (&next, index) in next.iter().zip(0..) {
            objects.set_next(index, next);
        }
        Ok(Self { slots, objects, directory, order, ledger_tree, object_tree, scratch: Scratch::default() })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("a job that panics takes the whole rebuild with it")
}

fn finished<T>(job: Mutex<Option<T>>) -> T {
    let result = job.into_inner().expect("a job that panics takes the whole rebuild with it");
    result.expect("workers run every job before they return")
}

/// Takes the slots in, and makes room for the tree over them.
fn store_slots(slots: impl Iterator<Item = Slot>) -> Result<(Slots, Levels<LedgerHash>), RebuildError> {
    let mut stored = Slots::new();
    stored.reserve(slots.size_hint().0);
    for slot in slots {
        check_room(stored.used())?;
        stored.push(&slot);
    }
    let tree = Levels::unhashed(stored.used());
    Ok((stored, tree))
}

/// Takes the objects in, and makes room for the tree over them.
fn store_objects<V: AsRef<[u8]>>(
    objects: impl Iterator<Item = (ObjectKey, Option<V>)>,
) -> Result<(Objects, Levels<ObjectHash>), RebuildError> {
    let mut stored = Objects::new();
    stored.reserve(objects.size_hint().0);
    for (key, value) in objects {
        check_room(stored.used())?;
        let value = value.as_ref().map(AsRef::as_ref);
        let bytes = value.map_or(0, <[u8]>::len);
        if key == ObjectKey::SENTINEL {
            return Err(RebuildError::Sentinel);
        }
        if bytes > OBJECT_BYTES_MAX {
            return Err(RebuildError::ValueBytes { key, bytes });
        }
        stored.push(&key, value);
    }
    let tree = Levels::unhashed(stored.used());
    Ok((stored, tree))
}

fn check_room(used: u32) -> Result<(), RebuildError> {
    if used < 1 << TREE_DEPTH { Ok(()) } else { Err(RebuildError::Full) }
}

/// The positions in key order, and for each position the next one in that order, 0 behind the last.
fn sort(objects: &Objects) -> Result<(Order, Vec<u32>), RebuildError> {
    // The first half of a key is its class, its owner, and enough of a digest to tell nearly all keys apart: the sort
    // stays in its own list, and the few that it leaves in disorder are sorted by their whole keys after.
    let half = |index: u32| {
        let (half, _) = objects.key(index).as_bytes().split_first_chunk().expect("a key is longer than 16 bytes");
        u128::from_be_bytes(*half)
    };
    let mut halves: Vec<(u128, u32)> = (0..objects.used()).map(|index| (half(index), index)).collect();
    halves.sort_unstable_by_key(|&(half, _)| half);
    for equal in halves.chunk_by_mut(|a, b| a.0 == b.0).filter(|equal| equal.len() > 1) {
        equal.sort_unstable_by_key(|&(_, index)| objects.key(index));
    }
    let sorted: Vec<u32> = halves.into_iter().map(|(_, index)| index).collect();
    let mut next = vec![0; sorted.len()];
    for pair in sorted.windows(2) {
        if objects.key(pair[0]) == objects.key(pair[1]) {
            return Err(RebuildError::Duplicate(*objects.key(pair[0])));
        }
        next[pair[0] as usize] = pair[1];
    }
    Ok((Order::from_sorted(&sorted), next))
}

/// The directory of all keys.
fn index(seed: u64, objects: &Objects) -> Directory {
    let mut directory = Directory::new(seed, objects.used() as usize);
    for index in 1..objects.used() {
        directory.insert(index, |index| objects.key(index));
    }
    directory
}

fn hash_slots(slots: &Slots, range: Range<usize>, out: &mut [FieldDigest]) {
    let mut preimages = Vec::with_capacity(BLOCK);
    for (start, out) in range.step_by(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let slots = (start..start + out.len()).map(|index| slots.read(leaf_count(index)));
        preimages.clear();
        preimages.extend(slots.map(|slot| slot.map_or_else(Default::default, |slot| slot_preimage(&slot))));
        compress_many(&preimages, out);
        if start == 0 {
            out[0] = FieldDigest::EMPTY;
        }
    }
}

fn hash_objects(objects: &Objects, next: &[u32], range: Range<usize>, out: &mut [ghostplane_ghostcipher::Digest]) {
    let mut hasher = LeafHasher::default();
    let mut digests = Vec::with_capacity(out.len());
    for block in range.clone().step_by(BLOCK).map(|start| start..range.end.min(start + BLOCK)) {
        objects.touch_keys(next[block.clone()].iter().copied());
        for index in block {
            let at = leaf_count(index);
            let value = LeafValue::of(objects.value(at));
            hasher.push(objects.key(at), value, objects.key(next[index]), &mut digests);
        }
    }
    hasher.flush(&mut digests);
    out.copy_from_slice(&digests);
}
