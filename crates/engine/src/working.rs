//! The working set of one batch: accounts and slots as they stand after what has been applied so far.

mod credentials;
mod end;
mod mana;
mod reach;
mod rules;

use crate::Plane;
use crate::execute::{ExecuteError, Halt};
use crate::meter::Reads;
use crate::verify::SenderKeys;
use credentials::KnownCredential;
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::{Missing, ObjectRef, SlotChange, StateView};
use ghostplane_types::codec::Decode;
use ghostplane_types::limits::ACCOUNT_SLOTS_MAX;
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, AssetRecord, Credential, Few, Gates, JournalEntry, Mana, ObjectKey,
    PlaneRules, Reject, Roots, Scheduled, Slot, SlotIndex, SlotKind,
};
pub(crate) use reach::{Reach, Reached};
use rules::RuleBook;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// How many accounts are kept that nothing in the batch touches, besides twice those that something does.
const UNCOUNTED_MAX: usize = 16 * 1024;

/// An account of the working set, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AccountId(u32);

/// A slot of the working set, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SlotId(u32);

struct Account<'a> {
    key: ObjectKey,
    record: AccountRecord,
    /// The record before the batch; `None` if the account did not exist.
    before: Option<ObjectRef<'a>>,
    exists: bool,
    changed: bool,
    /// Whether the batch includes something that touches it.
    counted: bool,
    /// Where this account's slots are in the working set.
    slots: Few<(AssetId, SlotId), 1>,
    /// Taken from the balance already, journalled at the end of the batch.
    fees_due: Amount,
    storage_due: Amount,
    /// What the storage account gives back at the end of the batch.
    storage_back: Amount,
    /// How it stood before an action of the batch changed its keys or gates.
    before_change: Option<Box<BeforeChange>>,
}

/// An asset of the plane's own.
struct OwnAsset<'a> {
    key: ObjectKey,
    before: Option<ObjectRef<'a>>,
    now: Option<AssetRecord>,
    /// Its issuer, whose facts rules can ask for, if it was registered before the batch.
    issuer: Option<AccountId>,
    /// The rules that it named before the batch.
    rules: Scheduled,
    /// Whether the batch includes something that touches it.
    counted: bool,
}

/// Who could act for an account before the batch.
pub(crate) struct BeforeChange {
    pub(crate) keys: SenderKeys,
    pub(crate) gates: Option<Box<Gates>>,
}

struct WorkingSlot {
    index: SlotIndex,
    before: Option<Amount>,
    now: Slot,
    /// Whether the batch includes something that touches it.
    counted: bool,
}

/// How to take back what a refused transaction did.
enum Undo {
    Balance { slot: SlotId, was: Amount },
    SlotMade { account: AccountId, asset: AssetId },
    AccountMade { account: AccountId },
    Asset { asset: AssetId, was: Option<AssetRecord> },
    Text(Digest),
    PlaneRules { was: Box<PlaneRules>, is_first: bool },
    Credential { key: ObjectKey, was: Option<Credential> },
    Record { account: AccountId, was: Box<AccountRecord>, is_first: bool },
    Mana { account: AccountId, was: Mana },
}

/// A point that [`Working::rollback`] returns to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    undo: usize,
    journal: usize,
}

/// How a sender stood before a transaction, as far as [`Working::rollback`] does not know.
pub(crate) struct Standing {
    lane: u8,
    next: Option<u64>,
    was_registered: bool,
    balance: Amount,
    fees_due: Amount,
    storage_due: Amount,
    storage_back: Amount,
    gates: Option<Box<Gates>>,
    mana: Option<Box<Mana>>,
}

/// Something that was counted, should it have to be taken back.
enum Counted {
    Account(AccountId),
    Slot(SlotId),
    Asset(AssetId),
    Text(Digest),
    Credential(ObjectKey),
}

/// Where money goes to or comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Account(AccountId),
    Outside,
}

