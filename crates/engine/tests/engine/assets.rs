//! Assets of the plane's own: registered, made, moved, ended and stopped.

use crate::random::Random;
use crate::story::{OBJECT_PRICE, SLOT_PRICE, Story, address, amount, gcc, leave, pay, units};
use ghostplane_engine::Halt;
use ghostplane_engine::execute::InvalidBatch;
use ghostplane_engine::replay::ProduceError;
use ghostplane_keystone::StateView;
use ghostplane_types::amount::SUPPLY_MAX;
use ghostplane_types::limits::BATCH_FLOWS_MAX;
use ghostplane_types::{Action, AssetId, AssetRecord, Decode, Flow, Money, ObjectKey};
use std::collections::BTreeMap;

fn asset(number: u32) -> AssetId {
    AssetId::new(number).expect("below 2^30")
}

const TEA: u32 = 70_000;

fn tea(units: u64) -> Money {
    Money { amount: amount(units), asset: asset(TEA) }
}

fn register(number: u32, cap: u64) -> Action {
    Action::RegisterAsset { asset: asset(number), symbol: b"tea".to_vec(), decimals: 3, cap: amount(cap) }
}

fn mint(to: &str, units: u64) -> Action {
    Action::Mint { asset: asset(TEA), to: address(to), amount: amount(units) }
}

fn burn(units: u64) -> Action {
    Action::Burn { asset: asset(TEA), amount: amount(units) }
}

fn freeze(is_frozen: bool) -> Action {
    Action::FreezeAsset { asset: asset(TEA), is_frozen }
}

fn registered(story: &Story, number: u32) -> Option<AssetRecord> {
    let object = story.keystone.object(&ObjectKey::asset(asset(number))).expect("all is here")?;
    Some(AssetRecord::from_bytes(object.value).expect("a registration"))
}

fn plane() -> Story {
    let mut story = Story::new();
    for name in ["alice", "bob", "carol"] {
        story.deposit(name, gcc(10));
    }
    story.seal();
    story
}

#[test]
fn an_asset_lives_from_registration_to_its_last_unit() {
    let mut story = plane();
    story.act("alice", &[register(TEA, 1_000)]).seal();
    assert_eq!(story.codes(), [0]);
    assert_eq!(story.receipt(0).fee, story.receipt(0).gas + OBJECT_PRICE);
    story.act("alice", &[mint("bob", 600), mint("alice", 300)]).act("bob", &[pay("carol", tea(250))]).seal();
    assert_eq!(story.codes(), [0, 0]);
    // New slots are paid by who fills them.
    assert_eq!(story.receipt(0).fee, story.receipt(0).gas + 2 * SLOT_PRICE);
    assert_eq!(story.last().sealed.flows(), [Flow { asset: asset(TEA), issued: amount(900), retired: amount(0) }]);
    let held = |story: &Story| ["alice", "bob", "carol"].map(|name| story.balance_of(address(name), asset(TEA)));
    assert_eq!(held(&story), [300, 350, 250]);
    story.act("carol", &[burn(250)]).act("bob", &[burn(351)]).act("alice", &[mint("bob", 350)]).seal();
    assert_eq!(story.codes(), [0, 200, 0]);
    let record = registered(&story, TEA).expect("there");
    assert_eq!((record.issuer, record.supply.units()), (address("alice"), 300 + 350 + 350));
}

