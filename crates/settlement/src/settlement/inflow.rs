//! What comes in before a commitment: deposits, forced transactions, bonds, data.

use super::{Operator, Settlement, bond_digest};
use crate::convert;
use crate::event::Event;
use crate::inbox::entry_bytes;
use crate::limits::{INBOX_BLOCK_BYTES_MAX, INBOX_BLOCK_ENTRIES_MAX, INBOX_PENDING_BYTES_MAX, INBOX_PENDING_MAX};
use crate::refusal::Refusal;
use ghostplane_ghostcipher::{Domain, Signature, ed25519};
use ghostplane_types::amount::AMOUNT_MAX;
use ghostplane_types::limits::TRANSACTION_BYTES_MAX;
use ghostplane_types::{Address, Amount, AssetId, InboxEntry, InboxPayload, L1Address};

/// An entry that the inbox has room for.
struct Admitted {
    entry: InboxEntry,
    bytes: u64,
}

impl Settlement {
    pub(super) fn deposit(
        &mut self,
        from: L1Address,
        asset: AssetId,
        l1_amount: u128,
        to: Address,
    ) -> Result<Vec<Event>, Refusal> {
        let at = self.asset_position(asset).ok_or(Refusal::UnknownAsset { asset })?;
        let known = &self.genesis.assets[at];
        let unit = convert::l1_unit(known);
        if !l1_amount.is_multiple_of(u128::from(unit)) {
            return Err(Refusal::InexactDeposit { l1_amount, unit });
        }
        let too_large = Refusal::DepositTooLarge { l1_amount, limit: AMOUNT_MAX };
        let amount = convert::to_plane(known, l1_amount).ok_or(too_large)?;
        if amount < known.deposit_min {
            return Err(Refusal::DepositTooSmall { found: amount.units(), needed: known.deposit_min.units() });
        }
        let money = convert::to_l1(known, amount).expect("what came from the L1 goes back to it");
        let held = self.escrow[at];
        let limit = self.genesis.supply_max(asset);
        let escrow = held.checked_add(amount).filter(|escrow| escrow.units() <= limit).ok_or(Refusal::EscrowFull {
            escrow: held.units(),
            amount: amount.units(),
            limit,
        })?;
        let admitted = self.admit(InboxPayload::Deposit { from, to, asset, amount })?;

        self.escrow[at] = escrow;
        Ok(vec![Event::Take { from, money }, self.append(admitted)])
    }

    pub(super) fn force(&mut self, transaction: &[u8]) -> Result<Vec<Event>, Refusal> {
        if transaction.is_empty() {
            return Err(Refusal::ForcedEmpty);
        }
        if transaction.len() > TRANSACTION_BYTES_MAX {
            return Err(Refusal::ForcedTooLong { found: transaction.len(), limit: TRANSACTION_BYTES_MAX });
        }
        let admitted = self.admit(InboxPayload::Forced { transaction: transaction.to_vec() })?;

        Ok(vec![self.append(admitted)])
    }

    fn admit(&self, payload: InboxPayload) -> Result<Admitted, Refusal> {
        let entries = self.inbox.len();
        if entries >= INBOX_PENDING_MAX {
            return Err(Refusal::InboxFull { entries, limit: INBOX_PENDING_MAX });
        }
        let used = self.budget.inbox_entries;
        if used >= INBOX_BLOCK_ENTRIES_MAX {
            return Err(Refusal::InboxBlockFull { entries: used, limit: INBOX_BLOCK_ENTRIES_MAX });
        }
        let index = self.inbox.end();
        let entry = InboxEntry { index, l1_height: self.block.height, l1_time: self.block.time, payload };
        let bytes = entry_bytes(&entry);
        let total = self.inbox.bytes() + bytes;
        if total > INBOX_PENDING_BYTES_MAX {
            return Err(Refusal::InboxBytesFull { bytes: total, limit: INBOX_PENDING_BYTES_MAX });
        }
        let in_block = self.budget.inbox_bytes + bytes;
        if in_block > INBOX_BLOCK_BYTES_MAX {
            return Err(Refusal::InboxBlockBytesFull { bytes: in_block, limit: INBOX_BLOCK_BYTES_MAX });
        }
        Ok(Admitted { entry, bytes })
    }

    fn append(&mut self, admitted: Admitted) -> Event {
        let Admitted { entry, bytes } = admitted;
        let index = entry.index;
        self.budget.inbox_entries += 1;
        self.budget.inbox_bytes += bytes;
        self.inbox.push(entry, self.genesis.chain_id);
        Event::InboxAppended { index, chain: self.inbox.chain() }
    }

    pub(super) fn add_bond(
        &mut self,
        from: L1Address,
        amount: Amount,
        signature: &Signature,
    ) -> Result<Vec<Event>, Refusal> {
        if amount.is_zero() {
            return Err(Refusal::BondZero);
        }
        let inexact = Refusal::BondInexact { amount: amount.units(), unit: convert::plane_unit(self.gcc()) };
        let money = convert::to_l1(self.gcc(), amount).ok_or(inexact)?;
        let too_large = Refusal::BondTooLarge { bond: self.bond.units(), amount: amount.units() };
        let bond = self.bond.checked_add(amount).ok_or(too_large)?;
        let (key, term) = (self.genesis.sequencer, self.term_for(from));
        let digest = bond_digest(self.genesis.chain_id, &self.plane_id, &from, term);
        ed25519::verify(Domain::SettlementConfig, self.genesis.chain_id, &key, &digest, signature)
            .map_err(|_| Refusal::BondSignature { key, term })?;

        if term == self.terms {
            self.operator = Some(Operator { address: from, term });
            self.terms += 1;
        }
        self.bond = bond;
        Ok(vec![Event::Take { from, money }, Event::Bonded { operator: from, bond }])
    }

    pub(super) fn unbond(&mut self, from: L1Address) -> Result<Vec<Event>, Refusal> {
        self.check_operator(from)?;
        if self.bond.is_zero() {
            return Err(Refusal::NoBond);
        }
        if !self.pending.is_empty() {
            return Err(Refusal::BondLocked { pending: self.pending.len() });
        }

        let mut events = Vec::new();
        let bond = std::mem::take(&mut self.bond);
        self.pay_bond(from, bond, &mut events);
        Ok(events)
    }

    pub(super) fn post_data(
        &mut self,
        from: L1Address,
        number: u64,
        chunk: u32,
        last: bool,
        bytes: &[u8],
    ) -> Result<Vec<Event>, Refusal> {
        self.check_operator(from)?;
        self.posted.check(self.tip().number + 1, number, chunk, last, bytes.len())?;
        let found = self.budget.data_bytes + bytes.len() as u64;
        let limit = self.genesis.settlement.data_per_block_max;
        if found > limit {
            return Err(Refusal::DataBlockFull { found, limit });
        }

        self.budget.data_bytes = found;
        let complete = self.posted.push(self.genesis.chain_id, bytes, last);
        Ok(complete.map(|batch| Event::DataPosted { batch: number, posted: batch.digest }).into_iter().collect())
    }

    pub(super) fn discard_data(&mut self, from: L1Address) -> Result<Vec<Event>, Refusal> {
        self.check_operator(from)?;
        if self.posted.is_empty() {
            return Err(Refusal::NothingPosted);
        }

        Ok(vec![Event::DataDropped { batches: self.posted.clear() }])
    }
}
