//! Moving the state by one batch, forwards and back. Everything is hashed and checked before anything is written.

use super::Keystone;
use crate::change::{ApplyError, Changeset, ObjectChange, SlotChange};
use crate::dense::{Levels, LevelsPart, SUBTREE_LEAVES};
use crate::hash::{BLOCK, LeafHasher, LeafValue, LedgerHash, ObjectHash, TreeHash, slot_preimage};
use crate::plan::{Next, ObjectPlan};
use crate::view::StateView;
use ghostplane_ghostcipher::poseidon2::{KoalaBear, STATE_ELEMENTS, compress_many};
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_types::{ObjectKey, Roots, Slot, TREE_DEPTH};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

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

/// Which way a changeset is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From old to new.
    Forward,
    /// From new to old.
    Back,
    /// Nowhere: leaves as they are. Undoes [`Way::Back`] before anything but digests was written.
    Stay,
}

/// A changeset, the way it is taken, and the counts at its end.
#[derive(Clone, Copy)]
struct Step<'a> {
    changes: &'a Changeset,
    way: Way,
    slots_used: u32,
    objects_used: u32,
}

impl<'a> Step<'a> {
    /// What the slot must be, and what it becomes.
    fn slot(&self, change: &SlotChange) -> (Option<Slot>, Option<Slot>) {
        match self.way {
            Way::Forward => (change.old, Some(change.new)),
            Way::Back => (Some(change.new), change.old),
            Way::Stay => (Some(change.new), Some(change.new)),
        }
    }

    /// What the object must be, and what it becomes.
    fn object(&self, change: &'a ObjectChange) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        match self.way {
            Way::Forward => (old, new),
            Way::Back => (new, old),
            Way::Stay => (new, new),
        }
    }
}

impl Keystone {
    /// Applies a batch and returns the roots after it. The state is unchanged if an error is returned.
    ///
    /// Every old value of the changeset is compared with the state: the executor saw the very state that is changed.
    pub fn apply(&mut self, changes: &Changeset, workers: &dyn Workers) -> Result<Roots, ApplyError> {
        self.with_scratch(|state, scratch| {
            let slots_used = appended_count(state.slots.used(), changes.slots_new().len())?;
            if let Some(first) = changes.slots_new().first().filter(|first| first.index.index() != state.slots.used()) {
                return Err(ApplyError::SlotGap { first: first.index.index(), used: state.slots.used() });
            }
            state.plan_forward(changes, scratch)?;
            let objects_used = appended_count(state.objects.used(), scratch.plan.appended.len())?;
            let step = Step { changes, way: Way::Forward, slots_used, objects_used };
            state.hash_leaves(&step, scratch, workers)?;
            state.ledger_tree.resize(slots_used);
            state.object_tree.resize(objects_used);
            state.rehash(scratch, workers);
            state.commit(&step, scratch);
            Ok(state.roots())
        })
    }

    /// Takes the last applied batch back, for a batch that was convicted: the exact inverse of [`Self::apply`], counts
    /// included. `before` are the roots that the batch started from. The state is unchanged if an error is returned,
    /// also if that is because taking the batch back would not lead there.
    pub fn revert(&mut self, changes: &Changeset, before: &Roots, workers: &dyn Workers) -> Result<(), ApplyError> {
        self.with_scratch(|state, scratch| {
            let (used, appended) = (state.slots.used(), changes.slots_new().len());
            let first = changes.slots_new().first().map_or(used, |first| first.index.index());
            if first != before.slots_used || before.slots_used as usize + appended != used as usize {
                return Err(ApplyError::Count { expected: used.saturating_sub(before.slots_used), appended });
            }
            state.plan_back(changes, before.objects_used, scratch)?;
            let (slots_used, objects_used) = (before.slots_used, before.objects_used);
            let step = Step { changes, way: Way::Back, slots_used, objects_used };
            state.hash_leaves(&step, scratch, workers)?;
            state.rehash(scratch, workers);
            let roots = (state.ledger_tree.root(), state.object_tree.root());
            if roots != (before.ledger_root, before.object_root) {
                let stay = Step { way: Way::Stay, slots_used: used, objects_used: state.objects.used(), ..step };
                state.hash_leaves(&stay, scratch, workers).expect("these leaves were compared just before");
                state.rehash(scratch, workers);
                return Err(ApplyError::Roots);
            }
            state.ledger_tree.resize(slots_used);
            state.object_tree.resize(objects_used);
            state.commit(&step, scratch);
            Ok(())
        })
    }

