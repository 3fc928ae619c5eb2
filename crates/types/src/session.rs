//! Sessions: keys and accounts that act for an account within a scope, on a lane of their own.

use crate::address::{Address, L1Address, PublicKey};
use crate::amount::Amount;
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader, fields, put_list, put_varint};
use crate::limits::{SESSION_CONTRACTS_MAX, SESSION_LIMITS_MAX, SESSION_RECIPIENTS_MAX};

/// A key that acts within a scope, or an account that does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// The lane that it signs on, and no other does: 1 to 254.
    pub lane: u8,
    /// Who signs.
    pub holder: Holder,
    /// The last batch time at which it acts, in milliseconds.
    pub expires: u64,
    /// What it may do.
    pub scope: Scope,
}

fields!(Session { lane: u8, holder: Holder, expires: u64, scope: Scope });

/// Who holds a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Whoever has a key.
    Key(PublicKey),
    /// An account, by the keys that it has of its own at the time: a delegate.
    Account(Address),
}

impl Holder {
    /// In the place of a key's scheme: numbers of schemes start at 1.
    const ACCOUNT: u8 = 0;

    /// The key, unless an account holds the session.
    pub const fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Account(_) => None,
        }
    }

    /// The account that holds the session, if one does.
    pub const fn account(&self) -> Option<&Address> {
        match self {
            Self::Key(_) => None,
            Self::Account(address) => Some(address),
        }
    }
}

impl Encode for Holder {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Key(key) => key.encode(out),
            Self::Account(address) => {
                out.push(Self::ACCOUNT);
                address.encode(out);
            }
        }
    }
}

impl Decode for Holder {
    const BYTES_MIN: usize = 33;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.clone().read::<u8>()? != Self::ACCOUNT {
            return Ok(Self::Key(reader.read()?));
        }
        reader.read::<u8>()?;
        Ok(Self::Account(reader.read()?))
    }
}

/// What a session may do: all of it has to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The kinds of actions.
    pub kinds: KindSet,
    /// Who may be paid on the plane, ascending; `None` for anybody.
    pub recipients: Option<Vec<Address>>,
    /// Who may be paid on the L1, ascending; `None` for anybody.
    pub l1_recipients: Option<Vec<L1Address>>,
    /// Which contracts may be called, ascending. None runs yet.
    pub contracts: Vec<Address>,
    /// How much may leave of which asset, ascending by asset. What is not listed stays, fees included.
    pub limits: Vec<Limit>,
}

/// How much of an asset may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Of what.
    pub asset: AssetId,
    /// In one transaction.
    pub per_transaction: Amount,
    /// What counts together.
    pub window: Window,
    /// In one window.
    pub per_window: Amount,
}

fields!(Limit { asset: AssetId, per_transaction: Amount, window: Window, per_window: Amount });

/// A span that begins anew at its end, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Window {
    /// One hour.
    Hour = 1,
    /// 24 hours.
    Day = 2,
    /// 30 days.
    Month = 3,
}

impl Window {
    /// All windows, by number.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// How long it is.
    pub const fn length_ms(self) -> u64 {
        const HOUR_MS: u64 = 3_600_000;
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => 24 * HOUR_MS,
            Self::Month => 30 * 24 * HOUR_MS,
        }
    }

    /// The number of the window that `time` is in.
    pub const fn at(self, time: u64) -> u64 {
        time / self.length_ms()
    }
}

impl Encode for Window {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
}

impl Decode for Window {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number: u8 = reader.read()?;
        let known = Self::ALL.into_iter().find(|window| *window as u8 == number);
        known.ok_or_else(|| reader.unknown("window", u64::from(number)))
    }
}

/// What left in a window so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The window's number.
    pub window: u64,
    /// How much, in base units.
    pub units: u64,
}

impl Encode for Spent {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.window);
        put_varint(out, self.units);
    }
}

impl Decode for Spent {
    const BYTES_MIN: usize = 2;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { window: reader.varint()?, units: reader.varint()? })
    }
}

/// A set of action kinds, by their numbers: bit k for kind k.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KindSet(u64);

impl KindSet {
    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The set of these kinds, each below 64.
    pub const fn of(kinds: &[u8]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < kinds.len() {
            bits |= 1 << kinds[at];
            at += 1;
        }
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether it has no kind.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a kind is in it.
    pub const fn contains(self, kind: u8) -> bool {
        kind < 64 && self.0 & 1 << kind != 0
    }

    /// Whether all of it is in `other`.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The kinds, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |kind| self.contains(*kind))
    }
}

impl Encode for KindSet {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for KindSet {
    const BYTES_MIN: usize = 8;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.read()?))
    }
}

