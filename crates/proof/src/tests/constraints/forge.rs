//! Traces that break one constraint and nothing else. Whatever follows from the lie is made to follow: hashes, nodes,
//! multiplicities, and what the statement claims.

use super::super::attacks::{Lie, ledger, row};
use super::super::ledger::{Batch, Ledger, account, entry, witnesses};
use super::super::{claimed, finish};
use crate::Settings;
use crate::air::claims::{self, ClaimsAir, RETIRE_KEY};
use crate::air::{journal, nodes, poseidon, range, slots};
use crate::statement::{BatchClaim, Statement};
use crate::trace::{
    CLAIMS, Draft, JOURNAL, NODES, SLOTS, Traces, count_range, entry_input, hash_entry, hash_nodes, hash_slots,
    node_digests, slot_input,
};
use ghostplane_ghostcipher::FieldDigest;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use ghostplane_types::{AssetId, JournalEntry};
use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};
use p3_matrix::dense::RowMajorMatrix;
use std::cmp::Reverse;
use std::collections::BTreeMap;

const ONE: KoalaBear = KoalaBear::ONE;
const ZERO: KoalaBear = KoalaBear::ZERO;
const RANGE_TABLE: usize = 4;
/// 2^16 times this is 65,535 more than the prime: a carry that turns 65,535 of one limb into so many of the next.
const CARRY: u32 = 32_513;

type Visit<'a> = dyn FnMut(&str, &Statement, &Traces) + 'a;
type Elements = [KoalaBear; 8];

/// A trace that is being forged.
#[derive(Clone)]
struct Stage {
    statement: Statement,
    traces: Traces,
}

impl Stage {
    fn of(lie: Lie, edit: impl Fn(&mut Draft)) -> Self {
        let (statement, traces) = lie.lay_out(edit);
        Self { statement, traces }
    }

    fn honest(ledger: &Ledger, batches: &[Batch]) -> Self {
        let statement = ledger.statement(batches);
        let draft = Draft::new(&statement, &witnesses(batches), Settings::Fast).expect("small");
        Self { statement, traces: finish(draft) }
    }

    fn row(&mut self, table: usize, row: usize) -> &mut [KoalaBear] {
        let matrix = &mut self.traces.tables[table];
        &mut matrix.values[row * matrix.width..][..matrix.width]
    }

    fn rows(&mut self, table: usize) -> impl Iterator<Item = &mut [KoalaBear]> {
        let matrix = &mut self.traces.tables[table];
        matrix.values.chunks_exact_mut(matrix.width)
    }

    fn claim(&mut self, change: impl FnOnce(&mut Vec<BatchClaim>)) {
        self.statement = claimed(&self.statement, change);
    }

    /// Takes over what the statement claims into its table.
    fn claim_in_table(&mut self) {
        let air = ClaimsAir::new(&self.statement);
        for (at, row) in self.rows(CLAIMS).enumerate() {
            for (cell, column) in row.iter_mut().zip(air.columns()) {
                *cell = column[at];
            }
        }
    }

    /// The row of a node in use.
    fn node(&self, tree: u32, level: u32, index: u32) -> usize {
        let place = [KoalaBear::new(tree), KoalaBear::new(level), KoalaBear::new(index)];
        let rows = self.traces.tables[NODES].values.chunks_exact(nodes::WIDTH);
        let found =
            rows.enumerate().find(|(_, row)| row[nodes::REAL] == ONE && row[nodes::TREE..=nodes::INDEX] == place);
        found.expect("a node in use").0
    }

    /// Makes a row of the node table one that nothing uses.
    fn unuse(row: &mut [KoalaBear]) {
        row.fill(ZERO);
        hash_nodes(row);
    }

