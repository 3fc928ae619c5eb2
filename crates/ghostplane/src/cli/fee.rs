//! What a transaction would cost, and what would pay for it. Signs and sends nothing, and opens no key.

use super::coins::{self, Sum};
use super::connect::{Target, block_on};
use super::send::{PayWith, SponsorArgs, fee, now_ms, pairs, valid_until};
use super::told::next_step;
use super::who;
use crate::keys;
use crate::node::api::code_name;
use crate::screen::{Screen, duration, grouped};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ghostplane_client::{Client, Consenting, Draft, Gas, Measured, Payment, ProvenAccount, Sponsor, approve, wire};
use ghostplane_types::limits::ACTIONS_MAX;
use ghostplane_types::{Action, Address, Amount, AssetId, Gid, L1Address, ManaNow, Money, gas};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// `fee` and what follows it.
#[derive(Debug, Args)]
pub struct FeeArgs {
    #[command(subcommand)]
    command: FeeCommand,
}

#[derive(Debug, Subcommand)]
enum FeeCommand {
    /// What a transaction would cost now, and what would pay for it: nothing is signed or sent
    #[command(
        after_help = "The same flags as for sending it:\n  ghostplane fee estimate --from alice --to bob 1gcc --also carol=2gcc\n  ghostplane fee estimate --from alice --withdraw 5gcc\n  ghostplane fee estimate --from alice --actions 100\n  ghostplane fee estimate --from treasury --to bob 100gcc --approve gina,gus"
    )]
    Estimate(Box<EstimateArgs>),
}

/// `fee estimate` and what follows it.
#[derive(Debug, Args)]
struct EstimateArgs {
    /// Whose account would act: a key; with --signer, an address or DID as well
    #[arg(long, value_name = "WHO")]
    from: String,
    /// The key that would sign [default: that of --from]
    #[arg(long, value_name = "KEY")]
    signer: Option<String>,
    /// Who would be paid
    #[arg(long, value_name = "WHO", requires = "amount")]
    to: Option<String>,
    /// How much of what, such as 1.5gcc or '10 zman'
    #[arg(value_parser = coins::sum, requires = "to")]
    amount: Option<Sum>,
    /// Somebody else who would be paid by the same transaction, such as carol=0.2gcc
    #[arg(long, value_name = "WHO=AMOUNT", value_parser = coins::also)]
    also: Vec<(String, Sum)>,
    /// What would leave for the L1, such as 10gcc
    #[arg(long, value_name = "AMOUNT", value_parser = who::money)]
    withdraw: Option<Money>,
    /// So many payments to accounts that exist, instead of named ones
    #[arg(long, value_name = "N", conflicts_with_all = ["to", "also", "withdraw"], value_parser = clap::value_parser!(u16).range(1..=ACTIONS_MAX as i64))]
    actions: Option<u16>,
    /// Keys here that would approve it as guardians
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    approve: Vec<String>,
    /// At most 64 bytes, for everybody to read
    #[arg(long, value_name = "TEXT")]
    memo: Option<String>,
    /// With what the gas would be paid
    #[arg(long, value_enum, default_value_t)]
    pay: PayWith,
    #[command(flatten)]
    sponsor: SponsorArgs,
}

/// Answers.
pub fn run(args: &FeeArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let FeeCommand::Estimate(args) = &args.command;
    estimate(args, target, screen)
}

/// Who would be paid and has no account or no slot of the asset yet.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    accounts: u64,
    slots: u64,
}

/// What would become of it now.
enum Outlook {
    /// The node's word: it executed it as if it were signed.
    Tried(wire::Simulation),
    /// Nobody can try it, for this reason: what is said follows from accounts alone.
    Untried(&'static str),
}

impl Outlook {
    /// What the node found, if it would not be applied.
    fn refusal(&self) -> Option<&wire::Simulation> {
        match self {
            Self::Tried(tried) if tried.code != 0 => Some(tried),
            Self::Tried(_) | Self::Untried(_) => None,
        }
    }

    /// Whether it would be in a batch, be paid for, and do nothing.
    fn is_without_effect(&self) -> bool {
        self.refusal().is_some_and(|tried| tried.is_admitted)
    }