impl Encode for Scope {
    fn encode(&self, out: &mut Vec<u8>) {
        self.kinds.encode(out);
        put_optional_list(out, self.recipients.as_deref());
        put_optional_list(out, self.l1_recipients.as_deref());
        put_list(out, &self.contracts);
        put_list(out, &self.limits);
    }
}

impl Decode for Scope {
    const BYTES_MIN: usize = 12;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            kinds: reader.read()?,
            recipients: read_optional_list(reader, "recipients of a session")?,
            l1_recipients: read_optional_list(reader, "recipients on the L1 of a session")?,
            contracts: read_ascending(reader, "contracts of a session", SESSION_CONTRACTS_MAX, |of: &Address| *of)?,
            limits: read_limits(reader, "limits of a session", SESSION_LIMITS_MAX)?,
        })
    }
}

/// Reads limits, ascending by asset.
pub(crate) fn read_limits(
    reader: &mut Reader<'_>,
    what: &'static str,
    limit: usize,
) -> Result<Vec<Limit>, DecodeError> {
    read_ascending(reader, what, limit, |limit: &Limit| limit.asset)
}

/// Reads a list whose items ascend by `order`.
pub(crate) fn read_ascending<T: Decode, K: Ord>(
    reader: &mut Reader<'_>,
    what: &'static str,
    limit: usize,
    order: impl Fn(&T) -> K,
) -> Result<Vec<T>, DecodeError> {
    let items: Vec<T> = reader.list(what, limit)?;
    let ascends = items.windows(2).all(|pair| order(&pair[0]) < order(&pair[1]));
    if ascends { Ok(items) } else { Err(reader.non_canonical(what)) }
}

fn put_optional_list<T: Encode>(out: &mut Vec<u8>, items: Option<&[T]>) {
    out.push(u8::from(items.is_some()));
    if let Some(items) = items {
        put_list(out, items);
    }
}

fn read_optional_list<T: Decode + Ord + Copy>(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<Option<Vec<T>>, DecodeError> {
    if reader.read::<bool>()? {
        Ok(Some(read_ascending(reader, what, SESSION_RECIPIENTS_MAX, |item: &T| *item)?))
    } else {
        Ok(None)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ghostplane_ghostcipher::VerificationKey;

    pub(crate) fn session() -> Session {
        let limit = |asset, per_window| Limit {
            asset,
            per_transaction: Amount::new(5).expect("small"),
            window: Window::Day,
            per_window: Amount::new(per_window).expect("small"),
        };
        Session {
            lane: 7,
            holder: Holder::Key(PublicKey::Ed25519(VerificationKey::from_bytes([9; 32]))),
            expires: 1_000,
            scope: Scope {
                kinds: KindSet::of(&[1, 2]),
                recipients: Some(vec![Address::from_bytes([1; 32]), Address::from_bytes([2; 32])]),
                l1_recipients: None,
                contracts: vec![],
                limits: vec![limit(AssetId::GCC, 10), limit(AssetId::ZMAN, 20)],
            },
        }
    }

    #[test]
    fn sessions_have_one_form() {
        let delegation = Session { holder: Holder::Account(Address::from_bytes([6; 32])), ..session() };
        for session in [session(), delegation] {
            let bytes = session.to_bytes();
            assert_eq!(Session::from_bytes(&bytes).as_ref(), Ok(&session));
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                if let Ok(other) = Session::from_bytes(&changed) {
                    assert_ne!(other, session, "bit {bit}");
                    assert_eq!(other.to_bytes(), changed, "bit {bit} decodes from a second form");
                }
            }
        }
    }

    #[test]
    fn lists_out_of_order_are_refused() {
        let mut twice = session();
        twice.scope.limits.swap(0, 1);
        assert!(Session::from_bytes(&twice.to_bytes()).is_err());
        let mut doubled = session();
        doubled.scope.recipients = Some(vec![Address::from_bytes([1; 32]); 2]);
        assert!(Session::from_bytes(&doubled.to_bytes()).is_err());
    }

    #[test]
    fn windows_tile_time() {
        for window in Window::ALL {
            let length = window.length_ms();
            assert_eq!((window.at(length - 1), window.at(length), window.at(2 * length - 1)), (0, 1, 1));
        }
        assert!(
            KindSet::of(&[1, 2]).is_within(KindSet::of(&[1, 2, 3])) && !KindSet::of(&[4]).is_within(KindSet::of(&[1]))
        );
        assert_eq!(KindSet::of(&[1, 63]).iter().collect::<Vec<_>>(), [1, 63]);
    }
}
