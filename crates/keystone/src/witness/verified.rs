//! A witness that was checked against the roots of a state: a view of it, and the roots after a batch.

use super::sparse::NodeCount;
use super::{LedgerHash, ObjectHash, Sparse, Witness, WitnessError, WitnessObject, WitnessValue};
use crate::change::{ApplyError, Changeset};
use crate::climb::Climb;
use crate::hash::{BLOCK, LeafHasher, LeafValue, slot_preimage};
use crate::keystone::appended_count;
use crate::plan::{Existing, Locate, Next, ObjectPlan};
use crate::proof::is_between;
use crate::view::{Missing, MissingWhat, ObjectRef, StateView, Successor};
use ghostplane_ghostcipher::poseidon2::compress_many;
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_types::{ObjectIndex, ObjectKey, Roots, Slot, SlotIndex, TREE_DEPTH};
use std::sync::Mutex;

/// A part of a state, known to be what its roots say. Only [`Witness::verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedWitness {
    roots: Roots,
    /// Ascending by index.
    slots: Vec<(SlotIndex, Slot)>,
    /// Ascending by index.
    objects: Vec<WitnessObject>,
    /// Places in `objects`, ascending by key.
    by_key: Vec<usize>,
    ledger_tree: Sparse<LedgerHash>,
    object_tree: Sparse<ObjectHash>,
}

impl Witness {
    /// Checks that this is a part of the state with `roots`, by hashing from its leaves to both of them.
    pub fn verify(self, roots: &Roots) -> Result<VerifiedWitness, WitnessError> {
        let Self { slots, appends_slots, objects, appends_objects, ledger_nodes, object_nodes } = self;
        if let Some(&(index, _)) = slots.last().filter(|(index, _)| index.index() >= roots.slots_used) {
            return Err(WitnessError::SlotBeyond { index, used: roots.slots_used });
        }
        if let Some(last) = objects.last().filter(|last| last.index.index() >= roots.objects_used) {
            return Err(WitnessError::ObjectBeyond { index: last.index, used: roots.objects_used });
        }

        let mut leaves = Climb::default();
        let (indices, digests) = leaves.bottom();
        indices.extend(slots.iter().map(|(index, _)| index.index()));
        hash_slots(slots.iter().map(|(_, slot)| slot), digests);
        cover_appending(appends_slots, roots.slots_used, indices, digests)?;
        let ledger_tree = Sparse::new(roots.slots_used, leaves, ledger_nodes)?;

        let mut leaves = Climb::default();
        let (indices, digests) = leaves.bottom();
        indices.extend(objects.iter().map(|object| object.index.index()));
        let mut hasher = LeafHasher::default();
        for object in &objects {
            hasher.push(&object.key, object.value.in_leaf(), &object.next, digests);
        }
        hasher.flush(digests);
        cover_appending(appends_objects, roots.objects_used, indices, digests)?;
        let object_tree = Sparse::new(roots.objects_used, leaves, object_nodes)?;

        // Without a leaf of a tree nothing is claimed about it.
        if let Some(computed) = ledger_tree.root().filter(|root| *root != roots.ledger_root) {
            return Err(WitnessError::LedgerRoot { expected: roots.ledger_root, computed });
        }
        if let Some(computed) = object_tree.root().filter(|root| *root != roots.object_root) {
            return Err(WitnessError::ObjectRoot { expected: roots.object_root, computed });
        }
        let mut by_key: Vec<usize> = (0..objects.len()).collect();
        by_key.sort_unstable_by_key(|&at| &objects[at].key);
        Ok(VerifiedWitness { roots: *roots, slots, objects, by_key, ledger_tree, object_tree })
    }
}

impl From<NodeCount> for WitnessError {
    fn from(NodeCount { carried, needed }: NodeCount) -> Self {
        match needed {
            None => Self::TooFewNodes { carried },
            Some(needed) => Self::TooManyNodes { carried, needed },
        }
    }
}

fn hash_slots<'s>(slots: impl Iterator<Item = &'s Slot>, digests: &mut Vec<FieldDigest>) {
    let mut slots = slots.map(slot_preimage);
    let mut preimages = Vec::with_capacity(BLOCK);
    loop {
        preimages.clear();
        preimages.extend(slots.by_ref().take(BLOCK));
        if preimages.is_empty() {
            return;
        }
        let start = digests.len();
        digests.resize(start + preimages.len(), FieldDigest::EMPTY);
        compress_many(&preimages, &mut digests[start..]);
    }
}

