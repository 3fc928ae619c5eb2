//! The end of a batch: what was owed is collected, and what changed is told.

use super::{AccountId, Side, SlotId, SystemIds, Working, WorkingSlot};
use crate::execute::ExecuteError;
use ghostplane_keystone::{Changeset, ObjectChange, SlotChange};
use ghostplane_types::codec::Encode;
use ghostplane_types::{Amount, AssetId, Flow, JournalEntry, SlotIndex};

impl Working<'_> {
    /// Journals what every sender owes in sum, in slot order, then what is given back, then hands the fees to those who share them.
    pub(crate) fn collect(&mut self, system: &SystemIds) -> Result<(), ExecuteError> {
        let mut debtors: Vec<(SlotIndex, SlotId, AccountId)> = Vec::new();
        let mut creditors: Vec<(SlotIndex, AccountId)> = Vec::new();
        for id in (0..self.accounts.len()).map(|at| AccountId(u32::try_from(at).expect("bounded when fetched"))) {
            let account = &self.accounts[id.0 as usize];
            if !account.fees_due.is_zero() || !account.storage_due.is_zero() {
                let slot =
                    self.slot_id(id, AssetId::GCC).ok_or(ExecuteError::Inconsistent("a debtor has no credits"))?;
                debtors.push((self.slots[slot.0 as usize].index, slot, id));
            }
            if !account.storage_back.is_zero() {
                let slot =
                    self.slot_id(id, AssetId::GCC).ok_or(ExecuteError::Inconsistent("a depositor has no credits"))?;
                creditors.push((self.slots[slot.0 as usize].index, id));
            }
        }
        debtors.sort_unstable();
        creditors.sort_unstable();
        for (_, slot, id) in debtors {
            let account = &mut self.accounts[id.0 as usize];
            let (fees, storage) = (std::mem::take(&mut account.fees_due), std::mem::take(&mut account.storage_due));
            for (due, collector) in [(fees, system.fees), (storage, system.storage)] {
                if !due.is_zero() {
                    // What was out of reach is a plain balance again for the one entry that moves it.
                    let balance = &mut self.slots[slot.0 as usize].now.balance;
                    *balance = balance.checked_add(due).ok_or(ExecuteError::Inconsistent("more than the supply"))?;
                    self.must(Side::Account(id), Side::Account(collector), due)?;
                }
            }
        }
        // Last, as what was held in this batch may be among what is given back in it.
        for (_, id) in creditors {
            let back = std::mem::take(&mut self.accounts[id.0 as usize].storage_back);
            self.must(Side::Account(system.storage), Side::Account(id), back)?;
        }
        self.share_fees(system)
    }

    fn share_fees(&mut self, system: &SystemIds) -> Result<(), ExecuteError> {
        let collected = self.balance(system.fees, AssetId::GCC);
        let parts = self.plane.genesis().fee_shares.iter().map(|share| {
            let part = u128::from(collected.units()) * u128::from(share.basis_points) / 10_000;
            u64::try_from(part).ok().and_then(Amount::new).expect("a part of an amount")
        });
        let mut parts: Vec<Amount> = parts.collect();
        let handed_out = parts.iter().try_fold(Amount::ZERO, |sum, part| sum.checked_add(*part));
        let rest = handed_out.and_then(|sum| collected.checked_sub(sum));
        let rest = rest.ok_or(ExecuteError::Inconsistent("fee shares exceed the fees"))?;
        if let Some(first) = parts.first_mut() {
            *first = first.checked_add(rest).ok_or(ExecuteError::Inconsistent("fee shares exceed the fees"))?;
        }
        for (part, id) in parts.into_iter().zip(&system.shares) {
            if !part.is_zero() {
                self.must(Side::Account(system.fees), Side::Account(*id), part)?;
            }
        }
        Ok(())
    }

    /// A transfer of GCC that the rules leave no way to refuse.
    fn must(&mut self, from: Side, to: Side, amount: Amount) -> Result<(), ExecuteError> {
        let moved = self.transfer(from, to, AssetId::GCC, amount);
        self.undo.clear();
        moved.map_err(|_| ExecuteError::Inconsistent("the end of a batch cannot collect what is owed"))
    }

    /// What changed, and the journal. Asserts that per asset the balances moved by what was issued less what was retired.
    pub(crate) fn finish(self, flows: &[Flow]) -> Result<(Changeset, Vec<JournalEntry>), ExecuteError> {
        let changed = self.slots.iter().filter(|slot| slot.before != Some(slot.now.balance));
        let mut slots: Vec<SlotChange> = changed.map(WorkingSlot::change).collect();
        assert_conserved(&slots, flows)?;
        slots.sort_unstable_by_key(|change| change.index);

        let mut objects = Vec::with_capacity(self.accounts.len());
        let mut bytes = Vec::new();
        for account in self.accounts.iter().filter(|account| account.exists && account.changed) {
            bytes.clear();
            account.record.encode(&mut bytes);
            let before = account.before.map(|before| before.value);
            if before != Some(&bytes) {
                let (old, new) = (before.map(Box::from), Some(Box::from(&*bytes)));
                objects.push(ObjectChange { key: account.key, old, new });
            }
        }
        for own in self.assets.values() {
            let Some(now) = &own.now else { continue };
            let bytes = now.to_bytes();
            if own.before.is_none_or(|before| before.value != bytes) {
                let old = own.before.map(|before| Box::from(before.value));
                objects.push(ObjectChange { key: own.key, old, new: Some(bytes.into()) });
            }
        }
        objects.extend(self.rule_changes());
        objects.extend(self.credential_changes());
        objects.sort_unstable_by_key(|change| change.key);
        let changes = Changeset::new(slots, objects).map_err(ExecuteError::Changeset)?;
        Ok((changes, self.journal))
    }
}

fn assert_conserved(slots: &[SlotChange], flows: &[Flow]) -> Result<(), ExecuteError> {
    let mut sums: Vec<(AssetId, i128)> = Vec::new();
    let mut add = |asset: AssetId, by: i128| match sums.iter_mut().find(|(known, _)| *known == asset) {
        Some((_, sum)) => *sum += by,
        None => sums.push((asset, by)),
    };
    for change in slots {
        let old = change.old.map_or(0, |slot| i128::from(slot.balance.units()));
        add(change.new.asset, i128::from(change.new.balance.units()) - old);
    }
    for flow in flows {
        add(flow.asset, i128::from(flow.retired.units()) - i128::from(flow.issued.units()));
    }
    let holds = sums.iter().all(|(_, sum)| *sum == 0);
    if holds { Ok(()) } else { Err(ExecuteError::Inconsistent("value was made or lost")) }
}
