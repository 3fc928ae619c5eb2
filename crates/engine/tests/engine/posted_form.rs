//! The posted form down to the byte: one form for each batch, and every other one convicts.

use crate::random::Random;
use crate::story::{Story, Watcher, address, gcc, gid, leave, mana, pay, pay_to, sign, units};
use ghostplane_engine::{Difference, PostedError, Verdict, posted};
use ghostplane_keystone::{Changeset, ObjectChange, StateView};
use ghostplane_types::codec::put_varint;
use ghostplane_types::limits::{ACTIONS_MAX, BATCH_TRANSACTIONS_MAX};
use ghostplane_types::{
    Action, Address, BatchHeader, DecodeError, Encode, KeyRef, Nonce, ObjectClass, ObjectKey, Transaction,
    TransactionBody,
};

/// The pieces of a posted batch of one transaction, to be put together well or badly.
#[derive(Clone)]
struct Pieces {
    head: [Vec<u8>; 4],
    flags: u8,
    sender: Vec<u8>,
    key: Vec<u8>,
    lane: Vec<u8>,
    validity: [Vec<u8>; 2],
    gas: [Vec<u8>; 2],
    actions: Vec<Vec<u8>>,
    memo: Vec<u8>,
    signature: Vec<u8>,
}

const SENDER_WHOLE: u8 = 1;
const KEY_CARRIED: u8 = 2;
const KEY_POSITION: u8 = 4;
const LANE: u8 = 8;
const VALID_AFTER: u8 = 16;
const MEMO: u8 = 32;
const KEY_SESSION: u8 = 128;

fn varint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, value);
    out
}

/// The same number with a byte more than it takes.
fn padded(value: u64) -> Vec<u8> {
    let mut out = varint(value);
    *out.last_mut().expect("at least one byte") |= 0x80;
    out.push(0);
    out
}

impl Pieces {
    fn of(story: &Story, transaction: &Transaction) -> Self {
        let body = &transaction.body;
        let number = |address: &Address| number_of(story, address);
        let account = |address: &Address| number(address).map_or(address.to_bytes(), varint);
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let key = match body.key_ref {
            KeyRef::Carried(gid) => gid.to_bytes(),
            KeyRef::Registered(0) | KeyRef::Session => Vec::new(),
            KeyRef::Registered(position) | KeyRef::RegisteredPasskey(position) => vec![position],
            KeyRef::Delegate { account, position } | KeyRef::DelegatePasskey { account, position } => {
                let named = number(&account).map_or([vec![0], account.to_bytes()].concat(), varint);
                [named, vec![position]].concat()
            }
        };
        let action = |action: &Action| match action {
            Action::Transfer { to, asset, amount } => {
                let form = u64::from(number(to).is_none());
                [varint(u64::from(asset.number()) << 3 | form), account(to), varint(amount.units())].concat()
            }
            Action::Withdraw { to, asset, amount } => {
                [varint(u64::from(asset.number()) << 3 | 2), to.to_bytes(), varint(amount.units())].concat()
            }
            other => [varint(u64::from(other.kind()) << 3 | 3), other.to_bytes()[1..].to_vec()].concat(),
        };
        Self {
            head: [vec![1], varint(story.time - story.state.time), varint(0), varint(1)],
            flags: flag(number(&body.sender).is_none(), SENDER_WHOLE)
                | flag(matches!(body.key_ref, KeyRef::Carried(_) | KeyRef::RegisteredPasskey(_)), KEY_CARRIED)
                | flag(matches!(body.key_ref, KeyRef::Registered(1..) | KeyRef::RegisteredPasskey(_)), KEY_POSITION)
                | flag(matches!(body.key_ref, KeyRef::Session), KEY_SESSION)
                | flag(matches!(body.key_ref, KeyRef::Delegate { .. }), KEY_SESSION | KEY_POSITION)
                | flag(
                    matches!(body.key_ref, KeyRef::DelegatePasskey { .. }),
                    KEY_SESSION | KEY_POSITION | KEY_CARRIED,
                )
                | flag(body.nonce.lane != 0, LANE)
                | flag(body.valid_after != 0, VALID_AFTER)
                | flag(!body.memo.is_empty(), MEMO),
            sender: account(&body.sender),
            key,
            lane: if body.nonce.lane == 0 { Vec::new() } else { vec![body.nonce.lane] },
            validity: [
                varint(body.valid_until - story.time),
                if body.valid_after == 0 { Vec::new() } else { varint(story.time - body.valid_after) },
            ],
            gas: [varint(body.gas_limit), varint(body.gas_price_max)],
            actions: body.actions.iter().map(action).collect(),
            memo: if body.memo.is_empty() {
                Vec::new()
            } else {
                [&varint(body.memo.len() as u64)[..], &body.memo].concat()
            },
            signature: transaction.auth.to_bytes(),
        }
    }