    /// Carries what slots and journal say up to the roots, and has the statement claim what comes of it. `change` may bend
    /// a node after it was hashed.
    fn carry_up_with(mut self, change: impl Fn(&mut [KoalaBear])) -> Self {
        let mut known: BTreeMap<[u32; 3], (Elements, Elements)> = BTreeMap::new();
        let digest = |cells: &[KoalaBear]| -> Elements { *cells.first_chunk().expect("a digest") };
        let place =
            |tree: KoalaBear, level: u32, index: KoalaBear| [tree.as_canonical_u32(), level, index.as_canonical_u32()];
        for row in self.rows(SLOTS).filter(|row| row[slots::REAL] != ZERO) {
            let new = digest(&row[slots::NEW_HASH + poseidon::DIGEST..]);
            known.insert(place(row[slots::TREE], 30, row[slots::INDEX]), (digest(&row[slots::LEAF..]), new));
        }
        for row in self.rows(JOURNAL).filter(|row| row[journal::REAL] == ONE && row[journal::END] == ONE) {
            let end = digest(&row[journal::HASH + poseidon::DIGEST..]);
            let level = row[journal::LEVEL].as_canonical_u32();
            known.insert(place(row[journal::TREE] + ONE, level, ONE), (end, end));
        }
        let mut own: Vec<&mut [KoalaBear]> = self.rows(NODES).filter(|row| row[nodes::REAL] != ZERO).collect();
        own.sort_by_key(|row| Reverse(row[nodes::LEVEL].as_canonical_u32()));
        for row in own {
            let (level, index) = (row[nodes::LEVEL].as_canonical_u32(), row[nodes::INDEX]);
            for (flag, side) in [(nodes::LEFT, 0_u8), (nodes::RIGHT, 1)] {
                let child = place(row[nodes::TREE], level + 1, index.double() + KoalaBear::from_u8(side));
                if let Some((old, new)) = known.get(&child).filter(|_| row[flag] != ZERO) {
                    let at = 8 * usize::from(side);
                    row[nodes::OLD + at..][..8].copy_from_slice(old);
                    row[nodes::NEW + at..][..8].copy_from_slice(new);
                }
            }
            hash_nodes(row);
            change(row);
            known.insert(place(row[nodes::TREE], level, index), node_digests(row));
        }
        self.claim(|claims| {
            for (claim, tree) in claims.iter_mut().zip((0..).step_by(2)) {
                if let Some((old, new)) = known.get(&[tree, 0, 0]) {
                    (claim.root_before, claim.root_after) = (FieldDigest(*old), FieldDigest(*new));
                }
                if let Some((journal, _)) = known.get(&[tree + 1, 0, 0]) {
                    claim.journal_digest = FieldDigest(*journal);
                }
            }
        });
        self.claim_in_table();
        count_range(&mut self.traces);
        self
    }

    fn carry_up(self) -> Self {
        self.carry_up_with(|_| ())
    }

    fn show(&self, visit: &mut Visit<'_>, name: &str) {
        visit(name, &self.statement, &self.traces);
    }

    /// Shows it with the journal as a wide table has it, too.
    fn show_wide(&self, visit: &mut Visit<'_>, name: &str) {
        self.show(visit, name);
        widened(self).show(visit, &format!("{name}, in a wide table"));
    }
}

/// The balance with this value in one of its limbs.
fn limb(at: usize, value: u64) -> u64 {
    value << (16 * at)
}

fn one_transfer() -> Stage {
    Stage::of(Lie::of(&ledger(), &[entry(1, 2, 5)]), |_| ())
}

/// Every forged trace, with its name.
pub(super) fn each(visit: &mut Visit<'_>) {
    compressions(visit);
    claims_table(visit);
    order(visit);
    chain(visit);
    outside(visit);
    carries(visit);
    ranges(visit);
    slot_table(visit);
    node_table(visit);
    range_table(visit);
}

/// Wrong in one column of a compression, and all that follows from it.
fn compressions(visit: &mut Visit<'_>) {
    let honest = one_transfer();
    let root = honest.node(0, 0, 0);
    for column in 0..poseidon::COLUMNS {
        let bent = |input: [KoalaBear; 16]| {
            poseidon::fill_with(&input, |at, value| if at == column { value + ONE } else { value })
        };
        let mut stage = honest.clone();
        let entry = stage.row(JOURNAL, 0);
        let columns = bent(entry_input(entry));
        entry[journal::HASH..journal::HASH + poseidon::COLUMNS].copy_from_slice(&columns);
        stage.carry_up().show(visit, &format!("column {column} of an entry's compression"));
        for (hash, balance) in [(slots::OLD_HASH, slots::BEFORE), (slots::NEW_HASH, slots::AFTER)] {
            let mut stage = honest.clone();
            let slot = stage.row(SLOTS, 0);
            let columns = bent(slot_input(slot, balance));
            slot[hash..hash + poseidon::COLUMNS].copy_from_slice(&columns);
            slot.copy_within(slots::OLD_HASH + poseidon::DIGEST..slots::NEW_HASH, slots::LEAF);
            stage.carry_up().show(visit, &format!("column {column} of a slot's compression at {hash}"));
        }
        for (hash, children) in [(nodes::OLD_HASH, nodes::OLD), (nodes::NEW_HASH, nodes::NEW)] {
            let stage = honest.clone().carry_up_with(|node| {
                if node[nodes::TREE..=nodes::INDEX] == [ZERO; 3] {
                    let columns = bent(*node[children..].first_chunk().expect("both children"));
                    node[hash..hash + poseidon::COLUMNS].copy_from_slice(&columns);
                }
            });
            assert_eq!(stage.node(0, 0, 0), root);
            stage.show(visit, &format!("column {column} of a node's compression at {hash}"));
        }
    }
}

