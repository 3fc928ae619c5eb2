use super::world::{GENESIS_MS, Scratch, World, config, deposit, gcc, on_l1, open, submit};
use crate::files::Files;
use crate::l1::{L1, ProduceError};
use crate::log::OpenError;
use crate::record::Damage;
use crate::refusal::L1Refusal;
use crate::run;
use ghostplane_settlement::Settlement;
use ghostplane_types::{AssetId, L1Address};
use std::path::PathBuf;

/// A life with everything that the log and its index keep: deposits, data, commitments, a conviction, finality, a claim.
/// `look` sees it after each of its steps.
fn live(world: &mut World, mut look: impl FnMut(&mut World)) {
    world.bond();
    look(world);
    world.deposit("alice", gcc(50)).deposit("bob", gcc(5));
    look(world);
    world.mine();
    look(world);
    world.mine();
    world.seal(Vec::new()).seal_something();
    world.commit();
    look(world);
    world.seal_something();
    // Data that waits for its commitment is kept over a restart as well.
    let mut data = world.commitment_run();
    let commit = data.pop().unwrap();
    world.send("operator", &data).unwrap();
    look(world);
    world.send("operator", &[commit]).unwrap();
    look(world);
    world.seal_something();
    world.kept[3].header.gas += 1;
    world.commit();
    look(world);
    world.challenge(4);
    look(world);
    world.next_generation();
    world.mine_until_final(2);
    look(world);
    let withdrawals = world.kept[1].withdrawals.clone();
    let claim = world.l1.claim(2, &withdrawals, 0).unwrap();
    world.send("bob", &[claim]).unwrap();
    look(world);
    world.mine_until_final(3);
    look(world);
}

#[test]
fn a_restart_anywhere_changes_nothing() {
    let mut world = World::new("restarts");
    live(&mut world, |world| {
        let before = world.answers(&world.l1);
        world.crash();
        assert_eq!(world.answers(&world.l1), before, "after a crash");
        world.l1.stop().unwrap();
        world.l1 = open(&world.config, world.dir.path(), Some(4096)).unwrap();
        assert_eq!(world.answers(&world.l1), before, "after a stop");
    });
    let snapshot = world.dir.file("snapshot");
    let before = world.answers(&world.l1);
    world.l1.stop().unwrap();
    std::fs::remove_file(&snapshot).unwrap();
    world.l1 = open(&world.config, world.dir.path(), Some(4096)).unwrap();
    assert_eq!(world.answers(&world.l1), before, "made again from the blocks alone");
}

/// The newest block file and its content.
fn newest(dir: &Scratch) -> (PathBuf, Vec<u8>) {
    let names = std::fs::read_dir(dir.file("")).unwrap().map(|entry| entry.unwrap().path());
    let path = names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("blocks-")).max().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

/// Two L1s with one block between them: the second has a deposit more.
fn with_a_last_block(name: &str) -> (World, Vec<String>, usize) {
    let mut world = World::new(name);
    world.bond().deposit("alice", gcc(1));
    let before = world.answers(&world.l1);
    let (_, shorter) = newest(&world.dir);
    world.deposit("bob", gcc(2));
    (world, before, shorter.len())
}

#[test]
fn a_block_that_was_cut_short_anywhere_never_was() {
    let (mut world, before, start) = with_a_last_block("torn");
    let after = world.answers(&world.l1);
    let copy = Scratch::new("torn-copy");
    let (path, whole) = newest(&world.dir);
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    world.dir.copy_to(&copy);
    // The snapshot after three blocks knows the last one; without it there is only the log.
    let _ = std::fs::remove_file(copy.file("snapshot"));
    for len in start..=whole.len() {
        let expected = if len == whole.len() { &after } else { &before };
        for zeros in [0, whole.len() - len] {
            let torn = [&whole[..len], &vec![0; zeros]].concat();
            std::fs::write(copy.file(&name), torn).unwrap();
            let l1 = open(&world.config, copy.path(), None).unwrap();
            assert_eq!(&world.answers(&l1), expected, "{len} bytes and {zeros} zeros");
        }
    }
    // And it goes on from there.
    std::fs::write(copy.file(&name), &whole[..whole.len() - 1]).unwrap();
    world.l1 = open(&world.config, copy.path(), None).unwrap();
    world.now -= 1_000;
    world.deposit("bob", gcc(2));
    assert_eq!(world.answers(&world.l1), after);
}

#[test]
fn a_flipped_bit_stops_the_start_and_says_where() {
    let (world, _, _) = with_a_last_block("flips");
    let copy = Scratch::new("flips-copy");
    world.dir.copy_to(&copy);
    let _ = std::fs::remove_file(copy.file("snapshot"));
    let (path, whole) = newest(&copy);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&path, &damaged).unwrap();
        match open(&world.config, copy.path(), None) {
            Err(OpenError::Damaged { path: found, offset, .. }) => {
                assert_eq!(found, path);
                assert!(usize::try_from(offset).unwrap() <= at, "byte {at}: {offset}");
            }
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "the damaged file is left as it is");
    }
}

#[test]
fn a_damaged_snapshot_says_the_way_out() {
    let (world, _, _) = with_a_last_block("snapshots");
    let answers = world.answers(&world.l1);
    world.l1.stop().unwrap();
    let path = world.dir.file("snapshot");
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let error = open(&world.config, world.dir.path(), None).unwrap_err();
        assert!(matches!(error, OpenError::Snapshot { .. }) && error.to_string().contains("remove the file"));
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(matches!(open(&world.config, world.dir.path(), None), Err(OpenError::Snapshot { .. })));
    }
    std::fs::remove_file(&path).unwrap();
    let l1 = open(&world.config, world.dir.path(), None).unwrap();
    assert_eq!(world.answers(&l1), answers);
}

