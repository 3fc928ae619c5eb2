//! The bytes of a proof.
//!
//! After twelve bytes of header everything has the length that statement and layout give it, so the bytes carry no lengths
//! but those of the pruned Merkle paths, and those are bounded. Elements are canonical `u32` little-endian.

use crate::air::TableAir;
use crate::config::{
    Extension, ExtensionMmcsOfValues, LOG_ARITY_MAX, LOG_BLOWUP, LOG_FINAL_POLY, QUERIES, StarkProof, ValueMmcs,
    lookups,
};
use crate::layout::Layout;
use crate::statement::{CIRCUIT_VERSION, Statement};
use crate::verify::VerifyError;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::BaseAir;
use p3_batch_stark::proof::OpenedValuesWithLookups;
use p3_batch_stark::{BatchCommitments, BatchOpenedValues, OpenedValues};
use p3_commit::Mmcs;
#[cfg(feature = "prove")]
use p3_field::PrimeField32;
use p3_field::integers::QuotientMap;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_fri::{BatchMultiOpening, CommitPhaseMultiStep, FriProof, fold_schedule};
use p3_lookup::LookupTerminal;

/// The most bytes that any proof may take.
pub const PROOF_BYTES_MAX: usize = 4 * 1024 * 1024;

const MAGIC: [u8; 4] = *b"GPCP";
pub(crate) const HEADER_BYTES: usize = 12;
/// Elements of an extension element.
const EXTENSION: usize = 5;
/// Quotient chunks of every table: the constraints have degree three.
pub(crate) const QUOTIENT_CHUNKS: usize = 2;
/// Committed trees of table columns: the tables, their quotients, their lookups, in the order in which they are opened.
const TREES: usize = 3;

type Cap = <ValueMmcs as Mmcs<KoalaBear>>::Commitment;
type Paths = <ValueMmcs as Mmcs<KoalaBear>>::MultiProof;

/// The lengths of everything in a proof.
pub(crate) struct Shape {
    log_rows: [usize; 5],
    widths: [usize; 5],
    reads_next: [bool; 5],
    lookup_widths: [usize; 5],
    /// Powers of the arities by which the low-degree test folds.
    folds: Vec<usize>,
    /// Power of the tallest committed column.
    log_tallest: usize,
}

impl Shape {
    pub(crate) fn new(statement: &Statement, layout: &Layout) -> Self {
        let airs = TableAir::all(statement, layout);
        let log_rows = layout.log_rows(statement);
        let mut heights: Vec<usize> = log_rows.iter().map(|log| log + LOG_BLOWUP).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.dedup();
        let lookups = lookups(layout.is_wide());
        Self {
            log_rows,
            widths: std::array::from_fn(|table| airs[table].width()),
            reads_next: std::array::from_fn(|table| !airs[table].main_next_row_columns().is_empty()),
            lookup_widths: std::array::from_fn(|table| (lookups[table].len() + 1) * EXTENSION),
            folds: fold_schedule(&heights, LOG_FINAL_POLY + LOG_BLOWUP, LOG_ARITY_MAX),
            log_tallest: heights[0],
        }
    }

    /// The widths of the matrices of each tree.
    fn trees(&self) -> [Vec<usize>; TREES] {
        [self.widths.to_vec(), vec![EXTENSION; 5 * QUOTIENT_CHUNKS], self.lookup_widths.to_vec()]
    }

    /// Bytes of the proof by part, without the paths: what `info` shows.
    pub(crate) fn row_bytes(&self) -> [usize; 5] {
        std::array::from_fn(|table| {
            let columns = self.widths[table] + self.lookup_widths[table] + QUOTIENT_CHUNKS * EXTENSION;
            columns * 4 * QUERIES
        })
    }
}

#[cfg(feature = "prove")]
pub(crate) fn encode(layout: &Layout, proof: &StarkProof) -> Vec<u8> {
    let mut out = Encoder(Vec::with_capacity(1 << 20));
    out.0.extend(MAGIC);
    out.0.extend(CIRCUIT_VERSION.to_le_bytes());
    out.0.extend([layout.journal, layout.slots, layout.nodes, 0]);
    let commitments = &proof.commitments;
    out.cap(&commitments.main);
    out.cap(commitments.permutation.as_ref().expect("there are lookups"));
    out.cap(&commitments.quotient_chunks);
    for terminal in &proof.lookup_terminals {
        out.extension(&terminal.as_ref().expect("every table has lookups").0);
    }
    for instance in &proof.opened_values.instances {
        let base = &instance.base_opened_values;
        out.extensions(&base.trace_local);
        out.extensions(base.trace_next.as_deref().unwrap_or_default());
        base.quotient_chunks.iter().for_each(|chunk| out.extensions(chunk));
        out.extensions(&instance.permutation_local);
        out.extensions(&instance.permutation_next);
    }
    let fri = &proof.opening_proof;
    fri.commit_phase_commits.iter().for_each(|cap| out.cap(cap));
    out.extensions(&fri.final_poly);
    out.element(&fri.query_pow_witness);
    for opening in &fri.input_openings {
        for row in opening.opened_values.iter().flatten() {
            row.iter().for_each(|element| out.element(element));
        }
        out.paths(&opening.opening_proof);
    }
    for step in &fri.commit_phase_openings {
        step.sibling_values.iter().for_each(|siblings| out.extensions(siblings));
        out.paths(&step.opening_proof);
    }
    out.0
}

