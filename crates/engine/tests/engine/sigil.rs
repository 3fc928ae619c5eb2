//! Keys and sessions: who may act for an account, and how far.

use crate::random::Random;
use crate::story::{
    FOUNDED, OBJECT_PRICE, SLOT_PRICE, Story, address, amount, gcc, gid, key, leave, mana, pay, sign, units,
};
use ghostplane_engine::execute::InvalidBatch;
use ghostplane_engine::{Halt, ProposedBatch, execute};
use ghostplane_ghostcipher::VerificationKey;
use ghostplane_ghostcipher::ed25519::KeyError;
use ghostplane_types::limits::{ACCOUNT_KEYS_MAX, SESSION_MS_MAX, SESSIONS_MAX};
use ghostplane_types::{
    Action, AssetId, EntityType, Gid, Holder, KeyChange, KeyRef, KindSet, Limit, Money, Nonce, PublicKey, Reject,
    Scheme, Scope, Session, Spent, Transaction, TransactionBody, Window, gas,
};
use std::collections::BTreeMap;

const HOUR_MS: u64 = 3_600_000;
/// A point that adds nothing to itself eight times over.
const SMALL_ORDER: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

pub fn public(name: &str) -> PublicKey {
    PublicKey::Ed25519(key(name).verification_key())
}

pub fn limit(asset: AssetId, per_transaction: u64, window: Window, per_window: u64) -> Limit {
    Limit { asset, per_transaction: amount(per_transaction), window, per_window: amount(per_window) }
}

/// A session of `key` that may pay anybody up to 100,000 units of GCC at a time, and 250,000 an hour.
pub fn session(lane: u8, name: &str) -> Session {
    Session {
        lane,
        holder: Holder::Key(public(name)),
        expires: FOUNDED + 10 * HOUR_MS,
        scope: Scope {
            kinds: KindSet::of(&[Action::KIND_TRANSFER]),
            recipients: None,
            l1_recipients: None,
            contracts: Vec::new(),
            limits: vec![limit(AssetId::GCC, 100_000, Window::Hour, 250_000)],
        },
    }
}

pub fn add(session: Session) -> Action {
    Action::AddSession(Box::new(session))
}

/// Alice, Bob and Carol with money, Alice and Bob registered.
pub fn plane() -> Story {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("alice", mana(1_000_000)).deposit("bob", gcc(10)).deposit("carol", gcc(1));
    story.seal().transfer("alice", "bob", units(1)).transfer("bob", "alice", units(1)).seal();
    story
}

/// What a session of Alice's signs next, with just enough gas.
fn by_session(story: &Story, lane: u8, signer: &str, actions: &[Action]) -> Transaction {
    let body = story.body("alice", lane, actions);
    let gas_limit = gas_of(&body) + actions.len() as u64 * 1_500;
    sign(signer, TransactionBody { gas_limit, ..body })
}

pub fn gas_of(body: &TransactionBody) -> u64 {
    use ghostplane_types::Encode;
    gas::intrinsic(Scheme::Ed25519, body.to_bytes().len() + 65, body.actions.len())
}

/// Puts a transaction into the pool that is as good as it has to be.
fn take(story: &mut Story, transaction: Transaction) {
    story.count("alice", &transaction.body);
    story.pool.push(transaction);
}

/// Sees a transaction refused before it costs anything.
fn refuse(story: &mut Story, transaction: Transaction, code: u16) {
    let reject = story.refusal(&transaction).expect("it is refused");
    assert_eq!(reject.code(), code, "{reject}");
    let at = story.pool.len();
    story.refused.push((at, transaction, reject));
}

#[test]
fn a_session_pays_within_its_scope_on_its_own_lane() {
    let mut story = plane();
    story.act("alice", &[add(session(7, "phone"))]).seal();
    assert_eq!(story.codes(), [0]);
    // The price of an object is held for it.
    let outcome = story.receipt(0);
    assert_eq!(outcome.fee, outcome.gas + OBJECT_PRICE);

    let payment = by_session(&story, 7, "phone", &[pay("carol", units(1_000))]);
    take(&mut story, payment);
    story.transfer("alice", "bob", units(5)).seal();
    assert_eq!(story.codes(), [0, 0]);
    let record = story.record("alice").expect("registered");
    assert_eq!((record.next_in_lane(7), record.next_in_lane(0)), (1, 3));
    let spent = record.gates.expect("a session").sessions[0].spent.clone();
    // What it paid, and the fee.
    let cost = 1_000 + story.receipt(0).fee;
    assert_eq!(spent, [Spent { window: (story.time - 50) / HOUR_MS, units: cost }]);

    // Its end gives back what was held, and is immediate: also for what follows in the same batch.
    let before = story.balance("alice");
    let late = by_session(&story, 7, "phone", &[pay("carol", units(1))]);
    story.act("alice", &[Action::RevokeSession { lane: 7 }]);
    refuse(&mut story, late.clone(), 120);
    story.seal();
    assert_eq!(story.balance("alice"), before - story.receipt(0).fee + OBJECT_PRICE);
    assert!(story.record("alice").expect("registered").gates.is_none());
    refuse(&mut story, late, 120);
}

