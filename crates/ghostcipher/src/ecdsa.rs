//! ECDSA (FIPS 186-5, section 6.4) with SHA-256, once for each curve: what [`secp256k1`](crate::secp256k1) and
//! [`p256`](crate::p256) are made of.
//!
//! Of a signature `(r, s)` the pair `(r, n - s)` fits as well, for anybody to make. One of the two has to be the only one,
//! or whoever relays a transaction could change its bytes: `s` is at most `n / 2`, on both curves.

#[cfg(test)]
mod suite;
#[cfg(test)]
pub(crate) use suite::suite;

/// Defines one scheme over the curve of the crate `$curve`, in the shape of [`ed25519`](crate::ed25519).
macro_rules! scheme {
    ($curve:ident, $name:literal) => {
        use std::fmt;

        use thiserror::Error;
        use $curve::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
        use zeroize::Zeroize;

        use crate::digest::{Digest, signing_digest};
        use crate::domain::Domain;
        use crate::ed25519::Signature;
        use crate::hex::{self, Hex};

        /// How bytes fail to be an acceptable key. Whoever supplied the key is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
        pub enum KeyError {
            /// The first byte is neither 2 nor 3: another form of a point, or the identity.
            #[error("{name} key {0} is not in compressed form: that begins with 02 or 03", name = $name)]
            NotCompressed(VerificationKey),
            /// No point of the curve has this `x`, or it is not below the field's prime.
            #[error("{name} key {0} is not a point of the curve", name = $name)]
            NotOnCurve(VerificationKey),
        }

        /// How bytes fail to be a secret key; they are not shown.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
        #[error("not a secret key of {name}: it is zero, or not below the order of the group", name = $name)]
        pub struct SecretError;

        /// How a signature fails. The signer, or whoever relayed the signature, is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
        pub enum SignatureError {
            /// The key itself cannot verify anything.
            #[error(transparent)]
            Key(#[from] KeyError),
            /// `r` or `s` is zero, or not below the order of the group.
            #[error("r or s of the signature is out of range")]
            OutOfRange,
            /// `s` is the larger of the two that fit. Who signed takes `n - s` instead.
            #[error("s of the signature is above half the order: n - s takes its place")]
            HighS,
            /// The signature is not one of this message under this key.
            #[error("signature does not fit message and {name} key {0}", name = $name)]
            Invalid(VerificationKey),
        }

        /// The 33-byte compressed encoding of a verification key (SEC 1, section 2.3.3): 2 or 3 by the parity of `y`, then
        /// `x` big-endian. Ordered as bytes.
        ///
        /// [`parse`](Self::parse) checks the bytes; [`from_bytes`](Self::from_bytes) only holds them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct VerificationKey([u8; 33]);

        impl VerificationKey {
            /// Takes the bytes of a key that is being set, and checks that they are a point of the curve.
            ///
            /// # Errors
            /// [`KeyError`] if they are not.
            pub fn parse(bytes: [u8; 33]) -> Result<Self, KeyError> {
                PreparedKey::new(&Self(bytes)).map(|prepared| prepared.key)
            }

            /// Holds bytes that nothing has checked, such as a claim in a message. Verifying under them is safe.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 33]) -> Self {
                Self(bytes)
            }

            /// The encoding.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 33] {
                &self.0
            }
        }

        /// Lowercase hexadecimal, 66 digits.
        impl fmt::Display for VerificationKey {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Hex(&self.0).fmt(f)
            }
        }

        impl fmt::Debug for VerificationKey {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex::write_short(f, concat!($name, "::VerificationKey"), &self.0)
            }
        }

        /// A secret key. Wiped when dropped; never shown, compared or copied.
        pub struct SigningKey($curve::ecdsa::SigningKey);

        impl SigningKey {
            /// The key of a secret scalar, big-endian. The caller wipes its own copy of the bytes.
            ///
            /// # Errors
            /// [`SecretError`] if the scalar is zero or not below the order, as one in about `2^32` random ones is at most.
            pub fn from_secret(mut secret: [u8; 32]) -> Result<Self, SecretError> {
                let key = $curve::ecdsa::SigningKey::from_slice(&secret);
                secret.zeroize();
                key.map(Self).map_err(|_| SecretError)
            }

            /// The public half.
            #[must_use]
            pub fn verification_key(&self) -> VerificationKey {
                let point = self.0.verifying_key().to_sec1_point(true);
                VerificationKey(point.as_bytes().try_into().expect("a compressed point has 33 bytes"))
            }

            /// Signs `digest` under `domain` on chain `chain_id`. Deterministic, by RFC 6979.
            #[must_use]
            pub fn sign(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Signature {
                self.sign_message(&signing_digest(domain, chain_id, digest))
            }

            /// Signs what [`signing_digest`] made, or another SHA-256.
            pub(crate) fn sign_message(&self, message: &[u8; 32]) -> Signature {
                let signature: Result<$curve::ecdsa::Signature, _> = self.0.sign_prehash(message);
                let signature = signature.expect("RFC 6979 goes on until a nonce fits").normalize_s();
                Signature(signature.to_bytes().into())
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
            PreparedKey::new(key)?.verify(&signing_digest(domain, chain_id, digest), signature)
        }

        /// The signature of the same message with the smaller `s`: what a signer that does not care has to send instead.
        /// `None` if `r` or `s` is out of range.
        #[must_use]
        pub fn with_low_s(signature: &Signature) -> Option<Signature> {
            let signature = $curve::ecdsa::Signature::from_slice(&signature.0).ok()?;
            Some(Signature(signature.normalize_s().to_bytes().into()))
        }

        /// A verification key with its point decompressed, which takes a square root. Worth caching.
        #[derive(Clone)]
        pub struct PreparedKey {
            key: VerificationKey,
            point: $curve::ecdsa::VerifyingKey,
        }

        impl PreparedKey {
            /// Decompresses `key`.
            ///
            /// # Errors
            /// [`KeyError`] if the bytes are no compressed point of the curve.
            pub fn new(key: &VerificationKey) -> Result<Self, KeyError> {
                if !matches!(key.0[0], 2 | 3) {
                    return Err(KeyError::NotCompressed(*key));
                }
                let point = $curve::ecdsa::VerifyingKey::from_sec1_bytes(&key.0);
                Ok(Self { key: *key, point: point.map_err(|_| KeyError::NotOnCurve(*key))? })
            }

            /// The key that was decompressed.
            #[must_use]
            pub const fn key(&self) -> &VerificationKey {
                &self.key
            }

            /// Checks one signature of a message made by [`signing_digest`].
            ///
            /// # Errors
            /// [`SignatureError`] if it does not verify.
            pub fn verify(&self, message: &[u8; 32], signature: &Signature) -> Result<(), SignatureError> {
                let signature =
                    $curve::ecdsa::Signature::from_slice(&signature.0).map_err(|_| SignatureError::OutOfRange)?;
                if signature.normalize_s() != signature {
                    return Err(SignatureError::HighS);
                }
                self.point.verify_prehash(message, &signature).map_err(|_| SignatureError::Invalid(self.key))
            }
        }

        impl fmt::Debug for PreparedKey {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex::write_short(f, concat!($name, "::PreparedKey"), &self.key.0)
            }
        }
    };
}
pub(crate) use scheme;