#[test]
fn a_snapshot_with_less_log_than_it_knows_stops() {
    let (world, _, start) = with_a_last_block("short");
    world.l1.stop().unwrap();
    let (path, whole) = newest(&world.dir);
    std::fs::write(&path, &whole[..start]).unwrap();
    let error = open(&world.config, world.dir.path(), None).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { damage: Damage::Short, .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = open(&world.config, world.dir.path(), None).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { damage: Damage::Gap { .. }, .. }), "{error}");
}

/// Bonds and three deposits, each in a block, up to the first that fails. How many were answered.
fn a_small_life(l1: &L1, plane: &ghostplane_engine::Plane) -> (u64, Option<L1Refusal>) {
    for number in 0..8_u64 {
        let message = deposit("alice", gcc(1));
        let signed = run::sign_run(plane, &super::world::key("alice"), number, &[message]).unwrap();
        let answer = submit(l1, signed);
        let made = l1.produce_block(GENESIS_MS + 1_000 * number);
        match answer.try_recv().unwrap() {
            Ok(included) => assert_eq!(included.height, number + 1),
            Err(refused) => {
                assert!(matches!(made, Err(ProduceError::Write(_) | ProduceError::Failed)) || number > 0);
                return (number, Some(refused.refusal));
            }
        }
    }
    (8, None)
}

#[test]
fn a_disk_that_dies_at_any_write_loses_nothing_that_was_answered() {
    let calls = {
        let dir = Scratch::new("dies-count");
        let (plane, _, _, config) = config(dir.path());
        let files = Files::new(dir.path().join("l1"));
        let l1 = L1::open_on(files.clone(), config, Some(1024)).unwrap();
        assert_eq!(a_small_life(&l1, &plane), (8, None));
        l1.stop().unwrap();
        files.faults().calls()
    };
    assert!(calls > 30);
    for call in 0..calls {
        let dir = Scratch::new("dies");
        let (plane, _, _, config) = config(dir.path());
        let files = Files::new(dir.path().join("l1"));
        files.faults().die_at(call);
        let mut answered = 0;
        if let Ok(l1) = L1::open_on(files, config.clone(), Some(1024)) {
            let (count, refusal) = a_small_life(&l1, &plane);
            answered = count;
            assert!(refusal.is_none_or(|refusal| refusal == L1Refusal::Failed));
            if count < 8 {
                assert_eq!(l1.block().height, count, "readers see only what is durable");
                assert!(matches!(l1.produce_block(u64::MAX), Err(ProduceError::Failed)));
                let late = run::sign_run(&plane, &super::world::key("bob"), 0, &[deposit("bob", gcc(1))]).unwrap();
                assert_eq!(submit(&l1, late).try_recv().unwrap().unwrap_err().refusal, L1Refusal::Failed);
            }
            let _ = l1.stop();
        }
        let l1 = open(&config, dir.path(), Some(1024)).unwrap();
        let next = l1.account(&on_l1("alice")).next_sequence;
        // A block that was written and not answered may be there; an answered one must.
        assert!((answered..=answered + 1).contains(&next), "call {call}: {next} of {answered}");
        assert_eq!(l1.inbox_end(), next);
        let before = l1.block();
        let block = l1.produce_block(0).unwrap();
        assert!(block.height == before.height + 1 && block.time > before.time);
    }
}

#[test]
fn one_process_at_a_time_and_always_the_same_l1() {
    let world = World::new("locked");
    assert!(matches!(open(&world.config, world.dir.path(), None), Err(OpenError::InUse { .. })));
    world.l1.stop().unwrap();
    let mut other = world.config.clone();
    other.genesis.balances[0].2 += 1;
    assert!(matches!(open(&other, world.dir.path(), None), Err(OpenError::OtherGenesis { .. })));
    let mut shuffled = world.config.clone();
    shuffled.genesis.balances.reverse();
    assert!(open(&shuffled, world.dir.path(), None).is_ok(), "the order of balances says nothing");
}

#[test]
fn what_no_l1_can_start_from_is_refused() {
    let dir = Scratch::new("genesis");
    let (_, _, _, good) = config(dir.path());
    let account = L1Address([1; 32]);
    for balances in [
        vec![(account, AssetId::GCC, 1), (account, AssetId::GCC, 2)],
        vec![(account, AssetId::new(77).unwrap(), 1)],
        vec![(account, AssetId::GCC, u128::MAX), (L1Address([2; 32]), AssetId::GCC, 1)],
    ] {
        let mut bad = good.clone();
        bad.genesis.balances = balances;
        assert!(matches!(open(&bad, dir.path(), None), Err(OpenError::Genesis(_))));
    }
    let l1 = open(&good, dir.path(), None).unwrap();
    assert_eq!(l1.with_settlement(Settlement::block).height, 0);
}

#[test]
fn history_that_was_damaged_later_is_not_shown() {
    let mut world = World::new("history");
    world.bond().deposit("alice", gcc(50));
    world.mine();
    world.mine();
    world.seal(Vec::new()).seal_something();
    world.commit();
    world.l1.stop().unwrap();
    let posted = world.kept[1].posted.clone();
    let (path, mut bytes) = newest(&world.dir);
    let at = bytes.windows(posted.len()).position(|window| window == posted).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    world.l1 = open(&world.config, world.dir.path(), None).unwrap();
    assert!(world.l1.published(1).is_ok(), "what is whole is shown");
    let error = world.l1.published(2).unwrap_err();
    assert_eq!((&error.path, error.offset), (&path, at as u64));
}
