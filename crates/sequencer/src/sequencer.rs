//! The state machine: events in, effects out.
//!
//! A batch is opened when something can go into it, gets its inbox entries first, and is cut when it is full or has been
//! open long enough; before that every transaction handed out has come back. What was included waits in the flush that is
//! filling, which is written as soon as the one before it is durable.

mod admission;
mod backlog;
mod log;
mod open;

use crate::effect::{Cut, Effect, LogEntry, Opening, Record};
use crate::event::{Event, Execution, Submission};
use crate::fault::Fault;
use crate::limits::{BATCH_MARKS_MAX, Config, Limits, LimitsError, Start};
use crate::pool::{Pool, Refused, Slot};
use crate::refusal::Refusal;
use admission::Drain;
use backlog::Backlog;
use ghostplane_types::{InboxEntry, InboxPayload, PlaneState};
use log::Log;
use open::Open;
pub use open::{gas_max, posted_bytes_max};
use std::collections::VecDeque;

/// The sequencer.
#[derive(Debug)]
pub struct Sequencer {
    config: Config,
    generation: u32,
    /// The time that a batch opened now would have; stands still while one is open. Never decreases.
    time: u64,
    /// The latest time that the newest L1 block allows; `None` before the first block.
    time_max: Option<u64>,
    pool: Pool,
    /// Handed out for execution, in order.
    executing: VecDeque<Slot>,
    executing_bytes: usize,
    open: Option<Open>,
    next_batch: u64,
    inbox: VecDeque<InboxEntry>,
    inbox_bytes: usize,
    inbox_upto: u64,
    log: Log,
    backlog: Backlog,
    disk_is_full: bool,
    drain: Drain,
    timer: Option<u64>,
}

/// How much there is of everything: for metrics, and for a test of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Transactions in the pool, those being executed included.
    pub pool_transactions: usize,
    /// Their bytes.
    pub pool_bytes: usize,
    /// Lanes whose next transaction could go now.
    pub ready: usize,
    /// Senders that the pool remembers.
    pub senders: usize,
    /// Transactions handed out for execution and not answered.
    pub executing: usize,
    /// Transactions included and not yet in an append.
    pub filling: usize,
    /// Transactions in the append in flight.
    pub in_flight: usize,
    /// Inbox entries held.
    pub inbox_entries: usize,
    /// Batches cut and not sealed.
    pub unsealed_batches: usize,
    /// Batches cut and not committed.
    pub uncommitted_batches: usize,
    /// Their posted bytes, as far as known.
    pub uncommitted_bytes: u64,
    /// Transactions answered by execution, a second.
    pub drain_per_second: u64,
    /// Whether the log has no room.
    pub disk_is_full: bool,
}

impl Sequencer {
    /// A sequencer that goes on from `start`. Until it has seen an L1 block it opens no batch, and judges what comes in
    /// by the time of the newest batch.
    pub fn new(config: Config, start: &Start) -> Result<Self, LimitsError> {
        config.limits.check()?;
        let state = &start.state;
        Ok(Self {
            generation: start.generation,
            time: state.time,
            time_max: None,
            pool: Pool::new(config.limits, config.gas_price, config.hash_seed, state.number, state.time),
            executing: VecDeque::new(),
            executing_bytes: 0,
            open: None,
            next_batch: state.number + 1,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            inbox_upto: state.inbox_upto,
            log: Log::new(&config, start),
            backlog: Backlog::new(state.number, &start.uncommitted),
            disk_is_full: false,
            drain: Drain::default(),
            timer: None,
            config,
        })
    }

    /// Takes one event at `now_ms` and adds what is to be done. After a [`Fault`] nothing in here can be relied on.
    pub fn step(&mut self, now_ms: u64, event: Event, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        self.timer = self.timer.filter(|&at_ms| at_ms > now_ms);
        self.drain.pass(now_ms);
        let mut refused = Refused::new();
        let handled = self.handle(event, effects, &mut refused);
        if handled.is_ok() {
            self.advance(now_ms, effects, &mut refused);
        }
        effects.extend(refused.into_iter().map(|(ticket, why)| Effect::Refuse { ticket, why }));
        handled
    }

