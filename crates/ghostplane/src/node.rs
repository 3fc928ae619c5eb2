//! The node: a sequencer with its log, its state, its L1 and its interfaces, in one process.
//!
//! [`Node`] is what the interfaces hold: a handle that can be cloned and asked from any thread.

pub mod api;

use api::{
    AccountView, Answers, BatchView, BridgeView, CommitmentView, NodeEvent, QueryError, ReceiptView, Refusal,
    RootsView, Rung, StatusView, TransactionView, WithdrawalView,
};
use ghostplane_engine::Plane;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{Address, L1Address};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};
use tonic::codegen::Bytes;

/// Transactions of one stream that may be unanswered, or answered and unread.
pub const STREAM_OUTSTANDING_MAX: usize = 16_384;
/// Transactions in one message of a stream.
pub const STREAM_MESSAGE_TRANSACTIONS_MAX: usize = 512;
/// Bytes of the transactions in one message of a stream.
pub const STREAM_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Events that a subscriber may lag behind before it misses some.
pub const EVENTS_BEHIND_MAX: usize = 4_096;

/// A running node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    plane: Arc<Plane>,
}

/// One submitter's way in. Dropping it loses no transaction, only the answers.
pub struct Submitter {
    _node: Node,
}

impl Submitter {
    /// Hands transactions in, in order; the first has reference `first`, the others follow by one each.
    ///
    /// Waits while this stream has [`STREAM_OUTSTANDING_MAX`] transactions unanswered or unread, and while everything that
    /// checks signatures is taken: that is the back-pressure. At most [`STREAM_MESSAGE_TRANSACTIONS_MAX`] at a time.
    pub async fn submit(&mut self, first: u64, transactions: Vec<Bytes>) {
        let _ = (first, transactions);
    }
}

impl Node {
    /// The plane's rules.
    #[must_use]
    pub fn plane(&self) -> &Arc<Plane> {
        &self.inner.plane
    }

    /// A way in for many transactions, and the answers to them: each exactly once, in the order in which they are known.
    /// The channel ends when the submitter is gone and everything is answered.
    pub fn submitter(&self) -> (Submitter, mpsc::UnboundedReceiver<Answers>) {
        unimplemented!()
    }

    /// Submits one transaction and waits until it is executed and durable. Never waits for room: answers
    /// [`Refusal::Busy`] instead.
    pub async fn submit(&self, transaction: Bytes) -> Result<ReceiptView, Refusal> {
        let _ = transaction;
        unimplemented!()
    }

    /// Waits until a batch has come as far as `rung`. Give up by dropping the future.
    pub async fn reached(&self, batch: u64, rung: Rung) -> Result<Rung, QueryError> {
        let _ = (batch, rung);
        unimplemented!()
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        unimplemented!()
    }

    /// How the node does.
    #[must_use]
    pub fn status(&self) -> StatusView {
        unimplemented!()
    }

    /// An account as of the newest sealed batch. An address that nobody paid yet is a view without account.
    pub fn account(&self, address: &Address, proof: bool) -> Result<AccountView, QueryError> {
        let _ = (address, proof);
        unimplemented!()
    }

    /// The newest roots.
    #[must_use]
    pub fn roots(&self) -> RootsView {
        unimplemented!()
    }

    /// What became of a transaction. Reads the disk: call it where that may be waited for.
    pub fn transaction(&self, id: &Digest) -> Result<TransactionView, QueryError> {
        let _ = id;
        unimplemented!()
    }

    /// The receipt of a transaction. Reads the disk.
    pub fn receipt(&self, id: &Digest) -> Result<ReceiptView, QueryError> {
        let _ = id;
        unimplemented!()
    }

    /// A sealed batch. Reads the disk.
    pub fn batch(&self, number: u64, records: bool, posted: bool) -> Result<BatchView, QueryError> {
        let _ = (number, records, posted);
        unimplemented!()
    }

    /// Sealed batches from `upto` (`None` for the newest) down, at most `count`. Reads the disk.
    pub fn batches(&self, upto: Option<u64>, count: usize) -> Result<Vec<BatchView>, QueryError> {
        let _ = (upto, count);
        unimplemented!()
    }

    /// How plane and L1 stand to each other.
    #[must_use]
    pub fn bridge(&self) -> BridgeView {
        unimplemented!()
    }

    /// A withdrawal by its index. Reads the disk.
    pub fn withdrawal(&self, index: u64) -> Result<WithdrawalView, QueryError> {
        let _ = index;
        unimplemented!()
    }

    /// The commitment that a batch is under. Reads the disk.
    pub fn commitment(&self, batch: u64) -> Result<CommitmentView, QueryError> {
        let _ = batch;
        unimplemented!()
    }

    /// An account on the L1: the next number of its messages, and its balances in the L1's base units.
    pub fn l1_account(&self, address: &L1Address) -> Result<(u64, Vec<(ghostplane_types::AssetId, u128)>), QueryError> {
        let _ = address;
        unimplemented!()
    }

    /// Whether the node still takes transactions.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        unimplemented!()
    }
}
