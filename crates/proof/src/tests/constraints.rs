//! Each constraint deleted in turn: for each there is a trace that breaks nothing but this one, so that a system without it
//! takes what it must not.
//!
//! A plain reading of the constraints tells what a trace breaks. The slow job (`--features exhaustive`) has every such trace
//! proved and verified besides: refused by the whole system, taken by the one without the constraint.

mod check;
mod forge;

use super::ledger::{Ledger, Random, witnesses};
use super::{finish, pool};
use crate::air::TableAir;
use crate::config::{Config, DEGREE_MAX, config};
use crate::statement::Statement;
use crate::trace::{Draft, Traces};
use crate::{Settings, Table};
use check::{Deleted, Flaw, flaws};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::{Air, AirBuilder, BaseAir};
use p3_batch_stark::{ProverData, StarkInstance, prove_batch, verify_batch};
use p3_lookup::{Count, InteractionBuilder};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One forged trace in so many is proved in earnest.
const STRIDE: usize = if cfg!(feature = "exhaustive") { 1 } else { 97 };

/// Constraints that nothing forged needs, and why they stay. `docs/proof.md` has the whole reasoning.
const NOT_NEEDED: [(Table, usize, &str); 2] = [
    (Table::Journal, 0, "a real row is 0 or 1: fractions of a row never come together again"),
    (Table::Journal, 1, "an end is 0 or 1: fractions of an end close a segment nowhere"),
];

#[test]
fn every_constraint_is_needed() {
    let mut needed: BTreeMap<Flaw, String> = BTreeMap::new();
    let (mut tried, mut wrong) = (0, Vec::new());
    forge::each(&mut |name, statement, traces| {
        let found = flaws(statement, traces, &[]);
        let [flaw] = found.iter().collect::<Vec<_>>()[..] else {
            wrong.push(format!("{name} is refused for {found:?}"));
            return;
        };
        needed.entry(*flaw).or_insert_with(|| name.to_owned());
        tried += 1;
        if tried % STRIDE == 0 {
            assert!(!is_taken(statement, traces, None), "{name} is taken");
            let mut traces = traces.clone();
            if let Deleted::Message(_) = flaw.deleted {
                check::count_without(statement, &mut traces, *flaw);
            }
            assert!(is_taken(statement, &traces, Some(flaw.deleted())), "{name} is refused without {flaw:?}, too");
        }
    });
    assert!(wrong.is_empty(), "not for one reason:\n{}", wrong.join("\n"));
    let mut missing = check::all();
    missing.retain(|flaw| !needed.contains_key(flaw));
    let expected = NOT_NEEDED.map(|(table, at, _)| Flaw { table, deleted: Deleted::Assertion(at) });
    assert_eq!(missing, expected, "constraints that no forged trace needs");
    assert!(needed.len() > 780 && tried >= needed.len(), "{} of {tried}", needed.len());
}

