//! How fast a node may be so that its own prover follows for ever, on the same cores.

use super::Row;
use super::transfers::{Scratch, World, start_with, stop_node};
use crate::node::api::Rung;
use crate::node::{self, Node, ProverMode, grpc};
use anyhow::{Context as _, ensure};
use ghostplane_ghostcipher::SigningKey;
use ghostplane_types::limits::LANE_AHEAD_MAX;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Accounts that pay each other: the mix that the proof is made for.
const ACCOUNTS: usize = 1_700;
/// Transfers of one account that are on the way at most. All of them together fit the pool, which holds 32,768.
const AHEAD: usize = 16;
const _: () = assert!(AHEAD as u64 <= LANE_AHEAD_MAX && AHEAD * ACCOUNTS <= 32_768);
/// Nothing becomes final but by its proof.
const WINDOW_UNPROVEN: u64 = 1_000_000;

/// Transfers a second of a node alone, and transfers a second from the first that is sent until the L1 has the proof of the
/// last: who is no faster than that over any long time has no backlog that grows.
///
/// # Errors
/// If a node fails.
pub(super) fn measure(seconds: u64) -> anyhow::Result<Vec<Row>> {
    let (alone, _) = run(ProverMode::Off, seconds, None)?;
    let transfers = (alone * seconds as f64) as usize;
    let (_, proven) = run(ProverMode::InProcess, seconds, Some(transfers))?;
    Ok(vec![
        Row::rate("proof/lag", proven, "transfers/s", alone, "the same node without a prover"),
        Row::plain("proof/lag-alone", alone, "transfers/s"),
    ])
}

/// How long the prover may take for what the node has done.
const PATIENCE: Duration = Duration::from_secs(900);

/// Waits until the L1 has a proof of everything so far.
async fn all_proven(node: &Node) -> anyhow::Result<()> {
    let reached = tokio::time::timeout(PATIENCE, node.reached(node.status().batch, Rung::Proven)).await;
    reached.context("the prover does not get there")??;
    Ok(())
}

/// How many transfers a second were answered, and proven.
fn run(mode: ProverMode, seconds: u64, transfers: Option<usize>) -> anyhow::Result<(f64, f64)> {
    let dir = Scratch::new()?;
    let sequencer = Arc::new(SigningKey::from_seed([1; 32]));
    let running = start_with(dir.path(), &sequencer, |options| {
        options.genesis.settlement.window_unproven_blocks = WINDOW_UNPROVEN;
        options.prover.mode = mode;
        options.prover.threads = std::thread::available_parallelism().map_or(1, usize::from);
        options.prover.wait_ms = 0;
    })?;
    let runtime = node::serving_runtime()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let served = grpc::serve(running.node().clone(), listener, async { drop(stopped.await) });
    let served = runtime.spawn(served);
    let mut world = World::of(running.node().plane(), ACCOUNTS);
    let node = running.node().clone();
    let rates = runtime.block_on(async {
        // The sequencer has nothing to give before its deposit is credited, which the first batch does.
        node.reached(1, Rung::Challengeable).await?;
        world.fund(&url, &sequencer).await?;
        // Accounts and their keys are known once the batch that made them is sealed.
        node.caught_up().await;
        world.register(&url).await?;
        node.caught_up().await;
        let count = match transfers {
            Some(count) => count,
            None => {
                let probe = world.uniform(&url, AHEAD * ACCOUNTS).await?;
                (probe.rate() * seconds as f64) as usize
            }
        };
        // What founding the accounts left to prove is no part of it.
        if mode != ProverMode::Off {
            all_proven(&node).await?;
        }
        let signed = world.sign_uniform(count);
        let started = Instant::now();
        // No more at once than the pool holds, whatever keeps the node from taking them.
        for round in signed.chunks(AHEAD * ACCOUNTS) {
            let done = World::send(&url, round.to_vec()).await?;
            ensure!(
                done.answered() == round.len() as u64,
                "{} of {} transfers were taken",
                done.answered(),
                round.len()
            );
        }
        let executed = count as f64 / started.elapsed().as_secs_f64();
        if mode != ProverMode::Off {
            all_proven(&node).await?;
        }
        let proven = count as f64 / started.elapsed().as_secs_f64();
        anyhow::Ok((executed, proven))
    })?;
    drop(stop);
    runtime.block_on(served)??;
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(node);
    stop_node(running)?;
    Ok(rates)
}
