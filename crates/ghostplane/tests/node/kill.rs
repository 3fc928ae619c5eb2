//! A node that is killed again and again loses nothing that it answered for, and does nothing twice.

use crate::process::{Home, Numbers, Process, funded, standing, told};
use ghostplane_client::{Answer, Client, ClientError, Receipt, Trust};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{AccountRecord, AssetId, Encode as _, Transaction};
use std::collections::BTreeMap;

/// Kills of a usual run; GHOSTPLANE_KILLS asks for more.
const KILLS: u64 = 6;
/// What one account has unanswered at most: the sequencer takes 64 numbers ahead.
const AHEAD_MAX: usize = 24;

/// One payment as the test knows it.
struct Payment {
    from: usize,
    to: usize,
    units: u64,
    transaction: Transaction,
}

/// What everybody must have.
struct Model {
    balances: Vec<u64>,
    next: Vec<u64>,
}

impl Model {
    fn apply(&mut self, payment: &Payment, receipt: &Receipt) {
        let claimed = receipt.claimed();
        assert!(claimed.is_applied(), "{claimed:?}");
        assert_eq!(payment.transaction.body.nonce.seq, self.next[payment.from], "in the sender's order, each once");
        self.next[payment.from] += 1;
        self.balances[payment.from] -= payment.units + claimed.fee;
        self.balances[payment.to] += payment.units;
    }
}

fn kills() -> u64 {
    std::env::var("GHOSTPLANE_KILLS").map_or(KILLS, |kills| kills.parse().expect("GHOSTPLANE_KILLS is a number"))
}

#[test]
fn what_was_answered_for_outlives_every_kill_and_nothing_is_paid_twice() {
    let home = Home::new("kill");
    let mut numbers = Numbers(0x6b69_6c6c);
    let mut model = Model { balances: Vec::new(), next: Vec::new() };
    let mut kept: Vec<Receipt> = Vec::new();
    let mut node = home.dev_that_checkpoints();
    for kill in 0..kills() {
        let after = 20 + numbers.index(600);
        node = told(round(&home, node, &mut numbers, after, kill, &mut model, &mut kept));
    }
    told(async {
        let client = node.client().await;
        for receipt in &kept {
            assert_eq!(client.receipt(&receipt.id()).await.as_ref().ok(), Some(receipt));
        }
        compare(&home, &client, &model).await;
    });
    assert!(node.interrupt().success());
    let verified = home.verify();
    assert_eq!(verified["transactions"], kept.len(), "{verified}");
}

/// Streams payments, kills the node once `after` receipts came, starts it again, and settles what became of each payment.
async fn round(
    home: &Home,
    mut node: Process,
    numbers: &mut Numbers,
    after: usize,
    kill: u64,
    model: &mut Model,
    kept: &mut Vec<Receipt>,
) -> Process {
    let client = node.client().await;
    let people = home.people();
    let accounts = funded(&client, &people).await;
    if model.balances.is_empty() {
        let balance =
            |account: &ghostplane_client::ProvenAccount| account.balance(AssetId::GCC).expect("funded").units();
        model.balances = accounts.iter().map(balance).collect();
        model.next = vec![0; people.len()];
    }
    let records: Vec<Option<AccountRecord>> = accounts.iter().map(|account| account.record().cloned()).collect();
    let mut next = model.next.clone();
    let mut ahead = vec![0_usize; people.len()];
    let mut payments: Vec<Payment> = Vec::new();
    let mut answered: BTreeMap<u64, Receipt> = BTreeMap::new();
    let mut stream = client.submit_stream(Trust::Verified).await.expect("a stream");
    let mut killed = false;
    loop {
        let mut sent = Ok(());
        while !killed && sent.is_ok() && ahead.iter().sum::<usize>() < people.len() * AHEAD_MAX / 2 {
            let first = payments.len() as u64;
            let mut bytes = Vec::new();
            for _ in 0..=numbers.below(8) {
                let from = numbers.index(people.len());
                if ahead[from] == AHEAD_MAX {
                    continue;
                }
                let to = (from + 1 + numbers.index(people.len() - 1)) % people.len();
                let units = 1 + numbers.below(1_000_000);
                let record = records[from].as_ref();
                let transaction = people[from].pay(&client, record, next[from], people[to].address, units);
                bytes.push(transaction.to_bytes().into());
                payments.push(Payment { from, to, units, transaction });
                next[from] += 1;
                ahead[from] += 1;
            }
            sent = stream.send(first, bytes).await;
        }
        match stream.next().await {
            Ok(Some((reference, Answer::Verified(receipt)))) => {
                let at = usize::try_from(reference).expect("an index");
                ahead[payments[at].from] -= 1;
                assert!(answered.insert(reference, receipt).is_none(), "answered twice");
            }
            Ok(Some((reference, other))) => panic!("payment {reference} of a full purse: {other:?}"),
            Ok(None) => panic!("the node ended the stream by itself"),
            Err(error) if killed => {
                assert!(!matches!(error, ClientError::Lied(_)), "{error}");
                break;
            }
            Err(error) => panic!("the stream broke before the kill: {error}"),
        }
        if !killed && answered.len() >= after {
            node.kill();
            killed = true;
        }
    }
    drop(node);

    let node = home.dev_that_checkpoints();
    let client = node.client().await;
    let mut settled: BTreeMap<Digest, Receipt> = BTreeMap::new();
    let mut lost = Vec::new();
    for (reference, payment) in (0..).zip(&payments) {
        let id = payment.transaction.body.id();
        match (answered.get(&reference), client.receipt(&id).await) {
            (Some(answered), Ok(receipt)) => {
                assert_eq!(&receipt, answered, "kill {kill}: the answer of payment {reference} is another now");
                settled.insert(id, receipt);
            }
            (Some(_), Err(error)) => panic!("kill {kill}: payment {reference} was answered for and is gone: {error}"),
            (None, Ok(receipt)) => {
                settled.insert(id, receipt);
            }
            (None, Err(ClientError::NotFound(_))) => lost.push(reference),
            (None, Err(error)) => panic!("{error}"),
        }
    }
    // By place in the log, so that the model sees what the plane saw.
    let by_id: BTreeMap<Digest, &Payment> =
        payments.iter().map(|payment| (payment.transaction.body.id(), payment)).collect();
    let mut in_order: Vec<&Receipt> = settled.values().collect();
    in_order.sort_by_key(|receipt| receipt.position());
    for receipt in in_order {
        model.apply(by_id[&receipt.id()], receipt);
    }
    compare(home, &client, model).await;

    // Whoever got no answer sends again, whether it went through or not.
    for (reference, payment) in (0_u64..).zip(&payments).filter(|(reference, _)| !answered.contains_key(reference)) {
        let receipt = client.submit(&payment.transaction).await.expect("sending again is safe");
        match settled.get(&receipt.id()) {
            Some(known) => assert_eq!(&receipt, known),
            None => {
                assert!(lost.contains(&reference));
                model.apply(payment, &receipt);
                settled.insert(receipt.id(), receipt);
            }
        }
    }
    compare(home, &client, model).await;
    assert_eq!(settled.len(), payments.len());
    kept.extend(settled.into_values());
    node
}

/// Everybody has what the model says, by proof.
async fn compare(home: &Home, client: &Client, model: &Model) {
    for (at, person) in home.people().iter().enumerate() {
        let found = standing(client, &person.address).await;
        assert_eq!(found, (model.balances[at], model.next[at]), "{}", person.address);
    }
}
