use crate as proof;
#[path = "../fixtures/ledger.rs"]
mod ledger;

mod attacks;
mod constraints;
mod fuzz;
mod honest;
mod hostile;
mod mutants;
mod tables;
mod twins;
mod witnesses;

use crate::Settings;
use crate::prove::prove_traces;
use crate::statement::{BatchClaim, Statement};
use crate::trace::{Draft, Traces};
use crate::{ThreadPool, ThreadPoolBuilder, VerifyError, verify};

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}

/// What the verifier says to tables.
fn judge(statement: &Statement, traces: Traces) -> Result<(), String> {
    let made = pool(2).install(|| prove_traces(statement, traces, Settings::Fast));
    let bytes = made.map_err(|error| error.to_string())?;
    verify(statement, &bytes).map(drop).map_err(|error| match error {
        VerifyError::Invalid { reason } => reason,
        other => panic!("a lie in the right form is refused for what it says, not for {other}"),
    })
}

/// A statement with other claims about the same plane.
fn claimed(statement: &Statement, change: impl FnOnce(&mut Vec<BatchClaim>)) -> Statement {
    let mut claims = statement.batches().to_vec();
    change(&mut claims);
    Statement::claimed(statement.plane_id(), claims)
}

fn finish(draft: Draft) -> Traces {
    pool(2).install(|| draft.finish())
}
