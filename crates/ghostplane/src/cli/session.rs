//! `ghostplane session`: keys and accounts that act for an account within a scope.

use super::connect::{Target, block_on};
use super::send::{Signing, now_ms, open_draft, send};
use super::show::{proven, show_checked};
use super::who;
use crate::did;
use crate::keys;
use crate::screen::{Align, Screen, Table};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ghostplane_client::{Client, Plane};
use ghostplane_types::action::{ACTION_KINDS, kind_name};
use ghostplane_types::limits::SESSIONS_MAX;
use ghostplane_types::{
    AccountRecord, Action, Amount, Holder, KindSet, Limit, LiveSession, Money, Nonce, Scope, Session, Window,
};
use serde_json::{Value, json};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// `session` and what follows it.
#[derive(Debug, Args)]
pub struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Let a key, or another account, act for an account, within limits
    Add(Box<AddArgs>),
    /// The sessions of an account, proven
    List {
        /// Whose: a key, an address, a DID or 64 hexadecimal digits
        who: String,
    },
    /// End a session at once
    Revoke(Box<RevokeArgs>),
}

/// A session's terms.
#[derive(Clone, Debug, Args)]
pub(super) struct AddArgs {
    /// The key that may act: its own file's name
    #[arg(required_unless_present = "account", conflicts_with = "account")]
    session_key: Option<String>,
    /// The account that may act, by whatever keys it has at the time: a key, an address, a DID or 64 hexadecimal digits
    #[arg(long = "to-account", value_name = "WHO")]
    account: Option<String>,
    #[command(flatten)]
    pub(super) signing: Signing,
    /// How much may leave, fees included: AMOUNT/WINDOW, or AMOUNT/WINDOW,AMOUNT with the most of one transaction behind it; the window
    /// is hour, day or month (30 days). What is not listed stays, gcc for fees as well
    #[arg(long = "limit", value_name = "5gcc/day,1gcc", required = true, value_parser = limit)]
    limits: Vec<Limit>,
    /// Only to them: a key, an address, a DID or 64 hexadecimal digits [default: anybody]
    #[arg(long = "to", value_name = "WHO")]
    recipients: Vec<String>,
    /// Which actions: transfer, withdraw
    #[arg(long, value_name = "KIND", value_delimiter = ',', default_value = "transfer", value_parser = kind)]
    kinds: Vec<u8>,
    /// Days until it ends
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    /// Its lane, 1 to 254 [default: the lowest that is free]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=254))]
    lane: Option<u8>,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    /// The session: its lane, the name of its key, or the account that holds it
    session: String,
    #[command(flatten)]
    signing: Signing,
}

/// Does what was asked of sessions.
pub fn run(args: &SessionArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match &args.command {
        SessionCommand::Add(args) => add(args, target, screen),
        SessionCommand::List { who } => list(who, target, screen),
        SessionCommand::Revoke(args) => revoke(args, target, screen),
    }
}

fn kind(text: &str) -> Result<u8, String> {
    let known = ACTION_KINDS.iter().find(|(_, name)| *name == text).map(|(number, _)| *number);
    known.ok_or_else(|| format!("'{text}' is no kind of action; write transfer or withdraw"))
}

/// Reads `5gcc/day` or `5gcc/day,1gcc`.
pub(super) fn limit(text: &str) -> Result<Limit, String> {
    let (whole, each) = text.split_once(',').map_or((text, None), |(whole, each)| (whole, Some(each)));
    let (amount, window) = whole.split_once('/').ok_or("write it like 5gcc/day or 5gcc/day,1gcc")?;
    let Money { amount: per_window, asset } = who::money(amount)?;
    let window = match window.trim() {
        "hour" => Window::Hour,
        "day" => Window::Day,
        "month" => Window::Month,
        other => return Err(format!("'{other}' is no window: write hour, day or month")),
    };
    let per_transaction = match each.map(who::money).transpose()? {
        None => per_window,
        Some(each) if each.asset == asset => each.amount,
        Some(each) => return Err(format!("{each} is of another asset than {amount}")),
    };
    Ok(Limit { asset, per_transaction, window, per_window })
}

const fn word(window: Window) -> &'static str {
    match window {
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Month => "30 days",
    }
}

