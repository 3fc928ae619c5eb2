//! Making blocks: by call, or by a thread that keeps time.

use super::{Answer, Block, Closed, Included, L1, Queue, Run, RunRefused, Shared};
use crate::limits::{BLOCK_BYTES_MAX, BLOCK_MESSAGES_MAX};
use crate::refusal::L1Refusal;
use crate::state::Step;
use crossbeam_channel::{Sender, TrySendError, bounded, select, tick};
use ghostplane_settlement::Event;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;

/// Why no block was made.
#[derive(Debug, Error)]
pub enum ProduceError {
    /// The L1 was stopped.
    #[error("the L1 is stopped")]
    Stopped,
    /// An earlier write failed.
    #[error("the L1 could not write an earlier block and stopped: look at its disk and open it again")]
    Failed,
    /// The disk fails. Nothing more is written until the L1 is opened again.
    #[error("the L1 cannot write to its disk: {0}; nothing more is taken until it is opened again")]
    Write(#[from] io::Error),
}

/// The thread that keeps time, and what ends it.
pub(super) struct Ticking {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What a run comes to, with its way back to who sent it.
type Settled = (Answer, Result<Included, RunRefused>);

impl L1 {
    /// Makes a block every `block_ms` milliseconds, at the time that `clock` tells in milliseconds since the Unix epoch,
    /// on a thread of its own, until [`L1::stop`] or a failed write. A second call changes nothing.
    pub fn run(&self, block_ms: u64, clock: impl Fn() -> u64 + Send + 'static) -> io::Result<()> {
        let mut ticking = self.shared.ticking.lock();
        if ticking.is_some() || self.shared.log.lock().is_none() {
            return Ok(());
        }
        let (stop, stopped) = bounded(1);
        let shared = Arc::downgrade(&self.shared);
        let ticks = tick(Duration::from_millis(block_ms.max(1)));
        let thread = std::thread::Builder::new().name("l1".to_owned()).spawn(move || {
            loop {
                select! {
                    recv(stopped) -> _ => return,
                    recv(ticks) -> _ => if !produce_once(&shared, &clock) { return },
                }
            }
        })?;
        *ticking = Some(Ticking { stop, thread });
        Ok(())
    }

    /// Makes the next block, at `now_ms` or right after the last block if that is later, and takes the messages that wait.
    /// When this returns the block is durable and everybody whose message it took or refused has been answered.
    pub fn produce_block(&self, now_ms: u64) -> Result<Arc<Block>, ProduceError> {
        let (made, answers) = self.shared.produce(now_ms);
        answers.into_iter().for_each(|(done, result)| done(result));
        made
    }

    /// Stops: messages that wait are answered, subscribers are cut off, a last snapshot is written, the directory is free.
    pub fn stop(&self) -> io::Result<()> {
        for run in self.shared.queue.lock().close(Closed::Stopped) {
            run.refuse(L1Refusal::Stopped);
        }
        let ticking = self.shared.ticking.lock().take();
        if let Some(Ticking { stop, thread }) = ticking {
            drop(stop);
            // An answer may stop the L1; a thread that waits for itself never ends.
            if thread.thread().id() != std::thread::current().id() {
                thread.join().map_err(|_| io::Error::other("the thread of the L1 panicked"))?;
            }
        }
        let log = self.shared.log.lock().take();
        self.shared.subscribers.lock().clear();
        match log {
            Some(mut log) if !log.has_failed() => log.snapshot(&self.shared.state.read()),
            _ => Ok(()),
        }
    }
}

/// Whether the thread goes on.
fn produce_once(shared: &Weak<Shared>, clock: &impl Fn() -> u64) -> bool {
    let Some(shared) = shared.upgrade() else { return false };
    L1 { shared }.produce_block(clock()).is_ok()
}

impl Shared {
    fn produce(&self, now_ms: u64) -> (Result<Arc<Block>, ProduceError>, Vec<Settled>) {
        let mut log = self.log.lock();
        let Some(log) = log.as_mut() else { return (Err(ProduceError::Stopped), Vec::new()) };
        if log.has_failed() {
            return (Err(ProduceError::Failed), Vec::new());
        }
        let runs = self.queue.lock().take_block();
        let state = self.state.read();
        let mut step = Step::begin(&state, &self.judge, now_ms);
        let mut answers: Vec<Settled> = runs.into_iter().map(|run| apply_run(&mut step, run)).collect();
        let done = step.finish();
        drop(state);

        let (segment, offset) = match log.append(&done.record) {
            Ok(place) => place,
            Err(error) => {
                for (_, result) in &mut answers {
                    *result = Err(RunRefused { taken: 0, events: Vec::new(), refusal: L1Refusal::Failed });
                }
                self.fail(&mut answers);
                return (Err(error.into()), answers);
            }
        };
        let block = Arc::new(Block {
            height: done.record.block.height,
            time: done.record.block.time,
            events: done.events.clone(),
            inbox: done.record.inbox.clone(),
        });
        self.state.write().take_in(done, segment, offset);
        self.tell(&block);
        // The block is good, whatever becomes of the snapshot; but a disk that fails is not written to again.
        if log.snapshot_if_due(&self.state.read()).is_err() {
            self.fail(&mut answers);
        }
        (Ok(block), answers)
    }

    fn fail(&self, answers: &mut Vec<Settled>) {
        let runs = self.queue.lock().close(Closed::Failed);
        let refused = || RunRefused { taken: 0, events: Vec::new(), refusal: L1Refusal::Failed };
        answers.extend(runs.into_iter().map(|run| (run.done, Err(refused()))));
        self.subscribers.lock().clear();
    }

    fn tell(&self, block: &Arc<Block>) {
        let keep = |subscriber: &Sender<Arc<Block>>| match subscriber.try_send(Arc::clone(block)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        };
        self.subscribers.lock().retain(keep);
    }
}

fn apply_run(step: &mut Step<'_>, run: Run) -> Settled {
    let mut events: Vec<Event> = Vec::new();
    for (taken, message) in run.messages.iter().enumerate() {
        match step.apply(message) {
            Ok(more) => events.extend(more),
            Err(refusal) => return (run.done, Err(RunRefused { taken, events, refusal })),
        }
    }
    (run.done, Ok(Included { height: step.height(), events }))
}

impl Run {
    fn refuse(self, refusal: L1Refusal) {
        (self.done)(Err(RunRefused { taken: 0, events: Vec::new(), refusal }));
    }
}

impl Queue {
    /// Takes from the front what fits one block. A run that does not fit waits, and everything behind it.
    fn take_block(&mut self) -> Vec<Run> {
        let (mut messages, mut bytes, mut runs) = (0, 0, Vec::new());
        while let Some(run) = self.runs.pop_front() {
            if messages + run.messages.len() > BLOCK_MESSAGES_MAX || bytes + run.bytes > BLOCK_BYTES_MAX {
                self.runs.push_front(run);
                break;
            }
            messages += run.messages.len();
            bytes += run.bytes;
            runs.push(run);
        }
        self.messages -= messages;
        self.bytes -= bytes;
        runs
    }

    /// Takes nothing any more, and gives back what waits. What failed stays failed.
    fn close(&mut self, closed: Closed) -> VecDeque<Run> {
        self.closed = Some(self.closed.unwrap_or(closed));
        (self.messages, self.bytes) = (0, 0);
        std::mem::take(&mut self.runs)
    }
}
