//! People, signed transactions, and a driver that does at once whatever it is asked to.

use ghostplane_engine::{Plane, Verified, verify_all};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, Domain, SigningKey};
use ghostplane_keystone::Keystone;
use ghostplane_sequencer::sequencer::posted_bytes_max;
use ghostplane_sequencer::{
    Acknowledgement, Append, Config, Cut, Effect, Event, Execution, Limits, Opening, Refusal, Sequencer, Standing,
    Start, Submission, Ticket,
};
use ghostplane_types::limits::VALIDITY_MS_MAX;
use ghostplane_types::{
    Action, Address, Amount, Approval, AssetId, BatchHeader, EntityType, Genesis, Gid, InboxEntry, InboxPayload,
    KeyRef, L1Address, Nonce, Outcome, Pay, PlaneState, PublicKey, Transaction, TransactionBody,
};
use std::sync::{Arc, LazyLock};

/// When the plane was founded.
pub const FOUNDED: u64 = 1_700_000_000_000;

/// The plane, and its empty state for checking signatures.
pub static PLANE: LazyLock<(Plane, Keystone)> = LazyLock::new(|| {
    let key = SigningKey::from_seed([1; 32]);
    let operator = Person::new(0).address();
    let plane = Plane::new(Genesis::dev(FOUNDED, key.verification_key(), operator)).expect("terms of a test");
    let mut keystone = Keystone::new(1);
    keystone.apply(&plane.founding_changes().expect("a genesis"), &Serial).expect("an empty state");
    (plane, keystone)
});

/// Somebody with a key.
pub struct Person {
    key: SigningKey,
    gid: Gid,
}

/// What a test says about a transaction; the rest follows.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub lane: u8,
    pub seq: u64,
    pub price: u64,
    pub valid_after: u64,
    pub valid_until: u64,
    pub gas_limit: u64,
    pub actions: usize,
    /// Makes two wishes differ that are alike.
    pub memo: u8,
}

impl Wish {
    pub fn new(seq: u64, price: u64) -> Self {
        let valid_until = FOUNDED + VALIDITY_MS_MAX;
        Self { lane: 0, seq, price, valid_after: 0, valid_until, gas_limit: 1_000_000, actions: 1, memo: 0 }
    }
}

impl Person {
    pub fn new(number: u64) -> Self {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let key = SigningKey::from_seed(seed);
        let public_key = PublicKey::Ed25519(key.verification_key());
        let chain_id = ghostplane_types::genesis::CHAIN_DEV;
        Self { key, gid: Gid { public_key, chain_id, entity_type: EntityType::Wallet, version: 0 } }
    }

    pub fn address(&self) -> Address {
        self.gid.address()
    }

    pub fn sign(&self, wish: &Wish) -> Transaction {
        let (plane, _) = &*PLANE;
        let to = Address::from_bytes([9; 32]);
        let amount = Amount::new(1).expect("small");
        let body = TransactionBody {
            chain_id: plane.chain_id(),
            plane_id: plane.plane_id(),
            sender: self.address(),
            nonce: Nonce { lane: wish.lane, seq: wish.seq },
            valid_after: wish.valid_after,
            valid_until: wish.valid_until,
            gas_limit: wish.gas_limit,
            gas_price_max: wish.price,
            pay: Pay::Gcc,
            key_ref: KeyRef::Carried(self.gid),
            actions: vec![Action::Transfer { to, asset: AssetId::GCC, amount }; wish.actions],
            memo: if wish.memo == 0 { Vec::new() } else { vec![wish.memo] },
        };
        let auth = self.key.sign(Domain::TransactionAuth, plane.chain_id(), &body.id());
        Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
    }

