//! Honest answers pass; answers with any byte changed, or about something else, do not.

use crate::plane::{ALICE, FIRST_POSITION, NOBODY, World, sequencer};
use ghostplane_client::{CheckError, Plane, wire};
use ghostplane_ghostcipher::{Digest, SigningKey};
use ghostplane_types::{AssetId, Encode as _, ObjectKey, SlotIndex};
use tonic::codegen::Bytes;

/// Every copy of `bytes` with one bit changed.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Bytes> + '_ {
    (0..bytes.len()).map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << (at % 8);
        changed.into()
    })
}

fn ids() -> Vec<Digest> {
    (10..15).map(|byte| Digest([byte; 32])).collect()
}

#[test]
fn an_honest_receipt_passes_wherever_it_stands() {
    let world = World::new();
    for (index, id) in ids().iter().enumerate() {
        let receipt = world.plane.receipt(id, &world.receipt(&ids(), index)).unwrap();
        assert_eq!((receipt.position(), receipt.batch_at_most()), (FIRST_POSITION + index as u64, 9));
    }
}

#[test]
fn a_receipt_with_any_byte_changed_is_refused() {
    let world = World::new();
    let honest = world.receipt(&ids(), 2);
    let refused = |change: &dyn Fn(&mut wire::Receipt)| {
        let mut changed = honest.clone();
        change(&mut changed);
        assert!(world.plane.receipt(&ids()[2], &changed).is_err(), "{changed:?}");
    };
    for bytes in flips(&honest.signed_flush) {
        refused(&|receipt| receipt.signed_flush = bytes.clone());
    }
    let executed = honest.executed.as_ref().unwrap();
    for bytes in flips(&executed.path) {
        refused(&|receipt| receipt.executed.as_mut().unwrap().path = bytes.clone());
    }
    for bytes in flips(&executed.id) {
        refused(&|receipt| receipt.executed.as_mut().unwrap().id = bytes.clone());
    }
    for position in [0, FIRST_POSITION - 1, FIRST_POSITION + 1, FIRST_POSITION + 3, FIRST_POSITION + 5, u64::MAX] {
        refused(&|receipt| receipt.executed.as_mut().unwrap().position = position);
    }
    for count in [0, 1, 4, 6, 8, u32::MAX] {
        refused(&|receipt| receipt.flush_transactions = count);
    }
    refused(&|receipt| receipt.executed = None);
    refused(&|receipt| receipt.executed.as_mut().unwrap().batch = 10);
    refused(&|receipt| receipt.executed.as_mut().unwrap().code = 1 << 16);
    refused(&|receipt| receipt.executed.as_mut().unwrap().path = Bytes::from(vec![0; 33 * 32]));
}

#[test]
fn a_receipt_of_another_key_plane_or_leaf_is_refused() {
    let (world, ids) = (World::new(), ids());
    let other = SigningKey::from_seed([2; 32]);
    let forged = world.receipt_by(&other, world.plane.id(), &ids, 2);
    let error = world.plane.receipt(&ids[2], &forged).unwrap_err();
    assert!(matches!(error, CheckError::Signature { what: "flush", .. }), "{error}");

    let foreign = world.receipt_by(&sequencer(), Digest([5; 32]), &ids, 2);
    let error = world.plane.receipt(&ids[2], &foreign).unwrap_err();
    assert!(matches!(error, CheckError::Differs { what: "plane of the flush", .. }), "{error}");

    let mut mixed = world.receipt(&ids, 2);
    mixed.executed.as_mut().unwrap().path = world.receipt(&ids, 3).executed.unwrap().path;
    let error = world.plane.receipt(&ids[2], &mixed).unwrap_err();
    assert!(matches!(error, CheckError::Path { .. }), "{error}");
    assert!(world.plane.receipt(&ids[2], &world.receipt(&ids, 3)).is_err(), "a receipt of another transaction");
}

#[test]
fn balances_and_absence_are_proven() {
    let world = World::new();
    let alice = world.plane.account(&ALICE, &world.account(&ALICE)).unwrap();
    let units = |asset| alice.balance(asset).map(|amount| amount.units());
    assert_eq!((units(AssetId::GCC), units(AssetId::ZMAN)), (Some(500), Some(501)));
    let nobody = world.plane.account(&NOBODY, &world.account(&NOBODY)).unwrap();
    assert!(nobody.record().is_none() && nobody.balances().is_empty());
}

