//! `ghostplane guardian`: who stands behind an account, freezing and recovering it.

use super::coins::Coins;
use super::connect::{Target, block_on};
use super::send::{Sent, Signing, now_ms, open_draft, pairs, send};
use super::session;
use super::show::{proven, show_checked};
use super::told::Told;
use super::who::{self, Who};
use crate::gates;
use crate::inspect::date;
use crate::keys;
use crate::screen::{Align, Screen, Table};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ghostplane_client::Client;
use ghostplane_client::gates as record_gates;
use ghostplane_ghostcipher::hex;
use ghostplane_types::guardian::{Guarded, Guardian, Member, MemberMask, Role, Roles, Thresholds};
use ghostplane_types::{AccountRecord, Action, Address, Decode as _, GuardianSet, Limit, PublicKey, Scheme};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// `guardian` and what follows it.
#[derive(Debug, Args)]
pub struct GuardianArgs {
    #[command(subcommand)]
    command: GuardianCommand,
}

#[derive(Debug, Subcommand)]
enum GuardianCommand {
    /// Give an account guardians, or others; what is held under the old ones is dropped
    Set(Box<SetArgs>),
    /// Who stands behind an account, what may leave without them, and whether it is frozen or being recovered; proven
    Show {
        /// Whose: a key, an address, a DID or 64 hexadecimal digits
        who: String,
    },
    /// Leave an account without guardians
    Remove {
        #[command(flatten)]
        signing: Signing,
    },
    /// Stop whatever leaves an account, at once
    Freeze(SubjectArgs),
    /// Let a freeze end, after the delay for changes of gates
    Unfreeze(SubjectArgs),
    /// Begin to give an account another key, in the place of all it has
    Recover {
        /// Whose: a key, an address, a DID or 64 hexadecimal digits
        who: String,
        /// The new key: its own file's name, SCHEME:POINT, or key:BYTES
        key: String,
        #[command(flatten)]
        signing: Signing,
    },
    /// End a recovery: the account's own key alone once, then with a guardian; or those who could begin one
    CancelRecovery(SubjectArgs),
    /// Complete a recovery whose time has come, whoever sends it
    FinishRecovery(SubjectArgs),
}

/// What a set is made of.
#[derive(Clone, Debug, Args)]
pub(super) struct SetArgs {
    #[command(flatten)]
    pub(super) signing: Signing,
    /// A guardian, its weight and its roles: WHO, WHO=2 or WHO=2:spend+freeze. WHO is a key's name (that key), SCHEME:POINT or key:BYTES, an
    /// address or DID (that account, by any of its keys), or account:NAME
    #[arg(long = "member", value_name = "WHO[=WEIGHT[:ROLES]]", required = true)]
    members: Vec<String>,
    /// The weight that it takes: for every role, or by role (spend, gates, freeze, recover). 0 for freeze or recover: nobody may
    #[arg(long = "quorum", value_name = "N or ROLE=N,…", required = true, value_delimiter = ',', value_parser = quorum)]
    quorums: Vec<(Option<Role>, u32)>,
    /// What leaves without them, fees included: AMOUNT/WINDOW, or AMOUNT/WINDOW,AMOUNT with the most of one transaction behind it; the
    /// window is hour, day or month (30 days). Of an asset that is not listed nothing does
    #[arg(long = "allow", value_name = "25gcc/day,5gcc", value_parser = session::limit)]
    allowances: Vec<Limit>,
    /// How long a change of keys, sessions or guardians waits once it is agreed to: 0, 90s, 2h, 3d
    #[arg(long, value_name = "SPAN", default_value = "1d", value_parser = gates::parse_delay)]
    gate_delay: u64,
    /// How long a recovery waits
    #[arg(long, value_name = "SPAN", default_value = "2d", value_parser = gates::parse_delay)]
    recovery_delay: u64,
}

#[derive(Debug, Args)]
struct SubjectArgs {
    /// Whose account: a key, an address, a DID or 64 hexadecimal digits
    who: String,
    #[command(flatten)]
    signing: Signing,
}

