//! Who has to agree: sets, quorums, and what is held until there is one.

use crate::sigil::{check_room, holds_session, is_usable};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::guardian::{
    Freeze, Guarded, Guardian, GuardianSet, MemberMask, Proposal, Recovery, Role, Safety,
};
use ghostplane_types::limits::{GUARDIAN_DELAY_MS_MAX, PROPOSAL_MS_MAX, PROPOSALS_MAX};
use ghostplane_types::{AccountRecord, Action, Address, Gates, Holder, KindSet, PublicKey, Reject, Spent};

/// What changes a gate so that more is let through, or could be: it needs the quorum, and waits.
pub const LOOSENING: KindSet = KindSet::of(&[
    Action::KIND_ROTATE_KEY,
    Action::KIND_ADD_SESSION,
    Action::KIND_SET_COVENANT,
    Action::KIND_SET_GUARDIANS,
    Action::KIND_FREEZE_ASSET,
    // Not a gate of the account's own: it lets others be trusted in its name.
    Action::KIND_ISSUE_CREDENTIAL,
]);

/// What has to be agreed to before these actions are done.
pub fn roles_of(actions: &[Action]) -> impl Iterator<Item = Role> {
    let loosens = actions.iter().any(|action| LOOSENING.contains(action.kind()));
    // Whatever is no change of a gate takes something out, be it the price of storage.
    let spends = actions.iter().any(|action| !LOOSENING.contains(action.kind()));
    [(Role::Spend, spends), (Role::Gates, loosens)].into_iter().filter(|(_, needed)| *needed).map(|(role, _)| role)
}

/// Whether some members are enough for a role; if not, what there is and what it takes.
pub fn check_quorum(set: &GuardianSet, role: Role, mask: MemberMask) -> Result<(), (u32, u32)> {
    let (found, needed) = (set.weight(role, mask), set.thresholds.of(role));
    // A threshold of 0 is one that nobody meets.
    if needed > 0 && found >= needed { Ok(()) } else { Err((found, needed)) }
}

// Sets.

/// What is known of a member that is an account.
#[derive(Clone, Copy, Debug)]
pub struct MemberAccount<'a> {
    /// Its record, if it exists.
    pub record: Option<&'a AccountRecord>,
}

/// Whether these can be the guardians of an account.
pub fn check_set<'a>(
    record: &AccountRecord,
    set: &GuardianSet,
    mut member: impl FnMut(&Address) -> MemberAccount<'a>,
) -> Result<(), Reject> {
    let Some(identity) = &record.identity else { return Err(Reject::KeyRequired) };
    let is_session = |key: &PublicKey| record.gates.iter().any(|gates| holds_session(gates, &Holder::Key(*key)));
    // Who speaks twice would count twice.
    let mut voices: Vec<PublicKey> = Vec::new();
    for (at, one) in set.members.iter().enumerate() {
        if set.members[..at].iter().any(|other| other.who == one.who) {
            return Err(Reject::GuardianTwice);
        }
        let keys = match &one.who {
            Guardian::Key(key) if is_usable(key) => std::slice::from_ref(key),
            Guardian::Key(_) => return Err(Reject::UnusableKey),
            Guardian::Account(address) if *address == record.address => return Err(Reject::GuardianSelf),
            Guardian::Account(address) => check_member(record, address, member(address))?,
        };
        if keys.iter().any(|key| identity.keys.contains(key) || is_session(key)) {
            return Err(Reject::GuardianSelf);
        }
        if keys.iter().any(|key| voices.contains(key)) {
            return Err(Reject::GuardianTwice);
        }
        voices.extend_from_slice(keys);
    }
    let rules = [
        (!set.members.is_empty(), "it has no members"),
        (set.members.iter().all(|member| member.weight > 0), "a member without weight"),
        (set.members.iter().all(|member| !member.roles.is_empty()), "a member without a role"),
        (set.thresholds.spend > 0 && set.thresholds.gates > 0, "spending or changing gates takes no weight"),
        (set.gate_delay_ms <= GUARDIAN_DELAY_MS_MAX, "changes of gates wait longer than 90 days"),
        (set.recovery_delay_ms <= GUARDIAN_DELAY_MS_MAX, "recoveries wait longer than 90 days"),
    ];
    if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
        return Err(Reject::GuardianTerms { what });
    }
    for role in Role::ALL {
        let (found, needed) = (set.weight(role, MemberMask::MAX), set.thresholds.of(role));
        if found < needed {
            return Err(Reject::QuorumUnreachable { role: role.name(), found, needed });
        }
    }
    Ok(())
}

