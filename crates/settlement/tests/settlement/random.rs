//! Random sequences of messages, honest and not, against a model of what the settlement owes.
//!
//! [`World`] checks after each message that escrow is deposits less claims, that bonds are conserved, and that a refusal
//! changes nothing. Here the rest: what is owed is covered, batches become final in order and for a reason, claims are paid
//! once, conviction restores the inbox, and the state survives its bytes at every step.

use crate::fixture::{OPERATOR, USD, World, chain_of, gcc, post_messages, who};
use crate::plane::Plan;
use ghostplane_settlement::message::Reserved;
use ghostplane_settlement::{CaseOutcome, Event, Message, Purpose, Refusal};
use ghostplane_types::{AssetId, Decode, InboxEntry};
use std::collections::{BTreeMap, BTreeSet};

const SEQUENCES: u64 = 250;
const STEPS: usize = 160;
const WINDOW: u64 = 20;

#[test]
fn random_sequences_keep_every_promise() {
    let mut total = Tally::default();
    for seed in 0..SEQUENCES {
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step();
        }
        run.finish();
        total.add(&run.tally, run.world.messages);
    }
    // The generator reaches everything that the promises are about.
    let Tally { messages, accepted, convictions, replays, lost, claims, early, twice, restored } = total;
    println!(
        "{messages} messages, {accepted} accepted, {convictions} convictions, {replays} replays, {lost} bonds lost, \
         {claims} claims, {early} early, {twice} twice, {restored} inbox entries restored"
    );
    assert!(messages > 20_000 && accepted > messages / 3);
    assert!(convictions > 100 && replays > 100 && lost > 100 && claims > 500);
    assert!(early > 50 && twice > 50 && restored > 50);
}

#[derive(Default)]
struct Tally {
    messages: u64,
    accepted: u64,
    convictions: u64,
    replays: u64,
    lost: u64,
    claims: u64,
    early: u64,
    twice: u64,
    restored: u64,
}

impl Tally {
    fn add(&mut self, other: &Self, messages: u64) {
        self.messages += messages;
        self.accepted += other.accepted;
        self.convictions += other.convictions;
        self.replays += other.replays;
        self.lost += other.lost;
        self.claims += other.claims;
        self.early += other.early;
        self.twice += other.twice;
        self.restored += other.restored;
    }
}

