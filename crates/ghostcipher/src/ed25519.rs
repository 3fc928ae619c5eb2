//! Ed25519 (RFC 8032) by the rules of [ZIP-215](https://zips.z.cash/zip-0215), so that a batch accepts exactly what the
//! single check accepts:
//!
//! - the key `A` and the nonce point `R` may be any encoding of a curve point, canonical or not;
//! - `s` is canonical: below the group order;
//! - the equation is the one with the cofactor: `[8][s]B = [8]R + [8][k]A`, `k = SHA-512(R || A || message)`.
//!
//! [`verify`] is `ed25519-zebra`; [`verify_batch`] and [`PreparedKey`] are our own over `curve25519-dalek`, for keys
//! that are decompressed once and used often. Each is the other's oracle in the tests. Small-order keys verify like any
//! other (that is the rule); [`VerificationKey::parse`] refuses them where a key is *set*.
//!
//! What gets signed is always the 48 bytes of [`signing_bytes`]: domain, chain id and a digest.

mod batch;

use std::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest as _, Sha512};
use thiserror::Error;
use zeroize::Zeroize;

pub use batch::{BatchOutcome, Item, verify_batch};

use crate::digest::{Digest, signing_bytes};
use crate::domain::Domain;
use crate::hex::{self, Hex};

/// How bytes fail to be an acceptable key. Whoever supplied the key is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes encode no point of the curve.
    #[error("verification key {0} is not a point of the curve")]
    NotOnCurve(VerificationKey),
    /// The point has order 1, 2, 4 or 8: under such a key one signature can fit every message.
    #[error("verification key {0} has a small order")]
    SmallOrder(VerificationKey),
}

/// How a signature fails. The signer, or whoever relayed the signature, is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The key itself cannot verify anything.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature is not one of this message under this key.
    #[error("signature does not fit message and verification key {0}")]
    Invalid(VerificationKey),
}

/// The 32-byte encoding of a verification key. Ordered as bytes.
///
/// [`parse`](Self::parse) checks the bytes; [`from_bytes`](Self::from_bytes) only holds them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerificationKey([u8; 32]);

impl VerificationKey {
    /// Takes the bytes of a key that is being set, and checks that the key can be held to its signatures.
    ///
    /// # Errors
    /// [`KeyError`] if the bytes encode no point, or a point of small order.
    pub fn parse(bytes: [u8; 32]) -> Result<Self, KeyError> {
        PreparedKey::parse(bytes).map(|prepared| prepared.key)
    }

    /// Holds bytes that nothing has checked, such as a claim in a message. Verifying under them is safe: it checks that
    /// they decompress. Storing them as somebody's key is not; that takes [`parse`](Self::parse).
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The encoding.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Lowercase hexadecimal, 64 digits.
impl fmt::Display for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_short(f, "VerificationKey", &self.0)
    }
}

/// A signature of 64 bytes: here the encoding of `R`, then `s` little-endian; in the schemes of ECDSA `r` and `s`
/// big-endian. Nothing is checked before verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    fn r_bytes(&self) -> &[u8; 32] {
        self.0.first_chunk().expect("a signature has 64 bytes")
    }

    fn s_bytes(&self) -> &[u8; 32] {
        self.0.last_chunk().expect("a signature has 64 bytes")
    }
}

/// Lowercase hexadecimal, 128 digits.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_short(f, "Signature", &self.0)
    }
}

/// A secret key. Wiped when dropped; never shown, compared or copied.
pub struct SigningKey(ed25519_zebra::SigningKey);

