//! The gas schedule of protocol 1: integers for what work costs the slowest judge, one unit about 10 ns.

/// Any transaction: decoding, record, receipt, log leaf.
pub const GAS_TRANSACTION: u64 = 500;
/// Each byte of a transaction's canonical encoding.
pub const GAS_BYTE: u64 = 2;
/// Each Ed25519 signature.
pub const GAS_SIGNATURE_ED25519: u64 = 2_000;
/// Each action: two records, two slots and their paths.
pub const GAS_ACTION: u64 = 300;
/// Each slot that is made.
pub const GAS_NEW_SLOT: u64 = 600;
/// Each object that is made, relinking its neighbour included.
pub const GAS_NEW_OBJECT: u64 = 900;
/// Each change of an account's gates: the whole record is read and written again, a key looked at.
pub const GAS_GATE: u64 = 1_500;

/// What a transaction of `bytes` canonical bytes and `actions` actions costs whatever comes of it.
pub fn intrinsic(bytes: usize, actions: usize) -> u64 {
    GAS_TRANSACTION + GAS_SIGNATURE_ED25519 + bytes as u64 * GAS_BYTE + actions as u64 * GAS_ACTION
}

/// What the approvals that a transaction carries cost besides their bytes.
pub fn approvals(count: usize) -> u64 {
    count as u64 * GAS_SIGNATURE_ED25519
}

const _: () = {
    use crate::limits::{ACTIONS_MAX, BATCH_GAS_MAX, BATCH_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX};
    // A full batch of plain transfers and any single transaction fit the batch's gas.
    assert!(
        BATCH_TRANSACTIONS_MAX as u64
            * (GAS_TRANSACTION + GAS_SIGNATURE_ED25519 + 512 * GAS_BYTE + GAS_ACTION + GAS_NEW_SLOT + GAS_NEW_OBJECT)
            <= BATCH_GAS_MAX
    );
    assert!(
        GAS_TRANSACTION
            + GAS_SIGNATURE_ED25519
            + TRANSACTION_BYTES_MAX as u64 * GAS_BYTE
            + ACTIONS_MAX as u64 * (GAS_ACTION + GAS_NEW_SLOT + GAS_NEW_OBJECT)
            <= BATCH_GAS_MAX
    );
    assert!(GAS_GATE <= GAS_NEW_SLOT + GAS_NEW_OBJECT);
};
