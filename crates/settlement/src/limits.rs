//! How large the settlement's state can get and how much one message can make it do, with the relations between the
//! limits checked when the crate is compiled.

use ghostplane_proof::PROOF_BYTES_MAX;
use ghostplane_types::BatchHeader;
use ghostplane_types::Decode;
use ghostplane_types::limits::{
    ATTESTATIONS_MAX, BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, CHUNK_BYTES_MAX, COMMITMENT_BATCHES_MAX,
    L1_MESSAGE_BYTES_MAX, TRANSACTION_BYTES_MAX, WITNESS_BYTES_MAX,
};

/// Inbox entries kept: all that no archived commitment has consumed.
pub const INBOX_PENDING_MAX: usize = 65_536;
/// Bytes of those entries in canonical form.
pub const INBOX_PENDING_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Inbox entries that one L1 block takes.
pub const INBOX_BLOCK_ENTRIES_MAX: u32 = 1024;
/// Bytes of inbox entries that one L1 block takes.
pub const INBOX_BLOCK_BYTES_MAX: u64 = 512 * 1024;

/// Batches posted and not yet committed.
pub const POSTED_BATCHES_MAX: usize = COMMITMENT_BATCHES_MAX;
/// Chunks of one posted batch.
pub const POSTED_CHUNKS_MAX: usize = BATCH_BYTES_MAX.div_ceil(CHUNK_BYTES_MAX);

/// Commitments that are not final as a whole. An operator with a longer window commits less often than every block.
pub const PENDING_COMMITMENTS_MAX: usize = 4096;
/// Commitments that one call of `advance` looks at; the next call goes on.
pub const ADVANCE_COMMITMENTS_MAX: usize = 64;
/// Final commitments whose records are kept whole; older ones are in the archive.
pub const RECENT_FINALS_MAX: usize = 1024;
/// Levels of the archive's highest mountain.
pub const ARCHIVE_DEPTH_MAX: usize = 48;

/// Open cases, challenges and replays together.
pub const CASES_OPEN_MAX: usize = 32;
/// Open replays; the rest of the table is left for challenges.
pub const REPLAYS_OPEN_MAX: usize = 16;
/// Bytes that one case can hold: the posted batch and its witness.
pub const CASE_BYTES_MAX: usize = BATCH_BYTES_MAX + WITNESS_BYTES_MAX;

/// Proofs of which some pieces were brought, one for each sender; the operator has one place more.
pub const PROOFS_OPEN_MAX: usize = 4;
/// L1 blocks after its first piece in which a proof can be completed.
pub const PROOF_BLOCKS_MAX: u64 = 16;
/// Bytes of what a proof is about: headers, paths and flows.
pub const PROOF_STATEMENT_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a proof with what it is about.
pub const PROOF_BUNDLE_BYTES_MAX: usize = PROOF_BYTES_MAX + PROOF_STATEMENT_BYTES_MAX;

/// Runs of claimed withdrawals that are apart from each other.
pub const CLAIM_RUNS_MAX: usize = 1 << 22;

/// Bytes of one encoded message.
pub const MESSAGE_BYTES_MAX: usize = L1_MESSAGE_BYTES_MAX;

const _: () = {
    // One commitment has room for the whole inbox, so that a late operator can catch up.
    assert!(INBOX_PENDING_MAX <= COMMITMENT_BATCHES_MAX * BATCH_TRANSACTIONS_MAX);
    // A forced transaction of any size fits an empty block's budget, and a block fits the inbox.
    assert!(TRANSACTION_BYTES_MAX as u64 + 64 <= INBOX_BLOCK_BYTES_MAX);
    assert!(INBOX_BLOCK_BYTES_MAX <= INBOX_PENDING_BYTES_MAX);
    assert!(INBOX_BLOCK_ENTRIES_MAX as usize <= INBOX_PENDING_MAX);
    // Full chunks divide a full batch, so that no batch grows over its limit by its last chunk.
    assert!(BATCH_BYTES_MAX.is_multiple_of(CHUNK_BYTES_MAX));
    // What is posted can be committed at once.
    assert!(POSTED_BATCHES_MAX <= COMMITMENT_BATCHES_MAX && POSTED_CHUNKS_MAX <= 1024);
    // A full commitment with all its headers is one message.
    assert!(512 + COMMITMENT_BATCHES_MAX * BatchHeader::BYTES_MIN + ATTESTATIONS_MAX * 96 <= MESSAGE_BYTES_MAX);
    // Challenges always have room of their own, and replays are not shut out either.
    assert!(REPLAYS_OPEN_MAX < CASES_OPEN_MAX);
    assert!(ADVANCE_COMMITMENTS_MAX <= PENDING_COMMITMENTS_MAX);
};
