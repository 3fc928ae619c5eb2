//! What may follow what, where reading starts, and which batches stand.

use super::*;

fn new_log() -> (Log, Writer) {
    let (log, recovery) = open(&Faulty::new()).unwrap();
    assert_eq!(recovery, Recovery { end: LogEnd::start(), segments: 1, bytes: 0, cut_off: None });
    (log, Writer::new(5))
}

#[test]
fn a_frame_that_does_not_follow_is_refused_and_nothing_is_written() {
    let (mut log, mut writer) = new_log();
    log.append(&[writer.flush(3), writer.inbox(2)]).unwrap();
    log.append(&writer.batch()).unwrap();
    log.append(&[writer.flush(2), writer.opened()]).unwrap();
    let before = (log.end().clone(), frames(&log));
    let mut wrong: Vec<Vec<Frame>> = Vec::new();
    let mut with = |change: &dyn Fn(&mut LogEnd), make: &dyn Fn(&mut Writer) -> Frame| {
        let mut writer = Writer::from_end(&before.0, 6);
        change(&mut writer.end);
        wrong.push(vec![Writer::from_end(&before.0, 6).flush(1), make(&mut writer)]);
    };
    with(&|end| end.position += 2, &|writer| writer.flush(1));
    with(&|end| end.position -= 1, &|writer| writer.flush(1));
    with(&|end| end.flushes = 0, &|writer| writer.flush(1));
    with(&|end| end.generation = 1, &|writer| writer.flush(1));
    with(&|end| end.inbox = 0, &|writer| writer.inbox(1));
    with(&|end| end.inbox = 3, &|writer| writer.inbox(1));
    with(&|end| end.prev_flush_digest = Digest([9; 32]), &|writer| writer.flush(1));
    // The open batch is number 2, from position 3 and inbox entry 2 on.
    with(&|end| end.open = None, &|writer| writer.opened());
    with(&|end| end.position = 9, &|writer| writer.cut_at(9, 2));
    with(&|end| end.inbox = 9, &|writer| writer.cut_at(3, 9));
    with(&|end| end.open.as_mut().unwrap().position = 0, &|writer| writer.cut_at(2, 2));
    with(&|end| end.open.as_mut().unwrap().inbox = 0, &|writer| writer.cut_at(4, 1));
    with(&|end| end.open.as_mut().unwrap().position = 0, &|writer| writer.cut_at(3, 2));
    with(&|end| end.open.as_mut().unwrap().number = 3, &|writer| writer.cut_at(4, 2));
    let unsealed = |change: fn(&mut CutBatch)| move |end: &mut LogEnd| change(&mut end.unsealed[0]);
    with(&unsealed(|batch| batch.number = 2), &|writer| writer.sealed());
    with(&unsealed(|batch| batch.generation = 1), &|writer| writer.sealed());
    with(&unsealed(|batch| batch.time += 1), &|writer| writer.sealed());
    with(&unsealed(|batch| batch.position -= 1), &|writer| writer.sealed());
    with(&unsealed(|batch| batch.inbox -= 1), &|writer| writer.sealed());
    with(&|end| end.generation = 1, &|writer| writer.revert(genesis()));
    // Cut, but not sealed: nothing was said of it that a revert could go back to.
    let first = BatchHeader { number: 1, ..genesis() };
    with(&|end| end.batch = Some(first), &|writer| writer.revert(first));
    let late = BatchHeader { log_upto: 1, ..genesis() };
    with(&|end| end.batch = Some(BatchHeader { number: 1, ..late }), &|writer| {
        writer.end.batch = None;
        Frame::Revert(Revert { to: late, generation: 1 })
    });
    for group in wrong {
        let refused = log.append(&group);
        assert!(matches!(refused, Err(AppendError::Order { at: 1, .. })), "{refused:?}");
        assert_eq!((log.end().clone(), frames(&log)), before);
    }
    let mut foreign = Writer::from_end(&before.0, 6).flush(1);
    let Frame::Flush(flush) = &mut foreign else { unreachable!() };
    flush.signed.flush.plane_id = Digest::ZERO;
    assert!(matches!(log.append(&[foreign]), Err(AppendError::Order { at: 0, source: OrderError::Plane(_) })));
    log.append(&[writer.flush(1)]).expect("a refusal does not end the handle");
}

