//! Commands that ask and sign nothing.

use super::coins::Coins;
use super::connect::{Target, block_on};
use super::send::{fee, now_ms, pairs};
use super::who;
use crate::node::api::code_name;
use crate::screen::{Align, Screen, Table, duration, grouped, per_second};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use ghostplane_client::{Anchored, Client, ClientError, ProvenAccount, Rung, wire};
use ghostplane_ghostcipher::{Digest, hex};
use ghostplane_types::{Amount, AssetId, BatchHeader, Encode as _, ManaNow};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a proof waits for the commitment to its batch.
const ANCHOR_WAIT_MS: u64 = 5_000;
const ANCHOR_PAUSE_MS: u64 = 250;

/// `balance` and what follows it.
#[derive(Debug, Args)]
pub struct BalanceArgs {
    /// Whose: a key, an address, a DID or 64 hexadecimal digits
    who: String,
    /// Only this asset: gcc, zman or #NUMBER
    #[arg(long, value_parser = who::asset)]
    asset: Option<AssetId>,
    /// Have everything proven, check it here, and say what was checked against what
    #[arg(long)]
    proof: bool,
}

/// What is asked of the L1.
#[derive(Debug, Subcommand)]
pub enum L1Command {
    /// How plane and L1 stand to each other
    Status,
    /// An account on the L1
    Account {
        /// Whose: a key or 64 hexadecimal digits
        who: String,
    },
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A batch was sealed
    Sealed,
    /// The L1 took a commitment
    Committed,
    /// The L1 took a proof
    Proven,
    /// Batches became final
    Final,
    /// The L1 has a new block
    L1Block,
    /// Batches were reverted
    Reverted,
    /// A flush became durable
    Flushed,
}

impl Kind {
    const fn wire(self) -> wire::EventKind {
        match self {
            Self::Sealed => wire::EventKind::BatchSealed,
            Self::Committed => wire::EventKind::Committed,
            Self::Proven => wire::EventKind::Proven,
            Self::Final => wire::EventKind::Final,
            Self::L1Block => wire::EventKind::L1Block,
            Self::Reverted => wire::EventKind::Reverted,
            Self::Flushed => wire::EventKind::Flushed,
        }
    }
}

fn rung(number: i32) -> Result<&'static str, ClientError> {
    Ok(Rung::from_wire(number)?.word())
}

fn digits(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

fn money(client: &Client, asset: u32, units: u64) -> String {
    let known = AssetId::new(asset).zip(Amount::new(units));
    known.map_or_else(|| format!("{units}#{asset}"), |(asset, amount)| who::show(client.plane(), asset, amount))
}

/// What somebody has.
pub fn balance(args: &BalanceArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let whose = who::resolve(&args.who, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        whose.check_chain(client.plane().chain_id())?;
        let wanted = |asset: u32| args.asset.is_none_or(|only| only.number() == asset);
        let (exists, batch, balances, mana, checked) = if args.proof {
            let account = client.account(&whose.address).await?;
            let anchored = anchor(&client, account.header(), screen).await?;
            let balances: Vec<_> =
                account.balances().iter().map(|(asset, amount)| (asset.number(), amount.units())).collect();
            let header = *account.header();
            let now = header.time.max(now_ms());
            let mana = (now, client.plane().mana_of(&account, now));
            (account.record().is_some(), header.number, balances, mana, Some((header, anchored)))
        } else {
            let account = client.account_unproven(&whose.address).await?;
            let balances = account.balances.iter().map(|balance| (balance.asset, balance.amount)).collect();
            let mana = account.mana.unwrap_or_default();
            let mana = (mana.at, ManaNow { granted: mana.granted, regenerated: mana.regenerated });
            (account.exists, account.batch, balances, mana, None)
        };
        let mut shown: Vec<(u32, u64)> = balances.into_iter().filter(|(asset, _)| wanted(*asset)).collect();
        if let (Some(asset), true) = (args.asset, shown.is_empty()) {
            shown.push((asset.number(), 0));
        }
        screen.line(&format!("{}  {}", whose.shown(), if whose.key.is_some() { whose.text() } else { String::new() }));
        let coins = Coins::of(&client, shown.iter().filter_map(|(asset, _)| AssetId::new(*asset))).await?;
        let text = |asset: u32, units: u64| {
            let known = AssetId::new(asset).zip(Amount::new(units));
            known.map_or_else(|| format!("{units}#{asset}"), |(asset, amount)| coins.show(asset, amount))
        };
        let mut table = Table::new(&[("", Align::Right)]);
        shown.iter().for_each(|(asset, units)| {
            table.row([text(*asset, *units)]);
        });
        if table.is_empty() {
            screen.line(if exists { "  nothing" } else { "  nothing: nobody paid this address yet" });
        } else {
            screen.table(&table);
        }
        let (at, mana) = mana;
        if mana.gas() > 0 || args.asset == Some(AssetId::ZMAN) {
            screen.line(&format!("  mana for {} gas, {} of it granted", grouped(mana.gas()), grouped(mana.granted)));
        }
        match &checked {
            None => screen.note(&format!("As of batch {batch}, by the node's word; --proof checks it.")),
            Some((header, anchored)) => show_checked(header, anchored.as_ref(), screen),
        }
        let balances =
            shown.iter().map(|(asset, units)| json!({ "asset": asset, "units": units, "text": text(*asset, *units) }));
        screen.emit(&json!({
            "address": whose.text(), "exists": exists, "batch": batch, "proven": checked.is_some(),
            "balances": balances.collect::<Vec<_>>(),
            "mana": {
                "at": at, "gas": mana.gas(), "granted": mana.granted, "regenerated": mana.regenerated,
            },
            "anchor": checked.as_ref().and_then(|(_, anchored)| anchored.as_ref()).map(|anchored| json!({
                "rung": anchored.rung.word(), "l1_height": anchored.l1_height,
            })),
        }));
        Ok(())
    })
}

