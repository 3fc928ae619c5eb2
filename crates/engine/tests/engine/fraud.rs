//! Everything that an operator can lie about, each lie told about several batches, and each one convicted.
//!
//! A lie is what the operator would commit: data and a header that agree with each other as far as the lie allows. The
//! watcher has nothing but its own state of before and the L1's inbox, builds the witness from that, and has the claim
//! judged.

use crate::forger::Forger;
use crate::random::{Random, busy_plane};
use crate::story::{Batch, Story, Watcher, address, amount, gid, key, l1_address, pay, sign, units};
use ghostplane_engine::replay::{Produced, produce};
use ghostplane_engine::{PostedBatch, Verdict, posted, verify_all};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_types::account::Lane;
use ghostplane_types::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BATCH_GAS_MAX};
use ghostplane_types::{
    Action, AssetId, BatchHeader, InboxEntry, InboxPayload, JournalEntry, KeyRef, Nonce, Outcome, PublicKey, SlotIndex,
    Transaction, TransactionBody, Withdrawal,
};

/// How many batches each lie is told about.
const TIMES: u64 = 6;

/// What the operator commits, and the codes that may convict it.
struct Lie {
    posted: Vec<u8>,
    header: BatchHeader,
    codes: &'static [u16],
}

type Liar = fn(&mut Random, &Batch) -> Lie;

const HEADER: &[u16] = &[500];
const DATA: &[u16] = &[501];
const INBOX: &[u16] = &[502];
const BATCH: &[u16] = &[503];
const UNVERIFIED: &[u16] = &[504];
const INVALID: &[u16] = &[505];
const FIELD: &[u16] = &[506];
const ANY: &[u16] = &[501, 502, 503, 504, 505, 506];

