//! Receipts: what became of a transaction, and the sequencer's signed promises about it.

use crate::codec::{Decode, DecodeError, Encode, Reader, fields};
use ghostplane_ghostcipher::node::{self, TreeKey};
use ghostplane_ghostcipher::{Digest, Domain, Signature, VerificationKey, digest, ed25519};

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The plane's log, by position; positions run without gaps over batches.
    Log(u64),
    /// The L1 inbox, by index.
    Inbox(u64),
}

impl Source {
    const INBOX_BIT: u64 = 1 << 63;

    /// The one number that stands for it in a log record: the inbox sets the top bit.
    pub const fn number(self) -> u64 {
        match self {
            Self::Log(position) => position,
            Self::Inbox(index) => index | Self::INBOX_BIT,
        }
    }
}

impl Encode for Source {
    fn encode(&self, out: &mut Vec<u8>) {
        self.number().encode(out);
    }
}

impl Decode for Source {
    const BYTES_MIN: usize = 8;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number: u64 = reader.read()?;
        let inbox = number & Self::INBOX_BIT != 0;
        Ok(if inbox { Self::Inbox(number & !Self::INBOX_BIT) } else { Self::Log(number) })
    }
}

/// What became of a transaction or inbox entry. 64 bytes when hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 0 when applied, else the code of the [`crate::Reject`].
    pub code: u16,
    /// The action that was refused, counted from 0; [`Outcome::NO_ACTION`] when it was not one action's fault.
    pub action: u16,
    /// Gas used.
    pub gas: u64,
    /// The fee in base units of GCC, storage price included.
    pub fee: u64,
    /// The first of its entries in the batch's journal; fees are journalled in sum at the batch's end.
    pub first_entry: u32,
    /// How many entries it made.
    pub entries: u32,
    /// The index of its first withdrawal, if it made any.
    pub first_withdrawal: u64,
    /// How many withdrawals it made.
    pub withdrawals: u32,
}

fields!(Outcome {
    code: u16,
    action: u16,
    gas: u64,
    fee: u64,
    first_entry: u32,
    entries: u32,
    first_withdrawal: u64,
    withdrawals: u32,
});

impl Outcome {
    /// Code of what was applied.
    pub const APPLIED: u16 = 0;
    /// [`Outcome::action`] when no single action is at fault.
    pub const NO_ACTION: u16 = u16::MAX;

    /// Whether all actions applied.
    pub const fn is_applied(&self) -> bool {
        self.code == Self::APPLIED
    }

    /// The 64 bytes that are hashed: the canonical bytes and zeros.
    pub fn block(&self) -> [u8; 64] {
        let mut block = Block([0; 64], 0);
        block.put(&self.code.to_le_bytes());
        block.put(&self.action.to_le_bytes());
        block.put(&self.gas.to_le_bytes());
        block.put(&self.fee.to_le_bytes());
        block.put(&self.first_entry.to_le_bytes());
        block.put(&self.entries.to_le_bytes());
        block.put(&self.first_withdrawal.to_le_bytes());
        block.put(&self.withdrawals.to_le_bytes());
        block.0
    }
}

/// What a batch's log tree holds for each transaction and inbox entry, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it came from.
    pub source: Source,
    /// The transaction's id; for a deposit the inbox entry's digest.
    pub tx_id: Digest,
    /// Digest of the [`Outcome`].
    pub outcome: Digest,
}

fields!(LogRecord { source: Source, tx_id: Digest, outcome: Digest });

impl LogRecord {
    /// The 128 bytes that are hashed: the canonical bytes and zeros.
    pub fn block(&self) -> [u8; 128] {
        let mut block = Block([0; 128], 0);
        block.put(&self.source.number().to_le_bytes());
        block.put(self.tx_id.as_bytes());
        block.put(self.outcome.as_bytes());
        block.0
    }
}

/// A zeroed block that is filled from the front. Thousands are made for every batch, so nothing is allocated.
struct Block<const N: usize>([u8; N], usize);

impl<const N: usize> Block<N> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.1 + bytes.len();
        self.0[self.1..end].copy_from_slice(bytes);
        self.1 = end;
    }
}

/// The leaves of a batch's log tree, hashed side by side.
pub fn log_leaves(records: &[(Source, Digest, Outcome)]) -> Vec<Digest> {
    let blocks: Vec<[u8; 64]> = records.iter().map(|(_, _, outcome)| outcome.block()).collect();
    let mut outcomes = vec![Digest::ZERO; records.len()];
    node::hash_64(&TreeKey::new(Domain::Outcome), &blocks, &mut outcomes);
    let record = |(&(source, tx_id, _), &outcome): (&(Source, Digest, Outcome), &Digest)| {
        LogRecord { source, tx_id, outcome }.block()
    };
    let blocks: Vec<[u8; 128]> = records.iter().zip(&outcomes).map(record).collect();
    let mut leaves = outcomes;
    node::hash_128(&TreeKey::new(Domain::LogRecord), &blocks, &mut leaves);
    leaves
}

/// What the sequencer signs once per log flush: everything before it is durable in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Whose log.
    pub plane_id: Digest,
    /// Which of the plane's generations; a conviction starts a new one.
    pub generation: u32,
    /// Counts flushes of a generation from 0.
    pub flush: u64,
    /// The log position of the first record of this flush.
    pub first_position: u64,
    /// Merkle root over the ids of the flush's transactions, in order.
    pub root: Digest,
    /// Digest of the flush before; zero for the first.
    pub prev_flush_digest: Digest,
    /// The records will be in a batch of at most this number.
    pub batch_at_most: u64,
}

fields!(Flush {
    plane_id: Digest,
    generation: u32,
    flush: u64,
    first_position: u64,
    root: Digest,
    prev_flush_digest: Digest,
    batch_at_most: u64,
});

impl Flush {
    /// The digest that is signed and that the next flush names.
    pub fn digest(&self, chain_id: u64) -> Digest {
        digest::hash(Domain::Flush, chain_id, &[&self.to_bytes()])
    }
}

/// A flush with the sequencer's signature over its digest, under [`Domain::FlushSignature`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedFlush {
    /// What is promised.
    pub flush: Flush,
    /// By whom.
    pub signature: Signature,
}

fields!(SignedFlush { flush: Flush, signature: Signature });

impl SignedFlush {
    /// Checks the signature and hands out the promise.
    pub fn verify(&self, chain_id: u64, key: &VerificationKey) -> Result<&Flush, ed25519::SignatureError> {
        let digest = self.flush.digest(chain_id);
        ed25519::verify(Domain::FlushSignature, chain_id, key, &digest, &self.signature).map(|()| &self.flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_the_canonical_bytes_and_zeros() {
        let outcome = Outcome {
            code: 0x0102,
            action: 0x0304,
            gas: 5,
            fee: 6,
            first_entry: 7,
            entries: 8,
            first_withdrawal: 9,
            withdrawals: 10,
        };
        let bytes = outcome.to_bytes();
        assert_eq!(
            (&outcome.block()[..bytes.len()], outcome.block()[bytes.len()..].iter().max()),
            (&bytes[..], Some(&0))
        );
        for source in [Source::Log(11), Source::Inbox(12)] {
            let record = LogRecord { source, tx_id: Digest([13; 32]), outcome: Digest([14; 32]) };
            let bytes = record.to_bytes();
            assert_eq!(
                (&record.block()[..bytes.len()], record.block()[bytes.len()..].iter().max()),
                (&bytes[..], Some(&0))
            );
        }
    }
}