    fn json(&self) -> Value {
        let tried = match self {
            Self::Tried(tried) => tried,
            Self::Untried(why) => return json!({ "tried": false, "why_not": why }),
        };
        let explanation = tried.explanation.clone().unwrap_or_default();
        let code = code_of(tried);
        json!({
            "tried": true, "is_admitted": tried.is_admitted, "code": code, "name": code_name(code),
            "message": tried.explanation.as_ref().map(|explanation| &explanation.message),
            "would_pass": explanation.would_pass, "next": next_step(code),
        })
    }
}

fn code_of(tried: &wire::Simulation) -> u16 {
    u16::try_from(tried.code).unwrap_or(u16::MAX)
}

/// What it comes to.
struct Estimate {
    measured: Measured,
    outlook: Outlook,
    made: Made,
    /// Gas that it would use now.
    gas: u64,
    storage: Amount,
    mana: ManaNow,
    /// When mana would suffice for the limit.
    mana_at: Option<u64>,
    now: u64,
}

fn estimate(args: &EstimateArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    let from = who::resolve(&args.from, &dir)?;
    let key = keys::describe(&dir, args.signer.as_deref().unwrap_or(&args.from))?;
    let named = args.to.as_ref().zip(args.amount.as_ref());
    let also = args.also.iter().map(|(to, amount)| (to, amount));
    let mut named_payees = Vec::new();
    for (to, sum) in named.into_iter().chain(also) {
        named_payees.push((who::resolve(to, &dir)?, sum));
    }
    let sponsor = args.sponsor.named(target)?;
    let approvers = args.approve.iter().map(|name| Ok(keys::describe(&dir, name)?.gid.public_key));
    let approvers = approvers.collect::<anyhow::Result<Vec<_>>>()?;
    block_on(async {
        let client = target.connect().await?;
        let mut payees = Vec::with_capacity(named_payees.len());
        for (to, sum) in named_payees {
            payees.push((to, sum.of(&client, None).await?));
        }
        let everybody = payees.iter().map(|(to, _)| to).chain([&from]).chain(sponsor.as_ref().map(|(who, _)| who));
        for who in everybody {
            who.check_chain(client.plane().chain_id())?;
        }
        let account = client.account(&from.address).await?;
        let role = client.role_of(&account, &key.gid.public_key, key.gid.address()).await?;
        let role = role.with_context(|| format!("key '{}' may not act for this account", key.name))?;
        let draft = draft(args, &client, &payees, from.address, &key.gid)?.role(role);
        let draft = draft.valid(0, valid_until(account.header().time));
        let payment = match (&sponsor, args.pay) {
            (Some((_, sponsor)), _) => Payment::Sponsor(sponsor.clone()),
            (None, PayWith::Gcc) => Payment::Gcc,
            (None, PayWith::Mana) => Payment::Mana,
        };
        let sequence = account.record().map_or(0, |record| record.next_in_lane(role.lane()));
        let by = Consenting { account: from.address, identity: key.gid, role, sequence, approvers };
        let draft = draft.pay(payment);
        let (draft, outlook) = look(&client, draft, &by, args.actions.is_some()).await?;
        let estimate = reckon(&client, &account, &draft, &by, outlook).await?;
        let measured = estimate.measured;
        let sponsored = match &sponsor {
            None => None,
            Some((who, sponsor)) => Some((who, sponsor, client.account(&who.address).await?)),
        };
        let held = account.balance(AssetId::GCC).unwrap_or(Amount::ZERO);
        let verdict = verdict(&client, args, &estimate, held, sponsored.as_ref());
        show(&client, &estimate, &verdict, held, screen);
        let made = estimate.made;
        let fee_of = |gas: u64| gas.checked_mul(measured.gas_price);
        screen.emit(&json!({
            "from": from.text(), "batch": account.header().number, "bytes_max": measured.bytes,
            "gas": estimate.gas, "gas_limit": measured.gas_limit, "gas_price": measured.gas_price,
            "fee": fee_of(estimate.gas), "fee_max": fee_of(measured.gas_limit),
            "storage": estimate.storage.units(), "new_accounts": made.accounts, "new_slots": made.slots,
            "gcc": held.units(), "outcome": estimate.outlook.json(),
            "mana": {
                "at": estimate.now, "gas": estimate.mana.gas(), "granted": estimate.mana.granted,
                "regenerated": estimate.mana.regenerated, "suffices_at": estimate.mana_at,
            },
            "pays": verdict.iter().map(|way| json!({
                "with": way.with, "pays": way.pays, "chosen": way.is_chosen, "why_not": way.why_not,
            })).collect::<Vec<_>>(),
        }));
        Ok(())
    })
}

/// What is to be measured.
fn draft(
    args: &EstimateArgs,
    client: &Client,
    payees: &[(who::Who, Money)],
    from: Address,
    key: &Gid,
) -> anyhow::Result<Draft> {
    let draft = Draft::new(client.plane(), client.info().gas_price).memo(args.memo.clone().unwrap_or_default());
    if let Some(count) = args.actions {
        // What counts are the bytes; an amount and an address take the same whatever they are.
        let to = Address::from_bytes([0; 32]);
        return Ok((0..count).fold(draft, |draft, _| draft.transfer(to, AssetId::GCC, Amount::ZERO)));
    }
    let draft = payees.iter().fold(draft, |draft, (to, money)| draft.transfer(to.address, money.asset, money.amount));
    let draft = match args.withdraw {
        None => draft,
        // As `withdraw` does unless it is told: to the account that the key has on the L1.
        Some(money) => {
            let to = who::l1_of(key).unwrap_or(L1Address([0; 32]));
            draft.withdraw(to, money.asset, money.amount)
        }
    };
    if draft.actions().is_empty() {
        bail!("what would it do? Name payments (--to WHO AMOUNT), a withdrawal (--withdraw AMOUNT), or --actions N");
    }
    if payees.iter().any(|(to, _)| to.address == from) {
        bail!("a payment to oneself moves nothing");
    }
    Ok(draft)
}

/// Has the node try it: once with as much gas as it takes, and then under the limit of gas that follows and at the plane's price,
/// which limits of sessions, allowances and whoever pays are asked about.
async fn look(client: &Client, draft: Draft, by: &Consenting, is_made_up: bool) -> anyhow::Result<(Draft, Outlook)> {
    if is_made_up {
        return Ok((draft, Outlook::Untried("payments to nobody in particular cannot be tried")));
    }
    let Some(tried) = client.simulate_draft(&draft, Gas::Free, by).await? else {
        return Ok((draft, Outlook::Untried("a key signs by assertions, which are as long as a browser makes them")));
    };
    if !tried.is_admitted {
        return Ok((draft, Outlook::Tried(tried)));
    }
    let draft = draft.gas_seen(tried.gas);
    let priced = client.simulate_draft(&draft, Gas::Priced, by).await?;
    let found = match priced {
        // What it would use if it were let in is known all the same.
        Some(turned_away) if !turned_away.is_admitted => wire::Simulation { gas: tried.gas, ..turned_away },
        Some(priced) => priced,
        None => tried,
    };
    Ok((draft, Outlook::Tried(found)))
}

/// Looks at who would be paid, and adds up.
async fn reckon(
    client: &Client,
    account: &ProvenAccount,
    draft: &Draft,
    by: &Consenting,
    outlook: Outlook,
) -> anyhow::Result<Estimate> {
    let schemes = || by.approvers.iter().map(|key| key.scheme());
    let measured = draft.clone().room_for(schemes()).measure(by.account, by.identity.public_key, by.identity)?;
    let unknown = Address::from_bytes([0; 32]);
    let mut known: BTreeMap<Address, Vec<AssetId>> = BTreeMap::new();
    let mut made = Made::default();
    for action in draft.actions() {
        let Action::Transfer { to, asset, .. } = action else { continue };
        if *to == unknown {
            continue;
        }
        if !known.contains_key(to) {
            let found = client.account(to).await?;
            made.accounts += u64::from(found.record().is_none());
            known.insert(*to, found.balances().iter().map(|(asset, _)| *asset).collect());
        }
        let slots = known.entry(*to).or_default();
        if !slots.contains(asset) {
            slots.push(*asset);
            made.slots += 1;
        }
    }
    let genesis = client.plane().genesis();
    let price = |count: u64, each: Amount| each.checked_mul(count).context("storage costs more than there is");
    let slots = price(made.slots, genesis.slot_price)?;
    let storage = slots.checked_add(price(made.accounts, genesis.object_price)?);
    let storage = storage.context("storage costs more than there is")?;
    let now = account.header().time.max(now_ms());
    let gas = match &outlook {
        Outlook::Tried(tried) if tried.gas > 0 => tried.gas,
        // What the actions themselves take.
        Outlook::Tried(_) | Outlook::Untried(_) => {
            let made = made.slots * gas::GAS_NEW_SLOT + made.accounts * gas::GAS_NEW_OBJECT;
            measured.gas_intrinsic + schemes().map(approve::gas_at_most).sum::<u64>() + made
        }
    };
    Ok(Estimate {
        measured,
        // What has no effect makes nothing.
        storage: if outlook.is_without_effect() { Amount::ZERO } else { storage },
        outlook,
        made,
        gas,
        mana: client.plane().mana_of(account, now),
        mana_at: client.plane().mana_ready_at(account, measured.gas_limit, now),
        now,
    })
}

/// One way to pay, and whether it would.
struct Way {
    with: String,
    pays: bool,
    is_chosen: bool,
    why_not: Option<String>,
}

fn verdict(
    client: &Client,
    args: &EstimateArgs,
    estimate: &Estimate,
    held: Amount,
    sponsored: Option<&(&who::Who, &Sponsor, ProvenAccount)>,
) -> Vec<Way> {
    let limit = u128::from(estimate.measured.gas_limit) * u128::from(estimate.measured.gas_price);
    let storage = u128::from(estimate.storage.units());
    let (gcc, needed) = (u128::from(held.units()), |units: u128| fee(client, u64::try_from(units).unwrap_or(u64::MAX)));
    let storage_lacks =
        (storage > gcc).then(|| format!("storage costs {}, the account holds {}", needed(storage), needed(gcc)));
    let way = |with: &str, is_chosen, lacks: Option<String>| {
        let why_not = lacks.or_else(|| storage_lacks.clone());
        Way { with: with.to_owned(), pays: why_not.is_none(), is_chosen, why_not }
    };
    let of_gcc = (limit + storage > gcc)
        .then(|| format!("it may take {} in all, the account holds {}", needed(limit + storage), needed(gcc)));
    let of_mana = (estimate.mana.gas() < estimate.measured.gas_limit).then(|| match estimate.mana_at {
        Some(at) => format!("enough in {}", duration(Duration::from_millis(at - estimate.now))),
        None => "it never has so much".to_owned(),
    });
    let is_own = sponsored.is_none();
    let mut ways = vec![
        way("gcc", is_own && args.pay == PayWith::Gcc, of_gcc),
        way("mana", is_own && args.pay == PayWith::Mana, of_mana),
    ];
    if let Some((who, sponsor, account)) = sponsored {
        let holds = account.balance(AssetId::GCC).map_or(0, |amount| u128::from(amount.units()));
        let identity = account.record().and_then(|record| record.identity.as_ref());
        let lacks = match (identity, sponsor.fee_max) {
            (None, _) => Some("it is not registered: it has sent nothing yet".to_owned()),
            (Some(identity), _) if !identity.keys.contains(&sponsor.key) => {
                Some("the key is none of the sponsor's own".to_owned())
            }
            (_, Some(most)) if limit > u128::from(most.units()) => {
                Some(format!("the fee may be {}, it pays at most {}", needed(limit), fee(client, most.units())))
            }
            _ if limit > holds => Some(format!("the fee may be {}, it holds {}", needed(limit), needed(holds))),
            _ => None,
        };
        ways.push(way(&format!("gcc of {}", who.shown()), true, lacks));
    }
    ways
}

fn show(client: &Client, estimate: &Estimate, ways: &[Way], held: Amount, screen: &Screen) {
    let measured = &estimate.measured;
    let in_gcc = |gas: u64| {
        let units = gas.checked_mul(measured.gas_price);
        units.map_or_else(|| "more than there is".to_owned(), |units| fee(client, units))
    };
    let mut table = pairs();
    table
        .row(["gas", &format!("{}, limit {}", grouped(estimate.gas), grouped(measured.gas_limit))])
        .row(["fee", &format!("{}, at most {}", in_gcc(estimate.gas), in_gcc(measured.gas_limit))]);
    let made = &estimate.made;
    let what = format!("{} new accounts, {} new slots", made.accounts, made.slots);
    let storage = fee(client, estimate.storage.units());
    let storage = match made.slots {
        0 => "none: everybody has a slot".to_owned(),
        _ if estimate.outlook.is_without_effect() => "none: nothing would be done".to_owned(),
        _ => format!("{storage}: {what}"),
    };
    table.row(["storage", &storage]).row(["gcc", &fee(client, held.units())]);
    let mana = estimate.mana;
    table.row(["mana", &format!("{} gas, {} of it granted", grouped(mana.gas()), grouped(mana.granted))]);
    screen.table(&table);
    for way in ways {
        let mark = if way.is_chosen { ", as asked" } else { "" };
        match &way.why_not {
            None => screen.good(&format!("{} would pay{mark}", way.with)),
            Some(why) => screen.bad(&format!("{} would not pay{mark}: {why}", way.with)),
        }
    }
    show_outlook(&estimate.outlook, screen);
}

/// What would refuse it, what would make it pass, and whose word all of this is.
fn show_outlook(outlook: &Outlook, screen: &Screen) {
    if let Some(tried) = outlook.refusal() {
        let explanation = tried.explanation.clone().unwrap_or_default();
        let code = code_of(tried);
        let costs = if tried.is_admitted { "it would cost this gas and do nothing" } else { "it would be turned away" };
        screen.bad(&format!("as things stand, {costs}: {} ({code} {})", explanation.message, code_name(code)));
        explanation.would_pass.iter().for_each(|change| screen.line(change));
        if let Some(next) = next_step(code) {
            screen.line(next);
        }
    }
    match outlook {
        Outlook::Tried(_) => screen.note(
            "As of the newest batch, and alone in its own: accounts are checked here, what it uses and what would refuse it is the node's word. Rules that another transaction of the batch has asked already cost less.",
        ),
        Outlook::Untried(why) => screen.note(&format!(
            "As of the newest batch, checked here. Limits of sessions and of guardians, and covenants, are not looked at: {why}.",
        )),
    }
}
