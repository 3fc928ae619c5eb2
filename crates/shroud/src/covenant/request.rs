//! The facts of one action, and how Cedar gets to see those of them that are asked for.

use super::limits::{APPROVAL_WEIGHT_MAX, ROLE_BYTES_MAX, ROLES_MAX};
use super::schema::{ActionEntity, MOVES_VALUE, ResourceKind, TYPE_NAMES, action_entity, action_name, action_shape};
use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::amount::AMOUNT_MAX;
use ghostplane_types::limits::APPROVALS_MAX;
use ghostplane_types::{AccountRecord, Address, Amount, AssetId, EntityType, Standing};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use thiserror::Error;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const MONTH_MS: u64 = 30 * DAY_MS;

/// An account, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Who.
    pub address: Address,
    /// What the identity says of itself; nothing before it has acted.
    pub claimed: Option<EntityType>,
    /// What a credential says it is.
    pub certified: Option<EntityType>,
    /// The level of verification; 0 without one.
    pub level: u8,
}

impl Party {
    /// An address of which nothing is known.
    pub fn unknown(address: Address) -> Self {
        Self { address, claimed: None, certified: None, level: 0 }
    }

    /// What a plane's record of an account says at a batch's time, in milliseconds.
    pub fn of(record: &AccountRecord, time: u64) -> Self {
        let identity = record.identity.as_ref();
        let claimed = identity.map(|identity| identity.entity_type);
        let Standing { level, certified } = record.standing(time);
        Self { address: record.address, claimed, certified, level }
    }
}

/// What an action is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Another account, or the own one.
    Account(Party),
    /// An asset.
    Asset {
        /// Which.
        asset: AssetId,
        /// Who issues it; nobody on the plane does so for a bridged one.
        issuer: Option<Party>,
    },
    /// A contract.
    Contract {
        /// Its address.
        address: Address,
        /// The digest of its code, once it has some.
        code: Option<Digest>,
        /// Who may change it.
        owner: Option<Party>,
    },
    /// A name: 1 to 253 bytes of `a-z`, `0-9`, `-`, `_` and `.`.
    Name {
        /// The name.
        name: String,
        /// Who has it.
        owner: Option<Party>,
    },
}

impl Resource {
    /// What kind of thing it is.
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Account(_) => ResourceKind::Account,
            Self::Asset { .. } => ResourceKind::Asset,
            Self::Contract { .. } => ResourceKind::Contract,
            Self::Name { .. } => ResourceKind::Name,
        }
    }

    fn parties(&self) -> Option<&Party> {
        match self {
            Self::Account(party) => Some(party),
            Self::Asset { issuer: other, .. }
            | Self::Contract { owner: other, .. }
            | Self::Name { owner: other, .. } => other.as_ref(),
        }
    }
}

/// What the account that acts has spent of the asset in the windows that the batch's time lies in: hour, day and 30 days,
/// counted from 1970. The action in question is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// In this hour.
    pub hour: Amount,
    /// On this day.
    pub day: Amount,
    /// In these 30 days.
    pub month: Amount,
}

impl Spent {
    /// What is left at `now` of what was counted at `then`: a window that has passed starts from nothing. Counters are kept
    /// as this and the time of the last batch that touched them.
    #[must_use]
    pub fn at(self, then: u64, now: u64) -> Self {
        let kept = |spent, window: u64| if then / window == now / window { spent } else { Amount::ZERO };
        Self { hour: kept(self.hour, HOUR_MS), day: kept(self.day, DAY_MS), month: kept(self.month, MONTH_MS) }
    }

    /// With so much more spent. It stops at the most that an amount can be, where every limit that adds to it fails, and
    /// what fails is denied.
    #[must_use]
    pub fn and(self, amount: Amount) -> Self {
        let most = Amount::new(AMOUNT_MAX).expect("it is the most an amount can be");
        let add = |spent: Amount| spent.checked_add(amount).unwrap_or(most);
        Self { hour: add(self.hour), day: add(self.day), month: add(self.month) }
    }

