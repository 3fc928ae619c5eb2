//! Checkpoints against the state they are of.

use super::*;
use crate::scratch::Scratch;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{Changeset, ObjectChange, SlotChange};
use ghostplane_types::{Address, Amount, AssetId, PlaneState, SlotIndex, SlotKind};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const PLANE: Digest = Digest([9; 32]);

/// A state that changes at random, and what a checkpoint of it needs.
struct World {
    keystone: Keystone,
    headers: Vec<BatchHeader>,
    changes: Vec<Changeset>,
    rng: ChaCha8Rng,
}

impl World {
    fn new(seed: u64) -> Self {
        let keystone = Keystone::new(seed);
        let state =
            PlaneState { number: 0, time: 0, roots: keystone.roots(), inbox_upto: 0, log_upto: 0, outbox_upto: 0 };
        let headers = vec![BatchHeader::genesis(&state)];
        Self { keystone, headers, changes: Vec::new(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn header(&self) -> &BatchHeader {
        self.headers.last().expect("genesis is always there")
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.rng.next_u32() % limit
    }

    /// Applies a batch: some slots and objects change, some come, some objects go and come back.
    fn batch(&mut self, changed: &mut Changed) {
        let used = self.header().slots_used;
        let mut slots = Vec::new();
        for index in 1..used + 3 {
            let old = self.keystone.slot(SlotIndex::new(index).unwrap()).unwrap();
            if old.is_none() || self.below(4) == 0 {
                let owner = old.map_or_else(|| Address::system(1337, "owner").owner_digest(), |old| old.owner);
                let balance = Amount::new(u64::from(self.rng.next_u32())).unwrap();
                let new = Slot { kind: SlotKind::Account, owner, asset: AssetId::GCC, balance };
                slots.push(SlotChange { index: SlotIndex::new(index).unwrap(), old, new });
            }
        }
        let mut objects = Vec::new();
        for number in 1..=60u8 {
            if self.below(6) > 0 {
                continue;
            }
            let key = ObjectKey::from_bytes([number; 32]);
            let old = self.keystone.object(&key).unwrap().map(|object| Box::from(object.value));
            let len = self.below(50) as usize;
            let new = (self.below(3) > 0).then(|| vec![number; len].into_boxed_slice());
            if old.is_some() || new.is_some() {
                objects.push(ObjectChange { key, old, new });
            }
        }
        let changes = Changeset::new(slots, objects).unwrap();
        let roots = self.keystone.apply(&changes, &Serial).unwrap();
        changed.apply(&changes, &self.keystone).unwrap();
        let last = *self.header();
        self.headers.push(BatchHeader {
            number: last.number + 1,
            ledger_root: roots.ledger_root,
            object_root: roots.object_root,
            slots_used: roots.slots_used,
            objects_used: roots.objects_used,
            ..last
        });
        self.changes.push(changes);
    }

    /// Takes the last batch back.
    fn revert(&mut self, changed: &mut Changed) {
        let changes = self.changes.pop().unwrap();
        self.headers.pop();
        let before = self.header().state().roots;
        self.keystone.revert(&changes, &before, &Serial).unwrap();
        changed.revert(&changes, &self.keystone).unwrap();
    }

    /// A log that ends with the last batch.
    fn log(&self) -> LogEnd {
        let header = self.header();
        LogEnd { generation: header.generation, batch: Some(*header), ..LogEnd::start() }
    }
}

fn open(scratch: &Scratch) -> Checkpoints {
    Checkpoints::open(scratch.path(), PLANE).unwrap()
}

fn same(built: &Keystone, world: &World) {
    assert_eq!(built.roots(), world.keystone.roots());
    for index in 0..built.roots().objects_used {
        let index = ghostplane_types::ObjectIndex::new(index).unwrap();
        assert_eq!(built.leaf_at(index), world.keystone.leaf_at(index));
    }
}

#[test]
fn what_was_written_is_built_again_through_reopening_growth_and_reverts() {
    let scratch = Scratch::new("checkpoint-round-trip");
    let mut world = World::new(1);
    let mut last = None;
    for round in 0..25 {
        let mut checkpoints = open(&scratch);
        let mut changed = Changed::since(last.as_ref());
        for _ in 0..=world.below(3) {
            world.batch(&mut changed);
        }
        if round % 3 == 2 {
            for _ in 0..=world.below(4) {
                world.revert(&mut changed);
            }
        }
        checkpoints.write(&world.log(), world.header(), changed).unwrap();
        last = Some(*world.header());
        if round % 2 == 0 {
            drop(checkpoints);
            checkpoints = open(&scratch);
        }
        let loaded = checkpoints.load(&world.log()).unwrap().unwrap();
        assert_eq!(loaded.header(), world.header());
        same(&loaded.build(7, &Serial).unwrap(), &world);
    }
}

#[test]
fn a_whole_state_replaces_whatever_is_there() {
    let scratch = Scratch::new("checkpoint-whole");
    let mut checkpoints = open(&scratch);
    assert!(checkpoints.load(&LogEnd::start()).unwrap().is_none());
    for seed in [1, 2] {
        let mut world = World::new(seed);
        for _ in 0..6 / seed {
            world.batch(&mut Changed::default());
        }
        let log = world.log();
        let all = Changed::all(&world.keystone);
        let leaves = world.header().slots_used + world.header().objects_used - 2;
        assert_eq!(all.len(), leaves as usize);
        checkpoints.write(&log, world.header(), all).unwrap();
        same(&checkpoints.load(&log).unwrap().unwrap().build(7, &Serial).unwrap(), &world);
    }
}

#[test]
fn a_checkpoint_ahead_of_the_log_is_neither_written_nor_used() {
    let scratch = Scratch::new("checkpoint-ahead");
    let mut checkpoints = open(&scratch);
    let mut world = World::new(3);
    let behind = world.log();
    let mut changed = Changed::since(None);
    world.batch(&mut changed);
    let ahead = |error| matches!(error, CheckpointError::NotInLog(NotInLog::Ahead { batch: 1, log: 0 }));
    assert!(ahead(checkpoints.write(&behind, world.header(), changed.clone()).unwrap_err()));
    assert!(checkpoints.header().unwrap().is_none());
    checkpoints.write(&world.log(), world.header(), changed).unwrap();
    assert!(ahead(checkpoints.load(&behind).unwrap_err()));

    let reverted = LogEnd { generation: 1, batch: Some(world.headers[0]), reverts: vec![(1, 0)], ..world.log() };
    let refused = checkpoints.load(&reverted).unwrap_err();
    assert!(matches!(refused, CheckpointError::NotInLog(NotInLog::Reverted { batch: 1, .. })), "{refused}");
}

#[test]
fn changes_since_another_batch_are_refused() {
    let scratch = Scratch::new("checkpoint-base");
    let mut checkpoints = open(&scratch);
    let mut world = World::new(4);
    let mut first = Changed::since(None);
    world.batch(&mut first);
    checkpoints.write(&world.log(), world.header(), first.clone()).unwrap();
    world.batch(&mut first);
    let refused = checkpoints.write(&world.log(), world.header(), first).unwrap_err();
    assert!(matches!(refused, CheckpointError::Base { found: None, expected: Some((1, 0)) }), "{refused}");
}

#[test]
fn damage_is_found_when_loading() {
    type Harm = fn(&Checkpoints, &World);
    let harms: [(&str, Harm); 7] = [
        ("another slot", |of, _| {
            of.slots.insert(3u32.to_be_bytes(), of.slots.get(2u32.to_be_bytes()).unwrap().unwrap()).unwrap()
        }),
        ("a slot too short", |of, _| of.slots.insert(3u32.to_be_bytes(), [0]).unwrap()),
        ("a slot missing", |of, _| of.slots.remove(3u32.to_be_bytes()).unwrap()),
        ("a slot too many", |of, world| {
            let slot = of.slots.get(2u32.to_be_bytes()).unwrap().unwrap();
            of.slots.insert(world.header().slots_used.to_be_bytes(), slot).unwrap();
        }),
        ("an object twice", |of, _| {
            of.objects.insert(3u32.to_be_bytes(), of.objects.get(2u32.to_be_bytes()).unwrap().unwrap()).unwrap()
        }),
        ("a marker cut short", |of, _| of.meta.insert(MARKER, [1, 0, 5]).unwrap()),
        ("a marker of another time", |of, world| {
            let mut marker = marker(&PLANE, world.header());
            marker[50] ^= 1;
            of.meta.insert(MARKER, marker).unwrap();
        }),
    ];
    for (name, harm) in harms {
        let scratch = Scratch::new("checkpoint-damage");
        let mut checkpoints = open(&scratch);
        let mut world = World::new(5);
        let mut changed = Changed::since(None);
        (0..4).for_each(|_| world.batch(&mut changed));
        checkpoints.write(&world.log(), world.header(), changed).unwrap();
        harm(&checkpoints, &world);
        let built = checkpoints.load(&world.log()).and_then(|loaded| loaded.unwrap().build(7, &Serial));
        assert!(matches!(built, Err(CheckpointError::Corrupt { .. })), "{name}: {:?}", built.map(|_| ()));
    }

    let scratch = Scratch::new("checkpoint-foreign");
    let mut checkpoints = open(&scratch);
    let mut world = World::new(6);
    let mut changed = Changed::since(None);
    world.batch(&mut changed);
    checkpoints.write(&world.log(), world.header(), changed).unwrap();
    drop(checkpoints);
    let foreign = Checkpoints::open(scratch.path(), Digest([8; 32])).unwrap().header();
    let plane = |what: &CheckpointDamage| *what == CheckpointDamage::Plane(PLANE);
    assert!(matches!(&foreign, Err(CheckpointError::Corrupt { what, .. }) if plane(what)), "{foreign:?}");
}

#[test]
fn a_second_opener_is_refused() {
    let scratch = Scratch::new("checkpoint-second-opener");
    let _checkpoints = open(&scratch);
    assert!(matches!(Checkpoints::open(scratch.path(), PLANE), Err(CheckpointError::Locked(_))));
}
