//! The content of the tables.

use crate::air::claims::{self, ClaimsAir, limbs};
use crate::air::{journal, nodes, poseidon, range, slots};
use crate::config::Settings;
use crate::layout::{LOG_RANGE, Layout, Table};
use crate::prove::ProveError;
use crate::stark::zeros;
use crate::statement::{Statement, journal_start, segment_start, segments};
use crate::witness::{BatchWitness, TouchedSlot};
use ghostplane_ghostcipher::FieldDigest;
use ghostplane_ghostcipher::poseidon2::{FieldTag, KoalaBear, compress};
use ghostplane_keystone::journal::JOURNAL_SEGMENT;
use ghostplane_types::{Amount, AssetId, JournalEntry, SlotIndex, TREE_DEPTH};
use p3_field::{Field, PackedValue, PrimeCharacteristicRing, PrimeField32};
use p3_matrix::dense::RowMajorMatrix;
use p3_maybe_rayon::prelude::*;
use std::cmp::Reverse;

type Packed = <KoalaBear as Field>::Packing;
const LANES: usize = <Packed as PackedValue>::WIDTH;

/// All tables of a proof.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    pub layout: Layout,
    /// In the order of [`crate::Table::ALL`].
    pub tables: [RowMajorMatrix<KoalaBear>; 5],
}

pub(crate) const CLAIMS: usize = 0;
pub(crate) const JOURNAL: usize = 1;
pub(crate) const SLOTS: usize = 2;
pub(crate) const NODES: usize = 3;

/// The nodes to be opened in one batch's ledger tree, level by level from the root.
#[derive(Clone, Debug)]
struct Opening {
    tree: KoalaBear,
    /// For each level above the leaves, lowest first: the nodes, ascending, and which of their children go on.
    levels: Vec<Vec<(u32, bool, bool)>>,
    /// The slots' first row.
    first_slot: usize,
    /// The nodes' first row: the lowest level comes first.
    first_node: usize,
    beside: Vec<FieldDigest>,
}

/// Tables whose hashes, nodes and multiplicities are not filled in yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub traces: Traces,
    openings: Vec<Opening>,
    /// First row and length of each segment, with its batch.
    pub segments: Vec<Segment>,
    /// The first row of each batch's comb.
    combs: Vec<usize>,
    /// What the outer chain of each journal starts with.
    pub entries: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub batch: usize,
    pub first: usize,
    pub len: usize,
}

/// What one cell of memory holds, and since when.
#[derive(Clone, Copy, Debug)]
struct Held {
    time: u32,
    balance: u64,
    asset: AssetId,
}

impl Draft {
    /// Lays out the batches of a statement. What does not add up is laid out all the same, wrapping around: whether the
    /// batches are sound is for [`check`] to say, or for the constraints.
    pub(crate) fn new(
        statement: &Statement,
        witnesses: &[BatchWitness],
        settings: Settings,
    ) -> Result<Self, ProveError> {
        let mut openings = Vec::new();
        let mut batch_segments = Vec::new();
        let (mut rows, mut slot_rows, mut node_rows) = (0, 0, 0);
        let mut combs = Vec::new();
        for ((batch, witness), tree) in witnesses.iter().enumerate().zip((0..).step_by(2)) {
            let opening = Opening::new(KoalaBear::new(tree), witness, slot_rows, node_rows);
            slot_rows += witness.slots.len();
            node_rows += opening.levels.iter().map(Vec::len).sum::<usize>();
            openings.push(opening);
            combs.push(node_rows);
            let lengths = witness.entries.chunks(JOURNAL_SEGMENT).map(<[_]>::len);
            for len in lengths {
                batch_segments.push(Segment { batch, first: rows, len });
                rows += len;
                node_rows += 1;
            }
        }
        let too_large = ProveError::TooLarge { entries: rows, slots: slot_rows, nodes: node_rows };
        let layout = Layout::for_rows(rows, slot_rows, node_rows, settings).ok_or(too_large)?;
        let log_rows = layout.log_rows(statement);
        let widths = [claims::WIDTH, journal::width(layout.is_wide()), slots::WIDTH, nodes::WIDTH, range::WIDTH];
        let tables = std::array::from_fn(|table| {
            let cells = zeros(widths[table] << log_rows[table]);
            RowMajorMatrix::new(cells, widths[table])
        });
        let entries = witnesses.iter().map(|witness| count(witness.entries.len())).collect();
        let mut draft = Self { traces: Traces { layout, tables }, openings, segments: batch_segments, combs, entries };
        draft.lay_out(statement, witnesses);
        Ok(draft)
    }

