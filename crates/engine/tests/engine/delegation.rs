//! Accounts that act for others, within the scope of a session.

use crate::guardians::{self, HOUR_MS, two_of_three};
use crate::random::Random;
use crate::sigil::{add, limit, plane, public, session};
use crate::story::{FOUNDED, Story, address, gcc, leave, mana, pay, sign, units};
use ghostplane_engine::execute::InvalidBatch;
use ghostplane_engine::{Halt, KeyRing, ProposedBatch, execute, registered_keys, verify_ring};
use ghostplane_types::{
    Action, AssetId, Encode, GuardianSet, Holder, KeyChange, KeyRef, Nonce, Reject, Scheme, Session, Transaction,
    TransactionBody, Window, gas,
};
use std::collections::BTreeMap;

const LANE: u8 = 7;

/// Alice lets an account act for her as [`session`] says.
fn delegation(lane: u8, delegate: &str) -> Session {
    Session { holder: Holder::Account(address(delegate)), ..session(lane, delegate) }
}

/// What `delegate` sends for `sender` next, signed by `signer`, its key at that position, with just enough gas.
fn acting(
    story: &Story,
    (sender, lane): (&str, u8),
    (delegate, signer, position): (&str, &str, u8),
    actions: &[Action],
) -> Transaction {
    let account = address(delegate);
    let scheme = crate::story::signer(signer).public_key().scheme();
    let key_ref = match scheme {
        Scheme::Passkey => KeyRef::DelegatePasskey { account, position },
        _ => KeyRef::Delegate { account, position },
    };
    let body = TransactionBody { key_ref, ..story.body(sender, lane, actions) };
    let consent = if scheme == Scheme::Passkey { 1_000 } else { 65 };
    let gas_limit =
        gas::intrinsic(scheme, body.to_bytes().len() + consent, actions.len()) + actions.len() as u64 * 1_500;
    sign(signer, TransactionBody { gas_limit, ..body })
}

/// Bob acts for Alice on lane 7.
fn by_bob(story: &Story, actions: &[Action]) -> Transaction {
    acting(story, ("alice", LANE), ("bob", "bob", 0), actions)
}

fn take(story: &mut Story, sender: &str, transaction: Transaction) {
    guardians::take(story, sender, transaction);
}

fn refuse(story: &mut Story, transaction: Transaction, code: u16) {
    guardians::refuse(story, transaction, code);
}

/// Alice, for whom Bob acts.
fn delegated() -> Story {
    let mut story = plane();
    story.act("alice", &[add(delegation(LANE, "bob"))]).seal();
    assert_eq!(story.codes(), [0]);
    story
}

#[test]
fn a_delegate_pays_from_the_account_that_it_acts_for() {
    let mut story = delegated();
    let (alice, bob) = (story.balance("alice"), story.balance("bob"));
    let payment = by_bob(&story, &[pay("carol", units(1_000))]);
    take(&mut story, "alice", payment);
    // He acts for himself in the same batch, and pays for that himself.
    story.transfer("bob", "carol", units(5)).seal();
    assert_eq!(story.codes(), [0, 0]);
    assert_eq!(story.balance("alice"), alice - 1_000 - story.receipt(0).fee);
    assert_eq!(story.balance("bob"), bob - 5 - story.receipt(1).fee);
    let record = story.record("alice").expect("registered");
    assert_eq!((record.next_in_lane(LANE), record.gates.expect("a session").sessions[0].spent.len()), (1, 1));
    // Somebody whom the state does not know can be paid as well.
    let payment = by_bob(&story, &[pay("dave", units(1_000)), pay("bob", units(1))]);
    take(&mut story, "alice", payment);
    story.seal();
    assert_eq!(story.codes(), [0]);
}

#[test]
fn a_scope_binds_an_account_as_it_binds_a_key() {
    let mut story = delegated();
    let cases: Vec<(u16, Vec<Action>)> = vec![
        (122, vec![leave("alice", units(1))]),
        (122, vec![pay("carol", mana(1))]),
        (122, vec![Action::RevokeSession { lane: LANE }]),
        (122, vec![add(delegation(9, "carol"))]),
        (122, vec![pay("carol", units(1)), Action::RotateKey(KeyChange::Add(public("thief")))]),
        (123, vec![pay("carol", units(100_001))]),
        (123, vec![pay("carol", units(50_000)), pay("carol", units(50_000))]),
    ];
    for (code, actions) in &cases {
        let transaction = by_bob(&story, actions);
        refuse(&mut story, transaction, *code);
    }
    // Windows count what he moves.
    for _ in 0..2 {
        let payment = by_bob(&story, &[pay("carol", units(90_000))]);
        take(&mut story, "alice", payment);
    }
    let third = by_bob(&story, &[pay("carol", units(90_000))]);
    refuse(&mut story, third, 124);
    story.seal();
    story.refused.clear();
    story.wait(HOUR_MS);
    let next = by_bob(&story, &[pay("carol", units(90_000))]);
    take(&mut story, "alice", next);
    story.seal();
    assert_eq!(story.codes(), [0]);
    // To the last moment, and no further.
    let last = FOUNDED + 10 * HOUR_MS - story.time;
    story.wait(last);
    let payment = by_bob(&story, &[pay("carol", units(1))]);
    take(&mut story, "alice", payment);
    story.seal();
    let late = by_bob(&story, &[pay("carol", units(1))]);
    refuse(&mut story, late, 121);
    story.transfer("alice", "bob", units(1)).seal();
}

