//! What a transaction may touch besides what it names itself: what the gates of its parties name, and what it proposes.
//!
//! Everything is read before anything is executed, and a witness holds what was read. While a batch is filled bit by bit, what
//! counts is what a judge will read, who reads the state before the batch: so gates count as they were then, and as they are.

use super::Run;
use crate::verify::Verified;
use crate::working::{AccountId, Reach};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{AccountRecord, Action, Address, AssetId, CovenantAt, Gates, ObjectKey};

/// Something that names more, and can be looked up once an account's record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// The accounts among an account's guardians.
    Guardians(AccountId),
    /// What a proposal of an account names.
    Proposal(AccountId, Digest),
}

/// Something that is touched.
enum Touched {
    Account(Address),
    Slot(Address, AssetId),
    /// A slot of the account whose action it is.
    Own(AccountId, AssetId),
    /// An asset of the plane's own.
    Asset(AssetId),
    /// A text of rules.
    Text(Digest),
    Credential(ObjectKey),
}

/// Whose action it is.
#[derive(Clone, Copy)]
struct Whose {
    id: AccountId,
    address: Address,
}

impl Touched {
    /// Lists it among what is to be read.
    fn list(self, reach: &mut Reach) {
        match self {
            Self::Account(address) => {
                reach.account(&address);
            }
            Self::Slot(address, asset) => {
                let id = reach.account(&address);
                reach.slot(id, asset);
            }
            Self::Own(id, asset) => reach.slot(id, asset),
            Self::Asset(asset) => reach.asset(asset),
            Self::Text(digest) => reach.text(digest),
            Self::Credential(key) => reach.credential(key),
        }
    }
}

/// What an action of `actor` names, besides the one party of it.
fn for_each_named(action: &Action, actor: Whose, touched: &mut impl FnMut(Touched)) {
    match action {
        Action::Transfer { to, asset, .. } | Action::Mint { to, asset, .. } => {
            touched(Touched::Slot(*to, *asset));
            touched(Touched::Own(actor.id, *asset));
        }
        Action::Withdraw { asset, .. } | Action::Burn { asset, .. } => touched(Touched::Own(actor.id, *asset)),
        Action::RegisterAsset { asset, .. } | Action::FreezeAsset { asset, .. } => touched(Touched::Asset(*asset)),
        Action::SetCovenant { .. } | Action::PublishCovenant { .. } => {
            action.covenant().into_iter().for_each(|digest| touched(Touched::Text(digest)));
            if let Action::SetCovenant { at: CovenantAt::Asset(asset), .. } = action
                && !asset.is_bridged()
            {
                touched(Touched::Asset(*asset));
            }
        }
        Action::RegisterIdentity { gid } => touched(Touched::Account(gid.address())),
        Action::SetGuardians(Some(set)) => set.accounts().for_each(|address| touched(Touched::Account(*address))),
        Action::Propose { actions } => actions.iter().for_each(|action| for_each_named(action, actor, touched)),
        Action::AddSession(session) => {
            session.holder.account().into_iter().for_each(|delegate| touched(Touched::Account(*delegate)));
        }
        Action::IssueCredential(terms) => {
            touched(Touched::Account(terms.subject));
            touched(Touched::Credential(ObjectKey::credential(&actor.address, &terms.subject, &terms.claims)));
        }
        Action::RevokeCredential { subject, claims } => {
            touched(Touched::Account(*subject));
            touched(Touched::Credential(ObjectKey::credential(&actor.address, subject, claims)));
        }
        Action::DropCredential { issuer, claims } => {
            touched(Touched::Slot(*issuer, AssetId::GCC));
            touched(Touched::Credential(ObjectKey::credential(issuer, &actor.address, claims)));
        }
        // Prices of objects are taken from and given back in credits.
        _ => {}
    }
    touched(Touched::Own(actor.id, AssetId::GCC));
}

/// What is named by the gates of accounts.
fn for_each_asked(record: &AccountRecord, gates: Option<&Gates>, asked: &Asked, touched: &mut impl FnMut(Touched)) {
    let Some(guarded) = gates.and_then(|gates| gates.guarded.as_ref()) else { return };
    match asked {
        Asked::Guardians(_) => guarded.set.accounts().for_each(|address| touched(Touched::Account(*address))),
        Asked::Proposal(account, id) => {
            let proposal = guarded.proposals.iter().find(|known| known.id == *id);
            let actions = proposal.map_or(&[][..], |proposal| &proposal.actions);
            let whose = Whose { id: *account, address: record.address };
            actions.iter().for_each(|action| for_each_named(action, whose, touched));
        }
    }
}

impl Asked {
    fn account(&self) -> AccountId {
        match self {
            Self::Guardians(account) | Self::Proposal(account, _) => *account,
        }
    }
}

