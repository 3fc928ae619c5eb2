//! A cell changed in any column of any table, or anything changed in the statement: no mutant verifies.
//!
//! Columns are sampled here; `cargo test --release -p ghostplane-proof --features exhaustive mutants` tries each.

use super::ledger::{Batch, Ledger, Random, amount, entry, some_digest, witnesses};
use super::{claimed, finish, judge, pool};
use crate::Settings;
use crate::air::claims;
use crate::statement::{BatchClaim, Statement};
use crate::trace::{Draft, Traces};
use crate::{Table, prove, verify};
use ghostplane_ghostcipher::Digest;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use ghostplane_types::{AssetId, Flow};
use p3_field::PrimeCharacteristicRing;

/// One column in so many is tried.
const STRIDE: usize = if cfg!(feature = "exhaustive") { 1 } else { 23 };

fn honest() -> (Ledger, [Batch; 2]) {
    let mut ledger = Ledger::new(40, 1_000_000);
    let mut entries = vec![entry(0, 5, 70), entry(5, 41, 30), entry(6, 0, 3)];
    entries.extend(ledger.payments(&mut Random(6), 70, 12));
    let first = ledger.batch(&entries);
    let second = ledger.batch(&[entry(9, 10, 1)]);
    (ledger, [first, second])
}

fn mutant(statement: &Statement, traces: &Traces, table: Table, row: usize, column: usize) -> Result<(), String> {
    let mut traces = traces.clone();
    let matrix = &mut traces.tables[table as usize];
    matrix.values[row * matrix.width + column] += KoalaBear::ONE;
    judge(statement, traces)
}

#[test]
fn mutants_of_every_column_are_refused() {
    let (ledger, batches) = honest();
    let statement = ledger.statement(&batches);
    let traces = finish(Draft::new(&statement, &witnesses(&batches), Settings::Fast).expect("small"));
    judge(&statement, traces.clone()).expect("the original verifies");
    let mut tried = 0;
    for table in Table::ALL {
        for column in 0..traces.tables[table as usize].width {
            tried += 1;
            let is_bookkeeping =
                column < 40 && table != Table::Nodes && table != Table::Slots && cfg!(feature = "exhaustive");
            if tried % STRIDE == 0 || is_bookkeeping || (table == Table::Claims && column == claims::TIME) {
                // The first row that uses the column: cells of the claims table come behind three nodes.
                let row = if table == Table::Claims && [claims::CELL, claims::TIME].contains(&column) { 3 } else { 0 };
                let verdict = mutant(&statement, &traces, table, row, column);
                assert!(verdict.is_err(), "column {column} of {table:?} is free");
            }
        }
    }
    assert!(tried > 800);
}

#[test]
fn mutants_of_the_statement_are_refused() {
    let (ledger, batches) = honest();
    let statement = ledger.statement(&batches);
    let proof = prove(&statement, &witnesses(&batches), &pool(2)).expect("honest batches");
    let changes: [fn(&mut BatchClaim); 10] = [
        |claim| claim.header_digest.0[31] ^= 1,
        |claim| claim.root_before.0[0] += KoalaBear::ONE,
        |claim| claim.root_before = claim.root_after,
        |claim| claim.root_after.0[7] += KoalaBear::ONE,
        |claim| claim.root_after = claim.root_before,
        |claim| claim.journal_digest = some_digest(),
        |claim| claim.entries += 1,
        |claim| claim.entries += 64,
        |claim| claim.flows = Vec::new(),
        |claim| claim.flows = vec![Flow { asset: AssetId::ZMAN, issued: amount(1), retired: amount(1) }],
    ];
    for (at, change) in changes.iter().enumerate() {
        for batch in 0..2 {
            let other = claimed(&statement, |claims| change(&mut claims[batch]));
            if other == statement {
                continue;
            }
            assert!(verify(&other, &proof).is_err(), "change {at} of batch {batch}");
            // A prover who knows the lie beforehand does no better.
            let draft = Draft::new(&other, &witnesses(&batches), Settings::Fast).expect("small");
            let lie = finish(draft);
            let lives_by_the_transcript_alone = at == 0;
            assert_eq!(judge(&other, lie).is_ok(), lives_by_the_transcript_alone, "change {at} of batch {batch}");
        }
    }
    assert!(verify(&Statement::claimed(Digest([8; 32]), statement.batches().to_vec()), &proof).is_err());
    assert!(verify(&claimed(&statement, |claims| claims.reverse()), &proof).is_err());
    assert!(verify(&claimed(&statement, |claims| drop(claims.pop())), &proof).is_err());
}