    fn join(&self) -> Vec<u8> {
        let count = varint(self.actions.len() as u64);
        self.join_with_count(&count)
    }

    fn join_with_count(&self, count: &[u8]) -> Vec<u8> {
        let front =
            [&self.sender, &self.key, &self.lane, &self.validity[0], &self.validity[1], &self.gas[0], &self.gas[1]];
        [
            self.head.concat(),
            vec![self.flags],
            front.map(Vec::as_slice).concat(),
            count.to_vec(),
            self.actions.concat(),
            self.memo.clone(),
            self.signature.clone(),
        ]
        .concat()
    }
}

fn number_of(story: &Story, address: &Address) -> Option<u64> {
    let object = story.keystone.object(&ObjectKey::account(address)).expect("the whole state");
    object.map(|object| u64::from(object.index.index()))
}

/// Alice is known and registered, Bob is known, nobody else is.
fn alice_and_bob() -> Story {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10)).seal();
    story.transfer("alice", "bob", units(1)).seal();
    story
}

fn one_of_everything(story: &Story) -> Vec<Transaction> {
    let body = |actions: &[Action]| story.body("alice", Nonce::LANE_ROOT, actions);
    let stranger = || pay_to(Address::from_bytes([9; 32]), units(300));
    vec![
        sign("alice", body(&[pay("bob", units(1))])),
        sign("alice", body(&[pay("bob", units(1)), stranger(), leave("alice", gcc(1)), pay("bob", mana(1 << 40))])),
        sign("alice", TransactionBody { valid_after: story.time - 700, ..body(&[stranger()]) }),
        sign("alice", TransactionBody { valid_after: story.time, memo: vec![1; 64], ..body(&[stranger()]) }),
        sign("alice", TransactionBody { key_ref: KeyRef::Carried(gid("alice")), ..body(&[stranger()]) }),
        sign("alice", TransactionBody { key_ref: KeyRef::Registered(7), memo: vec![0], ..body(&[stranger()]) }),
        sign("alice", TransactionBody { nonce: Nonce { lane: 255, seq: 0 }, ..body(&[stranger()]) }),
        sign("carol", story.body("carol", Nonce::LANE_ROOT, &[stranger()])),
    ]
}

#[test]
fn the_form_is_written_as_documented() {
    let story = alice_and_bob();
    let mut all = one_of_everything(&story);
    let gates = [Action::RevokeSession { lane: 9 }, Action::RegisterIdentity { gid: Box::new(gid("dave")) }];
    all.push(sign("alice", story.body("alice", Nonce::LANE_ROOT, &gates)));
    all.push(sign("phone", story.body("alice", 9, &[pay("bob", units(1))])));
    // Who acts for another: known to the state, and not.
    for (account, position) in [("bob", 0), ("bob", 7), ("dave", 3)] {
        let key_ref = KeyRef::Delegate { account: address(account), position };
        all.push(sign("phone", TransactionBody { key_ref, ..story.body("alice", 9, &[pay("bob", units(1))]) }));
        let key_ref = KeyRef::DelegatePasskey { account: address(account), position };
        let body = TransactionBody { key_ref, ..story.body("alice", 9, &[pay("bob", units(1))]) };
        all.push(sign("phone@passkey", body));
    }
    for (at, transaction) in all.iter().enumerate() {
        let by_hand = Pieces::of(&story, transaction).join();
        assert_eq!(
            story.watcher().encode(story.time, 0, std::slice::from_ref(transaction)),
            Ok(by_hand.clone()),
            "{at}"
        );
        let decoded = posted::decode(&story.plane, &story.keystone, &story.state, &by_hand).expect("well formed");
        assert_eq!(decoded.transactions, std::slice::from_ref(transaction), "{at}");
    }
}

