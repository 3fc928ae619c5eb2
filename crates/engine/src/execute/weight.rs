//! What one transaction may make a judge read, known before anything is read.
//!
//! An inbox entry has to fit an empty batch, or the plane stands still: so of a forced transaction counts what it names,
//! each at its largest.

use super::beyond::Asked;
use super::{reach_system, reach_transaction};
use crate::Plane;
use crate::verify::Verified;
use crate::working::{Reach, Reached};
use ghostplane_keystone::StateView;
use ghostplane_types::Reject;
use ghostplane_types::limits::{GUARDIANS_MAX, WITNESS_BOUND_MAX};
use ghostplane_types::reach::{
    REACH_ACCOUNT_BYTES, REACH_ASSET_BYTES, REACH_CREDENTIAL_BYTES, REACH_PROPOSAL_BYTES, REACH_SLOT_BYTES,
    REACH_TEXT_BYTES, reach_base_bytes,
};

/// Whether a forced transaction fits an empty batch, whatever the state is.
pub(crate) fn check_reach(plane: &Plane, view: &impl StateView, verified: &Verified) -> Result<(), Reject> {
    let genesis = plane.genesis();
    let mut reach = Reach::new(view, 1);
    // What every batch has anyway is listed first, so that it counts once.
    reach_system(plane, &mut reach);
    let base = reach.reached();
    let mut asked = Vec::new();
    reach_transaction(&mut reach, &mut asked, verified, &mut Vec::new());
    asked.sort_unstable();
    asked.dedup();
    let Reached { accounts, slots, assets, texts, credentials } = reach.reached();
    let questions = asked.iter().map(|asked| match asked {
        Asked::Guardians(_) => GUARDIANS_MAX * REACH_ACCOUNT_BYTES,
        Asked::Proposal(..) => REACH_PROPOSAL_BYTES,
    });
    let bytes = reach_base_bytes(genesis.assets.len(), genesis.fee_shares.len(), genesis.governance.governor.is_some())
        + (accounts - base.accounts) * REACH_ACCOUNT_BYTES
        + (slots - base.slots) * REACH_SLOT_BYTES
        + assets * REACH_ASSET_BYTES
        + texts * REACH_TEXT_BYTES
        + credentials * REACH_CREDENTIAL_BYTES
        + questions.sum::<usize>();
    if bytes > WITNESS_BOUND_MAX { Err(Reject::ReachTooWide { bytes, limit: WITNESS_BOUND_MAX }) } else { Ok(()) }
}
