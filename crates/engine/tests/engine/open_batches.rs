//! Batches that are executed while they fill: the same as whole ones, and no trace of what is not in them.

use crate::random::{CROWD, Random, busy_plane};
use crate::story::{Story, Watcher, address, gcc, leave, mana, pay, pay_to, sign, units};
use ghostplane_engine::execute::InvalidBatch;
use ghostplane_engine::{
    BatchError, CheckedEntry, Closed, ExecuteError, Halt, InboxTaken, OpenBatch, ProposedBatch, Pushed, Verdict,
    Verified, check_inbox, execute,
};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::Keystone;
use ghostplane_types::amount::AMOUNT_MAX;
use ghostplane_types::limits::{
    ACTIONS_MAX, BATCH_BYTES_MAX, BATCH_GAS_MAX, BATCH_TRANSACTIONS_MAX, BATCH_WITHDRAWALS_MAX, WITNESS_BOUND_MAX,
};
use ghostplane_types::{Action, Address, InboxEntry, KeyRef, Nonce, Reject, Transaction, TransactionBody};
use std::sync::Arc;

/// What became of everything that was given to an open batch.
pub struct Filled {
    pub taken: usize,
    pub pushed: Vec<Pushed>,
    /// `None` if nothing is in it.
    pub closed: Option<Closed>,
}

/// Fills a batch in groups of random sizes, and checks that it is what executing the same batch whole gives.
pub fn fill(
    watcher: &Watcher,
    time: u64,
    inbox: &[InboxEntry],
    transactions: &[Arc<Verified>],
    random: &mut Random,
) -> Filled {
    let Watcher { plane, keystone, prev, .. } = watcher;
    let checked = check_inbox(plane, keystone, inbox).expect("the whole state misses nothing");
    let mut open = OpenBatch::open(plane, keystone, *prev, 0, time).expect("a time that follows");
    let (taken, inbox_gas) = fill_inbox(&mut open, checked.clone(), random);

    let mut pushed = Vec::new();
    let mut rest = transactions;
    while !rest.is_empty() {
        let (group, behind) = rest.split_at(1 + random.below(rest.len().min(700)));
        let answers = open.push(group).expect("an honest state");
        assert_eq!(answers.len(), group.len());
        pushed.extend(answers);
        rest = behind;
    }
    let first_full = pushed.iter().position(|pushed| *pushed == Pushed::Full);
    assert_eq!(open.is_full(), first_full.is_some());
    let all_full = |from: usize| pushed[from..].iter().all(|pushed| *pushed == Pushed::Full);
    assert!(first_full.is_none_or(all_full), "one that fits follows one that does not");

    let mut included = Vec::new();
    let mut bytes = 0;
    let mut outcomes = Vec::new();
    for (pushed, verified) in pushed.iter().zip(transactions) {
        if let Pushed::Included { outcome, posted_bytes, .. } = pushed {
            included.push(Verified::clone(verified));
            outcomes.push(*outcome);
            bytes += *posted_bytes as usize;
        }
    }
    assert_eq!(open.is_empty(), taken + included.len() == 0);
    if open.is_empty() {
        let halt = open.close().expect_err("an empty batch");
        assert_eq!(halt, Halt::Invalid(InvalidBatch::Batch(BatchError::Empty)));
        return Filled { taken, pushed, closed: None };
    }
    let said = open.posted_bytes();
    let closed = open.close().expect("a batch within its limits");

    let plain: Vec<Transaction> = included.iter().map(|verified| verified.transaction().clone()).collect();
    let posted = watcher.encode(time, taken as u64, &plain).expect("what is in a batch can be posted");
    assert!(closed.posted == posted, "the posted form is another one");
    assert_eq!(said, posted.len());
    let empty = watcher.encode(time, taken as u64, &[]).expect("no transaction").len();
    assert!(posted.len() - bytes - empty <= 1, "transactions take {bytes} bytes of {}", posted.len());
    let inbox = checked[..taken].to_vec();
    let proposed = ProposedBatch::new(*prev, 0, time, inbox, included, posted.len()).expect("a batch");
    let executed = execute(plane, keystone, &proposed).expect("a batch within its limits");
    assert!(closed.executed == executed, "the whole batch does something else");
    let records = closed.executed.records();
    assert_eq!(records[..taken].iter().map(|record| record.2.gas).sum::<u64>(), inbox_gas);
    assert_eq!(records[taken..].iter().map(|record| record.2).collect::<Vec<_>>(), outcomes);
    Filled { taken, pushed, closed: Some(closed) }
}

