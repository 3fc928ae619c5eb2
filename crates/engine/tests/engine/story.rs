//! A plane in a test: names instead of keys, and every batch judged as soon as it is sealed.

use crate::books::Books;
use crate::open_batches::{Filled, fill};
use crate::random::Random;
use ghostplane_engine::execute::InvalidBatch;
use ghostplane_engine::replay::{ProduceError, Produced, execute_posted, produce};
use ghostplane_engine::{
    Case, Halt, Plane, PostedBatch, PostedError, ProposedBatch, Pushed, SealedBatch, Verdict, Verified, check_inbox,
    execute, posted, replay, verify_all, witness,
};
use ghostplane_ghostcipher::webauthn::Authenticator;
use ghostplane_ghostcipher::workers::{Serial, Workers};
use ghostplane_ghostcipher::{Domain, SigningKey, hash, p256, secp256k1};
use ghostplane_keystone::{Changeset, Keystone, StateView};
use ghostplane_types::genesis::{CHAIN_DEV, FeeShare};
use ghostplane_types::limits::BATCH_TRANSACTIONS_MAX;
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, AssetId, BatchHeader, ConsentForm, Decode, Encode, EntityType, Genesis,
    Gid, InboxEntry, InboxPayload, KeyRef, L1Address, Money, Nonce, ObjectKey, Outcome, Pay, PlaneState, Reject,
    Signer, Slot, SlotIndex, Transaction, TransactionBody, Withdrawal,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// When the plane was founded.
pub const FOUNDED: u64 = 1_700_000_000_000;
/// What a new slot and a new account cost here.
pub const SLOT_PRICE: u64 = 100;
pub const OBJECT_PRICE: u64 = 400;
/// The L1 counts ZMAN in units of this many of the plane's.
pub const ZMAN_L1_UNIT: u64 = 1_000;

/// A plane, its L1 inbox, and the people who use it.
#[derive(Clone)]
pub struct Story {
    pub plane: Plane,
    pub keystone: Keystone,
    pub state: PlaneState,
    /// Everything the L1 ever took.
    pub inbox: Vec<InboxEntry>,
    /// Signed, in the order in which the next batch takes them.
    pub pool: Vec<Transaction>,
    /// What may not be in the next batch, in front of which place of the pool, and why.
    pub refused: Vec<(usize, Transaction, Reject)>,
    /// The time on the L1 and of the next batch.
    pub time: u64,
    /// The next sequence number that each name signs, by lane.
    seqs: BTreeMap<(String, u8), u64>,
    books: Books,
    last: Option<Batch>,
}

/// Somebody with a state of their own and sight of the L1, who can have any claim about the next batch judged.
#[derive(Clone)]
pub struct Watcher {
    pub plane: Plane,
    pub keystone: Keystone,
    pub prev: PlaneState,
    /// The inbox as far as the L1 has it, from the first entry that is open.
    pub inbox: Vec<InboxEntry>,
}

/// A sealed batch, and who watched it.
#[derive(Clone)]
pub struct Batch {
    pub before: Watcher,
    pub posted: Vec<u8>,
    pub sealed: SealedBatch,
}

impl Story {
    /// A development plane with small prices and two receivers of fees.
    pub fn new() -> Self {
        Self::of(genesis())
    }

    /// A plane on other terms.
    pub fn of(genesis: Genesis) -> Self {
        let plane = Plane::new(genesis).expect("terms of a test");
        let mut keystone = Keystone::new(1);
        let roots = keystone.apply(&plane.founding_changes().expect("a genesis"), &Serial).expect("an empty state");
        Self {
            state: plane.genesis_state(roots),
            plane,
            keystone,
            inbox: Vec::new(),
            pool: Vec::new(),
            refused: Vec::new(),
            time: FOUNDED,
            seqs: BTreeMap::new(),
            books: Books::default(),
            last: None,
        }
    }

    // What people do.

    /// Pays in on the L1.
    pub fn deposit(&mut self, to: &str, money: Money) -> &mut Self {
        self.deposit_to(address(to), money)
    }

    pub fn deposit_to(&mut self, to: Address, money: Money) -> &mut Self {
        let from = l1_address("depositor");
        self.post_to_inbox(InboxPayload::Deposit { from, to, asset: money.asset, amount: money.amount })
    }

    pub fn transfer(&mut self, from: &str, to: &str, money: Money) -> &mut Self {
        self.act(from, &[pay(to, money)])
    }

    pub fn withdraw(&mut self, from: &str, money: Money) -> &mut Self {
        self.act(from, &[leave(from, money)])
    }

