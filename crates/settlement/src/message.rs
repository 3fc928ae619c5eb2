//! Everything that anybody can ask of the settlement.

use crate::archive::{self, FinalRecord};
use crate::codec::{fields, put_path, put_path_if_any, read_path, read_path_if_any};
use crate::judge::Purpose;
use ghostplane_ghostcipher::merkle::Path;
use ghostplane_ghostcipher::{Digest, Signature};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_byte_string, put_list};
use ghostplane_types::limits::{CHUNK_BYTES_MAX, COMMITMENT_BATCHES_MAX, TRANSACTION_BYTES_MAX};
use ghostplane_types::{Address, Amount, AssetId, BatchHeader, Commitment, Withdrawal};

/// The L1 block that a message is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct L1Block {
    /// Its height.
    pub height: u64,
    /// Its time in milliseconds since the Unix epoch.
    pub time: u64,
}

fields!(L1Block { height: u64, time: u64 });

/// One message to the settlement. The L1 vouches for who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Moves money of the sender into escrow, to be credited on the plane.
    Deposit {
        /// Which asset; registered by genesis.
        asset: AssetId,
        /// How much, in the L1's base units.
        l1_amount: u128,
        /// Who is credited on the plane.
        to: Address,
    },
    /// Puts a transaction into the inbox, where no operator can pass it over. The host charges L1 gas for it that covers
    /// its gas on the plane, by its length.
    Force {
        /// The transaction's bytes, of any content.
        transaction: Vec<u8>,
    },
    /// Adds to the sequencer's bond and makes the sender the operator.
    Bond {
        /// How much, in base units of GCC; a multiple of what the L1 can pay.
        amount: Amount,
        /// The sequencer's signature that lets the sender operate, see [`crate::bond_digest`].
        signature: Signature,
    },
    /// Returns the whole bond to the operator; while nothing of his can be challenged.
    Unbond,
    /// One chunk of a batch in posted form.
    PostData {
        /// The batch that is being posted: the next one.
        number: u64,
        /// Which chunk of it, from 0.
        chunk: u32,
        /// Whether it is the batch's last. All others are exactly as large as a chunk can be.
        last: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Drops everything posted and not committed.
    DiscardData,
    /// Commits to posted batches.
    Commit {
        /// The commitment.
        commitment: Box<Commitment>,
        /// The headers of all its batches, so that nobody can hide one from challengers: a case needs the header whole.
        headers: Vec<BatchHeader>,
    },
    /// Opens a case about one batch.
    OpenCase(Box<OpenCaseRequest>),
    /// Brings the next bytes of a case: first the posted batch, then the witness.
    Material {
        /// The case.
        case: u64,
        /// How many bytes it has so far.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Has a complete case judged. Anybody may ask.
    Judge {
        /// The case.
        case: u64,
    },
    /// Pays a withdrawal out to whom it is for. Anybody may ask.
    Claim(Box<Claim>),
    /// Brings the next bytes of a [`crate::ProofBundle`] in canonical form, a proof of conservation with what it is about;
    /// the last ones have it verified. Anybody may prove. The first ones drop what the sender had brought of another.
    SubmitProof {
        /// The first batch it is about.
        first_batch: u64,
        /// The last batch it is about.
        last_batch: u64,
        /// Bytes of the whole bundle.
        len: u64,
        /// How many of them were brought before.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A message that a later release runs.
    Reserved {
        /// Which.
        what: Reserved,
        /// Its content, which this release does not look at.
        body: Vec<u8>,
    },
}

/// What a case is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCaseRequest {
    /// What for.
    pub purpose: Purpose,
    /// The header of the batch.
    pub header: BatchHeader,
    /// Its path under the commitment's `headers_root`.
    pub header_path: Path,
    /// The header before it.
    pub prev: BatchHeader,
    /// That header's path under the same root; left out exactly when the batch is its commitment's first.
    pub prev_path: Option<Path>,
    /// Digest of the batch's posted form.
    pub posted: Digest,
    /// That digest's path under the commitment's `data_digest`.
    pub posted_path: Path,
    /// Bytes of the witness that will be brought.
    pub witness_len: u64,
}

/// What a withdrawal is claimed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The commitment that the batch is under.
    pub under: ClaimedUnder,
    /// The header of the batch.
    pub header: BatchHeader,
    /// Its path under the commitment's `headers_root`.
    pub header_path: Path,
    /// The withdrawal.
    pub withdrawal: Withdrawal,
    /// Its path under the header's `outbox_root`.
    pub outbox_path: Path,
}

/// Where the settlement finds the commitment of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimedUnder {
    /// It still has it: the commitment is pending or among the last [`crate::limits::RECENT_FINALS_MAX`] final ones.
    Recent {
        /// The commitment's first batch.
        first_batch: u64,
    },
    /// Its record is in the archive.
    Archived {
        /// The record.
        record: FinalRecord,
        /// Its path in the archive as it is now.
        path: archive::Path,
    },
}

/// Messages that later releases run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reserved {
    /// Evidence that the sequencer broke a receipt.
    Evidence,
    /// Freezes a plane whose operator is gone.
    Freeze,
    /// Leaves a frozen plane.
    ForcedExit,
    /// Announces a new protocol.
    ScheduleUpgrade,
}

impl Reserved {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Evidence, Self::Freeze, Self::ForcedExit, Self::ScheduleUpgrade];

    /// What is missing, in words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Evidence => "evidence against receipts",
            Self::Freeze => "freezing a plane",
            Self::ForcedExit => "leaving a frozen plane",
            Self::ScheduleUpgrade => "upgrades of the protocol",
        }
    }

    const fn tag(self) -> u8 {
        match self {
            Self::Evidence => 65,
            Self::Freeze => 66,
            Self::ForcedExit => 67,
            Self::ScheduleUpgrade => 68,
        }
    }
}

