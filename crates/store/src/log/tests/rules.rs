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
    log.append(&[writer.flush(3), writer.inbox(2), writer.cut()]).unwrap();
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
    with(&|end| end.position = 9, &|writer| writer.cut_upto(9, 2));
    with(&|end| end.inbox = 9, &|writer| writer.cut_upto(3, 9));
    with(&|end| end.batch = None, &|writer| writer.cut_upto(2, 2));
    with(&|end| end.generation = 1, &|writer| writer.revert(genesis()));
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
    let mut headers: Vec<BatchHeader> = Vec::new();
    for frame in list {
        match frame {
            Frame::Flush(flush) => transactions.extend(flush.transactions.clone()),
            Frame::Inbox(entries) => inbox.extend(entries.clone()),
            Frame::Cut(header) => headers.push(*header),
            Frame::Revert(revert) => {
                headers.retain(|header| header.number <= revert.to.number);
                transactions.truncate(usize::try_from(revert.to.log_upto).unwrap());
            }
        }
    }
    let at = |upto: u64| usize::try_from(upto).unwrap();
    let mut before = genesis();
    let batches = headers.into_iter().map(|header| {
        let batch = LoggedBatch {
            header,
            inbox: inbox[at(before.inbox_upto)..at(header.inbox_upto)].to_vec(),
            transactions: transactions[at(before.log_upto)..at(header.log_upto)].to_vec(),
        };
        before = header;
        batch
    });
    let batches: Vec<LoggedBatch> = batches.collect();
    let rest = Rest {
        position: before.log_upto,
        transactions: transactions[at(before.log_upto)..].to_vec(),
        inbox: inbox[at(before.inbox_upto)..].to_vec(),
    };
    (batches, rest)
}

#[test]
fn replay_gives_the_batches_that_stand_from_any_of_them() {
    let mut reverted = 0;
    for seed in 100..160 {
        let disk = Faulty::new();
        let (mut log, _) = open(&disk).unwrap();
        let mut writer = Writer::new(seed);
        let groups = writer.groups(40);
        for group in &groups {
            log.append(group).unwrap();
        }
        reverted += log.end().reverts.len();
        let (batches, rest) = standing(&groups.concat());
        let from = std::iter::once(genesis()).chain(batches.iter().map(|batch| batch.header));
        for (skipped, after) in from.enumerate() {
            let mut replay = log.replay(&after).unwrap();
            let replayed: Vec<LoggedBatch> = replay.by_ref().map(Result::unwrap).collect();
            assert_eq!(replayed, batches[skipped..], "seed {seed} after batch {}", after.number);
            assert_eq!(replay.rest(), rest, "seed {seed} after batch {}", after.number);
        }
    }
    assert!(reverted > 10, "only {reverted} reverts");
}

#[test]
fn a_batch_that_is_not_in_the_log_is_told_why() {
    let (mut log, mut writer) = new_log();
    log.append(&[writer.flush(2), writer.cut()]).unwrap();
    let first = writer.end.batch.unwrap();
    log.append(&[writer.flush(2), writer.cut()]).unwrap();
    let second = writer.end.batch.unwrap();
    log.append(&[writer.revert(first), writer.flush(1)]).unwrap();
    let why = |header: &BatchHeader| log.replay(header).map(|_| ()).unwrap_err();
    assert_eq!(why(&second), NotInLog::Reverted { batch: 2, generation: 0, next: 1, stands: 1 });
    let ahead = BatchHeader { number: 2, generation: 1, ..second };
    assert_eq!(why(&ahead), NotInLog::Ahead { batch: 2, log: 1 });
    let of_later = BatchHeader { generation: 9, ..first };
    assert_eq!(why(&of_later), NotInLog::Other { batch: 1 });
    let other = BatchHeader { gas: 5, ..first };
    let replayed = log.replay(&other).unwrap().next();
    assert!(matches!(replayed, Some(Err(ReplayError::NotInLog(NotInLog::Other { batch: 1 })))), "{replayed:?}");
    assert_eq!(log.replay(&first).unwrap().map(Result::unwrap).count(), 0);
    // A later batch 2 stands.
    log.append(&[writer.cut()]).unwrap();
    assert_eq!(log.replay(&first).unwrap().map(Result::unwrap).count(), 1);
}
