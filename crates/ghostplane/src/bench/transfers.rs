//! A whole node under load, over streaming gRPC on loopback, with the load generator on the same cores.
//!
//! The transfers are signed beforehand. Streams send as fast as they are read from, which is what bounds them, or at a fixed
//! rate; latency counts from the moment a transfer was due, so that a stall of the generator is not hidden.

use super::Row;
use super::disk;
use super::measure::{Random, resident_bytes};
use crate::node::api::Rung;
use crate::node::{self, Options, Running, grpc, now_ms};
use crate::screen::Screen;
use anyhow::{Context as _, ensure};
use ghostplane_client::wire;
use ghostplane_client::wire::transactions_client::TransactionsClient;
use ghostplane_engine::Plane;
use ghostplane_ghostcipher::ed25519::{Item, PreparedKey, verify_batch};
use ghostplane_ghostcipher::{Domain, SigningKey, signing_bytes};
use ghostplane_settlement::Message;
use ghostplane_shroud::covenant::{SCHEMA_VERSION, Template};
use ghostplane_types::gas::{GAS_NEW_OBJECT, GAS_NEW_SLOT, intrinsic};
use ghostplane_types::limits::ACTIONS_MAX;
use ghostplane_types::{
    Action, Address, Amount, AssetId, CovenantAt, CovenantText, Encode, EntityType, Genesis, Gid, KeyRef, L1Address,
    Nonce, Pay, PublicKey, Scheme, Transaction, TransactionBody,
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::Bytes;

/// Accounts that pay each other.
pub(super) const ACCOUNTS: usize = 100_000;
/// Streams of an ordinary run, each on a connection of its own.
const STREAMS: usize = 4;
/// Transactions of one message.
const TOGETHER: usize = 128;
/// What the L1 of the bench takes a block: at full speed a plane posts 8 to 10 MB a second.
const DATA_PER_BLOCK: u64 = 24 * 1024 * 1024;
const SUPPLY: u64 = 1 << 60;
const EACH: u64 = 1_000_000_000_000;
/// Gas for setting a covenant, or for asking one.
const GAS_OF_COVENANTS: u64 = 1_000_000;
/// Actions of a bundle.
const BUNDLE: usize = 64;

struct Payer {
    key: SigningKey,
    gid: Gid,
    address: Address,
    seq: u64,
}

pub(super) struct World {
    plane: Arc<Plane>,
    payers: Vec<Payer>,
    random: Random,
    valid_until: u64,
    /// Gas for what covenants cost.
    gas_more: u64,
}

/// Who is paid.
#[derive(Clone, Copy)]
enum Payees {
    Uniform,
    Zipf,
    One,
}

/// What a run came to.
#[derive(Default)]
pub(super) struct Measured {
    answered: u64,
    /// Answered, and without effect.
    unapplied: u64,
    refused: u64,
    seconds: f64,
    /// Milliseconds from due to answered, sorted.
    latencies: Vec<f64>,
}

impl Measured {
    pub(super) fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// Transfers that were executed.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    fn percentile(&self, share: f64) -> f64 {
        percentile(&self.latencies, share)
    }
}

