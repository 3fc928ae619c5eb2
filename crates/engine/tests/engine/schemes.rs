//! Keys of every scheme, from the first deposit to replay by witness: [`Story::seal`] has each batch executed from its posted
//! form and judged by its witness.

use crate::story::{Story, Threads, address, first_key, gcc, gid, pay, sign, signer, units};
use ghostplane_engine::{PostedError, verify_all};
use ghostplane_ghostcipher::Domain;
use ghostplane_ghostcipher::workers::{Serial, Workers};
use ghostplane_types::gas::{self, GAS_TRANSACTION};
use ghostplane_types::{Auth, Encode, Gid, KeyRef, Nonce, Outcome, PublicKey, Reject, Scheme, Transaction};

/// One of each scheme, in their order.
const PEOPLE: [&str; 4] = ["ann", "ben@secp256k1", "cleo@p256", "dora@passkey"];

#[test]
fn whoever_holds_a_key_of_any_scheme_pays_withdraws_and_forces() {
    let mut story = Story::new();
    for (name, scheme) in PEOPLE.iter().zip(Scheme::ALL) {
        assert_eq!(gid(name).public_key.scheme(), scheme);
        story.deposit(name, gcc(10));
    }
    story.seal();
    // The first transaction carries the identity, the second names the key in the account.
    for (name, to) in PEOPLE.iter().zip(PEOPLE.iter().skip(1).chain(&PEOPLE)) {
        story.transfer(name, to, gcc(1)).transfer(name, "a stranger", units(5));
    }
    story.seal();
    assert_eq!(story.codes(), [Outcome::APPLIED; 8]);
    assert_eq!(story.balance("a stranger"), 20);
    for name in PEOPLE {
        let identity = story.record(name).and_then(|record| record.identity).expect("registered");
        assert_eq!(identity.keys[..], [gid(name).public_key]);
        story.withdraw(name, gcc(1)).force(name, &[pay("a stranger", units(1))]);
    }
    story.seal();
    assert_eq!(story.codes(), [Outcome::APPLIED; 8]);
    assert_eq!(story.withdrawals().len(), 4);
    assert_eq!(story.balance("a stranger"), 24);
}

#[test]
fn each_scheme_costs_what_it_takes_to_check() {
    let mut story = Story::new();
    PEOPLE.iter().for_each(|name| {
        story.deposit(name, gcc(10));
    });
    story.seal();
    PEOPLE.iter().for_each(|name| {
        story.transfer(name, "ann", units(1));
    });
    for (transaction, scheme) in story.pool.clone().into_iter().zip(Scheme::ALL) {
        let bytes = transaction.to_bytes().len();
        let expected = gas::intrinsic(scheme, bytes, 1);
        let with_limit = |gas_limit| {
            let mut body = transaction.body.clone();
            body.gas_limit = gas_limit;
            sign(PEOPLE[scheme as usize - 1], body)
        };
        let verdict = |transaction| story.verify(vec![transaction]).pop().expect("one in, one out");
        assert_eq!(verdict(with_limit(expected)).expect("enough").gas_intrinsic(), expected);
        let found = expected - 1;
        let refused = verdict(with_limit(found)).expect_err("too little");
        assert_eq!(refused, Reject::GasLimitTooLow { found, needed: expected });
    }
}

#[test]
fn a_forced_transaction_with_a_bad_signature_costs_the_batch_what_its_scheme_does() {
    let mut story = Story::new();
    for name in PEOPLE {
        story.deposit(name, gcc(10));
    }
    story.seal();
    for name in PEOPLE {
        let mut forged = sign(name, story.body(name, Nonce::LANE_FORCED, &[pay("ann", units(1))]));
        forged.auth.signature_mut().0[50] ^= 1;
        story.force_bytes(&forged.to_bytes());
    }
    story.seal();
    for (at, scheme) in Scheme::ALL.into_iter().enumerate() {
        let Outcome { code, gas, fee, .. } = story.receipt(at);
        assert_eq!((code, gas, fee), (104, GAS_TRANSACTION + gas::consent(scheme), 0));
    }
}

#[test]
fn consent_is_good_or_bad_alike_alone_and_among_many_of_any_scheme() {
    let mut story = Story::new();
    let names: Vec<String> = (0..120).map(|at| format!("{at} {}", PEOPLE[at % 4])).collect();
    names.iter().for_each(|name| {
        story.deposit(name, gcc(1));
    });
    story.seal();
    for (name, to) in names.iter().zip(names.iter().skip(1).chain(&names)) {
        story.transfer(name, to, units(1)).transfer(name, to, units(2));
    }
    let mut transactions = story.pool.clone();
    for (at, transaction) in transactions.iter_mut().enumerate().filter(|(at, _)| at % 7 < 3) {
        match at % 7 {
            0 => transaction.auth.signature_mut().0[at % 64] ^= 0x10,
            1 => transaction.body.memo.push(1),
            _ => match &mut transaction.auth {
                Auth::Signature(signature) => signature.0.swap(0, 32),
                Auth::Assertion(assertion) => assertion.authenticator_data[32] ^= 1,
            },
        }
    }
    let alone: Vec<bool> = transactions
        .iter()
        .zip(names.iter().flat_map(|name| [name, name]))
        .map(|(transaction, name)| {
            let body = &transaction.body;
            gid(name).public_key.verify(Domain::TransactionAuth, body.chain_id, &body.id(), &transaction.auth).is_ok()
        })
        .collect();
    for workers in [&Serial as &dyn Workers, &Threads(2), &Threads(5)] {
        let together =
            verify_all(&story.plane, &story.keystone, workers, transactions.clone()).expect("the whole state");
        for (at, (found, alone)) in together.iter().zip(&alone).enumerate() {
            assert_eq!(found.is_ok(), *alone, "{at}");
            assert!(matches!(found, Ok(_) | Err(Reject::BadSignature)), "{at}: {found:?}");
        }
    }
    assert_eq!(alone.iter().filter(|holds| **holds).count(), 240 - 104);
}

