//! What a node is started with.

use ghostplane_ghostcipher::SigningKey;
use ghostplane_sequencer::Limits;
use ghostplane_types::{AssetId, Genesis, L1Address};
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that starting a node takes.
pub struct Options {
    /// Where log, state, history and the embedded L1 are kept.
    pub dir: PathBuf,
    /// The plane.
    pub genesis: Genesis,
    /// Signs flushes and attests commitments; operates on the L1.
    pub sequencer: Arc<SigningKey>,
    /// The embedded L1.
    pub l1: L1Options,
    /// How much the sequencer holds.
    pub limits: Limits,
    /// Threads that check signatures; 0 for as many as the machine has cores.
    pub verify_threads: usize,
    /// Threads that ask covenants ahead of execution; 0 for half as many as the machine has cores, 1 for the executing thread
    /// alone.
    pub decide_threads: usize,
    /// Batches between two checkpoints.
    pub checkpoint_batches: u64,
    /// How long a commitment may wait for committers before no more transactions are taken, in milliseconds.
    pub attestation_wait_ms: u64,
    /// Who proves batches.
    pub prover: ProverOptions,
}

/// Batches between two checkpoints unless settings say otherwise.
pub const CHECKPOINT_BATCHES: u64 = 256;

/// How long a commitment may wait for committers unless settings say otherwise.
pub const ATTESTATION_WAIT_MS: u64 = 60_000;

/// Who proves batches, and how much may wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProverOptions {
    /// Who.
    pub mode: ProverMode,
    /// Threads of a prover in this process.
    pub threads: usize,
    /// How long batches wait for others that would fill the tables of one proof, in milliseconds.
    pub wait_ms: u64,
    /// Bytes of witnesses on disk from which on no more transactions are taken.
    pub backlog_bytes: u64,
}

/// Who proves batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProverMode {
    /// This process, with threads that give way to everything else.
    InProcess,
    /// Workers that ask for jobs over the network.
    External,
    /// Nobody: batches become final by the longer window.
    Off,
}

impl ProverMode {
    /// The word for it, as settings have it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::External => "external",
            Self::Off => "off",
        }
    }

    /// The one that a word stands for.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::InProcess, Self::External, Self::Off].into_iter().find(|mode| mode.word() == word)
    }
}

impl ProverOptions {
    /// How long batches wait for company unless settings say otherwise: a part of the window that a proof makes shorter, and
    /// no more than ten minutes. A longer wait means fewer proofs, which the L1 has to keep.
    #[must_use]
    pub fn usual_wait_ms(genesis: &Genesis, block_ms: u64) -> u64 {
        (genesis.settlement.window_blocks.saturating_mul(block_ms) / 4).min(600_000)
    }
}

impl Default for ProverOptions {
    fn default() -> Self {
        Self { mode: ProverMode::InProcess, threads: 1, wait_ms: 2_000, backlog_bytes: 4 * 1024 * 1024 * 1024 }
    }
}

/// The L1 that lives in the node's process.
pub struct L1Options {
    /// Milliseconds between two blocks.
    pub block_ms: u64,
    /// What its accounts hold at the start, in its own base units.
    pub balances: Vec<(L1Address, AssetId, u128)>,
    /// What the sequencer's account sends to a new L1 before the node runs, such as deposits.
    pub founding: Vec<ghostplane_settlement::Message>,
}

impl Options {
    /// The usual settings.
    #[must_use]
    pub fn new(dir: PathBuf, genesis: Genesis, sequencer: Arc<SigningKey>) -> Self {
        let l1 = L1Options { block_ms: 1_000, balances: Vec::new(), founding: Vec::new() };
        Self {
            dir,
            genesis,
            sequencer,
            l1,
            limits: Limits::default(),
            verify_threads: 0,
            decide_threads: 0,
            checkpoint_batches: CHECKPOINT_BATCHES,
            attestation_wait_ms: ATTESTATION_WAIT_MS,
            prover: ProverOptions::default(),
        }
    }
}
