//! From bytes to [`Verified`]: whatever can be checked of a transaction before its place in the order is known.

use ghostplane_ghostcipher::ed25519::{Item, PreparedKey, verify_batch};
use ghostplane_ghostcipher::workers::{Workers, map_chunks};
use ghostplane_ghostcipher::{Digest, Domain, VerificationKey, signing_bytes};
use ghostplane_keystone::{Missing, StateView};
use ghostplane_types::limits::{BATCH_GAS_MAX, TRANSACTION_BYTES_MAX};
use ghostplane_types::{
    AccountRecord, Address, Decode, Encode, InboxEntry, InboxPayload, KeyRef, ObjectKey, PublicKey, Reject, Transaction,
    TransactionBody, gas,
};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::collections::BTreeMap;

use crate::{FixedState, Plane};

/// A transaction made for this plane whose signature holds under [`Verified::key`].
///
/// Whether that key may act for the sender is decided when the transaction is executed: an earlier one may change the keys.
#[derive(Clone, Debug)]
pub struct Verified {
    transaction: Transaction,
    id: Digest,
    key: PublicKey,
    gas_intrinsic: u64,
}

impl Verified {
    /// What was signed.
    pub fn body(&self) -> &TransactionBody {
        &self.transaction.body
    }

    /// The transaction as it travelled.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Its id.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The key that signed.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// What it costs whatever comes of it.
    pub fn gas_intrinsic(&self) -> u64 {
        self.gas_intrinsic
    }
}

/// An inbox entry ready to be executed. A forced transaction that does not verify is consumed and refused, never skipped.
#[derive(Clone, Debug)]
pub struct CheckedEntry {
    entry: InboxEntry,
    forced: Option<Result<Box<Verified>, Reject>>,
    sender: Option<Address>,
}

impl CheckedEntry {
    /// The entry as the L1 has it.
    pub fn entry(&self) -> &InboxEntry {
        &self.entry
    }

    /// For a forced transaction, what came of checking it.
    pub fn forced(&self) -> Option<&Result<Box<Verified>, Reject>> {
        self.forced.as_ref()
    }

    /// Whose record was read to check it.
    pub(crate) fn sender(&self) -> Option<&Address> {
        self.sender.as_ref()
    }
}

/// How many transactions one job verifies: large enough for the batch equation, small enough to spread.
const VERIFY_CHUNK: usize = 512;

/// Checks many transactions at once: plane, gas bounds, and signatures in batches. The answers come in the same order.
///
/// `view` supplies registered keys; an identity that an earlier transaction of the list carries counts as well.
pub fn verify_all(
    plane: &Plane,
    view: &impl StateView,
    workers: &dyn Workers,
    transactions: Vec<Transaction>,
) -> Result<Vec<Result<Verified, Reject>>, Missing> {
    verify_with(plane, view, &mut KnownKeys::new(view), workers, transactions)
}

/// [`verify_all`] after other transactions, whose keys are remembered.
pub(crate) fn verify_with(
    plane: &Plane,
    view: &impl StateView,
    keys: &mut KnownKeys,
    workers: &dyn Workers,
    transactions: Vec<Transaction>,
) -> Result<Vec<Result<Verified, Reject>>, Missing> {
    let mut named = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let key = keys.key_of(view, &transaction.body)?;
        named.push((transaction, key));
    }
    let checked = map_chunks(workers, &named, VERIFY_CHUNK, |chunk| verify_chunk(plane, chunk));
    Ok(checked.into_iter().flatten().collect())
}

/// Checks inbox entries; see [`verify_all`] for the transactions among them.
pub fn check_inbox(plane: &Plane, view: &impl StateView, entries: &[InboxEntry]) -> Result<Vec<CheckedEntry>, Missing> {
    check_inbox_with(plane, view, &mut KnownKeys::new(view), entries)
}

/// [`check_inbox`], remembering the keys for the transactions that follow.
pub(crate) fn check_inbox_with(
    plane: &Plane,
    view: &impl StateView,
    keys: &mut KnownKeys,
    entries: &[InboxEntry],
) -> Result<Vec<CheckedEntry>, Missing> {
    let mut checked = Vec::with_capacity(entries.len());
    for entry in entries {
        let (sender, forced) = match &entry.payload {
            InboxPayload::Deposit { .. } => (None, None),
            InboxPayload::Forced { transaction } => match Transaction::decode_bounded(transaction) {
                Ok(transaction) => {
                    (Some(transaction.body.sender), Some(check_forced(plane, view, keys, transaction)?))
                }
                Err(reject) => (None, Some(Err(reject))),
            },
        };
        checked.push(CheckedEntry { entry: entry.clone(), forced, sender });
    }
    Ok(checked)
}

fn check_forced(
    plane: &Plane,
    view: &impl StateView,
    keys: &mut KnownKeys,
    transaction: Transaction,
) -> Result<Result<Box<Verified>, Reject>, Missing> {
    let key = keys.key_of(view, &transaction.body)?;
    let checked = verify_chunk(plane, &[(transaction, key)]).pop().expect("one in, one out");
    Ok(checked.map(Box::new))
}

/// Keys of senders, looked up once each.
pub(crate) struct KnownKeys {
    by_sender: HashMap<Address, Vec<PublicKey>, FixedState>,
}

impl KnownKeys {
    pub(crate) fn new(view: &impl StateView) -> Self {
        Self { by_sender: HashMap::with_hasher(crate::hash_seed(view)) }
    }

