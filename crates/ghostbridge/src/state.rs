//! What the blocks come to: settlement, accounts, index. One step per block, the same whether it is made or read back.

use crate::index::{Committed, InboxRun, Index, Shown};
use crate::judge::EngineJudge;
use crate::record::{Place, Record};
use crate::refusal::L1Refusal;
use ghostplane_settlement::{Event, L1Block, Message, Settlement};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_varint};
use ghostplane_types::limits::GENESIS_ASSETS_MAX;
use ghostplane_types::{AssetId, InboxEntry, L1Address, SignedL1Message};
use std::collections::BTreeMap;

/// Accounts of the L1.
const ACCOUNTS_MAX: usize = 1 << 30;

/// An account on the L1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The sequence number of its next message.
    pub next_sequence: u64,
    /// What it has, in the L1's base units.
    pub balances: BTreeMap<AssetId, u128>,
}

impl Account {
    /// What it has of an asset, in the L1's base units.
    pub fn balance(&self, asset: AssetId) -> u128 {
        self.balances.get(&asset).copied().unwrap_or_default()
    }
}

/// A signed message whose signature was checked and whose content was read.
#[derive(Debug)]
pub(crate) struct Checked {
    from: L1Address,
    sequence: u64,
    message: Message,
    message_len: usize,
    bytes: Vec<u8>,
}

impl Checked {
    pub(crate) fn new(signed: &SignedL1Message, chain_id: u64) -> Result<Self, L1Refusal> {
        if signed.chain_id != chain_id {
            return Err(L1Refusal::WrongChain { found: signed.chain_id, expected: chain_id });
        }
        let message = Message::from_bytes(&signed.message).map_err(|error| L1Refusal::Malformed { error })?;
        let from = signed.verify().map_err(|_| L1Refusal::BadSignature)?;
        let (sequence, message_len) = (signed.sequence, signed.message.len());
        Ok(Self { from, sequence, message, message_len, bytes: signed.to_bytes() })
    }

    pub(crate) fn from(&self) -> L1Address {
        self.from
    }

    /// Bytes of the signed message.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) settlement: Settlement,
    pub(crate) accounts: BTreeMap<L1Address, Account>,
    pub(crate) burned: BTreeMap<AssetId, u128>,
    pub(crate) index: Index,
    pub(crate) block: L1Block,
}

/// One block in the making. What it changes is kept beside the state until the block is on disk.
pub(crate) struct Step<'a> {
    state: &'a State,
    judge: &'a EngineJudge,
    done: Done,
}

/// A block that is made: what to write, and what to take in when it is written.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) record: Record,
    pub(crate) events: Vec<Event>,
    settlement: Settlement,
    accounts: BTreeMap<L1Address, Account>,
    burned: BTreeMap<AssetId, u128>,
    news: Vec<News>,
}

/// What the index learns, in order.
#[derive(Debug)]
enum News {
    Message(Told),
    Event(Event),
}

/// What a message shows, in places counted from its first byte.
#[derive(Debug)]
struct Told {
    message: usize,
    offset: u64,
    len: u32,
    checksum: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Piece { last: bool },
    Commit { batches: u64 },
    Discard,
}

impl<'a> Step<'a> {
    /// Starts the block that follows the state, at `time` or as soon after the last block as time can be.
    pub(crate) fn begin(state: &'a State, judge: &'a EngineJudge, time: u64) -> Self {
        let block = L1Block {
            height: state.block.height.checked_add(1).expect("a chain of 2^64 blocks is never made"),
            time: time.max(state.block.time.saturating_add(1)),
        };
        let done = Done {
            record: Record { block, messages: Vec::new(), inbox: Vec::new() },
            events: Vec::new(),
            settlement: state.settlement.clone(),
            accounts: BTreeMap::new(),
            burned: state.burned.clone(),
            news: Vec::new(),
        };
        let mut step = Self { state, judge, done };
        let events = step.done.settlement.advance(block).expect("height rises and time does not fall");
        step.carry_out(events);
        step
    }

