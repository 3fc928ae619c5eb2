//! Reading frames back, checked again: the disk may have changed its mind since the log was opened.

use super::Segment;
use super::frame::{Frame, Parsed, parse};
use super::recover::{Corrupt, Corruption};
use super::segment::{self, Chain, HEADER_BYTES, Header, HeaderDamage, ParsedHeader};
use crate::disk::Disk;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// A frame and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedFrame {
    /// Counts frames over the whole log, from 0.
    pub number: u64,
    /// What it says.
    pub frame: Frame,
}

/// Why a frame cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The disk does not do what it is asked.
    #[error("reading {}: {source}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The segment is not what it was when the log was opened.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// Where a reader reads: some segments in a row, the last one up to `len`.
pub(super) struct Source {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) segments: Vec<Segment>,
    pub(super) len: u64,
}

/// Reads frames in order, up to what was durable when it was made. Holds one segment in memory.
///
/// Independent of the [`super::Log`] it came from, which may be appended to meanwhile. After an error it ends.
pub struct Reader {
    source: Source,
    /// The segment that is read next.
    next: usize,
    bytes: Vec<u8>,
    offset: usize,
    /// Where the group of the frame at `offset` starts.
    group: usize,
    frame: u64,
    /// Frames that end at or before this position are not wanted yet.
    skip_to: Option<u64>,
}

impl Reader {
    pub(super) fn new(source: Source) -> Self {
        Self { source, next: 0, bytes: Vec::new(), offset: 0, group: 0, frame: 0, skip_to: None }
    }

    pub(super) fn skip_to(mut self, position: u64) -> Self {
        self.skip_to = (position > 0).then_some(position);
        self
    }

    fn read(&mut self) -> Result<Option<LoggedFrame>, ReadError> {
        loop {
            match parse(&self.bytes, self.offset) {
                Parsed::Frame { frame, end, ends_group } => {
                    let number = self.frame;
                    (self.offset, self.frame) = (end, number + 1);
                    if ends_group {
                        self.group = end;
                    }
                    return Ok(Some(LoggedFrame { number, frame: *frame }));
                }
                Parsed::End if self.next == self.source.segments.len() => return Ok(None),
                Parsed::End => self.read_segment()?,
                Parsed::Torn => return Err(self.corrupt(self.group, Corruption::CutShort)),
                Parsed::Bad(damage) => return Err(self.corrupt(self.group, damage.into())),
            }
        }
    }

    fn read_segment(&mut self) -> Result<(), ReadError> {
        let expected = self.source.segments[self.next].header;
        self.next += 1;
        let last = self.next == self.source.segments.len();
        let name = segment::name(expected.first_frame);
        let read = self.source.disk.read(&name);
        self.bytes = read.map_err(|source| ReadError::Disk { path: self.source.disk.path(&name), source })?;
        if last {
            // Shorter than that and the loss would look like an end.
            let len = usize::try_from(self.source.len).ok().filter(|&len| len <= self.bytes.len());
            self.bytes.truncate(len.ok_or_else(|| self.corrupt(0, Corruption::Changed))?);
        }
        match Header::parse(&self.bytes) {
            ParsedHeader::Header(header) if header == expected => {}
            ParsedHeader::Header(_) => return Err(self.corrupt(0, Corruption::Changed)),
            ParsedHeader::Torn => return Err(self.corrupt(0, HeaderDamage::CutShort.into())),
            ParsedHeader::Bad(damage) => return Err(self.corrupt(0, damage.into())),
        }
        if let Some(following) = self.source.segments.get(self.next) {
            let mut chain = Chain::new();
            chain.update(&self.bytes);
            if chain.digest() != following.header.chain {
                return Err(self.corrupt(0, Corruption::Changed));
            }
        }
        (self.offset, self.group) = (HEADER_BYTES, HEADER_BYTES);
        self.frame = expected.first_frame;
        Ok(())
    }

    fn corrupt(&self, offset: usize, what: Corruption) -> ReadError {
        let at = self.next.saturating_sub(1);
        let name = segment::name(self.source.segments[at].header.first_frame);
        Corrupt { path: self.source.disk.path(&name), offset: offset as u64, what }.into()
    }

    fn is_skipped(&mut self, frame: &Frame) -> bool {
        let Some(position) = self.skip_to else { return false };
        if let Frame::Flush(logged) = frame {
            let first = logged.signed.flush.first_position;
            let holds = first < position && position <= first + logged.transactions.len() as u64;
            if holds {
                self.skip_to = None;
            }
        }
        self.skip_to.is_some()
    }
}

impl Iterator for Reader {
    type Item = Result<LoggedFrame, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(Some(logged)) if self.is_skipped(&logged.frame) => {}
                Ok(logged) => return logged.map(Ok),
                Err(error) => {
                    self.next = self.source.segments.len();
                    self.bytes.clear();
                    (self.offset, self.group) = (0, 0);
                    return Some(Err(error));
                }
            }
        }
    }
}
