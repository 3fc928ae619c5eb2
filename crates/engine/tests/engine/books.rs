//! What holds for every batch there is, whoever wrote it: value moves by the journal only, and none is made or lost.

use crate::story::{Batch, amount};
use ghostplane_keystone::{Keystone, StateView, journal};
use ghostplane_types::amount::AMOUNT_MAX;
use ghostplane_types::batch::flows_digest;
use ghostplane_types::genesis::CHAIN_DEV;
use ghostplane_types::{Amount, AssetId, Flow, JournalEntry, Slot, SlotIndex};
use std::collections::BTreeMap;

/// Per asset, what all batches so far issued less what they retired.
#[derive(Clone, Default)]
pub struct Books {
    outside: BTreeMap<AssetId, i128>,
}

impl Books {
    /// Checks a batch and the state after it, and adds the batch's flows.
    pub fn check(&mut self, batch: &Batch, after: &Keystone) {
        let (sealed, header) = (&batch.sealed, batch.sealed.header());
        let old = slots(&batch.before.keystone);
        let new = slots(after);
        assert_eq!(replay_journal(&old, &new, sealed.journal()), new, "the journal alone makes the new slots");
        assert_eq!(journal::digest(sealed.journal()), header.journal_digest);
        assert_eq!(flows_of(sealed.journal(), &new), sealed.flows(), "flows are what the journal has crossing slot 0");
        assert_eq!(flows_digest(CHAIN_DEV, sealed.flows()), header.flows_digest);
        let prev = &batch.before.prev;
        let logged = header.log_upto - prev.log_upto + header.inbox_upto - prev.inbox_upto;
        assert_eq!(sealed.records().len() as u64, logged);

        for flow in sealed.flows() {
            let net = i128::from(flow.issued.units()) - i128::from(flow.retired.units());
            *self.outside.entry(flow.asset).or_default() += net;
        }
        let mut held: BTreeMap<AssetId, i128> = BTreeMap::new();
        for slot in new.values() {
            *held.entry(slot.asset).or_default() += i128::from(slot.balance.units());
        }
        held.retain(|_, sum| *sum != 0);
        self.outside.retain(|_, sum| *sum != 0);
        assert_eq!(held, self.outside, "what is held is what was issued less what was retired");
    }
}

/// All slots of a state.
pub fn slots(state: &Keystone) -> BTreeMap<SlotIndex, Slot> {
    let indices = (1..state.roots().slots_used).map(|index| SlotIndex::new(index).expect("handed out"));
    indices.map(|index| (index, state.slot(index).expect("the whole state").expect("handed out"))).collect()
}

/// Moves every entry over the old slots, one after the other. New slots appear in the order of the entries, empty.
fn replay_journal(
    old: &BTreeMap<SlotIndex, Slot>,
    new: &BTreeMap<SlotIndex, Slot>,
    journal: &[JournalEntry],
) -> BTreeMap<SlotIndex, Slot> {
    let mut now = old.clone();
    for (at, entry) in journal.iter().enumerate() {
        assert!(!entry.amount.is_zero() && entry.from != entry.to, "entry {at} moves nothing");
        for index in [entry.from, entry.to].into_iter().filter(|index| !index.is_outside()) {
            if !now.contains_key(&index) {
                assert_eq!(index.index() as usize, now.len() + 1, "new slots are handed out in journal order");
                let empty = Slot { balance: Amount::ZERO, ..new[&index] };
                now.insert(index, empty);
            }
        }
        let units = entry.amount.units();
        if let Some(from) = now.get_mut(&entry.from) {
            let rest = from.balance.units().checked_sub(units);
            from.balance = amount(rest.unwrap_or_else(|| panic!("entry {at} overdraws {:?}", entry.from)));
        }
        if let Some(to) = now.get_mut(&entry.to) {
            let sum = to.balance.units() + units;
            assert!(sum <= AMOUNT_MAX, "entry {at} overfills {:?}", entry.to);
            to.balance = amount(sum);
        }
        if let (Some(from), Some(to)) = (now.get(&entry.from), now.get(&entry.to)) {
            assert_eq!(from.asset, to.asset, "entry {at} crosses assets");
        }
    }
    now
}

fn flows_of(journal: &[JournalEntry], slots: &BTreeMap<SlotIndex, Slot>) -> Vec<Flow> {
    let mut flows: BTreeMap<AssetId, (u64, u64)> = BTreeMap::new();
    for entry in journal {
        if entry.from.is_outside() {
            flows.entry(slots[&entry.to].asset).or_default().0 += entry.amount.units();
        }
        if entry.to.is_outside() {
            flows.entry(slots[&entry.from].asset).or_default().1 += entry.amount.units();
        }
    }
    let flow = |(asset, (issued, retired))| Flow { asset, issued: amount(issued), retired: amount(retired) };
    flows.into_iter().map(flow).collect()
}
