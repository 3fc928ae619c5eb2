//! What a driver tells the sequencer.

use ghostplane_engine::Verified;
use ghostplane_types::{Amount, BatchHeader, InboxEntry, Outcome, PlaneState, Reject};
use std::sync::Arc;

/// A driver's own name for one submission, by which it is answered. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// Transactions came in and their signatures hold, in the order of arrival.
    Submitted(Vec<Submission>),
    /// Inbox entries were executed: the answer to [`crate::Effect::ExecuteInbox`].
    InboxExecuted {
        /// The generation named there.
        generation: u32,
        /// The batch named there.
        batch: u64,
        /// How many of the entries the batch took, from the first; fewer than given if it is full.
        taken: usize,
        /// Gas that they used.
        gas: u64,
    },
    /// Transactions were executed: the next answers to [`crate::Effect::Execute`], in the order in which they were handed out.
    Executed {
        /// The generation named there.
        generation: u32,
        /// The batch named there.
        batch: u64,
        /// One for each transaction. They need not come all at once.
        results: Vec<Execution>,
    },
    /// An append is in the log for good.
    Durable {
        /// [`crate::Append::number`].
        append: u64,
    },
    /// The log has no room. An append in flight is void until it is asked for again.
    DiskFull,
    /// The log has room again.
    DiskBack,
    /// The L1 has a new block.
    L1Block {
        /// Its time in milliseconds.
        time: u64,
        /// Inbox entries at least `reorg_depth` below it, in order. Entries before [`crate::Sequencer::inbox_wanted`] are
        /// skipped, and what finds no room is to be given again with the next block.
        entries: Vec<InboxEntry>,
    },
    /// A batch has its roots. Batches are sealed in order.
    Sealed {
        /// What it claims.
        header: BatchHeader,
    },
    /// The L1 took a commitment.
    Committed {
        /// The generation it is of.
        generation: u32,
        /// The last batch under it.
        number: u64,
    },
    /// The L1 convicted a batch; the plane goes on from the state before it, in a new generation.
    Reverted {
        /// That state.
        state: PlaneState,
        /// The new generation.
        generation: u32,
    },
    /// Nothing but that time has passed: the answer to [`crate::Effect::SetTimer`].
    Tick,
}

/// One transaction that somebody waits for.
#[derive(Clone, Debug)]
pub struct Submission {
    /// By which it is answered.
    pub ticket: Ticket,
    /// The transaction.
    pub verified: Arc<Verified>,
    /// What is known of its sender.
    pub standing: Standing,
}

/// What a state says of a sender. The state is no older than the newest [`Event::Sealed`] that the sequencer was told of;
/// what happened since, the sequencer knows by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The next sequence number of the transaction's lane.
    pub next: u64,
    /// What the sender holds in GCC; where a sponsor pays, what the sponsor does.
    pub balance: Amount,
    /// Gas that the sender's mana pays now, where mana pays.
    pub mana: u64,
}

/// What came of one transaction in the open batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Execution {
    /// It is in the batch, applied or not.
    Included {
        /// What became of it.
        outcome: Outcome,
        /// What it adds to the posted form, as far as the driver knows; [`crate::sequencer::posted_bytes_max`] if not.
        posted_bytes: u32,
    },
    /// It may not be in a batch. It changed nothing.
    Rejected(Reject),
    /// The batch cannot take it. Neither it nor any that was handed out after it was tried; all of them are answered so.
    Full,
}
