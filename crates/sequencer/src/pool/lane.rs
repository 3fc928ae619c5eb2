//! Senders and their lanes.

use crate::pool::Slot;
use foldhash::fast::FixedState;
use ghostplane_types::{Address, Pay, TransactionBody};
use hashbrown::HashMap;

/// Price, arrival and slot of the last transaction of a lane.
pub(crate) type Tail = (u64, u64, Slot);

/// Where the head of a lane is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Whether its time has come.
    pub(crate) is_ready: bool,
    /// Its price if so, else its `valid_after`.
    pub(crate) key: u64,
    pub(crate) arrival: u64,
    pub(crate) slot: Slot,
}

/// What the pool knows of one lane.
#[derive(Debug)]
pub(crate) struct Lane {
    number: u8,
    /// The number that is handed out next.
    pub(crate) next: u64,
    /// The number that the open batch expects, as far as it has answered.
    pub(crate) executed_next: u64,
    /// What waits, ascending by number.
    waiting: Vec<(u64, Slot)>,
    /// How many are handed out and not answered.
    pub(crate) executing: usize,
    /// One was refused while others of the lane are on their way: nothing is handed out until all have come back.
    pub(crate) settling: bool,
    /// The last batch that included one.
    pub(crate) included_in: Option<u64>,
    pub(crate) head: Option<Head>,
    pub(crate) tail: Option<Tail>,
}

impl Lane {
    fn new(number: u8, next: u64) -> Self {
        Self {
            number,
            next,
            executed_next: next,
            waiting: Vec::new(),
            executing: 0,
            settling: false,
            included_in: None,
            head: None,
            tail: None,
        }
    }

    pub(crate) fn first(&self) -> Option<(u64, Slot)> {
        self.waiting.first().copied()
    }

    pub(crate) fn last(&self) -> Option<(u64, Slot)> {
        self.waiting.last().copied()
    }

    pub(crate) fn waiting_at(&self, seq: u64) -> Option<Slot> {
        let at = self.waiting.binary_search_by_key(&seq, |&(seq, _)| seq).ok()?;
        Some(self.waiting[at].1)
    }

    pub(crate) fn insert(&mut self, seq: u64, slot: Slot) {
        let at = self.waiting.partition_point(|&(other, _)| other < seq);
        debug_assert!(self.waiting.get(at).is_none_or(|&(other, _)| other != seq), "its number is free");
        self.waiting.insert(at, (seq, slot));
    }

    pub(crate) fn remove(&mut self, seq: u64) {
        let at = self.waiting.binary_search_by_key(&seq, |&(seq, _)| seq).expect("it waits");
        self.waiting.remove(at);
    }

    /// What can be handed out, if its time has come.
    pub(crate) fn head_slot(&self) -> Option<Slot> {
        self.first().filter(|&(seq, _)| seq == self.next && !self.settling).map(|(_, slot)| slot)
    }

    /// The open batch is known to expect `next`.
    pub(crate) fn executed(&mut self, next: u64) {
        self.executed_next = next;
        self.next = self.next.max(next);
    }

    /// Number `seq` was handed out and not used.
    pub(crate) fn fall_back(&mut self, seq: u64) {
        self.next = self.next.min(seq);
    }

    /// Whether the state after batch `sealed` says all there is to know.
    fn is_idle(&self, sealed: u64) -> bool {
        self.waiting.is_empty() && self.executing == 0 && self.included_in.is_none_or(|batch| batch <= sealed)
    }
}

/// What a transaction is paid out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purse {
    /// The sender's credits.
    Own,
    /// The mana of the sender, who this is.
    Mana(Address),
    /// The credits of a sponsor, who this is.
    Sponsor(Address),
}

impl Purse {
    pub(crate) fn of(body: &TransactionBody) -> Self {
        match &body.pay {
            Pay::Gcc => Self::Own,
            Pay::Mana => Self::Mana(body.sender),
            Pay::Sponsor(of) => Self::Sponsor(of.sponsor),
        }
    }
}

/// What the pool knows of one sender.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    /// Its transactions in the pool.
    pub(crate) count: usize,
    /// The least that those that wait will cost of its credits.
    pub(crate) fees: u128,
    lanes: Vec<Lane>,
}

/// Senders by address. Looked up only, never gone through, so that no order follows from the hash.
#[derive(Debug)]
pub(crate) struct Senders {
    by_address: HashMap<Address, Sender, FixedState>,
    /// The least that those that wait will take out of purses that are not their sender's credits; mana in gas.
    purses: HashMap<Purse, u128, FixedState>,
}

impl Senders {
    pub(crate) fn new(hash_seed: u64) -> Self {
        let seed = FixedState::with_seed(hash_seed);
        Self { by_address: HashMap::with_hasher(seed.clone()), purses: HashMap::with_hasher(seed) }
    }

    /// The least that those that wait will take out of a purse that is not their sender's credits.
    pub(crate) fn in_purse(&self, purse: &Purse) -> u128 {
        self.purses.get(purse).copied().unwrap_or(0)
    }

    /// One more waits that takes so much out of a purse. Its sender is known.
    pub(crate) fn put(&mut self, sender: Address, purse: Purse, least: u128) {
        match purse {
            Purse::Own => self.get_mut(&sender).expect("its sender is known").fees += least,
            purse => *self.purses.entry(purse).or_default() += least,
        }
    }

    /// One waits no more.
    pub(crate) fn take(&mut self, sender: Address, purse: Purse, least: u128) {
        match purse {
            Purse::Own => self.get_mut(&sender).expect("its sender is known").fees -= least,
            purse => {
                let left = self.in_purse(&purse) - least;
                if left == 0 {
                    self.purses.remove(&purse);
                } else {
                    self.purses.insert(purse, left);
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&Sender> {
        self.by_address.get(address)
    }

    pub(crate) fn get_mut(&mut self, address: &Address) -> Option<&mut Sender> {
        self.by_address.get_mut(address)
    }

    pub(crate) fn get_or_insert(&mut self, address: Address) -> &mut Sender {
        self.by_address.entry(address).or_default()
    }

    pub(crate) fn lane(&self, address: &Address, number: u8) -> Option<&Lane> {
        self.get(address)?.lanes.iter().find(|lane| lane.number == number)
    }

    pub(crate) fn lane_mut(&mut self, address: &Address, number: u8) -> Option<&mut Lane> {
        self.get_mut(address)?.lanes.iter_mut().find(|lane| lane.number == number)
    }

    pub(crate) fn lane_or_insert(&mut self, address: Address, number: u8, next: u64) {
        if self.lane(&address, number).is_none() {
            self.get_or_insert(address).lanes.push(Lane::new(number, next));
        }
    }

    pub(crate) fn forget_if_idle(&mut self, address: &Address, number: u8, sealed: u64) {
        let Some(sender) = self.by_address.get_mut(address) else { return };
        sender.lanes.retain(|lane| lane.number != number || !lane.is_idle(sealed));
        if sender.lanes.is_empty() {
            debug_assert!(sender.count == 0 && sender.fees == 0, "no lane, nothing in the pool");
            self.by_address.remove(address);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.by_address.clear();
        self.purses.clear();
    }
}
