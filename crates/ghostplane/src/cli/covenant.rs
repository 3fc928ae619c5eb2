//! `ghostplane covenant`: rules from templates, checked, and tried out without a node.

use super::connect::Target;
use super::rules::{self, Place, RemoveArgs, ShowArgs};
use super::send::Signing;
use super::who;
use crate::keys;
use crate::screen::{Align, Screen, Table, grouped};
use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use ghostplane_shroud::covenant::{
    Approval, Attached, Attachment, Counterfactual, Decision, Facts, Moving, Party, PolicySet, Request, Resource,
    ResourceKind, Spent, TEMPLATES, TEXT_BYTES_MAX, Template, action_kind, action_shape, would_pass,
};
use ghostplane_types::transaction::ACTION_KINDS;
use ghostplane_types::{Address, Amount, AssetId, EntityType, Money};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// `covenant` and what follows it.
#[derive(Debug, Args)]
pub struct CovenantArgs {
    #[command(subcommand)]
    command: CovenantCommand,
}

#[derive(Debug, Subcommand)]
enum CovenantCommand {
    /// Rules that most people want
    Template {
        #[command(subcommand)]
        command: TemplateCommand,
    },
    /// Check that a file of rules can be set
    Check {
        /// The file, or - for standard input
        file: PathBuf,
    },
    /// Ask a file of rules about an action, without sending it
    Test(Box<TestArgs>),
    /// Attach a file of rules: to an account, an asset or the plane
    Set {
        /// The file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        signing: Signing,
    },
    /// Attach the rules of a template
    Apply {
        /// The template
        name: String,
        /// Its parameters, like limit=25gcc window=day
        #[arg(value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        signing: Signing,
    },
    /// Take rules off again
    Remove(RemoveArgs),
    /// The rules of an account, or of the plane, proven
    Show(ShowArgs),
}

#[derive(Debug, Subcommand)]
enum TemplateCommand {
    /// List all templates
    List,
    /// Print a template's parameters or, with all of them, its rules
    Show {
        /// The template
        name: String,
        /// Its parameters, like limit=25gcc window=day
        #[arg(value_name = "NAME=VALUE")]
        parameters: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct TestArgs {
    /// The file of rules, or - for standard input
    file: PathBuf,
    /// What the rules are attached to
    #[arg(long, value_name = "WHERE", default_value = "outgoing",
        value_parser = clap::builder::PossibleValuesParser::new(Attachment::ALL.map(Attachment::name)))]
    at: String,
    /// A JSON file of facts, named like the options below with _ for -; options count before it
    #[arg(long, value_name = "FILE.json")]
    facts: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

/// The facts of an action, as options or in a file.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    /// The kind of action, such as transfer, withdraw or rotate_key
    #[arg(long, value_name = "KIND")]
    tx: Option<String>,
    /// Who acts: a key, an address or a DID [default: an address of nobody]
    #[arg(long, value_name = "WHO")]
    from: Option<String>,
    /// The other account, or the contract, that the action is done to [default: an address of nobody]
    #[arg(long, value_name = "WHO")]
    to: Option<String>,
    /// How much moves, like 25gcc
    #[arg(long)]
    amount: Option<String>,
    /// The asset of an action on an asset [default: that of the amount]
    #[arg(long)]
    asset: Option<String>,
    /// The name of an action on a name
    #[arg(long)]
    name: Option<String>,
    /// The batch's time in milliseconds since 1970 [default: now]
    #[arg(long, value_name = "MS")]
    time: Option<u64>,
    /// Spent of the asset in this hour already
    #[arg(long, value_name = "AMOUNT")]
    spent_hour: Option<String>,
    /// Spent of the asset on this day already
    #[arg(long, value_name = "AMOUNT")]
    spent_day: Option<String>,
    /// Spent of the asset in these 30 days already
    #[arg(long, value_name = "AMOUNT")]
    spent_month: Option<String>,
    /// An approval of a guardian role, and its weight if it is not 1; may be repeated
    #[arg(long, value_name = "ROLE[:WEIGHT]")]
    approval: Vec<String>,
    /// What the identity of who acts claims to be
    #[arg(long, value_name = "TYPE")]
    claimed: Option<String>,
    /// What a credential says that who acts is
    #[arg(long, value_name = "TYPE")]
    certified: Option<String>,
    /// The level of verification of who acts
    #[arg(long, value_name = "N")]
    level: Option<u8>,
    /// What a credential says that the other account is
    #[arg(long, value_name = "TYPE")]
    to_certified: Option<String>,
    /// The level of verification of the other account
    #[arg(long, value_name = "N")]
    to_level: Option<u8>,
    /// The lane of the session key that signs [default: an own key signs]
    #[arg(long, value_name = "LANE")]
    session: Option<u8>,
}

