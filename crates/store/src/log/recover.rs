//! Reading a whole log and deciding what is good, what was never acknowledged, and what is damage.

use super::frame::{Damage, Frame, Parsed, parse};
use super::order::{LogEnd, OrderError, Plane};
use super::segment::{self, Chain, HEADER_BYTES, Header, HeaderDamage, ParsedHeader};
use super::{OpenError, Segment};
use crate::disk::Disk;
use ghostplane_ghostcipher::Digest;
use std::path::PathBuf;
use thiserror::Error;

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where the log ends.
    pub end: LogEnd,
    /// How many segments there are.
    pub segments: usize,
    /// How many bytes were read and checked.
    pub bytes: u64,
    /// The tail that was never acknowledged and is gone now.
    pub cut_off: Option<CutOff>,
}

/// A tail that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// Of which file.
    pub path: PathBuf,
    /// At which byte; 0 if the file itself is gone.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Something is wrong where acknowledged records may be. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{} is damaged at byte {offset}: {what}. Restore the file from a copy, or give up everything from that byte on by repairing the log, \
     which keeps the damaged files under other names", path.display()
)]
pub struct Corrupt {
    /// Which segment.
    pub path: PathBuf,
    /// At which byte: where the segment's header or the group with the first bad frame starts.
    pub offset: u64,
    /// What is wrong there.
    pub what: Corruption,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Corruption {
    /// With the header of the segment.
    #[error(transparent)]
    Header(#[from] HeaderDamage),
    /// With a frame.
    #[error(transparent)]
    Frame(#[from] Damage),
    /// The file ends inside a frame or a group of frames, but is not the newest.
    #[error("the file ends inside a group of frames, and another one follows it")]
    CutShort,
    /// With a frame's place.
    #[error("the frame does not follow those before it: {0}")]
    Order(#[from] OrderError),
    /// A segment is not the one that was there when the log was opened.
    #[error("the file has changed since the log was opened")]
    Changed,
}

/// What a scan found.
pub(super) struct Scan {
    pub(super) segments: Vec<Segment>,
    pub(super) len: u64,
    pub(super) chain: Chain,
    pub(super) end: LogEnd,
    pub(super) bytes: u64,
    pub(super) torn: Option<Torn>,
}

impl Scan {
    /// Before anything was read.
    pub(super) fn new() -> Self {
        let (segments, chain, end) = (Vec::new(), Chain::new(), LogEnd::start());
        Self { segments, len: 0, chain, end, bytes: 0, torn: None }
    }
}

/// A tail to cut off: the segment's first frame, the byte at which it starts (0: the whole file), its length.
pub(super) struct Torn {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// The numbers of the segments' first frames, ascending. Files of other names are nobody's.
pub(super) fn segment_numbers(disk: &dyn Disk) -> Result<Vec<u64>, OpenError> {
    let names = disk.names().map_err(|source| OpenError::Disk { path: disk.path(""), source })?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads all segments. Changes nothing.
pub(super) fn scan(disk: &dyn Disk, plane: &Plane) -> Result<Scan, OpenError> {
    let mut scan = Scan::new();
    scan_into(&mut scan, disk, plane)?;
    Ok(scan)
}

/// The same; if it fails, `scan` is what is good before the damage.
pub(super) fn scan_into(scan: &mut Scan, disk: &dyn Disk, plane: &Plane) -> Result<(), OpenError> {
    let numbers = segment_numbers(disk)?;
    for (at, &number) in numbers.iter().enumerate() {
        let newest = at + 1 == numbers.len();
        let name = segment::name(number);
        let bytes = disk.read(&name).map_err(|source| OpenError::Disk { path: disk.path(&name), source })?;
        match scan_segment(scan, plane, number, &bytes) {
            Ok(None) => {}
            Ok(Some(offset)) if newest => {
                let torn_bytes = bytes.len() as u64 - offset;
                scan.torn = Some(Torn { segment: number, offset, bytes: torn_bytes });
            }
            Ok(Some(0)) => return Err(corrupt(disk, &name, 0, HeaderDamage::CutShort.into())),
            Ok(Some(offset)) => return Err(corrupt(disk, &name, offset, Corruption::CutShort)),
            Err((0, Corruption::Header(HeaderDamage::Version(found)))) => {
                return Err(OpenError::OtherVersion { path: disk.path(&name), found });
            }
            // One foreign segment among our own is damage; a foreign first one is a wrong directory.
            Err((0, Corruption::Header(HeaderDamage::Plane(found)))) if at == 0 => {
                return Err(OpenError::OtherPlane { path: disk.path(&name), found, expected: plane.plane_id });
            }
            Err((offset, what)) => return Err(corrupt(disk, &name, offset, what)),
        }
    }
    Ok(())
}

fn corrupt(disk: &dyn Disk, name: &str, offset: u64, what: Corruption) -> OpenError {
    Corrupt { path: disk.path(name), offset, what }.into()
}

/// Reads one segment. Returns where its torn tail starts, if it has one; or where it is damaged, and how.
fn scan_segment(scan: &mut Scan, plane: &Plane, number: u64, bytes: &[u8]) -> Result<Option<u64>, (u64, Corruption)> {
    let header = match Header::parse(bytes) {
        ParsedHeader::Header(header) => header,
        ParsedHeader::Torn => return Ok(Some(0)),
        ParsedHeader::Bad(damage) => return Err((0, damage.into())),
    };
    let chain = if scan.segments.is_empty() { Digest::ZERO } else { scan.chain.digest() };
    let expected =
        Header { plane_id: plane.plane_id, first_frame: scan.end.frames, position: scan.end.position, chain };
    header.check(number, &expected).map_err(|damage| (0, damage.into()))?;
    scan.segments.push(Segment { header, inbox: scan.end.inbox });

    let mut offset = HEADER_BYTES;
    // Where the group starts, and its frames up to here: they count when the last one is there.
    let mut start = HEADER_BYTES;
    let mut group: Vec<Frame> = Vec::new();
    let torn = loop {
        let at = start as u64;
        match parse(bytes, offset) {
            Parsed::Frame { frame, end, ends_group } => {
                group.push(*frame);
                offset = end;
                if ends_group {
                    // A group counts as a whole or not at all.
                    let mut after = scan.end.clone();
                    for frame in group.drain(..) {
                        after.advance(plane, &frame).map_err(|order| (at, order.into()))?;
                    }
                    scan.end = after;
                    start = end;
                }
            }
            Parsed::End if group.is_empty() => break None,
            Parsed::End | Parsed::Torn => break Some(at),
            Parsed::Bad(damage) => return Err((at, damage.into())),
        }
    };
    scan.len = start as u64;
    scan.bytes += start as u64;
    scan.chain = Chain::new();
    scan.chain.update(&bytes[..start]);
    Ok(torn)
}
