//! A node in a process of its own, and what a kill in the middle of payments does to those it had answered for: nothing.
//!
//! The payments go over the node's API by the client library, which checks every receipt. At the end the node's batches are
//! read back, so that what is counted lost or doubled is counted from what was executed, not from what anybody claims.

use crate::keys;
use crate::node::dev::NAMES;
use crate::node::now_ms;
use crate::screen::{self, Screen};
use anyhow::{Context as _, bail, ensure};
use ghostplane_client::{Answer, Client, ClientError, Draft, Options, Receipt, Submissions, Trust, wire};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{AccountRecord, Address, Amount, AssetId, Encode as _, Gid, Transaction};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Payments of the scene.
const PAYMENTS: usize = 4_000;
/// The node is killed once so many were answered.
const KILLED_AFTER: usize = PAYMENTS / 2;
/// What one payer has unanswered at most: a sequencer takes 64 numbers ahead.
const AHEAD_MAX: usize = 16;
/// What one message takes at most.
const TOGETHER_MAX: usize = 16;
/// Milliseconds between the L1's blocks.
const BLOCK_MS: &str = "50";
/// No start and no scene takes as long, whatever else the machine does.
const AT_MOST: Duration = Duration::from_secs(120);
/// How long a signed payment may wait.
const VALID_MS: u64 = 600_000;
/// Variables that would send the node elsewhere.
const VARIABLES: [&str; 5] =
    ["GHOSTPLANE_KEYS", "GHOSTPLANE_URL", "GHOSTPLANE_GRPC", "GHOSTPLANE_HTTP", "GHOSTPLANE_CONFIG"];

/// What the scene showed. Nothing is in it that was not so.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Payments that were signed.
    pub payments: usize,
    /// Those with a checked receipt before the kill.
    pub acknowledged: usize,
    /// Those on the way when it came.
    pub unanswered: usize,
    /// Those of them that the log had: executed, and their receipts given after the restart.
    pub unanswered_kept: usize,
    /// Acknowledged payments that are gone, or whose receipt is another now.
    pub lost: usize,
    /// Payments that were executed more than once.
    pub doubled: usize,
    /// Batches that the second start executed again.
    pub replayed_batches: u64,
    /// From the second start to the first answer.
    pub restart: Duration,
    /// Balances that are as the model has them, by proof.
    pub balances: usize,
}

/// Plays the scene.
pub fn play(seed: u64, screen: &Screen) -> anyhow::Result<Scene> {
    screen.heading("A node, killed");
    let home = Home::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let scene = async {
        let played = tokio::time::timeout(AT_MOST, told(&home, seed, screen)).await;
        played.context("the node does not answer")?
    };
    runtime.context("the system gives no event loop")?.block_on(scene)
}

async fn told(home: &Home, seed: u64, screen: &Screen) -> anyhow::Result<Scene> {
    let mut node = home.start()?;
    let client = Client::connect(&node.grpc, Options::default()).await?;
    let people = home.people()?;
    let mut model = Model::new(funded(&client, &people).await?);
    let mut made = Payments::draw(seed, &client, &people, &model)?;
    screen.good(&format!("process {} serves gRPC at {}; ten people have money", node.child.id(), node.grpc));

    let answered = made.stream(&client, &mut node).await?;
    let unanswered = made.sent - answered.len();
    screen.bad(&format!(
        "killed by SIGKILL with {} payments acknowledged and {unanswered} on the way",
        screen::grouped(answered.len() as u64)
    ));
    drop((client, node));

    let started = Instant::now();
    let node = home.start()?;
    let client = Client::connect(&node.grpc, Options::default()).await?;
    let restart = started.elapsed();
    let replayed_batches = node.said["replayed_batches"].as_u64().unwrap_or_default();
    let after = made.look_up(&client, &answered).await?;
    ensure!(after.lost == 0, "{} acknowledged payments are gone after the kill", after.lost);
    screen.good(&format!(
        "started again after {}, {replayed_batches} batches executed again: every receipt opens, to the same promise",
        screen::duration(restart)
    ));

    // Whoever got no answer sends again, whether it went through or not, and so does the rest.
    let receipts = made.send_rest(&client, after.receipts).await?;
    let doubled = made.count_doubled(&client).await?;
    ensure!(doubled == 0, "{doubled} payments were executed more than once");
    model.apply(&made, &receipts)?;
    model.compare(&client, &people).await?;
    screen.good(&format!(
        "{} more sent, {} of them for the second time: each of {} was executed once, {} balances are proven right",
        screen::grouped((PAYMENTS - answered.len()) as u64),
        unanswered,
        screen::grouped(PAYMENTS as u64),
        people.len()
    ));
    Ok(Scene {
        payments: PAYMENTS,
        acknowledged: answered.len(),
        unanswered,
        unanswered_kept: after.unanswered_kept,
        lost: after.lost,
        doubled,
        replayed_batches,
        restart,
        balances: people.len(),
    })
}

