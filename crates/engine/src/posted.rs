//! The posted form: what of a batch goes to the L1 as data, short because the state before the batch fills in the rest.
//!
//! Accounts that the state knows are named by number, sequence numbers follow from their lanes, times are relative to the
//! batch. There is one form per batch and state: [`decode`] refuses what [`encode`] would not have written.

use crate::{FixedState, Plane, hash_seed};
use ghostplane_keystone::{Missing, StateView};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_list, put_varint, varint_len};
use ghostplane_types::limits::{ACTIONS_MAX, APPROVALS_MAX, BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, MEMO_BYTES_MAX};
use ghostplane_types::transaction::Action;
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, Auth, Gid, KeyRef, Nonce, ObjectClass, ObjectIndex, ObjectKey, Pay,
    PlaneState, SponsorTerms, Transaction, TransactionBody,
};
use hashbrown::HashMap;
use thiserror::Error;

/// What a posted batch says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedBatch {
    /// The batch's time.
    pub time: u64,
    /// How many inbox entries it consumes.
    pub inbox: u64,
    /// Its transactions, in order.
    pub transactions: Vec<Transaction>,
}

/// Why bytes are not the posted form of a batch on a given state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PostedError {
    /// The bytes themselves are wrong: the operator's fault.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An account number that no account has: the operator's fault.
    #[error("no account has number {0}")]
    NoAccount(u32),
    /// More bytes than a batch may post: the operator's fault.
    #[error("{0} bytes, a batch posts at most {BATCH_BYTES_MAX}")]
    Oversized(usize),
    /// A transaction that no posted form can say: with a lane, number or time that the batch cannot include.
    #[error("transaction {position} cannot be posted: {what}")]
    NotPostable {
        /// Which transaction of the batch.
        position: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The state given says too little.
    #[error(transparent)]
    Missing(#[from] Missing),
}

const VERSION: u8 = 1;
/// Bits of a transaction's first byte.
mod flag {
    pub const SENDER_WHOLE: u8 = 1;
    pub const KEY_CARRIED: u8 = 2;
    pub const KEY_POSITION: u8 = 4;
    pub const LANE: u8 = 8;
    pub const VALID_AFTER: u8 = 16;
    pub const MEMO: u8 = 32;
    pub const APPROVALS: u8 = 64;
    pub const KEY_PASSKEY: u8 = KEY_CARRIED | KEY_POSITION;
    pub const KEY_SESSION: u8 = 128;
    /// The account that acts for the sender follows, by number, or 0 and whole; then the key's position there.
    pub const KEY_DELEGATE: u8 = KEY_SESSION | KEY_POSITION;
    /// Likewise, and the key is a passkey.
    pub const KEY_DELEGATE_PASSKEY: u8 = KEY_SESSION | KEY_PASSKEY;
    pub const KEYS: u8 = KEY_CARRIED | KEY_POSITION | KEY_SESSION;
    /// No key is named so: it says that gas is not paid with the sender's credits, and another byte follows, which names the
    /// key as this one would.
    pub const PAID_OTHERWISE: u8 = KEY_CARRIED | KEY_SESSION;
}
/// Bits of the byte that says how gas is paid; those of the key are where [`flag`] has them.
mod paid {
    pub const SPONSOR: u8 = 1;
    pub const SPONSOR_WHOLE: u8 = 8;
}
/// Low bits of an action's first varint; the rest is the asset.
mod form {
    pub const TRANSFER_NUMBER: u64 = 0;
    pub const TRANSFER_ADDRESS: u64 = 1;
    pub const WITHDRAW: u64 = 2;
    /// Any other action: its kind in the place of the asset, and then its canonical content.
    pub const OTHER: u64 = 3;
    pub const BITS: u32 = 3;
}
/// No transaction is shorter: flags, sender, validity, gas, price, action count, one action, signature.
const TRANSACTION_BYTES_MIN: usize = 1 + 1 + 1 + 1 + 1 + 1 + 2 + 64;

/// Writes the posted form of a batch that follows `prev`, whose state is `view`.
pub fn encode(
    plane: &Plane,
    view: &impl StateView,
    prev: &PlaneState,
    batch: &PostedBatch,
) -> Result<Vec<u8>, PostedError> {
    let not_postable = |position, what| PostedError::NotPostable { position, what };
    let mut accounts = Accounts::new(view);
    let since = batch.time.checked_sub(prev.time).ok_or(not_postable(0, "the batch is before the one ahead"))?;
    let mut out = Vec::new();
    put_header(&mut out, since, batch.inbox, batch.transactions.len() as u64);
    for (position, transaction) in batch.transactions.iter().enumerate() {
        let body = &transaction.body;
        check_form(plane, body).map_err(|what| not_postable(position, what))?;
        if accounts.take_seq(body.sender, body.nonce.lane)? != body.nonce.seq {
            return Err(not_postable(position, "its sequence number is not the next of its lane"));
        }
        if body.valid_until < batch.time {
            return Err(not_postable(position, "it has expired"));
        }
        if body.valid_after > batch.time {
            return Err(not_postable(position, "it is not valid yet"));
        }
        if transaction.auth.form() != body.key_ref.consent_form() {
            return Err(not_postable(position, "its consent is not of its key's form"));
        }
        if body.pay.sponsor().is_some_and(|of| of.valid_until < batch.time) {
            return Err(not_postable(position, "its sponsor does not pay any more"));
        }
        if transaction.sponsorship.is_some() != body.pay.sponsor().is_some() {
            return Err(not_postable(position, "it lacks the consent of its sponsor, or has one without need"));
        }
        put_transaction(&mut out, batch.time, transaction, |_, address| accounts.number(address))?;
    }
    if out.len() > BATCH_BYTES_MAX { Err(PostedError::Oversized(out.len())) } else { Ok(out) }
}

/// What stands ahead of the transactions.
pub(crate) fn put_header(out: &mut Vec<u8>, since_prev: u64, inbox: u64, transactions: u64) {
    out.push(VERSION);
    put_varint(out, since_prev);
    put_varint(out, inbox);
    put_varint(out, transactions);
}

/// How many bytes [`put_header`] writes.
pub(crate) fn header_len(since_prev: u64, inbox: u64, transactions: u64) -> usize {
    1 + varint_len(since_prev) + varint_len(inbox) + varint_len(transactions)
}

/// Whether a transaction has a posted form, its times and its place in its lane aside; if not, why.
pub(crate) fn check_form(plane: &Plane, body: &TransactionBody) -> Result<(), &'static str> {
    if body.chain_id != plane.chain_id() || body.plane_id != plane.plane_id() {
        return Err("it is for another plane");
    }
    if body.actions.is_empty() || body.actions.len() > ACTIONS_MAX || body.memo.len() > MEMO_BYTES_MAX {
        return Err("it has no action, too many, or too long a memo");
    }
    Ok(())
}