#[test]
fn an_account_with_any_byte_changed_is_refused_or_is_the_same() {
    let world = World::new();
    for address in [ALICE, NOBODY] {
        let honest = world.account(&address);
        let proven = world.plane.account(&address, &honest).unwrap();
        let judge = |changed: &wire::Account| {
            if let Ok(found) = world.plane.account(&address, changed) {
                assert_eq!((found.record(), found.balances()), (proven.record(), proven.balances()));
                // No proof covers the rest of a header before it is anchored; then any change to it is found.
                assert!(found == proven || world.plane.anchor(found.header(), &world.commitment()).is_err());
            }
        };
        for bytes in flips(&honest.header) {
            judge(&wire::Account { header: bytes, ..honest.clone() });
        }
        let refused = |changed: &wire::Account| assert!(world.plane.account(&address, changed).is_err());
        for bytes in flips(&honest.record_proof) {
            refused(&wire::Account { record_proof: bytes, ..honest.clone() });
        }
        let said = honest.mana.unwrap();
        refused(&wire::Account { mana: None, ..honest.clone() });
        refused(&wire::Account { mana: Some(wire::Mana { granted: said.granted + 1, ..said }), ..honest.clone() });
        refused(&wire::Account {
            mana: Some(wire::Mana { regenerated: said.regenerated + 1, ..said }),
            ..honest.clone()
        });
        refused(&wire::Account {
            mana: Some(wire::Mana { per_window: said.per_window + 1, ..said }),
            ..honest.clone()
        });
        refused(&wire::Account { mana: Some(wire::Mana { cap: said.cap + 1, ..said }), ..honest.clone() });
        refused(&wire::Account { mana: Some(wire::Mana { grant: said.grant + 1, ..said }), ..honest.clone() });
        for bytes in flips(&honest.address) {
            refused(&wire::Account { address: bytes, ..honest.clone() });
        }
        for bytes in flips(&honest.record) {
            refused(&wire::Account { record: bytes, ..honest.clone() });
        }
        for nth in 0..honest.balances.len() {
            for bytes in flips(&honest.balances[nth].proof) {
                let mut changed = honest.clone();
                changed.balances[nth].proof = bytes;
                refused(&changed);
            }
            let mut changed = honest.clone();
            changed.balances[nth].amount += 1;
            refused(&changed);
        }
        refused(&wire::Account { exists: !honest.exists, ..honest.clone() });
        refused(&wire::Account { time: honest.time + 1, ..honest.clone() });
        refused(&wire::Account { identity: Some(wire::Identity::default()), ..honest.clone() });
        refused(&wire::Account { gates: Some(wire::Gates::default()), ..honest.clone() });
        refused(&wire::Account { number: honest.number + 1, ..honest.clone() });
        refused(&wire::Account { next_sequence: honest.next_sequence + 1, ..honest.clone() });
    }
}

#[test]
fn slots_can_be_neither_hidden_nor_borrowed() {
    let world = World::new();
    let honest = world.account(&ALICE);
    let mut hidden = honest.clone();
    hidden.balances.pop();
    assert!(world.plane.account(&ALICE, &hidden).is_err(), "a slot is missing");
    let mut twice = honest.clone();
    twice.balances.push(twice.balances[0].clone());
    assert!(world.plane.account(&ALICE, &twice).is_err(), "a slot too many");
    let mut swapped = honest.clone();
    swapped.balances.swap(0, 1);
    assert!(world.plane.account(&ALICE, &swapped).is_err(), "slots in each other's place");
    let mut foreign = honest.clone();
    foreign.balances[0] = world.balance(AssetId::GCC, SlotIndex::new(1).unwrap());
    assert!(world.plane.account(&ALICE, &foreign).is_err(), "somebody else's slot");
}

#[test]
fn nobody_who_is_there_is_proven_absent() {
    let world = World::new();
    let mut denied = world.account(&NOBODY);
    denied.address = ALICE.as_bytes().to_vec().into();
    let error = world.plane.account(&ALICE, &denied).unwrap_err();
    assert!(matches!(error, CheckError::Differs { what: "key of the record's proof", .. }), "{error}");

    let mut proof = world.keystone.prove_object(&ObjectKey::account(&NOBODY));
    proof.key = ObjectKey::account(&ALICE);
    denied.record_proof = proof.to_bytes().into();
    let error = world.plane.account(&ALICE, &denied).unwrap_err();
    assert!(matches!(error, CheckError::Proof { what: "record", .. }), "{error}");
}

#[test]
fn a_header_is_anchored_by_its_commitment_and_by_nothing_near_it() {
    let world = World::new();
    let (header, honest) = (world.header(), world.commitment());
    assert_eq!(world.plane.anchor(&header, &honest).unwrap().l1_height, 12);
    let refused = |changed: &wire::CommitmentOf| assert!(world.plane.anchor(&header, changed).is_err());
    for bytes in flips(&honest.commitment) {
        refused(&wire::CommitmentOf { commitment: bytes, ..honest.clone() });
    }
    for bytes in flips(&honest.header) {
        refused(&wire::CommitmentOf { header: bytes, ..honest.clone() });
    }
    for bytes in flips(&honest.path) {
        refused(&wire::CommitmentOf { path: bytes, ..honest.clone() });
    }
    refused(&wire::CommitmentOf { batches: 4, ..honest.clone() });
    refused(&wire::CommitmentOf { rung: 0, ..honest.clone() });
    assert!(world.plane.anchor(&world.headers[0], &honest).is_err(), "the commitment's path is another header's");
    assert!(World::founded(2_000).plane.anchor(&header, &honest).is_err(), "another plane's commitment");
}

#[test]
fn a_plane_is_known_by_its_genesis() {
    let world = World::new();
    let honest = world.info();
    assert_eq!(Plane::from_info(&honest, Some(&world.plane.id())).unwrap(), world.plane);
    assert!(Plane::from_info(&honest, Some(&Digest([5; 32]))).is_err(), "not the plane that was expected");
    for genesis in flips(&honest.genesis) {
        assert!(Plane::from_info(&wire::Info { genesis, ..honest.clone() }, None).is_err());
    }
    for sequencer in flips(&honest.sequencer) {
        assert!(Plane::from_info(&wire::Info { sequencer, ..honest.clone() }, None).is_err());
    }
}