#[cfg(feature = "prove")]
struct Encoder(Vec<u8>);

#[cfg(feature = "prove")]
impl Encoder {
    fn element(&mut self, element: &KoalaBear) {
        self.0.extend(element.as_canonical_u32().to_le_bytes());
    }

    fn extension(&mut self, element: &Extension) {
        let coefficients: &[KoalaBear] = element.as_basis_coefficients_slice();
        coefficients.iter().for_each(|element| self.element(element));
    }

    fn extensions(&mut self, elements: &[Extension]) {
        elements.iter().for_each(|element| self.extension(element));
    }

    fn cap(&mut self, cap: &Cap) {
        cap.roots().iter().for_each(|root| self.0.extend(root));
    }

    fn paths(&mut self, paths: &Paths) {
        let count = u32::try_from(paths.sibling_hashes.len()).expect("paths are bounded by queries and heights");
        self.0.extend(count.to_le_bytes());
        paths.sibling_hashes.iter().for_each(|hash| self.0.extend(hash));
    }
}

/// The layout that the header of a proof names.
pub(crate) fn decode_layout(bytes: &[u8]) -> Result<Layout, VerifyError> {
    if bytes.len() > PROOF_BYTES_MAX {
        return Err(VerifyError::TooLong { bytes: bytes.len() });
    }
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(VerifyError::Length { at: bytes.len() });
    };
    let [m0, m1, m2, m3, v0, v1, v2, v3, journal, slots, nodes, reserved] = *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(VerifyError::NotAProof);
    }
    let version = u32::from_le_bytes([v0, v1, v2, v3]);
    if version != CIRCUIT_VERSION {
        return Err(VerifyError::Version { found: version });
    }
    let layout = Layout { journal, slots, nodes };
    if reserved != 0 || !layout.is_allowed() {
        return Err(VerifyError::Layout { journal, slots, nodes });
    }
    Ok(layout)
}

/// Reads a proof about `statement` with this layout, all of its lengths given.
pub(crate) fn decode(shape: &Shape, bytes: &[u8]) -> Result<StarkProof, VerifyError> {
    let mut input = Decoder { bytes, at: HEADER_BYTES };
    let main = input.cap()?;
    let permutation = Some(input.cap()?);
    let quotient_chunks = input.cap()?;
    let lookup_terminals =
        (0..5).map(|_| Ok(Some(LookupTerminal(input.extension()?)))).collect::<Result<Vec<_>, VerifyError>>()?;
    let mut instances = Vec::with_capacity(5);
    for table in 0..5 {
        let trace_local = input.extensions(shape.widths[table])?;
        let trace_next = shape.reads_next[table].then(|| input.extensions(shape.widths[table])).transpose()?;
        let chunks = (0..QUOTIENT_CHUNKS).map(|_| input.extensions(EXTENSION)).collect::<Result<Vec<_>, _>>()?;
        instances.push(OpenedValuesWithLookups {
            base_opened_values: OpenedValues {
                trace_local,
                trace_next,
                preprocessed: None,
                quotient_chunks: chunks,
                random: None,
            },
            permutation_local: input.extensions(shape.lookup_widths[table])?,
            permutation_next: input.extensions(shape.lookup_widths[table])?,
        });
    }
    let opening_proof = input.fri(shape)?;
    if input.at != bytes.len() {
        return Err(VerifyError::Length { at: input.at });
    }
    Ok(StarkProof {
        commitments: BatchCommitments { main, permutation, quotient_chunks, random: None },
        opened_values: BatchOpenedValues { instances },
        opening_proof,
        lookup_terminals,
        degree_bits: shape.log_rows.to_vec(),
        // No work is asked for before these challenges, and zero is what stands for none.
        lookup_pow_witness: Some(KoalaBear::ZERO),
        ood_pow_witness: KoalaBear::ZERO,
    })
}