#[test]
fn a_batch_opens_where_and_when_the_one_before_ends() {
    let (mut log, mut writer) = new_log();
    log.append(&[writer.flush(3), writer.inbox(2)]).unwrap();
    log.append(&[writer.opened(), writer.cut_at(2, 1)]).unwrap();
    let before = log.end().clone();
    let Frame::Opened(right) = writer.opened() else { unreachable!() };
    let least = before.cut.unwrap().time;
    let mut later = Writer::new(1);
    let earlier = Opened { time: 7, ..right };
    let flush = later.flush(1);
    let mut other = later.end.clone();
    other.cut = Some(CutBatch { number: 1, generation: 0, time: 8, position: 0, inbox: 0 });
    let refused = other.advance(&OWNER, &Frame::Opened(Opened { number: 2, position: 0, inbox: 0, ..earlier }));
    assert_eq!(refused, Err(OrderError::Time { number: 2, found: 7, least: 8 }), "after {flush:?}");
    let wrong = [
        Opened { number: 1, ..right },
        Opened { number: 3, ..right },
        Opened { generation: 1, ..right },
        Opened { position: 3, ..right },
        Opened { inbox: 2, ..right },
    ];
    for opened in wrong {
        let refused = log.append(&[Frame::Opened(opened)]);
        assert!(matches!(refused, Err(AppendError::Order { at: 0, .. })), "{opened:?}: {refused:?}");
        assert_eq!(*log.end(), before);
    }
    // In the same millisecond is soon enough.
    log.append(&[Frame::Opened(Opened { time: least, ..right })]).unwrap();
    assert_eq!(log.end().open, Some(Opened { time: least, ..right }));
    assert_eq!((log.end().cut_number(), log.end().batch_number()), (1, 0));
}

#[test]
fn a_revert_ends_what_was_open_and_starts_the_chain_of_flushes_anew() {
    let (mut log, mut writer) = new_log();
    log.append(&[writer.flush(2), writer.inbox(3)]).unwrap();
    log.append(&writer.sealed_batch()).unwrap();
    let first = writer.end.batch.unwrap();
    log.append(&[writer.flush(2)]).unwrap();
    log.append(&writer.batch()).unwrap();
    log.append(&[writer.flush(2), writer.inbox(1), writer.opened()]).unwrap();
    log.append(&[writer.revert(first)]).unwrap();
    let end = log.end();
    assert_eq!((end.open, end.unsealed.len(), end.cut_number(), end.batch), (None, 0, 1, Some(first)));
    assert_eq!((end.position, end.inbox, end.flushes, end.prev_flush_digest), (2, 4, 0, Digest::ZERO));
    // The entry that a void batch consumed is consumed again.
    log.append(&[writer.opened(), writer.cut_at(2, 4)]).unwrap();
    let replayed: Vec<LoggedBatch> = log.replay(&first).unwrap().map(Result::unwrap).collect();
    assert_eq!((replayed.len(), replayed[0].inbox.len(), replayed[0].opened.generation), (1, 1, 1));
    log.append(&[writer.flush(1), writer.flush(1)]).expect("a chain of its own");
}

#[test]
fn so_many_batches_wait_to_be_sealed_and_no_more() {
    let (mut log, mut writer) = new_log();
    for _ in 0..UNSEALED_MAX {
        log.append(&[writer.flush(1)]).unwrap();
        log.append(&writer.batch()).unwrap();
    }
    log.append(&[writer.flush(1), writer.opened()]).unwrap();
    let last = UNSEALED_MAX as u64 + 1;
    let cut = Frame::Cut(Cut { number: last, position: last, inbox: 0 });
    let refused = log.append(std::slice::from_ref(&cut));
    let too_many = |source: &OrderError| *source == OrderError::Unsealed(last);
    assert!(matches!(&refused, Err(AppendError::Order { at: 0, source }) if too_many(source)), "{refused:?}");
    let replayed: Vec<LoggedBatch> = log.replay(&genesis()).unwrap().map(Result::unwrap).collect();
    assert_eq!(replayed.len(), UNSEALED_MAX);
    assert!(replayed.iter().all(|batch| batch.header.is_none() && batch.transactions.len() == 1));
    log.append(&[writer.sealed(), cut]).unwrap();
    let replayed: Vec<LoggedBatch> = log.replay(&genesis()).unwrap().map(Result::unwrap).collect();
    assert_eq!((replayed.len(), replayed[0].header), (UNSEALED_MAX + 1, log.end().batch));
}

