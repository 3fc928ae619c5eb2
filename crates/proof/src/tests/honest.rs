//! Proofs of honest batches verify, say what they say, and are the same bytes however they are made.

use super::ledger::{Batch, Ledger, Random, account, amount, entry, witnesses};
use super::pool;
use crate::{
    PartKind, Phase, ProveError, Settings, Table, VerifyError, compressions, info, parts, prove, prove_bare,
    prove_with, verify,
};
use ghostplane_types::{AssetId, JournalEntry};

fn is_proved(ledger: &Ledger, batches: &[Batch]) -> Vec<u8> {
    let statement = ledger.statement(batches);
    let proof = prove(&statement, &witnesses(batches), &pool(2)).expect("an honest batch");
    let verified = verify(&statement, &proof).expect("an honest proof");
    let headers: Vec<_> = batches.iter().map(|batch| batch.header.digest(1337)).collect();
    assert_eq!(verified.headers(), headers);
    assert_eq!(verified.plane_id(), ledger.plane_id);
    assert!(verified.security().bits() >= 100.0);
    proof
}

#[test]
fn payments_new_slots_issues_and_retirements_are_proved() {
    let mut random = Random(2);
    for count in [1, 2, 63, 64, 65, 200] {
        let mut ledger = Ledger::new(100, 1_000_000);
        let mut entries = ledger.payments(&mut random, count, 30);
        // A slot is handed out and spends at once; value comes, goes, and passes through.
        entries.extend([entry(3, 101, 500), entry(101, 4, 200), entry(0, 102, 9_000), entry(102, 0, 1_000)]);
        entries.extend([entry(0, 7, 50), entry(7, 0, 50), entry(7, 8, 5), entry(8, 7, 5)]);
        let batches = [ledger.batch(&entries)];
        is_proved(&ledger, &batches);
    }
}

#[test]
fn consecutive_batches_share_a_proof() {
    let mut ledger = Ledger::new(50, 1_000_000);
    let mut random = Random(3);
    let batches: Vec<Batch> = [70, 1, 0, 130, 64]
        .map(|count| {
            let entries = ledger.payments(&mut random, count, 10);
            ledger.batch(&entries)
        })
        .into();
    is_proved(&ledger, &batches);
    is_proved(&ledger, &batches[2..3]);
    is_proved(&ledger, &batches[3..]);
}

#[test]
fn every_asset_and_the_largest_amounts_are_proved() {
    let most = (1 << 63) - 1;
    let of = |index, asset: u32, units| ghostplane_types::Slot {
        asset: AssetId::new(asset).expect("an id"),
        ..account(index, units)
    };
    let mut ledger = Ledger::of(vec![
        of(1, 0, most),
        of(2, 0, 0),
        of(3, (1 << 30) - 1, 65_536),
        of(4, (1 << 30) - 1, most - 65_536),
    ]);
    let entries = [
        entry(1, 2, most),
        JournalEntry { amount: amount(most), ..entry(2, 1, 1) },
        entry(3, 4, 65_536),
        entry(4, 3, 1 << 48),
        entry(0, 2, 1 << 62),
        entry(4, 0, 65_535),
    ];
    let batches = [ledger.batch(&entries)];
    is_proved(&ledger, &batches);
}

#[test]
fn one_and_two_threads_make_the_same_bytes() {
    let mut ledger = Ledger::new(200, 1_000_000);
    let entries = ledger.payments(&mut Random(4), 300, 100);
    let batches = [ledger.batch(&entries)];
    let (statement, witnesses) = (ledger.statement(&batches), witnesses(&batches));
    let proof = prove(&statement, &witnesses, &pool(1)).expect("an honest batch");
    for threads in [2, 2, 3] {
        assert_eq!(prove(&statement, &witnesses, &pool(threads)).expect("an honest batch"), proof, "{threads} threads");
    }
}

#[test]
fn a_journal_of_more_rows_than_a_limb_counts_is_proved() {
    let mut ledger = Ledger::new(20, 1 << 40);
    let mut entries = vec![entry(1, 2, 5)];
    entries.extend(ledger.payments(&mut Random(5), 66_000, 4).iter().map(|moved| {
        let shifted = |slot: ghostplane_types::SlotIndex| super::ledger::slot(u64::from(slot.index() % 4) + 3);
        let (from, to) = (shifted(moved.from), shifted(moved.to));
        if from == to { entry(9, 10, 1) } else { JournalEntry { from, to, ..*moved } }
    }));
    // Slots 1 and 2 rest for longer than a limb counts.
    entries.push(entry(2, 1, 7));
    let batches = [ledger.batch(&entries)];
    is_proved(&ledger, &batches);
}

