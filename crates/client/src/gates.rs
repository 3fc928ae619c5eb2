//! What a record says of who may act: what is left of limits, how proposals stand, and all of it as it travels.
//!
//! A node makes these messages from the record, and [`crate::check::Plane::account`] makes them again and compares: they say
//! nothing that the proven record does not.

use crate::wire;
use ghostplane_types::action::kind_name;
use ghostplane_types::guardian::{Guarded, Guardian, Member, MemberMask, Proposal, Role, Roles};
use ghostplane_types::{
    AccountRecord, Action, Address, EntityType, Gates, Identity, KindSet, Limit, PublicKey, Session, Spending, Spent,
    Window,
};
use ghostplane_types::{Encode, LiveSession};

/// What changes who may act, or what others may do with what they hold: it takes the role gates, and waits. Everything else
/// takes the role spend.
pub const LOOSENING: KindSet = KindSet::of(&[
    Action::KIND_ROTATE_KEY,
    Action::KIND_ADD_SESSION,
    Action::KIND_SET_COVENANT,
    Action::KIND_SET_GUARDIANS,
    Action::KIND_FREEZE_ASSET,
    Action::KIND_ISSUE_CREDENTIAL,
]);

/// What left of a limit in the window of `time`, in base units.
#[must_use]
pub const fn spent(limit: &Limit, spent: &Spent, time: u64) -> u64 {
    if spent.window == limit.window.at(time) { spent.units } else { 0 }
}

/// What may leave still in the window of `time`, in base units.
#[must_use]
pub const fn left(limit: &Limit, spent: &Spent, time: u64) -> u64 {
    limit.per_window.units().saturating_sub(self::spent(limit, spent, time))
}

/// How a proposal that is held stands. How one ended is in no state: only receipts say that it was executed or declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Too few agree.
    Pending,
    /// Enough agree, and its time has not come.
    Waiting,
    /// Whoever executes it has it done.
    Ready,
    /// Its time is over.
    Expired,
}

impl Standing {
    /// How a held proposal stands at a batch time.
    #[must_use]
    pub const fn of(proposal: &Proposal, time: u64) -> Self {
        match proposal.ready_at {
            _ if time > proposal.expires => Self::Expired,
            None => Self::Pending,
            Some(ready_at) if time < ready_at => Self::Waiting,
            Some(_) => Self::Ready,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Expired => "expired",
        }
    }
}

/// The roles whose members have to agree before these actions are done.
#[must_use]
pub fn roles_of(actions: &[Action]) -> Vec<Role> {
    let loosens = actions.iter().any(|action| LOOSENING.contains(action.kind()));
    let spends = actions.iter().any(|action| !LOOSENING.contains(action.kind()));
    [(Role::Spend, spends), (Role::Gates, loosens)]
        .iter()
        .filter(|(_, needed)| *needed)
        .map(|(role, _)| *role)
        .collect()
}

/// The weight that agrees to a proposal and the weight that it takes, for each role that it needs.
#[must_use]
pub fn quorums(guarded: &Guarded, proposal: &Proposal) -> Vec<(Role, u32, u32)> {
    let of = |role| (role, guarded.set.weight(role, proposal.approvals), guarded.set.thresholds.of(role));
    roles_of(&proposal.actions).into_iter().map(of).collect()
}

/// The roles of a set of roles.
pub fn roles(of: Roles) -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(move |role| of.contains(*role))
}

/// The places in a mask of members.
pub fn places(mask: MemberMask) -> impl Iterator<Item = usize> {
    (0..MemberMask::BITS as usize).filter(move |at| mask & 1 << at != 0)
}

/// The word for a window.
#[must_use]
pub const fn window_word(window: Window) -> &'static str {
    match window {
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Month => "month",
    }
}

/// The word for an entity type.
#[must_use]
pub const fn entity_word(entity_type: EntityType) -> &'static str {
    match entity_type {
        EntityType::Wallet => "wallet",
        EntityType::Validator => "validator",
        EntityType::Service => "service",
        EntityType::Contract => "contract",
        EntityType::Bridge => "bridge",
        EntityType::Oracle => "oracle",
    }
}

// As it travels.

