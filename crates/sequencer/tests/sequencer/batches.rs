//! When a batch opens, what goes into it, when it ends, and what time it has.

use crate::fixture::{Desk, FOUNDED, Person, Wish, applied, deposit, included, submission, verify};
use ghostplane_engine::Verified;
use ghostplane_sequencer::{Event, Execution, Fault, Limits, Refusal, Ticket};
use ghostplane_types::Reject;
use ghostplane_types::limits::{BATCH_BYTES_MAX, BATCH_GAS_MAX, BATCH_OPEN_MS_MAX, BATCH_TRANSACTIONS_MAX};
use std::sync::Arc;

/// One transaction each of many people.
fn crowd(count: usize, wish: Wish) -> Vec<Arc<Verified>> {
    verify((0..count as u64).map(|number| Person::new(1_000 + number).sign(&wish)).collect())
}

fn submit_all(desk: &mut Desk, transactions: &[Arc<Verified>]) {
    let submissions = (0..).zip(transactions).map(|(ticket, verified)| submission(ticket, verified.clone(), 0));
    desk.step(Event::Submitted(submissions.collect()));
}

/// Executes and writes until nothing more is asked for.
fn run(desk: &mut Desk, result: impl Fn(&Verified) -> Execution) {
    let mut written = 0;
    loop {
        if !desk.executing.is_empty() {
            desk.executed(&result);
        } else if desk.appends.len() > written {
            written = desk.appends.len();
            desk.durable();
        } else {
            return;
        }
    }
}

#[test]
fn nothing_opens_before_the_l1_was_seen() {
    let mut desk = Desk::before_l1(Limits::default());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    assert!(desk.opened.is_empty());
    desk.l1_block(FOUNDED + 10, Vec::new());
    assert_eq!((desk.opened.len(), desk.executing.len()), (1, 1));
}

#[test]
fn content_and_fifty_milliseconds_end_a_batch() {
    let mut desk = Desk::new(Limits::default());
    desk.wait(1_000);
    assert!(desk.opened.is_empty(), "no batch without content");
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.executed(included);
    assert_eq!(desk.timer, Some(desk.now + BATCH_OPEN_MS_MAX));
    desk.wait(BATCH_OPEN_MS_MAX - 1);
    assert!(desk.cuts.is_empty());
    desk.wait(1);
    assert_eq!((desk.cuts.len(), desk.opened.len()), (1, 1), "and no empty one follows");
}

#[test]
fn a_due_batch_waits_for_what_is_being_executed() {
    let mut desk = Desk::new(Limits::default());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.wait(500);
    desk.submit(2, &Person::new(2).verified(&Wish::new(0, 1)));
    assert_eq!((desk.cuts.len(), desk.executing.len()), (0, 1));
    desk.executed(included);
    assert_eq!((desk.cuts.len(), desk.opened.len(), desk.executing.len()), (1, 2, 1));
    assert_eq!((desk.cuts[0].log_upto, desk.opened[1].number), (1, 2));
}

#[test]
fn a_batch_ends_at_its_count() {
    let transactions = crowd(BATCH_TRANSACTIONS_MAX + 1, Wish { gas_limit: 5_000, ..Wish::new(0, 1) });
    let mut desk = Desk::new(Limits::default());
    submit_all(&mut desk, &transactions);
    assert_eq!(desk.executing.len(), Limits::default().executing_max);
    let small = |verified: &Verified| Execution::Included { outcome: applied(verified), posted_bytes: 90 };
    run(&mut desk, small);
    assert_eq!(desk.cuts.len(), 1);
    assert_eq!(desk.cuts[0].log_upto, BATCH_TRANSACTIONS_MAX as u64);
    assert_eq!(desk.sequencer.status().pool_transactions, 0);
}

#[test]
fn a_batch_ends_at_its_bytes_and_at_its_gas() {
    let wish = Wish { actions: 256, gas_limit: 1_000_000, ..Wish::new(0, 1) };
    let transactions = crowd(250, wish);
    let mut by_bytes = Desk::new(Limits::default());
    submit_all(&mut by_bytes, &transactions);
    run(&mut by_bytes, included);
    let cut = by_bytes.cuts[0];
    assert!(
        cut.posted_bytes_max as usize <= BATCH_BYTES_MAX && cut.posted_bytes_max as usize > BATCH_BYTES_MAX - 13_000
    );

    // The same, if the driver says how small they really are and each uses all the gas it may.
    let gas = ghostplane_sequencer::sequencer::gas_max(&transactions[0]);
    let hungry = |verified: &Verified| {
        let outcome = ghostplane_types::Outcome { gas, ..applied(verified) };
        Execution::Included { outcome, posted_bytes: 100 }
    };
    let mut by_gas = Desk::new(Limits::default());
    submit_all(&mut by_gas, &transactions);
    run(&mut by_gas, hungry);
    let cut = by_gas.cuts[0];
    assert!(cut.gas <= BATCH_GAS_MAX && cut.gas + gas > BATCH_GAS_MAX, "{cut:?}");
}

