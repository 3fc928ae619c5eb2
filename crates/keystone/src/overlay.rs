//! A state with batches on top that are executed but not yet hashed into it.

use crate::change::Changeset;
use crate::view::{Missing, ObjectRef, StateView, Successor};
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_types::{ObjectIndex, ObjectKey, Roots, Slot, SlotIndex};

/// A view of `base` as it will be once some changesets are applied to it, one after the other.
#[derive(Debug)]
pub struct Overlay<'a, V: StateView> {
    base: &'a V,
    roots: Roots,
    /// Ascending by index.
    slots: Vec<(SlotIndex, Slot)>,
    /// Ascending by key.
    objects: Vec<OverlaidObject<'a>>,
    /// Places in `objects`, ascending by the objects' positions.
    by_position: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct OverlaidObject<'a> {
    key: ObjectKey,
    index: ObjectIndex,
    value: Option<&'a [u8]>,
}

impl<'a> OverlaidObject<'a> {
    fn read(&self) -> Option<ObjectRef<'a>> {
        self.value.map(|value| ObjectRef { index: self.index, value })
    }
}

impl<'a, V: StateView> Overlay<'a, V> {
    /// Lays `changes` over `base`, the first one lowest.
    ///
    /// Asks `base` for the position of each changed key, as new objects get theirs behind those in use.
    pub fn new(base: &'a V, changes: impl IntoIterator<Item = &'a Changeset>) -> Result<Self, Missing> {
        let mut overlay =
            Self { base, roots: base.roots(), slots: Vec::new(), objects: Vec::new(), by_position: Vec::new() };
        for changes in changes {
            overlay.push(changes)?;
        }
        Ok(overlay)
    }

    /// Lays one more changeset on top.
    pub fn push(&mut self, changes: &'a Changeset) -> Result<(), Missing> {
        let mut used = self.roots.objects_used;
        let mut objects = Vec::with_capacity(changes.objects().len());
        for change in changes.objects() {
            let index = match self.object_index(&change.key)? {
                Some(index) => index,
                None => {
                    used += 1;
                    ObjectIndex::new(used - 1).expect("the executor bounds the number of objects")
                }
            };
            objects.push(OverlaidObject { key: change.key, index, value: change.new.as_deref() });
        }
        lay_over(&mut self.objects, objects, |object| object.key);
        let slots = changes.slots().iter().map(|change| (change.index, change.new)).collect();
        lay_over(&mut self.slots, slots, |slot| slot.0);
        self.by_position = (0..self.objects.len()).collect();
        self.by_position.sort_unstable_by_key(|&at| self.objects[at].index);
        let slots_new = u32::try_from(changes.slots_new().len()).expect("the executor bounds the number of slots");
        self.roots = Roots {
            ledger_root: FieldDigest::EMPTY,
            object_root: Digest::ZERO,
            slots_used: self.roots.slots_used + slots_new,
            objects_used: used,
        };
        Ok(())
    }

    /// Tells the overlay its roots, once somebody has computed them. Until then they read as zero, which no state has.
    pub fn with_roots(mut self, ledger_root: FieldDigest, object_root: Digest) -> Self {
        self.roots.ledger_root = ledger_root;
        self.roots.object_root = object_root;
        self
    }

    fn overlaid(&self, key: &ObjectKey) -> Option<&OverlaidObject<'a>> {
        let at = self.objects.binary_search_by(|object| object.key.cmp(key)).ok()?;
        Some(&self.objects[at])
    }
}

/// Merges `upper` over `lower`, both ascending; of two items with one key the upper stays.
fn lay_over<T, K: Ord>(lower: &mut Vec<T>, upper: Vec<T>, key: impl Fn(&T) -> K) {
    let mut merged = Vec::with_capacity(lower.len() + upper.len());
    let mut below = std::mem::take(lower).into_iter().peekable();
    for item in upper {
        while let Some(smaller) = below.next_if(|below| key(below) < key(&item)) {
            merged.push(smaller);
        }
        below.next_if(|below| key(below) == key(&item));
        merged.push(item);
    }
    merged.extend(below);
    *lower = merged;
}

impl<V: StateView> StateView for Overlay<'_, V> {
    /// Counts as of this state. The digests are zero until [`Overlay::with_roots`] says what they are.
    fn roots(&self) -> Roots {
        self.roots
    }

    fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRef<'_>>, Missing> {
        match self.overlaid(key) {
            Some(object) => Ok(object.read()),
            None => self.base.object(key),
        }
    }

    fn object_at(&self, index: ObjectIndex) -> Result<Option<(ObjectKey, &[u8])>, Missing> {
        match self.by_position.binary_search_by_key(&index, |&at| self.objects[at].index) {
            Ok(found) => {
                let object = &self.objects[self.by_position[found]];
                Ok(object.value.map(|value| (object.key, value)))
            }
            Err(_) => self.base.object_at(index),
        }
    }

    fn object_index(&self, key: &ObjectKey) -> Result<Option<ObjectIndex>, Missing> {
        match self.overlaid(key) {
            Some(object) => Ok(Some(object.index)),
            None => self.base.object_index(key),
        }
    }

    fn object_after(&self, key: &ObjectKey) -> Result<Option<Successor<'_>>, Missing> {
        let over = self.objects.get(self.objects.partition_point(|object| object.key <= *key));
        let over = over.map(|object| Successor { key: object.key, object: object.read() });
        let below = self.base.object_after(key)?;
        // Of one key in both, the overlay's is the newer.
        Ok(match (over, below) {
            (Some(over), Some(below)) => Some(if below.key < over.key { below } else { over }),
            (over, below) => over.or(below),
        })
    }

    fn slot(&self, index: SlotIndex) -> Result<Option<Slot>, Missing> {
        match self.slots.binary_search_by_key(&index, |slot| slot.0) {
            Ok(at) => Ok(Some(self.slots[at].1)),
            Err(_) => self.base.slot(index),
        }
    }
}
