//! On real files.

use super::*;
use crate::scratch::Scratch;

#[test]
fn a_log_in_a_directory_opens_again_and_grows() {
    let scratch = Scratch::new("log-in-a-directory");
    let mut writer = Writer::new(31);
    let mut list = Vec::new();
    for round in 0..4 {
        let (mut log, recovery) = Log::open(scratch.path(), PLANE, OWNER.chain_id).unwrap();
        assert_eq!(recovery.end.frames, list.len() as u64);
        for group in [vec![writer.flush(2)], vec![writer.inbox(1), writer.flush(1)]] {
            let appended = log.append(&group).unwrap();
            assert_eq!(appended.first_frame, list.len() as u64);
            list.extend(group);
        }
        assert_eq!(frames(&log), list, "round {round}");
    }
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let scratch = Scratch::new("second-opener");
    let (log, _) = Log::open(scratch.path(), PLANE, OWNER.chain_id).unwrap();
    assert!(
        matches!(Log::open(scratch.path(), PLANE, OWNER.chain_id), Err(OpenError::Locked(path)) if path == scratch.path())
    );
    let refused = repair(scratch.path(), PLANE, OWNER.chain_id, Path::new("any"), 0);
    assert!(matches!(refused, Err(RepairError::Open(OpenError::Locked(_)))));
    // Opening it again lets nobody in between.
    let (log, _) = log.reopen().unwrap();
    let refused = Log::open(scratch.path(), PLANE, OWNER.chain_id);
    assert!(matches!(refused, Err(OpenError::Locked(path)) if path == scratch.path()));
    drop(log);
    Log::open(scratch.path(), PLANE, OWNER.chain_id).unwrap();
}

#[test]
fn a_disk_tells_how_much_fits() {
    let scratch = Scratch::new("free-bytes");
    assert!(free_bytes(scratch.path()).unwrap() > 0);
    let nowhere = free_bytes(&scratch.path().join("nowhere")).unwrap_err();
    assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
}

#[test]
fn segments_roll_are_cut_and_repaired_on_real_files() {
    let scratch = Scratch::new("real-files");
    let segments = scratch.path().join("log");
    std::fs::create_dir(&segments).unwrap();
    let open = || Log::open_on(Arc::new(Directory::new(&segments)), OWNER, 400, None);
    let mut writer = Writer::new(32);
    let list: Vec<Frame> = (0..9).map(|_| writer.flush(3)).collect();
    let (mut log, _) = open().unwrap();
    for frame in &list {
        log.append(std::slice::from_ref(frame)).unwrap();
    }
    assert!(log.segments.len() > 3);
    let newest = segments.join(log.newest());
    drop(log);

    let whole = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &whole[..whole.len() - 1]).unwrap();
    let (log, recovery) = open().unwrap();
    assert_eq!(recovery.cut_off.map(|cut_off| cut_off.path), Some(newest.clone()));
    assert_eq!(frames(&log), list[..8]);
    drop(log);

    let first = segments.join(segment::name(0));
    let mut bytes = std::fs::read(&first).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let Err(OpenError::Corrupt(corrupt)) = open() else { panic!("damage is found") };
    for derived in ["history", "checkpoint"] {
        std::fs::create_dir(scratch.path().join(derived)).unwrap();
    }
    let examined = examine(scratch.path(), PLANE, OWNER.chain_id).unwrap().expect("damage is found");
    assert_eq!(examined.damage, corrupt);
    assert!(matches!(open(), Err(OpenError::Corrupt(still)) if still == corrupt), "looking changes nothing");
    let elsewhere = repair(scratch.path(), PLANE, OWNER.chain_id, &corrupt.path, corrupt.offset + 1);
    assert!(matches!(elsewhere, Err(RepairError::Elsewhere(_))));
    assert!(scratch.path().join("history").exists(), "nor does asking for another place");
    let repaired = repair(scratch.path(), PLANE, OWNER.chain_id, &corrupt.path, corrupt.offset).unwrap();
    assert!(repaired.kept.iter().all(|path| path.exists()) && repaired.kept.len() > 3);
    assert_eq!((repaired.bytes, repaired.kept.len()), (examined.bytes, examined.segments));
    for derived in ["history", "checkpoint"] {
        assert!(!scratch.path().join(derived).exists(), "{derived} may tell of what is gone");
    }
    assert_eq!(examine(scratch.path(), PLANE, OWNER.chain_id).unwrap(), None);
    let (mut log, recovery) = open().unwrap();
    assert_eq!(recovery.end, examined.keeps);
    let left = usize::try_from(recovery.end.frames).unwrap();
    for frame in &list[left..] {
        log.append(std::slice::from_ref(frame)).unwrap();
    }
    assert_eq!(frames(&log), list);
}
