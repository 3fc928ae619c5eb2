//! Moving the state by one batch, forwards and back. Everything is hashed and checked before anything is written.

use super::Keystone;
use crate::change::{ApplyError, Changeset, ObjectChange, SlotChange};
use crate::climb::{Climb, Split};
use crate::dense::Levels;
use crate::hash::{BLOCK, LeafHasher, LeafValue, LedgerHash, ObjectHash, TreeHash, slot_preimage};
use crate::plan::{Next, ObjectPlan};
use crate::view::StateView;
use ghostplane_ghostcipher::poseidon2::{KoalaBear, STATE_ELEMENTS, compress_many};
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_types::{ObjectKey, Roots, Slot, TREE_DEPTH};
use std::ops::Range;
use std::sync::Mutex;

/// Working memory, kept between batches.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    plan: ObjectPlan,
    writes: Vec<LeafWrite>,
    ledger: Rehash<LedgerHash, Vec<[KoalaBear; STATE_ELEMENTS]>>,
    objects: Rehash<ObjectHash, LeafHasher>,
}

/// A clone of a state starts without working memory.
impl Clone for Scratch {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Scratch {
    pub(super) fn heap_bytes(&self) -> usize {
        self.ledger.heap_bytes() + self.objects.heap_bytes() + self.writes.capacity() * size_of::<LeafWrite>()
    }
}

/// One object leaf to write.
#[derive(Clone, Copy, Debug)]
struct LeafWrite {
    index: u32,
    /// The change that says what its value becomes; without one the value stays.
    change: Option<u32>,
    /// The position that it links to from now on; without one the link stays.
    next: Option<u32>,
}

/// A changeset in the direction it is to be taken, and the counts at its end.
#[derive(Clone, Copy)]
struct Step<'a> {
    changes: &'a Changeset,
    back: bool,
    slots_used: u32,
    objects_used: u32,
}

impl<'a> Step<'a> {
    /// What the slot must be, and what it becomes.
    fn slot(&self, change: &SlotChange) -> (Option<Slot>, Option<Slot>) {
        if self.back { (Some(change.new), change.old) } else { (change.old, Some(change.new)) }
    }

    /// What the object must be, and what it becomes.
    fn object(&self, change: &'a ObjectChange) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        if self.back { (new, old) } else { (old, new) }
    }
}

impl Keystone {
    /// Applies a batch and returns the roots after it. The state is unchanged if an error is returned.
    ///
    /// Every old value of the changeset is compared with the state: the executor saw the very state that is changed.
    pub fn apply(&mut self, changes: &Changeset, workers: &dyn Workers) -> Result<Roots, ApplyError> {
        self.take_step(workers, None, |state, scratch| {
            let slots_used = appended_count(state.slots.used(), changes.slots_new().len())?;
            if let Some(first) = changes.slots_new().first().filter(|first| first.index.index() != state.slots.used()) {
                return Err(ApplyError::SlotGap { first: first.index.index(), used: state.slots.used() });
            }
            state.plan_forward(changes, scratch)?;
            let objects_used = appended_count(state.objects.used(), scratch.plan.appended.len())?;
            Ok(Step { changes, back: false, slots_used, objects_used })
        })
    }

    /// Takes the last applied batch back, for a batch that was convicted: the exact inverse of [`Self::apply`], counts
    /// included. `before` are the roots that the batch started from; the result is compared with them before anything
    /// is written.
    pub fn revert(&mut self, changes: &Changeset, before: &Roots, workers: &dyn Workers) -> Result<(), ApplyError> {
        self.take_step(workers, Some(before), |state, scratch| {
            let (used, appended) = (state.slots.used(), changes.slots_new().len());
            let first = changes.slots_new().first().map_or(used, |first| first.index.index());
            if first != before.slots_used || before.slots_used as usize + appended != used as usize {
                return Err(ApplyError::Count { expected: used.saturating_sub(before.slots_used), appended });
            }
            state.plan_back(changes, before.objects_used, scratch)?;
            Ok(Step { changes, back: true, slots_used: before.slots_used, objects_used: before.objects_used })
        })?;
        Ok(())
    }

