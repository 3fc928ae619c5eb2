//! Data that was posted and waits for its commitment. Only digests and lengths are kept: the bytes are in the L1's history.

use crate::codec::{fields, put_items, read_items};
use crate::limits::{POSTED_BATCHES_MAX, POSTED_CHUNKS_MAX};
use crate::refusal::Refusal;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::batch::{chunk_digest, posted_digest_of_chunks};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_list};
use ghostplane_types::limits::{BATCH_BYTES_MAX, CHUNK_BYTES_MAX};
use std::collections::VecDeque;

/// A batch whose data is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PostedBatch {
    /// Digest of its posted form.
    pub(crate) digest: Digest,
    /// Bytes of it.
    pub(crate) len: u64,
}

fields!(PostedBatch { digest: Digest, len: u64 });

/// Complete batches in order, and the chunks of the one that is being posted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Posted {
    batches: VecDeque<PostedBatch>,
    open_chunks: Vec<Digest>,
    open_len: u64,
}

impl Posted {
    pub(crate) fn batches(&self) -> &VecDeque<PostedBatch> {
        &self.batches
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.open_chunks.is_empty()
    }

    /// Checks that a chunk continues what was posted. `number` is the batch that the first waiting one is.
    pub(crate) fn check(&self, first: u64, number: u64, chunk: u32, last: bool, len: usize) -> Result<(), Refusal> {
        let expected = first + self.batches.len() as u64;
        if number != expected {
            return Err(Refusal::DataBatch { found: number, expected });
        }
        let next = u32::try_from(self.open_chunks.len()).expect("a batch has few chunks");
        if chunk != next {
            return Err(Refusal::DataChunk { found: chunk, expected: next });
        }
        let needed = if last { 1 } else { CHUNK_BYTES_MAX };
        if len < needed {
            return Err(Refusal::DataChunkShort { found: len, needed });
        }
        if len > CHUNK_BYTES_MAX {
            return Err(Refusal::DataChunkLong { found: len, limit: CHUNK_BYTES_MAX });
        }
        let (found, limit) = (self.open_len + len as u64, BATCH_BYTES_MAX as u64);
        if found >= limit && !last {
            return Err(Refusal::DataBatchLong { found, limit });
        }
        debug_assert!(found <= limit, "full chunks divide a full batch");
        let waiting = self.batches.len();
        if waiting >= POSTED_BATCHES_MAX {
            return Err(Refusal::DataQueueFull { found: waiting, limit: POSTED_BATCHES_MAX });
        }
        Ok(())
    }

    /// Adds a chunk that passed [`Posted::check`]; returns the batch when it is complete.
    pub(crate) fn push(&mut self, chain_id: u64, bytes: &[u8], last: bool) -> Option<PostedBatch> {
        self.open_chunks.push(chunk_digest(chain_id, bytes));
        self.open_len += bytes.len() as u64;
        if !last {
            return None;
        }
        let (chunks, len) = (std::mem::take(&mut self.open_chunks), std::mem::take(&mut self.open_len));
        let batch = PostedBatch { digest: posted_digest_of_chunks(chain_id, len, &chunks), len };
        self.batches.push_back(batch);
        Some(batch)
    }

    /// Drops the first `count` batches: they have been committed.
    pub(crate) fn take(&mut self, count: usize) {
        self.batches.drain(..count);
    }

    /// Drops everything and returns how many complete batches that were.
    pub(crate) fn clear(&mut self) -> u64 {
        std::mem::take(self).batches.len() as u64
    }
}

impl Encode for Posted {
    fn encode(&self, out: &mut Vec<u8>) {
        put_items(out, self.batches.iter());
        put_list(out, &self.open_chunks);
        self.open_len.encode(out);
    }
}

impl Decode for Posted {
    const BYTES_MIN: usize = 10;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let batches: VecDeque<PostedBatch> = read_items(reader, "posted batches", POSTED_BATCHES_MAX)?;
        // The chunk that would fill a batch is its last, and closes it.
        let open_chunks: Vec<Digest> = reader.list("posted chunks", POSTED_CHUNKS_MAX - 1)?;
        let open_len = reader.read()?;
        let lengths_fit = batches.iter().all(|batch| (1..=BATCH_BYTES_MAX as u64).contains(&batch.len));
        let opens_at_room = open_chunks.is_empty() || batches.len() < POSTED_BATCHES_MAX;
        if !lengths_fit || !opens_at_room || open_len != (open_chunks.len() * CHUNK_BYTES_MAX) as u64 {
            return Err(reader.non_canonical("posted data"));
        }
        Ok(Self { batches, open_chunks, open_len })
    }
}
