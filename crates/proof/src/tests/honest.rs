//! Proofs of honest batches verify, say what they say, and are the same bytes however they are made.

use super::ledger::{Ledger, Random, entry, witnesses};
use super::pool;
use crate::{prove, verify};

#[test]
fn a_batch_of_payments_is_proved_and_verified() {
    let mut ledger = Ledger::new(100, 1_000_000);
    let entries = ledger.payments(&mut Random(1), 200, 30);
    let batches = [ledger.batch(&entries)];
    let statement = ledger.statement(&batches);
    let proof = prove(&statement, &witnesses(&batches), &pool(2)).expect("an honest batch");
    let verified = verify(&statement, &proof).expect("an honest proof");
    assert_eq!(verified.headers(), [batches[0].header.digest(1337)]);
    println!("{} bytes, {:?}", proof.len(), verified.security());
}
