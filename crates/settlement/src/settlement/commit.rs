//! Commitments: every way one is refused, and what an accepted one changes.

use super::Settlement;
use crate::event::Event;
use crate::limits::PENDING_COMMITMENTS_MAX;
use crate::pending::{Marks, Pending};
use crate::refusal::Refusal;
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_types::commitment::COMMITMENT_VERSION;
use ghostplane_types::limits::{
    ATTESTATIONS_MAX, BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BATCH_GAS_MAX, BATCH_TRANSACTIONS_MAX, BATCH_WITHDRAWALS_MAX,
    COMMITMENT_BATCHES_MAX,
};
use ghostplane_types::{BatchHeader, Commitment, L1Address};

/// A commitment that passed every check.
struct Accepted {
    pending: Pending,
    batches: usize,
}

impl Settlement {
    pub(super) fn commit(
        &mut self,
        from: L1Address,
        commitment: &Commitment,
        headers: &[BatchHeader],
    ) -> Result<Vec<Event>, Refusal> {
        let Accepted { pending, batches } = self.check_commitment(from, commitment, headers)?;

        self.budget.committed = true;
        self.posted.take(batches);
        let event = Event::Committed { first_batch: pending.first_batch, last_batch: pending.last_batch() };
        self.pending.push_back(pending);
        Ok(vec![event])
    }

    fn check_commitment(
        &self,
        from: L1Address,
        commitment: &Commitment,
        headers: &[BatchHeader],
    ) -> Result<Accepted, Refusal> {
        self.check_standing(from, commitment)?;
        let tip = self.tip();
        if Some(commitment.first_batch) != tip.number.checked_add(1) {
            return Err(Refusal::FirstBatch { found: commitment.first_batch, expected: tip.number + 1 });
        }
        let tip_digest = tip.digest(self.genesis.chain_id);
        if commitment.prev_header_digest != tip_digest {
            return Err(Refusal::PrevHeader { found: commitment.prev_header_digest, expected: tip_digest });
        }
        self.check_headers(commitment, headers)?;
        let last_upto = commitment.last_header.inbox_upto;
        self.check_inbox_age(tip.inbox_upto, last_upto)?;
        self.check_data(commitment, headers)?;
        self.check_attestations(commitment)?;
        let pending = Pending {
            first_batch: commitment.first_batch,
            headers_root: commitment.headers_root,
            data_digest: commitment.data_digest,
            last_header: commitment.last_header,
            height: self.block.height,
            clock: self.clock,
            replayed: Marks::default(),
            proven: Marks::default(),
        };
        Ok(Accepted { pending, batches: headers.len() })
    }

    /// Who commits, for what, and whether there is room.
    fn check_standing(&self, from: L1Address, commitment: &Commitment) -> Result<(), Refusal> {
        self.check_operator(from)?;
        let (found, needed) = (self.bond, self.genesis.settlement.sequencer_bond);
        if found < needed {
            return Err(Refusal::BondTooLow { found: found.units(), needed: needed.units() });
        }
        if commitment.version != COMMITMENT_VERSION {
            return Err(Refusal::CommitmentVersion { found: commitment.version, expected: COMMITMENT_VERSION });
        }
        if commitment.plane_id != self.plane_id {
            return Err(Refusal::WrongPlane { found: commitment.plane_id, expected: self.plane_id });
        }
        if commitment.generation != self.generation {
            return Err(Refusal::WrongGeneration { found: commitment.generation, expected: self.generation });
        }
        if self.budget.committed {
            return Err(Refusal::CommittedAlready { height: self.block.height });
        }
        if self.pending.len() >= PENDING_COMMITMENTS_MAX {
            return Err(Refusal::PendingFull { found: self.pending.len(), limit: PENDING_COMMITMENTS_MAX });
        }
        Ok(())
    }

