//! Every limit of protocol 1 in one place, with the relations between them checked when the crate is compiled.
//!
//! They are set from the slowest judge: an L1 that replays one batch cold, from its witness, in at most a second on one core.

use crate::slot::TREE_DEPTH;

/// Actions in one transaction.
pub const ACTIONS_MAX: usize = 256;
/// Bytes of a memo.
pub const MEMO_BYTES_MAX: usize = 64;
/// Approvals carried by one transaction.
pub const APPROVALS_MAX: usize = 64;
/// Bytes of one encoded transaction.
pub const TRANSACTION_BYTES_MAX: usize = 16 * 1024;
/// How far ahead of its lane the pool holds transactions.
pub const LANE_AHEAD_MAX: u64 = 64;
/// How far `valid_until` may lie behind the batch that includes a transaction: 30 days. Bounds what a pool must remember.
pub const VALIDITY_MS_MAX: u64 = 30 * 24 * 3600 * 1000;

/// Transactions and inbox entries in one batch.
pub const BATCH_TRANSACTIONS_MAX: usize = 4096;
/// Bytes of one batch in posted form.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Gas of one batch; one unit is about 10 ns of the slowest judge.
pub const BATCH_GAS_MAX: u64 = 100_000_000;
/// Journal entries of one batch.
pub const BATCH_ENTRIES_MAX: usize = 1 << 19;
/// Assets issued or retired by one batch.
pub const BATCH_FLOWS_MAX: usize = 64;
/// Withdrawals of one batch.
pub const BATCH_WITHDRAWALS_MAX: usize = 65_536;
/// How long a batch with content stays open.
pub const BATCH_OPEN_MS_MAX: u64 = 50;

/// Bytes of the witness of one batch. A batch whose witness could be larger is invalid, see [`witness_bytes_bound`].
pub const WITNESS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most that [`witness_bytes_bound`] may come to. The read that goes over it must still fit the witness that shows
/// it, so there is room for one more object and its path.
pub const WITNESS_BOUND_MAX: usize = WITNESS_BYTES_MAX - 2 * OBJECT_BYTES_MAX;
/// Bytes of one object.
pub const OBJECT_BYTES_MAX: usize = 65 * 1024;

/// Keys of one account.
pub const ACCOUNT_KEYS_MAX: usize = 8;
/// Lanes of one account.
pub const ACCOUNT_LANES_MAX: usize = 256;
/// Assets one account may hold.
pub const ACCOUNT_SLOTS_MAX: usize = 256;

/// Batches under one commitment.
pub const COMMITMENT_BATCHES_MAX: usize = 1024;
/// Attestations on one commitment.
pub const ATTESTATIONS_MAX: usize = 32;
/// Bytes of one chunk of posted data or of a witness: what fits one L1 message.
pub const CHUNK_BYTES_MAX: usize = 512 * 1024;

/// Assets that genesis registers.
pub const GENESIS_ASSETS_MAX: usize = 64;
/// Accounts that share the fees.
pub const FEE_SHARES_MAX: usize = 16;
/// Characters of an asset's symbol.
pub const SYMBOL_BYTES_MAX: usize = 12;

const _: () = {
    // A full transaction must fit its byte limit: fixed part below 512 bytes, 45 bytes an action, 33 + 64 + 4 an approval.
    assert!(512 + ACTIONS_MAX * 77 + MEMO_BYTES_MAX <= 2 * TRANSACTION_BYTES_MAX);
    assert!(512 + ACTIONS_MAX * 45 + MEMO_BYTES_MAX <= TRANSACTION_BYTES_MAX);
    // One transaction of any size fits an empty batch, and a forced one fits an L1 message.
    assert!(TRANSACTION_BYTES_MAX * 2 <= BATCH_BYTES_MAX && TRANSACTION_BYTES_MAX <= CHUNK_BYTES_MAX);
    // Entries: every posted action takes at least 3 bytes, moves at most 3 entries, and the aggregates add two per transaction.
    assert!(BATCH_BYTES_MAX / 3 + 3 * BATCH_TRANSACTIONS_MAX <= BATCH_ENTRIES_MAX);
    // The proof's clock counts two touches an entry below 2^23.
    assert!(BATCH_ENTRIES_MAX < 1 << 22);
    assert!(BATCH_FLOWS_MAX >= GENESIS_ASSETS_MAX);
    assert!(OBJECT_BYTES_MAX < CHUNK_BYTES_MAX && WITNESS_BYTES_MAX.is_multiple_of(CHUNK_BYTES_MAX));
    assert!(TREE_DEPTH == 30);
};

/// The most bytes that a witness takes for these counts; deterministic, so that every judge agrees which batch is too large.
///
/// `slots` and `objects` are the touched leaves, `value_bytes` the bytes of the touched objects' values. A multiproof of
/// `n` leaves among `2^d` carries at most `n * (d - floor(log2 n))` siblings below the level where the paths must have met, and at most `n` above it.
pub fn witness_bytes_bound(
    slots_used: u32,
    objects_used: u32,
    slots: usize,
    objects: usize,
    value_bytes: usize,
) -> usize {
    const HEADER_BYTES: usize = 64;
    const SLOT_BYTES: usize = 4 + 45;
    const OBJECT_FIXED_BYTES: usize = 4 + 32 + 32 + 5;
    let siblings = |used: u32, touched: usize| {
        let depth = (u32::BITS - used.saturating_sub(1).leading_zeros()) as usize;
        let meeting = (usize::BITS - touched.max(1).leading_zeros() - 1) as usize;
        touched.max(1) * (depth.saturating_sub(meeting) + 1) + TREE_DEPTH
    };
    HEADER_BYTES
        + slots * SLOT_BYTES
        + objects * OBJECT_FIXED_BYTES
        + value_bytes
        + 32 * (siblings(slots_used, slots) + siblings(objects_used, objects))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_batch_of_strangers_on_a_large_plane_fits_its_witness() {
        let accounts = 2 * BATCH_TRANSACTIONS_MAX;
        assert!(witness_bytes_bound(1 << 20, 1 << 20, accounts, 2 * accounts, accounts * 80) <= WITNESS_BOUND_MAX);
    }
}