    /// One transaction with these actions.
    pub fn act(&mut self, sender: &str, actions: &[Action]) -> &mut Self {
        let body = self.body(sender, Nonce::LANE_ROOT, actions);
        self.send(sender, body)
    }

    /// One transaction through the inbox, past the operator.
    pub fn force(&mut self, sender: &str, actions: &[Action]) -> &mut Self {
        let body = self.body(sender, Nonce::LANE_FORCED, actions);
        self.count(sender, &body);
        self.force_bytes(&sign(sender, body).to_bytes())
    }

    pub fn force_bytes(&mut self, transaction: &[u8]) -> &mut Self {
        self.post_to_inbox(InboxPayload::Forced { transaction: transaction.to_vec() })
    }

    /// Signs a body and puts it into the pool.
    pub fn send(&mut self, sender: &str, body: TransactionBody) -> &mut Self {
        self.count(sender, &body);
        self.pool.push(sign(sender, body));
        self
    }

    /// Lets time pass on the L1.
    pub fn wait(&mut self, milliseconds: u64) -> &mut Self {
        self.time += milliseconds;
        self
    }

    fn post_to_inbox(&mut self, payload: InboxPayload) -> &mut Self {
        let index = self.inbox.len() as u64;
        self.inbox.push(InboxEntry { index, l1_height: index / 4, l1_time: self.time, payload });
        self
    }

    /// What `sender` would sign next: the first transaction carries the identity.
    pub fn body(&self, sender: &str, lane: u8, actions: &[Action]) -> TransactionBody {
        let used = |(name, _): &(String, u8)| name == sender;
        let registered = self.seqs.keys().any(used);
        TransactionBody {
            chain_id: self.plane.chain_id(),
            plane_id: self.plane.plane_id(),
            sender: address(sender),
            nonce: Nonce { lane, seq: self.next_seq(sender, lane) },
            valid_after: 0,
            valid_until: self.time + 60_000,
            gas_limit: 1_000_000,
            gas_price_max: 1,
            pay: Pay::Gcc,
            key_ref: match registered {
                _ if Nonce::is_session_lane(lane) => KeyRef::Session,
                true => first_key(sender),
                false => KeyRef::Carried(gid(sender)),
            },
            actions: actions.to_vec(),
            memo: Vec::new(),
        }
    }

    pub fn next_seq(&self, sender: &str, lane: u8) -> u64 {
        self.seqs.get(&(sender.into(), lane)).copied().unwrap_or(0)
    }

    /// Notes that `sender` has signed this.
    pub fn count(&mut self, sender: &str, body: &TransactionBody) {
        self.seqs.insert((sender.into(), body.nonce.lane), body.nonce.seq + 1);
    }

    // What the plane does.

    /// Seals a batch of the whole inbox and pool, and has it judged at once.
    pub fn seal(&mut self) -> &mut Self {
        self.try_seal().expect("an honest batch");
        self
    }

    /// Seals a batch of the pool and no more than the first `entries` of the inbox.
    pub fn seal_part(&mut self, entries: usize) -> &mut Self {
        self.try_seal_part(entries).expect("an honest batch");
        self
    }

    /// Seals a batch, unless it cannot be one; then nothing has changed, and the pool is as it was.
    pub fn try_seal(&mut self) -> Result<(), ProduceError> {
        self.try_seal_part(self.inbox_open().len())
    }