/// Does what was asked about rules.
///
/// # Errors
/// If a file cannot be read, rules cannot be set, or facts do not fit together.
pub fn run(args: &CovenantArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match &args.command {
        CovenantCommand::Template { command: TemplateCommand::List } => list(screen),
        CovenantCommand::Template { command: TemplateCommand::Show { name, parameters } } => {
            return show(name, parameters, screen);
        }
        CovenantCommand::Check { file } => check(file, screen)?,
        CovenantCommand::Test(args) => test(args, target, screen)?,
        CovenantCommand::Set { file, place, signing } => {
            return rules::set(&read(file, TEXT_BYTES_MAX)?, place, signing, target, screen);
        }
        CovenantCommand::Apply { name, parameters, place, signing } => {
            return rules::set(&fill(name, parameters)?, place, signing, target, screen);
        }
        CovenantCommand::Remove(args) => return rules::remove(args, target, screen),
        CovenantCommand::Show(args) => return rules::show(args, target, screen),
    }
    Ok(())
}

fn list(screen: &Screen) {
    let mut table =
        Table::new(&[("template", Align::Left), ("what it does", Align::Left), ("parameters", Align::Left)]);
    for info in TEMPLATES {
        let parameters: Vec<&str> = info.parameters.iter().map(|parameter| parameter.name).collect();
        table.row([info.name, info.about, &parameters.join(" ")]);
    }
    screen.table(&table);
    let described = |info: &ghostplane_shroud::covenant::TemplateInfo| {
        let parameters = info.parameters.iter();
        let parameters: Vec<Value> =
            parameters.map(|parameter| json!({ "name": parameter.name, "takes": parameter.takes })).collect();
        json!({ "name": info.name, "about": info.about, "attach": info.attach, "parameters": parameters })
    };
    screen.emit(&TEMPLATES.iter().map(described).collect());
}

fn show(name: &str, parameters: &[String], screen: &Screen) -> anyhow::Result<()> {
    let info = TEMPLATES.iter().find(|info| info.name == name);
    if let Some(info) = info.filter(|info| parameters.is_empty() && !info.parameters.is_empty()) {
        let mut table = Table::new(&[("parameter", Align::Left), ("takes", Align::Left)]);
        for parameter in info.parameters {
            table.row([parameter.name, parameter.takes]);
        }
        screen.line(&format!("{}: {}; attach it to {}", info.name, info.about, info.attach));
        screen.table(&table);
        let parameters: BTreeMap<&str, &str> =
            info.parameters.iter().map(|parameter| (parameter.name, parameter.takes)).collect();
        screen
            .emit(&json!({ "name": info.name, "about": info.about, "attach": info.attach, "parameters": parameters }));
        return Ok(());
    }
    let text = fill(name, parameters)?;
    if screen.is_json() {
        screen.emit(&json!({ "name": name, "text": text }));
    } else {
        screen.raw(&text);
    }
    Ok(())
}

/// The rules of a template with its parameters.
fn fill(name: &str, parameters: &[String]) -> anyhow::Result<String> {
    let mut values = BTreeMap::new();
    for parameter in parameters {
        let (name, value) = parameter
            .split_once('=')
            .with_context(|| format!("'{parameter}' is no parameter: write NAME=VALUE, like limit=25gcc"))?;
        ensure!(values.insert(name.to_owned(), value.to_owned()).is_none(), "{name} is given twice");
    }
    Ok(Template::parse(name, &values)?.text()?)
}

fn read(file: &Path, limit: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    // One byte more shows that there is too much.
    let limit = limit as u64 + 1;
    let read = match file.as_os_str() == "-" {
        true => io::stdin().lock().take(limit).read_to_string(&mut text),
        false => File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text)
}