    fn lay_out(&mut self, statement: &Statement, witnesses: &[BatchWitness]) {
        let tables = &mut self.traces.tables;
        for (column, values) in ClaimsAir::new(statement).columns().iter().enumerate() {
            for (row, value) in values.iter().enumerate() {
                tables[CLAIMS].values[row * claims::WIDTH + column] = *value;
            }
        }
        let (mut row, mut claim_row) = (0, 0);
        for ((batch, witness), opening) in statement.batches().iter().zip(witnesses).zip(&self.openings) {
            let held = |slot: &TouchedSlot| Held {
                time: 0,
                balance: slot.old.map_or(0, |old| old.balance.units()),
                asset: slot.new.asset,
            };
            let mut cells: Vec<Held> = witness.slots.iter().map(held).collect();
            let outside = |balance: fn(&ghostplane_types::Flow) -> u64| -> Vec<Held> {
                let flows = batch.flows.iter();
                flows.map(|flow| Held { time: 0, balance: balance(flow), asset: flow.asset }).collect()
            };
            let mut issues = outside(|flow| flow.issued.units());
            let mut retires = outside(|_| 0);
            let segment_count = segments(batch.entries);
            let mut lines = Vec::with_capacity(witness.entries.len());
            for (at, entry) in witness.entries.iter().enumerate() {
                let find = |index: SlotIndex| witness.slots.binary_search_by_key(&index, |slot| slot.index).ok();
                let (from, to) = (find(entry.from), find(entry.to));
                let asset = from.or(to).map_or(AssetId::GCC, |at| cells[at].asset);
                let amount = entry.amount.units();
                let time = count(row + 1);
                let payer = match from {
                    Some(at) => cells.get_mut(at),
                    None => issues.iter_mut().find(|cell| cell.asset == asset),
                };
                let payer = touch(payer, time, |balance| balance.wrapping_sub(amount));
                let payee = match to {
                    Some(at) => cells.get_mut(at),
                    None => retires.iter_mut().find(|cell| cell.asset == asset),
                };
                let payee = touch(payee, time, |balance| balance.wrapping_add(amount));
                let place = Place {
                    tree: opening.tree,
                    level: segment_count.saturating_sub(count(at / JOURNAL_SEGMENT)),
                    end: at % JOURNAL_SEGMENT == JOURNAL_SEGMENT - 1 || at + 1 == witness.entries.len(),
                    last: at + 1 == witness.entries.len(),
                };
                lines.push(Line { place, entry, asset, payer, payee, clock: count(row) });
                row += 1;
            }
            let width = tables[JOURNAL].width;
            let rows = tables[JOURNAL].values[(row - lines.len()) * width..].par_chunks_exact_mut(width);
            rows.zip(&lines).for_each(|(row, line)| put_entry(row, line));
            let rows = tables[SLOTS].values[opening.first_slot * slots::WIDTH..].par_chunks_exact_mut(slots::WIDTH);
            rows.zip(&witness.slots)
                .zip(&cells)
                .for_each(|((row, slot), cell)| put_slot(row, opening.tree, slot, cell));
            claim_row += 3;
            for (issue, retire) in issues.iter().zip(&retires) {
                for cell in [issue, retire] {
                    tables[CLAIMS].values[claim_row * claims::WIDTH + claims::TIME] = KoalaBear::new(cell.time);
                    claim_row += 1;
                }
            }
        }
        self.pad();
    }

    /// Fills the rows that nothing uses with what every row must hold.
    fn pad(&mut self) {
        let rows: usize = self.segments.iter().map(|segment| segment.len).sum();
        let last = self.segments.last().map(|_| rows - 1);
        let width = self.traces.tables[JOURNAL].width;
        let values = &mut self.traces.tables[JOURNAL].values;
        let tree = last.map_or(KoalaBear::ZERO, |last| values[last * width + journal::TREE]);
        for (row, clock) in values.chunks_exact_mut(width).zip(0..).skip(rows) {
            row[journal::END] = KoalaBear::ONE;
            row[journal::TREE] = tree;
            for column in [journal::CLOCK, journal::PAYER_TIME, journal::PAYEE_TIME] {
                row[column] = KoalaBear::new(clock);
            }
        }
    }