type Fri = FriProof<Extension, ExtensionMmcsOfValues, KoalaBear, Vec<BatchMultiOpening<KoalaBear, ValueMmcs>>>;

struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Decoder<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], VerifyError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = *rest.first_chunk().ok_or(VerifyError::Length { at: self.at })?;
        self.at += N;
        Ok(taken)
    }

    fn element(&mut self) -> Result<KoalaBear, VerifyError> {
        let at = self.at;
        KoalaBear::from_canonical_checked(u32::from_le_bytes(self.take()?)).ok_or(VerifyError::Element { at })
    }

    fn elements(&mut self, count: usize) -> Result<Vec<KoalaBear>, VerifyError> {
        self.check_room(count, 4)?;
        let words = self.bytes[self.at..self.at + 4 * count].as_chunks().0;
        let mut elements = Vec::with_capacity(count);
        for (word, at) in words.iter().zip((self.at..).step_by(4)) {
            let element = KoalaBear::from_canonical_checked(u32::from_le_bytes(*word));
            elements.push(element.ok_or(VerifyError::Element { at })?);
        }
        self.at += 4 * count;
        Ok(elements)
    }

    fn extension(&mut self) -> Result<Extension, VerifyError> {
        let mut coefficients = [KoalaBear::ZERO; EXTENSION];
        for coefficient in &mut coefficients {
            *coefficient = self.element()?;
        }
        Ok(Extension::from_basis_coefficients_fn(|at| coefficients[at]))
    }

    fn extensions(&mut self, count: usize) -> Result<Vec<Extension>, VerifyError> {
        let elements = self.elements(count.saturating_mul(EXTENSION))?;
        let elements = elements.as_chunks::<EXTENSION>().0.iter();
        Ok(elements.map(|coefficients| Extension::from_basis_coefficients_fn(|at| coefficients[at])).collect())
    }

    /// That so many items are there, before room is made for them.
    fn check_room(&self, count: usize, bytes: usize) -> Result<(), VerifyError> {
        let fits = count.checked_mul(bytes).is_some_and(|bytes| bytes <= self.bytes.len() - self.at);
        if fits { Ok(()) } else { Err(VerifyError::Length { at: self.at }) }
    }

    fn cap(&mut self) -> Result<Cap, VerifyError> {
        Ok(Cap::new(vec![self.take()?]))
    }

    fn paths(&mut self, shape: &Shape) -> Result<Paths, VerifyError> {
        let at = self.at;
        let count = usize::try_from(u32::from_le_bytes(self.take()?)).map_err(|_| VerifyError::Length { at })?;
        if count > QUERIES * shape.log_tallest {
            return Err(VerifyError::Length { at });
        }
        self.check_room(count, 32)?;
        Ok(Paths { sibling_hashes: (0..count).map(|_| self.take()).collect::<Result<_, _>>()? })
    }

    fn fri(&mut self, shape: &Shape) -> Result<Fri, VerifyError> {
        let rounds = shape.folds.len();
        let commit_phase_commits = (0..rounds).map(|_| self.cap()).collect::<Result<Vec<_>, _>>()?;
        let final_poly = self.extensions(1 << LOG_FINAL_POLY)?;
        let query_pow_witness = self.element()?;
        let mut input_openings = Vec::with_capacity(TREES);
        for widths in shape.trees() {
            self.check_room(QUERIES * widths.iter().sum::<usize>(), 4)?;
            let mut opened_values = Vec::with_capacity(QUERIES);
            for _ in 0..QUERIES {
                opened_values.push(widths.iter().map(|width| self.elements(*width)).collect::<Result<Vec<_>, _>>()?);
            }
            input_openings.push(BatchMultiOpening { opened_values, opening_proof: self.paths(shape)? });
        }
        let mut commit_phase_openings = Vec::with_capacity(rounds);
        for log_arity in &shape.folds {
            let siblings = (1 << log_arity) - 1;
            self.check_room(QUERIES * siblings, 4 * EXTENSION)?;
            let sibling_values = (0..QUERIES).map(|_| self.extensions(siblings)).collect::<Result<Vec<_>, _>>()?;
            commit_phase_openings.push(CommitPhaseMultiStep { sibling_values, opening_proof: self.paths(shape)? });
        }
        Ok(FriProof {
            batch_pow_witness: KoalaBear::ZERO,
            commit_phase_commits,
            commit_pow_witnesses: vec![KoalaBear::ZERO; rounds],
            input_openings,
            commit_phase_openings,
            final_poly,
            query_pow_witness,
        })
    }
}