/// A claims table that says other things than the statement.
fn claims_table(visit: &mut Visit<'_>) {
    let nothing = Stage::of(Lie::of(&ledger(), &[]), |_| ());
    let mut stage = nothing.clone();
    let root = stage.node(0, 0, 0);
    Stage::unuse(stage.row(NODES, root));
    stage.claim(|claims| claims[0].root_after.0[3] += ONE);
    stage.claim_in_table();
    stage.row(CLAIMS, 0)[claims::NODE_COUNT] = ZERO;
    stage.show(visit, "a root that nobody has to open");

    let mut stage = Stage::of(Lie::of(&ledger(), &[]).with_flow(5, 3), |_| ());
    for row in [3, 4] {
        stage.row(CLAIMS, row)[claims::CELL] = ZERO;
    }
    stage.show(visit, "a flow that nobody has to make");

    let mut ledger = ledger();
    let batches = [ledger.batch(&[entry(1, 2, 5)]), ledger.batch(&[entry(3, 4, 6)])];
    let mut stage = Stage::honest(&ledger, &batches);
    stage.claim(|claims| {
        let first = claims[0].journal_digest;
        claims[0].journal_digest = claims[1].journal_digest;
        claims[1].journal_digest = first;
    });
    stage.claim_in_table();
    stage.row(CLAIMS, 1)[claims::TREE] = KoalaBear::new(3);
    stage.row(CLAIMS, 4)[claims::TREE] = ONE;
    stage.show(visit, "two batches with each other's journal");

    let mut stage = Stage::of(Lie::of(&ledger, &[entry(0, 2, 5)]).with_flow(5, 0), |_| ());
    stage.claim(|claims| claims[0].flows[0].asset = AssetId::ZMAN);
    stage.show(visit, "a flow of another asset");

    for element in 0..8 {
        let mut stage = one_transfer();
        stage.claim(|claims| claims[0].root_before.0[element] += ONE);
        stage.show(visit, "another root before");
        let mut stage = one_transfer();
        stage.claim(|claims| claims[0].root_after.0[element] += ONE);
        stage.show(visit, "another root after");
    }
}

/// Entries that move money and are in no journal.
fn unlisted(end: bool, last: bool) -> Stage {
    let mut lie = Lie::of(&ledger(), &[entry(1, 2, 5)]);
    lie.claimed_entries = Some(Vec::new());
    let mut stage = Stage::of(lie, |draft| {
        let entry = row(draft, JOURNAL, 0);
        (entry[journal::END], entry[journal::LAST]) = (KoalaBear::from_bool(end), KoalaBear::from_bool(last));
        entry[journal::LEVEL] = ONE;
    });
    let comb = stage.node(1, 0, 0);
    Stage::unuse(stage.row(NODES, comb));
    stage
}

/// Lets the chain go on from a row to the next.
fn chain_on(stage: &mut Stage, from: usize) {
    let digest: Elements =
        *stage.row(JOURNAL, from)[journal::HASH + poseidon::DIGEST..].first_chunk().expect("a digest");
    let next = stage.row(JOURNAL, from + 1);
    next[journal::STATE..journal::STATE + 8].copy_from_slice(&digest);
    hash_entry(next);
}