/// Writes a transaction that has a form and is valid at `time`. `number` tells by which number the state knows an account,
/// given its place: 0 for the sender, then one for each action, then the sponsor, and the last for who acts for the sender.
pub(crate) fn put_transaction<E>(
    out: &mut Vec<u8>,
    time: u64,
    transaction: &Transaction,
    mut number: impl FnMut(usize, &Address) -> Result<Option<u32>, E>,
) -> Result<(), E> {
    let body = &transaction.body;
    let sender = number(0, &body.sender)?;
    let mut flags = 0;
    let mut set = |bit, on: bool| flags |= if on { bit } else { 0 };
    set(flag::SENDER_WHOLE, sender.is_none());
    set(flag::APPROVALS, !transaction.approvals.is_empty());
    set(flag::LANE, body.nonce.lane != Nonce::LANE_ROOT);
    set(flag::VALID_AFTER, body.valid_after != 0);
    set(flag::MEMO, !body.memo.is_empty());
    flags |= match body.key_ref {
        KeyRef::Registered(0) => 0,
        KeyRef::Registered(_) => flag::KEY_POSITION,
        KeyRef::Carried(_) => flag::KEY_CARRIED,
        KeyRef::RegisteredPasskey(_) => flag::KEY_PASSKEY,
        KeyRef::Session => flag::KEY_SESSION,
        KeyRef::Delegate { .. } => flag::KEY_DELEGATE,
        KeyRef::DelegatePasskey { .. } => flag::KEY_DELEGATE_PASSKEY,
    };
    let sponsor = match body.pay.sponsor() {
        Some(of) => Some((of, number(1 + body.actions.len(), &of.sponsor)?)),
        None => None,
    };
    if body.pay == Pay::Gcc {
        out.push(flags);
    } else {
        out.push(flags & !flag::KEYS | flag::PAID_OTHERWISE);
        let of_sponsor = match &sponsor {
            None => 0,
            Some((_, Some(_))) => paid::SPONSOR,
            Some((_, None)) => paid::SPONSOR | paid::SPONSOR_WHOLE,
        };
        out.push(flags & flag::KEYS | of_sponsor);
    }
    if let Some((of, number)) = sponsor {
        put_account(out, number, &of.sponsor);
        put_varint(out, of.fee_max.units());
        put_varint(out, of.valid_until - time);
    }
    put_account(out, sender, &body.sender);
    match body.key_ref {
        KeyRef::Carried(gid) => gid.encode(out),
        KeyRef::Registered(0) | KeyRef::Session => {}
        KeyRef::Registered(position) | KeyRef::RegisteredPasskey(position) => out.push(position),
        KeyRef::Delegate { account, position } | KeyRef::DelegatePasskey { account, position } => {
            let number = number(2 + body.actions.len(), &account)?;
            if number.is_none() {
                out.push(0);
            }
            put_account(out, number, &account);
            out.push(position);
        }
    }
    if flags & flag::LANE != 0 {
        out.push(body.nonce.lane);
    }
    put_varint(out, body.valid_until - time);
    if flags & flag::VALID_AFTER != 0 {
        put_varint(out, time - body.valid_after);
    }
    put_varint(out, body.gas_limit);
    put_varint(out, body.gas_price_max);
    put_varint(out, body.actions.len() as u64);
    for (place, action) in (1..).zip(&body.actions) {
        put_action(out, action, |to| number(place, to))?;
    }
    if flags & flag::MEMO != 0 {
        out.push(u8::try_from(body.memo.len()).expect("at most MEMO_BYTES_MAX"));
        out.extend_from_slice(&body.memo);
    }
    transaction.auth.encode(out);
    if flags & flag::APPROVALS != 0 {
        put_list(out, &transaction.approvals);
    }
    if let Some(sponsorship) = &transaction.sponsorship {
        sponsorship.encode(out);
    }
    Ok(())
}

