//! What waits, what is chosen, and what a start finds.

use super::*;
use ghostplane_engine::Plane;
use ghostplane_ghostcipher::SigningKey;
use ghostplane_keystone::{Changeset, Keystone, StateView, journal};
use ghostplane_types::batch::flows_digest;
use ghostplane_types::{Address, Genesis};

const WAIT: Duration = Duration::from_secs(2);

fn board(entries: &[u64], now: Instant) -> Board {
    let mut board = Board { committed: 1_000, ..Board::default() };
    for (number, entries) in (1..).zip(entries) {
        board.add(number, *entries, 100, now);
    }
    board
}

#[test]
fn batches_wait_for_company_but_not_for_long() {
    let now = Instant::now();
    let board = board(&[100, 100, 100], now);
    assert_eq!(board.choose(now, WAIT), None, "more may come");
    assert_eq!(board.choose(now + WAIT, WAIT), Some((1, 3)));
    let uncommitted = Board { committed: 2, ..board };
    assert_eq!(uncommitted.choose(now + WAIT, WAIT), Some((1, 2)), "the L1 does not know the third");
}

#[test]
fn full_tables_are_proved_at_once() {
    let now = Instant::now();
    assert_eq!(board(&[30_000, 35_000, 5_000], now).choose(now, WAIT), Some((1, 2)), "65,000 of 65,536");
    assert_eq!(board(&[33_000, 33_000], now).choose(now, WAIT), Some((1, 1)));
    assert_eq!(board(&[200_000, 1], now).choose(now, WAIT), Some((1, 1)), "one batch alone may be larger");
    assert_eq!(board(&[1; 80], now).choose(now, WAIT), Some((1, 64)));
    // The second would double the tables for little.
    assert_eq!(board(&[32_000, 1_000], now).choose(now + WAIT, WAIT), Some((1, 1)));
}

#[test]
fn what_is_taken_comes_back_and_is_given_up_at_last() {
    let now = Instant::now();
    let mut board = board(&[40_000, 30_000, 30_000], now);
    board.jobs.insert(0, Lease { first: 1, last: 1, until: Some(now + LEASE) });
    board.waiting.get_mut(&1).expect("there").is_taken = true;
    assert_eq!(board.choose(now + WAIT, WAIT), Some((2, 3)));
    board.expire(now + LEASE);
    assert_eq!(board.choose(now + WAIT, WAIT), Some((1, 1)), "whoever had it was late");
    board.give_back_in_parts(1, 3, 1);
    board.count_tries(1, 3, 1, "it fails");
    assert_eq!(board.fault, None, "it is tried again");
    assert_eq!(board.choose(now + WAIT, WAIT), Some((1, 1)), "one by one");
    board.count_tries(1, 1, 1, "it fails");
    board.count_tries(1, 1, 1, "it fails");
    assert_eq!(board.fault.take().as_deref(), Some("batch 1 goes the longer way, without a proof: it fails"));
    board.count_tries(1, 1, 1, "it fails");
    assert_eq!(board.fault, None, "that is said once");
    assert_eq!(board.choose(now + WAIT, WAIT), Some((2, 2)), "three times are enough");
    assert_eq!((board.entries, board.bytes), (100_000, 300), "it waits for finality, and counts");
    assert!(board.remove(1) && !board.remove(1));
    assert_eq!((board.entries, board.bytes), (60_000, 200));
}

#[test]
fn what_is_final_before_its_proof_is_left_alone() {
    let now = Instant::now();
    let board = board(&[30_000, 30_000, 30_000], now);
    let late = Board { too_late: 2, ..board };
    assert_eq!(late.choose(now + WAIT, WAIT), Some((3, 3)));
    assert_eq!(Board { too_late: 3, ..late }.choose(now + WAIT, WAIT), None);
}

