//! Every refusal, by its code, each from a state in which the message next to it would be accepted. [`World::send`]
//! checks that the state stays as it was, byte for byte.

use crate::fixture::{Draft, OPERATOR, USD, World, attest, gcc, genesis, post_messages, some_digest, units, who};
use crate::plane::{MarkJudge, Plan};
use ghostplane_ghostcipher::merkle::{self, Path};
use ghostplane_ghostcipher::{Signature, SigningKey};
use ghostplane_settlement::limits::{
    CASES_OPEN_MAX, INBOX_BLOCK_BYTES_MAX, INBOX_BLOCK_ENTRIES_MAX, INBOX_PENDING_BYTES_MAX, INBOX_PENDING_MAX,
    PENDING_COMMITMENTS_MAX, POSTED_BATCHES_MAX, REPLAYS_OPEN_MAX,
};
use ghostplane_settlement::message::Reserved;
use ghostplane_settlement::{Claim, ClaimedUnder, Message, OpenCaseRequest, Purpose, REFUSAL_CODES};
use ghostplane_types::amount::{AMOUNT_MAX, SUPPLY_MAX};
use ghostplane_types::limits::{CHUNK_BYTES_MAX, TRANSACTION_BYTES_MAX, WITNESS_BYTES_MAX};
use ghostplane_types::{
    Address, Amount, AssetId, Attestation, BatchHeader, Committer, Committers, Genesis, Withdrawal,
};
use std::collections::BTreeSet;

/// What makes a good thing bad.
type Change<T> = fn(&mut T);
/// The same, with something at hand.
type ChangeWith<'a, T> = &'a dyn Fn(&mut T);

/// The codes that were seen.
#[derive(Default)]
struct Table {
    seen: BTreeSet<u16>,
}

impl Table {
    #[track_caller]
    fn refused(&mut self, world: &World, from: &str, message: &Message, code: u16) {
        let found = world.clone().send(from, message);
        match found {
            Err(refusal) => assert_eq!(refusal.code(), code, "{refusal}"),
            Ok(events) => panic!("{code} expected, found {events:?}"),
        }
        self.seen.insert(code);
    }
}

#[test]
fn every_refusal_has_its_case() {
    let mut table = Table::default();
    of_senders(&mut table);
    of_deposits(&mut table);
    of_full_inboxes(&mut table);
    of_bonds(&mut table);
    of_data(&mut table);
    of_standing(&mut table);
    of_headers(&mut table);
    of_inbox_age(&mut table);
    of_commitments_to_data(&mut table);
    of_attestations(&mut table);
    of_committers(&mut table);
    of_full_queues(&mut table);
    of_opening(&mut table);
    of_material(&mut table);
    of_claims(&mut table);
    // Blocks and proofs have stories of their own, and a full note of claims has a test where it is kept.
    let elsewhere = |code: u16| [300, 301, 302, 449].contains(&code) || (470..=485).contains(&code);
    let missing = REFUSAL_CODES.iter().filter(|(code, _)| !table.seen.contains(code) && !elsewhere(*code));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&(u16, &str)>::new());
}

fn of_senders(table: &mut Table) {
    let world = World::new().bonded();
    for what in Reserved::ALL {
        table.refused(&world, "anybody", &Message::Reserved { what, body: vec![1, 2, 3] }, 304);
    }
    for message in [Message::Unbond, Message::DiscardData, post_messages(1, b"data")[0].clone()] {
        table.refused(&world, "somebody else", &message, 303);
        table.refused(&World::new(), OPERATOR, &message, 303);
    }
}