#[test]
fn every_way_out_of_a_scope_is_refused_for_nothing() {
    let mut story = plane();
    let mut to_bob = session(3, "watch");
    to_bob.scope.recipients = Some(vec![address("bob")]);
    to_bob.scope.l1_recipients = Some(vec![]);
    to_bob.scope.kinds = KindSet::of(&[Action::KIND_TRANSFER, Action::KIND_WITHDRAW]);
    story.act("alice", &[add(session(7, "phone")), add(to_bob)]).seal();
    assert_eq!(story.codes(), [0]);
    let state = story.state;

    let pays = |money: Money| [pay("carol", money)];
    let cases: Vec<(u16, u8, &str, Vec<Action>)> = vec![
        (122, 7, "phone", vec![leave("alice", units(1))]),
        (122, 7, "phone", pays(mana(1)).to_vec()),
        (122, 3, "watch", pays(units(1)).to_vec()),
        (122, 3, "watch", vec![leave("alice", units(1))]),
        (123, 7, "phone", pays(units(100_001)).to_vec()),
        // The most that the fee can be counts as well, and so does the sum of a bundle.
        (123, 7, "phone", pays(units(100_000)).to_vec()),
        (123, 7, "phone", [pays(units(50_000)), pays(units(50_000))].concat()),
        // Nothing that changes a gate is for sessions.
        (122, 7, "phone", vec![add(session(9, "other"))]),
        (122, 7, "phone", vec![Action::RevokeSession { lane: 7 }]),
        (122, 7, "phone", vec![Action::RotateKey(KeyChange::Add(public("other")))]),
        (122, 7, "phone", vec![Action::RegisterIdentity { gid: Box::new(gid("dave")) }]),
        // Lanes are each other's.
        (104, 3, "phone", pays(units(1)).to_vec()),
        (120, 8, "phone", pays(units(1)).to_vec()),
    ];
    for (code, lane, signer, actions) in cases {
        let transaction = by_session(&story, lane, signer, &actions);
        refuse(&mut story, transaction, code);
    }
    let on_root = TransactionBody { key_ref: KeyRef::Registered(0), ..story.body("alice", 7, &pays(units(1))) };
    refuse(&mut story, sign("alice", on_root), 114);
    for lane in [Nonce::LANE_ROOT, Nonce::LANE_FORCED] {
        let body = TransactionBody { key_ref: KeyRef::Session, ..story.body("alice", lane, &pays(units(1))) };
        refuse(&mut story, sign("phone", body), 120);
    }
    let stranger = TransactionBody { key_ref: KeyRef::Session, ..story.body("carol", 7, &pays(units(1))) };
    refuse(&mut story, sign("phone", stranger), 108);
    story.refused.clear();
    assert_eq!(story.state, state);

    // A session cannot go past the operator: lane 255 is the root keys'.
    let forced = TransactionBody { key_ref: KeyRef::Session, ..story.body("alice", 7, &pays(units(1))) };
    story.force_bytes(&ghostplane_types::Encode::to_bytes(&sign("phone", forced))).seal();
    assert_eq!(story.codes(), [114]);

    // Its time runs out, to the millisecond.
    let last = by_session(&story, 7, "phone", &pays(units(1)));
    story.time = FOUNDED + 10 * HOUR_MS;
    let last = TransactionBody { valid_until: story.time + 10, ..last.body };
    take(&mut story, sign("phone", last));
    story.seal();
    assert_eq!(story.codes(), [0]);
    let late = by_session(&story, 7, "phone", &pays(units(1)));
    refuse(&mut story, late, 121);
}

