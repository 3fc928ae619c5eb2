//! The canonical binary form: little-endian, fixed field order, lengths before lists, one encoding per value.
//!
//! A decoder reads from a slice it was given, never allocates more than that slice warrants, and refuses trailing bytes,
//! padded varints, unknown tags and lists over their bound. What it accepts re-encodes to the very same bytes.

use ghostplane_ghostcipher::{Digest, FieldDigest, Signature, VerificationKey};
use thiserror::Error;

/// Why bytes are not a value. `offset` counts bytes from the start of the slice that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("truncated at byte {offset}: {needed} more bytes needed")]
    Truncated {
        /// Where the missing value starts.
        offset: usize,
        /// How many bytes are missing.
        needed: usize,
    },
    /// Bytes remain after the value.
    #[error("{extra} trailing bytes after byte {offset}")]
    Trailing {
        /// Where the value ended.
        offset: usize,
        /// How many bytes remain.
        extra: usize,
    },
    /// The value has a shorter or otherwise preferred encoding, or breaks an ordering rule.
    #[error("not the canonical form of {what} at byte {offset}")]
    NonCanonical {
        /// Which value.
        what: &'static str,
        /// Where it ends.
        offset: usize,
    },
    /// A list, string or number is over its limit.
    #[error("{what} is {value}, over its limit {limit}, at byte {offset}")]
    OverLimit {
        /// Which value.
        what: &'static str,
        /// What the bytes say.
        value: u64,
        /// The largest that is allowed.
        limit: u64,
        /// Where it ends.
        offset: usize,
    },
    /// A tag, kind or version that this format does not know.
    #[error("unknown {what} {value} at byte {offset}")]
    Unknown {
        /// Which tag.
        what: &'static str,
        /// What the bytes say.
        value: u64,
        /// Where it ends.
        offset: usize,
    },
    /// A known part of the format that no release implements yet.
    #[error("unimplemented {what} {value} at byte {offset}: the format reserves it, this release does not run it")]
    Unimplemented {
        /// Which part.
        what: &'static str,
        /// What the bytes say.
        value: u64,
        /// Where it ends.
        offset: usize,
    },
}

/// Reads canonical values from a slice, front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// How many bytes have been read.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// Reads a value of the type that is asked for.
    #[inline]
    pub fn read<T: Decode>(&mut self) -> Result<T, DecodeError> {
        T::decode(self)
    }

    /// Takes the next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.offset..];
        if rest.len() < len {
            return Err(DecodeError::Truncated { offset: self.offset, needed: len - rest.len() });
        }
        self.offset += len;
        Ok(&rest[..len])
    }

    /// Takes the next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("take returns exactly N bytes"))
    }

    /// Reads an unsigned LEB128 number of at most ten bytes in its shortest form.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return Err(self.non_canonical("varint"));
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.non_canonical("varint"));
                }
                return Ok(value);
            }
        }
        Err(self.non_canonical("varint"))
    }

    /// Reads a varint that may not exceed `limit`.
    #[inline]
    pub fn varint_at_most(&mut self, what: &'static str, limit: u64) -> Result<u64, DecodeError> {
        let value = self.varint()?;
        if value > limit { Err(self.over_limit(what, value, limit)) } else { Ok(value) }
    }

    /// Reads a list length: a varint of at most `limit` whose items, `item_bytes_min` bytes each, still fit in the rest.
    #[inline]
    pub fn count(&mut self, what: &'static str, limit: usize, item_bytes_min: usize) -> Result<usize, DecodeError> {
        let count = self.varint_at_most(what, limit as u64)?;
        let count = usize::try_from(count).map_err(|_| self.over_limit(what, count, limit as u64))?;
        let needed = count.saturating_mul(item_bytes_min.max(1));
        if needed > self.remaining() {
            return Err(DecodeError::Truncated { offset: self.offset, needed: needed - self.remaining() });
        }
        Ok(count)
    }

    /// Reads a list of at most `limit` items.
    pub fn list<T: Decode>(&mut self, what: &'static str, limit: usize) -> Result<Vec<T>, DecodeError> {
        let count = self.count(what, limit, T::BYTES_MIN)?;
        (0..count).map(|_| T::decode(self)).collect()
    }

    /// Reads a byte string of at most `limit` bytes.
    pub fn byte_string(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.count(what, limit, 1)?;
        self.take(len)
    }

    /// Succeeds when every byte has been read.
    #[inline]
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { offset: self.offset, extra }),
        }
    }

    /// A [`DecodeError::NonCanonical`] at the current offset.
    pub fn non_canonical(&self, what: &'static str) -> DecodeError {
        DecodeError::NonCanonical { what, offset: self.offset }
    }

    /// A [`DecodeError::Unknown`] at the current offset.
    pub fn unknown(&self, what: &'static str, value: u64) -> DecodeError {
        DecodeError::Unknown { what, value, offset: self.offset }
    }

    /// A [`DecodeError::Unimplemented`] at the current offset.
    pub fn unimplemented(&self, what: &'static str, value: u64) -> DecodeError {
        DecodeError::Unimplemented { what, value, offset: self.offset }
    }

    /// A [`DecodeError::OverLimit`] at the current offset.
    pub fn over_limit(&self, what: &'static str, value: u64, limit: u64) -> DecodeError {
        DecodeError::OverLimit { what, value, limit, offset: self.offset }
    }
}

