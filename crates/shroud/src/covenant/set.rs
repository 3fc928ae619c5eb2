//! Setting: the one way from a text to rules that can be asked.

use super::limits::{
    BRACKETS_MAX, COST_BASE, COST_ITEM, COST_NODE, DELAY_SECONDS_MAX, DEPTH_MAX, ID_BYTES_MAX, KEPT_BYTES, NODE_BYTES,
    NODES_MAX, STACK_BYTES_TO_SET, TEXT_BYTES_MAX,
};
use super::ready::ready;
use super::request::{FactSet, misnamed};
use super::scan::scan;
use super::schema::{MOVES_VALUE, SCHEMA_VERSION, VALIDATOR, action_kind, action_shape};
use super::stack;
use super::walk::{Seen, is_monotone, walk};
use cedar_policy::pst::{self, ActionConstraint, EntityUID};
use cedar_policy::{Effect, Policy, PolicyId, ValidationError, ValidationMode};
use ghostplane_types::transaction::ACTION_KINDS;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use thiserror::Error;

/// Rules that have been checked. Nothing that has not passed [`PolicySet::set`] can be asked.
#[derive(Debug)]
pub struct PolicySet {
    schema_version: u16,
    text: Arc<str>,
    policies: Vec<Rule>,
    /// Cedar's sets of those policies that can concern an action, the same for many kinds.
    subsets: Vec<Subset>,
    /// Which subset concerns an action kind, by its place in `ACTION_KINDS`.
    by_kind: Vec<usize>,
    nodes: usize,
    depth: usize,
    cost: u64,
}

/// One policy and what the walk over it said.
#[derive(Debug)]
pub(super) struct Rule {
    pub id: Arc<str>,
    pub obligations: Obligations,
    pub facts: FactSet,
    pub numbers: BTreeSet<i64>,
    pub words: BTreeSet<String>,
    pub additions: usize,
    pub monotone: bool,
    pub whole_context: bool,
}

/// The policies that can concern an action kind: by number in the text, and as Cedar holds them, named by that number.
#[derive(Debug)]
pub(super) struct Subset {
    pub rules: Vec<usize>,
    pub cedar: cedar_policy::PolicySet,
    /// Everything that one of them mentions.
    pub facts: FactSet,
    /// Whether one of them takes the context in one piece: it must find there what the schema says, and no more.
    pub whole_context: bool,
}

/// What an allowed action still has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obligations {
    /// The guardians' quorum must consent: `@requires("guardian")`.
    pub guardian: bool,
    /// It waits so long: `@delay("seconds")`. 0 for at once.
    pub delay_seconds: u32,
    /// It is noted for its reader: `@log`.
    pub log: bool,
}