/// The scene's directory, removed at its end.
struct Home(PathBuf);

/// A node's process. Dropping it kills it.
struct Process {
    child: Child,
    said: Value,
    grpc: String,
}

struct Person {
    gid: Gid,
    address: Address,
    key: keys::SecretKey,
}

impl Home {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("ghostplane-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Starts this program as a node, and waits until it serves.
    fn start(&self) -> anyhow::Result<Process> {
        let program = std::env::current_exe().context("this program does not know where it is")?;
        let complaints = self.0.join("stderr");
        let stderr = File::create(&complaints).with_context(|| format!("cannot write {}", complaints.display()))?;
        let mut command = Command::new(&program);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.args(["dev", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--l1-block-ms", BLOCK_MS]);
        command.arg("--dir").arg(self.0.join("plane")).arg("--keys").arg(self.keys());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let out = child.stdout.take().context("its output is a pipe")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(document(out)));
        let said = receiver.recv_timeout(AT_MOST).ok().flatten();
        let grpc = said.as_ref().and_then(|said| Some(said["grpc"].as_str()?.to_owned()));
        let mut process = Process { child, said: said.unwrap_or_default(), grpc: grpc.unwrap_or_default() };
        if process.grpc.is_empty() {
            process.kill();
            bail!("the node does not start: {}", tail_of(&complaints));
        }
        Ok(process)
    }

    fn people(&self) -> anyhow::Result<Vec<Person>> {
        let dir = self.keys();
        let person = |name: &&str| {
            let info = keys::describe(&dir, name)?;
            Ok(Person { gid: info.gid, address: info.address, key: keys::load(&dir, name, None)? })
        };
        NAMES.iter().map(person).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What is left behind is in the system's directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Process {
    /// SIGKILL: no destructor runs, nothing is written any more.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The document that ends with the line `}`; `None` if the output ends before.
fn document(out: ChildStdout) -> Option<Value> {
    let mut text = String::new();
    for line in BufReader::new(out).lines() {
        let line = line.ok()?;
        text.push_str(&line);
        text.push('\n');
        if line == "}" {
            return serde_json::from_str(&text).ok();
        }
    }
    None
}

fn tail_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}

/// Waits until everybody has the money that the L1 gives at the beginning: their balances and records.
async fn funded(client: &Client, people: &[Person]) -> anyhow::Result<Vec<(u64, Option<AccountRecord>)>> {
    let mut events = client.events(&[wire::EventKind::BatchSealed, wire::EventKind::L1Block]).await?;
    let mut accounts = Vec::new();
    for person in people {
        loop {
            let account = client.account(&person.address).await?;
            if let Some(balance) = account.balance(AssetId::GCC) {
                accounts.push((balance.units(), account.record().cloned()));
                break;
            }
            events.message().await?.context("the node ended")?;
        }
    }
    Ok(accounts)
}

/// One payment, by who is who in the list of people.
struct Payment {
    from: usize,
    to: usize,
    units: u64,
    transaction: Transaction,
}

/// All payments of the scene, in the order in which they are sent.
struct Payments {
    all: Vec<Payment>,
    /// How many were sent before the kill.
    sent: usize,
}

/// What the restarted node says of what was sent before.
struct LookedUp {
    receipts: BTreeMap<usize, Receipt>,
    lost: usize,
    unanswered_kept: usize,
}

impl Payments {
    fn draw(seed: u64, client: &Client, people: &[Person], model: &Model) -> anyhow::Result<Self> {
        let mut numbers = Numbers(seed);
        let mut next = vec![0_u64; people.len()];
        let mut all = Vec::with_capacity(PAYMENTS);
        let until = now_ms() + VALID_MS;
        for _ in 0..PAYMENTS {
            let from = numbers.index(people.len());
            let to = (from + 1 + numbers.index(people.len() - 1)) % people.len();
            let units = 1 + numbers.below(1_000_000);
            let amount = Amount::new(units).context("a small amount")?;
            let draft = Draft::new(client.plane(), client.info().gas_price);
            let draft = draft.transfer(people[to].address, AssetId::GCC, amount).valid(0, until);
            let draft = draft.sender(model.records[from].as_ref());
            let transaction = draft.sign(&people[from].key, people[from].gid, next[from])?;
            next[from] += 1;
            all.push(Payment { from, to, units, transaction });
        }
        Ok(Self { all, sent: 0 })
    }

    /// Streams payments and kills the node in the middle. Returns the receipts that came before it was gone.
    async fn stream(&mut self, client: &Client, node: &mut Process) -> anyhow::Result<BTreeMap<usize, Receipt>> {
        let mut stream = client.submit_stream(Trust::Verified).await?;
        let mut answered = BTreeMap::new();
        let mut ahead = vec![0_usize; NAMES.len()];
        let mut is_killed = false;
        loop {
            if !is_killed {
                self.send_what_may_go(&mut stream, &mut ahead).await?;
            }
            match stream.next().await {
                Ok(Some((reference, Answer::Verified(receipt)))) => {
                    let at = usize::try_from(reference)?;
                    ahead[self.all[at].from] -= 1;
                    ensure!(receipt.claimed().is_applied(), "payment {at} had no effect: {:?}", receipt.claimed());
                    ensure!(answered.insert(at, receipt).is_none(), "payment {at} was answered twice");
                }
                Ok(Some((at, answer))) => bail!("payment {at} of a full purse: {answer:?}"),
                Ok(None) => bail!("the node ended the stream by itself"),
                Err(error @ ClientError::Lied(_)) => return Err(error.into()),
                Err(_) if is_killed => break,
                Err(error) => return Err(error.into()),
            }
            if !is_killed && answered.len() >= KILLED_AFTER {
                node.kill();
                is_killed = true;
            }
        }
        Ok(answered)
    }

    /// Sends as many as their payers may have unanswered.
    async fn send_what_may_go(&mut self, stream: &mut Submissions, ahead: &mut [usize]) -> anyhow::Result<()> {
        loop {
            let first = self.sent;
            while let Some(payment) = self.all.get(self.sent)
                && self.sent - first < TOGETHER_MAX
                && ahead[payment.from] < AHEAD_MAX
            {
                ahead[payment.from] += 1;
                self.sent += 1;
            }
            if self.sent == first {
                return Ok(());
            }
            let bytes = self.all[first..self.sent].iter().map(|payment| payment.transaction.to_bytes().into());
            stream.send(first as u64, bytes.collect()).await?;
        }
    }

    /// Asks for the receipt of everything that was sent.
    async fn look_up(&self, client: &Client, answered: &BTreeMap<usize, Receipt>) -> anyhow::Result<LookedUp> {
        let mut found = LookedUp { receipts: BTreeMap::new(), lost: 0, unanswered_kept: 0 };
        for at in 0..self.sent {
            match (answered.get(&at), client.receipt(&self.all[at].transaction.body.id()).await) {
                (Some(before), Ok(receipt)) if receipt != *before => found.lost += 1,
                (before, Ok(receipt)) => {
                    found.unanswered_kept += usize::from(before.is_none());
                    found.receipts.insert(at, receipt);
                }
                (Some(_), Err(ClientError::NotFound(_))) => found.lost += 1,
                (None, Err(ClientError::NotFound(_))) => {}
                (_, Err(error)) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// Sends everything that was not acknowledged. What the node has already, it says, and its receipt stays the same.
    async fn send_rest(
        &self,
        client: &Client,
        known: BTreeMap<usize, Receipt>,
    ) -> anyhow::Result<BTreeMap<usize, Receipt>> {
        let mut receipts = known;
        let sent = self.sent;
        for at in 0..sent {
            // Sending what was executed again is answered as well; a few show it.
            if let Some(before) = receipts.get(&at) {
                if at + 2 * TOGETHER_MAX >= sent {
                    let again = client.submit(&self.all[at].transaction).await?;
                    ensure!(again == *before, "payment {at} was sent again and has another receipt");
                }
                continue;
            }
            let receipt = client.submit(&self.all[at].transaction).await?;
            ensure!(receipt.claimed().is_applied(), "payment {at} had no effect: {:?}", receipt.claimed());
            receipts.insert(at, receipt);
        }
        let mut stream = client.submit_stream(Trust::Verified).await?;
        let mut next = sent;
        while receipts.len() < self.all.len() {
            // Answers come in the order of the numbers of a payer; so many ahead are within what a sequencer takes.
            let end = self.all.len().min(receipts.len() + 2 * TOGETHER_MAX);
            if next < end {
                let bytes = self.all[next..end].iter().map(|payment| payment.transaction.to_bytes().into());
                stream.send(next as u64, bytes.collect()).await?;
                next = end;
            }
            match stream.next().await? {
                Some((reference, Answer::Verified(receipt))) => {
                    let at = usize::try_from(reference)?;
                    ensure!(receipt.claimed().is_applied(), "payment {at} had no effect: {:?}", receipt.claimed());
                    receipts.insert(at, receipt);
                }
                other => bail!("a payment of a full purse: {other:?}"),
            }
        }
        Ok(receipts)
    }

    /// Reads every batch and counts the payments that are in the log more often than once. Fails if one is not there.
    async fn count_doubled(&self, client: &Client) -> anyhow::Result<usize> {
        let mut times: BTreeMap<Digest, u32> =
            self.all.iter().map(|payment| (payment.transaction.body.id(), 0)).collect();
        // What was answered last may be in a batch that is not sealed yet; asking for an account waits for that.
        client.account(&self.all[0].transaction.body.sender).await?;
        for number in 1..=client.status().await?.batch {
            let (_, batch) = client.batch(number, true, false).await?;
            for record in batch.records.iter().filter(|record| !record.from_inbox) {
                let id = <[u8; 32]>::try_from(&record.id[..]).context("an id is 32 bytes")?;
                let known = times.get_mut(&Digest(id)).context("the log has a payment that nobody made")?;
                *known += 1;
            }
        }
        let missing = times.values().filter(|times| **times == 0).count();
        ensure!(missing == 0, "{missing} payments have a receipt and are in no batch");
        Ok(times.values().filter(|times| **times > 1).count())
    }
}

/// What everybody must have.
struct Model {
    balances: Vec<u64>,
    next: Vec<u64>,
    records: Vec<Option<AccountRecord>>,
}

impl Model {
    fn new(accounts: Vec<(u64, Option<AccountRecord>)>) -> Self {
        let next = vec![0; accounts.len()];
        let (balances, records) = accounts.into_iter().unzip();
        Self { balances, next, records }
    }

    fn apply(&mut self, payments: &Payments, receipts: &BTreeMap<usize, Receipt>) -> anyhow::Result<()> {
        for (at, payment) in payments.all.iter().enumerate() {
            let claimed = receipts.get(&at).context("every payment has a receipt")?.claimed();
            let spent = payment.units + claimed.fee;
            let left = self.balances[payment.from].checked_sub(spent);
            self.balances[payment.from] = left.context("nobody pays more than he has")?;
            self.balances[payment.to] += payment.units;
            self.next[payment.from] += 1;
        }
        Ok(())
    }

    /// Everybody has what the model says, and has used as many numbers, by proof.
    async fn compare(&self, client: &Client, people: &[Person]) -> anyhow::Result<()> {
        for (at, person) in people.iter().enumerate() {
            let account = client.account(&person.address).await?;
            let balance = account.balance(AssetId::GCC).map_or(0, Amount::units);
            let next = account.record().map_or(0, |record| record.next_in_lane(0));
            ensure!(
                (balance, next) == (self.balances[at], self.next[at]),
                "{} has {balance} and used {next} numbers, the model says {} and {}",
                NAMES[at],
                self.balances[at],
                self.next[at]
            );
        }
        Ok(())
    }
}

/// Numbers that look random and are the same for one seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).expect("below a usize")
    }
}
