//! `ghostplane proposal`: what waits for an account's guardians, and voting on it.

use super::asset;
use super::coins::{Coins, assets_of};
use super::connect::{Target, block_on};
use super::consent::{is_beginning, whole};
use super::guardian::{self, Names, guarded};
use super::identity;
use super::send::{Signing, TransferArgs, WithdrawArgs, now_ms, open_draft, pairs, send, transfer, withdraw};
use super::session;
use super::show::{proven, show_checked};
use super::told::Told;
use super::who::{self, Who};
use crate::gates;
use crate::inspect::date;
use crate::node::api::code_name;
use crate::screen::{Align, Screen, Table};
use clap::{Args, Subcommand};
use ghostplane_client::gates::{self as record_gates, Standing};
use ghostplane_client::{Client, ClientError};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::guardian::{Guarded, MemberMask, Proposal};
use ghostplane_types::{Action, Address};
use serde_json::{Value, json};

/// `proposal` and what follows it.
#[derive(Debug, Args)]
pub struct ProposalArgs {
    #[command(subcommand)]
    command: ProposalCommand,
}

#[derive(Debug, Subcommand)]
enum ProposalCommand {
    /// Hold something for an account's guardians: the same as its command with --propose
    New {
        /// What to hold
        #[command(subcommand)]
        what: Box<NewCommand>,
    },
    /// What an account holds, proven
    List {
        /// Whose: a key, an address, a DID or 64 hexadecimal digits
        who: String,
    },
    /// One proposal: votes, weight, when it may run, when it ends; proven
    Show {
        /// Whose: a key, an address, a DID or 64 hexadecimal digits
        who: String,
        /// Its id, or how it begins: 4 hexadecimal digits or more
        id: String,
    },
    /// Agree to a proposal, as a guardian
    Approve(VoteArgs),
    /// Decline a proposal, as a guardian; or take back one's own
    Reject(VoteArgs),
    /// Do what was proposed, once enough agree and its time has come; whoever sends it pays
    Execute(VoteArgs),
}

#[derive(Debug, Subcommand)]
enum NewCommand {
    /// Pay somebody
    Transfer(TransferArgs),
    /// Move money to the L1
    Withdraw(WithdrawArgs),
    /// Give the account guardians, or others
    Guardians(guardian::SetArgs),
    /// Leave the account without guardians
    NoGuardians {
        #[command(flatten)]
        signing: Signing,
    },
    /// Let a key act within limits
    Session(session::AddArgs),
    /// Give the account one more key
    AddKey(identity::AddKeyArgs),
    /// Put a key in the place of another
    ReplaceKey(identity::ReplaceKeyArgs),
    /// Take a key from the account
    RemoveKey(identity::RemoveKeyArgs),
    /// Make more of an asset
    Mint(asset::MintArgs),
    /// End some of what the account holds of an asset
    Burn(asset::BurnArgs),
}

#[derive(Debug, Args)]
struct VoteArgs {
    /// Whose: a key, an address, a DID or 64 hexadecimal digits
    who: String,
    /// Its id, or how it begins: 4 hexadecimal digits or more
    id: String,
    #[command(flatten)]
    signing: Signing,
}

/// What is done about a proposal.
#[derive(Clone, Copy)]
enum Vote {
    Approve,
    Reject,
    Execute,
}

/// Does what was asked of proposals.
pub fn run(args: ProposalArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match args.command {
        ProposalCommand::New { what } => propose(*what, target, screen),
        ProposalCommand::List { who } => list(&who, target, screen),
        ProposalCommand::Show { who, id } => show(&who, &id, target, screen),
        ProposalCommand::Approve(args) => vote(&args, Vote::Approve, target, screen),
        ProposalCommand::Reject(args) => vote(&args, Vote::Reject, target, screen),
        ProposalCommand::Execute(args) => vote(&args, Vote::Execute, target, screen),
    }
}

fn propose(what: NewCommand, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let held = |signing: &mut Signing| signing.approving.propose = true;
    match what {
        NewCommand::Transfer(mut args) => {
            held(&mut args.signing);
            transfer(&args, target, screen)
        }
        NewCommand::Withdraw(mut args) => {
            held(&mut args.signing);
            withdraw(&args, target, screen)
        }
        NewCommand::Guardians(mut args) => {
            held(&mut args.signing);
            guardian::set(&args, target, screen)
        }
        NewCommand::NoGuardians { mut signing } => {
            held(&mut signing);
            guardian::remove(&signing, target, screen)
        }
        NewCommand::Session(mut args) => {
            held(&mut args.signing);
            session::add(&args, target, screen)
        }
        NewCommand::AddKey(mut args) => {
            held(&mut args.signing);
            identity::add_key(&args, target, screen)
        }
        NewCommand::ReplaceKey(mut args) => {
            held(&mut args.signing);
            identity::replace_key(&args, target, screen)
        }
        NewCommand::RemoveKey(mut args) => {
            held(&mut args.signing);
            identity::remove_key(&args, target, screen)
        }
        NewCommand::Mint(mut args) => {
            held(&mut args.signing);
            asset::mint(&args, target, screen)
        }
        NewCommand::Burn(mut args) => {
            held(&mut args.signing);
            asset::burn(&args, target, screen)
        }
    }
}

