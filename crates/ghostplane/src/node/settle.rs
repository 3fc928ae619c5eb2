//! The thread between plane and L1: tells the core of blocks and ripe inbox entries, and commits batches, one run a block.

use super::api::NodeEvent;
use super::attesting::Standing;
use super::core::ToCore;
use super::prove::{BLOCKS_TO_PROVE, Ready};
use super::{Inner, now_ms};
use crossbeam_channel::{Receiver, Sender, select_biased};
use ghostplane_ghostbridge::{Block, Included, RunRefused, run};
use ghostplane_ghostcipher::SigningKey;
use ghostplane_ghostcipher::merkle;
use ghostplane_settlement::{Event, Message, ProofBundle, ProvenBatch, Settlement};
use ghostplane_store::HistoryBatch;
use ghostplane_types::BatchHeader;
use ghostplane_types::limits::{BATCH_TRANSACTIONS_MAX, COMMITMENT_BATCHES_MAX};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Messages to the core that it has not taken; then this thread waits for it. It may: the core never waits for this thread, whose
/// posts are bounded by what the sequencer lets be uncommitted.
pub(super) const NEWS_MAX: usize = 16;

/// Something for the L1.
pub(super) enum ToSettle {
    /// A batch may be committed.
    Post {
        /// Its number.
        number: u64,
    },
}

/// What the L1 was sent and has not answered about.
struct Sent {
    /// Messages that have to do with commitments; those of a proof come after them.
    commitment: usize,
    proof: Option<(Arc<Ready>, ProofBundle)>,
}

pub(super) struct Settle {
    pub(super) shared: Arc<Inner>,
    pub(super) key: Arc<SigningKey>,
    pub(super) core: Sender<ToCore>,
    /// Room for messages to the core.
    pub(super) news: Sender<()>,
    /// Committers of enough weight have vouched for what was proposed.
    pub(super) attested: Receiver<()>,
}

impl Settle {
    /// Runs until the core sends no more.
    pub(super) fn run(self, posts: &Receiver<ToSettle>) {
        let mut blocks = self.shared.l1.subscribe();
        let (answered, answers) = crossbeam_channel::unbounded::<Result<Included, RunRefused>>();
        let mut waiting: VecDeque<u64> = VecDeque::new();
        let mut sent: Option<Sent> = None;
        // What the L1 knows already counts as the first block.
        if self.tell_core().is_err() {
            return;
        }
        loop {
            select_biased! {
                recv(posts) -> post => match post {
                    Ok(ToSettle::Post { number }) => waiting.push_back(number),
                    Err(_) => return,
                },
                recv(answers) -> answer => {
                    if let (Ok(answer), Some(sent)) = (answer, sent.take()) {
                        self.hear(&answer, sent);
                    }
                },
                // The next block can have it.
                recv(self.attested) -> _ => if sent.is_none() {
                    sent = self.send(&mut waiting, &answered);
                },
                recv(blocks) -> block => match block {
                    Ok(block) => {
                        if self.follow(&block).is_err() {
                            return;
                        }
                        if sent.is_none() {
                            sent = self.send(&mut waiting, &answered);
                        }
                    }
                    Err(_) => {
                        // Too far behind, or the L1 has stopped. A commitment that was missed shows in its state.
                        blocks = self.shared.l1.subscribe();
                        if self.shared.is_stopping() || self.catch_up().is_err() {
                            return;
                        }
                    }
                },
            }
        }
    }

    fn follow(&self, block: &Block) -> Result<(), ()> {
        let l1_height = block.height;
        let committed = block.events.iter().filter_map(|event| match event {
            Event::Committed { first_batch, last_batch } => Some((*first_batch, *last_batch)),
            _ => None,
        });
        for (first_batch, last_batch) in committed {
            self.tell_committed(last_batch)?;
            let _ = self.shared.events.send(NodeEvent::Committed { first_batch, last_batch, l1_height });
        }
        for event in &block.events {
            match event {
                Event::Proven { first_batch, last_batch } => {
                    self.shared.proving.proven(*first_batch, *last_batch);
                    self.tell_proven();
                    let (first_batch, last_batch) = (*first_batch, *last_batch);
                    let _ = self.shared.events.send(NodeEvent::Proven { first_batch, last_batch, l1_height });
                }
                Event::Replayed { .. } => self.tell_proven(),
                Event::Final { batch } => {
                    self.shared.progress.send_modify(|progress| progress.final_batch = *batch);
                    self.tell_proven();
                    let _ = self.shared.events.send(NodeEvent::Final { batch: *batch, l1_height });
                }
                Event::Reverted { first_batch, generation } => {
                    let (first_batch, generation) = (*first_batch, *generation);
                    let _ = self.shared.events.send(NodeEvent::Reverted { first_batch, generation });
                    self.shared.fail(format!(
                        "the L1 convicted batch {first_batch}: the plane goes on from the batch before it in generation \
                         {generation}. Find out what went wrong, then start the node again"
                    ));
                    return Err(());
                }
                _ => {}
            }
        }
        self.shared.attesting.look(Instant::now());
        let progress = *self.shared.progress.borrow();
        let too_late = self.shared.l1.with_settlement(|l1| l1.final_in(BLOCKS_TO_PROVE));
        self.shared.proving.follow(progress.committed, progress.final_batch, too_late);
        if let Some(fault) = self.shared.proving.take_fault() {
            self.shared.note(fault);
        }
        let inbox_end = self.shared.l1.inbox_end();
        let event = NodeEvent::L1Block { height: block.height, time: block.time, inbox_end };
        let _ = self.shared.events.send(event);
        self.tell_core()
    }

