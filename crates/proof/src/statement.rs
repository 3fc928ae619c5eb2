//! What a proof is about: consecutive batches of one plane, by what their headers claim.

use ghostplane_ghostcipher::poseidon2::{FieldTag, KoalaBear};
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_keystone::journal::{JOURNAL_ENTRIES_LIMIT, JOURNAL_SEGMENT};
use ghostplane_types::batch::flows_digest;
use ghostplane_types::limits::BATCH_FLOWS_MAX;
use ghostplane_types::{BatchHeader, Flow};
use p3_blake3::Blake3;
use p3_symmetric::CryptographicHasher;
use thiserror::Error;

/// The version of the circuit, its parameters and the proof's bytes as one frozen tuple. A verifier knows exactly one.
pub const CIRCUIT_VERSION: u32 = 1;

/// Batches under one proof.
pub const BATCHES_MAX: usize = 64;

/// What one batch claims, as far as the proof is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchClaim {
    /// Digest of the batch's header.
    pub header_digest: Digest,
    /// Root of the ledger tree before the batch.
    pub root_before: FieldDigest,
    /// Root of the ledger tree after it.
    pub root_after: FieldDigest,
    /// Digest of its journal.
    pub journal_digest: FieldDigest,
    /// Entries of its journal.
    pub entries: u32,
    /// What it issued and retired, ascending by asset.
    pub flows: Vec<Flow>,
}

/// The claims of consecutive batches of one plane. Only [`Statement::new`] makes one, from headers that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    plane_id: Digest,
    batches: Vec<BatchClaim>,
}

/// Why headers and flows are no statement. Whoever put them together is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StatementError {
    /// No batch, or too many.
    #[error("{found} batches, a proof covers 1 to {BATCHES_MAX}")]
    Batches {
        /// How many.
        found: usize,
    },
    /// A header is not that of the batch after the one before it.
    #[error("the header of batch {number} does not follow the one before it")]
    DoesNotFollow {
        /// The number that the header gives.
        number: u64,
    },
    /// The flows are not those of the header.
    #[error("the flows given for batch {number} are not those of its header")]
    Flows {
        /// Which batch.
        number: u64,
    },
    /// More journal entries than one proof takes.
    #[error("{found} journal entries, a proof covers fewer than {JOURNAL_ENTRIES_LIMIT}")]
    Entries {
        /// How many.
        found: u64,
    },
}

impl Statement {
    /// The statement about batches with these headers and flows, the first of which follows `previous`.
    ///
    /// # Errors
    /// [`StatementError`] if the headers do not follow each other, the flows are not theirs, or there are too many.
    pub fn new(
        chain_id: u64,
        plane_id: Digest,
        previous: &BatchHeader,
        batches: &[(BatchHeader, Vec<Flow>)],
    ) -> Result<Self, StatementError> {
        if batches.is_empty() || batches.len() > BATCHES_MAX {
            return Err(StatementError::Batches { found: batches.len() });
        }
        let mut before = previous;
        let mut claims = Vec::with_capacity(batches.len());
        for (header, flows) in batches {
            let number = header.number;
            let follows = before.number.checked_add(1) == Some(number)
                && header.prev_state == before.state().digest(chain_id, &plane_id);
            if !follows {
                return Err(StatementError::DoesNotFollow { number });
            }
            let ascending = flows.windows(2).all(|pair| pair[0].asset < pair[1].asset);
            if flows.len() > BATCH_FLOWS_MAX || !ascending || flows_digest(chain_id, flows) != header.flows_digest {
                return Err(StatementError::Flows { number });
            }
            claims.push(BatchClaim {
                header_digest: header.digest(chain_id),
                root_before: before.ledger_root,
                root_after: header.ledger_root,
                journal_digest: header.journal_digest,
                entries: header.entries,
                flows: flows.clone(),
            });
            before = header;
        }
        let statement = Self { plane_id, batches: claims };
        let found = statement.entries();
        if found >= JOURNAL_ENTRIES_LIMIT as u64 {
            return Err(StatementError::Entries { found });
        }
        Ok(statement)
    }

    /// The plane's id.
    pub fn plane_id(&self) -> Digest {
        self.plane_id
    }

    /// The batches' claims, in order; at least one.
    pub fn batches(&self) -> &[BatchClaim] {
        &self.batches
    }

    /// Journal entries of all batches.
    pub fn entries(&self) -> u64 {
        self.batches.iter().map(|batch| u64::from(batch.entries)).sum()
    }

    /// BLAKE3 of everything that the statement says: what the transcript of a proof starts with, unless its settings are
    /// others than the usual ones.
    pub fn digest(&self) -> Digest {
        Digest(Blake3.hash_iter(self.binding()))
    }

    /// Every byte that the proof is bound to, in one order: the transcript of the proof starts with their hash.
    pub(crate) fn binding(&self) -> Vec<u8> {
        let mut bytes = b"ghostplane conservation proof\0".to_vec();
        bytes.extend(CIRCUIT_VERSION.to_le_bytes());
        bytes.extend(self.plane_id.as_bytes());
        bytes.extend(u32::try_from(self.batches.len()).expect("bounded by BATCHES_MAX").to_le_bytes());
        for batch in &self.batches {
            bytes.extend(batch.header_digest.as_bytes());
            for digest in [&batch.root_before, &batch.root_after, &batch.journal_digest] {
                bytes.extend(digest.to_bytes());
            }
            bytes.extend(batch.entries.to_le_bytes());
            bytes.extend(u32::try_from(batch.flows.len()).expect("bounded by BATCH_FLOWS_MAX").to_le_bytes());
            for flow in &batch.flows {
                bytes.extend(flow.asset.number().to_le_bytes());
                bytes.extend(flow.issued.units().to_le_bytes());
                bytes.extend(flow.retired.units().to_le_bytes());
            }
        }
        bytes
    }

    /// A statement that nobody checked, for provers that lie.
    #[cfg(test)]
    pub(crate) fn claimed(plane_id: Digest, batches: Vec<BatchClaim>) -> Self {
        Self { plane_id, batches }
    }
}

/// Segments of a journal of so many entries.
pub(crate) fn segments(entries: u32) -> u32 {
    entries.div_ceil(u32::try_from(JOURNAL_SEGMENT).expect("a small constant"))
}

/// Where the outer chain of a journal starts: `[count, 0, .., Journal]`.
pub(crate) fn journal_start(entries: u32) -> FieldDigest {
    start(entries, FieldTag::Journal)
}

/// Where the chain of a segment starts: `[0, .., Segment]`.
pub(crate) fn segment_start() -> FieldDigest {
    start(0, FieldTag::Segment)
}

fn start(number: u32, tag: FieldTag) -> FieldDigest {
    let mut digest = FieldDigest::EMPTY;
    digest.0[0] = KoalaBear::new(number);
    digest.0[7] = tag.element();
    digest
}

impl Statement {
    /// The statement about no batch: what shapes are derived from.
    pub(crate) fn of_nothing() -> Self {
        Self { plane_id: Digest::ZERO, batches: Vec::new() }
    }
}
