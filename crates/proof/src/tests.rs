use crate as proof;
#[path = "../fixtures/ledger.rs"]
mod ledger;

mod honest;

use crate::{Statement, ThreadPool, ThreadPoolBuilder};

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}
