//! The thread that keeps: history for questions, checkpoints for the next start. Never on the way of a transaction.

use super::Inner;
use crossbeam_channel::Receiver;
use ghostplane_keystone::Changeset;
use ghostplane_store::{Changed, CheckpointError, Checkpoints, History, HistoryBatch};
use ghostplane_types::{BatchHeader, SignedFlush};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Messages that wait. A core that finds no room waits too: memory stays bounded when the disk is slow.
pub(super) const WAITING_MAX: usize = 256;
/// Batches of one write.
const TOGETHER_MAX: usize = 32;

/// Something to keep.
pub(super) enum ToArchive {
    /// A batch that the log has, and what it changed.
    Batch(Arc<HistoryBatch>, Changeset),
    /// A durable flush and how many transactions it holds.
    Flush(SignedFlush, u32),
}

pub(super) struct Archive {
    pub(super) shared: Arc<Inner>,
    pub(super) history: History,
    pub(super) checkpoints: Checkpoints,
    /// What differs from the last checkpoint.
    pub(super) changed: Changed,
    /// The batch of the last checkpoint.
    pub(super) checkpoint: u64,
    pub(super) checkpoint_batches: u64,
}

impl Archive {
    /// Runs until nobody sends any more; then writes a last checkpoint.
    pub(super) fn run(mut self, from: &Receiver<ToArchive>) {
        let mut newest: Option<BatchHeader> = None;
        while let Ok(first) = from.recv() {
            let (mut batches, mut flushes) = (Vec::new(), Vec::new());
            for message in std::iter::once(first).chain(from.try_iter().take(TOGETHER_MAX - 1)) {
                match message {
                    ToArchive::Batch(batch, changes) => batches.push((batch, changes)),
                    ToArchive::Flush(signed, count) => flushes.push((signed, count)),
                }
            }
            let kept: Vec<Arc<HistoryBatch>> = batches.iter().map(|(batch, _)| Arc::clone(batch)).collect();
            if let Err(error) = self.history.put(&kept, &flushes) {
                return self.shared.fail(format!("the history cannot be written: {error}"));
            }
            for (batch, changes) in batches {
                let noted = self.changed.apply(&changes, &self.shared.live.read().keystone);
                if let Err(missing) = noted {
                    return self.shared.fail(format!("the node's own state says too little: {missing}"));
                }
                self.shared.archived.store(batch.header.number, Ordering::Release);
                newest = Some(batch.header);
            }
            self.forget_batches();
            let due = newest.filter(|header| header.number >= self.checkpoint + self.checkpoint_batches);
            if let Some(header) = due
                && !self.write_checkpoint(&header)
            {
                return;
            }
        }
        if let Some(header) = newest.filter(|header| header.number > self.checkpoint) {
            self.write_checkpoint(&header);
        }
    }

    /// Batches that history and L1 have need not stay in memory.
    fn forget_batches(&self) {
        let upto = self.shared.archived.load(Ordering::Acquire).min(self.shared.progress.borrow().committed);
        let mut batches = self.shared.batches.write();
        while batches.first_key_value().is_some_and(|(number, _)| *number <= upto) {
            batches.pop_first();
        }
    }

    /// Writes the state after the batch, if the log has it as sealed. `false` if that ends the node.
    fn write_checkpoint(&mut self, header: &BatchHeader) -> bool {
        let end = self.shared.log_end.lock().clone();
        if end.batch_number() < header.number {
            // The log is always first; the next batch tries again.
            return true;
        }
        let changed = std::mem::replace(&mut self.changed, Changed::since(Some(header)));
        match self.checkpoints.write(&end, header, changed) {
            Ok(()) => {
                self.checkpoint = header.number;
                self.shared.checkpoint.store(header.number, Ordering::Relaxed);
                true
            }
            // The state can be built from the log: a full disk is told where it matters, at the log.
            Err(CheckpointError::NoSpace(_)) => {
                self.checkpoint_batches = u64::MAX;
                true
            }
            Err(error) => {
                self.shared.fail(format!("the checkpoint cannot be written: {error}"));
                false
            }
        }
    }
}
