//! Proofs of conservation: what they are worth, what one looks like, and a trial of making one.

use super::connect::{Target, block_on};
use crate::bench::measure::{Samples, peak_bytes, wall_seconds};
use crate::local::Threads;
use crate::screen::{Align, Screen, Table, bytes, duration, grouped, per_second};
use crate::trial::{self, Part, Run};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use ghostplane_proof::security::{BITS_MIN, NOT_PROVED, SecurityReport};
use ghostplane_proof::{
    CIRCUIT_VERSION, Parameters, PartKind, Phase, Settings, Statement, ThreadPool, ThreadPoolBuilder, compressions,
    info, parts, prove_bare, prove_with, verify,
};
use ghostplane_settlement::ProofBundle;
use ghostplane_types::Decode as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What can be asked about proofs.
#[derive(Debug, Args)]
pub struct ProofArgs {
    #[command(subcommand)]
    command: ProofCommand,
}

#[derive(Debug, Subcommand)]
enum ProofCommand {
    /// What a proof is worth, term by term, and what it does not say
    Info,
    /// The proof over a batch of a plane, checked and drawn
    Show {
        /// The batch's number
        batch: u64,
    },
    /// Prove made-up transfers here, and draw the proof
    Trial(TrialArgs),
}

#[derive(Debug, Args)]
struct TrialArgs {
    /// Transfers to prove; more than 131,072 take several proofs, and fewer of many accounts, too
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    transfers: u32,
    /// Accounts that take part, of 1,048,575
    #[arg(long, value_name = "N", default_value_t = 1_700, value_parser = clap::value_parser!(u32).range(2..i64::from(trial::SLOTS)))]
    among: u32,
    /// Made faster, or smaller
    #[arg(long, value_enum, default_value_t = Mode::Fast)]
    settings: Mode,
    /// Threads to prove with; 0 for as many as the machine has
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Prove so many times, and bare compressions as often in between; the times shown are medians
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    samples: Option<u32>,
}

/// Settings by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Made as fast as can be
    Fast,
    /// As small as is worth its time
    Small,
    /// Between the two
    Medium,
}

impl Mode {
    fn settings(self) -> Settings {
        match self {
            Self::Fast => Settings::Fast,
            Self::Small => Settings::Small,
            Self::Medium => Settings::Medium,
        }
    }
}

/// Does what was asked.
///
/// # Errors
/// Whatever stood in the way of a proof.
pub fn run(args: &ProofArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match &args.command {
        ProofCommand::Info => {
            show_info(screen);
            Ok(())
        }
        ProofCommand::Show { batch } => show(*batch, target, screen),
        ProofCommand::Trial(args) => show_trial(args, screen),
    }
}

/// The proof over a batch as the L1 took it: fetched, verified and drawn.
fn show(batch: u64, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let kept = client.proof(batch).await?;
        let bundle = ProofBundle::from_bytes(&kept.bundle).context("the node's proof is none")?;
        let claims: Vec<_> = bundle.batches.iter().map(|shown| (shown.header, shown.flows.clone())).collect();
        let (chain_id, plane_id) = (client.plane().genesis().chain_id, client.plane().id());
        let statement = Statement::new(chain_id, plane_id, &bundle.previous, &claims)?;
        let started = Instant::now();
        let verified = verify(&statement, &bundle.proof).context("the proof does not hold")?;
        let spent = started.elapsed();
        let mut drawn = draw(&statement, &bundle.proof, screen)?;
        let (first, last) = (kept.first_batch, kept.last_batch);
        screen.good(&format!(
            "verified in {}, worth {:.1} bits: it holds for the headers of batches {first} to {last} that the node shows",
            duration(spent),
            verified.security().bits()
        ));
        drawn["first_batch"] = json!(first);
        drawn["last_batch"] = json!(last);
        drawn["bits"] = json!(verified.security().bits());
        screen.emit(&drawn);
        Ok(())
    })
}

/// Heights of the tallest table for which terms are shown: the least that there is, and up to the most.
const LOG_HEIGHTS: [u8; 4] = [13, 16, 19, 22];

