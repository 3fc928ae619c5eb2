//! The gas schedule of protocol 1: integers for what work costs the slowest judge, one unit about 10 ns.

use crate::address::Scheme;

/// Any transaction: decoding, record, receipt, log leaf.
pub const GAS_TRANSACTION: u64 = 500;
/// Each byte of a transaction's canonical encoding.
pub const GAS_BYTE: u64 = 2;
/// Each Ed25519 signature.
pub const GAS_SIGNATURE_ED25519: u64 = 2_000;
/// Each signature of ECDSA over secp256k1.
pub const GAS_SIGNATURE_SECP256K1: u64 = 6_500;
/// Each signature of ECDSA over P-256.
pub const GAS_SIGNATURE_P256: u64 = 25_000;
/// Each assertion of a passkey.
pub const GAS_ASSERTION: u64 = 25_500;
/// Each action: two records, two slots and their paths.
pub const GAS_ACTION: u64 = 300;
/// Each slot that is made.
pub const GAS_NEW_SLOT: u64 = 600;
/// Each object that is made, relinking its neighbour included.
pub const GAS_NEW_OBJECT: u64 = 900;
/// Each credential that is issued, revoked or dropped: two records, its object, its neighbours.
pub const GAS_CREDENTIAL: u64 = 1_500;
/// Each change of an account's gates: the whole record is read and written again, a key looked at.
pub const GAS_GATE: u64 = 1_500;

/// Each unit of what a decision of a covenant costs: see `shroud::covenant`.
pub const GAS_DECISION_UNIT: u64 = 40;
/// Each byte of a covenant's text that is read: when it is published, and when a batch asks it first.
pub const GAS_COVENANT_BYTE: u64 = 300;

/// What asking a covenant costs whose decisions cost so much, with so many approvals.
pub fn decision(cost: u64, approvals: usize) -> u64 {
    cost.saturating_add(approvals as u64).saturating_mul(GAS_DECISION_UNIT)
}

/// What reading the text of a covenant costs.
pub const fn covenant_text(bytes: usize) -> u64 {
    bytes as u64 * GAS_COVENANT_BYTE
}

/// What checking consent by a key of this scheme costs.
pub fn consent(scheme: Scheme) -> u64 {
    match scheme {
        Scheme::Ed25519 => GAS_SIGNATURE_ED25519,
        Scheme::Secp256k1 => GAS_SIGNATURE_SECP256K1,
        Scheme::P256 => GAS_SIGNATURE_P256,
        Scheme::Passkey => GAS_ASSERTION,
    }
}

/// What a transaction of `bytes` canonical bytes and `actions` actions costs whatever comes of it, signed by a key of this
/// scheme.
pub fn intrinsic(scheme: Scheme, bytes: usize, actions: usize) -> u64 {
    GAS_TRANSACTION + consent(scheme) + bytes as u64 * GAS_BYTE + actions as u64 * GAS_ACTION
}

/// What the approvals that a transaction carries cost besides their bytes.
pub fn approvals(schemes: impl Iterator<Item = Scheme>) -> u64 {
    schemes.map(consent).sum()
}

const _: () = {
    // The dearest consent.
    assert!(GAS_SIGNATURE_SECP256K1 <= GAS_ASSERTION && GAS_SIGNATURE_P256 <= GAS_ASSERTION);
    use crate::limits::{ACTIONS_MAX, BATCH_GAS_MAX, BATCH_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX};
    // A full batch of plain transfers and any single transaction fit the batch's gas.
    assert!(
        BATCH_TRANSACTIONS_MAX as u64
            * (GAS_TRANSACTION + GAS_SIGNATURE_ED25519 + 512 * GAS_BYTE + GAS_ACTION + GAS_NEW_SLOT + GAS_NEW_OBJECT)
            <= BATCH_GAS_MAX
    );
    assert!(
        GAS_TRANSACTION
            + GAS_ASSERTION
            + TRANSACTION_BYTES_MAX as u64 * GAS_BYTE
            + ACTIONS_MAX as u64 * (GAS_ACTION + GAS_NEW_SLOT + GAS_NEW_OBJECT)
            <= BATCH_GAS_MAX
    );
    assert!(GAS_GATE <= GAS_NEW_SLOT + GAS_NEW_OBJECT && GAS_CREDENTIAL <= GAS_NEW_SLOT + GAS_NEW_OBJECT);
    // The longest covenant can be published, and asked by a transaction of one action with the longest in every place.
    assert!(4 * covenant_text(crate::limits::COVENANT_BYTES_MAX) * 2 <= BATCH_GAS_MAX);
};