/// Who speaks for an account, as it travels and as of a batch time; nobody before it is registered.
#[must_use]
pub fn identity_message(record: &AccountRecord, time: u64) -> Option<wire::Identity> {
    let Identity { entity_type, version, keys } = record.identity.as_ref()?;
    let standing = record.standing(time);
    Some(wire::Identity {
        entity_type: entity_word(*entity_type).to_owned(),
        version: u32::from(*version),
        level: u32::from(standing.level),
        keys: keys.iter().map(key).collect(),
        certified: standing.certified.map(|of| entity_word(of).to_owned()).unwrap_or_default(),
    })
}

/// What the account's actions have to pass, as it travels and as of a batch time; nothing for most.
#[must_use]
pub fn gates_message(record: &AccountRecord, time: u64) -> Option<wire::Gates> {
    let Gates { sessions, guarded, safety, covenants, .. } = record.gates.as_deref()?;
    Some(wire::Gates {
        sessions: sessions.iter().map(|live| session(live, time)).collect(),
        guardians: guarded.as_ref().map(|guarded| guardians(guarded, time)),
        proposals: guarded.iter().flat_map(|guarded| proposals(guarded, time)).collect(),
        safety: Some(wire::Safety {
            frozen: safety.is_frozen(time),
            freeze_ends_at: safety.freeze.and_then(|freeze| freeze.ends_at).unwrap_or(0),
            recovery: safety
                .recovery
                .map(|recovery| wire::Recovery { key: Some(key(&recovery.key)), ready_at: recovery.ready_at }),
            has_cancelled: safety.has_cancelled,
        }),
        covenants: (!covenants.is_empty()).then(|| wire::Covenants {
            outgoing: covenants.outgoing.map(|digest| digest.0.to_vec().into()).unwrap_or_default(),
            incoming: covenants.incoming.map(|digest| digest.0.to_vec().into()).unwrap_or_default(),
            spending: covenants.spending.iter().map(|known| spending(known, time)).collect(),
        }),
    })
}

fn spending(known: &Spending, time: u64) -> wire::Spending {
    let [hour, day, month] = known.at(time).units;
    wire::Spending { asset: known.asset.number(), hour, day, month }
}

fn key(of: &PublicKey) -> wire::Key {
    wire::Key { scheme: of.scheme().name().to_owned(), key: of.to_bytes().into() }
}

fn address(of: &Address) -> tonic::codegen::Bytes {
    of.as_bytes().to_vec().into()
}

fn allowances(limits: &[Limit], counters: &[Spent], time: u64) -> Vec<wire::Allowance> {
    let of = |(limit, counter): (&Limit, &Spent)| wire::Allowance {
        asset: limit.asset.number(),
        per_transaction: limit.per_transaction.units(),
        window: window_word(limit.window).to_owned(),
        per_window: limit.per_window.units(),
        spent: spent(limit, counter, time),
        left: left(limit, counter, time),
    };
    limits.iter().zip(counters).map(of).collect()
}

fn kinds(of: impl Iterator<Item = u8>) -> Vec<String> {
    of.map(|kind| kind_name(kind).map_or_else(|| kind.to_string(), str::to_owned)).collect()
}

fn session(live: &LiveSession, time: u64) -> wire::Session {
    let Session { lane, holder, expires, scope } = &live.session;
    let to_l1 = scope.l1_recipients.iter().flatten().map(|to| to.0.to_vec().into());
    wire::Session {
        lane: u32::from(*lane),
        key: holder.key().map(key),
        account: holder.account().map(address).unwrap_or_default(),
        expires: *expires,
        kinds: kinds(scope.kinds.iter()),
        anybody: scope.recipients.is_none(),
        recipients: scope.recipients.iter().flatten().map(address).collect(),
        anybody_on_l1: scope.l1_recipients.is_none(),
        l1_recipients: to_l1.collect(),
        limits: allowances(&scope.limits, &live.spent, time),
    }
}

