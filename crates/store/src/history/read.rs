//! Reading the history: from any thread, while one writes.

use super::error::failed;
use super::{
    CHECKSUM_BYTES, HistoryBatch, HistoryDamage, HistoryError, ID_BYTES, POSITIONS_MAX, RECORD_BYTES, Record, Store,
    checksum, id_key,
};
use fjall::{Keyspace, Readable, Snapshot, UserValue};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::limits::BATCH_WITHDRAWALS_MAX;
use ghostplane_types::{BatchHeader, DecodeError, Reader, SignedFlush, Source, Withdrawal};
use std::ops::Range;

/// Records that are looked at for one id. More than one starts alike only if somebody made it so, or forced the same
/// transaction through the inbox again.
const CANDIDATES_MAX: usize = 64;

/// Reads the history. Clones are cheap, and any thread may use one.
#[derive(Clone, Debug)]
pub struct HistoryReader {
    pub(super) store: Store,
}

/// A record with its batch and its index there.
pub type PlacedRecord = (u64, u32, Record);

/// A batch in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it claims.
    pub header: BatchHeader,
    /// Transactions of the log in it.
    pub transactions: u32,
    /// Inbox entries in it.
    pub inbox: u32,
    /// Withdrawals it made.
    pub withdrawals: u32,
}

impl HistoryReader {
    /// The header of the newest batch that is kept.
    pub fn upto(&self) -> Result<Option<BatchHeader>, HistoryError> {
        let view = self.view();
        let Some((key, value)) = view.last(&self.store.headers)? else { return Ok(None) };
        let number = view.number(HEADERS, &key)?;
        Ok(Some(view.decode_summary(number, &value)?.header))
    }

    /// A batch with all that is kept of it.
    pub fn batch(&self, number: u64) -> Result<Option<HistoryBatch>, HistoryError> {
        let view = self.view();
        let Some(summary) = view.summary(number)? else { return Ok(None) };
        Ok(Some(HistoryBatch {
            header: summary.header,
            records: view.records(&summary)?.all()?,
            withdrawals: view.withdrawals(&summary)?,
            posted: view.posted(number)?.unwrap_or_default(),
        }))
    }

    /// The header of a batch.
    pub fn header(&self, number: u64) -> Result<Option<BatchHeader>, HistoryError> {
        Ok(self.summary(number)?.map(|summary| summary.header))
    }

    /// A batch in short.
    pub fn summary(&self, number: u64) -> Result<Option<Summary>, HistoryError> {
        self.view().summary(number)
    }

    /// What a batch posts; `None` if it is not kept, or was dropped.
    pub fn posted(&self, number: u64) -> Result<Option<Vec<u8>>, HistoryError> {
        self.view().posted(number)
    }

    /// The withdrawals of a batch.
    pub fn withdrawals(&self, number: u64) -> Result<Option<Vec<Withdrawal>>, HistoryError> {
        let view = self.view();
        view.summary(number)?.map(|summary| view.withdrawals(&summary)).transpose()
    }

    /// The records of a batch.
    pub fn records(&self, number: u64) -> Result<Option<Vec<Record>>, HistoryError> {
        let view = self.view();
        view.summary(number)?.map(|summary| view.records(&summary)?.all()).transpose()
    }

    /// One record of a batch.
    pub fn record(&self, number: u64, index: u32) -> Result<Option<Record>, HistoryError> {
        let view = self.view();
        let Some(summary) = view.summary(number)? else { return Ok(None) };
        view.records(&summary)?.at(index)
    }

