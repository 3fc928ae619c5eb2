//! Frames: what the log is made of, and how one stands on disk.
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 4 | `len`, bytes of the payload, `u32` |
//! | 4 | 1 | kind; its highest bit is set in the last frame of a group |
//! | 5 | 4 | CRC-32C of the five bytes before |
//! | 9 | `len` | payload |
//! | 9 + `len` | 4 | CRC-32C of all bytes before |
//! | 13 + `len` | 1 | `0xe5`, the end |
//!
//! The length has a checksum of its own, so that a damaged length is not taken for a frame cut short, and the end is not
//! zero, so that damage inside a frame is not taken for a tail of zeros. A group whose last frame is missing was never
//! acknowledged, so that what is written together is there together or not at all.

use ghostplane_types::codec::{put_byte_string, put_list, put_varint};
use ghostplane_types::limits::{BATCH_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX};
use ghostplane_types::{BatchHeader, DecodeError, Encode, InboxEntry, Reader, SignedFlush};
use thiserror::Error;

/// Bytes of one frame's payload.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Transactions in one flush.
pub const FLUSH_TRANSACTIONS_MAX: usize = 65_536;
/// Batches that are cut and not sealed.
pub const UNSEALED_MAX: usize = 64;
/// Inbox entries in one frame.
pub const INBOX_ENTRIES_MAX: usize = BATCH_TRANSACTIONS_MAX;

pub(crate) const HEAD_BYTES: usize = 9;
pub(crate) const TRAILER_BYTES: usize = 5;
const END: u8 = 0xe5;
/// Set in the kind of the last frame of a group.
const GROUP_END: u8 = 0x80;

const _: () = {
    assert!(TRANSACTION_BYTES_MAX + 512 <= FRAME_BYTES_MAX, "a flush of one transaction of any size fits");
    assert!(FRAME_BYTES_MAX < u32::MAX as usize);
    assert!(END.count_ones() > 1, "no flip of one bit makes the end a zero");
};

/// One thing the node must not forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Transactions that were taken, and the promise that was signed for them. Kind 1.
    Flush(LoggedFlush),
    /// Inbox entries that batches consume, in order. Kind 2.
    ///
    /// An entry is logged once: it comes from below the L1's reorganisation depth, so a later revert may consume it again.
    Inbox(Vec<InboxEntry>),
    /// What came of a batch that was cut. Kind 3.
    ///
    /// Sealing takes a while, so it comes after the batch's [`Frame::Cut`] with any frames between, in the order of the
    /// batches, at most [`UNSEALED_MAX`] batches late. Executing the batch again gives the same header.
    Sealed(BatchHeader),
    /// A conviction: the plane goes on from an earlier batch in a new generation. Kind 4.
    Revert(Revert),
    /// A batch started. Kind 5.
    ///
    /// In the same group as the first thing that is in the batch, and after it: the marks of a group follow what they mark.
    Opened(Opened),
    /// The open batch ended. Kind 6. From then on its content is what it is, whenever it is sealed.
    Cut(Cut),
}

/// One group of transactions, in the order of their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedFlush {
    /// The sequencer's promise: says where the group starts. The store checks its numbers, not its signature or root.
    pub signed: SignedFlush,
    /// The encoded transactions, at least one; each at most [`TRANSACTION_BYTES_MAX`] bytes.
    pub transactions: Vec<Vec<u8>>,
}

/// How a batch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The plane's generation.
    pub generation: u32,
    /// The number of the batch.
    pub number: u64,
    /// The time of the batch, in milliseconds since the Unix epoch.
    pub time: u64,
    /// The position of its first transaction: where the batch before ends.
    pub position: u64,
    /// The index of its first inbox entry: where the batch before ends.
    pub inbox: u64,
}

/// Where a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The number of the batch.
    pub number: u64,
    /// The position behind its last transaction.
    pub position: u64,
    /// The index behind its last inbox entry.
    pub inbox: u64,
}

/// Everything after a batch is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revert {
    /// The header of the last batch that stands; [`BatchHeader::genesis`] if none does.
    pub to: BatchHeader,
    /// The generation that begins.
    pub generation: u32,
}

