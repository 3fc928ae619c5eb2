//! A committer: executes every batch of a plane by himself and vouches for commitments of what came out the same.
//!
//! He believes nobody but the L1 about the inbox. He keeps the whole state, from genesis on, and on disk only what he has
//! signed last, so that he never signs two histories.

mod signed;

pub use signed::{Signed, SignedError, SignedFile};

use crate::local::{Published, Watcher};
use ghostplane_engine::Plane;
use ghostplane_engine::replay::Difference;
use ghostplane_ghostbridge::run::{self, Committed, RunError};
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, SigningKey};
use ghostplane_types::{Attestation, BatchHeader, Commitment, InboxEntry, L1Address};
use std::collections::VecDeque;
use std::ops::Range;
use thiserror::Error;

/// Executed batches that are remembered by what a commitment says of them. More are never uncommitted on a sound node.
const KEPT_MAX: usize = 8_192;

/// Somebody who executes and vouches.
#[derive(Debug)]
pub struct Committer {
    plane: Plane,
    watcher: Watcher,
    /// The header before the first of `kept`.
    before: BatchHeader,
    kept: VecDeque<Committed>,
    signed: Option<Signed>,
    /// Whether the batch that was signed last is in the history executed here.
    stands_on_signed: bool,
}

/// Why a batch, or a commitment, gets no signature.
#[derive(Debug, Error)]
pub enum NotVouched {
    /// A batch is not what execution gives.
    #[error("batch {batch} is false, and nothing is signed: {difference}")]
    False {
        /// Which.
        batch: u64,
        /// How, as the L1 would judge.
        difference: Difference,
    },
    /// A batch came in another place than the next.
    #[error("batch {found} was shown where batch {expected} comes next")]
    Order {
        /// The number shown.
        found: u64,
        /// The next number.
        expected: u64,
    },
    /// The node shows another batch than the one that was signed.
    #[error(
        "batch {batch} was signed before as {signed}, and the node shows {found} now: somebody tells two histories, and \
         nothing is signed"
    )]
    OtherHistory {
        /// Which.
        batch: u64,
        /// Digest of the header that was signed.
        signed: Digest,
        /// Digest of the header that is shown.
        found: Digest,
    },
    /// A batch is of an earlier generation than the one before it.
    #[error("batch {batch} is of generation {found}, after one of generation {before}: nothing is signed")]
    Backwards {
        /// Which.
        batch: u64,
        /// Its generation.
        found: u32,
        /// That of the batch before.
        before: u32,
    },
    /// The history executed here does not have the batch that was signed.
    #[error(
        "batch {batch} of generation {generation} was signed before, and the node shows a history without it: nothing of \
         that generation is signed"
    )]
    Unseen {
        /// Which was signed.
        batch: u64,
        /// Its generation.
        generation: u32,
    },
    /// The sequencer has not signed the commitment.
    #[error("the commitment is not signed by the plane's sequencer, whoever shows it")]
    NotProposed,
    /// It is of a generation that is over.
    #[error("the commitment is of generation {found}, one of generation {signed} was signed before")]
    Over {
        /// Its generation.
        found: u32,
        /// The generation of what was signed.
        signed: u32,
    },
    /// Not all of its batches were executed here yet.
    #[error("batch {needed} has to be executed first, {newest} is the newest here")]
    Behind {
        /// The newest batch executed.
        newest: u64,
        /// The batch needed.
        needed: u64,
    },
    /// It begins before what is remembered.
    #[error("the commitment begins at batch {first}, what is remembered begins at {from}")]
    Forgotten {
        /// Its first batch.
        first: u64,
        /// The first batch remembered.
        from: u64,
    },
    /// The batches it claims make no commitment.
    #[error(transparent)]
    Claim(#[from] RunError),
    /// It claims something else about true batches.
    #[error("commitment {found} claims something else of batches {first} to {last} than what they are: {expected}")]
    OtherClaim {
        /// Its first batch.
        first: u64,
        /// Its last.
        last: u64,
        /// Its digest.
        found: Digest,
        /// The digest of a true one.
        expected: Digest,
    },
    /// The committer's own state does not hold: a bug, or its memory.
    #[error("the committer's own state does not hold: {0:#}")]
    Own(anyhow::Error),
}

impl Committer {
    /// One who begins with genesis, and has signed `signed` last. `index_seed` keeps others from guessing how memory is laid
    /// out.
    ///
    /// # Errors
    /// If genesis gives no state.
    pub fn new(plane: Plane, signed: Option<Signed>, index_seed: u64, workers: &dyn Workers) -> anyhow::Result<Self> {
        // He sends nothing to the L1 himself.
        let watcher = Watcher::new(plane.clone(), L1Address([0; 32]), index_seed, workers)?;
        let before = BatchHeader::genesis(watcher.state());
        Ok(Self { plane, watcher, before, kept: VecDeque::new(), stands_on_signed: signed.is_none(), signed })
    }

    /// The same who begins again: what was signed stays signed.
    ///
    /// # Errors
    /// If genesis gives no state.
    pub fn again(&self, index_seed: u64, workers: &dyn Workers) -> anyhow::Result<Self> {
        Self::new(self.plane.clone(), self.signed, index_seed, workers)
    }

