//! The open batch: how much of its limits is used, and how much may be by what is being executed.

use crate::effect::{Cut, Opening};
use crate::fault::Fault;
use crate::pool::Pooled;
use ghostplane_engine::Verified;
use ghostplane_types::gas::{GAS_ACTION, GAS_NEW_OBJECT, GAS_NEW_SLOT, GAS_TRANSACTION, intrinsic};
use ghostplane_types::limits::{BATCH_BYTES_MAX, BATCH_GAS_MAX, BATCH_OPEN_MS_MAX, BATCH_TRANSACTIONS_MAX};
use ghostplane_types::{Encode, InboxEntry, InboxPayload, Outcome, Scheme};

/// Bytes of a posted batch next to its transactions, at most: version and three numbers.
const POSTED_FIXED_BYTES: u32 = 32;

/// The most gas that a transaction can use, whatever limit it names.
pub fn gas_max(verified: &Verified) -> u64 {
    let actions = verified.body().actions.len() as u64;
    let most = verified.gas_intrinsic() + actions * (GAS_NEW_SLOT + GAS_NEW_OBJECT);
    most.min(verified.body().gas_limit)
}

/// The most bytes that a transaction adds to the posted form. That has no chain and plane and no sequence number, and
/// numbers of varying length instead of fixed, of which an action's may take one byte more.
pub fn posted_bytes_max(verified: &Verified) -> u32 {
    let bytes = verified.transaction().to_bytes().len() + verified.body().actions.len();
    u32::try_from(bytes).expect("a transaction is bounded")
}

/// [`posted_bytes_max`] of what was measured before.
fn posted_max(pooled: &Pooled) -> u32 {
    pooled.bytes + u32::try_from(pooled.verified.body().actions.len()).expect("a transaction is bounded")
}

/// The most gas that an inbox entry can use.
fn entry_gas_max(entry: &InboxEntry) -> u64 {
    match &entry.payload {
        InboxPayload::Deposit { .. } => GAS_TRANSACTION + GAS_ACTION + GAS_NEW_SLOT + GAS_NEW_OBJECT,
        InboxPayload::Forced { transaction } => {
            let actions = transaction.len() / ACTION_BYTES_MIN;
            // Who signed, and how, is not known yet: passkeys cost most.
            intrinsic(Scheme::Passkey, transaction.len(), actions) + actions as u64 * (GAS_NEW_SLOT + GAS_NEW_OBJECT)
        }
    }
}

/// No action is shorter.
const ACTION_BYTES_MIN: usize = 45;

/// The batch that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) opening: Opening,
    opened_ms: u64,
    inbox_from: u64,
    inbox_taken: u64,
    inbox_given: Vec<InboxEntry>,
    inbox_gas_max: u64,
    included: usize,
    /// What is included and, at its most, what is being executed.
    count: usize,
    gas: u64,
    bytes: u32,
    is_full: bool,
}

impl Open {
    pub(super) fn new(opening: Opening, inbox_from: u64, opened_ms: u64) -> Self {
        Self {
            opening,
            opened_ms,
            inbox_from,
            inbox_taken: 0,
            inbox_given: Vec::new(),
            inbox_gas_max: 0,
            included: 0,
            count: 0,
            gas: 0,
            bytes: POSTED_FIXED_BYTES,
            is_full: false,
        }
    }

    /// Whether nothing is in it yet.
    pub(super) fn is_empty(&self) -> bool {
        self.included == 0 && self.inbox_taken == 0
    }

    /// Whether the engine said that it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn fill(&mut self) {
        self.is_full = true;
    }

    /// When it has been open long enough.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.opened_ms.checked_add(BATCH_OPEN_MS_MAX)
    }

    /// A clock that was set back behind the opening starts the wait again.
    pub(super) fn follow_clock(&mut self, now_ms: u64) {
        self.opened_ms = self.opened_ms.min(now_ms);
    }

    /// Whether it has been open long enough.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.opened_ms) >= BATCH_OPEN_MS_MAX
    }

    // Inbox.

    pub(super) fn has_room_for_entry(&self, entry: &InboxEntry) -> bool {
        self.count < BATCH_TRANSACTIONS_MAX && self.gas + entry_gas_max(entry) <= BATCH_GAS_MAX
    }

    pub(super) fn give_entry(&mut self, entry: InboxEntry) {
        let gas = entry_gas_max(&entry);
        self.count += 1;
        self.gas += gas;
        self.inbox_gas_max += gas;
        self.inbox_given.push(entry);
    }

    /// Entries that are being executed.
    pub(super) fn inbox_given(&self) -> &[InboxEntry] {
        &self.inbox_given
    }

    /// Entries were executed. Returns all that were given; those past `taken` were not tried.
    pub(super) fn inbox_answered(&mut self, taken: usize, gas: u64) -> Result<Vec<InboxEntry>, Fault> {
        let given = std::mem::take(&mut self.inbox_given);
        if given.is_empty() || taken > given.len() {
            return Err(Fault::Inbox { batch: self.opening.number, taken, given: given.len() });
        }
        self.is_full |= taken < given.len();
        self.count -= given.len() - taken;
        self.gas = self.gas - self.inbox_gas_max + gas;
        self.inbox_gas_max = 0;
        Ok(given)
    }

    pub(super) fn take_entries(&mut self, taken: usize) {
        self.inbox_taken += taken as u64;
    }

    // Transactions.

    /// Whether it takes one more for sure, whatever comes of what is being executed.
    pub(super) fn has_room_for(&self, pooled: &Pooled) -> bool {
        self.count < BATCH_TRANSACTIONS_MAX
            && self.gas + gas_max(&pooled.verified) <= BATCH_GAS_MAX
            && (self.bytes + posted_max(pooled)) as usize <= BATCH_BYTES_MAX
    }

    /// Hands one out: until it is answered it counts at its most.
    pub(super) fn give(&mut self, pooled: &Pooled) {
        self.count += 1;
        self.gas += gas_max(&pooled.verified);
        self.bytes += posted_max(pooled);
    }

    /// One that was handed out is answered.
    pub(super) fn answered(&mut self, pooled: &Pooled) {
        self.count -= 1;
        self.gas -= gas_max(&pooled.verified);
        self.bytes -= posted_max(pooled);
    }

    /// One that was handed out and answered is in the batch.
    pub(super) fn include(&mut self, pooled: &Pooled, outcome: &Outcome, posted_bytes: u32) {
        self.included += 1;
        self.count += 1;
        self.gas += outcome.gas;
        self.bytes += posted_bytes.min(posted_max(pooled));
    }

    /// What it comes to when it is cut here.
    pub(super) fn cut(&self, log_upto: u64) -> Cut {
        Cut {
            opening: self.opening,
            inbox_upto: self.inbox_from + self.inbox_taken,
            log_upto,
            gas: self.gas,
            posted_bytes_max: self.bytes,
        }
    }
}
