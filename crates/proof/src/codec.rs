//! The bytes of a proof.
//!
//! After twelve bytes of header everything has the length that statement and layout give it, so the bytes carry no lengths
//! but those of the pruned Merkle paths, and those are bounded. Elements are canonical `u32` little-endian.

use crate::air::TableAir;
use crate::config::{
    Extension, ExtensionMmcsOfValues, LOG_ARITY_MAX, LOG_FINAL_POLY, Parameters, Settings, StarkProof, ValueMmcs,
    lookups,
};
use crate::layout::{Layout, Table};
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
    queries: usize,
}

impl Shape {
    pub(crate) fn new(statement: &Statement, layout: &Layout, settings: Settings) -> Self {
        Self::with(statement, layout, settings.parameters())
    }

    pub(crate) fn with(statement: &Statement, layout: &Layout, parameters: Parameters) -> Self {
        let log_blowup = parameters.log_blowup;
        let airs = TableAir::all(statement, layout);
        let log_rows = layout.log_rows(statement);
        let mut heights: Vec<usize> = log_rows.iter().map(|log| log + log_blowup).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.dedup();
        let lookups = lookups(layout.is_wide());
        Self {
            log_rows,
            widths: std::array::from_fn(|table| airs[table].width()),
            reads_next: std::array::from_fn(|table| !airs[table].main_next_row_columns().is_empty()),
            lookup_widths: std::array::from_fn(|table| (lookups[table].len() + 1) * EXTENSION),
            folds: fold_schedule(&heights, LOG_FINAL_POLY + log_blowup, LOG_ARITY_MAX),
            log_tallest: heights[0],
            queries: parameters.queries,
        }
    }

    /// The widths of the matrices of each tree.
    fn trees(&self) -> [Vec<usize>; TREES] {
        [self.widths.to_vec(), vec![EXTENSION; 5 * QUOTIENT_CHUNKS], self.lookup_widths.to_vec()]
    }

    /// Bytes of the opened rows by table.
    pub(crate) fn row_bytes(&self) -> [usize; 5] {
        std::array::from_fn(|table| {
            let columns = self.widths[table] + self.lookup_widths[table] + QUOTIENT_CHUNKS * EXTENSION;
            columns * 4 * self.queries
        })
    }
}

#[cfg(feature = "prove")]
pub(crate) fn encode(layout: &Layout, settings: Settings, proof: &StarkProof) -> Vec<u8> {
    let mut out = Encoder(Vec::with_capacity(1 << 20));
    out.0.extend(MAGIC);
    out.0.extend(CIRCUIT_VERSION.to_le_bytes());
    out.0.extend([layout.journal, layout.slots, layout.nodes, settings.code()]);
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

/// The layout and settings that the header of a proof names.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<(Layout, Settings), VerifyError> {
    if bytes.len() > PROOF_BYTES_MAX {
        return Err(VerifyError::TooLong { bytes: bytes.len() });
    }
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(VerifyError::Length { at: bytes.len() });
    };
    let [m0, m1, m2, m3, v0, v1, v2, v3, journal, slots, nodes, code] = *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(VerifyError::NotAProof);
    }
    let version = u32::from_le_bytes([v0, v1, v2, v3]);
    if version != CIRCUIT_VERSION {
        return Err(VerifyError::Version { found: version });
    }
    let layout = Layout { journal, slots, nodes };
    let settings = Settings::from_code(code).ok_or(VerifyError::Settings { found: code })?;
    if !layout.is_allowed(settings) {
        return Err(VerifyError::Layout { journal, slots, nodes });
    }
    Ok((layout, settings))
}

/// Bytes of the Merkle paths, the one part of a proof whose length the shape does not give.
#[derive(Clone, Copy, Debug, Default)]
struct PathBytes {
    rows: usize,
    folds: usize,
}

/// Reads a proof of this shape, all of its lengths given.
pub(crate) fn decode(shape: &Shape, bytes: &[u8]) -> Result<StarkProof, VerifyError> {
    read(shape, bytes).map(|(proof, _)| proof)
}

