//! `ghostplane identity`: who speaks for an address, and signing in.

use super::connect::{Opening, Target, block_on};
use super::credential::{self, CredentialCommand};
use super::send::{Signing, now_ms, open_draft, pairs, send};
use super::show::{anchor, proven, show_checked};
use super::who;
use crate::did;
use crate::keys;
use crate::screen::{Align, Screen, Table};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ghostplane_client::sign_in;
use ghostplane_ghostcipher::hex;
use ghostplane_types::sign_in::{Answer, Challenge};
use ghostplane_types::{
    AccountRecord, Action, Address, Certification, Decode, Encode as _, EntityType, Gates, KeyChange, KeyRef,
    PublicKey, Scheme, Session, Signer as _,
};
use serde_json::json;

/// Bytes of a challenge or an answer that a command takes.
const TOKEN_BYTES_MAX: usize = 4096;

/// `identity` and what follows it.
#[derive(Debug, Args)]
pub struct IdentityArgs {
    #[command(subcommand)]
    command: IdentityCommand,
}

#[derive(Debug, Subcommand)]
enum IdentityCommand {
    /// Who speaks for an address, proven
    Show {
        /// Whose: a key, an address, a DID or 64 hexadecimal digits
        who: String,
    },
    /// The DID document of an address, as W3C DID Core has it
    Did {
        /// Whose: a key, an address, a DID or 64 hexadecimal digits
        who: String,
    },
    /// Give an account one more key
    AddKey(AddKeyArgs),
    /// Put a key in the place of another
    ReplaceKey(ReplaceKeyArgs),
    /// Take a key from an account; those behind it move up
    RemoveKey(RemoveKeyArgs),
    /// Register somebody's identity for them, whose first transaction need not carry it then
    Register {
        /// Whose: a key's name
        key: String,
        #[command(flatten)]
        signing: Signing,
    },
    /// Credentials: vouch for somebody, see who vouches for whom
    Credential {
        #[command(subcommand)]
        command: CredentialCommand,
    },
    /// Make a challenge for somebody who wants to sign in; for services
    Challenge(ChallengeArgs),
    /// Answer a challenge with a key; look first who asks
    Answer(AnswerArgs),
    /// Check an answer against the account's record; for services
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct ChallengeArgs {
    /// Who wants in: a key, an address, a DID or 64 hexadecimal digits
    who: String,
    /// The service that asks, by its host name usually
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Seconds until an answer comes too late
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=900))]
    valid: u64,
}

/// A key that an account gets.
#[derive(Debug, Args)]
pub(super) struct AddKeyArgs {
    /// The key: its own file's name
    key: String,
    #[command(flatten)]
    pub(super) signing: Signing,
}

/// A key in the place of another.
#[derive(Debug, Args)]
pub(super) struct ReplaceKeyArgs {
    /// The place, as `identity show` lists it
    position: u8,
    /// The new key: its own file's name
    key: String,
    #[command(flatten)]
    pub(super) signing: Signing,
}

/// A key that an account loses.
#[derive(Debug, Args)]
pub(super) struct RemoveKeyArgs {
    /// The place, as `identity show` lists it
    position: u8,
    #[command(flatten)]
    pub(super) signing: Signing,
}

#[derive(Debug, Args)]
struct AnswerArgs {
    /// The challenge, in hexadecimal digits
    challenge: String,
    /// The key that answers
    #[arg(long, value_name = "KEY")]
    from: String,
    /// The service that you mean to sign in to; anything else is not signed
    #[arg(long, value_name = "NAME")]
    service: String,
    #[command(flatten)]
    opening: Opening,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The challenge that was made for this, in hexadecimal digits
    challenge: String,
    /// The answer to it, in hexadecimal digits
    answer: String,
    /// The service that asks
    #[arg(long, value_name = "NAME")]
    service: String,
}