/// Why a frame cannot be written. Whoever made it is wrong; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Nothing in it.
    #[error("a frame holds at least one transaction or inbox entry")]
    Empty,
    /// Too many items.
    #[error("{found} items, a frame holds at most {limit}")]
    TooMany {
        /// How many.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A transaction is too long.
    #[error("a transaction of {found} bytes, it may have {TRANSACTION_BYTES_MAX}")]
    TransactionBytes {
        /// How many bytes.
        found: usize,
    },
    /// The frame is too long.
    #[error("{found} bytes, a frame holds at most {FRAME_BYTES_MAX}")]
    TooLarge {
        /// How many bytes.
        found: usize,
    },
}

impl Frame {
    const FLUSH: u8 = 1;
    const INBOX: u8 = 2;
    const SEALED: u8 = 3;
    const REVERT: u8 = 4;
    const OPENED: u8 = 5;
    const CUT: u8 = 6;

    fn kind(&self) -> u8 {
        match self {
            Self::Flush(_) => Self::FLUSH,
            Self::Inbox(_) => Self::INBOX,
            Self::Sealed(_) => Self::SEALED,
            Self::Revert(_) => Self::REVERT,
            Self::Opened(_) => Self::OPENED,
            Self::Cut(_) => Self::CUT,
        }
    }

    fn check(&self) -> Result<(), FrameError> {
        let (found, limit) = match self {
            Self::Flush(flush) => (flush.transactions.len(), FLUSH_TRANSACTIONS_MAX),
            Self::Inbox(entries) => (entries.len(), INBOX_ENTRIES_MAX),
            Self::Sealed(_) | Self::Revert(_) | Self::Opened(_) | Self::Cut(_) => return Ok(()),
        };
        match found {
            0 => Err(FrameError::Empty),
            found if found > limit => Err(FrameError::TooMany { found, limit }),
            _ => Ok(()),
        }
    }

    fn encode_payload(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            Self::Flush(flush) => {
                flush.signed.encode(out);
                put_varint(out, flush.transactions.len() as u64);
                for transaction in &flush.transactions {
                    if transaction.len() > TRANSACTION_BYTES_MAX {
                        return Err(FrameError::TransactionBytes { found: transaction.len() });
                    }
                    put_byte_string(out, transaction);
                }
            }
            Self::Inbox(entries) => put_list(out, entries),
            Self::Sealed(header) => header.encode(out),
            Self::Revert(revert) => {
                revert.to.encode(out);
                revert.generation.encode(out);
            }
            Self::Opened(opened) => {
                opened.generation.encode(out);
                for number in [opened.number, opened.time, opened.position, opened.inbox] {
                    number.encode(out);
                }
            }
            Self::Cut(cut) => {
                for number in [cut.number, cut.position, cut.inbox] {
                    number.encode(out);
                }
            }
        }
        Ok(())
    }

    /// Appends the frame as it stands on disk, as the last of its group or not. On an error `out` is as it was.
    pub(crate) fn write(&self, out: &mut Vec<u8>, ends_group: bool) -> Result<(), FrameError> {
        self.check()?;
        let start = out.len();
        out.resize(start + HEAD_BYTES, 0);
        let written = self.encode_payload(out).and_then(|()| {
            let found = out.len() - start - HEAD_BYTES;
            let len = u32::try_from(found).ok().filter(|_| found <= FRAME_BYTES_MAX);
            len.ok_or(FrameError::TooLarge { found })
        });
        let len = match written {
            Ok(len) => len,
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        };
        let kind = if ends_group { self.kind() | GROUP_END } else { self.kind() };
        out[start..start + HEAD_BYTES].copy_from_slice(&head(len, kind));
        let checksum = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.push(END);
        Ok(())
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new(payload);
        let frame = match kind {
            Self::FLUSH => Self::Flush(decode_flush(&mut reader)?),
            Self::INBOX => Self::Inbox(reader.list("inbox entries", INBOX_ENTRIES_MAX)?),
            Self::SEALED => Self::Sealed(reader.read()?),
            Self::REVERT => Self::Revert(Revert { to: reader.read()?, generation: reader.read()? }),
            Self::OPENED => Self::Opened(Opened {
                generation: reader.read()?,
                number: reader.read()?,
                time: reader.read()?,
                position: reader.read()?,
                inbox: reader.read()?,
            }),
            Self::CUT => Self::Cut(Cut { number: reader.read()?, position: reader.read()?, inbox: reader.read()? }),
            unknown => return Err(Damage::Kind(unknown)),
        };
        reader.finish()?;
        frame.check().map_err(|_| Damage::Payload(DecodeError::NonCanonical { what: "frame", offset: 0 }))?;
        Ok(frame)
    }
}