#[test]
fn storage_counts_towards_the_limit_as_well() {
    let mut story = plane();
    let mut tight = session(7, "phone");
    tight.scope.limits = vec![limit(AssetId::GCC, 10_000, Window::Hour, 10_000)];
    story.act("alice", &[add(tight)]).seal();
    let body = story.body("alice", 7, &[pay("dave", units(1))]);
    let gas_limit = 10_000 - 1 - SLOT_PRICE - OBJECT_PRICE + 1;
    take(&mut story, sign("phone", TransactionBody { gas_limit, ..body.clone() }));
    story.seal();
    assert_eq!(story.codes(), [232]);
    // The fee of what was refused is spent.
    let spent = story.record("alice").expect("registered").gates.expect("a session").sessions[0].spent[0];
    assert_eq!(spent.units, story.receipt(0).fee);
}

#[test]
fn terms_that_no_session_has_are_refused_when_set() {
    let mut story = plane();
    let with = |change: &dyn Fn(&mut Session)| {
        let mut session = session(7, "phone");
        change(&mut session);
        add(session)
    };
    let deploy = KindSet::from_bits(1 << 3);
    let cases: Vec<(u16, Action)> = vec![
        (227, with(&|session| session.lane = 0)),
        (227, with(&|session| session.lane = 255)),
        (227, with(&|session| session.expires = FOUNDED)),
        (227, with(&|session| session.expires = FOUNDED + SESSION_MS_MAX + 2 * HOUR_MS)),
        (227, with(&|session| session.scope.kinds = KindSet::default())),
        (227, with(&|session| session.scope.kinds = deploy)),
        (227, with(&|session| session.scope.kinds = KindSet::of(&[Action::KIND_ADD_SESSION]))),
        (227, with(&|session| session.scope.kinds = KindSet::from_bits(u64::MAX))),
        (227, with(&|session| session.scope.contracts = vec![address("code")])),
        (222, with(&|session| session.holder = Holder::Key(public("alice")))),
        (
            220,
            with(&|session| {
                session.holder = Holder::Key(PublicKey::Ed25519(VerificationKey::from_bytes(SMALL_ORDER)));
            }),
        ),
        (230, Action::RevokeSession { lane: 7 }),
    ];
    story.wait(HOUR_MS);
    for (_, action) in &cases {
        story.act("alice", std::slice::from_ref(action));
    }
    story.seal();
    assert_eq!(story.codes(), cases.iter().map(|(code, _)| *code).collect::<Vec<_>>());
    assert!(story.record("alice").expect("registered").gates.is_none());

    story.act("alice", &[add(session(7, "phone"))]).act("alice", &[add(session(7, "watch"))]);
    story.act("alice", &[add(session(8, "phone"))]).seal();
    assert_eq!(story.codes(), [0, 228, 222]);
    // A lane that is free again takes another key; its numbers go on. What was held stays held.
    let held = story.balance_of(story.plane.storage(), AssetId::GCC);
    let payment = by_session(&story, 7, "phone", &[pay("bob", units(1))]);
    take(&mut story, payment);
    story.seal().wait(11 * HOUR_MS);
    let later = Session { expires: story.time + HOUR_MS, ..session(7, "watch") };
    story.act("alice", &[add(later)]).seal();
    assert_eq!(story.codes(), [0]);
    assert_eq!(story.balance_of(story.plane.storage(), AssetId::GCC), held);
    let payment = by_session(&story, 7, "watch", &[pay("bob", units(1))]);
    assert_eq!(payment.body.nonce.seq, 1);
    take(&mut story, payment);
    story.seal();
    assert_eq!(story.codes(), [0]);

    // So many, and no more; nor more bytes than a record keeps for them.
    let names: Vec<String> = (0..=SESSIONS_MAX).map(|at| format!("device {at}")).collect();
    for (lane, name) in (20..).zip(&names) {
        let session = Session { expires: story.time + HOUR_MS, ..session(lane, name) };
        story.act("alice", &[add(session)]);
    }
    story.seal();
    let full = story.codes();
    assert_eq!((full.iter().filter(|code| **code == 0).count(), full.last()), (SESSIONS_MAX - 1, Some(&229)));
    let mut long = session(40, "long");
    long.expires = story.time + HOUR_MS;
    long.scope.recipients = Some((0..16).map(|byte| ghostplane_types::Address::from_bytes([byte; 32])).collect());
    long.scope.l1_recipients = Some((0..16).map(|byte| ghostplane_types::L1Address([byte; 32])).collect());
    let many = (0..8).map(|at| limit(AssetId::new(at).expect("small"), 1, Window::Hour, 1)).collect();
    long.scope.limits = many;
    for at in 0..8_u8 {
        let name = format!("long {at}");
        let long = Session { lane: 20 + at, holder: Holder::Key(public(&name)), ..long.clone() };
        story.act("alice", &[Action::RevokeSession { lane: 20 + at }, add(long)]);
    }
    story.seal();
    assert_eq!(story.codes().last(), Some(&231));
}

