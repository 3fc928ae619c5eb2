//! Mana to the unit, and who pays for whom.

use super::*;
use ghostplane_types::{AccountRecord, Mana, ManaTerms, Spent, SponsorTerms};

const HOUR_MS: u64 = 3_600_000;

fn mana_json(mana: &Mana) -> Value {
    json!({
        "touched": mana.touched, "units": mana.units.to_string(),
        "granted": { "window": mana.granted.window, "gas": mana.granted.units },
    })
}

/// What regenerates, what goes along, what pays, and when it suffices.
fn arithmetic(terms: &ManaTerms) -> Value {
    let start = Mana { touched: GENESIS_MS, units: 12_345, granted: Spent::default() };
    let zman = |units| amount(units);
    let touches = [(0, 5), (1, 1), (1_000_000_000, 1), (777_777_777_777, 3_599_999), (1_000_000_000, 100 * HOUR_MS)];
    let touches = touches.map(|(balance, elapsed)| {
        let touched = terms.touch(start, zman(balance), GENESIS_MS + elapsed);
        json!({ "balance": balance, "elapsed_ms": elapsed, "after": mana_json(&touched) })
    });
    let parts = [(10_u128, 1, 3), (u128::from(u64::MAX), 7, 9), (1 << 90, (1 << 62) + 1, 1 << 62 | 3), (5, 3, 3)];
    let parts = parts.map(|(units, moved, balance)| {
        let part = ManaTerms::part(units, zman(moved), zman(balance));
        json!({ "units": units.to_string(), "moved": moved, "balance": balance, "part": part.to_string() })
    });
    let pays = [(0, 0, 1), (1, 0, 40_000), (1, HOUR_MS, 60_000), (3, HOUR_MS, 5_100_000), (2, 30 * HOUR_MS, 700_000)];
    let pays = pays.map(|(level, elapsed, gas)| {
        let (balance, time) = (zman(1_000_000_000), GENESIS_MS + elapsed);
        let now = terms.now(start, balance, level, time);
        let less = terms.reserve(start, balance, level, time, gas).ok();
        let rest = less.map(|(mana, reserve)| terms.release(mana, reserve, gas / 3, balance, time));
        json!({
            "level": level, "elapsed_ms": elapsed, "gas": gas,
            "now": { "granted": now.granted, "regenerated": now.regenerated },
            "reserved": less.map(|(mana, _)| mana_json(&mana)),
            "a_third_used": rest.map(|mana| mana_json(&mana)),
            "ready_at": terms.ready_at(start, balance, level, time, gas),
        })
    });
    json!({ "start": mana_json(&start), "touch": touches, "part": parts, "pay": pays })
}

fn signed(from: &str, body: TransactionBody) -> Transaction {
    let auth = key(from).sign(Domain::TransactionAuth, CHAIN, &body.id());
    Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
}

fn by_mana(plane: &Plane, from: &str, seq: u64, actions: Vec<Action>) -> Transaction {
    let body = TransactionBody { pay: Pay::Mana, ..transaction(plane, from, seq, actions, "").body };
    signed(from, body)
}

fn by_sponsor(plane: &Plane, from: &str, seq: u64, actions: Vec<Action>, sponsor: &str) -> Transaction {
    let terms = SponsorTerms {
        sponsor: gid(sponsor).address(),
        fee_max: amount(50_000),
        valid_until: GENESIS_MS + HOUR_MS / 2,
    };
    let body = TransactionBody {
        pay: Pay::Sponsor(Box::new(terms)),
        gas_limit: 20_000,
        ..transaction(plane, from, seq, actions, "").body
    };
    let mut signed = signed(from, body);
    let auth = key(sponsor).sign(Domain::Sponsor, CHAIN, &signed.body.id());
    signed.sponsorship = Some(Box::new(Approval { key: public(sponsor), auth: auth.into() }));
    signed
}

/// ZMAN comes, regenerates, moves and pays, and Carol pays for Bob; the L1 replays all of it.
#[test]
fn mana() {
    let plane = plane();
    let mut operator = Operator::found(plane.clone(), key("operator"), 1, &Serial).expect("founded");
    let mut l1 = LocalL1::new(&plane, operator.state(), 1_000).expect("set up");
    operator.bond(&mut l1).expect("bonded");
    let gcc = 1_000_000_000;
    let funds = [
        ("alice", AssetId::ZMAN, 50_000 * gcc),
        ("alice", AssetId::GCC, gcc),
        ("bob", AssetId::GCC, gcc),
        ("carol", AssetId::GCC, gcc),
    ];
    for (name, asset, l1_amount) in funds {
        l1.send(L1Address([9; 32]), Message::Deposit { asset, l1_amount, to: gid(name).address() }).expect("taken");
    }
    l1.mine(3).expect("time passes");
    let inbox: Vec<InboxEntry> = l1.settlement().inbox_entries(0, 9).cloned().collect();
    operator.produce(l1.block().time, &inbox, Vec::new(), &Serial).expect("batch 1");

    let half = pay("bob", AssetId::ZMAN, 25_000 * 1_000_000_000);
    let rounds = vec![
        vec![transaction(&plane, "carol", 0, vec![pay("bob", AssetId::GCC, 1)], "")],
        vec![by_mana(&plane, "alice", 0, vec![pay("bob", AssetId::GCC, 5)]), by_mana(&plane, "alice", 1, vec![half])],
        vec![
            by_mana(&plane, "bob", 0, vec![pay("alice", AssetId::ZMAN, 1), pay("dora", AssetId::ZMAN, 7)]),
            by_sponsor(&plane, "bob", 1, vec![pay("alice", AssetId::GCC, 9)], "carol"),
        ],
    ];
    let record_of = |operator: &Operator, name: &str| {
        let object = operator.keystone().object(&ObjectKey::account(&gid(name).address())).expect("all is here");
        object.map(|object| hex::encode(object.value))
    };
    let mut batches = Vec::new();
    for transactions in rounds {
        l1.mine(1).expect("time passes");
        let verified = operator.verify(transactions.clone(), &Serial).expect("the state is whole");
        let verified = verified.into_iter().collect::<Result<Vec<_>, _>>().expect("all verify");
        operator.produce(l1.block().time, &[], verified, &Serial).expect("a batch");
        let kept = operator.batches().last().expect("just made");
        let outcomes = kept.records.iter().map(|record| {
            let Outcome { code, gas, fee, .. } = record.2;
            assert_eq!(code, 0);
            json!({ "gas": gas, "fee": fee })
        });
        let records = ["alice", "bob", "carol", "dora"].map(|name| record_of(&operator, name));
        batches.push(json!({
            "header": encoding(&kept.header),
            "posted": hex::encode(&kept.posted),
            "transactions": transactions.iter().map(encoding).collect::<Vec<_>>(),
            "outcomes": outcomes.collect::<Vec<_>>(),
            "records": records,
        }));
    }
    settle(&plane, &mut operator, &mut l1);

    let terms = &plane.genesis().mana;
    let mut record = AccountRecord::new(gid("alice").address());
    record.set_mana(Mana { touched: GENESIS_MS, units: 1 << 70, granted: Spent { window: 20_454, units: 3_333 } });
    frozen(
        "mana.json",
        &json!({
            "terms": encoding(terms), "gas_unit": terms.gas_unit().to_string(),
            "arithmetic": arithmetic(terms), "record": encoding(&record), "batches": batches,
        }),
    );
}
