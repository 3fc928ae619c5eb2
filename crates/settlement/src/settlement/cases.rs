//! Cases: opening, material, judgement, and what a conviction undoes.

use super::Settlement;
use crate::case::OpenCase;
use crate::convert;
use crate::event::{CaseOutcome, Event};
use crate::judge::{Case, Judge, Purpose, Verdict};
use crate::limits::{CASES_OPEN_MAX, REPLAYS_OPEN_MAX};
use crate::message::OpenCaseRequest;
use crate::pending::Pending;
use crate::refusal::Refusal;
use ghostplane_ghostcipher::merkle;
use ghostplane_types::batch::posted_digest;
use ghostplane_types::limits::{CHUNK_BYTES_MAX, WITNESS_BYTES_MAX};
use ghostplane_types::{Amount, InboxEntry, L1Address};

impl Settlement {
    pub(super) fn open_case(&mut self, from: L1Address, request: &OpenCaseRequest) -> Result<Vec<Event>, Refusal> {
        self.check_room(from, request)?;
        let batch = request.header.number;
        let pending = self.check_challengeable(request.purpose, batch)?;
        self.check_headers_shown(pending, request)?;
        let (found, limit) = (request.witness_len, WITNESS_BYTES_MAX as u64);
        if found > limit {
            return Err(Refusal::WitnessLong { found, limit });
        }

        let case = self.next_case;
        let deadline = self.block.height.saturating_add(self.genesis.settlement.challenge_blocks);
        self.cases.insert(
            case,
            OpenCase {
                purpose: request.purpose,
                challenger: from,
                deadline,
                header: request.header,
                prev: request.prev,
                posted: request.posted,
                witness_len: request.witness_len,
                material: Vec::new(),
            },
        );
        self.next_case += 1;
        self.note_crowding();
        let bond = self.bond_money(self.genesis.settlement.challenge_bond);
        let mut events: Vec<Event> = bond.map(|money| Event::Take { from, money }).into_iter().collect();
        events.push(Event::CaseOpened { case, batch, purpose: request.purpose, deadline });
        Ok(events)
    }

    fn check_room(&self, from: L1Address, request: &OpenCaseRequest) -> Result<(), Refusal> {
        let same = |case: &OpenCase| {
            case.challenger == from && case.purpose == request.purpose && case.batch() == request.header.number
        };
        if let Some((case, _)) = self.cases.iter().find(|(_, case)| same(case)) {
            return Err(Refusal::CaseTwice { case: *case });
        }
        let open = self.cases.len();
        if open >= CASES_OPEN_MAX {
            return Err(Refusal::CasesFull { open, limit: CASES_OPEN_MAX });
        }
        let replays = self.cases.values().filter(|case| case.purpose == Purpose::Replay).count();
        if request.purpose == Purpose::Replay && replays >= REPLAYS_OPEN_MAX {
            return Err(Refusal::ReplaysFull { open: replays, limit: REPLAYS_OPEN_MAX });
        }
        Ok(())
    }

    /// A challenge comes within the window, or one after the other could hold a batch up for ever behind its elders.
    fn check_challengeable(&self, purpose: Purpose, batch: u64) -> Result<&Pending, Refusal> {
        let not_pending = Refusal::BatchNotPending { batch, final_number: self.final_number, tip: self.tip().number };
        let is_final = batch <= self.final_number;
        let (_, pending) = self.pending_with(batch).filter(|_| !is_final).ok_or(not_pending)?;
        if pending.is_replayed(batch) {
            return Err(Refusal::ReplayedAlready { batch });
        }
        if purpose == Purpose::Challenge && self.is_window_over(pending, batch) {
            let window = self.window_of(pending, batch);
            return Err(Refusal::WindowOver { age: self.window_age(pending), window });
        }
        Ok(pending)
    }

