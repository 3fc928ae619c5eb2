//! The columns of a table over a longer range of points.
//!
//! A table's rows are read in bit-reversed order, and each column becomes its coefficients in natural order, and the
//! coefficients its values at the longer range in bit-reversed order, which is how columns are committed: no other pass
//! moves rows about. Roots are the same for all of a block. Layers are taken in three parts, each over pieces that lie in
//! the cache: some rows, and so many columns of them as fill two vectors. Within a part, two layers are taken at a time, the
//! first two while rows are read and the last two while they are written: cells are hardly ever moved and nothing else.

use crate::stark::layers::{
    Piece, forward_first, forward_layers, forward_write, inverse_end, inverse_layers, inverse_write,
};
use crate::stark::rows::{LANES, Packed, reversed};
use crate::stark::zeros;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_field::{Field, PackedValue, PrimeCharacteristicRing, TwoAdicField};
use p3_matrix::Matrix;
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;
use std::sync::OnceLock;

/// Vectors of columns that are worked on together.
const VECTORS: usize = 2;
/// The columns of a table at 2^`added_bits` times as many points, away from where the table has them by `shift`.
pub(super) fn extend(
    table: &RowMajorMatrix<KoalaBear>,
    added_bits: usize,
    shift: KoalaBear,
) -> RowMajorMatrix<KoalaBear> {
    let width = table.width;
    if width < LANES {
        let mut wide = zeros(table.height() * LANES);
        wide.par_chunks_exact_mut(LANES)
            .zip(table.values.par_chunks_exact(width))
            .for_each(|(wide, row)| wide[..width].copy_from_slice(row));
        columns(&extend(&RowMajorMatrix::new(wide, LANES), added_bits, shift), 0, width)
    } else if width < VECTORS * LANES {
        Transform::<1>::new(table, Order::Natural, added_bits, shift, None).extend(table)
    } else {
        Transform::<VECTORS>::new(table, Order::Natural, added_bits, shift, None).extend(table)
    }
}

/// Columns at all points where they would be committed, from the first of these points, as many as a table has rows. There
/// is at least a vector of columns.
pub(super) fn extend_committed(first: &RowMajorMatrix<KoalaBear>, added_bits: usize) -> RowMajorMatrix<KoalaBear> {
    Transform::<1>::new(first, Order::Reversed, added_bits, KoalaBear::ONE, None).extend(first)
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
    let mut joint = zeros(rows * LANES);
    joint.par_chunks_exact_mut(LANES).enumerate().for_each(|(row, cells)| {
        for (half, cells) in halves.iter().zip(cells.chunks_exact_mut(width)) {
            cells.copy_from_slice(&half.values[row * width..][..width]);
        }
    });
    let twist = Twist {
        moved: Packed::from_fn(|lane| KoalaBear::from_bool(lane >= width)),
        powers: back.powers().collect_n(rows),
    };
    let joint = RowMajorMatrix::new(joint, LANES);
    let joint = Transform::<1>::new(&joint, Order::Natural, added_bits, KoalaBear::ONE, Some(twist)).extend(&joint);
    [0, width].map(|first| columns(&joint, first, width))
}

/// Some columns of a table that is one vector wide.
fn columns(table: &RowMajorMatrix<KoalaBear>, first: usize, width: usize) -> RowMajorMatrix<KoalaBear> {
    let mut cells = zeros(table.height() * width);
    cells
        .par_chunks_exact_mut(width)
        .zip(table.values.par_chunks_exact(LANES))
        .for_each(|(cells, row)| cells.copy_from_slice(&row[first..first + width]));
    RowMajorMatrix::new(cells, width)
}

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

    /// Of each layer, for a range of points that starts at `start`.
    fn moved(&self, log_rows: usize, start: KoalaBear) -> Vec<Vec<KoalaBear>> {
        let layer = |layer: usize| {
            let step = start.exp_power_of_2(layer);
            self.forward[..1 << (log_rows - 1 - layer)].iter().map(|root| step * *root).collect()
        };
        (0..log_rows).map(layer).collect()
    }
}

/// How a table's rows are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Natural,
    Reversed,
}

/// Where the points of some lanes start.
struct Twist {
    /// One for such a lane, zero for one whose points start where the others' do.
    moved: Packed,
    /// Powers of the start.
    powers: Vec<KoalaBear>,
}

/// Room for columns that are worked on, for those that overlap the ones before them, and for what comes of either.
struct Room<const V: usize> {
    piece: Vec<Piece<V>>,
    last: Vec<Piece<V>>,
    values: Vec<Piece<V>>,
}

