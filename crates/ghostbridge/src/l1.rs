//! The handle through which a node speaks to its L1.

mod produce;
mod read;
#[cfg(test)]
mod tests;

pub use produce::ProduceError;
pub use read::{ClaimError, Published, PublishedCommitment};

use crate::files::Files;
use crate::index::Index;
use crate::judge::EngineJudge;
use crate::limits::{
    BLOCK_BYTES_MAX, BLOCK_DATA_BYTES_MAX, BLOCK_MESSAGES_MAX, GENESIS_BALANCES_MAX, QUEUE_BYTES_MAX,
    QUEUE_MESSAGES_MAX, SNAPSHOT_BLOCKS, SUBSCRIBER_BLOCKS_MAX, SUBSCRIBERS_MAX,
};
use crate::log::{Log, OpenError};
use crate::refusal::L1Refusal;
use crate::state::{Account, Checked, State};
use crossbeam_channel::{Receiver, Sender};
use ghostplane_engine::Plane;
use ghostplane_settlement::{Event, L1Block, Settlement};
use ghostplane_types::codec::{Encode, put_varint};
use ghostplane_types::{AssetId, InboxEntry, L1Address, PlaneState, SignedL1Message};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What an L1 starts from.
#[derive(Clone, Debug)]
pub struct L1Genesis {
    /// The plane that settles here; its genesis names the chain id of the L1.
    pub plane: Plane,
    /// The state that the plane starts from.
    pub plane_state: PlaneState,
    /// What accounts have, in the L1's base units; each account and asset once.
    pub balances: Vec<(L1Address, AssetId, u128)>,
}

/// Where an L1 lives and what it starts from.
#[derive(Clone, Debug)]
pub struct L1Config {
    /// The directory under which `l1/` is made.
    pub dir: PathBuf,
    /// What it starts from; an L1 that was started before must be given the same again.
    pub genesis: L1Genesis,
    /// Blocks between snapshots, at least; see [`SNAPSHOT_BLOCKS`].
    pub snapshot_blocks: u64,
}

impl L1Config {
    /// A configuration with the usual numbers.
    pub fn new(dir: PathBuf, genesis: L1Genesis) -> Self {
        Self { dir, genesis, snapshot_blocks: SNAPSHOT_BLOCKS }
    }
}

/// A message, or a run of them, that a block took; the block is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// The block.
    pub height: u64,
    /// What came about, message after message.
    pub events: Vec<Event>,
}

/// A run of messages of which one was refused. Those before it are in the block and stay, those after it were not tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {taken} of the run: {refusal}")]
pub struct RunRefused {
    /// How many messages were taken before; so many sequence numbers are used.
    pub taken: usize,
    /// What those that were taken brought about.
    pub events: Vec<Event>,
    /// Why the next was not.
    pub refusal: L1Refusal,
}

/// A block as its followers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// Its time in milliseconds since the Unix epoch.
    pub time: u64,
    /// What came about in it, in order.
    pub events: Vec<Event>,
    /// What was added to the inbox.
    pub inbox: Vec<InboxEntry>,
}

/// Answers one run of messages.
type Answer = Box<dyn FnOnce(Result<Included, RunRefused>) + Send>;

/// Messages of one sender that go into one block, in order.
struct Run {
    messages: Vec<Checked>,
    bytes: usize,
    done: Answer,
}

#[derive(Default)]
struct Queue {
    runs: VecDeque<Run>,
    messages: usize,
    bytes: usize,
    closed: Option<Closed>,
}

/// Why nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Stopped,
    Failed,
}

impl Closed {
    fn refusal(self) -> L1Refusal {
        match self {
            Self::Stopped => L1Refusal::Stopped,
            Self::Failed => L1Refusal::Failed,
        }
    }
}

struct Shared {
    chain_id: u64,
    judge: EngineJudge,
    /// For reading back; writing is the log's.
    files: Files,
    /// What is durable, never more.
    state: RwLock<State>,
    queue: Mutex<Queue>,
    /// Nothing once it is stopped.
    log: Mutex<Option<Log>>,
    subscribers: Mutex<Vec<Sender<Arc<Block>>>>,
    /// Dropped when the L1 is stopped, which ends the thread.
    ticking: Mutex<Option<produce::Ticking>>,
}