    /// After blocks were missed: what they brought shows in the settlement.
    fn catch_up(&self) -> Result<(), ()> {
        let (tip, final_batch, generation, too_late) = self
            .shared
            .l1
            .with_settlement(|l1| (l1.tip().number, l1.final_number(), l1.generation(), l1.final_in(BLOCKS_TO_PROVE)));
        // By the log: after a conviction it is in the next generation before any batch is.
        if generation != self.shared.log_end.lock().generation {
            self.shared.fail("the L1 went on in another generation: start the node again".into());
            return Err(());
        }
        self.tell_committed(tip)?;
        self.shared.progress.send_modify(|progress| progress.final_batch = final_batch);
        self.tell_proven();
        self.shared.proving.follow(tip, final_batch, too_late);
        self.tell_core()
    }

    fn tell_committed(&self, number: u64) -> Result<(), ()> {
        let generation = self.shared.l1.with_settlement(Settlement::generation);
        self.shared.attesting.committed(number);
        self.shared.progress.send_modify(|progress| progress.committed = progress.committed.max(number));
        self.tell(ToCore::Committed { generation, number })
    }

    fn tell_proven(&self) {
        let proven = self.shared.l1.with_settlement(Settlement::proven_number);
        self.shared.progress.send_modify(|progress| progress.proven = proven);
    }

    /// What became of what was sent. A refused proof is no fault: its batches may be final by now.
    fn hear(&self, answer: &Result<Included, RunRefused>, sent: Sent) {
        let taken = match answer {
            Ok(_) => true,
            Err(refused) => {
                let what = if refused.taken < sent.commitment { "a commitment" } else { "a proof" };
                self.shared.note(format!("the L1 did not take {what}: {}", refused.refusal));
                if refused.taken < sent.commitment {
                    // The proof was not tried.
                    self.shared.attesting.refused();
                    return;
                }
                false
            }
        };
        if let Some((ready, bundle)) = sent.proof {
            self.shared.proving.answered(&ready, taken.then_some(&bundle));
        }
    }

    /// The newest block and the inbox entries that are deep enough below it.
    fn tell_core(&self) -> Result<(), ()> {
        let wanted = self.shared.inbox_wanted.load(Ordering::Relaxed);
        let (time, ripe) = self.shared.l1.with_settlement(|l1| (l1.block().time, l1.inbox_ripe_upto()));
        let upto = ripe.min(wanted + 2 * BATCH_TRANSACTIONS_MAX as u64);
        let entries = match self.shared.l1.inbox(wanted, upto) {
            Ok(entries) => entries,
            Err(error) => {
                self.shared.fail(format!("the L1 cannot show its inbox: {error}"));
                return Err(());
            }
        };
        self.tell(ToCore::L1Block { time, entries })
    }

    fn tell(&self, news: ToCore) -> Result<(), ()> {
        self.news.send(()).map_err(|_| ())?;
        self.core.send(news).map_err(|_| ())
    }

    /// Sends what waits, as much as a block takes: a commitment, and a proof behind it. Something if an answer will come.
    fn send(&self, waiting: &mut VecDeque<u64>, answered: &Sender<Result<Included, RunRefused>>) -> Option<Sent> {
        let shared = &self.shared;
        let mut messages = self.commitment(waiting)?;
        let commitment = messages.len();
        let proof = self.proof();
        if let Some((_, bundle)) = &proof {
            messages.extend(run::proof_run(bundle));
        }
        if messages.is_empty() {
            return None;
        }
        let sequence = shared.l1.account(&run::l1_address(&self.key)).next_sequence;
        match run::sign_run(&shared.plane, &self.key, sequence, &messages) {
            Ok(signed) => {
                let answered = answered.clone();
                shared.l1.submit_all(signed, move |answer| drop(answered.send(answer)));
                Some(Sent { commitment, proof })
            }
            Err(error) => {
                shared.fail(format!("a message is too long for the L1: {error}"));
                None
            }
        }
    }

