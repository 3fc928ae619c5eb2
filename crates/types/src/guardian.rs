//! Guardians: who stands behind an account, and what is held until enough of them do.

use crate::action::Action;
use crate::address::{Address, PublicKey};
use crate::codec::{Decode, DecodeError, Encode, Reader, fields, put_list, put_varint};
use crate::consent::{Auth, ConsentForm};
use crate::limits::{GUARDIAN_ALLOWANCES_MAX, GUARDIANS_MAX, PROPOSAL_ACTIONS_MAX, PROPOSAL_BYTES_MAX, PROPOSALS_MAX};
use crate::session::{Limit, Spent, read_limits};
use ghostplane_ghostcipher::Digest;

/// Consent of somebody else than the sender: what a key made of the transaction's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Whose.
    pub key: PublicKey,
    /// Over the id, under [`ghostplane_ghostcipher::Domain::Approval`].
    pub auth: Auth,
}

impl Approval {
    /// How many bytes it takes.
    pub fn encoded_len(&self) -> usize {
        self.key.to_bytes().len() + self.auth.encoded_len()
    }
}

impl Encode for Approval {
    fn encode(&self, out: &mut Vec<u8>) {
        self.key.encode(out);
        self.auth.encode(out);
    }
}

impl Decode for Approval {
    const BYTES_MIN: usize = 97;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key: PublicKey = reader.read()?;
        Ok(Self { key, auth: Auth::decode(ConsentForm::of(key.scheme()), reader)? })
    }
}

/// Who has to agree to what an account does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GuardianSet {
    /// Who, in an order that approvals are kept by.
    pub members: Vec<Member>,
    /// The weight that each role takes. 0 for freeze or recover: nobody may.
    pub thresholds: Thresholds,
    /// What leaves without them, ascending by asset; of an asset that is not listed nothing does, fees included.
    pub allowances: Vec<Limit>,
    /// How long a change of a gate waits once it is agreed to, in milliseconds.
    pub gate_delay_ms: u64,
    /// How long a recovery waits, in milliseconds.
    pub recovery_delay_ms: u64,
}

fields!(Thresholds { spend: u32, gates: u32, freeze: u32, recover: u32 });

/// The weight that each role takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// To let something leave.
    pub spend: u32,
    /// To change a gate, and to end a freeze.
    pub gates: u32,
    /// To freeze.
    pub freeze: u32,
    /// To recover with another key.
    pub recover: u32,
}

/// One of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Who.
    pub who: Guardian,
    /// What the word counts, not 0.
    pub weight: u16,
    /// In which roles it counts.
    pub roles: Roles,
}

fields!(Member { who: Guardian, weight: u16, roles: Roles });

/// Who can be a guardian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guardian {
    /// Whoever has a key.
    Key(PublicKey),
    /// An account, by any of its own keys.
    Account(Address),
}

/// What a guardian may agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// That something leaves.
    Spend = 1,
    /// A change of a gate.
    Gates = 2,
    /// A freeze.
    Freeze = 4,
    /// A recovery.
    Recover = 8,
}

impl Role {
    /// All roles, by bit.
    pub const ALL: [Self; 4] = [Self::Spend, Self::Gates, Self::Freeze, Self::Recover];

    /// The role's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spend => "spend",
            Self::Gates => "gates",
            Self::Freeze => "freeze",
            Self::Recover => "recover",
        }
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// Every role.
    pub const ALL: Self = Self(15);

    /// These roles.
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.iter().fold(0, |bits, role| bits | *role as u8))
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a role is among them.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role as u8 != 0
    }
}

impl Thresholds {
    /// The weight that a role takes.
    pub const fn of(&self, role: Role) -> u32 {
        match role {
            Role::Spend => self.spend,
            Role::Gates => self.gates,
            Role::Freeze => self.freeze,
            Role::Recover => self.recover,
        }
    }
}

/// Some members of a set, by their places: bit k for the member at k.
pub type MemberMask = u16;

impl GuardianSet {
    /// The weight of some members in a role.
    pub fn weight(&self, role: Role, mask: MemberMask) -> u32 {
        let counted = self.members.iter().enumerate();
        let counted = counted.filter(|(at, member)| mask & 1 << at != 0 && member.roles.contains(role));
        counted.map(|(_, member)| u32::from(member.weight)).sum()
    }

    /// The members that something holds for.
    pub fn mask(&self, mut holds: impl FnMut(&Guardian) -> bool) -> MemberMask {
        let members = self.members.iter().enumerate();
        members.fold(0, |mask, (at, member)| if holds(&member.who) { mask | 1 << at } else { mask })
    }

    /// The accounts among the members.
    pub fn accounts(&self) -> impl Iterator<Item = &Address> {
        self.members.iter().filter_map(|member| match &member.who {
            Guardian::Account(address) => Some(address),
            Guardian::Key(_) => None,
        })
    }
}

/// A set as an account has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Its terms.
    pub set: GuardianSet,
    /// What left without it so far, one for each allowance.
    pub spent: Vec<Spent>,
    /// What is held.
    pub proposals: Vec<Proposal>,
}

