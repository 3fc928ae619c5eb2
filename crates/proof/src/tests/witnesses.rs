//! Witnesses as bytes: what comes back is what went in, and bent bytes are refused or are another witness.

use super::ledger::{Ledger, Random, account, entry, witnesses};
use super::pool;
use crate::witness::{BATCH_WITNESS_BYTES_MAX, BatchWitness};
use crate::{prove, verify};
use ghostplane_types::DecodeError;

/// A batch with a fresh slot, an issue, a retirement, and slots that end as they began.
fn busy(ledger: &mut Ledger) -> BatchWitness {
    let fresh = u64::from(ledger.keystone.roots_used());
    let mut entries = ledger.payments(&mut Random(3), 12, 6);
    entries.extend([entry(3, fresh, 500), entry(0, 2, 9), entry(2, 0, 4), entry(7, 8, 5), entry(8, 7, 5)]);
    ledger.batch(&entries).witness
}

trait Used {
    fn roots_used(&self) -> u32;
}

impl Used for ghostplane_keystone::Keystone {
    fn roots_used(&self) -> u32 {
        ghostplane_keystone::StateView::roots(self).slots_used
    }
}

#[test]
fn a_witness_survives_its_bytes_and_still_proves() {
    let mut ledger = Ledger::new(40, 1_000_000);
    let entries = ledger.payments(&mut Random(8), 30, 9);
    let batches = [ledger.batch(&entries), ledger.batch(&[])];
    let statement = ledger.statement(&batches);
    let read: Vec<BatchWitness> = witnesses(&batches)
        .iter()
        .map(|witness| {
            let read = BatchWitness::decode(&witness.encode()).expect("its own bytes");
            assert_eq!(read, *witness);
            assert_eq!(read.encode(), witness.encode());
            read
        })
        .collect();
    let proof = prove(&statement, &read, &pool(1)).expect("an honest batch");
    assert!(verify(&statement, &proof).is_ok());
    let busy = busy(&mut ledger);
    assert_eq!(BatchWitness::decode(&busy.encode()), Ok(busy));
}

#[test]
fn bent_bytes_are_refused_or_are_another_witness() {
    let mut ledger = Ledger::new(12, 1_000_000);
    let bytes = busy(&mut ledger).encode();
    let mut read = 0;
    for at in 0..bytes.len() {
        for flip in [0x01, 0x02, 0x80, 0xff] {
            let mut bent = bytes.clone();
            bent[at] ^= flip;
            if let Ok(witness) = BatchWitness::decode(&bent) {
                assert_eq!(witness.encode(), bent);
                read += 1;
            }
        }
        assert!(BatchWitness::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(read > 100, "{read} are another witness");
    assert!(BatchWitness::decode(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn a_witness_claims_no_more_than_it_brings() {
    for count in [&[0xff, 0x07][..], &[0xff, 0xff, 0xff, 0x01], &[0xff; 9], &[0x80, 0x00]] {
        assert!(BatchWitness::decode(count).is_err());
        assert!(BatchWitness::decode(&[&[0], count].concat()).is_err());
        assert!(BatchWitness::decode(&[&[0, 0], count].concat()).is_err());
    }
    let long = vec![0; BATCH_WITNESS_BYTES_MAX + 1];
    assert!(matches!(BatchWitness::decode(&long), Err(DecodeError::OverLimit { .. })));
    assert!(BatchWitness::decode(&[0, 0, 0]).is_err(), "the root is opened even if nothing is touched");
}

#[test]
fn what_is_written_short_is_written_short() {
    let mut ledger = Ledger::new(12, 1_000_000);
    let mut witness = ledger.batch(&[entry(1, 2, 5)]).witness;
    let bytes = witness.encode();
    witness.slots[0].new.owner = account(9, 0).owner;
    let longer = witness.encode();
    assert_eq!(longer.len(), bytes.len() + 37, "an owner that changes is carried, for what it is worth");
    assert_eq!(BatchWitness::decode(&longer), Ok(witness));
}
