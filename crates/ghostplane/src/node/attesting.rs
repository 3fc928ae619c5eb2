//! Attestations of committers: what the node wants to commit, who has vouched for it, and how long it waits for them.
//!
//! ```text
//!  [settle] -- proposal --> Attesting <-- attestations -- committers, over gRPC
//!      ^                        |
//!      +------- quorum ---------+
//! ```
//!
//! A proposal stands until it is committed, so that committers who are slow vouch for the same as those who are fast. It goes
//! when the L1 refuses it, or goes back. Nothing is kept over a start: the next proposal is made of what the L1 does not have,
//! and whoever has executed it vouches for it once more.

use crossbeam_channel::{Receiver, Sender, TrySendError};
use ghostplane_ghostcipher::{Digest, VerificationKey};
use ghostplane_settlement::Refusal;
use ghostplane_types::{Attestation, BatchHeader, Commitment, Committers, Genesis};
use parking_lot::Mutex;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;

/// The way from the sequencer's commitment to one that a quorum vouches for. Shared by who commits and who is asked.
pub(super) struct Attesting {
    chain_id: u64,
    committers: Committers,
    wait_max: Duration,
    desk: Mutex<Desk>,
    reached: Sender<()>,
    late: watch::Sender<bool>,
}

#[derive(Default)]
struct Desk {
    open: Option<Proposal>,
    /// Since when something waits for committers; over proposals that the L1 refused, too.
    since: Option<Instant>,
}

struct Proposal {
    digest: Digest,
    /// With all attestations so far, the sequencer's first.
    commitment: Commitment,
    weight: u32,
}

/// What there is to be done with what the sequencer wants to commit.
pub(super) enum Standing {
    /// Nothing is proposed that follows the L1's tip.
    Nothing,
    /// Committers are to vouch for it.
    Waits,
    /// It can be committed.
    Attested(Box<Commitment>),
}

/// Why an attestation is not taken.
#[derive(Debug, Error)]
pub(crate) enum AttestError {
    /// It is about something else than what is proposed now.
    #[error("commitment {0} is not proposed, or no longer: ask for the proposal")]
    NotProposed(Digest),
    /// As the L1 would refuse it.
    #[error("{0}")]
    Refused(Refusal),
}

/// How collecting attestations stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttestingView {
    /// The weight that a commitment needs.
    pub quorum: u32,
    /// The weight of those who have vouched for what is proposed.
    pub weight: u32,
    /// First and last batch of what is proposed; zeros if nothing is.
    pub batches: (u64, u64),
    /// Milliseconds that it has waited, those included that earlier proposals of the same batches did.
    pub waited_ms: u64,
    /// Milliseconds from which on nothing more is taken.
    pub wait_max_ms: u64,
    /// Who has not vouched for what is proposed.
    pub missing: Vec<VerificationKey>,
}

impl Attesting {
    /// What genesis asks for. The receiver hears of each quorum once.
    pub(super) fn new(genesis: &Genesis, wait_max: Duration) -> (Self, Receiver<()>) {
        let (reached, hears) = crossbeam_channel::bounded(1);
        let attesting = Self {
            chain_id: genesis.chain_id,
            committers: genesis.committers.clone(),
            wait_max,
            desk: Mutex::default(),
            reached,
            late: watch::Sender::new(false),
        };
        (attesting, hears)
    }

    /// Whether commitments need anybody but the sequencer.
    pub(super) fn is_required(&self) -> bool {
        self.committers.is_required()
    }

    /// Proposes a commitment that the sequencer has attested, in place of what was proposed before.
    pub(super) fn propose(&self, commitment: Commitment, now: Instant) {
        let digest = commitment.digest(self.chain_id);
        let mut desk = self.desk.lock();
        desk.open = Some(Proposal { digest, commitment, weight: 0 });
        desk.since.get_or_insert(now);
    }

    /// What became of the proposal, if it is one of this generation that follows the L1's tip. Any other is dropped.
    pub(super) fn standing(&self, tip: &BatchHeader, generation: u32) -> Standing {
        let mut desk = self.desk.lock();
        let prev = tip.digest(self.chain_id);
        let follows =
            |open: &Proposal| open.commitment.prev_header_digest == prev && open.commitment.generation == generation;
        if !desk.open.as_ref().is_some_and(follows) {
            desk.open = None;
        }
        match &desk.open {
            None => Standing::Nothing,
            Some(open) if open.weight < self.committers.quorum => Standing::Waits,
            Some(open) => Standing::Attested(Box::new(open.commitment.clone())),
        }
    }

    /// The L1 does not take what was proposed: another range may do better, with the inbox consumed further.
    pub(super) fn refused(&self) {
        self.desk.lock().open = None;
    }

    /// The L1 has taken a commitment up to this batch.
    pub(super) fn committed(&self, number: u64) {
        let mut desk = self.desk.lock();
        // Told again of what is known, a proposal behind it waits as before.
        if desk.open.as_ref().is_none_or(|open| open.commitment.first_batch <= number) {
            *desk = Desk::default();
            drop(desk);
            self.set_late(false);
        }
    }

