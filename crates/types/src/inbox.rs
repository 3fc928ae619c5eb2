//! What crosses between the L1 and the plane: inbox entries one way, withdrawals the other.

use crate::address::{Address, L1Address};
use crate::amount::Amount;
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader, fields, put_byte_string};
use crate::limits::TRANSACTION_BYTES_MAX;
use ghostplane_ghostcipher::{Digest, Domain, digest};

/// One message from the L1, consumed by batches in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    /// Counts from 0 without gaps.
    pub index: u64,
    /// The height of the L1 block that took it.
    pub l1_height: u64,
    /// The time of that block in milliseconds.
    pub l1_time: u64,
    /// What it asks for.
    pub payload: InboxPayload,
}

/// What an inbox entry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboxPayload {
    /// Money that the L1 took into escrow.
    Deposit {
        /// Who paid on the L1, and gets it back if the plane cannot credit it.
        from: L1Address,
        /// Who is credited on the plane.
        to: Address,
        /// Which asset; bridged.
        asset: AssetId,
        /// How much, in the plane's base units, not zero.
        amount: Amount,
    },
    /// A transaction that the plane must judge, in lane 255, at the inbox block's time. Its gas was paid on the L1.
    Forced {
        /// The transaction's bytes, of any content.
        transaction: Vec<u8>,
    },
}

impl InboxEntry {
    /// The entry's own digest.
    pub fn digest(&self, chain_id: u64) -> Digest {
        digest::hash(Domain::InboxEntry, chain_id, &[&self.to_bytes()])
    }

    /// The digest of the whole inbox up to and with this entry, given the one before it (zero before the first).
    pub fn chain(&self, chain_id: u64, before: &Digest) -> Digest {
        digest::hash(Domain::InboxChain, chain_id, &[before.as_bytes(), self.digest(chain_id).as_bytes()])
    }
}

impl Encode for InboxPayload {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Deposit { from, to, asset, amount } => {
                out.push(1);
                from.encode(out);
                to.encode(out);
                asset.encode(out);
                amount.encode(out);
            }
            Self::Forced { transaction } => {
                out.push(2);
                put_byte_string(out, transaction);
            }
        }
    }
}

impl Decode for InboxPayload {
    const BYTES_MIN: usize = 2;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            1 => Ok(Self::Deposit {
                from: reader.read()?,
                to: reader.read()?,
                asset: reader.read()?,
                amount: reader.read()?,
            }),
            2 => {
                let transaction = reader.byte_string("forced transaction bytes", TRANSACTION_BYTES_MAX)?.to_vec();
                Ok(Self::Forced { transaction })
            }
            unknown => Err(reader.unknown("inbox payload", u64::from(unknown))),
        }
    }
}

fields!(InboxEntry { index: u64, l1_height: u64, l1_time: u64, payload: InboxPayload });

/// Money that leaves for the L1: a leaf of its batch's outbox tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Counts over the whole life of the plane, from 0 without gaps; what makes a claim unique.
    pub index: u64,
    /// The account it left, or for a returned deposit the account it was meant for.
    pub owner: Address,
    /// Who may claim it.
    pub to: L1Address,
    /// Which asset; bridged.
    pub asset: AssetId,
    /// How much, in the plane's base units.
    pub amount: Amount,
}

fields!(Withdrawal { index: u64, owner: Address, to: L1Address, asset: AssetId, amount: Amount });

impl Withdrawal {
    /// The leaf of the outbox tree.
    pub fn leaf(&self, chain_id: u64) -> Digest {
        digest::hash(Domain::Withdrawal, chain_id, &[&self.to_bytes()])
    }
}
