//! Authenticated state of Ghostplane: the ledger tree, the object tree, and witnesses of both.
//!
//! Both trees are dense binary Merkle trees of depth 30 over indices that are handed out in order. A slot is a leaf of
//! the ledger tree (Poseidon2, so that a proof can cover it), an object a leaf of the object tree (BLAKE3), which is an
//! indexed Merkle tree: every leaf names the next larger key, so that one path shows presence and absence alike.
//!
//! | digest | is |
//! |---|---|
//! | slot leaf | `compress(owner, [kind, asset, b0, b1, b2, b3, 0, Slot])`, `b` the balance's 16-bit limbs, lowest first |
//! | ledger node | `compress(left, right)` |
//! | object leaf | BLAKE3 keyed by `ObjectLeaf` of `key, value_digest, next_key, 32 zero bytes` |
//! | value digest | BLAKE3 keyed by `ObjectValue` of `length as u32, value, zeros to a multiple of 64`; zero if removed |
//! | object node | BLAKE3 keyed by `ObjectNode` of `left, right` |
//!
//! Unallocated leaves are the zero digest, and what is above them follows. Slot 0 is the outside and stays empty;
//! object 0 is the sentinel, whose key is all zero and links to the smallest key; the largest links to zero.
//!
//! | type | is |
//! |---|---|
//! | [`StateView`] | the only way the core reads state |
//! | [`Keystone`] | all of it in memory: applies, reverts, proves, makes witnesses |
//! | [`Overlay`] | a state with executed batches on top |
//! | [`Recorder`] | a view that notes what is read |
//! | [`Witness`], [`VerifiedWitness`] | the part of a state that one batch touches, before and after it was checked |
//! | [`SlotProof`], [`ObjectProof`] | one leaf and its path |
//! | [`journal`] | the digest of a batch's journal |
//!
//! The crate is pure: no file, socket, clock, random source, log or thread, and no iteration in hash order. Threads are
//! lent by [`ghostplane_ghostcipher::workers::Workers`]; the results do not depend on how many.

mod cells;
mod change;
mod climb;
mod dense;
mod directory;
mod hash;
pub mod journal;
mod keystone;
mod level;
mod order;
mod overlay;
mod plan;
mod proof;
mod record;
mod view;
mod witness;

pub use change::{ApplyError, Changeset, ChangesetError, ObjectChange, SlotChange};
pub use keystone::{Keystone, RebuildError};
pub use overlay::Overlay;
pub use proof::{ObjectProof, ProofError, ProofLeaf, ProvenObject, ProvenSlot, SlotProof};
pub use record::{Recorder, Touched};
pub use view::{Missing, MissingWhat, ObjectRef, Page, StateView, Successor, scan};
pub use witness::{VerifiedWitness, Witness, WitnessError};
