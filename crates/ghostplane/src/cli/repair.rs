//! `repair`: the way out of a damaged log where there is no copy to restore.

use crate::config;
use crate::node::StartError;
use crate::screen::{Screen, bytes, grouped};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use ghostplane_engine::Plane;
use ghostplane_store::{CheckpointError, Examined, HistoryError, OpenError, examine, repair};
use serde_json::json;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// What is given up, and whether to ask.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The node's directory; no node may run on it
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The plane's genesis [default: the one in the directory]
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Give it up without asking
    #[arg(long)]
    yes: bool,
}

/// What a start says of what is damaged: where, and the way out.
pub(super) fn hint(error: StartError, dir: &Path) -> anyhow::Error {
    let genesis = if dir.join("genesis").is_file() { "" } else { " --genesis FILE" };
    match error {
        StartError::Log(OpenError::Corrupt(corrupt)) => {
            let dir = dir.display();
            anyhow::anyhow!("{corrupt}: `ghostplane repair --dir {dir}{genesis}` shows what that gives up, and asks")
        }
        // Its other words name the way out already.
        StartError::Checkpoint(CheckpointError::Database { path, source }) => {
            let path = path.display();
            anyhow::anyhow!(
                "the checkpoint in {path}: {source}. If it is damaged, remove that directory: the state is built from the log then"
            )
        }
        StartError::History(HistoryError::Database { path, source }) => {
            let path = path.display();
            anyhow::anyhow!(
                "the history in {path}: {source}. If it is damaged, remove that directory: the next start executes the whole log and makes it again"
            )
        }
        error => error.into(),
    }
}

/// Shows what is damaged and what giving it up costs; does it if that is wanted.
///
/// # Errors
/// If a node runs there, if the directory is another plane's, or if nobody agrees.
pub fn run(args: &RepairArgs, screen: &Screen) -> anyhow::Result<()> {
    let log = args.dir.join("log");
    ensure!(log.is_dir(), "{} has no log: name the directory that a node was run on", args.dir.display());
    let path = args.genesis.clone().unwrap_or_else(|| args.dir.join("genesis"));
    let plane = Plane::new(config::read_genesis(&path)?)?;
    let (plane_id, chain_id) = (plane.plane_id(), plane.chain_id());
    let Some(found) = examine(&args.dir, plane_id, chain_id)? else {
        if screen.is_json() {
            screen.emit(&json!({ "damaged": false, "repaired": false }));
        } else {
            screen.good("the log is not damaged; a tail that a crash tore off is cut off by the next start");
        }
        return Ok(());
    };
    if !screen.is_json() {
        show(&found, screen);
    }
    if !args.yes && !agreed(screen)? {
        bail!(
            "nothing was changed. {} is damaged at byte {}; giving up {} bytes from there on keeps {} transactions and {} \
             batches: say --yes if that is meant",
            found.damage.path.display(),
            found.damage.offset,
            found.bytes,
            found.keeps.position,
            found.keeps.batch_number()
        );
    }
    let repaired = repair(&args.dir, plane_id, chain_id, &found.damage.path, found.damage.offset)?;
    if screen.is_json() {
        let kept = repaired.kept.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        screen.emit(&json!({
            "damaged": true,
            "repaired": true,
            "segment": repaired.damage.path.display().to_string(),
            "offset": repaired.damage.offset,
            "damage": repaired.damage.what.to_string(),
            "bytes": repaired.bytes,
            "transactions": found.keeps.position,
            "batch": found.keeps.batch_number(),
            "kept": kept,
        }));
        return Ok(());
    }
    screen.good(&format!("{} are out of the log; the next start executes all of it", bytes(repaired.bytes)));
    for path in &repaired.kept {
        screen.note(&format!("kept: {}", path.display()));
    }
    Ok(())
}

fn show(found: &Examined, screen: &Screen) {
    let Examined { damage, keeps, bytes: lost, segments } = found;
    screen.bad(&format!("{} is damaged at byte {}: {}", damage.path.display(), damage.offset, damage.what));
    screen.line(&format!(
        "  kept:     {} transactions, sealed up to batch {}, the last one cut is {}",
        grouped(keeps.position),
        keeps.batch_number(),
        keeps.cut_number()
    ));
    screen.line(&format!(
        "  given up: {} from there on, in {segments} files, which stay under other names",
        bytes(*lost)
    ));
    screen.line(
        "  Whatever was answered for in them is broken, and their receipts convict the sequencer. If the L1 has a",
    );
    screen.line(
        "  commitment of a batch that is given up, the node does not start afterwards. A copy is better than this.",
    );
    screen.line("  history/ and checkpoint/ are removed: the next start makes them again from the log.");
}

/// Asks, if there is somebody to ask.
fn agreed(screen: &Screen) -> anyhow::Result<bool> {
    if screen.is_json() || !io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut err = io::stderr().lock();
    write!(err, "Give this up? Type yes: ").and_then(|()| err.flush()).context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(answer.trim() == "yes")
}
