//! Tree nodes: BLAKE3 in its standard keyed mode over inputs of a fixed 64 or 128 bytes, many at a time.
//!
//! A node is hashed under the key of its domain instead of a prefix, so that two digests fill exactly one block. Each
//! output is exactly `blake3::keyed_hash(key, input)`. [`hash_64`] and [`hash_128`] reach many independent inputs at
//! once through `blake3::platform::Platform::hash_many`, which runs one input per vector lane; that interface is hidden
//! and promises nothing, so the crate's version is pinned and the tests compare the two.

use blake3::IncrementCounter;
use blake3::platform::Platform;

use crate::digest::Digest;
use crate::domain::{Domain, prefix};

// Flags of the BLAKE3 paper, section 2.2, table 3.
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// Inputs per call into the vector code: a multiple of every lane count (16 at most), small enough for the stack.
const GROUP: usize = 64;
const DIGEST_LEN: usize = 32;

/// The key under which a kind of node is hashed: `BLAKE3(prefix(domain, 0))`, the same on every chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeKey {
    bytes: [u8; 32],
    words: [u32; 8],
}

impl TreeKey {
    /// Derives the key of `domain`.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        let bytes = *blake3::hash(&prefix(domain, 0)).as_bytes();
        Self { bytes, words: blake3::platform::words_from_le_bytes_32(&bytes) }
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Hashes one node of two children. For a whole level, [`hash_pairs`] is ten times faster.
#[must_use]
pub fn pair(key: &TreeKey, left: &Digest, right: &Digest) -> Digest {
    let mut input = [0_u8; 2 * DIGEST_LEN];
    input[..DIGEST_LEN].copy_from_slice(&left.0);
    input[DIGEST_LEN..].copy_from_slice(&right.0);
    Digest(*blake3::keyed_hash(&key.bytes, &input).as_bytes())
}

/// Hashes each 64-byte input to the output of the same index.
///
/// # Panics
/// If `inputs` and `out` differ in length.
pub fn hash_64(key: &TreeKey, inputs: &[[u8; 64]], out: &mut [Digest]) {
    hash_fixed(key, inputs, out);
}

/// Hashes each 128-byte input to the output of the same index.
///
/// # Panics
/// If `inputs` and `out` differ in length.
pub fn hash_128(key: &TreeKey, inputs: &[[u8; 128]], out: &mut [Digest]) {
    hash_fixed(key, inputs, out);
}

/// Hashes neighbouring children to their parents: `out[i]` is [`pair`] of `children[2 * i]` and `children[2 * i + 1]`.
///
/// # Panics
/// If `children` is not twice as long as `out`.
pub fn hash_pairs(key: &TreeKey, children: &[Digest], out: &mut [Digest]) {
    assert_eq!(children.len(), 2 * out.len(), "two children per parent");
    let mut inputs = [[[0_u8; DIGEST_LEN]; 2]; GROUP];
    for (children, out) in children.chunks(2 * GROUP).zip(out.chunks_mut(GROUP)) {
        for (input, [left, right]) in inputs.iter_mut().zip(children.as_chunks().0) {
            *input = [left.0, right.0];
        }
        let inputs: &[[u8; 2 * DIGEST_LEN]] = inputs[..out.len()].as_flattened().as_flattened().as_chunks().0;
        hash_fixed(key, inputs, out);
    }
}

fn hash_fixed<const N: usize>(key: &TreeKey, inputs: &[[u8; N]], out: &mut [Digest]) {
    assert_eq!(inputs.len(), out.len(), "one output per input");
    let (groups, rest) = inputs.as_chunks::<GROUP>();
    let (out_groups, out_rest) = out.as_chunks_mut::<GROUP>();
    for (group, out) in groups.iter().zip(out_groups) {
        hash_group(key, &group.each_ref(), out);
    }
    if let Some(first) = rest.first() {
        let mut references = [first; GROUP];
        references.iter_mut().zip(rest).for_each(|(reference, input)| *reference = input);
        hash_group(key, &references[..rest.len()], out_rest);
    }
}

/// Hashes at most [`GROUP`] inputs of `N` bytes, a whole number of blocks and at most one chunk.
fn hash_group<const N: usize>(key: &TreeKey, inputs: &[&[u8; N]], out: &mut [Digest]) {
    const { assert!(N > 0 && N.is_multiple_of(64) && N <= 1024) };
    let mut bytes = [[0_u8; DIGEST_LEN]; GROUP];
    // One chunk that is also the root: the last block ends the chunk and the tree, and its counter is 0.
    Platform::detect().hash_many(
        inputs,
        &key.words,
        0,
        IncrementCounter::No,
        KEYED_HASH,
        CHUNK_START,
        CHUNK_END | ROOT,
        bytes[..inputs.len()].as_flattened_mut(),
    );
    for (digest, bytes) in out.iter_mut().zip(bytes) {
        *digest = Digest(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs<const N: usize>(count: usize) -> Vec<[u8; N]> {
        let mut stream = blake3::Hasher::new().update(b"node inputs").finalize_xof();
        let mut inputs = vec![[0_u8; N]; count];
        stream.fill(inputs.as_flattened_mut());
        inputs
    }

    fn scalar<const N: usize>(key: &TreeKey, inputs: &[[u8; N]]) -> Vec<Digest> {
        inputs.iter().map(|input| Digest(*blake3::keyed_hash(key.as_bytes(), input).as_bytes())).collect()
    }

    #[test]
    fn many_at_once_equal_the_public_keyed_hash_one_by_one() {
        let key = TreeKey::new(Domain::ObjectNode);
        for count in (0..70).chain([127, 128, 129, 1000]) {
            let mut out = vec![Digest::ZERO; count];
            let short = inputs::<64>(count);
            hash_64(&key, &short, &mut out);
            assert_eq!(out, scalar(&key, &short), "{count} of 64 bytes");
            let long = inputs::<128>(count);
            hash_128(&key, &long, &mut out);
            assert_eq!(out, scalar(&key, &long), "{count} of 128 bytes");
        }
    }

    #[test]
    fn a_level_of_pairs_equals_its_pairs() {
        let key = TreeKey::new(Domain::MerkleNode);
        let children: Vec<Digest> = inputs::<32>(400).into_iter().map(Digest).collect();
        for count in (0..=66).chain([128, 200]) {
            let children = &children[..2 * count];
            let mut out = vec![Digest::ZERO; count];
            hash_pairs(&key, children, &mut out);
            let expected: Vec<Digest> =
                children.chunks(2).map(|children| pair(&key, &children[0], &children[1])).collect();
            assert_eq!(out, expected, "{count}");
        }
    }

    #[test]
    fn keys_are_the_hash_of_the_chain_independent_prefix() {
        let key = TreeKey::new(Domain::Test);
        assert_eq!(key.as_bytes(), blake3::hash(&prefix(Domain::Test, 0)).as_bytes());
        assert_eq!(key.words[0], u32::from_le_bytes(*key.bytes.first_chunk().expect("a key has 32 bytes")));
        let keys = Domain::ALL.iter().map(|domain| *TreeKey::new(*domain).as_bytes());
        assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), Domain::ALL.len());
    }

    #[test]
    fn order_and_domain_count() {
        let (left, right) = (Digest([1; 32]), Digest([2; 32]));
        let key = TreeKey::new(Domain::ObjectNode);
        assert_ne!(pair(&key, &left, &right), pair(&key, &right, &left));
        assert_ne!(pair(&key, &left, &right), pair(&TreeKey::new(Domain::MerkleNode), &left, &right));
    }

    #[test]
    #[should_panic(expected = "one output per input")]
    fn lengths_must_match() {
        hash_64(&TreeKey::new(Domain::Test), &[[0; 64]; 3], &mut [Digest::ZERO; 2]);
    }

    #[test]
    #[should_panic(expected = "two children per parent")]
    fn a_level_of_pairs_has_two_children_per_parent() {
        hash_pairs(&TreeKey::new(Domain::Test), &[Digest::ZERO; 3], &mut [Digest::ZERO; 1]);
    }
}
