//! What a prover who lies might try, one by one. Each lie is laid out as well as it can be: hashes, nodes, multiplicities and
//! the claimed roots all follow it, so that nothing but the lie itself is left to be refused for.

use super::ledger::{Batch, Ledger, account, amount, entry, slot};
use super::{claimed, finish, judge};
use crate::Settings;
use crate::air::claims::{self, RETIRE_KEY};
use crate::air::{journal, nodes, poseidon, slots};
use crate::statement::Statement;
use crate::trace::{CLAIMS, Draft, JOURNAL, NODES, SLOTS, Traces, hash_entry, hash_nodes, node_digests, put_node};
use crate::witness::{BatchWitness, TouchedSlot, nodes_beside};
use crate::{Table, verify};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use ghostplane_ghostcipher::{Digest, FieldDigest};
use ghostplane_keystone::journal as journals;
use ghostplane_types::{Amount, AssetId, Flow, JournalEntry, Slot};
use p3_field::PrimeCharacteristicRing;

const MOST: u64 = (1 << 63) - 1;

/// A lie about the batch after `ledger`: a witness, flows, and edits of the tables before they are hashed.
pub(super) struct Lie {
    pub(super) ledger: Ledger,
    pub(super) witness: BatchWitness,
    flows: Vec<Flow>,
    /// The entries that the header has, if not those of the witness.
    pub(super) claimed_entries: Option<Vec<JournalEntry>>,
}

impl Lie {
    /// Entries on a ledger, whether or not it has what they move. New slots may be handed out.
    pub(super) fn of(ledger: &Ledger, entries: &[JournalEntry]) -> Self {
        use ghostplane_keystone::StateView;
        let mut touched: Vec<TouchedSlot> = Vec::new();
        for index in entries.iter().flat_map(|entry| [entry.from, entry.to]).filter(|index| !index.is_outside()) {
            let old = ledger.keystone.slot(index).expect("all of it");
            touched.push(TouchedSlot { index, old, new: old.unwrap_or_else(|| account(index.index().into(), 0)) });
        }
        touched.sort_unstable_by_key(|slot| slot.index);
        touched.dedup_by_key(|slot| slot.index);
        let nodes = nodes_beside(&ledger.keystone, touched.iter().map(|slot| slot.index.index()).collect());
        let witness = BatchWitness { entries: entries.to_vec(), slots: touched, nodes };
        Self { ledger: ledger.clone(), witness, flows: Vec::new(), claimed_entries: None }
    }

    pub(super) fn with_flow(mut self, issued: u64, retired: u64) -> Self {
        self.flows.push(Flow { asset: AssetId::GCC, issued: amount(issued), retired: amount(retired) });
        self
    }

    /// The statement and tables, the claimed root after being what the edited tables lead to.
    pub(super) fn lay_out(self, edit: impl Fn(&mut Draft)) -> (Statement, Traces) {
        let Self { mut ledger, witness, flows, claimed_entries } = self;
        let entries = claimed_entries.unwrap_or_else(|| witness.entries.clone());
        // A header to start from, with nothing but the root before it right.
        let batch = ledger.batch(&[]);
        let base = ledger.statement(&[batch]);
        let lie = |root: Option<FieldDigest>| {
            let statement = claimed(&base, |claims| {
                claims[0].journal_digest = journals::digest(&entries);
                claims[0].entries = u32::try_from(entries.len()).expect("few");
                claims[0].flows = flows.clone();
                claims[0].root_after = root.unwrap_or(claims[0].root_after);
            });
            let mut draft = Draft::new(&statement, std::slice::from_ref(&witness), Settings::Fast).expect("small");
            edit(&mut draft);
            (statement, finish(draft))
        };
        let (_, traces) = lie(None);
        let root = traces.tables[NODES].values.chunks_exact(nodes::WIDTH).find(|row| {
            row[nodes::REAL] == KoalaBear::ONE
                && row[nodes::LEVEL] == KoalaBear::ZERO
                && row[nodes::TREE] == KoalaBear::ZERO
        });
        lie(Some(FieldDigest(node_digests(root.expect("a root")).1)))
    }

    fn must_be_refused(self) {
        self.must_be_refused_with(|_| ());
    }

