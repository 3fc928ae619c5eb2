//! The pool's rules, and the order in which it releases, against a list that is searched.

use crate::fixture::{Desk, FOUNDED, Person, Wish, included, standing, submission};
use crate::simulator::Random;
use ghostplane_sequencer::pool::{Refused, price_to_replace};
use ghostplane_sequencer::{Event, Execution, Limits, Pool, Refusal, Standing, Submission, Ticket};
use ghostplane_types::limits::{LANE_AHEAD_MAX, VALIDITY_MS_MAX};
use ghostplane_types::{Address, Amount, Nonce, Pay, Reject, SponsorTerms};
use std::collections::BTreeMap;

fn pool(limits: Limits) -> Pool {
    Pool::new(limits, 1, 3, 0, FOUNDED)
}

fn refusal_code(refusal: &Refusal) -> Option<u16> {
    if let Refusal::Reject(reject) = refusal { Some(reject.code()) } else { None }
}

#[test]
fn what_is_wrong_is_refused_at_the_door_by_its_code() {
    let alice = Person::new(1);
    let good = Wish::new(0, 1);
    let table: [(&str, Wish, u64, u64, Option<u16>); 12] = [
        ("good", good, 0, 1 << 60, None),
        ("no price", Wish { price: 0, ..good }, 0, 1 << 60, Some(115)),
        ("the forced lane", Wish { lane: Nonce::LANE_FORCED, ..good }, 0, 1 << 60, Some(114)),
        ("the last number", Wish { seq: u64::MAX, ..good }, u64::MAX, 1 << 60, Some(114)),
        ("expired", Wish { valid_until: FOUNDED - 1, ..good }, 0, 1 << 60, Some(110)),
        ("for this moment", Wish { valid_until: FOUNDED, ..good }, 0, 1 << 60, None),
        ("valid too long", Wish { valid_until: FOUNDED + VALIDITY_MS_MAX + 1, ..good }, 0, 1 << 60, Some(111)),
        ("far too early", Wish { valid_after: FOUNDED + 60_001, ..good }, 0, 1 << 60, Some(109)),
        ("used", good, 1, 1 << 60, Some(112)),
        ("the last of the window", Wish { seq: LANE_AHEAD_MAX - 1, ..good }, 0, 1 << 60, None),
        ("out of the window", Wish { seq: LANE_AHEAD_MAX, ..good }, 0, 1 << 60, Some(113)),
        ("unpayable", good, 0, good.gas_limit - 1, Some(118)),
    ];
    for (name, wish, next, balance, code) in table {
        let (mut pool, mut refused) = (pool(Limits::default()), Refused::new());
        let balance = Amount::new(balance).expect("below the most");
        let verified = alice.verified(&wish);
        pool.submit(
            Submission { ticket: Ticket(1), verified, standing: Standing { next, balance, mana: 0 } },
            10,
            &mut refused,
        );
        assert_eq!(refused.first().and_then(|(_, why)| refusal_code(why)), code, "{name}: {refused:?}");
        assert_eq!(pool.count(), usize::from(code.is_none()), "{name}");
    }
}

#[test]
fn a_lane_is_released_in_sequence_and_a_gap_holds_it() {
    let alice = Person::new(1);
    let (mut pool, mut refused) = (pool(Limits::default()), Refused::new());
    for (ticket, seq) in [(1, 2), (2, 0), (3, 4), (4, 1)] {
        pool.submit(submission(ticket, alice.verified(&Wish::new(seq, 5)), 0), 10, &mut refused);
    }
    let released: Vec<u64> = std::iter::from_fn(|| pool.release().map(|slot| pool.pooled(slot).ticket.0)).collect();
    assert_eq!((released, refused.len()), (vec![2, 4, 1], 0));
    pool.submit(submission(5, alice.verified(&Wish::new(3, 5)), 0), 10, &mut refused);
    let released: Vec<u64> = std::iter::from_fn(|| pool.release().map(|slot| pool.pooled(slot).ticket.0)).collect();
    assert_eq!(released, [5, 3]);
}

