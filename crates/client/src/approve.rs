//! Approvals: consent of others than the sender, which a transaction carries.

use ghostplane_ghostcipher::Domain;
use ghostplane_types::limits::{APPROVALS_MAX, TRANSACTION_BYTES_MAX};
use ghostplane_types::{Approval, ConsentError, ConsentForm, Encode as _, PublicKey, Scheme, Signer, Transaction, gas};
use thiserror::Error;

/// Why an approval is not added.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApproveError {
    /// The key approves already.
    #[error("the key approves it already")]
    Twice,
    /// No more fit.
    #[error("it carries {limit} approvals, the most there may be")]
    Full {
        /// The most.
        limit: usize,
    },
    /// It would be too long.
    #[error("with one more approval it would have {found} bytes, a transaction has at most {TRANSACTION_BYTES_MAX}")]
    Bytes {
        /// How many.
        found: usize,
    },
    /// One that it carries is not over its id.
    #[error("the approval by {key} does not hold: {error}")]
    Bad {
        /// Whose.
        key: PublicKey,
        /// What is wrong.
        error: ConsentError,
    },
}

/// The most gas that an approval by a key of this scheme can use, its bytes included.
#[must_use]
pub fn gas_at_most(scheme: Scheme) -> u64 {
    let form = ConsentForm::of(scheme);
    // Scheme's number, the longest key, and a passkey's digest and flag; none is longer.
    const KEY_BYTES_MAX: usize = 1 + 33 + 32 + 1;
    gas::consent(scheme) + (KEY_BYTES_MAX + form.bytes_max() + 1) as u64 * gas::GAS_BYTE
}

/// The most gas that `count` approvals of any scheme can use.
#[must_use]
pub fn gas_of_any(count: usize) -> u64 {
    let dearest = Scheme::ALL.into_iter().map(gas_at_most).max().unwrap_or(0);
    dearest.saturating_mul(count as u64)
}

/// Adds the approval of a key. The gas limit is signed, so room for it must have been left: [`crate::Draft::room_for`].
///
/// # Errors
/// [`ApproveError`], and nothing is added.
pub fn approve(transaction: &mut Transaction, key: &(impl Signer + ?Sized)) -> Result<(), ApproveError> {
    let public_key = key.public_key();
    if transaction.approvals.iter().any(|known| known.key == public_key) {
        return Err(ApproveError::Twice);
    }
    if transaction.approvals.len() >= APPROVALS_MAX {
        return Err(ApproveError::Full { limit: APPROVALS_MAX });
    }
    let auth = key.consent(Domain::Approval, transaction.body.chain_id, &transaction.body.id());
    transaction.approvals.push(Approval { key: public_key, auth });
    let found = transaction.to_bytes().len();
    if found > TRANSACTION_BYTES_MAX {
        transaction.approvals.pop();
        return Err(ApproveError::Bytes { found });
    }
    Ok(())
}

/// Checks that every approval is over this very transaction. Whether those who made them have a say, the plane knows.
///
/// # Errors
/// The first that does not hold.
pub fn check(transaction: &Transaction) -> Result<(), ApproveError> {
    let (id, chain_id) = (transaction.body.id(), transaction.body.chain_id);
    for Approval { key, auth } in &transaction.approvals {
        let holds = key.verify(Domain::Approval, chain_id, &id, auth);
        holds.map_err(|error| ApproveError::Bad { key: *key, error })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_ghostcipher::webauthn::Authenticator;
    use ghostplane_ghostcipher::{Digest, SigningKey};
    use ghostplane_types::{Action, Address, Gid, KeyRef, Nonce, Pay, TransactionBody};

    fn transaction() -> Transaction {
        let body = TransactionBody {
            chain_id: 1337,
            plane_id: Digest([1; 32]),
            sender: Address::from_bytes([2; 32]),
            nonce: Nonce { lane: 0, seq: 0 },
            valid_after: 0,
            valid_until: 1,
            gas_limit: 1,
            gas_price_max: 1,
            pay: Pay::Gcc,
            key_ref: KeyRef::Registered(0),
            actions: vec![Action::RevokeSession { lane: 1 }],
            memo: Vec::new(),
        };
        let auth = SigningKey::from_seed([1; 32]).consent(Domain::TransactionAuth, 1337, &body.id());
        Transaction { body, auth, approvals: Vec::new(), sponsorship: None }
    }

    #[test]
    fn approvals_hold_for_their_transaction_and_once() {
        let mut approved = transaction();
        let id = approved.body.id();
        for seed in 1..=APPROVALS_MAX {
            let key = SigningKey::from_seed([u8::try_from(seed).expect("few"); 32]);
            assert_eq!(approve(&mut approved, &key), Ok(()));
            assert_eq!(approve(&mut approved, &key), Err(ApproveError::Twice));
        }
        assert_eq!(approve(&mut approved, &SigningKey::from_seed([99; 32])), Err(ApproveError::Full { limit: 64 }));
        assert_eq!((check(&approved), approved.body.id()), (Ok(()), id));
        let mut moved = approved.clone();
        moved.body.valid_until = 2;
        assert!(matches!(check(&moved), Err(ApproveError::Bad { .. })));
        // Consent to send is none to what somebody else sends.
        let mut mixed = transaction();
        let key = SigningKey::from_seed([1; 32]).public_key();
        mixed.approvals.push(Approval { key, auth: mixed.auth.clone() });
        assert!(matches!(check(&mixed), Err(ApproveError::Bad { .. })));
    }

    #[test]
    fn the_gas_for_an_approval_covers_what_it_takes() {
        let passkey = Authenticator::new([5; 32], "wallet.example", true).expect("a scalar below the order");
        let identity = Gid {
            public_key: passkey.public_key(),
            chain_id: 1337,
            entity_type: ghostplane_types::EntityType::Wallet,
            version: 0,
        };
        assert_eq!(identity.public_key.scheme(), Scheme::Passkey);
        let keys: [&dyn Signer; 2] = [&passkey, &SigningKey::from_seed([3; 32])];
        for key in keys {
            let mut approved = transaction();
            let before = approved.to_bytes().len();
            approve(&mut approved, key).expect("room");
            let scheme = key.public_key().scheme();
            let used = gas::consent(scheme) + (approved.to_bytes().len() - before) as u64 * gas::GAS_BYTE;
            assert!(used <= gas_at_most(scheme) && gas_at_most(scheme) <= gas_of_any(1), "{scheme:?}: {used}");
        }
    }
}