    /// When the windows of `now` end.
    pub(super) fn ends(now: u64) -> [u64; 3] {
        [HOUR_MS, DAY_MS, MONTH_MS].map(|window| (now / window + 1).saturating_mul(window))
    }
}

/// What moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// Who issues that asset.
    pub issuer: Option<Party>,
    /// The other side; nothing where it is the L1.
    pub counterparty: Option<Party>,
    /// What was spent before.
    pub spent: Spent,
}

/// One guardian's approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The guardian's roles, each 1 to 32 bytes of `a-z`, `0-9`, `_` and `-`.
    pub roles: Vec<String>,
    /// What the approval weighs in each, 1 to 65,536.
    pub weight: u32,
}

impl Approval {
    /// By a guardian of one role.
    pub fn of(role: &str, weight: u32) -> Self {
        Self { roles: vec![role.to_owned()], weight }
    }
}

/// Everything that rules may ask about one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who acts.
    pub principal: Party,
    /// The action's kind, as in `types::transaction::ACTION_KINDS`.
    pub action: u8,
    /// What it is done to.
    pub resource: Resource,
    /// What moves, for kinds that move value and no other.
    pub moving: Option<Moving>,
    /// The batch's time in milliseconds.
    pub time: u64,
    /// Approvals that have been verified, at most 64.
    pub approvals: Vec<Approval>,
    /// The lane of the session key that signs; nothing for the account's own keys.
    pub session: Option<u8>,
}

/// Facts that fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request(Facts);

/// Why facts are no request. The caller is wrong, not a sender.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The action is done to other things.
    #[error("'{action}' is not done to {found:?}, but to {allowed:?}")]
    Resource {
        /// The action.
        action: &'static str,
        /// What was given.
        found: ResourceKind,
        /// What it can be done to.
        allowed: &'static [ResourceKind],
    },
    /// A kind that moves value without saying what moves, or one that does not and says so.
    #[error("'{action}' {} value", if *.moves { "moves" } else { "does not move" })]
    Moving {
        /// The action.
        action: &'static str,
        /// Whether its kind moves value.
        moves: bool,
    },
    /// More approvals than a transaction carries.
    #[error("{found} approvals, a transaction carries at most {limit}")]
    Approvals {
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A role or weight that no guardian has.
    #[error(
        "an approval of role '{role}' and weight {weight}: 1 to 16 roles of 1 to 32 of a-z, 0-9, _ and -, weights 1 to 65536"
    )]
    Approval {
        /// The role.
        role: String,
        /// The weight.
        weight: u32,
    },
    /// Not a name.
    #[error("'{name}' is no name: 1 to 253 of a-z, 0-9, -, _ and .")]
    Name {
        /// What was given.
        name: String,
    },
    /// Time past what an integer of a rule holds.
    #[error("time {time} ms is past 2^63 - 1")]
    Time {
        /// The time.
        time: u64,
    },
    /// An asset that has two issuers, or a bridged one that has any.
    #[error("{asset} has one issuer, or none where the L1 holds it")]
    Issuer {
        /// The asset.
        asset: AssetId,
    },
    /// Two different sets of facts about one account.
    #[error("two different facts about {address}")]
    Contradiction {
        /// Whose.
        address: Address,
    },
}

