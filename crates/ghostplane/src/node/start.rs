//! Starting: open what is on disk, execute what the log has beyond the checkpoint, and set the threads to work.
//!
//! The log is the truth. A batch is rebuilt from it exactly as it was executed, sealed or not: it names the time that each
//! batch was opened with. What comes out is compared with the header that was logged, and with what the L1 has.

use super::answer::{self, ToAnswer};
use super::archive::{self, Archive, ToArchive};
use super::attesting::Attesting;
use super::background::{Rank, give_way, in_background};
use super::case::Case;
use super::core::{Core, ToCore, Ways};
use super::options::ProverMode;
use super::prove::{self, Provable, Proving};
use super::redo::{Redone, Wanted, redo};
use super::settle::{self, Settle, ToSettle};
use super::turns::Turns;
use super::verify::{self, Raw, VERIFYING_MAX};
use super::writer::{ToWriter, Writer};
use super::{Counters, EVENTS_BEHIND_MAX, Ending, Inner, Live, Node, Options, Progress, Pulse, now_ms};
use crate::local::Threads;
use ghostplane_engine::Plane;
use ghostplane_ghostbridge::{L1, L1Config, L1Genesis, run};
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::Keystone;
use ghostplane_sequencer::{Config, Sequencer, Start};
use ghostplane_settlement::Message;
use ghostplane_store::log::FRAME_BYTES_MAX;
use ghostplane_store::{
    Changed, CheckpointError, Checkpoints, Cut, Frame, History, HistoryBatch, HistoryError, Log, Revert,
};
use ghostplane_types::{BatchHeader, GenesisError, Source};
use parking_lot::{Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::{Semaphore, broadcast, watch};

/// Of each of the threads that do the work.
const THREAD_STACK_BYTES: usize = 8 << 20;
/// Batches that recovery hands to the history at a time.
const HISTORY_TOGETHER: usize = 32;
/// Log positions before the checkpoint whose flushes are put into the history once more.
const FLUSHES_BEFORE: u64 = 65_536;

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The genesis contradicts itself.
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// The key is not the one that genesis names.
    #[error("the sequencer's key is not the one that genesis names: use the key file that the plane was founded with")]
    Key,
    /// The log does not open.
    #[error(transparent)]
    Log(#[from] ghostplane_store::OpenError),
    /// The log cannot be read or written.
    #[error("the log: {0}")]
    LogAccess(String),
    /// The embedded L1 does not open.
    #[error("the L1: {0}")]
    L1(String),
    /// The history does not open.
    #[error("the history: {0}")]
    History(#[from] HistoryError),
    /// The checkpoint does not open.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The log has what cannot be executed, or comes out differently.
    #[error(
        "batch {batch} of the log does not come out as it was: {what}. The log was altered, or this program is not the one \
         that wrote it: restore the directory from a copy"
    )]
    Batch {
        /// Which batch.
        batch: u64,
        /// How.
        what: String,
    },
    /// The L1 and the log tell different stories.
    #[error("the L1 has committed batch {committed}, and the log {what}: this is not the directory that made it")]
    OtherStory {
        /// The last batch that the L1 has.
        committed: u64,
        /// What the log says instead.
        what: String,
    },
    /// A thread or a limit.
    #[error("{0}")]
    Other(String),
}

/// What a start found on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The batch of the checkpoint that it began with; 0 for none.
    pub checkpoint: u64,
    /// Batches executed again.
    pub batches: u64,
    /// Their transactions.
    pub transactions: u64,
    /// Microseconds that executing them took.
    pub replay_us: u64,
    /// Microseconds until the state of the checkpoint stood.
    pub checkpoint_us: u64,
    /// Bytes of a torn tail that were cut off the log.
    pub cut_off_bytes: u64,
    /// The newest batch.
    pub batch: u64,
    /// 1 if that one was open when the log ended, and is closed now, or would be by a start.
    pub open: u64,
}

impl Recovered {
    /// Counts a batch that was executed again. Returns its transactions.
    fn count(&mut self, batch: &HistoryBatch) -> u64 {
        let inbox = batch.records.iter().filter(|record| matches!(record.0, Source::Inbox(_))).count();
        let transactions = (batch.records.len() - inbox) as u64;
        self.batches += 1;
        self.transactions += transactions;
        transactions
    }
}

