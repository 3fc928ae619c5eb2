//! The canonical form of the whole state, and what must hold between its parts.

use super::Settlement;
use crate::archive::Archive;
use crate::case::OpenCase;
use crate::claims::Claims;
use crate::codec::{put_items, read_items};
use crate::inbox::Inbox;
use crate::judge::Purpose;
use crate::limits::{
    CASES_OPEN_MAX, INBOX_BLOCK_BYTES_MAX, INBOX_BLOCK_ENTRIES_MAX, PENDING_COMMITMENTS_MAX, PROOF_BLOCKS_MAX,
    PROOFS_OPEN_MAX, REPLAYS_OPEN_MAX,
};
use crate::pending::Pending;
use crate::posted::Posted;
use crate::proofs::OpenProof;
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_list, put_varint};
use ghostplane_types::limits::{COMMITMENT_BATCHES_MAX, GENESIS_ASSETS_MAX};
use ghostplane_types::{Amount, BatchHeader, Genesis, InboxPayload, L1Address};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The version of this form.
const VERSION: u16 = 2;

impl Encode for Settlement {
    fn encode(&self, out: &mut Vec<u8>) {
        VERSION.encode(out);
        self.genesis.encode(out);
        self.block.encode(out);
        self.clock.encode(out);
        self.crowded.encode(out);
        self.budget.encode(out);
        self.generation.encode(out);
        self.base.encode(out);
        self.final_number.encode(out);
        put_list(out, &self.escrow);
        self.operator.encode(out);
        self.terms.encode(out);
        self.bond.encode(out);
        self.inbox.encode(out);
        self.posted.encode(out);
        put_items(out, self.pending.iter());
        self.next_case.encode(out);
        put_varint(out, self.cases.len() as u64);
        for (number, case) in &self.cases {
            number.encode(out);
            case.encode(out);
        }
        put_varint(out, self.open_proofs.len() as u64);
        for (sender, open) in &self.open_proofs {
            sender.encode(out);
            open.encode(out);
        }
        self.archive.encode(out);
        self.claims.encode(out);
    }
}

impl Decode for Settlement {
    const BYTES_MIN: usize = 2 + Genesis::BYTES_MIN + 16 + 8 + 1 + BatchHeader::BYTES_MIN;

    /// Reads a state and checks it: what decodes is a state that the settlement can go on from.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u16 = reader.read()?;
        if version != VERSION {
            return Err(reader.unknown("settlement state version", u64::from(version)));
        }
        let genesis: Genesis = reader.read()?;
        genesis.check().map_err(|_| reader.non_canonical("genesis"))?;
        let chain_id = genesis.chain_id;
        let settlement = Self {
            plane_id: genesis.plane_id(),
            genesis,
            block: reader.read()?,
            clock: reader.read()?,
            crowded: reader.read()?,
            budget: reader.read()?,
            generation: reader.read()?,
            base: reader.read()?,
            final_number: reader.read()?,
            escrow: reader.list("escrow", GENESIS_ASSETS_MAX)?,
            operator: reader.read()?,
            terms: reader.read()?,
            bond: reader.read()?,
            inbox: Inbox::decode(reader, chain_id)?,
            posted: reader.read::<Posted>()?,
            pending: read_items::<Pending, VecDeque<_>>(reader, "pending commitments", PENDING_COMMITMENTS_MAX)?,
            next_case: reader.read()?,
            cases: read_cases(reader)?,
            open_proofs: read_open_proofs(reader)?,
            archive: reader.read::<Archive>()?,
            claims: reader.read::<Claims>()?,
        };
        match settlement.broken_rule() {
            Some(rule) => Err(reader.non_canonical(rule)),
            None => Ok(settlement),
        }
    }
}

fn read_cases(reader: &mut Reader<'_>) -> Result<BTreeMap<u64, OpenCase>, DecodeError> {
    let count = reader.count("cases", CASES_OPEN_MAX, 8 + OpenCase::BYTES_MIN)?;
    let mut cases = BTreeMap::new();
    for _ in 0..count {
        let number: u64 = reader.read()?;
        if cases.last_key_value().is_some_and(|(last, _)| *last >= number) {
            return Err(reader.non_canonical("cases"));
        }
        cases.insert(number, reader.read()?);
    }
    Ok(cases)
}

fn read_open_proofs(reader: &mut Reader<'_>) -> Result<BTreeMap<L1Address, OpenProof>, DecodeError> {
    let count = reader.count("open proofs", PROOFS_OPEN_MAX + 1, 32 + OpenProof::BYTES_MIN)?;
    let mut proofs = BTreeMap::new();
    for _ in 0..count {
        let sender: L1Address = reader.read()?;
        if proofs.last_key_value().is_some_and(|(last, _)| *last >= sender) {
            return Err(reader.non_canonical("open proofs"));
        }
        proofs.insert(sender, reader.read()?);
    }
    Ok(proofs)
}