#[test]
fn there_is_no_second_form() {
    let story = alice_and_bob();
    let [payment, bundle, early, memo, carried, positioned, laned, _] =
        <[Transaction; 8]>::try_from(one_of_everything(&story)).expect("eight");
    let key_ref = KeyRef::Delegate { account: address("bob"), position: 3 };
    let acting = sign("bob", TransactionBody { key_ref, ..story.body("alice", 9, &[pay("bob", units(1))]) });
    let of = |transaction: &Transaction| Pieces::of(&story, transaction);
    let with = |transaction: &Transaction, change: &dyn Fn(&mut Pieces)| {
        let mut pieces = of(transaction);
        change(&mut pieces);
        pieces.join()
    };
    let whole = |name: &str| address(name).to_bytes();
    let to = |form: u64, asset: u64, to: Vec<u8>, units: Vec<u8>| [varint(asset << 3 | form), to, units].concat();
    let [alice, bob] = ["alice", "bob"].map(|name| number_of(&story, &address(name)).expect("known"));
    let elapsed = story.time - story.state.time;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a padded time", with(&payment, &|pieces| pieces.head[1] = padded(elapsed))),
        ("a padded inbox count", with(&payment, &|pieces| pieces.head[2] = padded(0))),
        ("a padded transaction count", with(&payment, &|pieces| pieces.head[3] = padded(1))),
        ("a padded sender", with(&payment, &|pieces| pieces.sender = padded(alice))),
        ("a padded end of validity", with(&payment, &|pieces| pieces.validity[0] = padded(60_000))),
        ("a padded start of validity", with(&early, &|pieces| pieces.validity[1] = padded(700))),
        ("a padded gas limit", with(&payment, &|pieces| pieces.gas[0] = padded(1_000_000))),
        ("a padded gas price", with(&payment, &|pieces| pieces.gas[1] = padded(1))),
        ("a padded action count", of(&payment).join_with_count(&padded(1))),
        ("a padded sum", with(&payment, &|pieces| pieces.actions[0] = to(0, 0, varint(bob), padded(1)))),
        ("a padded receiver", with(&payment, &|pieces| pieces.actions[0] = to(0, 0, padded(bob), varint(1)))),
        ("a padded asset", with(&payment, &|pieces| pieces.actions[0] = [padded(0), varint(bob), varint(1)].concat())),
        (
            "a known sender in full",
            with(&payment, &|pieces| {
                pieces.flags |= SENDER_WHOLE;
                pieces.sender = whole("alice");
            }),
        ),
        ("a known receiver in full", with(&payment, &|pieces| pieces.actions[0] = to(1, 0, whole("bob"), varint(1)))),
        (
            "a key position of zero",
            with(&payment, &|pieces| {
                pieces.flags |= KEY_POSITION;
                pieces.key = vec![0];
            }),
        ),
        (
            "two keys",
            with(&carried, &|pieces| {
                pieces.flags |= KEY_POSITION;
                pieces.key.push(1);
            }),
        ),
        (
            "lane zero",
            with(&payment, &|pieces| {
                pieces.flags |= LANE;
                pieces.lane = vec![0];
            }),
        ),
        ("a start of validity at zero", with(&early, &|pieces| pieces.validity[1] = varint(story.time))),
        ("a start of validity before zero", with(&early, &|pieces| pieces.validity[1] = varint(story.time + 1))),
        ("an end of validity beyond all time", with(&payment, &|pieces| pieces.validity[0] = varint(u64::MAX))),
        ("no memo behind its flag", with(&memo, &|pieces| pieces.memo = vec![0])),
        ("a memo too long", with(&memo, &|pieces| pieces.memo = [vec![65], vec![1; 65]].concat())),
        ("a flag that means nothing", with(&payment, &|pieces| pieces.flags |= 64)),
        ("a key beside what says how gas is paid", with(&carried, &|pieces| pieces.flags |= KEY_SESSION)),
        ("a known delegate in full", with(&acting, &|pieces| pieces.key = [vec![0], whole("bob"), vec![3]].concat())),
        ("a padded delegate", with(&acting, &|pieces| pieces.key = [padded(bob), vec![3]].concat())),
        ("a transfer in the form of the others", with(&payment, &|pieces| pieces.actions[0] = vec![1 << 3 | 3, 0])),
        ("a kind that does not run", with(&payment, &|pieces| pieces.actions[0] = vec![3 << 3 | 3, 0])),
        ("a kind that nothing has", with(&payment, &|pieces| pieces.actions[0] = vec![255, 255, 3, 0])),
        ("a flag missing", with(&positioned, &|pieces| pieces.flags &= !MEMO)),
        ("no actions", with(&payment, &|pieces| pieces.actions.clear())),
        (
            "too many actions",
            with(&payment, &|pieces| pieces.actions = vec![pieces.actions[0].clone(); ACTIONS_MAX + 1]),
        ),
        ("a form of action that is none", with(&bundle, &|pieces| pieces.actions[0][0] |= 3)),
        (
            "an asset beyond all assets",
            with(&payment, &|pieces| pieces.actions[0] = to(0, 1 << 30, varint(bob), varint(1))),
        ),
        ("a sum beyond all sums", with(&payment, &|pieces| pieces.actions[0] = to(0, 0, varint(bob), varint(1 << 63)))),
        ("a time beyond all time", with(&payment, &|pieces| pieces.head[1] = varint(u64::MAX))),
        (
            "more inbox entries than a batch has",
            with(&payment, &|pieces| {
                pieces.head[2] = varint(BATCH_TRANSACTIONS_MAX as u64 + 1);
            }),
        ),
        (
            "more transactions than a batch has",
            with(&payment, &|pieces| {
                pieces.head[3] = varint(BATCH_TRANSACTIONS_MAX as u64 + 1);
            }),
        ),
        ("a transaction counted that is not there", with(&payment, &|pieces| pieces.head[3] = vec![2])),
        ("a transaction there that is not counted", with(&payment, &|pieces| pieces.head[3] = vec![0])),
        ("a giant count of transactions", with(&payment, &|pieces| pieces.head[3] = varint(u64::MAX))),
        ("an older version", with(&laned, &|pieces| pieces.head[0] = vec![0])),
        ("a newer version", with(&laned, &|pieces| pieces.head[0] = vec![2])),
    ];
    let watcher = story.watcher();
    for (what, posted) in cases {
        let decoded = posted::decode(&story.plane, &story.keystone, &story.state, &posted);
        assert!(matches!(decoded, Err(PostedError::Decode(_) | PostedError::NoAccount(_))), "{what}: {decoded:?}");
        convicts_by_its_data(&watcher, &posted, what);
    }
}

