//! Small payments between accounts of a development plane, all the time.

use crate::keys;
use crate::node::api::Rung;
use crate::node::{Node, dev, now_ms};
use ghostplane_ghostcipher::Domain;
use ghostplane_types::gas::{GAS_NEW_OBJECT, GAS_NEW_SLOT, intrinsic};
use ghostplane_types::{
    Action, Address, Amount, AssetId, Encode, KeyRef, Nonce, Pay, Signer as _, Transaction, TransactionBody,
};
use std::path::PathBuf;
use std::time::Duration;
use tonic::codegen::Bytes;

/// The first accounts are left to people: two who count one account's numbers get into each other's way.
const PAYERS_FROM: usize = 4;
/// Between two payments.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a payment is good for.
const VALID_MS: u64 = 60_000;
/// What is paid, in base units, grows from here and starts over.
const AMOUNTS: std::ops::Range<u64> = 1_000_000..2_000_000;

struct Payer {
    key: keys::SecretKey,
    gid: ghostplane_types::Gid,
    address: Address,
}

/// Runs until it is dropped. Keys that need a passphrase are left out.
pub async fn run(node: Node, keys_dir: PathBuf) {
    let payers: Vec<Payer> = dev::NAMES[PAYERS_FROM..]
        .iter()
        .filter_map(|name| {
            let info = keys::describe(&keys_dir, name).ok()?;
            let key = keys::load(&keys_dir, name, None).ok()?;
            Some(Payer { key, gid: info.gid, address: info.address })
        })
        .collect();
    if payers.len() < 2 {
        return;
    }
    // The accounts of a new plane have nothing before its first batch credits their deposits.
    let _ = node.reached(1, Rung::Challengeable).await;
    let mut every = tokio::time::interval(PAUSE);
    for (turn, amount) in (0..).zip(AMOUNTS.cycle()) {
        every.tick().await;
        let (from, to) = (&payers[turn % payers.len()], &payers[(turn * 7 + 1) % payers.len()]);
        if from.address == to.address {
            continue;
        }
        node.caught_up().await;
        let Ok(view) = node.account(&from.address, None, false) else { continue };
        let seq = view.account.map_or(0, |(_, record)| record.next_in_lane(Nonce::LANE_ROOT));
        // A refusal shows in the metrics; the next payment starts from the state again.
        let _ = node.submit(payment(&node, from, to.address, seq, amount)).await;
    }
}

fn payment(node: &Node, from: &Payer, to: Address, seq: u64, amount: u64) -> Bytes {
    let plane = node.plane();
    let amount = Amount::new(amount).expect("a small amount");
    let body = TransactionBody {
        chain_id: plane.chain_id(),
        plane_id: plane.plane_id(),
        sender: from.address,
        nonce: Nonce { lane: Nonce::LANE_ROOT, seq },
        valid_after: 0,
        valid_until: now_ms() + VALID_MS,
        gas_limit: intrinsic(from.key.public_key().scheme(), 512, 1) + GAS_NEW_SLOT + GAS_NEW_OBJECT,
        gas_price_max: plane.genesis().gas_price,
        pay: Pay::Gcc,
        key_ref: KeyRef::Carried(from.gid),
        actions: vec![Action::Transfer { to, asset: AssetId::GCC, amount }],
        memo: Vec::new(),
    };
    let auth = from.key.consent(Domain::TransactionAuth, plane.chain_id(), &body.id());
    Transaction { body, auth, approvals: Vec::new(), sponsorship: None }.to_bytes().into()
}
