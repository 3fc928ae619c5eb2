//! What a payout did so far: a file that only grows, in frames that are whole or not there.
//!
//! A frame is its length (`u32` little-endian), 16 bytes of the payload's BLAKE3 digest, and the payload: records one after
//! the other. What is signed together is one frame, made durable before anything of it is sent. So a frame that a crash
//! tore is the last, and nothing of it was ever sent.

use anyhow::{Context as _, bail};
use ghostplane_ghostcipher::{Digest, hex};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_byte_string};
use ghostplane_types::limits::TRANSACTION_BYTES_MAX;
use std::collections::BTreeMap;
use std::io;

/// Bytes of one frame's payload.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
const FRAME_HEAD_BYTES: usize = 20;

/// Where a journal is kept.
pub(super) trait Storage {
    /// Adds to the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all of it durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// Which payout a journal is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) file: Digest,
    pub(super) plane: Digest,
    pub(super) payer: Digest,
}

/// A signed transaction for a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) row: u64,
    pub(super) sequence: u64,
    /// The newest sealed batch when it was signed: no batch up to this one can include it.
    pub(super) batch: u64,
    pub(super) valid_until: u64,
    pub(super) id: Digest,
    pub(super) bytes: Vec<u8>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Head(Head),
    Signed(Signed),
    Done { row: u64, code: u16 },
}

impl Encode for Record {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Head(head) => {
                0_u8.encode(out);
                [head.file, head.plane, head.payer].iter().for_each(|digest| digest.encode(out));
            }
            Self::Signed(signed) => {
                1_u8.encode(out);
                [signed.row, signed.sequence, signed.batch, signed.valid_until].iter().for_each(|n| n.encode(out));
                signed.id.encode(out);
                put_byte_string(out, &signed.bytes);
            }
            Self::Done { row, code } => {
                2_u8.encode(out);
                row.encode(out);
                code.encode(out);
            }
        }
    }
}

impl Decode for Record {
    const BYTES_MIN: usize = 11;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.read::<u8>()? {
            0 => Self::Head(Head { file: reader.read()?, plane: reader.read()?, payer: reader.read()? }),
            1 => Self::Signed(Signed {
                row: reader.read()?,
                sequence: reader.read()?,
                batch: reader.read()?,
                valid_until: reader.read()?,
                id: reader.read()?,
                bytes: reader.byte_string("transaction bytes", TRANSACTION_BYTES_MAX)?.to_vec(),
            }),
            2 => Self::Done { row: reader.read()?, code: reader.read()? },
            other => return Err(reader.unknown("journal record", u64::from(other))),
        })
    }
}

/// A row with a sequence number. All transactions signed for it have that one, so that at most one of them is ever
/// executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Newest last. Never empty.
    pub(super) signed: Vec<Signed>,
}

/// What a journal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) head: Option<Head>,
    pub(super) seats: BTreeMap<u64, Seat>,
    /// Rows whose transaction was executed, with its outcome.
    pub(super) done: BTreeMap<u64, u16>,
    /// One more than the largest sequence number so far.
    pub(super) next: u64,
    /// Bytes that are whole; what follows was torn.
    pub(super) bytes: usize,
}

impl Past {
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Head(head) => self.head = Some(head),
            Record::Signed(signed) => {
                self.next = self.next.max(signed.sequence.saturating_add(1));
                let seat = self.seats.entry(signed.row).or_insert_with(|| Seat { signed: Vec::new() });
                // Another number: it was certain that none of the earlier ones can be executed.
                seat.signed.retain(|earlier| earlier.sequence == signed.sequence);
                seat.signed.push(signed);
            }
            Record::Done { row, code } => {
                self.seats.remove(&row);
                self.done.insert(row, code);
            }
        }
    }
}

fn checksum(payload: &[u8]) -> [u8; 16] {
    let mut sum = [0; 16];
    sum.copy_from_slice(&blake3::hash(payload).as_bytes()[..16]);
    sum
}

/// One frame of these records.
pub(super) fn frame(records: &[Record]) -> Vec<u8> {
    let mut payload = Vec::new();
    records.iter().for_each(|record| record.encode(&mut payload));
    let length = u32::try_from(payload.len()).expect("a frame holds at most 64 transactions");
    let mut out = length.to_le_bytes().to_vec();
    out.extend_from_slice(&checksum(&payload));
    out.extend_from_slice(&payload);
    out
}

/// Reads a journal. A torn end is left out; damage anywhere else is an error, because what was sent could be forgotten.
pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Past> {
    let mut past = Past::default();
    while let Some(head) = bytes.get(past.bytes..past.bytes + FRAME_HEAD_BYTES) {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let begin = past.bytes + FRAME_HEAD_BYTES;
        if length > FRAME_BYTES_MAX {
            bail!("the journal is damaged at byte {}; restore it from a copy", past.bytes);
        }
        let Some(payload) = bytes.get(begin..begin + length) else { break };
        if checksum(payload) != head[4..] {
            if bytes.len() == begin + length {
                break;
            }
            bail!(
                "the journal is damaged at byte {} ({}…); restore it from a copy",
                past.bytes,
                hex::encode(&head[4..8])
            );
        }
        let mut reader = Reader::new(payload);
        while reader.remaining() > 0 {
            past.apply(reader.read().context("the journal has a record that is none")?);
        }
        past.bytes = begin + length;
    }
    Ok(past)
}
