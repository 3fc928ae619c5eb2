//! A plane with its operator, people and an L1 in a directory of its own.

use crate::files::Files;
use crate::l1::{Block, Included, L1, L1Config, L1Genesis, RunRefused};
use crate::log::OpenError;
use crate::refusal::L1Refusal;
use crate::run;
use ghostplane_engine::replay::{Produced, produce};
use ghostplane_engine::{Plane, verify_all, witness};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Domain, SigningKey, digest, merkle};
use ghostplane_keystone::{Changeset, Keystone};
use ghostplane_settlement::{Event, Message, OpenCaseRequest, Purpose};
use ghostplane_types::batch::posted_digest;
use ghostplane_types::limits::CHUNK_BYTES_MAX;
use ghostplane_types::{
    Action, Address, Amount, AssetId, BatchHeader, Encode, EntityType, Genesis, Gid, KeyRef, L1Address, Nonce, Pay,
    PlaneState, PublicKey, SignedL1Message, Transaction, TransactionBody, Withdrawal,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const GENESIS_MS: u64 = 1_767_225_600_000;
pub(super) const RICH: u128 = 1_000_000_000_000_000;

/// A directory for a test, gone when the test is over.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ghostplane-bridge-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Only what is in the L1's directory.
    pub(super) fn copy_to(&self, other: &Self) {
        let (from, to) = (self.0.join("l1"), other.0.join("l1"));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join("l1").join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn gcc(coins: u64) -> Amount {
    Amount::new(coins * 1_000_000_000).unwrap()
}

pub(super) fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(digest::hash(Domain::Test, 0, &[b"bridge", name.as_bytes()]).0)
}

pub(super) fn on_l1(name: &str) -> L1Address {
    run::l1_address(&key(name))
}

fn gid(name: &str) -> Gid {
    let public_key = PublicKey::Ed25519(key(name).verification_key());
    Gid { public_key, chain_id: 1337, entity_type: EntityType::Wallet, version: 0 }
}

pub(super) fn address(name: &str) -> Address {
    gid(name).address()
}

/// A batch as the operator keeps it.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) header: BatchHeader,
    pub(super) posted: Vec<u8>,
    pub(super) withdrawals: Vec<Withdrawal>,
    before: PlaneState,
    changes: Changeset,
}

pub(super) struct World {
    pub(super) dir: Scratch,
    pub(super) plane: Plane,
    pub(super) config: L1Config,
    pub(super) l1: L1,
    pub(super) kept: Vec<Kept>,
    keystone: Keystone,
    genesis_state: PlaneState,
    state: PlaneState,
    generation: u32,
    pub(super) now: u64,
    lanes: BTreeMap<String, u64>,
}

pub(super) fn config(dir: &Path) -> (Plane, Keystone, PlaneState, L1Config) {
    let mut genesis = Genesis::dev(GENESIS_MS, key("operator").verification_key(), address("operator's wallet"));
    genesis.settlement.window_blocks = 2;
    genesis.settlement.window_unproven_blocks = 4;
    let plane = Plane::new(genesis).unwrap();
    let mut keystone = Keystone::new(1);
    let roots = keystone.apply(&plane.founding_changes().unwrap(), &Serial).unwrap();
    let state = plane.genesis_state(roots);
    let rich = ["operator", "alice", "bob", "watcher"];
    let balances = rich.map(|name| (on_l1(name), AssetId::GCC, RICH)).to_vec();
    let genesis = L1Genesis { plane: plane.clone(), plane_state: state, balances };
    let config = L1Config { snapshot_blocks: 3, ..L1Config::new(dir.to_path_buf(), genesis) };
    (plane, keystone, state, config)
}

pub(super) fn open(config: &L1Config, dir: &Path, segment_bytes: Option<u64>) -> Result<L1, OpenError> {
    L1::open_on(Files::new(dir.join("l1")), L1Config { dir: dir.to_path_buf(), ..config.clone() }, segment_bytes)
}

/// Submits and says what becomes of it once a block was made.
pub(super) fn submit(l1: &L1, run: Vec<SignedL1Message>) -> crossbeam_channel::Receiver<Result<Included, RunRefused>> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    l1.submit_all(run, move |result| sender.send(result).unwrap());
    receiver
}

