//! What the demo did, in figures.

use super::gates::Shown;
use super::process::Scene;
use crate::local::{Kept, LocalL1, Operator, Watcher};
use crate::payments::{BadRow, Payments};
use crate::screen::{self, Align, Screen, Table};
use ghostplane_types::{AssetId, Money};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Counters and times of one run.
#[derive(Clone, Debug)]
pub struct Report {
    pub accounts: usize,
    pub commitments: u64,
    pub elapsed: Duration,
    refused: Vec<BadRow>,
    payments: usize,
    deposits: BTreeMap<AssetId, (u64, u128)>,
    claims: BTreeMap<AssetId, (u64, u128)>,
    escrow: BTreeMap<AssetId, u128>,
    transactions: u64,
    transactions_all: u64,
    posted_bytes: u64,
    gas: u64,
    fees: u128,
    signing: Duration,
    signed: usize,
    proof: Option<Proven>,
    on_l1: Option<(Duration, usize)>,
    challenge: Option<(Duration, usize)>,
    end: Option<End>,
    gates: Option<Shown>,
    node: Option<Scene>,
}

/// A proof of conservation that the L1 took.
#[derive(Clone, Copy, Debug)]
pub struct Proven {
    pub batch: u64,
    pub entries: u32,
    pub bytes: usize,
    pub took: Duration,
}

#[derive(Clone, Debug)]
struct End {
    batches: u64,
    generation: u32,
    verify: Duration,
    execute: Duration,
    watching: Duration,
    state_root: String,
    settlement_digest: String,
    heap_bytes: usize,
}

impl Report {
    pub fn new(payments: &Payments) -> Self {
        Self {
            accounts: 0,
            commitments: 0,
            elapsed: Duration::ZERO,
            refused: payments.refused.clone(),
            payments: payments.payments.len(),
            deposits: BTreeMap::new(),
            claims: BTreeMap::new(),
            escrow: BTreeMap::new(),
            transactions: 0,
            transactions_all: 0,
            posted_bytes: 0,
            gas: 0,
            fees: 0,
            signing: Duration::ZERO,
            signed: 0,
            proof: None,
            on_l1: None,
            challenge: None,
            end: None,
            gates: None,
            node: None,
        }
    }

    pub fn deposit(&mut self, money: Money) {
        tally(&mut self.deposits, money);
    }

    pub fn claimed(&mut self, money: Money) {
        tally(&mut self.claims, money);
    }

    pub fn escrow(&mut self, asset: AssetId, units: u128) {
        self.escrow.insert(asset, units);
    }

    pub fn batch(&mut self, kept: &Kept) {
        let transactions = kept.header.log_upto - kept.before.log_upto;
        self.transactions += transactions;
        self.transactions_all += transactions;
        self.gas += kept.header.gas;
        if transactions > 0 {
            self.posted_bytes += u64::from(kept.header.bytes);
        }
        self.fees += kept.records.iter().map(|(_, _, outcome)| u128::from(outcome.fee)).sum::<u128>();
    }

    pub fn signed(&mut self, took: Duration, count: usize) {
        self.signing += took;
        self.signed += count;
    }

    pub fn proof(&mut self, proven: Proven) {
        self.proof = Some(proven);
    }

    pub fn replay_on_l1(&mut self, took: Duration, witness_bytes: usize) {
        self.on_l1 = Some((took, witness_bytes));
    }

    pub fn challenge(&mut self, took: Duration, witness_bytes: usize) {
        self.challenge = Some((took, witness_bytes));
    }

    /// Forgets what reverted batches counted; time spent stays spent.
    pub fn forget_reverted(&mut self, before: &Self) {
        self.transactions = before.transactions;
        self.posted_bytes = before.posted_bytes;
        self.gas = before.gas;
        self.fees = before.fees;
    }

    pub fn finish(&mut self, operator: &Operator, watcher: &Watcher, l1: &LocalL1) {
        let plane = operator.plane();
        self.end = Some(End {
            batches: operator.state().number,
            generation: operator.generation(),
            verify: operator.spent().verify,
            execute: operator.spent().execute,
            watching: watcher.replayed(),
            state_root: operator.state().digest(plane.chain_id(), &plane.plane_id()).to_string(),
            settlement_digest: l1.settlement().digest().to_string(),
            heap_bytes: operator.keystone().heap_bytes(),
        });
    }

