//! Checkpoints of the state, so that starting does not execute the whole log again. The log stays the truth.
//!
//! # What is kept
//!
//! `DIR/checkpoint/` is a `fjall` database with three keyspaces.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `slots` | index, `u32` big-endian | the slot, canonical |
//! | `objects` | index, `u32` big-endian | key (32), flag 1 and the bytes, or flag 0 if removed |
//! | `meta` | `checkpoint` | version `u16`, plane id, header of the batch, digest of all these under `Checkpoint` |
//!
//! A checkpoint is written as one atomic batch, the marker in `meta` with it: the state of one batch is there, or that of the
//! one before. Only leaves that changed are written. Whoever executes collects them in [`Changed`], which costs a look at each
//! change, and hands it to a thread that writes.
//!
//! # What is checked
//!
//! Loading builds both trees from the leaves and compares their roots and counts with the header. A checkpoint is taken only
//! if the log holds its batch ([`LogEnd::holds`]), which is checked before writing too: the log is always first. One that is
//! damaged, ahead of the log or reverted can be thrown away, and the state comes from the log alone.

mod changed;
#[cfg(test)]
mod tests;

pub use changed::Changed;

use crate::disk::is_full;
use crate::log::{LogEnd, NotInLog};
use fjall::config::BlockSizePolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use ghostplane_ghostcipher::workers::Workers;
use ghostplane_ghostcipher::{Digest, Domain, digest};
use ghostplane_keystone::{Keystone, RebuildError, StateView};
use ghostplane_types::{BatchHeader, Decode, DecodeError, Encode, ObjectKey, Reader, Slot};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use thiserror::Error;

/// Version of the checkpoint's format.
pub const CHECKPOINT_VERSION: u16 = 1;

const MARKER: &str = "checkpoint";
/// Blocks of the database that are kept in memory. Loading reads each block once, so more would be of no use.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of one block. Leaves are read in a row, so blocks are larger than where single keys are looked up.
const BLOCK_BYTES: u32 = 32 * 1024;
/// A checkpoint that changes so many leaves is written to tables at once.
const FLUSHED_LEAVES_MIN: usize = 1 << 17;
/// What collects in memory before it is sorted into files.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of the database's own journal, the least it takes. Opening has to read it again.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Object leaves that are handed from the thread that reads them at a time, and how many times that far it may be ahead.
const CHUNK_LEAVES: usize = 4096;
const CHUNKS_AHEAD: usize = 256;

/// The checkpoints of one plane. One handle writes them, usually on a thread of its own.
pub struct Checkpoints {
    path: PathBuf,
    plane_id: Digest,
    database: Database,
    slots: Keyspace,
    objects: Keyspace,
    meta: Keyspace,
    poisoned: bool,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Somebody has it open.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The disk is full. The handle is poisoned: open it again when there is room.
    #[error("no space left for {}", .0.display())]
    NoSpace(PathBuf),
    /// The database fails, or has been damaged. After a failed write the handle is poisoned.
    #[error("{}: {source}", path.display())]
    Database {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: Box<fjall::Error>,
    },
    /// An earlier write failed. Open it again.
    #[error("an earlier write of a checkpoint failed: open it again")]
    Poisoned,
    /// The marker or a leaf is not what was written, or the leaves do not have the header's roots.
    #[error("the checkpoint in {} is damaged: {what}. Remove that directory: the state is built from the log then", path.display())]
    Corrupt {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: CheckpointDamage,
    },
    /// The checkpoint is of a batch that the log does not hold.
    #[error("the checkpoint is not used: {0}")]
    NotInLog(#[from] NotInLog),
    /// The changes start from another batch than the last checkpoint. Whoever collected them is wrong; nothing was written.
    #[error("the changes start from batch {found:?}, the last checkpoint is of {expected:?}")]
    Base {
        /// Where the changes start: number and generation.
        found: Option<(u64, u32)>,
        /// The last checkpoint.
        expected: Option<(u64, u32)>,
    },
}

/// What is wrong with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckpointDamage {
    /// The marker does not decode.
    #[error("its marker does not decode: {0}")]
    Marker(DecodeError),
    /// The marker does not have its digest.
    #[error("its marker does not have its digest")]
    Digest,
    /// Written by another release.
    #[error("it has format {0}, this release reads {CHECKPOINT_VERSION}")]
    Version(u16),
    /// Of another plane.
    #[error("it belongs to plane {0}")]
    Plane(Digest),
    /// A leaf does not decode.
    #[error("leaf {index} of the {tree} tree does not decode: {source}")]
    Leaf {
        /// Which tree.
        tree: &'static str,
        /// Which leaf, by the count of leaves before it.
        index: u32,
        /// Why.
        source: DecodeError,
    },
    /// Leaves are missing, or there are too many.
    #[error("leaf {expected} of the {tree} tree is missing or out of its place")]
    Gap {
        /// Which tree.
        tree: &'static str,
        /// Which leaf should be there, or should be the first that is not.
        expected: u32,
    },
    /// The leaves are no state.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// The leaves make another state than the header says.
    #[error("its leaves do not have the roots of batch {0}")]
    Roots(u64),
}

