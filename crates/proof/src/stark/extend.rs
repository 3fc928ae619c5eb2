//! The columns of a table over a longer range of points.
//!
//! A table's rows are read in bit-reversed order, and each column becomes its coefficients in natural order, and the
//! coefficients its values at the longer range in bit-reversed order, which is how columns are committed: no other pass
//! moves rows about. Twiddles are the same for all of a block. Layers are taken in three passes, each over pieces that lie
//! in the cache: some rows, and so many columns of them as fill two vectors.

use crate::stark::rows::{LANES, Packed, reversed};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_field::{Field, PackedValue, PrimeCharacteristicRing, TwoAdicField};
use p3_matrix::Matrix;
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;
use std::sync::OnceLock;

/// Vectors of columns that are worked on together.
const VECTORS: usize = 2;
/// Some columns of a row.
type Piece<const V: usize> = [Packed; V];

/// Powers of a root of unity and of its inverse, in bit-reversed order: a shorter range's are the first of them.
struct Roots {
    forward: Vec<KoalaBear>,
    inverse: Vec<KoalaBear>,
}

impl Roots {
    /// For tables of so many rows.
    fn of(log_rows: usize) -> &'static Self {
        static KNOWN: [OnceLock<Roots>; KoalaBear::TWO_ADICITY + 1] =
            [const { OnceLock::new() }; KoalaBear::TWO_ADICITY + 1];
        KNOWN[log_rows].get_or_init(|| {
            let root = KoalaBear::two_adic_generator(log_rows);
            let bits = log_rows.saturating_sub(1);
            let powers = |root: KoalaBear| {
                let powers = root.powers().collect_n(1 << bits);
                (0..1 << bits).map(|at| powers[reversed(at, bits)]).collect()
            };
            Self { forward: powers(root), inverse: powers(root.inverse()) }
        })
    }
}

/// The columns of a table at 2^`added_bits` times as many points, away from where the table has them by `shift`.
pub(super) fn extend(
    table: &RowMajorMatrix<KoalaBear>,
    added_bits: usize,
    shift: KoalaBear,
) -> RowMajorMatrix<KoalaBear> {
    if table.width <= LANES {
        Transform::<1>::extend(table, added_bits, shift.into())
    } else {
        Transform::<VECTORS>::extend(table, added_bits, shift.into())
    }
}

/// The columns over both halves of the quotient's points, each moved to the points where everything is committed: the first
/// half stands there already, the second is a step ahead.
pub(super) fn extend_halves(
    halves: &[RowMajorMatrix<KoalaBear>; 2],
    added_bits: usize,
) -> [RowMajorMatrix<KoalaBear>; 2] {
    let (rows, width) = (halves[0].height(), halves[0].width);
    let back = KoalaBear::two_adic_generator(rows.ilog2() as usize + 1).inverse();
    if 2 * width > LANES {
        return [extend(&halves[0], added_bits, KoalaBear::ONE), extend(&halves[1], added_bits, back)];
    }
    // Both fit into one vector.
    let rows_of = |half: usize| halves[half].values.chunks_exact(width);
    let joint = rows_of(0).zip(rows_of(1)).flat_map(|(one, other)| one.iter().chain(other)).copied().collect();
    let shift = Packed::from_fn(|lane| if lane < width { KoalaBear::ONE } else { back });
    let joint = Transform::<1>::extend(&RowMajorMatrix::new(joint, 2 * width), added_bits, shift);
    [0, width].map(|column| {
        let cells = joint.values.chunks_exact(2 * width).flat_map(|row| &row[column..column + width]);
        RowMajorMatrix::new(cells.copied().collect(), width)
    })
}

/// Room that all threads clear together.
fn zeros(len: usize) -> Vec<KoalaBear> {
    const ROOM: usize = 1 << 10;
    let room: Vec<[KoalaBear; ROOM]> =
        (0..len.div_ceil(ROOM)).into_par_iter().map(|_| [KoalaBear::ZERO; ROOM]).collect();
    let mut cells = room.into_flattened();
    cells.truncate(len);
    cells
}

struct Transform<const V: usize> {
    log_rows: usize,
    /// Power of the rows that lie together in the first and last pass.
    log_piece: usize,
    width: usize,
    roots: &'static Roots,
    /// Where each range of points starts, for each lane.
    shifts: Vec<Packed>,
}

impl<const V: usize> Transform<V> {
    const COLUMNS: usize = V * LANES;

