//! A watcher: follows the L1 with a state of its own, believes nobody, and knows how to prove a lie.

use crate::local::{LocalL1, Published};
use anyhow::Context as _;
use ghostplane_engine::replay::{self, Difference, Stop, Verdict};
use ghostplane_engine::{Plane, witness};
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_keystone::Keystone;
use ghostplane_proof::BatchWitness;
use ghostplane_settlement::{Claim, ClaimedUnder, Event, Message, OpenCaseRequest, Purpose};
use ghostplane_types::batch::posted_digest;
use ghostplane_types::limits::CHUNK_BYTES_MAX;
use ghostplane_types::{BatchHeader, Encode, Flow, InboxEntry, L1Address, PlaneState, Withdrawal};
use std::time::{Duration, Instant};

/// A committed batch that is not what execution gives.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Which batch.
    pub number: u64,
    /// How it is false.
    pub difference: Difference,
    /// What convinces the L1.
    pub witness: Vec<u8>,
}

/// The watcher.
#[derive(Debug)]
pub struct Watcher {
    plane: Plane,
    keystone: Keystone,
    state: PlaneState,
    l1_address: L1Address,
    replayed: Duration,
}

impl Watcher {
    /// A watcher from genesis on.
    pub fn new(plane: Plane, l1_address: L1Address, index_seed: u64, workers: &dyn Workers) -> anyhow::Result<Self> {
        let mut keystone = Keystone::new(index_seed);
        let roots = keystone.apply(&plane.founding_changes()?, workers)?;
        let state = plane.genesis_state(roots);
        Ok(Self { plane, keystone, state, l1_address, replayed: Duration::ZERO })
    }

    /// The last state that the watcher has checked.
    pub fn state(&self) -> &PlaneState {
        &self.state
    }

    /// That state itself.
    pub fn keystone(&self) -> &Keystone {
        &self.keystone
    }

    /// The watcher's account on the L1.
    pub fn l1_address(&self) -> L1Address {
        self.l1_address
    }

    /// Time spent on executing what others claimed.
    pub fn replayed(&self) -> Duration {
        self.replayed
    }

    /// Executes every batch that the L1 shows and the watcher has not seen, up to the first lie.
    pub fn follow(&mut self, l1: &LocalL1, workers: &dyn Workers) -> anyhow::Result<Option<Caught>> {
        while l1.published().len() as u64 > self.state.number {
            let checked = self.follow_one(l1, workers)?;
            if checked.is_some() {
                return Ok(checked);
            }
        }
        Ok(None)
    }

    /// Executes the next batch that the L1 shows, if there is one.
    pub fn follow_one(&mut self, l1: &LocalL1, workers: &dyn Workers) -> anyhow::Result<Option<Caught>> {
        let Some(published) = l1.published().get(usize::try_from(self.state.number)?) else { return Ok(None) };
        let started = Instant::now();
        let checked = self.check(published, &self.inbox(l1, published), workers)?;
        self.replayed += started.elapsed();
        Ok(checked)
    }

    /// The witness of the next batch: what anybody needs to execute it.
    pub fn witness(&self, l1: &LocalL1, published: &Published, workers: &dyn Workers) -> Vec<u8> {
        let inbox = self.inbox(l1, published);
        witness(&self.plane, &self.keystone, &self.state, &inbox, &published.posted, workers).to_bytes()
    }

    /// What a prover needs of the next batch: anybody who follows the L1 can prove it.
    pub fn provable(
        &self,
        l1: &LocalL1,
        published: &Published,
        workers: &dyn Workers,
    ) -> anyhow::Result<(BatchWitness, Vec<Flow>)> {
        let (inbox, generation) = (self.inbox(l1, published), published.header.generation);
        let (plane, posted) = (&self.plane, &published.posted);
        let executed = replay::execute_posted(plane, &self.keystone, &self.state, generation, &inbox, posted, workers);
        let executed = executed.map_err(|stop| anyhow::anyhow!("the next batch cannot be executed: {stop:?}"))?;
        let witness = BatchWitness::collect(&self.keystone, executed.journal(), executed.changes())?;
        Ok((witness, executed.flows().to_vec()))
    }

    /// Opens a case about a committed batch, brings the material and has it judged.
    pub fn bring_case(
        &self,
        l1: &mut LocalL1,
        purpose: Purpose,
        number: u64,
        witness: &[u8],
    ) -> anyhow::Result<Vec<Event>> {
        let request = case_messages(&self.plane, l1.published(), purpose, number, witness)?;
        let posted = l1.published()[usize::try_from(number - 1)?].posted.clone();
        let opened = l1.send(self.l1_address, Message::OpenCase(Box::new(request)))?;
        let case = opened.iter().find_map(|event| match event {
            Event::CaseOpened { case, .. } => Some(*case),
            _ => None,
        });
        let case = case.context("the L1 opened no case")?;
        let material = [&posted[..], witness].concat();
        for (at, bytes) in material.chunks(CHUNK_BYTES_MAX).enumerate() {
            let offset = (at * CHUNK_BYTES_MAX) as u64;
            l1.send(self.l1_address, Message::Material { case, offset, bytes: bytes.to_vec() })?;
        }
        Ok(l1.send(self.l1_address, Message::Judge { case })?)
    }

