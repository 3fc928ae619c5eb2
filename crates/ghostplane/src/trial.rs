//! Made-up batches of transfers on a ledger of their own, to be proved: what a trial and the bench prove.

use crate::bench::measure::Random;
use crate::local::Threads;
use ghostplane_ghostcipher::{Digest, Domain, digest, poseidon2};
use ghostplane_keystone::{Changeset, Keystone, SlotChange, StateView as _, journal};
use ghostplane_proof::{BatchWitness, Rows, Statement};
use ghostplane_types::batch::flows_digest;
use ghostplane_types::genesis::CHAIN_DEV;
use ghostplane_types::{Amount, AssetId, BatchHeader, JournalEntry, ObjectKey, PlaneState, Slot, SlotIndex, SlotKind};
use std::collections::{BTreeMap, VecDeque};

/// Slots of a trial's ledger, the outside among them.
pub const SLOTS: u32 = 1 << 20;
/// A longer run is proved in several parts, and so is one whose tables would be too tall.
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

/// A run of transfers between some of the accounts of a ledger, spread over all of it, in as many parts as it takes. A part is
/// made up when it is asked for, so that nothing of the others is held while it is proved.
///
/// Each run of the same size is the same.
#[derive(Debug)]
pub struct Run {
    keystone: Keystone,
    random: Random,
    accounts: Vec<u32>,
    header: BatchHeader,
    plane_id: Digest,
    threads: Threads,
    /// Transfers that are in no part yet; the first of them may be made up already.
    left: usize,
    made_up: VecDeque<JournalEntry>,
    /// The most of one part, less once its tables were too tall.
    together_max: usize,
}

impl Run {
    /// `transfers` transfers between `among` of the accounts of a ledger of so many slots.
    ///
    /// # Errors
    /// If the ledger refuses what is made up for it, which would be a bug.
    pub fn make_up(slots: u32, transfers: usize, among: usize, threads: Threads) -> anyhow::Result<Self> {
        let mut random = Random(1);
        let accounts = random.distinct(among, 1..slots);
        let nothing: [(ObjectKey, Option<&[u8]>); 0] = [];
        let leaves: Vec<Slot> = (1..slots).map(account).collect();
        let keystone = Keystone::from_leaves(1, leaves, nothing, &threads)?;
        let plane_id = digest::hash(Domain::Test, 0, &[b"a made-up plane"]);
        let roots = keystone.roots();
        let state = PlaneState { number: 0, time: 0, roots, inbox_upto: 0, log_upto: 0, outbox_upto: 0 };
        let (header, made_up) = (BatchHeader::genesis(&state), VecDeque::new());
        let together_max = TRANSFERS_PER_PROOF_MAX;
        Ok(Self { keystone, random, accounts, header, plane_id, threads, left: transfers, made_up, together_max })
    }

    /// Transfers that are in no part yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// The next part, on the ledger as the parts before it left it; nothing after the last.
    ///
    /// # Errors
    /// As [`Run::make_up`].
    pub fn next_part(&mut self) -> anyhow::Result<Option<Part>> {
        if self.left == 0 {
            return Ok(None);
        }
        loop {
            // As many parts as it takes, all of a size.
            let transfers = self.left.div_ceil(self.left.div_ceil(self.together_max));
            let missing = transfers.saturating_sub(self.made_up.len());
            self.made_up.extend(payments(&mut self.random, &self.accounts, missing));
            let entries: Vec<JournalEntry> = self.made_up.iter().take(transfers).copied().collect();
            let changes = changes(&self.keystone, &entries)?;
            let witness = BatchWitness::collect(&self.keystone, &entries, &changes)?;
            let witnesses = vec![witness];
            if transfers > 1 && !Rows::of(&witnesses).are_light() {
                self.together_max = transfers.div_ceil(2);
                continue;
            }
            self.made_up.drain(..transfers);
            self.left -= transfers;
            let roots = self.keystone.apply(&changes, &self.threads)?;
            let next = follow(&self.header, &self.plane_id, roots.ledger_root, &entries)?;
            let statement = Statement::new(CHAIN_DEV, self.plane_id, &self.header, &[(next, Vec::new())])?;
            self.header = next;
            return Ok(Some(Part { statement, witnesses, transfers }));
        }
    }
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

    fn parts(slots: u32, transfers: usize, among: usize) -> Vec<Part> {
        let mut run = Run::make_up(slots, transfers, among, Threads::new(2)).expect("a run");
        std::iter::from_fn(|| run.next_part().expect("a part")).collect()
    }

    #[test]
    fn a_run_is_what_was_asked_for_and_always_the_same() {
        let run = || parts(SLOTS, 500, 20);
        let parts = run();
        let [part] = &parts[..] else { panic!("one proof holds it") };
        assert_eq!((part.transfers, part.statement.entries()), (500, 500));
        assert!(compressions(&part.witnesses) > 500 + 2 * 20 * 16);
        assert_eq!(run()[0].witnesses, part.witnesses);
    }

    #[test]
    fn a_long_run_comes_in_parts_that_follow_each_other() {
        let transfers = TRANSFERS_PER_PROOF_MAX + 1;
        let parts = parts(64, transfers, 2);
        assert_eq!(parts.iter().map(|part| part.transfers).sum::<usize>(), transfers);
        let [first, second] = &parts[..] else { panic!("two proofs hold it") };
        assert_eq!(first.statement.batches()[0].root_after, second.statement.batches()[0].root_before);
    }

    #[test]
    fn what_would_need_tall_tables_is_split_further_and_moves_the_same() {
        let (transfers, among) = (TRANSFERS_PER_PROOF_MAX, 1_000_000);
        let parts = parts(SLOTS, transfers, among);
        assert_eq!(parts.iter().map(|part| part.transfers).collect::<Vec<_>>(), [transfers / 2; 2]);
        for part in &parts {
            let rows = Rows::of(&part.witnesses);
            assert!(rows.are_light() && rows.nodes > 1 << 18, "{rows:?}");
        }
        assert_eq!(parts[0].statement.batches()[0].root_after, parts[1].statement.batches()[0].root_before);
    }
}