    fn try_seal_part(&mut self, entries: usize) -> Result<(), ProduceError> {
        let inbox = self.inbox_open()[..entries].to_vec();
        let verified =
            self.verify(self.pool.clone()).into_iter().collect::<Result<Vec<_>, _>>().expect("good signatures");
        let before = self.keystone.clone();
        let batch = Produced { time: self.time, transactions: verified };
        let make = |keystone: &mut Keystone, workers: &dyn Workers| {
            produce(&self.plane, keystone, &self.state, 0, &inbox, batch.clone(), workers)
        };
        let mut twin = before.clone();
        let made_by_two = make(&mut twin, &Threads(2));
        let mut keystone = before.clone();
        let made = make(&mut keystone, &Serial);
        assert_eq!(keystone.roots(), twin.roots(), "1 and 2 threads");
        let (sealed, posted) = match made {
            Ok(made) => made,
            Err(error) => {
                assert_eq!(keystone.roots(), before.roots(), "a batch that cannot be changes nothing");
                assert_eq!(made_by_two.expect_err("1 and 2 threads agree").to_string(), error.to_string());
                // Whatever of it does fit, an open batch takes.
                if matches!(error, ProduceError::Halt(Halt::Fault(_))) {
                    return Err(error);
                }
                let given: Vec<Arc<Verified>> = batch.transactions.into_iter().map(Arc::new).collect();
                let inbox = &inbox[..inbox.len().min(BATCH_TRANSACTIONS_MAX + 1)];
                fill(&self.watcher(), self.time, inbox, &given, &mut self.chance()).judge(&self.watcher());
                return Err(error);
            }
        };
        let (sealed_by_two, posted_by_two) = made_by_two.expect("1 and 2 threads agree");
        assert_eq!((sealed_by_two.header(), posted_by_two), (sealed.header(), posted.clone()), "1 and 2 threads");

        self.check_open_batch(&inbox, batch.transactions, &posted, &sealed);
        let batch = Batch { before: self.watcher(), posted, sealed };
        assert_eq!(batch.before.judge(&batch.posted, batch.sealed.header()), Verdict::Same);
        batch.check_posted_form(self.time, &self.pool);
        self.books.check(&batch, &keystone);
        assert_eq!(batch.sealed.header().state().roots, keystone.roots());

        self.keystone = keystone;
        self.state = batch.sealed.header().state();
        self.last = Some(batch);
        self.pool.clear();
        self.refused.clear();
        self.time += 50;
        Ok(())
    }

    /// The same batch, filled bit by bit with what is refused in between, is the same in every byte.
    fn check_open_batch(&self, inbox: &[InboxEntry], transactions: Vec<Verified>, posted: &[u8], sealed: &SealedBatch) {
        let mut given: Vec<Arc<Verified>> = transactions.into_iter().map(Arc::new).collect();
        let mut rejected: Vec<Option<Reject>> = vec![None; given.len()];
        for (at, transaction, reject) in self.refused.iter().rev() {
            let ahead = self.pool[..*at].iter().chain([transaction]).cloned().collect();
            if let Some(Ok(verified)) = self.verify(ahead).pop() {
                given.insert(*at, Arc::new(verified));
                rejected.insert(*at, Some(reject.clone()));
            }
        }
        let Filled { taken, pushed, closed } = fill(&self.watcher(), self.time, inbox, &given, &mut self.chance());
        assert_eq!(taken, inbox.len());
        for (pushed, rejected) in pushed.into_iter().zip(rejected) {
            match rejected {
                Some(reject) => assert_eq!(pushed, Pushed::Rejected(reject)),
                None => assert!(matches!(pushed, Pushed::Included { .. }), "{pushed:?}"),
            }
        }
        let closed = closed.expect("something is in it");
        assert!(closed.posted == posted, "the posted form is another one");
        let executed = closed.executed;
        assert_eq!((executed.journal(), executed.changes()), (sealed.journal(), sealed.changes()));
        assert_eq!(executed.records(), sealed.records());
        assert_eq!((executed.withdrawals(), executed.flows()), (sealed.withdrawals(), sealed.flows()));
        let header = sealed.header();
        assert_eq!(executed.seal(&self.plane, header.state().roots).header(), header);
    }

    /// Chance that differs from batch to batch, and is the same whenever the test runs.
    fn chance(&self) -> Random {
        Random(self.state.number << 32 | self.pool.len() as u64)
    }