pub(crate) struct Working<'a> {
    plane: &'a Plane,
    /// The batch's time.
    time: u64,
    roots: Roots,
    accounts: Vec<Account<'a>>,
    slots: Vec<WorkingSlot>,
    assets: BTreeMap<AssetId, OwnAsset<'a>>,
    credentials: BTreeMap<ObjectKey, KnownCredential<'a>>,
    slots_made: u32,
    objects_made: u32,
    /// What a witness of the batch has to hold so far.
    reads: Reads,
    /// What was counted last.
    counted: Vec<Counted>,
    /// How many entries [`Working::collect`] will add for senders.
    entries_owed: usize,
    journal: Vec<JournalEntry>,
    undo: Vec<Undo>,
    rules: RuleBook<'a>,
}

impl<'a> Working<'a> {
    /// Nothing read yet.
    pub(crate) fn new(plane: &'a Plane, roots: Roots, time: u64) -> Self {
        Self {
            plane,
            time,
            roots,
            accounts: Vec::new(),
            slots: Vec::new(),
            assets: BTreeMap::new(),
            credentials: BTreeMap::new(),
            slots_made: 0,
            objects_made: 0,
            reads: Reads { slots: 0, objects: 0, value_bytes: 0 },
            counted: Vec::new(),
            entries_owed: 0,
            journal: Vec::new(),
            undo: Vec::new(),
            rules: RuleBook::default(),
        }
    }

    /// Reads everything that was listed since the last time, and what that names, so that applying never waits and never
    /// misses. What is known already is not asked for again.
    pub(crate) fn read(&mut self, view: &'a impl StateView, reach: &mut Reach) -> Result<(), Halt> {
        loop {
            self.read_listed(view, reach)?;
            self.read_texts(view, reach)?;
            // The issuer of an asset, whose record is known by no other name than the asset's.
            if self.accounts.len() == reach.addresses.len() {
                return Ok(());
            }
        }
    }

    /// Reads what was listed, but for texts.
    ///
    /// It asks one kind of question at a time: the answers lie all over memory, and in short loops the processor waits
    /// for many of them at once.
    fn read_listed(&mut self, view: &'a impl StateView, reach: &mut Reach) -> Result<(), Halt> {
        let new = &reach.addresses[self.accounts.len()..];
        let keys: Vec<ObjectKey> = new.iter().map(ObjectKey::account).collect();
        let found = keys.iter().map(|key| view.object(key));
        let found = found.collect::<Result<Vec<Option<ObjectRef<'a>>>, Missing>>()?;
        self.accounts.reserve(new.len());
        let (mut texts, mut has_covenants) = (Vec::new(), false);
        for ((address, key), found) in new.iter().zip(keys).zip(found) {
            let account = Account::read(address, key, found)?;
            if let Some(gates) = &account.record.gates
                && !gates.covenants.is_empty()
            {
                texts.extend(gates.covenants.texts());
                has_covenants = true;
            }
            self.accounts.push(account);
        }
        if has_covenants {
            self.note_rules();
            reach.texts.append(&mut texts);
        }

        let first = self.slots.len();
        let mut places: Vec<(SlotIndex, AssetId)> = Vec::with_capacity(reach.slots.len());
        for (id, asset) in reach.slots.drain(..) {
            let account = &mut self.accounts[id.0 as usize];
            if account.slot_id(asset).is_none()
                && let Some(index) = account.record.slot_of(asset)
            {
                account.slots.push((asset, slot_id(first + places.len())));
                places.push((index, asset));
            }
        }
        let slots =
            places.iter().map(|(index, _)| view.slot(*index)).collect::<Result<Vec<Option<Slot>>, Missing>>()?;
        self.slots.reserve(slots.len());
        for ((index, asset), slot) in places.into_iter().zip(slots) {
            self.slots.push(WorkingSlot::read(index, asset, slot)?);
        }
        for asset in std::mem::take(&mut reach.assets) {
            if let Entry::Vacant(vacant) = self.assets.entry(asset) {
                let key = ObjectKey::asset(asset);
                let before = view.object(&key)?;
                let now = before.map(|object| AssetRecord::from_bytes(object.value)).transpose();
                let now =
                    now.map_err(|_| ExecuteError::Inconsistent("the registration of an asset does not decode"))?;
                let issuer = now.as_ref().map(|record| reach.account(&record.issuer));
                let rules = now.as_ref().map_or_else(Scheduled::default, |record| record.rules);
                rules.texts().for_each(|digest| reach.text(digest));
                vacant.insert(OwnAsset { key, before, now, issuer, rules, counted: false });
            }
        }
        self.read_credentials(view, reach)
    }