    /// The next proof whose batches the L1 knows, with the paths of their headers.
    fn proof(&self) -> Option<(Arc<Ready>, ProofBundle)> {
        let ready = self.shared.proving.next_ready()?;
        let chain_id = self.shared.plane.chain_id();
        let mut batches = Vec::with_capacity(ready.batches.len());
        let mut under: Option<(u64, u64, merkle::Tree)> = None;
        for (header, flows) in &ready.batches {
            let number = header.number;
            if under.as_ref().is_none_or(|(first, last, _)| !(*first..=*last).contains(&number)) {
                let commitment = self.shared.l1.commitment_of(number).ok().flatten();
                let Some(commitment) = commitment else {
                    self.shared.note(format!("the commitment of batch {number} cannot be read for its proof"));
                    self.shared.proving.answered(&ready, None);
                    return None;
                };
                let digests = commitment.headers.iter().map(|header| header.digest(chain_id)).collect();
                let range = (commitment.commitment.first_batch, commitment.last_batch);
                under = Some((range.0, range.1, merkle::Tree::new(digests)));
            }
            let (first, _, tree) = under.as_ref()?;
            let header_path = number.checked_sub(*first).and_then(|at| tree.path(at))?;
            batches.push(ProvenBatch { header: *header, header_path, flows: flows.clone() });
        }
        let bundle = ProofBundle { previous: ready.previous, batches, proof: ready.proof.clone() };
        Some((ready, bundle))
    }

    /// The messages that commit what waits, as much as a block takes; none if nothing does, or committers are to vouch for it
    /// first. Nothing at all if the node fails.
    fn commitment(&self, waiting: &mut VecDeque<u64>) -> Option<Vec<Message>> {
        let shared = &self.shared;
        let (tip, generation, next_posted) =
            shared.l1.with_settlement(|l1| (*l1.tip(), l1.generation(), l1.next_posted()));
        while waiting.pop_front_if(|number| *number <= tip.number).is_some() {}
        if waiting.front().is_some_and(|first| *first != tip.number + 1) {
            shared.fail(format!("batch {} should be committed next, and is not there", tip.number + 1));
            return None;
        }
        let (commitment, batches) = match shared.attesting.standing(&tip, generation) {
            Standing::Waits => return Some(Vec::new()),
            Standing::Attested(commitment) => {
                let last = commitment.last_header.number;
                let numbers: Vec<u64> = waiting.iter().copied().take_while(|number| *number <= last).collect();
                (*commitment, self.batches(&numbers)?)
            }
            Standing::Nothing => {
                let batches = self.fitting(waiting)?;
                if batches.is_empty() {
                    return Some(Vec::new());
                }
                let commitment = match run::commitment(&shared.plane, &self.key, generation, &tip, &parts(&batches)) {
                    Ok(commitment) => commitment,
                    Err(error) => {
                        shared.fail(format!("no commitment can be made: {error}"));
                        return None;
                    }
                };
                if shared.attesting.is_required() {
                    shared.attesting.propose(commitment, Instant::now());
                    return Some(Vec::new());
                }
                (commitment, batches)
            }
        };
        let mut messages = run::posting_run(commitment, &parts(&batches));
        if next_posted != tip.number + 1 {
            messages.insert(0, Message::DiscardData);
        }
        Some(messages)
    }

    /// The first batches that wait, as many as one block takes. Nothing at all if the node fails.
    fn fitting(&self, waiting: &VecDeque<u64>) -> Option<Vec<Arc<HistoryBatch>>> {
        // The next block is no earlier than now, and no batch may be later than the block that takes it.
        let now = now_ms();
        let mut batches: Vec<Arc<HistoryBatch>> = Vec::new();
        for number in waiting.iter().take(COMMITMENT_BATCHES_MAX) {
            let batch = self.batch(*number)?;
            if batch.header.time > now {
                break;
            }
            batches.push(batch);
            let sizes = batches.iter().map(|batch| batch.posted.len());
            if run::fitting(&self.shared.plane, sizes) < batches.len() {
                batches.pop();
                break;
            }
        }
        Some(batches)
    }

    fn batches(&self, numbers: &[u64]) -> Option<Vec<Arc<HistoryBatch>>> {
        numbers.iter().map(|number| self.batch(*number)).collect()
    }

    fn batch(&self, number: u64) -> Option<Arc<HistoryBatch>> {
        match self.shared.history_batch(number) {
            Ok(Some(batch)) => return Some(batch),
            Ok(None) => self.shared.fail(format!("batch {number} is to be committed, and its data is gone")),
            Err(error) => {
                self.shared.fail(format!("batch {number} cannot be read for its commitment: {error}"));
            }
        }
        None
    }
}

fn parts(batches: &[Arc<HistoryBatch>]) -> Vec<(&BatchHeader, &[u8])> {
    batches.iter().map(|batch| (&batch.header, batch.posted.as_slice())).collect()
}