const LIARS: &[(&str, Liar)] = &[
    // What is wrong with a header on its own.
    ("another number", |random, batch| {
        let number = near(random, batch.sealed.header().number);
        by_header(batch, HEADER, |header| header.number = number)
    }),
    ("another protocol", |random, batch| {
        let protocol = random.pick(&[0, 2, u32::MAX]);
        by_header(batch, HEADER, |header| header.protocol = protocol)
    }),
    ("another generation", |_, batch| by_header(batch, HEADER, |header| header.generation += 1)),
    ("another state before", |random, batch| {
        let at = random.below(32);
        by_header(batch, HEADER, |header| header.prev_state.0[at] ^= 1)
    }),
    ("another length", |random, batch| {
        let bytes = random.pick(&[0, 1, number(BATCH_BYTES_MAX) + 1, u32::MAX]);
        by_header(batch, HEADER, |header| header.bytes = bytes)
    }),
    ("more gas than there is", |_, batch| by_header(batch, HEADER, |header| header.gas = BATCH_GAS_MAX + 1)),
    ("more entries than there may be", |_, batch| {
        by_header(batch, HEADER, |header| header.entries = number(BATCH_ENTRIES_MAX) + 1)
    }),
    // Roots and counts.
    ("another ledger root", |random, batch| {
        let at = random.below(8);
        by_header(batch, FIELD, |header| header.ledger_root.0[at] += KoalaBear::new(1))
    }),
    ("the ledger root of before", |_, batch| {
        by_header(batch, FIELD, |header| header.ledger_root = batch.before.prev.roots.ledger_root)
    }),
    ("another object root", |random, batch| {
        let at = random.below(32);
        by_header(batch, FIELD, |header| header.object_root.0[at] ^= 1)
    }),
    ("the object root of before", |_, batch| {
        by_header(batch, FIELD, |header| header.object_root = batch.before.prev.roots.object_root)
    }),
    ("a slot more or less", |random, batch| {
        let slots = batch.sealed.header().slots_used;
        let slots = random.pick(&[slots + 1, slots - 1, 0, u32::MAX]);
        by_header(batch, FIELD, |header| header.slots_used = slots)
    }),
    ("an object more or less", |random, batch| {
        let objects = batch.sealed.header().objects_used;
        let objects = random.pick(&[objects + 1, objects - 1, 0, u32::MAX]);
        by_header(batch, FIELD, |header| header.objects_used = objects)
    }),
    ("gas more or less", |random, batch| {
        let gas = batch.sealed.header().gas;
        let gas = random.pick(&[gas + 1, gas - 1, 0, BATCH_GAS_MAX]);
        by_header(batch, FIELD, |header| header.gas = gas)
    }),
    ("another time than the data's", |random, batch| {
        let time = near(random, batch.sealed.header().time);
        by_header(batch, FIELD, |header| header.time = time)
    }),
    // Who holds what.
    ("a theft whose amounts balance", |random, batch| {
        let mut forger = Forger::of(batch);
        let (bob, alice) = (forger.slot("bob"), forger.slot("alice"));
        forger.transfer(bob, alice, 1 + random.next() % 1_000_000);
        by_forger(batch, forger)
    }),
    ("a theft that the journal does not mention", |random, batch| {
        let mut forger = Forger::of(batch);
        let (bob, alice) = (forger.slot("bob"), forger.slot("alice"));
        forger.move_balance(bob, alice, 1 + random.next() % 1_000_000);
        by_forger(batch, forger)
    }),
    ("a theft that only the journal mentions", |_, batch| {
        let mut forger = Forger::of(batch);
        let (from, to) = (forger.slot("bob"), forger.slot("alice"));
        forger.journal.push(JournalEntry { from, to, amount: amount(1) });
        by_forger(batch, forger)
    }),
    ("a payment that went to somebody else", |_, batch| {
        let mut forger = Forger::of(batch);
        let (carol, dave) = (forger.slot("carol"), forger.slot("dave"));
        let payment = forger.journal.iter_mut().find(|entry| entry.to == carol && entry.amount.units() == 77_000);
        payment.expect("every busy batch has one").to = dave;
        forger.move_balance(carol, dave, 77_000);
        by_forger(batch, forger)
    }),
    ("money from nowhere", |random, batch| {
        let mut forger = Forger::of(batch);
        let (alice, made) = (forger.slot("alice"), 1 + random.next() % 1_000_000_000);
        forger.transfer(SlotIndex::OUTSIDE, alice, made);
        let flow = forger.flow(AssetId::GCC);
        flow.issued = amount(flow.issued.units() + made);
        by_forger(batch, forger)
    }),
    ("money from nowhere that no flow mentions", |_, batch| {
        let mut forger = Forger::of(batch);
        let alice = forger.slot("alice");
        forger.transfer(SlotIndex::OUTSIDE, alice, 1_000);
        by_forger(batch, forger)
    }),
    ("a fee too high", |_, batch| {
        let mut forger = Forger::of(batch);
        let payer = forger.change_a_fee(1);
        let operator = forger.slot("operator");
        forger.move_balance(payer, operator, 1);
        by_forger(batch, forger)
    }),
    ("a fee forgiven", |_, batch| {
        let mut forger = Forger::of(batch);
        let payer = forger.change_a_fee(-1);
        let operator = forger.slot("operator");
        forger.move_balance(operator, payer, 1);
        by_forger(batch, forger)
    }),
    ("fees shared otherwise", |_, batch| {
        let mut forger = Forger::of(batch);
        let (operator, treasury) = (forger.slot("operator"), forger.slot("treasury"));
        let count = forger.journal.len();
        forger.journal[count - 2].amount = amount(forger.journal[count - 2].amount.units() + 1);
        forger.journal[count - 1].amount = amount(forger.journal[count - 1].amount.units() - 1);
        forger.move_balance(treasury, operator, 1);
        by_forger(batch, forger)
    }),
    ("the price of accounts pocketed", |_, batch| {
        let mut forger = Forger::of(batch);
        let (storage, operator) = (forger.slot_of(batch.before.plane.storage()), forger.slot("operator"));
        let entry = forger.journal.iter_mut().find(|entry| entry.to == storage).expect("strangers were paid");
        entry.to = operator;
        let units = entry.amount.units();
        forger.move_balance(storage, operator, units);
        by_forger(batch, forger)
    }),
    ("slots handed out in another order", |_, batch| by_forger(batch, Forger::with_two_new_slots_swapped(batch))),
    // Records.
    ("a key planted in somebody's record", |_, batch| {
        let mut forger = Forger::of(batch);
        let planted = PublicKey::Ed25519(key("mallory").verification_key());
        forger.set_record("bob", |record| record.identity.as_mut().expect("registered").keys.push(planted));
        by_forger(batch, forger)
    }),
    ("a sequence number given back", |_, batch| {
        let mut forger = Forger::of(batch);
        forger.set_record("alice", |record| {
            record.lanes = [Lane { lane: Nonce::LANE_ROOT, next: 77 }].into_iter().collect()
        });
        by_forger(batch, forger)
    }),
    ("an account that nobody paid", |_, batch| {
        let mut forger = Forger::of(batch);
        forger.make_record("mallory");
        by_forger(batch, forger)
    }),
    // Journal, flows, log.
    ("an entry left out of the journal", |random, batch| {
        let mut forger = Forger::of(batch);
        forger.journal.remove(random.below(forger.journal.len()));
        by_forger(batch, forger)
    }),
    ("journal entries in another order", |random, batch| {
        let mut forger = Forger::of(batch);
        let at = random.below(forger.journal.len() - 1);
        assert_ne!(forger.journal[at], forger.journal[at + 1]);
        forger.journal.swap(at, at + 1);
        by_forger(batch, forger)
    }),
    ("a fee journalled in two parts", |_, batch| {
        let mut forger = Forger::of(batch);
        let last = forger.journal.last_mut().expect("there are fees");
        let (part, rest) = (amount(1), amount(last.amount.units() - 1));
        let entry = JournalEntry { amount: part, ..*last };
        last.amount = rest;
        forger.journal.push(entry);
        by_forger(batch, forger)
    }),
    ("another count of entries", |random, batch| {
        let entries = batch.sealed.header().entries;
        let entries = random.pick(&[entries + 1, entries - 1, 0, number(BATCH_ENTRIES_MAX)]);
        by_header(batch, FIELD, |header| header.entries = entries)
    }),
    ("another flow", |random, batch| {
        let mut forger = Forger::of(batch);
        let flow = forger.flow(random.pick(&[AssetId::GCC, AssetId::ZMAN]));
        flow.issued = amount(flow.issued.units() + 1);
        by_forger(batch, forger)
    }),
    ("an outcome turned round", |random, batch| {
        let mut forger = Forger::of(batch);
        let at = random.below(forger.records.len());
        let outcome = &mut forger.records[at].2;
        outcome.code = if outcome.is_applied() { 200 } else { Outcome::APPLIED };
        by_forger(batch, forger)
    }),
    ("gas of one transaction put on another", |random, batch| {
        let mut forger = Forger::of(batch);
        let at = random.below(forger.records.len() - 1);
        forger.records[at].2.gas += 1;
        forger.records[at + 1].2.gas -= 1;
        by_forger(batch, forger)
    }),
    ("log records in another order", |random, batch| {
        let mut forger = Forger::of(batch);
        let at = random.below(forger.records.len() - 1);
        forger.records.swap(at, at + 1);
        by_forger(batch, forger)
    }),
    ("another log position", |random, batch| {
        let log_upto = near(random, batch.sealed.header().log_upto);
        by_header(batch, FIELD, |header| header.log_upto = log_upto)
    }),
    // Outbox.
    ("a forged withdrawal", |random, batch| {
        let mut forger = Forger::of(batch);
        let (bob, loot) = (forger.slot("bob"), 1 + random.next() % 1_000_000);
        let index = batch.sealed.header().outbox_upto;
        let (owner, to) = (address("bob"), l1_address("mallory"));
        forger.withdrawals.push(Withdrawal { index, owner, to, asset: AssetId::GCC, amount: amount(loot) });
        forger.transfer(bob, SlotIndex::OUTSIDE, loot);
        let flow = forger.flow(AssetId::GCC);
        flow.retired = amount(flow.retired.units() + loot);
        by_forger(batch, forger)
    }),
    ("a withdrawal sent to somebody else", |_, batch| {
        let mut forger = Forger::of(batch);
        forger.withdrawals[0].to = l1_address("mallory");
        by_forger(batch, forger)
    }),
    ("a withdrawal of another sum", |_, batch| {
        let mut forger = Forger::of(batch);
        forger.withdrawals[0].amount = amount(forger.withdrawals[0].amount.units() + 1);
        by_forger(batch, forger)
    }),
    ("a withdrawal swallowed", |_, batch| {
        let mut forger = Forger::of(batch);
        forger.withdrawals.pop();
        by_forger(batch, forger)
    }),
    ("another outbox position", |random, batch| {
        let outbox_upto = near(random, batch.sealed.header().outbox_upto);
        by_header(batch, FIELD, |header| header.outbox_upto = outbox_upto)
    }),
    // Inbox.
    ("another inbox position", |random, batch| {
        let inbox_upto = near(random, batch.sealed.header().inbox_upto);
        by_header(batch, FIELD, |header| header.inbox_upto = inbox_upto)
    }),
    ("an inbox entry skipped", |random, batch| {
        let at = random.below(batch.before.inbox.len() - 1);
        by_inbox(batch, |entries| {
            // The one left for later takes the place of the one skipped.
            entries.remove(at);
            entries.push(batch.before.inbox.last().expect("one is left for later").clone());
        })
    }),
    ("inbox entries in another order", |random, batch| {
        let at = random.below(batch.before.inbox.len() - 2);
        by_inbox(batch, |entries| entries.swap(at, at + 1))
    }),
    ("an inbox entry consumed twice", |_, batch| {
        by_inbox(batch, |entries| {
            let first = entries[0].clone();
            *entries.last_mut().expect("several") = first;
        })
    }),
    ("a deposit of another sum", |_, batch| {
        by_inbox(batch, |entries| {
            if let InboxPayload::Deposit { amount: sum, .. } = &mut entries[0].payload {
                *sum = amount(sum.units() - 1);
            }
        })
    }),
    ("a deposit to somebody else", |_, batch| {
        by_inbox(batch, |entries| {
            if let InboxPayload::Deposit { to, .. } = &mut entries[0].payload {
                *to = address("mallory");
            }
        })
    }),
    ("a forced transaction taken for nonsense", |_, batch| {
        by_inbox(batch, |entries| {
            let forced = entries.iter_mut().find(|entry| matches!(entry.payload, InboxPayload::Forced { .. }));
            forced.expect("every busy batch has one").payload = InboxPayload::Forced { transaction: vec![0] };
        })
    }),
    ("inbox entries that the L1 never had", |random, batch| {
        let more = 2 + random.next() % 1_000;
        by_data(batch, INBOX, |data| data.inbox += more)
    }),
    ("inbox entries left for later that the header counts", |_, batch| by_data(batch, FIELD, |data| data.inbox -= 1)),
    ("a time before that of an inbox entry", |random, batch| {
        let before = 1 + random.next() % (batch.sealed.header().time - batch.before.prev.time);
        by_data(batch, BATCH, |data| data.time -= before)
    }),
    ("another time than the header's", |random, batch| {
        let after = 1 + random.next() % 1_000;
        by_data(batch, FIELD, |data| data.time += after)
    }),
    // Consent.
    ("a signature with a bit turned", |random, batch| {
        let (at, bit) = (random.below(64), random.below(8));
        by_data(batch, UNVERIFIED, |data| {
            random.pick_mut(&mut data.transactions).auth.signature_mut().0[at] ^= 1 << bit
        })
    }),
    ("a signature by another key", |random, batch| {
        by_data(batch, UNVERIFIED, |data| {
            let transaction = random.pick_mut(&mut data.transactions);
            *transaction = sign("mallory", transaction.body.clone());
        })
    }),
    ("a sum changed after it was signed", |random, batch| {
        by_data(batch, UNVERIFIED, |data| {
            let (Action::Transfer { amount: sum, .. } | Action::Withdraw { amount: sum, .. }) =
                &mut random.pick_mut(&mut data.transactions).body.actions[0]
            else {
                panic!("everything here moves money")
            };
            *sum = amount(sum.units() + 1);
        })
    }),
    ("a payment in somebody else's name", |_, batch| {
        by_one_more(batch, UNVERIFIED, |body| {
            sign("mallory", TransactionBody { key_ref: KeyRef::Registered(0), ..body })
        })
    }),
    ("a transaction played again", |_, batch| {
        by_data(batch, UNVERIFIED, |data| {
            // Its place in the lane moves on by itself, the signature does not.
            let mut again = data.transactions[0].clone();
            let of_sender = data.transactions.iter().filter(|other| other.body.sender == again.body.sender);
            again.body.nonce.seq += of_sender.count() as u64;
            data.transactions.push(again);
        })
    }),
    ("a transaction that names no key", |_, batch| {
        by_one_more(batch, UNVERIFIED, |body| sign("bob", TransactionBody { key_ref: KeyRef::Registered(9), ..body }))
    }),
    ("a transaction in a session's lane", |_, batch| {
        by_one_more(batch, INVALID, |body| {
            sign("bob", TransactionBody { nonce: Nonce { lane: 3, seq: 0 }, key_ref: carried("bob"), ..body })
        })
    }),
    ("a transaction that nobody can pay for", |_, batch| {
        by_one_more(batch, INVALID, |body| {
            let nonce = Nonce { lane: Nonce::LANE_ROOT, seq: 0 };
            sign("mallory", TransactionBody { sender: address("mallory"), nonce, key_ref: carried("mallory"), ..body })
        })
    }),
    ("a transaction valid for too long", |_, batch| {
        by_one_more(batch, INVALID, |body| {
            sign("bob", TransactionBody { valid_until: u64::MAX, key_ref: carried("bob"), ..body })
        })
    }),
    ("a transaction left out", |_, batch| by_data(batch, FIELD, |data| drop(data.transactions.pop()))),
    ("a transaction added", |_, batch| {
        by_one_more(batch, FIELD, |body| sign("bob", TransactionBody { key_ref: carried("bob"), ..body }))
    }),
    ("transactions in another order", |_, batch| {
        // The first two are Alice's and Bob's.
        by_data(batch, FIELD, |data| data.transactions.swap(0, 1))
    }),
    // Bytes.
    ("data cut short", |random, batch| by_bytes(batch, DATA, |bytes| bytes.truncate(random.below(bytes.len())))),
    ("data with a tail", |random, batch| {
        let more = 1 + random.below(100);
        by_bytes(batch, DATA, |bytes| bytes.extend(random.bytes(more)))
    }),
    ("data with bits turned", |random, batch| {
        by_bytes(batch, ANY, |bytes| {
            for _ in 0..1 + random.below(4) {
                let (at, bit) = (random.below(bytes.len()), random.below(8));
                bytes[at] ^= 1 << bit;
            }
        })
    }),
    ("data of another version", |random, batch| by_bytes(batch, DATA, |bytes| bytes[0] = random.pick(&[0, 2, 255]))),
    ("no data", |_, batch| by_bytes(batch, DATA, Vec::clear)),
    ("random data", |random, batch| {
        let len = 1 + random.below(2_000);
        by_bytes(batch, DATA, |bytes| *bytes = [vec![1], random.bytes(len)].concat())
    }),
];