impl World {
    pub(super) fn new(name: &str) -> Self {
        let dir = Scratch::new(name);
        let (plane, keystone, state, config) = config(dir.path());
        let l1 = open(&config, dir.path(), Some(4096)).unwrap();
        Self {
            dir,
            plane,
            config,
            l1,
            kept: Vec::new(),
            keystone,
            genesis_state: state,
            state,
            generation: 0,
            now: GENESIS_MS,
            lanes: BTreeMap::new(),
        }
    }

    pub(super) fn mine(&mut self) -> Arc<Block> {
        self.now += 1_000;
        self.l1.produce_block(self.now).unwrap()
    }

    pub(super) fn signed(&self, name: &str, messages: &[Message]) -> Vec<SignedL1Message> {
        let next = self.l1.account(&on_l1(name)).next_sequence;
        run::sign_run(&self.plane, &key(name), next, messages).unwrap()
    }

    /// Sends messages in one block.
    pub(super) fn send(&mut self, name: &str, messages: &[Message]) -> Result<Included, L1Refusal> {
        let answer = submit(&self.l1, self.signed(name, messages));
        self.mine();
        answer.try_recv().unwrap().map_err(|refused| refused.refusal)
    }

    pub(super) fn bond(&mut self) -> &mut Self {
        let term = self.l1.with_settlement(|settlement| settlement.term_for(on_l1("operator")));
        let amount = self.plane.genesis().settlement.sequencer_bond;
        let bond = run::bond(&self.plane, &key("operator"), &on_l1("operator"), term, amount);
        self.send("operator", &[bond]).unwrap();
        self
    }

    pub(super) fn deposit(&mut self, name: &str, amount: Amount) -> &mut Self {
        self.send(name, &[deposit(name, amount)]).unwrap();
        self
    }

    pub(super) fn withdrawal(&mut self, name: &str, amount: Amount) -> Transaction {
        let seq = self.lanes.entry(name.to_owned()).or_default();
        let nonce = Nonce { lane: Nonce::LANE_ROOT, seq: *seq };
        *seq += 1;
        let body = TransactionBody {
            chain_id: self.plane.chain_id(),
            plane_id: self.plane.plane_id(),
            sender: address(name),
            nonce,
            valid_after: 0,
            valid_until: self.now + 3_600_000,
            gas_limit: 20_000,
            gas_price_max: 1,
            pay: Pay::Gcc,
            key_ref: KeyRef::Carried(gid(name)),
            actions: vec![Action::Withdraw { to: on_l1(name), asset: AssetId::GCC, amount }],
            memo: Vec::new(),
        };
        let auth = key(name).sign(Domain::TransactionAuth, body.chain_id, &body.id());
        Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
    }

    /// Makes a batch with something small in it.
    pub(super) fn seal_something(&mut self) -> &mut Self {
        let out = self.withdrawal("alice", Amount::new(1_000).unwrap());
        self.seal(vec![out])
    }

    /// Makes a batch of the ripe inbox and these transactions.
    pub(super) fn seal(&mut self, transactions: Vec<Transaction>) -> &mut Self {
        let upto = self.l1.with_settlement(ghostplane_settlement::Settlement::inbox_ripe_upto);
        let inbox = self.l1.inbox(self.state.inbox_upto, upto).unwrap();
        let checked = verify_all(&self.plane, &self.keystone, &Serial, transactions).unwrap();
        let transactions = checked.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
        let (before, batch) = (self.state, Produced { time: self.now, transactions });
        let made = produce(&self.plane, &mut self.keystone, &before, self.generation, &inbox, batch, &Serial);
        let (sealed, posted) = made.unwrap();
        self.state = sealed.header().state();
        self.kept.push(Kept {
            header: *sealed.header(),
            posted,
            withdrawals: sealed.withdrawals().to_vec(),
            before,
            changes: sealed.changes().clone(),
        });
        self
    }

    /// Commits everything that is not committed yet.
    pub(super) fn commit(&mut self) -> Included {
        let run = self.commitment_run();
        self.send("operator", &run).unwrap()
    }

    pub(super) fn commitment_run(&self) -> Vec<Message> {
        let prev = self.l1.with_settlement(|settlement| *settlement.tip());
        let waiting = &self.kept[usize::try_from(prev.number).unwrap()..];
        let batches: Vec<_> = waiting.iter().map(|kept| (&kept.header, &kept.posted[..])).collect();
        run::commitment_run(&self.plane, &key("operator"), self.generation, &prev, &batches).unwrap()
    }

    pub(super) fn mine_until_final(&mut self, batch: u64) {
        for _ in 0..20 {
            if self.l1.with_settlement(|settlement| settlement.final_number() >= batch) {
                return;
            }
            self.mine();
        }
        panic!("batch {batch} does not become final");
    }

