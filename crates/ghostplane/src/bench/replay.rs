//! Judging batches as the L1 does: from their data and a witness, with no state at all.

use super::Row;
use super::engine::{ACTIVE, FULL, batch_hashes, run_live};
use super::fixture::{Fixture, Traffic};
use super::measure::{HashRates, Samples, seconds};
use crate::screen::Screen;
use ghostplane_engine::{Case, ProposedBatch, SealedBatch, Verdict, Verified, execute, posted, replay, witness};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::Witness;
use ghostplane_types::limits::{BATCH_BYTES_MAX, WITNESS_BYTES_MAX};
use ghostplane_types::{Decode as _, Encode as _, PlaneState, Transaction};

/// Batches of one figure; one more comes first and does not count.
const ROUNDS: usize = 7;
/// What the judge has for one batch, on one core.
const JUDGE_MS: f64 = 1000.0;
/// Bundles that fill a batch: a little less than a MiB posted.
const BUNDLES_FULL: usize = 390;
/// A signature, and nothing else.
const SIGNATURE_BYTES: f64 = 64.0;

pub(super) fn measure(screen: &Screen) -> anyhow::Result<Vec<Row>> {
    let bar = screen.progress("replay", 5);
    let mut fixture = Fixture::new(2 * FULL)?;
    let mut rates = HashRates::new();
    bar.inc(1);
    let mut case = |traffic| -> anyhow::Result<Judged> {
        let judged = judge(&mut fixture, traffic, &mut rates)?;
        bar.inc(1);
        Ok(judged)
    };
    let mix = case(Traffic::Among { transfers: FULL, actors: ACTIVE })?;
    let distinct = case(Traffic::Distinct { transfers: FULL })?;
    // A tenth of the accounts that a batch could name.
    let tenth = case(Traffic::Among { transfers: FULL, actors: 2 * FULL / 10 })?;
    let bundles = case(Traffic::Bundles { bundles: BUNDLES_FULL, actors: ACTIVE })?;
    drop(fixture);
    bar.finish("");

    const LIVE: &str = "the same batch live";
    const JUDGE: &str = "what the judge has";
    let witness_most = WITNESS_BYTES_MAX as f64 / FULL as f64;
    const WITNESS: &str = "what a witness may take";
    let live = |judged: &Judged| judged.verify.median() + judged.live.median();
    let judge_row = |name, judged: &Judged| Row::cost(name, judged.replay.median(), "ms", JUDGE_MS, JUDGE);
    Ok(vec![
        Row::cost("replay/batch", mix.replay.median(), "ms", live(&mix), LIVE),
        Row::cost("replay/batch-ratio", mix.replay.median() / live(&mix), "x", 1.0, LIVE),
        Row::cost("replay/batch-unsigned", mix.unsigned.median(), "ms", mix.live.median(), LIVE),
        Row::cost("replay/batch-distinct", distinct.replay.median(), "ms", live(&distinct), LIVE),
        Row::cost("replay/batch-distinct-unsigned", distinct.unsigned.median(), "ms", distinct.live.median(), LIVE),
        Row::cost("replay/witness-check", mix.check.median(), "ms", mix.hashing(&rates), "hashes of the batch, once"),
        judge_row("replay/cold", &mix),
        judge_row("replay/cold-distinct", &distinct),
        judge_row("replay/cold-bundles", &bundles),
        Row::plain("replay/witness-build", mix.build.median(), "ms"),
        Row::cost("replay/witness-bytes", mix.witness_bytes.median(), "B/transfer", witness_most, WITNESS),
        Row::cost(
            "replay/witness-bytes-distinct",
            distinct.witness_bytes.median(),
            "B/transfer",
            witness_most,
            WITNESS,
        ),
        Row::cost("replay/witness-bytes-tenth", tenth.witness_bytes.median(), "B/transfer", witness_most, WITNESS),
        Row::cost("posted/bytes-single", mix.posted_bytes.median(), "B", SIGNATURE_BYTES, "the signature"),
        Row::cost(
            "posted/bytes-per-action",
            bundles.posted_bytes.median(),
            "B",
            SIGNATURE_BYTES / 256.0 + 1.0 + 2.0 + 5.0,
            "asset, payee in 2 bytes, amount in 5, the signature's part",
        ),
    ])
}

