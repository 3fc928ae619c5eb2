//! The thread that writes checkpoints. One takes as long as the disk takes to write what changed, seconds where much did, and
//! whoever keeps the history must not wait for it: behind him wait the answers.

use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, bounded};
use std::thread::Scope;

/// What became of a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<E> {
    /// The one of this batch is durable.
    Written(u64),
    /// It was not written.
    Failed(E),
    /// Nobody writes checkpoints any more.
    Gone,
}

/// The way to the thread that writes: one checkpoint at a time.
pub(super) struct Checkpointer<W, E> {
    to: Sender<W>,
    from: Receiver<Result<(), E>>,
    /// The batch of the one that is being written.
    writing: Option<u64>,
}

impl<W: Send, E: Send> Checkpointer<W, E> {
    /// Starts the thread. It ends when this is dropped.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        mut write: impl FnMut(W) -> Result<(), E> + Send + 'scope,
    ) -> Self
    where
        W: 'scope,
        E: 'scope,
    {
        let (to, wanted) = bounded::<W>(1);
        let (done, from) = bounded(1);
        scope.spawn(move || wanted.iter().try_for_each(|wanted| done.send(write(wanted))));
        Self { to, from, writing: None }
    }

    pub(super) const fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Has the checkpoint of a batch written. Nobody waits; while one is being written, no other may begin.
    pub(super) fn begin(&mut self, batch: u64, wanted: W) {
        debug_assert!(self.writing.is_none(), "one at a time");
        // Whether anybody takes it is told when it should have ended.
        let _ = self.to.send(wanted);
        self.writing = Some(batch);
    }

    /// What became of the checkpoint, if one has ended since the last call.
    pub(super) fn ended(&mut self) -> Option<Ended<E>> {
        let written = match self.from.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Ok(written) => Ok(written),
        };
        self.end(written)
    }

    /// What becomes of the checkpoint that is being written: waits for it. `None` if there is none.
    pub(super) fn wait(&mut self) -> Option<Ended<E>> {
        self.writing?;
        let written = self.from.recv();
        self.end(written)
    }

    fn end(&mut self, written: Result<Result<(), E>, RecvError>) -> Option<Ended<E>> {
        let batch = self.writing.take()?;
        Some(match written {
            Ok(Ok(())) => Ended::Written(batch),
            Ok(Err(error)) => Ended::Failed(error),
            Err(RecvError) => Ended::Gone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_checkpoint_unless_he_asks_to() {
        let (open, gate) = bounded::<Result<(), &str>>(1);
        std::thread::scope(|scope| {
            let mut written = Vec::new();
            let (told, seen) = bounded(4);
            let mut checkpointer = Checkpointer::start(scope, move |wanted: &str| {
                written.push(wanted);
                let outcome = gate.recv().expect("the gate is there");
                told.send(written.clone()).expect("the test listens");
                outcome
            });
            assert_eq!(checkpointer.wait(), None);
            assert_eq!(checkpointer.ended(), None);

            checkpointer.begin(7, "seven");
            // The thread stands at the gate, and this one goes on.
            assert!(checkpointer.is_writing());
            assert_eq!(checkpointer.ended(), None);
            open.send(Ok(())).expect("somebody waits");
            assert_eq!(checkpointer.wait(), Some(Ended::Written(7)));
            assert!(!checkpointer.is_writing());
            assert_eq!(checkpointer.ended(), None);

            checkpointer.begin(9, "nine");
            open.send(Err("no room")).expect("somebody waits");
            assert_eq!(checkpointer.wait(), Some(Ended::Failed("no room")));
            assert_eq!(seen.iter().take(2).last(), Some(vec!["seven", "nine"]));
        });
    }

    #[test]
    fn that_nobody_writes_any_more_is_told() {
        let gone = || {
            let ((to, _), (_, from)) = (bounded::<u8>(1), bounded::<Result<(), ()>>(1));
            let mut checkpointer = Checkpointer { to, from, writing: None };
            checkpointer.begin(3, 3);
            checkpointer
        };
        assert_eq!(gone().ended(), Some(Ended::Gone));
        assert_eq!(gone().wait(), Some(Ended::Gone));
    }
}