#[test]
fn lanes_of_one_sender_do_not_wait_for_each_other() {
    let alice = Person::new(1);
    let (mut pool, mut refused) = (pool(Limits::default()), Refused::new());
    pool.submit(submission(1, alice.verified(&Wish::new(1, 9)), 0), 10, &mut refused);
    pool.submit(submission(2, alice.verified(&Wish { lane: 3, ..Wish::new(0, 1) }), 0), 10, &mut refused);
    let slot = pool.release().expect("lane 3 has its head");
    assert_eq!((pool.pooled(slot).ticket, pool.release()), (Ticket(2), None));
}

#[test]
fn a_replacement_pays_a_tenth_more() {
    for (price, needed) in [(0, 1), (1, 2), (9, 10), (10, 11), (11, 13), (100, 110), (101, 112), (u64::MAX, u64::MAX)] {
        assert_eq!(price_to_replace(price), needed, "{price}");
    }
    let alice = Person::new(1);
    let (mut pool, mut refused) = (pool(Limits::default()), Refused::new());
    let first = alice.verified(&Wish::new(0, 100));
    pool.submit(submission(1, first.clone(), 0), 10, &mut refused);
    pool.submit(submission(2, first, 0), 10, &mut refused);
    pool.submit(submission(3, alice.verified(&Wish::new(0, 109)), 0), 10, &mut refused);
    let better = alice.verified(&Wish::new(0, 110));
    pool.submit(submission(4, better.clone(), 0), 10, &mut refused);
    let expected = [
        (Ticket(2), Refusal::Known),
        (Ticket(3), Refusal::Underpriced { found: 109, needed: 110 }),
        (Ticket(1), Refusal::Replaced { by: better.id() }),
    ];
    assert_eq!(refused, expected);
    let slot = pool.release().expect("the better one waits");
    assert_eq!((pool.pooled(slot).ticket, pool.count()), (Ticket(4), 1));
}

#[test]
fn a_full_pool_pushes_out_the_cheapest_end_never_a_middle() {
    let [alice, bob, carol] = [1, 2, 3].map(Person::new);
    let limits = Limits { pool_transactions_max: 4, ..Limits::default() };
    let (mut pool, mut refused) = (pool(limits), Refused::new());
    // Alice's cheap head has a dear one behind it: the head may not go, its tail is too dear.
    for (ticket, person, seq, price) in [(1, &alice, 0, 1), (2, &alice, 1, 50), (3, &bob, 0, 4), (4, &bob, 1, 3)] {
        pool.submit(submission(ticket, person.verified(&Wish::new(seq, price)), 0), 10, &mut refused);
    }
    assert!(refused.is_empty() && pool.is_full_for(3) && !pool.is_full_for(4));
    pool.submit(submission(5, carol.verified(&Wish::new(0, 3)), 0), 77, &mut refused);
    assert_eq!(refused.pop(), Some((Ticket(5), Refusal::Busy { retry_after_ms: 77 })));
    pool.submit(submission(6, carol.verified(&Wish::new(0, 30)), 0), 10, &mut refused);
    assert_eq!(refused.pop(), Some((Ticket(4), Refusal::Evicted)));
    // Bob's own 0 is the cheapest end, and he does not push it out to bring 1: without the one the other cannot go.
    pool.submit(submission(7, bob.verified(&Wish::new(1, 40)), 0), 10, &mut refused);
    assert_eq!(refused.pop(), Some((Ticket(6), Refusal::Evicted)));
    assert_eq!((pool.count(), refused.len()), (4, 0));
}

