//! Why a submission is not executed.

use ghostplane_ghostcipher::Digest;
use ghostplane_types::Reject;
use thiserror::Error;

/// Why a submission is not executed. A final answer: nothing was charged and no number used up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The sender's mistake, by its stable code.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// There is no room at this price.
    #[error("busy, try again in {retry_after_ms} ms or pay more")]
    Busy {
        /// When there should be room.
        retry_after_ms: u64,
    },
    /// The log's disk has no room, so nothing is taken.
    #[error("the disk is full, try again in {retry_after_ms} ms")]
    DiskFull {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// Another transaction with this number waits and pays as much.
    #[error("another transaction with this number waits, to replace it pay at least {needed} a gas")]
    Underpriced {
        /// What it pays at most a gas.
        found: u64,
        /// What it would have to pay.
        needed: u64,
    },
    /// The same transaction waits already, by another ticket.
    #[error("the same transaction waits already")]
    Known,
    /// Another transaction with the same number took its place.
    #[error("replaced by {by}")]
    Replaced {
        /// The other's id.
        by: Digest,
    },
    /// The pool was full and somebody paid more.
    #[error("pushed out by a transaction that pays more")]
    Evicted,
    /// Not even an empty batch takes it.
    #[error("no batch can take it")]
    Unfit,
    /// The plane went back to an earlier state before it was durable.
    #[error("the plane was reverted; submit again")]
    Reverted,
}
