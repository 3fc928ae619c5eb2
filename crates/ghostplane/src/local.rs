//! A plane, its L1 and a watcher in one process: what the demo and the story tests are told with.

mod l1;
mod operator;
mod watcher;

pub use ghostplane_ghostbridge::{EngineJudge, Published};
pub use l1::LocalL1;
pub use operator::{Kept, Operator};
pub use watcher::{Caught, Watcher, case_messages, claim_message};

use ghostplane_ghostcipher::workers::Workers;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Workers that lend a fixed number of operating-system threads for the length of one call.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub NonZeroUsize);

impl Threads {
    /// As many as asked for; as many as the machine has for 0.
    pub fn new(count: usize) -> Self {
        let available = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self(NonZeroUsize::new(count).unwrap_or_else(available))
    }

    /// As many as asked for; half as many as the machine has for 0, the other half being busy with signatures.
    pub fn new_half(count: usize) -> Self {
        let Self(all) = Self::new(0);
        Self::new(if count == 0 { all.get().div_ceil(2) } else { count })
    }
}

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0.get()
    }

    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= jobs {
                    break;
                }
                job(index);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.0.get().min(jobs) {
                scope.spawn(work);
            }
            work();
        });
    }
}