    fn must_be_refused_with(self, edit: impl Fn(&mut Draft)) {
        let (statement, traces) = self.lay_out(edit);
        let verdict = judge(&statement, traces);
        assert!(verdict.is_err(), "the lie verifies");
    }

    fn must_be_believed(self) {
        let (statement, traces) = self.lay_out(|_| ());
        judge(&statement, traces).expect("the truth verifies");
    }
}

/// The cells of a row.
pub(super) fn row(draft: &mut Draft, table: usize, row: usize) -> &mut [KoalaBear] {
    let matrix = &mut draft.traces.tables[table];
    let width = matrix.width;
    &mut matrix.values[row * width..][..width]
}

pub(super) fn ledger() -> Ledger {
    Ledger::new(20, 1_000)
}

#[test]
fn the_truth_verifies_by_the_same_means() {
    Lie::of(&ledger(), &[entry(1, 2, 1_000), entry(2, 3, 2_000), entry(3, 21, 1)]).must_be_believed();
    Lie::of(&ledger(), &[entry(0, 2, 5), entry(2, 0, 7)]).with_flow(5, 7).must_be_believed();
}

#[test]
fn an_overdraft_by_one() {
    Lie::of(&ledger(), &[entry(1, 2, 1_001)]).must_be_refused();
    Lie::of(&ledger(), &[entry(1, 2, 500), entry(1, 3, 501)]).must_be_refused();
    // Money that comes only later.
    Lie::of(&ledger(), &[entry(1, 2, 1_001), entry(3, 1, 1)]).must_be_refused();
}

#[test]
fn a_balance_that_wraps_at_the_prime() {
    // 1,000 less 1,001 as the element p - 1 in the lowest limb, without a carry.
    Lie::of(&ledger(), &[entry(1, 2, 1_001)]).must_be_refused_with(|draft| {
        let after = [KoalaBear::NEG_ONE, KoalaBear::ZERO, KoalaBear::ZERO, KoalaBear::ZERO];
        row(draft, JOURNAL, 0)[journal::PAYER..journal::PAYER + 4].copy_from_slice(&after);
        row(draft, JOURNAL, 0)[journal::PAYER_CARRY..journal::PAYER_CARRY + 3].fill(KoalaBear::ZERO);
        row(draft, SLOTS, 0)[slots::AFTER..slots::AFTER + 4].copy_from_slice(&after);
    });
}

#[test]
fn a_limb_that_wraps_at_two_to_the_31() {
    // The payee's lowest limb grows by 2^31, and a carry of 2^15 makes up for it.
    for carry in [0, 1 << 15] {
        Lie::of(&ledger(), &[entry(1, 2, 1)]).must_be_refused_with(|draft| {
            let more = KoalaBear::from_u64(1 << 31);
            row(draft, JOURNAL, 0)[journal::PAYEE] += more;
            row(draft, JOURNAL, 0)[journal::PAYEE_CARRY] -= KoalaBear::new(carry);
            row(draft, JOURNAL, 0)[journal::PAYEE + 1] += KoalaBear::new(carry);
            row(draft, SLOTS, 1)[slots::AFTER] += more;
        });
    }
}

#[test]
fn a_balance_of_two_to_the_63() {
    let mut ledger = ledger();
    ledger.batch(&[entry(0, 2, MOST - 1_001)]);
    Lie::of(&ledger, &[entry(1, 2, 1)]).must_be_believed();
    Lie::of(&ledger, &[entry(1, 2, 2)]).must_be_refused();
}

#[test]
fn a_balance_that_wraps_at_two_to_the_64() {
    let mut ledger = Ledger::of([MOST, MOST, MOST].iter().zip(1..).map(|(units, at)| account(at, *units)).collect());
    Lie::of(&ledger, &[entry(1, 3, MOST), entry(2, 3, MOST)]).must_be_refused();
    ledger = Ledger::new(20, 1_000);
    // 1,000 less 2^63 - 1, plus as much again: the sum is as if nothing had been.
    Lie::of(&ledger, &[entry(1, 2, MOST), entry(2, 1, MOST)]).must_be_refused();
}

