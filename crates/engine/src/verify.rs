//! From bytes to [`Verified`]: whatever can be checked of a transaction before its place in the order is known.

use ghostplane_ghostcipher::ed25519::{Item, verify_batch};
use ghostplane_ghostcipher::workers::{Serial, Workers, map_chunks};
use ghostplane_ghostcipher::{Digest, Domain, signing_bytes};
use ghostplane_keystone::{Missing, StateView};
use ghostplane_types::limits::{BATCH_GAS_MAX, TRANSACTION_BYTES_MAX};
use ghostplane_types::{
    AccountRecord, Address, Auth, Decode, Encode, Few, Holder, InboxEntry, InboxPayload, KeyRef, ObjectKey,
    PreparedKey, PublicKey, Reject, Scheme, Transaction, TransactionBody, gas,
};
use hashbrown::HashMap;
use std::borrow::Cow;

use crate::execute::check_reach;
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
    is_plain: bool,
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
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What it costs whatever comes of it.
    pub fn gas_intrinsic(&self) -> u64 {
        self.gas_intrinsic
    }

    /// Whether it only moves money, and nobody else approves it or pays for it: what it touches can be told from its parties.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }
}

/// An inbox entry ready to be executed. A forced transaction that does not verify is consumed and refused, never skipped.
#[derive(Clone, Debug)]
pub struct CheckedEntry {
    entry: InboxEntry,
    forced: Option<Result<Box<Verified>, Reject>>,
    sender: Option<Address>,
    consent_gas: u64,
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

    /// What checking the consent to a forced transaction took, its approvals included.
    pub(crate) fn consent_gas(&self) -> u64 {
        self.consent_gas
    }
}

/// How many transactions one job opens, or how many keys it decompresses: enough to be worth a job.
const OPEN_CHUNK: usize = 256;
/// How many signatures one job verifies at most, and at least if there are more jobs to spread: the more stand in one
/// equation, the cheaper each is, and the fewer keys stand in several.
const VERIFY_CHUNK_MAX: usize = 2048;
const VERIFY_CHUNK_MIN: usize = 256;
/// How many signatures one job verifies of the schemes that have no equation for many.
const SINGLE_CHUNK: usize = 16;

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
    for transaction in &transactions {
        if needs_keys(&transaction.body) {
            keys.learn_from(view, *transaction.body.signs())?;
        }
        named.push((transaction, keys.key_of(&transaction.body)));
    }
    let Checked { opened, .. } = check(plane, keys.seed(), workers, &named, |_| None);
    Ok(transactions.into_iter().zip(opened).map(|(transaction, opened)| Ok(opened?.verified(transaction))).collect())
}

/// A transaction as if whatever consent it carries held: for advice, and nothing else.
pub(crate) fn unsigned(
    plane: &Plane,
    view: &impl StateView,
    transaction: Transaction,
) -> Result<Result<Verified, Reject>, Missing> {
    let mut keys = KnownKeys::new(view);
    if needs_keys(&transaction.body) {
        keys.learn_from(view, *transaction.body.signs())?;
    }
    let key = keys.key_of(&transaction.body);
    Ok(Opened::new(plane, &transaction, &key).map(|opened| opened.verified(transaction)))
}

/// What came of checking transactions.
pub(crate) struct Checked<'r> {
    /// One for each transaction, in order.
    pub(crate) opened: Vec<Result<Opened, Reject>>,
    /// The keys that they named.
    pub(crate) keys: DistinctKeys<'r>,
}

