//! What a block is on disk.
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 4 | `len`, bytes of the payload, `u32` |
//! | 4 | 4 | CRC-32C of the four bytes before |
//! | 8 | `len` | payload |
//! | 8 + `len` | 4 | CRC-32C of all bytes before |
//! | 12 + `len` | 1 | `0xe5`, the end |
//!
//! The payload: height, time (`u64` each), the list of signed messages as byte strings, the list of new inbox entries. The
//! length has a checksum of its own, so that a damaged length is not taken for a frame cut short, and the end is not
//! zero, so that damage inside a frame is not taken for a tail of zeros.

use crate::limits::{BLOCK_MESSAGES_MAX, FRAME_BYTES_MAX};
use ghostplane_settlement::L1Block;
use ghostplane_settlement::limits::INBOX_BLOCK_ENTRIES_MAX;
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_byte_string, put_list, put_varint, varint_len};
use ghostplane_types::{InboxEntry, SignedL1Message};
use thiserror::Error;

pub(crate) const HEAD_BYTES: usize = 8;
const TRAILER_BYTES: usize = 5;
const END: u8 = 0xe5;

/// Where bytes stand in the block log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Height of the first block of the file.
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) len: u32,
    /// CRC-32C of the bytes.
    pub(crate) checksum: u32,
}

impl Encode for Place {
    fn encode(&self, out: &mut Vec<u8>) {
        self.segment.encode(out);
        self.offset.encode(out);
        self.len.encode(out);
        self.checksum.encode(out);
    }
}

impl Decode for Place {
    const BYTES_MIN: usize = 24;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { segment: reader.read()?, offset: reader.read()?, len: reader.read()?, checksum: reader.read()? })
    }
}

/// A block as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) block: L1Block,
    /// Signed messages in canonical form, in the order in which they were applied.
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) inbox: Vec<InboxEntry>,
}

impl Record {
    /// The frame of the block.
    pub(crate) fn to_frame(&self) -> Vec<u8> {
        let mut out = vec![0; HEAD_BYTES];
        self.block.encode(&mut out);
        put_varint(&mut out, self.messages.len() as u64);
        self.messages.iter().for_each(|message| put_byte_string(&mut out, message));
        put_list(&mut out, &self.inbox);
        let len = u32::try_from(out.len() - HEAD_BYTES).expect("blocks are bounded far below");
        out[..HEAD_BYTES].copy_from_slice(&head(len));
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.push(END);
        out
    }

    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let block = reader.read()?;
        let count = reader.count("messages", BLOCK_MESSAGES_MAX, SignedL1Message::BYTES_MIN)?;
        let message = |_| reader.byte_string("message bytes", SignedL1Message::BYTES_MAX).map(<[u8]>::to_vec);
        let messages = (0..count).map(message).collect::<Result<_, _>>()?;
        let entries = usize::try_from(INBOX_BLOCK_ENTRIES_MAX).unwrap_or(usize::MAX);
        let inbox = reader.list("inbox entries", entries)?;
        reader.finish()?;
        Ok(Self { block, messages, inbox })
    }

    /// Where each message starts and where the inbox entries start, counted from the frame's first byte.
    pub(crate) fn offsets(&self) -> (Vec<u64>, u64) {
        let mut at = HEAD_BYTES + 16 + varint_len(self.messages.len() as u64);
        let mut starts = Vec::with_capacity(self.messages.len());
        for message in &self.messages {
            at += varint_len(message.len() as u64);
            starts.push(at as u64);
            at += message.len();
        }
        (starts, (at + varint_len(self.inbox.len() as u64)) as u64)
    }
}

fn head(len: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&len.to_le_bytes());
    let checksum = crc32c::crc32c(&head[..4]);
    head[4..].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// What is wrong with bytes that should be a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// The length does not have its checksum.
    #[error("the length of a block does not have its checksum")]
    Head,
    /// The length is over the limit, with a good checksum.
    #[error("a block of {0} bytes, the most is {FRAME_BYTES_MAX}")]
    Length(u32),
    /// The content does not have its checksum, or does not end with its end byte.
    #[error("a block does not have its checksum")]
    Checksum,
    /// Bytes with a good checksum that are no block.
    #[error("the content of a block does not decode: {0}")]
    Payload(#[from] DecodeError),
    /// A block that does not follow from the one before, or does not do what it did when it was written.
    #[error("block {height} does not replay: {reason}")]
    Replay {
        /// Which block.
        height: u64,
        /// What came out differently.
        reason: &'static str,
    },
    /// The file does not start as a file of this log does.
    #[error("the file does not start with its mark")]
    Mark,
    /// The log is shorter than a snapshot says it was.
    #[error("the log ends before the block that the snapshot was made at")]
    Short,
    /// A file of the log is missing.
    #[error("the blocks from {height} on are missing")]
    Gap {
        /// The first block that is missing.
        height: u64,
    },
}

/// What stands at some place of a file.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A block, and the length of its frame.
    Block(Box<Record>, usize),
    /// The end of the bytes.
    End,
    /// What a write leaves that was cut short: good as far as it goes, then nothing or zeros until the end of the bytes.
    Torn,
    Bad(Damage),
}

/// Reads the frame at the start of `rest`, which goes on to the end of the file.
pub(crate) fn parse(rest: &[u8]) -> Parsed {
    if rest.is_empty() {
        return Parsed::End;
    }
    let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let Some((found, _)) = rest.split_first_chunk::<HEAD_BYTES>() else { return Parsed::Torn };
    let [l0, l1, l2, l3, ..] = *found;
    let len = u32::from_le_bytes([l0, l1, l2, l3]);
    if *found != head(len) {
        return if written < HEAD_BYTES { Parsed::Torn } else { Parsed::Bad(Damage::Head) };
    }
    let payload_len = usize::try_from(len).unwrap_or(usize::MAX);
    if payload_len > FRAME_BYTES_MAX {
        return Parsed::Bad(Damage::Length(len));
    }
    let frame_len = HEAD_BYTES + payload_len + TRAILER_BYTES;
    if written < frame_len {
        return Parsed::Torn;
    }
    let (body, trailer) = rest[..frame_len].split_at(frame_len - TRAILER_BYTES);
    let [c0, c1, c2, c3, end] = *trailer else { return Parsed::Bad(Damage::Checksum) };
    if u32::from_le_bytes([c0, c1, c2, c3]) != crc32c::crc32c(body) || end != END {
        return Parsed::Bad(Damage::Checksum);
    }
    match Record::decode(&body[HEAD_BYTES..]) {
        Ok(record) => Parsed::Block(Box::new(record), frame_len),
        Err(error) => Parsed::Bad(error.into()),
    }
}