impl SigningKey {
    /// Derives the key from the 32-byte seed of RFC 8032, section 5.1.5. The caller wipes its own copy of the seed.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = Self(ed25519_zebra::SigningKey::from(seed));
        seed.zeroize();
        key
    }

    /// The public half.
    #[must_use]
    pub fn verification_key(&self) -> VerificationKey {
        VerificationKey(self.0.verification_key().into())
    }

    /// Signs `digest` under `domain` on chain `chain_id`. Deterministic, as RFC 8032 has it.
    #[must_use]
    pub fn sign(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Signature {
        Signature(self.0.sign(&signing_bytes(domain, chain_id, digest)).to_bytes())
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {:?})", self.verification_key())
    }
}

/// Checks that `signature` signs `digest` under `domain` on chain `chain_id` with `key`.
///
/// # Errors
/// [`SignatureError`] if the key encodes no point, or the signature does not verify.
pub fn verify(
    domain: Domain,
    chain_id: u64,
    key: &VerificationKey,
    digest: &Digest,
    signature: &Signature,
) -> Result<(), SignatureError> {
    let reference = ed25519_zebra::VerificationKey::try_from(key.0).map_err(|_| KeyError::NotOnCurve(*key))?;
    let signature = ed25519_zebra::Signature::from_bytes(&signature.0);
    let message = signing_bytes(domain, chain_id, digest);
    reference.verify(&signature, &message).map_err(|_| SignatureError::Invalid(*key))
}

/// A verification key with its point decompressed, which costs as much as a third of a verification. Worth caching.
#[derive(Clone)]
pub struct PreparedKey {
    key: VerificationKey,
    point: EdwardsPoint,
}

impl PreparedKey {
    /// Decompresses `key`. Small-order points pass, as ZIP-215 has it.
    ///
    /// # Errors
    /// [`KeyError::NotOnCurve`] if the bytes encode no point.
    pub fn new(key: &VerificationKey) -> Result<Self, KeyError> {
        let point = CompressedEdwardsY(key.0).decompress().ok_or(KeyError::NotOnCurve(*key))?;
        Ok(Self { key: *key, point })
    }

    /// Decompresses the bytes of a key that can be held to its signatures: [`VerificationKey::parse`] that keeps the point.
    ///
    /// # Errors
    /// [`KeyError`] if the bytes encode no point, or a point of small order.
    pub fn parse(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let prepared = Self::new(&VerificationKey(bytes))?;
        if prepared.point.is_small_order() {
            return Err(KeyError::SmallOrder(prepared.key));
        }
        Ok(prepared)
    }

    /// The key that was decompressed.
    #[must_use]
    pub const fn key(&self) -> &VerificationKey {
        &self.key
    }

    /// Checks one signature of a message made by [`signing_bytes`].
    ///
    /// # Errors
    /// [`SignatureError::Invalid`] if it does not verify.
    pub fn verify(&self, message: &[u8; 48], signature: &Signature) -> Result<(), SignatureError> {
        match Opened::new(self, message, signature) {
            Some(opened) if opened.holds(self) => Ok(()),
            _ => Err(SignatureError::Invalid(self.key)),
        }
    }
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_short(f, "PreparedKey", &self.key.0)
    }
}

/// A well-formed signature taken apart, ready for the equation.
struct Opened {
    /// The nonce point `R`.
    nonce: EdwardsPoint,
    /// The scalar `s`.
    response: Scalar,
    /// The scalar `k`, hash of `R`, `A` and the message.
    challenge: Scalar,
}

impl Opened {
    /// Takes a signature apart; `None` if `R` is no point or `s` is not canonical, which no batch can mend.
    fn new(key: &PreparedKey, message: &[u8], signature: &Signature) -> Option<Self> {
        let response = Option::from(Scalar::from_canonical_bytes(*signature.s_bytes()))?;
        let nonce = CompressedEdwardsY(*signature.r_bytes()).decompress()?;
        let hash = Sha512::new().chain_update(signature.r_bytes()).chain_update(key.key.0).chain_update(message);
        Some(Self { nonce, response, challenge: Scalar::from_hash(hash) })
    }

