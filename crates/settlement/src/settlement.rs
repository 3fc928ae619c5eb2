//! The settlement itself: its state, how time and messages enter it, and what can be asked of it.

mod cases;
mod claim;
mod commit;
mod encoding;
mod finality;
mod inflow;
mod proofs;

use crate::archive::Archive;
use crate::case::OpenCase;
use crate::claims::Claims;
use crate::codec::fields;
use crate::convert;
use crate::event::{Event, Money};
use crate::inbox::Inbox;
use crate::judge::Judge;
use crate::message::{L1Block, Message};
use crate::pending::Pending;
use crate::posted::Posted;
use crate::proofs::OpenProof;
use crate::refusal::Refusal;
use ghostplane_ghostcipher::{Digest, Domain, digest};
use ghostplane_types::genesis::GenesisAsset;
use ghostplane_types::{
    Amount, AssetId, BatchHeader, Encode, Genesis, GenesisError, InboxEntry, L1Address, PlaneState,
};
use std::collections::{BTreeMap, VecDeque};
use thiserror::Error;

/// The L1's half of one plane.
///
/// Time enters through [`Settlement::advance`], once per L1 block and before its messages; messages enter through
/// [`Settlement::apply`], which acts in the block that was advanced to. So a refused message changes nothing at all, and no
/// order to move money can be lost with a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    genesis: Genesis,
    /// Follows from `genesis`.
    plane_id: Digest,
    block: L1Block,
    /// L1 blocks during which there was room for a challenge at every moment. Windows are counted on it.
    clock: u64,
    /// Whether the table of cases was full at any moment of this block.
    crowded: bool,
    budget: Budget,
    generation: u32,
    /// The last header of the last commitment that is final as a whole.
    base: BatchHeader,
    final_number: u64,
    /// In the order of `genesis.assets`.
    escrow: Vec<Amount>,
    operator: Option<Operator>,
    /// How many operators there have been.
    terms: u64,
    bond: Amount,
    inbox: Inbox,
    posted: Posted,
    pending: VecDeque<Pending>,
    cases: BTreeMap<u64, OpenCase>,
    next_case: u64,
    open_proofs: BTreeMap<L1Address, OpenProof>,
    archive: Archive,
    claims: Claims,
}

/// What the messages of the current block have used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Budget {
    inbox_entries: u32,
    inbox_bytes: u64,
    data_bytes: u64,
    committed: bool,
}

fields!(Budget { inbox_entries: u32, inbox_bytes: u64, data_bytes: u64, committed: bool });

/// Who posts data and commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operator {
    address: L1Address,
    term: u64,
}

fields!(Operator { address: L1Address, term: u64 });

/// How far a batch has come towards final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// The sequencer vouches for it. The settlement never says this: a commitment brings attestation and data together, so
    /// that what it knows of is challengeable at once. Receipts say it.
    Attested,
    /// It is committed with its data, and anybody can have it replayed.
    Challengeable,
    /// A proof shows that it conserves value, which shortens its window and releases nothing by itself.
    Proven,
    /// It stays. Its withdrawals can be claimed.
    Final,
}

/// Why a genesis and its state found no settlement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// The genesis contradicts itself.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The state is not one that this genesis starts from.
    #[error("the state is not that of genesis: {0}")]
    State(&'static str),
    /// The L1 cannot pay this bond exactly.
    #[error("a bond of {amount} is no multiple of {unit}, the least that the L1 pays")]
    BondInexact {
        /// The bond, in the plane's base units.
        amount: u64,
        /// What it must be a multiple of.
        unit: u64,
    },
}

/// What the sequencer signs, under [`Domain::SettlementConfig`], to let `operator` post and commit for term `term`.
///
/// Terms count operators from 0, see [`Settlement::term_for`], so that one who was replaced cannot come back by himself.
pub fn bond_digest(chain_id: u64, plane_id: &Digest, operator: &L1Address, term: u64) -> Digest {
    digest::hash(Domain::SettlementConfig, chain_id, &[plane_id.as_bytes(), &operator.0, &term.to_le_bytes()])
}

