//! A process of its own appends, or writes checkpoints, and is killed at random moments: nothing that it had told is lost.
//!
//! `cargo test -p ghostplane-store --test kill -- RUNS SEED` for more than the few runs of the normal test.

#![allow(clippy::print_stdout)] // Without a harness, a test says itself what it did.

use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, Signature};
use ghostplane_keystone::{Changeset, Keystone, ObjectChange, SlotChange, StateView};
use ghostplane_store::{Changed, Checkpoints, Frame, Log, LogEnd, LoggedFlush};
use ghostplane_types::{
    Address, Amount, AssetId, BatchHeader, Flush, ObjectKey, PlaneState, SignedFlush, Slot, SlotIndex, SlotKind,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const PLANE: Digest = Digest([4; 32]);
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
    println!("{runs} kills, {acknowledged} transactions acknowledged, none lost");
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

/// Opens the log and finds every transaction that was told, and each one whole.
fn check(dir: &Path, run: u64, acknowledged: u64) {
    let (log, recovery) = Log::open(dir, PLANE).expect("what a killed process leaves behind opens");
    let position = recovery.end.position;
    assert!(position >= acknowledged, "run {run}: {acknowledged} acknowledged, {position} there");
    let mut next = 0;
    for logged in log.reader(0) {
        let Frame::Flush(flush) = logged.expect("what was opened can be read").frame else { unreachable!() };
        for bytes in flush.transactions {
            assert_eq!(bytes, transaction(next), "run {run}, position {next}");
            next += 1;
        }
    }
    assert_eq!(next, position);
}

fn append_until_killed(dir: &Path) -> ! {
    let (mut log, _) = Log::open(dir, PLANE).expect("the process before is gone");
    let mut out = std::io::stdout().lock();
    loop {
        let end = log.end();
        let count = 1 + end.flushes % 7;
        let flush = Flush {
            plane_id: PLANE,
            generation: end.generation,
            flush: end.flushes,
            first_position: end.position,
            root: Digest::ZERO,
            prev_flush_digest: Digest::ZERO,
            batch_at_most: 1,
        };
        let transactions = (end.position..end.position + count).map(transaction).collect();
        let signed = SignedFlush { flush, signature: Signature([0; 64]) };
        let appended = log.append(&[Frame::Flush(LoggedFlush { signed, transactions })]).expect("it is appended");
        writeln!(out, "{}", appended.position).expect("somebody listens");
        out.flush().expect("somebody listens");
    }
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
    let (log, _) = Log::open(dir, PLANE).expect("the log of the runs before");
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