/// Nobody is signed in.
#[derive(Debug, thiserror::Error)]
#[error("not signed in")]
pub(super) struct NotSignedIn(#[from] pub(super) sign_in::SignInError);

/// Does what was asked of identities.
pub fn run(args: &IdentityArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match &args.command {
        IdentityCommand::Show { who } => show(who, target, screen),
        IdentityCommand::Did { who } => document(who, target, screen),
        IdentityCommand::AddKey(args) => add_key(args, target, screen),
        IdentityCommand::ReplaceKey(args) => replace_key(args, target, screen),
        IdentityCommand::RemoveKey(args) => remove_key(args, target, screen),
        IdentityCommand::Register { key, signing } => {
            let gid = keys::describe(&target.keys_dir()?, key)?.gid;
            act(
                Action::RegisterIdentity { gid: Box::new(gid) },
                signing,
                target,
                screen,
                &format!("'{key}' is registered"),
            )
        }
        IdentityCommand::Credential { command } => credential::run(command, target, screen),
        IdentityCommand::Challenge(args) => challenge(args, target, screen),
        IdentityCommand::Answer(args) => answer(args, target, screen),
        IdentityCommand::Verify(args) => verify(args, target, screen),
    }
}

/// Gives an account one more key.
pub(super) fn add_key(args: &AddKeyArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let AddKeyArgs { key, signing } = args;
    let change = KeyChange::Add(public_key(key, target)?);
    act(Action::RotateKey(change), signing, target, screen, &format!("'{key}' is one of the account's keys"))
}

/// Puts a key in the place of another.
pub(super) fn replace_key(args: &ReplaceKeyArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let ReplaceKeyArgs { position, key, signing } = args;
    let change = KeyChange::Replace { position: *position, key: public_key(key, target)? };
    act(Action::RotateKey(change), signing, target, screen, &format!("'{key}' is in the place of key {position}"))
}

/// Takes a key from an account.
pub(super) fn remove_key(args: &RemoveKeyArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let RemoveKeyArgs { position, signing } = args;
    let change = KeyChange::Remove { position: *position };
    act(Action::RotateKey(change), signing, target, screen, &format!("key {position} is gone"))
}

fn public_key(name: &str, target: &Target) -> anyhow::Result<PublicKey> {
    Ok(keys::describe(&target.keys_dir()?, name)?.gid.public_key)
}

/// Has an account do one thing to its identity.
fn act(action: Action, signing: &Signing, target: &Target, screen: &Screen, done: &str) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let kind = action.kind_name();
        let sent = send(signing, target, &client, open_draft(&client).action(action), screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["done", done]);
        });
        screen.emit(&sent.json(&[("action", json!(kind))]));
        Ok(())
    })
}

fn show(who: &str, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let whose = who::resolve(who, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        let (account, anchored) = proven(&client, &whose, screen).await?;
        let record = account.record();
        let identity = record.and_then(|record| record.identity.as_ref());
        let standing = record.map(|record| record.standing(account.header().time)).unwrap_or_default();
        let document = did::document(&whose.address, record);
        screen.line(document["id"].as_str().unwrap_or_default());
        match identity {
            None if record.is_none() => screen.line("  no account: nobody paid this address yet"),
            None => screen.line("  not registered: its first transaction carries its key"),
            Some(identity) => {
                let mut table = pairs();
                table
                    .row(["type", keys::entity_word(identity.entity_type)])
                    .row(["verified", &format!("level {}", standing.level)]);
                if let Some(certified) = standing.certified {
                    table.row(["certified", certified.name()]);
                }
                screen.table(&table);
                let mut table = Table::new(&[("key", Align::Right), ("scheme", Align::Left), ("", Align::Left)]);
                for (position, key) in identity.keys.iter().enumerate() {
                    table.row([&position.to_string(), key.scheme().name(), &did::multikey(key)]);
                }
                screen.table(&table);
                let gates = record.and_then(|record| record.gates.as_deref());
                show_standing(gates, account.header().time, screen);
            }
        }
        show_checked(account.header(), anchored.as_ref(), screen);
        screen.emit(&json!({
            "address": whose.text(), "exists": record.is_some(), "registered": identity.is_some(),
            "type": identity.map(|identity| keys::entity_word(identity.entity_type)),
            "level": identity.map(|_| standing.level), "certified": standing.certified.map(EntityType::name),
            "certifications": record.map(certifications_json), "delegates": record.map(delegates_json),
            "keys": identity.map(|identity| identity.keys.iter().map(key_json).collect::<Vec<_>>()),
            "document": document, "batch": account.header().number,
            "rung": anchored.map(|anchored| anchored.rung.word()),
        }));
        Ok(())
    })
}

