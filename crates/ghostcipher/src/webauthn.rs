//! Assertions of passkeys: [Web Authentication, Level 3](https://www.w3.org/TR/webauthn-3/), for P-256 keys.
//!
//! An authenticator does not sign what it is asked to. It signs SHA-256 of its own data and of the hash of the client data, a
//! JSON text of the browser's in which the challenge stands. The challenge is what any other key of ECDSA would sign: the 32
//! bytes of [`signing_digest`](crate::digest::signing_digest).
//!
//! The client data is not parsed as JSON. It is compared with what a browser must have written, byte for byte, as the
//! limited verification algorithm of section 5.8.1.2 does, with three differences: any origin passes, as the relying party that
//! the authenticator signed for is compared instead; nothing follows the closing brace; and that may come right behind the
//! origin, where a browser leaves `crossOrigin` out because it is false.

mod authenticator;

pub use authenticator::Authenticator;

use std::fmt;

use thiserror::Error;

use crate::digest::sha256;
use crate::ed25519::Signature;
use crate::hex;
use crate::p256;

/// Bytes of authenticator data without extensions: hash of the relying party, flags, counter.
pub const AUTHENTICATOR_DATA_BYTES_MIN: usize = 37;
/// Bytes of authenticator data with extensions.
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = 256;
/// Bytes of client data.
pub const CLIENT_DATA_BYTES_MAX: usize = 512;

/// A P-256 key that an authenticator keeps for one relying party.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Passkey {
    /// The public half.
    pub key: p256::VerificationKey,
    /// SHA-256 of the relying party's id, such as `wallet.example`.
    pub rp_id_hash: [u8; 32],
    /// Whether the authenticator has to have verified its user, by finger, face or PIN, and not only felt a touch.
    pub verifies_user: bool,
}

impl Passkey {
    /// The hash of a relying party's id, a domain name.
    #[must_use]
    pub fn rp_id_hash(rp_id: &str) -> [u8; 32] {
        sha256(&[rp_id.as_bytes()])
    }
}

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_short(f, "Passkey", self.key.as_bytes())
    }
}

/// What an authenticator answers a challenge with. Nothing is checked before verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Hash of the relying party's id, flags, signature counter, extensions.
    pub authenticator_data: Vec<u8>,
    /// The browser's JSON text, as it was hashed.
    pub client_data: Vec<u8>,
    /// `r` and `s`; the DER that browsers give is read by [`Assertion::from_der`].
    pub signature: Signature,
}

impl Assertion {
    /// What `navigator.credentials.get` answers with. Its signature is in DER, and either `s` may stand in it.
    ///
    /// # Errors
    /// [`AssertionError::Der`] if the signature is not two integers in DER, or they are out of range.
    pub fn from_der(authenticator_data: Vec<u8>, client_data: Vec<u8>, der: &[u8]) -> Result<Self, AssertionError> {
        let signature = read_der(der).and_then(|signature| p256::with_low_s(&signature)).ok_or(AssertionError::Der)?;
        Ok(Self { authenticator_data, client_data, signature })
    }
}

/// How an assertion fails. The signer, or whoever relayed the assertion, is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AssertionError {
    /// Too few or too many bytes of authenticator data, or extensions without the flag that announces them.
    #[error("{found} bytes of authenticator data do not fit flags {flags:#04x}")]
    AuthenticatorData {
        /// How many there are.
        found: usize,
        /// The flags among them; 0 if there are not even those.
        flags: u8,
    },
    /// Flags that no assertion has: attested data, or backed up without being eligible for it.
    #[error("authenticator flags {0:#04x} are not those of an assertion")]
    Flags(u8),
    /// Made for another relying party than the key is for.
    #[error("the assertion is for another relying party than the key")]
    OtherRelyingParty,
    /// Nobody touched the authenticator.
    #[error("the authenticator did not find its user present")]
    UserNotPresent,
    /// The key asks for its user to be verified.
    #[error("the authenticator did not verify its user, as this key asks for")]
    UserNotVerified,
    /// The client data is longer than allowed.
    #[error("{0} bytes of client data, at most {CLIENT_DATA_BYTES_MAX} are allowed")]
    ClientDataTooLong(usize),
    /// The client data is not what a browser writes for an assertion.
    #[error("client data does not go on at byte {0} as a browser's for an assertion does")]
    ClientData(usize),
    /// The challenge is another message's.
    #[error("the client data has the challenge of another message")]
    OtherChallenge,
    /// Made within a page of another origin, where the user cannot see whom he answers.
    #[error("made within a page of another origin")]
    CrossOrigin,
    /// The signature is not in DER.
    #[error("the signature is not two integers in DER")]
    Der,
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] p256::SignatureError),
}

