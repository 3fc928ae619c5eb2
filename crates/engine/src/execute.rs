//! The transition: inbox first, then the log in order, then what is collected in sum.
//!
//! The way of one transaction is written as the types say it: [`Verified`] becomes `Authenticated` when the account's
//! record agrees with the key and the lane, `Authorized` when it passes the account's gates, `Admitted` when its fee is
//! reserved, and only an `Admitted` one is applied.

mod actions;
mod admission;
mod beyond;
mod credentials;
mod fees;
mod flows;
mod held;
mod rules;
mod weight;

use crate::Plane;
use crate::batch::{BatchError, ExecutedBatch, ProposedBatch};
use crate::explain::Notes;
use crate::verify::{CheckedEntry, Verified};
use crate::working::{AccountId, Mark, Reach, Side, Standing, SystemIds, Working};
pub(crate) use admission::{Payable, Terms};
use flows::{FlowSum, Made};
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::{ChangesetError, Missing, StateView};
use ghostplane_types::limits::{
    BATCH_ENTRIES_MAX, BATCH_FLOWS_MAX, BATCH_GAS_MAX, BATCH_WITHDRAWALS_MAX, FEE_SHARES_MAX, WITNESS_BOUND_MAX,
};
use ghostplane_types::{
    Action, Address, Amount, AssetId, InboxPayload, L1Address, Outcome, Pay, PlaneState, Reject, Source,
    TransactionBody, Withdrawal, gas,
};
pub(crate) use rules::approvals_of;
use thiserror::Error;
pub(crate) use weight::check_reach;

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
    /// More assets made or ended, or going in and out, than a batch has.
    #[error("{assets} assets were issued or retired, a batch has at most {BATCH_FLOWS_MAX}")]
    Flows {
        /// How many.
        assets: usize,
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
    /// Empty, or ahead of its time.
    #[error(transparent)]
    Batch(#[from] BatchError),
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
    let (mut run, parties) = Run::of_batch(plane, view, batch)?;
    let mut parties = parties.as_slice();
    for checked in &batch.inbox {
        run.inbox_entry(checked, take(&mut parties, parties_of_entry(checked)))?;
    }
    for (position, verified) in batch.transactions.iter().enumerate() {
        run.next_transaction(position, verified, take(&mut parties, parties_of(verified)))?;
    }
    run.finish(batch.posted_bytes)
}

/// A batch on its way: what it has read, and what it has done so far.
///
/// Whoever drives it lists what comes next (`reach_`), reads it all at once, and only then executes it.
pub(crate) struct Run<'a> {
    plane: &'a Plane,
    prev: PlaneState,
    generation: u32,
    time: u64,
    reach: Reach,
    /// Whether the plane's own rules were read.
    knows_plane_rules: bool,
    /// What more has to be read, by the gates of accounts that are listed.
    asked: Vec<beyond::Asked>,
    system: SystemIds,
    pub(crate) working: Working<'a>,
    /// What the rules will answer to the transactions of a group, where that was worked out ahead.
    foreseen: rules::AllForeseen,
    /// How many of those answers were used.
    foreseen_used: u64,
    /// What is noted of the last record for whoever asks why it was refused.
    pub(crate) notes: Notes,
    pub(crate) records: Vec<(Source, Digest, Outcome)>,
    withdrawals: Vec<Withdrawal>,
    /// What was made and ended of assets of the plane's own, in order.
    made: Vec<Made>,
    flows: Vec<FlowSum>,
    gas: u64,
    inbox_upto: u64,
    log_upto: u64,
    outbox_next: u64,
}

/// How a batch stood before something that may turn out not to fit it.
pub(crate) struct Before {
    mark: Mark,
    sender: Option<(AccountId, Standing)>,
    /// Other accounts that may owe something afterwards.
    others: Vec<(AccountId, Standing)>,
    issued: Option<(AssetId, Amount)>,
    gas: u64,
    withdrawals: usize,
    made: usize,
    texts_asked: usize,
}

impl<'a> Run<'a> {
    /// A whole batch that has done nothing, with all that it touches read, and the parties of each of its parts.
    pub(crate) fn of_batch(
        plane: &'a Plane,
        view: &'a impl StateView,
        batch: &ProposedBatch,
    ) -> Result<(Self, Vec<AccountId>), Halt> {
        let count = batch.inbox.len() + batch.transactions.len();
        let mut run = Run::new(plane, view, batch.prev, (batch.generation, batch.time), count)?;
        let actions = batch.transactions.iter().map(|verified| 1 + verified.body().actions.len()).sum::<usize>();
        let mut parties = Vec::with_capacity(batch.inbox.len() + actions);
        if !batch.inbox.is_empty() {
            run.reach_returns();
        }
        batch.inbox.iter().for_each(|checked| run.reach_entry(checked, &mut parties));
        batch.transactions.iter().for_each(|verified| run.reach_transaction(verified, &mut parties));
        run.read(view)?;
        run.working.count_all();
        run.check_witness()?;
        Ok((run, parties))
    }

