//! Commitments: what the plane tells the L1, at most once per L1 block.

use crate::batch::BatchHeader;
use crate::codec::{Decode, DecodeError, Encode, Reader, fields, put_list};
use crate::limits::ATTESTATIONS_MAX;
use ghostplane_ghostcipher::{Digest, Domain, Signature, VerificationKey, digest, ed25519};

/// The version of the commitment format.
pub const COMMITMENT_VERSION: u16 = 1;

/// A run of consecutive batches, claimed before the L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// [`COMMITMENT_VERSION`].
    pub version: u16,
    /// Whose batches.
    pub plane_id: Digest,
    /// The generation all of them belong to.
    pub generation: u32,
    /// The number of the first.
    pub first_batch: u64,
    /// Merkle root over the digests of all headers, in order.
    pub headers_root: Digest,
    /// Digest of the header before the first.
    pub prev_header_digest: Digest,
    /// The last header, whole.
    pub last_header: BatchHeader,
    /// Merkle root over the digests of all posted batches, in order, see [`crate::batch::posted_digest`].
    pub data_digest: Digest,
    /// Bytes of all posted batches.
    pub data_len: u64,
    /// Who vouches for it; the sequencer first.
    pub attestations: Vec<Attestation>,
}

/// A signature under [`Domain::Attestation`] over a commitment's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Whose.
    pub key: VerificationKey,
    /// Over [`Commitment::digest`].
    pub signature: Signature,
}

fields!(Attestation { key: VerificationKey, signature: Signature });

impl Commitment {
    /// The digest of everything but the attestations.
    pub fn digest(&self, chain_id: u64) -> Digest {
        let mut bytes = Vec::with_capacity(512);
        self.encode_claim(&mut bytes);
        digest::hash(Domain::Commitment, chain_id, &[&bytes])
    }

    /// How many batches it claims, unless its numbers make no sense.
    pub fn batches(&self) -> Option<u64> {
        self.last_header.number.checked_sub(self.first_batch)?.checked_add(1)
    }

    /// Checks one attestation against this commitment.
    pub fn verify_attestation(&self, chain_id: u64, by: &Attestation) -> Result<(), ed25519::SignatureError> {
        ed25519::verify(Domain::Attestation, chain_id, &by.key, &self.digest(chain_id), &by.signature)
    }

    fn encode_claim(&self, out: &mut Vec<u8>) {
        self.version.encode(out);
        self.plane_id.encode(out);
        self.generation.encode(out);
        self.first_batch.encode(out);
        self.headers_root.encode(out);
        self.prev_header_digest.encode(out);
        self.last_header.encode(out);
        self.data_digest.encode(out);
        self.data_len.encode(out);
    }
}

impl Encode for Commitment {
    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_claim(out);
        put_list(out, &self.attestations);
    }
}

impl Decode for Commitment {
    const BYTES_MIN: usize = 2 + 32 + 4 + 8 + 32 + 32 + BatchHeader::BYTES_MIN + 32 + 8 + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = reader.read()?;
        if version != COMMITMENT_VERSION {
            return Err(reader.unknown("commitment version", u64::from(version)));
        }
        Ok(Self {
            version,
            plane_id: reader.read()?,
            generation: reader.read()?,
            first_batch: reader.read()?,
            headers_root: reader.read()?,
            prev_header_digest: reader.read()?,
            last_header: reader.read()?,
            data_digest: reader.read()?,
            data_len: reader.read()?,
            attestations: reader.list("attestations", ATTESTATIONS_MAX)?,
        })
    }
}
