//! `ghostplane covenant set|apply|remove|show`: rules on a plane.

use super::connect::{Target, block_on};
use super::send::{Signing, open_draft, pairs, send};
use super::show::proven;
use super::who;
use crate::screen::{Align, Screen, Table, grouped};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use ghostplane_client::{Client, ClientError};
use ghostplane_ghostcipher::Digest;
use ghostplane_shroud::covenant::{PolicySet, SCHEMA_VERSION};
use ghostplane_types::limits::COVENANT_BYTES_MAX;
use ghostplane_types::{Action, AssetId, CovenantAt, CovenantText, Scheduled};
use serde_json::{Value, json};

/// Where a covenant is attached.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// To what comes to the account [default: to what it does]
    #[arg(long, conflicts_with_all = ["asset", "plane"])]
    incoming: bool,
    /// To an asset, as its issuer; to a bridged one as the plane's governor
    #[arg(long, value_name = "ASSET", value_parser = who::asset, conflicts_with = "plane")]
    asset: Option<AssetId>,
    /// To the plane, as its governor
    #[arg(long)]
    plane: bool,
}

impl Place {
    fn at(&self) -> CovenantAt {
        match (self.incoming, self.asset, self.plane) {
            (true, ..) => CovenantAt::Incoming,
            (_, Some(asset), _) => CovenantAt::Asset(asset),
            (_, _, true) => CovenantAt::Plane,
            _ => CovenantAt::Outgoing,
        }
    }
}

/// `covenant remove` and what follows it.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    signing: Signing,
}

/// `covenant show` and what follows it.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Whose: a key, an address, a DID or 64 hexadecimal digits [default: the plane's, and those of bridged assets]
    who: Option<String>,
}

fn shown(at: CovenantAt) -> String {
    match at {
        CovenantAt::Outgoing => "what the account does".to_owned(),
        CovenantAt::Incoming => "what the account is paid".to_owned(),
        CovenantAt::Asset(asset) => format!("the asset {asset}"),
        CovenantAt::Plane => "the plane".to_owned(),
    }
}

/// Publishes a covenant, unless somebody has, and attaches it. Where attaching it is proposed, it is published at once.
pub(super) fn set(
    text: &str,
    place: &Place,
    signing: &Signing,
    target: &Target,
    screen: &Screen,
) -> anyhow::Result<()> {
    ensure!(
        text.len() <= COVENANT_BYTES_MAX,
        "{} bytes, a plane takes covenants of {COVENANT_BYTES_MAX} bytes: attach some of the rules elsewhere too",
        text.len()
    );
    let rules = PolicySet::set(text).context("the rules cannot be set")?;
    let digest = CovenantText::digest_of(SCHEMA_VERSION, text);
    let at = place.at();
    block_on(async {
        let client = target.connect().await?;
        let is_published = match client.covenant(&digest).await {
            Ok(_) => true,
            Err(ClientError::NotFound(_)) => false,
            Err(error) => return Err(error.into()),
        };
        let mut draft = open_draft(&client);
        if !is_published {
            draft = draft.action(Action::PublishCovenant { schema_version: SCHEMA_VERSION, text: text.to_owned() });
        }
        let draft = draft.action(Action::SetCovenant { at, digest: Some(digest) });
        let sent = send(signing, target, &client, draft, screen).await?;
        let notice = at.waits().then(|| client.plane().genesis().governance.notice_ms);
        sent.show(&client, screen, |table| {
            table.row(["covenant", &digest.to_string()]);
            table.row(["attached to", &shown(at)]);
            table.row(["policies", &rules.ids().collect::<Vec<_>>().join(", ")]);
            if let Some(notice) = notice {
                table.row(["holds after", &format!("{} s", grouped(notice.div_ceil(1_000)))]);
            }
        });
        if at == CovenantAt::Outgoing && !text.contains("set_covenant") && !permits_all(text) {
            screen
                .note("It binds changes of covenants as well: see that it permits set_covenant, or it stays for good.");
        }
        let mut document = sent.json(&[
            ("covenant", json!(digest.to_string())),
            ("published", json!(!is_published)),
            ("policies", json!(rules.ids().collect::<Vec<_>>())),
            ("notice_ms", json!(notice)),
        ]);
        if sent.is_executed() {
            // Done, even where attaching it waits.
            document["published"] = json!(!is_published);
            if signing.approving.propose && !is_published {
                screen.note(&format!("The rules are published as {digest}; attaching them is what is held."));
            }
        }
        screen.emit(&document);
        Ok(())
    })
}

/// Whether a text has a policy that permits everything it does not forbid.
fn permits_all(text: &str) -> bool {
    text.replace(char::is_whitespace, "").contains("permit(principal,action,resource);")
}

