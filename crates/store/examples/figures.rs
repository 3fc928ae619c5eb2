//! How fast the store is, beside what the disk alone does with the same bytes in the same run.
//!
//! `cargo run --release -p ghostplane-store --example figures -- DIR [ACCOUNTS]`. Makes and removes `DIR/figures`.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, clippy::print_stdout)]

use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, Signature};
use ghostplane_keystone::{Changeset, Keystone, ObjectChange, SlotChange, StateView};
use ghostplane_store::{Changed, Checkpoints, Frame, History, HistoryBatch, Log, LogEnd, LoggedFlush};
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, BatchHeader, Encode, Flush, ObjectKey, Outcome, PlaneState, SignedFlush,
    Slot, SlotIndex, SlotKind, Source,
};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PLANE: Digest = Digest([1; 32]);
const CHAIN: u64 = 1337;
/// Bytes of an encoded single transfer, about.
const TRANSFER_BYTES: usize = 220;
const SPELL: Duration = Duration::from_secs(2);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("a directory on the disk to measure")).join("figures");
    let accounts = arguments.next().map_or(1_000_000, |count| count.parse().expect("a number of accounts"));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a directory that can be written");
    for transactions in [1, 64, 1024] {
        append(&dir, transactions);
    }
    history(&dir);
    checkpoint(&dir, accounts);
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
}

fn flush(end: &LogEnd, count: usize) -> Frame {
    let flush = Flush {
        plane_id: PLANE,
        generation: end.generation,
        flush: end.flushes,
        first_position: end.position,
        root: Digest::ZERO,
        prev_flush_digest: end.prev_flush_digest,
        batch_at_most: 1,
    };
    let signed = SignedFlush { flush, signature: Signature([5; 64]) };
    Frame::Flush(LoggedFlush { signed, transactions: vec![vec![6; TRANSFER_BYTES]; count] })
}

/// Appends for a while, and writes the same bytes to a bare file in turns with it, so that both see the same disk.
fn append(dir: &Path, transactions: usize) {
    let dir = dir.join(format!("append-{transactions}"));
    let (mut log, _) = Log::open(&dir, PLANE, CHAIN).expect("a new log");
    let mut bare = OpenOptions::new().create(true).append(true).open(dir.join("bare")).expect("a new file");
    let (mut in_log, mut in_bare, mut rounds, mut bytes) = (Duration::ZERO, Duration::ZERO, 0u32, 0u64);
    while in_log + in_bare < 2 * SPELL {
        let frames = [flush(log.end(), transactions)];
        let start = Instant::now();
        let appended = log.append(&frames).expect("there is room");
        in_log += start.elapsed();
        let same = vec![6; usize::try_from(appended.bytes).expect("a group fits in memory")];
        let start = Instant::now();
        bare.write_all(&same).and_then(|()| bare.sync_data()).expect("there is room");
        in_bare += start.elapsed();
        rounds += 1;
        bytes += appended.bytes;
    }
    let per_second = |time: Duration| f64::from(rounds) / time.as_secs_f64();
    let (ours, limit) = (per_second(in_log), per_second(in_bare));
    println!(
        "append/{transactions}: {ours:.0} flushes/s = {:.0} transactions/s, bare write and fdatasync {limit:.0}/s, ratio {:.2}, {} bytes a flush",
        ours * transactions as f64,
        ours / limit,
        bytes / u64::from(rounds)
    );
    drop(log);
    let (_, recovery) =
        timed(&format!("open/{transactions}"), || Log::open(&dir, PLANE, CHAIN)).expect("it opens again");
    println!("  {} bytes in {} segments", recovery.bytes, recovery.segments);
}

/// Puts full batches in groups, as a node under full load does, and asks for ids at the end.
fn history(dir: &Path) {
    const GROUPS: u64 = 64;
    const BATCHES: u64 = 8;
    const TRANSACTIONS: u64 = 4096;
    const POSTED_BYTES: usize = 64;
    let mut history = History::open(dir, PLANE).expect("a new history");
    let empty = header(&Keystone::new(1), 0);
    let outcome = Outcome {
        code: Outcome::APPLIED,
        action: Outcome::NO_ACTION,
        gas: 1000,
        fee: 10,
        first_entry: 0,
        entries: 2,
        first_withdrawal: 0,
        withdrawals: 0,
    };
    let id = |position: u64| {
        ghostplane_ghostcipher::digest::hash(ghostplane_ghostcipher::Domain::Test, 0, &[&position.to_le_bytes()])
    };
    let batch = |number: u64| {
        let positions = (number - 1) * TRANSACTIONS..number * TRANSACTIONS;
        let header = BatchHeader { number, log_upto: positions.end, ..empty };
        let records: Vec<_> = positions.map(|position| (Source::Log(position), id(position), outcome)).collect();
        let posted = vec![7; records.len() * POSTED_BYTES];
        Arc::new(HistoryBatch { header, records, withdrawals: Vec::new(), posted })
    };
    let (mut thread, mut wall, mut slowest) = (0, Duration::ZERO, Duration::ZERO);
    let (this_before, all_before) = (thread_cpu_ns(), cpu_ms());
    for group in 0..GROUPS {
        let batches: Vec<_> = (1..=BATCHES).map(|at| batch(group * BATCHES + at)).collect();
        let (start, cpu) = (Instant::now(), thread_cpu_ns());
        history.put(&batches, &[]).expect("there is room");
        thread += thread_cpu_ns() - cpu;
        wall += start.elapsed();
        slowest = slowest.max(start.elapsed());
    }
    // What the database's own thread does, between the puts too; this one makes the batches meanwhile.
    let others = ((cpu_ms() - all_before) * 1_000_000).saturating_sub(thread_cpu_ns() - this_before);
    let count = GROUPS * BATCHES * TRANSACTIONS;
    println!(
        "history/put of {count} transactions: {:.2} us of the writing thread's CPU time a transaction, {:.2} us of the database's own, {:.2} us on the clock, slowest group {:.0} ms",
        thread as f64 / count as f64 / 1e3,
        others as f64 / count as f64 / 1e3,
        wall.as_secs_f64() * 1e6 / count as f64,
        slowest.as_secs_f64() * 1e3
    );
    let reader = history.reader();
    let found = timed("history/find of 1000 ids", || {
        (0..1000).filter(|at| reader.find(&id(at * (count / 1000))).expect("sound").is_some()).count()
    });
    assert_eq!(found, 1000);
    drop((reader, history));
    timed("history/open", || History::open(dir, PLANE)).expect("it opens again");
}

