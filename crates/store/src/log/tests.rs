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

pub(super) const OWNER: Plane = Plane { plane_id: PLANE, chain_id: 1337 };

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
        self.end.advance(&OWNER, &frame).expect("the writer makes frames that follow");
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
            prev_flush_digest: self.end.prev_flush_digest,
            batch_at_most: self.end.cut_number() + 2,
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

    /// Opens the next batch.
    pub(super) fn opened(&mut self) -> Frame {
        let (time, position, inbox) = self.end.cut.map_or((0, 0, 0), |cut| (cut.time, cut.position, cut.inbox));
        let (generation, number) = (self.end.generation, self.end.cut_number() + 1);
        let time = time + self.below(50);
        self.take(Frame::Opened(Opened { generation, number, time, position, inbox }))
    }

    /// Ends the open batch at these counters.
    pub(super) fn cut_at(&mut self, position: u64, inbox: u64) -> Frame {
        let number = self.end.open.unwrap().number;
        self.take(Frame::Cut(Cut { number, position, inbox }))
    }

    /// Seals the first batch that is cut and not sealed.
    pub(super) fn sealed(&mut self) -> Frame {
        let cut = self.end.unsealed[0];
        let header = BatchHeader {
            number: cut.number,
            generation: cut.generation,
            time: cut.time,
            log_upto: cut.position,
            inbox_upto: cut.inbox,
            log_root: Digest([self.rng.next_u32().to_le_bytes()[0]; 32]),
            ..genesis()
        };
        self.take(Frame::Sealed(header))
    }

    /// A batch of everything there is, opened and cut.
    pub(super) fn batch(&mut self) -> [Frame; 2] {
        [self.opened(), self.cut_at(self.end.position, self.end.inbox)]
    }

    /// The same, sealed at once.
    pub(super) fn sealed_batch(&mut self) -> [Frame; 3] {
        let [opened, cut] = self.batch();
        [opened, cut, self.sealed()]
    }

    pub(super) fn revert(&mut self, to: BatchHeader) -> Frame {
        let generation = self.end.generation + 1;
        self.take(Frame::Revert(Revert { to, generation }))
    }

    /// A mark that may follow: opens a batch, or ends the open one anywhere; something is taken first if there is nothing.
    fn mark(&mut self) -> Frame {
        let Some(Opened { position, inbox, .. }) = self.end.open else { return self.opened() };
        let (transactions, entries) = (self.end.position - position, self.end.inbox - inbox);
        if transactions + entries == 0 {
            return self.flush(1);
        }
        let (mut taken, entries) = (self.below(transactions + 1), self.below(entries + 1));
        if taken + entries == 0 {
            taken = transactions;
        }
        let entries = if taken == 0 { self.end.inbox - inbox } else { entries };
        self.cut_at(position + taken, inbox + entries)
    }

    /// Any frame that may follow; `sealed` are the headers that stand.
    fn any(&mut self, sealed: &mut Vec<BatchHeader>) -> Frame {
        match self.below(25) {
            0..9 => {
                let count = 1 + self.below(4);
                self.flush(usize::try_from(count).unwrap())
            }
            9..12 => {
                let count = 1 + self.below(3);
                self.inbox(count)
            }
            12..19 => self.mark(),
            19..24 if self.end.unsealed.is_empty() => self.mark(),
            19..24 => {
                let frame = self.sealed();
                sealed.push(self.end.batch.unwrap());
                frame
            }
            _ => {
                let kept = usize::try_from(self.below(sealed.len() as u64 + 1)).unwrap();
                sealed.truncate(kept);
                self.revert(sealed.last().copied().unwrap_or_else(genesis))
            }
        }
    }

    /// Groups of frames of every kind.
    pub(super) fn groups(&mut self, count: usize) -> Vec<Vec<Frame>> {
        let mut sealed = Vec::new();
        let group = |writer: &mut Self, sealed: &mut Vec<BatchHeader>| {
            let frames = 1 + writer.below(3);
            (0..frames).map(|_| writer.any(sealed)).collect()
        };
        (0..count).map(|_| group(self, &mut sealed)).collect()
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
    Log::open_on(disk, OWNER, segment_bytes, None)
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

/// A disk with some segments, and the groups on it.
pub(super) fn written(seed: u64, groups: usize) -> (Arc<Faulty>, Vec<Vec<Frame>>) {
    let disk = Faulty::new();
    let (mut log, _) = open(&disk).unwrap();
    let groups = Writer::new(seed).groups(groups);
    for group in &groups {
        log.append(group).unwrap();
    }
    (disk, groups)
}

/// How many whole groups these frames are; fails if there is a part of one.
pub(super) fn whole_groups(found: &[Frame], groups: &[Vec<Frame>]) -> usize {
    let mut rest = found;
    let whole = groups.iter().take_while(|group| match rest.strip_prefix(group.as_slice()) {
        Some(behind) => {
            rest = behind;
            true
        }
        None => false,
    });
    let whole = whole.count();
    assert!(rest.is_empty(), "{whole} whole groups, and {} frames that are none", rest.len());
    whole
}
