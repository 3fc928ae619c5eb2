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
    /// Batches between two checkpoints.
    pub checkpoint_batches: u64,
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
        Self { dir, genesis, sequencer, l1, limits: Limits::default(), verify_threads: 0, checkpoint_batches: 256 }
    }
}
