//! Poseidon2 over KoalaBear, width 16: the hash of everything the ledger proof covers (slots, tree, journal, streams).
//!
//! The permutation is the one of the Poseidon2 paper (eprint 2023/323) with S-box `x^3`, 8 external and 20 internal
//! rounds, and the default constants of `p3-koala-bear`, which the paper's Grain LFSR generates (a test does it again).
//! Two digests are compressed with feed-forward: `compress(l, r) = (P(l || r) + (l || r))[0..8]`.

use std::fmt;
use std::sync::LazyLock;

use p3_field::integers::QuotientMap;
use p3_field::{Field, PackedFieldPow2, PackedValue, PrimeCharacteristicRing, PrimeField32};
use p3_koala_bear::{Poseidon2KoalaBear, default_koalabear_poseidon2_16};
use p3_symmetric::Permutation;
use thiserror::Error;

pub use p3_koala_bear::KoalaBear;

use crate::hex::{self, Hex};

/// The prime of the field: `2^31 - 2^24 + 1`.
pub const P: u32 = 0x7f00_0001;

/// Elements of a digest.
pub const DIGEST_ELEMENTS: usize = 8;

/// Elements of the permutation's state: two digests.
pub const STATE_ELEMENTS: usize = 2 * DIGEST_ELEMENTS;

/// One element per vector lane: 16 with AVX-512, 8 with AVX2, 4 with NEON, else 1, chosen at compile time.
type Packed = <KoalaBear as Field>::Packing;
const LANES: usize = <Packed as PackedValue>::WIDTH;

static PERMUTATION: LazyLock<Poseidon2KoalaBear<16>> = LazyLock::new(default_koalabear_poseidon2_16);

/// What a compressed state is, in an element that the content leaves unused. Frozen like [`crate::Domain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum FieldTag {
    /// A ledger slot: the leaf of the ledger tree.
    Slot = 1,
    /// One journal entry.
    Entry = 2,
    /// A segment of the journal.
    Segment = 3,
    /// The journal of a batch.
    Journal = 4,
    /// What never changes in a stream: parties, unit, length, expiry.
    StreamStatic = 5,
    /// The tip of a stream's hash chain.
    StreamTip = 6,
    /// The owner digest of a stream's slot.
    StreamOwner = 7,
}

impl FieldTag {
    /// Every tag, by rising value.
    pub const ALL: [Self; 7] =
        [Self::Slot, Self::Entry, Self::Segment, Self::Journal, Self::StreamStatic, Self::StreamTip, Self::StreamOwner];

    /// The tag as a field element.
    pub const fn element(self) -> KoalaBear {
        KoalaBear::new(self as u32)
    }
}

/// Eight field elements: a digest inside the proof. Ordered by canonical values; the default is [`FieldDigest::EMPTY`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldDigest(pub [KoalaBear; DIGEST_ELEMENTS]);

/// Bytes that are no [`FieldDigest`]: each digest has exactly one encoding. Whoever wrote the bytes is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("element {index} of a field digest is {value}, which is not below {P}")]
pub struct FieldDigestError {
    /// Which of the eight elements, from 0.
    pub index: usize,
    /// Its value.
    pub value: u32,
}

impl FieldDigest {
    /// Eight zeros: an empty leaf.
    pub const EMPTY: Self = Self([KoalaBear::ZERO; DIGEST_ELEMENTS]);

    /// The elements as eight canonical `u32`, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut bytes = [0_u8; 32];
        for (bytes, element) in bytes.as_chunks_mut().0.iter_mut().zip(&self.0) {
            *bytes = element.as_canonical_u32().to_le_bytes();
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] writes, and nothing else.
    ///
    /// # Errors
    /// [`FieldDigestError`] if an element is not below [`P`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, FieldDigestError> {
        let mut digest = Self::EMPTY;
        for (index, (element, bytes)) in digest.0.iter_mut().zip(bytes.as_chunks().0).enumerate() {
            let value = u32::from_le_bytes(*bytes);
            *element = KoalaBear::from_canonical_checked(value).ok_or(FieldDigestError { index, value })?;
        }
        Ok(digest)
    }
}

/// Lowercase hexadecimal of [`FieldDigest::to_bytes`], 64 digits.
impl fmt::Display for FieldDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.to_bytes()).fmt(f)
    }
}

impl fmt::Debug for FieldDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_short(f, "FieldDigest", &self.to_bytes())
    }
}

/// Permutes a state in place. For whole digests, [`compress`] is what you want.
pub fn permute(state: &mut [KoalaBear; STATE_ELEMENTS]) {
    PERMUTATION.permute_mut(state);
}

/// Compresses two digests to one: `(P(l || r) + (l || r))[0..8]`. For many, [`compress_many`] is ten times faster.
#[must_use]
pub fn compress(left: &FieldDigest, right: &FieldDigest) -> FieldDigest {
    let mut input = [KoalaBear::ZERO; STATE_ELEMENTS];
    input[..DIGEST_ELEMENTS].copy_from_slice(&left.0);
    input[DIGEST_ELEMENTS..].copy_from_slice(&right.0);
    compress_state(&input)
}

