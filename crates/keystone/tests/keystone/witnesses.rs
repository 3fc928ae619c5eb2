//! Witnesses: executing a batch without the state, and refusing every other claim about it.

use crate::model::*;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{
    ApplyError, Changeset, Keystone, MissingWhat, ObjectChange, Overlay, Recorder, SlotChange, StateView, Touched,
    VerifiedWitness, Witness, WitnessError, scan,
};
use ghostplane_types::codec::put_varint;
use ghostplane_types::limits::{WITNESS_BYTES_MAX, witness_bytes_bound};
use ghostplane_types::{Decode, Encode, ObjectClass, ObjectIndex, ObjectKey, Roots, SlotIndex};

fn some_state(seed: u64, batches: usize) -> (Keystone, Model, Random) {
    let mut random = Random(seed);
    let (mut state, mut model) = (Keystone::new(seed), Model::default());
    for _ in 0..batches {
        let changes = random_changes(&mut random, &model, SMALL);
        model.apply(&changes);
        state.apply(&changes, &Serial).unwrap();
    }
    (state, model, random)
}

/// Through bytes, as a judge gets it.
fn verified(witness: &Witness, roots: &Roots) -> VerifiedWitness {
    let bytes = witness.to_bytes();
    let decoded = Witness::from_bytes(&bytes).unwrap();
    assert_eq!(decoded, *witness);
    assert_eq!(decoded.to_bytes(), bytes);
    decoded.verify(roots).unwrap()
}

#[test]
fn a_batch_without_the_state_leads_to_the_same_roots() {
    for seed in 0..10 {
        let (mut state, mut model, mut random) = some_state(200 + seed, 0);
        for round in 0..30 {
            let batch = match round % 5 {
                0 => Batch { slots: 0, new_slots: 0, objects: 3, new_objects: 0 },
                1 => Batch { slots: 3, new_slots: 0, objects: 0, new_objects: 6 },
                2 => Batch { slots: 0, new_slots: 2, objects: 0, new_objects: 0 },
                _ => SMALL,
            };
            let changes = random_changes(&mut random, &model, batch);
            let before = state.roots();
            let witness = state.witness(&Touched::default(), &changes);
            let partial = verified(&witness, &before);
            assert_eq!(partial.roots(), before);
            for change in changes.slots() {
                assert_eq!(partial.slot(change.index), Ok(change.old));
            }
            for change in changes.objects() {
                let read = partial.object(&change.key).unwrap();
                assert_eq!(read.map(|object| object.value), change.old.as_deref());
            }
            let after = partial.roots_after(&changes, &Threads(2)).unwrap();
            assert_eq!(partial.roots_after(&changes, &Serial), Ok(after));
            assert_eq!(state.apply(&changes, &Serial), Ok(after));
            model.apply(&changes);
        }
        assert_eq!(state.roots(), model.roots());
    }
}

/// One of every question, as text.
fn answers(view: &impl StateView, asked: &[ObjectKey], slots: &[SlotIndex], positions: &[ObjectIndex]) -> String {
    let by_key = view.object(&asked[0]).unwrap();
    let absent = view.object(&asked[3]).unwrap();
    let located = view.object_index(&asked[1]).unwrap();
    let after = view.object_after(&asked[2]).unwrap();
    let after_absent = view.object_after(&asked[3]).unwrap();
    let slots: Vec<_> = slots.iter().map(|slot| view.slot(*slot).unwrap()).collect();
    let positions: Vec<_> = positions.iter().map(|index| view.object_at(*index).unwrap()).collect();
    let page = scan(view, ObjectClass::Storage, 2, None, 4).unwrap();
    format!("{by_key:?} {absent:?} {located:?} {after:?} {after_absent:?} {slots:?} {positions:?} {page:?}")
}

