//! A world around the sequencer: people, an executor, a disk, an L1 and a clock, all moved by one seed. It believes
//! nothing and checks after every step.

use crate::fixture::{
    FOUNDED, PLANE, Person, Wish, applied, config, deposit, founding_state, header_of, start, verify,
};
use ghostplane_engine::Verified;
use ghostplane_ghostcipher::{Digest, Domain, hash, merkle};
use ghostplane_sequencer::sequencer::posted_bytes_max;
use ghostplane_sequencer::{
    Acknowledgement, Append, Cut, Effect, Event, Execution, Limits, LogEntry, Opening, Refusal, Sequencer, Standing,
    Submission, Ticket,
};
use ghostplane_types::limits::LANE_AHEAD_MAX;
use ghostplane_types::limits::{BATCH_BYTES_MAX, BATCH_GAS_MAX, BATCH_OPEN_MS_MAX, BATCH_TRANSACTIONS_MAX};
use ghostplane_types::{Address, Amount, Encode, InboxEntry, PlaneState, Reject};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};

/// The splitmix64 generator (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number from 0 to `limit`, which is not reached.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

pub const PEOPLE: usize = 12;
const SEQS: usize = 120;
const KINDS: u8 = 3;

/// Signed once for all seeds: for each person and number a few that differ in price and validity.
static SUPPLY: LazyLock<Vec<Arc<Verified>>> = LazyLock::new(|| {
    let mut random = Random(77);
    let mut signed = Vec::new();
    for number in 0..PEOPLE as u64 {
        let person = Person::new(number);
        for seq in 0..SEQS as u64 {
            for kind in 0..KINDS {
                let mut wish = Wish { memo: kind, ..Wish::new(seq, 1 + random.below(20) as u64) };
                match (kind, random.below(8)) {
                    (1, 0) => wish.valid_until = FOUNDED + random.below(20_000) as u64,
                    (1, 1) => wish.valid_after = FOUNDED + random.below(20_000) as u64,
                    (2, _) => wish.price += 15,
                    _ => {}
                }
                signed.push(person.sign(&wish));
            }
        }
    }
    verify(signed)
});

fn supply_index(person: usize, seq: usize, kind: usize) -> usize {
    (person * SEQS + seq) * usize::from(KINDS) + kind
}

/// What a run has to live through.
#[derive(Clone, Copy)]
pub struct Weather {
    /// The most that come in at once.
    pub submissions: usize,
    pub clock_jumps: bool,
    pub disk_fills: bool,
    pub reverts: bool,
    pub refusals: bool,
}

/// Numbers of every lane; there is one lane for each person.
type Lanes = BTreeMap<Address, u64>;

/// Where the executor stands in a batch.
struct OpenBatch {
    opening: Opening,
    since_ms: u64,
    inbox: u64,
    transactions: u64,
    gas: u64,
    bytes: u64,
}

pub struct World {
    pub sequencer: Sequencer,
    random: Random,
    limits: Limits,
    weather: Weather,
    pub now: u64,
    true_now: u64,
    generation: u32,
    // Answers.
    next_ticket: u64,
    pending: BTreeMap<Ticket, Arc<Verified>>,
    pub acknowledged: u64,
    pub refused: BTreeMap<&'static str, u64>,
    last_in_lane: BTreeMap<Address, u64>,
    // Execution.
    lanes: Lanes,
    open: Option<OpenBatch>,
    to_execute: VecDeque<Arc<Verified>>,
    inbox_to_execute: Vec<InboxEntry>,
    is_full: bool,
    // Batches.
    last: PlaneState,
    cuts: VecDeque<(Cut, Lanes)>,
    sealed: Vec<(PlaneState, Lanes)>,
    posted_upto: u64,
    committed_upto: u64,
    // Log.
    writing: Option<Arc<Append>>,
    asked: u64,
    disk_is_full: bool,
    next_position: u64,
    durable_position: u64,
    prev_flush: (u64, Digest),
    // L1.
    l1_time: u64,
    inbox: Vec<InboxEntry>,
    /// Of all effects in order.
    pub digest: Digest,
}

