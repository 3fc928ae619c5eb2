//! Roots, apply, revert, rebuild: against the model.

use crate::model::*;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{
    ApplyError, Changeset, ChangesetError, Keystone, ObjectChange, RebuildError, SlotChange, StateView,
};
use ghostplane_types::limits::OBJECT_BYTES_MAX;
use ghostplane_types::{Amount, ObjectClass, ObjectKey, Roots, Slot, SlotIndex};

fn assert_same(state: &Keystone, model: &Model) {
    assert_eq!(state.roots(), model.roots());
    for (at, slot) in model.slots.iter().enumerate() {
        assert_eq!(state.slot(slot_index(at + 1)), Ok(Some(*slot)));
    }
    let mut previous = ObjectKey::SENTINEL;
    for (key, (index, value)) in &model.objects {
        let read = state.object(key).unwrap();
        assert_eq!(read.map(|object| object.value), value.as_deref());
        assert!(read.is_none_or(|object| object.index.index() == *index));
        assert_eq!(state.object_index(key), Ok(Some(object_index(*index))));
        assert_eq!(state.leaf_at(object_index(*index)), Some((*key, value.as_deref())));
        let next = state.object_after(&previous).unwrap().unwrap();
        assert_eq!((next.key, next.object), (*key, read), "after {previous:?}");
        previous = *key;
    }
    assert_eq!(state.object_after(&previous), Ok(None));
}

fn rebuilt(model: &Model, workers: usize) -> Keystone {
    Keystone::from_leaves(99, model.slots.iter().copied(), model.leaves(), &Threads(workers)).unwrap()
}

#[test]
fn an_empty_state_has_the_outside_and_the_sentinel() {
    let state = Keystone::new(1);
    assert_eq!(state.roots(), Model::default().roots());
    assert_eq!((state.roots().slots_used, state.roots().objects_used), (1, 1));
    assert_eq!(state.slot(SlotIndex::OUTSIDE), Ok(None));
    assert_eq!(state.object(&ObjectKey::SENTINEL), Ok(None));
    assert_eq!(state.object_at(object_index(0)), Ok(None));
    assert_eq!(state.object_after(&ObjectKey::SENTINEL), Ok(None));
}

#[test]
fn random_batches_lead_where_the_model_leads_and_back() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let (mut state, mut model) = (Keystone::new(seed), Model::default());
        let mut past: Vec<(Changeset, Roots, Model)> = Vec::new();
        for _ in 0..40 {
            let changes = random_changes(&mut random, &model, SMALL);
            past.push((changes.clone(), model.roots(), model.clone()));
            model.apply(&changes);
            assert_eq!(state.apply(&changes, &Serial), Ok(model.roots()));
        }
        assert_same(&state, &model);
        assert_same(&rebuilt(&model, 2), &model);
        while let Some((changes, before, model)) = past.pop() {
            state.revert(&changes, &before, &Threads(2)).unwrap();
            assert_eq!(state.roots(), before);
            if past.len().is_multiple_of(8) {
                assert_same(&state, &model);
            }
            if past.len() == 20 {
                // Forward again over what was taken back, to see that nothing of it was left behind.
                state.apply(&changes, &Serial).unwrap();
                state.revert(&changes, &before, &Serial).unwrap();
            }
        }
        assert_same(&state, &Model::default());
    }
}

#[test]
fn large_batches_are_the_same_on_one_two_and_five_threads() {
    let mut random = Random(7);
    let mut model = Model::default();
    let mut states = [Keystone::new(1), Keystone::new(2), Keystone::new(3)];
    let sizes = [
        Batch { slots: 0, new_slots: 3000, objects: 0, new_objects: 3000 },
        Batch { slots: 2500, new_slots: 0, objects: 2500, new_objects: 0 },
        Batch { slots: 1500, new_slots: 700, objects: 1500, new_objects: 1500 },
        Batch { slots: 3, new_slots: 1, objects: 600, new_objects: 0 },
    ];
    for batch in sizes {
        let changes = random_changes(&mut random, &model, batch);
        let before = model.roots();
        model.apply(&changes);
        for (state, workers) in states.iter_mut().zip([1, 2, 5]) {
            let roots = state.apply(&changes, &Threads(workers)).unwrap();
            assert_eq!(roots, model.roots(), "{workers} workers");
            state.revert(&changes, &before, &Threads(workers)).unwrap();
            assert_eq!(state.apply(&changes, &Threads(workers)), Ok(roots));
        }
    }
    for state in &states {
        assert_same(state, &model);
    }
    // Several jobs' worth of subtrees, and removed leaves among them.
    for workers in [1, 2, 5] {
        assert_same(&rebuilt(&model, workers), &model);
    }
}

