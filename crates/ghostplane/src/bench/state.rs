//! The two state trees.

use super::Row;
use super::fixture::{SLOTS, bystander_object, bystander_objects, bystander_slots};
use super::measure::{HashRates, HashWork, Random, Samples, resident_bytes, seconds, wall_seconds};
use crate::local::Threads;
use crate::screen::Screen;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{Changeset, Keystone, ObjectChange, SlotChange, StateView as _};
use ghostplane_types::{AccountRecord, Amount, Decode as _, Encode as _, ObjectIndex, ObjectKey, SlotIndex};
use std::hint::black_box;

const HASHES: &str = "hashes alone";
const LOOKUPS: u32 = 200_000;
/// An odd number without a pattern: the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const PROOFS: u32 = 2_000;

pub(super) fn measure(screen: &Screen) -> anyhow::Result<Vec<Row>> {
    let bar = screen.progress("state", 12);
    let mut rates = HashRates::new();
    let mut random = Random(1);

    // First of all, while the process has given nothing back yet that the state could reuse.
    let before = resident_bytes();
    let mut state = Keystone::from_leaves(1, bystander_slots(), bystander_objects(), &Serial)?;
    let resident = resident_bytes() - before;
    let mut rows = memory_rows(&state, resident);
    bar.inc(1);

    rows.push(rebuild_row(&mut rates)?);
    bar.inc(1);

    let updates = [
        ("state/ledger-update", Kind::Slots, 10_000, 15),
        ("state/ledger-update-1k", Kind::Slots, 1_000, 31),
        ("state/ledger-update-100k", Kind::Slots, 100_000, 5),
        ("state/object-update", Kind::Objects, 10_000, 15),
        ("state/object-update-1k", Kind::Objects, 1_000, 31),
        ("state/object-update-100k", Kind::Objects, 100_000, 5),
        ("state/account-insert", Kind::NewAccounts, 10_000, 9),
    ];
    rows.extend(lookup_rows(&state, &mut random));
    rows.extend(proof_rows(&state, &mut random)?);
    bar.inc(1);
    for (name, kind, count, rounds) in updates {
        rows.push(update_row(&mut state, &mut random, &mut rates, (name, kind, count, rounds))?);
        bar.inc(1);
    }
    bar.finish("");
    Ok(rows)
}

/// What a state of [`SLOTS`] registered accounts takes.
fn memory_rows(state: &Keystone, resident: f64) -> Vec<Row> {
    let value_bytes: usize =
        (1..SLOTS).step_by(1 << 10).map(|slot| bystander_object(slot).1.map_or(0, |v| v.len())).sum();
    let value_bytes = value_bytes as f64 / f64::from(SLOTS >> 10);
    // A tree of 2n nodes each, owner, asset and balance, and key and record.
    let least = 2.0 * 2.0 * 32.0 + (32.0 + 4.0 + 8.0) + 32.0 + value_bytes;
    let per_account = |bytes: f64| bytes / f64::from(SLOTS);
    const CONTENT: &str = "nodes, slots, keys and records alone";
    vec![
        Row::cost("state/bytes-per-account", per_account(resident), "B", least, CONTENT),
        Row::cost("state/heap-bytes-per-account", per_account(state.heap_bytes() as f64), "B", least, CONTENT),
        Row::plain("state/record-bytes", value_bytes, "B"),
    ]
}

fn rebuild_row(rates: &mut HashRates) -> anyhow::Result<Row> {
    let slots: Vec<_> = bystander_slots().collect();
    let objects: Vec<_> = bystander_objects().collect();
    let values = objects.iter().map(|(_, value)| value.as_ref().map_or(0, Vec::len));
    let all = || (1..SLOTS).collect::<Vec<u32>>();
    let work = HashWork::slots(all()).plus(HashWork::objects(all(), values));
    let threads = Threads::new(2);
    let mut samples = Samples::default();
    for _ in 0..7 {
        rates.sample();
        let objects = objects.iter().map(|(key, value)| (*key, value.as_deref()));
        let (seconds, state) = wall_seconds(|| Keystone::from_leaves(1, slots.iter().copied(), objects, &threads));
        state?;
        samples.push(1e3 * seconds);
    }
    let limit = 1e3 * rates.seconds(&work) / 2.0;
    Ok(Row::cost("state/rebuild-2e20", samples.median(), "ms", limit, "hashes alone on two cores"))
}