/// Lets a key act for an account.
pub(super) fn add(args: &AddArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    let (holder, named) = match (&args.session_key, &args.account) {
        (_, Some(account)) => {
            let delegate = who::resolve(account, &dir)?;
            (Holder::Account(delegate.address), delegate.shown())
        }
        (Some(key), None) => (Holder::Key(keys::describe(&dir, key)?.gid.public_key), key.clone()),
        (None, None) => bail!("who may act? Name a key, or an account with --to-account"),
    };
    let mut recipients = Vec::new();
    for text in &args.recipients {
        recipients.push(who::resolve(text, &dir)?);
    }
    block_on(async {
        let client = target.connect().await?;
        for to in &recipients {
            to.check_chain(client.plane().chain_id())?;
        }
        let account = args.signing.account(target)?;
        let account = client.account(&account.address).await?;
        let lane = args.lane.or_else(|| free_lane(account.record()));
        let lane = lane.with_context(|| format!("the account has {SESSIONS_MAX} sessions already: revoke one"))?;
        let now = account.header().time.max(now_ms());
        let mut limits = args.limits.clone();
        limits.sort_by_key(|limit| limit.asset);
        let mut addresses: Vec<_> = recipients.iter().map(|to| to.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if limits.windows(2).any(|pair| pair[0].asset == pair[1].asset) {
            bail!("two limits of one asset: a session has one for each");
        }
        let session = Session {
            lane,
            holder,
            expires: now.saturating_add(args.days * DAY_MS),
            scope: Scope {
                kinds: KindSet::of(&args.kinds),
                recipients: (!addresses.is_empty()).then_some(addresses),
                // Nobody is named on the L1: with a withdrawal among the kinds, anybody may be paid there.
                l1_recipients: None,
                contracts: Vec::new(),
                limits,
            },
        };
        let draft = open_draft(&client).action(Action::AddSession(Box::new(session.clone())));
        let sent = send(&args.signing, target, &client, draft, screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["session", &format!("'{named}' may act on lane {lane}")]);
        });
        if sent.done().is_some() {
            screen.note(&format!(
                "It pays with:  ghostplane transfer --from {} --signer {} --to WHO AMOUNT",
                args.signing.from(),
                args.session_key.as_deref().unwrap_or("KEY")
            ));
        }
        screen.emit(&sent.json(&[("session", terms_json(client.plane(), &session))]));
        Ok(())
    })
}

/// The lowest lane without a session, if there is room for one more.
fn free_lane(record: Option<&AccountRecord>) -> Option<u8> {
    let sessions = record.and_then(|record| record.gates.as_ref()).map_or(&[][..], |gates| &gates.sessions);
    let taken = |lane: u8| sessions.iter().any(|live| live.session.lane == lane);
    if sessions.len() >= SESSIONS_MAX {
        return None;
    }
    (1..Nonce::LANE_FORCED).find(|lane| !taken(*lane))
}

fn terms_json(plane: &Plane, session: &Session) -> Value {
    let scope = &session.scope;
    let limits = scope.limits.iter().map(|limit| {
        json!({
            "asset": limit.asset.number(), "window": word(limit.window),
            "per_window": limit.per_window.units(), "per_transaction": limit.per_transaction.units(),
            "text": shown_limit(plane, limit),
        })
    });
    let texts = |of: &[ghostplane_types::Address]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (key, account) = (session.holder.key(), session.holder.account());
    json!({
        "lane": session.lane, "scheme": key.map(|key| key.scheme().name()),
        "public_key": key.map(ToString::to_string), "account": account.map(ToString::to_string),
        "expires": session.expires, "kinds": kinds(scope.kinds), "recipients": scope.recipients.as_deref().map(texts),
        "limits": limits.collect::<Vec<_>>(),
    })
}

fn kinds(kinds: KindSet) -> Vec<&'static str> {
    kinds.iter().filter_map(kind_name).collect()
}

fn shown_limit(plane: &Plane, limit: &Limit) -> String {
    let whole = who::show(plane, limit.asset, limit.per_window);
    let most = if limit.per_transaction < limit.per_window {
        format!(", {} at once", who::show(plane, limit.asset, limit.per_transaction))
    } else {
        String::new()
    };
    format!("{whole} a {}{most}", if limit.window == Window::Month { "month" } else { word(limit.window) })
}

/// What is left of a session's limits at a time.
fn left(live: &LiveSession, time: u64) -> Vec<(Limit, Amount)> {
    let of = |(limit, spent): (&Limit, &ghostplane_types::Spent)| {
        let spent = if spent.window == limit.window.at(time) { spent.units } else { 0 };
        let left = limit.per_window.units().saturating_sub(spent);
        (*limit, Amount::new(left).unwrap_or(limit.per_window))
    };
    live.session.scope.limits.iter().zip(&live.spent).map(of).collect()
}

