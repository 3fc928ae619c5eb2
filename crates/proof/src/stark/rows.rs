//! Rows of a table in vectors, and what a table's constraints and messages come to on them.

use crate::config::{DEGREE_MAX, Extension};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::{AirBuilder, RowWindow};
use p3_field::{
    Algebra, BasedVectorSpace, ExtensionField, Field, PackedFieldExtension, PackedFieldPow2, PackedValue,
    PrimeCharacteristicRing, PrimeField32, batch_multiplicative_inverse,
};
use p3_lookup::{Count, InteractionBuilder, Kind, Lookup};

pub(super) type Packed = <KoalaBear as Field>::Packing;
pub(super) type PackedExtension = <Extension as ExtensionField<KoalaBear>>::ExtensionPacking;
/// Rows of a vector.
pub(super) const LANES: usize = <Packed as PackedValue>::WIDTH;
/// The power of two that this is.
pub(super) const LOG_LANES: usize = LANES.ilog2() as usize;
/// Elements of an extension element.
pub(super) const DIMENSION: usize = 5;
/// Fields of the longest message, that of a node.
const FIELDS_MAX: usize = 19;
/// Messages that share a column: the denominators of two, and the column itself.
const SHARING: usize = DEGREE_MAX - 1;

/// A number of so many bits, read the other way round.
#[inline]
pub(super) fn reversed(number: usize, bits: usize) -> usize {
    if bits == 0 { 0 } else { number.reverse_bits() >> (usize::BITS as usize - bits) }
}

/// Turns a square of elements over: lane `a` of vector `b` becomes lane `b` of vector `a`.
#[inline(always)]
fn transpose(square: &mut [Packed; LANES]) {
    let mut block = LANES / 2;
    while block > 0 {
        for at in (0..LANES).filter(|at| at & block == 0) {
            (square[at], square[at + block]) = square[at].interleave(square[at + block], block);
        }
        block /= 2;
    }
}

/// Reads a word of each cache line of rows that will be needed in another order: so they come all at once.
#[inline]
pub(super) fn fetch(rows: &[KoalaBear]) {
    const LINE: usize = 64 / size_of::<KoalaBear>();
    std::hint::black_box(rows.iter().step_by(LINE).fold(0, |all, cell| all ^ cell.to_unique_u32()));
}

/// The columns of as many consecutive rows as a vector has lanes, a row to each lane.
#[inline]
pub(super) fn gather(rows: &[KoalaBear], width: usize, columns: &mut Vec<Packed>) {
    debug_assert_eq!(rows.len(), width * LANES);
    fetch(rows);
    columns.clear();
    let square = |at: usize| {
        let mut square: [Packed; LANES] =
            std::array::from_fn(|row| *Packed::from_slice(&rows[row * width + at..][..LANES]));
        transpose(&mut square);
        square
    };
    let whole = width - width % LANES;
    for at in (0..whole).step_by(LANES) {
        columns.extend(square(at));
    }
    if whole == width {
    } else if width >= LANES {
        // The last square overlaps the one before it.
        columns.extend_from_slice(&square(width - LANES)[LANES - (width - whole)..]);
    } else {
        columns.extend((0..width).map(|column| Packed::from_fn(|lane| rows[lane * width + column])));
    }
}

/// Writes columns back as rows: the reverse of [`gather`].
#[inline]
pub(super) fn scatter(columns: &[Packed], rows: &mut [KoalaBear]) {
    let width = columns.len();
    debug_assert_eq!(rows.len(), width * LANES);
    let mut put = |at: usize| {
        let mut square: [Packed; LANES] = std::array::from_fn(|column| columns[at + column]);
        transpose(&mut square);
        for (row, vector) in square.iter().enumerate() {
            rows[row * width + at..][..LANES].copy_from_slice(vector.as_slice());
        }
    };
    let whole = width - width % LANES;
    (0..whole).step_by(LANES).for_each(&mut put);
    if whole == width {
    } else if width >= LANES {
        put(width - LANES);
    } else {
        for (lane, row) in rows.chunks_exact_mut(width).enumerate() {
            row.iter_mut().zip(columns).for_each(|(cell, column)| *cell = column.as_slice()[lane]);
        }
    }
}

