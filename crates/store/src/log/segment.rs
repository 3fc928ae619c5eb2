//! Segments: the files of the log.
//!
//! A segment is named by the number of its first frame, 20 digits and `.log`. It starts with a header:
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 8 | `GHPLLOG` and a zero byte |
//! | 8 | 2 | format version, `u16`: 1 |
//! | 10 | 32 | plane id |
//! | 42 | 8 | number of its first frame, `u64`: frames are counted over the whole log, from 0 |
//! | 50 | 8 | the log position that is next at its start, `u64` |
//! | 58 | 32 | chain: the digest of the segment before, zero for the first |
//! | 90 | 4 | CRC-32C of all bytes before |
//! | 94 | 1 | `0xe5`, the end |
//!
//! The digest of a segment is BLAKE3, in its key derivation mode under [`CHAIN_CONTEXT`], over the whole file. As the header
//! holds the chain, the digest covers every segment before.

use super::frame::is_zero;
use ghostplane_ghostcipher::Digest;
use thiserror::Error;

/// Names the digest of a segment.
pub const CHAIN_CONTEXT: &str = "ghostplane log segment 1";
/// Version of the log's format.
pub const LOG_VERSION: u16 = 1;

pub(crate) const HEADER_BYTES: usize = 95;
const MAGIC: [u8; 8] = *b"GHPLLOG\0";
const END: u8 = 0xe5;
const SUFFIX: &str = ".log";
const NAME_DIGITS: usize = 20;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) plane_id: Digest,
    pub(crate) first_frame: u64,
    pub(crate) position: u64,
    pub(crate) chain: Digest,
}

/// What is wrong with the header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderDamage {
    /// The file ends inside it.
    #[error("the file ends inside the segment's header")]
    CutShort,
    /// Another kind of file.
    #[error("the file does not start as a segment of a log")]
    Magic,
    /// It does not have its checksum.
    #[error("the segment's header does not have its checksum")]
    Checksum,
    /// A format of another release.
    #[error("the segment has format {0}, this release reads {LOG_VERSION}")]
    Version(u16),
    /// The log of another plane.
    #[error("the segment belongs to plane {0}")]
    Plane(Digest),
    /// The file's name says something else.
    #[error("the segment starts with frame {found}, its name says {named}")]
    Name {
        /// What the header says.
        found: u64,
        /// What the name says.
        named: u64,
    },
    /// Frames are missing between this segment and the one before, or there twice.
    #[error("the segment starts with frame {found} where {expected} is next: a segment is missing or of another log")]
    Gap {
        /// What the header says.
        found: u64,
        /// What the segments before lead to.
        expected: u64,
    },
    /// It counts transactions differently.
    #[error("the segment starts at position {found} where {expected} is next")]
    Position {
        /// What the header says.
        found: u64,
        /// What the segments before lead to.
        expected: u64,
    },
    /// It follows another segment than the one before it.
    #[error("the segment follows one with digest {found}, the one before it has {expected}")]
    Chain {
        /// What the header says.
        found: Digest,
        /// What the segment before has.
        expected: Digest,
    },
}

/// What stands at the start of a segment.
pub(crate) enum ParsedHeader {
    Header(Header),
    /// Creating the segment was cut short.
    Torn,
    Bad(HeaderDamage),
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&LOG_VERSION.to_le_bytes());
        bytes[10..42].copy_from_slice(self.plane_id.as_bytes());
        bytes[42..50].copy_from_slice(&self.first_frame.to_le_bytes());
        bytes[50..58].copy_from_slice(&self.position.to_le_bytes());
        bytes[58..90].copy_from_slice(self.chain.as_bytes());
        let checksum = crc32c::crc32c(&bytes[..90]);
        bytes[90..94].copy_from_slice(&checksum.to_le_bytes());
        bytes[94] = END;
        bytes
    }

    /// Reads the header of a segment.
    pub(crate) fn parse(bytes: &[u8]) -> ParsedHeader {
        let Some((found, behind)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return ParsedHeader::Torn };
        if found[HEADER_BYTES - 1] == 0 && is_zero(behind) {
            return ParsedHeader::Torn;
        }
        if found[..8] != MAGIC {
            return ParsedHeader::Bad(HeaderDamage::Magic);
        }
        if crc32c::crc32c(&found[..90]).to_le_bytes() != found[90..94] || found[94] != END {
            return ParsedHeader::Bad(HeaderDamage::Checksum);
        }
        let version = u16::from_le_bytes(array(found, 8));
        if version != LOG_VERSION {
            return ParsedHeader::Bad(HeaderDamage::Version(version));
        }
        ParsedHeader::Header(Self {
            plane_id: Digest(array(found, 10)),
            first_frame: u64::from_le_bytes(array(found, 42)),
            position: u64::from_le_bytes(array(found, 50)),
            chain: Digest(array(found, 58)),
        })
    }

    /// Whether the segment is the one `named`, and the one that `expected` describes.
    pub(crate) fn check(&self, named: u64, expected: &Self) -> Result<(), HeaderDamage> {
        if self.plane_id != expected.plane_id {
            return Err(HeaderDamage::Plane(self.plane_id));
        }
        if self.first_frame != named {
            return Err(HeaderDamage::Name { found: self.first_frame, named });
        }
        if self.first_frame != expected.first_frame {
            return Err(HeaderDamage::Gap { found: self.first_frame, expected: expected.first_frame });
        }
        if self.chain != expected.chain {
            return Err(HeaderDamage::Chain { found: self.chain, expected: expected.chain });
        }
        if self.position != expected.position {
            return Err(HeaderDamage::Position { found: self.position, expected: expected.position });
        }
        Ok(())
    }
}

fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("all fields are inside the header")
}

/// The name of the segment that starts with frame `first_frame`.
pub(crate) fn name(first_frame: u64) -> String {
    format!("{first_frame:0width$}{SUFFIX}", width = NAME_DIGITS)
}

/// The number of the first frame of the segment with this name; `None` if it is no segment's name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == NAME_DIGITS)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The digest of a segment, worked out while it grows.
#[derive(Clone, Debug)]
pub(crate) struct Chain(Box<blake3::Hasher>);

impl Chain {
    pub(crate) fn new() -> Self {
        Self(Box::new(blake3::Hasher::new_derive_key(CHAIN_CONTEXT)))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}
