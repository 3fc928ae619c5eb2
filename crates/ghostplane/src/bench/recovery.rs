//! How fast a node is back: from its log alone, from a checkpoint of a million accounts, and from nothing.

use super::Row;
use super::transfers::{ACCOUNTS as PAYERS, Scratch, World, start, stop_node};
use crate::node::{self, grpc};
use crate::screen::Screen;
use anyhow::{Context as _, ensure};
use ghostplane_ghostcipher::SigningKey;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Accounts of the checkpoint.
const ACCOUNTS: usize = 1_000_000;
/// Starts of a development plane.
const DEV_STARTS: usize = 5;

/// Measures starts.
///
/// # Errors
/// If a node fails, or does not come back with what it had.
pub(super) fn measure(seconds: u64, screen: &Screen) -> anyhow::Result<Vec<Row>> {
    let progress = screen.progress("recovery", 3);
    let mut rows = vec![dev_start()?];
    progress.inc(1);
    rows.extend(replay(seconds)?);
    progress.inc(1);
    rows.extend(checkpoint()?);
    progress.inc(1);
    Ok(rows)
}

/// From an empty directory to the first answer over HTTP, as a process of its own; the median.
fn dev_start() -> anyhow::Result<Row> {
    let mut samples = Vec::with_capacity(DEV_STARTS);
    for _ in 0..DEV_STARTS {
        let dir = Scratch::new()?;
        let started = Instant::now();
        let mut dev = Dev::start(dir.path())?;
        dev.wait_for_status()?;
        samples.push(started.elapsed().as_secs_f64() * 1e3);
    }
    samples.sort_unstable_by(f64::total_cmp);
    Ok(Row::cost("start/dev", samples[DEV_STARTS / 2], "ms", 1_000.0, "what was asked for"))
}

/// A development plane in a process of its own, which ends with this.
struct Dev(Child);

impl Dev {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let any = "127.0.0.1:0";
        let child = Command::new(std::env::current_exe()?)
            .args(["dev", "--json", "--grpc", any, "--http", any, "--dir"])
            .arg(dir.join("plane"))
            .env("GHOSTPLANE_KEYS", dir.join("keys"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("a development plane does not start")?;
        Ok(Self(child))
    }

    fn wait_for_status(&mut self) -> anyhow::Result<()> {
        let mut line = String::new();
        let output = self.0.stdout.take().context("no output")?;
        let mut output = BufReader::new(output);
        let report: serde_json::Value = loop {
            ensure!(output.read_line(&mut line)? > 0, "the development plane ended without a word");
            if let Ok(report) = serde_json::from_str(&line) {
                break report;
            }
        };
        let http = report["http"].as_str().and_then(|url| url.strip_prefix("http://")).context("no HTTP endpoint")?;
        let mut stream = std::net::TcpStream::connect(http)?;
        std::io::Write::write_all(
            &mut stream,
            b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "the development plane answers {answer:?}");
        Ok(())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended by itself, which the measurement has said then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node under load, and how fast the log alone gives the same state.
fn replay(seconds: u64) -> anyhow::Result<Vec<Row>> {
    let dir = Scratch::new()?;
    let sequencer = Arc::new(SigningKey::from_seed([1; 32]));
    let mut live = f64::NAN;
    let mut accepted = 0;
    serve(dir.path(), &sequencer, async |url, world| {
        world.fund(&url, &sequencer).await?;
        world.register(&url).await?;
        let probe = world.uniform(&url, PAYERS).await?;
        let count = (probe.rate() * seconds as f64) as usize;
        let uniform = world.uniform(&url, count).await?;
        live = uniform.rate();
        accepted = 2 * PAYERS as u64 + uniform.answered();
        Ok(())
    })?;
    for name in ["checkpoint", "history"] {
        std::fs::remove_dir_all(dir.path().join(name)).with_context(|| format!("cannot remove {name}"))?;
    }
    let running = start(dir.path(), &sequencer)?;
    let replayed = running.recovered();
    ensure!(replayed.transactions >= accepted, "{} of {accepted} transactions came back", replayed.transactions);
    let rate = replayed.transactions as f64 / (replayed.replay_us as f64 / 1e6);
    stop_node(running)?;
    Ok(vec![
        Row::plain("recovery/live", live, "transfers/s"),
        Row::rate("recovery/replay", rate, "transfers/s", live, "recovery/live"),
    ])
}

/// A million accounts, and a start from their checkpoint.
fn checkpoint() -> anyhow::Result<Vec<Row>> {
    let dir = Scratch::new()?;
    let sequencer = Arc::new(SigningKey::from_seed([1; 32]));
    serve(dir.path(), &sequencer, async |url, world| {
        let strangers = world.strangers(ACCOUNTS);
        world.fund_all(&url, &sequencer, &strangers).await
    })?;
    let started = Instant::now();
    let running = start(dir.path(), &sequencer)?;
    let whole_ms = started.elapsed().as_secs_f64() * 1e3;
    let recovered = running.recovered();
    // A node that is asked to stop leaves its open batch to the log.
    ensure!(recovered.checkpoint > 0 && recovered.batches <= 1, "the checkpoint was not of use: {recovered:?}");
    stop_node(running)?;
    Ok(vec![
        Row::plain("recovery/checkpoint-1m", recovered.checkpoint_us as f64 / 1e3, "ms"),
        Row::cost("recovery/start-1m", whole_ms, "ms", 3_000.0, "what was asked for"),
    ])
}

/// Runs a node on a directory while `work` uses it over its API.
fn serve(
    dir: &Path,
    sequencer: &Arc<SigningKey>,
    work: impl AsyncFnOnce(String, &mut World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let running = start(dir, sequencer)?;
    let runtime = node::serving_runtime()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let served = runtime.spawn(grpc::serve(running.node().clone(), listener, async { drop(stopped.await) }));
    let mut world = World::new(running.node().plane());
    runtime.block_on(work(url, &mut world))?;
    drop(stop);
    runtime.block_on(served)??;
    runtime.shutdown_timeout(Duration::from_secs(1));
    stop_node(running)
}