/// A passkey with its point decompressed. Worth caching.
#[derive(Clone, Debug)]
pub struct PreparedPasskey {
    passkey: Passkey,
    key: p256::PreparedKey,
}

impl PreparedPasskey {
    /// Decompresses the passkey's point.
    ///
    /// # Errors
    /// [`p256::KeyError`] if it has none.
    pub fn new(passkey: &Passkey) -> Result<Self, p256::KeyError> {
        Ok(Self { passkey: *passkey, key: p256::PreparedKey::new(&passkey.key)? })
    }

    /// The passkey.
    #[must_use]
    pub const fn passkey(&self) -> &Passkey {
        &self.passkey
    }

    /// Checks that the passkey's authenticator answered the challenge `message`, made by
    /// [`signing_digest`](crate::digest::signing_digest), with `assertion`. The signature counter is not looked at.
    ///
    /// # Errors
    /// [`AssertionError`] if it did not.
    pub fn verify(&self, message: &[u8; 32], assertion: &Assertion) -> Result<(), AssertionError> {
        check_authenticator_data(&self.passkey, &assertion.authenticator_data)?;
        check_client_data(message, &assertion.client_data)?;
        let signed = sha256(&[&assertion.authenticator_data, &sha256(&[&assertion.client_data])]);
        Ok(self.key.verify(&signed, &assertion.signature)?)
    }
}

/// Bits of the flags, section 6.1.
mod flag {
    pub const USER_PRESENT: u8 = 1;
    pub const USER_VERIFIED: u8 = 1 << 2;
    pub const BACKUP_ELIGIBLE: u8 = 1 << 3;
    pub const BACKED_UP: u8 = 1 << 4;
    pub const ATTESTED: u8 = 1 << 6;
    pub const EXTENSIONS: u8 = 1 << 7;
}

/// Section 7.2, steps 15 to 18.
fn check_authenticator_data(passkey: &Passkey, data: &[u8]) -> Result<(), AssertionError> {
    let Some((rp_id_hash, &[flags, _, _, _, _, ref extensions @ ..])) = data.split_first_chunk::<32>() else {
        return Err(AssertionError::AuthenticatorData { found: data.len(), flags: 0 });
    };
    let has_extensions = flags & flag::EXTENSIONS != 0;
    if data.len() > AUTHENTICATOR_DATA_BYTES_MAX || has_extensions == extensions.is_empty() {
        return Err(AssertionError::AuthenticatorData { found: data.len(), flags });
    }
    let backup = flags & (flag::BACKUP_ELIGIBLE | flag::BACKED_UP);
    if flags & flag::ATTESTED != 0 || backup == flag::BACKED_UP {
        return Err(AssertionError::Flags(flags));
    }
    if *rp_id_hash != passkey.rp_id_hash {
        return Err(AssertionError::OtherRelyingParty);
    }
    if flags & flag::USER_PRESENT == 0 {
        return Err(AssertionError::UserNotPresent);
    }
    if passkey.verifies_user && flags & flag::USER_VERIFIED == 0 {
        return Err(AssertionError::UserNotVerified);
    }
    Ok(())
}

/// What a browser's client data for an assertion begins with, section 5.8.1.1. The challenge follows.
const CLIENT_DATA_HEAD: &[u8] = br#"{"type":"webauthn.get","challenge":""#;
const CLIENT_DATA_ORIGIN: &[u8] = br#"","origin":""#;
const CLIENT_DATA_CROSS_ORIGIN: &[u8] = br#","crossOrigin":"#;