/// An account can be a guardian if it has keys. If its own set names accounts, a way along guardians could come back to where
/// it started; who adds the last link of such a way always names an account whose set names accounts. Returns its keys.
fn check_member<'a>(
    record: &AccountRecord,
    address: &Address,
    member: MemberAccount<'a>,
) -> Result<&'a [PublicKey], Reject> {
    let known = member.record.and_then(|record| Some((record, record.identity.as_ref()?)));
    let Some((known, identity)) = known else { return Err(Reject::GuardianUnknown { address: *address }) };
    let keys = &identity.keys;
    let Some(guarded) = known.gates.as_ref().and_then(|gates| gates.guarded.as_ref()) else { return Ok(keys) };
    if guarded.set.accounts().any(|further| *further == record.address) {
        return Err(Reject::GuardianCycle { address: *address });
    }
    if guarded.set.accounts().next().is_some() {
        return Err(Reject::GuardianDepth { address: *address });
    }
    Ok(keys)
}

/// How many prices of an object a change gives back, less those that it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Prices that are held from now on.
    pub taken: u64,
    /// Prices that are given back.
    pub back: u64,
}

/// Gives an account a checked set, or none. What was held under the old one is dropped: nobody has agreed to it under the new.
pub fn set_guardians(record: &mut AccountRecord, set: Option<&GuardianSet>) -> Result<Held, Reject> {
    let held = record.change_gates(|gates| {
        let old = gates.guarded.take();
        gates.safety.recovery = None;
        gates.safety.has_cancelled = false;
        gates.guarded = set.map(|set| {
            let spent = vec![Spent::default(); set.allowances.len()];
            Guarded { set: set.clone(), spent, proposals: Vec::new() }
        });
        let back = old.as_ref().map_or(0, |old| old.proposals.len() as u64);
        match (old.is_some(), set.is_some()) {
            (false, true) => Ok(Held { taken: 1, back }),
            (true, false) => Ok(Held { taken: 0, back: back + 1 }),
            (true, true) => Ok(Held { taken: 0, back }),
            (false, false) => Err(Reject::Unguarded),
        }
    })?;
    check_room(record)?;
    Ok(held)
}

fn guarded_mut(gates: &mut Gates) -> Result<&mut Guarded, Reject> {
    gates.guarded.as_mut().ok_or(Reject::Unguarded)
}

// Proposals.

/// Holds actions. Proposals that are over make room.
pub fn propose(
    record: &mut AccountRecord,
    id: Digest,
    actions: &[Action],
    approvals: MemberMask,
    time: u64,
) -> Result<Held, Reject> {
    let held = record.change_gates(|gates| {
        let guarded = guarded_mut(gates)?;
        if guarded.proposals.iter().any(|known| known.id == id) {
            return Err(Reject::ProposalTwice);
        }
        let before = guarded.proposals.len();
        guarded.proposals.retain(|known| known.expires >= time);
        let back = (before - guarded.proposals.len()) as u64;
        if guarded.proposals.len() >= PROPOSALS_MAX {
            return Err(Reject::ProposalsFull { limit: PROPOSALS_MAX });
        }
        let expires = time.saturating_add(PROPOSAL_MS_MAX);
        let mut proposal =
            Proposal { id, actions: actions.to_vec(), expires, approvals, rejections: 0, ready_at: None };
        weigh(&guarded.set, &mut proposal, time);
        guarded.proposals.push(proposal);
        Ok(Held { taken: 1, back })
    })?;
    check_room(record)?;
    Ok(held)
}

