//! A plane with many accounts, some of whom act: what the suites measure on.

use super::measure::Random;
use ghostplane_engine::{Plane, ProposedBatch, Verified, posted, verify_all};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Domain, SigningKey, VerificationKey};
use ghostplane_keystone::{Changeset, Keystone, ObjectChange, StateView as _};
use ghostplane_shroud::covenant::{PolicySet, SCHEMA_VERSION};
use ghostplane_types::account::Lane;
use ghostplane_types::transaction::Pay;
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, AssetId, CovenantText, Encode, EntityType, Genesis, Gid, Identity, KeyRef,
    Nonce, ObjectKey, PlaneRules, PlaneState, PublicKey, Scheduled, Scheme, Slot, SlotIndex, SlotKind, Transaction,
    TransactionBody, gas,
};

/// Slots of the plane, the outside and those of genesis included.
pub(super) const SLOTS: u32 = 1 << 20;
/// 2026-01-01T00:00:00Z.
const GENESIS_MS: u64 = 1_767_225_600_000;
const BATCH_MS: u64 = 50;
/// What every account starts with, 4,000 GCC: all of them together stay below the largest supply.
const BALANCE: u64 = 4_000_000_000_000;
/// Transfers are of up to 1.07 GCC, so that amounts take the five bytes that real ones take.
const AMOUNT_MAX: usize = 1 << 30;

/// Who pays whom in a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Traffic {
    /// So many transfers, payer and payee drawn from the first so many actors.
    Among { transfers: usize, actors: usize },
    /// So many transfers, no account in two of them.
    Distinct { transfers: usize },
    /// So many transfers from payers drawn from the first so many actors, all to one payee.
    HotPayee { transfers: usize, actors: usize },
    /// So many transactions of 256 transfers each; no payer has two, payees are drawn from the first so many actors.
    Bundles { bundles: usize, actors: usize },
    /// One transfer from each of the first so many actors.
    Everybody { actors: usize },
}

/// A plane of 2^20 slots. Its actors are spread over all of it, as accounts are that were opened over years.
pub(super) struct Fixture {
    pub(super) plane: Plane,
    pub(super) keystone: Keystone,
    pub(super) state: PlaneState,
    actors: Vec<Actor>,
    random: Random,
    /// Gas that a transaction may use besides what it takes in any case.
    more_gas: u64,
}

struct Actor {
    key: SigningKey,
    address: Address,
    seq: u64,
}

impl Fixture {
    /// A plane with so many accounts that can sign.
    pub(super) fn new(actors: usize) -> anyhow::Result<Self> {
        let sequencer = SigningKey::from_seed([1; 32]).verification_key();
        let plane = Plane::new(Genesis::dev(GENESIS_MS, sequencer, Address::from_bytes([2; 32])))?;
        let mut random = Random(0x6a09_e667);
        let actors: Vec<Actor> = (0..actors).map(|_| Actor::new(plane.chain_id(), &mut random)).collect();

        let founding = plane.founding_changes()?;
        let first = 1 + u32::try_from(founding.slots().len())?;
        let mut acting: Vec<Option<&Actor>> = vec![None; SLOTS as usize];
        for (slot, actor) in random.distinct(actors.len(), first..SLOTS).into_iter().zip(&actors) {
            acting[slot as usize] = Some(actor);
        }
        let resident = |slot: u32| match acting[slot as usize] {
            Some(actor) => (actor.address, actor.key.verification_key()),
            None => bystander(slot),
        };
        let slots = (first..SLOTS).map(|slot| account_slot(&resident(slot).0));
        let objects = (first..SLOTS).map(|slot| {
            let (address, key) = resident(slot);
            (ObjectKey::account(&address), Some(record(address, key, slot).to_bytes()))
        });
        let founding_slots = founding.slots().iter().map(|change| change.new);
        let founding_objects =
            founding.objects().iter().map(|change| (change.key, change.new.as_deref().map(<[u8]>::to_vec)));
        let keystone = Keystone::from_leaves(7, founding_slots.chain(slots), founding_objects.chain(objects), &Serial)?;
        let state = plane.genesis_state(keystone.roots());
        drop(acting);
        Ok(Self { plane, keystone, state, actors, random, more_gas: 0 })
    }

