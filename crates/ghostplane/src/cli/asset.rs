//! `ghostplane asset`: assets of the plane's own.

use super::coins::{self, Coins, Sum};
use super::connect::{Target, block_on};
use super::listed::Headers;
use super::send::{Signing, open_draft, pairs, send};
use super::show::{anchor, show_checked};
use super::told::Told;
use super::who;
use crate::screen::{Align, Screen, Table};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ghostplane_client::{Client, wire};
use ghostplane_types::amount::{DECIMALS_MAX, SUPPLY_MAX};
use ghostplane_types::asset::is_symbol;
use ghostplane_types::{Action, Amount, AssetId};
use serde_json::json;

/// Pages of the list that are looked at for a free number.
const PAGES_MAX: usize = 16;
/// Numbers that are tried behind the highest that is taken.
const TRIES_MAX: u32 = 16;

/// `asset` and what follows it.
#[derive(Debug, Args)]
pub struct AssetArgs {
    #[command(subcommand)]
    command: AssetCommand,
}

#[derive(Debug, Subcommand)]
enum AssetCommand {
    /// Register an asset; whoever does is its issuer for good
    Register(RegisterArgs),
    /// Make more of an asset, as its issuer
    Mint(MintArgs),
    /// End some of what an account holds
    Burn(BurnArgs),
    /// Stop whatever moves of an asset, as its issuer
    Freeze(WhichArgs),
    /// Let an asset move again, as its issuer
    Unfreeze(WhichArgs),
    /// An asset's registration, proven
    Show {
        /// Its number, 65536 or #65536; gcc or zman
        #[arg(value_parser = number)]
        asset: AssetId,
    },
    /// The assets there are
    List,
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// Its number, 65536 to 1073741823 [default: one that is free]
    #[arg(value_parser = number)]
    asset: Option<AssetId>,
    /// Its symbol: 1 to 12 of a-z and 0-9; others may have the same
    #[arg(long, value_name = "SYMBOL")]
    symbol: String,
    /// Its decimals
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=i64::from(DECIMALS_MAX)))]
    decimals: u8,
    /// The most there may ever be, by its decimals
    #[arg(long, value_name = "AMOUNT")]
    cap: String,
    #[command(flatten)]
    signing: Signing,
}

/// What is made, and for whom.
#[derive(Clone, Debug, Args)]
pub(super) struct MintArgs {
    /// Its number, 65536 or #65536
    #[arg(value_parser = number)]
    asset: AssetId,
    /// How much, by its decimals
    #[arg(value_parser = coins::sum)]
    amount: Sum,
    /// Who gets it: a key, an address, a DID or 64 hexadecimal digits
    #[arg(long, value_name = "WHO")]
    to: String,
    #[command(flatten)]
    pub(super) signing: Signing,
}

/// What is ended.
#[derive(Clone, Debug, Args)]
pub(super) struct BurnArgs {
    /// Its number, 65536 or #65536
    #[arg(value_parser = number)]
    asset: AssetId,
    /// How much, by its decimals
    #[arg(value_parser = coins::sum)]
    amount: Sum,
    #[command(flatten)]
    pub(super) signing: Signing,
}

#[derive(Debug, Args)]
struct WhichArgs {
    /// Its number, 65536 or #65536
    #[arg(value_parser = number)]
    asset: AssetId,
    #[command(flatten)]
    signing: Signing,
}

/// Does what was asked of assets.
pub fn run(args: &AssetArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match &args.command {
        AssetCommand::Register(args) => register(args, target, screen),
        AssetCommand::Mint(args) => mint(args, target, screen),
        AssetCommand::Burn(args) => burn(args, target, screen),
        AssetCommand::Freeze(args) => freeze(args, true, target, screen),
        AssetCommand::Unfreeze(args) => freeze(args, false, target, screen),
        AssetCommand::Show { asset } => show(*asset, target, screen),
        AssetCommand::List => list(target, screen),
    }
}

/// Reads `65536`, `#65536`, `gcc`.
fn number(text: &str) -> Result<AssetId, String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    match digits.parse().ok().and_then(AssetId::new) {
        Some(asset) => Ok(asset),
        None => who::asset(text),
    }
}

