//! Stories of a whole plane: operator, watcher and L1 in one process, with the real settlement and the real engine.

use ghostplane::local::{LocalL1, Operator, Threads, Watcher, claim_message};
use ghostplane::payments::SplitMix;
use ghostplane_engine::Plane;
use ghostplane_ghostcipher::{Digest, Domain, FieldDigest, SigningKey, digest, merkle, poseidon2};
use ghostplane_settlement::{Event, Message, Purpose, Rung};
use ghostplane_types::{
    Action, Address, Amount, AssetId, BatchHeader, Encode, EntityType, Genesis, Gid, InboxEntry, InboxPayload, KeyRef,
    L1Address, Nonce, Pay, PublicKey, Transaction, TransactionBody,
};
use std::collections::BTreeMap;

const GENESIS_MS: u64 = 1_767_225_600_000;

fn gcc(coins: u64) -> Amount {
    Amount::new(coins * 1_000_000_000).expect("a small amount")
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(digest::hash(Domain::Test, 0, &[b"story", name.as_bytes()]).0)
}

fn gid(name: &str) -> Gid {
    let public_key = PublicKey::Ed25519(key(name).verification_key());
    Gid { public_key, chain_id: 1337, entity_type: EntityType::Wallet, version: 0 }
}

fn address(name: &str) -> Address {
    gid(name).address()
}

fn on_l1(name: &str) -> L1Address {
    L1Address(digest::hash(Domain::Test, 0, &[b"story l1", name.as_bytes()]).0)
}

/// A plane with everything around it.
struct Story {
    operator: Operator,
    watcher: Watcher,
    l1: LocalL1,
    workers: Threads,
    waiting: Vec<Transaction>,
    lanes: BTreeMap<String, u64>,
}

impl Story {
    fn new() -> Self {
        let workers = Threads::new(1);
        let genesis = Genesis::dev(GENESIS_MS, key("operator").verification_key(), address("operator's wallet"));
        let plane = Plane::new(genesis).expect("the dev genesis holds");
        let operator = Operator::found(plane.clone(), key("operator"), 1, &workers).expect("founded");
        let mut l1 = LocalL1::new(&plane, operator.state(), 1_000).expect("set up");
        let watcher = Watcher::new(plane, on_l1("watcher"), 2, &workers).expect("founded");
        l1.mine(1).expect("time passes");
        operator.bond(&mut l1).expect("bonded");
        Self { operator, watcher, l1, workers, waiting: Vec::new(), lanes: BTreeMap::new() }
    }

    fn deposit(&mut self, name: &str, amount: Amount) -> &mut Self {
        let l1_amount = u128::from(amount.units());
        let message = Message::Deposit { asset: AssetId::GCC, l1_amount, to: address(name) };
        self.l1.send(on_l1(name), message).expect("the L1 takes the deposit");
        self
    }

    fn transfer(&mut self, from: &str, to: &str, amount: Amount) -> &mut Self {
        self.act(from, vec![Action::Transfer { to: address(to), asset: AssetId::GCC, amount }])
    }

    fn withdraw(&mut self, from: &str, amount: Amount) -> &mut Self {
        self.act(from, vec![Action::Withdraw { to: on_l1(from), asset: AssetId::GCC, amount }])
    }

    fn act(&mut self, from: &str, actions: Vec<Action>) -> &mut Self {
        let next = self.lanes.entry(from.to_owned()).or_default();
        let nonce = Nonce { lane: Nonce::LANE_ROOT, seq: *next };
        *next += 1;
        let transaction = self.signed(from, nonce, actions);
        self.waiting.push(transaction);
        self
    }

    fn force(&mut self, from: &str, seq: u64, actions: Vec<Action>) -> &mut Self {
        let transaction = self.signed(from, Nonce { lane: Nonce::LANE_FORCED, seq }, actions).to_bytes();
        self.l1.send(on_l1(from), Message::Force { transaction }).expect("the L1 takes it");
        self
    }

