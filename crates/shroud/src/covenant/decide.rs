//! Deciding: every attached set must permit.

use super::request::{FactSet, InCedar, Request};
use super::schema::knows;
use super::set::{Obligations, PolicySet, Subset};
use super::stack;
use cedar_policy::{Authorizer, Decision as CedarDecision};
use std::fmt;
use std::sync::{Arc, LazyLock};
use thiserror::Error;

/// What a set is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attachment {
    /// The whole plane.
    Plane,
    /// The account that acts.
    AccountOutgoing,
    /// The account that receives.
    AccountIncoming,
    /// The asset that moves.
    Asset,
    /// The contract that is called.
    Contract,
}

impl Attachment {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Plane, Self::AccountOutgoing, Self::AccountIncoming, Self::Asset, Self::Contract];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plane => "plane",
            Self::AccountOutgoing => "outgoing",
            Self::AccountIncoming => "incoming",
            Self::Asset => "asset",
            Self::Contract => "contract",
        }
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set that an action has to pass, and why.
#[derive(Clone, Copy, Debug)]
pub struct Attached<'a> {
    /// What it is attached to.
    pub at: Attachment,
    /// The rules.
    pub set: &'a PolicySet,
}

/// Why an action does not pass. The sender, or whoever set the rules, has to change something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Denial {
    /// A forbid applies.
    #[error("forbidden by the covenant of the {at}")]
    Forbidden {
        /// Which set.
        at: Attachment,
    },
    /// No permit applies.
    #[error("nothing in the covenant of the {at} permits it")]
    NotPermitted {
        /// Which set.
        at: Attachment,
    },
    /// A policy could not be evaluated, such as a sum past 2^63 - 1. What it would have said is not guessed.
    #[error("the covenant of the {at} cannot be evaluated for it")]
    Failed {
        /// Which set.
        at: Attachment,
    },
    /// The set was checked against a schema that did not have this kind of action, so its author never decided about it.
    #[error("the covenant of the {at} is of schema {version}, which has no action kind {kind}")]
    UnknownAction {
        /// Which set.
        at: Attachment,
        /// The action's kind.
        kind: u8,
        /// The set's schema version.
        version: u16,
    },
}

impl Denial {
    /// The stable number of this reason.
    pub fn code(&self) -> u16 {
        match self {
            Self::Forbidden { .. } => 1,
            Self::NotPermitted { .. } => 2,
            Self::Failed { .. } => 3,
            Self::UnknownAction { .. } => 4,
        }
    }

    /// Which set.
    pub fn at(&self) -> Attachment {
        match self {
            Self::Forbidden { at }
            | Self::NotPermitted { at }
            | Self::Failed { at }
            | Self::UnknownAction { at, .. } => *at,
        }
    }
}

/// A policy that a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deciding {
    /// What its set is attached to.
    pub at: Attachment,
    /// Its id within the set.
    pub id: Arc<str>,
}

/// A fact that a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its name, such as `amount` or `spent.day`.
    pub name: String,
    /// Its value, as people read it.
    pub value: String,
}

/// The answer about one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    denial: Option<Denial>,
    policies: Vec<Deciding>,
    facts: FactSet,
    obligations: Obligations,
    cost: u64,
}

impl Decision {
    /// Why not; nothing if the action passes.
    pub fn denial(&self) -> Option<&Denial> {
        self.denial.as_ref()
    }

    /// Whether the action passes.
    pub fn is_allowed(&self) -> bool {
        self.denial.is_none()
    }

    /// 0 if the action passes, else the code of the denial.
    pub fn code(&self) -> u16 {
        self.denial.as_ref().map_or(0, Denial::code)
    }

    /// The policies it rests on, set after set and in the order of their texts: the satisfied permits of all sets, or those
    /// that forbid or fail in the first set that does not permit. None where no policy of that set applied.
    pub fn policies(&self) -> &[Deciding] {
        &self.policies
    }

    /// The facts that those policies mention; where none applied, those that any policy of the set does. `request` is the one
    /// that was decided.
    pub fn facts(&self, request: &Request) -> Vec<Fact> {
        request.shown(self.facts).into_iter().map(|(name, value)| Fact { name, value }).collect()
    }

    /// What still has to happen for an action that passes.
    pub fn obligations(&self) -> Obligations {
        self.obligations
    }

    /// What it cost at most, as [`PolicySet::cost`] says; sets behind the one that denied are in it.
    pub fn cost(&self) -> u64 {
        self.cost
    }
}

static AUTHORIZER: LazyLock<Authorizer> = LazyLock::new(Authorizer::new);

