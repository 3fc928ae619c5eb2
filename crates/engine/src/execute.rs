//! The transition: inbox first, then the log in order, then what is collected in sum.
//!
//! The way of one transaction is written as the types say it: [`Verified`] becomes `Authenticated` when the account's
//! record agrees with the key and the lane, `Admitted` when its fee is reserved, and only an `Admitted` one is applied.

use crate::Plane;
use crate::batch::{ExecutedBatch, ProposedBatch};
use crate::verify::{CheckedEntry, Verified};
use crate::working::{AccountId, Reach, Side, SystemIds, Working};
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::{ChangesetError, Missing, StateView};
use ghostplane_types::limits::{
    BATCH_ENTRIES_MAX, BATCH_GAS_MAX, BATCH_WITHDRAWALS_MAX, FEE_SHARES_MAX, VALIDITY_MS_MAX, WITNESS_BOUND_MAX,
};
use ghostplane_types::{
    Action, Address, Amount, AssetId, Flow, Identity, InboxPayload, KeyRef, L1Address, Nonce, Outcome, Reject, Source,
    Withdrawal, gas,
};
use thiserror::Error;

/// Why a batch has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Halt {
    /// The state given says too little: ask for more.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The batch contains what no batch may contain: whoever proposed it is wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidBatch),
    /// The state or this program is wrong. Stops the node; never in a receipt.
    #[error(transparent)]
    Fault(#[from] ExecuteError),
}

/// What no batch may contain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidBatch {
    /// A transaction that could not be admitted.
    #[error("transaction {position} may not be in a batch: {reject}")]
    Transaction {
        /// Which one, counted from 0.
        position: usize,
        /// Why.
        reject: Reject,
    },
    /// More gas than a batch has.
    #[error("{gas} gas, a batch has {BATCH_GAS_MAX}")]
    Gas {
        /// What it uses.
        gas: u64,
    },
    /// More journal entries or withdrawals than a batch has.
    #[error("{entries} journal entries and {withdrawals} withdrawals are too many")]
    Effects {
        /// Entries.
        entries: usize,
        /// Withdrawals.
        withdrawals: usize,
    },
    /// More of an asset crossed than an amount can say.
    #[error("more than 2^63 - 1 of asset {asset} crossed in one batch")]
    FlowOverflow {
        /// Which asset.
        asset: AssetId,
    },
    /// Touches so much that its witness might not fit.
    #[error("its witness may take {bytes} bytes, at most {WITNESS_BOUND_MAX} are allowed")]
    Witness {
        /// The bound on what it may take.
        bytes: usize,
    },
}