/// A node and its threads.
pub struct Running {
    node: Node,
    recovered: Recovered,
    core: crossbeam_channel::Sender<ToCore>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// The handle.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What the start found.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Stops the node and waits until everything is on disk. Says why it ended.
    pub fn stop(self) -> Ending {
        self.node.stop();
        // If the core has ended already, so be it.
        let _ = self.core.send(ToCore::Stop);
        self.node.inner.proving.stop();
        let Self { node, threads, core, .. } = self;
        drop(core);
        for thread in threads {
            if thread.join().is_err() {
                node.inner.fail("a thread of the node panicked".into());
            }
        }
        if let Err(error) = node.inner.l1.stop() {
            node.inner.fail(format!("the L1 did not close cleanly: {error}"));
        }
        node.inner.ending.borrow().clone().unwrap_or(Ending::Asked)
    }
}

/// Starts a node on a directory.
///
/// # Errors
/// [`StartError`], in words that say what to do.
pub fn start(options: Options) -> Result<Running, StartError> {
    let plane = Arc::new(Plane::new(options.genesis.clone())?);
    if options.sequencer.verification_key() != options.genesis.sequencer {
        return Err(StartError::Key);
    }
    let seed = random_seed()?;
    check_flush(&options.limits)?;
    let workers = Threads::new(options.verify_threads);
    let (log, recovery) = Log::open(&options.dir, plane.plane_id(), plane.chain_id())?;
    let (genesis_keystone, genesis_header) = found(&plane, seed)?;
    let l1 = open_l1(&options, &plane, &genesis_header)?;

    let files = prove::Files::open(&options.dir).map_err(|error| proofs(&error))?;
    let final_batch = l1.with_settlement(ghostplane_settlement::Settlement::final_number);
    // What is final needs no proof.
    let witnesses = (options.prover.mode != ProverMode::Off).then(|| (files.clone(), final_batch));
    let mut recoverer = Recoverer {
        plane: Arc::clone(&plane),
        workers,
        witnesses,
        log,
        history: in_background(|| History::open(&options.dir, plane.plane_id()))?,
        checkpoints: in_background(|| Checkpoints::open(&options.dir, plane.plane_id()))?,
        seed,
        recovered: Recovered {
            cut_off_bytes: recovery.cut_off.map_or(0, |cut_off| cut_off.bytes),
            ..Recovered::default()
        },
    };
    recoverer.follow_conviction(&l1)?;
    let (live, changed) = recoverer.recover(genesis_keystone, genesis_header)?;
    let uncommitted = recoverer.compare_with(&l1, &live.header)?;
    let Recoverer { log, history, checkpoints, recovered, .. } = recoverer;
    let reader = history.reader();
    let header_of = |number| reader.header(number).ok().flatten();
    let proving = l1.with_settlement(|l1| Proving::open(options.prover, &plane, files, &live.header, header_of, l1));
    let proving = Arc::new(proving.map_err(|error| proofs(&error))?);
    set_up(options, plane, log, history, checkpoints, live, changed, uncommitted, l1, recovered, seed, proving)
}

pub(super) fn proofs(error: &std::io::Error) -> StartError {
    StartError::Other(format!("the directory of proofs: {error}"))
}

/// A flush is one frame of the log, and must fit it with all its lengths and its signature.
fn check_flush(limits: &ghostplane_sequencer::Limits) -> Result<(), StartError> {
    const LENGTH_BYTES: usize = 3;
    const SIGNED_BYTES: usize = 512;
    let most = limits.flush_bytes_max + LENGTH_BYTES * limits.flush_transactions_max + SIGNED_BYTES;
    if most > FRAME_BYTES_MAX {
        let text =
            format!("a flush may take {most} bytes, a frame of the log holds {FRAME_BYTES_MAX}: lower the limits");
        return Err(StartError::Other(text));
    }
    Ok(())
}

fn random_seed() -> Result<u64, StartError> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| StartError::Other(format!("no random bytes: {error}")))?;
    Ok(u64::from_le_bytes(seed))
}

/// The state of genesis and its header.
fn found(plane: &Plane, seed: u64) -> Result<(Keystone, BatchHeader), StartError> {
    let other = |error: &dyn std::fmt::Display| StartError::Other(format!("genesis gives no state: {error}"));
    let mut keystone = Keystone::new(seed);
    let changes = plane.founding_changes().map_err(|error| other(&error))?;
    let roots = keystone.apply(&changes, &ghostplane_ghostcipher::workers::Serial).map_err(|error| other(&error))?;
    Ok((keystone, BatchHeader::genesis(&plane.genesis_state(roots))))
}

