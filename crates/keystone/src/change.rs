//! What a batch changes, as the executor hands it over: old and new of every slot and object.

use crate::view::Missing;
use ghostplane_types::limits::OBJECT_BYTES_MAX;
use ghostplane_types::{ObjectKey, Slot, SlotIndex, SlotKind, TREE_DEPTH};
use thiserror::Error;

/// What happens to one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// Which slot; never the outside.
    pub index: SlotIndex,
    /// What it was; `None` if it is newly allocated.
    pub old: Option<Slot>,
    /// What it becomes. A slot is never given back.
    pub new: Slot,
}

/// What happens to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// Which object; never the sentinel.
    pub key: ObjectKey,
    /// What it was; `None` if it was not there.
    pub old: Option<Box<[u8]>>,
    /// What it becomes; `None` removes it.
    pub new: Option<Box<[u8]>>,
}

/// All changes of a batch: slots ascending by index, the new ones last and without gaps; objects ascending by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changeset {
    slots: Vec<SlotChange>,
    objects: Vec<ObjectChange>,
    slots_appended: usize,
}

/// How a list of changes breaks the rules of a [`Changeset`]. Whoever executed the batch is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChangesetError {
    /// The outside holds nothing.
    #[error("slot 0 is the outside and cannot change")]
    Outside,
    /// Slots must ascend, each at most once.
    #[error("slot {} is listed after slot {}", .slot.index(), .previous.index())]
    SlotOrder {
        /// The slot before.
        previous: SlotIndex,
        /// The slot that does not follow it.
        slot: SlotIndex,
    },
    /// New slots come last and without gaps.
    #[error("slot {} follows the new slot {}, but new slots are consecutive and last", .slot.index(), .previous.index())]
    Allocation {
        /// The new slot before.
        previous: SlotIndex,
        /// The slot that does not follow it.
        slot: SlotIndex,
    },
    /// Kind and asset of a slot never change, nor the owner of an account's.
    #[error("slot {} would change its kind, asset or owner", .0.index())]
    Identity(SlotIndex),
    /// Objects must ascend, each at most once.
    #[error("object {key:?} is listed after object {previous:?}")]
    ObjectOrder {
        /// The key before.
        previous: ObjectKey,
        /// The key that does not follow it.
        key: ObjectKey,
    },
    /// The sentinel is nobody's.
    #[error("the sentinel object cannot change")]
    Sentinel,
    /// Neither there before nor after.
    #[error("object {0:?} is neither there before nor after")]
    Nothing(ObjectKey),
    /// A value is over its limit.
    #[error("object {key:?} would take {bytes} bytes, the most is {OBJECT_BYTES_MAX}")]
    ValueBytes {
        /// Which object.
        key: ObjectKey,
        /// How long its new value is.
        bytes: usize,
    },
}

impl Changeset {
    /// Checks that the changes are in order.
    pub fn new(slots: Vec<SlotChange>, objects: Vec<ObjectChange>) -> Result<Self, ChangesetError> {
        if slots.first().is_some_and(|first| first.index.is_outside()) {
            return Err(ChangesetError::Outside);
        }
        for pair in slots.windows(2) {
            check_slot_order(&pair[0], &pair[1])?;
        }
        for change in &slots {
            check_slot_identity(change)?;
        }
        if objects.first().is_some_and(|first| first.key == ObjectKey::SENTINEL) {
            return Err(ChangesetError::Sentinel);
        }
        if let Some(pair) = objects.windows(2).find(|pair| pair[0].key >= pair[1].key) {
            return Err(ChangesetError::ObjectOrder { previous: pair[0].key, key: pair[1].key });
        }
        for change in &objects {
            check_object(change)?;
        }
        let slots_appended = slots.iter().rev().take_while(|change| change.old.is_none()).count();
        Ok(Self { slots, objects, slots_appended })
    }

    /// Changed slots, ascending by index.
    pub fn slots(&self) -> &[SlotChange] {
        &self.slots
    }

    /// Changed objects, ascending by key.
    pub fn objects(&self) -> &[ObjectChange] {
        &self.objects
    }

    /// The newly allocated slots: the last of [`Self::slots`].
    pub fn slots_new(&self) -> &[SlotChange] {
        &self.slots[self.slots.len() - self.slots_appended..]
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.objects.is_empty()
    }

    /// Gives the lists back.
    pub fn into_parts(self) -> (Vec<SlotChange>, Vec<ObjectChange>) {
        (self.slots, self.objects)
    }
}

fn check_slot_order(previous: &SlotChange, change: &SlotChange) -> Result<(), ChangesetError> {
    if previous.index >= change.index {
        return Err(ChangesetError::SlotOrder { previous: previous.index, slot: change.index });
    }
    let follows = change.old.is_none() && change.index.index() - previous.index.index() == 1;
    if previous.old.is_none() && !follows {
        return Err(ChangesetError::Allocation { previous: previous.index, slot: change.index });
    }
    Ok(())
}

fn check_slot_identity(change: &SlotChange) -> Result<(), ChangesetError> {
    let Some(old) = change.old else { return Ok(()) };
    let new = &change.new;
    let same_owner = old.owner == new.owner || old.kind == SlotKind::Stream;
    if old.kind == new.kind && old.asset == new.asset && same_owner {
        Ok(())
    } else {
        Err(ChangesetError::Identity(change.index))
    }
}

fn check_object(change: &ObjectChange) -> Result<(), ChangesetError> {
    match &change.new {
        None if change.old.is_none() => Err(ChangesetError::Nothing(change.key)),
        Some(new) if new.len() > OBJECT_BYTES_MAX => {
            Err(ChangesetError::ValueBytes { key: change.key, bytes: new.len() })
        }
        _ => Ok(()),
    }
}

/// Why a [`Changeset`] does not fit a state. Nothing has been written when one of these is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// The state at hand is a witness and does not cover the change.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A slot is not what the change says it was.
    #[error("slot {} is not what the change starts from", .0.index())]
    SlotDiffers(SlotIndex),
    /// An object is not what the change says it was.
    #[error("object {0:?} is not what the change starts from")]
    ObjectDiffers(ObjectKey),
    /// New slots do not start where the used ones end.
    #[error("new slots start at {first}, but {used} are used")]
    SlotGap {
        /// The first new slot.
        first: u32,
        /// How many are used.
        used: u32,
    },
    /// A tree would need more than 2^30 leaves.
    #[error("{used} leaves of a tree are used, {more} more do not fit below 2^{TREE_DEPTH}")]
    Full {
        /// How many are used.
        used: u32,
        /// How many are asked for.
        more: usize,
    },
    /// The counts to return to are not those that the changes started from.
    #[error("the changes appended {appended} leaves to a tree, {expected} must go")]
    Count {
        /// Leaves by which the counts differ.
        expected: u32,
        /// Leaves that the changes account for.
        appended: usize,
    },
    /// Taking the changes back does not lead to the roots asked for.
    #[error("taking the changes back leads to other roots than those before them")]
    Roots,
}
