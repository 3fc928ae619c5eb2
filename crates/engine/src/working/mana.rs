//! Mana in the working set: it is touched whenever ZMAN moves, and when it pays.
//!
//! The time is always the batch's. A forced transaction is judged at an earlier one, and mana must not go back.

use super::{AccountId, Side, Undo, Working};
use ghostplane_types::{Amount, AssetId, Mana, ManaNow, ManaReserve, ManaTerms};

impl Working<'_> {
    /// What would pay so much gas of an account, or why it does not. Changes nothing.
    pub(crate) fn mana_for(&self, id: AccountId, gas: u64) -> Result<ManaReserve, ManaNow> {
        self.mana_less(id, gas).map(|(_, reserve)| reserve)
    }

    /// Takes so much gas out of reach. The caller has seen that it is there; what is taken back, [`Working::restore`] knows.
    pub(crate) fn reserve_mana(&mut self, id: AccountId, reserve: ManaReserve) {
        let (mana, _) = self.mana_less(id, reserve.granted + reserve.regenerated).expect("the caller has seen it");
        self.record_mut(id).set_mana(mana);
    }

    /// Gives back what was not used of a reserve.
    pub(crate) fn release_mana(&mut self, id: AccountId, reserve: ManaReserve, used: u64) {
        let (record, balance) = (self.record(id), self.balance(id, AssetId::ZMAN));
        let mana = self.plane.genesis().mana.release(record.mana(), reserve, used, balance, self.time);
        self.record_mut(id).set_mana(mana);
    }

    fn mana_less(&self, id: AccountId, gas: u64) -> Result<(Mana, ManaReserve), ManaNow> {
        let (record, balance) = (self.record(id), self.balance(id, AssetId::ZMAN));
        self.plane.genesis().mana.reserve(record.mana(), balance, record.level(self.time), self.time, gas)
    }

    /// Takes along the mana of ZMAN that has just moved: its part of what was regenerated goes, the rest stays. What comes from
    /// outside has none, and what goes there loses it.
    pub(super) fn carry_mana(&mut self, from: Side, to: Side, amount: Amount) {
        let terms = &self.plane.genesis().mana;
        if terms.rate == 0 {
            return;
        }
        let mut carried = 0;
        if let Side::Account(id) = from {
            let after = self.balance(id, AssetId::ZMAN);
            let before = after.checked_add(amount).expect("it was the balance before");
            let mana = terms.touch(self.record(id).mana(), before, self.time);
            carried = ManaTerms::part(mana.units, amount, before);
            let rest = mana.units - carried;
            self.set_mana(id, terms.settled(mana, rest, after, self.time));
        }
        if let Side::Account(id) = to {
            let after = self.balance(id, AssetId::ZMAN);
            let before = after.checked_sub(amount).expect("it was more before");
            let mana = terms.touch(self.record(id).mana(), before, self.time);
            let units = mana.units.saturating_add(carried);
            self.set_mana(id, terms.settled(mana, units, after, self.time));
        }
    }

    /// Changes mana, as part of what [`Working::rollback`] takes back.
    fn set_mana(&mut self, id: AccountId, mana: Mana) {
        let account = &mut self.accounts[id.0 as usize];
        let was = account.record.mana();
        if was != mana {
            account.changed = true;
            account.record.set_mana(mana);
            self.undo.push(Undo::Mana { account: id, was });
        }
    }
}
