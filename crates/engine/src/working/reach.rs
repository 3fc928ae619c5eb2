//! What a batch may touch, listed before any of it is read.

use super::AccountId;
use crate::{FixedState, hash_seed};
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::StateView;
use ghostplane_types::{Address, AssetId, ObjectKey};
use hashbrown::HashTable;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};

/// The accounts and slots that a batch may touch, listed before any of them is read.
pub(crate) struct Reach {
    seed: FixedState,
    /// Positions in `addresses`.
    ids: HashTable<AccountId>,
    pub(super) addresses: Vec<Address>,
    /// What to read next.
    pub(super) slots: Vec<(AccountId, AssetId)>,
    /// Assets of the plane's own, likewise.
    pub(super) assets: Vec<AssetId>,
    /// Texts of rules, likewise.
    pub(super) texts: Vec<Digest>,
    /// Credentials, likewise.
    pub(super) credentials: Vec<ObjectKey>,
}

/// How many different things are listed.
pub(crate) struct Reached {
    pub(crate) accounts: usize,
    pub(crate) slots: usize,
    pub(crate) assets: usize,
    pub(crate) texts: usize,
    pub(crate) credentials: usize,
}

impl Reach {
    /// Nothing yet, with room for what so many transactions usually touch.
    pub(crate) fn new(view: &impl StateView, transactions: usize) -> Self {
        Self {
            seed: hash_seed(view),
            ids: HashTable::with_capacity(2 * transactions),
            addresses: Vec::with_capacity(transactions),
            slots: Vec::with_capacity(2 * transactions),
            assets: Vec::new(),
            texts: Vec::new(),
            credentials: Vec::new(),
        }
    }

    /// Adds an account.
    pub(crate) fn account(&mut self, address: &Address) -> AccountId {
        let Self { seed, ids, addresses, .. } = self;
        let hash = |address: &Address| hash_address(seed, address);
        let known = |id: &AccountId| addresses[id.0 as usize] == *address;
        if let Some(id) = ids.find(hash(address), known) {
            return *id;
        }
        let id = AccountId(u32::try_from(addresses.len()).expect("bounded by the batch's actions"));
        addresses.push(*address);
        ids.insert_unique(hash(address), id, |id| hash(&addresses[id.0 as usize]));
        id
    }

    /// The account with an address, if it was listed.
    pub(crate) fn find(&self, address: &Address) -> Option<AccountId> {
        let known = |id: &AccountId| self.addresses[id.0 as usize] == *address;
        self.ids.find(hash_address(&self.seed, address), known).copied()
    }

    /// How many of each.
    pub(crate) fn reached(&self) -> Reached {
        fn different<T: Ord>(listed: &[T]) -> usize {
            listed.iter().collect::<BTreeSet<&T>>().len()
        }
        Reached {
            accounts: self.addresses.len(),
            slots: different(&self.slots),
            assets: different(&self.assets),
            texts: different(&self.texts),
            credentials: different(&self.credentials),
        }
    }

    /// Starts over with these accounts.
    pub(super) fn keep(&mut self, addresses: impl Iterator<Item = Address>) {
        self.ids.clear();
        self.addresses.clear();
        self.slots.clear();
        self.texts.clear();
        addresses.for_each(|address| {
            self.account(&address);
        });
    }

    /// Adds the account's slot of `asset`, should it have one.
    pub(crate) fn slot(&mut self, id: AccountId, asset: AssetId) {
        self.slots.push((id, asset));
        if !asset.is_bridged() {
            self.asset(asset);
        }
    }

    /// Adds the registration of an asset of the plane's own, should it exist.
    pub(crate) fn asset(&mut self, asset: AssetId) {
        self.assets.push(asset);
    }

    /// Adds a text of rules, should it be published.
    pub(crate) fn text(&mut self, digest: Digest) {
        self.texts.push(digest);
    }

    /// Adds a credential, should it exist.
    pub(crate) fn credential(&mut self, key: ObjectKey) {
        self.credentials.push(key);
    }
}

fn hash_address(seed: &FixedState, address: &Address) -> u64 {
    let (words, _) = address.as_bytes().as_chunks();
    let mut hasher = seed.build_hasher();
    words.iter().for_each(|word| hasher.write_u64(u64::from_le_bytes(*word)));
    hasher.finish()
}
