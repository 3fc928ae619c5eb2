//! The slot table: a touched slot of one batch, with its leaf before and after.

use crate::air::{Cell, Node, below_2_16, constant, exprs, mem, node, poseidon};
use ghostplane_ghostcipher::poseidon2::{FieldTag, KoalaBear};
use ghostplane_types::TREE_DEPTH;
use p3_air::{AirBuilder, WindowAccess};
use p3_field::PrimeCharacteristicRing;
use p3_lookup::InteractionBuilder;

/// 1 on rows in use.
pub(crate) const REAL: usize = 0;
/// 1 where the slot is handed out by this batch: its leaf was empty.
pub(crate) const FRESH: usize = 1;
pub(crate) const TREE: usize = 2;
pub(crate) const INDEX: usize = 3;
/// What shows that the index is not that of the outside.
pub(crate) const INDEX_INVERSE: usize = 4;
/// When the slot was touched last.
pub(crate) const TIME: usize = 5;
pub(crate) const OWNER: usize = 6;
pub(crate) const KIND: usize = 14;
pub(crate) const ASSET: usize = 15;
pub(crate) const BEFORE: usize = 16;
pub(crate) const AFTER: usize = 20;
/// The leaf before: empty, or the digest of the old content.
pub(crate) const LEAF: usize = 24;
pub(crate) const OLD_HASH: usize = 32;
pub(crate) const NEW_HASH: usize = OLD_HASH + poseidon::COLUMNS;
pub(crate) const WIDTH: usize = NEW_HASH + poseidon::COLUMNS;

pub(crate) fn constraints<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB) {
    let main = builder.main();
    let row = main.current_slice();
    let column = |at: usize| -> AB::Expr { row[at].into() };
    builder.assert_bools([column(REAL), column(FRESH), column(KIND)]);
    builder.assert_zero(column(INDEX) * column(INDEX_INVERSE) - column(REAL));
    for limb in BEFORE..BEFORE + 4 {
        builder.assert_zero(column(FRESH) * column(limb));
    }
    let content = |balance: usize| -> [AB::Expr; 16] {
        std::array::from_fn(|at| match at {
            0..8 => column(OWNER + at),
            8 => column(KIND),
            9 => column(ASSET),
            10..14 => column(balance + at - 10),
            14 => AB::Expr::ZERO,
            _ => AB::Expr::from(FieldTag::Slot.element()),
        })
    };
    poseidon::eval(builder, &content(BEFORE), &row[OLD_HASH..NEW_HASH]);
    poseidon::eval(builder, &content(AFTER), &row[NEW_HASH..WIDTH]);
    for element in 0..8 {
        let digest = column(OLD_HASH + poseidon::DIGEST + element);
        builder.assert_zero(digest.clone() - column(FRESH) * digest - column(LEAF + element));
    }
}

pub(crate) fn messages<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(builder: &mut AB) {
    let main = builder.main();
    let row = main.current_slice();
    let column = |at: usize| -> AB::Expr { row[at].into() };
    let leaf = Node {
        tree: column(TREE),
        level: constant::<AB>(DEPTH),
        index: column(INDEX),
        old: exprs::<AB, 8>(row, LEAF),
        new: exprs::<AB, 8>(row, NEW_HASH + poseidon::DIGEST),
    };
    node(builder, leaf, -column(REAL));
    let cell = |time: AB::Expr, balance: usize| Cell {
        tree: column(TREE),
        slot: column(INDEX),
        time,
        balance: exprs::<AB, 4>(row, balance),
        asset: column(ASSET),
    };
    mem(builder, cell(AB::Expr::ZERO, BEFORE), column(REAL));
    mem(builder, cell(column(TIME), AFTER), -column(REAL));
    // The balance after is that of the last touch, which the journal table checks, or the one before.
    for limb in BEFORE..BEFORE + 4 {
        below_2_16(builder, column(limb));
    }
    below_2_16(builder, column(BEFORE + 3) * KoalaBear::new(2));
}

const DEPTH: u32 = {
    assert!(TREE_DEPTH == 30);
    30
};