/// Does what was asked of guardians.
pub fn run(args: &GuardianArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match &args.command {
        GuardianCommand::Set(args) => set(args, target, screen),
        GuardianCommand::Show { who } => show(who, target, screen),
        GuardianCommand::Remove { signing } => remove(signing, target, screen),
        GuardianCommand::Freeze(args) => {
            act(args, |account| Action::Freeze { account }, "nothing leaves the account any more", target, screen)
        }
        GuardianCommand::Unfreeze(args) => {
            act(args, |account| Action::Unfreeze { account }, "the freeze ends", target, screen)
        }
        GuardianCommand::Recover { who, key, signing } => {
            let key = public_key(key, &target.keys_dir()?)?;
            let args = SubjectArgs { who: who.clone(), signing: signing.clone() };
            let recover = |account| Action::Recover { account, key: Box::new(key) };
            act(&args, recover, "a recovery is under way", target, screen)
        }
        GuardianCommand::CancelRecovery(args) => {
            act(args, |account| Action::CancelRecovery { account }, "the recovery is off", target, screen)
        }
        GuardianCommand::FinishRecovery(args) => {
            act(args, |account| Action::FinishRecovery { account }, "the account has its new key", target, screen)
        }
    }
}

// Reading.

fn role(text: &str) -> Result<Role, String> {
    let found = Role::ALL.into_iter().find(|role| role.name() == text);
    found.ok_or_else(|| format!("'{text}' is no role: they are spend, gates, freeze and recover"))
}

fn quorum(text: &str) -> Result<(Option<Role>, u32), String> {
    let number = |text: &str| text.parse().map_err(|_| format!("'{text}' is no weight: write a whole number"));
    match text.split_once('=') {
        None => Ok((None, number(text)?)),
        Some((of, needed)) => Ok((Some(role(of)?), number(needed)?)),
    }
}

/// A key: by its file's name, as its scheme and point, or in its canonical bytes.
fn public_key(text: &str, dir: &Path) -> anyhow::Result<PublicKey> {
    match written_key(text)? {
        Some(key) => Ok(key),
        None => Ok(keys::describe(dir, text)?.gid.public_key),
    }
}

/// A key that is written out rather than named.
fn written_key(text: &str) -> anyhow::Result<Option<PublicKey>> {
    let Some((scheme, digits)) = text.split_once(':') else { return Ok(None) };
    let digits = || hex::decode_vec(digits).with_context(|| format!("'{text}' does not end in hexadecimal digits"));
    let bytes = match Scheme::ALL.into_iter().find(|known| known.name() == scheme) {
        Some(Scheme::Passkey) => bail!("a passkey is more than a point: write key: and its canonical bytes"),
        Some(scheme) => [&[scheme as u8], &digits()?[..]].concat(),
        None if scheme == "key" => digits()?,
        None => return Ok(None),
    };
    let key = PublicKey::from_bytes(&bytes).with_context(|| format!("'{text}' is no key"))?;
    Ok(Some(key))
}

fn guardian(text: &str, dir: &Path, chain_id: u64) -> anyhow::Result<Guardian> {
    if let Some(account) = text.strip_prefix("account:") {
        let known = who::resolve(account, dir)?;
        known.check_chain(chain_id)?;
        return Ok(Guardian::Account(known.address));
    }
    if let Some(key) = written_key(text)? {
        return Ok(Guardian::Key(key));
    }
    let known = who::resolve(text, dir)?;
    Ok(known.key.map_or(Guardian::Account(known.address), |(_, gid)| Guardian::Key(gid.public_key)))
}

fn member(text: &str, dir: &Path, chain_id: u64) -> anyhow::Result<Member> {
    let (named, terms) = text.split_once('=').map_or((text, None), |(named, terms)| (named, Some(terms)));
    let (weight, roles) = match terms {
        None => ("1", None),
        Some(terms) => terms.split_once(':').map_or((terms, None), |(weight, roles)| (weight, Some(roles))),
    };
    let weight: u16 = weight.parse().ok().filter(|weight| *weight > 0).with_context(|| {
        format!("'{weight}' is no weight of a guardian: write a whole number of 1 to 65535, like {named}=2")
    })?;
    let roles = match roles {
        None => Roles::ALL,
        Some(list) => {
            let roles = list.split('+').map(role).collect::<Result<Vec<_>, String>>();
            Roles::of(&roles.map_err(anyhow::Error::msg)?)
        }
    };
    Ok(Member { who: guardian(named, dir, chain_id)?, weight, roles })
}

