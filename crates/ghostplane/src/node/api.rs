//! What the node's interfaces ask of it and get: plain values, the same for gRPC, HTTP and the process itself.

pub use ghostplane_client::Rung;
use ghostplane_ghostcipher::{Digest, FieldDigest, merkle};
use ghostplane_keystone::{ObjectProof, SlotProof};
use ghostplane_sequencer::Refusal as SequencerRefusal;
use ghostplane_types::genesis::GenesisAsset;
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, AssetRecord, BatchHeader, Commitment, Credential, ManaNow, ObjectKey,
    Outcome, Reject, SignedFlush, Source, Transaction, Withdrawal,
};
use std::sync::Arc;
use thiserror::Error;

/// Why a transaction is not executed. A final answer: nothing was charged and no number used up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The sequencer says so; the sender's mistakes are among its reasons.
    #[error(transparent)]
    Sequencer(#[from] SequencerRefusal),
    /// Everything that checks signatures is taken.
    #[error("busy checking others, try again in {retry_after_ms} ms")]
    Busy {
        /// When there should be room.
        retry_after_ms: u64,
    },
    /// The node is about to stop.
    #[error("the node is stopping, try again in {retry_after_ms} ms")]
    Stopping {
        /// When it may be back.
        retry_after_ms: u64,
    },
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self::Sequencer(reject.into())
    }
}

/// The code and name of every way in which a node, rather than a rule, turns something down; ascending by code.
pub const NODE_CODES: &[(u16, &str)] = &[
    (700, "Busy"),
    (701, "DiskFull"),
    (702, "Underpriced"),
    (703, "Known"),
    (704, "Replaced"),
    (705, "Evicted"),
    (706, "Unfit"),
    (707, "Reverted"),
    (708, "Stopping"),
    (710, "NotFound"),
    (711, "BadRequest"),
    (712, "Unavailable"),
    (713, "TimedOut"),
    (714, "Unimplemented"),
];

impl Refusal {
    /// The stable number: the same over every interface.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Sequencer(SequencerRefusal::Reject(reject)) => reject.code(),
            Self::Sequencer(SequencerRefusal::Busy { .. }) | Self::Busy { .. } => 700,
            Self::Sequencer(SequencerRefusal::DiskFull { .. }) => 701,
            Self::Sequencer(SequencerRefusal::Underpriced { .. }) => 702,
            Self::Sequencer(SequencerRefusal::Known) => 703,
            Self::Sequencer(SequencerRefusal::Replaced { .. }) => 704,
            Self::Sequencer(SequencerRefusal::Evicted) => 705,
            Self::Sequencer(SequencerRefusal::Unfit) => 706,
            Self::Sequencer(SequencerRefusal::Reverted) => 707,
            Self::Stopping { .. } => 708,
        }
    }

    /// The stable name of the code.
    #[must_use]
    pub fn name(&self) -> &'static str {
        code_name(self.code())
    }

    /// When to try again, in milliseconds, if that helps; 0 if not.
    #[must_use]
    pub fn retry_after_ms(&self) -> u64 {
        match self {
            Self::Sequencer(
                SequencerRefusal::Busy { retry_after_ms } | SequencerRefusal::DiskFull { retry_after_ms },
            )
            | Self::Busy { retry_after_ms }
            | Self::Stopping { retry_after_ms } => *retry_after_ms,
            Self::Sequencer(_) => 0,
        }
    }
}

/// The name of an outcome's, rejection's or node's code; "applied" for 0.
#[must_use]
pub fn code_name(code: u16) -> &'static str {
    if code == Outcome::APPLIED {
        return "applied";
    }
    let all = ghostplane_types::reject::REJECT_CODES.iter().chain(NODE_CODES);
    all.chain(ghostplane_settlement::REFUSAL_CODES)
        .chain(ghostplane_ghostbridge::L1_REFUSAL_CODES)
        .find(|(known, _)| *known == code)
        .map_or("unknown", |(_, name)| name)
}

/// A query that cannot be answered.
#[derive(Debug, Error)]
pub enum QueryError {
    /// There is no such thing.
    #[error("{what} not found")]
    NotFound {
        /// What was asked for.
        what: &'static str,
    },
    /// Older than what this node keeps.
    #[error("{what} is older than what this node keeps")]
    Pruned {
        /// What was asked for.
        what: &'static str,
    },
    /// As many wait for such an answer as may.
    #[error("too many ask for such work of the node, try again in {} ms", Self::BUSY_AGAIN_AFTER_MS)]
    Busy,
    /// The node cannot say, now.
    #[error("the node cannot answer: {0}")]
    Unavailable(String),
    /// A later release does it.
    #[error("unimplemented: {0}")]
    Unimplemented(&'static str),
}

impl QueryError {
    /// When there should be room again.
    pub const BUSY_AGAIN_AFTER_MS: u64 = 1_000;

