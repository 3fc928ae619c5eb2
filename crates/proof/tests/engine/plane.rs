//! An operator in a test: people with keys, random payments, and batches sealed by the engine.

use ghostplane_engine::replay::{Produced, produce};
use ghostplane_engine::{Plane, verify_all};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Domain, SigningKey, hash};
use ghostplane_keystone::Keystone;
use ghostplane_proof::BatchWitness;
use ghostplane_types::genesis::CHAIN_DEV;
use ghostplane_types::{
    Action, Address, Amount, AssetId, BatchHeader, EntityType, Flow, Genesis, Gid, InboxEntry, InboxPayload,
    JournalEntry, KeyRef, L1Address, Nonce, Pay, PublicKey, Transaction, TransactionBody,
};

/// The splitmix64 generator (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31) % limit
    }
}

const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
const FOUNDED: u64 = 1_700_000_000_000;

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(hash(Domain::Test, 0, &[name.as_bytes()]).0)
}

fn gid(name: &str) -> Gid {
    let public_key = PublicKey::Ed25519(key(name).verification_key());
    Gid { public_key, chain_id: CHAIN_DEV, entity_type: EntityType::Wallet, version: 0 }
}

fn amount(units: u64) -> Amount {
    Amount::new(units).expect("below 2^63")
}

/// A plane and whoever runs it.
pub struct Operator {
    pub plane: Plane,
    pub keystone: Keystone,
    pub header: BatchHeader,
    inbox: Vec<InboxEntry>,
    pool: Vec<Transaction>,
    /// What each of [`PEOPLE`] signs next.
    seqs: [u64; PEOPLE.len()],
    time: u64,
}

impl Operator {
    pub fn new() -> Self {
        let genesis = Genesis::dev(FOUNDED, key("sequencer").verification_key(), gid("operator").address());
        let plane = Plane::new(genesis).expect("terms of a test");
        let mut keystone = Keystone::new(1);
        let roots = keystone.apply(&plane.founding_changes().expect("a genesis"), &Serial).expect("an empty state");
        let header = BatchHeader::genesis(&plane.genesis_state(roots));
        Self { plane, keystone, header, inbox: Vec::new(), pool: Vec::new(), seqs: [0; PEOPLE.len()], time: FOUNDED }
    }

    /// Deposits, payments to people and strangers, withdrawals: some of what a round brings.
    pub fn random_round(&mut self, random: &mut Random, first: bool) {
        for name in PEOPLE {
            if first || random.below(3) == 0 {
                self.deposit(gid(name).address(), AssetId::GCC, 20_000_000_000 + random.below(1_000));
                self.deposit(gid(name).address(), AssetId::ZMAN, 1_000_000_000_000);
            }
        }
        if first {
            return;
        }
        for _ in 0..3 + random.below(12) {
            let sender = usize::try_from(random.below(6)).expect("small");
            let actions: Vec<Action> = (0..1 + random.below(9)).map(|_| some_action(random, PEOPLE[sender])).collect();
            self.act(sender, actions);
        }
    }

    fn deposit(&mut self, to: Address, asset: AssetId, units: u64) {
        let index = self.header.inbox_upto + self.inbox.len() as u64;
        let payload = InboxPayload::Deposit { from: L1Address([3; 32]), to, asset, amount: amount(units) };
        self.inbox.push(InboxEntry { index, l1_height: index, l1_time: self.time, payload });
    }

    fn act(&mut self, sender: usize, actions: Vec<Action>) {
        let (name, seq) = (PEOPLE[sender], self.seqs[sender]);
        self.seqs[sender] += 1;
        let body = TransactionBody {
            chain_id: self.plane.chain_id(),
            plane_id: self.plane.plane_id(),
            sender: gid(name).address(),
            nonce: Nonce { lane: Nonce::LANE_ROOT, seq },
            valid_after: 0,
            valid_until: self.time + 60_000,
            gas_limit: 1_000_000,
            gas_price_max: 1_000,
            pay: Pay::Gcc,
            key_ref: if seq == 0 { KeyRef::Carried(gid(name)) } else { KeyRef::Registered(0) },
            actions,
            memo: Vec::new(),
        };
        let auth = key(name).sign(Domain::TransactionAuth, body.chain_id, &body.id());
        self.pool.push(Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None });
    }

    /// Seals a batch: its header, flows and journal, and what its prover needs.
    pub fn seal(&mut self) -> (BatchHeader, Vec<Flow>, Vec<JournalEntry>, BatchWitness) {
        let pool = std::mem::take(&mut self.pool);
        let verified = verify_all(&self.plane, &self.keystone, &Serial, pool).expect("the whole state");
        let transactions = verified.into_iter().collect::<Result<Vec<_>, _>>().expect("good signatures");
        let before = self.keystone.clone();
        let batch = Produced { time: self.time, transactions };
        let inbox = std::mem::take(&mut self.inbox);
        let made = produce(&self.plane, &mut self.keystone, &self.header.state(), 0, &inbox, batch, &Serial);
        let (sealed, _) = made.expect("an honest batch");
        let witness = BatchWitness::collect(&before, sealed.journal(), sealed.changes()).expect("what was before");
        self.header = *sealed.header();
        self.time += 50;
        (self.header, sealed.flows().to_vec(), sealed.journal().to_vec(), witness)
    }
}

fn some_action(random: &mut Random, sender: &str) -> Action {
    let asset = if random.below(4) == 0 { AssetId::ZMAN } else { AssetId::GCC };
    let sum = amount(1_000 * (1 + random.below(1_000)));
    if random.below(6) == 0 {
        return Action::Withdraw { to: L1Address([4; 32]), asset, amount: sum };
    }
    let others: Vec<&str> = PEOPLE.into_iter().filter(|name| *name != sender).collect();
    let to = match random.below(8) {
        0 => Address::from_bytes(hash(Domain::Test, random.below(1 << 40), &[]).0),
        other => gid(others[usize::try_from(other % 5).expect("small")]).address(),
    };
    Action::Transfer { to, asset, amount: sum }
}