/// Opens the embedded L1. A new one gets the bond and some blocks at once, so that deposits made at genesis are ripe.
fn open_l1(options: &Options, plane: &Plane, genesis: &BatchHeader) -> Result<L1, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::L1(error.to_string());
    let operator = run::l1_address(&options.sequencer);
    let l1_genesis =
        L1Genesis { plane: plane.clone(), plane_state: genesis.state(), balances: options.l1.balances.clone() };
    let l1 = L1::open(L1Config::new(options.dir.clone(), l1_genesis)).map_err(|error| failed(&error))?;
    let needed = plane.genesis().settlement.sequencer_bond;
    let is_new = l1.block().height == 0;
    let (bond, term) = l1.with_settlement(|settlement| (settlement.bond(), settlement.term_for(operator)));
    if bond < needed {
        let missing = needed.checked_sub(bond).expect("less than that");
        let message = run::bond(plane, &options.sequencer, &operator, term, missing);
        send_at_once(&l1, plane, &options.sequencer, &[message])?;
    }
    if is_new && !options.l1.founding.is_empty() {
        send_at_once(&l1, plane, &options.sequencer, &options.l1.founding)?;
        for _ in 0..plane.genesis().settlement.reorg_depth {
            l1.produce_block(l1.block().time + 1).map_err(|error| failed(&error))?;
        }
    }
    Ok(l1)
}

/// Sends messages to an L1 that stands still, and makes the block that holds them.
fn send_at_once(
    l1: &L1,
    plane: &Plane,
    key: &ghostplane_ghostcipher::SigningKey,
    messages: &[Message],
) -> Result<(), StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::L1(error.to_string());
    let sequence = l1.account(&run::l1_address(key)).next_sequence;
    let signed = run::sign_run(plane, key, sequence, messages).map_err(|error| failed(&error))?;
    let (answer, answered) = crossbeam_channel::bounded(1);
    l1.submit_all(signed, move |included| drop(answer.send(included)));
    l1.produce_block(l1.block().time + 1).map_err(|error| failed(&error))?;
    match answered.recv() {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refused)) => Err(failed(&refused.refusal)),
        Err(_) => Err(StartError::L1("it gave no answer".into())),
    }
}

/// Rebuilds the newest state from disk.
struct Recoverer {
    plane: Arc<Plane>,
    workers: Threads,
    log: Log,
    history: History,
    checkpoints: Checkpoints,
    seed: u64,
    recovered: Recovered,
    /// Where witnesses of batches behind this one are kept, if they are wanted.
    witnesses: Option<(prove::Files, u64)>,
}

impl Recoverer {
    /// If the L1 has convicted a batch, the log goes back to the state before it.
    fn follow_conviction(&mut self, l1: &L1) -> Result<(), StartError> {
        let (generation, tip) = l1.with_settlement(|settlement| (settlement.generation(), *settlement.tip()));
        while self.log.end().generation < generation {
            let next = self.log.end().generation + 1;
            let revert = Frame::Revert(Revert { to: tip, generation: next });
            self.log.append(&[revert]).map_err(|error| StartError::LogAccess(error.to_string()))?;
            self.history.revert_to(tip.number)?;
        }
        Ok(())
    }

    /// The newest state, with every batch of the log closed, and what differs from the checkpoint.
    fn recover(&mut self, genesis: Keystone, genesis_header: BatchHeader) -> Result<(Live, Changed), StartError> {
        let started = Instant::now();
        let (live, mut changed) = self.base(genesis, genesis_header)?;
        self.recovered.checkpoint = live.header.number;
        self.recovered.checkpoint_us = micros(started);
        let started = Instant::now();
        let flushes = self.flushes(live.header.log_upto)?;
        let mut kept = Vec::new();
        let mut headers = Vec::new();
        let replay = self.log.replay(&live.header).map_err(|error| StartError::LogAccess(error.to_string()))?;
        let (history, recovered) = (&mut self.history, &mut self.recovered);
        let wanted = Wanted { witnesses: self.witnesses.as_ref(), case: None };
        let live = redo(&self.plane, self.workers, self.seed, wanted, live, replay, |live, redone| {
            let Redone { batch, changes, was_sealed, was_open, .. } = redone;
            let header = batch.header;
            let noted = changed.apply(&changes, &live.keystone);
            noted.map_err(|missing| StartError::Batch { batch: header.number, what: missing.to_string() })?;
            recovered.count(&batch);
            recovered.open += u64::from(was_open);
            if was_open {
                headers.push(Frame::Cut(Cut {
                    number: header.number,
                    position: header.log_upto,
                    inbox: header.inbox_upto,
                }));
            }
            if !was_sealed {
                headers.push(Frame::Sealed(header));
            }
            kept.push(Arc::new(batch));
            if kept.len() >= HISTORY_TOGETHER {
                history.put(&kept, &[])?;
                kept.clear();
            }
            Ok(())
        })?;
        self.history.put(&kept, &flushes)?;
        if !headers.is_empty() {
            self.log.append(&headers).map_err(|error| StartError::LogAccess(error.to_string()))?;
        }
        self.recovered.replay_us = micros(started);
        self.recovered.batch = live.header.number;
        Ok((live, changed))
    }