#[test]
fn what_cannot_be_proved_is_told_entry_by_entry() {
    let mut ledger = Ledger::new(10, 100);
    let batch = ledger.batch(&[entry(1, 2, 60), entry(0, 3, 5)]);
    let statement = ledger.statement(std::slice::from_ref(&batch));
    let attempt = |change: fn(&mut Vec<JournalEntry>)| {
        let mut witness = batch.witness.clone();
        change(&mut witness.entries);
        prove(&statement, &[witness], &pool(1)).expect_err("a lie")
    };
    let overdraft = attempt(|entries| entries[0] = entry(1, 2, 101));
    assert_eq!(overdraft, ProveError::Entry { batch: 0, entry: 0, what: "overdraws a slot" });
    assert!(matches!(attempt(|entries| entries[0] = entry(1, 1, 1)), ProveError::Entry { entry: 0, .. }));
    assert!(matches!(attempt(|entries| entries[1] = entry(0, 0, 1)), ProveError::Entry { entry: 1, .. }));
    assert!(matches!(attempt(|entries| entries[1] = entry(0, 9, 5)), ProveError::Entry { entry: 1, .. }));
    assert!(matches!(
        attempt(|entries| entries[0] = entry(1, 2, 59)),
        ProveError::Balance { found: 41, expected: 40, .. }
    ));
    assert!(matches!(attempt(|entries| entries[1] = entry(1, 3, 5)), ProveError::Balance { .. }));
    assert!(matches!(attempt(|entries| entries.truncate(1)), ProveError::Entries { found: 1, expected: 2, .. }));
    assert!(matches!(prove(&statement, &[], &pool(1)), Err(ProveError::Witnesses { .. })));
    // The same balances by another way: only the digest tells them apart.
    let refused = attempt(|entries| entries.swap(0, 1));
    assert!(matches!(refused, ProveError::DoesNotVerify(VerifyError::Invalid { .. })), "{refused}");
}

#[test]
fn a_small_proof_is_smaller_worth_as_much_and_no_proof_of_other_settings() {
    let mut ledger = Ledger::new(200, 1_000_000);
    let entries = ledger.payments(&mut Random(8), 300, 100);
    let batches = [ledger.batch(&entries)];
    let (statement, witnesses) = (ledger.statement(&batches), witnesses(&batches));
    let mut phases = Vec::new();
    let small = prove_with(&statement, &witnesses, Settings::Small, &pool(2), &mut |phase| phases.push(phase));
    let small = small.expect("an honest batch");
    assert_eq!(phases, Phase::ALL);
    let fast = prove(&statement, &witnesses, &pool(2)).expect("an honest batch");
    assert!(10 * small.len() < 6 * fast.len(), "{} and {} bytes", small.len(), fast.len());
    for (proof, settings) in [(&small, Settings::Small), (&fast, Settings::Fast)] {
        let verified = verify(&statement, proof).expect("an honest proof");
        assert_eq!(verified.settings(), settings);
        assert!(verified.security().is_enough());
        let mut renamed = proof.clone();
        renamed[11] = (settings.code() + 1) % 3;
        assert!(verify(&statement, &renamed).is_err());
    }
    let mut unknown = small;
    unknown[11] = 3;
    assert_eq!(verify(&statement, &unknown), Err(VerifyError::Settings { found: 3 }));
}

#[test]
fn the_parts_of_a_proof_are_all_of_it() {
    let mut ledger = Ledger::new(200, 1_000_000);
    let entries = ledger.payments(&mut Random(9), 100, 50);
    let batches = [ledger.batch(&entries)];
    let (statement, witnesses) = (ledger.statement(&batches), witnesses(&batches));
    for settings in Settings::ALL {
        let proof = prove_with(&statement, &witnesses, settings, &pool(2), &mut |_| ()).expect("an honest batch");
        let (found, parts) = parts(&statement, &proof).expect("a proof");
        assert_eq!(found, settings);
        assert_eq!(parts.iter().map(|part| part.bytes).sum::<usize>(), proof.len());
        let shapes = info(&statement, &proof).expect("a proof");
        for ((shape, bytes), table) in shapes.iter().zip(Table::ALL) {
            assert_eq!(shape.table, table);
            let rows = parts.iter().find(|part| part.kind == PartKind::Rows(table)).expect("each table has rows");
            assert_eq!(rows.bytes, *bytes);
        }
        // Rows that are used are at most those that there are, and more than half of the largest table.
        let used = compressions(&witnesses);
        let held: usize = shapes.iter().map(|(shape, _)| shape.rows * shape.table.compressions()).sum();
        assert!(used <= held && used > 100 + 2 * 50, "{used} of {held}");
    }
}

#[test]
fn bare_compressions_are_proved() {
    for settings in Settings::ALL {
        assert_eq!(prove_bare(5, settings, &pool(2)), Ok(256));
    }
}