/// What a transaction asks the gates of its parties and its sponsor for.
fn for_each_question(
    verified: &Verified,
    parties: &[AccountId],
    sponsor: Option<AccountId>,
    mut ask: impl FnMut(Asked),
) {
    let has_approvals = !verified.transaction().approvals.is_empty();
    if has_approvals {
        ask(Asked::Guardians(parties[0]));
        sponsor.into_iter().for_each(|sponsor| ask(Asked::Guardians(sponsor)));
    }
    for (action, party) in verified.body().actions.iter().zip(&parties[1..]) {
        if has_approvals && action.subject().is_some() {
            ask(Asked::Guardians(*party));
        }
        if let Action::Execute { proposal, .. } = action {
            ask(Asked::Proposal(*party, *proposal));
        }
    }
}

/// What a transaction names besides its parties. A subject's credits may be given back, a sponsor's are taken.
fn for_each_direct(verified: &Verified, parties: &[AccountId], touched: &mut impl FnMut(Touched)) {
    let body = verified.body();
    let sender = Whose { id: parties[0], address: body.sender };
    body.key_ref.delegate().into_iter().for_each(|delegate| touched(Touched::Account(*delegate)));
    if let Some(of) = body.pay.sponsor() {
        touched(Touched::Slot(of.sponsor, AssetId::GCC));
    }
    for (action, party) in body.actions.iter().zip(&parties[1..]) {
        match action {
            Action::SetGuardians(_)
            | Action::SetCovenant { .. }
            | Action::PublishCovenant { .. }
            | Action::Propose { .. }
            | Action::AddSession(_)
            | Action::RegisterAsset { .. }
            | Action::FreezeAsset { .. }
            | Action::IssueCredential(_)
            | Action::RevokeCredential { .. }
            | Action::DropCredential { .. } => for_each_named(action, sender, touched),
            action if action.subject().is_some() => touched(Touched::Own(*party, AssetId::GCC)),
            _ => {}
        }
    }
}

/// The account of the sponsor who pays, once it is listed.
fn sponsor_of(reach: &Reach, verified: &Verified) -> Option<AccountId> {
    verified.body().pay.sponsor().and_then(|of| reach.find(&of.sponsor))
}

/// Lists what a transaction names besides its parties, and what has to be looked up.
pub(super) fn reach_beyond(reach: &mut Reach, asked: &mut Vec<Asked>, verified: &Verified, parties: &[AccountId]) {
    for_each_direct(verified, parties, &mut |touched| touched.list(reach));
    for_each_question(verified, parties, sponsor_of(reach, verified), |question| asked.push(question));
}

impl Run<'_> {
    /// The account of the sponsor who pays, once it is listed.
    pub(crate) fn sponsor_of(&self, verified: &Verified) -> Option<AccountId> {
        sponsor_of(&self.reach, verified)
    }

    /// Lists what gates name, now that the accounts that have them are read.
    pub(super) fn reach_asked(&mut self) {
        let (reach, working) = (&mut self.reach, &self.working);
        for asked in self.asked.drain(..) {
            let account = asked.account();
            let before = working.before_change(account).and_then(|before| before.gates.as_deref());
            let record = working.record(account);
            for gates in [before, record.gates.as_deref()] {
                for_each_asked(record, gates, &asked, &mut |touched| touched.list(reach));
            }
        }
    }

    /// Counts what a transaction touches besides its parties, as part of the batch.
    pub(super) fn count_beyond(&mut self, verified: &Verified, parties: &[AccountId]) {
        let mut all = Vec::new();
        for_each_direct(verified, parties, &mut |touched| all.push(touched));
        for_each_question(verified, parties, self.sponsor_of(verified), |asked| {
            let account = asked.account();
            let before = self.working.before_change(account).and_then(|before| before.gates.as_deref());
            let record = self.working.record(account);
            for gates in [before, record.gates.as_deref()] {
                for_each_asked(record, gates, &asked, &mut |touched| all.push(touched));
            }
        });
        for touched in all {
            let (id, asset) = match touched {
                Touched::Account(address) => (self.reach.find(&address), None),
                Touched::Slot(address, asset) => (self.reach.find(&address), Some(asset)),
                Touched::Own(id, asset) => (Some(id), Some(asset)),
                Touched::Asset(asset) => {
                    self.working.count_asset(asset);
                    continue;
                }
                Touched::Text(digest) => {
                    self.working.count_text(digest);
                    continue;
                }
                Touched::Credential(key) => {
                    self.working.count_credential(&key);
                    continue;
                }
            };
            let id = id.expect("what is counted was listed before");
            self.working.count_account(id);
            if let Some(asset) = asset {
                self.working.count_slot(id, asset);
            }
        }
    }
}