fn register(args: &RegisterArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    if !is_symbol(args.symbol.as_bytes()) {
        bail!("'{}' is no symbol: take 1 to 12 of a-z and 0-9", args.symbol);
    }
    let cap = Amount::parse_decimal(&args.cap, args.decimals)?;
    if cap.is_zero() || cap.units() > SUPPLY_MAX {
        bail!("the cap is 1 to 2^62 base units, found {}: fewer decimals leave room for more", cap.units());
    }
    block_on(async {
        let client = target.connect().await?;
        let asset = match args.asset {
            Some(asset) if asset.is_bridged() => bail!("numbers below 65536 are those of bridged assets"),
            Some(asset) => asset,
            None => free_number(&client).await?,
        };
        let symbol = args.symbol.as_bytes().to_vec();
        let draft = open_draft(&client).action(Action::RegisterAsset { asset, symbol, decimals: args.decimals, cap });
        let sent = send(&args.signing, target, &client, draft, screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["asset", &format!("{asset}, {} with {} decimals", args.symbol, args.decimals)]);
            table.row(["cap", &cap.to_decimal(args.decimals)]);
        });
        if sent.done().is_some() {
            screen.note(&format!(
                "To make some:  ghostplane asset mint {} AMOUNT --to WHO --from {}",
                asset.number(),
                args.signing.from()
            ));
        }
        screen.emit(&sent.json(&[
            ("asset", json!(asset.number())),
            ("symbol", json!(args.symbol)),
            ("decimals", json!(args.decimals)),
            ("cap", json!(cap.units())),
        ]));
        Ok(())
    })
}

/// A number that nobody has registered: the first behind the highest that is.
async fn free_number(client: &Client) -> anyhow::Result<AssetId> {
    let mut next = AssetId::BRIDGED_LIMIT;
    let mut after = Vec::new();
    for _ in 0..PAGES_MAX {
        let (page, more) = client.assets(after, 256).await?;
        next = page.iter().map(|known| known.asset.saturating_add(1)).fold(next, u32::max);
        after = more;
        if after.is_empty() {
            break;
        }
    }
    for tried in 0..TRIES_MAX {
        let asset = next.checked_add(tried).and_then(AssetId::new);
        let asset = asset.context("the highest number is taken: name one that is free")?;
        if client.asset(asset).await?.record().is_none() {
            return Ok(asset);
        }
    }
    bail!("no free number is found at once: name one, 65536 to 1073741823")
}

/// Makes more of an asset.
pub(super) fn mint(args: &MintArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let to = who::resolve(&args.to, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        to.check_chain(client.plane().chain_id())?;
        let money = args.amount.of(&client, Some(args.asset)).await?;
        let coins = Coins::of(&client, [money.asset]).await?;
        let action = Action::Mint { asset: money.asset, to: to.address, amount: money.amount };
        let sent = send(&args.signing, target, &client, open_draft(&client).action(action), screen).await?;
        let shown = coins.show(money.asset, money.amount);
        sent.show(&client, screen, |table| {
            table.row(["made", &format!("{shown} for {}", to.shown())]);
        });
        screen.emit(&sent.json(&[
            ("asset", json!(money.asset.number())),
            ("amount", json!(shown)),
            ("units", json!(money.amount.units())),
            ("to", json!(to.text())),
        ]));
        Ok(())
    })
}

/// Ends some of an asset.
pub(super) fn burn(args: &BurnArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let money = args.amount.of(&client, Some(args.asset)).await?;
        let coins = Coins::of(&client, [money.asset]).await?;
        let action = Action::Burn { asset: money.asset, amount: money.amount };
        let sent = send(&args.signing, target, &client, open_draft(&client).action(action), screen).await?;
        let shown = coins.show(money.asset, money.amount);
        sent.show(&client, screen, |table| {
            table.row(["ended", &shown]);
        });
        screen.emit(&sent.json(&[
            ("asset", json!(money.asset.number())),
            ("amount", json!(shown)),
            ("units", json!(money.amount.units())),
        ]));
        Ok(())
    })
}

fn freeze(args: &WhichArgs, is_frozen: bool, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let action = Action::FreezeAsset { asset: args.asset, is_frozen };
        let sent = send(&args.signing, target, &client, open_draft(&client).action(action), screen).await?;
        let done = if is_frozen { "nothing of it moves" } else { "it moves again" };
        sent.show(&client, screen, |table| {
            table.row(["asset", &format!("{}: {done}", args.asset)]);
        });
        screen.emit(&sent.json(&[("asset", json!(args.asset.number())), ("frozen", json!(is_frozen))]));
        Ok(())
    })
}