    // Counting.

    /// Counts everything that was read as touched by the batch. Nothing has been applied yet.
    pub(crate) fn count_all(&mut self) {
        let sizes = self.accounts.iter().map(Account::reads);
        let sizes = sizes.chain(self.assets.values().map(|asset| object_reads(asset.before)));
        let sizes = sizes.chain(self.credentials.values().map(|credential| object_reads(credential.before)));
        let sum = sizes.fold((0, 0), |sum, reads| (sum.0 + reads.0, sum.1 + reads.1));
        let texts = self.count_all_texts();
        let (objects, value_bytes) = (sum.0 + texts.0, sum.1 + texts.1);
        self.reads = Reads { slots: self.slots.len(), objects, value_bytes };
        self.accounts.iter_mut().for_each(|account| account.counted = true);
        self.slots.iter_mut().for_each(|slot| slot.counted = true);
        self.assets.values_mut().for_each(|asset| asset.counted = true);
        self.credentials.values_mut().for_each(|credential| credential.counted = true);
    }

    /// Everything counted from here on can be taken back by [`Working::uncount`].
    pub(crate) fn mark_count(&mut self) {
        self.counted.clear();
    }

    /// Counts an account as touched, and the rules that it names or named before the batch.
    pub(crate) fn count_account(&mut self, id: AccountId) {
        let account = &mut self.accounts[id.0 as usize];
        if !std::mem::replace(&mut account.counted, true) {
            let (objects, value_bytes) = account.reads();
            self.reads.objects += objects;
            self.reads.value_bytes += value_bytes;
            self.counted.push(Counted::Account(id));
        }
        if self.has_rules() {
            let account = &self.accounts[id.0 as usize];
            let before = account.before_change.as_ref().and_then(|before| before.gates.as_ref());
            let gates = [before, account.record.gates.as_ref()].into_iter().flatten();
            let texts: Vec<Digest> = gates.flat_map(|gates| gates.covenants.texts()).collect();
            texts.into_iter().for_each(|digest| self.count_text(digest));
        }
    }

    /// Counts the account's slot of `asset` as touched, if it has had one since before the batch.
    pub(crate) fn count_slot(&mut self, id: AccountId, asset: AssetId) {
        if !asset.is_bridged() {
            self.count_asset(asset);
        }
        let Some(id) = self.slot_id(id, asset) else { return };
        let slot = &mut self.slots[id.0 as usize];
        if slot.before.is_some() && !std::mem::replace(&mut slot.counted, true) {
            self.reads.slots += 1;
            self.counted.push(Counted::Slot(id));
        }
    }

    /// Counts the registration of an asset of the plane's own as touched.
    pub(crate) fn count_asset(&mut self, asset: AssetId) {
        let own = self.assets.get_mut(&asset).expect("what is counted was read");
        if !std::mem::replace(&mut own.counted, true) {
            let (objects, value_bytes) = object_reads(own.before);
            self.reads.objects += objects;
            self.reads.value_bytes += value_bytes;
            self.counted.push(Counted::Asset(asset));
        }
        let own = &self.assets[&asset];
        let (issuer, now) = (own.issuer, own.now.as_ref().map(|record| record.rules));
        let texts: Vec<Digest> = own.rules.texts().chain(now.iter().flat_map(Scheduled::texts)).collect();
        texts.into_iter().for_each(|digest| self.count_text(digest));
        if let Some(issuer) = issuer {
            self.count_account(issuer);
        }
    }