/// Section 5.8.1.2, with the differences that the module's head names.
fn check_client_data(message: &[u8; 32], data: &[u8]) -> Result<(), AssertionError> {
    if data.len() > CLIENT_DATA_BYTES_MAX {
        return Err(AssertionError::ClientDataTooLong(data.len()));
    }
    let wrong = |rest: &[u8]| AssertionError::ClientData(data.len() - rest.len());
    let rest = data.strip_prefix(CLIENT_DATA_HEAD).ok_or(wrong(data))?;
    let rest = rest.strip_prefix(&base64url(message)).ok_or(AssertionError::OtherChallenge)?;
    let rest = rest.strip_prefix(CLIENT_DATA_ORIGIN).ok_or(wrong(rest))?;
    let rest = skip_string(rest).map_err(wrong)?;
    // One of the large browsers leaves `crossOrigin` out where it is false, and writes nothing instead.
    if rest == b"}" {
        return Ok(());
    }
    let rest = rest.strip_prefix(CLIENT_DATA_CROSS_ORIGIN).ok_or(wrong(rest))?;
    if rest.starts_with(b"true") {
        return Err(AssertionError::CrossOrigin);
    }
    let rest = rest.strip_prefix(b"false").ok_or(wrong(rest))?;
    // Members that a later level of the standard adds come last.
    if matches!(rest, [b'}'] | [b',', .., b'}']) { Ok(()) } else { Err(wrong(rest)) }
}

/// Goes behind the quote that ends a string, which is written as CCDToString of section 5.8.1.1 does. Fails with where it
/// stopped.
fn skip_string(text: &[u8]) -> Result<&[u8], &[u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => {
                let string = &text[..text.len() - rest.len()];
                return if std::str::from_utf8(string).is_ok() { Ok(behind) } else { Err(text) };
            }
            [b'\\', b'"' | b'\\', behind @ ..] => behind,
            [b'\\', b'u', b'0', b'0', b'0' | b'1', b'0'..=b'9' | b'a'..=b'f', behind @ ..] => behind,
            [b'\\' | 0..=0x1f, ..] | [] => return Err(rest),
            [_, behind @ ..] => behind,
        };
    }
}

/// RFC 4648, section 5, without padding: the 43 characters of 32 bytes.
fn base64url(bytes: &[u8; 32]) -> [u8; 43] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array::from_fn(|index| {
        let bit = index * 6;
        let next = bytes.get(bit / 8 + 1).copied().unwrap_or(0);
        let pair = u16::from_be_bytes([bytes[bit / 8], next]);
        ALPHABET[usize::from(pair >> (10 - bit % 8)) & 63]
    })
}

/// `Ecdsa-Sig-Value` of RFC 3279, section 2.2.3, in its only DER form.
fn read_der(der: &[u8]) -> Option<Signature> {
    let [0x30, len, body @ ..] = der else { return None };
    if usize::from(*len) != body.len() {
        return None;
    }
    let mut signature = [0; 64];
    let (r, s) = signature.split_at_mut(32);
    let body = read_der_integer(body, r)?;
    read_der_integer(body, s)?.is_empty().then_some(Signature(signature))
}

fn read_der_integer<'a>(body: &'a [u8], out: &mut [u8]) -> Option<&'a [u8]> {
    let [0x02, len, rest @ ..] = body else { return None };
    let (integer, rest) = rest.split_at_checked(usize::from(*len))?;
    let magnitude = match integer {
        [0, magnitude @ ..] if magnitude.first().is_some_and(|first| *first >= 0x80) => magnitude,
        [1..=0x7f, ..] => integer,
        // Negative, padded, empty, or zero, which no signature has.
        _ => return None,
    };
    let at = out.len().checked_sub(magnitude.len())?;
    out[at..].copy_from_slice(magnitude);
    Some(rest)
}

#[cfg(test)]
mod tests;