/// Who certifies what of an account, and who acts for it.
fn show_standing(gates: Option<&Gates>, time: u64, screen: &Screen) {
    let Some(gates) = gates else { return };
    if !gates.certifications.is_empty() {
        let mut table = Table::new(&[
            ("certified by", Align::Left),
            ("level", Align::Right),
            ("type", Align::Left),
            ("", Align::Left),
        ]);
        for known in &gates.certifications {
            table.row([
                known.issuer.to_string().as_str(),
                known.level.to_string().as_str(),
                known.certified.map_or("", EntityType::name),
                if known.is_live(time) { "counts" } else { "over" },
            ]);
        }
        screen.table(&table);
    }
    let mut table = Table::new(&[("acts for it", Align::Left), ("lane", Align::Right), ("", Align::Left)]);
    for (session, account) in delegates(gates) {
        let state = if session.expires >= time { "" } else { "over" };
        table.row([&account.to_string(), &session.lane.to_string(), state]);
    }
    if !table.is_empty() {
        screen.table(&table);
    }
}

fn delegates(gates: &Gates) -> impl Iterator<Item = (&Session, &Address)> {
    gates.sessions.iter().filter_map(|live| Some((&live.session, live.session.holder.account()?)))
}

fn delegates_json(record: &AccountRecord) -> serde_json::Value {
    let delegate = |(session, account): (&Session, &Address)| json!({ "account": account.to_string(), "lane": session.lane, "expires": session.expires });
    record.gates.iter().flat_map(|gates| delegates(gates)).map(delegate).collect()
}

fn certifications_json(record: &AccountRecord) -> serde_json::Value {
    let known = record.gates.iter().flat_map(|gates| &gates.certifications);
    let certification = |known: &Certification| {
        json!({
            "issuer": known.issuer.to_string(), "claims": known.claims.to_string(), "level": known.level,
            "certified": known.certified.map(EntityType::name), "until": known.until,
        })
    };
    known.map(certification).collect()
}

fn key_json(key: &PublicKey) -> serde_json::Value {
    json!({ "scheme": key.scheme().name(), "public_key": key.to_string(), "multikey": did::multikey(key) })
}

fn document(who: &str, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let whose = who::resolve(who, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        whose.check_chain(client.plane().chain_id())?;
        let account = client.account(&whose.address).await?;
        let document = did::document(&whose.address, account.record());
        if screen.is_json() {
            screen.emit(&document);
        } else {
            screen.raw(&format!("{}\n", serde_json::to_string_pretty(&document)?));
        }
        Ok(())
    })
}

fn challenge(args: &ChallengeArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let whose = who::resolve(&args.who, &target.keys_dir()?)?;
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).context("the system gives no random bytes")?;
    block_on(async {
        let client = target.connect().await?;
        whose.check_chain(client.plane().chain_id())?;
        let (service, valid_ms) = (args.service.as_str(), args.valid.saturating_mul(1000));
        let made = sign_in::challenge(client.plane(), whose.address, service, nonce, now_ms(), valid_ms);
        let made = made.context("a service's name has 1 to 253 visible ASCII characters, such as shop.example")?;
        let token = hex::encode(&made.to_bytes());
        raw(screen, &format!("{token}\n"));
        screen.note(&format!(
            "Keep it, and hand it to {}:  ghostplane identity answer CHALLENGE --service {service} --from KEY",
            whose.shown()
        ));
        screen.emit(&json!({
            "challenge": token, "address": whose.text(), "service": service, "expires": made.expires,
        }));
        Ok(())
    })
}

