//! One Poseidon2 compression in 140 columns: what each S-box leaves behind, and the digest.
//!
//! The S-box is `x^3`, which is the degree that the blow-up allows, so each is one column. Of the last round only the eight
//! outputs that the digest takes are kept, with the input fed forward.

use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::AirBuilder;
use p3_field::{Algebra, PrimeCharacteristicRing, PrimeField32};
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
        internal_layer(&mut state);
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

/// `2^-exponent`: the prime is 127 * 2^24 + 1.
const fn inverse_power(exponent: u32) -> KoalaBear {
    KoalaBear::new(KoalaBear::ORDER_U32 - (127 << (24 - exponent)))
}

/// The internal layer of Poseidon2, as `p3-koala-bear` has it. There a division by a power of two works the power out each time
/// that vectors are divided; here it is a constant.
#[inline]
fn internal_layer<E: Algebra<KoalaBear>>(state: &mut [E; 16]) {
    const BY_3: KoalaBear = inverse_power(3);
    const BY_4: KoalaBear = inverse_power(4);
    const BY_8: KoalaBear = inverse_power(8);
    const BY_24: KoalaBear = inverse_power(24);
    let rest: E = state[1..].iter().cloned().sum();
    let sum = rest.clone() + state[0].clone();
    state[0] = rest - state[0].clone();
    state[1] += sum.clone();
    state[2] = state[2].double() + sum.clone();
    state[3] = state[3].halve() + sum.clone();
    state[4] = sum.clone() + state[4].double() + state[4].clone();
    state[5] = sum.clone() + state[5].double().double();
    state[6] = sum.clone() - state[6].halve();
    state[7] = sum.clone() - (state[7].double() + state[7].clone());
    state[8] = sum.clone() - state[8].double().double();
    for (at, power) in [(9, BY_8), (10, BY_3), (11, BY_24)] {
        state[at] = state[at].clone() * power + sum.clone();
    }
    for (at, power) in [(12, BY_8), (13, BY_3), (14, BY_4), (15, BY_24)] {
        state[at] = sum.clone() - state[at].clone() * power;
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
    fill_with(input, |_, value| value)
}

/// As [`fill`] does, and whatever `change` makes of a column is what all behind it follow from.
#[cfg(feature = "prove")]
#[inline]
pub(crate) fn fill_with<R: Algebra<KoalaBear> + Copy>(input: &[R; 16], change: impl Fn(usize, R) -> R) -> [R; COLUMNS] {
    let mut columns = [R::ZERO; COLUMNS];
    let mut at = 0;
    let mut put = |value: R| -> R {
        columns[at] = change(at, value);
        at += 1;
        columns[at - 1]
    };
    let mut state = *input;
    Linear::external_linear_layer(&mut state);
    for constants in &INITIAL {
        for (element, constant) in state.iter_mut().zip(constants) {
            *element = put((*element + *constant).cube());
        }
        Linear::external_linear_layer(&mut state);
    }
    for constant in INTERNAL {
        state[0] = put((state[0] + constant).cube());
        internal_layer(&mut state);
    }
    for (round, constants) in FINAL.iter().enumerate() {
        for (element, constant) in state.iter_mut().zip(constants) {
            *element = (*element + *constant).cube();
            if round < 3 {
                *element = put(*element);
            }
        }
        Linear::external_linear_layer(&mut state);
    }
    for (output, input) in state.iter().zip(input).take(8) {
        put(*output + *input);
    }
    columns
}
