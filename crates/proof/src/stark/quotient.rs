//! The quotients: all constraints of a table, combined and divided by what vanishes on its rows.
//!
//! Committed columns stand in bit-reversed order, and so they are read here: a vector of rows is a piece of memory. What a
//! column is committed at falls into two halves, each as long as the table; the row behind another is in the same half.

use crate::config::Extension;
use crate::stark::extend::extend;
use crate::stark::rows::{
    Combiner, DIMENSION, Heard, LANES, LOG_LANES, Packed, PackedExtension, Plan, Reader, Selectors, gather, reversed,
    split_powers,
};
use crate::stark::{Circuit, zeros};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_field::{
    Algebra, BasedVectorSpace, Field, PackedValue, PrimeCharacteristicRing, TwoAdicField, batch_multiplicative_inverse,
};
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;

/// Vectors of rows of one task, at most.
const GROUPS: usize = 64;

/// The powers of the challenge that constraints are combined with, the last constraint with the least.
pub(super) struct Weights {
    /// Of assertions: for each coefficient, that of each power.
    assertions: [Vec<KoalaBear>; DIMENSION],
    /// Of each lookup column, then of the sum's start, its steps and its end.
    lookups: Vec<PackedExtension>,
}

impl Weights {
    pub(super) fn new(challenge: Extension, assertions: usize, columns: usize) -> Self {
        let lookups = if columns == 0 { 0 } else { columns + 3 };
        let mut powers = challenge.powers().collect_n(assertions + lookups);
        powers.reverse();
        let (of_assertions, of_lookups) = powers.split_at(assertions);
        Self {
            assertions: split_powers(of_assertions),
            lookups: of_lookups.iter().map(|power| (*power).into()).collect(),
        }
    }
}

/// A table with what is committed of it.
pub(super) struct Committed<'a, A> {
    pub(super) air: &'a A,
    /// Power of the table's height.
    pub(super) log_rows: usize,
    pub(super) columns: &'a RowMajorMatrix<KoalaBear>,
    /// The columns of the lookups, and their sum over all rows.
    pub(super) lookups: Option<(&'a RowMajorMatrix<KoalaBear>, Extension)>,
    pub(super) plan: &'a Plan,
    pub(super) combiner: &'a Combiner,
}

/// The quotient over each half of the points, in natural order.
pub(super) fn quotient<A: Circuit>(committed: &Committed<'_, A>, weights: &Weights) -> [RowMajorMatrix<KoalaBear>; 2] {
    let rows = 1 << committed.log_rows;
    let known = Known::new(committed.air, rows);
    std::array::from_fn(|half| {
        let half = Half::new(committed, weights, &known, half);
        let groups = rows / LANES;
        let tasks = groups.div_ceil(GROUPS);
        // In the order in which the first lanes' rows follow each other: the next row of a vector is the next vector.
        let values: Vec<Vec<PackedExtension>> = (0..tasks)
            .into_par_iter()
            .map(|task| half.values(task * GROUPS..groups.min((task + 1) * GROUPS)))
            .collect();
        let mut cells = zeros(rows * DIMENSION);
        cells.par_chunks_exact_mut(groups * DIMENSION).enumerate().for_each(|(place, cells)| {
            let lane = reversed(place, LOG_LANES);
            for (cells, value) in cells.chunks_exact_mut(DIMENSION).zip(values.iter().flatten()) {
                let coefficients: &[Packed] = value.as_basis_coefficients_slice();
                for (cell, coefficient) in cells.iter_mut().zip(coefficients) {
                    *cell = coefficient.as_slice()[lane];
                }
            }
        });
        RowMajorMatrix::new(cells, DIMENSION)
    })
}

/// What the verifier knows of a table, over both halves of the points, in bit-reversed order as committed columns.
struct Known(Option<RowMajorMatrix<KoalaBear>>);

impl Known {
    fn new(air: &impl Circuit, rows: usize) -> Self {
        let columns = air.periodic_columns();
        if columns.is_empty() {
            return Self(None);
        }
        let columns = &columns;
        let cells = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
        let table = RowMajorMatrix::new(cells, columns.len());
        Self(Some(extend(&table, 1, KoalaBear::GENERATOR)))
    }
}

/// One half of the points.
struct Half<'a, A> {
    committed: &'a Committed<'a, A>,
    weights: &'a Weights,
    known: &'a Known,
    half: usize,
    /// The point of each lane, for the first vector.
    lanes: Packed,
    /// The generator of the table's rows, whose inverse is the last of them.
    generator: KoalaBear,
    /// What vanishes on the table's rows, at all points of the half.
    vanishing: KoalaBear,
}

impl<'a, A: Circuit> Half<'a, A> {
    fn new(committed: &'a Committed<'a, A>, weights: &'a Weights, known: &'a Known, half: usize) -> Self {
        let log_rows = committed.log_rows;
        let generator = KoalaBear::two_adic_generator(log_rows);
        let mut shift = KoalaBear::GENERATOR;
        if half == 1 {
            shift *= KoalaBear::two_adic_generator(log_rows + 1);
        }
        let stride = generator.exp_u64((1 << log_rows) / LANES as u64);
        let place = |lane| reversed(lane, LOG_LANES) as u64;
        Self {
            committed,
            weights,
            known,
            half,
            lanes: Packed::from_fn(|lane| shift * stride.exp_u64(place(lane))),
            generator,
            vanishing: shift.exp_power_of_2(log_rows) - KoalaBear::ONE,
        }
    }

