//! An L1 with one settlement, its operator and its users, in readable steps.
//!
//! Every message goes through [`World::send`], which checks what must hold at any time: messages and states survive their
//! own bytes, a refusal changes nothing, and the money that the host holds is escrow plus bonds.

use crate::plane::{Batch, MarkJudge, Plan, Plane, witness_of};
use ghostplane_ghostcipher::merkle::{self, Tree};
use ghostplane_ghostcipher::{Digest, Domain, SigningKey, digest};
use ghostplane_settlement::archive::History;
use ghostplane_settlement::message::{Claim, ClaimedUnder, L1Block, OpenCaseRequest};
use ghostplane_settlement::{Event, Message, Money, Purpose, Refusal, Settlement, bond_digest};
use ghostplane_types::batch::posted_digest;
use ghostplane_types::commitment::COMMITMENT_VERSION;
use ghostplane_types::genesis::GenesisAsset;
use ghostplane_types::limits::CHUNK_BYTES_MAX;
use ghostplane_types::{
    Address, Amount, AssetId, Attestation, BatchHeader, Commitment, Decode, Encode, Genesis, InboxEntry, L1Address,
};
use std::collections::BTreeMap;

pub const GENESIS_TIME: u64 = 1_700_000_000_000;
pub const BLOCK_MS: u64 = 1_000;
pub const OPERATOR: &str = "operator";
/// Counted in cents on the L1 and in millionths on the plane.
pub const USD: AssetId = AssetId::new(7).expect("a small number");

/// Somebody on the L1.
pub fn who(name: &str) -> L1Address {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    L1Address(bytes)
}

pub fn units(units: u64) -> Amount {
    Amount::new(units).expect("a small amount")
}

/// Base units of so many whole coins.
pub fn gcc(coins: u64) -> u64 {
    coins * 1_000_000_000
}

pub fn sequencer() -> SigningKey {
    SigningKey::from_seed([11; 32])
}

/// The terms of these tests: GCC is finer on the L1, the dollar coarser.
pub fn genesis() -> Genesis {
    let mut genesis = Genesis::dev(GENESIS_TIME, sequencer().verification_key(), Address::from_bytes([9; 32]));
    genesis.assets[0].l1_decimals = 18;
    let symbol = b"usd".to_vec();
    // As much ZMAN as of anything else: what does not regenerate needs no narrower bound.
    (genesis.mana.rate, genesis.mana.supply_max) = (0, units(1 << 62));
    genesis.assets.push(GenesisAsset { asset: USD, symbol, decimals: 6, l1_decimals: 2, deposit_min: units(10_000) });
    genesis
}

/// A commitment that is being drawn up.
#[derive(Clone)]
pub struct Draft {
    pub commitment: Commitment,
    pub headers: Vec<BatchHeader>,
}

impl Draft {
    /// Makes the commitment say what its headers say, and signs it.
    pub fn seal(mut self, chain_id: u64) -> Self {
        let digests: Vec<Digest> = self.headers.iter().map(|header| header.digest(chain_id)).collect();
        self.commitment.headers_root = merkle::root(&digests);
        self.commitment.last_header = *self.headers.last().expect("a draft has headers");
        self.sign(chain_id)
    }

    pub fn sign(mut self, chain_id: u64) -> Self {
        self.commitment.attestations = vec![attest(&sequencer(), &self.commitment, chain_id)];
        self
    }

    pub fn message(self) -> Message {
        Message::Commit { commitment: Box::new(self.commitment), headers: self.headers }
    }
}

pub fn attest(key: &SigningKey, commitment: &Commitment, chain_id: u64) -> Attestation {
    let signature = key.sign(Domain::Attestation, chain_id, &commitment.digest(chain_id));
    Attestation { key: key.verification_key(), signature }
}

/// A commitment as a client remembers it, with all batches it had when it was made.
#[derive(Clone)]
struct Known {
    first: u64,
    headers: Tree,
    posted: Tree,
}