impl Obligations {
    /// Both: obligations of all satisfied permits apply, and the longest delay.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            guardian: self.guardian || other.guardian,
            delay_seconds: self.delay_seconds.max(other.delay_seconds),
            log: self.log || other.log,
        }
    }

    /// Whether there is nothing left to do.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl PolicySet {
    /// Checks a text against the newest schema and keeps what is needed to ask it.
    ///
    /// # Errors
    /// The first thing that is wrong: bounds first, then policy by policy what it says of itself, then its types.
    pub fn set(text: &str) -> Result<Self, SetError> {
        Self::set_at(text, SCHEMA_VERSION)
    }

    /// The same against the schema version that a stored set was checked against.
    ///
    /// # Errors
    /// As [`PolicySet::set`], or [`SetError::UnknownSchema`].
    pub fn set_at(text: &str, schema_version: u16) -> Result<Self, SetError> {
        if schema_version != SCHEMA_VERSION {
            return Err(SetError::UnknownSchema { version: schema_version, newest: SCHEMA_VERSION });
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(SetError::TooLong { bytes: text.len(), limit: TEXT_BYTES_MAX });
        }
        let scan = scan(text);
        if scan.depth > BRACKETS_MAX {
            return Err(SetError::TooDeep { depth: scan.depth, limit: BRACKETS_MAX });
        }
        // Twice as many, because a path behind `has` counts more than it is; the exact count follows.
        if scan.operators > 2 * NODES_MAX {
            return Err(SetError::TooManyNodes { nodes: scan.operators, limit: NODES_MAX });
        }
        stack::with_bytes(STACK_BYTES_TO_SET, || Self::parse(text, schema_version))
    }

    fn parse(text: &str, schema_version: u16) -> Result<Self, SetError> {
        let parsed: cedar_policy::PolicySet =
            text.parse().map_err(|error| SetError::NotCedar { message: short(&error) })?;
        if let Some(template) = parsed.templates().next() {
            return Err(SetError::Slot { policy: shown_id(template.id()) });
        }
        let mut policies: Vec<(usize, &Policy)> =
            parsed.policies().map(|policy| (place(policy.id()), policy)).collect();
        policies.sort_by_key(|(place, _)| *place);
        if policies.is_empty() {
            return Err(SetError::Empty);
        }
        let mut walked = Vec::with_capacity(policies.len());
        for (_, policy) in &policies {
            let tree = policy.to_pst().map_err(|error| SetError::NotCedar { message: short(&error) })?;
            let seen = walk(tree.body());
            walked.push((tree, seen));
        }
        let nodes = walked.iter().map(|(_, seen)| seen.nodes).sum();
        let depth = walked.iter().map(|(_, seen)| seen.depth).max().unwrap_or(0);
        if depth > DEPTH_MAX {
            return Err(SetError::TooDeep { depth, limit: DEPTH_MAX });
        }
        if nodes > NODES_MAX {
            return Err(SetError::TooManyNodes { nodes, limit: NODES_MAX });
        }
        let mut rules = Vec::with_capacity(policies.len());
        let mut ids = BTreeSet::new();
        for (at, ((_, policy), (tree, seen))) in policies.iter().zip(&walked).enumerate() {
            let rule = rule(at, policy, tree.body(), seen)?;
            if !ids.insert(rule.id.clone()) {
                return Err(SetError::DuplicateId { id: rule.id.to_string() });
            }
            rules.push(rule);
        }
        let renamed = policies.iter().enumerate().map(|(at, (_, policy))| policy.new_id(numbered(at)));
        let cedar = cedar_policy::PolicySet::from_policies(renamed).expect("numbers differ");
        validate(&cedar, &rules)?;
        let trees: Vec<&pst::Template> = walked.iter().map(|(tree, _)| tree.body()).collect();
        let (subsets, by_kind) = subsets(&trees, &rules)?;
        let cost = walked.iter().map(|(_, seen)| cost_of(seen)).sum::<u64>() + COST_BASE;
        Ok(Self { schema_version, text: text.into(), policies: rules, subsets, by_kind, nodes, depth, cost })
    }

    /// The version of the schema it was checked against.
    pub fn schema_version(&self) -> u16 {
        self.schema_version
    }

    /// The text as it was set.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The policies' ids in the order of the text: the `@id` of each, or `policy` and its number from 0.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.policies.iter().map(|rule| &*rule.id)
    }

    /// Nodes, as [`NODES_MAX`] counts them.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Depth, as [`DEPTH_MAX`] counts it.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What one decision costs at most, for a request with so many approvals. The rest was fixed when the set was set: a
    /// base, every node, and for every node that goes through a set the values that its policy writes out.
    pub fn cost(&self, approvals: usize) -> u64 {
        self.cost + COST_ITEM * approvals as u64
    }

    /// Whether a policy looks at what was spent, so that it has to be counted.
    pub fn counts(&self) -> bool {
        self.policies.iter().any(|rule| rule.facts.has_spent() || rule.whole_context)
    }

    /// Whether a policy obliges who acts to ask guardians or to wait.
    pub fn obliges(&self) -> bool {
        self.policies.iter().any(|rule| rule.obligations.guardian || rule.obligations.delay_seconds > 0)
    }

    /// What a decision costs but for the approvals of the request.
    pub fn cost_fixed(&self) -> u64 {
        self.cost
    }

    /// What it takes in memory, about, and never much less: for whoever bounds that.
    pub fn bytes(&self) -> usize {
        let kept: usize = self.subsets.iter().map(|subset| subset.rules.len()).sum();
        self.text.len() + NODE_BYTES * self.nodes + KEPT_BYTES * kept
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.policies
    }

    /// The policies that can concern actions of that kind.
    pub(super) fn subset(&self, kind: u8) -> Option<&Subset> {
        let at = ACTION_KINDS.iter().position(|(number, _)| *number == kind)?;
        self.subsets.get(*self.by_kind.get(at)?)
    }
}