fn fill_inbox(open: &mut OpenBatch<'_, Keystone>, mut entries: Vec<CheckedEntry>, random: &mut Random) -> (usize, u64) {
    let (mut taken, mut gas) = (0, 0);
    while !entries.is_empty() {
        let given: Vec<CheckedEntry> = entries.drain(..1 + random.below(entries.len())).collect();
        let count = given.len();
        let took = open.inbox(given).expect("an honest state");
        taken += took.taken;
        gas += took.gas;
        if took.taken < count {
            break;
        }
    }
    (taken, gas)
}

impl Filled {
    /// Has a stranger judge the batch by its witness.
    pub fn judge(&self, watcher: &Watcher) {
        let Some(Closed { executed, posted }) = self.closed.clone() else { return };
        let roots = watcher.keystone.clone().apply(executed.changes(), &Serial).expect("changes of this state");
        let sealed = executed.seal(&watcher.plane, roots);
        assert_eq!(watcher.judge(&posted, sealed.header()), Verdict::Same);
    }

    /// How many transactions are in it.
    fn included(&self) -> usize {
        self.pushed.iter().filter(|pushed| matches!(pushed, Pushed::Included { .. })).count()
    }

    fn posted(&self) -> &[u8] {
        &self.closed.as_ref().expect("something is in it").posted
    }
}

impl Story {
    /// The pool, checked.
    fn checked_pool(&self) -> Vec<Arc<Verified>> {
        self.verify(self.pool.clone())
            .into_iter()
            .map(|verified| Arc::new(verified.expect("good signatures")))
            .collect()
    }

    /// Fills a batch with the whole inbox and pool as far as it goes, and has it judged.
    pub fn fill(&self) -> Filled {
        let watcher = self.watcher();
        let filled = fill(&watcher, self.time, self.inbox_open(), &self.checked_pool(), &mut Random(9));
        filled.judge(&watcher);
        filled
    }
}

/// Asserts that one more than `included` transactions did not fit.
fn assert_full_after(filled: &Filled, included: usize, given: usize) {
    assert_eq!((filled.included(), filled.pushed.len()), (included, given));
    assert_eq!(filled.pushed[included..], vec![Pushed::Full; given - included]);
    assert!(included < given);
}

fn stranger(number: usize) -> Address {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Address::from_bytes(bytes)
}

fn strangers(group: usize) -> Vec<Action> {
    (0..ACTIONS_MAX).map(|at| pay_to(stranger(group * ACTIONS_MAX + at), units(1))).collect()
}

#[test]
fn what_is_rejected_leaves_no_trace() {
    let mut random = Random(3);
    for _ in 0..8 {
        let story = busy_plane(&mut random);
        let watcher = story.watcher();
        let pool = story.checked_pool();
        let alone = fill(&watcher, story.time, story.inbox_open(), &pool, &mut random);
        // What was used already comes again at any place behind, and other people's mistakes in between.
        let mut mixed: Vec<(Arc<Verified>, bool)> = Vec::new();
        for (at, verified) in pool.iter().enumerate() {
            mixed.push((verified.clone(), true));
            for _ in 0..random.below(3) {
                mixed.push((pool[random.below(at + 1)].clone(), false));
            }
            if random.one_in(2) {
                let who = random.pick(&CROWD);
                let mut body = story.body(who, Nonce::LANE_ROOT, &strangers(random.below(1_000)));
                match random.below(3) {
                    0 => body.nonce.seq += 1_000,
                    1 => body.valid_until = story.time - 1,
                    _ => body.gas_price_max = 0,
                }
                mixed.push((Arc::new(story.verify(vec![sign(who, body)]).remove(0).expect("good")), false));
            }
        }
        let all: Vec<Arc<Verified>> = mixed.iter().map(|(verified, _)| verified.clone()).collect();
        let among = fill(&watcher, story.time, story.inbox_open(), &all, &mut random);
        let kept: Vec<Pushed> = among.pushed.iter().zip(&mixed).filter(|(_, m)| m.1).map(|(p, _)| p.clone()).collect();
        assert_eq!(kept, alone.pushed);
        assert!(
            among.pushed.iter().zip(&mixed).all(|(pushed, mixed)| mixed.1 != matches!(pushed, Pushed::Rejected(_)))
        );
        let (alone, among) = (alone.closed.expect("busy"), among.closed.expect("busy"));
        assert!(alone.executed == among.executed && alone.posted == among.posted);
    }
}

