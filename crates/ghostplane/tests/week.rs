//! A week of a plane in simulated time: the sequencer orders, the engine executes, the settlement takes it, and a clock that a
//! test moves tells all of them what time it is. A batch every two and a half simulated minutes, one seed.

use ghostplane::local::LocalL1;
use ghostplane::payments::SplitMix;
use ghostplane_engine::{OpenBatch, Plane, Pushed, check_inbox, verify_all};
use ghostplane_ghostbridge::run;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, Domain, SigningKey, digest};
use ghostplane_keystone::{Keystone, StateView as _};
use ghostplane_sequencer::{
    Config, Effect, Event, Execution, Limits, Opening, Sequencer, Standing, Start, Submission, Ticket,
};
use ghostplane_settlement::Message;
use ghostplane_types::genesis::{CHAIN_DEV, SYSTEM_STORAGE};
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, AssetId, BatchHeader, Decode as _, EntityType, Genesis, Gid, KeyRef,
    L1Address, Nonce, ObjectKey, Outcome, Pay, PublicKey, Transaction, TransactionBody,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const FOUNDED: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 24 * 3_600_000;
/// One step: a few payments, and as many L1 blocks as fit.
const STEP_MS: u64 = 150_000;
const BLOCK_MS: u64 = 30_000;
const STEPS_A_DAY: u64 = DAY_MS / STEP_MS;
const PEOPLE: usize = 12;
const PAYMENTS_MAX: u64 = 6;

struct Person {
    key: SigningKey,
    gid: Gid,
    l1: L1Address,
}

impl Person {
    fn new(number: u64) -> Self {
        let key = SigningKey::from_seed(digest::hash(Domain::Test, 0, &[b"a week", &number.to_le_bytes()]).0);
        let public_key = PublicKey::Ed25519(key.verification_key());
        let gid = Gid { public_key, chain_id: CHAIN_DEV, entity_type: EntityType::Wallet, version: 0 };
        let l1 = run::l1_address(&key);
        Self { key, gid, l1 }
    }
}

/// What everybody must have, by what was signed and what the outcomes say it cost.
#[derive(Default)]
struct Model {
    balances: BTreeMap<Address, u64>,
    next: BTreeMap<Address, u64>,
    deposited: u64,
    fees: u64,
}

/// A sealed batch that the L1 does not have.
struct Sealed {
    header: BatchHeader,
    posted: Vec<u8>,
}

struct World {
    plane: Plane,
    operator: SigningKey,
    people: Vec<Person>,
    keystone: Keystone,
    header: BatchHeader,
    sequencer: Sequencer,
    l1: LocalL1,
    random: SplitMix,
    /// What time it is.
    true_ms: u64,
    /// What the node's clock says it is.
    clock_ms: u64,
    timer: Option<u64>,
    effects: VecDeque<Effect>,
    sent: BTreeMap<Ticket, TransactionBody>,
    next_ticket: u64,
    acknowledged: u64,
    sealed: VecDeque<Sealed>,
    posted: u64,
    committed: BatchHeader,
    model: Model,
}