/// The way of the first unallocated leaf determines every node that appending leaves needs.
fn cover_appending<D: Default>(
    covered: bool,
    used: u32,
    indices: &mut Vec<u32>,
    digests: &mut Vec<D>,
) -> Result<(), WitnessError> {
    if covered && used >= 1 << TREE_DEPTH {
        return Err(WitnessError::Full { used });
    }
    if covered {
        indices.push(used);
        digests.push(D::default());
    }
    Ok(())
}

impl WitnessValue {
    fn in_leaf(&self) -> LeafValue<'_> {
        match self {
            Self::Removed => LeafValue::Removed,
            Self::Known(bytes) => LeafValue::Bytes(bytes),
            Self::Opaque(digest) => LeafValue::Digest(digest),
        }
    }
}

impl WitnessObject {
    /// The value; `None` if it was removed.
    fn value(&self) -> Result<Option<&[u8]>, Missing> {
        match &self.value {
            WitnessValue::Removed => Ok(None),
            WitnessValue::Known(bytes) => Ok(Some(bytes)),
            WitnessValue::Opaque(_) => Err(MissingWhat::Object(self.key).into()),
        }
    }

    fn read(&self) -> Result<Option<ObjectRef<'_>>, Missing> {
        Ok(self.value()?.map(|value| ObjectRef { index: self.index, value }))
    }
}

impl VerifiedWitness {
    /// The roots after `changes`, which must start from what this witness says.
    ///
    /// # Errors
    /// [`ApplyError::Missing`] if the witness does not cover the changes; the others if whoever executed the batch did
    /// not execute it on this state.
    pub fn roots_after(&self, changes: &Changeset, workers: &dyn Workers) -> Result<Roots, ApplyError> {
        let ledger = Mutex::new(None);
        let objects = Mutex::new(None);
        workers.run(2, &|job| {
            let unpoisoned = "a job that panics takes the whole replay with it";
            match job {
                0 => *ledger.lock().expect(unpoisoned) = Some(self.ledger_after(changes)),
                _ => *objects.lock().expect(unpoisoned) = Some(self.objects_after(changes)),
            }
        });
        let (ledger_root, slots_used) = finished(ledger)?;
        let (object_root, objects_used) = finished(objects)?;
        Ok(Roots { ledger_root, object_root, slots_used, objects_used })
    }

    fn ledger_after(&self, changes: &Changeset) -> Result<(FieldDigest, u32), ApplyError> {
        let used = self.roots.slots_used;
        let used_after = appended_count(used, changes.slots_new().len())?;
        if let Some(first) = changes.slots_new().first().filter(|first| first.index.index() != used) {
            return Err(ApplyError::SlotGap { first: first.index.index(), used });
        }
        if changes.slots().is_empty() {
            return Ok((self.roots.ledger_root, used_after));
        }
        for change in changes.slots() {
            if self.slot(change.index)? != change.old {
                return Err(ApplyError::SlotDiffers(change.index));
            }
        }
        let mut climb = Climb::<LedgerHash>::default();
        let (indices, digests) = climb.bottom();
        indices.extend(changes.slots().iter().map(|change| change.index.index()));
        hash_slots(changes.slots().iter().map(|change| &change.new), digests);
        let missing = |height: usize, index| MissingWhat::LedgerPath { height, index };
        climb.run(self.ledger_tree.reader(&missing))?;
        Ok((climb.top().1[0], used_after))
    }

    fn objects_after(&self, changes: &Changeset) -> Result<(Digest, u32), ApplyError> {
        let used = self.roots.objects_used;
        if changes.objects().is_empty() {
            return Ok((self.roots.object_root, used));
        }
        let mut plan = ObjectPlan::default();
        plan.fill(self, changes.objects())?;
        let used_after = appended_count(used, plan.appended.len())?;
        let mut climb = Climb::<ObjectHash>::default();
        let (indices, digests) = climb.bottom();
        indices.extend(plan.existing.iter().map(|leaf| leaf.index).chain(used..used_after));
        self.hash_leaves(changes, &plan, digests)?;
        let missing = |height: usize, index| MissingWhat::ObjectPath { height, index };
        climb.run(self.object_tree.reader(&missing))?;
        Ok((climb.top().1[0], used_after))
    }

