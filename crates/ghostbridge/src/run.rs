//! What an operator sends to the L1, made from batches: pure functions.

use ghostplane_engine::Plane;
use ghostplane_ghostcipher::{Digest, Domain, SigningKey, merkle};
use ghostplane_settlement::{Message, ProofBundle, bond_digest};
use ghostplane_types::batch::posted_digest;
use ghostplane_types::commitment::COMMITMENT_VERSION;
use ghostplane_types::l1::L1MessageTooLong;
use ghostplane_types::limits::{CHUNK_BYTES_MAX, COMMITMENT_BATCHES_MAX};
use ghostplane_types::{Amount, Attestation, BatchHeader, Commitment, Encode, L1Address, SignedL1Message};
use thiserror::Error;

/// Why no commitment can be made of batches. Whoever chose the batches is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// No batches, or more than a commitment holds.
    #[error("{found} batches, a commitment has 1 to {COMMITMENT_BATCHES_MAX}")]
    Count {
        /// How many.
        found: usize,
    },
    /// The batches do not follow each other.
    #[error("batch {found} stands where {expected} comes next")]
    Order {
        /// The number found.
        found: u64,
        /// The number that follows.
        expected: u64,
    },
    /// A batch without data.
    #[error("batch {batch} has no data")]
    Empty {
        /// Which.
        batch: u64,
    },
}

/// The account on the L1 that a key speaks for.
pub fn l1_address(key: &SigningKey) -> L1Address {
    L1Address(*key.verification_key().as_bytes())
}

/// A batch by what a commitment says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// What it claims.
    pub header: BatchHeader,
    /// Digest of its posted data, see [`posted_digest`].
    pub posted: Digest,
    /// Bytes of that data.
    pub posted_len: u64,
}

impl Committed {
    /// A batch with its posted data.
    pub fn new(plane: &Plane, header: &BatchHeader, posted: &[u8]) -> Self {
        let digest = posted_digest(plane.chain_id(), posted);
        Self { header: *header, posted: digest, posted_len: posted.len() as u64 }
    }
}

/// The commitment to `batches` in order, that follow `prev`. Nobody has attested it yet.
pub fn claim(
    plane: &Plane,
    generation: u32,
    prev: &BatchHeader,
    batches: &[Committed],
) -> Result<Commitment, RunError> {
    let found = batches.len();
    let count = RunError::Count { found };
    let (first, last) = (batches.first().ok_or(count)?, batches.last().ok_or(count)?);
    if found > COMMITMENT_BATCHES_MAX {
        return Err(count);
    }
    for (batch, expected) in batches.iter().zip(prev.number.saturating_add(1)..) {
        if batch.header.number != expected {
            return Err(RunError::Order { found: batch.header.number, expected });
        }
        if batch.posted_len == 0 {
            return Err(RunError::Empty { batch: expected });
        }
    }
    let chain_id = plane.chain_id();
    let headers: Vec<Digest> = batches.iter().map(|batch| batch.header.digest(chain_id)).collect();
    let data: Vec<Digest> = batches.iter().map(|batch| batch.posted).collect();
    Ok(Commitment {
        version: COMMITMENT_VERSION,
        plane_id: plane.plane_id(),
        generation,
        first_batch: first.header.number,
        headers_root: merkle::root(&headers),
        prev_header_digest: prev.digest(chain_id),
        last_header: last.header,
        data_digest: merkle::root(&data),
        data_len: batches.iter().map(|batch| batch.posted_len).fold(0, u64::saturating_add),
        attestations: Vec::new(),
    })
}

/// What vouches for a commitment: the sequencer's word, or a committer's.
pub fn attest(plane: &Plane, key: &SigningKey, commitment: &Commitment) -> Attestation {
    let signature = key.sign(Domain::Attestation, plane.chain_id(), &commitment.digest(plane.chain_id()));
    Attestation { key: key.verification_key(), signature }
}

