//! Openings: what committed columns are at points outside, and one column to each height that stands for all of them in the
//! low-degree test.

use crate::config::{Challenger, Extension, ExtensionMmcsOfValues, ValueMmcs};
use crate::stark::extend::extend_committed;
use crate::stark::rows::{
    DIMENSION, LANES, LOG_LANES, Packed, PackedExtension, fetch, gather, invert_lanes, reversed, scatter, split_powers,
};
use crate::stark::zeros;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_commit::{Mmcs, OpenedValues, OpeningRequest};
use p3_field::{
    Algebra, BasedVectorSpace, Field, PackedFieldExtension, PackedValue, PrimeCharacteristicRing, TwoAdicField,
    batch_multiplicative_inverse_general, dot_product,
};
use p3_fri::prover::prove_fri;
use p3_fri::{
    BatchMultiOpening, FriParameters, FriProof, FriProverError, PcsProverTranscript, PcsShape, TwoAdicFriFoldingForMmcs,
};
use p3_matrix::Matrix;
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;
use std::marker::PhantomData;

/// Vectors of rows of one task.
const GROUPS: usize = 32;

type Request<'a> = OpeningRequest<'a, <ValueMmcs as Mmcs<KoalaBear>>::ProverData<RowMajorMatrix<KoalaBear>>, Extension>;
pub(super) type OpeningProof =
    FriProof<Extension, ExtensionMmcsOfValues, KoalaBear, Vec<BatchMultiOpening<KoalaBear, ValueMmcs>>>;

/// A matrix to be opened, and where.
struct Wanted<'a> {
    matrix: &'a RowMajorMatrix<KoalaBear>,
    points: &'a [Extension],
}

/// Opens committed matrices.
pub(super) fn open(
    fri: &FriParameters<ExtensionMmcsOfValues>,
    mmcs: &ValueMmcs,
    requests: &[Request<'_>],
    challenger: &mut Challenger,
) -> Result<(OpenedValues<Extension>, OpeningProof), FriProverError> {
    let rounds: Vec<Vec<Wanted<'_>>> = requests
        .iter()
        .map(|request| {
            let matrices = mmcs.get_matrices(request.prover_data).into_iter();
            matrices.zip(&request.points).map(|(matrix, points)| Wanted { matrix, points }).collect()
        })
        .collect();
    let tallest = rounds.iter().flatten().map(|wanted| wanted.matrix.height()).max();
    let tallest = tallest.unwrap_or_else(|| unreachable!("something is opened"));
    let places = places(tallest);
    let distances = Distance::all(&rounds, &places);

    let values: OpenedValues<Extension> = rounds
        .iter()
        .map(|round| round.iter().map(|wanted| evaluate(wanted, &distances, fri.log_blowup)).collect())
        .collect();
    let shape = PcsShape::from_opened_values(fri, &values);
    let mut transcript = PcsProverTranscript::<_, KoalaBear, Extension>::new(challenger, shape);
    transcript.claimed_openings(&values);
    let (challenge, work) = transcript.batch_phase();

    let columns = reduce(&rounds, &values, &distances, challenge, fri.log_blowup);
    let folding: TwoAdicFriFoldingForMmcs<KoalaBear, ValueMmcs> = p3_fri::TwoAdicFriFolding(PhantomData);
    let proof = transcript.delegate(|challenger| {
        let log_tallest = tallest.ilog2() as usize;
        prove_fri(&folding, fri, columns, challenger, log_tallest, requests, mmcs, work.unwrap_or_default())
    });
    match proof {
        Ok(proof) => {
            transcript.finish();
            Ok((values, proof))
        }
        Err(error) => {
            transcript.abort();
            Err(error)
        }
    }
}

/// The points where columns are committed, in bit-reversed order. A shorter column stands at the first of them.
fn places(len: usize) -> Vec<Packed> {
    let log_len = len.ilog2() as usize;
    let generator = KoalaBear::two_adic_generator(log_len);
    let log_groups = log_len - LOG_LANES;
    let stride = generator.exp_power_of_2(log_groups);
    let lanes = Packed::from_fn(|lane| KoalaBear::GENERATOR * stride.exp_u64(reversed(lane, LOG_LANES) as u64));
    let powers = generator.powers().collect_n(1 << log_groups);
    (0..1 << log_groups).into_par_iter().map(|group| lanes * powers[reversed(group, log_groups)]).collect()
}

/// One over the distance of a point from each place.
struct Distance {
    point: Extension,
    inverses: Vec<PackedExtension>,
}

impl Distance {
    /// To all points that something is opened at, as many places as the tallest such matrix has.
    fn all(rounds: &[Vec<Wanted<'_>>], places: &[Packed]) -> Vec<Self> {
        let mut heights: Vec<(Extension, usize)> = Vec::new();
        for wanted in rounds.iter().flatten() {
            for point in wanted.points {
                match heights.iter_mut().find(|(known, _)| known == point) {
                    Some((_, height)) => *height = wanted.matrix.height().max(*height),
                    None => heights.push((*point, wanted.matrix.height())),
                }
            }
        }
        heights.into_iter().map(|(point, height)| Self::new(point, &places[..height / LANES])).collect()
    }

    fn new(point: Extension, places: &[Packed]) -> Self {
        let mut inverses = vec![PackedExtension::ZERO; places.len()];
        inverses.par_chunks_mut(GROUPS).zip(places.par_chunks(GROUPS)).for_each(|(inverses, places)| {
            let distances: Vec<PackedExtension> =
                places.iter().map(|place| PackedExtension::from(point) - *place).collect();
            batch_multiplicative_inverse_general(&distances, inverses, invert_lanes);
        });
        Self { point, inverses }
    }

    fn of<'a>(distances: &'a [Self], point: &Extension) -> &'a Self {
        let found = distances.iter().find(|distance| distance.point == *point);
        found.unwrap_or_else(|| unreachable!("there are distances to all points"))
    }
}

