//! What the sequencer asks of its driver.

use crate::event::Ticket;
use crate::refusal::Refusal;
use ghostplane_engine::Verified;
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_types::{Flush, InboxEntry, Outcome};
use std::sync::Arc;

/// Something to do. Effects are carried out in order; those that concern execution, in order among themselves.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Start an open batch on the state after the one before it.
    Open(Opening),
    /// Execute inbox entries as the first of the open batch, then say [`crate::Event::InboxExecuted`].
    ExecuteInbox {
        /// The open batch's generation.
        generation: u32,
        /// The open batch.
        batch: u64,
        /// The entries, in order.
        entries: Vec<InboxEntry>,
    },
    /// Execute transactions in the open batch, in this order, then say [`crate::Event::Executed`].
    Execute {
        /// The open batch's generation.
        generation: u32,
        /// The open batch.
        batch: u64,
        /// What to execute.
        transactions: Vec<Arc<Verified>>,
    },
    /// Drop the open batch: nothing was included in it. Its number is used again.
    Abandon {
        /// The batch.
        batch: u64,
    },
    /// Close the open batch and seal it, then say [`crate::Event::Sealed`].
    Cut(Cut),
    /// Sign the flush and write all of it to the log, then say [`crate::Event::Durable`]. It may come again, the same
    /// byte for byte, after the disk was full.
    Append(Arc<Append>),
    /// Answer submissions: they are executed and durable.
    Acknowledge(Acknowledgement),
    /// Post the data of a batch to the L1 and commit it: it is sealed, and the log has all of it.
    Post {
        /// The batch's generation.
        generation: u32,
        /// The batch.
        batch: u64,
    },
    /// Answer a submission: it will not be executed.
    Refuse {
        /// Whose.
        ticket: Ticket,
        /// Why.
        why: Refusal,
    },
    /// Say [`crate::Event::Tick`] at this time or soon after it. Replaces an earlier timer; one tick too many does no harm.
    SetTimer {
        /// When, in milliseconds.
        at_ms: u64,
    },
}

/// How a batch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its generation.
    pub generation: u32,
    /// Its number.
    pub number: u64,
    /// Its time.
    pub time: u64,
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How it started.
    pub opening: Opening,
    /// Inbox entries consumed after it.
    pub inbox_upto: u64,
    /// Log positions used after it.
    pub log_upto: u64,
    /// Gas used.
    pub gas: u64,
    /// The most its posted form takes.
    pub posted_bytes_max: u32,
}

/// One write to the log.
#[derive(Clone, Debug)]
pub struct Append {
    /// Counts the appends of this sequencer from 0; not part of any format.
    pub number: u64,
    /// What is written, in order. A replay of all appends gives every batch as it was.
    pub entries: Vec<LogEntry>,
    /// The promise to sign; `None` if there is no transaction among the entries.
    pub flush: Option<Flush>,
}

/// One thing that the log keeps.
#[derive(Clone, Debug)]
pub enum LogEntry {
    /// A batch started. It has at least one inbox entry or transaction.
    Opened(Opening),
    /// It consumed inbox entries.
    Inbox {
        /// The first, by index.
        first: u64,
        /// How many.
        count: u64,
    },
    /// It included a transaction.
    Transaction {
        /// Its place in the log.
        position: u64,
        /// The transaction.
        verified: Arc<Verified>,
    },
    /// It ended.
    Cut {
        /// The batch.
        number: u64,
    },
}

/// Answers for the transactions of one durable flush.
#[derive(Clone, Debug)]
pub struct Acknowledgement {
    /// [`Append::number`] of the append that carried them.
    pub append: u64,
    /// The promise that was signed.
    pub flush: Flush,
    /// One for each transaction, in order.
    pub records: Vec<Record>,
    /// The tree under [`Flush::root`].
    pub tree: merkle::Tree,
}

impl Acknowledgement {
    /// The path that leads from the id of record `index` to [`Flush::root`].
    pub fn path(&self, index: usize) -> Option<merkle::Path> {
        self.tree.path(index as u64)
    }
}

/// What one submitter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub ticket: Ticket,
    /// The transaction.
    pub tx_id: Digest,
    /// Its place in the log.
    pub position: u64,
    /// The batch that includes it.
    pub batch: u64,
    /// What became of it.
    pub outcome: Outcome,
}
