//! Random batches on many planes: the engine and the model agree in every code, fee, balance and total.

use crate::model::{Expected, Model};
use crate::random::{CROWD, Random, anybody, some_body, some_money};
use crate::story::{Story, address, amount, genesis, sign};
use ghostplane_types::amount::SUPPLY_MAX;
use ghostplane_types::{Address, Encode, Genesis, InboxPayload, Money, Nonce, Outcome, Transaction};
use std::collections::BTreeMap;

const PLANES: u64 = 45;
const BATCHES: usize = 8;

#[test]
fn the_engine_does_what_the_model_says() {
    let mut met = BTreeMap::new();
    for seed in 0..PLANES {
        let mut random = Random(seed);
        let mut story = Story::of(some_genesis(&mut random));
        let mut model = Model::new(&story);
        for batch in 0..BATCHES {
            play(&mut random, &mut story, &mut model, batch == 0, &mut met);
        }
    }
    // The random batches go where they should: every code that they can lead to, and deposits that come back.
    let codes: Vec<u16> = met.keys().copied().collect();
    let reached =
        [0, 100, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 200, 202, 203, 204, 205, 206, 207, 208, 210];
    assert_eq!(codes, reached, "{met:?}");
}

/// Small prices, sometimes none; sometimes hardly any room for accounts or slots.
fn some_genesis(random: &mut Random) -> Genesis {
    let mut genesis = genesis();
    genesis.gas_price = random.pick(&[0, 1, 1, 3]);
    genesis.slot_price = amount(random.pick(&[0, 100, 100_000]));
    genesis.object_price = amount(random.pick(&[0, 400, 400_000]));
    (genesis.slots_max, genesis.objects_max) = random.pick(&[(1 << 20, 1 << 20), (256, 1 << 20), (300, 256)]);
    genesis
}

/// One batch, the model a step ahead of the engine.
fn play(random: &mut Random, story: &mut Story, model: &mut Model, first: bool, met: &mut BTreeMap<u16, usize>) {
    let mut expected: Vec<Expected> = Vec::new();
    story.wait(random.next() % 1_000);
    if first {
        // The people get something to spend, and a small plane fills up with strangers.
        for name in CROWD {
            expected.push(deposit(random, story, model, address(name)));
        }
        for _ in 0..225 {
            let stranger = Address::from_bytes(random.bytes(32).try_into().expect("32 bytes"));
            expected.push(deposit(random, story, model, stranger));
        }
    }
    for _ in 0..random.below(6) {
        let to = anybody(random, story);
        expected.push(deposit(random, story, model, to));
    }
    for _ in 0..random.below(5) {
        expected.push(force(random, story, model));
    }
    for _ in 0..1 + random.below(30) {
        let sender = random.pick(&CROWD);
        let (_, seq) = model.standing(&address(sender), Nonce::LANE_ROOT);
        let body = some_body(random, story, sender, Nonce { lane: Nonce::LANE_ROOT, seq });
        if body.key_ref.position().is_some() && !key_is_known(story, sender) {
            // Whether the key becomes known within the batch is another test's matter.
            continue;
        }
        let transaction = sign(sender, body);
        let mut ahead = model.clone();
        match ahead.transaction(&transaction, story.time, Nonce::LANE_ROOT, story.plane.genesis().gas_price) {
            Ok(outcome) => {
                *model = ahead;
                story.pool.push(transaction);
                expected.push(outcome);
            }
            Err(code) => {
                *met.entry(code).or_default() += 1;
                let reject = story.refusal(&transaction).expect("the model refuses it");
                assert_eq!(reject.code(), code);
                story.refused.push((story.pool.len(), transaction, reject));
            }
        }
    }
    if expected.is_empty() {
        return;
    }
    story.seal();
    assert_eq!(model.end_batch(), story.withdrawals());
    let found: Vec<Expected> = story.last().sealed.records().iter().map(|record| seen(&record.2)).collect();
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "record {at}");
    }
    assert_eq!(found.len(), expected.len());
    model.check(story);
    assert_eq!(story.header().gas, expected.iter().map(|one| one.gas).sum::<u64>());
    expected.iter().for_each(|one| *met.entry(one.code).or_default() += 1);
}

/// Whether `sender`'s key is in the state, or carried by an earlier transaction of the pool.
fn key_is_known(story: &Story, sender: &str) -> bool {
    let earlier = |transaction: &Transaction| transaction.body.sender == address(sender);
    let registered = story.record(sender).is_some_and(|record| record.identity.is_some());
    registered || story.pool.iter().any(earlier)
}

/// A deposit of an asset that the L1 knows, as far as the L1's limit on the supply allows.
fn deposit(random: &mut Random, story: &mut Story, model: &mut Model, to: Address) -> Expected {
    let Money { asset, amount: wanted } = loop {
        let money = some_money(random, story, to);
        if story.plane.genesis().asset(money.asset).is_some() {
            break money;
        }
    };
    let room = (SUPPLY_MAX - model.supply(asset)) / 2;
    let units = if random.one_in(30) { wanted.units() } else { 1_000_000 + random.next() % 1_000_000_000 };
    story.deposit_to(to, Money { asset, amount: amount(units.clamp(1, room)) });
    model.inbox_entry(story.inbox.last().expect("just posted"), None)
}

/// A forced transaction, or something that only looks like one.
fn force(random: &mut Random, story: &mut Story, model: &mut Model) -> Expected {
    let sender = random.pick(&CROWD);
    let (_, seq) = model.standing(&address(sender), Nonce::LANE_FORCED);
    let body = some_body(random, story, sender, Nonce { lane: Nonce::LANE_FORCED, seq });
    let transaction = sign(sender, body);
    let mut bytes = transaction.to_bytes();
    let forced = match random.below(10) {
        0 => {
            bytes.truncate(random.below(bytes.len()).max(1));
            None
        }
        1 => {
            bytes.push(0);
            None
        }
        _ => Some(&transaction),
    };
    story.force_bytes(&bytes);
    let entry = story.inbox.last().expect("just posted");
    assert!(matches!(entry.payload, InboxPayload::Forced { .. }));
    model.inbox_entry(entry, forced)
}

fn seen(outcome: &Outcome) -> Expected {
    let &Outcome { code, action, gas, fee, withdrawals, .. } = outcome;
    Expected { code, action, gas, fee: u128::from(fee), withdrawals }
}
