//! Covenants: what the rules say that are attached to the plane, to who acts, to who is paid, and to what moves.
//!
//! They are asked about what a transaction does in sum: payments of one asset to one account are one to them, so that a rule
//! about an amount cannot be met in pieces within a bundle, and what a bundle spends counts for what it spends next. They are
//! asked as things stand before anything of the transaction is done, once it has paid. What a contract does will be asked about
//! when it is done.

mod ask;

use super::Run;
use super::actions::{Actor, Applied};
use super::admission::Admitted;
use crate::verify::Verified;
use crate::working::AccountId;
pub(super) use ask::AllForeseen;
use ghostplane_ghostcipher::Digest;
use ghostplane_shroud::covenant::{
    Approval, Attachment, Denial, Facts, Moving, Obligations, Party, PolicySet, Request, Resource, Spent,
};
use ghostplane_shroud::guardian;
use ghostplane_types::amount::AMOUNT_MAX;
use ghostplane_types::covenant::Change;
use ghostplane_types::guardian::{GuardianSet, MemberMask, Proposal, Role};
use ghostplane_types::limits::PROPOSAL_MS_MAX;
use ghostplane_types::{Action, Amount, AssetId, CovenantAt, CovenantText, Reject, Scheduled, Spending, gas};
use std::collections::BTreeMap;

/// Something that a transaction does, as rules see it.
struct Effect {
    /// Which of its actions does it first.
    at: u16,
    /// In whose name.
    principal: AccountId,
    kind: u8,
    on: On,
    /// Who is paid.
    receiver: Option<AccountId>,
    moves: Option<(AssetId, Amount)>,
    consent: Consent,
    /// Whether it takes money back to the L1 on the L1's demand, which only the account's own rules can refuse.
    is_exit: bool,
}

/// What it is done to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Account(AccountId),
    Asset(AssetId),
}

/// Who stands behind it besides its principal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Consent {
    /// Of the principal's guardians.
    members: MemberMask,
    /// The lane of the session that signs.
    session: Option<u8>,
    /// When it was proposed, if it was.
    proposed_at: Option<u64>,
}

impl Consent {
    const NONE: Self = Self { members: 0, session: None, proposed_at: None };
}

/// What a principal spends by a transaction, to be counted if it is applied.
pub(super) struct Counting {
    principal: AccountId,
    asset: AssetId,
    amount: Amount,
}

/// The transaction that rules are asked about.
struct Asking<'t> {
    verified: &'t Verified,
    sender: AccountId,
    time: u64,
    is_forced: bool,
}

impl<'t> Asking<'t> {
    fn about(admitted: &Admitted<'t>) -> Self {
        let (verified, sender) = (admitted.verified(), admitted.sender());
        Self { verified, sender, time: admitted.time(), is_forced: admitted.is_forced() }
    }
}

/// The rules that an effect has to pass, in the order in which they are asked.
type Sets = Vec<(Attachment, Digest)>;

/// Why not, and by which action.
pub(super) struct Denied {
    pub(super) reject: Reject,
    pub(super) at: u16,
}

