//! The transaction log: append-only, checksummed, one durable write for each group. It is the truth; all else can be rebuilt.
//!
//! # Files
//!
//! `DIR/lock` is locked by the process that has the log open. `DIR/log/` holds the segments, about 64 MiB each, described in
//! [`segment`]; behind a segment's header follow [`frame`]s until the end of the file, with nothing between. A new segment
//! begins when the last one is full, between two groups, never inside one. Segments are never changed, only added to.
//!
//! # What the node writes
//!
//! One group for each append of the sequencer: the inbox entries and transactions that were taken, then the marks that say
//! where batches open and end in them. Marks follow what they mark, so that reading from a position on meets them all. What
//! came of a batch is written when it is sealed, which may be many groups later. A batch that was cut and not sealed, and the
//! one that is open, are in the log with all that executing them again needs, so that a start makes the same batches of them.
//!
//! # What is durable
//!
//! [`Log::append`] writes all frames of a group with one write and syncs once. When it answers, the group survives a power
//! cut. A group of which it did not answer is there whole or not at all: its last frame says that it is the last, and a group
//! without it is cut off. The first failed write or sync ends the handle: what the disk holds is unknown then. The log tries to take the group
//! back, and answers [`AppendError::Poisoned`] from then on. Open it again, which reads what is there.
//!
//! On a full disk that is [`AppendError::NoSpace`]. Opening needs no room, so that the node can start, serve what it has and
//! say what is wrong; appending goes on when there is room.
//!
//! # What opening does
//!
//! Every segment is read from the first to the last. For each: name, header, chain, checksums, decoding, and that each frame
//! may follow the one before ([`OrderError`]).
//!
//! **A tail that was never acknowledged is cut off**, in the newest segment only, back to the end of the last group: frames of
//! a group whose last one is not there, and bytes that start a frame and end with the file before the frame does, or that are
//! zero from some byte inside the frame to the end of the file. That is what a write leaves behind that was cut short. A newest segment whose header is cut short in this way is removed. What was cut off is
//! told in [`Recovery::cut_off`].
//!
//! **Anything else stops the node** with [`Corrupt`], which names file, offset and reason: a whole frame without its checksum,
//! other bytes behind a bad frame than zeros, any damage in a segment that is not the newest, a missing segment, a wrong chain
//! value, a frame that does not follow. An acknowledged record may be damaged then, and only a person can decide what to do:
//! restore the file from a copy or a follower, or give up what is behind the offset with [`repair()`], which keeps the damaged
//! files under other names. The node never does that by itself.
//!
//! Damage that looks exactly like a write cut short cannot be told from one: an acknowledged tail that somebody cut off or
//! zeroed. What the node published notices that: a checkpoint ahead of the log ([`NotInLog::Ahead`]), a commitment on the L1.

pub mod frame;
mod order;
mod read;
mod recover;
mod repair;
mod replay;
pub mod segment;
#[cfg(test)]
mod tests;

pub use frame::{Cut, Damage, FRAME_BYTES_MAX, Frame, FrameError, LoggedFlush, Opened, Revert, UNSEALED_MAX};
pub use order::{CutBatch, LogEnd, NotInLog, OrderError};
pub use read::{LoggedFrame, ReadError, Reader};
pub use recover::{Corrupt, Corruption, CutOff, Recovery};
pub use repair::{Examined, RepairError, Repaired, examine, repair};
pub use replay::{LoggedBatch, Replay, ReplayError, Rest};
pub use segment::HeaderDamage;

use crate::disk::{Directory, Disk, is_full, sync_directory};
use crate::lock::DirectoryLock;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::BatchHeader;
use order::Plane;
use recover::scan;
use segment::{Chain, Header};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Bytes of one group of frames.
pub const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A segment of this many bytes is full.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

const _: () = {
    assert!(FRAME_BYTES_MAX + 64 <= GROUP_BYTES_MAX, "a frame of any size is a group");
    assert!(GROUP_BYTES_MAX as u64 <= SEGMENT_BYTES);
};