#[derive(Clone)]
pub struct World {
    pub settlement: Settlement,
    pub block: L1Block,
    pub plane: Plane,
    pub history: History,
    /// By position in the archive.
    pub records: Vec<ghostplane_settlement::FinalRecord>,
    pub deposited: BTreeMap<AssetId, u128>,
    pub claimed: BTreeMap<AssetId, u128>,
    pub taken: u128,
    pub paid: u128,
    pub burned: u128,
    /// What the host holds, by asset, in the plane's units.
    held: BTreeMap<AssetId, u128>,
    pub balances: BTreeMap<L1Address, i128>,
    known: Vec<Known>,
    posted_upto: u64,
    pub messages: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(genesis())
    }

    pub fn with(genesis: Genesis) -> Self {
        let settlement = Settlement::new(genesis.clone(), &Plane::genesis_state(&genesis)).expect("good terms");
        let world = Self {
            settlement,
            block: L1Block { height: 0, time: 0 },
            plane: Plane::new(&genesis),
            history: History::default(),
            records: Vec::new(),
            deposited: BTreeMap::new(),
            claimed: BTreeMap::new(),
            taken: 0,
            paid: 0,
            burned: 0,
            held: BTreeMap::new(),
            balances: BTreeMap::new(),
            known: Vec::new(),
            posted_upto: 0,
            messages: 0,
        };
        world.mine(1)
    }

    pub fn chain_id(&self) -> u64 {
        self.settlement.genesis().chain_id
    }

    // Time.

    /// Lets blocks pass, each with its own call of `advance`.
    #[must_use]
    pub fn mine(mut self, blocks: u64) -> Self {
        (0..blocks).for_each(|_| self.next_block());
        self
    }

    pub fn next_block(&mut self) {
        let height = self.block.height + 1;
        self.block = L1Block { height, time: GENESIS_TIME + height * BLOCK_MS };
        let events = self.settlement.advance(self.block).expect("blocks come in order");
        self.take_note(None, &events);
    }

    // Messages.

    pub fn send(&mut self, from: &str, message: &Message) -> Result<Vec<Event>, Refusal> {
        self.messages += 1;
        let bytes = message.to_bytes();
        let read = Message::from_bytes(&bytes);
        assert!(read.is_err() || read.as_ref() == Ok(message));
        let before = self.settlement.to_bytes();
        let result = self.settlement.apply(message, who(from), self.block, &MarkJudge);
        match &result {
            Ok(events) => {
                assert!(read.is_ok() && bytes.len() <= ghostplane_settlement::limits::MESSAGE_BYTES_MAX);
                self.take_note(Some(message), events);
            }
            Err(refusal) => assert_eq!(self.settlement.to_bytes(), before, "refused and changed: {refusal}"),
        }
        result
    }

    #[track_caller]
    pub fn must(&mut self, from: &str, message: &Message) -> Vec<Event> {
        self.send(from, message).expect("a good message")
    }

    #[track_caller]
    pub fn refused(&mut self, from: &str, message: &Message) -> u16 {
        self.send(from, message).expect_err("a bad message").code()
    }

    // Money in.

    #[track_caller]
    #[must_use]
    pub fn deposit(mut self, name: &str, asset: AssetId, amount: u64) -> Self {
        let message = self.deposit_of(asset, amount);
        self.must(name, &message);
        self
    }

    /// The deposit that comes out as so many of the plane's units.
    pub fn deposit_of(&self, asset: AssetId, amount: u64) -> Message {
        let l1_amount = match asset {
            AssetId::GCC => u128::from(amount) * 1_000_000_000,
            USD => u128::from(amount / 10_000),
            _ => u128::from(amount),
        };
        Message::Deposit { asset, l1_amount, to: Address::from_bytes([2; 32]) }
    }

    pub fn bond_message(&self, name: &str, amount: u64) -> Message {
        let settlement = &self.settlement;
        let term = settlement.term_for(who(name));
        let digest = bond_digest(self.chain_id(), &settlement.plane_id(), &who(name), term);
        let signature = sequencer().sign(Domain::SettlementConfig, self.chain_id(), &digest);
        Message::Bond { amount: units(amount), signature }
    }

    #[track_caller]
    #[must_use]
    pub fn bonded(mut self) -> Self {
        let bond = self.settlement.genesis().settlement.sequencer_bond.units();
        let message = self.bond_message(OPERATOR, bond);
        self.must(OPERATOR, &message);
        self
    }

    // The operator.

    /// Entries that the next batch may consume now.
    pub fn ripe(&self) -> Vec<InboxEntry> {
        let from = self.plane.header(self.plane.last_number()).inbox_upto;
        self.settlement.inbox_entries(from, self.settlement.inbox_ripe_upto()).cloned().collect()
    }

    /// Makes the next batch, with all ripe inbox entries unless the plan has some.
    pub fn plan(&mut self, mut plan: Plan) -> &Batch {
        if plan.inbox.is_empty() {
            plan.inbox = self.ripe();
        }
        self.plane.plan(self.settlement.generation(), self.block.time, plan)
    }

    /// Posts all batches that were planned and not posted.
    #[track_caller]
    pub fn post(&mut self) {
        for number in self.posted_upto + 1..=self.plane.last_number() {
            for message in post_messages(number, &self.plane.batch(number).posted) {
                self.must(OPERATOR, &message);
            }
            self.posted_upto = number;
        }
    }

    pub fn draft(&self) -> Draft {
        let tip = self.settlement.tip();
        let (first, last) = (tip.number + 1, self.plane.last_number());
        let headers: Vec<BatchHeader> = (first..=last).map(|number| self.plane.batch(number).header).collect();
        let (_, posted) = self.plane.trees(first, last);
        let commitment = Commitment {
            version: COMMITMENT_VERSION,
            plane_id: self.settlement.plane_id(),
            generation: self.settlement.generation(),
            first_batch: first,
            headers_root: Digest::ZERO,
            prev_header_digest: tip.digest(self.chain_id()),
            last_header: headers[headers.len() - 1],
            data_digest: posted.root(),
            data_len: headers.iter().map(|header| u64::from(header.bytes)).sum(),
            attestations: Vec::new(),
        };
        Draft { commitment, headers }.seal(self.chain_id())
    }

    /// Posts and commits all batches that were planned.
    #[track_caller]
    pub fn commit_planned(&mut self) {
        self.post();
        let message = self.draft().message();
        self.must(OPERATOR, &message);
    }

    #[track_caller]
    #[must_use]
    pub fn commit(mut self, plans: Vec<Plan>) -> Self {
        for plan in plans {
            self.plan(plan);
        }
        self.commit_planned();
        self
    }

    // Cases.

    pub fn case_request(&self, purpose: Purpose, batch: u64) -> OpenCaseRequest {
        let known = self.known_with(batch);
        let place = batch - known.first;
        let prev = self.plane.header(batch - 1);
        let one = self.plane.batch(batch);
        OpenCaseRequest {
            purpose,
            header: one.header,
            header_path: known.headers.path(place).expect("a header of the commitment"),
            prev,
            prev_path: place.checked_sub(1).map(|before| known.headers.path(before).expect("a header before")),
            posted: posted_digest(self.chain_id(), &one.posted),
            posted_path: known.posted.path(place).expect("a batch of the commitment"),
            witness_len: witness_of(&prev.state()).len() as u64,
        }
    }

    /// Opens a case and returns its number.
    #[track_caller]
    pub fn open(&mut self, name: &str, purpose: Purpose, batch: u64) -> u64 {
        let request = self.case_request(purpose, batch);
        let events = self.must(name, &Message::OpenCase(Box::new(request)));
        let opened = events.iter().find_map(|event| match event {
            Event::CaseOpened { case, .. } => Some(*case),
            _ => None,
        });
        opened.expect("an accepted case is opened")
    }

    /// Brings all material of a case about `batch`.
    #[track_caller]
    pub fn bring(&mut self, name: &str, case: u64, material: &[u8]) {
        let mut offset = 0;
        for chunk in material.chunks(CHUNK_BYTES_MAX) {
            self.must(name, &Message::Material { case, offset, bytes: chunk.to_vec() });
            offset += chunk.len() as u64;
        }
    }

    /// The posted batch and the witness of the state before it.
    pub fn material(&self, batch: u64) -> Vec<u8> {
        let mut material = self.plane.batch(batch).posted.clone();
        material.extend(witness_of(&self.plane.header(batch - 1).state()));
        material
    }

    /// Opens a case, brings what it takes, and has it judged.
    #[track_caller]
    #[must_use]
    pub fn challenge(mut self, name: &str, batch: u64) -> Self {
        self.run_case(name, Purpose::Challenge, batch);
        self
    }

    #[track_caller]
    #[must_use]
    pub fn replay(mut self, name: &str, batch: u64) -> Self {
        self.run_case(name, Purpose::Replay, batch);
        self
    }

    #[track_caller]
    pub fn run_case(&mut self, name: &str, purpose: Purpose, batch: u64) -> Vec<Event> {
        let case = self.open(name, purpose, batch);
        self.bring(name, case, &self.material(batch));
        self.must(name, &Message::Judge { case })
    }

    // Money out.

    /// The batch that made a withdrawal, and the withdrawal's place in it.
    pub fn find_withdrawal(&self, index: u64) -> (u64, u64) {
        let with =
            self.plane.batches.iter().find(|batch| batch.header.outbox_upto > index).expect("a known withdrawal");
        let first = with.header.outbox_upto - with.withdrawals.len() as u64;
        (with.header.number, index - first)
    }

    pub fn claim_of(&self, index: u64) -> Claim {
        let (number, place) = self.find_withdrawal(index);
        let batch = self.plane.batch(number);
        let known = self.known_with(number);
        let recent = self.settlement.recent_finals().front().is_none_or(|oldest| oldest.first_batch <= known.first);
        let under = if recent { ClaimedUnder::Recent { first_batch: known.first } } else { self.archived(known.first) };
        Claim {
            under,
            header: batch.header,
            header_path: known.headers.path(number - known.first).expect("a header of the commitment"),
            withdrawal: batch.withdrawals[usize::try_from(place).expect("few")],
            outbox_path: batch.outbox_path(self.chain_id(), place),
        }
    }

    pub fn archived(&self, first: u64) -> ClaimedUnder {
        let at = self.records.iter().position(|record| record.first_batch == first).expect("an archived commitment");
        let path = self.history.path(at as u64).expect("within the history");
        ClaimedUnder::Archived { record: self.records[at], path }
    }

    #[track_caller]
    #[must_use]
    pub fn claim(mut self, index: u64) -> Self {
        let claim = self.claim_of(index);
        self.must("anybody", &Message::Claim(Box::new(claim)));
        self
    }

    // Proofs.

    /// The path of a header under its commitment.
    pub fn header_path(&self, batch: u64) -> merkle::Path {
        let known = self.known_with(batch);
        known.headers.path(batch - known.first).expect("a header of the commitment")
    }

    // What was seen.

    pub fn balance(&self, name: &str) -> i128 {
        self.balances.get(&who(name)).copied().unwrap_or(0)
    }

    /// Checks that the state survives its bytes.
    pub fn check_bytes(&self) {
        let bytes = self.settlement.to_bytes();
        let read = Settlement::from_bytes(&bytes).expect("a state reads back");
        assert_eq!(read, self.settlement);
        assert_eq!(read.digest(), self.settlement.digest());
    }

    fn known_with(&self, batch: u64) -> &Known {
        let with = self.known.iter().rfind(|known| known.first <= batch);
        with.expect("a committed batch")
    }

    fn take_note(&mut self, message: Option<&Message>, events: &[Event]) {
        for event in events {
            match event {
                Event::Take { from, money } => self.move_in(message, *from, money),
                Event::Pay { to, money } => self.move_out(message, Some(*to), money),
                Event::Burn { money } => self.move_out(message, None, money),
                Event::Archived { index, record } => {
                    assert_eq!(*index, self.records.len() as u64);
                    self.records.push(*record);
                    self.history.append(record.leaf(self.chain_id()));
                }
                Event::Committed { first_batch, last_batch } => {
                    let (headers, posted) = self.plane.trees(*first_batch, *last_batch);
                    self.known.push(Known { first: *first_batch, headers, posted });
                }
                Event::Reverted { first_batch, .. } => {
                    self.plane.revert_to(first_batch - 1);
                    self.known.retain(|known| known.first < *first_batch);
                    self.posted_upto = first_batch - 1;
                }
                Event::DataDropped { .. } => self.posted_upto = self.settlement.tip().number,
                _ => {}
            }
        }
        self.check_money();
    }

    fn move_in(&mut self, message: Option<&Message>, from: L1Address, money: &Money) {
        let amount = u128::from(money.amount.units());
        match message {
            Some(Message::Deposit { l1_amount, .. }) => {
                assert_eq!(money.l1_amount, *l1_amount);
                *self.deposited.entry(money.asset).or_default() += amount;
            }
            _ => self.taken += amount,
        }
        *self.held.entry(money.asset).or_default() += amount;
        *self.balances.entry(from).or_default() -= i128::try_from(amount).expect("small");
    }

    fn move_out(&mut self, message: Option<&Message>, to: Option<L1Address>, money: &Money) {
        let amount = u128::from(money.amount.units());
        match (message, to) {
            (Some(Message::Claim(_)), Some(_)) => *self.claimed.entry(money.asset).or_default() += amount,
            (_, Some(_)) => self.paid += amount,
            (_, None) => self.burned += amount,
        }
        *self.held.get_mut(&money.asset).expect("only what was taken moves out") -= amount;
        if let Some(to) = to {
            *self.balances.entry(to).or_default() += i128::try_from(amount).expect("small");
        }
    }

    /// The host holds escrow and bonds, escrow is deposits less claims, and bonds taken are held, paid or burned.
    fn check_money(&self) {
        for known in &self.settlement.genesis().assets {
            let asset = known.asset;
            let of = |map: &BTreeMap<AssetId, u128>| map.get(&asset).copied().unwrap_or(0);
            let escrow = u128::from(self.settlement.escrow(asset).expect("registered").units());
            assert_eq!(escrow, of(&self.deposited) - of(&self.claimed));
            let bonds = if asset == AssetId::GCC { self.settlement.bonds_held() } else { 0 };
            assert_eq!(of(&self.held), escrow + bonds);
        }
        assert_eq!(self.taken, self.settlement.bonds_held() + self.paid + self.burned);
    }
}

/// The messages that post one batch.
pub fn post_messages(number: u64, posted: &[u8]) -> Vec<Message> {
    let chunks = posted.chunks(CHUNK_BYTES_MAX);
    let count = chunks.len();
    let message = |(at, chunk): (usize, &[u8])| Message::PostData {
        number,
        chunk: u32::try_from(at).expect("few chunks"),
        last: at + 1 == count,
        bytes: chunk.to_vec(),
    };
    chunks.enumerate().map(message).collect()
}

/// The chain over inbox entries from the first on.
pub fn chain_of<'a>(entries: impl Iterator<Item = &'a InboxEntry>, chain_id: u64) -> Digest {
    entries.fold(Digest::ZERO, |before, entry| entry.chain(chain_id, &before))
}

/// A digest of no meaning.
pub fn some_digest(text: &str) -> Digest {
    digest::hash(Domain::Test, 0, &[text.as_bytes()])
}
