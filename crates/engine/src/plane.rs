//! A plane's rules: its genesis, checked once, with what follows from it worked out.

use crate::ExecuteError;
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::{Changeset, ObjectChange, SlotChange};
use ghostplane_shroud::covenant::{Cache, PolicySet};
use ghostplane_types::genesis::{SYSTEM_FEES, SYSTEM_RETURNS, SYSTEM_STORAGE};
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, CovenantText, Encode, Genesis, GenesisError, ObjectKey, PlaneState, Roots,
    Slot, SlotIndex, SlotKind,
};
use std::sync::{Arc, Mutex, PoisonError};

/// A genesis that has been checked, and what the rules derive from it.
#[derive(Clone, Debug)]
pub struct Plane {
    genesis: Genesis,
    plane_id: Digest,
    fees: Address,
    storage: Address,
    returns: Address,
    /// Rules that were parsed before. What is in here changes no result, only how soon it is there.
    policy_sets: Arc<Mutex<Cache>>,
}

/// What parsed rules take together in memory, about.
const POLICY_SETS_BYTES_MAX: usize = 64 << 20;

impl Plane {
    /// Checks the terms and derives the plane's id and system accounts.
    pub fn new(genesis: Genesis) -> Result<Self, GenesisError> {
        genesis.check()?;
        let system = |name| Address::system(genesis.chain_id, name);
        let (fees, storage, returns) = (system(SYSTEM_FEES), system(SYSTEM_STORAGE), system(SYSTEM_RETURNS));
        let policy_sets = Arc::new(Mutex::new(Cache::new(POLICY_SETS_BYTES_MAX)));
        Ok(Self { plane_id: genesis.plane_id(), genesis, fees, storage, returns, policy_sets })
    }

    /// The terms.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The plane's id: the digest of its genesis.
    pub fn plane_id(&self) -> Digest {
        self.plane_id
    }

    /// The chain id that every digest and signature of this plane is bound to.
    pub fn chain_id(&self) -> u64 {
        self.genesis.chain_id
    }

    /// The account that collects a batch's fees until its end.
    pub fn fees(&self) -> Address {
        self.fees
    }

    /// The account that holds the price of objects while they exist.
    pub fn storage(&self) -> Address {
        self.storage
    }

    /// The account through which refused deposits return.
    pub fn returns(&self) -> Address {
        self.returns
    }

    /// The smallest amount of `asset` that the L1 can pay, in the plane's base units; 1 unless the L1 counts coarser.
    pub fn l1_unit(&self, asset: AssetId) -> u64 {
        let known = self.genesis.asset(asset);
        known.map_or(1, |known| 10u64.pow(u32::from(known.decimals.saturating_sub(known.l1_decimals))))
    }

    /// The rules in a published text that has this name, if this release understands it.
    pub(crate) fn policy_set(&self, digest: Digest, text: &CovenantText) -> Option<Arc<PolicySet>> {
        let mut known = self.policy_sets.lock().unwrap_or_else(PoisonError::into_inner);
        known.set_at(digest, &text.text, text.schema_version).ok()
    }

    /// What genesis puts into the empty state: system accounts and fee shares, each with its slot, all balances zero.
    ///
    /// Slots are handed out in this order: fees, storage, the shares as listed, then one returns slot for each asset.
    pub fn founding_changes(&self) -> Result<Changeset, ExecuteError> {
        let gcc = |address| (address, AssetId::GCC);
        let shares = self.genesis.fee_shares.iter().map(|share| share.address);
        let returns = self.genesis.assets.iter().map(|known| (self.returns, known.asset));
        let held = [self.fees, self.storage].into_iter().chain(shares).map(gcc).chain(returns);

        let mut slots = Vec::new();
        let mut records: Vec<AccountRecord> = Vec::new();
        for (index, (address, asset)) in (1..).zip(held) {
            let index = SlotIndex::new(index).ok_or(ExecuteError::Inconsistent("genesis has too many accounts"))?;
            let owner = address.owner_digest();
            let new = Slot { kind: SlotKind::Account, owner, asset, balance: Amount::ZERO };
            slots.push(SlotChange { index, old: None, new });
            let at = records.iter().position(|record| record.address == address).unwrap_or_else(|| {
                records.push(AccountRecord::new(address));
                records.len() - 1
            });
            records[at].insert_slot(asset, index);
        }
        let mut objects: Vec<ObjectChange> = records
            .iter()
            .map(|record| ObjectChange {
                key: ObjectKey::account(&record.address),
                old: None,
                new: Some(record.to_bytes().into()),
            })
            .collect();
        objects.sort_unstable_by_key(|change| change.key);
        Changeset::new(slots, objects).map_err(ExecuteError::Changeset)
    }

    /// The state that batch 1 starts from, given the roots after [`Plane::founding_changes`].
    pub fn genesis_state(&self, roots: Roots) -> PlaneState {
        PlaneState { number: 0, time: self.genesis.time, roots, inbox_upto: 0, log_upto: 0, outbox_upto: 0 }
    }
}
