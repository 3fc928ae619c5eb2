//! The layers of a Fourier transform over values that lie in the cache, a vector of columns to each value: two layers at a time,
//! so that each pair loads and stores a value once. Roots are those of a layer's blocks, the same for all columns.

use crate::stark::rows::Packed;
use ghostplane_ghostcipher::poseidon2::KoalaBear;

/// Some columns of a row.
pub(super) type Piece<const V: usize> = [Packed; V];

/// A step towards the coefficients: sum, and difference times the inverse root of the block.
#[inline(always)]
fn inverse_two(low: Packed, high: Packed, root: KoalaBear) -> (Packed, Packed) {
    (low + high, (low - high) * root)
}

/// A step from the coefficients: the upper half times the root of the block, added and taken off.
#[inline(always)]
fn forward_two(low: Packed, high: Packed, root: KoalaBear) -> (Packed, Packed) {
    let moved = high * root;
    (low + moved, low - moved)
}

/// Two layers' roots for four values that meet in them: of both blocks of the lower layer, and of that of the upper.
#[derive(Clone, Copy)]
struct FourRoots {
    lower: [KoalaBear; 2],
    upper: KoalaBear,
}

impl FourRoots {
    /// Of a block, by the roots of both layers.
    #[inline(always)]
    fn new(lower: &[KoalaBear], upper: &[KoalaBear], block: usize) -> Self {
        Self { lower: [lower[2 * block], lower[2 * block + 1]], upper: upper[block] }
    }

    #[inline(always)]
    fn inverse(self, [a, b, c, d]: [Packed; 4]) -> [Packed; 4] {
        let (a, b) = inverse_two(a, b, self.lower[0]);
        let (c, d) = inverse_two(c, d, self.lower[1]);
        let (a, c) = inverse_two(a, c, self.upper);
        let (b, d) = inverse_two(b, d, self.upper);
        [a, b, c, d]
    }

    #[inline(always)]
    fn forward(self, [a, b, c, d]: [Packed; 4]) -> [Packed; 4] {
        let (a, c) = forward_two(a, c, self.upper);
        let (b, d) = forward_two(b, d, self.upper);
        let (a, b) = forward_two(a, b, self.lower[0]);
        let (c, d) = forward_two(c, d, self.lower[1]);
        [a, b, c, d]
    }
}

/// All layers but the two with the longest blocks.
#[inline(always)]
pub(super) fn inverse_layers<'r, const V: usize>(values: &mut [Piece<V>], roots: impl Fn(usize) -> &'r [KoalaBear]) {
    let layers = values.len().ilog2() as usize - 2;
    for layer in (0..layers - layers % 2).step_by(2) {
        let (lower, upper) = (roots(layer), roots(layer + 1));
        for (block, values) in values.chunks_exact_mut(4 << layer).enumerate() {
            let roots = FourRoots::new(lower, upper, block);
            for_quarters(values, |four| roots.inverse(four));
        }
    }
    if layers % 2 == 1 {
        for (values, root) in values.chunks_exact_mut(1 << layers).zip(roots(layers - 1)) {
            for_halves(values, |low, high| inverse_two(low, high, *root));
        }
    }
}

/// The two layers with the longest blocks, to rows.
#[inline(always)]
pub(super) fn inverse_write<'r, const V: usize>(
    values: &[Piece<V>],
    roots: impl Fn(usize) -> &'r [KoalaBear],
    mut write: impl FnMut(usize, usize, Packed),
) {
    let log_len = values.len().ilog2() as usize;
    let roots = FourRoots::new(roots(log_len - 2), roots(log_len - 1), 0);
    let [a, b, c, d] = quarters(values);
    let quarter = a.len();
    for row in 0..quarter {
        for vector in 0..V {
            let four = roots.inverse([a[row][vector], b[row][vector], c[row][vector], d[row][vector]]);
            write(row, vector, four[0]);
            write(row + quarter, vector, four[1]);
            write(row + 2 * quarter, vector, four[2]);
            write(row + 3 * quarter, vector, four[3]);
        }
    }
}

/// The two layers with the longest blocks, where the block's root is one, and all times `unit`.
#[inline(always)]
pub(super) fn inverse_end<'r, const V: usize>(
    values: &mut [Piece<V>],
    roots: impl Fn(usize) -> &'r [KoalaBear],
    unit: KoalaBear,
) {
    let root = roots(values.len().ilog2() as usize - 2)[1];
    for_quarters(values, |[a, b, c, d]| {
        let (a, b, c, d) = (a + b, a - b, c + d, (c - d) * root);
        [(a + c) * unit, (b + d) * unit, (a - c) * unit, (b - d) * unit]
    });
}

