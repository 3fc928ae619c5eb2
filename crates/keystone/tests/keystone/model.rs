//! A state as plain maps with roots computed by recursion, and seeded batches for it.

use ghostplane_ghostcipher::node::{TreeKey, pair};
use ghostplane_ghostcipher::poseidon2::{FieldTag, KoalaBear, compress, reduce_wide};
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, Domain, FieldDigest};
use ghostplane_keystone::{Changeset, ObjectChange, SlotChange};
use ghostplane_types::{
    Amount, AssetId, ObjectClass, ObjectIndex, ObjectKey, Roots, Slot, SlotIndex, SlotKind, TREE_DEPTH,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The splitmix64 generator.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn bytes(&mut self, len: usize) -> Box<[u8]> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// Threads that take the jobs as they come.
pub struct Threads(pub usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    loop {
                        match next.fetch_add(1, Ordering::Relaxed) {
                            index if index < jobs => job(index),
                            _ => break,
                        }
                    }
                });
            }
        });
    }
}

/// A state, plainly.
#[derive(Clone, Default)]
pub struct Model {
    /// From slot 1.
    pub slots: Vec<Slot>,
    /// Every key that ever had an object: its position and value.
    pub objects: BTreeMap<ObjectKey, (u32, Option<Box<[u8]>>)>,
}

pub fn slot_index(index: usize) -> SlotIndex {
    SlotIndex::new(u32::try_from(index).unwrap()).unwrap()
}

pub fn object_index(index: u32) -> ObjectIndex {
    ObjectIndex::new(index).unwrap()
}

/// Lengths on both sides of every boundary: hash blocks, inline cell, opaque values.
const LENGTHS: [usize; 18] = [0, 1, 32, 33, 59, 60, 61, 80, 80, 80, 87, 88, 123, 124, 125, 200, 1000, 5000];

impl Model {
    pub fn apply(&mut self, changes: &Changeset) {
        for change in changes.slots() {
            let at = change.index.index() as usize - 1;
            self.slots.resize(self.slots.len().max(at + 1), change.new);
            self.slots[at] = change.new;
        }
        for change in changes.objects() {
            let index = match self.objects.get(&change.key) {
                Some((index, _)) => *index,
                None => u32::try_from(self.objects.len() + 1).unwrap(),
            };
            self.objects.insert(change.key, (index, change.new.clone()));
        }
    }

    /// The leaves in the order of their positions, as a checkpoint lists them.
    pub fn leaves(&self) -> Vec<(ObjectKey, Option<Box<[u8]>>)> {
        let mut leaves: Vec<_> =
            self.objects.iter().map(|(key, (index, value))| (*index, *key, value.clone())).collect();
        leaves.sort_by_key(|leaf| leaf.0);
        leaves.into_iter().map(|(_, key, value)| (key, value)).collect()
    }

    pub fn roots(&self) -> Roots {
        let slots: Vec<FieldDigest> =
            std::iter::once(FieldDigest::EMPTY).chain(self.slots.iter().map(naive_slot)).collect();
        let mut leaves = vec![Digest::ZERO; self.objects.len() + 1];
        let all: Vec<(&ObjectKey, u32, Option<&[u8]>)> = std::iter::once((&ObjectKey::SENTINEL, 0, None))
            .chain(self.objects.iter().map(|(key, (index, value))| (key, *index, value.as_deref())))
            .collect();
        for (at, (key, index, value)) in all.iter().enumerate() {
            let next = all.get(at + 1).map_or(&ObjectKey::SENTINEL, |next| next.0);
            leaves[*index as usize] = naive_leaf(key, *value, next);
        }
        let node_key = TreeKey::new(Domain::ObjectNode);
        Roots {
            ledger_root: naive_root(&slots, TREE_DEPTH, FieldDigest::EMPTY, &|left, right| compress(left, right)),
            object_root: naive_root(&leaves, TREE_DEPTH, Digest::ZERO, &|left, right| pair(&node_key, left, right)),
            slots_used: u32::try_from(slots.len()).unwrap(),
            objects_used: u32::try_from(leaves.len()).unwrap(),
        }
    }
}

fn naive_root<D: Copy>(leaves: &[D], depth: usize, empty: D, hash: &impl Fn(&D, &D) -> D) -> D {
    if leaves.is_empty() {
        return (0..depth).fold(empty, |node, _| hash(&node, &node));
    }
    if depth == 0 {
        return leaves[0];
    }
    let (left, right) = leaves.split_at(leaves.len().min(1 << (depth - 1)));
    hash(&naive_root(left, depth - 1, empty, hash), &naive_root(right, depth - 1, empty, hash))
}