fn of_deposits(table: &mut Table) {
    let world = World::new();
    let deposit = |asset, l1_amount| Message::Deposit { asset, l1_amount, to: Address::from_bytes([2; 32]) };
    let least = 10_000_000 * 1_000_000_000;
    let rows = [
        (deposit(AssetId::new(9).expect("small"), 1), 310),
        (deposit(AssetId::GCC, least + 1), 311),
        (deposit(AssetId::GCC, u128::MAX / 1_000_000_000 * 1_000_000_000), 312),
        (deposit(AssetId::ZMAN, u128::from(AMOUNT_MAX) + 1), 312),
        (deposit(USD, u128::MAX), 312),
        (deposit(AssetId::GCC, least - 1_000_000_000), 313),
        (deposit(AssetId::GCC, 0), 313),
        (deposit(USD, 0), 313),
        (deposit(AssetId::ZMAN, u128::from(SUPPLY_MAX) + 1), 314),
        (Message::Force { transaction: vec![] }, 320),
        (Message::Force { transaction: vec![0; TRANSACTION_BYTES_MAX + 1] }, 319),
    ];
    for (message, code) in &rows {
        table.refused(&world, "alice", message, *code);
    }
    let mut world = world;
    world.must("alice", &deposit(AssetId::GCC, least));
    world.must("alice", &deposit(USD, 1));
    world.must("alice", &Message::Force { transaction: vec![0; TRANSACTION_BYTES_MAX] });
    world.must("alice", &deposit(AssetId::ZMAN, u128::from(SUPPLY_MAX)));
    table.refused(&world, "alice", &deposit(AssetId::ZMAN, 10_000_000), 314);
}

fn of_full_inboxes(table: &mut Table) {
    let deposit = Message::Deposit { asset: AssetId::ZMAN, l1_amount: 10_000_000, to: Address::from_bytes([2; 32]) };
    let mut world = World::new();
    while world.settlement.inbox_end() < INBOX_PENDING_MAX as u64 {
        for _ in 0..INBOX_BLOCK_ENTRIES_MAX {
            let applied = world.settlement.apply(&deposit, who("alice"), world.block, &MarkJudge);
            applied.expect("room for one more");
        }
        if world.settlement.inbox_end() == u64::from(INBOX_BLOCK_ENTRIES_MAX) {
            table.refused(&world, "alice", &deposit, 317);
        }
        advance(&mut world);
    }
    table.refused(&world, "alice", &deposit, 315);

    let forced = Message::Force { transaction: vec![7; TRANSACTION_BYTES_MAX] };
    let mut world = World::new();
    let mut bytes = 0;
    let entry_bytes = TRANSACTION_BYTES_MAX as u64 + 3 + 1 + 24;
    while bytes + entry_bytes <= INBOX_PENDING_BYTES_MAX {
        let room = INBOX_BLOCK_BYTES_MAX.min(INBOX_PENDING_BYTES_MAX - bytes) / entry_bytes;
        for _ in 0..room {
            world.settlement.apply(&forced, who("alice"), world.block, &MarkJudge).expect("room for one more");
        }
        if bytes == 0 {
            table.refused(&world, "alice", &forced, 318);
        }
        bytes += room * entry_bytes;
        advance(&mut world);
    }
    table.refused(&world, "alice", &forced, 316);
}

/// The next block, without the fixture's bookkeeping, for tests that fill something up.
fn advance(world: &mut World) {
    world.block.height += 1;
    world.block.time += 1_000;
    world.settlement.advance(world.block).expect("in order");
}

fn of_bonds(table: &mut Table) {
    let world = World::new();
    let good = world.bond_message(OPERATOR, gcc(1));
    let unsigned = Message::Bond { amount: units(gcc(1)), signature: Signature([0; 64]) };
    table.refused(&world, OPERATOR, &unsigned, 330);
    table.refused(&world, "mallory", &good, 330);
    table.refused(&world, OPERATOR, &world.bond_message(OPERATOR, 0), 331);
    let mut coarse = genesis();
    coarse.assets[0].l1_decimals = 6;
    let coarse = World::with(coarse);
    table.refused(&coarse, OPERATOR, &coarse.bond_message(OPERATOR, gcc(1) + 1), 332);
    let mut full = world;
    let most = full.bond_message(OPERATOR, AMOUNT_MAX);
    full.must(OPERATOR, &most);
    table.refused(&full, OPERATOR, &full.bond_message(OPERATOR, 1), 333);
    full.must(OPERATOR, &Message::Unbond);
    table.refused(&full, OPERATOR, &Message::Unbond, 335);
    let busy = World::new().bonded().commit(vec![Plan::default()]);
    table.refused(&busy, OPERATOR, &Message::Unbond, 334);
}

