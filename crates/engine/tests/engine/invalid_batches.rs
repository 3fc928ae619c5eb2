//! What cannot be a batch, and what an honest batch must survive.

use crate::story::{
    Story, Watcher, address, amount, gcc, genesis, l1_address, leave, mana, pay, pay_to, record_of, sign, units,
};
use ghostplane_engine::execute::InvalidBatch;
use ghostplane_engine::replay::{ProduceError, Produced, produce};
use ghostplane_engine::{
    BatchError, Difference, ExecuteError, Halt, PostedError, ProposedBatch, Verdict, Verified, check_inbox, execute,
    verify_all,
};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{Changeset, ObjectChange, SlotChange, StateView};
use ghostplane_types::account::Lane;
use ghostplane_types::amount::AMOUNT_MAX;
use ghostplane_types::limits::{
    ACTIONS_MAX, BATCH_BYTES_MAX, BATCH_GAS_MAX, BATCH_TRANSACTIONS_MAX, BATCH_WITHDRAWALS_MAX, WITNESS_BYTES_MAX,
};
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, AssetId, Encode, InboxEntry, InboxPayload, KeyRef, Nonce, ObjectKey,
    Reject, Slot, SlotIndex, SlotKind, Transaction, TransactionBody, Withdrawal,
};

impl Story {
    /// Proposes a batch of these inbox entries and the pool, whatever is wrong with it.
    fn propose(&self, time: u64, inbox: &[InboxEntry], posted_bytes: usize) -> Result<ProposedBatch, BatchError> {
        let verified = self.verify(self.pool.clone()).into_iter().collect::<Result<Vec<_>, _>>();
        let checked = check_inbox(&self.plane, &self.keystone, inbox).expect("the whole state misses nothing");
        ProposedBatch::new(self.state, 0, time, checked, verified.expect("good signatures"), posted_bytes)
    }

    /// Why the whole inbox and pool cannot be executed.
    fn halt(&self) -> Halt {
        let proposed = self.propose(self.time, self.inbox_open(), 0).expect("a batch as far as its form goes");
        execute(&self.plane, &self.keystone, &proposed).expect_err("invalid")
    }
}

#[test]
fn a_batch_has_something_in_it_and_not_too_much() {
    let mut story = Story::new();
    assert_eq!(story.propose(story.time, &[], 0).expect_err("empty"), BatchError::Empty);
    assert!(matches!(story.try_seal(), Err(ProduceError::Batch(BatchError::Empty))));

    for _ in 0..=BATCH_TRANSACTIONS_MAX {
        story.deposit("alice", units(1_000));
    }
    let found = BATCH_TRANSACTIONS_MAX + 1;
    assert!(
        matches!(story.try_seal(), Err(ProduceError::Batch(BatchError::TooMany { found: count })) if count == found)
    );
    let full = &story.inbox_open()[1..].to_vec();
    let renumbered: Vec<InboxEntry> =
        full.iter().cloned().zip(0..).map(|(entry, index)| InboxEntry { index, ..entry }).collect();
    assert!(story.propose(story.time, &renumbered, BATCH_BYTES_MAX).is_ok());
    let found = BATCH_BYTES_MAX + 1;
    assert_eq!(story.propose(story.time, &renumbered, found).expect_err("long"), BatchError::TooLarge { found });
}

#[test]
fn what_does_not_fit_the_posted_form_is_not_posted() {
    let mut story = Story::new();
    story.deposit("alice", gcc(100)).seal();
    let strangers = |tx: usize| {
        let stranger = move |at: usize| {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&(tx * ACTIONS_MAX + at).to_le_bytes());
            Address::from_bytes(bytes)
        };
        (0..ACTIONS_MAX).map(|at| pay_to(stranger(at), units(1))).collect::<Vec<Action>>()
    };
    for tx in 0..120 {
        story.act("alice", &strangers(tx));
    }
    assert!(
        matches!(story.try_seal(), Err(ProduceError::Posted(PostedError::Oversized(bytes))) if bytes > BATCH_BYTES_MAX)
    );
}

