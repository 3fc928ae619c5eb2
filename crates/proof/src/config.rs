//! Every parameter and every generic type of the proof system, in one place.
//!
//! KoalaBear with its quintic extension, BLAKE3 commitments, and for each of the [`Settings`] a blow-up with queries enough
//! for 100 proven bits by unique decoding alone; `security` works the terms out.

use crate::air::TableAir;
use crate::statement::Statement;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_batch_stark::{BatchProof, CommonData, ProverData};
use p3_blake3::Blake3;
use p3_challenger::{ByteGrindingChallenger, CanObserve, CanSample, SerializingChallenger32};
use p3_commit::ExtensionMmcs;
use p3_dft::{Radix2DitParallel, TwoAdicSubgroupDft};
use p3_field::PrimeField32;
use p3_field::extension::QuinticTrinomialExtensionField;
use p3_fri::{FriParameters, TwoAdicFriPcs};
use p3_lookup::Lookups;
use p3_matrix::bitrev::BitReversedMatrixView;
use p3_matrix::dense::RowMajorMatrix;
use p3_maybe_rayon::prelude::*;
use p3_merkle_tree::MerkleTreeMmcs;
use p3_symmetric::{CompressionFunctionFromHasher, CryptographicHasher};
use p3_uni_stark::StarkConfig;
use std::sync::LazyLock;

/// Which parameters a proof is made with: faster, smaller, or between the two. Its header says which; each is worth 100 proven bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settings {
    /// Made as fast as can be.
    #[default]
    Fast = 0,
    /// As small as is worth its time, for an L1 that is paid by the byte.
    Small = 1,
    /// Between the two.
    Medium = 2,
}

/// What [`Settings`] stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Power of two by which the committed columns are longer than the tables.
    pub log_blowup: usize,
    /// Places at which the committed columns are opened.
    pub queries: usize,
    /// Bits of work before these places are drawn.
    pub query_work_bits: usize,
}

impl Settings {
    /// All of them, by code.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Small, Self::Medium];

    /// Their name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Small => "small",
            Self::Medium => "medium",
        }
    }

    /// Queries and work for 100 proven bits by unique decoding.
    pub const fn parameters(self) -> Parameters {
        match self {
            // A blow-up of two is the least: constraints have degree three.
            Self::Fast => Parameters { log_blowup: 1, queries: 203, query_work_bits: 16 },
            Self::Small => Parameters { log_blowup: 3, queries: 97, query_work_bits: 20 },
            Self::Medium => Parameters { log_blowup: 2, queries: 121, query_work_bits: 18 },
        }
    }

    /// The byte that stands for them in a proof.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What such a byte stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Fast),
            1 => Some(Self::Small),
            2 => Some(Self::Medium),
            _ => None,
        }
    }
}

/// The low-degree test stops at a polynomial of eight coefficients.
pub(crate) const LOG_FINAL_POLY: usize = 3;
/// The low-degree test folds by at most this power of two at once.
pub(crate) const LOG_ARITY_MAX: usize = 3;
/// Most degree of any constraint, lookups included.
pub(crate) const DEGREE_MAX: usize = 3;

pub(crate) type Extension = QuinticTrinomialExtensionField<KoalaBear>;
type NodeHash = CompressionFunctionFromHasher<Blake3, 2, 32>;
pub(crate) type ValueMmcs = MerkleTreeMmcs<KoalaBear, u8, RowHash, NodeHash, 2, 32>;
pub(crate) type ExtensionMmcsOfValues = ExtensionMmcs<KoalaBear, Extension, ValueMmcs>;
type Pcs = TwoAdicFriPcs<KoalaBear, Transform, ValueMmcs, ExtensionMmcsOfValues>;
pub(crate) type Challenger = SerializingChallenger32<KoalaBear, Transcript>;
pub(crate) type Config = StarkConfig<Pcs, Extension, Challenger>;
pub(crate) type StarkProof = BatchProof<Config>;

/// The proof system for one statement: the transcript starts with everything that the statement says, and with the settings
/// where they are not the usual ones.
pub(crate) fn config(statement: &Statement, settings: Settings) -> Config {
    config_with(statement, settings, settings.parameters())
}

/// The same with parameters of its own.
pub(crate) fn config_with(statement: &Statement, settings: Settings, parameters: Parameters) -> Config {
    let pcs = Pcs::new(Transform::shared().clone(), value_mmcs(), fri_parameters(parameters));
    let mut binding = statement.binding();
    if settings != Settings::Fast {
        binding.push(settings.code());
    }
    let seed: [u8; 32] = Blake3.hash_iter(binding);
    StarkConfig::new(pcs, Challenger::new(Transcript::new(&seed)))
}

