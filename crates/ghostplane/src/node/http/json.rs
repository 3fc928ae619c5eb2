//! What the node says, as JSON. Amounts are texts, because numbers of programs are not exact over 2^53.

use crate::explain;
use crate::node::AttestingView;
use crate::node::api::{
    AccountView, AssetView, AssetsView, BatchView, Bounded, BridgeView, CommitmentView, CredentialView,
    CredentialsView, ExecutedRecord, KnownAsset, NodeEvent, PlaneRulesView, ReceiptView, RootsView, Rung, SentToL1,
    SimulationView, StatusView, TransactionView, WithdrawalView, code_name,
};
use crate::{did, gates};
use ghostplane_engine::{Plane, Refusal};
use ghostplane_ghostcipher::{Digest, hex, merkle};
use ghostplane_types::genesis::GenesisAsset;
use ghostplane_types::{
    Address, Amount, AssetId, CovenantText, Credential, Encode, EntityType, L1Address, Outcome, Reject, Scheduled,
    Source,
};
use serde_json::{Value, json};

/// What the node cannot do yet.
const UNIMPLEMENTED: [&str; 1] = ["contract storage: no contracts run yet"];

fn bytes<T: Encode>(value: &T) -> String {
    hex::encode(&value.to_bytes())
}

fn siblings(path: &merkle::Path) -> Vec<String> {
    path.siblings.iter().map(ToString::to_string).collect()
}

fn bounded(value: Bounded) -> Value {
    json!({ "now": value.now, "max": value.max })
}

/// Units with a point before the last `decimals` digits, and no zeros at the end behind it.
fn decimal(units: u128, decimals: u8) -> String {
    let digits = usize::from(decimals);
    let text = format!("{units:0>width$}", width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.into() } else { format!("{whole}.{fraction}") }
}

/// An amount of an asset that genesis may know; of another one there is no text, since nobody told its decimals.
fn money(known: Option<(&[u8], u8)>, asset: AssetId, units: u128) -> Value {
    let symbol = known.map_or_else(|| asset.to_string(), |(symbol, _)| String::from_utf8_lossy(symbol).into_owned());
    let text = known.map(|(_, decimals)| decimal(units, decimals));
    json!({ "units": units.to_string(), "text": text, "asset": symbol })
}

fn of_genesis(plane: &Plane, asset: AssetId) -> Option<&GenesisAsset> {
    plane.genesis().assets.iter().find(|known| known.asset == asset)
}

fn amount(plane: &Plane, asset: AssetId, amount: Amount) -> Value {
    let known = of_genesis(plane, asset).map(|known| (known.symbol.as_slice(), known.decimals));
    money(known, asset, amount.units().into())
}

/// Base units of GCC, which has the same decimals on every plane.
fn gcc(units: u64) -> Value {
    money(Some((b"gcc", ghostplane_types::amount::DECIMALS_NATIVE)), AssetId::GCC, units.into())
}

fn address(address: &Address, entity_type: EntityType) -> Value {
    json!({ "text": address.to_text(entity_type), "did": address.to_did(entity_type), "hex": hex::encode(address.as_bytes()) })
}

fn outcome(of: &Outcome) -> Value {
    let action = (of.action != Outcome::NO_ACTION).then_some(of.action);
    json!({
        "code": of.code,
        "name": code_name(of.code),
        "action": action,
        "gas": of.gas,
        "fee": gcc(of.fee),
        "first_withdrawal": (of.withdrawals > 0).then_some(of.first_withdrawal),
        "withdrawals": of.withdrawals,
    })
}

/// An object with more behind it.
fn joined(mut first: Value, more: Value) -> Value {
    if let (Some(first), Value::Object(more)) = (first.as_object_mut(), more) {
        first.extend(more);
    }
    first
}

fn record(of: &ExecutedRecord) -> Value {
    let first = json!({ "id": of.tx_id.to_string(), "position": of.position, "batch": of.batch });
    joined(first, outcome(&of.outcome))
}

