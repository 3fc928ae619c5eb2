//! Seeded chance: people, payments and mistakes.

use crate::story::{Story, address, amount, first_key, gcc, gid, l1_address, leave, mana, pay, pay_to, units};
use ghostplane_types::limits::VALIDITY_MS_MAX;
use ghostplane_types::{Action, Address, AssetId, KeyRef, Money, Nonce, TransactionBody};
use std::sync::LazyLock;

/// The splitmix64 generator (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number from 0 to `limit`, which is not reached.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    pub fn pick_mut<'a, T>(&mut self, items: &'a mut [T]) -> &'a mut T {
        let at = self.below(items.len());
        &mut items[at]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// People who may be on the plane already.
/// A name ends in the scheme that its key is of, see [`signer`](crate::story::signer).
pub const CROWD: [&str; 12] = [
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank@secp256k1",
    "grace",
    "heidi@p256",
    "ivan@passkey",
    "judy",
    "operator",
    "treasury",
];

/// Somebody: a person, a system account, or an address that nobody has heard of.
pub fn anybody(random: &mut Random, story: &Story) -> Address {
    match random.below(20) {
        0 => random.pick(&[story.plane.fees(), story.plane.storage(), story.plane.returns()]),
        1..=3 => Address::from_bytes(random.bytes(32).try_into().expect("32 bytes")),
        _ => address(random.pick(&CROWD)),
    }
}

/// A sum that `owner` may or may not have.
pub fn some_money(random: &mut Random, story: &Story, owner: Address) -> Money {
    let asset = match random.below(20) {
        0 => AssetId::new(7).expect("a bridged id that genesis does not list"),
        1 => AssetId::new(70_000).expect("an id of the plane's own"),
        2..=7 => AssetId::ZMAN,
        _ => AssetId::GCC,
    };
    let held = story.balance_of(owner, asset);
    let units = match random.below(16) {
        0 => 0,
        1 => held,
        2 => held.saturating_add(1),
        3 => held / 2,
        4 => (1 << 63) - 1,
        5..=7 => 1_000 * (1 + random.next() % 1_000),
        _ => 1 + random.next() % 1_000_000,
    };
    Money { asset, amount: amount(units.min((1 << 63) - 1)) }
}

/// One to a dozen actions that `sender` may or may not get through.
pub fn some_actions(random: &mut Random, story: &Story, sender: Address) -> Vec<Action> {
    let count = if random.one_in(4) { 2 + random.below(11) } else { 1 };
    let action = |_| {
        let money = some_money(random, story, sender);
        if random.one_in(6) {
            return Action::Withdraw { to: l1_address("exit"), asset: money.asset, amount: money.amount };
        }
        let to = if random.one_in(25) { sender } else { anybody(random, story) };
        pay_to(to, money)
    };
    (0..count).map(action).collect()
}

/// What `sender` signs next in a lane that expects `seq`: usually admissible, sometimes not.
pub fn some_body(random: &mut Random, story: &Story, sender: &str, nonce: Nonce) -> TransactionBody {
    let mut body = story.body(sender, nonce.lane, &some_actions(random, story, address(sender)));
    body.nonce = nonce;
    let registered = story.record(sender).is_some_and(|record| record.identity.is_some());
    body.key_ref = if registered { first_key(sender) } else { KeyRef::Carried(gid(sender)) };
    if random.one_in(4) {
        let len = 1 + random.below(64);
        body.memo = random.bytes(len);
    }
    if random.one_in(10) {
        body.gas_limit = 3_200 + random.next() % 3_000;
    }
    if random.one_in(3) {
        body.valid_after = story.time - random.next() % 10_000;
    }
    if random.one_in(8) {
        make_a_mistake(random, story, sender, &mut body);
    }
    body
}

fn make_a_mistake(random: &mut Random, story: &Story, sender: &str, body: &mut TransactionBody) {
    match random.below(9) {
        0 => body.nonce.seq += 1 + random.next() % 3,
        1 => body.nonce.seq = body.nonce.seq.saturating_sub(1),
        2 => body.nonce.lane = random.pick(&[1, 7, 254, Nonce::LANE_FORCED, Nonce::LANE_ROOT]),
        3 => body.valid_after = story.time + 1 + random.next() % 1_000,
        4 => body.valid_until = story.time - 1 - random.next() % 1_000,
        5 => body.valid_until = story.time + VALIDITY_MS_MAX + 1 + random.next() % 1_000,
        6 => body.gas_price_max = 0,
        7 => body.gas_limit = random.pick(&[0, 2_000, 100_000_001, u64::MAX, 100_000_000]),
        _ => body.key_ref = first_key(sender),
    }
}

/// A plane on which everybody has money, and a busy batch on it that is about to be sealed: deposits of different
/// sums, payments to people and strangers, withdrawals, some of it forced. All of it goes through. A small deposit is last.
pub fn busy_plane(random: &mut Random) -> Story {
    static FUNDED: LazyLock<Story> = LazyLock::new(|| {
        let mut story = Story::new();
        for name in CROWD {
            story.deposit(name, gcc(20)).deposit(name, mana(50_000_000));
        }
        story.seal();
        for name in CROWD {
            story.withdraw(name, units(1));
        }
        story.seal();
        story
    });
    let mut story = FUNDED.clone();
    for _ in 0..2 + random.below(4) {
        story.deposit(random.pick(&CROWD), units(1_000_000_000 + random.next() % 1_000_000));
    }
    story.act("alice", &[pay_to(somewhere(random), some_coins(random)), pay("carol", units(77_000))]);
    story.act("bob", &[pay_to(somewhere(random), some_coins(random))]);
    story.act("carol", &[leave("exit", units(1_000_000 + random.next() % 1_000))]);
    story.force("dave", &[pay("erin", units(5_000))]);
    for _ in 0..2 + random.below(8) {
        let sender = random.pick(&CROWD);
        let actions: Vec<Action> = (0..1 + random.below(3)).map(|_| errand(random, sender)).collect();
        if random.one_in(6) {
            story.force(sender, &actions)
        } else {
            story.act(sender, &actions)
        };
    }
    story.deposit("alice", units(5));
    story
}

fn errand(random: &mut Random, sender: &str) -> Action {
    let money = some_coins(random);
    match random.below(5) {
        0 => leave("exit", money),
        1 => pay_to(somewhere(random), money),
        _ => {
            let others: Vec<&str> = CROWD.into_iter().filter(|name| *name != sender).collect();
            pay(random.pick(&others), money)
        }
    }
}

fn some_coins(random: &mut Random) -> Money {
    let thousands = 1_000 * (1 + random.next() % 1_000);
    if random.one_in(4) { mana(thousands) } else { units(thousands) }
}

fn somewhere(random: &mut Random) -> Address {
    Address::from_bytes(random.bytes(32).try_into().expect("32 bytes"))
}