/// Rows in an order, or with marks, that the header does not have.
fn order(visit: &mut Visit<'_>) {
    // The mark of a batch's end on a row that holds nothing.
    let mut stage = one_transfer();
    for row in stage.rows(JOURNAL).skip(1) {
        row[journal::LEVEL] = ONE;
    }
    stage.row(JOURNAL, 5)[journal::LAST] = KoalaBear::TWO;
    stage.show(visit, "a mark that is 2");

    // A row without an entry gives the end of a segment that the entry before it takes.
    let mut stage = unlisted(true, true);
    let entry_row = stage.row(JOURNAL, 0).to_vec();
    let empty = stage.row(JOURNAL, 1);
    for columns in [journal::FROM..journal::AMOUNT + 4, journal::LEVEL..journal::LEVEL + 1] {
        empty[columns.clone()].copy_from_slice(&entry_row[columns]);
    }
    empty[journal::END] = ZERO;
    hash_entry(empty);
    for row in stage.rows(JOURNAL).skip(2) {
        row[journal::LEVEL] = KoalaBear::TWO;
    }
    chain_on(&mut stage, 1);
    count_range(&mut stage.traces);
    stage.show(visit, "an empty row that closes a segment once too little");

    let mut stage = unlisted(false, true);
    chain_on(&mut stage, 0);
    count_range(&mut stage.traces);
    stage.show(visit, "a last entry that closes no segment");

    let mut stage = unlisted(false, false);
    for row in stage.rows(JOURNAL).skip(1) {
        row[journal::LEVEL] = ONE;
    }
    chain_on(&mut stage, 0);
    count_range(&mut stage.traces);
    stage.show(visit, "an entry that nothing follows");

    // The last row of the table holds an entry of a segment that nothing closes.
    let entries: Vec<JournalEntry> = (0..32).map(|_| entry(1, 2, 5)).collect();
    let mut lie = Lie::of(&ledger(), &entries);
    lie.claimed_entries = Some(entries[..31].to_vec());
    Stage::of(lie, |draft| {
        (draft.segments[0].len, draft.entries[0]) = (31, 31);
        (row(draft, JOURNAL, 30)[journal::END], row(draft, JOURNAL, 30)[journal::LAST]) = (ONE, ONE);
        let edge = row(draft, JOURNAL, 31);
        (edge[journal::END], edge[journal::LAST], edge[journal::LEVEL]) = (ZERO, ZERO, ZERO);
        edge[journal::STATE..journal::STATE + 8].copy_from_slice(&crate::statement::segment_start().0);
        hash_entry(edge);
    })
    .show(visit, "an entry over the edge of the table");

    segments(visit);
    another_batch(visit);

    let mut stage = Stage::of(Lie::of(&ledger(), &[entry(1, 2, 5), entry(3, 4, 5)]), |_| ());
    for row in stage.rows(JOURNAL).skip(1) {
        row[journal::CLOCK] += ONE;
    }
    for slot in [2, 3] {
        stage.row(SLOTS, slot)[slots::TIME] += ONE;
    }
    count_range(&mut stage.traces);
    stage.show(visit, "a clock that leaps");

    let mut stage = one_transfer();
    for row in stage.rows(JOURNAL) {
        row[journal::CLOCK] += KoalaBear::new(7);
    }
    for slot in [0, 1] {
        stage.row(SLOTS, slot)[slots::TIME] += KoalaBear::new(7);
    }
    count_range(&mut stage.traces);
    stage.show(visit, "a clock that starts late");
}

/// Segments of one batch in an order that is not the header's.
fn segments(visit: &mut Visit<'_>) {
    let segment = |from, to| (0..64).map(move |_| entry(from, to, 20));
    // The header's second segment brings what its first spends.
    let run: Vec<JournalEntry> = segment(3, 1).chain(segment(1, 2)).collect();
    let mut lie = Lie::of(&Ledger::new(20, 1_280), &run);
    lie.claimed_entries = Some(segment(1, 2).chain(segment(3, 1)).collect());
    let mark = |draft: &mut Draft, levels: &[u32]| {
        for (segment, level) in levels.iter().enumerate() {
            for at in 0..64 {
                row(draft, JOURNAL, 64 * segment + at)[journal::LEVEL] = KoalaBear::new(*level);
            }
        }
    };
    Stage::of(lie, |draft| {
        mark(draft, &[1, 2]);
        row(draft, JOURNAL, 63)[journal::LAST] = ONE;
    })
    .show(visit, "a batch that ends with its first segment");
    let run: Vec<JournalEntry> = segment(3, 1).chain(segment(1, 2)).chain(segment(4, 5)).collect();
    let mut lie = Lie::of(&Ledger::new(20, 1_280), &run);
    lie.claimed_entries = Some(segment(1, 2).chain(segment(3, 1)).chain(segment(4, 5)).collect());
    Stage::of(lie, |draft| mark(draft, &[2, 3, 1])).show(visit, "segments in another order");
}

