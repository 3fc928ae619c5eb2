//! Sets of guardians, what is held until they agree, freeze and recovery.

use super::Run;
use super::actions::{Actor, Applied};
use super::admission::Admitted;
use crate::verify::Verified;
use crate::working::AccountId;
use ghostplane_shroud::guardian::{self, Held, MemberAccount};
use ghostplane_types::guardian::{Guardian, GuardianSet, MemberMask};
use ghostplane_types::{Action, Address, PublicKey, Reject, gas};

impl Run<'_> {
    /// The members of a subject's set who stand behind a transaction: by an approval, or because they sent it. Each approval
    /// speaks for one member, and so does having sent it.
    pub(super) fn members_behind(
        &self,
        verified: &Verified,
        sender: AccountId,
        subject: AccountId,
        time: u64,
    ) -> MemberMask {
        let gates = self.working.record(subject).gates.as_ref();
        let Some(guarded) = gates.and_then(|gates| gates.guarded.as_ref()) else { return 0 };
        let approvals = &verified.transaction().approvals;
        let mut is_heard = vec![false; approvals.len()];
        // What an account sends for itself is not its guardians' word, and sessions give none.
        let mut has_sent = sender != subject && !verified.body().key_ref.is_session();
        guarded.set.mask(|who| {
            let (keys, is_sender) = match who {
                Guardian::Key(key) => (std::slice::from_ref(key), verified.key() == key),
                Guardian::Account(address) => {
                    let is_sender = verified.body().sender == *address;
                    (self.keys_of_member(address, is_sender || !approvals.is_empty(), time), is_sender)
                }
            };
            if keys.is_empty() {
                return false;
            }
            if has_sent && is_sender {
                has_sent = false;
                return true;
            }
            let said = approvals.iter().position(|approval| keys.contains(&approval.key));
            said.is_some_and(|at| !std::mem::replace(&mut is_heard[at], true))
        })
    }

    /// The keys by which an account speaks as a guardian; none while it is frozen. Only looked up if it can matter.
    fn keys_of_member(&self, address: &Address, matters: bool, time: u64) -> &[PublicKey] {
        let Some(id) = self.reach.find(address).filter(|_| matters) else { return &[] };
        let record = self.working.record(id);
        let is_frozen = record.gates.as_ref().is_some_and(|gates| gates.safety.is_frozen(time));
        record.identity.as_ref().filter(|_| !is_frozen).map_or(&[], |identity| &identity.keys)
    }

    /// Whether each approval is of somebody who has a say in what the transaction does.
    pub(super) fn check_approvals(&self, verified: &Verified, sender: AccountId) -> Result<(), Reject> {
        let body = verified.body();
        for approval in &verified.transaction().approvals {
            let key = &approval.key;
            let subjects = body.actions.iter().filter_map(Action::subject).filter_map(|of| self.reach.find(of));
            let is_owner = |id: AccountId| self.has_key(id, key);
            let mut counts = subjects.clone().any(is_owner);
            let mut guarded = subjects.chain([sender]).chain(self.sponsor_of(verified));
            counts |= guarded.any(|subject| self.is_member(subject, key));
            if !counts {
                return Err(Reject::ApprovalUnknown { key: *key });
            }
        }
        Ok(())
    }

    fn has_key(&self, id: AccountId, key: &PublicKey) -> bool {
        self.working.record(id).identity.as_ref().is_some_and(|identity| identity.keys.contains(key))
    }

    fn is_member(&self, subject: AccountId, key: &PublicKey) -> bool {
        let gates = self.working.record(subject).gates.as_ref();
        let Some(guarded) = gates.and_then(|gates| gates.guarded.as_ref()) else { return false };
        guarded.set.members.iter().any(|member| match &member.who {
            Guardian::Key(known) => known == key,
            Guardian::Account(address) => self.reach.find(address).is_some_and(|id| self.has_key(id, key)),
        })
    }

    /// Gives an account guardians, others, or none.
    pub(super) fn set_guardians(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        set: Option<&GuardianSet>,
    ) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, actor.gas_limit)?;
        if let Some(set) = set {
            let member = |address: &_| {
                let id = self.reach.find(address).filter(|id| self.working.exists(*id));
                MemberAccount { record: id.map(|id| self.working.record(id)) }
            };
            guardian::check_set(self.working.record(actor.id), set, member)?;
        }
        let held = self.working.change_record(actor.id, |record| guardian::set_guardians(record, set))?;
        self.hold(actor, applied, held)
    }

    /// Takes and gives back prices of objects.
    fn hold(&mut self, actor: &Actor<'_>, applied: &mut Applied, held: Held) -> Result<(), Reject> {
        for _ in 0..held.taken {
            self.charge_object(actor, applied)?;
        }
        self.give_back(actor, applied, held.back)
    }

    /// What is about an account's guardians: never proposed itself, so nothing is nested.
    pub(super) fn guard(
        &mut self,
        admitted: &Admitted<'_>,
        applied: &mut Applied,
        action: &Action,
        target: AccountId,
    ) -> Result<(), Reject> {
        let (verified, sender, time) = (admitted.verified(), admitted.sender(), admitted.time());
        applied.use_gas(gas::GAS_GATE, admitted.body().gas_limit)?;
        let members = self.members_behind(verified, sender, target, time);
        let own = Actor::sender(admitted);
        let account = action.subject().unwrap_or(&admitted.body().sender);
        let subject = Actor { id: target, address: account, is_sender: target == sender, storage_max: None, ..own };
        match action {
            Action::Propose { actions } => {
                let id = verified.id();
                let held = self
                    .working
                    .change_record(target, |record| guardian::propose(record, id, actions, members, time))?;
                self.hold(&own, applied, held)
            }
            Action::Approve { proposal, .. } => {
                self.working.change_record(target, |record| guardian::approve(record, proposal, members, time))
            }
            Action::Reject { proposal, .. } => {
                let is_own = target == sender;
                let held = self
                    .working
                    .change_record(target, |record| guardian::reject(record, proposal, members, is_own, time))?;
                self.hold(&subject, applied, held)
            }
            Action::Execute { proposal, .. } => {
                let ready = |record: &mut _| guardian::take_ready(record, proposal, time);
                let proposal = self.working.change_record(target, ready)?;
                self.give_back(&subject, applied, 1)?;
                for action in &proposal.actions {
                    applied.use_gas(gas::GAS_ACTION, subject.gas_limit)?;
                    let target = match action {
                        Action::Transfer { to, .. } | Action::Mint { to, .. } => self.reach.find(to),
                        Action::RegisterIdentity { gid } => self.reach.find(&gid.address()),
                        other => match other.credential_party() {
                            Some(party) => self.reach.find(party),
                            None => Some(subject.id),
                        },
                    };
                    let target = target.expect("what a proposal names was listed with it");
                    self.act(&subject, applied, action, target)?;
                }
                Ok(())
            }
            Action::Freeze { .. } => self.working.change_record(target, |record| guardian::freeze(record, members)),
            Action::Unfreeze { .. } => {
                self.working.change_record(target, |record| guardian::unfreeze(record, members, time))
            }
            Action::Recover { key, .. } => {
                self.working.change_record(target, |record| guardian::recover(record, key, members, time))
            }
            Action::CancelRecovery { .. } => {
                let approvals = &verified.transaction().approvals;
                let is_own = target == sender || approvals.iter().any(|approval| self.has_key(target, &approval.key));
                self.working.change_record(target, |record| guardian::cancel_recovery(record, is_own, members))
            }
            Action::FinishRecovery { .. } => {
                let held = self.working.change_record(target, |record| guardian::finish_recovery(record, time))?;
                self.hold(&subject, applied, held)
            }
            _ => unreachable!("the caller sends what is about guardians"),
        }
    }
}
