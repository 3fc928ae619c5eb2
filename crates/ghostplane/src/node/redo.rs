//! Executing the batches of a log again, exactly as they were executed.
//!
//! ```text
//! reader: the log's batches, in order --> checkers: decode, signatures, in any order --> caller: execute and apply, in order
//! ```
//!
//! Signatures of later batches are checked while earlier ones are executed, with the keys of whatever state is the newest
//! at that moment. Which key may act is decided by execution, as always. Where the state was too old to know a key, the
//! batch is checked once more on the state before it.

use super::Live;
use super::case::Case;
use super::prove::{Files, Kept};
use super::start::{StartError, proofs};
use crate::local::Threads;
use crossbeam_channel::{Receiver, Sender, bounded};
use ghostplane_engine::{
    Closed, Halt, KeyRing, OpenBatch, Plane, Pushed, Verified, check_inbox, registered_keys, verify_all, verify_ring,
    witness,
};
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::{ApplyError, Changeset, Missing};
use ghostplane_proof::BatchWitness;
use ghostplane_store::HistoryBatch;
use ghostplane_store::log::{LoggedBatch, Opened, Replay, Rest};
use ghostplane_types::{Address, BatchHeader, Encode as _, InboxEntry, Transaction};
use parking_lot::RwLock;
use std::sync::Arc;

/// Batches that are read and not executed yet: enough that nobody waits for the one beside him.
const AHEAD_MAX: usize = 8;
/// Keys that one checker remembers.
const RING_KEYS_MAX: usize = 1 << 18;

/// A batch that was executed again.
pub(super) struct Redone {
    pub(super) batch: HistoryBatch,
    pub(super) changes: Changeset,
    /// Whether the log says that it was sealed. Its header is compared then.
    pub(super) was_sealed: bool,
    /// Whether it was open at the end of the log.
    pub(super) was_open: bool,
    /// All that it takes to look into it alone, if that was asked for.
    pub(super) case: Option<Case>,
}

/// What is wanted of the batches besides their outcome.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// Where the witnesses of those behind a batch are kept for a prover.
    pub(super) witnesses: Option<&'a (Files, u64)>,
    /// The transaction or inbox entry whose batch is to be looked into alone.
    pub(super) case: Option<&'a Digest>,
}

/// A batch as the log has it.
struct Ahead {
    opened: Opened,
    inbox: Vec<InboxEntry>,
    transactions: Arc<Vec<Vec<u8>>>,
    header: Option<BatchHeader>,
    was_open: bool,
    checked: Receiver<Checked>,
}

/// The transactions of a batch; `None` if the batch has to be looked at on the state before it.
type Checked = Option<Vec<Arc<Verified>>>;

/// The bytes of a batch's transactions, and where to say what they are.
struct ToCheck {
    transactions: Arc<Vec<Vec<u8>>>,
    answer: Sender<Checked>,
}

/// Executes every batch that `replay` has, and the one that is open at the end of the log. `done` is told of each, with the
/// state after it. Returns the last state.
///
/// # Errors
/// [`StartError::Batch`] for the first batch that cannot be executed or comes out differently, and what `done` fails with.
pub(super) fn redo(
    plane: &Plane,
    workers: Threads,
    seed: u64,
    wanted: Wanted<'_>,
    live: Live,
    replay: Replay,
    mut done: impl FnMut(&Live, Redone) -> Result<(), StartError>,
) -> Result<Live, StartError> {
    let live = RwLock::new(live);
    std::thread::scope(|scope| {
        let (to_check, bytes) = bounded::<ToCheck>(AHEAD_MAX);
        let (to_redo, ahead) = bounded::<Result<Ahead, StartError>>(AHEAD_MAX);
        scope.spawn(move || read(replay, &to_check, &to_redo));
        for _ in 0..workers.0.get() {
            let (bytes, live) = (bytes.clone(), &live);
            scope.spawn(move || check(plane, seed, live, &bytes));
        }
        drop(bytes);
        // Whoever returns early drops what the others send to, which ends them.
        for one in ahead {
            let redone = one?.redo(plane, workers, wanted, &live)?;
            done(&live.read(), redone)?;
        }
        Ok::<(), StartError>(())
    })?;
    Ok(live.into_inner())
}

/// Reads batches ahead. Ends with the log, or when nobody takes them any more.
fn read(mut replay: Replay, to_check: &Sender<ToCheck>, to_redo: &Sender<Result<Ahead, StartError>>) {
    let send = |batch: LoggedBatch, was_open: bool| {
        let LoggedBatch { opened, inbox, transactions, header } = batch;
        let transactions = Arc::new(transactions);
        let (answer, checked) = bounded(1);
        let same = Arc::clone(&transactions);
        let ahead = Ahead { opened, inbox, transactions, header, was_open, checked };
        to_redo.send(Ok(ahead)).is_ok() && to_check.send(ToCheck { transactions: same, answer }).is_ok()
    };
    let mut last = 0;
    for batch in replay.by_ref() {
        let sent = match batch {
            Ok(batch) => {
                last = batch.opened.number;
                send(batch, false)
            }
            Err(error) => {
                let _ = to_redo.send(Err(StartError::LogAccess(error.to_string())));
                false
            }
        };
        if !sent {
            return;
        }
    }
    let Rest { open, transactions, inbox, .. } = replay.rest();
    if let Some(opened) = open {
        send(LoggedBatch { opened, inbox, transactions, header: None }, true);
    } else if !transactions.is_empty() {
        let what = "transactions stand behind it that are in no batch".into();
        let _ = to_redo.send(Err(StartError::Batch { batch: last, what }));
    }
}

