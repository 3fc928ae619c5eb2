//! The journal table: an entry a row, with the step of its segment's digest chain and the two cells that it touches.
//!
//! Row `r` touches both cells at time `r + 1`, later than either was touched before. So no entry moves between a slot and
//! itself: the second touch would find the cell at the time of the first.

use crate::air::claims::RETIRE_KEY;
use crate::air::{Cell, Node, below_2_16, exprs, mem, node, poseidon};
use crate::statement::segment_start;
use ghostplane_ghostcipher::poseidon2::{FieldTag, KoalaBear};
use p3_air::{AirBuilder, WindowAccess};
use p3_field::PrimeCharacteristicRing;
use p3_lookup::InteractionBuilder;

/// 1 on rows that hold an entry.
pub(crate) const REAL: usize = 0;
/// 1 on the last entry of a segment, and on rows that hold none.
pub(crate) const END: usize = 1;
/// 1 on the last entry of a batch.
pub(crate) const LAST: usize = 2;
/// The ledger tree of the batch; the journal's is the next.
pub(crate) const TREE: usize = 3;
/// Segments of the batch from this one on: the level of its end in the journal's tree.
pub(crate) const LEVEL: usize = 4;
/// Rows above this one.
pub(crate) const CLOCK: usize = 5;
/// The asset of both slots.
pub(crate) const ASSET: usize = 6;
/// 1 where the entry issues.
pub(crate) const FROM_OUTSIDE: usize = 7;
/// 1 where the entry retires.
pub(crate) const TO_OUTSIDE: usize = 8;
/// The digest chain before the entry.
pub(crate) const STATE: usize = 9;
pub(crate) const FROM: usize = 17;
pub(crate) const TO: usize = 18;
pub(crate) const AMOUNT: usize = 19;
/// Balance of `from` after the entry.
pub(crate) const PAYER: usize = 23;
/// Carries of `balance after + amount = balance before`, for `from`.
pub(crate) const PAYER_CARRY: usize = 27;
/// Balance of `to` after the entry.
pub(crate) const PAYEE: usize = 30;
/// Carries of `balance before + amount = balance after`, for `to`.
pub(crate) const PAYEE_CARRY: usize = 34;
/// When `from` was touched before.
pub(crate) const PAYER_TIME: usize = 37;
/// When `to` was touched before.
pub(crate) const PAYEE_TIME: usize = 38;
pub(crate) const HASH: usize = 39;
const NARROW_WIDTH: usize = HASH + poseidon::COLUMNS;
/// In a wide table, the higher limbs of the two spans of time.
pub(crate) const SPANS: usize = NARROW_WIDTH;

pub(crate) const fn width(wide: bool) -> usize {
    if wide { NARROW_WIDTH + 2 } else { NARROW_WIDTH }
}

pub(crate) fn constraints<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB) {
    let main = builder.main();
    let (row, next) = (main.current_slice(), main.next_slice());
    eval_order(builder, row, next);
    eval_chain(builder, row, next);
    eval_touches(builder, row);
}

pub(crate) fn messages<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(builder: &mut AB, wide: bool) {
    let main = builder.main();
    let row = main.current_slice();
    end_of_segment(builder, row);
    touched_cells(builder, row);
    small_numbers(builder, row, wide);
}

/// Which entry stands where: batch, segment, time.
fn eval_order<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB, row: &[AB::Var], next: &[AB::Var]) {
    let column = |at: usize| -> AB::Expr { row[at].into() };
    let below = |at: usize| -> AB::Expr { next[at].into() };
    let one = AB::Expr::ONE;
    builder.assert_bools([column(REAL), column(END), column(LAST)]);
    builder.assert_zero((one.clone() - column(REAL)) * (one.clone() - column(END)));
    builder.assert_zero(column(LAST) * (one.clone() - column(END)));
    builder.assert_zero(column(LAST) * (column(LEVEL) - one.clone()));

    // What no batch ends is not left by going over to empty rows or over the edge of the table.
    let unfinished = column(REAL) * (one.clone() - column(LAST));
    builder.when_transition().assert_zero(unfinished.clone() * (one.clone() - below(REAL)));
    builder.when_last_row().assert_zero(unfinished);

    let same_batch = one.clone() - column(LAST);
    let closes = column(REAL) + column(END) - one.clone();
    let mut transition = builder.when_transition();
    transition.assert_zero(same_batch.clone() * (below(TREE) - column(TREE)));
    transition.assert_zero(same_batch * (below(LEVEL) - column(LEVEL) + closes));
    transition.assert_zero(below(CLOCK) - column(CLOCK) - one);
    builder.when_first_row().assert_zero(column(CLOCK));
}

/// The digest chain of the segments.
fn eval_chain<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB, row: &[AB::Var], next: &[AB::Var]) {
    let column = |at: usize| -> AB::Expr { row[at].into() };
    let start = segment_start();
    for (element, start) in start.0.iter().enumerate() {
        let digest = column(HASH + poseidon::DIGEST + element);
        let state: AB::Expr = next[STATE + element].into();
        let follows = digest.clone() + column(END) * (AB::Expr::from(*start) - digest);
        builder.when_transition().assert_zero(state - follows);
        builder.when_first_row().assert_zero(column(STATE + element) - AB::Expr::from(*start));
    }
    let input = std::array::from_fn(|at| match at {
        0..8 => column(STATE + at),
        8 => column(FROM),
        9 => column(TO),
        10..14 => column(AMOUNT + at - 10),
        14 => AB::Expr::ZERO,
        _ => AB::Expr::from(FieldTag::Entry.element()),
    });
    poseidon::eval(builder, &input, &row[HASH..HASH + poseidon::COLUMNS]);
}