impl Run<'_> {
    /// Asks the rules about all that a transaction does. Returns what it spends, as far as that is counted.
    pub(super) fn check_covenants(
        &mut self,
        admitted: &Admitted<'_>,
        targets: &[AccountId],
        applied: &mut Applied,
    ) -> Result<Vec<Counting>, Denied> {
        if !self.working.has_rules() {
            return Ok(Vec::new());
        }
        let (time, limit) = (admitted.time(), admitted.body().gas_limit);
        let mut counted: Vec<Counting> = Vec::new();
        let mut foreseen = self.take_foreseen(admitted.verified()).into_iter();
        for effect in self.effects_of(&Asking::about(admitted), targets) {
            let (known, use_gas) = (foreseen.next(), |gas| applied.use_gas(gas, limit));
            let counts = self.check_effect(&effect, &counted, time, known, use_gas);
            let counts = counts.map_err(|reject| Denied { reject, at: effect.at })?;
            if let (true, Some((asset, amount))) = (counts, effect.moves) {
                counted.push(Counting { principal: effect.principal, asset, amount });
            }
        }
        Ok(counted)
    }

    /// Asks the rules about a deposit. Returns the gas that it takes to ask.
    pub(super) fn check_deposit(&mut self, to: AccountId, asset: AssetId, amount: Amount) -> (u64, Result<(), Reject>) {
        if !self.working.has_rules() {
            return (0, Ok(()));
        }
        let effect = Effect {
            at: 0,
            principal: to,
            kind: Action::KIND_DEPOSIT,
            on: On::Account(to),
            receiver: Some(to),
            moves: Some((asset, amount)),
            consent: Consent::NONE,
            is_exit: false,
        };
        let mut gas = 0;
        let checked = self.check_effect(&effect, &[], self.time, None, |more| {
            gas += more;
            Ok(())
        });
        (gas, checked.map(drop))
    }

    /// What a transaction does, each thing once.
    fn effects_of(&self, asking: &Asking<'_>, targets: &[AccountId]) -> Vec<Effect> {
        let Asking { verified, sender, time, is_forced } = *asking;
        let body = verified.body();
        let session = body.key_ref.is_session().then_some(body.nonce.lane);
        let members = self.members_behind(verified, sender, sender, time);
        let own = Consent { members, session, proposed_at: None };
        let mut effects = Effects::default();
        for ((at, action), target) in (0..).zip(&body.actions).zip(targets) {
            let effect = self.effect(at, action, sender, *target, own, is_forced);
            let Action::Execute { proposal, .. } = action else {
                effects.add(effect);
                continue;
            };
            let Some(proposal) = self.proposal(*target, proposal) else {
                effects.add(effect);
                continue;
            };
            // Who takes his money back to the L1 may need his guardians for it.
            let is_exit = is_forced && proposal.actions.iter().all(is_bridged_withdrawal);
            effects.add(Effect { is_exit, ..effect });
            let proposed_at = Some(proposal.expires.saturating_sub(PROPOSAL_MS_MAX));
            let held = Consent { members: proposal.approvals, session: None, proposed_at };
            for action in &proposal.actions {
                let party = match action {
                    Action::Transfer { to, .. } | Action::Mint { to, .. } => self.reach.find(to),
                    Action::RegisterIdentity { gid } => self.reach.find(&gid.address()),
                    other => other.credential_party().and_then(|party| self.reach.find(party)),
                };
                let party = party.unwrap_or(*target);
                effects.add(self.effect(at, action, *target, party, held, is_forced));
            }
        }
        effects.all
    }

    fn proposal(&self, subject: AccountId, id: &Digest) -> Option<&Proposal> {
        let guarded = self.working.record(subject).gates.as_ref()?.guarded.as_ref()?;
        guarded.proposals.iter().find(|known| known.id == *id)
    }

    fn effect(
        &self,
        at: u16,
        action: &Action,
        principal: AccountId,
        target: AccountId,
        consent: Consent,
        is_forced: bool,
    ) -> Effect {
        let (on, receiver) = match action {
            Action::Transfer { .. } => (On::Account(target), Some(target)),
            Action::Mint { asset, .. } => (On::Asset(*asset), Some(target)),
            Action::Withdraw { asset, .. }
            | Action::Burn { asset, .. }
            | Action::RegisterAsset { asset, .. }
            | Action::FreezeAsset { asset, .. }
            | Action::SetCovenant { at: CovenantAt::Asset(asset), .. } => (On::Asset(*asset), None),
            // Whose guardians it is about, whose identity it is, or the account's own.
            _ => (On::Account(target), None),
        };
        let is_exit = is_forced && is_bridged_withdrawal(action);
        Effect { at, principal, kind: action.kind(), on, receiver, moves: action.moves(), consent, is_exit }
    }

    /// What is attached to what an effect touches. An exit passes the account's own rules alone.
    fn sets_for(&self, effect: &Effect, time: u64) -> Sets {
        let mut sets = Sets::new();
        let of = |id: AccountId| self.working.record(id).gates.as_ref().map(|gates| &gates.covenants);
        let rules = self.working.plane_rules();
        let own = of(effect.principal).and_then(|known| known.outgoing);
        // A deposit is nothing that the account does.
        let own = own.filter(|_| effect.kind != Action::KIND_DEPOSIT);
        if effect.is_exit {
            sets.extend(own.map(|digest| (Attachment::AccountOutgoing, digest)));
            return sets;
        }
        let incoming = effect.receiver.and_then(|id| of(id).and_then(|known| known.incoming));
        let asset = match (effect.moves, effect.on) {
            (Some((asset, _)), _) | (None, On::Asset(asset)) => Some(asset),
            (None, On::Account(_)) => None,
        };
        let asset = asset.and_then(|asset| match self.working.asset(asset) {
            Some(record) => record.rules.at(time),
            None => rules.asset(asset).and_then(|scheduled| scheduled.at(time)),
        });
        let all = [
            (Attachment::Plane, rules.plane.at(time)),
            (Attachment::AccountOutgoing, own),
            (Attachment::AccountIncoming, incoming),
            (Attachment::Asset, asset),
        ];
        sets.extend(all.into_iter().filter_map(|(at, digest)| Some((at, digest?))));
        sets
    }

    /// What asking costs: each decision by the formula of its text, and once in a batch what it takes a judge to read the text.
    fn gas_to_ask(&self, sets: &Sets, approvals: usize) -> u64 {
        let mut first: Vec<Digest> = Vec::new();
        let mut gas: u64 = 0;
        for (_, digest) in sets {
            let Some(text) = self.working.text(digest) else { continue };
            gas = gas.saturating_add(gas::decision(text.cost, approvals));
            if !self.working.was_asked(digest) && !first.contains(digest) {
                first.push(*digest);
                gas = gas.saturating_add(gas::covenant_text(text.text.len()));
            }
        }
        gas
    }

    /// What the principal has spent of the asset that moves, what this transaction does before included.
    fn spent(&self, effect: &Effect, counter: Option<Spending>, before: &[Counting]) -> Spent {
        let amount = |units: u64| Amount::new(units.min(AMOUNT_MAX)).expect("at most the most");
        let [hour, day, month] = counter.map_or([0; 3], |counter| counter.units).map(amount);
        let mut spent = Spent { hour, day, month };
        let asset = effect.moves.map(|(asset, _)| asset);
        for counting in before.iter().filter(|one| one.principal == effect.principal && Some(one.asset) == asset) {
            spent = spent.and(counting.amount);
        }
        spent
    }

    fn request(&self, effect: &Effect, time: u64, approvals: Vec<Approval>, spent: Spent) -> Option<Request> {
        let party = |id: AccountId| Party::of(self.working.record(id), time);
        let issuer = |asset: AssetId| {
            let record = self.working.asset(asset)?;
            // Whoever registered it in this batch is listed as who did so.
            self.reach.find(&record.issuer).map(party)
        };
        let resource = match effect.on {
            On::Account(id) => Resource::Account(party(id)),
            On::Asset(asset) => Resource::Asset { asset, issuer: issuer(asset) },
        };
        let counterparty = effect.receiver.filter(|_| effect.kind != Action::KIND_DEPOSIT).map(party);
        let moving =
            effect.moves.map(|(asset, amount)| Moving { amount, asset, issuer: issuer(asset), counterparty, spent });
        let facts = Facts {
            principal: party(effect.principal),
            action: effect.kind,
            resource,
            moving,
            time,
            approvals,
            session: effect.consent.session,
        };
        Request::new(facts).ok()
    }

    fn set_of(&self, id: AccountId) -> Option<&GuardianSet> {
        let gates = self.working.record(id).gates.as_ref()?;
        gates.guarded.as_ref().map(|guarded| &guarded.set)
    }

    fn approvals(&self, principal: AccountId, members: MemberMask) -> Vec<Approval> {
        self.set_of(principal).map_or_else(Vec::new, |set| approvals_of(set, members))
    }

    fn check_obligations(&self, effect: &Effect, obligations: Obligations, time: u64) -> Result<(), Reject> {
        if obligations.guardian {
            let set = self.set_of(effect.principal);
            let agreed =
                set.is_some_and(|set| guardian::check_quorum(set, Role::Spend, effect.consent.members).is_ok());
            if !agreed {
                return Err(Reject::CovenantNeedsGuardians);
            }
        }
        let seconds = obligations.delay_seconds;
        if seconds > 0 {
            let over = effect.consent.proposed_at.map(|since| since.saturating_add(u64::from(seconds) * 1_000));
            if over.is_none_or(|over| over > time) {
                return Err(Reject::CovenantDelays { seconds });
            }
        }
        Ok(())
    }

    /// Counts what was spent by a transaction that was applied.
    pub(super) fn count_spending(&mut self, counted: &[Counting], time: u64) {
        for Counting { principal, asset, amount } in counted {
            self.working.record_mut(*principal).change_gates(|gates| {
                let spending = &mut gates.covenants.spending;
                spending.retain(|known| known.asset == *asset || !known.is_over(time));
                let at = spending.partition_point(|known| known.asset < *asset);
                if spending.get(at).is_none_or(|known| known.asset != *asset) {
                    spending.insert(at, Spending::new(*asset, time));
                }
                let mut sum = spending[at].at(time);
                sum.units = sum.units.map(|units| units.saturating_add(amount.units()).min(AMOUNT_MAX));
                spending[at] = sum;
            });
        }
    }

    // Publishing and attaching.

    pub(super) fn publish_covenant(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        (schema_version, text): (u16, &str),
    ) -> Result<(), Reject> {
        applied.use_gas(gas::covenant_text(text.len()), actor.gas_limit)?;
        let digest = CovenantText::digest_of(schema_version, text);
        if self.working.text(&digest).is_some() {
            return Ok(());
        }
        let set = PolicySet::set_at(text, schema_version);
        let set = set.map_err(|error| Reject::BadCovenant { reason: error.code() })?;
        let (counts, obliges, cost) = (set.counts(), set.obliges(), set.cost(0));
        let text = CovenantText { schema_version, counts, obliges, cost, text: text.to_owned() };
        applied.use_gas(gas::GAS_NEW_OBJECT, actor.gas_limit)?;
        self.charge_object(actor, applied)?;
        self.working.publish(digest, text)
    }

    pub(super) fn set_covenant(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        at: CovenantAt,
        digest: Option<Digest>,
    ) -> Result<(), Reject> {
        applied.use_gas(gas::GAS_GATE, actor.gas_limit)?;
        let text = digest.map(|digest| self.working.text(&digest).ok_or(Reject::NoSuchCovenant)).transpose()?;
        let obliges = text.is_some_and(|text| text.obliges);
        let change = Change { to: digest, from: self.time.saturating_add(self.plane.genesis().governance.notice_ms) };
        let is_governor = self.plane.genesis().governance.governor == Some(*actor.address);
        match at {
            CovenantAt::Outgoing | CovenantAt::Incoming => {
                // What an account is obliged to do it has to be able to. Rules for who pays it oblige others.
                if obliges && at == CovenantAt::Outgoing && self.set_of(actor.id).is_none() {
                    return Err(Reject::CovenantNeedsGuardians);
                }
                self.working.change_record(actor.id, |record| {
                    if record.identity.is_none() {
                        return Err(Reject::KeyRequired);
                    }
                    record.change_gates(|gates| {
                        let known = &mut gates.covenants;
                        let place = if at == CovenantAt::Outgoing { &mut known.outgoing } else { &mut known.incoming };
                        *place = digest;
                    });
                    ghostplane_shroud::sigil::check_room(record)
                })
            }
            CovenantAt::Asset(asset) if !asset.is_bridged() => {
                let mut record = self.working.asset(asset).cloned().ok_or(Reject::UnknownAsset { asset })?;
                if record.issuer != *actor.address {
                    return Err(Reject::CovenantPlace);
                }
                record.rules = record.rules.announce(change, self.time);
                self.working.set_asset(asset, record)
            }
            _ if !is_governor => Err(Reject::CovenantPlace),
            CovenantAt::Asset(asset) => {
                if self.plane.genesis().asset(asset).is_none() {
                    return Err(Reject::UnknownAsset { asset });
                }
                let time = self.time;
                let announce = |rules: &mut Scheduled| *rules = rules.announce(change, time);
                self.change_plane_rules(actor, applied, |rules| announce(rules.asset_mut(asset)))
            }
            CovenantAt::Plane => {
                let time = self.time;
                self.change_plane_rules(actor, applied, |rules| rules.plane = rules.plane.announce(change, time))
            }
        }
    }

    fn change_plane_rules(
        &mut self,
        actor: &Actor<'_>,
        applied: &mut Applied,
        change: impl FnOnce(&mut ghostplane_types::PlaneRules),
    ) -> Result<(), Reject> {
        let mut rules = self.working.plane_rules().clone();
        change(&mut rules);
        if self.working.set_plane_rules(rules)? {
            self.charge_object(actor, applied)?;
        }
        Ok(())
    }
}