    /// Whether a transaction that pays at most `gas_price_max` would find no room, and when to try again. A driver asks
    /// before it spends a signature check.
    pub fn busy(&self, gas_price_max: u64) -> Option<Refusal> {
        let retry_after_ms = self.drain.retry_after_ms(self.pool.count());
        if self.disk_is_full {
            return Some(Refusal::DiskFull { retry_after_ms });
        }
        self.pool.is_full_for(gas_price_max).then_some(Refusal::Busy { retry_after_ms })
    }

    /// How much there can be of everything.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// The index of the first inbox entry that is not held here.
    pub fn inbox_wanted(&self) -> u64 {
        let given = self.open.as_ref().map_or(0, |open| open.inbox_given().len());
        self.inbox_upto + (given + self.inbox.len()) as u64
    }

    /// How much there is of everything.
    pub fn status(&self) -> Status {
        Status {
            pool_transactions: self.pool.count(),
            pool_bytes: self.pool.bytes(),
            ready: self.pool.ready(),
            senders: self.pool.senders(),
            executing: self.executing.len(),
            filling: self.log.filling_transactions(),
            in_flight: self.log.in_flight_transactions(),
            inbox_entries: self.inbox.len() + self.open.as_ref().map_or(0, |open| open.inbox_given().len()),
            unsealed_batches: self.backlog.unsealed(),
            uncommitted_batches: self.backlog.uncommitted(),
            uncommitted_bytes: self.backlog.bytes(),
            drain_per_second: self.drain.per_second(),
            disk_is_full: self.disk_is_full,
        }
    }

    // Events.

    fn handle(&mut self, event: Event, effects: &mut Vec<Effect>, refused: &mut Refused) -> Result<(), Fault> {
        match event {
            Event::Submitted(submissions) => self.submitted(submissions, refused),
            Event::InboxExecuted { generation, batch, taken, gas } if generation == self.generation => {
                self.inbox_executed(batch, taken, gas)?;
            }
            Event::Executed { generation, batch, results } if generation == self.generation => {
                self.executed(batch, results, refused)?;
            }
            // Of a generation that was reverted in the meantime.
            Event::InboxExecuted { .. } | Event::Executed { .. } => {}
            Event::Durable { append } => {
                let durable = self.log.durable(append)?;
                effects.extend(durable.acknowledgement.map(Effect::Acknowledge));
                self.backlog.durable(durable.cut);
            }
            Event::DiskFull => self.disk_is_full = true,
            Event::DiskBack => {
                if std::mem::take(&mut self.disk_is_full) {
                    effects.extend(self.log.again().map(Effect::Append));
                }
            }
            Event::L1Block { time, entries } => self.l1_block(time, entries)?,
            Event::Sealed { header } if header.generation == self.generation => {
                self.backlog.seal(&header)?;
                self.pool.seal(header.number);
            }
            Event::Committed { generation, number } if generation == self.generation => {
                self.backlog.commit(number)?;
            }
            Event::Sealed { .. } | Event::Committed { .. } | Event::Tick => {}
            Event::Reverted { state, generation } => self.reverted(&state, generation, refused)?,
        }
        Ok(())
    }

    fn submitted(&mut self, submissions: Vec<Submission>, refused: &mut Refused) {
        let retry_after_ms = self.drain.retry_after_ms(self.pool.count());
        for submission in submissions {
            if self.disk_is_full {
                refused.push((submission.ticket, Refusal::DiskFull { retry_after_ms }));
            } else {
                self.pool.submit(submission, retry_after_ms, refused);
            }
        }
    }

    fn inbox_executed(&mut self, batch: u64, taken: usize, gas: u64) -> Result<(), Fault> {
        let open = open_batch(&mut self.open, batch)?;
        let has_room = open.is_empty();
        let given = open.inbox_answered(taken, gas)?;
        let Some(first) = given.first().map(|entry| entry.index) else { unreachable!("checked in inbox_answered") };
        if taken == 0 && has_room {
            return Err(Fault::Inbox { batch, taken, given: given.len() });
        }
        if taken > 0 {
            self.log.open_mark(open);
            open.take_entries(taken);
            self.log.mark(LogEntry::Inbox { first, count: taken as u64 });
            self.inbox_upto += taken as u64;
        }
        for (at, entry) in given.into_iter().enumerate().rev() {
            if at >= taken {
                self.inbox.push_front(entry);
            } else {
                self.inbox_bytes -= bytes_held(&entry);
            }
        }
        Ok(())
    }