/// Reads the posted form of a batch that follows `prev`, whose state is `view`.
pub fn decode(
    plane: &Plane,
    view: &impl StateView,
    prev: &PlaneState,
    bytes: &[u8],
) -> Result<PostedBatch, PostedError> {
    if bytes.len() > BATCH_BYTES_MAX {
        return Err(PostedError::Oversized(bytes.len()));
    }
    let reader = &mut Reader::new(bytes);
    let version: u8 = reader.read()?;
    if version != VERSION {
        return Err(reader.unknown("posted batch version", u64::from(version)).into());
    }
    let time = prev.time.checked_add(reader.varint()?).ok_or_else(|| reader.non_canonical("batch time"))?;
    let inbox = reader.varint_at_most("inbox entries", BATCH_TRANSACTIONS_MAX as u64)?;
    let count = reader.count("transactions", BATCH_TRANSACTIONS_MAX, TRANSACTION_BYTES_MIN)?;
    let mut accounts = Accounts::new(view);
    let mut transactions = Vec::with_capacity(count);
    for _ in 0..count {
        transactions.push(decode_transaction(plane, &mut accounts, time, reader)?);
    }
    reader.clone().finish()?;
    Ok(PostedBatch { time, inbox, transactions })
}

fn decode_transaction<V: StateView>(
    plane: &Plane,
    accounts: &mut Accounts<'_, V>,
    time: u64,
    reader: &mut Reader<'_>,
) -> Result<Transaction, PostedError> {
    let flags: u8 = reader.read()?;
    let (pay, keys) = match flags & flag::KEYS {
        flag::PAID_OTHERWISE => decode_paid(accounts, time, reader)?,
        keys => (Pay::Gcc, keys),
    };
    let sender = read_account(accounts, flags & flag::SENDER_WHOLE != 0, reader)?;
    let key_ref = match keys {
        0 => KeyRef::Registered(0),
        flag::KEY_CARRIED => KeyRef::Carried(reader.read::<Gid>()?),
        flag::KEY_POSITION => KeyRef::Registered(non_zero(reader, "key position")?),
        flag::KEY_PASSKEY => KeyRef::RegisteredPasskey(reader.read()?),
        flag::KEY_SESSION => KeyRef::Session,
        flag::KEY_DELEGATE => {
            KeyRef::Delegate { account: decode_delegate(accounts, reader)?, position: reader.read()? }
        }
        flag::KEY_DELEGATE_PASSKEY => {
            KeyRef::DelegatePasskey { account: decode_delegate(accounts, reader)?, position: reader.read()? }
        }
        _ => return Err(reader.non_canonical("transaction flags").into()),
    };
    let lane = if flags & flag::LANE != 0 { non_zero(reader, "lane")? } else { Nonce::LANE_ROOT };
    let beyond = |reader: &Reader<'_>| reader.non_canonical("validity");
    let valid_until = time.checked_add(reader.varint()?).ok_or_else(|| beyond(reader))?;
    let valid_after = if flags & flag::VALID_AFTER == 0 {
        0
    } else {
        let since = reader.varint()?;
        time.checked_sub(since).filter(|after| *after != 0).ok_or_else(|| beyond(reader))?
    };
    let gas_limit = reader.varint()?;
    let gas_price_max = reader.varint()?;
    let count = reader.count("actions", ACTIONS_MAX, 2)?;
    if count == 0 {
        return Err(reader.non_canonical("transaction without actions").into());
    }
    let mut actions = Vec::with_capacity(count);
    for _ in 0..count {
        actions.push(decode_action(accounts, reader)?);
    }
    let memo = if flags & flag::MEMO == 0 { Vec::new() } else { decode_memo(reader)? };
    let nonce = Nonce { lane, seq: accounts.take_seq(sender, lane)? };
    let form = key_ref.consent_form();
    let body = TransactionBody {
        chain_id: plane.chain_id(),
        plane_id: plane.plane_id(),
        sender,
        nonce,
        valid_after,
        valid_until,
        gas_limit,
        gas_price_max,
        pay,
        key_ref,
        actions,
        memo,
    };
    let auth = Auth::decode(form, reader)?;
    let approvals = if flags & flag::APPROVALS == 0 { Vec::new() } else { reader.list("approvals", APPROVALS_MAX)? };
    if flags & flag::APPROVALS != 0 && approvals.is_empty() {
        return Err(reader.non_canonical("approvals").into());
    }
    let sponsorship = body.pay.sponsor().map(|_| reader.read().map(Box::new)).transpose()?;
    Ok(Transaction { body, auth, approvals, sponsorship })
}

