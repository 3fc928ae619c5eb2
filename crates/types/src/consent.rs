//! Consent: what a key makes of a digest, in any scheme, and checking it one at a time.
//!
//! Three schemes answer with a signature of 64 bytes; which of them it is, only the key says. A passkey answers with an
//! assertion. So that a transaction can be read without the key, its key reference says which form follows.

use crate::address::{PublicKey, Scheme};
use crate::codec::{Decode, DecodeError, Encode, Reader, put_byte_string, varint_len};
use crate::limits::{AUTHENTICATOR_DATA_BYTES_MAX, AUTHENTICATOR_DATA_BYTES_MIN, CLIENT_DATA_BYTES_MAX};
use ghostplane_ghostcipher::webauthn::{self, Assertion, AssertionError, PreparedPasskey};
use ghostplane_ghostcipher::{Digest, Domain, Signature, SigningKey, ed25519, p256, secp256k1};
use ghostplane_ghostcipher::{signing_bytes, signing_digest};
use std::fmt;
use thiserror::Error;

/// What consent looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentForm {
    /// A signature of 64 bytes.
    Signature,
    /// An assertion of a passkey.
    Assertion,
}

impl ConsentForm {
    /// The form that keys of this scheme consent in.
    pub const fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Ed25519 | Scheme::Secp256k1 | Scheme::P256 => Self::Signature,
            Scheme::Passkey => Self::Assertion,
        }
    }

    /// The most bytes that consent in this form takes.
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Signature => 64,
            Self::Assertion => 2 + AUTHENTICATOR_DATA_BYTES_MAX + 2 + CLIENT_DATA_BYTES_MAX + 64,
        }
    }
}

/// What a key made of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A signature of 64 bytes.
    Signature(Signature),
    /// An assertion of a passkey. Most transactions have none, and are to be short.
    Assertion(Box<Assertion>),
}

impl Auth {
    /// Which form it has.
    pub const fn form(&self) -> ConsentForm {
        match self {
            Self::Signature(_) => ConsentForm::Signature,
            Self::Assertion(_) => ConsentForm::Assertion,
        }
    }

    /// The signature, an assertion's included.
    pub const fn signature(&self) -> &Signature {
        match self {
            Self::Signature(signature) => signature,
            Self::Assertion(assertion) => &assertion.signature,
        }
    }

    /// The signature, to be changed.
    pub const fn signature_mut(&mut self) -> &mut Signature {
        match self {
            Self::Signature(signature) => signature,
            Self::Assertion(assertion) => &mut assertion.signature,
        }
    }

    /// How many bytes it takes.
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Signature(_) => 64,
            Self::Assertion(assertion) => {
                let prefixed = |bytes: &[u8]| varint_len(bytes.len() as u64) + bytes.len();
                prefixed(&assertion.authenticator_data) + prefixed(&assertion.client_data) + 64
            }
        }
    }

    /// Reads consent of the form that the key reference names.
    pub fn decode(form: ConsentForm, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match form {
            ConsentForm::Signature => Ok(Self::Signature(reader.read()?)),
            ConsentForm::Assertion => Ok(Self::Assertion(Box::new(reader.read()?))),
        }
    }
}

impl From<Signature> for Auth {
    fn from(signature: Signature) -> Self {
        Self::Signature(signature)
    }
}

impl From<Assertion> for Auth {
    fn from(assertion: Assertion) -> Self {
        Self::Assertion(Box::new(assertion))
    }
}

/// The signature alone, in lowercase hexadecimal.
impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.signature().fmt(f)
    }
}

impl Encode for Auth {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Signature(signature) => signature.encode(out),
            Self::Assertion(assertion) => assertion.encode(out),
        }
    }
}

impl Encode for Assertion {
    fn encode(&self, out: &mut Vec<u8>) {
        put_byte_string(out, &self.authenticator_data);
        put_byte_string(out, &self.client_data);
        self.signature.encode(out);
    }
}

