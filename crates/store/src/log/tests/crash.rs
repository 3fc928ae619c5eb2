//! Killed at every call, and started again.

use super::*;
use crate::disk::faulty::Survives;

/// Opens a log and appends until something fails. Returns how many groups were acknowledged.
fn run(disk: &Arc<Faulty>, groups: &[Vec<Frame>]) -> usize {
    let Ok((mut log, _)) = open(disk) else { return 0 };
    let acknowledged = groups.iter().take_while(|group| log.append(group).is_ok()).count();
    if acknowledged < groups.len() {
        let again = log.append(&groups[acknowledged]);
        assert!(matches!(again, Err(AppendError::Poisoned)), "a handle that failed stays failed: {again:?}");
    }
    acknowledged
}

/// Starts again on what is left: all that was acknowledged is there, nothing is half there, and the log goes on.
fn recover(disk: &Arc<Faulty>, groups: &[Vec<Frame>], acknowledged: usize) {
    let all = groups.concat();
    let (mut log, recovery) = open(disk).expect("what a crash leaves behind opens");
    let found = frames(&log);
    let whole = whole_groups(&found, groups);
    assert!(whole >= acknowledged, "{whole} of {acknowledged} acknowledged groups are there");
    assert!(whole <= acknowledged + 1, "only one group was under way");
    assert_eq!(recovery.end.frames, found.len() as u64);

    // The next groups need not be the same ones; here each remaining frame is its own.
    for frame in &all[found.len()..] {
        log.append(std::slice::from_ref(frame)).expect("the log goes on");
    }
    let (log, recovery) = open(disk).expect("and opens once more");
    assert_eq!(frames(&log), all);
    assert_eq!(recovery.cut_off, None);
}

fn ways_to_survive(unsynced: usize, step: usize) -> Vec<Survives> {
    let mut ways = vec![Survives::Synced, Survives::Written];
    for kept in (0..unsynced).step_by(step) {
        ways.extend([Survives::Torn(kept), Survives::Zeroed(kept)]);
    }
    ways
}

#[test]
fn killed_at_every_call_and_torn_at_every_byte_nothing_acknowledged_is_lost() {
    let groups = Writer::new(11).groups(14);
    let calls = {
        let disk = Faulty::new();
        assert_eq!(run(&disk, &groups), groups.len());
        assert!(disk.files().len() >= 3, "the log rolls");
        disk.calls()
    };
    for call in 0..calls {
        let disk = Faulty::new();
        disk.die_at(call);
        let acknowledged = run(&disk, &groups);
        for survives in ways_to_survive(disk.unsynced(), 1) {
            recover(&disk.after_crash(survives), &groups, acknowledged);
        }
    }
}

#[test]
fn killed_again_while_recovering() {
    let groups = Writer::new(12).groups(7);
    let calls = {
        let disk = Faulty::new();
        run(&disk, &groups);
        disk.calls()
    };
    for call in 0..calls {
        let first = Faulty::new();
        first.die_at(call);
        let acknowledged = run(&first, &groups);
        for survives in ways_to_survive(first.unsynced(), 41) {
            for second_call in 0..6 {
                let second = first.after_crash(survives);
                second.die_at(second_call);
                let found = run_rest(&second, &groups, acknowledged);
                for survives in ways_to_survive(second.unsynced(), 53) {
                    recover(&second.after_crash(survives), &groups, found);
                }
            }
        }
    }
}

/// Opens and goes on until something fails. Returns how many groups are sure to be there.
fn run_rest(disk: &Arc<Faulty>, groups: &[Vec<Frame>], acknowledged: usize) -> usize {
    let Ok((mut log, _)) = open(disk) else { return acknowledged };
    // What an opened log holds was made durable before it was told.
    let found = whole_groups(&frames(&log), groups);
    found + groups[found..].iter().take_while(|group| log.append(group).is_ok()).count()
}

#[test]
fn one_failed_call_ends_the_handle_and_what_it_refused_is_not_there() {
    let groups = Writer::new(13).groups(9);
    let calls = {
        let disk = Faulty::new();
        run(&disk, &groups);
        disk.calls()
    };
    for call in 0..calls {
        let disk = Faulty::new();
        disk.fail_at(call);
        let acknowledged = run(&disk, &groups);
        assert!(acknowledged < groups.len());
        // The disk works again, so that what had failed was taken back.
        let (log, _) = open(&disk).unwrap();
        assert_eq!(frames(&log), groups[..acknowledged].concat());
        drop(log);
        recover(&disk, &groups, acknowledged);
    }
}