struct Run {
    world: World,
    random: Random,
    tally: Tally,
    /// The window clock when a batch was committed.
    committed: BTreeMap<u64, u64>,
    replayed: BTreeSet<u64>,
    claimed: BTreeSet<u64>,
    /// Every inbox entry there ever was.
    inbox: Vec<InboxEntry>,
    last_final: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            world: World::new().bonded(),
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            tally: Tally::default(),
            committed: BTreeMap::new(),
            replayed: BTreeSet::new(),
            claimed: BTreeSet::new(),
            inbox: Vec::new(),
            last_final: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=2 => self.deposit(),
            3 => self.force(),
            4..=7 => self.pass_time(),
            8..=10 => self.operate(),
            11 => self.discard(),
            12..=13 => self.challenge_something(),
            14 => self.convict(),
            15..=16 => self.claim(),
            17 => self.touch_bond(),
            18 => self.bring_odd_material(),
            _ => self.send_nonsense(),
        }
        self.check();
    }

    /// Everything becomes final and every withdrawal is claimed; then escrow is what the plane still holds.
    fn finish(&mut self) {
        self.convict();
        while self.world.settlement.final_number() < self.world.settlement.tip().number {
            self.next_block();
        }
        self.check();
        let upto = self.world.settlement.tip().outbox_upto;
        for index in 0..upto {
            self.claim_one(index);
        }
        assert_eq!(self.world.settlement.claimed_below(), upto);
        self.check();
    }

    // Steps.

    fn deposit(&mut self) {
        let name = *self.random.pick(&["alice", "bob", "carol"]);
        let (asset, step) = *self.random.pick(&[(AssetId::GCC, gcc(1)), (AssetId::ZMAN, 7_777_777), (USD, 10_000)]);
        let amount = step * self.random.below(9);
        let message = self.world.deposit_of(asset, amount);
        let _ = self.send(name, &message);
    }

    fn force(&mut self) {
        let len = self.random.below(300);
        let transaction = (0..len).map(|_| self.random.byte()).collect();
        let _ = self.send("alice", &Message::Force { transaction });
    }

    fn pass_time(&mut self) {
        for _ in 0..=self.random.below(5) {
            self.next_block();
        }
    }

    /// A block, unless a forged batch would become final in it: somebody is always watching.
    fn next_block(&mut self) {
        let forged = self.forged_pending();
        let age = forged.map(|batch| self.world.settlement.window_clock() - self.committed[&batch]);
        if age.is_some_and(|age| age + 1 >= WINDOW) {
            self.convict();
        }
        self.world.next_block();
        self.look_at_finality();
    }

    fn operate(&mut self) {
        self.bond_if_short();
        // What an earlier step posted and left is gone from the plane's plans only when it is discarded.
        for _ in 0..=self.random.below(3) {
            let mut plan = Plan { forged: self.random.below(12) == 0, ..Plan::default() };
            let ripe = self.world.ripe();
            plan.inbox = ripe[..self.random.below_usize(ripe.len() + 1)].to_vec();
            self.add_withdrawals(&mut plan);
            let generation = self.world.settlement.generation();
            self.world.plane.plan(generation, self.world.block.time, plan);
        }
        self.world.post();
        let message = self.world.draft().message();
        match self.send(OPERATOR, &message) {
            Ok(_) => {}
            Err(refusal) => {
                // One commitment a block; or the inbox has waited for too long, and honest batches take all of it.
                assert!([364, 381].contains(&refusal.code()), "{refusal}");
                self.world.must(OPERATOR, &Message::DiscardData);
                let tip = self.world.settlement.tip().number;
                self.world.plane.revert_to(tip);
                if refusal.code() == 381 {
                    self.world.plan(Plan::default());
                    self.world.post();
                    let message = self.world.draft().message();
                    self.send(OPERATOR, &message).expect("nothing waits any more");
                }
            }
        }
    }

    fn add_withdrawals(&mut self, plan: &mut Plan) {
        let last = self.world.plane.last_number();
        for (asset, unit) in [(AssetId::GCC, 1), (AssetId::ZMAN, 1), (USD, 10_000)] {
            let held = self.world.plane.balance(last, asset) / 2 / unit;
            if plan.forged {
                plan.withdrawals.push((who("mallory"), asset, unit * 1_000_000));
            } else if held > 0 && self.random.below(2) == 0 {
                let to = *self.random.pick(&["alice", "bob", "dave"]);
                let amount = unit * (1 + self.random.below(held));
                plan.withdrawals.push((who(to), asset, amount));
            }
        }
    }

    fn discard(&mut self) {
        if self.random.below(3) == 0 {
            let tip = self.world.settlement.tip().number;
            let message = post_messages(tip + 1, b"posted and thought better of").remove(0);
            self.send(OPERATOR, &message).expect("room for data");
        }
        let something = self.world.settlement.next_posted() > self.world.settlement.tip().number + 1;
        let sent = self.send(OPERATOR, &Message::DiscardData);
        assert_eq!(sent.is_ok(), something);
    }

    fn challenge_something(&mut self) {
        let (first, last) = (self.last_final + 1, self.world.settlement.tip().number);
        if first > last {
            return;
        }
        let batch = first + self.random.below(last - first + 1);
        let purpose = *self.random.pick(&[Purpose::Challenge, Purpose::Replay]);
        let name = *self.random.pick(&["carol", "dave", "erin"]);
        let request = self.world.case_request(purpose, batch);
        let opened = self.send(name, &Message::OpenCase(Box::new(request)));
        let Ok(events) = opened else { return };
        let Some(Event::CaseOpened { case, .. }) = events.last() else { panic!("{events:?}") };
        let mut material = self.world.material(batch);
        match self.random.below(6) {
            // Left to run out.
            0 => return,
            1 => material[0] ^= 1,
            2 => *material.last_mut().expect("a witness") ^= 1,
            _ => {}
        }
        self.world.bring(name, *case, &material);
        let intact = material == self.world.material(batch);
        let lies = self.world.plane.batch(batch).forged;
        let events = self.send("anybody", &Message::Judge { case: *case }).expect("a complete case");
        let outcome = events.iter().find_map(|event| match event {
            Event::CaseClosed { case: closed, outcome, .. } if closed == case => Some(*outcome),
            _ => None,
        });
        let outcome = outcome.expect("a judged case is closed");
        assert_eq!(matches!(outcome, CaseOutcome::Convicted { .. }), intact && lies);
        assert_eq!(outcome == CaseOutcome::True, intact && !lies);
    }

    /// The first forged batch is challenged, if there is one.
    fn convict(&mut self) {
        while let Some(batch) = self.forged_pending() {
            let request = self.world.case_request(Purpose::Challenge, batch);
            match self.send("watcher", &Message::OpenCase(Box::new(request))) {
                Ok(events) => {
                    let Some(Event::CaseOpened { case, .. }) = events.last() else { panic!("{events:?}") };
                    let material = self.world.material(batch);
                    self.world.bring("watcher", *case, &material);
                    self.send("watcher", &Message::Judge { case: *case }).expect("a complete case");
                }
                Err(refusal) => {
                    assert!(matches!(refusal, Refusal::CasesFull { .. }), "{refusal}");
                    self.world.next_block();
                    self.look_at_finality();
                }
            }
        }
    }

    fn claim(&mut self) {
        let upto = self.world.settlement.tip().outbox_upto;
        if upto > 0 {
            let index = self.random.below(upto);
            self.claim_one(index);
        }
    }

    fn claim_one(&mut self, index: u64) {
        let (batch, place) = self.world.find_withdrawal(index);
        let claim = self.world.claim_of(index);
        let withdrawal = self.world.plane.batch(batch).withdrawals[usize::try_from(place).expect("few")];
        let sent = self.send("anybody", &Message::Claim(Box::new(claim)));
        match sent {
            Ok(events) => {
                assert!(batch <= self.last_final && self.claimed.insert(index));
                let paid = events.iter().any(|event| {
                    matches!(event, Event::Pay { to, money }
                        if *to == withdrawal.to && money.amount == withdrawal.amount && money.asset == withdrawal.asset)
                });
                assert!(paid, "{events:?}");
                self.tally.claims += 1;
            }
            Err(Refusal::NotFinal { .. }) => {
                assert!(batch > self.last_final);
                self.tally.early += 1;
            }
            Err(Refusal::ClaimedAlready { .. }) => {
                assert!(self.claimed.contains(&index));
                self.tally.twice += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn touch_bond(&mut self) {
        match self.random.below(3) {
            0 => {
                let idle = self.world.settlement.pending().is_empty() && self.world.settlement.bond().units() > 0;
                assert_eq!(self.send(OPERATOR, &Message::Unbond).is_ok(), idle);
            }
            1 => {
                let message = self.world.bond_message(OPERATOR, gcc(3));
                self.send("mallory", &message).expect_err("signed for somebody else");
                self.send(OPERATOR, &message).expect("signed for the operator");
            }
            _ => self.bond_if_short(),
        }
    }

    fn bond_if_short(&mut self) {
        let needed = self.world.settlement.genesis().settlement.sequencer_bond;
        if self.world.settlement.bond() < needed {
            let message = self.world.bond_message(OPERATOR, needed.units());
            self.send(OPERATOR, &message).expect("signed for the operator");
        }
    }

    fn bring_odd_material(&mut self) {
        let case = self.random.below(12);
        let offset = self.random.below(3);
        let bytes = (0..self.random.below(200)).map(|_| self.random.byte()).collect();
        let name = *self.random.pick(&["carol", "dave", "erin"]);
        let _ = self.send(name, &Message::Material { case, offset, bytes });
        if self.random.below(4) == 0 {
            let _ = self.send(name, &Message::Judge { case });
        }
    }

    fn send_nonsense(&mut self) {
        let bytes: Vec<u8> = (0..self.random.below(80)).map(|_| self.random.byte() % 12).collect();
        if let Ok(message) = Message::from_bytes(&bytes) {
            let _ = self.send("mallory", &message);
        }
        let body = bytes.clone();
        let what = *self.random.pick(&Reserved::ALL);
        assert!(self.send("mallory", &Message::Reserved { what, body }).is_err());
    }

    // The model.

    fn send(&mut self, from: &str, message: &Message) -> Result<Vec<Event>, Refusal> {
        let sent = self.world.send(from, message);
        if let Ok(events) = &sent {
            self.tally.accepted += 1;
            events.iter().for_each(|event| self.note(event));
        }
        self.look_at_finality();
        sent
    }

    fn note(&mut self, event: &Event) {
        let settlement = &self.world.settlement;
        match event {
            Event::InboxAppended { index, chain } => {
                let entry = settlement.inbox_entries(*index, index + 1).next().expect("just appended");
                self.inbox.push(entry.clone());
                assert_eq!(*chain, chain_of(self.inbox.iter(), self.world.chain_id()));
            }
            Event::Committed { first_batch, last_batch } => {
                (*first_batch..=*last_batch).for_each(|batch| {
                    self.committed.insert(batch, settlement.window_clock());
                });
            }
            Event::Replayed { batch } => {
                self.tally.replays += 1;
                self.replayed.insert(*batch);
            }
            Event::Reverted { first_batch, generation } => {
                assert_eq!(*generation, settlement.generation());
                self.tally.convictions += 1;
                self.committed.retain(|batch, _| batch < first_batch);
                self.replayed.retain(|batch| batch < first_batch);
                let upto = settlement.tip().inbox_upto;
                assert_eq!(upto, self.world.plane.header(first_batch - 1).inbox_upto);
                let unconsumed: Vec<_> = settlement.inbox_entries(upto, u64::MAX).cloned().collect();
                assert_eq!(unconsumed, self.inbox[usize::try_from(upto).expect("few")..]);
                self.tally.restored += unconsumed.len() as u64;
            }
            Event::CaseClosed { outcome, .. } => {
                let kept = matches!(outcome, CaseOutcome::Convicted { .. } | CaseOutcome::Moot | CaseOutcome::True);
                self.tally.lost += u64::from(!kept);
            }
            _ => {}
        }
    }

    fn look_at_finality(&mut self) {
        let settlement = &self.world.settlement;
        let now = settlement.final_number();
        assert!(now >= self.last_final, "final stays final");
        for batch in self.last_final + 1..=now {
            let waited = settlement.window_clock() - self.committed[&batch];
            assert!(self.replayed.contains(&batch) || waited >= WINDOW, "batch {batch} is final too early");
            assert!(!self.world.plane.batch(batch).forged);
        }
        assert!(settlement.cases().values().all(|case| case.batch() > now), "no case about what is final");
        self.last_final = now;
    }

    fn forged_pending(&self) -> Option<u64> {
        let tip = self.world.settlement.tip().number;
        (1..=tip).find(|batch| self.world.plane.batch(*batch).forged)
    }

    fn check(&self) {
        self.world.check_bytes();
        let settlement = &self.world.settlement;
        assert_eq!(settlement.inbox_end(), self.inbox.len() as u64);
        assert!(settlement.inbox_start() <= settlement.tip().inbox_upto);
        if self.forged_pending().is_none() {
            self.check_owed();
        }
    }

    /// With no lie committed, escrow is exactly what is owed: deposits not consumed, what accounts hold, and withdrawals
    /// not claimed.
    fn check_owed(&self) {
        use ghostplane_types::InboxPayload::Deposit;
        let (settlement, plane) = (&self.world.settlement, &self.world.plane);
        let tip = settlement.tip();
        for known in &settlement.genesis().assets {
            let deposited = settlement.inbox_entries(tip.inbox_upto, u64::MAX).map(|entry| match &entry.payload {
                Deposit { asset, amount, .. } if *asset == known.asset => amount.units(),
                _ => 0,
            });
            let committed = (1..=tip.number).flat_map(|number| &plane.batch(number).withdrawals);
            let unclaimed = committed.filter(|out| out.asset == known.asset && !self.claimed.contains(&out.index));
            let owed = deposited.sum::<u64>()
                + plane.balance(tip.number, known.asset)
                + unclaimed.map(|out| out.amount.units()).sum::<u64>();
            assert_eq!(settlement.escrow(known.asset).map(|held| held.units()), Some(owed), "{}", known.asset);
        }
    }
}

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn below_usize(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below_usize(from.len())]
    }
}
