//! The constraint systems themselves: degrees, widths, and what a proof is worth.

use super::ledger::{Ledger, entry};
use crate::air::{TableAir, poseidon};
use crate::config::{DEGREE_MAX, Extension, Parameters, Settings, lookups};
use crate::layout::{LOG_JOURNAL_MAX, LOG_RANGE, LOG_ROWS_MAX, Layout};
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
fn every_layout_is_worth_a_hundred_bits_and_less_of_anything_is_not() {
    let mut ledger = Ledger::new(3, 10);
    let statement = {
        let batch = ledger.batch(&[entry(1, 2, 3)]);
        ledger.statement(&[batch])
    };
    for settings in Settings::ALL {
        let most = settings.parameters();
        for journal in 5..=LOG_JOURNAL_MAX {
            for rows in [5, 13, LOG_ROWS_MAX] {
                let layout = Layout { journal, slots: rows, nodes: rows };
                let report = SecurityReport::new(&statement, &layout, settings);
                assert!(report.is_enough(), "{layout:?}: {report:?}");
                assert_eq!(report.terms().len(), 6);
                let tallest = journal.max(rows).max(LOG_RANGE);
                let with = |parameters| SecurityReport::with(tallest.into(), layout.is_wide(), parameters);
                assert_eq!(with(most), report);
                let fewer = with(Parameters { queries: most.queries - 1, ..most });
                assert!(!fewer.is_enough(), "{layout:?}: {fewer:?}");
                assert!(!with(Parameters { query_work_bits: most.query_work_bits - 1, ..most }).is_enough());
                assert!(!with(Parameters { log_blowup: most.log_blowup - 1, ..most }).is_enough());
            }
        }
        let code = settings.code();
        assert_eq!(Settings::from_code(code), Some(settings));
        assert_eq!(SecurityReport::at_height(5, settings), SecurityReport::at_height(LOG_RANGE, settings));
    }
    assert_eq!(Settings::from_code(3), None);
}

#[test]
fn a_table_and_its_blow_up_fit_the_field() {
    let tall = |log| Layout { journal: 5, slots: 5, nodes: log };
    assert!(tall(22).is_allowed(Settings::Fast) && !tall(23).is_allowed(Settings::Fast));
    assert!(tall(21).is_allowed(Settings::Small) && !tall(22).is_allowed(Settings::Small));
    assert!(tall(22).is_allowed(Settings::Medium) && !tall(23).is_allowed(Settings::Medium));
}

#[test]
fn a_row_hashes_as_the_ledger_does() {
    let input: [KoalaBear; 16] =
        std::array::from_fn(|at| KoalaBear::new(u32::try_from(at * 77_777_777).expect("small")));
    let halves = [&input[..8], &input[8..]].map(|half| FieldDigest(half.try_into().expect("eight")));
    let columns = poseidon::fill(&input);
    assert_eq!(columns[poseidon::DIGEST..], compress(&halves[0], &halves[1]).0);
}