#[test]
fn frames_and_groups_have_limits() {
    let (mut log, mut writer) = new_log();
    let flush = |transactions: Vec<Vec<u8>>| {
        let Frame::Flush(mut flush) = Writer::from_end(&writer.end, 0).flush(1) else { unreachable!() };
        flush.transactions = transactions;
        Frame::Flush(flush)
    };
    let long = vec![0; ghostplane_types::limits::TRANSACTION_BYTES_MAX];
    let cases = [
        (flush(Vec::new()), FrameError::Empty),
        (flush(vec![[&long[..], &[0]].concat()]), FrameError::TransactionBytes { found: long.len() + 1 }),
        (flush(vec![Vec::new(); 70_000]), FrameError::TooMany { found: 70_000, limit: frame::FLUSH_TRANSACTIONS_MAX }),
        (Frame::Inbox(Vec::new()), FrameError::Empty),
    ];
    for (frame, expected) in cases {
        let refused = log.append(&[frame]);
        assert!(matches!(&refused, Err(AppendError::Frame { at: 0, source }) if *source == expected), "{refused:?}");
    }
    let refused = log.append(&[flush(vec![long.clone(); 300])]);
    assert!(matches!(refused, Err(AppendError::Frame { source: FrameError::TooLarge { .. }, .. })), "{refused:?}");
    assert!(frames(&log).is_empty());

    // A group over its limit, of frames below theirs.
    let large: Vec<Frame> = (0..5)
        .map(|_| {
            let Frame::Flush(mut flush) = writer.flush(250) else { unreachable!() };
            flush.transactions = vec![long.clone(); 250];
            Frame::Flush(flush)
        })
        .collect();
    assert!(matches!(log.append(&large), Err(AppendError::TooLarge { .. })));
    log.append(&large[..4]).expect("the largest group that fits");
    assert_eq!(frames(&log), large[..4]);
    assert_eq!(log.append(&[]).unwrap().bytes, 0);
}

#[test]
fn a_reader_starts_where_everything_that_depends_on_a_position_follows() {
    for seed in 0..40 {
        let disk = Faulty::new();
        let (mut log, _) = open(&disk).unwrap();
        let mut writer = Writer::new(seed);
        let mut list = Vec::new();
        for group in writer.groups(30) {
            log.append(&group).unwrap();
            list.extend(group);
        }
        for position in 1..=log.end().position {
            let read: Vec<Frame> = log.reader(position).map(|logged| logged.unwrap().frame).collect();
            assert!(list.ends_with(&read), "a reader reads to the end");
            let held = |frame: &Frame| {
                let Frame::Flush(flush) = frame else { return false };
                let first = flush.signed.flush.first_position;
                (first..first + flush.transactions.len() as u64).contains(&(position - 1))
            };
            // The last flush that holds the position before is the one that stands.
            let stands = list.iter().rposition(held).expect("the log holds every position before its end");
            assert!(list.len() - read.len() <= stands, "seed {seed}, position {position}");
            assert!(held(&read[0]));
        }
        let beyond = log.reader(log.end().position + 9).count();
        assert_eq!(beyond, log.reader(log.end().position).count(), "what is not there yet starts at the end");
    }
}

/// What a log means, told without its help.
fn standing(list: &[Frame]) -> (Vec<LoggedBatch>, Rest) {
    let (mut transactions, mut inbox) = (Vec::new(), Vec::new());
    let mut batches: Vec<(Opened, Option<Cut>, Option<BatchHeader>)> = Vec::new();
    for frame in list {
        match frame {
            Frame::Flush(flush) => transactions.extend(flush.transactions.clone()),
            Frame::Inbox(entries) => inbox.extend(entries.clone()),
            Frame::Opened(opened) => batches.push((*opened, None, None)),
            Frame::Cut(cut) => batches.last_mut().unwrap().1 = Some(*cut),
            Frame::Sealed(header) => batches[usize::try_from(header.number).unwrap() - 1].2 = Some(*header),
            Frame::Revert(revert) => {
                batches.truncate(usize::try_from(revert.to.number).unwrap());
                transactions.truncate(usize::try_from(revert.to.log_upto).unwrap());
            }
        }
    }
    let at = |upto: u64| usize::try_from(upto).unwrap();
    let (mut position, mut entry, mut open) = (0, 0, None);
    let mut cut = Vec::new();
    for (opened, ended, header) in batches {
        let Some(ended) = ended else {
            open = Some(opened);
            continue;
        };
        let inbox = inbox[at(entry)..at(ended.inbox)].to_vec();
        let transactions = transactions[at(position)..at(ended.position)].to_vec();
        cut.push(LoggedBatch { opened, inbox, transactions, header });
        (position, entry) = (ended.position, ended.inbox);
    }
    let (transactions, inbox) = (transactions[at(position)..].to_vec(), inbox[at(entry)..].to_vec());
    (cut, Rest { open, position, transactions, inbox })
}