#[test]
fn an_amount_that_is_negative_limb_by_limb() {
    // The header's digest is that of the limbs, so the lie has the digest of no journal at all; it is refused all the same.
    Lie::of(&ledger(), &[entry(1, 2, 1)]).must_be_refused_with(|draft| {
        let entry = row(draft, JOURNAL, 0);
        entry[journal::AMOUNT] = -KoalaBear::ONE;
        entry[journal::PAYER] = KoalaBear::new(1_001);
        entry[journal::PAYEE] = KoalaBear::new(999);
        row(draft, SLOTS, 0)[slots::AFTER] = KoalaBear::new(1_001);
        row(draft, SLOTS, 1)[slots::AFTER] = KoalaBear::new(999);
    });
}

#[test]
fn a_slot_that_is_there_twice() {
    // Taken twice at the end of one way.
    Lie::of(&ledger(), &[entry(1, 2, 5)]).must_be_refused_with(|draft| {
        let copy = row(draft, SLOTS, 0).to_vec();
        row(draft, SLOTS, 2).copy_from_slice(&copy);
        row(draft, SLOTS, 2)[slots::TIME] = KoalaBear::ZERO;
        row(draft, SLOTS, 2).copy_within(slots::BEFORE..slots::BEFORE + 4, slots::AFTER);
    });
    // With a way of its own, and the root taken twice: both copies spend all they have.
    let ledger = ledger();
    let mut lie = Lie::of(&ledger, &[entry(1, 2, 1_000), entry(1, 3, 1_000)]);
    lie.witness.slots.insert(0, lie.witness.slots[0]);
    lie.witness.nodes = nodes_beside(&ledger.keystone, vec![1, 1, 2, 3]);
    lie.must_be_refused();
}

#[test]
fn entries_in_another_order() {
    // The header's journal spends first what comes second; the tables run it the other way round.
    let (early, late) = (entry(1, 2, 1_500), entry(3, 1, 600));
    let mut lie = Lie::of(&ledger(), &[late, early]);
    lie.claimed_entries = Some(vec![early, late]);
    lie.must_be_refused();
}

#[test]
fn segments_in_another_order() {
    // Two segments, the second first. Each is closed at its own place of the comb, and nothing else is wrong.
    let mut honest_order: Vec<JournalEntry> = (0..64).map(|_| entry(1, 2, 20)).collect();
    honest_order.extend((0..64).map(|_| entry(3, 1, 10)));
    let run: Vec<JournalEntry> = honest_order[64..].iter().chain(&honest_order[..64]).copied().collect();
    let mut lie = Lie::of(&ledger(), &run);
    lie.claimed_entries = Some(honest_order);
    lie.must_be_refused_with(|draft| {
        for at in 0..64 {
            row(draft, JOURNAL, at)[journal::LEVEL] = KoalaBear::ONE;
            row(draft, JOURNAL, at + 64)[journal::LEVEL] = KoalaBear::new(2);
        }
        row(draft, JOURNAL, 63)[journal::LAST] = KoalaBear::ONE;
        row(draft, JOURNAL, 127)[journal::LAST] = KoalaBear::ZERO;
    });
}

#[test]
fn a_touch_at_the_time_of_the_one_before() {
    // A transfer to oneself touches a cell twice at one time.
    Lie::of(&ledger(), &[entry(1, 1, 5), entry(1, 2, 3)]).must_be_refused();
}

#[test]
fn a_touch_before_the_one_before() {
    // The first row spends what the second brings: run in the order that works, written down in the other.
    let (early, late) = (entry(1, 2, 1_500), entry(3, 1, 600));
    let mut lie = Lie::of(&ledger(), &[late, early]);
    lie.claimed_entries = Some(vec![early, late]);
    lie.must_be_refused_with(|draft| {
        let (first, second) = (row(draft, JOURNAL, 0).to_vec(), row(draft, JOURNAL, 1).to_vec());
        let moved = journal::ASSET..journal::HASH;
        row(draft, JOURNAL, 0)[moved.clone()].copy_from_slice(&second[moved.clone()]);
        row(draft, JOURNAL, 1)[moved.clone()].copy_from_slice(&first[moved]);
        // Slot 1 goes from time 0 through row 1 (time 2) to row 0 (time 1).
        row(draft, JOURNAL, 0)[journal::PAYER_TIME] = KoalaBear::new(2);
        row(draft, SLOTS, 0)[slots::TIME] = KoalaBear::ONE;
        row(draft, SLOTS, 1)[slots::TIME] = KoalaBear::ONE;
        row(draft, SLOTS, 2)[slots::TIME] = KoalaBear::new(2);
    });
}

