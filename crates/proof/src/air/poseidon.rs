//! One Poseidon2 compression in 140 columns: what each S-box leaves behind, and the digest.
//!
//! The S-box is `x^3`, which is the degree that the blow-up allows, so each is one column. Of the last round only the eight
//! outputs that the digest takes are kept, with the input fed forward.

use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::AirBuilder;
#[cfg(feature = "prove")]
use p3_field::Algebra;
use p3_field::PrimeCharacteristicRing;
use p3_koala_bear::{
    GenericPoseidon2LinearLayersKoalaBear as Linear, KOALABEAR_POSEIDON2_RC_16_EXTERNAL_FINAL as FINAL,
    KOALABEAR_POSEIDON2_RC_16_EXTERNAL_INITIAL as INITIAL, KOALABEAR_POSEIDON2_RC_16_INTERNAL as INTERNAL,
};
use p3_poseidon2::GenericPoseidon2LinearLayers;

/// Columns of a compression beside its sixteen inputs.
pub(crate) const COLUMNS: usize = 4 * 16 + 20 + 3 * 16 + 8;
/// Where the digest starts among them.
pub(crate) const DIGEST: usize = COLUMNS - 8;

/// Constrains `columns` to be the compression of `input`.
#[inline]
pub(crate) fn eval<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB, input: &[AB::Expr; 16], columns: &[AB::Var]) {
    let mut columns = columns.iter().copied();
    let mut next = || columns.next().expect("a compression has its columns");
    let mut state = input.clone();
    Linear::external_linear_layer(&mut state);
    for constants in &INITIAL {
        full_round(builder, &mut state, constants, &mut next);
        Linear::external_linear_layer(&mut state);
    }
    for constant in INTERNAL {
        let column = next();
        let cube = (state[0].clone() + constant).cube();
        builder.assert_zero(cube - column.into());
        state[0] = column.into();
        Linear::internal_linear_layer(&mut state);
    }
    let (last, rest) = FINAL.split_last().expect("there are four final rounds");
    for constants in rest {
        full_round(builder, &mut state, constants, &mut next);
        Linear::external_linear_layer(&mut state);
    }
    for (element, constant) in state.iter_mut().zip(last) {
        *element = (element.clone() + *constant).cube();
    }
    Linear::external_linear_layer(&mut state);
    for (output, input) in state.iter().zip(input).take(8) {
        builder.assert_zero(output.clone() + input.clone() - next().into());
    }
}

#[inline]
fn full_round<AB: AirBuilder<F = KoalaBear>>(
    builder: &mut AB,
    state: &mut [AB::Expr; 16],
    constants: &[KoalaBear; 16],
    next: &mut impl FnMut() -> AB::Var,
) {
    for (element, constant) in state.iter_mut().zip(constants) {
        let column = next();
        let cube = (element.clone() + *constant).cube();
        builder.assert_zero(cube - column.into());
        *element = column.into();
    }
}

/// Computes the columns of a compression; the digest is the last eight.
#[cfg(feature = "prove")]
#[inline]
pub(crate) fn fill<R: Algebra<KoalaBear> + Copy>(input: &[R; 16]) -> [R; COLUMNS] {
    let mut columns = [R::ZERO; COLUMNS];
    let mut at = 0;
    let mut put = |value: R| {
        columns[at] = value;
        at += 1;
    };
    let mut state = *input;
    Linear::external_linear_layer(&mut state);
    for constants in &INITIAL {
        for (element, constant) in state.iter_mut().zip(constants) {
            *element = (*element + *constant).cube();
            put(*element);
        }
        Linear::external_linear_layer(&mut state);
    }
    for constant in INTERNAL {
        state[0] = (state[0] + constant).cube();
        put(state[0]);
        Linear::internal_linear_layer(&mut state);
    }
    for (round, constants) in FINAL.iter().enumerate() {
        for (element, constant) in state.iter_mut().zip(constants) {
            *element = (*element + *constant).cube();
            if round < 3 {
                put(*element);
            }
        }
        Linear::external_linear_layer(&mut state);
    }
    for (output, input) in state.iter().zip(input).take(8) {
        put(*output + *input);
    }
    columns
}