fn naive_slot(slot: &Slot) -> FieldDigest {
    let units = slot.balance.units();
    let limb = |at: u32| KoalaBear::new(u32::try_from(units >> (16 * at) & 0xffff).unwrap());
    let right = [
        KoalaBear::new(slot.kind as u32),
        KoalaBear::new(slot.asset.number()),
        limb(0),
        limb(1),
        limb(2),
        limb(3),
        KoalaBear::new(0),
        KoalaBear::new(FieldTag::Slot as u32),
    ];
    compress(&slot.owner, &FieldDigest(right))
}

fn naive_leaf(key: &ObjectKey, value: Option<&[u8]>, next: &ObjectKey) -> Digest {
    let keyed = |domain, bytes: &[u8]| *blake3::keyed_hash(TreeKey::new(domain).as_bytes(), bytes).as_bytes();
    let value_digest = value.map_or([0; 32], |value| {
        let mut bytes = u32::try_from(value.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(value);
        while bytes.len() % 64 != 0 {
            bytes.push(0);
        }
        keyed(Domain::ObjectValue, &bytes)
    });
    Digest(keyed(Domain::ObjectLeaf, &[*key.as_bytes(), value_digest, *next.as_bytes(), [0; 32]].concat()))
}

/// How many of what a batch does.
#[derive(Clone, Copy)]
pub struct Batch {
    pub slots: usize,
    pub new_slots: usize,
    pub objects: usize,
    pub new_objects: usize,
}

pub const SMALL: Batch = Batch { slots: 4, new_slots: 3, objects: 5, new_objects: 4 };

pub fn random_slot(random: &mut Random) -> Slot {
    let mut owner = [0; 64];
    owner.copy_from_slice(&random.bytes(64));
    Slot {
        kind: if random.one_in(4) { SlotKind::Stream } else { SlotKind::Account },
        owner: reduce_wide(&owner),
        asset: AssetId::new(u32::try_from(random.below(1 << 30)).unwrap()).unwrap(),
        balance: Amount::new(random.next() >> 1).unwrap(),
    }
}

fn random_value(random: &mut Random) -> Box<[u8]> {
    let len = LENGTHS[random.below(LENGTHS.len())];
    random.bytes(len)
}

/// Keys anywhere, among an owner's, or crowded right behind an existing one.
fn random_key(random: &mut Random, model: &Model) -> ObjectKey {
    if model.objects.is_empty() || random.one_in(3) {
        let owner = u32::try_from(random.below(5)).unwrap();
        return ObjectKey::new(ObjectClass::Storage, owner, &random.next().to_le_bytes());
    }
    let (near, _) = model.objects.iter().nth(random.below(model.objects.len())).unwrap();
    let mut bytes = *near.as_bytes();
    let tail = u64::from_be_bytes(bytes[24..].try_into().unwrap());
    bytes[24..].copy_from_slice(&tail.wrapping_add(1 + random.next() % 8).to_be_bytes());
    ObjectKey::from_bytes(bytes)
}

/// A batch that fits the model: updates, removals, returns of removed objects, new ones alone and in crowds.
pub fn random_changes(random: &mut Random, model: &Model, batch: Batch) -> Changeset {
    let mut slots = BTreeMap::new();
    for _ in 0..batch.slots.min(model.slots.len()) {
        let at = random.below(model.slots.len());
        let old = model.slots[at];
        let mut new = Slot { balance: Amount::new(random.next() >> 1).unwrap(), ..old };
        if old.kind == SlotKind::Stream {
            new.owner = random_slot(random).owner;
        }
        slots.insert(at + 1, SlotChange { index: slot_index(at + 1), old: Some(old), new });
    }
    for at in 0..batch.new_slots {
        let index = model.slots.len() + 1 + at;
        slots.insert(index, SlotChange { index: slot_index(index), old: None, new: random_slot(random) });
    }
    let mut objects = BTreeMap::new();
    for _ in 0..batch.objects.min(model.objects.len()) {
        let (key, (_, old)) = model.objects.iter().nth(random.below(model.objects.len())).unwrap();
        let remove = old.is_some() && random.one_in(3);
        let new = if remove { None } else { Some(random_value(random)) };
        objects.insert(*key, ObjectChange { key: *key, old: old.clone(), new });
    }
    for _ in 0..batch.new_objects {
        let key = random_key(random, model);
        if !model.objects.contains_key(&key) {
            objects.insert(key, ObjectChange { key, old: None, new: Some(random_value(random)) });
        }
    }
    Changeset::new(slots.into_values().collect(), objects.into_values().collect()).unwrap()
}
