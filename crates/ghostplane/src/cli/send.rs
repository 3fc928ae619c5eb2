//! Commands that sign something: transfer, withdraw, deposit, claim.

use super::coins::{self, Coins, Sum};
use super::connect::{Opening, Target, block_on};
use super::consent::{Approving, Travelling, Written, body_for, room_for_voices, words_of};
use super::told::{advise, next_step};
use super::who;
use crate::keys;
use crate::node::api::code_name;
use crate::screen::{Align, Screen, Table, duration, grouped};
use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use ghostplane_client::{
    Client, ClientError, Draft, Payment, Receipt, Rung, SendError, Sender, Sponsor, approve, consent_to_sponsor,
};
use ghostplane_ghostcipher::{Digest, Domain};
use ghostplane_settlement::Message;
use ghostplane_types::genesis::GenesisAsset;
use ghostplane_types::l1::SignedL1Message;
use ghostplane_types::{Action, Address, Amount, AssetId, Decode as _, Encode as _, Gid, Money, Signer, Transaction};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a transaction stays valid. Nobody can include it later, so that whoever gives up on it knows when it is gone.
pub(super) const VALID_MS: u64 = 10 * 60_000;

/// What a plane says that does not find enough mana.
const MANA_SHORT: u16 = 140;

/// How long to wait for a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Until it is executed and durable
    #[default]
    Executed,
    /// Until the L1 has a commitment to its batch
    Committed,
    /// Until the L1 has a proof that its batch, and all before it, conserve value
    Proven,
    /// Until its batch is final on the L1
    Final,
}

impl Wait {
    const fn rung(self) -> Option<Rung> {
        match self {
            Self::Executed => None,
            Self::Committed => Some(Rung::Challengeable),
            Self::Proven => Some(Rung::Proven),
            Self::Final => Some(Rung::Final),
        }
    }
}

/// With what an account pays gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PayWith {
    /// Its credits
    #[default]
    Gcc,
    /// Its base grant and the mana that its ZMAN regenerates
    Mana,
}

/// Somebody else who pays the gas.
#[derive(Clone, Debug, Default, Args)]
pub struct SponsorArgs {
    /// Somebody else who pays the gas: a key; with --sponsor-signer, an address or DID as well
    #[arg(long, value_name = "WHO", conflicts_with = "pay")]
    sponsor: Option<String>,
    /// The key that signs for the sponsor, if it is not the account's first [default: that of --sponsor]
    #[arg(long, value_name = "KEY", requires = "sponsor")]
    sponsor_signer: Option<String>,
    /// The most that the sponsor pays, such as 0.00001gcc [default: whatever the transaction may cost]
    #[arg(long, value_name = "AMOUNT", requires = "sponsor", value_parser = who::money)]
    fee_max: Option<Money>,
}

impl SponsorArgs {
    /// Who sponsors, by the public half of the key.
    pub(super) fn named(&self, target: &Target) -> anyhow::Result<Option<(who::Who, Sponsor)>> {
        let Some(name) = &self.sponsor else { return Ok(None) };
        let dir = target.keys_dir()?;
        let account = who::resolve(name, &dir)?;
        let key = keys::describe(&dir, self.sponsor_signer.as_deref().unwrap_or(name))?.gid.public_key;
        let fee_max = match self.fee_max {
            Some(Money { asset: AssetId::GCC, amount }) => Some(amount),
            Some(_) => bail!("a sponsor pays gcc: write --fee-max like 0.00001gcc"),
            None => None,
        };
        let sponsor = Sponsor { account: account.address, key, signer: None, fee_max };
        Ok(Some((account, sponsor)))
    }
}

/// Who signs, who pays, and how long to wait.
#[derive(Clone, Debug, Args)]
pub struct Signing {
    /// Whose account acts and pays: a key; with --signer, an address or DID as well
    #[arg(long, value_name = "WHO")]
    from: String,
    /// The key that signs, if it is not the account's first: another of its keys, or a session's [default: that of --from]
    #[arg(long, value_name = "KEY")]
    signer: Option<String>,
    #[command(flatten)]
    opening: Opening,
    /// With what the gas is paid; storage always costs gcc
    #[arg(long, value_enum, default_value_t)]
    pay: PayWith,
    #[command(flatten)]
    sponsor: SponsorArgs,
    #[command(flatten)]
    pub(super) approving: Approving,
    #[command(flatten)]
    waiting: Waiting,
}

