//! Bits that flip, files that go missing: found, or the business of the tail, never other content.

use super::*;
use crate::disk::faulty::Faulty;

/// The files of a log of several segments, and the groups in it.
fn small_log() -> (std::collections::BTreeMap<String, Vec<u8>>, Vec<Vec<Frame>>) {
    let (disk, groups) = written(21, 14);
    let files = disk.files();
    assert!(files.len() >= 3, "{} segments", files.len());
    (files, groups)
}

#[test]
fn every_flipped_bit_is_found() {
    let (files, _) = small_log();
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let disk = Faulty::with_files(&files);
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                disk.set(name, damaged);
                let opened = open(&disk);
                let Err(OpenError::Corrupt(corrupt)) = opened else {
                    panic!("{name}, byte {at}, bit {bit}: {opened:?}");
                };
                assert_eq!(corrupt.path, disk.path(name));
                assert!(corrupt.offset <= at as u64);
            }
        }
    }
}

#[test]
fn random_damage_never_gives_other_content() {
    let (files, groups) = small_log();
    let names: Vec<&String> = files.keys().collect();
    for seed in 0..5_000 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |limit: usize| usize::try_from(rng.next_u64() % limit as u64).unwrap();
        let name = names[below(names.len())];
        let mut bytes = files[name].clone();
        let (at, len) = (below(bytes.len()), 1 + below(40));
        let end = (at + len).min(bytes.len());
        match below(4) {
            0 => bytes[at..end].fill(0),
            1 => bytes[at..end].iter_mut().for_each(|byte| *byte = below(256).to_le_bytes()[0]),
            2 => drop(bytes.drain(at..end)),
            _ => bytes.extend((0..len).map(|_| below(256).to_le_bytes()[0])),
        }
        let disk = Faulty::with_files(&files);
        disk.set(name, bytes);
        // It may be found, or look like a tail that was cut short; it is never read as something else.
        if let Ok((log, _)) = open(&disk) {
            let found = frames(&log);
            whole_groups(&found, &groups);
        }
    }
}