    fn signed(&self, from: &str, nonce: Nonce, actions: Vec<Action>) -> Transaction {
        let plane = self.operator.plane();
        let body = TransactionBody {
            chain_id: plane.chain_id(),
            plane_id: plane.plane_id(),
            sender: address(from),
            nonce,
            valid_after: 0,
            valid_until: self.l1.block().time + 3_600_000,
            gas_limit: 10_000 + 2_000 * actions.len() as u64,
            gas_price_max: 1,
            pay: Pay::Gcc,
            key_ref: KeyRef::Carried(gid(from)),
            actions,
            memo: Vec::new(),
        };
        let auth = key(from).sign(Domain::TransactionAuth, body.chain_id, &body.id());
        Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
    }

    fn mine(&mut self, blocks: u64) -> &mut Self {
        self.l1.mine(blocks).expect("time passes");
        self
    }

    /// Makes a batch of the ripe inbox and everything that waits.
    fn seal(&mut self) -> &mut Self {
        let inbox = self.ripe_inbox();
        let waiting = std::mem::take(&mut self.waiting);
        let checked = self.operator.verify(waiting, &self.workers).expect("the state is whole");
        let verified = checked.into_iter().collect::<Result<Vec<_>, _>>().expect("stories sign well");
        let time = self.l1.block().time;
        self.operator.produce(time, &inbox, verified, &self.workers).expect("a batch");
        self
    }

    fn ripe_inbox(&self) -> Vec<InboxEntry> {
        let from = self.operator.state().inbox_upto;
        self.l1.settlement().inbox_entries(from, self.l1.settlement().inbox_ripe_upto()).cloned().collect()
    }

    fn commit(&mut self) -> &mut Self {
        self.mine(1);
        self.operator.commit(&mut self.l1).expect("the L1 takes the commitment");
        self
    }

    /// The watcher looks at everything new; a lie is taken to the L1. Returns the convicted batch and the reason.
    fn watch(&mut self) -> Option<(u64, u16)> {
        let caught = self.watcher.follow(&self.l1, &self.workers).expect("the watcher's own state is whole")?;
        let events = self.watcher.bring_case(&mut self.l1, Purpose::Challenge, caught.number, &caught.witness);
        let events = events.expect("the L1 hears the case");
        let (first, generation) = events
            .iter()
            .find_map(|event| match event {
                Event::Reverted { first_batch, generation } => Some((*first_batch, *generation)),
                _ => None,
            })
            .expect("a lie that the watcher sees is convicted");
        assert_eq!(first, caught.number);
        self.operator.revert(first, generation, &self.workers).expect("the operator goes back");
        self.lanes.clear();
        Some((first, caught.difference.code()))
    }

    fn claim(&mut self, number: u64, index: usize) -> Result<Vec<Event>, u16> {
        let withdrawals = &self.operator.batches()[usize::try_from(number - 1).expect("small")].withdrawals;
        let claim = claim_message(self.operator.plane(), self.l1.published(), number, withdrawals, index);
        self.l1.send(on_l1("anybody"), claim.expect("there is one")).map_err(|refusal| refusal.code())
    }

    fn finish_windows(&mut self) -> &mut Self {
        self.mine(self.operator.plane().genesis().settlement.window_unproven_blocks)
    }

    fn balance(&self, name: &str) -> u64 {
        self.operator.balance(&address(name), AssetId::GCC).units()
    }

    /// What the L1 owes: everything on the plane at its tip, deposits on their way in, withdrawals on their way out.
    fn assert_escrow_covers(&self, names: &[&str]) {
        let plane = self.operator.plane();
        let system = [plane.fees(), plane.storage(), plane.returns(), address("operator's wallet")];
        let held = names.iter().map(|name| address(name)).chain(system);
        let held: u64 = held.map(|who| self.operator.balance(&who, AssetId::GCC).units()).sum();
        let from = self.operator.state().inbox_upto;
        let inbound = self.l1.settlement().inbox_entries(from, u64::MAX).map(|entry| match entry.payload {
            InboxPayload::Deposit { amount, .. } => amount.units(),
            InboxPayload::Forced { .. } => 0,
        });
        let withdrawals = self.operator.batches().iter().flat_map(|kept| &kept.withdrawals);
        let unclaimed = withdrawals.filter(|withdrawal| !self.l1.settlement().is_claimed(withdrawal.index));
        let outbound: u64 = unclaimed.map(|withdrawal| withdrawal.amount.units()).sum();
        let escrow = self.l1.settlement().escrow(AssetId::GCC).expect("GCC is registered").units();
        assert_eq!(escrow, held + inbound.sum::<u64>() + outbound);
    }
}

