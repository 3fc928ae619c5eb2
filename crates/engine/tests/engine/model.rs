//! A ledger as a few maps, written from the rules and not from the engine: what every batch is compared with.

use crate::random::CROWD;
use crate::story::{Story, address, gid, record_of};
use ghostplane_keystone::StateView;
use ghostplane_types::gas::{GAS_ASSERTION, GAS_SIGNATURE_P256, GAS_SIGNATURE_SECP256K1};
use ghostplane_types::limits::{BATCH_GAS_MAX, VALIDITY_MS_MAX};
use ghostplane_types::{
    Action, Address, AssetId, Encode, Genesis, InboxEntry, InboxPayload, KeyRef, L1Address, Money, Outcome, Scheme,
    Transaction, TransactionBody, Withdrawal,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const AMOUNT_MAX: u128 = (1 << 63) - 1;
const GCC: AssetId = AssetId::GCC;

/// The ledger, and what the batch under way has done to it.
#[derive(Clone)]
pub struct Model {
    terms: Genesis,
    system: [Address; 3],
    /// Registered or not, and the next sequence number of each lane.
    accounts: BTreeMap<Address, (bool, BTreeMap<u8, u64>)>,
    /// An entry is a slot.
    balances: BTreeMap<(Address, AssetId), u128>,
    slots_used: u32,
    objects_used: u32,
    /// What each sender owes when the batch ends: fees and slot prices, and the price of accounts.
    dues: BTreeMap<Address, (u128, u128)>,
    withdrawals: Vec<Withdrawal>,
    outbox_upto: u64,
    /// Whose identity a forced transaction of this batch carried: its key is checked for what follows.
    carried: BTreeSet<Address>,
}

/// What a record of the log must say.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    pub code: u16,
    pub action: u16,
    pub gas: u64,
    pub fee: u128,
    pub withdrawals: u32,
}

impl Model {
    /// The ledger of a story in which nothing has happened.
    pub fn new(story: &Story) -> Self {
        let plane = &story.plane;
        let system = [plane.fees(), plane.storage(), plane.returns()];
        let shares: Vec<Address> = plane.genesis().fee_shares.iter().map(|share| share.address).collect();
        let mut model = Self {
            terms: plane.genesis().clone(),
            system,
            accounts: BTreeMap::new(),
            balances: BTreeMap::new(),
            slots_used: 1,
            objects_used: 1,
            dues: BTreeMap::new(),
            withdrawals: Vec::new(),
            outbox_upto: 0,
            carried: BTreeSet::new(),
        };
        for address in [system[0], system[1]].into_iter().chain(shares) {
            model.make_slot(address, GCC).expect("room");
        }
        for asset in model.terms.assets.clone() {
            model.make_slot(system[2], asset.asset).expect("room");
        }
        model
    }

    pub fn held(&self, owner: Address, asset: AssetId) -> u128 {
        self.balances.get(&(owner, asset)).copied().unwrap_or(0)
    }

    fn knows(&self, asset: AssetId) -> bool {
        self.terms.assets.iter().any(|known| known.asset == asset)
    }

    fn make_slot(&mut self, owner: Address, asset: AssetId) -> Result<(), u16> {
        if self.balances.contains_key(&(owner, asset)) {
            return Ok(());
        }
        let new_account = !self.accounts.contains_key(&owner);
        if (new_account && self.objects_used >= self.terms.objects_max) || self.slots_used >= self.terms.slots_max {
            return Err(208);
        }
        if new_account {
            self.objects_used += 1;
            self.accounts.insert(owner, (false, BTreeMap::new()));
        }
        self.slots_used += 1;
        self.balances.insert((owner, asset), 0);
        Ok(())
    }

    fn credit(&mut self, owner: Address, asset: AssetId, units: u128) -> Result<(), u16> {
        let (fees, storage) = if asset == GCC { self.dues.get(&owner).copied().unwrap_or_default() } else { (0, 0) };
        let sum = self.held(owner, asset) + units;
        if sum + fees + storage > AMOUNT_MAX {
            return Err(201);
        }
        self.balances.insert((owner, asset), sum);
        Ok(())
    }

    fn debit(&mut self, owner: Address, asset: AssetId, units: u128, code: u16) -> Result<(), u16> {
        let rest = self.held(owner, asset).checked_sub(units).ok_or(code)?;
        if let Some(balance) = self.balances.get_mut(&(owner, asset)) {
            *balance = rest;
        }
        Ok(())
    }

    fn withdraw(&mut self, owner: Address, to: L1Address, money: Money) {
        let index = self.outbox_upto + self.withdrawals.len() as u64;
        self.withdrawals.push(Withdrawal { index, owner, to, asset: money.asset, amount: money.amount });
    }

