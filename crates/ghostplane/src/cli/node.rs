//! `dev`, `node`, `verify`, `config`: running a plane, and reading what one has left.

use super::connect::Target;
use super::repair;
use crate::config;
use crate::node::api::Condition;
use crate::node::options::CHECKPOINT_BATCHES;
use crate::node::{self, Ending, Node, ProverMode, Running, dev, grpc, http, now_ms};
use crate::screen::{Align, Screen, Table};
use anyhow::Context as _;
use clap::Args;
use ghostplane_engine::Plane;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;
use tokio::net::TcpListener;

/// Where gRPC is served unless told otherwise.
pub const GRPC: &str = "127.0.0.1:9090";
/// Where HTTP is served unless told otherwise.
pub const HTTP: &str = "127.0.0.1:9091";
/// How many ports after the usual one `dev` tries.
const PORTS_TRIED: u16 = 64;

/// How a development plane is run.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where it keeps its log and state [default: ghostplane-dev in the system's directory for data]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where HTTP is served; without it, the next free port from 9091 on
    #[arg(long, value_name = "ADDR", env = "GHOSTPLANE_HTTP")]
    http: Option<SocketAddr>,
    /// Where gRPC is served; without it, the next free port from 9090 on
    #[arg(long, value_name = "ADDR", env = "GHOSTPLANE_GRPC")]
    grpc: Option<SocketAddr>,
    /// Milliseconds between two blocks of the L1
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    l1_block_ms: u64,
    /// Batches between two checkpoints of the state
    #[arg(long, value_name = "N", default_value_t = CHECKPOINT_BATCHES, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_batches: u64,
    /// Start from nothing: removes what an earlier run left in the directory
    #[arg(long)]
    fresh: bool,
    /// Who proves batches: this process, workers as  ghostplane prover  is one, or nobody
    #[arg(long, value_name = "WHO", default_value = "in-process", value_parser = ["in-process", "external", "off"])]
    prover: String,
    /// Make small payments between erin … judy all the time
    #[arg(long)]
    traffic: bool,
}

/// How a plane is run for real.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node's settings; see  ghostplane config check --help
    #[arg(long, value_name = "FILE.toml", env = "GHOSTPLANE_CONFIG")]
    config: PathBuf,
}

/// What to read again.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The node's directory; no node may run on it
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The plane's genesis [default: the one in the directory]
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
}

/// Runs a development plane until it is interrupted.
///
/// # Errors
/// Whatever keeps it from starting or ends it.
pub fn dev(args: DevArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let started = Instant::now();
    let dir = match args.dir {
        Some(dir) => dir,
        None => default_dir()?,
    };
    if args.fresh {
        remove_earlier(&dir)?;
    }
    let keys_dir = target.keys_dir()?;
    let (mut options, people) = dev::options(&dir, &keys_dir, now_ms(), args.l1_block_ms)?;
    options.prover.mode = ProverMode::of(&args.prover).context("no such prover")?;
    options.checkpoint_batches = args.checkpoint_batches;
    let running = node::start(options).map_err(|error| repair::hint(error, &dir))?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let grpc = bind_or_next(args.grpc, GRPC).await?;
        let http = bind_or_next(args.http, HTTP).await?;
        let at = Endpoints { grpc: grpc.local_addr()?, http: http.local_addr()? };
        let recovered = running.recovered();
        if screen.is_json() {
            screen.emit(&json!({
                "grpc": format!("http://{}", at.grpc),
                "http": format!("http://{}", at.http),
                "dir": dir.display().to_string(),
                "plane_id": running.node().plane().plane_id().to_string(),
                "batch": recovered.batch,
                "checkpoint": recovered.checkpoint,
                "replayed_batches": recovered.batches,
                "ready_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "accounts": people.iter().map(|person| json!({
                    "name": person.name,
                    "address": person.address.to_text(ghostplane_types::EntityType::Wallet),
                })).collect::<Vec<_>>(),
            }));
        } else {
            screen.heading("Ghostplane, a development plane");
            let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
            table.row(["gRPC".to_string(), format!("http://{}", at.grpc)]);
            table.row(["HTTP".to_string(), format!("http://{}", at.http)]);
            table.row(["directory".to_string(), dir.display().to_string()]);
            table.row(["plane".to_string(), running.node().plane().plane_id().to_string()]);
            table
                .row(["state".to_string(), format!("batch {}, {} executed again", recovered.batch, recovered.batches)]);
            table.row(["accounts".to_string(), format!("{}, 10,000 gcc and 1,000 zman each", dev::NAMES.join(", "))]);
            table.row(["ready after".to_string(), format!("{} ms", started.elapsed().as_millis())]);
            screen.table(&table);
            let url = if at.grpc.port() == 9090 { String::new() } else { format!(" --url http://{}", at.grpc) };
            screen.heading("Try");
            screen.line(&format!("  ghostplane{url} transfer --from alice --to bob 1.5gcc"));
            screen.line(&format!("  ghostplane{url} balance bob --proof"));
            screen.line(&format!("  ghostplane{url} watch"));
            screen.note("Ctrl-C stops it. What it did is kept; --fresh starts over.");
        }
        let traffic = args.traffic.then(|| tokio::spawn(super::traffic::run(running.node().clone(), keys_dir)));
        serve(running.node(), grpc, http).await?;
        if let Some(traffic) = traffic {
            traffic.abort();
        }
        anyhow::Ok(())
    })?;
    finish(running, screen)
}