#[test]
fn money_goes_in_moves_and_comes_out_again() {
    let mut plane = Story::new();
    plane.deposit("alice", gcc(10)).mine(2).seal().transfer("alice", "bob", gcc(3)).seal().commit();
    assert_eq!(plane.balance("bob"), gcc(3).units());
    plane.withdraw("bob", gcc(1)).seal().commit();
    let withdrawn_in = plane.operator.state().number;
    assert_eq!(plane.claim(withdrawn_in, 0), Err(443), "not final yet");
    assert!(plane.watch().is_none());
    plane.finish_windows();
    assert_eq!(plane.l1.settlement().status_of(withdrawn_in), Some(Rung::Final));
    let before = plane.l1.balance(on_l1("bob"), AssetId::GCC);
    plane.claim(withdrawn_in, 0).expect("paid to whom it is for, whoever asks");
    assert_eq!(plane.l1.balance(on_l1("bob"), AssetId::GCC) - before, i128::from(gcc(1).units()));
    assert_eq!(plane.claim(withdrawn_in, 0), Err(448), "once only");
    plane.assert_escrow_covers(&["alice", "bob"]);
}

#[test]
fn a_theft_is_reverted_and_honest_batches_before_it_stand() {
    let mut plane = Story::new();
    plane.deposit("alice", gcc(10)).deposit("mallory", gcc(1)).mine(2).seal().commit();
    plane.transfer("alice", "bob", gcc(2)).seal();
    plane.transfer("alice", "bob", gcc(1)).seal();
    plane.operator.forge_theft(&address("alice"), &address("mallory"), gcc(5), &plane.workers).expect("forged");
    plane.withdraw("mallory", gcc(5)).seal().commit();
    // One commitment holds an honest batch, the theft, and what was built on it.
    assert_eq!(plane.operator.state().number, 4);
    let (convicted, reason) = plane.watch().expect("the theft is seen");
    assert_eq!((convicted, reason), (3, 506));
    assert_eq!(plane.l1.settlement().tip().number, 2);
    assert_eq!(plane.l1.settlement().generation(), 1);
    assert_eq!(plane.balance("bob"), gcc(2).units());
    // Without a bond nothing is committed; with one the plane goes on.
    plane.lanes.insert("alice".into(), 1);
    plane.transfer("alice", "bob", gcc(1)).seal().mine(1);
    assert!(plane.operator.commit(&mut plane.l1).is_err());
    plane.operator.bond(&mut plane.l1).expect("a new bond");
    plane.operator.revert(3, 1, &plane.workers).expect("the batch that was not taken");
    plane.lanes.insert("alice".into(), 1);
    plane.transfer("alice", "bob", gcc(1)).seal();
    let discarded = plane.l1.send(plane.operator.l1_address(), Message::DiscardData);
    assert!(discarded.is_ok(), "{discarded:?}");
    plane.commit();
    assert!(plane.watch().is_none());
    plane.finish_windows();
    assert_eq!(plane.l1.settlement().final_number(), 3);
    plane.assert_escrow_covers(&["alice", "bob", "mallory"]);
}

#[test]
fn deposits_of_a_reverted_batch_are_credited_by_the_next_generation() {
    let mut plane = Story::new();
    plane.deposit("alice", gcc(4)).deposit("mallory", gcc(1)).mine(2).seal();
    plane.operator.forge_theft(&address("alice"), &address("mallory"), gcc(1), &plane.workers).expect("forged");
    plane.commit();
    assert_eq!(plane.watch().map(|(number, _)| number), Some(1));
    assert_eq!((plane.balance("alice"), plane.operator.state().inbox_upto), (0, 0));
    plane.operator.bond(&mut plane.l1).expect("a new bond");
    plane.seal().commit();
    assert!(plane.watch().is_none());
    assert_eq!(plane.balance("alice"), gcc(4).units());
    plane.assert_escrow_covers(&["alice", "mallory"]);
}