impl World {
    pub fn new(seed: u64, limits: Limits, weather: Weather) -> Self {
        let state = founding_state();
        Self {
            sequencer: Sequencer::new(config(limits), &start()).expect("limits of a test"),
            random: Random(seed),
            limits,
            weather,
            now: FOUNDED,
            true_now: FOUNDED,
            generation: 0,
            next_ticket: 0,
            pending: BTreeMap::new(),
            acknowledged: 0,
            refused: BTreeMap::new(),
            last_in_lane: BTreeMap::new(),
            lanes: Lanes::new(),
            open: None,
            to_execute: VecDeque::new(),
            inbox_to_execute: Vec::new(),
            is_full: false,
            last: state,
            cuts: VecDeque::new(),
            sealed: vec![(state, Lanes::new())],
            posted_upto: 0,
            committed_upto: 0,
            writing: None,
            asked: 0,
            disk_is_full: false,
            next_position: 0,
            durable_position: 0,
            prev_flush: (0, Digest::ZERO),
            l1_time: FOUNDED,
            inbox: Vec::new(),
            digest: Digest::ZERO,
        }
    }

    /// One thing happens.
    pub fn turn(&mut self) {
        self.pass_time();
        match self.random.below(10) {
            0..3 => self.people_submit(),
            3..6 => self.execute(),
            6 => self.write(),
            7 => self.seal(),
            8 => self.l1_block(),
            _ if self.weather.reverts && self.random.one_in(60) => self.revert(),
            _ => self.step(Event::Tick),
        }
    }

    /// Everything that is due is done, and nothing new comes in. Whoever waits for a number that does not come expires.
    pub fn finish(&mut self) {
        self.weather =
            Weather { submissions: 0, clock_jumps: false, disk_fills: false, reverts: false, refusals: false };
        for _ in 0..400 {
            self.settle();
        }
        self.true_now += ghostplane_types::limits::VALIDITY_MS_MAX + 40_000;
        self.now = self.true_now;
        for _ in 0..20 {
            self.settle();
        }
        assert!(self.pending.is_empty(), "{} tickets have no answer", self.pending.len());
        let status = self.sequencer.status();
        let left = [status.pool_transactions, status.executing, status.filling, status.in_flight, status.senders];
        assert_eq!(left, [0; 5]);
    }

    fn settle(&mut self) {
        self.true_now += 60;
        self.now = self.true_now;
        self.execute();
        self.write();
        self.seal();
        self.l1_block();
        self.step(Event::Tick);
    }

    fn pass_time(&mut self) {
        self.true_now += self.random.below(12) as u64;
        self.now = self.true_now;
        if self.weather.clock_jumps && self.random.one_in(20) {
            let by = self.random.below(200_000) as u64;
            self.now = if self.random.one_in(2) { self.now + by } else { self.now - by };
        }
    }

    fn people_submit(&mut self) {
        let submissions = (0..self.random.below(self.weather.submissions + 1)).map(|_| {
            let person = self.random.below(PEOPLE);
            let sender = SUPPLY[supply_index(person, 0, 0)].body().sender;
            let (next, executed) = (self.sealed_next(&sender), self.lanes.get(&sender).copied().unwrap_or(0));
            let ahead = if self.random.one_in(30) { 70 } else { self.random.below(6) };
            let behind = usize::from(self.random.one_in(30));
            let seq = (usize::try_from(executed).expect("small") + ahead).saturating_sub(behind).min(SEQS - 1);
            let verified = SUPPLY[supply_index(person, seq, self.random.below(KINDS.into()))].clone();
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            self.pending.insert(ticket, verified.clone());
            let units = if self.random.one_in(100) { 5 } else { 1 << 50 };
            Submission {
                ticket,
                verified,
                standing: Standing { next, balance: Amount::new(units).expect("small"), mana: 0 },
            }
        });
        let submissions = submissions.collect();
        self.step(Event::Submitted(submissions));
    }

    fn sealed_next(&self, sender: &Address) -> u64 {
        let (_, lanes) = self.sealed.last().expect("genesis is sealed");
        lanes.get(sender).copied().unwrap_or(0)
    }