    /// A batch that follows `prev` and has done nothing. It lists the system's accounts, and reads nothing yet.
    pub(crate) fn new(
        plane: &'a Plane,
        view: &impl StateView,
        prev: PlaneState,
        (generation, time): (u32, u64),
        count: usize,
    ) -> Result<Self, ExecuteError> {
        if view.roots() != prev.roots {
            return Err(ExecuteError::Inconsistent("the view is of another state than the batch starts from"));
        }
        let mut reach = Reach::new(view, count);
        let system = reach_system(plane, &mut reach);
        Ok(Self {
            plane,
            prev,
            generation,
            time,
            reach,
            knows_plane_rules: false,
            asked: Vec::new(),
            system,
            working: Working::new(plane, view.roots(), time),
            foreseen: rules::AllForeseen::new(),
            foreseen_used: 0,
            notes: Notes::default(),
            records: Vec::with_capacity(count),
            withdrawals: Vec::new(),
            made: Vec::new(),
            flows: Vec::new(),
            gas: 0,
            inbox_upto: prev.inbox_upto,
            log_upto: prev.log_upto,
            outbox_next: prev.outbox_upto,
        })
    }

    /// How many answers of covenants were worked out ahead and used.
    pub(crate) fn foreseen(&self) -> u64 {
        self.foreseen_used
    }

    pub(crate) fn gas(&self) -> u64 {
        self.gas
    }

    /// How many entries and transactions it includes.
    pub(crate) fn count(&self) -> usize {
        self.records.len()
    }

    /// How many of them are inbox entries.
    pub(crate) fn inbox_count(&self) -> u64 {
        self.inbox_upto - self.prev.inbox_upto
    }

    /// The index of the inbox entry that is next.
    pub(crate) fn inbox_upto(&self) -> u64 {
        self.inbox_upto
    }

    /// How a transaction of the log is judged.
    pub(crate) fn terms(&self) -> Terms {
        Terms { time: self.time, is_forced: false, gas_price: self.plane.genesis().gas_price }
    }

    // What is read.

    /// Lists the slots that a refused deposit returns through.
    pub(crate) fn reach_returns(&mut self) {
        let Self { plane, reach, system, .. } = self;
        plane.genesis().assets.iter().for_each(|known| reach.slot(system.returns, known.asset));
    }

    /// Lists what an inbox entry may touch, and the accounts it names.
    pub(crate) fn reach_entry(&mut self, checked: &CheckedEntry, parties: &mut Vec<AccountId>) {
        match (&checked.entry().payload, checked.forced()) {
            (InboxPayload::Deposit { to, asset, .. }, _) => {
                let id = self.reach.account(to);
                self.reach.slot(id, *asset);
                parties.push(id);
            }
            (InboxPayload::Forced { .. }, Some(Ok(verified))) => self.reach_transaction(verified, parties),
            // Its sender's record was read to check it, so the witness has it as well.
            (InboxPayload::Forced { .. }, _) => {
                parties.extend(checked.sender().map(|sender| self.reach.account(sender)));
            }
        }
    }

    /// Lists what a transaction may touch, and its parties: the sender, and one account for each action.
    pub(crate) fn reach_transaction(&mut self, verified: &Verified, parties: &mut Vec<AccountId>) {
        reach_transaction(&mut self.reach, &mut self.asked, verified, parties);
    }

    /// Forgets what was read in vain, if it is much. Parties that were listed before have no meaning afterwards.
    pub(crate) fn forget_uncounted(&mut self) {
        self.working.forget_uncounted(&mut self.reach, &mut self.system);
    }

    /// Reads what was listed and is not known yet.
    pub(crate) fn read<V: StateView>(&mut self, view: &'a V) -> Result<(), Halt> {
        if !std::mem::replace(&mut self.knows_plane_rules, true) {
            self.working.read_plane_rules(view, &mut self.reach)?;
        }
        self.working.read(view, &mut self.reach)?;
        if self.asked.is_empty() {
            return Ok(());
        }
        // What gates name is known once the accounts that have them are read.
        self.reach_asked();
        self.working.read(view, &mut self.reach)
    }

