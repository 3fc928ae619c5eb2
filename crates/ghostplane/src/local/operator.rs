//! The operator of a plane: orders transactions into batches and commits them. Also, when told to, a thief.

use crate::local::LocalL1;
use anyhow::{Context as _, ensure};
use ghostplane_engine::replay::{Produced, produce};
use ghostplane_engine::{Plane, Verified, verify_all};
use ghostplane_ghostbridge::run;
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, SigningKey};
use ghostplane_keystone::{Changeset, Keystone, SlotChange, StateView, journal};
use ghostplane_settlement::Event;
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, BatchHeader, Decode, InboxEntry, JournalEntry, L1Address, Nonce,
    ObjectKey, Outcome, PlaneState, Reject, Slot, SlotIndex, Source, Transaction, Withdrawal,
};
use std::time::{Duration, Instant};

/// A batch as the operator keeps it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it claims.
    pub header: BatchHeader,
    /// Its data.
    pub posted: Vec<u8>,
    /// The state it started from.
    pub before: PlaneState,
    /// What it changed.
    pub changes: Changeset,
    /// What became of its entries and transactions.
    pub records: Vec<(Source, Digest, Outcome)>,
    /// What leaves for the L1.
    pub withdrawals: Vec<Withdrawal>,
}

/// Time spent in the stages of producing batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Checking signatures.
    pub verify: Duration,
    /// Encoding, executing, applying, sealing.
    pub execute: Duration,
}

/// The operator.
#[derive(Debug)]
pub struct Operator {
    plane: Plane,
    keystone: Keystone,
    state: PlaneState,
    generation: u32,
    key: SigningKey,
    l1_address: L1Address,
    kept: Vec<Kept>,
    committed: u64,
    spent: Spent,
}

impl Operator {
    /// Founds the plane. `index_seed` keeps others from guessing how memory is laid out.
    pub fn found(plane: Plane, key: SigningKey, index_seed: u64, workers: &dyn Workers) -> anyhow::Result<Self> {
        let mut keystone = Keystone::new(index_seed);
        let roots = keystone.apply(&plane.founding_changes()?, workers)?;
        let state = plane.genesis_state(roots);
        let l1_address = run::l1_address(&key);
        let (kept, spent) = (Vec::new(), Spent::default());
        Ok(Self { plane, keystone, state, generation: 0, key, l1_address, kept, committed: 0, spent })
    }

    /// The plane's rules.
    pub fn plane(&self) -> &Plane {
        &self.plane
    }

    /// The newest state.
    pub fn keystone(&self) -> &Keystone {
        &self.keystone
    }

    /// The newest state in numbers.
    pub fn state(&self) -> &PlaneState {
        &self.state
    }

    /// The operator's account on the L1.
    pub fn l1_address(&self) -> L1Address {
        self.l1_address
    }

    /// The plane's generation as the operator knows it.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// All batches since genesis that were not reverted; batch `n` is at `n - 1`.
    pub fn batches(&self) -> &[Kept] {
        &self.kept
    }

    /// Time spent so far.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// The balance of an address in the newest state.
    pub fn balance(&self, address: &Address, asset: AssetId) -> Amount {
        self.slot_of(address, asset).map_or(Amount::ZERO, |(_, slot)| slot.balance)
    }

    /// Puts the bond down that lets the operator commit.
    pub fn bond(&self, l1: &mut LocalL1) -> anyhow::Result<Vec<Event>> {
        let term = l1.settlement().term_for(self.l1_address);
        let amount = self.plane.genesis().settlement.sequencer_bond;
        Ok(l1.send(self.l1_address, run::bond(&self.plane, &self.key, &self.l1_address, term, amount))?)
    }

    /// Checks transactions against the newest state, as the next batch would find it.
    pub fn verify(
        &mut self,
        transactions: Vec<Transaction>,
        workers: &dyn Workers,
    ) -> anyhow::Result<Vec<Result<Verified, Reject>>> {
        let started = Instant::now();
        let checked = verify_all(&self.plane, &self.keystone, workers, transactions)?;
        self.spent.verify += started.elapsed();
        Ok(checked)
    }

    /// Makes the next batch of inbox entries and verified transactions.
    pub fn produce(
        &mut self,
        time: u64,
        inbox: &[InboxEntry],
        transactions: Vec<Verified>,
        workers: &dyn Workers,
    ) -> anyhow::Result<&Kept> {
        let started = Instant::now();
        let before = self.state;
        let batch = Produced { time, transactions };
        let made = produce(&self.plane, &mut self.keystone, &before, self.generation, inbox, batch, workers);
        let (sealed, posted) = made.context("the batch cannot be made")?;
        self.spent.execute += started.elapsed();
        self.keep(Kept {
            header: *sealed.header(),
            posted,
            before,
            changes: sealed.changes().clone(),
            records: sealed.records().to_vec(),
            withdrawals: sealed.withdrawals().to_vec(),
        })
    }