/// What each column of a matrix is at each of the points, by the barycentric formula over as many places as the column's
/// table has rows.
fn evaluate(wanted: &Wanted<'_>, distances: &[Distance], log_blowup: usize) -> Vec<Vec<Extension>> {
    let width = wanted.matrix.width;
    let rows = wanted.matrix.height() >> log_blowup;
    let groups = rows / LANES;
    let scaled = wanted.points.iter().map(|point| {
        let inverse = PackedExtension::from(point.inverse());
        let weights = Distance::of(distances, point).inverses[..groups].iter().map(|distance| *distance - inverse);
        (*point, weights.collect())
    });
    let (points, weights): (Vec<Extension>, Vec<Vec<PackedExtension>>) = scaled.unzip();
    let sums = (0..groups.div_ceil(GROUPS))
        .into_par_iter()
        .map(|task| weighted_sums(wanted.matrix, &weights, task * GROUPS..groups.min((task + 1) * GROUPS)))
        .reduce_with(|mut sums, others| {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
            sums
        });
    let sums = sums.unwrap_or_else(|| unreachable!("a table has rows"));
    let shift = KoalaBear::GENERATOR.exp_u64(rows as u64);
    let unit = (shift * KoalaBear::from_usize(rows)).inverse();
    let of_point = points.iter().zip(sums.chunks_exact(sums.len() / points.len()));
    let values = of_point.map(|(point, sums)| {
        let scale = *point * (point.exp_u64(rows as u64) - shift) * unit;
        (0..width).map(|column| column_sum(sums, width, column) * scale).collect()
    });
    values.collect()
}

