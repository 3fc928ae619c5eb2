//! `committer`: executes what a node shows, and vouches for its commitments. It trusts the node with nothing but the L1's inbox,
//! and the node it with nothing at all.

use super::connect::{Opening, Target, block_on};
use crate::committer::{Committer, NotVouched, SignedError, SignedFile};
use crate::local::Threads;
use crate::screen::{Screen, grouped};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use ghostplane_client::{Client, ClientError};
use ghostplane_engine::Plane;
use ghostplane_ghostcipher::SigningKey;
use ghostplane_types::{BatchHeader, Commitment, InboxEntry};
use serde_json::json;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// Between two questions whether there is something to vouch for.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two attempts to reach a node that does not answer.
const PAUSE_AWAY: Duration = Duration::from_secs(1);

/// Who vouches, and what he keeps.
#[derive(Debug, Args)]
pub struct CommitterArgs {
    /// Key to sign with: one that genesis names among the committers
    #[arg(long = "key", value_name = "NAME")]
    name: String,
    /// Where it is kept what was signed last [default: ~/.local/share/ghostplane-committer/NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// End after so many commitments; without it, on Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    commitments: Option<u64>,
    /// Threads to execute with; 0 for as many as the machine has
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    opening: Opening,
}

/// Executes and vouches until it is interrupted, or is shown something false.
///
/// # Errors
/// If the key is no committer's, a batch or a commitment is false, or what was signed cannot be kept.
pub fn run(args: &CommitterArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let (_, secret) = args.opening.open(target, &args.name)?;
    let key = secret.into_ed25519(&args.name)?;
    let dir = args.dir.clone().map_or_else(|| default_dir(&args.name), Ok)?;
    block_on(async {
        let client = target.connect().await?;
        let genesis = client.plane().genesis();
        ensure!(
            genesis.committers.weight_of(&key.verification_key()).is_some(),
            "key '{}' is no committer's: genesis of plane {} does not name {}",
            args.name,
            client.plane().id(),
            key.verification_key()
        );
        let plane = Plane::new(genesis.clone())?;
        let (file, signed) = SignedFile::open(&dir, &plane.plane_id())?;
        let workers = Threads::new(args.threads);
        let committer = Committer::new(plane, signed, index_seed()?, &workers)?;
        screen.note(&format!("executing what {} shows, from genesis; Ctrl-C ends it", target.url()));
        let mut session = Session { client, committer, file, key, workers, batches: 0, screen };
        let mut vouched = 0;
        while args.commitments.is_none_or(|most| vouched < most) {
            let pause = match session.round().await {
                Ok(true) => {
                    vouched += 1;
                    continue;
                }
                Ok(false) => PAUSE,
                Err(error) if is_away(&error) => {
                    screen.bad(&format!("{error:#}"));
                    PAUSE_AWAY
                }
                Err(error) => return Err(error),
            };
            tokio::time::sleep(pause).await;
        }
        let newest = session.committer.newest().number;
        screen.emit(&json!({ "commitments": vouched, "batches": session.batches, "newest_batch": newest }));
        Ok(())
    })
}

/// Whether the node may just be away, or busy, and be back.
fn is_away(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. } | ClientError::TimedOut { .. }) => true,
        Some(ClientError::Failed { code, .. }) => matches!(code, 0 | 700 | 708 | 712 | 713),
        _ => false,
    }
}

fn index_seed() -> anyhow::Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(u64::from_le_bytes(seed))
}

fn default_dir(name: &str) -> anyhow::Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    Ok(data.context("no directory for data: set HOME, or give --dir DIR")?.join("ghostplane-committer").join(name))
}

struct Session<'a> {
    client: Client,
    committer: Committer,
    file: SignedFile,
    key: SigningKey,
    workers: Threads,
    /// Executed and true.
    batches: u64,
    screen: &'a Screen,
}

