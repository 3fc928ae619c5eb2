//! An L1 of one node that lives in memory: blocks, accounts, the settlement, and the history that makes data available.

use ghostplane_engine::Plane;
use ghostplane_ghostbridge::{EngineJudge, Published};
use ghostplane_settlement::{Event, L1Block, Message, Refusal, Settlement};
use ghostplane_types::{AssetId, InboxEntry, L1Address, PlaneState};
use std::collections::BTreeMap;

/// The L1.
#[derive(Debug)]
pub struct LocalL1 {
    settlement: Settlement,
    judge: EngineJudge,
    block: L1Block,
    block_ms: u64,
    /// What every L1 account has paid in (negative) and got back (positive), in L1 base units.
    balances: BTreeMap<(L1Address, AssetId), i128>,
    burned: BTreeMap<AssetId, u128>,
    posting: Vec<u8>,
    posted: Vec<Vec<u8>>,
    published: Vec<Published>,
    inbox: Vec<InboxEntry>,
}

impl LocalL1 {
    /// Sets the settlement up at block 1, at the plane's genesis time.
    pub fn new(plane: &Plane, genesis_state: &PlaneState, block_ms: u64) -> anyhow::Result<Self> {
        let settlement = Settlement::new(plane.genesis().clone(), genesis_state)?;
        let block = L1Block { height: 1, time: plane.genesis().time };
        Ok(Self {
            settlement,
            judge: EngineJudge::new(plane.clone()),
            block,
            block_ms,
            balances: BTreeMap::new(),
            burned: BTreeMap::new(),
            posting: Vec::new(),
            posted: Vec::new(),
            published: Vec::new(),
            inbox: Vec::new(),
        })
    }

    /// The settlement's state.
    pub fn settlement(&self) -> &Settlement {
        &self.settlement
    }

    /// The block that messages go into now.
    pub fn block(&self) -> L1Block {
        self.block
    }

    /// All batches committed and not reverted, in order; batch `n` is at `n - 1`.
    pub fn published(&self) -> &[Published] {
        &self.published
    }

    /// Everything that ever went into the inbox; the settlement itself keeps only what is not consumed for good.
    pub fn inbox(&self) -> &[InboxEntry] {
        &self.inbox
    }

    /// What an account got less what it paid, in L1 base units.
    pub fn balance(&self, who: L1Address, asset: AssetId) -> i128 {
        self.balances.get(&(who, asset)).copied().unwrap_or_default()
    }

    /// What was burned of an asset, in L1 base units.
    pub fn burned(&self, asset: AssetId) -> u128 {
        self.burned.get(&asset).copied().unwrap_or_default()
    }

    /// The sum over all accounts: minus what the settlement holds and what was burned.
    pub fn sum_of_balances(&self, asset: AssetId) -> i128 {
        self.balances.iter().filter(|((_, of), _)| *of == asset).map(|(_, balance)| balance).sum()
    }

    /// Closes `count` blocks and lets time act on the settlement after each.
    pub fn mine(&mut self, count: u64) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        for _ in 0..count {
            self.block.height += 1;
            self.block.time += self.block_ms;
            events.extend(self.settlement.advance(self.block)?);
        }
        self.carry_out(&events);
        Ok(events)
    }

    /// Sends one message in the current block.
    pub fn send(&mut self, from: L1Address, message: Message) -> Result<Vec<Event>, Refusal> {
        let advanced = self.settlement.advance(self.block)?;
        self.carry_out(&advanced);
        let events = self.settlement.apply(&message, from, self.block, &self.judge)?;
        self.remember(message);
        self.carry_out(&events);
        Ok(events)
    }

    /// Keeps what anybody could read back from the L1's blocks.
    fn remember(&mut self, message: Message) {
        match message {
            Message::PostData { last, bytes, .. } => {
                self.posting.extend_from_slice(&bytes);
                if last {
                    self.posted.push(std::mem::take(&mut self.posting));
                }
            }
            Message::DiscardData => {
                self.posting.clear();
                self.posted.clear();
            }
            Message::Commit { commitment, headers } => {
                let posted = self.posted.drain(..headers.len());
                let first_batch = commitment.first_batch;
                let batches = headers.into_iter().zip(posted);
                self.published.extend(batches.map(|(header, posted)| Published { header, posted, first_batch }));
            }
            _ => {}
        }
    }

    fn carry_out(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Take { from, money } => *self.balance_mut(*from, money.asset) -= signed(money.l1_amount),
                Event::Pay { to, money } => *self.balance_mut(*to, money.asset) += signed(money.l1_amount),
                Event::Burn { money } => *self.burned.entry(money.asset).or_default() += money.l1_amount,
                Event::Reverted { first_batch, .. } => {
                    let keep = usize::try_from(first_batch - 1).expect("batches of one process fit memory");
                    self.published.truncate(keep);
                    self.posting.clear();
                    self.posted.clear();
                }
                Event::InboxAppended { index, .. } => {
                    self.inbox.extend(self.settlement.inbox_entries(*index, index + 1).cloned());
                }
                _ => {}
            }
        }
    }

    fn balance_mut(&mut self, who: L1Address, asset: AssetId) -> &mut i128 {
        self.balances.entry((who, asset)).or_default()
    }
}

fn signed(amount: u128) -> i128 {
    i128::try_from(amount).expect("L1 amounts convert from 63-bit plane amounts with at most 18 more decimals")
}