    /// A transaction whose gas is paid so, and who sponsors it.
    pub fn verified_paying(&self, wish: &Wish, pay: Pay, sponsor: Option<&Self>) -> Arc<Verified> {
        let mut transaction = self.sign(wish);
        transaction.body.pay = pay;
        let (chain_id, id) = (transaction.body.chain_id, transaction.body.id());
        transaction.auth = self.key.sign(Domain::TransactionAuth, chain_id, &id).into();
        transaction.sponsorship = sponsor.map(|sponsor| {
            let auth = sponsor.key.sign(Domain::Sponsor, chain_id, &id).into();
            Box::new(Approval { key: PublicKey::Ed25519(sponsor.key.verification_key()), auth })
        });
        verify(vec![transaction]).pop().expect("one in, one out")
    }

    pub fn verified(&self, wish: &Wish) -> Arc<Verified> {
        verify(vec![self.sign(wish)]).pop().expect("one in, one out")
    }
}

/// Checks signatures as a node does.
pub fn verify(transactions: Vec<Transaction>) -> Vec<Arc<Verified>> {
    let (plane, keystone) = &*PLANE;
    let checked = verify_all(plane, keystone, &Serial, transactions).expect("nothing is missing");
    checked.into_iter().map(|checked| Arc::new(checked.expect("signed above"))).collect()
}

pub fn standing(next: u64) -> Standing {
    Standing { next, balance: Amount::new(1 << 60).expect("below the most"), mana: 0 }
}

pub fn submission(ticket: u64, verified: Arc<Verified>, next: u64) -> Submission {
    Submission { ticket: Ticket(ticket), verified, standing: standing(next) }
}

pub fn deposit(index: u64, l1_time: u64) -> InboxEntry {
    let (from, to) = (L1Address([3; 32]), Address::from_bytes([4; 32]));
    let amount = Amount::new(1_000_000_000).expect("small");
    let payload = InboxPayload::Deposit { from, to, asset: AssetId::GCC, amount };
    InboxEntry { index, l1_height: index, l1_time, payload }
}

/// The state of genesis; no test here looks at its roots.
pub fn founding_state() -> PlaneState {
    let (plane, keystone) = &*PLANE;
    plane.genesis_state(ghostplane_keystone::StateView::roots(keystone))
}

pub fn config(limits: Limits) -> Config {
    let plane = &PLANE.0;
    let (chain_id, plane_id) = (plane.chain_id(), plane.plane_id());
    Config { chain_id, plane_id, gas_price: plane.genesis().gas_price, l1_ahead_ms: 0, hash_seed: 5, limits }
}

pub fn start() -> Start {
    let prev_flush_digest = Digest::ZERO;
    Start { state: founding_state(), generation: 0, flushes: 0, prev_flush_digest, uncommitted: Vec::new() }
}

pub fn header_of(cut: &Cut) -> BatchHeader {
    let state = PlaneState {
        number: cut.opening.number,
        time: cut.opening.time,
        inbox_upto: cut.inbox_upto,
        log_upto: cut.log_upto,
        ..founding_state()
    };
    let header = BatchHeader::genesis(&state);
    BatchHeader { generation: cut.opening.generation, bytes: cut.posted_bytes_max, gas: cut.gas, ..header }
}

/// The outcome of something that applied.
pub fn applied(verified: &Verified) -> Outcome {
    Outcome {
        code: Outcome::APPLIED,
        action: Outcome::NO_ACTION,
        gas: verified.gas_intrinsic(),
        fee: verified.gas_intrinsic(),
        first_entry: 0,
        entries: 1,
        first_withdrawal: 0,
        withdrawals: 0,
    }
}

pub fn included(verified: &Verified) -> Execution {
    Execution::Included { outcome: applied(verified), posted_bytes: posted_bytes_max(verified) }
}