    fn extend(table: &RowMajorMatrix<KoalaBear>, added_bits: usize, shift: Packed) -> RowMajorMatrix<KoalaBear> {
        let (rows, width) = (table.height(), table.width);
        let log_rows = rows.ilog2() as usize;
        let root = KoalaBear::two_adic_generator(log_rows + added_bits);
        let range = |range| shift * root.exp_u64(reversed(range, added_bits) as u64);
        let transform = Self {
            log_rows,
            log_piece: log_rows.div_ceil(2),
            width,
            roots: Roots::of(log_rows),
            shifts: (0..1 << added_bits).map(range).collect(),
        };
        let mut cells = zeros((rows << added_bits) * width);
        transform.lower_inverse(&table.values, &mut cells[..rows * width]);
        transform.upper(&mut cells);
        transform.lower_forward(&mut cells);
        RowMajorMatrix::new(cells, width)
    }

    /// The layers from values to coefficients whose blocks are no longer than a piece.
    fn lower_inverse(&self, table: &[KoalaBear], cells: &mut [KoalaBear]) {
        let pieces = cells.par_chunks_exact_mut(self.width << self.log_piece).enumerate();
        pieces
            .for_each_init(Vec::new, |scratch, (piece, cells)| self.lower_inverse_piece(scratch, piece, table, cells));
    }

    #[inline(never)]
    fn lower_inverse_piece(
        &self,
        scratch: &mut Vec<Piece<V>>,
        piece: usize,
        table: &[KoalaBear],
        cells: &mut [KoalaBear],
    ) {
        let (width, log_piece) = (self.width, self.log_piece);
        for column in (0..width).step_by(Self::COLUMNS) {
            scratch.clear();
            scratch.extend((0..1 << log_piece).map(|row| {
                let from = reversed((piece << log_piece) + row, self.log_rows);
                load(&table[from * width..][..width], column)
            }));
            for layer in 0..log_piece {
                inverse_layer(scratch, layer, &self.roots.inverse[piece << (log_piece - 1 - layer)..]);
            }
            for (row, values) in cells.chunks_exact_mut(width).zip(&*scratch) {
                store(row, column, values);
            }
        }
    }

    /// All other layers to the coefficients, and as many from them, for each range of points.
    fn upper(&self, cells: &mut [KoalaBear]) {
        let layers = self.log_rows - self.log_piece;
        // Rows that meet in these layers are a piece apart.
        let mut groups: Vec<Vec<&mut [KoalaBear]>> = Vec::new();
        groups.resize_with(1 << self.log_piece, || Vec::with_capacity(self.shifts.len() << layers));
        for piece in cells.chunks_exact_mut(self.width << self.log_piece) {
            groups.iter_mut().zip(piece.chunks_exact_mut(self.width)).for_each(|(group, row)| group.push(row));
        }
        let room = <(Vec<Piece<V>>, Vec<Piece<V>>)>::default;
        groups.into_par_iter().for_each_init(room, |(coefficients, values), mut group| {
            self.upper_group(coefficients, values, &mut group);
        });
    }

    #[inline(never)]
    fn upper_group(
        &self,
        coefficients: &mut Vec<Piece<V>>,
        values: &mut Vec<Piece<V>>,
        group: &mut [&mut [KoalaBear]],
    ) {
        let layers = self.log_rows - self.log_piece;
        let unit = Packed::from(KoalaBear::from_usize(1 << self.log_rows).inverse());
        for column in (0..self.width).step_by(Self::COLUMNS) {
            coefficients.clear();
            coefficients.extend(group[..1 << layers].iter().map(|row| load(row, column)));
            for layer in 0..layers - 1 {
                inverse_layer(coefficients, layer, &self.roots.inverse);
            }
            // The last layer is one block, whose root is one.
            let (low, high) = coefficients.split_at_mut(1 << (layers - 1));
            for (low, high) in low.as_flattened_mut().iter_mut().zip(high.as_flattened_mut()) {
                (*low, *high) = ((*low + *high) * unit, (*low - *high) * unit);
            }
            for (shift, rows) in self.shifts.iter().zip(group.chunks_exact_mut(1 << layers)) {
                values.clear();
                values.extend_from_slice(coefficients);
                for layer in (0..layers).rev() {
                    let step = shift.exp_power_of_2(self.log_piece + layer);
                    forward_layer(values, layer, &self.roots.forward, step);
                }
                for (row, values) in rows.iter_mut().zip(&*values) {
                    store(row, column, values);
                }
            }
        }
    }

    /// The layers from coefficients to values whose blocks are no longer than a piece.
    fn lower_forward(&self, cells: &mut [KoalaBear]) {
        let pieces = cells.par_chunks_exact_mut(self.width << self.log_piece).enumerate();
        pieces.for_each_init(Vec::new, |scratch, (piece, cells)| self.lower_forward_piece(scratch, piece, cells));
    }