impl Encode for Message {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Deposit { asset, l1_amount, to } => {
                out.push(1);
                asset.encode(out);
                l1_amount.encode(out);
                to.encode(out);
            }
            Self::Force { transaction } => {
                out.push(2);
                put_byte_string(out, transaction);
            }
            Self::Bond { amount, signature } => {
                out.push(3);
                amount.encode(out);
                signature.encode(out);
            }
            Self::Unbond => out.push(4),
            Self::PostData { number, chunk, last, bytes } => {
                out.push(5);
                number.encode(out);
                chunk.encode(out);
                last.encode(out);
                put_byte_string(out, bytes);
            }
            Self::DiscardData => out.push(6),
            Self::Commit { commitment, headers } => {
                out.push(7);
                commitment.encode(out);
                put_list(out, headers);
            }
            Self::OpenCase(request) => {
                out.push(8);
                request.encode(out);
            }
            Self::Material { case, offset, bytes } => {
                out.push(9);
                case.encode(out);
                offset.encode(out);
                put_byte_string(out, bytes);
            }
            Self::Judge { case } => {
                out.push(10);
                case.encode(out);
            }
            Self::Claim(claim) => {
                out.push(11);
                claim.encode(out);
            }
            Self::SubmitProof { first_batch, last_batch, len, offset, bytes } => {
                out.push(64);
                first_batch.encode(out);
                last_batch.encode(out);
                len.encode(out);
                offset.encode(out);
                put_byte_string(out, bytes);
            }
            Self::Reserved { what, body } => {
                out.push(what.tag());
                put_byte_string(out, body);
            }
        }
    }
}

impl Decode for Message {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.read::<u8>()? {
            1 => Self::Deposit { asset: reader.read()?, l1_amount: reader.read()?, to: reader.read()? },
            2 => Self::Force {
                transaction: reader.byte_string("forced transaction bytes", TRANSACTION_BYTES_MAX)?.to_vec(),
            },
            3 => Self::Bond { amount: reader.read()?, signature: reader.read()? },
            4 => Self::Unbond,
            5 => Self::PostData {
                number: reader.read()?,
                chunk: reader.read()?,
                last: reader.read()?,
                bytes: reader.byte_string("data chunk bytes", CHUNK_BYTES_MAX)?.to_vec(),
            },
            6 => Self::DiscardData,
            7 => Self::Commit {
                commitment: Box::new(reader.read()?),
                headers: reader.list("headers", COMMITMENT_BATCHES_MAX)?,
            },
            8 => Self::OpenCase(Box::new(reader.read()?)),
            9 => Self::Material {
                case: reader.read()?,
                offset: reader.read()?,
                bytes: reader.byte_string("material bytes", CHUNK_BYTES_MAX)?.to_vec(),
            },
            10 => Self::Judge { case: reader.read()? },
            11 => Self::Claim(Box::new(reader.read()?)),
            64 => Self::SubmitProof {
                first_batch: reader.read()?,
                last_batch: reader.read()?,
                len: reader.read()?,
                offset: reader.read()?,
                bytes: reader.byte_string("proof piece bytes", CHUNK_BYTES_MAX)?.to_vec(),
            },
            tag => match Reserved::ALL.into_iter().find(|what| what.tag() == tag) {
                Some(what) => {
                    Self::Reserved { what, body: reader.byte_string("message bytes", CHUNK_BYTES_MAX)?.to_vec() }
                }
                None => return Err(reader.unknown("message", u64::from(tag))),
            },
        })
    }
}

impl Encode for OpenCaseRequest {
    fn encode(&self, out: &mut Vec<u8>) {
        self.purpose.encode(out);
        self.header.encode(out);
        put_path(out, &self.header_path);
        self.prev.encode(out);
        put_path_if_any(out, self.prev_path.as_ref());
        self.posted.encode(out);
        put_path(out, &self.posted_path);
        self.witness_len.encode(out);
    }
}

impl Decode for OpenCaseRequest {
    const BYTES_MIN: usize = 1 + 2 * BatchHeader::BYTES_MIN + 3 + 1 + 32 + 3 + 8;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            purpose: reader.read()?,
            header: reader.read()?,
            header_path: read_path(reader)?,
            prev: reader.read()?,
            prev_path: read_path_if_any(reader)?,
            posted: reader.read()?,
            posted_path: read_path(reader)?,
            witness_len: reader.read()?,
        })
    }
}

impl Encode for Claim {
    fn encode(&self, out: &mut Vec<u8>) {
        self.under.encode(out);
        self.header.encode(out);
        put_path(out, &self.header_path);
        self.withdrawal.encode(out);
        put_path(out, &self.outbox_path);
    }
}

impl Decode for Claim {
    const BYTES_MIN: usize = ClaimedUnder::BYTES_MIN + BatchHeader::BYTES_MIN + 3 + Withdrawal::BYTES_MIN + 3;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            under: reader.read()?,
            header: reader.read()?,
            header_path: read_path(reader)?,
            withdrawal: reader.read()?,
            outbox_path: read_path(reader)?,
        })
    }
}

impl Encode for ClaimedUnder {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Recent { first_batch } => {
                out.push(1);
                first_batch.encode(out);
            }
            Self::Archived { record, path } => {
                out.push(2);
                record.encode(out);
                path.encode(out);
            }
        }
    }
}

impl Decode for ClaimedUnder {
    const BYTES_MIN: usize = 9;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            1 => Ok(Self::Recent { first_batch: reader.read()? }),
            2 => Ok(Self::Archived { record: reader.read()?, path: reader.read()? }),
            unknown => Err(reader.unknown("claim source", u64::from(unknown))),
        }
    }
}