#[test]
fn only_the_holder_acts_and_only_by_its_own_keys() {
    let mut story = delegated();
    story.act("alice", &[add(session(9, "phone"))]).act("carol", &[pay("bob", units(1))]);
    let one = [pay("bob", units(1))];
    // Another account, another key, another position, another lane; a key where an account holds, and the other way round.
    let carol = acting(&story, ("alice", LANE), ("carol", "carol", 0), &one);
    story.seal();
    refuse(&mut story, carol, 151);
    let stranger = acting(&story, ("alice", LANE), ("bob", "phone", 0), &one);
    refuse(&mut story, stranger, 104);
    let nowhere = acting(&story, ("alice", LANE), ("bob", "bob", 1), &one);
    refuse(&mut story, nowhere, 105);
    let elsewhere = acting(&story, ("alice", 8), ("bob", "bob", 0), &one);
    refuse(&mut story, elsewhere, 120);
    let of_a_key = acting(&story, ("alice", 9), ("bob", "bob", 0), &one);
    refuse(&mut story, of_a_key, 151);
    let as_a_key = sign("bob", story.body("alice", LANE, &one));
    refuse(&mut story, as_a_key, 120);
    let nobody = acting(&story, ("alice", LANE), ("nobody", "nobody", 0), &one);
    refuse(&mut story, nobody, 108);
    let on_root = acting(&story, ("alice", Nonce::LANE_ROOT), ("bob", "bob", 0), &one);
    refuse(&mut story, on_root, 120);
    // A delegate's own sessions and delegates do not act for whom it acts for.
    story.act("bob", &[add(session(3, "watch")), add(delegation(4, "carol"))]).seal();
    assert_eq!(story.codes(), [0]);
    story.refused.clear();
    let through = acting(&story, ("alice", LANE), ("carol", "carol", 0), &one);
    refuse(&mut story, through, 151);
    let by_watch = acting(&story, ("alice", LANE), ("bob", "watch", 0), &one);
    refuse(&mut story, by_watch, 104);
    // Nor past the operator.
    let forced = acting(&story, ("alice", LANE), ("bob", "bob", 0), &one);
    let unknown = acting(&story, ("alice", LANE), ("bob", "watch", 0), &one);
    let of_nobody = acting(&story, ("alice", LANE), ("nobody", "nobody", 0), &one);
    for transaction in [forced, unknown, of_nobody] {
        story.force_bytes(&transaction.to_bytes());
    }
    story.seal();
    assert_eq!(story.codes(), [114, 104, 108]);
}

#[test]
fn keys_that_change_carry_over() {
    let mut story = delegated();
    let one = [pay("carol", units(1))];
    let replace = Action::RotateKey(KeyChange::Replace { position: 0, key: public("new") });
    let add_p256 = Action::RotateKey(KeyChange::Add(crate::story::signer("heidi@p256").public_key()));
    let add_passkey = Action::RotateKey(KeyChange::Add(crate::story::signer("heidi@passkey").public_key()));
    story.act("bob", &[replace, add_p256, add_passkey]);
    // In the batch that changes them neither the old nor the new one signs.
    let old = by_bob(&story, &one);
    refuse(&mut story, old.clone(), 105);
    story.seal();
    assert_eq!(story.codes(), [0]);
    refuse(&mut story, old, 104);
    for (signer, position) in [("new", 0), ("heidi@p256", 1), ("heidi@passkey", 2)] {
        let payment = acting(&story, ("alice", LANE), ("bob", signer, position), &one);
        assert_eq!(story.refusal(&payment), None, "{signer}");
        take(&mut story, "alice", payment);
    }
    story.seal();
    assert_eq!(story.codes(), [0; 3]);
}