/// The low-degree test.
pub(crate) fn fri_parameters(parameters: Parameters) -> FriParameters<ExtensionMmcsOfValues> {
    let Parameters { log_blowup, queries, query_work_bits } = parameters;
    FriParameters {
        log_blowup,
        log_final_poly_len: LOG_FINAL_POLY,
        max_log_arity: LOG_ARITY_MAX,
        num_queries: queries,
        batch_proof_of_work_bits: 0,
        commit_proof_of_work_bits: 0,
        query_proof_of_work_bits: query_work_bits,
        mmcs: ExtensionMmcs::new(value_mmcs()),
    }
}

/// The commitment to columns.
pub(crate) fn value_mmcs() -> ValueMmcs {
    ValueMmcs::new(RowHash, NodeHash::new(Blake3), 0)
}

/// What the tables of a layout say to each other, packed two messages to a column. Worked out once.
pub(crate) fn lookups(wide: bool) -> &'static [Lookups<KoalaBear>] {
    static NARROW: LazyLock<Vec<Lookups<KoalaBear>>> = LazyLock::new(|| derive_lookups(false));
    static WIDE: LazyLock<Vec<Lookups<KoalaBear>>> = LazyLock::new(|| derive_lookups(true));
    if wide { &WIDE } else { &NARROW }
}

pub(crate) fn common_data(wide: bool) -> CommonData<Config> {
    CommonData::new(None, lookups(wide).to_vec())
}

fn derive_lookups(wide: bool) -> Vec<Lookups<KoalaBear>> {
    let statement = Statement::of_nothing();
    let layout = crate::Layout::least(wide);
    let airs = TableAir::all(&statement, &layout);
    let degrees = layout.log_rows(&statement);
    let budgets = [DEGREE_MAX; 5];
    let data = ProverData::from_airs_and_degrees_with_lookup_budgets(
        &config(&statement, Settings::Fast),
        &airs,
        &degrees,
        &budgets,
        Settings::Fast.parameters().log_blowup,
    );
    data.unwrap_or_else(|_| unreachable!("nothing is committed to for tables without preprocessed columns"))
        .common
        .lookups
}

/// The Fourier transform over the columns of a table, with the roots of unity that it has come across.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transform(Radix2DitParallel<KoalaBear>);

impl Transform {
    /// The one that all proofs use.
    pub(crate) fn shared() -> &'static Self {
        static TRANSFORM: LazyLock<Transform> = LazyLock::new(Transform::default);
        &TRANSFORM
    }
}

impl TwoAdicSubgroupDft<KoalaBear> for Transform {
    type Evaluations = BitReversedMatrixView<RowMajorMatrix<KoalaBear>>;

    fn dft_batch(&self, columns: RowMajorMatrix<KoalaBear>) -> Self::Evaluations {
        self.0.dft_batch(columns)
    }

    fn coset_dft_batch(&self, columns: RowMajorMatrix<KoalaBear>, shift: KoalaBear) -> Self::Evaluations {
        self.0.coset_dft_batch(columns, shift)
    }

    fn idft_batch(&self, columns: RowMajorMatrix<KoalaBear>) -> RowMajorMatrix<KoalaBear> {
        self.0.idft_batch(columns)
    }

    fn coset_idft_batch(&self, columns: RowMajorMatrix<KoalaBear>, shift: KoalaBear) -> RowMajorMatrix<KoalaBear> {
        self.0.coset_idft_batch(columns, shift)
    }

    fn coset_lde_batch(
        &self,
        mut columns: RowMajorMatrix<KoalaBear>,
        added_bits: usize,
        shift: KoalaBear,
    ) -> Self::Evaluations {
        // The extension grows the columns in place. Left to itself it would move them on one thread first.
        let mut values = Vec::with_capacity(columns.values.len() << added_bits);
        values.par_extend(columns.values.par_iter().copied());
        columns.values = values;
        self.0.coset_lde_batch(columns, added_bits, shift)
    }
}

/// The hash of a row of the tables: BLAKE3 of its bytes, filled up with zeros to whole blocks, or, where they are more than
/// one BLAKE3 chunk, of the hashes of its pieces of one chunk. All rows of a tree are equally long, so no row reads as
/// another filled up or as another's pieces; and many rows hash side by side, which BLAKE3 itself does only within a chunk
/// and over whole blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowHash;

/// Elements of a BLAKE3 chunk.
const PIECE: usize = 256;
/// Bytes of a BLAKE3 block.
const BLOCK: usize = 64;

impl CryptographicHasher<KoalaBear, [u8; 32]> for RowHash {
    const LANES: usize = <Blake3 as CryptographicHasher<u8, [u8; 32]>>::LANES;

    fn hash_iter<I: IntoIterator<Item = KoalaBear>>(&self, input: I) -> [u8; 32] {
        let elements: Vec<KoalaBear> = input.into_iter().collect();
        self.hash_slice(&elements)
    }

    fn hash_iter_slices<'a, I: IntoIterator<Item = &'a [KoalaBear]>>(&self, input: I) -> [u8; 32] {
        let mut elements = Vec::with_capacity(PIECE);
        input.into_iter().for_each(|slice| elements.extend_from_slice(slice));
        self.hash_slice(&elements)
    }