    /// Challenges a batch by the watcher, who follows honestly up to it.
    pub(super) fn challenge(&mut self, batch: u64) -> Included {
        let at = usize::try_from(batch - 1).unwrap();
        let prev = self.kept[at].before;
        while self.state.number >= batch {
            let kept = self.kept.pop().unwrap();
            self.keystone.revert(&kept.changes, &kept.before.roots, &Serial).unwrap();
            self.state = kept.before;
        }
        let published = self.l1.published(batch).unwrap().unwrap();
        let inbox = self.l1.inbox(prev.inbox_upto, published.header.inbox_upto).unwrap();
        let witness = witness(&self.plane, &self.keystone, &prev, &inbox, &published.posted, &Serial).to_bytes();
        let under = self.l1.commitment_of(batch).unwrap().unwrap();
        let chain_id = self.plane.chain_id();
        let first = published.first_batch;
        let tree = merkle::Tree::new(under.headers.iter().map(|header| header.digest(chain_id)).collect());
        let posted =
            (first..).zip(&under.headers).map(|(number, _)| self.l1.published(number).unwrap().unwrap().posted);
        let data: Vec<_> = posted.map(|posted| posted_digest(chain_id, &posted)).collect();
        let index = batch - first;
        let prev_header = match batch.checked_sub(2) {
            Some(before) => self.kept[usize::try_from(before).unwrap()].header,
            None => BatchHeader::genesis(&self.genesis_state),
        };
        let request = OpenCaseRequest {
            purpose: Purpose::Challenge,
            header: published.header,
            header_path: tree.path(index).unwrap(),
            prev: prev_header,
            prev_path: (index > 0).then(|| tree.path(index - 1).unwrap()),
            posted: data[usize::try_from(index).unwrap()],
            posted_path: merkle::Tree::new(data).path(index).unwrap(),
            witness_len: witness.len() as u64,
        };
        let opened = self.send("watcher", &[Message::OpenCase(Box::new(request))]).unwrap();
        let case = opened.events.iter().find_map(|event| match event {
            Event::CaseOpened { case, .. } => Some(*case),
            _ => None,
        });
        let case = case.unwrap();
        let material = [&published.posted[..], &witness].concat();
        let mut run = Vec::new();
        for (at, bytes) in material.chunks(CHUNK_BYTES_MAX).enumerate() {
            run.push(Message::Material { case, offset: (at * CHUNK_BYTES_MAX) as u64, bytes: bytes.to_vec() });
        }
        run.push(Message::Judge { case });
        self.send("watcher", &run).unwrap()
    }

    pub(super) fn next_generation(&mut self) {
        self.generation = self.l1.with_settlement(ghostplane_settlement::Settlement::generation);
        self.lanes.clear();
    }

    /// Everything that the L1 answers, to compare two of them.
    pub(super) fn answers(&self, l1: &L1) -> Vec<String> {
        let mut answers = vec![
            format!("{:?}", l1.block()),
            format!("{:?}", l1.with_settlement(ghostplane_settlement::Settlement::digest)),
            format!("{} of {}", l1.burned(AssetId::GCC), l1.sum_of_balances(AssetId::GCC)),
            format!("{:?}", l1.inbox(0, u64::MAX).unwrap()),
        ];
        for name in ["operator", "alice", "bob", "watcher"] {
            answers.push(format!("{:?}", l1.account(&on_l1(name))));
        }
        for batch in 0..=l1.published_upto() + 1 {
            answers.push(format!("{:?} {:?}", l1.published(batch).unwrap(), l1.commitment_of(batch).unwrap()));
            answers.push(format!("{:?} {:?}", l1.final_record(batch).unwrap(), l1.archive_path(batch)));
        }
        answers
    }

    /// Closes the L1 as a crash does, without a last snapshot, and opens it again.
    pub(super) fn crash(&mut self) {
        let other = Scratch::new(&format!("crash-{}", self.dir.path().file_name().unwrap().to_string_lossy()));
        let spare = open(&self.config, other.path(), None).unwrap();
        drop(std::mem::replace(&mut self.l1, spare));
        self.l1 = open(&self.config, self.dir.path(), Some(4096)).unwrap();
    }
}

pub(super) fn deposit(name: &str, amount: Amount) -> Message {
    Message::Deposit { asset: AssetId::GCC, l1_amount: u128::from(amount.units()), to: address(name) }
}
