//! What an admitted transaction does: all of its actions, or nothing but pay.

use super::admission::{Admitted, Payable};
use super::rules::{Counting, Denied};
use super::{Effects, Made, Run};
use crate::working::{AccountId, Side};
use ghostplane_shroud::sigil::{self, Outflow};
use ghostplane_types::amount::{DECIMALS_MAX, SUPPLY_MAX};
use ghostplane_types::asset::is_symbol;
use ghostplane_types::{
    Action, Address, Amount, AssetId, AssetRecord, Gid, Identity, KeyChange, L1Address, Outcome, Reject, Scheduled,
    Session, gas,
};

/// What an applied transaction used.
pub(super) struct Applied {
    gas: u64,
    /// What the sender owes for storage and gets back.
    own: Dues,
    /// What accounts owe that act because their guardians agreed.
    others: Vec<(AccountId, Dues)>,
    /// Whether what the actions move has moved.
    has_moved: bool,
    /// What is spent, as far as rules have it counted.
    counted: Vec<Counting>,
}

/// What an account owes for storage, and gets back.
struct Dues {
    /// Held by the storage account from now on.
    storage: Amount,
    slot_fees: Amount,
    /// What the storage account gives back.
    back: Amount,
}

/// A refusal while applying: which action, and how much gas it took to find out.
struct Refused {
    reject: Reject,
    action: u16,
    gas: u64,
}

/// The account in whose name something is done.
#[derive(Clone, Copy)]
pub(super) struct Actor<'a> {
    pub(super) id: AccountId,
    pub(super) address: &'a Address,
    /// Whether it is the sender.
    pub(super) is_sender: bool,
    /// What storage may cost at most.
    pub(super) storage_max: Option<u64>,
    pub(super) time: u64,
    pub(super) gas_limit: u64,
}

impl<'a> Actor<'a> {
    /// The sender, in its own name.
    pub(super) fn sender(admitted: &Admitted<'a>) -> Self {
        let body = admitted.body();
        Self {
            id: admitted.sender(),
            address: &body.sender,
            is_sender: true,
            storage_max: admitted.storage_max(),
            time: admitted.time(),
            gas_limit: body.gas_limit,
        }
    }
}

impl Dues {
    const NONE: Self = Self { storage: Amount::ZERO, slot_fees: Amount::ZERO, back: Amount::ZERO };
}

impl Applied {
    fn new(gas: u64) -> Self {
        Self { gas, own: Dues::NONE, others: Vec::new(), has_moved: false, counted: Vec::new() }
    }

    /// What it used.
    pub(super) fn gas(&self) -> u64 {
        self.gas
    }

    /// Uses more gas.
    pub(super) fn use_gas(&mut self, gas: u64, limit: u64) -> Result<(), Reject> {
        self.gas += gas;
        if self.gas > limit { Err(Reject::OutOfGas { limit, needed: self.gas }) } else { Ok(()) }
    }

    fn dues(&mut self, actor: &Actor<'_>) -> &mut Dues {
        if actor.is_sender {
            return &mut self.own;
        }
        let known = self.others.iter().position(|(id, _)| *id == actor.id);
        let at = known.unwrap_or_else(|| {
            self.others.push((actor.id, Dues::NONE));
            self.others.len() - 1
        });
        &mut self.others[at].1
    }
}

