//! The thread that answers: it turns durable flushes into receipts and hands each to whoever waits.

use super::Inner;
use super::api::{Answers, ExecutedRecord, Flushed, NodeEvent};
use super::archive::ToArchive;
use super::core::Waiter;
use super::verify::Sink;
use crossbeam_channel::{Receiver, Sender};
use foldhash::fast::RandomState;
use ghostplane_ghostcipher::{Digest, Signature};
use ghostplane_sequencer::Acknowledgement;
use ghostplane_types::SignedFlush;
use hashbrown::HashMap;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Receipts that stay in memory at least, though the history has them.
const RECENT_MIN: usize = 1 << 16;

/// Flushes that wait for their answers; then the core waits. It may: this thread waits for the archive and for nobody else, and
/// the archive waits for the disk alone. A lock of the state that the core holds meanwhile is one for reading, as the archive's.
pub(super) const WAITING_MAX: usize = 64;

/// One durable flush and who waits for it.
pub(super) struct ToAnswer {
    pub(super) acknowledged: Acknowledgement,
    pub(super) signature: Signature,
    /// One for each record.
    pub(super) waiters: Vec<Option<Waiter>>,
}

/// Receipts that the history may not have yet, and the newest of those it has.
#[derive(Default)]
pub(super) struct Recent {
    by_id: HashMap<Digest, (ExecutedRecord, Arc<Flushed>), RandomState>,
    /// Of every flush in order: its last batch.
    flushes: VecDeque<(u64, Arc<Flushed>)>,
}

impl Recent {
    pub(super) fn find(&self, id: &Digest) -> Option<(ExecutedRecord, Arc<Flushed>)> {
        self.by_id.get(id).cloned()
    }

    /// Forgets what the history has, but for the newest.
    fn forget(&mut self, archived: u64) {
        while self.by_id.len() > RECENT_MIN
            && let Some((_, flushed)) = self.flushes.pop_front_if(|(batch, _)| *batch <= archived)
        {
            flushed.tree.leaves().iter().for_each(|id| drop(self.by_id.remove(id)));
        }
    }
}

/// What one stream is answered.
type ForSink = (Sink, Vec<(u64, ExecutedRecord)>);

/// Runs until nobody sends any more.
pub(super) fn run(shared: &Inner, from: &Receiver<ToAnswer>, archive: &Sender<ToArchive>) {
    while let Ok(ToAnswer { acknowledged, signature, waiters }) = from.recv() {
        let Acknowledgement { flush, records, tree, .. } = acknowledged;
        let count = u32::try_from(records.len()).expect("a flush is bounded");
        let signed = SignedFlush { flush, signature };
        let flushed = Arc::new(Flushed { signed, tree, count });
        let executed: Vec<ExecutedRecord> = records
            .iter()
            .map(|record| ExecutedRecord {
                tx_id: record.tx_id,
                position: record.position,
                batch: record.batch,
                outcome: record.outcome,
            })
            .collect();
        let last_batch = executed.last().map_or(0, |record| record.batch);
        // Before anybody is answered, so that whoever asks after his receipt finds it.
        remember(&shared.recent, &executed, &flushed, last_batch, shared.archived.load(Ordering::Acquire));
        shared.progress.send_modify(|progress| progress.answered = progress.answered.max(last_batch));

        let mut answers: HashMap<u64, ForSink, RandomState> = HashMap::default();
        for (waiter, record) in waiters.into_iter().zip(executed) {
            if let Some(Waiter { sink, reference }) = waiter {
                answers.entry(sink.id).or_insert_with(|| (sink, Vec::new())).1.push((reference, record));
            }
        }
        for (sink, records) in answers.into_values() {
            sink.send(Answers::Executed { flushed: Arc::clone(&flushed), records });
        }
        shared.counters.accepted.fetch_add(u64::from(count), Ordering::Relaxed);
        shared.counters.pace.note(Instant::now(), count);
        shared.counters.flushes.fetch_add(1, Ordering::Relaxed);
        let event =
            NodeEvent::Flushed { flush: flush.flush, first_position: flush.first_position, transactions: count };
        let _ = shared.events.send(event);
        if archive.send(ToArchive::Flush(signed, count)).is_err() {
            return;
        }
    }
}

fn remember(
    recent: &RwLock<Recent>,
    executed: &[ExecutedRecord],
    flushed: &Arc<Flushed>,
    last_batch: u64,
    archived: u64,
) {
    let mut recent = recent.write();
    recent.by_id.extend(executed.iter().map(|record| (record.tx_id, (*record, Arc::clone(flushed)))));
    recent.flushes.push_back((last_batch, Arc::clone(flushed)));
    recent.forget(archived);
}