#[test]
fn every_lie_is_convicted_and_no_honest_batch_is() {
    let mut told = 0;
    for (seed, (what, liar)) in (0..TIMES).flat_map(|_| LIARS).enumerate() {
        let random = &mut Random(seed as u64);
        let mut story: Story = busy_plane(random);
        let left_for_later = story.inbox_open().len() - 1;
        // Sealing has the honest batch judged: it is never convicted.
        story.seal_part(left_for_later);
        let batch = story.last();
        let Lie { posted, header, codes } = liar(random, batch);
        assert!(header != *batch.sealed.header() || posted != batch.posted, "{what}, seed {seed}: the truth");
        match batch.before.judge(&posted, &header) {
            Verdict::Differs(difference) => {
                assert!(codes.contains(&difference.code()), "{what}, seed {seed}: {} {difference}", difference.code());
            }
            other => panic!("{what}, seed {seed}: {other:?}"),
        }
        told += 1;
    }
    assert!(told >= 300, "{told} lies");
}

#[test]
fn who_changes_nothing_tells_the_truth() {
    for seed in 0..5 {
        let mut story = busy_plane(&mut Random(seed));
        let left_for_later = story.inbox_open().len() - 1;
        story.seal_part(left_for_later);
        let batch = story.last();
        let lies = [
            by_header(batch, FIELD, |_| ()),
            by_forger(batch, Forger::of(batch)),
            by_bytes(batch, FIELD, |_| ()),
            by_data(batch, FIELD, |_| ()),
            by_inbox(batch, |_| ()),
        ];
        for lie in lies {
            assert_eq!((lie.header, lie.posted), (*batch.sealed.header(), batch.posted.clone()));
        }
    }
}