#[test]
fn a_full_disk_is_told_and_the_log_goes_on_when_there_is_room() {
    let groups = Writer::new(14).groups(8);
    let bytes: usize = {
        let disk = Faulty::new();
        run(&disk, &groups);
        disk.files().values().map(Vec::len).sum()
    };
    for room in 0..bytes {
        let disk = Faulty::new();
        disk.set_room(Some(room));
        let mut acknowledged = 0;
        match open(&disk) {
            Err(refused) => assert!(matches!(refused, OpenError::NoSpace(_)), "{refused:?}"),
            Ok((mut log, _)) => {
                while let Ok(_appended) = log.append(&groups[acknowledged]) {
                    acknowledged += 1;
                }
                assert!(matches!(log.append(&groups[acknowledged]), Err(AppendError::Poisoned)));
            }
        }
        if acknowledged > 0 {
            // It opens without room, and still says what is wrong.
            disk.set_room(Some(0));
            let (mut log, recovery) = open(&disk).unwrap();
            assert_eq!(recovery.end.frames, groups[..acknowledged].concat().len() as u64);
            let refused = log.append(&groups[acknowledged]);
            assert!(matches!(refused, Err(AppendError::NoSpace(_))), "{refused:?}");
        }
        disk.set_room(None);
        recover(&disk, &groups, acknowledged);
    }
}

#[test]
fn a_handle_that_failed_opens_again_with_what_it_had_acknowledged() {
    let groups = Writer::new(15).groups(9);
    let calls = {
        let disk = Faulty::new();
        run(&disk, &groups);
        disk.calls()
    };
    let (mut reopened, mut refused) = (0, 0);
    for call in 0..calls {
        // The first failure poisons, the next ones meet the attempts to take back what it left.
        for failures in 1..6 {
            let disk = Faulty::new();
            disk.fail_during(call..call + failures);
            let Ok((mut log, _)) = open(&disk) else { continue };
            let Some(failed) = groups.iter().position(|group| log.append(group).is_err()) else { continue };
            let found = match log.reopen() {
                Ok((log, recovery)) => {
                    reopened += 1;
                    // Not even a group that is there whole: it failed to become durable.
                    let found = frames(&log);
                    assert_eq!(found, groups[..failed].concat(), "call {call}, {failures} failures");
                    assert_eq!(recovery.end, *log.end());
                    failed
                }
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error, OpenError::Disk { .. }), "{error:?}");
                    failed
                }
            };
            disk.fail_during(0..0);
            recover(&disk, &groups, found);
        }
    }
    assert!(reopened > 20 && refused > 20, "{reopened} opened again, {refused} not");

    let disk = Faulty::new();
    let (mut log, _) = open(&disk).unwrap();
    for (at, group) in groups.iter().enumerate() {
        disk.set_room(Some(9));
        assert!(matches!(log.append(group), Err(AppendError::NoSpace(_))));
        log = log.reopen().expect("opening again needs no room").0;
        assert_eq!(frames(&log), groups[..at].concat());
        disk.set_room(None);
        log.append(group).expect("there is room again");
    }
    assert_eq!(frames(&log), groups.concat());
}

#[test]
fn random_runs_with_crashes_agree_with_a_list() {
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut disk = Faulty::new();
        let mut model: Vec<Vec<Frame>> = Vec::new();
        let mut cuts_seed = seed;
        for _ in 0..6 {
            let (mut log, recovery) = open(&disk).unwrap();
            let found = frames(&log);
            // The model holds what was acknowledged, then perhaps a group that was under way: it is there whole or not at all.
            model.truncate(whole_groups(&found, &model));
            cuts_seed += 1000;
            let mut writer = Writer::from_end(&recovery.end, cuts_seed);
            disk.die_at(disk.calls() + usize::try_from(rng.next_u32() % 40).unwrap());
            let mut sure = model.len();
            for group in writer.groups_without_reverts(10) {
                let acknowledged = log.append(&group).is_ok();
                model.push(group);
                if !acknowledged {
                    break;
                }
                sure = model.len();
            }
            let kept = usize::try_from(rng.next_u32() % 300).unwrap();
            let ways = [Survives::Synced, Survives::Written, Survives::Torn(kept), Survives::Zeroed(kept)];
            disk = disk.after_crash(ways[usize::try_from(rng.next_u32() % 4).unwrap()]);
            let (log, _) = open(&disk).unwrap();
            assert!(whole_groups(&frames(&log), &model) >= sure, "seed {seed}");
        }
    }
}

impl Writer {
    /// As [`Writer::groups`], for a log whose earlier headers are not at hand.
    fn groups_without_reverts(&mut self, count: usize) -> Vec<Vec<Frame>> {
        let mut group = || match self.below(5) {
            0 => vec![self.inbox(2), self.mark(), self.mark()],
            1 => vec![self.flush(2), self.flush(1), self.mark()],
            2 if !self.end.unsealed.is_empty() => vec![self.flush(1), self.sealed(), self.mark()],
            _ => vec![self.flush(3)],
        };
        (0..count).map(|_| group()).collect()
    }
}
