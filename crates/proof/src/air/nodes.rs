//! The node table: an inner node before and after, opened into its two children.
//!
//! A child that is not given on is the same before and after. As every tree gives its root once and every node is taken
//! once, positions are unique: no order of the rows is needed.

use crate::air::{Node, constant, exprs, node, poseidon};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::{AirBuilder, WindowAccess};
use p3_lookup::InteractionBuilder;

/// 1 on rows in use.
pub(crate) const REAL: usize = 0;
/// 1 where the left child is given on.
pub(crate) const LEFT: usize = 1;
/// 1 where the right child is given on.
pub(crate) const RIGHT: usize = 2;
pub(crate) const TREE: usize = 3;
pub(crate) const LEVEL: usize = 4;
pub(crate) const INDEX: usize = 5;
/// Left and right child before.
pub(crate) const OLD: usize = 6;
/// Left and right child after.
pub(crate) const NEW: usize = OLD + 16;
pub(crate) const OLD_HASH: usize = NEW + 16;
pub(crate) const NEW_HASH: usize = OLD_HASH + poseidon::COLUMNS;
pub(crate) const WIDTH: usize = NEW_HASH + poseidon::COLUMNS;

pub(crate) fn constraints<AB: AirBuilder<F = KoalaBear>>(builder: &mut AB) {
    let main = builder.main();
    let row = main.current_slice();
    let column = |at: usize| -> AB::Expr { row[at].into() };
    builder.assert_bools([column(REAL), column(LEFT), column(RIGHT)]);
    for (flag, child) in [(LEFT, 0), (RIGHT, 8)] {
        builder.when(column(flag)).assert_one(column(REAL));
        for element in child..child + 8 {
            let changed = column(OLD + element) - column(NEW + element);
            builder.assert_zero(changed.clone() - column(flag) * changed);
        }
    }
    poseidon::eval(builder, &exprs::<AB, 16>(row, OLD), &row[OLD_HASH..NEW_HASH]);
    poseidon::eval(builder, &exprs::<AB, 16>(row, NEW), &row[NEW_HASH..WIDTH]);
}

pub(crate) fn messages<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(builder: &mut AB) {
    let main = builder.main();
    let row = main.current_slice();
    let column = |at: usize| -> AB::Expr { row[at].into() };
    let own = Node {
        tree: column(TREE),
        level: column(LEVEL),
        index: column(INDEX),
        old: exprs::<AB, 8>(row, OLD_HASH + poseidon::DIGEST),
        new: exprs::<AB, 8>(row, NEW_HASH + poseidon::DIGEST),
    };
    node(builder, own, -column(REAL));
    for (flag, side) in [(LEFT, 0_u8), (RIGHT, 1)] {
        let child = Node {
            tree: column(TREE),
            level: column(LEVEL) + constant::<AB>(1),
            index: column(INDEX) * KoalaBear::new(2) + constant::<AB>(side.into()),
            old: exprs::<AB, 8>(row, OLD + 8 * usize::from(side)),
            new: exprs::<AB, 8>(row, NEW + 8 * usize::from(side)),
        };
        node(builder, child, column(flag));
    }
}