pub(super) fn receipt(view: &ReceiptView) -> Value {
    let flush = &view.flushed.signed.flush;
    joined(
        record(&view.record),
        json!({
            "flush": {
                "generation": flush.generation,
                "flush": flush.flush,
                "first_position": flush.first_position,
                "transactions": view.flushed.count,
                "root": flush.root.to_string(),
                "batch_at_most": flush.batch_at_most,
                "signed": bytes(&view.flushed.signed),
            },
            "path": view.flushed.path(view.record.position).as_ref().map(siblings),
        }),
    )
}

/// The answer to a submission: the receipt, and how far its batch has come.
pub(super) fn submitted(view: &ReceiptView, rung: Rung) -> Value {
    joined(receipt(view), json!({ "rung": rung.word() }))
}

pub(super) fn transaction(view: &TransactionView) -> Value {
    joined(
        record(&view.record),
        json!({
            "rung": view.rung.word(),
            "time": view.time,
            "transaction": view.transaction.as_ref().map(bytes),
        }),
    )
}

pub(super) fn account(plane: &Plane, view: &AccountView, proof: bool) -> Value {
    let found = view.account.as_ref().map(|(_, record)| record);
    let lane = found.and_then(|record| record.lanes.iter().find(|lane| lane.lane == 0));
    let identity = found.and_then(|record| record.identity.as_ref());
    let time = view.header.time;
    let standing = found.map(|record| record.standing(view.header.time)).unwrap_or_default();
    let balances = view.balances.iter().map(|balance| {
        let named = balance.named.as_ref().map(|(symbol, decimals)| (symbol.as_slice(), *decimals));
        let mut value = json!({
            "asset": balance.asset.number(),
            "amount": money(named, balance.asset, balance.amount.units().into()),
            "slot": balance.slot,
        });
        if proof {
            value["proof"] = balance.proof.as_ref().map(bytes).into();
        }
        value
    });
    let mut value = json!({
        "address": address(&view.address, identity.map_or(EntityType::Wallet, |identity| identity.entity_type)),
        "exists": found.is_some(),
        "registered": identity.is_some(),
        "number": view.account.as_ref().map(|(number, _)| number),
        "level": standing.level,
        "certified": standing.certified.map(EntityType::name),
        "next_sequence": lane.map_or(0, |lane| lane.next),
        "balances": balances.collect::<Vec<_>>(),
        "mana": {
            "at": view.mana.at,
            "gas": view.mana.now.gas(),
            "granted": view.mana.now.granted,
            "regenerated": view.mana.now.regenerated,
            "per_window": view.mana.per_window,
            "cap": view.mana.cap,
            "grant": view.mana.grant,
        },
        "record": found.map(bytes),
        "batch": view.header.number,
        "time": time,
        "rung": view.rung.word(),
        "identity": gates::identity(found, time),
    });
    value = joined(value, gates::all(found, time, &|asset, of| amount(plane, asset, of)));
    if proof {
        value["header"] = bytes(&view.header).into();
        value["record_proof"] = view.proof.as_ref().map(bytes).into();
    }
    value
}

/// Who speaks for an address.
pub(super) fn identity(view: &AccountView, proof: bool) -> Value {
    let found = view.account.as_ref().map(|(_, record)| record);
    let identity = found.and_then(|record| record.identity.as_ref());
    let mut value = json!({
        "address": address(&view.address, identity.map_or(EntityType::Wallet, |identity| identity.entity_type)),
        "exists": found.is_some(),
        "registered": identity.is_some(),
        "identity": gates::identity(found, view.header.time),
        "document": did::document(&view.address, found),
        "record": found.map(bytes),
        "batch": view.header.number,
        "time": view.header.time,
        "rung": view.rung.word(),
    });
    if proof {
        value["header"] = bytes(&view.header).into();
        value["record_proof"] = view.proof.as_ref().map(bytes).into();
    }
    value
}