    fn execute(&mut self) {
        let Some(open) = &mut self.open else { return };
        let (generation, batch) = (open.opening.generation, open.opening.number);
        if !self.inbox_to_execute.is_empty() {
            assert_eq!(open.transactions, 0, "the inbox comes first");
            let given = std::mem::take(&mut self.inbox_to_execute);
            let fewer = self.weather.refusals && self.random.one_in(8);
            let taken = if fewer { 1 + self.random.below(given.len()) } else { given.len() };
            self.is_full = taken < given.len();
            open.inbox += taken as u64;
            open.gas += 2_300 * taken as u64;
            self.step(Event::InboxExecuted { generation, batch, taken, gas: 2_300 * taken as u64 });
            return;
        }
        let count =
            if self.weather.refusals { self.random.below(self.to_execute.len() + 1) } else { self.to_execute.len() };
        let results: Vec<Execution> = (0..count).map(|_| self.execute_one()).collect();
        if !results.is_empty() {
            self.step(Event::Executed { generation, batch, results });
        }
    }

    fn execute_one(&mut self) -> Execution {
        let verified = self.to_execute.pop_front().expect("counted by the caller");
        let open = self.open.as_mut().expect("checked by the caller");
        let (body, time) = (verified.body(), open.opening.time);
        let is_empty = open.transactions == 0 && open.inbox == 0;
        self.is_full |= self.weather.refusals && !is_empty && self.random.one_in(60);
        if self.is_full {
            return Execution::Full;
        }
        let next = self.lanes.entry(body.sender).or_default();
        let found = body.nonce.seq;
        assert!(body.valid_after <= time && time <= body.valid_until, "handed out at the wrong time");
        if found != *next {
            let reject = if found < *next {
                Reject::NonceUsed { found, next: *next }
            } else {
                Reject::NonceGap { found, next: *next }
            };
            return Execution::Rejected(reject);
        }
        if self.weather.refusals && self.random.one_in(25) {
            return Execution::Rejected(Reject::FeeUnpayable { balance: 0, needed: 1 });
        }
        *next += 1;
        let posted_bytes = if self.random.one_in(2) { 90 } else { posted_bytes_max(&verified) };
        let outcome = applied(&verified);
        open.transactions += 1;
        open.gas += outcome.gas;
        open.bytes += u64::from(posted_bytes);
        Execution::Included { outcome, posted_bytes }
    }

    fn write(&mut self) {
        if self.disk_is_full {
            self.disk_is_full = self.weather.disk_fills && !self.random.one_in(3);
            if !self.disk_is_full {
                self.step(Event::DiskBack);
            }
            return;
        }
        if self.weather.disk_fills && self.random.one_in(15) {
            self.disk_is_full = true;
            self.writing = None;
            self.step(Event::DiskFull);
            return;
        }
        let Some(append) = self.writing.take() else { return };
        for entry in &append.entries {
            if let LogEntry::Transaction { position, .. } = entry {
                assert_eq!(*position, self.durable_position, "positions have no gaps");
                self.durable_position += 1;
            }
        }
        self.step(Event::Durable { append: append.number });
    }

    fn seal(&mut self) {
        let Some((cut, lanes)) = self.cuts.pop_front() else { return };
        let mut header = header_of(&cut);
        header.bytes -= header.bytes / 3;
        self.sealed.push((header.state(), lanes));
        self.step(Event::Sealed { header });
    }

    fn l1_block(&mut self) {
        // Honest time, and only now and then a new block.
        if self.true_now < self.l1_time + 100 {
            return;
        }
        self.l1_time = self.true_now;
        for _ in 0..self.random.below(4) {
            if self.weather.submissions > 0 {
                self.inbox.push(deposit(self.inbox.len() as u64, self.l1_time));
            }
        }
        let wanted = usize::try_from(self.sequencer.inbox_wanted()).expect("small");
        // Sometimes from the beginning, which does no harm.
        let from = if self.random.one_in(4) { 0 } else { wanted };
        let entries = self.inbox[from..].to_vec();
        self.step(Event::L1Block { time: self.l1_time, entries });
        if self.posted_upto > self.committed_upto && !self.random.one_in(3) {
            self.committed_upto = self.posted_upto;
            self.step(Event::Committed { generation: self.generation, number: self.committed_upto });
        }
    }

