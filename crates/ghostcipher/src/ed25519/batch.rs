//! Many signatures in one equation.
//!
//! For signatures `i` with coefficients `z_i`, all hold exactly when, up to a chance of `2^-128`,
//!
//! ```text
//! [8] ( [sum z_i s_i] (-B)  +  sum [z_i] R_i  +  sum over keys A of [sum of z_i k_i of that key] A )  =  0
//! ```
//!
//! The coefficients are hashed from every key, message and signature of the batch, so whoever wants wrong signatures to
//! cancel must fix them before knowing the coefficients, and the check gives the same answer on every machine.

use std::iter::once;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};

use super::{Opened, PreparedKey, Signature};
use crate::digest::Hasher;
use crate::domain::Domain;

/// Below this many signatures, of which one is known to be bad, checking each costs less than halving further.
const HALVE_MIN: usize = 8;

/// One signature to check in a batch. All messages have one length, or the coefficients would not tell where they end.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a, M = [u8; 48]> {
    /// The signer's key.
    pub key: &'a PreparedKey,
    /// What [`crate::digest::signing_bytes`] made of the signed digest.
    pub message: M,
    /// The signature.
    pub signature: &'a Signature,
}

/// Everything verified, or the indices of exactly the items that do not, rising.
pub type BatchOutcome = Result<(), Vec<usize>>;

/// Checks all items at once, and on failure finds the bad ones by halving.
///
/// An item fails here exactly when [`super::verify`] refuses it. The cost of finding `b` bad items among `n` is about
/// `b * log2(n / 8)` smaller batches, so a flood of bad signatures costs a few times what single checks would.
///
/// # Errors
/// The rising indices of the items that do not verify.
pub fn verify_batch(items: &[Item]) -> BatchOutcome {
    verify_items(items)
}

/// [`verify_batch`] of messages of any length.
pub(super) fn verify_items<M: AsRef<[u8]>>(items: &[Item<'_, M>]) -> BatchOutcome {
    let mut bad = Vec::new();
    let terms = open(items, &mut bad);
    if !all_hold(&terms) {
        find_bad(&terms, &mut bad);
    }
    if bad.is_empty() {
        return Ok(());
    }
    bad.sort_unstable();
    Err(bad)
}

/// What one signature adds to the equation.
struct Term<'a> {
    index: usize,
    key: &'a PreparedKey,
    opened: Opened,
    /// `z`
    coefficient: Scalar,
}

/// Takes the items apart, ordered by key so that those of one key are neighbours. Malformed ones go to `bad`.
fn open<'a, M: AsRef<[u8]>>(items: &[Item<'a, M>], bad: &mut Vec<usize>) -> Vec<Term<'a>> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_unstable_by_key(|&index| (items[index].key.key(), index));
    let coefficients = coefficients(items);
    let mut terms = Vec::with_capacity(items.len());
    for index in order {
        let Item { key, message, signature } = &items[index];
        match Opened::new(key, message.as_ref(), signature) {
            Some(opened) => terms.push(Term { index, key, opened, coefficient: Scalar::from(coefficients[index]) }),
            None => bad.push(index),
        }
    }
    terms
}

