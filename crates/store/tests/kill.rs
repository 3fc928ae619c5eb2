//! A process of its own appends, or writes checkpoints, and is killed at random moments: nothing that it had told is lost.
//!
//! `cargo test -p ghostplane-store --test kill -- RUNS SEED` for more than the few runs of the normal test.

#![allow(clippy::print_stdout)] // Without a harness, a test says itself what it did.

use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, Signature};
use ghostplane_keystone::{Changeset, Keystone, ObjectChange, SlotChange, StateView};
use ghostplane_store::{Changed, Checkpoints, Cut, CutBatch, Frame, Log, LogEnd, LoggedFlush, Opened};
use ghostplane_types::{
    Address, Amount, AssetId, BatchHeader, Flush, ObjectKey, PlaneState, SignedFlush, Slot, SlotIndex, SlotKind,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const PLANE: Digest = Digest([4; 32]);
const CHAIN: u64 = 1337;
const RUNS: u64 = 6;
const APPEND: &str = "append-until-killed";
const CHECKPOINT: &str = "checkpoint-until-killed";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [role, dir] if role == APPEND => append_until_killed(Path::new(dir)),
        [role, dir] if role == CHECKPOINT => checkpoint_until_killed(Path::new(dir)),
        _ => {}
    }
    // The test runner may pass options of its own; only numbers are ours.
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok());
    let (runs, seed) = (numbers.next().unwrap_or(RUNS), numbers.next().unwrap_or(1));
    let dir = std::env::temp_dir().join(format!("ghostplane-store-{}-kill", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut acknowledged = 0;
    for run in 0..runs {
        acknowledged = run_and_kill(APPEND, &dir, 1 + rng.next_u64() % 400).max(acknowledged);
        check(&dir, run, acknowledged);
    }
    let mut batch = 0;
    for run in 0..runs {
        batch = run_and_kill(CHECKPOINT, &dir, 1 + rng.next_u64() % 60).max(batch);
        check_checkpoint(&dir, run, batch);
    }
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
    println!("{runs} kills, {acknowledged} groups acknowledged, none lost or halved");
    println!("{runs} kills, {batch} checkpoints written, none lost or mixed");
}

/// Starts a process, kills it once it has told so many numbers, and returns the last one it told.
fn run_and_kill(role: &str, dir: &Path, numbers: u64) -> u64 {
    let mut command = Command::new(std::env::current_exe().expect("a test knows where it is"));
    let mut child = command.arg(role).arg(dir).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let number =
        |line: std::io::Result<String>| -> u64 { line.expect("a readable line").parse().expect("a line is a number") };
    let before = lines.by_ref().take(usize::try_from(numbers).expect("a few hundred")).map(number).last();
    child.kill().expect("it runs until it is killed");
    child.wait().expect("it ended");
    // What it told while it was being killed counts too. A line is one write to the pipe, so it is there whole or not at all.
    let after = lines.map(number).last();
    after.or(before).expect("it told something")
}

/// Opens the log and finds every group that was told, each one whole, and in them every batch.
fn check(dir: &Path, run: u64, acknowledged: u64) {
    let (log, recovery) = Log::open(dir, PLANE, CHAIN).expect("what a killed process leaves behind opens");
    let end = recovery.end;
    assert!(end.flushes >= acknowledged, "run {run}: {acknowledged} acknowledged, {} there", end.flushes);
    let mut story = Story::default();
    let mut frames = log.reader(0).map(|logged| logged.expect("what was opened can be read").frame);
    for group in 0..end.flushes {
        let expected = story.group();
        let found: Vec<Frame> = frames.by_ref().take(expected.len()).collect();
        assert_eq!(found, expected, "run {run}, group {group}");
    }
    assert_eq!(frames.next(), None, "run {run}: a part of a group is there");
    assert_eq!((end.cut, end.open), (story.cut, story.open), "run {run}");

    let mut replay = log.replay(&genesis()).expect("the log holds genesis");
    let mut position = 0;
    for (number, batch) in (1..).zip(replay.by_ref()) {
        let batch = batch.expect("what was opened can be replayed");
        assert_eq!(batch.opened.number, number);
        assert_eq!(batch.header.is_some(), number <= end.batch_number(), "run {run}, batch {number}");
        for bytes in batch.transactions {
            assert_eq!(bytes, transaction(position), "run {run}, position {position}");
            position += 1;
        }
    }
    let rest = replay.rest();
    assert_eq!((rest.position, rest.open), (position, story.open), "run {run}");
    assert_eq!(position + rest.transactions.len() as u64, end.position, "run {run}");
}

fn append_until_killed(dir: &Path) -> ! {
    let (mut log, recovery) = Log::open(dir, PLANE, CHAIN).expect("the process before is gone");
    let mut story = Story::default();
    for _ in 0..recovery.end.flushes {
        story.group();
    }
    let mut out = std::io::stdout().lock();
    loop {
        log.append(&story.group()).expect("it is appended");
        writeln!(out, "{}", log.end().flushes).expect("somebody listens");
        out.flush().expect("somebody listens");
    }
}

/// What the process that is killed writes, group by group, so that the one who looks needs nothing but their number.
#[derive(Default)]
struct Story {
    flushes: u64,
    position: u64,
    prev_flush_digest: Option<Digest>,
    open: Option<Opened>,
    cut: Option<CutBatch>,
    unsealed: VecDeque<CutBatch>,
}

impl Story {
    /// A flush, then the marks of the batches in it; some batches are sealed here, a few groups after they were cut.
    fn group(&mut self) -> Vec<Frame> {
        let count = 1 + self.flushes % 7;
        let flush = Flush {
            plane_id: PLANE,
            generation: 0,
            flush: self.flushes,
            first_position: self.position,
            root: Digest::ZERO,
            prev_flush_digest: self.prev_flush_digest.unwrap_or(Digest::ZERO),
            batch_at_most: 1,
        };
        let transactions = (self.position..self.position + count).map(transaction).collect();
        self.prev_flush_digest = Some(flush.digest(CHAIN));
        let signed = SignedFlush { flush, signature: Signature([0; 64]) };
        let mut group = vec![Frame::Flush(LoggedFlush { signed, transactions })];
        self.position += count;
        self.flushes += 1;
        let opened = self.open.unwrap_or_else(|| self.opens(&mut group));
        if self.flushes.is_multiple_of(3) {
            // Leaves a transaction to the next batch, if there is more than one.
            let position = if count > 1 { self.position - 1 } else { self.position };
            let Opened { number, generation, time, inbox, .. } = opened;
            let cut = CutBatch { number, generation, time, position, inbox };
            group.push(Frame::Cut(Cut { number, position, inbox }));
            self.unsealed.push_back(cut);
            (self.cut, self.open) = (Some(cut), None);
            if count > 1 {
                self.opens(&mut group);
            }
        }
        let due = if self.flushes.is_multiple_of(20) { self.unsealed.len().saturating_sub(2) } else { 0 };
        group.extend(self.unsealed.drain(..due).map(|cut| {
            let CutBatch { number, time, position: log_upto, .. } = cut;
            Frame::Sealed(BatchHeader { number, time, log_upto, ..genesis() })
        }));
        group
    }

    fn opens(&mut self, group: &mut Vec<Frame>) -> Opened {
        let (number, position) = self.cut.map_or((1, 0), |cut| (cut.number + 1, cut.position));
        let opened = Opened { generation: 0, number, time: 10 * number, position, inbox: 0 };
        group.push(Frame::Opened(opened));
        self.open = Some(opened);
        opened
    }
}

fn genesis() -> BatchHeader {
    header(&Keystone::new(1), 0)
}

/// What stands at a position, so that the reader needs nothing but the log.
fn transaction(position: u64) -> Vec<u8> {
    let len = position * 37 % 500;
    (0..len).map(|at| (position + at).to_le_bytes()[0]).collect()
}

/// What batch `number` changes: a new slot, an older one, a new object, and an older one that goes or comes back.
fn batch(state: &Keystone, number: u64) -> Changeset {
    let used = state.roots().slots_used;
    let change = |index: u32| {
        let index = SlotIndex::new(index).expect("a few slots");
        let old = state.slot(index).expect("all is there");
        let balance = Amount::new(number).expect("small");
        let owner = Address::system(1337, "owner").owner_digest();
        SlotChange { index, old, new: Slot { kind: SlotKind::Account, owner, asset: AssetId::GCC, balance } }
    };
    let older = (used > 1).then(|| change(1 + u32::try_from(number % u64::from(used - 1)).expect("a few slots")));
    let slots = older.into_iter().chain([change(used)]).collect();
    let object = |number: u64| {
        let mut key = [1; 32];
        key[8..16].copy_from_slice(&number.to_be_bytes());
        let key = ObjectKey::from_bytes(key);
        let old = state.object(&key).expect("all is there").map(|object| Box::from(object.value));
        let new = old.is_none().then(|| transaction(number).into_boxed_slice());
        ObjectChange { key, old, new }
    };
    let objects = [number / 2, number].map(object);
    Changeset::new(slots, objects.into()).expect("in order")
}

fn header(state: &Keystone, number: u64) -> BatchHeader {
    let roots = state.roots();
    BatchHeader::genesis(&PlaneState { number, time: number, roots, inbox_upto: 0, log_upto: 0, outbox_upto: 0 })
}

/// A log that ends with this batch; what it holds is another test's business.
fn log_end(dir: &Path, batch: BatchHeader) -> LogEnd {
    let (log, _) = Log::open(dir, PLANE, CHAIN).expect("the log of the runs before");
    LogEnd { batch: Some(batch), ..log.end().clone() }
}

fn checkpoint_until_killed(dir: &Path) -> ! {
    let mut checkpoints = Checkpoints::open(dir, PLANE).expect("the process before is gone");
    let mut last = checkpoints.header().expect("a sound marker");
    let mut state = match last {
        None => Keystone::new(1),
        Some(last) => {
            let loaded = checkpoints.load(&log_end(dir, last)).expect("sound").expect("there is a header");
            loaded.build(1, &Serial).expect("the state of the header")
        }
    };
    let mut out = std::io::stdout().lock();
    for number in last.map_or(0, |last| last.number) + 1.. {
        let changes = batch(&state, number);
        state.apply(&changes, &Serial).expect("it fits");
        let mut changed = Changed::since(last.as_ref());
        changed.apply(&changes, &state).expect("all is there");
        let now = header(&state, number);
        checkpoints.write(&log_end(dir, now), &now, changed).expect("it is written");
        last = Some(now);
        writeln!(out, "{number}").expect("somebody listens");
        out.flush().expect("somebody listens");
    }
    unreachable!("it is killed before the numbers end")
}

/// Loads the checkpoint, and compares it with the same batches applied in memory.
fn check_checkpoint(dir: &Path, run: u64, acknowledged: u64) {
    let checkpoints = Checkpoints::open(dir, PLANE).expect("what a killed process leaves behind opens");
    let last = checkpoints.header().expect("a sound marker").expect("it told of one");
    assert!(last.number >= acknowledged, "run {run}: {acknowledged} told, {} there", last.number);
    let loaded = checkpoints.load(&log_end(dir, last)).expect("sound").expect("there is a header");
    let built = loaded.build(1, &Serial).expect("the state of the header");
    let mut expected = Keystone::new(1);
    for number in 1..=last.number {
        let changes = batch(&expected, number);
        expected.apply(&changes, &Serial).expect("it fits");
    }
    assert_eq!(built.roots(), expected.roots(), "run {run}");
}
