//! The stages of a batch: proposed, executed, sealed.

use crate::Plane;
use crate::verify::{CheckedEntry, Verified};
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_keystone::{Changeset, journal};
use ghostplane_types::batch::{PROTOCOL, flows_digest};
use ghostplane_types::limits::{BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX};
use ghostplane_types::receipt::log_leaves;
use ghostplane_types::{BatchHeader, Flow, JournalEntry, Outcome, PlaneState, Roots, Source, Withdrawal};
use thiserror::Error;

/// A batch that is within its limits and follows `prev`, not yet executed.
#[derive(Clone, Debug)]
pub struct ProposedBatch {
    pub(crate) prev: PlaneState,
    pub(crate) generation: u32,
    pub(crate) time: u64,
    pub(crate) inbox: Vec<CheckedEntry>,
    pub(crate) transactions: Vec<Verified>,
    pub(crate) posted_bytes: u32,
}

/// Why something cannot be a batch. Whoever proposed it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Neither a transaction nor an inbox entry.
    #[error("a batch holds at least one transaction or inbox entry")]
    Empty,
    /// Too many of both together.
    #[error("{found} transactions and inbox entries, a batch holds at most {BATCH_TRANSACTIONS_MAX}")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// Too large when posted.
    #[error("{found} bytes, a batch posts at most {BATCH_BYTES_MAX}")]
    TooLarge {
        /// How many bytes.
        found: usize,
    },
    /// Time runs backwards.
    #[error("time {time} is before {floor}, the time of the batch or inbox entry ahead of it")]
    TimeBackwards {
        /// The batch's.
        time: u64,
        /// The least it may be.
        floor: u64,
    },
    /// Inbox entries skipped, repeated or out of order.
    #[error("inbox entry {found} where {expected} is next")]
    InboxOrder {
        /// The entry's index.
        found: u64,
        /// The index that is next.
        expected: u64,
    },
}

impl ProposedBatch {
    /// Checks that these make a batch that follows `prev`. `posted_bytes` is the length of its posted form.
    pub fn new(
        prev: PlaneState,
        generation: u32,
        time: u64,
        inbox: Vec<CheckedEntry>,
        transactions: Vec<Verified>,
        posted_bytes: usize,
    ) -> Result<Self, BatchError> {
        let found = inbox.len() + transactions.len();
        if found == 0 {
            return Err(BatchError::Empty);
        }
        if found > BATCH_TRANSACTIONS_MAX {
            return Err(BatchError::TooMany { found });
        }
        let fits = u32::try_from(posted_bytes).ok().filter(|_| posted_bytes <= BATCH_BYTES_MAX);
        let posted_bytes = fits.ok_or(BatchError::TooLarge { found: posted_bytes })?;
        if time < prev.time {
            return Err(BatchError::TimeBackwards { time, floor: prev.time });
        }
        for (expected, checked) in (prev.inbox_upto..).zip(&inbox) {
            check_entry(checked, expected, time)?;
        }
        Ok(Self { prev, generation, time, inbox, transactions, posted_bytes })
    }

    /// The state it starts from.
    pub fn prev(&self) -> &PlaneState {
        &self.prev
    }

    /// The batch's number.
    pub fn number(&self) -> u64 {
        self.prev.number + 1
    }
}

/// Whether an inbox entry is the next one, and no younger than the batch.
pub(crate) fn check_entry(checked: &CheckedEntry, expected: u64, time: u64) -> Result<(), BatchError> {
    let entry = checked.entry();
    if entry.index != expected {
        return Err(BatchError::InboxOrder { found: entry.index, expected });
    }
    if time < entry.l1_time {
        return Err(BatchError::TimeBackwards { time, floor: entry.l1_time });
    }
    Ok(())
}

/// What a batch did, before the roots are known. Changes nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutedBatch {
    pub(crate) prev: PlaneState,
    pub(crate) generation: u32,
    pub(crate) time: u64,
    pub(crate) posted_bytes: u32,
    pub(crate) inbox_upto: u64,
    pub(crate) log_upto: u64,
    pub(crate) changes: Changeset,
    pub(crate) journal: Vec<JournalEntry>,
    pub(crate) records: Vec<(Source, Digest, Outcome)>,
    pub(crate) withdrawals: Vec<Withdrawal>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) gas: u64,
}