pub(super) fn show_checked(header: &BatchHeader, anchored: Option<&Anchored>, screen: &Screen) {
    screen.good(&format!(
        "record and balances, or that there are none, proven under the state of batch {}",
        header.number
    ));
    match anchored {
        Some(anchored) => {
            screen.good(&format!(
                "that batch's header is under a commitment which carries the attestation of genesis' sequencer: {}",
                anchored.rung.word()
            ));
            screen.note(&format!("That L1 block {} took the commitment is the node's word.", anchored.l1_height));
        }
        None => screen.bad(&format!(
            "no commitment to batch {} within {}: its header is the node's word so far. Ask again later",
            header.number,
            duration(Duration::from_millis(ANCHOR_WAIT_MS))
        )),
    }
}

/// Somebody's account, proven, and the commitment that its batch is under, if there is one yet.
pub(super) async fn proven(
    client: &Client,
    whose: &who::Who,
    screen: &Screen,
) -> anyhow::Result<(ProvenAccount, Option<Anchored>)> {
    whose.check_chain(client.plane().chain_id())?;
    let account = client.account(&whose.address).await?;
    let anchored = anchor(client, account.header(), screen).await?;
    Ok((account, anchored))
}

/// Waits a moment for the commitment that a header is under.
pub(super) async fn anchor(
    client: &Client,
    header: &BatchHeader,
    screen: &Screen,
) -> Result<Option<Anchored>, ClientError> {
    let waiting = screen.progress(&format!("waiting for the commitment to batch {}", header.number), 0);
    let mut waited = 0;
    loop {
        match client.anchor(header).await {
            Ok(anchored) => return Ok(Some(anchored)),
            Err(ClientError::NotFound(_)) if waited < ANCHOR_WAIT_MS => {}
            Err(ClientError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        waiting.inc(1);
        tokio::time::sleep(Duration::from_millis(ANCHOR_PAUSE_MS)).await;
        waited += ANCHOR_PAUSE_MS;
    }
}

/// What became of a transaction.
pub fn transaction(id: &Digest, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let found = client.transaction(id).await.context("the node may have dropped old ones, or never seen it")?;
        let code = u16::try_from(found.code).unwrap_or(u16::MAX);
        let mut table = pairs();
        table
            .row(["transaction", &id.to_string()])
            .row(["outcome", &outcome(code)])
            .row(["batch", &found.batch.to_string()])
            .row(["position", &found.position.to_string()])
            .row(["rung", rung(found.rung)?])
            .row(["gas", &grouped(found.gas)])
            .row(["fee", &fee(&client, found.fee)]);
        if found.withdrawals > 0 {
            table.row(["withdrawals", &format!("{} from {}", found.withdrawals, found.first_withdrawal)]);
        }
        screen.table(&table);
        screen.emit(&json!({
            "id": id.to_string(), "code": code, "name": code_name(code), "action": found.action, "batch": found.batch,
            "position": found.position, "rung": rung(found.rung)?, "gas": found.gas, "fee": found.fee,
            "time": found.time, "first_withdrawal": found.first_withdrawal, "withdrawals": found.withdrawals,
            "transaction": digits(&found.transaction),
        }));
        Ok(())
    })
}