#[test]
fn a_flood_of_rejected_transactions_does_not_fill_a_batch() {
    let mut story = Story::new();
    story.deposit("alice", gcc(100)).deposit("mallory", gcc(1)).seal();
    // Ten times what a witness can hold, from somebody whose number is never up.
    let flood: Vec<Transaction> = (0..1_000)
        .map(|group| {
            let mut body = story.body("mallory", Nonce::LANE_ROOT, &strangers(group));
            body.nonce.seq = 7;
            sign("mallory", body)
        })
        .collect();
    let flood: Vec<Arc<Verified>> =
        story.verify(flood).into_iter().map(|verified| Arc::new(verified.expect("good"))).collect();
    story.deposit("carol", mana(3)).deposit("dave", gcc(3));
    for at in 0..40 {
        story.act("alice", &[pay("bob", gcc(1)), pay_to(stranger(at * 3_000), units(5)), leave("alice", units(1))]);
    }
    let (watcher, pool) = (story.watcher(), story.checked_pool());
    let inbox = story.inbox_open();
    let alone = fill(&watcher, story.time, inbox, &pool, &mut Random(1)).closed.expect("transfers");
    let all: Vec<Arc<Verified>> =
        flood.chunks(25).zip(&pool).flat_map(|(flood, one)| flood.iter().chain([one])).cloned().collect();
    let among = fill(&watcher, story.time, inbox, &all, &mut Random(1));
    let gap = Pushed::Rejected(Reject::NonceGap { found: 7, next: 0 });
    assert_eq!(among.pushed.iter().filter(|pushed| **pushed == gap).count(), 1_000);
    assert_eq!(among.included(), 40);
    let among = among.closed.expect("transfers");
    assert!(among.executed == alone.executed && among.posted == alone.posted);
}

#[test]
fn a_batch_is_full_when_it_has_its_transactions() {
    let mut story = Story::new();
    story.deposit("alice", gcc(100)).deposit("bob", gcc(1)).seal();
    story.deposit("bob", gcc(1));
    let given = BATCH_TRANSACTIONS_MAX + 10;
    for _ in 0..given {
        story.transfer("alice", "bob", units(1));
    }
    assert_full_after(&story.fill(), BATCH_TRANSACTIONS_MAX - 1, given);
    // And it stays full.
    let (watcher, pool) = (story.watcher(), story.checked_pool());
    let mut open = OpenBatch::open(&watcher.plane, &watcher.keystone, watcher.prev, 0, story.time).expect("opens");
    assert_eq!(open.push(&[]), Ok(vec![]));
    assert!(open.push(&pool).expect("an honest state")[BATCH_TRANSACTIONS_MAX..].iter().all(|p| *p == Pushed::Full));
    assert_eq!(open.push(&pool[..1]), Ok(vec![Pushed::Full]));
}

#[test]
fn a_batch_is_full_when_its_gas_is_used() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10)).seal();
    for _ in 0..1_000 {
        story.act("alice", &vec![pay("bob", units(1)); ACTIONS_MAX]);
    }
    let filled = story.fill();
    let gas = filled.closed.as_ref().expect("a batch").executed.gas();
    let each = gas / filled.included() as u64;
    assert_eq!(filled.included() as u64, BATCH_GAS_MAX / each);
    assert_full_after(&filled, filled.included(), 1_000);
}

