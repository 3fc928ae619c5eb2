//! Runs of the simulated world.

use crate::fixture::{Desk, FOUNDED, Person, Wish, included, submission, verify};
use crate::simulator::{PEOPLE, Weather, World};
use ghostplane_ghostcipher::Digest;
use ghostplane_sequencer::{Event, Execution, Limits, Refusal};
use ghostplane_types::limits::BATCH_BYTES_MAX;
use std::collections::BTreeMap;

/// So small that everything is hit.
const TIGHT: Limits = Limits {
    pool_transactions_max: 40,
    pool_bytes_max: 20_000,
    sender_transactions_max: 8,
    early_ms_max: 5_000,
    executing_max: 6,
    flush_transactions_max: 9,
    flush_bytes_max: 16 * 1024,
    inbox_entries_max: 5,
    inbox_bytes_max: 16 * 1024,
    unsealed_batches_max: 2,
    uncommitted_batches_max: 5,
    uncommitted_bytes_max: 2 * BATCH_BYTES_MAX as u64,
};

const FAIR: Weather =
    Weather { submissions: 4, clock_jumps: false, disk_fills: false, reverts: false, refusals: false };
const STORM: Weather = Weather { submissions: 12, clock_jumps: true, disk_fills: true, reverts: true, refusals: true };

/// What a run came to: the digest of all effects, how many were acknowledged, and refusals by kind.
fn run(seed: u64, limits: Limits, weather: Weather, turns: usize) -> (Digest, u64, BTreeMap<&'static str, u64>) {
    let mut world = World::new(seed, limits, weather);
    (0..turns).for_each(|_| world.turn());
    world.finish();
    (world.digest, world.acknowledged, world.refused)
}

#[test]
fn every_promise_holds_in_fair_weather() {
    for seed in 0..12 {
        let (_, acknowledged, refused) = run(seed, Limits::default(), FAIR, 1_500);
        assert!(acknowledged > 300, "seed {seed}: {acknowledged} {refused:?}");
        assert!(!refused.contains_key("busy"), "seed {seed}: {refused:?}");
    }
}

#[test]
fn every_promise_holds_in_a_storm() {
    let mut all: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut acknowledged = 0;
    for seed in 0..60 {
        let (_, done, refused) = run(1_000 + seed, TIGHT, STORM, 1_500);
        acknowledged += done;
        refused.into_iter().for_each(|(why, count)| *all.entry(why).or_default() += count);
    }
    assert!(acknowledged > 5_000, "{acknowledged} {all:?}");
    for why in ["reject", "busy", "disk full", "underpriced", "known", "replaced", "evicted", "reverted"] {
        assert!(all.contains_key(why), "no {why} in {all:?}");
    }
}

#[test]
fn each_kind_of_weather_holds_alone() {
    let kinds = [
        Weather { clock_jumps: true, ..FAIR },
        Weather { disk_fills: true, ..FAIR },
        Weather { reverts: true, ..FAIR },
        Weather { refusals: true, ..FAIR },
        Weather { submissions: 100, ..FAIR },
    ];
    for (seed, weather) in (0..).zip(kinds) {
        for limits in [TIGHT, Limits::default()] {
            let (_, acknowledged, refused) = run(50 + seed, limits, weather, 1_200);
            assert!(acknowledged > 100, "kind {seed}: {acknowledged} {refused:?}");
        }
    }
}

#[test]
fn one_seed_gives_one_history() {
    for seed in [3, 4] {
        let first = run(seed, TIGHT, STORM, 800);
        assert_eq!(first, run(seed, TIGHT, STORM, 800));
        assert_ne!(first.0, run(seed + 100, TIGHT, STORM, 800).0);
    }
}

#[test]
fn ten_times_too_much_changes_nothing_but_the_answers() {
    // The executor takes ten transactions a round; the crowd offers five, or a hundred at rising and falling prices.
    let goodput = |offered: usize| {
        let limits = Limits { pool_transactions_max: 200, executing_max: 10, ..Limits::default() };
        let mut desk = Desk::new(limits);
        let mut ticket = 0;
        let mut executed = 0;
        for round in 0..40 {
            let signed = (0..offered as u64).map(|number| {
                let price = 1 + (number * 7 + round) % 13;
                Person::new(10_000 + round * 1_000 + number).sign(&Wish { gas_limit: 10_000, ..Wish::new(0, price) })
            });
            let submissions = verify(signed.collect()).into_iter().map(|verified| {
                ticket += 1;
                submission(ticket, verified, 0)
            });
            let submissions = submissions.collect();
            desk.step(Event::Submitted(submissions));
            executed += desk.executing.len();
            desk.executed(included);
            desk.durable();
            assert!(desk.sequencer.status().pool_transactions <= 200);
        }
        (executed, desk.refused)
    };
    let (peak, refused) = goodput(10);
    assert!(refused.is_empty());
    let (flooded, refused) = goodput(100);
    assert!(flooded * 100 >= peak * 95, "{flooded} of {peak}");
    assert!(refused.iter().all(|(_, why)| matches!(why, Refusal::Busy { .. } | Refusal::Evicted)));
}

#[test]
fn a_week_of_batches_does_not_drift() {
    const WEEK_MS: u64 = 7 * 24 * 3_600 * 1_000;
    const STEP_MS: u64 = 150_000;
    let people: Vec<Person> = (0..PEOPLE as u64).map(Person::new).collect();
    let steps = WEEK_MS / STEP_MS;
    let signed = (0..steps).map(|step| {
        let person = &people[usize::try_from(step).expect("small") % PEOPLE];
        person.sign(&Wish::new(step / PEOPLE as u64, 1))
    });
    let mut desk = Desk::new(Limits::default());
    for (step, verified) in (0..steps).zip(verify(signed.collect())) {
        desk.now = FOUNDED + step * STEP_MS;
        desk.l1_block(desk.now, Vec::new());
        let next = step / PEOPLE as u64;
        desk.step(Event::Submitted(vec![submission(step, verified, next)]));
        assert_eq!(desk.opened.last().map(|opening| opening.time), Some(desk.now), "step {step}");
        desk.executed(|verified| Execution::Included { outcome: crate::fixture::applied(verified), posted_bytes: 90 });
        desk.durable();
        let at_ms = desk.timer.expect("the batch is due in fifty milliseconds");
        assert_eq!(at_ms, desk.now + 50, "step {step}");
        desk.wait(50);
        desk.durable();
        desk.seal(usize::try_from(step).expect("small"));
        desk.step(Event::Committed { generation: 0, number: step + 1 });
    }
    let last = desk.cuts.last().expect("thousands of batches");
    assert_eq!((last.opening.number, last.log_upto), (steps, steps));
    assert_eq!(last.opening.time, FOUNDED + (steps - 1) * STEP_MS);
    let status = desk.sequencer.status();
    assert_eq!((status.pool_transactions, status.senders, status.uncommitted_bytes), (0, 0, 0));
    assert!(desk.refused.is_empty() && desk.acknowledged.len() as u64 == steps);
}