    fn executed(&mut self, batch: u64, results: Vec<Execution>, refused: &mut Refused) -> Result<(), Fault> {
        let open = open_batch(&mut self.open, batch)?;
        if results.len() > self.executing.len() {
            return Err(Fault::Results { found: results.len(), outstanding: self.executing.len() });
        }
        if !open.inbox_given().is_empty() {
            return Err(Fault::OutOfTurn { batch, what: "transactions were executed before the inbox" });
        }
        self.drain.count(results.len());
        for result in results {
            let slot = self.executing.pop_front().expect("counted above");
            self.executing_bytes -= self.pool.pooled(slot).bytes as usize;
            open.answered(self.pool.pooled(slot));
            if open.is_full() && result != Execution::Full {
                return Err(Fault::OutOfTurn { batch, what: "a transaction was tried after one that found no room" });
            }
            match result {
                Execution::Included { outcome, posted_bytes } => {
                    let pooled = self.pool.include(slot, batch, refused);
                    self.log.open_mark(open);
                    open.include(&pooled, &outcome, posted_bytes);
                    let tx_id = pooled.verified.id();
                    let record = Record { ticket: pooled.ticket, tx_id, position: self.log.position(), batch, outcome };
                    self.log.transaction(record, pooled.verified, pooled.bytes as usize);
                }
                Execution::Rejected(reject) => self.pool.reject(slot, reject, refused),
                // What an empty batch does not take, none will.
                Execution::Full if open.is_empty() && !open.is_full() => {
                    open.fill();
                    self.pool.drop_executing(slot, Refusal::Unfit, refused);
                }
                Execution::Full => {
                    open.fill();
                    self.pool.give_back(slot, refused);
                }
            }
        }
        Ok(())
    }

    fn l1_block(&mut self, time: u64, entries: Vec<InboxEntry>) -> Result<(), Fault> {
        self.time_max = Some(time.saturating_add(self.config.l1_ahead_ms));
        let limits = &self.config.limits;
        for entry in entries {
            let expected = self.inbox_wanted();
            if entry.index < expected {
                continue;
            }
            if entry.index > expected || entry.l1_time > time {
                let (index, l1_time) = (entry.index, entry.l1_time);
                return Err(Fault::InboxOrder { index, expected, l1_time, block_time: time });
            }
            let bytes = bytes_held(&entry);
            let given = self.open.as_ref().map_or(0, |open| open.inbox_given().len());
            if self.inbox.len() + given >= limits.inbox_entries_max || self.inbox_bytes + bytes > limits.inbox_bytes_max
            {
                break;
            }
            self.inbox_bytes += bytes;
            self.inbox.push_back(entry);
        }
        Ok(())
    }

    fn reverted(&mut self, state: &PlaneState, generation: u32, refused: &mut Refused) -> Result<(), Fault> {
        if generation <= self.generation {
            return Err(Fault::Generation { found: generation, current: self.generation });
        }
        self.generation = generation;
        self.time = state.time;
        refused
            .extend(self.log.restart(generation, state.log_upto).into_iter().map(|ticket| (ticket, Refusal::Reverted)));
        self.pool.clear(state.number, state.time, refused);
        self.executing.clear();
        self.executing_bytes = 0;
        self.open = None;
        self.next_batch = state.number + 1;
        self.inbox.clear();
        self.inbox_bytes = 0;
        self.inbox_upto = state.inbox_upto;
        self.backlog.revert(state.number);
        Ok(())
    }

    // What follows.

    /// Does all that can be done now.
    fn advance(&mut self, now_ms: u64, effects: &mut Vec<Effect>, refused: &mut Refused) {
        if let Some(open) = &mut self.open {
            open.follow_clock(now_ms);
        }
        loop {
            while self.open.is_some() || self.open_next(now_ms, effects, refused) {
                self.hand_out(now_ms, effects);
                if !self.close(now_ms, effects) {
                    break;
                }
            }
            if self.disk_is_full {
                break;
            }
            // What an append takes along makes room for more to be handed out.
            let Some(append) = self.log.flush() else { break };
            effects.push(Effect::Append(append));
        }
        for (generation, batch) in self.backlog.postable(self.generation) {
            effects.push(Effect::Post { generation, batch });
        }
        self.set_timer(now_ms, effects);
    }