/// Runs a plane until it is asked to stop.
///
/// # Errors
/// Whatever keeps it from starting or ends it.
pub fn node(args: &NodeArgs, screen: &Screen) -> anyhow::Result<()> {
    let settings = config::read(&args.config)?;
    let (grpc_at, http_at) = (settings.grpc, settings.http);
    let options = settings.options()?;
    let dir = options.dir.clone();
    let running = node::start(options).map_err(|error| repair::hint(error, &dir))?;
    runtime()?.block_on(async {
        let grpc = TcpListener::bind(grpc_at).await.with_context(|| format!("cannot serve gRPC on {grpc_at}"))?;
        let http = TcpListener::bind(http_at).await.with_context(|| format!("cannot serve HTTP on {http_at}"))?;
        let recovered = running.recovered();
        let plane_id = running.node().plane().plane_id().to_string();
        if screen.is_json() {
            screen.emit(&json!({
                "grpc": format!("http://{}", grpc.local_addr()?),
                "http": format!("http://{}", http.local_addr()?),
                "plane_id": plane_id,
                "batch": recovered.batch,
                "checkpoint": recovered.checkpoint,
                "replayed_batches": recovered.batches,
            }));
        } else {
            screen.line(&format!("plane {plane_id}, batch {}, {} executed again", recovered.batch, recovered.batches));
            screen.line(&format!("gRPC http://{}, HTTP http://{}", grpc.local_addr()?, http.local_addr()?));
        }
        serve(running.node(), grpc, http).await
    })?;
    finish(running, screen)
}

/// Executes the whole log of a directory again and compares every root.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(args: &VerifyArgs, screen: &Screen) -> anyhow::Result<()> {
    let path = args.genesis.clone().unwrap_or_else(|| args.dir.join("genesis"));
    let genesis = config::read_genesis(&path)?;
    let plane = Plane::new(genesis)?;
    let progress = screen.progress("batches", 0);
    let done = node::verify_directory(&args.dir, plane, 0, |_, _| progress.inc(1));
    let done = done.map_err(|error| repair::hint(error, &args.dir))?;
    drop(progress);
    let seconds = done.replay_us as f64 / 1e6;
    let rate = done.transactions as f64 / seconds.max(1e-6);
    if screen.is_json() {
        screen.emit(&json!({
            "ok": true,
            "batch": done.batch,
            "batches": done.batches,
            "transactions": done.transactions,
            "open": done.open == 1,
            "transactions_per_second": rate,
            "cut_off_bytes": done.cut_off_bytes,
        }));
    } else {
        screen.good(&format!(
            "{} batches with {} transactions come out as the log has them, {rate:.0} transactions a second",
            done.batches, done.transactions
        ));
        if done.open > 0 {
            screen.note(&format!(
                "Batch {} was open when the node ended: its transactions are counted, and the next start closes it.",
                done.batch
            ));
        }
        if done.cut_off_bytes > 0 {
            screen.note(&format!("A tail of {} bytes that nobody was answered for was cut off.", done.cut_off_bytes));
        }
    }
    Ok(())
}

struct Endpoints {
    grpc: SocketAddr,
    http: SocketAddr,
}

/// Serves until the node ends or somebody interrupts it.
async fn serve(node: &Node, grpc_on: TcpListener, http_on: TcpListener) -> anyhow::Result<()> {
    let ended = || {
        let node = node.clone();
        async move { drop(node.ended().await) }
    };
    let grpc = tokio::spawn(grpc::serve(node.clone(), grpc_on, ended()));
    let http = tokio::spawn(http::serve(node.clone(), http_on, ended()));
    tokio::select! {
        ending = node.ended() => drop(ending),
        signal = interrupted() => signal?,
    }
    node.stop();
    grpc.await?.context("gRPC")?;
    http.await?;
    Ok(())
}

/// Ctrl-C, or what a service manager sends.
async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        signal = tokio::signal::ctrl_c() => signal?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn finish(running: Running, screen: &Screen) -> anyhow::Result<()> {
    debug_assert_eq!(running.node().status().condition, Condition::Stopping);
    match running.stop() {
        Ending::Asked => {
            screen.note("stopped; everything is on disk");
            Ok(())
        }
        Ending::Fault(why) => anyhow::bail!("the node ended: {why}"),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    node::serving_runtime().context("cannot start the threads of the interfaces")
}

/// The address asked for, or the next free port from the usual one on.
async fn bind_or_next(asked: Option<SocketAddr>, usual: &str) -> anyhow::Result<TcpListener> {
    if let Some(address) = asked {
        return TcpListener::bind(address).await.with_context(|| format!("cannot serve on {address}"));
    }
    let usual: SocketAddr = usual.parse().expect("a constant address");
    for port in usual.port()..usual.port() + 2 * PORTS_TRIED {
        // Even and odd ports alternate, so that gRPC and HTTP keep out of each other's way.
        if port % 2 != usual.port() % 2 {
            continue;
        }
        if let Ok(listener) = TcpListener::bind(SocketAddr::new(usual.ip(), port)).await {
            return Ok(listener);
        }
    }
    anyhow::bail!("no port from {} on is free: give one with --grpc and --http", usual.port())
}

fn default_dir() -> anyhow::Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    Ok(data.context("no directory for data: set HOME, or give --dir DIR")?.join("ghostplane-dev"))
}

/// Removes what a development plane keeps, and nothing else.
fn remove_earlier(dir: &std::path::Path) -> anyhow::Result<()> {
    for name in ["log", "l1", "history", "checkpoint", "proofs", "keys"] {
        let path = dir.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    for name in ["genesis", "l1-balances", "lock"] {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
