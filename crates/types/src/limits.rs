//! Every limit of protocol 1 in one place, with the relations between them checked when the crate is compiled.
//!
//! They are set from the slowest judge: an L1 that replays one batch cold, from its witness, in at most a second on one core.

use crate::slot::TREE_DEPTH;
use ghostplane_ghostcipher::webauthn;

/// Actions in one transaction.
pub const ACTIONS_MAX: usize = 256;
/// Bytes of a memo.
pub const MEMO_BYTES_MAX: usize = 64;
/// Bytes of the name of a service that somebody signs in to.
pub const SERVICE_BYTES_MAX: usize = 253;
/// Approvals carried by one transaction.
pub const APPROVALS_MAX: usize = 64;
/// Bytes of an assertion's authenticator data, at least and at most.
pub const AUTHENTICATOR_DATA_BYTES_MIN: usize = webauthn::AUTHENTICATOR_DATA_BYTES_MIN;
/// See [`AUTHENTICATOR_DATA_BYTES_MIN`].
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = webauthn::AUTHENTICATOR_DATA_BYTES_MAX;
/// Bytes of an assertion's client data.
pub const CLIENT_DATA_BYTES_MAX: usize = webauthn::CLIENT_DATA_BYTES_MAX;
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
/// Gas of a plane in a second: what a judge follows who replays every batch on one core. What mana gives away is measured by it.
pub const PLANE_GAS_PER_SECOND: u64 = BATCH_GAS_MAX;
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
/// What one transaction of the log may add to a witness.
pub const LOG_REACH_BYTES_MAX: usize = WITNESS_BOUND_MAX / 2;
/// Bytes of one object.
pub const OBJECT_BYTES_MAX: usize = 65 * 1024;

/// Keys of one account.
pub const ACCOUNT_KEYS_MAX: usize = 8;
/// Lanes of one account.
pub const ACCOUNT_LANES_MAX: usize = 256;
/// Assets one account may hold.
pub const ACCOUNT_SLOTS_MAX: usize = 256;
/// Bytes of an account's gates in its record, which everybody reads who pays it.
pub const ACCOUNT_GATES_BYTES_MAX: usize = 8 * 1024;
/// Sessions of one account.
pub const SESSIONS_MAX: usize = 16;
/// Recipients that a session lists on the plane, and as many on the L1.
pub const SESSION_RECIPIENTS_MAX: usize = 16;
/// Contracts that a session lists.
pub const SESSION_CONTRACTS_MAX: usize = 8;
/// Assets that a session may move.
pub const SESSION_LIMITS_MAX: usize = 8;
/// Authorities that genesis names, whose credentials count.
pub const AUTHORITIES_MAX: usize = 16;
/// The highest verification level that an authority may give.
pub const LEVEL_MAX: u8 = 9;
/// Credentials that count for one account: one of each authority.
pub const CERTIFICATIONS_MAX: usize = AUTHORITIES_MAX;
/// How long a credential lasts at most: ten years of 366 days.
pub const CREDENTIAL_MS_MAX: u64 = 10 * 366 * 24 * 3600 * 1000;
/// How long a session lasts at most: 366 days.
pub const SESSION_MS_MAX: u64 = 366 * 24 * 3600 * 1000;
/// Bytes of one window counter in the record at most.
pub const SPENT_BYTES_MAX: usize = 20;
/// Bytes of one session and its counters in the record at most.
pub const SESSION_BYTES_MAX: usize = 84
    + 2 * (2 + 32 * SESSION_RECIPIENTS_MAX)
    + 8
    + 1
    + 32 * SESSION_CONTRACTS_MAX
    + 1
    + (21 + SPENT_BYTES_MAX) * SESSION_LIMITS_MAX;

/// Bytes of the text of one covenant: what a transaction carries beside little else.
pub const COVENANT_BYTES_MAX: usize = 12 * 1024;
/// Assets that an account's spending is counted of for rules.
pub const SPENDING_MAX: usize = 16;
/// Bytes of what is counted of one asset, at most.
pub const SPENDING_BYTES_MAX: usize = 5 + 4 * 10;
/// The windows of mana, and for how long it is saved up: 30 days at most.
pub const MANA_SPAN_MS_MAX: u64 = 30 * 24 * 3600 * 1000;
/// Levels of verification that have a base grant of their own.
pub const MANA_GRANTS_MAX: usize = 8;
/// Bytes of an account's mana in its record at most.
pub const MANA_BYTES_MAX: usize = 10 + 16 + SPENT_BYTES_MAX;