    /// Opens a batch if something can go into it.
    fn open_next(&mut self, now_ms: u64, effects: &mut Vec<Effect>, refused: &mut Refused) -> bool {
        let Some(time_max) = self.time_max else { return false };
        self.time = self.time.max(now_ms.min(time_max));
        self.pool.advance(self.time, refused);
        let limits = &self.config.limits;
        if self.disk_is_full || !self.backlog.has_room(limits) || !self.log.has_marks(BATCH_MARKS_MAX) {
            return false;
        }
        let opening = Opening { generation: self.generation, number: self.next_batch, time: self.time };
        let mut open = Open::new(opening, self.inbox_upto, now_ms);
        while let Some(entry) = self.inbox.pop_front_if(|entry| open.has_room_for_entry(entry)) {
            open.give_entry(entry);
        }
        if open.inbox_given().is_empty() && !self.can_hand_out(&open) {
            return false;
        }
        // Its entries may have been taken by the L1 later than our clock says it is.
        let entries = open.inbox_given().to_vec();
        self.time = entries.iter().map(|entry| entry.l1_time).fold(self.time, u64::max);
        self.pool.advance(self.time, refused);
        open.opening.time = self.time;
        effects.push(Effect::Open(open.opening));
        if !entries.is_empty() {
            effects.push(Effect::ExecuteInbox { generation: self.generation, batch: self.next_batch, entries });
        }
        self.open = Some(open);
        true
    }

    /// Whether the best transaction fits everywhere.
    fn can_hand_out(&self, open: &Open) -> bool {
        let limits = &self.config.limits;
        self.pool.best().is_some_and(|best| {
            self.executing.len() < limits.executing_max
                && self.log.has_room(limits, self.executing.len(), self.executing_bytes + best.bytes as usize)
                && open.has_room_for(best)
        })
    }

    fn hand_out(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(mut open) = self.open.take() else { return };
        let mut transactions = Vec::new();
        if !self.disk_is_full && !open.is_full() && !open.is_due(now_ms) {
            while self.can_hand_out(&open) {
                let slot = self.pool.release().expect("the best was seen");
                let pooled = self.pool.pooled(slot);
                open.give(pooled);
                transactions.push(pooled.verified.clone());
                self.executing_bytes += pooled.bytes as usize;
                self.executing.push_back(slot);
            }
        }
        if !transactions.is_empty() {
            effects.push(Effect::Execute { generation: self.generation, batch: self.next_batch, transactions });
        }
        self.open = Some(open);
    }

    /// Ends the open batch if it is complete. Says whether another may follow.
    fn close(&mut self, now_ms: u64, effects: &mut Vec<Effect>) -> bool {
        let Some(open) = &self.open else { return false };
        if !self.executing.is_empty() || !open.inbox_given().is_empty() {
            return false;
        }
        if open.is_empty() {
            effects.push(Effect::Abandon { batch: self.next_batch });
            self.open = None;
            return true;
        }
        let next_fits = self.pool.best().is_none_or(|best| open.has_room_for(best));
        if next_fits && !open.is_full() && !open.is_due(now_ms) {
            return false;
        }
        let cut: Cut = open.cut(self.log.position());
        self.log.cut(cut.opening.number);
        self.backlog.cut(&cut);
        effects.push(Effect::Cut(cut));
        self.open = None;
        self.next_batch += 1;
        true
    }

    fn set_timer(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let at_ms = match &self.open {
            // A batch that is due waits for results, not for time.
            Some(open) => open.due_ms().filter(|&due| due > now_ms),
            // Later than the L1 allows, only another block brings a change.
            None => self.pool.next_change().filter(|&at| at > now_ms && self.time_max.is_some_and(|max| at <= max)),
        };
        if let Some(at_ms) = at_ms.filter(|&at_ms| self.timer.is_none_or(|armed| at_ms < armed)) {
            self.timer = Some(at_ms);
            effects.push(Effect::SetTimer { at_ms });
        }
    }
}

/// The open batch, if results are of it.
fn open_batch(open: &mut Option<Open>, batch: u64) -> Result<&mut Open, Fault> {
    let number = open.as_ref().map(|open| open.opening.number);
    open.as_mut().filter(|open| open.opening.number == batch).ok_or(Fault::NotOpen { found: batch, open: number })
}

/// What an inbox entry takes of [`crate::Limits::inbox_bytes_max`].
fn bytes_held(entry: &InboxEntry) -> usize {
    match &entry.payload {
        InboxPayload::Deposit { .. } => 0,
        InboxPayload::Forced { transaction } => transaction.len(),
    }
}
