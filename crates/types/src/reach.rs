//! What one transaction may make a judge read, by what it names, each at its largest: so that it is known before anything is
//! read whether it fits a witness.
//!
//! Larger records, rules, sets or proposals make these larger; the assertions say when something has to give.

use crate::limits::{
    ACCOUNT_RECORD_BYTES_MAX, COVENANT_TEXT_BYTES_MAX, FEE_SHARES_MAX, GENESIS_ASSETS_MAX, GUARDIANS_MAX,
    LOG_REACH_BYTES_MAX, PROPOSAL_ACTIONS_MAX, PROPOSAL_BYTES_MAX, WAY_BYTES, WITNESS_BOUND_MAX, WITNESS_HEADER_BYTES,
    WITNESS_OBJECT_BYTES, WITNESS_SLOT_BYTES,
};

/// Bytes of the registration of an asset, or of a credential, at most.
const SMALL_OBJECT_BYTES_MAX: usize = 256;

/// What a slot takes of a witness at most, its way to the root included.
pub const REACH_SLOT_BYTES: usize = WITNESS_SLOT_BYTES + WAY_BYTES;
/// What a text of rules takes.
pub const REACH_TEXT_BYTES: usize = object_reach(COVENANT_TEXT_BYTES_MAX);
/// What a credential takes.
pub const REACH_CREDENTIAL_BYTES: usize = object_reach(SMALL_OBJECT_BYTES_MAX);
/// What an account takes with the rules that it names.
pub const REACH_ACCOUNT_BYTES: usize = object_reach(ACCOUNT_RECORD_BYTES_MAX) + 2 * REACH_TEXT_BYTES;
/// What an asset of the plane's own takes with its rules, and with who issues it.
pub const REACH_ASSET_BYTES: usize = object_reach(SMALL_OBJECT_BYTES_MAX) + 2 * REACH_TEXT_BYTES + REACH_ACCOUNT_BYTES;
/// What the actions of a proposal take that nobody but the state knows: as many accounts as their bytes can name, a member of a
/// set in 36 and any other in more; and assets, texts and slots by the number of actions.
pub const REACH_PROPOSAL_BYTES: usize = PROPOSAL_BYTES_MAX / 36 * REACH_ACCOUNT_BYTES
    + PROPOSAL_ACTIONS_MAX * (REACH_ASSET_BYTES + REACH_TEXT_BYTES + REACH_CREDENTIAL_BYTES + 3 * REACH_SLOT_BYTES);

/// What any batch takes of a witness: the plane's own accounts and rules, for the assets and shares of fees in its genesis.
pub const fn reach_base_bytes(assets: usize, fee_shares: usize, is_governed: bool) -> usize {
    /// A place in the list of rules: two digests, a time, the asset.
    const RULES_BYTES: usize = 2 * 33 + 12 + 5;
    let rules = 1 + assets;
    let governed = object_reach(8 + RULES_BYTES * rules) + 2 * rules * REACH_TEXT_BYTES;
    // Fees, storage, returns.
    let accounts = 3 + fee_shares;
    WITNESS_HEADER_BYTES
        + 2 * WAY_BYTES
        + accounts * REACH_ACCOUNT_BYTES
        + (accounts + assets) * REACH_SLOT_BYTES
        + if is_governed { governed } else { 0 }
}

/// An object of so many bytes, or the proof that it is not there.
const fn object_reach(bytes: usize) -> usize {
    let (there, absent) = (WITNESS_OBJECT_BYTES + WAY_BYTES + bytes, 2 * (WITNESS_OBJECT_BYTES + WAY_BYTES));
    if there > absent { there } else { absent }
}

const _: () = {
    // Whatever the plane's terms, a forced transaction may execute a proposal with the approvals of the sender's and the account's
    // guardians, through a delegate; and what the log takes in one transaction fits an empty batch.
    assert!(
        reach_base_bytes(GENESIS_ASSETS_MAX, FEE_SHARES_MAX, true)
            + REACH_PROPOSAL_BYTES
            + (3 + 2 * GUARDIANS_MAX) * REACH_ACCOUNT_BYTES
            + 8 * REACH_SLOT_BYTES
            <= WITNESS_BOUND_MAX
    );
    assert!(reach_base_bytes(GENESIS_ASSETS_MAX, FEE_SHARES_MAX, true) + LOG_REACH_BYTES_MAX <= WITNESS_BOUND_MAX);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::witness_bytes_bound;

    #[test]
    fn what_one_transaction_reaches_is_never_less_than_what_a_witness_takes_for_it() {
        for used in [2, 1_000, 1 << 20, 1 << 30] {
            for count in [0, 1, 7, 300, 4_000] {
                let witness = |slots, objects, bytes| witness_bytes_bound(used, used, slots, objects, bytes);
                let base = WITNESS_HEADER_BYTES + 2 * WAY_BYTES;
                assert!(witness(count, 0, 0) <= base + count * REACH_SLOT_BYTES);
                let bytes = ACCOUNT_RECORD_BYTES_MAX + 2 * COVENANT_TEXT_BYTES_MAX;
                assert!(witness(0, 3 * count, count * bytes) <= base + count * REACH_ACCOUNT_BYTES);
                assert!(witness(0, 2 * count, 0) <= base + count * REACH_CREDENTIAL_BYTES);
            }
        }
    }

    #[test]
    fn what_one_transaction_reaches_is_what_the_document_says() {
        let one = [REACH_ACCOUNT_BYTES, REACH_SLOT_BYTES, REACH_ASSET_BYTES, REACH_TEXT_BYTES, REACH_CREDENTIAL_BYTES];
        assert_eq!(one, [44_096, 1_010, 73_048, 13_414, 2_124]);
        assert_eq!((GUARDIANS_MAX * REACH_ACCOUNT_BYTES, REACH_PROPOSAL_BYTES), (705_536, 3_935_232));
        let accounts = |assets: usize, shares: usize| 1_941 + (3 + shares) * (44_096 + 1_010) + assets * 1_010;
        assert_eq!(reach_base_bytes(2, 1, false), accounts(2, 1));
        assert_eq!(reach_base_bytes(2, 1, true), accounts(2, 1) + 3 * 26_828 + 2_124);
        assert_eq!(reach_base_bytes(64, 16, true), accounts(64, 16) + 65 * 26_828 + 1_070 + 65 * 83);
    }
}
