//! What a proof is worth, worked out term by term, and what it does not say.
#![allow(
    clippy::float_arithmetic,
    reason = "bits of security are figures for a reader; no value depends on their last digit"
)]

use crate::air::TableAir;
use crate::codec::QUOTIENT_CHUNKS;
use crate::config::{DEGREE_MAX, Extension, LOG_ARITY_MAX, LOG_FINAL_POLY, Parameters, Settings, lookups};
use crate::layout::{LOG_JOURNAL_NARROW, LOG_RANGE, LOG_ROWS_MIN, Layout};
use crate::statement::Statement;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::BaseAir;
use p3_air::symbolic::AirLayout;
use p3_batch_stark::num_batched_openings;
use p3_batch_stark::symbolic::get_symbolic_constraints;
use p3_lookup::LogUpGadget;
use p3_security::GrindingSites;
use p3_security::fri::FriRegime;
use p3_security::logup::{LogUpAir, security_term};
use p3_security::shape::{InstanceShape, StarkAirParams};
use p3_security::stark::proven_security_report;
use p3_uni_stark::OpeningShape;
use std::sync::{LazyLock, OnceLock};

/// A proof that is worth less is refused.
pub const BITS_MIN: u32 = 100;

/// Bits of the extension field: five elements of 30.988 bits each, rounded down.
const FIELD_BITS: usize = 154;
/// Heights that tables can have.
const LOG_HEIGHTS: usize = 25;
/// Collision resistance of BLAKE3.
const COLLISION_BITS: usize = 128;

/// What a valid proof says nothing about. Other rules and other checks have to cover it.
pub const NOT_PROVED: [&str; 12] = [
    "signatures: that anybody agreed to an entry",
    "nonces and the order of transactions",
    "gates: sessions, guardians, covenants",
    "that fees are those of the schedule, and shared as genesis says",
    "who owns a slot that is handed out, and of which asset it is",
    "that an account has one slot of an asset",
    "that new slots are handed out in order",
    "that deposits and withdrawals are those of the L1: only that the flows sum them up",
    "contracts and their results",
    "the object tree, log and outbox of a batch",
    "time",
    "collision resistance of Poseidon2 and BLAKE3, and the random-oracle model: assumed",
];

/// One source of error, and the bits it leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct SecurityTerm {
    /// Which.
    pub name: &'static str,
    /// `-log2` of its probability.
    pub bits: f64,
}

/// What a proof is worth: proven by unique decoding, no conjecture about codes.
#[derive(Clone, Debug, PartialEq)]
pub struct SecurityReport {
    terms: Vec<SecurityTerm>,
}

impl SecurityReport {
    /// The report for a statement, layout and settings.
    pub fn new(statement: &Statement, layout: &Layout, settings: Settings) -> Self {
        // The layout counts by two figures, and the search behind the bounds takes longer than reading a proof.
        static REPORTS: [[[OnceLock<SecurityReport>; LOG_HEIGHTS]; 2]; Settings::ALL.len()] =
            [const { [const { [const { OnceLock::new() }; LOG_HEIGHTS] }; 2] }; Settings::ALL.len()];
        let tallest = layout.log_rows(statement).into_iter().max().expect("there are tables");
        let report = || Self::with(tallest, layout.is_wide(), settings.parameters());
        match REPORTS[usize::from(settings.code())][usize::from(layout.is_wide())].get(tallest) {
            Some(known) => known.get_or_init(report).clone(),
            None => report(),
        }
    }

    /// The report for proofs whose tallest table has 2^`log_rows` rows, with a journal as tall as that.
    pub fn at_height(log_rows: u8, settings: Settings) -> Self {
        Self::with(log_rows.max(LOG_RANGE).into(), log_rows > LOG_JOURNAL_NARROW, settings.parameters())
    }

    /// The report for the tallest table of all and whether the journal counts in two limbs.
    pub(crate) fn with(log_trace_length: usize, wide: bool, parameters: Parameters) -> Self {
        let figures = figures(wide);
        let fri = FriRegime {
            log_blowup: parameters.log_blowup,
            num_queries: parameters.queries,
            log_final_poly_len: LOG_FINAL_POLY,
            max_log_arity: LOG_ARITY_MAX,
            commit_pow_bits: 0,
            query_pow_bits: parameters.query_work_bits,
        };
        let air = StarkAirParams {
            num_constraints: figures.constraints,
            max_constraint_degree: DEGREE_MAX,
            num_quotient_chunks: QUOTIENT_CHUNKS,
            max_combo: 2,
        };
        let shape = InstanceShape {
            log_trace_length,
            modulus_bits: FIELD_BITS,
            collision_resistance: COLLISION_BITS,
            num_batched_functions: figures.openings,
        };
        // As if every table were as tall as the tallest: never more than it is worth.
        let messages = LogUpAir { num_interactions: figures.messages, max_message_width: figures.message_width };
        let lookup = security_term(&messages, &shape, &GrindingSites::NONE);
        let report = proven_security_report(&fri, &air, &shape, lookup.as_slice(), &GrindingSites::NONE);
        let terms = report.udr.terms().iter();
        Self { terms: terms.map(|term| SecurityTerm { name: term.label, bits: term.bits.bits() }).collect() }
    }

    /// Every source of error.
    pub fn terms(&self) -> &[SecurityTerm] {
        &self.terms
    }

    /// What the proof is worth: the least of the terms.
    pub fn bits(&self) -> f64 {
        self.terms.iter().map(|term| term.bits).fold(f64::INFINITY, f64::min)
    }

    /// Whether that is at least [`BITS_MIN`].
    pub fn is_enough(&self) -> bool {
        self.bits() >= f64::from(BITS_MIN)
    }
}

/// What the bounds need to know of the tables together.
struct Figures {
    constraints: usize,
    openings: usize,
    messages: usize,
    message_width: usize,
}

fn figures(wide: bool) -> &'static Figures {
    static NARROW: LazyLock<Figures> = LazyLock::new(|| derive_figures(false));
    static WIDE: LazyLock<Figures> = LazyLock::new(|| derive_figures(true));
    if wide { &WIDE } else { &NARROW }
}

fn derive_figures(wide: bool) -> Figures {
    let statement = Statement::of_nothing();
    let journal = if wide { LOG_JOURNAL_NARROW + 1 } else { LOG_ROWS_MIN };
    let layout = Layout { journal, slots: LOG_ROWS_MIN, nodes: LOG_ROWS_MIN };
    let mut sum = Figures { constraints: 0, openings: 0, messages: 0, message_width: 0 };
    for (air, lookups) in TableAir::all(&statement, &layout).iter().zip(lookups(wide)) {
        let (base, extension) = get_symbolic_constraints::<KoalaBear, Extension, _, _>(
            air,
            AirLayout::from_air(air),
            lookups,
            &LogUpGadget::new(),
        );
        sum.constraints += base.len() + extension.len();
        let reads_next = !air.main_next_row_columns().is_empty();
        let count = lookups.len();
        sum.openings +=
            num_batched_openings(air.width(), reads_next, 0, false, QUOTIENT_CHUNKS, count, 5, OpeningShape::new());
        let elements = || lookups.iter().flat_map(|lookup| lookup.elements.iter());
        sum.messages += elements().count();
        sum.message_width = elements().map(Vec::len).fold(sum.message_width, usize::max);
    }
    sum
}