/// An entry of one batch that moves the money of the next.
fn another_batch(visit: &mut Visit<'_>) {
    let mut ledger = ledger();
    let batches = [ledger.batch(&[entry(1, 2, 5), entry(3, 4, 7)]), ledger.batch(&[entry(1, 2, 9)])];
    let mut stage = Stage::honest(&ledger, &batches);
    stage.row(JOURNAL, 0)[journal::TREE] = KoalaBear::TWO;
    stage.row(JOURNAL, 2)[journal::PAYER_TIME] = ONE;
    stage.row(JOURNAL, 2)[journal::PAYEE_TIME] = ONE;
    for slot in 0..2 {
        let before: [KoalaBear; 4] = *stage.row(SLOTS, slot)[slots::BEFORE..].first_chunk().expect("a balance");
        let first = stage.row(SLOTS, slot);
        first[slots::AFTER..slots::AFTER + 4].copy_from_slice(&before);
        first[slots::TIME] = ZERO;
        hash_slots(first);
        let second = stage.row(SLOTS, 4 + slot);
        second[slots::BEFORE..slots::BEFORE + 4].copy_from_slice(&before);
        hash_slots(second);
    }
    stage.carry_up().show(visit, "an entry in the next batch's tree");
}

/// A chain that does not start, or go on, where it should.
fn chain(visit: &mut Visit<'_>) {
    for element in 0..8 {
        let mut stage = one_transfer();
        let first = stage.row(JOURNAL, 0);
        first[journal::STATE + element] += ONE;
        hash_entry(first);
        stage.carry_up().show(visit, "a chain that starts elsewhere");
        let mut stage = Stage::of(Lie::of(&ledger(), &[entry(1, 2, 5), entry(3, 4, 5)]), |_| ());
        let second = stage.row(JOURNAL, 1);
        second[journal::STATE + element] += ONE;
        hash_entry(second);
        stage.carry_up().show(visit, "a chain that goes on elsewhere");
    }
}

/// Entries that name one cell and touch another.
fn outside(visit: &mut Visit<'_>) {
    let names = |from, to, flag: usize, value: KoalaBear, named: usize, name: KoalaBear| {
        let mut stage = Stage::of(Lie::of(&ledger(), &[entry(from, to, 5)]), |_| ());
        let first = stage.row(JOURNAL, 0);
        (first[flag], first[named]) = (value, name);
        hash_entry(first);
        stage.carry_up()
    };
    let far = KoalaBear::new(RETIRE_KEY);
    let (from, to) = ((journal::FROM_OUTSIDE, journal::FROM), (journal::TO_OUTSIDE, journal::TO));
    names(1, 2, from.0, -ONE, from.1, ZERO).show(visit, "slot 1 pays what is issued");
    names(1, 2, to.0, KoalaBear::TWO * far.inverse(), to.1, ZERO).show(visit, "slot 2 gets what is retired");
    names(1, 2, from.0, ONE, from.1, KoalaBear::TWO).show(visit, "slot 1 pays for slot 2");
    names(1, 2, to.0, ONE, to.1, KoalaBear::TWO - far).show(visit, "slot 2 gets what goes elsewhere");
}

/// Carries that are neither 0 nor 1.
fn carries(visit: &mut Visit<'_>) {
    for at in 0..3 {
        let put = |cells: &mut [KoalaBear], limbs: [(usize, u32); 2]| {
            cells[..4].fill(ZERO);
            limbs.iter().for_each(|(limb, value)| cells[*limb] = KoalaBear::new(*value));
        };
        // 65,535 of a limb for 32,513 of the next, which is nearly 2^31 times as much.
        let rich = Ledger::of(vec![account(1, limb(at + 1, CARRY.into())), account(2, 5)]);
        Stage::of(Lie::of(&rich, &[entry(1, 2, 0)]), |draft| {
            let first = row(draft, JOURNAL, 0);
            put(&mut first[journal::PAYER..], [(at, 65_535), (at + 1, 0)]);
            first[journal::PAYER_CARRY + at] = KoalaBear::new(CARRY);
            put(&mut row(draft, SLOTS, 0)[slots::AFTER..], [(at, 65_535), (at + 1, 0)]);
        })
        .show(visit, "a payer who loses by a carry");
        let poor = Ledger::of(vec![account(1, 5), account(2, limb(at, 65_535))]);
        Stage::of(Lie::of(&poor, &[entry(1, 2, 0)]), |draft| {
            let first = row(draft, JOURNAL, 0);
            put(&mut first[journal::PAYEE..], [(at, 0), (at + 1, CARRY)]);
            first[journal::PAYEE_CARRY + at] = KoalaBear::new(CARRY);
            put(&mut row(draft, SLOTS, 1)[slots::AFTER..], [(at, 0), (at + 1, CARRY)]);
        })
        .show(visit, "a payee who gains by a carry");
    }
}