#[test]
fn whatever_was_read_through_a_recorder_can_be_read_again_from_the_witness() {
    let (mut state, mut model, mut random) = some_state(300, 12);
    for round in 0..20 {
        let changes = random_changes(&mut random, &model, SMALL);
        let recorder = Recorder::new(&state);
        let keys: Vec<ObjectKey> = model.objects.keys().copied().collect();
        let mut asked: Vec<ObjectKey> = (0..3).map(|_| keys[random.below(keys.len())]).collect();
        asked.push(ObjectKey::new(ObjectClass::Name, round, b"absent"));
        let roots = state.roots();
        let slots = [0, 1 + random.below(model.slots.len()), roots.slots_used as usize, 1 << 20].map(slot_index);
        let used = roots.objects_used;
        let positions = [0, u32::try_from(random.below(used as usize)).unwrap(), used, 1 << 20].map(object_index);
        let live = answers(&recorder, &asked, &slots, &positions);
        let touched = recorder.touched();
        let partial = verified(&state.witness(&touched, &changes), &roots);
        assert_eq!(answers(&partial, &asked, &slots, &positions), live);
        assert_eq!(partial.roots_after(&changes, &Serial), state.apply(&changes, &Serial));
        model.apply(&changes);
    }
}

#[test]
fn a_witness_of_a_batch_executed_ahead_is_made_once_the_state_is_there() {
    let (mut state, mut model, mut random) = some_state(310, 8);
    let first = random_changes(&mut random, &model, SMALL);
    model.apply(&first);
    let second = random_changes(&mut random, &model, SMALL);
    let overlay = Overlay::new(&state, [&first]).unwrap();
    let recorder = Recorder::new(&overlay);
    for change in second.objects() {
        recorder.object(&change.key).unwrap();
        recorder.object_after(&change.key).unwrap();
    }
    let touched = recorder.touched();
    state.apply(&first, &Serial).unwrap();
    let partial = verified(&state.witness(&touched, &second), &state.roots());
    for change in second.objects() {
        assert_eq!(partial.object_after(&change.key), state.object_after(&change.key));
    }
    assert_eq!(partial.roots_after(&second, &Serial), state.apply(&second, &Serial));
}

#[test]
fn missing_is_not_absent() {
    let (state, model, _) = some_state(400, 15);
    let (present, (position, value)) = model.objects.iter().find(|(_, (_, value))| value.is_some()).unwrap();
    let absent = ObjectKey::new(ObjectClass::Name, 0, b"absent");
    let nothing = verified(&Witness::default(), &state.roots());
    assert_eq!(nothing.object(present).unwrap_err().what, MissingWhat::Object(*present));
    assert_eq!(nothing.object(&absent).unwrap_err().what, MissingWhat::Object(absent));
    assert_eq!(nothing.object_after(&absent).unwrap_err().what, MissingWhat::ObjectAfter(absent));
    assert_eq!(
        nothing.object_at(object_index(*position)).unwrap_err().what,
        MissingWhat::ObjectAt(object_index(*position))
    );
    assert_eq!(nothing.slot(slot_index(1)).unwrap_err().what, MissingWhat::Slot(slot_index(1)));
    // What the counts alone say is never missing.
    assert_eq!(nothing.slot(slot_index(0)), Ok(None));
    assert_eq!(nothing.slot(slot_index(model.slots.len() + 1)), Ok(None));
    assert_eq!(nothing.object_at(object_index(state.roots().objects_used)), Ok(None));

    let touched = Touched { objects: vec![absent], slots: vec![slot_index(2)], ..Touched::default() };
    let partial = verified(&state.witness(&touched, &Changeset::default()), &state.roots());
    assert_eq!(partial.object(&absent), Ok(None));
    assert!(partial.object(present).is_err());
    assert_eq!(partial.slot(slot_index(2)), Ok(Some(model.slots[1])));
    assert!(partial.slot(slot_index(1)).is_err());

    let change = ObjectChange { key: *present, old: value.clone(), new: None };
    let changes = Changeset::new(vec![], vec![change]).unwrap();
    assert!(matches!(partial.roots_after(&changes, &Serial), Err(ApplyError::Missing(_))));
    let appended = SlotChange { index: slot_index(model.slots.len() + 1), old: None, new: model.slots[0] };
    let changes = Changeset::new(vec![appended], vec![]).unwrap();
    let refused = partial.roots_after(&changes, &Serial).unwrap_err();
    assert!(matches!(refused, ApplyError::Missing(missing) if matches!(missing.what, MissingWhat::LedgerPath { .. })));
    let change = ObjectChange { key: absent, old: None, new: Some([1].into()) };
    let changes = Changeset::new(vec![], vec![change]).unwrap();
    let refused = partial.roots_after(&changes, &Serial).unwrap_err();
    assert!(matches!(refused, ApplyError::Missing(missing) if matches!(missing.what, MissingWhat::ObjectPath { .. })));
}