impl ExecutedBatch {
    /// What changes in both trees.
    pub fn changes(&self) -> &Changeset {
        &self.changes
    }

    /// Every movement of value, in order.
    pub fn journal(&self) -> &[JournalEntry] {
        &self.journal
    }

    /// What became of each inbox entry and transaction, in order.
    pub fn records(&self) -> &[(Source, Digest, Outcome)] {
        &self.records
    }

    /// What leaves for the L1, in order.
    pub fn withdrawals(&self) -> &[Withdrawal] {
        &self.withdrawals
    }

    /// What was issued and retired, ascending by asset.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// The gas that it used.
    pub fn gas(&self) -> u64 {
        self.gas
    }

    /// The batch's number.
    pub fn number(&self) -> u64 {
        self.prev.number + 1
    }

    /// Completes the batch with the roots after [`ExecutedBatch::changes`].
    pub fn seal(self, plane: &Plane, roots: Roots) -> SealedBatch {
        let chain_id = plane.chain_id();
        let outbox: Vec<Digest> = self.withdrawals.iter().map(|withdrawal| withdrawal.leaf(chain_id)).collect();
        let log = log_leaves(&self.records);
        let header = BatchHeader {
            number: self.prev.number + 1,
            protocol: PROTOCOL,
            generation: self.generation,
            time: self.time,
            prev_state: self.prev.digest(chain_id, &plane.plane_id()),
            ledger_root: roots.ledger_root,
            object_root: roots.object_root,
            slots_used: roots.slots_used,
            objects_used: roots.objects_used,
            inbox_upto: self.inbox_upto,
            log_upto: self.log_upto,
            outbox_upto: self.prev.outbox_upto + self.withdrawals.len() as u64,
            log_root: merkle::root(&log),
            outbox_root: merkle::root(&outbox),
            journal_digest: journal::digest(&self.journal),
            flows_digest: flows_digest(chain_id, &self.flows),
            entries: u32::try_from(self.journal.len()).expect("bounded by BATCH_ENTRIES_MAX"),
            gas: self.gas,
            bytes: self.posted_bytes,
        };
        SealedBatch {
            header,
            changes: self.changes,
            journal: self.journal,
            records: self.records,
            withdrawals: self.withdrawals,
            flows: self.flows,
        }
    }
}

/// A batch with its header: everything that can be asked of it later.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    header: BatchHeader,
    changes: Changeset,
    journal: Vec<JournalEntry>,
    records: Vec<(Source, Digest, Outcome)>,
    withdrawals: Vec<Withdrawal>,
    flows: Vec<Flow>,
}

impl SealedBatch {
    /// What the batch claims.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// What it changed in both trees.
    pub fn changes(&self) -> &Changeset {
        &self.changes
    }

    /// Every movement of value, in order.
    pub fn journal(&self) -> &[JournalEntry] {
        &self.journal
    }

    /// What became of each inbox entry and transaction, in order: the leaves of the log tree.
    pub fn records(&self) -> &[(Source, Digest, Outcome)] {
        &self.records
    }

    /// What leaves for the L1, in order: the leaves of the outbox tree.
    pub fn withdrawals(&self) -> &[Withdrawal] {
        &self.withdrawals
    }

    /// What was issued and retired, ascending by asset.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// All of it, taken apart.
    pub fn into_parts(self) -> SealedParts {
        let Self { header, changes, journal, records, withdrawals, flows } = self;
        SealedParts { header, changes, journal, records, withdrawals, flows }
    }
}

/// What a [`SealedBatch`] consists of, to be handed to different places.
#[derive(Clone, Debug)]
pub struct SealedParts {
    /// What the batch claims.
    pub header: BatchHeader,
    /// What it changed in both trees.
    pub changes: Changeset,
    /// Every movement of value, in order.
    pub journal: Vec<JournalEntry>,
    /// What became of each inbox entry and transaction, in order: the leaves of the log tree.
    pub records: Vec<(Source, Digest, Outcome)>,
    /// What leaves for the L1, in order: the leaves of the outbox tree.
    pub withdrawals: Vec<Withdrawal>,
    /// What was issued and retired, ascending by asset.
    pub flows: Vec<Flow>,
}
