//! What is written, what is promised, and who is answered when.

use crate::fixture::{
    Desk, FOUNDED, PLANE, Person, Wish, config, deposit, founding_state, included, start, submission,
};
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_sequencer::{Effect, Event, Limits, LimitsError, LogEntry, Refusal, Sequencer, Start, Ticket};
use ghostplane_types::PlaneState;

#[test]
fn nobody_is_answered_before_it_is_durable() {
    let mut desk = Desk::new(Limits::default());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.executed(included);
    assert_eq!((desk.appends.len(), desk.acknowledged.len()), (1, 0));
    desk.durable();
    assert_eq!(desk.tickets_acknowledged(), [1]);
}

#[test]
fn one_flush_is_in_flight_and_one_is_filling() {
    let mut desk = Desk::new(Limits::default());
    for number in 0..5 {
        desk.submit(number, &Person::new(number).verified(&Wish::new(0, 1)));
        desk.executed(included);
    }
    assert_eq!(desk.appends.len(), 1, "the others wait for the first to be durable");
    desk.durable();
    assert_eq!(desk.appends.len(), 2);
    desk.durable();
    assert_eq!(desk.tickets_acknowledged(), [0, 1, 2, 3, 4]);

    let chain_id = PLANE.0.chain_id();
    let [first, second] = [&desk.acknowledged[0].flush, &desk.acknowledged[1].flush];
    assert_eq!((first.flush, first.first_position, first.prev_flush_digest), (0, 0, Digest::ZERO));
    assert_eq!((second.flush, second.first_position), (1, 1));
    assert_eq!((second.prev_flush_digest, second.batch_at_most), (first.digest(chain_id), 1));
    for done in &desk.acknowledged {
        for (index, record) in done.records.iter().enumerate() {
            let path = done.path(index).expect("one for each record");
            let included = merkle::verify(&done.flush.root, &record.tx_id, &path).expect("the path opens");
            assert_eq!(done.flush.first_position + included.index(), record.position);
        }
    }
}

#[test]
fn a_flush_that_does_not_come_back_stops_the_handing_out() {
    let limits = Limits { flush_transactions_max: 3, ..Limits::default() };
    let mut desk = Desk::new(limits);
    let people: Vec<_> = (0..20).map(|number| Person::new(number).verified(&Wish::new(0, 1))).collect();
    let submissions = (0..).zip(&people).map(|(ticket, verified)| submission(ticket, verified.clone(), 0));
    desk.step(Event::Submitted(submissions.collect()));
    while !desk.executing.is_empty() {
        desk.executed(included);
    }
    let status = desk.sequencer.status();
    assert_eq!((status.in_flight, status.filling, status.pool_transactions), (3, 3, 14));
    desk.durable();
    assert_eq!(desk.executing.len(), 3);
}

#[test]
fn the_log_says_where_batches_start_and_end() {
    let mut desk = Desk::new(Limits::default());
    desk.l1_block(FOUNDED, vec![deposit(0, FOUNDED)]);
    desk.execute_inbox(1);
    assert!(desk.appends[0].flush.is_none(), "a promise is about transactions");
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.executed(included);
    desk.wait(50);
    desk.durable();
    let entries = |append: usize| -> Vec<String> {
        let name = |entry: &LogEntry| match entry {
            LogEntry::Opened(opening) => format!("opened {}", opening.number),
            LogEntry::Inbox { first, count } => format!("inbox {first} {count}"),
            LogEntry::Transaction { position, .. } => format!("transaction {position}"),
            LogEntry::Cut { number } => format!("cut {number}"),
        };
        desk.appends[append].entries.iter().map(name).collect()
    };
    assert_eq!(entries(0), ["opened 1", "inbox 0 1"]);
    assert_eq!(entries(1), ["transaction 0", "cut 1"]);
}

#[test]
fn a_batch_is_posted_when_it_is_sealed_and_its_end_durable() {
    for sealed_first in [false, true] {
        let mut desk = Desk::new(Limits::default());
        desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
        desk.executed(included);
        desk.durable();
        desk.wait(50);
        if sealed_first {
            desk.seal(0);
            assert!(desk.posted.is_empty());
            desk.durable();
        } else {
            desk.durable();
            assert!(desk.posted.is_empty());
            desk.seal(0);
        }
        assert_eq!(desk.posted, [1]);
    }
}

#[test]
fn a_full_disk_stops_and_says_so_and_goes_on() {
    let mut desk = Desk::new(Limits::default());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.executed(included);
    desk.submit(2, &Person::new(2).verified(&Wish::new(0, 1)));
    desk.step(Event::DiskFull);
    assert!(matches!(desk.sequencer.busy(u64::MAX), Some(Refusal::DiskFull { .. })));
    desk.submit(3, &Person::new(3).verified(&Wish::new(0, 1)));
    assert!(matches!(desk.refusal_of(3), Some(Refusal::DiskFull { .. })));
    desk.executed(included);
    assert_eq!((desk.appends.len(), desk.acknowledged.len()), (1, 0));
    desk.step(Event::DiskBack);
    assert_eq!(desk.appends.len(), 2);
    assert_eq!(desk.appends[0].number, desk.appends[1].number, "the same once more, so that nothing signed differs");
    assert_eq!(desk.appends[0].flush, desk.appends[1].flush);
    desk.durable();
    desk.durable();
    assert_eq!(desk.tickets_acknowledged(), [1, 2]);
    assert_eq!(desk.sequencer.busy(1), None);
}