fn set(file: &Path) -> anyhow::Result<PolicySet> {
    let text = read(file, TEXT_BYTES_MAX)?;
    PolicySet::set(&text).with_context(|| format!("{} cannot be set", file.display()))
}

fn check(file: &Path, screen: &Screen) -> anyhow::Result<()> {
    let set = set(file)?;
    let ids: Vec<&str> = set.ids().collect();
    screen.good(&format!("{} can be set: {}", file.display(), ids.join(", ")));
    screen.note(&format!(
        "{} nodes, {} deep, a decision costs {} at most; schema {}",
        grouped(set.nodes() as u64),
        set.depth(),
        grouped(set.cost(0)),
        set.schema_version()
    ));
    screen.emit(&json!({
        "ok": true,
        "policies": ids,
        "nodes": set.nodes(),
        "depth": set.depth(),
        "cost": set.cost(0),
        "schema_version": set.schema_version(),
    }));
    Ok(())
}

fn test(args: &TestArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let set = set(&args.file)?;
    let mut given = args.given.clone();
    if let Some(file) = &args.facts {
        let text = read(file, TEXT_BYTES_MAX)?;
        let from_file = serde_json::from_str(&text).with_context(|| format!("{} has no facts", file.display()))?;
        given = given.over(from_file);
    }
    let request = Request::new(facts(&given, target)?)?;
    let at = Attachment::ALL.into_iter().find(|at| at.name() == args.at).expect("a possible value is an attachment");
    let attached = [Attached { at, set: &set }];
    let decision = ghostplane_shroud::covenant::decide(&attached, &request);
    let changes = would_pass(&attached, &request);
    say(&decision, &request, &changes, screen);
    Ok(())
}

fn say(decision: &Decision, request: &Request, changes: &[Counterfactual], screen: &Screen) {
    let facts = decision.facts(request);
    let obligations = decision.obligations();
    match decision.denial() {
        None => screen.good("allowed"),
        Some(denial) => screen.bad(&format!("denied: {denial} ({})", denial.code())),
    }
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    for deciding in decision.policies() {
        table.row(["policy", &*deciding.id]);
    }
    for fact in &facts {
        table.row([fact.name.as_str(), fact.value.as_str()]);
    }
    if obligations.guardian {
        table.row(["then", "the guardians' quorum must consent"]);
    }
    if obligations.delay_seconds > 0 {
        table.row(["then", &format!("it waits {} s", grouped(obligations.delay_seconds.into()))]);
    }
    if obligations.log {
        table.row(["then", "it is logged"]);
    }
    if !table.is_empty() {
        screen.table(&table);
    }
    changes.iter().for_each(|change| screen.line(&change.to_string()));
    screen.emit(&json!({
        "allowed": decision.is_allowed(),
        "code": decision.code(),
        "reason": decision.denial().map(ToString::to_string),
        "policies": decision.policies().iter().map(|deciding| &*deciding.id).collect::<Vec<_>>(),
        "facts": facts.iter().map(|fact| (fact.name.clone(), Value::from(fact.value.clone()))).collect::<serde_json::Map<_, _>>(),
        "obligations": {
            "guardian": obligations.guardian,
            "delay_seconds": obligations.delay_seconds,
            "log": obligations.log,
        },
        "cost": decision.cost(),
        "would_pass": changes.iter().map(change_document).collect::<Vec<_>>(),
    }));
}

fn change_document(change: &Counterfactual) -> Value {
    let text = change.to_string();
    match change {
        Counterfactual::Amount { money, and_less } => {
            json!({ "text": text, "amount": money.to_string(), "and_less": and_less })
        }
        Counterfactual::Approvals { role, more } => json!({ "text": text, "role": role, "more": more }),
        Counterfactual::At { time } => json!({ "text": text, "time": time }),
    }
}

impl Given {
    /// These facts, and those of `other` that are missing here.
    fn over(self, other: Self) -> Self {
        Self {
            tx: self.tx.or(other.tx),
            from: self.from.or(other.from),
            to: self.to.or(other.to),
            amount: self.amount.or(other.amount),
            asset: self.asset.or(other.asset),
            name: self.name.or(other.name),
            time: self.time.or(other.time),
            spent_hour: self.spent_hour.or(other.spent_hour),
            spent_day: self.spent_day.or(other.spent_day),
            spent_month: self.spent_month.or(other.spent_month),
            approval: if self.approval.is_empty() { other.approval } else { self.approval },
            claimed: self.claimed.or(other.claimed),
            certified: self.certified.or(other.certified),
            level: self.level.or(other.level),
            to_certified: self.to_certified.or(other.to_certified),
            to_level: self.to_level.or(other.to_level),
            session: self.session.or(other.session),
        }
    }
}