/// For each of the points, the sums of a matrix's rows times their weights, over some vectors of rows: a vector of columns
/// at a time, or, where there are too few columns for a vector, column by column with a row in each lane.
#[inline(never)]
fn weighted_sums(
    matrix: &RowMajorMatrix<KoalaBear>,
    weights: &[Vec<PackedExtension>],
    groups: std::ops::Range<usize>,
) -> Vec<PackedExtension> {
    let width = matrix.width;
    let vectors = if width < LANES { width } else { width.div_ceil(LANES) };
    let mut sums = vec![PackedExtension::ZERO; vectors * weights.len()];
    let mut columns = Vec::new();
    for group in groups {
        let rows = &matrix.values[group * LANES * width..][..LANES * width];
        if width < LANES {
            gather(rows, width, &mut columns);
            for (weights, sums) in weights.iter().zip(sums.chunks_exact_mut(vectors)) {
                sums.iter_mut().zip(&columns).for_each(|(sum, column)| *sum += weights[group] * *column);
            }
            continue;
        }
        fetch(rows);
        for vector in 0..vectors {
            let at = (vector * LANES).min(width - LANES);
            let cells: [Packed; LANES] =
                std::array::from_fn(|row| *Packed::from_slice(&rows[row * width + at..][..LANES]));
            for (weights, sums) in weights.iter().zip(sums.chunks_exact_mut(vectors)) {
                let weights: &[Packed] = weights[group].as_basis_coefficients_slice();
                sums[vector] += PackedExtension::from_basis_coefficients_fn(|at| {
                    Packed::batched_linear_combination(&cells, weights[at].as_slice())
                });
            }
        }
    }
    sums
}

/// The sum of one column out of those of [`weighted_sums`].
fn column_sum(sums: &[PackedExtension], width: usize, column: usize) -> Extension {
    if width < LANES {
        return (0..LANES).map(|lane| sums[column].extract(lane)).sum();
    }
    let vector = column / LANES;
    let at = (vector * LANES).min(width - LANES);
    sums[vector].extract(column - at)
}

/// A matrix's part in the column that stands for all of a height.
struct Part<'a> {
    matrix: &'a RowMajorMatrix<KoalaBear>,
    /// The challenge's powers for each column at the first point: for each coefficient, that of each power.
    powers: [Vec<KoalaBear>; DIMENSION],
    /// The first point, and every other with how much higher its powers are.
    first: usize,
    others: Vec<(usize, PackedExtension)>,
}

/// All that is opened at columns of one height.
struct Level<'a> {
    height: usize,
    /// Columns times points so far: the next power of the challenge.
    taken: usize,
    /// The points, with what all columns together are said to be there.
    points: Vec<(&'a Distance, Extension)>,
    parts: Vec<Part<'a>>,
}

impl<'a> Level<'a> {
    fn point(&mut self, distances: &'a [Distance], point: &Extension) -> usize {
        let known = self.points.iter().position(|(distance, _)| distance.point == *point);
        known.unwrap_or_else(|| {
            self.points.push((Distance::of(distances, point), Extension::ZERO));
            self.points.len() - 1
        })
    }

    /// The column: for each point, all columns less what they are said to be there, over the distance from it.
    ///
    /// A combination of columns has no higher degree than they have, so it is worked out at as many places as a table has
    /// rows, and extended from there to all others.
    fn column(&self, log_blowup: usize) -> Vec<Extension> {
        let width = (DIMENSION * self.points.len()).next_multiple_of(LANES);
        let rows = self.height >> log_blowup;
        let mut combined = zeros(rows * width);
        combined
            .par_chunks_mut(GROUPS * LANES * width)
            .enumerate()
            .for_each_init(Vec::new, |columns, (task, cells)| self.combine(columns, task * GROUPS, cells, width));
        let combined = extend_committed(&RowMajorMatrix::new(combined, width), log_blowup);
        let mut column = Extension::zero_vec(self.height);
        column
            .par_chunks_mut(GROUPS * LANES)
            .zip(combined.values.par_chunks(GROUPS * LANES * width))
            .enumerate()
            .for_each_init(Vec::new, |columns, (task, (column, combined))| {
                self.divide(columns, task * GROUPS, combined, width, column);
            });
        column
    }

