//! What would become of a transaction now: advice, for whoever has not sent it yet.

use crate::execute::{Halt, Run};
use crate::explain::Refused;
use crate::verify::{Verified, unsigned};
use crate::working::AccountId;
use crate::{ExecuteError, Plane};
use ghostplane_keystone::StateView;
use ghostplane_types::{Outcome, PlaneState, Reject, Transaction};

/// What came of executing a transaction on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// What became of it; where gas is free, without its fee.
    pub outcome: Outcome,
    /// Why it was not applied, if it was not.
    pub refused: Option<Refused>,
}

/// Executes a transaction as the only one of a batch that follows `prev`, whose state is `view`. Nothing is signed yet:
/// signatures are not looked at, and approvals count as if they held. A unit of gas costs `gas_price`: the plane's, or 0 to find
/// out how much it takes, whatever could be paid.
///
/// `Err` inside means that it may not be in a batch.
pub fn simulate(
    plane: &Plane,
    view: &impl StateView,
    prev: PlaneState,
    time: u64,
    transaction: Transaction,
    gas_price: u64,
) -> Result<Result<Simulated, Reject>, Halt> {
    let (mut run, verified, parties) = match begin(plane, view, prev, time, transaction)? {
        Ok(begun) => begun,
        Err(reject) => return Ok(Err(reject)),
    };
    let mut terms = run.terms();
    terms.gas_price = gas_price;
    let payable = match run.judge(&verified, parties[0], &terms) {
        Ok(payable) => payable,
        Err(reject) => return Ok(Err(reject)),
    };
    let outcome = *run.log_transaction(payable, &parties);
    let refused = run.take_refused();
    if outcome.is_applied() == refused.is_some() {
        return Err(ExecuteError::Inconsistent("what is applied is not refused").into());
    }
    Ok(Ok(Simulated { outcome, refused }))
}

/// Reads what [`simulate`] reads, and executes nothing: so that who shares a state holds it no longer than that takes.
pub fn look_up(
    plane: &Plane,
    view: &impl StateView,
    prev: PlaneState,
    time: u64,
    transaction: Transaction,
) -> Result<(), Halt> {
    begin(plane, view, prev, time, transaction).map(drop)
}

type Begun<'a> = (Run<'a>, Verified, Vec<AccountId>);

fn begin<'a>(
    plane: &'a Plane,
    view: &'a impl StateView,
    prev: PlaneState,
    time: u64,
    transaction: Transaction,
) -> Result<Result<Begun<'a>, Reject>, Halt> {
    let verified = match unsigned(plane, view, transaction)? {
        Ok(verified) => verified,
        Err(reject) => return Ok(Err(reject)),
    };
    let mut run = Run::new(plane, view, prev, (0, time), 1)?;
    let mut parties = Vec::new();
    run.reach_transaction(&verified, &mut parties);
    run.read(view)?;
    run.working.count_all();
    run.check_witness()?;
    Ok(Ok((run, verified, parties)))
}