    /// Counts what an inbox entry touches as part of the batch.
    pub(crate) fn count_entry(&mut self, checked: &CheckedEntry, parties: &[AccountId]) {
        let working = &mut self.working;
        self.plane.genesis().assets.iter().for_each(|known| working.count_slot(self.system.returns, known.asset));
        match (&checked.entry().payload, checked.forced()) {
            (InboxPayload::Deposit { asset, .. }, _) => {
                working.count_account(parties[0]);
                working.count_slot(parties[0], *asset);
            }
            (InboxPayload::Forced { .. }, Some(Ok(verified))) => self.count_transaction(verified, parties),
            (InboxPayload::Forced { .. }, _) => parties.iter().for_each(|id| working.count_account(*id)),
        }
    }

    /// Counts what a transaction touches as part of the batch.
    pub(crate) fn count_transaction(&mut self, verified: &Verified, parties: &[AccountId]) {
        parties.iter().for_each(|id| self.working.count_account(*id));
        for_each_slot(verified.body(), parties, |id, asset| self.working.count_slot(id, asset));
        if !verified.is_plain() {
            self.count_beyond(verified, parties);
        }
    }

    /// The number by which the state before the batch knows a party, or else the account with an address, if it was listed.
    pub(crate) fn number(&self, party: Option<&AccountId>, address: &Address) -> Option<u32> {
        let id = party.copied().or_else(|| self.reach.find(address));
        id.and_then(|id| self.working.number(id))
    }

    pub(crate) fn check_witness(&self) -> Result<(), InvalidBatch> {
        let bytes = self.working.witness_bytes_max();
        if bytes > WITNESS_BOUND_MAX { Err(InvalidBatch::Witness { bytes }) } else { Ok(()) }
    }

    // What does not fit.

    /// Notes how things stand before a transaction of the log.
    pub(crate) fn before_transaction(&mut self, verified: &Verified, parties: &[AccountId]) -> Before {
        let (sender, lane) = (parties[0], verified.body().nonce.lane);
        let standing = self.working.standing(sender, lane);
        let mut others = Vec::new();
        if !verified.is_plain() {
            let mut subjects = parties[1..].to_vec();
            subjects.extend(self.sponsor_of(verified));
            self.for_each_owed(verified, parties, |id| subjects.push(id));
            subjects.sort_unstable();
            subjects.dedup();
            let subjects = subjects.into_iter().filter(|id| *id != sender);
            others.extend(subjects.map(|id| (id, self.working.standing(id, lane))));
        }
        Before {
            mark: self.working.mark(),
            sender: Some((sender, standing)),
            others,
            issued: None,
            gas: self.gas,
            withdrawals: self.withdrawals.len(),
            made: self.made.len(),
            texts_asked: self.working.texts_asked(),
        }
    }

    /// Notes how things stand before an inbox entry.
    pub(crate) fn before_entry(&mut self, checked: &CheckedEntry, parties: &[AccountId]) -> Before {
        let (mark, gas, withdrawals) = (self.working.mark(), self.gas, self.withdrawals.len());
        let (made, texts_asked) = (self.made.len(), self.working.texts_asked());
        match (&checked.entry().payload, checked.forced()) {
            (InboxPayload::Deposit { asset, amount, .. }, _) => Before {
                mark,
                sender: None,
                others: Vec::new(),
                issued: Some((*asset, *amount)),
                gas,
                withdrawals,
                made,
                texts_asked,
            },
            (InboxPayload::Forced { .. }, Some(Ok(verified))) => self.before_transaction(verified, parties),
            (InboxPayload::Forced { .. }, _) => {
                Before { mark, sender: None, others: Vec::new(), issued: None, gas, withdrawals, made, texts_asked }
            }
        }
    }

    /// Takes back the one entry or transaction that was executed since.
    pub(crate) fn undo(&mut self, before: Before) {
        self.working.rollback(before.mark);
        self.undo_withdrawals(before.withdrawals);
        self.undo_made(before.made);
        self.working.unask_texts(before.texts_asked);
        if let Some((asset, amount)) = before.issued {
            self.flow_of(asset).issued -= u128::from(amount.units());
        }
        for (id, standing) in before.sender.into_iter().chain(before.others) {
            self.working.restore(id, standing);
        }
        self.gas = before.gas;
        match self.records.pop() {
            Some((Source::Inbox(_), ..)) => self.inbox_upto -= 1,
            Some((Source::Log(_), ..)) => self.log_upto -= 1,
            None => {}
        }
    }

