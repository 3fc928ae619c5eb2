//! What can be wrong with a history, and who is.

use super::HISTORY_VERSION;
use crate::disk::is_full;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::DecodeError;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the history cannot be written or read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// Somebody has it open.
    #[error("{} is in use by another process: stop it, or choose another directory", .0.display())]
    Locked(PathBuf),
    /// The disk is full. After a write the handle is poisoned: open it again when there is room.
    #[error("no space left for {}", .0.display())]
    NoSpace(PathBuf),
    /// The database fails, or has been damaged. After a failed write the handle is poisoned.
    #[error("{}: {source}. If that stays so, remove that directory: the history is built from the log then", path.display())]
    Database {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: Box<fjall::Error>,
    },
    /// An earlier write failed. Open it again.
    #[error("an earlier write of the history failed: open it again")]
    Poisoned,
    /// Something is not what was written.
    #[error("the history in {} is damaged: {what}. Remove that directory: the history is built from the log then", path.display())]
    Corrupt {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: HistoryDamage,
    },
    /// The history of another plane.
    #[error("{} belongs to plane {found}, not to {expected}: choose another directory", path.display())]
    OtherPlane {
        /// Where.
        path: PathBuf,
        /// Whose it is.
        found: Digest,
        /// Whose it should be.
        expected: Digest,
    },
    /// A batch that does not follow. Whoever hands in batches is wrong; nothing was written.
    #[error("batch {found} cannot follow: the history is at {expected}")]
    Gap {
        /// Which batch.
        found: u64,
        /// The batch that is next.
        expected: u64,
    },
    /// Another batch of this number is kept. Revert to the batch before it first; nothing was written.
    #[error("the history keeps another batch {0}: it has to be reverted first")]
    Other(u64),
    /// A batch whose parts do not belong together. Whoever made it is wrong; nothing was written.
    #[error("batch {batch} is not kept: {what}")]
    Unsound {
        /// Which batch.
        batch: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A question whose answer would be too large. Ask for less.
    #[error("{asked} log positions asked for at a time, {limit} is the most")]
    TooMany {
        /// How many.
        asked: u64,
        /// The most.
        limit: u64,
    },
}

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HistoryDamage {
    /// Written by another release.
    #[error("it has format {0}, this release reads {HISTORY_VERSION}")]
    Version(u16),
    /// A value without its checksum.
    #[error("a value of {0} does not have its checksum")]
    Checksum(&'static str),
    /// A value that does not decode.
    #[error("a value of {of} does not decode: {source}")]
    Decode {
        /// Which keyspace.
        of: &'static str,
        /// Why.
        source: DecodeError,
    },
    /// A key that is none.
    #[error("a key of {0} has another length than such keys have")]
    Key(&'static str),
    /// A value that is not that of its key, or does not fit the header.
    #[error("a value of {0} does not fit its key or its batch")]
    Place(&'static str),
    /// Something leads to what is not there.
    #[error("it lacks {what} {of}")]
    Missing {
        /// What.
        what: &'static str,
        /// Of which kind, or where.
        of: &'static str,
    },
}

pub(super) fn failed(path: &Path, source: fjall::Error) -> HistoryError {
    let path = path.to_path_buf();
    let of_disk = |error: &io::Error| is_full(error);
    match &source {
        fjall::Error::Locked => HistoryError::Locked(path),
        fjall::Error::Poisoned => HistoryError::Poisoned,
        fjall::Error::Io(error) if of_disk(error) => HistoryError::NoSpace(path),
        fjall::Error::Storage(fjall::LsmError::Io(error)) if of_disk(error) => HistoryError::NoSpace(path),
        _ => HistoryError::Database { path, source: Box::new(source) },
    }
}