#[test]
fn a_batch_too_large_for_any_proof_is_given_up_at_once_and_said_so() {
    let still = Still::new("large");
    let proving = still.open(u64::MAX);
    still.keep(&proving, 1..=2);
    proving.follow(2, 0, 0);
    let job = proving.job(None).expect("both");
    proving.give_up(&job, "too large", true);
    assert_eq!(proving.take_fault(), None, "one by one they may be small enough");
    let job = proving.job(None).expect("the first alone");
    assert_eq!(job.range(), (1, 1));
    proving.give_up(&job, "too large", true);
    assert_eq!(proving.take_fault().as_deref(), Some("batch 1 goes the longer way, without a proof: too large"));
    assert_eq!(proving.job(None).expect("the second alone").range(), (2, 2));
    assert_eq!(proving.lag().batches, 2, "both wait to be final");
}

#[test]
fn what_a_worker_finds_too_large_is_offered_by_halves_and_never_given_up_for_his_word() {
    let still = Still::new("declined");
    let proving = still.open(u64::MAX);
    still.keep(&proving, 1..=9);
    proving.follow(9, 0, 0);
    let offered = |proving: &Proving| proving.job(Some(LEASE)).map(|job| (job.id, job.range()));
    let (id, range) = offered(&proving).expect("all");
    assert_eq!(range, (1, 9));
    assert_eq!(proving.decline(id).expect("his job"), 4);
    assert!(matches!(proving.decline(id), Err(HandInError::NoSuchJob(_))), "once");
    let (id, range) = offered(&proving).expect("less");
    assert_eq!(range, (1, 4));
    assert_eq!(proving.decline(id).expect("his job"), 2);
    let (id, range) = offered(&proving).expect("less");
    assert_eq!(range, (1, 2));
    assert_eq!(proving.decline(id).expect("his job"), 1);
    // One that is too large alone rests, and the others go on. However often he says so, nothing goes round for ever.
    let mut seen = Vec::new();
    while let Some((id, (first, last))) = offered(&proving) {
        assert!(seen.len() < 100, "a livelock: {seen:?}");
        seen.push((first, last));
        proving.decline(id).expect("his job");
    }
    let alone: Vec<u64> = seen.iter().filter(|(first, last)| first == last).map(|(first, _)| *first).collect();
    assert_eq!(alone, (1..=9).collect::<Vec<_>>(), "each was offered alone, once: {seen:?}");
    assert_eq!((proving.take_fault(), proving.lag().batches), (None, 9), "nothing is given up");
    // After the rest they are there again, for a worker with more memory.
    let board = proving.board.lock();
    assert_eq!(board.choose(Instant::now(), WAIT), None);
    assert_eq!(board.choose(Instant::now() + LEASE, WAIT), Some((1, 1)));
}

#[test]
fn nobody_declines_what_the_node_proves_itself() {
    let still = Still::new("own");
    let proving = still.open(u64::MAX);
    still.keep(&proving, 1..=2);
    proving.follow(2, 0, 0);
    let job = proving.job(None).expect("both");
    assert!(matches!(proving.decline(job.id), Err(HandInError::NoSuchJob(_))));
    assert!(proving.job(Some(LEASE)).is_none(), "it is still worked on");
}

struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ghostplane-prove-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A plane on which nothing happened, and its L1.
struct Still {
    plane: Plane,
    before: Keystone,
    genesis: BatchHeader,
    l1: Settlement,
    scratch: Scratch,
}

impl Still {
    fn new(name: &str) -> Self {
        let key = SigningKey::from_seed([1; 32]).verification_key();
        let plane = Plane::new(Genesis::dev(1_700_000_000_000, key, Address::from_bytes([2; 32]))).expect("dev terms");
        let before = Keystone::new(1);
        let state = plane.genesis_state(StateView::roots(&before));
        let l1 = Settlement::new(plane.genesis().clone(), &state).expect("dev terms");
        Self { genesis: BatchHeader::genesis(&state), plane, before, l1, scratch: Scratch::new(name) }
    }

    fn files(&self) -> Files {
        Files::open(&self.scratch.0).expect("a scratch directory")
    }

    fn header(&self, number: u64) -> BatchHeader {
        let previous = BatchHeader { number: number - 1, ..self.genesis };
        let prev_state = previous.state().digest(self.plane.chain_id(), &self.plane.plane_id());
        let flows_digest = flows_digest(self.plane.chain_id(), &[]);
        BatchHeader { number, prev_state, flows_digest, journal_digest: journal::digest(&[]), ..self.genesis }
    }

