//! Who plays in the demo: names with keys, what they sign, and a model of what they ought to have.

use crate::local::Operator;
use crate::payments::{Payment, Payments};
use anyhow::{Context as _, ensure};
use ghostplane_engine::Plane;
use ghostplane_ghostcipher::{Digest, Domain, SigningKey, digest};
use ghostplane_keystone::Keystone;
use ghostplane_types::genesis::SYSTEM_STORAGE;
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, AssetId, Decode, Encode, EntityType, Gid, KeyRef, L1Address, Money, Nonce,
    ObjectKey, Outcome, Pay, PublicKey, Roots, Transaction, TransactionBody,
};
use std::collections::{BTreeMap, BTreeSet};

/// Who the operator steals for.
pub const THIEF: &str = "mallory";
/// Accounts that withdraw at the end.
const LEAVING_MAX: usize = 64;
/// A limit that covers a payment to a new account.
const GAS_LIMIT: u64 = 10_000;
/// How long a signed payment may wait.
const VALID_MS: u64 = 3_600_000;

/// The key that belongs to a name in the demo. Anybody can compute it: it is worth nothing elsewhere.
pub fn signing_key(name: &str) -> SigningKey {
    SigningKey::from_seed(digest::hash(Domain::Test, 0, &[b"demo key", name.as_bytes()]).0)
}

/// The identity that belongs to a name in the demo.
pub fn gid(name: &str) -> Gid {
    gid_of(&signing_key(name))
}

fn gid_of(key: &SigningKey) -> Gid {
    Gid {
        public_key: PublicKey::Ed25519(key.verification_key()),
        chain_id: ghostplane_types::genesis::CHAIN_DEV,
        entity_type: EntityType::Wallet,
        version: 0,
    }
}

/// The L1 account that belongs to a name in the demo.
pub fn l1_address(name: &str) -> L1Address {
    L1Address(digest::hash(Domain::Test, 0, &[b"demo account on the L1", name.as_bytes()]).0)
}

/// The balance under `roots`, by proof alone; `None` if a proof does not hold.
pub fn proved_balance(keystone: &Keystone, roots: &Roots, address: &Address, asset: AssetId) -> Option<Amount> {
    let proven = keystone.prove_object(&ObjectKey::account(address)).verify(roots).ok()?;
    let Some((_, value)) = proven.object() else { return Some(Amount::ZERO) };
    let record = AccountRecord::from_bytes(value).ok().filter(|record| record.address == *address)?;
    let Some(index) = record.slot_of(asset) else { return Some(Amount::ZERO) };
    let proven = keystone.prove_slot(index).verify(roots).ok()?;
    let slot = proven.slot().filter(|slot| slot.asset == asset && slot.owner == address.owner_digest())?;
    Some(slot.balance)
}

/// One deposit to be made.
pub struct Deposit {
    pub from: L1Address,
    pub to: Address,
    pub money: Money,
}

/// Everybody who plays.
pub struct Cast {
    plane_id: Digest,
    chain_id: u64,
    people: BTreeMap<String, Person>,
    names: BTreeMap<Address, String>,
    on_l1: BTreeMap<(L1Address, AssetId), u128>,
    /// What everybody ought to have.
    pub model: Model,
}

struct Person {
    key: SigningKey,
    gid: Gid,
    next_seq: u64,
}

impl Cast {
    /// Everybody whom the payments name, and the thief.
    pub fn new(plane: &Plane, payments: &Payments) -> Self {
        let rows = payments.payments.iter();
        let mut names: BTreeSet<&str> = rows.flat_map(|row| [row.payer.as_str(), row.payee.as_str()]).collect();
        names.insert(THIEF);
        let person = |name: &str| {
            let key = signing_key(name);
            Person { gid: gid_of(&key), key, next_seq: 0 }
        };
        let people: BTreeMap<String, Person> = names.into_iter().map(|name| (name.to_owned(), person(name))).collect();
        let names = people.iter().map(|(name, person)| (person.gid.address(), name.clone())).collect();
        let (plane_id, chain_id) = (plane.plane_id(), plane.chain_id());
        Self { plane_id, chain_id, people, names, on_l1: BTreeMap::new(), model: Model::new(plane) }
    }