impl Decode for Assertion {
    const BYTES_MIN: usize = 1 + AUTHENTICATOR_DATA_BYTES_MIN + 1 + 64;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let authenticator_data = reader.byte_string("authenticator data bytes", AUTHENTICATOR_DATA_BYTES_MAX)?;
        if authenticator_data.len() < AUTHENTICATOR_DATA_BYTES_MIN {
            return Err(reader.non_canonical("authenticator data"));
        }
        Ok(Self {
            authenticator_data: authenticator_data.to_vec(),
            client_data: reader.byte_string("client data bytes", CLIENT_DATA_BYTES_MAX)?.to_vec(),
            signature: reader.read()?,
        })
    }
}

/// Whatever holds a secret key and signs with it.
pub trait Signer: fmt::Debug {
    /// The public half.
    fn public_key(&self) -> PublicKey;

    /// Consents to `digest` under `domain` on chain `chain_id`.
    fn consent(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Auth;
}

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        PublicKey::Ed25519(self.verification_key())
    }

    fn consent(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Auth {
        self.sign(domain, chain_id, digest).into()
    }
}

impl Signer for secp256k1::SigningKey {
    fn public_key(&self) -> PublicKey {
        PublicKey::Secp256k1(self.verification_key())
    }

    fn consent(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Auth {
        self.sign(domain, chain_id, digest).into()
    }
}

impl Signer for p256::SigningKey {
    fn public_key(&self) -> PublicKey {
        PublicKey::P256(self.verification_key())
    }

    fn consent(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Auth {
        self.sign(domain, chain_id, digest).into()
    }
}

impl Signer for webauthn::Authenticator {
    fn public_key(&self) -> PublicKey {
        PublicKey::Passkey(self.passkey())
    }

