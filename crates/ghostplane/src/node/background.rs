//! Threads that give way: signatures are checked by the hundred, history, checkpoints and the L1 have seconds, and a receipt
//! has milliseconds. Order, log, answers and sockets go before them.

use rustix::process::{getpriority_process, setpriority_process};

/// By so much the background is nicer than the rest.
const NICER: i32 = 5;
/// The nicest that a thread can be.
const NICEST: i32 = 19;

/// Makes the calling thread, and every thread that it starts from now on, give way to the others of the node.
///
/// Linux has a priority for each thread, and hands it on to the threads that one starts. Elsewhere priorities belong to the
/// process, and this does nothing.
pub(super) fn give_way() {
    if cfg!(target_os = "linux") {
        let nice = getpriority_process(None).unwrap_or(0);
        // Where it is not allowed, everything is a little later and nothing is wrong.
        let _ = setpriority_process(None, (nice + NICER).min(NICEST));
    }
}

/// Does something on a thread that gives way, for the sake of the threads that it starts.
pub(super) fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let job = scope.spawn(|| {
            give_way();
            work()
        });
        job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