    /// How many play.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// What every payer deposits: the sum of their payments, and an allowance for fees and storage.
    pub fn deposits(&mut self, payments: &Payments) -> Vec<Deposit> {
        let mut sums: BTreeMap<(&str, AssetId), u64> = BTreeMap::new();
        *sums.entry((THIEF, AssetId::GCC)).or_default() += 1_000_000_000;
        for row in &payments.payments {
            *sums.entry((&row.payer, row.money.asset)).or_default() += row.money.amount.units().max(10_000_000);
            *sums.entry((&row.payer, AssetId::GCC)).or_default() += 10_000_000;
        }
        let deposit = |((name, asset), units): ((&str, AssetId), u64)| Deposit {
            from: l1_address(name),
            to: self.people[name].gid.address(),
            money: Money { amount: Amount::new(units).expect("payment files hold less than the supply"), asset },
        };
        let deposits: Vec<Deposit> = sums.into_iter().map(deposit).collect();
        for deposit in &deposits {
            self.model.credit(deposit.to, deposit.money.asset, deposit.money.amount);
        }
        deposits
    }

    /// The body of a payment, next in its payer's lane.
    pub fn payment(&mut self, payment: &Payment, time: u64) -> anyhow::Result<TransactionBody> {
        let to = self.people.get(&payment.payee).context("the payee is not in the cast")?.gid.address();
        let Money { amount, asset } = payment.money;
        let memo = payment.reference.as_bytes().to_vec();
        self.body(&payment.payer, Action::Transfer { to, asset, amount }, memo, time)
    }

    /// The body of a withdrawal to the name's own account on the L1.
    pub fn withdrawal(&mut self, name: &str, money: Money, time: u64) -> anyhow::Result<TransactionBody> {
        let action = Action::Withdraw { to: l1_address(name), asset: money.asset, amount: money.amount };
        self.body(name, action, Vec::new(), time)
    }

    /// Forgets the newest body of its sender: it never happened.
    pub fn take_back(&mut self, body: &TransactionBody) {
        if let Some(person) = self.names.get(&body.sender).and_then(|name| self.people.get_mut(name)) {
            person.next_seq = body.nonce.seq;
        }
    }

    /// Signs a body with its sender's key.
    pub fn sign(&self, body: &TransactionBody) -> Transaction {
        let key = &self.people[&self.names[&body.sender]].key;
        let auth = key.sign(Domain::TransactionAuth, body.chain_id, &body.id());
        Transaction { body: body.clone(), auth: auth.into(), approvals: Vec::new(), sponsorship: None }
    }

    /// Who holds the most credits, and half of them.
    pub fn richest(&self, operator: &Operator) -> (String, Amount) {
        let balance = |person: &Person| operator.balance(&person.gid.address(), AssetId::GCC);
        let (name, person) = self.people.iter().max_by_key(|(_, person)| balance(person)).expect("somebody plays");
        (name.clone(), half(balance(person)))
    }

    /// Who withdraws at the end, and what: half of what the richest hold, of each asset.
    pub fn leaving(&self, operator: &Operator) -> Vec<(String, Money)> {
        let mut held: Vec<(Amount, &String, AssetId)> = Vec::new();
        for (name, person) in self.people.iter().filter(|(name, _)| *name != THIEF) {
            for asset in [AssetId::GCC, AssetId::ZMAN] {
                let fees = operator.balance(&person.gid.address(), AssetId::GCC);
                let amount = half(operator.balance(&person.gid.address(), asset));
                if !amount.is_zero() && fees.units() > 4 * GAS_LIMIT {
                    held.push((amount, name, asset));
                }
            }
        }
        held.sort_unstable_by(|left, right| right.cmp(left));
        let leaving = held.into_iter().take(LEAVING_MAX);
        leaving.map(|(amount, name, asset)| (name.clone(), Money { amount, asset })).collect()
    }

    /// Notes what the L1 paid out.
    pub fn paid_on_l1(&mut self, to: L1Address, asset: AssetId, amount: Amount) {
        *self.on_l1.entry((to, asset)).or_default() += u128::from(amount.units());
    }

    /// Whether the L1 paid out exactly what the model says left the plane.
    pub fn check_l1(&self) -> anyhow::Result<()> {
        ensure!(self.on_l1 == self.model.left, "the L1 paid {:?}, the model says {:?}", self.on_l1, self.model.left);
        Ok(())
    }

