//! Proofs of conservation on their way in: the pieces of one, and what they come to.

use crate::codec::{put_path, read_path};
use crate::limits::{PROOF_BUNDLE_BYTES_MAX, PROOF_STATEMENT_BYTES_MAX};
use ghostplane_ghostcipher::merkle::Path;
use ghostplane_proof::{BATCHES_MAX, PROOF_BYTES_MAX};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_byte_string, put_list};
use ghostplane_types::limits::BATCH_FLOWS_MAX;
use ghostplane_types::{BatchHeader, Flow};

/// A proof with everything that the settlement has to be shown to see what it is about. Brought in pieces, see
/// [`crate::Message::SubmitProof`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofBundle {
    /// Any header of the state that the first batch starts from. Nothing but that state counts, and the first batch's own
    /// header names it, so it needs no path.
    pub previous: BatchHeader,
    /// The batches, in order.
    pub batches: Vec<ProvenBatch>,
    /// The proof.
    pub proof: Vec<u8>,
}

/// One batch of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenBatch {
    /// Its header.
    pub header: BatchHeader,
    /// The header's path under the `headers_root` of its commitment.
    pub header_path: Path,
    /// What it issued and retired, ascending by asset.
    pub flows: Vec<Flow>,
}

impl Encode for ProvenBatch {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        put_path(out, &self.header_path);
        put_list(out, &self.flows);
    }
}

impl Decode for ProvenBatch {
    const BYTES_MIN: usize = BatchHeader::BYTES_MIN + 3 + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            header: reader.read()?,
            header_path: read_path(reader)?,
            flows: reader.list("flows", BATCH_FLOWS_MAX)?,
        })
    }
}

impl Encode for ProofBundle {
    fn encode(&self, out: &mut Vec<u8>) {
        self.previous.encode(out);
        put_list(out, &self.batches);
        put_byte_string(out, &self.proof);
    }
}

impl Decode for ProofBundle {
    const BYTES_MIN: usize = BatchHeader::BYTES_MIN + 2;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            previous: reader.read()?,
            batches: reader.list("batches of a proof", BATCHES_MAX)?,
            proof: reader.byte_string("proof bytes", PROOF_BYTES_MAX)?.to_vec(),
        })
    }
}

/// A bundle of which some pieces were brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenProof {
    /// The first batch it is about.
    pub first_batch: u64,
    /// The last batch it is about.
    pub last_batch: u64,
    /// Bytes of the whole bundle.
    pub len: u64,
    /// The last block in which it can be completed.
    pub deadline: u64,
    /// What has been brought: never nothing, and never all of it.
    pub(crate) bytes: Vec<u8>,
}

impl OpenProof {
    /// Bytes brought so far.
    pub fn brought(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// Whether a proof can be over these batches at all.
pub(crate) fn is_range(first_batch: u64, last_batch: u64) -> bool {
    first_batch > 0 && last_batch.checked_sub(first_batch).is_some_and(|more| more < BATCHES_MAX as u64)
}

impl Encode for OpenProof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.first_batch.encode(out);
        self.last_batch.encode(out);
        self.len.encode(out);
        self.deadline.encode(out);
        put_byte_string(out, &self.bytes);
    }
}

impl Decode for OpenProof {
    const BYTES_MIN: usize = 4 * 8 + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let open = Self {
            first_batch: reader.read()?,
            last_batch: reader.read()?,
            len: reader.read()?,
            deadline: reader.read()?,
            bytes: reader.byte_string("bytes of an open proof", PROOF_BUNDLE_BYTES_MAX)?.to_vec(),
        };
        let lengths_fit = open.len <= PROOF_BUNDLE_BYTES_MAX as u64 && (1..open.len).contains(&open.brought());
        let good = lengths_fit && is_range(open.first_batch, open.last_batch);
        if good { Ok(open) } else { Err(reader.non_canonical("open proof")) }
    }
}

const _: () = {
    // Headers, paths of at most 48 siblings, and flows of every batch, with the lengths before them.
    let batch = BatchHeader::BYTES_MIN + 24 + 48 * 32 + 4 + BATCH_FLOWS_MAX * Flow::BYTES_MIN;
    assert!(BatchHeader::BYTES_MIN + 16 + BATCHES_MAX * batch <= PROOF_STATEMENT_BYTES_MAX);
};
