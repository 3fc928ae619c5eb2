//! Claims: a withdrawal of a final batch is paid out once.

use super::Settlement;
use crate::claims::NotClaimable;
use crate::convert;
use crate::event::Event;
use crate::limits::CLAIM_RUNS_MAX;
use crate::message::{Claim, ClaimedUnder};
use crate::refusal::Refusal;
use ghostplane_ghostcipher::{Digest, merkle};

/// The commitment of a claim, as the settlement knows it.
struct Found {
    first_batch: u64,
    last_batch: u64,
    headers_root: Digest,
}

impl Settlement {
    pub(super) fn claim(&mut self, claim: &Claim) -> Result<Vec<Event>, Refusal> {
        self.check_final_batch(claim)?;
        self.check_outbox(claim)?;
        let withdrawal = &claim.withdrawal;
        let index = withdrawal.index;
        let unclaimed = self.claims.check(index).map_err(|reason| match reason {
            NotClaimable::Twice => Refusal::ClaimedAlready { index },
            NotClaimable::Full => Refusal::ClaimsFull { limit: CLAIM_RUNS_MAX },
        })?;
        let asset = withdrawal.asset;
        let at = self.asset_position(asset).ok_or(Refusal::ClaimUnknownAsset { asset })?;
        let known = &self.genesis.assets[at];
        let (amount, unit) = (withdrawal.amount.units(), convert::plane_unit(known));
        let money = convert::to_l1(known, withdrawal.amount).ok_or(Refusal::ClaimInexact { amount, unit })?;
        let escrow = self.escrow[at].units();
        let rest = self.escrow[at].checked_sub(withdrawal.amount).ok_or(Refusal::EscrowShort { escrow, amount })?;

        self.claims.mark(unclaimed);
        self.escrow[at] = rest;
        Ok(vec![Event::Claimed { index }, Event::Pay { to: withdrawal.to, money }])
    }

    /// That the header is that of a final batch.
    fn check_final_batch(&self, claim: &Claim) -> Result<(), Refusal> {
        let Found { first_batch, last_batch, headers_root } = self.find_commitment(&claim.under)?;
        let batch = claim.header.number;
        if !(first_batch..=last_batch).contains(&batch) {
            return Err(Refusal::NotUnderCommitment { batch, first_batch, last_batch });
        }
        if batch > self.final_number {
            return Err(Refusal::NotFinal { batch, final_number: self.final_number });
        }
        let (found, expected) = (claim.header_path.index, batch - first_batch);
        if found != expected {
            return Err(Refusal::ClaimHeaderPosition { found, expected });
        }
        let digest = claim.header.digest(self.genesis.chain_id);
        merkle::verify(&headers_root, &digest, &claim.header_path)
            .map_err(|error| Refusal::ClaimHeaderPath { error })?;
        Ok(())
    }

    fn find_commitment(&self, under: &ClaimedUnder) -> Result<Found, Refusal> {
        match under {
            ClaimedUnder::Recent { first_batch } => {
                let first_batch = *first_batch;
                let pending = self.pending_with(first_batch).filter(|(_, pending)| pending.first_batch == first_batch);
                let pending = pending.map(|(_, pending)| (pending.last_batch(), pending.headers_root));
                let record = self.archive.record(first_batch).map(|record| (record.last_batch, record.headers_root));
                let found = pending.or(record).ok_or(Refusal::UnknownCommitment { first_batch })?;
                Ok(Found { first_batch, last_batch: found.0, headers_root: found.1 })
            }
            ClaimedUnder::Archived { record, path } => {
                let leaf = record.leaf(self.genesis.chain_id);
                self.archive.peaks().verify(&leaf, path).map_err(|error| Refusal::ArchivePath { error })?;
                let (first_batch, last_batch) = (record.first_batch, record.last_batch);
                Ok(Found { first_batch, last_batch, headers_root: record.headers_root })
            }
        }
    }

    /// That the withdrawal is in the header's outbox, at the place that its index says.
    fn check_outbox(&self, claim: &Claim) -> Result<(), Refusal> {
        let leaf = claim.withdrawal.leaf(self.genesis.chain_id);
        let included = merkle::verify(&claim.header.outbox_root, &leaf, &claim.outbox_path)
            .map_err(|error| Refusal::ClaimOutboxPath { error })?;
        let first = claim.header.outbox_upto.checked_sub(included.count());
        let expected = first.map_or(u64::MAX, |first| first + included.index());
        if claim.withdrawal.index != expected || first.is_none() {
            return Err(Refusal::ClaimIndex { found: claim.withdrawal.index, expected });
        }
        Ok(())
    }
}