#[test]
fn consent_of_the_other_form_is_refused_and_cannot_be_posted() {
    let mut story = Story::new();
    for name in PEOPLE {
        story.deposit(name, gcc(10));
    }
    story.seal();
    for name in PEOPLE {
        story.transfer(name, "a stranger", units(1));
    }
    story.seal();
    for (name, other) in [("ann", "dora@passkey"), ("cleo@p256", "dora@passkey"), ("dora@passkey", "cleo@p256")] {
        let body = story.body(name, Nonce::LANE_ROOT, &[pay("ben@secp256k1", units(1))]);
        // The right signer and the wrong reference, the right reference and the wrong signer, neither.
        for (by, key_ref) in [(name, first_key(other)), (other, first_key(name)), (other, first_key(other))] {
            let mut body = body.clone();
            body.key_ref = key_ref;
            let transaction = sign(by, body);
            assert_eq!(story.refusal(&transaction), Some(Reject::BadSignature), "{name} by {by} as {key_ref:?}");
            let posted = story.watcher().encode(story.time, 0, std::slice::from_ref(&transaction));
            let fits = transaction.auth.form() == key_ref.consent_form();
            assert_eq!(matches!(posted, Err(PostedError::NotPostable { position: 0, .. })), !fits);
        }
    }
}

#[test]
fn keys_that_are_no_points_and_high_signatures_are_refused() {
    let mut story = Story::new();
    for name in PEOPLE {
        story.deposit(name, gcc(10));
    }
    story.seal();
    for name in &PEOPLE[1..] {
        let mut bytes = gid(name).public_key.to_bytes();
        bytes[1] = 4;
        let public_key = ghostplane_types::Decode::from_bytes(&bytes).expect("33 bytes that nobody checked");
        let gid = Gid { public_key, ..gid(name) };
        let mut body = story.body(name, Nonce::LANE_ROOT, &[pay("ann", units(1))]);
        (body.sender, body.key_ref) = (gid.address(), KeyRef::Carried(gid));
        let transaction = sign(name, body);
        assert_eq!(story.refusal(&transaction), Some(Reject::BadKey), "{name}");
    }
    // n - s, which fits the equation as well, for both curves.
    let orders = [
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    ];
    for (name, order) in PEOPLE[1..].iter().zip(orders) {
        let mut transaction = sign(name, story.body(name, Nonce::LANE_ROOT, &[pay("ann", units(1))]));
        let good = story.refusal(&transaction);
        assert_eq!(good, None);
        negate(transaction.auth.signature_mut().0.last_chunk_mut().expect("64 bytes"), order);
        assert_eq!(story.refusal(&transaction), Some(Reject::BadSignature), "{name}");
    }
}

fn negate(s: &mut [u8; 32], order: &str) {
    let order: [u8; 32] = ghostplane_ghostcipher::hex::decode(order).expect("32 bytes");
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = 256 + u16::from(order[at]) - u16::from(s[at]) - borrow;
        [s[at], _] = difference.to_le_bytes();
        borrow = u16::from(difference < 256);
    }
}

#[test]
fn a_passkey_is_for_one_relying_party_and_no_other_key() {
    let mut story = Story::new();
    let name = "dora@passkey";
    let PublicKey::Passkey(passkey) = gid(name).public_key else { panic!("a passkey") };
    // The same point as a plain key of the curve, or for another site, is another identity with another address.
    let others = [
        PublicKey::P256(passkey.key),
        PublicKey::Passkey(ghostplane_ghostcipher::Passkey { rp_id_hash: [1; 32], ..passkey }),
        PublicKey::Passkey(ghostplane_ghostcipher::Passkey { verifies_user: false, ..passkey }),
    ];
    for public_key in others {
        let other = Gid { public_key, ..gid(name) };
        assert_ne!(other.address(), address(name));
        story.deposit_to(other.address(), gcc(1));
    }
    story.seal();
    let by = |public_key: PublicKey| {
        let other = Gid { public_key, ..gid(name) };
        let mut body = story.body(name, Nonce::LANE_ROOT, &[pay("ann", units(1))]);
        (body.sender, body.key_ref) = (other.address(), KeyRef::Carried(other));
        let auth = signer(name).consent(Domain::TransactionAuth, body.chain_id, &body.id());
        Transaction { body, auth, approvals: Vec::new(), sponsorship: None }
    };
    assert_eq!(story.refusal(&by(others[0])), Some(Reject::BadSignature));
    assert_eq!(story.refusal(&by(others[1])), Some(Reject::BadSignature));
    // An assertion with a verified user does where a touch would.
    assert_eq!(story.refusal(&by(others[2])), None);
}