/// One kind of traffic, batch after batch. Times in ms.
#[derive(Default)]
struct Judged {
    /// Signatures, in the live path.
    verify: Samples,
    /// Encode, execute, apply, seal.
    live: Samples,
    /// From bytes to verdict, signatures included.
    replay: Samples,
    /// The same without the signatures.
    unsigned: Samples,
    /// From the witness's bytes to a checked view.
    check: Samples,
    build: Samples,
    witness_bytes: Samples,
    posted_bytes: Samples,
    works: Vec<super::measure::HashWork>,
}

impl Judged {
    fn hashing(&self, rates: &HashRates) -> f64 {
        1e3 * rates.seconds(&self.works[0])
    }
}

fn judge(fixture: &mut Fixture, traffic: Traffic, rates: &mut HashRates) -> anyhow::Result<Judged> {
    let mut judged = Judged::default();
    for round in 0..=ROUNDS {
        let transactions = fixture.transactions(traffic);
        let actions: usize = transactions.iter().map(|transaction| transaction.body.actions.len()).sum();
        rates.sample();
        let sample = judge_one(fixture, transactions)?;
        if round == 0 {
            continue;
        }
        judged.verify.push(1e3 * sample.verify);
        judged.live.push(1e3 * sample.live);
        judged.replay.push(1e3 * sample.replay);
        judged.unsigned.push(1e3 * sample.unsigned);
        judged.check.push(1e3 * sample.check);
        judged.build.push(1e3 * sample.build);
        judged.witness_bytes.push(sample.witness_bytes as f64 / actions as f64);
        judged.posted_bytes.push(sample.posted_bytes as f64 / actions as f64);
        judged.works.push(batch_hashes(fixture, &sample.sealed)?);
    }
    Ok(judged)
}

/// One batch, live and judged. Times in seconds.
struct Sample {
    verify: f64,
    live: f64,
    replay: f64,
    unsigned: f64,
    check: f64,
    build: f64,
    witness_bytes: usize,
    posted_bytes: usize,
    sealed: SealedBatch,
}

fn judge_one(fixture: &mut Fixture, transactions: Vec<Transaction>) -> anyhow::Result<Sample> {
    let prev = fixture.state;
    let plain = transactions.clone();
    let (verify, verified) = seconds(|| fixture.verified(transactions));
    let verified = verified?;
    let (encode, posted) = seconds(|| fixture.posted(plain));
    let posted = posted?;
    anyhow::ensure!(posted.len() <= BATCH_BYTES_MAX, "a batch of the benchmark is too large");
    let (build, evidence) = seconds(|| witness(&fixture.plane, &fixture.keystone, &prev, &[], &posted, &Serial));
    let evidence = evidence.to_bytes();
    let again = verified.clone();
    let (stages, sealed) = run_live(fixture, verified, posted.len())?;

    let case = Case {
        plane: &fixture.plane,
        generation: 0,
        prev: &prev,
        inbox: &[],
        posted: &posted,
        witness: &evidence,
        claimed: sealed.header(),
    };
    let (replay, verdict) = seconds(|| replay(&case, &Serial));
    anyhow::ensure!(verdict == Verdict::Same, "an honest batch was judged {verdict:?}");
    let (unsigned, header) = seconds(|| replay_unsigned(&case, &prev, again));
    anyhow::ensure!(header? == *sealed.header(), "a replay without signatures comes out differently");
    let (check, checked) = seconds(|| Witness::from_bytes(&evidence).map(|witness| witness.verify(&prev.roots)));
    checked??;
    let live = encode + stages.sum();
    let (witness_bytes, posted_bytes) = (evidence.len(), posted.len());
    Ok(Sample { verify, live, replay, unsigned, check, build, witness_bytes, posted_bytes, sealed })
}

/// What [`replay`] does, but for the check of signatures.
fn replay_unsigned(
    case: &Case<'_>,
    prev: &PlaneState,
    verified: Vec<Verified>,
) -> anyhow::Result<ghostplane_types::BatchHeader> {
    let view = Witness::from_bytes(case.witness)?.verify(&prev.roots)?;
    let batch = posted::decode(case.plane, &view, prev, case.posted)?;
    anyhow::ensure!(batch.transactions.len() == verified.len(), "the posted form has other transactions");
    let proposed = ProposedBatch::new(*prev, case.generation, batch.time, Vec::new(), verified, case.posted.len())?;
    let executed = execute(case.plane, &view, &proposed)?;
    let roots = view.roots_after(executed.changes(), &Serial)?;
    Ok(*executed.seal(case.plane, roots).header())
}
