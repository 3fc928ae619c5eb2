//! The part of a state that one batch touches: enough to execute the batch again with no state at all.

mod sparse;
mod verified;

use crate::hash::{LedgerHash, ObjectHash};
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_types::codec::{put_list, put_varint};
use ghostplane_types::limits::{OBJECT_BYTES_MAX, WITNESS_BYTES_MAX};
use ghostplane_types::{Decode, DecodeError, Encode, ObjectIndex, ObjectKey, Reader, Slot, SlotIndex, TREE_DEPTH};
use sparse::Sparse;
use thiserror::Error;

pub use verified::VerifiedWitness;

/// A claim about a part of a state, not yet checked: touched leaves and the nodes that lead from them to both roots.
///
/// Made by [`crate::Keystone::witness`], or decoded. Leaves ascend by index. Nodes are carried level by level, left to
/// right, and only where they do not follow from the leaves and the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    pub(crate) slots: Vec<(SlotIndex, Slot)>,
    /// Whether the way of the first unallocated slot is covered, so that slots can be appended.
    pub(crate) appends_slots: bool,
    pub(crate) objects: Vec<WitnessObject>,
    /// Whether the way of the first unallocated object is covered, so that objects can be appended.
    pub(crate) appends_objects: bool,
    pub(crate) ledger_nodes: Vec<FieldDigest>,
    pub(crate) object_nodes: Vec<Digest>,
}

/// One object leaf of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WitnessObject {
    pub(crate) index: ObjectIndex,
    pub(crate) key: ObjectKey,
    pub(crate) value: WitnessValue,
    pub(crate) next: ObjectKey,
}

/// What a witness tells about an object's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WitnessValue {
    /// The object was removed.
    Removed,
    /// The value itself.
    Known(Box<[u8]>),
    /// The digest of the value, never zero: the leaf matters for its key and link only.
    Opaque(Digest),
}

/// Why a witness is not about the state with these roots. Whoever supplied the witness is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WitnessError {
    /// It lists a slot that the state has not handed out.
    #[error("slot {} is listed, but {used} are handed out", .index.index())]
    SlotBeyond {
        /// Which slot.
        index: SlotIndex,
        /// How many are handed out.
        used: u32,
    },
    /// It lists an object that the state has not handed out.
    #[error("object {} is listed, but {used} are handed out", .index.index())]
    ObjectBeyond {
        /// Which object.
        index: ObjectIndex,
        /// How many are handed out.
        used: u32,
    },
    /// It covers the appending of leaves to a tree that is full.
    #[error("a tree of {used} leaves cannot be appended to")]
    Full {
        /// How many are handed out.
        used: u32,
    },
    /// It carries fewer nodes than its leaves need.
    #[error("{carried} nodes of a tree are carried, the leaves need more")]
    TooFewNodes {
        /// Nodes carried.
        carried: usize,
    },
    /// It carries more nodes than its leaves need.
    #[error("{carried} nodes of a tree are carried, the leaves need {needed}")]
    TooManyNodes {
        /// Nodes carried.
        carried: usize,
        /// Nodes needed.
        needed: usize,
    },
    /// Its slots lead to another root.
    #[error("the slots lead to ledger root {computed}, not {expected}")]
    LedgerRoot {
        /// The root of the state.
        expected: FieldDigest,
        /// The root that the witness gives.
        computed: FieldDigest,
    },
    /// Its objects lead to another root.
    #[error("the objects lead to object root {computed}, not {expected}")]
    ObjectRoot {
        /// The root of the state.
        expected: Digest,
        /// The root that the witness gives.
        computed: Digest,
    },
}

const APPENDS_SLOTS: u8 = 1;
const APPENDS_OBJECTS: u8 = 2;

/// Bytes of a slot behind its index.
const SLOT_BYTES: usize = 45;
/// The fewest bytes of an object behind its index: key, value, next key.
const OBJECT_BYTES_MIN: usize = 32 + 1 + 32;

/// A value starts with a number: 0 removed, 1 a digest follows, else the length plus 2 and the bytes.
const VALUE_REMOVED: u64 = 0;
const VALUE_OPAQUE: u64 = 1;
const VALUE_KNOWN: u64 = 2;