/// The one proposal that begins so.
fn find<'a>(guarded: &'a Guarded, id: &str, whose: &Who) -> Result<&'a Proposal, Told> {
    let digits = id.to_ascii_lowercase();
    let found: Vec<&Proposal> =
        guarded.proposals.iter().filter(|held| held.id.to_string().starts_with(&digits)).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(Told::NotHeld { of: whose.shown() }),
        _ => Err(Told::Ambiguous { id: id.to_owned(), found: found.len() }),
    }
}

fn vote(args: &VoteArgs, vote: Vote, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    is_beginning(&args.id)?;
    let whose = who::resolve(&args.who, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        whose.check_chain(client.plane().chain_id())?;
        let account = client.account(&whose.address).await?;
        let proposal = find(guarded(account.record(), &whose)?, &args.id, &whose)?.clone();
        let coins = Coins::of(&client, assets_of(&proposal.actions)).await?;
        let (of, id) = (whose.address, proposal.id);
        let action = match vote {
            Vote::Approve => Action::Approve { account: of, proposal: id },
            Vote::Reject => Action::Reject { account: of, proposal: id },
            Vote::Execute => Action::Execute { account: of, proposal: id },
        };
        let sent = send(&args.signing, target, &client, open_draft(&client).action(action), screen).await?;
        let after = held_still(&client, &of, &id).await?;
        let time = after.as_ref().map_or(account.header().time, |(_, _, time)| *time).max(now_ms());
        let state = match (vote, &after) {
            _ if sent.done().is_none() => "unchanged",
            (_, Some((_, held, _))) => Standing::of(held, time).word(),
            (Vote::Execute, None) => "executed",
            (Vote::Reject, None) => "declined",
            (Vote::Approve, None) => "no longer held",
        };
        sent.show(&client, screen, |table| {
            table.row(["proposal", &id.to_string()]);
            proposal.actions.iter().for_each(|action| {
                table.row(["does", &gates::words(action, &coins.shown())]);
            });
            table.row(["state", state]);
            if let Some((_, Proposal { ready_at: Some(ready_at), .. }, _)) = &after {
                table.row(["may run", &format!("from {}", date(*ready_at))]);
            }
        });
        if after.is_none() && sent.done().is_some() {
            screen.note("That is the word of this receipt: no record says how a proposal ended.");
        }
        let held = after.as_ref().map(|(guarded, held, _)| gates::proposal(guarded, held, time));
        screen.emit(&sent.json(&[
            ("account", json!(whose.text())),
            ("proposal", json!(id.to_string())),
            ("state", json!(state)),
            ("known_from", json!(if held.is_some() { "record" } else { "receipt" })),
            ("held", held.unwrap_or(Value::Null)),
        ]));
        Ok(())
    })
}

/// A proposal, if it is held still, with its guardians and the time of the proven state.
async fn held_still(
    client: &Client,
    of: &Address,
    id: &Digest,
) -> Result<Option<(Guarded, Proposal, u64)>, ClientError> {
    let account = client.account(of).await?;
    let gates = account.record().and_then(|record| record.gates.as_ref());
    let Some(guarded) = gates.and_then(|gates| gates.guarded.clone()) else { return Ok(None) };
    let held = guarded.proposals.iter().find(|held| held.id == *id).cloned();
    Ok(held.map(|held| (guarded, held, account.header().time)))
}

fn list(who: &str, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let whose = who::resolve(who, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        let (account, anchored) = proven(&client, &whose, screen).await?;
        let time = account.header().time.max(now_ms());
        let gates = account.record().and_then(|record| record.gates.as_ref());
        let guarded = gates.and_then(|gates| gates.guarded.as_ref());
        let proposals = guarded.map_or(&[][..], |guarded| &guarded.proposals);
        if proposals.is_empty() {
            screen.line(&format!("{} holds no proposals", whose.shown()));
        }
        let all = proposals.iter().flat_map(|held| assets_of(&held.actions));
        let coins = Coins::of(&client, all).await?;
        let columns = [
            ("id", Align::Left),
            ("state", Align::Left),
            ("votes", Align::Left),
            ("ends", Align::Left),
            ("does", Align::Left),
        ];
        let mut table = Table::new(&columns);
        for held in proposals {
            let words: Vec<String> = held.actions.iter().map(|action| gates::words(action, &coins.shown())).collect();
            let id: String = held.id.to_string().chars().take(12).collect();
            table.row([
                format!("{id}…"),
                standing_words(held, time),
                guarded.map(|guarded| votes(guarded, held)).unwrap_or_default(),
                date(held.expires),
                words.join("; "),
            ]);
        }
        screen.table(&table);
        show_checked(account.header(), anchored.as_ref(), screen);
        screen.note("Records say only what is held. How one ended, the receipt says of the transaction that ended it.");
        let listed = guarded.map_or_else(Vec::new, |guarded| {
            proposals.iter().map(|held| gates::proposal(guarded, held, time)).collect()
        });
        screen.emit(&json!({
            "address": whose.text(), "time": time, "proposals": listed, "batch": account.header().number,
            "rung": anchored.map(|anchored| anchored.rung.word()),
        }));
        Ok(())
    })
}

