//! The prover.

use crate::air::TableAir;
use crate::codec::encode;
use crate::config::{Settings, config, lookups};
use crate::security::{BITS_MIN, SecurityReport};
use crate::stark::{Form, prove_tables};
use crate::statement::{BatchClaim, Statement};
use crate::trace::{Draft, Traces};
use crate::verify::{VerifyError, verify};
use crate::witness::BatchWitness;
use ghostplane_types::{AssetId, SlotIndex};
use rayon::ThreadPool;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why there is no proof. Whoever brought statement and witnesses together is wrong, but for the last.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProveError {
    /// Not one witness for each batch.
    #[error("{witnesses} witnesses for {batches} batches")]
    Witnesses {
        /// Batches of the statement.
        batches: usize,
        /// Witnesses given.
        witnesses: usize,
    },
    /// A witness has another number of entries than its batch.
    #[error("the witness of batch {batch} of the statement has {found} entries, the header says {expected}")]
    Entries {
        /// Place of the batch in the statement.
        batch: usize,
        /// Entries of the witness.
        found: usize,
        /// Entries of the header.
        expected: u32,
    },
    /// An entry moves what is not there, or to where it cannot go.
    #[error("entry {entry} of batch {batch} of the statement {what}")]
    Entry {
        /// Place of the batch in the statement.
        batch: usize,
        /// Place of the entry in the journal.
        entry: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The entries do not lead from the old balance of a slot to the new one.
    #[error("the entries of batch {batch} of the statement lead to {found} in slot {}, not {expected}", .slot.index())]
    Balance {
        /// Place of the batch in the statement.
        batch: usize,
        /// Which slot.
        slot: SlotIndex,
        /// Where the entries lead.
        found: u64,
        /// What the changes say.
        expected: u64,
    },
    /// The entries do not issue and retire what the flows say.
    #[error("the entries of batch {batch} of the statement issue or retire another sum of {asset} than its flows say")]
    Flows {
        /// Place of the batch in the statement.
        batch: usize,
        /// Which asset.
        asset: AssetId,
    },
    /// More than one proof covers.
    #[error(
        "{entries} entries, {slots} slots and {nodes} nodes are more than one proof covers; prove fewer batches at once"
    )]
    TooLarge {
        /// Journal entries.
        entries: usize,
        /// Touched slots.
        slots: usize,
        /// Nodes on their ways.
        nodes: usize,
    },
    /// A proof of this size would be worth too little.
    #[error("a proof of this size would be worth fewer than {BITS_MIN} bits; prove fewer batches at once")]
    Weak,
    /// The proof was made, and does not verify: roots or digests of the statement are not those of the witnesses.
    #[error("the proof does not verify, so the witnesses do not lead to what the headers claim: {0}")]
    DoesNotVerify(VerifyError),
    /// The proof system failed. We are wrong.
    #[error("the proof system failed: {0}")]
    System(String),
}

/// What a prover does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Runs the entries over the balances, and lays them out.
    Check,
    /// Fills the tables in.
    Trace,
    /// Makes the proof.
    Prove,
    /// Verifies it.
    Verify,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Check, Self::Trace, Self::Prove, Self::Verify];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Trace => "trace",
            Self::Prove => "prove",
            Self::Verify => "verify",
        }
    }
}

/// Proves a statement, with the threads of `pool`, and verifies the proof before it is given away.
///
/// The same statement and witnesses give the same bytes, however many threads there are.
///
/// # Errors
/// [`ProveError`] if the witnesses do not show the statement.
pub fn prove(statement: &Statement, witnesses: &[BatchWitness], pool: &ThreadPool) -> Result<Vec<u8>, ProveError> {
    prove_with(statement, witnesses, Settings::Fast, pool, &mut |_| ())
}

/// Proves a statement as [`prove`] does, with these settings, and tells of each phase as it begins.
///
/// # Errors
/// [`ProveError`] if the witnesses do not show the statement.
pub fn prove_with(
    statement: &Statement,
    witnesses: &[BatchWitness],
    settings: Settings,
    pool: &ThreadPool,
    begins: &mut (dyn FnMut(Phase) + Send),
) -> Result<Vec<u8>, ProveError> {
    pool.install(|| {
        begins(Phase::Check);
        let (checked, draft) =
            rayon::join(|| check(statement, witnesses), || Draft::new(statement, witnesses, settings));
        checked?;
        begins(Phase::Trace);
        let traces = draft?.finish();
        if !SecurityReport::new(statement, &traces.layout, settings).is_enough() {
            return Err(ProveError::Weak);
        }
        begins(Phase::Prove);
        let bytes = prove_traces(statement, traces, settings)?;
        begins(Phase::Verify);
        verify(statement, &bytes).map_err(ProveError::DoesNotVerify)?;
        Ok(bytes)
    })
}