#[test]
fn keys_come_and_go_and_one_stays() {
    let mut story = plane();
    let rotate = |change| Action::RotateKey(change);
    story.act("alice", &[rotate(KeyChange::Add(public("second")))]);
    // The new key signs from the next batch on: nobody who executes the batch again could know it before.
    let body = TransactionBody { key_ref: KeyRef::Registered(1), ..story.body("alice", 0, &[pay("bob", units(1))]) };
    assert_eq!(story.refusal(&sign("second", body.clone())).expect("it is refused").code(), 105);
    story.seal();
    story.send("alice", TransactionBody { key_ref: KeyRef::Registered(0), ..body.clone() });
    story.pool[0] = sign("second", body);
    story.seal();
    assert_eq!(story.codes(), [0]);

    // A key in the place of another: the old one is out at once.
    story.act("alice", &[rotate(KeyChange::Replace { position: 0, key: public("third") })]);
    let old = story.body("alice", 0, &[pay("bob", units(1))]);
    assert_eq!(story.refusal(&sign("alice", old.clone())).expect("it is refused").code(), 105);
    story.seal();
    assert_eq!(story.refusal(&sign("alice", old.clone())).expect("it is refused").code(), 104);
    let carried = TransactionBody { key_ref: KeyRef::Carried(gid("alice")), ..old.clone() };
    assert_eq!(story.refusal(&sign("alice", carried)).expect("it is refused").code(), 105);

    let by = |story: &mut Story, signer: &str, position, change| {
        let body = story.body("alice", 0, &[rotate(change)]);
        story.count("alice", &body);
        story.pool.push(sign(signer, TransactionBody { key_ref: KeyRef::Registered(position), ..body }));
    };
    let small = PublicKey::Ed25519(VerificationKey::from_bytes(SMALL_ORDER));
    let encodings = (2..).map(|first| {
        let mut bytes = [0; 32];
        bytes[0] = first;
        bytes
    });
    let no_point = encodings.map(VerificationKey::parse).find_map(Result::err);
    let Some(KeyError::NotOnCurve(no_point)) = no_point else { panic!("half of all numbers are no point") };
    let no_point = PublicKey::Ed25519(no_point);
    let cases = [
        (222, KeyChange::Add(public("second"))),
        (222, KeyChange::Replace { position: 0, key: public("third") }),
        (220, KeyChange::Add(small)),
        (220, KeyChange::Replace { position: 1, key: no_point }),
        (223, KeyChange::Replace { position: 2, key: public("fourth") }),
        (223, KeyChange::Remove { position: 255 }),
        (0, KeyChange::Remove { position: 0 }),
    ];
    for (_, change) in cases {
        by(&mut story, "third", 0, change);
    }
    story.seal();
    assert_eq!(story.codes(), cases.map(|(code, _)| code));
    // Those behind a removed key move up.
    by(&mut story, "second", 0, KeyChange::Remove { position: 0 });
    for at in 0..ACCOUNT_KEYS_MAX {
        by(&mut story, "second", 0, KeyChange::Add(public(&format!("key {at}"))));
    }
    story.seal();
    let codes = story.codes();
    assert_eq!((codes[0], &codes[1..ACCOUNT_KEYS_MAX], codes[ACCOUNT_KEYS_MAX]), (224, &[0; 7][..], 221));
    // A bundle that fails later leaves the keys as they were.
    let before = story.record("alice").expect("registered").identity;
    let body = story.body("alice", 0, &[rotate(KeyChange::Remove { position: 3 }), pay("bob", gcc(1_000))]);
    story.count("alice", &body);
    story.pool.push(sign("second", body));
    story.seal();
    assert_eq!((story.codes(), story.record("alice").expect("registered").identity), (vec![200], before));
}