    fn consent(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Auth {
        self.assert(domain, chain_id, digest).into()
    }
}

/// How bytes fail to be an acceptable key, in any scheme. Whoever supplied the key is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not a usable Ed25519 key.
    #[error(transparent)]
    Ed25519(#[from] ed25519::KeyError),
    /// Not a usable secp256k1 key.
    #[error(transparent)]
    Secp256k1(#[from] secp256k1::KeyError),
    /// Not a usable P-256 key, a passkey's or other.
    #[error(transparent)]
    P256(#[from] p256::KeyError),
}

/// How consent fails, in any scheme. The signer, or whoever relayed it, is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConsentError {
    /// The key is not usable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A signature where the key makes assertions, or the other way round.
    #[error("keys of scheme {} do not consent in this form", .0.name())]
    Form(Scheme),
    /// The Ed25519 signature does not hold.
    #[error(transparent)]
    Ed25519(#[from] ed25519::SignatureError),
    /// The secp256k1 signature does not hold.
    #[error(transparent)]
    Secp256k1(#[from] secp256k1::SignatureError),
    /// The P-256 signature does not hold.
    #[error(transparent)]
    P256(#[from] p256::SignatureError),
    /// The assertion does not hold.
    #[error(transparent)]
    Passkey(#[from] AssertionError),
}

/// A public key with its point decompressed. Worth caching.
#[derive(Clone, Debug)]
pub enum PreparedKey {
    /// Of Ed25519. Its signatures can be verified many at a time.
    Ed25519(ed25519::PreparedKey),
    /// Of secp256k1.
    Secp256k1(secp256k1::PreparedKey),
    /// Of P-256.
    P256(p256::PreparedKey),
    /// Of a passkey.
    Passkey(PreparedPasskey),
}

impl PreparedKey {
    /// Decompresses a key that can be held to its signatures.
    ///
    /// # Errors
    /// [`KeyError`] if it is no point of its curve, or one of small order.
    pub fn parse(key: &PublicKey) -> Result<Self, KeyError> {
        Ok(match key {
            PublicKey::Ed25519(key) => Self::Ed25519(ed25519::PreparedKey::parse(*key.as_bytes())?),
            PublicKey::Secp256k1(key) => Self::Secp256k1(secp256k1::PreparedKey::new(key)?),
            PublicKey::P256(key) => Self::P256(p256::PreparedKey::new(key)?),
            PublicKey::Passkey(passkey) => Self::Passkey(PreparedPasskey::new(passkey)?),
        })
    }

    /// The key that was decompressed.
    pub const fn public_key(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(*key.key()),
            Self::Secp256k1(key) => PublicKey::Secp256k1(*key.key()),
            Self::P256(key) => PublicKey::P256(*key.key()),
            Self::Passkey(key) => PublicKey::Passkey(*key.passkey()),
        }
    }

    /// Checks that this key consented to `digest` under `domain` on chain `chain_id`.
    ///
    /// # Errors
    /// [`ConsentError`] if it did not.
    pub fn verify(&self, domain: Domain, chain_id: u64, digest: &Digest, auth: &Auth) -> Result<(), ConsentError> {
        match (self, auth) {
            (Self::Ed25519(key), Auth::Signature(signature)) => {
                Ok(key.verify(&signing_bytes(domain, chain_id, digest), signature)?)
            }
            (Self::Secp256k1(key), Auth::Signature(signature)) => {
                Ok(key.verify(&signing_digest(domain, chain_id, digest), signature)?)
            }
            (Self::P256(key), Auth::Signature(signature)) => {
                Ok(key.verify(&signing_digest(domain, chain_id, digest), signature)?)
            }
            (Self::Passkey(key), Auth::Assertion(assertion)) => {
                Ok(key.verify(&signing_digest(domain, chain_id, digest), assertion)?)
            }
            _ => Err(ConsentError::Form(self.public_key().scheme())),
        }
    }
}

impl PublicKey {
    /// Checks that this key consented to `digest` under `domain` on chain `chain_id`.
    ///
    /// # Errors
    /// [`ConsentError`] if it did not, or is not usable.
    pub fn verify(&self, domain: Domain, chain_id: u64, digest: &Digest, auth: &Auth) -> Result<(), ConsentError> {
        PreparedKey::parse(self)?.verify(domain, chain_id, digest, auth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signers() -> [Box<dyn Signer>; 4] {
        let of_curve = "a small scalar";
        [
            Box::new(SigningKey::from_seed([1; 32])),
            Box::new(secp256k1::SigningKey::from_secret([2; 32]).expect(of_curve)),
            Box::new(p256::SigningKey::from_secret([3; 32]).expect(of_curve)),
            Box::new(webauthn::Authenticator::new([4; 32], "wallet.example", true).expect(of_curve)),
        ]
    }

    #[test]
    fn each_scheme_holds_for_its_own_key_digest_domain_and_chain() {
        let digest = Digest([7; 32]);
        for (place, signer) in signers().iter().enumerate() {
            let key = signer.public_key();
            assert_eq!(key.scheme(), Scheme::ALL[place]);
            assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(key));
            let prepared = PreparedKey::parse(&key).expect("a point");
            assert_eq!(prepared.public_key(), key);
            let auth = signer.consent(Domain::TransactionAuth, 1337, &digest);
            assert_eq!(auth.form(), ConsentForm::of(key.scheme()));
            assert_eq!(auth.to_bytes().len(), auth.encoded_len());
            assert!(auth.encoded_len() <= auth.form().bytes_max());
            let bytes = auth.to_bytes();
            assert_eq!(Auth::decode(auth.form(), &mut Reader::new(&bytes)).as_ref(), Ok(&auth));

            assert_eq!(prepared.verify(Domain::TransactionAuth, 1337, &digest, &auth), Ok(()));
            assert!(prepared.verify(Domain::Approval, 1337, &digest, &auth).is_err());
            assert!(prepared.verify(Domain::TransactionAuth, 1338, &digest, &auth).is_err());
            assert!(prepared.verify(Domain::TransactionAuth, 1337, &Digest([8; 32]), &auth).is_err());
            for other in signers().iter().filter(|other| other.public_key() != key) {
                let other = other.public_key();
                assert!(other.verify(Domain::TransactionAuth, 1337, &digest, &auth).is_err(), "{other:?}");
            }
        }
    }

    #[test]
    fn an_assertion_keeps_to_its_bounds() {
        let assertion = |authenticator_data, client_data| Assertion {
            authenticator_data: vec![1; authenticator_data],
            client_data: vec![2; client_data],
            signature: Signature([3; 64]),
        };
        for (authenticator_data, client_data, is_within) in
            [(37, 0, true), (256, 512, true), (36, 100, false), (0, 100, false), (257, 100, false), (37, 513, false)]
        {
            let bytes = assertion(authenticator_data, client_data).to_bytes();
            assert!(!is_within || bytes.len() <= ConsentForm::Assertion.bytes_max());
            assert_eq!(Assertion::from_bytes(&bytes).is_ok(), is_within, "{authenticator_data}, {client_data}");
        }
    }
}