fn show_info(screen: &Screen) {
    screen.heading(&format!("The proof of conservation, circuit {CIRCUIT_VERSION}"));
    screen.line("KoalaBear (31 bits) with its quintic extension (154 bits), BLAKE3 for commitments and transcript.");
    screen.line("Proven by unique decoding alone; no conjecture about codes.");
    let mut all = Vec::new();
    for settings in Settings::ALL {
        let Parameters { log_blowup, queries, query_work_bits } = settings.parameters();
        let heights = LOG_HEIGHTS.map(|log| log.min(most_rows(settings)));
        let reports = heights.map(|log| SecurityReport::at_height(log, settings));
        screen.heading(&format!(
            "Settings {}: blow-up {}, {queries} queries, {query_work_bits} bits of work",
            settings.name(),
            1 << log_blowup,
        ));
        let names = heights.map(|log| format!("bits at 2^{log} rows"));
        let columns: Vec<(&str, Align)> = std::iter::once(("what could go wrong", Align::Left))
            .chain(names.iter().map(|name| (name.as_str(), Align::Right)))
            .collect();
        let mut table = Table::new(&columns);
        for (place, term) in reports[0].terms().iter().enumerate() {
            let bits = reports.iter().map(|report| format!("{:.1}", report.terms()[place].bits));
            table.row(std::iter::once(term.name.to_owned()).chain(bits));
        }
        screen.table(&table);
        let least = reports.iter().map(SecurityReport::bits).fold(f64::INFINITY, f64::min);
        let claim = format!("at least {least:.1} proven bits, and a proof below {BITS_MIN} is refused");
        if reports.iter().all(SecurityReport::is_enough) {
            screen.good(&claim)
        } else {
            screen.bad(&claim)
        }
        let at = heights.iter().zip(&reports).map(|(log, report)| {
            let terms: serde_json::Map<String, Value> =
                report.terms().iter().map(|term| (term.name.to_owned(), json!(term.bits))).collect();
            json!({ "rows": 1_u64 << log, "bits": report.bits(), "terms": terms })
        });
        all.push(json!({
            "name": settings.name(),
            "code": settings.code(),
            "blow_up": 1 << log_blowup,
            "queries": queries,
            "query_work_bits": query_work_bits,
            "proven_bits": least,
            "heights": at.collect::<Vec<_>>(),
        }));
    }
    screen.heading("What a proof does not say");
    NOT_PROVED.iter().for_each(|item| screen.line(&format!("  - {item}")));
    screen.emit(&json!({
        "circuit": CIRCUIT_VERSION,
        "field": "KoalaBear",
        "extension": "quintic",
        "hash": "BLAKE3",
        "regime": "unique decoding",
        "bits_min": BITS_MIN,
        "settings": all,
        "not_proved": NOT_PROVED,
    }));
}

/// Power of the tallest table that fits the field with its blow-up.
fn most_rows(settings: Settings) -> u8 {
    match settings {
        Settings::Fast | Settings::Medium => 22,
        Settings::Small => 21,
    }
}