    /// Where a transaction or inbox entry is: the batch, and the index of its record.
    ///
    /// Anybody can force a transaction again that is done already, which makes a record of its refusal. So the record that
    /// says it was applied is the one that counts; without one, the newest.
    pub fn find(&self, id: &Digest) -> Result<Option<(u64, u32)>, HistoryError> {
        let view = self.view();
        let (least, most) = (id_key(id, 0, 0), id_key(id, u64::MAX, u32::MAX));
        let mut newest = None;
        for entry in view.snapshot.range(&self.store.ids, least..=most).rev().take(CANDIDATES_MAX) {
            let key = entry.key().map_err(|source| failed(&self.store.path, source))?;
            let Some((batch, index)) = split_id_key(&key) else {
                return Err(self.store.corrupt(HistoryDamage::Key("ids")));
            };
            let record = view.summary(batch)?.map(|summary| view.records(&summary)?.at(index)).transpose()?.flatten();
            let Some((_, found, outcome)) = record else {
                return Err(self
                    .store
                    .corrupt(HistoryDamage::Missing { what: "a record that an id leads to, of", of: "ids" }));
            };
            if found.as_bytes()[..ID_BYTES] != key[..ID_BYTES] {
                return Err(self.store.corrupt(HistoryDamage::Place("ids")));
            }
            if found == *id {
                if outcome.is_applied() {
                    return Ok(Some((batch, index)));
                }
                newest = newest.or(Some((batch, index)));
            }
        }
        Ok(newest)
    }

    /// The flush that holds a log position, and how many transactions it has.
    ///
    /// After a revert that can be a flush of the generation before, if the position is one of its and no later flush begins
    /// between. Its root tells: it is that of the transactions it was signed for.
    pub fn flush_at(&self, position: u64) -> Result<Option<(SignedFlush, u32)>, HistoryError> {
        let view = self.view();
        let below = view.snapshot.range(&self.store.flushes, ..=position.to_be_bytes()).next_back();
        let Some((key, value)) = view.pair(below)? else { return Ok(None) };
        let first = view.number(FLUSHES, &key)?;
        let body = view.unseal(FLUSHES, first, &value)?;
        let (signed, count) =
            view.decode(FLUSHES, body, |reader| Ok((reader.read::<SignedFlush>()?, reader.read::<u32>()?)))?;
        if signed.flush.first_position != first {
            return Err(self.store.corrupt(HistoryDamage::Place(FLUSHES)));
        }
        Ok((position - first < u64::from(count)).then_some((signed, count)))
    }

    /// The records of log positions in their order, each with its batch and its index there; over batches, without the
    /// records of inbox entries between. `None` if not all of them are kept.
    pub fn records_of(&self, positions: Range<u64>) -> Result<Option<Vec<PlacedRecord>>, HistoryError> {
        let asked = positions.end.saturating_sub(positions.start);
        if asked > POSITIONS_MAX {
            return Err(HistoryError::TooMany { asked, limit: POSITIONS_MAX });
        }
        let view = self.view();
        let (mut found, mut next) = (Vec::new(), positions.start);
        if asked == 0 {
            return Ok(Some(found));
        }
        // The first batch that ends after the first position, and those that follow.
        for entry in view.snapshot.range(&self.store.positions, after(positions.start)..) {
            let Some((key, value)) = view.pair(Some(entry))? else { break };
            let upto = view.number(POSITIONS, &key)?;
            let body = view.unseal(POSITIONS, upto, &value)?;
            let number: u64 = view.decode(POSITIONS, body, |reader| reader.read())?;
            let summary = view.summary(number)?.filter(|summary| summary.header.log_upto == upto);
            let summary = summary.ok_or_else(|| self.store.corrupt(HistoryDamage::Place(POSITIONS)))?;
            if next < upto - u64::from(summary.transactions) {
                return Ok(None);
            }
            for (index, record) in (0u32..).zip(view.records(&summary)?.all()?) {
                if let Source::Log(position) = record.0
                    && position == next
                    && next < positions.end
                {
                    found.push((number, index, record));
                    next += 1;
                }
            }
            if next == positions.end {
                return Ok(Some(found));
            }
            if next != upto {
                return Err(self.store.corrupt(HistoryDamage::Place(RECORDS)));
            }
        }
        Ok(None)
    }

    /// The ids of `count` transactions of the log from one position on: the leaves of a flush's tree. `None` if not all of
    /// them are in batches that are kept.
    pub fn ids_between(&self, first_position: u64, count: u32) -> Result<Option<Vec<Digest>>, HistoryError> {
        let records = self.records_of(first_position..first_position.saturating_add(u64::from(count)))?;
        Ok(records.map(|records| records.into_iter().map(|(_, _, (_, id, _))| id).collect()))
    }

