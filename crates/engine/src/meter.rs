//! A view that stops before a witness of what was read through it could become too large.
//!
//! Execution itself refuses a batch that touches too much, but it is not the first to read: decoding the posted form and
//! finding keys come before it. Without a meter there, an operator could post a batch that names so many accounts that no
//! witness of it fits, and nobody could ever show what else is wrong with it.

use crate::{FixedState, hash_seed};
use ghostplane_keystone::{Missing, MissingWhat, ObjectRef, StateView, Successor};
use ghostplane_types::limits::{WITNESS_BOUND_MAX, witness_bytes_bound};
use ghostplane_types::{ObjectIndex, ObjectKey, Roots, Slot, SlotIndex};
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
    /// The most bytes that a witness of it can take.
    pub(crate) fn witness_bytes_max(self, roots: &Roots) -> usize {
        witness_bytes_bound(roots.slots_used, roots.objects_used, self.slots, self.objects, self.value_bytes)
    }
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