/// Proves that tables keep their constraints. Tables that do not give bytes that do not verify.
pub(crate) fn prove_traces(statement: &Statement, traces: Traces, settings: Settings) -> Result<Vec<u8>, ProveError> {
    let Traces { layout, tables } = traces;
    let airs = TableAir::all(statement, &layout);
    let (forms, lookups) = (Form::all(layout.is_wide()), lookups(layout.is_wide()));
    let proof = prove_tables(&config(statement, settings), settings.parameters(), forms, lookups, &airs, &tables);
    let proof = proof.map_err(ProveError::System)?;
    Ok(encode(&layout, settings, &proof))
}

/// Runs the entries over the balances: what cannot be proved is told here, entry by entry, before any work.
fn check(statement: &Statement, witnesses: &[BatchWitness]) -> Result<(), ProveError> {
    if statement.batches().len() != witnesses.len() {
        return Err(ProveError::Witnesses { batches: statement.batches().len(), witnesses: witnesses.len() });
    }
    for (batch, (claim, witness)) in statement.batches().iter().zip(witnesses).enumerate() {
        let found = witness.entries.len();
        if u32::try_from(found) != Ok(claim.entries) {
            return Err(ProveError::Entries { batch, found, expected: claim.entries });
        }
        check_batch(batch, claim, witness)?;
    }
    Ok(())
}

fn check_batch(batch: usize, claim: &BatchClaim, witness: &BatchWitness) -> Result<(), ProveError> {
    let mut balances: Vec<u64> =
        witness.slots.iter().map(|slot| slot.old.map_or(0, |old| old.balance.units())).collect();
    let mut flows: BTreeMap<AssetId, (u64, u64)> = BTreeMap::new();
    for (entry, moved) in witness.entries.iter().enumerate() {
        let wrong = |what| ProveError::Entry { batch, entry, what };
        let find = |index: SlotIndex| -> Result<Option<usize>, ProveError> {
            if index.is_outside() {
                return Ok(None);
            }
            let found = witness.slots.binary_search_by_key(&index, |slot| slot.index);
            found.map(Some).map_err(|_| wrong("names a slot that the witness does not have"))
        };
        let (from, to) = (find(moved.from)?, find(moved.to)?);
        let assets = [from, to].map(|slot| slot.map(|at| witness.slots[at].new.asset));
        let asset = match assets {
            [Some(a), Some(b)] if a != b => return Err(wrong("moves between slots of two assets")),
            [None, None] => return Err(wrong("moves from the outside to the outside")),
            [a, b] => a.or(b).expect("one of them is a slot"),
        };
        if from == to {
            return Err(wrong("moves from a slot to itself"));
        }
        let amount = moved.amount.units();
        let (issued, retired) = flows.entry(asset).or_default();
        let payer = from.map_or(&mut *issued, |at| &mut balances[at]);
        *payer = match from {
            Some(_) => payer.checked_sub(amount).ok_or_else(|| wrong("overdraws a slot"))?,
            None => payer.checked_add(amount).ok_or_else(|| wrong("issues more than there can be"))?,
        };
        let payee = to.map_or(retired, |at| &mut balances[at]);
        let sum = payee.checked_add(amount).filter(|sum| *sum < 1 << 63);
        *payee = sum.ok_or_else(|| wrong("leaves a slot with more than there can be"))?;
    }
    for (slot, found) in witness.slots.iter().zip(balances) {
        let expected = slot.new.balance.units();
        if found != expected {
            return Err(ProveError::Balance { batch, slot: slot.index, found, expected });
        }
    }
    for flow in &claim.flows {
        let (issued, retired) = flows.remove(&flow.asset).unwrap_or_default();
        if (issued, retired) != (flow.issued.units(), flow.retired.units()) {
            return Err(ProveError::Flows { batch, asset: flow.asset });
        }
    }
    match flows.into_iter().find(|(_, sums)| *sums != (0, 0)) {
        Some((asset, _)) => Err(ProveError::Flows { batch, asset }),
        None => Ok(()),
    }
}
