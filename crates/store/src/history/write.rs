//! Writing the history.

use super::error::failed;
use super::{
    CHECKSUM_BYTES, History, HistoryBatch, HistoryError, HistorySync, POSTED_BYTES_MAX, RECORD_BYTES, checksum, id_key,
};
use fjall::{Keyspace, OwnedWriteBatch as WriteBatch, PersistMode, Readable};
use ghostplane_types::codec::put_list;
use ghostplane_types::limits::{BATCH_ENTRIES_MAX, BATCH_WITHDRAWALS_MAX};
use ghostplane_types::{BatchHeader, Encode, SignedFlush, Source};
use std::sync::Arc;

/// Keys that are removed with one write.
const REMOVED_AT_A_TIME: usize = 4096;

impl HistorySync {
    /// Makes everything durable that was put before. After an error nobody knows what is: the handle that writes should be
    /// given up.
    pub fn sync(&self) -> Result<(), HistoryError> {
        let store = &self.store;
        store.database.persist(PersistMode::SyncData).map_err(|source| failed(&store.path, source))
    }
}

impl History {
    /// Keeps batches and flushes, with one atomic write. It is durable after [`HistorySync::sync`]: what a crash takes from it,
    /// the log has.
    ///
    /// The batches are consecutive. They follow the newest one that is kept, or are kept already: writing the same again
    /// changes nothing. An empty history takes any batch as its first. A flush goes with the number of its transactions.
    pub fn put(&mut self, batches: &[Arc<HistoryBatch>], flushes: &[(SignedFlush, u32)]) -> Result<(), HistoryError> {
        self.usable()?;
        self.check(batches)?;
        let mut write = self.reader.store.database.batch().durability(Some(PersistMode::Buffer));
        let mut value = Vec::new();
        let mut ids = Vec::with_capacity(batches.iter().map(|batch| batch.records.len()).sum());
        for batch in batches {
            self.add(&mut write, batch, &mut value);
            let number = batch.header.number;
            ids.extend((0u32..).zip(&batch.records).map(|(index, (_, id, _))| id_key(id, number, index)));
        }
        // In order, so that each is put beside the one before, which is in the processor's cache still.
        ids.sort_unstable();
        for id in ids {
            write.insert(&self.reader.store.ids, id, &b""[..]);
        }
        for (signed, count) in flushes.iter().filter(|(_, count)| *count > 0) {
            value.clear();
            signed.encode(&mut value);
            count.encode(&mut value);
            put_value(&mut write, &self.reader.store.flushes, "flushes", signed.flush.first_position, &mut value);
        }
        self.commit(write)?;
        if let Some(first) = batches.first() {
            self.posted_from = self.posted_from.min(first.header.number);
        }
        Ok(())
    }

    /// Forgets every batch after `number`, and the flushes from its last position on.
    ///
    /// A history that is behind `number` forgets the flushes that are ahead of its batches. A flush that began before stays
    /// as it was signed, though the plane goes on with other transactions somewhere inside it.
    ///
    /// Forgets the newest batch first, each with a write of its own: if one fails, call it again.
    pub fn revert_to(&mut self, number: u64) -> Result<(), HistoryError> {
        self.usable()?;
        while let Some(newest) = self.reader.upto()?.filter(|newest| newest.number > number) {
            self.forget(&newest)?;
        }
        let from = self.reader.upto()?.map_or(0, |newest| newest.log_upto);
        let flushes = self.reader.store.flushes.clone();
        self.remove_range(&flushes, from, None)
    }

