//! What a prover needs to know of one batch: its journal, the slots it touches, and the nodes beside their ways.

use ghostplane_ghostcipher::FieldDigest;
use ghostplane_keystone::journal::JOURNAL_ENTRIES_LIMIT;
use ghostplane_keystone::{Changeset, Keystone, Missing, StateView};
use ghostplane_types::codec::{put_list, put_varint};
use ghostplane_types::{DecodeError, Encode, JournalEntry, Reader, Slot, SlotIndex, TREE_DEPTH};
use thiserror::Error;

/// Bytes of one witness in canonical form. A batch within the limits of the protocol takes fewer: its journal and what its
/// replay reads of the ledger bound it.
pub const BATCH_WITNESS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of a slot.
const SLOT_BYTES: usize = 45;
/// The slot is handed out by the batch; the new slot follows.
const SLOT_FRESH: u8 = 0;
/// Nothing but its balance differs; the old slot and the new balance follow.
const SLOT_MOVED: u8 = 1;
/// More differs, which no proof shows; both slots follow.
const SLOT_CHANGED: u8 = 2;

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
        // Both ascend, so one pass tells what the journal names and the changes do not: where it moved value there and away
        // again. This runs on the thread that executes batches, and sorting numbers is cheaper than looking each up.
        let mut named: Vec<SlotIndex> = journal.iter().flat_map(|entry| [entry.from, entry.to]).collect();
        named.sort_unstable();
        named.dedup();
        let count = slots.len();
        let mut at = 0;
        for index in named.into_iter().filter(|index| !index.is_outside()) {
            while at < count && slots[at].index < index {
                at += 1;
            }
            if at == count || slots[at].index != index {
                let slot = before.slot(index)?.ok_or(WitnessFault::NoSuchSlot(index))?;
                slots.push(TouchedSlot { index, old: Some(slot), new: slot });
            }
        }
        if slots.len() > count {
            slots.sort_unstable_by_key(|slot| slot.index);
        }

        let nodes = nodes_beside(before, slots.iter().map(|slot| slot.index.index()).collect());
        Ok(Self { entries: journal.to_vec(), slots, nodes })
    }

    /// The canonical form, `docs/formats.md` section 13.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = self.entries.len() * 16 + self.slots.len() * (SLOT_BYTES + 14) + self.nodes.len() * 32 + 16;
        let mut out = Vec::with_capacity(bytes);
        put_list(&mut out, &self.entries);
        put_varint(&mut out, self.slots.len() as u64);
        let mut smallest = 1;
        for slot in &self.slots {
            let index = slot.index.index();
            put_varint(&mut out, u64::from(index - smallest));
            smallest = index + 1;
            match slot.old {
                None => {
                    out.push(SLOT_FRESH);
                    slot.new.encode(&mut out);
                }
                Some(old) if is_moved(&old, &slot.new) => {
                    out.push(SLOT_MOVED);
                    old.encode(&mut out);
                    slot.new.balance.encode(&mut out);
                }
                Some(old) => {
                    out.push(SLOT_CHANGED);
                    old.encode(&mut out);
                    slot.new.encode(&mut out);
                }
            }
        }
        put_list(&mut out, &self.nodes);
        out
    }

    /// Reads the canonical form. Whether the witness is true is seen only when it is proved.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no witness, or more than one takes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if bytes.len() > BATCH_WITNESS_BYTES_MAX {
            return Err(reader.over_limit("witness", bytes.len() as u64, BATCH_WITNESS_BYTES_MAX as u64));
        }
        let entries: Vec<JournalEntry> = reader.list("entries of a witness", JOURNAL_ENTRIES_LIMIT - 1)?;
        let count = reader.count("slots of a witness", BATCH_WITNESS_BYTES_MAX / SLOT_BYTES, 2 + SLOT_BYTES)?;
        let mut slots = Vec::with_capacity(count);
        let mut smallest = 1;
        for _ in 0..count {
            let slot = decode_slot(&mut reader, smallest)?;
            smallest = slot.index.index() + 1;
            slots.push(slot);
        }
        let nodes: Vec<FieldDigest> = reader.list("nodes of a witness", BATCH_WITNESS_BYTES_MAX / 32)?;
        if nodes.len() != count_beside(slots.iter().map(|slot| slot.index.index()).collect()) {
            return Err(reader.non_canonical("nodes of a witness"));
        }
        reader.finish()?;
        Ok(Self { entries, slots, nodes })
    }

    /// Journal entries.
    pub fn entries(&self) -> &[JournalEntry] {
        &self.entries
    }
}

fn is_moved(old: &Slot, new: &Slot) -> bool {
    Slot { balance: new.balance, ..*old } == *new
}

/// Reads a slot whose index is at least `smallest`.
fn decode_slot(reader: &mut Reader<'_>, smallest: u32) -> Result<TouchedSlot, DecodeError> {
    let last: u64 = (1 << TREE_DEPTH) - 1;
    let distance = reader.varint()?;
    let index = distance.saturating_add(u64::from(smallest));
    let index = u32::try_from(index).ok().and_then(SlotIndex::new).filter(|_| index <= last);
    let index = index.ok_or_else(|| reader.over_limit("slot of a witness", distance, last))?;
    match reader.read::<u8>()? {
        SLOT_FRESH => Ok(TouchedSlot { index, old: None, new: reader.read()? }),
        SLOT_MOVED => {
            let old: Slot = reader.read()?;
            Ok(TouchedSlot { index, old: Some(old), new: Slot { balance: reader.read()?, ..old } })
        }
        SLOT_CHANGED => {
            let (old, new): (Slot, Slot) = (reader.read()?, reader.read()?);
            if is_moved(&old, &new) {
                return Err(reader.non_canonical("slot of a witness"));
            }
            Ok(TouchedSlot { index, old: Some(old), new })
        }
        unknown => Err(reader.unknown("slot of a witness", u64::from(unknown))),
    }
}

/// How many nodes [`nodes_beside`] gives.
fn count_beside(mut indices: Vec<u32>) -> usize {
    if indices.is_empty() {
        return 2;
    }
    let mut count = 0;
    for _ in 0..TREE_DEPTH {
        let mut parents = Vec::with_capacity(indices.len());
        for couple in indices.chunk_by(|a, b| a ^ 1 == *b) {
            count += usize::from(couple.len() == 1);
            parents.push(couple[0] / 2);
        }
        indices = parents;
    }
    count
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
