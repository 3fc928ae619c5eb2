//! The key ring says what checking against the state says, with fewer looks at the state.

use crate::random::{CROWD, Random, some_body};
use crate::story::{FOUNDED, Story, address, first_key, gcc, gid, pay, record_of, sign, units};
use ghostplane_engine::{KeyRing, Verified, registered_keys, verify_all, verify_ring};
use ghostplane_ghostcipher::Signature;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{Changeset, ObjectChange};
use ghostplane_types::{
    Address, Encode, EntityType, Few, Gid, KeyRef, Nonce, ObjectKey, PublicKey, Reject, Transaction,
};
use std::convert::Infallible;

/// Who was asked for, call by call.
type Asked = Vec<Vec<Address>>;

/// Checks by the ring, and asserts that checking against the state says the same.
fn check(story: &Story, ring: &mut KeyRing, transactions: &[Transaction]) -> (Vec<Result<Verified, Reject>>, Asked) {
    let mut asked: Asked = Vec::new();
    let look_up = |senders: &[Address]| {
        asked.push(senders.to_vec());
        let keys = senders.iter().map(|sender| registered_keys(&story.keystone, sender).expect("the whole state"));
        Ok::<_, Infallible>(keys.collect())
    };
    let Ok(found) = verify_ring(&story.plane, ring, look_up, transactions.to_vec());
    let expected = verify_all(&story.plane, &story.keystone, &Serial, transactions.to_vec()).expect("the whole state");
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!((found.transaction(), found.id()), (expected.transaction(), expected.id()));
                assert_eq!((found.key(), found.gas_intrinsic()), (expected.key(), expected.gas_intrinsic()));
            }
            (found, expected) => {
                assert_eq!(found.as_ref().err(), expected.as_ref().err(), "transaction {at} of {}", transactions.len());
            }
        }
    }
    assert!(ring.len() <= ring.capacity());
    assert!(asked.len() <= 2);
    let repeats = |asked: &Vec<Address>| (1..asked.len()).any(|at| asked[..at].contains(&asked[at]));
    assert!(!asked.iter().any(repeats), "an address is asked for once");
    (found, asked)
}

/// A plane on which the first half of the crowd is registered, and the rest only has money.
fn half_registered() -> Story {
    let mut story = Story::new();
    for name in CROWD {
        story.deposit(name, gcc(10));
    }
    story.seal();
    for name in &CROWD[..6] {
        story.withdraw(name, units(1));
    }
    story.seal();
    story
}

fn signed(story: &Story, name: &str, seq: u64) -> Transaction {
    let mut body = story.body(name, Nonce::LANE_ROOT, &[pay("bob", units(1))]);
    body.nonce.seq = seq;
    sign(name, body)
}

/// Gives an account other keys, as no rule can yet.
fn rotate(story: &mut Story, name: &str, keys: &[PublicKey]) {
    let mut record = record_of(&story.keystone, &address(name)).expect("an account");
    let old = Some(record.to_bytes().into());
    record.identity.as_mut().expect("registered").keys = keys.iter().copied().collect::<Few<PublicKey, 1>>();
    let new = Some(record.to_bytes().into());
    let change = ObjectChange { key: ObjectKey::account(&address(name)), old, new };
    story.make_up(&Changeset::new(vec![], vec![change]).expect("one change"));
}

fn public(name: &str) -> PublicKey {
    gid(name).public_key
}

#[test]
fn who_is_known_is_not_looked_up() {
    let story = half_registered();
    let mut ring = KeyRing::new(100, 1);
    let batch: Vec<Transaction> = (0..60).map(|at| signed(&story, CROWD[at % 6], 1 + at as u64 / 6)).collect();
    let (_, asked) = check(&story, &mut ring, &batch);
    assert_eq!(asked, [CROWD[..6].iter().map(|name| address(name)).collect::<Vec<_>>()]);
    assert_eq!(ring.len(), 6);
    let (found, asked) = check(&story, &mut ring, &batch);
    assert!(found.iter().all(Result::is_ok) && asked.is_empty());
    ring.clear();
    assert!(ring.is_empty());
    assert_eq!(check(&story, &mut ring, &batch).1.len(), 1);
}

