//! Overlay, recorder, and scans.

use crate::model::*;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_keystone::{Changeset, Keystone, ObjectChange, Overlay, Page, Recorder, StateView, Touched, scan};
use ghostplane_types::{ObjectClass, ObjectKey, Roots};

/// Asks two views everything that either could know, and expects the same answers.
fn assert_views_agree(one: &impl StateView, other: &impl StateView, keys: &[ObjectKey]) {
    let roots = one.roots();
    for index in 0..roots.slots_used as usize + 3 {
        assert_eq!(one.slot(slot_index(index)), other.slot(slot_index(index)));
    }
    for index in 0..roots.objects_used + 3 {
        assert_eq!(one.object_at(object_index(index)), other.object_at(object_index(index)));
    }
    for key in keys {
        assert_eq!(one.object(key), other.object(key), "{key:?}");
        assert_eq!(one.object_index(key), other.object_index(key), "{key:?}");
        assert_eq!(one.object_after(key), other.object_after(key), "{key:?}");
    }
}

#[test]
fn an_overlay_reads_as_the_state_will() {
    for seed in 0..6 {
        let mut random = Random(100 + seed);
        let (mut state, mut model) = (Keystone::new(seed), Model::default());
        for _ in 0..6 {
            let changes = random_changes(&mut random, &model, SMALL);
            model.apply(&changes);
            state.apply(&changes, &Serial).unwrap();
        }
        let base = state.clone();
        let mut batches = Vec::new();
        for _ in 0..5 {
            let changes = random_changes(&mut random, &model, SMALL);
            model.apply(&changes);
            state.apply(&changes, &Serial).unwrap();
            batches.push(changes);
        }
        let overlay = Overlay::new(&base, &batches).unwrap();
        let mut keys: Vec<ObjectKey> = model.objects.keys().copied().collect();
        keys.extend((0..9_u8).map(|number| ObjectKey::new(ObjectClass::Name, 0, &[number])));
        keys.extend([ObjectKey::SENTINEL, ObjectKey::from_bytes([0xff; 32])]);
        assert_views_agree(&overlay, &state, &keys);

        let Roots { ledger_root, object_root, slots_used, objects_used } = state.roots();
        let unknown = Roots { ledger_root: FieldDigest::EMPTY, object_root: Digest::ZERO, slots_used, objects_used };
        assert_eq!(overlay.roots(), unknown, "nobody has hashed this state yet");
        assert_eq!(overlay.with_roots(ledger_root, object_root).roots(), state.roots());
        assert_eq!(Overlay::new(&base, []).unwrap().roots(), base.roots());
    }
}

#[test]
fn a_recorder_notes_what_is_read_and_changes_no_answer() {
    let mut random = Random(5);
    let (mut state, mut model) = (Keystone::new(0), Model::default());
    for _ in 0..6 {
        let changes = random_changes(&mut random, &model, SMALL);
        model.apply(&changes);
        state.apply(&changes, &Serial).unwrap();
    }
    let keys: Vec<ObjectKey> = model.objects.keys().copied().collect();
    let recorder = Recorder::new(&state);
    assert_eq!(recorder.touched(), Touched::default());
    for _ in 0..200 {
        recorder.slot(slot_index(3)).unwrap();
        recorder.slot(slot_index(1)).unwrap();
        recorder.object(&keys[2]).unwrap();
        recorder.object(&keys[0]).unwrap();
    }
    recorder.object_at(object_index(4)).unwrap();
    recorder.object_index(&keys[5]).unwrap();
    recorder.object_after(&keys[6]).unwrap();
    let touched = recorder.touched();
    let expected = Touched {
        slots: vec![slot_index(1), slot_index(3)],
        objects: vec![keys[0], keys[2]],
        positions: vec![object_index(4)],
        located: vec![keys[5]],
        followed: vec![keys[6]],
    };
    assert_eq!(touched, expected);
    let mut merged = touched.clone();
    merged.merge(&Touched { slots: vec![slot_index(2), slot_index(3)], ..Touched::default() });
    assert_eq!(merged.slots, vec![slot_index(1), slot_index(2), slot_index(3)]);
    assert_eq!(merged.objects, touched.objects);
    assert_views_agree(&recorder, &state, &keys);
}

#[test]
fn an_owners_objects_are_listed_page_by_page() {
    let key = |owner: u32, number: u32| ObjectKey::new(ObjectClass::Storage, owner, &number.to_le_bytes());
    let change = |key, old: Option<&[u8]>, new: Option<&[u8]>| ObjectChange {
        key,
        old: old.map(Into::into),
        new: new.map(Into::into),
    };
    let mut first: Vec<ObjectChange> = Vec::new();
    for owner in [0, 6, 7, 8, u32::MAX] {
        first.extend((0..10).map(|number| change(key(owner, number), None, Some(b"value"))));
    }
    first.push(change(ObjectKey::new(ObjectClass::Stream, 7, b""), None, Some(b"of another class")));
    first.sort_by_key(|change| change.key);
    let mut state = Keystone::new(0);
    state.apply(&Changeset::new(vec![], first).unwrap(), &Serial).unwrap();
    let mut owned: Vec<ObjectKey> = (0..10).map(|number| key(7, number)).collect();
    owned.sort();
    let gone = [owned[3], owned[4]];
    let removals = gone.iter().map(|key| change(*key, Some(b"value"), None)).collect();
    state.apply(&Changeset::new(vec![], removals).unwrap(), &Serial).unwrap();

    for visits_max in [1, 2, 3, 9, 10, 11, 100] {
        let mut listed = Vec::new();
        let mut after = None;
        let mut pages = 0;
        loop {
            let page: Page<'_> = scan(&state, ObjectClass::Storage, 7, after.as_ref(), visits_max).unwrap();
            assert!(page.objects.len() <= visits_max);
            listed.extend(page.objects.iter().map(|(key, object)| {
                assert_eq!(object.value, b"value");
                *key
            }));
            pages += 1;
            match page.resume_after {
                Some(key) => after = Some(key),
                None => break,
            }
        }
        assert_eq!(pages, 10 / visits_max + 1);
        let left: Vec<ObjectKey> = owned.iter().copied().filter(|key| !gone.contains(key)).collect();
        assert_eq!(listed, left, "{visits_max} visits a page");
    }
    let nobody = scan(&state, ObjectClass::Storage, 9, None, 10).unwrap();
    assert_eq!(nobody, Page { objects: vec![], resume_after: None });
    assert_eq!(scan(&state, ObjectClass::Storage, u32::MAX, None, 100).unwrap().objects.len(), 10);
}
