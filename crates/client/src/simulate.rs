//! What would become of a draft: the node executes it as if it were signed. Advice, and the node's word.

use crate::approve::approve;
use crate::check::ProvenAccount;
use crate::client::Client;
use crate::draft::{Draft, DraftError, Role};
use crate::error::ClientError;
use crate::sender::SendError;
use crate::wire;
use ghostplane_ghostcipher::{Digest, Domain, Signature};
use ghostplane_types::{Address, Auth, ConsentForm, Encode as _, Gid, PublicKey, Signer, Transaction};
use std::sync::Arc;

/// Gas that a node lets a simulation use at most.
const GAS_TO_SIMULATE: u64 = 20_000_000;

/// Whether gas costs something in a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gas {
    /// It is free, and there is as much as the node lets it have: finds out how much it takes.
    Free,
    /// It costs what it costs and ends at the draft's own limit, which limits of sessions, allowances and whoever pays are asked
    /// about: finds out whether it may be in a batch.
    Priced,
}

/// Who would consent to a draft: public halves of keys, since nothing is signed.
#[derive(Clone, Debug)]
pub struct Consenting {
    /// Whose account would act.
    pub account: Address,
    /// The identity of the key that would sign.
    pub identity: Gid,
    /// As what it would.
    pub role: Role,
    /// The number that the transaction would have.
    pub sequence: u64,
    /// Keys that would approve it.
    pub approvers: Vec<PublicKey>,
}

/// Stands in for a key where a transaction is tried and not signed.
#[derive(Debug)]
struct Unsigned(PublicKey);

impl Unsigned {
    /// Nothing stands in for a key that signs by assertions: they are as long as a browser makes them.
    fn of(key: PublicKey) -> Option<Self> {
        (ConsentForm::of(key.scheme()) == ConsentForm::Signature).then_some(Self(key))
    }
}

impl Signer for Unsigned {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn consent(&self, _: Domain, _: u64, _: &Digest) -> Auth {
        Auth::Signature(Signature([0; 64]))
    }
}

/// The draft as it would travel. A sponsor and those who approve consent to what is sent, and to nothing that is only tried:
/// they are measured like the rest. `None` if one of the keys signs by assertions.
fn unsigned(draft: &Draft, gas: Gas, by: &Consenting) -> Result<Option<Transaction>, DraftError> {
    let Some(key) = Unsigned::of(by.identity.public_key) else { return Ok(None) };
    let Some(approvers) = by.approvers.iter().map(|key| Unsigned::of(*key)).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let mut draft = draft.clone().role(by.role);
    if let Some(sponsor) = draft.sponsor_key() {
        let Some(sponsor) = Unsigned::of(sponsor) else { return Ok(None) };
        draft = draft.signed_by_sponsor(Arc::new(sponsor));
    }
    let draft = match gas {
        Gas::Free => draft.gas_limit(GAS_TO_SIMULATE),
        Gas::Priced => draft.room_for(approvers.iter().map(|key| key.0.scheme())),
    };
    let mut transaction = draft.sign_for(by.account, &key, by.identity, by.sequence)?;
    approvers.iter().try_for_each(|approver| approve(&mut transaction, approver))?;
    Ok(Some(transaction))
}