fn thresholds(quorums: &[(Option<Role>, u32)]) -> Result<Thresholds, Told> {
    let terms = |what: String| Told::Terms { what };
    for (at, (of, _)) in quorums.iter().enumerate() {
        if quorums[..at].iter().any(|(other, _)| other == of) {
            let of = of.map_or("every role", Role::name);
            return Err(terms(format!("--quorum says twice what {of} takes")));
        }
    }
    let said = |role: Role| quorums.iter().find(|(of, _)| *of == Some(role)).map(|(_, needed)| *needed);
    let every = quorums.iter().find(|(of, _)| of.is_none()).map(|(_, needed)| *needed);
    let of = |role: Role| {
        let known = said(role).or(every);
        known.ok_or_else(|| {
            terms(format!("--quorum says nothing of {0}: write a number for every role, or {0}=N", role.name()))
        })
    };
    Ok(Thresholds {
        spend: of(Role::Spend)?,
        gates: of(Role::Gates)?,
        freeze: of(Role::Freeze)?,
        recover: of(Role::Recover)?,
    })
}

impl SetArgs {
    fn terms(&self, dir: &Path, chain_id: u64) -> anyhow::Result<GuardianSet> {
        let members = self.members.iter().map(|text| member(text, dir, chain_id)).collect::<Result<Vec<_>, _>>()?;
        let mut allowances = self.allowances.clone();
        allowances.sort_by_key(|limit| limit.asset);
        if allowances.windows(2).any(|pair| pair[0].asset == pair[1].asset) {
            return Err(Told::Terms { what: "two allowances of one asset: a set has one for each".to_owned() }.into());
        }
        let thresholds = thresholds(&self.quorums)?;
        let (gate_delay_ms, recovery_delay_ms) = (self.gate_delay, self.recovery_delay);
        let set = GuardianSet { members, thresholds, allowances, gate_delay_ms, recovery_delay_ms };
        for role in Role::ALL {
            let (all, needed) = (set.weight(role, MemberMask::MAX), set.thresholds.of(role));
            if all < needed {
                let what = format!("{} takes weight {needed}, and all its members have {all} together", role.name());
                return Err(Told::Terms { what }.into());
            }
        }
        Ok(set)
    }
}

// Doing.

/// Gives an account guardians.
pub(super) fn set(args: &SetArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    block_on(async {
        let client = target.connect().await?;
        let set = args.terms(&dir, client.plane().chain_id())?;
        let count = set.members.len();
        let draft = open_draft(&client).action(Action::SetGuardians(Some(Box::new(set))));
        let sent = send(&args.signing, target, &client, draft, screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["done", &format!("{count} guardians stand behind the account")]);
        });
        finish(&sent, args.signing.from(), "set_guardians", screen);
        Ok(())
    })
}

fn finish(sent: &Sent, whose: &str, kind: &str, screen: &Screen) {
    if sent.done().is_some() {
        screen.note(&format!("To see it:  ghostplane guardian show {whose}"));
    }
    screen.emit(&sent.json(&[("action", json!(kind))]));
}

/// Leaves an account without guardians.
pub(super) fn remove(signing: &Signing, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let sent =
            send(signing, target, &client, open_draft(&client).action(Action::SetGuardians(None)), screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["done", "nobody stands behind the account any more"]);
        });
        finish(&sent, signing.from(), "set_guardians", screen);
        Ok(())
    })
}

/// Does something about an account, and says how it stands then.
fn act(
    args: &SubjectArgs,
    action: impl FnOnce(Address) -> Action,
    done: &str,
    target: &Target,
    screen: &Screen,
) -> anyhow::Result<()> {
    let whose = who::resolve(&args.who, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        whose.check_chain(client.plane().chain_id())?;
        let action = action(whose.address);
        let kind = action.kind_name();
        let sent = send(&args.signing, target, &client, open_draft(&client).action(action), screen).await?;
        let account = client.account(&whose.address).await?;
        let time = account.header().time.max(now_ms());
        let safety = gates::safety(account.record(), time);
        sent.show(&client, screen, |table| {
            table.row(["done", done]);
            safety_rows(table, account.record(), time);
        });
        if kind == "recover" && sent.done().is_some() {
            screen.note(&format!("Then anybody:  ghostplane guardian finish-recovery {} --from KEY", args.who));
        }
        screen.emit(&sent.json(&[("action", json!(kind)), ("account", json!(whose.text())), ("safety", safety)]));
        Ok(())
    })
}