/// How long to wait for what was sent.
#[derive(Clone, Debug, Default, Args)]
pub struct Waiting {
    /// How long to wait
    #[arg(long, value_enum, default_value_t)]
    wait: Wait,
    /// Seconds after which waiting ends; what was sent stays sent
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

impl Signing {
    /// With what gas is paid, and the words for it.
    fn payment(&self, target: &Target, chain_id: u64) -> anyhow::Result<(Payment, String)> {
        let Some((who, sponsor)) = self.sponsor.named(target)? else {
            return Ok(match self.pay {
                PayWith::Gcc => (Payment::Gcc, "gcc".to_owned()),
                PayWith::Mana => (Payment::Mana, "mana".to_owned()),
            });
        };
        who.check_chain(chain_id)?;
        let name =
            self.sponsor.sponsor_signer.as_ref().or(self.sponsor.sponsor.as_ref()).context("it was just named")?;
        let (_, key) = self.opening.open(target, name)?;
        let sponsor = Sponsor { signer: Some(Arc::new(key)), ..sponsor };
        Ok((Payment::Sponsor(sponsor), format!("gcc of {}", who.shown())))
    }

    /// The same where nobody signs here: a sponsor consents later.
    fn payment_unsigned(&self, target: &Target, chain_id: u64) -> anyhow::Result<Payment> {
        let Some((who, sponsor)) = self.sponsor.named(target)? else {
            return Ok(if self.pay == PayWith::Mana { Payment::Mana } else { Payment::Gcc });
        };
        who.check_chain(chain_id)?;
        Ok(Payment::Sponsor(sponsor))
    }

    /// Whose account acts, as it was said.
    pub(super) fn from(&self) -> &str {
        &self.from
    }