#[test]
fn a_gas_limit_far_above_the_need_costs_no_room() {
    let transactions = crowd(100, Wish { gas_limit: BATCH_GAS_MAX, ..Wish::new(0, 1) });
    let mut desk = Desk::new(Limits::default());
    submit_all(&mut desk, &transactions);
    run(&mut desk, included);
    assert!(desk.cuts.is_empty(), "all hundred are in one batch");
}

#[test]
fn what_finds_the_batch_full_goes_first_into_the_next() {
    let mut desk = Desk::new(Limits::default());
    let alice = Person::new(1);
    for seq in 0..4 {
        desk.submit(seq, &alice.verified(&Wish::new(seq, 1)));
    }
    desk.executed(|verified| if verified.body().nonce.seq < 2 { included(verified) } else { Execution::Full });
    assert_eq!((desk.cuts.len(), desk.cuts[0].log_upto, desk.opened.len()), (1, 2, 2));
    let seqs: Vec<u64> = desk.executing.iter().map(|verified| verified.body().nonce.seq).collect();
    assert_eq!(seqs, [2, 3]);
    assert!(desk.refused.is_empty());
}

#[test]
fn what_fits_no_batch_is_told_so() {
    let mut desk = Desk::new(Limits::default());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.submit(2, &Person::new(2).verified(&Wish::new(0, 1)));
    desk.executed(|_| Execution::Full);
    assert_eq!(desk.refused, [(Ticket(1), Refusal::Unfit)]);
    assert_eq!((desk.abandoned, desk.executing.len(), desk.open().1), (1, 1, 1));
}

#[test]
fn a_batch_of_which_all_were_refused_is_dropped() {
    let mut desk = Desk::new(Limits::default());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.executed(|_| Execution::Rejected(Reject::BadKey));
    assert_eq!((desk.abandoned, desk.cuts.len(), desk.appends.len()), (1, 0, 0));
    desk.submit(2, &Person::new(2).verified(&Wish::new(0, 1)));
    assert_eq!(desk.open().1, 1, "the number is used again");
}

#[test]
fn the_inbox_comes_first_and_is_reason_enough() {
    let mut desk = Desk::new(Limits::default());
    let entries = vec![deposit(0, FOUNDED + 500), deposit(1, FOUNDED + 900)];
    desk.l1_block(FOUNDED + 1_000, entries);
    assert_eq!((desk.inbox.len(), desk.opened.len()), (2, 1));
    assert_eq!(desk.opened[0].time, FOUNDED + 900, "our clock is behind the L1: never before the entries");
    assert_eq!(desk.sequencer.inbox_wanted(), 2);
    desk.execute_inbox(2);
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.executed(included);
    desk.wait(50);
    assert_eq!((desk.cuts[0].inbox_upto, desk.cuts[0].log_upto), (2, 1));
    // While a batch is open, later entries wait for the next.
    desk.submit(2, &Person::new(2).verified(&Wish::new(0, 1)));
    desk.l1_block(FOUNDED + 2_000, vec![deposit(1, FOUNDED + 900), deposit(2, FOUNDED + 1_500)]);
    assert!(desk.inbox.is_empty());
    desk.executed(included);
    desk.wait(50);
    assert_eq!((desk.cuts.len(), desk.inbox.len(), desk.inbox[0].index), (2, 1, 2));
}

#[test]
fn entries_that_found_no_room_come_first_in_the_next_batch() {
    let mut desk = Desk::new(Limits::default());
    desk.l1_block(FOUNDED + 1, (0..3).map(|index| deposit(index, FOUNDED)).collect());
    desk.execute_inbox(1);
    assert_eq!((desk.cuts.len(), desk.cuts[0].inbox_upto), (1, 1));
    let indices: Vec<u64> = desk.inbox.iter().map(|entry| entry.index).collect();
    assert_eq!((indices, desk.sequencer.inbox_wanted()), (vec![1, 2], 3));
}