fn is_bridged_withdrawal(action: &Action) -> bool {
    matches!(action, Action::Withdraw { asset, .. } if asset.is_bridged())
}

/// What makes two effects one.
type Likeness = (AccountId, u8, On, Option<AccountId>, Option<AssetId>, Consent, bool);

/// Effects in the order in which they come first.
#[derive(Default)]
struct Effects {
    all: Vec<Effect>,
    places: BTreeMap<Likeness, usize>,
}

impl Effects {
    /// Adds an effect, to one like it if there is one.
    fn add(&mut self, effect: Effect) {
        let Effect { principal, kind, on, receiver, consent, is_exit, .. } = effect;
        let asset = effect.moves.map(|(asset, _)| asset);
        let place =
            *self.places.entry((principal, kind, on, receiver, asset, consent, is_exit)).or_insert(self.all.len());
        let Some(like) = self.all.get_mut(place) else { return self.all.push(effect) };
        if let (Some((_, sum)), Some((_, amount))) = (&mut like.moves, effect.moves) {
            // Nobody has as much as does not fit: what is more fails when it is applied.
            *sum = sum.checked_add(amount).unwrap_or(Amount::MAX);
        }
    }
}

/// The approvals of some members, as rules see them.
pub(crate) fn approvals_of(set: &GuardianSet, members: MemberMask) -> Vec<Approval> {
    let there = set.members.iter().enumerate().filter(|(at, _)| members & 1 << at != 0);
    let approvals = there.map(|(_, member)| {
        let roles = Role::ALL.into_iter().filter(|role| member.roles.contains(*role));
        Approval { roles: roles.map(|role| role.name().to_owned()).collect(), weight: u32::from(member.weight) }
    });
    approvals.collect()
}

fn reject_of(denial: &Denial) -> Reject {
    let at = denial.at().name();
    match denial {
        Denial::Forbidden { .. } => Reject::CovenantForbids { at },
        Denial::NotPermitted { .. } => Reject::CovenantSilent { at },
        Denial::Failed { .. } => Reject::CovenantFails { at },
        Denial::UnknownAction { .. } => Reject::CovenantOutdated { at },
    }
}