    /// The newest batch that was executed here and came out as claimed; that of genesis before any.
    #[must_use]
    pub fn newest(&self) -> &BatchHeader {
        self.kept.back().map_or(&self.before, |kept| &kept.header)
    }

    /// The inbox entries that a batch claims to consume, if it is the next.
    #[must_use]
    pub fn inbox_of(&self, claimed: &BatchHeader) -> Range<u64> {
        let from = self.newest().inbox_upto;
        from..claimed.inbox_upto.max(from)
    }

    /// Executes the next batch and compares. Goes on to it only if the claim is true.
    ///
    /// # Errors
    /// [`NotVouched`], and the state is the one before the batch.
    pub fn check(
        &mut self,
        claimed: &BatchHeader,
        posted: Vec<u8>,
        inbox: &[InboxEntry],
        workers: &dyn Workers,
    ) -> Result<(), NotVouched> {
        let (found, expected) = (claimed.number, self.newest().number + 1);
        if found != expected {
            return Err(NotVouched::Order { found, expected });
        }
        let (generation, before) = (claimed.generation, self.newest().generation);
        if generation < before {
            return Err(NotVouched::Backwards { batch: found, found: generation, before });
        }
        let signed = self.signed.filter(|signed| signed.place() == (generation, found));
        if let Some(Signed { header, .. }) = signed {
            let digest = claimed.digest(self.plane.chain_id());
            if digest != header {
                return Err(NotVouched::OtherHistory { batch: found, signed: header, found: digest });
            }
        }
        let committed = Committed::new(&self.plane, claimed, &posted);
        let published = Published { header: *claimed, posted, first_batch: found };
        match self.watcher.check(&published, inbox, workers) {
            Ok(None) => {}
            Ok(Some(caught)) => return Err(NotVouched::False { batch: found, difference: caught.difference }),
            Err(error) => return Err(NotVouched::Own(error)),
        }
        self.stands_on_signed |= signed.is_some();
        self.kept.push_back(committed);
        while self.kept.len() > KEPT_MAX {
            self.forget_one();
        }
        Ok(())
    }

    /// Signs a commitment whose batches were all executed here, after `note` has kept what is signed for good.
    ///
    /// # Errors
    /// [`NotVouched`] for a commitment that is not the true one of its batches; whatever `note` fails with. Nothing is signed
    /// then.
    pub fn vouch<E: From<NotVouched>>(
        &mut self,
        proposal: &Commitment,
        key: &SigningKey,
        note: impl FnOnce(&Signed) -> Result<(), E>,
    ) -> Result<Attestation, E> {
        let last = self.true_claim(proposal)?;
        let signed =
            Signed { generation: proposal.generation, number: last.number, header: last.digest(self.plane.chain_id()) };
        // The highest counts: what it names, it stands on.
        if self.signed.as_ref().is_none_or(|before| before.place() < signed.place()) {
            note(&signed)?;
            (self.signed, self.stands_on_signed) = (Some(signed), true);
        }
        Ok(run::attest(&self.plane, key, proposal))
    }

    /// The last header of a commitment that is the true one of its batches.
    fn true_claim(&mut self, proposal: &Commitment) -> Result<BatchHeader, NotVouched> {
        let chain_id = self.plane.chain_id();
        // Whoever answers in the node's place could else have signed, and kept for good, what nobody proposed.
        let sequencer = proposal.attestations.first().filter(|by| by.key == self.plane.genesis().sequencer);
        if sequencer.is_none_or(|by| proposal.verify_attestation(chain_id, by).is_err()) {
            return Err(NotVouched::NotProposed);
        }
        let (first, last, newest) = (proposal.first_batch, proposal.last_header.number, self.newest().number);
        let generation = proposal.generation;
        if let Some(Signed { generation: signed, .. }) = self.signed.filter(|signed| signed.generation > generation) {
            return Err(NotVouched::Over { found: generation, signed });
        }
        let signed = self.signed.filter(|signed| signed.generation == generation);
        // Before the batch that was signed last is seen again, nobody knows whether this is the same history.
        let needed = signed.map_or(last, |signed| signed.number.max(last));
        if needed > newest {
            return Err(NotVouched::Behind { newest, needed });
        }
        if let Some(Signed { number: batch, .. }) = signed.filter(|_| !self.stands_on_signed) {
            return Err(NotVouched::Unseen { batch, generation });
        }
        let from = self.before.number + 1;
        if first < from {
            return Err(NotVouched::Forgotten { first, from });
        }
        // What is before the commitment is committed. Its last header is still asked for.
        while self.before.number + 1 < first && self.kept.len() > 1 {
            self.forget_one();
        }
        let count = usize::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(usize::MAX);
        let batches: Vec<Committed> = self.kept.iter().take(count).copied().collect();
        let expected = run::claim(&self.plane, generation, &self.before, &batches)?;
        let (found, expected) = (proposal.digest(chain_id), expected.digest(chain_id));
        let same_generation = |batch: &Committed| batch.header.generation == generation;
        match batches.last() {
            Some(newest) if found == expected && batches.iter().all(same_generation) => Ok(newest.header),
            _ => Err(NotVouched::OtherClaim { first, last, found, expected }),
        }
    }

    fn forget_one(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.before = oldest.header;
        }
    }
}

#[cfg(test)]
mod tests;