#[test]
fn a_forced_withdrawal_cannot_be_passed_over() {
    let mut plane = Story::new();
    plane.deposit("alice", gcc(10)).mine(2).seal().commit();
    plane.force("alice", 0, vec![Action::Withdraw { to: on_l1("alice"), asset: AssetId::GCC, amount: gcc(6) }]);
    plane.mine(2);
    // The operator looks away: batches without the inbox, until the L1 takes no more.
    let deadline = plane.operator.plane().genesis().settlement.inbox_deadline_blocks;
    plane.mine(deadline);
    plane.transfer("alice", "bob", gcc(1));
    let waiting = std::mem::take(&mut plane.waiting);
    let verified = plane
        .operator
        .verify(waiting, &plane.workers)
        .expect("whole")
        .into_iter()
        .map(|checked| checked.expect("signed well"));
    let (verified, time) = (verified.collect(), plane.l1.block().time);
    plane.operator.produce(time, &[], verified, &plane.workers).expect("a batch");
    plane.mine(1);
    let refused = plane.operator.commit(&mut plane.l1).expect_err("an old inbox entry waits");
    assert!(refused.to_string().contains("inbox"), "{refused}");
    plane.l1.send(plane.operator.l1_address(), Message::DiscardData).expect("starts over");
    plane.operator.revert(2, 0, &plane.workers).expect("starts over");
    plane.seal().commit();
    assert!(plane.watch().is_none());
    let fees_never_hit_forced = plane.balance("alice");
    assert_eq!(fees_never_hit_forced, gcc(4).units());
    plane.finish_windows();
    plane.claim(2, 0).expect("alice has her money without the operator's consent");
}

#[test]
fn a_challenge_of_the_truth_costs_the_challenger() {
    let mut plane = Story::new();
    plane.deposit("alice", gcc(10)).mine(2).seal().commit();
    let published = plane.l1.published()[0].clone();
    let witness = plane.watcher.witness(&plane.l1, &published, &plane.workers);
    let before = plane.l1.balance(on_l1("watcher"), AssetId::GCC);
    plane.watcher.bring_case(&mut plane.l1, Purpose::Challenge, 1, &witness).expect("heard");
    let bond = i128::from(plane.operator.plane().genesis().settlement.challenge_bond.units());
    assert_eq!(plane.l1.balance(on_l1("watcher"), AssetId::GCC) - before, -bond);
    plane.mine(1);
    assert_eq!(plane.l1.settlement().final_number(), 1, "but the L1 has executed it now");
}

#[test]
fn a_short_witness_convicts_nobody() {
    let mut plane = Story::new();
    plane.deposit("alice", gcc(10)).deposit("mallory", gcc(1)).mine(2).seal().commit();
    assert!(plane.watch().is_none());
    plane.transfer("alice", "bob", gcc(1)).seal();
    plane.operator.forge_theft(&address("alice"), &address("mallory"), gcc(1), &plane.workers).expect("forged");
    plane.commit();
    let published = plane.l1.published()[1].clone();
    let mut short = plane.watcher.witness(&plane.l1, &published, &plane.workers);
    short.truncate(short.len() - 32);
    plane.watcher.bring_case(&mut plane.l1, Purpose::Challenge, 2, &short).expect("heard");
    assert_eq!(plane.l1.settlement().generation(), 0, "a witness that says too little says nothing about the batch");
    assert_eq!(plane.watch().map(|(number, _)| number), Some(2), "a whole one does");
}

/// Ways to lie in a header whose batch was executed honestly.
fn lie(kind: u64, header: &mut BatchHeader, random: &mut SplitMix) -> &'static str {
    let noise = Digest(digest::hash(Domain::Test, 0, &[&random.draw().to_le_bytes()]).0);
    let field: FieldDigest = poseidon2::reduce_wide(&[noise.0[0]; 64]);
    match kind {
        0 => header.ledger_root = field,
        1 => header.object_root = noise,
        2 => header.journal_digest = field,
        3 => header.flows_digest = noise,
        4 => header.log_root = noise,
        5 => header.outbox_root = noise,
        6 => header.outbox_root = merkle::root(&[noise]),
        7 => header.outbox_upto += 1 + random.below(5),
        8 => header.log_upto += 1 + random.below(5),
        9 => header.slots_used += 1,
        10 => header.objects_used += 1,
        11 => header.entries ^= 1,
        12 => header.gas += 1 + random.below(1_000),
        13 => header.bytes += 1,
        14 => header.prev_state = noise,
        15 => header.time += 1,
        16 => header.inbox_upto -= 1,
        _ => unreachable!("the caller counts to LIES"),
    }
    [
        "ledger_root",
        "object_root",
        "journal",
        "flows",
        "log",
        "outbox",
        "forged outbox",
        "outbox_upto",
        "log_upto",
        "slots",
        "objects",
        "entries",
        "gas",
        "bytes",
        "prev_state",
        "time",
        "inbox",
    ][usize::try_from(kind).expect("small")]
}