/// The two layers with the longest blocks, from `piece` to `values`.
#[inline(always)]
pub(super) fn forward_first<'r, const V: usize>(
    piece: &[Piece<V>],
    values: &mut [Piece<V>],
    roots: impl Fn(usize) -> &'r [KoalaBear],
) {
    let log_len = piece.len().ilog2() as usize;
    let roots = FourRoots::new(roots(log_len - 2), roots(log_len - 1), 0);
    let ([a, b, c, d], [into_a, into_b, into_c, into_d]) = (quarters(piece), quarters_mut(values));
    for row in 0..a.len() {
        for vector in 0..V {
            let four = roots.forward([a[row][vector], b[row][vector], c[row][vector], d[row][vector]]);
            [into_a[row][vector], into_b[row][vector], into_c[row][vector], into_d[row][vector]] = four;
        }
    }
}

/// The layers between [`forward_first`] and [`forward_write`].
#[inline(always)]
pub(super) fn forward_layers<'r, const V: usize>(values: &mut [Piece<V>], roots: impl Fn(usize) -> &'r [KoalaBear]) {
    let layers = values.len().ilog2() as usize - 2;
    if layers > 2 && layers % 2 == 1 {
        for (values, root) in values.chunks_exact_mut(1 << layers).zip(roots(layers - 1)) {
            for_halves(values, |low, high| forward_two(low, high, *root));
        }
    }
    for layer in (2..layers - layers % 2).step_by(2).rev() {
        let (lower, upper) = (roots(layer), roots(layer + 1));
        for (block, values) in values.chunks_exact_mut(4 << layer).enumerate() {
            let roots = FourRoots::new(lower, upper, block);
            for_quarters(values, |four| roots.forward(four));
        }
    }
}

/// The layers with the shortest blocks that are left, two at most, to rows.
#[inline(always)]
pub(super) fn forward_write<'r, const V: usize>(
    values: &mut [Piece<V>],
    roots: impl Fn(usize) -> &'r [KoalaBear],
    mut write: impl FnMut(usize, usize, Packed),
) {
    let log_len = values.len().ilog2() as usize;
    if log_len >= 4 {
        let (lower, upper) = (roots(0), roots(1));
        for (block, values) in values.chunks_exact(4).enumerate() {
            let roots = FourRoots::new(lower, upper, block);
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| &values[row]);
            for vector in 0..V {
                let [a, b, c, d] = roots.forward([a[vector], b[vector], c[vector], d[vector]]);
                write(4 * block, vector, a);
                write(4 * block + 1, vector, b);
                write(4 * block + 2, vector, c);
                write(4 * block + 3, vector, d);
            }
        }
        return;
    }
    if log_len == 3 {
        for (values, root) in values.chunks_exact_mut(2).zip(roots(0)) {
            for_halves(values, |low, high| forward_two(low, high, *root));
        }
    }
    for (row, piece) in values.iter().enumerate() {
        piece.iter().enumerate().for_each(|(vector, value)| write(row, vector, *value));
    }
}

fn quarters<T>(values: &[T]) -> [&[T]; 4] {
    let (low, high) = values.split_at(values.len() / 2);
    let ((a, b), (c, d)) = (low.split_at(low.len() / 2), high.split_at(high.len() / 2));
    [a, b, c, d]
}

fn quarters_mut<T>(values: &mut [T]) -> [&mut [T]; 4] {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (a, b) = low.split_at_mut(low.len() / 2);
    let (c, d) = high.split_at_mut(high.len() / 2);
    [a, b, c, d]
}

/// Four values at a time that are a quarter apart.
#[inline(always)]
fn for_quarters<const V: usize>(values: &mut [Piece<V>], step: impl Fn([Packed; 4]) -> [Packed; 4]) {
    let [a, b, c, d] = quarters_mut(values);
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        for vector in 0..V {
            [a[vector], b[vector], c[vector], d[vector]] = step([a[vector], b[vector], c[vector], d[vector]]);
        }
    }
}

/// Two values at a time that are half apart.
#[inline(always)]
fn for_halves<const V: usize>(values: &mut [Piece<V>], step: impl Fn(Packed, Packed) -> (Packed, Packed)) {
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (low, high) in low.as_flattened_mut().iter_mut().zip(high.as_flattened_mut()) {
        (*low, *high) = step(*low, *high);
    }
}