impl Checkpoints {
    /// Opens the checkpoints in `dir`, beside the log whose lock protects both.
    pub fn open(dir: &Path, plane_id: Digest) -> Result<Self, CheckpointError> {
        let path = dir.join("checkpoint");
        let failed = |source| failed(&path, source);
        let database = Database::builder(&path)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .open()
            .map_err(failed)?;
        let keyspace = |name| {
            let options = || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(MEMTABLE_BYTES)
                    .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
            };
            database.keyspace(name, options).map_err(failed)
        };
        let (slots, objects, meta) = (keyspace("slots")?, keyspace("objects")?, keyspace("meta")?);
        Ok(Self { path, plane_id, database, slots, objects, meta, poisoned: false })
    }

    /// The header of the batch whose state is kept; `None` before the first checkpoint.
    pub fn header(&self) -> Result<Option<BatchHeader>, CheckpointError> {
        let marker = self.meta.get(MARKER).map_err(|source| failed(&self.path, source))?;
        marker.map(|bytes| self.read_marker(&bytes)).transpose()
    }

    /// Makes the state after the batch of `header` the checkpoint. `changed` holds what differs from the last one.
    ///
    /// Durable when it answers. Takes as long as a disk takes to write what changed: not for the thread that executes.
    pub fn write(&mut self, log: &LogEnd, header: &BatchHeader, changed: Changed) -> Result<(), CheckpointError> {
        if self.poisoned {
            return Err(CheckpointError::Poisoned);
        }
        log.holds(header)?;
        let last = self.header()?;
        let expected = last.as_ref().map(changed::base_of);
        if !changed.whole && changed.base != expected {
            return Err(CheckpointError::Base { found: changed.base, expected });
        }
        let (slots_before, objects_before) = last.map_or((0, 0), |last| (last.slots_used, last.objects_used));
        let leaves = changed.slots.len() + changed.objects.len();
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let mut value = Vec::new();
        for (index, slot) in changed.slots {
            value.clear();
            slot.encode(&mut value);
            batch.insert(&self.slots, index.to_be_bytes(), value.as_slice());
        }
        for (index, (key, object)) in changed.objects {
            value.clear();
            key.encode(&mut value);
            object.is_some().encode(&mut value);
            value.extend_from_slice(object.as_deref().unwrap_or_default());
            batch.insert(&self.objects, index.to_be_bytes(), value.as_slice());
        }
        for index in header.slots_used..slots_before {
            batch.remove(&self.slots, index.to_be_bytes());
        }
        for index in header.objects_used..objects_before {
            batch.remove(&self.objects, index.to_be_bytes());
        }
        batch.insert(&self.meta, MARKER, marker(&self.plane_id, header));
        let committed = batch.commit().and_then(|()| {
            // What is only in the database's journal is read again and sorted each time it is opened, at a third of a million
            // leaves a second. Much of that would make the next start wait.
            if leaves >= FLUSHED_LEAVES_MIN {
                for keyspace in [&self.slots, &self.objects, &self.meta] {
                    keyspace.rotate_memtable_and_wait()?;
                }
            }
            Ok(())
        });
        committed.map_err(|source| {
            self.poisoned = true;
            failed(&self.path, source)
        })
    }

    /// The last checkpoint, if the log holds its batch. `None` if there is none.
    pub fn load(&self, log: &LogEnd) -> Result<Option<Checkpoint<'_>>, CheckpointError> {
        let Some(header) = self.header()? else { return Ok(None) };
        log.holds(&header)?;
        Ok(Some(Checkpoint { of: self, header }))
    }

    fn read_marker(&self, bytes: &[u8]) -> Result<BatchHeader, CheckpointError> {
        let decode = || {
            let mut reader = Reader::new(bytes);
            let version: u16 = reader.read()?;
            if version != CHECKPOINT_VERSION {
                return Err(CheckpointDamage::Version(version));
            }
            let plane_id: Digest = reader.read()?;
            let header: BatchHeader = reader.read()?;
            let signed = reader.offset();
            let found: Digest = reader.read()?;
            reader.finish()?;
            if digest::hash(Domain::Checkpoint, 0, &[&bytes[..signed]]) != found {
                return Err(CheckpointDamage::Digest);
            }
            if plane_id != self.plane_id {
                return Err(CheckpointDamage::Plane(plane_id));
            }
            Ok(header)
        };
        decode().map_err(|what| self.corrupt(what))
    }

    fn corrupt(&self, what: CheckpointDamage) -> CheckpointError {
        CheckpointError::Corrupt { path: self.path.clone(), what }
    }
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").field("path", &self.path).finish_non_exhaustive()
    }
}