impl Encode for Witness {
    fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(flag(self.appends_slots, APPENDS_SLOTS) | flag(self.appends_objects, APPENDS_OBJECTS));
        put_varint(out, self.slots.len() as u64);
        // An index is written as its distance from the smallest one that could stand there, so it can only ascend.
        let mut smallest = 1;
        for (index, slot) in &self.slots {
            put_varint(out, u64::from(index.index() - smallest));
            slot.encode(out);
            smallest = index.index() + 1;
        }
        put_varint(out, self.objects.len() as u64);
        let mut smallest = 0;
        for object in &self.objects {
            put_varint(out, u64::from(object.index.index() - smallest));
            object.key.encode(out);
            object.value.encode(out);
            object.next.encode(out);
            smallest = object.index.index() + 1;
        }
        put_list(out, &self.ledger_nodes);
        put_list(out, &self.object_nodes);
    }
}

impl Decode for Witness {
    const BYTES_MIN: usize = 5;

    /// Reads a witness of at most [`WITNESS_BYTES_MAX`] bytes.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = reader.remaining();
        if bytes > WITNESS_BYTES_MAX {
            return Err(reader.over_limit("witness", bytes as u64, WITNESS_BYTES_MAX as u64));
        }
        let flags: u8 = reader.read()?;
        if flags & !(APPENDS_SLOTS | APPENDS_OBJECTS) != 0 {
            return Err(reader.unknown("witness flags", u64::from(flags)));
        }
        let slots = decode_slots(reader)?;
        let objects = decode_objects(reader)?;
        Ok(Self {
            slots,
            appends_slots: flags & APPENDS_SLOTS != 0,
            objects,
            appends_objects: flags & APPENDS_OBJECTS != 0,
            ledger_nodes: reader.list("ledger nodes of a witness", WITNESS_BYTES_MAX / 32)?,
            object_nodes: reader.list("object nodes of a witness", WITNESS_BYTES_MAX / 32)?,
        })
    }
}

fn decode_slots(reader: &mut Reader<'_>) -> Result<Vec<(SlotIndex, Slot)>, DecodeError> {
    let count = reader.count("slots of a witness", WITNESS_BYTES_MAX / SLOT_BYTES, 1 + SLOT_BYTES)?;
    let mut slots = Vec::with_capacity(count);
    let mut smallest = 1;
    for _ in 0..count {
        let index = decode_index(reader, smallest)?;
        smallest = index + 1;
        slots.push((SlotIndex::new(index).expect("bounded by decode_index"), reader.read()?));
    }
    Ok(slots)
}

fn decode_objects(reader: &mut Reader<'_>) -> Result<Vec<WitnessObject>, DecodeError> {
    let count = reader.count("objects of a witness", WITNESS_BYTES_MAX / OBJECT_BYTES_MIN, 1 + OBJECT_BYTES_MIN)?;
    let mut objects = Vec::with_capacity(count);
    let mut smallest = 0;
    for _ in 0..count {
        let index = decode_index(reader, smallest)?;
        smallest = index + 1;
        let index = ObjectIndex::new(index).expect("bounded by decode_index");
        objects.push(WitnessObject { index, key: reader.read()?, value: reader.read()?, next: reader.read()? });
    }
    Ok(objects)
}

/// Reads an index below 2^30 that is at least `smallest`, at most 2^30 itself.
fn decode_index(reader: &mut Reader<'_>, smallest: u32) -> Result<u32, DecodeError> {
    let last: u32 = (1 << TREE_DEPTH) - 1;
    let room = u64::from(last) + 1 - u64::from(smallest);
    let distance = reader.varint()?;
    if distance >= room {
        return Err(reader.over_limit("leaf index", distance.saturating_add(u64::from(smallest)), u64::from(last)));
    }
    Ok(smallest + u32::try_from(distance).expect("below 2^30"))
}

impl Encode for WitnessValue {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Removed => put_varint(out, VALUE_REMOVED),
            Self::Opaque(digest) => {
                put_varint(out, VALUE_OPAQUE);
                digest.encode(out);
            }
            Self::Known(bytes) => {
                put_varint(out, VALUE_KNOWN + bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
        }
    }
}

impl Decode for WitnessValue {
    const BYTES_MIN: usize = 1;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.varint_at_most("object value", VALUE_KNOWN + OBJECT_BYTES_MAX as u64)? {
            VALUE_REMOVED => Ok(Self::Removed),
            VALUE_OPAQUE => match reader.read()? {
                Digest::ZERO => Err(reader.non_canonical("digest of a removed value")),
                digest => Ok(Self::Opaque(digest)),
            },
            len => {
                let len = usize::try_from(len - VALUE_KNOWN).expect("bounded above");
                Ok(Self::Known(reader.take(len)?.into()))
            }
        }
    }
}