    pub fn inbox_entry(&mut self, entry: &InboxEntry, forced: Option<&Transaction>) -> Expected {
        let nothing = |code, gas| Expected { code, action: Outcome::NO_ACTION, gas, fee: 0, withdrawals: 0 };
        match (&entry.payload, forced) {
            (InboxPayload::Deposit { from, to, asset, amount }, _) => {
                let before = self.clone();
                let units = u128::from(amount.units());
                let done = self.make_slot(*to, *asset).and_then(|()| self.credit(*to, *asset, units));
                let Err(code) = done else { return nothing(0, 2_300) };
                *self = before;
                self.withdraw(*to, *from, Money { amount: *amount, asset: *asset });
                Expected { withdrawals: 1, ..nothing(code, 2_300) }
            }
            (_, Some(transaction)) => match self.forced(transaction, entry.l1_time) {
                Ok(expected) => expected,
                Err(108) if !self.carried.contains(&transaction.body.sender) => nothing(108, 2_500),
                Err(code) => nothing(code, 500 + consent_gas(&transaction.body)),
            },
            (_, None) => nothing(100, 2_500),
        }
    }

    fn forced(&mut self, transaction: &Transaction, time: u64) -> Result<Expected, u16> {
        if matches!(transaction.body.key_ref, KeyRef::Carried(_)) {
            self.carried.insert(transaction.body.sender);
        }
        self.transaction(transaction, time, 255, 0)
    }

    /// Runs a transaction whose signature is good. `Err` is the code of what may not be in a batch.
    pub fn transaction(&mut self, transaction: &Transaction, time: u64, lane: u8, price: u64) -> Result<Expected, u16> {
        let body = &transaction.body;
        let intrinsic =
            500 + consent_gas(body) + 2 * transaction.to_bytes().len() as u64 + 300 * body.actions.len() as u64;
        let account = self.accounts.get(&body.sender).cloned();
        let (registered, mut lanes) = account.clone().unwrap_or_default();
        let next = lanes.get(&body.nonce.lane).copied().unwrap_or(0);
        let carries = matches!(body.key_ref, KeyRef::Carried(_));
        let most = u128::from(body.gas_limit) * u128::from(price);
        let refusals = [
            (body.gas_limit < intrinsic, 116),
            (body.gas_limit > BATCH_GAS_MAX, 117),
            (!registered && !carries, 108),
            (body.nonce.lane != lane, 114),
            (body.nonce.seq < next, 112),
            (body.nonce.seq > next, 113),
            (time < body.valid_after, 109),
            (time > body.valid_until, 110),
            (body.valid_until > time + VALIDITY_MS_MAX, 111),
            (body.gas_price_max < price, 115),
            (account.is_none() || self.held(body.sender, GCC) < most, 118),
        ];
        if let Some((_, code)) = refusals.into_iter().find(|(refused, _)| *refused) {
            return Err(code);
        }
        lanes.insert(lane, next + 1);
        self.accounts.insert(body.sender, (true, lanes));
        self.debit(body.sender, GCC, most, 0).expect("seen above");

        let before = self.clone();
        let (mut gas, mut prices) = (intrinsic, (0, 0));
        let mut refused = None;
        for (action, at) in body.actions.iter().zip(0..) {
            if let Err(code) = self.action(body.sender, action, &mut gas, body.gas_limit, &mut prices) {
                refused = Some((code, at));
                break;
            }
        }
        let withdrawals = u32::try_from(self.withdrawals.len() - before.withdrawals.len()).expect("few");
        let (code, action) = refused.unwrap_or((0, Outcome::NO_ACTION));
        gas = gas.min(body.gas_limit);
        if refused.is_some() {
            (*self, prices) = (before, (0, 0));
        }
        let fee = u128::from(gas) * u128::from(price);
        if let Some(balance) = self.balances.get_mut(&(body.sender, GCC)) {
            *balance += most - fee;
        }
        let due = self.dues.entry(body.sender).or_default();
        *due = (due.0 + fee + prices.0, due.1 + prices.1);
        let withdrawals = if code == 0 { withdrawals } else { 0 };
        Ok(Expected { code, action, gas, fee: fee + prices.0 + prices.1, withdrawals })
    }