fn of_data(table: &mut Table) {
    let mut world = World::new().bonded();
    let chunk = |number, chunk, last, len| Message::PostData { number, chunk, last, bytes: vec![5; len] };
    let rows = [
        (chunk(2, 0, true, 10), 340),
        (chunk(0, 0, true, 10), 340),
        (chunk(1, 1, true, 10), 341),
        (chunk(1, 0, true, 0), 342),
        (chunk(1, 0, false, CHUNK_BYTES_MAX - 1), 342),
        (chunk(1, 0, true, CHUNK_BYTES_MAX + 1), 343),
        (Message::DiscardData, 347),
    ];
    for (message, code) in &rows {
        table.refused(&world, OPERATOR, message, *code);
    }
    world.must(OPERATOR, &chunk(1, 0, false, CHUNK_BYTES_MAX));
    table.refused(&world, OPERATOR, &chunk(1, 1, false, CHUNK_BYTES_MAX), 344);
    world.must(OPERATOR, &chunk(1, 1, true, CHUNK_BYTES_MAX));
    for number in 2..5 {
        world.must(OPERATOR, &chunk(number, 0, false, CHUNK_BYTES_MAX));
        world.must(OPERATOR, &chunk(number, 1, true, CHUNK_BYTES_MAX));
    }
    table.refused(&world, OPERATOR, &chunk(5, 0, true, 1), 345);
    let mut world = world.mine(1);
    for number in 5..=POSTED_BATCHES_MAX as u64 {
        world.must(OPERATOR, &chunk(number, 0, true, 1));
    }
    table.refused(&world, OPERATOR, &chunk(POSTED_BATCHES_MAX as u64 + 1, 0, true, 1), 346);
}

/// Two batches that are planned and posted: the second consumes a deposit that is younger than the first.
fn drafted() -> (World, Draft) {
    let (world, draft) = drafted_on(genesis());
    world.clone().must(OPERATOR, &draft.clone().message());
    (world, draft)
}

/// The same on other terms, which the draft's one attestation may not satisfy.
fn drafted_on(terms: Genesis) -> (World, Draft) {
    let mut world = World::with(terms).bonded().mine(1);
    world.plan(Plan::default());
    let mut world = world.mine(1).deposit("alice", AssetId::GCC, gcc(10)).mine(3);
    world.plan(Plan { withdrawals: vec![(who("alice"), AssetId::GCC, gcc(1))], ..Plan::default() });
    world.post();
    let draft = world.draft();
    (world, draft)
}

fn of_standing(table: &mut Table) {
    let (world, draft) = drafted();
    let chain_id = world.chain_id();
    table.refused(&world, "somebody else", &draft.clone().message(), 303);
    let rows: [(Change<Draft>, u16); 8] = [
        (|draft| draft.commitment.version = 2, 361),
        (|draft| draft.commitment.plane_id = some_digest("another"), 362),
        (|draft| draft.commitment.generation = 1, 363),
        (|draft| draft.commitment.first_batch = 2, 366),
        (|draft| draft.commitment.first_batch = 0, 366),
        (|draft| draft.commitment.prev_header_digest = some_digest("another"), 367),
        (|draft| draft.commitment.last_header.number = 0, 368),
        (|draft| draft.commitment.last_header.number = 1025, 368),
    ];
    for (change, code) in rows {
        let mut draft = draft.clone();
        change(&mut draft);
        table.refused(&world, OPERATOR, &draft.sign(chain_id).message(), code);
    }
    let mut twice = world.clone();
    twice.must(OPERATOR, &draft.clone().message());
    twice.plan(Plan::default());
    twice.post();
    table.refused(&twice, OPERATOR, &twice.draft().message(), 364);
    let mut poor = World::new();
    let little = poor.bond_message(OPERATOR, poor.settlement.genesis().settlement.sequencer_bond.units() - 1);
    poor.must(OPERATOR, &little);
    poor.plan(Plan::default());
    poor.post();
    table.refused(&poor, OPERATOR, &poor.draft().message(), 360);
}

