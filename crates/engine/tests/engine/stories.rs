//! The plane at work, told as its users would.

use crate::story::{OBJECT_PRICE, SLOT_PRICE, Story, address, gcc, l1_address, leave, mana, pay, units};
use ghostplane_types::{AssetId, Outcome, Withdrawal};

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
    let withdrawal = Withdrawal {
        index: 0,
        owner: address("bob"),
        to: l1_address("bob"),
        asset: AssetId::GCC,
        amount: gcc(2).amount,
    };
    assert_eq!(story.withdrawals(), [withdrawal]);
    assert_eq!(story.balance("bob"), 1_000_000_000 - story.receipt(0).fee);
}