    fn action(
        &mut self,
        sender: Address,
        action: &Action,
        gas: &mut u64,
        gas_limit: u64,
        prices: &mut (u128, u128),
    ) -> Result<(), u16> {
        let (asset, amount) = action.moves().expect("this model knows of money alone");
        let units = u128::from(amount.units());
        let refuse = |refused: bool, code: u16| if refused { Err(code) } else { Ok(()) };
        match action {
            Action::Transfer { to, .. } => {
                refuse(*to == sender, 202)?;
                refuse(units == 0, 203)?;
                refuse(!self.knows(asset), 204)?;
                if !self.balances.contains_key(&(*to, asset)) {
                    let new_account = !self.accounts.contains_key(to);
                    *gas += if new_account { 1_500 } else { 600 };
                    refuse(*gas > gas_limit, 207)?;
                    let slot = u128::from(self.terms.slot_price.units());
                    let object = if new_account { u128::from(self.terms.object_price.units()) } else { 0 };
                    self.debit(sender, GCC, slot + object, 206)?;
                    *prices = (prices.0 + slot, prices.1 + object);
                    self.make_slot(*to, asset)?;
                }
                self.debit(sender, asset, units, 200)?;
                self.credit(*to, asset, units)
            }
            Action::Withdraw { to, .. } => {
                refuse(asset.number() >= 1 << 16, 205)?;
                refuse(units == 0, 203)?;
                refuse(!self.knows(asset), 204)?;
                let known = self.terms.asset(asset).expect("just looked up");
                let unit = 10_u128.pow(u32::from(known.decimals.saturating_sub(known.l1_decimals)));
                refuse(units % unit != 0, 210)?;
                self.debit(sender, asset, units, 200)?;
                self.withdraw(sender, *to, Money { amount, asset });
                Ok(())
            }
            _ => unreachable!("it moves money"),
        }
    }

    /// Collects what is owed, shares the fees, and hands out the batch's withdrawals.
    pub fn end_batch(&mut self) -> Vec<Withdrawal> {
        self.carried.clear();
        let [fees, storage, _] = self.system;
        for (due, price) in std::mem::take(&mut self.dues).into_values() {
            *self.balances.get_mut(&(fees, GCC)).expect("founded") += due;
            *self.balances.get_mut(&(storage, GCC)).expect("founded") += price;
        }
        let collected = self.balances.insert((fees, GCC), 0).expect("founded");
        let mut rest = collected;
        for share in self.terms.fee_shares.clone() {
            let part = collected * u128::from(share.basis_points) / 10_000;
            rest -= part;
            *self.balances.get_mut(&(share.address, GCC)).expect("founded") += part;
        }
        let first = self.terms.fee_shares[0].address;
        *self.balances.get_mut(&(first, GCC)).expect("founded") += rest;
        self.outbox_upto += self.withdrawals.len() as u64;
        std::mem::take(&mut self.withdrawals)
    }

    /// All that is held of an asset.
    pub fn supply(&self, asset: AssetId) -> u64 {
        let held = self.balances.iter().filter(|((_, of), _)| *of == asset).map(|(_, units)| *units).sum::<u128>();
        let owed = if asset == GCC { self.dues.values().map(|(fees, storage)| fees + storage).sum() } else { 0 };
        u64::try_from(held + owed).expect("below 2^62")
    }

    /// Whether the account has a key, and what its lane expects next.
    pub fn standing(&self, address: &Address, lane: u8) -> (bool, u64) {
        let known = self.accounts.get(address);
        known.map_or((false, 0), |(registered, lanes)| (*registered, lanes.get(&lane).copied().unwrap_or(0)))
    }

    /// Compares everything with a story between two batches.
    pub fn check(&self, story: &Story) {
        let roots = story.keystone.roots();
        assert_eq!((roots.slots_used, roots.objects_used), (self.slots_used, self.objects_used));
        for (&(owner, asset), &units) in &self.balances {
            assert_eq!(u128::from(story.balance_of(owner, asset)), units, "{owner:?} in {asset}");
        }
        for (address, (registered, lanes)) in &self.accounts {
            let record = record_of(&story.keystone, address).expect("every account has a record");
            assert_eq!(record.identity.is_some(), *registered, "{address:?}");
            assert_eq!(record.lanes.iter().map(|lane| (lane.lane, lane.next)).collect::<BTreeMap<_, _>>(), *lanes);
            assert_eq!(record.slots.len(), self.balances.keys().filter(|(owner, _)| owner == address).count());
        }
    }
}

/// What checking a body's consent costs: the scheme is that of the key it carries, or of its sender's name.
fn consent_gas(body: &TransactionBody) -> u64 {
    static SCHEMES: LazyLock<BTreeMap<Address, Scheme>> = LazyLock::new(|| {
        let scheme = |name: &&str| (address(name), gid(name).public_key.scheme());
        CROWD.iter().map(scheme).collect()
    });
    match SCHEMES.get(&body.sender) {
        Some(Scheme::Secp256k1) => GAS_SIGNATURE_SECP256K1,
        Some(Scheme::P256) => GAS_SIGNATURE_P256,
        Some(Scheme::Passkey) => GAS_ASSERTION,
        _ => 2_000,
    }
}
