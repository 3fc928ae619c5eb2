//! An authenticator in software.

use std::fmt;

use super::{Assertion, CLIENT_DATA_CROSS_ORIGIN, CLIENT_DATA_HEAD, CLIENT_DATA_ORIGIN, Passkey, base64url, flag};
use crate::digest::{Digest, sha256, signing_digest};
use crate::domain::Domain;
use crate::p256;

/// One passkey with browser and authenticator in software: it answers as both would after a touch. Who wants a passkey's
/// safety has a device keep the key; this shows how one is used, and stands in for one where nobody can touch anything.
pub struct Authenticator {
    key: p256::SigningKey,
    rp_id: String,
    verifies_user: bool,
}

impl Authenticator {
    /// The passkey of this secret for the site `rp_id`, a domain name. With `verifies_user`, it asks for a PIN each time.
    ///
    /// # Errors
    /// [`p256::SecretError`] if the secret is none of the curve.
    pub fn new(secret: [u8; 32], rp_id: &str, verifies_user: bool) -> Result<Self, p256::SecretError> {
        Ok(Self { key: p256::SigningKey::from_secret(secret)?, rp_id: rp_id.to_owned(), verifies_user })
    }

    /// The public half.
    #[must_use]
    pub fn passkey(&self) -> Passkey {
        Passkey {
            key: self.key.verification_key(),
            rp_id_hash: Passkey::rp_id_hash(&self.rp_id),
            verifies_user: self.verifies_user,
        }
    }

    /// Asserts that its user consents to `digest` under `domain` on chain `chain_id`.
    #[must_use]
    pub fn assert(&self, domain: Domain, chain_id: u64, digest: &Digest) -> Assertion {
        let challenge = base64url(&signing_digest(domain, chain_id, digest));
        let origin = format!("https://{}\"", self.rp_id);
        let client_data =
            [CLIENT_DATA_HEAD, &challenge, CLIENT_DATA_ORIGIN, origin.as_bytes(), CLIENT_DATA_CROSS_ORIGIN, b"false}"];
        self.answer(client_data.concat())
    }

    /// Signs any client data.
    pub(super) fn answer(&self, client_data: Vec<u8>) -> Assertion {
        let verified = if self.verifies_user { flag::USER_VERIFIED } else { 0 };
        let flags = flag::USER_PRESENT | verified | flag::BACKUP_ELIGIBLE | flag::BACKED_UP;
        // Passkeys that are synchronised between devices do not count.
        let authenticator_data = [&Passkey::rp_id_hash(&self.rp_id)[..], &[flags, 0, 0, 0, 0]].concat();
        self.sign(authenticator_data, client_data)
    }

    pub(super) fn sign(&self, authenticator_data: Vec<u8>, client_data: Vec<u8>) -> Assertion {
        let signed = sha256(&[&authenticator_data, &sha256(&[&client_data])]);
        Assertion { authenticator_data, client_data, signature: self.key.sign_message(&signed) }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authenticator(of {:?} for {})", self.passkey(), self.rp_id)
    }
}