    pub fn gates(&mut self, shown: Shown) {
        self.gates = Some(shown);
    }

    pub fn node(&mut self, scene: Scene) {
        self.node = Some(scene);
    }

    pub fn show(&self, screen: &Screen) {
        let Some(end) = &self.end else { return };
        screen.heading("What happened");
        let mut table = Table::new(&[("", Align::Left), ("", Align::Right), ("", Align::Left)]);
        let count = |number: u64| screen::grouped(number);
        let money = |tallies: &BTreeMap<AssetId, (u64, u128)>| {
            let texts = tallies.iter().map(|(asset, (_, units))| coins(*asset, *units));
            texts.collect::<Vec<_>>().join(" + ")
        };
        let how_many = |tallies: &BTreeMap<AssetId, (u64, u128)>| count(tallies.values().map(|(count, _)| count).sum());
        let average = |bytes: u64, of: u64| format!("{} bytes each", bytes.checked_div(of).unwrap_or_default());
        table.row([
            "accounts".into(),
            count(self.accounts as u64),
            screen::bytes(end.heap_bytes as u64) + " of state in memory",
        ]);
        table.row(["deposits".into(), how_many(&self.deposits), money(&self.deposits)]);
        table.row([
            "payments".into(),
            count(self.payments as u64),
            format!("{} rows refused by line", self.refused.len()),
        ]);
        table.row([
            "transactions posted".into(),
            count(self.transactions),
            average(self.posted_bytes, self.transactions),
        ]);
        table.row(["batches".into(), count(end.batches), format!("in {} commitments", self.commitments)]);
        table.row(["thefts".into(), "1".into(), format!("caught and reverted; generation {}", end.generation)]);
        table.row(["withdrawals claimed".into(), how_many(&self.claims), money(&self.claims)]);
        table.row(["fees and storage".into(), String::new(), coins(AssetId::GCC, self.fees)]);
        for (asset, units) in &self.escrow {
            table.row([format!("{asset} left in escrow"), String::new(), coins(*asset, *units)]);
        }
        if let Some(shown) = &self.gates {
            table.row([
                "attempts on a guarded treasury".into(),
                count(shown.thief_attempts as u64),
                format!("{} moved, its lost key replaced after", coins(AssetId::GCC, u128::from(shown.thief_moved)))
                    + &format!(" {} hours", shown.recovered_after_hours),
            ]);
        }
        if let Some(node) = &self.node {
            table.row([
                "acknowledged before the kill".into(),
                count(node.acknowledged as u64),
                format!("{} lost, {} of {} done twice", node.lost, node.doubled, count(node.payments as u64)),
            ]);
            table.row([
                "on the way when it came".into(),
                count(node.unanswered as u64),
                format!("{} were in the log; all sent again, each done once", node.unanswered_kept),
            ]);
        }
        screen.table(&table);

        screen.heading("How fast");
        let mut table = Table::new(&[("", Align::Left), ("", Align::Right), ("", Align::Right)]);
        let speed = |count: u64, took: Duration| [screen::duration(took), screen::rate(count, took)];
        let mut row = |what: &str, [took, rate]: [String; 2]| {
            table.row([what.to_owned(), took, rate]);
        };
        row("signing", speed(self.signed as u64, self.signing));
        row("checking signatures", speed(self.transactions_all, end.verify));
        row("encoding, executing, roots", speed(self.transactions_all, end.execute));
        row("watching (all of it again)", speed(self.transactions_all, end.watching));
        if let Some(proof) = self.proof {
            row("a proof of conservation", [screen::duration(proof.took), screen::bytes(proof.bytes as u64)]);
        }
        for (what, case) in [("replay by the L1", self.on_l1), ("challenge judged by the L1", self.challenge)] {
            if let Some((took, bytes)) = case {
                row(what, [screen::duration(took), format!("witness {}", screen::bytes(bytes as u64))]);
            }
        }
        if let Some(node) = &self.node {
            let again = format!("{} batches again", node.replayed_batches);
            row("the node's start after the kill", [screen::duration(node.restart), again]);
        }
        row("everything", [screen::duration(self.elapsed), String::new()]);
        screen.table(&table);
        screen.note(&format!("state root {}", end.state_root));
        screen.emit(&self.json(end));
    }