    /// A withdrawal, and the batch that made it.
    pub fn withdrawal(&self, index: u64) -> Result<Option<(u64, Withdrawal)>, HistoryError> {
        let view = self.view();
        let above = view.snapshot.range(&self.store.withdrawals, after(index)..).next();
        let Some((key, value)) = view.pair(above)? else { return Ok(None) };
        let upto = view.number(WITHDRAWALS, &key)?;
        let (number, withdrawals) = view.decode_withdrawals(upto, &value)?;
        let first = withdrawals.first().map_or(upto, |first| first.index);
        let at = index.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        Ok(at.and_then(|at| withdrawals.get(at)).map(|withdrawal| (number, *withdrawal)))
    }

    fn view(&self) -> View<'_> {
        View { store: &self.store, snapshot: self.store.database.snapshot() }
    }
}

const HEADERS: &str = "headers";
const RECORDS: &str = "records";
const POSTED: &str = "posted";
const WITHDRAWALS: &str = "withdrawals";
const POSITIONS: &str = "positions";
const FLUSHES: &str = "flushes";

/// The least key over `number`.
fn after(number: u64) -> [u8; 8] {
    number.saturating_add(1).to_be_bytes()
}

fn split_id_key(key: &[u8]) -> Option<(u64, u32)> {
    let (batch, index) = key.get(ID_BYTES..)?.split_at_checked(8)?;
    Some((u64::from_be_bytes(batch.try_into().ok()?), u32::from_be_bytes(index.try_into().ok()?)))
}

/// The history as of one moment.
struct View<'a> {
    store: &'a Store,
    snapshot: Snapshot,
}

/// The records of one batch as they are kept, with their checksum checked.
struct Records<'a> {
    store: &'a Store,
    value: UserValue,
    count: usize,
}

impl Records<'_> {
    fn at(&self, index: u32) -> Result<Option<Record>, HistoryError> {
        let start = (index as usize).saturating_mul(RECORD_BYTES);
        if index as usize >= self.count {
            return Ok(None);
        }
        self.decode(&self.value[start..start + RECORD_BYTES]).map(Some)
    }

    fn all(&self) -> Result<Vec<Record>, HistoryError> {
        self.value[..self.count * RECORD_BYTES].chunks_exact(RECORD_BYTES).map(|bytes| self.decode(bytes)).collect()
    }

    fn decode(&self, bytes: &[u8]) -> Result<Record, HistoryError> {
        let mut reader = Reader::new(bytes);
        let decoded = (|| Ok((reader.read()?, reader.read()?, reader.read()?)))();
        decoded.map_err(|source| self.store.corrupt(HistoryDamage::Decode { of: RECORDS, source }))
    }
}

impl<'a> View<'a> {
    fn get(&self, keyspace: &Keyspace, key: u64) -> Result<Option<UserValue>, HistoryError> {
        self.snapshot.get(keyspace, key.to_be_bytes()).map_err(|source| failed(&self.store.path, source))
    }

    fn last(&self, keyspace: &Keyspace) -> Result<Option<(UserValue, UserValue)>, HistoryError> {
        self.pair(self.snapshot.last_key_value(keyspace))
    }

    fn pair(&self, entry: Option<fjall::Guard>) -> Result<Option<(UserValue, UserValue)>, HistoryError> {
        entry.map(fjall::Guard::into_inner).transpose().map_err(|source| failed(&self.store.path, source))
    }