impl Settlement {
    /// The settlement of a plane that starts from `state`, the state that `genesis` gives. It stands at L1 block 0.
    pub fn new(genesis: Genesis, state: &PlaneState) -> Result<Self, SetupError> {
        genesis.check()?;
        let rules = [
            (state.number == 0, "its number is 0"),
            (state.time == genesis.time, "its time is that of genesis"),
            (
                state.inbox_upto == 0 && state.log_upto == 0 && state.outbox_upto == 0,
                "nothing is consumed or handed out",
            ),
            (state.roots.slots_used <= genesis.slots_max, "slots are within slots_max"),
            (state.roots.objects_used <= genesis.objects_max, "objects are within objects_max"),
        ];
        if let Some((_, rule)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(SetupError::State(rule));
        }
        for bond in [genesis.settlement.sequencer_bond, genesis.settlement.challenge_bond] {
            if convert::to_l1(&genesis.assets[0], bond).is_none() {
                let unit = convert::plane_unit(&genesis.assets[0]);
                return Err(SetupError::BondInexact { amount: bond.units(), unit });
            }
        }
        Ok(Self {
            plane_id: genesis.plane_id(),
            block: L1Block::default(),
            clock: 0,
            crowded: false,
            budget: Budget::default(),
            generation: 0,
            base: BatchHeader::genesis(state),
            final_number: 0,
            escrow: vec![Amount::ZERO; genesis.assets.len()],
            operator: None,
            terms: 0,
            bond: Amount::ZERO,
            inbox: Inbox::new(),
            posted: Posted::default(),
            pending: VecDeque::new(),
            cases: BTreeMap::new(),
            next_case: 0,
            open_proofs: BTreeMap::new(),
            archive: Archive::default(),
            claims: Claims::default(),
            genesis,
        })
    }

    /// Does what one message of the block asks for, or refuses and changes nothing. `block` is the one that
    /// [`Settlement::advance`] was last given; `from` is vouched for by the L1.
    ///
    /// The host carries out the events' orders in the same L1 transaction. It checks before that `from` can pay: what a
    /// deposit asks for, a bond's amount, or the challenge bond of a case that is opened.
    pub fn apply(
        &mut self,
        message: &Message,
        from: L1Address,
        block: L1Block,
        judge: &dyn Judge,
    ) -> Result<Vec<Event>, Refusal> {
        self.check_block(block)?;
        if block != self.block {
            return Err(Refusal::OtherBlock { found: block.height, current: self.block.height });
        }
        match message {
            Message::Deposit { asset, l1_amount, to } => self.deposit(from, *asset, *l1_amount, *to),
            Message::Force { transaction } => self.force(transaction),
            Message::Bond { amount, signature } => self.add_bond(from, *amount, signature),
            Message::Unbond => self.unbond(from),
            Message::PostData { number, chunk, last, bytes } => self.post_data(from, *number, *chunk, *last, bytes),
            Message::DiscardData => self.discard_data(from),
            Message::Commit { commitment, headers } => self.commit(from, commitment, headers),
            Message::OpenCase(request) => self.open_case(from, request),
            Message::Material { case, offset, bytes } => self.add_material(from, *case, *offset, bytes),
            Message::Judge { case } => self.judge_case(*case, judge),
            Message::Claim(claim) => self.claim(claim),
            Message::SubmitProof { first_batch, last_batch, len, offset, bytes } => {
                let (first_batch, last_batch, len, offset) = (*first_batch, *last_batch, *len, *offset);
                self.submit_proof(from, proofs::Piece { first_batch, last_batch, len, offset }, bytes)
            }
            Message::Reserved { what, .. } => Err(Refusal::Unimplemented { what: what.what() }),
        }
    }