#[test]
fn time_does_not_run_backwards() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    let now = story.state.time;
    story.deposit("alice", gcc(10));
    let entry = story.inbox_open()[0].clone();
    let floor = entry.l1_time;
    assert!(floor > now);
    for time in [0, now - 1] {
        let refused = story.propose(time, &[], 0).expect_err("empty as well");
        assert_eq!(refused, BatchError::Empty);
        let refused = story.propose(time, story.inbox_open(), 0).expect_err("before the batch ahead");
        assert_eq!(refused, BatchError::TimeBackwards { time, floor: now });
    }
    let refused = story.propose(floor - 1, story.inbox_open(), 0).expect_err("before the L1 took the entry");
    assert_eq!(refused, BatchError::TimeBackwards { time: floor - 1, floor });
    assert!(story.propose(floor, story.inbox_open(), 0).is_ok());

    // Before the batch ahead no posted form can be; before the entry it can, and convicts.
    let watcher = story.watcher();
    assert!(matches!(watcher.encode(now - 1, 1, &[]), Err(PostedError::NotPostable { .. })));
    let posted = watcher.encode(floor - 1, 1, &[]).expect("as far as its form goes");
    let verdict = watcher.judge(&posted, &watcher.plausible_header(&posted));
    assert_eq!(verdict, Verdict::Differs(Difference::Batch(BatchError::TimeBackwards { time: floor - 1, floor })));
}

#[test]
fn the_inbox_is_consumed_in_order_and_without_gaps() {
    let mut story = Story::new();
    story.deposit("alice", gcc(1)).seal();
    story.deposit("alice", gcc(2)).deposit("bob", gcc(3)).force("alice", &[pay("bob", units(1))]);
    let [first, second, third] = <[InboxEntry; 3]>::try_from(story.inbox_open().to_vec()).expect("three entries");
    let old = story.inbox[0].clone();
    let orders = [
        (vec![&second, &third], 2, 1),
        (vec![&first, &third], 3, 2),
        (vec![&second, &first], 2, 1),
        (vec![&first, &first], 1, 2),
        (vec![&first, &second, &second], 2, 3),
        (vec![&old, &first], 0, 1),
    ];
    for (entries, found, expected) in orders {
        let entries: Vec<InboxEntry> = entries.into_iter().cloned().collect();
        let refused = story.propose(story.time, &entries, 0).expect_err("out of order");
        assert_eq!(refused, BatchError::InboxOrder { found, expected });
        let batch = Produced { time: story.time, transactions: Vec::new() };
        let mut keystone = story.keystone.clone();
        let made = produce(&story.plane, &mut keystone, &story.state, 0, &entries, batch, &Serial);
        assert!(matches!(made, Err(ProduceError::Batch(BatchError::InboxOrder { .. }))));
        assert_eq!(keystone.roots(), story.keystone.roots());
    }
    // A part from the front is fine; so is what an operator leaves for later.
    assert!(story.propose(story.time, &[first, second], 0).is_ok());
    story.seal();
    assert_eq!(story.codes(), [0, 0, 0]);
}

#[test]
fn a_batch_with_a_transaction_that_may_not_be_in_it_changes_nothing() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    let root = story.keystone.roots();
    let good = sign("alice", story.body("alice", Nonce::LANE_ROOT, &[pay("bob", gcc(1))]));
    let mut body = good.body.clone();
    body.nonce.seq += 1;
    let early = sign("alice", body);

    // The operator's own mistakes: the order of a lane, and a fee that nobody can pay.
    story.pool = vec![early.clone(), good.clone()];
    let reject = Reject::NonceGap { found: 1, next: 0 };
    assert_eq!(story.halt(), Halt::Invalid(InvalidBatch::Transaction { position: 0, reject }));
    assert!(matches!(story.try_seal(), Err(ProduceError::Posted(PostedError::NotPostable { position: 0, .. }))));
    let penniless = sign("dave", story.body("dave", Nonce::LANE_ROOT, &[pay("bob", gcc(1))]));
    story.pool = vec![good.clone(), penniless];
    let made = story.try_seal();
    assert!(matches!(
        made,
        Err(ProduceError::Halt(Halt::Invalid(InvalidBatch::Transaction {
            position: 1,
            reject: Reject::FeeUnpayable { .. }
        })))
    ));
    assert_eq!(story.keystone.roots(), root);

    story.pool = vec![good, early];
    story.seal();
    assert_eq!(story.balance("bob"), gcc(2).amount.units());
}