/// Checks transactions with the keys that they name. `remembered` may know the key of the transaction at some place.
pub(crate) fn check<'r>(
    plane: &Plane,
    seed: FixedState,
    workers: &dyn Workers,
    named: &[(&Transaction, Result<PublicKey, Reject>)],
    remembered: impl Fn(usize) -> Option<&'r PreparedKey>,
) -> Checked<'r> {
    let opened = map_chunks(workers, named, OPEN_CHUNK, |named| {
        named.iter().map(|(transaction, key)| Opened::new(plane, transaction, key)).collect()
    });
    let mut opened: Vec<Result<Opened, Reject>> = opened.into_iter().flat_map(|opened: Vec<_>| opened).collect();
    let keys = verify_opened(plane, seed, workers, named, &mut opened, remembered);
    Checked { opened, keys }
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
        let consent_gas = gas::consent(Scheme::Ed25519);
        let mut checked_entry = CheckedEntry { entry: entry.clone(), forced: None, sender: None, consent_gas };
        if let InboxPayload::Forced { transaction } = &entry.payload {
            match Transaction::decode_bounded(transaction) {
                Ok(transaction) => {
                    checked_entry.sender = Some(*transaction.body.signs());
                    let verified = verify_with(plane, view, keys, &Serial, vec![transaction.clone()])?.pop();
                    let verified = verified.expect("one in, one out");
                    let verified = verified.and_then(|verified| {
                        check_reach(plane, view, &verified)?;
                        Ok(Box::new(verified))
                    });
                    checked_entry.forced = Some(verified);
                    let scheme = keys.key_of(&transaction.body).map_or(Scheme::Ed25519, |key| key.scheme());
                    let others = transaction.consents_of_others().map(|consent| consent.key.scheme());
                    checked_entry.consent_gas = gas::consent(scheme) + gas::approvals(others);
                }
                Err(reject) => checked_entry.forced = Some(Err(reject)),
            }
        }
        checked.push(checked_entry);
    }
    Ok(checked)
}

/// The keys that may sign for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderKeys {
    /// Its own, by position; none if it is not registered.
    pub keys: Few<PublicKey, 1>,
    /// Those that hold its sessions, with their lanes.
    pub sessions: Vec<(u8, Holder)>,
}

impl SenderKeys {
    /// The keys in a record.
    pub fn of(record: &AccountRecord) -> Self {
        let Some(identity) = &record.identity else { return Self::default() };
        let sessions = record.gates.as_ref().map_or(&[][..], |gates| &gates.sessions);
        let sessions = sessions.iter().map(|live| (live.session.lane, live.session.holder)).collect();
        Self { keys: identity.keys.clone(), sessions }
    }

    /// Who holds the session of a lane.
    pub fn session(&self, lane: u8) -> Option<&Holder> {
        self.sessions.iter().find(|(known, _)| *known == lane).map(|(_, holder)| holder)
    }
}

/// The keys that a state has registered for an account; none if it has no account or no identity there.
pub fn registered_keys(view: &impl StateView, sender: &Address) -> Result<SenderKeys, Missing> {
    let object = view.object(&ObjectKey::account(sender))?;
    // Bytes that are no record cannot come from an honest state; execution reports them as inconsistent.
    let record = object.and_then(|object| AccountRecord::from_bytes(object.value).ok());
    Ok(record.map(|record| SenderKeys::of(&record)).unwrap_or_default())
}

/// Whether it takes the keys of an account to check this: of [`TransactionBody::signs`]. An identity that is not the sender's is
/// refused without.
fn needs_keys(body: &TransactionBody) -> bool {
    match &body.key_ref {
        KeyRef::Carried(gid) => gid.chain_id == body.chain_id && gid.address() == body.sender,
        _ => true,
    }
}

/// Keys of senders, looked up once each.
pub(crate) struct KnownKeys {
    by_sender: HashMap<Address, Known, FixedState>,
}

#[derive(Default)]
struct Known {
    keys: SenderKeys,
    /// Whether the state has them. Otherwise an earlier transaction carried them.
    are_registered: bool,
}

impl KnownKeys {
    pub(crate) fn new(view: &impl StateView) -> Self {
        Self::with_seed(crate::hash_seed(view))
    }

    pub(crate) fn with_seed(seed: FixedState) -> Self {
        Self { by_sender: HashMap::with_hasher(seed) }
    }

