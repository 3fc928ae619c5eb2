//! Assets: what amounts are amounts of.

use crate::address::Address;
use crate::amount::Amount;
use crate::codec::{Decode, DecodeError, Encode, Reader, put_byte_string};
use crate::covenant::Scheduled;
use crate::limits::SYMBOL_BYTES_MAX;
use std::fmt;

/// The number of an asset, below 2^30 so that it is one element of the proof field.
///
/// Ids below 2^16 are bridged: their supply on the plane equals what the L1 holds for it. The rest are the plane's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId(u32);

impl AssetId {
    /// Credits: the default gas and payment asset.
    pub const GCC: Self = Self(0);
    /// Mana: holding it regenerates free gas.
    pub const ZMAN: Self = Self(1);
    /// Ids at or above this are reserved for nobody.
    pub const LIMIT: u32 = 1 << 30;
    /// Ids below this are bridged.
    pub const BRIDGED_LIMIT: u32 = 1 << 16;

    /// The asset of that number, unless it is 2^30 or more.
    pub const fn new(number: u32) -> Option<Self> {
        if number < Self::LIMIT { Some(Self(number)) } else { None }
    }

    /// The number, 0 to 2^30 - 1.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether the L1 holds what the plane accounts for.
    pub const fn is_bridged(self) -> bool {
        self.0 < Self::BRIDGED_LIMIT
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match AssetName::of(*self) {
            Some(name) => f.write_str(name.symbol()),
            None => write!(f, "#{}", self.0),
        }
    }
}

/// Assets that have a name on every plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetName {
    /// Credits.
    Gcc,
    /// Mana.
    Zman,
}

impl AssetName {
    /// The name of `asset`, if it has one on every plane.
    pub const fn of(asset: AssetId) -> Option<Self> {
        match asset {
            AssetId::GCC => Some(Self::Gcc),
            AssetId::ZMAN => Some(Self::Zman),
            _ => None,
        }
    }

    /// The asset that has this name.
    pub const fn asset(self) -> AssetId {
        match self {
            Self::Gcc => AssetId::GCC,
            Self::Zman => AssetId::ZMAN,
        }
    }

    /// The symbol, lower case.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Gcc => "gcc",
            Self::Zman => "zman",
        }
    }

    /// The name with that symbol, in any case.
    pub fn parse(symbol: &str) -> Option<Self> {
        [Self::Gcc, Self::Zman].into_iter().find(|name| symbol.eq_ignore_ascii_case(name.symbol()))
    }
}

impl Encode for AssetId {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for AssetId {
    const BYTES_MIN: usize = 4;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = reader.read()?;
        Self::new(number).ok_or_else(|| reader.over_limit("asset id", u64::from(number), u64::from(Self::LIMIT - 1)))
    }
}

/// An asset of the plane's own, as its object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetRecord {
    /// Its number. Kept whole, so that a list of registrations says what they are of.
    pub asset: AssetId,
    /// Who registered it, and makes more of it.
    pub issuer: Address,
    /// Its symbol, lower-case ASCII letters and digits; others may have the same.
    pub symbol: Vec<u8>,
    /// Its decimals.
    pub decimals: u8,
    /// The most there may be.
    pub cap: Amount,
    /// How much there is.
    pub supply: Amount,
    /// Whether nothing of it moves.
    pub is_frozen: bool,
    /// The rules for whatever moves of it.
    pub rules: Scheduled,
}

const ASSET_VERSION: u8 = 1;
const ASSET_FROZEN: u8 = 1;
const ASSET_RULES: u8 = 2;

impl Encode for AssetRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(ASSET_VERSION);
        self.asset.encode(out);
        self.issuer.encode(out);
        put_byte_string(out, &self.symbol);
        self.decimals.encode(out);
        self.cap.encode(out);
        self.supply.encode(out);
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        out.push(flag(self.is_frozen, ASSET_FROZEN) | flag(!self.rules.is_empty(), ASSET_RULES));
        if !self.rules.is_empty() {
            self.rules.encode(out);
        }
    }
}

impl Decode for AssetRecord {
    const BYTES_MIN: usize = 1 + 4 + 32 + 1 + 1 + 8 + 8 + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u8 = reader.read()?;
        if version != ASSET_VERSION {
            return Err(reader.unknown("asset version", u64::from(version)));
        }
        let asset = reader.read()?;
        let issuer = reader.read()?;
        let symbol = reader.byte_string("bytes of a symbol", SYMBOL_BYTES_MAX)?.to_vec();
        let (decimals, cap, supply) = (reader.read()?, reader.read()?, reader.read()?);
        let flags: u8 = reader.read()?;
        if flags & !(ASSET_FROZEN | ASSET_RULES) != 0 {
            return Err(reader.unknown("asset flags", u64::from(flags)));
        }
        let rules = if flags & ASSET_RULES == 0 { Scheduled::default() } else { reader.read()? };
        if flags & ASSET_RULES != 0 && rules.is_empty() {
            return Err(reader.non_canonical("rules of an asset"));
        }
        Ok(Self { asset, issuer, symbol, decimals, cap, supply, is_frozen: flags & ASSET_FROZEN != 0, rules })
    }
}

/// Whether these bytes can be a symbol.
pub fn is_symbol(symbol: &[u8]) -> bool {
    (1..=SYMBOL_BYTES_MAX).contains(&symbol.len())
        && symbol.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}