    fn json(&self, end: &End) -> serde_json::Value {
        let tallies = |tallies: &BTreeMap<AssetId, (u64, u128)>| {
            let entries = tallies.iter().map(|(asset, (count, units))| {
                (asset.to_string(), json!({ "count": count, "units": units.to_string() }))
            });
            entries.collect::<serde_json::Map<_, _>>()
        };
        let refused = self.refused.iter().map(|row| json!({ "line": row.line, "problem": row.problem }));
        let escrow = self.escrow.iter().map(|(asset, units)| (asset.to_string(), json!(units.to_string())));
        let case = |case: Option<(Duration, usize)>| {
            case.map(|(took, bytes)| json!({ "seconds": took.as_secs_f64(), "witness_bytes": bytes }))
        };
        json!({
            "ok": true,
            "accounts": self.accounts,
            "deposits": tallies(&self.deposits),
            "payments": self.payments,
            "rows_refused": refused.collect::<Vec<_>>(),
            "transactions": self.transactions,
            "posted_bytes": self.posted_bytes,
            "gas": self.gas,
            "fees_units": self.fees.to_string(),
            "batches": end.batches,
            "commitments": self.commitments,
            "generation": end.generation,
            "claims": tallies(&self.claims),
            "escrow_units": escrow.collect::<serde_json::Map<_, _>>(),
            "theft": { "convicted": true, "challenge": case(self.challenge) },
            "proof": self.proof.map(|proof| json!({
                "taken": true,
                "batch": proof.batch,
                "entries": proof.entries,
                "bytes": proof.bytes,
                "seconds": proof.took.as_secs_f64(),
            })),
            "replay_on_l1": case(self.on_l1),
            "gates": self.gates.as_ref().map(|shown| json!({
                "refused_below_quorum": shown.refused_below_quorum,
                "paid_with_quorum_units": shown.paid_with_quorum,
                "paid_alone_units": shown.paid_alone,
                "refused_by_covenant": shown.refused_by_covenant,
                "forbidden_by": shown.forbidden_by,
                "would_pass": shown.would_pass,
                "session_payments": shown.session_payments,
                "session_refused": shown.session_refused,
                "passkey_gas": shown.passkey_gas,
                "thief_attempts": shown.thief_attempts,
                "thief_moved_units": shown.thief_moved,
                "recovered_after_hours": shown.recovered_after_hours,
                "lost_key_refused": shown.lost_key_refused,
                "batches_watched": shown.batches_watched,
            })),
            "node": self.node.as_ref().map(|node| json!({
                "killed": true,
                "payments": node.payments,
                "acknowledged": node.acknowledged,
                "unanswered": node.unanswered,
                "unanswered_kept": node.unanswered_kept,
                "lost": node.lost,
                "doubled": node.doubled,
                "balances_proven": node.balances,
                "replayed_batches": node.replayed_batches,
                "restart_ms": u64::try_from(node.restart.as_millis()).unwrap_or(u64::MAX),
            })),
            "seconds": {
                "sign": self.signing.as_secs_f64(),
                "verify": end.verify.as_secs_f64(),
                "execute": end.execute.as_secs_f64(),
                "watch": end.watching.as_secs_f64(),
                "all": self.elapsed.as_secs_f64(),
            },
            "state_heap_bytes": end.heap_bytes,
            "state_root": end.state_root,
            "settlement_digest": end.settlement_digest,
        })
    }
}

fn tally(tallies: &mut BTreeMap<AssetId, (u64, u128)>, money: Money) {
    let (count, units) = tallies.entry(money.asset).or_default();
    *count += 1;
    *units += u128::from(money.amount.units());
}

fn coins(asset: AssetId, units: u128) -> String {
    let amount = u64::try_from(units).ok().and_then(ghostplane_types::Amount::new);
    amount.map_or_else(|| format!("{units} units of {asset}"), |amount| Money { amount, asset }.to_string())
}