fn outcome(code: u16) -> String {
    if code == 0 { "applied".to_owned() } else { format!("{} ({code})", code_name(code)) }
}

/// The sequencer's promise about a transaction.
pub fn receipt(id: &Digest, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let receipt = client.receipt(id).await?;
        let claimed = receipt.claimed();
        screen.good("the sequencer of genesis signed that this transaction has its place in the log");
        let mut table = pairs();
        table
            .row(["transaction", &id.to_string()])
            .row(["position", &receipt.position().to_string()])
            .row(["batch at most", &receipt.batch_at_most().to_string()])
            .row(["flush of", &format!("{} transactions", receipt.flush_transactions())]);
        screen.table(&table);
        screen.note(&format!(
            "By the node's word: batch {}, {}, {} gas, a fee of {}.",
            claimed.batch,
            outcome(claimed.code),
            grouped(claimed.gas),
            fee(&client, claimed.fee)
        ));
        screen.emit(&json!({
            "id": id.to_string(), "position": receipt.position(), "batch_at_most": receipt.batch_at_most(),
            "flush_transactions": receipt.flush_transactions(),
            "signed_flush": digits(&receipt.signed_flush().to_bytes()),
            "claimed": { "batch": claimed.batch, "code": claimed.code, "gas": claimed.gas, "fee": claimed.fee },
        }));
        Ok(())
    })
}

fn batch_json(batch: &wire::Batch) -> Result<Value, ClientError> {
    Ok(json!({
        "number": batch.number, "time": batch.time, "generation": batch.generation,
        "transactions": batch.transactions, "inbox_entries": batch.inbox_entries, "gas": batch.gas,
        "bytes": batch.bytes, "state_root": digits(&batch.state_root), "rung": rung(batch.rung)?,
    }))
}

/// One batch.
pub fn batch(number: u64, records: bool, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let (_, batch) = client.batch(number, records, false).await?;
        let mut table = pairs();
        table
            .row(["batch", &number.to_string()])
            .row(["rung", rung(batch.rung)?])
            .row(["time", &batch.time.to_string()])
            .row(["generation", &batch.generation.to_string()])
            .row(["transactions", &grouped(batch.transactions.into())])
            .row(["inbox entries", &grouped(batch.inbox_entries.into())])
            .row(["gas", &grouped(batch.gas)])
            .row(["bytes", &grouped(batch.bytes.into())])
            .row(["state root", &digits(&batch.state_root)]);
        screen.table(&table);
        let mut document = batch_json(&batch)?;
        if records {
            let columns = [
                ("from", Align::Left),
                ("at", Align::Right),
                ("id", Align::Left),
                ("outcome", Align::Left),
                ("fee", Align::Right),
            ];
            let mut table = Table::new(&columns);
            let mut list = Vec::new();
            for record in &batch.records {
                let code = u16::try_from(record.code).unwrap_or(u16::MAX);
                let from = if record.from_inbox { "inbox" } else { "log" };
                let (at, id) = (record.position.to_string(), digits(&record.id));
                table.row([from, &at, &id, &outcome(code), &fee(&client, record.fee)]);
                list.push(json!({ "from": from, "position": record.position, "id": id, "code": code, "gas": record.gas, "fee": record.fee }));
            }
            screen.heading("Records");
            screen.table(&table);
            document["records"] = list.into();
        }
        screen.emit(&document);
        Ok(())
    })
}