    /// The money that a message takes from its sender if it is accepted: what a host checks before it applies one. Nothing
    /// for a message that takes none, or that is refused because of its amount.
    pub fn takes(&self, message: &Message) -> Option<Money> {
        match message {
            Message::Deposit { asset, l1_amount, .. } => {
                let known = &self.genesis.assets[self.asset_position(*asset)?];
                let exact = l1_amount.is_multiple_of(u128::from(convert::l1_unit(known)));
                let amount = convert::to_plane(known, *l1_amount).filter(|_| exact)?;
                Some(Money { asset: *asset, amount, l1_amount: *l1_amount })
            }
            Message::Bond { amount, .. } => convert::to_l1(self.gcc(), *amount),
            Message::OpenCase(_) => convert::to_l1(self.gcc(), self.genesis.settlement.challenge_bond),
            _ => None,
        }
    }

    fn check_block(&self, block: L1Block) -> Result<(), Refusal> {
        let current = self.block;
        if block.height < current.height {
            return Err(Refusal::BlockBackwards { found: block.height, current: current.height });
        }
        // Only the block that a new settlement stands at has no time of its own.
        let same_block = block.height == current.height && current != L1Block::default();
        if block.time < current.time || same_block && block.time != current.time {
            return Err(Refusal::BlockTime { found: block.time, current: current.time });
        }
        Ok(())
    }

    fn check_operator(&self, from: L1Address) -> Result<(), Refusal> {
        match self.operator {
            Some(operator) if operator.address == from => Ok(()),
            operator => Err(Refusal::NotOperator { found: from, operator: operator.map(|operator| operator.address) }),
        }
    }

    fn gcc(&self) -> &GenesisAsset {
        &self.genesis.assets[0]
    }

    /// Money in GCC that a check has found to be payable, or nothing if it is nothing.
    fn bond_money(&self, amount: Amount) -> Option<Money> {
        let money = convert::to_l1(self.gcc(), amount).expect("bonds are taken and split in payable amounts");
        (!amount.is_zero()).then_some(money)
    }

    fn pay_bond(&self, to: L1Address, amount: Amount, events: &mut Vec<Event>) {
        events.extend(self.bond_money(amount).map(|money| Event::Pay { to, money }));
    }

    fn burn_bond(&self, amount: Amount, events: &mut Vec<Event>) {
        events.extend(self.bond_money(amount).map(|money| Event::Burn { money }));
    }

    fn asset_position(&self, asset: AssetId) -> Option<usize> {
        self.genesis.assets.binary_search_by_key(&asset, |known| known.asset).ok()
    }
}

/// What can be asked.
impl Settlement {
    /// The plane's terms.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Digest of those terms.
    pub fn plane_id(&self) -> Digest {
        self.plane_id
    }

    /// The L1 block it was last advanced to.
    pub fn block(&self) -> L1Block {
        self.block
    }

    /// The clock that windows are counted on: it counts the L1 blocks during which there was room for one more case at
    /// every moment. So nobody can shut challengers out by filling the table; he only stops finality while he pays for it.
    pub fn window_clock(&self) -> u64 {
        self.clock
    }

    /// The generation that the next commitment is of.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The header that the next commitment builds on: the last committed one, or that of genesis.
    pub fn tip(&self) -> &BatchHeader {
        self.pending.back().map_or(&self.base, |pending| &pending.last_header)
    }

    /// The last final batch; 0 is genesis.
    pub fn final_number(&self) -> u64 {
        self.final_number
    }

    /// How far a batch has come; nothing if it is not committed.
    pub fn status_of(&self, batch: u64) -> Option<Rung> {
        if batch <= self.final_number {
            Some(Rung::Final)
        } else if self.is_proven(batch) {
            Some(Rung::Proven)
        } else {
            (batch <= self.tip().number).then_some(Rung::Challengeable)
        }
    }

    /// Whether a proof shows that a pending batch conserves value.
    pub fn is_proven(&self, batch: u64) -> bool {
        self.pending_with(batch).is_some_and(|(_, pending)| pending.is_proven(batch))
    }

    /// The last batch up to which all are final, proven or replayed.
    pub fn proven_number(&self) -> u64 {
        let batches = self.pending.iter().flat_map(|pending| {
            let all = pending.first_batch..=pending.last_batch();
            all.map(|batch| (batch, pending.is_proven(batch) || pending.is_replayed(batch)))
        });
        let settled = batches.take_while(|(batch, shown)| *shown || *batch <= self.final_number);
        settled.last().map_or(self.final_number, |(batch, _)| batch)
    }