    /// Hashes everything, opens the nodes and counts what the range table is asked for.
    pub(crate) fn finish(mut self) -> Traces {
        self.hash_journal();
        hash_slots(&mut self.traces.tables[SLOTS].values);
        self.open_ledgers();
        self.open_journals();
        let used = self.combs.last().map_or(0, |comb| {
            comb + self.segments.iter().filter(|segment| segment.batch + 1 == self.combs.len()).count()
        });
        let tables = &mut self.traces.tables;
        hash_nodes(&mut tables[NODES].values[used * nodes::WIDTH..]);
        count_range(&mut self.traces);
        self.traces
    }

    fn hash_journal(&mut self) {
        let width = self.traces.tables[JOURNAL].width;
        let mut rest = self.traces.tables[JOURNAL].values.as_mut_slice();
        let mut groups = Vec::new();
        for group in self.segments.chunks(LANES) {
            let rows: usize = group.iter().map(|segment| segment.len).sum();
            let (own, behind) = rest.split_at_mut(rows * width);
            rest = behind;
            groups.push((group, own));
        }
        groups.into_par_iter().for_each(|(group, rows)| hash_segments(group, rows, width));
        let start = segment_start().0;
        rest.par_chunks_mut(width).for_each(|row| row[journal::STATE..journal::STATE + 8].copy_from_slice(&start));
        hash_rows(rest, width, journal::HASH, entry_input);
    }

    fn open_ledgers(&mut self) {
        let [_, _, slot_table, node_table, _] = &mut self.traces.tables;
        for opening in &self.openings {
            let leaf = |at: usize| {
                let row = &slot_table.values[(opening.first_slot + at) * slots::WIDTH..][..slots::WIDTH];
                let new = slots::NEW_HASH + poseidon::DIGEST;
                (digest(&row[slots::LEAF..]), digest(&row[new..]))
            };
            let leaves =
                opening.levels[0].iter().map(|(_, left, right)| usize::from(*left) + usize::from(*right)).sum();
            let mut below: Vec<([KoalaBear; 8], [KoalaBear; 8])> = (0..leaves).map(leaf).collect();
            let mut beside = opening.beside.iter();
            let mut first = opening.first_node;
            for (level, height) in opening.levels.iter().zip(0..) {
                let rows = &mut node_table.values[first * nodes::WIDTH..][..level.len() * nodes::WIDTH];
                first += level.len();
                let mut children = below.into_iter();
                let depth = count(TREE_DEPTH) - 1 - height;
                for (row, (index, left, right)) in rows.chunks_exact_mut(nodes::WIDTH).zip(level) {
                    put_node(row, opening.tree, depth, *index, [*left, *right]);
                    for (side, goes_on) in [(0, left), (8, right)] {
                        let (old, new) = if *goes_on {
                            children.next().expect("as many children as go on")
                        } else {
                            let node = beside.next().expect("a witness has a node beside every way").0;
                            (node, node)
                        };
                        row[nodes::OLD + side..][..8].copy_from_slice(&old);
                        row[nodes::NEW + side..][..8].copy_from_slice(&new);
                    }
                }
                hash_nodes(rows);
                below = rows.chunks_exact(nodes::WIDTH).map(node_digests).collect();
            }
        }
    }

