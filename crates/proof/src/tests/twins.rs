//! Our prover and the library's make the same bytes, of the truth and of lies.

use super::ledger::{Batch, Ledger, Random, entry, witnesses};
use super::{finish, pool};
use crate::Settings;
use crate::air::TableAir;
use crate::codec::encode;
use crate::config::{Config, common_data, config};
use crate::prove::prove_traces;
use crate::statement::Statement;
use crate::trace::{Draft, Traces};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_batch_stark::{ProverData, ProverOnlyData, StarkInstance, prove_batch};
use p3_field::PrimeCharacteristicRing;

/// The proof that the library makes of tables.
fn library_proof(statement: &Statement, traces: &Traces, settings: Settings) -> Vec<u8> {
    let airs = TableAir::all(statement, &traces.layout);
    let instances: Vec<StarkInstance<'_, Config, TableAir>> = airs
        .iter()
        .zip(&traces.tables)
        .map(|(air, trace)| StarkInstance { air, trace, public_values: Vec::new() })
        .collect();
    let data = ProverData { common: common_data(traces.layout.is_wide()), prover_only: ProverOnlyData::empty() };
    let proof = prove_batch(&config(statement, settings), &instances, &data).expect("tables of the right form");
    encode(&traces.layout, settings, &proof)
}

fn are_twins(statement: &Statement, traces: &Traces, settings: Settings) {
    let library = pool(2).install(|| library_proof(statement, traces, settings));
    for threads in [1, 2, 3] {
        let own = pool(threads).install(|| prove_traces(statement, traces.clone(), settings)).expect("a proof");
        assert!(own == library, "{settings:?} with {threads} threads");
    }
}

fn tables(ledger: &Ledger, batches: &[Batch], settings: Settings) -> (Statement, Traces) {
    let statement = ledger.statement(batches);
    let draft = Draft::new(&statement, &witnesses(batches), settings).expect("small");
    (statement, finish(draft))
}

#[test]
fn both_provers_make_the_same_bytes() {
    let mut ledger = Ledger::new(300, 1_000_000);
    let mut entries = ledger.payments(&mut Random(8), 700, 90);
    entries.extend([entry(0, 301, 9_000), entry(301, 4, 200), entry(5, 0, 30)]);
    let batches = [ledger.batch(&entries), ledger.batch(&[]), ledger.batch(&[entry(1, 2, 3)])];
    for settings in Settings::ALL {
        let (statement, traces) = tables(&ledger, &batches, settings);
        are_twins(&statement, &traces, settings);
    }
}

#[test]
fn both_provers_make_the_same_bytes_of_a_wide_journal() {
    let mut ledger = Ledger::new(20, 1 << 40);
    let entries = ledger.payments(&mut Random(9), (1 << 16) + 5, 20);
    let batches = [ledger.batch(&entries)];
    let (statement, traces) = tables(&ledger, &batches, Settings::Fast);
    assert!(traces.layout.is_wide());
    are_twins(&statement, &traces, Settings::Fast);
}

#[cfg(not(debug_assertions))] // With them the library refuses to prove a lie.
#[test]
fn both_provers_make_the_same_bytes_of_lies() {
    let mut ledger = Ledger::new(30, 1_000_000);
    let batches = [ledger.batch(&[entry(1, 2, 3), entry(2, 3, 4)])];
    let (statement, traces) = tables(&ledger, &batches, Settings::Fast);
    for table in 0..5 {
        let mut lie = traces.clone();
        let last = lie.tables[table].values.len() - 1;
        for at in [0, last / 2, last] {
            lie.tables[table].values[at] += KoalaBear::ONE;
        }
        are_twins(&statement, &lie, Settings::Fast);
    }
}