/// Reads with what gas is paid where it is not the sender's credits, and the flags that name the key.
fn decode_paid<V: StateView>(
    accounts: &mut Accounts<'_, V>,
    time: u64,
    reader: &mut Reader<'_>,
) -> Result<(Pay, u8), PostedError> {
    let flags: u8 = reader.read()?;
    let keys = flags & flag::KEYS;
    let whole = match flags & !flag::KEYS {
        0 => return Ok((Pay::Mana, keys)),
        paid::SPONSOR => false,
        of if of == paid::SPONSOR | paid::SPONSOR_WHOLE => true,
        _ => return Err(reader.non_canonical("way to pay").into()),
    };
    let sponsor = read_account(accounts, whole, reader)?;
    let fee_max = read_amount(reader)?;
    let valid_until = time.checked_add(reader.varint()?).ok_or_else(|| reader.non_canonical("validity"))?;
    Ok((Pay::Sponsor(Box::new(SponsorTerms { sponsor, fee_max, valid_until })), keys))
}

fn put_action<E>(
    out: &mut Vec<u8>,
    action: &Action,
    number: impl FnOnce(&Address) -> Result<Option<u32>, E>,
) -> Result<(), E> {
    let head = |form: u64, asset: &AssetId| u64::from(asset.number()) << form::BITS | form;
    match action {
        Action::Transfer { to, asset, amount } => {
            let number = number(to)?;
            let form = if number.is_some() { form::TRANSFER_NUMBER } else { form::TRANSFER_ADDRESS };
            put_varint(out, head(form, asset));
            put_account(out, number, to);
            put_varint(out, amount.units());
        }
        Action::Withdraw { to, asset, amount } => {
            put_varint(out, head(form::WITHDRAW, asset));
            to.encode(out);
            put_varint(out, amount.units());
        }
        other => {
            put_varint(out, u64::from(other.kind()) << form::BITS | form::OTHER);
            other.encode_content(out);
        }
    }
    Ok(())
}

