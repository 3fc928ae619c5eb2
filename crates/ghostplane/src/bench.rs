//! Figures, each beside its limit: what `ghostplane bench` measures and how it shows it.
//!
//! A figure is the median of several samples. The rates that its limit is made of are sampled in between, in the same
//! run and on the same core, so that a busy machine slows both alike. `docs/bench.md` says what each row means.

#![allow(clippy::cast_possible_truncation, reason = "counts of a few million, of the bench's own making")]

mod covenant;
mod disk;
mod engine;
mod fixture;
mod hash;
mod lag;
pub(crate) mod measure;
mod proof;
mod recovery;
mod replay;
mod state;
mod transfers;

use crate::screen::{Align, Screen, Table};
use clap::ValueEnum;
use serde::Serialize;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// The two state trees: updates, rebuild, memory, lookups, proofs.
    State,
    /// Hashes and signatures.
    Hash,
    /// Executing batches.
    Engine,
    /// Judging batches from a witness, and the size of what is posted.
    Replay,
    /// Rules: decisions beside Cedar alone.
    Covenant,
    /// Proofs of conservation: speed, size, memory.
    Proof,
    /// A whole node under load.
    Transfers,
    /// How fast a node is back: from its log, from a checkpoint of a million accounts, from nothing.
    Recovery,
    /// All of them.
    All,
}

/// One figure. Names and units are stable.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `suite/figure`.
    pub name: &'static str,
    /// The median.
    pub value: f64,
    /// What `value` counts.
    pub unit: &'static str,
    /// What nothing can beat in this run, in the same unit.
    pub limit: Option<f64>,
    /// Where the limit comes from.
    pub limit_name: Option<&'static str>,
    /// How much of the limit is reached: 1 is the limit, whether more or less of the unit is better.
    pub ratio: Option<f64>,
}

impl Row {
    /// A figure that is itself what others are measured against.
    fn plain(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, limit: None, limit_name: None, ratio: None }
    }

    /// A rate: more is better, and `limit` is the most.
    fn rate(name: &'static str, value: f64, unit: &'static str, limit: f64, limit_name: &'static str) -> Self {
        Self { name, value, unit, limit: Some(limit), limit_name: Some(limit_name), ratio: Some(value / limit) }
    }

    /// A cost: less is better, and `limit` is the least.
    fn cost(name: &'static str, value: f64, unit: &'static str, limit: f64, limit_name: &'static str) -> Self {
        Self { name, value, unit, limit: Some(limit), limit_name: Some(limit_name), ratio: Some(limit / value) }
    }
}

/// What the project has set itself for a row.
enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Of the limit.
    RatioAtLeast(f64),
}

/// The rows that have a goal.
const GOALS: [(&str, Goal); 26] = [
    ("covenant/decision-1", Goal::RatioAtLeast(0.7)),
    ("covenant/decision-10", Goal::RatioAtLeast(0.7)),
    ("covenant/decision-100", Goal::RatioAtLeast(0.7)),
    ("covenant/decision-1000", Goal::RatioAtLeast(0.7)),
    ("latency/p50", Goal::AtMost(5.0)),
    ("latency/p99", Goal::AtMost(20.0)),
    ("start/dev", Goal::AtMost(1_000.0)),
    ("recovery/start-100k", Goal::AtMost(3_000.0)),
    ("recovery/start-1m", Goal::AtMost(3_000.0)),
    ("state/ledger-update", Goal::AtLeast(1e6)),
    ("state/object-update", Goal::AtLeast(3e6)),
    ("state/rebuild-2e20", Goal::AtMost(300.0)),
    ("state/bytes-per-account", Goal::AtMost(320.0)),
    ("engine/transfer", Goal::AtLeast(1e6)),
    ("replay/batch-ratio", Goal::AtMost(2.0)),
    ("replay/cold", Goal::AtMost(1000.0)),
    ("replay/cold-distinct", Goal::AtMost(1000.0)),
    ("replay/cold-bundles", Goal::AtMost(1000.0)),
    ("posted/bytes-single", Goal::AtMost(90.0)),
    ("posted/bytes-per-action", Goal::AtMost(14.0)),
    ("proof/16k-among-1.7k", Goal::AtLeast(80e3)),
    ("proof/64k-among-1k", Goal::AtLeast(150e3)),
    ("proof/size-kib", Goal::AtMost(1250.0)),
    ("proof/peak-memory-mib", Goal::AtMost(2048.0)),
    ("proof/peak-memory-1m-mib", Goal::AtMost(6144.0)),
    ("proof/verify-ms", Goal::AtMost(10.0)),
];

