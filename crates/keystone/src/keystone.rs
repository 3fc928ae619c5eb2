//! The whole state in memory: both trees as flat levels, the leaves' contents, and the directory of keys.

mod apply;
mod build;
mod prove;

use crate::cells::{Objects, Slots};
use crate::change::ObjectChange;
use crate::dense::Levels;
use crate::directory::Directory;
use crate::hash::{BLOCK, LedgerHash, ObjectHash};
use crate::order::Order;
use crate::plan::Locate;
use crate::view::{Missing, ObjectRef, StateView, Successor};
use apply::Scratch;
pub(crate) use apply::appended_count;
use ghostplane_types::{ObjectIndex, ObjectKey, Roots, Slot, SlotIndex};

pub use build::RebuildError;

/// The state of a plane, all of it. Every question has an answer, every update hashes each changed node once.
///
/// About 315 bytes per account of one slot and one object of up to 87 bytes.
#[derive(Clone, Debug)]
pub struct Keystone {
    slots: Slots,
    objects: Objects,
    directory: Directory,
    order: Order,
    ledger_tree: Levels<LedgerHash>,
    object_tree: Levels<ObjectHash>,
    scratch: Scratch,
}

impl Keystone {
    /// The empty state: the outside and the sentinel.
    ///
    /// `index_seed` keys the in-memory directory and nothing else: two states that differ only in it have the same
    /// roots. The driver draws it at random and keeps it secret.
    pub fn new(index_seed: u64) -> Self {
        let nothing: [(ObjectKey, Option<&[u8]>); 0] = [];
        let empty = Self::from_leaves(index_seed, [], nothing, &ghostplane_ghostcipher::workers::Serial);
        empty.expect("no leaves break no rule")
    }

    /// The leaf at `index`, removed objects included; `None` at and beyond `objects_used`. For checkpoints.
    pub fn leaf_at(&self, index: ObjectIndex) -> Option<(ObjectKey, Option<&[u8]>)> {
        let index = index.index();
        (index < self.objects.used()).then(|| (*self.objects.key(index), self.objects.value(index)))
    }

    /// Bytes held on the heap by the state itself.
    pub fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes()
            + self.objects.heap_bytes()
            + self.directory.heap_bytes()
            + self.order.heap_bytes()
            + self.ledger_tree.heap_bytes()
            + self.object_tree.heap_bytes()
    }

    /// Bytes held on the heap as working memory of [`Self::apply`]: proportional to the largest batch so far.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch.heap_bytes()
    }

    fn key_of<'a>(&'a self) -> impl Fn(u32) -> &'a ObjectKey {
        |index| self.objects.key(index)
    }

    fn position(&self, key: &ObjectKey) -> Option<u32> {
        if *key == ObjectKey::SENTINEL { Some(0) } else { self.directory.find(key, self.key_of()) }
    }

    /// The position of the leaf that proves `key` absent, or is followed by what follows `key`.
    fn position_below(&self, key: &ObjectKey) -> u32 {
        self.order.low(key, self.key_of())
    }

    fn object_ref(&self, index: u32) -> Option<ObjectRef<'_>> {
        let value = self.objects.value(index)?;
        Some(ObjectRef { index: object_index(index), value })
    }
}

/// The index of an allocated object.
fn object_index(index: u32) -> ObjectIndex {
    ObjectIndex::new(index).expect("allocated positions are below 2^30")
}

impl StateView for Keystone {
    fn roots(&self) -> Roots {
        Roots {
            ledger_root: self.ledger_tree.root(),
            object_root: self.object_tree.root(),
            slots_used: self.slots.used(),
            objects_used: self.objects.used(),
        }
    }

    fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRef<'_>>, Missing> {
        Ok(self.position(key).and_then(|index| self.object_ref(index)))
    }

    fn object_at(&self, index: ObjectIndex) -> Result<Option<(ObjectKey, &[u8])>, Missing> {
        Ok(self.leaf_at(index).and_then(|(key, value)| Some((key, value?))))
    }

    fn object_index(&self, key: &ObjectKey) -> Result<Option<ObjectIndex>, Missing> {
        Ok(self.position(key).map(object_index))
    }

    fn object_after(&self, key: &ObjectKey) -> Result<Option<Successor<'_>>, Missing> {
        let at = self.position(key).unwrap_or_else(|| self.position_below(key));
        let next = self.objects.next(at);
        Ok((next != 0).then(|| Successor { key: *self.objects.key(next), object: self.object_ref(next) }))
    }

    fn slot(&self, index: SlotIndex) -> Result<Option<Slot>, Missing> {
        Ok(self.slots.read(index.index()))
    }
}

impl Locate for Keystone {
    fn find(&self, key: &ObjectKey) -> Result<Option<u32>, Missing> {
        Ok(self.position(key))
    }

    fn low(&self, key: &ObjectKey) -> Result<u32, Missing> {
        Ok(self.position_below(key))
    }

    fn low_many(&self, keys: &[&ObjectKey], lows: &mut [u32; BLOCK]) -> Result<(), Missing> {
        self.order.low_many(keys, lows, self.key_of());
        Ok(())
    }

    /// Reads in three passes, so that each waits for memory once: the directory, the cells it points to, the keys there.
    fn find_many(&self, changes: &[ObjectChange], positions: &mut [Option<u32>; BLOCK]) -> Result<(), Missing> {
        let mut guesses = [0; BLOCK];
        self.directory.guess(changes.iter().map(|change| &change.key), &mut guesses);
        self.objects.touch_keys(guesses[..changes.len()].iter().copied());
        for ((position, change), &guess) in positions.iter_mut().zip(changes).zip(&guesses) {
            let right = guess != 0 && *self.objects.key(guess) == change.key;
            *position = if right { Some(guess) } else { self.position(&change.key) };
        }
        Ok(())
    }
}
