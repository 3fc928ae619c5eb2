//! The fields of what pays for gas besides credits.

use ghostplane_types::{Approval, AssetId, Mana, ManaTerms, Pay};

use super::fields::key;
use super::sheet::Sheet;

/// Adds how gas is paid.
pub(super) fn pay(sheet: Sheet, pay: &Pay) -> Sheet {
    match pay {
        Pay::Gcc => sheet.text("pay", "gcc"),
        Pay::Mana => sheet.text("pay", "mana"),
        Pay::Sponsor(of) => {
            let terms = Sheet::new()
                .text("sponsor", of.sponsor)
                .money("pays at most", of.fee_max, AssetId::GCC)
                .time("pays until", of.valid_until);
            sheet.text("pay", "sponsor").group("sponsor", terms)
        }
    }
}

/// Adds the consent of who sponsors.
pub(super) fn sponsorship(sheet: Sheet, by: Option<&Approval>) -> Sheet {
    match by {
        None => sheet,
        Some(by) => {
            let consent = Sheet::new().text("key", key(&by.key)).text("signature", &by.auth);
            sheet.group("sponsor's consent", consent)
        }
    }
}

/// Adds the mana of an account, as of when it was touched.
pub(super) fn record(sheet: Sheet, mana: Option<&Mana>) -> Sheet {
    let Some(mana) = mana else { return sheet };
    let fields = match mana.touched {
        0 => Sheet::new().text("touched", "no ZMAN"),
        touched => Sheet::new().time("touched", touched),
    };
    let fields = fields.text("units", mana.units);
    let granted = mana.granted;
    let fields = match granted.units {
        0 => fields,
        gas => fields.number("grant used, gas", gas).number("in window", granted.window),
    };
    sheet.group("mana", fields)
}

pub(super) fn terms(terms: &ManaTerms) -> Sheet {
    Sheet::new()
        .number("gas of one ZMAN in a window", terms.rate)
        .number("window ms", terms.window_ms)
        .number("saved up ms", terms.cap_ms)
        .money("supply max", terms.supply_max, AssetId::ZMAN)
        .items("grants by level, gas in a window", &terms.grants)
        .text("units of one gas", terms.gas_unit())
}
