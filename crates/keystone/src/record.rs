//! Noting what an execution reads, so that a witness can carry exactly that.

use crate::view::{Missing, ObjectRef, StateView, Successor};
use ghostplane_types::{ObjectIndex, ObjectKey, Roots, Slot, SlotIndex};
use std::cell::RefCell;

/// What was asked of a state. Each list is ascending and free of duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Slots that were read.
    pub slots: Vec<SlotIndex>,
    /// Keys whose objects were read.
    pub objects: Vec<ObjectKey>,
    /// Positions whose objects were read.
    pub positions: Vec<ObjectIndex>,
    /// Keys whose position was asked for.
    pub located: Vec<ObjectKey>,
    /// Keys whose successor was asked for.
    pub followed: Vec<ObjectKey>,
}

impl Touched {
    /// Adds what another recorder of the same state has noted.
    pub fn merge(&mut self, other: &Self) {
        join(&mut self.slots, &other.slots);
        join(&mut self.objects, &other.objects);
        join(&mut self.positions, &other.positions);
        join(&mut self.located, &other.located);
        join(&mut self.followed, &other.followed);
    }
}

fn join<T: Copy + Ord>(list: &mut Vec<T>, more: &[T]) {
    list.extend_from_slice(more);
    compact(list);
}

fn compact<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

/// Adds an item; drops duplicates instead of growing, so that the list stays within twice its distinct items.
fn note<T: Copy + Ord>(list: &mut Vec<T>, item: T) {
    if list.last() == Some(&item) {
        return;
    }
    if list.len() == list.capacity() {
        compact(list);
        list.reserve(list.len().max(64));
    }
    list.push(item);
}

/// A view that notes what is read through it. Who reads cannot tell it from the view below.
#[derive(Debug)]
pub struct Recorder<'a, V: StateView> {
    view: &'a V,
    touched: RefCell<Touched>,
}

impl<'a, V: StateView> Recorder<'a, V> {
    /// Starts with nothing noted.
    pub fn new(view: &'a V) -> Self {
        Self { view, touched: RefCell::default() }
    }

    /// What has been read so far.
    pub fn touched(&self) -> Touched {
        let mut touched = self.touched.borrow_mut();
        compact(&mut touched.slots);
        compact(&mut touched.objects);
        compact(&mut touched.positions);
        compact(&mut touched.located);
        compact(&mut touched.followed);
        touched.clone()
    }
}

impl<V: StateView> StateView for Recorder<'_, V> {
    fn roots(&self) -> Roots {
        self.view.roots()
    }

    fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRef<'_>>, Missing> {
        note(&mut self.touched.borrow_mut().objects, *key);
        self.view.object(key)
    }

    fn object_at(&self, index: ObjectIndex) -> Result<Option<(ObjectKey, &[u8])>, Missing> {
        note(&mut self.touched.borrow_mut().positions, index);
        self.view.object_at(index)
    }

    fn object_index(&self, key: &ObjectKey) -> Result<Option<ObjectIndex>, Missing> {
        note(&mut self.touched.borrow_mut().located, *key);
        self.view.object_index(key)
    }

    fn object_after(&self, key: &ObjectKey) -> Result<Option<Successor<'_>>, Missing> {
        note(&mut self.touched.borrow_mut().followed, *key);
        self.view.object_after(key)
    }

    fn slot(&self, index: SlotIndex) -> Result<Option<Slot>, Missing> {
        note(&mut self.touched.borrow_mut().slots, index);
        self.view.slot(index)
    }
}