    fn seed(&self) -> FixedState {
        self.by_sender.hasher().clone()
    }

    /// Whether anything is known of the sender.
    pub(crate) fn has(&self, sender: &Address) -> bool {
        self.by_sender.contains_key(sender)
    }

    /// Whether these are keys that the state has.
    pub(crate) fn are_registered(&self, sender: &Address) -> bool {
        self.by_sender.get(sender).is_some_and(|known| known.are_registered)
    }

    /// Notes what the state has registered for a sender.
    pub(crate) fn learn(&mut self, sender: Address, keys: SenderKeys) {
        self.by_sender.insert(sender, Known { are_registered: !keys.keys.is_empty(), keys });
    }

    fn learn_from(&mut self, view: &impl StateView, sender: Address) -> Result<(), Missing> {
        if !self.has(&sender) {
            self.learn(sender, registered_keys(view, &sender)?);
        }
        Ok(())
    }

    /// The key that has to verify, once the sender's keys are known.
    pub(crate) fn key_of(&mut self, body: &TransactionBody) -> Result<PublicKey, Reject> {
        match body.key_ref {
            KeyRef::Carried(gid) => {
                if !needs_keys(body) {
                    return Err(Reject::AddressMismatch { found: gid.address() });
                }
                // Remembered for the rest of the list, unless the account has keys of its own already.
                let keys = &mut self.by_sender.entry(body.sender).or_default().keys.keys;
                if keys.is_empty() {
                    keys.push(gid.public_key);
                }
                Ok(gid.public_key)
            }
            KeyRef::Registered(position)
            | KeyRef::RegisteredPasskey(position)
            | KeyRef::Delegate { position, .. }
            | KeyRef::DelegatePasskey { position, .. } => {
                let keys = self.by_sender.get(body.signs()).map_or(&[][..], |known| &known.keys.keys);
                let unknown =
                    if keys.is_empty() { Reject::KeyRequired } else { Reject::UnknownKey { key_ref: position } };
                keys.get(usize::from(position)).copied().ok_or(unknown)
            }
            KeyRef::Session => {
                let lane = body.nonce.lane;
                let known = self.by_sender.get(&body.sender).filter(|known| !known.keys.keys.is_empty());
                let known = known.ok_or(Reject::KeyRequired)?;
                let key = known.keys.session(lane).and_then(Holder::key);
                key.copied().ok_or(Reject::SessionUnknown { lane })
            }
        }
    }
}

/// The keys of many signatures, each once and decompressed, however many it signs.
pub(crate) struct DistinctKeys<'r> {
    places: HashMap<PublicKey, usize, FixedState>,
    /// `None` where the bytes are no key.
    prepared: Vec<Option<Cow<'r, PreparedKey>>>,
}

impl DistinctKeys<'_> {
    /// The decompressed key.
    pub(crate) fn prepared(&self, key: &PublicKey) -> Option<&PreparedKey> {
        self.prepared[*self.places.get(key)?].as_deref()
    }
}