    fn hash_leaves(&self, changes: &Changeset, plan: &ObjectPlan, digests: &mut Vec<Digest>) -> Result<(), ApplyError> {
        let changes = changes.objects();
        let appended_key = |ordinal: usize| &changes[plan.appended[ordinal].change as usize].key;
        let mut hasher = LeafHasher::default();
        for &Existing { index, change, link } in &plan.existing {
            let leaf = self.leaf(index)?;
            let value = match change.map(|change| &changes[change as usize]) {
                None => leaf.value.in_leaf(),
                Some(change) if leaf.value()? == change.old.as_deref() => LeafValue::of(change.new.as_deref()),
                Some(change) => return Err(ApplyError::ObjectDiffers(change.key)),
            };
            let next = link.map_or(&leaf.next, |ordinal| appended_key(ordinal as usize));
            hasher.push(&leaf.key, value, next, digests);
        }
        for (ordinal, leaf) in plan.appended.iter().enumerate() {
            let change = &changes[leaf.change as usize];
            if change.old.is_some() {
                return Err(ApplyError::ObjectDiffers(change.key));
            }
            let next = match leaf.next {
                Next::Appended => appended_key(ordinal + 1),
                Next::After(low) => &self.leaf(low)?.next,
            };
            hasher.push(&change.key, LeafValue::of(change.new.as_deref()), next, digests);
        }
        hasher.flush(digests);
        Ok(())
    }

    fn leaf(&self, index: u32) -> Result<&WitnessObject, Missing> {
        let at = self.objects.binary_search_by_key(&index, |object| object.index.index());
        let missing =
            || ObjectIndex::new(index).map_or(MissingWhat::ObjectPath { height: 0, index }, MissingWhat::ObjectAt);
        Ok(&self.objects[at.map_err(|_| missing())?])
    }

    /// The carried leaf of `key` itself, or else the one that proves it absent.
    fn leaf_at_or_below(&self, key: &ObjectKey) -> Result<&WitnessObject, Missing> {
        let behind = self.by_key.partition_point(|&at| self.objects[at].key <= *key);
        let below = behind.checked_sub(1).map(|at| &self.objects[self.by_key[at]]);
        let settles = below.filter(|leaf| leaf.key == *key || is_between(&leaf.key, key, &leaf.next));
        settles.ok_or(MissingWhat::Object(*key).into())
    }
}

fn finished<T>(job: Mutex<Option<T>>) -> T {
    let result = job.into_inner().expect("a job that panics takes the whole replay with it");
    result.expect("workers run every job before they return")
}

impl Locate for VerifiedWitness {
    fn find(&self, key: &ObjectKey) -> Result<Option<u32>, Missing> {
        Ok(self.object_index(key)?.map(ObjectIndex::index))
    }

    fn low(&self, key: &ObjectKey) -> Result<u32, Missing> {
        Ok(self.leaf_at_or_below(key)?.index.index())
    }
}

impl StateView for VerifiedWitness {
    fn roots(&self) -> Roots {
        self.roots
    }

    fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRef<'_>>, Missing> {
        let leaf = self.leaf_at_or_below(key)?;
        if leaf.key == *key { leaf.read() } else { Ok(None) }
    }

    fn object_at(&self, index: ObjectIndex) -> Result<Option<(ObjectKey, &[u8])>, Missing> {
        if index == ObjectIndex::SENTINEL || index.index() >= self.roots.objects_used {
            return Ok(None);
        }
        let leaf = self.leaf(index.index())?;
        Ok(leaf.value()?.map(|value| (leaf.key, value)))
    }

    fn object_index(&self, key: &ObjectKey) -> Result<Option<ObjectIndex>, Missing> {
        let leaf = self.leaf_at_or_below(key)?;
        Ok((leaf.key == *key).then_some(leaf.index))
    }

    fn object_after(&self, key: &ObjectKey) -> Result<Option<Successor<'_>>, Missing> {
        let missing = MissingWhat::ObjectAfter(*key);
        let leaf = self.leaf_at_or_below(key).map_err(|_| missing)?;
        if leaf.next == ObjectKey::SENTINEL {
            return Ok(None);
        }
        let next = self.leaf_at_or_below(&leaf.next).ok().filter(|next| next.key == leaf.next).ok_or(missing)?;
        Ok(Some(Successor { key: next.key, object: next.read()? }))
    }

    fn slot(&self, index: SlotIndex) -> Result<Option<Slot>, Missing> {
        if index.is_outside() || index.index() >= self.roots.slots_used {
            return Ok(None);
        }
        let at = self.slots.binary_search_by_key(&index, |slot| slot.0);
        Ok(Some(self.slots[at.map_err(|_| MissingWhat::Slot(index))?].1))
    }
}