/// Compresses each input `l || r` to the output of the same index, one input per vector lane.
///
/// # Panics
/// If `inputs` and `out` differ in length.
pub fn compress_many(inputs: &[[KoalaBear; STATE_ELEMENTS]], out: &mut [FieldDigest]) {
    assert_eq!(inputs.len(), out.len(), "one output per input");
    let (inputs, inputs_rest) = inputs.as_chunks::<LANES>();
    let (out, out_rest) = out.as_chunks_mut::<LANES>();
    for (inputs, out) in inputs.iter().zip(out) {
        compress_lanes(inputs, out);
    }
    match inputs_rest {
        [] => {}
        [input] => out_rest[0] = compress_state(input),
        rest => {
            // A full vector takes about as long as one scalar permutation, so the free lanes hash zeros.
            let mut inputs = [[KoalaBear::ZERO; STATE_ELEMENTS]; LANES];
            inputs[..rest.len()].copy_from_slice(rest);
            let mut out = [FieldDigest::EMPTY; LANES];
            compress_lanes(&inputs, &mut out);
            out_rest.copy_from_slice(&out[..rest.len()]);
        }
    }
}

/// Reads eight little-endian `u64` and reduces each modulo [`P`]. From 64 bytes of a hash's extendable output the
/// result is uniform to within `2^-33` per element.
#[must_use]
pub fn reduce_wide(bytes: &[u8; 64]) -> FieldDigest {
    let words = bytes.as_chunks().0;
    FieldDigest(std::array::from_fn(|index| KoalaBear::from_int(u64::from_le_bytes(words[index]))))
}

fn compress_state(input: &[KoalaBear; STATE_ELEMENTS]) -> FieldDigest {
    let mut state = *input;
    permute(&mut state);
    FieldDigest(std::array::from_fn(|index| state[index] + input[index]))
}

fn compress_lanes(inputs: &[[KoalaBear; STATE_ELEMENTS]; LANES], out: &mut [FieldDigest; LANES]) {
    let input = columns_of(inputs);
    let mut state = input;
    PERMUTATION.permute_mut(&mut state);
    rows_of(std::array::from_fn(|index| state[index] + input[index]), out);
}

// Packing element by element says what the next two functions do in one line each, and costs a quarter of the whole.

/// Turns one row per lane into one vector per element.
fn columns_of(rows: &[[KoalaBear; STATE_ELEMENTS]; LANES]) -> [Packed; STATE_ELEMENTS] {
    let mut columns = [Packed::ZERO; STATE_ELEMENTS];
    for (block, square) in columns.chunks_exact_mut(LANES).enumerate() {
        for (vector, row) in square.iter_mut().zip(rows) {
            *vector = *Packed::from_slice(&row[block * LANES..][..LANES]);
        }
        transpose(square);
    }
    columns
}

/// Turns one vector per element into one digest per lane.
fn rows_of(mut columns: [Packed; DIGEST_ELEMENTS], rows: &mut [FieldDigest; LANES]) {
    const SIDE: usize = if LANES < DIGEST_ELEMENTS { LANES } else { DIGEST_ELEMENTS };
    for (block, square) in columns.chunks_exact_mut(SIDE).enumerate() {
        transpose(square);
        for (first, vector) in square.iter().enumerate() {
            for (row, part) in rows[first..].iter_mut().step_by(SIDE).zip(vector.as_slice().chunks_exact(SIDE)) {
                row.0[block * SIDE..][..SIDE].copy_from_slice(part);
            }
        }
    }
}