    fn open_journals(&mut self) {
        let [_, journal_table, _, node_table, _] = &mut self.traces.tables;
        let width = journal_table.width;
        for ((opening, comb), (batch, entries)) in
            self.openings.iter().zip(&self.combs).zip(self.entries.iter().enumerate())
        {
            let mut own: Vec<&Segment> = self.segments.iter().filter(|segment| segment.batch == batch).collect();
            // The comb's order is that of the levels, highest first, which is the order of the rows if nobody lies.
            let level = |segment: &&Segment| journal_table.values[segment.first * width + journal::LEVEL];
            own.sort_by_key(|segment| Reverse(level(segment).as_canonical_u32()));
            let mut outer = journal_start(*entries);
            let rows = &mut node_table.values[comb * nodes::WIDTH..][..own.len() * nodes::WIDTH];
            for ((row, segment), level) in
                rows.chunks_exact_mut(nodes::WIDTH).zip(&own).zip((0..count(own.len())).rev())
            {
                let last = (segment.first + segment.len - 1) * width + journal::HASH + poseidon::DIGEST;
                let end = FieldDigest(digest(&journal_table.values[last..]));
                put_node(row, opening.tree + KoalaBear::ONE, level, 0, [true, true]);
                for column in [nodes::OLD, nodes::NEW] {
                    row[column..column + 8].copy_from_slice(&outer.0);
                    row[column + 8..column + 16].copy_from_slice(&end.0);
                }
                outer = compress(&outer, &end);
            }
            hash_nodes(rows);
        }
    }
}

/// Counts what the range table is asked for.
pub(crate) fn count_range(traces: &mut Traces) {
    let [_, journal_table, slot_table, _, range_table] = &mut traces.tables;
    let mut times = vec![0; 1 << 16];
    let width = journal_table.width;
    let wide = width > journal::width(false);
    let journal_rows = journal_table.values.par_chunks(width * COUNTED_ROWS);
    let slot_rows = slot_table.values.par_chunks(slots::WIDTH * COUNTED_ROWS);
    let asked = journal_rows.map(|rows| {
        let mut asked = Asked::default();
        rows.chunks_exact(width).for_each(|row| asked.by_entry(row, wide));
        asked
    });
    let asked = asked.chain(slot_rows.map(|rows| {
        let mut asked = Asked::default();
        rows.chunks_exact(slots::WIDTH).for_each(|row| asked.by_slot(row));
        asked
    }));
    for asked in asked.collect::<Vec<_>>() {
        times.iter_mut().zip(asked.0).for_each(|(sum, times)| *sum += times);
    }
    debug_assert_eq!(times.len(), range::NUMBERS << LOG_RANGE);
    let rows = range_table.values.chunks_exact_mut(range::WIDTH).zip(times.chunks_exact(range::NUMBERS));
    for ((row, times), first) in rows.zip((0..).step_by(range::NUMBERS)) {
        row[range::FIRST] = KoalaBear::new(first);
        for (cell, times) in row[range::TIMES..].iter_mut().zip(times) {
            *cell = KoalaBear::new(*times);
        }
    }
}

/// Rows whose numbers are counted together.
const COUNTED_ROWS: usize = 1 << 13;

/// How often the range table is asked for each of its numbers.
struct Asked(Vec<u32>);

impl Default for Asked {
    fn default() -> Self {
        Self(vec![0; 1 << 16])
    }
}

impl Asked {
    fn number(&mut self, number: KoalaBear) {
        // A number that is out of range is not in the table: nothing can be counted for it.
        let place = usize::try_from(number.as_canonical_u32()).expect("32 bits fit");
        if let Some(times) = self.0.get_mut(place) {
            *times += 1;
        }
    }

    fn by_entry(&mut self, row: &[KoalaBear], wide: bool) {
        for (column, limbs) in [(journal::PAYER, 4), (journal::PAYEE, 3), (journal::AMOUNT, 4)] {
            row[column..column + limbs].iter().for_each(|limb| self.number(*limb));
        }
        self.number(row[journal::PAYEE + 3].double());
        for (time, span) in [(journal::PAYER_TIME, journal::SPANS), (journal::PAYEE_TIME, journal::SPANS + 1)] {
            let elapsed = row[journal::CLOCK] - row[time];
            if wide {
                self.number(elapsed - row[span] * KoalaBear::new(1 << 16));
                self.number(row[span] * KoalaBear::new(1 << 9));
            } else {
                self.number(elapsed);
            }
        }
    }

    fn by_slot(&mut self, row: &[KoalaBear]) {
        row[slots::BEFORE..slots::BEFORE + 4].iter().for_each(|limb| self.number(*limb));
        self.number(row[slots::BEFORE + 3].double());
    }
}