    /// The rows of a vector of a matrix, by its place in the order of the first lanes' rows.
    fn rows<'m>(&self, matrix: &'m RowMajorMatrix<KoalaBear>, place: usize) -> &'m [KoalaBear] {
        let log_groups = self.committed.log_rows - LOG_LANES;
        let group = (self.half << log_groups) + reversed(place, log_groups);
        let len = matrix.width * LANES;
        &matrix.values[group * len..][..len]
    }

    /// Gathers the rows that follow those of the vector before `place`.
    fn gather(&self, matrix: &RowMajorMatrix<KoalaBear>, place: usize, columns: &mut Vec<Packed>) {
        let groups = (1 << self.committed.log_rows) / LANES;
        gather(self.rows(matrix, place % groups), matrix.width, columns);
        if place == groups {
            // Behind the last vector comes the first, one row on in every lane.
            let from: [usize; LANES] =
                std::array::from_fn(|lane| reversed((reversed(lane, LOG_LANES) + 1) % LANES, LOG_LANES));
            for column in columns {
                *column = Packed::from_fn(|lane| column.as_slice()[from[lane]]);
            }
        }
    }

    /// The quotient at some vectors.
    #[inline(never)]
    fn values(&self, places: std::ops::Range<usize>) -> Vec<PackedExtension> {
        let Committed { air, columns, lookups, plan, combiner, .. } = self.committed;
        let points: Vec<Packed> = {
            let first = self.generator.exp_u64(places.start as u64);
            self.generator.shifted_powers(first).take(places.len()).map(|power| self.lanes * power).collect()
        };
        let selectors = self.selectors(&points);
        let inverse_vanishing = self.vanishing.inverse();
        let (mut row, mut next) = (Vec::new(), Vec::new());
        let (mut lookup_row, mut lookup_next) = (Vec::new(), Vec::new());
        let mut known = Vec::new();
        let mut heard = Heard::default();
        self.gather(columns, places.start, &mut next);
        if let Some((lookups, _)) = lookups {
            self.gather(lookups, places.start, &mut lookup_next);
        }
        let mut values = Vec::with_capacity(places.len());
        for (place, selectors) in places.zip(&selectors) {
            std::mem::swap(&mut row, &mut next);
            std::mem::swap(&mut lookup_row, &mut lookup_next);
            self.gather(columns, place + 1, &mut next);
            if let Some((lookups, _)) = lookups {
                self.gather(lookups, place + 1, &mut lookup_next);
            }
            self.gather_known(place, &mut known);
            heard.clear();
            let heard_here = &mut heard;
            let mut reader =
                Reader { row: &row, next: &next, known: &known, selectors: *selectors, combiner, heard: heard_here };
            air.constraints(&mut reader);
            air.messages(&mut reader);
            let mut combined = PackedExtension::from_basis_coefficients_fn(|at| {
                Packed::batched_linear_combination(&heard.assertions, &self.weights.assertions[at])
            });
            if let Some((_, sum)) = lookups {
                combined += self.combine_lookups(&heard, plan, *sum, selectors, &lookup_row, &lookup_next);
            }
            values.push(combined * Packed::from(inverse_vanishing));
        }
        values
    }

    fn gather_known(&self, place: usize, columns: &mut Vec<Packed>) {
        if let Known(Some(known)) = self.known {
            gather(self.rows(known, place), known.width, columns);
        }
    }

    fn selectors(&self, points: &[Packed]) -> Vec<Selectors> {
        let last = self.generator.inverse();
        let distances: Vec<KoalaBear> = points
            .iter()
            .flat_map(|point| [*point - KoalaBear::ONE, *point - last])
            .flat_map(|distance| (0..LANES).map(move |lane| distance.as_slice()[lane]))
            .collect();
        let inverses = batch_multiplicative_inverse(&distances);
        let inverses = Packed::pack_slice(&inverses).chunks_exact(2);
        let selectors = points.iter().zip(inverses).map(|(point, inverses)| Selectors {
            is_first: inverses[0] * self.vanishing,
            is_last: inverses[1] * self.vanishing,
            is_transition: *point - last,
        });
        selectors.collect()
    }

    /// The constraints of the lookups of a vector of rows, combined.
    #[inline]
    fn combine_lookups(
        &self,
        heard: &Heard,
        plan: &Plan,
        sum: Extension,
        selectors: &Selectors,
        row: &[Packed],
        next: &[Packed],
    ) -> PackedExtension {
        let element = |row: &[Packed], column: usize| {
            PackedExtension::from_basis_coefficients_fn(|at| row[column * DIMENSION + at])
        };
        let mut combined = PackedExtension::ZERO;
        let mut row_sum = PackedExtension::ZERO;
        let (of_columns, of_sum) = self.weights.lookups.split_at(plan.messages.len());
        for (column, (messages, weight)) in plan.messages.iter().zip(of_columns).enumerate() {
            let (numerator, denominator) = heard.fraction(messages);
            let fraction = element(row, column + 1);
            combined += (denominator * fraction - numerator) * *weight;
            row_sum += fraction;
        }
        let (above, above_next) = (element(row, 0), element(next, 0));
        let reached = above + row_sum;
        combined += of_sum[0] * above * selectors.is_first;
        combined += of_sum[1] * (above_next - reached) * selectors.is_transition;
        combined + of_sum[2] * (PackedExtension::from(sum) - reached) * selectors.is_last
    }
}
