//! What time alone brings about: cases run out, and batches become final in order.

use super::{Budget, Settlement};
use crate::archive::FinalRecord;
use crate::event::{CaseOutcome, Event};
use crate::judge::Purpose;
use crate::limits::{ADVANCE_COMMITMENTS_MAX, CASES_OPEN_MAX};
use crate::message::L1Block;
use crate::pending::Pending;
use crate::refusal::Refusal;
use std::collections::BTreeSet;

impl Settlement {
    /// Enters an L1 block: closes cases whose deadline has passed, and makes batches final whose time has come, in order.
    ///
    /// Hosts call this once per block before its messages. It looks at no more than
    /// [`ADVANCE_COMMITMENTS_MAX`] commitments; another call, in the same block or a later one, goes on.
    pub fn advance(&mut self, block: L1Block) -> Result<Vec<Event>, Refusal> {
        self.check_block(block)?;

        let mut events = Vec::new();
        self.tick(block);
        self.expire_cases(&mut events);
        self.drop_open_proofs();
        self.note_crowding();
        self.finalize(&mut events);
        Ok(events)
    }

    /// Counts the blocks since the last one onto the window clock, but for those in which the table of cases was full.
    fn tick(&mut self, block: L1Block) {
        let passed = block.height - self.block.height;
        if passed > 0 {
            // A table that is full now was so in all of them; one that was full at some moment spoilt its own block.
            self.clock += if self.is_crowded_now() { 0 } else { passed - u64::from(self.crowded) };
            self.crowded = false;
            self.budget = Budget::default();
        }
        self.block = block;
    }

    fn expire_cases(&mut self, events: &mut Vec<Event>) {
        let height = self.block.height;
        let expired: Vec<u64> =
            self.cases.iter().filter(|(_, case)| case.deadline < height).map(|(number, _)| *number).collect();
        for number in expired {
            self.close_case(number, CaseOutcome::Expired, events);
        }
    }

    pub(super) fn note_crowding(&mut self) {
        self.crowded |= self.is_crowded_now();
    }

    fn is_crowded_now(&self) -> bool {
        self.cases.len() >= CASES_OPEN_MAX
    }

    /// Whether the time for challenging a batch of a commitment is over.
    pub(super) fn is_window_over(&self, pending: &Pending, batch: u64) -> bool {
        self.window_age(pending) >= self.window_of(pending, batch)
    }

    /// The window of a batch: the short one if a proof shows that it conserves value. So a proof alone makes nothing
    /// final, and a lost prover delays and does not stop.
    pub(super) fn window_of(&self, pending: &Pending, batch: u64) -> u64 {
        let terms = &self.genesis.settlement;
        if pending.is_proven(batch) { terms.window_blocks } else { terms.window_unproven_blocks }
    }

    pub(super) fn window_age(&self, pending: &Pending) -> u64 {
        self.clock - pending.clock
    }

    /// The last batch that is final once so many more blocks have passed, if nothing but time happens: no case, no proof.
    pub fn final_in(&self, blocks: u64) -> u64 {
        let all = self.pending.iter().flat_map(|pending| {
            let batches = pending.first_batch..=pending.last_batch();
            batches.map(move |batch| (pending, batch))
        });
        let reached = all.take_while(|(pending, batch)| {
            let passes = || self.window_age(pending).saturating_add(blocks) >= self.window_of(pending, *batch);
            *batch <= self.final_number || pending.is_replayed(*batch) || passes()
        });
        reached.last().map_or(self.final_number, |(_, batch)| batch)
    }

    /// Makes batches final from the front of the queue, and archives commitments that are final as a whole.
    pub(super) fn finalize(&mut self, events: &mut Vec<Event>) {
        for _ in 0..ADVANCE_COMMITMENTS_MAX {
            let Some(front) = self.pending.front() else { break };
            let reached = self.final_prefix(front);
            if reached > self.final_number {
                self.final_number = reached;
                events.push(Event::Final { batch: reached });
                self.close_cases(CaseOutcome::Moot, |batch| batch <= reached, events);
            }
            match self.pending.pop_front() {
                Some(front) if front.last_batch() == reached => self.archive_commitment(&front, events),
                Some(front) => {
                    self.pending.push_front(front);
                    break;
                }
                None => break,
            }
        }
        self.drop_open_proofs();
    }

    /// The last batch of the first commitment that is final now, all before it being so.
    fn final_prefix(&self, front: &Pending) -> u64 {
        let challenges = self.cases.values().filter(|case| case.purpose == Purpose::Challenge);
        let challenged: BTreeSet<u64> = challenges.map(|case| case.batch()).collect();
        let next = self.final_number + 1..=front.last_batch();
        let is_final = |batch: &u64| {
            front.is_replayed(*batch) || self.is_window_over(front, *batch) && !challenged.contains(batch)
        };
        next.take_while(is_final).last().unwrap_or(self.final_number)
    }

    fn archive_commitment(&mut self, done: &Pending, events: &mut Vec<Event>) {
        let chain_id = self.genesis.chain_id;
        let record = FinalRecord {
            first_batch: done.first_batch,
            last_batch: done.last_batch(),
            headers_root: done.headers_root,
            data_digest: done.data_digest,
            last_header: done.last_header.digest(chain_id),
        };
        self.base = done.last_header;
        self.inbox.drop_before(self.base.inbox_upto, chain_id);
        let index = self.archive.append(record, chain_id);
        events.push(Event::Archived { index, record });
    }
}