fn cost_of(seen: &Seen) -> u64 {
    COST_NODE * seen.nodes as u64 + COST_ITEM * (seen.scans as u64) * (seen.items as u64)
}

/// The number that Cedar's parser gave the policy.
fn place(id: &PolicyId) -> usize {
    let id: &str = id.as_ref();
    id.strip_prefix("policy").and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

fn shown_id(id: &PolicyId) -> String {
    AsRef::<str>::as_ref(id).to_owned()
}

/// What Cedar says, cut to what a receipt or terminal can take.
fn short(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut cut: String = text.chars().take(400).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// Reads the annotations of a policy, and checks what it names.
fn rule(at: usize, policy: &Policy, tree: &pst::Template, seen: &Seen) -> Result<Rule, SetError> {
    let id = policy.annotation("id").map_or_else(|| format!("policy{at}"), str::to_owned);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(plain) {
        return Err(SetError::BadId { id: short(&id), limit: ID_BYTES_MAX });
    }
    let obligations = obligations(&id, policy)?;
    for entity in &seen.entities {
        check_entity(&id, entity)?;
    }
    if let Some(entity) = &seen.stranger {
        return Err(SetError::FactOfStranger { policy: id, entity: short(entity) });
    }
    if let Some(function) = &seen.extension {
        return Err(SetError::Extension { policy: id, function: short(function) });
    }
    Ok(Rule {
        id: id.into(),
        obligations,
        facts: seen.facts,
        numbers: seen.numbers.clone(),
        words: seen.words.clone(),
        additions: seen.additions,
        whole_context: seen.whole_context,
        monotone: is_monotone(tree, policy.effect()),
    })
}

fn obligations(id: &str, policy: &Policy) -> Result<Obligations, SetError> {
    let mut obligations = Obligations::default();
    // Cedar keeps annotations in the order of their names.
    let annotations: BTreeMap<&str, &str> = policy.annotations().collect();
    for (name, value) in annotations {
        let bad = |expected| SetError::BadAnnotation {
            policy: id.to_owned(),
            name: short(&name),
            value: short(&value),
            expected,
        };
        match name {
            "id" => continue,
            "requires" if value == "guardian" => obligations.guardian = true,
            "requires" => return Err(bad("guardian")),
            "delay" => {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let seconds = value.parse().ok().filter(|seconds| (1..=DELAY_SECONDS_MAX).contains(seconds));
                obligations.delay_seconds = seconds.filter(|_| digits).ok_or_else(|| bad("seconds, 1 to 2592000"))?;
            }
            "log" if value.is_empty() => obligations.log = true,
            "log" => return Err(bad("nothing")),
            _ => return Err(SetError::UnknownAnnotation { policy: id.to_owned(), name: short(&name) }),
        }
        if policy.effect() == Effect::Forbid {
            return Err(SetError::ObligationOnForbid { policy: id.to_owned(), name: name.to_owned() });
        }
    }
    Ok(obligations)
}

fn check_entity(policy: &str, entity: &EntityUID) -> Result<(), SetError> {
    let type_name = entity.ty.to_string();
    let Some(reason) = misnamed(&type_name, &entity.eid) else { return Ok(()) };
    let (policy, found) = (policy.to_owned(), short(&format!("{type_name}::\"{}\"", entity.eid.escape_debug())));
    Err(match type_name.as_str() {
        "Action" => SetError::UnknownAction { policy, found, reason },
        _ => SetError::UnknownEntity { policy, found, reason },
    })
}

/// Strict validation, and no warning either: what Cedar warns of are policies that never apply, and texts that look like
/// others.
fn validate(cedar: &cedar_policy::PolicySet, rules: &[Rule]) -> Result<(), SetError> {
    let result = VALIDATOR.validate(cedar, ValidationMode::Strict);
    let id_of = |id: &PolicyId| {
        let at: Option<usize> = AsRef::<str>::as_ref(id).parse().ok();
        at.and_then(|at| rules.get(at).map(|rule| (at, rule.id.to_string()))).unwrap_or((usize::MAX, shown_id(id)))
    };
    // Cedar's order of errors is not ours to promise: the first policy's, and of those the least by code and text.
    let errors = result.validation_errors().map(|error| {
        let (at, policy) = id_of(error.policy_id());
        let numbered = format!("for policy `{at}`, ");
        let text = error.to_string();
        let message = short(&text.strip_prefix(&numbered).unwrap_or(&text));
        use ValidationError as Cedar;
        let ours = match error {
            Cedar::UnrecognizedEntityType(_) => {
                SetError::UnknownEntity { policy, found: message, reason: "the schema has no such type".into() }
            }
            Cedar::UnrecognizedActionId(_) => {
                SetError::UnknownAction { policy, found: message, reason: "there is no such action".into() }
            }
            Cedar::UnsafeAttributeAccess(_) | Cedar::NoTagsAllowed(_) => SetError::UnknownAttribute { policy, message },
            Cedar::UnsafeOptionalAttributeAccess(_) | Cedar::UnsafeTagAccess(_) => {
                SetError::Unguarded { policy, message }
            }
            _ => SetError::IllTyped { policy, message },
        };
        (at, ours.code(), ours)
    });
    let warnings = result.validation_warnings().map(|warning| {
        let (at, policy) = id_of(warning.policy_id());
        let ours = SetError::Suspicious { policy, message: short(warning) };
        (at, ours.code(), ours)
    });
    let mut all: Vec<(usize, u16, SetError)> = errors.chain(warnings).collect();
    all.sort_by_cached_key(|(at, code, error)| (*at, *code, error.to_string()));
    all.into_iter().next().map_or(Ok(()), |(_, _, error)| Err(error))
}

/// Whether a policy whose head says this can concern actions of that kind.
fn concerns(constraint: &ActionConstraint, name: &str, moves: bool) -> bool {
    let is = |uid: &EntityUID| uid.eid == name;
    let within = |uid: &EntityUID| is(uid) || (moves && uid.eid == MOVES_VALUE);
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => is(uid),
        ActionConstraint::In(uids) => uids.iter().any(within),
    }
}

fn subsets(trees: &[&pst::Template], rules: &[Rule]) -> Result<(Vec<Subset>, Vec<usize>), SetError> {
    // All subsets share what they can.
    let all = |windows: bool| {
        let policies = trees.iter().enumerate().map(|(at, tree)| ready(tree, windows, numbered(at)));
        let policies = policies.collect::<Result<Vec<Policy>, _>>();
        policies.map_err(|error| SetError::NotCedar { message: short(&error) })
    };
    let with_windows = all(true)?;
    let whole = if rules.iter().any(|rule| rule.whole_context) { all(false)? } else { Vec::new() };
    let mut places: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    let mut subsets = Vec::new();
    let mut by_kind = Vec::with_capacity(ACTION_KINDS.len());
    for (kind, name) in ACTION_KINDS {
        debug_assert_eq!(action_kind(name), Some(*kind));
        let moves = action_shape(*kind).is_some_and(|shape| shape.moves_value);
        let chosen: Vec<usize> = (0..trees.len()).filter(|at| concerns(&trees[*at].action, name, moves)).collect();
        if !places.contains_key(&chosen) {
            places.insert(chosen.clone(), subsets.len());
            let whole_context = chosen.iter().any(|at| rules[*at].whole_context);
            let policies = if whole_context { &whole } else { &with_windows };
            let cedar = chosen.iter().map(|at| policies[*at].clone());
            let cedar = cedar_policy::PolicySet::from_policies(cedar).expect("numbers differ");
            let mut facts = FactSet::default();
            chosen.iter().for_each(|at| facts.add(rules[*at].facts));
            subsets.push(Subset { rules: chosen.clone(), cedar, facts, whole_context });
        }
        by_kind.push(places[&chosen]);
    }
    Ok((subsets, by_kind))
}

/// From where texts are checked on, policies are named by their number: an id that a person chose is for people.
fn numbered(at: usize) -> PolicyId {
    PolicyId::new(at.to_string())
}

macro_rules! set_errors {
    ($($(#[$doc:meta])* $code:literal $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $kind:ty),+ $(,)? })? => $message:literal),+ $(,)?) => {
        /// Why a text cannot be set. Its author is wrong; [`SetError::code`] is stable.
        #[derive(Clone, Debug, PartialEq, Eq, Error)]
        pub enum SetError {
            $($(#[$doc])* #[error($message)] $name $({ $($(#[$field_doc])* $field: $kind),+ })?,)+
        }

        impl SetError {
            /// The stable number of this reason.
            pub fn code(&self) -> u16 {
                match self { $(Self::$name { .. } => $code,)+ }
            }
        }

        /// The code and name of every reason, ascending by code.
        pub const SET_ERROR_CODES: &[(u16, &str)] = &[$(($code, stringify!($name))),+];
    };
}

set_errors! {
    /// No such version of the schema.
    1 UnknownSchema {
        /// The version asked for.
        version: u16,
        /// The newest there is.
        newest: u16,
    } => "schema version {version} is not known here, the newest is {newest}",
    /// More bytes than a text may have.
    2 TooLong {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    } => "{bytes} bytes, a set has at most {limit}",
    /// Nested deeper than anything may be.
    3 TooDeep {
        /// The depth found.
        depth: usize,
        /// The depth allowed.
        limit: usize,
    } => "nested {depth} deep, at most {limit} is allowed; write a long 'a == x || a == y' as [x, y].contains(a)",
    /// More than a decision may have to look at.
    4 TooManyNodes {
        /// Nodes found.
        nodes: usize,
        /// Nodes allowed.
        limit: usize,
    } => "{nodes} nodes, a set has at most {limit}",
    /// Cedar cannot read it.
    5 NotCedar {
        /// What Cedar says.
        message: String,
    } => "not Cedar: {message}",
    /// A template's slot, which nothing here fills.
    6 Slot {
        /// Which policy.
        policy: String,
    } => "{policy} has a slot (?principal or ?resource); write the account out",
    /// No policy.
    7 Empty => "a set without policies would deny everything; write  permit (principal, action, resource);  for the opposite",
    /// An id that is none.
    8 BadId {
        /// The id.
        id: String,
        /// Bytes allowed.
        limit: usize,
    } => "'{id}' is no id: 1 to {limit} of A-Z, a-z, 0-9, -, _ and .",
    /// Two policies of one id.
    9 DuplicateId {
        /// The id.
        id: String,
    } => "two policies have the id '{id}'",
    /// An annotation that means nothing here.
    10 UnknownAnnotation {
        /// Which policy.
        policy: String,
        /// The annotation.
        name: String,
    } => "{policy}: @{name} means nothing; there are @id, @requires, @delay and @log",
    /// An annotation whose value means nothing.
    11 BadAnnotation {
        /// Which policy.
        policy: String,
        /// The annotation.
        name: String,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    } => "{policy}: @{name}(\"{value}\") means nothing, it takes {expected}",
    /// An obligation where there is nothing to oblige.
    12 ObligationOnForbid {
        /// Which policy.
        policy: String,
        /// The annotation.
        name: String,
    } => "{policy}: @{name} on a forbid binds nobody; put it on the permit",
    /// An entity that no request can name, or a type that the schema does not have.
    13 UnknownEntity {
        /// Which policy.
        policy: String,
        /// What it names.
        found: String,
        /// What is wrong.
        reason: String,
    } => "{policy}: {found}: {reason}",
    /// An action that there is not.
    14 UnknownAction {
        /// Which policy.
        policy: String,
        /// What it names.
        found: String,
        /// What is wrong.
        reason: String,
    } => "{policy}: {found}: {reason}",
    /// Facts of an account that the policy itself names: a request has those of its own accounts alone.
    15 FactOfStranger {
        /// Which policy.
        policy: String,
        /// Whose facts it asks for.
        entity: String,
    } => "{policy} asks for a fact of {entity}, but only those of the accounts of a request are known",
    /// A fact that the schema does not have, or not for every action and resource that the policy is for.
    16 UnknownAttribute {
        /// Which policy.
        policy: String,
        /// What Cedar says.
        message: String,
    } => "{policy}: {message}",
    /// A fact that may be absent, without a look whether it is there.
    17 Unguarded {
        /// Which policy.
        policy: String,
        /// What Cedar says.
        message: String,
    } => "{policy}: {message}; put 'has' or 'hasTag' before it",
    /// Otherwise against the schema.
    18 IllTyped {
        /// Which policy.
        policy: String,
        /// What Cedar says.
        message: String,
    } => "{policy}: {message}",
    /// It never applies, or reads like what it is not.
    19 Suspicious {
        /// Which policy.
        policy: String,
        /// What Cedar says.
        message: String,
    } => "{policy}: {message}",
    /// A function of Cedar's extensions: facts here are integers, words and entities.
    20 Extension {
        /// Which policy.
        policy: String,
        /// The function.
        function: String,
    } => "{policy}: there is no {function} here; facts are integers, words, entities, and records and sets of them",
}
