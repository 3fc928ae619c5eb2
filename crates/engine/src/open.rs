//! A batch that is executed while it is being filled.
//!
//! It does with every group what [`execute`](crate::execute()) does with a whole batch, by the same code: list what may be
//! touched, read it, execute. What cannot be in the batch, or does not fit, leaves no trace.

use crate::Plane;
use crate::batch::{BatchError, ExecutedBatch, check_entry};
use crate::execute::{ExecuteError, Halt, InvalidBatch, Run, parties_of, parties_of_entry, take};
use crate::explain::Refused;
use crate::posted::{check_form, header_len, put_header, put_transaction};
use crate::verify::{CheckedEntry, Verified};
use crate::working::AccountId;
use ghostplane_ghostcipher::workers::{Serial, Workers};
use ghostplane_keystone::StateView;
use ghostplane_types::codec::Reader;
use ghostplane_types::limits::{BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, LOG_REACH_BYTES_MAX, WITNESS_BOUND_MAX};
use ghostplane_types::{Outcome, PlaneState, Reject};
use std::convert::Infallible;
use std::sync::Arc;

/// A batch that takes inbox entries first, then transactions group by group, and tells at once what became of each.
///
/// After an error it is of no more use: every later call fails as well.
pub struct OpenBatch<'a, V: StateView> {
    plane: &'a Plane,
    view: &'a V,
    run: Run<'a>,
    time: u64,
    since_prev: u64,
    /// The posted form of the transactions, in order.
    posted: Vec<u8>,
    /// How many transactions it includes.
    transactions: u64,
    is_full: bool,
    /// Set while a call is at work, so that it stays set if the call fails.
    is_broken: bool,
}

/// How much of the inbox a batch took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxTaken {
    /// How many of the entries given, from the first.
    pub taken: usize,
    /// The gas they used.
    pub gas: u64,
}

/// What came of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the batch, applied or not.
    Included {
        /// What became of it.
        outcome: Outcome,
        /// The bytes that it adds to the posted form.
        posted_bytes: u32,
        /// Why it was not applied, if it was not.
        refused: Option<Box<Refused>>,
    },
    /// It may not be in a batch. It changed nothing.
    Rejected(Reject),
    /// It does not fit, or follows one that did not. It changed nothing.
    Full,
}

/// A batch that takes no more.
#[derive(Clone, Debug)]
pub struct Closed {
    /// What it did.
    pub executed: ExecutedBatch,
    /// Its posted form.
    pub posted: Vec<u8>,
}

/// Accounts that one group names at most, but for its last transaction. Bounds what is read before it is known to be of use.
const PARTIES_MAX: usize = 8 * 1024;

impl<'a, V: StateView> OpenBatch<'a, V> {
    /// An empty batch that follows `prev`, whose state is `view`.
    pub fn open(plane: &'a Plane, view: &'a V, prev: PlaneState, generation: u32, time: u64) -> Result<Self, Halt> {
        let since_prev = time.checked_sub(prev.time).ok_or(BatchError::TimeBackwards { time, floor: prev.time });
        let since_prev = since_prev.map_err(InvalidBatch::Batch)?;
        let mut run = Run::new(plane, view, prev, (generation, time), BATCH_TRANSACTIONS_MAX)?;
        run.read(view)?;
        run.working.count_all();
        Ok(Self {
            plane,
            view,
            run,
            time,
            since_prev,
            posted: Vec::new(),
            transactions: 0,
            is_full: false,
            is_broken: false,
        })
    }

    /// Whether nothing is in it yet.
    pub fn is_empty(&self) -> bool {
        self.run.count() == 0
    }

    /// Whether it takes no more transactions.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// How many answers of covenants were worked out ahead, by [`OpenBatch::push_with`], and were still those to what was asked.
    pub fn foreseen(&self) -> u64 {
        self.run.foreseen()
    }

    /// How many bytes its posted form has if it is closed now.
    pub fn posted_bytes(&self) -> usize {
        self.header_len(self.transactions) + self.posted.len()
    }

