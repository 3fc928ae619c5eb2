//! Amounts in base units, and their text form `1.5gcc`.

use crate::asset::{AssetId, AssetName};
use crate::codec::{Decode, DecodeError, Encode, Reader};
use std::fmt;
use thiserror::Error;

/// The largest balance and amount: 2^63 - 1 base units, so that it is an integer in every policy language as well.
pub const AMOUNT_MAX: u64 = i64::MAX as u64;
/// The largest supply of one asset on a plane: 2^62 base units.
pub const SUPPLY_MAX: u64 = 1 << 62;
/// Decimals of GCC and ZMAN: one coin is 10^9 base units.
pub const DECIMALS_NATIVE: u8 = 9;
/// The most decimals an asset may declare.
pub const DECIMALS_MAX: u8 = 18;

/// A number of base units of some asset, 0 to [`AMOUNT_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most that an amount can be.
    pub const MAX: Self = Self(AMOUNT_MAX);

    /// `units` base units, unless that is over [`AMOUNT_MAX`].
    pub const fn new(units: u64) -> Option<Self> {
        if units <= AMOUNT_MAX { Some(Self(units)) } else { None }
    }

    /// Base units.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, unless it is over [`AMOUNT_MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0 + other.0)
    }

    /// The difference, unless `other` is more.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product, unless it is over [`AMOUNT_MAX`].
    pub fn checked_mul(self, factor: u64) -> Option<Self> {
        self.0.checked_mul(factor).and_then(Self::new)
    }

    /// Parses a plain decimal number with at most `decimals` digits after the point: no sign, no exponent, no blanks.
    pub fn parse_decimal(text: &str, decimals: u8) -> Result<Self, AmountError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || (text.contains('.') && fraction.is_empty()) {
            return Err(AmountError::NotANumber { text: text.into() });
        }
        let used = fraction.trim_end_matches('0');
        if used.len() > usize::from(decimals) {
            return Err(AmountError::TooFine { text: text.into(), decimals });
        }
        let over = || AmountError::TooLarge { text: text.into() };
        let zeros = usize::from(decimals) - used.len();
        let all = format!("{whole}{used}{}", "0".repeat(zeros));
        let units: u64 = all.parse().map_err(|_| over())?;
        Self::new(units).ok_or_else(over)
    }

    /// The shortest decimal number that [`Amount::parse_decimal`] reads back with the same `decimals`.
    pub fn to_decimal(self, decimals: u8) -> String {
        let digits = usize::from(decimals);
        let text = format!("{:0>width$}", self.0, width = digits + 1);
        let (whole, fraction) = text.split_at(text.len() - digits);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.into() } else { format!("{whole}.{fraction}") }
    }
}

/// An amount together with its asset, as people write it: `1.5gcc`, `20zman`, or base units of an asset by number, `7#65536`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match AssetName::of(self.asset) {
            Some(name) => write!(f, "{}{}", self.amount.to_decimal(DECIMALS_NATIVE), name.symbol()),
            None => write!(f, "{}#{}", self.amount.units(), self.asset.number()),
        }
    }
}

impl std::str::FromStr for Money {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        if let Some((units, asset)) = text.split_once('#') {
            let asset = asset.parse().ok().and_then(AssetId::new);
            let asset = asset.ok_or_else(|| AmountError::UnknownAsset { text: text.into() })?;
            return Ok(Self { amount: Amount::parse_decimal(units, 0)?, asset });
        }
        let symbol_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, symbol) = text.split_at(symbol_at);
        let name = AssetName::parse(symbol).ok_or_else(|| AmountError::UnknownAsset { text: text.into() })?;
        Ok(Self { amount: Amount::parse_decimal(number, DECIMALS_NATIVE)?, asset: name.asset() })
    }
}

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Not digits with at most one point between them.
    #[error("'{text}' is not a plain decimal number; write it like 1.5")]
    NotANumber {
        /// The text.
        text: String,
    },
    /// More digits after the point than the asset has.
    #[error("'{text}' is finer than {decimals} decimals allow")]
    TooFine {
        /// The text.
        text: String,
        /// Digits the asset has after the point.
        decimals: u8,
    },
    /// Over 2^63 - 1 base units.
    #[error("'{text}' is more than 2^63 - 1 base units")]
    TooLarge {
        /// The text.
        text: String,
    },
    /// No asset of that name or number.
    #[error("'{text}' names no asset; write the asset behind the number, like 1.5gcc, 20zman or 7#65536")]
    UnknownAsset {
        /// The text.
        text: String,
    },
}

impl Encode for Amount {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Amount {
    const BYTES_MIN: usize = 8;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let units = reader.read()?;
        Self::new(units).ok_or_else(|| reader.over_limit("amount", units, AMOUNT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_as_people_write_it() {
        let table = [
            ("1.5gcc", 1_500_000_000, AssetId::GCC),
            ("0.000000001gcc", 1, AssetId::GCC),
            ("20zman", 20_000_000_000, AssetId::ZMAN),
            ("9223372036.854775807gcc", AMOUNT_MAX, AssetId::GCC),
            ("7#65536", 7, AssetId::new(65_536).expect("a small id")),
        ];
        for (text, units, asset) in table {
            let money: Money = text.parse().expect(text);
            assert_eq!((money.amount.units(), money.asset), (units, asset), "{text}");
            assert_eq!(money.to_string(), text);
        }
        assert_eq!("1.500gcc".parse::<Money>().map(|m| m.amount.units()), Ok(1_500_000_000));
    }

    #[test]
    fn what_is_not_money_is_refused() {
        for text in [
            "",
            "gcc",
            "1.gcc",
            ".5gcc",
            "1,5gcc",
            "-1gcc",
            "+1gcc",
            "1e3gcc",
            "1 gcc",
            "1..2gcc",
            "1",
            "1.5btc",
            "7#",
            "7#1073741824",
        ] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
        assert!(matches!("1.0000000001gcc".parse::<Money>(), Err(AmountError::TooFine { .. })));
        assert!(matches!("9223372036.854775808gcc".parse::<Money>(), Err(AmountError::TooLarge { .. })));
        assert!(matches!("99999999999999999999gcc".parse::<Money>(), Err(AmountError::TooLarge { .. })));
    }
}