    fn open(&self, backlog_bytes: u64) -> Proving {
        let options = ProverOptions { backlog_bytes, wait_ms: 0, ..ProverOptions::default() };
        let header_of = |number| (1..=9).contains(&number).then(|| self.header(number));
        Proving::open(options, &self.plane, self.files(), &self.genesis, header_of, &self.l1).expect("readable")
    }

    /// Hands batches of nothing to be kept.
    fn keep(&self, proving: &Proving, numbers: std::ops::RangeInclusive<u64>) {
        let (to, from) = crossbeam_channel::unbounded();
        for number in numbers {
            let changes = Changeset::new(Vec::new(), Vec::new()).expect("in order");
            let witness = BatchWitness::collect(&self.before, &[], &changes).expect("of nothing");
            let previous = if number == 1 { self.genesis } else { self.header(number - 1) };
            to.send(Provable { previous, header: self.header(number), flows: Vec::new(), witness }).expect("open");
        }
        drop(to);
        proving.keep(&from);
    }
}

#[test]
fn a_backlog_over_its_bound_shuts_the_door_until_the_l1_has_proofs() {
    let still = Still::new("backlog");
    let proving = still.open(2_000);
    assert!(!proving.has_witnessed(2), "a checkpoint would lose it");
    still.keep(&proving, 1..=2);
    assert!(proving.has_witnessed(2) && !proving.is_full());
    still.keep(&proving, 3..=4);
    let lag = proving.lag();
    assert!(proving.is_full() && lag.batches == 4 && lag.bytes > 2_000, "{lag:?}");
    proving.proven(2, 3);
    assert!(!proving.is_full() && *proving.watch_room().borrow() == proving.is_full());
    proving.follow(4, 1, 1);
    assert_eq!((proving.lag().batches, still.files().witnesses().expect("readable")), (1, vec![4]));
}

#[test]
fn the_next_start_finds_what_is_whole_and_of_this_history() {
    let still = Still::new("start");
    still.keep(&still.open(u64::MAX), 1..=12);
    let path = |number: u64| still.scratch.0.join(format!("proofs/witness-{number:020}"));
    std::fs::write(path(2), b"torn").expect("writable");
    let mut damaged = std::fs::read(path(3)).expect("written");
    *damaged.last_mut().expect("not empty") ^= 1;
    std::fs::write(path(3), damaged).expect("writable");
    std::fs::write(still.scratch.0.join("proofs/witness-5.unfinished"), b"half").expect("writable");

    let again = still.open(u64::MAX);
    // 10 to 12 are of another history; the torn one shows at once, the damaged one when it is read.
    assert_eq!(still.files().witnesses().expect("readable"), [1, 3, 4, 5, 6, 7, 8, 9]);
    assert!(again.job(None).is_none(), "nothing is committed");
    again.follow(9, 0, 0);
    let job = again.job(None).expect("the first");
    assert_eq!(job.range(), (1, 1), "the second is not there");
    assert!(again.job(None).is_none(), "the third is not what was written");
    assert!(again.take_fault().is_some_and(|fault| fault.contains("batch 3")));
    let job = again.job(None).expect("those behind it");
    assert_eq!(job.range(), (4, 9));
    assert!(job.statement(still.plane.chain_id(), still.plane.plane_id()).is_ok());

    let refused = again.hand_in(job.id, b"no proof".to_vec()).expect_err("it is none");
    assert!(matches!(refused, HandInError::Refused { .. }), "{refused}");
    let proof = {
        let statement = job.statement(still.plane.chain_id(), still.plane.plane_id()).expect("in order");
        let witnesses = job.witnesses().expect("they are kept");
        prove(&statement, &witnesses, &pool(1).expect("threads")).expect("nothing moved")
    };
    assert_eq!(again.hand_in(job.id, proof.clone()).expect("a proof"), (4, 9));
    assert!(matches!(again.hand_in(job.id, proof), Err(HandInError::NoSuchJob(_))), "once");
    assert_eq!(again.next_ready().expect("for the L1").range(), (4, 9));
    again.follow(9, 9, 9);
    assert!(again.next_ready().is_none(), "too late to tell anybody anything");
}
