//! What the L1's history shows to everybody, read back from its blocks.

use super::L1;
use crate::files::ReadError;
use crate::index::Committed;
use crate::limits::INBOX_READ_MAX;
use crate::state::decode_entries;
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_settlement::archive;
use ghostplane_settlement::{Claim, ClaimedUnder, FinalRecord, Message};
use ghostplane_types::{BatchHeader, Commitment, Decode, InboxEntry, Withdrawal};
use thiserror::Error;

/// A batch as the L1's history shows it to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What was claimed.
    pub header: BatchHeader,
    /// Its data.
    pub posted: Vec<u8>,
    /// The first batch of the commitment it came with.
    pub first_batch: u64,
}

/// A commitment as the L1's history shows it to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedCommitment {
    /// The commitment.
    pub commitment: Commitment,
    /// The headers of all its batches, those included that a conviction cut off.
    pub headers: Vec<BatchHeader>,
    /// Its last batch that stands.
    pub last_batch: u64,
    /// The L1 block that accepted it.
    pub l1_height: u64,
}

/// Why no claim can be made.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// The L1 shows no such batch.
    #[error("the L1 shows no batch {batch}: it is not committed, or was reverted")]
    UnknownBatch {
        /// Which.
        batch: u64,
    },
    /// The batch has fewer withdrawals.
    #[error("batch {batch} has {count} withdrawals, there is none at {index}")]
    UnknownWithdrawal {
        /// Which batch.
        batch: u64,
        /// How many it has.
        count: usize,
        /// Which was asked for.
        index: usize,
    },
    /// The withdrawals given are not the batch's.
    #[error("the withdrawals are not those of batch {batch}: their root is {found}, the header says {expected}")]
    OtherWithdrawals {
        /// Which batch.
        batch: u64,
        /// The root of those given.
        found: Digest,
        /// That of the header.
        expected: Digest,
    },
    /// The L1's history cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl L1 {
    /// The last batch that is committed and not reverted; batches count from 1.
    pub fn published_upto(&self) -> u64 {
        self.shared.state.read().index.batches()
    }

    /// A committed batch with its data; nothing if there is none of that number, or none any more.
    pub fn published(&self, batch: u64) -> Result<Option<Published>, ReadError> {
        let (committed, pieces) = {
            let state = self.shared.state.read();
            let pieces = state.index.pieces_of(batch).map(<[_]>::to_vec);
            match state.committed(batch).zip(pieces) {
                Some(found) => found,
                None => return Ok(None),
            }
        };
        let commitment = self.read_commitment(&committed)?;
        let mut posted = Vec::new();
        for piece in &pieces {
            posted.extend(self.shared.files.read(piece)?);
        }
        let header = header_of(&commitment, batch).ok_or_else(|| self.shared.files.wrong(&committed.place))?;
        Ok(Some(Published { header, posted, first_batch: committed.first_batch }))
    }

    /// The commitment that a batch is under; nothing if it is under none, or under none any more.
    pub fn commitment_of(&self, batch: u64) -> Result<Option<PublishedCommitment>, ReadError> {
        let committed = self.shared.state.read().committed(batch);
        committed.map(|committed| self.read_commitment(&committed)).transpose()
    }

    /// Inbox entries from `from` up to, not with, `upto`, as far as they exist, and at most [`INBOX_READ_MAX`].
    pub fn inbox(&self, from: u64, upto: u64) -> Result<Vec<InboxEntry>, ReadError> {
        let upto = upto.min(from.saturating_add(INBOX_READ_MAX as u64));
        let runs = {
            let state = self.shared.state.read();
            if from >= state.settlement.inbox_start() {
                return Ok(state.settlement.inbox_entries(from, upto).cloned().collect());
            }
            let runs = state.index.inbox_runs(from);
            runs.iter().take_while(|run| run.first < upto).copied().collect::<Vec<_>>()
        };
        let mut entries = Vec::new();
        for run in runs {
            let bytes = self.shared.files.read(&run.place)?;
            let of_run = decode_entries(&bytes, run.count).map_err(|_| self.shared.files.wrong(&run.place))?;
            entries.extend(of_run.into_iter().filter(|entry| (from..upto).contains(&entry.index)));
        }
        Ok(entries)
    }

    /// How many inbox entries there ever were.
    pub fn inbox_end(&self) -> u64 {
        self.shared.state.read().settlement.inbox_end()
    }

    /// The record at `index` of the archive; nothing if it is not that long.
    pub fn final_record(&self, index: u64) -> Result<Option<FinalRecord>, ReadError> {
        let committed = self.shared.state.read().index.archived(index).copied();
        let Some(committed) = committed else { return Ok(None) };
        let commitment = self.read_commitment(&committed)?;
        let record = self.record_of(&commitment);
        record.map(Some).ok_or_else(|| self.shared.files.wrong(&committed.place))
    }

    /// The path of the record at `index` in the archive as it is now. It can be too short once the archive has grown.
    pub fn archive_path(&self, index: u64) -> Option<archive::Path> {
        self.shared.state.read().index.history().path(index)
    }

    /// The message that claims the withdrawal at `index` of the withdrawals of `batch`, which are all to be given. It finds
    /// old batches in the archive; such a claim can come too late when the archive grows meanwhile (code 441): make it again.
    pub fn claim(&self, batch: u64, withdrawals: &[Withdrawal], index: usize) -> Result<Message, ClaimError> {
        let unknown = ClaimError::UnknownBatch { batch };
        let Some(found) = self.commitment_of(batch)? else { return Err(unknown) };
        let first_batch = found.commitment.first_batch;
        let chain_id = self.with_settlement(|settlement| settlement.genesis().chain_id);
        let Some(header) = header_of(&found, batch) else { return Err(unknown) };
        let headers = merkle::Tree::new(found.headers.iter().map(|header| header.digest(chain_id)).collect());
        let Some(header_path) = headers.path(batch - first_batch) else { return Err(unknown) };
        let missing = ClaimError::UnknownWithdrawal { batch, count: withdrawals.len(), index };
        let Some(withdrawal) = withdrawals.get(index) else { return Err(missing) };
        let outbox = merkle::Tree::new(withdrawals.iter().map(|withdrawal| withdrawal.leaf(chain_id)).collect());
        let (root, expected) = (outbox.root(), header.outbox_root);
        if root != expected {
            return Err(ClaimError::OtherWithdrawals { batch, found: root, expected });
        }
        let Some(outbox_path) = outbox.path(index as u64) else { return Err(missing) };
        let under = self.under(&found).ok_or(unknown)?;
        Ok(Message::Claim(Box::new(Claim { under, header, header_path, withdrawal: *withdrawal, outbox_path })))
    }

    /// Where the settlement finds the commitment: with itself while it keeps it, else in the archive.
    fn under(&self, found: &PublishedCommitment) -> Option<ClaimedUnder> {
        let first_batch = found.commitment.first_batch;
        let state = self.shared.state.read();
        let kept_from = state.settlement.recent_finals().front().map_or(0, |record| record.first_batch);
        let Some(index) = state.index.archive_index(first_batch).filter(|_| first_batch < kept_from) else {
            return Some(ClaimedUnder::Recent { first_batch });
        };
        let path = state.index.history().path(index)?;
        drop(state);
        Some(ClaimedUnder::Archived { record: self.record_of(found)?, path })
    }

    fn record_of(&self, found: &PublishedCommitment) -> Option<FinalRecord> {
        let chain_id = self.with_settlement(|settlement| settlement.genesis().chain_id);
        Some(FinalRecord {
            first_batch: found.commitment.first_batch,
            last_batch: found.last_batch,
            headers_root: found.commitment.headers_root,
            data_digest: found.commitment.data_digest,
            last_header: header_of(found, found.last_batch)?.digest(chain_id),
        })
    }

    fn read_commitment(&self, committed: &Committed) -> Result<PublishedCommitment, ReadError> {
        let wrong = || self.shared.files.wrong(&committed.place);
        let bytes = self.shared.files.read(&committed.place)?;
        let Ok(Message::Commit { commitment, headers }) = Message::from_bytes(&bytes) else { return Err(wrong()) };
        if commitment.first_batch != committed.first_batch {
            return Err(wrong());
        }
        let (last_batch, l1_height) = (committed.last_batch, committed.l1_height);
        Ok(PublishedCommitment { commitment: *commitment, headers, last_batch, l1_height })
    }
}

fn header_of(found: &PublishedCommitment, batch: u64) -> Option<BatchHeader> {
    let at = usize::try_from(batch.checked_sub(found.commitment.first_batch)?).ok()?;
    found.headers.get(at).copied()
}