    /// Takes back what was counted since [`Working::mark_count`].
    pub(crate) fn uncount(&mut self) {
        for counted in std::mem::take(&mut self.counted) {
            match counted {
                Counted::Account(id) => {
                    let account = &mut self.accounts[id.0 as usize];
                    let (objects, value_bytes) = account.reads();
                    account.counted = false;
                    self.reads.objects -= objects;
                    self.reads.value_bytes -= value_bytes;
                }
                Counted::Slot(id) => {
                    self.slots[id.0 as usize].counted = false;
                    self.reads.slots -= 1;
                }
                Counted::Asset(asset) => {
                    let own = self.assets.get_mut(&asset).expect("what was counted was read");
                    let (objects, value_bytes) = object_reads(own.before);
                    own.counted = false;
                    self.reads.objects -= objects;
                    self.reads.value_bytes -= value_bytes;
                }
                Counted::Text(digest) => self.uncount_text(digest),
                Counted::Credential(key) => self.uncount_credential(&key),
            }
        }
    }

    /// Forgets what was read for things that are not in the batch, once that is most of what was read. Ids change:
    /// those of `system` are brought up to date, and nobody may keep others.
    pub(crate) fn forget_uncounted(&mut self, reach: &mut Reach, system: &mut SystemIds) {
        let known = self.accounts.len() + self.assets.len() + self.credentials.len() + self.texts();
        if known <= 2 * self.reads.objects + UNCOUNTED_MAX {
            return;
        }
        self.forget_uncounted_texts();
        self.credentials.retain(|_, credential| credential.counted);
        self.assets.retain(|_, asset| asset.counted);
        let mut slot_at = Vec::with_capacity(self.slots.len());
        let mut kept = 0;
        for slot in &self.slots {
            let keep = slot.counted || slot.before.is_none();
            slot_at.push(keep.then(|| slot_id(kept)));
            kept += usize::from(keep);
        }
        self.slots.retain(|slot| slot.counted || slot.before.is_none());

        let mut account_at = Vec::with_capacity(self.accounts.len());
        let mut kept = 0;
        for account in &self.accounts {
            account_at.push(AccountId(kept));
            kept += u32::from(account.counted);
        }
        self.accounts.retain(|account| account.counted);
        for account in &mut self.accounts {
            let slots = account.slots.iter();
            account.slots = slots.filter_map(|(asset, slot)| Some((*asset, slot_at[slot.0 as usize]?))).collect();
        }
        let SystemIds { fees, storage, returns, shares } = system;
        for id in [fees, storage, returns].into_iter().chain(shares) {
            *id = account_at[id.0 as usize];
        }
        for asset in self.assets.values_mut() {
            // Who counts an asset counts its issuer.
            asset.issuer = asset.issuer.map(|id| account_at[id.0 as usize]);
        }
        reach.keep(self.accounts.iter().map(|account| account.record.address));
        self.counted.clear();
        self.undo.clear();
    }

    /// The most bytes a witness of what was counted can take.
    pub(crate) fn witness_bytes_max(&self) -> usize {
        self.reads.witness_bytes_max(&self.roots)
    }

    // Reading.

    pub(crate) fn record(&self, id: AccountId) -> &AccountRecord {
        &self.accounts[id.0 as usize].record
    }

    /// Who could act for the account before the batch, should an action of it have changed that.
    pub(crate) fn before_change(&self, id: AccountId) -> Option<&BeforeChange> {
        self.accounts[id.0 as usize].before_change.as_deref()
    }

    /// Changes who may act for an account, as part of what [`Working::rollback`] takes back.
    pub(crate) fn change_record<T>(
        &mut self,
        id: AccountId,
        change: impl FnOnce(&mut AccountRecord) -> Result<T, Reject>,
    ) -> Result<T, Reject> {
        let account = &mut self.accounts[id.0 as usize];
        account.changed = true;
        let is_first = account.before_change.is_none();
        if is_first {
            let (keys, gates) = (SenderKeys::of(&account.record), account.record.gates.clone());
            account.before_change = Some(Box::new(BeforeChange { keys, gates }));
        }
        self.undo.push(Undo::Record { account: id, was: Box::new(account.record.clone()), is_first });
        change(&mut account.record)
    }