/// CPU time of this thread, the first number of Linux' `schedstat`; 0 where the system does not tell.
fn thread_cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// Two threads, as the node lends.
struct Two;

impl Workers for Two {
    fn count(&self) -> usize {
        2
    }

    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && index < jobs
            {
                job(index);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
    }
}

fn address(number: u32) -> Address {
    Address::system(1337, &number.to_string())
}

/// A state of so many accounts, each with a record and a slot.
fn state(accounts: u32) -> Keystone {
    let slot = |number: u32| Slot {
        kind: SlotKind::Account,
        owner: address(number).owner_digest(),
        asset: AssetId::GCC,
        balance: Amount::new(u64::from(number)).expect("small"),
    };
    let object = |number: u32| {
        let mut record = AccountRecord::new(address(number));
        record.insert_slot(AssetId::GCC, SlotIndex::new(number).expect("below 2^30"));
        (ObjectKey::account(&record.address), Some(record.to_bytes()))
    };
    Keystone::from_leaves(1, (1..=accounts).map(slot), (1..=accounts).map(object), &Two).expect("a state")
}

fn header(keystone: &Keystone, number: u64) -> BatchHeader {
    let roots = keystone.roots();
    let state = PlaneState { number, time: number, roots, inbox_upto: 0, log_upto: 0, outbox_upto: 0 };
    BatchHeader::genesis(&state)
}

fn checkpoint(dir: &Path, accounts: u32) {
    let mut keystone = state(accounts);
    let mut checkpoints = Checkpoints::open(dir, PLANE).expect("a new database");
    let first = header(&keystone, 1);
    let log = |header: &BatchHeader| log_that_ends(header);
    timed("checkpoint/collect-all", || Changed::all(&keystone));
    let all = Changed::all(&keystone);
    timed(&format!("checkpoint/write-all of {} leaves", all.len()), || checkpoints.write(&log(&first), &first, all))
        .expect("written");

    let changes = touch(&keystone, accounts, 10_000);
    keystone.apply(&changes, &Two).expect("they fit");
    let second = header(&keystone, 2);
    let mut changed = Changed::since(Some(&first));
    timed("checkpoint/collect 20,000 changed leaves", || changed.apply(&changes, &keystone)).expect("all is there");
    timed("checkpoint/write 20,000 changed leaves", || checkpoints.write(&log(&second), &second, changed))
        .expect("written");

    drop(checkpoints);
    // Right after so large a write the database still has to sort it: that is done while the first one is open.
    for when in ["right after the write", "in order"] {
        let opened = timed(&format!("checkpoint/open {when}"), || Checkpoints::open(dir, PLANE));
        let checkpoints = opened.expect("it opens again");
        for _ in 0..2 {
            let loaded = checkpoints.load(&log(&second)).expect("sound").expect("there");
            let built =
                timed(&format!("checkpoint/load {accounts} accounts"), || loaded.build(1, &Two)).expect("sound");
            assert_eq!(built.roots(), keystone.roots());
        }
    }
}

/// New balances for accounts all over the state, and records of the same content written again.
fn touch(keystone: &Keystone, accounts: u32, count: u32) -> Changeset {
    let numbers: Vec<u32> = (0..count).map(|at| 1 + (accounts / count) * at).collect();
    let slot = |&number: &u32| {
        let index = SlotIndex::new(number).expect("below 2^30");
        let old = keystone.slot(index).expect("all is there").expect("allocated");
        SlotChange { index, old: Some(old), new: Slot { balance: Amount::new(7).expect("small"), ..old } }
    };
    let object = |&number: &u32| {
        let key = ObjectKey::account(&address(number));
        let value = keystone.object(&key).expect("all is there").map(|object| Box::from(object.value));
        ObjectChange { key, old: value.clone(), new: value }
    };
    let mut objects: Vec<ObjectChange> = numbers.iter().map(object).collect();
    objects.sort_unstable_by_key(|change| change.key);
    Changeset::new(numbers.iter().map(slot).collect(), objects).expect("in order")
}

fn log_that_ends(header: &BatchHeader) -> LogEnd {
    LogEnd { batch: Some(*header), ..LogEnd::start() }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (start, cpu) = (Instant::now(), cpu_ms());
    let result = work();
    println!("{what}: {:.1} ms, {} ms of CPU time", start.elapsed().as_secs_f64() * 1e3, cpu_ms() - cpu);
    result
}

/// CPU time of all threads, in steps of 10 ms; 0 where the system does not tell. What a busy machine does not falsify.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    ticks.sum::<u64>() * 10
}