fn show(asset: AssetId, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let found = client.asset(asset).await?;
        let of_genesis = client.plane().genesis().asset(asset);
        let mut table = pairs();
        if let Some(known) = of_genesis {
            let symbol = String::from_utf8_lossy(&known.symbol).into_owned();
            table
                .row(["asset", &format!("{} ({})", symbol, asset.number())])
                .row(["bridged", "the L1 holds what the plane accounts for"])
                .row(["decimals", &format!("{}, on the L1 {}", known.decimals, known.l1_decimals)]);
            screen.table(&table);
            screen.good("genesis registers it");
            screen.emit(&json!({
                "asset": asset.number(), "bridged": true, "symbol": symbol, "decimals": known.decimals,
                "l1_decimals": known.l1_decimals,
            }));
            return Ok(());
        }
        let record = found.record().ok_or(Told::NoAsset { asset })?;
        let anchored = anchor(&client, found.header(), screen).await?;
        let symbol = String::from_utf8_lossy(&record.symbol).into_owned();
        let of = |amount: Amount| format!("{}{symbol}", amount.to_decimal(record.decimals));
        table
            .row(["asset", &asset.to_string()])
            .row(["symbol", &symbol])
            .row(["decimals", &record.decimals.to_string()])
            .row(["issuer", &record.issuer.to_string()])
            .row(["supply", &of(record.supply)])
            .row(["cap", &of(record.cap)])
            .row(["state", if record.is_frozen { "frozen: nothing of it moves" } else { "moves" }]);
        screen.table(&table);
        show_checked(found.header(), anchored.as_ref(), screen);
        screen.emit(&json!({
            "asset": asset.number(), "bridged": false, "symbol": symbol, "decimals": record.decimals,
            "issuer": record.issuer.to_string(), "supply": record.supply.units(), "cap": record.cap.units(),
            "frozen": record.is_frozen, "batch": found.header().number,
            "rung": anchored.map(|anchored| anchored.rung.word()),
        }));
        Ok(())
    })
}

fn list(target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let mut all: Vec<wire::Asset> = Vec::new();
        let mut after = Vec::new();
        let mut is_whole = false;
        for _ in 0..PAGES_MAX {
            let (page, more) = client.assets(after, 256).await?;
            all.extend(page);
            after = more;
            if after.is_empty() {
                is_whole = true;
                break;
            }
        }
        all.sort_by_key(|known| known.asset);
        let columns = [
            ("asset", Align::Right),
            ("symbol", Align::Left),
            ("supply", Align::Right),
            ("cap", Align::Right),
            ("issuer", Align::Left),
            ("", Align::Left),
        ];
        let mut table = Table::new(&columns);
        let mut headers = Headers::default();
        for known in &mut all {
            let asset = AssetId::new(known.asset).context("the node lists an asset whose number cannot be")?;
            if known.bridged {
                table.row([known.asset.to_string().as_str(), &known.symbol, "", "", "bridged", ""]);
                continue;
            }
            let proven = client.asset(asset).await?;
            headers.add(proven.header())?;
            // What is registered stays so.
            let record = proven
                .record()
                .with_context(|| format!("the node lists asset {asset}, and proves that there is none"))?;
            let amount = |amount: Amount| amount.to_decimal(record.decimals);
            known.symbol = String::from_utf8_lossy(&record.symbol).into_owned();
            known.decimals = record.decimals.into();
            (known.supply, known.cap, known.frozen) = (record.supply.units(), record.cap.units(), record.is_frozen);
            table.row([
                known.asset.to_string().as_str(),
                &known.symbol,
                &amount(record.supply),
                &amount(record.cap),
                &record.issuer.to_string(),
                if record.is_frozen { "frozen" } else { "" },
            ]);
        }
        let basis = headers.basis(&client, screen).await?;
        screen.table(&table);
        if !is_whole {
            screen.bad(&format!("there are more; these are the first {}", all.len()));
        }
        basis.show("the plane's own assets", screen);
        let listed = all.iter().map(|known| {
            json!({
                "asset": known.asset, "bridged": known.bridged, "symbol": known.symbol, "decimals": known.decimals,
                "supply": (!known.bridged).then_some(known.supply), "cap": (!known.bridged).then_some(known.cap),
                "frozen": known.frozen,
            })
        });
        screen.emit(&json!({ "assets": listed.collect::<Vec<_>>(), "whole": is_whole, "proven": basis.json() }));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_named_by_its_number() {
        let tea = AssetId::new(65_536).expect("small");
        assert_eq!((number("65536"), number("#65536"), number("gcc")), (Ok(tea), Ok(tea), Ok(AssetId::GCC)));
        for bad in ["", "tea", "-1", "1073741824", "##1", "1.5"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }
}