impl Opening {
    fn new(tree: KoalaBear, witness: &BatchWitness, first_slot: usize, first_node: usize) -> Self {
        let mut indices: Vec<u32> = witness.slots.iter().map(|slot| slot.index.index()).collect();
        let mut levels = Vec::with_capacity(TREE_DEPTH);
        if indices.is_empty() {
            levels = vec![Vec::new(); TREE_DEPTH - 1];
            levels.push(vec![(0, false, false)]);
            return Self { tree, levels, first_slot, first_node, beside: witness.nodes.clone() };
        }
        for _ in 0..TREE_DEPTH {
            let couples = indices.chunk_by(|a, b| a ^ 1 == *b);
            let level: Vec<(u32, bool, bool)> = couples
                .map(|couple| (couple[0] / 2, couple[0].is_multiple_of(2), couple[couple.len() - 1] % 2 == 1))
                .collect();
            indices = level.iter().map(|node| node.0).collect();
            levels.push(level);
        }
        Self { tree, levels, first_slot, first_node, beside: witness.nodes.clone() }
    }
}

/// Rows that batches fill of the tables that grow with them, those left out that only fill a table up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// One for each journal entry.
    pub journal: usize,
    /// One for each touched slot of each batch.
    pub slots: usize,
    /// One for each node on a way.
    pub nodes: usize,
}

impl Rows {
    /// What a proof of these batches takes.
    pub fn of(witnesses: &[BatchWitness]) -> Self {
        let mut rows = Self::default();
        for witness in witnesses {
            let opened: usize = Opening::new(KoalaBear::ZERO, witness, 0, 0).levels.iter().map(Vec::len).sum();
            rows.journal += witness.entries.len();
            rows.slots += witness.slots.len();
            rows.nodes += opened + witness.entries.len().div_ceil(JOURNAL_SEGMENT);
        }
        rows
    }

    /// Whether the tables are so short that a prover needs no more than 6 GiB, the smaller settings aside. Taller ones are proved
    /// as well, and halves of them in about the same time: what is padded makes up for ways that are walked twice.
    pub const fn are_light(&self) -> bool {
        self.journal <= 1 << 18 && self.slots <= 1 << 18 && self.nodes <= 1 << 19
    }

    /// Poseidon2 compressions in them.
    pub const fn compressions(&self) -> usize {
        Table::Journal.compressions() * self.journal
            + Table::Slots.compressions() * self.slots
            + Table::Nodes.compressions() * self.nodes
    }
}

/// Poseidon2 compressions that a proof of these batches is about, rows that only fill a table up left out.
pub fn compressions(witnesses: &[BatchWitness]) -> usize {
    Rows::of(witnesses).compressions()
}

/// Which batch and segment an entry stands in.
struct Place {
    tree: KoalaBear,
    level: u32,
    end: bool,
    last: bool,
}

/// One touch of a cell: since when it held what, and what it holds now.
struct Touch {
    since: u32,
    before: u64,
    after: u64,
}

fn touch(cell: Option<&mut Held>, time: u32, change: impl Fn(u64) -> u64) -> Touch {
    let Some(cell) = cell else { return Touch { since: 0, before: 0, after: change(0) } };
    let touch = Touch { since: cell.time, before: cell.balance, after: change(cell.balance) };
    (cell.time, cell.balance) = (time, touch.after);
    touch
}

/// What the row of an entry is made of.
struct Line<'a> {
    place: Place,
    entry: &'a JournalEntry,
    asset: AssetId,
    payer: Touch,
    payee: Touch,
    clock: u32,
}