    fn revert(&mut self) {
        if self.committed_upto == 0 {
            return;
        }
        let back = 1 + self.random.below(3.min(usize::try_from(self.committed_upto).expect("small"))) as u64;
        let number = self.committed_upto - back;
        self.sealed.truncate(usize::try_from(number).expect("small") + 1);
        let (state, lanes) = self.sealed.last().expect("genesis is sealed").clone();
        self.generation += 1;
        self.last_in_lane = lanes.iter().filter(|(_, next)| **next > 0).map(|(of, next)| (*of, next - 1)).collect();
        (self.lanes, self.last) = (lanes, state);
        (self.open, self.writing, self.is_full) = (None, None, false);
        self.to_execute.clear();
        self.inbox_to_execute.clear();
        self.cuts.clear();
        (self.posted_upto, self.committed_upto) = (number, number);
        (self.next_position, self.durable_position) = (state.log_upto, state.log_upto);
        self.prev_flush = (0, Digest::ZERO);
        let stale = self.asked.checked_sub(1);
        self.step(Event::Reverted { state, generation: self.generation });
        assert!(self.pending.is_empty(), "a revert answers everybody");
        // The disk finishes what it was asked for before, and nobody minds.
        stale.into_iter().for_each(|append| self.step(Event::Durable { append }));
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.sequencer.step(self.now, event, &mut effects).expect("an honest driver");
        for effect in effects {
            let line = format!("{effect:?}");
            self.digest = hash(Domain::Test, 0, &[self.digest.as_bytes(), line.as_bytes()]);
            self.take(effect);
        }
        self.check_limits();
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Open(opening) => self.take_open(opening),
            Effect::ExecuteInbox { entries, .. } => {
                let time = self.open.as_ref().expect("just opened").opening.time;
                for (next, entry) in (self.last.inbox_upto..).zip(&entries) {
                    assert_eq!(entry.index, next, "the inbox has no gaps");
                    assert!(entry.l1_time <= time, "never before what the batch consumes");
                }
                self.inbox_to_execute = entries;
            }
            Effect::Execute { batch, transactions, .. } => {
                assert_eq!(Some(batch), self.open.as_ref().map(|open| open.opening.number));
                assert!(!self.is_full && !self.disk_is_full, "nothing goes where nothing can");
                self.to_execute.extend(transactions);
            }
            Effect::Abandon { batch } => {
                let open = self.open.take().expect("a batch is open");
                assert_eq!((open.opening.number, open.transactions, open.inbox), (batch, 0, 0));
            }
            Effect::Cut(cut) => self.take_cut(cut),
            Effect::Append(append) => self.take_append(append),
            Effect::Acknowledge(done) => self.take_acknowledgement(&done),
            Effect::Post { generation, batch } => {
                assert_eq!((generation, batch), (self.generation, self.posted_upto + 1));
                assert!(self.sealed.last().is_some_and(|(state, _)| state.number >= batch), "sealed before posted");
                let (state, _) = &self.sealed[usize::try_from(batch).expect("small")];
                assert!(state.log_upto <= self.durable_position, "durable before posted");
                self.posted_upto = batch;
            }
            Effect::Refuse { ticket, why } => {
                self.pending.remove(&ticket).expect("one answer for each ticket");
                *self.refused.entry(name_of(&why)).or_default() += 1;
                if let Refusal::Busy { retry_after_ms } = why {
                    assert!((10..=10_000).contains(&retry_after_ms));
                }
            }
            Effect::SetTimer { at_ms } => assert!(at_ms > self.now, "a timer is of the future"),
        }
    }

    fn take_open(&mut self, opening: Opening) {
        assert!(self.open.is_none(), "one batch is open");
        assert_eq!((opening.generation, opening.number), (self.generation, self.last.number + 1));
        assert!(opening.time >= self.last.time, "time never decreases");
        assert!(opening.time <= self.l1_time.max(self.last.time), "time is bounded by the L1");
        self.is_full = false;
        let since_ms = self.now;
        self.open = Some(OpenBatch { opening, since_ms, inbox: 0, transactions: 0, gas: 0, bytes: 32 });
    }

    fn take_cut(&mut self, cut: Cut) {
        let open = self.open.take().expect("a batch is open");
        assert!(self.to_execute.is_empty() && self.inbox_to_execute.is_empty(), "cut when all have come back");
        assert_eq!(cut.opening, open.opening);
        assert_eq!(cut.log_upto, self.last.log_upto + open.transactions);
        assert_eq!(cut.inbox_upto, self.last.inbox_upto + open.inbox);
        assert_eq!((cut.gas, u64::from(cut.posted_bytes_max)), (open.gas, open.bytes));
        let count = open.transactions + open.inbox;
        assert!((1..=BATCH_TRANSACTIONS_MAX as u64).contains(&count), "{count}");
        assert!(open.gas <= BATCH_GAS_MAX && open.bytes <= BATCH_BYTES_MAX as u64);
        self.last = header_of(&cut).state();
        self.cuts.push_back((cut, self.lanes.clone()));
    }

    fn take_append(&mut self, append: Arc<Append>) {
        assert!(self.writing.is_none(), "one append is in flight");
        self.asked = self.asked.max(append.number + 1);
        let ids: Vec<Digest> = append
            .entries
            .iter()
            .filter_map(
                |entry| if let LogEntry::Transaction { verified, .. } = entry { Some(verified.id()) } else { None },
            )
            .collect();
        assert_eq!(append.flush.is_some(), !ids.is_empty());
        if let Some(flush) = append.flush {
            assert_eq!(flush.root, merkle::root(&ids));
            assert_eq!(flush.generation, self.generation);
        }
        self.writing = Some(append);
    }

    fn take_acknowledgement(&mut self, done: &Acknowledgement) {
        let chain_id = PLANE.0.chain_id();
        assert_eq!((done.flush.flush, done.flush.prev_flush_digest), self.prev_flush, "the flushes are a chain");
        self.prev_flush = (done.flush.flush + 1, done.flush.digest(chain_id));
        assert_eq!(done.flush.first_position, self.next_position);
        assert!(!done.flush.to_bytes().is_empty() && !done.records.is_empty());
        for (index, record) in done.records.iter().enumerate() {
            let verified = self.pending.remove(&record.ticket).expect("one answer for each ticket");
            assert_eq!((record.tx_id, record.position), (verified.id(), self.next_position));
            assert!(record.position < self.durable_position, "durable before answered");
            assert!(record.batch <= done.flush.batch_at_most);
            let path = done.path(index).expect("one for each record");
            merkle::verify(&done.flush.root, &record.tx_id, &path).expect("the path opens");
            let (sender, seq) = (verified.body().sender, verified.body().nonce.seq);
            let before = self.last_in_lane.insert(sender, seq);
            assert_eq!(before.map_or(0, |before| before + 1), seq, "answered in the order of the lane");
            self.next_position += 1;
            self.acknowledged += 1;
        }
    }

    fn check_limits(&self) {
        let (status, limits) = (self.sequencer.status(), &self.limits);
        let bounded = [
            (status.pool_transactions, limits.pool_transactions_max),
            (status.pool_bytes, limits.pool_bytes_max),
            (status.executing, limits.executing_max),
            (status.filling, limits.flush_transactions_max),
            (status.in_flight, limits.flush_transactions_max),
            (status.inbox_entries, limits.inbox_entries_max),
            (status.unsealed_batches, limits.unsealed_batches_max),
            (status.uncommitted_batches, limits.uncommitted_batches_max),
        ];
        assert!(bounded.iter().all(|(found, limit)| found <= limit), "{status:?}");
        assert!(status.uncommitted_bytes <= limits.uncommitted_bytes_max, "{status:?}");
        assert!(status.pool_transactions as u64 <= PEOPLE as u64 * LANE_AHEAD_MAX, "{status:?}");
        assert_eq!(status.executing, self.to_execute.len());
        let waiting = status.pool_transactions + status.filling + status.in_flight;
        assert_eq!(waiting, self.pending.len(), "everybody who has no answer is held");
        // Whatever the clock does, a batch with content that nothing holds up is not open for longer than it may.
        if let Some(open) = &self.open {
            let is_due = self.now >= open.since_ms + BATCH_OPEN_MS_MAX;
            let is_idle = self.to_execute.is_empty() && self.inbox_to_execute.is_empty();
            let jumped = self.weather.clock_jumps;
            assert!(!(is_due && is_idle) || jumped, "open since {} at {}", open.since_ms, self.now);
        }
    }
}

fn name_of(why: &Refusal) -> &'static str {
    match why {
        Refusal::Reject(_) => "reject",
        Refusal::Busy { .. } => "busy",
        Refusal::DiskFull { .. } => "disk full",
        Refusal::Underpriced { .. } => "underpriced",
        Refusal::Known => "known",
        Refusal::Replaced { .. } => "replaced",
        Refusal::Evicted => "evicted",
        Refusal::Unfit => "unfit",
        Refusal::Reverted => "reverted",
    }
}
