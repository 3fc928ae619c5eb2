//! How rules are asked: what they are asked is a function of the state, and what they answer of that alone.
//!
//! So the answers to what a group of transactions will ask can be worked out ahead, on all cores, from the state before the
//! group. When its turn comes a transaction asks anew, and takes the answer if it is the same question: what order changes,
//! such as what was spent meanwhile, is asked again there and then. No result depends on what was foreseen.

use super::super::Run;
use super::{Asking, Counting, Effect, Sets, reject_of};
use crate::explain::Considered;
use crate::verify::Verified;
use crate::working::AccountId;
use ghostplane_ghostcipher::Digest;
use ghostplane_ghostcipher::workers::{Workers, map_chunks};
use ghostplane_shroud::covenant::{Attached, Attachment, Decision, PolicySet, Request, decide, with_stack};
use ghostplane_types::limits::SPENDING_MAX;
use ghostplane_types::{Action, AssetId, Reject};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many transactions one job asks for at least: some hundred microseconds of work.
const FORESEE_CHUNK: usize = 32;

/// What rules are asked about one effect.
struct Question {
    sets: Sets,
    /// Nothing where the facts do not fit each other, which only a state that no rule could have made has.
    request: Option<Request>,
    gas: u64,
    /// Whether what it moves is counted, and whether there is room for that.
    counts: bool,
    has_room: bool,
}

/// A question that was answered before its turn.
pub(crate) struct Foreseen {
    sets: Sets,
    request: Request,
    decision: Decision,
}