fn votes(guarded: &Guarded, held: &Proposal) -> String {
    let quorums = record_gates::quorums(guarded, held).into_iter();
    let texts: Vec<String> =
        quorums.map(|(role, found, needed)| format!("{} {found} of {needed}", role.name())).collect();
    texts.join(", ")
}

fn standing_words(held: &Proposal, time: u64) -> String {
    match (Standing::of(held, time), held.ready_at) {
        (Standing::Waiting, Some(ready_at)) => format!("waits until {}", date(ready_at)),
        (standing, _) => standing.word().to_owned(),
    }
}

fn show(who: &str, id: &str, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    is_beginning(id)?;
    let dir = target.keys_dir()?;
    let whose = who::resolve(who, &dir)?;
    block_on(async {
        let client = target.connect().await?;
        let (account, anchored) = proven(&client, &whose, screen).await?;
        let time = account.header().time.max(now_ms());
        let gates = account.record().and_then(|record| record.gates.as_ref());
        let guarded = gates.and_then(|gates| gates.guarded.as_ref());
        let found = match guarded {
            Some(guarded) => find(guarded, id, &whose).map(|held| (guarded, held)),
            None => Err(Told::NotHeld { of: whose.shown() }),
        };
        match found {
            Ok((guarded, held)) => {
                let coins = Coins::of(&client, assets_of(&held.actions)).await?;
                let mut table = pairs();
                table.row(["proposal", &held.id.to_string()]);
                held.actions.iter().for_each(|action| {
                    table.row(["does", &gates::words(action, &coins.shown())]);
                });
                table.row(["state", &standing_words(held, time)]);
                table.row(["votes", &votes(guarded, held)]);
                let names = Names::of(&dir)?;
                for (what, mask) in [("agrees", held.approvals), ("declines", held.rejections)] {
                    voters(guarded, mask, &names).for_each(|name| {
                        table.row([what, &name]);
                    });
                }
                if let Some(ready_at) = held.ready_at {
                    table.row(["may run", &format!("from {}", date(ready_at))]);
                }
                table.row(["ends", &date(held.expires)]);
                screen.table(&table);
                show_checked(account.header(), anchored.as_ref(), screen);
                let mut document = gates::proposal(guarded, held, time);
                document["address"] = json!(whose.text());
                document["known_from"] = json!("record");
                document["batch"] = json!(account.header().number);
                screen.emit(&document);
                Ok(())
            }
            Err(told @ Told::Ambiguous { .. }) => Err(told.into()),
            Err(told) => over(&client, &whose, id, told, screen).await,
        }
    })
}

fn voters<'a>(guarded: &'a Guarded, mask: MemberMask, names: &'a Names) -> impl Iterator<Item = String> + 'a {
    let members = record_gates::places(mask).filter_map(|at| guarded.set.members.get(at));
    members.map(|member| names.show(&member.who))
}

/// One that is held no more, or never was. That it was proposed, the node can say; how it ended, no state does.
async fn over(client: &Client, whose: &Who, id: &str, told: Told, screen: &Screen) -> anyhow::Result<()> {
    let Some(whole) = whole(id) else { return Err(told.into()) };
    let proposed = match client.transaction(&whole).await {
        Ok(status) if status.code == 0 => status,
        Ok(_) | Err(ClientError::NotFound(_)) => return Err(told.into()),
        Err(error) => return Err(error.into()),
    };
    let mut table = pairs();
    table
        .row(["proposal", &whole.to_string()])
        .row(["state", "over: executed, declined, or dropped with a change of guardians"])
        .row(["proposed", &format!("in batch {}", proposed.batch)]);
    screen.table(&table);
    screen.note("That it is not held is proven; that it was proposed is the node's word.");
    screen.note(&format!("How it ended, only the receipt says of the transaction that ended it ({}).", code_name(0)));
    screen.emit(&json!({
        "id": whole.to_string(), "address": whose.text(), "state": "over", "known_from": "receipt",
        "proposed_in": proposed.batch,
    }));
    Ok(())
}