#[test]
fn the_inbox_is_bounded_and_asked_for_again() {
    let mut desk = Desk::new(Limits { inbox_entries_max: 4, unsealed_batches_max: 1, ..Limits::default() });
    let all: Vec<_> = (0..10).map(|index| deposit(index, FOUNDED)).collect();
    desk.l1_block(FOUNDED + 1, all.clone());
    assert_eq!((desk.inbox.len(), desk.sequencer.inbox_wanted()), (4, 4));
    desk.execute_inbox(4);
    desk.l1_block(FOUNDED + 2, all[4..].to_vec());
    assert_eq!(desk.sequencer.inbox_wanted(), 8);
}

#[test]
fn batch_time_follows_clock_and_l1_and_never_goes_back() {
    // What our clock and the newest L1 block say, and the time of the batch that is then opened.
    let table = [
        (1_000, 500, 500),
        (1_100, 2_000, 1_100),
        (900, 2_000, 1_150),
        (50_000_000, 3_000, 3_000),
        (1_500, 4_000, 3_000),
        (3_500, 4_000, 3_500),
        (9_000, 4_000, 4_000),
        (9_000, 2_000, 4_000),
    ];
    let mut desk = Desk::new(Limits::default());
    for (number, (clock, l1, expected)) in (0..).zip(table) {
        desk.now = FOUNDED + clock;
        desk.l1_block(FOUNDED + l1, Vec::new());
        desk.submit(number, &Person::new(number).verified(&Wish::new(0, 1)));
        assert_eq!(desk.opened.last().map(|opening| opening.time - FOUNDED), Some(expected), "step {number}");
        desk.executed(included);
        desk.durable();
        desk.wait(50);
        desk.durable();
        let cut = desk.cuts.len() - 1;
        desk.seal(cut);
    }
}

#[test]
fn a_clock_set_back_starts_the_wait_again() {
    let mut desk = Desk::new(Limits::default());
    desk.now = FOUNDED + 3_600_000;
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    desk.executed(included);
    desk.now = FOUNDED;
    desk.wait(0);
    assert!(desk.cuts.is_empty());
    assert_eq!(desk.timer, Some(FOUNDED + BATCH_OPEN_MS_MAX));
    desk.wait(BATCH_OPEN_MS_MAX);
    assert_eq!(desk.cuts.len(), 1);
}

#[test]
fn too_early_ones_wake_in_time_and_by_a_timer() {
    let mut desk = Desk::new(Limits::default());
    desk.l1_block(FOUNDED + 10_000, Vec::new());
    let early = Wish { valid_after: FOUNDED + 700, ..Wish::new(0, 1) };
    desk.submit(1, &Person::new(1).verified(&early));
    assert_eq!((desk.opened.len(), desk.timer), (0, Some(FOUNDED + 700)));
    desk.wait(700);
    assert_eq!(desk.opened[0].time, FOUNDED + 700);
}

#[test]
fn unsealed_and_uncommitted_batches_hold_the_next_back() {
    let limits = Limits { unsealed_batches_max: 2, uncommitted_batches_max: 3, ..Limits::default() };
    let mut desk = Desk::new(limits);
    let mut ticket = 0;
    let mut fill = |desk: &mut Desk| {
        ticket += 1;
        desk.submit(ticket, &Person::new(ticket).verified(&Wish::new(0, 1)));
        if !desk.executing.is_empty() {
            desk.executed(included);
            desk.durable();
            desk.wait(50);
            desk.durable();
        }
    };
    (0..3).for_each(|_| fill(&mut desk));
    assert_eq!((desk.cuts.len(), desk.opened.len(), desk.posted.len()), (2, 2, 0));
    desk.seal(0);
    assert_eq!((desk.opened.len(), &desk.posted[..]), (3, &[1][..]));
    desk.executed(included);
    desk.durable();
    desk.wait(50);
    desk.durable();
    desk.seal(1);
    desk.seal(2);
    fill(&mut desk);
    assert_eq!((desk.opened.len(), &desk.posted[..]), (3, &[1, 2, 3][..]));
    desk.step(Event::Committed { generation: 0, number: 2 });
    assert_eq!((desk.opened.len(), desk.executing.len()), (4, 1));
}