    fn take_step<'c>(
        &mut self,
        workers: &dyn Workers,
        expected: Option<&Roots>,
        plan: impl FnOnce(&Self, &mut Scratch) -> Result<Step<'c>, ApplyError>,
    ) -> Result<Roots, ApplyError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let hashed = plan(self, &mut scratch).and_then(|step| Ok((step, self.rehash(&step, &mut scratch, workers)?)));
        let result = hashed.and_then(|(step, roots)| match expected {
            Some(expected) if *expected != roots => Err(ApplyError::Roots),
            _ => Ok((step, roots)),
        });
        if let Ok((step, roots)) = &result {
            self.commit(step, &scratch);
            assert_eq!(self.roots(), *roots, "what was hashed is what was written");
        }
        self.scratch = scratch;
        result.map(|(_, roots)| roots)
    }

    /// Lists the leaves that a batch changes and appends.
    fn plan_forward(&self, changes: &Changeset, scratch: &mut Scratch) -> Result<(), ApplyError> {
        let Scratch { plan, writes, .. } = scratch;
        plan.fill(self, changes.objects())?;
        let used = self.objects.used();
        writes.clear();
        writes.extend(plan.existing.iter().map(|leaf| LeafWrite {
            index: leaf.index,
            change: leaf.change,
            next: leaf.link.map(|ordinal| used + ordinal),
        }));
        writes.extend(plan.appended.iter().zip(used..).map(|(leaf, index)| {
            let next = match leaf.next {
                Next::Appended => index + 1,
                Next::After(low) => self.objects.next(low),
            };
            LeafWrite { index, change: Some(leaf.change), next: Some(next) }
        }));
        Ok(())
    }

    /// Lists the leaves that taking a batch back changes and gives up: those from position `target` on.
    fn plan_back(&self, changes: &Changeset, target: u32, scratch: &mut Scratch) -> Result<(), ApplyError> {
        let writes = &mut scratch.writes;
        writes.clear();
        let mut appended = 0;
        for (change, at) in changes.objects().iter().zip(0..) {
            let differs = ApplyError::ObjectDiffers(change.key);
            let index = self.position(&change.key).ok_or(differs)?;
            writes.push(LeafWrite { index, change: Some(at), next: None });
            if index < target {
                continue;
            }
            if change.old.is_some() {
                return Err(differs);
            }
            appended += 1;
            // The first of a chain of appended leaves relinks the leaf below the gap to the one above it.
            let low = self.position_below(&change.key);
            if low < target {
                let mut next = self.objects.next(index);
                while next >= target {
                    next = self.objects.next(next);
                }
                writes.push(LeafWrite { index: low, change: None, next: Some(next) });
            }
        }
        let expected = self.objects.used().saturating_sub(target);
        if target == 0 || target as usize + appended != self.objects.used() as usize {
            return Err(ApplyError::Count { expected, appended });
        }
        writes.sort_unstable_by_key(|write| write.index);
        writes.dedup_by(|later, first| {
            let same = later.index == first.index;
            if same {
                first.change = first.change.or(later.change);
                first.next = first.next.or(later.next);
            }
            same
        });
        Ok(())
    }

    /// Checks the changes against the state and hashes every node that they change. Writes only to `scratch`.
    fn rehash(&self, step: &Step<'_>, scratch: &mut Scratch, workers: &dyn Workers) -> Result<Roots, ApplyError> {
        let Scratch { plan, writes, ledger, objects } = scratch;
        let slots = step.changes.slots();
        ledger.split(slots.len(), |at| slots[at].index.index());
        objects.split(writes.len(), |at| writes[at].index);
        let ledger_parts = ledger.split.parts.len();
        workers.run(ledger_parts + objects.split.parts.len(), &|job| {
            if job < ledger_parts {
                ledger.run(job, &self.ledger_tree, |range, part| self.hash_slots(step, &slots[range], part));
            } else {
                let leaves = |range: Range<usize>, part: &mut _| self.hash_objects(step, plan, &writes[range], part);
                objects.run(job - ledger_parts, &self.object_tree, leaves);
            }
        });
        Ok(Roots {
            ledger_root: ledger.join(&self.ledger_tree)?,
            object_root: objects.join(&self.object_tree)?,
            slots_used: step.slots_used,
            objects_used: step.objects_used,
        })
    }

    fn hash_slots(&self, step: &Step<'_>, changes: &[SlotChange], part: &mut LedgerPart) -> Result<(), ApplyError> {
        let Part { climb, workspace: preimages, .. } = part;
        let (indices, digests) = climb.bottom();
        for changes in changes.chunks(BLOCK) {
            self.slots.touch(changes.iter().map(|change| change.index.index()));
            preimages.clear();
            for change in changes {
                let (expected, target) = step.slot(change);
                if self.slots.read(change.index.index()) != expected {
                    return Err(ApplyError::SlotDiffers(change.index));
                }
                indices.push(change.index.index());
                preimages.extend(target.as_ref().map(slot_preimage));
            }
            // Slots that are given up are the last ones, and their leaves are empty.
            let start = digests.len();
            digests.resize(start + changes.len(), FieldDigest::EMPTY);
            compress_many(preimages, &mut digests[start..start + preimages.len()]);
        }
        Ok(())
    }

    fn hash_objects(
        &self,
        step: &Step<'_>,
        plan: &ObjectPlan,
        writes: &[LeafWrite],
        part: &mut ObjectPart,
    ) -> Result<(), ApplyError> {
        let Part { climb, workspace: hasher, .. } = part;
        let (indices, digests) = climb.bottom();
        for writes in writes.chunks(BLOCK) {
            self.warm_leaves(step, writes);
            for write in writes {
                let (key, value) = self.check_leaf(step, write)?;
                indices.push(write.index);
                if write.index < step.objects_used {
                    let next = match write.next {
                        Some(next) => self.key_after(step, plan, next),
                        None => self.objects.key(self.objects.next(write.index)),
                    };
                    hasher.push(key, LeafValue::of(value), next, digests);
                }
            }
        }
        hasher.flush(digests);
        // Leaves that are given up are the last ones, and empty.
        digests.resize(indices.len(), Digest::ZERO);
        Ok(())
    }

    /// Has everything read that hashing these leaves will read, all at once.
    fn warm_leaves(&self, step: &Step<'_>, writes: &[LeafWrite]) {
        let allocated = || writes.iter().map(|write| write.index).filter(|&index| index < self.objects.used());
        self.objects.touch(allocated());
        let changes = writes.iter().filter_map(|write| step.changes.objects().get(write.change? as usize));
        let values = changes.flat_map(|change| [&change.old, &change.new]).flatten();
        let ends = values.filter_map(|value| Some(value.first()? ^ value.last()?));
        std::hint::black_box(ends.fold(0, |sum, end| sum ^ end));
        self.objects.touch(allocated().map(|index| self.objects.next(index)));
    }

    /// The key of a leaf and the value that it gets, once its value is the one that the change starts from.
    fn check_leaf<'a>(
        &'a self,
        step: &Step<'a>,
        write: &LeafWrite,
    ) -> Result<(&'a ObjectKey, Option<&'a [u8]>), ApplyError> {
        let allocated = write.index < self.objects.used();
        let current = if allocated { self.objects.value(write.index) } else { None };
        let Some(change) = write.change else {
            return Ok((self.objects.key(write.index), current));
        };
        let change = &step.changes.objects()[change as usize];
        let (expected, target) = step.object(change);
        if current == expected { Ok((&change.key, target)) } else { Err(ApplyError::ObjectDiffers(change.key)) }
    }

    /// The key of the leaf at `index`, which may be one that is about to be appended.
    fn key_after<'a>(&'a self, step: &Step<'a>, plan: &ObjectPlan, index: u32) -> &'a ObjectKey {
        match index.checked_sub(self.objects.used()) {
            None => self.objects.key(index),
            Some(ordinal) => &step.changes.objects()[plan.appended[ordinal as usize].change as usize].key,
        }
    }

    /// Writes what has been hashed.
    fn commit(&mut self, step: &Step<'_>, scratch: &Scratch) {
        scratch.ledger.store(&mut self.ledger_tree, step.slots_used);
        scratch.objects.store(&mut self.object_tree, step.objects_used);
        for change in step.changes.slots() {
            if let (_, Some(target)) = step.slot(change) {
                self.slots.write(change.index.index(), &target);
            }
        }
        self.slots.truncate(step.slots_used);
        let used = self.objects.used();
        self.forget(step.objects_used..used);
        for write in &scratch.writes {
            self.write_leaf(step, write);
        }
        for index in used..step.objects_used {
            self.directory.insert(index, |index| self.objects.key(index));
            self.order.insert(index, |index| self.objects.key(index));
        }
    }

    /// Takes leaves that are given up out of the directory, and gives them up.
    fn forget(&mut self, range: Range<u32>) {
        for index in range.clone() {
            self.directory.remove(index, self.objects.key(index));
            self.order.remove(index, |index| self.objects.key(index));
        }
        if !range.is_empty() {
            self.objects.truncate(range.start);
        }
    }

    fn write_leaf(&mut self, step: &Step<'_>, write: &LeafWrite) {
        if write.index >= step.objects_used {
            return;
        }
        if let Some(change) = write.change {
            let change = &step.changes.objects()[change as usize];
            let (_, value) = step.object(change);
            if write.index == self.objects.used() {
                self.objects.push(&change.key, value);
            } else {
                self.objects.set_value(write.index, value);
            }
        }
        if let Some(next) = write.next {
            self.objects.set_next(write.index, next);
        }
    }
}