fn of_headers(table: &mut Table) {
    let (world, draft) = drafted();
    let chain_id = world.chain_id();
    let unsealed: [(Change<Draft>, u16); 5] = [
        (|draft| draft.headers.truncate(1), 369),
        (|draft| draft.headers.push(draft.headers[0]), 369),
        (|draft| draft.commitment.last_header.gas += 1, 370),
        (|draft| draft.headers[0].gas += 1, 371),
        (|draft| draft.commitment.headers_root = some_digest("another"), 371),
    ];
    for (change, code) in unsealed {
        let mut draft = draft.clone();
        change(&mut draft);
        table.refused(&world, OPERATOR, &draft.sign(chain_id).message(), code);
    }
    // What a header says, the commitment says too.
    let sealed: [(Change<[BatchHeader]>, u16); 25] = [
        (|headers| headers[0].number = 7, 372),
        (|headers| headers[1].protocol = 2, 373),
        (|headers| headers[1].generation = 1, 374),
        (|headers| headers[1].prev_state = some_digest("another"), 375),
        (|headers| headers[0].time += 1, 375),
        (|headers| headers[1].time += 1, 376),
        (|headers| headers[1].time = headers[0].time - 1, 377),
        (|headers| headers[1].time = headers[0].time + 500, 378),
        (|headers| headers[1].inbox_upto += 1, 379),
        (|headers| headers[1].slots_used = headers[0].slots_used - 1, 382),
        (|headers| headers[1].objects_used = headers[0].objects_used - 1, 382),
        (|headers| headers[1].log_upto = headers[0].log_upto - 1, 382),
        (|headers| headers[1].slots_used = (1 << 26) + 1, 383),
        (|headers| headers[1].objects_used = (1 << 26) + 1, 383),
        (|headers| headers[1].slots_used = u32::MAX, 383),
        (|headers| headers[1].bytes = 1_048_577, 384),
        (|headers| headers[1].gas = 100_000_001, 384),
        (|headers| headers[1].gas = u64::MAX, 384),
        (|headers| headers[1].entries = (1 << 19) + 1, 384),
        (|headers| headers[1].log_upto = headers[0].log_upto + 4096, 384),
        (|headers| headers[1].log_upto = u64::MAX, 384),
        (|headers| headers[1].inbox_upto = u64::MAX, 384),
        (|headers| headers[1].outbox_upto = headers[0].outbox_upto + 65_537, 384),
        (|headers| headers[1].outbox_upto = u64::MAX, 384),
        (|headers| headers[1].bytes += 1, 386),
    ];
    for (change, code) in sealed {
        let mut draft = draft.clone();
        change(&mut draft.headers);
        let mut sealed = draft.seal(chain_id);
        sealed.commitment.last_header.number = 2;
        if code == 372 {
            sealed = sealed.sign(chain_id);
        }
        table.refused(&world, OPERATOR, &sealed.message(), code);
    }
    // Counters that stand at something before the commitment.
    let (mut later, draft) = drafted();
    later.must(OPERATOR, &draft.message());
    let mut later = later.mine(1);
    later.plan(Plan::default());
    later.post();
    let draft = later.draft();
    let back: [fn(&mut BatchHeader); 2] = [|header| header.outbox_upto = 0, |header| header.inbox_upto = 0];
    for change in back {
        let mut draft = draft.clone();
        change(&mut draft.headers[0]);
        table.refused(&later, OPERATOR, &draft.seal(chain_id).message(), 382);
    }
    let mut from_the_past = draft;
    from_the_past.headers[0].time = later.settlement.tip().time - 1;
    table.refused(&later, OPERATOR, &from_the_past.seal(chain_id).message(), 377);
}

fn of_inbox_age(table: &mut Table) {
    let mut world = World::new().bonded().deposit("alice", AssetId::GCC, gcc(1)).mine(1);
    let young = world.settlement.inbox_entries(0, 1).cloned().collect();
    assert_eq!(world.settlement.inbox_ripe_upto(), 0);
    world.plan(Plan { inbox: young, ..Plan::default() });
    world.post();
    let draft = world.draft();
    table.refused(&world, OPERATOR, &draft.clone().message(), 380);
    world.mine(1).must(OPERATOR, &draft.message());

    let mut world = World::new().bonded();
    world.plan(Plan::default());
    world.post();
    let idle = world.draft();
    let mut world = world.deposit("alice", AssetId::GCC, gcc(1)).mine(50);
    world.clone().must(OPERATOR, &idle.clone().message());
    world = world.mine(1);
    table.refused(&world, OPERATOR, &idle.message(), 381);
}

