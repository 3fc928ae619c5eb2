//! Proving batches, beside the way of a transaction: what waits to be proved, who proves it, and what the L1 has of it.
//!
//! ```text
//!  [core] -- witness --> [witnesses: disk] --> board --> [prover, or a worker elsewhere] --> board --> [settle: L1]
//! ```
//!
//! A witness is on disk, and synced, before a checkpoint may make its batch hard to execute again, and stays until the L1 has a
//! proof of the batch or has made it final without one. So a node that is killed at any moment, or loses its power, proves what
//! it would have proved: what is behind the checkpoint comes from the log again. The
//! prover knows this module alone: it can end late, or not at all, without keeping anything of the node open.

mod files;

pub(super) use files::Files;

use super::options::{ProverMode, ProverOptions};
use crossbeam_channel::Receiver;
use ghostplane_proof::{
    BATCHES_MAX, BatchWitness, ProveError, Rows, Statement, ThreadPool, ThreadPoolBuilder, prove, verify,
};
use ghostplane_settlement::{ProofBundle, Settlement};
use ghostplane_types::{BatchHeader, Encode, Flow};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;

/// Witnesses on their way to the disk. A core that finds no room waits.
pub(super) const WAITING_MAX: usize = 32;
/// Journal entries of the batches that are proved together.
const ENTRIES_TOGETHER: u64 = 1 << 16;
/// What a proof costs however few entries it has, in entries.
const ENTRIES_FIXED: u64 = 1 << 12;
/// Bytes of the witnesses of one job, unless one batch has more.
const JOB_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Proofs that wait for the L1.
const READY_MAX: usize = 8;
/// Jobs that are worked on at a time.
const JOBS_MAX: usize = 64;
/// How often a batch is tried before it goes the longer way.
const TRIES_MAX: u32 = 3;
/// How long a worker elsewhere may keep a job.
pub(super) const LEASE: Duration = Duration::from_secs(120);
/// How long the prover waits without looking at the clock.
const IDLE: Duration = Duration::from_millis(250);
/// What the prover's threads add to their niceness: everything else goes first.
const NICENESS: i32 = 15;
/// Blocks that a proof takes at best until the L1 has it: a batch that is final by then is not worth one.
pub(super) const BLOCKS_TO_PROVE: u64 = 2;
/// Accepted proofs that are kept for who asks.
const PROOFS_KEPT_MAX: usize = 64;

/// A batch and what a prover needs to know of it.
pub(super) struct Provable {
    pub(super) previous: BatchHeader,
    pub(super) header: BatchHeader,
    pub(super) flows: Vec<Flow>,
    pub(super) witness: BatchWitness,
}

/// The same as it is on disk: the witness in canonical form.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) previous: BatchHeader,
    pub(crate) header: BatchHeader,
    pub(crate) flows: Vec<Flow>,
    pub(crate) witness: Vec<u8>,
}

/// Batches to be proved together.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its number, until it is done or its time is over.
    pub(crate) id: u64,
    /// The batches, in order; at least one.
    pub(crate) batches: Vec<Kept>,
}

/// A proof that the L1 does not have yet.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) previous: BatchHeader,
    pub(super) batches: Vec<(BatchHeader, Vec<Flow>)>,
    pub(super) proof: Vec<u8>,
}

impl Ready {
    pub(super) fn range(&self) -> (u64, u64) {
        let first = self.batches.first().map_or(0, |(header, _)| header.number);
        (first, self.batches.last().map_or(0, |(header, _)| header.number))
    }
}

/// Why a proof is not taken from a worker. The worker is wrong, or late.
#[derive(Debug, Error)]
pub(crate) enum HandInError {
    /// Nobody works on that.
    #[error("job {0} is done, was given to somebody else, or never was: ask for another")]
    NoSuchJob(u64),
    /// The proof is none.
    #[error("the proof of job {job} is refused: {why}")]
    Refused {
        /// Which job.
        job: u64,
        /// Why.
        why: String,
    },
}

/// How proving stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lag {
    pub(super) batches: u64,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) bytes_max: u64,
}