#[test]
fn the_ring_and_the_state_say_the_same_of_everything() {
    let mut random = Random(77);
    let mut codes = std::collections::BTreeSet::new();
    for capacity in [0, 1, 2, 3, 5, 64] {
        let mut story = half_registered();
        let mut ring = KeyRing::new(capacity, random.next());
        for round in 0..40 {
            let batch: Vec<Transaction> =
                (0..1 + random.below(40)).map(|_| some_transaction(&mut random, &story)).collect();
            let (found, _) = check(&story, &mut ring, &batch);
            codes.extend(found.iter().map(|found| found.as_ref().err().map_or(0, Reject::code)));
            if round == 20 {
                // Somebody registers in between.
                story.withdraw(CROWD[6], units(1)).seal();
            }
        }
    }
    let met: Vec<u16> = codes.into_iter().collect();
    assert_eq!(met, [0, 102, 103, 104, 105, 107, 108, 116, 117]);
}

fn some_transaction(random: &mut Random, story: &Story) -> Transaction {
    let name = random.pick(&CROWD);
    let nonce = Nonce { lane: Nonce::LANE_ROOT, seq: random.next() % 5 };
    let mut body = some_body(random, story, name, nonce);
    match random.below(12) {
        0 => body.key_ref = KeyRef::Registered(1),
        1 | 2 => body.key_ref = KeyRef::Registered(0),
        3 | 4 => body.key_ref = KeyRef::Carried(gid(name)),
        5 => body.key_ref = KeyRef::Carried(gid(random.pick(&CROWD))),
        6 => body.key_ref = KeyRef::Carried(Gid { entity_type: EntityType::Wallet, version: 9, ..gid(name) }),
        7 if random.one_in(3) => body.chain_id += 1,
        7 if random.one_in(2) => body.plane_id.0[0] ^= 1,
        _ => {}
    }
    let mut transaction = sign(if random.one_in(12) { "mallory" } else { name }, body);
    if random.one_in(12) {
        let Signature(mut bytes) = *transaction.auth.signature();
        bytes[random.below(64)] ^= 1 << random.below(8);
        transaction.auth = Signature(bytes).into();
    }
    transaction
}

#[test]
fn a_key_that_was_replaced_is_looked_up_afresh() {
    let mut story = half_registered();
    let mut ring = KeyRing::new(10, 1);
    check(&story, &mut ring, &[signed(&story, "alice", 1), signed(&story, "bob", 1)]);
    rotate(&mut story, "alice", &[public("alice-2")]);
    let by_new = |seq| sign("alice-2", signed(&story, "alice", seq).body);
    // What the old key signed fails now, and what the new one signed holds, all in one call.
    let batch = [signed(&story, "alice", 1), by_new(2), signed(&story, "bob", 2), by_new(3)];
    let (found, asked) = check(&story, &mut ring, &batch);
    let codes: Vec<u16> = found.iter().map(|found| found.as_ref().err().map_or(0, Reject::code)).collect();
    assert_eq!(codes, [104, 0, 0, 0]);
    assert_eq!(asked, [vec![address("alice")]]);
    // From now on the new one is known.
    assert!(check(&story, &mut ring, &[by_new(4)]).1.is_empty());
    assert_eq!(ring.len(), 2);
}

#[test]
fn a_key_that_was_replaced_by_one_of_another_scheme_is_looked_up_afresh() {
    let names = ["alice-2", "alice-2@secp256k1", "alice-2@p256", "alice-2@passkey"];
    for (old, new) in names.iter().flat_map(|old| names.iter().map(move |new| (*old, *new))) {
        let mut story = half_registered();
        let mut ring = KeyRing::new(10, 1);
        let by = |story: &Story, name: &str, seq, gas_limit: Option<u64>| {
            let mut body = signed(story, "alice", seq).body;
            body.key_ref = first_key(name);
            body.gas_limit = gas_limit.unwrap_or(body.gas_limit);
            sign(name, body)
        };
        rotate(&mut story, "alice", &[public(old)]);
        let (found, asked) = check(&story, &mut ring, &[by(&story, old, 1, None)]);
        assert!(found[0].is_ok() && asked.len() == 1 && ring.len() == 1);
        rotate(&mut story, "alice", &[public(new)]);
        // With just enough gas for the new scheme, which may be less than the old one takes.
        let needed = story.verify(vec![by(&story, new, 2, None)])[0].as_ref().expect("good").gas_intrinsic();
        let (found, asked) = check(&story, &mut ring, &[by(&story, new, 2, Some(needed))]);
        assert!(found[0].is_ok(), "{old} to {new}: {:?}", found[0]);
        assert_eq!((asked.len(), ring.len()), (usize::from(old != new), 1));
        let batch = [by(&story, old, 3, None), by(&story, new, 4, Some(needed - 1)), by(&story, new, 5, None)];
        let (found, _) = check(&story, &mut ring, &batch);
        let codes: Vec<u16> = found.iter().map(|found| found.as_ref().err().map_or(0, Reject::code)).collect();
        assert_eq!(codes, [if old == new { 0 } else { 104 }, 116, 0], "{old} to {new}");
    }
}