fn of_commitments_to_data(table: &mut Table) {
    let (world, draft) = drafted();
    let chain_id = world.chain_id();
    let rows: [(Change<Draft>, u16); 3] = [
        (|draft| draft.commitment.data_len += 1, 387),
        (|draft| draft.commitment.data_digest = some_digest("another"), 388),
        (|draft| draft.commitment.data_digest = merkle::root(&[]), 388),
    ];
    for (change, code) in rows {
        let mut draft = draft.clone();
        change(&mut draft);
        table.refused(&world, OPERATOR, &draft.sign(chain_id).message(), code);
    }
    let mut world = world;
    world.plan(Plan::default());
    table.refused(&world, OPERATOR, &world.draft().message(), 385);
    // Half of a batch's data is no data.
    let half = Message::PostData { number: 3, chunk: 0, last: false, bytes: vec![0; CHUNK_BYTES_MAX] };
    world.must(OPERATOR, &half);
    table.refused(&world, OPERATOR, &world.draft().message(), 385);
}

fn of_attestations(table: &mut Table) {
    let (world, draft) = drafted();
    let chain_id = world.chain_id();
    let by = |seed: u8, draft: &Draft| attest(&SigningKey::from_seed([seed; 32]), &draft.commitment, chain_id);
    let first = draft.commitment.attestations[0];
    let with = |attestations: Vec<_>| {
        let mut draft = draft.clone();
        draft.commitment.attestations = attestations;
        draft.message()
    };
    let mut bent = first;
    bent.signature.0[3] ^= 1;
    let other = by(50, &draft);
    let rows = [
        (with(vec![]), 389),
        (with((0..33).map(|seed| if seed == 0 { first } else { by(100 + seed, &draft) }).collect()), 390),
        (with(vec![other, first]), 391),
        (with(vec![first, first]), 392),
        (with(vec![bent]), 393),
        // Genesis asks for nobody but the sequencer.
        (with(vec![first, other]), 394),
    ];
    for (message, code) in &rows {
        table.refused(&world, OPERATOR, message, *code);
    }
    world.clone().must(OPERATOR, &with(vec![first]));
}

/// A plane whose commitments need a weight of 3: of two that weigh 2 and 1, or of 2 and the other 1.
fn of_committers(table: &mut Table) {
    let (world, draft) = drafted_on({
        let mut terms = genesis();
        let member = |(seed, weight): (u8, u16)| Committer { key: committer(seed).verification_key(), weight };
        let mut members: Vec<Committer> = [(50, 2), (51, 1), (52, 1)].map(member).to_vec();
        members.sort_unstable_by_key(|member| *member.key.as_bytes());
        terms.committers = Committers { members, quorum: 3 };
        terms
    });
    let chain_id = world.chain_id();
    let first = draft.commitment.attestations[0];
    let by = |seed: u8| attest(&committer(seed), &draft.commitment, chain_id);
    let with = |attestations: &[Attestation]| {
        let mut draft = draft.clone();
        draft.commitment.attestations = [&[first], attestations].concat();
        draft.message()
    };
    let (heavy, light, other, stranger) = (by(50), by(51), by(52), by(53));
    let unsigned = |by: Attestation| Attestation { signature: first.signature, ..by };
    let rows = [
        (with(&[]), 395),
        (with(&[heavy]), 395),
        (with(&[light, other]), 395),
        // Nobody counts twice.
        (with(&[heavy, heavy]), 392),
        (with(&[heavy, light, light]), 392),
        (with(&[first, heavy, light]), 392),
        (with(&[heavy, stranger]), 394),
        (with(&[heavy, light, stranger]), 394),
        (with(&[heavy, unsigned(light)]), 393),
        // One more than needed has to hold as well.
        (with(&[heavy, light, unsigned(other)]), 393),
        // What can be told without a signature check is told before any.
        (with(&[unsigned(heavy)]), 395),
        (with(&[unsigned(heavy), stranger]), 394),
    ];
    for (message, code) in &rows {
        table.refused(&world, OPERATOR, message, *code);
    }
    // Whoever signed another commitment has not signed this one.
    let mut another = draft.commitment.clone();
    another.data_len += 1;
    let of_another = attest(&committer(51), &another, chain_id);
    table.refused(&world, OPERATOR, &with(&[heavy, of_another]), 393);
    for enough in [&[heavy, light][..], &[other, heavy], &[heavy, light, other]] {
        world.clone().must(OPERATOR, &with(enough));
    }
}