    /// Why `transaction` may not follow the pool in the next batch. Asks without posting, as a sequencer would.
    pub fn refusal(&self, transaction: &Transaction) -> Option<Reject> {
        let pool = self.pool.iter().chain([transaction]).cloned().collect();
        let verified: Result<Vec<Verified>, Reject> = self.verify(pool).into_iter().collect();
        let verified = match verified {
            Ok(verified) => verified,
            Err(reject) => return Some(reject),
        };
        let inbox =
            check_inbox(&self.plane, &self.keystone, self.inbox_open()).expect("the whole state misses nothing");
        let proposed = ProposedBatch::new(self.state, 0, self.time, inbox, verified, 0).expect("a batch");
        match execute(&self.plane, &self.keystone, &proposed) {
            Ok(_) => None,
            Err(Halt::Invalid(InvalidBatch::Transaction { position, reject })) if position == self.pool.len() => {
                Some(reject)
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// Checks transactions against the newest state.
    pub fn verify(&self, transactions: Vec<Transaction>) -> Vec<Result<Verified, Reject>> {
        verify_all(&self.plane, &self.keystone, &Serial, transactions).expect("the whole state misses nothing")
    }

    /// Somebody who knows what the plane knows.
    pub fn watcher(&self) -> Watcher {
        let (plane, keystone) = (self.plane.clone(), self.keystone.clone());
        Watcher { plane, keystone, prev: self.state, inbox: self.inbox_open().to_vec() }
    }

    /// Puts the plane into a state that no batch leads to.
    pub fn make_up(&mut self, changes: &Changeset) -> &mut Self {
        self.state.roots = self.keystone.apply(changes, &Serial).expect("changes of this state");
        self
    }

    /// The inbox from the first entry that no batch has consumed.
    pub fn inbox_open(&self) -> &[InboxEntry] {
        let upto = usize::try_from(self.state.inbox_upto).expect("a short inbox");
        &self.inbox[upto..]
    }

    // What can be seen.

    /// The last batch.
    pub fn last(&self) -> &Batch {
        self.last.as_ref().expect("a sealed batch")
    }

    pub fn header(&self) -> &BatchHeader {
        self.last().sealed.header()
    }

    /// What became of the inbox entry or transaction at this place of the last batch.
    pub fn receipt(&self, at: usize) -> Outcome {
        self.last().sealed.records()[at].2
    }

    /// The codes of the whole last batch.
    pub fn codes(&self) -> Vec<u16> {
        self.last().sealed.records().iter().map(|record| record.2.code).collect()
    }

    pub fn withdrawals(&self) -> &[Withdrawal] {
        self.last().sealed.withdrawals()
    }

    /// A balance of GCC, in base units.
    pub fn balance(&self, name: &str) -> u64 {
        self.balance_of(address(name), AssetId::GCC)
    }

    pub fn balance_of(&self, address: Address, asset: AssetId) -> u64 {
        slot_of(&self.keystone, &address, asset).map_or(0, |(_, slot)| slot.balance.units())
    }

    pub fn record(&self, name: &str) -> Option<AccountRecord> {
        record_of(&self.keystone, &address(name))
    }
}

impl Watcher {
    /// The verdict on a claim, by the witness that the watcher's own state yields.
    pub fn judge(&self, posted: &[u8], claimed: &BatchHeader) -> Verdict {
        self.judge_by(posted, claimed, &self.witness(posted))
    }

    /// The encoded witness for this data.
    pub fn witness(&self, posted: &[u8]) -> Vec<u8> {
        let Self { plane, keystone, prev, inbox } = self;
        let witness_by = |workers: &dyn Workers| witness(plane, keystone, prev, inbox, posted, workers).to_bytes();
        let bytes = witness_by(&Serial);
        assert_eq!(witness_by(&Threads(2)), bytes, "1 and 2 threads");
        bytes
    }

    /// The verdict by a given witness.
    pub fn judge_by(&self, posted: &[u8], claimed: &BatchHeader, witness: &[u8]) -> Verdict {
        let Self { plane, prev, inbox, .. } = self;
        let case = Case { plane, generation: 0, prev, inbox, posted, witness, claimed };
        let verdict = replay(&case, &Serial);
        assert_eq!(replay(&case, &Threads(2)), verdict, "1 and 2 threads");
        verdict
    }

    /// The posted form of what an operator may write down, good or bad.
    pub fn encode(&self, time: u64, inbox: u64, transactions: &[Transaction]) -> Result<Vec<u8>, PostedError> {
        let batch = PostedBatch { time, inbox, transactions: transactions.to_vec() };
        posted::encode(&self.plane, &self.keystone, &self.prev, &batch)
    }

    /// A header that nothing is wrong with on its own, for data whose outcome nobody knows.
    pub fn plausible_header(&self, posted: &[u8]) -> BatchHeader {
        BatchHeader {
            number: self.prev.number + 1,
            prev_state: self.prev.digest(self.plane.chain_id(), &self.plane.plane_id()),
            bytes: u32::try_from(posted.len()).expect("short"),
            ..BatchHeader::genesis(&self.prev)
        }
    }
}

impl Batch {
    fn check_posted_form(&self, time: u64, transactions: &[Transaction]) {
        let Watcher { plane, keystone, prev, inbox } = &self.before;
        let executed = execute_posted(plane, keystone, prev, 0, inbox, &self.posted, &Serial).expect("honest data");
        assert_eq!((executed.journal(), executed.changes()), (self.sealed.journal(), self.sealed.changes()));
        let decoded = posted::decode(plane, keystone, prev, &self.posted).expect("what was encoded");
        assert_eq!(decoded.transactions, transactions);
        assert_eq!((decoded.time, decoded.inbox), (time, self.sealed.header().inbox_upto - prev.inbox_upto));
        assert_eq!(posted::encode(plane, keystone, prev, &decoded).as_ref(), Ok(&self.posted));
    }
}

/// The terms of [`Story::new`].
pub fn genesis() -> Genesis {
    let sequencer = key("sequencer").verification_key();
    let mut genesis = Genesis::dev(FOUNDED, sequencer, address("operator"));
    genesis.slot_price = amount(SLOT_PRICE);
    genesis.object_price = amount(OBJECT_PRICE);
    genesis.fee_shares[0].basis_points = 6_667;
    genesis.fee_shares.push(FeeShare { address: address("treasury"), basis_points: 3_333 });
    genesis.assets[1].l1_decimals = 6;
    genesis.assets.iter_mut().for_each(|asset| asset.deposit_min = amount(1));
    genesis
}

// Names.

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(hash(Domain::Test, 0, &[name.as_bytes()]).0)
}

/// Who signs for `name`: a key of Ed25519, unless the name ends in another scheme, such as `heidi@p256`.
pub fn signer(name: &str) -> Box<dyn Signer> {
    let secret = hash(Domain::Test, 0, &[name.as_bytes()]).0;
    let of_curve = "nearly every number is a secret";
    match name.split_once('@') {
        None => Box::new(key(name)),
        Some((_, "secp256k1")) => Box::new(secp256k1::SigningKey::from_secret(secret).expect(of_curve)),
        Some((_, "p256")) => Box::new(p256::SigningKey::from_secret(secret).expect(of_curve)),
        Some((_, "passkey")) => Box::new(Authenticator::new(secret, "wallet.example", true).expect(of_curve)),
        Some((_, scheme)) => panic!("no scheme {scheme}"),
    }
}

/// The first key of `name`, once it is registered.
pub fn first_key(name: &str) -> KeyRef {
    match ConsentForm::of(gid(name).public_key.scheme()) {
        ConsentForm::Signature => KeyRef::Registered(0),
        ConsentForm::Assertion => KeyRef::RegisteredPasskey(0),
    }
}

pub fn gid(name: &str) -> Gid {
    let public_key = signer(name).public_key();
    Gid { public_key, chain_id: CHAIN_DEV, entity_type: EntityType::Wallet, version: 0 }
}

pub fn address(name: &str) -> Address {
    gid(name).address()
}

pub fn l1_address(name: &str) -> L1Address {
    L1Address(hash(Domain::Test, 1, &[name.as_bytes()]).0)
}

/// The body, signed with the key of `name`.
pub fn sign(name: &str, body: TransactionBody) -> Transaction {
    let auth = signer(name).consent(Domain::TransactionAuth, body.chain_id, &body.id());
    Transaction { body, auth, approvals: Vec::new(), sponsorship: None }
}

// Money.

pub fn amount(units: u64) -> Amount {
    Amount::new(units).expect("below 2^63")
}

/// Base units of GCC.
pub fn units(units: u64) -> Money {
    Money { amount: amount(units), asset: AssetId::GCC }
}

/// Whole GCC.
pub fn gcc(coins: u64) -> Money {
    units(coins * 1_000_000_000)
}

/// Base units of ZMAN.
pub fn mana(units: u64) -> Money {
    Money { amount: amount(units), asset: AssetId::ZMAN }
}

pub fn pay(to: &str, money: Money) -> Action {
    pay_to(address(to), money)
}

pub fn pay_to(to: Address, money: Money) -> Action {
    Action::Transfer { to, asset: money.asset, amount: money.amount }
}

pub fn leave(to: &str, money: Money) -> Action {
    Action::Withdraw { to: l1_address(to), asset: money.asset, amount: money.amount }
}

// State.

pub fn record_of(view: &impl StateView, address: &Address) -> Option<AccountRecord> {
    let object = view.object(&ObjectKey::account(address)).expect("the whole state misses nothing")?;
    Some(AccountRecord::from_bytes(object.value).expect("a record"))
}

pub fn slot_of(view: &impl StateView, address: &Address, asset: AssetId) -> Option<(SlotIndex, Slot)> {
    let index = record_of(view, address)?.slot_of(asset)?;
    let slot = view.slot(index).expect("the whole state misses nothing");
    Some((index, slot.expect("a listed slot")))
}

/// Threads that take the jobs as they come.
pub struct Threads(pub usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && index < jobs
            {
                job(index);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(work);
            }
        });
    }
}