/// Verifies the signatures of what opened: those of Ed25519 many by one equation where it holds, the others one by one.
/// What fails is refused in its place.
fn verify_opened<'r>(
    plane: &Plane,
    seed: FixedState,
    workers: &dyn Workers,
    named: &[(&Transaction, Result<PublicKey, Reject>)],
    checked: &mut [Result<Opened, Reject>],
    remembered: impl Fn(usize) -> Option<&'r PreparedKey>,
) -> DistinctKeys<'r> {
    let mut places: HashMap<PublicKey, usize, FixedState> = HashMap::with_hasher(seed);
    let mut distinct: Vec<(PublicKey, Option<&'r PreparedKey>)> = Vec::new();
    let mut signed: Vec<Signed> = Vec::with_capacity(checked.len());
    let mut single: Vec<Signed> = Vec::new();
    for (at, opened) in checked.iter().enumerate() {
        let Ok(Opened { id, key, .. }) = opened else { continue };
        let place = *places.entry(*key).or_insert_with(|| {
            distinct.push((*key, remembered(at).filter(|remembered| remembered.public_key() == *key)));
            distinct.len() - 1
        });
        let of_scheme = if key.scheme() == Scheme::Ed25519 { &mut signed } else { &mut single };
        of_scheme.push(Signed { at, place, id: *id, by: By::Sender });
        let approvals = (0..).zip(&named[at].0.approvals).map(|(at, given)| (By::Approval(at), given));
        let sponsorship = named[at].0.sponsorship.as_deref().map(|given| (By::Sponsor, given));
        for (by, given) in approvals.chain(sponsorship) {
            let place = *places.entry(given.key).or_insert_with(|| {
                distinct.push((given.key, None));
                distinct.len() - 1
            });
            let of_scheme = if given.key.scheme() == Scheme::Ed25519 { &mut signed } else { &mut single };
            of_scheme.push(Signed { at, place, id: *id, by });
        }
    }
    let prepared = map_chunks(workers, &distinct, OPEN_CHUNK, |keys| {
        let prepare = |(key, remembered): &(PublicKey, Option<&'r PreparedKey>)| match remembered {
            Some(remembered) => Some(Cow::Borrowed(*remembered)),
            None => PreparedKey::parse(key).ok().map(Cow::Owned),
        };
        keys.iter().map(prepare).collect()
    });
    let prepared: Vec<Option<Cow<'r, PreparedKey>>> =
        prepared.into_iter().flat_map(|prepared: Vec<_>| prepared).collect();

    let chunk = signed.len().div_ceil(workers.count().max(1)).clamp(VERIFY_CHUNK_MIN, VERIFY_CHUNK_MAX);
    let failing = map_chunks(workers, &signed, chunk, |signed| {
        let mut failing = Vec::new();
        let (mut of, mut items) = (Vec::with_capacity(signed.len()), Vec::with_capacity(signed.len()));
        for signed in signed {
            let (domain, auth) = signed.consent(named);
            match (prepared[signed.place].as_deref(), auth) {
                (Some(PreparedKey::Ed25519(key)), Auth::Signature(signature)) => {
                    let message = signing_bytes(domain, plane.chain_id(), &signed.id);
                    of.push((signed.at, signed.by));
                    items.push(Item { key, message, signature });
                }
                (Some(_), _) => failing.push((signed.at, signed.by)),
                (None, _) => {}
            }
        }
        failing.extend(verify_batch(&items).err().unwrap_or_default().into_iter().map(|failed| of[failed]));
        failing
    });
    let failing_single = map_chunks(workers, &single, SINGLE_CHUNK, |single| {
        let holds = |signed: &Signed| {
            let (domain, auth) = signed.consent(named);
            let key = prepared[signed.place].as_deref();
            key.is_none_or(|key| key.verify(domain, plane.chain_id(), &signed.id, auth).is_ok())
        };
        single.iter().filter(|signed| !holds(signed)).map(|signed| (signed.at, signed.by)).collect()
    });
    let failing = failing.into_iter().chain(failing_single);
    let failing = failing.flat_map(|failing: Vec<(usize, By)>| failing);
    let unusable = signed.iter().chain(&single).filter(|signed| prepared[signed.place].is_none());
    let mut refused: Vec<(usize, By, bool)> = failing.map(|(at, by)| (at, by, true)).collect();
    refused.extend(unusable.map(|signed| (signed.at, signed.by, false)));
    // The sender's own signature counts before those of others, and theirs in order.
    refused.sort_unstable();
    refused.dedup_by_key(|(at, ..)| *at);
    for (at, by, has_key) in refused {
        checked[at] = Err(match by {
            By::Sender if has_key => Reject::BadSignature,
            By::Sender => Reject::BadKey,
            By::Approval(approval) => Reject::BadApproval { key: named[at].0.approvals[approval].key },
            By::Sponsor => Reject::BadSponsorship,
        });
    }
    DistinctKeys { places, prepared }
}