    /// Whether the batch is within its limits so far.
    pub(crate) fn is_within_limits(&self) -> bool {
        self.check_limits().is_ok() && self.flows.iter().all(|sum| sum.flow().is_ok())
    }

    // Inbox and log.

    /// Judges the next transaction of the log, and executes it.
    pub(crate) fn next_transaction(
        &mut self,
        position: usize,
        verified: &Verified,
        parties: &[AccountId],
    ) -> Result<(), InvalidBatch> {
        let payable = self.judge(verified, parties[0], &self.terms());
        let payable = payable.map_err(|reject| InvalidBatch::Transaction { position, reject })?;
        self.log_transaction(payable, parties);
        Ok(())
    }

    /// Executes the next transaction of the log. It has been judged just before.
    pub(crate) fn log_transaction(&mut self, payable: Payable<'_>, parties: &[AccountId]) -> &Outcome {
        let id = payable.verified().id();
        let outcome = self.transaction(payable, parties);
        self.records.push((Source::Log(self.log_upto), id, outcome));
        self.log_upto += 1;
        &self.records.last().expect("just pushed").2
    }

    /// Ends the batch: collects what is owed in sum.
    pub(crate) fn finish(mut self, posted_bytes: u32) -> Result<ExecutedBatch, Halt> {
        self.check_limits()?;
        let flows = self.flows()?;
        self.working.collect(&self.system)?;
        let (changes, journal) = self.working.finish(&flows)?;
        Ok(ExecutedBatch {
            prev: self.prev,
            generation: self.generation,
            time: self.time,
            posted_bytes,
            inbox_upto: self.inbox_upto,
            log_upto: self.log_upto,
            changes,
            journal,
            records: self.records,
            withdrawals: self.withdrawals,
            flows,
            gas: self.gas,
        })
    }
}

fn reach_system(plane: &Plane, reach: &mut Reach) -> SystemIds {
    let fees = reach.account(&plane.fees());
    let storage = reach.account(&plane.storage());
    let returns = reach.account(&plane.returns());
    let shares: Vec<AccountId> = plane.genesis().fee_shares.iter().map(|share| reach.account(&share.address)).collect();
    for id in [fees, storage].iter().chain(&shares) {
        reach.slot(*id, AssetId::GCC);
    }
    SystemIds { fees, storage, returns, shares }
}

/// Lists what a transaction may touch, its parties, and what has to be looked up.
fn reach_transaction(
    reach: &mut Reach,
    asked: &mut Vec<beyond::Asked>,
    verified: &Verified,
    parties: &mut Vec<AccountId>,
) {
    let body = verified.body();
    let first = parties.len();
    let sender = reach.account(&body.sender);
    parties.push(sender);
    for action in &body.actions {
        parties.push(match action {
            Action::Transfer { to, .. } | Action::Mint { to, .. } => reach.account(to),
            Action::RegisterIdentity { gid } => reach.account(&gid.address()),
            other => match other.subject().or(other.credential_party()) {
                Some(account) => reach.account(account),
                None => sender,
            },
        });
    }
    for_each_slot(body, &parties[first..], |id, asset| reach.slot(id, asset));
    if !verified.is_plain() {
        beyond::reach_beyond(reach, asked, verified, &parties[first..]);
    }
}

/// The slots that a transaction with these parties may touch.
fn for_each_slot(body: &TransactionBody, parties: &[AccountId], mut slot: impl FnMut(AccountId, AssetId)) {
    let sender = parties[0];
    slot(sender, AssetId::GCC);
    if body.pay == Pay::Mana {
        slot(sender, AssetId::ZMAN);
    }
    for (action, party) in body.actions.iter().zip(&parties[1..]) {
        let Some((asset, _)) = action.moves() else { continue };
        if asset != AssetId::GCC {
            slot(sender, asset);
        }
        slot(*party, asset);
    }
}