impl<const V: usize> Room<V> {
    fn new(log_len: usize) -> Self {
        let room = || vec![[Packed::ZERO; V]; 1 << log_len];
        Self { piece: room(), last: room(), values: room() }
    }
}

struct Transform<const V: usize> {
    log_rows: usize,
    /// Power of the rows that lie together in the first and last part.
    log_piece: usize,
    width: usize,
    order: Order,
    inverse: &'static [KoalaBear],
    /// For each range of points, the roots of each layer.
    forward: Vec<Vec<Vec<KoalaBear>>>,
    twist: Option<Twist>,
}

impl<const V: usize> Transform<V> {
    const COLUMNS: usize = V * LANES;

    fn new(
        table: &RowMajorMatrix<KoalaBear>,
        order: Order,
        added_bits: usize,
        shift: KoalaBear,
        twist: Option<Twist>,
    ) -> Self {
        let (log_rows, width) = (table.height().ilog2() as usize, table.width);
        assert!(width >= Self::COLUMNS, "a narrower table is widened before");
        let root = KoalaBear::two_adic_generator(log_rows + added_bits);
        let roots = Roots::of(log_rows);
        let range = |range| roots.moved(log_rows, shift * root.exp_u64(reversed(range, added_bits) as u64));
        Self {
            log_rows,
            log_piece: log_rows.div_ceil(2),
            width,
            order,
            inverse: &roots.inverse,
            forward: (0..1 << added_bits).map(range).collect(),
            twist,
        }
    }

    fn extend(&self, table: &RowMajorMatrix<KoalaBear>) -> RowMajorMatrix<KoalaBear> {
        let len = table.values.len();
        let mut cells = zeros(len * self.forward.len());
        self.lower_inverse(&table.values, &mut cells[..len]);
        self.upper(&mut cells);
        self.lower_forward(&mut cells);
        RowMajorMatrix::new(cells, self.width)
    }

    /// Where columns start that are worked on together, but for the last of them.
    fn blocks(&self) -> impl Iterator<Item = usize> {
        (0..self.last()).step_by(Self::COLUMNS)
    }

    /// Where the last of them start: they may overlap those before them, so they are read before anything is written.
    const fn last(&self) -> usize {
        self.width - Self::COLUMNS
    }

    /// The layers from values to coefficients whose blocks are no longer than a piece.
    fn lower_inverse(&self, table: &[KoalaBear], cells: &mut [KoalaBear]) {
        let pieces = cells.par_chunks_exact_mut(self.width << self.log_piece).enumerate();
        pieces.for_each_init(
            || Room::new(self.log_piece),
            |room, (piece, cells)| self.lower_inverse_piece(room, piece, table, cells),
        );
    }

    #[inline(never)]
    fn lower_inverse_piece(&self, room: &mut Room<V>, piece: usize, table: &[KoalaBear], cells: &mut [KoalaBear]) {
        let (width, log_piece) = (self.width, self.log_piece);
        let roots = |layer: usize| &self.inverse[piece << (log_piece - 1 - layer)..][..1 << (log_piece - 1 - layer)];
        let rows = piece << log_piece..(piece + 1) << log_piece;
        let place = |row| match self.order {
            Order::Natural => reversed(row, self.log_rows),
            Order::Reversed => row,
        };
        let rows: Vec<&[KoalaBear]> = rows.map(|row| &table[place(row) * width..][..width]).collect();
        for column in self.blocks().chain([self.last()]) {
            read(&mut room.piece, rows.iter().copied(), column);
            inverse_layers(&mut room.piece, roots);
            inverse_write(&room.piece, roots, |row, vector, value| {
                store(&mut cells[row * width..], column, vector, value);
            });
        }
    }

    /// All other layers to the coefficients, and as many from them, for each range of points.
    fn upper(&self, cells: &mut [KoalaBear]) {
        let layers = self.log_rows - self.log_piece;
        // Rows that meet in these layers are a piece apart.
        let mut groups: Vec<Vec<&mut [KoalaBear]>> = Vec::new();
        groups.resize_with(1 << self.log_piece, || Vec::with_capacity(self.forward.len() << layers));
        for piece in cells.chunks_exact_mut(self.width << self.log_piece) {
            groups.iter_mut().zip(piece.chunks_exact_mut(self.width)).for_each(|(group, row)| group.push(row));
        }
        groups.into_par_iter().enumerate().for_each_init(
            || Room::new(layers),
            |room, (number, mut group)| self.upper_group(room, number, &mut group),
        );
    }

