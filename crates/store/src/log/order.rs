//! Which frame may follow which: checked before a frame is written, and again when it is read.

use super::frame::Frame;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::BatchHeader;
use thiserror::Error;

/// Where a log ends: everything that decides what may come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// Frames in the log: the number of the next one.
    pub frames: u64,
    /// Transactions in the log that stand: the position of the next one.
    pub position: u64,
    /// Inbox entries in the log: the index of the next one.
    pub inbox: u64,
    /// The generation the plane is in.
    pub generation: u32,
    /// Flushes of this generation: the number of the next one.
    pub flushes: u64,
    /// The header of the last batch that stands; `None` before the first, and after a revert to genesis.
    pub batch: Option<BatchHeader>,
    /// Every revert so far, in order: the generation that began and the last batch that stood.
    pub reverts: Vec<(u32, u64)>,
}

/// How a frame does not follow what is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OrderError {
    /// Another plane's.
    #[error("the flush belongs to plane {0}")]
    Plane(Digest),
    /// A number that does not continue.
    #[error("{what} {found} where {expected} is next")]
    Number {
        /// Of what.
        what: &'static str,
        /// What the frame says.
        found: u64,
        /// What comes next.
        expected: u64,
    },
    /// A batch that holds what is not in the log, or gives back what an earlier one holds.
    #[error("a batch up to {what} {found}, it can be from {least} to {most}")]
    Batch {
        /// Of what.
        what: &'static str,
        /// What the frame says.
        found: u64,
        /// What the batch before holds.
        least: u64,
        /// What the log holds.
        most: u64,
    },
    /// A number that does not fit.
    #[error("{0} over the largest number")]
    Overflow(&'static str),
}

/// Why a batch is not part of what the log says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotInLog {
    /// The log ends before it.
    #[error("batch {batch} is ahead of the log, which ends with batch {log}")]
    Ahead {
        /// Which batch.
        batch: u64,
        /// The last batch of the log.
        log: u64,
    },
    /// It was reverted.
    #[error("batch {batch} of generation {generation} was reverted: generation {next} goes on from batch {stands}")]
    Reverted {
        /// Which batch.
        batch: u64,
        /// Its generation.
        generation: u32,
        /// The generation that began.
        next: u32,
        /// The last batch that stood.
        stands: u64,
    },
    /// The log has another batch of this number.
    #[error("the log has another batch {batch}")]
    Other {
        /// Which batch.
        batch: u64,
    },
}

impl LogEnd {
    /// The end of an empty log.
    pub(crate) fn start() -> Self {
        Self { frames: 0, position: 0, inbox: 0, generation: 0, flushes: 0, batch: None, reverts: Vec::new() }
    }

    /// The number of the last batch that stands; 0 is genesis.
    pub fn batch_number(&self) -> u64 {
        self.batch.as_ref().map_or(0, |batch| batch.number)
    }

    /// Whether a batch can be one that the log holds and that stands, going by its numbers.
    ///
    /// What was checked here and is still another batch is found by [`super::Log::replay`].
    pub fn holds(&self, header: &BatchHeader) -> Result<(), NotInLog> {
        let batch = header.number;
        if batch > self.batch_number() {
            // A batch that was reverted is told as such below, even when it lies beyond the end that came of it.
            let log = self.batch_number();
            return Err(self.reverted(header).unwrap_or(NotInLog::Ahead { batch, log }));
        }
        match self.reverted(header) {
            Some(reverted) => Err(reverted),
            None if header.generation > self.generation => Err(NotInLog::Other { batch }),
            None => Ok(()),
        }
    }

    fn reverted(&self, header: &BatchHeader) -> Option<NotInLog> {
        let (batch, generation) = (header.number, header.generation);
        let voids = |&&(next, stands): &&(u32, u64)| next > generation && batch > stands;
        let &(next, stands) = self.reverts.iter().find(voids)?;
        Some(NotInLog::Reverted { batch, generation, next, stands })
    }

    /// Takes one more frame. On an error nothing has changed.
    pub(crate) fn advance(&mut self, plane_id: &Digest, frame: &Frame) -> Result<(), OrderError> {
        let frames = self.frames.checked_add(1).ok_or(OrderError::Overflow("frame"))?;
        match frame {
            Frame::Flush(logged) => {
                let flush = &logged.signed.flush;
                if flush.plane_id != *plane_id {
                    return Err(OrderError::Plane(flush.plane_id));
                }
                next("generation", u64::from(flush.generation), u64::from(self.generation))?;
                next("flush", flush.flush, self.flushes)?;
                next("position", flush.first_position, self.position)?;
                self.position = add("position", self.position, logged.transactions.len())?;
                self.flushes += 1;
            }
            Frame::Inbox(entries) => {
                let after = add("inbox entry", self.inbox, entries.len())?;
                for (expected, entry) in (self.inbox..after).zip(entries) {
                    next("inbox entry", entry.index, expected)?;
                }
                self.inbox = after;
            }
            Frame::Cut(header) => {
                next("generation", u64::from(header.generation), u64::from(self.generation))?;
                next("batch", header.number, self.batch_number() + 1)?;
                let (log_upto, inbox_upto) =
                    self.batch.as_ref().map_or((0, 0), |batch| (batch.log_upto, batch.inbox_upto));
                within("position", header.log_upto, log_upto, self.position)?;
                within("inbox entry", header.inbox_upto, inbox_upto, self.inbox)?;
                self.batch = Some(*header);
            }
            Frame::Revert(revert) => {
                let next_generation = self.generation.checked_add(1).ok_or(OrderError::Overflow("generation"))?;
                next("generation", u64::from(revert.generation), u64::from(next_generation))?;
                within("batch", revert.to.number, 0, self.batch_number())?;
                let (log_upto, inbox_upto) =
                    self.batch.as_ref().map_or((0, 0), |batch| (batch.log_upto, batch.inbox_upto));
                within("position", revert.to.log_upto, 0, log_upto)?;
                within("inbox entry", revert.to.inbox_upto, 0, inbox_upto)?;
                self.generation = next_generation;
                self.flushes = 0;
                self.position = revert.to.log_upto;
                self.batch = (revert.to.number > 0).then_some(revert.to);
                self.reverts.push((next_generation, revert.to.number));
            }
        }
        self.frames = frames;
        Ok(())
    }
}

fn next(what: &'static str, found: u64, expected: u64) -> Result<(), OrderError> {
    if found == expected { Ok(()) } else { Err(OrderError::Number { what, found, expected }) }
}

fn within(what: &'static str, found: u64, least: u64, most: u64) -> Result<(), OrderError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(OrderError::Batch { what, found, least, most }) }
}

/// Positions and indices stay below 2^63, where [`ghostplane_types::Source`] puts its flag.
fn add(what: &'static str, base: u64, more: usize) -> Result<u64, OrderError> {
    let sum = base.checked_add(more as u64).filter(|&sum| sum <= u64::MAX >> 1);
    sum.ok_or(OrderError::Overflow(what))
}