/// The open log: the one handle in the world that writes to its directory.
pub struct Log {
    disk: Arc<dyn Disk>,
    plane: Plane,
    segment_bytes: u64,
    /// Every segment, the one that grows last.
    segments: Vec<Segment>,
    /// Of the last segment.
    len: u64,
    chain: Chain,
    end: LogEnd,
    poisoned: bool,
    group: Vec<u8>,
    /// Held until the handle is gone.
    lock: Option<DirectoryLock>,
}

/// A segment as it was found or made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) header: Header,
    /// The inbox entry that is next at its start.
    pub(crate) inbox: u64,
}

/// What one call of [`Log::append`] added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The number of the group's first frame.
    pub first_frame: u64,
    /// The log position that is next.
    pub position: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Why a log does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Somebody has it open.
    #[error("{} is in use by another process: stop it, or choose another directory", .0.display())]
    Locked(PathBuf),
    /// The log of another plane.
    #[error("{} belongs to plane {found}, not to {expected}: choose another directory", path.display())]
    OtherPlane {
        /// The segment that says so.
        path: PathBuf,
        /// Whose it is.
        found: Digest,
        /// Whose it should be.
        expected: Digest,
    },
    /// A format of another release.
    #[error("{} has log format {found}, this release reads {}: use the release that wrote it", path.display(), segment::LOG_VERSION)]
    OtherVersion {
        /// The segment that says so.
        path: PathBuf,
        /// Which format.
        found: u16,
    },
    /// Something is wrong before the tail.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The disk has no room for the first segment of a new log.
    #[error("no space left in {}", .0.display())]
    NoSpace(PathBuf),
    /// The disk does not do what it is asked.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// Why nothing was appended.
#[derive(Debug, Error)]
pub enum AppendError {
    /// A frame cannot be written as it is. The handle is as good as before.
    #[error("frame {at} of the group: {source}")]
    Frame {
        /// Which of the group, from 0.
        at: usize,
        /// Why.
        source: FrameError,
    },
    /// A frame does not follow what is before it. The handle is as good as before.
    #[error("frame {at} of the group: {source}")]
    Order {
        /// Which of the group, from 0.
        at: usize,
        /// Why.
        source: OrderError,
    },
    /// The group is too large. The handle is as good as before.
    #[error("a group of {found} bytes, the most is {GROUP_BYTES_MAX}")]
    TooLarge {
        /// How many bytes.
        found: usize,
    },
    /// The disk is full. The handle is poisoned: [`Log::reopen`] when there is room.
    #[error("no space left for {}: make room, then start again", .0.display())]
    NoSpace(PathBuf),
    /// The disk failed. The handle is poisoned: [`Log::reopen`] to see what is there.
    #[error("writing {}: {source}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// An earlier call failed: [`Log::reopen`].
    #[error("an earlier write to the log failed: open it again")]
    Poisoned,
}

impl Log {
    /// Opens the log of a plane in `dir`, or starts it. Cuts off what was never acknowledged, and touches nothing else.
    ///
    /// The chain is what the digests are bound to by which one flush names another.
    pub fn open(dir: &Path, plane_id: Digest, chain_id: u64) -> Result<(Self, Recovery), OpenError> {
        let (path, lock) = enter(dir)?;
        Self::open_on(Arc::new(Directory::new(&path)), Plane { plane_id, chain_id }, SEGMENT_BYTES, Some(lock))
    }