impl Session<'_> {
    /// Executes what is new and vouches for what is proposed, if it is not done already. Whether it vouched.
    async fn round(&mut self) -> anyhow::Result<bool> {
        while self.follow().await? {}
        let Some(proposal) = self.client.proposal().await? else { return Ok(false) };
        let key = self.key.verification_key();
        if proposal.attestations.iter().any(|by| by.key == key) || self.starts_over(proposal.generation).await? {
            return Ok(false);
        }
        self.vouch(&proposal).await
    }

    async fn vouch(&mut self, proposal: &Commitment) -> anyhow::Result<bool> {
        let digest = proposal.digest(self.client.plane().genesis().chain_id);
        let Self { committer, file, key, .. } = self;
        let attestation = match committer.vouch(proposal, key, |signed| file.keep(signed).map_err(Unsigned::from)) {
            Ok(attestation) => attestation,
            // The node shows what it proposes; the next round executes it.
            Err(Unsigned::NotVouched(NotVouched::Behind { .. })) => return Ok(false),
            Err(Unsigned::NotVouched(error)) => return Err(error.into()),
            Err(Unsigned::File(error)) => return Err(error.into()),
        };
        match self.client.attest(&digest, &attestation).await {
            Ok((weight, quorum)) => {
                let (first, last) = (proposal.first_batch, proposal.last_header.number);
                let (first, last) = (grouped(first), grouped(last));
                self.screen.good(&format!("vouched for batches {first} to {last}: weight {weight} of {quorum}"));
                Ok(true)
            }
            // Committed meanwhile, or taken back.
            Err(ClientError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Executes the next batch, if the node shows one.
    async fn follow(&mut self) -> anyhow::Result<bool> {
        let number = self.committer.newest().number + 1;
        let (header, batch) = match self.client.batch(number, false, true).await {
            Ok(shown) => shown,
            Err(ClientError::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if self.starts_over(header.generation).await? {
            return Ok(true);
        }
        ensure!(!batch.posted.is_empty(), "the node does not show the data of batch {number} any more");
        let inbox = self.inbox(self.committer.inbox_of(&header)).await?;
        self.committer.check(&header, batch.posted.to_vec(), &inbox, &self.workers)?;
        self.batches += 1;
        Ok(true)
    }

    /// The entries of a range, as far as the L1 has them. A header may claim any number, and a batch takes only so many.
    async fn inbox(&self, range: Range<u64>) -> anyhow::Result<Vec<InboxEntry>> {
        let most = ghostplane_types::limits::BATCH_TRANSACTIONS_MAX as u64;
        let Range { start, end } = range;
        let end = end.min(start.saturating_add(most));
        let mut entries = Vec::new();
        let mut from = start;
        while from < end {
            let more = self.client.inbox(from, end).await?;
            if more.is_empty() {
                break;
            }
            from += more.len() as u64;
            entries.extend(more);
        }
        Ok(entries)
    }

    /// A conviction takes batches back that were executed here: then all is executed again, from genesis. That happens once a
    /// generation.
    async fn starts_over(&mut self, generation: u32) -> anyhow::Result<bool> {
        let newest: BatchHeader = *self.committer.newest();
        if generation <= newest.generation || newest.number == 0 {
            return Ok(false);
        }
        match self.client.batch(newest.number, false, false).await {
            Ok((header, _)) if header == newest => return Ok(false),
            Ok(_) | Err(ClientError::NotFound(_)) => {}
            Err(error) => bail!(error),
        }
        self.screen
            .note(&format!("the plane went back, and on in generation {generation}: executing from genesis again"));
        self.committer = self.committer.again(index_seed()?, &self.workers)?;
        Ok(true)
    }
}

/// What keeps a commitment from being signed.
enum Unsigned {
    NotVouched(NotVouched),
    File(SignedError),
}

impl From<NotVouched> for Unsigned {
    fn from(error: NotVouched) -> Self {
        Self::NotVouched(error)
    }
}

impl From<SignedError> for Unsigned {
    fn from(error: SignedError) -> Self {
        Self::File(error)
    }
}