fn list(who: &str, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let whose = who::resolve(who, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        let (account, anchored) = proven(&client, &whose, screen).await?;
        let time = account.header().time.max(now_ms());
        let gates = account.record().and_then(|record| record.gates.as_ref());
        let sessions = gates.map_or(&[][..], |gates| &gates.sessions);
        if sessions.is_empty() {
            screen.line(&format!("{} has no sessions", whose.shown()));
        }
        let mut table = Table::new(&[
            ("lane", Align::Right),
            ("held by", Align::Left),
            ("may", Align::Left),
            ("limits", Align::Left),
            ("left", Align::Left),
            ("ends", Align::Left),
        ]);
        for live in sessions {
            let session = &live.session;
            let scope = &session.scope;
            let to = scope.recipients.as_ref().map_or("to anybody".to_owned(), |known| format!("to {}", known.len()));
            let limits: Vec<_> = scope.limits.iter().map(|limit| shown_limit(client.plane(), limit)).collect();
            let left = left(live, time).into_iter().map(|(limit, left)| who::show(client.plane(), limit.asset, left));
            let ends = match session.expires.checked_sub(time) {
                None => "over".to_owned(),
                Some(ms) if ms < DAY_MS => format!("in {} h", ms / 3_600_000),
                Some(ms) => format!("in {} days", ms / DAY_MS),
            };
            let held_by = match &session.holder {
                Holder::Key(key) => did::multikey(key),
                Holder::Account(account) => account.to_string(),
            };
            table.row([
                session.lane.to_string(),
                format!("{}…", held_by.chars().take(12).collect::<String>()),
                format!("{} {to}", kinds(scope.kinds).join(", ")),
                limits.join("; "),
                left.collect::<Vec<_>>().join("; "),
                ends,
            ]);
        }
        screen.table(&table);
        show_checked(account.header(), anchored.as_ref(), screen);
        let listed = sessions.iter().map(|live| {
            let mut terms = terms_json(client.plane(), &live.session);
            terms["left"] = left(live, time).iter().map(|(_, left)| json!(left.units())).collect();
            terms
        });
        screen.emit(&json!({
            "address": whose.text(), "sessions": listed.collect::<Vec<_>>(), "batch": account.header().number,
            "rung": anchored.as_ref().map(|anchored| anchored.rung.word()),
        }));
        Ok(())
    })
}

fn revoke(args: &RevokeArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let lane = match args.session.parse::<u8>() {
            Ok(lane) => lane,
            Err(_) => lane_of(&client, args, target).await?,
        };
        let draft = open_draft(&client).action(Action::RevokeSession { lane });
        let sent = send(&args.signing, target, &client, draft, screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["session", &format!("the one of lane {lane} is over")]);
        });
        screen.emit(&sent.json(&[("lane", json!(lane))]));
        Ok(())
    })
}

async fn lane_of(client: &Client, args: &RevokeArgs, target: &Target) -> anyhow::Result<u8> {
    let held_by = who::resolve(&args.session, &target.keys_dir()?)?;
    let account = client.account(&args.signing.account(target)?.address).await?;
    let gates = account.record().and_then(|record| record.gates.as_ref());
    let is_held = |live: &&LiveSession| match &live.session.holder {
        Holder::Key(key) => held_by.key.as_ref().is_some_and(|(_, gid)| gid.public_key == *key),
        Holder::Account(account) => *account == held_by.address,
    };
    let found = gates.and_then(|gates| gates.sessions.iter().find(is_held));
    let found = found.with_context(|| {
        format!(
            "the account has no session of '{}'; see  ghostplane session list {}",
            args.session,
            args.signing.from()
        )
    })?;
    Ok(found.session.lane)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_types::AssetId;

    #[test]
    fn limits_are_read_as_they_are_written() {
        let read = limit("5gcc/day,1gcc").expect("good");
        assert_eq!((read.asset, read.window), (AssetId::GCC, Window::Day));
        assert_eq!((read.per_window.units(), read.per_transaction.units()), (5_000_000_000, 1_000_000_000));
        let read = limit("2zman/hour").expect("good");
        assert_eq!((read.asset, read.per_window), (AssetId::ZMAN, read.per_transaction));
        for bad in ["", "5gcc", "5gcc/year", "gcc/day", "5gcc/day,1zman", "5gcc/day,", "0gcc/day"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
        assert!(kind("deploy").is_ok() && kind("fly").is_err());
    }

    #[test]
    fn the_lowest_free_lane_is_taken() {
        let mut record = AccountRecord::new(ghostplane_types::Address::from_bytes([1; 32]));
        assert_eq!(free_lane(None), Some(1));
        let key = ghostplane_ghostcipher::VerificationKey::from_bytes([2; 32]);
        let scope = Scope {
            kinds: KindSet::of(&[1]),
            recipients: None,
            l1_recipients: None,
            contracts: Vec::new(),
            limits: Vec::new(),
        };
        for lane in [1, 2, 4] {
            let holder = Holder::Key(ghostplane_types::PublicKey::Ed25519(key));
            let session = Session { lane, holder, expires: 0, scope: scope.clone() };
            record.change_gates(|gates| gates.sessions.push(LiveSession { session, spent: Vec::new() }));
        }
        assert_eq!(free_lane(Some(&record)), Some(3));
    }
}