/// Asks every attached set in the order given, up to the first that does not permit. Nothing attached: allowed.
///
/// Takes [`super::STACK_BYTES`] of free stack, new if need be: see [`super::with_stack`].
pub fn decide(sets: &[Attached<'_>], request: &Request) -> Decision {
    let approvals = request.facts().approvals.len();
    let mut decision = Decision {
        denial: None,
        policies: Vec::new(),
        facts: FactSet::default(),
        obligations: Obligations::default(),
        cost: sets.iter().map(|attached| attached.set.cost(approvals)).sum(),
    };
    if !sets.is_empty() {
        stack::with_stack(|| decide_each(sets, request, &mut decision));
    }
    decision
}

fn decide_each(sets: &[Attached<'_>], request: &Request, decision: &mut Decision) {
    let kind = request.facts().action;
    let mut asked = FactSet::default();
    let subsets = sets.iter().filter_map(|attached| attached.set.subset(kind));
    subsets.filter(|subset| !subset.whole_context).for_each(|subset| asked.add(subset.facts));
    let shared = request.in_cedar(asked);
    for Attached { at, set } in sets {
        let subset = set.subset(kind).filter(|_| knows(set.schema_version(), kind));
        let own = subset.filter(|subset| subset.whole_context);
        let own = own.and_then(|subset| request.in_cedar(subset.facts.with_whole_context()));
        let known = subset.zip(own.as_ref().or(shared.as_ref()));
        let Some((subset, in_cedar)) = known else {
            let denial = Denial::UnknownAction { at: *at, kind, version: set.schema_version() };
            return decision.deny(denial, Vec::new(), FactSet::default());
        };
        let verdict = ask(set, subset, in_cedar);
        let named = |rules: &[usize]| {
            let rules = rules.iter().map(|rule| Deciding { at: *at, id: set.rules()[*rule].id.clone() });
            rules.collect::<Vec<_>>()
        };
        let seen = |rules: &[usize]| {
            let mut facts = FactSet::default();
            rules.iter().for_each(|rule| facts.add(set.rules()[*rule].facts));
            facts
        };
        match verdict {
            Verdict::Permitted(rules) => {
                decision.policies.extend(named(&rules));
                decision.facts.add(seen(&rules));
                for rule in rules {
                    decision.obligations = decision.obligations.and(set.rules()[rule].obligations);
                }
            }
            Verdict::Forbidden(rules) => {
                return decision.deny(Denial::Forbidden { at: *at }, named(&rules), seen(&rules));
            }
            Verdict::Failed(rules) => return decision.deny(Denial::Failed { at: *at }, named(&rules), seen(&rules)),
            Verdict::Nothing => return decision.deny(Denial::NotPermitted { at: *at }, Vec::new(), subset.facts),
        }
    }
}

impl Decision {
    fn deny(&mut self, denial: Denial, policies: Vec<Deciding>, facts: FactSet) {
        self.denial = Some(denial);
        self.policies = policies;
        self.facts = facts;
        self.obligations = Obligations::default();
    }
}

/// What one set says, with the policies' numbers in the order of its text.
enum Verdict {
    Permitted(Vec<usize>),
    Forbidden(Vec<usize>),
    Failed(Vec<usize>),
    Nothing,
}

fn ask(set: &PolicySet, subset: &Subset, in_cedar: &InCedar<'_>) -> Verdict {
    let response = AUTHORIZER.is_authorized(&in_cedar.request, &subset.cedar, &in_cedar.entities);
    let diagnostics = response.diagnostics();
    let number = |id: &cedar_policy::PolicyId| {
        AsRef::<str>::as_ref(id).parse::<usize>().expect("policies are named by their numbers")
    };
    // Cedar leaves a policy out that it cannot evaluate. A permit left out is harmless, a forbid is not, and nobody should
    // have to know which of them it was.
    let mut failed: Vec<usize> = diagnostics
        .errors()
        .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(error)| number(error.policy_id()))
        .collect();
    if !failed.is_empty() {
        failed.sort_unstable();
        return Verdict::Failed(failed);
    }
    let mut reasons: Vec<usize> = diagnostics.reason().map(number).collect();
    reasons.sort_unstable();
    debug_assert!(reasons.iter().all(|rule| *rule < set.rules().len()));
    match response.decision() {
        CedarDecision::Allow => Verdict::Permitted(reasons),
        CedarDecision::Deny if reasons.is_empty() => Verdict::Nothing,
        CedarDecision::Deny => Verdict::Forbidden(reasons),
    }
}