fn put_entry(row: &mut [KoalaBear], line: &Line<'_>) {
    let Line { place, entry, asset, payer, payee, clock } = line;
    row[journal::REAL] = KoalaBear::ONE;
    row[journal::END] = KoalaBear::from_bool(place.end);
    row[journal::LAST] = KoalaBear::from_bool(place.last);
    row[journal::TREE] = place.tree;
    row[journal::LEVEL] = KoalaBear::new(place.level);
    row[journal::CLOCK] = KoalaBear::new(*clock);
    row[journal::ASSET] = KoalaBear::new(asset.number());
    row[journal::FROM_OUTSIDE] = KoalaBear::from_bool(entry.from.is_outside());
    row[journal::TO_OUTSIDE] = KoalaBear::from_bool(entry.to.is_outside());
    row[journal::FROM] = KoalaBear::new(entry.from.index());
    row[journal::TO] = KoalaBear::new(entry.to.index());
    row[journal::AMOUNT..journal::AMOUNT + 4].copy_from_slice(&limbs(entry.amount));
    let amount = entry.amount.units();
    put_balance(row, journal::PAYER, journal::PAYER_CARRY, payer.after, carries(payer.after, amount));
    put_balance(row, journal::PAYEE, journal::PAYEE_CARRY, payee.after, carries(payee.before, amount));
    for (touch, time, span) in
        [(payer, journal::PAYER_TIME, journal::SPANS), (payee, journal::PAYEE_TIME, journal::SPANS + 1)]
    {
        row[time] = KoalaBear::new(touch.since);
        if let Some(cell) = row.get_mut(span) {
            *cell = KoalaBear::new(clock.saturating_sub(touch.since) >> 16);
        }
    }
}

fn put_balance(row: &mut [KoalaBear], limbs: usize, carry_columns: usize, balance: u64, carries: [bool; 3]) {
    row[limbs..limbs + 4].copy_from_slice(&words(balance));
    for (cell, carry) in row[carry_columns..carry_columns + 3].iter_mut().zip(carries) {
        *cell = KoalaBear::from_bool(carry);
    }
}

/// Sixteen-bit limbs of a number that may be no amount.
fn words(number: u64) -> [KoalaBear; 4] {
    std::array::from_fn(|limb| KoalaBear::from_u64(number >> (16 * limb) & 0xffff))
}

/// The carries out of the lower three limbs of `a + b`.
fn carries(a: u64, b: u64) -> [bool; 3] {
    std::array::from_fn(|limb| {
        let mask = (1 << (16 * (limb + 1))) - 1;
        (a & mask) + (b & mask) > mask
    })
}

fn put_slot(row: &mut [KoalaBear], tree: KoalaBear, slot: &TouchedSlot, cell: &Held) {
    row[slots::REAL] = KoalaBear::ONE;
    row[slots::FRESH] = KoalaBear::from_bool(slot.old.is_none());
    row[slots::TREE] = tree;
    row[slots::INDEX] = KoalaBear::new(slot.index.index());
    row[slots::INDEX_INVERSE] = row[slots::INDEX].try_inverse().unwrap_or_default();
    row[slots::TIME] = KoalaBear::new(cell.time);
    row[slots::OWNER..slots::OWNER + 8].copy_from_slice(&slot.new.owner.0);
    row[slots::KIND] = KoalaBear::new(slot.new.kind as u32);
    row[slots::ASSET] = KoalaBear::new(slot.new.asset.number());
    row[slots::BEFORE..slots::BEFORE + 4].copy_from_slice(&limbs(slot.old.map_or(Amount::ZERO, |old| old.balance)));
    row[slots::AFTER..slots::AFTER + 4].copy_from_slice(&words(cell.balance));
}

pub(crate) fn put_node(row: &mut [KoalaBear], tree: KoalaBear, level: u32, index: u32, goes_on: [bool; 2]) {
    row[nodes::REAL] = KoalaBear::ONE;
    row[nodes::LEFT] = KoalaBear::from_bool(goes_on[0]);
    row[nodes::RIGHT] = KoalaBear::from_bool(goes_on[1]);
    row[nodes::TREE] = tree;
    row[nodes::LEVEL] = KoalaBear::new(level);
    row[nodes::INDEX] = KoalaBear::new(index);
}

pub(crate) fn slot_input(row: &[KoalaBear], balance: usize) -> [KoalaBear; 16] {
    let mut input = [KoalaBear::ZERO; 16];
    input[..8].copy_from_slice(&row[slots::OWNER..slots::OWNER + 8]);
    (input[8], input[9]) = (row[slots::KIND], row[slots::ASSET]);
    input[10..14].copy_from_slice(&row[balance..balance + 4]);
    input[15] = FieldTag::Slot.element();
    input
}

/// Takes the step of the digest chain in one row of the journal table.
#[cfg(test)]
pub(crate) fn hash_entry(row: &mut [KoalaBear]) {
    let width = row.len();
    hash_rows(row, width, journal::HASH, entry_input);
}