#[test]
fn a_replay_on_another_state_is_noticed() {
    let (state, model, mut random) = some_state(410, 10);
    let honest = random_changes(&mut random, &model, SMALL);
    let partial = verified(&state.witness(&Touched::default(), &honest), &state.roots());
    let (mut slots, objects) = honest.clone().into_parts();
    let changed = slots.iter_mut().find(|change| change.old.is_some()).unwrap();
    changed.old = Some(changed.new);
    let index = changed.index;
    let changes = Changeset::new(slots, objects).unwrap();
    assert_eq!(partial.roots_after(&changes, &Serial), Err(ApplyError::SlotDiffers(index)));
    let (slots, mut objects) = honest.clone().into_parts();
    objects[0].old = Some([0xaa; 3].into());
    let key = objects[0].key;
    let changes = Changeset::new(slots, objects).unwrap();
    assert_eq!(partial.roots_after(&changes, &Serial), Err(ApplyError::ObjectDiffers(key)));
    let (slots, objects) = honest.into_parts();
    let slots =
        slots.into_iter().filter(|change| change.old.is_some() || change.index != slot_index(model.slots.len() + 1));
    let changes = Changeset::new(slots.collect(), objects).unwrap();
    assert!(matches!(partial.roots_after(&changes, &Serial), Err(ApplyError::SlotGap { .. })));
}

