//! The constraint systems themselves: degrees, widths, and what a proof is worth.

use super::ledger::{Ledger, entry};
use crate::air::{TableAir, poseidon};
use crate::config::{DEGREE_MAX, Extension, lookups};
use crate::layout::{LOG_JOURNAL_MAX, LOG_ROWS_MAX, Layout};
use crate::security::SecurityReport;
use crate::statement::Statement;
use ghostplane_ghostcipher::FieldDigest;
use ghostplane_ghostcipher::poseidon2::{KoalaBear, compress};
use p3_air::symbolic::AirLayout;
use p3_batch_stark::symbolic::get_max_constraint_degree;
use p3_lookup::{LogUpGadget, check_bus_widths, check_multiplicity_height_bound};

#[test]
fn no_constraint_has_a_degree_over_three() {
    for journal in [5, 17] {
        let layout = Layout { journal, slots: 5, nodes: 5 };
        let statement = Statement::of_nothing();
        let lookups = lookups(layout.is_wide());
        for (air, lookups) in TableAir::all(&statement, &layout).iter().zip(lookups) {
            let degree = get_max_constraint_degree::<KoalaBear, Extension, _, _>(
                air,
                AirLayout::from_air(air),
                32,
                lookups,
                &LogUpGadget::new(),
            );
            assert_eq!(degree, DEGREE_MAX, "{:?}", air.table());
        }
    }
}

#[test]
fn all_messages_of_a_bus_are_equally_wide_and_no_multiplicity_wraps() {
    for wide in [false, true] {
        assert_eq!(check_bus_widths(lookups(wide)).expect("equal widths"), 19);
        let journal = if wide { LOG_JOURNAL_MAX } else { 16 };
        let heights = [1 << 14, 1 << journal, 1 << LOG_ROWS_MAX, 1 << LOG_ROWS_MAX, 1 << 13];
        check_multiplicity_height_bound(lookups(wide), &heights).expect("far below the prime");
    }
}

#[test]
fn every_layout_is_worth_a_hundred_bits_and_fewer_queries_are_not() {
    let mut ledger = Ledger::new(3, 10);
    let statement = {
        let batch = ledger.batch(&[entry(1, 2, 3)]);
        ledger.statement(&[batch])
    };
    for journal in 5..=LOG_JOURNAL_MAX {
        for rows in [5, 13, LOG_ROWS_MAX] {
            let layout = Layout { journal, slots: rows, nodes: rows };
            let report = SecurityReport::new(&statement, &layout);
            assert!(report.is_enough(), "{layout:?}: {report:?}");
            assert_eq!(report.terms().len(), 6);
            let weaker = SecurityReport::with(&statement, &layout, 202, 16);
            assert!(!weaker.is_enough(), "{layout:?}: {weaker:?}");
            assert!(!SecurityReport::with(&statement, &layout, 203, 15).is_enough());
        }
    }
}

#[test]
fn a_row_hashes_as_the_ledger_does() {
    let input: [KoalaBear; 16] =
        std::array::from_fn(|at| KoalaBear::new(u32::try_from(at * 77_777_777).expect("small")));
    let halves = [&input[..8], &input[8..]].map(|half| FieldDigest(half.try_into().expect("eight")));
    let columns = poseidon::fill(&input);
    assert_eq!(columns[poseidon::DIGEST..], compress(&halves[0], &halves[1]).0);
}
