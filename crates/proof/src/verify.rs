//! The verifier: small, bounded in time and memory, and indifferent to who made the bytes.

use crate::air::TableAir;
use crate::codec::{self, PROOF_BYTES_MAX, Part, Shape, decode, decode_header};
use crate::config::{Config, DEGREE_MAX, Extension, Settings, StarkProof, common_data, config, lookups};
use crate::layout::{LOG_JOURNAL_MAX, LOG_ROWS_MAX, LOG_ROWS_MIN, Layout, Table, TableShape};
use crate::security::{BITS_MIN, SecurityReport};
use crate::statement::{CIRCUIT_VERSION, Statement};
use ghostplane_ghostcipher::Digest;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::{Air, AirBuilder, BaseAir, WindowAccess};
use p3_batch_stark::folder::VerifierConstraintFolderWithLookups;
use p3_batch_stark::verify_batch;
use p3_lookup::InteractionSymbolicBuilder;
use std::borrow::Cow;
use thiserror::Error;

/// Batches whose conservation is proved. Only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    plane_id: Digest,
    headers: Vec<Digest>,
    layout: Layout,
    settings: Settings,
    security: SecurityReport,
}

impl Verified {
    /// The plane's id.
    pub fn plane_id(&self) -> Digest {
        self.plane_id
    }

    /// The digests of the batches' headers, in order.
    pub fn headers(&self) -> &[Digest] {
        &self.headers
    }

    /// The heights of the tables.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// What the proof's soundness rests on, term by term.
    pub fn security(&self) -> &SecurityReport {
        &self.security
    }
}

/// Why bytes are no proof of a statement. Whoever made or sent them is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Longer than any proof.
    #[error("{bytes} bytes, a proof takes at most {PROOF_BYTES_MAX}")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// Bytes of something else.
    #[error("these bytes are not a conservation proof")]
    NotAProof,
    /// A proof of another circuit.
    #[error("a proof of circuit {found}, this release verifies circuit {CIRCUIT_VERSION}")]
    Version {
        /// The version that the proof names.
        found: u32,
    },
    /// Table heights that no prover may choose.
    #[error(
        "tables of 2^{journal}, 2^{slots} and 2^{nodes} rows; allowed are 2^{LOG_ROWS_MIN} to 2^{LOG_JOURNAL_MAX} and 2^{LOG_ROWS_MAX}, and a larger blow-up allows less"
    )]
    Layout {
        /// Power of the journal table.
        journal: u8,
        /// Power of the slot table.
        slots: u8,
        /// Power of the node table.
        nodes: u8,
    },
    /// Settings that this release does not know.
    #[error("a proof with settings {found}, this release knows 0 (fast), 1 (small) and 2 (medium)")]
    Settings {
        /// Their code.
        found: u8,
    },
    /// Too short, too long, or a list longer than it can be.
    #[error("the proof does not have the length that its layout gives it, seen at byte {at}")]
    Length {
        /// Where it shows.
        at: usize,
    },
    /// A number that is no field element.
    #[error("the four bytes at {at} are no element of the field")]
    Element {
        /// Where they are.
        at: usize,
    },
    /// Too little is proved by a proof of this layout.
    #[error("a proof of this layout would be worth fewer than {BITS_MIN} bits")]
    Weak,
    /// The proof does not show the statement.
    #[error("the proof does not show this statement: {reason}")]
    Invalid {
        /// What failed first.
        reason: String,
    },
}

/// Checks that `bytes` prove `statement`.
///
/// Takes time and memory in proportion to the length of the bytes, which is bounded, whoever made them.
///
/// # Errors
/// [`VerifyError`] if they do not.
pub fn verify(statement: &Statement, bytes: &[u8]) -> Result<Verified, VerifyError> {
    let (layout, settings) = decode_header(bytes)?;
    let security = SecurityReport::new(statement, &layout, settings);
    if !security.is_enough() {
        return Err(VerifyError::Weak);
    }
    let proof = decode(&Shape::new(statement, &layout, settings), bytes)?;
    verify_decoded(statement, &layout, &config(statement, settings), &proof)
        .map_err(|reason| VerifyError::Invalid { reason })?;
    let headers = statement.batches().iter().map(|batch| batch.header_digest).collect();
    Ok(Verified { plane_id: statement.plane_id(), headers, layout, settings, security })
}