    fn body(&mut self, name: &str, action: Action, memo: Vec<u8>, time: u64) -> anyhow::Result<TransactionBody> {
        let person = self.people.get_mut(name).context("the sender is not in the cast")?;
        let seq = person.next_seq;
        person.next_seq += 1;
        Ok(TransactionBody {
            chain_id: self.chain_id,
            plane_id: self.plane_id,
            sender: person.gid.address(),
            nonce: Nonce { lane: Nonce::LANE_ROOT, seq },
            valid_after: 0,
            valid_until: time + VALID_MS,
            gas_limit: GAS_LIMIT,
            gas_price_max: 1,
            pay: Pay::Gcc,
            key_ref: if seq == 0 { KeyRef::Carried(person.gid) } else { KeyRef::Registered(0) },
            actions: vec![action],
            memo,
        })
    }
}

fn half(amount: Amount) -> Amount {
    Amount::new(amount.units() / 2).expect("less than an amount")
}

/// Who ought to have what, worked out from what was signed and the published prices, with no help of the engine.
#[derive(Clone, Debug)]
pub struct Model {
    balances: BTreeMap<(Address, AssetId), i128>,
    accounts: BTreeSet<Address>,
    left: BTreeMap<(L1Address, AssetId), u128>,
    operator: Address,
    storage: Address,
    slot_price: i128,
    object_price: i128,
}

impl Model {
    fn new(plane: &Plane) -> Self {
        let genesis = plane.genesis();
        Self {
            balances: BTreeMap::new(),
            accounts: BTreeSet::new(),
            left: BTreeMap::new(),
            operator: genesis.fee_shares[0].address,
            storage: Address::system(genesis.chain_id, SYSTEM_STORAGE),
            slot_price: i128::from(genesis.slot_price.units()),
            object_price: i128::from(genesis.object_price.units()),
        }
    }

    fn credit(&mut self, to: Address, asset: AssetId, amount: Amount) {
        self.accounts.insert(to);
        *self.balances.entry((to, asset)).or_default() += i128::from(amount.units());
    }

    /// Applies what a sender signed, and checks that it cost what the price list says.
    pub fn apply(&mut self, body: &TransactionBody, outcome: &Outcome) -> anyhow::Result<()> {
        // 500 a transaction, 2,000 a signature, 2 a byte, 300 an action, 600 a new slot, 900 a new account; price 1.
        let bytes = body.to_bytes().len() + 65;
        let mut gas = 500 + 2_000 + 2 * i128::try_from(bytes)? + 300 * i128::try_from(body.actions.len())?;
        let (mut slots, mut objects) = (0, 0);
        for action in &body.actions {
            match *action {
                Action::Transfer { to, asset, amount } => {
                    slots += i128::from(!self.balances.contains_key(&(to, asset)));
                    objects += i128::from(!self.accounts.contains(&to));
                    self.credit(to, asset, amount);
                    *self.balances.entry((body.sender, asset)).or_default() -= i128::from(amount.units());
                }
                Action::Withdraw { to, asset, amount } => {
                    *self.balances.entry((body.sender, asset)).or_default() -= i128::from(amount.units());
                    *self.left.entry((to, asset)).or_default() += u128::from(amount.units());
                }
                _ => anyhow::bail!("the books of the demo know nothing of {}", action.kind_name()),
            }
        }
        gas += 600 * slots + 900 * objects;
        let to_operator = gas + slots * self.slot_price;
        let to_storage = objects * self.object_price;
        ensure!(i128::from(outcome.gas) == gas, "used {} gas, the price list says {gas}", outcome.gas);
        ensure!(
            i128::from(outcome.fee) == to_operator + to_storage,
            "cost {}, the price list says {}",
            outcome.fee,
            to_operator + to_storage
        );
        *self.balances.entry((body.sender, AssetId::GCC)).or_default() -= to_operator + to_storage;
        *self.balances.entry((self.operator, AssetId::GCC)).or_default() += to_operator;
        *self.balances.entry((self.storage, AssetId::GCC)).or_default() += to_storage;
        Ok(())
    }

    /// Everybody's balances.
    pub fn balances(&self) -> impl Iterator<Item = (Address, AssetId, Amount)> + '_ {
        self.balances.iter().map(|((address, asset), units)| {
            let units = u64::try_from(*units).expect("the model never overdraws what the engine applied");
            (*address, *asset, Amount::new(units).expect("below the supply"))
        })
    }
}