fn decode_flush(reader: &mut Reader<'_>) -> Result<LoggedFlush, DecodeError> {
    let signed = reader.read()?;
    let count = reader.count("transactions", FLUSH_TRANSACTIONS_MAX, 1)?;
    let transaction = |_| reader.byte_string("transaction bytes", TRANSACTION_BYTES_MAX).map(<[u8]>::to_vec);
    Ok(LoggedFlush { signed, transactions: (0..count).map(transaction).collect::<Result<_, _>>()? })
}

fn head(len: u32, kind: u8) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4] = kind;
    let checksum = crc32c::crc32c(&head[..5]);
    head[5..].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// What is wrong with bytes that should be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// Length and kind do not have their checksum.
    #[error("the head of a frame does not have its checksum")]
    Head,
    /// The length is over the limit, with a good checksum.
    #[error("a frame of {0} bytes, the most is {FRAME_BYTES_MAX}")]
    Length(u32),
    /// The content does not have its checksum.
    #[error("a frame does not have its checksum")]
    Checksum,
    /// The frame's last byte is not the end.
    #[error("a frame does not end with its end byte")]
    End,
    /// A kind that this release does not know, with a good checksum.
    #[error("a frame of unknown kind {0}: written by a later release?")]
    Kind(u8),
    /// Bytes with a good checksum that are no value.
    #[error("the content of a frame does not decode: {0}")]
    Payload(#[from] DecodeError),
}

/// What stands at some place of a segment.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A frame, where it ends, and whether its group ends there too.
    Frame { frame: Box<Frame>, end: usize, ends_group: bool },
    /// The end of the bytes.
    End,
    /// What a write leaves that was cut short: good as far as it goes, then nothing or zeros until the end of the bytes.
    Torn,
    /// Something else.
    Bad(Damage),
}

/// Reads the frame at `offset`.
pub(crate) fn parse(bytes: &[u8], offset: usize) -> Parsed {
    let rest = &bytes[offset..];
    if rest.is_empty() {
        return Parsed::End;
    }
    let Some((found, behind)) = rest.split_first_chunk::<HEAD_BYTES>() else { return Parsed::Torn };
    let [l0, l1, l2, l3, kind, ..] = *found;
    let len = u32::from_le_bytes([l0, l1, l2, l3]);
    if *found != head(len, kind) {
        // A head that was cut short is followed by nothing but zeros, and ends with one itself.
        let cut = found[HEAD_BYTES - 1] == 0 && is_zero(behind);
        return if cut { Parsed::Torn } else { Parsed::Bad(Damage::Head) };
    }
    let payload_bytes = len as usize;
    if payload_bytes > FRAME_BYTES_MAX {
        return Parsed::Bad(Damage::Length(len));
    }
    if behind.len() < payload_bytes + TRAILER_BYTES {
        return Parsed::Torn;
    }
    let (content, trailer) = rest[..HEAD_BYTES + payload_bytes + TRAILER_BYTES].split_at(HEAD_BYTES + payload_bytes);
    let end = content.len() + trailer.len();
    let [c0, c1, c2, c3, end_byte] = *trailer else { unreachable!("the slice was cut to the trailer's length") };
    if end_byte == 0 && is_zero(&rest[end..]) {
        return Parsed::Torn;
    }
    if crc32c::crc32c(content) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Parsed::Bad(Damage::Checksum);
    }
    if end_byte != END {
        return Parsed::Bad(Damage::End);
    }
    match Frame::decode(kind & !GROUP_END, &content[HEAD_BYTES..]) {
        Ok(frame) => Parsed::Frame { frame: Box::new(frame), end: offset + end, ends_group: kind & GROUP_END != 0 },
        Err(damage) => Parsed::Bad(damage),
    }
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}