pub(super) fn covenant(text: &CovenantText) -> Value {
    json!({
        "digest": text.digest().to_string(),
        "schema_version": text.schema_version,
        "text": text.text,
        "cost": text.cost,
        "counts": text.counts,
    })
}

pub(super) fn plane_rules(view: &PlaneRulesView) -> Value {
    let named = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    let scheduled = |rules: &Scheduled| {
        let next = rules.next.map(|change| json!({ "covenant": named(change.to), "from": change.from }));
        json!({ "now": named(rules.at(view.header.time)), "next": next })
    };
    let rules = view.rules.clone().unwrap_or_default();
    let assets =
        rules.assets.iter().map(|known| json!({ "asset": known.asset.number(), "rules": scheduled(&known.rules) }));
    json!({
        "batch": view.header.number,
        "time": view.header.time,
        "plane": scheduled(&rules.plane),
        "assets": assets.collect::<Vec<_>>(),
        "rules": view.rules.as_ref().map(bytes),
        "header": bytes(&view.header),
        "proof": bytes(&view.proof),
    })
}

pub(super) fn simulation(simulated: &Result<SimulationView, Reject>) -> Value {
    match simulated {
        Ok(SimulationView { outcome, refusal }) => json!({
            "is_admitted": true, "code": outcome.code, "name": code_name(outcome.code), "gas": outcome.gas,
            "action": refusal.as_ref().map(|_| outcome.action),
            "explanation": refusal.as_ref().map(explain::json),
        }),
        Err(reject) => json!({
            "is_admitted": false, "code": reject.code(), "name": code_name(reject.code()), "gas": 0, "action": null,
            "explanation": explain::json(&Refusal { reject: reject.clone(), because: None }),
        }),
    }
}

fn credential(known: &Credential) -> Value {
    let Credential { issuer, terms, issued } = known;
    json!({
        "issuer": issuer.to_string(), "subject": terms.subject.to_string(), "claims": terms.claims.to_string(),
        "level": terms.level, "certified": terms.certified.map(EntityType::name),
        "issued": issued, "expires": terms.expires, "bytes": bytes(known),
    })
}

pub(super) fn credentials(view: &CredentialsView) -> Value {
    json!({
        "credentials": view.credentials.iter().map(credential).collect::<Vec<_>>(),
        "resume_after": view.resume_after.as_ref().map(bytes),
        "batch": view.header.number,
        "time": view.header.time,
        "rung": view.rung.word(),
    })
}

pub(super) fn credential_of(view: &CredentialView, proof: bool) -> Value {
    let mut value = json!({
        "exists": view.credential.is_some(),
        "credential": view.credential.as_ref().map(credential),
        "batch": view.header.number,
        "time": view.header.time,
        "rung": view.rung.word(),
    });
    if proof {
        value["header"] = bytes(&view.header).into();
        value["proof"] = view.proof.as_ref().map(bytes).into();
    }
    value
}

pub(super) fn asset(view: &AssetView, proof: bool) -> Value {
    let known = view.known.as_ref();
    let named = known.map(|known| (known.symbol(), known.decimals()));
    let of = |units: Amount| money(named, view.asset, units.units().into());
    let mut value = json!({
        "asset": view.asset.number(),
        "exists": known.is_some(),
        "bridged": view.asset.is_bridged(),
        "symbol": known.map(|known| String::from_utf8_lossy(known.symbol()).into_owned()),
        "decimals": known.map(KnownAsset::decimals),
        "batch": view.header.number,
        "time": view.header.time,
        "rung": view.rung.word(),
    });
    match known {
        Some(KnownAsset::Own(record)) => {
            value["issuer"] = address(&record.issuer, EntityType::Wallet);
            value["cap"] = of(record.cap);
            value["supply"] = of(record.supply);
            value["frozen"] = record.is_frozen.into();
            value["record"] = bytes(record).into();
        }
        Some(KnownAsset::Bridged(known)) => value["l1_decimals"] = known.l1_decimals.into(),
        None => {}
    }
    if proof {
        value["header"] = bytes(&view.header).into();
        value["proof"] = view.proof.as_ref().map(bytes).into();
    }
    value
}