#[test]
fn a_batch_is_full_when_its_withdrawals_are() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    story.withdraw("alice", units(1)).seal();
    let many = vec![leave("alice", units(1)); ACTIONS_MAX];
    let room = BATCH_WITHDRAWALS_MAX / ACTIONS_MAX;
    for _ in 0..room - 2 {
        story.force("alice", &many);
    }
    for _ in 0..5 {
        story.act("alice", &many);
    }
    assert_full_after(&story.fill(), 2, 5);
    // The same in the inbox.
    story.pool.clear();
    for _ in 0..5 {
        story.force("alice", &many);
    }
    assert_eq!(story.fill().taken, room);
}

#[test]
fn a_batch_is_full_when_its_posted_form_is() {
    let mut story = Story::new();
    story.deposit("alice", gcc(100)).seal();
    for group in 0..120 {
        story.act("alice", &strangers(group));
    }
    let filled = story.fill();
    assert_full_after(&filled, filled.included(), 120);
    let each = filled.posted().len() / filled.included();
    assert!(filled.posted().len() + each > BATCH_BYTES_MAX);
}

#[test]
fn a_batch_is_full_when_its_witness_would_be() {
    let mut story = Story::new();
    story.deposit("alice", gcc(100)).seal();
    let crowd: Vec<Address> = (0..1 << 16).map(stranger).collect();
    story.make_up(&crate::invalid_batches::accounts_of(&story, &crowd));
    for group in 0..100 {
        story.act("alice", &strangers(group));
    }
    let filled = story.fill();
    assert_full_after(&filled, filled.included(), 100);
    assert!(filled.included() > 40);
    // One more is what no batch may hold.
    story.pool.truncate(filled.included() + 1);
    let more: Vec<Verified> = story.checked_pool().iter().map(|verified| Verified::clone(verified)).collect();
    let proposed = ProposedBatch::new(story.state, 0, story.time, vec![], more, 0).expect("a batch by its form");
    let halt = execute(&story.plane, &story.keystone, &proposed).expect_err("too wide");
    assert!(matches!(halt, Halt::Invalid(InvalidBatch::Witness { bytes }) if bytes > WITNESS_BOUND_MAX));
}

#[test]
fn a_deposit_that_no_flow_can_say_waits_for_the_next_batch() {
    let mut story = Story::new();
    story.deposit("alice", mana(AMOUNT_MAX)).deposit("bob", mana(1)).deposit("carol", gcc(1));
    assert_eq!(story.fill().taken, 1);
    // Nor does a withdrawal fit that takes a flow over the edge; the one before it does.
    let mut story = Story::new();
    let most = mana(AMOUNT_MAX / 1_000 * 1_000);
    story.deposit("alice", gcc(1)).deposit("alice", mana(AMOUNT_MAX)).seal();
    story.act("alice", &[leave("alice", most)]).seal();
    story.deposit("alice", mana(1_000_000)).deposit("alice", gcc(1)).seal();
    story.act("alice", &[leave("alice", mana(1_000))]);
    assert_eq!(story.fill().included(), 1);
}

#[test]
fn entries_that_do_not_follow_are_not_taken() {
    let mut story = Story::new();
    story.deposit("alice", gcc(1)).deposit("bob", gcc(1)).wait(10).deposit("carol", gcc(1));
    let watcher = story.watcher();
    let take = |time: u64, indexes: &[usize]| {
        let entries: Vec<InboxEntry> = indexes.iter().map(|at| story.inbox[*at].clone()).collect();
        let filled = fill(&watcher, time, &entries, &[], &mut Random(0));
        filled.judge(&watcher);
        filled.taken
    };
    assert_eq!(take(story.time, &[0, 1, 2]), 3);
    assert_eq!(take(story.time - 1, &[0, 1, 2]), 2, "the third is from after the batch");
    assert_eq!(take(story.time, &[0, 2, 1]), 1);
    assert_eq!(take(story.time, &[1, 2]), 0);
    assert_eq!(take(story.time, &[0, 0]), 1);
    assert_eq!(take(story.time, &[]), 0);
}