#[test]
fn a_batch_has_only_so_much_gas() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10)).seal();
    // Each of these uses a little over 100,000 gas, so 1,000 of them are more than a batch has.
    let many = vec![pay("bob", units(1)); ACTIONS_MAX];
    for _ in 0..1_000 {
        story.act("alice", &many);
    }
    let Halt::Invalid(InvalidBatch::Gas { gas }) = story.halt() else { panic!("{}", story.halt()) };
    assert!(gas > BATCH_GAS_MAX);
    assert!(matches!(story.try_seal(), Err(ProduceError::Halt(Halt::Invalid(InvalidBatch::Gas { .. })))));
    let watcher = story.watcher();
    let posted = watcher.encode(story.time, 0, &story.pool).expect("short enough");
    let verdict = watcher.judge(&posted, &watcher.plausible_header(&posted));
    assert_eq!(verdict, Verdict::Differs(Difference::Invalid(InvalidBatch::Gas { gas })));
}

#[test]
fn a_batch_has_only_so_many_withdrawals() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    let many = vec![leave("alice", units(1)); ACTIONS_MAX];
    for _ in 0..=BATCH_WITHDRAWALS_MAX / ACTIONS_MAX {
        story.force("alice", &many);
    }
    let withdrawals = BATCH_WITHDRAWALS_MAX + ACTIONS_MAX;
    assert!(
        matches!(story.halt(), Halt::Invalid(InvalidBatch::Effects { withdrawals: found, .. }) if found == withdrawals)
    );
    assert!(matches!(story.try_seal(), Err(ProduceError::Halt(Halt::Invalid(InvalidBatch::Effects { .. })))));
}

#[test]
fn no_more_crosses_in_one_batch_than_an_amount_can_say() {
    let mut story = Story::new();
    story.deposit("alice", mana(AMOUNT_MAX)).deposit("bob", mana(1));
    let invalid = InvalidBatch::FlowOverflow { asset: AssetId::ZMAN };
    assert_eq!(story.halt(), Halt::Invalid(invalid.clone()));
    assert!(matches!(story.try_seal(), Err(ProduceError::Halt(Halt::Invalid(found))) if found == invalid));
}

#[test]
fn a_batch_too_wide_for_a_witness_is_invalid_and_can_be_shown_to_be() {
    let mut story = Story::new();
    story.deposit("alice", gcc(100)).seal();
    let crowd: Vec<Address> = (0..1 << 16).map(|at: u32| stranger(at)).collect();
    story.make_up(&accounts_of(&story, &crowd));
    // Entries that do not verify are read for as well.
    for sender in &crowd[..5] {
        let body = story.body("mallory", Nonce::LANE_FORCED, &[pay("bob", units(1))]);
        let body = TransactionBody { sender: *sender, key_ref: KeyRef::Registered(0), ..body };
        story.force_bytes(&sign("mallory", body).to_bytes());
    }
    let (few, many) = (40, 100);
    for at in 0..few {
        story.act("alice", &pay_each(&crowd[at * ACTIONS_MAX..][..ACTIONS_MAX]));
    }
    let watcher = story.watcher();
    let posted = watcher.encode(story.time, 5, &story.pool).expect("short");
    assert!(watcher.witness(&posted).len() < WITNESS_BYTES_MAX);
    for at in few..many {
        story.act("alice", &pay_each(&crowd[at * ACTIONS_MAX..][..ACTIONS_MAX]));
    }
    assert!(matches!(story.try_seal(), Err(ProduceError::Halt(Halt::Invalid(InvalidBatch::Witness { .. })))));

    // The liar may claim what he likes: the witness of what a replay reads before it stops fits.
    let posted = watcher.encode(story.time, 5, &story.pool).expect("short enough");
    let witness = watcher.witness(&posted);
    assert!(witness.len() <= WITNESS_BYTES_MAX, "{} bytes", witness.len());
    let verdict = watcher.judge_by(&posted, &watcher.plausible_header(&posted), &witness);
    assert!(matches!(verdict, Verdict::Differs(Difference::Invalid(InvalidBatch::Witness { .. }))), "{verdict:?}");

    story.pool.truncate(few);
    story.seal();
    assert_eq!(story.codes(), [[108; 5].as_slice(), &[0; 40]].concat());
}

fn stranger(number: u32) -> Address {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Address::from_bytes(bytes)
}

fn pay_each(people: &[Address]) -> Vec<Action> {
    people.iter().map(|to| pay_to(*to, units(1))).collect()
}

