//! A view that stops before a witness of what was read through it could become too large.
//!
//! Execution itself refuses a batch that touches too much, but it is not the first to read: decoding the posted form and
//! finding keys come before it. Without a meter there, an operator could post a batch that names so many accounts that no
//! witness of it fits, and nobody could ever show what else is wrong with it.

use crate::{FixedState, hash_seed};
use ghostplane_keystone::{Missing, MissingWhat, ObjectRef, StateView, Successor};
use ghostplane_types::limits::WITNESS_BOUND_MAX;
use ghostplane_types::{ObjectIndex, ObjectKey, Roots, Slot, SlotIndex, TREE_DEPTH};
use hashbrown::HashSet;
use std::cell::RefCell;

/// Counts distinct reads. The read that goes over the limit, and every new one after it, answers [`Missing`];
/// [`Metered::too_much`] then tells that it was the limit. What was read up to there still fits a witness.
pub(crate) struct Metered<'a, V: StateView> {
    view: &'a V,
    roots: Roots,
    read: RefCell<Read>,
}

struct Read {
    present: HashSet<u32, FixedState>,
    absent: HashSet<ObjectKey, FixedState>,
    slots: HashSet<u32, FixedState>,
    value_bytes: usize,
}

/// How much of a state was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reads {
    /// Slots.
    pub(crate) slots: usize,
    /// Objects; one that is not there counts twice, for the neighbour that shows it and the leaf that may be made.
    pub(crate) objects: usize,
    /// Bytes of the objects' values.
    pub(crate) value_bytes: usize,
}

impl Reads {
    /// The most bytes that a witness of it can take. More reads never take fewer: a batch within the limit in the end is
    /// within it all the way, in whatever order it is read.
    pub(crate) fn witness_bytes_max(self, roots: &Roots) -> usize {
        let Self { slots, objects, value_bytes } = self;
        let nodes = siblings_max(roots.slots_used, slots) + siblings_max(roots.objects_used, objects);
        HEADER_BYTES + slots * SLOT_BYTES + objects * OBJECT_BYTES + value_bytes + nodes * NODE_BYTES
    }
}

/// Flags and the lengths of four lists.
const HEADER_BYTES: usize = 1 + 4 * 5;
/// Index and slot.
const SLOT_BYTES: usize = 5 + 45;
/// Index, key, length or digest of the value, next key.
const OBJECT_BYTES: usize = 5 + 32 + 33 + 32;
const NODE_BYTES: usize = 32;

/// The most nodes beside the ways of `touched` leaves to the root of a tree of `used` leaves, and of the next new leaf.
///
/// The worst leaves are spread evenly: with `2^k <= touched < 2^(k+1)` each node at depth `k` has one leaf below it or,
/// one for each leaf beyond `2^k`, two that part at once.
fn siblings_max(used: u32, touched: usize) -> usize {
    let depth = (u32::BITS - used.saturating_sub(1).leading_zeros()) as usize;
    let spread = touched.checked_ilog2().map(|spread| spread as usize);
    let Some(spread) = spread.filter(|spread| *spread < depth) else { return TREE_DEPTH };
    let parting = touched - (1 << spread);
    touched * (depth - spread) - 2 * parting + TREE_DEPTH
}

impl<'a, V: StateView> Metered<'a, V> {
    pub(crate) fn new(view: &'a V) -> Self {
        let seed = hash_seed(view);
        let read = Read {
            present: HashSet::with_hasher(seed.clone()),
            absent: HashSet::with_hasher(seed.clone()),
            slots: HashSet::with_hasher(seed),
            value_bytes: 0,
        };
        Self { view, roots: view.roots(), read: RefCell::new(read) }
    }

    /// The bound on the witness, if it is over the limit.
    pub(crate) fn too_much(&self) -> Option<usize> {
        let read = self.read.borrow();
        let objects = read.present.len() + 2 * read.absent.len();
        let reads = Reads { slots: read.slots.len(), objects, value_bytes: read.value_bytes };
        let bytes = reads.witness_bytes_max(&self.roots);
        (bytes > WITNESS_BOUND_MAX).then_some(bytes)
    }

    fn present(&self, index: ObjectIndex, value: &[u8], otherwise: Missing) -> Result<(), Missing> {
        let new = {
            let mut read = self.read.borrow_mut();
            let new = read.present.insert(index.index());
            read.value_bytes += if new { value.len() } else { 0 };
            new
        };
        self.go_on(new, otherwise)
    }

    fn absent(&self, key: &ObjectKey, otherwise: Missing) -> Result<(), Missing> {
        let new = self.read.borrow_mut().absent.insert(*key);
        self.go_on(new, otherwise)
    }