#[test]
fn a_forged_sibling() {
    let lie = Lie::of(&ledger(), &[entry(1, 2, 5)]);
    for at in [0, 3, lie.witness.nodes.len() - 1] {
        let mut lie = Lie::of(&ledger(), &[entry(1, 2, 5)]);
        lie.witness.nodes[at].0[4] += KoalaBear::ONE;
        lie.must_be_refused();
    }
}

#[test]
fn a_second_root() {
    // A tree in which slot 1 holds more, beside the true root, which is opened and left as it is.
    let rich = Ledger::of((1..=20).map(|at| account(at, if at == 1 { 1_000_000 } else { 1_000 })).collect());
    let truth = ledger();
    let mut lie = Lie::of(&rich, &[entry(1, 2, 500_000)]);
    lie.ledger = truth.clone();
    let (left, right) = (truth.keystone.ledger_node(29, 0), truth.keystone.ledger_node(29, 1));
    lie.must_be_refused_with(|draft| {
        let used = draft.traces.tables[NODES].values.chunks_exact(nodes::WIDTH).count();
        let root = row(draft, NODES, used - 1);
        put_node(root, KoalaBear::ZERO, 0, 0, [false, false]);
        for at in [nodes::OLD, nodes::NEW] {
            root[at..at + 8].copy_from_slice(&left.0);
            root[at + 8..at + 16].copy_from_slice(&right.0);
        }
    });
}

#[test]
fn a_parent_split_in_two() {
    // Slots 2 and 3 share a parent. Two rows take it and open one child each.
    let ledger = ledger();
    let (statement, mut traces) = Lie::of(&ledger, &[entry(2, 3, 5)]).lay_out(|_| ());
    judge(&statement, traces.clone()).expect("the truth verifies");
    let matrix = &mut traces.tables[Table::Nodes as usize];
    let shared = matrix.values[..nodes::WIDTH].to_vec();
    assert_eq!([shared[nodes::LEFT], shared[nodes::RIGHT]], [KoalaBear::ONE; 2]);
    let free = matrix.values.len() - nodes::WIDTH;
    matrix.values[free..].copy_from_slice(&shared);
    matrix.values[nodes::RIGHT] = KoalaBear::ZERO;
    matrix.values[free + nodes::LEFT] = KoalaBear::ZERO;
    assert!(judge(&statement, traces).is_err());
}

#[test]
fn a_child_that_changes_and_goes_nowhere() {
    // All slots are in the root's left half. The right half becomes something else, and only the root knows.
    let (statement, mut traces) = Lie::of(&ledger(), &[entry(2, 3, 5)]).lay_out(|_| ());
    let is_root = |row: &&mut [KoalaBear]| {
        row[nodes::REAL] == KoalaBear::ONE
            && row[nodes::LEVEL] == KoalaBear::ZERO
            && row[nodes::TREE] == KoalaBear::ZERO
    };
    let root = traces.tables[NODES].values.chunks_exact_mut(nodes::WIDTH).find(is_root).expect("a root");
    assert_eq!(root[nodes::RIGHT], KoalaBear::ZERO);
    root[nodes::NEW + 8] += KoalaBear::ONE;
    hash_nodes(root);
    let root_after = node_digests(root).1;
    traces.tables[CLAIMS].values[claims::NEW..claims::NEW + 8].copy_from_slice(&root_after);
    let statement = claimed(&statement, |claims| claims[0].root_after = FieldDigest(root_after));
    assert!(judge(&statement, traces).is_err());
}

#[test]
fn another_journal() {
    let mut lie = Lie::of(&ledger(), &[entry(1, 2, 5)]);
    lie.claimed_entries = Some(vec![entry(1, 2, 6)]);
    lie.must_be_refused();
    let mut lie = Lie::of(&ledger(), &[entry(1, 2, 5)]);
    lie.claimed_entries = Some(vec![entry(1, 2, 5), entry(3, 4, 1)]);
    lie.must_be_refused();
}