const LIES: u64 = 17;

#[test]
fn every_kind_of_lie_is_convicted_by_the_l1_itself() {
    for kind in 0..LIES {
        let mut random = SplitMix(kind);
        let mut plane = Story::new();
        plane.deposit("alice", gcc(10)).deposit("bob", gcc(5)).mine(2).seal().commit();
        assert!(plane.watch().is_none());
        plane.deposit("carol", gcc(2)).mine(3);
        plane.transfer("alice", "bob", gcc(1)).transfer("bob", "dora", gcc(1)).withdraw("bob", gcc(1)).seal();
        let mut what = "";
        plane.operator.forge_header(|header| what = lie(kind, header, &mut random)).expect("not committed yet");
        plane.mine(1);
        match plane.operator.commit(&mut plane.l1) {
            // Some lies the L1 sees in the commitment itself.
            Err(refused) => assert!(["prev_state", "bytes", "time"].contains(&what), "{what}: {refused}"),
            Ok(_) => {
                let (number, _) = plane.watch().unwrap_or_else(|| panic!("nobody saw the lie about {what}"));
                assert_eq!(number, 2, "{what}");
                assert_eq!(plane.l1.settlement().bond(), Amount::ZERO, "{what}");
            }
        }
    }
}

#[test]
fn random_lives_keep_the_escrow_covered_and_convict_exactly_the_liars() {
    let names = ["alice", "bob", "carol", "dora"];
    for seed in 0..24 {
        let mut random = SplitMix(seed);
        let mut plane = Story::new();
        for name in names {
            plane.deposit(name, gcc(50 + random.below(50)));
        }
        plane.mine(2).seal().commit();
        for _ in 0..6 {
            for _ in 0..random.below(5) {
                let from = names[usize::try_from(random.below(4)).expect("small")];
                let to = names[usize::try_from(random.below(4)).expect("small")];
                let amount = Amount::new(1 + random.below(3_000_000_000)).expect("small");
                match random.below(5) {
                    0 => plane.withdraw(from, amount),
                    1 => plane.deposit(from, gcc(1)).mine(2),
                    _ => plane.transfer(from, to, amount),
                };
            }
            if plane.waiting.is_empty() && plane.ripe_inbox().is_empty() {
                continue;
            }
            plane.seal();
            let honest = random.below(4) != 0;
            if !honest {
                let amount = Amount::new(1_000_000 + random.below(1_000)).expect("small");
                plane.operator.forge_theft(&address("alice"), &address("bob"), amount, &plane.workers).expect("forged");
            }
            plane.commit();
            let convicted = plane.watch();
            assert_eq!(convicted.is_none(), honest, "seed {seed}: {convicted:?}");
            if convicted.is_some() {
                plane.operator.bond(&mut plane.l1).expect("a new bond");
                for name in names {
                    let next = plane.operator.next_in_lane(&address(name));
                    plane.lanes.insert(name.to_owned(), next);
                }
            }
            plane.assert_escrow_covers(&names);
            if random.below(3) == 0 {
                plane.finish_windows();
                let upto = plane.l1.settlement().final_number();
                for number in 1..=upto {
                    let kept = &plane.operator.batches()[usize::try_from(number - 1).expect("small")];
                    let withdrawals = kept.withdrawals.clone();
                    for (index, withdrawal) in withdrawals.iter().enumerate() {
                        let claimed = plane.l1.settlement().is_claimed(withdrawal.index);
                        assert_eq!(plane.claim(number, index).is_ok(), !claimed, "seed {seed}");
                    }
                }
                plane.assert_escrow_covers(&names);
            }
        }
    }
}