/// What waits to be proved and who works on it. Shared by all threads that have to do with proofs.
pub(super) struct Proving {
    options: ProverOptions,
    chain_id: u64,
    plane_id: ghostplane_ghostcipher::Digest,
    files: Files,
    board: Mutex<Board>,
    news: Condvar,
    /// Whether more waits than may.
    full: watch::Sender<bool>,
    /// The newest batch whose witness is on disk, or was given up.
    witnessed: AtomicU64,
    /// Microseconds that collecting witnesses took the core.
    pub(super) collecting_us: AtomicU64,
}

#[derive(Default)]
struct Board {
    waiting: BTreeMap<u64, Waiting>,
    /// Whether the thread that writes witnesses has ended.
    witnesses_ended: bool,
    entries: u64,
    bytes: u64,
    committed: u64,
    /// The last batch that is final before a proof of it could be there.
    too_late: u64,
    jobs: BTreeMap<u64, Lease>,
    ready: VecDeque<Arc<Ready>>,
    /// First and last batch of the accepted proofs that are kept.
    kept: BTreeMap<u64, u64>,
    fault: Option<String>,
    is_stopped: bool,
}

/// A batch that is not proven.
struct Waiting {
    entries: u64,
    bytes: u64,
    since: Instant,
    /// Whether it belongs to a job or to a proof that waits for the L1.
    is_taken: bool,
    /// Whether its file is synced.
    is_synced: bool,
    /// The most batches that it is proved together with, itself among them: fewer, once it was too much.
    together_max: u64,
    /// Not offered before, because somebody found it too much by itself.
    rests_until: Option<Instant>,
    tries: u32,
}

impl Waiting {
    fn is_free(&self, now: Instant) -> bool {
        !self.is_taken && self.tries < TRIES_MAX && self.rests_until.is_none_or(|until| until <= now)
    }
}

struct Lease {
    first: u64,
    last: u64,
    /// None for this process's own prover, which takes the time that it gets.
    until: Option<Instant>,
}

impl Board {
    fn add(&mut self, number: u64, entries: u64, bytes: u64, now: Instant) {
        self.remove(number);
        self.entries += entries;
        self.bytes += bytes;
        let waiting = Waiting {
            entries,
            bytes,
            since: now,
            is_taken: false,
            is_synced: false,
            together_max: BATCHES_MAX as u64,
            rests_until: None,
            tries: 0,
        };
        self.waiting.insert(number, waiting);
    }

    fn remove(&mut self, number: u64) -> bool {
        let removed = self.waiting.remove(&number);
        if let Some(waiting) = &removed {
            self.entries -= waiting.entries;
            self.bytes -= waiting.bytes;
        }
        removed.is_some()
    }

    /// Batches go back to those that wait.
    fn give_back(&mut self, first: u64, last: u64) {
        for waiting in self.waiting.range_mut(first..=last).map(|(_, waiting)| waiting) {
            waiting.is_taken = false;
        }
    }

    /// The same, and from now on at most so many of them are proved together.
    fn give_back_in_parts(&mut self, first: u64, last: u64, together_max: u64) {
        self.give_back(first, last);
        for waiting in self.waiting.range_mut(first..=last).map(|(_, waiting)| waiting) {
            waiting.together_max = waiting.together_max.min(together_max);
        }
    }

    /// Counts tries that failed. After too many of them batches are given up, and that is said once.
    fn count_tries(&mut self, first: u64, last: u64, tries: u32, why: &str) {
        let mut given_up = Vec::new();
        for (number, waiting) in self.waiting.range_mut(first..=last) {
            let before = waiting.tries;
            waiting.tries = before.saturating_add(tries);
            if before < TRIES_MAX && waiting.tries >= TRIES_MAX {
                given_up.push(*number);
            }
        }
        if let (Some(first), Some(last)) = (given_up.first(), given_up.last()) {
            let which =
                if first == last { format!("batch {first} goes") } else { format!("batches {first} to {last} go") };
            self.fault = Some(format!("{which} the longer way, without a proof: {why}"));
        }
    }

    fn expire(&mut self, now: Instant) {
        let late: Vec<u64> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.until.is_some_and(|until| until <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(job) = self.jobs.remove(&id) {
                // Whoever had it may never have meant to prove anything: that is no fault of the batches.
                self.give_back(job.first, job.last);
            }
        }
    }

