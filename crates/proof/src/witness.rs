//! What a prover needs to know of one batch: its journal, the slots it touches, and the nodes beside their ways.

use ghostplane_ghostcipher::FieldDigest;
use ghostplane_keystone::{Changeset, Keystone, Missing, StateView};
use ghostplane_types::{JournalEntry, Slot, SlotIndex, TREE_DEPTH};
use thiserror::Error;

/// What a prover needs to know of one batch. Collected before the batch is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchWitness {
    pub(crate) entries: Vec<JournalEntry>,
    /// The touched slots, ascending.
    pub(crate) slots: Vec<TouchedSlot>,
    /// The nodes beside the ways of the touched slots, level by level from the leaves, left to right.
    pub(crate) nodes: Vec<FieldDigest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TouchedSlot {
    pub index: SlotIndex,
    /// None if the batch hands it out.
    pub old: Option<Slot>,
    /// Who holds it from then on, and what it holds in the end.
    pub new: Slot,
}

/// Why no witness can be collected. Whoever brought journal, changes and state together is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WitnessFault {
    /// The journal names a slot that neither the state nor the changes have.
    #[error("the journal names slot {}, which neither the state nor the batch has handed out", .0.index())]
    NoSuchSlot(SlotIndex),
    /// The state does not say.
    #[error(transparent)]
    Missing(#[from] Missing),
}

impl BatchWitness {
    /// Collects the witness of a batch with this journal and these changes from the state before it.
    ///
    /// # Errors
    /// [`WitnessFault`] if the three do not belong together.
    pub fn collect(before: &Keystone, journal: &[JournalEntry], changes: &Changeset) -> Result<Self, WitnessFault> {
        let changed = changes.slots().iter();
        let mut slots: Vec<TouchedSlot> =
            changed.map(|change| TouchedSlot { index: change.index, old: change.old, new: change.new }).collect();
        let count = slots.len();
        for index in journal.iter().flat_map(|entry| [entry.from, entry.to]).filter(|index| !index.is_outside()) {
            if slots[..count].binary_search_by_key(&index, |slot| slot.index).is_err() {
                // What the journal moved there and away again.
                let slot = before.slot(index)?.ok_or(WitnessFault::NoSuchSlot(index))?;
                slots.push(TouchedSlot { index, old: Some(slot), new: slot });
            }
        }
        slots.sort_unstable_by_key(|slot| slot.index);
        slots.dedup_by_key(|slot| slot.index);

        let nodes = nodes_beside(before, slots.iter().map(|slot| slot.index.index()).collect());
        Ok(Self { entries: journal.to_vec(), slots, nodes })
    }

    /// Journal entries.
    pub fn entries(&self) -> &[JournalEntry] {
        &self.entries
    }
}

/// The nodes beside the ways of leaves to the root, level by level from the leaves.
pub(crate) fn nodes_beside(before: &Keystone, mut indices: Vec<u32>) -> Vec<FieldDigest> {
    if indices.is_empty() {
        // The root is opened all the same, to show that it is what it was.
        return vec![before.ledger_node(TREE_DEPTH - 1, 0), before.ledger_node(TREE_DEPTH - 1, 1)];
    }
    let mut nodes = Vec::new();
    for height in 0..TREE_DEPTH {
        let mut parents = Vec::with_capacity(indices.len());
        for couple in indices.chunk_by(|a, b| a ^ 1 == *b) {
            if let [single] = couple {
                nodes.push(before.ledger_node(height, single ^ 1));
            }
            parents.push(couple[0] / 2);
        }
        indices = parents;
    }
    nodes
}
