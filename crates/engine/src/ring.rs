//! Keys that are kept from call to call, for a node that sees the same senders again and again.

use crate::verify::{Checked, KnownKeys, Opened, SenderKeys, Verified, check};
use crate::{FixedState, Plane};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_types::{Address, KeyRef, PreparedKey, PublicKey, Reject, Transaction, TransactionBody};
use hashbrown::HashMap;

/// So many keys of senders, decompressed. A key is added once a signature held under it and the state has it; when the ring
/// is full, it takes the place of one that was not used for a whole round.
///
/// It belongs to one thread. What is in it was true of some state once: whether a key still may act for its account is
/// decided when the transaction is executed. After the state went back behind a batch, [`KeyRing::clear`] it.
#[derive(Debug)]
pub struct KeyRing {
    capacity: usize,
    places: HashMap<Of, usize, FixedState>,
    entries: Vec<Entry>,
    hand: usize,
}

/// Whose key, and which.
type Of = (Address, Which);

/// Which of the keys that may sign for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    /// One of its own, by position.
    Registered(u8),
    /// That of the session of a lane.
    Session(u8),
}

/// The key that a transaction names in the state, rather than to carry it: of those of [`TransactionBody::signs`].
fn named(body: &TransactionBody) -> Option<Which> {
    match body.key_ref {
        KeyRef::Registered(position)
        | KeyRef::RegisteredPasskey(position)
        | KeyRef::Delegate { position, .. }
        | KeyRef::DelegatePasskey { position, .. } => Some(Which::Registered(position)),
        KeyRef::Session => Some(Which::Session(body.nonce.lane)),
        KeyRef::Carried(_) => None,
    }
}

#[derive(Debug)]
struct Entry {
    of: Of,
    key: PreparedKey,
    was_used: bool,
}

impl KeyRing {
    /// An empty ring for so many keys. Who does not know the seed cannot pick addresses that collide in it.
    pub fn new(capacity: usize, hash_seed: u64) -> Self {
        let places = HashMap::with_hasher(FixedState::with_seed(hash_seed));
        Self { capacity, places, entries: Vec::new(), hand: 0 }
    }

    /// The most keys that it holds.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many keys are in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.places.clear();
        self.entries.clear();
        self.hand = 0;
    }

    fn seed(&self) -> FixedState {
        self.places.hasher().clone()
    }

    /// Where the key is that a transaction names, if it is here. A carried one is most often the account's first.
    fn place_of(&mut self, body: &TransactionBody) -> Option<usize> {
        let carried = if let KeyRef::Carried(gid) = &body.key_ref { Some(gid.public_key) } else { None };
        let which = named(body).unwrap_or(Which::Registered(0));
        let place = *self.places.get(&(*body.signs(), which))?;
        let entry = &mut self.entries[place];
        if carried.is_some_and(|carried| carried != entry.key.public_key()) {
            return None;
        }
        entry.was_used = true;
        Some(place)
    }

    fn insert(&mut self, of: Of, key: PreparedKey) {
        let entry = Entry { of, key, was_used: true };
        if let Some(place) = self.places.get(&of) {
            self.entries[*place] = entry;
        } else if self.entries.len() < self.capacity {
            self.places.insert(of, self.entries.len());
            self.entries.push(entry);
        } else if self.capacity > 0 {
            while std::mem::take(&mut self.entries[self.hand].was_used) {
                self.hand = (self.hand + 1) % self.capacity;
            }
            self.places.remove(&self.entries[self.hand].of);
            self.places.insert(of, self.hand);
            self.entries[self.hand] = entry;
            self.hand = (self.hand + 1) % self.capacity;
        }
    }

    /// Forgets one key: the last one takes its place.
    fn remove(&mut self, of: &Of) {
        let Some(place) = self.places.remove(of) else { return };
        self.entries.swap_remove(place);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(moved.of, place);
        }
        self.hand = 0;
    }
}

