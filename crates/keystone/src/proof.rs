//! Proofs of a single slot or object: one path each, for light clients and exits.

use crate::hash::{
    LeafValue, LedgerHash, ObjectHash, TreeHash, is_allocated, object_leaf, path_root, slot_leaf, value_digest,
};
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_types::codec::{put_byte_string, put_list};
use ghostplane_types::limits::OBJECT_BYTES_MAX;
use ghostplane_types::{
    Decode, DecodeError, Encode, ObjectIndex, ObjectKey, Reader, Roots, Slot, SlotIndex, TREE_DEPTH,
};
use thiserror::Error;

/// Why a proof proves nothing about the roots it was checked against. Whoever supplied the proof is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The proof is about a leaf that the state has not handed out, or says that a leaf is not handed out which is.
    #[error("the proof takes leaf {index} for {}, but {used} leaves are handed out", if *.claims { "handed out" } else { "not handed out" })]
    Allocation {
        /// Which leaf.
        index: u32,
        /// What the proof says: handed out or not.
        claims: bool,
        /// How many leaves are handed out.
        used: u32,
    },
    /// The number of nodes does not fit the leaf's way to the root.
    #[error("the proof carries {found} nodes, leaf {index} of {used} needs {expected}")]
    PathLength {
        /// Which leaf.
        index: u32,
        /// How many leaves are handed out.
        used: u32,
        /// Nodes that the way takes.
        expected: usize,
        /// Nodes that the proof carries.
        found: usize,
    },
    /// The leaf does not stand beside the key that it is to prove absent.
    #[error("the leaf of key {low:?}, followed by {next:?}, says nothing about {key:?}")]
    NotAdjacent {
        /// The key in question.
        key: ObjectKey,
        /// The key of the leaf.
        low: ObjectKey,
        /// The key that the leaf links to.
        next: ObjectKey,
    },
    /// The path leads to another root.
    #[error("the path leads to another root")]
    Root,
}

/// Proof of what is in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// Which slot.
    pub index: SlotIndex,
    /// What is in it; `None` if it was never allocated.
    pub slot: Option<Slot>,
    /// The allocated nodes beside its way to the root, lowest first.
    pub siblings: Vec<FieldDigest>,
}

/// What a [`SlotProof`] proved. Only [`SlotProof::verify`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenSlot {
    index: SlotIndex,
    slot: Option<Slot>,
}

impl ProvenSlot {
    /// Which slot.
    pub fn index(&self) -> SlotIndex {
        self.index
    }

    /// What is in it; `None` if it was never allocated.
    pub fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }
}

impl SlotProof {
    /// Checks the proof against the roots of a state.
    pub fn verify(&self, roots: &Roots) -> Result<ProvenSlot, ProofError> {
        let (index, used) = (self.index.index(), roots.slots_used);
        let allocated = index < used && !self.index.is_outside();
        if self.slot.is_some() != allocated {
            return Err(ProofError::Allocation { index, claims: self.slot.is_some(), used });
        }
        let leaf = slot_leaf(self.slot.as_ref());
        // That a slot was never allocated follows from the count alone.
        let way = if allocated { Some(leaf) } else { None };
        check_path::<LedgerHash>(way, index, used, &self.siblings, &roots.ledger_root)?;
        Ok(ProvenSlot { index: self.index, slot: self.slot })
    }
}

/// Proof of what is under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectProof {
    /// Which key.
    pub key: ObjectKey,
    /// What the leaf that settles it says.
    pub leaf: ProofLeaf,
    /// The allocated nodes beside the leaf's way to the root, lowest first.
    pub siblings: Vec<Digest>,
}

/// The leaf that settles what is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofLeaf {
    /// The key's own leaf, with a value.
    Present {
        /// Where the leaf is.
        index: ObjectIndex,
        /// The value.
        value: Box<[u8]>,
        /// The key that follows; all zero at the end.
        next: ObjectKey,
    },
    /// The key's own leaf, without a value.
    Removed {
        /// Where the leaf is.
        index: ObjectIndex,
        /// The key that follows; all zero at the end.
        next: ObjectKey,
    },
    /// The leaf of the largest key below, which links to one above.
    Absent {
        /// Where the leaf is.
        index: ObjectIndex,
        /// The leaf's key.
        low: ObjectKey,
        /// The digest of the leaf's value; zero if it was removed.
        value_digest: Digest,
        /// The key that follows; all zero at the end.
        next: ObjectKey,
    },
}

impl ProofLeaf {
    fn index(&self) -> ObjectIndex {
        match self {
            Self::Present { index, .. } | Self::Removed { index, .. } | Self::Absent { index, .. } => *index,
        }
    }
}

/// What an [`ObjectProof`] proved. Only [`ObjectProof::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenObject {
    key: ObjectKey,
    object: Option<(ObjectIndex, Box<[u8]>)>,
}

