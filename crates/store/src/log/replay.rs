//! The batches of a log that stand, each with all that executing it again needs.

use super::frame::{Cut, Frame, Opened, UNSEALED_MAX};
use super::order::NotInLog;
use super::read::{ReadError, Reader};
use ghostplane_types::{BatchHeader, InboxEntry};
use std::collections::VecDeque;
use thiserror::Error;

/// A batch as it was cut, and what went into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedBatch {
    /// How it started: what the execution needs to know beside its content.
    pub opened: Opened,
    /// The inbox entries it consumed, in order.
    pub inbox: Vec<InboxEntry>,
    /// Its encoded transactions, in the order of their positions.
    pub transactions: Vec<Vec<u8>>,
    /// What came out, to compare with; `None` if the log ends before the batch was sealed.
    pub header: Option<BatchHeader>,
}

/// What is in the log behind the last cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// The batch that was open; all that follows belongs to it.
    pub open: Option<Opened>,
    /// The position of the first transaction.
    pub position: u64,
    /// Encoded transactions, in the order of their positions.
    pub transactions: Vec<Vec<u8>>,
    /// Inbox entries, in order. After a revert also those that were consumed by batches that do not stand.
    pub inbox: Vec<InboxEntry>,
}

/// Why a batch cannot be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The batch to go on from is not the log's.
    #[error(transparent)]
    NotInLog(#[from] NotInLog),
    /// A batch names more than the frames before it hold.
    #[error("batch {batch} names transactions or inbox entries that are not in the log before it")]
    Incomplete {
        /// Which batch.
        batch: u64,
    },
}

/// Reads the batches that follow one header, leaving out those that were reverted. Made by [`super::Log::replay`].
///
/// A batch comes once it is known whether it was sealed: with the frame that says so, or at the end of the log. So this holds
/// the content of at most [`UNSEALED_MAX`] batches and of the open one; while it passes reverted batches, also theirs.
pub struct Replay {
    reader: Reader,
    reverts: Vec<(u32, u64)>,
    /// The header to go on from.
    after: BatchHeader,
    /// Whether its frame has been passed; genesis has none.
    started: bool,
    ended: bool,
    /// The batch that is open here, if it stands.
    open: Option<Opened>,
    /// Batches that stand, are cut, and whose header has not come yet.
    unsealed: VecDeque<(Opened, Cut)>,
    rest: Pool,
}

/// What has been read and is in no batch that was handed out, from one position and one inbox entry on.
#[derive(Default)]
struct Pool {
    position: u64,
    transactions: VecDeque<Vec<u8>>,
    inbox_index: u64,
    inbox: VecDeque<InboxEntry>,
}

impl Replay {
    pub(super) fn new(reader: Reader, after: BatchHeader, reverts: Vec<(u32, u64)>) -> Self {
        let rest = Pool { position: after.log_upto, inbox_index: after.inbox_upto, ..Pool::default() };
        let (open, unsealed) = (None, VecDeque::new());
        Self { reader, reverts, after, started: after.number == 0, ended: false, open, unsealed, rest }
    }

    /// What is left once all batches have been read.
    pub fn rest(self) -> Rest {
        let Pool { position, transactions, inbox, .. } = self.rest;
        Rest { open: self.open, position, transactions: transactions.into(), inbox: inbox.into() }
    }

    fn read(&mut self) -> Result<Option<LoggedBatch>, ReplayError> {
        while let Some(logged) = self.reader.next() {
            match logged?.frame {
                Frame::Flush(flush) => self.rest.add(flush.signed.flush.first_position, flush.transactions),
                Frame::Inbox(entries) => {
                    let known = self.rest.inbox_index;
                    self.rest.inbox.extend(entries.into_iter().filter(|entry| entry.index >= known));
                }
                Frame::Revert(revert) => self.rest.forget(revert.to.log_upto),
                Frame::Opened(opened) => {
                    let follows = opened.number > self.after.number && !self.is_void(opened.generation, opened.number);
                    self.open = follows.then_some(opened);
                }
                Frame::Cut(cut) => self.cut(cut)?,
                Frame::Sealed(header) if self.is_void(header.generation, header.number) => {}
                Frame::Sealed(header) if self.started => {
                    let batch = header.number;
                    let marks = self.unsealed.pop_front().filter(|(opened, _)| opened.number == batch);
                    let marks = marks.ok_or(ReplayError::Incomplete { batch })?;
                    return self.rest.take(marks, Some(header)).map(Some);
                }
                Frame::Sealed(header) if header.number >= self.after.number => {
                    // Batches are sealed in order: another header here is the one that the log has in this one's place.
                    self.started = header == self.after;
                    if !self.started {
                        break;
                    }
                }
                Frame::Sealed(_) => {}
            }
        }
        if !self.started {
            return Err(NotInLog::Other { batch: self.after.number }.into());
        }
        self.unsealed.pop_front().map(|marks| self.rest.take(marks, None)).transpose()
    }

    /// Holds the marks of a batch back until its header is there. Those of a batch that does not follow or stand are skipped.
    fn cut(&mut self, cut: Cut) -> Result<(), ReplayError> {
        if let Some(opened) = self.open.take_if(|opened| opened.number == cut.number) {
            if self.unsealed.len() == UNSEALED_MAX {
                return Err(ReplayError::Incomplete { batch: cut.number });
            }
            self.unsealed.push_back((opened, cut));
        }
        Ok(())
    }

    fn is_void(&self, generation: u32, number: u64) -> bool {
        self.reverts.iter().any(|&(next, stands)| next > generation && number > stands)
    }
}

impl Pool {
    /// Adds transactions that start at `first`; those before the pool are in a batch already.
    fn add(&mut self, first: u64, transactions: Vec<Vec<u8>>) {
        let known = self.position.saturating_sub(first);
        self.transactions.extend((0..).zip(transactions).filter(|&(at, _)| at >= known).map(|(_, bytes)| bytes));
    }

    /// Takes back transactions from `position` on. What is before the pool stands: it is in a batch that does.
    fn forget(&mut self, position: u64) {
        let kept = usize::try_from(position.saturating_sub(self.position)).unwrap_or(usize::MAX);
        self.transactions.truncate(kept);
    }

    fn take(&mut self, (opened, cut): (Opened, Cut), header: Option<BatchHeader>) -> Result<LoggedBatch, ReplayError> {
        let incomplete = || ReplayError::Incomplete { batch: cut.number };
        let count = |upto: u64, from: u64, held: usize| {
            let count = usize::try_from(upto.checked_sub(from)?).ok()?;
            (count <= held).then_some(count)
        };
        if (opened.position, opened.inbox) != (self.position, self.inbox_index) {
            return Err(incomplete());
        }
        let transactions = count(cut.position, self.position, self.transactions.len()).ok_or_else(incomplete)?;
        let inbox = count(cut.inbox, self.inbox_index, self.inbox.len()).ok_or_else(incomplete)?;
        (self.position, self.inbox_index) = (cut.position, cut.inbox);
        let transactions = self.transactions.drain(..transactions).collect();
        Ok(LoggedBatch { opened, inbox: self.inbox.drain(..inbox).collect(), transactions, header })
    }
}

impl Iterator for Replay {
    type Item = Result<LoggedBatch, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read();
        self.ended = !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}
