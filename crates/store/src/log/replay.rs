//! The batches of a log that stand, each with all that executing it again needs.

use super::frame::Frame;
use super::order::NotInLog;
use super::read::{ReadError, Reader};
use ghostplane_types::{BatchHeader, InboxEntry};
use std::collections::VecDeque;
use thiserror::Error;

/// A batch as it was sealed, and what went into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedBatch {
    /// What came out: time, generation and counters are the input of the execution, the rest is what to compare with.
    pub header: BatchHeader,
    /// The inbox entries it consumed, in order.
    pub inbox: Vec<InboxEntry>,
    /// Its encoded transactions, in the order of their positions.
    pub transactions: Vec<Vec<u8>>,
}

/// What is in the log and in no batch yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// The position of the first transaction.
    pub position: u64,
    /// Encoded transactions, in the order of their positions. They were acknowledged: they must go into the next batches.
    pub transactions: Vec<Vec<u8>>,
    /// Inbox entries, in order.
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
/// Holds the transactions that are read and in no batch yet; while it passes reverted batches, also theirs.
pub struct Replay {
    reader: Reader,
    reverts: Vec<(u32, u64)>,
    /// The header to go on from.
    after: BatchHeader,
    /// Whether its frame has been passed; genesis has none.
    started: bool,
    ended: bool,
    rest: Pool,
}

/// What has been read and is in no batch, from one position and one inbox entry on.
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
        Self { reader, reverts, after, started: after.number == 0, ended: false, rest }
    }

    /// What is left once all batches have been read.
    pub fn rest(self) -> Rest {
        let Pool { position, transactions, inbox, .. } = self.rest;
        Rest { position, transactions: transactions.into(), inbox: inbox.into() }
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
                Frame::Cut(header) if !self.started => self.started = header == self.after,
                Frame::Cut(header) if self.is_void(&header) => {}
                Frame::Cut(header) => return self.rest.take(header).map(Some),
            }
        }
        if self.started { Ok(None) } else { Err(NotInLog::Other { batch: self.after.number }.into()) }
    }

    fn is_void(&self, header: &BatchHeader) -> bool {
        self.reverts.iter().any(|&(next, stands)| next > header.generation && header.number > stands)
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

    fn take(&mut self, header: BatchHeader) -> Result<LoggedBatch, ReplayError> {
        let incomplete = || ReplayError::Incomplete { batch: header.number };
        let count = |upto: u64, from: u64, held: usize| {
            let count = usize::try_from(upto.checked_sub(from)?).ok()?;
            (count <= held).then_some(count)
        };
        let transactions = count(header.log_upto, self.position, self.transactions.len()).ok_or_else(incomplete)?;
        let inbox = count(header.inbox_upto, self.inbox_index, self.inbox.len()).ok_or_else(incomplete)?;
        (self.position, self.inbox_index) = (header.log_upto, header.inbox_upto);
        let transactions = self.transactions.drain(..transactions).collect();
        Ok(LoggedBatch { header, inbox: self.inbox.drain(..inbox).collect(), transactions })
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
