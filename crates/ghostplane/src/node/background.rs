//! Threads that give way. A receipt has milliseconds: the threads that order, execute, log and answer go before all others,
//! and there is one of each, so that they never fill a machine. Sockets and signatures come by the hundred and go next; history,
//! checkpoints and the L1 have seconds.

use rustix::process::{getpriority_process, setpriority_process};
use std::io;
use tokio::runtime::{Builder, Runtime};

/// How far a thread gives way: what it adds to its niceness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// Sockets and signatures.
    Work = 3,
    /// What nobody waits for.
    Background = 10,
}

/// The nicest that a thread can be.
const NICEST: i32 = 19;

/// Makes the calling thread, and every thread that it starts from now on, give way to the others of the node.
///
/// Linux has a priority for each thread, and hands it on to the threads that one starts. Elsewhere priorities belong to the
/// process, and this does nothing.
pub(super) fn give_way(rank: Rank) {
    if cfg!(target_os = "linux") {
        let nice = getpriority_process(None).unwrap_or(0);
        // Where it is not allowed, everything is a little later and nothing is wrong.
        let _ = setpriority_process(None, (nice + rank as i32).min(NICEST));
    }
}

/// Does something on a thread that gives way, for the sake of the threads that it starts.
pub(super) fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let job = scope.spawn(|| {
            give_way(Rank::Background);
            work()
        });
        job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The threads that a node is served with: they give way to its own.
///
/// # Errors
/// If the system does not give them.
pub fn serving_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().on_thread_start(|| give_way(Rank::Work)).build()
}
