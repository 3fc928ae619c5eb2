//! The books of a sealed batch, open to forgery. Whatever is changed, the header that comes out agrees with it.

use crate::story::{Batch, address, amount, record_of, slot_of};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_keystone::{Changeset, Keystone, ObjectChange, SlotChange, StateView, journal};
use ghostplane_types::batch::flows_digest;
use ghostplane_types::genesis::CHAIN_DEV;
use ghostplane_types::receipt::log_leaves;
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, BatchHeader, Decode, Encode, Flow, JournalEntry, ObjectKey, Outcome, Slot,
    SlotIndex, Source, Withdrawal,
};

pub struct Forger {
    after: Keystone,
    header: BatchHeader,
    fees: Address,
    pub journal: Vec<JournalEntry>,
    pub records: Vec<(Source, Digest, Outcome)>,
    pub withdrawals: Vec<Withdrawal>,
    flows: Vec<Flow>,
}

impl Forger {
    /// The books as they are.
    pub fn of(batch: &Batch) -> Self {
        Self::with(batch, batch.sealed.changes(), batch.sealed.journal().to_vec())
    }

    fn with(batch: &Batch, changes: &Changeset, journal: Vec<JournalEntry>) -> Self {
        let sealed = &batch.sealed;
        let mut after = batch.before.keystone.clone();
        after.apply(changes, &Serial).expect("changes of this state");
        Self {
            after,
            header: *sealed.header(),
            fees: batch.before.plane.fees(),
            journal,
            records: sealed.records().to_vec(),
            withdrawals: sealed.withdrawals().to_vec(),
            flows: sealed.flows().to_vec(),
        }
    }

    /// The books as if the first two slots that the batch made of one asset had been handed out the other way round.
    pub fn with_two_new_slots_swapped(batch: &Batch) -> Self {
        let (mut slots, mut objects) = batch.sealed.changes().clone().into_parts();
        let new: Vec<usize> = (0..slots.len()).filter(|at| slots[*at].old.is_none()).collect();
        let mut pairs = new.iter().flat_map(|a| new.iter().map(move |b| (*a, *b))).filter(|(a, b)| a < b);
        let two = pairs
            .find(|(a, b)| slots[*a].new.asset == slots[*b].new.asset && slots[*a].new.owner != slots[*b].new.owner);
        let (a, b) = two.expect("a busy batch pays two strangers");
        let swapped = |index: SlotIndex| match index {
            index if index == slots[a].index => slots[b].index,
            index if index == slots[b].index => slots[a].index,
            index => index,
        };
        for change in &mut objects {
            let mut record =
                AccountRecord::from_bytes(change.new.as_deref().expect("accounts stay")).expect("a record");
            record.slots.iter_mut().for_each(|of| of.slot = swapped(of.slot));
            change.new = Some(record.to_bytes().into());
        }
        let entry = |entry: &JournalEntry| JournalEntry { from: swapped(entry.from), to: swapped(entry.to), ..*entry };
        let journal = batch.sealed.journal().iter().map(entry).collect();
        let (first, second) = (slots[a].new, slots[b].new);
        (slots[a].new, slots[b].new) = (second, first);
        Self::with(batch, &Changeset::new(slots, objects).expect("in order"), journal)
    }

    /// The slot of GCC of a person.
    pub fn slot(&self, name: &str) -> SlotIndex {
        self.slot_of(address(name))
    }

    pub fn slot_of(&self, address: Address) -> SlotIndex {
        slot_of(&self.after, &address, AssetId::GCC).expect("an account").0
    }

    /// Moves a balance and journals it.
    pub fn transfer(&mut self, from: SlotIndex, to: SlotIndex, units: u64) {
        self.move_balance(from, to, units);
        self.journal.push(JournalEntry { from, to, amount: amount(units) });
    }

