//! A payout that is killed at every byte it writes, against a plane that does what a plane may do.

use super::engine::{self, Answer, Plane, Standing, WINDOW};
use super::journal::{self, Head, Past, Record, Signed, Storage};
use crate::payments::SplitMix;
use anyhow::bail;
use ghostplane_ghostcipher::Digest;
use std::collections::BTreeMap;
use std::io;

/// A disk that fails after so many bytes and, when the power is gone, keeps what was synced and perhaps some more.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    synced: usize,
    budget: usize,
}

impl Storage for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = bytes.len().min(self.budget);
        self.bytes.extend_from_slice(&bytes[..fits]);
        self.budget -= fits;
        if fits == bytes.len() { Ok(()) } else { Err(io::Error::other("killed")) }
    }
    fn sync(&mut self) -> io::Result<()> {
        self.synced = self.bytes.len();
        Ok(())
    }
}

/// The model: what was executed, by number. Transactions of rows are known by the row in their bytes.
struct Fake {
    executed: Vec<(Digest, Option<u64>)>,
    sealed: u64,
    time: u64,
    signed: u64,
    random: SplitMix,
    /// Whether others use the payer's key, answers get lost, and the state lags behind.
    rough: bool,
    forgotten: bool,
    /// Whether transactions are executed only with approvals, and whether this run gives them.
    guarded: bool,
    approves: bool,
}

impl Fake {
    fn new(seed: u64, rough: bool) -> Self {
        let (forgotten, guarded, approves) = (false, false, false);
        let random = SplitMix(seed);
        Self { executed: Vec::new(), sealed: 0, time: 1, signed: 0, random, rough, forgotten, guarded, approves }
    }

    fn paid(&self) -> BTreeMap<u64, usize> {
        let mut paid = BTreeMap::new();
        self.executed.iter().filter_map(|(_, row)| *row).for_each(|row| *paid.entry(row).or_default() += 1);
        paid
    }

    fn bytes(&self, row: u64) -> Vec<u8> {
        let mut bytes = row.to_le_bytes().to_vec();
        bytes.push(u8::from(self.approves));
        bytes
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.rough && self.random.below(one_in) == 0
    }
}

impl Plane for Fake {
    async fn standing(&mut self) -> anyhow::Result<Standing> {
        if !self.chance(3) {
            self.sealed = self.executed.len() as u64;
        }
        self.time += 1;
        Ok(Standing { next: self.sealed, batch: self.time, time: self.time })
    }

    async fn submit(&mut self, transactions: &[&Signed]) -> anyhow::Result<Vec<Answer>> {
        let mut answers = Vec::new();
        for signed in transactions {
            if self.chance(7) {
                let other = Digest([u8::try_from(self.random.below(256)).expect("a byte"); 32]);
                self.executed.push((other, None));
            }
            let next = self.executed.len() as u64;
            answers.push(if signed.valid_until < self.time {
                Answer::Expired
            } else if self.guarded && !is_approved(signed) {
                Answer::Refused("below its quorum".to_owned())
            } else if signed.sequence > next || self.chance(9) {
                Answer::Later
            } else if signed.sequence < next {
                Answer::Used
            } else {
                self.executed.push((signed.id, Some(signed.row)));
                if self.chance(4) { Answer::Later } else { Answer::Executed(0) }
            });
        }
        Ok(answers)
    }

    async fn lookup(&mut self, id: &Digest) -> anyhow::Result<Option<u16>> {
        let known = !self.forgotten && self.executed.iter().any(|(executed, _)| executed == id);
        Ok(known.then_some(0))
    }

    async fn keeps(&mut self, _batch: u64) -> anyhow::Result<bool> {
        Ok(!self.forgotten)
    }

    async fn pause(&mut self) {}

    async fn sign(&mut self, row: u64, sequence: u64, standing: &Standing) -> anyhow::Result<Signed> {
        self.signed += 1;
        let id = Digest(*blake3::hash(&[row, sequence, self.signed].map(u64::to_le_bytes).concat()).as_bytes());
        let valid_until = self.time + if self.rough { 2 } else { 1_000 };
        Ok(Signed { row, sequence, batch: standing.batch, valid_until, id, bytes: self.bytes(row) })
    }

    fn lacks_consent(&self, signed: &Signed) -> bool {
        self.approves && !is_approved(signed)
    }

    fn progress(&mut self, _rows: u64) {}
}

fn is_approved(signed: &Signed) -> bool {
    signed.bytes.last() == Some(&1)
}

fn on_its_own<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

const HEAD: Head = Head { file: Digest([1; 32]), plane: Digest([2; 32]), payer: Digest([3; 32]) };

/// One run of the command over what the disk has.
fn attempt(rows: &[u64], disk: &mut Disk, plane: &mut Fake) -> anyhow::Result<()> {
    let mut past = journal::read(&disk.bytes)?;
    disk.bytes.truncate(past.bytes);
    disk.synced = disk.bytes.len();
    match past.head {
        None => {
            let frame = journal::frame(&[Record::Head(HEAD)]);
            disk.append(&frame)?;
            disk.sync()?;
            past.apply(Record::Head(HEAD));
        }
        Some(head) if head == HEAD => {}
        Some(_) => bail!("another head"),
    }
    on_its_own(engine::run(rows, &mut past, disk, plane))
}

fn until_done(rows: &[u64], disk: &mut Disk, plane: &mut Fake) {
    disk.budget = usize::MAX;
    for _ in 0..100 {
        if attempt(rows, disk, plane).is_ok() {
            return;
        }
    }
    panic!("the payout does not come to an end");
}

