//! Replay: executing a committed batch with nothing but its data and a witness, and comparing.

use crate::Plane;
use crate::batch::{BatchError, ExecutedBatch, ProposedBatch, SealedBatch};
use crate::execute::{Halt, InvalidBatch, execute};
use crate::explain::{Explained, explain};
use crate::meter::Metered;
use crate::posted::{self, PostedBatch, PostedError};
use crate::verify::{KnownKeys, Verified, check_inbox, check_inbox_with, verify_with};
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_keystone::{Keystone, Missing, Recorder, StateView, Witness};
use ghostplane_types::batch::PROTOCOL;
use ghostplane_types::codec::{Decode, Encode};
use ghostplane_types::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BATCH_GAS_MAX, WITNESS_BYTES_MAX};
use ghostplane_types::{BatchHeader, InboxEntry, PlaneState, Reject};
use thiserror::Error;

/// One claimed batch and all that is needed to judge it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The plane's rules.
    pub plane: &'a Plane,
    /// The generation the claim was made in.
    pub generation: u32,
    /// The state before the batch, as the header before it states it.
    pub prev: &'a PlaneState,
    /// The inbox from the first entry that `prev` has not consumed; more than the batch takes may follow.
    pub inbox: &'a [InboxEntry],
    /// The batch's data.
    pub posted: &'a [u8],
    /// An encoded [`Witness`] of the state before the batch.
    pub witness: &'a [u8],
    /// What was claimed.
    pub claimed: &'a BatchHeader,
}

/// What a replay finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The claim is what the rules give.
    Same,
    /// The claim is false.
    Differs(Difference),
    /// The witness is not one of this state, or says too little. Says nothing about the claim.
    Insufficient(String),
}

/// How a claim is false. The code is stable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Difference {
    /// The header breaks a limit or names another protocol, generation or number.
    #[error("the header's {0} is outside what the rules allow")]
    Header(&'static str),
    /// The data is not a batch on this state.
    #[error("the data does not decode: {0}")]
    Data(PostedError),
    /// It consumes inbox entries that do not exist.
    #[error("it consumes {claimed} inbox entries, the L1 has {available}")]
    Inbox {
        /// How many the data says.
        claimed: u64,
        /// How many there are.
        available: usize,
    },
    /// The data is no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A transaction that does not verify.
    #[error("transaction {position} does not verify: {reject}")]
    Unverified {
        /// Which one, counted from 0.
        position: usize,
        /// Why.
        reject: Reject,
    },
    /// The batch contains what no batch may contain.
    #[error(transparent)]
    Invalid(#[from] InvalidBatch),
    /// Executed honestly, this field comes out differently.
    #[error("the header's {0} is not what execution gives")]
    Field(&'static str),
}

/// The code and name of every kind of difference, ascending by code.
pub const DIFFERENCE_CODES: &[(u16, &str)] = &[
    (500, "Header"),
    (501, "Data"),
    (502, "Inbox"),
    (503, "Batch"),
    (504, "Unverified"),
    (505, "Invalid"),
    (506, "Field"),
];

impl Difference {
    /// The stable number of this kind of difference.
    pub fn code(&self) -> u16 {
        match self {
            Self::Header(_) => 500,
            Self::Data(_) => 501,
            Self::Inbox { .. } => 502,
            Self::Batch(_) => 503,
            Self::Unverified { .. } => 504,
            Self::Invalid(_) => 505,
            Self::Field(_) => 506,
        }
    }
}

/// Judges a claim.
pub fn replay(case: &Case<'_>, workers: &dyn Workers) -> Verdict {
    match judge(case, workers) {
        Ok(()) => Verdict::Same,
        Err(Stop::Differs(difference)) => Verdict::Differs(difference),
        Err(Stop::Insufficient(reason)) => Verdict::Insufficient(reason),
    }
}

/// Builds the witness that lets anybody replay the batch with this data. `keystone` is the state before the batch.
///
/// Works for dishonest data as well: everything that a replay reads before it stops is in the witness.
pub fn witness(
    plane: &Plane,
    keystone: &Keystone,
    prev: &PlaneState,
    inbox: &[InboxEntry],
    posted: &[u8],
    workers: &dyn Workers,
) -> Witness {
    let recorder = Recorder::new(keystone);
    let executed = Posting { plane, generation: 0, prev, inbox, posted, workers }.run(&recorder);
    let changes = executed.map(|executed| executed.changes().clone()).unwrap_or_default();
    keystone.witness(&recorder.touched(), &changes)
}

/// Executes a posted batch on any view of the state before it, without a claim to compare with.
pub fn execute_posted(
    plane: &Plane,
    view: &impl StateView,
    prev: &PlaneState,
    generation: u32,
    inbox: &[InboxEntry],
    posted: &[u8],
    workers: &dyn Workers,
) -> Result<ExecutedBatch, Stop> {
    Posting { plane, generation, prev, inbox, posted, workers }.run(view)
}

/// Why a record of a posted batch was refused, found out on any view of the state before it: see [`crate::explain()`]. `at` is
/// the record's place in the batch, inbox entries first. `None` if it has no such record.
pub fn explain_posted(
    plane: &Plane,
    view: &impl StateView,
    prev: &PlaneState,
    inbox: &[InboxEntry],
    posted: &[u8],
    at: usize,
    workers: &dyn Workers,
) -> Result<Option<Explained>, Stop> {
    let proposed = Posting { plane, generation: 0, prev, inbox, posted, workers }.propose(view)?;
    explain(plane, view, &proposed, at).map_err(Stop::from)
}

/// Why a posted batch has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stop {
    /// It cannot be a batch.
    #[error(transparent)]
    Differs(Difference),
    /// The state given says too little, or cannot be.
    #[error("{0}")]
    Insufficient(String),
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Self {
        Self::Insufficient(missing.to_string())
    }
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Missing(missing) => missing.into(),
            Halt::Invalid(invalid) => Difference::Invalid(invalid).into(),
            // A state that its own root admits and that no rule could have made: the fault lies before this batch.
            Halt::Fault(fault) => Self::Insufficient(fault.to_string()),
        }
    }
}