    /// The state to start from: the checkpoint if log and history have it, else genesis.
    fn base(&mut self, genesis: Keystone, genesis_header: BatchHeader) -> Result<(Live, Changed), StartError> {
        let kept = self.history.reader().upto()?.map_or(0, |header| header.number);
        let loaded = match self.checkpoints.load(self.log.end()) {
            Ok(Some(checkpoint)) if checkpoint.header().number <= kept => Some(checkpoint),
            // Without its history, or of a batch that was reverted: the log makes all of it again.
            Ok(_) | Err(CheckpointError::NotInLog(_)) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(checkpoint) = loaded {
            let header = *checkpoint.header();
            let keystone = checkpoint.build(self.seed, &self.workers)?;
            return Ok((Live { keystone, header }, Changed::since(Some(&header))));
        }
        let changed = Changed::all(&genesis);
        Ok((Live { keystone: genesis, header: genesis_header }, changed))
    }

    /// The flushes of the log that a crash may have kept from the history: those behind the checkpoint, and some before it,
    /// which may have come to the history later than their batches.
    fn flushes(&self, checkpoint: u64) -> Result<Vec<(ghostplane_types::SignedFlush, u32)>, StartError> {
        let from = checkpoint.saturating_sub(FLUSHES_BEFORE);
        let mut flushes = Vec::new();
        for logged in self.log.reader(from) {
            let logged = logged.map_err(|error| StartError::LogAccess(error.to_string()))?;
            if let Frame::Flush(flush) = logged.frame {
                let count = u32::try_from(flush.transactions.len()).unwrap_or(u32::MAX);
                flushes.push((flush.signed, count));
            }
        }
        Ok(flushes)
    }

    /// Compares log and L1. Returns the batches that the L1 has not taken, with their posted bytes.
    fn compare_with(&self, l1: &L1, newest: &BatchHeader) -> Result<Vec<(u64, u32)>, StartError> {
        let tip = l1.with_settlement(|settlement| *settlement.tip());
        let committed = tip.number;
        let other = |what: String| StartError::OtherStory { committed, what };
        if committed > newest.number {
            return Err(other(format!("ends with batch {}", newest.number)));
        }
        let history = self.history.reader();
        if committed > 0 && history.header(committed)?.is_none_or(|header| header != tip) {
            return Err(other("has another batch of that number".into()));
        }
        let mut uncommitted = Vec::new();
        for number in committed + 1..=newest.number {
            let posted = history.posted(number)?.ok_or_else(|| other(format!("has no data of batch {number}")))?;
            uncommitted.push((number, u32::try_from(posted.len()).unwrap_or(u32::MAX)));
        }
        Ok(uncommitted)
    }
}

#[expect(clippy::too_many_arguments, reason = "called once; a struct would only rename the parameters")]
fn set_up(
    options: Options,
    plane: Arc<Plane>,
    log: Log,
    history: History,
    checkpoints: Checkpoints,
    live: Live,
    changed: Changed,
    uncommitted: Vec<(u64, u32)>,
    l1: L1,
    recovered: Recovered,
    seed: u64,
    proving: Arc<Proving>,
) -> Result<Running, StartError> {
    let other = |error: &dyn std::fmt::Display| StartError::Other(error.to_string());
    let end = log.end().clone();
    let header = live.header;
    let config = Config {
        chain_id: plane.chain_id(),
        plane_id: plane.plane_id(),
        gas_price: plane.genesis().gas_price,
        l1_ahead_ms: options.l1.block_ms,
        hash_seed: seed,
        limits: options.limits,
    };
    let state = header.state();
    let start = Start {
        state,
        generation: end.generation,
        flushes: end.flushes,
        prev_flush_digest: end.prev_flush_digest,
        uncommitted,
    };
    let sequencer = Sequencer::new(config, &start).map_err(|error| other(&error))?;
    let final_batch = l1.with_settlement(ghostplane_settlement::Settlement::final_number);
    let committed = l1.with_settlement(|settlement| settlement.tip().number);
    let proven = l1.with_settlement(ghostplane_settlement::Settlement::proven_number);
    let newest = header.number;
    let progress = Progress { sealed: newest, shown: newest, answered: newest, committed, proven, final_batch };
    let (to_verify, raw) = crossbeam_channel::unbounded::<Raw>();
    let (to_core, core_from) = crossbeam_channel::unbounded::<ToCore>();
    let (to_writer, writer_from) = crossbeam_channel::unbounded::<ToWriter>();
    let (to_answer, answer_from) = crossbeam_channel::bounded::<ToAnswer>(answer::WAITING_MAX);
    let (to_archive, archive_from) = crossbeam_channel::bounded::<ToArchive>(archive::WAITING_MAX);
    let (to_settle, settle_from) = crossbeam_channel::unbounded::<ToSettle>();
    let (l1_news, l1_news_taken) = crossbeam_channel::bounded::<()>(settle::NEWS_MAX);
    let (to_witnesses, witnesses_from) = crossbeam_channel::bounded::<Provable>(prove::WAITING_MAX);
    let wait_max = Duration::from_millis(options.attestation_wait_ms);
    let (attesting, attested) = Attesting::new(plane.genesis(), wait_max);
    let shared = Arc::new(Inner {
        plane,
        limits: options.limits,
        live: RwLock::new(live),
        recent: RwLock::default(),
        refusals: Mutex::default(),
        thinking: Turns::new(),
        judging: Turns::new(),
        batches: RwLock::default(),
        history: history.reader(),
        l1,
        proving: Arc::clone(&proving),
        attesting,
        log_end: Mutex::new(end.clone()),
        pulse: Mutex::new(Pulse { sequencer: sequencer.status(), pending: 0 }),
        counters: Counters::new(),
        to_verify: RwLock::new(Some(to_verify)),
        permits: Arc::new(Semaphore::new(VERIFYING_MAX)),
        events: broadcast::Sender::new(EVENTS_BEHIND_MAX),
        progress: watch::Sender::new(progress),
        sinks: AtomicU64::new(0),
        inbox_wanted: AtomicU64::new(sequencer.inbox_wanted()),
        archived: AtomicU64::new(header.number),
        checkpoint: AtomicU64::new(recovered.checkpoint),
        disk_full: watch::Sender::new(false),
        ending: watch::Sender::new(None),
        notes: Mutex::new(None),
        started: Instant::now(),
    });

    let mut threads = Vec::new();
    let mut spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        // Covenants are decided with some stack to spare: whoever does so often has it from the start.
        let builder = std::thread::Builder::new().name(name.into()).stack_size(THREAD_STACK_BYTES);
        let thread = builder.spawn(work).map_err(|error| other(&error))?;
        threads.push(thread);
        Ok::<(), StartError>(())
    };
    let writer = Writer {
        shared: Arc::clone(&shared),
        log: Some(log),
        dir: options.dir.clone(),
        key: Arc::clone(&options.sequencer),
        position: end.position,
        inbox: end.inbox,
    };
    let core_way = to_core.clone();
    spawn("writer", Box::new(move || writer.run(&writer_from, &core_way)))?;
    let archive = Archive {
        shared: Arc::clone(&shared),
        history,
        changed,
        checkpoint: recovered.checkpoint,
        checkpoint_batches: options.checkpoint_batches,
        has_no_room: false,
        newest: (header.number > recovered.checkpoint).then_some(header),
    };
    let archive = move || {
        give_way(Rank::Background);
        archive.run(checkpoints, &archive_from);
    };
    spawn("archive", Box::new(archive))?;
    let (answer_shared, archive_way) = (Arc::clone(&shared), to_archive.clone());
    spawn("answer", Box::new(move || answer::run(&answer_shared, &answer_from, &archive_way)))?;
    let (settle_shared, core) = (Arc::clone(&shared), to_core.clone());
    let settle = Settle { shared: settle_shared, key: options.sequencer, core, news: l1_news, attested };
    let settle = move || {
        give_way(Rank::Background);
        settle.run(&settle_from);
    };
    spawn("settle", Box::new(settle))?;
    let witnesses = Arc::clone(&proving);
    spawn("witnesses", Box::new(move || witnesses.keep(&witnesses_from)))?;
    for _ in 0..Threads::new(options.verify_threads).0.get() {
        let (shared, raw, core) = (Arc::clone(&shared), raw.clone(), to_core.clone());
        let verify = move || {
            // Work by the batch, and a receipt is three short steps of other threads that must not wait for the end of one.
            give_way(Rank::Work);
            verify::run(&shared, &raw, &core, seed);
        };
        spawn("verify", Box::new(verify))?;
    }
    let ways = Ways {
        writer: to_writer,
        answer: to_answer,
        archive: to_archive,
        settle: to_settle,
        l1_news: l1_news_taken,
        witnesses: to_witnesses,
    };
    let deciders = Threads::new_half(options.decide_threads);
    let core = Core::new(Arc::clone(&shared), sequencer, deciders, core_from, ways);
    let core_shared = Arc::clone(&shared);
    let run = move || {
        if let Err(error) = core.run() {
            core_shared.fail(error.to_string());
        }
    };
    spawn("core", Box::new(run))?;
    if options.prover.mode == ProverMode::InProcess {
        // Nobody waits for it when the node stops: a proof takes as long as it takes, and what is lost is made again.
        let work = move || proving.work();
        std::thread::Builder::new().name("prover".into()).spawn(work).map_err(|error| other(&error))?;
    }
    in_background(|| shared.l1.run(options.l1.block_ms, now_ms)).map_err(|error| other(&error))?;
    Ok(Running { node: Node { inner: shared }, recovered, core: to_core, threads })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Reads the log of a directory that no node runs on, executes every batch from genesis, and compares every header. `seen`
/// is told of each batch and its transactions. Writes nothing but what opening a log cuts off.
///
/// # Errors
/// [`StartError`] for the first thing that is wrong.
pub fn verify_directory(
    dir: &Path,
    plane: Plane,
    threads: usize,
    mut seen: impl FnMut(&BatchHeader, u64),
) -> Result<Recovered, StartError> {
    let access = |error: &dyn std::fmt::Display| StartError::LogAccess(error.to_string());
    let started = Instant::now();
    let (log, recovery) = Log::open(dir, plane.plane_id(), plane.chain_id())?;
    let seed = random_seed()?;
    let (keystone, header) = found(&plane, seed)?;
    let replay = log.replay(&header).map_err(|error| access(&error))?;
    let cut_off_bytes = recovery.cut_off.map_or(0, |cut_off| cut_off.bytes);
    let mut recovered = Recovered { cut_off_bytes, ..Recovered::default() };
    let live = redo(
        &plane,
        Threads::new(threads),
        seed,
        Wanted::default(),
        Live { keystone, header },
        replay,
        |_, redone| {
            let count = recovered.count(&redone.batch);
            recovered.open += u64::from(redone.was_open);
            seen(&redone.batch.header, count);
            Ok(())
        },
    )?;
    recovered.batch = live.header.number;
    recovered.replay_us = micros(started);
    Ok(recovered)
}

/// Reads the log of a directory that no node runs on up to its end, and takes out of it what it takes to look into the batch of
/// a transaction or inbox entry alone. `None` if the log has no such record. `seen` is told of each batch.
///
/// # Errors
/// [`StartError`] for the first thing that is wrong.
pub fn find_case(
    dir: &Path,
    plane: &Plane,
    threads: usize,
    id: &Digest,
    mut seen: impl FnMut(&BatchHeader),
) -> Result<Option<Case>, StartError> {
    let access = |error: &dyn std::fmt::Display| StartError::LogAccess(error.to_string());
    let (log, _) = Log::open(dir, plane.plane_id(), plane.chain_id())?;
    let seed = random_seed()?;
    let (keystone, header) = found(plane, seed)?;
    let replay = log.replay(&header).map_err(|error| access(&error))?;
    let mut found = None;
    let (threads, wanted) = (Threads::new(threads), Wanted { case: Some(id), ..Wanted::default() });
    redo(plane, threads, seed, wanted, Live { keystone, header }, replay, |_, redone| {
        seen(&redone.batch.header);
        found = redone.case.or(found.take());
        Ok(())
    })?;
    Ok(found)
}