/// The newest batches.
pub fn batches(count: u32, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let found = client.batches(0, count).await?;
        screen.table(&batch_table(found.iter().map(|(_, batch)| batch))?);
        let list: Result<Vec<Value>, _> = found.iter().map(|(_, batch)| batch_json(batch)).collect();
        screen.emit(&json!({ "batches": list? }));
        Ok(())
    })
}

pub(super) fn batch_table<'a>(batches: impl Iterator<Item = &'a wire::Batch>) -> Result<Table, ClientError> {
    let right = |name| (name, Align::Right);
    let mut table = Table::new(&[
        right("batch"),
        right("transactions"),
        right("inbox"),
        right("gas"),
        right("bytes"),
        ("rung", Align::Left),
    ]);
    for batch in batches {
        table.row([
            &batch.number.to_string(),
            &grouped(batch.transactions.into()),
            &grouped(batch.inbox_entries.into()),
            &grouped(batch.gas),
            &grouped(batch.bytes.into()),
            rung(batch.rung)?,
        ]);
    }
    Ok(table)
}

/// How the node does.
pub fn status(target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let status = client.status().await?;
        screen.table(&status_table(&status));
        screen.emit(&json!({
            "state": status.state, "batch": status.batch, "batch_time": status.batch_time,
            "log_position": status.log_position, "committed_batch": status.committed_batch,
            "proven_batch": status.proven_batch, "prover": status.prover,
            "unproven_batches": status.unproven_batches, "unproven_entries": status.unproven_entries,
            "unproven_bytes": status.unproven_bytes, "unproven_bytes_max": status.unproven_bytes_max,
            "final_batch": status.final_batch, "l1_height": status.l1_height, "generation": status.generation,
            "uptime_ms": status.uptime_ms, "accounts": status.accounts, "slots": status.slots,
            "pool_transactions": status.pool_transactions, "pool_transactions_max": status.pool_transactions_max,
            "verifying": status.verifying, "verifying_max": status.verifying_max,
            "unsealed_batches": status.unsealed_batches, "uncommitted_batches": status.uncommitted_batches,
            "uncommitted_bytes": status.uncommitted_bytes, "uncommitted_bytes_max": status.uncommitted_bytes_max,
            "accepted": status.accepted, "refused": status.refused, "flushes": status.flushes,
            "memory_bytes": status.memory_bytes, "rate_per_second": status.rate_per_second,
            "checkpoint_batch": status.checkpoint_batch,
            "attesting": status.attesting.as_ref().map(|attesting| json!({
                "quorum": attesting.quorum, "weight": attesting.weight, "first_batch": attesting.first_batch,
                "last_batch": attesting.last_batch, "waited_ms": attesting.waited_ms, "wait_max_ms": attesting.wait_max_ms,
                "missing": attesting.missing.iter().map(|key| digits(key)).collect::<Vec<_>>(),
            })),
        }));
        Ok(())
    })
}

pub(super) fn status_table(status: &wire::Status) -> Table {
    let of = |part: u64, whole: u64| format!("{} of {}", grouped(part), grouped(whole));
    // Far below 2^52, and a figure for people.
    #[allow(clippy::cast_precision_loss)]
    let rate = per_second(status.rate_per_second as f64);
    let mut table = pairs();
    table
        .row(["state", &status.state])
        .row(["up for", &duration(Duration::from_millis(status.uptime_ms))])
        .row(["newest batch", &grouped(status.batch)])
        .row(["committed", &grouped(status.committed_batch)])
        .row(["proven", &grouped(status.proven_batch)])
        .row(["final", &grouped(status.final_batch)])
        .row(["L1 height", &grouped(status.l1_height)])
        .row(["generation", &status.generation.to_string()])
        .row(["rate", &rate])
        .row(["accepted", &grouped(status.accepted)])
        .row(["refused", &grouped(status.refused)])
        .row(["accounts", &grouped(status.accounts.into())])
        .row(["in the pool", &of(status.pool_transactions, status.pool_transactions_max)])
        .row(["verifying", &of(status.verifying, status.verifying_max)])
        .row(["uncommitted bytes", &of(status.uncommitted_bytes, status.uncommitted_bytes_max)])
        .row(["prover", &status.prover])
        .row(["unproven batches", &grouped(status.unproven_batches)])
        .row(["their entries", &grouped(status.unproven_entries)])
        .row(["their witnesses", &of(status.unproven_bytes, status.unproven_bytes_max)])
        .row(["memory", &crate::screen::bytes(status.memory_bytes)]);
    if let Some(attesting) = &status.attesting {
        attesting_rows(&mut table, attesting);
    }
    table
}