/// The sample that a share of them does not exceed, of sorted ones.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[allow(clippy::cast_sign_loss, reason = "a share is not negative")]
    let at = (share * last as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Measures a node under load.
///
/// # Errors
/// If the node fails, or answers other than it should.
pub(super) fn measure(seconds: u64, screen: &Screen) -> anyhow::Result<Vec<Row>> {
    let dir = Scratch::new()?;
    let mut rows = Vec::new();
    let limit = signature_rate();
    let progress = screen.progress("transfers", 10);
    let sequencer = Arc::new(SigningKey::from_seed([1; 32]));
    let running = start(dir.path(), &sequencer)?;
    let runtime = node::serving_runtime()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let served = grpc::serve(running.node().clone(), listener, async { drop(stopped.await) });
    let served = runtime.spawn(served);

    let mut world = World::new(running.node().plane());
    runtime.block_on(world.fund(&url, &sequencer))?;
    runtime.block_on(world.register(&url))?;
    progress.inc(1);

    // A first run tells how much to sign for the long ones, and lets the node see every sender as one that came before.
    let probe = world.transfers(3 * ACCOUNTS, Payees::Uniform, 1, false);
    let probe = runtime.block_on(run(&url, probe, STREAMS, None))?;
    let budget = |rate: f64| (rate * seconds as f64) as usize;
    progress.inc(1);

    let uniform = world.transfers(budget(probe.rate()), Payees::Uniform, 1, false);
    let witness_us = running.node().status().witness_us;
    let bytes = uniform.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() as f64 / uniform.len() as f64;
    let uniform = runtime.block_on(run(&url, uniform, STREAMS, None))?;
    ensure!(uniform.refused == 0, "{} transfers were refused", uniform.refused);
    let peak = uniform.rate();
    rows.push(Row::rate(
        "transfers/uniform",
        peak,
        "transfers/s",
        limit,
        "Ed25519 in batches, two cores, all signers distinct",
    ));
    rows.push(Row::plain("transfers/bytes", bytes, "B"));
    // What the thread that executes spends on witnesses for the prover: batches that are sealed within the run, about.
    let spent = (running.node().status().witness_us - witness_us) as f64 / (uniform.seconds * 1e6);
    rows.push(Row::plain("transfers/witness-share", spent * 100.0, "%"));
    progress.inc(1);

    // Right behind the run that it is compared with: the disk is as full, and what compacts behind the plane as busy.
    let before = resident_bytes();
    let flood = world.transfers(budget(probe.rate()), Payees::Uniform, 1, false);
    let held = resident_bytes() - before;
    let flood = runtime.block_on(run(&url, flood, 10 * STREAMS, None))?;
    rows.push(Row::rate("overload/accepted", flood.rate(), "transfers/s", peak, "transfers/uniform"));
    rows.push(Row::plain("overload/memory-growth", (resident_bytes() - before - held).max(0.0) / 1e6, "MB"));
    progress.inc(1);

    let zipf = world.transfers(budget(probe.rate()) / 2, Payees::Zipf, 1, false);
    let zipf = runtime.block_on(run(&url, zipf, STREAMS, None))?;
    rows.push(Row::rate(
        "transfers/zipf",
        zipf.rate(),
        "transfers/s",
        limit,
        "Ed25519 in batches, two cores, all signers distinct",
    ));
    progress.inc(1);
    let hot = world.transfers(budget(probe.rate()) / 2, Payees::One, 1, false);
    let hot = runtime.block_on(run(&url, hot, STREAMS, None))?;
    rows.push(Row::rate("transfers/hot-payee", hot.rate(), "transfers/s", peak, "transfers/uniform"));
    progress.inc(1);
    let bundles = world.transfers(budget(probe.rate()) / 16, Payees::Uniform, BUNDLE, false);
    let bundles = runtime.block_on(run(&url, bundles, STREAMS, None))?;
    let actions = bundles.rate() * BUNDLE as f64;
    rows.push(Row::rate("transfers/bundle-64", actions, "actions/s", peak, "transfers/uniform"));
    progress.inc(1);

    let half = peak / 2.0;
    let paced = world.transfers((half * seconds as f64) as usize, Payees::Uniform, 1, false);
    let offered = half;
    // What the runs at full speed left to the L1 is not part of half the load.
    let left = running.node().status().batch;
    runtime.block_on(running.node().reached(left, Rung::Challengeable))?;
    // The same disk a moment before, with nothing else to do: no receipt is there before its group is synced.
    let syncs = disk::syncs(dir.path(), 3)?;
    let paced = runtime.block_on(run(&url, paced, STREAMS, Some(half)))?;
    rows.push(Row::rate(
        "latency/accepted",
        paced.rate(),
        "transfers/s",
        offered,
        "offered: half of transfers/uniform",
    ));
    rows.push(Row::cost("latency/p50", paced.percentile(0.5), "ms", 5.0, "what was asked for"));
    rows.push(Row::cost("latency/p99", paced.percentile(0.99), "ms", 20.0, "what was asked for"));
    rows.push(Row::plain("latency/p100", paced.percentile(1.0), "ms"));
    rows.push(Row::plain("latency/sync-p50", percentile(&syncs, 0.5), "ms"));
    rows.push(Row::plain("latency/sync-p99", percentile(&syncs, 0.99), "ms"));
    progress.inc(1);

    // Last, since it changes every account.
    runtime.block_on(world.limit(&url))?;
    let limited = world.transfers(budget(probe.rate()) / 2, Payees::Uniform, 1, false);
    let limited = runtime.block_on(run(&url, limited, STREAMS, None))?;
    ensure!(
        limited.refused + limited.unapplied == 0,
        "{} transfers failed under covenants",
        limited.refused + limited.unapplied
    );
    rows.push(Row::rate("covenant/spending-limit", limited.rate(), "transfers/s", peak, "transfers/uniform"));
    progress.inc(1);

    let accepted = running.node().status().accepted;
    drop(stop);
    runtime.block_on(served)??;
    runtime.shutdown_timeout(Duration::from_secs(1));
    stop_node(running)?;
    rows.extend(recovery(dir.path(), &sequencer, accepted, peak)?);
    progress.inc(1);
    drop(progress);
    Ok(rows)
}

/// What a start makes of the log of the runs before, without its checkpoint and with it.
fn recovery(dir: &Path, sequencer: &Arc<SigningKey>, accepted: u64, live: f64) -> anyhow::Result<Vec<Row>> {
    for name in ["checkpoint", "history"] {
        std::fs::remove_dir_all(dir.join(name)).with_context(|| format!("cannot remove {name}"))?;
    }
    let running = start(dir, sequencer)?;
    let replayed = running.recovered();
    ensure!(replayed.transactions >= accepted, "{} of {accepted} transactions came back", replayed.transactions);
    let rate = replayed.transactions as f64 / (replayed.replay_us as f64 / 1e6);
    stop_node(running)?;
    let started = Instant::now();
    let running = start(dir, sequencer)?;
    let whole_ms = started.elapsed().as_secs_f64() * 1e3;
    let loaded = running.recovered();
    stop_node(running)?;
    Ok(vec![
        Row::rate("recovery/replay", rate, "transfers/s", live, "transfers/uniform"),
        Row::plain("recovery/checkpoint-100k", loaded.checkpoint_us as f64 / 1e3, "ms"),
        Row::plain("recovery/start-100k", whole_ms, "ms"),
    ])
}

pub(super) fn stop_node(running: Running) -> anyhow::Result<()> {
    match running.stop() {
        node::Ending::Asked => Ok(()),
        node::Ending::Fault(why) => anyhow::bail!("the node ended: {why}"),
    }
}

pub(super) fn start(dir: &Path, sequencer: &Arc<SigningKey>) -> anyhow::Result<Running> {
    // Witnesses are collected as on any plane that is proved; the prover's own work is another bench's.
    start_with(dir, sequencer, |options| options.prover.mode = node::ProverMode::External)
}

/// A node of the bench with other options.
pub(super) fn start_with(
    dir: &Path,
    sequencer: &Arc<SigningKey>,
    change: impl FnOnce(&mut Options),
) -> anyhow::Result<Running> {
    let gid = gid_of(sequencer);
    let path = dir.join("genesis-time");
    let time = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse()?,
        Err(_) => {
            let time = now_ms() - 10_000;
            std::fs::write(&path, time.to_string())?;
            time
        }
    };
    let mut genesis = Genesis::dev(time, sequencer.verification_key(), Address::from_bytes([2; 32]));
    genesis.settlement.data_per_block_max = DATA_PER_BLOCK;
    let mut options = Options::new(dir.to_path_buf(), genesis, Arc::clone(sequencer));
    let operator = L1Address(*sequencer.verification_key().as_bytes());
    options.l1.balances = vec![(operator, AssetId::GCC, u128::from(SUPPLY) * 2)];
    options.l1.founding = vec![Message::Deposit { asset: AssetId::GCC, l1_amount: SUPPLY.into(), to: gid.address() }];
    change(&mut options);
    Ok(node::start(options)?)
}