    /// That header, header before and posted batch are those of the commitment.
    fn check_headers_shown(&self, pending: &Pending, request: &OpenCaseRequest) -> Result<(), Refusal> {
        let chain_id = self.genesis.chain_id;
        let expected = request.header.number - pending.first_batch;
        let found = request.header_path.index;
        if found != expected {
            return Err(Refusal::CaseHeaderPosition { found, expected });
        }
        merkle::verify(&pending.headers_root, &request.header.digest(chain_id), &request.header_path)
            .map_err(|error| Refusal::CaseHeaderPath { error })?;

        let (found, before) = (request.prev.number, request.header.number - 1);
        if found != before {
            return Err(Refusal::CasePrevNumber { found, expected: before });
        }
        let prev_digest = request.prev.digest(chain_id);
        match &request.prev_path {
            Some(path) if expected > 0 => {
                if path.index != expected - 1 {
                    return Err(Refusal::CasePrevPosition { found: path.index, expected: expected - 1 });
                }
                merkle::verify(&pending.headers_root, &prev_digest, path)
                    .map_err(|error| Refusal::CasePrevPath { error })?;
            }
            None if expected == 0 => {
                let built_on = self.header_before(pending).digest(chain_id);
                if prev_digest != built_on {
                    return Err(Refusal::CasePrevDigest { found: prev_digest, expected: built_on });
                }
            }
            _ => return Err(Refusal::CasePrevPathNeeded { needed: expected > 0 }),
        }

        let found = request.posted_path.index;
        if found != expected {
            return Err(Refusal::CasePostedPosition { found, expected });
        }
        merkle::verify(&pending.data_digest, &request.posted, &request.posted_path)
            .map_err(|error| Refusal::CasePostedPath { error })?;
        Ok(())
    }

    /// The header that a pending commitment builds on.
    fn header_before(&self, pending: &Pending) -> &ghostplane_types::BatchHeader {
        let before = pending.first_batch - 1;
        self.pending_with(before).map_or(&self.base, |(_, pending)| &pending.last_header)
    }

    pub(super) fn add_material(
        &mut self,
        from: L1Address,
        number: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Vec<Event>, Refusal> {
        let case = self.cases.get_mut(&number).ok_or(Refusal::UnknownCase { case: number })?;
        if from != case.challenger {
            return Err(Refusal::NotChallenger { found: from, expected: case.challenger });
        }
        if offset != case.brought() {
            return Err(Refusal::MaterialOffset { found: offset, expected: case.brought() });
        }
        if bytes.is_empty() {
            return Err(Refusal::MaterialEmpty);
        }
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(Refusal::MaterialLong { found: bytes.len(), limit: CHUNK_BYTES_MAX });
        }
        let (found, limit) = (case.brought() + bytes.len() as u64, case.needed());
        if found > limit {
            return Err(Refusal::MaterialOver { found, limit });
        }

        case.material.extend_from_slice(bytes);
        Ok(Vec::new())
    }

    pub(super) fn judge_case(&mut self, number: u64, judge: &dyn Judge) -> Result<Vec<Event>, Refusal> {
        let case = self.cases.get(&number).ok_or(Refusal::UnknownCase { case: number })?;
        let missing = Refusal::MaterialMissing { found: case.brought(), needed: case.needed() };
        let (posted, witness) = case.complete().ok_or(missing)?;
        let batch = case.batch();
        let outcome = self.find(case, posted, witness, judge);

        let mut events = Vec::new();
        match outcome {
            CaseOutcome::Convicted { .. } => self.convict(number, outcome, &mut events),
            CaseOutcome::True => {
                let (at, _) = self.pending_with(batch).expect("a case is about a pending batch");
                self.pending[at].mark_replayed(batch);
                events.push(Event::Replayed { batch });
                self.close_cases(CaseOutcome::True, |other| other == batch, &mut events);
            }
            _ => self.close_case(number, outcome, &mut events),
        }
        self.finalize(&mut events);
        Ok(events)
    }