#[test]
fn an_entry_that_was_not_taken_changes_nothing() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(1)).seal();
    story.deposit("carol", gcc(3)).transfer("alice", "bob", gcc(1));
    let (watcher, pool) = (story.watcher(), story.checked_pool());
    let early = story.inbox_open()[0].l1_time - 1;
    let without = fill(&watcher, early, &[], &pool, &mut Random(0)).closed.expect("a transfer");
    let with = fill(&watcher, early, story.inbox_open(), &pool, &mut Random(0));
    assert_eq!(with.taken, 0);
    assert!(with.closed.expect("a transfer").executed == without.executed);
}

#[test]
fn a_batch_opens_on_the_state_it_follows() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10)).seal();
    let Story { plane, keystone, state, .. } = &story;
    let halt = OpenBatch::open(plane, keystone, *state, 0, state.time - 1).err().expect("before the batch ahead");
    let backwards = BatchError::TimeBackwards { time: state.time - 1, floor: state.time };
    assert_eq!(halt, Halt::Invalid(InvalidBatch::Batch(backwards)));
    let empty = Keystone::new(1);
    let halt = OpenBatch::open(plane, &empty, *state, 0, state.time).err().expect("another state");
    assert!(matches!(halt, Halt::Fault(ExecuteError::Inconsistent(_))));
}

#[test]
fn the_inbox_comes_first() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(1)).seal();
    story.transfer("alice", "bob", gcc(1)).deposit("carol", gcc(1));
    let pool = story.checked_pool();
    let checked = check_inbox(&story.plane, &story.keystone, story.inbox_open()).expect("the whole state");
    let mut open = OpenBatch::open(&story.plane, &story.keystone, story.state, 0, story.time).expect("opens");
    assert_eq!(open.inbox(vec![]), Ok(InboxTaken { taken: 0, gas: 0 }));
    assert!(matches!(open.push(&pool), Ok(pushed) if matches!(pushed[..], [Pushed::Included { .. }])));
    assert!(matches!(open.inbox(checked), Err(Halt::Fault(ExecuteError::Inconsistent(_)))));
    // Whoever mixes that up does not go on.
    assert!(open.push(&pool).is_err());
    assert!(open.close().is_err());
}

#[test]
fn what_no_posted_form_can_say_is_rejected() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    let body = story.body("alice", Nonce::LANE_ROOT, &[]);
    let wordy = TransactionBody { memo: vec![1; 65], ..story.body("alice", Nonce::LANE_ROOT, &[pay("bob", gcc(1))]) };
    for body in [body, wordy] {
        story.pool = vec![sign("alice", body)];
        let filled = fill(&story.watcher(), story.time, &[], &story.checked_pool(), &mut Random(0));
        assert!(matches!(filled.pushed[..], [Pushed::Rejected(Reject::Malformed { .. })]));
        assert!(filled.closed.is_none());
    }
}

#[test]
fn an_identity_that_did_not_fit_is_not_registered() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(1)).deposit("mallory", gcc(10)).seal();
    let many = vec![leave("alice", units(1)); ACTIONS_MAX];
    for _ in 0..BATCH_WITHDRAWALS_MAX / ACTIONS_MAX {
        story.force("alice", &many);
    }
    // Carried, admitted, applied, and one withdrawal too many.
    story.act("mallory", &[pay_to(stranger(1), units(5)), leave("mallory", units(1))]);
    let last = story.pool.last().expect("just sent");
    assert!(matches!(last.body.key_ref, KeyRef::Carried(_)));
    let filled = story.fill();
    assert_full_after(&filled, story.pool.len() - 1, story.pool.len());
    let changes = filled.closed.expect("a batch").executed;
    let key = ghostplane_types::ObjectKey::account(&address("mallory"));
    assert!(changes.changes().objects().iter().all(|change| change.key != key));
}