#[test]
fn another_plane_and_another_batch() {
    let mut ledger = ledger();
    let batch = |ledger: &mut Ledger, units| -> Batch { ledger.batch(&[entry(1, 2, units)]) };
    let batches = [batch(&mut ledger, 5), batch(&mut ledger, 5)];
    let statements = [0, 1].map(|at| ledger.statement(&batches[at..=at]));
    let proof = crate::prove(&statements[0], &[batches[0].witness.clone()], &super::pool(2)).expect("honest");
    verify(&statements[0], &proof).expect("honest");
    assert!(verify(&statements[1], &proof).is_err());
    let elsewhere = Statement::claimed(Digest([9; 32]), statements[0].batches().to_vec());
    assert!(verify(&elsewhere, &proof).is_err());
    let renamed = claimed(&statements[0], |claims| claims[0].header_digest = Digest([1; 32]));
    assert!(verify(&renamed, &proof).is_err());
}

#[test]
fn an_entry_smuggled_behind_the_last() {
    // The header's journal is the first entry. The second moves money in a row behind it.
    for (real, end, last) in [(1, 0, 0), (1, 1, 0), (1, 1, 1), (0, 1, 0), (0, 0, 0)] {
        let mut lie = Lie::of(&ledger(), &[entry(1, 2, 5), entry(3, 4, 7)]);
        lie.claimed_entries = Some(vec![entry(1, 2, 5)]);
        lie.must_be_refused_with(|draft| {
            (draft.segments[0].len, draft.entries[0]) = (1, 1);
            let first = row(draft, JOURNAL, 0);
            (first[journal::END], first[journal::LAST]) = (KoalaBear::ONE, KoalaBear::ONE);
            let second = row(draft, JOURNAL, 1);
            second[journal::REAL] = KoalaBear::new(real);
            second[journal::END] = KoalaBear::new(end);
            second[journal::LAST] = KoalaBear::new(last);
            second[journal::LEVEL] = KoalaBear::new(last);
        });
    }
}

#[test]
fn an_entry_of_a_segment_that_is_left_open() {
    // As above, and the empty row behind goes on from the smuggled entry's digest, as the chain asks.
    let mut lie = Lie::of(&ledger(), &[entry(1, 2, 5), entry(3, 4, 7)]);
    lie.claimed_entries = Some(vec![entry(1, 2, 5)]);
    let (statement, mut traces) = lie.lay_out(|draft| {
        (draft.segments[0].len, draft.entries[0]) = (1, 1);
        let first = row(draft, JOURNAL, 0);
        (first[journal::END], first[journal::LAST]) = (KoalaBear::ONE, KoalaBear::ONE);
        let second = row(draft, JOURNAL, 1);
        (second[journal::END], second[journal::LAST]) = (KoalaBear::ZERO, KoalaBear::ZERO);
        second[journal::LEVEL] = KoalaBear::ZERO;
    });
    let matrix = &mut traces.tables[JOURNAL];
    let width = matrix.width;
    let digest = width + journal::HASH + poseidon::DIGEST;
    matrix.values.copy_within(digest..digest + 8, 2 * width + journal::STATE);
    hash_entry(&mut matrix.values[2 * width..3 * width]);
    assert!(judge(&statement, traces).is_err());
}

#[test]
fn an_entry_smuggled_over_the_edge_of_the_table() {
    // The last row of the table holds an entry of a segment that nothing closes.
    let entries: Vec<JournalEntry> = (0..32).map(|_| entry(1, 2, 5)).collect();
    let mut lie = Lie::of(&ledger(), &entries);
    lie.claimed_entries = Some(entries[..31].to_vec());
    lie.must_be_refused_with(|draft| {
        (draft.segments[0].len, draft.entries[0]) = (31, 31);
        (row(draft, JOURNAL, 30)[journal::END], row(draft, JOURNAL, 30)[journal::LAST]) =
            (KoalaBear::ONE, KoalaBear::ONE);
        let edge = row(draft, JOURNAL, 31);
        (edge[journal::END], edge[journal::LAST], edge[journal::LEVEL]) =
            (KoalaBear::ZERO, KoalaBear::ZERO, KoalaBear::ZERO);
    });
}

#[test]
fn a_slot_smuggled_into_an_unused_row() {
    Lie::of(&ledger(), &[entry(1, 2, 5)]).must_be_refused_with(|draft| {
        // Slot 1 is not in the table; an unused row stands in for it.
        row(draft, SLOTS, 0)[slots::REAL] = KoalaBear::ZERO;
        row(draft, SLOTS, 0)[slots::INDEX_INVERSE] = KoalaBear::ZERO;
    });
}