    /// Whose account acts.
    pub(super) fn account(&self, target: &Target) -> anyhow::Result<who::Who> {
        who::resolve(&self.from, &target.keys_dir()?)
    }
}

/// An empty draft for the plane of a node.
pub(super) fn open_draft(client: &Client) -> Draft {
    Draft::new(client.plane(), client.info().gas_price)
}

/// `transfer` and what follows it.
#[derive(Clone, Debug, Args)]
pub struct TransferArgs {
    #[command(flatten)]
    pub(super) signing: Signing,
    /// Who is paid: a key, an address, a DID or 64 hexadecimal digits
    #[arg(long, value_name = "WHO")]
    to: String,
    /// How much of what: 1.5gcc, '10 zman', 5#65536 for 5 base units of asset 65536, 0.05tea#65536, or a number alone with --asset
    #[arg(value_parser = coins::sum)]
    amount: Sum,
    /// What a number alone is of, by its decimals: gcc, zman or #NUMBER
    #[arg(long, value_name = "ASSET", value_parser = who::asset)]
    asset: Option<AssetId>,
    /// Somebody else to pay by the same transaction, such as carol=0.2gcc; all or nobody is paid
    #[arg(long, value_name = "WHO=AMOUNT", value_parser = coins::also)]
    also: Vec<(String, Sum)>,
    /// What for: at most 64 bytes, for everybody to read
    #[arg(long, value_name = "TEXT")]
    memo: Option<String>,
}

/// `withdraw` and what follows it.
#[derive(Clone, Debug, Args)]
pub struct WithdrawArgs {
    #[command(flatten)]
    pub(super) signing: Signing,
    /// The L1 account to pay: 64 hexadecimal digits or a key [default: the L1 account of the key that pays]
    #[arg(long, value_name = "L1")]
    to: Option<String>,
    /// How much of what, such as 10gcc
    #[arg(value_parser = who::money)]
    amount: Money,
}

/// `deposit` and what follows it.
#[derive(Debug, Args)]
pub struct DepositArgs {
    /// Who is credited on the plane: a key, an address, a DID or 64 hexadecimal digits
    #[arg(long, value_name = "WHO")]
    to: String,
    /// The key whose L1 account pays [default: that of --to]
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    #[command(flatten)]
    opening: Opening,
    /// How much of what, such as 100gcc
    #[arg(value_parser = who::money)]
    amount: Money,
}

/// `claim` and what follows it.
#[derive(Debug, Args)]
pub struct ClaimArgs {
    /// The withdrawal, as `withdraw` names it
    index: u64,
    /// The key whose L1 account sends the message; the money goes to whom the withdrawal names, whoever sends it
    #[arg(long, value_name = "KEY")]
    from: String,
    #[command(flatten)]
    opening: Opening,
}

/// The system's clock in milliseconds since the Unix epoch.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Until when a transaction that is signed now shall be valid. A plane at rest has an old batch time, a simulated one may
/// be ahead of the clock: the later counts.
pub(super) fn valid_until(batch_time: u64) -> u64 {
    batch_time.max(now_ms()).saturating_add(VALID_MS)
}

/// Pays.
pub fn transfer(args: &TransferArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    let mut payees = vec![(who::resolve(&args.to, &dir)?, args.amount.clone())];
    for (text, sum) in &args.also {
        payees.push((who::resolve(text, &dir)?, sum.clone()));
    }
    block_on(async {
        let client = target.connect().await?;
        let mut paid = Vec::new();
        for (payee, sum) in &payees {
            payee.check_chain(client.plane().chain_id())?;
            paid.push((payee, sum.of(&client, args.asset).await?));
        }
        let coins = Coins::of(&client, paid.iter().map(|(_, money)| money.asset)).await?;
        let draft = Draft::new(client.plane(), client.info().gas_price).memo(args.memo.clone().unwrap_or_default());
        let draft = paid.iter().fold(draft, |draft, (to, money)| draft.transfer(to.address, money.asset, money.amount));
        let sent = send(&args.signing, target, &client, draft, screen).await?;
        let shown = |money: &Money| coins.show(money.asset, money.amount);
        sent.show(&client, screen, |table| {
            for (to, money) in &paid {
                table.row(["paid", &format!("{} to {}", shown(money), to.shown())]);
            }
        });
        let paid = paid.iter().map(|(to, money)| {
            json!({
                "to": to.text(), "amount": shown(money), "asset": money.asset.number(), "units": money.amount.units(),
            })
        });
        screen.emit(&sent.json(&[("paid", json!(paid.collect::<Vec<_>>()))]));
        Ok(())
    })
}

/// Sends money home to the L1.
pub fn withdraw(args: &WithdrawArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    let to = who::resolve_l1(args.to.as_deref().unwrap_or(&args.signing.from), &dir)?;
    block_on(async {
        let client = target.connect().await?;
        let asset = registered(&client, args.amount.asset)?;
        to_l1(asset, args.amount.amount)?;
        let draft = Draft::new(client.plane(), client.info().gas_price);
        let draft = draft.withdraw(to, args.amount.asset, args.amount.amount);
        let sent = send(&args.signing, target, &client, draft, screen).await?;
        let index = match sent.done() {
            Some(id) => {
                let status = client.transaction(&id).await?;
                (status.withdrawals > 0).then_some(status.first_withdrawal)
            }
            None => None,
        };
        sent.show(&client, screen, |table| {
            table.row(["leaves", &format!("{} for {to}", args.amount)]);
            table.row([
                "withdrawal",
                &index.map_or_else(|| "the node does not say".to_owned(), |index| index.to_string()),
            ]);
        });
        if let Some(index) = index {
            screen.note(&format!("Once its batch is final:  ghostplane claim {index} --from {}", args.signing.from));
        }
        screen.emit(&sent.json(&[
            ("withdrawal", json!(index)),
            ("to", json!(to.to_string())),
            ("amount", json!(args.amount.to_string())),
        ]));
        Ok(())
    })
}

/// Moves money of an L1 account to the plane.
pub fn deposit(args: &DepositArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let to = who::resolve(&args.to, &target.keys_dir()?)?;
    let from = args.from.as_deref().or(to.key.as_ref().map(|(name, _)| name.as_str()));
    let from = from.context("who pays? Name the key of an L1 account with --from KEY")?.to_owned();
    block_on(async {
        let client = target.connect().await?;
        to.check_chain(client.plane().chain_id())?;
        let asset = registered(&client, args.amount.asset)?;
        let l1_amount = to_l1(asset, args.amount.amount)?;
        if args.amount.amount < asset.deposit_min {
            let least = Money { amount: asset.deposit_min, asset: asset.asset };
            bail!("{} is less than the least deposit of {least}", args.amount);
        }
        let message = Message::Deposit { asset: asset.asset, l1_amount, to: to.address };
        let answer = send_l1(&args.opening, target, &client, &from, &message).await?;
        screen.good(&format!("deposited {} for {}", args.amount, to.shown()));
        let mut table = pairs();
        table.row(["L1 block", &answer.l1_height.to_string()]);
        if let Some(index) = answer.inbox_index {
            table.row(["inbox entry", &index.to_string()]);
        }
        screen.table(&table);
        screen.note(&format!("The plane credits it with one of its next batches:  ghostplane balance {}", args.to));
        screen.emit(&json!({
            "amount": args.amount.to_string(), "l1_amount": l1_amount.to_string(), "to": to.text(), "from": from,
            "l1_height": answer.l1_height, "inbox_index": answer.inbox_index, "events": answer.events,
        }));
        Ok(())
    })
}

/// Has a withdrawal paid out.
pub fn claim(args: &ClaimArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let (withdrawal, answer) = client.withdrawal(args.index).await?;
        if answer.claimed {
            bail!("withdrawal {} was paid out already", args.index);
        }
        if answer.claim.is_empty() {
            let rung = Rung::from_wire(answer.rung).map(Rung::word).unwrap_or("unknown");
            bail!(
                "withdrawal {} is in batch {}, which is {rung}: it can be claimed once the L1 has a commitment to that batch",
                args.index,
                answer.batch
            );
        }
        let message = Message::from_bytes(&answer.claim).context("the node gives a claim that is none")?;
        // The node proposes what is signed: nothing but this very withdrawal.
        match &message {
            Message::Claim(claim) if claim.withdrawal == withdrawal && withdrawal.index == args.index => {}
            _ => bail!("the node gives a claim of something else than withdrawal {}; it is not signed", args.index),
        }
        let sent = send_l1(&args.opening, target, &client, &args.from, &message).await?;
        let shown = who::show(client.plane(), withdrawal.asset, withdrawal.amount);
        screen.good(&format!("claimed {shown} for {}", withdrawal.to));
        let mut table = pairs();
        table.row(["L1 block", &sent.l1_height.to_string()]);
        sent.events.iter().for_each(|event| {
            table.row(["event", event]);
        });
        screen.table(&table);
        screen.emit(&json!({
            "index": args.index, "amount": shown, "to": withdrawal.to.to_string(),
            "l1_height": sent.l1_height, "events": sent.events,
        }));
        Ok(())
    })
}