    /// Opens the log again after a failed [`Self::append`], without letting go of the directory. All of it is read.
    ///
    /// What the failed call may have left behind is taken back first: a disk that failed to make it durable once may claim the
    /// next time that it is. On an error the handle is gone and the directory let go.
    pub fn reopen(self) -> Result<(Self, Recovery), OpenError> {
        let name = self.newest();
        let taken_back = self.disk.truncate(&name, self.len).and_then(|()| self.disk.sync(&name));
        taken_back.map_err(|error| open_failed(&*self.disk, &name, error))?;
        Self::open_on(self.disk, self.plane, self.segment_bytes, self.lock)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        plane: Plane,
        segment_bytes: u64,
        lock: Option<DirectoryLock>,
    ) -> Result<(Self, Recovery), OpenError> {
        let scan = scan(&*disk, &plane)?;
        let group = Vec::new();
        let mut log = Self {
            segments: scan.segments,
            len: scan.len,
            chain: scan.chain,
            end: scan.end,
            poisoned: false,
            disk,
            plane,
            segment_bytes,
            group,
            lock,
        };
        let cut_off = log.settle(scan.torn)?;
        let recovery = Recovery { end: log.end.clone(), segments: log.segments.len(), bytes: scan.bytes, cut_off };
        Ok((log, recovery))
    }

    /// Cuts off the torn tail, and makes durable what has been read: it may have been in the cache of a killed process only.
    fn settle(&mut self, torn: Option<recover::Torn>) -> Result<Option<CutOff>, OpenError> {
        let disk = Arc::clone(&self.disk);
        let mut cut_off = None;
        if let Some(torn) = torn {
            let name = segment::name(torn.segment);
            let cut = if torn.offset == 0 { disk.remove(&name) } else { disk.truncate(&name, torn.offset) };
            cut.map_err(|error| open_failed(&*disk, &name, error))?;
            cut_off = Some(CutOff { path: disk.path(&name), offset: torn.offset, bytes: torn.bytes });
        }
        match self.segments.last().map(|last| segment::name(last.header.first_frame)) {
            Some(newest) => disk.sync(&newest).map_err(|error| open_failed(&*disk, &newest, error))?,
            None => {
                let name = segment::name(0);
                self.begin_segment().map_err(|error| open_failed(&*disk, &name, error))?;
            }
        }
        disk.sync_names().map_err(|error| open_failed(&*disk, "", error))?;
        Ok(cut_off)
    }

    /// Where the log ends.
    pub fn end(&self) -> &LogEnd {
        &self.end
    }