    /// The record, for a change that is never rolled back: nonces, registration, and what counts towards limits.
    pub(crate) fn record_mut(&mut self, id: AccountId) -> &mut AccountRecord {
        let account = &mut self.accounts[id.0 as usize];
        account.changed = true;
        &mut account.record
    }

    pub(crate) fn exists(&self, id: AccountId) -> bool {
        self.accounts[id.0 as usize].exists
    }

    pub(crate) fn has_slot(&self, id: AccountId, asset: AssetId) -> bool {
        self.slot_id(id, asset).is_some()
    }

    /// What the account can spend: its balance less what the batch's end will take.
    pub(crate) fn balance(&self, id: AccountId, asset: AssetId) -> Amount {
        self.slot_id(id, asset).map_or(Amount::ZERO, |slot| self.slots[slot.0 as usize].now.balance)
    }

    pub(crate) fn entries(&self) -> usize {
        self.journal.len()
    }

    /// How many entries [`Working::collect`] will add for senders.
    pub(crate) fn entries_owed(&self) -> usize {
        self.entries_owed
    }

    /// The number by which the state before the batch knows the account.
    pub(crate) fn number(&self, id: AccountId) -> Option<u32> {
        self.accounts[id.0 as usize].before.map(|before| before.index.index())
    }

    fn slot_id(&self, id: AccountId, asset: AssetId) -> Option<SlotId> {
        self.accounts[id.0 as usize].slot_id(asset)
    }

    // Applying.

    pub(crate) fn mark(&mut self) -> Mark {
        self.undo.clear();
        Mark { undo: 0, journal: self.journal.len() }
    }

    /// Takes back everything since `mark` but records changed by [`Working::record_mut`] and dues.
    pub(crate) fn rollback(&mut self, mark: Mark) {
        self.journal.truncate(mark.journal);
        while self.undo.len() > mark.undo {
            match self.undo.pop().expect("longer than the mark") {
                Undo::Balance { slot, was } => self.slots[slot.0 as usize].now.balance = was,
                Undo::SlotMade { account, asset } => {
                    let account = &mut self.accounts[account.0 as usize];
                    account.slots.retain(|(known, _)| *known != asset);
                    account.record.slots.retain(|of| of.asset != asset);
                    self.slots.pop();
                    self.slots_made -= 1;
                }
                Undo::AccountMade { account } => {
                    self.accounts[account.0 as usize].exists = false;
                    self.objects_made -= 1;
                }
                Undo::Asset { asset, was } => {
                    self.objects_made -= u32::from(was.is_none());
                    self.assets.get_mut(&asset).expect("it was changed").now = was;
                }
                Undo::Text(digest) => self.unpublish(digest),
                Undo::PlaneRules { was, is_first } => self.unset_plane_rules(*was, is_first),
                Undo::Mana { account, was } => self.accounts[account.0 as usize].record.set_mana(was),
                Undo::Credential { key, was } => {
                    self.put_credential(&key, was);
                }
                Undo::Record { account, was, is_first } => {
                    let account = &mut self.accounts[account.0 as usize];
                    account.record = *was;
                    if is_first {
                        account.before_change = None;
                    }
                }
            }
        }
    }