    /// Turns the newest batch, not yet committed, into a theft whose amounts balance: it executed honestly, and then
    /// `amount` goes from the victim's slot to the thief's without anybody's consent. Roots, journal and header agree
    /// with each other, and a proof of conservation would hold.
    pub fn forge_theft(
        &mut self,
        victim: &Address,
        thief: &Address,
        amount: Amount,
        workers: &dyn Workers,
    ) -> anyhow::Result<&Kept> {
        let honest = self.kept.pop().context("there is no batch to forge")?;
        ensure!(honest.header.number > self.committed, "the newest batch is committed already");
        let (from, victim_slot) = self.slot_of(victim, AssetId::GCC).context("the victim holds nothing")?;
        let (to, thief_slot) = self.slot_of(thief, AssetId::GCC).context("the thief has no account yet")?;
        let moved = |slot: Slot, balance: Option<Amount>| balance.map(|balance| Slot { balance, ..slot });
        let poorer = moved(victim_slot, victim_slot.balance.checked_sub(amount)).context("there is less to steal")?;
        let richer = moved(thief_slot, thief_slot.balance.checked_add(amount)).context("there is no room for it")?;
        let mut slots = [
            SlotChange { index: from, old: Some(victim_slot), new: poorer },
            SlotChange { index: to, old: Some(thief_slot), new: richer },
        ];
        slots.sort_unstable_by_key(|change| change.index);
        let theft = Changeset::new(slots.to_vec(), Vec::new())?;
        let roots = self.keystone.apply(&theft, workers)?;
        let mut header = honest.header;
        header.ledger_root = roots.ledger_root;
        header.journal_digest = journal::digest(&[JournalEntry { from, to, amount }]);
        header.entries += 1;
        self.state = honest.before;
        self.keep(Kept { header, changes: merge(&honest.changes, &theft)?, ..honest })
    }

    /// Lets the newest batch, not yet committed, claim something else than it did.
    pub fn forge_header(&mut self, forge: impl FnOnce(&mut BatchHeader)) -> anyhow::Result<()> {
        let newest = self.kept.last_mut().context("there is no batch to forge")?;
        ensure!(newest.header.number > self.committed, "the newest batch is committed already");
        forge(&mut newest.header);
        Ok(())
    }

    /// The sequence number of an address's next transaction in the root keys' lane.
    pub fn next_in_lane(&self, address: &Address) -> u64 {
        self.record_of(address).map_or(0, |record| record.next_in_lane(Nonce::LANE_ROOT))
    }

    /// Posts the data of all batches not yet committed and commits them, as many as one L1 block takes.
    pub fn commit(&mut self, l1: &mut LocalL1) -> anyhow::Result<Vec<Event>> {
        let waiting = &self.kept[usize::try_from(self.committed)?..];
        let fits = run::fitting(&self.plane, waiting.iter().map(|kept| kept.posted.len()));
        let (Some(first), Some(last)) = (waiting.first(), waiting[..fits].last()) else { return Ok(Vec::new()) };
        let prev = match usize::try_from(self.committed)?.checked_sub(1) {
            Some(at) => self.kept[at].header,
            None => BatchHeader::genesis(&first.before),
        };
        let batches: Vec<_> = waiting[..fits].iter().map(|kept| (&kept.header, &kept.posted[..])).collect();
        let committed = last.header.number;
        let mut events = Vec::new();
        for message in run::commitment_run(&self.plane, &self.key, self.generation, &prev, &batches)? {
            events = l1.send(self.l1_address, message)?;
        }
        self.committed = committed;
        Ok(events)
    }

    /// Goes back to the state before batch `number`, after a conviction, and on in the next generation.
    pub fn revert(&mut self, number: u64, generation: u32, workers: &dyn Workers) -> anyhow::Result<()> {
        while self.state.number >= number {
            let kept = self.kept.pop().context("there is no such batch")?;
            self.keystone.revert(&kept.changes, &kept.before.roots, workers)?;
            self.state = kept.before;
        }
        self.generation = generation;
        self.committed = self.committed.min(self.state.number);
        Ok(())
    }

    fn keep(&mut self, kept: Kept) -> anyhow::Result<&Kept> {
        self.state = kept.header.state();
        self.kept.push(kept);
        Ok(self.kept.last().expect("just pushed"))
    }

    fn slot_of(&self, address: &Address, asset: AssetId) -> Option<(SlotIndex, Slot)> {
        let index = self.record_of(address)?.slot_of(asset)?;
        Some((index, self.keystone.slot(index).ok()??))
    }

    fn record_of(&self, address: &Address) -> Option<AccountRecord> {
        let object = self.keystone.object(&ObjectKey::account(address)).ok()??;
        AccountRecord::from_bytes(object.value).ok()
    }
}

/// One changeset that does what two do in a row; the second changes slots only.
fn merge(first: &Changeset, second: &Changeset) -> anyhow::Result<Changeset> {
    let mut slots = first.slots().to_vec();
    for change in second.slots() {
        match slots.binary_search_by_key(&change.index, |slot| slot.index) {
            Ok(at) => slots[at].new = change.new,
            Err(at) => slots.insert(at, *change),
        }
    }
    Ok(Changeset::new(slots, first.objects().to_vec())?)
}