/// Draws a proof: its tables, and what its bytes are. Returns the same for programs, for the caller to emit.
///
/// # Errors
/// If the bytes do not have the form of a proof about this statement. Whether they prove it is not looked at.
pub fn draw(statement: &Statement, proof: &[u8], screen: &Screen) -> anyhow::Result<Value> {
    let tables = info(statement, proof)?;
    let (settings, parts) = parts(statement, proof)?;
    let batches = statement.batches();
    screen.heading("The proof");
    screen.line(&format!(
        "{} about {} journal {} in {} {}, settings {}",
        bytes(proof.len() as u64),
        grouped(statement.entries()),
        if statement.entries() == 1 { "entry" } else { "entries" },
        grouped(batches.len() as u64),
        if batches.len() == 1 { "batch" } else { "batches" },
        settings.name(),
    ));
    let columns = [
        ("table", Align::Left),
        ("rows", Align::Right),
        ("columns", Align::Right),
        ("for lookups", Align::Right),
        ("permutations", Align::Right),
        ("cells", Align::Right),
        ("opened rows", Align::Right),
    ];
    let mut table = Table::new(&columns);
    let mut cells_of = Vec::new();
    let mut tables_json = Vec::new();
    for (shape, row_bytes) in &tables {
        let permutations = shape.rows * shape.table.compressions();
        let cells = shape.rows * (shape.columns + shape.lookup_columns);
        table.row([
            shape.table.name().to_owned(),
            grouped(shape.rows as u64),
            grouped(shape.columns as u64),
            grouped(shape.lookup_columns as u64),
            grouped(permutations as u64),
            grouped(cells as u64),
            bytes(*row_bytes as u64),
        ]);
        cells_of.push((shape.table.name(), cells));
        tables_json.push(json!({
            "table": shape.table.name(),
            "rows": shape.rows,
            "columns": shape.columns,
            "lookup_columns": shape.lookup_columns,
            "permutations": permutations,
            "cells": cells,
            "row_bytes": row_bytes,
        }));
    }
    screen.table(&table);
    screen.heading("Cells by table");
    shares(screen, &cells_of, |cells| grouped(cells as u64));
    screen.heading("Bytes by part");
    let named: Vec<(String, usize)> = parts.iter().map(|part| (part_name(part.kind), part.bytes)).collect();
    shares(screen, &named, |count| bytes(count as u64));
    let part = |(name, bytes): &(String, usize)| json!({ "part": name, "bytes": bytes });
    Ok(json!({
        "settings": settings.name(),
        "bytes": proof.len(),
        "batches": batches.len(),
        "entries": statement.entries(),
        "tables": tables_json,
        "parts": named.iter().map(part).collect::<Vec<_>>(),
    }))
}

fn shares<L: std::fmt::Display>(screen: &Screen, items: &[(L, usize)], shown: impl Fn(usize) -> String) {
    let sum: usize = items.iter().map(|(_, count)| count).sum();
    let share = |count: usize| 100.0 * count as f64 / sum.max(1) as f64;
    let bar = |(label, count): &(L, usize)| {
        (label.to_string(), *count as f64, format!("{:.1} %  {}", share(*count), shown(*count)))
    };
    screen.bars(&items.iter().map(bar).collect::<Vec<_>>());
}

fn part_name(kind: PartKind) -> String {
    match kind {
        PartKind::Head => "roots and sums".to_owned(),
        PartKind::Openings => "columns at the point".to_owned(),
        PartKind::Folding => "folding: roots, end".to_owned(),
        PartKind::Rows(table) => format!("rows of {}", table.name()),
        PartKind::RowPaths => "paths of rows".to_owned(),
        PartKind::Folds => "folds".to_owned(),
        PartKind::FoldPaths => "paths of folds".to_owned(),
    }
}

/// Compressions of a bare proof: 2^13 rows of 8.
const LOG_BARE_ROWS: u8 = 13;
/// Times that the finished proof is verified, on one thread.
const VERIFICATIONS: usize = 5;

/// Times of one trial. What parts take is added up, sample by sample.
struct Times {
    all: Vec<f64>,
    phases: [Vec<f64>; Phase::ALL.len()],
    bare: Samples,
    verify: Samples,
}

fn median(sums: &[f64]) -> f64 {
    let mut samples = Samples::default();
    sums.iter().for_each(|seconds| samples.push(*seconds));
    samples.median()
}