    /// Moves `amount` and journals it, making the receiver's account and slot if need be.
    ///
    /// A refusal may leave the account or slot made; the caller rolls back.
    pub(crate) fn transfer(&mut self, from: Side, to: Side, asset: AssetId, amount: Amount) -> Result<(), Reject> {
        let to_slot = match to {
            Side::Account(id) => Some(self.make_slot(id, asset)?),
            Side::Outside => None,
        };
        let from_slot = match from {
            Side::Account(id) => {
                let overdrawn =
                    || Reject::Overdrawn { balance: self.balance(id, asset).units(), needed: amount.units() };
                Some(self.slot_id(id, asset).ok_or_else(overdrawn)?)
            }
            Side::Outside => None,
        };
        if let Some(slot) = from_slot {
            let balance = self.slots[slot.0 as usize].now.balance;
            let rest = balance.checked_sub(amount);
            let rest = rest.ok_or(Reject::Overdrawn { balance: balance.units(), needed: amount.units() })?;
            self.set_balance(slot, rest);
        }
        if let (Some(slot), Side::Account(id)) = (to_slot, to) {
            let balance = self.slots[slot.0 as usize].now.balance;
            let due = self.due(id, asset);
            let sum = balance.checked_add(amount).filter(|sum| sum.checked_add(due).is_some());
            let sum = sum.ok_or(Reject::BalanceOverflow { balance: balance.units(), amount: amount.units() })?;
            self.set_balance(slot, sum);
        }
        if asset == AssetId::ZMAN {
            self.carry_mana(from, to, amount);
        }
        let index = |slot: Option<SlotId>| slot.map_or(SlotIndex::OUTSIDE, |slot| self.slots[slot.0 as usize].index);
        debug_assert!(from_slot != to_slot && !amount.is_zero(), "checked before");
        self.journal.push(JournalEntry { from: index(from_slot), to: index(to_slot), amount });
        Ok(())
    }

    /// Takes `amount` of GCC out of reach as part of what [`Working::rollback`] takes back.
    pub(crate) fn charge(&mut self, id: AccountId, amount: Amount) -> Result<(), Reject> {
        let balance = self.balance(id, AssetId::GCC);
        let unpayable = Reject::StorageUnpayable { balance: balance.units(), needed: amount.units() };
        match (self.slot_id(id, AssetId::GCC), balance.checked_sub(amount)) {
            (Some(slot), Some(rest)) => {
                self.set_balance(slot, rest);
                Ok(())
            }
            (None, Some(_)) => Ok(()),
            (_, None) => Err(unpayable),
        }
    }

    /// Takes `amount` of GCC out of reach until the batch ends. The caller has seen that it is there.
    pub(crate) fn reserve(&mut self, id: AccountId, amount: Amount) {
        let slot = self.slot_id(id, AssetId::GCC);
        if let Some(slot) = slot {
            let balance = self.slots[slot.0 as usize].now.balance;
            self.slots[slot.0 as usize].now.balance =
                balance.checked_sub(amount).expect("the caller has seen the balance");
        } else {
            assert!(amount.is_zero(), "the caller has seen the balance");
        }
    }

    /// Gives back what [`Working::reserve`] took and was not needed.
    pub(crate) fn release(&mut self, id: AccountId, amount: Amount) {
        if let Some(slot) = self.slot_id(id, AssetId::GCC) {
            let balance = self.slots[slot.0 as usize].now.balance;
            self.slots[slot.0 as usize].now.balance = balance.checked_add(amount).expect("it was there before");
        }
    }

    /// Notes what of a reserved amount the batch's end collects.
    pub(crate) fn owe(&mut self, id: AccountId, fees: Amount, storage: Amount, back: Amount) {
        let account = &mut self.accounts[id.0 as usize];
        let owed = account.entries_owed();
        account.fees_due = account.fees_due.checked_add(fees).expect("a part of a balance");
        account.storage_due = account.storage_due.checked_add(storage).expect("a part of a balance");
        // More than the storage account holds is found out when it is given back.
        account.storage_back = account.storage_back.checked_add(back).unwrap_or(Amount::MAX);
        self.entries_owed += account.entries_owed() - owed;
    }

    /// Gives back some of the fees that an account owes.
    pub(crate) fn forgive(&mut self, id: AccountId, fees: Amount) {
        let account = &mut self.accounts[id.0 as usize];
        let owed = account.entries_owed();
        account.fees_due = account.fees_due.checked_sub(fees).expect("a part of what it owes");
        self.entries_owed -= owed - account.entries_owed();
        self.release(id, fees);
    }

