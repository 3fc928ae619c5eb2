//! Batch headers and the digest of what a batch posts to the L1.

use crate::asset::AssetId;
use crate::codec::{Encode, fields, put_list};
use crate::limits::CHUNK_BYTES_MAX;
use crate::slot::Flow;
use crate::state::{PlaneState, Roots};
use ghostplane_ghostcipher::{Digest, Domain, FieldDigest, digest, merkle};

/// The number of the one protocol this release runs: it names engine, gas table, schema and limits as one frozen tuple.
pub const PROTOCOL: u32 = 1;

/// Everything a batch claims. A replay from the batch's data and a witness of the state before it gives the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Counts from 1 without gaps; 0 is genesis.
    pub number: u64,
    /// Which rules it was executed by.
    pub protocol: u32,
    /// Which generation of the plane it belongs to; a conviction starts a new one.
    pub generation: u32,
    /// Milliseconds since the Unix epoch; never before the batch ahead of it.
    pub time: u64,
    /// The state root it starts from.
    pub prev_state: Digest,
    /// Root of the ledger tree after it.
    pub ledger_root: FieldDigest,
    /// Root of the object tree after it.
    pub object_root: Digest,
    /// Slots handed out after it.
    pub slots_used: u32,
    /// Objects handed out after it.
    pub objects_used: u32,
    /// Inbox entries consumed after it.
    pub inbox_upto: u64,
    /// Log positions used after it.
    pub log_upto: u64,
    /// Withdrawals handed out after it.
    pub outbox_upto: u64,
    /// Merkle root over its log records, see [`crate::receipt::log_leaves`].
    pub log_root: Digest,
    /// Merkle root over its withdrawals, see [`crate::Withdrawal::leaf`].
    pub outbox_root: Digest,
    /// Digest of its journal, by Poseidon2.
    pub journal_digest: FieldDigest,
    /// Digest of what it issued and retired, see [`flows_digest`].
    pub flows_digest: Digest,
    /// Journal entries.
    pub entries: u32,
    /// Gas used.
    pub gas: u64,
    /// Bytes of its posted form.
    pub bytes: u32,
}

fields!(BatchHeader {
    number: u64,
    protocol: u32,
    generation: u32,
    time: u64,
    prev_state: Digest,
    ledger_root: FieldDigest,
    object_root: Digest,
    slots_used: u32,
    objects_used: u32,
    inbox_upto: u64,
    log_upto: u64,
    outbox_upto: u64,
    log_root: Digest,
    outbox_root: Digest,
    journal_digest: FieldDigest,
    flows_digest: Digest,
    entries: u32,
    gas: u64,
    bytes: u32,
});

impl BatchHeader {
    /// The header's digest: what commitments and proofs bind.
    pub fn digest(&self, chain_id: u64) -> Digest {
        digest::hash(Domain::Header, chain_id, &[&self.to_bytes()])
    }

    /// The state after the batch.
    pub fn state(&self) -> PlaneState {
        PlaneState {
            number: self.number,
            time: self.time,
            roots: Roots {
                ledger_root: self.ledger_root,
                object_root: self.object_root,
                slots_used: self.slots_used,
                objects_used: self.objects_used,
            },
            inbox_upto: self.inbox_upto,
            log_upto: self.log_upto,
            outbox_upto: self.outbox_upto,
        }
    }

    /// The header that stands before batch 1: the state of genesis and nothing done.
    pub fn genesis(state: &PlaneState) -> Self {
        Self {
            number: state.number,
            protocol: PROTOCOL,
            generation: 0,
            time: state.time,
            prev_state: Digest::ZERO,
            ledger_root: state.roots.ledger_root,
            object_root: state.roots.object_root,
            slots_used: state.roots.slots_used,
            objects_used: state.roots.objects_used,
            inbox_upto: state.inbox_upto,
            log_upto: state.log_upto,
            outbox_upto: state.outbox_upto,
            log_root: merkle::root(&[]),
            outbox_root: merkle::root(&[]),
            journal_digest: FieldDigest::EMPTY,
            flows_digest: Digest::ZERO,
            entries: 0,
            gas: 0,
            bytes: 0,
        }
    }
}

/// The digest of a batch's flows, ascending by asset; assets that neither issued nor retired are left out.
pub fn flows_digest(chain_id: u64, flows: &[Flow]) -> Digest {
    debug_assert!(flows.windows(2).all(|pair| pair[0].asset < pair[1].asset));
    let mut bytes = Vec::with_capacity(1 + flows.len() * 20);
    put_list(&mut bytes, flows);
    digest::hash(Domain::Flows, chain_id, &[&bytes])
}

/// The flow of one asset, nothing if the batch did not touch the outside in it.
pub fn flow_of(flows: &[Flow], asset: AssetId) -> Flow {
    let nothing = Flow { asset, issued: crate::Amount::ZERO, retired: crate::Amount::ZERO };
    flows.iter().copied().find(|flow| flow.asset == asset).unwrap_or(nothing)
}

/// The digest of one chunk of posted data, at most [`CHUNK_BYTES_MAX`] bytes.
pub fn chunk_digest(chain_id: u64, chunk: &[u8]) -> Digest {
    digest::hash(Domain::DataChunk, chain_id, &[chunk])
}

/// The digest of a posted batch of `len` bytes from the digests of its chunks, all but the last of them full.
pub fn posted_digest_of_chunks(chain_id: u64, len: u64, chunks: &[Digest]) -> Digest {
    digest::hash(Domain::PostedBatch, chain_id, &[&len.to_le_bytes(), merkle::root(chunks).as_bytes()])
}

/// The digest of a posted batch.
pub fn posted_digest(chain_id: u64, posted: &[u8]) -> Digest {
    let chunks: Vec<Digest> = posted.chunks(CHUNK_BYTES_MAX).map(|chunk| chunk_digest(chain_id, chunk)).collect();
    posted_digest_of_chunks(chain_id, posted.len() as u64, &chunks)
}