    /// The stable number, among [`NODE_CODES`].
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::NotFound { .. } | Self::Pruned { .. } => 710,
            Self::Busy => 700,
            Self::Unavailable(_) => 712,
            Self::Unimplemented(_) => 714,
        }
    }
}

/// What would become of a transaction.
#[derive(Clone, Debug)]
pub struct SimulationView {
    /// What, fee and gas included.
    pub outcome: Outcome,
    /// Why it would not be applied, if it would not.
    pub refusal: Option<ghostplane_engine::Refusal>,
}

/// One durable flush: the promise, and the tree that opens it.
#[derive(Clone, Debug)]
pub struct Flushed {
    /// The sequencer's signed promise.
    pub signed: SignedFlush,
    /// The tree under its root; its leaves are the ids of the flush's transactions.
    pub tree: merkle::Tree,
    /// How many there are.
    pub count: u32,
}

impl Flushed {
    /// The path of the transaction at a log position.
    #[must_use]
    pub fn path(&self, position: u64) -> Option<merkle::Path> {
        self.tree.path(position.checked_sub(self.signed.flush.first_position)?)
    }
}

/// What became of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutedRecord {
    /// The transaction.
    pub tx_id: Digest,
    /// Its place in the log.
    pub position: u64,
    /// The batch that includes it.
    pub batch: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// Answers to submissions of one stream that became known together. References are the submitter's own.
#[derive(Clone, Debug)]
pub enum Answers {
    /// Executed and durable, by the same flush.
    Executed {
        /// That flush.
        flushed: Arc<Flushed>,
        /// Whom it answers, and what.
        records: Vec<(u64, ExecutedRecord)>,
    },
    /// Not executed.
    Refused(Vec<(u64, Refusal)>),
}

/// What is said about a transaction that was executed.
#[derive(Clone, Debug)]
pub struct TransactionView {
    /// What became of it.
    pub record: ExecutedRecord,
    /// How far its batch has come.
    pub rung: Rung,
    /// The transaction, if the node still has it.
    pub transaction: Option<Transaction>,
    /// The batch's time; `None` while it is not sealed.
    pub time: Option<u64>,
}

/// A receipt.
#[derive(Clone, Debug)]
pub struct ReceiptView {
    /// The promise and its tree.
    pub flushed: Arc<Flushed>,
    /// What became of the transaction.
    pub record: ExecutedRecord,
}

/// An account as of the newest sealed batch.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// Whose.
    pub address: Address,
    /// Its number and record, if it exists.
    pub account: Option<(u32, AccountRecord)>,
    /// Every asset it has a slot of.
    pub balances: Vec<BalanceView>,
    /// What pays for gas besides credits, at some time.
    pub mana: ManaView,
    /// Header of the batch whose state this is; that of genesis before the first.
    pub header: BatchHeader,
    /// Proof of the record, or that there is none; if asked for.
    pub proof: Option<ObjectProof>,
    /// How far that batch has come.
    pub rung: Rung,
}

/// The mana of an account that does nothing else, at some time. Everything follows from its record and its balance of ZMAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManaView {
    /// That time, in milliseconds; not before the batch whose state it is.
    pub at: u64,
    /// Gas that base grant and mana pay then.
    pub now: ManaNow,
    /// Gas that its ZMAN regenerates in a window.
    pub per_window: u64,
    /// The most gas that it saves up.
    pub cap: u64,
    /// Gas of the base grant in every window.
    pub grant: u64,
}

/// A credential as of the newest sealed batch, or that there is none.
#[derive(Clone, Debug)]
pub struct CredentialView {
    /// The credential.
    pub credential: Option<Credential>,
    /// Header of the batch whose state this is.
    pub header: BatchHeader,
    /// Proof of it, or that there is none; if asked for.
    pub proof: Option<ObjectProof>,
    /// How far that batch has come.
    pub rung: Rung,
}

/// A page of an account's credentials.
#[derive(Clone, Debug)]
pub struct CredentialsView {
    /// The credentials.
    pub credentials: Vec<Credential>,
    /// Where the next page starts.
    pub resume_after: Option<ObjectKey>,
    /// Header of the batch whose state this is.
    pub header: BatchHeader,
    /// How far that batch has come.
    pub rung: Rung,
}

/// One balance.
#[derive(Clone, Debug)]
pub struct BalanceView {
    /// Of which asset.
    pub asset: AssetId,
    /// How much.
    pub amount: Amount,
    /// Its symbol and decimals, if genesis or its issuer has told them.
    pub named: Option<(Vec<u8>, u8)>,
    /// In which slot.
    pub slot: u32,
    /// Proof of the slot, if asked for.
    pub proof: Option<SlotProof>,
}

