//! The node: a sequencer with its log, its state, its L1 and its interfaces, in one process.
//!
//! ```text
//!  gRPC, HTTP -> Submitter -> [verify] -> [core: order, execute, hash] -> [writer: sign, log, fsync]
//!                   ^                       |         ^                        |
//!                   +------- [answer] <-----+---------+------- durable --------+
//!                                           +-> [archive: history, checkpoints]
//!                                           +-> [settle: L1 blocks in, commitments and proofs out] <-> committers
//!                                           +-> [witnesses] -> [prover]
//! ```
//!
//! What stands in brackets is a thread. Every way between them is bounded: by the permits that checking signatures takes,
//! by the sequencer's limits, or by its own capacity. [`Node`] is what the interfaces hold: a handle that can be cloned
//! and asked from any thread.

mod answer;
pub mod api;
mod archive;
mod attesting;
mod background;
pub mod case;
mod checkpoint;
mod core;
pub mod dev;
pub mod grpc;
mod handles;
pub mod http;
pub mod options;
mod pace;
pub(crate) mod prove;
mod query;
mod redo;
mod refusals;
mod settle;
mod start;
#[cfg(test)]
mod tests;
mod turns;
mod verify;
mod writer;

pub use attesting::AttestingView;
pub use background::serving_runtime;
pub use options::{L1Options, Options, ProverMode, ProverOptions};
pub use start::{Recovered, Running, StartError, find_case, start, verify_directory};

use answer::Recent;
use api::{Answers, Condition, NodeEvent, ReceiptView, Refusal};
use crossbeam_channel::Sender;
use ghostplane_engine::Plane;
use ghostplane_ghostbridge::L1;
use ghostplane_keystone::Keystone;
use ghostplane_sequencer::{Limits, sequencer};
use ghostplane_store::{HistoryBatch, HistoryReader, LogEnd};
use ghostplane_types::BatchHeader;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tonic::codegen::Bytes;
use turns::Turns;
use verify::{Raw, Sink};

/// Transactions of one stream that may be unanswered, or answered and unread.
pub const STREAM_OUTSTANDING_MAX: usize = 16_384;
/// Transactions in one message of a stream.
pub const STREAM_MESSAGE_TRANSACTIONS_MAX: usize = 512;
/// Bytes of the transactions in one message of a stream.
pub const STREAM_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Events that a subscriber may lag behind before it misses some.
pub const EVENTS_BEHIND_MAX: usize = 4_096;
/// When a busy node is to be asked again.
const RETRY_MS: u64 = 50;
/// When a node that waits for its prover, or for committers, is to be asked again.
const BEHIND_RETRY_MS: u64 = 1_000;

/// A running node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

/// What the threads share.
struct Inner {
    plane: Arc<Plane>,
    limits: Limits,
    /// The newest sealed state. Only the core writes it; it holds it for reading while a batch is open.
    live: RwLock<Live>,
    /// Receipts that the history may not have yet.
    recent: RwLock<Recent>,
    /// Why the newest of those were not applied that were not.
    refusals: Mutex<refusals::Refusals>,
    /// Where transactions are tried out, and it is found out why one was refused.
    thinking: Turns,
    /// Where proofs of others are checked.
    judging: Turns,
    /// Batches that history or L1 may not have yet.
    batches: RwLock<BTreeMap<u64, Arc<HistoryBatch>>>,
    history: HistoryReader,
    l1: L1,
    proving: Arc<prove::Proving>,
    attesting: attesting::Attesting,
    log_end: Mutex<LogEnd>,
    pulse: Mutex<Pulse>,
    counters: Counters,
    /// Gone once the node stops, so that the threads behind it end.
    to_verify: RwLock<Option<Sender<Raw>>>,
    permits: Arc<Semaphore>,
    events: broadcast::Sender<NodeEvent>,
    progress: watch::Sender<Progress>,
    sinks: AtomicU64,
    /// The first inbox entry that the core does not hold.
    inbox_wanted: AtomicU64,
    archived: AtomicU64,
    checkpoint: AtomicU64,
    disk_full: watch::Sender<bool>,
    /// Set once: the node stops, on request or because of a fault.
    ending: watch::Sender<Option<Ending>>,
    notes: Mutex<Option<String>>,
    started: Instant,
}

