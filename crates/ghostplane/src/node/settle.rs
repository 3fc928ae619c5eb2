//! The thread between plane and L1: tells the core of blocks and ripe inbox entries, and commits batches, one run a block.

use super::api::NodeEvent;
use super::core::ToCore;
use super::{Inner, now_ms};
use crossbeam_channel::{Receiver, Sender, select_biased};
use ghostplane_ghostbridge::{Block, Included, RunRefused, run};
use ghostplane_ghostcipher::SigningKey;
use ghostplane_settlement::{Event, Message};
use ghostplane_store::HistoryBatch;
use ghostplane_types::limits::{BATCH_TRANSACTIONS_MAX, COMMITMENT_BATCHES_MAX};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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

pub(super) struct Settle {
    pub(super) shared: Arc<Inner>,
    pub(super) key: Arc<SigningKey>,
    pub(super) core: Sender<ToCore>,
    /// Room for messages to the core.
    pub(super) news: Sender<()>,
}

impl Settle {
    /// Runs until the core sends no more.
    pub(super) fn run(self, posts: &Receiver<ToSettle>) {
        let mut blocks = self.shared.l1.subscribe();
        let (answered, answers) = crossbeam_channel::unbounded::<Result<Included, RunRefused>>();
        let mut waiting: VecDeque<u64> = VecDeque::new();
        let mut is_asked = false;
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
                    is_asked = false;
                    if let Ok(Err(refused)) = answer {
                        self.shared.note(format!("the L1 did not take a commitment: {}", refused.refusal));
                    }
                },
                recv(blocks) -> block => match block {
                    Ok(block) => {
                        if self.follow(&block).is_err() {
                            return;
                        }
                        if !is_asked && self.commit(&mut waiting, &answered) {
                            is_asked = true;
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
                Event::Final { batch } => {
                    self.shared.progress.send_modify(|progress| progress.final_batch = *batch);
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
        let inbox_end = self.shared.l1.inbox_end();
        let event = NodeEvent::L1Block { height: block.height, time: block.time, inbox_end };
        let _ = self.shared.events.send(event);
        self.tell_core()
    }

    /// After blocks were missed: what they brought shows in the settlement.
    fn catch_up(&self) -> Result<(), ()> {
        let (tip, final_batch, generation) =
            self.shared.l1.with_settlement(|l1| (l1.tip().number, l1.final_number(), l1.generation()));
        // By the log: after a conviction it is in the next generation before any batch is.
        if generation != self.shared.log_end.lock().generation {
            self.shared.fail("the L1 went on in another generation: start the node again".into());
            return Err(());
        }
        self.tell_committed(tip)?;
        self.shared.progress.send_modify(|progress| progress.final_batch = final_batch);
        self.tell_core()
    }

    fn tell_committed(&self, number: u64) -> Result<(), ()> {
        let generation = self.shared.l1.with_settlement(ghostplane_settlement::Settlement::generation);
        self.shared.progress.send_modify(|progress| progress.committed = progress.committed.max(number));
        self.tell(ToCore::Committed { generation, number })
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

    /// Sends what waits, as much as a block takes. `true` if an answer will come.
    fn commit(&self, waiting: &mut VecDeque<u64>, answered: &Sender<Result<Included, RunRefused>>) -> bool {
        let shared = &self.shared;
        let (tip, generation, next_posted) =
            shared.l1.with_settlement(|l1| (*l1.tip(), l1.generation(), l1.next_posted()));
        while waiting.pop_front_if(|number| *number <= tip.number).is_some() {}
        if waiting.front().is_some_and(|first| *first != tip.number + 1) {
            shared.fail(format!("batch {} should be committed next, and is not there", tip.number + 1));
            return false;
        }
        // The next block is no earlier than now, and no batch may be later than the block that takes it.
        let now = now_ms();
        let mut batches: Vec<Arc<HistoryBatch>> = Vec::new();
        for number in waiting.iter().take(COMMITMENT_BATCHES_MAX) {
            match shared.history_batch(*number) {
                Ok(Some(batch)) if batch.header.time <= now => batches.push(batch),
                Ok(Some(_)) => break,
                Ok(None) => {
                    shared.fail(format!("batch {number} is to be committed, and its data is gone"));
                    return false;
                }
                Err(error) => {
                    shared.fail(format!("batch {number} cannot be read for its commitment: {error}"));
                    return false;
                }
            }
            if run::fitting(&shared.plane, batches.iter().map(|batch| batch.posted.len())) < batches.len() {
                batches.pop();
                break;
            }
        }
        if batches.is_empty() {
            return false;
        }
        let parts: Vec<_> = batches.iter().map(|batch| (&batch.header, batch.posted.as_slice())).collect();
        let messages = run::commitment_run(&shared.plane, &self.key, generation, &tip, &parts);
        let mut messages = match messages {
            Ok(messages) => messages,
            Err(error) => {
                shared.fail(format!("no commitment can be made: {error}"));
                return false;
            }
        };
        if next_posted != tip.number + 1 {
            messages.insert(0, Message::DiscardData);
        }
        let sequence = shared.l1.account(&run::l1_address(&self.key)).next_sequence;
        match run::sign_run(&shared.plane, &self.key, sequence, &messages) {
            Ok(signed) => {
                let answered = answered.clone();
                shared.l1.submit_all(signed, move |answer| drop(answered.send(answer)));
                true
            }
            Err(error) => {
                shared.fail(format!("a commitment is too long for the L1: {error}"));
                false
            }
        }
    }
}
