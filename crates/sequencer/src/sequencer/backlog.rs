//! Batches that are cut: until they are sealed, until the log has them, until the L1 has them.

use crate::effect::Cut;
use crate::fault::Fault;
use crate::limits::Limits;
use ghostplane_types::BatchHeader;
use ghostplane_types::limits::BATCH_BYTES_MAX;
use std::collections::VecDeque;

/// Cut batches that the L1 has not taken, in order. They become sealed in order and durable in order, and those that are
/// both are posted.
#[derive(Debug)]
pub(super) struct Backlog {
    batches: VecDeque<Waiting>,
    bytes: u64,
    sealed_upto: u64,
    durable_upto: u64,
    posted_upto: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    /// What it posts at most, and exactly once it is sealed.
    bytes: u32,
    /// `None` for a batch of before the start.
    cut: Option<Cut>,
}

impl Backlog {
    /// After a recovery all batches are sealed and durable, and are posted again unless the L1 has taken them.
    pub(super) fn new(number: u64, uncommitted: &[(u64, u32)]) -> Self {
        let batches = uncommitted.iter().map(|&(number, bytes)| Waiting { number, bytes, cut: None });
        let batches: VecDeque<Waiting> = batches.collect();
        let bytes = batches.iter().map(|waiting| u64::from(waiting.bytes)).sum();
        let posted_upto = batches.front().map_or(number, |first| first.number - 1);
        Self { batches, bytes, sealed_upto: number, durable_upto: number, posted_upto }
    }

    pub(super) fn unsealed(&self) -> usize {
        let cut_upto = self.batches.back().map_or(self.sealed_upto, |last| last.number.max(self.sealed_upto));
        usize::try_from(cut_upto - self.sealed_upto).expect("bounded by the limits")
    }

    pub(super) fn uncommitted(&self) -> usize {
        self.batches.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether another batch may be opened.
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        self.unsealed() < limits.unsealed_batches_max
            && self.batches.len() < limits.uncommitted_batches_max
            && self.bytes + BATCH_BYTES_MAX as u64 <= limits.uncommitted_bytes_max
    }

    pub(super) fn cut(&mut self, cut: &Cut) {
        let (number, bytes) = (cut.opening.number, cut.posted_bytes_max);
        self.bytes += u64::from(bytes);
        self.batches.push_back(Waiting { number, bytes, cut: Some(*cut) });
    }

    /// Notes a sealed batch; it must be the next, and what was cut.
    pub(super) fn seal(&mut self, header: &BatchHeader) -> Result<(), Fault> {
        let batch = header.number;
        let expected = self.sealed_upto + 1;
        let differs = |what, found, expected| Err(Fault::Sealed { batch, what, found, expected });
        let of_number = self.batches.iter_mut().find(|waiting| waiting.number == batch);
        let Some((waiting, cut)) = of_number.and_then(|waiting| waiting.cut.map(|cut| (waiting, cut))) else {
            return differs("number", batch, expected);
        };
        let fields = [
            ("number", batch, expected),
            ("time", header.time, cut.opening.time),
            ("inbox_upto", header.inbox_upto, cut.inbox_upto),
            ("log_upto", header.log_upto, cut.log_upto),
        ];
        if let Some(&(what, found, expected)) = fields.iter().find(|(_, found, expected)| found != expected) {
            return differs(what, found, expected);
        }
        if header.bytes > waiting.bytes {
            return differs("bytes", header.bytes.into(), waiting.bytes.into());
        }
        self.bytes -= u64::from(waiting.bytes - header.bytes);
        waiting.bytes = header.bytes;
        self.sealed_upto = batch;
        Ok(())
    }

    /// The log has batches up to this one.
    pub(super) fn durable(&mut self, cut: Option<u64>) {
        self.durable_upto = cut.unwrap_or(self.durable_upto);
    }

    /// Batches that are to be posted now, each once.
    pub(super) fn postable(&mut self, generation: u32) -> impl Iterator<Item = (u32, u64)> + use<> {
        let upto = self.sealed_upto.min(self.durable_upto).max(self.posted_upto);
        let batches = self.posted_upto + 1..=upto;
        self.posted_upto = upto;
        batches.map(move |batch| (generation, batch))
    }

    /// The L1 took batches up to this one.
    pub(super) fn commit(&mut self, number: u64) -> Result<(), Fault> {
        if number > self.posted_upto {
            return Err(Fault::Committed { found: number, posted: self.posted_upto });
        }
        while let Some(waiting) = self.batches.pop_front_if(|waiting| waiting.number <= number) {
            self.bytes -= u64::from(waiting.bytes);
        }
        Ok(())
    }

    /// Goes back to the state after `number`.
    pub(super) fn revert(&mut self, number: u64) {
        while let Some(waiting) = self.batches.pop_back_if(|waiting| waiting.number > number) {
            self.bytes -= u64::from(waiting.bytes);
        }
        self.sealed_upto = number;
        self.durable_upto = number;
        self.posted_upto = self.posted_upto.min(number);
    }
}
