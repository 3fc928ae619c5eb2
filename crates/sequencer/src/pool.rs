//! Transactions that wait for their turn.
//!
//! A lane is released strictly in sequence: only its head, the transaction with the lane's next number, can go. Among the
//! heads whose time has come the highest `gas_price_max` goes first, then the earliest arrival. What is being executed
//! keeps its room until it is answered, so that whatever comes back finds it.
//!
//! | index | order | for |
//! |---|---|---|
//! | ready | price down, arrival | what goes next |
//! | asleep | `valid_after`, arrival | heads to wake |
//! | expiry | `valid_until`, arrival | what to drop |
//! | tails | price, arrival down | what to push out when full |

mod index;
mod lane;

use crate::event::{Standing, Submission, Ticket};
use crate::limits::{EVICTIONS_MAX, Limits};
use crate::refusal::Refusal;
use ghostplane_engine::Verified;
use ghostplane_types::limits::{LANE_AHEAD_MAX, VALIDITY_MS_MAX};
use ghostplane_types::{Address, Encode, Nonce, Pay, Reject, TransactionBody};
use index::Index;
use lane::{Head, Purse, Senders};
use std::collections::VecDeque;
use std::sync::Arc;

/// A transaction's place in the pool. Valid until the transaction is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u32);

/// Answers that the pool gave.
pub type Refused = Vec<(Ticket, Refusal)>;

/// A transaction in the pool.
#[derive(Clone, Debug)]
pub struct Pooled {
    /// By which it is answered.
    pub ticket: Ticket,
    /// The transaction.
    pub verified: Arc<Verified>,
    /// Its length.
    pub bytes: u32,
    arrival: u64,
}

impl Pooled {
    fn body(&self) -> &TransactionBody {
        self.verified.body()
    }

    fn price(&self) -> u64 {
        self.body().gas_price_max
    }
}

/// Transactions that wait, and those being executed.
#[derive(Debug)]
pub struct Pool {
    limits: Limits,
    gas_price: u64,
    time: u64,
    sealed: u64,
    slots: Vec<Option<Pooled>>,
    free: Vec<Slot>,
    arrivals: u64,
    count: usize,
    bytes: usize,
    senders: Senders,
    index: Index,
    /// Lanes by the batch that last included one of theirs; they are remembered until it is sealed.
    included: VecDeque<(u64, Address, u8)>,
    /// Where a transaction is encoded to measure it.
    encoded: Vec<u8>,
}

impl Pool {
    /// An empty pool on the state after batch `sealed`, of `time`.
    pub fn new(limits: Limits, gas_price: u64, hash_seed: u64, sealed: u64, time: u64) -> Self {
        Self {
            limits,
            gas_price,
            time,
            sealed,
            slots: Vec::new(),
            free: Vec::new(),
            arrivals: 0,
            count: 0,
            bytes: 0,
            senders: Senders::new(hash_seed),
            index: Index::default(),
            included: VecDeque::new(),
            encoded: Vec::new(),
        }
    }