/// A sequencer at a desk: the test says what happens, and reads what was asked for since.
pub struct Desk {
    pub sequencer: Sequencer,
    pub now: u64,
    pub refused: Vec<(Ticket, Refusal)>,
    pub opened: Vec<Opening>,
    pub executing: Vec<Arc<Verified>>,
    pub inbox: Vec<InboxEntry>,
    pub appends: Vec<Arc<Append>>,
    pub acknowledged: Vec<Acknowledgement>,
    pub cuts: Vec<Cut>,
    pub posted: Vec<u64>,
    pub abandoned: usize,
    pub timer: Option<u64>,
}

impl Desk {
    /// One whose L1 shows a block of now.
    pub fn new(limits: Limits) -> Self {
        let mut desk = Self::before_l1(limits);
        desk.l1_block(FOUNDED, Vec::new());
        desk
    }

    pub fn before_l1(limits: Limits) -> Self {
        Self {
            sequencer: Sequencer::new(config(limits), &start()).expect("limits of a test"),
            now: FOUNDED,
            refused: Vec::new(),
            opened: Vec::new(),
            executing: Vec::new(),
            inbox: Vec::new(),
            appends: Vec::new(),
            acknowledged: Vec::new(),
            cuts: Vec::new(),
            posted: Vec::new(),
            abandoned: 0,
            timer: None,
        }
    }

    pub fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.sequencer.step(self.now, event, &mut effects).expect("an honest driver");
        for effect in effects {
            match effect {
                Effect::Open(opening) => self.opened.push(opening),
                Effect::ExecuteInbox { entries, .. } => self.inbox.extend(entries),
                Effect::Execute { transactions, .. } => self.executing.extend(transactions),
                Effect::Abandon { .. } => self.abandoned += 1,
                Effect::Cut(cut) => self.cuts.push(cut),
                Effect::Append(append) => self.appends.push(append),
                Effect::Acknowledge(acknowledgement) => self.acknowledged.push(acknowledgement),
                Effect::Post { batch, .. } => self.posted.push(batch),
                Effect::Refuse { ticket, why } => self.refused.push((ticket, why)),
                Effect::SetTimer { at_ms } => self.timer = Some(at_ms),
            }
        }
    }

    pub fn submit(&mut self, ticket: u64, verified: &Arc<Verified>) {
        self.step(Event::Submitted(vec![submission(ticket, verified.clone(), 0)]));
    }

    pub fn l1_block(&mut self, time: u64, entries: Vec<InboxEntry>) {
        self.step(Event::L1Block { time, entries });
    }

    /// Lets time pass and says so.
    pub fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.step(Event::Tick);
    }

    /// The generation and number of the open batch.
    pub fn open(&self) -> (u32, u64) {
        let opening = self.opened.last().expect("a batch was opened");
        (opening.generation, opening.number)
    }

    /// Answers everything that is being executed by `result`.
    pub fn executed(&mut self, result: impl Fn(&Verified) -> Execution) {
        let results = self.executing.drain(..).map(|verified| result(&verified)).collect();
        let (generation, batch) = self.open();
        self.step(Event::Executed { generation, batch, results });
    }

    pub fn execute_inbox(&mut self, taken: usize) {
        self.inbox.clear();
        let (generation, batch) = self.open();
        self.step(Event::InboxExecuted { generation, batch, taken, gas: 2_300 * taken as u64 });
    }

    /// Says that the newest append is durable.
    pub fn durable(&mut self) {
        let append = self.appends.last().expect("something was written").number;
        self.step(Event::Durable { append });
    }

    /// Seals everything that was cut and not sealed.
    pub fn seal(&mut self, cut: usize) {
        let header = header_of(&self.cuts[cut]);
        self.step(Event::Sealed { header });
    }

    pub fn refusal_of(&self, ticket: u64) -> Option<&Refusal> {
        self.refused.iter().find(|(of, _)| *of == Ticket(ticket)).map(|(_, why)| why)
    }

    pub fn tickets_acknowledged(&self) -> Vec<u64> {
        self.acknowledged.iter().flat_map(|done| &done.records).map(|record| record.ticket.0).collect()
    }
}