#[test]
fn a_revocation_and_a_freeze_stop_a_delegate_at_once() {
    let mut story = delegated();
    let one = [pay("carol", units(1))];
    let payment = by_bob(&story, &one);
    take(&mut story, "alice", payment);
    story.act("alice", &[Action::RevokeSession { lane: LANE }]);
    let late = by_bob(&story, &one);
    refuse(&mut story, late, 120);
    story.seal();
    assert_eq!(story.codes(), [0, 0]);
    // Set again, he acts from the batch after; nobody acts in the batch that lets him.
    story.act("alice", &[add(delegation(LANE, "bob"))]);
    let early = by_bob(&story, &one);
    refuse(&mut story, early, 125);
    story.deposit("gina", gcc(1)).seal();
    assert_eq!(story.codes(), [0, 0]);

    let set = guardians::set(GuardianSet { members: two_of_three().members[..2].to_vec(), ..two_of_three() });
    story.act("bob", &[set]);
    guardians::act(&mut story, "gina", &[Action::Freeze { account: address("bob") }], &["gus"]);
    let frozen = by_bob(&story, &one);
    refuse(&mut story, frozen.clone(), 150);
    story.seal();
    assert_eq!(story.codes(), [0, 0]);
    refuse(&mut story, frozen.clone(), 150);
    // What he may do for her is nothing that his guardians are asked about; that he is frozen is.
    guardians::act(&mut story, "gina", &[Action::Unfreeze { account: address("bob") }], &["gus"]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    take(&mut story, "alice", frozen);
    story.seal();
    assert_eq!(story.codes(), [0]);
    // A frozen account lets nobody act for it either.
    let set = guardians::set(GuardianSet { members: two_of_three().members[..2].to_vec(), ..two_of_three() });
    story.act("alice", &[set]);
    guardians::act(&mut story, "gina", &[Action::Freeze { account: address("alice") }], &["gus"]);
    let frozen = by_bob(&story, &one);
    refuse(&mut story, frozen, 126);
    story.seal();
}

#[test]
fn nobody_acts_for_who_acts_for_him_and_nobody_unknown_does() {
    let mut story = delegated();
    story.deposit("dora", gcc(1)).seal();
    let mut brief = delegation(8, "carol");
    brief.expires = story.time + HOUR_MS;
    story.act("carol", &[pay("bob", units(1))]).seal();
    story.act("alice", &[add(brief)]).seal();
    let cases: Vec<(u16, &str, Action)> = vec![
        (298, "alice", add(delegation(9, "alice"))),
        (298, "bob", add(delegation(9, "alice"))),
        (298, "carol", add(delegation(9, "alice"))),
        (299, "alice", add(delegation(9, "dora"))),
        (299, "alice", add(delegation(9, "nobody"))),
        (228, "alice", add(delegation(LANE, "carol"))),
        (227, "alice", add(Session { expires: 0, ..delegation(9, "carol") })),
    ];
    for (_, sender, action) in &cases {
        story.act(sender, std::slice::from_ref(action));
    }
    story.seal();
    assert_eq!(story.codes(), cases.iter().map(|(code, ..)| *code).collect::<Vec<_>>());
    // What is over or revoked stands in nobody's way; held proposals are asked like anybody.
    story.wait(2 * HOUR_MS);
    story.act("carol", &[add(delegation(9, "alice"))]).act("alice", &[Action::RevokeSession { lane: LANE }]);
    story.act("bob", &[add(delegation(9, "alice"))]).seal();
    assert_eq!(story.codes(), [0, 0, 0]);
    let set = guardians::set(GuardianSet { members: two_of_three().members[..2].to_vec(), ..two_of_three() });
    story.act("alice", &[set]).deposit("gina", gcc(1)).seal();
    for (delegate, code) in [("bob", 298), ("dora", 299), ("registrar", 299)] {
        let propose = [Action::Propose { actions: vec![add(delegation(20, delegate))] }];
        let id = guardians::act(&mut story, "alice", &propose, &["gina", "gus"]);
        story.seal();
        assert_eq!(story.codes(), [0]);
        story.act("bob", &[Action::Execute { account: address("alice"), proposal: id }]).seal();
        assert_eq!(story.codes(), [code], "{delegate}");
    }
}

#[test]
fn a_ring_of_keys_knows_delegates_by_their_own_records() {
    let mut story = delegated();
    let one = [pay("carol", units(1))];
    let mut ring = KeyRing::new(8, 1);
    let check = |story: &Story, ring: &mut KeyRing, transactions: Vec<Transaction>| {
        let look_up = |addresses: &[ghostplane_types::Address]| {
            let keys = addresses.iter().map(|address| registered_keys(&story.keystone, address));
            keys.collect::<Result<Vec<_>, _>>()
        };
        let verified = verify_ring(&story.plane, ring, look_up, transactions.clone()).expect("the whole state");
        let without: Vec<_> = story.verify(transactions);
        let shown = |all: &[Result<ghostplane_engine::Verified, Reject>]| {
            all.iter().map(|one| one.as_ref().map(|verified| *verified.key()).map_err(Clone::clone)).collect::<Vec<_>>()
        };
        assert_eq!(shown(&verified), shown(&without));
        verified
    };
    let payment = by_bob(&story, &one);
    let own = sign("bob", story.body("bob", 0, &one));
    assert!(check(&story, &mut ring, vec![payment.clone(), own]).iter().all(Result::is_ok));
    // One key of his, whoever it signs for.
    assert_eq!(ring.len(), 1);
    story.act("bob", &[Action::RotateKey(KeyChange::Replace { position: 0, key: public("new") })]).seal();
    let new = acting(&story, ("alice", LANE), ("bob", "new", 0), &one);
    let checked = check(&story, &mut ring, vec![payment.clone(), new]);
    assert_eq!(checked[0].as_ref().err(), Some(&Reject::BadSignature));
    assert!(checked[1].is_ok());

    // A ring of a twin, on which his key is still the old one, lets it through; execution does not.
    let twin = delegated();
    let remembered = twin.verify(vec![payment]).pop().expect("one").expect("good there");
    let proposed = ProposedBatch::new(story.state, 0, story.time, Vec::new(), vec![remembered], 0).expect("a batch");
    let refused = execute(&story.plane, &story.keystone, &proposed).expect_err("it may not be in the batch");
    let expected = InvalidBatch::Transaction { position: 0, reject: Reject::UnknownKey { key_ref: 0 } };
    assert_eq!(refused, Halt::Invalid(expected));
}

#[test]
fn delegations_come_and_go_as_a_model_has_them() {
    let mut seen: BTreeMap<u16, u32> = BTreeMap::new();
    let people = ["alice", "bob", "dave"];
    for seed in 0..3 {
        let mut random = Random(seed);
        let mut story = plane();
        story.deposit("dave", gcc(10)).seal().transfer("dave", "carol", units(1)).seal();
        // Whose lane, who holds it until when, and whether it is of a batch before.
        let mut model: BTreeMap<(&str, u8), (&str, u64)> = BTreeMap::new();
        for _ in 0..80 {
            let (owner, delegate) = (random.pick(&people), random.pick(&people));
            let lane = random.pick(&[1, 254]);
            let live = |of: Option<&(&str, u64)>, time: u64| of.is_some_and(|(_, expires)| *expires >= time);
            if random.one_in(4) {
                story.act(owner, &[Action::RevokeSession { lane }]).seal();
                assert_eq!(story.codes(), [if model.remove(&(owner, lane)).is_some() { 0 } else { 230 }]);
            } else if random.one_in(2) {
                let expires = story.time + 1 + random.next() % (2 * HOUR_MS);
                let acts_back = model
                    .iter()
                    .any(|((whose, _), held)| *whose == delegate && held.0 == owner && live(Some(held), story.time));
                let code = match () {
                    () if owner == delegate || acts_back => 298,
                    () if live(model.get(&(owner, lane)), story.time) => 228,
                    () => 0,
                };
                let mut session = Session { expires, ..delegation(lane, delegate) };
                session.scope.limits = vec![limit(AssetId::GCC, 100_000, Window::Hour, 1_000_000_000)];
                story.act(owner, &[add(session)]).seal();
                assert_eq!(story.codes(), [code]);
                *seen.entry(code).or_default() += 1;
                if code == 0 {
                    model.insert((owner, lane), (delegate, expires));
                }
            } else {
                let known = model.get(&(owner, lane));
                let code = match known {
                    None => 120,
                    Some((holder, _)) if *holder != delegate => 151,
                    Some(_) if !live(known, story.time) => 121,
                    Some(_) => 0,
                };
                let payment = acting(&story, (owner, lane), (delegate, delegate, 0), &[pay("carol", units(1))]);
                *seen.entry(code).or_default() += 1;
                if code == 0 {
                    take(&mut story, owner, payment);
                    story.seal();
                    assert_eq!(story.codes(), [0]);
                } else {
                    refuse(&mut story, payment, code);
                    story.transfer("carol", "bob", units(1)).seal();
                }
            }
            if random.one_in(5) {
                story.wait(random.next() % (2 * HOUR_MS));
            }
        }
    }
    assert!([0, 120, 121, 151, 228, 298].iter().all(|code| seen.contains_key(code)), "{seen:?}");
}