    /// Executes as many of the entries, from the first, as fit and follow on the inbox; only before any transaction.
    ///
    /// They were checked on the state that the batch starts from.
    pub fn inbox(&mut self, entries: Vec<CheckedEntry>) -> Result<InboxTaken, Halt> {
        self.begin()?;
        if self.transactions > 0 {
            return Err(ExecuteError::Inconsistent("inbox entries come before the transactions of a batch").into());
        }
        let gas = self.run.gas();
        let mut taken = 0;
        let mut rest = entries.as_slice();
        while let Some((group, parties)) = self.next_entries(&mut rest)? {
            let mut parties = parties.as_slice();
            let took = self.take_entries(group, &mut parties)?;
            taken += took;
            if took < group.len() {
                break;
            }
        }
        self.is_broken = false;
        Ok(InboxTaken { taken, gas: self.run.gas() - gas })
    }

    /// Executes the transactions in order. The answers come in the same order.
    ///
    /// Once one was [`Pushed::Full`], so is every other that follows, in this call and later.
    pub fn push(&mut self, transactions: &[Arc<Verified>]) -> Result<Vec<Pushed>, Halt> {
        self.push_with(&Serial, transactions)
    }

    /// [`OpenBatch::push`] with workers that ask covenants ahead. The result is the same.
    pub fn push_with(&mut self, workers: &dyn Workers, transactions: &[Arc<Verified>]) -> Result<Vec<Pushed>, Halt> {
        self.begin()?;
        let mut pushed = Vec::with_capacity(transactions.len());
        let mut rest = transactions;
        while let Some((group, parties)) = self.next_transactions(&mut rest)? {
            let mut parties = parties.as_slice();
            self.foresee(workers, group, parties);
            for verified in group {
                let parties = take(&mut parties, parties_of(verified));
                pushed.push(if self.is_full { Pushed::Full } else { self.push_one(verified, parties) });
            }
        }
        pushed.resize(transactions.len(), Pushed::Full);
        self.is_broken = false;
        Ok(pushed)
    }

    fn foresee(&mut self, workers: &dyn Workers, group: &[Arc<Verified>], mut parties: &[AccountId]) {
        if workers.count() > 1 && self.run.working.has_rules() {
            let named = group.iter().map(|verified| (&**verified, take(&mut parties, parties_of(verified))));
            self.run.foresee(workers, &named.collect::<Vec<_>>());
        }
    }

    /// Ends the batch. An empty one cannot be closed: drop it.
    pub fn close(mut self) -> Result<Closed, Halt> {
        self.begin()?;
        if self.is_empty() {
            return Err(InvalidBatch::Batch(BatchError::Empty).into());
        }
        let mut posted = Vec::with_capacity(self.posted_bytes());
        put_header(&mut posted, self.since_prev, self.run.inbox_count(), self.transactions);
        posted.extend_from_slice(&self.posted);
        let posted_bytes = u32::try_from(posted.len()).expect("at most BATCH_BYTES_MAX");
        Ok(Closed { executed: self.run.finish(posted_bytes)?, posted })
    }