    /// Looks whether committers have been waited for too long. To be called now and then.
    pub(super) fn look(&self, now: Instant) {
        let desk = self.desk.lock();
        let waits = desk.open.as_ref().is_some_and(|open| open.weight < self.committers.quorum);
        let since = desk.since.filter(|_| waits);
        let late = since.is_some_and(|since| now.saturating_duration_since(since) > self.wait_max);
        drop(desk);
        self.set_late(late);
    }

    fn set_late(&self, late: bool) {
        self.late.send_if_modified(|known| std::mem::replace(known, late) != late);
    }

    /// Whether committers have been waited for so long that no more transactions are taken.
    pub(super) fn is_late(&self) -> bool {
        *self.late.borrow()
    }

    /// Says when they are there again.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.late.subscribe()
    }

    /// What committers are asked to vouch for, with what others have said already.
    pub(super) fn proposal(&self) -> Option<Commitment> {
        self.desk.lock().open.as_ref().map(|open| open.commitment.clone())
    }

    /// Takes a committer's word, from whoever brings it. Returns the weight of all so far.
    pub(super) fn attest(&self, digest: &Digest, by: Attestation) -> Result<u32, AttestError> {
        let not_proposed = || AttestError::NotProposed(*digest);
        let weight = self.committers.weight_of(&by.key);
        let weight = weight.ok_or(AttestError::Refused(Refusal::UnknownAttester { key: by.key }))?;
        // Whoever has said it already is not checked again, and nothing is checked under the lock.
        let commitment = {
            let desk = self.desk.lock();
            let open = desk.open.as_ref().filter(|open| open.digest == *digest).ok_or_else(not_proposed)?;
            if is_among(&open.commitment, &by.key) {
                return Ok(open.weight);
            }
            open.commitment.clone()
        };
        let verified = commitment.verify_attestation(self.chain_id, &by);
        verified.map_err(|_| AttestError::Refused(Refusal::AttestationInvalid { key: by.key }))?;

        let mut desk = self.desk.lock();
        let open = desk.open.as_mut().filter(|open| open.digest == *digest).ok_or_else(not_proposed)?;
        if !is_among(&open.commitment, &by.key) {
            open.commitment.attestations.push(by);
            open.weight += u32::from(weight);
        }
        let weight = open.weight;
        drop(desk);
        if weight >= self.committers.quorum {
            self.set_late(false);
            match self.reached.try_send(()) {
                // Word of it is on its way, or the node ends.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
        Ok(weight)
    }

    /// How it stands; nothing where genesis names no committers.
    pub(super) fn view(&self, now: Instant) -> Option<AttestingView> {
        if !self.is_required() {
            return None;
        }
        let desk = self.desk.lock();
        let mut view = AttestingView {
            quorum: self.committers.quorum,
            wait_max_ms: millis(self.wait_max),
            ..AttestingView::default()
        };
        if let Some(open) = &desk.open {
            view.weight = open.weight;
            view.batches = (open.commitment.first_batch, open.commitment.last_header.number);
            view.waited_ms = desk.since.map_or(0, |since| millis(now.saturating_duration_since(since)));
            let silent = self.committers.members.iter().filter(|member| !is_among(&open.commitment, &member.key));
            view.missing = silent.map(|member| member.key).collect();
        }
        Some(view)
    }

    /// The weight that a commitment needs.
    pub(super) fn quorum(&self) -> u32 {
        self.committers.quorum
    }
}

fn is_among(commitment: &Commitment, key: &VerificationKey) -> bool {
    commitment.attestations.iter().any(|by| by.key == *key)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_engine::Plane;
    use ghostplane_ghostbridge::run::{self, Committed};
    use ghostplane_ghostcipher::SigningKey;
    use ghostplane_keystone::Keystone;
    use ghostplane_types::{Address, Committer};

    const WAIT: Duration = Duration::from_secs(60);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32])
    }

    /// A plane that asks for two of three.
    struct Desk {
        plane: Plane,
        attesting: Attesting,
        reached: Receiver<()>,
        tip: BatchHeader,
    }

    impl Desk {
        fn new() -> Self {
            let mut genesis = Genesis::dev(1_000, key(1).verification_key(), Address::from_bytes([9; 32]));
            let member = |seed| Committer { key: key(seed).verification_key(), weight: 1 };
            genesis.committers.members = [2, 3, 4].map(member).to_vec();
            genesis.committers.members.sort_unstable_by_key(|member| *member.key.as_bytes());
            genesis.committers.quorum = 2;
            let (attesting, reached) = Attesting::new(&genesis, WAIT);
            let plane = Plane::new(genesis).expect("sound terms");
            let mut keystone = Keystone::new(0);
            let changes = plane.founding_changes().expect("sound terms");
            let roots = keystone.apply(&changes, &ghostplane_ghostcipher::workers::Serial).expect("an empty state");
            let tip = BatchHeader::genesis(&plane.genesis_state(roots));
            Self { plane, attesting, reached, tip }
        }

        /// The sequencer's commitment to so many batches.
        fn commitment(&self, batches: u64) -> Commitment {
            let batch = |number| {
                let header = BatchHeader { number, ..self.tip };
                Committed { header, posted: Digest([7; 32]), posted_len: 100 }
            };
            let batches: Vec<Committed> = (1..=batches).map(batch).collect();
            let mut commitment = run::claim(&self.plane, 0, &self.tip, &batches).expect("batches in order");
            commitment.attestations.push(run::attest(&self.plane, &key(1), &commitment));
            commitment
        }

        fn attest(&self, seed: u8, commitment: &Commitment) -> Result<u32, AttestError> {
            let by = run::attest(&self.plane, &key(seed), commitment);
            self.attesting.attest(&commitment.digest(self.plane.chain_id()), by)
        }
    }

    #[test]
    fn a_proposal_waits_until_enough_have_vouched_for_it_each_counted_once() {
        let desk = Desk::new();
        assert!(matches!(desk.attesting.standing(&desk.tip, 0), Standing::Nothing));
        let commitment = desk.commitment(2);
        desk.attesting.propose(commitment.clone(), Instant::now());
        assert!(matches!(desk.attesting.standing(&desk.tip, 0), Standing::Waits));
        for _ in 0..3 {
            assert_eq!(desk.attest(2, &commitment).expect("a committer"), 1);
        }
        assert!(matches!(desk.attesting.standing(&desk.tip, 0), Standing::Waits));
        assert!(desk.reached.is_empty());
        let view = desk.attesting.view(Instant::now()).expect("committers");
        assert_eq!((view.quorum, view.weight, view.batches, view.missing.len()), (2, 1, (1, 2), 2));

        assert_eq!(desk.attest(4, &commitment).expect("another"), 2);
        assert_eq!(desk.reached.try_recv(), Ok(()));
        let Standing::Attested(attested) = desk.attesting.standing(&desk.tip, 0) else { panic!("a quorum") };
        let keys: Vec<VerificationKey> = attested.attestations.iter().map(|by| by.key).collect();
        assert_eq!(keys, [1, 2, 4].map(|seed| key(seed).verification_key()));
        assert_eq!(attested.digest(1337), commitment.digest(1337));
    }

    #[test]
    fn nobody_else_counts_and_no_word_about_anything_else() {
        let desk = Desk::new();
        let (proposed, other) = (desk.commitment(2), desk.commitment(3));
        desk.attesting.propose(proposed.clone(), Instant::now());
        assert!(matches!(desk.attest(2, &other), Err(AttestError::NotProposed(_))));
        let refusal = |result| match result {
            Err(AttestError::Refused(refusal)) => refusal.code(),
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(refusal(desk.attest(9, &proposed)), 394);
        assert_eq!(refusal(desk.attest(1, &proposed)), 394, "the sequencer is no committer");
        let mut bent = run::attest(&desk.plane, &key(2), &proposed);
        bent.signature.0[5] ^= 1;
        assert_eq!(refusal(desk.attesting.attest(&proposed.digest(1337), bent)), 393);
        let of_other = run::attest(&desk.plane, &key(2), &other);
        assert_eq!(refusal(desk.attesting.attest(&proposed.digest(1337), of_other)), 393);
        assert_eq!(desk.attesting.view(Instant::now()).expect("committers").weight, 0);
    }

    #[test]
    fn what_the_l1_refuses_or_leaves_behind_is_proposed_no_more() {
        let desk = Desk::new();
        desk.attesting.propose(desk.commitment(2), Instant::now());
        desk.attesting.refused();
        assert!(desk.attesting.proposal().is_none());
        desk.attesting.propose(desk.commitment(3), Instant::now());
        assert!(matches!(desk.attesting.standing(&desk.tip, 1), Standing::Nothing), "another generation");
        desk.attesting.propose(desk.commitment(3), Instant::now());
        let later = BatchHeader { number: 3, ..desk.tip };
        assert!(matches!(desk.attesting.standing(&later, 0), Standing::Nothing), "another tip");
    }

    #[test]
    fn waiting_is_counted_from_the_first_proposal_until_one_is_committed() {
        let desk = Desk::new();
        let begin = Instant::now();
        desk.attesting.look(begin + 2 * WAIT);
        assert!(!desk.attesting.is_late(), "nothing waits");
        desk.attesting.propose(desk.commitment(2), begin);
        desk.attesting.look(begin + WAIT);
        assert!(!desk.attesting.is_late());
        // A refusal by the L1 does not begin it anew.
        desk.attesting.refused();
        let commitment = desk.commitment(3);
        desk.attesting.propose(commitment.clone(), begin + WAIT);
        // Nor does word of what was committed long ago.
        desk.attesting.committed(0);
        desk.attesting.look(begin + WAIT + Duration::from_millis(1));
        assert!(desk.attesting.is_late());
        desk.attest(2, &commitment).expect("a committer");
        assert!(desk.attesting.is_late());
        desk.attest(3, &commitment).expect("another");
        assert!(!desk.attesting.is_late(), "a quorum is there");
        desk.attesting.committed(3);
        desk.attesting.propose(desk.commitment(2), begin + 10 * WAIT);
        desk.attesting.look(begin + 11 * WAIT);
        assert!(!desk.attesting.is_late());
    }
}
