//! What an accepted message or the passing of time brings about: orders to the host, and news.
//!
//! [`Event::Take`], [`Event::Pay`] and [`Event::Burn`] are orders: the host carries them out in the same L1 transaction. A
//! host checks that the sender can pay before it applies a message that takes money.

use crate::archive::FinalRecord;
use crate::judge::Purpose;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{Amount, AssetId, L1Address};

/// Money that the host moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// Which asset.
    pub asset: AssetId,
    /// How much, in the plane's base units.
    pub amount: Amount,
    /// The same, in the L1's base units: what the host moves.
    pub l1_amount: u128,
}

/// One thing that came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host takes money from the sender into the settlement's account.
    Take {
        /// Who pays.
        from: L1Address,
        /// How much.
        money: Money,
    },
    /// The host pays from the settlement's account.
    Pay {
        /// Who is paid.
        to: L1Address,
        /// How much.
        money: Money,
    },
    /// The host destroys money of the settlement's account.
    Burn {
        /// How much.
        money: Money,
    },
    /// The inbox has a new entry.
    InboxAppended {
        /// Its index.
        index: u64,
        /// The inbox chain up to and with it.
        chain: Digest,
    },
    /// There is a new operator, or he put up more.
    Bonded {
        /// Who posts data and commits from now on.
        operator: L1Address,
        /// What is at stake altogether.
        bond: Amount,
    },
    /// The data of a batch is complete.
    DataPosted {
        /// Which batch it can be committed as.
        batch: u64,
        /// Digest of its posted form.
        posted: Digest,
    },
    /// Posted data was dropped without a commitment.
    DataDropped {
        /// How many complete batches.
        batches: u64,
    },
    /// Batches were committed.
    Committed {
        /// The first.
        first_batch: u64,
        /// The last.
        last_batch: u64,
    },
    /// A case was opened.
    CaseOpened {
        /// Its number.
        case: u64,
        /// Which batch it is about.
        batch: u64,
        /// What for.
        purpose: Purpose,
        /// The last block in which it can be judged.
        deadline: u64,
    },
    /// A case was closed.
    CaseClosed {
        /// Its number.
        case: u64,
        /// Which batch it was about.
        batch: u64,
        /// How it ended.
        outcome: CaseOutcome,
    },
    /// Batches were reverted by a conviction.
    Reverted {
        /// The convicted batch; it and all after it are gone.
        first_batch: u64,
        /// The generation that follows.
        generation: u32,
    },
    /// A batch was replayed by the L1 and is true.
    Replayed {
        /// Which.
        batch: u64,
    },
    /// Batches were proven to conserve value. That makes nothing final, and releases nothing: it shortens the window.
    Proven {
        /// The first.
        first_batch: u64,
        /// The last.
        last_batch: u64,
    },
    /// All batches up to this one are final.
    Final {
        /// The last final batch.
        batch: u64,
    },
    /// A commitment is final as a whole and its record went to the archive.
    Archived {
        /// The record's position in the archive.
        index: u64,
        /// The record.
        record: FinalRecord,
    },
    /// A withdrawal was claimed.
    Claimed {
        /// Its index.
        index: u64,
    },
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseOutcome {
    /// The batch is false: it was reverted, the bond returned, and half the operator's bond paid.
    Convicted {
        /// Why, by the judge's numbers.
        reason: u16,
    },
    /// The batch is true. A challenger lost his bond, a replayer got it back.
    True,
    /// The witness was short or wrong: the bond is lost.
    WitnessInsufficient,
    /// The bytes brought as the posted batch are not those that were committed: the bond is lost.
    PostedDiffers,
    /// The deadline passed: the bond is lost.
    Expired,
    /// The batch was reverted through another case, or became final: the bond returned.
    Moot,
}