/// The end of a segment, which the journal's tree takes up.
fn end_of_segment<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(builder: &mut AB, row: &[AB::Var]) {
    let column = |at: usize| -> AB::Expr { row[at].into() };
    let end = exprs::<AB, 8>(row, HASH + poseidon::DIGEST);
    let closed = Node {
        tree: column(TREE) + AB::Expr::ONE,
        level: column(LEVEL),
        index: AB::Expr::ONE,
        old: end.clone(),
        new: end,
    };
    node(builder, closed, AB::Expr::ONE - column(REAL) - column(END));
}

/// What the entry does to its two cells, as far as the row itself says.
fn eval_touches<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB, row: &[AB::Var]) {
    let column = |at: usize| -> AB::Expr { row[at].into() };
    builder.assert_bools([column(FROM_OUTSIDE), column(TO_OUTSIDE)]);
    builder.assert_zero(column(FROM_OUTSIDE) * column(FROM));
    builder.assert_zero(column(TO_OUTSIDE) * column(TO));
    for carry in (PAYER_CARRY..PAYER_CARRY + 3).chain(PAYEE_CARRY..PAYEE_CARRY + 3) {
        builder.assert_bool(row[carry]);
    }
}

/// The two cells, taken as they were and left as they are now.
fn touched_cells<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(builder: &mut AB, row: &[AB::Var]) {
    let column = |at: usize| -> AB::Expr { row[at].into() };
    // Nobody gives a cell with key 0, so an entry that names the outside has to set the flag.
    let from = column(FROM) - column(FROM_OUTSIDE);
    let to = column(TO) + column(TO_OUTSIDE) * KoalaBear::new(RETIRE_KEY);

    let payer = exprs::<AB, 4>(row, PAYER);
    let payee = exprs::<AB, 4>(row, PAYEE);
    let amount = exprs::<AB, 4>(row, AMOUNT);
    let payer_before = carried::<AB>(row, PAYER_CARRY, |limb| payer[limb].clone() + amount[limb].clone(), false);
    let payee_before = carried::<AB>(row, PAYEE_CARRY, |limb| payee[limb].clone() - amount[limb].clone(), true);

    let now = column(CLOCK) + AB::Expr::ONE;
    let touches = [(from, PAYER_TIME, payer_before, payer), (to, PAYEE_TIME, payee_before, payee)];
    for (slot, time, before, after) in touches {
        let cell = |time, balance| Cell { tree: column(TREE), slot: slot.clone(), time, balance, asset: column(ASSET) };
        mem(builder, cell(column(time), before), -column(REAL));
        mem(builder, cell(now.clone(), after), column(REAL));
    }
}

/// What has to be below 2^16 for balances not to be negative or too large, and for time to run forwards.
fn small_numbers<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(builder: &mut AB, row: &[AB::Var], wide: bool) {
    let column = |at: usize| -> AB::Expr { row[at].into() };
    // The payer's balance only falls, and the payee's stays below 2^63: its highest limb is a sum of two limbs and a carry, so
    // that twice as much is far below the prime.
    let payer = exprs::<AB, 4>(row, PAYER);
    let [low, middle, high, highest] = exprs::<AB, 4>(row, PAYEE);
    let amount = exprs::<AB, 4>(row, AMOUNT);
    for limb in payer.into_iter().chain([low, middle, high, highest * KoalaBear::TWO]).chain(amount) {
        below_2_16(builder, limb);
    }
    for (time, span) in [(PAYER_TIME, SPANS), (PAYEE_TIME, SPANS + 1)] {
        let elapsed = column(CLOCK) - column(time);
        if wide {
            // What is below 2^16 times 2^7 is `span` times 2^16, whatever `span` is.
            below_2_16(builder, elapsed - column(span) * KoalaBear::new(1 << 16));
            below_2_16(builder, column(span) * KoalaBear::new(1 << 9));
        } else {
            below_2_16(builder, elapsed);
        }
    }
}

/// The limbs of a balance before the entry: `limb(i)` with the carry from below and less the carry upwards, or the other
/// way round where the entry added.
fn carried<AB: AirBuilder<F = KoalaBear>>(
    row: &[AB::Var],
    carries: usize,
    limb: impl Fn(usize) -> AB::Expr,
    added: bool,
) -> [AB::Expr; 4] {
    let carry = |at: usize| -> AB::Expr { if at < 3 { row[carries + at].into() } else { AB::Expr::ZERO } };
    std::array::from_fn(|at| {
        let upwards = carry(at) * KoalaBear::new(1 << 16);
        let from_below = if at == 0 { AB::Expr::ZERO } else { carry(at - 1) };
        if added { limb(at) - from_below + upwards } else { limb(at) + from_below - upwards }
    })
}
