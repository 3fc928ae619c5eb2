//! `prover`: work for a node that wants its batches proved elsewhere. It needs no key, and nobody has to trust it.

use super::connect::{Target, block_on};
use crate::node::prove::{Job, Kept, pool};
use crate::screen::{Screen, bytes, duration, grouped};
use anyhow::{Context as _, bail};
use clap::Args;
use ghostplane_client::{Client, ClientError, wire};
use ghostplane_proof::{ProveError, Rows, ThreadPool, prove};
use ghostplane_types::limits::BATCH_FLOWS_MAX;
use ghostplane_types::{BatchHeader, Decode as _, DecodeError, Flow, Reader};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two questions whether there is work.
const PAUSE: Duration = Duration::from_secs(1);

/// How batches are proved for a node.
#[derive(Debug, Args)]
pub struct ProverArgs {
    /// Threads to prove with; 0 for as many as the machine has
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// End after so many proofs; without it, on Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// Give back what has more journal entries, to get it in smaller parts; without it, what no proof takes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    entries_max: Option<u64>,
}

/// Proves what a node hands out until it is interrupted.
///
/// # Errors
/// If the node cannot be reached, hands out what cannot be proved, or refuses a proof.
pub fn run(args: &ProverArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let pool = Arc::new(pool(threads).map_err(anyhow::Error::msg)?);
    block_on(async {
        let client = target.connect().await?;
        screen.note(&format!("proving for {} with {threads} threads; Ctrl-C ends it", target.url()));
        let (mut proofs, mut batches, mut entries, mut declined) = (0, 0, 0, 0);
        while args.jobs.is_none_or(|jobs| proofs < jobs) {
            let Some(job) = client.proof_job().await? else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            match prove_one(&client, job, &pool, args.entries_max, screen).await? {
                Some(done) => {
                    proofs += 1;
                    batches += done.0;
                    entries += done.1;
                }
                None => declined += 1,
            }
        }
        screen.emit(&json!({ "proofs": proofs, "batches": batches, "entries": entries, "declined": declined }));
        Ok(())
    })
}

/// Proves one job and hands the proof in. Returns how many batches and entries that were; nothing if it was given back as too
/// large.
async fn prove_one(
    client: &Client,
    job: wire::ProofJob,
    pool: &Arc<ThreadPool>,
    entries_max: Option<u64>,
    screen: &Screen,
) -> anyhow::Result<Option<(u64, u64)>> {
    let job = read(&job).context("the node hands out a job that is none")?;
    let (chain_id, plane_id) = (client.plane().genesis().chain_id, client.plane().id());
    let (id, (first, last)) = (job.id, job.range());
    let entries: u64 = job.batches.iter().map(|batch| u64::from(batch.header.entries)).sum();
    if entries_max.is_some_and(|most| entries > most) {
        decline(client, id, (first, last), &format!("{} entries", grouped(entries)), screen).await?;
        return Ok(None);
    }
    let started = Instant::now();
    let progress = screen.progress(&format!("batches {first} to {last}, {} entries", grouped(entries)), 0);
    let pool = Arc::clone(pool);
    let proving = tokio::task::spawn_blocking(move || {
        let statement = job.statement(chain_id, plane_id).map_err(anyhow::Error::msg)?;
        let witnesses = job.witnesses().map_err(anyhow::Error::msg)?;
        // Halves take about as long and half the memory.
        if last > first && !Rows::of(&witnesses).are_light() {
            return Ok(Err("more than 6 GiB of memory".to_owned()));
        }
        match prove(&statement, &witnesses, &pool) {
            Ok(proof) => anyhow::Ok(Ok(proof)),
            Err(error @ (ProveError::TooLarge { .. } | ProveError::Weak)) => Ok(Err(error.to_string())),
            Err(error) => Err(error.into()),
        }
    });
    tokio::pin!(proving);
    let mut tick = tokio::time::interval(PAUSE);
    let proof = loop {
        tokio::select! {
            done = &mut proving => break done.context("the prover panicked")?,
            _ = tick.tick() => progress.inc(1),
        }
    };
    let proof = match proof.with_context(|| format!("batches {first} to {last} cannot be proved"))? {
        Ok(proof) => proof,
        Err(too_large) => {
            drop(progress);
            decline(client, id, (first, last), &too_large, screen).await?;
            return Ok(None);
        }
    };
    let (spent, len) = (started.elapsed(), proof.len() as u64);
    match client.submit_proof(id, proof).await {
        Ok(_) => progress.finish(&format!("{} in {}", bytes(len), duration(spent))),
        // Late, or given to somebody else meanwhile: the next job may go better.
        Err(error @ ClientError::Failed { .. }) => {
            drop(progress);
            screen.bad(&format!("batches {first} to {last}: {error}"));
        }
        Err(error) => bail!(error),
    }
    Ok(Some((last - first + 1, entries)))
}

/// Gives a job back as too large: the node offers less of it next.
async fn decline(
    client: &Client,
    id: u64,
    (first, last): (u64, u64),
    why: &str,
    screen: &Screen,
) -> anyhow::Result<()> {
    match client.decline_proof(id).await {
        Ok(most) => {
            screen.note(&format!("batches {first} to {last} are too large ({why}): given back, {most} at a time next"))
        }
        // Somebody else's by now.
        Err(error @ ClientError::Failed { .. }) => screen.bad(&format!("batches {first} to {last}: {error}")),
        Err(error) => bail!(error),
    }
    Ok(())
}

/// What a job is, from whoever sent it.
fn read(job: &wire::ProofJob) -> anyhow::Result<Job> {
    let mut previous = BatchHeader::from_bytes(&job.previous)?;
    let mut batches = Vec::with_capacity(job.batches.len());
    for batch in &job.batches {
        let header = BatchHeader::from_bytes(&batch.header)?;
        batches.push(Kept { previous, header, flows: flows(&batch.flows)?, witness: batch.witness.to_vec() });
        previous = header;
    }
    anyhow::ensure!(!batches.is_empty(), "it has no batches");
    Ok(Job { id: job.id, batches })
}

fn flows(bytes: &[u8]) -> Result<Vec<Flow>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let flows = reader.list("flows", BATCH_FLOWS_MAX)?;
    reader.finish()?;
    Ok(flows)
}
