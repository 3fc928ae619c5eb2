//! `explain`: why a transaction was not applied, by the node's word, from a log, or from a batch and its witness alone.

use super::connect::{Target, block_on};
use crate::config;
use crate::explain;
use crate::node::api::code_name;
use crate::node::case::{CASE_BYTES_MAX, Case};
use crate::node::find_case;
use crate::screen::{Align, Screen, Table};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use ghostplane_client::wire;
use ghostplane_engine::Plane;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{Decode as _, Encode as _};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `explain` and what follows it.
#[derive(Debug, Args)]
#[command(
    after_help = "By the node's word:              ghostplane explain ID\nFrom the log of a stopped node:  ghostplane explain ID --dir DIR --save ID.case\nFrom one batch and its witness:  ghostplane explain --case ID.case"
)]
pub struct ExplainArgs {
    /// The transaction, or the inbox entry by the digest that its record carries
    #[arg(required_unless_present = "case")]
    id: Option<Digest>,
    /// Execute the log of this directory again up to it; no node may run there
    #[arg(long, value_name = "DIR", conflicts_with = "case")]
    dir: Option<PathBuf>,
    /// The plane's genesis, for --dir [default: the one in the directory]
    #[arg(long, value_name = "FILE", requires = "dir")]
    genesis: Option<PathBuf>,
    /// Keep the batch and a witness of the state before it in a file, from which the same can be found with no node and no log
    #[arg(long, value_name = "FILE", requires = "dir")]
    save: Option<PathBuf>,
    /// Such a file
    #[arg(long, value_name = "FILE")]
    case: Option<PathBuf>,
}

/// Says why.
///
/// # Errors
/// If nobody knows, or it was applied.
pub fn run(args: &ExplainArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let case = match (&args.case, &args.dir, &args.id) {
        (Some(path), ..) => read(path)?,
        (None, Some(dir), Some(id)) => search(dir, args, id, screen)?,
        (None, None, Some(id)) => return ask(id, target, screen),
        _ => bail!("name the transaction"),
    };
    if let Some(path) = &args.save {
        std::fs::write(path, case.to_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        screen.note(&format!("kept in {}: ghostplane explain --case {}", path.display(), path.display()));
    }
    let plane = Plane::new(case.genesis.clone())?;
    let before = case.prev.digest(plane.chain_id(), &plane.plane_id());
    let explained = case.explain()?;
    screen.note(&format!("Batch {} executed on the state {before}, shown by its witness.", case.prev.number + 1));
    let Some(refusal) = explained.refusal else { bail!("it was applied: there is nothing to explain") };
    show(&explain::json(&refusal), screen);
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Case> {
    let unreadable = || format!("cannot read {}", path.display());
    let len = std::fs::metadata(path).with_context(unreadable)?.len();
    ensure!(len <= CASE_BYTES_MAX as u64, "{} has {len} bytes, a case has at most {CASE_BYTES_MAX}", path.display());
    let bytes = std::fs::read(path).with_context(unreadable)?;
    Case::from_bytes(&bytes).with_context(|| format!("{} is no case", path.display()))
}

fn search(dir: &Path, args: &ExplainArgs, id: &Digest, screen: &Screen) -> anyhow::Result<Case> {
    let path = args.genesis.clone().unwrap_or_else(|| dir.join("genesis"));
    let plane = Plane::new(config::read_genesis(&path)?)?;
    let progress = screen.progress("batches", 0);
    let found = find_case(dir, &plane, 0, id, |_| progress.inc(1));
    let found = found.map_err(|error| super::repair::hint(error, dir))?;
    drop(progress);
    found.with_context(|| format!("the log of {} has no {id}", dir.display()))
}

fn ask(id: &Digest, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let explanation = block_on(async { Ok(target.connect().await?.explain(id).await?) })?;
    show(&document(&explanation), screen);
    screen.note("By the node's word. From its log, once it is stopped:  ghostplane explain ID --dir DIR");
    Ok(())
}

/// What travelled, as [`explain::json`] writes it.
fn document(explanation: &wire::Explanation) -> Value {
    let policies = explanation.policies.iter().map(|policy| json!({ "at": policy.at, "id": policy.id }));
    let facts = explanation.facts.iter().map(|fact| json!({ "name": fact.name, "value": fact.value }));
    json!({
        "code": explanation.code, "name": explanation.name, "message": explanation.message,
        "policies": policies.collect::<Vec<_>>(), "facts": facts.collect::<Vec<_>>(),
        "would_pass": explanation.would_pass,
    })
}

/// Shows an explanation as [`explain::json`] has it.
pub(super) fn show(document: &Value, screen: &Screen) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let code = document["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or_default();
    screen.bad(&format!("{} ({code} {})", text(&document["message"]), code_name(code)));
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
    for policy in list("policies") {
        table.row(["policy", &format!("{} of {}", text(&policy["id"]), text(&policy["at"]))]);
    }
    for fact in list("facts") {
        table.row([text(&fact["name"]).as_str(), text(&fact["value"]).as_str()]);
    }
    if !table.is_empty() {
        screen.table(&table);
    }
    list("would_pass").iter().for_each(|change| screen.line(&text(change)));
    screen.emit(document);
}