/// Notes when a proposal that enough agree to can be done, and that one cannot be which too few agree to.
fn weigh(set: &GuardianSet, proposal: &mut Proposal, time: u64) {
    let is_agreed = roles_of(&proposal.actions).all(|role| check_quorum(set, role, proposal.approvals).is_ok());
    let waits = roles_of(&proposal.actions).any(|role| role == Role::Gates);
    let delay = if waits { set.gate_delay_ms } else { 0 };
    proposal.ready_at = is_agreed.then(|| proposal.ready_at.unwrap_or(time.saturating_add(delay)));
}

/// The proposal with an id that is not over.
fn open_proposal(guarded: &mut Guarded, id: &Digest, time: u64) -> Result<usize, Reject> {
    let at = guarded.proposals.iter().position(|known| known.id == *id).ok_or(Reject::NoSuchProposal)?;
    let expires = guarded.proposals[at].expires;
    if time > expires { Err(Reject::ProposalExpired { expires, time }) } else { Ok(at) }
}

/// Counts members' consent.
pub fn approve(record: &mut AccountRecord, id: &Digest, members: MemberMask, time: u64) -> Result<(), Reject> {
    record.change_gates(|gates| {
        let guarded = guarded_mut(gates)?;
        if members == 0 {
            return Err(Reject::NotGuardian);
        }
        let at = open_proposal(guarded, id, time)?;
        let Guarded { set, proposals, .. } = guarded;
        let proposal = &mut proposals[at];
        if proposal.approvals & members == members {
            return Err(Reject::VotedAlready);
        }
        proposal.approvals |= members;
        proposal.rejections &= !members;
        weigh(set, proposal, time);
        Ok(())
    })
}

/// Counts members' refusal, or takes a proposal back in the account's own name. Drops it once it cannot be agreed to any more.
pub fn reject(
    record: &mut AccountRecord,
    id: &Digest,
    members: MemberMask,
    is_own: bool,
    time: u64,
) -> Result<Held, Reject> {
    record.change_gates(|gates| {
        let guarded = guarded_mut(gates)?;
        if members == 0 && !is_own {
            return Err(Reject::NotGuardian);
        }
        let at = guarded.proposals.iter().position(|known| known.id == *id).ok_or(Reject::NoSuchProposal)?;
        let Guarded { set, proposals, .. } = guarded;
        let proposal = &mut proposals[at];
        if !is_own {
            if proposal.rejections & members == members {
                return Err(Reject::VotedAlready);
            }
            proposal.rejections |= members;
            proposal.approvals &= !members;
            weigh(set, proposal, time);
        }
        let left = !proposal.rejections;
        let is_hopeless = roles_of(&proposal.actions).any(|role| check_quorum(set, role, left).is_err());
        if is_own || is_hopeless || time > proposal.expires {
            proposals.remove(at);
            return Ok(Held { taken: 0, back: 1 });
        }
        Ok(Held::default())
    })
}

/// Takes out a proposal whose time has come.
pub fn take_ready(record: &mut AccountRecord, id: &Digest, time: u64) -> Result<Proposal, Reject> {
    record.change_gates(|gates| {
        if gates.safety.is_frozen(time) {
            return Err(Reject::SubjectFrozen);
        }
        let guarded = guarded_mut(gates)?;
        let at = open_proposal(guarded, id, time)?;
        let proposal = &guarded.proposals[at];
        for role in roles_of(&proposal.actions) {
            let quorum = check_quorum(&guarded.set, role, proposal.approvals);
            quorum.map_err(|(found, needed)| Reject::ProposalQuorum { role: role.name(), found, needed })?;
        }
        match proposal.ready_at {
            Some(ready_at) if ready_at <= time => Ok(guarded.proposals.remove(at)),
            Some(ready_at) => Err(Reject::Waits { until: ready_at, time }),
            None => Err(Reject::NoSuchProposal),
        }
    })
}

// Freeze and recovery.

/// Enough members for something that they do at once, without a proposal.
fn check_at_once(gates: &Gates, role: Role, members: MemberMask) -> Result<(), Reject> {
    let guarded = gates.guarded.as_ref().ok_or(Reject::Unguarded)?;
    check_quorum(&guarded.set, role, members).map_err(|(found, needed)| Reject::SubjectQuorum {
        role: role.name(),
        found,
        needed,
    })
}