impl ProvenObject {
    /// Which key.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Where the object is and what it is; `None` if there is none under the key.
    pub fn object(&self) -> Option<(ObjectIndex, &[u8])> {
        self.object.as_ref().map(|(index, value)| (*index, &**value))
    }
}

impl ObjectProof {
    /// Checks the proof against the roots of a state.
    pub fn verify(&self, roots: &Roots) -> Result<ProvenObject, ProofError> {
        let (index, used) = (self.leaf.index(), roots.objects_used);
        if index.index() >= used {
            return Err(ProofError::Allocation { index: index.index(), claims: true, used });
        }
        let digest = match &self.leaf {
            ProofLeaf::Present { value, next, .. } => object_leaf(&self.key, LeafValue::Bytes(value), next),
            ProofLeaf::Removed { next, .. } => object_leaf(&self.key, LeafValue::Removed, next),
            ProofLeaf::Absent { low, value_digest, next, .. } => {
                if !is_between(low, &self.key, next) {
                    return Err(ProofError::NotAdjacent { key: self.key, low: *low, next: *next });
                }
                object_leaf(low, LeafValue::Digest(value_digest), next)
            }
        };
        check_path::<ObjectHash>(Some(digest), index.index(), used, &self.siblings, &roots.object_root)?;
        let object = match &self.leaf {
            ProofLeaf::Present { value, .. } => Some((index, value.clone())),
            ProofLeaf::Removed { .. } | ProofLeaf::Absent { .. } => None,
        };
        Ok(ProvenObject { key: self.key, object })
    }
}

/// Whether `key` falls into the gap between a leaf's key and the one it links to.
pub(crate) fn is_between(low: &ObjectKey, key: &ObjectKey, next: &ObjectKey) -> bool {
    low < key && (key < next || *next == ObjectKey::SENTINEL)
}

/// The absence leaf's value digest.
pub(crate) fn digest_of(value: Option<&[u8]>) -> Digest {
    value.map_or(Digest::ZERO, value_digest)
}

/// Checks that a leaf leads to `root`; without a leaf, that no nodes are carried.
fn check_path<H: TreeHash>(
    leaf: Option<H::Digest>,
    index: u32,
    used: u32,
    siblings: &[H::Digest],
    root: &H::Digest,
) -> Result<(), ProofError> {
    let on_way = (0..TREE_DEPTH).filter(|&height| is_allocated(height, index >> height ^ 1, used)).count();
    let expected = leaf.map_or(0, |_| on_way);
    if siblings.len() != expected {
        return Err(ProofError::PathLength { index, used, expected, found: siblings.len() });
    }
    match leaf {
        Some(leaf) if path_root::<H>(leaf, index, used, siblings) != Some(*root) => Err(ProofError::Root),
        _ => Ok(()),
    }
}

impl Encode for SlotProof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.index.encode(out);
        self.slot.encode(out);
        put_list(out, &self.siblings);
    }
}

impl Decode for SlotProof {
    const BYTES_MIN: usize = 6;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (index, slot) = (reader.read()?, reader.read()?);
        Ok(Self { index, slot, siblings: reader.list("nodes of a slot proof", TREE_DEPTH)? })
    }
}

const TAG_PRESENT: u8 = 1;
const TAG_REMOVED: u8 = 2;
const TAG_ABSENT: u8 = 3;

impl Encode for ObjectProof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.key.encode(out);
        match &self.leaf {
            ProofLeaf::Present { index, value, next } => {
                out.push(TAG_PRESENT);
                index.encode(out);
                put_byte_string(out, value);
                next.encode(out);
            }
            ProofLeaf::Removed { index, next } => {
                out.push(TAG_REMOVED);
                index.encode(out);
                next.encode(out);
            }
            ProofLeaf::Absent { index, low, value_digest, next } => {
                out.push(TAG_ABSENT);
                index.encode(out);
                low.encode(out);
                value_digest.encode(out);
                next.encode(out);
            }
        }
        put_list(out, &self.siblings);
    }
}

impl Decode for ObjectProof {
    const BYTES_MIN: usize = 32 + 1 + 4 + 32 + 1;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = reader.read()?;
        let tag: u8 = reader.read()?;
        let index = reader.read()?;
        let leaf = match tag {
            TAG_PRESENT => {
                let value = reader.byte_string("object value", OBJECT_BYTES_MAX)?.into();
                ProofLeaf::Present { index, value, next: reader.read()? }
            }
            TAG_REMOVED => ProofLeaf::Removed { index, next: reader.read()? },
            TAG_ABSENT => {
                let (low, value_digest) = (reader.read()?, reader.read()?);
                ProofLeaf::Absent { index, low, value_digest, next: reader.read()? }
            }
            _ => return Err(reader.unknown("kind of object proof", u64::from(tag))),
        };
        Ok(Self { key, leaf, siblings: reader.list("nodes of an object proof", TREE_DEPTH)? })
    }
}