/// What is proposed to committers, and whose word is missing.
fn attesting_rows(table: &mut Table, attesting: &wire::AttestingStatus) {
    if attesting.last_batch == 0 {
        table.row(["committers", "nothing waits for them"]);
        return;
    }
    let (first, last) = (grouped(attesting.first_batch), grouped(attesting.last_batch));
    let (weight, quorum) = (attesting.weight, attesting.quorum);
    let waited = duration(Duration::from_millis(attesting.waited_ms));
    table.row(["committers", &format!("weight {weight} of {quorum} for batches {first} to {last}, after {waited}")]);
    if weight < quorum {
        for key in &attesting.missing {
            table.row(["waits for", &digits(key)]);
        }
    }
}

/// What plane this is.
pub fn info(target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let (info, genesis) = (client.info(), client.plane().genesis());
        let mut table = pairs();
        table
            .row(["plane", &client.plane().id().to_string()])
            .row(["chain", &genesis.chain_id.to_string()])
            .row(["L1 chain", &genesis.l1_chain_id.to_string()])
            .row(["protocol", &genesis.protocol.to_string()])
            .row(["sequencer", &genesis.sequencer.to_string()])
            .row(["gas price", &fee(&client, info.gas_price)])
            .row(["node", &info.version]);
        for asset in &genesis.assets {
            let decimals = format!("{} decimals, {} on the L1", asset.decimals, asset.l1_decimals);
            table.row([
                "asset",
                &format!("{} (#{}), {decimals}", String::from_utf8_lossy(&asset.symbol), asset.asset.number()),
            ]);
        }
        info.unimplemented.iter().for_each(|what| {
            table.row(["unimplemented", what]);
        });
        screen.table(&table);
        let assets = genesis.assets.iter().map(|asset| {
            json!({
                "asset": asset.asset.number(), "symbol": String::from_utf8_lossy(&asset.symbol),
                "decimals": asset.decimals, "l1_decimals": asset.l1_decimals, "deposit_min": asset.deposit_min.units(),
            })
        });
        screen.emit(&json!({
            "plane_id": client.plane().id().to_string(), "chain_id": genesis.chain_id, "l1_chain_id": genesis.l1_chain_id,
            "protocol": genesis.protocol, "sequencer": genesis.sequencer.to_string(), "gas_price": info.gas_price,
            "version": info.version, "assets": assets.collect::<Vec<_>>(), "unimplemented": info.unimplemented,
        }));
        Ok(())
    })
}

/// What is asked of the L1.
pub fn l1(command: &L1Command, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    block_on(async {
        let client = target.connect().await?;
        let mut table = pairs();
        match command {
            L1Command::Status => {
                let bridge = client.bridge().await?;
                table
                    .row(["L1 chain", &bridge.l1_chain_id.to_string()])
                    .row(["L1 height", &grouped(bridge.l1_height)])
                    .row(["committed batch", &grouped(bridge.committed_batch)])
                    .row(["final batch", &grouped(bridge.final_batch)])
                    .row([
                        "inbox",
                        &format!("{} of {} consumed", grouped(bridge.inbox_consumed), grouped(bridge.inbox_end)),
                    ])
                    .row(["generation", &bridge.generation.to_string()])
                    .row(["bond", &fee(&client, bridge.bond)])
                    .row(["open cases", &bridge.open_cases.to_string()])
                    .row(["pending commitments", &bridge.pending_commitments.to_string()]);
                for escrow in &bridge.escrow {
                    table.row(["escrow", &money(&client, escrow.asset, escrow.amount)]);
                }
                screen.table(&table);
                let escrow =
                    bridge.escrow.iter().map(|escrow| json!({ "asset": escrow.asset, "units": escrow.amount }));
                screen.emit(&json!({
                    "l1_chain_id": bridge.l1_chain_id, "l1_height": bridge.l1_height, "l1_time": bridge.l1_time,
                    "committed_batch": bridge.committed_batch, "final_batch": bridge.final_batch,
                    "inbox_end": bridge.inbox_end, "inbox_consumed": bridge.inbox_consumed,
                    "generation": bridge.generation, "bond": bridge.bond, "open_cases": bridge.open_cases,
                    "pending_commitments": bridge.pending_commitments, "escrow": escrow.collect::<Vec<_>>(),
                    "settlement_digest": digits(&bridge.settlement_digest),
                }));
            }
            L1Command::Account { who: text } => {
                let address = who::resolve_l1(text, &dir)?;
                let account = client.l1_account(&address).await?;
                table.row(["account", &address.to_string()]).row(["next message", &account.next_sequence.to_string()]);
                for balance in &account.balances {
                    table.row(["L1 base units", &format!("{} of {}", balance.amount, balance.symbol)]);
                }
                screen.table(&table);
                let balances = account.balances.iter();
                let balances =
                    balances.map(|of| json!({ "asset": of.asset, "symbol": of.symbol, "l1_amount": of.amount }));
                screen.emit(&json!({
                    "address": address.to_string(), "next_sequence": account.next_sequence,
                    "balances": balances.collect::<Vec<_>>(),
                }));
            }
        }
        Ok(())
    })
}

