//! The columns of the lookup argument: what each column's messages come to in a row, and the sum of all rows above.

use crate::config::Extension;
use crate::stark::rows::{
    Combiner, DIMENSION, Heard, LANES, Packed, PackedExtension, Plan, Reader, Selectors, gather, invert_lanes, scatter,
};
use crate::stark::{Circuit, zeros};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_field::{
    BasedVectorSpace, PackedFieldExtension, PackedValue, PrimeCharacteristicRing, batch_multiplicative_inverse_general,
};
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;

/// Vectors of rows whose denominators are inverted together.
const GROUPS: usize = 32;

/// The lookup columns of a table, over the base field, and its lookup sum. The first column holds the sum of all rows above,
/// the others what the messages of each column come to.
pub(super) fn lookup_columns(
    air: &impl Circuit,
    table: &RowMajorMatrix<KoalaBear>,
    plan: &Plan,
    combiner: &Combiner,
) -> (RowMajorMatrix<KoalaBear>, Extension) {
    let columns = 1 + plan.messages.len();
    let width = columns * DIMENSION;
    let rows = table.values.len() / table.width;
    let mut cells = zeros(rows * width);
    let pieces = table.values.par_chunks(GROUPS * LANES * table.width);
    let sums: Vec<Extension> = cells
        .par_chunks_mut(GROUPS * LANES * width)
        .zip(pieces)
        .map_init(Piece::default, |piece, (cells, rows)| piece.fill(air, rows, table.width, plan, combiner, cells))
        .collect();
    let mut above = Vec::with_capacity(sums.len());
    let mut total = Extension::ZERO;
    for sum in sums {
        above.push(total);
        total += sum;
    }
    cells.par_chunks_mut(GROUPS * LANES * width).zip(above).for_each(|(cells, above)| {
        let above: &[KoalaBear] = above.as_basis_coefficients_slice();
        for row in cells.chunks_exact_mut(width) {
            row.iter_mut().zip(above).for_each(|(cell, above)| *cell += *above);
        }
    });
    (RowMajorMatrix::new(cells, width), total)
}

/// Room for the rows that are worked on together.
#[derive(Default)]
struct Piece {
    row: Vec<Packed>,
    heard: Heard,
    numerators: Vec<PackedExtension>,
    denominators: Vec<PackedExtension>,
    inverses: Vec<PackedExtension>,
    columns: Vec<Packed>,
}

impl Piece {
    /// Fills the lookup columns of some rows in, the sums as if nothing were above them, and gives the sum of the rows.
    #[inline(never)]
    fn fill(
        &mut self,
        air: &impl Circuit,
        rows: &[KoalaBear],
        width: usize,
        plan: &Plan,
        combiner: &Combiner,
        cells: &mut [KoalaBear],
    ) -> Extension {
        self.numerators.clear();
        self.denominators.clear();
        for rows in rows.chunks_exact(width * LANES) {
            gather(rows, width, &mut self.row);
            self.heard.clear();
            // Messages are read from the row alone.
            let (row, heard) = (&self.row, &mut self.heard);
            let selectors = Selectors::default();
            air.messages(&mut Reader { row, next: row, known: &[], selectors, combiner, heard });
            for messages in &plan.messages {
                let (numerator, denominator) = self.heard.fraction(messages);
                self.numerators.push(numerator);
                self.denominators.push(denominator);
            }
        }
        self.inverses.clear();
        self.inverses.resize(self.denominators.len(), PackedExtension::ZERO);
        batch_multiplicative_inverse_general(&self.denominators, &mut self.inverses, invert_lanes);

        let columns = plan.messages.len();
        let fractions = self.numerators.chunks_exact(columns).zip(self.inverses.chunks_exact(columns));
        let mut above = Extension::ZERO;
        for ((numerators, inverses), cells) in fractions.zip(cells.chunks_exact_mut((columns + 1) * DIMENSION * LANES))
        {
            self.columns.clear();
            self.columns.resize(DIMENSION, Packed::ZERO);
            let mut sum = PackedExtension::ZERO;
            for (numerator, inverse) in numerators.iter().zip(inverses) {
                let fraction = *numerator * *inverse;
                sum += fraction;
                self.columns.extend_from_slice(fraction.as_basis_coefficients_slice());
            }
            for lane in 0..LANES {
                let coefficients: &[KoalaBear] = above.as_basis_coefficients_slice();
                for (column, coefficient) in self.columns.iter_mut().zip(coefficients) {
                    column.as_slice_mut()[lane] = *coefficient;
                }
                let lane: Extension = sum.extract(lane);
                above += lane;
            }
            scatter(&self.columns, cells);
        }
        above
    }
}