    fn number(&self, of: &'static str, key: &[u8]) -> Result<u64, HistoryError> {
        let bytes = key.try_into().map_err(|_| self.store.corrupt(HistoryDamage::Key(of)))?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Takes the checksum off a value.
    fn unseal<'v>(&self, of: &'static str, key: u64, value: &'v [u8]) -> Result<&'v [u8], HistoryError> {
        let split =
            value.split_last_chunk::<CHECKSUM_BYTES>().filter(|(body, found)| checksum(of, key, body) == **found);
        split.map(|(body, _)| body).ok_or_else(|| self.store.corrupt(HistoryDamage::Checksum(of)))
    }

    fn decode<T>(
        &self,
        of: &'static str,
        body: &[u8],
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, HistoryError> {
        let mut reader = Reader::new(body);
        let decoded = read(&mut reader).and_then(|value| reader.finish().map(|()| value));
        decoded.map_err(|source| self.store.corrupt(HistoryDamage::Decode { of, source }))
    }

    fn summary(&self, number: u64) -> Result<Option<Summary>, HistoryError> {
        let value = self.get(&self.store.headers, number)?;
        value.map(|value| self.decode_summary(number, &value)).transpose()
    }

    fn decode_summary(&self, number: u64, value: &[u8]) -> Result<Summary, HistoryError> {
        let body = self.unseal(HEADERS, number, value)?;
        let summary = self.decode(HEADERS, body, |reader| {
            let header = reader.read()?;
            Ok(Summary { header, transactions: reader.read()?, inbox: reader.read()?, withdrawals: reader.read()? })
        })?;
        let Summary { header, transactions, withdrawals, .. } = &summary;
        let fits = header.number == number
            && header.log_upto >= u64::from(*transactions)
            && header.outbox_upto >= u64::from(*withdrawals);
        if fits { Ok(summary) } else { Err(self.store.corrupt(HistoryDamage::Place(HEADERS))) }
    }

    fn records(&self, of: &Summary) -> Result<Records<'a>, HistoryError> {
        let missing =
            || self.store.corrupt(HistoryDamage::Missing { what: "what a header promises, a value of", of: RECORDS });
        let value = self.get(&self.store.records, of.header.number)?.ok_or_else(missing)?;
        let bytes = self.unseal(RECORDS, of.header.number, &value)?.len();
        let count = bytes / RECORD_BYTES;
        if bytes % RECORD_BYTES != 0 || count as u64 != u64::from(of.transactions) + u64::from(of.inbox) {
            return Err(self.store.corrupt(HistoryDamage::Place(RECORDS)));
        }
        Ok(Records { store: self.store, value, count })
    }

    fn posted(&self, number: u64) -> Result<Option<Vec<u8>>, HistoryError> {
        let value = self.get(&self.store.posted, number)?;
        value.map(|value| Ok(self.unseal(POSTED, number, &value)?.to_vec())).transpose()
    }

    fn withdrawals(&self, of: &Summary) -> Result<Vec<Withdrawal>, HistoryError> {
        if of.withdrawals == 0 {
            return Ok(Vec::new());
        }
        let missing = || {
            self.store.corrupt(HistoryDamage::Missing { what: "what a header promises, a value of", of: WITHDRAWALS })
        };
        let value = self.get(&self.store.withdrawals, of.header.outbox_upto)?.ok_or_else(missing)?;
        let (number, withdrawals) = self.decode_withdrawals(of.header.outbox_upto, &value)?;
        if number != of.header.number || withdrawals.len() as u64 != u64::from(of.withdrawals) {
            return Err(self.store.corrupt(HistoryDamage::Place(WITHDRAWALS)));
        }
        Ok(withdrawals)
    }

    fn decode_withdrawals(&self, upto: u64, value: &[u8]) -> Result<(u64, Vec<Withdrawal>), HistoryError> {
        let body = self.unseal(WITHDRAWALS, upto, value)?;
        let (number, withdrawals) = self.decode(WITHDRAWALS, body, |reader| {
            Ok((reader.read::<u64>()?, reader.list::<Withdrawal>("withdrawals", BATCH_WITHDRAWALS_MAX)?))
        })?;
        let first = upto.checked_sub(withdrawals.len() as u64);
        let in_place = first.is_some_and(|first| withdrawals.iter().map(|withdrawal| withdrawal.index).eq(first..upto));
        if in_place { Ok((number, withdrawals)) } else { Err(self.store.corrupt(HistoryDamage::Place(WITHDRAWALS))) }
    }
}