fn gid_of(key: &SigningKey) -> Gid {
    let public_key = PublicKey::Ed25519(key.verification_key());
    Gid { public_key, chain_id: ghostplane_types::genesis::CHAIN_DEV, entity_type: EntityType::Wallet, version: 0 }
}

impl World {
    pub(super) fn new(plane: &Arc<Plane>) -> Self {
        Self::of(plane, ACCOUNTS)
    }

    /// With so many accounts.
    pub(super) fn of(plane: &Arc<Plane>, accounts: usize) -> Self {
        let mut random = Random(0x5be0_cd19);
        let payers = (0..accounts).map(|_| {
            let key = SigningKey::from_seed(random.bytes());
            let gid = gid_of(&key);
            Payer { address: gid.address(), key, gid, seq: 0 }
        });
        let payers = payers.collect();
        Self { plane: Arc::clone(plane), payers, random, valid_until: now_ms() + 24 * 3_600_000, gas_more: 0 }
    }

    /// The sequencer's account gives every payer something.
    pub(super) async fn fund(&mut self, url: &str, sequencer: &SigningKey) -> anyhow::Result<()> {
        let payees: Vec<Address> = self.payers.iter().map(|payer| payer.address).collect();
        self.fund_all(url, sequencer, &payees).await
    }

    /// The sequencer's account gives something to everybody of a list, 256 at a time.
    pub(super) async fn fund_all(&mut self, url: &str, sequencer: &SigningKey, to: &[Address]) -> anyhow::Result<()> {
        let gid = gid_of(sequencer);
        let amount = Amount::new(EACH).expect("small");
        let bundles = to.chunks(ACTIONS_MAX).zip(0..).map(|(payees, seq)| {
            let to_all = payees.iter().map(|payee| Action::Transfer { to: *payee, asset: AssetId::GCC, amount });
            let nonce = Nonce { lane: Nonce::LANE_ROOT, seq };
            sign(&self.plane, sequencer, gid, KeyRef::Carried(gid), nonce, (self.valid_until, 0), to_all.collect())
        });
        let bundles: Vec<(usize, Bytes)> = bundles.map(|bytes| (0, bytes)).collect();
        // Fewer at a time than a lane may be ahead.
        for group in bundles.chunks(32) {
            let done = run(url, group.to_vec(), 1, None).await?;
            ensure!(done.refused == 0, "the accounts of the bench could not be funded");
        }
        Ok(())
    }