#[test]
fn replay_gives_the_batches_that_stand_from_any_of_them() {
    let (mut reverted, mut unsealed, mut open) = (0, 0, 0);
    for seed in 100..180 {
        let disk = Faulty::new();
        let (mut log, _) = open_with(&disk, SMALL_SEGMENT).unwrap();
        let mut writer = Writer::new(seed);
        let groups = writer.groups(60);
        for group in &groups {
            log.append(group).unwrap();
        }
        reverted += log.end().reverts.len();
        unsealed += log.end().unsealed.len();
        open += usize::from(log.end().open.is_some());
        let (batches, rest) = standing(&groups.concat());
        let from = std::iter::once(genesis()).chain(batches.iter().filter_map(|batch| batch.header));
        for (skipped, after) in from.enumerate() {
            let mut replay = log.replay(&after).unwrap();
            let replayed: Vec<LoggedBatch> = replay.by_ref().map(Result::unwrap).collect();
            assert_eq!(replayed, batches[skipped..], "seed {seed} after batch {}", after.number);
            assert_eq!(replay.rest(), rest, "seed {seed} after batch {}", after.number);
        }
    }
    assert!(reverted > 30 && unsealed > 30 && open > 30, "{reverted} reverts, {unsealed} unsealed, {open} open");
}

#[test]
fn a_batch_that_is_not_in_the_log_is_told_why() {
    let (mut log, mut writer) = new_log();
    log.append(&[writer.flush(2)]).unwrap();
    log.append(&writer.sealed_batch()).unwrap();
    let first = writer.end.batch.unwrap();
    log.append(&[writer.flush(2)]).unwrap();
    log.append(&writer.sealed_batch()).unwrap();
    let second = writer.end.batch.unwrap();
    log.append(&[writer.revert(first), writer.flush(1)]).unwrap();
    let why = |log: &Log, header: &BatchHeader| log.replay(header).map(|_| ()).unwrap_err();
    assert_eq!(why(&log, &second), NotInLog::Reverted { batch: 2, generation: 0, next: 1, stands: 1 });
    let ahead = BatchHeader { number: 2, generation: 1, ..second };
    assert_eq!(why(&log, &ahead), NotInLog::Ahead { batch: 2, log: 1 });
    let of_later = BatchHeader { generation: 9, ..first };
    assert_eq!(why(&log, &of_later), NotInLog::Other { batch: 1 });
    let other = BatchHeader { gas: 5, ..first };
    let elsewhere = BatchHeader { log_upto: 90, inbox_upto: 90, ..first };
    let told_late = |log: &Log, header: &BatchHeader| {
        let replayed = log.replay(header).unwrap().next();
        assert!(matches!(replayed, Some(Err(ReplayError::NotInLog(NotInLog::Other { batch: 1 })))), "{replayed:?}");
    };
    told_late(&log, &other);
    told_late(&log, &elsewhere);
    assert_eq!(log.replay(&first).unwrap().map(Result::unwrap).count(), 0);
    // A later batch 2 is cut, and is still ahead until it is sealed.
    log.append(&writer.batch()).unwrap();
    assert_eq!(why(&log, &ahead), NotInLog::Ahead { batch: 2, log: 1 });
    let later: Vec<LoggedBatch> = log.replay(&first).unwrap().map(Result::unwrap).collect();
    assert_eq!((later.len(), later[0].opened.generation, later[0].header), (1, 1, None));
    log.append(&[writer.sealed()]).unwrap();
    let later: Vec<LoggedBatch> = log.replay(&first).unwrap().map(Result::unwrap).collect();
    assert_eq!((later.len(), later[0].header), (1, writer.end.batch));
    told_late(&log, &other);
    told_late(&log, &elsewhere);
}
