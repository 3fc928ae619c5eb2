//! Proofs of single leaves, and the witness of a batch.

use super::{Keystone, object_index};
use crate::change::Changeset;
use crate::proof::{ObjectProof, ProofLeaf, SlotProof, digest_of};
use crate::record::Touched;
use crate::witness::{Witness, WitnessObject, WitnessValue};
use ghostplane_ghostcipher::FieldDigest;
use ghostplane_types::{ObjectIndex, ObjectKey, SlotIndex, TREE_DEPTH};

/// A value of at most this many bytes is carried even where its digest would do: it takes no more room.
const OPAQUE_ABOVE: usize = 32;

impl Keystone {
    /// Proves what is in a slot.
    pub fn prove_slot(&self, index: SlotIndex) -> SlotProof {
        let slot = self.slots.read(index.index());
        let siblings = if slot.is_some() { self.ledger_tree.path(index.index()) } else { Vec::new() };
        SlotProof { index, slot, siblings }
    }

    /// Proves what is under a key, or that nothing is.
    pub fn prove_object(&self, key: &ObjectKey) -> ObjectProof {
        let own = self.position(key);
        let at = own.unwrap_or_else(|| self.position_below(key));
        let (index, next) = (object_index(at), *self.objects.key(self.objects.next(at)));
        let leaf = match (own, self.objects.value(at)) {
            (Some(_), Some(value)) => ProofLeaf::Present { index, value: value.into(), next },
            (Some(_), None) => ProofLeaf::Removed { index, next },
            (None, value) => {
                ProofLeaf::Absent { index, low: *self.objects.key(at), value_digest: digest_of(value), next }
            }
        };
        ObjectProof { key: *key, leaf, siblings: self.object_tree.path(at) }
    }

    /// The node of the ledger tree that stands `height` levels above the leaves: what the conservation proof is made from.
    /// Where no slot has been handed out below it, it is the root of an empty tree of that height.
    ///
    /// # Panics
    /// If the tree has no such node: `height` is over 30, or `index` is not below `2^(30 - height)`.
    pub fn ledger_node(&self, height: usize, index: u32) -> FieldDigest {
        assert!(
            height <= TREE_DEPTH && u64::from(index) << height < 1 << TREE_DEPTH,
            "node {index} at height {height}"
        );
        self.ledger_tree.node(height, index)
    }

    /// The witness of a batch that is about to be applied: all that its execution touched and its changes need.
    pub fn witness(&self, touched: &Touched, changes: &Changeset) -> Witness {
        let slots = self.touched_slots(touched, changes);
        let appends_slots = !changes.slots_new().is_empty() && self.slots.used() < 1 << TREE_DEPTH;
        let mut known = slots.clone();
        known.extend(appends_slots.then_some(self.slots.used()));
        let ledger_nodes = self.ledger_tree.multiproof(known);
        let slots = slots.into_iter().map(|index| {
            let slot = self.slots.read(index).expect("touched_slots keeps to allocated ones");
            (SlotIndex::new(index).expect("allocated positions are below 2^30"), slot)
        });

        let mut leaves = TouchedLeaves { state: self, leaves: Vec::new(), appends: false };
        leaves.collect(touched, changes);
        let appends_objects = leaves.appends && self.objects.used() < 1 << TREE_DEPTH;
        let leaves = leaves.finish();
        let mut known: Vec<u32> = leaves.iter().map(|leaf| leaf.0).collect();
        known.extend(appends_objects.then_some(self.objects.used()));
        Witness {
            slots: slots.collect(),
            appends_slots,
            objects: leaves.iter().map(|&(index, needs_value)| self.witness_object(index, needs_value)).collect(),
            appends_objects,
            ledger_nodes,
            object_nodes: self.object_tree.multiproof(known),
        }
    }

    /// The allocated slots that were read or change, ascending.
    fn touched_slots(&self, touched: &Touched, changes: &Changeset) -> Vec<u32> {
        let changed = changes.slots().iter().map(|change| &change.index);
        let indices = touched.slots.iter().chain(changed).map(|index| index.index());
        let mut slots: Vec<u32> = indices.filter(|&index| index > 0 && index < self.slots.used()).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn witness_object(&self, index: u32, needs_value: bool) -> WitnessObject {
        let value = match self.objects.value(index) {
            None => WitnessValue::Removed,
            Some(value) if needs_value || value.len() <= OPAQUE_ABOVE => WitnessValue::Known(value.into()),
            value => WitnessValue::Opaque(digest_of(value)),
        };
        WitnessObject {
            index: object_index(index),
            key: *self.objects.key(index),
            value,
            next: *self.objects.key(self.objects.next(index)),
        }
    }
}

/// The object leaves that a witness carries.
struct TouchedLeaves<'a> {
    state: &'a Keystone,
    /// Positions, and whether the value is needed or just key and link.
    leaves: Vec<(u32, bool)>,
    /// Whether a key gets its first leaf.
    appends: bool,
}

impl TouchedLeaves<'_> {
    fn collect(&mut self, touched: &Touched, changes: &Changeset) {
        for key in &touched.objects {
            self.settle(key, true);
        }
        for key in &touched.located {
            self.settle(key, false);
        }
        for key in &touched.followed {
            let next = self.state.objects.next(self.settle(key, false));
            self.leaves.extend((next != 0).then_some((next, true)));
        }
        let allocated = |index: &&ObjectIndex| (1..self.state.objects.used()).contains(&index.index());
        self.leaves.extend(touched.positions.iter().filter(allocated).map(|index| (index.index(), true)));
        for change in changes.objects() {
            self.settle(&change.key, true);
            self.appends |= self.state.position(&change.key).is_none();
        }
    }

    /// Adds the leaf of `key`, or the one below that proves it absent, and returns its position.
    fn settle(&mut self, key: &ObjectKey, needs_value: bool) -> u32 {
        let own = if *key == ObjectKey::SENTINEL { Some(0) } else { self.state.position(key) };
        let leaf = match own {
            Some(own) => (own, needs_value),
            None => (self.state.position_below(key), false),
        };
        self.leaves.push(leaf);
        leaf.0
    }

    /// The leaves, ascending by position, each once.
    fn finish(mut self) -> Vec<(u32, bool)> {
        // Of two mentions the one that needs the value sorts first and stays.
        self.leaves.sort_unstable_by_key(|&(index, needs_value)| (index, !needs_value));
        self.leaves.dedup_by_key(|leaf| leaf.0);
        self.leaves
    }
}