impl Run<'_> {
    // Inbox.

    /// Executes the next inbox entry.
    pub(crate) fn inbox_entry(&mut self, checked: &CheckedEntry, parties: &[AccountId]) -> Result<(), ExecuteError> {
        let entry = checked.entry();
        let source = Source::Inbox(entry.index);
        let record = match (&entry.payload, checked.forced()) {
            (InboxPayload::Deposit { from, to, asset, amount }, _) => {
                let outcome = self.deposit(parties[0], (*from, *to), *asset, *amount)?;
                (source, entry.digest(self.plane.chain_id()), outcome)
            }
            (InboxPayload::Forced { .. }, Some(Ok(verified))) => {
                let terms = Terms { time: entry.l1_time, is_forced: true, gas_price: 0 };
                let outcome = match self.judge(verified, parties[0], &terms) {
                    Ok(payable) => self.transaction(payable, parties),
                    Err(reject) => {
                        self.note_reject(&reject);
                        self.refused_unpaid(reject.code(), checked.consent_gas())
                    }
                };
                (source, verified.id(), outcome)
            }
            (InboxPayload::Forced { .. }, refused) => {
                let code = match refused {
                    Some(Err(reject)) => {
                        self.note_reject(reject);
                        reject.code()
                    }
                    _ => unreachable!("a forced transaction was checked, and a good one is handled above"),
                };
                (source, entry.digest(self.plane.chain_id()), self.refused_unpaid(code, checked.consent_gas()))
            }
        };
        self.records.push(record);
        self.inbox_upto += 1;
        Ok(())
    }

    /// Credits a deposit, or sends it back through the outbox if the plane cannot hold it.
    fn deposit(
        &mut self,
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
        let (gas_of_rules, permitted) = self.check_deposit(to, asset, amount);
        let taken = permitted.and_then(|()| self.working.transfer(Side::Outside, Side::Account(to), asset, amount));
        if let Err(reject) = taken {
            self.note_reject(&reject);
            self.working.rollback(mark);
            code = reject.code();
            let returns = Side::Account(self.system.returns);
            let through = self.working.transfer(Side::Outside, returns, asset, amount);
            let back = through.and_then(|()| self.working.transfer(returns, Side::Outside, asset, amount));
            back.map_err(|_| ExecuteError::Inconsistent("the returns account has no empty slot of a genesis asset"))?;
            self.withdraw(owner, from, asset, amount);
        }
        let gas = gas::GAS_TRANSACTION + gas::GAS_ACTION + gas::GAS_NEW_SLOT + gas::GAS_NEW_OBJECT;
        let gas = gas + gas_of_rules;
        self.gas += gas;
        Ok(self.outcome(code, Outcome::NO_ACTION, gas, 0, since))
    }

    // Bookkeeping.

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
        Effects { entries: self.working.entries(), withdrawals, outbox_next: self.outbox_next, made: self.made.len() }
    }

    /// The outcome of a forced transaction that could not be admitted: it is consumed and changes nothing.
    fn refused_unpaid(&mut self, code: u16, consent_gas: u64) -> Outcome {
        let gas = gas::GAS_TRANSACTION + consent_gas;
        self.gas += gas;
        self.outcome(code, Outcome::NO_ACTION, gas, 0, self.effects())
    }

    fn check_limits(&self) -> Result<(), InvalidBatch> {
        if self.gas > BATCH_GAS_MAX {
            return Err(InvalidBatch::Gas { gas: self.gas });
        }
        // What is collected and given back at the end adds some entries a sender, and one a share.
        let entries = self.working.entries() + self.working.entries_owed() + FEE_SHARES_MAX;
        let withdrawals = self.withdrawals.len();
        if entries > BATCH_ENTRIES_MAX || withdrawals > BATCH_WITHDRAWALS_MAX {
            return Err(InvalidBatch::Effects { entries, withdrawals });
        }
        let assets = self.flows.iter().filter(|sum| sum.issued != 0 || sum.retired != 0).count();
        if assets > BATCH_FLOWS_MAX {
            return Err(InvalidBatch::Flows { assets });
        }
        Ok(())
    }
}

/// How much had happened at some point of the batch.
#[derive(Clone, Copy)]
struct Effects {
    entries: usize,
    withdrawals: usize,
    outbox_next: u64,
    made: usize,
}

/// How many accounts [`Run::reach_entry`] lists for an inbox entry.
pub(crate) fn parties_of_entry(checked: &CheckedEntry) -> usize {
    match (&checked.entry().payload, checked.forced()) {
        (InboxPayload::Deposit { .. }, _) => 1,
        (InboxPayload::Forced { .. }, Some(Ok(verified))) => parties_of(verified),
        (InboxPayload::Forced { .. }, _) => usize::from(checked.sender().is_some()),
    }
}

/// How many accounts [`Run::reach_transaction`] lists.
pub(crate) fn parties_of(verified: &Verified) -> usize {
    1 + verified.body().actions.len()
}

/// Splits the next `count` accounts off the front.
pub(crate) fn take<'s>(rest: &mut &'s [AccountId], count: usize) -> &'s [AccountId] {
    let (front, back) = rest.split_at(count);
    *rest = back;
    front
}
