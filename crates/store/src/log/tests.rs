//! The log against a list in memory, on a disk that may do anything.

mod crash;
mod damage;
mod files;
mod rules;

use super::*;
use crate::disk::faulty::Faulty;
use ghostplane_ghostcipher::Signature;
use ghostplane_types::address::L1Address;
use ghostplane_types::{Address, Amount, AssetId, Flush, InboxEntry, InboxPayload, SignedFlush};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(super) const PLANE: Digest = Digest([7; 32]);
/// Small, so that a few groups make several segments.
pub(super) const SMALL_SEGMENT: u64 = 1200;

/// Makes frames that follow one another.
pub(super) struct Writer {
    pub(super) end: LogEnd,
    rng: ChaCha8Rng,
}

impl Writer {
    pub(super) fn new(seed: u64) -> Self {
        Self { end: LogEnd::start(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Goes on from where a log ends.
    pub(super) fn from_end(end: &LogEnd, seed: u64) -> Self {
        Self { end: end.clone(), ..Self::new(seed) }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit
    }

    fn take(&mut self, frame: Frame) -> Frame {
        self.end.advance(&PLANE, &frame).expect("the writer makes frames that follow");
        frame
    }

    /// A flush of `count` transactions with random bytes.
    pub(super) fn flush(&mut self, count: usize) -> Frame {
        let transactions = (0..count).map(|_| {
            let len = self.below(60);
            (0..len).map(|_| self.rng.next_u32().to_le_bytes()[0]).collect()
        });
        let transactions = transactions.collect();
        let flush = Flush {
            plane_id: PLANE,
            generation: self.end.generation,
            flush: self.end.flushes,
            first_position: self.end.position,
            root: Digest([1; 32]),
            prev_flush_digest: Digest([2; 32]),
            batch_at_most: self.end.batch_number() + 2,
        };
        let signed = SignedFlush { flush, signature: Signature([3; 64]) };
        self.take(Frame::Flush(LoggedFlush { signed, transactions }))
    }

    pub(super) fn inbox(&mut self, count: u64) -> Frame {
        let entry = |index| InboxEntry {
            index,
            l1_height: index / 3,
            l1_time: 1000 * index,
            payload: InboxPayload::Deposit {
                from: L1Address([index.to_le_bytes()[0]; 32]),
                to: Address::system(1337, "somebody"),
                asset: AssetId::GCC,
                amount: Amount::new(index + 1).unwrap(),
            },
        };
        let entries = (self.end.inbox..self.end.inbox + count).map(entry).collect();
        self.take(Frame::Inbox(entries))
    }

    /// A batch up to these counters.
    pub(super) fn cut_upto(&mut self, log_upto: u64, inbox_upto: u64) -> Frame {
        let number = self.end.batch_number() + 1;
        let time = self.end.batch.map_or(0, |batch| batch.time) + 50;
        let header = BatchHeader {
            number,
            generation: self.end.generation,
            time,
            log_upto,
            inbox_upto,
            log_root: Digest([self.rng.next_u32().to_le_bytes()[0]; 32]),
            ..genesis()
        };
        self.take(Frame::Cut(header))
    }

    /// A batch of everything there is.
    pub(super) fn cut(&mut self) -> Frame {
        self.cut_upto(self.end.position, self.end.inbox)
    }

    pub(super) fn revert(&mut self, to: BatchHeader) -> Frame {
        let generation = self.end.generation + 1;
        self.take(Frame::Revert(Revert { to, generation }))
    }

    /// Any frame that may follow; `cuts` are the headers that stand.
    fn any(&mut self, cuts: &mut Vec<BatchHeader>) -> Frame {
        let (log_from, inbox_from) = self.end.batch.map_or((0, 0), |batch| (batch.log_upto, batch.inbox_upto));
        match self.below(20) {
            0..10 => {
                let count = 1 + self.below(4);
                self.flush(usize::try_from(count).unwrap())
            }
            10..13 => {
                let count = 1 + self.below(3);
                self.inbox(count)
            }
            13..19 => {
                let log_upto = log_from + self.below(self.end.position - log_from + 1);
                let inbox_upto = inbox_from + self.below(self.end.inbox - inbox_from + 1);
                let frame = self.cut_upto(log_upto, inbox_upto);
                cuts.push(self.end.batch.unwrap());
                frame
            }
            _ => {
                let kept = usize::try_from(self.below(cuts.len() as u64 + 1)).unwrap();
                cuts.truncate(kept);
                self.revert(cuts.last().copied().unwrap_or_else(genesis))
            }
        }
    }

    /// Groups of frames of every kind.
    pub(super) fn groups(&mut self, count: usize) -> Vec<Vec<Frame>> {
        let mut cuts = Vec::new();
        let group = |writer: &mut Self, cuts: &mut Vec<BatchHeader>| {
            let frames = 1 + writer.below(3);
            (0..frames).map(|_| writer.any(cuts)).collect()
        };
        (0..count).map(|_| group(self, &mut cuts)).collect()
    }
}

/// The header before batch 1.
pub(super) fn genesis() -> BatchHeader {
    use ghostplane_ghostcipher::FieldDigest;
    use ghostplane_types::{PlaneState, Roots};
    let roots = Roots { ledger_root: FieldDigest::EMPTY, object_root: Digest::ZERO, slots_used: 1, objects_used: 1 };
    BatchHeader::genesis(&PlaneState { number: 0, time: 0, roots, inbox_upto: 0, log_upto: 0, outbox_upto: 0 })
}

pub(super) fn open(disk: &Arc<Faulty>) -> Result<(Log, Recovery), OpenError> {
    open_with(disk, SMALL_SEGMENT)
}

pub(super) fn open_with(disk: &Arc<Faulty>, segment_bytes: u64) -> Result<(Log, Recovery), OpenError> {
    let disk: Arc<dyn Disk> = disk.clone();
    Log::open_on(disk, PLANE, segment_bytes, None)
}

/// Every frame of a log, in order; checks that they are numbered without gaps.
pub(super) fn frames(log: &Log) -> Vec<Frame> {
    let read = log.reader(0).enumerate().map(|(at, logged)| {
        let logged = logged.expect("what was just opened can be read");
        assert_eq!(logged.number, at as u64);
        logged.frame
    });
    read.collect()
}

/// A disk with some segments, and the frames on it.
pub(super) fn written(seed: u64, groups: usize) -> (Arc<Faulty>, Vec<Frame>) {
    let disk = Faulty::new();
    let (mut log, _) = open(&disk).unwrap();
    let groups = Writer::new(seed).groups(groups);
    for group in &groups {
        log.append(group).unwrap();
    }
    (disk, groups.concat())
}
