//! Which frame may follow which: checked before a frame is written, and again when it is read.

use super::frame::{Cut, Frame, Opened, Revert, UNSEALED_MAX};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{BatchHeader, Flush};
use std::collections::VecDeque;
use thiserror::Error;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plane {
    pub(crate) plane_id: Digest,
    /// What the digests of flushes are bound to.
    pub(crate) chain_id: u64,
}

/// A batch that was cut, as its two marks tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutBatch {
    /// Its number.
    pub number: u64,
    /// Its generation.
    pub generation: u32,
    /// Its time.
    pub time: u64,
    /// The position behind its last transaction.
    pub position: u64,
    /// The index behind its last inbox entry.
    pub inbox: u64,
}

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
    /// The digest of the last flush of this generation; zero if there is none.
    pub prev_flush_digest: Digest,
    /// The header of the last batch that is sealed and stands; `None` before the first, and after a revert to genesis.
    pub batch: Option<BatchHeader>,
    /// The last batch that is cut and stands; `None` before the first, and after a revert to genesis.
    pub cut: Option<CutBatch>,
    /// The batches that are cut and not sealed, in order, at most [`UNSEALED_MAX`].
    pub unsealed: VecDeque<CutBatch>,
    /// The batch that is open.
    pub open: Option<Opened>,
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
    /// A flush that does not name the one before.
    #[error("the flush follows one with digest {found}, the one before it has {expected}")]
    Chain {
        /// What the flush says.
        found: Digest,
        /// What the flush before has.
        expected: Digest,
    },
    /// A batch starts while another one is open.
    #[error("batch {found} opens while batch {open} is open")]
    Open {
        /// Which batch.
        found: u64,
        /// The open one.
        open: u64,
    },
    /// A batch ends that is not open.
    #[error("batch {0} is cut and not open")]
    NotOpen(u64),
    /// A batch ends with nothing in it.
    #[error("batch {0} is cut with nothing in it")]
    EmptyBatch(u64),
    /// A batch is sealed that was not cut.
    #[error("batch {0} is sealed and not cut")]
    NotCut(u64),
    /// More batches are cut than sealed.
    #[error("batch {0} is cut while {UNSEALED_MAX} batches wait to be sealed")]
    Unsealed(u64),
    /// A time before that of the batch before.
    #[error("batch {number} has time {found}, the batch before it has {least}")]
    Time {
        /// Which batch.
        number: u64,
        /// Its time.
        found: u64,
        /// That of the batch before.
        least: u64,
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
    pub fn start() -> Self {
        Self {
            frames: 0,
            position: 0,
            inbox: 0,
            generation: 0,
            flushes: 0,
            prev_flush_digest: Digest::ZERO,
            batch: None,
            cut: None,
            unsealed: VecDeque::new(),
            open: None,
            reverts: Vec::new(),
        }
    }

    /// The number of the last batch that is sealed and stands; 0 is genesis.
    pub fn batch_number(&self) -> u64 {
        self.batch.as_ref().map_or(0, |batch| batch.number)
    }

    /// The number of the last batch that is cut and stands; 0 is genesis.
    pub fn cut_number(&self) -> u64 {
        self.cut.as_ref().map_or(0, |cut| cut.number)
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
    pub(crate) fn advance(&mut self, plane: &Plane, frame: &Frame) -> Result<(), OrderError> {
        let frames = self.frames.checked_add(1).ok_or(OrderError::Overflow("frame"))?;
        match frame {
            Frame::Flush(logged) => self.flush(plane, &logged.signed.flush, logged.transactions.len())?,
            Frame::Inbox(entries) => {
                let after = add("inbox entry", self.inbox, entries.len())?;
                for (expected, entry) in (self.inbox..after).zip(entries) {
                    next("inbox entry", entry.index, expected)?;
                }
                self.inbox = after;
            }
            Frame::Opened(opened) => self.opened(opened)?,
            Frame::Cut(cut) => self.cut(cut)?,
            Frame::Sealed(header) => self.sealed(header)?,
            Frame::Revert(revert) => self.revert(revert)?,
        }
        self.frames = frames;
        Ok(())
    }

    fn flush(&mut self, plane: &Plane, flush: &Flush, transactions: usize) -> Result<(), OrderError> {
        if flush.plane_id != plane.plane_id {
            return Err(OrderError::Plane(flush.plane_id));
        }
        next("generation", u64::from(flush.generation), u64::from(self.generation))?;
        next("flush", flush.flush, self.flushes)?;
        next("position", flush.first_position, self.position)?;
        if flush.prev_flush_digest != self.prev_flush_digest {
            return Err(OrderError::Chain { found: flush.prev_flush_digest, expected: self.prev_flush_digest });
        }
        self.position = add("position", self.position, transactions)?;
        self.flushes += 1;
        self.prev_flush_digest = flush.digest(plane.chain_id);
        Ok(())
    }

    fn opened(&mut self, opened: &Opened) -> Result<(), OrderError> {
        let number = opened.number;
        if let Some(open) = &self.open {
            return Err(OrderError::Open { found: number, open: open.number });
        }
        let (time, position, inbox) = self.cut.as_ref().map_or((0, 0, 0), |cut| (cut.time, cut.position, cut.inbox));
        next("generation", u64::from(opened.generation), u64::from(self.generation))?;
        next("batch", number, after("batch", self.cut_number())?)?;
        next("position", opened.position, position)?;
        next("inbox entry", opened.inbox, inbox)?;
        if opened.time < time {
            return Err(OrderError::Time { number, found: opened.time, least: time });
        }
        self.open = Some(*opened);
        Ok(())
    }

    fn cut(&mut self, cut: &Cut) -> Result<(), OrderError> {
        let Cut { number, position, inbox } = *cut;
        let open = self.open.as_ref().ok_or(OrderError::NotOpen(number))?;
        next("batch", number, open.number)?;
        within("position", position, open.position, self.position)?;
        within("inbox entry", inbox, open.inbox, self.inbox)?;
        if (position, inbox) == (open.position, open.inbox) {
            return Err(OrderError::EmptyBatch(number));
        }
        if self.unsealed.len() >= UNSEALED_MAX {
            return Err(OrderError::Unsealed(number));
        }
        let batch = CutBatch { number, generation: open.generation, time: open.time, position, inbox };
        self.cut = Some(batch);
        self.unsealed.push_back(batch);
        self.open = None;
        Ok(())
    }

    fn sealed(&mut self, header: &BatchHeader) -> Result<(), OrderError> {
        let cut = self.unsealed.front().ok_or(OrderError::NotCut(header.number))?;
        next("batch", header.number, cut.number)?;
        next("generation", u64::from(header.generation), u64::from(cut.generation))?;
        next("time", header.time, cut.time)?;
        next("position", header.log_upto, cut.position)?;
        next("inbox entry", header.inbox_upto, cut.inbox)?;
        self.unsealed.pop_front();
        self.batch = Some(*header);
        Ok(())
    }

    fn revert(&mut self, revert: &Revert) -> Result<(), OrderError> {
        let to = &revert.to;
        let generation = self.generation.checked_add(1).ok_or(OrderError::Overflow("generation"))?;
        next("generation", u64::from(revert.generation), u64::from(generation))?;
        within("batch", to.number, 0, self.batch_number())?;
        // Genesis has nothing in it.
        let sealed = self.batch.as_ref().filter(|_| to.number > 0);
        let (log_upto, inbox_upto) = sealed.map_or((0, 0), |batch| (batch.log_upto, batch.inbox_upto));
        within("position", to.log_upto, 0, log_upto)?;
        within("inbox entry", to.inbox_upto, 0, inbox_upto)?;
        let batch = (to.number > 0).then_some(*to);
        self.generation = generation;
        self.flushes = 0;
        self.prev_flush_digest = Digest::ZERO;
        self.position = to.log_upto;
        self.cut = batch.map(|to| CutBatch {
            number: to.number,
            generation: to.generation,
            time: to.time,
            position: to.log_upto,
            inbox: to.inbox_upto,
        });
        self.batch = batch;
        self.unsealed.clear();
        self.open = None;
        self.reverts.push((generation, to.number));
        Ok(())
    }
}

fn next(what: &'static str, found: u64, expected: u64) -> Result<(), OrderError> {
    if found == expected { Ok(()) } else { Err(OrderError::Number { what, found, expected }) }
}

fn within(what: &'static str, found: u64, least: u64, most: u64) -> Result<(), OrderError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(OrderError::Batch { what, found, least, most }) }
}

fn after(what: &'static str, number: u64) -> Result<u64, OrderError> {
    number.checked_add(1).ok_or(OrderError::Overflow(what))
}

/// Positions and indices stay below 2^63, where [`ghostplane_types::Source`] puts its flag.
fn add(what: &'static str, base: u64, more: usize) -> Result<u64, OrderError> {
    let sum = base.checked_add(more as u64).filter(|&sum| sum <= u64::MAX >> 1);
    sum.ok_or(OrderError::Overflow(what))
}