/// An asset.
#[derive(Clone, Debug)]
pub struct AssetView {
    /// Which.
    pub asset: AssetId,
    /// What there is to know of it; nothing if there is none.
    pub known: Option<KnownAsset>,
    /// Header of the batch whose state this is.
    pub header: BatchHeader,
    /// Proof of the registration, or that there is none; if asked for, and of the plane's own only.
    pub proof: Option<ObjectProof>,
    /// How far that batch has come.
    pub rung: Rung,
}

/// What there is to know of an asset.
#[derive(Clone, Debug)]
pub enum KnownAsset {
    /// The L1 holds it for the plane; genesis has its terms.
    Bridged(GenesisAsset),
    /// Somebody has registered it.
    Own(AssetRecord),
}

impl KnownAsset {
    /// Its symbol.
    #[must_use]
    pub fn symbol(&self) -> &[u8] {
        match self {
            Self::Bridged(known) => &known.symbol,
            Self::Own(record) => &record.symbol,
        }
    }

    /// Its decimals.
    #[must_use]
    pub const fn decimals(&self) -> u8 {
        match self {
            Self::Bridged(known) => known.decimals,
            Self::Own(record) => record.decimals,
        }
    }
}

/// Some of the assets there are.
#[derive(Clone, Debug)]
pub struct AssetsView {
    /// Bridged ones first.
    pub assets: Vec<AssetView>,
    /// Where the list goes on, if it does.
    pub next: Option<ObjectKey>,
}

/// A batch.
#[derive(Clone, Debug)]
pub struct BatchView {
    /// What it claims.
    pub header: BatchHeader,
    /// How far it has come.
    pub rung: Rung,
    /// Transactions of the log in it.
    pub transactions: u32,
    /// Inbox entries in it.
    pub inbox_entries: u32,
    /// What became of each, in order, if asked for.
    pub records: Vec<(Source, Digest, Outcome)>,
    /// Its posted form, if asked for and still kept.
    pub posted: Option<Vec<u8>>,
}

/// A proof that the L1 took.
#[derive(Clone, Debug)]
pub struct ProofView {
    /// The first batch that it is over.
    pub first_batch: u64,
    /// The last batch that it is over.
    pub last_batch: u64,
    /// A [`ghostplane_settlement::ProofBundle`] in canonical form.
    pub bundle: Vec<u8>,
}

/// A withdrawal.
#[derive(Clone, Debug)]
pub struct WithdrawalView {
    /// What leaves.
    pub withdrawal: Withdrawal,
    /// The batch that made it.
    pub batch: u64,
    /// How far that has come.
    pub rung: Rung,
    /// Whether it was paid out.
    pub claimed: bool,
    /// What claims it, once its batch is committed.
    pub claim: Option<ghostplane_settlement::Message>,
}

/// The commitment that a batch is under.
#[derive(Clone, Debug)]
pub struct CommitmentView {
    /// The commitment.
    pub commitment: Commitment,
    /// Header of the batch.
    pub header: BatchHeader,
    /// Its path under the commitment's `headers_root`.
    pub path: merkle::Path,
    /// The L1 block that took it.
    pub l1_height: u64,
    /// How far it has come.
    pub rung: Rung,
}

/// How plane and L1 stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeView {
    /// The newest L1 block.
    pub l1_height: u64,
    /// Its time.
    pub l1_time: u64,
    /// The last batch with a commitment.
    pub committed: u64,
    /// The last final batch.
    pub final_batch: u64,
    /// The index that the next inbox entry gets.
    pub inbox_end: u64,
    /// Inbox entries that sealed batches have consumed.
    pub inbox_consumed: u64,
    /// The plane's generation at the L1.
    pub generation: u32,
    /// What answers for the operator.
    pub bond: Amount,
    /// What is held for the plane.
    pub escrow: Vec<(AssetId, Amount)>,
    /// Open cases.
    pub cases: u32,
    /// Commitments that are not final as a whole.
    pub pending: u64,
    /// Digest of the settlement's state.
    pub digest: Digest,
}

/// What came of a message that an L1 block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentToL1 {
    /// The block.
    pub l1_height: u64,
    /// What came about, in words.
    pub events: Vec<String>,
    /// For a deposit or a forced transaction: the index of its inbox entry.
    pub inbox_index: Option<u64>,
}

/// Why the L1 refuses a message. Nothing of it is in any block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct L1Refused {
    /// The stable number: 300 to 499 the settlement's, 600 to 699 the L1's own, 700 to 799 the node's.
    pub code: u16,
    /// What was found and what was needed.
    pub message: String,
    /// Whether the same message can be taken later as it is.
    pub retryable: bool,
}

/// Whether the node serves, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It takes transactions.
    Ready,
    /// It reads its log.
    Replaying,
    /// Its disk has no room: it answers queries and takes nothing.
    DiskFull,
    /// It is about to stop.
    Stopping,
}