    fn go_on(&self, new: bool, otherwise: Missing) -> Result<(), Missing> {
        if new && self.too_much().is_some() { Err(otherwise) } else { Ok(()) }
    }
}

impl<V: StateView> StateView for Metered<'_, V> {
    fn roots(&self) -> Roots {
        self.roots
    }

    fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRef<'_>>, Missing> {
        let otherwise = MissingWhat::Object(*key).into();
        let object = self.view.object(key)?;
        match &object {
            Some(object) => self.present(object.index, object.value, otherwise)?,
            None => self.absent(key, otherwise)?,
        }
        Ok(object)
    }

    fn object_at(&self, index: ObjectIndex) -> Result<Option<(ObjectKey, &[u8])>, Missing> {
        let object = self.view.object_at(index)?;
        // A position that holds nothing is a lie of the operator's that ends the replay: it need not be counted.
        if let Some((_, value)) = &object {
            self.present(index, value, MissingWhat::ObjectAt(index).into())?;
        }
        Ok(object)
    }

    fn object_index(&self, key: &ObjectKey) -> Result<Option<ObjectIndex>, Missing> {
        let index = self.view.object_index(key)?;
        let otherwise = MissingWhat::Object(*key).into();
        match index {
            Some(index) => self.present(index, &[], otherwise)?,
            None => self.absent(key, otherwise)?,
        }
        Ok(index)
    }

    fn object_after(&self, key: &ObjectKey) -> Result<Option<Successor<'_>>, Missing> {
        let after = self.view.object_after(key)?;
        self.absent(key, MissingWhat::ObjectAfter(*key).into())?;
        if let Some(object) = after.as_ref().and_then(|after| after.object.as_ref()) {
            self.present(object.index, object.value, MissingWhat::ObjectAfter(*key).into())?;
        }
        Ok(after)
    }

    fn slot(&self, index: SlotIndex) -> Result<Option<Slot>, Missing> {
        let slot = self.view.slot(index)?;
        let new = self.read.borrow_mut().slots.insert(index.index());
        self.go_on(new, MissingWhat::Slot(index).into())?;
        Ok(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_types::limits::BATCH_TRANSACTIONS_MAX;

    fn roots(used: u32) -> Roots {
        let (ledger_root, object_root) = Default::default();
        Roots { ledger_root, object_root, slots_used: used, objects_used: used }
    }

    /// The most nodes beside the ways of `touched` leaves to a node at height `depth`, by trying every split.
    fn most(depth: usize, touched: usize, known: &mut Vec<Vec<Option<usize>>>) -> usize {
        if touched == 0 || depth == 0 {
            return 0;
        }
        if let Some(most) = known[depth][touched] {
            return most;
        }
        let half = 1 << (depth - 1);
        let mut best = 0;
        for left in touched.saturating_sub(half)..=touched.min(half) {
            let beside = usize::from(left == 0 || left == touched);
            best = best.max(beside + most(depth - 1, left, known) + most(depth - 1, touched - left, known));
        }
        known[depth][touched] = Some(best);
        best
    }

    #[test]
    fn the_bound_is_what_the_worst_leaves_take() {
        for depth in 0..=9 {
            let mut known = vec![vec![None; (1 << depth) + 1]; depth + 1];
            for touched in 1..=1_usize << depth {
                let bound = siblings_max(1 << depth, touched) - TREE_DEPTH;
                assert_eq!(bound, most(depth, touched, &mut known), "{touched} of 2^{depth}");
            }
        }
    }

    #[test]
    fn more_reads_never_take_fewer_bytes() {
        for used in [2, 3, 1_000, 1 << 13, 1 << 20, 1 << 30, u32::MAX] {
            let slots = |slots| Reads { slots, objects: 0, value_bytes: 0 }.witness_bytes_max(&roots(used));
            let objects = |objects| Reads { slots: 0, objects, value_bytes: 0 }.witness_bytes_max(&roots(used));
            assert!((0..20_000).all(|count| slots(count) < slots(count + 1)), "{used}");
            assert!((0..20_000).all(|count| objects(count) < objects(count + 1)), "{used}");
        }
    }

    #[test]
    fn a_full_batch_of_strangers_on_a_large_plane_fits_its_witness() {
        let accounts = 2 * BATCH_TRANSACTIONS_MAX;
        let reads = Reads { slots: accounts, objects: 2 * accounts, value_bytes: accounts * 80 };
        assert!(reads.witness_bytes_max(&roots(1 << 20)) <= WITNESS_BOUND_MAX);
    }
}