/// Measures a suite, or all of them, and shows the figures; with `large`, those too that take many minutes.
///
/// # Errors
/// If the engine refuses what is made up for it, which would be a bug.
pub fn run(suite: Suite, seconds: u64, large: bool, screen: &Screen) -> anyhow::Result<()> {
    let mut all = Vec::new();
    let suites = match suite {
        Suite::All => vec![
            Suite::State,
            Suite::Hash,
            Suite::Engine,
            Suite::Replay,
            Suite::Covenant,
            Suite::Proof,
            Suite::Transfers,
            Suite::Recovery,
        ],
        one => vec![one],
    };
    for suite in suites {
        let rows = match suite {
            Suite::State => state::measure(screen)?,
            Suite::Hash => hash::measure(screen),
            Suite::Engine => engine::measure(screen)?,
            Suite::Covenant => covenant::measure(screen)?,
            Suite::Proof => proof::measure(seconds, large, screen)?,
            Suite::Transfers => transfers::measure(seconds, screen)?,
            Suite::Recovery => recovery::measure(seconds, screen)?,
            Suite::Replay | Suite::All => replay::measure(screen)?,
        };
        show(screen, &rows);
        all.extend(rows);
    }
    screen.emit(&serde_json::to_value(all)?);
    Ok(())
}

fn show(screen: &Screen, rows: &[Row]) {
    let columns = [
        ("figure", Align::Left),
        ("value", Align::Right),
        ("unit", Align::Left),
        ("limit", Align::Right),
        ("what sets the limit", Align::Left),
        ("goal", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for row in rows {
        let limit = row.limit.map(number).unwrap_or_default();
        let goal = GOALS.iter().find(|(name, _)| *name == row.name).map(|(_, goal)| told(goal, row));
        let limit_name = row.limit_name.unwrap_or_default();
        table.row([row.name, &number(row.value), row.unit, &limit, limit_name, &goal.unwrap_or_default()]);
    }
    screen.heading("Figures");
    screen.table(&table);
    screen.heading("How much of its limit each one reaches");
    let ratios =
        rows.iter().filter_map(|row| row.ratio.map(|ratio| (row.name, ratio, format!("{:.0} %", 100.0 * ratio))));
    screen.bars(&ratios.collect::<Vec<_>>());
}

fn told(goal: &Goal, row: &Row) -> String {
    let value = row.value;
    let (word, bound, met) = match goal {
        Goal::AtLeast(bound) => ("at least", *bound, value >= *bound),
        Goal::AtMost(bound) => ("at most", *bound, value <= *bound),
        Goal::RatioAtLeast(bound) => ("of its limit at least", *bound, row.ratio.is_some_and(|ratio| ratio >= *bound)),
    };
    format!("{} {word} {}", if met { "✓" } else { "✗" }, number(bound))
}

/// Four significant digits, thousands separated: enough for a figure that a busy machine moves by a few percent.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Figures are positive and far below 2^53.
fn number(value: f64) -> String {
    match value {
        large if large >= 9_999.5 => {
            let step = 10_f64.powi(large.log10().floor() as i32 - 3);
            crate::screen::grouped(((large / step).round() * step) as u64)
        }
        v if v >= 999.95 => crate::screen::grouped(v.round() as u64),
        v if v >= 99.95 => format!("{v:.1}"),
        v if v >= 9.995 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}