#[test]
fn the_data_the_l1_is_owed_is_bounded() {
    let limits = Limits { uncommitted_bytes_max: BATCH_BYTES_MAX as u64, ..Limits::default() };
    let mut desk = Desk::new(limits);
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    run(&mut desk, included);
    desk.wait(50);
    run(&mut desk, included);
    desk.seal(0);
    desk.submit(2, &Person::new(2).verified(&Wish::new(0, 1)));
    assert_eq!(desk.opened.len(), 1, "another batch might be over");
    desk.step(Event::Committed { generation: 0, number: 1 });
    assert_eq!(desk.opened.len(), 2);
}

#[test]
fn a_driver_that_contradicts_itself_is_told() {
    let mut desk = Desk::new(Limits::default());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    let mut faults = Vec::new();
    let full = || vec![Execution::Full; 2];
    let wrong = [
        Event::Executed { generation: 0, batch: 2, results: full() },
        Event::Executed { generation: 0, batch: 1, results: full() },
        Event::InboxExecuted { generation: 0, batch: 1, taken: 1, gas: 0 },
        Event::Durable { append: 0 },
        Event::Sealed { header: crate::fixture::header_of(&cut_of_nothing()) },
        Event::Committed { generation: 0, number: 1 },
        Event::Reverted { state: crate::fixture::founding_state(), generation: 0 },
        Event::L1Block { time: FOUNDED, entries: vec![deposit(1, FOUNDED)] },
        Event::L1Block { time: FOUNDED, entries: vec![deposit(0, FOUNDED + 1)] },
    ];
    for event in wrong {
        faults.push(desk.sequencer.step(desk.now, event, &mut Vec::new()).expect_err("contradicts"));
    }
    assert!(
        matches!(
            faults[..],
            [
                Fault::NotOpen { found: 2, open: Some(1) },
                Fault::Results { found: 2, outstanding: 1 },
                Fault::Inbox { .. },
                Fault::Append { found: 0, asked: 0 },
                Fault::Sealed { what: "number", .. },
                Fault::Committed { found: 1, posted: 0 },
                Fault::Generation { found: 0, current: 0 },
                Fault::InboxOrder { index: 1, expected: 0, .. },
                Fault::InboxOrder { index: 0, .. },
            ]
        ),
        "{faults:?}"
    );
}

fn cut_of_nothing() -> ghostplane_sequencer::Cut {
    let opening = ghostplane_sequencer::Opening { generation: 0, number: 1, time: FOUNDED };
    ghostplane_sequencer::Cut { opening, inbox_upto: 0, log_upto: 0, gas: 0, posted_bytes_max: 0 }
}

#[test]
fn a_full_pool_says_when_to_come_back() {
    let mut desk = Desk::new(Limits { pool_transactions_max: 200, unsealed_batches_max: 1, ..Limits::default() });
    let wish = Wish { gas_limit: 5_000, ..Wish::new(0, 3) };
    // A hundred in each quarter of a second: the rate of the drain comes down to 400 a second.
    for (round, transactions) in (0..).zip(crowd(2_000, wish).chunks(100)) {
        let submissions =
            (0..).zip(transactions).map(|(at, verified)| submission(round * 100 + at, verified.clone(), 0));
        desk.step(Event::Submitted(submissions.collect()));
        desk.executed(included);
        desk.durable();
        desk.wait(250);
        desk.durable();
        let cut = desk.cuts.len() - 1;
        desk.seal(cut);
    }
    let rate = desk.sequencer.status().drain_per_second;
    assert!((390..=500).contains(&rate), "{rate}");
    let more: Vec<_> = (0..200).map(|number| Person::new(9_000 + number).verified(&wish)).collect();
    submit_all(&mut desk, &more);
    let Some(Refusal::Busy { retry_after_ms }) = desk.sequencer.busy(3) else { panic!("there is no room") };
    assert_eq!(retry_after_ms, 200_000 / rate);
    desk.submit(10_000, &Person::new(1).verified(&wish));
    assert_eq!(desk.refusal_of(10_000), Some(&Refusal::Busy { retry_after_ms }));
}

#[test]
fn batch_time_may_lead_the_l1_by_what_a_commitment_takes() {
    let config = ghostplane_sequencer::Config { l1_ahead_ms: 700, ..crate::fixture::config(Limits::default()) };
    let mut desk = Desk::new(Limits::default());
    desk.sequencer = ghostplane_sequencer::Sequencer::new(config, &crate::fixture::start()).expect("limits of a test");
    desk.now = FOUNDED + 5_000;
    desk.l1_block(FOUNDED + 1_000, Vec::new());
    desk.submit(1, &Person::new(1).verified(&Wish::new(0, 1)));
    assert_eq!(desk.opened[0].time, FOUNDED + 1_700);
}