impl Condition {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Replaying => "replaying",
            Self::DiskFull => "disk full",
            Self::Stopping => "stopping",
        }
    }
}

/// How the node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusView {
    /// Whether it serves.
    pub condition: Condition,
    /// The newest sealed batch.
    pub batch: u64,
    /// Its time.
    pub batch_time: u64,
    /// The log position that is next.
    pub log_position: u64,
    /// The last batch with a commitment on the L1.
    pub committed: u64,
    /// The last batch up to which all are proven, replayed or final.
    pub proven: u64,
    /// The last final batch.
    pub final_batch: u64,
    /// The newest L1 block.
    pub l1_height: u64,
    /// The plane's generation.
    pub generation: u32,
    /// Since the node started.
    pub uptime_ms: u64,
    /// Objects of the newest state.
    pub objects_used: u32,
    /// Slots of the newest state.
    pub slots_used: u32,
    /// Transactions in the pool and the most there can be.
    pub pool: Bounded,
    /// Bytes in the pool and the most there can be.
    pub pool_bytes: Bounded,
    /// Transactions whose signature is being or waits to be checked.
    pub verifying: Bounded,
    /// Batches cut and not sealed.
    pub unsealed: Bounded,
    /// Batches cut and not committed.
    pub uncommitted: Bounded,
    /// Their posted bytes.
    pub uncommitted_bytes: Bounded,
    /// Transactions executed and durable since the start.
    pub accepted: u64,
    /// Submissions refused since the start.
    pub refused: u64,
    /// Flushes of the log since the start.
    pub flushes: u64,
    /// Resident memory in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Transactions executed a second, over about the last two.
    pub rate_per_second: u64,
    /// Who proves batches.
    pub prover: super::options::ProverMode,
    /// Batches that wait for a proof.
    pub unproven_batches: u64,
    /// Their journal entries.
    pub unproven_entries: u64,
    /// Bytes of their witnesses; over the most, nothing is taken.
    pub unproven_bytes: Bounded,
    /// How commitments stand with the committers, where genesis names some.
    pub attesting: Option<super::AttestingView>,
    /// Microseconds that collecting witnesses took since the start.
    pub witness_us: u64,
    /// The batch of the newest checkpoint.
    pub checkpoint: u64,
    /// Subscribers to events.
    pub subscribers: u64,
}

/// How much there is of something, and the most there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounded {
    /// How much there is.
    pub now: u64,
    /// The most.
    pub max: u64,
}

/// What happens, for subscribers.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "some dozens a second, and every subscriber would clone the box")]
pub enum NodeEvent {
    /// A batch has its roots.
    BatchSealed {
        /// What it claims.
        header: BatchHeader,
        /// Transactions of the log in it.
        transactions: u32,
        /// Inbox entries in it.
        inbox_entries: u32,
    },
    /// The L1 took a commitment.
    Committed {
        /// Its first batch.
        first_batch: u64,
        /// Its last batch.
        last_batch: u64,
        /// The L1 block.
        l1_height: u64,
    },
    /// The L1 took a proof of conservation.
    Proven {
        /// The first batch that it is about.
        first_batch: u64,
        /// The last.
        last_batch: u64,
        /// The L1 block.
        l1_height: u64,
    },
    /// Batches are final up to this one.
    Final {
        /// The last final batch.
        batch: u64,
        /// The L1 block.
        l1_height: u64,
    },
    /// The L1 has a new block.
    L1Block {
        /// Its height.
        height: u64,
        /// Its time.
        time: u64,
        /// The index that the next inbox entry gets.
        inbox_end: u64,
    },
    /// The L1 convicted a batch.
    Reverted {
        /// The first batch that is gone.
        first_batch: u64,
        /// The new generation.
        generation: u32,
    },
    /// A flush of the log is durable.
    Flushed {
        /// Its number.
        flush: u64,
        /// Its first log position.
        first_position: u64,
        /// How many transactions it holds.
        transactions: u32,
    },
}

/// The rules of the plane and of the assets that the L1 holds.
#[derive(Clone, Debug)]
pub struct PlaneRulesView {
    /// They, if there have ever been any.
    pub rules: Option<ghostplane_types::PlaneRules>,
    /// The batch whose state this is.
    pub header: BatchHeader,
    /// Of the rules, or of their absence.
    pub proof: ObjectProof,
}

/// The state in digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootsView {
    /// The batch whose state it is.
    pub batch: u64,
    /// Its time.
    pub time: u64,
    /// The state root.
    pub state_root: Digest,
    /// Root of the ledger tree.
    pub ledger_root: FieldDigest,
    /// Root of the object tree.
    pub object_root: Digest,
    /// Slots handed out.
    pub slots_used: u32,
    /// Objects handed out.
    pub objects_used: u32,
}