    /// How many transactions it holds, those being executed included.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many lanes have a transaction that could go now.
    pub fn ready(&self) -> usize {
        self.index.ready()
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many addresses it remembers.
    pub fn senders(&self) -> usize {
        self.senders.len()
    }

    /// Whether somebody who pays at most `price` would be told that there is no room.
    pub fn is_full_for(&self, price: u64) -> bool {
        self.count >= self.limits.pool_transactions_max && self.index.cheapest_tail().is_none_or(|tail| price <= tail)
    }

    // In.

    /// Takes a transaction or answers it, and answers those that it replaces or pushes out.
    pub fn submit(&mut self, submission: Submission, retry_after_ms: u64, refused: &mut Refused) {
        let ticket = submission.ticket;
        if let Err(why) = self.admit(submission, retry_after_ms, refused) {
            refused.push((ticket, why));
        }
    }

    fn admit(&mut self, submission: Submission, retry_after_ms: u64, refused: &mut Refused) -> Result<(), Refusal> {
        let Submission { ticket, verified, standing } = submission;
        self.check_terms(verified.body())?;
        let (sender, Nonce { lane, seq }) = (verified.body().sender, verified.body().nonce);
        self.catch_up(sender, lane, standing.next, refused);
        let known = self.senders.lane(&sender, lane);
        let (next, executed_next) =
            known.map_or((standing.next, standing.next), |lane| (lane.next, lane.executed_next));
        if seq < next {
            return Err(Reject::NonceUsed { found: seq, next }.into());
        }
        if is_too_far(seq, executed_next) {
            return Err(Reject::NonceGap { found: seq, next: executed_next }.into());
        }
        self.encoded.clear();
        verified.transaction().encode(&mut self.encoded);
        let bytes = u32::try_from(self.encoded.len()).expect("a transaction is bounded");
        let pooled = Pooled { ticket, verified, bytes, arrival: self.arrivals };
        let busy = Refusal::Busy { retry_after_ms };
        let same = self.senders.lane(&sender, lane).and_then(|lane| lane.waiting_at(seq));
        match same {
            Some(slot) => self.replace(slot, pooled, &standing, busy, refused)?,
            None => {
                self.check_fee(&pooled, &standing, 0)?;
                if self.senders.get(&sender).is_some_and(|of| of.count >= self.limits.sender_transactions_max) {
                    return Err(busy);
                }
                self.make_room(&pooled, busy, refused)?;
                self.count += 1;
                self.bytes += pooled.bytes as usize;
                self.senders.get_or_insert(sender).count += 1;
                let slot = self.store(pooled);
                self.senders.lane_or_insert(sender, lane, standing.next);
                self.wait(slot);
            }
        }
        self.arrivals += 1;
        Ok(())
    }

    /// What can be said of a transaction without knowing its lane.
    fn check_terms(&self, body: &TransactionBody) -> Result<(), Reject> {
        if body.gas_price_max < self.gas_price {
            return Err(Reject::GasPriceTooLow { found: body.gas_price_max, needed: self.gas_price });
        }
        // The forced lane is the inbox's, and the last number of a lane is never used.
        if body.nonce.lane == Nonce::LANE_FORCED || body.nonce.seq == u64::MAX {
            return Err(Reject::LaneClosed { lane: body.nonce.lane });
        }
        let time = self.time;
        if body.valid_until < time {
            return Err(Reject::Expired { valid_until: body.valid_until, time });
        }
        let limit = time.saturating_add(VALIDITY_MS_MAX);
        if body.valid_until > limit {
            return Err(Reject::ValidTooLong { valid_until: body.valid_until, limit });
        }
        if body.valid_after > time.saturating_add(self.limits.early_ms_max) {
            return Err(Reject::NotYetValid { valid_after: body.valid_after, time });
        }
        Ok(())
    }

    /// Whether whoever pays can pay the most that this costs, on top of the least that waits for the same purse.
    fn check_fee(&self, pooled: &Pooled, standing: &Standing, but: u64) -> Result<(), Reject> {
        let body = pooled.body();
        let own = |address: &Address| self.senders.get(address).map_or(0, |of| of.fees);
        let waiting = match Purse::of(body) {
            Purse::Own => own(&body.sender),
            purse @ Purse::Mana(_) => self.senders.in_purse(&purse),
            purse @ Purse::Sponsor(sponsor) => self.senders.in_purse(&purse) + own(&sponsor),
        };
        let waiting = waiting - u128::from(but);
        let needed = waiting + u128::from(body.gas_limit) * u128::from(self.gas_price);
        let (balance, saturated) = (standing.balance.units(), u64::try_from(needed).unwrap_or(u64::MAX));
        match &body.pay {
            Pay::Mana => {
                let needed = waiting + u128::from(body.gas_limit);
                let refusal =
                    Reject::ManaShort { found: standing.mana, needed: u64::try_from(needed).unwrap_or(u64::MAX) };
                if needed > u128::from(standing.mana) { Err(refusal) } else { Ok(()) }
            }
            _ if needed <= u128::from(balance) => Ok(()),
            Pay::Gcc => Err(Reject::FeeUnpayable { balance, needed: saturated }),
            Pay::Sponsor(_) => Err(Reject::SponsorUnpayable { balance, needed: saturated }),
        }
    }

    /// The least that a transaction takes out of its purse.
    fn fee_min(&self, pooled: &Pooled) -> u64 {
        let gas = pooled.verified.gas_intrinsic();
        match pooled.body().pay {
            Pay::Mana => gas,
            Pay::Gcc | Pay::Sponsor(_) => gas.saturating_mul(self.gas_price),
        }
    }

    /// Puts a transaction in the place of one with the same number that pays less.
    fn replace(
        &mut self,
        slot: Slot,
        newcomer: Pooled,
        standing: &Standing,
        busy: Refusal,
        refused: &mut Refused,
    ) -> Result<(), Refusal> {
        let old = self.pooled(slot);
        if old.verified.id() == newcomer.verified.id() {
            return Err(Refusal::Known);
        }
        let needed = price_to_replace(old.price());
        if newcomer.price() < needed {
            return Err(Refusal::Underpriced { found: newcomer.price(), needed });
        }
        let is_same_purse = Purse::of(old.body()) == Purse::of(newcomer.body());
        self.check_fee(&newcomer, standing, if is_same_purse { self.fee_min(old) } else { 0 })?;
        if self.bytes - old.bytes as usize + newcomer.bytes as usize > self.limits.pool_bytes_max {
            return Err(busy);
        }
        let by = newcomer.verified.id();
        self.pull(slot);
        self.bytes += newcomer.bytes as usize;
        let old = self.slots[slot.0 as usize].replace(newcomer).expect("it waits");
        self.bytes -= old.bytes as usize;
        refused.push((old.ticket, Refusal::Replaced { by }));
        self.wait(slot);
        Ok(())
    }

    /// Pushes out the cheapest ends of lanes until the newcomer fits; nothing if it does not pay enough for that.
    fn make_room(&mut self, newcomer: &Pooled, busy: Refusal, refused: &mut Refused) -> Result<(), Refusal> {
        let bytes = newcomer.bytes as usize;
        let (mut count_over, mut bytes_over) = (
            (self.count + 1).saturating_sub(self.limits.pool_transactions_max),
            (self.bytes + bytes).saturating_sub(self.limits.pool_bytes_max),
        );
        let mut victims = Vec::new();
        let mut tails = self.index.tails();
        while count_over > 0 || bytes_over > 0 {
            let Some((price, slot)) = tails.next() else { return Err(busy) };
            if price >= newcomer.price() || victims.len() == EVICTIONS_MAX {
                return Err(busy);
            }
            let victim = self.pooled(slot);
            let (ours, theirs) = (newcomer.body(), victim.body());
            let is_before = ours.sender == theirs.sender
                && ours.nonce.lane == theirs.nonce.lane
                && theirs.nonce.seq < ours.nonce.seq;
            // Without the one before it the newcomer could not go.
            if !is_before {
                count_over = count_over.saturating_sub(1);
                bytes_over = bytes_over.saturating_sub(victim.bytes as usize);
                victims.push(slot);
            }
        }
        drop(tails);
        for slot in victims {
            self.refuse_waiting(slot, Refusal::Evicted, refused);
        }
        Ok(())
    }

    // Out.

    /// Moves to a later batch time: drops what has expired and wakes what was too early.
    pub fn advance(&mut self, time: u64, refused: &mut Refused) {
        debug_assert!(self.time <= time, "batch time never decreases");
        self.time = time;
        while let Some((valid_until, slot)) = self.index.first_expiry().filter(|&(until, _)| until < time) {
            self.refuse_waiting(slot, Reject::Expired { valid_until, time }.into(), refused);
        }
        while let Some((_, slot)) = self.index.first_asleep().filter(|&(after, _)| after <= time) {
            let Nonce { lane, .. } = self.pooled(slot).body().nonce;
            let sender = self.pooled(slot).body().sender;
            self.reindex(sender, lane);
        }
    }

    /// The next time at which [`Pool::advance`] has something to do.
    pub fn next_change(&self) -> Option<u64> {
        let expiry = self.index.first_expiry().map(|(until, _)| until.saturating_add(1));
        let asleep = self.index.first_asleep().map(|(after, _)| after);
        expiry.into_iter().chain(asleep).min()
    }

    /// What goes next.
    pub fn best(&self) -> Option<&Pooled> {
        self.index.best().map(|slot| self.pooled(slot))
    }

    /// Hands out what [`Pool::best`] shows. It keeps its room until it is answered.
    pub fn release(&mut self) -> Option<Slot> {
        let slot = self.index.best()?;
        let (sender, nonce) = (self.pooled(slot).body().sender, self.pooled(slot).body().nonce);
        self.pull(slot);
        let lane = self.senders.lane_mut(&sender, nonce.lane).expect("its lane is known");
        lane.next = nonce.seq + 1;
        lane.executing += 1;
        self.reindex(sender, nonce.lane);
        Some(slot)
    }

    /// A transaction in the pool.
    pub fn pooled(&self, slot: Slot) -> &Pooled {
        self.slots[slot.0 as usize].as_ref().expect("a slot is valid until it is answered")
    }

    // Back from execution.

    /// A batch included it.
    pub fn include(&mut self, slot: Slot, batch: u64, refused: &mut Refused) -> Pooled {
        let pooled = self.take(slot);
        let (sender, nonce) = (pooled.body().sender, pooled.body().nonce);
        let lane = self.senders.lane_mut(&sender, nonce.lane).expect("its lane is known");
        lane.executed(nonce.seq + 1);
        if lane.included_in != Some(batch) {
            lane.included_in = Some(batch);
            self.included.push_back((batch, sender, nonce.lane));
        }
        self.answered(sender, nonce.lane, refused);
        pooled
    }

    /// No batch may include it as things stand. What only came too early in its lane waits again.
    pub fn reject(&mut self, slot: Slot, reject: Reject, refused: &mut Refused) {
        let (sender, nonce) = (self.pooled(slot).body().sender, self.pooled(slot).body().nonce);
        let lane = self.senders.lane_mut(&sender, nonce.lane).expect("its lane is known");
        if let Reject::NonceUsed { next, .. } | Reject::NonceGap { next, .. } = reject {
            lane.executed(next);
        }
        lane.fall_back(nonce.seq);
        lane.settling = true;
        match reject {
            Reject::NonceGap { .. } => self.wait_again(slot, refused),
            _ => {
                let ticket = self.take(slot).ticket;
                refused.push((ticket, reject.into()));
            }
        }
        self.answered(sender, nonce.lane, refused);
    }

    /// It was handed out and not tried: it waits again.
    pub fn give_back(&mut self, slot: Slot, refused: &mut Refused) {
        let (sender, nonce) = (self.pooled(slot).body().sender, self.pooled(slot).body().nonce);
        self.senders.lane_mut(&sender, nonce.lane).expect("its lane is known").fall_back(nonce.seq);
        self.wait_again(slot, refused);
        self.answered(sender, nonce.lane, refused);
    }

    /// Refuses what was handed out, for good.
    pub fn drop_executing(&mut self, slot: Slot, why: Refusal, refused: &mut Refused) {
        let pooled = self.take(slot);
        let (sender, nonce) = (pooled.body().sender, pooled.body().nonce);
        let lane = self.senders.lane_mut(&sender, nonce.lane).expect("its lane is known");
        lane.fall_back(nonce.seq);
        lane.settling = true;
        refused.push((pooled.ticket, why));
        self.answered(sender, nonce.lane, refused);
    }

    /// A batch is sealed: from now on the state says what it did to the lanes.
    pub fn seal(&mut self, batch: u64) {
        self.sealed = batch;
        while let Some(&(_, sender, lane)) = self.included.front().filter(|(included, ..)| *included <= batch) {
            self.included.pop_front();
            self.senders.forget_if_idle(&sender, lane, batch);
        }
    }

    /// Refuses everything, in the order of arrival, and goes on with the state after batch `sealed`, of `time`.
    pub fn clear(&mut self, sealed: u64, time: u64, refused: &mut Refused) {
        let mut all: Vec<Pooled> = self.slots.drain(..).flatten().collect();
        all.sort_unstable_by_key(|pooled| pooled.arrival);
        refused.extend(all.into_iter().map(|pooled| (pooled.ticket, Refusal::Reverted)));
        self.free.clear();
        self.included.clear();
        self.senders.clear();
        self.index = Index::default();
        (self.count, self.bytes, self.sealed, self.time) = (0, 0, sealed, time);
    }

    // Places.

    fn store(&mut self, pooled: Pooled) -> Slot {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot.0 as usize] = Some(pooled);
                slot
            }
            None => {
                self.slots.push(Some(pooled));
                Slot(u32::try_from(self.slots.len() - 1).expect("the pool is bounded"))
            }
        }
    }

    /// Frees the room of a transaction that is in no index.
    fn take(&mut self, slot: Slot) -> Pooled {
        let pooled = self.slots[slot.0 as usize].take().expect("a slot is valid until it is answered");
        self.free.push(slot);
        self.count -= 1;
        self.bytes -= pooled.bytes as usize;
        self.senders.get_mut(&pooled.body().sender).expect("its sender is known").count -= 1;
        pooled
    }

    /// Lines a stored transaction up in its lane, in which its number is free.
    fn wait(&mut self, slot: Slot) {
        let pooled = self.slots[slot.0 as usize].as_ref().expect("stored above");
        let (sender, Nonce { lane, seq }) = (pooled.body().sender, pooled.body().nonce);
        self.index.insert_expiry(pooled.body().valid_until, pooled.arrival, slot);
        let (fee, purse) = (u128::from(self.fee_min(pooled)), Purse::of(pooled.body()));
        self.senders.put(sender, purse, fee);
        self.senders.lane_mut(&sender, lane).expect("its lane is known").insert(seq, slot);
        self.reindex(sender, lane);
    }

    /// Takes a waiting transaction out of its lane and all indices; it stays stored.
    fn unwait(&mut self, slot: Slot) {
        let Nonce { lane, .. } = self.pooled(slot).body().nonce;
        let sender = self.pooled(slot).body().sender;
        self.pull(slot);
        self.reindex(sender, lane);
    }

    /// Takes a waiting transaction out of its lane. The caller brings the indices of the lane in line.
    fn pull(&mut self, slot: Slot) {
        let pooled = self.slots[slot.0 as usize].as_ref().expect("it waits");
        let (sender, Nonce { lane, seq }) = (pooled.body().sender, pooled.body().nonce);
        self.index.remove_expiry(pooled.body().valid_until, pooled.arrival);
        let (fee, purse) = (u128::from(self.fee_min(pooled)), Purse::of(pooled.body()));
        self.senders.take(sender, purse, fee);
        self.senders.lane_mut(&sender, lane).expect("its lane is known").remove(seq);
    }

    /// Lines up what was handed out, unless a newcomer has taken its number.
    fn wait_again(&mut self, slot: Slot, refused: &mut Refused) {
        let Nonce { lane, seq } = self.pooled(slot).body().nonce;
        let known = self.senders.lane(&self.pooled(slot).body().sender, lane);
        match known.and_then(|lane| lane.waiting_at(seq)) {
            Some(newcomer) => {
                let by = self.pooled(newcomer).verified.id();
                refused.push((self.take(slot).ticket, Refusal::Replaced { by }));
            }
            None => self.wait(slot),
        }
    }

    fn refuse_waiting(&mut self, slot: Slot, why: Refusal, refused: &mut Refused) {
        self.unwait(slot);
        let pooled = self.take(slot);
        refused.push((pooled.ticket, why));
        self.senders.forget_if_idle(&pooled.body().sender, pooled.body().nonce.lane, self.sealed);
    }

    // Lanes.

    /// One that was handed out is answered. When it was the last of a lane that met a refusal, the lane goes on from
    /// where the state has it.
    fn answered(&mut self, sender: Address, number: u8, refused: &mut Refused) {
        let lane = self.senders.lane_mut(&sender, number).expect("its lane is known");
        lane.executing -= 1;
        if lane.settling && lane.executing == 0 {
            lane.settling = false;
            lane.next = lane.executed_next;
        }
        self.trim(sender, number, refused);
        self.reindex(sender, number);
        self.senders.forget_if_idle(&sender, number, self.sealed);
    }

    /// Follows a state that knows of numbers used elsewhere.
    fn catch_up(&mut self, sender: Address, number: u8, next: u64, refused: &mut Refused) {
        let Some(lane) = self.senders.lane_mut(&sender, number) else { return };
        if lane.executing > 0 || lane.next >= next {
            return;
        }
        lane.executed(next);
        lane.next = next;
        self.trim(sender, number, refused);
        self.reindex(sender, number);
        self.senders.forget_if_idle(&sender, number, self.sealed);
    }

    /// Refuses what waits before the lane's next number or too far ahead of what was executed.
    fn trim(&mut self, sender: Address, number: u8, refused: &mut Refused) {
        loop {
            let Some(lane) = self.senders.lane(&sender, number) else { return };
            let (next, executed_next) = (lane.next, lane.executed_next);
            let used = lane.first().filter(|&(seq, _)| seq < next);
            let beyond = lane.last().filter(|&(seq, _)| is_too_far(seq, executed_next));
            let (slot, why) = match (used, beyond) {
                (Some((found, slot)), _) => (slot, Reject::NonceUsed { found, next }),
                (None, Some((found, slot))) => (slot, Reject::NonceGap { found, next: executed_next }),
                (None, None) => return,
            };
            self.unwait(slot);
            let ticket = self.take(slot).ticket;
            refused.push((ticket, why.into()));
        }
    }

    /// Brings the indices of heads and tails in line with a lane.
    fn reindex(&mut self, sender: Address, number: u8) {
        let Some(lane) = self.senders.lane_mut(&sender, number) else { return };
        let pooled = |slot: Slot| self.slots[slot.0 as usize].as_ref().expect("it waits");
        let head = lane.head_slot().map(|slot| {
            let head = pooled(slot);
            let is_ready = head.body().valid_after <= self.time;
            let key = if is_ready { head.price() } else { head.body().valid_after };
            Head { is_ready, key, arrival: head.arrival, slot }
        });
        self.index.move_head(lane.head, head);
        lane.head = head;
        let tail = lane.last().map(|(_, slot)| (pooled(slot).price(), pooled(slot).arrival, slot));
        self.index.move_tail(lane.tail, tail);
        lane.tail = tail;
    }
}

/// Whether a number is outside of what a lane holds when `executed_next` is the next to be executed.
fn is_too_far(seq: u64, executed_next: u64) -> bool {
    seq.saturating_sub(executed_next) >= LANE_AHEAD_MAX
}

/// The least that replaces a transaction of this price: a tenth more, rounded up, and more in any case.
pub fn price_to_replace(price: u64) -> u64 {
    price.saturating_add(price.div_ceil(10).max(1))
}