#[test]
fn a_rebuild_of_several_subtrees_equals_the_model() {
    let mut random = Random(3);
    let mut model = Model::default();
    let changes =
        random_changes(&mut random, &model, Batch { slots: 0, new_slots: 40_000, objects: 0, new_objects: 0 });
    model.apply(&changes);
    for number in 0..40_000_u32 {
        let key = ObjectKey::new(ObjectClass::Account, 0, &number.to_le_bytes());
        model.objects.insert(key, (number + 1, (number % 7 != 0).then(|| [1; 80].into())));
    }
    let state = rebuilt(&model, 2);
    assert_same(&state, &model);
    assert_eq!(rebuilt(&model, 1).roots(), state.roots());
}

#[test]
fn many_new_keys_in_one_gap_are_chained() {
    let key = |number: u8| {
        let mut bytes = [5; 32];
        bytes[31] = number;
        ObjectKey::from_bytes(bytes)
    };
    let set = |numbers: &[u8]| {
        let change = |&number: &u8| ObjectChange { key: key(number), old: None, new: Some([number].into()) };
        Changeset::new(vec![], numbers.iter().map(change).collect()).unwrap()
    };
    let (mut state, mut model) = (Keystone::new(0), Model::default());
    for numbers in [&[10, 20][..], &[11, 12, 13, 14], &[1, 2, 15, 21, 22, 23], &[3, 16]] {
        let changes = set(numbers);
        model.apply(&changes);
        assert_eq!(state.apply(&changes, &Serial), Ok(model.roots()));
    }
    assert_same(&state, &model);
}

#[test]
fn changes_that_do_not_fit_change_nothing() {
    let mut random = Random(11);
    let (mut state, mut model) = (Keystone::new(0), Model::default());
    for _ in 0..5 {
        let changes = random_changes(&mut random, &model, SMALL);
        model.apply(&changes);
        state.apply(&changes, &Serial).unwrap();
    }
    let refuse = |state: &mut Keystone, slots: Vec<SlotChange>, objects: Vec<ObjectChange>| {
        let changes = Changeset::new(slots, objects).unwrap();
        state.apply(&changes, &Serial).unwrap_err()
    };
    let old = model.slots[2];
    let richer = Slot { balance: Amount::new(old.balance.units() ^ 1).unwrap(), ..old };
    let change = SlotChange { index: slot_index(3), old: Some(richer), new: old };
    assert_eq!(refuse(&mut state, vec![change], vec![]), ApplyError::SlotDiffers(slot_index(3)));
    let change = SlotChange { index: slot_index(3), old: None, new: old };
    let used = state.roots().slots_used;
    assert_eq!(refuse(&mut state, vec![change], vec![]), ApplyError::SlotGap { first: 3, used });
    let change = SlotChange { index: slot_index(used as usize + 1), old: None, new: old };
    assert_eq!(refuse(&mut state, vec![change], vec![]), ApplyError::SlotGap { first: used + 1, used });
    let change = SlotChange { index: slot_index(used as usize), old: Some(old), new: old };
    assert_eq!(refuse(&mut state, vec![change], vec![]), ApplyError::SlotDiffers(slot_index(used as usize)));

    let (present, _) = model.objects.iter().find(|(_, (_, value))| value.is_some()).unwrap();
    let new = Some(Box::from(*b"new"));
    let change = ObjectChange { key: *present, old: None, new: new.clone() };
    assert_eq!(refuse(&mut state, vec![], vec![change]), ApplyError::ObjectDiffers(*present));
    let change = ObjectChange { key: *present, old: Some(Box::from(*b"other")), new: new.clone() };
    assert_eq!(refuse(&mut state, vec![], vec![change]), ApplyError::ObjectDiffers(*present));
    let absent = ObjectKey::new(ObjectClass::Name, 0, b"nobody");
    let change = ObjectChange { key: absent, old: Some(Box::from(*b"other")), new };
    assert_eq!(refuse(&mut state, vec![], vec![change]), ApplyError::ObjectDiffers(absent));
    assert_same(&state, &model);
}

#[test]
fn a_batch_is_taken_back_only_to_where_it_came_from() {
    let mut random = Random(12);
    let (mut state, mut model) = (Keystone::new(0), Model::default());
    let mut past = Vec::new();
    for _ in 0..4 {
        let changes = random_changes(&mut random, &model, SMALL);
        past.push((changes.clone(), model.roots()));
        model.apply(&changes);
        state.apply(&changes, &Serial).unwrap();
    }
    let (last, before) = past[3].clone();
    let (earlier, before_earlier) = past[2].clone();
    assert!(state.revert(&earlier, &before_earlier, &Serial).is_err(), "not the last one");
    assert!(state.revert(&last, &before_earlier, &Serial).is_err(), "not its start");
    for objects_used in [0, 1, before.objects_used - 1, before.objects_used + 1, u32::MAX] {
        let wrong = Roots { objects_used, ..before };
        assert!(state.revert(&last, &wrong, &Serial).is_err(), "to {objects_used} objects");
    }
    for slots_used in [0, before.slots_used - 1, before.slots_used + 1, u32::MAX] {
        let wrong = Roots { slots_used, ..before };
        assert!(matches!(state.revert(&last, &wrong, &Serial), Err(ApplyError::Count { .. })), "to {slots_used} slots");
    }
    let mut wrong = before;
    wrong.object_root = model.roots().object_root;
    assert_eq!(state.revert(&last, &wrong, &Serial), Err(ApplyError::Roots));
    assert_same(&state, &model);
    assert_eq!(state.revert(&last, &before, &Serial), Ok(()));
    assert_eq!(state.roots(), before);
}

