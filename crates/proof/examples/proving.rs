//! How fast proofs are made and verified: `cargo run --release -p ghostplane-proof --example proving -- [case] [threads] [proofs] [checks]`.
//!
//! Beside each figure stand the load of the machine before it and bare Poseidon2 compressions a second in the same run.
#![allow(clippy::float_arithmetic, clippy::print_stdout, clippy::disallowed_methods, reason = "measures and prints")]

use ghostplane_proof as proof;
#[path = "../fixtures/ledger.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod ledger;

use ghostplane_proof::{ThreadPoolBuilder, info, prove, verify};
use ledger::{Ledger, Random, witnesses};
use std::time::Instant;

// The prover allocates and frees tables of many megabytes; memory that goes back to the system each time costs a quarter.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CASES: [(&str, usize, u64, u32); 8] = [
    ("100-among-80", 100, 80, 20),
    ("1k-among-400", 1_000, 400, 20),
    ("10k-among-2k", 10_000, 2_000, 20),
    ("16k-among-1.7k", 16_384, 1_700, 20),
    ("64k-among-1k", 65_536, 1_000, 20),
    ("16k-among-16k", 16_384, 16_384, 20),
    ("100k-among-1k", 100_000, 1_000, 20),
    ("100k-among-20k", 100_000, 20_000, 20),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_else(|| "16k-among-1.7k".into());
    let threads: usize = arguments.next().map_or(2, |threads| threads.parse().expect("a number of threads"));
    let repeats: usize = arguments.next().map_or(5, |repeats| repeats.parse().expect("a number of repeats"));
    let verifications: usize = arguments.next().map_or(20, |repeats| repeats.parse().expect("a number of repeats"));
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let single = ThreadPoolBuilder::new().num_threads(1).build().expect("threads");
    for (name, transfers, among, log_accounts) in CASES {
        if wanted != "all" && wanted != name {
            continue;
        }
        let mut ledger = Ledger::new((1 << log_accounts) - 1, 1 << 40);
        let entries = ledger.payments(&mut Random(1), transfers, among);
        let batches = [ledger.batch(&entries)];
        let (statement, witnesses) = (ledger.statement(&batches), witnesses(&batches));
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let mut best = f64::INFINITY;
        let mut bytes = Vec::new();
        for _ in 0..repeats {
            let start = Instant::now();
            bytes = prove(&statement, &witnesses, &pool).expect("honest batches");
            best = best.min(start.elapsed().as_secs_f64());
        }
        let mut verify_best = f64::INFINITY;
        for _ in 0..verifications {
            let start = Instant::now();
            single.install(|| verify(&statement, &bytes)).expect("an honest proof");
            verify_best = verify_best.min(start.elapsed().as_secs_f64());
        }
        println!(
            "{name}: {:.1} k transfers/s, prove and check {:.0} ms, {:.0} KiB, verify {:.2} ms, load {}",
            transfers as f64 / best / 1e3,
            best * 1e3,
            bytes.len() as f64 / 1024.0,
            verify_best * 1e3,
            load.trim()
        );
        for (table, row_bytes) in info(&statement, &bytes).expect("a proof") {
            println!(
                "    {:?}: {} x ({} + {}), {} KiB of rows",
                table.table,
                table.rows,
                table.columns,
                table.lookup_columns,
                row_bytes / 1024
            );
        }
    }
}
