//! A node in this process, with an L1 that makes a block when the test says so.

use super::api::{NodeEvent, Refusal};
use super::{Ending, Node, Options, Running, dev, now_ms, start, verify_directory};
use crate::keys;
use crate::local::case_messages;
use ghostplane_client::Draft;
use ghostplane_engine::replay::execute_posted;
use ghostplane_engine::{Plane, witness};
use ghostplane_ghostbridge::{Block, Included, Published, RunRefused, run};
use ghostplane_ghostcipher::SigningKey;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::Keystone;
use ghostplane_settlement::{Event, Message, Purpose};
use ghostplane_types::limits::CHUNK_BYTES_MAX;
use ghostplane_types::{Amount, AssetId, Encode as _, Gid, Transaction};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// No story takes longer, whatever else the machine does.
const AT_MOST: Duration = Duration::from_secs(120);
/// The L1's own thread makes no block in that time.
const BLOCK_MS: u64 = 600_000;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ghostplane-unit-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    fn keys(&self) -> PathBuf {
        self.0.join("people")
    }

    fn options(&self) -> Options {
        dev::options(&self.0.join("plane"), &self.keys(), now_ms(), BLOCK_MS).expect("a development plane").0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Somebody with money.
struct Person {
    key: SigningKey,
    gid: Gid,
}

impl Person {
    fn named(dir: &Path, name: &str) -> Self {
        let gid = keys::describe(dir, name).expect("a key").gid;
        Self { key: keys::load_ed25519(dir, name, None).expect("a key for development"), gid }
    }

    fn pay(&self, node: &Node, seq: u64, to: &Self, units: u64) -> Transaction {
        let genesis = node.plane().genesis().clone();
        let plane = ghostplane_client::Plane::new(genesis).expect("the node's genesis");
        let amount = Amount::new(units).expect("a small amount");
        let draft =
            Draft::new(&plane, node.plane().genesis().gas_price).transfer(to.gid.address(), AssetId::GCC, amount);
        draft.valid(0, now_ms() + 600_000).sign(&self.key, self.gid, seq).expect("a good draft")
    }
}

/// A node, and what happens there.
struct Story {
    running: Running,
    node: Node,
    events: broadcast::Receiver<NodeEvent>,
    key: Arc<SigningKey>,
}

impl Story {
    async fn begin(scratch: &Scratch) -> Self {
        let options = scratch.options();
        let key = Arc::clone(&options.sequencer);
        let running = start(options).expect("the node starts");
        let node = running.node().clone();
        let events = node.events();
        let mut progress = node.inner.progress.subscribe();
        progress.wait_for(|progress| progress.sealed >= 1).await.expect("the first deposits become a batch");
        Self { running, node, events, key }
    }

    /// Stops the node. The last handle of it lets the directory go.
    fn stop(self) -> Ending {
        let Self { running, node, .. } = self;
        drop(node);
        running.stop()
    }

    /// One block of the L1, and the node has seen it.
    async fn block(&mut self) -> Arc<Block> {
        let block = self.node.inner.l1.produce_block(now_ms()).expect("a block");
        while !matches!(self.event().await, NodeEvent::L1Block { height, .. } if height >= block.height) {}
        block
    }

    async fn event(&mut self) -> NodeEvent {
        loop {
            match self.events.recv().await {
                Ok(event) => return event,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => panic!("the node ended"),
            }
        }
    }

    /// Blocks until the L1 has every batch up to this one.
    async fn committed(&mut self, number: u64) {
        while self.node.inner.progress.borrow().committed < number {
            self.block().await;
        }
    }

    /// Pays, and waits until the batch of it is sealed and shown. Returns its number.
    async fn paid(&mut self, transaction: &Transaction) -> u64 {
        let receipt = self.node.submit(transaction.to_bytes().into()).await.expect("executed");
        assert!(receipt.record.outcome.is_applied());
        let batch = receipt.record.batch;
        // Sealed for whoever has the receipt, and shown for whoever asks.
        self.node.caught_up().await;
        assert!(self.node.status().batch >= batch);
        self.node.shown(batch).await;
        assert_eq!(self.node.batch(batch, true, false).expect("it is shown").header.number, batch);
        batch
    }

    /// Sends messages in one run and makes blocks until one has them or the L1 refuses them.
    async fn send(&mut self, key: &SigningKey, messages: &[Message]) -> Result<Included, RunRefused> {
        let (to, answer) = crossbeam_channel::bounded(1);
        let l1 = &self.node.inner.l1;
        let sequence = l1.account(&run::l1_address(key)).next_sequence;
        let signed = run::sign_run(self.node.plane(), key, sequence, messages).expect("short messages");
        l1.submit_all(signed, move |result| drop(to.send(result)));
        l1.produce_block(now_ms()).expect("a block");
        answer.recv().expect("every run is answered")
    }

    fn balance(&self, of: &Person) -> u64 {
        let account = self.node.account(&of.gid.address(), None, false).expect("an answer");
        let balance = account.balances.iter().find(|balance| balance.asset == AssetId::GCC);
        balance.map_or(0, |balance| balance.amount.units())
    }

    /// Everything that the L1 shows of the plane's batches.
    fn published(&self) -> Vec<Published> {
        let l1 = &self.node.inner.l1;
        let batch = |number| l1.published(number).expect("a readable L1").expect("a committed batch");
        (1..=l1.published_upto()).map(batch).collect()
    }

    /// The witness that shows what the newest committed batch really comes to, made of what the L1 shows and nothing else.
    fn witness_of_newest(&self, published: &[Published]) -> Vec<u8> {
        let (plane, l1) = (self.node.plane(), &self.node.inner.l1);
        let mut keystone = Keystone::new(7);
        let roots = keystone.apply(&plane.founding_changes().expect("a genesis"), &Serial).expect("a genesis");
        let mut state = plane.genesis_state(roots);
        let (newest, before) = published.split_last().expect("a batch");
        for batch in before {
            let inbox = l1.inbox(state.inbox_upto, batch.header.inbox_upto).expect("a readable L1");
            let generation = batch.header.generation;
            let executed = execute_posted(plane, &keystone, &state, generation, &inbox, &batch.posted, &Serial);
            let changes = executed.expect("an honest batch").changes().clone();
            assert_eq!(keystone.apply(&changes, &Serial).expect("it applies"), batch.header.state().roots);
            state = batch.header.state();
        }
        let inbox = l1.inbox(state.inbox_upto, newest.header.inbox_upto).expect("a readable L1");
        witness(plane, &keystone, &state, &inbox, &newest.posted, &Serial).to_bytes()
    }
}

fn told(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let within = async { tokio::time::timeout(AT_MOST, story).await.expect("the story ends in time") };
    runtime.expect("threads").block_on(within);
}

#[test]
fn a_conviction_stops_the_node_and_the_next_start_goes_on_from_the_batch_before() {
    told(conviction());
}

async fn conviction() {
    let scratch = Scratch::new("conviction");
    let mut story = Story::begin(&scratch).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::named(&scratch.keys(), name));
    story.committed(1).await;

    // A thief has the sequencer's key: he is there first with a commitment to another root. Where the node was faster, the
    // L1 refuses him, and he tries the next batch.
    let mut seq = 0;
    let (stolen, had, payment) = loop {
        let had = [&alice, &bob].map(|who| story.balance(who));
        let payment = alice.pay(&story.node, seq, &bob, 5);
        seq += 1;
        let number = story.paid(&payment).await;
        story.committed(number - 1).await;
        let tip = story.node.inner.l1.with_settlement(|settlement| *settlement.tip());
        if tip.number + 1 != number {
            continue;
        }
        let honest = story.node.inner.history_batch(number).expect("readable").expect("sealed");
        let mut forged = honest.header;
        forged.ledger_root = tip.ledger_root;
        let batches = [(&forged, &honest.posted[..])];
        let key = Arc::clone(&story.key);
        let run = run::commitment_run(story.node.plane(), &key, 0, &tip, &batches).expect("a commitment");
        if story.send(&key, &run).await.is_ok() {
            break (number, had, payment);
        }
    };

    // Carol executes what the L1 shows, and proves the lie.
    let published = story.published();
    assert_eq!(published.len() as u64, stolen);
    let witness = story.witness_of_newest(&published);
    let request = case_messages(story.node.plane(), &published, Purpose::Challenge, stolen, &witness).expect("a case");
    let opened = story.send(&carol.key, &[Message::OpenCase(Box::new(request))]).await.expect("a case is opened");
    let case = opened.events.iter().find_map(|event| match event {
        Event::CaseOpened { case, .. } => Some(*case),
        _ => None,
    });
    let case = case.expect("a case");
    let material = [&published.last().expect("a batch").posted[..], &witness].concat();
    let chunks = material.chunks(CHUNK_BYTES_MAX).zip((0..).step_by(CHUNK_BYTES_MAX));
    let mut run: Vec<Message> =
        chunks.map(|(bytes, offset)| Message::Material { case, offset, bytes: bytes.to_vec() }).collect();
    run.push(Message::Judge { case });
    let judged = story.send(&carol.key, &run).await.expect("the case is judged");
    let reverted = Event::Reverted { first_batch: stolen, generation: 1 };
    assert!(judged.events.contains(&reverted), "{:?}", judged.events);

    // The node stops by itself, says why, and takes nothing more.
    let Ending::Fault(why) = story.node.ended().await else { panic!("nobody asked it to stop") };
    assert!(why.contains(&format!("convicted batch {stolen}")) && why.contains("generation 1"), "{why}");
    let late = story.node.submit(alice.pay(&story.node, seq, &bob, 1).to_bytes().into()).await;
    assert!(matches!(late, Err(Refusal::Stopping { .. })), "{late:?}");
    assert!(matches!(story.stop(), Ending::Fault(said) if said == why));

    // The next start is at the batch before, in the next generation, with a bond again.
    let mut story = Story::begin(&scratch).await;
    let recovered = story.running.recovered();
    assert_eq!(recovered.batch, stolen - 1);
    assert_eq!(story.node.status().generation, 1);
    assert_eq!([&alice, &bob].map(|who| story.balance(who)), had, "what the batch had moved is back");
    let bond = story.node.plane().genesis().settlement.sequencer_bond;
    assert_eq!(story.node.bridge().bond, bond);
    // What was in the batch is not executed again by itself; sent again it is, once.
    let again = story.paid(&payment).await;
    assert_eq!(again, stolen);
    assert_eq!(story.balance(&bob), had[1] + 5);
    story.committed(again).await;
    let tip = story.node.inner.l1.with_settlement(|settlement| *settlement.tip());
    assert_eq!((tip.number, tip.generation), (again, 1));
    let plane: Plane = (**story.node.plane()).clone();
    assert_eq!(story.stop(), Ending::Asked);

    // And all of it is in the log, the way back included.
    let verified = verify_directory(&scratch.0.join("plane"), plane, 1, |_, _| {}).expect("a log that comes out");
    assert!(verified.batch >= again, "{verified:?}");
    let story = Story::begin(&scratch).await;
    assert_eq!(story.balance(&bob), had[1] + 5);
    assert_eq!(story.stop(), Ending::Asked);
}