    /// How a sender stands before a transaction in `lane`.
    pub(crate) fn standing(&self, id: AccountId, lane: u8) -> Standing {
        let account = &self.accounts[id.0 as usize];
        Standing {
            lane,
            next: account.record.lanes.iter().find(|known| known.lane == lane).map(|known| known.next),
            was_registered: account.record.identity.is_some(),
            balance: self.balance(id, AssetId::GCC),
            fees_due: account.fees_due,
            storage_due: account.storage_due,
            storage_back: account.storage_back,
            gates: account.record.gates.clone(),
            mana: account.record.mana.clone(),
        }
    }

    /// Takes back what a transaction did to its sender, after [`Working::rollback`].
    pub(crate) fn restore(&mut self, id: AccountId, standing: Standing) {
        if let Some(slot) = self.slot_id(id, AssetId::GCC) {
            self.slots[slot.0 as usize].now.balance = standing.balance;
        }
        let account = &mut self.accounts[id.0 as usize];
        match standing.next {
            Some(next) => {
                account
                    .record
                    .lanes
                    .iter_mut()
                    .filter(|known| known.lane == standing.lane)
                    .for_each(|known| known.next = next);
            }
            None => account.record.lanes.retain(|known| known.lane != standing.lane),
        }
        if !standing.was_registered {
            account.record.identity = None;
        }
        account.record.gates = standing.gates;
        account.record.mana = standing.mana;
        self.entries_owed -= account.entries_owed();
        (account.fees_due, account.storage_due) = (standing.fees_due, standing.storage_due);
        account.storage_back = standing.storage_back;
        self.entries_owed += account.entries_owed();
    }

    /// What the batch's end takes from the account, out of reach already and still in its slot by the journal, or gives it.
    fn due(&self, id: AccountId, asset: AssetId) -> Amount {
        let account = &self.accounts[id.0 as usize];
        match asset {
            // A state that no rule could have made may hold more than there is: nothing is credited on top of it.
            AssetId::GCC => {
                let due = account.fees_due.checked_add(account.storage_due);
                due.and_then(|due| due.checked_add(account.storage_back)).unwrap_or(Amount::MAX)
            }
            _ => Amount::ZERO,
        }
    }

    fn set_balance(&mut self, slot: SlotId, balance: Amount) {
        let was = std::mem::replace(&mut self.slots[slot.0 as usize].now.balance, balance);
        self.undo.push(Undo::Balance { slot, was });
    }

    /// Makes an account that does not exist.
    pub(crate) fn make_account(&mut self, id: AccountId) -> Result<(), Reject> {
        self.check_objects()?;
        let account = &mut self.accounts[id.0 as usize];
        (account.exists, account.changed) = (true, true);
        self.objects_made += 1;
        self.undo.push(Undo::AccountMade { account: id });
        Ok(())
    }

    /// Whether there is room for another object.
    fn check_objects(&self) -> Result<(), Reject> {
        let is_full = self.roots.objects_used + self.objects_made >= self.plane.genesis().objects_max;
        if is_full { Err(Reject::StateFull) } else { Ok(()) }
    }

    /// The registration of an asset of the plane's own, if there is one.
    pub(crate) fn asset(&self, asset: AssetId) -> Option<&AssetRecord> {
        self.assets.get(&asset).and_then(|own| own.now.as_ref())
    }

    /// Registers an asset, or changes its registration. It was listed before.
    pub(crate) fn set_asset(&mut self, asset: AssetId, record: AssetRecord) -> Result<(), Reject> {
        let is_new = self.asset(asset).is_none();
        if is_new {
            self.check_objects()?;
            self.objects_made += 1;
        }
        let own = self.assets.get_mut(&asset).expect("it was listed before");
        let was = own.now.replace(record);
        self.undo.push(Undo::Asset { asset, was });
        Ok(())
    }