#[test]
fn numbers_are_of_accounts() {
    let mut story = alice_and_bob();
    // Something that is no account, at a position of its own.
    let key = ObjectKey::new(ObjectClass::Code, 0, b"code");
    let thing = ObjectChange { key, old: None, new: Some(vec![1; 300].into()) };
    let thing_at = story.keystone.roots().objects_used;
    story.make_up(&Changeset::new(Vec::new(), vec![thing]).expect("in order"));
    let payment = sign("alice", story.body("alice", Nonce::LANE_ROOT, &[pay("bob", units(1))]));
    let watcher = story.watcher();
    for number in [0, thing_at, thing_at + 1, (1 << 30) - 1, 1 << 30, u32::MAX] {
        let mut pieces = Pieces::of(&story, &payment);
        pieces.actions[0] = [varint(0), varint(u64::from(number)), varint(1)].concat();
        let posted = pieces.join();
        let decoded = posted::decode(&story.plane, &story.keystone, &story.state, &posted);
        assert_eq!(decoded, Err(PostedError::NoAccount(number)));
        convicts_by_its_data(&watcher, &posted, "a number of no account");
    }
}

fn convicts_by_its_data(watcher: &Watcher, posted: &[u8], what: &str) {
    let verdict = watcher.judge(posted, &watcher.plausible_header(posted));
    assert!(matches!(verdict, Verdict::Differs(Difference::Data(_))), "{what}: {verdict:?}");
}