    /// The entries that a batch claims to consume, as far as the L1 has them. A claim may be any number.
    fn inbox(&self, l1: &LocalL1, published: &Published) -> Vec<InboxEntry> {
        let known = l1.inbox();
        let at = |index: u64| usize::try_from(index).map_or(known.len(), |index| index.min(known.len()));
        let (from, upto) = (at(self.state.inbox_upto), at(published.header.inbox_upto));
        known[from..upto.max(from)].to_vec()
    }

    /// Executes one batch and compares. Moves on if the claim is true; keeps the state before it if not.
    ///
    /// # Errors
    /// If the watcher's own state does not hold.
    pub fn check(
        &mut self,
        published: &Published,
        inbox: &[InboxEntry],
        workers: &dyn Workers,
    ) -> anyhow::Result<Option<Caught>> {
        let Published { header: claimed, posted, .. } = published;
        let (plane, prev) = (&self.plane, self.state);
        match replay::execute_posted(plane, &self.keystone, &prev, claimed.generation, inbox, posted, workers) {
            Ok(executed) => {
                let changes = executed.changes().clone();
                let roots = self.keystone.apply(&changes, workers)?;
                if executed.seal(plane, roots).header() == claimed {
                    self.state = claimed.state();
                    return Ok(None);
                }
                self.keystone.revert(&changes, &prev.roots, workers)?;
            }
            Err(Stop::Differs(_)) => {}
            Err(Stop::Insufficient(reason)) => anyhow::bail!("the watcher's own state does not hold: {reason}"),
        }
        self.prove(published, inbox, workers).map(Some)
    }

    /// Builds the witness that shows a lie, and judges it as the L1 will.
    fn prove(&self, published: &Published, inbox: &[InboxEntry], workers: &dyn Workers) -> anyhow::Result<Caught> {
        let Published { header: claimed, posted, .. } = published;
        let witness = witness(&self.plane, &self.keystone, &self.state, inbox, posted, workers).to_bytes();
        let case = replay::Case {
            plane: &self.plane,
            generation: claimed.generation,
            prev: &self.state,
            inbox,
            posted,
            witness: &witness,
            claimed,
        };
        match replay::replay(&case, workers) {
            Verdict::Differs(difference) => Ok(Caught { number: claimed.number, difference, witness }),
            verdict => anyhow::bail!("a batch that differs was judged {verdict:?}"),
        }
    }
}

/// The opening of a case about batch `number`, from what the L1 shows to everybody.
pub fn case_messages(
    plane: &Plane,
    published: &[Published],
    purpose: Purpose,
    number: u64,
    witness: &[u8],
) -> anyhow::Result<OpenCaseRequest> {
    let chain_id = plane.chain_id();
    let at = usize::try_from(number)?.checked_sub(1).context("batches count from 1")?;
    let batch = published.get(at).context("the L1 shows no such batch")?;
    let under: Vec<&Published> = published.iter().filter(|other| other.first_batch == batch.first_batch).collect();
    let headers = merkle::Tree::new(under.iter().map(|other| other.header.digest(chain_id)).collect());
    let data: Vec<Digest> = under.iter().map(|other| posted_digest(chain_id, &other.posted)).collect();
    let index = number - batch.first_batch;
    let prev = at.checked_sub(1).map(|before| published[before].header);
    let path = |tree: &merkle::Tree, index| tree.path(index).context("the batch is in its commitment");
    Ok(OpenCaseRequest {
        purpose,
        header: batch.header,
        header_path: path(&headers, index)?,
        prev: match prev {
            Some(prev) => prev,
            None => BatchHeader::genesis(&genesis_state(plane)?),
        },
        prev_path: if index == 0 { None } else { Some(path(&headers, index - 1)?) },
        posted: data[usize::try_from(index)?],
        posted_path: path(&merkle::Tree::new(data), index)?,
        witness_len: witness.len() as u64,
    })
}

/// The claim of a withdrawal that a final batch made, from what the L1 shows and the batch's withdrawals.
pub fn claim_message(
    plane: &Plane,
    published: &[Published],
    number: u64,
    withdrawals: &[Withdrawal],
    index: usize,
) -> anyhow::Result<Message> {
    let chain_id = plane.chain_id();
    let batch = published.get(usize::try_from(number)? - 1).context("the L1 shows no such batch")?;
    let under = published.iter().filter(|other| other.first_batch == batch.first_batch);
    let headers = merkle::Tree::new(under.map(|other| other.header.digest(chain_id)).collect());
    let outbox = merkle::Tree::new(withdrawals.iter().map(|withdrawal| withdrawal.leaf(chain_id)).collect());
    Ok(Message::Claim(Box::new(Claim {
        under: ClaimedUnder::Recent { first_batch: batch.first_batch },
        header: batch.header,
        header_path: headers.path(number - batch.first_batch).context("the batch is in its commitment")?,
        withdrawal: *withdrawals.get(index).context("the batch has no such withdrawal")?,
        outbox_path: outbox.path(index as u64).context("the batch has no such withdrawal")?,
    })))
}

fn genesis_state(plane: &Plane) -> anyhow::Result<PlaneState> {
    let mut keystone = Keystone::new(0);
    let roots = keystone.apply(&plane.founding_changes()?, &ghostplane_ghostcipher::workers::Serial)?;
    Ok(plane.genesis_state(roots))
}