/// Whose consent to a transaction, in the order in which they count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Sender,
    /// Somebody else's, by the place of the approval.
    Approval(usize),
    Sponsor,
}

/// Consent to verify: of which transaction, by which of the distinct keys, to what.
struct Signed {
    at: usize,
    place: usize,
    id: Digest,
    by: By,
}

impl Signed {
    /// What is to be verified, and under which domain.
    fn consent<'t>(&self, named: &[(&'t Transaction, Result<PublicKey, Reject>)]) -> (Domain, &'t Auth) {
        let transaction = named[self.at].0;
        match (self.by, &transaction.sponsorship) {
            (By::Approval(approval), _) => (Domain::Approval, &transaction.approvals[approval].auth),
            (By::Sponsor, Some(sponsorship)) => (Domain::Sponsor, &sponsorship.auth),
            (By::Sender | By::Sponsor, _) => (Domain::TransactionAuth, &transaction.auth),
        }
    }
}

/// A transaction that is for this plane and within its bounds; only the signature is open.
pub(crate) struct Opened {
    id: Digest,
    pub(crate) key: PublicKey,
    gas_intrinsic: u64,
    is_plain: bool,
}

impl Opened {
    /// The transaction, now that its signature holds.
    pub(crate) fn verified(self, transaction: Transaction) -> Verified {
        let Self { id, key, gas_intrinsic, is_plain } = self;
        Verified { transaction, id, key, gas_intrinsic, is_plain }
    }

    fn new(plane: &Plane, transaction: &Transaction, key: &Result<PublicKey, Reject>) -> Result<Self, Reject> {
        let body = &transaction.body;
        if body.chain_id != plane.chain_id() {
            return Err(Reject::WrongChain { found: body.chain_id, expected: plane.chain_id() });
        }
        if body.plane_id != plane.plane_id() {
            return Err(Reject::WrongPlane { found: body.plane_id, expected: plane.plane_id() });
        }
        let encoded = body.to_bytes();
        let bytes = encoded.len() + transaction.consent_bytes();
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(Reject::Oversized { bytes, limit: TRANSACTION_BYTES_MAX });
        }
        // Without a key nothing is verified, so it does not matter what that would cost.
        let scheme = key.as_ref().map_or(Scheme::Ed25519, PublicKey::scheme);
        let approvals = &transaction.approvals;
        let of_others = gas::approvals(transaction.consents_of_others().map(|consent| consent.key.scheme()));
        let gas_intrinsic = gas::intrinsic(scheme, bytes, body.actions.len()) + of_others;
        if body.gas_limit < gas_intrinsic {
            return Err(Reject::GasLimitTooLow { found: body.gas_limit, needed: gas_intrinsic });
        }
        if body.gas_limit > BATCH_GAS_MAX {
            return Err(Reject::GasLimitTooHigh { found: body.gas_limit, limit: BATCH_GAS_MAX });
        }
        let key = key.clone()?;
        // Bytes cannot say this, only a caller who puts a transaction together.
        if transaction.auth.form() != body.key_ref.consent_form() {
            return Err(Reject::BadSignature);
        }
        let is_twice = |at: usize| approvals[..at].iter().any(|other| other.key == approvals[at].key);
        if (1..approvals.len()).any(is_twice) {
            return Err(Reject::ApprovalTwice);
        }
        let sponsor = body.pay.sponsor();
        let is_own = sponsor.is_some_and(|of| of.sponsor == body.sender);
        if is_own || sponsor.is_some() != transaction.sponsorship.is_some() {
            return Err(Reject::BadSponsorship);
        }
        let is_plain = approvals.is_empty()
            && sponsor.is_none()
            && body.key_ref.delegate().is_none()
            && body.actions.iter().all(|action| action.moves().is_some());
        Ok(Self { id: TransactionBody::id_of_bytes(body.chain_id, &encoded), key, gas_intrinsic, is_plain })
    }
}
