//! Witnesses that say too little, too much or nonsense: they never make a true claim false or a false one true.

use crate::random::{Random, busy_plane};
use crate::story::{Batch, Story, Watcher, gcc, pay, units};
use ghostplane_engine::{Difference, ProposedBatch, Verdict, check_inbox, execute, posted, verify_all};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{Changeset, Recorder, StateView, Touched, Witness};
use ghostplane_types::limits::WITNESS_BYTES_MAX;
use ghostplane_types::{BatchHeader, Decode, Encode};

/// What execution reads of the state before a batch, and what it changes.
fn reads_and_changes(batch: &Batch) -> (Touched, Changeset) {
    let Watcher { plane, keystone, prev, inbox } = &batch.before;
    let view = Recorder::new(keystone);
    let data = posted::decode(plane, &view, prev, &batch.posted).expect("what was encoded");
    let entries = &inbox[..usize::try_from(data.inbox).expect("short")];
    let checked = check_inbox(plane, &view, entries).expect("the whole state");
    let verified = verify_all(plane, &view, &Serial, data.transactions).expect("the whole state");
    let verified = verified.into_iter().collect::<Result<_, _>>().expect("good signatures");
    let proposed = ProposedBatch::new(*prev, 0, data.time, checked, verified, batch.posted.len()).expect("a batch");
    let changes = execute(plane, &view, &proposed).expect("honest").changes().clone();
    (view.touched(), changes)
}

/// A header that says of the ledger what is not so.
fn false_header(batch: &Batch) -> BatchHeader {
    BatchHeader { ledger_root: batch.before.prev.roots.ledger_root, ..*batch.sealed.header() }
}