#[test]
fn a_large_newcomer_pushes_out_as_many_as_it_takes_or_none() {
    let crowd: Vec<Person> = (0..20).map(Person::new).collect();
    let limits = Limits { pool_bytes_max: 17_500, ..Limits::default() };
    let (mut pool, mut refused) = (pool(limits), Refused::new());
    for (ticket, person) in (0..).zip(&crowd) {
        let price = if ticket < 10 { 2 } else { 5 };
        pool.submit(submission(ticket, person.verified(&Wish::new(0, price)), 0), 10, &mut refused);
    }
    let large = Wish { actions: 256, gas_limit: 10_000_000, ..Wish::new(0, 3) };
    let bytes = pool.bytes();
    assert!(refused.is_empty() && bytes < 6_000);
    for newcomer in [100, 101] {
        // One large one fits beside the crowd; the next does not, and the ten cheap ones do not make up for it.
        let newcomer = Person::new(newcomer);
        pool.submit(submission(100, newcomer.verified(&large), 0), 10, &mut refused);
    }
    assert!(matches!(refused[..], [(Ticket(100), Refusal::Busy { .. })]), "{refused:?}");
    let dearer = Person::new(200).verified(&Wish { price: 9, ..large });
    pool.submit(submission(200, dearer, 0), 10, &mut refused);
    assert!(refused[1..].iter().all(|(_, why)| *why == Refusal::Evicted) && refused.len() > 5);
    assert!(pool.bytes() <= 17_500);
}

#[test]
fn one_sender_does_not_fill_the_pool() {
    let alice = Person::new(1);
    let limits = Limits { sender_transactions_max: 3, ..Limits::default() };
    let (mut pool, mut refused) = (pool(limits), Refused::new());
    for seq in 0..4 {
        pool.submit(submission(seq, alice.verified(&Wish::new(seq, 1)), 0), 10, &mut refused);
    }
    assert_eq!(refused, [(Ticket(3), Refusal::Busy { retry_after_ms: 10 })]);
    pool.release().expect("0 goes");
    pool.submit(submission(4, alice.verified(&Wish::new(3, 1)), 0), 10, &mut refused);
    assert_eq!(refused.len(), 2, "what is being executed counts");
}

#[test]
fn what_waits_is_paid_for() {
    let alice = Person::new(1);
    let (mut pool, mut refused) = (pool(Limits::default()), Refused::new());
    let first = alice.verified(&Wish { gas_limit: 10_000, ..Wish::new(0, 1) });
    let second = alice.verified(&Wish { gas_limit: 10_000, ..Wish::new(1, 1) });
    let poor = Standing { next: 0, balance: Amount::new(10_000).expect("small"), mana: 0 };
    pool.submit(Submission { ticket: Ticket(1), verified: first.clone(), standing: poor }, 10, &mut refused);
    pool.submit(Submission { ticket: Ticket(2), verified: second, standing: poor }, 10, &mut refused);
    let needed = 10_000 + first.gas_intrinsic();
    assert_eq!(refused, [(Ticket(2), Reject::FeeUnpayable { balance: 10_000, needed }.into())]);
}