/// Numbers that are out of range.
fn ranges(visit: &mut Visit<'_>) {
    for at in 0..4 {
        // An overdraft in one limb.
        let poor = Ledger::of(vec![account(1, 0), account(2, 0)]);
        Stage::of(Lie::of(&poor, &[entry(1, 2, limb(at, 1))]), |draft| {
            let first = row(draft, JOURNAL, 0);
            first[journal::PAYER..journal::PAYER + 4].fill(ZERO);
            first[journal::PAYER + at] = -ONE;
            first[journal::PAYER_CARRY..journal::PAYER_CARRY + 3].fill(ZERO);
            let slot = row(draft, SLOTS, 0);
            slot[slots::AFTER..slots::AFTER + 4].fill(ZERO);
            slot[slots::AFTER + at] = -ONE;
        })
        .show_wide(visit, "a payer's limb below 0");
        // A balance with a limb that is full and gets one more.
        let most = if at == 3 { 32_767 } else { 65_535 };
        let rich = Ledger::of(vec![account(1, limb(at, 1)), account(2, limb(at, most))]);
        Stage::of(Lie::of(&rich, &[entry(1, 2, limb(at, 1))]), |draft| {
            let over = KoalaBear::from_u64(most + 1);
            let first = row(draft, JOURNAL, 0);
            first[journal::PAYEE..journal::PAYEE + 4].fill(ZERO);
            first[journal::PAYEE + at] = over;
            first[journal::PAYEE_CARRY..journal::PAYEE_CARRY + 3].fill(ZERO);
            let slot = row(draft, SLOTS, 1);
            slot[slots::AFTER..slots::AFTER + 4].fill(ZERO);
            slot[slots::AFTER + at] = over;
        })
        .show_wide(visit, "a payee's limb that is too full");
        // The payer gains what the payee loses.
        let both = Ledger::of(vec![account(1, limb(at, 7)), account(2, limb(at, 7))]);
        Stage::of(Lie::of(&both, &[entry(1, 2, 0)]), |draft| {
            let first = row(draft, JOURNAL, 0);
            first[journal::AMOUNT + at] = -ONE;
            first[journal::PAYER + at] = KoalaBear::new(8);
            first[journal::PAYEE + at] = KoalaBear::new(6);
            row(draft, SLOTS, 0)[slots::AFTER + at] = KoalaBear::new(8);
            row(draft, SLOTS, 1)[slots::AFTER + at] = KoalaBear::new(6);
        })
        .carry_up()
        .show_wide(visit, "an amount's limb below 0");
        // A balance that is no balance, and is not touched.
        let mut wrong = vec![70_000];
        if at == 3 {
            wrong = vec![40_000, (KoalaBear::ORDER_U32).div_ceil(2) + 5];
        }
        for value in wrong {
            let mut idle = Lie::of(&ledger(), &[entry(1, 2, 5)]);
            idle.witness.entries.clear();
            let stage = Stage::of(idle, |draft| {
                for slot in 0..2 {
                    let cells = row(draft, SLOTS, slot);
                    cells.copy_within(slots::BEFORE..slots::BEFORE + 4, slots::AFTER);
                }
                for balance in [slots::BEFORE, slots::AFTER] {
                    row(draft, SLOTS, 0)[balance + at] = KoalaBear::new(value);
                }
            });
            stage.carry_up().show(visit, "a balance before that is too large");
        }
    }
    // The second entry comes first, for one of its two slots.
    for (entries, time, shared, [alone, together]) in [
        ([entry(1, 2, 5), entry(1, 3, 7)], journal::PAYER_TIME, journal::PAYER, [993, 988]),
        ([entry(1, 2, 5), entry(3, 2, 7)], journal::PAYEE_TIME, journal::PAYEE, [1_007, 1_012]),
    ] {
        let backwards = Stage::of(Lie::of(&ledger(), &entries), |draft| {
            let first = row(draft, JOURNAL, 0);
            (first[time], first[shared]) = (KoalaBear::TWO, KoalaBear::new(together));
            let second = row(draft, JOURNAL, 1);
            (second[time], second[shared]) = (ZERO, KoalaBear::new(alone));
            let at = if shared == journal::PAYER { 0 } else { 1 };
            row(draft, SLOTS, at)[slots::TIME] = ONE;
        });
        backwards.show_wide(visit, "a touch before the one before");
    }
    // So far back that the span is out of range.
    for time in [journal::PAYER_TIME, journal::PAYEE_TIME] {
        let mut stage = widened(&one_transfer());
        let span = if time == journal::PAYER_TIME { journal::SPANS } else { journal::SPANS + 1 };
        // On a row without an entry nobody asks since when the cell is what it is.
        let empty = stage.row(JOURNAL, 9);
        empty[span] = KoalaBear::new(200);
        empty[time] = empty[journal::CLOCK] - KoalaBear::new(200 << 16);
        count_range(&mut stage.traces);
        stage.show(visit, "a span that is too long");
    }
}