    /// The batches that are best proved next: the first that wait and follow each other, as many as fill their tables well.
    /// None as long as more may come that would fill them better, and nobody has waited for `wait`.
    fn choose(&self, now: Instant, wait: Duration) -> Option<(u64, u64)> {
        let is_free = |waiting: &Waiting| waiting.is_free(now);
        let provable = (Bound::Excluded(self.too_late.min(self.committed)), Bound::Included(self.committed));
        let mut from = self.waiting.range(provable).skip_while(|(_, waiting)| !is_free(waiting)).peekable();
        let (&first, oldest) = from.peek().map(|(number, waiting)| (*number, *waiting))?;
        let (mut entries, mut bytes, mut last) = (0, 0, None);
        let mut together_max = oldest.together_max;
        let mut best: Option<(u64, u64, u64)> = None;
        let mut is_full = false;
        for (&number, waiting) in from {
            let follows = last.is_none_or(|last| last + 1 == number);
            together_max = together_max.min(waiting.together_max);
            if !follows || !is_free(waiting) || last.is_some() && number - first >= together_max {
                // What follows is worked on, or was lost: nothing better will come.
                is_full = true;
                break;
            }
            let over = entries + waiting.entries > ENTRIES_TOGETHER || bytes + waiting.bytes > JOB_BYTES_MAX;
            if last.is_some() && over {
                is_full = true;
                break;
            }
            entries += waiting.entries;
            bytes += waiting.bytes;
            last = Some(number);
            // The most entries for the work: tables are powers of two, and some work is there for none.
            let work = entries.max(1).next_power_of_two() + ENTRIES_FIXED;
            if best.is_none_or(|(_, better, its_work)| entries * its_work >= better * work) {
                best = Some((number, entries, work));
            }
        }
        let waited = now.saturating_duration_since(oldest.since) >= wait;
        // What was together with others already has waited for company.
        let in_parts = oldest.together_max < BATCHES_MAX as u64;
        let (last, ..) = best.filter(|_| is_full || waited || in_parts)?;
        Some((first, last))
    }
}

impl Proving {
    /// Looks at what an earlier run left: witnesses of batches that are not proven and not final, of this history.
    pub(super) fn open(
        options: ProverOptions,
        plane: &ghostplane_engine::Plane,
        files: Files,
        newest: &BatchHeader,
        header_of: impl Fn(u64) -> Option<BatchHeader>,
        l1: &Settlement,
    ) -> std::io::Result<Self> {
        let too_late = l1.final_in(BLOCKS_TO_PROVE);
        let mut board = Board { committed: l1.tip().number, too_late, ..Board::default() };
        if options.mode != ProverMode::Off {
            let now = Instant::now();
            for number in files.witnesses()? {
                let header = files.header(number).ok().flatten();
                let settled = number <= l1.final_number() || l1.is_proven(number);
                let known = header.filter(|header| !settled && header_of(number).as_ref() == Some(header));
                match known.zip(files.witness_bytes(number).ok()) {
                    Some((header, bytes)) => board.add(number, header.entries.into(), bytes, now),
                    None => files.remove_witness(number),
                }
            }
            board.kept = files.proofs()?;
        }
        let full = board.bytes > options.backlog_bytes;
        Ok(Self {
            options,
            chain_id: plane.chain_id(),
            plane_id: plane.plane_id(),
            files,
            board: Mutex::new(board),
            news: Condvar::new(),
            full: watch::Sender::new(full),
            witnessed: AtomicU64::new(newest.number),
            collecting_us: AtomicU64::new(0),
        })
    }

    /// Whether anybody wants witnesses.
    pub(super) fn is_on(&self) -> bool {
        self.options.mode != ProverMode::Off
    }

    pub(super) fn mode(&self) -> ProverMode {
        self.options.mode
    }

    /// Whether so much waits to be proved that no more transactions are taken.
    pub(super) fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    /// Says when there is room again.
    pub(super) fn watch_room(&self) -> watch::Receiver<bool> {
        self.full.subscribe()
    }

    /// Whether a checkpoint of this batch loses no witness.
    pub(super) fn has_witnessed(&self, number: u64) -> bool {
        !self.is_on() || self.witnessed.load(Ordering::Acquire) >= number
    }

    pub(super) fn lag(&self) -> Lag {
        let board = self.board.lock();
        Lag {
            batches: board.waiting.len() as u64,
            entries: board.entries,
            bytes: board.bytes,
            bytes_max: self.options.backlog_bytes,
        }
    }

    /// Something that an operator should see.
    pub(super) fn take_fault(&self) -> Option<String> {
        self.board.lock().fault.take()
    }