/// What an update row changes.
#[derive(Clone, Copy)]
enum Kind {
    /// Balances of slots drawn from all.
    Slots,
    /// Account records drawn from all.
    Objects,
    /// New accounts: a slot and a record each.
    NewAccounts,
}

fn update_row(
    state: &mut Keystone,
    random: &mut Random,
    rates: &mut HashRates,
    (name, kind, count, rounds): (&'static str, Kind, usize, usize),
) -> anyhow::Result<Row> {
    let mut samples = Samples::default();
    let mut works = Vec::new();
    for _ in 0..rounds {
        let changes = kind.changes(state, random, count)?;
        rates.sample();
        let (seconds, applied) = seconds(|| state.apply(&changes, &Serial));
        applied?;
        samples.push(count as f64 / seconds);
        works.push(changed_hashes(state, &changes)?);
    }
    let limit = count as f64 * works.len() as f64 / works.iter().map(|work| rates.seconds(work)).sum::<f64>();
    let unit = if matches!(kind, Kind::NewAccounts) { "accounts/s" } else { "updates/s" };
    let limit_name = match kind {
        Kind::Slots => "packed permutations/s / permutations per update",
        Kind::Objects => "64-byte blocks/s / blocks per update",
        Kind::NewAccounts => HASHES,
    };
    Ok(Row::rate(name, samples.median(), unit, limit, limit_name))
}

/// The hashes that follow from `changes`, which have been applied to `state`.
pub(super) fn changed_hashes(state: &Keystone, changes: &Changeset) -> anyhow::Result<HashWork> {
    let slots = changes.slots().iter().map(|change| change.index.index()).collect();
    let mut objects = Vec::with_capacity(changes.objects().len());
    for change in changes.objects() {
        objects.extend(state.object_index(&change.key)?.map(ObjectIndex::index));
    }
    let values = changes.objects().iter().map(|change| change.new.as_ref().map_or(0, |value| value.len()));
    // Without objects the tree's root stays, and so on for slots: no leaves, no nodes.
    Ok(HashWork::slots(slots).plus(HashWork::objects(objects, values)))
}

impl Kind {
    fn changes(self, state: &Keystone, random: &mut Random, count: usize) -> anyhow::Result<Changeset> {
        let mut slots = Vec::new();
        let mut objects = Vec::new();
        match self {
            Self::Slots => {
                for at in random.distinct(count, 1..SLOTS) {
                    let index = SlotIndex::new(at).expect("a slot of the plane");
                    let old = state.slot(index)?;
                    let mut new = old.expect("every slot is in use");
                    new.balance = Amount::new(new.balance.units() + 1).expect("far below the largest amount");
                    slots.push(SlotChange { index, old, new });
                }
            }
            Self::Objects => {
                for at in random.distinct(count, 1..SLOTS) {
                    let index = ObjectIndex::new(at).expect("an object of the plane");
                    let (key, old) = state.object_at(index)?.expect("every object is in use");
                    let mut record = AccountRecord::from_bytes(old)?;
                    record.advance_lane(0);
                    objects.push(ObjectChange { key, old: Some(old.into()), new: Some(record.to_bytes().into()) });
                }
            }
            Self::NewAccounts => {
                let first = state.roots().slots_used;
                for at in first..first + count as u32 {
                    let (key, value) = bystander_object(at);
                    let old = state.slot(SlotIndex::new(1).expect("small"))?;
                    let index = SlotIndex::new(at).expect("far below 2^30");
                    slots.push(SlotChange { index, old: None, new: old.expect("the first slot is in use") });
                    objects.push(ObjectChange { key, old: None, new: value.map(Vec::into_boxed_slice) });
                }
            }
        }
        slots.sort_unstable_by_key(|change| change.index);
        objects.sort_unstable_by_key(|change| change.key);
        Ok(Changeset::new(slots, objects)?)
    }
}

fn lookup_rows(state: &Keystone, random: &mut Random) -> Vec<Row> {
    let keys: Vec<ObjectKey> = (1..SLOTS).map(|slot| bystander_object(slot).0).collect();
    let chase: Vec<[u64; 16]> = (0..SLOTS).map(|_| std::array::from_fn(|_| random.next())).collect();
    let mut found = Samples::default();
    let mut least = Samples::default();
    for _ in 0..7 {
        // Each look decides where the next one goes, so that none hides behind another; the step keeps it off a cycle.
        let start = random.below(keys.len());
        let next = |word: u64, step: u32| {
            (word.wrapping_add(u64::from(step)).wrapping_mul(SPREAD) >> 40) as usize % keys.len()
        };
        let (spent, _) = seconds(|| {
            (0..LOOKUPS).fold(start, |at, step| {
                let object = state.object(&keys[at]).ok().flatten().expect("every key is in use");
                next(u64::from(object.index.index()) << 32 | u64::from(object.value[3]), step)
            })
        });
        found.push(1e9 * spent / f64::from(LOOKUPS));
        let (spent, end) = seconds(|| {
            (0..LOOKUPS).fold(start, |at, step| {
                // The list of keys, the directory, the leaf.
                let key = u64::from(keys[at].as_bytes()[31]);
                let place = next(chase[at % chase.len()][0] ^ key, step);
                next(chase[place][1], step)
            })
        });
        black_box(end);
        least.push(1e9 * spent / f64::from(LOOKUPS));
    }
    const READS: &str = "three dependent reads at random places";
    vec![Row::cost("state/lookup", found.median(), "ns", least.median(), READS)]
}

fn proof_rows(state: &Keystone, random: &mut Random) -> anyhow::Result<Vec<Row>> {
    let places: Vec<u32> = random.distinct(PROOFS as usize, 1..SLOTS);
    let slots: Vec<SlotIndex> = places.iter().filter_map(|&at| SlotIndex::new(at)).collect();
    let keys: Vec<ObjectKey> = places.iter().map(|&at| bystander_object(at).0).collect();
    let (mut slot, mut object, mut check) = (Samples::default(), Samples::default(), Samples::default());
    let micros = |spent: f64| 1e6 * spent / f64::from(PROOFS);
    for _ in 0..5 {
        let (spent, proofs) = seconds(|| slots.iter().map(|index| state.prove_slot(*index)).collect::<Vec<_>>());
        slot.push(micros(spent));
        let roots = state.roots();
        let (spent, checked) = seconds(|| proofs.iter().all(|proof| proof.verify(&roots).is_ok()));
        anyhow::ensure!(checked, "a slot proof does not verify");
        check.push(micros(spent));
        let (spent, _) = seconds(|| keys.iter().map(|key| state.prove_object(key)).collect::<Vec<_>>());
        object.push(micros(spent));
    }
    let slot_bytes = state.prove_slot(slots[0]).to_bytes().len() as f64;
    let object_bytes = state.prove_object(&keys[0]).to_bytes().len() as f64;
    // One node beside the way at each of the 20 levels that are in use.
    let least = 20.0 * 32.0;
    Ok(vec![
        Row::plain("state/proof", slot.median(), "us"),
        Row::plain("state/proof-object", object.median(), "us"),
        Row::plain("state/proof-verify", check.median(), "us"),
        Row::cost("state/proof-bytes", slot_bytes, "B", least, "20 nodes"),
        Row::cost("state/proof-object-bytes", object_bytes, "B", least, "20 nodes"),
    ])
}