pub(super) fn assets(view: &AssetsView) -> Value {
    let assets: Vec<Value> = view.assets.iter().map(|of| asset(of, false)).collect();
    json!({ "assets": assets, "next": view.next.as_ref().map(bytes) })
}

pub(super) fn roots(view: &RootsView) -> Value {
    json!({
        "batch": view.batch,
        "time": view.time,
        "state_root": view.state_root.to_string(),
        "ledger_root": view.ledger_root.to_string(),
        "object_root": view.object_root.to_string(),
        "slots_used": view.slots_used,
        "objects_used": view.objects_used,
    })
}

pub(super) fn batch(chain_id: u64, plane_id: &Digest, view: &BatchView, records: bool, posted: bool) -> Value {
    let header = &view.header;
    let mut value = json!({
        "number": header.number,
        "protocol": header.protocol,
        "generation": header.generation,
        "time": header.time,
        "rung": view.rung.word(),
        "transactions": view.transactions,
        "inbox_entries": view.inbox_entries,
        "gas": header.gas,
        "bytes": header.bytes,
        "entries": header.entries,
        "log_upto": header.log_upto,
        "inbox_upto": header.inbox_upto,
        "outbox_upto": header.outbox_upto,
        "prev_state": header.prev_state.to_string(),
        "state_root": header.state().digest(chain_id, plane_id).to_string(),
        "ledger_root": header.ledger_root.to_string(),
        "object_root": header.object_root.to_string(),
        "header_digest": header.digest(chain_id).to_string(),
        "header": bytes(header),
    });
    if records {
        let records = view.records.iter().map(|(source, id, of)| {
            let source = match source {
                Source::Log(position) => json!({ "id": id.to_string(), "position": position }),
                Source::Inbox(index) => json!({ "id": id.to_string(), "inbox_index": index }),
            };
            joined(source, outcome(of))
        });
        value["records"] = records.collect();
    }
    if posted {
        value["posted"] = view.posted.as_deref().map(hex::encode).into();
    }
    value
}

/// The data of an event; its name says of which kind.
pub(super) fn event(chain_id: u64, plane_id: &Digest, event: NodeEvent) -> Value {
    match event {
        NodeEvent::BatchSealed { header, transactions, inbox_entries } => {
            let (records, posted) = (Vec::new(), None);
            let view = BatchView { header, rung: Rung::Attested, transactions, inbox_entries, records, posted };
            batch(chain_id, plane_id, &view, false, false)
        }
        NodeEvent::Committed { first_batch, last_batch, l1_height }
        | NodeEvent::Proven { first_batch, last_batch, l1_height } => {
            json!({ "first_batch": first_batch, "last_batch": last_batch, "l1_height": l1_height })
        }
        NodeEvent::Final { batch, l1_height } => json!({ "batch": batch, "l1_height": l1_height }),
        NodeEvent::L1Block { height, time, inbox_end } => {
            json!({ "height": height, "time": time, "inbox_end": inbox_end })
        }
        NodeEvent::Reverted { first_batch, generation } => {
            json!({ "first_batch": first_batch, "generation": generation })
        }
        NodeEvent::Flushed { flush, first_position, transactions } => {
            json!({ "flush": flush, "first_position": first_position, "transactions": transactions })
        }
    }
}

pub(super) fn bridge(plane: &Plane, view: &BridgeView) -> Value {
    let escrow = view.escrow.iter().map(|(asset, held)| amount(plane, *asset, *held));
    json!({
        "l1_chain_id": plane.genesis().l1_chain_id,
        "l1_height": view.l1_height,
        "l1_time": view.l1_time,
        "committed_batch": view.committed,
        "final_batch": view.final_batch,
        "inbox_end": view.inbox_end,
        "inbox_consumed": view.inbox_consumed,
        "generation": view.generation,
        "bond": gcc(view.bond.units()),
        "escrow": escrow.collect::<Vec<_>>(),
        "open_cases": view.cases,
        "pending_commitments": view.pending,
        "settlement_digest": view.digest.to_string(),
    })
}