/// The count of leaves after `more` are appended.
pub(crate) fn appended_count(used: u32, more: usize) -> Result<u32, ApplyError> {
    let after = used as usize + more;
    u32::try_from(after).ok().filter(|&after| after <= 1 << TREE_DEPTH).ok_or(ApplyError::Full { used, more })
}

/// The rehashing of one tree, in parts that workers hash side by side.
#[derive(Debug)]
struct Rehash<H: TreeHash, W> {
    split: Split,
    parts: Vec<Mutex<Part<H, W>>>,
    /// What is above the parts, if there are several.
    top: Climb<H>,
}

/// One part, and what hashing its leaves needs.
#[derive(Debug)]
struct Part<H: TreeHash, W> {
    climb: Climb<H>,
    workspace: W,
    outcome: Result<(), ApplyError>,
}

type LedgerPart = Part<LedgerHash, Vec<[KoalaBear; STATE_ELEMENTS]>>;
type ObjectPart = Part<ObjectHash, LeafHasher>;

impl<H: TreeHash, W: Default> Default for Rehash<H, W> {
    fn default() -> Self {
        Self { split: Split::new(0, |_| 0), parts: Vec::new(), top: Climb::default() }
    }
}

impl<H: TreeHash, W: Default> Rehash<H, W> {
    fn split(&mut self, count: usize, index: impl Fn(usize) -> u32) {
        self.split = Split::new(count, index);
        let part = || Mutex::new(Part { climb: Climb::default(), workspace: W::default(), outcome: Ok(()) });
        self.parts.resize_with(self.split.parts.len().max(self.parts.len()), part);
    }