/// The commitment to `batches`, headers with their posted data in order, that follow `prev`, attested by the sequencer.
pub fn commitment(
    plane: &Plane,
    sequencer: &SigningKey,
    generation: u32,
    prev: &BatchHeader,
    batches: &[(&BatchHeader, &[u8])],
) -> Result<Commitment, RunError> {
    let committed = batches.iter().map(|(header, posted)| Committed::new(plane, header, posted));
    let mut commitment = claim(plane, generation, prev, &committed.collect::<Vec<_>>())?;
    commitment.attestations.push(attest(plane, sequencer, &commitment));
    Ok(commitment)
}

/// How many of `posted` lengths, from the first on, one L1 block takes the data of.
pub fn fitting(plane: &Plane, posted: impl IntoIterator<Item = usize>) -> usize {
    let room = plane.genesis().settlement.data_per_block_max.min(crate::limits::BLOCK_DATA_BYTES_MAX);
    let mut bytes = 0_u64;
    let fits = posted.into_iter().take(COMMITMENT_BATCHES_MAX).take_while(|len| {
        bytes = bytes.saturating_add(*len as u64);
        bytes <= room
    });
    fits.count()
}

/// The messages that post the data of `batches` in chunks and then commit to them: one run, for one block.
pub fn commitment_run(
    plane: &Plane,
    sequencer: &SigningKey,
    generation: u32,
    prev: &BatchHeader,
    batches: &[(&BatchHeader, &[u8])],
) -> Result<Vec<Message>, RunError> {
    Ok(posting_run(commitment(plane, sequencer, generation, prev, batches)?, batches))
}

/// The messages that post the data of `batches` in chunks and then commit to them by `commitment`, which is to be theirs.
pub fn posting_run(commitment: Commitment, batches: &[(&BatchHeader, &[u8])]) -> Vec<Message> {
    let mut run = Vec::new();
    for (header, posted) in batches {
        let chunks = posted.chunks(CHUNK_BYTES_MAX);
        let count = chunks.len();
        for ((at, bytes), chunk) in chunks.enumerate().zip(0_u32..) {
            let (number, last) = (header.number, at + 1 == count);
            run.push(Message::PostData { number, chunk, last, bytes: bytes.to_vec() });
        }
    }
    let headers = batches.iter().map(|(header, _)| **header).collect();
    run.push(Message::Commit { commitment: Box::new(commitment), headers });
    run
}

/// The messages that bring a proof with what it is about, in pieces: one run. Nothing for a bundle of no batches.
pub fn proof_run(bundle: &ProofBundle) -> Vec<Message> {
    let (Some(first), Some(last)) = (bundle.batches.first(), bundle.batches.last()) else { return Vec::new() };
    let (first_batch, last_batch) = (first.header.number, last.header.number);
    let bytes = bundle.to_bytes();
    let len = bytes.len() as u64;
    let pieces = bytes.chunks(CHUNK_BYTES_MAX).zip((0..).step_by(CHUNK_BYTES_MAX));
    let message = |(piece, offset): (&[u8], u64)| Message::SubmitProof {
        first_batch,
        last_batch,
        len,
        offset,
        bytes: piece.to_vec(),
    };
    pieces.map(message).collect()
}

/// The message that adds `amount` to the bond and makes `operator` the operator of term `term`, see
/// [`ghostplane_settlement::Settlement::term_for`].
pub fn bond(plane: &Plane, sequencer: &SigningKey, operator: &L1Address, term: u64, amount: Amount) -> Message {
    let chain_id = plane.chain_id();
    let digest = bond_digest(chain_id, &plane.plane_id(), operator, term);
    Message::Bond { amount, signature: sequencer.sign(Domain::SettlementConfig, chain_id, &digest) }
}

/// Signs messages for the L1 of `plane` in a row, the first with sequence number `sequence`.
pub fn sign_run(
    plane: &Plane,
    key: &SigningKey,
    sequence: u64,
    messages: &[Message],
) -> Result<Vec<SignedL1Message>, L1MessageTooLong> {
    let l1_chain_id = plane.genesis().l1_chain_id;
    let numbered = messages.iter().zip(sequence..);
    numbered.map(|(message, sequence)| SignedL1Message::sign(key, l1_chain_id, sequence, message.to_bytes())).collect()
}