    /// Has every transaction from here on asked by these rules, as the plane's own; each may use so much gas for that.
    pub(super) fn rule(&mut self, text: &str, gas: u64) -> anyhow::Result<()> {
        let set = PolicySet::set(text)?;
        let (counts, obliges, cost) = (set.counts(), set.obliges(), set.cost(0));
        let text = CovenantText { schema_version: SCHEMA_VERSION, counts, obliges, cost, text: text.into() };
        let plane = Scheduled { now: Some(text.digest()), next: None };
        let rules = PlaneRules { plane, assets: Vec::new() };
        let made = |key, value: Vec<u8>| ObjectChange { key, old: None, new: Some(value.into()) };
        let mut objects = vec![
            made(ObjectKey::covenant(&text.digest()), text.to_bytes()),
            made(ObjectKey::plane_rules(), rules.to_bytes()),
        ];
        objects.sort_unstable_by_key(|change| change.key);
        self.state.roots = self.keystone.apply(&Changeset::new(Vec::new(), objects)?, &Serial)?;
        self.more_gas = gas;
        Ok(())
    }

    /// The time of the next batch.
    pub(super) fn next_time(&self) -> u64 {
        self.state.time + BATCH_MS
    }

    /// Made-up transactions that follow on those made before.
    pub(super) fn transactions(&mut self, traffic: Traffic) -> Vec<Transaction> {
        match traffic {
            Traffic::Among { transfers, actors } => {
                let pair = |_| self.pair(actors);
                let pairs: Vec<(usize, usize)> = (0..transfers).map(pair).collect();
                pairs.into_iter().map(|(payer, payee)| self.transaction(payer, &[payee])).collect()
            }
            Traffic::Distinct { transfers } => {
                let order = self.random.distinct(2 * transfers, 0..2 * transfers as u32);
                let (payers, payees) = order.split_at(transfers);
                let pairs = payers.iter().zip(payees);
                pairs.map(|(payer, payee)| self.transaction(*payer as usize, &[*payee as usize])).collect()
            }
            Traffic::HotPayee { transfers, actors } => {
                let payers: Vec<usize> = (0..transfers).map(|_| 1 + self.random.below(actors - 1)).collect();
                payers.into_iter().map(|payer| self.transaction(payer, &[0])).collect()
            }
            Traffic::Everybody { actors } => {
                (0..actors).map(|payer| self.transaction(payer, &[(payer + 1) % actors])).collect()
            }
            Traffic::Bundles { bundles, actors } => {
                let payers = self.random.distinct(bundles, 0..actors as u32);
                payers.into_iter().map(|payer| self.bundle(payer as usize, actors)).collect()
            }
        }
    }

    /// A payer and another account as payee.
    fn pair(&mut self, actors: usize) -> (usize, usize) {
        let payer = self.random.below(actors);
        (payer, (payer + 1 + self.random.below(actors - 1)) % actors)
    }

    fn bundle(&mut self, payer: usize, actors: usize) -> Transaction {
        let payees: Vec<usize> = (0..256).map(|_| (payer + 1 + self.random.below(actors - 1)) % actors).collect();
        self.transaction(payer, &payees)
    }

    fn transaction(&mut self, payer: usize, payees: &[usize]) -> Transaction {
        let actions = payees.iter().map(|payee| {
            let units = 1 + self.random.below(AMOUNT_MAX) as u64;
            let amount = Amount::new(units).expect("far below the largest amount");
            Action::Transfer { to: self.actors[*payee].address, asset: AssetId::GCC, amount }
        });
        let actions = actions.collect();
        let actor = &mut self.actors[payer];
        let mut body = TransactionBody {
            chain_id: self.plane.chain_id(),
            plane_id: self.plane.plane_id(),
            sender: actor.address,
            nonce: Nonce { lane: Nonce::LANE_ROOT, seq: actor.seq },
            valid_after: 0,
            valid_until: self.state.time + 60_000,
            gas_limit: 0,
            gas_price_max: self.plane.genesis().gas_price,
            pay: Pay::Gcc,
            key_ref: KeyRef::Registered(0),
            actions,
            memo: Vec::new(),
        };
        actor.seq += 1;
        let intrinsic =
            gas::intrinsic(Scheme::Ed25519, body.to_bytes().len() + Transaction::CONSENT_BYTES, body.actions.len());
        body.gas_limit = intrinsic + self.more_gas;
        let auth = actor.key.sign(Domain::TransactionAuth, body.chain_id, &body.id());
        Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
    }