    /// The key that has to verify. Missing state is not the sender's fault; everything else that is wrong is.
    fn key_of(&mut self, view: &impl StateView, body: &TransactionBody) -> Result<Result<PublicKey, Reject>, Missing> {
        if let KeyRef::Carried(gid) = &body.key_ref {
            if gid.chain_id != body.chain_id || gid.address() != body.sender {
                return Ok(Err(Reject::AddressMismatch { found: gid.address() }));
            }
            // Remembered for the rest of the list, unless the account has keys of its own already.
            let keys = self.keys(view, body.sender)?;
            if keys.is_empty() {
                keys.push(gid.public_key);
            }
            return Ok(Ok(gid.public_key));
        }
        let KeyRef::Registered(position) = body.key_ref else { unreachable!("the other variant returned above") };
        let keys = self.keys(view, body.sender)?;
        Ok(match keys.get(usize::from(position)) {
            Some(key) => Ok(*key),
            None if keys.is_empty() => Err(Reject::KeyRequired),
            None => Err(Reject::UnknownKey { key_ref: position }),
        })
    }

    fn keys(&mut self, view: &impl StateView, sender: Address) -> Result<&mut Vec<PublicKey>, Missing> {
        match self.by_sender.entry(sender) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(vacant) => {
                let object = view.object(&ObjectKey::account(&sender))?;
                // Bytes that are no record cannot come from an honest state; execution reports them as inconsistent.
                let record = object.and_then(|object| AccountRecord::from_bytes(object.value).ok());
                let keys = record.and_then(|record| record.identity).map(|identity| identity.keys);
                Ok(vacant.insert(keys.unwrap_or_default()))
            }
        }
    }
}

/// Verifies transactions whose keys are known, all signatures by one equation where it holds.
fn verify_chunk(plane: &Plane, named: &[(Transaction, Result<PublicKey, Reject>)]) -> Vec<Result<Verified, Reject>> {
    let opened: Vec<Result<Opened, Reject>> =
        named.iter().map(|(transaction, key)| Opened::new(plane, transaction, key)).collect();
    let mut prepared = PreparedKeys { keys: Vec::new(), positions: BTreeMap::new() };
    let at: Vec<Option<usize>> =
        opened.iter().map(|opened| opened.as_ref().ok().and_then(|opened| prepared.position(&opened.key))).collect();

    let in_batch: Vec<usize> = (0..named.len()).filter(|&i| at[i].is_some()).collect();
    let items: Vec<Item<'_>> = in_batch
        .iter()
        .map(|&i| {
            let opened = opened[i].as_ref().expect("only transactions that opened have a prepared key");
            Item {
                key: &prepared.keys[at[i].expect("filtered above")],
                message: signing_bytes(Domain::TransactionAuth, plane.chain_id(), &opened.id),
                signature: &named[i].0.auth,
            }
        })
        .collect();
    let mut signature_holds = vec![true; named.len()];
    if let Err(failing) = verify_batch(&items) {
        failing.into_iter().for_each(|at| signature_holds[in_batch[at]] = false);
    }

    let finish = |(i, opened): (usize, Result<Opened, Reject>)| {
        let opened = opened?;
        if at[i].is_none() {
            return Err(Reject::BadKey);
        }
        if !signature_holds[i] {
            return Err(Reject::BadSignature);
        }
        let key = PublicKey::Ed25519(opened.key);
        Ok(Verified { transaction: named[i].0.clone(), id: opened.id, key, gas_intrinsic: opened.gas_intrinsic })
    };
    opened.into_iter().enumerate().map(finish).collect()
}

/// A transaction that is for this plane and within its bounds; only the signature is open.
struct Opened {
    id: Digest,
    key: VerificationKey,
    gas_intrinsic: u64,
}

impl Opened {
    fn new(plane: &Plane, transaction: &Transaction, key: &Result<PublicKey, Reject>) -> Result<Self, Reject> {
        let body = &transaction.body;
        if body.chain_id != plane.chain_id() {
            return Err(Reject::WrongChain { found: body.chain_id, expected: plane.chain_id() });
        }
        if body.plane_id != plane.plane_id() {
            return Err(Reject::WrongPlane { found: body.plane_id, expected: plane.plane_id() });
        }
        let encoded = body.to_bytes();
        let bytes = encoded.len() + Transaction::CONSENT_BYTES;
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(Reject::Oversized { bytes, limit: TRANSACTION_BYTES_MAX });
        }
        let gas_intrinsic = gas::intrinsic(bytes, body.actions.len());
        if body.gas_limit < gas_intrinsic {
            return Err(Reject::GasLimitTooLow { found: body.gas_limit, needed: gas_intrinsic });
        }
        if body.gas_limit > BATCH_GAS_MAX {
            return Err(Reject::GasLimitTooHigh { found: body.gas_limit, limit: BATCH_GAS_MAX });
        }
        let PublicKey::Ed25519(key) = key.clone()?;
        Ok(Self { id: TransactionBody::id_of_bytes(body.chain_id, &encoded), key, gas_intrinsic })
    }
}

/// Decompressed keys of one chunk, each once.
struct PreparedKeys {
    keys: Vec<PreparedKey>,
    positions: BTreeMap<VerificationKey, Option<usize>>,
}

impl PreparedKeys {
    /// Where the key is in `keys`; `None` if it is not usable: no curve point, or of small order.
    fn position(&mut self, key: &VerificationKey) -> Option<usize> {
        let keys = &mut self.keys;
        *self.positions.entry(*key).or_insert_with(|| {
            let usable = VerificationKey::parse(*key.as_bytes()).and_then(|key| PreparedKey::new(&key)).ok()?;
            keys.push(usable);
            Some(keys.len() - 1)
        })
    }
}