    fn note_room(&self, board: &Board) {
        let full = board.bytes > self.options.backlog_bytes;
        self.full.send_if_modified(|known| std::mem::replace(known, full) != full);
    }

    /// Writes witnesses until nobody sends any more.
    pub(super) fn keep(&self, from: &Receiver<Provable>) {
        while let Ok(Provable { previous, header, flows, witness }) = from.recv() {
            let kept = Kept { previous, header, flows, witness: witness.encode() };
            let written = self.files.write_witness(&kept);
            let mut board = self.board.lock();
            match written {
                Ok(bytes) => board.add(header.number, header.entries.into(), bytes, Instant::now()),
                Err(error) => {
                    board.fault = Some(format!(
                        "the witness of batch {} cannot be written, so it goes the longer way: {error}",
                        header.number
                    ));
                }
            }
            self.note_room(&board);
            self.witnessed.store(header.number, Ordering::Release);
            drop(board);
            self.news.notify_all();
        }
        self.board.lock().witnesses_ended = true;
        self.news.notify_all();
    }

    /// Waits until the batch's witness is written, or nobody writes any more. `false` in the second case.
    pub(super) fn wait_witnessed(&self, number: u64) -> bool {
        let mut board = self.board.lock();
        while !self.has_witnessed(number) && !board.witnesses_ended {
            self.news.wait(&mut board);
        }
        self.has_witnessed(number)
    }

    /// Syncs the witnesses of the batches up to this one, of which a checkpoint is about to be written: a start could not make
    /// them again. One that cannot be synced may be lost with the power, and its batch then goes the longer way.
    pub(super) fn sync_upto(&self, number: u64) {
        let unsynced: Vec<u64> = {
            let board = self.board.lock();
            board
                .waiting
                .range(..=number)
                .filter(|(_, waiting)| !waiting.is_synced)
                .map(|(number, _)| *number)
                .collect()
        };
        let synced = self.files.sync_witnesses(&unsynced);
        let mut board = self.board.lock();
        match synced {
            Ok(()) => {
                for number in unsynced {
                    if let Some(waiting) = board.waiting.get_mut(&number) {
                        waiting.is_synced = true;
                    }
                }
            }
            Err(error) => board.fault = Some(format!("witnesses cannot be synced, a power cut may lose them: {error}")),
        }
    }

    /// Proves until it is stopped.
    pub(super) fn work(&self) {
        let pool = match pool(self.options.threads) {
            Ok(pool) => pool,
            Err(why) => {
                self.board.lock().fault = Some(format!("no prover runs: {why}"));
                return;
            }
        };
        loop {
            match self.job(None) {
                Some(job) => self.prove(&job, &pool),
                None => {
                    let mut board = self.board.lock();
                    if board.is_stopped {
                        return;
                    }
                    self.news.wait_for(&mut board, IDLE);
                }
            }
        }
    }

    /// Tells the prover to end after what it works on.
    pub(super) fn stop(&self) {
        self.board.lock().is_stopped = true;
        self.news.notify_all();
    }

    /// The next batches to be proved, if there is anything worth it now. They are the caller's until he hands a proof in, or
    /// for as long as the lease is.
    pub(crate) fn job(&self, lease: Option<Duration>) -> Option<Job> {
        let now = Instant::now();
        let (id, first, last) = {
            let mut board = self.board.lock();
            board.expire(now);
            if board.is_stopped || board.ready.len() >= READY_MAX || board.jobs.len() >= JOBS_MAX {
                return None;
            }
            let (first, last) = board.choose(now, Duration::from_millis(self.options.wait_ms))?;
            // Whose a job is shows in knowing its number, so nobody can count to it.
            let id = match getrandom::u64() {
                Ok(id) if !board.jobs.contains_key(&id) => id,
                Ok(_) => return None,
                Err(error) => {
                    board.fault = Some(format!("no random bytes: {error}"));
                    return None;
                }
            };
            board.jobs.insert(id, Lease { first, last, until: lease.map(|lease| now + lease) });
            board.waiting.range_mut(first..=last).for_each(|(_, waiting)| waiting.is_taken = true);
            (id, first, last)
        };
        let mut batches = Vec::new();
        for number in first..=last {
            match self.files.read_witness(number) {
                Ok(kept) => batches.push(kept),
                Err(error) => {
                    let mut board = self.board.lock();
                    board.jobs.remove(&id);
                    board.give_back(first, last);
                    board.remove(number);
                    board.fault = Some(format!("batch {number} goes the longer way, its witness is gone: {error}"));
                    self.files.remove_witness(number);
                    return None;
                }
            }
        }
        Some(Job { id, batches })
    }