fn decode_action<V: StateView>(accounts: &mut Accounts<'_, V>, reader: &mut Reader<'_>) -> Result<Action, PostedError> {
    let head = reader.varint()?;
    if head & ((1 << form::BITS) - 1) == form::OTHER {
        let kind = head >> form::BITS;
        return match u8::try_from(kind) {
            Ok(kind @ (Action::KIND_TRANSFER | Action::KIND_WITHDRAW)) => {
                Err(reader.unknown("action form of kind", u64::from(kind)).into())
            }
            Ok(kind) => Ok(Action::decode_content(kind, reader)?),
            Err(_) => Err(reader.unknown("action kind", kind).into()),
        };
    }
    let asset = u32::try_from(head >> form::BITS).ok().and_then(AssetId::new);
    let asset = asset.ok_or_else(|| reader.non_canonical("asset id"))?;
    let form = head & ((1 << form::BITS) - 1);
    if form == form::WITHDRAW {
        let to = reader.read()?;
        return Ok(Action::Withdraw { to, asset, amount: read_amount(reader)? });
    }
    if form != form::TRANSFER_NUMBER && form != form::TRANSFER_ADDRESS {
        return Err(reader.unknown("action form", form).into());
    }
    let to = read_account(accounts, form == form::TRANSFER_ADDRESS, reader)?;
    Ok(Action::Transfer { to, asset, amount: read_amount(reader)? })
}

fn put_account(out: &mut Vec<u8>, number: Option<u32>, address: &Address) {
    match number {
        Some(number) => put_varint(out, u64::from(number)),
        None => address.encode(out),
    }
}

/// Reads an account that was written by number, or whole if the state did not know it.
fn read_account<V: StateView>(
    accounts: &mut Accounts<'_, V>,
    whole: bool,
    reader: &mut Reader<'_>,
) -> Result<Address, PostedError> {
    if whole {
        let address: Address = reader.read()?;
        return match accounts.number(&address)? {
            None => Ok(address),
            Some(_) => Err(reader.non_canonical("account that has a number").into()),
        };
    }
    let number = reader.varint_at_most("account number", u64::from(u32::MAX))?;
    accounts.address(u32::try_from(number).expect("bounded above"))
}

