//! Bytes from anybody: refused with an error, never with a panic.

use super::ledger::{Ledger, Random, entry, witnesses};
use super::pool;
use crate::codec::HEADER_BYTES;
use crate::statement::Statement;
use crate::{PROOF_BYTES_MAX, VerifyError, prove, verify};

/// Proofs that are changed at random; more of them with the feature `exhaustive`.
const ROUNDS: usize = if cfg!(feature = "exhaustive") { 20_000 } else { 150 };

fn honest() -> (Statement, Vec<u8>) {
    let mut ledger = Ledger::new(9, 100);
    let batches = [ledger.batch(&[entry(1, 2, 3), entry(2, 3, 4)])];
    let statement = ledger.statement(&batches);
    let proof = prove(&statement, &witnesses(&batches), &pool(2)).expect("an honest batch");
    (statement, proof)
}

#[test]
fn changed_proofs_are_refused() {
    let (statement, proof) = honest();
    let mut random = Random(7);
    let place = |random: &mut Random, len: usize| usize::try_from(random.below(len as u64)).expect("small");
    for round in 0..ROUNDS {
        let mut changed = proof.clone();
        match round % 6 {
            0 => {
                let at = place(&mut random, changed.len());
                changed[at] ^= 1 << random.below(8);
            }
            1 => changed.truncate(place(&mut random, proof.len())),
            2 => {
                let at = place(&mut random, changed.len() - 4);
                changed[at..at + 4].copy_from_slice(&[0xff; 4]);
            }
            3 => {
                // An element for another: aligned, so that it decodes.
                let words = changed.len() / 4;
                let (to, from) = (4 * place(&mut random, words), 4 * place(&mut random, words));
                changed.copy_within(from..from + 4, to);
            }
            4 => {
                let at = 4 * place(&mut random, 3_000);
                changed[at] ^= 1 << random.below(8);
            }
            _ => {
                let (from, len) = (place(&mut random, changed.len() - 64), place(&mut random, 64));
                let to = place(&mut random, changed.len() - 64);
                changed.copy_within(from..from + len, to);
            }
        }
        assert_eq!(verify(&statement, &changed).is_ok(), changed == proof, "round {round}");
    }
}

#[test]
fn every_layout_in_the_header_is_answered() {
    let (statement, proof) = honest();
    for at in 0..HEADER_BYTES {
        for value in 0..=255 {
            let mut changed = proof.clone();
            changed[at] = value;
            assert_eq!(verify(&statement, &changed).is_ok(), changed == proof, "byte {at} is {value}");
        }
    }
}

#[test]
fn a_proof_has_one_length() {
    let (statement, proof) = honest();
    assert_eq!(verify(&statement, &[]), Err(VerifyError::Length { at: 0 }));
    assert_eq!(verify(&statement, &proof[..11]), Err(VerifyError::Length { at: 11 }));
    assert_eq!(verify(&statement, b"not a proof at all"), Err(VerifyError::NotAProof));
    let longer = [&proof[..], &[0]].concat();
    assert_eq!(verify(&statement, &longer), Err(VerifyError::Length { at: proof.len() }));
    let bytes = PROOF_BYTES_MAX + 1;
    assert_eq!(verify(&statement, &vec![0; bytes]), Err(VerifyError::TooLong { bytes }));
    let mut other = proof.clone();
    other[4] = 2;
    assert_eq!(verify(&statement, &other), Err(VerifyError::Version { found: 2 }));
}

#[test]
fn a_lying_count_of_path_nodes_makes_no_room() {
    let (statement, proof) = honest();
    // The counts are the only lengths in the bytes. Wherever one is, the largest number is refused.
    for at in (proof.len() - 40_000..proof.len() - 4).step_by(4) {
        let mut changed = proof.clone();
        changed[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        if at % 400 == 0 {
            assert!(verify(&statement, &changed).is_err());
        }
    }
}
