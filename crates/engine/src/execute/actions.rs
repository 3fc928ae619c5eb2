//! What an admitted transaction does: all of its actions, or nothing but pay.

use super::Run;
use super::admission::{Admitted, Payable};
use crate::working::{AccountId, Side};
use ghostplane_shroud::sigil::{self, Outflow};
use ghostplane_types::{
    Action, Address, Amount, AssetId, Gid, Identity, KeyChange, KeyRef, L1Address, Outcome, Reject, Session, gas,
};

/// What an applied transaction used.
pub(super) struct Applied {
    gas: u64,
    /// Held by the storage account from now on.
    storage: Amount,
    slot_fees: Amount,
    /// What the storage account gives back.
    storage_back: Amount,
    /// Whether what the actions move has moved.
    has_moved: bool,
}

/// A refusal while applying: which action, and how much gas it took to find out.
struct Refused {
    reject: Reject,
    action: u16,
    gas: u64,
}

impl Applied {
    fn new(gas: u64) -> Self {
        let (storage, slot_fees, storage_back) = (Amount::ZERO, Amount::ZERO, Amount::ZERO);
        Self { gas, storage, slot_fees, storage_back, has_moved: false }
    }

    /// Uses more gas.
    fn use_gas(&mut self, gas: u64, limit: u64) -> Result<(), Reject> {
        self.gas += gas;
        if self.gas > limit { Err(Reject::OutOfGas { limit, needed: self.gas }) } else { Ok(()) }
    }
}