/// Guardians of one account.
pub const GUARDIANS_MAX: usize = 16;
/// Assets that a set of guardians lets leave without it.
pub const GUARDIAN_ALLOWANCES_MAX: usize = 8;
/// How long a change of a gate or a recovery waits at most: 90 days.
pub const GUARDIAN_DELAY_MS_MAX: u64 = 90 * 24 * 3600 * 1000;
/// Proposals of one account that are held at a time.
pub const PROPOSALS_MAX: usize = 8;
/// Actions of one proposal.
pub const PROPOSAL_ACTIONS_MAX: usize = 16;
/// Bytes of the actions of one proposal.
pub const PROPOSAL_BYTES_MAX: usize = 2 * 1024;
/// How long a proposal is held: 30 days.
pub const PROPOSAL_MS_MAX: u64 = 30 * 24 * 3600 * 1000;

/// Bytes of an account's record at most: keys, lanes, slots, gates, what is counted for rules, credentials that count, mana.
pub const ACCOUNT_RECORD_BYTES_MAX: usize = 128
    + 68 * ACCOUNT_KEYS_MAX
    + 11 * ACCOUNT_LANES_MAX
    + 10 * ACCOUNT_SLOTS_MAX
    + ACCOUNT_GATES_BYTES_MAX
    + SPENDING_BYTES_MAX * SPENDING_MAX
    + 75 * CERTIFICATIONS_MAX
    + MANA_BYTES_MAX;
/// Bytes of the object that a published text makes, at most.
pub const COVENANT_TEXT_BYTES_MAX: usize = COVENANT_BYTES_MAX + 64;

/// Batches under one commitment.
pub const COMMITMENT_BATCHES_MAX: usize = 1024;
/// Attestations on one commitment.
pub const ATTESTATIONS_MAX: usize = 32;
/// Committers of one plane: their attestations stand beside the sequencer's.
pub const COMMITTERS_MAX: usize = ATTESTATIONS_MAX - 1;
/// Bytes of one chunk of posted data or of a witness: what fits one L1 message.
pub const CHUNK_BYTES_MAX: usize = 512 * 1024;
/// Bytes of one L1 message before it is signed.
pub const L1_MESSAGE_BYTES_MAX: usize = CHUNK_BYTES_MAX + 1024;

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
    // With a passkey's assertion as well, whose signature the fixed part has.
    assert!(
        512 + AUTHENTICATOR_DATA_BYTES_MAX + CLIENT_DATA_BYTES_MAX + ACTIONS_MAX * 45 + MEMO_BYTES_MAX
            <= TRANSACTION_BYTES_MAX
    );
    assert!(AUTHENTICATOR_DATA_BYTES_MIN <= AUTHENTICATOR_DATA_BYTES_MAX);
    // One transaction of any size fits an empty batch, and a forced one fits an L1 message.
    assert!(TRANSACTION_BYTES_MAX * 2 <= BATCH_BYTES_MAX && TRANSACTION_BYTES_MAX <= CHUNK_BYTES_MAX);
    // Entries: every posted action that moves takes at least 3 bytes, and the aggregates add three per transaction.
    assert!(BATCH_BYTES_MAX / 3 + 3 * BATCH_TRANSACTIONS_MAX <= BATCH_ENTRIES_MAX);
    // The proof's clock counts two touches an entry below 2^23.
    assert!(BATCH_ENTRIES_MAX < 1 << 22);
    assert!(BATCH_FLOWS_MAX >= GENESIS_ASSETS_MAX);
    assert!(OBJECT_BYTES_MAX < CHUNK_BYTES_MAX && WITNESS_BYTES_MAX.is_multiple_of(CHUNK_BYTES_MAX));
    // An account record with everything in it is an object.
    assert!(ACCOUNT_RECORD_BYTES_MAX <= OBJECT_BYTES_MAX);
    assert!(TREE_DEPTH == 30);
    // A member has a bit in the votes on a proposal.
    assert!(GUARDIANS_MAX <= u16::BITS as usize);
    // The largest session can be proposed; the largest set and proposal fit a record at once.
    assert!(SESSION_BYTES_MAX + 64 <= PROPOSAL_BYTES_MAX && PROPOSAL_BYTES_MAX + 2048 <= ACCOUNT_GATES_BYTES_MAX);
    // Any session fits a transaction and the record.
    assert!(SESSION_BYTES_MAX + 1024 <= TRANSACTION_BYTES_MAX && SESSION_BYTES_MAX <= ACCOUNT_GATES_BYTES_MAX);
    // A text fits a transaction, and an object.
    assert!(COVENANT_BYTES_MAX + 1024 <= TRANSACTION_BYTES_MAX && COVENANT_TEXT_BYTES_MAX <= OBJECT_BYTES_MAX);
};

