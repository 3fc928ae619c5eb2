//! Proofs of conservation: how fast, how large, how much memory. Each case is proved in a process of its own, by
//! `ghostplane proof trial`, so that its memory is its own and the allocator is told what suits a prover.

use super::{Row, lag};
use crate::screen::Screen;
use crate::trial::ALLOCATOR;
use anyhow::Context as _;
use serde_json::Value;
use std::process::{Command, Stdio};

/// A case, and the row that it gives.
struct Case {
    name: &'static str,
    transfers: usize,
    among: usize,
    samples: usize,
}

const fn case(name: &'static str, transfers: usize, among: usize, samples: usize) -> Case {
    Case { name, transfers, among, samples }
}

/// The mix that the proof is made for; the rows of size and verification are about it.
const MAIN: Case = case("proof/16k-among-1.7k", 16_384, 1_700, 9);

const CASES: [Case; 13] = [
    case("proof/64k-among-1k", 65_536, 1_000, 7),
    case("proof/100-distinct-1", 100, 2, 7),
    case("proof/100-distinct-20", 100, 20, 7),
    case("proof/100-distinct-100", 100, 100, 7),
    case("proof/1k-distinct-1", 1_000, 10, 7),
    case("proof/1k-distinct-20", 1_000, 200, 7),
    case("proof/1k-distinct-100", 1_000, 1_000, 7),
    case("proof/10k-distinct-1", 10_000, 100, 5),
    case("proof/10k-distinct-20", 10_000, 2_000, 5),
    case("proof/10k-distinct-100", 10_000, 10_000, 3),
    case("proof/100k-distinct-1", 100_000, 1_000, 3),
    case("proof/100k-distinct-20", 100_000, 20_000, 3),
    case("proof/100k-distinct-100", 100_000, 100_000, 1),
];

const LARGE: [Case; 3] = [
    case("proof/1m-distinct-1", 1_000_000, 10_000, 1),
    case("proof/1m-distinct-20", 1_000_000, 200_000, 1),
    case("proof/1m-distinct-100", 1_000_000, 1_000_000, 1),
];

/// The run whose memory is measured.
const MEMORY: Case = case("proof/peak-memory-mib", 100_000, 20_000, 0);
const MEDIUM: Case = case("proof/medium-16k-among-1.7k", 16_384, 1_700, 5);
const SMALL: Case = case("proof/small-16k-among-1.7k", 16_384, 1_700, 5);

const LIMIT: &str = "bare permutations proved/s / permutations per transfer";
const MEBIBYTE: f64 = 1_048_576.0;

pub(super) fn measure(seconds: u64, large: bool, screen: &Screen) -> anyhow::Result<Vec<Row>> {
    let more: &[Case] = if large { &LARGE } else { &[] };
    let bar = screen.progress("proofs of conservation", 5 + (CASES.len() + more.len()) as u64);
    let tried = |case: &Case, settings: &str| {
        let result = trial(case, settings);
        bar.inc(1);
        result
    };
    let main = tried(&MAIN, "fast")?;
    let mut rows = vec![rate(&MAIN, &main)?];
    let mut most = 0.0_f64;
    for case in CASES.iter().chain(more) {
        let trial = tried(case, "fast")?;
        rows.push(rate(case, &trial)?);
        most = most.max(figure(&trial, "/peak_memory_bytes")?);
    }
    if large {
        rows.push(Row::plain("proof/peak-memory-1m-mib", most / MEBIBYTE, "MiB"));
    }
    let medium = tried(&MEDIUM, "medium")?;
    rows.push(rate(&MEDIUM, &medium)?);
    let small = tried(&SMALL, "small")?;
    rows.push(rate(&SMALL, &small)?);
    rows.push(Row::plain("proof/size-kib", figure(&main, "/proof/bytes")? / 1024.0, "KiB"));
    rows.push(Row::plain("proof/medium-size-kib", figure(&medium, "/proof/bytes")? / 1024.0, "KiB"));
    rows.push(Row::plain("proof/small-size-kib", figure(&small, "/proof/bytes")? / 1024.0, "KiB"));
    rows.push(Row::plain("proof/verify-ms", 1e3 * figure(&main, "/verify_seconds")?, "ms"));
    rows.push(Row::plain("proof/medium-verify-ms", 1e3 * figure(&medium, "/verify_seconds")?, "ms"));
    rows.push(Row::plain("proof/small-verify-ms", 1e3 * figure(&small, "/verify_seconds")?, "ms"));
    let memory = tried(&MEMORY, "fast")?;
    rows.push(Row::plain(MEMORY.name, figure(&memory, "/peak_memory_bytes")? / MEBIBYTE, "MiB"));
    rows.extend(lag::measure(seconds)?);
    bar.inc(1);
    bar.finish("");
    Ok(rows)
}

/// Transfers a second, beside what bare permutations allow.
fn rate(case: &Case, trial: &Value) -> anyhow::Result<Row> {
    let limit =
        figure(trial, "/bare_permutations_per_second")? * case.transfers as f64 / figure(trial, "/permutations")?;
    Ok(Row::rate(case.name, figure(trial, "/transfers_per_second")?, "transfers/s", limit, LIMIT))
}

fn figure(trial: &Value, at: &str) -> anyhow::Result<f64> {
    trial.pointer(at).and_then(Value::as_f64).with_context(|| format!("a trial tells no {at}"))
}

/// Runs this very binary: what a process has been through does not count for the next case.
fn trial(case: &Case, settings: &str) -> anyhow::Result<Value> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["proof", "trial", "--json", "--settings", settings]);
    command.args(["--transfers", &case.transfers.to_string(), "--among", &case.among.to_string()]);
    if case.samples > 0 {
        command.args(["--samples", &case.samples.to_string()]);
    }
    command.env(ALLOCATOR.0, ALLOCATOR.1).stdin(Stdio::null());
    let output = command.output().context("this binary cannot be started again")?;
    anyhow::ensure!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr).trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}