    /// All columns combined for each of the points, from a vector of rows on.
    #[inline(never)]
    fn combine(&self, columns: &mut Vec<Packed>, first: usize, cells: &mut [KoalaBear], combined_width: usize) {
        let mut sums = vec![PackedExtension::ZERO; self.points.len()];
        for (group, cells) in (first..).zip(cells.chunks_exact_mut(LANES * combined_width)) {
            for ((_, said), sum) in self.points.iter().zip(&mut sums) {
                *sum = (*said).into();
            }
            for part in &self.parts {
                let width = part.matrix.width;
                gather(&part.matrix.values[group * LANES * width..][..LANES * width], width, columns);
                let combined = PackedExtension::from_basis_coefficients_fn(|at| {
                    Packed::batched_linear_combination(columns, &part.powers[at])
                });
                sums[part.first] -= combined;
                part.others.iter().for_each(|(point, higher)| sums[*point] -= combined * *higher);
            }
            columns.clear();
            columns.extend(sums.iter().flat_map(|sum| sum.as_basis_coefficients_slice() as &[Packed]));
            columns.resize(combined_width, Packed::ZERO);
            scatter(columns, cells);
        }
    }

    /// What was combined over the distances, from a vector of rows on.
    #[inline(never)]
    fn divide(
        &self,
        columns: &mut Vec<Packed>,
        first: usize,
        combined: &[KoalaBear],
        width: usize,
        column: &mut [Extension],
    ) {
        let rows = combined.chunks_exact(LANES * width);
        for ((group, rows), column) in (first..).zip(rows).zip(column.chunks_exact_mut(LANES)) {
            gather(rows, width, columns);
            let sums = columns.chunks_exact(DIMENSION);
            let terms = self.points.iter().zip(sums).map(|((distance, _), sum)| {
                PackedExtension::from_basis_coefficients_fn(|at| sum[at]) * distance.inverses[group]
            });
            terms.sum::<PackedExtension>().to_ext_slice(column);
        }
    }
}

/// One column for each height, tallest first.
fn reduce<'a>(
    rounds: &[Vec<Wanted<'a>>],
    values: &OpenedValues<Extension>,
    distances: &'a [Distance],
    challenge: Extension,
    log_blowup: usize,
) -> Vec<Vec<Extension>> {
    let mut levels: Vec<Level<'a>> = Vec::new();
    for (wanted, values) in rounds.iter().flatten().zip(values.iter().flatten()) {
        let (height, width) = (wanted.matrix.height(), wanted.matrix.width);
        let level = match levels.iter().position(|level| level.height == height) {
            Some(known) => &mut levels[known],
            None => {
                levels.push(Level { height, taken: 0, points: Vec::new(), parts: Vec::new() });
                levels.last_mut().unwrap_or_else(|| unreachable!("one was just put there"))
            }
        };
        let start = challenge.exp_u64(level.taken as u64);
        let powers = challenge.shifted_powers(start).collect_n(width);
        let mut places = Vec::with_capacity(values.len());
        for (number, (point, values)) in wanted.points.iter().zip(values).enumerate() {
            let higher = challenge.exp_u64((number * width) as u64);
            let said: Extension = dot_product(powers.iter().copied(), values.iter().copied());
            let place = level.point(distances, point);
            level.points[place].1 += said * higher;
            places.push((place, higher.into()));
        }
        level.taken += width * places.len();
        let (first, _) = places.remove(0);
        level.parts.push(Part { matrix: wanted.matrix, powers: split_powers(&powers), first, others: places });
    }
    levels.sort_by_key(|level| std::cmp::Reverse(level.height));
    levels.iter().map(|level| level.column(log_blowup)).collect()
}
