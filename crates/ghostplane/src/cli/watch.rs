//! `watch`: a plane as it goes, drawn anew once a second.

use super::connect::{Target, block_on};
use super::show::{batch_table, status_table};
use crate::screen::Screen;
use clap::Args;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Between two pictures.
const REFRESH: Duration = Duration::from_secs(1);
/// Batches that are shown.
const BATCHES: u32 = 12;
/// The second screen of a terminal, cleared, without the cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[2J\x1b[H";

/// How a plane is watched.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Show one picture and end, as without a terminal
    #[arg(long)]
    once: bool,
}

/// Shows state, queues and the newest batches until it is interrupted.
///
/// # Errors
/// If the node cannot be reached.
pub fn run(args: &WatchArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    if args.once || screen.is_json() || !std::io::stdout().is_terminal() {
        return super::show::status(target, screen)
            .and_then(|()| if screen.is_json() { Ok(()) } else { super::show::batches(BATCHES, target, screen) });
    }
    block_on(async {
        let client = target.connect().await?;
        let _alternate = Alternate::enter()?;
        let mut every = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                signal = tokio::signal::ctrl_c() => return Ok(signal?),
            }
            let status = client.status().await?;
            let batches = client.batches(0, BATCHES).await?;
            let table = batch_table(batches.iter().map(|(_, batch)| batch))?;
            print(HOME)?;
            screen.heading(&format!("Ghostplane at {}", target.url()));
            screen.table(&status_table(&status));
            screen.bars(&[
                ("pool", share(status.pool_transactions, status.pool_transactions_max), "of its room"),
                ("verifying", share(status.verifying, status.verifying_max), "of its room"),
                ("uncommitted", share(status.uncommitted_bytes, status.uncommitted_bytes_max), "of its room"),
                ("", 1.0, "full"),
            ]);
            screen.heading("Newest batches");
            screen.table(&table);
            screen.note("Ctrl-C ends it");
        }
    })
}

fn share(part: u64, whole: u64) -> f64 {
    // Far below 2^52, and a picture.
    #[allow(clippy::cast_precision_loss)]
    let share = part as f64 / (whole.max(1)) as f64;
    share
}

/// The terminal's second screen, for as long as this lives.
struct Alternate;

impl Alternate {
    fn enter() -> std::io::Result<Self> {
        print(ENTER)?;
        Ok(Self)
    }
}

impl Drop for Alternate {
    fn drop(&mut self) {
        // Nobody is left to tell if the terminal is gone.
        let _ = print(LEAVE);
    }
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