impl Request {
    /// Checks that the facts fit each other and the schema.
    ///
    /// A kind that no schema knows passes here: it is every set's to refuse ([`super::Denial::UnknownAction`]).
    pub fn new(facts: Facts) -> Result<Self, RequestError> {
        if let (Some(action), Some(shape)) = (action_name(facts.action), action_shape(facts.action)) {
            let found = facts.resource.kind();
            if !shape.resources.contains(&found) {
                return Err(RequestError::Resource { action, found, allowed: shape.resources });
            }
            if shape.moves_value != facts.moving.is_some() {
                return Err(RequestError::Moving { action, moves: shape.moves_value });
            }
        }
        if facts.approvals.len() > APPROVALS_MAX {
            return Err(RequestError::Approvals { found: facts.approvals.len(), limit: APPROVALS_MAX });
        }
        for Approval { roles, weight } in &facts.approvals {
            let wrong = roles.iter().find(|role| !is_role(role)).or(roles.first());
            let is_good = (1..=ROLES_MAX).contains(&roles.len()) && roles.iter().all(|role| is_role(role));
            if !is_good || !(1..=APPROVAL_WEIGHT_MAX).contains(weight) {
                return Err(RequestError::Approval { role: wrong.cloned().unwrap_or_default(), weight: *weight });
            }
        }
        if let Resource::Name { name, .. } = &facts.resource
            && !is_name(name)
        {
            return Err(RequestError::Name { name: name.clone() });
        }
        if i64::try_from(facts.time).is_err() {
            return Err(RequestError::Time { time: facts.time });
        }
        let moving = facts.moving.map(|moving| (moving.asset, moving.issuer));
        let resource = match facts.resource {
            Resource::Asset { asset, issuer } => Some((asset, issuer)),
            _ => None,
        };
        for (asset, issuer) in moving.into_iter().chain(resource) {
            let other = moving.is_some_and(|(moving, other)| moving == asset && other != issuer);
            if other || (asset.is_bridged() && issuer.is_some()) {
                return Err(RequestError::Issuer { asset });
            }
        }
        let mut known: BTreeMap<Address, Party> = BTreeMap::new();
        for party in parties(&facts) {
            if known.insert(party.address, *party).is_some_and(|before| before != *party) {
                return Err(RequestError::Contradiction { address: party.address });
            }
        }
        Ok(Self(facts))
    }

    /// The facts.
    pub fn facts(&self) -> &Facts {
        &self.0
    }

    /// The same request with some facts changed that cannot make it stop fitting together: amount, time, approvals.
    pub(super) fn with(&self, change: impl FnOnce(&mut Facts)) -> Self {
        let mut facts = self.0.clone();
        change(&mut facts);
        Self(facts)
    }

    /// Minute of the day and day of the week (Monday is 1), UTC.
    pub(super) fn clock(time: u64) -> (i64, i64) {
        let minute = time % DAY_MS / 60_000;
        // The first of January 1970 was a Thursday.
        let weekday = (time / DAY_MS + 3) % 7 + 1;
        (i64::try_from(minute).expect("below 1440"), i64::try_from(weekday).expect("at most 7"))
    }
}

/// Everybody whose facts the request has.
fn parties(facts: &Facts) -> impl Iterator<Item = &Party> {
    let moving = facts.moving.as_ref();
    let of_moving = moving.into_iter().flat_map(|moving| moving.issuer.iter().chain(&moving.counterparty));
    std::iter::once(&facts.principal).chain(facts.resource.parties()).chain(of_moving)
}

/// Whether a guardian can have this role.
pub(super) fn is_role(role: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=ROLE_BYTES_MAX).contains(&role.len()) && role.bytes().all(plain)
}

/// Whether this is written like a name.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=253).contains(&name.len()) && name.bytes().all(plain)
}

/// The word for an entity type, as rules write it.
pub(super) fn entity_word(entity_type: EntityType) -> &'static str {
    entity_type.name()
}

/// Some of the facts: those that a policy mentions, or that a decision rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FactSet(u32);