/// The inverse of each lane. None is zero but by a chance that soundness does without: a challenge would have to be what was
/// there before it.
pub(super) fn invert_lanes(product: PackedExtension) -> PackedExtension {
    let lanes: [Extension; LANES] = std::array::from_fn(|lane| product.extract(lane));
    PackedExtension::from_ext_slice(&batch_multiplicative_inverse(&lanes))
}

/// For each coefficient of an extension element, that of each of some powers.
pub(super) fn split_powers(powers: &[Extension]) -> [Vec<KoalaBear>; DIMENSION] {
    let coefficient = |power: &Extension, at: usize| -> KoalaBear {
        let coefficients: &[KoalaBear] = power.as_basis_coefficients_slice();
        coefficients[at]
    };
    std::array::from_fn(|at| powers.iter().map(|power| coefficient(power, at)).collect())
}

/// Which message of a table, in the order in which they are sent, stands in which place of which lookup column.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The lookup column of each message.
    pub(super) columns: Vec<usize>,
    /// The messages of each lookup column.
    pub(super) messages: Vec<Vec<usize>>,
}

impl Plan {
    /// Messages fill the columns of their bus two by two in the order in which they are sent.
    pub(super) fn new(lookups: &[Lookup<KoalaBear>], buses: &[String]) -> Self {
        let mut messages: Vec<Vec<usize>> = vec![Vec::new(); lookups.len()];
        let mut columns = Vec::with_capacity(buses.len());
        for (message, bus) in buses.iter().enumerate() {
            let own = |at: &usize| matches!(&lookups[*at].kind, Kind::Global(name) if name == bus);
            let open = |at: &usize| messages[*at].len() < lookups[*at].elements.len();
            let column = (0..lookups.len()).find(|at| own(at) && open(at));
            let column = column.unwrap_or_else(|| unreachable!("every message has a place in a column of its bus"));
            messages[column].push(message);
            columns.push(column);
        }
        debug_assert!(messages.iter().all(|messages| (1..=SHARING).contains(&messages.len())));
        Self { columns, messages }
    }
}

/// What the messages of a table are combined with.
#[derive(Clone, Debug)]
pub(super) struct Combiner {
    /// For each coefficient of an extension element, that of the powers of the combiner, highest first.
    powers: [Vec<KoalaBear>; DIMENSION],
    /// What each message is taken from: the challenge of its bus.
    bases: Vec<PackedExtension>,
}

impl Combiner {
    /// From the challenges of a table, two for each lookup column. Without any, nothing is told from anything.
    pub(super) fn new(plan: &Plan, challenges: &[Extension]) -> Self {
        let challenge = |at: usize| challenges.get(at).copied().unwrap_or_default();
        let mut powers = challenge(1).powers().collect_n(FIELDS_MAX);
        powers.reverse();
        Self {
            powers: split_powers(&powers),
            bases: plan.columns.iter().map(|column| challenge(2 * column).into()).collect(),
        }
    }
}

/// Where rows stand in the table: how far each is from being the first, the last, or any but the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Selectors {
    pub(super) is_first: Packed,
    pub(super) is_last: Packed,
    pub(super) is_transition: Packed,
}

/// Reads the constraints and messages of a table on a vector of rows.
pub(super) struct Reader<'a> {
    pub(super) row: &'a [Packed],
    pub(super) next: &'a [Packed],
    pub(super) known: &'a [Packed],
    pub(super) selectors: Selectors,
    pub(super) combiner: &'a Combiner,
    pub(super) heard: &'a mut Heard,
}