fn show_trial(args: &TrialArgs, screen: &Screen) -> anyhow::Result<()> {
    let threads = Threads::new(args.threads);
    let settings = args.settings.settings();
    let pool = |count| ThreadPoolBuilder::new().num_threads(count).build();
    let (prover, single) = (pool(threads.0.get())?, pool(1)?);
    let bar = screen.progress("making transfers up", 0);
    let mut run = Run::make_up(trial::SLOTS, args.transfers as usize, args.among as usize, threads)?;
    bar.finish(&format!("{} among {}", grouped(args.transfers.into()), grouped(args.among.into())));

    let samples = args.samples.unwrap_or(1) as usize;
    let bar = screen.progress("proving", u64::from(args.transfers) * samples as u64);
    let mut times = Times::of(samples);
    let (mut proofs, mut used, mut last) = (0, 0, None);
    // One part at a time: what was proved is let go before the next is made up.
    while let Some(part) = run.next_part()? {
        drop(last.take());
        used += compressions(&part.witnesses);
        let mut proof = Vec::new();
        for sample in 0..samples {
            proof = times.sample(sample, &part, settings, &prover)?;
            bar.inc(part.transfers as u64);
            if args.samples.is_some() {
                let (seconds, proved) = wall_seconds(|| prove_bare(LOG_BARE_ROWS, settings, &prover));
                times.bare.push(proved? as f64 / seconds);
            }
        }
        proofs += 1;
        last = Some((part.statement, proof));
    }
    let (statement, last) = last.context("a run has a part")?;
    bar.finish(&format!("{}, the last of {}", plural(proofs, "proof", "proofs"), bytes(last.len() as u64)));
    let peak = peak_bytes();
    for _ in 0..VERIFICATIONS {
        let (seconds, verified) = wall_seconds(|| single.install(|| verify(&statement, &last)));
        verified?;
        times.verify.push(seconds);
    }
    screen.good(&format!("it verifies, on one thread in {}", duration(Duration::from_secs_f64(times.verify.median()))));

    let drawing = draw(&statement, &last, screen)?;
    let seconds = median(&times.all);
    let rate = f64::from(args.transfers) / seconds;
    screen.heading("Where the time goes");
    let phases = Phase::ALL.map(|phase| (phase.name(), median(&times.phases[phase as usize])));
    let shown = |(name, seconds): &(&'static str, f64)| {
        let share = 100.0 * seconds / phases.iter().map(|(_, seconds)| seconds).sum::<f64>();
        (*name, *seconds, format!("{share:.1} %  {}", duration(Duration::from_secs_f64(*seconds))))
    };
    screen.bars(&phases.iter().map(shown).collect::<Vec<_>>());
    screen.line(&format!(
        "{} transfers in {}: {} with {}; {} permutations, {}",
        grouped(args.transfers.into()),
        duration(Duration::from_secs_f64(seconds)),
        per_second(rate),
        plural(threads.0.get(), "thread", "threads"),
        grouped(used as u64),
        per_second(used as f64 / seconds),
    ));
    let bare = args.samples.map(|_| times.bare.median());
    if let Some(bare) = bare {
        screen.line(&format!("bare permutations, proved in the same run: {}", per_second(bare)));
    }
    if peak > 0.0 {
        screen.line(&format!("memory at most {}, the ledger of 2^20 accounts included", mebibytes(peak)));
    }
    screen.emit(&json!({
        "transfers": args.transfers,
        "among": args.among,
        "threads": threads.0.get(),
        "proofs": proofs,
        "seconds": seconds,
        "transfers_per_second": rate,
        "phase_seconds": phases.iter().map(|(name, seconds)| (name.to_string(), json!(seconds))).collect::<serde_json::Map<_, _>>(),
        "verify_seconds": times.verify.median(),
        "permutations": used,
        "permutations_per_second": used as f64 / seconds,
        "bare_permutations_per_second": bare,
        "peak_memory_bytes": peak,
        "proof": drawing,
    }));
    Ok(())
}

impl Times {
    fn of(samples: usize) -> Self {
        let zeros = || vec![0.0; samples];
        let phases = std::array::from_fn(|_| zeros());
        Self { all: zeros(), phases, bare: Samples::default(), verify: Samples::default() }
    }

    /// Proves a part once, and adds what it took to a sample. Returns the proof.
    fn sample(&mut self, sample: usize, part: &Part, settings: Settings, pool: &ThreadPool) -> anyhow::Result<Vec<u8>> {
        let mut began: Vec<(Phase, Instant)> = Vec::with_capacity(Phase::ALL.len());
        let started = Instant::now();
        let proof = prove_with(&part.statement, &part.witnesses, settings, pool, &mut |phase| {
            began.push((phase, Instant::now()));
        })?;
        self.all[sample] += started.elapsed().as_secs_f64();
        let ends = began.iter().skip(1).map(|(_, instant)| *instant).chain([Instant::now()]);
        for ((phase, start), end) in began.iter().zip(ends) {
            self.phases[*phase as usize][sample] += (end - *start).as_secs_f64();
        }
        Ok(proof)
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count as u64), if count == 1 { one } else { many })
}

fn mebibytes(count: f64) -> String {
    format!("{:.0} MiB", count / f64::from(1 << 20))
}
