//! Proofs of single leaves: what they show, and that a changed one shows nothing.

use crate::model::*;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_keystone::{Keystone, ObjectProof, ProofError, ProofLeaf, SlotProof, StateView};
use ghostplane_types::{Decode, Encode, ObjectClass, ObjectKey, Roots, SlotIndex};

fn some_state(seed: u64, batches: usize) -> (Keystone, Model) {
    let mut random = Random(seed);
    let (mut state, mut model) = (Keystone::new(seed), Model::default());
    for _ in 0..batches {
        let changes = random_changes(&mut random, &model, SMALL);
        model.apply(&changes);
        state.apply(&changes, &Serial).unwrap();
    }
    (state, model)
}

#[test]
fn every_leaf_and_every_gap_can_be_proved() {
    let (state, model) = some_state(1, 25);
    let roots = state.roots();
    for index in 0..=model.slots.len() + 5 {
        let proof = state.prove_slot(slot_index(index));
        let proven = proof.verify(&roots).unwrap();
        assert_eq!(proven.index(), slot_index(index));
        assert_eq!(proven.slot(), if index == 0 { None } else { model.slots.get(index - 1) });
        assert_eq!(SlotProof::from_bytes(&proof.to_bytes()), Ok(proof));
    }
    for (key, (index, value)) in &model.objects {
        let proof = state.prove_object(key);
        let proven = proof.verify(&roots).unwrap();
        assert_eq!(proven.key(), key);
        assert_eq!(proven.object(), value.as_deref().map(|value| (object_index(*index), value)));
        assert_eq!(ObjectProof::from_bytes(&proof.to_bytes()), Ok(proof));
    }
    let mut absent: Vec<ObjectKey> =
        (0..20_u32).map(|number| ObjectKey::new(ObjectClass::Name, 0, &number.to_le_bytes())).collect();
    absent.extend([ObjectKey::SENTINEL, ObjectKey::from_bytes([0xff; 32]), {
        let mut first = [0; 32];
        first[31] = 1;
        ObjectKey::from_bytes(first)
    }]);
    for key in &absent {
        let proof = state.prove_object(key);
        assert_eq!(proof.verify(&roots).unwrap().object(), None);
        assert_eq!(ObjectProof::from_bytes(&proof.to_bytes()), Ok(proof));
    }
}

#[test]
fn the_empty_state_proves_that_there_is_nothing() {
    let state = Keystone::new(0);
    let key = ObjectKey::new(ObjectClass::Name, 0, b"nobody");
    assert_eq!(state.prove_object(&key).verify(&state.roots()).unwrap().object(), None);
    assert_eq!(state.prove_slot(slot_index(1)).verify(&state.roots()).unwrap().slot(), None);
}

#[test]
fn no_changed_bit_of_a_proof_is_accepted_for_something_else() {
    let (state, model) = some_state(2, 4);
    let roots = state.roots();
    for index in [1, model.slots.len()] {
        let proof = state.prove_slot(slot_index(index));
        let bytes = proof.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(other) = SlotProof::from_bytes(&changed) else { continue };
            assert_eq!(other.to_bytes(), changed, "a second form of one proof, bit {bit}");
            // Only that a slot beyond the used ones is not allocated follows without any path; nothing here says so.
            assert!(other.verify(&roots).is_err(), "bit {bit} of slot {index}");
        }
    }
    let keys = model.objects.keys().copied().take(6);
    for key in keys.chain([ObjectKey::new(ObjectClass::Name, 0, b"nobody")]) {
        let proof = state.prove_object(&key);
        let honest = proof.verify(&roots).unwrap();
        let bytes = proof.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(other) = ObjectProof::from_bytes(&changed) else { continue };
            assert_eq!(other.to_bytes(), changed, "a second form of one proof, bit {bit}");
            let Ok(proven) = other.verify(&roots) else { continue };
            // The same leaf may settle a neighbouring key as well; it must not say anything else about this one.
            assert!(proven.key() != honest.key(), "bit {bit} of {key:?}");
            assert_eq!(proven.object(), None);
            assert!(!model.objects.contains_key(proven.key()), "bit {bit} of {key:?} hides an object");
        }
        for len in 0..bytes.len() {
            assert!(ObjectProof::from_bytes(&bytes[..len]).is_err());
        }
    }
}

#[test]
fn a_proof_is_refused_for_the_reason_it_is_wrong() {
    let (state, model) = some_state(3, 10);
    let roots = state.roots();
    let mut proof = state.prove_slot(slot_index(2));
    assert!(matches!(SlotProof { slot: None, ..proof.clone() }.verify(&roots), Err(ProofError::Allocation { .. })));
    let beyond = SlotProof { index: slot_index(roots.slots_used as usize), ..proof.clone() };
    assert!(matches!(beyond.verify(&roots), Err(ProofError::Allocation { .. })));
    let outside = SlotProof { index: SlotIndex::OUTSIDE, ..proof.clone() };
    assert!(matches!(outside.verify(&roots), Err(ProofError::Allocation { .. })));
    proof.siblings.push(FieldDigest::EMPTY);
    assert!(matches!(proof.verify(&roots), Err(ProofError::PathLength { .. })));
    proof.siblings.truncate(1);
    assert!(matches!(proof.verify(&roots), Err(ProofError::PathLength { .. })));

    let (key, _) = model.objects.iter().find(|(_, (_, value))| value.is_some()).unwrap();
    let proof = state.prove_object(key);
    let ProofLeaf::Present { index, next, .. } = proof.leaf.clone() else { panic!("the object is there") };
    let removed = ObjectProof { leaf: ProofLeaf::Removed { index, next }, ..proof.clone() };
    assert_eq!(removed.verify(&roots), Err(ProofError::Root));
    let low = *model.objects.keys().next_back().unwrap();
    let unrelated = ProofLeaf::Absent { index, low, value_digest: Digest::ZERO, next: ObjectKey::SENTINEL };
    assert!(matches!(
        ObjectProof { leaf: unrelated, ..proof.clone() }.verify(&roots),
        Err(ProofError::NotAdjacent { .. })
    ));
    let few = Roots { objects_used: index.index(), ..roots };
    assert!(matches!(proof.verify(&few), Err(ProofError::Allocation { .. })));
    // A leaf does not prove its own key absent.
    let own = ProofLeaf::Absent { index, low: *key, value_digest: Digest::ZERO, next };
    assert!(matches!(ObjectProof { leaf: own, ..proof }.verify(&roots), Err(ProofError::NotAdjacent { .. })));
}