/// A value with one canonical byte form.
pub trait Encode {
    /// Appends the canonical bytes of `self`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The canonical bytes of `self`.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// A value that can be read back from its canonical bytes.
pub trait Decode: Sized {
    /// The fewest bytes a value takes; bounds what a list length may claim.
    const BYTES_MIN: usize;

    /// Reads one value.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads a value that takes up all of `bytes`.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// Appends `value` as unsigned LEB128 in its shortest form.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// How many bytes [`put_varint`] appends for `value`: 1 to 10.
#[inline]
pub fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a list: its length, then its items.
pub fn put_list<T: Encode>(out: &mut Vec<u8>, items: &[T]) {
    put_varint(out, items.len() as u64);
    items.iter().for_each(|item| item.encode(out));
}

/// Appends a byte string: its length, then its bytes.
pub fn put_byte_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Implements [`Encode`] and [`Decode`] for a struct, field after field in the order named.
macro_rules! fields {
    ($type:ident { $($field:ident: $kind:ty),+ $(,)? }) => {
        impl $crate::codec::Encode for $type {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::codec::Encode::encode(&self.$field, out);)+
            }
        }
        impl $crate::codec::Decode for $type {
            const BYTES_MIN: usize = 0 $(+ <$kind as $crate::codec::Decode>::BYTES_MIN)+;
            #[inline]
            fn decode(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                Ok(Self { $($field: reader.read::<$kind>()?),+ })
            }
        }
    };
}
pub(crate) use fields;

macro_rules! integers {
    ($($type:ty),+) => {$(
        impl Encode for $type {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
        impl Decode for $type {
            const BYTES_MIN: usize = size_of::<$type>();
            #[inline]
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from_le_bytes(reader.array()?))
            }
        }
    )+};
}
integers!(u8, u16, u32, u64, u128);

impl Encode for bool {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Decode for bool {
    const BYTES_MIN: usize = 1;
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(reader.non_canonical("flag")),
        }
    }
}

impl<T: Encode> Encode for Option<T> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    const BYTES_MIN: usize = 1;
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.read::<bool>()? { Ok(Some(reader.read()?)) } else { Ok(None) }
    }
}

impl Encode for Digest {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Decode for Digest {
    const BYTES_MIN: usize = 32;
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

impl Encode for FieldDigest {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }
}

impl Decode for FieldDigest {
    const BYTES_MIN: usize = 32;
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = reader.array()?;
        Self::from_bytes(&bytes).map_err(|_| reader.non_canonical("field digest"))
    }
}

impl Encode for Signature {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Signature {
    const BYTES_MIN: usize = 64;
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

impl Encode for VerificationKey {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Decode for VerificationKey {
    const BYTES_MIN: usize = 32;
    /// Reads the 32 bytes; whether they are a usable key is decided where a key is set or used.
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from_bytes(reader.array()?))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Asserts that a value comes back from its bytes, and that with any one bit turned they are another value in its only form,
    /// or none. Returns those others, each with the byte that was changed.
    pub(crate) fn assert_one_form<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T) -> Vec<(usize, T)> {
        let bytes = value.to_bytes();
        assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
        let mut others = Vec::new();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = T::from_bytes(&changed) {
                assert_ne!(other, *value, "bit {bit}");
                assert_eq!(other.to_bytes(), changed, "bit {bit} decodes from a second form");
                others.push((bit / 8, other));
            }
        }
        others
    }

    #[test]
    fn varints_have_one_form() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_len(value));
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.varint(), Ok(value));
            assert_eq!(reader.finish(), Ok(()));
        }
        for padded in [&[0x80, 0x00][..], &[0xff, 0x00], &[0xff; 10], &[0xff; 11]] {
            assert!(matches!(Reader::new(padded).varint(), Err(DecodeError::NonCanonical { .. })), "{padded:?}");
        }
        assert!(matches!(Reader::new(&[0x80]).varint(), Err(DecodeError::Truncated { .. })));
    }

    #[test]
    fn a_list_may_not_claim_more_than_the_bytes_hold() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 1_000_000);
        bytes.extend_from_slice(&[0; 64]);
        let refused = Reader::new(&bytes).list::<Digest>("digests", 1 << 30);
        assert!(matches!(refused, Err(DecodeError::Truncated { .. })));
        let refused = Reader::new(&bytes).list::<Digest>("digests", 10);
        assert!(matches!(refused, Err(DecodeError::OverLimit { value: 1_000_000, limit: 10, .. })));
    }

    #[test]
    fn flags_are_zero_or_one() {
        assert_eq!(bool::from_bytes(&[1]), Ok(true));
        assert!(bool::from_bytes(&[2]).is_err());
        assert!(Option::<u8>::from_bytes(&[0, 5]).is_err());
    }
}