impl World {
    fn new(seed: u64) -> Self {
        let operator = SigningKey::from_seed([3; 32]);
        let people: Vec<Person> = (0..PEOPLE as u64).map(Person::new).collect();
        let wallet = Person::new(1_000).gid.address();
        let plane = Plane::new(Genesis::dev(FOUNDED, operator.verification_key(), wallet)).expect("a genesis");
        let mut keystone = Keystone::new(seed);
        let roots = keystone.apply(&plane.founding_changes().expect("a genesis"), &Serial).expect("a genesis");
        let state = plane.genesis_state(roots);
        let mut l1 = LocalL1::new(&plane, &state, BLOCK_MS).expect("a settlement");
        let from = run::l1_address(&operator);
        let bond = plane.genesis().settlement.sequencer_bond;
        l1.send(from, run::bond(&plane, &operator, &from, l1.settlement().term_for(from), bond)).expect("bonded");
        let config = Config {
            chain_id: plane.chain_id(),
            plane_id: plane.plane_id(),
            gas_price: plane.genesis().gas_price,
            l1_ahead_ms: BLOCK_MS,
            hash_seed: seed,
            limits: Limits::default(),
        };
        let start =
            Start { state, generation: 0, flushes: 0, prev_flush_digest: Digest::ZERO, uncommitted: Vec::new() };
        let sequencer = Sequencer::new(config, &start).expect("the usual limits");
        let header = BatchHeader::genesis(&state);
        Self {
            plane,
            operator,
            people,
            keystone,
            header,
            sequencer,
            l1,
            random: SplitMix(seed),
            true_ms: FOUNDED,
            clock_ms: FOUNDED,
            timer: None,
            effects: VecDeque::new(),
            sent: BTreeMap::new(),
            next_ticket: 0,
            acknowledged: 0,
            sealed: VecDeque::new(),
            posted: 0,
            committed: header,
            model: Model::default(),
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    /// Time passes, and with it blocks. Then some pay, and the batch of it is made.
    fn step(&mut self, clock_is_off_by: i64) {
        for _ in 0..STEP_MS / BLOCK_MS {
            self.l1.mine(1).expect("time passes");
            self.commit();
            let from = self.sequencer.inbox_wanted();
            let upto = self.l1.settlement().inbox_ripe_upto();
            let entries = self.l1.settlement().inbox_entries(from, upto.max(from)).cloned().collect();
            let time = self.l1.block().time;
            self.true_ms = time;
            self.clock_ms = time.saturating_add_signed(clock_is_off_by);
            self.tell(Event::L1Block { time, entries });
            self.work();
        }
        let submissions = self.payments();
        self.tell(Event::Submitted(submissions));
        self.work();
        self.check_nothing_grows();
    }

    fn deposit(&mut self, who: usize, units: u64) {
        let person = &self.people[who];
        let to = person.gid.address();
        let message = Message::Deposit { asset: AssetId::GCC, l1_amount: units.into(), to };
        self.l1.send(person.l1, message).expect("taken");
        *self.model.balances.entry(to).or_default() += units;
        self.model.deposited += units;
    }

    fn payments(&mut self) -> Vec<Submission> {
        let mut submissions = Vec::new();
        for _ in 0..=self.below(PAYMENTS_MAX) {
            let from = usize::try_from(self.below(PEOPLE as u64)).expect("small");
            let to = (from + 1 + usize::try_from(self.below(PEOPLE as u64 - 1)).expect("small")) % PEOPLE;
            let amount = Amount::new(1 + self.below(1_000)).expect("small");
            let (sender, to) = (self.people[from].gid.address(), self.people[to].gid.address());
            let next = self.model.next.entry(sender).or_default();
            let body = TransactionBody {
                chain_id: self.plane.chain_id(),
                plane_id: self.plane.plane_id(),
                sender,
                nonce: Nonce { lane: Nonce::LANE_ROOT, seq: *next },
                valid_after: 0,
                valid_until: self.true_ms + 3_600_000,
                gas_limit: 10_000,
                gas_price_max: 1,
                pay: Pay::Gcc,
                key_ref: KeyRef::Carried(self.people[from].gid),
                actions: vec![Action::Transfer { to, asset: AssetId::GCC, amount }],
                memo: Vec::new(),
            };
            *next += 1;
            let auth = self.people[from].key.sign(Domain::TransactionAuth, body.chain_id, &body.id());
            let transaction =
                Transaction { body: body.clone(), auth: auth.into(), approvals: Vec::new(), sponsorship: None };
            let checked = verify_all(&self.plane, &self.keystone, &Serial, vec![transaction]).expect("a whole state");
            let verified = Arc::new(checked.into_iter().next().expect("one in, one out").expect("signed just now"));
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            let record = self.record(&sender);
            let standing = Standing {
                next: record.as_ref().map_or(0, |record| record.next_in_lane(Nonce::LANE_ROOT)),
                balance: self.balance(&sender),
                mana: 0,
            };
            self.sent.insert(ticket, body);
            submissions.push(Submission { ticket, verified, standing });
        }
        submissions
    }

    fn tell(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.sequencer.step(self.clock_ms, event, &mut effects).expect("an honest driver");
        self.effects.extend(effects);
    }

    /// Carries out what is asked for, and lets the clock come to every timer that is set.
    fn work(&mut self) {
        loop {
            while let Some(effect) = self.effects.pop_front() {
                match effect {
                    Effect::Open(opening) => self.batch(opening),
                    other => self.carry_out(other),
                }
            }
            let Some(at_ms) = self.timer.take().filter(|_| self.is_busy()) else { return };
            self.clock_ms = self.clock_ms.max(at_ms);
            self.tell(Event::Tick);
        }
    }

    fn is_busy(&self) -> bool {
        let status = self.sequencer.status();
        status.pool_transactions + status.executing + status.filling + status.in_flight > 0
    }

    /// One batch, from its opening to its seal.
    fn batch(&mut self, opening: Opening) {
        let before = self.header;
        let block = self.l1.block().time;
        assert!(opening.time >= before.time, "batch {} goes back in time", opening.number);
        assert!(
            opening.time <= block + BLOCK_MS || opening.time == before.time,
            "batch {} is {} ms past the L1",
            opening.number,
            opening.time - block
        );
        let (plane, keystone) = (self.plane.clone(), std::mem::replace(&mut self.keystone, Keystone::new(0)));
        let open = OpenBatch::open(&plane, &keystone, before.state(), opening.generation, opening.time);
        let mut open = open.expect("it follows");
        let closed = loop {
            let Some(effect) = self.effects.pop_front() else {
                let at_ms = self.timer.take().expect("an open batch has a time when it ends");
                self.clock_ms = self.clock_ms.max(at_ms);
                self.tell(Event::Tick);
                continue;
            };
            match effect {
                Effect::ExecuteInbox { generation, batch, entries } => {
                    let checked = check_inbox(&plane, &keystone, &entries).expect("a whole state");
                    let done = open.inbox(checked).expect("it executes");
                    self.tell(Event::InboxExecuted { generation, batch, taken: done.taken, gas: done.gas });
                }
                Effect::Execute { generation, batch, transactions } => {
                    let pushed = open.push(&transactions).expect("it executes").into_iter();
                    let results = pushed.map(|pushed| match pushed {
                        Pushed::Included { outcome, posted_bytes, .. } => Execution::Included { outcome, posted_bytes },
                        Pushed::Rejected(reject) => panic!("batch {batch}: {reject}"),
                        Pushed::Full => Execution::Full,
                    });
                    let results = results.collect();
                    self.tell(Event::Executed { generation, batch, results });
                }
                Effect::Cut(_) => break open.close().expect("it has something in it"),
                other => self.carry_out(other),
            }
        };
        self.keystone = keystone;
        let roots = self.keystone.apply(closed.executed.changes(), &Serial).expect("it applies");
        self.header = *closed.executed.seal(&plane, roots).header();
        self.sealed.push_back(Sealed { header: self.header, posted: closed.posted });
        self.tell(Event::Sealed { header: self.header });
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Append(append) => self.tell(Event::Durable { append: append.number }),
            Effect::Acknowledge(done) => {
                for record in &done.records {
                    let body = self.sent.remove(&record.ticket).expect("one answer for each");
                    self.acknowledged += 1;
                    self.book(&body, &record.outcome);
                }
            }
            Effect::Post { batch, .. } => {
                assert_eq!(batch, self.posted + 1, "each batch once, in order");
                self.posted = batch;
            }
            Effect::SetTimer { at_ms } => self.timer = Some(at_ms),
            Effect::Refuse { ticket, why } => panic!("{ticket:?} is refused: {why}"),
            other => panic!("no batch is open: {other:?}"),
        }
    }

    fn book(&mut self, body: &TransactionBody, outcome: &Outcome) {
        assert!(outcome.is_applied(), "{outcome:?}");
        let Action::Transfer { to, amount, .. } = body.actions[0] else { panic!("a transfer was sent") };
        let from = self.model.balances.get_mut(&body.sender).expect("he has something");
        *from -= amount.units() + outcome.fee;
        *self.model.balances.entry(to).or_default() += amount.units();
        self.model.fees += outcome.fee;
    }

    /// Everything that was posted goes to the L1 in the block that is open now.
    fn commit(&mut self) {
        let due = self.sealed.iter().take_while(|sealed| sealed.header.number <= self.posted).count();
        let batches: Vec<Sealed> = self.sealed.drain(..due).collect();
        let Some(last) = batches.last() else { return };
        let listed: Vec<_> = batches.iter().map(|sealed| (&sealed.header, &sealed.posted[..])).collect();
        let messages = run::commitment_run(&self.plane, &self.operator, 0, &self.committed, &listed);
        let from = run::l1_address(&self.operator);
        for message in messages.expect("batches in order") {
            self.l1.send(from, message).expect("the L1 takes an honest commitment");
        }
        self.committed = last.header;
        self.tell(Event::Committed { generation: 0, number: last.header.number });
    }

    fn record(&self, of: &Address) -> Option<AccountRecord> {
        let object = self.keystone.object(&ObjectKey::account(of)).expect("a whole state")?;
        Some(AccountRecord::from_bytes(object.value).expect("a record"))
    }

    fn balance(&self, of: &Address) -> Amount {
        let index = self.record(of).and_then(|record| record.slot_of(AssetId::GCC));
        let slot = index.and_then(|index| self.keystone.slot(index).expect("a whole state"));
        slot.map_or(Amount::ZERO, |slot| slot.balance)
    }

    /// After each step nothing is left over, anywhere.
    fn check_nothing_grows(&self) {
        let status = self.sequencer.status();
        let left = [status.pool_transactions, status.pool_bytes, status.executing, status.filling, status.in_flight];
        assert_eq!(left, [0; 5], "{status:?}");
        assert!(self.sent.is_empty() && self.effects.is_empty());
        assert!(status.senders <= PEOPLE, "{status:?}");
        assert!(status.inbox_entries <= 1 && status.unsealed_batches == 0, "{status:?}");
        assert!(status.uncommitted_batches <= 2 && self.sealed.len() <= 2, "{status:?}");
        let settlement = self.l1.settlement();
        let window = usize::try_from(self.plane.genesis().settlement.window_unproven_blocks).expect("small");
        assert!(settlement.pending().len() <= window + 2, "{} commitments wait", settlement.pending().len());
        assert!(settlement.inbox_end() - settlement.inbox_start() <= 16, "the inbox of the L1 is let go");
    }

    /// Everybody has what the model says; what nobody has was paid in fees; the L1 holds all of it.
    fn check_balances(&self, day: u64) {
        let mut sum = 0;
        for person in &self.people {
            let address = person.gid.address();
            let balance = self.balance(&address).units();
            assert_eq!(Some(&balance), self.model.balances.get(&address), "day {day}: {address}");
            let next = self.record(&address).map_or(0, |record| record.next_in_lane(Nonce::LANE_ROOT));
            assert_eq!(next, self.model.next.get(&address).copied().unwrap_or(0), "day {day}: {address}");
            sum += balance;
        }
        let genesis = self.plane.genesis();
        let takers = [genesis.fee_shares[0].address, Address::system(genesis.chain_id, SYSTEM_STORAGE)];
        let taken: u64 = takers.iter().map(|taker| self.balance(taker).units()).sum();
        assert_eq!(sum + taken, self.model.deposited, "day {day}: value is conserved");
        let escrow = self.l1.settlement().escrow(AssetId::GCC).expect("registered").units();
        assert_eq!(escrow, self.model.deposited, "day {day}");
        assert!(taken >= self.model.fees, "day {day}: deposits pay for their slots as well");
    }
}

#[test]
fn a_week_of_batches_executed_settled_and_final_does_not_drift() {
    let mut world = World::new(0x7765_656b);
    // Everybody has something before the first payment.
    for who in 0..PEOPLE {
        world.deposit(who, 1_000_000_000_000);
    }
    // Deposits cost their receivers the slots and accounts they make: what is left is where the model begins.
    world.l1.mine(world.plane.genesis().settlement.reorg_depth).expect("time passes");
    let entries: Vec<_> = world.l1.settlement().inbox_entries(0, PEOPLE as u64).cloned().collect();
    let time = world.l1.block().time;
    (world.true_ms, world.clock_ms) = (time, time);
    world.tell(Event::L1Block { time, entries });
    world.work();
    for person in &world.people {
        let address = person.gid.address();
        let balance = world.balance(&address).units();
        world.model.balances.insert(address, balance);
    }

    let mut after_a_day = None;
    let mut off_by: i64 = 0;
    for day in 0..7 {
        for step in 0..STEPS_A_DAY {
            // Now and then the node's clock is set wrong, by up to two hours either way, and right again later.
            match world.below(40) {
                0 => off_by = i64::try_from(world.below(14_400_000)).expect("small") - 7_200_000,
                1..=3 => off_by = 0,
                _ => {}
            }
            if world.below(25) == 0 {
                let (who, units) = (usize::try_from(world.below(PEOPLE as u64)).expect("small"), 50_000_000);
                world.deposit(who, units);
            }
            let before = world.header;
            world.step(off_by);
            assert!(world.header.number > before.number, "day {day}, step {step}: no batch");
            // Whatever the clock said, the batch is of a time that is near the true one.
            let behind = world.true_ms.saturating_sub(world.header.time);
            let ahead = world.header.time.saturating_sub(world.true_ms);
            assert!(ahead <= BLOCK_MS, "day {day}, step {step}: {ahead} ms ahead");
            assert!(off_by < 0 || behind == 0, "day {day}, step {step}: {behind} ms behind with a good clock");
        }
        // The inbox takes a moment; once it is empty the books agree.
        let depth = world.plane.genesis().settlement.reorg_depth;
        for _ in 0..depth.div_ceil(STEP_MS / BLOCK_MS) + 1 {
            world.step(0);
        }
        world.check_balances(day);
        let heap = world.keystone.heap_bytes();
        assert!(heap <= *after_a_day.get_or_insert(heap), "day {day}: the state of the same people grows");
    }

    // The clock of the L1 went on for a week, batch by batch; all but the newest batches are final.
    let last = world.header;
    let blocks_a_step = STEP_MS / BLOCK_MS;
    assert!(last.number >= 7 * STEPS_A_DAY, "{} batches", last.number);
    assert_eq!(world.l1.block().time - FOUNDED, (world.l1.block().height - 1) * BLOCK_MS, "the L1 does not drift");
    assert!(last.time.abs_diff(world.true_ms) <= BLOCK_MS);
    world.l1.mine(blocks_a_step).expect("time passes");
    world.commit();
    world.l1.mine(world.plane.genesis().settlement.window_unproven_blocks).expect("time passes");
    assert_eq!(world.l1.settlement().final_number(), last.number);
    assert_eq!(world.acknowledged, world.next_ticket, "everybody was answered");
    assert!(world.acknowledged > 10_000, "{}", world.acknowledged);
}
