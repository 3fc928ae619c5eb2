//! The thread that keeps: history for questions, checkpoints for the next start. Never on the way of a transaction.

use super::checkpoint::{Checkpointer, Ended};
use super::{Inner, Live};
use crossbeam_channel::Receiver;
use ghostplane_keystone::{Changeset, Missing, MissingWhat, ObjectRef, StateView, Successor};
use ghostplane_store::{Changed, CheckpointError, Checkpoints, History, HistoryBatch, HistoryError, LogEnd};
use ghostplane_types::{BatchHeader, ObjectIndex, ObjectKey, Roots, SignedFlush, Slot, SlotIndex};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thiserror::Error;

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
    /// What differs from the last checkpoint.
    pub(super) changed: Changed,
    /// The batch of the last checkpoint.
    pub(super) checkpoint: u64,
    pub(super) checkpoint_batches: u64,
    /// A checkpoint found no room on the disk.
    pub(super) has_no_room: bool,
    /// The newest batch that is noted in `changed`.
    pub(super) newest: Option<BatchHeader>,
}

/// A checkpoint to be written: the state after the batch of `header`.
struct Wanted {
    end: LogEnd,
    header: BatchHeader,
    changed: Changed,
}

type Writing = Checkpointer<Wanted, NotWritten>;

/// Why a checkpoint is not written.
#[derive(Debug, Error)]
enum NotWritten {
    #[error("the checkpoint cannot be written: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("the history cannot be written: {0}")]
    History(#[from] HistoryError),
}

impl Archive {
    /// Runs until nobody sends any more; then writes a last checkpoint.
    pub(super) fn run(self, mut checkpoints: Checkpoints, from: &Receiver<ToArchive>) {
        std::thread::scope(|scope| {
            let (shared, history) = (Arc::clone(&self.shared), self.history.syncer());
            let write = move |Wanted { end, header, changed }| {
                // What a start could not make again once it begins behind the checkpoint.
                shared.proving.sync_upto(header.number);
                // A checkpoint without its history would not be used.
                history.sync()?;
                Ok(checkpoints.write(&end, &header, changed)?)
            };
            self.keep(Checkpointer::start(scope, write), from);
        });
    }