impl From<DecodeError> for CheckpointDamage {
    fn from(error: DecodeError) -> Self {
        Self::Marker(error)
    }
}

/// What stands beside the leaves and says whose state they are, and after which batch.
pub fn marker(plane_id: &Digest, header: &BatchHeader) -> Vec<u8> {
    let mut marker = Vec::new();
    CHECKPOINT_VERSION.encode(&mut marker);
    plane_id.encode(&mut marker);
    header.encode(&mut marker);
    let digest = digest::hash(Domain::Checkpoint, 0, &[&marker]);
    digest.encode(&mut marker);
    marker
}

/// A checkpoint whose batch the log holds, not yet read.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    of: &'a Checkpoints,
    header: BatchHeader,
}

impl Checkpoint<'_> {
    /// The header of the batch whose state it is.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Builds the state from the leaves, and checks that it has the header's roots.
    ///
    /// `index_seed` is that of [`Keystone::new`].
    pub fn build(self, index_seed: u64, workers: &dyn Workers) -> Result<Keystone, CheckpointError> {
        let Self { of, header } = self;
        let mut slots = Leaves::new(&of.slots, "ledger", header.slots_used, decode_slot);
        let mut objects = Leaves::new(&of.objects, "object", header.objects_used, decode_object);
        // The two trees are read side by side: reading takes longer than building.
        let built = std::thread::scope(|scope| {
            let (send, receive) = mpsc::sync_channel(CHUNKS_AHEAD);
            let objects = &mut objects;
            scope.spawn(move || {
                while let chunk = objects.by_ref().take(CHUNK_LEAVES).collect::<Vec<ObjectLeaf>>()
                    && !chunk.is_empty()
                    && send.send(chunk).is_ok()
                {}
            });
            Keystone::from_leaves(index_seed, &mut slots, receive.into_iter().flatten(), workers)
        });
        if let Some(trouble) = slots.trouble.or(objects.trouble) {
            return Err(match trouble {
                Trouble::Damage(what) => of.corrupt(what),
                Trouble::Database(source) => failed(&of.path, source),
            });
        }
        let keystone = built.map_err(|error| of.corrupt(error.into()))?;
        if keystone.roots() == header.state().roots {
            Ok(keystone)
        } else {
            Err(of.corrupt(CheckpointDamage::Roots(header.number)))
        }
    }
}