/// A number close to `number`, or far away.
fn near(random: &mut Random, number: u64) -> u64 {
    random.pick(&[number + 1, number - 1, 0, u64::MAX])
}

fn number(limit: usize) -> u32 {
    u32::try_from(limit).expect("a small limit")
}

fn carried(name: &str) -> KeyRef {
    KeyRef::Carried(gid(name))
}

fn by_header(batch: &Batch, codes: &'static [u16], lie: impl FnOnce(&mut BatchHeader)) -> Lie {
    let mut header = *batch.sealed.header();
    lie(&mut header);
    Lie { posted: batch.posted.clone(), header, codes }
}

fn by_forger(batch: &Batch, forger: Forger) -> Lie {
    Lie { posted: batch.posted.clone(), header: forger.header(), codes: FIELD }
}

fn by_bytes(batch: &Batch, codes: &'static [u16], lie: impl FnOnce(&mut Vec<u8>)) -> Lie {
    let mut posted = batch.posted.clone();
    lie(&mut posted);
    let bytes = u32::try_from(posted.len()).expect("short");
    Lie { header: BatchHeader { bytes, ..*batch.sealed.header() }, posted, codes }
}

fn by_data(batch: &Batch, codes: &'static [u16], lie: impl FnOnce(&mut PostedBatch)) -> Lie {
    let Watcher { plane, keystone, prev, .. } = &batch.before;
    let mut data = posted::decode(plane, keystone, prev, &batch.posted).expect("what was encoded");
    lie(&mut data);
    let posted = posted::encode(plane, keystone, prev, &data).expect("a posted form");
    by_bytes(batch, codes, |bytes| *bytes = posted)
}