#[test]
fn a_key_that_somebody_remembers_from_earlier_does_not_sign_in_the_batch_that_sets_it() {
    // On a twin of the plane the watch is Alice's first key already, so that its signature was checked there.
    let rotate = |name: &str| Action::RotateKey(KeyChange::Replace { position: 0, key: public(name) });
    let mut story = plane();
    let mut twin = story.clone();
    twin.act("alice", &[rotate("watch")]).seal();

    let first = sign("alice", story.body("alice", 0, &[rotate("watch")]));
    let mut body = story.body("alice", 0, &[pay("bob", units(1))]);
    body.nonce.seq += 1;
    let second = sign("watch", body);
    let mut verified = story.verify(vec![first]);
    verified.extend(twin.verify(vec![second]));
    let verified: Vec<_> = verified.into_iter().collect::<Result<_, _>>().expect("good signatures");
    let proposed = ProposedBatch::new(story.state, 0, story.time, Vec::new(), verified, 0).expect("a batch");
    let refused = execute(&story.plane, &story.keystone, &proposed).expect_err("it may not be in the batch");
    let expected = InvalidBatch::Transaction { position: 1, reject: Reject::KeyTooNew };
    assert_eq!(refused, Halt::Invalid(expected));
    story.wait(1);
}

#[test]
fn anybody_registers_an_identity_at_its_own_address() {
    let mut story = plane();
    let register = |gid: Gid| Action::RegisterIdentity { gid: Box::new(gid) };
    let foreign = Gid { chain_id: 10_000, ..gid("dave") };
    let small = Gid { public_key: PublicKey::Ed25519(VerificationKey::from_bytes(SMALL_ORDER)), ..gid("dave") };
    story.act("alice", &[register(gid("dave"))]).act("alice", &[register(gid("carol"))]);
    story.act("alice", &[register(gid("bob"))]).act("alice", &[register(foreign)]).act("alice", &[register(small)]);
    story.seal();
    assert_eq!(story.codes(), [0, 0, 225, 226, 220]);
    let fees = [0, 1].map(|at| story.receipt(at).fee - story.receipt(at).gas);
    assert_eq!(fees, [OBJECT_PRICE, 0]);
    let dave = story.record("dave").expect("made");
    let identity = dave.identity.expect("registered");
    assert_eq!((identity.entity_type, &*identity.keys), (EntityType::Wallet, &[public("dave")][..]));
    assert!(dave.slots.is_empty());
    // Carol, who had money and no key yet, signs without carrying her identity.
    let body = TransactionBody { key_ref: KeyRef::Registered(0), ..story.body("carol", 0, &[pay("dave", units(7))]) };
    story.send("carol", body).seal();
    assert_eq!((story.codes(), story.balance("dave")), (vec![0], 7));
    assert_eq!(story.receipt(0).fee, story.receipt(0).gas + SLOT_PRICE);
}

// Windows against a model.

struct Modelled {
    name: String,
    expires: u64,
    limits: Vec<Limit>,
    recipients: Option<Vec<String>>,
    spent: BTreeMap<AssetId, (u64, u64)>,
}

/// What must become of a session's payment: its code, and whether a batch takes it.
fn judge(
    live: Option<&Modelled>,
    (signer, to, money): (&str, &str, Money),
    (time, most_fee): (u64, u64),
) -> (u16, bool) {
    let Some(live) = live else { return (120, false) };
    if live.name != signer {
        return (104, false);
    }
    if time > live.expires {
        return (121, false);
    }
    if live.recipients.as_ref().is_some_and(|known| !known.iter().any(|name| name == to)) {
        return (122, false);
    }
    let mut sums = vec![(AssetId::GCC, most_fee)];
    match sums.iter_mut().find(|(asset, _)| *asset == money.asset) {
        Some((_, sum)) => *sum += money.amount.units(),
        None => sums.push((money.asset, money.amount.units())),
    }
    for (asset, sum) in sums {
        let Some(limit) = live.limits.iter().find(|limit| limit.asset == asset) else { return (122, false) };
        let (window, spent) = live.spent.get(&asset).copied().unwrap_or_default();
        let spent = if window == time / limit.window.length_ms() { spent } else { 0 };
        if sum > limit.per_transaction.units() {
            return (123, false);
        }
        if sum > limit.per_window.units().saturating_sub(spent) {
            return (124, false);
        }
    }
    (0, true)
}