    fn hash_slice(&self, input: &[KoalaBear]) -> [u8; 32] {
        let mut digest = [[0; 32]];
        self.hash_many(input, &mut digest);
        digest[0]
    }

    fn hash_many(&self, input: &[KoalaBear], out: &mut [[u8; 32]]) {
        let len = input.len().checked_div(out.len()).unwrap_or(0);
        if len == 0 {
            return Blake3.hash_many(&[], out);
        }
        let mut inputs = Vec::new();
        let mut hash_piece = |piece: usize, hashed: &mut [[u8; 32]]| {
            let range = piece * PIECE..len.min((piece + 1) * PIECE);
            let bytes = (4 * range.len()).next_multiple_of(BLOCK);
            // What is not overwritten is the padding, which stays zero.
            inputs.clear();
            inputs.resize(hashed.len() * bytes, 0);
            for (row, out) in input.chunks_exact(len).zip(inputs.chunks_exact_mut(bytes)) {
                for (element, out) in row[range.clone()].iter().zip(out.as_chunks_mut().0) {
                    *out = element.to_unique_u32().to_le_bytes();
                }
            }
            Blake3.hash_many(&inputs, hashed);
        };
        let pieces = len.div_ceil(PIECE);
        if pieces == 1 {
            return hash_piece(0, out);
        }
        // The digests of two pieces fill a block.
        let slots = pieces.next_multiple_of(2);
        let mut digests = vec![[0; 32]; out.len() * slots];
        let mut hashed = vec![[0; 32]; out.len()];
        for piece in 0..pieces {
            hash_piece(piece, &mut hashed);
            for (digests, digest) in digests.chunks_exact_mut(slots).zip(&hashed) {
                digests[piece] = *digest;
            }
        }
        Blake3.hash_many(digests.as_flattened(), out);
    }
}

/// The transcript: a chain of BLAKE3, whose proofs of work are the first that pass, however many threads look for them.
#[derive(Clone, Debug)]
pub(crate) struct Transcript {
    /// The digest of all before, and what was observed since.
    pending: Vec<u8>,
    /// What is left to be drawn of the last digest, last byte first.
    drawn: Vec<u8>,
}

impl Transcript {
    fn new(seed: &[u8; 32]) -> Self {
        Self { pending: seed.to_vec(), drawn: Vec::new() }
    }
}

impl CanObserve<u8> for Transcript {
    fn observe(&mut self, value: u8) {
        self.observe_slice(&[value]);
    }

    fn observe_slice(&mut self, values: &[u8]) {
        if !values.is_empty() {
            self.drawn.clear();
            self.pending.extend_from_slice(values);
        }
    }
}

impl CanSample<u8> for Transcript {
    fn sample(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.drawn.pop() {
                return byte;
            }
            let digest: [u8; 32] = Blake3.hash_slice(&self.pending);
            self.pending.clear();
            self.pending.extend_from_slice(&digest);
            self.drawn.extend(digest.iter().rev());
        }
    }
}

/// Candidates that are tried side by side before the first of those that pass is looked for.
const CANDIDATES: u64 = 1 << 13;
/// Candidates that are hashed by one call.
const CANDIDATES_AT_ONCE: u64 = 64;

impl ByteGrindingChallenger for Transcript {
    fn find_witness<const W: usize, const S: usize>(
        &self,
        candidates: u64,
        encode: impl Fn(u64) -> [u8; W] + Sync,
        accepts: impl Fn([u8; S]) -> bool + Sync,
    ) -> Option<u64> {
        const { assert!(S <= 32, "a candidate is judged by one digest") };
        let first_passing = |start: u64, end: u64| {
            let mut messages = Vec::new();
            for candidate in start..end {
                messages.extend_from_slice(&self.pending);
                messages.extend_from_slice(&encode(candidate));
            }
            let mut digests = vec![[0; 32]; usize::try_from(end - start).expect("a few at once")];
            Blake3.hash_many(&messages, &mut digests);
            let passes = |digest: &[u8; 32]| accepts(*digest.first_chunk().expect("no more than a digest"));
            (start..end).zip(&digests).find(|(_, digest)| passes(digest)).map(|(candidate, _)| candidate)
        };
        for start in (0..candidates).step_by(usize::try_from(CANDIDATES).expect("small")) {
            let groups = (0..CANDIDATES / CANDIDATES_AT_ONCE).into_par_iter().map(|group| {
                let start = candidates.min(start + group * CANDIDATES_AT_ONCE);
                first_passing(start, candidates.min(start + CANDIDATES_AT_ONCE))
            });
            let found: Vec<Option<u64>> = groups.collect();
            if let Some(first) = found.into_iter().flatten().next() {
                return Some(first);
            }
        }
        None
    }
}