#[test]
fn what_waits_for_mana_or_a_sponsor_is_paid_out_of_that() {
    let [alice, bob, carol] = [1, 2, 3].map(Person::new);
    let (mut pool, mut refused) = (pool(Limits::default()), Refused::new());
    let wish = |seq| Wish { gas_limit: 10_000, ..Wish::new(seq, 1) };
    let submit = |pool: &mut Pool, ticket, verified, standing, refused: &mut Refused| {
        pool.submit(Submission { ticket: Ticket(ticket), verified, standing }, 10, refused);
    };
    // Without any credits: her mana is enough for one, and for the least of another on top.
    let first = alice.verified_paying(&wish(0), Pay::Mana, None);
    let of_mana = |mana| Standing { next: 0, balance: Amount::ZERO, mana };
    submit(&mut pool, 1, first.clone(), of_mana(10_000), &mut refused);
    submit(&mut pool, 2, alice.verified_paying(&wish(1), Pay::Mana, None), of_mana(10_000), &mut refused);
    let needed = 10_000 + first.gas_intrinsic();
    assert_eq!(refused, [(Ticket(2), Reject::ManaShort { found: 10_000, needed }.into())]);
    refused.clear();
    submit(&mut pool, 3, alice.verified_paying(&wish(1), Pay::Mana, None), of_mana(needed), &mut refused);
    assert!(refused.is_empty(), "{refused:?}");
    // Credits are another purse: what waits for mana takes nothing out of it.
    let of_credits = |units| Standing { next: 0, balance: Amount::new(units).expect("small"), mana: 0 };
    submit(&mut pool, 4, alice.verified(&wish(2)), of_credits(10_000), &mut refused);
    assert!(refused.is_empty(), "{refused:?}");

    // Carol pays for both of the others, out of what she holds.
    let by_carol = |who: &Person, seq| {
        let terms = SponsorTerms { sponsor: carol.address(), fee_max: Amount::MAX, valid_until: FOUNDED + 60_000 };
        who.verified_paying(&wish(seq), Pay::Sponsor(Box::new(terms)), Some(&carol))
    };
    let sponsored = by_carol(&bob, 0);
    let needed = 10_000 + sponsored.gas_intrinsic();
    submit(&mut pool, 5, sponsored, of_credits(10_000), &mut refused);
    submit(&mut pool, 6, by_carol(&alice, 3), of_credits(10_000), &mut refused);
    assert_eq!(refused, [(Ticket(6), Reject::SponsorUnpayable { balance: 10_000, needed }.into())]);
    refused.clear();
    // Once it is gone, there is room again, and nothing is left of the purse.
    let mut released = Vec::new();
    while let Some(slot) = pool.release() {
        released.push(pool.pooled(slot).ticket.0);
    }
    assert_eq!(released, [1, 3, 4, 5]);
    submit(&mut pool, 7, by_carol(&alice, 3), of_credits(10_000), &mut refused);
    assert!(refused.is_empty(), "{refused:?}");
    // A dearer one in the same place takes its place, from another purse.
    let dearer = alice.verified_paying(&Wish { price: 2, ..wish(3) }, Pay::Mana, None);
    submit(&mut pool, 8, dearer, of_mana(1_000_000), &mut refused);
    assert!(matches!(refused[..], [(Ticket(7), Refusal::Replaced { .. })]), "{refused:?}");
}

#[test]
fn time_wakes_and_time_drops() {
    let [alice, bob] = [1, 2].map(Person::new);
    let (mut pool, mut refused) = (pool(Limits::default()), Refused::new());
    let early = Wish { valid_after: FOUNDED + 100, ..Wish::new(0, 1) };
    let brief = Wish { valid_until: FOUNDED + 150, ..Wish::new(1, 1) };
    pool.submit(submission(1, alice.verified(&early), 0), 10, &mut refused);
    pool.submit(submission(2, bob.verified(&brief), 0), 10, &mut refused);
    assert!(pool.best().is_none());
    assert_eq!(pool.next_change(), Some(FOUNDED + 100));
    pool.advance(FOUNDED + 99, &mut refused);
    assert!(pool.best().is_none());
    pool.advance(FOUNDED + 100, &mut refused);
    assert_eq!(pool.best().map(|best| best.ticket), Some(Ticket(1)));
    assert_eq!(pool.next_change(), Some(FOUNDED + 151));
    pool.advance(FOUNDED + 150, &mut refused);
    assert!(refused.is_empty());
    pool.advance(FOUNDED + 151, &mut refused);
    let (valid_until, time) = (FOUNDED + 150, FOUNDED + 151);
    assert_eq!(refused, [(Ticket(2), Reject::Expired { valid_until, time }.into())]);
}

