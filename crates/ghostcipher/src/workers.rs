//! The executor that lends threads to pure code. The core never starts a thread; the shell passes one of these in.

use std::sync::Mutex;

/// Runs independent jobs, on as many threads as it likes. The result of a computation must not depend on how many.
pub trait Workers: Sync {
    /// How many jobs may run at the same time; at least 1. For choosing chunk sizes, never for choosing results.
    fn count(&self) -> usize;

    /// Calls `job(index)` exactly once for each `index` in `0..jobs`, in any order, and returns when all are done.
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync));
}

/// Runs every job in order on the caller's thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Workers for Serial {
    fn count(&self) -> usize {
        1
    }

    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..jobs).for_each(job);
    }
}

/// Applies `f` to each run of at most `chunk` items and returns the results in the order of the items.
///
/// # Panics
/// If `chunk` is 0, if `f` panics, or if the workers skip a job.
pub fn map_chunks<T: Sync, R: Send>(
    workers: &dyn Workers,
    items: &[T],
    chunk: usize,
    f: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    assert!(chunk > 0, "a chunk holds at least one item");
    let chunks: Vec<(&[T], Mutex<Option<R>>)> = items.chunks(chunk).map(|items| (items, Mutex::new(None))).collect();
    workers.run(chunks.len(), &|index| {
        let (items, slot) = &chunks[index];
        let result = f(items);
        *slot.lock().expect("nothing panics while holding a slot") = Some(result);
    });
    chunks
        .into_iter()
        .map(|(_, slot)| {
            let result = slot.into_inner().expect("nothing panics while holding a slot");
            result.expect("workers run every job before they return")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Runs the last job first, to show that the order of the jobs does not matter.
    struct Backwards;

    impl Workers for Backwards {
        fn count(&self) -> usize {
            1
        }

        fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
            (0..jobs).rev().for_each(job);
        }
    }

    /// Each thread takes the next job that nobody has taken.
    struct Threads(usize);

    impl Workers for Threads {
        fn count(&self) -> usize {
            self.0
        }

        fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
            let next = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..self.0 {
                    scope.spawn(|| {
                        while let index = next.fetch_add(1, Ordering::Relaxed)
                            && index < jobs
                        {
                            job(index);
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_items_whoever_runs_the_jobs() {
        let items: Vec<u64> = (0..1000).collect();
        let executors: [&dyn Workers; 5] = [&Serial, &Backwards, &Threads(1), &Threads(2), &Threads(5)];
        for workers in executors {
            for chunk in [1, 2, 7, 999, 1000, 1001] {
                let sums = map_chunks(workers, &items, chunk, |items| (items[0], items.iter().sum::<u64>()));
                let expected: Vec<(u64, u64)> =
                    items.chunks(chunk).map(|items| (items[0], items.iter().sum())).collect();
                assert_eq!(sums, expected, "chunk {chunk}, {} workers", workers.count());
            }
        }
    }

    #[test]
    fn no_items_are_no_jobs() {
        let nothing: Vec<u8> = map_chunks(&Serial, &[0_u8; 0], 4, |_| unreachable!("there is nothing to do"));
        assert!(nothing.is_empty());
    }

    #[test]
    #[should_panic(expected = "a chunk holds at least one item")]
    fn an_empty_chunk_is_refused() {
        map_chunks(&Serial, &[1, 2], 0, |_| ());
    }
}