async fn send_l1(
    opening: &Opening,
    target: &Target,
    client: &Client,
    from: &str,
    message: &Message,
) -> anyhow::Result<ghostplane_client::wire::SendToL1Response> {
    let (info, key) = opening.open(target, from)?;
    let key = key.into_ed25519(from)?;
    let account = client.l1_account(&who::l1_of(&info.gid)?).await?;
    let l1_chain_id = client.plane().genesis().l1_chain_id;
    let signed = SignedL1Message::sign(&key, l1_chain_id, account.next_sequence, message.to_bytes())?;
    Ok(client.send_to_l1(signed.to_bytes()).await?)
}

fn registered(client: &Client, asset: AssetId) -> anyhow::Result<&GenesisAsset> {
    let found = client.plane().genesis().asset(asset);
    found.with_context(|| format!("asset {asset} is not bridged to this plane; see  ghostplane info"))
}

/// The L1's base units for an amount of the plane, exactly or not at all.
fn to_l1(asset: &GenesisAsset, amount: Amount) -> anyhow::Result<u128> {
    let factor = 10_u128.pow(u32::from(asset.decimals.abs_diff(asset.l1_decimals)));
    let units = u128::from(amount.units());
    if asset.l1_decimals >= asset.decimals {
        return units.checked_mul(factor).context("the amount is too large for the L1");
    }
    if !units.is_multiple_of(factor) {
        bail!("the L1 has {} decimals of {}: leave the finer ones out", asset.l1_decimals, asset.asset);
    }
    Ok(units / factor)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// What became of a transaction that a command made.
pub(super) enum Sent {
    /// Executed, and applied.
    Executed(Box<Executed>),
    /// Written to a file: nothing is sent.
    Written(Box<Written>),
}

/// A transaction that was executed and applied.
pub(super) struct Executed {
    receipt: Receipt,
    took: Duration,
    /// How far its batch was waited for, and how long that took in all.
    reached: Option<(Rung, Duration)>,
    /// What it holds as a proposal instead of doing it.
    held: Option<Vec<String>>,
    /// With what its gas was paid, where that was said here.
    paid_with: Option<String>,
}

pub(super) async fn send(
    signing: &Signing,
    target: &Target,
    client: &Client,
    draft: Draft,
    screen: &Screen,
) -> anyhow::Result<Sent> {
    let account = signing.account(target)?;
    account.check_chain(client.plane().chain_id())?;
    let draft = signing.approving.shape(draft)?;
    let held = match draft.actions().last() {
        Some(Action::Propose { actions }) if signing.approving.propose => Some(words_of(client, actions).await?),
        _ => None,
    };
    let batch_time = client.status().await?.batch_time;
    let draft = draft.valid(0, signing.approving.until(valid_until(batch_time), batch_time));
    let name = signing.signer.as_deref().unwrap_or(&signing.from);
    let chain_id = client.plane().chain_id();
    if signing.approving.is_unsigned() {
        let gid = keys::describe(&target.keys_dir()?, name)?.gid;
        let draft = draft.pay(signing.payment_unsigned(target, chain_id)?);
        return write(signing, client, account.address, draft, gid, None).await;
    }
    let (info, key) = signing.opening.open(target, name)?;
    let (payment, paid_with) = signing.payment(target, chain_id)?;
    let draft = draft.pay(payment.clone());
    let approvers = signing.approving.open(&signing.opening, target)?;
    if signing.approving.file().is_some() {
        let consenting = Consenting { key, approvers, payment };
        return write(signing, client, account.address, draft, info.gid, Some(consenting)).await;
    }
    let sender = Sender::acting_for(account.address, client.clone(), key, info.gid).await?;
    let mut sender = sender.approved_by(approvers);
    let draft = sender.with_room(draft).await.map_err(anyhow::Error::from)?;
    let begun = Instant::now();
    let receipt = match sender.send(&draft).await {
        Ok(receipt) => receipt,
        Err(SendError::Client(error)) if error.code() == Some(MANA_SHORT) => {
            let gas = sender.measure(&draft)?.gas_limit;
            return Err(explained(client, &account.address, gas, error).await);
        }
        Err(error) => return Err(advise(error)),
    };
    let sent = Sent::executed(client, receipt, begun, &signing.waiting, screen).await?;
    Ok(match sent {
        Sent::Executed(executed) => {
            Sent::Executed(Box::new(Executed { held, paid_with: Some(paid_with), ..*executed }))
        }
        written @ Sent::Written(_) => written,
    })
}

/// Whoever consents to a transaction that is written to a file.
struct Consenting {
    key: keys::SecretKey,
    approvers: Vec<Box<dyn Signer + Send + Sync>>,
    payment: Payment,
}

/// Writes a transaction to a file, under whatever consent there is.
async fn write(
    signing: &Signing,
    client: &Client,
    account: Address,
    draft: Draft,
    gid: Gid,
    consenting: Option<Consenting>,
) -> anyhow::Result<Sent> {
    let path = signing.approving.file().context("a file to write to")?;
    let draft = room_for_voices(client, account, draft).await?;
    let body = body_for(client, account, gid, draft).await?;
    let mut travelling =
        Travelling { body, signer: gid.public_key, auth: None, approvals: Vec::new(), sponsorship: None };
    if let Some(Consenting { key, approvers, payment }) = consenting {
        let body = travelling.body.clone();
        let auth = key.consent(Domain::TransactionAuth, body.chain_id, &body.id());
        let sponsorship = match &payment {
            Payment::Sponsor(Sponsor { signer: Some(signer), .. }) => {
                Some(Box::new(consent_to_sponsor(&body, signer.as_ref())))
            }
            Payment::Sponsor(_) | Payment::Gcc | Payment::Mana => None,
        };
        let mut transaction = Transaction { body, auth, approvals: Vec::new(), sponsorship };
        for approver in &approvers {
            approve(&mut transaction, &**approver)?;
        }
        travelling.auth = Some(transaction.auth);
        travelling.approvals = transaction.approvals;
        travelling.sponsorship = transaction.sponsorship.map(|by| *by);
    }
    Ok(Sent::Written(Box::new(Written::new(path, travelling, client).await?)))
}

/// Adds to an error what helps.
async fn explained(client: &Client, address: &Address, gas: u64, error: ClientError) -> anyhow::Error {
    if error.code() != Some(MANA_SHORT) {
        return error.into();
    }
    let Ok(account) = client.account(address).await else { return error.into() };
    let now = account.header().time.max(now_ms());
    let when = match client.plane().mana_ready_at(&account, gas, now) {
        Some(at) => format!("there is enough in {}", duration(Duration::from_millis(at - now))),
        None => "the account never has so much: it takes more ZMAN or a higher level".to_owned(),
    };
    anyhow!(error).context(format!("not enough mana: {when}. Or pay with --pay gcc"))
}

/// That a transaction did what it should, and not merely cost a fee.
fn applied(client: &Client, receipt: &Receipt) -> anyhow::Result<()> {
    let claimed = receipt.claimed();
    if claimed.is_applied() {
        return Ok(());
    }
    let fee = fee(client, claimed.fee);
    let message = format!(
        "executed in batch {} for a fee of {fee}, and without effect: action {} failed with {} ({}); nothing else of it was done{}. Why:  ghostplane explain {}",
        claimed.batch,
        claimed.action,
        code_name(claimed.code),
        claimed.code,
        next_step(claimed.code).map_or_else(String::new, |next| format!(". {next}")),
        receipt.id()
    );
    Err(WithoutEffect { code: claimed.code, message }.into())
}

/// Executed and paid for, and nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct WithoutEffect {
    /// Why: the stable code.
    pub(super) code: u16,
    message: String,
}