pub(super) fn l1_account(plane: &Plane, address: &L1Address, next: u64, balances: &[(AssetId, u128)]) -> Value {
    let balances = balances.iter().map(|(asset, units)| {
        let known = of_genesis(plane, *asset).map(|known| (known.symbol.as_slice(), known.l1_decimals));
        money(known, *asset, *units)
    });
    json!({ "address": hex::encode(&address.0), "next_sequence": next, "balances": balances.collect::<Vec<_>>() })
}

pub(super) fn withdrawal(plane: &Plane, view: &WithdrawalView) -> Value {
    let leaves = &view.withdrawal;
    json!({
        "index": leaves.index,
        "owner": address(&leaves.owner, EntityType::Wallet),
        "to": hex::encode(&leaves.to.0),
        "amount": amount(plane, leaves.asset, leaves.amount),
        "batch": view.batch,
        "rung": view.rung.word(),
        "claimed": view.claimed,
        "withdrawal": bytes(leaves),
        "claim": view.claim.as_ref().map(bytes),
    })
}

pub(super) fn commitment(chain_id: u64, view: &CommitmentView) -> Value {
    let commitment = &view.commitment;
    json!({
        "digest": commitment.digest(chain_id).to_string(),
        "first_batch": commitment.first_batch,
        "last_batch": commitment.last_header.number,
        "batches": view.path.count,
        "l1_height": view.l1_height,
        "rung": view.rung.word(),
        "commitment": bytes(commitment),
        "header": bytes(&view.header),
        "index": view.path.index,
        "path": siblings(&view.path),
    })
}

pub(super) fn sent_to_l1(sent: &SentToL1) -> Value {
    json!({ "l1_height": sent.l1_height, "events": sent.events, "inbox_index": sent.inbox_index })
}