    /// Applies one message, or refuses and changes nothing.
    pub(crate) fn apply(&mut self, checked: &Checked) -> Result<Vec<Event>, L1Refusal> {
        let Checked { from, sequence: found, ref message, message_len, ref bytes } = *checked;
        let account = self.account(&from);
        let next = account.next_sequence;
        if found < next {
            return Err(L1Refusal::SequenceUsed { found, next });
        }
        if found > next {
            return Err(L1Refusal::SequenceGap { found, next });
        }
        if let Some(money) = self.done.settlement.takes(message) {
            let (found, needed) = (account.balance(money.asset), money.l1_amount);
            if found < needed {
                return Err(L1Refusal::InsufficientBalance { account: from, asset: money.asset, found, needed });
            }
        }
        let events = self.done.settlement.apply(message, from, self.done.record.block, self.judge)?;

        self.account_mut(from).next_sequence = next.checked_add(1).expect("nobody sends 2^64 messages");
        self.tell(message, message_len, bytes);
        self.done.record.messages.push(bytes.clone());
        self.carry_out(events.clone());
        Ok(events)
    }

    pub(crate) fn height(&self) -> u64 {
        self.done.record.block.height
    }

    pub(crate) fn finish(mut self) -> Done {
        let from = self.state.settlement.inbox_end();
        let entries = self.done.settlement.inbox_entries(from, u64::MAX);
        self.done.record.inbox = entries.cloned().collect();
        self.done
    }

    fn account(&self, address: &L1Address) -> Account {
        let changed = self.done.accounts.get(address);
        changed.or_else(|| self.state.accounts.get(address)).cloned().unwrap_or_default()
    }

    fn account_mut(&mut self, address: L1Address) -> &mut Account {
        let known = self.state.accounts.get(&address);
        self.done.accounts.entry(address).or_insert_with(|| known.cloned().unwrap_or_default())
    }

    fn carry_out(&mut self, events: Vec<Event>) {
        for event in events {
            match &event {
                Event::Take { from, money } => {
                    let balance = self.account_mut(*from).balances.entry(money.asset).or_default();
                    *balance = balance.checked_sub(money.l1_amount).expect("was checked before it was taken");
                }
                Event::Pay { to, money } => {
                    let balance = self.account_mut(*to).balances.entry(money.asset).or_default();
                    *balance = balance.checked_add(money.l1_amount).expect("what is paid was taken, and the sum fits");
                }
                Event::Burn { money } => {
                    let burned = self.done.burned.entry(money.asset).or_default();
                    *burned = burned.checked_add(money.l1_amount).expect("what is burned was taken, and the sum fits");
                }
                _ => {}
            }
            self.done.news.push(News::Event(event.clone()));
            self.done.events.push(event);
        }
    }

    /// Notes what everybody can read back. It stands right before the signature, which is last.
    fn tell(&mut self, message: &Message, message_len: usize, bytes: &[u8]) {
        let (len, kind) = match message {
            Message::PostData { bytes, last, .. } => (bytes.len(), Kind::Piece { last: *last }),
            Message::Commit { headers, .. } => (message_len, Kind::Commit { batches: headers.len() as u64 }),
            Message::DiscardData => (0, Kind::Discard),
            _ => return,
        };
        let end = bytes.len() - SignedL1Message::SIGNATURE_BYTES;
        self.done.news.push(News::Message(Told {
            message: self.done.record.messages.len(),
            offset: (end - len) as u64,
            len: u32::try_from(len).expect("messages are bounded far below"),
            checksum: crc32c::crc32c(&bytes[end - len..end]),
            kind,
        }));
    }
}

impl State {
    /// Takes a block in that stands at `offset` of the file of `segment`.
    pub(crate) fn take_in(&mut self, done: Done, segment: u64, offset: u64) {
        let (starts, inbox_start) = done.record.offsets();
        let (block, chain_id) = (done.record.block, self.settlement.genesis().chain_id);
        for news in &done.news {
            match news {
                News::Event(event) => self.index.note(event, chain_id),
                News::Message(told) => {
                    let place = Place {
                        segment,
                        offset: offset + starts[told.message] + told.offset,
                        len: told.len,
                        checksum: told.checksum,
                    };
                    let shown = match told.kind {
                        Kind::Piece { last } => Shown::Piece { place, last },
                        Kind::Commit { batches } => Shown::Commit { place, batches },
                        Kind::Discard => Shown::Discard,
                    };
                    self.index.show(shown, block.height);
                }
            }
        }
        if let Some(first) = done.record.inbox.first() {
            let bytes: Vec<u8> = done.record.inbox.iter().flat_map(Encode::to_bytes).collect();
            let len = u32::try_from(bytes.len()).expect("an L1 block takes less");
            let place = Place { segment, offset: offset + inbox_start, len, checksum: crc32c::crc32c(&bytes) };
            self.index.add_inbox(InboxRun { first: first.index, count: done.record.inbox.len() as u64, place });
        }
        self.settlement = done.settlement;
        self.accounts.extend(done.accounts);
        self.burned = done.burned;
        self.block = block;
    }