/// Stops whatever leaves an account.
pub fn freeze(record: &mut AccountRecord, members: MemberMask) -> Result<(), Reject> {
    record.change_gates(|gates| {
        check_at_once(gates, Role::Freeze, members)?;
        // One that was to end is for good again.
        if gates.safety.freeze == Some(Freeze { ends_at: None }) {
            return Err(Reject::FrozenAlready);
        }
        gates.safety.freeze = Some(Freeze { ends_at: None });
        Ok(())
    })
}

/// Lets a freeze end after the delay for changes of gates.
pub fn unfreeze(record: &mut AccountRecord, members: MemberMask, time: u64) -> Result<(), Reject> {
    record.change_gates(|gates| {
        check_at_once(gates, Role::Gates, members)?;
        if !gates.safety.is_frozen(time) {
            return Err(Reject::NotFrozen);
        }
        let delay = gates.guarded.as_ref().map_or(0, |guarded| guarded.set.gate_delay_ms);
        if let Some(until) = gates.safety.freeze.and_then(|freeze| freeze.ends_at) {
            return Err(Reject::Waits { until, time });
        }
        gates.safety.freeze = (delay > 0).then(|| Freeze { ends_at: Some(time.saturating_add(delay)) });
        Ok(())
    })
}

/// Begins to give an account another key.
pub fn recover(record: &mut AccountRecord, key: &PublicKey, members: MemberMask, time: u64) -> Result<(), Reject> {
    let has = record.identity.as_ref().is_some_and(|identity| identity.keys.contains(key));
    record.change_gates(|gates| {
        check_at_once(gates, Role::Recover, members)?;
        let Some(guarded) = &gates.guarded else { return Err(Reject::Unguarded) };
        let is_guardian = guarded.set.members.iter().any(|member| member.who == Guardian::Key(*key));
        if has || is_guardian || holds_session(gates, &Holder::Key(*key)) {
            return Err(Reject::KeyTwice);
        }
        if !is_usable(key) {
            return Err(Reject::UnusableKey);
        }
        if gates.safety.recovery.is_some() {
            return Err(Reject::RecoveryPending);
        }
        let ready_at = time.saturating_add(guarded.set.recovery_delay_ms);
        gates.safety.recovery = Some(Recovery { key: *key, ready_at });
        Ok(())
    })?;
    check_room(record)
}

/// Ends a recovery: the account's own key alone once, then only together with a guardian; or those who could begin one.
pub fn cancel_recovery(record: &mut AccountRecord, is_own: bool, members: MemberMask) -> Result<(), Reject> {
    record.change_gates(|gates| {
        let Some(guarded) = &gates.guarded else { return Err(Reject::Unguarded) };
        if gates.safety.recovery.is_none() {
            return Err(Reject::NoRecovery);
        }
        let quorum = check_quorum(&guarded.set, Role::Recover, members);
        if quorum.is_err() {
            if !is_own {
                let (found, needed) = quorum.err().unwrap_or_default();
                return Err(Reject::SubjectQuorum { role: Role::Recover.name(), found, needed });
            }
            if gates.safety.has_cancelled && members == 0 {
                return Err(Reject::CancelledBefore);
            }
            gates.safety.has_cancelled = true;
        }
        gates.safety.recovery = None;
        Ok(())
    })
}

/// Gives the account its new key. Sessions and what is held go with the old ones, and so does a freeze.
pub fn finish_recovery(record: &mut AccountRecord, time: u64) -> Result<Held, Reject> {
    let recovery = record.gates.as_ref().and_then(|gates| gates.safety.recovery);
    let Some(Recovery { key, ready_at }) = recovery else { return Err(Reject::NoRecovery) };
    if time < ready_at {
        return Err(Reject::Waits { until: ready_at, time });
    }
    let identity = record.identity.as_mut().ok_or(Reject::KeyRequired)?;
    identity.keys = [key].into_iter().collect();
    Ok(record.change_gates(|gates| {
        let proposals = gates.guarded.as_mut().map(|guarded| std::mem::take(&mut guarded.proposals));
        let back = gates.sessions.len() + proposals.map_or(0, |proposals| proposals.len());
        gates.sessions.clear();
        gates.safety = Safety::default();
        Held { taken: 0, back: back as u64 }
    }))
}