    /// Addresses of nobody in particular.
    pub(super) fn strangers(&mut self, count: usize) -> Vec<Address> {
        (0..count).map(|_| Address::from_bytes(self.random.bytes())).collect()
    }

    /// Every payer pays once, with his identity.
    pub(super) async fn register(&mut self, url: &str) -> anyhow::Result<()> {
        let registering = self.transfers(self.payers.len(), Payees::Uniform, 1, true);
        let done = run(url, registering, STREAMS, None).await?;
        ensure!(done.refused == 0, "{} of the accounts of the bench could not be registered", done.refused);
        Ok(())
    }

    /// Every payer attaches a spending limit that none of them meets.
    async fn limit(&mut self, url: &str) -> anyhow::Result<()> {
        let parameters =
            [("limit", "900gcc"), ("window", "day")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = Template::parse("spending-limit", &parameters.into_iter().collect())?.text()?;
        let digest = Some(CovenantText::digest_of(SCHEMA_VERSION, &text));
        let mut all = Vec::with_capacity(self.payers.len());
        let publish = Action::PublishCovenant { schema_version: SCHEMA_VERSION, text };
        for (from, payer) in self.payers.iter_mut().enumerate() {
            let mut actions = vec![Action::SetCovenant { at: CovenantAt::Outgoing, digest }];
            if from == 0 {
                actions.insert(0, publish.clone());
            }
            let nonce = Nonce { lane: Nonce::LANE_ROOT, seq: payer.seq };
            payer.seq += 1;
            let key_ref = KeyRef::Registered(0);
            all.push((
                from,
                sign(&self.plane, &payer.key, payer.gid, key_ref, nonce, (self.valid_until, GAS_OF_COVENANTS), actions),
            ));
        }
        // What is attached has to be there.
        let others = all.split_off(1);
        for group in [all, others] {
            let done = run(url, group, STREAMS, None).await?;
            ensure!(done.refused + done.unapplied == 0, "{} accounts got no covenant", done.refused + done.unapplied);
        }
        self.gas_more = GAS_OF_COVENANTS;
        Ok(())
    }

    /// So many payments among all payers, as fast as they are taken.
    pub(super) async fn uniform(&mut self, url: &str, count: usize) -> anyhow::Result<Measured> {
        let transfers = self.transfers(count, Payees::Uniform, 1, false);
        run(url, transfers, STREAMS, None).await
    }

    /// So many payments among all payers, to be sent later.
    pub(super) fn sign_uniform(&mut self, count: usize) -> Vec<(usize, Bytes)> {
        self.transfers(count, Payees::Uniform, 1, false)
    }

    /// Sends them as fast as they are taken.
    pub(super) async fn send(url: &str, transfers: Vec<(usize, Bytes)>) -> anyhow::Result<Measured> {
        run(url, transfers, STREAMS, None).await
    }

    /// So many transactions, signed on all cores. Every payer has his turn before any has two, so that nobody's lane
    /// runs ahead. Each comes with its payer, who stays on one stream.
    fn transfers(&mut self, count: usize, payees: Payees, actions: usize, carried: bool) -> Vec<(usize, Bytes)> {
        let accounts = self.payers.len();
        let mut plans = Vec::with_capacity(count);
        for at in 0..count {
            let from = at % accounts;
            let payer = &mut self.payers[from];
            let nonce = Nonce { lane: Nonce::LANE_ROOT, seq: payer.seq };
            payer.seq += 1;
            let to: Vec<usize> = (0..actions)
                .map(|_| match payees {
                    Payees::Uniform => self.random.below(accounts),
                    Payees::Zipf => self.zipf(),
                    Payees::One => 0,
                })
                .map(|to| if to == from { (to + 1) % accounts } else { to })
                .collect();
            let units = 1 + self.random.below(1 << 20) as u64;
            plans.push((from, nonce, to, Amount::new(units).expect("small")));
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let chunk = plans.len().div_ceil(threads).max(1);
        let (plane, payers, valid_until, gas_more) = (&self.plane, &self.payers, self.valid_until, self.gas_more);
        std::thread::scope(|scope| {
            let jobs: Vec<_> = plans
                .chunks(chunk)
                .map(|plans| {
                    scope.spawn(move || {
                        plans
                            .iter()
                            .map(|(from, nonce, to, amount)| {
                                let payer = &payers[*from];
                                let key_ref = if carried { KeyRef::Carried(payer.gid) } else { KeyRef::Registered(0) };
                                let to = to.iter().map(|to| payers[*to].address);
                                let actions =
                                    to.map(|to| Action::Transfer { to, asset: AssetId::GCC, amount: *amount });
                                let actions = actions.collect();
                                let terms = (valid_until, gas_more);
                                let bytes = sign(plane, &payer.key, payer.gid, key_ref, *nonce, terms, actions);
                                (*from, bytes)
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            jobs.into_iter().flat_map(|job| job.join().expect("signing does not panic")).collect()
        })
    }

    /// A payee by Zipf's law with exponent 1, by inverting its continuous form.
    #[allow(clippy::cast_sign_loss, reason = "a power of a number above 1 is not negative")]
    fn zipf(&mut self) -> usize {
        let share = self.random.below(1 << 30) as f64 / f64::from(1 << 30);
        let accounts = self.payers.len();
        let rank = (accounts as f64).powf(share) as usize;
        rank.clamp(1, accounts) - 1
    }
}

fn sign(
    plane: &Plane,
    key: &SigningKey,
    gid: Gid,
    key_ref: KeyRef,
    nonce: Nonce,
    (valid_until, gas_more): (u64, u64),
    actions: Vec<Action>,
) -> Bytes {
    let count = actions.len();
    let body = TransactionBody {
        chain_id: plane.chain_id(),
        plane_id: plane.plane_id(),
        sender: gid.address(),
        nonce,
        valid_after: 0,
        valid_until,
        gas_limit: intrinsic(Scheme::Ed25519, 512 + 45 * count, count)
            + count as u64 * (GAS_NEW_SLOT + GAS_NEW_OBJECT)
            + gas_more,
        gas_price_max: plane.genesis().gas_price,
        pay: Pay::Gcc,
        key_ref,
        actions,
        memo: Vec::new(),
    };
    let auth = key.sign(Domain::TransactionAuth, plane.chain_id(), &body.id());
    Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }.to_bytes().into()
}

/// Sends everything over so many streams and waits for all answers.
async fn run(
    url: &str,
    transactions: Vec<(usize, Bytes)>,
    streams: usize,
    rate: Option<f64>,
) -> anyhow::Result<Measured> {
    let mut shares: Vec<Vec<Bytes>> = vec![Vec::new(); streams];
    for (payer, bytes) in transactions {
        shares[payer % streams].push(bytes);
    }
    let rate = rate.map(|rate| rate / streams as f64);
    let started = Instant::now();
    let jobs: Vec<_> =
        shares.into_iter().map(|share| tokio::spawn(stream(url.to_owned(), share, rate, started))).collect();
    let mut all = Measured::default();
    for job in jobs {
        let one = job.await??;
        all.answered += one.answered;
        all.refused += one.refused;
        all.unapplied += one.unapplied;
        all.latencies.extend(one.latencies);
    }
    all.seconds = started.elapsed().as_secs_f64();
    all.latencies.sort_unstable_by(f64::total_cmp);
    Ok(all)
}

async fn stream(
    url: String,
    transactions: Vec<Bytes>,
    rate: Option<f64>,
    started: Instant,
) -> anyhow::Result<Measured> {
    let total = transactions.len() as u64;
    if total == 0 {
        return Ok(Measured::default());
    }
    let client = TransactionsClient::connect(url).await?;
    let mut client = client.max_decoding_message_size(16 * 1024 * 1024);
    let (send, requests) = mpsc::channel(4);
    let sender = tokio::spawn(async move {
        let mut first_reference = 0_u64;
        let mut rest = transactions.into_iter().peekable();
        // At a fixed rate, messages are as small as what is due in a millisecond.
        let mut every = tokio::time::interval(Duration::from_millis(1));
        while rest.peek().is_some() {
            let count = match rate {
                None => TOGETHER,
                Some(rate) => {
                    every.tick().await;
                    #[allow(clippy::cast_sign_loss, reason = "time since the start is not negative")]
                    let due = (started.elapsed().as_secs_f64() * rate) as u64;
                    usize::try_from(due.saturating_sub(first_reference)).unwrap_or(TOGETHER).min(512)
                }
            };
            if count == 0 {
                continue;
            }
            let together: Vec<Bytes> = rest.by_ref().take(count).collect();
            let next = first_reference + together.len() as u64;
            let request = wire::SubmitStreamRequest { first_reference, transactions: together, without_paths: false };
            first_reference = next;
            if send.send(request).await.is_err() {
                break;
            }
        }
    });
    let mut answers = client.submit_stream(ReceiverStream::new(requests)).await?.into_inner();
    let mut measured = Measured::default();
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        let now = started.elapsed().as_secs_f64();
        measured.answered += answer.executed.len() as u64;
        measured.unapplied += answer.executed.iter().filter(|one| one.code != 0).count() as u64;
        measured.refused += answer.refused.len() as u64;
        if let Some(rate) = rate {
            let late = answer.executed.iter().map(|one| (now - one.reference as f64 / rate) * 1e3);
            measured.latencies.extend(late);
        }
        if measured.answered + measured.refused == total {
            break;
        }
    }
    sender.await?;
    ensure!(measured.answered + measured.refused == total, "the node answered {} of {total}", measured.answered);
    Ok(measured)
}

/// Signatures a second on all cores in batches of 256, each of another signer whose key is decompressed for it.
fn signature_rate() -> f64 {
    const EACH: usize = 256;
    const ROUNDS: usize = 60;
    let digest = ghostplane_ghostcipher::Digest([7; 32]);
    let message = signing_bytes(Domain::Test, 0, &digest);
    let keys: Vec<SigningKey> = (0..EACH)
        .map(|at| {
            let mut seed = [3; 32];
            seed[..8].copy_from_slice(&(at as u64).to_le_bytes());
            SigningKey::from_seed(seed)
        })
        .collect();
    let signed: Vec<_> = keys.iter().map(|key| (key.verification_key(), key.sign(Domain::Test, 0, &digest))).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let prepared: Vec<PreparedKey> =
                        signed.iter().filter_map(|(key, _)| PreparedKey::new(key).ok()).collect();
                    let items: Vec<Item<'_>> = prepared
                        .iter()
                        .zip(&signed)
                        .map(|(key, (_, signature))| Item { key, message, signature })
                        .collect();
                    assert!(verify_batch(&items).is_ok(), "these signatures hold");
                }
            });
        }
    });
    (threads * EACH * ROUNDS) as f64 / started.elapsed().as_secs_f64()
}

/// A directory that goes away.
pub(super) struct Scratch(std::path::PathBuf);

impl Scratch {
    pub(super) fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("ghostplane-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in the system's directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
