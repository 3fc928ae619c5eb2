//! BLAKE3 digests under a [`Domain`]: the 32 bytes that name a transaction, a batch, an object.
//!
//! A digest is `BLAKE3(prefix(domain, chain_id) || parts)` in the standard unkeyed mode. The parts are concatenated
//! without lengths, so the encoding of a domain must tell them apart by itself (fixed widths or its own lengths).

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::domain::{Domain, PREFIX_LEN, prefix};
use crate::hex::{self, Hex, HexError};

/// A 32-byte digest. Ordered as bytes; the default is [`Digest::ZERO`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Thirty-two zero bytes: "nothing here". No known input hashes to it.
    pub const ZERO: Self = Self([0; 32]);

    /// The bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Lowercase hexadecimal, 64 digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_short(f, "Digest", &self.0)
    }
}

impl FromStr for Digest {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        hex::decode(text).map(Self)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Digest> for [u8; 32] {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

/// Input lengths that are copied together before hashing. The prefix shifts what follows against the 1,024-byte chunks of
/// BLAKE3, and an incremental hash then fills its vector lanes late: at 4 to 16 KiB it takes four times as long. A
/// single chunk has no lanes to fill, and beyond the upper end the lanes are busy anyway.
const GATHERED: std::ops::Range<usize> = 2 * 1024..256 * 1024;

/// Input lengths up to this are gathered in place: keys, ids and headers are, and setting up an incremental hash for one of
/// them takes longer than hashing it.
const SHORT: usize = 256;

/// Hashes `parts`, one after the other, under `domain` on chain `chain_id`.
#[must_use]
pub fn hash(domain: Domain, chain_id: u64, parts: &[&[u8]]) -> Digest {
    let len = PREFIX_LEN + parts.iter().map(|part| part.len()).sum::<usize>();
    if len <= SHORT {
        let mut input = [0; SHORT];
        let mut end = 0;
        for part in [&prefix(domain, chain_id) as &[u8]].iter().chain(parts) {
            input[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        return Digest(*blake3::hash(&input[..len]).as_bytes());
    }
    if GATHERED.contains(&len) {
        let mut input = Vec::with_capacity(len);
        input.extend_from_slice(&prefix(domain, chain_id));
        parts.iter().for_each(|part| input.extend_from_slice(part));
        return Digest(*blake3::hash(&input).as_bytes());
    }
    let mut hasher = Hasher::new(domain, chain_id);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// Hashes `data` to the first 64 bytes of BLAKE3's extendable output. Its first 32 bytes equal [`hash`] of `data`.
#[must_use]
pub fn hash_wide(domain: Domain, chain_id: u64, data: &[u8]) -> [u8; 64] {
    let mut out = [0_u8; 64];
    Hasher::new(domain, chain_id).update(data).fill(&mut out);
    out
}

/// Returns the message that gets signed when `digest` is signed under `domain`: the prefix, then the digest.
#[must_use]
pub fn signing_bytes(domain: Domain, chain_id: u64, digest: &Digest) -> [u8; 48] {
    let mut message = [0_u8; PREFIX_LEN + 32];
    message[..PREFIX_LEN].copy_from_slice(&prefix(domain, chain_id));
    message[PREFIX_LEN..].copy_from_slice(&digest.0);
    message
}

/// Returns what ECDSA signs when `digest` is signed under `domain`: SHA-256 of [`signing_bytes`], so that any device that
/// signs the SHA-256 of a message can sign. A passkey is challenged with it.
#[must_use]
pub fn signing_digest(domain: Domain, chain_id: u64, digest: &Digest) -> [u8; 32] {
    sha256(&[&signing_bytes(domain, chain_id, digest)])
}

/// SHA-256 of `parts`, one after the other: what the schemes of others hash with. Nothing of our own does.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let hasher = parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part));
    hasher.finalize().into()
}

/// An incremental [`hash`], for input that comes in pieces.
#[derive(Clone)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts a hash under `domain` on chain `chain_id`.
    #[must_use]
    pub fn new(domain: Domain, chain_id: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&prefix(domain, chain_id));
        Self(hasher)
    }

    /// Appends `bytes` to the input.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The digest of the input so far. The hasher may go on.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }

    /// Fills `out` with the extendable output of the input so far.
    pub(crate) fn fill(&self, out: &mut [u8]) {
        self.0.finalize_xof().fill(out);
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The state may hold what is about to become a secret's digest, so only the length is shown.
        write!(f, "Hasher({} bytes)", self.0.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterned(len: usize) -> Vec<u8> {
        (0_u8..251).cycle().take(len).collect()
    }

    #[test]
    fn a_digest_is_blake3_of_prefix_and_parts_at_every_length() {
        let data = patterned(300 * 1024);
        let edges = [GATHERED.start, GATHERED.end].map(|edge| edge - PREFIX_LEN);
        let lengths = (0..200).chain([1007, 1008, 1009, 4096, data.len()]);
        for len in lengths.chain(edges.into_iter().flat_map(|edge| edge - 2..edge + 2)) {
            let input = [&prefix(Domain::Test, 7), &data[..len]].concat();
            let expected = Digest(*blake3::hash(&input).as_bytes());
            assert_eq!(hash(Domain::Test, 7, &[&data[..len]]), expected, "{len}");
            let (left, right) = data[..len].split_at(len / 3);
            assert_eq!(hash(Domain::Test, 7, &[left, &[], right]), expected, "{len} in parts");
            assert_eq!(Hasher::new(Domain::Test, 7).update(left).update(right).finish(), expected, "{len} in pieces");
        }
    }

    #[test]
    fn domain_chain_and_content_all_count() {
        let one = hash(Domain::Header, 1, &[b"x"]);
        assert_ne!(one, hash(Domain::State, 1, &[b"x"]));
        assert_ne!(one, hash(Domain::Header, 2, &[b"x"]));
        assert_ne!(one, hash(Domain::Header, 1, &[b"y"]));
        assert_ne!(one, hash(Domain::Header, 1, &[b"x", b"\0"]));
    }

    #[test]
    fn a_known_digest_stays_what_it_was() {
        let digest = hash(Domain::Test, 1337, &[b"ghost", b"plane"]);
        assert_eq!(digest.to_string(), "321d438f82d2657708c0794258d5d1c932a8b32c08fb595d1a56c4e97b10c07f");
    }

    #[test]
    fn the_wide_hash_extends_the_narrow_one() {
        for len in [0, 1, 32, 1024, 5000] {
            let data = patterned(len);
            let wide = hash_wide(Domain::OwnerDigest, 3, &data);
            assert_eq!(wide[..32], hash(Domain::OwnerDigest, 3, &[&data]).0);
            assert_ne!(wide[..32], wide[32..]);
        }
    }

    #[test]
    fn signing_bytes_are_prefix_then_digest() {
        let digest = hash(Domain::Test, 0, &[]);
        let message = signing_bytes(Domain::Flush, 9, &digest);
        assert_eq!(message[..16], prefix(Domain::Flush, 9));
        assert_eq!(message[16..], digest.0);
    }

    #[test]
    fn text_round_trips_and_errors_are_clear() {
        let digest = hash(Domain::Test, 0, &[b"text"]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(Digest::ZERO.to_string(), "0".repeat(64));
        assert_eq!(format!("{:?}", Digest([0xab; 32])), "Digest(abababab…)");
        assert_eq!("ab".parse::<Digest>(), Err(HexError::Length { expected: 64, found: 2 }));
        let error = "zz".repeat(32).parse::<Digest>().expect_err("z is no digit");
        assert_eq!(error, HexError::Digit { position: 0, character: 'z' });
    }
}