pub(super) fn fee(client: &Client, units: u64) -> String {
    Amount::new(units).map_or_else(|| units.to_string(), |amount| who::show(client.plane(), AssetId::GCC, amount))
}

/// A table of names and values.
pub(super) fn pairs() -> Table {
    Table::new(&[("", Align::Left), ("", Align::Left)])
}

impl Sent {
    /// Takes a receipt, sees that the transaction did what it should, and waits as long as was asked.
    pub(super) async fn executed(
        client: &Client,
        receipt: Receipt,
        begun: Instant,
        waiting: &Waiting,
        screen: &Screen,
    ) -> anyhow::Result<Self> {
        let took = begun.elapsed();
        applied(client, &receipt)?;
        let reached = match waiting.wait.rung() {
            None => None,
            Some(rung) => {
                let batch = receipt.claimed().batch;
                let bar = screen.progress(&format!("waiting until batch {batch} is {}", rung.word()), 0);
                let status = client.wait_for(&receipt.id(), rung, waiting.timeout.saturating_mul(1000)).await;
                drop(bar);
                let next = || format!("it is executed; to look again:  ghostplane tx {}", receipt.id());
                let reached = Rung::from_wire(status.with_context(next)?.rung).map_err(ClientError::from)?;
                Some((reached, begun.elapsed()))
            }
        };
        Ok(Self::Executed(Box::new(Executed { receipt, took, reached, held: None, paid_with: None })))
    }

