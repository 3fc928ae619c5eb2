//! A plane without an engine: batches whose truth is a mark that the judge of these tests can check.

use ghostplane_ghostcipher::digest::hash;
use ghostplane_ghostcipher::merkle::{self, Path, Tree};
use ghostplane_ghostcipher::{Digest, Domain, FieldDigest};
use ghostplane_settlement::{Case, Judge, Verdict};
use ghostplane_types::batch::posted_digest;
use ghostplane_types::{
    Address, Amount, AssetId, BatchHeader, Genesis, InboxEntry, InboxPayload, L1Address, PlaneState, Roots, Withdrawal,
};
use std::collections::BTreeMap;

/// The reason that [`MarkJudge`] gives for a conviction.
pub const FORGED: u16 = 7;

/// The witness that [`MarkJudge`] takes for a state.
pub fn witness_of(prev: &PlaneState) -> Vec<u8> {
    format!("the state after batch {}", prev.number).into_bytes()
}

/// Judges by the mark in `object_root` that [`Plane::plan`] puts into honest headers.
pub struct MarkJudge;

impl Judge for MarkJudge {
    fn replay(&self, case: &Case<'_>) -> Verdict {
        let indices = case.prev.inbox_upto..case.claimed.inbox_upto;
        assert!(case.inbox.iter().map(|entry| entry.index).eq(indices), "the settlement hands over the whole inbox");
        assert_eq!(case.plane_id, case.genesis.plane_id());
        assert_eq!(case.claimed.generation, case.generation);
        if case.witness != witness_of(case.prev) {
            return Verdict::Insufficient;
        }
        let honest = case.claimed.object_root == mark(case.posted, case.prev);
        if honest { Verdict::Same } else { Verdict::Differs { reason: FORGED } }
    }
}

fn mark(posted: &[u8], prev: &PlaneState) -> Digest {
    hash(Domain::Test, 0, &[&prev.number.to_le_bytes(), &prev.inbox_upto.to_le_bytes(), posted])
}

/// A judge that must not be asked.
pub struct NoJudge;

impl Judge for NoJudge {
    fn replay(&self, case: &Case<'_>) -> Verdict {
        panic!("batch {} came before a judge", case.claimed.number)
    }
}

/// One batch with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Batch {
    pub header: BatchHeader,
    pub posted: Vec<u8>,
    pub withdrawals: Vec<Withdrawal>,
    pub forged: bool,
    /// What accounts hold on the plane after it.
    pub balances: BTreeMap<AssetId, u64>,
}

impl Batch {
    pub fn outbox_path(&self, chain_id: u64, place: u64) -> Path {
        Tree::new(outbox_leaves(chain_id, &self.withdrawals)).path(place).expect("a withdrawal of the batch")
    }
}

fn outbox_leaves(chain_id: u64, withdrawals: &[Withdrawal]) -> Vec<Digest> {
    withdrawals.iter().map(|withdrawal| withdrawal.leaf(chain_id)).collect()
}

/// What a header says of the ledger.
#[derive(Clone, Copy, Debug)]
pub struct LedgerPart {
    pub root: FieldDigest,
    pub journal_digest: FieldDigest,
    pub flows_digest: Digest,
    pub entries: u32,
}

/// What the next batch does.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How far it consumes the inbox.
    pub inbox: Vec<InboxEntry>,
    /// What leaves: for whom, which asset, how much.
    pub withdrawals: Vec<(L1Address, AssetId, u64)>,
    /// Whether its header lies.
    pub forged: bool,
    /// Bytes of its posted form, at least 24.
    pub posted_len: usize,
    /// What its header says of the ledger; nothing that could be proved otherwise.
    pub ledger: Option<LedgerPart>,
}

/// All batches from the first on, committed or not.
#[derive(Clone, Debug)]
pub struct Plane {
    genesis: Genesis,
    pub batches: Vec<Batch>,
}

impl Plane {
    pub fn new(genesis: &Genesis) -> Self {
        Self { genesis: genesis.clone(), batches: Vec::new() }
    }

    pub fn genesis_state(genesis: &Genesis) -> PlaneState {
        let roots =
            Roots { ledger_root: FieldDigest::EMPTY, object_root: Digest::ZERO, slots_used: 1, objects_used: 1 };
        PlaneState { number: 0, time: genesis.time, roots, inbox_upto: 0, log_upto: 0, outbox_upto: 0 }
    }