fn facts(given: &Given, target: &Target) -> anyhow::Result<Facts> {
    let names = || ACTION_KINDS.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
    let name = given.tx.as_deref().with_context(|| format!("which action? Give --tx one of {}", names()))?;
    let action = action_kind(name).with_context(|| format!("'{name}' is no action; there are {}", names()))?;
    let shape = action_shape(action).expect("every kind has a shape");
    let resolve = |who: &Option<String>, nobody: u8| match who {
        None => anyhow::Ok((Address::from_bytes([nobody; 32]), None)),
        Some(text) => {
            let who = who::resolve(text, &target.keys_dir()?)?;
            Ok((who.address, Some(who.entity_type)))
        }
    };
    let (from, from_type) = resolve(&given.from, 0xa1)?;
    let (to, to_type) = resolve(&given.to, 0xb0)?;
    let kind =
        |word: &Option<String>| match word {
            None => anyhow::Ok(None),
            Some(word) => Ok(Some(keys::entity_of(word).ok_or_else(|| {
                anyhow!("'{word}' is no type: wallet, validator, service, contract, bridge or oracle")
            })?)),
        };
    let claimed = kind(&given.claimed)?.or(from_type).or(Some(EntityType::Wallet));
    let principal =
        Party { address: from, claimed, certified: kind(&given.certified)?, level: given.level.unwrap_or(0) };
    let other = match to == from {
        true => principal,
        false => Party {
            address: to,
            claimed: to_type,
            certified: kind(&given.to_certified)?,
            level: given.to_level.unwrap_or(0),
        },
    };
    let money = |text: &Option<String>| match text {
        None => anyhow::Ok(None),
        Some(text) => Ok(Some(text.parse::<Money>()?)),
    };
    let amount = money(&given.amount)?;
    let asset = match &given.asset {
        Some(text) => who::asset(text).map_err(|error| anyhow!("{error}"))?,
        None => amount.map_or(AssetId::GCC, |money| money.asset),
    };
    let resource = match (shape.resources, &given.name) {
        ([ResourceKind::Name], name) => {
            let name = name.clone().context("which name? Give --name")?;
            Resource::Name { name, owner: None }
        }
        ([ResourceKind::Asset], _) => Resource::Asset { asset, issuer: None },
        ([ResourceKind::Contract], _) => Resource::Contract { address: to, code: None, owner: None },
        _ => Resource::Account(other),
    };
    let moving = if shape.moves_value {
        let money = amount.with_context(|| format!("{name} moves value: how much? Give --amount, like 25gcc"))?;
        ensure!(money.asset == asset, "the amount is in {}, the asset is {asset}", money.asset);
        let spent = |text: &Option<String>| match text {
            None => anyhow::Ok(Amount::ZERO),
            Some(text) => {
                let spent = text.parse::<Money>()?;
                ensure!(spent.asset == asset, "what was spent is of {}, the amount of {asset}", spent.asset);
                Ok(spent.amount)
            }
        };
        let counterparty = matches!(resource, Resource::Account(_)).then_some(other);
        let spent =
            Spent { hour: spent(&given.spent_hour)?, day: spent(&given.spent_day)?, month: spent(&given.spent_month)? };
        Some(Moving { amount: money.amount, asset, issuer: None, counterparty, spent })
    } else {
        if amount.is_some() {
            bail!("{name} moves no value: leave --amount out");
        }
        None
    };
    let approvals = given.approval.iter().map(|text| approval(text)).collect::<anyhow::Result<_>>()?;
    let time = given.time.unwrap_or_else(now);
    Ok(Facts { principal, action, resource, moving, time, approvals, session: given.session })
}

fn approval(text: &str) -> anyhow::Result<Approval> {
    let (role, weight) = text.split_once(':').unwrap_or((text, "1"));
    let weight = weight.parse().with_context(|| format!("'{text}' is no approval: write ROLE or ROLE:WEIGHT"))?;
    Ok(Approval::of(role, weight))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
