//! The inbox: a chain of entries, kept until the batches that consumed them are final.

use crate::codec::{put_items, read_items};
use crate::limits::{INBOX_PENDING_BYTES_MAX, INBOX_PENDING_MAX};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::codec::{DecodeError, Encode, Reader};
use ghostplane_types::{InboxEntry, InboxPayload};
use std::collections::VecDeque;

/// Entries from `start` on. `bytes` and `chain` follow from the rest and are not part of the canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inbox {
    start: u64,
    /// The chain before the entry `start`.
    chain_before: Digest,
    entries: VecDeque<InboxEntry>,
    bytes: u64,
    chain: Digest,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { start: 0, chain_before: Digest::ZERO, entries: VecDeque::new(), bytes: 0, chain: Digest::ZERO }
    }

    /// The first entry that is kept.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The index that the next entry gets.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn chain(&self) -> Digest {
        self.chain
    }

    pub(crate) fn entries(&self) -> &VecDeque<InboxEntry> {
        &self.entries
    }

    pub(crate) fn entry(&self, index: u64) -> Option<&InboxEntry> {
        let at = usize::try_from(index.checked_sub(self.start)?).ok()?;
        self.entries.get(at)
    }

    /// The kept entries from `from` up to, not with, `upto`.
    pub(crate) fn range(&self, from: u64, upto: u64) -> impl ExactSizeIterator<Item = &InboxEntry> {
        let at = |index: u64| {
            let at = index.clamp(self.start, self.end()) - self.start;
            usize::try_from(at).expect("at most the number of entries")
        };
        self.entries.range(at(from)..at(upto.max(from)))
    }

    pub(crate) fn push(&mut self, entry: InboxEntry, chain_id: u64) {
        debug_assert_eq!(entry.index, self.end());
        self.chain = entry.chain(chain_id, &self.chain);
        self.bytes += entry_bytes(&entry);
        self.entries.push_back(entry);
    }

    /// Drops the entries before `upto`.
    pub(crate) fn drop_before(&mut self, upto: u64, chain_id: u64) {
        debug_assert!(upto <= self.end());
        while self.start < upto {
            let Some(entry) = self.entries.pop_front() else { break };
            self.chain_before = entry.chain(chain_id, &self.chain_before);
            self.bytes -= entry_bytes(&entry);
            self.start += 1;
        }
    }

    /// Reads what [`Inbox::encode`] wrote and computes the chain again.
    pub(crate) fn decode(reader: &mut Reader<'_>, chain_id: u64) -> Result<Self, DecodeError> {
        let start: u64 = reader.read()?;
        let chain_before = reader.read()?;
        let entries: VecDeque<InboxEntry> = read_items(reader, "inbox entries", INBOX_PENDING_MAX)?;
        let mut inbox = Self { start, chain_before, entries: VecDeque::new(), bytes: 0, chain: chain_before };
        let mut last = None;
        for entry in entries {
            let at = (entry.l1_height, entry.l1_time);
            let ordered = last.is_none_or(|(height, time)| height <= at.0 && time <= at.1);
            if entry.index.checked_add(1).is_none() || entry.index != inbox.end() || !ordered || !is_payload(&entry) {
                return Err(reader.non_canonical("inbox entry"));
            }
            last = Some(at);
            inbox.push(entry, chain_id);
        }
        if inbox.bytes > INBOX_PENDING_BYTES_MAX {
            return Err(reader.over_limit("inbox bytes", inbox.bytes, INBOX_PENDING_BYTES_MAX));
        }
        Ok(inbox)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.start.encode(out);
        self.chain_before.encode(out);
        put_items(out, self.entries.iter());
    }
}

/// Bytes of an entry in canonical form.
pub(crate) fn entry_bytes(entry: &InboxEntry) -> u64 {
    entry.to_bytes().len() as u64
}

fn is_payload(entry: &InboxEntry) -> bool {
    match &entry.payload {
        InboxPayload::Deposit { amount, .. } => !amount.is_zero(),
        InboxPayload::Forced { transaction } => !transaction.is_empty(),
    }
}
