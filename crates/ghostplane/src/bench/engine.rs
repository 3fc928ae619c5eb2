//! Executing batches. Signatures are checked beforehand, but for the row that measures just that.

use super::Row;
use super::fixture::{Fixture, Traffic};
use super::measure::{HashRates, HashWork, Samples, seconds};
use super::state::changed_hashes;
use crate::screen::Screen;
use ghostplane_engine::{KeyRing, OpenBatch, SealedBatch, Verified, execute, registered_keys, verify_all, verify_ring};
use ghostplane_ghostcipher::ed25519::{Item, PreparedKey, verify_batch};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Domain, VerificationKey, signing_bytes};
use ghostplane_types::{Address, PublicKey, Reject, Transaction};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

/// Transfers of a full batch.
pub(super) const FULL: usize = 4096;
/// The accounts of the ledger proof's trial: what a busy shop or game has awake at a time.
pub(super) const ACTIVE: usize = 1_700;
/// Batches of one figure; one more comes first and does not count.
const ROUNDS: usize = 9;
/// Transactions that an open batch is given at a time.
const GROUP: usize = 128;
/// What one job of the signature check takes.
const VERIFY_CHUNK: usize = 512;
/// What a key ring is given at a time.
const RING_CHUNK: usize = 256;
/// Accounts that can act.
const ACTORS: usize = 100_000;

pub(super) fn measure(screen: &Screen) -> anyhow::Result<Vec<Row>> {
    let cases = [
        ("engine/transfer", Traffic::Among { transfers: FULL, actors: ACTIVE }),
        ("engine/transfer-10k", Traffic::Among { transfers: FULL, actors: 10_000 }),
        ("engine/transfer-100k", Traffic::Among { transfers: FULL, actors: 100_000 }),
        ("engine/transfer-distinct", Traffic::Distinct { transfers: FULL }),
        ("engine/hot-payee", Traffic::HotPayee { transfers: FULL, actors: ACTIVE }),
        ("engine/bundle-256", Traffic::Bundles { bundles: 64, actors: ACTIVE }),
    ];
    let bar = screen.progress("engine", 2 + cases.len() as u64);
    let mut fixture = Fixture::new(ACTORS)?;
    let mut rates = HashRates::new();
    bar.inc(1);
    let mut rows = Vec::new();
    for (name, traffic) in cases {
        let figures = live(&mut fixture, traffic, &mut rates)?;
        let unit = if name == "engine/bundle-256" { "actions/s" } else { "transfers/s" };
        rows.push(figures.row(name, unit, &rates));
        if name == "engine/transfer" {
            rows.extend(figures.stage_rows(&rates));
            rows.push(figures.open_row("engine/open-batch"));
        }
        if name == "engine/transfer-100k" {
            rows.push(figures.open_row("engine/open-batch-100k"));
        }
        bar.inc(1);
    }
    rows.extend(verify_rows(&mut fixture)?);
    bar.finish("");
    Ok(rows)
}

/// One kind of traffic, batch after batch.
#[derive(Default)]
struct Live {
    rate: Samples,
    encode: Samples,
    decode: Samples,
    execute: Samples,
    execute_rate: Samples,
    open_rate: Samples,
    apply: Samples,
    seal: Samples,
    works: Vec<HashWork>,
    count: usize,
}

/// Seconds of the stages of one batch.
pub(super) struct Stages {
    pub(super) execute: f64,
    pub(super) apply: f64,
    pub(super) seal: f64,
}

impl Stages {
    pub(super) fn sum(&self) -> f64 {
        self.execute + self.apply + self.seal
    }
}

/// Runs a batch on the fixture's state, which moves on.
pub(super) fn run_live(
    fixture: &mut Fixture,
    verified: Vec<Verified>,
    posted_bytes: usize,
) -> anyhow::Result<(Stages, SealedBatch)> {
    let proposed = fixture.proposed(verified, posted_bytes)?;
    let (execute, executed) = seconds(|| execute(&fixture.plane, &fixture.keystone, &proposed));
    let executed = executed?;
    let (apply, roots) = seconds(|| fixture.keystone.apply(executed.changes(), &Serial));
    let roots = roots?;
    let (seal, sealed) = seconds(|| executed.seal(&fixture.plane, roots));
    let applied = sealed.records().iter().all(|(_, _, outcome)| outcome.is_applied());
    anyhow::ensure!(applied, "a transaction of the benchmark was refused");
    fixture.state = sealed.header().state();
    Ok((Stages { execute, apply, seal }, sealed))
}