/// Transposes each square of `vectors.len()` lanes, by exchanging blocks of 1, 2, 4, … elements between vectors.
fn transpose(vectors: &mut [Packed]) {
    let mut block = 1;
    while block < vectors.len() {
        for first in (0..vectors.len()).filter(|index| index & block == 0) {
            let second = first + block;
            (vectors[first], vectors[second]) = vectors[first].interleave(vectors[second], block);
        }
        block *= 2;
    }
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::reference::Reference;
    use super::*;

    fn states(count: usize) -> Vec<[KoalaBear; 16]> {
        let mut stream = blake3::Hasher::new().update(b"poseidon2 states").finalize_xof();
        let mut bytes = vec![[[0_u8; 4]; 16]; count];
        stream.fill(bytes.as_flattened_mut().as_flattened_mut());
        bytes.iter().map(|state| state.map(|bytes| KoalaBear::new(u32::from_le_bytes(bytes) >> 1))).collect()
    }

    fn digests(count: usize) -> Vec<FieldDigest> {
        states(count).iter().map(|state| FieldDigest(*state.first_chunk().expect("a state has 16 elements"))).collect()
    }

    #[test]
    fn the_permutation_is_the_one_of_the_paper() {
        let reference = Reference::new();
        let extremes = [[KoalaBear::ZERO; 16], [KoalaBear::NEG_ONE; 16], [KoalaBear::ONE; 16]];
        for state in states(500).into_iter().chain(extremes) {
            let mut expected = state.map(|element| u64::from(element.as_canonical_u32()));
            reference.permute(&mut expected);
            let mut found = state;
            permute(&mut found);
            assert_eq!(found.map(|element| u64::from(element.as_canonical_u32())), expected);
        }
    }

    #[test]
    fn the_permutation_has_the_known_answer_of_its_library() {
        let mut state = KoalaBear::new_array([
            894848333, 1437655012, 1200606629, 1690012884, 71131202, 1749206695, 1717947831, 120589055, 19776022,
            42382981, 1831865506, 724844064, 171220207, 1299207443, 227047920, 1783754913,
        ]);
        permute(&mut state);
        let expected = KoalaBear::new_array([
            1934285469, 604889435, 133449501, 1026180808, 1830659359, 176667110, 1391183747, 351743874, 1238264085,
            1292768839, 2023573270, 1201586780, 1360691759, 1230682461, 748270449, 651545025,
        ]);
        assert_eq!(state, expected);
    }

    #[test]
    fn compression_feeds_its_input_forward() {
        let [left, right] = digests(2).try_into().expect("two digests");
        let mut state = [KoalaBear::ZERO; 16];
        state[..8].copy_from_slice(&left.0);
        state[8..].copy_from_slice(&right.0);
        permute(&mut state);
        let expected = FieldDigest(std::array::from_fn(|index| state[index] + left.0[index]));
        assert_eq!(compress(&left, &right), expected);
        assert_ne!(compress(&left, &right), compress(&right, &left));
    }

    #[test]
    fn many_at_once_equal_one_by_one_at_every_count() {
        let inputs = states(100);
        let expected: Vec<FieldDigest> = inputs.iter().map(compress_state).collect();
        for count in 0..=inputs.len() {
            let mut out = vec![FieldDigest::EMPTY; count];
            compress_many(&inputs[..count], &mut out);
            assert_eq!(out, expected[..count], "{count}");
        }
    }

    #[test]
    fn a_known_compression_stays_what_it_was() {
        let digest = compress(&FieldDigest::EMPTY, &FieldDigest([FieldTag::Slot.element(); 8]));
        assert_eq!(digest.to_string(), "9a4fd3016b8ac31cd1cfc42fc81df4534bd4541b4e036624a0cc731d0a55b926");
    }

    #[test]
    fn a_digest_has_exactly_one_encoding() {
        for digest in digests(50) {
            assert_eq!(FieldDigest::from_bytes(&digest.to_bytes()), Ok(digest));
        }
        assert_eq!(FieldDigest::EMPTY.to_bytes(), [0; 32]);
        assert_eq!(FieldDigest::default(), FieldDigest::EMPTY);
        for (index, value) in [(0, P), (3, P + 1), (7, u32::MAX), (5, 1 << 31)] {
            let mut bytes = digests(1)[0].to_bytes();
            bytes[4 * index..][..4].copy_from_slice(&value.to_le_bytes());
            assert_eq!(FieldDigest::from_bytes(&bytes), Err(FieldDigestError { index, value }));
            bytes[4 * index..][..4].copy_from_slice(&(P - 1).to_le_bytes());
            assert!(FieldDigest::from_bytes(&bytes).is_ok());
        }
    }

    #[test]
    fn the_order_is_that_of_canonical_values() {
        let digest = |first, second| {
            let mut digest = FieldDigest::EMPTY;
            (digest.0[0], digest.0[1]) = (KoalaBear::new(first), KoalaBear::new(second));
            digest
        };
        let mut sorted = [digest(P - 1, 0), digest(1, P - 1), digest(2, 0), digest(1, 5)];
        sorted.sort_unstable();
        assert_eq!(sorted, [digest(1, 5), digest(1, P - 1), digest(2, 0), digest(P - 1, 0)]);
    }

    #[test]
    fn wide_bytes_reduce_word_by_word() {
        let words = [0, 1, u64::from(P) - 1, u64::from(P), u64::from(P) + 1, u64::MAX, 1 << 63, 0x0123_4567_89ab_cdef];
        let mut bytes = [0_u8; 64];
        for (bytes, word) in bytes.chunks_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let reduced = reduce_wide(&bytes).0.map(|element| u64::from(element.as_canonical_u32()));
        assert_eq!(reduced, words.map(|word| word % u64::from(P)));
    }

    #[test]
    fn tags_are_unique_and_the_prime_is_the_field_s() {
        assert!(FieldTag::ALL.is_sorted_by(|a, b| (*a as u32) < *b as u32));
        assert_eq!(FieldTag::StreamOwner.element(), KoalaBear::new(7));
        assert_eq!(P, KoalaBear::ORDER_U32);
    }
}