impl FactSet {
    pub const PRINCIPAL: Self = Self(1);
    pub const RESOURCE: Self = Self(1 << 1);
    const CLAIMED: Self = Self(1 << 2);
    const CERTIFIED: Self = Self(1 << 3);
    const LEVEL: Self = Self(1 << 4);
    const BRIDGED: Self = Self(1 << 5);
    const ISSUER: Self = Self(1 << 6);
    const CODE: Self = Self(1 << 7);
    const OWNER: Self = Self(1 << 8);
    const AMOUNT: Self = Self(1 << 9);
    const ASSET: Self = Self(1 << 10);
    const COUNTERPARTY: Self = Self(1 << 11);
    const TIME: Self = Self(1 << 12);
    const MINUTE: Self = Self(1 << 13);
    const WEEKDAY: Self = Self(1 << 14);
    const SPENT: Self = Self(1 << 15);
    pub const APPROVALS: Self = Self(1 << 16);
    const SESSION: Self = Self(1 << 17);
    /// Spending of one window: not the record, but the number that policies ask for instead. See [`super::ready`].
    const HOUR: Self = Self(1 << 18);
    const DAY: Self = Self(1 << 19);
    const MONTH: Self = Self(1 << 20);
    /// The windows, and what those numbers are called.
    pub const WINDOWS: [(Self, &'static str); 3] =
        [(Self::HOUR, "spent.hour"), (Self::DAY, "spent.day"), (Self::MONTH, "spent.month")];
    /// Everything that the schema has.
    pub const ALL: Self = Self((1 << 18) - 1);
    /// Everything that the context has, by the schema.
    pub const CONTEXT: Self = Self(0x1ff << 9);
    /// Facts of entities, for which the entities have to be there.
    const OF_ENTITIES: Self = Self(0x7f << 2 | 1 << 16);

    /// The facts that an attribute of this name may be, whatever it is an attribute of.
    pub fn of_attribute(name: &str) -> Self {
        match name {
            "claimed" => Self::CLAIMED,
            "certified" => Self::CERTIFIED,
            "level" => Self::LEVEL,
            "bridged" => Self::BRIDGED,
            "issuer" => Self::ISSUER,
            "code" => Self::CODE,
            "owner" => Self::OWNER,
            "amount" => Self::AMOUNT,
            "asset" => Self::ASSET,
            "counterparty" => Self::COUNTERPARTY,
            "time" => Self::TIME,
            "minute" => Self::MINUTE,
            "weekday" => Self::WEEKDAY,
            "spent" => Self::SPENT,
            "approvals" => Self::APPROVALS,
            "session" => Self::SESSION,
            // Fields of these, which are seen through them: `spent.day`, `approvals.count`.
            "hour" | "day" | "month" | "count" | "weight" => Self::default(),
            // Of a record that the rule made itself, as nothing else has it.
            _ => Self::default(),
        }
    }

    /// These facts as the schema has them, and all of the context: for who takes it in one piece.
    pub fn with_whole_context(self) -> Self {
        Self((self.0 | Self::CONTEXT.0) & Self::ALL.0)
    }

    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether what was spent is among them.
    pub fn has_spent(self) -> bool {
        let spent = Self::WINDOWS.into_iter().fold(Self::SPENT.0, |bits, (window, _)| bits | window.0);
        self.has(Self(spent))
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A request in Cedar's terms.
pub(super) struct InCedar<'a> {
    pub request: cedar_policy::Request,
    pub entities: Cow<'a, Entities>,
}

impl Request {
    /// Gives Cedar the facts of `asked`. Nothing can tell that the others are missing, because nothing mentions them.
    ///
    /// `None` for a kind that this build has no name for.
    pub(super) fn in_cedar(&self, asked: FactSet) -> Option<InCedar<'static>> {
        let facts = &self.0;
        let action = action_entity(facts.action)?;
        let principal =
            if asked.has(FactSet::PRINCIPAL) { account(&facts.principal.address) } else { FIXED.account.clone() };
        let resource = match &facts.resource {
            Resource::Account(_) if !asked.has(FactSet::RESOURCE) => FIXED.account.clone(),
            resource => resource_uid(resource),
        };
        let context = Context::from_pairs(self.context(asked)).expect("values without calls evaluate to themselves");
        let entities = if asked.has(FactSet::OF_ENTITIES) {
            Cow::Owned(self.entities(action, &resource))
        } else {
            Cow::Borrowed(&action.alone)
        };
        let request = cedar_policy::Request::new(principal, action.uid.clone(), resource, context, None);
        Some(InCedar { request: request.expect("without a schema nothing is checked"), entities })
    }

    fn context(&self, asked: FactSet) -> Vec<(String, RestrictedExpression)> {
        let facts = &self.0;
        let mut pairs = Vec::with_capacity(10);
        let mut put = |fact: FactSet, name: &str, value: &dyn Fn() -> Option<RestrictedExpression>| {
            if asked.has(fact)
                && let Some(value) = value()
            {
                pairs.push((name.to_owned(), value));
            }
        };
        let (minute, weekday) = Self::clock(facts.time);
        put(FactSet::TIME, "time", &|| Some(long(facts.time)));
        put(FactSet::MINUTE, "minute", &|| Some(RestrictedExpression::new_long(minute)));
        put(FactSet::WEEKDAY, "weekday", &|| Some(RestrictedExpression::new_long(weekday)));
        put(FactSet::APPROVALS, "approvals", &|| Some(entity(approvals_uid())));
        put(FactSet::SESSION, "session", &|| facts.session.map(|lane| long(u64::from(lane))));
        if let Some(moving) = &facts.moving {
            put(FactSet::AMOUNT, "amount", &|| Some(long(moving.amount.units())));
            put(FactSet::ASSET, "asset", &|| Some(entity(asset_uid(moving.asset))));
            put(FactSet::COUNTERPARTY, "counterparty", &|| {
                moving.counterparty.map(|party| entity(account(&party.address)))
            });
            put(FactSet::SPENT, "spent", &|| Some(spent(&moving.spent)));
            let windows = [moving.spent.hour, moving.spent.day, moving.spent.month];
            for ((fact, name), amount) in FactSet::WINDOWS.into_iter().zip(windows) {
                put(fact, name, &|| Some(long(amount.units())));
            }
        }
        pairs
    }

    /// The entities that the request names, with all their facts.
    fn entities(&self, action: &ActionEntity, resource: &EntityUid) -> Entities {
        let facts = &self.0;
        let mut all = vec![action.entity.clone(), self.approvals()];
        let mut known: BTreeMap<Address, &Party> = BTreeMap::new();
        known.extend(parties(facts).map(|party| (party.address, party)));
        all.extend(known.values().map(|party| party_entity(party)));
        let optional = |name: &str, value: Option<RestrictedExpression>| value.map(|value| (name.to_owned(), value));
        let whose =
            |name: &str, party: &Option<Party>| optional(name, party.map(|party| entity(account(&party.address))));
        let made = |uid, attributes: Vec<(String, RestrictedExpression)>| {
            Entity::new_with_tags(uid, attributes, [], []).expect("values without calls evaluate to themselves")
        };
        let asset = |id: AssetId, issuer: &Option<Party>| {
            let bridged = ("bridged".to_owned(), RestrictedExpression::new_bool(id.is_bridged()));
            made(asset_uid(id), std::iter::once(bridged).chain(whose("issuer", issuer)).collect())
        };
        match &facts.resource {
            Resource::Account(_) => {}
            Resource::Asset { asset: id, issuer } => all.push(asset(*id, issuer)),
            Resource::Contract { code, owner, .. } => {
                let code = code.map(|code| RestrictedExpression::new_string(code.to_string()));
                let attributes = optional("code", code).into_iter().chain(whose("owner", owner));
                all.push(made(resource.clone(), attributes.collect()));
            }
            Resource::Name { owner, .. } => {
                all.push(made(resource.clone(), whose("owner", owner).into_iter().collect()));
            }
        }
        if let Some(moving) = &facts.moving
            && !matches!(&facts.resource, Resource::Asset { asset, .. } if *asset == moving.asset)
        {
            all.push(asset(moving.asset, &moving.issuer));
        }
        Entities::from_entities(all, None).expect("every entity is there once")
    }

    fn approvals(&self) -> Entity {
        let mut roles: BTreeMap<&str, u64> = BTreeMap::new();
        let mut weight = 0;
        for approval in &self.0.approvals {
            for role in &approval.roles {
                *roles.entry(role).or_default() += u64::from(approval.weight);
            }
            weight += u64::from(approval.weight);
        }
        let attributes =
            [("count".to_owned(), long(self.0.approvals.len() as u64)), ("weight".to_owned(), long(weight))];
        let tags = roles.into_iter().map(|(role, weight)| (role.to_owned(), long(weight)));
        Entity::new_with_tags(approvals_uid(), attributes, [], tags).expect("integers evaluate to themselves")
    }

    /// The facts of `asked` that the request has, by name, as people read them.
    pub(super) fn shown(&self, asked: FactSet) -> Vec<(String, String)> {
        let facts = &self.0;
        let mut shown: Vec<(String, String)> = Vec::new();
        let mut put = |fact: FactSet, name: &str, value: Option<String>| {
            if asked.has(fact)
                && let Some(value) = value
            {
                shown.push((name.to_owned(), value));
            }
        };
        put(FactSet::PRINCIPAL, "principal", Some(facts.principal.address.to_string()));
        put(FactSet::RESOURCE, "resource", Some(resource_uid(&facts.resource).id().unescaped().to_owned()));
        let counterparty = facts.moving.as_ref().and_then(|moving| moving.counterparty);
        let (mut resource, mut owner, mut code, mut asset) = (None, None, None, None);
        match &facts.resource {
            Resource::Account(party) => resource = Some(*party),
            Resource::Asset { asset: id, issuer } => asset = Some((*id, *issuer)),
            Resource::Contract { code: digest, owner: party, .. } => (code, owner) = (*digest, *party),
            Resource::Name { owner: party, .. } => owner = *party,
        }
        let asset = facts.moving.map(|moving| (moving.asset, moving.issuer)).or(asset);
        let issuer = asset.and_then(|(_, issuer)| issuer);
        // Who receives is both, and shown once.
        let resource = resource.filter(|_| counterparty.is_none());
        let known = [
            ("principal", Some(facts.principal)),
            ("resource", resource),
            ("counterparty", counterparty),
            ("resource.owner", owner),
            ("asset.issuer", issuer),
        ];
        for (whose, party) in known {
            let Some(party) = party else { continue };
            put(FactSet::CLAIMED, &format!("{whose}.claimed"), party.claimed.map(|kind| entity_word(kind).to_owned()));
            let certified = party.certified.map(|kind| entity_word(kind).to_owned());
            put(FactSet::CERTIFIED, &format!("{whose}.certified"), certified);
            put(FactSet::LEVEL, &format!("{whose}.level"), Some(party.level.to_string()));
        }
        put(FactSet::CODE, "resource.code", code.map(|code| code.to_string()));
        put(FactSet::OWNER, "resource.owner", owner.map(|party| party.address.to_string()));
        put(FactSet::BRIDGED, "asset.bridged", asset.map(|(asset, _)| asset.is_bridged().to_string()));
        put(FactSet::ISSUER, "asset.issuer", issuer.map(|party| party.address.to_string()));
        if let Some(moving) = &facts.moving {
            let money = |amount| ghostplane_types::Money { amount, asset: moving.asset }.to_string();
            put(FactSet::AMOUNT, "amount", Some(money(moving.amount)));
            put(FactSet::ASSET, "asset", Some(moving.asset.to_string()));
            put(FactSet::COUNTERPARTY, "counterparty", counterparty.map(|party| party.address.to_string()));
            let windows = [moving.spent.hour, moving.spent.day, moving.spent.month];
            for ((mut fact, name), amount) in FactSet::WINDOWS.into_iter().zip(windows) {
                fact.add(FactSet::SPENT);
                put(fact, name, Some(money(amount)));
            }
        }
        let (minute, weekday) = Self::clock(facts.time);
        put(FactSet::TIME, "time", Some(facts.time.to_string()));
        put(FactSet::MINUTE, "minute", Some(minute.to_string()));
        put(FactSet::WEEKDAY, "weekday", Some(weekday.to_string()));
        let approvals: Vec<String> = facts
            .approvals
            .iter()
            .map(|approval| format!("{}:{}", approval.roles.join("+"), approval.weight))
            .collect();
        put(FactSet::APPROVALS, "approvals", Some(approvals.join(" ")));
        put(FactSet::SESSION, "session", facts.session.map(|lane| lane.to_string()));
        shown
    }
}

fn long(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).expect("amounts, times and sums of weights are below 2^63"))
}