/// Accounts with an empty slot of GCC each, as if somebody had paid them and they had spent it.
pub fn accounts_of(story: &Story, people: &[Address]) -> Changeset {
    let first = story.keystone.roots().slots_used;
    let mut slots = Vec::new();
    let mut objects = Vec::new();
    for (address, index) in people.iter().zip(first..) {
        let index = SlotIndex::new(index).expect("small");
        let owner = address.owner_digest();
        let new = Slot { kind: SlotKind::Account, owner, asset: AssetId::GCC, balance: Amount::ZERO };
        slots.push(SlotChange { index, old: None, new });
        let mut record = AccountRecord::new(*address);
        record.insert_slot(AssetId::GCC, index);
        objects.push(ObjectChange { key: ObjectKey::account(address), old: None, new: Some(record.to_bytes().into()) });
    }
    objects.sort_unstable_by_key(|change| change.key);
    Changeset::new(slots, objects).expect("in order")
}

#[test]
fn execution_wants_the_state_that_the_batch_starts_from() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10));
    let proposed = story.propose(story.time, story.inbox_open(), 0).expect("a batch");
    let earlier = story.keystone.clone();
    story.seal();
    assert!(execute(&story.plane, &earlier, &proposed).is_ok());
    let refused = execute(&story.plane, &story.keystone, &proposed);
    assert!(matches!(refused, Err(Halt::Fault(ExecuteError::Inconsistent(_)))));
}

#[test]
fn a_deposit_that_the_l1_should_have_refused_stops_the_node() {
    for (asset, amount) in [(AssetId::GCC, Amount::ZERO), (AssetId::new(7).expect("small"), amount(1))] {
        let mut story = Story::new();
        story.deposit("alice", gcc(10));
        let (from, to) = (l1_address("alice"), address("alice"));
        story.inbox[0].payload = InboxPayload::Deposit { from, to, asset, amount };
        assert!(matches!(story.halt(), Halt::Fault(ExecuteError::Inconsistent(_))));
        assert!(matches!(story.try_seal(), Err(ProduceError::Halt(Halt::Fault(_)))));
    }
}

// What an honest batch must survive.

#[test]
fn who_registers_through_the_inbox_may_act_in_the_log_of_the_same_batch() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    // The pool saw Alice's key in a transaction that no batch took, and verified the next one by it.
    let carries = sign("alice", story.body("alice", Nonce::LANE_ROOT, &[pay("bob", gcc(1))]));
    let names = TransactionBody {
        key_ref: KeyRef::Registered(0),
        ..story.body("alice", Nonce::LANE_ROOT, &[pay("bob", gcc(2))])
    };
    let names = sign("alice", names);
    let verified = verify_all(&story.plane, &story.keystone, &Serial, vec![carries, names]).expect("the whole state");
    let names: Verified = verified.into_iter().nth(1).expect("two").expect("verified by the first one's key");

    story.force("alice", &[pay("bob", gcc(3))]);
    let watcher = story.watcher();
    let batch = Produced { time: story.time, transactions: vec![names] };
    let made = produce(&story.plane, &mut story.keystone, &story.state, 0, &watcher.inbox, batch, &Serial);
    let (sealed, posted) = made.expect("the forced transaction registers her first");
    assert_eq!(watcher.judge(&posted, sealed.header()), Verdict::Same);
    assert_eq!(story.balance("bob"), gcc(5).amount.units());
}

#[test]
fn no_slot_overflows_by_the_journal_for_fees_that_are_still_in_it() {
    let mut story = Story::new();
    story.deposit("bob", gcc(10)).seal();
    story.deposit("alice", units(AMOUNT_MAX)).seal();
    // Alice's fee is out of her reach at once and leaves her slot when the batch ends. Until then the slot is full.
    story.act("alice", &[pay("bob", units(0))]).transfer("bob", "alice", units(1)).seal();
    assert_eq!(story.codes(), [203, 201]);
    story.transfer("bob", "alice", units(1)).seal();
    assert_eq!(story.codes(), [0]);
}