/// What happens, until Ctrl-C: a line each, or a JSON document on a line each.
pub fn events(kinds: &[Kind], target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.wire()).collect();
    block_on(async {
        let client = target.connect().await?;
        let mut events = client.events(&kinds).await?;
        loop {
            let event = tokio::select! {
                event = events.message() => event,
                stopped = tokio::signal::ctrl_c() => return stopped.context("cannot wait for Ctrl-C"),
            };
            let event = event.map_err(|status| anyhow::anyhow!("the node ended the stream: {}", status.message()))?;
            let Some(event) = event.and_then(|event| event.event) else { return Ok(()) };
            let (text, document) = described(&event);
            if screen.is_json() {
                screen.raw(&format!("{document}\n"));
            } else {
                screen.line(&text);
            }
        }
    })
}

fn described(event: &wire::event::Event) -> (String, Value) {
    use wire::event::Event;
    match event {
        Event::BatchSealed(batch) => (
            format!(
                "batch {} sealed: {} transactions, {} inbox entries",
                batch.number, batch.transactions, batch.inbox_entries
            ),
            json!({ "event": "sealed", "batch": batch.number, "transactions": batch.transactions, "inbox_entries": batch.inbox_entries }),
        ),
        Event::Committed(event) => (
            format!("batches {} to {} committed in L1 block {}", event.first_batch, event.last_batch, event.l1_height),
            json!({ "event": "committed", "first_batch": event.first_batch, "last_batch": event.last_batch, "l1_height": event.l1_height }),
        ),
        Event::Proven(event) => (
            format!("batches {} to {} proven in L1 block {}", event.first_batch, event.last_batch, event.l1_height),
            json!({ "event": "proven", "first_batch": event.first_batch, "last_batch": event.last_batch, "l1_height": event.l1_height }),
        ),
        Event::Final(event) => (
            format!("final up to batch {} in L1 block {}", event.batch, event.l1_height),
            json!({ "event": "final", "batch": event.batch, "l1_height": event.l1_height }),
        ),
        Event::L1Block(event) => (
            format!("L1 block {}", event.height),
            json!({ "event": "l1_block", "height": event.height, "time": event.time, "inbox_end": event.inbox_end }),
        ),
        Event::Reverted(event) => (
            format!("reverted from batch {} on; generation {}", event.first_batch, event.generation),
            json!({ "event": "reverted", "first_batch": event.first_batch, "generation": event.generation }),
        ),
        Event::Flushed(event) => (
            format!(
                "flush {}: {} transactions from position {}",
                event.flush, event.transactions, event.first_position
            ),
            json!({ "event": "flushed", "flush": event.flush, "first_position": event.first_position, "transactions": event.transactions }),
        ),
        Event::Missed(event) => (
            format!("missed {} events: this reader is too slow", event.events),
            json!({ "event": "missed", "events": event.events }),
        ),
    }
}