    /// The id of the transaction, if what was asked for is done: neither written to a file nor held.
    pub(super) fn done(&self) -> Option<Digest> {
        match self {
            Self::Executed(executed) if executed.held.is_none() => Some(executed.receipt.id()),
            Self::Executed(_) | Self::Written(_) => None,
        }
    }

    /// Whether it was executed, be it that it holds what was asked for.
    pub(super) const fn is_executed(&self) -> bool {
        matches!(self, Self::Executed(_))
    }

    pub(super) fn show(&self, client: &Client, screen: &Screen, rows: impl FnOnce(&mut Table)) {
        let executed = match self {
            Self::Written(written) => return written.show(screen),
            Self::Executed(executed) => executed,
        };
        let claimed = executed.receipt.claimed();
        screen.good(&format!("executed and durable in {}", duration(executed.took)));
        if let Some((rung, after)) = executed.reached {
            screen.good(&format!("{} after {}", rung.word(), duration(after)));
        }
        let mut table = pairs();
        let gas = grouped(claimed.gas);
        let gas = executed.paid_with.as_ref().map_or_else(|| gas.clone(), |with| format!("{gas}, paid with {with}"));
        match &executed.held {
            None => rows(&mut table),
            Some(held) => held.iter().for_each(|line| {
                table.row(["held", line]);
            }),
        }
        table
            .row(["transaction", &executed.receipt.id().to_string()])
            .row(["batch", &claimed.batch.to_string()])
            .row(["gas", &gas])
            .row(["fee", &fee(client, claimed.fee)]);
        screen.table(&table);
        if executed.held.is_some() {
            screen.note("It waits for guardians, and for its time:  ghostplane proposal list WHO");
        }
    }