    /// Hashes part `at`: `leaves(range, part)` fills its lowest level.
    fn run(
        &self,
        at: usize,
        tree: &Levels<H>,
        leaves: impl FnOnce(Range<usize>, &mut Part<H, W>) -> Result<(), ApplyError>,
    ) {
        let mut part = self.parts[at].lock().expect("a job that panics takes the whole step with it");
        part.climb.clear();
        part.outcome = leaves(self.split.parts[at].clone(), &mut part);
        if part.outcome.is_ok() && !self.split.parts[at].is_empty() {
            let Ok(()) = part.climb.run(0, self.split.height, tree);
        }
    }

    /// Hashes what is above the parts, and returns the root; or the first error in the order of the leaves.
    fn join(&mut self, tree: &Levels<H>) -> Result<H::Digest, ApplyError> {
        self.top.clear();
        let parts = &mut self.parts[..self.split.parts.len()];
        for part in parts {
            let part = part.get_mut().expect("a job that panics takes the whole step with it");
            part.outcome?;
            let (indices, digests) = part.climb.top();
            let (top_indices, top_digests) = self.top.bottom();
            top_indices.extend_from_slice(indices);
            top_digests.extend_from_slice(digests);
        }
        let Ok(()) = self.top.run(self.split.height, TREE_DEPTH, tree);
        Ok(self.top.top().1.first().copied().unwrap_or_else(|| tree.root()))
    }

    /// Stores every hashed node in `tree`, which has `used` leaves from now on.
    fn store(&self, tree: &mut Levels<H>, used: u32) {
        tree.resize(used);
        for part in &self.parts[..self.split.parts.len()] {
            tree.store(&part.lock().expect("a job that panics takes the whole step with it").climb, 0);
        }
        tree.store(&self.top, self.split.height);
    }

    fn heap_bytes(&self) -> usize {
        let parts = self.parts.iter().map(|part| part.lock().map_or(0, |part| part.climb.heap_bytes()));
        parts.sum::<usize>() + self.top.heap_bytes()
    }
}