    /// The header after `number` batches.
    pub fn header(&self, number: u64) -> BatchHeader {
        match number.checked_sub(1) {
            Some(at) => self.batch(at + 1).header,
            None => BatchHeader::genesis(&Self::genesis_state(&self.genesis)),
        }
    }

    pub fn batch(&self, number: u64) -> &Batch {
        &self.batches[usize::try_from(number - 1).expect("few batches")]
    }

    pub fn last_number(&self) -> u64 {
        self.batches.len() as u64
    }

    /// What accounts hold after `number` batches.
    pub fn balance(&self, number: u64, asset: AssetId) -> u64 {
        let after = number.checked_sub(1).map(|before| self.batch(before + 1));
        after.and_then(|batch| batch.balances.get(&asset)).copied().unwrap_or(0)
    }

    /// Forgets the batches after `number`.
    pub fn revert_to(&mut self, number: u64) {
        self.batches.truncate(usize::try_from(number).expect("few batches"));
    }

    /// Makes the next batch.
    pub fn plan(&mut self, generation: u32, time: u64, plan: Plan) -> &Batch {
        let chain_id = self.genesis.chain_id;
        let prev = self.header(self.last_number());
        let state = prev.state();
        let mut balances = self.batches.last().map(|batch| batch.balances.clone()).unwrap_or_default();
        for entry in &plan.inbox {
            if let InboxPayload::Deposit { asset, amount, .. } = &entry.payload {
                *balances.entry(*asset).or_default() += amount.units();
            }
        }
        let mut withdrawals = Vec::new();
        for (place, (to, asset, units)) in plan.withdrawals.iter().enumerate() {
            let held = balances.entry(*asset).or_default();
            *held = if plan.forged { held.saturating_sub(*units) } else { *held - units };
            withdrawals.push(Withdrawal {
                index: prev.outbox_upto + place as u64,
                owner: Address::from_bytes([1; 32]),
                to: *to,
                asset: *asset,
                amount: Amount::new(*units).expect("a small amount"),
            });
        }
        let nothing = LedgerPart {
            root: prev.ledger_root,
            journal_digest: FieldDigest::EMPTY,
            flows_digest: Digest::ZERO,
            entries: 9,
        };
        let ledger = plan.ledger.unwrap_or(nothing);
        let mut posted = format!("batch {} of generation {generation}", prev.number + 1).into_bytes();
        posted.resize(posted.len().max(plan.posted_len), b'.');
        let truth = mark(&posted, &state);
        let header = BatchHeader {
            number: prev.number + 1,
            protocol: self.genesis.protocol,
            generation,
            time: time.max(prev.time),
            prev_state: state.digest(chain_id, &self.genesis.plane_id()),
            ledger_root: ledger.root,
            object_root: if plan.forged { hash(Domain::Test, 1, &[&truth.0]) } else { truth },
            slots_used: prev.slots_used + 1,
            objects_used: prev.objects_used + 1,
            inbox_upto: prev.inbox_upto + plan.inbox.len() as u64,
            log_upto: prev.log_upto + 3,
            outbox_upto: prev.outbox_upto + withdrawals.len() as u64,
            log_root: merkle::root(&[]),
            outbox_root: merkle::root(&outbox_leaves(chain_id, &withdrawals)),
            journal_digest: ledger.journal_digest,
            flows_digest: ledger.flows_digest,
            entries: ledger.entries,
            gas: 1_000,
            bytes: u32::try_from(posted.len()).expect("a small batch"),
        };
        self.batches.push(Batch { header, posted, withdrawals, forged: plan.forged, balances });
        self.batches.last().expect("just made")
    }

    /// The trees over headers and posted batches from `first` up to and with `last`.
    pub fn trees(&self, first: u64, last: u64) -> (Tree, Tree) {
        let chain_id = self.genesis.chain_id;
        let batches = || (first..=last).map(|number| self.batch(number));
        let headers = batches().map(|batch| batch.header.digest(chain_id)).collect();
        let posted = batches().map(|batch| posted_digest(chain_id, &batch.posted)).collect();
        (Tree::new(headers), Tree::new(posted))
    }
}