#[test]
fn windows_count_what_a_model_counts() {
    let mut seen: BTreeMap<u16, u32> = BTreeMap::new();
    for seed in 0..4 {
        let mut random = Random(seed);
        let mut story = plane();
        let mut model: BTreeMap<u8, Modelled> = BTreeMap::new();
        for step in 0..140 {
            // Sessions come and go.
            let lane = random.pick(&[1, 7, 254]);
            let over = model.get(&lane).is_none_or(|live| live.expires < story.time);
            if random.one_in(8) {
                if over || random.one_in(3) {
                    let name = format!("key {step}");
                    let mut session = session(lane, &name);
                    session.expires = story.time + 1 + random.next() % (12 * HOUR_MS);
                    let window = random.pick(&Window::ALL);
                    session.scope.limits = vec![
                        limit(AssetId::GCC, 10_000 + random.next() % 30_000, window, 20_000 + random.next() % 60_000),
                        limit(AssetId::ZMAN, random.next() % 100, Window::Hour, random.next() % 300),
                    ];
                    session.scope.limits.truncate(2 - usize::from(random.one_in(3)));
                    let recipients = random.one_in(3).then(|| vec!["bob".to_string()]);
                    session.scope.recipients = recipients.as_ref().map(|_| vec![address("bob")]);
                    let modelled = Modelled {
                        name,
                        expires: session.expires,
                        limits: session.scope.limits.clone(),
                        recipients,
                        spent: BTreeMap::new(),
                    };
                    story.act("alice", &[add(session)]).seal();
                    assert_eq!(story.codes(), [if over { 0 } else { 228 }]);
                    if over {
                        model.insert(lane, modelled);
                    }
                } else {
                    story.act("alice", &[Action::RevokeSession { lane }]).seal();
                    assert_eq!(story.codes(), [if model.remove(&lane).is_some() { 0 } else { 230 }]);
                }
            }
            // Payments within and beyond.
            for _ in 0..random.below(4) {
                let lane = random.pick(&[1, 7, 254, 254]);
                let live = model.get(&lane);
                let stranger = random.one_in(12);
                let signer = live.filter(|_| !stranger).map_or("stranger".to_string(), |live| live.name.clone());
                let to = random.pick(&["bob", "carol"]);
                let money =
                    if random.one_in(3) { mana(1 + random.next() % 90) } else { units(1 + random.next() % 25_000) };
                let body = story.body("alice", lane, &[pay(to, money)]);
                let gas_limit = gas_of(&body) + if random.one_in(3) { 3_000 } else { 1_500 };
                let transaction = sign(&signer, TransactionBody { gas_limit, ..body });
                let (code, taken) = judge(live, (&signer, to, money), (story.time, gas_limit));
                *seen.entry(code).or_default() += 1;
                if !taken {
                    refuse(&mut story, transaction, code);
                    continue;
                }
                assert_eq!(story.refusal(&transaction), None);
                take(&mut story, transaction);
                story.seal();
                let outcome = story.receipt(0);
                let storage_over = outcome.code == 232;
                assert!(outcome.code == 0 || storage_over, "{}", outcome.code);
                let live = model.get_mut(&lane).expect("it signed");
                let moved =
                    [(AssetId::GCC, outcome.fee), (money.asset, if storage_over { 0 } else { money.amount.units() })];
                for (asset, units) in moved {
                    let limit = live.limits.iter().find(|limit| limit.asset == asset);
                    let window = limit.map_or(0, |limit| (story.time - 50) / limit.window.length_ms());
                    let spent = live.spent.entry(asset).or_default();
                    *spent = (window, units + if spent.0 == window { spent.1 } else { 0 });
                }
            }
            if random.one_in(6) {
                // What was refused before would be refused for something else after.
                story.refused.clear();
                story.wait(random.next() % (2 * HOUR_MS));
            }
            let gates = story.record("alice").expect("registered").gates.unwrap_or_default();
            assert_eq!(
                gates.sessions.iter().map(|live| live.session.lane).collect::<Vec<_>>(),
                model.keys().copied().collect::<Vec<_>>()
            );
            for (lane, live) in &model {
                let kept = gates.session(*lane).expect("listed above");
                for (limit, spent) in kept.session.scope.limits.iter().zip(&kept.spent) {
                    let (window, units) = live.spent.get(&limit.asset).copied().unwrap_or_default();
                    assert!(units == 0 || *spent == Spent { window, units }, "{spent:?} of {:?}", limit.asset);
                }
            }
        }
    }
    assert!([0, 104, 120, 121, 122, 123, 124].iter().all(|code| seen.contains_key(code)), "{seen:?}");
}