fn entity(uid: EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid)
}

fn spent(spent: &Spent) -> RestrictedExpression {
    let fields = [("hour", spent.hour), ("day", spent.day), ("month", spent.month)];
    let fields = fields.map(|(name, amount)| (name.to_owned(), long(amount.units())));
    RestrictedExpression::new_record(fields).expect("three different names")
}

fn party_entity(party: &Party) -> Entity {
    let word = |name: &str, kind: Option<EntityType>| {
        kind.map(|kind| (name.to_owned(), RestrictedExpression::new_string(entity_word(kind).to_owned())))
    };
    let level = ("level".to_owned(), long(u64::from(party.level)));
    let attributes =
        std::iter::once(level).chain(word("claimed", party.claimed)).chain(word("certified", party.certified));
    Entity::new_with_tags(account(&party.address), attributes, [], []).expect("values without calls stay themselves")
}

fn uid(type_name: &EntityTypeName, id: impl AsRef<str>) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
}

/// Entities that many requests name.
struct Fixed {
    /// What stands where nobody looks.
    account: EntityUid,
    approvals: EntityUid,
    gcc: EntityUid,
    zman: EntityUid,
}

static FIXED: LazyLock<Fixed> = LazyLock::new(|| Fixed {
    account: uid(&TYPE_NAMES.account, ""),
    approvals: uid(&TYPE_NAMES.approvals, ""),
    gcc: uid(&TYPE_NAMES.asset, AssetId::GCC.to_string()),
    zman: uid(&TYPE_NAMES.asset, AssetId::ZMAN.to_string()),
});