impl From<Difference> for Stop {
    fn from(difference: Difference) -> Self {
        Self::Differs(difference)
    }
}

fn judge(case: &Case<'_>, workers: &dyn Workers) -> Result<(), Stop> {
    check_header(case)?;
    if case.witness.len() > WITNESS_BYTES_MAX {
        return Err(Stop::Insufficient(format!("a witness has at most {WITNESS_BYTES_MAX} bytes")));
    }
    let witness = Witness::from_bytes(case.witness).map_err(|error| Stop::Insufficient(error.to_string()))?;
    let view = witness.verify(&case.prev.roots).map_err(|error| Stop::Insufficient(error.to_string()))?;
    let Case { plane, generation, prev, inbox, posted, .. } = *case;
    let executed = Posting { plane, generation, prev, inbox, posted, workers }.run(&view)?;
    let roots = view.roots_after(executed.changes(), workers);
    let roots = roots.map_err(|error| Stop::Insufficient(error.to_string()))?;
    compare(executed.seal(case.plane, roots).header(), case.claimed)
}

/// What is wrong with a header on its own needs no witness.
fn check_header(case: &Case<'_>) -> Result<(), Difference> {
    let claimed = case.claimed;
    let plane_id = case.plane.plane_id();
    let rules = [
        (Some(claimed.number) == case.prev.number.checked_add(1), "number"),
        (claimed.protocol == PROTOCOL, "protocol"),
        (claimed.generation == case.generation, "generation"),
        (claimed.prev_state == case.prev.digest(case.plane.chain_id(), &plane_id), "prev_state"),
        (claimed.bytes as usize <= BATCH_BYTES_MAX && claimed.bytes as usize == case.posted.len(), "bytes"),
        (claimed.gas <= BATCH_GAS_MAX, "gas"),
        (claimed.entries as usize <= BATCH_ENTRIES_MAX, "entries"),
    ];
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, field)| Err(Difference::Header(field)))
}

/// No plane counts this far. A state that says so is false, and the fault lies before this batch.
const COUNT_LIMIT: u64 = 1 << 62;

/// A posted batch, and all that executing it takes besides the state.
struct Posting<'a> {
    plane: &'a Plane,
    generation: u32,
    prev: &'a PlaneState,
    inbox: &'a [InboxEntry],
    posted: &'a [u8],
    workers: &'a dyn Workers,
}

