//! Slots: the leaves of the ledger tree, and the journal of what moves between them.

use crate::amount::Amount;
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader, fields};
use ghostplane_ghostcipher::FieldDigest;

/// Depth of both state trees: 2^30 leaves, below the prime of the proof field.
pub const TREE_DEPTH: usize = 30;

/// The position of a slot in the ledger tree, below 2^30; handed out in order and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(u32);

impl SlotIndex {
    /// The outside: never allocated, never held. An entry from it issues, an entry to it retires.
    pub const OUTSIDE: Self = Self(0);

    /// The slot at that position, unless the tree ends before it.
    pub const fn new(index: u32) -> Option<Self> {
        if index < 1 << TREE_DEPTH { Some(Self(index)) } else { None }
    }

    /// The position.
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Whether this is the outside.
    pub const fn is_outside(self) -> bool {
        self.0 == 0
    }
}

impl Encode for SlotIndex {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for SlotIndex {
    const BYTES_MIN: usize = 4;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let index = reader.read()?;
        Self::new(index).ok_or_else(|| reader.over_limit("slot index", u64::from(index), (1 << TREE_DEPTH) - 1))
    }
}

/// What a slot holds money for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SlotKind {
    /// An account's balance of one asset.
    Account = 0,
    /// What is still escrowed in a payment stream.
    Stream = 1,
}

impl SlotKind {
    /// The kind with that number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Account),
            1 => Some(Self::Stream),
            _ => None,
        }
    }
}

impl Encode for SlotKind {
    fn encode(&self, out: &mut Vec<u8>) {
        (*self as u8).encode(out);
    }
}

impl Decode for SlotKind {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = reader.read()?;
        Self::from_number(number).ok_or_else(|| reader.unknown("slot kind", u64::from(number)))
    }
}

/// One leaf of the ledger tree: who holds how much of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What the money is held for.
    pub kind: SlotKind,
    /// Whose it is: for an account, [`crate::Address::owner_digest`]; for a stream, the digest of its terms and tip.
    pub owner: FieldDigest,
    /// Which asset.
    pub asset: AssetId,
    /// How much.
    pub balance: Amount,
}

fields!(Slot { kind: SlotKind, owner: FieldDigest, asset: AssetId, balance: Amount });

/// One movement of value, whatever caused it. The asset is that of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Where it leaves; [`SlotIndex::OUTSIDE`] issues.
    pub from: SlotIndex,
    /// Where it arrives; [`SlotIndex::OUTSIDE`] retires.
    pub to: SlotIndex,
    /// How much, never zero.
    pub amount: Amount,
}

fields!(JournalEntry { from: SlotIndex, to: SlotIndex, amount: Amount });

/// What one batch issued and retired of one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Which asset.
    pub asset: AssetId,
    /// The sum of entries from the outside.
    pub issued: Amount,
    /// The sum of entries to the outside.
    pub retired: Amount,
}

fields!(Flow { asset: AssetId, issued: Amount, retired: Amount });
