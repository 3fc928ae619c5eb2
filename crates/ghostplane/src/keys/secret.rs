//! An open secret key, of any scheme that a key file can hold.

use ghostplane_ghostcipher::{Digest, Domain, SigningKey, p256, secp256k1};
use ghostplane_types::{Auth, PublicKey, Scheme, Signer};

use super::KeyFileError;

/// The schemes of key files. A passkey stays in its authenticator.
pub const SCHEMES: [Scheme; 3] = [Scheme::Ed25519, Scheme::Secp256k1, Scheme::P256];

/// A secret key. Wiped when dropped; never shown, compared or copied.
#[derive(Debug)]
pub enum SecretKey {
    /// Of Ed25519.
    Ed25519(SigningKey),
    /// Of secp256k1.
    Secp256k1(secp256k1::SigningKey),
    /// Of P-256.
    P256(p256::SigningKey),
}

impl SecretKey {
    /// The key of 32 bytes: a seed of RFC 8032, or a scalar big-endian. `None` if the bytes are none of the scheme.
    #[must_use]
    pub fn from_seed(scheme: Scheme, seed: &[u8; 32]) -> Option<Self> {
        match scheme {
            Scheme::Ed25519 => Some(Self::Ed25519(SigningKey::from_seed(*seed))),
            Scheme::Secp256k1 => secp256k1::SigningKey::from_secret(*seed).ok().map(Self::Secp256k1),
            Scheme::P256 => p256::SigningKey::from_secret(*seed).ok().map(Self::P256),
            Scheme::Passkey => None,
        }
    }

    /// The key, if it is of Ed25519. `name` is for the error.
    ///
    /// # Errors
    /// [`KeyFileError::NotEd25519`] if it is not.
    pub fn into_ed25519(self, name: &str) -> Result<SigningKey, KeyFileError> {
        match self {
            Self::Ed25519(key) => Ok(key),
            other => Err(KeyFileError::NotEd25519 { name: name.to_owned(), found: other.public_key().scheme() }),
        }
    }
}

impl Signer for SecretKey {
    fn public_key(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => key.public_key(),
            Self::Secp256k1(key) => key.public_key(),
            Self::P256(key) => key.public_key(),
        }
    }

    fn consent(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Auth {
        match self {
            Self::Ed25519(key) => key.consent(domain, chain_id, digest),
            Self::Secp256k1(key) => key.consent(domain, chain_id, digest),
            Self::P256(key) => key.consent(domain, chain_id, digest),
        }
    }
}