/// Reads the account that acts for the sender. No account has number 0.
fn decode_delegate<V: StateView>(
    accounts: &mut Accounts<'_, V>,
    reader: &mut Reader<'_>,
) -> Result<Address, PostedError> {
    let is_whole = reader.clone().read::<u8>()? == 0;
    if is_whole {
        reader.read::<u8>()?;
    }
    read_account(accounts, is_whole, reader)
}

fn read_amount(reader: &mut Reader<'_>) -> Result<Amount, DecodeError> {
    let units = reader.varint()?;
    Amount::new(units).ok_or_else(|| reader.over_limit("amount", units, ghostplane_types::amount::AMOUNT_MAX))
}

fn decode_memo(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let len: u8 = non_zero(reader, "memo length")?;
    if usize::from(len) > MEMO_BYTES_MAX {
        return Err(reader.over_limit("memo bytes", u64::from(len), MEMO_BYTES_MAX as u64));
    }
    Ok(reader.take(usize::from(len))?.to_vec())
}

/// Reads a byte whose flag says that it is not the usual zero.
fn non_zero(reader: &mut Reader<'_>, what: &'static str) -> Result<u8, DecodeError> {
    match reader.read()? {
        0 => Err(reader.non_canonical(what)),
        byte => Ok(byte),
    }
}

/// Account numbers and lanes of the state before the batch, each looked up once.
struct Accounts<'a, V: StateView> {
    view: &'a V,
    numbers: HashMap<Address, Option<u32>, FixedState>,
    addresses: HashMap<u32, Address, FixedState>,
    next: HashMap<(Address, u8), u64, FixedState>,
}

impl<'a, V: StateView> Accounts<'a, V> {
    fn new(view: &'a V) -> Self {
        let seed = hash_seed(view);
        Self {
            view,
            numbers: HashMap::with_hasher(seed.clone()),
            addresses: HashMap::with_hasher(seed.clone()),
            next: HashMap::with_hasher(seed),
        }
    }

    fn number(&mut self, address: &Address) -> Result<Option<u32>, PostedError> {
        if let Some(number) = self.numbers.get(address) {
            return Ok(*number);
        }
        let number = self.view.object(&ObjectKey::account(address))?.map(|object| object.index.index());
        self.numbers.insert(*address, number);
        Ok(number)
    }

    fn address(&mut self, number: u32) -> Result<Address, PostedError> {
        if let Some(address) = self.addresses.get(&number) {
            return Ok(*address);
        }
        let index = ObjectIndex::new(number).ok_or(PostedError::NoAccount(number))?;
        let (key, value) = self.view.object_at(index)?.ok_or(PostedError::NoAccount(number))?;
        if !key.is_of(ObjectClass::Account) {
            return Err(PostedError::NoAccount(number));
        }
        let record = AccountRecord::from_bytes(value)?;
        self.addresses.insert(number, record.address);
        self.numbers.insert(record.address, Some(number));
        Ok(record.address)
    }

    /// The sequence number that the next transaction of `sender` in `lane` has.
    fn take_seq(&mut self, sender: Address, lane: u8) -> Result<u64, PostedError> {
        let next = match self.next.get_mut(&(sender, lane)) {
            Some(next) => next,
            None => {
                let object = self.view.object(&ObjectKey::account(&sender))?;
                let first = match object {
                    Some(object) => AccountRecord::from_bytes(object.value)?.next_in_lane(lane),
                    None => 0,
                };
                self.next.entry((sender, lane)).or_insert(first)
            }
        };
        let seq = *next;
        // A lane that is used up is refused when the batch is executed.
        *next = next.saturating_add(1);
        Ok(seq)
    }
}
