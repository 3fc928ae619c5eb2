//! Finding out who is there: challenges of a service, answers of an identity.
//!
//! A service makes a [`Challenge`] with [`challenge`], keeps it until it is answered or over, and takes one answer to it. With
//! [`Client::account`](crate::Client::account) it fetches the account's record under proof, and [`check`] decides. How fresh the record is,
//! is the proof's header: a key that was rotated away since then still signs in.

use crate::check::Plane;
use ghostplane_ghostcipher::Domain;
use ghostplane_types::consent::ConsentError;
use ghostplane_types::sign_in::{Answer, Challenge};
use ghostplane_types::{AccountRecord, Address, KeyRef, PublicKey, Signer};
use thiserror::Error;

/// The longest that a challenge may be open: a quarter of an hour.
pub const OPEN_MS_MAX: u64 = 15 * 60_000;
/// How far clocks may differ.
pub const SKEW_MS: u64 = 60_000;

/// Why nobody is signed in. Codes from 730 on, stable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignInError {
    /// Made for another plane. The service is wrong.
    #[error("the challenge is for another plane")]
    Plane,
    /// Made by another service. Whoever relayed it is wrong.
    #[error("the challenge is of {found}, not of {expected}")]
    Service {
        /// Who made it.
        found: String,
        /// Who checks.
        expected: String,
    },
    /// Made in the future, or open for too long.
    #[error(
        "the challenge was made at {issued} ms and is open until {expires} ms; it is {now} ms, and none is open for more than {OPEN_MS_MAX} ms"
    )]
    Times {
        /// When it was made.
        issued: u64,
        /// Until when it is open.
        expires: u64,
        /// What time it is.
        now: u64,
    },
    /// Answered too late.
    #[error("the challenge was open until {expires} ms, it is {now} ms: ask for a new one")]
    Over {
        /// Until when it was open.
        expires: u64,
        /// What time it is.
        now: u64,
    },
    /// The key is not one of the account's.
    #[error("the answer is by a key that does not speak for {0}")]
    Key(Address),
    /// The key did not sign the challenge.
    #[error("the answer does not hold")]
    Consent(#[from] ConsentError),
}

impl SignInError {
    /// The stable number of this reason.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Plane => 730,
            Self::Service { .. } => 731,
            Self::Times { .. } => 732,
            Self::Over { .. } => 733,
            Self::Key(_) => 734,
            Self::Consent(_) => 735,
        }
    }
}

/// A challenge of a service for an address. `nonce` must be random; `open_ms` is cut to [`OPEN_MS_MAX`].
#[must_use]
pub fn challenge(
    plane: &Plane,
    address: Address,
    service: &str,
    nonce: [u8; 32],
    now: u64,
    open_ms: u64,
) -> Option<Challenge> {
    Challenge::is_service(service).then(|| Challenge {
        chain_id: plane.chain_id(),
        plane_id: plane.id(),
        address,
        service: service.to_owned(),
        nonce,
        issued: now,
        expires: now.saturating_add(open_ms.min(OPEN_MS_MAX)),
    })
}

/// Answers a challenge with a key that `key_ref` names.
#[must_use]
pub fn answer(challenge: &Challenge, key_ref: KeyRef, key: &(impl Signer + ?Sized)) -> Answer {
    Answer { key_ref, auth: key.consent(Domain::SignIn, challenge.chain_id, &challenge.digest()) }
}

/// Decides whether an answer shows that the challenge's address is there. `record` is the account's, proven. Returns the key that signed.
///
/// The caller sees to it that the challenge is one of his own and was not answered before.
///
/// # Errors
/// [`SignInError`].
pub fn check(
    challenge: &Challenge,
    answer: &Answer,
    plane: &Plane,
    service: &str,
    record: Option<&AccountRecord>,
    now: u64,
) -> Result<PublicKey, SignInError> {
    if (challenge.chain_id, challenge.plane_id) != (plane.chain_id(), plane.id()) {
        return Err(SignInError::Plane);
    }
    check_terms(challenge, service, now)?;
    let key = key_of(challenge, answer, record).ok_or(SignInError::Key(challenge.address))?;
    key.verify(Domain::SignIn, challenge.chain_id, &challenge.digest(), &answer.auth)?;
    Ok(key)
}

fn check_terms(challenge: &Challenge, service: &str, now: u64) -> Result<(), SignInError> {
    let Challenge { issued, expires, .. } = *challenge;
    if challenge.service != service {
        return Err(SignInError::Service { found: challenge.service.clone(), expected: service.to_owned() });
    }
    if issued > now.saturating_add(SKEW_MS) || expires.saturating_sub(issued) > OPEN_MS_MAX {
        return Err(SignInError::Times { issued, expires, now });
    }
    if now > expires {
        return Err(SignInError::Over { expires, now });
    }
    Ok(())
}