    fn make_slot(&mut self, id: AccountId, asset: AssetId) -> Result<SlotId, Reject> {
        if let Some(slot) = self.slot_id(id, asset) {
            return Ok(slot);
        }
        let genesis = self.plane.genesis();
        if !self.exists(id) {
            self.make_account(id)?;
        }
        let index = self.roots.slots_used + self.slots_made;
        if index >= genesis.slots_max {
            return Err(Reject::StateFull);
        }
        let index = SlotIndex::new(index).expect("slots_max is within the tree");
        let account = &mut self.accounts[id.0 as usize];
        if account.record.slots.len() >= ACCOUNT_SLOTS_MAX {
            return Err(Reject::DirectoryFull { limit: ACCOUNT_SLOTS_MAX });
        }
        let slot = slot_id(self.slots.len());
        account.record.insert_slot(asset, index);
        account.slots.push((asset, slot));
        account.changed = true;
        let owner = account.record.address.owner_digest();
        let now = Slot { kind: SlotKind::Account, owner, asset, balance: Amount::ZERO };
        self.slots.push(WorkingSlot { index, before: None, now, counted: false });
        self.slots_made += 1;
        self.undo.push(Undo::SlotMade { account: id, asset });
        Ok(slot)
    }
}

impl<'a> Account<'a> {
    fn read(address: &Address, key: ObjectKey, before: Option<ObjectRef<'a>>) -> Result<Self, ExecuteError> {
        let record = match before {
            Some(object) => AccountRecord::from_bytes(object.value)
                .map_err(|_| ExecuteError::Inconsistent("an account record does not decode"))?,
            None => AccountRecord::new(*address),
        };
        if record.address != *address {
            return Err(ExecuteError::Inconsistent("an account record is under another account's key"));
        }
        Ok(Self {
            key,
            record,
            exists: before.is_some(),
            before,
            changed: false,
            counted: false,
            slots: Few::new(),
            fees_due: Amount::ZERO,
            storage_due: Amount::ZERO,
            storage_back: Amount::ZERO,
            before_change: None,
        })
    }

    /// Objects of a witness that shows it, and the bytes of its value: see [`Reads`].
    fn reads(&self) -> (usize, usize) {
        object_reads(self.before)
    }

    fn entries_owed(&self) -> usize {
        let amounts = [self.fees_due, self.storage_due, self.storage_back];
        amounts.iter().filter(|amount| !amount.is_zero()).count()
    }

    fn slot_id(&self, asset: AssetId) -> Option<SlotId> {
        self.slots.iter().find(|(known, _)| *known == asset).map(|(_, slot)| *slot)
    }
}

impl WorkingSlot {
    fn read(index: SlotIndex, asset: AssetId, slot: Option<Slot>) -> Result<Self, ExecuteError> {
        let now = slot.ok_or(ExecuteError::Inconsistent("a listed slot was never handed out"))?;
        if now.asset != asset || now.kind != SlotKind::Account {
            return Err(ExecuteError::Inconsistent("a listed slot is of another asset or kind"));
        }
        Ok(Self { index, before: Some(now.balance), now, counted: false })
    }

    fn change(&self) -> SlotChange {
        let old = self.before.map(|balance| Slot { balance, ..self.now });
        SlotChange { index: self.index, old, new: self.now }
    }
}

/// Objects of a witness that shows one, and the bytes of its value: see [`Reads`].
fn object_reads(before: Option<ObjectRef<'_>>) -> (usize, usize) {
    before.map_or((2, 0), |before| (1, before.value.len()))
}

fn slot_id(at: usize) -> SlotId {
    SlotId(u32::try_from(at).expect("bounded by the batch's actions"))
}

/// The accounts that every batch may touch.
pub(crate) struct SystemIds {
    pub(crate) fees: AccountId,
    pub(crate) storage: AccountId,
    pub(crate) returns: AccountId,
    pub(crate) shares: Vec<AccountId>,
}
