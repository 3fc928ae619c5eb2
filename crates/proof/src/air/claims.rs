//! The claims table: what the statement says, a row for each message. All columns but one are known to the verifier.
//!
//! Three rows for each batch: the ledger's root, the journal's root, and where the journal's outer chain starts. Two rows
//! for each flow: an issue cell, which starts at what is issued and must end at zero, and a retire cell, which starts at
//! zero and must end at what is retired.

use crate::air::{Cell, Node, exprs, mem, node};
use crate::layout::LOG_ROWS_MIN;
use crate::statement::{Statement, journal_start, segments};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use ghostplane_types::Amount;
use p3_air::{AirBuilder, WindowAccess};
use p3_field::PrimeCharacteristicRing;
use p3_lookup::InteractionBuilder;

/// 1 to give a node, -1 to take one.
pub(crate) const NODE_COUNT: usize = 0;
/// 1 where a cell starts and ends.
pub(crate) const CELL: usize = 1;
pub(crate) const TREE: usize = 2;
/// The node's level, or the cell's asset.
pub(crate) const LEVEL: usize = 3;
/// The node's old digest, or the cell's balance at the start and at the end.
pub(crate) const OLD: usize = 4;
/// The node's new digest; of a cell, the first element is its key.
pub(crate) const NEW: usize = 12;
/// Columns that the verifier knows.
pub(crate) const FIXED: usize = 20;
/// When the cell was touched last: the prover's to say.
pub(crate) const TIME: usize = 20;
pub(crate) const WIDTH: usize = 21;

/// The key of a batch's issue cells: one below the first slot.
pub(crate) const ISSUE_KEY: KoalaBear = KoalaBear::NEG_ONE;
/// The key of a batch's retire cells: one above the last slot.
pub(crate) const RETIRE_KEY: u32 = 1 << 30;

/// The claims table with its content.
#[derive(Clone, Debug)]
pub(crate) struct ClaimsAir {
    columns: Vec<Vec<KoalaBear>>,
}

/// Rows in use.
fn rows(statement: &Statement) -> usize {
    statement.batches().iter().map(|batch| 3 + 2 * batch.flows.len()).sum()
}

/// The power of the table's height.
pub(crate) fn log_rows(statement: &Statement) -> usize {
    rows(statement).next_power_of_two().ilog2().max(LOG_ROWS_MIN.into()) as usize
}

impl ClaimsAir {
    pub(crate) fn new(statement: &Statement) -> Self {
        let mut columns = vec![vec![KoalaBear::ZERO; 1 << log_rows(statement)]; FIXED];
        let mut row = 0;
        let mut push = |cells: &[(usize, KoalaBear)]| {
            for (column, value) in cells {
                columns[*column][row] = *value;
            }
            row += 1;
        };
        for (batch, place) in statement.batches().iter().zip(0..) {
            let (ledger, journal) = (KoalaBear::new(2 * place), KoalaBear::new(2 * place + 1));
            let start = journal_start(batch.entries);
            let nodes = [
                (KoalaBear::ONE, ledger, 0, &batch.root_before, &batch.root_after),
                (KoalaBear::ONE, journal, 0, &batch.journal_digest, &batch.journal_digest),
                (KoalaBear::NEG_ONE, journal, segments(batch.entries), &start, &start),
            ];
            for (count, tree, level, old, new) in nodes {
                let mut cells = vec![(NODE_COUNT, count), (TREE, tree), (LEVEL, KoalaBear::new(level))];
                cells.extend(old.0.iter().enumerate().map(|(at, element)| (OLD + at, *element)));
                cells.extend(new.0.iter().enumerate().map(|(at, element)| (NEW + at, *element)));
                push(&cells);
            }
            for flow in &batch.flows {
                let asset = KoalaBear::new(flow.asset.number());
                let cells =
                    [(ISSUE_KEY, flow.issued, Amount::ZERO), (KoalaBear::new(RETIRE_KEY), Amount::ZERO, flow.retired)];
                for (key, start, end) in cells {
                    let mut cells = vec![(CELL, KoalaBear::ONE), (TREE, ledger), (LEVEL, asset), (NEW, key)];
                    let limbs = limbs(start).into_iter().chain(limbs(end));
                    cells.extend(limbs.enumerate().map(|(at, limb)| (OLD + at, limb)));
                    push(&cells);
                }
            }
        }
        Self { columns }
    }

    /// The columns that the verifier knows.
    pub(crate) fn columns(&self) -> &[Vec<KoalaBear>] {
        &self.columns
    }
}

/// An amount as four 16-bit limbs, lowest first.
pub(crate) fn limbs(amount: Amount) -> [KoalaBear; 4] {
    let bytes = amount.units().to_le_bytes();
    std::array::from_fn(|limb| KoalaBear::from_u16(u16::from_le_bytes([bytes[2 * limb], bytes[2 * limb + 1]])))
}

pub(crate) fn constraints<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB) {
    let main = builder.main();
    let row = main.current_slice();
    for (column, variable) in row.iter().enumerate().take(FIXED) {
        let fixed: AB::Expr = builder.periodic_values()[column].into();
        builder.assert_eq(*variable, fixed);
    }
}

pub(crate) fn messages<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(builder: &mut AB) {
    let main = builder.main();
    let row = main.current_slice();
    let column = |at: usize| -> AB::Expr { row[at].into() };
    let tree = column(TREE);
    let claim = Node {
        tree: tree.clone(),
        level: column(LEVEL),
        index: AB::Expr::ZERO,
        old: exprs::<AB, 8>(row, OLD),
        new: exprs::<AB, 8>(row, NEW),
    };
    node(builder, claim, column(NODE_COUNT));
    let cell = |time: AB::Expr, balance: usize| Cell {
        tree: tree.clone(),
        slot: column(NEW),
        time,
        balance: exprs::<AB, 4>(row, balance),
        asset: column(LEVEL),
    };
    mem(builder, cell(AB::Expr::ZERO, OLD), column(CELL));
    mem(builder, cell(column(TIME), OLD + 4), -column(CELL));
}