    /// That the headers are the commitment's, and each follows from the one before as far as that shows without a replay.
    fn check_headers(&self, commitment: &Commitment, headers: &[BatchHeader]) -> Result<(), Refusal> {
        let chain_id = self.genesis.chain_id;
        let (claimed, limit) = (commitment.batches().unwrap_or(0), COMMITMENT_BATCHES_MAX as u64);
        if !(1..=limit).contains(&claimed) {
            return Err(Refusal::BatchCount { found: claimed, limit });
        }
        if headers.len() as u64 != claimed {
            return Err(Refusal::HeaderCount { found: headers.len() as u64, expected: claimed });
        }
        let digests: Vec<Digest> = headers.iter().map(|header| header.digest(chain_id)).collect();
        let (found, expected) = (digests[digests.len() - 1], commitment.last_header.digest(chain_id));
        if found != expected {
            return Err(Refusal::LastHeader { found, expected });
        }
        let root = merkle::root(&digests);
        if root != commitment.headers_root {
            return Err(Refusal::HeadersRoot { found: root, expected: commitment.headers_root });
        }
        let mut prev = self.tip();
        for header in headers {
            self.check_header(prev, header)?;
            prev = header;
        }
        Ok(())
    }

    fn check_header(&self, prev: &BatchHeader, header: &BatchHeader) -> Result<(), Refusal> {
        let batch = prev.number + 1;
        if header.number != batch {
            return Err(Refusal::HeaderNumber { found: header.number, expected: batch });
        }
        if header.protocol != self.genesis.protocol {
            return Err(Refusal::Protocol { batch, found: header.protocol, expected: self.genesis.protocol });
        }
        if header.generation != self.generation {
            return Err(Refusal::HeaderGeneration { batch, found: header.generation, expected: self.generation });
        }
        let prev_state = prev.state().digest(self.genesis.chain_id, &self.plane_id);
        if header.prev_state != prev_state {
            return Err(Refusal::PrevState { batch, found: header.prev_state, expected: prev_state });
        }
        check_counters(batch, prev, header)?;
        self.check_bounds(batch, prev, header)?;
        self.check_time(batch, prev, header)
    }

    fn check_bounds(&self, batch: u64, prev: &BatchHeader, header: &BatchHeader) -> Result<(), Refusal> {
        let bounds = [
            ("slots_used", header.slots_used, self.genesis.slots_max),
            ("objects_used", header.objects_used, self.genesis.objects_max),
        ];
        if let Some((what, found, limit)) = bounds.into_iter().find(|(_, found, limit)| found > limit) {
            return Err(Refusal::StateOverBound { batch, what, found: found.into(), limit: limit.into() });
        }
        let consumed = header.inbox_upto - prev.inbox_upto;
        let transactions = (header.log_upto - prev.log_upto).saturating_add(consumed);
        let limits = [
            ("bytes", u64::from(header.bytes), BATCH_BYTES_MAX as u64),
            ("gas", header.gas, BATCH_GAS_MAX),
            ("entries", u64::from(header.entries), BATCH_ENTRIES_MAX as u64),
            ("transactions and inbox entries", transactions, BATCH_TRANSACTIONS_MAX as u64),
            ("withdrawals", header.outbox_upto - prev.outbox_upto, BATCH_WITHDRAWALS_MAX as u64),
        ];
        match limits.into_iter().find(|(_, found, limit)| found > limit) {
            Some((what, found, limit)) => Err(Refusal::HeaderOverLimit { batch, what, found, limit }),
            None => Ok(()),
        }
    }

    fn check_time(&self, batch: u64, prev: &BatchHeader, header: &BatchHeader) -> Result<(), Refusal> {
        let found = header.time;
        if found > self.block.time {
            return Err(Refusal::TimeAfterBlock { batch, found, limit: self.block.time });
        }
        if found < prev.time {
            return Err(Refusal::TimeBackwards { batch, found, before: prev.time });
        }
        if header.inbox_upto > self.inbox.end() {
            return Err(Refusal::InboxUnknown { batch, found: header.inbox_upto, known: self.inbox.end() });
        }
        if header.inbox_upto > prev.inbox_upto {
            let last = self.inbox.entry(header.inbox_upto - 1).expect("kept until consumed for good");
            if found < last.l1_time {
                return Err(Refusal::TimeBeforeInbox { batch, found, entry: last.l1_time });
            }
        }
        Ok(())
    }