impl Run<'_> {
    /// Asks the rules about one effect. Returns whether what it moves is counted.
    pub(super) fn check_effect(
        &mut self,
        effect: &Effect,
        before: &[Counting],
        time: u64,
        foreseen: Option<Foreseen>,
        use_gas: impl FnOnce(u64) -> Result<(), Reject>,
    ) -> Result<bool, Reject> {
        let question = self.question(effect, before, time);
        let Question { sets, request, gas, counts, has_room } = match question {
            Ok(question) => question,
            Err(counts) => return Ok(counts),
        };
        use_gas(gas)?;
        let mut asked: Vec<(Attachment, Arc<PolicySet>)> = Vec::with_capacity(sets.len());
        for (at, digest) in &sets {
            // That it is there was checked when it was attached, and no text is ever removed.
            let set = self.working.ask_text(*digest).ok_or(Reject::CovenantFails { at: at.name() })?;
            asked.push((*at, set));
        }
        let request = request.ok_or(Reject::CovenantFails { at: Attachment::Plane.name() })?;
        let decision = match foreseen.filter(|known| known.sets == sets && known.request == request) {
            Some(known) => {
                self.foreseen_used += 1;
                known.decision
            }
            None => decide_by(&asked, &request),
        };
        let reject = match decision.denial() {
            Some(denial) => Err(reject_of(denial)),
            None => self.check_obligations(effect, decision.obligations(), time),
        };
        if reject.is_err() {
            let (guardians, members) = (self.set_of(effect.principal).cloned(), effect.consent.members);
            self.note_considered(Considered { sets: asked, request, guardians, members });
        }
        reject?;
        if counts && !has_room {
            return Err(Reject::SpendingFull { limit: SPENDING_MAX });
        }
        Ok(counts && effect.moves.is_some())
    }

    /// What the rules are asked about an effect, as things stand. `Err` if there is nothing to ask: whether what moves is counted.
    fn question(&self, effect: &Effect, before: &[Counting], time: u64) -> Result<Question, bool> {
        let sets = self.sets_for(effect, time);
        let moved = effect.moves.map(|(asset, _)| asset);
        let covenants = self.working.record(effect.principal).gates.as_ref().map(|gates| &gates.covenants);
        // Windows that are over are none: they make room for others.
        let counter_of = |asset: AssetId| covenants.and_then(|known| known.spending_at(asset, time));
        let counter = moved.and_then(counter_of);
        if sets.is_empty() {
            return Err(counter.is_some());
        }
        let approvals = self.approvals(effect.principal, effect.consent.members);
        let texts = || sets.iter().filter_map(|(_, digest)| self.working.text(digest));
        let counts = counter.is_some() || (texts().any(|text| text.counts) && effect.kind != Action::KIND_DEPOSIT);
        let live = covenants.map_or(0, |known| known.spending.iter().filter(|known| !known.is_over(time)).count());
        let is_new = |one: &&Counting| one.principal == effect.principal && counter_of(one.asset).is_none();
        let mut new: Vec<AssetId> = before.iter().filter(is_new).map(|one| one.asset).collect();
        new.sort_unstable();
        new.dedup();
        let has_room =
            counter.is_some() || moved.is_none_or(|asset| new.contains(&asset)) || live + new.len() < SPENDING_MAX;
        let gas = self.gas_to_ask(&sets, approvals.len());
        let spent = self.spent(effect, counter, before);
        let request = self.request(effect, time, approvals, spent);
        Ok(Question { sets, request, gas, counts, has_room })
    }

    // Ahead.

    /// Works out what the rules will answer to a group of transactions of the log, with the accounts that they name.
    pub(crate) fn foresee(&mut self, workers: &dyn Workers, group: &[(&Verified, &[AccountId])]) {
        self.foreseen.clear();
        if workers.count() < 2 || group.len() < 2 * FORESEE_CHUNK || !self.working.has_rules() {
            return;
        }
        let run = &*self;
        let chunks = map_chunks(workers, group, FORESEE_CHUNK, |chunk| {
            let foresee = |(verified, parties): &(&Verified, &[AccountId])| {
                let answers = run.foresee_one(verified, parties);
                (!answers.is_empty()).then(|| (verified.id(), answers))
            };
            with_stack(|| chunk.iter().filter_map(foresee).collect::<Vec<(Digest, Vec<Foreseen>)>>())
        });
        self.foreseen = chunks.into_iter().flatten().collect();
    }

    /// What will be answered to one transaction, effect by effect, up to the first that is not simply asked and permitted.
    fn foresee_one(&self, verified: &Verified, parties: &[AccountId]) -> Vec<Foreseen> {
        let asking = Asking { verified, sender: parties[0], time: self.time, is_forced: false };
        let mut foreseen = Vec::new();
        let mut counted: Vec<Counting> = Vec::new();
        for effect in self.effects_of(&asking, &parties[1..]) {
            let Ok(Question { sets, request: Some(request), counts, .. }) =
                self.question(&effect, &counted, asking.time)
            else {
                break;
            };
            let found = |(at, digest): &(Attachment, Digest)| Some((*at, self.working.policy_set(digest)?));
            let Some(asked) = sets.iter().map(found).collect::<Option<Vec<_>>>() else { break };
            let decision = decide_by(&asked, &request);
            let is_allowed = decision.is_allowed();
            foreseen.push(Foreseen { sets, request, decision });
            if !is_allowed {
                break;
            }
            if let (true, Some((asset, amount))) = (counts, effect.moves) {
                counted.push(Counting { principal: effect.principal, asset, amount });
            }
        }
        foreseen
    }

    /// What was foreseen of a transaction whose turn it is.
    pub(super) fn take_foreseen(&mut self, verified: &Verified) -> Vec<Foreseen> {
        if self.foreseen.is_empty() { Vec::new() } else { self.foreseen.remove(&verified.id()).unwrap_or_default() }
    }
}

/// What was foreseen, by transaction.
pub(crate) type AllForeseen = BTreeMap<Digest, Vec<Foreseen>>;

fn decide_by(asked: &[(Attachment, Arc<PolicySet>)], request: &Request) -> Decision {
    let sets: Vec<Attached<'_>> = asked.iter().map(|(at, set)| Attached { at: *at, set }).collect();
    decide(&sets, request)
}