/// A contradiction in the state or in this program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExecuteError {
    /// Something that honest state and correct rules rule out.
    #[error("inconsistent state: {0}")]
    Inconsistent(&'static str),
    /// The changes do not form a changeset.
    #[error(transparent)]
    Changeset(#[from] ChangesetError),
}

/// Everything a batch does. Pure: same view and batch, same result, whoever calls.
pub fn execute(plane: &Plane, view: &impl StateView, batch: &ProposedBatch) -> Result<ExecutedBatch, Halt> {
    if view.roots() != batch.prev.roots {
        return Err(ExecuteError::Inconsistent("the view is of another state than the batch starts from").into());
    }
    let (working, fetched) = fetch(plane, view, batch)?;
    let count = batch.inbox.len() + batch.transactions.len();
    let mut run = Run {
        plane,
        working,
        records: Vec::with_capacity(count),
        withdrawals: Vec::new(),
        flows: Vec::new(),
        gas: 0,
        outbox_next: batch.prev.outbox_upto,
    };

    let mut inbox_upto = batch.prev.inbox_upto;
    let mut log_upto = batch.prev.log_upto;
    let mut who = fetched.accounts.as_slice();
    for checked in &batch.inbox {
        run.inbox_entry(checked, &fetched.system, take(&mut who, parties_of_entry(checked)))?;
        inbox_upto += 1;
    }
    for (position, verified) in batch.transactions.iter().enumerate() {
        let parties = take(&mut who, 1 + verified.body().actions.len());
        let terms = Terms { time: batch.time, lane: Nonce::LANE_ROOT, gas_price: plane.genesis().gas_price };
        let outcome = run.transaction(verified, parties, &terms);
        let outcome = outcome.map_err(|reject| InvalidBatch::Transaction { position, reject })?;
        run.records.push((Source::Log(log_upto), verified.id(), outcome));
        log_upto += 1;
    }
    run.check_limits()?;
    let flows = run.flows()?;
    run.working.collect(&fetched.system)?;
    let (changes, journal) = run.working.finish(&flows)?;
    Ok(ExecutedBatch {
        prev: batch.prev,
        generation: batch.generation,
        time: batch.time,
        posted_bytes: batch.posted_bytes,
        inbox_upto,
        log_upto,
        changes,
        journal,
        records: run.records,
        withdrawals: run.withdrawals,
        flows,
        gas: run.gas,
    })
}

/// What is known of the batch's accounts once everything is fetched.
struct Fetched {
    system: SystemIds,
    /// For each entry and transaction in order: the account it names, or the sender and one account for each action.
    accounts: Vec<AccountId>,
}

/// When, in which lane and at which price a transaction is judged.
struct Terms {
    time: u64,
    lane: u8,
    gas_price: u64,
}

/// A transaction whose key and place in its lane agree with the sender's record.
struct Authenticated<'t> {
    verified: &'t Verified,
    sender: AccountId,
    registers: Option<Identity>,
}

/// A transaction that has used its nonce and reserved its fee: the only kind that is applied.
struct Admitted<'t> {
    verified: &'t Verified,
    sender: AccountId,
    gas_price: u64,
    reserved: Amount,
}

/// What an applied transaction used.
struct Applied {
    gas: u64,
    storage: Amount,
    slot_fees: Amount,
}

/// A refusal while applying: which action, and how much gas it took to find out.
struct Refused {
    reject: Reject,
    action: u16,
    gas: u64,
}

/// Reads whatever the batch may touch.
fn fetch<'a, V: StateView>(
    plane: &'a Plane,
    view: &'a V,
    batch: &ProposedBatch,
) -> Result<(Working<'a>, Fetched), Halt> {
    let count = batch.inbox.len() + batch.transactions.len();
    let mut reach = Reach::new(view, count);
    let system = reach_system(plane, &mut reach, !batch.inbox.is_empty());
    let actions = batch.transactions.iter().map(|verified| 1 + verified.body().actions.len()).sum::<usize>();
    let mut accounts = Vec::with_capacity(batch.inbox.len() + actions);
    for checked in &batch.inbox {
        match (&checked.entry().payload, checked.forced()) {
            (InboxPayload::Deposit { to, asset, .. }, _) => {
                let id = reach.account(to);
                reach.slot(id, *asset);
                accounts.push(id);
            }
            (InboxPayload::Forced { .. }, Some(Ok(verified))) => reach_transaction(verified, &mut reach, &mut accounts),
            (InboxPayload::Forced { .. }, _) => {
                // Its sender's record was read to check it, so the witness has it as well.
                checked.sender().map(|sender| reach.account(sender));
            }
        }
    }
    for verified in &batch.transactions {
        reach_transaction(verified, &mut reach, &mut accounts);
    }
    let working = Working::read(plane, view, reach)?;
    let bytes = working.witness_bytes_max();
    if bytes > WITNESS_BOUND_MAX {
        return Err(InvalidBatch::Witness { bytes }.into());
    }
    Ok((working, Fetched { system, accounts }))
}

fn reach_system(plane: &Plane, reach: &mut Reach, with_returns: bool) -> SystemIds {
    let fees = reach.account(&plane.fees());
    let storage = reach.account(&plane.storage());
    let returns = reach.account(&plane.returns());
    let shares: Vec<AccountId> = plane.genesis().fee_shares.iter().map(|share| reach.account(&share.address)).collect();
    for id in [fees, storage].iter().chain(&shares) {
        reach.slot(*id, AssetId::GCC);
    }
    if with_returns {
        plane.genesis().assets.iter().for_each(|known| reach.slot(returns, known.asset));
    }
    SystemIds { fees, storage, returns, shares }
}