impl Run<'_> {
    /// Runs one transaction that may be in the batch.
    pub(super) fn transaction(&mut self, payable: Payable<'_>, parties: &[AccountId]) -> Outcome {
        let admitted = self.admit(payable);
        let since = self.effects();
        let mark = self.working.mark();
        let (code, action, applied) = match self.apply(&admitted, &parties[1..]) {
            Ok(applied) => (Outcome::APPLIED, Outcome::NO_ACTION, applied),
            Err(refused) => {
                self.working.rollback(mark);
                self.undo_withdrawals(since.withdrawals);
                (refused.reject.code(), refused.action, Applied::new(refused.gas))
            }
        };
        let fee = self.settle(&admitted, &applied);
        self.gas += applied.gas;
        self.outcome(code, action, applied.gas, fee, since)
    }

    fn apply(&mut self, admitted: &Admitted<'_>, targets: &[AccountId]) -> Result<Applied, Refused> {
        let body = admitted.body();
        let mut applied = Applied::new(admitted.verified().gas_intrinsic());
        for ((at, action), target) in (0..).zip(&body.actions).zip(targets) {
            let done = match action {
                Action::Transfer { to, asset, amount } => {
                    self.pay(admitted, &mut applied, (*to, *target), *asset, *amount)
                }
                Action::Withdraw { to, asset, amount } => self.leave(admitted, *to, *asset, *amount),
                Action::RegisterIdentity { gid } => self.register(admitted, &mut applied, gid, *target),
                Action::RotateKey(change) => self.rotate_key(admitted, &mut applied, change),
                Action::AddSession(session) => self.add_session(admitted, &mut applied, session),
                Action::RevokeSession { lane } => self.revoke_session(admitted, &mut applied, *lane),
            };
            done.map_err(|reject| Refused { reject, action: at, gas: applied.gas.min(body.gas_limit) })?;
        }
        applied.has_moved = true;
        Ok(applied)
    }

    // Money.

    fn pay(
        &mut self,
        admitted: &Admitted<'_>,
        applied: &mut Applied,
        (to, target): (Address, AccountId),
        asset: AssetId,
        amount: Amount,
    ) -> Result<(), Reject> {
        let body = admitted.body();
        if to == body.sender {
            return Err(Reject::SelfPayment);
        }
        self.check_money(asset, amount)?;
        if !self.working.has_slot(target, asset) {
            let (slot_price, object_price) = (self.plane.genesis().slot_price, self.plane.genesis().object_price);
            let is_new = !self.working.exists(target);
            let gas = gas::GAS_NEW_SLOT + if is_new { gas::GAS_NEW_OBJECT } else { 0 };
            applied.use_gas(gas, body.gas_limit)?;
            self.charge(admitted, applied, slot_price, if is_new { object_price } else { Amount::ZERO })?;
        }
        self.working.transfer(Side::Account(admitted.sender()), Side::Account(target), asset, amount)
    }

    fn leave(&mut self, admitted: &Admitted<'_>, to: L1Address, asset: AssetId, amount: Amount) -> Result<(), Reject> {
        if !asset.is_bridged() {
            return Err(Reject::NotBridged { asset });
        }
        self.check_money(asset, amount)?;
        let unit = self.plane.l1_unit(asset);
        if !amount.units().is_multiple_of(unit) {
            return Err(Reject::InexactOnL1 { unit });
        }
        self.working.transfer(Side::Account(admitted.sender()), Side::Outside, asset, amount)?;
        self.withdraw(admitted.body().sender, to, asset, amount);
        Ok(())
    }

    fn check_money(&self, asset: AssetId, amount: Amount) -> Result<(), Reject> {
        if amount.is_zero() {
            return Err(Reject::ZeroAmount);
        }
        if self.plane.genesis().asset(asset).is_none() {
            return Err(Reject::UnknownAsset { asset });
        }
        Ok(())
    }

    /// Takes the price of storage from the sender: what a slot costs, and what is held for an object.
    fn charge(
        &mut self,
        admitted: &Admitted<'_>,
        applied: &mut Applied,
        slot: Amount,
        object: Amount,
    ) -> Result<(), Reject> {
        let overflow = Reject::StorageUnpayable { balance: 0, needed: u64::MAX };
        let price = slot.checked_add(object).ok_or(overflow.clone())?;
        let paid = applied.storage.checked_add(applied.slot_fees).ok_or(overflow.clone())?;
        if let Some(most) = admitted.storage_max() {
            let left = most.saturating_sub(paid.units());
            if price.units() > left {
                return Err(Reject::StorageOverLimit { needed: price.units(), left });
            }
        }
        self.working.charge(admitted.sender(), price)?;
        applied.storage = applied.storage.checked_add(object).ok_or(overflow.clone())?;
        applied.slot_fees = applied.slot_fees.checked_add(slot).ok_or(overflow)?;
        Ok(())
    }

    /// Gives back what is held for an object that is no more.
    fn give_back(&self, applied: &mut Applied, objects: u64) -> Result<(), Reject> {
        let price = self.plane.genesis().object_price;
        for _ in 0..objects {
            let sum = applied.storage_back.checked_add(price);
            applied.storage_back = sum.ok_or(Reject::BalanceOverflow { balance: 0, amount: price.units() })?;
        }
        Ok(())
    }

    // Who may act.

    fn register(
        &mut self,
        admitted: &Admitted<'_>,
        applied: &mut Applied,
        gid: &Gid,
        target: AccountId,
    ) -> Result<(), Reject> {
        let expected = self.plane.chain_id();
        if gid.chain_id != expected {
            return Err(Reject::ForeignIdentity { found: gid.chain_id, expected });
        }
        if !sigil::is_usable(&gid.public_key) {
            return Err(Reject::UnusableKey);
        }
        if self.working.record(target).identity.is_some() {
            return Err(Reject::RegisteredAlready);
        }
        let is_new = !self.working.exists(target);
        let gas = gas::GAS_GATE + if is_new { gas::GAS_NEW_OBJECT } else { 0 };
        applied.use_gas(gas, admitted.body().gas_limit)?;
        if is_new {
            self.charge(admitted, applied, Amount::ZERO, self.plane.genesis().object_price)?;
            self.working.make_account(target)?;
        }
        self.working.change_record(target, |record| {
            record.identity = Some(Identity {
                entity_type: gid.entity_type,
                version: gid.version,
                level: 0,
                keys: [gid.public_key].into_iter().collect(),
            });
            Ok(())
        })
    }

    fn rotate_key(&mut self, admitted: &Admitted<'_>, applied: &mut Applied, change: &KeyChange) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, admitted.body().gas_limit)?;
        self.working.change_record(admitted.sender(), |record| {
            let gates = record.gates.as_deref();
            let identity = record.identity.as_mut().ok_or(Reject::KeyRequired)?;
            identity.keys = sigil::change_keys(identity, gates, change)?;
            Ok(())
        })
    }

    fn add_session(&mut self, admitted: &Admitted<'_>, applied: &mut Applied, session: &Session) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, admitted.body().gas_limit)?;
        let time = admitted.time();
        let replaces =
            self.working.change_record(admitted.sender(), |record| sigil::add_session(record, session, time))?;
        // What was held for the session before is held for this one.
        if replaces {
            return Ok(());
        }
        self.charge(admitted, applied, Amount::ZERO, self.plane.genesis().object_price)
    }

    fn revoke_session(&mut self, admitted: &Admitted<'_>, applied: &mut Applied, lane: u8) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, admitted.body().gas_limit)?;
        self.working.change_record(admitted.sender(), |record| sigil::revoke_session(record, lane))?;
        self.give_back(applied, 1)
    }

    // The end.

    /// Keeps the fee of what was reserved and gives back the rest. Returns all that the transaction costs.
    fn settle(&mut self, admitted: &Admitted<'_>, applied: &Applied) -> u64 {
        let sender = admitted.sender();
        let fee = applied.gas.checked_mul(admitted.gas_price()).and_then(Amount::new);
        let fee = fee.expect("gas is at most the limit, whose price was reserved");
        let rest = admitted.reserved().checked_sub(fee).expect("gas is at most the limit, whose price was reserved");
        self.working.release(sender, rest);
        let fees = fee.checked_add(applied.slot_fees).expect("both were taken from one balance");
        self.working.owe(sender, fees, applied.storage, applied.storage_back);
        let cost = fees.units() + applied.storage.units();
        self.count_spent(admitted, applied, cost);
        cost
    }

    /// Counts what left towards the limits of the key that signed.
    fn count_spent(&mut self, admitted: &Admitted<'_>, applied: &Applied, cost: u64) {
        let body = admitted.body();
        if !matches!(body.key_ref, KeyRef::Session) {
            return;
        }
        let moved = if applied.has_moved { &body.actions[..] } else { &[] };
        let outflow = Outflow::new(moved, u128::from(cost));
        let gates = self.working.record_mut(admitted.sender()).gates.as_mut();
        let sessions = gates.map(|gates| &mut gates.sessions[..]).unwrap_or_default();
        if let Some(live) = sessions.iter_mut().find(|live| live.session.lane == body.nonce.lane) {
            sigil::count(&live.session.scope.limits, &mut live.spent, &outflow, admitted.time());
        }
    }
}
