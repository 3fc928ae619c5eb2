//! Signing in: how an identity shows a service that it is there, without a transaction.
//!
//! The service makes a [`Challenge`] for the address that wants in, and keeps it. Whoever holds a key of the address answers it. What
//! an answer is worth is decided under the account's record: see the client library.

use crate::address::Address;
use crate::codec::{Decode, DecodeError, Encode, Reader, put_byte_string};
use crate::consent::Auth;
use crate::limits::SERVICE_BYTES_MAX;
use crate::transaction::KeyRef;
use ghostplane_ghostcipher::{Digest, Domain, digest};

/// What a service asks an identity to sign. It says for whom and for how long, so that an answer is of no use anywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The chain of the plane whose record of the account counts.
    pub chain_id: u64,
    /// The plane.
    pub plane_id: Digest,
    /// Who wants in.
    pub address: Address,
    /// Who asks: 1 to 253 visible ASCII characters, a host name usually.
    pub service: String,
    /// 32 random bytes of the service's, never used twice.
    pub nonce: [u8; 32],
    /// When it was made, in milliseconds since the Unix epoch.
    pub issued: u64,
    /// The last moment at which an answer counts, in milliseconds since the Unix epoch.
    pub expires: u64,
}

impl Challenge {
    /// What is signed, under [`Domain::SignIn`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest::hash(Domain::SignIn, self.chain_id, &[&self.to_bytes()])
    }

    /// Whether a text names a service: 1 to 253 visible ASCII characters.
    #[must_use]
    pub fn is_service(text: &str) -> bool {
        (1..=SERVICE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

const CHALLENGE_VERSION: u8 = 1;

impl Encode for Challenge {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(CHALLENGE_VERSION);
        self.chain_id.encode(out);
        self.plane_id.encode(out);
        self.address.encode(out);
        put_byte_string(out, self.service.as_bytes());
        out.extend_from_slice(&self.nonce);
        self.issued.encode(out);
        self.expires.encode(out);
    }
}

impl Decode for Challenge {
    const BYTES_MIN: usize = 1 + 8 + 32 + 32 + 2 + 32 + 8 + 8;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u8 = reader.read()?;
        if version != CHALLENGE_VERSION {
            return Err(reader.unknown("challenge version", u64::from(version)));
        }
        let (chain_id, plane_id, address) = (reader.read()?, reader.read()?, reader.read()?);
        let service = reader.byte_string("bytes of a service's name", SERVICE_BYTES_MAX)?.to_vec();
        let service = String::from_utf8(service).ok().filter(|text| Self::is_service(text));
        let service = service.ok_or_else(|| reader.non_canonical("name of a service"))?;
        let (nonce, issued, expires) = (reader.array()?, reader.read()?, reader.read()?);
        Ok(Self { chain_id, plane_id, address, service, nonce, issued, expires })
    }
}

/// The answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which key signed: one of the record, or the one that the address is made of while it is not registered.
    pub key_ref: KeyRef,
    /// What it made of [`Challenge::digest`] under [`Domain::SignIn`].
    pub auth: Auth,
}

impl Encode for Answer {
    fn encode(&self, out: &mut Vec<u8>) {
        self.key_ref.encode(out);
        self.auth.encode(out);
    }
}

impl Decode for Answer {
    const BYTES_MIN: usize = 2 + 64;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key_ref: KeyRef = reader.read()?;
        let auth = Auth::decode(key_ref.consent_form(), reader)?;
        Ok(Self { key_ref, auth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::assert_one_form;
    use ghostplane_ghostcipher::Signature;

    fn challenge() -> Challenge {
        Challenge {
            chain_id: 1337,
            plane_id: Digest([1; 32]),
            address: Address::from_bytes([2; 32]),
            service: "shop.example".into(),
            nonce: [3; 32],
            issued: 1_000,
            expires: 301_000,
        }
    }

    #[test]
    fn challenges_come_back_and_every_bit_counts() {
        for (byte, other) in assert_one_form(&challenge()) {
            assert_ne!(other.digest(), challenge().digest(), "byte {byte} is not signed");
        }
        let bytes = challenge().to_bytes();
        for len in 0..bytes.len() {
            assert!(Challenge::from_bytes(&bytes[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn services_have_names_that_can_be_seen() {
        for good in ["a", "shop.example", "https://shop.example:8443/login", &"x".repeat(SERVICE_BYTES_MAX)] {
            assert!(Challenge::is_service(good), "{good}");
        }
        for bad in ["", "two words", "line\n", "café", &"x".repeat(SERVICE_BYTES_MAX + 1)] {
            assert!(!Challenge::is_service(bad), "{bad}");
            let named = Challenge { service: bad.into(), ..challenge() };
            assert!(Challenge::from_bytes(&named.to_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_come_back() {
        let answer = Answer { key_ref: KeyRef::Registered(3), auth: Signature([8; 64]).into() };
        let bytes = answer.to_bytes();
        assert_eq!(Answer::from_bytes(&bytes), Ok(answer));
        for len in 0..bytes.len() {
            assert!(Answer::from_bytes(&bytes[..len]).is_err(), "{len}");
        }
    }
}