#[test]
fn every_key_of_an_account_is_known_by_its_number() {
    let mut story = half_registered();
    rotate(&mut story, "alice", &[public("alice"), public("alice-2"), public("alice-3")]);
    let by = |position: u8, name: &str| {
        let mut body = signed(&story, "alice", 1).body;
        body.key_ref = KeyRef::Registered(position);
        sign(name, body)
    };
    let mut ring = KeyRing::new(10, 1);
    let batch = [by(1, "alice-2"), by(0, "alice"), by(2, "alice-3"), by(2, "alice-2"), by(3, "alice")];
    let (found, asked) = check(&story, &mut ring, &batch);
    let codes: Vec<u16> = found.iter().map(|found| found.as_ref().err().map_or(0, Reject::code)).collect();
    assert_eq!((codes, asked.len(), ring.len()), (vec![0, 0, 0, 104, 105], 1, 3));
    assert!(check(&story, &mut ring, &batch[..3]).1.is_empty());
}

#[test]
fn a_bad_signature_costs_one_look_and_spoils_nothing() {
    let story = half_registered();
    let mut ring = KeyRing::new(10, 1);
    check(&story, &mut ring, &[signed(&story, "alice", 1)]);
    let forged = sign("mallory", signed(&story, "alice", 2).body);
    let (found, asked) = check(&story, &mut ring, &[forged.clone(), signed(&story, "alice", 3), forged]);
    assert!(matches!(found[..], [Err(Reject::BadSignature), Ok(_), Err(Reject::BadSignature)]));
    assert_eq!(asked, [vec![address("alice")]]);
    assert!(check(&story, &mut ring, &[signed(&story, "alice", 4)]).1.is_empty());
    // Nobody gets onto the ring by what does not verify, nor by an identity that no state has.
    let mut ring = KeyRing::new(10, 1);
    let stranger = signed(&story, CROWD[7], 0);
    let mut second = stranger.body.clone();
    second.key_ref = KeyRef::Registered(0);
    check(&story, &mut ring, &[sign("mallory", signed(&story, "bob", 1).body), stranger, sign(CROWD[7], second)]);
    assert!(ring.is_empty());
}

#[test]
fn who_is_used_stays_and_who_is_not_makes_room() {
    let story = half_registered();
    let mut ring = KeyRing::new(3, 1);
    let seen = |ring: &mut KeyRing, name: &str| check(&story, ring, &[signed(&story, name, 1)]).1.is_empty();
    for name in &CROWD[..3] {
        assert!(!seen(&mut ring, name));
    }
    // The first to come finds everybody used just now and takes the oldest's place; then use counts.
    assert!(!seen(&mut ring, CROWD[3]));
    assert!(seen(&mut ring, CROWD[1]));
    assert!(!seen(&mut ring, CROWD[4]));
    assert!(seen(&mut ring, CROWD[1]) && seen(&mut ring, CROWD[3]) && seen(&mut ring, CROWD[4]));
    assert!(!seen(&mut ring, CROWD[2]));
    assert_eq!(ring.len(), 3);
}

#[test]
fn a_look_that_fails_is_reported_and_changes_nothing() {
    let story = half_registered();
    let mut ring = KeyRing::new(3, 1);
    let failed = verify_ring(&story.plane, &mut ring, |_| Err("closed"), vec![signed(&story, "alice", 1)]);
    assert_eq!(failed.err(), Some("closed"));
    assert!(ring.is_empty() && story.time > FOUNDED);
    let nothing = verify_ring(&story.plane, &mut ring, |_| Err("closed"), vec![]);
    assert!(nothing.is_ok_and(|nothing| nothing.is_empty()));
}