/// A state and the header it belongs to.
struct Live {
    keystone: Keystone,
    header: BatchHeader,
}

/// Why a node ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to.
    Asked,
    /// Something of its own is wrong: the disk, the L1, a bug.
    Fault(String),
}

/// How far batches have come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The newest batch with its roots.
    sealed: u64,
    /// The newest batch that the log has all of, so that it may be shown.
    shown: u64,
    /// The newest batch that a receipt was given for.
    answered: u64,
    /// The newest batch with a commitment.
    committed: u64,
    /// The newest batch up to which all are proven, replayed or final.
    proven: u64,
    /// The newest final batch.
    final_batch: u64,
}

struct Pulse {
    sequencer: sequencer::Status,
    pending: u64,
}

struct Counters {
    pace: pace::Pace,
    accepted: AtomicU64,
    refused: AtomicU64,
    flushes: AtomicU64,
}

impl Counters {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self { pace: pace::Pace::new(Instant::now()), accepted: zero(), refused: zero(), flushes: zero() }
    }
}

/// Milliseconds since the Unix epoch, by this machine's clock.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Inner {
    fn condition(&self) -> Condition {
        if self.ending.borrow().is_some() {
            Condition::Stopping
        } else if *self.disk_full.borrow() {
            Condition::DiskFull
        } else {
            Condition::Ready
        }
    }

    fn is_stopping(&self) -> bool {
        self.ending.borrow().is_some()
    }

    /// Ends the node because something of its own is wrong. The first reason counts.
    fn fail(&self, why: String) {
        self.end(Ending::Fault(why));
    }

    fn end(&self, ending: Ending) {
        self.ending.send_if_modified(|known| {
            let is_first = known.is_none();
            if is_first {
                *known = Some(ending);
            }
            is_first
        });
        self.permits.close();
        *self.to_verify.write() = None;
    }

    /// Hands transactions to the threads that check signatures; gives them back if the node stops.
    fn hand_in(&self, raw: Raw) -> Result<(), Raw> {
        match self.to_verify.read().as_ref() {
            Some(to) => to.send(raw).map_err(crossbeam_channel::SendError::into_inner),
            None => Err(raw),
        }
    }

    fn set_disk_full(&self, is_full: bool) {
        self.disk_full.send_replace(is_full);
    }

    /// Something that an operator should see, and that passes.
    fn note(&self, what: String) {
        *self.notes.lock() = Some(what);
    }
}

/// One submitter's way in. Dropping it loses no transaction, only the answers.
pub struct Submitter {
    node: Node,
    sink: Sink,
}

impl Submitter {
    /// Hands transactions in, in order; the first has reference `first`, the others follow by one each.
    ///
    /// Waits while everything that checks signatures is taken: that is the back-pressure, and submitters wait in turn. At
    /// most [`STREAM_MESSAGE_TRANSACTIONS_MAX`] at a time.
    pub async fn submit(&mut self, first: u64, transactions: Vec<Bytes>) {
        let Ok(count) = u32::try_from(transactions.len()) else { return };
        // As long as too much waits to be proved, or waits too long to be attested, submitters wait; a node that stops refuses
        // them below.
        let inner = &self.node.inner;
        let (mut room, mut late) = (inner.proving.watch_room(), inner.attesting.watch());
        let mut ending = inner.ending.subscribe();
        let caught_up = async {
            // Both senders live as long as the node.
            let _ = room.wait_for(|full| !full).await.map(drop);
            let _ = late.wait_for(|late| !late).await.map(drop);
        };
        tokio::select! {
            () = caught_up => {}
            _ = ending.wait_for(Option::is_some) => {}
        }
        let permit = Arc::clone(&self.node.inner.permits).acquire_many_owned(count).await;
        let sink = self.sink.clone();
        match permit {
            Ok(permit) => {
                let raw = Raw { sink, first, transactions, permit };
                if let Err(raw) = self.node.inner.hand_in(raw) {
                    refuse_stopping(&raw);
                }
            }
            Err(_) => stopping(&sink, first, transactions.len()),
        }
    }
}

