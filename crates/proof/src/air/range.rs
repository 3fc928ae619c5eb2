//! The range table: eight numbers a row, from 0 to 2^16 - 1, and how often each is asked for.

use crate::air::{constant, provide_range};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::{AirBuilder, WindowAccess};
use p3_lookup::InteractionBuilder;

/// The first number of the row.
pub(crate) const FIRST: usize = 0;
/// How often each of the eight is asked for.
pub(crate) const TIMES: usize = 1;
/// Numbers of a row.
pub(crate) const NUMBERS: usize = 8;
pub(crate) const WIDTH: usize = TIMES + NUMBERS;

pub(crate) fn constraints<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB) {
    let main = builder.main();
    let (row, next) = (main.current_slice(), main.next_slice());
    builder.when_first_row().assert_zero(row[FIRST]);
    builder.when_transition().assert_eq(next[FIRST], row[FIRST] + constant::<AB>(8));
}

pub(crate) fn messages<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(builder: &mut AB) {
    let main = builder.main();
    let row = main.current_slice();
    for (number, column) in (0..8).zip(TIMES..) {
        provide_range(builder, row[FIRST] + constant::<AB>(number), row[column].into());
    }
}