    /// Moves a balance and tells nobody.
    pub fn move_balance(&mut self, from: SlotIndex, to: SlotIndex, units: u64) {
        if from == to {
            return;
        }
        let units = amount(units);
        let mut slots: Vec<SlotChange> = Vec::new();
        let mut change = |index: SlotIndex, balance: &dyn Fn(Amount) -> Option<Amount>| {
            if !index.is_outside() {
                let old = self.after.slot(index).expect("the whole state").expect("handed out");
                let balance = balance(old.balance).expect("enough");
                slots.push(SlotChange { index, old: Some(old), new: Slot { balance, ..old } });
            }
        };
        change(from, &|balance| balance.checked_sub(units));
        change(to, &|balance| balance.checked_add(units));
        slots.sort_unstable_by_key(|change| change.index);
        self.apply(slots, Vec::new());
    }

    /// Adds `by` to the first fee that is collected and to what the operator gets of it. Returns who pays it.
    pub fn change_a_fee(&mut self, by: i64) -> SlotIndex {
        let (fees, operator) = (self.slot_of(self.fees), self.slot("operator"));
        let add = |to: &mut Amount| *to = amount(to.units().checked_add_signed(by).expect("a fee"));
        let collected = self.journal.iter_mut().find(|entry| entry.to == fees).expect("there are fees");
        add(&mut collected.amount);
        let payer = collected.from;
        let share = self.journal.iter_mut().find(|entry| entry.from == fees && entry.to == operator);
        add(&mut share.expect("the operator has a share").amount);
        let charged = self.records.iter_mut().find(|record| record.2.fee > 0).expect("there are fees");
        charged.2.fee = charged.2.fee.checked_add_signed(by).expect("a fee");
        payer
    }

    /// The flow of an asset, made if there is none.
    pub fn flow(&mut self, asset: AssetId) -> &mut Flow {
        let at = self.flows.partition_point(|flow| flow.asset < asset);
        if self.flows.get(at).is_none_or(|flow| flow.asset != asset) {
            self.flows.insert(at, Flow { asset, issued: Amount::ZERO, retired: Amount::ZERO });
        }
        &mut self.flows[at]
    }

    pub fn set_record(&mut self, name: &str, change: impl FnOnce(&mut AccountRecord)) {
        let mut record = record_of(&self.after, &address(name)).expect("an account");
        let old = Some(record.to_bytes().into());
        change(&mut record);
        let key = ObjectKey::account(&address(name));
        self.apply(Vec::new(), vec![ObjectChange { key, old, new: Some(record.to_bytes().into()) }]);
    }

    pub fn make_record(&mut self, name: &str) {
        let record = AccountRecord::new(address(name));
        let key = ObjectKey::account(&address(name));
        self.apply(Vec::new(), vec![ObjectChange { key, old: None, new: Some(record.to_bytes().into()) }]);
    }

    fn apply(&mut self, slots: Vec<SlotChange>, objects: Vec<ObjectChange>) {
        let changes = Changeset::new(slots, objects).expect("in order");
        self.after.apply(&changes, &Serial).expect("changes of this state");
    }

    /// A header that agrees with these books.
    pub fn header(self) -> BatchHeader {
        let roots = self.after.roots();
        let outbox: Vec<Digest> = self.withdrawals.iter().map(|withdrawal| withdrawal.leaf(CHAIN_DEV)).collect();
        let first =
            self.header.outbox_upto - self.records.iter().map(|record| u64::from(record.2.withdrawals)).sum::<u64>();
        BatchHeader {
            ledger_root: roots.ledger_root,
            object_root: roots.object_root,
            slots_used: roots.slots_used,
            objects_used: roots.objects_used,
            outbox_upto: first + self.withdrawals.len() as u64,
            log_root: merkle::root(&log_leaves(&self.records)),
            outbox_root: merkle::root(&outbox),
            journal_digest: journal::digest(&self.journal),
            flows_digest: flows_digest(CHAIN_DEV, &self.flows),
            entries: u32::try_from(self.journal.len()).expect("short"),
            ..self.header
        }
    }
}