    /// Makes a block again that was read back. Says what comes out differently.
    pub(crate) fn replay(&self, record: &Record, judge: &EngineJudge) -> Result<Done, &'static str> {
        if self.block.height.checked_add(1) != Some(record.block.height) {
            return Err("it does not follow the block before");
        }
        if record.block.time < self.block.time.saturating_add(1) {
            return Err("its time is not after the block before");
        }
        let mut step = Step::begin(self, judge, record.block.time);
        for bytes in &record.messages {
            let signed = SignedL1Message::from_bytes(bytes).map_err(|_| "a message does not decode")?;
            let chain_id = self.settlement.genesis().l1_chain_id;
            let checked = Checked::new(&signed, chain_id).map_err(|_| "a message is not signed for this L1")?;
            step.apply(&checked).map_err(|_| "a message is refused")?;
        }
        let done = step.finish();
        if done.record != *record { Err("its inbox entries differ") } else { Ok(done) }
    }

    /// The commitment that a batch is under.
    pub(crate) fn committed(&self, batch: u64) -> Option<Committed> {
        self.index.commitment_of(batch).copied()
    }

    /// What a snapshot holds besides the settlement must be of the same block.
    fn broken_rule(&self) -> Option<&'static str> {
        let archived = self.settlement.archive().count() == self.index.history().count();
        let tip = self.index.batches() == self.settlement.tip().number;
        let waiting = self.index.batches() + self.index.waiting() + 1 == self.settlement.next_posted();
        let inbox = self.index.inbox_end() == self.settlement.inbox_end();
        let block = self.block == self.settlement.block();
        match () {
            () if !archived => Some("archive of the snapshot"),
            () if !tip => Some("batches of the snapshot"),
            () if !waiting => Some("posted batches of the snapshot"),
            () if !inbox => Some("inbox of the snapshot"),
            () if !block => Some("block of the snapshot"),
            () => None,
        }
    }
}

/// Entries that are read back from a run.
pub(crate) fn decode_entries(bytes: &[u8], count: u64) -> Result<Vec<InboxEntry>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let entries = (0..count).map(|_| reader.read()).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(entries)
}

impl Encode for State {
    fn encode(&self, out: &mut Vec<u8>) {
        self.settlement.encode(out);
        self.block.encode(out);
        put_varint(out, self.accounts.len() as u64);
        for (address, account) in &self.accounts {
            address.encode(out);
            account.next_sequence.encode(out);
            put_amounts(out, &account.balances);
        }
        put_amounts(out, &self.burned);
        self.index.encode(out);
    }
}

impl Decode for State {
    const BYTES_MIN: usize = Settlement::BYTES_MIN + 16 + 2 + Index::BYTES_MIN;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (settlement, block) = (reader.read()?, reader.read()?);
        let count = reader.count("accounts", ACCOUNTS_MAX, 32 + 8 + 1)?;
        let mut accounts = BTreeMap::new();
        for _ in 0..count {
            let address: L1Address = reader.read()?;
            if accounts.last_key_value().is_some_and(|(last, _)| *last >= address) {
                return Err(reader.non_canonical("accounts"));
            }
            let account = Account { next_sequence: reader.read()?, balances: read_amounts(reader)? };
            accounts.insert(address, account);
        }
        let state = Self { settlement, accounts, burned: read_amounts(reader)?, index: reader.read()?, block };
        match state.broken_rule() {
            Some(rule) => Err(reader.non_canonical(rule)),
            None => Ok(state),
        }
    }
}

fn put_amounts(out: &mut Vec<u8>, amounts: &BTreeMap<AssetId, u128>) {
    let list: Vec<(AssetId, u128)> = amounts.iter().map(|(asset, amount)| (*asset, *amount)).collect();
    put_varint(out, list.len() as u64);
    for (asset, amount) in list {
        asset.encode(out);
        amount.encode(out);
    }
}

fn read_amounts(reader: &mut Reader<'_>) -> Result<BTreeMap<AssetId, u128>, DecodeError> {
    let count = reader.count("assets of an account", GENESIS_ASSETS_MAX, 4 + 16)?;
    let mut amounts = BTreeMap::new();
    for _ in 0..count {
        let asset: AssetId = reader.read()?;
        if amounts.last_key_value().is_some_and(|(last, _)| *last >= asset) {
            return Err(reader.non_canonical("assets of an account"));
        }
        amounts.insert(asset, reader.read()?);
    }
    Ok(amounts)
}
