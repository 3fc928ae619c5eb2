//! What a sequencer is set up with, and how much it holds at most.

use ghostplane_ghostcipher::Digest;
use ghostplane_types::PlaneState;
use ghostplane_types::limits::{
    BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, COMMITMENT_BATCHES_MAX, TRANSACTION_BYTES_MAX,
};
use thiserror::Error;

/// The longest that a refused sender is asked to wait, in milliseconds.
pub const RETRY_MS_MAX: u64 = 10_000;
/// The shortest, in milliseconds.
pub const RETRY_MS_MIN: u64 = 10;
/// Batch and inbox marks in one append to the log, next to its transactions.
pub const APPEND_MARKS_MAX: usize = 1_024;
/// Marks that one batch makes at most: opened, inbox, cut.
pub const BATCH_MARKS_MAX: usize = 3;
/// How many transactions one newcomer may push out of a full pool.
pub const EVICTIONS_MAX: usize = 128;

const _: () = {
    assert!(RETRY_MS_MIN < RETRY_MS_MAX);
    assert!(BATCH_MARKS_MAX <= APPEND_MARKS_MAX);
    // The largest newcomer finds its room among the smallest transactions, of which none is below 150 bytes.
    assert!(EVICTIONS_MAX * 150 >= TRANSACTION_BYTES_MAX);
};

/// Whose log this is, and the rules that admission knows of.
#[derive(Clone, Debug)]
pub struct Config {
    /// The plane's chain.
    pub chain_id: u64,
    /// The plane.
    pub plane_id: Digest,
    /// Base units of GCC for one unit of gas.
    pub gas_price: u64,
    /// How far the time of a batch may lie ahead of the newest L1 block. The L1 refuses a batch that is later than the
    /// block that takes its commitment, so this is less than the time that a commitment needs at least.
    pub l1_ahead_ms: u64,
    /// For maps of addresses, which a sender can choose; no order in here follows from it.
    pub hash_seed: u64,
    /// How much is held.
    pub limits: Limits,
}

/// Where a sequencer goes on. Recovery has closed the batch that was open.
#[derive(Clone, Debug)]
pub struct Start {
    /// The state after the newest sealed batch.
    pub state: PlaneState,
    /// The plane's generation.
    pub generation: u32,
    /// How many flushes this generation has in the log.
    pub flushes: u64,
    /// The digest of the last of them; zero if there is none.
    pub prev_flush_digest: Digest,
    /// Sealed batches that the L1 has not taken yet, ascending without gaps up to `state.number`, with their posted bytes.
    pub uncommitted: Vec<(u64, u32)>,
}

/// How much the sequencer holds. Everything that is submitted, executed or written is counted against one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions in the pool, those being executed included.
    pub pool_transactions_max: usize,
    /// Their bytes.
    pub pool_bytes_max: usize,
    /// Transactions of one sender in the pool, over all its lanes, those being executed included.
    pub sender_transactions_max: usize,
    /// How long before its `valid_after` a transaction is taken, in milliseconds.
    pub early_ms_max: u64,
    /// Transactions handed out for execution and not answered.
    pub executing_max: usize,
    /// Transactions in one flush. One flush is in flight and one filling, so twice as many wait to be durable.
    pub flush_transactions_max: usize,
    /// Bytes of the transactions in one flush.
    pub flush_bytes_max: usize,
    /// Inbox entries held for the next batches.
    pub inbox_entries_max: usize,
    /// Bytes of the forced transactions among them.
    pub inbox_bytes_max: usize,
    /// Batches cut and not sealed.
    pub unsealed_batches_max: usize,
    /// Batches cut and not committed on the L1.
    pub uncommitted_batches_max: usize,
    /// Their posted bytes: the L1 data that the plane may owe.
    pub uncommitted_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_transactions_max: 32_768,
            pool_bytes_max: 32 * 1024 * 1024,
            sender_transactions_max: 512,
            early_ms_max: 60_000,
            executing_max: 2_048,
            flush_transactions_max: 8_192,
            flush_bytes_max: 3 * 1024 * 1024,
            inbox_entries_max: 2 * BATCH_TRANSACTIONS_MAX,
            inbox_bytes_max: 16 * 1024 * 1024,
            unsealed_batches_max: 8,
            uncommitted_batches_max: 4 * COMMITMENT_BATCHES_MAX,
            uncommitted_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// Limits with which the sequencer could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what} is {found}, at least {least} is needed")]
pub struct LimitsError {
    /// Which limit.
    pub what: &'static str,
    /// What it is.
    pub found: u64,
    /// The least it may be.
    pub least: u64,
}

impl Limits {
    /// Whether one transaction of any kind always finds its way through an idle sequencer.
    pub fn check(&self) -> Result<(), LimitsError> {
        let least = [
            ("pool_transactions_max", self.pool_transactions_max, 1),
            ("pool_bytes_max", self.pool_bytes_max, TRANSACTION_BYTES_MAX),
            ("sender_transactions_max", self.sender_transactions_max, 1),
            ("executing_max", self.executing_max, 1),
            ("flush_transactions_max", self.flush_transactions_max, 1),
            ("flush_bytes_max", self.flush_bytes_max, TRANSACTION_BYTES_MAX),
            ("inbox_entries_max", self.inbox_entries_max, 1),
            ("inbox_bytes_max", self.inbox_bytes_max, TRANSACTION_BYTES_MAX),
            ("unsealed_batches_max", self.unsealed_batches_max, 1),
            ("uncommitted_batches_max", self.uncommitted_batches_max, 1),
        ];
        let bytes = (self.uncommitted_bytes_max < BATCH_BYTES_MAX as u64).then_some((
            "uncommitted_bytes_max",
            self.uncommitted_bytes_max,
            BATCH_BYTES_MAX as u64,
        ));
        let short = least.iter().find(|(_, found, least)| found < least);
        let short = short.map(|&(what, found, least)| (what, found as u64, least as u64)).or(bytes);
        short.map_or(Ok(()), |(what, found, least)| Err(LimitsError { what, found, least }))
    }
}
