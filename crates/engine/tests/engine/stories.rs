//! The plane at work, told as its users would.

use crate::story::{
    OBJECT_PRICE, SLOT_PRICE, Story, ZMAN_L1_UNIT, address, amount, gcc, l1_address, leave, mana, pay, slot_of, units,
};
use ghostplane_keystone::StateView;
use ghostplane_types::{AssetId, JournalEntry, ObjectKey, Outcome, SlotIndex, Source, Withdrawal};

#[test]
fn alice_pays_bob_and_bob_takes_it_home() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    assert_eq!(story.balance("alice"), 10_000_000_000);

    story.transfer("alice", "bob", gcc(3)).seal();
    let receipt = story.receipt(0);
    assert!(receipt.is_applied());
    assert_eq!(receipt.fee, receipt.gas + SLOT_PRICE + OBJECT_PRICE);
    assert_eq!(story.balance("alice"), 7_000_000_000 - receipt.fee);
    assert_eq!(story.balance("bob"), 3_000_000_000);

    story.withdraw("bob", gcc(2)).seal();
    let (owner, to) = (address("bob"), l1_address("bob"));
    let withdrawal = Withdrawal { index: 0, owner, to, asset: AssetId::GCC, amount: gcc(2).amount };
    assert_eq!(story.withdrawals(), [withdrawal]);
    assert_eq!(story.balance("bob"), 1_000_000_000 - story.receipt(0).fee);
}

#[test]
fn money_goes_from_hand_to_hand_within_one_batch() {
    let mut story = Story::new();
    story.deposit("alice", gcc(1));
    story.transfer("alice", "bob", units(900_000_000)).transfer("bob", "carol", units(800_000_000));
    story.transfer("carol", "dave", units(700_000_000)).act("dave", &[leave("dave", units(600_000_000))]).seal();
    assert_eq!(story.codes(), [0; 5]);
    assert_eq!(story.withdrawals().len(), 1);
    let fees: Vec<u64> = (1..5).map(|at| story.receipt(at).fee).collect();
    let left = ["alice", "bob", "carol", "dave"].map(|name| story.balance(name));
    assert_eq!(left, std::array::from_fn(|at| 100_000_000 - fees[at]));
}

#[test]
fn a_shop_that_everybody_pays_does_not_slow_the_plane_and_counts_right() {
    let mut story = Story::new();
    story.deposit("shop", units(1));
    for customer in 0..1_000 {
        story.deposit(&format!("customer {customer}"), gcc(1));
    }
    story.seal();
    for customer in 0..1_000 {
        story.transfer(&format!("customer {customer}"), "shop", units(1_000 + customer));
    }
    story.seal();
    assert_eq!(story.codes(), vec![0; 1_000]);
    assert_eq!(story.balance("shop"), 1 + (0..1_000).map(|customer| 1_000 + customer).sum::<u64>());
}

#[test]
fn an_operator_who_ignores_alice_cannot_keep_her_money() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("alice", mana(7 * ZMAN_L1_UNIT)).seal();
    story.force("alice", &[leave("alice", gcc(10)), leave("alice", mana(7 * ZMAN_L1_UNIT))]).seal();
    assert_eq!((story.codes(), story.receipt(0).fee), (vec![0], 0));
    let left = story.withdrawals().iter().map(|withdrawal| (withdrawal.asset, withdrawal.amount.units()));
    assert_eq!(left.collect::<Vec<_>>(), [(AssetId::GCC, 10_000_000_000), (AssetId::ZMAN, 7_000)]);
    assert_eq!(story.balance("alice"), 0);
}

#[test]
fn a_forced_transaction_is_judged_at_the_time_the_l1_took_it() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    story.force("alice", &[pay("bob", gcc(1))]);
    // The operator leaves it lying for longer than it is valid.
    story.wait(3_600_000).seal();
    assert_eq!(story.codes(), [0]);
}

#[test]
fn forced_and_own_transactions_have_lanes_of_their_own() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    story.act("alice", &[pay("bob", units(1))]).seal();
    story.act("alice", &[pay("bob", units(2))]).force("alice", &[pay("bob", units(4))]);
    story.act("alice", &[pay("bob", units(8))]).force("alice", &[pay("bob", units(16))]).seal();
    assert_eq!(story.balance("bob"), 31);
    let record = story.record("alice").expect("registered");
    assert_eq!([0, 255].map(|lane| record.next_in_lane(lane)), [3, 2]);
}

#[test]
fn the_inbox_comes_first_and_the_log_follows() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    story.transfer("alice", "bob", units(1)).deposit("bob", gcc(1)).force("alice", &[pay("bob", units(2))]).seal();
    let sources: Vec<Source> = story.last().sealed.records().iter().map(|record| record.0).collect();
    assert_eq!(sources, [Source::Inbox(1), Source::Inbox(2), Source::Log(0)]);
    story.transfer("alice", "bob", units(1)).seal();
    assert_eq!(story.last().sealed.records()[0].0, Source::Log(1));
    assert_eq!((story.header().inbox_upto, story.header().log_upto), (3, 2));
}

#[test]
fn a_batch_may_leave_inbox_entries_for_later() {
    let mut story = Story::new();
    story.deposit("alice", gcc(1)).deposit("bob", gcc(2)).deposit("carol", gcc(3));
    story.seal_part(1).seal_part(2);
    assert_eq!(["alice", "bob", "carol"].map(|name| story.balance(name)), [1, 2, 3].map(|coins| coins * 1_000_000_000));
}

