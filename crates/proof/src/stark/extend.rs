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
const COLUMNS: usize = VECTORS * LANES;
/// Some columns of a row.
type Piece = [Packed; VECTORS];

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
    let (rows, width) = (table.height(), table.width);
    let log_rows = rows.ilog2() as usize;
    let transform = Transform {
        log_rows,
        log_piece: log_rows.div_ceil(2),
        width,
        roots: Roots::of(log_rows),
        shifts: {
            let root = KoalaBear::two_adic_generator(log_rows + added_bits);
            (0..1 << added_bits).map(|range| shift * root.exp_u64(reversed(range, added_bits) as u64)).collect()
        },
    };
    let mut cells = zeros((rows << added_bits) * width);
    transform.lower_inverse(&table.values, &mut cells[..rows * width]);
    transform.upper(&mut cells);
    transform.lower_forward(&mut cells);
    RowMajorMatrix::new(cells, width)
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

struct Transform {
    log_rows: usize,
    /// Power of the rows that lie together in the first and last pass.
    log_piece: usize,
    width: usize,
    roots: &'static Roots,
    /// Where each range of points starts.
    shifts: Vec<KoalaBear>,
}

impl Transform {
    /// The layers from values to coefficients whose blocks are no longer than a piece.
    fn lower_inverse(&self, table: &[KoalaBear], cells: &mut [KoalaBear]) {
        let (width, log_piece) = (self.width, self.log_piece);
        cells.par_chunks_exact_mut(width << log_piece).enumerate().for_each_init(
            Vec::new,
            |scratch, (piece, cells)| {
                for column in (0..width).step_by(COLUMNS) {
                    scratch.clear();
                    scratch.extend((0..1 << log_piece).map(|row| {
                        let from = reversed((piece << log_piece) + row, self.log_rows);
                        load(&table[from * width..][..width], column)
                    }));
                    for layer in 0..log_piece {
                        let blocks = &self.roots.inverse[piece << (log_piece - 1 - layer)..];
                        inverse_layer(scratch, layer, blocks);
                    }
                    for (row, values) in cells.chunks_exact_mut(width).zip(&*scratch) {
                        store(row, column, values);
                    }
                }
            },
        );
    }

    /// All other layers to the coefficients, and as many from them, for each range of points.
    fn upper(&self, cells: &mut [KoalaBear]) {
        let (width, log_piece) = (self.width, self.log_piece);
        let layers = self.log_rows - log_piece;
        let unit = Packed::from(KoalaBear::from_usize(1 << self.log_rows).inverse());
        // Rows that meet in these layers are a piece apart.
        let mut groups: Vec<Vec<&mut [KoalaBear]>> = Vec::new();
        groups.resize_with(1 << log_piece, || Vec::with_capacity(self.shifts.len() << layers));
        for piece in cells.chunks_exact_mut(width << log_piece) {
            groups.iter_mut().zip(piece.chunks_exact_mut(width)).for_each(|(group, row)| group.push(row));
        }
        groups.into_par_iter().for_each_init(
            <(Vec<Piece>, Vec<Piece>)>::default,
            |(coefficients, values), mut group| {
                for column in (0..width).step_by(COLUMNS) {
                    coefficients.clear();
                    coefficients.extend(group[..1 << layers].iter().map(|row| load(row, column)));
                    for layer in 0..layers {
                        inverse_layer(coefficients, layer, &self.roots.inverse);
                    }
                    for coefficient in coefficients.iter_mut().flatten() {
                        *coefficient *= unit;
                    }
                    for (shift, rows) in self.shifts.iter().zip(group.chunks_exact_mut(1 << layers)) {
                        values.clear();
                        values.extend_from_slice(coefficients);
                        for layer in (0..layers).rev() {
                            let step = shift.exp_power_of_2(log_piece + layer);
                            forward_layer(values, layer, &self.roots.forward, step);
                        }
                        for (row, values) in rows.iter_mut().zip(&*values) {
                            store(row, column, values);
                        }
                    }
                }
            },
        );
    }

    /// The layers from coefficients to values whose blocks are no longer than a piece.
    fn lower_forward(&self, cells: &mut [KoalaBear]) {
        let (width, log_piece) = (self.width, self.log_piece);
        let pieces = 1 << (self.log_rows - log_piece);
        cells.par_chunks_exact_mut(width << log_piece).enumerate().for_each_init(
            Vec::new,
            |scratch, (piece, cells)| {
                let (shift, piece) = (self.shifts[piece / pieces], piece % pieces);
                for column in (0..width).step_by(COLUMNS) {
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
            },
        );
    }
}

/// Some columns of a row, zeros behind the last.
#[inline(always)]
fn load(row: &[KoalaBear], column: usize) -> Piece {
    let row = &row[column..];
    if let Some(cells) = row.first_chunk::<COLUMNS>() {
        return std::array::from_fn(|vector| *Packed::from_slice(&cells[vector * LANES..][..LANES]));
    }
    let mut cells = [KoalaBear::ZERO; COLUMNS];
    cells[..row.len()].copy_from_slice(row);
    std::array::from_fn(|vector| *Packed::from_slice(&cells[vector * LANES..][..LANES]))
}

#[inline(always)]
fn store(row: &mut [KoalaBear], column: usize, values: &Piece) {
    for (cells, vector) in row[column..].chunks_mut(LANES).zip(values) {
        let len = cells.len();
        cells.copy_from_slice(&vector.as_slice()[..len]);
    }
}

/// A layer towards the coefficients: sums, and differences times the inverse root of the block.
#[inline]
fn inverse_layer(values: &mut [Piece], layer: usize, roots: &[KoalaBear]) {
    for (block, root) in values.chunks_exact_mut(2 << layer).zip(roots) {
        let root = Packed::from(*root);
        let (low, high) = block.split_at_mut(1 << layer);
        for (low, high) in low.iter_mut().zip(high) {
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, (*low - *high) * root);
            }
        }
    }
}

/// A layer from the coefficients: the upper half times the root of the block and a power of the shift, added and taken off.
#[inline]
fn forward_layer(values: &mut [Piece], layer: usize, roots: &[KoalaBear], step: KoalaBear) {
    for (block, root) in values.chunks_exact_mut(2 << layer).zip(roots) {
        let root = Packed::from(*root * step);
        let (low, high) = block.split_at_mut(1 << layer);
        for (low, high) in low.iter_mut().zip(high) {
            for (low, high) in low.iter_mut().zip(high) {
                let moved = *high * root;
                (*low, *high) = (*low + moved, *low - moved);
            }
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