#[test]
fn no_cut_and_no_turned_bit_goes_unnoticed() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10)).seal();
    story.deposit("alice", gcc(1)).transfer("alice", "bob", units(1));
    story.act("bob", &[pay("carol", units(70_000)), leave("bob", units(5))]).seal();
    let (batch, honest) = (story.last(), *story.header());
    for len in 0..batch.posted.len() {
        let posted = &batch.posted[..len];
        let header = BatchHeader { bytes: u32::try_from(len).expect("short"), ..honest };
        let verdict = batch.before.judge(posted, &header);
        let cut =
            matches!(verdict, Verdict::Differs(Difference::Data(PostedError::Decode(DecodeError::Truncated { .. }))));
        assert!(cut, "{len}: {verdict:?}");
    }
    for bit in 0..batch.posted.len() * 8 {
        let mut posted = batch.posted.clone();
        posted[bit / 8] ^= 1 << (bit % 8);
        let verdict = batch.before.judge(&posted, &honest);
        assert!(matches!(verdict, Verdict::Differs(_)), "bit {bit}: {verdict:?}");
    }
}

#[test]
fn mangled_data_never_panics() {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10)).seal();
    story.deposit("alice", gcc(1)).transfer("alice", "bob", units(1));
    story.act("bob", &[pay("carol", units(70_000)), leave("bob", units(5))]).seal();
    let batch = story.last();
    let mut random = Random(11);
    for _ in 0..1_500 {
        let mut posted = batch.posted.clone();
        for _ in 0..1 + random.below(3) {
            let (at, len) = (random.below(posted.len()), 1 + random.below(20));
            match random.below(3) {
                0 => drop(posted.drain(at..(at + len).min(posted.len()))),
                1 => drop(posted.splice(at..at, random.bytes(len))),
                _ => posted[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            }
            if posted.is_empty() {
                break;
            }
        }
        let header = batch.before.plausible_header(&posted);
        let verdict = batch.before.judge(&posted, &header);
        assert!(matches!(verdict, Verdict::Differs(_)), "{verdict:?}");
    }
}

#[test]
fn it_is_short() {
    let mut story = Story::new();
    for at in 0..500 {
        story.deposit(&format!("payer {at}"), gcc(10));
    }
    story.seal();
    for at in 0..500 {
        story.transfer(&format!("payer {at}"), &format!("payer {}", (at + 1) % 500), units(1_000));
    }
    story.seal();
    for at in 0..500 {
        story.transfer(&format!("payer {at}"), &format!("payer {}", (at * 7 + 3) % 500), gcc(2));
    }
    story.seal();
    assert!(story.last().posted.len() <= 500 * 90, "{} bytes for 500 transfers", story.last().posted.len());

    let bundle: Vec<Action> = (0..ACTIONS_MAX).map(|at| pay(&format!("payer {}", 1 + at), units(12_345_678))).collect();
    story.act("payer 0", &bundle).seal();
    assert!(story.last().posted.len() <= ACTIONS_MAX * 14, "{} bytes for a bundle", story.last().posted.len());
}
