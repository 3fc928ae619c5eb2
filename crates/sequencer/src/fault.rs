//! What a driver cannot have seen: the program or the machine is wrong. Ends the sequencer; recover from the log.

use thiserror::Error;

/// A contradiction between what the sequencer asked for and what its driver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Results of a batch that is not open.
    #[error("results of batch {found}, open is {open:?}")]
    NotOpen {
        /// The batch named.
        found: u64,
        /// The open batch.
        open: Option<u64>,
    },
    /// More results than transactions handed out.
    #[error("{found} results, {outstanding} transactions are being executed")]
    Results {
        /// How many came.
        found: usize,
        /// How many were due.
        outstanding: usize,
    },
    /// A transaction was executed before the inbox, or past one that found the batch full.
    #[error("batch {batch}: {what}")]
    OutOfTurn {
        /// The batch.
        batch: u64,
        /// What was out of turn.
        what: &'static str,
    },
    /// The inbox was not asked for, or more of it was taken than given, or none of it fits an empty batch.
    #[error("batch {batch} took {taken} inbox entries of {given}")]
    Inbox {
        /// The batch.
        batch: u64,
        /// How many it took.
        taken: usize,
        /// How many it was given.
        given: usize,
    },
    /// An inbox entry that skips one, or is later than the block that shows it.
    #[error("inbox entry {index} of {l1_time} ms where {expected} is next, shown by a block of {block_time} ms")]
    InboxOrder {
        /// The entry's index.
        index: u64,
        /// The index that is next.
        expected: u64,
        /// The entry's time.
        l1_time: u64,
        /// The block's time.
        block_time: u64,
    },
    /// An append that was never asked for.
    #[error("append {found} is durable, asked for were those below {asked}")]
    Append {
        /// Its number.
        found: u64,
        /// How many were asked for.
        asked: u64,
    },
    /// A sealed batch that is not the next one, or not what was cut.
    #[error("batch {batch} is sealed with {what} {found}, expected {expected}")]
    Sealed {
        /// The batch.
        batch: u64,
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u64,
        /// What it should be.
        expected: u64,
    },
    /// The L1 took a batch that was not to be posted yet.
    #[error("batch {found} is committed, posted are those up to {posted}")]
    Committed {
        /// The batch.
        found: u64,
        /// The last that was to be posted.
        posted: u64,
    },
    /// A generation that is not newer.
    #[error("generation {found} after {current}")]
    Generation {
        /// The one named.
        found: u32,
        /// The one before.
        current: u32,
    },
}