/// Actions that wait for guardians, or for their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The id of the transaction that proposed them.
    pub id: Digest,
    /// What the account will do.
    pub actions: Vec<Action>,
    /// The last batch time at which it can be done, in milliseconds.
    pub expires: u64,
    /// Who agreed.
    pub approvals: MemberMask,
    /// Who declined.
    pub rejections: MemberMask,
    /// Once enough agreed: the first batch time at which it can be done.
    pub ready_at: Option<u64>,
}

/// What stops an account, or gives it another key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Safety {
    /// Set while nothing leaves.
    pub freeze: Option<Freeze>,
    /// A recovery under way.
    pub recovery: Option<Recovery>,
    /// Whether the account's own key has cancelled a recovery before.
    pub has_cancelled: bool,
}

/// A freeze, and when it ends if that is agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The first batch time at which it is over.
    pub ends_at: Option<u64>,
}

/// A key that takes the place of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The key.
    pub key: PublicKey,
    /// The first batch time at which it can.
    pub ready_at: u64,
}

fields!(Freeze { ends_at: Option<u64> });
fields!(Recovery { key: PublicKey, ready_at: u64 });
fields!(Safety { freeze: Option<Freeze>, recovery: Option<Recovery>, has_cancelled: bool });

impl Safety {
    /// Whether nothing leaves at `time`.
    pub fn is_frozen(&self, time: u64) -> bool {
        self.freeze.is_some_and(|freeze| freeze.ends_at.is_none_or(|ends_at| time < ends_at))
    }
}

impl Encode for Guardian {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Key(key) => {
                out.push(1);
                key.encode(out);
            }
            Self::Account(address) => {
                out.push(2);
                address.encode(out);
            }
        }
    }
}

impl Decode for Guardian {
    const BYTES_MIN: usize = 33;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            1 => Ok(Self::Key(reader.read()?)),
            2 => Ok(Self::Account(reader.read()?)),
            unknown => Err(reader.unknown("kind of guardian", u64::from(unknown))),
        }
    }
}

impl Encode for Roles {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
}

impl Decode for Roles {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            known @ 0..=15 => Ok(Self(known)),
            unknown => Err(reader.unknown("roles", u64::from(unknown))),
        }
    }
}

impl Encode for GuardianSet {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.members);
        self.thresholds.encode(out);
        put_list(out, &self.allowances);
        self.gate_delay_ms.encode(out);
        self.recovery_delay_ms.encode(out);
    }
}

impl Decode for GuardianSet {
    const BYTES_MIN: usize = 34;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            members: reader.list("guardians", GUARDIANS_MAX)?,
            thresholds: reader.read()?,
            allowances: read_limits(reader, "allowances", GUARDIAN_ALLOWANCES_MAX)?,
            gate_delay_ms: reader.read()?,
            recovery_delay_ms: reader.read()?,
        })
    }
}

impl Encode for Guarded {
    fn encode(&self, out: &mut Vec<u8>) {
        self.set.encode(out);
        self.spent.iter().for_each(|spent| spent.encode(out));
        put_list(out, &self.proposals);
    }
}

impl Decode for Guarded {
    const BYTES_MIN: usize = GuardianSet::BYTES_MIN + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let set: GuardianSet = reader.read()?;
        let spent = set.allowances.iter().map(|_| reader.read()).collect::<Result<_, _>>()?;
        Ok(Self { set, spent, proposals: reader.list("proposals of an account", PROPOSALS_MAX)? })
    }
}

impl Encode for Proposal {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        put_proposed(out, &self.actions);
        put_varint(out, self.expires);
        self.approvals.encode(out);
        self.rejections.encode(out);
        self.ready_at.encode(out);
    }
}

impl Decode for Proposal {
    const BYTES_MIN: usize = 41;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: reader.read()?,
            actions: read_proposed(reader)?,
            expires: reader.varint()?,
            approvals: reader.read()?,
            rejections: reader.read()?,
            ready_at: reader.read()?,
        })
    }
}

/// Writes what is proposed.
pub(crate) fn put_proposed(out: &mut Vec<u8>, actions: &[Action]) {
    put_list(out, actions);
}

/// Reads what is proposed: few actions, few bytes, and none of those that would hold others or vote on them, so that nothing
/// is nested.
pub(crate) fn read_proposed(reader: &mut Reader<'_>) -> Result<Vec<Action>, DecodeError> {
    let start = reader.offset();
    let count = reader.count("proposed actions", PROPOSAL_ACTIONS_MAX, Action::BYTES_MIN)?;
    let mut actions = Vec::with_capacity(count);
    for _ in 0..count {
        let kind: u8 = reader.read()?;
        if !Action::PROPOSABLE.contains(kind) {
            return Err(reader.unknown("proposed action kind", u64::from(kind)));
        }
        actions.push(Action::decode_content(kind, reader)?);
    }
    let bytes = reader.offset() - start;
    if actions.is_empty() {
        return Err(reader.non_canonical("proposal without actions"));
    }
    if bytes > PROPOSAL_BYTES_MAX {
        return Err(reader.over_limit("bytes of a proposal", bytes as u64, PROPOSAL_BYTES_MAX as u64));
    }
    Ok(actions)
}