impl Client {
    /// What would become of a transaction now, by the node's word. It need not be signed.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn simulate(&self, transaction: &Transaction, gas: Gas) -> Result<wire::Simulation, ClientError> {
        let mut service = wire::transactions_client::TransactionsClient::new(self.channel());
        let transaction = transaction.to_bytes().into();
        let request = wire::SimulateRequest { transaction, is_priced: gas == Gas::Priced };
        self.within("simulate", service.simulate(request)).await
    }

    /// What would become of a draft now, by the node's word; `None` if one of the keys signs by assertions, and for what may take
    /// more gas than nodes try.
    ///
    /// # Errors
    /// If the draft is no transaction, or the node does not answer.
    pub async fn simulate_draft(
        &self,
        draft: &Draft,
        gas: Gas,
        by: &Consenting,
    ) -> Result<Option<wire::Simulation>, SendError> {
        let Some(transaction) = unsigned(draft, gas, by)?.filter(|tried| tried.body.gas_limit <= GAS_TO_SIMULATE)
        else {
            return Ok(None);
        };
        Ok(Some(self.simulate(&transaction, gas).await?))
    }

    /// As what a key acts for an account: as one of its keys, within a session, or as a key of an account that holds a session,
    /// which is asked for with proof. `home` is the address that the key made.
    ///
    /// # Errors
    /// If one of those accounts cannot be had.
    pub async fn role_of(
        &self,
        account: &ProvenAccount,
        key: &PublicKey,
        home: Address,
    ) -> Result<Option<Role>, ClientError> {
        let record = account.record();
        if let Some(role) = Role::of(record, key) {
            return Ok(Some(role));
        }
        let sessions = record.and_then(|record| record.gates.as_ref()).map(|gates| &gates.sessions);
        let mut delegates: Vec<Address> =
            sessions.into_iter().flatten().filter_map(|live| live.session.holder.account().copied()).collect();
        // Most often it is the account that the key made.
        delegates.sort_unstable_by_key(|delegate| (*delegate != home, *delegate));
        delegates.dedup();
        for delegate in delegates {
            let delegate = self.account(&delegate).await?;
            let role =
                delegate.record().and_then(|delegate| Role::of_delegate(record, delegate, key, account.header().time));
            if role.is_some() {
                return Ok(role);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Plane;
    use ghostplane_ghostcipher::SigningKey;
    use ghostplane_ghostcipher::webauthn::Authenticator;
    use ghostplane_types::genesis::CHAIN_DEV;
    use ghostplane_types::{Amount, AssetId, EntityType, Genesis};

    fn identity(public_key: PublicKey) -> Gid {
        Gid { public_key, chain_id: CHAIN_DEV, entity_type: EntityType::Wallet, version: 0 }
    }

    #[test]
    fn what_is_tried_is_as_long_as_what_is_sent() {
        let key = SigningKey::from_seed([1; 32]);
        let approver = SigningKey::from_seed([2; 32]);
        let gid = identity(key.public_key());
        let genesis = Genesis::dev(0, key.verification_key(), gid.address());
        let plane = Plane::new(genesis).expect("a plane");
        let to = Address::from_bytes([7; 32]);
        let draft = Draft::new(&plane, 1).transfer(to, AssetId::GCC, Amount::new(1).expect("small")).valid(0, 1);
        let by = Consenting {
            account: gid.address(),
            identity: gid,
            role: Role::First,
            sequence: 3,
            approvers: vec![approver.public_key()],
        };
        let tried = unsigned(&draft, Gas::Priced, &by).expect("a transaction").expect("it signs by signatures");
        let room = draft.clone().room_for([approver.public_key().scheme()]);
        let mut sent = room.sign_for(gid.address(), &key, gid, 3).expect("a transaction");
        approve(&mut sent, &approver).expect("room");
        assert_eq!((&tried.body, tried.to_bytes().len()), (&sent.body, sent.to_bytes().len()));
        let free = unsigned(&draft, Gas::Free, &by).expect("a transaction").expect("it signs by signatures");
        assert_eq!((free.body.gas_limit, free.to_bytes().len()), (GAS_TO_SIMULATE, sent.to_bytes().len()));

        // Nobody knows how long an assertion is going to be.
        let passkey = Authenticator::new([5; 32], "wallet.example", true).expect("a scalar below the order");
        let gid = identity(passkey.public_key());
        let by = Consenting { account: gid.address(), identity: gid, ..by };
        assert_eq!(unsigned(&draft, Gas::Free, &by), Ok(None));
    }
}