/// One more transaction than there was: made of what Bob would sign next to pay Mallory.
fn by_one_more(batch: &Batch, codes: &'static [u16], lie: impl FnOnce(TransactionBody) -> Transaction) -> Lie {
    by_data(batch, codes, |data| {
        let mut latest = data.transactions.iter().rev();
        let bobs = latest.find(|transaction| transaction.body.sender == address("bob"));
        let body = bobs.expect("every busy batch has one").body.clone();
        let nonce = Nonce { seq: body.nonce.seq + 1, ..body.nonce };
        let actions = vec![pay("mallory", units(1_000))];
        data.transactions.push(lie(TransactionBody { nonce, actions, ..body }));
    })
}

/// The batch as it comes out with another inbox, said to be of the real one.
fn by_inbox(batch: &Batch, lie: impl FnOnce(&mut Vec<InboxEntry>)) -> Lie {
    let Watcher { plane, keystone, prev, inbox } = &batch.before;
    let honest = batch.sealed.header();
    let data = posted::decode(plane, keystone, prev, &batch.posted).expect("what was encoded");
    let mut entries = inbox[..usize::try_from(data.inbox).expect("short")].to_vec();
    lie(&mut entries);
    assert_eq!(entries.len() as u64, data.inbox);
    entries.iter_mut().zip(prev.inbox_upto..).for_each(|(entry, index)| entry.index = index);
    let verified = verify_all(plane, keystone, &Serial, data.transactions).expect("the whole state misses nothing");
    let transactions = verified.into_iter().collect::<Result<_, _>>().expect("good signatures");
    let produced = Produced { time: honest.time, transactions };
    let mut after = keystone.clone();
    let made = produce(plane, &mut after, prev, honest.generation, &entries, produced, &Serial);
    let (sealed, posted) = made.expect("a batch, of another inbox");
    Lie { posted, header: *sealed.header(), codes: FIELD }
}
