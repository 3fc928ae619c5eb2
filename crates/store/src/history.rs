//! What a node keeps to answer questions about the past. All of it follows from the log: lost, it is built again.
//!
//! # What is kept
//!
//! `DIR/history/` is a `fjall` database. Numbers in keys are big-endian, so that the database sorts them.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `headers` | batch | header, and how many transactions, inbox entries and withdrawals it has (`u32` each) |
//! | `records` | batch | its records, one behind the other |
//! | `posted` | batch | its posted form, until it is dropped |
//! | `withdrawals` | withdrawals after the batch | batch, and the list of its withdrawals; only where there are any |
//! | `positions` | log positions after the batch | batch; only where it has transactions |
//! | `ids` | first 8 bytes of an id, batch, index (`u32`) | nothing |
//! | `flushes` | first position | the signed flush, and how many transactions it has |
//! | `meta` | `history` | version `u16`, plane id, digest of both under `Checkpoint` |
//!
//! One call of [`History::put`] is one atomic, durable write. Reading takes a snapshot, so a [`HistoryReader`] on another
//! thread sees all of a write or nothing of it.
//!
//! # What is checked
//!
//! Every value but those of `ids` and `meta` ends with a CRC32C over its keyspace, its key and itself: what is damaged or
//! stands in the wrong place is told as [`HistoryError::Corrupt`]. An id counts only if the record it leads to has it.

mod error;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::{HistoryDamage, HistoryError};
pub use read::{HistoryReader, PlacedRecord, Summary};

use error::failed;
use fjall::config::{BlockSizePolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use ghostplane_ghostcipher::{Digest, Domain, digest};
use ghostplane_types::{BatchHeader, Decode, Encode, Outcome, Reader, Source, Withdrawal};
use std::path::{Path, PathBuf};

/// Version of the history's format.
pub const HISTORY_VERSION: u16 = 1;
/// Bytes of one posted batch at most: more than any protocol allows, and what one value of the database takes.
pub const POSTED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many log positions [`HistoryReader::records_of`] answers for at a time.
pub const POSITIONS_MAX: u64 = 1 << 18;

const MARKER: &str = "history";
/// Blocks of the database that are kept in memory.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// What collects in memory, per keyspace, before it is sorted into files.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of the database's own journal, the least it takes. Opening has to read it again.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What became of one transaction or inbox entry: where it came from, its id, its outcome.
pub type Record = (Source, Digest, Outcome);

/// One batch as the history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryBatch {
    /// What it claims.
    pub header: BatchHeader,
    /// Its records, in order.
    pub records: Vec<Record>,
    /// Its withdrawals, in order.
    pub withdrawals: Vec<Withdrawal>,
    /// What it posts to the L1. Empty when read after it was dropped.
    pub posted: Vec<u8>,
}

/// The history of one plane. One handle writes, usually on a thread of its own; readers are made from it.
#[derive(Debug)]
pub struct History {
    reader: HistoryReader,
    poisoned: bool,
    /// Nothing is posted before this batch.
    posted_from: u64,
}

/// Makes a history durable, on any thread: it takes as long as the disk does, and who writes need not wait.
#[derive(Clone, Debug)]
pub struct HistorySync {
    store: Store,
}

/// The database and its keyspaces. All handles to a keyspace are counted references.
#[derive(Clone)]
struct Store {
    path: PathBuf,
    database: Database,
    headers: Keyspace,
    records: Keyspace,
    posted: Keyspace,
    withdrawals: Keyspace,
    positions: Keyspace,
    ids: Keyspace,
    flushes: Keyspace,
    meta: Keyspace,
}

impl History {
    /// Opens the history in `dir`, beside the log, and makes it if it is not there.
    ///
    /// It stays locked until the handle and all of its readers are gone.
    pub fn open(dir: &Path, plane_id: Digest) -> Result<Self, HistoryError> {
        let store = Store::open(dir.join("history"))?;
        store.check_marker(plane_id)?;
        Ok(Self { reader: HistoryReader { store }, poisoned: false, posted_from: 0 })
    }

    /// What makes this durable from another thread.
    pub fn syncer(&self) -> HistorySync {
        HistorySync { store: self.reader.store.clone() }
    }

    /// A reader that any thread may use while this handle writes.
    pub fn reader(&self) -> HistoryReader {
        self.reader.clone()
    }
}