/// A node's L1. Cheap to clone; all clones are the same L1.
///
/// This one lives in the process and its directory. Nothing that a caller sees names a file, so that an L1 elsewhere can
/// stand behind the same handle.
#[derive(Clone)]
pub struct L1 {
    shared: Arc<Shared>,
}

impl fmt::Debug for L1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L1").field("chain_id", &self.shared.chain_id).field("block", &self.block()).finish()
    }
}

impl L1 {
    /// Opens the L1 in `config.dir`, or founds it there. It stands still until [`L1::run`] or [`L1::produce_block`].
    pub fn open(config: L1Config) -> Result<Self, OpenError> {
        Self::open_on(Files::new(config.dir.join("l1")), config, None)
    }

    fn open_on(files: Files, config: L1Config, segment_bytes: Option<u64>) -> Result<Self, OpenError> {
        let L1Genesis { plane, plane_state, balances } = config.genesis;
        let bytes = genesis_bytes(&plane, &balances);
        let founded = found(&plane, &plane_state, balances)?;
        let judge = EngineJudge::new(plane.clone());
        let (log, state) = Log::open(files.clone(), &bytes, founded, &judge, config.snapshot_blocks, segment_bytes)?;
        let shared = Shared {
            chain_id: plane.genesis().l1_chain_id,
            judge,
            files,
            state: RwLock::new(state),
            queue: Mutex::default(),
            log: Mutex::new(Some(log)),
            subscribers: Mutex::default(),
            ticking: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The chain id that messages are signed for.
    pub fn chain_id(&self) -> u64 {
        self.shared.chain_id
    }

    /// Puts a message into the queue. `done` hears of it once: at once if it is refused here, else after its block is
    /// durable or has refused it, from the thread that makes blocks, without any lock held. Never waits.
    pub fn submit(&self, message: SignedL1Message, done: impl FnOnce(Result<Included, L1Refusal>) + Send + 'static) {
        self.submit_all(vec![message], |result| done(result.map_err(|refused| refused.refusal)));
    }

    /// Puts messages of one sender into the queue that go into one block, in order. If one is refused, those before it
    /// stay and those after it are not tried. See [`L1::submit`] for `done`.
    pub fn submit_all(
        &self,
        messages: Vec<SignedL1Message>,
        done: impl FnOnce(Result<Included, RunRefused>) + Send + 'static,
    ) {
        let refused = match self.check_run(&messages) {
            Ok((messages, bytes)) => self.enqueue(Run { messages, bytes, done: Box::new(done) }),
            Err(refusal) => Err((refusal, Box::new(done) as Answer)),
        };
        if let Err((refusal, done)) = refused {
            done(Err(RunRefused { taken: 0, events: Vec::new(), refusal }));
        }
    }

    fn check_run(&self, messages: &[SignedL1Message]) -> Result<(Vec<Checked>, usize), L1Refusal> {
        let bytes = messages.iter().map(|message| message.message.len() + 128).sum::<usize>();
        if messages.len() > BLOCK_MESSAGES_MAX || bytes > BLOCK_BYTES_MAX {
            return Err(L1Refusal::RunTooLarge { messages: messages.len(), bytes });
        }
        let checked = messages.iter().map(|message| Checked::new(message, self.shared.chain_id));
        let checked = checked.collect::<Result<Vec<_>, _>>()?;
        let sender = checked.first().ok_or(L1Refusal::RunShape)?.from();
        if checked.iter().any(|message| message.from() != sender) {
            return Err(L1Refusal::RunShape);
        }
        let bytes = checked.iter().map(Checked::len).sum();
        Ok((checked, bytes))
    }

    fn enqueue(&self, run: Run) -> Result<(), (L1Refusal, Answer)> {
        let mut queue = self.shared.queue.lock();
        if let Some(closed) = queue.closed {
            return Err((closed.refusal(), run.done));
        }
        let (waiting, bytes) = (queue.messages, queue.bytes);
        if waiting + run.messages.len() > QUEUE_MESSAGES_MAX || bytes + run.bytes > QUEUE_BYTES_MAX {
            return Err((L1Refusal::BlockFull { waiting, bytes }, run.done));
        }
        queue.messages += run.messages.len();
        queue.bytes += run.bytes;
        queue.runs.push_back(run);
        Ok(())
    }

    /// Follows the blocks from the next one on. A receiver that lags more than [`SUBSCRIBER_BLOCKS_MAX`] blocks behind is
    /// cut off: after what it has not read yet it finds its channel disconnected, reads up through the handle, and
    /// subscribes again. So it does when the L1 stops, or when there are [`SUBSCRIBERS_MAX`] others already.
    pub fn subscribe(&self) -> Receiver<Arc<Block>> {
        let (sender, receiver) = crossbeam_channel::bounded(SUBSCRIBER_BLOCKS_MAX);
        let mut subscribers = self.shared.subscribers.lock();
        if subscribers.len() < SUBSCRIBERS_MAX && self.shared.queue.lock().closed.is_none() {
            subscribers.push(sender);
        }
        receiver
    }

    /// Looks at the settlement as the last durable block left it. Blocks wait while `look` runs: keep it short.
    pub fn with_settlement<R>(&self, look: impl FnOnce(&Settlement) -> R) -> R {
        look(&self.shared.state.read().settlement)
    }

    /// The last durable block.
    pub fn block(&self) -> L1Block {
        self.shared.state.read().block
    }

    /// An account; empty if nothing is known of it.
    pub fn account(&self, address: &L1Address) -> Account {
        self.shared.state.read().accounts.get(address).cloned().unwrap_or_default()
    }

    /// What was burned of an asset, in the L1's base units.
    pub fn burned(&self, asset: AssetId) -> u128 {
        self.shared.state.read().burned.get(&asset).copied().unwrap_or_default()
    }

    /// The sum over all accounts of an asset, in the L1's base units.
    pub fn sum_of_balances(&self, asset: AssetId) -> u128 {
        self.shared.state.read().accounts.values().map(|account| account.balance(asset)).sum()
    }
}

/// What the same L1 must start from again.
fn genesis_bytes(plane: &Plane, balances: &[(L1Address, AssetId, u128)]) -> Vec<u8> {
    let mut sorted = balances.to_vec();
    sorted.sort_unstable();
    let mut out = b"GHL1GEN1".to_vec();
    plane.genesis().l1_chain_id.encode(&mut out);
    plane.plane_id().encode(&mut out);
    put_varint(&mut out, sorted.len() as u64);
    for (address, asset, amount) in sorted {
        address.encode(&mut out);
        asset.encode(&mut out);
        amount.encode(&mut out);
    }
    out
}

/// The state before the first block, at the plane's genesis time.
fn found(
    plane: &Plane,
    plane_state: &PlaneState,
    balances: Vec<(L1Address, AssetId, u128)>,
) -> Result<State, OpenError> {
    let settlement = Settlement::new(plane.genesis().clone(), plane_state)?;
    if plane.genesis().settlement.data_per_block_max > BLOCK_DATA_BYTES_MAX {
        return Err(OpenError::Genesis("data_per_block_max is more than a block of this L1 takes"));
    }
    if balances.len() > GENESIS_BALANCES_MAX {
        return Err(OpenError::Genesis("there are too many balances"));
    }
    let mut accounts = BTreeMap::<L1Address, Account>::new();
    let mut sums = BTreeMap::<AssetId, u128>::new();
    for (address, asset, amount) in balances {
        if plane.genesis().asset(asset).is_none() {
            return Err(OpenError::Genesis("a balance is of an asset that the plane does not register"));
        }
        let sum = sums.entry(asset).or_default();
        *sum = sum.checked_add(amount).ok_or(OpenError::Genesis("the balances of an asset add up to 2^128 or more"))?;
        if accounts.entry(address).or_default().balances.insert(asset, amount).is_some() {
            return Err(OpenError::Genesis("an account is given the same asset twice"));
        }
    }
    let block = L1Block { height: 0, time: plane.genesis().time };
    Ok(State { settlement, accounts, burned: BTreeMap::new(), index: Index::default(), block })
}