#[test]
fn killed_at_any_byte_every_row_is_paid_once() {
    for rough in [false, true] {
        let rows: Vec<u64> = (2..10).collect();
        let mut whole = Disk::default();
        until_done(&rows, &mut whole, &mut Fake::new(5, rough));
        let once: BTreeMap<u64, usize> = rows.iter().map(|row| (*row, 1)).collect();
        for budget in 0..=whole.bytes.len() {
            for keep_unsynced in [false, true] {
                let mut disk = Disk { budget, ..Disk::default() };
                let mut plane = Fake::new(5, rough);
                let first = attempt(&rows, &mut disk, &mut plane);
                assert!(first.is_err() || budget + 200 > whole.bytes.len() || rough, "budget {budget}");
                if !keep_unsynced {
                    disk.bytes.truncate(disk.synced);
                }
                until_done(&rows, &mut disk, &mut plane);
                assert_eq!(plane.paid(), once, "budget {budget}, rough {rough}");
            }
        }
    }
}

#[test]
fn killed_again_and_again_every_row_is_paid_once() {
    let rows: Vec<u64> = (2..2 + 3 * WINDOW as u64).collect();
    let once: BTreeMap<u64, usize> = rows.iter().map(|row| (*row, 1)).collect();
    for seed in 0..40 {
        let mut plane = Fake::new(seed, true);
        let mut disk = Disk::default();
        for _ in 0..10 {
            disk.budget = usize::try_from(plane.random.below(9_000)).expect("small");
            let _ = attempt(&rows, &mut disk, &mut plane);
            disk.bytes.truncate(disk.synced.max(disk.bytes.len() / 2));
        }
        until_done(&rows, &mut disk, &mut plane);
        assert_eq!(plane.paid(), once, "seed {seed}");
    }
}

#[test]
fn where_nobody_can_tell_nothing_is_signed_anew() {
    let mut plane = Fake::new(1, false);
    let mut disk = Disk { budget: 700, ..Disk::default() };
    attempt(&[2, 3], &mut disk, &mut plane).expect("it is enough for both");
    // The receipts of the last frame never came.
    let mut last = 0;
    for end in 0..disk.bytes.len() {
        let past: Past = journal::read(&disk.bytes[..end]).expect("a torn journal");
        last = if past.done.is_empty() { past.bytes } else { last };
    }
    disk.bytes.truncate(last);
    plane.forgotten = true;
    disk.budget = usize::MAX;
    let error = attempt(&[2, 3], &mut disk, &mut plane).expect_err("the node has forgotten");
    assert!(error.to_string().contains("nobody can tell"), "{error}");
    assert_eq!(plane.executed.len(), 2);
    plane.forgotten = false;
    until_done(&[2, 3], &mut disk, &mut plane);
    assert_eq!(plane.executed.len(), 2);
}

#[test]
fn damage_before_the_end_is_no_torn_end() {
    let mut disk = Disk::default();
    until_done(&[2, 3], &mut disk, &mut Fake::new(1, false));
    let first = journal::frame(&[Record::Head(HEAD)]).len();
    for at in 4..first {
        let mut damaged = disk.bytes.clone();
        damaged[at] ^= 1;
        assert!(journal::read(&damaged).is_err(), "byte {at}");
    }
    for end in 0..disk.bytes.len() {
        let past = journal::read(&disk.bytes[..end]).expect("a torn journal is one");
        assert!(past.bytes <= end);
    }
}

#[test]
fn a_payout_taken_up_late_signs_anew_under_the_same_numbers() {
    let rows = [2, 3, 4];
    let mut disk = Disk { budget: usize::MAX, ..Disk::default() };
    let mut plane = Fake::new(1, false);
    let standing = Standing { next: 0, batch: 0, time: 0 };
    let signed = rows.map(|row| Record::Signed(on_its_own(plane.sign(row, row - 2, &standing)).expect("it signs")));
    disk.append(&journal::frame(&[Record::Head(HEAD)])).expect("room");
    disk.append(&journal::frame(&signed)).expect("room");
    plane.time = 5_000;
    attempt(&rows, &mut disk, &mut plane).expect("paid");
    assert_eq!(plane.executed.iter().map(|(_, row)| *row).collect::<Vec<_>>(), rows.map(Some));
    assert_eq!(plane.signed, 6);
}

#[test]
fn what_was_refused_without_approvals_is_signed_anew_with_them() {
    let rows: Vec<u64> = (2..6).collect();
    let once: BTreeMap<u64, usize> = rows.iter().map(|row| (*row, 1)).collect();
    let mut disk = Disk { budget: usize::MAX, ..Disk::default() };
    let mut plane = Fake { guarded: true, ..Fake::new(1, false) };
    for _ in 0..2 {
        let error = attempt(&rows, &mut disk, &mut plane).expect_err("nobody approves");
        assert!(error.to_string().contains("line 2 is not paid: below its quorum"), "{error}");
    }
    assert_eq!((plane.executed.len(), plane.signed), (0, 4));
    plane.approves = true;
    attempt(&rows, &mut disk, &mut plane).expect("paid");
    assert_eq!((plane.paid(), plane.signed), (once.clone(), 8));

    // Killed at whatever byte while it signs anew, it pays once.
    let whole = disk.bytes.len();
    for budget in 0..whole {
        let mut disk = Disk { budget: usize::MAX, ..Disk::default() };
        let mut plane = Fake { guarded: true, ..Fake::new(1, false) };
        attempt(&rows, &mut disk, &mut plane).expect_err("nobody approves");
        plane.approves = true;
        disk.budget = budget;
        let _ = attempt(&rows, &mut disk, &mut plane);
        disk.bytes.truncate(disk.synced);
        until_done(&rows, &mut disk, &mut plane);
        assert_eq!(plane.paid(), once, "budget {budget}");
    }
}