impl Store {
    fn open(path: PathBuf) -> Result<Self, HistoryError> {
        let failed = |source| failed(&path, source);
        let database = Database::builder(&path)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .open()
            .map_err(failed)?;
        let keyspace = |name, block_bytes| {
            // No filters: ids are found by the start of a key, which filters do not know, and all else is asked for only
            // where it is likely to be.
            let options = || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(MEMTABLE_BYTES)
                    .data_block_size_policy(BlockSizePolicy::all(block_bytes))
                    .filter_policy(FilterPolicy::all(FilterPolicyEntry::None))
            };
            database.keyspace(name, options).map_err(failed)
        };
        let (few, many) = (4 * 1024, 32 * 1024);
        Ok(Self {
            headers: keyspace("headers", few)?,
            records: keyspace("records", many)?,
            posted: keyspace("posted", many)?,
            withdrawals: keyspace("withdrawals", few)?,
            positions: keyspace("positions", few)?,
            ids: keyspace("ids", few)?,
            flushes: keyspace("flushes", few)?,
            meta: keyspace("meta", few)?,
            database,
            path,
        })
    }

    /// Checks whose history it is; writes it down in a new one.
    fn check_marker(&self, plane_id: Digest) -> Result<(), HistoryError> {
        let failed = |source| failed(&self.path, source);
        let Some(found) = self.meta.get(MARKER).map_err(failed)? else {
            for (name, keyspace) in [("headers", &self.headers), ("flushes", &self.flushes), ("ids", &self.ids)] {
                if !keyspace.is_empty().map_err(failed)? {
                    return Err(self.corrupt(HistoryDamage::Missing { what: "its marker, but not its", of: name }));
                }
            }
            let mut write = self.database.batch().durability(Some(PersistMode::SyncAll));
            write.insert(&self.meta, MARKER, marker(plane_id));
            return write.commit().map_err(failed);
        };
        let found = read_marker(&found).map_err(|what| self.corrupt(what))?;
        if found == plane_id {
            Ok(())
        } else {
            Err(HistoryError::OtherPlane { path: self.path.clone(), found, expected: plane_id })
        }
    }

    fn corrupt(&self, what: impl Into<HistoryDamage>) -> HistoryError {
        HistoryError::Corrupt { path: self.path.clone(), what: what.into() }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

fn marker(plane_id: Digest) -> Vec<u8> {
    let mut marker = Vec::new();
    HISTORY_VERSION.encode(&mut marker);
    plane_id.encode(&mut marker);
    marker_digest(&marker).encode(&mut marker);
    marker
}

fn marker_digest(bytes: &[u8]) -> Digest {
    digest::hash(Domain::Checkpoint, 0, &[MARKER.as_bytes(), bytes])
}

fn read_marker(bytes: &[u8]) -> Result<Digest, HistoryDamage> {
    let of = |source| HistoryDamage::Decode { of: "meta", source };
    let mut reader = Reader::new(bytes);
    let version: u16 = reader.read().map_err(of)?;
    if version != HISTORY_VERSION {
        return Err(HistoryDamage::Version(version));
    }
    let plane_id: Digest = reader.read().map_err(of)?;
    let digested = reader.offset();
    let found: Digest = reader.read().map_err(of)?;
    reader.finish().map_err(of)?;
    if marker_digest(&bytes[..digested]) == found { Ok(plane_id) } else { Err(HistoryDamage::Checksum("meta")) }
}

// Values and keys.

/// Bytes of one record: it has no part whose length varies.
const RECORD_BYTES: usize = Source::BYTES_MIN + Digest::BYTES_MIN + Outcome::BYTES_MIN;
const CHECKSUM_BYTES: usize = 4;
const ID_BYTES: usize = 8;

/// A value's checksum. It covers where the value stands, so that one cannot stand for another.
fn checksum(name: &str, key: u64, body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let place = crc32c::crc32c_append(crc32c::crc32c(name.as_bytes()), &key.to_be_bytes());
    crc32c::crc32c_append(place, body).to_le_bytes()
}

/// The key of an id: few enough bytes that the database keeps them in place. A reader looks for the first eight.
fn id_key(id: &Digest, batch: u64, index: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..ID_BYTES].copy_from_slice(&id.as_bytes()[..ID_BYTES]);
    key[ID_BYTES..16].copy_from_slice(&batch.to_be_bytes());
    key[16..].copy_from_slice(&index.to_be_bytes());
    key
}
