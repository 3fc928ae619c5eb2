//! Exact conversion between the plane's base units and the L1's.

use crate::event::Money;
use ghostplane_types::Amount;
use ghostplane_types::genesis::GenesisAsset;

/// What one unit of the finer side is worth on the coarser.
fn factor(asset: &GenesisAsset) -> u64 {
    // Both are at most 18, and 10^18 is below 2^60.
    10u64.pow(u32::from(asset.decimals.abs_diff(asset.l1_decimals)))
}

/// The smallest amount that the L1 can pay, in the plane's base units: everything paid is a multiple of it.
pub(crate) fn plane_unit(asset: &GenesisAsset) -> u64 {
    if asset.l1_decimals < asset.decimals { factor(asset) } else { 1 }
}

/// The smallest amount that the plane can say, in the L1's base units: everything taken is a multiple of it.
pub(crate) fn l1_unit(asset: &GenesisAsset) -> u64 {
    if asset.l1_decimals > asset.decimals { factor(asset) } else { 1 }
}

/// The plane's amount for an amount on the L1 that is a multiple of [`l1_unit`]; nothing if it is over the largest amount.
pub(crate) fn to_plane(asset: &GenesisAsset, l1_amount: u128) -> Option<Amount> {
    let finer = l1_amount / u128::from(l1_unit(asset));
    let units = finer.checked_mul(u128::from(plane_unit(asset)))?;
    u64::try_from(units).ok().and_then(Amount::new)
}

/// The money that the L1 moves for an amount of the plane; nothing if that is not a multiple of [`plane_unit`].
pub(crate) fn to_l1(asset: &GenesisAsset, amount: Amount) -> Option<Money> {
    let exact = amount.units().is_multiple_of(plane_unit(asset));
    // Below 2^63 * 10^18 < 2^123.
    let l1_amount = u128::from(amount.units() / plane_unit(asset)) * u128::from(l1_unit(asset));
    exact.then_some(Money { asset: asset.asset, amount, l1_amount })
}

/// Half of an amount, rounded down to what the L1 can pay, and the rest.
pub(crate) fn halves(asset: &GenesisAsset, amount: Amount) -> (Amount, Amount) {
    let unit = plane_unit(asset);
    let half = Amount::new(amount.units() / 2 / unit * unit).expect("half of an amount is an amount");
    (half, amount.checked_sub(half).expect("half is not more than the whole"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_types::AssetId;

    fn asset(decimals: u8, l1_decimals: u8) -> GenesisAsset {
        GenesisAsset {
            asset: AssetId::GCC,
            symbol: b"gcc".to_vec(),
            decimals,
            l1_decimals,
            deposit_min: Amount::new(1).expect("small"),
        }
    }

    #[test]
    fn amounts_convert_exactly_there_and_back() {
        for (decimals, l1_decimals, amount, l1_amount) in [
            (9, 9, 1_234, 1_234),
            (9, 18, 1_234, 1_234_000_000_000),
            (9, 6, 1_234_000, 1_234),
            (0, 18, u64::MAX / 2, u128::from(u64::MAX / 2) * 10u128.pow(18)),
            (18, 0, 5 * 10u64.pow(18), 5),
        ] {
            let asset = asset(decimals, l1_decimals);
            let money = to_l1(&asset, Amount::new(amount).expect("in range")).expect("exact");
            assert_eq!(money.l1_amount, l1_amount);
            assert_eq!(to_plane(&asset, l1_amount).map(Amount::units), Some(amount));
        }
    }

    #[test]
    fn what_does_not_convert_is_told_by_its_unit() {
        assert_eq!(to_l1(&asset(9, 6), Amount::new(1_001).expect("small")), None);
        assert_eq!((plane_unit(&asset(9, 6)), l1_unit(&asset(9, 6))), (1_000, 1));
        assert_eq!((plane_unit(&asset(9, 18)), l1_unit(&asset(9, 18))), (1, 1_000_000_000));
        assert_eq!(to_plane(&asset(18, 0), 10), None, "over the largest amount");
        assert_eq!(to_plane(&asset(9, 9), u128::MAX), None);
    }

    #[test]
    fn halves_are_payable_and_add_up() {
        let (half, rest) = halves(&asset(9, 6), Amount::new(5_000).expect("small"));
        assert_eq!((half.units(), rest.units()), (2_000, 3_000));
        let (half, rest) = halves(&asset(9, 9), Amount::new(5).expect("small"));
        assert_eq!((half.units(), rest.units()), (2, 3));
    }
}