#[test]
fn a_changeset_lists_its_changes_in_order() {
    let slot = random_slot(&mut Random(1));
    let change = |index: usize, old| SlotChange { index: slot_index(index), old, new: slot };
    let slots = |slots: Vec<SlotChange>| Changeset::new(slots, vec![]).unwrap_err();
    assert_eq!(slots(vec![change(0, None)]), ChangesetError::Outside);
    assert!(matches!(slots(vec![change(2, Some(slot)), change(2, Some(slot))]), ChangesetError::SlotOrder { .. }));
    assert!(matches!(slots(vec![change(3, None), change(2, Some(slot))]), ChangesetError::SlotOrder { .. }));
    assert!(matches!(slots(vec![change(3, None), change(5, None)]), ChangesetError::Allocation { .. }));
    assert!(matches!(slots(vec![change(3, None), change(4, Some(slot))]), ChangesetError::Allocation { .. }));
    let other_asset = Slot { asset: ghostplane_types::AssetId::ZMAN, ..slot };
    assert!(matches!(slots(vec![change(3, Some(other_asset))]), ChangesetError::Identity(_)));

    let key = |number: u8| ObjectKey::new(ObjectClass::Name, u32::from(number), b"");
    let value = |len: usize| Some(vec![0; len].into_boxed_slice());
    let change = |key, new| ObjectChange { key, old: None, new };
    let objects = |objects| Changeset::new(vec![], objects).unwrap_err();
    assert_eq!(objects(vec![change(ObjectKey::SENTINEL, value(1))]), ChangesetError::Sentinel);
    assert!(matches!(
        objects(vec![change(key(2), value(1)), change(key(1), value(1))]),
        ChangesetError::ObjectOrder { .. }
    ));
    assert!(matches!(
        objects(vec![change(key(2), value(1)), change(key(2), value(1))]),
        ChangesetError::ObjectOrder { .. }
    ));
    assert_eq!(objects(vec![change(key(1), None)]), ChangesetError::Nothing(key(1)));
    assert!(matches!(objects(vec![change(key(1), value(OBJECT_BYTES_MAX + 1))]), ChangesetError::ValueBytes { .. }));
    assert!(Changeset::new(vec![], vec![change(key(1), value(OBJECT_BYTES_MAX))]).is_ok());
}

#[test]
fn leaves_that_are_no_state_are_refused() {
    let key = ObjectKey::new(ObjectClass::Name, 0, b"a");
    let rebuild =
        |objects: Vec<(ObjectKey, Option<Vec<u8>>)>| Keystone::from_leaves(0, [], objects, &Serial).unwrap_err();
    assert_eq!(rebuild(vec![(key, None), (key, Some(vec![1]))]), RebuildError::Duplicate(key));
    assert_eq!(rebuild(vec![(ObjectKey::SENTINEL, None)]), RebuildError::Sentinel);
    let bytes = OBJECT_BYTES_MAX + 1;
    assert_eq!(rebuild(vec![(key, Some(vec![1; bytes]))]), RebuildError::ValueBytes { key, bytes });
}

#[test]
fn an_account_takes_at_most_320_bytes() {
    let slots = (1..1 << 17).map(|_| random_slot(&mut Random(5)));
    let key = |number: u32| ObjectKey::new(ObjectClass::Account, 0, &number.to_le_bytes());
    let mut state =
        Keystone::from_leaves(1, slots, (1..1 << 17).map(|number| (key(number), Some([3; 80]))), &Threads(2)).unwrap();
    assert!(state.heap_bytes() <= 320 << 17, "{} bytes for 2^17 accounts", state.heap_bytes());
    // Growth by batches may leave no more room unused.
    let used = state.roots().objects_used;
    let mut accounts = used;
    for batch in 0..16 {
        let first = used + batch * 1000;
        let slots = (first..first + 1000).map(|index| SlotChange {
            index: slot_index(index as usize),
            old: None,
            new: random_slot(&mut Random(5)),
        });
        let mut objects: Vec<_> = (first..first + 1000)
            .map(|index| ObjectChange { key: key(index), old: None, new: Some([3; 80].into()) })
            .collect();
        objects.sort_by_key(|change| change.key);
        state.apply(&Changeset::new(slots.collect(), objects).unwrap(), &Serial).unwrap();
        accounts += 1000;
    }
    assert!(state.heap_bytes() <= 320 * accounts as usize, "{} bytes for {accounts} accounts", state.heap_bytes());
}