    /// Adds a group of frames and makes it durable, all of it or nothing. No frames are no group: nothing happens.
    pub fn append(&mut self, frames: &[Frame]) -> Result<Appended, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let mut end = self.end.clone();
        self.group.clear();
        for (at, frame) in frames.iter().enumerate() {
            end.advance(&self.plane, frame).map_err(|source| AppendError::Order { at, source })?;
            let last = at + 1 == frames.len();
            frame.write(&mut self.group, last).map_err(|source| AppendError::Frame { at, source })?;
            if self.group.len() > GROUP_BYTES_MAX {
                return Err(AppendError::TooLarge { found: self.group.len() });
            }
        }
        let first_frame = self.end.frames;
        if !frames.is_empty() {
            if self.len >= self.segment_bytes {
                let name = segment::name(first_frame);
                self.begin_segment().map_err(|error| self.poison(&name, error))?;
            }
            self.write_group()?;
            self.end = end;
        }
        Ok(Appended { first_frame, position: self.end.position, bytes: self.group.len() as u64 })
    }

    fn write_group(&mut self) -> Result<(), AppendError> {
        let name = self.newest();
        let written = self.disk.append(&name, &self.group).and_then(|()| self.disk.sync(&name));
        if let Err(error) = written {
            // Best effort, so that what the caller was told to have failed is not there after all. If it fails too, opening
            // finds whole frames, or a tail that it cuts off.
            let _ = self.disk.truncate(&name, self.len).and_then(|()| self.disk.sync(&name));
            return Err(self.poison(&name, error));
        }
        self.len += self.group.len() as u64;
        self.chain.update(&self.group);
        Ok(())
    }

    /// Starts the next segment and makes its name durable.
    fn begin_segment(&mut self) -> io::Result<()> {
        let chain = if self.segments.is_empty() { Digest::ZERO } else { self.chain.digest() };
        let (first_frame, position) = (self.end.frames, self.end.position);
        let header = Header { plane_id: self.plane.plane_id, first_frame, position, chain };
        let name = segment::name(first_frame);
        let bytes = header.to_bytes();
        let begun = self
            .disk
            .create(&name)
            .and_then(|()| self.disk.append(&name, &bytes))
            .and_then(|()| self.disk.sync(&name))
            .and_then(|()| self.disk.sync_names());
        if let Err(error) = begun {
            // Best effort again: a segment with half a header is removed when the log is opened.
            let _ = self.disk.remove(&name);
            return Err(error);
        }
        self.segments.push(Segment { header, inbox: self.end.inbox });
        self.len = bytes.len() as u64;
        self.chain = Chain::new();
        self.chain.update(&bytes);
        Ok(())
    }

    fn newest(&self) -> String {
        segment::name(self.segments.last().expect("an open log has a segment").header.first_frame)
    }

    fn poison(&mut self, name: &str, source: io::Error) -> AppendError {
        self.poisoned = true;
        let path = self.disk.path(name);
        if is_full(&source) { AppendError::NoSpace(path) } else { AppendError::Disk { path, source } }
    }

    /// Reads the frames that are in the log now, from the flush that holds `position - 1`, or from the very first for 0.
    ///
    /// So everything that can depend on `position` or a later one follows; what else comes along, the caller skips.
    /// A position beyond the end stands for the end.
    pub fn reader(&self, position: u64) -> Reader {
        let position = position.min(self.end.position);
        Reader::new(self.source(position, u64::MAX)).skip_to(position)
    }

    /// Reads the batches that follow `after`, were cut and stand, for executing them again. [`BatchHeader::genesis`] for all.
    ///
    /// [`ReplayError::NotInLog`] if that header is not one of the log's, from here or from the first call of `next`.
    pub fn replay(&self, after: &BatchHeader) -> Result<Replay, NotInLog> {
        self.end.holds(after)?;
        let source = self.source(after.log_upto, after.inbox_upto);
        Ok(Replay::new(Reader::new(source), *after, self.end.reverts.clone()))
    }

    /// The segments from the last one that begins before both.
    ///
    /// At the start of such a segment the position before `position` was not in the log, or has been voided since. So the
    /// flush that holds it now, and whatever came after that, is in this segment or a later one: the marks of the batch that
    /// ends there, its header, and the batches that follow it.
    fn source(&self, position: u64, inbox: u64) -> read::Source {
        let before = |segment: &Segment| segment.header.position < position && segment.inbox <= inbox;
        let from = self.segments.iter().rposition(before).unwrap_or(0);
        read::Source { disk: Arc::clone(&self.disk), segments: self.segments[from..].to_vec(), len: self.len }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("end", &self.end).field("poisoned", &self.poisoned).finish_non_exhaustive()
    }
}

/// How many bytes still fit on the disk that holds `dir`, for a user without privileges.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Makes `dir` and its log directory, and locks it. Returns where the segments are.
fn enter(dir: &Path) -> Result<(PathBuf, DirectoryLock), OpenError> {
    let segments = dir.join("log");
    let failed = |source| match is_full(&source) {
        true => OpenError::NoSpace(dir.to_path_buf()),
        false => OpenError::Disk { path: dir.to_path_buf(), source },
    };
    std::fs::create_dir_all(&segments).map_err(failed)?;
    let lock = DirectoryLock::acquire(dir).map_err(failed)?;
    let lock = lock.ok_or_else(|| OpenError::Locked(dir.to_path_buf()))?;
    sync_directory(dir).map_err(failed)?;
    Ok((segments, lock))
}

fn open_failed(disk: &dyn Disk, name: &str, source: io::Error) -> OpenError {
    let path = disk.path(name);
    if is_full(&source) { OpenError::NoSpace(path) } else { OpenError::Disk { path, source } }
}