fn guardians(guarded: &Guarded, time: u64) -> wire::Guardians {
    let set = &guarded.set;
    let member = |member: &Member| wire::Member {
        who: Some(match &member.who {
            Guardian::Key(known) => wire::member::Who::Key(key(known)),
            Guardian::Account(known) => wire::member::Who::Account(address(known)),
        }),
        weight: u32::from(member.weight),
        roles: roles(member.roles).map(|role| role.name().to_owned()).collect(),
    };
    let quorum = |role: Role| quorum(role, 0, set.thresholds.of(role));
    wire::Guardians {
        members: set.members.iter().map(member).collect(),
        quorums: Role::ALL.into_iter().map(quorum).collect(),
        allowances: allowances(&set.allowances, &guarded.spent, time),
        gate_delay_ms: set.gate_delay_ms,
        recovery_delay_ms: set.recovery_delay_ms,
    }
}

fn quorum(role: Role, found: u32, needed: u32) -> wire::Quorum {
    wire::Quorum { role: role.name().to_owned(), found, needed }
}

fn proposals(guarded: &Guarded, time: u64) -> impl Iterator<Item = wire::Proposal> + '_ {
    let at = |mask| places(mask).filter_map(|at| u32::try_from(at).ok()).collect();
    guarded.proposals.iter().map(move |proposal| wire::Proposal {
        id: proposal.id.0.to_vec().into(),
        kinds: kinds(proposal.actions.iter().map(Action::kind)),
        actions: proposal.actions.iter().map(|action| action.to_bytes().into()).collect(),
        state: Standing::of(proposal, time).word().to_owned(),
        quorums: quorums(guarded, proposal).into_iter().map(|(role, has, takes)| quorum(role, has, takes)).collect(),
        approved_by: at(proposal.approvals),
        rejected_by: at(proposal.rejections),
        expires: proposal.expires,
        ready_at: proposal.ready_at.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_ghostcipher::{Digest, VerificationKey};
    use ghostplane_types::guardian::{GuardianSet, Thresholds};
    use ghostplane_types::{Amount, AssetId};

    fn units(units: u64) -> Amount {
        Amount::new(units).expect("small")
    }

    #[test]
    fn a_new_window_begins_with_nothing_spent() {
        let limit =
            Limit { asset: AssetId::GCC, per_transaction: units(5), window: Window::Hour, per_window: units(10) };
        let hour = Window::Hour.length_ms();
        let counter = Spent { window: 7, units: 8 };
        for (time, spent_then, left_then) in [(7 * hour, 8, 2), (8 * hour - 1, 8, 2), (8 * hour, 0, 10), (0, 0, 10)] {
            assert_eq!(
                (spent(&limit, &counter, time), left(&limit, &counter, time)),
                (spent_then, left_then),
                "{time}"
            );
        }
        // What was spent before a limit was lowered is more than there is.
        assert_eq!(left(&limit, &Spent { window: 7, units: 11 }, 7 * hour), 0);
    }

    #[test]
    fn a_proposal_stands_as_votes_and_time_have_it() {
        let mut proposal = Proposal {
            id: Digest([1; 32]),
            actions: vec![Action::RevokeSession { lane: 1 }, Action::SetGuardians(None)],
            expires: 100,
            approvals: 0b101,
            rejections: 0b010,
            ready_at: None,
        };
        let standing = |proposal: &Proposal, time| Standing::of(proposal, time).word();
        assert_eq!((standing(&proposal, 100), standing(&proposal, 101)), ("pending", "expired"));
        proposal.ready_at = Some(50);
        assert_eq!([49, 50, 100, 101].map(|time| standing(&proposal, time)), ["waiting", "ready", "ready", "expired"]);
        let member = |byte, roles: &[Role]| Member {
            who: Guardian::Key(PublicKey::Ed25519(VerificationKey::from_bytes([byte; 32]))),
            weight: u16::from(byte),
            roles: Roles::of(roles),
        };
        let set = GuardianSet {
            members: vec![member(1, &Role::ALL), member(2, &Role::ALL), member(4, &[Role::Gates])],
            thresholds: Thresholds { spend: 2, gates: 5, freeze: 0, recover: 0 },
            allowances: Vec::new(),
            gate_delay_ms: 0,
            recovery_delay_ms: 0,
        };
        let guarded = Guarded { set, spent: Vec::new(), proposals: vec![proposal.clone()] };
        // The third has no say in what is spent.
        assert_eq!(quorums(&guarded, &proposal), [(Role::Spend, 1, 2), (Role::Gates, 5, 5)]);
        assert_eq!(places(0b1000_0000_0000_0101).collect::<Vec<_>>(), [0, 2, 15]);
    }
}