    /// What became of it, with `more` of what it did, or with that as intended where it is only held or written.
    pub(super) fn json(&self, more: &[(&str, serde_json::Value)]) -> serde_json::Value {
        let more: serde_json::Map<_, _> =
            more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let executed = match self {
            Self::Written(written) => {
                let mut document = written.json();
                document["intended"] = more.into();
                return document;
            }
            Self::Executed(executed) => executed,
        };
        let claimed = executed.receipt.claimed();
        let mut document = json!({
            "id": executed.receipt.id().to_string(), "batch": claimed.batch, "position": executed.receipt.position(),
            "gas": claimed.gas, "fee": claimed.fee, "paid_with": executed.paid_with, "took_us": micros(executed.took),
            "rung": executed.reached.map(|(rung, _)| rung.word()),
            "reached_us": executed.reached.map(|(_, after)| micros(after)),
        });
        if let Some(held) = &executed.held {
            document["proposal"] = json!(executed.receipt.id().to_string());
            document["held"] = json!(held);
            document["intended"] = more.into();
            return document;
        }
        for (name, value) in more {
            document[name] = value;
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_l1_cannot_pay_exactly_is_refused() {
        let asset = |decimals, l1_decimals| GenesisAsset {
            asset: AssetId::GCC,
            symbol: b"gcc".to_vec(),
            decimals,
            l1_decimals,
            deposit_min: Amount::new(1).expect("small"),
        };
        let units = |units| Amount::new(units).expect("small");
        assert_eq!(to_l1(&asset(9, 18), units(3)).expect("exact"), 3_000_000_000);
        assert_eq!(to_l1(&asset(9, 9), units(3)).expect("exact"), 3);
        assert_eq!(to_l1(&asset(9, 6), units(3_000)).expect("exact"), 3);
        assert!(to_l1(&asset(9, 6), units(3_001)).expect_err("too fine").to_string().contains("6 decimals"));
    }
}
