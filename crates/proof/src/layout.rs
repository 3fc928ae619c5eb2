//! The five tables of a proof, and how tall they may be.

use crate::air;
use crate::config::Settings;
use crate::statement::Statement;

/// A table of the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// What the statement says: roots, journal digests and flows.
    Claims,
    /// One row for each journal entry.
    Journal,
    /// One row for each touched slot of each batch.
    Slots,
    /// One row for each node on the way from a touched slot, or the end of a journal segment, to its root.
    Nodes,
    /// The numbers below 2^16.
    Range,
}

impl Table {
    /// All tables, in the order in which they are committed.
    pub const ALL: [Self; 5] = [Self::Claims, Self::Journal, Self::Slots, Self::Nodes, Self::Range];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::Journal => "journal",
            Self::Slots => "slots",
            Self::Nodes => "nodes",
            Self::Range => "range",
        }
    }

    /// Poseidon2 compressions in each of its rows.
    pub const fn compressions(self) -> usize {
        match self {
            Self::Claims | Self::Range => 0,
            Self::Journal => 1,
            Self::Slots | Self::Nodes => 2,
        }
    }
}

/// How large a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Which one.
    pub table: Table,
    /// Its rows, a power of two.
    pub rows: usize,
    /// Its columns, without those of the lookup argument.
    pub columns: usize,
    /// Columns of the lookup argument over the base field.
    pub lookup_columns: usize,
}

/// The heights of the tables that a prover chooses, as powers of two. What it may choose is a small set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Power of the journal table.
    pub journal: u8,
    /// Power of the slot table.
    pub slots: u8,
    /// Power of the node table.
    pub nodes: u8,
}

/// The least height: what the low-degree test can fold, and a full vector.
pub(crate) const LOG_ROWS_MIN: u8 = 5;
/// The largest journal: fewer than 2^22 entries.
pub(crate) const LOG_JOURNAL_MAX: u8 = 22;
/// At least two touches an entry bound the slots.
pub(crate) const LOG_ROWS_MAX: u8 = 22;
/// The field has no larger domain: a table times its blow-up must fit.
const LOG_DOMAIN_MAX: usize = 24;
/// Rows of the range table: eight numbers a row.
pub(crate) const LOG_RANGE: u8 = 13;
/// A journal up to this height tells times apart with one 16-bit limb.
pub(crate) const LOG_JOURNAL_NARROW: u8 = 16;

impl Layout {
    /// The least layout that holds so many rows, or none if they are too many.
    #[cfg(feature = "prove")]
    pub(crate) fn for_rows(journal: usize, slots: usize, nodes: usize, settings: Settings) -> Option<Self> {
        let log = |rows: usize| {
            let log = rows.max(1).checked_next_power_of_two()?.ilog2();
            Some(u8::try_from(log).ok()?.max(LOG_ROWS_MIN))
        };
        Some(Self { journal: log(journal)?, slots: log(slots)?, nodes: log(nodes)? })
            .filter(|layout| layout.is_allowed(settings))
    }

    /// The least one whose journal is narrow or wide.
    pub(crate) fn least(wide: bool) -> Self {
        let journal = if wide { LOG_JOURNAL_NARROW + 1 } else { LOG_ROWS_MIN };
        Self { journal, slots: LOG_ROWS_MIN, nodes: LOG_ROWS_MIN }
    }

    /// Whether a prover may choose this.
    pub(crate) fn is_allowed(&self, settings: Settings) -> bool {
        let tallest = usize::from(self.journal.max(self.slots).max(self.nodes));
        (LOG_ROWS_MIN..=LOG_JOURNAL_MAX).contains(&self.journal)
            && (LOG_ROWS_MIN..=LOG_ROWS_MAX).contains(&self.slots)
            && (LOG_ROWS_MIN..=LOG_ROWS_MAX).contains(&self.nodes)
            && tallest + settings.parameters().log_blowup <= LOG_DOMAIN_MAX
    }

    /// Whether times need a second limb.
    pub(crate) fn is_wide(&self) -> bool {
        self.journal > LOG_JOURNAL_NARROW
    }

    /// The power of each table's height for a statement.
    pub(crate) fn log_rows(&self, statement: &Statement) -> [usize; 5] {
        let claims = air::claims::log_rows(statement);
        [claims, self.journal.into(), self.slots.into(), self.nodes.into(), LOG_RANGE.into()]
    }
}