impl Settlement {
    /// The first rule between the parts of the state that does not hold. Every reachable state keeps all of them.
    fn broken_rule(&self) -> Option<&'static str> {
        let rules = [
            (self.money_holds(), "escrow, bond and operator"),
            (self.time_holds(), "block, clock and budget"),
            (self.queue_holds(), "pending commitments"),
            (self.inbox_holds(), "inbox"),
            (self.cases_hold(), "cases"),
            (self.proofs_hold(), "open proofs"),
            (self.history_holds(), "archive and claims"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
    }

    fn money_holds(&self) -> bool {
        let payable = |amount: Amount| crate::convert::to_l1(self.gcc(), amount).is_some();
        let terms = &self.genesis.settlement;
        let operator_is_last = match self.operator {
            Some(operator) => operator.term.checked_add(1) == Some(self.terms),
            None => self.terms == 0 && self.bond.is_zero() && self.pending.is_empty() && self.posted.is_empty(),
        };
        self.escrow.len() == self.genesis.assets.len()
            && self
                .escrow
                .iter()
                .zip(&self.genesis.assets)
                .all(|(held, known)| held.units() <= self.genesis.supply_max(known.asset))
            && [self.bond, terms.sequencer_bond, terms.challenge_bond].into_iter().all(payable)
            && operator_is_last
    }

    fn time_holds(&self) -> bool {
        let budget = &self.budget;
        self.clock <= self.block.height
            && (self.crowded || self.cases.len() < CASES_OPEN_MAX)
            && budget.inbox_entries <= INBOX_BLOCK_ENTRIES_MAX
            && budget.inbox_bytes <= INBOX_BLOCK_BYTES_MAX
            && budget.data_bytes <= self.genesis.settlement.data_per_block_max
    }

    fn queue_holds(&self) -> bool {
        let mut before = (&self.base, 0, 0);
        for pending in &self.pending {
            let (header, height, clock) = before;
            let last = &pending.last_header;
            let follows = header.number.checked_add(1) == Some(pending.first_batch)
                && pending.first_batch <= last.number
                && last.number - pending.first_batch < COMMITMENT_BATCHES_MAX as u64
                && header.time <= last.time
                && header.inbox_upto <= last.inbox_upto
                && header.outbox_upto <= last.outbox_upto;
            let timed = height <= pending.height && pending.height <= self.block.height;
            let clocked = clock <= pending.clock && pending.clock <= self.clock;
            if !follows || !timed || !clocked || last.generation > self.generation {
                return false;
            }
            let batches = usize::try_from(pending.batches()).unwrap_or(COMMITMENT_BATCHES_MAX);
            if !pending.replayed.fits(batches) || !pending.proven.fits(batches) {
                return false;
            }
            before = (last, pending.height, pending.clock);
        }
        let final_end = self.pending.front().map_or(self.base.number, Pending::last_batch);
        let waiting = self.posted.batches().len() as u64;
        (self.base.number..=final_end).contains(&self.final_number)
            && self.tip().number.checked_add(waiting + 1).is_some()
    }

    fn inbox_holds(&self) -> bool {
        let within = |entry: &ghostplane_types::InboxEntry| {
            let registered = match &entry.payload {
                InboxPayload::Deposit { asset, .. } => self.asset_position(*asset).is_some(),
                InboxPayload::Forced { .. } => true,
            };
            registered && entry.l1_height <= self.block.height && entry.l1_time <= self.block.time
        };
        self.inbox.start() == self.base.inbox_upto
            && self.tip().inbox_upto <= self.inbox.end()
            && self.inbox.entries().iter().all(within)
    }

    fn cases_hold(&self) -> bool {
        let replays = self.cases.values().filter(|case| case.purpose == Purpose::Replay).count();
        let mut kinds = BTreeSet::new();
        let each_holds = self.cases.iter().all(|(number, case)| {
            let pending = self.pending_with(case.batch()).filter(|_| case.batch() > self.final_number);
            let open = pending.is_some_and(|(_, pending)| !pending.is_replayed(case.batch()));
            let (header, prev) = (&case.header, &case.prev);
            open && *number < self.next_case
                && kinds.insert((case.batch(), case.purpose, case.challenger))
                && case.deadline >= self.block.height
                && case.deadline - self.block.height <= self.genesis.settlement.challenge_blocks
                && (self.base.inbox_upto..=header.inbox_upto).contains(&prev.inbox_upto)
                && header.inbox_upto <= self.tip().inbox_upto
        });
        replays <= REPLAYS_OPEN_MAX && each_holds
    }

    fn proofs_hold(&self) -> bool {
        let (final_number, tip) = (self.final_number, self.tip().number);
        self.open_proofs.values().all(|open| {
            let provable = open.first_batch > self.base.number && open.last_batch > final_number;
            let timed = open.deadline >= self.block.height && open.deadline - self.block.height <= PROOF_BLOCKS_MAX;
            provable && open.last_batch <= tip && timed
        })
    }

    fn history_holds(&self) -> bool {
        let last = self.archive.recent().back();
        let archived = last.map_or(self.base.number == 0, |record| {
            record.last_batch == self.base.number && record.last_header == self.base.digest(self.genesis.chain_id)
        });
        archived && self.claims.end() <= self.tip().outbox_upto
    }
}
