//! The state of a plane in a few numbers: what a header commits to and what a replay starts from.

use crate::codec::{Encode, fields};
use ghostplane_ghostcipher::{Digest, Domain, FieldDigest, digest};

/// The roots of both state trees and how many of their leaves are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// Root of the ledger tree.
    pub ledger_root: FieldDigest,
    /// Root of the object tree.
    pub object_root: Digest,
    /// Slots handed out, the outside included; the next slot gets this index.
    pub slots_used: u32,
    /// Objects handed out, the sentinel included; the next object gets this index.
    pub objects_used: u32,
}

fields!(Roots { ledger_root: FieldDigest, object_root: Digest, slots_used: u32, objects_used: u32 });

/// Everything that carries over from one batch to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneState {
    /// The number of the batch that made this state; 0 is genesis.
    pub number: u64,
    /// That batch's time in milliseconds since the Unix epoch; never decreases.
    pub time: u64,
    /// The state trees.
    pub roots: Roots,
    /// L1 inbox entries consumed so far.
    pub inbox_upto: u64,
    /// Log positions used so far.
    pub log_upto: u64,
    /// Withdrawals handed out so far.
    pub outbox_upto: u64,
}

fields!(PlaneState { number: u64, time: u64, roots: Roots, inbox_upto: u64, log_upto: u64, outbox_upto: u64 });

impl PlaneState {
    /// The state root: the digest of all fields, bound to chain and plane.
    pub fn digest(&self, chain_id: u64, plane_id: &Digest) -> Digest {
        digest::hash(Domain::State, chain_id, &[plane_id.as_bytes(), &self.to_bytes()])
    }
}