    fn prove(&self, job: &Job, pool: &ThreadPool) {
        let both = job.statement(self.chain_id, self.plane_id).and_then(|statement| Ok((statement, job.witnesses()?)));
        let (statement, witnesses) = match both {
            Ok(both) => both,
            Err(why) => return self.give_up(job, &why, false),
        };
        // Halves take about as long and half the memory. One batch is proved whatever it takes.
        if job.batches.len() > 1 && !Rows::of(&witnesses).are_light() {
            return self.give_up(job, "too large", true);
        }
        match prove(&statement, &witnesses, pool) {
            Ok(proof) => drop(self.put(job.id, job, proof)),
            Err(error @ (ProveError::TooLarge { .. } | ProveError::Weak)) => {
                self.give_up(job, &error.to_string(), true)
            }
            Err(error) => self.give_up(job, &error.to_string(), false),
        }
    }

    /// Batches of a job that cannot be proved are tried one by one, those of one that is too large by halves, and alone they are
    /// given up at last.
    fn give_up(&self, job: &Job, why: &str, is_too_large: bool) {
        let mut board = self.board.lock();
        let Some(Lease { first, last, .. }) = board.jobs.remove(&job.id) else { return };
        board.give_back_in_parts(first, last, if is_too_large { half(first, last) } else { 1 });
        // What is too much together may be well alone. What is too much alone stays so.
        match (is_too_large, first == last) {
            (true, true) => board.count_tries(first, last, TRIES_MAX, why),
            (true, false) => {}
            (false, _) => board.count_tries(first, last, 1, why),
        }
    }

    /// A worker that nobody trusts gives a job back as too large for it. Returns how many of the batches are offered together
    /// from now on.
    ///
    /// His word costs nothing but smaller proofs: the batches are offered again by halves, and a single one rests as long as a
    /// lease is, so that no two of them hand it to and fro. It is not given up, for another worker may have more memory.
    pub(crate) fn decline(&self, id: u64) -> Result<u64, HandInError> {
        let mut board = self.board.lock();
        // This process's own prover declines nothing, and its jobs are nobody else's.
        let lease = board.jobs.get(&id).filter(|lease| lease.until.is_some()).ok_or(HandInError::NoSuchJob(id))?;
        let (first, last) = (lease.first, lease.last);
        board.jobs.remove(&id);
        let together_max = half(first, last);
        board.give_back_in_parts(first, last, together_max);
        if first == last
            && let Some(waiting) = board.waiting.get_mut(&first)
        {
            waiting.rests_until = Some(Instant::now() + LEASE);
        }
        self.news.notify_all();
        Ok(together_max)
    }

    /// Takes a proof of a job from a worker that nobody trusts.
    pub(crate) fn hand_in(&self, id: u64, proof: Vec<u8>) -> Result<(u64, u64), HandInError> {
        let (first, last) = {
            let board = self.board.lock();
            board.jobs.get(&id).map(|job| (job.first, job.last)).ok_or(HandInError::NoSuchJob(id))?
        };
        let refused = |why: String| HandInError::Refused { job: id, why };
        let batches = (first..=last).map(|number| self.files.read_witness(number));
        let batches = batches.collect::<std::io::Result<Vec<Kept>>>().map_err(|error| refused(error.to_string()))?;
        let job = Job { id, batches };
        let statement = job.statement(self.chain_id, self.plane_id).map_err(refused)?;
        verify(&statement, &proof).map_err(|error| refused(error.to_string()))?;
        self.put(id, &job, proof)
    }

    fn put(&self, id: u64, job: &Job, proof: Vec<u8>) -> Result<(u64, u64), HandInError> {
        let batches = job.batches.iter().map(|batch| (batch.header, batch.flows.clone())).collect();
        let ready = Ready { previous: job.batches[0].previous, batches, proof };
        let mut board = self.board.lock();
        let lease = board.jobs.remove(&id).ok_or(HandInError::NoSuchJob(id))?;
        board.ready.push_back(Arc::new(ready));
        Ok((lease.first, lease.last))
    }