fn safety_rows(table: &mut Table, record: Option<&AccountRecord>, time: u64) {
    let safety = record.and_then(|record| record.gates.as_ref()).map(|gates| gates.safety).unwrap_or_default();
    match safety.freeze {
        Some(freeze) if safety.is_frozen(time) => {
            let until = freeze.ends_at.map_or_else(|| "its guardians end it".to_owned(), date);
            table.row(["frozen", &format!("until {until}")]);
        }
        _ => {}
    }
    if let Some(recovery) = safety.recovery {
        let key = gates::member_text(&Guardian::Key(recovery.key));
        table.row(["recovery", &format!("to {key}, can be finished from {}", date(recovery.ready_at))]);
    }
    if safety.has_cancelled {
        table.row(["cancelled", "once by the account's own key: the next time a guardian has to agree"]);
    }
}

// Showing.

/// The names of keys and accounts on this machine.
pub(super) struct Names {
    keys: Vec<(PublicKey, String)>,
    accounts: BTreeMap<Address, String>,
}

impl Names {
    pub(super) fn of(dir: &Path) -> anyhow::Result<Self> {
        let known = keys::list(dir)?.into_iter().filter_map(|(name, info)| Some((name, info.ok()?)));
        let (mut keys, mut accounts) = (Vec::new(), BTreeMap::new());
        for (name, info) in known {
            keys.push((info.gid.public_key, name.clone()));
            accounts.insert(info.address, name);
        }
        Ok(Self { keys, accounts })
    }

    /// A guardian as people here know it.
    pub(super) fn show(&self, who: &Guardian) -> String {
        let known = match who {
            Guardian::Key(key) => {
                self.keys.iter().find(|(known, _)| known == key).map(|(_, name)| format!("key {name}"))
            }
            Guardian::Account(address) => self.accounts.get(address).map(|name| format!("account {name}")),
        };
        known.unwrap_or_else(|| gates::member_text(who))
    }
}

/// Who stands behind somebody, if anybody.
pub(super) fn guarded<'a>(record: Option<&'a AccountRecord>, whose: &Who) -> Result<&'a Guarded, Told> {
    let guarded = record.and_then(|record| record.gates.as_ref()).and_then(|gates| gates.guarded.as_ref());
    guarded.ok_or_else(|| Told::Unguarded { of: whose.shown() })
}

/// Base units of an asset, as the commands' documents have amounts.
pub(super) fn units(_: ghostplane_types::AssetId, amount: ghostplane_types::Amount) -> Value {
    json!(amount.units())
}

fn show(who: &str, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    let whose = who::resolve(who, &dir)?;
    block_on(async {
        let client = target.connect().await?;
        let (account, anchored) = proven(&client, &whose, screen).await?;
        let time = account.header().time.max(now_ms());
        let record = account.record();
        screen.line(&format!("{}  {}", whose.shown(), if whose.key.is_some() { whose.text() } else { String::new() }));
        match guarded(record, &whose) {
            Err(_) => screen.line("  no guardians: whoever has a key of it may do everything"),
            Ok(guarded) => show_set(&client, guarded, &Names::of(&dir)?, time, screen).await?,
        }
        let mut table = pairs();
        safety_rows(&mut table, record, time);
        if !table.is_empty() {
            screen.table(&table);
        }
        show_checked(account.header(), anchored.as_ref(), screen);
        let all = gates::all(record, time, &units);
        screen.emit(&json!({
            "address": whose.text(), "time": time, "guardians": all["guardians"], "proposals": all["proposals"],
            "safety": all["safety"], "batch": account.header().number,
            "rung": anchored.map(|anchored| anchored.rung.word()),
        }));
        Ok(())
    })
}