impl Run<'_> {
    /// Runs one transaction that may be in the batch.
    pub(super) fn transaction(&mut self, payable: Payable<'_>, parties: &[AccountId]) -> Outcome {
        let admitted = self.admit(payable);
        let since = self.effects();
        let mark = self.working.mark();
        let (code, action, applied) = match self.apply(&admitted, &parties[1..], since) {
            Ok(applied) => (Outcome::APPLIED, Outcome::NO_ACTION, applied),
            Err(refused) => {
                self.working.rollback(mark);
                self.undo_withdrawals(since.withdrawals);
                self.undo_made(since.made);
                self.note_reject(&refused.reject);
                (refused.reject.code(), refused.action, Applied::new(refused.gas))
            }
        };
        let fee = self.settle(&admitted, &applied);
        self.gas += applied.gas;
        self.outcome(code, action, applied.gas, fee, since)
    }

    fn apply(&mut self, admitted: &Admitted<'_>, targets: &[AccountId], since: Effects) -> Result<Applied, Refused> {
        let body = admitted.body();
        let mut applied = Applied::new(admitted.verified().gas_intrinsic());
        let counted = self.check_covenants(admitted, targets, &mut applied);
        applied.counted = match counted {
            Ok(counted) => counted,
            Err(Denied { reject, at }) => {
                return Err(Refused { reject, action: at, gas: applied.gas.min(body.gas_limit) });
            }
        };
        let actor = Actor::sender(admitted);
        for ((at, action), target) in (0..).zip(&body.actions).zip(targets) {
            let done = match action {
                Action::Propose { .. }
                | Action::Approve { .. }
                | Action::Reject { .. }
                | Action::Execute { .. }
                | Action::Freeze { .. }
                | Action::Unfreeze { .. }
                | Action::Recover { .. }
                | Action::CancelRecovery { .. }
                | Action::FinishRecovery { .. } => self.guard(admitted, &mut applied, action, *target),
                action => self.act(&actor, &mut applied, action, *target),
            };
            done.map_err(|reject| Refused { reject, action: at, gas: applied.gas.min(body.gas_limit) })?;
        }
        // It is all of them together that are too much: the last is named.
        let last = u16::try_from(body.actions.len().saturating_sub(1)).expect("bounded by ACTIONS_MAX");
        let crossing = self.check_crossing(since);
        crossing.map_err(|reject| Refused { reject, action: last, gas: applied.gas })?;
        applied.has_moved = true;
        Ok(applied)
    }

    /// Does one thing in the name of an account: what can be sent, and what can be proposed.
    pub(super) fn act(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        action: &Action,
        target: AccountId,
    ) -> Result<(), Reject> {
        match action {
            Action::Transfer { to, asset, amount } => self.pay(actor, applied, (*to, target), *asset, *amount),
            Action::Withdraw { to, asset, amount } => self.leave(actor, *to, *asset, *amount),
            Action::RegisterIdentity { gid } => self.register(actor, applied, gid, target),
            Action::RotateKey(change) => self.rotate_key(actor, applied, change),
            Action::AddSession(session) => self.add_session(actor, applied, session),
            Action::RevokeSession { lane } => self.revoke_session(actor, applied, *lane),
            Action::SetCovenant { at, digest } => self.set_covenant(actor, applied, *at, *digest),
            Action::PublishCovenant { schema_version, text } => {
                self.publish_covenant(actor, applied, (*schema_version, text))
            }
            Action::SetGuardians(set) => self.set_guardians(actor, applied, set.as_deref()),
            Action::RegisterAsset { asset, symbol, decimals, cap } => {
                self.register_asset(actor, applied, *asset, (symbol, *decimals, *cap))
            }
            Action::Mint { asset, amount, .. } => self.mint(actor, applied, target, *asset, *amount),
            Action::Burn { asset, amount } => self.burn(actor, *asset, *amount),
            Action::FreezeAsset { asset, is_frozen } => self.freeze_asset(actor, applied, *asset, *is_frozen),
            Action::IssueCredential(terms) => self.issue_credential(actor, applied, terms, target),
            Action::RevokeCredential { claims, .. } => self.revoke_credential(actor, applied, target, claims),
            Action::DropCredential { claims, .. } => self.drop_credential(actor, applied, target, claims),
            other => unreachable!("{} is about guardians and is never done in an account's name", other.kind_name()),
        }
    }

    // Money.

    fn pay(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        (to, target): (Address, AccountId),
        asset: AssetId,
        amount: Amount,
    ) -> Result<(), Reject> {
        if to == *actor.address {
            return Err(Reject::SelfPayment);
        }
        self.check_money(asset, amount)?;
        self.pay_for_slot(actor, applied, target, asset)?;
        self.working.transfer(Side::Account(actor.id), Side::Account(target), asset, amount)
    }

    /// Takes the price of the slot that a receiver does not have yet, and of the account.
    fn pay_for_slot(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        target: AccountId,
        asset: AssetId,
    ) -> Result<(), Reject> {
        if !self.working.has_slot(target, asset) {
            let (slot_price, object_price) = (self.plane.genesis().slot_price, self.plane.genesis().object_price);
            let is_new = !self.working.exists(target);
            let gas = gas::GAS_NEW_SLOT + if is_new { gas::GAS_NEW_OBJECT } else { 0 };
            applied.use_gas(gas, actor.gas_limit)?;
            self.charge(actor, applied, slot_price, if is_new { object_price } else { Amount::ZERO })?;
        }
        Ok(())
    }

    fn leave(&mut self, actor: &Actor<'_>, to: L1Address, asset: AssetId, amount: Amount) -> Result<(), Reject> {
        if !asset.is_bridged() {
            return Err(Reject::NotBridged { asset });
        }
        self.check_money(asset, amount)?;
        let unit = self.plane.l1_unit(asset);
        if !amount.units().is_multiple_of(unit) {
            return Err(Reject::InexactOnL1 { unit });
        }
        self.working.transfer(Side::Account(actor.id), Side::Outside, asset, amount)?;
        self.withdraw(*actor.address, to, asset, amount);
        Ok(())
    }

    fn check_money(&self, asset: AssetId, amount: Amount) -> Result<(), Reject> {
        if amount.is_zero() {
            return Err(Reject::ZeroAmount);
        }
        if asset.is_bridged() {
            let known = self.plane.genesis().asset(asset).is_some();
            return if known { Ok(()) } else { Err(Reject::UnknownAsset { asset }) };
        }
        let own = self.working.asset(asset).ok_or(Reject::UnknownAsset { asset })?;
        if own.is_frozen { Err(Reject::AssetFrozen) } else { Ok(()) }
    }

    /// Takes the price of storage: what a slot costs, and what is held for an object.
    fn charge(&mut self, actor: &Actor<'_>, applied: &mut Applied, slot: Amount, object: Amount) -> Result<(), Reject> {
        let overflow = Reject::StorageUnpayable { balance: 0, needed: u64::MAX };
        let price = slot.checked_add(object).ok_or(overflow.clone())?;
        let dues = applied.dues(actor);
        let paid = dues.storage.checked_add(dues.slot_fees).ok_or(overflow.clone())?;
        if let Some(most) = actor.storage_max {
            let left = most.saturating_sub(paid.units());
            if price.units() > left {
                return Err(Reject::StorageOverLimit { needed: price.units(), left });
            }
        }
        self.working.charge(actor.id, price)?;
        dues.storage = dues.storage.checked_add(object).ok_or(overflow.clone())?;
        dues.slot_fees = dues.slot_fees.checked_add(slot).ok_or(overflow)?;
        Ok(())
    }

    /// Takes what is held for an object.
    pub(super) fn charge_object(&mut self, actor: &Actor<'_>, applied: &mut Applied) -> Result<(), Reject> {
        self.charge(actor, applied, Amount::ZERO, self.plane.genesis().object_price)
    }

    /// Gives back what is held for objects that are no more.
    pub(super) fn give_back(&self, actor: &Actor<'_>, applied: &mut Applied, objects: u64) -> Result<(), Reject> {
        let price = self.plane.genesis().object_price;
        let dues = applied.dues(actor);
        for _ in 0..objects {
            let sum = dues.back.checked_add(price);
            dues.back = sum.ok_or(Reject::BalanceOverflow { balance: 0, amount: price.units() })?;
        }
        Ok(())
    }

    // Assets of the plane's own.

    fn register_asset(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        asset: AssetId,
        (symbol, decimals, cap): (&[u8], u8, Amount),
    ) -> Result<(), Reject> {
        let rules = [
            (!asset.is_bridged(), "its number is below 2^16, and those are bridged"),
            (is_symbol(symbol), "its symbol is not 1 to 12 lower-case letters and digits"),
            (decimals <= DECIMALS_MAX, "it has more than 18 decimals"),
            (!cap.is_zero() && cap.units() <= SUPPLY_MAX, "its cap is 0 or over 2^62"),
        ];
        if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(Reject::AssetTerms { what });
        }
        if self.working.asset(asset).is_some() {
            return Err(Reject::AssetTaken);
        }
        applied.use_gas(gas::GAS_NEW_OBJECT, actor.gas_limit)?;
        self.charge_object(actor, applied)?;
        let (issuer, symbol) = (*actor.address, symbol.to_vec());
        let record = AssetRecord {
            asset,
            issuer,
            symbol,
            decimals,
            cap,
            supply: Amount::ZERO,
            is_frozen: false,
            rules: Scheduled::default(),
        };
        self.working.set_asset(asset, record)
    }

    fn mint(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        target: AccountId,
        asset: AssetId,
        amount: Amount,
    ) -> Result<(), Reject> {
        let mut record = self.issued_by(actor, asset)?;
        self.check_money(asset, amount)?;
        let (cap, supply) = (record.cap.units(), record.supply.units());
        let more = record.supply.checked_add(amount).filter(|sum| sum.units() <= cap);
        record.supply = more.ok_or(Reject::CapExceeded { cap, supply })?;
        self.pay_for_slot(actor, applied, target, asset)?;
        self.working.transfer(Side::Outside, Side::Account(target), asset, amount)?;
        self.make(Made { asset, units: amount.units(), is_end: false });
        self.working.set_asset(asset, record)
    }

    fn burn(&mut self, actor: &Actor<'_>, asset: AssetId, amount: Amount) -> Result<(), Reject> {
        let mut record = self.working.asset(asset).cloned().ok_or(Reject::UnknownAsset { asset })?;
        self.check_money(asset, amount)?;
        self.working.transfer(Side::Account(actor.id), Side::Outside, asset, amount)?;
        self.make(Made { asset, units: amount.units(), is_end: true });
        let (cap, supply) = (record.cap.units(), record.supply.units());
        // What somebody holds is part of the supply, but for states that no rule could have made.
        record.supply = record.supply.checked_sub(amount).ok_or(Reject::CapExceeded { cap, supply })?;
        self.working.set_asset(asset, record)
    }

    fn freeze_asset(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        asset: AssetId,
        is_frozen: bool,
    ) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, actor.gas_limit)?;
        let record = self.issued_by(actor, asset)?;
        self.working.set_asset(asset, AssetRecord { is_frozen, ..record })
    }

    /// The registration of an asset whose issuer acts.
    fn issued_by(&self, actor: &Actor<'_>, asset: AssetId) -> Result<AssetRecord, Reject> {
        let record = self.working.asset(asset).ok_or(Reject::UnknownAsset { asset })?;
        if record.issuer == *actor.address { Ok(record.clone()) } else { Err(Reject::NotIssuer) }
    }

    // Who may act.

    fn register(
        &mut self,
        actor: &Actor<'_>,
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
        applied.use_gas(gas, actor.gas_limit)?;
        if is_new {
            self.charge_object(actor, applied)?;
            self.working.make_account(target)?;
        }
        self.working.change_record(target, |record| {
            record.identity = Some(Identity::of(gid));
            Ok(())
        })
    }

    fn rotate_key(&mut self, actor: &Actor<'_>, applied: &mut Applied, change: &KeyChange) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, actor.gas_limit)?;
        self.working.change_record(actor.id, |record| {
            let gates = record.gates.as_deref();
            let identity = record.identity.as_mut().ok_or(Reject::KeyRequired)?;
            identity.keys = sigil::change_keys(identity, gates, change)?;
            Ok(())
        })
    }

    fn add_session(&mut self, actor: &Actor<'_>, applied: &mut Applied, session: &Session) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, actor.gas_limit)?;
        let time = actor.time;
        self.check_holder(actor, session)?;
        let replaces = self.working.change_record(actor.id, |record| sigil::add_session(record, session, time))?;
        // What was held for the session before is held for this one.
        if replaces {
            return Ok(());
        }
        self.charge_object(actor, applied)
    }

    fn revoke_session(&mut self, actor: &Actor<'_>, applied: &mut Applied, lane: u8) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, actor.gas_limit)?;
        self.working.change_record(actor.id, |record| sigil::revoke_session(record, lane))?;
        self.give_back(actor, applied, 1)
    }

    // The end.

    /// Keeps what the transaction costs of what was reserved, and gives back the rest. Returns all the credits that it costs.
    fn settle(&mut self, admitted: &Admitted<'_>, applied: &Applied) -> u64 {
        let sender = admitted.sender();
        let paid = self.settle_fee(admitted, applied);
        let Applied { own, others, .. } = applied;
        let fees = paid.own.checked_add(own.slot_fees).expect("both were taken from one balance");
        self.working.owe(sender, fees, own.storage, own.back);
        let storage = own.slot_fees.units() + own.storage.units();
        self.count_spent(admitted, applied, paid.counted + u128::from(storage));
        self.count_spending(&applied.counted, admitted.time());
        let mut all = paid.fee.units() + storage;
        for (id, dues) in others {
            self.working.owe(*id, dues.slot_fees, dues.storage, dues.back);
            all += dues.slot_fees.units() + dues.storage.units();
        }
        all
    }

    /// Counts what left towards the limits of the key that signed, and towards what may leave without guardians.
    fn count_spent(&mut self, admitted: &Admitted<'_>, applied: &Applied, cost: u128) {
        let body = admitted.body();
        let is_session = body.key_ref.is_session();
        if !is_session && !admitted.uses_allowance() {
            return;
        }
        let moved = if applied.has_moved { &body.actions[..] } else { &[] };
        let outflow = Outflow::new(moved, cost);
        let Some(gates) = self.working.record_mut(admitted.sender()).gates.as_mut() else { return };
        let live = gates.sessions.iter_mut().find(|live| is_session && live.session.lane == body.nonce.lane);
        if let Some(live) = live {
            sigil::count(&live.session.scope.limits, &mut live.spent, &outflow, admitted.time());
        }
        if let Some(guarded) = gates.guarded.as_mut().filter(|_| admitted.uses_allowance()) {
            sigil::count(&guarded.set.allowances, &mut guarded.spent, &outflow, admitted.time());
        }
    }
}