    fn find(&self, case: &OpenCase, posted: &[u8], witness: &[u8], judge: &dyn Judge) -> CaseOutcome {
        if posted_digest(self.genesis.chain_id, posted) != case.posted {
            return CaseOutcome::PostedDiffers;
        }
        let prev = case.prev.state();
        let inbox: Vec<InboxEntry> = self.inbox.range(prev.inbox_upto, case.header.inbox_upto).cloned().collect();
        assert_eq!(inbox.len() as u64, case.header.inbox_upto - prev.inbox_upto, "entries are kept until final");
        let case = Case {
            genesis: &self.genesis,
            plane_id: self.plane_id,
            generation: case.header.generation,
            prev: &prev,
            inbox: &inbox,
            posted,
            witness,
            claimed: &case.header,
        };
        match judge.replay(&case) {
            Verdict::Same => CaseOutcome::True,
            Verdict::Differs { reason } => CaseOutcome::Convicted { reason },
            Verdict::Insufficient => CaseOutcome::WitnessInsufficient,
        }
    }

    /// Reverts the batch of a case and all after it. Inbox entries they consumed are unconsumed again, for the tip's header
    /// says so and entries are dropped only with final batches.
    fn convict(&mut self, number: u64, outcome: CaseOutcome, events: &mut Vec<Event>) {
        let case = &self.cases[&number];
        let (batch, prev, challenger) = (case.batch(), case.prev, case.challenger);
        self.close_case(number, outcome, events);
        let bond = std::mem::take(&mut self.bond);
        let (burned, reward) = convert::halves(self.gcc(), bond);
        self.burn_bond(burned, events);
        self.pay_bond(challenger, reward, events);

        let (at, cut) = self.pending_with(batch).expect("a case is about a pending batch");
        let kept = if cut.first_batch == batch { at } else { at + 1 };
        self.pending.truncate(kept);
        if kept > at {
            self.pending[at].cut_after(prev);
        }
        assert_eq!(self.tip().number, prev.number, "the tip is the batch before");
        self.generation = self.generation.checked_add(1).expect("a generation costs a bond");
        events.push(Event::Reverted { first_batch: batch, generation: self.generation });
        if !self.posted.is_empty() {
            events.push(Event::DataDropped { batches: self.posted.clear() });
        }
        self.close_cases(CaseOutcome::Moot, |other| other >= batch, events);
        self.drop_open_proofs();
    }

    /// Closes all cases about the batches named.
    pub(super) fn close_cases(&mut self, outcome: CaseOutcome, about: impl Fn(u64) -> bool, events: &mut Vec<Event>) {
        let closed: Vec<u64> =
            self.cases.iter().filter(|(_, case)| about(case.batch())).map(|(number, _)| *number).collect();
        for number in closed {
            self.close_case(number, outcome, events);
        }
    }

    /// Closes one case, and returns its bond or takes it: half is burned, half goes to the operator.
    pub(super) fn close_case(&mut self, number: u64, outcome: CaseOutcome, events: &mut Vec<Event>) {
        let case = self.cases.remove(&number).expect("only open cases are closed");
        events.push(Event::CaseClosed { case: number, batch: case.batch(), outcome });
        let bond = self.genesis.settlement.challenge_bond;
        let returned = match outcome {
            CaseOutcome::Convicted { .. } | CaseOutcome::Moot => true,
            CaseOutcome::True => case.purpose == Purpose::Replay,
            CaseOutcome::WitnessInsufficient | CaseOutcome::PostedDiffers | CaseOutcome::Expired => false,
        };
        if returned {
            return self.pay_bond(case.challenger, bond, events);
        }
        let (burned, rest) = self.operator.map_or((bond, Amount::ZERO), |_| convert::halves(self.gcc(), bond));
        self.burn_bond(burned, events);
        if let Some(operator) = self.operator {
            self.pay_bond(operator.address, rest, events);
        }
    }
}