/// The hashes that a batch cannot do without: both trees, journal and log.
pub(super) fn batch_hashes(fixture: &Fixture, sealed: &SealedBatch) -> anyhow::Result<HashWork> {
    let trees = changed_hashes(&fixture.keystone, sealed.changes())?;
    Ok(trees.plus(HashWork::journal(sealed.journal().len())).plus(HashWork::log(sealed.records().len())))
}

fn live(fixture: &mut Fixture, traffic: Traffic, rates: &mut HashRates) -> anyhow::Result<Live> {
    let mut figures = Live::default();
    for round in 0..=ROUNDS {
        let transactions = fixture.transactions(traffic);
        let verified = fixture.verified(transactions.clone())?;
        figures.count = transactions.iter().map(|transaction| transaction.body.actions.len()).sum();
        rates.sample();
        let (encode, posted) = seconds(|| fixture.posted(transactions));
        let posted = posted?;
        let (decode, read) =
            seconds(|| ghostplane_engine::posted::decode(&fixture.plane, &fixture.keystone, &fixture.state, &posted));
        black_box(read?);
        let open = open_batch_seconds(fixture, &verified, posted.len())?;
        let (stages, sealed) = run_live(fixture, verified, posted.len())?;
        if round > 0 {
            figures.add(&stages);
            figures.open_rate.push(figures.count as f64 / open);
            figures.encode.push(figures.count as f64 / encode);
            figures.decode.push(figures.count as f64 / decode);
            figures.works.push(batch_hashes(fixture, &sealed)?);
        }
    }
    Ok(figures)
}

/// Fills an open batch in groups and closes it; the fixture stays as it is.
fn open_batch_seconds(fixture: &Fixture, verified: &[Verified], posted_bytes: usize) -> anyhow::Result<f64> {
    let given: Vec<Arc<Verified>> = verified.iter().cloned().map(Arc::new).collect();
    let (spent, closed) = seconds(|| {
        let (plane, view) = (&fixture.plane, &fixture.keystone);
        let mut open = OpenBatch::open(plane, view, fixture.state, 0, fixture.next_time())?;
        for group in given.chunks(GROUP) {
            black_box(open.push(group)?);
        }
        open.close()
    });
    let closed = closed?;
    let all = closed.posted.len() == posted_bytes && closed.executed.records().len() == verified.len();
    anyhow::ensure!(all, "an open batch of the benchmark left something out");
    Ok(spent)
}

impl Live {
    fn add(&mut self, stages: &Stages) {
        self.rate.push(self.count as f64 / stages.sum());
        self.execute.push(1e6 * stages.execute);
        self.execute_rate.push(self.count as f64 / stages.execute);
        self.apply.push(1e6 * stages.apply);
        self.seal.push(1e6 * stages.seal);
    }

    fn row(&self, name: &'static str, unit: &'static str, rates: &HashRates) -> Row {
        let hashing: f64 = self.works.iter().map(|work| rates.seconds(work)).sum();
        let limit = (self.count * self.works.len()) as f64 / hashing;
        Row::rate(name, self.rate.median(), unit, limit, "hashes alone: both trees, journal, log")
    }

    /// The same batch through an open batch, its posted form included.
    fn open_row(&self, name: &'static str) -> Row {
        const WHOLE: &str = "execution of the same batches whole, without posted form";
        Row::rate(name, self.open_rate.median(), "transfers/s", self.execute_rate.median(), WHOLE)
    }

    /// Where the time of a full batch goes.
    fn stage_rows(&self, rates: &HashRates) -> Vec<Row> {
        let work = self.works[0];
        // The journal's permutations are those that are not in the tree; the log has four blocks a record.
        let log = HashWork::log(self.count);
        let journal = HashWork { packed: work.chained * 64, chained: work.chained, blocks: 0 };
        let sealed = rates.seconds(&log.plus(journal));
        let trees = rates.seconds(&work) - sealed;
        vec![
            Row::plain("engine/stage-execute", self.execute.median(), "us"),
            Row::cost("engine/stage-apply", self.apply.median(), "us", 1e6 * trees, "hashes of both trees"),
            Row::cost("engine/stage-seal", self.seal.median(), "us", 1e6 * sealed, "hashes of journal and log"),
            Row::plain("engine/posted-encode", self.encode.median(), "transfers/s"),
            Row::plain("engine/posted-decode", self.decode.median(), "transfers/s"),
        ]
    }
}