/// [`verify_all`](crate::verify_all) on one thread, with the keys on the ring instead of the state's where it has them.
///
/// `look_up` is given addresses, each once, and answers with what [`registered_keys`](crate::registered_keys) says of each.
/// It is called for senders that the ring does not know, before any signature is verified, and at most once more: for
/// those whose signatures fail under a remembered key, as that may have been replaced. What it fails with comes back.
///
/// # Panics
/// If `look_up` answers for more or fewer addresses than it was given.
pub fn verify_ring<E>(
    plane: &Plane,
    ring: &mut KeyRing,
    mut look_up: impl FnMut(&[Address]) -> Result<Vec<SenderKeys>, E>,
    transactions: Vec<Transaction>,
) -> Result<Vec<Result<Verified, Reject>>, E> {
    let remembered: Vec<Option<usize>> =
        transactions.iter().map(|transaction| ring.place_of(&transaction.body)).collect();
    let missed = transactions.iter().zip(&remembered).filter(|(transaction, remembered)| {
        // Whether a carried identity holds does not depend on what is registered.
        remembered.is_none() && named(&transaction.body).is_some()
    });
    let missed = missed.map(|(transaction, _)| *transaction.body.signs());
    let mut keys = learn(ring, &mut look_up, missed)?;
    let with_key = transactions.iter().zip(&remembered).map(|(transaction, remembered)| {
        // A carried identity is always checked itself; the ring only saves decompressing its key.
        let key = match (remembered, named(&transaction.body)) {
            (Some(place), Some(_)) => Ok(ring.entries[*place].key.public_key()),
            _ => keys.key_of(&transaction.body),
        };
        (transaction, key)
    });
    let with_key: Vec<(&Transaction, Result<PublicKey, Reject>)> = with_key.collect();
    let known = |at: usize| remembered[at].map(|place: usize| &ring.entries[place].key);
    let mut first = check(plane, ring.seed(), &Serial, &with_key, known);
    let mut learned = worth_keeping(&first, &with_key, &keys, |at| remembered[at].is_none());

    // What checking takes depends on the scheme, so a key that was replaced by one of another may have asked for too much.
    let in_doubt = |at: usize| matches!(first.opened[at], Err(Reject::BadSignature | Reject::GasLimitTooLow { .. }));
    let failed = |at: usize| remembered[at].is_some() && in_doubt(at);
    let by_name = |at: &usize| named(&transactions[*at].body).is_some();
    let failed: Vec<usize> = (0..transactions.len()).filter(|at| failed(*at)).filter(by_name).collect();
    let mut outdated = Vec::new();
    if !failed.is_empty() {
        let mut fresh = learn(ring, &mut look_up, failed.iter().map(|at| *transactions[*at].body.signs()))?;
        let doubted: Vec<bool> = transactions.iter().map(|transaction| fresh.has(transaction.body.signs())).collect();
        // In order, as an identity that is carried counts for what follows; under the same key the answer is the same.
        let mut again = Vec::new();
        for at in (0..transactions.len()).filter(|at| doubted[*at]) {
            let key = fresh.key_of(&transactions[at].body);
            if key != with_key[at].1 {
                if let (Some(place), Some(_)) = (remembered[at], named(&transactions[at].body)) {
                    outdated.push(ring.entries[place].of);
                }
                again.push((at, key));
            }
        }
        let with_key: Vec<(&Transaction, Result<PublicKey, Reject>)> =
            again.iter().map(|(at, key)| (&transactions[*at], key.clone())).collect();
        let second = check(plane, ring.seed(), &Serial, &with_key, |_| None);
        learned.extend(worth_keeping(&second, &with_key, &fresh, |_| true));
        for ((at, _), opened) in again.into_iter().zip(second.opened) {
            first.opened[at] = opened;
        }
    }
    let opened = first.opened;
    outdated.iter().for_each(|of| ring.remove(of));
    learned.into_iter().for_each(|(of, key)| ring.insert(of, key));
    Ok(transactions.into_iter().zip(opened).map(|(transaction, opened)| Ok(opened?.verified(transaction))).collect())
}

/// Looks up what is registered for these accounts, each once.
fn learn<E>(
    ring: &KeyRing,
    look_up: &mut impl FnMut(&[Address]) -> Result<Vec<SenderKeys>, E>,
    senders: impl Iterator<Item = Address>,
) -> Result<KnownKeys, E> {
    let mut known = KnownKeys::with_seed(ring.seed());
    let mut asked = Vec::new();
    for sender in senders {
        if !known.has(&sender) {
            known.learn(sender, SenderKeys::default());
            asked.push(sender);
        }
    }
    if asked.is_empty() {
        return Ok(known);
    }
    let found = look_up(&asked)?;
    assert_eq!(found.len(), asked.len(), "one answer for each address");
    asked.into_iter().zip(found).for_each(|(sender, keys)| known.learn(sender, keys));
    Ok(known)
}

/// The keys that signatures held under and that the state has.
fn worth_keeping(
    checked: &Checked<'_>,
    with_key: &[(&Transaction, Result<PublicKey, Reject>)],
    known: &KnownKeys,
    is_new: impl Fn(usize) -> bool,
) -> Vec<(Of, PreparedKey)> {
    let mut kept = Vec::new();
    for (at, (opened, (transaction, _))) in checked.opened.iter().zip(with_key).enumerate() {
        let body = &transaction.body;
        if let (Ok(Opened { key, .. }), Some(which)) = (opened, named(body))
            && is_new(at)
            && known.are_registered(body.signs())
            && let Some(prepared) = checked.keys.prepared(key)
        {
            kept.push(((*body.signs(), which), prepared.clone()));
        }
    }
    kept
}