fn read(shape: &Shape, bytes: &[u8]) -> Result<(StarkProof, PathBytes), VerifyError> {
    let mut input = Decoder { bytes, at: HEADER_BYTES, paths: PathBytes::default() };
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
    let paths = input.paths;
    let proof = StarkProof {
        commitments: BatchCommitments { main, permutation, quotient_chunks, random: None },
        opened_values: BatchOpenedValues { instances },
        opening_proof,
        lookup_terminals,
        degree_bits: shape.log_rows.to_vec(),
        // No work is asked for before these challenges, and zero is what stands for none.
        lookup_pow_witness: Some(KoalaBear::ZERO),
        ood_pow_witness: KoalaBear::ZERO,
    };
    Ok((proof, paths))
}

fn path_bytes(paths: &Paths) -> usize {
    4 + 32 * paths.sibling_hashes.len()
}

/// What some of the bytes of a proof are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Header, the roots of what is committed to, and the tables' lookup sums.
    Head,
    /// All columns at the out-of-domain point.
    Openings,
    /// The low-degree test: roots of its folds, the final polynomial, the work.
    Folding,
    /// Opened rows of one table, with those of its lookups and quotient.
    Rows(Table),
    /// Merkle paths of the opened rows.
    RowPaths,
    /// What was folded at the opened places.
    Folds,
    /// Merkle paths of the folds.
    FoldPaths,
}

/// A part of a proof, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub kind: PartKind,
    /// How long.
    pub bytes: usize,
}

/// The parts of a proof, in the order of its bytes but for the rows, which are put together by table.
pub(crate) fn parts(shape: &Shape, bytes: &[u8]) -> Result<Vec<Part>, VerifyError> {
    let (_, paths) = read(shape, bytes)?;
    let openings = |table: usize| {
        let points = if shape.reads_next[table] { 2 } else { 1 };
        points * shape.widths[table] + QUOTIENT_CHUNKS * EXTENSION + 2 * shape.lookup_widths[table]
    };
    let siblings: usize = shape.folds.iter().map(|log_arity| (1 << log_arity) - 1).sum();
    let element = 4 * EXTENSION;
    let head = HEADER_BYTES + 32 * TREES + 5 * element;
    let mut parts = vec![
        Part { kind: PartKind::Head, bytes: head },
        Part { kind: PartKind::Openings, bytes: element * (0..5).map(openings).sum::<usize>() },
        Part { kind: PartKind::Folding, bytes: 32 * shape.folds.len() + (element << LOG_FINAL_POLY) + 4 },
    ];
    let rows = Table::ALL.into_iter().zip(shape.row_bytes());
    parts.extend(rows.map(|(table, bytes)| Part { kind: PartKind::Rows(table), bytes }));
    parts.push(Part { kind: PartKind::RowPaths, bytes: paths.rows });
    parts.push(Part { kind: PartKind::Folds, bytes: shape.queries * siblings * element });
    parts.push(Part { kind: PartKind::FoldPaths, bytes: paths.folds });
    Ok(parts)
}

type Fri = FriProof<Extension, ExtensionMmcsOfValues, KoalaBear, Vec<BatchMultiOpening<KoalaBear, ValueMmcs>>>;

struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    paths: PathBytes,
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
        if count > shape.queries * shape.log_tallest {
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
            self.check_room(shape.queries * widths.iter().sum::<usize>(), 4)?;
            let mut opened_values = Vec::with_capacity(shape.queries);
            for _ in 0..shape.queries {
                opened_values.push(widths.iter().map(|width| self.elements(*width)).collect::<Result<Vec<_>, _>>()?);
            }
            let opening_proof = self.paths(shape)?;
            self.paths.rows += path_bytes(&opening_proof);
            input_openings.push(BatchMultiOpening { opened_values, opening_proof });
        }
        let mut commit_phase_openings = Vec::with_capacity(rounds);
        for log_arity in &shape.folds {
            let siblings = (1 << log_arity) - 1;
            self.check_room(shape.queries * siblings, 4 * EXTENSION)?;
            let sibling_values =
                (0..shape.queries).map(|_| self.extensions(siblings)).collect::<Result<Vec<_>, _>>()?;
            let opening_proof = self.paths(shape)?;
            self.paths.folds += path_bytes(&opening_proof);
            commit_phase_openings.push(CommitPhaseMultiStep { sibling_values, opening_proof });
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