fn refuse_stopping(raw: &Raw) {
    stopping(&raw.sink, raw.first, raw.transactions.len());
}

fn stopping(sink: &Sink, first: u64, count: usize) {
    let refusal = Refusal::Stopping { retry_after_ms: 1_000 };
    sink.send(Answers::Refused((first..).zip(std::iter::repeat_n(refusal, count)).collect()));
}

impl Node {
    /// The plane's rules.
    #[must_use]
    pub fn plane(&self) -> &Arc<Plane> {
        &self.inner.plane
    }

    /// A way in for many transactions, and the answers to them: each exactly once, in the order in which they are known.
    /// The channel ends when the submitter is gone and everything is answered.
    #[must_use]
    pub fn submitter(&self) -> (Submitter, mpsc::UnboundedReceiver<Answers>) {
        let (to, answers) = mpsc::unbounded_channel();
        let sink = Sink { id: self.inner.sinks.fetch_add(1, Ordering::Relaxed), to };
        (Submitter { node: self.clone(), sink }, answers)
    }

    /// Submits one transaction and waits until it is executed and durable. Never waits for room: answers
    /// [`Refusal::Busy`] instead.
    pub async fn submit(&self, transaction: Bytes) -> Result<ReceiptView, Refusal> {
        let inner = &self.inner;
        if inner.is_stopping() {
            return Err(Refusal::Stopping { retry_after_ms: 1_000 });
        }
        if inner.proving.is_full() || inner.attesting.is_late() {
            return Err(Refusal::Busy { retry_after_ms: BEHIND_RETRY_MS });
        }
        let permit = Arc::clone(&inner.permits).try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::Busy { retry_after_ms: RETRY_MS })?;
        let (to, mut answers) = mpsc::unbounded_channel();
        let sink = Sink { id: inner.sinks.fetch_add(1, Ordering::Relaxed), to };
        let raw = Raw { sink, first: 0, transactions: vec![transaction], permit };
        if inner.hand_in(raw).is_err() {
            return Err(Refusal::Stopping { retry_after_ms: 1_000 });
        }
        match answers.recv().await {
            Some(Answers::Executed { flushed, records }) => match records.first() {
                Some((_, record)) => Ok(ReceiptView { flushed, record: *record }),
                None => Err(Refusal::Stopping { retry_after_ms: 1_000 }),
            },
            Some(Answers::Refused(mut refused)) => match refused.pop() {
                Some((_, refusal)) => Err(refusal),
                None => Err(Refusal::Stopping { retry_after_ms: 1_000 }),
            },
            None => Err(Refusal::Stopping { retry_after_ms: 1_000 }),
        }
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.inner.events.subscribe()
    }

    /// Asks the node to stop. It finishes what it has taken, within seconds.
    pub fn stop(&self) {
        self.inner.end(Ending::Asked);
    }

    /// Waits until the node is about to end, and says why.
    pub async fn ended(&self) -> Ending {
        let mut ending = self.inner.ending.subscribe();
        match ending.wait_for(Option::is_some).await {
            Ok(ending) => ending.clone().unwrap_or(Ending::Asked),
            Err(_) => Ending::Asked,
        }
    }

    /// Waits until the condition is another than `known`, and says which.
    pub async fn condition_other_than(&self, known: Condition) -> Condition {
        let (mut ending, mut disk_full) = (self.inner.ending.subscribe(), self.inner.disk_full.subscribe());
        loop {
            let condition = self.inner.condition();
            if condition != known {
                return condition;
            }
            // Both senders live as long as the node.
            let _ = tokio::select! {
                changed = ending.changed() => changed,
                changed = disk_full.changed() => changed,
            };
        }
    }

    /// What passed and an operator should have seen, the newest of it.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        self.inner.notes.lock().clone()
    }
}