pub(super) fn info(plane: &Plane) -> Value {
    let genesis = plane.genesis();
    let assets = genesis.assets.iter().map(|asset| {
        json!({
            "asset": asset.asset.number(),
            "symbol": String::from_utf8_lossy(&asset.symbol),
            "decimals": asset.decimals,
            "l1_decimals": asset.l1_decimals,
            "deposit_min": amount(plane, asset.asset, asset.deposit_min),
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "plane_id": plane.plane_id().to_string(),
        "chain_id": genesis.chain_id,
        "l1_chain_id": genesis.l1_chain_id,
        "protocol": genesis.protocol,
        "sequencer": genesis.sequencer.to_string(),
        "gas_price": gcc(genesis.gas_price),
        "slot_price": gcc(genesis.slot_price.units()),
        "object_price": gcc(genesis.object_price.units()),
        "mana": {
            "rate": genesis.mana.rate,
            "window_ms": genesis.mana.window_ms,
            "cap_ms": genesis.mana.cap_ms,
            "supply_max": amount(plane, AssetId::ZMAN, genesis.mana.supply_max),
            "grants": genesis.mana.grants,
        },
        "assets": assets.collect::<Vec<_>>(),
        "genesis": bytes(genesis),
        "unimplemented": UNIMPLEMENTED,
    })
}

fn attesting(view: &AttestingView) -> Value {
    json!({
        "quorum": view.quorum,
        "weight": view.weight,
        "first_batch": view.batches.0,
        "last_batch": view.batches.1,
        "waited_ms": bounded(Bounded { now: view.waited_ms, max: view.wait_max_ms }),
        "missing": view.missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

pub(super) fn status(view: &StatusView) -> Value {
    json!({
        "state": view.condition.word(),
        "batch": view.batch,
        "batch_time": view.batch_time,
        "log_position": view.log_position,
        "committed_batch": view.committed,
        "proven_batch": view.proven,
        "final_batch": view.final_batch,
        "checkpoint_batch": view.checkpoint,
        "l1_height": view.l1_height,
        "generation": view.generation,
        "uptime_ms": view.uptime_ms,
        "objects_used": view.objects_used,
        "slots_used": view.slots_used,
        "pool": bounded(view.pool),
        "pool_bytes": bounded(view.pool_bytes),
        "verifying": bounded(view.verifying),
        "unsealed": bounded(view.unsealed),
        "uncommitted": bounded(view.uncommitted),
        "uncommitted_bytes": bounded(view.uncommitted_bytes),
        "prover": view.prover.word(),
        "unproven_batches": view.unproven_batches,
        "unproven_entries": view.unproven_entries,
        "unproven_bytes": bounded(view.unproven_bytes),
        "attesting": view.attesting.as_ref().map(attesting),
        "accepted": view.accepted,
        "refused": view.refused,
        "flushes": view.flushes,
        "rate_per_second": view.rate_per_second,
        "memory_bytes": view.memory_bytes,
        "subscribers": view.subscribers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::http::tests::status_view;

    #[test]
    fn amounts_are_exact_texts() {
        let table = [
            (1_500_000_000, 9, "1500000000", "1.5"),
            (0, 9, "0", "0"),
            (1, 9, "1", "0.000000001"),
            (u128::from(u64::MAX), 0, "18446744073709551615", "18446744073709551615"),
            (u128::MAX, 18, "340282366920938463463374607431768211455", "340282366920938463463.374607431768211455"),
        ];
        for (units, decimals, exact, text) in table {
            let value = money(Some((b"gcc", decimals)), AssetId::GCC, units);
            assert_eq!(value, json!({ "units": exact, "text": text, "asset": "gcc" }));
        }
        let native = Amount::new(1_234_567_890).expect("an amount");
        assert_eq!(gcc(native.units())["text"], native.to_decimal(9));
        let unknown = money(None, AssetId::new(65_536).expect("an asset"), 7);
        assert_eq!(unknown, json!({ "units": "7", "text": null, "asset": "#65536" }));
    }

    #[test]
    fn a_failed_transaction_says_which_action_and_why() {
        let failed = Outcome {
            code: 200,
            action: 1,
            gas: 10,
            fee: 20,
            first_entry: 0,
            entries: 0,
            first_withdrawal: 5,
            withdrawals: 0,
        };
        let view = TransactionView {
            record: ExecutedRecord { tx_id: Digest([0xab; 32]), position: 3, batch: 2, outcome: failed },
            rung: Rung::Challengeable,
            transaction: None,
            time: Some(9),
        };
        let value = transaction(&view);
        let expected = json!({
            "id": "ab".repeat(32), "position": 3, "batch": 2, "code": 200, "name": "Overdrawn", "action": 1, "gas": 10,
            "fee": { "units": "20", "text": "0.00000002", "asset": "gcc" }, "first_withdrawal": null, "withdrawals": 0,
            "rung": "challengeable", "time": 9, "transaction": null,
        });
        assert_eq!(value, expected);
        let applied = Outcome { code: 0, action: Outcome::NO_ACTION, withdrawals: 2, ..failed };
        let value = outcome(&applied);
        assert_eq!((&value["name"], &value["action"]), (&json!("applied"), &Value::Null));
        assert_eq!((&value["first_withdrawal"], &value["withdrawals"]), (&json!(5), &json!(2)));
    }

    #[test]
    fn the_status_tells_every_bound() {
        let value = status(&status_view());
        assert_eq!(value["state"], "ready");
        assert_eq!(value["pool"], json!({ "now": 5, "max": 50 }));
        assert_eq!(value["memory_bytes"], Value::Null);
        assert_eq!(value["attesting"]["waited_ms"], json!({ "now": 40, "max": 60_000 }));
        let alone = status(&StatusView { attesting: None, ..status_view() });
        assert_eq!(alone["attesting"], Value::Null);
    }
}