/// What a row asserts to be zero and what it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    pub(super) assertions: Vec<Packed>,
    /// The challenge less the message, for each message.
    pub(super) denominators: Vec<PackedExtension>,
    /// How often each is said.
    pub(super) counts: Vec<Packed>,
}

impl Heard {
    pub(super) fn clear(&mut self) {
        self.assertions.clear();
        self.denominators.clear();
        self.counts.clear();
    }

    /// Numerator and denominator of the sum that a lookup column holds.
    #[inline(always)]
    pub(super) fn fraction(&self, messages: &[usize]) -> (PackedExtension, PackedExtension) {
        match *messages {
            [only] => (self.counts[only].into(), self.denominators[only]),
            [a, b] => {
                let (over_a, over_b) = (self.denominators[a], self.denominators[b]);
                (over_b * self.counts[a] + over_a * self.counts[b], over_a * over_b)
            }
            _ => unreachable!("one or two messages share a column"),
        }
    }
}

impl<'a> AirBuilder for Reader<'a> {
    type F = KoalaBear;
    type Expr = Packed;
    type Var = Packed;
    type PreprocessedWindow = RowWindow<'a, Packed>;
    type MainWindow = RowWindow<'a, Packed>;
    type PublicVar = KoalaBear;
    type PeriodicVar = Packed;

    #[inline]
    fn main(&self) -> Self::MainWindow {
        RowWindow::from_two_rows(self.row, self.next)
    }

    fn preprocessed(&self) -> &Self::PreprocessedWindow {
        unreachable!("no table has preprocessed columns")
    }

    #[inline]
    fn is_first_row(&self) -> Packed {
        self.selectors.is_first
    }

    #[inline]
    fn is_last_row(&self) -> Packed {
        self.selectors.is_last
    }

    #[inline]
    fn is_transition(&self) -> Packed {
        self.selectors.is_transition
    }

    #[inline]
    fn assert_zero<I: Into<Packed>>(&mut self, assertion: I) {
        self.heard.assertions.push(assertion.into());
    }

    #[inline]
    fn periodic_values(&self) -> &[Packed] {
        self.known
    }
}

impl InteractionBuilder for Reader<'_> {
    #[inline]
    fn push_interaction<E: Into<Packed>>(
        &mut self,
        _bus: &str,
        fields: impl IntoIterator<Item = E>,
        count: impl Into<Count<Packed>>,
    ) {
        let base = self.combiner.bases[self.heard.counts.len()];
        let mut values = [Packed::ZERO; FIELDS_MAX];
        let mut len = 0;
        for field in fields {
            values[len] = field.into();
            len += 1;
        }
        let denominator = if len == 1 {
            base - values[0]
        } else {
            let combined = |at: usize| {
                Packed::batched_linear_combination(&values[..len], &self.combiner.powers[at][FIELDS_MAX - len..])
            };
            base - PackedExtension::from_basis_coefficients_fn(combined)
        };
        self.heard.denominators.push(denominator);
        self.heard.counts.push(count.into().into_parts().0);
    }

    fn push_local_interaction(&mut self, _: impl IntoIterator<Item = (Vec<Packed>, Count<Packed>)>) {
        unreachable!("tables talk over buses only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_turned_into_columns_and_back() {
        for width in [1, 9, 16, 17, 36, 55, 318] {
            let cells = (0..).map(KoalaBear::new).take(width * LANES);
            let rows: Vec<KoalaBear> = cells.collect();
            let mut columns = Vec::new();
            gather(&rows, width, &mut columns);
            assert_eq!(columns.len(), width);
            for (at, column) in columns.iter().enumerate() {
                for lane in 0..LANES {
                    assert_eq!(column.as_slice()[lane], rows[lane * width + at], "column {at}, row {lane} of {width}");
                }
            }
            let mut back = vec![KoalaBear::ZERO; rows.len()];
            scatter(&columns, &mut back);
            assert_eq!(back, rows);
        }
    }
}