/// A small state and a batch of every kind of change, and the witness for it.
fn small_case() -> (Keystone, Changeset, Witness) {
    let (state, model, mut random) = some_state(500, 3);
    let batch = Batch { slots: 2, new_slots: 1, objects: 2, new_objects: 2 };
    let mut changes = random_changes(&mut random, &model, batch);
    // Short values keep the exhaustive runs short.
    while changes.objects().iter().any(|change| change.old.as_ref().is_some_and(|old| old.len() > 200)) {
        changes = random_changes(&mut random, &model, batch);
    }
    let absent = ObjectKey::new(ObjectClass::Name, 0, b"absent");
    let witness = state.witness(&Touched { objects: vec![absent], ..Touched::default() }, &changes);
    (state, changes, witness)
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_witness_is_refused() {
    let (state, changes, witness) = small_case();
    let roots = state.roots();
    let bytes = witness.to_bytes();
    let after = witness.verify(&roots).unwrap().roots_after(&changes, &Serial);
    for len in 0..bytes.len() {
        assert!(Witness::from_bytes(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Witness::from_bytes(&longer).is_err());
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(decoded) = Witness::from_bytes(&changed) else { continue };
        assert_eq!(decoded.to_bytes(), changed, "a second form of one witness, bit {bit}");
        match decoded.verify(&roots) {
            Err(_) => {}
            // The two flags say which ways are covered, not what is there: without one a batch may find less, never other.
            Ok(partial) => {
                let replayed = partial.roots_after(&changes, &Serial);
                assert!(bit < 2 && (replayed == after || matches!(replayed, Err(ApplyError::Missing(_)))), "bit {bit}");
            }
        }
    }
}

#[test]
fn a_witness_with_too_little_or_too_much_in_it_is_refused() {
    let (state, changes, witness) = small_case();
    let roots = state.roots();
    // The lists of nodes end the bytes: add a node to the last, or take one away.
    let bytes = witness.to_bytes();
    let nodes = |bytes: &[u8], count_at: usize| bytes[count_at];
    let last_list = (0..bytes.len()).rev().find(|&at| {
        let count = usize::from(nodes(&bytes, at));
        at + 1 + 32 * count == bytes.len() && count < 0x7f && {
            let mut fewer = bytes[..bytes.len() - 32].to_vec();
            fewer[at] -= u8::from(count > 0);
            count > 0 && Witness::from_bytes(&fewer).is_ok()
        }
    });
    let at = last_list.unwrap();
    let mut more = bytes.clone();
    more[at] += 1;
    more.extend_from_slice(&[7; 32]);
    let more = Witness::from_bytes(&more).unwrap();
    assert!(matches!(more.verify(&roots), Err(WitnessError::TooManyNodes { .. })));
    let mut fewer = bytes[..bytes.len() - 32].to_vec();
    fewer[at] -= 1;
    let fewer = Witness::from_bytes(&fewer).unwrap();
    assert!(matches!(fewer.verify(&roots), Err(WitnessError::TooFewNodes { .. })));

    let beyond = Roots { slots_used: 2, ..roots };
    assert!(matches!(witness.clone().verify(&beyond), Err(WitnessError::SlotBeyond { .. })));
    let beyond = Roots { objects_used: 1, ..roots };
    assert!(matches!(witness.clone().verify(&beyond), Err(WitnessError::ObjectBeyond { .. })));
    let full = Roots { slots_used: 1 << 30, ..roots };
    assert!(matches!(witness.clone().verify(&full), Err(WitnessError::Full { .. })));
    let other = Roots { object_root: roots.object_root.0.map(|byte| !byte).into(), ..roots };
    assert!(matches!(witness.clone().verify(&other), Err(WitnessError::ObjectRoot { .. })));
    let mut after = state.clone();
    after.apply(&changes, &Serial).unwrap();
    assert!(witness.verify(&after.roots()).is_err());
}

#[test]
fn indices_can_only_ascend_and_stay_below_2_to_the_30() {
    let (_, _, witness) = small_case();
    assert!(Witness::from_bytes(&witness.to_bytes()).is_ok());
    // One slot, at the distance given: the bytes of an index that would not ascend do not exist.
    let with_distance = |distances: &[u64]| {
        let mut bytes = vec![0];
        put_varint(&mut bytes, distances.len() as u64);
        for distance in distances {
            put_varint(&mut bytes, *distance);
            bytes.extend_from_slice(&[0; 45]);
        }
        bytes.extend_from_slice(&[0, 0, 0]);
        Witness::from_bytes(&bytes)
    };
    assert!(with_distance(&[0]).is_ok());
    assert!(with_distance(&[(1 << 30) - 2]).is_ok());
    assert!(with_distance(&[(1 << 30) - 3, 0]).is_ok());
    for too_far in [&[(1 << 30) - 1][..], &[1 << 32], &[u64::MAX], &[(1 << 30) - 2, 0], &[5, (1 << 30) - 7]] {
        assert!(with_distance(too_far).is_err(), "{too_far:?}");
    }
}

#[test]
fn a_decoder_believes_no_count_that_the_bytes_do_not_hold() {
    for count in [1_u64 << 17, 1 << 20, 1 << 40, u64::MAX] {
        for lists_before in 0..4 {
            let mut bytes = vec![0; 1 + lists_before];
            put_varint(&mut bytes, count);
            bytes.extend_from_slice(&[0; 100]);
            assert!(Witness::from_bytes(&bytes).is_err());
        }
    }
    assert!(Witness::from_bytes(&vec![0; WITNESS_BYTES_MAX + 1]).is_err());
}

#[test]
fn random_bytes_are_never_a_part_of_a_state() {
    let (state, _, witness) = small_case();
    let roots = state.roots();
    let honest = witness.to_bytes();
    let mut random = Random(9);
    for _ in 0..3000 {
        let mut bytes = honest.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes[at] = random.next().to_le_bytes()[0],
                1 => drop(bytes.drain(at..(at + 1 + random.below(40)).min(bytes.len()))),
                _ => {
                    let from = random.below(bytes.len());
                    let copied = bytes[from..(from + random.below(40)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, copied);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        if let Ok(decoded) = Witness::from_bytes(&bytes) {
            assert!(bytes == honest || decoded.verify(&roots).is_err());
        }
    }
}

#[test]
fn a_witness_stays_within_the_bound_that_its_counts_give() {
    let mut random = Random(600);
    let (mut state, mut model, _) = some_state(600, 0);
    let changes =
        random_changes(&mut random, &model, Batch { slots: 0, new_slots: 2000, objects: 0, new_objects: 2000 });
    model.apply(&changes);
    state.apply(&changes, &Serial).unwrap();
    for size in [1, 3, 20, 150, 700] {
        let batch = Batch { slots: size, new_slots: size, objects: size, new_objects: size };
        let changes = random_changes(&mut random, &model, batch);
        let witness = state.witness(&Touched::default(), &changes);
        let values: usize =
            changes.objects().iter().map(|change| change.old.as_ref().map_or(32, |old| old.len())).sum();
        let roots = state.roots();
        let bound = witness_bytes_bound(
            roots.slots_used,
            roots.objects_used,
            changes.slots().len(),
            changes.objects().len(),
            values,
        );
        let bytes = witness.to_bytes().len();
        assert!(bytes <= bound, "{bytes} bytes, the bound is {bound}, for {size}");
    }
}