async fn show_set(client: &Client, guarded: &Guarded, names: &Names, time: u64, screen: &Screen) -> anyhow::Result<()> {
    let set = &guarded.set;
    let coins = Coins::of(client, set.allowances.iter().map(|limit| limit.asset)).await?;
    let columns = [("guardian", Align::Left), ("weight", Align::Right), ("roles", Align::Left)];
    let mut table = Table::new(&columns);
    for member in &set.members {
        let roles: Vec<&str> = record_gates::roles(member.roles).map(Role::name).collect();
        table.row([names.show(&member.who), member.weight.to_string(), roles.join(", ")]);
    }
    screen.table(&table);
    let mut table = pairs();
    for role in Role::ALL {
        let needed = set.thresholds.of(role);
        let text = if needed == 0 { "nobody may".to_owned() } else { format!("takes weight {needed}") };
        table.row([role.name(), &text]);
    }
    if set.allowances.is_empty() {
        table.row(["alone", "nothing leaves, fees included"]);
    }
    for (limit, spent) in set.allowances.iter().zip(&guarded.spent) {
        let left = record_gates::left(limit, spent, time);
        let left = ghostplane_types::Amount::new(left).unwrap_or(limit.per_window);
        let whole = gates::limit_words(limit, &coins.shown());
        table.row(["alone", &format!("{whole}; {} left now", coins.show(limit.asset, left))]);
    }
    table
        .row(["gates wait", &gates::delay(set.gate_delay_ms)])
        .row(["recoveries wait", &gates::delay(set.recovery_delay_ms)])
        .row(["proposals held", &guarded.proposals.len().to_string()]);
    screen.table(&table);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::Scratch;
    use ghostplane_types::{EntityType, Scheme};

    #[test]
    fn members_are_keys_or_accounts_with_weight_and_roles() {
        let dir = Scratch::new("members");
        let made =
            keys::create(dir.path(), &keys::NewKey::ed25519("gina", EntityType::Wallet, 1337), None).expect("made");
        let read = |text: &str| member(text, dir.path(), 1337);
        let key = Guardian::Key(made.gid.public_key);
        let account = Guardian::Account(made.address);
        for (text, who, weight, roles) in [
            ("gina", key, 1, Roles::ALL),
            ("gina=3", key, 3, Roles::ALL),
            ("gina=2:spend+freeze", key, 2, Roles::of(&[Role::Spend, Role::Freeze])),
            ("account:gina", account, 1, Roles::ALL),
        ] {
            assert_eq!(read(text).expect(text), Member { who, weight, roles }, "{text}");
        }
        let written = gates::member_text(&key);
        assert_eq!(read(&format!("{written}=2")).expect("written out").who, key);
        let bytes = ghostplane_types::Encode::to_bytes(&made.gid.public_key);
        assert_eq!(read(&format!("key:{}", hex::encode(&bytes))).expect("bytes").who, key);
        assert_eq!(read(&made.address_text()).expect("an address").who, account);
        assert_eq!(read(&made.did()).expect("a DID").who, account);
        for bad in [
            "nobody",
            "gina=0",
            "gina=x",
            "gina=70000",
            "gina=1:all",
            "gina=1:",
            "ed25519:zz",
            "ed25519:00",
            "passkey:00",
            "key:",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(member("account:gina", dir.path(), 10_000).is_err(), "a key of another chain is another account there");
        assert_eq!(made.gid.public_key.scheme(), Scheme::Ed25519);
    }

    #[test]
    fn quorums_are_for_every_role_or_by_role() {
        let read = |texts: &[&str]| {
            let quorums = texts.iter().map(|text| quorum(text)).collect::<Result<Vec<_>, _>>().expect("each is good");
            thresholds(&quorums).map_err(|told| told.code())
        };
        let of = |spend, gates, freeze, recover| Ok(Thresholds { spend, gates, freeze, recover });
        assert_eq!(read(&["2"]), of(2, 2, 2, 2));
        assert_eq!(read(&["2", "gates=3", "recover=0"]), of(2, 3, 2, 0));
        assert_eq!(read(&["spend=1", "gates=2", "freeze=3", "recover=4"]), of(1, 2, 3, 4));
        assert_eq!(read(&["spend=1", "gates=2"]), Err(752));
        assert_eq!(read(&["2", "3"]), Err(752));
        assert_eq!(read(&["2", "spend=1", "spend=2"]), Err(752));
        assert!(quorum("x").is_err() && quorum("all=2").is_err() && quorum("spend=-1").is_err());
    }
}