    fn begin(&mut self) -> Result<(), ExecuteError> {
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(ExecuteError::Inconsistent("an open batch that failed goes on"));
        }
        Ok(())
    }

    fn header_len(&self, transactions: u64) -> usize {
        header_len(self.since_prev, self.run.inbox_count(), transactions)
    }

    fn has_place(&self) -> bool {
        self.run.count() < BATCH_TRANSACTIONS_MAX
    }

    /// Splits the next group of entries off the front and reads what they may touch.
    fn next_entries<'e>(&mut self, rest: &mut &'e [CheckedEntry]) -> Result<Option<Group<'e, CheckedEntry>>, Halt> {
        if rest.is_empty() || !self.has_place() {
            return Ok(None);
        }
        self.run.forget_uncounted();
        self.run.reach_returns();
        let run = &mut self.run;
        let group = next_group(rest, |checked, parties| run.reach_entry(checked, parties));
        self.run.read(self.view)?;
        Ok(Some(group))
    }

    /// Splits the next group of transactions off the front and reads what they may touch.
    fn next_transactions<'t>(
        &mut self,
        rest: &mut &'t [Arc<Verified>],
    ) -> Result<Option<Group<'t, Arc<Verified>>>, Halt> {
        self.is_full |= !rest.is_empty() && !self.has_place();
        if rest.is_empty() || self.is_full {
            return Ok(None);
        }
        self.run.forget_uncounted();
        let run = &mut self.run;
        let group = next_group(rest, |verified, parties| run.reach_transaction(verified, parties));
        self.run.read(self.view)?;
        Ok(Some(group))
    }

    fn take_entries(&mut self, entries: &[CheckedEntry], parties: &mut &[AccountId]) -> Result<usize, Halt> {
        for (taken, checked) in entries.iter().enumerate() {
            let parties = take(parties, parties_of_entry(checked));
            let is_next = check_entry(checked, self.run.inbox_upto(), self.time).is_ok();
            if !is_next || !self.has_place() {
                return Ok(taken);
            }
            self.run.working.mark_count();
            self.run.count_entry(checked, parties);
            if self.run.check_witness().is_err() {
                self.run.working.uncount();
                return Ok(taken);
            }
            let before = self.run.before_entry(checked, parties);
            self.run.inbox_entry(checked, parties)?;
            if !self.run.is_within_limits() {
                self.run.undo(before);
                self.run.working.uncount();
                return Ok(taken);
            }
        }
        Ok(entries.len())
    }

    fn push_one(&mut self, verified: &Verified, parties: &[AccountId]) -> Pushed {
        // Whether it may be in a batch at all comes first: what is rejected must not fill the batch.
        if check_form(self.plane, verified.body()).is_err() {
            let error = Reader::new(&[]).non_canonical("number of actions, or length of memo");
            return Pushed::Rejected(Reject::Malformed { error });
        }
        let payable = match self.run.judge(verified, parties[0], &self.run.terms()) {
            Ok(payable) => payable,
            Err(reject) => return Pushed::Rejected(reject),
        };
        let start = self.posted.len();
        self.run.working.mark_count();
        let witness_before = self.run.working.witness_bytes_max();
        self.run.count_transaction(verified, parties);
        if let Err(reject) = self.check_reach(witness_before) {
            self.run.working.uncount();
            return Pushed::Rejected(reject);
        }
        // Behind the parties there are the sponsor and who acts for the sender, found by their addresses.
        let run = &self.run;
        let number = |place: usize, address: &_| Ok::<_, Infallible>(run.number(parties.get(place), address));
        let Ok(()) = put_transaction(&mut self.posted, self.time, verified.transaction(), number);
        let bytes = self.header_len(self.transactions + 1) + self.posted.len();
        if !self.has_place() || bytes > BATCH_BYTES_MAX || self.run.check_witness().is_err() {
            return self.fill(start);
        }
        let before = self.run.before_transaction(verified, parties);
        self.run.clear_notes();
        let outcome = *self.run.log_transaction(payable, parties);
        let refused = self.run.take_refused().map(Box::new);
        if !self.run.is_within_limits() {
            self.run.undo(before);
            return self.fill(start);
        }
        self.transactions += 1;
        let posted_bytes = u32::try_from(self.posted.len() - start).expect("at most BATCH_BYTES_MAX");
        Pushed::Included { outcome, posted_bytes, refused }
    }

    /// Refuses a transaction that touches too much for the rest of the batch, though half of an empty one is left to it: it must
    /// not close the batch, or whoever sends such ones has every batch closed early for nothing.
    fn check_reach(&self, witness_before: usize) -> Result<(), Reject> {
        let all = self.run.working.witness_bytes_max();
        let bytes = all - witness_before;
        let is_too_wide = all > WITNESS_BOUND_MAX && bytes > LOG_REACH_BYTES_MAX;
        if is_too_wide { Err(Reject::ReachTooWide { bytes, limit: LOG_REACH_BYTES_MAX }) } else { Ok(()) }
    }

    /// Takes back what a transaction that does not fit has left, and takes no more.
    fn fill(&mut self, posted: usize) -> Pushed {
        self.posted.truncate(posted);
        self.run.working.uncount();
        self.is_full = true;
        Pushed::Full
    }
}

/// Some of what was given, and the parties of all of them.
type Group<'g, T> = (&'g [T], Vec<AccountId>);

/// Splits a group off the front of `rest`, which is not empty.
fn next_group<'g, T>(rest: &mut &'g [T], mut reach: impl FnMut(&'g T, &mut Vec<AccountId>)) -> Group<'g, T> {
    let mut parties = Vec::with_capacity(2 * rest.len().min(PARTIES_MAX));
    let mut count = 0;
    while let Some(next) = rest.get(count)
        && parties.len() < PARTIES_MAX
        && count < BATCH_TRANSACTIONS_MAX
    {
        reach(next, &mut parties);
        count += 1;
    }
    let (group, behind) = rest.split_at(count);
    *rest = behind;
    (group, parties)
}