#[test]
fn what_follows_a_refused_one_waits_for_its_number_again() {
    let alice = Person::new(1);
    let mut desk = Desk::new(Limits::default());
    let signed: Vec<_> = (0..4).map(|seq| alice.verified(&Wish::new(seq, 5))).collect();
    let submissions = (0..).zip(&signed).map(|(ticket, verified)| submission(ticket, verified.clone(), 0));
    desk.step(Event::Submitted(submissions.collect()));
    let unpayable = Reject::FeeUnpayable { balance: 0, needed: 1 };
    // 0 is included, 1 refused, and the engine finds a gap before 2 and 3.
    desk.executed(|verified| match verified.body().nonce.seq {
        0 => included(verified),
        1 => Execution::Rejected(unpayable.clone()),
        found => Execution::Rejected(Reject::NonceGap { found, next: 1 }),
    });
    assert_eq!(desk.refused, [(Ticket(1), unpayable.into())]);
    assert!(desk.executing.is_empty(), "2 and 3 wait for another 1");
    desk.submit(9, &alice.verified(&Wish::new(1, 6)));
    let seqs: Vec<u64> = desk.executing.iter().map(|verified| verified.body().nonce.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    desk.executed(included);
    desk.durable();
    desk.durable();
    assert_eq!(desk.tickets_acknowledged(), [0, 9, 2, 3]);
}

#[test]
fn a_number_used_elsewhere_moves_the_lane_on() {
    let alice = Person::new(1);
    let mut desk = Desk::new(Limits::default());
    for seq in 0..3 {
        desk.submit(seq, &alice.verified(&Wish::new(seq, 5)));
    }
    desk.executed(|verified| match verified.body().nonce.seq {
        found @ 0..2 => Execution::Rejected(Reject::NonceUsed { found, next: 2 }),
        _ => included(verified),
    });
    assert_eq!(desk.refused.len(), 2);
    desk.submit(9, &alice.verified(&Wish::new(3, 5)));
    assert_eq!(desk.executing.len(), 1);
}

/// A waiting transaction as the model keeps it.
struct Kept {
    sender: Address,
    seq: u64,
    price: u64,
    arrival: u64,
}

#[test]
fn the_best_ready_head_goes_first() {
    let crowd: Vec<Person> = (0..12).map(Person::new).collect();
    for seed in 0..20 {
        let mut random = Random(seed);
        let (mut pool, mut refused) = (pool(Limits::default()), Refused::new());
        let mut next: BTreeMap<Address, u64> = BTreeMap::new();
        let mut kept: Vec<Kept> = Vec::new();
        for arrival in 0..120 {
            let person = &crowd[random.below(crowd.len())];
            let (sender, seq, price) = (person.address(), random.below(8) as u64, 1 + random.below(6) as u64);
            let floor = next.get(&sender).copied().unwrap_or(0);
            let is_new = seq >= floor && !kept.iter().any(|kept| (kept.sender, kept.seq) == (sender, seq));
            if is_new {
                let verified = person.verified(&Wish::new(seq, price));
                pool.submit(Submission { ticket: Ticket(arrival), verified, standing: standing(0) }, 10, &mut refused);
                kept.push(Kept { sender, seq, price, arrival });
            }
            if random.below(3) == 0 {
                let is_ready = |kept: &&Kept| kept.seq == next.get(&kept.sender).copied().unwrap_or(0);
                let best = kept.iter().filter(is_ready).min_by_key(|kept| (u64::MAX - kept.price, kept.arrival));
                let best = best.map(|best| (best.arrival, best.sender, best.seq));
                let released = pool.release().map(|slot| pool.pooled(slot).ticket.0);
                assert_eq!(released, best.map(|(arrival, ..)| arrival), "seed {seed}");
                if let Some((arrival, sender, seq)) = best {
                    kept.retain(|kept| kept.arrival != arrival);
                    next.insert(sender, seq + 1);
                }
            }
        }
        assert!(refused.is_empty(), "seed {seed}: {refused:?}");
    }
}