    fn keep(mut self, mut writing: Writing, from: &Receiver<ToArchive>) {
        // A start that executed much again need not do so a second time.
        if !self.checkpoint_if_due(&mut writing) {
            return;
        }
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
                let noted =
                    Places::of(&changes, &self.shared.live).and_then(|places| self.changed.apply(&changes, &places));
                if let Err(missing) = noted {
                    return self.shared.fail(format!("the node's own state says too little: {missing}"));
                }
                self.shared.archived.store(batch.header.number, Ordering::Release);
                self.newest = Some(batch.header);
            }
            self.forget_batches();
            if !self.checkpoint_if_due(&mut writing) {
                return;
            }
        }
        let ended = writing.wait();
        if !self.note_checkpoint(ended) {
            return;
        }
        let last = self.newest.filter(|header| header.number > self.checkpoint && !self.has_no_room);
        // The witnesses come from the core as well, which has ended: they end soon.
        if let Some(header) = last.filter(|header| self.shared.proving.wait_witnessed(header.number)) {
            self.begin_checkpoint(&mut writing, &header);
            let ended = writing.wait();
            self.note_checkpoint(ended);
        }
    }

    /// Takes note of a checkpoint that has ended, and begins another if enough batches have passed. `false` if that ends the
    /// node.
    fn checkpoint_if_due(&mut self, writing: &mut Writing) -> bool {
        let ended = writing.ended();
        if !self.note_checkpoint(ended) {
            return false;
        }
        let due = self.newest.filter(|header| header.number >= self.checkpoint.saturating_add(self.checkpoint_batches));
        // A start executes only what is behind the checkpoint, and could not make an earlier batch's witness again.
        let due = due.filter(|header| self.shared.proving.has_witnessed(header.number));
        if let Some(header) = due.filter(|_| !writing.is_writing() && !self.has_no_room) {
            self.begin_checkpoint(writing, &header);
        }
        true
    }

    /// Batches that history and L1 have need not stay in memory.
    fn forget_batches(&self) {
        let upto = self.shared.archived.load(Ordering::Acquire).min(self.shared.progress.borrow().committed);
        let mut batches = self.shared.batches.write();
        while batches.first_key_value().is_some_and(|(number, _)| *number <= upto) {
            batches.pop_first();
        }
    }

    /// Has the state after the batch written, if the log has it as sealed.
    fn begin_checkpoint(&mut self, writing: &mut Writing, header: &BatchHeader) {
        let end = self.shared.log_end.lock().clone();
        if end.batch_number() < header.number {
            // The log is always first; the next batch tries again.
            return;
        }
        let changed = std::mem::replace(&mut self.changed, Changed::since(Some(header)));
        writing.begin(header.number, Wanted { end, header: *header, changed });
    }

    /// Takes note of a checkpoint that has ended. `false` if that ends the node.
    fn note_checkpoint(&mut self, ended: Option<Ended<NotWritten>>) -> bool {
        let why = match ended {
            None => return true,
            Some(Ended::Written(batch)) => {
                self.checkpoint = batch;
                self.shared.checkpoint.store(batch, Ordering::Relaxed);
                return true;
            }
            // The state can be built from the log: a full disk is told where it matters, at the log. There is no other
            // checkpoint before the next start, since what this one held is known no more.
            Some(Ended::Failed(NotWritten::Checkpoint(CheckpointError::NoSpace(_)))) => {
                self.has_no_room = true;
                return true;
            }
            Some(Ended::Failed(error)) => error.to_string(),
            Some(Ended::Gone) => "the thread that writes checkpoints has ended".to_owned(),
        };
        self.shared.fail(why);
        false
    }
}

/// Keys looked up under one lock: the core waits for it before it writes.
const LOOKED_UP_TOGETHER: usize = 256;

/// Where changed objects are: all that noting a batch's changes asks the state for, looked up without keeping the core from
/// writing for long. Places never change, so a later state says the same.
struct Places {
    roots: Roots,
    /// Ascending by key.
    places: Vec<(ObjectKey, Option<ObjectIndex>)>,
}

impl Places {
    fn of(changes: &Changeset, live: &RwLock<Live>) -> Result<Self, Missing> {
        let mut places = Vec::with_capacity(changes.objects().len());
        let mut roots = live.read().keystone.roots();
        for together in changes.objects().chunks(LOOKED_UP_TOGETHER) {
            let live = live.read();
            roots = live.keystone.roots();
            for change in together {
                places.push((change.key, live.keystone.object_index(&change.key)?));
            }
        }
        Ok(Self { roots, places })
    }
}

impl StateView for Places {
    fn roots(&self) -> Roots {
        self.roots
    }

    fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRef<'_>>, Missing> {
        Err(MissingWhat::Object(*key).into())
    }

    fn object_at(&self, index: ObjectIndex) -> Result<Option<(ObjectKey, &[u8])>, Missing> {
        Err(MissingWhat::ObjectAt(index).into())
    }

    fn object_index(&self, key: &ObjectKey) -> Result<Option<ObjectIndex>, Missing> {
        let at = self.places.binary_search_by(|(known, _)| known.cmp(key));
        at.map(|at| self.places[at].1).map_err(|_| MissingWhat::Object(*key).into())
    }

    fn object_after(&self, key: &ObjectKey) -> Result<Option<Successor<'_>>, Missing> {
        Err(MissingWhat::ObjectAfter(*key).into())
    }

    fn slot(&self, index: SlotIndex) -> Result<Option<Slot>, Missing> {
        Err(MissingWhat::Slot(index).into())
    }
}