/// The same with the journal as a wide table has it.
fn widened(stage: &Stage) -> Stage {
    let mut stage = stage.clone();
    let width = journal::width(true);
    let narrow = &stage.traces.tables[JOURNAL];
    let rows = narrow.values.chunks_exact(narrow.width);
    let values = rows.flat_map(|row| row.iter().copied().chain([ZERO; 2])).collect();
    stage.traces.tables[JOURNAL] = RowMajorMatrix::new(values, width);
    count_range(&mut stage.traces);
    stage
}

/// Slots that are not what they say.
fn slot_table(visit: &mut Visit<'_>) {
    // Two halves of one slot.
    let mut stage = one_transfer();
    stage.row(SLOTS, 0)[slots::REAL] = KoalaBear::TWO.inverse();
    stage.row(SLOTS, 0)[slots::INDEX_INVERSE] *= KoalaBear::TWO.inverse();
    let half = stage.row(SLOTS, 0).to_vec();
    stage.row(SLOTS, 2).copy_from_slice(&half);
    count_range(&mut stage.traces);
    stage.show(visit, "two halves of a slot");

    for element in 0..8 {
        let mut stage = one_transfer();
        stage.row(SLOTS, 0)[slots::LEAF + element] += ONE;
        stage.carry_up().show(visit, "another leaf before");
    }
    let mut stage = Stage::of(Lie::of(&Ledger::of(vec![account(1, 9), account(2, 0)]), &[entry(1, 2, 5)]), |_| ());
    stage.row(SLOTS, 1)[slots::FRESH] = KoalaBear::TWO;
    hash_slots(stage.row(SLOTS, 1));
    stage.carry_up().show(visit, "a slot that is twice fresh");

    let mut stage = one_transfer();
    stage.row(SLOTS, 1)[slots::KIND] = KoalaBear::new(5);
    hash_slots(stage.row(SLOTS, 1));
    stage.carry_up().show(visit, "a slot of no kind");

    for at in 0..4 {
        let stage = Stage::of(Lie::of(&ledger(), &[entry(1, 21, 0)]), |draft| {
            row(draft, SLOTS, 1)[slots::BEFORE + at] += KoalaBear::new(50);
            row(draft, SLOTS, 1)[slots::AFTER + at] += KoalaBear::new(50);
            row(draft, JOURNAL, 0)[journal::PAYEE + at] += KoalaBear::new(50);
        });
        stage.carry_up().show(visit, "a fresh slot with money in it");
    }
    // The index of the outside, in use.
    let mut stage = Stage::of(Lie::of(&ledger(), &[entry(1, 2, 5)]), |_| ());
    let slot = stage.row(SLOTS, 0);
    (slot[slots::INDEX], slot[slots::INDEX_INVERSE]) = (ZERO, ZERO);
    let first = stage.row(JOURNAL, 0);
    first[journal::FROM] = ZERO;
    hash_entry(first);
    // Its parent is that of slot 1, whose left child it is.
    let parent = stage.node(0, 29, 0);
    let node = stage.row(NODES, parent);
    (node[nodes::LEFT], node[nodes::RIGHT]) = (ONE, ZERO);
    node.copy_within(nodes::OLD + 8..nodes::OLD + 16, nodes::NEW + 8);
    stage.carry_up().show(visit, "the slot of the outside");
}