/// Checks a proof that has the form of its layout.
pub(crate) fn verify_decoded(
    statement: &Statement,
    layout: &Layout,
    config: &Config,
    proof: &StarkProof,
) -> Result<(), String> {
    let airs: Vec<Judged> = TableAir::all(statement, layout).into_iter().map(Judged).collect();
    // Everything that the statement says is in the claims table and the transcript; no table has public values of its own.
    let public_values = vec![Vec::new(); airs.len()];
    let data = common_data(layout.is_wide());
    verify_batch(config, &airs, proof, &public_values, &data).map_err(|error| error.to_string())
}

/// A table as the library's verifier sees it. It writes all constraints down as expressions, for each proof anew, only to
/// find their degree, from which it takes how many chunks a quotient has; that took most of a verification. The degree is
/// known, and a test holds the constraints to it, so one constraint of that degree is written down in place of all. What a
/// proof is checked against are the constraints themselves.
struct Judged(TableAir);

impl BaseAir<KoalaBear> for Judged {
    fn width(&self) -> usize {
        self.0.width()
    }

    fn num_periodic_columns(&self) -> usize {
        self.0.num_periodic_columns()
    }

    fn periodic_columns(&self) -> Cow<'_, [Vec<KoalaBear>]> {
        self.0.periodic_columns()
    }

    fn main_next_row_columns(&self) -> Vec<usize> {
        self.0.main_next_row_columns()
    }
}

impl Air<InteractionSymbolicBuilder<KoalaBear, Extension>> for Judged {
    fn eval(&self, builder: &mut InteractionSymbolicBuilder<KoalaBear, Extension>) {
        const { assert!(DEGREE_MAX == 3) };
        let main = builder.main();
        let cell = main.current_slice()[0];
        builder.assert_zero(cell * cell * cell);
    }
}

impl<'a> Air<VerifierConstraintFolderWithLookups<'a, Config>> for Judged {
    fn eval(&self, builder: &mut VerifierConstraintFolderWithLookups<'a, Config>) {
        self.0.eval(builder);
    }
}

/// What a proof about `statement` says of itself, without checking it: tables, and bytes of opened rows by table.
///
/// # Errors
/// [`VerifyError`] if the header is not that of a proof.
pub fn info(statement: &Statement, bytes: &[u8]) -> Result<Vec<(TableShape, usize)>, VerifyError> {
    let (layout, settings) = decode_header(bytes)?;
    let shape = Shape::new(statement, &layout, settings);
    Ok(table_shapes(statement, &layout).into_iter().zip(shape.row_bytes()).collect())
}

/// What each of the bytes of a proof about `statement` is for, and the settings that it names, without checking it. The
/// parts sum up to the proof.
///
/// # Errors
/// [`VerifyError`] if they do not have the form of a proof.
pub fn parts(statement: &Statement, bytes: &[u8]) -> Result<(Settings, Vec<Part>), VerifyError> {
    let (layout, settings) = decode_header(bytes)?;
    let parts = codec::parts(&Shape::new(statement, &layout, settings), bytes)?;
    Ok((settings, parts))
}

/// The tables of a layout.
pub(crate) fn table_shapes(statement: &Statement, layout: &Layout) -> Vec<TableShape> {
    let lookups = lookups(layout.is_wide());
    let airs = TableAir::all(statement, layout);
    let tables = airs.iter().zip(layout.log_rows(statement)).zip(lookups);
    let shapes = tables.map(|((air, log_rows), lookups)| TableShape {
        table: air.table(),
        rows: 1 << log_rows,
        columns: air.width(),
        lookup_columns: (lookups.len() + 1) * 5,
    });
    let shapes: Vec<TableShape> = shapes.collect();
    debug_assert!(shapes.iter().map(|shape| shape.table).eq(Table::ALL));
    shapes
}