    fn with_scratch<T>(&mut self, step: impl FnOnce(&mut Self, &mut Scratch) -> T) -> T {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = step(self, &mut scratch);
        self.scratch = scratch;
        result
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

    /// Checks the changes against the state and hashes the leaves that they lead to. Writes only to `scratch`.
    fn hash_leaves(&self, step: &Step<'_>, scratch: &mut Scratch, workers: &dyn Workers) -> Result<(), ApplyError> {
        let Scratch { plan, writes, ledger, objects } = scratch;
        let slots = step.changes.slots();
        ledger.cut(slots.len(), |at| slots[at].index.index());
        objects.cut(writes.len(), |at| writes[at].index);
        workers.run(ledger.parts().len() + objects.parts().len(), &|job| match ledger.parts().get(job) {
            Some(part) => {
                let mut part = lock(part);
                part.outcome = self.hash_slots(step, &slots[part.range.clone()], &mut part);
            }
            None => {
                let mut part = lock(&objects.parts()[job - ledger.parts().len()]);
                part.outcome = self.hash_objects(step, plan, &writes[part.range.clone()], &mut part);
            }
        });
        // The first error in the order of the leaves, however many workers there were.
        ledger.parts().iter().try_for_each(|part| lock(part).outcome)?;
        objects.parts().iter().try_for_each(|part| lock(part).outcome)
    }

    /// Stores the leaves of `scratch` in both trees and hashes what they change.
    fn rehash(&mut self, scratch: &mut Scratch, workers: &dyn Workers) {
        let Scratch { ledger, objects, .. } = scratch;
        let ledger_levels = ledger.levels(&mut self.ledger_tree);
        let object_levels = objects.levels(&mut self.object_tree);
        workers.run(ledger_levels.len() + object_levels.len(), &|job| match ledger_levels.get(job) {
            Some(levels) => lock(&ledger.parts()[job]).store(&mut lock(levels)),
            None => {
                let job = job - ledger_levels.len();
                lock(&objects.parts()[job]).store(&mut lock(&object_levels[job]));
            }
        });
        drop((ledger_levels, object_levels));
        ledger.join(&mut self.ledger_tree);
        objects.join(&mut self.object_tree);
    }

    fn hash_slots(&self, step: &Step<'_>, changes: &[SlotChange], part: &mut LedgerPart) -> Result<(), ApplyError> {
        let Part { indices, digests, workspace: preimages, .. } = part;
        indices.clear();
        digests.clear();
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
        let Part { indices, digests, workspace: hasher, .. } = part;
        indices.clear();
        digests.clear();
        hasher.clear();
        for writes in writes.chunks(BLOCK) {
            self.warm_leaves(step, writes);
            for write in writes {
                let (key, value) = self.check_leaf(step, write)?;
                indices.push(write.index);
                if write.index < step.objects_used {
                    let next = match write.next.filter(|_| step.way != Way::Stay) {
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
        self.objects.touch_keys(allocated().map(|index| self.objects.next(index)));
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
        for changes in step.changes.slots().chunks(BLOCK) {
            self.slots.touch(changes.iter().map(|change| change.index.index()));
            for change in changes {
                if let (_, Some(target)) = step.slot(change) {
                    self.slots.write(change.index.index(), &target);
                }
            }
        }
        self.slots.truncate(step.slots_used);
        let used = self.objects.used();
        self.forget(step.objects_used..used);
        for writes in scratch.writes.chunks(BLOCK) {
            self.objects.touch(writes.iter().map(|write| write.index));
            for write in writes {
                self.write_leaf(step, write);
            }
        }
        for index in used..step.objects_used {
            self.directory.insert(index, |index| self.objects.key(index));
        }
        self.order.insert(used..step.objects_used.max(used), |index| self.objects.key(index));
    }

    /// Takes leaves that are given up out of the directory, and gives them up.
    fn forget(&mut self, range: Range<u32>) {
        for index in range.clone() {
            self.directory.remove(index, |index| self.objects.key(index));
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

/// The changed leaves of one tree, in parts that workers hash side by side.
#[derive(Debug)]
struct Rehash<H: TreeHash, W> {
    /// The first of them are in use; the rest are kept for their memory.
    parts: Vec<Mutex<Part<H, W>>>,
    used: usize,
    /// Changed nodes above the parts.
    above: Vec<u32>,
}

/// Some changed leaves, and what hashing them needs.
#[derive(Debug)]
struct Part<H: TreeHash, W> {
    /// Which of the changes these are.
    range: Range<usize>,
    /// The leaves' positions, ascending; later those of the nodes above them.
    indices: Vec<u32>,
    digests: Vec<H::Digest>,
    workspace: W,
    outcome: Result<(), ApplyError>,
}

type LedgerPart = Part<LedgerHash, Vec<[KoalaBear; STATE_ELEMENTS]>>;
type ObjectPart = Part<ObjectHash, LeafHasher>;

/// Leaves of a part, at least: few enough that the nodes above them stay in the second-level cache.
const PART_LEAVES: usize = 512;

impl<H: TreeHash, W> Default for Rehash<H, W> {
    fn default() -> Self {
        Self { parts: Vec::new(), used: 0, above: Vec::new() }
    }
}

impl<H: TreeHash, W: Default> Rehash<H, W> {
    /// Cuts `count` changes, of leaves whose `index(change)` ascends, where a subtree ends.
    fn cut(&mut self, count: usize, index: impl Fn(usize) -> u32) {
        let subtree = |change: usize| index(change) as usize / SUBTREE_LEAVES;
        self.used = 0;
        let mut start = 0;
        while start < count {
            let mut end = count.min(start + PART_LEAVES);
            while end < count && subtree(end) == subtree(end - 1) {
                end += 1;
            }
            if self.used == self.parts.len() {
                self.parts.push(Mutex::default());
            }
            lock(&self.parts[self.used]).range = start..end;
            self.used += 1;
            start = end;
        }
    }

    fn parts(&self) -> &[Mutex<Part<H, W>>] {
        &self.parts[..self.used]
    }

    /// The lower levels of `tree`, cut like the changes.
    fn levels<'t>(&self, tree: &'t mut Levels<H>) -> Vec<Mutex<LevelsPart<'t, H>>> {
        let last =
            |part: &Mutex<Part<H, W>>| lock(part).indices.last().map_or(0, |&index| index as usize / SUBTREE_LEAVES);
        let mut before = 0;
        let subtrees = self.parts().iter().map(|part| {
            let end = last(part) + 1;
            let count = end - before;
            before = end;
            count
        });
        tree.parts(subtrees).into_iter().map(Mutex::new).collect()
    }

    /// Hashes what is above the parts.
    fn join(&mut self, tree: &mut Levels<H>) {
        self.above.clear();
        for part in &self.parts[..self.used] {
            self.above.extend_from_slice(&lock(part).indices);
        }
        tree.join(&mut self.above);
    }

    fn heap_bytes(&self) -> usize {
        let leaf = size_of::<u32>() + size_of::<H::Digest>();
        let parts = self.parts.iter().map(|part| lock(part).digests.capacity() * leaf + size_of::<Part<H, W>>());
        parts.sum::<usize>() + self.above.capacity() * size_of::<u32>()
    }
}

impl<H: TreeHash, W: Default> Default for Part<H, W> {
    fn default() -> Self {
        Self { range: 0..0, indices: Vec::new(), digests: Vec::new(), workspace: W::default(), outcome: Ok(()) }
    }
}

impl<H: TreeHash, W> Part<H, W> {
    fn store(&mut self, levels: &mut LevelsPart<'_, H>) {
        levels.update(&mut self.indices, &self.digests);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a job that panics takes the whole step with it")
}