    /// Proofs of which some pieces were brought, by sender.
    pub fn open_proofs(&self) -> &BTreeMap<L1Address, OpenProof> {
        &self.open_proofs
    }

    /// What is held for the plane in an asset; nothing if genesis does not register it.
    pub fn escrow(&self, asset: AssetId) -> Option<Amount> {
        self.asset_position(asset).map(|at| self.escrow[at])
    }

    /// What answers for the operator's commitments.
    pub fn bond(&self) -> Amount {
        self.bond
    }

    /// All bonds that are held, the operator's and those of open cases.
    pub fn bonds_held(&self) -> u128 {
        let challenge = u128::from(self.genesis.settlement.challenge_bond.units());
        u128::from(self.bond.units()) + challenge * self.cases.len() as u128
    }

    /// Who posts data and commits, if anybody.
    pub fn operator(&self) -> Option<L1Address> {
        self.operator.map(|operator| operator.address)
    }

    /// The term that a bond's signature must be for if `from` sends it: his own if he is the operator, else the next.
    pub fn term_for(&self, from: L1Address) -> u64 {
        self.operator.filter(|operator| operator.address == from).map_or(self.terms, |operator| operator.term)
    }

    /// The index of the first inbox entry that is kept: all before it are consumed for good.
    pub fn inbox_start(&self) -> u64 {
        self.inbox.start()
    }

    /// The index that the next inbox entry gets.
    pub fn inbox_end(&self) -> u64 {
        self.inbox.end()
    }

    /// The inbox entries from `from` up to, not with, `upto`, as far as they exist and are kept.
    pub fn inbox_entries(&self, from: u64, upto: u64) -> impl ExactSizeIterator<Item = &InboxEntry> {
        self.inbox.range(from, upto)
    }

    /// Digest of the whole inbox so far, see [`InboxEntry::chain`].
    pub fn inbox_chain(&self) -> Digest {
        self.inbox.chain()
    }

    /// How far the next commitment may consume the inbox: entries before this are old enough.
    pub fn inbox_ripe_upto(&self) -> u64 {
        let depth = self.genesis.settlement.reorg_depth;
        let ripe = self.inbox.entries().partition_point(|entry| self.block.height - entry.l1_height >= depth);
        self.inbox.start() + ripe as u64
    }

    /// The batch whose data is posted next.
    pub fn next_posted(&self) -> u64 {
        self.tip().number + 1 + self.posted.batches().len() as u64
    }

    /// Commitments that are not final as a whole, in order.
    pub fn pending(&self) -> &VecDeque<Pending> {
        &self.pending
    }

    /// Open cases by number.
    pub fn cases(&self) -> &BTreeMap<u64, OpenCase> {
        &self.cases
    }

    /// The archive of final commitments: what an old claim's path leads to.
    pub fn archive(&self) -> &crate::archive::Peaks {
        self.archive.peaks()
    }

    /// The last final commitments, in order.
    pub fn recent_finals(&self) -> &VecDeque<crate::FinalRecord> {
        self.archive.recent()
    }

    /// Whether the withdrawal of that index was claimed.
    pub fn is_claimed(&self, index: u64) -> bool {
        self.claims.is_claimed(index)
    }

    /// Every withdrawal below this index was claimed.
    pub fn claimed_below(&self) -> u64 {
        self.claims.all_below()
    }

    /// Digest of the whole state, under [`Domain::SettlementState`] on the plane's chain.
    pub fn digest(&self) -> Digest {
        digest::hash(Domain::SettlementState, self.genesis.chain_id, &[&self.to_bytes()])
    }

    /// The pending commitment that a batch is under, and its place in the queue.
    fn pending_with(&self, batch: u64) -> Option<(usize, &Pending)> {
        let at = self.pending.partition_point(|pending| pending.last_batch() < batch);
        self.pending.get(at).filter(|pending| pending.first_batch <= batch).map(|pending| (at, pending))
    }
}