    /// Forgets what the batches before `number` post: the L1 has it, and followers were given it.
    pub fn drop_posted_before(&mut self, number: u64) -> Result<(), HistoryError> {
        self.usable()?;
        if self.posted_from < number {
            let posted = self.reader.store.posted.clone();
            self.remove_range(&posted, self.posted_from, Some(number))?;
            self.posted_from = number;
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), HistoryError> {
        if self.poisoned { Err(HistoryError::Poisoned) } else { Ok(()) }
    }

    fn commit(&mut self, write: WriteBatch) -> Result<(), HistoryError> {
        write.commit().map_err(|source| {
            self.poisoned = true;
            failed(&self.reader.store.path, source)
        })
    }

    /// Checks that the batches follow, or are the same as what is kept, and that each is sound.
    fn check(&self, batches: &[Arc<HistoryBatch>]) -> Result<(), HistoryError> {
        let Some(first) = batches.first() else { return Ok(()) };
        let first = first.header.number;
        let upto = self.reader.upto()?;
        let mut before = match first.checked_sub(1) {
            Some(before) => self.reader.header(before)?,
            None => None,
        };
        if let Some(upto) = &upto
            && before.is_none()
            && self.reader.header(first)?.is_none()
        {
            return Err(HistoryError::Gap { found: first, expected: upto.number.saturating_add(1) });
        }
        let mut expected = first;
        for batch in batches {
            let header = &batch.header;
            if header.number != expected {
                return Err(HistoryError::Gap { found: header.number, expected });
            }
            if upto.is_some_and(|upto| header.number <= upto.number)
                && self.reader.header(header.number)?.as_ref() != Some(header)
            {
                return Err(HistoryError::Other(header.number));
            }
            let what = unsound(batch, before.as_ref());
            what.map_or(Ok(()), |what| Err(HistoryError::Unsound { batch: header.number, what }))?;
            before = Some(*header);
            expected = expected.saturating_add(1);
        }
        Ok(())
    }

    fn add(&self, write: &mut WriteBatch, batch: &HistoryBatch, value: &mut Vec<u8>) {
        let store = &self.reader.store;
        let HistoryBatch { header, records, withdrawals, posted } = batch;
        let number = header.number;
        let transactions = transactions(batch);

        value.clear();
        header.encode(value);
        for count in [transactions, records.len() - transactions, withdrawals.len()] {
            u32::try_from(count).expect("checked against the limits of a batch").encode(value);
        }
        put_value(write, &store.headers, "headers", number, value);

        value.clear();
        value.reserve(records.len() * RECORD_BYTES + CHECKSUM_BYTES);
        for (source, id, outcome) in records {
            source.encode(value);
            id.encode(value);
            outcome.encode(value);
        }
        put_value(write, &store.records, "records", number, value);

        if !posted.is_empty() {
            value.clear();
            value.extend_from_slice(posted);
            put_value(write, &store.posted, "posted", number, value);
        }
        if !withdrawals.is_empty() {
            value.clear();
            number.encode(value);
            put_list(value, withdrawals);
            put_value(write, &store.withdrawals, "withdrawals", header.outbox_upto, value);
        }
        if transactions > 0 {
            value.clear();
            number.encode(value);
            put_value(write, &store.positions, "positions", header.log_upto, value);
        }
    }

    /// Forgets one batch, the newest.
    fn forget(&mut self, header: &BatchHeader) -> Result<(), HistoryError> {
        let store = &self.reader.store;
        let records = self.reader.records(header.number)?.unwrap_or_default();
        let mut write = store.database.batch().durability(Some(PersistMode::SyncData));
        for (index, (_, id, _)) in (0u32..).zip(&records) {
            write.remove(&store.ids, id_key(id, header.number, index));
        }
        for keyspace in [&store.headers, &store.records, &store.posted] {
            write.remove(keyspace, header.number.to_be_bytes());
        }
        let summary = self.reader.summary(header.number)?;
        if summary.is_some_and(|summary| summary.withdrawals > 0) {
            write.remove(&store.withdrawals, header.outbox_upto.to_be_bytes());
        }
        if summary.is_some_and(|summary| summary.transactions > 0) {
            write.remove(&store.positions, header.log_upto.to_be_bytes());
        }
        self.commit(write)
    }

    /// Removes the keys of a keyspace from `from` on, those before `to` only.
    fn remove_range(&mut self, keyspace: &Keyspace, from: u64, to: Option<u64>) -> Result<(), HistoryError> {
        let snapshot = self.reader.store.database.snapshot();
        let to = to.unwrap_or(u64::MAX);
        let mut keys = snapshot.range(keyspace, from.to_be_bytes()..to.to_be_bytes()).map(fjall::Guard::key);
        loop {
            let mut write = self.reader.store.database.batch().durability(Some(PersistMode::SyncData));
            for key in keys.by_ref().take(REMOVED_AT_A_TIME) {
                write.remove(keyspace, key.map_err(|source| failed(&self.reader.store.path, source))?);
            }
            if write.is_empty() {
                return Ok(());
            }
            self.commit(write)?;
        }
    }
}

/// How many of a batch's records are of the log.
fn transactions(batch: &HistoryBatch) -> usize {
    batch.records.iter().filter(|(source, ..)| matches!(source, Source::Log(_))).count()
}

/// What is wrong with a batch that follows `before`.
fn unsound(batch: &HistoryBatch, before: Option<&BatchHeader>) -> Option<&'static str> {
    let HistoryBatch { header, records, withdrawals, posted } = batch;
    if records.len() > BATCH_ENTRIES_MAX || withdrawals.len() > BATCH_WITHDRAWALS_MAX || posted.len() > POSTED_BYTES_MAX
    {
        return Some("it is larger than a batch can be");
    }
    let Some(first_position) = header.log_upto.checked_sub(transactions(batch) as u64) else {
        return Some("it has more transactions than the log");
    };
    let Some(first_withdrawal) = header.outbox_upto.checked_sub(withdrawals.len() as u64) else {
        return Some("it has more withdrawals than the outbox");
    };
    let positions = records.iter().filter_map(|(source, ..)| match source {
        Source::Log(position) => Some(*position),
        Source::Inbox(_) => None,
    });
    if !positions.eq(first_position..header.log_upto) {
        return Some("its records are not those of its log positions");
    }
    if !withdrawals.iter().map(|withdrawal| withdrawal.index).eq(first_withdrawal..header.outbox_upto) {
        return Some("its withdrawals do not have the indices that its header counts");
    }
    match before {
        Some(before) if (before.log_upto, before.outbox_upto) != (first_position, first_withdrawal) => {
            Some("it does not start where the batch before it ends")
        }
        _ => None,
    }
}

/// Adds `value` under a number, its checksum behind it.
fn put_value(write: &mut WriteBatch, keyspace: &Keyspace, name: &str, key: u64, value: &mut Vec<u8>) {
    value.extend_from_slice(&checksum(name, key, value));
    write.insert(keyspace, key.to_be_bytes(), value.as_slice());
}