/// Flags and the lengths of four lists.
pub(crate) const WITNESS_HEADER_BYTES: usize = 1 + 4 * 5;
/// Index and slot.
pub(crate) const WITNESS_SLOT_BYTES: usize = 5 + 45;
/// Index, key, length or digest of the value, next key.
pub(crate) const WITNESS_OBJECT_BYTES: usize = 5 + 32 + 33 + 32;
const NODE_BYTES: usize = 32;
/// The nodes beside a way to the root.
pub(crate) const WAY_BYTES: usize = TREE_DEPTH * NODE_BYTES;

/// The most bytes that a witness takes for these counts; deterministic, so that every judge agrees which batch is too large.
///
/// `slots` and `objects` are the touched leaves, an object that is not there counting twice: for the neighbour that shows
/// it and for the leaf that may be made. `value_bytes` are the bytes of the touched objects' values. More of anything never
/// gives less: a batch within the limit in the end is within it all the way, in whatever order it is read.
pub fn witness_bytes_bound(
    slots_used: u32,
    objects_used: u32,
    slots: usize,
    objects: usize,
    value_bytes: usize,
) -> usize {
    let nodes = siblings_max(slots_used, slots) + siblings_max(objects_used, objects);
    WITNESS_HEADER_BYTES
        + slots * WITNESS_SLOT_BYTES
        + objects * WITNESS_OBJECT_BYTES
        + value_bytes
        + nodes * NODE_BYTES
}

/// The most nodes beside the ways of `touched` leaves to the root of a tree of `used` leaves, and of the next new leaf.
///
/// The worst leaves are spread evenly: with `2^k <= touched < 2^(k+1)` each node at depth `k` has one leaf below it or,
/// one for each leaf beyond `2^k`, two that part at once.
fn siblings_max(used: u32, touched: usize) -> usize {
    let depth = (u32::BITS - used.saturating_sub(1).leading_zeros()) as usize;
    let spread = touched.checked_ilog2().map(|spread| spread as usize);
    let Some(spread) = spread.filter(|spread| *spread < depth) else { return TREE_DEPTH };
    let parting = touched - (1 << spread);
    touched * (depth - spread) - 2 * parting + TREE_DEPTH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_batch_of_strangers_on_a_large_plane_fits_its_witness() {
        let accounts = 2 * BATCH_TRANSACTIONS_MAX;
        assert!(witness_bytes_bound(1 << 20, 1 << 20, accounts, 2 * accounts, accounts * 80) <= WITNESS_BOUND_MAX);
    }

    /// The most nodes beside the ways of `touched` leaves to a node at height `depth`, by trying every split.
    fn most(depth: usize, touched: usize, known: &mut Vec<Vec<Option<usize>>>) -> usize {
        if touched == 0 || depth == 0 {
            return 0;
        }
        if let Some(most) = known[depth][touched] {
            return most;
        }
        let half = 1 << (depth - 1);
        let mut best = 0;
        for left in touched.saturating_sub(half)..=touched.min(half) {
            let beside = usize::from(left == 0 || left == touched);
            best = best.max(beside + most(depth - 1, left, known) + most(depth - 1, touched - left, known));
        }
        known[depth][touched] = Some(best);
        best
    }

    #[test]
    fn the_bound_is_what_the_worst_leaves_take() {
        for depth in 0..=9 {
            let mut known = vec![vec![None; (1 << depth) + 1]; depth + 1];
            for touched in 1..=1_usize << depth {
                let bound = siblings_max(1 << depth, touched) - TREE_DEPTH;
                assert_eq!(bound, most(depth, touched, &mut known), "{touched} of 2^{depth}");
            }
        }
    }

    #[test]
    fn more_reads_never_take_fewer_bytes() {
        for used in [2, 3, 1_000, 1 << 13, 1 << 20, 1 << 30, u32::MAX] {
            let slots = |slots| witness_bytes_bound(used, used, slots, 0, 0);
            let objects = |objects| witness_bytes_bound(used, used, 0, objects, 0);
            assert!((0..20_000).all(|count| slots(count) < slots(count + 1)), "{used}");
            assert!((0..20_000).all(|count| objects(count) < objects(count + 1)), "{used}");
        }
    }
}