    /// Goes back to before the transactions that were made and executed nowhere else.
    pub(super) fn forget(&mut self) {
        self.actors.iter_mut().for_each(|actor| actor.seq = 1);
    }

    /// Checks transactions, all of which are good.
    pub(super) fn verified(&self, transactions: Vec<Transaction>) -> anyhow::Result<Vec<Verified>> {
        let checked = verify_all(&self.plane, &self.keystone, &Serial, transactions)?;
        Ok(checked.into_iter().collect::<Result<_, _>>()?)
    }

    /// The posted form of a batch of these on the current state.
    pub(super) fn posted(&self, transactions: Vec<Transaction>) -> anyhow::Result<Vec<u8>> {
        let batch = posted::PostedBatch { time: self.next_time(), inbox: 0, transactions };
        Ok(posted::encode(&self.plane, &self.keystone, &self.state, &batch)?)
    }

    /// A batch of these on the current state.
    pub(super) fn proposed(&self, verified: Vec<Verified>, posted_bytes: usize) -> anyhow::Result<ProposedBatch> {
        Ok(ProposedBatch::new(self.state, 0, self.next_time(), Vec::new(), verified, posted_bytes)?)
    }
}

impl Actor {
    fn new(chain_id: u64, random: &mut Random) -> Self {
        let key = SigningKey::from_seed(random.bytes());
        let gid = Gid {
            public_key: PublicKey::Ed25519(key.verification_key()),
            chain_id,
            entity_type: EntityType::Wallet,
            version: 0,
        };
        Self { key, address: gid.address(), seq: 1 }
    }
}

/// An account that never acts, with bytes for a key.
fn bystander(slot: u32) -> (Address, VerificationKey) {
    let mut random = Random(u64::from(slot) << 32);
    (Address::from_bytes(random.bytes()), VerificationKey::from_bytes(random.bytes()))
}

fn account_slot(address: &Address) -> Slot {
    let balance = Amount::new(BALANCE).expect("far below the largest amount");
    Slot { kind: SlotKind::Account, owner: address.owner_digest(), asset: AssetId::GCC, balance }
}

/// The record of a registered account that has acted once and holds one asset.
fn record(address: Address, key: VerificationKey, slot: u32) -> AccountRecord {
    let keys = [PublicKey::Ed25519(key)].into_iter().collect();
    let mut record = AccountRecord::new(address);
    record.identity = Some(Identity { entity_type: EntityType::Wallet, version: 0, keys });
    record.lanes.push(Lane { lane: Nonce::LANE_ROOT, next: 1 });
    record.insert_slot(AssetId::GCC, SlotIndex::new(slot).expect("a slot of the plane"));
    record
}

/// The slots of a plane without actors, by index from 1.
pub(super) fn bystander_slots() -> impl ExactSizeIterator<Item = Slot> {
    (1..SLOTS).map(|slot| account_slot(&bystander(slot).0))
}

/// The account records that go with [`bystander_slots`], in the same order.
pub(super) fn bystander_objects() -> impl ExactSizeIterator<Item = (ObjectKey, Option<Vec<u8>>)> {
    (1..SLOTS).map(bystander_object)
}

/// The record of the bystander with that slot, and its key.
pub(super) fn bystander_object(slot: u32) -> (ObjectKey, Option<Vec<u8>>) {
    let (address, key) = bystander(slot);
    (ObjectKey::account(&address), Some(record(address, key, slot).to_bytes()))
}