    #[inline(never)]
    fn lower_forward_piece(&self, scratch: &mut Vec<Piece<V>>, piece: usize, cells: &mut [KoalaBear]) {
        let (width, log_piece) = (self.width, self.log_piece);
        let log_pieces = self.log_rows - log_piece;
        let (shift, piece) = (self.shifts[piece >> log_pieces], piece % (1 << log_pieces));
        for column in (0..width).step_by(Self::COLUMNS) {
            scratch.clear();
            scratch.extend(cells.chunks_exact(width).map(|row| load(row, column)));
            for layer in (0..log_piece).rev() {
                let blocks = &self.roots.forward[piece << (log_piece - 1 - layer)..];
                forward_layer(scratch, layer, blocks, shift.exp_power_of_2(layer));
            }
            for (row, values) in cells.chunks_exact_mut(width).zip(&*scratch) {
                store(row, column, values);
            }
        }
    }
}

/// Some columns of a row, zeros behind the last.
#[inline(always)]
fn load<const V: usize>(row: &[KoalaBear], column: usize) -> Piece<V> {
    let row = &row[column..];
    let mut piece = [Packed::ZERO; V];
    if row.len() >= V * LANES {
        for (vector, cells) in piece.iter_mut().zip(row.chunks_exact(LANES)) {
            *vector = *Packed::from_slice(cells);
        }
    } else {
        for (vector, cells) in piece.iter_mut().zip(row.chunks(LANES)) {
            vector.as_slice_mut().iter_mut().zip(cells).for_each(|(lane, cell)| *lane = *cell);
        }
    }
    piece
}

#[inline(always)]
fn store<const V: usize>(row: &mut [KoalaBear], column: usize, values: &Piece<V>) {
    let row = &mut row[column..];
    if row.len() >= V * LANES {
        for (cells, vector) in row.chunks_exact_mut(LANES).zip(values) {
            *Packed::from_slice_mut(cells) = *vector;
        }
    } else {
        for (cells, vector) in row.chunks_mut(LANES).zip(values) {
            cells.iter_mut().zip(vector.as_slice()).for_each(|(cell, lane)| *cell = *lane);
        }
    }
}

/// A layer towards the coefficients: sums, and differences times the inverse root of the block.
#[inline(always)]
fn inverse_layer<const V: usize>(values: &mut [Piece<V>], layer: usize, roots: &[KoalaBear]) {
    for (block, root) in values.chunks_exact_mut(2 << layer).zip(roots) {
        let root = Packed::from(*root);
        let (low, high) = block.split_at_mut(1 << layer);
        for (low, high) in low.as_flattened_mut().iter_mut().zip(high.as_flattened_mut()) {
            (*low, *high) = (*low + *high, (*low - *high) * root);
        }
    }
}

/// A layer from the coefficients: the upper half times the root of the block and a power of the shift, added and taken off.
#[inline(always)]
fn forward_layer<const V: usize>(values: &mut [Piece<V>], layer: usize, roots: &[KoalaBear], step: Packed) {
    for (block, root) in values.chunks_exact_mut(2 << layer).zip(roots) {
        let root = step * *root;
        let (low, high) = block.split_at_mut(1 << layer);
        for (low, high) in low.as_flattened_mut().iter_mut().zip(high.as_flattened_mut()) {
            let moved = *high * root;
            (*low, *high) = (*low + moved, *low - moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p3_dft::{Radix2DitParallel, TwoAdicSubgroupDft};
    use p3_matrix::bitrev::BitReversibleMatrix;

    #[test]
    fn a_column_is_extended_as_the_library_does() {
        for (log_rows, width) in [(5, 1), (5, 9), (6, 179), (9, 33), (10, 5), (11, 64)] {
            let mut cell = KoalaBear::new(7);
            let cells = std::iter::repeat_with(|| {
                cell = cell * cell + KoalaBear::new(5);
                cell
            });
            let table = RowMajorMatrix::new(cells.take(width << log_rows).collect(), width);
            for added_bits in 1..=3 {
                for shift in [KoalaBear::GENERATOR, KoalaBear::ONE, KoalaBear::two_adic_generator(12)] {
                    let expected = Radix2DitParallel::default().coset_lde_batch(table.clone(), added_bits, shift);
                    let expected = expected.bit_reverse_rows().to_row_major_matrix();
                    assert!(extend(&table, added_bits, shift) == expected, "2^{log_rows} x {width}, {added_bits}");
                }
            }
        }
    }
}
