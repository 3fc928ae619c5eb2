//! Group commit: one append in flight, one filling.

use crate::effect::{Acknowledgement, Append, LogEntry, Record};
use crate::event::Ticket;
use crate::fault::Fault;
use crate::limits::{APPEND_MARKS_MAX, Config, Limits, Start};
use crate::sequencer::open::Open;
use ghostplane_engine::Verified;
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_types::Flush;
use std::sync::Arc;

/// The end of the log: what is written and what is to be written next.
#[derive(Debug)]
pub(super) struct Log {
    chain_id: u64,
    plane_id: Digest,
    generation: u32,
    position: u64,
    next_append: u64,
    next_flush: u64,
    prev_flush_digest: Digest,
    filling: Filling,
    in_flight: Option<InFlight>,
}

/// What the next append will carry.
#[derive(Debug, Default)]
struct Filling {
    entries: Vec<LogEntry>,
    records: Vec<Record>,
    bytes: usize,
    cut: Option<u64>,
}

#[derive(Debug)]
struct InFlight {
    append: Arc<Append>,
    records: Vec<Record>,
    tree: merkle::Tree,
    cut: Option<u64>,
}

/// What became durable.
#[derive(Debug, Default)]
pub(super) struct Durable {
    pub(super) acknowledgement: Option<Acknowledgement>,
    /// The last batch that was cut in it.
    pub(super) cut: Option<u64>,
}

impl Log {
    pub(super) fn new(config: &Config, start: &Start) -> Self {
        Self {
            chain_id: config.chain_id,
            plane_id: config.plane_id,
            generation: start.generation,
            position: start.state.log_upto,
            next_append: 0,
            next_flush: start.flushes,
            prev_flush_digest: start.prev_flush_digest,
            filling: Filling::default(),
            in_flight: None,
        }
    }

    /// The position of the next transaction.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn filling_transactions(&self) -> usize {
        self.filling.records.len()
    }

    pub(super) fn in_flight_transactions(&self) -> usize {
        self.in_flight.as_ref().map_or(0, |in_flight| in_flight.records.len())
    }

    /// Whether the flush that is filling takes everything that is being executed and one more; `bytes` are those of all.
    pub(super) fn has_room(&self, limits: &Limits, executing: usize, bytes: usize) -> bool {
        self.filling.records.len() + executing < limits.flush_transactions_max
            && self.filling.bytes + bytes <= limits.flush_bytes_max
    }

    /// Whether the flush that is filling takes as many marks.
    pub(super) fn has_marks(&self, marks: usize) -> bool {
        self.filling.entries.len() - self.filling.records.len() + marks <= APPEND_MARKS_MAX
    }

    /// Writes that a batch started, before the first thing that is in it.
    pub(super) fn open_mark(&mut self, open: &Open) {
        if open.is_empty() {
            self.mark(LogEntry::Opened(open.opening));
        }
    }

    pub(super) fn mark(&mut self, entry: LogEntry) {
        self.filling.entries.push(entry);
    }

    pub(super) fn cut(&mut self, number: u64) {
        self.mark(LogEntry::Cut { number });
        self.filling.cut = Some(number);
    }

    /// Writes a transaction at the next position, which is that of its record.
    pub(super) fn transaction(&mut self, record: Record, verified: Arc<Verified>, bytes: usize) {
        debug_assert_eq!(record.position, self.position);
        self.filling.entries.push(LogEntry::Transaction { position: self.position, verified });
        self.filling.records.push(record);
        self.filling.bytes += bytes;
        self.position += 1;
    }

    /// Starts the next append if nothing is in flight and there is something to write.
    pub(super) fn flush(&mut self) -> Option<Arc<Append>> {
        if self.in_flight.is_some() || self.filling.entries.is_empty() {
            return None;
        }
        let Filling { entries, records, cut, .. } = std::mem::take(&mut self.filling);
        let tree = merkle::Tree::new(records.iter().map(|record| record.tx_id).collect());
        let flush = records.first().zip(records.last()).map(|(first, last)| Flush {
            plane_id: self.plane_id,
            generation: self.generation,
            flush: self.next_flush,
            first_position: first.position,
            root: tree.root(),
            prev_flush_digest: self.prev_flush_digest,
            batch_at_most: last.batch,
        });
        if let Some(flush) = &flush {
            self.next_flush += 1;
            self.prev_flush_digest = flush.digest(self.chain_id);
        }
        let append = Arc::new(Append { number: self.next_append, entries, flush });
        self.next_append += 1;
        self.in_flight = Some(InFlight { append: append.clone(), records, tree, cut });
        Some(append)
    }

    /// The append in flight, to be written once more.
    pub(super) fn again(&self) -> Option<Arc<Append>> {
        self.in_flight.as_ref().map(|in_flight| in_flight.append.clone())
    }

    /// An append is durable. One of before a revert says nothing any more.
    pub(super) fn durable(&mut self, append: u64) -> Result<Durable, Fault> {
        if append >= self.next_append {
            return Err(Fault::Append { found: append, asked: self.next_append });
        }
        let Some(done) = self.in_flight.take_if(|in_flight| in_flight.append.number == append) else {
            return Ok(Durable::default());
        };
        let InFlight { append, records, tree, cut } = done;
        let answer = |flush| Acknowledgement { append: append.number, flush, records, tree };
        Ok(Durable { acknowledgement: append.flush.map(answer), cut })
    }

    /// Starts the flushes of a new generation at `position`. Returns who waited for the old ones.
    pub(super) fn restart(&mut self, generation: u32, position: u64) -> Vec<Ticket> {
        let in_flight = self.in_flight.take().map_or(Vec::new(), |in_flight| in_flight.records);
        let filling = std::mem::take(&mut self.filling).records;
        (self.generation, self.position) = (generation, position);
        (self.next_flush, self.prev_flush_digest) = (0, Digest::ZERO);
        in_flight.iter().chain(&filling).map(|record| record.ticket).collect()
    }
}
