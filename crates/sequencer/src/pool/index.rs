//! The pool's orders. Every key ends in the number of arrival, which no two transactions share.

use crate::pool::Slot;
use crate::pool::lane::{Head, Tail};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What goes, wakes, expires and is pushed out next.
#[derive(Debug, Default)]
pub(crate) struct Index {
    ready: BTreeMap<(Reverse<u64>, u64), Slot>,
    asleep: BTreeMap<(u64, u64), Slot>,
    expiry: BTreeMap<(u64, u64), Slot>,
    tails: BTreeMap<(u64, Reverse<u64>), Slot>,
}

impl Index {
    pub(crate) fn best(&self) -> Option<Slot> {
        self.ready.first_key_value().map(|(_, slot)| *slot)
    }

    /// How many heads could go.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The head that wakes first and when.
    pub(crate) fn first_asleep(&self) -> Option<(u64, Slot)> {
        self.asleep.first_key_value().map(|(&(after, _), slot)| (after, *slot))
    }

    /// What expires first and when.
    pub(crate) fn first_expiry(&self) -> Option<(u64, Slot)> {
        self.expiry.first_key_value().map(|(&(until, _), slot)| (until, *slot))
    }

    pub(crate) fn cheapest_tail(&self) -> Option<u64> {
        self.tails.first_key_value().map(|(&(price, _), _)| price)
    }

    /// Ends of lanes, the cheapest first, of those the latest.
    pub(crate) fn tails(&self) -> impl Iterator<Item = (u64, Slot)> {
        self.tails.iter().map(|(&(price, _), slot)| (price, *slot))
    }

    pub(crate) fn insert_expiry(&mut self, valid_until: u64, arrival: u64, slot: Slot) {
        self.expiry.insert((valid_until, arrival), slot);
    }

    pub(crate) fn remove_expiry(&mut self, valid_until: u64, arrival: u64) {
        self.expiry.remove(&(valid_until, arrival));
    }

    pub(crate) fn move_head(&mut self, from: Option<Head>, to: Option<Head>) {
        if from == to {
            return;
        }
        if let Some(Head { is_ready, key, arrival, .. }) = from {
            let was = if is_ready {
                self.ready.remove(&(Reverse(key), arrival))
            } else {
                self.asleep.remove(&(key, arrival))
            };
            debug_assert!(was.is_some(), "a lane knows where its head is");
        }
        if let Some(Head { is_ready, key, arrival, slot }) = to {
            if is_ready {
                self.ready.insert((Reverse(key), arrival), slot);
            } else {
                self.asleep.insert((key, arrival), slot);
            }
        }
    }

    pub(crate) fn move_tail(&mut self, from: Option<Tail>, to: Option<Tail>) {
        if from == to {
            return;
        }
        if let Some((price, arrival, _)) = from {
            self.tails.remove(&(price, Reverse(arrival)));
        }
        if let Some((price, arrival, slot)) = to {
            self.tails.insert((price, Reverse(arrival)), slot);
        }
    }
}
