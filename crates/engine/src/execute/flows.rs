//! What crosses between the plane and the outside: deposits, withdrawals, and what is made and ended of assets of the plane's own.

use super::{Effects, InvalidBatch, Run};
use ghostplane_types::amount::AMOUNT_MAX;
use ghostplane_types::limits::BATCH_FLOWS_MAX;
use ghostplane_types::{Address, Amount, AssetId, Flow, L1Address, Reject, Withdrawal};
use std::collections::{BTreeMap, BTreeSet};

/// Some of an asset of the plane's own that was made, or ended.
#[derive(Clone, Copy)]
pub(super) struct Made {
    pub(super) asset: AssetId,
    pub(super) units: u64,
    pub(super) is_end: bool,
}

/// What crossed between the plane and the outside so far.
#[derive(Clone, Copy)]
pub(super) struct FlowSum {
    asset: AssetId,
    pub(super) issued: u128,
    pub(super) retired: u128,
}

impl FlowSum {
    pub(super) fn flow(&self) -> Result<Flow, InvalidBatch> {
        let amount = |units: u128| u64::try_from(units).ok().and_then(Amount::new);
        match (amount(self.issued), amount(self.retired)) {
            (Some(issued), Some(retired)) => Ok(Flow { asset: self.asset, issued, retired }),
            _ => Err(InvalidBatch::FlowOverflow { asset: self.asset }),
        }
    }
}

impl Run<'_> {
    pub(super) fn withdraw(&mut self, owner: Address, to: L1Address, asset: AssetId, amount: Amount) {
        self.withdrawals.push(Withdrawal { index: self.outbox_next, owner, to, asset, amount });
        self.outbox_next += 1;
        self.flow_of(asset).retired += u128::from(amount.units());
    }

    /// Takes back the withdrawals from position `len` on.
    pub(super) fn undo_withdrawals(&mut self, len: usize) {
        while self.withdrawals.len() > len {
            let withdrawal = self.withdrawals.pop().expect("longer than that");
            self.outbox_next -= 1;
            self.flow_of(withdrawal.asset).retired -= u128::from(withdrawal.amount.units());
        }
    }

    /// Notes that some of an asset of the plane's own was made or ended.
    pub(super) fn make(&mut self, made: Made) {
        let Made { asset, units, is_end } = made;
        let flow = self.flow_of(asset);
        let sum = if is_end { &mut flow.retired } else { &mut flow.issued };
        *sum += u128::from(units);
        self.made.push(made);
    }

    /// Whether a batch can hold what a transaction makes, ends and withdraws. What it says of each asset is an amount, and there
    /// are only so many assets.
    pub(super) fn check_crossing(&self, since: Effects) -> Result<(), Reject> {
        let (withdrawn, made) = (&self.withdrawals[since.withdrawals..], &self.made[since.made..]);
        // One amount is an amount, of one asset.
        if withdrawn.len() + made.len() <= 1 {
            return Ok(());
        }
        let mut sums: BTreeMap<(AssetId, bool), u128> = BTreeMap::new();
        let withdrawn = withdrawn.iter().map(|one| ((one.asset, true), one.amount.units()));
        for (key, units) in withdrawn.chain(made.iter().map(|one| ((one.asset, one.is_end), one.units))) {
            *sums.entry(key).or_default() += u128::from(units);
        }
        if sums.values().any(|sum| *sum > u128::from(AMOUNT_MAX)) {
            return Err(Reject::CrossesTooMuch { what: "over 2^63 - 1 units of one asset" });
        }
        let assets: BTreeSet<AssetId> = sums.into_keys().map(|(asset, _)| asset).collect();
        if assets.len() > BATCH_FLOWS_MAX {
            return Err(Reject::CrossesTooMuch { what: "over 64 assets" });
        }
        Ok(())
    }

    /// Takes back what was made and ended from position `len` on.
    pub(super) fn undo_made(&mut self, len: usize) {
        while self.made.len() > len {
            let Made { asset, units, is_end } = self.made.pop().expect("longer than that");
            let flow = self.flow_of(asset);
            let sum = if is_end { &mut flow.retired } else { &mut flow.issued };
            *sum -= u128::from(units);
        }
    }

    pub(super) fn flow_of(&mut self, asset: AssetId) -> &mut FlowSum {
        let known = self.flows.iter().position(|flow| flow.asset == asset);
        let at = known.unwrap_or_else(|| {
            self.flows.push(FlowSum { asset, issued: 0, retired: 0 });
            self.flows.len() - 1
        });
        &mut self.flows[at]
    }

    pub(super) fn flows(&self) -> Result<Vec<Flow>, InvalidBatch> {
        let touched = self.flows.iter().filter(|sum| sum.issued != 0 || sum.retired != 0);
        let mut flows = touched.map(FlowSum::flow).collect::<Result<Vec<Flow>, InvalidBatch>>()?;
        flows.sort_unstable_by_key(|flow| flow.asset);
        Ok(flows)
    }
}