#[test]
fn every_refusal_has_its_code() {
    let mut story = plane();
    story.act("alice", &[register(TEA, 1_000)]).seal();
    let with = |asset: u32, symbol: &[u8], decimals, cap| Action::RegisterAsset {
        asset: self::asset(asset),
        symbol: symbol.to_vec(),
        decimals,
        cap: amount(cap),
    };
    let zero = |action: Action| match action {
        Action::Mint { asset, to, .. } => Action::Mint { asset, to, amount: amount(0) },
        Action::Burn { asset, .. } => Action::Burn { asset, amount: amount(0) },
        other => other,
    };
    let other = |action: Action| match action {
        Action::Mint { to, amount, .. } => Action::Mint { asset: asset(TEA + 1), to, amount },
        Action::Burn { amount, .. } => Action::Burn { asset: AssetId::GCC, amount },
        Action::FreezeAsset { is_frozen, .. } => Action::FreezeAsset { asset: asset(TEA + 1), is_frozen },
        other => other,
    };
    let cases: Vec<(u16, &str, Action)> = vec![
        (270, "bob", register(TEA, 1)),
        (271, "bob", with(65_535, b"tea", 3, 1)),
        (271, "bob", with(0, b"gcc", 9, 1)),
        (271, "bob", with(TEA + 1, b"", 3, 1)),
        (271, "bob", with(TEA + 1, b"Tea", 3, 1)),
        (271, "bob", with(TEA + 1, b"tea", 19, 1)),
        (271, "bob", with(TEA + 1, b"tea", 3, 0)),
        (271, "bob", with(TEA + 1, b"tea", 3, SUPPLY_MAX + 1)),
        (272, "bob", mint("bob", 1)),
        (272, "bob", freeze(true)),
        (273, "alice", mint("bob", 1_001)),
        (203, "alice", zero(mint("bob", 1))),
        (203, "alice", zero(burn(1))),
        (204, "alice", other(mint("bob", 1))),
        (204, "alice", other(burn(1))),
        (204, "alice", other(freeze(true))),
        (204, "alice", pay("bob", Money { amount: amount(1), asset: asset(TEA + 1) })),
        (205, "alice", leave("alice", tea(1))),
        (200, "bob", burn(1)),
        (200, "bob", pay("alice", tea(1))),
        (0, "alice", freeze(true)),
        (274, "alice", mint("bob", 1)),
        (274, "alice", burn(1)),
        (274, "alice", pay("bob", tea(1))),
        (0, "alice", freeze(false)),
        (0, "alice", mint("bob", 1)),
    ];
    for (_, sender, action) in &cases {
        story.act(sender, std::slice::from_ref(action));
    }
    story.seal();
    assert_eq!(story.codes(), cases.iter().map(|(code, ..)| *code).collect::<Vec<_>>());
    // What fails later in a bundle leaves no trace of what went before it.
    let before = (registered(&story, TEA), story.balance_of(address("bob"), asset(TEA)));
    story.act("alice", &[mint("bob", 5), register(TEA + 9, 5), freeze(true), pay("bob", gcc(100))]).seal();
    assert_eq!((story.codes(), story.last().sealed.flows().len()), (vec![200], 0));
    assert_eq!((registered(&story, TEA), story.balance_of(address("bob"), asset(TEA))), before);
    assert_eq!(registered(&story, TEA + 9), None);
}

#[test]
fn a_batch_issues_so_many_assets_and_no_more() {
    let mut story = plane();
    let count = u32::try_from(BATCH_FLOWS_MAX).expect("small") + 1;
    let all: Vec<Action> = (0..count).map(|at| register(80_000 + at, 10)).collect();
    story.act("alice", &all).seal();
    assert_eq!(story.codes(), [0]);
    let mints: Vec<Action> = (0..count)
        .map(|at| Action::Mint { asset: asset(80_000 + at), to: address("bob"), amount: amount(1) })
        .collect();
    story.act("alice", &mints[..BATCH_FLOWS_MAX]).act("alice", &mints[BATCH_FLOWS_MAX..]);
    let refused = story.try_seal();
    assert!(
        matches!(&refused, Err(ProduceError::Halt(Halt::Invalid(InvalidBatch::Flows { assets }))) if *assets == BATCH_FLOWS_MAX + 1),
        "{refused:?}"
    );
    story.pool.truncate(1);
    story.seal();
    assert_eq!((story.codes(), story.last().sealed.flows().len()), (vec![0], BATCH_FLOWS_MAX));
}

#[test]
fn supplies_are_what_a_model_says() {
    let mut random = Random(9);
    let mut story = plane();
    story.act("alice", &[register(TEA, 500)]).seal();
    let mut held: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..40 {
        let mut expected = Vec::new();
        for _ in 0..1 + random.below(5) {
            let people = ["alice", "bob", "carol"];
            let (from, to) = (random.pick(&people), random.pick(&people));
            let much = 1 + random.next() % 200;
            let supply: u64 = held.values().sum();
            let has = held.get(from).copied().unwrap_or(0);
            let code = match random.below(3) {
                0 => {
                    story.act(from, &[mint(to, much)]);
                    let code = if from != "alice" {
                        272
                    } else if supply + much > 500 {
                        273
                    } else {
                        0
                    };
                    if code == 0 {
                        *held.entry(to).or_default() += much;
                    }
                    code
                }
                1 => {
                    story.act(from, &[burn(much)]);
                    let code = if has < much { 200 } else { 0 };
                    if code == 0 {
                        *held.entry(from).or_default() -= much;
                    }
                    code
                }
                _ => {
                    story.act(from, &[pay(to, tea(much))]);
                    let code = if from == to {
                        202
                    } else if has < much {
                        200
                    } else {
                        0
                    };
                    if code == 0 {
                        *held.entry(from).or_default() -= much;
                        *held.entry(to).or_default() += much;
                    }
                    code
                }
            };
            expected.push(code);
        }
        story.seal();
        assert_eq!(story.codes(), expected);
        assert_eq!(registered(&story, TEA).expect("there").supply.units(), held.values().sum::<u64>());
        for (name, units) in &held {
            assert_eq!(story.balance_of(address(name), asset(TEA)), *units, "{name}");
        }
    }
    story.transfer("bob", "carol", units(1)).seal();
}