/// An account as rules write it.
pub(super) fn account(address: &Address) -> EntityUid {
    uid(&TYPE_NAMES.account, address.to_string())
}

fn asset_uid(asset: AssetId) -> EntityUid {
    match asset {
        AssetId::GCC => FIXED.gcc.clone(),
        AssetId::ZMAN => FIXED.zman.clone(),
        _ => uid(&TYPE_NAMES.asset, asset.to_string()),
    }
}

fn approvals_uid() -> EntityUid {
    FIXED.approvals.clone()
}

fn resource_uid(resource: &Resource) -> EntityUid {
    match resource {
        Resource::Account(party) => account(&party.address),
        Resource::Asset { asset, .. } => asset_uid(*asset),
        Resource::Contract { address, .. } => uid(&TYPE_NAMES.contract, address.to_text(EntityType::Contract)),
        Resource::Name { name, .. } => uid(&TYPE_NAMES.name, name),
    }
}

/// What is wrong with an entity that a rule writes out: it would never be that of a request.
pub(super) fn misnamed(type_name: &str, id: &str) -> Option<String> {
    let address = |kind: EntityType| match Address::parse(id) {
        Ok((address, _)) if address.to_text(kind) == id => None,
        Ok((address, _)) => Some(format!("write it as {}", address.to_text(kind))),
        Err(error) => Some(error.to_string()),
    };
    match type_name {
        "Account" => address(EntityType::Wallet),
        "Contract" => address(EntityType::Contract),
        "Asset" => match asset_of(id) {
            Some(asset) if asset.to_string() == id => None,
            Some(asset) => Some(format!("write it as {asset}")),
            None => Some("assets are gcc, zman, or a number like #65536".to_owned()),
        },
        "Name" => (!is_name(id)).then(|| "names are 1 to 253 of a-z, 0-9, -, _ and .".to_owned()),
        "Action" => {
            let known = id == MOVES_VALUE || super::schema::action_kind(id).is_some();
            (!known).then(|| "there is no such action".to_owned())
        }
        "Approvals" => Some("the approvals are context.approvals".to_owned()),
        _ => Some("the schema has no such type".to_owned()),
    }
}

/// The asset that a rule writes like this, or as a bare number.
fn asset_of(id: &str) -> Option<AssetId> {
    use ghostplane_types::asset::AssetName;
    let number = || id.strip_prefix('#').unwrap_or(id).parse().ok().and_then(AssetId::new);
    AssetName::parse(id).map(AssetName::asset).or_else(number)
}