fn answer(args: &AnswerArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let challenge: Challenge = token(&args.challenge, "challenge")?;
    if challenge.service != args.service {
        bail!("the challenge is of {}, not of {}: it is not signed", challenge.service, args.service);
    }
    let (info, key) = args.opening.open(target, &args.from)?;
    block_on(async {
        let client = target.connect().await?;
        if (challenge.chain_id, challenge.plane_id) != (client.plane().chain_id(), client.plane().id()) {
            bail!("the challenge is for another plane than this node's: it is not signed");
        }
        let account = client.account(&challenge.address).await?;
        let key_ref = key_ref(account.record(), &key.public_key(), &info).with_context(|| {
            format!("key '{}' does not speak for {}, whom the challenge is for", args.from, challenge.address)
        })?;
        let answered = hex::encode(&sign_in::answer(&challenge, key_ref, &key).to_bytes());
        raw(screen, &format!("{answered}\n"));
        screen.note(&format!("It says to {}, until it is over, that you are there; it moves nothing.", args.service));
        screen.emit(&json!({ "answer": answered, "service": args.service, "key": args.from }));
        Ok(())
    })
}

/// How an answer names a key of this account.
fn key_ref(record: Option<&AccountRecord>, key: &PublicKey, info: &keys::KeyInfo) -> Option<KeyRef> {
    let Some(identity) = record.and_then(|record| record.identity.as_ref()) else {
        return Some(KeyRef::Carried(info.gid));
    };
    let position = identity.keys.iter().position(|known| known == key)?;
    let position = u8::try_from(position).ok()?;
    Some(match key.scheme() {
        Scheme::Passkey => KeyRef::RegisteredPasskey(position),
        _ => KeyRef::Registered(position),
    })
}

fn verify(args: &VerifyArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let challenge: Challenge = token(&args.challenge, "challenge")?;
    let answer: Answer = token(&args.answer, "answer")?;
    block_on(async {
        let client = target.connect().await?;
        let account = client.account(&challenge.address).await?;
        let checked = sign_in::check(&challenge, &answer, client.plane(), &args.service, account.record(), now_ms());
        let key = checked.map_err(NotSignedIn)?;
        let anchored = anchor(&client, account.header(), screen).await?;
        let document = did::document(&challenge.address, account.record());
        let did = document["id"].as_str().unwrap_or_default();
        let identity = account.record().and_then(|record| record.identity.as_ref());
        let standing = account.record().map(|record| record.standing(account.header().time)).unwrap_or_default();
        screen.good(&format!("{did} is there"));
        let mut table = pairs();
        table.row(["service", &challenge.service]);
        table.row(["key", &format!("{} {}", key.scheme().name(), did::multikey(&key))]);
        if let Some(identity) = identity {
            table.row(["type", keys::entity_word(identity.entity_type)]);
            table.row(["verified", &format!("level {}", standing.level)]);
        }
        screen.table(&table);
        show_checked(account.header(), anchored.as_ref(), screen);
        screen.note("Take no second answer to this challenge.");
        screen.emit(&json!({
            "did": did, "address": challenge.address.to_string(), "service": challenge.service, "key": key_json(&key),
            "type": identity.map(|identity| keys::entity_word(identity.entity_type)),
            "level": identity.map(|_| standing.level), "batch": account.header().number,
            "rung": anchored.map(|anchored| anchored.rung.word()),
        }));
        Ok::<_, anyhow::Error>(())
    })
}

/// Something to be copied: alone on standard output, so that a script can take it.
fn raw(screen: &Screen, text: &str) {
    if !screen.is_json() {
        screen.raw(text);
    }
}

fn token<T: Decode>(text: &str, what: &str) -> anyhow::Result<T> {
    let digits = text.trim();
    if digits.len() > 2 * TOKEN_BYTES_MAX {
        bail!("that is no {what}: {} characters, it has at most {}", digits.len(), 2 * TOKEN_BYTES_MAX);
    }
    let bytes = hex::decode_vec(digits).with_context(|| format!("the {what} is not in hexadecimal digits"))?;
    T::from_bytes(&bytes).with_context(|| format!("that is no {what}; copy it again, whole"))
}