/// Has the true and a false header judged by a witness, and tells whether it was enough.
fn is_enough(batch: &Batch, witness: &[u8], what: &str) -> bool {
    let of_truth = batch.before.judge_by(&batch.posted, batch.sealed.header(), witness);
    let of_lie = batch.before.judge_by(&batch.posted, &false_header(batch), witness);
    match (of_truth, of_lie) {
        (Verdict::Same, Verdict::Differs(Difference::Field("ledger_root"))) => true,
        (Verdict::Insufficient(_), Verdict::Insufficient(_)) => false,
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn a_witness_without_something_that_was_read_is_insufficient() {
    for seed in 0..6 {
        let mut story = busy_plane(&mut Random(seed));
        let batch = story.seal().last();
        let (touched, changes) = reads_and_changes(batch);
        let keystone = &batch.before.keystone;
        let whole = keystone.witness(&touched, &changes).to_bytes();
        assert_eq!(whole, batch.before.witness(&batch.posted));
        assert!(is_enough(batch, &whole, "whole"));

        // Of the changes only what is new, for the ways on which it is appended: the rest is there because it was read.
        let (slots, objects) = changes.clone().into_parts();
        let new_slots = slots.into_iter().filter(|change| change.old.is_none()).collect();
        let new_objects = objects.into_iter().filter(|change| change.old.is_none()).collect();
        let new = Changeset::new(new_slots, new_objects).expect("in order");
        assert!(is_enough(batch, &keystone.witness(&touched, &new).to_bytes(), "what was read and what is new"));
        for at in 0..touched.slots.len() {
            let mut less = touched.clone();
            less.slots.remove(at);
            assert!(!is_enough(batch, &keystone.witness(&less, &new).to_bytes(), "slot"), "seed {seed}, slot {at}");
        }
        for at in 0..touched.objects.len() {
            let mut less = touched.clone();
            let key = less.objects.remove(at);
            // The same account may have been read by its number.
            less.positions.retain(|index| keystone.leaf_at(*index).is_none_or(|leaf| leaf.0 != key));
            let enough = is_enough(batch, &keystone.witness(&less, &new).to_bytes(), "object");
            // That nobody has an address may follow from a neighbour that is there for another reason.
            let absent = keystone.object(&key).expect("the whole state").is_none();
            assert!(!enough || absent, "seed {seed}, object {at}");
        }
        assert!(!is_enough(batch, &keystone.witness(&Touched::default(), &new).to_bytes(), "only what is new"));
        assert!(!is_enough(batch, &keystone.witness(&Touched::default(), &changes).to_bytes(), "changes alone"));
        assert!(!is_enough(batch, &Witness::default().to_bytes(), "nothing"));
    }
}

#[test]
fn a_witness_may_say_more_than_needed() {
    let mut story = busy_plane(&mut Random(1));
    let batch = story.seal().last();
    let (mut touched, changes) = reads_and_changes(batch);
    let keystone = &batch.before.keystone;
    let slots = crate::books::slots(keystone);
    touched.merge(&Touched { slots: slots.keys().copied().collect(), ..Touched::default() });
    assert!(is_enough(batch, &keystone.witness(&touched, &changes).to_bytes(), "every slot there is"));
}

#[test]
fn a_witness_of_another_state_is_insufficient() {
    let mut story = busy_plane(&mut Random(2));
    let earlier = story.seal().last().clone();
    story.transfer("alice", "bob", units(1)).seal();
    let later = story.last();
    assert!(!is_enough(later, &earlier.before.witness(&earlier.posted), "the batch before"));
    assert!(!is_enough(&earlier, &later.before.witness(&later.posted), "the batch after"));
}

/// A batch whose witness is short.
fn small_batch() -> Story {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    story.act("alice", &[pay("bob", units(1))]).seal();
    story
}

#[test]
fn no_cut_of_a_witness_is_enough() {
    let story = small_batch();
    let batch = story.last();
    let whole = batch.before.witness(&batch.posted);
    assert!(is_enough(batch, &whole, "whole"));
    for len in 0..whole.len() {
        assert!(!is_enough(batch, &whole[..len], "cut"), "{len} of {}", whole.len());
    }
    assert!(!is_enough(batch, &[&whole[..], &[0]].concat(), "with a tail"));
    assert!(!is_enough(batch, &vec![0; WITNESS_BYTES_MAX + 1], "too long"));
}

#[test]
fn no_witness_that_was_changed_is_enough() {
    let story = small_batch();
    let batch = story.last();
    let whole = batch.before.witness(&batch.posted);
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // The first byte only says whether the ways of new leaves are covered; they may be so anyway.
        assert!(!is_enough(batch, &changed, "a bit turned") || bit < 2, "bit {bit}");
    }
    let mut random = Random(3);
    for _ in 0..2_000 {
        let mut changed = whole.clone();
        for _ in 0..1 + random.below(4) {
            let (at, len) = (random.below(changed.len()), 1 + random.below(60));
            match random.below(4) {
                0 => changed[at] = random.next().to_le_bytes()[0],
                1 => drop(changed.drain(at..(at + len).min(changed.len()))),
                2 => drop(changed.splice(at..at, random.bytes(len))),
                _ => {
                    let from = random.below(changed.len());
                    let copied = changed[from..(from + len).min(changed.len())].to_vec();
                    changed.splice(at..at, copied);
                }
            }
            if changed.is_empty() {
                break;
            }
        }
        assert!(!is_enough(batch, &changed, "mangled") || changed[1..] == whole[1..]);
    }
}

#[test]
fn counts_that_the_bytes_do_not_hold_are_refused_before_anything_is_kept_for_them() {
    let story = small_batch();
    let batch = story.last();
    let giants: [&[u8]; 5] = [&[0x7f], &[0xff, 0x7f], &[0xff; 4], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff; 9]];
    for flags in 0..4 {
        for giant in giants {
            // In the place of each of the four lists, behind empty ones.
            for lists in 0..4 {
                for tail in [0, 100, 100_000] {
                    let witness = [&[flags][..], &vec![0; lists], giant, &[1], &vec![7; tail]].concat();
                    assert!(Witness::from_bytes(&witness).is_err());
                    assert!(!is_enough(batch, &witness, "a giant count"));
                }
            }
        }
    }
}

#[test]
fn random_bytes_are_no_witness() {
    let story = small_batch();
    let mut random = Random(4);
    for _ in 0..2_000 {
        let len = random.below(400);
        let mut bytes = random.bytes(len);
        if let Some(flags) = bytes.first_mut() {
            *flags &= 3;
        }
        assert!(!is_enough(story.last(), &bytes, "random"));
    }
}