    #[inline(never)]
    fn upper_group(&self, room: &mut Room<V>, number: usize, group: &mut [&mut [KoalaBear]]) {
        self.upper_inverse(&mut room.last, number, group, self.last());
        for column in self.blocks() {
            self.upper_inverse(&mut room.piece, number, group, column);
            self.upper_forward(&room.piece, &mut room.values, group, column);
        }
        self.upper_forward(&room.last, &mut room.values, group, self.last());
    }

    /// The coefficients of some columns.
    #[inline(always)]
    fn upper_inverse(&self, piece: &mut [Piece<V>], number: usize, group: &[&mut [KoalaBear]], column: usize) {
        let layers = self.log_rows - self.log_piece;
        let roots = |layer: usize| &self.inverse[..1 << (layers - 1 - layer)];
        read(piece, group.iter().map(|row| &**row), column);
        inverse_layers(piece, roots);
        inverse_end(piece, roots, KoalaBear::from_usize(1 << self.log_rows).inverse());
        if let Some(Twist { moved, powers }) = &self.twist {
            let powers = powers[number..].iter().step_by(1 << self.log_piece);
            for (coefficients, power) in piece.iter_mut().zip(powers) {
                let factor = Packed::ONE + *moved * (*power - KoalaBear::ONE);
                coefficients.iter_mut().for_each(|coefficient| *coefficient *= factor);
            }
        }
    }

    /// The layers from the coefficients of some columns that go with [`Self::upper_inverse`].
    #[inline(always)]
    fn upper_forward(
        &self,
        piece: &[Piece<V>],
        values: &mut [Piece<V>],
        group: &mut [&mut [KoalaBear]],
        column: usize,
    ) {
        let layers = self.log_rows - self.log_piece;
        for (roots, rows) in self.forward.iter().zip(group.chunks_exact_mut(1 << layers)) {
            let roots = |layer: usize| &roots[self.log_piece + layer][..1 << (layers - 1 - layer)];
            forward_first(piece, values, roots);
            forward_layers(values, roots);
            forward_write(values, roots, |row, vector, value| store(rows[row], column, vector, value));
        }
    }

    /// The layers from coefficients to values whose blocks are no longer than a piece.
    fn lower_forward(&self, cells: &mut [KoalaBear]) {
        let pieces = cells.par_chunks_exact_mut(self.width << self.log_piece).enumerate();
        pieces.for_each_init(
            || Room::new(self.log_piece),
            |room, (piece, cells)| self.lower_forward_piece(room, piece, cells),
        );
    }

    #[inline(never)]
    fn lower_forward_piece(&self, room: &mut Room<V>, piece: usize, cells: &mut [KoalaBear]) {
        let (width, log_piece) = (self.width, self.log_piece);
        let log_pieces = self.log_rows - log_piece;
        let (range, piece) = (piece >> log_pieces, piece % (1 << log_pieces));
        let roots = |layer: usize| {
            let blocks = 1 << (log_piece - 1 - layer);
            &self.forward[range][layer][piece * blocks..][..blocks]
        };
        let write = |piece: &[Piece<V>], values: &mut [Piece<V>], cells: &mut [KoalaBear], column| {
            forward_first(piece, values, roots);
            forward_layers(values, roots);
            forward_write(values, roots, |row, vector, value| {
                store(&mut cells[row * width..], column, vector, value);
            });
        };
        read(&mut room.last, cells.chunks_exact(width), self.last());
        for column in self.blocks() {
            read(&mut room.piece, cells.chunks_exact(width), column);
            write(&room.piece, &mut room.values, cells, column);
        }
        write(&room.last, &mut room.values, cells, self.last());
    }
}

/// Some columns of rows that lie far from each other: they are only moved, so that many are fetched at once.
#[inline(always)]
fn read<'a, const V: usize>(piece: &mut [Piece<V>], rows: impl Iterator<Item = &'a [KoalaBear]>, column: usize) {
    for (values, row) in piece.iter_mut().zip(rows) {
        values.copy_from_slice(Packed::pack_slice(&row[column..column + V * LANES]));
    }
}

#[inline(always)]
fn store(row: &mut [KoalaBear], column: usize, vector: usize, value: Packed) {
    *Packed::from_slice_mut(&mut row[column + vector * LANES..][..LANES]) = value;
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

    #[test]
    fn a_column_goes_on_from_its_first_points_to_all() {
        let cells = (3..).map(KoalaBear::new).take(LANES << 6);
        let table = RowMajorMatrix::new(cells.collect(), LANES);
        for added_bits in 1..=3 {
            let whole = extend(&table, added_bits, KoalaBear::GENERATOR);
            let first = RowMajorMatrix::new(whole.values[..LANES << 6].to_vec(), LANES);
            assert!(extend_committed(&first, added_bits) == whole, "{added_bits}");
        }
    }
}