#[test]
fn an_index_that_is_another_s_too() {
    for alias in [1 + RETIRE_KEY, RETIRE_KEY, 0] {
        Lie::of(&ledger(), &[entry(1, 2, 5)]).must_be_refused_with(|draft| {
            use p3_field::Field;
            let index = KoalaBear::new(alias);
            row(draft, SLOTS, 0)[slots::INDEX] = index;
            row(draft, SLOTS, 0)[slots::INDEX_INVERSE] = index.try_inverse().unwrap_or_default();
            row(draft, JOURNAL, 0)[journal::FROM] = index;
        });
    }
}

#[test]
fn a_slot_of_the_outside() {
    // Slot 0 handed out like any other, so that what is retired stays.
    let ledger = ledger();
    let mut lie = Lie::of(&ledger, &[entry(1, 2, 5), entry(2, 0, 5)]);
    let outside = TouchedSlot { index: slot(0), old: None, new: Slot { balance: Amount::ZERO, ..account(99, 0) } };
    lie.witness.slots.insert(0, outside);
    lie.witness.nodes = nodes_beside(&ledger.keystone, vec![0, 1, 2]);
    lie.must_be_refused_with(|draft| {
        row(draft, JOURNAL, 1)[journal::TO_OUTSIDE] = KoalaBear::ZERO;
    });
}

#[test]
fn issues_and_retirements_that_no_flow_mentions() {
    Lie::of(&ledger(), &[entry(0, 2, 5)]).must_be_refused();
    Lie::of(&ledger(), &[entry(0, 2, 5)]).with_flow(4, 0).must_be_refused();
    Lie::of(&ledger(), &[entry(0, 2, 5)]).with_flow(6, 0).must_be_refused();
    Lie::of(&ledger(), &[entry(2, 0, 5)]).with_flow(0, 6).must_be_refused();
    // Both sums wrong by as much.
    Lie::of(&ledger(), &[entry(0, 2, 5), entry(2, 0, 3)]).with_flow(4, 2).must_be_refused();
    Lie::of(&ledger(), &[entry(0, 2, 5), entry(2, 0, 3)]).with_flow(2, 0).must_be_refused();
    // What is retired goes back to what may be issued.
    Lie::of(&ledger(), &[entry(2, 0, 3), entry(0, 2, 3)]).with_flow(0, 0).must_be_refused_with(|draft| {
        row(draft, JOURNAL, 0)[journal::TO_OUTSIDE] = KoalaBear::ZERO;
        row(draft, JOURNAL, 1)[journal::FROM_OUTSIDE] = KoalaBear::ZERO;
    });
}

#[test]
fn a_slot_handed_out_again() {
    // An occupied slot is passed off as an empty one, for a new owner.
    let mut lie = Lie::of(&ledger(), &[entry(1, 2, 5)]);
    lie.witness.slots[1] = TouchedSlot { old: None, new: account(77, 0), ..lie.witness.slots[1] };
    lie.must_be_refused();
    // A new slot that starts with something.
    Lie::of(&ledger(), &[entry(1, 21, 5)]).must_be_refused_with(|draft| {
        row(draft, SLOTS, 1)[slots::BEFORE] = KoalaBear::new(50);
        row(draft, SLOTS, 1)[slots::AFTER] = KoalaBear::new(55);
        row(draft, JOURNAL, 0)[journal::PAYEE] = KoalaBear::new(55);
    });
}

#[test]
fn a_slot_of_another_owner_kind_or_asset() {
    let changes: [fn(&mut Slot); 3] = [
        |slot| slot.owner.0[0] += KoalaBear::ONE,
        |slot| slot.kind = ghostplane_types::SlotKind::Stream,
        |slot| slot.asset = AssetId::ZMAN,
    ];
    for change in changes {
        let mut lie = Lie::of(&ledger(), &[entry(1, 2, 5)]);
        change(&mut lie.witness.slots[1].new);
        lie.must_be_refused();
    }
    // An entry between two assets, each of its slots as it is.
    let mana = Slot { asset: AssetId::ZMAN, ..account(2, 10) };
    Lie::of(&Ledger::of(vec![account(1, 10), mana]), &[entry(1, 2, 5)]).must_be_refused();
}