/// The check of a batch's signatures from end to end, beside the bare equation over the same signatures.
fn verify_rows(fixture: &mut Fixture) -> anyhow::Result<Vec<Row>> {
    const BARE: &str = "the batch equation alone, keys decompressed";
    let cases = [
        ("engine/verify", Traffic::Among { transfers: FULL, actors: ACTIVE }),
        ("engine/verify-distinct", Traffic::Distinct { transfers: FULL }),
    ];
    let mut rows = Vec::new();
    for (name, traffic) in cases {
        let transactions = fixture.transactions(traffic);
        let (mut whole, mut bare) = (Samples::default(), Samples::default());
        for _ in 0..ROUNDS {
            let given = transactions.clone();
            let (spent, checked) = seconds(|| verify_all(&fixture.plane, &fixture.keystone, &Serial, given));
            whole.push(FULL as f64 / spent);
            let keys: Vec<VerificationKey> = checked?
                .into_iter()
                .map(|verified| verified.map(|verified| ed25519_key(&verified)))
                .collect::<Result<_, _>>()?;
            bare.push(FULL as f64 / bare_seconds(&keys, &transactions, VERIFY_CHUNK)?);
        }
        rows.push(Row::rate(name, whole.median(), "signatures/s", bare.median(), BARE));
    }
    rows.push(ring_row(fixture)?);
    Ok(rows)
}

/// The check by a ring that knows every sender, beside the bare equation over the same signatures.
fn ring_row(fixture: &mut Fixture) -> anyhow::Result<Row> {
    let mut ring = KeyRing::new(ACTORS, 11);
    let everybody = fixture.transactions(Traffic::Everybody { actors: ACTORS });
    by_ring(fixture, &mut ring, everybody)?;
    anyhow::ensure!(ring.len() == ACTORS, "the ring does not hold everybody");
    let (mut whole, mut bare) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        let transactions = fixture.transactions(Traffic::Among { transfers: FULL, actors: ACTORS });
        let chunks: Vec<Vec<Transaction>> = transactions.chunks(RING_CHUNK).map(<[Transaction]>::to_vec).collect();
        let mut keys = Vec::with_capacity(FULL);
        let mut sum = 0.0;
        for chunk in chunks {
            let (spent, found) = seconds(|| by_ring(fixture, &mut ring, chunk));
            sum += spent;
            keys.extend(found?);
        }
        whole.push(FULL as f64 / sum);
        bare.push(FULL as f64 / bare_seconds(&keys, &transactions, RING_CHUNK)?);
    }
    const BARE: &str = "the batch equation of 256 alone, keys decompressed";
    Ok(Row::rate("engine/verify-ring", whole.median(), "signatures/s", bare.median(), BARE))
}

/// Checks transactions, all of which are good, and returns the keys that signed.
fn by_ring(
    fixture: &Fixture,
    ring: &mut KeyRing,
    transactions: Vec<Transaction>,
) -> anyhow::Result<Vec<VerificationKey>> {
    let look_up = |senders: &[Address]| senders.iter().map(|of| registered_keys(&fixture.keystone, of)).collect();
    let checked = verify_ring(&fixture.plane, ring, look_up, transactions)?;
    let key = |verified: Result<Verified, Reject>| Ok(ed25519_key(&verified?));
    checked.into_iter().map(key).collect()
}

fn ed25519_key(verified: &Verified) -> VerificationKey {
    match verified.key() {
        PublicKey::Ed25519(key) => *key,
        _ => unreachable!("all keys of this benchmark are of Ed25519"),
    }
}

fn bare_seconds(keys: &[VerificationKey], transactions: &[Transaction], chunk: usize) -> anyhow::Result<f64> {
    let mut prepared = BTreeMap::new();
    for key in keys {
        prepared.insert(*key, PreparedKey::new(key)?);
    }
    let mut items = Vec::with_capacity(keys.len());
    for (key, transaction) in keys.iter().zip(transactions) {
        let message = signing_bytes(Domain::TransactionAuth, transaction.body.chain_id, &transaction.body.id());
        items.push(Item { key: &prepared[key], message, signature: transaction.auth.signature() });
    }
    let (spent, good) = seconds(|| items.chunks(chunk).all(|chunk| verify_batch(chunk).is_ok()));
    anyhow::ensure!(good, "a signature of the benchmark does not verify");
    Ok(spent)
}
