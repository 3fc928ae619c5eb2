//! The one thread that orders and executes: it drives the sequencer's state machine and carries out what that asks for.
//!
//! Execution, hashing and order share this thread, so that nothing between them needs a lock and every batch is executed on
//! the state after the one before. Signatures, disk, answers, history and the L1 have threads of their own.

use super::answer::ToAnswer;
use super::api::{Answers, NodeEvent, Refusal};
use super::archive::ToArchive;
use super::prove::Provable;
use super::settle::ToSettle;
use super::verify::{Sink, VerifiedGroup};
use super::writer::ToWriter;
use super::{Inner, Live, now_ms};
use crate::local::Threads;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use foldhash::fast::RandomState;
use ghostplane_engine::{ExecutedBatch, Halt, OpenBatch, Plane, Pushed, check_inbox};
use ghostplane_ghostcipher::Signature;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{ApplyError, Changeset, Keystone, Missing, StateView};
use ghostplane_proof::{BatchWitness, WitnessFault};
use ghostplane_sequencer::{
    Effect, Event, Execution, Fault, LogEntry, Opening, Sequencer, Standing, Submission, Ticket,
};
use ghostplane_store::HistoryBatch;
use ghostplane_types::{AccountRecord, Address, Amount, AssetId, Decode, InboxEntry, ObjectKey, Pay, SlotIndex};
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use thiserror::Error;

/// With so many lanes ready to go, no more is taken from those that check signatures: they wait, and so do the streams.
const READY_ENOUGH: usize = 8_192;
/// The longest that the thread waits without looking at the clock, which may be set.
const IDLE_MS_MAX: u64 = 250;
/// How long a stopping node goes on with what it has taken.
const STOPPING_MS_MAX: u64 = 2_000;

/// What the core is told.
pub(super) enum ToCore {
    Verified(VerifiedGroup),
    /// The log has an append, under this signature.
    Durable {
        append: u64,
        signature: Option<Signature>,
    },
    DiskFull,
    DiskBack,
    L1Block {
        time: u64,
        entries: Vec<InboxEntry>,
    },
    Committed {
        generation: u32,
        number: u64,
    },
    Stop,
}

/// Who waits for an answer.
pub(super) struct Waiter {
    pub(super) sink: Sink,
    pub(super) reference: u64,
}

