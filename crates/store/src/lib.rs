//! What Ghostplane keeps on disk.
//!
//! | module | keeps |
//! |---|---|
//! | [`log`] | the transaction log: the truth, durable before anything is answered |
//! | [`checkpoint`] | the state as of one batch, so that a start does not execute the whole log again |
//! | [`history`] | batches, records and flushes, to answer questions about the past |
//!
//! Files and nothing else: no clock, no network, no async runtime. Whoever drives the store decides when.

pub mod checkpoint;
mod disk;
pub mod history;
mod lock;
pub mod log;
#[cfg(test)]
mod scratch;

pub use checkpoint::{Changed, Checkpoint, CheckpointError, Checkpoints};
pub use history::{
    History, HistoryBatch, HistoryDamage, HistoryError, HistoryReader, HistorySync, PlacedRecord, Record, Summary,
};
pub use log::{
    AppendError, Appended, Cut, CutBatch, Examined, Frame, Log, LogEnd, LoggedBatch, LoggedFlush, NotInLog, OpenError,
    Opened, Recovery, RepairError, Repaired, Replay, ReplayError, Rest, Revert, examine, free_bytes, repair,
};
