//! How the core reads state: one trait, read by the engine, implemented by the node's memory, overlays and witnesses.

use ghostplane_types::{ObjectClass, ObjectIndex, ObjectKey, Roots, Slot, SlotIndex};
use thiserror::Error;

/// The state does not say. Distinct from a proved absence: whoever supplied the state supplied too little of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the state given does not say: {what}")]
pub struct Missing {
    /// What was asked.
    pub what: MissingWhat,
}

/// What a view could not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MissingWhat {
    /// The content of a slot.
    #[error("slot {}", .0.index())]
    Slot(SlotIndex),
    /// Whether an object is there, or what it is.
    #[error("object {0:?}")]
    Object(ObjectKey),
    /// The object at a position.
    #[error("object at position {}", .0.index())]
    ObjectAt(ObjectIndex),
    /// The object that follows a key.
    #[error("the object after {0:?}")]
    ObjectAfter(ObjectKey),
    /// A node of the ledger tree beside the way of a change to the root.
    #[error("ledger node {index} at height {height}")]
    LedgerPath {
        /// Levels above the leaves.
        height: usize,
        /// Position in its level.
        index: u32,
    },
    /// A node of the object tree beside the way of a change to the root.
    #[error("object node {index} at height {height}")]
    ObjectPath {
        /// Levels above the leaves.
        height: usize,
        /// Position in its level.
        index: u32,
    },
}

impl From<MissingWhat> for Missing {
    fn from(what: MissingWhat) -> Self {
        Self { what }
    }
}

/// A present object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectRef<'a> {
    /// Where its leaf is; for an account record, the account's number.
    pub index: ObjectIndex,
    /// Its bytes.
    pub value: &'a [u8],
}

/// The leaf that follows a key in key order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor<'a> {
    /// The leaf's key.
    pub key: ObjectKey,
    /// The object, unless it was removed: a removed object's leaf stays linked.
    pub object: Option<ObjectRef<'a>>,
}

/// State as of one root. The only way the core reads it.
///
/// `Ok(None)` is knowledge: the view proves that nothing is there. [`Missing`] is ignorance.
pub trait StateView {
    /// The roots and counts of this state.
    fn roots(&self) -> Roots;

    /// The object under `key`; `None` if it never was or was removed.
    fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRef<'_>>, Missing>;

    /// The object at `index`; `None` beyond `objects_used`, for the sentinel, and if it was removed.
    fn object_at(&self, index: ObjectIndex) -> Result<Option<(ObjectKey, &[u8])>, Missing>;

    /// The position that `key` was given when it was first set, removed since or not; `None` if it never was.
    fn object_index(&self, key: &ObjectKey) -> Result<Option<ObjectIndex>, Missing>;

    /// The leaf with the smallest key above `key`, removed objects included; `None` at the end.
    fn object_after(&self, key: &ObjectKey) -> Result<Option<Successor<'_>>, Missing>;

    /// The slot at `index`; `None` if it was never allocated (at or beyond `slots_used`, or the outside).
    fn slot(&self, index: SlotIndex) -> Result<Option<Slot>, Missing>;
}

impl<V: StateView + ?Sized> StateView for &V {
    fn roots(&self) -> Roots {
        (**self).roots()
    }

    fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRef<'_>>, Missing> {
        (**self).object(key)
    }

    fn object_at(&self, index: ObjectIndex) -> Result<Option<(ObjectKey, &[u8])>, Missing> {
        (**self).object_at(index)
    }

    fn object_index(&self, key: &ObjectKey) -> Result<Option<ObjectIndex>, Missing> {
        (**self).object_index(key)
    }

    fn object_after(&self, key: &ObjectKey) -> Result<Option<Successor<'_>>, Missing> {
        (**self).object_after(key)
    }

    fn slot(&self, index: SlotIndex) -> Result<Option<Slot>, Missing> {
        (**self).slot(index)
    }
}

/// One page of an owner's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// Present objects, ascending by key.
    pub objects: Vec<(ObjectKey, ObjectRef<'a>)>,
    /// Where the next page starts: pass it as `after`. `None` if the owner has nothing further.
    pub resume_after: Option<ObjectKey>,
}

/// Lists the objects of `class` that belong to `owner`, in key order, from just behind `after` or from the first.
///
/// Looks at no more than `visits_max` leaves, removed ones included, so its cost is bounded whatever the owner did before.
pub fn scan<'a, V: StateView + ?Sized>(
    view: &'a V,
    class: ObjectClass,
    owner: u32,
    after: Option<&ObjectKey>,
    visits_max: usize,
) -> Result<Page<'a>, Missing> {
    let prefix = (class as u64) << 56 | u64::from(owner);
    let mut at = after.copied().unwrap_or_else(|| key_below(prefix));
    let mut objects = Vec::new();
    for _ in 0..visits_max {
        let Some(found) = view.object_after(&at)?.filter(|found| prefix_of(&found.key) == prefix) else {
            return Ok(Page { objects, resume_after: None });
        };
        objects.extend(found.object.map(|object| (found.key, object)));
        at = found.key;
    }
    Ok(Page { objects, resume_after: Some(at) })
}

/// Class and owner number of a key, as one number.
fn prefix_of(key: &ObjectKey) -> u64 {
    let (first, _) = key.as_bytes().split_first_chunk().expect("a key is longer than 8 bytes");
    u64::from_be_bytes(*first)
}

/// The largest key below all that start with `prefix`. Classes start at 1, so there is always one.
fn key_below(prefix: u64) -> ObjectKey {
    let mut bytes = [0xff; 32];
    bytes[..8].copy_from_slice(&(prefix - 1).to_be_bytes());
    ObjectKey::from_bytes(bytes)
}