fn reach_transaction(verified: &Verified, reach: &mut Reach, accounts: &mut Vec<AccountId>) {
    let body = verified.body();
    let sender = reach.account(&body.sender);
    reach.slot(sender, AssetId::GCC);
    accounts.push(sender);
    for action in &body.actions {
        let (to, asset) = match action {
            Action::Transfer { to, asset, .. } => (reach.account(to), *asset),
            Action::Withdraw { asset, .. } => (sender, *asset),
        };
        if asset != AssetId::GCC {
            reach.slot(sender, asset);
        }
        reach.slot(to, asset);
        accounts.push(to);
    }
}

struct Run<'a> {
    plane: &'a Plane,
    working: Working<'a>,
    records: Vec<(Source, Digest, Outcome)>,
    withdrawals: Vec<Withdrawal>,
    flows: Vec<FlowSum>,
    gas: u64,
    outbox_next: u64,
}

impl Run<'_> {
    // Inbox.

    fn inbox_entry(
        &mut self,
        checked: &CheckedEntry,
        system: &SystemIds,
        parties: &[AccountId],
    ) -> Result<(), ExecuteError> {
        let entry = checked.entry();
        let source = Source::Inbox(entry.index);
        let record = match (&entry.payload, checked.forced()) {
            (InboxPayload::Deposit { from, to, asset, amount }, _) => {
                let outcome = self.deposit(system, parties[0], (*from, *to), *asset, *amount)?;
                (source, entry.digest(self.plane.chain_id()), outcome)
            }
            (InboxPayload::Forced { .. }, Some(Ok(verified))) => {
                let terms = Terms { time: entry.l1_time, lane: Nonce::LANE_FORCED, gas_price: 0 };
                let outcome = self.transaction(verified, parties, &terms);
                (source, verified.id(), outcome.unwrap_or_else(|reject| self.refused_unpaid(reject.code())))
            }
            (InboxPayload::Forced { .. }, refused) => {
                let code = match refused {
                    Some(Err(reject)) => reject.code(),
                    _ => unreachable!("a forced transaction was checked, and a good one is handled above"),
                };
                (source, entry.digest(self.plane.chain_id()), self.refused_unpaid(code))
            }
        };
        self.records.push(record);
        Ok(())
    }

    /// Credits a deposit, or sends it back through the outbox if the plane cannot hold it.
    fn deposit(
        &mut self,
        system: &SystemIds,
        to: AccountId,
        (from, owner): (L1Address, Address),
        asset: AssetId,
        amount: Amount,
    ) -> Result<Outcome, ExecuteError> {
        if self.plane.genesis().asset(asset).is_none() || amount.is_zero() {
            return Err(ExecuteError::Inconsistent("the L1 took a deposit that the plane's genesis rules out"));
        }
        let since = self.effects();
        let mark = self.working.mark();
        self.flow_of(asset).issued += u128::from(amount.units());
        let mut code = Outcome::APPLIED;
        if let Err(reject) = self.working.transfer(Side::Outside, Side::Account(to), asset, amount) {
            self.working.rollback(mark);
            code = reject.code();
            let returns = Side::Account(system.returns);
            let through = self.working.transfer(Side::Outside, returns, asset, amount);
            let back = through.and_then(|()| self.working.transfer(returns, Side::Outside, asset, amount));
            back.map_err(|_| ExecuteError::Inconsistent("the returns account has no empty slot of a genesis asset"))?;
            self.withdraw(owner, from, asset, amount);
        }
        let gas = gas::GAS_TRANSACTION + gas::GAS_ACTION + gas::GAS_NEW_SLOT + gas::GAS_NEW_OBJECT;
        self.gas += gas;
        Ok(self.outcome(code, Outcome::NO_ACTION, gas, 0, since))
    }

    // Transactions.

    /// Runs one transaction. `Err` means that it may not be in a batch's log at all.
    fn transaction(&mut self, verified: &Verified, parties: &[AccountId], terms: &Terms) -> Result<Outcome, Reject> {
        let authenticated = self.authenticate(verified, parties[0], terms)?;
        let admitted = self.admit(authenticated, terms)?;
        let since = self.effects();
        let mark = self.working.mark();
        let (code, action, applied) = match self.apply(&admitted, &parties[1..]) {
            Ok(applied) => (Outcome::APPLIED, Outcome::NO_ACTION, applied),
            Err(refused) => {
                self.working.rollback(mark);
                self.undo_withdrawals(since.withdrawals);
                let applied = Applied { gas: refused.gas, storage: Amount::ZERO, slot_fees: Amount::ZERO };
                (refused.reject.code(), refused.action, applied)
            }
        };
        let fee = self.settle(&admitted, &applied);
        self.gas += applied.gas;
        Ok(self.outcome(code, action, applied.gas, fee, since))
    }

    fn authenticate<'t>(
        &self,
        verified: &'t Verified,
        sender: AccountId,
        terms: &Terms,
    ) -> Result<Authenticated<'t>, Reject> {
        let body = verified.body();
        let record = self.working.record(sender);
        let registers = match (&record.identity, &body.key_ref) {
            (None, KeyRef::Registered(_)) => return Err(Reject::KeyRequired),
            // That the address is this identity's was checked when the transaction was verified.
            (None, KeyRef::Carried(gid)) => Some(Identity {
                entity_type: gid.entity_type,
                version: gid.version,
                level: 0,
                keys: [gid.public_key].into_iter().collect(),
            }),
            (Some(identity), key_ref) => {
                let key = match key_ref {
                    KeyRef::Registered(position) => identity.keys.get(usize::from(*position)),
                    KeyRef::Carried(gid) => identity.keys.iter().find(|key| **key == gid.public_key),
                };
                if key != Some(&verified.key()) {
                    let key_ref = if let KeyRef::Registered(position) = key_ref { *position } else { 0 };
                    return Err(Reject::UnknownKey { key_ref });
                }
                None
            }
        };
        let Nonce { lane, seq } = body.nonce;
        if lane != terms.lane {
            return Err(Reject::LaneClosed { lane });
        }
        let next = record.next_in_lane(lane);
        // The last number is never used: it would leave the lane without a next one.
        if next == u64::MAX {
            return Err(Reject::LaneClosed { lane });
        }
        if seq < next {
            return Err(Reject::NonceUsed { found: seq, next });
        }
        if seq > next {
            return Err(Reject::NonceGap { found: seq, next });
        }
        if terms.time < body.valid_after {
            return Err(Reject::NotYetValid { valid_after: body.valid_after, time: terms.time });
        }
        if terms.time > body.valid_until {
            return Err(Reject::Expired { valid_until: body.valid_until, time: terms.time });
        }
        let limit = terms.time.saturating_add(VALIDITY_MS_MAX);
        if body.valid_until > limit {
            return Err(Reject::ValidTooLong { valid_until: body.valid_until, limit });
        }
        Ok(Authenticated { verified, sender, registers })
    }

    fn admit<'t>(&mut self, authenticated: Authenticated<'t>, terms: &Terms) -> Result<Admitted<'t>, Reject> {
        let Authenticated { verified, sender, registers } = authenticated;
        let body = verified.body();
        if body.gas_price_max < terms.gas_price {
            return Err(Reject::GasPriceTooLow { found: body.gas_price_max, needed: terms.gas_price });
        }
        let balance = self.working.balance(sender, AssetId::GCC);
        let needed = u128::from(body.gas_limit) * u128::from(terms.gas_price);
        let reserved = u64::try_from(needed).ok().and_then(Amount::new).filter(|needed| *needed <= balance);
        // An address that nobody ever paid has no record: nothing would hold its nonce.
        let reserved = reserved.filter(|_| self.working.exists(sender));
        let reserved = reserved.ok_or(Reject::FeeUnpayable {
            balance: balance.units(),
            needed: u64::try_from(needed).unwrap_or(u64::MAX),
        })?;
        self.working.reserve(sender, reserved);
        let record = self.working.record_mut(sender);
        record.advance_lane(terms.lane);
        if registers.is_some() {
            record.identity = registers;
        }
        Ok(Admitted { verified, sender, gas_price: terms.gas_price, reserved })
    }

    fn apply(&mut self, admitted: &Admitted<'_>, targets: &[AccountId]) -> Result<Applied, Refused> {
        let body = admitted.verified.body();
        let gas = admitted.verified.gas_intrinsic();
        let mut applied = Applied { gas, storage: Amount::ZERO, slot_fees: Amount::ZERO };
        for ((at, action), target) in (0..).zip(&body.actions).zip(targets) {
            let done = match action {
                Action::Transfer { to, asset, amount } => {
                    self.pay(admitted, &mut applied, (*to, *target), *asset, *amount)
                }
                Action::Withdraw { to, asset, amount } => self.leave(admitted, *to, *asset, *amount),
            };
            done.map_err(|reject| Refused { reject, action: at, gas: applied.gas.min(body.gas_limit) })?;
        }
        Ok(applied)
    }

    fn pay(
        &mut self,
        admitted: &Admitted<'_>,
        applied: &mut Applied,
        (to, target): (Address, AccountId),
        asset: AssetId,
        amount: Amount,
    ) -> Result<(), Reject> {
        let body = admitted.verified.body();
        if to == body.sender {
            return Err(Reject::SelfPayment);
        }
        self.check_money(asset, amount)?;
        if !self.working.has_slot(target, asset) {
            let genesis = self.plane.genesis();
            applied.gas += gas::GAS_NEW_SLOT;
            let mut storage = Amount::ZERO;
            if !self.working.exists(target) {
                applied.gas += gas::GAS_NEW_OBJECT;
                storage = genesis.object_price;
            }
            if applied.gas > body.gas_limit {
                return Err(Reject::OutOfGas { limit: body.gas_limit, needed: applied.gas });
            }
            let overflow = Reject::StorageUnpayable { balance: 0, needed: u64::MAX };
            let price = genesis.slot_price.checked_add(storage).ok_or(overflow.clone())?;
            self.working.charge(admitted.sender, price)?;
            applied.storage = applied.storage.checked_add(storage).ok_or(overflow.clone())?;
            applied.slot_fees = applied.slot_fees.checked_add(genesis.slot_price).ok_or(overflow)?;
        }
        self.working.transfer(Side::Account(admitted.sender), Side::Account(target), asset, amount)
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
        self.working.transfer(Side::Account(admitted.sender), Side::Outside, asset, amount)?;
        self.withdraw(admitted.verified.body().sender, to, asset, amount);
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

    /// Keeps the fee of what was reserved and gives back the rest. Returns all that the transaction costs.
    fn settle(&mut self, admitted: &Admitted<'_>, applied: &Applied) -> u64 {
        let fee = applied.gas.checked_mul(admitted.gas_price).and_then(Amount::new);
        let fee = fee.expect("gas is at most the limit, whose price was reserved");
        let rest = admitted.reserved.checked_sub(fee).expect("gas is at most the limit, whose price was reserved");
        self.working.release(admitted.sender, rest);
        let fees = fee.checked_add(applied.slot_fees).expect("both were taken from one balance");
        self.working.owe(admitted.sender, fees, applied.storage);
        fees.units() + applied.storage.units()
    }

    // Bookkeeping.

    fn withdraw(&mut self, owner: Address, to: L1Address, asset: AssetId, amount: Amount) {
        self.withdrawals.push(Withdrawal { index: self.outbox_next, owner, to, asset, amount });
        self.outbox_next += 1;
        self.flow_of(asset).retired += u128::from(amount.units());
    }

    /// Takes back the withdrawals from position `len` on.
    fn undo_withdrawals(&mut self, len: usize) {
        while self.withdrawals.len() > len {
            let withdrawal = self.withdrawals.pop().expect("longer than that");
            self.outbox_next -= 1;
            self.flow_of(withdrawal.asset).retired -= u128::from(withdrawal.amount.units());
        }
    }

    fn flow_of(&mut self, asset: AssetId) -> &mut FlowSum {
        let known = self.flows.iter().position(|flow| flow.asset == asset);
        let at = known.unwrap_or_else(|| {
            self.flows.push(FlowSum { asset, issued: 0, retired: 0 });
            self.flows.len() - 1
        });
        &mut self.flows[at]
    }

    fn outcome(&self, code: u16, action: u16, gas: u64, fee: u64, since: Effects) -> Outcome {
        let count =
            |now: usize, then: usize| u32::try_from(now - then).expect("bounded by the actions of one transaction");
        Outcome {
            code,
            action,
            gas,
            fee,
            first_entry: u32::try_from(since.entries).expect("bounded by the actions of one batch"),
            entries: count(self.working.entries(), since.entries),
            first_withdrawal: since.outbox_next,
            withdrawals: count(self.withdrawals.len(), since.withdrawals),
        }
    }

    fn effects(&self) -> Effects {
        let withdrawals = self.withdrawals.len();
        Effects { entries: self.working.entries(), withdrawals, outbox_next: self.outbox_next }
    }

    /// The outcome of a forced transaction that could not be admitted: it is consumed and changes nothing.
    fn refused_unpaid(&mut self, code: u16) -> Outcome {
        let gas = gas::GAS_TRANSACTION + gas::GAS_SIGNATURE_ED25519;
        self.gas += gas;
        self.outcome(code, Outcome::NO_ACTION, gas, 0, self.effects())
    }

    fn check_limits(&self) -> Result<(), InvalidBatch> {
        if self.gas > BATCH_GAS_MAX {
            return Err(InvalidBatch::Gas { gas: self.gas });
        }
        // What is collected at the end adds two entries a sender and one a share.
        let entries = self.working.entries() + self.working.entries_owed() + FEE_SHARES_MAX;
        let withdrawals = self.withdrawals.len();
        if entries > BATCH_ENTRIES_MAX || withdrawals > BATCH_WITHDRAWALS_MAX {
            return Err(InvalidBatch::Effects { entries, withdrawals });
        }
        Ok(())
    }

    fn flows(&self) -> Result<Vec<Flow>, InvalidBatch> {
        let flow = |sum: &FlowSum| {
            let amount = |units: u128| u64::try_from(units).ok().and_then(Amount::new);
            let overflow = InvalidBatch::FlowOverflow { asset: sum.asset };
            match (amount(sum.issued), amount(sum.retired)) {
                (Some(issued), Some(retired)) => Ok(Flow { asset: sum.asset, issued, retired }),
                _ => Err(overflow),
            }
        };
        let touched = self.flows.iter().filter(|sum| sum.issued != 0 || sum.retired != 0);
        let mut flows = touched.map(flow).collect::<Result<Vec<Flow>, InvalidBatch>>()?;
        flows.sort_unstable_by_key(|flow| flow.asset);
        Ok(flows)
    }
}

/// What crossed between the plane and the outside so far.
struct FlowSum {
    asset: AssetId,
    issued: u128,
    retired: u128,
}

/// How much had happened at some point of the batch.
#[derive(Clone, Copy)]
struct Effects {
    entries: usize,
    withdrawals: usize,
    outbox_next: u64,
}

/// How many accounts [`fetch`] listed for an inbox entry.
fn parties_of_entry(checked: &CheckedEntry) -> usize {
    match (&checked.entry().payload, checked.forced()) {
        (InboxPayload::Deposit { .. }, _) => 1,
        (InboxPayload::Forced { .. }, Some(Ok(verified))) => 1 + verified.body().actions.len(),
        (InboxPayload::Forced { .. }, _) => 0,
    }
}

/// Splits the next `count` accounts off the front.
fn take<'s>(rest: &mut &'s [AccountId], count: usize) -> &'s [AccountId] {
    let (front, back) = rest.split_at(count);
    *rest = back;
    front
}