impl Posting<'_> {
    fn run(&self, view: &impl StateView) -> Result<ExecutedBatch, Stop> {
        let Self { plane, prev, .. } = self;
        if [prev.number, prev.inbox_upto, prev.log_upto, prev.outbox_upto].iter().any(|count| *count >= COUNT_LIMIT) {
            return Err(Stop::Insufficient("the state before the batch counts further than a plane can".into()));
        }
        let metered = Metered::new(view);
        let executed = self.propose(&metered).and_then(|batch| execute(plane, &metered, &batch).map_err(Stop::from));
        match metered.too_much() {
            Some(bytes) => Err(Difference::Invalid(InvalidBatch::Witness { bytes }).into()),
            None => executed,
        }
    }

    /// Decodes it, and checks all that is checked of a batch before it is executed.
    fn propose(&self, view: &impl StateView) -> Result<ProposedBatch, Stop> {
        let Self { plane, generation, prev, inbox, posted, workers } = self;
        let batch = match posted::decode(plane, view, prev, posted) {
            Ok(batch) => batch,
            Err(PostedError::Missing(missing)) => return Err(missing.into()),
            Err(error) => return Err(Difference::Data(error).into()),
        };
        let consumed = usize::try_from(batch.inbox).ok().and_then(|count| inbox.get(..count));
        let consumed = consumed.ok_or(Difference::Inbox { claimed: batch.inbox, available: inbox.len() })?;
        // One memory of keys for both: who registers through the inbox may act in the log of the same batch.
        let mut keys = KnownKeys::new(view);
        let inbox = check_inbox_with(plane, view, &mut keys, consumed)?;
        let verified = verify_with(plane, view, &mut keys, *workers, batch.transactions)?;
        let numbered = verified.into_iter().enumerate();
        let verified = numbered
            .map(|(position, checked)| checked.map_err(|reject| Difference::Unverified { position, reject }))
            .collect::<Result<Vec<Verified>, Difference>>()?;
        let proposed = ProposedBatch::new(**prev, *generation, batch.time, inbox, verified, posted.len());
        Ok(proposed.map_err(Difference::Batch)?)
    }
}

fn compare(executed: &BatchHeader, claimed: &BatchHeader) -> Result<(), Stop> {
    let fields = [
        (executed.time == claimed.time, "time"),
        (executed.ledger_root == claimed.ledger_root, "ledger_root"),
        (executed.object_root == claimed.object_root, "object_root"),
        (executed.slots_used == claimed.slots_used, "slots_used"),
        (executed.objects_used == claimed.objects_used, "objects_used"),
        (executed.inbox_upto == claimed.inbox_upto, "inbox_upto"),
        (executed.log_upto == claimed.log_upto, "log_upto"),
        (executed.outbox_upto == claimed.outbox_upto, "outbox_upto"),
        (executed.log_root == claimed.log_root, "log_root"),
        (executed.outbox_root == claimed.outbox_root, "outbox_root"),
        (executed.journal_digest == claimed.journal_digest, "journal_digest"),
        (executed.flows_digest == claimed.flows_digest, "flows_digest"),
        (executed.entries == claimed.entries, "entries"),
        (executed.gas == claimed.gas, "gas"),
        (executed.to_bytes() == claimed.to_bytes(), "remaining fields"),
    ];
    let difference = fields.iter().find(|(same, _)| !same);
    difference.map_or(Ok(()), |(_, field)| Err(Difference::Field(field).into()))
}

/// The live path in one call: encodes, checks, executes, applies and seals a batch of transactions that all verified.
///
/// On any error the state is as it was.
pub fn produce(
    plane: &Plane,
    keystone: &mut Keystone,
    prev: &PlaneState,
    generation: u32,
    inbox: &[InboxEntry],
    batch: Produced,
    workers: &dyn Workers,
) -> Result<(SealedBatch, Vec<u8>), ProduceError> {
    let Produced { time, transactions } = batch;
    let plain = transactions.iter().map(|verified| verified.transaction().clone()).collect();
    let form = PostedBatch { time, inbox: inbox.len() as u64, transactions: plain };
    let posted = posted::encode(plane, keystone, prev, &form)?;
    let checked = check_inbox(plane, keystone, inbox).map_err(Halt::Missing)?;
    let proposed = ProposedBatch::new(*prev, generation, time, checked, transactions, posted.len())?;
    let executed = execute(plane, keystone, &proposed)?;
    let roots = keystone.apply(executed.changes(), workers).map_err(ProduceError::Apply)?;
    Ok((executed.seal(plane, roots), posted))
}

/// What [`produce`] makes a batch of.
#[derive(Clone, Debug)]
pub struct Produced {
    /// The batch's time.
    pub time: u64,
    /// Its transactions, in order.
    pub transactions: Vec<Verified>,
}

/// Why no batch was produced.
#[derive(Debug, Error)]
pub enum ProduceError {
    /// No posted form.
    #[error(transparent)]
    Posted(#[from] PostedError),
    /// Not a batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// No result.
    #[error(transparent)]
    Halt(#[from] Halt),
    /// The state would not take the changes.
    #[error(transparent)]
    Apply(ghostplane_keystone::ApplyError),
}