fn committer(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

fn of_full_queues(table: &mut Table) {
    let mut terms = genesis();
    terms.settlement.window_unproven_blocks = 1 << 20;
    let mut world = World::with(terms).bonded();
    for _ in 0..PENDING_COMMITMENTS_MAX {
        world.plan(Plan::default());
        let number = world.plane.last_number();
        let posted = post_messages(number, &world.plane.batch(number).posted);
        for message in [&posted[0], &world.draft().message()] {
            world.settlement.apply(message, who(OPERATOR), world.block, &MarkJudge).expect("room for one more");
        }
        advance(&mut world);
    }
    world.check_bytes();
    world.plan(Plan::default());
    table.refused(&world, OPERATOR, &world.draft().message(), 365);
}

fn of_opening(table: &mut Table) {
    let (mut world, draft) = drafted();
    let open = |request: OpenCaseRequest| Message::OpenCase(Box::new(request));
    world.must(OPERATOR, &draft.message());
    let good = world.case_request(Purpose::Challenge, 2);
    let first = world.case_request(Purpose::Challenge, 1);
    world.clone().must("carol", &open(good.clone()));
    world.clone().must("carol", &open(first.clone()));
    let short = |path: &Path| Path { siblings: vec![], ..path.clone() };
    let of_second: [(ChangeWith<'_, OpenCaseRequest>, u16); 14] = [
        (&|request| request.header.number = 3, 400),
        (&|request| request.header.number = 0, 400),
        (&|request| request.header.number = u64::MAX, 400),
        (&|request| request.header_path.index = 0, 406),
        (&|request| request.header.gas += 1, 407),
        (&|request| request.header_path = short(&good.header_path), 407),
        (&|request| request.prev.number = 0, 408),
        (&|request| request.prev_path = None, 409),
        (&|request| request.prev_path = Some(good.header_path.clone()), 410),
        (&|request| request.prev.gas += 1, 411),
        (&|request| request.posted_path.index = 0, 413),
        (&|request| request.posted = some_digest("another"), 414),
        (&|request| request.witness_len = WITNESS_BYTES_MAX as u64 + 1, 415),
        (&|request| request.witness_len = u64::MAX, 415),
    ];
    for (change, code) in of_second {
        let mut request = good.clone();
        change(&mut request);
        table.refused(&world, "carol", &open(request), code);
    }
    let mut request = first.clone();
    request.prev_path = Some(first.header_path.clone());
    table.refused(&world, "carol", &open(request), 409);
    let mut request = first;
    request.prev.gas += 1;
    table.refused(&world, "carol", &open(request), 412);

    let mut open_already = world.clone();
    open_already.must("carol", &open(good.clone()));
    table.refused(&open_already, "carol", &open(good.clone()), 405);
    let mut crowded = world.clone();
    for at in 0..REPLAYS_OPEN_MAX {
        crowded.open(&format!("friend {at}"), Purpose::Replay, 1);
    }
    table.refused(&crowded, "carol", &open(world.case_request(Purpose::Replay, 2)), 404);
    for at in REPLAYS_OPEN_MAX..CASES_OPEN_MAX {
        crowded.open(&format!("friend {at}"), Purpose::Challenge, 1);
    }
    table.refused(&crowded, "carol", &open(good.clone()), 403);
    let replayed = world.clone().replay("dave", 2);
    table.refused(&replayed, "carol", &open(good.clone()), 401);
    let held_up = {
        let mut world = world.clone().mine(19);
        world.open("dave", Purpose::Challenge, 1);
        world.mine(1)
    };
    table.refused(&held_up, "carol", &open(good.clone()), 402);
    held_up.clone().run_case("carol", Purpose::Replay, 2);
    table.refused(&world.mine(20), "carol", &open(good), 400);
}

fn of_material(table: &mut Table) {
    let (mut world, draft) = drafted();
    world.must(OPERATOR, &draft.message());
    let case = world.open("carol", Purpose::Challenge, 2);
    let all = world.material(2);
    let material = |case, offset, bytes: &[u8]| Message::Material { case, offset, bytes: bytes.to_vec() };
    let rows = [
        ("carol", material(case + 1, 0, &all), 416),
        ("dave", material(case, 0, &all), 417),
        ("carol", material(case, 1, &all), 418),
        ("carol", material(case, 0, &[]), 419),
        ("carol", material(case, 0, &vec![0; CHUNK_BYTES_MAX + 1]), 420),
        ("carol", material(case, 0, &[all.as_slice(), b"!"].concat()), 421),
        ("carol", Message::Judge { case }, 422),
        ("carol", Message::Judge { case: case + 1 }, 416),
    ];
    for (from, message, code) in &rows {
        table.refused(&world, from, message, *code);
    }
    world.must("carol", &material(case, 0, &all[..5]));
    table.refused(&world, "carol", &material(case, 0, &all[..5]), 418);
    table.refused(&world, "carol", &Message::Judge { case }, 422);
    world.must("carol", &material(case, 5, &all[5..]));
    table.refused(&world, "carol", &material(case, all.len() as u64, b"!"), 421);
    world.must("dave", &Message::Judge { case });
}

fn of_claims(table: &mut Table) {
    let claim = |claim: Claim| Message::Claim(Box::new(claim));
    let unregistered = AssetId::new(99).expect("small");
    let mut world = World::new().bonded().deposit("alice", AssetId::GCC, gcc(10)).deposit("alice", USD, 50_000).mine(2);
    let outs = vec![
        (who("alice"), AssetId::GCC, gcc(1)),
        (who("bob"), AssetId::GCC, gcc(1)),
        (who("mallory"), AssetId::GCC, gcc(1_000)),
        (who("mallory"), unregistered, 5),
        (who("mallory"), USD, 5_001),
    ];
    // Nobody challenges it: what is claimed has to stand for itself.
    world.plan(Plan { withdrawals: outs, forged: true, ..Plan::default() });
    world.plan(Plan::default());
    world.plan(Plan { withdrawals: vec![(who("bob"), AssetId::GCC, gcc(1))], forged: true, ..Plan::default() });
    misnumber_last_withdrawal(&mut world);
    world.commit_planned();
    let good = world.claim_of(0);
    table.refused(&world, "alice", &claim(good.clone()), 443);
    world = world.mine(20);
    world.clone().must("alice", &claim(good.clone()));

    let rows: [(ChangeWith<'_, Claim>, u16); 9] = [
        (&|claim| claim.under = ClaimedUnder::Recent { first_batch: 2 }, 440),
        (&|claim| claim.header.number = 4, 442),
        (&|claim| claim.header.number = 0, 442),
        (&|claim| claim.header_path.index = 1, 444),
        (&|claim| claim.header.gas += 1, 445),
        (&|claim| claim.header_path.siblings.clear(), 445),
        (&|claim| claim.withdrawal.amount = units(gcc(2)), 446),
        (&|claim| claim.withdrawal.to = who("mallory"), 446),
        (&|claim| claim.outbox_path.index = 1, 446),
    ];
    for (change, code) in rows {
        let mut bad = good.clone();
        change(&mut bad);
        table.refused(&world, "alice", &claim(bad), code);
    }
    let mut bad = good.clone();
    bad.under = world.archived(1);
    if let ClaimedUnder::Archived { path, .. } = &mut bad.under {
        path.index = 9;
    }
    table.refused(&world, "alice", &claim(bad), 441);
    table.refused(&world, "mallory", &claim(world.claim_of(5)), 447);
    table.refused(&world, "mallory", &claim(world.claim_of(2)), 452);
    table.refused(&world, "mallory", &claim(world.claim_of(3)), 450);
    table.refused(&world, "mallory", &claim(world.claim_of(4)), 451);
    let claimed = world.claim(0);
    table.refused(&claimed, "alice", &claim(good), 448);
}

/// Gives the last batch's only withdrawal the number of the first.
fn misnumber_last_withdrawal(world: &mut World) {
    let chain_id = world.chain_id();
    let last = world.plane.batches.last_mut().expect("planned");
    let withdrawal = Withdrawal { index: 1, amount: Amount::new(gcc(1)).expect("small"), ..last.withdrawals[0] };
    last.withdrawals[0] = withdrawal;
    last.header.outbox_root = merkle::root(&[withdrawal.leaf(chain_id)]);
}