#[test]
fn every_message_between_tables_is_needed() {
    // Without any one of them, the truth itself does not add up. Questions to the range table are among the constraints.
    let mut ledger = Ledger::new(40, 1_000_000);
    let mut entries = vec![super::ledger::entry(0, 5, 70), super::ledger::entry(6, 0, 3)];
    entries.extend(ledger.payments(&mut Random(6), 90, 12));
    let batches = [ledger.batch(&entries)];
    let statement = ledger.statement(&batches);
    let traces = finish(Draft::new(&statement, &witnesses(&batches), Settings::Fast).expect("small"));
    assert!(flaws(&statement, &traces, &[]).is_empty(), "the truth");
    let mut tried = 0;
    for (table, messages) in check::messages(&statement, &traces.layout) {
        for at in messages {
            let flaw = Flaw { table, deleted: Deleted::Message(at) };
            assert!(!flaws(&statement, &traces, &[flaw]).is_empty(), "{flaw:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 3 + 5 + 3 + 3, "claims, journal, slots, nodes");
}

/// A table without one of its constraints.
#[derive(Clone, Debug)]
struct Removed {
    air: TableAir,
    deleted: Option<Deleted>,
}

impl BaseAir<KoalaBear> for Removed {
    fn width(&self) -> usize {
        self.air.width()
    }

    fn num_periodic_columns(&self) -> usize {
        self.air.num_periodic_columns()
    }

    fn periodic_columns(&self) -> Cow<'_, [Vec<KoalaBear>]> {
        self.air.periodic_columns()
    }

    fn main_next_row_columns(&self) -> Vec<usize> {
        self.air.main_next_row_columns()
    }
}

impl<AB: AirBuilder<F = KoalaBear> + InteractionBuilder> Air<AB> for Removed {
    fn eval(&self, builder: &mut AB) {
        self.air.eval(&mut Without { inner: builder, deleted: self.deleted, asserted: 0, pushed: 0 });
    }
}

/// A builder that does not hear of one constraint.
struct Without<'a, AB> {
    inner: &'a mut AB,
    deleted: Option<Deleted>,
    asserted: usize,
    pushed: usize,
}

impl<AB: AirBuilder> AirBuilder for Without<'_, AB> {
    type F = AB::F;
    type Expr = AB::Expr;
    type Var = AB::Var;
    type PreprocessedWindow = AB::PreprocessedWindow;
    type MainWindow = AB::MainWindow;
    type PublicVar = AB::PublicVar;
    type PeriodicVar = AB::PeriodicVar;

    fn main(&self) -> Self::MainWindow {
        self.inner.main()
    }

    fn preprocessed(&self) -> &Self::PreprocessedWindow {
        self.inner.preprocessed()
    }

    fn is_first_row(&self) -> Self::Expr {
        self.inner.is_first_row()
    }

    fn is_last_row(&self) -> Self::Expr {
        self.inner.is_last_row()
    }

    fn is_transition(&self) -> Self::Expr {
        self.inner.is_transition()
    }

    fn assert_zero<I: Into<Self::Expr>>(&mut self, x: I) {
        if self.deleted != Some(Deleted::Assertion(self.asserted)) {
            self.inner.assert_zero(x);
        }
        self.asserted += 1;
    }

    fn periodic_values(&self) -> &[Self::PeriodicVar] {
        self.inner.periodic_values()
    }
}

impl<AB: InteractionBuilder> InteractionBuilder for Without<'_, AB> {
    fn push_interaction<E: Into<Self::Expr>>(
        &mut self,
        bus_name: &str,
        fields: impl IntoIterator<Item = E>,
        count: impl Into<Count<Self::Expr>>,
    ) {
        if self.deleted != Some(Deleted::Message(self.pushed)) {
            self.inner.push_interaction(bus_name, fields, count);
        }
        self.pushed += 1;
    }

    fn push_local_interaction(&mut self, _: impl IntoIterator<Item = (Vec<Self::Expr>, Count<Self::Expr>)>) {
        unreachable!("no table speaks to itself alone");
    }
}

/// Whether the proof system takes a trace, if it lacks one of its constraints.
fn is_taken(statement: &Statement, traces: &Traces, without: Option<(Table, Deleted)>) -> bool {
    let airs = check::airs(statement, traces).into_iter().map(|air| {
        let deleted = without.filter(|(table, _)| *table == air.table()).map(|(_, deleted)| deleted);
        Removed { air, deleted }
    });
    let airs: Vec<Removed> = airs.collect();
    let config = config(statement, Settings::Fast);
    let degrees = traces.layout.log_rows(statement);
    let log_blowup = Settings::Fast.parameters().log_blowup;
    let data: ProverData<Config> =
        ProverData::from_airs_and_degrees_with_lookup_budgets(&config, &airs, &degrees, &[DEGREE_MAX; 5], log_blowup)
            .unwrap_or_else(|_| unreachable!("nothing is committed to for tables without preprocessed columns"));
    let instances: Vec<StarkInstance<'_, Config, Removed>> = airs
        .iter()
        .zip(&traces.tables)
        .map(|(air, trace)| StarkInstance { air, trace, public_values: Vec::new() })
        .collect();
    // With debug assertions the prover itself refuses.
    let made = catch_unwind(AssertUnwindSafe(|| pool(2).install(|| prove_batch(&config, &instances, &data))));
    let Ok(Ok(proof)) = made else { return false };
    verify_batch(&config, &airs, &proof, &vec![Vec::new(); airs.len()], &data.common).is_ok()
}