/// Takes a covenant off.
pub(super) fn remove(args: &RemoveArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let at = args.place.at();
    block_on(async {
        let client = target.connect().await?;
        let draft = open_draft(&client).action(Action::SetCovenant { at, digest: None });
        let sent = send(&args.signing, target, &client, draft, screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["removed from", &shown(at)]);
        });
        screen.emit(&sent.json(&[("removed", json!(true))]));
        Ok(())
    })
}

/// Shows what is attached, with its text.
pub(super) fn show(args: &ShowArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match &args.who {
        Some(who) => show_account(who, target, screen),
        None => show_plane(target, screen),
    }
}

fn show_account(who: &str, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let whose = who::resolve(who, &target.keys_dir()?)?;
    block_on(async {
        let client = target.connect().await?;
        whose.check_chain(client.plane().chain_id())?;
        let (account, _) = proven(&client, &whose, screen).await?;
        let gates = account.record().and_then(|record| record.gates.as_ref());
        let covenants = gates.map(|gates| gates.covenants.clone()).unwrap_or_default();
        let named = [(CovenantAt::Outgoing, covenants.outgoing), (CovenantAt::Incoming, covenants.incoming)];
        let mut documents = Vec::new();
        for (at, digest) in named {
            if let Some(digest) = digest {
                documents.push(show_text(&client, &shown(at), digest, screen).await?);
            }
        }
        if documents.is_empty() {
            screen.line("no covenant: whoever holds the key may act");
        }
        let now = account.header().time;
        let mut table = Table::new(&[
            ("spent of", Align::Left),
            ("this hour", Align::Right),
            ("this day", Align::Right),
            ("30 days", Align::Right),
        ]);
        let money = |asset: AssetId, units: u64| {
            ghostplane_types::Amount::new(units)
                .map_or_else(|| units.to_string(), |amount| who::show(client.plane(), asset, amount))
        };
        for spending in &covenants.spending {
            let [hour, day, month] = spending.at(now).units.map(|units| money(spending.asset, units));
            table.row([spending.asset.to_string().as_str(), &hour, &day, &month]);
        }
        if !table.is_empty() {
            screen.table(&table);
        }
        let spending = covenants.spending.iter().map(|spending| {
            let [hour, day, month] = spending.at(now).units;
            json!({ "asset": spending.asset.number(), "hour": hour, "day": day, "month": month })
        });
        screen.emit(&json!({
            "address": whose.text(), "batch": account.header().number, "covenants": documents,
            "spending": spending.collect::<Vec<_>>(),
        }));
        Ok(())
    })
}

fn show_plane(target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let rules = client.rules().await?;
        let now = rules.header.time;
        let mut documents = Vec::new();
        let assets = rules.rules.assets.iter().map(|known| (CovenantAt::Asset(known.asset), known.rules));
        for (at, scheduled) in std::iter::once((CovenantAt::Plane, rules.rules.plane)).chain(assets) {
            let Scheduled { next, .. } = scheduled;
            if let Some(digest) = scheduled.at(now) {
                documents.push(show_text(&client, &shown(at), digest, screen).await?);
            }
            if let Some(change) = next.filter(|change| change.from > now) {
                let to = change.to.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
                screen.line(&format!("{}: {to} from {} ms on", shown(at), change.from));
                documents.push(json!({ "at": shown(at), "announced": to, "from": change.from }));
            }
        }
        if documents.is_empty() {
            screen.line("no rules for the plane or its bridged assets");
        }
        let governance = client.plane().genesis().governance;
        let mut table = pairs();
        table.row(["governor", &governance.governor.map_or_else(|| "nobody".to_owned(), |who| who.to_string())]);
        table.row(["notice", &format!("{} s", grouped(governance.notice_ms.div_ceil(1_000)))]);
        screen.table(&table);
        screen.emit(&json!({
            "batch": rules.header.number, "covenants": documents,
            "governor": governance.governor.map(|who| who.to_string()), "notice_ms": governance.notice_ms,
        }));
        Ok(())
    })
}

async fn show_text(client: &Client, at: &str, digest: Digest, screen: &Screen) -> anyhow::Result<Value> {
    let covenant = client.covenant(&digest).await?;
    let version = covenant.schema_version;
    if u32::from(SCHEMA_VERSION) != version {
        bail!("the covenant of {at} is of schema {version}, this program knows {SCHEMA_VERSION}");
    }
    let rules = PolicySet::set(&covenant.text).context("a published covenant cannot be read")?;
    screen.good(&format!("{at}: {digest}"));
    screen.line(covenant.text.trim_end());
    Ok(json!({
        "at": at, "digest": digest.to_string(), "text": covenant.text, "cost": rules.cost(0),
        "policies": rules.ids().collect::<Vec<_>>(),
    }))
}