    /// That no entry is consumed too early, and none is left too long.
    fn check_inbox_age(&self, from: u64, upto: u64) -> Result<(), Refusal> {
        let age = |index: u64| self.inbox.entry(index).map(|entry| self.block.height - entry.l1_height);
        let needed = self.genesis.settlement.reorg_depth;
        // Heights never fall along the inbox, so the last entry consumed is the youngest and the first one left the oldest.
        if let Some(entry) = upto.checked_sub(1).filter(|last| *last >= from)
            && let Some(age) = age(entry).filter(|age| *age < needed)
        {
            return Err(Refusal::InboxTooFresh { entry, age, needed });
        }
        let limit = self.genesis.settlement.inbox_deadline_blocks;
        match age(upto).filter(|age| *age > limit) {
            Some(age) => Err(Refusal::InboxLag { entry: upto, age, limit }),
            None => Ok(()),
        }
    }

    /// That all data is there and is what the commitment and its headers say.
    fn check_data(&self, commitment: &Commitment, headers: &[BatchHeader]) -> Result<(), Refusal> {
        let posted = self.posted.batches();
        if posted.len() < headers.len() {
            return Err(Refusal::DataMissing { found: posted.len() as u64, needed: headers.len() as u64 });
        }
        let batches = posted.iter().zip(headers);
        if let Some((posted, header)) = batches.clone().find(|(posted, header)| posted.len != u64::from(header.bytes)) {
            let (batch, found) = (header.number, u64::from(header.bytes));
            return Err(Refusal::DataBytes { batch, found, expected: posted.len });
        }
        let total = batches.clone().map(|(posted, _)| posted.len).sum();
        if commitment.data_len != total {
            return Err(Refusal::DataLength { found: commitment.data_len, expected: total });
        }
        let digests: Vec<Digest> = batches.map(|(posted, _)| posted.digest).collect();
        let expected = merkle::root(&digests);
        if commitment.data_digest != expected {
            return Err(Refusal::DataDigest { found: commitment.data_digest, expected });
        }
        Ok(())
    }

    /// That the sequencer vouches for it, and committers of enough weight, each once, and nobody else: what an attestation
    /// says that nobody asked for is not worth a signature check. Everything that needs no such check comes before the first.
    fn check_attestations(&self, commitment: &Commitment) -> Result<(), Refusal> {
        let committers = &self.genesis.committers;
        let attestations = &commitment.attestations;
        let first = attestations.first().ok_or(Refusal::NoAttestation)?;
        if attestations.len() > ATTESTATIONS_MAX {
            return Err(Refusal::AttestationCount { found: attestations.len(), limit: ATTESTATIONS_MAX });
        }
        if first.key != self.genesis.sequencer {
            return Err(Refusal::NotSequencer { found: first.key, expected: self.genesis.sequencer });
        }
        for (at, by) in attestations.iter().enumerate() {
            if attestations[..at].iter().any(|earlier| earlier.key == by.key) {
                return Err(Refusal::AttestationTwice { key: by.key });
            }
            if at > 0 && committers.weight_of(&by.key).is_none() {
                return Err(Refusal::UnknownAttester { key: by.key });
            }
        }
        let (found, needed) = (committers.weight(attestations), committers.quorum);
        if found < needed {
            return Err(Refusal::CommitterQuorum { found, needed });
        }
        for by in attestations {
            let valid = commitment.verify_attestation(self.genesis.chain_id, by);
            valid.map_err(|_| Refusal::AttestationInvalid { key: by.key })?;
        }
        Ok(())
    }
}

fn check_counters(batch: u64, prev: &BatchHeader, header: &BatchHeader) -> Result<(), Refusal> {
    let counters = [
        ("slots_used", u64::from(header.slots_used), u64::from(prev.slots_used)),
        ("objects_used", u64::from(header.objects_used), u64::from(prev.objects_used)),
        ("inbox_upto", header.inbox_upto, prev.inbox_upto),
        ("log_upto", header.log_upto, prev.log_upto),
        ("outbox_upto", header.outbox_upto, prev.outbox_upto),
    ];
    match counters.into_iter().find(|(_, found, before)| found < before) {
        Some((what, found, before)) => Err(Refusal::CounterBackwards { batch, what, found, before }),
        None => Ok(()),
    }
}
