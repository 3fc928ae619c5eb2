//! What differs from the last checkpoint.

use ghostplane_keystone::{Changeset, Keystone, Missing, StateView};
use ghostplane_types::{BatchHeader, ObjectIndex, ObjectKey, Slot, SlotIndex};
use std::collections::BTreeMap;

/// The leaves that changed since one batch, each as it is now. Collected while batches are applied, written by another thread.
///
/// As large as the number of different leaves that changed: write often enough.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// Number and generation of the batch it starts from; `None` for the empty state.
    pub(super) base: Option<(u64, u32)>,
    /// Whether it holds every leaf there is.
    pub(super) whole: bool,
    pub(super) slots: BTreeMap<u32, Slot>,
    pub(super) objects: BTreeMap<u32, ObjectNow>,
}

impl Changed {
    /// Nothing has changed yet since the batch of `header`: that of the last checkpoint, or `None` if there is none yet.
    ///
    /// With `None` the founding changes of genesis are the first to be applied.
    pub fn since(header: Option<&BatchHeader>) -> Self {
        Self { base: header.map(base_of), ..Self::default() }
    }

    /// Every leaf of a state. Replaces whatever checkpoint there is.
    pub fn all(state: &Keystone) -> Self {
        let roots = state.roots();
        let slot = |index: u32| Some((index, state.slot(SlotIndex::new(index)?).ok()??));
        let object = |index: u32| {
            let (key, value) = state.leaf_at(ObjectIndex::new(index)?)?;
            Some((index, (key, value.map(Box::from))))
        };
        Self {
            base: None,
            whole: true,
            slots: (1..roots.slots_used).filter_map(slot).collect(),
            objects: (1..roots.objects_used).filter_map(object).collect(),
        }
    }

    /// Notes what a batch changed. `after` is the state after it, which knows the places of new objects.
    pub fn apply(&mut self, changes: &Changeset, after: &impl StateView) -> Result<(), Missing> {
        self.slots.extend(changes.slots().iter().map(|change| (change.index.index(), change.new)));
        for change in changes.objects() {
            self.note(change.key, &change.new, after)?;
        }
        Ok(())
    }

    /// Notes that what a batch changed is taken back. `before` is the state without it.
    pub fn revert(&mut self, changes: &Changeset, before: &impl StateView) -> Result<(), Missing> {
        let slots = changes.slots().iter().filter_map(|change| Some((change.index.index(), change.old?)));
        self.slots.extend(slots);
        for change in changes.objects() {
            self.note(change.key, &change.old, before)?;
        }
        // Leaves that the batch appended are gone.
        let roots = before.roots();
        self.slots.split_off(&roots.slots_used);
        self.objects.split_off(&roots.objects_used);
        Ok(())
    }

    fn note(&mut self, key: ObjectKey, value: &Option<Box<[u8]>>, state: &impl StateView) -> Result<(), Missing> {
        if let Some(index) = state.object_index(&key)? {
            self.objects.insert(index.index(), (key, value.clone()));
        }
        Ok(())
    }

    /// How many leaves of both trees changed.
    pub fn len(&self) -> usize {
        self.slots.len() + self.objects.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An object's key and bytes, `None` if it was removed.
type ObjectNow = (ObjectKey, Option<Box<[u8]>>);

/// What tells a batch from all others of the log.
pub(super) fn base_of(header: &BatchHeader) -> (u64, u32) {
    (header.number, header.generation)
}