/// Decodes transactions and checks their signatures until nobody sends any more.
fn check(plane: &Plane, seed: u64, live: &RwLock<Live>, from: &Receiver<ToCheck>) {
    let mut ring = KeyRing::new(RING_KEYS_MAX, seed);
    for ToCheck { transactions, answer } in from {
        let look_up = |senders: &[Address]| {
            let live = live.read();
            senders.iter().map(|sender| registered_keys(&live.keystone, sender)).collect::<Result<Vec<_>, Missing>>()
        };
        let decoded = transactions.iter().map(|bytes| Transaction::decode_bounded(bytes).ok());
        let verified = decoded
            .collect::<Option<Vec<Transaction>>>()
            .and_then(|decoded| verify_ring(plane, &mut ring, look_up, decoded).ok())
            .and_then(|verified| verified.into_iter().map(|verified| verified.ok().map(Arc::new)).collect());
        // Nobody waits for it any more where an earlier batch has failed.
        let _ = answer.send(verified);
    }
}

impl Ahead {
    /// Executes it on `live`, compares what the log says of it, and moves `live` on.
    fn redo(
        self,
        plane: &Plane,
        workers: Threads,
        wanted: Wanted<'_>,
        live: &RwLock<Live>,
    ) -> Result<Redone, StartError> {
        let number = self.opened.number;
        let wrong = |what: String| StartError::Batch { batch: number, what };
        let previous = live.read().header;
        if previous.number + 1 != number {
            return Err(wrong(format!("it follows batch {}", previous.number)));
        }
        let checked = self.checked.recv().ok().flatten();
        let early = checked.and_then(|verified| self.execute(plane, &live.read(), &verified).ok());
        let closed = match early {
            Some(closed) => closed,
            None => {
                let live = live.read();
                let verified = self.check(plane, workers, &live)?;
                self.execute(plane, &live, &verified)?
            }
        };
        let at = wanted.case.and_then(|id| closed.executed.records().iter().position(|(_, known, _)| known == id));
        let case = at.map(|at| {
            let (live, prev) = (live.read(), previous.state());
            let witness = witness(plane, &live.keystone, &prev, &self.inbox, &closed.posted, &workers).to_bytes();
            let (genesis, inbox, posted) = (plane.genesis().clone(), self.inbox.clone(), closed.posted.clone());
            Case { genesis, prev, inbox, posted, witness, at: u32::try_from(at).expect("a batch is bounded") }
        });
        let proven = wanted.witnesses.filter(|(_, upto)| number > *upto);
        let witness = proven.map(|_| {
            let (journal, changes) = (closed.executed.journal(), closed.executed.changes());
            BatchWitness::collect(&live.read().keystone, journal, changes)
        });
        let witness = witness.transpose().map_err(|fault| wrong(fault.to_string()))?;
        let parts = {
            let mut live = live.write();
            let applied = live.keystone.apply(closed.executed.changes(), &workers);
            let roots = applied.map_err(|error: ApplyError| wrong(error.to_string()))?;
            let sealed = closed.executed.seal(plane, roots);
            live.header = *sealed.header();
            sealed.into_parts()
        };
        if self.header.is_some_and(|logged| logged != parts.header) {
            return Err(wrong("its header is another than the one in the log".into()));
        }
        if let (Some((files, _)), Some(witness)) = (proven, witness) {
            let kept = Kept { previous, header: parts.header, flows: parts.flows, witness: witness.encode() };
            files.write_witness(&kept).map_err(|error| proofs(&error))?;
        }
        let (header, records, withdrawals) = (parts.header, parts.records, parts.withdrawals);
        Ok(Redone {
            batch: HistoryBatch { header, records, withdrawals, posted: closed.posted },
            changes: parts.changes,
            was_sealed: self.header.is_some(),
            was_open: self.was_open,
            case,
        })
    }

    /// Decodes and checks its transactions on the state before it, and says what is wrong with them.
    fn check(&self, plane: &Plane, workers: Threads, live: &Live) -> Result<Vec<Arc<Verified>>, StartError> {
        let wrong = |what: String| StartError::Batch { batch: self.opened.number, what };
        let decoded = self.transactions.iter().map(|bytes| Transaction::decode_bounded(bytes));
        let decoded = decoded.collect::<Result<Vec<Transaction>, _>>().map_err(|reject| wrong(reject.to_string()))?;
        let verified = verify_all(plane, &live.keystone, &workers, decoded);
        let verified = verified.map_err(|missing| wrong(missing.to_string()))?.into_iter();
        verified.map(|one| one.map(Arc::new).map_err(|reject| wrong(reject.to_string()))).collect()
    }

    fn execute(&self, plane: &Plane, live: &Live, verified: &[Arc<Verified>]) -> Result<Closed, StartError> {
        let wrong = |what: String| StartError::Batch { batch: self.opened.number, what };
        let halted = |halt: Halt| wrong(halt.to_string());
        let Opened { generation, time, .. } = self.opened;
        let open = OpenBatch::open(plane, &live.keystone, live.header.state(), generation, time);
        let mut open = open.map_err(halted)?;
        let inbox = check_inbox(plane, &live.keystone, &self.inbox);
        let inbox = inbox.map_err(|missing: Missing| wrong(missing.to_string()))?;
        if !inbox.is_empty() && open.inbox(inbox).map_err(halted)?.taken != self.inbox.len() {
            return Err(wrong("it does not take its inbox entries".into()));
        }
        let pushed = open.push_with(&Threads::new_half(0), verified).map_err(halted)?;
        if let Some(at) = pushed.iter().position(|pushed| !matches!(pushed, Pushed::Included { .. })) {
            return Err(wrong(format!("its transaction {at} is not included: {:?}", pushed[at])));
        }
        open.close().map_err(halted)
    }
}