/// An object leaf as it is kept.
type ObjectLeaf = (ObjectKey, Option<ObjectBytes>);

/// The value of an object, as a part of the bytes that the database lends.
struct ObjectBytes(fjall::UserValue);

const OBJECT_FIXED_BYTES: usize = 33;

impl AsRef<[u8]> for ObjectBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0[OBJECT_FIXED_BYTES..]
    }
}

fn decode_slot(bytes: fjall::UserValue) -> Result<Slot, DecodeError> {
    Slot::from_bytes(&bytes)
}

fn decode_object(bytes: fjall::UserValue) -> Result<ObjectLeaf, DecodeError> {
    let mut reader = Reader::new(&bytes);
    let key = reader.read()?;
    if reader.read::<bool>()? {
        return Ok((key, Some(ObjectBytes(bytes))));
    }
    reader.finish()?;
    Ok((key, None))
}

enum Trouble {
    Damage(CheckpointDamage),
    Database(fjall::Error),
}

/// The leaves of one tree from index 1 on. Ends at the first trouble, and notes it.
struct Leaves<T> {
    iter: fjall::Iter,
    tree: &'static str,
    expected: u32,
    used: u32,
    decode: fn(fjall::UserValue) -> Result<T, DecodeError>,
    trouble: Option<Trouble>,
}

impl<T> Leaves<T> {
    fn new(
        keyspace: &Keyspace,
        tree: &'static str,
        used: u32,
        decode: fn(fjall::UserValue) -> Result<T, DecodeError>,
    ) -> Self {
        Self { iter: keyspace.iter(), tree, expected: 1, used, decode, trouble: None }
    }

    fn read(&mut self) -> Result<Option<T>, Trouble> {
        let (tree, expected) = (self.tree, self.expected);
        let gap = Trouble::Damage(CheckpointDamage::Gap { tree, expected });
        let Some(leaf) = self.iter.next() else {
            return if expected == self.used { Ok(None) } else { Err(gap) };
        };
        let (key, value) = leaf.into_inner().map_err(Trouble::Database)?;
        if expected >= self.used || *key != expected.to_be_bytes() {
            return Err(gap);
        }
        let decoded = (self.decode)(value);
        let leaf =
            decoded.map_err(|source| Trouble::Damage(CheckpointDamage::Leaf { tree, index: expected, source }))?;
        self.expected += 1;
        Ok(Some(leaf))
    }
}

impl<T> Iterator for Leaves<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.trouble.is_some() {
            return None;
        }
        self.read().unwrap_or_else(|trouble| {
            self.trouble = Some(trouble);
            None
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An upper end only: a damaged marker must not make anybody reserve memory for leaves that are not there.
        (0, Some(self.used.saturating_sub(self.expected) as usize))
    }
}

fn failed(path: &Path, source: fjall::Error) -> CheckpointError {
    let path = path.to_path_buf();
    let of_disk = |error: &io::Error| is_full(error);
    match &source {
        fjall::Error::Locked => CheckpointError::Locked(path),
        fjall::Error::Poisoned => CheckpointError::Poisoned,
        fjall::Error::Io(error) if of_disk(error) => CheckpointError::NoSpace(path),
        fjall::Error::Storage(fjall::LsmError::Io(error)) if of_disk(error) => CheckpointError::NoSpace(path),
        _ => CheckpointError::Database { path, source: Box::new(source) },
    }
}