fn coefficients<M: AsRef<[u8]>>(items: &[Item<'_, M>]) -> Vec<u128> {
    let mut transcript = Hasher::new(Domain::SignatureBatch, 0);
    for Item { key, message, signature } in items {
        transcript.update(key.key().as_bytes()).update(message.as_ref()).update(&signature.0);
    }
    let mut bytes = vec![[0_u8; 16]; items.len()];
    transcript.fill(bytes.as_flattened_mut());
    bytes.into_iter().map(u128::from_le_bytes).collect()
}

/// Whether all terms hold: the equation of the module's head. A wrong yes takes a guess of the coefficients.
fn all_hold(terms: &[Term]) -> bool {
    if let [term] = terms {
        return term.opened.holds(term.key);
    }
    let mut base = Scalar::ZERO;
    let mut key_scalars = Vec::with_capacity(terms.len());
    let mut key_points = Vec::with_capacity(terms.len());
    for terms in terms.chunk_by(|a, b| a.key.key() == b.key.key()) {
        let mut of_key = Scalar::ZERO;
        for Term { opened, coefficient, .. } in terms {
            base -= coefficient * opened.response;
            of_key += coefficient * opened.challenge;
        }
        key_scalars.push(of_key);
        key_points.push(terms[0].key.point);
    }
    let scalars = once(&base).chain(&key_scalars).chain(terms.iter().map(|term| &term.coefficient));
    let points = once(&ED25519_BASEPOINT_POINT).chain(&key_points).chain(terms.iter().map(|term| &term.opened.nonce));
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
}

/// Finds the terms that do not hold, among terms that do not all hold.
fn find_bad(terms: &[Term], bad: &mut Vec<usize>) {
    if terms.len() < HALVE_MIN {
        bad.extend(terms.iter().filter(|term| !term.opened.holds(term.key)).map(|term| term.index));
        return;
    }
    let (left, right) = terms.split_at(terms.len() / 2);
    let found = bad.len();
    if left.len() < HALVE_MIN || !all_hold(left) {
        find_bad(left, bad);
    }
    // When nothing is wrong on the left, something is on the right, and no test of it as a whole is needed.
    let spoiled = bad.len() == found;
    if spoiled || right.len() < HALVE_MIN || !all_hold(right) {
        find_bad(right, bad);
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_TABLE, EIGHT_TORSION};
    use curve25519_dalek::edwards::CompressedEdwardsY;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use sha2::{Digest as _, Sha512};

    use super::*;
    use crate::digest::{hash, signing_bytes};
    use crate::ed25519::{SigningKey, VerificationKey};

    #[derive(Clone)]
    struct Case {
        key: VerificationKey,
        message: [u8; 48],
        signature: Signature,
    }

    impl Case {
        /// A good signature of the signer of that number.
        fn good(signer: usize, content: usize) -> Self {
            let signing = SigningKey::from_seed(hash(Domain::Test, 1, &[&signer.to_le_bytes()]).0);
            let digest = hash(Domain::Test, 0, &[&content.to_le_bytes()]);
            Self {
                key: signing.verification_key(),
                message: signing_bytes(Domain::Test, 5, &digest),
                signature: signing.sign(Domain::Test, 5, &digest),
            }
        }

        fn from_parts(key: [u8; 32], r: [u8; 32], s: [u8; 32]) -> Self {
            let signature = Signature([r, s].as_flattened().try_into().expect("two halves"));
            Self {
                key: VerificationKey::from_bytes(key),
                message: *b"a message of forty-eight bytes, as all are here.",
                signature,
            }
        }

        /// What the reference says.
        fn expected(&self) -> bool {
            let signature = ed25519_zebra::Signature::from_bytes(&self.signature.0);
            ed25519_zebra::VerificationKey::try_from(*self.key.as_bytes())
                .is_ok_and(|key| key.verify(&signature, &self.message).is_ok())
        }
    }

    /// So many good signatures over different messages, by so many signers in turn.
    fn good_cases(count: usize, signers: usize) -> Vec<Case> {
        (0..count).map(|index| Case::good(index % signers, index)).collect()
    }

    /// Checks every case by the reference, alone, and in one batch, and that the three agree. Returns how many hold.
    fn check(cases: &[Case]) -> usize {
        let mut prepared = Vec::new();
        for case in cases {
            match PreparedKey::new(&case.key) {
                Ok(key) => prepared.push((key, case)),
                Err(_) => assert!(!case.expected(), "the reference accepts a key that does not decompress"),
            }
        }
        let expected: Vec<bool> = prepared.iter().map(|(_, case)| case.expected()).collect();
        let singly: Vec<bool> =
            prepared.iter().map(|(key, case)| key.verify(&case.message, &case.signature).is_ok()).collect();
        assert_eq!(singly, expected);

        let items: Vec<Item> = prepared
            .iter()
            .map(|(key, case)| Item { key, message: case.message, signature: &case.signature })
            .collect();
        let bad: Vec<usize> = (0..items.len()).filter(|&index| !expected[index]).collect();
        let outcome = if bad.is_empty() { Ok(()) } else { Err(bad) };
        assert_eq!(verify_batch(&items), outcome);
        // The equation alone, without the single checks that would make up for a wrong no.
        let terms = open(&items, &mut Vec::new());
        assert_eq!(all_hold(&terms), terms.iter().all(|term| expected[term.index]));
        expected.iter().filter(|holds| **holds).count()
    }

    /// The encodings of the 8-torsion: eight canonical ones, and six that are not.
    fn small_order_encodings() -> Vec<[u8; 32]> {
        let canonical = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes());
        let encodings: Vec<[u8; 32]> =
            canonical.chain(non_canonical_encodings().filter(|encoding| point(encoding).is_small_order())).collect();
        assert_eq!(encodings.len(), 14);
        encodings
    }

    /// Every encoding of a curve point that is not the canonical one of its point: `y` at least p, or the sign of a zero
    /// `x` set.
    fn non_canonical_encodings() -> impl Iterator<Item = [u8; 32]> {
        let one = std::array::from_fn(|index| u8::from(index == 0));
        let minus_one = std::array::from_fn(|index| match index {
            0 => 0xec,
            31 => 0x7f,
            _ => 0xff,
        });
        let beyond = (0xed..=0xff_u8).map(move |low| {
            let mut encoding: [u8; 32] = minus_one;
            encoding[0] = low;
            encoding
        });
        let negative = |mut encoding: [u8; 32]| {
            encoding[31] |= 0x80;
            encoding
        };
        let both_signs = beyond.flat_map(move |encoding| [encoding, negative(encoding)]);
        let candidates = [negative(one), negative(minus_one)].into_iter().chain(both_signs);
        candidates.filter(|encoding| CompressedEdwardsY(*encoding).decompress().is_some())
    }

    fn point(encoding: &[u8; 32]) -> EdwardsPoint {
        CompressedEdwardsY(*encoding).decompress().expect("an encoding of a point")
    }

    fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8; 48]) -> Scalar {
        Scalar::from_hash(Sha512::new().chain_update(r).chain_update(key).chain_update(message))
    }

    #[test]
    fn small_order_points_in_every_encoding_verify_as_zip_215_has_it() {
        let encodings = small_order_encodings();
        let mut cases = Vec::new();
        for key in &encodings {
            for r in &encodings {
                cases.push(Case::from_parts(*key, *r, [0; 32]));
            }
        }
        assert_eq!(check(&cases), 14 * 14);
        cases.iter().for_each(|case| assert_eq!(check(std::slice::from_ref(case)), 1));
        // Any other s leaves a multiple of the base point that no torsion can cancel.
        for case in &mut cases {
            case.signature.0[32] = 1;
        }
        assert_eq!(check(&cases), 0);
    }

    #[test]
    fn torsion_added_to_keys_and_nonces_verifies_as_zip_215_has_it() {
        let (secret, nonce) = (Scalar::from(0x5ec2e7_u64), Scalar::from(0x0a0b0c0d_u64));
        let mut cases = Vec::new();
        for of_key in EIGHT_TORSION {
            for of_nonce in EIGHT_TORSION {
                let key = (&secret * ED25519_BASEPOINT_TABLE + of_key).compress().to_bytes();
                let r = (&nonce * ED25519_BASEPOINT_TABLE + of_nonce).compress().to_bytes();
                let mut case = Case::from_parts(key, r, [0; 32]);
                let s = nonce + challenge(&r, &key, &case.message) * secret;
                case.signature.0[32..].copy_from_slice(s.as_bytes());
                cases.push(case);
            }
        }
        assert_eq!(check(&cases), 64);
        cases.iter().for_each(|case| assert_eq!(check(std::slice::from_ref(case)), 1));
    }

    #[test]
    fn non_canonical_points_are_points_and_non_canonical_scalars_are_not_scalars() {
        let encodings: Vec<[u8; 32]> = non_canonical_encodings().collect();
        assert_eq!(encodings.len(), 26);
        let mut cases: Vec<Case> = Vec::new();
        for encoding in &encodings {
            // As a nonce of large order nobody knows its logarithm, so these fail by the equation, not by the encoding.
            cases.push(Case::from_parts(*encoding, small_order_encodings()[3], [0; 32]));
            cases.push(Case::from_parts(small_order_encodings()[5], *encoding, [0; 32]));
        }
        assert_eq!(check(&cases), 12);

        // s plus the group order satisfies the equation and is refused, as are other encodings at and above the order.
        let order: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut cases = Vec::new();
        for content in 0..20 {
            let mut case = Case::good(1, content);
            let mut carry = 0_u16;
            for (byte, of_order) in case.signature.0[32..].iter_mut().zip(order) {
                let sum = u16::from(*byte) + u16::from(of_order) + carry;
                [*byte, _] = sum.to_le_bytes();
                carry = sum >> 8;
            }
            cases.push(case);
        }
        cases.push(Case::from_parts(small_order_encodings()[0], small_order_encodings()[0], order));
        cases.push(Case::from_parts(small_order_encodings()[0], small_order_encodings()[0], [0xff; 32]));
        assert_eq!(check(&cases), 0);
    }

    #[test]
    fn good_batches_pass_at_every_size() {
        for size in [0, 1, 2, 3, 7, 8, 9, 64, 300] {
            let distinct = good_cases(size, size);
            assert_eq!(check(&distinct), size);
            let repeating = good_cases(size, 3);
            assert_eq!(check(&repeating), size);
        }
        // The same item twice is two items.
        assert_eq!(check(&vec![Case::good(1, 1); 20]), 20);
    }

    #[test]
    fn exactly_the_bad_ones_are_named_wherever_they_stand() {
        for size in [1, 2, 3, 8, 17, 64] {
            for position in 0..size {
                let mut cases = good_cases(size, 5);
                cases[position].message[20] ^= 1;
                assert_eq!(check(&cases), size - 1);
            }
        }
        for every in [1, 2, 3, 10, 299] {
            let mut cases = good_cases(300, 7);
            cases.iter_mut().step_by(every).for_each(|case| case.signature.0[33] ^= 4);
            assert_eq!(check(&cases), 300 - 300_usize.div_ceil(every));
        }
    }

    #[test]
    fn errors_that_cancel_without_coefficients_do_not_cancel() {
        let shift = |case: &mut Case, by: Scalar| {
            let s = Scalar::from_canonical_bytes(*case.signature.s_bytes()).expect("a good signature");
            case.signature.0[32..].copy_from_slice((s + by).as_bytes());
        };
        for signers in [1, 12] {
            let mut cases = good_cases(12, signers);
            shift(&mut cases[2], Scalar::from(77_u8));
            shift(&mut cases[9], -Scalar::from(77_u8));
            assert_eq!(check(&cases), 10);
        }
    }

    #[test]
    fn random_mutations_get_the_verdict_of_the_reference_singly_and_in_batch() {
        let mut random = ChaCha8Rng::seed_from_u64(0x215);
        let below = |bound: usize, random: &mut ChaCha8Rng| random.next_u32() as usize % bound;
        let mut mutated = good_cases(300, 40);
        let torsion = small_order_encodings();
        for case in &mut mutated {
            let mut key = *case.key.as_bytes();
            match below(8, &mut random) {
                0 => case.signature.0[below(32, &mut random)] ^= 1 << below(8, &mut random),
                1 => case.signature.0[32 + below(32, &mut random)] ^= 1 << below(8, &mut random),
                2 => case.message[below(48, &mut random)] ^= 1 << below(8, &mut random),
                3 => key[below(32, &mut random)] ^= 1 << below(8, &mut random),
                4 => key = torsion[below(14, &mut random)],
                5 => case.signature.0[..32].copy_from_slice(&torsion[below(14, &mut random)]),
                6 => random.fill_bytes(&mut case.signature.0),
                _ => {}
            }
            case.key = VerificationKey::from_bytes(key);
        }
        mutated.iter().for_each(|case| {
            check(std::slice::from_ref(case));
        });
        for size in [2, 3, 64, 300] {
            mutated.chunks(size).for_each(|cases| {
                check(cases);
            });
        }
        assert!((20..100).contains(&check(&mutated)), "about one in eight is left as it was");
    }
}