#[test]
fn what_is_owed_is_collected_at_the_end_in_the_order_of_slots() {
    let mut story = Story::new();
    for name in ["alice", "bob", "carol"] {
        story.deposit(name, gcc(10));
    }
    story.seal();
    let gcc_of = |story: &Story, address| slot_of(&story.keystone, &address, AssetId::GCC).expect("an account").0;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| gcc_of(&story, address(name)));
    assert!(alice < bob && bob < carol);
    // The last comes first and twice; Alice is refused; only Bob makes an account.
    story.transfer("carol", "alice", units(1)).transfer("bob", "dave", units(2)).transfer("carol", "bob", units(3));
    story.transfer("alice", "bob", units(0)).seal();
    assert_eq!(story.codes(), [0, 0, 0, 203]);

    let fee = |at: usize| story.receipt(at).fee;
    let plane = &story.plane;
    let [fees, storage] = [plane.fees(), plane.storage()].map(|address| gcc_of(&story, address));
    let [operator, treasury, dave] = ["operator", "treasury", "dave"].map(|name| gcc_of(&story, address(name)));
    let collected = fee(0) + fee(1) + fee(2) + fee(3) - OBJECT_PRICE;
    let to_treasury = collected * 3_333 / 10_000;
    let expected: Vec<(SlotIndex, SlotIndex, u64)> = vec![
        (carol, alice, 1),
        (bob, dave, 2),
        (carol, bob, 3),
        (alice, fees, fee(3)),
        (bob, fees, fee(1) - OBJECT_PRICE),
        (bob, storage, OBJECT_PRICE),
        (carol, fees, fee(0) + fee(2)),
        (fees, operator, collected - to_treasury),
        (fees, treasury, to_treasury),
    ];
    let entry = |(from, to, units)| JournalEntry { from, to, amount: amount(units) };
    assert_eq!(story.last().sealed.journal(), expected.into_iter().map(entry).collect::<Vec<_>>());
    let of_second = story.receipt(1);
    assert_eq!((of_second.first_entry, of_second.entries), (1, 1));
}

#[test]
fn new_slots_are_numbered_by_the_journal_and_new_accounts_by_their_keys() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("alice", mana(1_000)).seal();
    let before = story.keystone.roots();
    let strangers: Vec<String> = (0..20).map(|at| format!("stranger {at}")).collect();
    for name in &strangers {
        story.act("alice", &[pay(name, units(1)), pay(name, mana(1))]);
    }
    story.seal();
    let slots = |asset: AssetId| {
        let slot = |name: &String| slot_of(&story.keystone, &address(name), asset).expect("paid").0.index();
        strangers.iter().map(slot).collect::<Vec<u32>>()
    };
    assert_eq!(slots(AssetId::GCC), (0..20).map(|at| before.slots_used + 2 * at).collect::<Vec<_>>());
    assert_eq!(slots(AssetId::ZMAN), (0..20).map(|at| before.slots_used + 2 * at + 1).collect::<Vec<_>>());

    let mut keys: Vec<ObjectKey> = strangers.iter().map(|name| ObjectKey::account(&address(name))).collect();
    keys.sort_unstable();
    let position = |key: &ObjectKey| story.keystone.object_index(key).expect("the whole state").expect("made").index();
    assert_eq!(
        keys.iter().map(position).collect::<Vec<_>>(),
        (before.objects_used..before.objects_used + 20).collect::<Vec<_>>()
    );
}

#[test]
fn an_address_that_nobody_owns_can_be_paid_and_a_system_account_hands_on_what_it_gets() {
    let mut story = Story::new();
    let [fees, storage, returns] = [story.plane.fees(), story.plane.storage(), story.plane.returns()];
    story.deposit("alice", gcc(10)).deposit_to(fees, units(1_000)).deposit_to(storage, units(2_000)).seal();
    assert_eq!(story.balance_of(fees, AssetId::GCC), 0);
    assert_eq!((story.balance("operator"), story.balance("treasury")), (667, 333));
    assert_eq!(story.balance_of(storage, AssetId::GCC), 2_000);
    story.deposit_to(returns, units(3_000)).seal();
    assert_eq!(story.balance_of(returns, AssetId::GCC), 3_000);
}

#[test]
fn a_receipt_says_what_became_of_it() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    let deposit = story.receipt(0);
    assert_eq!((deposit.code, deposit.entries, deposit.fee), (0, 1, 0));
    story.act("alice", &[pay("bob", units(5)), leave("alice", units(6)), leave("alice", units(7))]);
    story.act("alice", &[leave("alice", units(8)), pay("bob", gcc(100))]);
    story.act("alice", &[leave("alice", units(9))]).seal();
    let [first, second, third] = [0, 1, 2].map(|at| story.receipt(at));
    assert_eq!((first.code, first.action, first.first_entry, first.entries), (0, Outcome::NO_ACTION, 0, 3));
    assert_eq!((first.first_withdrawal, first.withdrawals), (0, 2));
    assert_eq!((second.code, second.action, second.entries, second.withdrawals), (200, 1, 0, 0));
    assert_eq!((third.first_entry, third.entries, third.first_withdrawal, third.withdrawals), (3, 1, 2, 1));
    let indices: Vec<u64> = story.withdrawals().iter().map(|withdrawal| withdrawal.index).collect();
    assert_eq!(indices, [0, 1, 2]);
}
