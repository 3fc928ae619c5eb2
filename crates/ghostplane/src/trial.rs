//! Made-up batches of transfers on a ledger of their own, to be proved: what a trial and the bench prove.

use crate::bench::measure::Random;
use crate::local::Threads;
use ghostplane_ghostcipher::{Digest, Domain, digest, poseidon2};
use ghostplane_keystone::{Changeset, Keystone, SlotChange, StateView as _, journal};
use ghostplane_proof::{BatchWitness, Statement};
use ghostplane_types::batch::flows_digest;
use ghostplane_types::genesis::CHAIN_DEV;
use ghostplane_types::{Amount, AssetId, BatchHeader, JournalEntry, ObjectKey, PlaneState, Slot, SlotIndex, SlotKind};
use std::collections::BTreeMap;

/// Slots of a trial's ledger, the outside among them.
pub const SLOTS: u32 = 1 << 20;
/// A longer run is proved in several parts.
pub const TRANSFERS_PER_PROOF_MAX: usize = 1 << 17;
/// What every account starts with. All transfers of a run together cannot empty one.
const BALANCE: u64 = 1 << 40;
/// Transfers are of fewer units.
const AMOUNT_MAX: usize = 1_000;

/// What the allocator has to be told, by an environment variable of the process that proves: the tables' memory is large,
/// stays with the process from one proof to the next, and comes in huge pages.
pub const ALLOCATOR: (&str, &str) = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always");

/// What is to be proved by one proof.
#[derive(Clone, Debug)]
pub struct Part {
    /// The statement about its one batch.
    pub statement: Statement,
    /// The witness of that batch.
    pub witnesses: Vec<BatchWitness>,
    /// Transfers in it.
    pub transfers: usize,
}

/// A run of `transfers` transfers between `among` of the accounts of a ledger of so many slots, spread over all of them; in
/// as many parts as it takes.
/// Each run of the same size is the same.
///
/// # Errors
/// If the ledger refuses what is made up for it, which would be a bug.
pub fn make_up(slots: u32, transfers: usize, among: usize, threads: Threads) -> anyhow::Result<Vec<Part>> {
    let mut random = Random(1);
    let accounts = random.distinct(among, 1..slots);
    let nothing: [(ObjectKey, Option<&[u8]>); 0] = [];
    let leaves: Vec<Slot> = (1..slots).map(account).collect();
    let mut keystone = Keystone::from_leaves(1, leaves, nothing, &threads)?;
    let plane_id = digest::hash(Domain::Test, 0, &[b"a made-up plane"]);
    let state = PlaneState { number: 0, time: 0, roots: keystone.roots(), inbox_upto: 0, log_upto: 0, outbox_upto: 0 };
    let mut header = BatchHeader::genesis(&state);
    let count = transfers.div_ceil(TRANSFERS_PER_PROOF_MAX);
    let mut parts = Vec::with_capacity(count);
    for place in 0..count {
        let transfers = transfers * (place + 1) / count - transfers * place / count;
        let entries = payments(&mut random, &accounts, transfers);
        let changes = changes(&keystone, &entries)?;
        let witness = BatchWitness::collect(&keystone, &entries, &changes)?;
        let roots = keystone.apply(&changes, &threads)?;
        let next = follow(&header, &plane_id, roots.ledger_root, &entries)?;
        let statement = Statement::new(CHAIN_DEV, plane_id, &header, &[(next, Vec::new())])?;
        header = next;
        parts.push(Part { statement, witnesses: vec![witness], transfers });
    }
    Ok(parts)
}

fn account(index: u32) -> Slot {
    let mut seed = [0; 64];
    seed[..4].copy_from_slice(&index.to_le_bytes());
    let balance = Amount::new(BALANCE).expect("far below 2^63");
    Slot { kind: SlotKind::Account, owner: poseidon2::reduce_wide(&seed), asset: AssetId::GCC, balance }
}

fn payments(random: &mut Random, accounts: &[u32], count: usize) -> Vec<JournalEntry> {
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let payer = random.below(accounts.len());
        // Anybody but the payer.
        let payee = (payer + 1 + random.below(accounts.len() - 1)) % accounts.len();
        let slot = |at: usize| SlotIndex::new(accounts[at]).expect("the ledger's slots are below 2^30");
        let amount = Amount::new(1 + random.below(AMOUNT_MAX) as u64).expect("small");
        entries.push(JournalEntry { from: slot(payer), to: slot(payee), amount });
    }
    entries
}

/// What the entries make of the slots that they touch.
fn changes(keystone: &Keystone, entries: &[JournalEntry]) -> anyhow::Result<Changeset> {
    let mut slots: BTreeMap<SlotIndex, (Slot, Slot)> = BTreeMap::new();
    for index in entries.iter().flat_map(|entry| [entry.from, entry.to]) {
        let slot = keystone.slot(index)?.expect("every slot of the ledger has an account");
        slots.insert(index, (slot, slot));
    }
    for entry in entries {
        let payer = &mut slots.get_mut(&entry.from).expect("it was put there").1.balance;
        *payer = payer.checked_sub(entry.amount).expect("no run is long enough to empty an account");
        let payee = &mut slots.get_mut(&entry.to).expect("it was put there").1.balance;
        *payee = payee.checked_add(entry.amount).expect("far below 2^63");
    }
    let changes = slots.into_iter().map(|(index, (old, new))| SlotChange { index, old: Some(old), new });
    Ok(Changeset::new(changes.filter(|change| change.old != Some(change.new)).collect(), Vec::new())?)
}

/// The header of the batch after `before` with these entries.
fn follow(
    before: &BatchHeader,
    plane_id: &Digest,
    ledger_root: ghostplane_ghostcipher::FieldDigest,
    entries: &[JournalEntry],
) -> anyhow::Result<BatchHeader> {
    Ok(BatchHeader {
        number: before.number + 1,
        prev_state: before.state().digest(CHAIN_DEV, plane_id),
        ledger_root,
        journal_digest: journal::digest(entries),
        flows_digest: flows_digest(CHAIN_DEV, &[]),
        entries: u32::try_from(entries.len())?,
        ..*before
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_proof::compressions;

    #[test]
    fn a_run_is_what_was_asked_for_and_always_the_same() {
        let run = || make_up(SLOTS, 500, 20, Threads::new(2)).expect("a small run");
        let parts = run();
        let [part] = &parts[..] else { panic!("one proof holds it") };
        assert_eq!((part.transfers, part.statement.entries()), (500, 500));
        assert!(compressions(&part.witnesses) > 500 + 2 * 20 * 16);
        assert_eq!(run()[0].witnesses, part.witnesses);
    }

    #[test]
    fn a_long_run_comes_in_parts_that_follow_each_other() {
        let transfers = TRANSFERS_PER_PROOF_MAX + 1;
        let parts = make_up(64, transfers, 2, Threads::new(2)).expect("a run");
        assert_eq!(parts.iter().map(|part| part.transfers).sum::<usize>(), transfers);
        let [first, second] = &parts[..] else { panic!("two proofs hold it") };
        assert_eq!(first.statement.batches()[0].root_after, second.statement.batches()[0].root_before);
    }
}