pub(crate) fn entry_input(row: &[KoalaBear]) -> [KoalaBear; 16] {
    let mut input = [KoalaBear::ZERO; 16];
    input[..14].copy_from_slice(&row[journal::STATE..journal::STATE + 14]);
    input[15] = FieldTag::Entry.element();
    input
}

fn digest(cells: &[KoalaBear]) -> [KoalaBear; 8] {
    *cells.first_chunk().expect("a row holds its digest")
}

pub(crate) fn node_digests(row: &[KoalaBear]) -> ([KoalaBear; 8], [KoalaBear; 8]) {
    let at = poseidon::DIGEST;
    (digest(&row[nodes::OLD_HASH + at..]), digest(&row[nodes::NEW_HASH + at..]))
}

/// Fills in the leaves of slots, before and after.
pub(crate) fn hash_slots(rows: &mut [KoalaBear]) {
    hash_rows(rows, slots::WIDTH, slots::OLD_HASH, |row| slot_input(row, slots::BEFORE));
    hash_rows(rows, slots::WIDTH, slots::NEW_HASH, |row| slot_input(row, slots::AFTER));
    rows.par_chunks_mut(slots::WIDTH).for_each(|row| {
        for element in 0..8 {
            let digest = row[slots::OLD_HASH + poseidon::DIGEST + element];
            row[slots::LEAF + element] = digest - row[slots::FRESH] * digest;
        }
    });
}

pub(crate) fn hash_nodes(rows: &mut [KoalaBear]) {
    let input = |at: usize| move |row: &[KoalaBear]| *row[at..].first_chunk().expect("a row holds both children");
    hash_rows(rows, nodes::WIDTH, nodes::OLD_HASH, input(nodes::OLD));
    hash_rows(rows, nodes::WIDTH, nodes::NEW_HASH, input(nodes::NEW));
}

/// Fills in a compression of every row, a row to each vector lane.
pub(crate) fn hash_rows(
    rows: &mut [KoalaBear],
    width: usize,
    at: usize,
    input: impl Fn(&[KoalaBear]) -> [KoalaBear; 16] + Sync,
) {
    rows.par_chunks_mut(width * LANES).for_each(|rows| {
        let mut inputs = [[KoalaBear::ZERO; 16]; LANES];
        for (input_row, row) in inputs.iter_mut().zip(rows.chunks_exact(width)) {
            *input_row = input(row);
        }
        let columns = hash_lanes(&inputs);
        for (lane, row) in rows.chunks_exact_mut(width).enumerate() {
            for (cell, column) in row[at..at + poseidon::COLUMNS].iter_mut().zip(&columns) {
                *cell = column.as_slice()[lane];
            }
        }
    });
}

fn hash_lanes(inputs: &[[KoalaBear; 16]; LANES]) -> [Packed; poseidon::COLUMNS] {
    let packed: [Packed; 16] = std::array::from_fn(|at| Packed::from_fn(|lane| inputs[lane][at]));
    poseidon::fill(&packed)
}

/// Chains up to a vector of segments, a segment to each lane.
fn hash_segments(segments: &[Segment], rows: &mut [KoalaBear], width: usize) {
    let base = segments.first().map_or(0, |segment| segment.first);
    let longest = segments.iter().map(|segment| segment.len).max().unwrap_or(0);
    let mut states = [segment_start().0; LANES];
    for step in 0..longest {
        let mut inputs = [[KoalaBear::ZERO; 16]; LANES];
        let open = |segment: &Segment| (step < segment.len).then_some((segment.first - base + step) * width);
        for (lane, segment) in segments.iter().enumerate() {
            if let Some(at) = open(segment) {
                let row = &mut rows[at..at + width];
                row[journal::STATE..journal::STATE + 8].copy_from_slice(&states[lane]);
                inputs[lane] = entry_input(row);
            }
        }
        let columns = hash_lanes(&inputs);
        for (lane, segment) in segments.iter().enumerate() {
            if let Some(at) = open(segment) {
                let cells = &mut rows[at + journal::HASH..][..poseidon::COLUMNS];
                for (cell, column) in cells.iter_mut().zip(&columns) {
                    *cell = column.as_slice()[lane];
                }
                states[lane] = digest(&cells[poseidon::DIGEST..]);
            }
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("a proof has fewer than 2^22 entries")
}