#[test]
fn a_revert_voids_what_was_not_answered_and_starts_the_flushes_anew() {
    let mut desk = Desk::new(Limits::default());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.executed(included);
    desk.durable();
    desk.wait(50);
    desk.durable();
    desk.seal(0);
    // One in flight, one filling, one being executed, one waiting for the number before it.
    desk.submit(2, &Person::new(2).verified(&Wish::new(0, 1)));
    desk.executed(included);
    desk.submit(3, &Person::new(3).verified(&Wish::new(0, 1)));
    desk.executed(included);
    desk.submit(4, &Person::new(4).verified(&Wish::new(0, 1)));
    desk.submit(5, &Person::new(5).verified(&Wish::new(1, 1)));
    let state = founding_state();
    desk.executing.clear();
    desk.step(Event::Reverted { state, generation: 1 });
    let reverted: Vec<u64> = desk.refused.iter().map(|(ticket, _)| ticket.0).collect();
    assert_eq!(reverted, [2, 3, 4, 5]);
    assert!(desk.refused.iter().all(|(_, why)| *why == Refusal::Reverted));
    // What is still on its way from before says nothing.
    desk.step(Event::Executed { generation: 0, batch: 2, results: Vec::new() });
    desk.durable();
    assert_eq!(desk.tickets_acknowledged(), [1]);
    desk.submit(6, &Person::new(1).verified(&Wish::new(0, 1)));
    assert_eq!(desk.open(), (1, 1));
    desk.executed(included);
    let append = desk.appends.last().expect("a first flush");
    let flush = append.flush.expect("of one transaction");
    assert_eq!((flush.generation, flush.flush, flush.first_position), (1, 0, 0));
    assert_eq!(flush.prev_flush_digest, Digest::ZERO);
}

#[test]
fn a_restart_goes_on_where_the_log_ends() {
    let state = PlaneState { number: 7, time: FOUNDED + 500, log_upto: 90, inbox_upto: 3, ..founding_state() };
    let start = Start {
        state,
        generation: 2,
        flushes: 11,
        prev_flush_digest: Digest([8; 32]),
        uncommitted: vec![(6, 100), (7, 200)],
    };
    let mut sequencer = Sequencer::new(config(Limits::default()), &start).expect("limits of a test");
    assert_eq!((sequencer.inbox_wanted(), sequencer.status().uncommitted_bytes), (3, 300));
    let mut effects = Vec::new();
    let block = Event::L1Block { time: FOUNDED, entries: Vec::new() };
    sequencer.step(FOUNDED, block, &mut effects).expect("an honest driver");
    let posted: Vec<u64> = effects
        .iter()
        .filter_map(|effect| if let Effect::Post { batch, .. } = effect { Some(*batch) } else { None })
        .collect();
    assert_eq!(posted, [6, 7], "what the L1 has not taken is posted again");
    effects.clear();
    let first = submission(1, Person::new(1).verified(&Wish::new(0, 1)), 0);
    let verified = first.verified.clone();
    sequencer.step(FOUNDED, Event::Submitted(vec![first]), &mut effects).expect("an honest driver");
    assert!(matches!(effects[0], Effect::Open(opening) if opening.number == 8 && opening.time == FOUNDED + 500));
    effects.clear();
    let results = vec![included(&verified)];
    sequencer.step(FOUNDED, Event::Executed { generation: 2, batch: 8, results }, &mut effects).expect("honest");
    let append =
        effects.iter().find_map(|effect| if let Effect::Append(append) = effect { Some(append) } else { None });
    let flush = append.and_then(|append| append.flush).expect("a flush of one");
    assert_eq!((flush.flush, flush.first_position, flush.prev_flush_digest), (11, 90, Digest([8; 32])));
    assert_eq!(flush.batch_at_most, 8);
}

#[test]
fn limits_that_nothing_fits_are_refused() {
    let limits = Limits { flush_bytes_max: 100, ..Limits::default() };
    let refused = Sequencer::new(config(limits), &start()).expect_err("no transaction fits");
    assert!(matches!(refused, LimitsError { what: "flush_bytes_max", found: 100, .. }));
    let limits = Limits { uncommitted_bytes_max: 100, ..Limits::default() };
    assert!(Sequencer::new(config(limits), &start()).is_err());
}

#[test]
fn a_stale_reader_is_no_harm_as_long_as_it_knows_what_is_sealed() {
    let mut desk = Desk::new(Limits::default());
    let alice = Person::new(1);
    desk.submit(0, &alice.verified(&Wish::new(0, 1)));
    desk.executed(included);
    desk.durable();
    // The state that the driver reads still has 0 next, and will until the batch is sealed.
    desk.submit(1, &alice.verified(&Wish::new(1, 1)));
    assert_eq!(desk.executing.len(), 1);
    desk.submit(2, &alice.verified(&Wish::new(0, 9)));
    assert!(matches!(&desk.refused[..], [(Ticket(2), Refusal::Reject(reject))] if reject.code() == 112));
    desk.executed(included);
    desk.wait(50);
    assert_eq!(desk.sequencer.status().senders, 1);
    desk.seal(0);
    assert_eq!(desk.sequencer.status().senders, 0, "now the state says it");
}
