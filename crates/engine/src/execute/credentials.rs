//! Credentials, and accounts that act for others.

use super::Run;
use super::actions::{Actor, Applied};
use crate::verify::Verified;
use crate::working::{AccountId, BeforeChange};
use ghostplane_ghostcipher::Digest;
use ghostplane_shroud::{credential, sigil};
use ghostplane_types::{Action, Address, Credential, CredentialTerms, Holder, ObjectKey, Reject, Session, gas};

impl Run<'_> {
    /// Says something of a subject, in the actor's name.
    pub(super) fn issue_credential(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        terms: &CredentialTerms,
        subject: AccountId,
    ) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_CREDENTIAL, actor.gas_limit)?;
        let (time, issuer) = (actor.time, actor.address);
        credential::check_terms(issuer, self.plane.genesis().authority(issuer), terms, time)?;
        if self.working.record(subject).identity.is_none() {
            return Err(Reject::SubjectUnregistered);
        }
        let key = ObjectKey::credential(issuer, &terms.subject, &terms.claims);
        let known = self.working.credential(&key);
        credential::check_room(known, time)?;
        // What was held for the one before is held for this one.
        if known.is_none() {
            applied.use_gas(gas::GAS_NEW_OBJECT, actor.gas_limit)?;
            self.charge_object(actor, applied)?;
        }
        if terms.counts() {
            self.working.change_record(subject, |record| credential::certify(record, issuer, terms, time))?;
        }
        self.working.set_credential(&key, Some(Credential { issuer: *issuer, terms: *terms, issued: time }))
    }

    /// Takes back what the actor said of a subject, and gives back what was held for it.
    pub(super) fn revoke_credential(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        subject: AccountId,
        claims: &Digest,
    ) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_CREDENTIAL, actor.gas_limit)?;
        let of = self.working.record(subject).address;
        self.end_credential(&ObjectKey::credential(actor.address, &of, claims), subject)?;
        self.give_back(actor, applied, 1)
    }

    /// Ends what an issuer said of the actor; the issuer gets back what was held for it.
    pub(super) fn drop_credential(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        issuer: AccountId,
        claims: &Digest,
    ) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_CREDENTIAL, actor.gas_limit)?;
        let by = self.working.record(issuer).address;
        self.end_credential(&ObjectKey::credential(&by, actor.address, claims), actor.id)?;
        // Nobody vouches for himself, so that the issuer is another account than the actor.
        self.give_back(&Actor { id: issuer, address: &by, is_sender: false, ..*actor }, applied, 1)
    }

    fn end_credential(&mut self, key: &ObjectKey, subject: AccountId) -> Result<(), Reject> {
        let known = *self.working.credential(key).ok_or(Reject::NoSuchCredential)?;
        if credential::is_certified(self.working.record(subject), &known) {
            self.working.change_record(subject, |record| {
                credential::lift(record, &known);
                Ok(())
            })?;
        }
        self.working.set_credential(key, None)
    }

    /// Whether the account that acts for the sender holds the session of the lane, is free to act, and has the key that signed.
    pub(super) fn check_delegate(
        &self,
        verified: &Verified,
        sender: AccountId,
        delegate: &Address,
        time: u64,
    ) -> Result<(), Reject> {
        let body = verified.body();
        let lane = body.nonce.lane;
        let holder = Holder::Account(*delegate);
        let live = self.working.record(sender).gates.as_ref().and_then(|gates| gates.session(lane));
        let live = live.ok_or(Reject::SessionUnknown { lane })?;
        if live.session.holder != holder {
            return Err(Reject::NotDelegate { delegate: *delegate, lane });
        }
        let position = body.key_ref.position().unwrap_or_default();
        let unknown = Reject::UnknownKey { key_ref: position };
        let id = self.reach.find(delegate).ok_or(unknown.clone())?;
        let record = self.working.record(id);
        if record.gates.as_ref().is_some_and(|gates| gates.safety.is_frozen(time)) {
            return Err(Reject::DelegateFrozen { delegate: *delegate });
        }
        let signed = Some(verified.key());
        let known = record.identity.as_ref().and_then(|identity| identity.keys.get(usize::from(position)));
        if known != signed {
            return Err(unknown);
        }
        // As with a key of one's own: it signs from the batch after the one that set it, and so does who acts for another.
        let was_delegate = |before: &BeforeChange| before.keys.session(lane) == Some(&holder);
        let was_its_key = |before: &BeforeChange| before.keys.keys.get(usize::from(position)) == signed;
        let is_old = self.working.before_change(sender).is_none_or(was_delegate)
            && self.working.before_change(id).is_none_or(was_its_key);
        if is_old { Ok(()) } else { Err(Reject::KeyTooNew) }
    }

    /// Whether the account that is to hold a session can, if it is one.
    pub(super) fn check_holder(&self, actor: &Actor<'_>, session: &Session) -> Result<(), Reject> {
        let Some(delegate) = session.holder.account() else { return Ok(()) };
        let known = self.reach.find(delegate).map(|id| self.working.record(id));
        sigil::check_delegate(self.working.record(actor.id), delegate, known, actor.time)
    }

    /// The accounts that a transaction may give something back to, besides its parties: issuers of what a held proposal drops.
    pub(super) fn for_each_owed(&self, verified: &Verified, parties: &[AccountId], mut owed: impl FnMut(AccountId)) {
        for (action, party) in verified.body().actions.iter().zip(&parties[1..]) {
            let Action::Execute { proposal, .. } = action else { continue };
            let guarded = self.working.record(*party).gates.as_ref().and_then(|gates| gates.guarded.as_ref());
            let held = guarded.and_then(|guarded| guarded.proposals.iter().find(|known| known.id == *proposal));
            for action in held.map_or(&[][..], |held| &held.actions) {
                let issuer: Option<&Address> = action.credential_party();
                issuer.and_then(|issuer| self.reach.find(issuer)).into_iter().for_each(&mut owed);
            }
        }
    }
}
