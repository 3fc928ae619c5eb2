//! Why something of a batch was refused, found out by executing the batch again: on any view of the state before it, a witness
//! included, so that nobody has to be believed.

use crate::execute::{Halt, Run, parties_of, parties_of_entry, take};
use crate::{Plane, ProposedBatch};
use ghostplane_keystone::StateView;
use ghostplane_shroud::covenant::{Attached, Attachment, Counterfactual, PolicySet, Request, decide, would_pass};
use ghostplane_shroud::guardian::check_quorum;
use ghostplane_types::guardian::{GuardianSet, MemberMask, Role};
use ghostplane_types::{Outcome, Reject};
use std::sync::Arc;

/// What became of one entry or transaction of a batch, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What became of it.
    pub outcome: Outcome,
    /// Why, unless it was applied.
    pub refusal: Option<Refusal>,
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it says, with its numbers. The code is the outcome's.
    pub reject: Reject,
    /// Where it was covenants that did not let it pass.
    pub because: Option<Because>,
}

/// What a covenant's decision rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Because {
    /// The policies that decided, each with what its covenant is attached to. None if it is that no policy permits it.
    pub policies: Vec<(&'static str, String)>,
    /// The facts that those policies mention, by name.
    pub facts: Vec<(String, String)>,
    /// What would make it pass. Each was tried.
    pub would_pass: Vec<String>,
}

/// A refusal as it was found: cheap to keep, and enough to find out why whenever somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    reject: Reject,
    considered: Option<Considered>,
}

/// What covenants were asked, and about what.
#[derive(Clone, Debug)]
pub(crate) struct Considered {
    pub(crate) sets: Vec<(Attachment, Arc<PolicySet>)>,
    pub(crate) request: Request,
    /// The guardians of who acts, and those who agree.
    pub(crate) guardians: Option<GuardianSet>,
    pub(crate) members: MemberMask,
}

impl PartialEq for Considered {
    fn eq(&self, other: &Self) -> bool {
        let texts = |one: &Self| one.sets.iter().map(|(at, set)| (*at, set.text().to_owned())).collect::<Vec<_>>();
        (&self.request, &self.guardians, self.members) == (&other.request, &other.guardians, other.members)
            && texts(self) == texts(other)
    }
}

impl Eq for Considered {}

impl Refused {
    /// Finds out why. Takes up to some hundred decisions, so it is for whoever explains, not for whoever executes.
    pub fn explain(&self) -> Refusal {
        Refusal { reject: self.reject.clone(), because: self.considered.as_ref().map(Considered::because) }
    }
}

impl Considered {
    fn because(&self) -> Because {
        let sets: Vec<Attached<'_>> = self.sets.iter().map(|(at, set)| Attached { at: *at, set }).collect();
        let decision = decide(&sets, &self.request);
        let policies = decision.policies().iter().map(|policy| (policy.at.name(), policy.id.to_string())).collect();
        let facts = decision.facts(&self.request).into_iter().map(|fact| (fact.name, fact.value)).collect();
        let mut passes: Vec<String> = would_pass(&sets, &self.request).iter().map(Counterfactual::to_string).collect();
        if decision.is_allowed() && decision.obligations().guardian {
            let guardians = self.guardians.as_ref();
            passes.extend(guardians.and_then(|set| enough_guardians(&sets, &self.request, set, self.members)));
        }
        Because { policies, facts, would_pass: passes }
    }
}

/// How many more guardians it takes, those of most weight first, for a quorum with which the covenants still permit it.
fn enough_guardians(
    sets: &[Attached<'_>],
    request: &Request,
    set: &GuardianSet,
    members: MemberMask,
) -> Option<String> {
    let mut missing: Vec<usize> = (0..set.members.len()).filter(|at| members & 1 << at == 0).collect();
    missing.retain(|at| set.members[*at].roles.contains(Role::Spend));
    missing.sort_by_key(|at| std::cmp::Reverse(set.members[*at].weight));
    let mut with = members;
    for (more, at) in (1..).zip(missing) {
        with |= 1 << at;
        if check_quorum(set, Role::Spend, with).is_err() {
            continue;
        }
        let mut facts = request.facts().clone();
        facts.approvals = crate::execute::approvals_of(set, with);
        let decision = decide(sets, &Request::new(facts).ok()?);
        let (plural, role) = (if more == 1 { "" } else { "s" }, Role::Spend.name());
        let text = format!("passes with {more} more approval{plural} of guardians:{role}");
        return (decision.is_allowed() && decision.obligations().delay_seconds == 0).then_some(text);
    }
    None
}

/// What a batch in the making notes of its last record, should somebody ask why it was refused.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    reject: Option<Reject>,
    considered: Option<Considered>,
}

impl Run<'_> {
    /// Notes what covenants were asked.
    pub(crate) fn note_considered(&mut self, considered: Considered) {
        self.notes.considered = Some(considered);
    }

    /// Notes why something is refused.
    pub(crate) fn note_reject(&mut self, reject: &Reject) {
        self.notes.reject = Some(reject.clone());
    }

    /// Forgets what was noted of records before.
    pub(crate) fn clear_notes(&mut self) {
        self.notes = Notes::default();
    }

    /// What was noted of the last record, if it was refused.
    pub(crate) fn take_refused(&mut self) -> Option<Refused> {
        let Notes { reject, considered } = std::mem::take(&mut self.notes);
        reject.map(|reject| Refused { reject, considered })
    }
}

/// Executes a batch up to the record at a position, counted from 0 with the inbox first, and says what became of that.
///
/// `None` if the batch has no such record.
pub fn explain(
    plane: &Plane,
    view: &impl StateView,
    batch: &ProposedBatch,
    position: usize,
) -> Result<Option<Explained>, Halt> {
    let (mut run, parties) = Run::of_batch(plane, view, batch)?;
    let mut parties = parties.as_slice();
    for (at, checked) in batch.inbox.iter().enumerate() {
        run.clear_notes();
        run.inbox_entry(checked, take(&mut parties, parties_of_entry(checked)))?;
        if at == position {
            return Ok(run.explained());
        }
    }
    for (at, verified) in (batch.inbox.len()..).zip(&batch.transactions) {
        run.clear_notes();
        run.next_transaction(at - batch.inbox.len(), verified, take(&mut parties, parties_of(verified)))?;
        if at == position {
            return Ok(run.explained());
        }
    }
    Ok(None)
}

impl Run<'_> {
    /// What became of the last record, and why.
    fn explained(mut self) -> Option<Explained> {
        let refusal = self.take_refused().map(|refused| refused.explain());
        let (_, _, outcome) = self.records.last()?;
        Some(Explained { outcome: *outcome, refusal })
    }
}
