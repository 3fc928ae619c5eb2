//! The five tables as one kind of constraint system: columns, constraints, and what they say to each other.
//!
//! | bus | message | balance |
//! |---|---|---|
//! | `node` | tree, level, index, old digest, new digest | given by a parent, taken once by the child |
//! | `mem` | tree, slot, time, four balance limbs, asset | given by the touch before, taken once by the next |
//! | `range` | a number below 2^16 | given by the range table as often as it is asked for |
//!
//! Tree `2b` is the ledger of the batch of that place, tree `2b + 1` its journal: a comb whose right children are the ends
//! of the segments, last segment nearest the root.

pub(crate) mod claims;
pub(crate) mod journal;
pub(crate) mod nodes;
pub(crate) mod poseidon;
pub(crate) mod range;
pub(crate) mod slots;

use crate::layout::{Layout, Table};
use crate::statement::Statement;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::{Air, AirBuilder, BaseAir};
use p3_field::PrimeCharacteristicRing;
use p3_lookup::{Count, InteractionBuilder};
use std::borrow::Cow;

/// A table's constraints.
#[derive(Clone, Debug)]
pub(crate) enum TableAir {
    /// The statement's table, with its content.
    Claims(claims::ClaimsAir),
    /// The journal's; `wide` for more than 2^16 rows.
    Journal {
        wide: bool,
    },
    Slots,
    Nodes,
    Range,
}

impl TableAir {
    /// The constraint systems of all tables for a statement and layout.
    pub(crate) fn all(statement: &Statement, layout: &Layout) -> Vec<Self> {
        vec![
            Self::Claims(claims::ClaimsAir::new(statement)),
            Self::Journal { wide: layout.is_wide() },
            Self::Slots,
            Self::Nodes,
            Self::Range,
        ]
    }

    pub(crate) fn table(&self) -> Table {
        match self {
            Self::Claims(_) => Table::Claims,
            Self::Journal { .. } => Table::Journal,
            Self::Slots => Table::Slots,
            Self::Nodes => Table::Nodes,
            Self::Range => Table::Range,
        }
    }
}

impl BaseAir<KoalaBear> for TableAir {
    fn width(&self) -> usize {
        match self {
            Self::Claims(_) => claims::WIDTH,
            Self::Journal { wide } => journal::width(*wide),
            Self::Slots => slots::WIDTH,
            Self::Nodes => nodes::WIDTH,
            Self::Range => range::WIDTH,
        }
    }

    fn num_periodic_columns(&self) -> usize {
        match self {
            Self::Claims(_) => claims::FIXED,
            _ => 0,
        }
    }

    fn periodic_columns(&self) -> Cow<'_, [Vec<KoalaBear>]> {
        match self {
            Self::Claims(air) => Cow::Borrowed(air.columns()),
            _ => Cow::Borrowed(&[]),
        }
    }

    fn main_next_row_columns(&self) -> Vec<usize> {
        match self {
            Self::Journal { wide } => (0..journal::width(*wide)).collect(),
            Self::Range => (0..range::WIDTH).collect(),
            Self::Claims(_) | Self::Slots | Self::Nodes => Vec::new(),
        }
    }
}

impl<AB: AirBuilder<F = KoalaBear> + InteractionBuilder> Air<AB> for TableAir {
    fn eval(&self, builder: &mut AB) {
        self.assert_all(builder);
        self.say_all(builder);
    }
}

#[cfg(feature = "prove")]
impl crate::stark::Circuit for TableAir {
    fn constraints<AB: AirBuilder<F = KoalaBear>>(&self, builder: &mut AB) {
        self.assert_all(builder);
    }

    fn messages<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(&self, builder: &mut AB) {
        self.say_all(builder);
    }
}

impl TableAir {
    /// What every row asserts.
    #[inline]
    fn assert_all<AB: AirBuilder<F = KoalaBear>>(&self, builder: &mut AB) {
        match self {
            Self::Claims(_) => claims::constraints(builder),
            Self::Journal { .. } => journal::constraints(builder),
            Self::Slots => slots::constraints(builder),
            Self::Nodes => nodes::constraints(builder),
            Self::Range => range::constraints(builder),
        }
    }

    /// What every row says to the other tables.
    #[inline]
    fn say_all<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(&self, builder: &mut AB) {
        match self {
            Self::Claims(_) => claims::messages(builder),
            Self::Journal { wide } => journal::messages(builder, *wide),
            Self::Slots => slots::messages(builder),
            Self::Nodes => nodes::messages(builder),
            Self::Range => range::messages(builder),
        }
    }
}

const NODE: &str = "node";
const MEM: &str = "mem";
pub(crate) const RANGE: &str = "range";

/// One step of a path: a node of a tree with its digest before and after.
pub(crate) struct Node<E> {
    pub tree: E,
    pub level: E,
    pub index: E,
    pub old: [E; 8],
    pub new: [E; 8],
}

/// Gives a node to whoever continues below it, or takes it with a negative count. `count` is -1, 0 or 1 on every row.
pub(crate) fn node<AB: InteractionBuilder>(builder: &mut AB, node: Node<AB::Expr>, count: AB::Expr) {
    let Node { tree, level, index, old, new } = node;
    let fields = [tree, level, index].into_iter().chain(old).chain(new);
    builder.push_interaction(NODE, fields, Count::bounded(count, 1));
}

/// What a cell holds from a time on.
pub(crate) struct Cell<E> {
    pub tree: E,
    pub slot: E,
    pub time: E,
    pub balance: [E; 4],
    pub asset: E,
}

/// Leaves a cell to the next touch, or takes it from the one before with a negative count. `count` is -1, 0 or 1.
pub(crate) fn mem<AB: InteractionBuilder>(builder: &mut AB, cell: Cell<AB::Expr>, count: AB::Expr) {
    let Cell { tree, slot, time, balance, asset } = cell;
    let fields = [tree, slot, time].into_iter().chain(balance).chain([asset]);
    builder.push_interaction(MEM, fields, Count::bounded(count, 1));
}

/// Asks that a number is below 2^16, on every row.
pub(crate) fn below_2_16<AB: InteractionBuilder>(builder: &mut AB, number: AB::Expr) {
    builder.push_interaction(RANGE, [number], Count::bounded(AB::Expr::ONE, 1));
}

/// Gives a number of the range table so many times.
pub(crate) fn provide_range<AB: InteractionBuilder>(builder: &mut AB, number: AB::Expr, times: AB::Expr) {
    builder.push_interaction(RANGE, [number], Count::provided(-times));
}

/// A small constant.
pub(crate) fn constant<AB: AirBuilder<F = KoalaBear>>(number: u32) -> AB::Expr {
    AB::Expr::from(KoalaBear::new(number))
}

/// Columns as expressions.
pub(crate) fn exprs<AB: AirBuilder, const N: usize>(row: &[AB::Var], at: usize) -> [AB::Expr; N] {
    std::array::from_fn(|index| row[at + index].into())
}
