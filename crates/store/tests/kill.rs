//! A process of its own appends, is killed at random moments, and nothing that it had told is lost.
//!
//! `cargo test -p ghostplane-store --test kill -- RUNS SEED` for more than the few runs of the normal test.

#![allow(clippy::print_stdout)] // Without a harness, a test says itself what it did.

use ghostplane_ghostcipher::{Digest, Signature};
use ghostplane_store::{Frame, Log, LoggedFlush};
use ghostplane_types::{Flush, SignedFlush};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const PLANE: Digest = Digest([4; 32]);
const RUNS: u64 = 6;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, dir] = arguments.as_slice()
        && role == "append-until-killed"
    {
        append_until_killed(Path::new(dir));
    }
    // The test runner may pass options of its own; only numbers are ours.
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok());
    let (runs, seed) = (numbers.next().unwrap_or(RUNS), numbers.next().unwrap_or(1));
    let dir = std::env::temp_dir().join(format!("ghostplane-store-{}-kill", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut acknowledged = 0;
    for run in 0..runs {
        acknowledged = run_and_kill(&dir, 1 + rng.next_u64() % 400).max(acknowledged);
        check(&dir, run, acknowledged);
    }
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
    println!("{runs} kills, {acknowledged} transactions acknowledged, none lost");
}

/// Starts a process that appends, kills it once it has told of `groups` groups, and returns the last position it told.
fn run_and_kill(dir: &Path, groups: u64) -> u64 {
    let mut command = Command::new(std::env::current_exe().expect("a test knows where it is"));
    let mut child = command.arg("append-until-killed").arg(dir).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let position = |line: std::io::Result<String>| -> u64 {
        line.expect("a readable line").parse().expect("a line is a position")
    };
    let before = lines.by_ref().take(usize::try_from(groups).expect("a few hundred")).map(position).last();
    child.kill().expect("it runs until it is killed");
    child.wait().expect("it ended");
    // What it told while it was being killed counts too. A line is one write to the pipe, so it is there whole or not at all.
    let after = lines.map(position).last();
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