    /// Whether `[8]([s]B - [k]A - R)` is the identity.
    fn holds(&self, key: &PreparedKey) -> bool {
        let nonce = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.challenge, &-key.point, &self.response);
        (nonce - self.nonce).mul_by_cofactor().is_identity()
    }
}

#[cfg(test)]
mod wycheproof;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hash;

    fn signing_key(number: u8) -> SigningKey {
        SigningKey::from_seed([number; 32])
    }

    /// RFC 8032, section 7.1, tests 1 to 3: seed and verification key.
    #[test]
    fn seeds_give_the_keys_of_the_rfc() {
        let pairs = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            ),
        ];
        for (seed, key) in pairs {
            let signing = SigningKey::from_seed(hex::decode(seed).expect("a seed of the RFC"));
            assert_eq!(signing.verification_key().to_string(), key);
        }
    }

    #[test]
    fn a_signature_holds_for_its_key_domain_chain_and_digest_only() {
        let (alice, bob) = (signing_key(1), signing_key(2));
        let digest = hash(Domain::Test, 1, &[b"pay bob"]);
        let signature = alice.sign(Domain::TransactionAuth, 10_000, &digest);
        let key = alice.verification_key();
        assert_eq!(verify(Domain::TransactionAuth, 10_000, &key, &digest, &signature), Ok(()));

        let refused = Err(SignatureError::Invalid(key));
        assert_eq!(verify(Domain::Approval, 10_000, &key, &digest, &signature), refused);
        assert_eq!(verify(Domain::TransactionAuth, 10_001, &key, &digest, &signature), refused);
        assert_eq!(verify(Domain::TransactionAuth, 10_000, &key, &Digest::ZERO, &signature), refused);
        let bob = bob.verification_key();
        let refused = Err(SignatureError::Invalid(bob));
        assert_eq!(verify(Domain::TransactionAuth, 10_000, &bob, &digest, &signature), refused);
    }

    #[test]
    fn a_known_signature_stays_what_it_was() {
        let signature = signing_key(7).sign(Domain::Test, 1337, &Digest([9; 32]));
        assert_eq!(
            signature.to_string(),
            "e57b1be7e9ccc5043efc82a7a52c27948571a17038409dee2b1670774ae946cc18de5162df0636fcf7e6a64963081e014c1e91202a42465f2abd67aab52b340f"
        );
    }

    #[test]
    fn keys_that_cannot_be_held_to_a_signature_are_refused_where_they_are_set() {
        let key = signing_key(3).verification_key();
        assert_eq!(VerificationKey::parse(*key.as_bytes()), Ok(key));

        let identity = VerificationKey::from_bytes([&[1][..], &[0; 31]].concat().try_into().expect("32 bytes"));
        assert_eq!(VerificationKey::parse(identity.0), Err(KeyError::SmallOrder(identity)));
        for point in curve25519_dalek::constants::EIGHT_TORSION {
            let bytes = point.compress().to_bytes();
            assert!(matches!(VerificationKey::parse(bytes), Err(KeyError::SmallOrder(_))));
        }

        let off_curve = VerificationKey::from_bytes([&[2][..], &[0; 31]].concat().try_into().expect("32 bytes"));
        assert_eq!(VerificationKey::parse(off_curve.0), Err(KeyError::NotOnCurve(off_curve)));
        assert_eq!(PreparedKey::new(&off_curve).expect_err("no point"), KeyError::NotOnCurve(off_curve));
        let signature = signing_key(3).sign(Domain::Test, 0, &Digest::ZERO);
        let outcome = verify(Domain::Test, 0, &off_curve, &Digest::ZERO, &signature);
        assert_eq!(outcome, Err(SignatureError::Key(KeyError::NotOnCurve(off_curve))));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let key = SigningKey::from_seed([0xab; 32]);
        let shown = format!("{key:?}");
        assert!(!shown.contains("abab"), "{shown}");
        assert!(shown.contains(&key.verification_key().to_string()[..8]), "{shown}");
    }
}