/// The key that an answer names, if it speaks for the address. Sessions do not, nor do accounts that hold one: they act on the
/// plane, within their scope.
fn key_of(challenge: &Challenge, answer: &Answer, record: Option<&AccountRecord>) -> Option<PublicKey> {
    let record = record.filter(|record| record.address == challenge.address);
    match (record.and_then(|record| record.identity.as_ref()), &answer.key_ref) {
        (Some(_), key_ref) if key_ref.is_session() => None,
        (Some(identity), key_ref) => identity.keys.get(usize::from(key_ref.position()?)).copied(),
        // Nobody has acted for the address yet: the key that it is made of speaks for it.
        (None, KeyRef::Carried(gid)) => (gid.address() == challenge.address).then_some(gid.public_key),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_ghostcipher::SigningKey;
    use ghostplane_types::{EntityType, Gid, Identity};

    const NOW: u64 = 1_000_000;

    fn gid(key: &SigningKey, chain_id: u64) -> Gid {
        Gid { public_key: key.public_key(), chain_id, entity_type: EntityType::Wallet, version: 0 }
    }

    fn challenge_of(address: Address) -> Challenge {
        let plane_id = ghostplane_ghostcipher::Digest([3; 32]);
        let service = "shop.example".to_owned();
        Challenge { chain_id: 1337, plane_id, address, service, nonce: [4; 32], issued: NOW, expires: NOW + 60_000 }
    }

    #[test]
    fn only_the_keys_of_the_address_speak_for_it() {
        let (first, other) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
        let address = gid(&first, 1337).address();
        let challenge = challenge_of(address);
        let carried = |key: &SigningKey| Answer {
            key_ref: KeyRef::Carried(gid(key, 1337)),
            ..answer(&challenge, KeyRef::Session, key)
        };
        assert_eq!(key_of(&challenge, &carried(&first), None), Some(first.public_key()));
        assert_eq!(key_of(&challenge, &carried(&other), None), None);
        assert_eq!(key_of(&challenge, &answer(&challenge, KeyRef::Registered(0), &first), None), None);

        // Once it is registered the record alone counts.
        let mut record = AccountRecord::new(address);
        record.identity = Some(Identity {
            entity_type: EntityType::Wallet,
            version: 0,
            keys: [other.public_key()].into_iter().collect(),
        });
        let by = |key_ref| answer(&challenge, key_ref, &other);
        assert_eq!(key_of(&challenge, &by(KeyRef::Registered(0)), Some(&record)), Some(other.public_key()));
        for key_ref in [KeyRef::Registered(1), KeyRef::Session, KeyRef::Carried(gid(&first, 1337))] {
            assert_eq!(key_of(&challenge, &by(key_ref), Some(&record)), None, "{key_ref:?}");
        }
        // The record of somebody else is as good as none.
        record.address = Address::from_bytes([9; 32]);
        assert_eq!(key_of(&challenge, &by(KeyRef::Registered(0)), Some(&record)), None);
    }

    #[test]
    fn a_challenge_is_of_one_service_and_open_for_a_while() {
        let asked = challenge_of(Address::from_bytes([1; 32]));
        let check = |challenge: &Challenge, now| check_terms(challenge, "shop.example", now);
        assert_eq!((check(&asked, NOW), check(&asked, NOW + 60_000)), (Ok(()), Ok(())));
        assert_eq!(check(&asked, NOW + 60_001).map_err(|why| why.code()), Err(733));
        // Clocks may differ by a minute, and no more.
        assert_eq!(check(&asked, NOW - SKEW_MS), Ok(()));
        assert_eq!(check(&asked, NOW - SKEW_MS - 1).map_err(|why| why.code()), Err(732));
        let long = Challenge { expires: NOW + OPEN_MS_MAX + 1, ..asked.clone() };
        assert_eq!(check(&long, NOW).map_err(|why| why.code()), Err(732));
        let other = Challenge { service: "shop.example.evil".into(), ..asked };
        assert_eq!(check(&other, NOW).map_err(|why| why.code()), Err(731));
    }

    #[test]
    fn an_answer_is_to_one_challenge() {
        let key = SigningKey::from_seed([1; 32]);
        let asked = challenge_of(gid(&key, 1337).address());
        let given = answer(&asked, KeyRef::Registered(0), &key);
        let holds = |challenge: &Challenge| {
            key.public_key().verify(Domain::SignIn, challenge.chain_id, &challenge.digest(), &given.auth).is_ok()
        };
        assert!(holds(&asked));
        for other in [
            Challenge { nonce: [5; 32], ..asked.clone() },
            Challenge { service: "other.example".into(), ..asked.clone() },
            Challenge { expires: NOW + 60_001, ..asked.clone() },
            Challenge { chain_id: 10_000, ..asked.clone() },
        ] {
            assert!(!holds(&other), "{other:?}");
        }
    }
}