#[test]
fn the_newest_segment_may_end_anywhere_and_no_other() {
    let (files, groups) = small_log();
    let newest = files.keys().next_back().unwrap();
    for (name, bytes) in &files {
        for len in 0..bytes.len() {
            for zeros in [0, bytes.len() - len] {
                let disk = Faulty::with_files(&files);
                disk.set(name, [&bytes[..len], &vec![0; zeros]].concat());
                match open(&disk) {
                    Ok((log, recovery)) => {
                        assert!(name == newest, "{name} cut at {len} with {zeros} zeros opens");
                        let found = frames(&log);
                        assert!(whole_groups(&found, &groups) < groups.len());
                        let cut_off = recovery.cut_off.map_or(0, |cut_off| cut_off.bytes);
                        assert!(cut_off <= (len + zeros) as u64);
                        drop(log);
                        assert_eq!(open(&disk).unwrap().1.cut_off, None, "what is cut off is gone");
                    }
                    Err(OpenError::Corrupt(corrupt)) => {
                        // A part of the last frame that happens to be zero cannot be told from a tail of zeros, and is whole.
                        assert!(name != newest, "{name} cut at {len} with {zeros} zeros: {corrupt}");
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    }
}

#[test]
fn good_frames_behind_a_bad_one_stop_the_node() {
    let disk = Faulty::new();
    let (mut log, _) = open_with(&disk, SEGMENT_BYTES).unwrap();
    let mut writer = Writer::new(1);
    let first = log.append(&[writer.flush(2)]).unwrap();
    let second = log.append(&[writer.flush(2)]).unwrap();
    log.append(&[writer.flush(2)]).unwrap();
    let name = segment::name(0);
    let start = segment::HEADER_BYTES + usize::try_from(first.bytes).unwrap();
    let end = start + usize::try_from(second.bytes).unwrap();
    let mut bytes = disk.files()[&name].clone();
    // As if the middle one had never reached the disk.
    bytes[start..end].fill(0);
    disk.set(&name, bytes);
    let opened = open_with(&disk, SEGMENT_BYTES);
    let Err(OpenError::Corrupt(corrupt)) = opened else { panic!("{opened:?}") };
    assert_eq!((corrupt.offset, corrupt.what), (start as u64, Corruption::Frame(Damage::Head)));
}

#[test]
fn a_group_without_its_last_frame_goes_at_the_tail_and_is_damage_elsewhere() {
    let disk = Faulty::new();
    let (mut log, _) = open_with(&disk, SMALL_SEGMENT).unwrap();
    let mut writer = Writer::new(2);
    let (mut groups, mut places) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let group = [writer.flush(3), writer.opened(), writer.cut_at(writer.end.position, 0), writer.sealed()];
        log.append(&group).unwrap();
        let end = usize::try_from(log.len).unwrap();
        let bytes = group.iter().map(|frame| {
            let mut bytes = Vec::new();
            frame.write(&mut bytes, false).unwrap();
            bytes.len()
        });
        places.push((log.newest(), end, bytes.collect::<Vec<usize>>()));
        groups.push(group.to_vec());
    }
    let files = disk.files();
    let newest = log.newest();
    drop(log);
    assert!(files.len() > 2 && places.iter().filter(|(name, ..)| *name == newest).count() > 1);
    for (at, (name, end, bytes)) in places.iter().enumerate() {
        let start = end - bytes.iter().sum::<usize>();
        let mut len = start;
        for frame in &bytes[..bytes.len() - 1] {
            // Up to the end of a frame, so that all frames which are there are whole.
            len += frame;
            let disk = Faulty::with_files(&files);
            disk.set(name, files[name][..len].to_vec());
            match open_with(&disk, SMALL_SEGMENT) {
                Ok((log, recovery)) => {
                    assert_eq!(*name, newest);
                    let cut_off = recovery.cut_off.unwrap();
                    assert_eq!((cut_off.offset, cut_off.bytes), (start as u64, (len - start) as u64));
                    assert_eq!(frames(&log), groups[..at].concat());
                }
                Err(OpenError::Corrupt(corrupt)) => {
                    assert_ne!(*name, newest);
                    assert_eq!((corrupt.path, corrupt.what), (disk.path(name), Corruption::CutShort));
                    assert_eq!(corrupt.offset, start as u64);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn missing_foreign_and_exchanged_segments_are_told_apart() {
    let (files, _) = small_log();
    let names: Vec<&String> = files.keys().collect();
    for name in &names[..names.len() - 1] {
        let mut missing = files.clone();
        missing.remove(*name);
        let opened = open(&Faulty::with_files(&missing));
        let gap = |what: &Corruption| matches!(what, Corruption::Header(HeaderDamage::Gap { .. }));
        assert!(matches!(&opened, Err(OpenError::Corrupt(corrupt)) if gap(&corrupt.what)), "{opened:?}");
    }

    // The same number of frames, and each good in itself, but of another history.
    let history = |seed| {
        let disk = Faulty::new();
        let (mut log, _) = open_with(&disk, 200).unwrap();
        let mut writer = Writer::new(seed);
        for _ in 0..4 {
            log.append(&[writer.flush(3)]).unwrap();
        }
        disk
    };
    let (ours, other) = (history(1), history(2));
    let name = segment::name(1);
    ours.set(&name, other.files()[&name].clone());
    let opened = open_with(&ours, 200);
    let chain = |what: &Corruption| matches!(what, Corruption::Header(HeaderDamage::Chain { .. }));
    assert!(matches!(&opened, Err(OpenError::Corrupt(corrupt)) if chain(&corrupt.what)), "{opened:?}");

    let disk: Arc<dyn Disk> = Faulty::with_files(&files);
    let foreign = Plane { plane_id: Digest([8; 32]), ..OWNER };
    let opened = Log::open_on(disk, foreign, SMALL_SEGMENT, None);
    assert!(matches!(opened, Err(OpenError::OtherPlane { found: PLANE, .. })), "{opened:?}");
}

#[test]
fn a_reader_notices_what_changed_after_opening() {
    let (files, groups) = small_log();
    for (name, bytes) in &files {
        for at in (0..bytes.len()).step_by(7) {
            let disk = Faulty::with_files(&files);
            let (log, _) = open(&disk).unwrap();
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            disk.set(name, damaged);
            let read: Vec<_> = log.reader(0).collect();
            let (last, good) = read.split_last().unwrap();
            assert!(matches!(last, Err(ReadError::Corrupt(_))), "{name}, byte {at}: {last:?}");
            assert!(
                good.iter().zip(groups.iter().flatten()).all(|(read, frame)| read.as_ref().unwrap().frame == *frame)
            );
        }
    }
}

#[test]
fn repair_keeps_what_it_gives_up_and_the_log_goes_on() {
    let (files, groups) = small_log();
    for (name, bytes) in &files {
        for at in (0..bytes.len()).step_by(31) {
            let disk = Faulty::with_files(&files);
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            disk.set(name, damaged.clone());
            let Err(OpenError::Corrupt(corrupt)) = open(&disk) else { panic!("damage is found") };

            let elsewhere = repair::repair_on(&*disk, OWNER, &corrupt.path, corrupt.offset + 1);
            assert!(matches!(elsewhere, Err(RepairError::Elsewhere(found)) if found == corrupt));
            let repaired = repair::repair_on(&*disk, OWNER, &corrupt.path, corrupt.offset).unwrap();
            assert_eq!(repaired.damage, corrupt);
            let after = disk.files();
            let kept: Vec<&Vec<u8>> =
                after.iter().filter(|(name, _)| name.contains("damaged")).map(|(_, bytes)| bytes).collect();
            assert_eq!(kept.len(), repaired.kept.len());
            assert_eq!(*kept[0], damaged, "the damaged segment is kept as it was");
            assert_eq!(kept.len(), files.range(name.clone()..).count(), "and so are those behind it");

            let (mut log, recovery) = open(&disk).unwrap();
            let found = frames(&log);
            whole_groups(&found, &groups);
            assert_eq!(recovery.cut_off, None);
            log.append(&[Writer::from_end(&recovery.end, 3).flush(1)]).unwrap();
            let sound = repair::repair_on(&*disk, OWNER, &corrupt.path, corrupt.offset);
            assert!(matches!(sound, Err(RepairError::Sound)));
        }
    }
}
