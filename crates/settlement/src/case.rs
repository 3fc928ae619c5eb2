//! Open cases.

use crate::judge::Purpose;
use crate::limits::CASE_BYTES_MAX;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_byte_string};
use ghostplane_types::limits::{BATCH_BYTES_MAX, WITNESS_BYTES_MAX};
use ghostplane_types::{BatchHeader, L1Address};

/// A case about one batch, from its opening to its judgement or deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCase {
    /// What for.
    pub purpose: Purpose,
    /// Who opened it and has his bond in it.
    pub challenger: L1Address,
    /// The last block in which it can be judged.
    pub deadline: u64,
    /// The header it is about.
    pub header: BatchHeader,
    /// The header before.
    pub prev: BatchHeader,
    /// Digest of the batch's posted form.
    pub posted: Digest,
    /// Bytes of the witness that was announced.
    pub witness_len: u64,
    /// What has been brought: the posted batch, then the witness.
    pub(crate) material: Vec<u8>,
}

impl OpenCase {
    /// The batch it is about.
    pub fn batch(&self) -> u64 {
        self.header.number
    }

    /// Bytes brought so far.
    pub fn brought(&self) -> u64 {
        self.material.len() as u64
    }

    /// Bytes that make it complete.
    pub fn needed(&self) -> u64 {
        u64::from(self.header.bytes) + self.witness_len
    }

    /// The posted batch and the witness, once everything was brought.
    pub(crate) fn complete(&self) -> Option<(&[u8], &[u8])> {
        let posted_len = usize::try_from(self.header.bytes).ok()?;
        if self.brought() == self.needed() { self.material.split_at_checked(posted_len) } else { None }
    }
}

impl Encode for OpenCase {
    fn encode(&self, out: &mut Vec<u8>) {
        self.purpose.encode(out);
        self.challenger.encode(out);
        self.deadline.encode(out);
        self.header.encode(out);
        self.prev.encode(out);
        self.posted.encode(out);
        self.witness_len.encode(out);
        put_byte_string(out, &self.material);
    }
}

impl Decode for OpenCase {
    const BYTES_MIN: usize = 1 + 32 + 8 + 2 * BatchHeader::BYTES_MIN + 32 + 8 + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let case = Self {
            purpose: reader.read()?,
            challenger: reader.read()?,
            deadline: reader.read()?,
            header: reader.read()?,
            prev: reader.read()?,
            posted: reader.read()?,
            witness_len: reader.read()?,
            material: reader.byte_string("case bytes", CASE_BYTES_MAX)?.to_vec(),
        };
        let follows = case.prev.number.checked_add(1) == Some(case.header.number);
        let lengths_fit = case.header.bytes as usize <= BATCH_BYTES_MAX
            && case.witness_len <= WITNESS_BYTES_MAX as u64
            && case.brought() <= case.needed();
        if follows && lengths_fit { Ok(case) } else { Err(reader.non_canonical("case")) }
    }
}
