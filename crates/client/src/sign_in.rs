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
    #[error("the answer does not hold: {0}")]
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
    let Challenge { issued, expires, .. } = *challenge;
    if (challenge.chain_id, challenge.plane_id) != (plane.chain_id(), plane.id()) {
        return Err(SignInError::Plane);
    }
    if challenge.service != service {
        return Err(SignInError::Service { found: challenge.service.clone(), expected: service.to_owned() });
    }
    if issued > now.saturating_add(SKEW_MS) || expires.saturating_sub(issued) > OPEN_MS_MAX {
        return Err(SignInError::Times { issued, expires, now });
    }
    if now > expires {
        return Err(SignInError::Over { expires, now });
    }
    let key = key_of(challenge, answer, record).ok_or(SignInError::Key(challenge.address))?;
    key.verify(Domain::SignIn, challenge.chain_id, &challenge.digest(), &answer.auth)?;
    Ok(key)
}

/// The key that an answer names, if it speaks for the address. Sessions do not: they act on the plane, within their scope.
fn key_of(challenge: &Challenge, answer: &Answer, record: Option<&AccountRecord>) -> Option<PublicKey> {
    let record = record.filter(|record| record.address == challenge.address);
    match (record.and_then(|record| record.identity.as_ref()), &answer.key_ref) {
        (Some(identity), key_ref) => identity.keys.get(usize::from(key_ref.position()?)).copied(),
        // Nobody has acted for the address yet: the key that it is made of speaks for it.
        (None, KeyRef::Carried(gid)) => (gid.address() == challenge.address).then_some(gid.public_key),
        (None, _) => None,
    }
}