/// Nodes that open what they should not.
fn node_table(visit: &mut Visit<'_>) {
    // Two halves of a root that opens nothing.
    let mut stage = Stage::of(Lie::of(&ledger(), &[]), |_| ());
    let root = stage.node(0, 0, 0);
    stage.row(NODES, root)[nodes::REAL] = KoalaBear::TWO.inverse();
    let half = stage.row(NODES, root).to_vec();
    stage.row(NODES, root + 1).copy_from_slice(&half);
    stage.show(visit, "two halves of a root");

    // A leaf that is given twice is touched by two cells that know nothing of each other.
    for (index, flag) in [(2, nodes::LEFT), (3, nodes::RIGHT)] {
        let mut lie = Lie::of(&ledger(), &[entry(index, 6, 5)]);
        lie.witness.entries.clear();
        let mut stage = Stage::of(lie, |draft| {
            for slot in 0..2 {
                row(draft, SLOTS, slot).copy_within(slots::BEFORE..slots::BEFORE + 4, slots::AFTER);
            }
            let copy = row(draft, SLOTS, 0).to_vec();
            row(draft, SLOTS, 2).copy_from_slice(&copy);
        });
        let parent = stage.node(0, 29, 1);
        stage.row(NODES, parent)[flag] = KoalaBear::TWO;
        stage.carry_up().show(visit, "a leaf that is given twice");
    }
    // Leaves from nowhere: the rows that give them are taken by nobody.
    for (from, to) in [(2, 4), (3, 5)] {
        let mut stage = Stage::of(Lie::of(&ledger(), &[entry(from, to, 5)]), |_| ());
        let root = stage.node(0, 0, 0);
        for (at, node) in stage.rows(NODES).enumerate() {
            if node[nodes::REAL] == ONE && node[nodes::TREE] == ZERO {
                if node[nodes::LEVEL] == KoalaBear::new(29) {
                    node[nodes::REAL] = ZERO;
                } else if at != root {
                    Stage::unuse(node);
                } else {
                    (node[nodes::LEFT], node[nodes::RIGHT]) = (ZERO, ZERO);
                    node.copy_within(nodes::OLD..nodes::OLD + 16, nodes::NEW);
                    hash_nodes(node);
                }
            }
        }
        stage.carry_up().show(visit, "leaves of no tree");
    }
    // Beside the ways of slots 1 and 2 are slots 0 and 3.
    for (parent, side) in [(0, 0), (1, 8)] {
        for element in side..side + 8 {
            let mut stage = one_transfer();
            let at = stage.node(0, 29, parent);
            stage.row(NODES, at)[nodes::NEW + element] += ONE;
            stage.carry_up().show(visit, "a leaf that changes and goes nowhere");
        }
    }
}

/// A range table with numbers below 0.
fn range_table(visit: &mut Visit<'_>) {
    let poor = Ledger::of(vec![account(1, 0), account(2, 0)]);
    let lie = || {
        Stage::of(Lie::of(&poor, &[entry(1, 2, 1)]), |draft| {
            let first = row(draft, JOURNAL, 0);
            first[journal::PAYER..journal::PAYER + 4].copy_from_slice(&[-ONE, ZERO, ZERO, ZERO]);
            first[journal::PAYER_CARRY..journal::PAYER_CARRY + 3].fill(ZERO);
            row(draft, SLOTS, 0)[slots::AFTER..slots::AFTER + 4].copy_from_slice(&[-ONE, ZERO, ZERO, ZERO]);
        })
    };
    let below = -KoalaBear::new(8);
    let mut stage = lie();
    let rows: Vec<Vec<KoalaBear>> = stage.rows(RANGE_TABLE).map(|row| row.to_vec()).collect();
    let numbers = rows.len();
    for (row, before) in stage.rows(RANGE_TABLE).zip(std::iter::once(&rows[numbers - 1]).chain(&rows)) {
        row[range::TIMES..].copy_from_slice(&before[range::TIMES..]);
        row[range::FIRST] -= KoalaBear::new(8);
    }
    // -1 is the last number of the first row.
    stage.row(RANGE_TABLE, 0)[range::WIDTH - 1] = ONE;
    stage.show(visit, "a range that starts below 0");

    let mut stage = lie();
    let last = stage.row(RANGE_TABLE, numbers - 1);
    last[range::FIRST] = below;
    last[range::WIDTH - 1] = ONE;
    stage.show(visit, "a range that leaps");
}