    /// What the L1 is to be told next.
    pub(super) fn next_ready(&self) -> Option<Arc<Ready>> {
        self.board.lock().ready.front().cloned()
    }

    /// The L1 has answered about a proof.
    pub(super) fn answered(&self, ready: &Arc<Ready>, taken: Option<&ProofBundle>) {
        let (first, last) = ready.range();
        let mut board = self.board.lock();
        board.ready.retain(|other| !Arc::ptr_eq(other, ready));
        let Some(bundle) = taken else {
            // Some of it may be final by now; what is not is proved again.
            board.give_back(first, last);
            board.count_tries(first, last, 1, "the L1 does not take it");
            return;
        };
        drop(board);
        self.proven(first, last);
        match self.files.write_proof(first, last, &bundle.to_bytes()) {
            Ok(()) => {
                let mut board = self.board.lock();
                board.kept.insert(first, last);
                while board.kept.len() > PROOFS_KEPT_MAX {
                    if let Some((first, last)) = board.kept.pop_first() {
                        self.files.remove_proof(first, last);
                    }
                }
            }
            Err(error) => self.board.lock().fault = Some(format!("a proof cannot be kept: {error}")),
        }
    }

    /// The L1 has a proof of these batches, whoever made it.
    pub(super) fn proven(&self, first: u64, last: u64) {
        let mut board = self.board.lock();
        let known: Vec<u64> = board.waiting.range(first..=last).map(|(number, _)| *number).collect();
        self.forget(&mut board, &known);
    }

    /// What the L1 has committed and made final, and what will be final before a proof of it could be there.
    pub(super) fn follow(&self, committed: u64, final_batch: u64, too_late: u64) {
        let mut board = self.board.lock();
        board.committed = board.committed.max(committed);
        board.too_late = too_late;
        let known: Vec<u64> = board.waiting.range(..=final_batch).map(|(number, _)| *number).collect();
        self.forget(&mut board, &known);
        // A proof of nothing but final batches tells nobody anything.
        board.ready.retain(|ready| ready.range().1 > final_batch);
        self.news.notify_all();
    }

    fn forget(&self, board: &mut Board, known: &[u64]) {
        for number in known {
            if board.remove(*number) {
                self.files.remove_witness(*number);
            }
        }
        self.note_room(board);
    }

    /// The kept proof that a batch is under: the bundle as the L1 took it.
    pub(super) fn proof_of(&self, batch: u64) -> std::io::Result<Option<(u64, u64, Vec<u8>)>> {
        let found = self.board.lock().kept.range(..=batch).next_back().map(|(first, last)| (*first, *last));
        match found.filter(|(_, last)| *last >= batch) {
            Some((first, last)) => Ok(Some((first, last, self.files.read_proof(first, last)?))),
            None => Ok(None),
        }
    }
}

impl Job {
    /// First and last batch.
    pub(crate) fn range(&self) -> (u64, u64) {
        let number = |batch: Option<&Kept>| batch.map_or(0, |batch| batch.header.number);
        (number(self.batches.first()), number(self.batches.last()))
    }

    /// What is to be proved.
    pub(crate) fn statement(
        &self,
        chain_id: u64,
        plane_id: ghostplane_ghostcipher::Digest,
    ) -> Result<Statement, String> {
        let previous = self.batches.first().ok_or("no batches")?.previous;
        let claims: Vec<_> = self.batches.iter().map(|batch| (batch.header, batch.flows.clone())).collect();
        Statement::new(chain_id, plane_id, &previous, &claims).map_err(|error| error.to_string())
    }

    /// What it is proved with.
    pub(crate) fn witnesses(&self) -> Result<Vec<BatchWitness>, String> {
        let witnesses = self.batches.iter().map(|batch| BatchWitness::decode(&batch.witness));
        witnesses.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())
    }
}

/// Half as many batches as these, but one at least.
fn half(first: u64, last: u64) -> u64 {
    (last - first).div_ceil(2).max(1)
}

/// Threads that prove when nothing else wants to run.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool, String> {
    let builder = ThreadPoolBuilder::new().num_threads(threads.max(1)).thread_name(|at| format!("prover-{at}"));
    // A system that does not let us be nice lets us prove all the same.
    let builder = builder.start_handler(|_| {
        let _ = rustix::process::nice(NICENESS);
    });
    builder.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
