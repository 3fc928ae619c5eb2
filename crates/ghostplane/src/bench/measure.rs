//! Clock, samples, and the hash rates that limits are made of.

use ghostplane_ghostcipher::node::{self, TreeKey};
use ghostplane_ghostcipher::poseidon2::{self, KoalaBear};
use ghostplane_ghostcipher::{Digest, Domain, FieldDigest};
use ghostplane_types::TREE_DEPTH;
use std::hint::black_box;
use std::time::Instant;

/// Seconds that `work` had a core, and what it returned: the wall clock less the time that this thread stood in the
/// queue for one, where the system tells it. Work on several threads has to take [`wall_seconds`].
pub(super) fn seconds<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let queued = queued_seconds();
    let (wall, result) = wall_seconds(work);
    (wall - (queued_seconds() - queued), result)
}

/// Seconds on the wall clock.
pub(crate) fn wall_seconds<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let started = Instant::now();
    let result = work();
    (started.elapsed().as_secs_f64(), result)
}

/// How long this thread has been ready to run without running, the second number of Linux' `schedstat`; else 0.
fn queued_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').nth(1).and_then(|nanos| nanos.parse().ok()).map_or(0.0, |nanos: f64| nanos / 1e9)
}

/// Bytes of this process that are in memory, from Linux' `statm`; else 0.
pub(super) fn resident_bytes() -> f64 {
    const PAGE_BYTES: f64 = 4096.0;
    let stat = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    stat.split(' ').nth(1).and_then(|pages| pages.parse().ok()).map_or(0.0, |pages: f64| pages * PAGE_BYTES)
}

/// The most bytes of this process that were ever in memory, from Linux' `status`; else 0.
pub(crate) fn peak_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    peak.and_then(|kibibytes| kibibytes.trim().parse().ok()).map_or(0.0, |kibibytes: f64| 1024.0 * kibibytes)
}

/// Samples of one quantity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// The middle sample; the lower of the two middle ones.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted[(sorted.len() - 1) / 2]
    }
}

/// The rate of `work`, which does `count` of something, over one sample.
pub(super) fn rate<R>(count: usize, work: impl FnOnce() -> R) -> f64 {
    let (seconds, result) = seconds(work);
    black_box(result);
    count as f64 / seconds
}

/// How fast one core hashes in this run: the rates under every limit.
#[derive(Debug)]
pub(super) struct HashRates {
    inputs: Vec<[KoalaBear; 16]>,
    outputs: Vec<FieldDigest>,
    blocks: Vec<[u8; 64]>,
    digests: Vec<Digest>,
    key: TreeKey,
    packed: Samples,
    chained: Samples,
    block: Samples,
}

/// Inputs of one pass: they stay in the first-level cache, as a limit should.
const PASS: usize = 128;
/// Passes of one sample.
const PASSES: usize = 128;

impl HashRates {
    pub(super) fn new() -> Self {
        Self {
            inputs: (0..PASS as u32).map(|at| std::array::from_fn(|lane| KoalaBear::new(at + lane as u32))).collect(),
            outputs: vec![FieldDigest::EMPTY; PASS],
            blocks: vec![[7; 64]; PASS],
            digests: vec![Digest::ZERO; PASS],
            key: TreeKey::new(Domain::Test),
            packed: Samples::default(),
            chained: Samples::default(),
            block: Samples::default(),
        }
    }

    /// Takes one sample of each rate, about 2 ms.
    pub(super) fn sample(&mut self) {
        let Self { inputs, outputs, blocks, digests, key, .. } = self;
        self.packed.push(rate(PASS * PASSES, || {
            for _ in 0..PASSES {
                poseidon2::compress_many(black_box(inputs), outputs);
                black_box(&outputs);
            }
        }));
        self.block.push(rate(4 * PASS * PASSES, || {
            for _ in 0..4 * PASSES {
                node::hash_64(key, black_box(blocks), digests);
                black_box(&digests);
            }
        }));
        let start = outputs[0];
        self.chained.push(rate(PASS, || (0..PASS).fold(start, |end, _| poseidon2::compress(&end, &start))));
    }

    /// Poseidon2 compressions a second, side by side.
    pub(super) fn packed(&self) -> f64 {
        self.packed.median()
    }

    /// Poseidon2 compressions a second, one after the other.
    pub(super) fn chained(&self) -> f64 {
        self.chained.median()
    }

    /// BLAKE3 compressions of 64 bytes a second, side by side.
    pub(super) fn block(&self) -> f64 {
        self.block.median()
    }

    /// Seconds that one core takes for `work` and nothing else.
    pub(super) fn seconds(&self, work: &HashWork) -> f64 {
        work.packed as f64 / self.packed() + work.chained as f64 / self.chained() + work.blocks as f64 / self.block()
    }
}

/// Hashes that cannot be avoided: each changed leaf and each node above one, once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HashWork {
    /// Poseidon2 compressions that can be done side by side.
    pub(super) packed: u64,
    /// Poseidon2 compressions of which each needs the one before.
    pub(super) chained: u64,
    /// BLAKE3 blocks of 64 bytes.
    pub(super) blocks: u64,
}

impl HashWork {
    /// Changed leaves of the ledger tree and the nodes above them.
    pub(super) fn slots(indices: Vec<u32>) -> Self {
        Self { packed: indices.len() as u64 + nodes_above(indices), ..Self::default() }
    }

    /// Changed leaves of the object tree, values of so many bytes, and the nodes above them.
    pub(super) fn objects(indices: Vec<u32>, value_bytes: impl IntoIterator<Item = usize>) -> Self {
        /// A leaf is key, value digest, next key and padding; a value stands behind four bytes of length.
        const LEAF_BLOCKS: u64 = 2;
        let value_blocks: usize = value_bytes.into_iter().map(|bytes| (4 + bytes).div_ceil(64)).sum();
        let leaf_blocks = LEAF_BLOCKS * indices.len() as u64;
        Self { blocks: value_blocks as u64 + leaf_blocks + nodes_above(indices), ..Self::default() }
    }

    /// The journal of so many entries: segments of 64 side by side, and the chain of their ends.
    pub(super) fn journal(entries: usize) -> Self {
        let segments = entries.div_ceil(ghostplane_keystone::journal::JOURNAL_SEGMENT);
        Self { packed: entries as u64, chained: segments as u64, ..Self::default() }
    }

    /// A log of so many records: outcome one block, record two, and a tree above.
    pub(super) fn log(records: usize) -> Self {
        Self { blocks: 4 * records as u64, ..Self::default() }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            packed: self.packed + other.packed,
            chained: self.chained + other.chained,
            blocks: self.blocks + other.blocks,
        }
    }
}

/// Nodes above these leaves, the root included.
fn nodes_above(mut indices: Vec<u32>) -> u64 {
    indices.sort_unstable();
    let mut nodes = 0;
    for _ in 0..TREE_DEPTH {
        indices.iter_mut().for_each(|index| *index >>= 1);
        indices.dedup();
        nodes += indices.len() as u64;
    }
    nodes
}

/// Made-up numbers, the same in every run (splitmix64; Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number below `bound`, nearly uniform.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    pub(super) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_le_bytes()));
        bytes
    }

    /// `count` distinct numbers of `range`, in a made-up order.
    pub(crate) fn distinct(&mut self, count: usize, range: std::ops::Range<u32>) -> Vec<u32> {
        let mut all: Vec<u32> = range.collect();
        for at in 0..count {
            let other = at + self.below(all.len() - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }
}