/// Why the core ends early.
#[derive(Debug, Error)]
pub(super) enum CoreError {
    #[error("the sequencer and its driver disagree: {0}")]
    Fault(#[from] Fault),
    #[error("a batch cannot be executed: {0}")]
    Halt(#[from] Halt),
    #[error("the state does not take a batch's changes: {0}")]
    Apply(#[from] ApplyError),
    #[error("the node's own state says too little: {0}")]
    Missing(#[from] Missing),
    #[error("no witness can be collected: {0}")]
    Witness(#[from] WitnessFault),
    #[error("{0}")]
    Inconsistent(&'static str),
    #[error("a part of the node has ended: {0}")]
    Gone(&'static str),
}

/// The ways out of the core.
pub(super) struct Ways {
    pub(super) writer: Sender<ToWriter>,
    pub(super) answer: Sender<ToAnswer>,
    pub(super) archive: Sender<ToArchive>,
    pub(super) settle: Sender<ToSettle>,
    /// One for each message from the L1 that is on its way here: taking it makes room for another.
    pub(super) l1_news: Receiver<()>,
    pub(super) witnesses: Sender<Provable>,
}

pub(super) struct Core {
    shared: Arc<Inner>,
    sequencer: Sequencer,
    /// Who asks covenants ahead.
    deciders: Threads,
    from: Receiver<ToCore>,
    ways: Ways,
    effects: VecDeque<Effect>,
    scratch: Vec<Effect>,
    /// Verified and not handed to the sequencer yet; bounded by the permits that each group holds.
    pending: VecDeque<VerifiedGroup>,
    waiters: HashMap<u64, Waiter, RandomState>,
    next_ticket: u64,
    signatures: VecDeque<(u64, Signature)>,
    /// Entries that are executed and not in the log yet.
    inbox: BTreeMap<u64, InboxEntry>,
    sealed: VecDeque<SealedHere>,
    timer: Option<u64>,
    stop_at: Option<u64>,
}

/// A batch that the log may not have all of yet.
struct SealedHere {
    batch: Arc<HistoryBatch>,
    changes: Changeset,
    provable: Option<Provable>,
}

/// What comes next.
enum Next {
    Effect(Effect),
    Stop,
}

impl Core {
    pub(super) fn new(
        shared: Arc<Inner>,
        sequencer: Sequencer,
        deciders: Threads,
        from: Receiver<ToCore>,
        ways: Ways,
    ) -> Self {
        Self {
            shared,
            sequencer,
            deciders,
            from,
            ways,
            effects: VecDeque::new(),
            scratch: Vec::new(),
            pending: VecDeque::new(),
            waiters: HashMap::default(),
            next_ticket: 0,
            signatures: VecDeque::new(),
            inbox: BTreeMap::new(),
            sealed: VecDeque::new(),
            timer: None,
            stop_at: None,
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) -> Result<(), CoreError> {
        let ended = loop {
            match self.next(None) {
                Ok(Next::Effect(Effect::Open(opening))) => match self.batch(opening) {
                    Ok(true) => {}
                    ended => break ended.map(drop),
                },
                Ok(Next::Effect(effect)) => {
                    if let Err(error) = self.carry_out(effect) {
                        break Err(error);
                    }
                }
                Ok(Next::Stop) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for group in std::mem::take(&mut self.pending) {
            refuse_stopping(group);
        }
        ended
    }

    /// One batch from opening to sealing. `false` if the node is to stop.
    fn batch(&mut self, opening: Opening) -> Result<bool, CoreError> {
        let shared = Arc::clone(&self.shared);
        let live = shared.live.read();
        let prev = live.header.state();
        let mut open = OpenBatch::open(&shared.plane, &live.keystone, prev, opening.generation, opening.time)?;
        loop {
            match self.next(Some(&live))? {
                Next::Stop => return Ok(false),
                Next::Effect(Effect::ExecuteInbox { generation, batch, entries }) => {
                    let checked = check_inbox(&shared.plane, &live.keystone, &entries)?;
                    let done = open.inbox(checked)?;
                    self.inbox.extend(entries.into_iter().take(done.taken).map(|entry| (entry.index, entry)));
                    self.step(Event::InboxExecuted { generation, batch, taken: done.taken, gas: done.gas })?;
                }
                Next::Effect(Effect::Execute { generation, batch, transactions }) => {
                    let pushed = transactions.iter().zip(open.push_with(&self.deciders, &transactions)?);
                    let results = pushed.map(|(transaction, pushed)| match pushed {
                        Pushed::Included { outcome, posted_bytes, refused } => {
                            if let Some(refused) = refused {
                                shared.refusals.lock().note(transaction.id(), refused);
                            }
                            Execution::Included { outcome, posted_bytes }
                        }
                        Pushed::Rejected(reject) => Execution::Rejected(reject),
                        Pushed::Full => Execution::Full,
                    });
                    let results = results.collect();
                    self.step(Event::Executed { generation, batch, results })?;
                }
                Next::Effect(Effect::Abandon { .. }) => return Ok(true),
                Next::Effect(Effect::Cut(_)) => break,
                Next::Effect(effect) => self.carry_out(effect)?,
            }
        }
        let closed = open.close()?;
        let previous = live.header;
        let witness = self.collect(&live.keystone, &closed.executed)?;
        drop(live);
        let parts = {
            let mut live = shared.live.write();
            let roots = live.keystone.apply(closed.executed.changes(), &Serial)?;
            let sealed = closed.executed.seal(&shared.plane, roots);
            live.header = *sealed.header();
            sealed.into_parts()
        };
        let header = parts.header;
        let (records, withdrawals) = (parts.records, parts.withdrawals);
        let flows = parts.flows;
        let provable = witness.map(|witness| Provable { previous, header, flows, witness });
        let batch = Arc::new(HistoryBatch { header, records, withdrawals, posted: closed.posted });
        self.sealed.push_back(SealedHere { batch, changes: parts.changes, provable });
        shared.progress.send_modify(|progress| progress.sealed = header.number);
        self.ways.writer.send(ToWriter::Sealed(header)).map_err(|_| CoreError::Gone("the log"))?;
        self.step(Event::Sealed { header })?;
        Ok(true)
    }

    /// What a prover will need to know of a batch, which only the state before it can tell. Just before it is applied: the
    /// nodes that this reads are those that applying reads.
    fn collect(&self, before: &Keystone, executed: &ExecutedBatch) -> Result<Option<BatchWitness>, CoreError> {
        let proving = &self.shared.proving;
        if !proving.is_on() {
            return Ok(None);
        }
        let started = Instant::now();
        let witness = BatchWitness::collect(before, executed.journal(), executed.changes())?;
        let spent = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        proving.collecting_us.fetch_add(spent, Ordering::Relaxed);
        Ok(Some(witness))
    }

    /// The next thing to do; waits for news if there is none.
    fn next(&mut self, live: Option<&Live>) -> Result<Next, CoreError> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Ok(Next::Effect(effect));
            }
            if let Some(stop_at) = self.stop_at {
                let status = self.sequencer.status();
                let busy = status.executing + status.filling + status.in_flight + status.ready;
                if busy == 0 || now_ms() >= stop_at {
                    return Ok(Next::Stop);
                }
            }
            if self.sequencer.status().ready < READY_ENOUGH
                && let Some(group) = self.pending.pop_front()
            {
                self.submit(group, live)?;
                continue;
            }
            if self.stop_at.is_none() && self.shared.is_stopping() {
                self.stop_at = Some(now_ms() + STOPPING_MS_MAX);
                continue;
            }
            self.publish();
            let wait_ms = self.timer.map_or(IDLE_MS_MAX, |at_ms| at_ms.saturating_sub(now_ms()).min(IDLE_MS_MAX));
            match self.from.recv_timeout(Duration::from_millis(wait_ms)) {
                Ok(message) => {
                    self.take(message)?;
                    // News that waits already is cheap to take along, and groups taken together are executed together.
                    for message in self.from.try_iter().take(64).collect::<Vec<ToCore>>() {
                        self.take(message)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.timer = self.timer.filter(|&at_ms| at_ms > now_ms());
                    self.step(Event::Tick)?;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(Next::Stop),
            }
        }
    }

    fn take(&mut self, message: ToCore) -> Result<(), CoreError> {
        if matches!(message, ToCore::L1Block { .. } | ToCore::Committed { .. }) {
            let _ = self.ways.l1_news.try_recv();
        }
        match message {
            ToCore::Verified(group) if self.stop_at.is_some() => refuse_stopping(group),
            ToCore::Verified(group) => self.pending.push_back(group),
            ToCore::Durable { append, signature } => {
                self.signatures.extend(signature.map(|signature| (append, signature)));
                self.step(Event::Durable { append })?;
            }
            ToCore::DiskFull => {
                self.shared.set_disk_full(true);
                self.step(Event::DiskFull)?;
            }
            ToCore::DiskBack => {
                self.shared.set_disk_full(false);
                self.step(Event::DiskBack)?;
            }
            ToCore::L1Block { time, entries } => self.step(Event::L1Block { time, entries })?,
            ToCore::Committed { generation, number } => self.step(Event::Committed { generation, number })?,
            ToCore::Stop => self.stop_at = Some(now_ms() + STOPPING_MS_MAX),
        }
        Ok(())
    }

    fn step(&mut self, event: Event) -> Result<(), CoreError> {
        let stepped = self.sequencer.step(now_ms(), event, &mut self.scratch);
        self.effects.extend(self.scratch.drain(..));
        self.shared.inbox_wanted.store(self.sequencer.inbox_wanted(), Ordering::Relaxed);
        Ok(stepped?)
    }

    /// Hands a group to the sequencer, with what the newest sealed state says of each sender.
    fn submit(&mut self, group: VerifiedGroup, live: Option<&Live>) -> Result<(), CoreError> {
        let VerifiedGroup { sink, transactions, permit } = group;
        let mut standings = Vec::with_capacity(transactions.len());
        let standings_in = |live: &Live, standings: &mut Vec<Standing>| {
            // The batch that may include them has a time of about now.
            let time = live.header.time.max(now_ms());
            standings_of(&self.shared.plane, &live.keystone, time, &transactions, standings)
        };
        match live {
            Some(live) => standings_in(live, &mut standings)?,
            None => standings_in(&self.shared.live.read(), &mut standings)?,
        }
        let mut submissions = Vec::with_capacity(transactions.len());
        for ((reference, verified), standing) in transactions.into_iter().zip(standings) {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.waiters.insert(ticket, Waiter { sink: sink.clone(), reference });
            submissions.push(Submission { ticket: Ticket(ticket), verified, standing });
        }
        drop(permit);
        self.step(Event::Submitted(submissions))
    }

    /// Everything but what belongs to the open batch.
    fn carry_out(&mut self, effect: Effect) -> Result<(), CoreError> {
        match effect {
            Effect::Append(append) => {
                let mut inbox = Vec::new();
                for entry in &append.entries {
                    if let LogEntry::Inbox { first, count } = entry {
                        let kept = self.inbox.range(*first..first + count).map(|(_, entry)| entry.clone());
                        inbox.extend(kept);
                    }
                }
                let append = ToWriter::Append { append, inbox };
                self.ways.writer.send(append).map_err(|_| CoreError::Gone("the log"))
            }
            Effect::Acknowledge(acknowledged) => {
                let signature = loop {
                    match self.signatures.pop_front() {
                        Some((append, signature)) if append == acknowledged.append => break signature,
                        Some(_) => {}
                        None => return Err(CoreError::Inconsistent("a flush is acknowledged that nobody signed")),
                    }
                };
                let waiters = acknowledged.records.iter().map(|record| self.waiters.remove(&record.ticket.0)).collect();
                let answer = ToAnswer { acknowledged, signature, waiters };
                self.ways.answer.send(answer).map_err(|_| CoreError::Gone("the answers"))
            }
            Effect::Refuse { ticket, why } => {
                self.refuse(ticket, why.into());
                Ok(())
            }
            Effect::Post { batch, .. } => self.post(batch),
            Effect::SetTimer { at_ms } => {
                self.timer = Some(at_ms);
                Ok(())
            }
            Effect::Open(_)
            | Effect::ExecuteInbox { .. }
            | Effect::Execute { .. }
            | Effect::Abandon { .. }
            | Effect::Cut(_) => Err(CoreError::Inconsistent("an effect of an open batch, and none is open")),
        }
    }

    /// Answers a refusal, and those behind it that go the same way, with one message.
    fn refuse(&mut self, ticket: Ticket, why: Refusal) {
        let Some(Waiter { sink, reference }) = self.waiters.remove(&ticket.0) else { return };
        let mut refused = vec![(reference, why)];
        while let Some(Effect::Refuse { ticket, .. }) = self.effects.front()
            && self.waiters.get(&ticket.0).is_some_and(|waiter| waiter.sink.id == sink.id)
        {
            let Some(Effect::Refuse { ticket, why }) = self.effects.pop_front() else { break };
            let Some(waiter) = self.waiters.remove(&ticket.0) else { break };
            refused.push((waiter.reference, why.into()));
        }
        self.shared.counters.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
        sink.send(Answers::Refused(refused));
    }

    /// A batch is sealed and the log has all of it: now it may be shown, kept and committed.
    fn post(&mut self, number: u64) -> Result<(), CoreError> {
        if self.sealed.front().is_some_and(|sealed| sealed.batch.header.number == number) {
            let SealedHere { batch, changes, provable } = self.sealed.pop_front().expect("just seen");
            self.inbox = self.inbox.split_off(&batch.header.inbox_upto);
            let log = |source: &&(ghostplane_types::Source, _, _)| matches!(source.0, ghostplane_types::Source::Log(_));
            let transactions = u32::try_from(batch.records.iter().filter(log).count()).expect("bounded");
            let inbox_entries = u32::try_from(batch.records.len()).expect("bounded") - transactions;
            self.shared.batches.write().insert(number, Arc::clone(&batch));
            self.shared.progress.send_modify(|progress| progress.shown = number);
            let event = NodeEvent::BatchSealed { header: batch.header, transactions, inbox_entries };
            let _ = self.shared.events.send(event);
            let archive = ToArchive::Batch(Arc::clone(&batch), changes);
            if let Some(provable) = provable {
                self.ways.witnesses.send(provable).map_err(|_| CoreError::Gone("the witnesses"))?;
            }
            self.ways.archive.send(archive).map_err(|_| CoreError::Gone("the history"))?;
        }
        self.ways.settle.send(ToSettle::Post { number }).map_err(|_| CoreError::Gone("the way to the L1"))
    }

    /// Lets others see how it stands.
    fn publish(&self) {
        let mut pulse = self.shared.pulse.lock();
        pulse.sequencer = self.sequencer.status();
        pulse.pending = self.pending.len() as u64;
    }
}

fn refuse_stopping(group: VerifiedGroup) {
    let stopping = Refusal::Stopping { retry_after_ms: 1_000 };
    let refused = group.transactions.into_iter().map(|(reference, _)| (reference, stopping.clone()));
    group.sink.send(Answers::Refused(refused.collect()));
}

/// What the state says of every sender: first all records, then all balances, so that memory is waited for once each.
/// Mana is as of `time`.
fn standings_of(
    plane: &Plane,
    view: &Keystone,
    time: u64,
    transactions: &[(u64, Arc<ghostplane_engine::Verified>)],
    standings: &mut Vec<Standing>,
) -> Result<(), Missing> {
    let record_of = |address: &Address| -> Result<Option<AccountRecord>, Missing> {
        let object = view.object(&ObjectKey::account(address))?;
        Ok(object.and_then(|object| AccountRecord::from_bytes(object.value).ok()))
    };
    let balance_of = |slot: Option<SlotIndex>| -> Result<Amount, Missing> {
        let slot = slot.map(|slot| view.slot(slot)).transpose()?.flatten();
        Ok(slot.map_or(Amount::ZERO, |slot| slot.balance))
    };
    let mut known = Vec::with_capacity(transactions.len());
    for (_, verified) in transactions {
        let body = verified.body();
        let record = record_of(&body.sender)?;
        let next = record.as_ref().map_or(0, |record| record.next_in_lane(body.nonce.lane));
        let (payer, mana) = match &body.pay {
            Pay::Gcc => (record, 0),
            Pay::Mana => {
                let zman = balance_of(record.as_ref().and_then(|record| record.slot_of(AssetId::ZMAN)))?;
                let terms = &plane.genesis().mana;
                let now = record.as_ref().map(|record| terms.now(record.mana(), zman, record.level(time), time));
                (None, now.unwrap_or_default().gas())
            }
            Pay::Sponsor(of) => (record_of(&of.sponsor)?, 0),
        };
        known.push((next, payer.and_then(|record| record.slot_of(AssetId::GCC)), mana));
    }
    for (next, slot, mana) in known {
        standings.push(Standing { next, balance: balance_of(slot)?, mana });
    }
    Ok(())
}