#[test]
fn a_lane_that_is_used_up_is_closed() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10)).seal();
    story.transfer("alice", "bob", units(1)).seal();
    story.make_up(&alice_at(&story, u64::MAX - 1));
    let last = |seq| {
        let nonce = Nonce { lane: Nonce::LANE_ROOT, seq };
        let body = TransactionBody { nonce, ..story.body("alice", 0, &[pay("bob", units(1))]) };
        sign("alice", body)
    };
    let (one_left, none_left) = (last(u64::MAX - 1), last(u64::MAX));
    assert_eq!(story.refusal(&one_left), None);
    story.pool.push(one_left.clone());
    assert_eq!(story.refusal(&none_left), Some(Reject::LaneClosed { lane: 0 }));
    let watcher = story.watcher();
    for batch in [vec![one_left.clone(), none_left.clone()], vec![one_left.clone(), none_left.clone(), none_left]] {
        let posted = watcher.encode(story.time, 0, &batch).expect("as far as its form goes");
        let verdict = watcher.judge(&posted, &watcher.plausible_header(&posted));
        let reject = Reject::LaneClosed { lane: 0 };
        assert_eq!(verdict, Verdict::Differs(Difference::Invalid(InvalidBatch::Transaction { position: 1, reject })));
    }
    story.seal();
    let next = record_of(&story.keystone, &address("alice")).expect("registered").next_in_lane(0);
    assert_eq!(next, u64::MAX);
}

/// A state in which Alice has used nearly all of her sequence numbers.
fn alice_at(story: &Story, next: u64) -> Changeset {
    let mut record = record_of(&story.keystone, &address("alice")).expect("registered");
    let old = Some(record.to_bytes().into());
    record.lanes = [Lane { lane: Nonce::LANE_ROOT, next }].into_iter().collect();
    let key = ObjectKey::account(&address("alice"));
    Changeset::new(Vec::new(), vec![ObjectChange { key, old, new: Some(record.to_bytes().into()) }]).expect("in order")
}

#[test]
fn counts_that_no_plane_reaches_are_judged_without_panic() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    story.act("alice", &[leave("alice", units(1))]).seal();
    let (before, posted) = (&story.last().before, &story.last().posted);
    let witness = before.witness(posted);
    let claims: [fn(&mut Watcher); 7] = [
        |watcher| watcher.prev.outbox_upto = u64::MAX,
        |watcher| watcher.prev.log_upto = u64::MAX,
        |watcher| watcher.prev.inbox_upto = u64::MAX,
        |watcher| watcher.prev.number = u64::MAX - 1,
        |watcher| watcher.prev.roots.slots_used = u32::MAX,
        |watcher| watcher.prev.roots.objects_used = u32::MAX,
        |watcher| watcher.prev.time = u64::MAX,
    ];
    for claim in claims {
        let mut watcher = before.clone();
        claim(&mut watcher);
        let verdict = watcher.judge_by(posted, &watcher.plausible_header(posted), &witness);
        assert_ne!(verdict, Verdict::Same);
    }
    let mut watcher = before.clone();
    watcher.prev.number = u64::MAX;
    let header = *story.header();
    let verdict = watcher.judge_by(posted, &header, &witness);
    assert_eq!(verdict, Verdict::Differs(Difference::Header("number")));
}

#[test]
fn a_deposit_that_the_plane_cannot_hold_goes_back() {
    let mut terms = genesis();
    terms.objects_max = 256;
    let mut story = Story::of(terms);
    let room = 256 - story.keystone.roots().objects_used;
    for at in 0..room {
        story.deposit_to(stranger(at), units(5));
    }
    story.deposit("late", units(70)).deposit_to(stranger(0), mana(9)).deposit("late", mana(8)).seal();
    let expected = [vec![0; room as usize], vec![208, 0, 208]].concat();
    assert_eq!(story.codes(), expected);
    let returned: Vec<(AssetId, u64)> =
        story.withdrawals().iter().map(|withdrawal| (withdrawal.asset, withdrawal.amount.units())).collect();
    assert_eq!(returned, [(AssetId::GCC, 70), (AssetId::ZMAN, 8)]);
    let to_payer =
        |withdrawal: &Withdrawal| withdrawal.to == l1_address("depositor") && withdrawal.owner == address("late");
    assert!(story.withdrawals().iter().all(to_payer));
    assert!(story.record("late").is_none());
    assert_eq!(story.balance_of(story.plane.returns(), AssetId::GCC), 0);
}

#[test]
fn transactions_are_told_from_those_of_a_twin_plane() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    let mut terms = genesis();
    terms.gas_price = 2;
    let mut twin = Story::of(terms);
    twin.deposit("alice", gcc(10)).seal();
    let transaction: Transaction = sign("alice", twin.body("alice", 0, &[pay("bob", gcc(1))]));
    let (found, expected) = (twin.plane.plane_id(), story.plane.plane_id());
    assert_eq!(story.refusal(&transaction), Some(Reject::WrongPlane { found, expected }));
}
