//! The demo: a whole plane in one process, from deposits on the L1 to withdrawals on the L1, with a thief in the middle; who may
//! act, on a second plane; then a node in a process of its own, paid through over its API and killed.

mod cast;
mod gates;
mod process;
mod report;

use crate::local::{LocalL1, Operator, Threads, Watcher, claim_message};
use crate::payments::{self, Payment, Payments};
use crate::screen::{self, Screen};
use anyhow::{Context as _, bail, ensure};
use cast::Cast;
use ghostplane_engine::{Plane, Verified};
use ghostplane_ghostbridge::run;
use ghostplane_ghostcipher::merkle;
use ghostplane_ghostcipher::workers::{Workers as _, map_chunks};
use ghostplane_keystone::StateView;
use ghostplane_proof::{Statement, ThreadPoolBuilder};
use ghostplane_settlement::{Event, Message, ProofBundle, ProvenBatch, Purpose};
use ghostplane_types::limits::BATCH_TRANSACTIONS_MAX;
use ghostplane_types::{Amount, AssetId, BatchHeader, Genesis, Money, Transaction};
use report::{Proven, Report};
use std::path::PathBuf;
use std::time::Instant;

/// What the demo is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// A payment file; without one, payments are made up.
    pub payments: Option<PathBuf>,
    /// Stop before anything is paid if the file has a bad row.
    pub strict: bool,
    /// What made-up payments are drawn from.
    pub seed: u64,
    /// Threads; 0 for as many as the machine has.
    pub threads: usize,
}

/// Payments made up when there is no file.
const PAYMENTS_MADE_UP: usize = 10_000;
/// One L1 block a second.
const BLOCK_MS: u64 = 1_000;
/// 2026-01-01T00:00:00Z, so that every run gives the same bytes.
const GENESIS_MS: u64 = 1_767_225_600_000;
/// Commitments that the payments are spread over, if there are enough batches.
const COMMITMENTS_AIMED: usize = 6;

/// Runs the demo. Fails if anything does not come out as it must.
pub fn run(options: &Options, screen: &Screen) -> anyhow::Result<()> {
    let started = Instant::now();
    let payments = load(options, screen)?;
    let mut demo = Demo::found(options, screen, &payments)?;
    demo.deposit(&payments)?;
    let caught_at = payments.payments.len() * 2 / 3;
    let (before, after) = payments.payments.split_at(caught_at);
    demo.pay(before)?;
    demo.steal(after)?;
    demo.withdraw()?;
    demo.check_everything()?;
    let Demo { mut report, .. } = demo;
    report.gates(gates::play(options.seed, options.threads, screen)?);
    report.node(process::play(options.seed, screen)?);
    report.elapsed = started.elapsed();
    report.show(screen);
    Ok(())
}

fn load(options: &Options, screen: &Screen) -> anyhow::Result<Payments> {
    screen.heading("Payments");
    let payments = match &options.payments {
        Some(path) => payments::read(path)?,
        None => payments::generate(options.seed, PAYMENTS_MADE_UP),
    };
    let rows = payments.payments.len();
    let source = options
        .payments
        .as_ref()
        .map_or_else(|| format!("made up from seed {}", options.seed), |path| format!("in {}", path.display()));
    screen.good(&format!("{} payments {source}", screen::grouped(rows as u64)));
    if !payments.refused.is_empty() {
        screen.bad(&format!("{} rows are no payments and are left out, each as a whole:", payments.refused.len()));
        for row in payments.refused.iter().take(5) {
            screen.line(&format!("    line {}: {}", row.line, row.problem));
        }
        if payments.refused.len() > 5 {
            screen.note(&format!("    … and {} more; --json lists all", payments.refused.len() - 5));
        }
        if options.strict {
            bail!("{} bad rows and --strict: nothing was paid; correct the rows named above", payments.refused.len());
        }
    }
    ensure!(rows >= 3, "the demo needs at least three payments");
    Ok(payments)
}

struct Demo<'s> {
    screen: &'s Screen,
    workers: Threads,
    cast: Cast,
    operator: Operator,
    watcher: Watcher,
    l1: LocalL1,
    report: Report,
}

impl<'s> Demo<'s> {
    // Act one: a plane and its money.

    fn found(options: &Options, screen: &'s Screen, payments: &Payments) -> anyhow::Result<Self> {
        screen.heading("Founding");
        let workers = Threads::new(options.threads);
        let key = cast::signing_key("operator");
        let genesis = Genesis::dev(GENESIS_MS, key.verification_key(), cast::gid("operator's wallet").address());
        let plane = Plane::new(genesis)?;
        let operator = Operator::found(plane.clone(), key, options.seed, &workers)?;
        let mut l1 = LocalL1::new(&plane, operator.state(), BLOCK_MS)?;
        let watcher = Watcher::new(plane.clone(), cast::l1_address("watcher"), options.seed ^ 1, &workers)?;
        operator.bond(&mut l1)?;
        let cast = Cast::new(&plane, payments);
        let bond = Money { amount: plane.genesis().settlement.sequencer_bond, asset: AssetId::GCC };
        screen.good(&format!("plane {} on chain {}, an L1 with a block a second", plane.plane_id(), plane.chain_id()));
        screen.good(&format!("the operator bonds {bond}"));
        let mut report = Report::new(payments);
        report.accounts = cast.len();
        Ok(Self { screen, workers, cast, operator, watcher, l1, report })
    }

    /// Everybody who pays deposits what all of it comes to, and something for fees.
    fn deposit(&mut self, payments: &Payments) -> anyhow::Result<()> {
        self.screen.heading("Deposits");
        let deposits = self.cast.deposits(payments);
        let bar = self.screen.progress("deposits on the L1", deposits.len() as u64);
        let per_block = ghostplane_settlement::limits::INBOX_BLOCK_ENTRIES_MAX as usize;
        for block in deposits.chunks(per_block) {
            for deposit in block {
                let message = Message::Deposit {
                    asset: deposit.money.asset,
                    l1_amount: u128::from(deposit.money.amount.units()),
                    to: deposit.to,
                };
                self.l1.send(deposit.from, message)?;
                self.report.deposit(deposit.money);
                bar.inc(1);
            }
            self.l1.mine(1)?;
        }
        bar.finish(&format!(
            "{} in {} blocks",
            screen::grouped(deposits.len() as u64),
            deposits.len().div_ceil(per_block)
        ));
        self.l1.mine(self.operator.plane().genesis().settlement.reorg_depth)?;
        self.consume_inbox()?;
        self.commit_all()?;
        self.replay_first()?;
        Ok(())
    }

    fn consume_inbox(&mut self) -> anyhow::Result<()> {
        loop {
            let from = self.operator.state().inbox_upto;
            let upto = self.l1.settlement().inbox_ripe_upto().min(from + BATCH_TRANSACTIONS_MAX as u64);
            let inbox: Vec<_> = self.l1.settlement().inbox_entries(from, upto).cloned().collect();
            if inbox.is_empty() {
                return Ok(());
            }
            let time = self.l1.block().time;
            let kept = self.operator.produce(time, &inbox, Vec::new(), &self.workers)?;
            self.report.batch(kept);
        }
    }

    /// Somebody who only reads the L1 proves that the first batch conserves value, and the L1 takes the proof. That alone
    /// makes nothing final.
    fn prove_first(&mut self, volunteer: &Watcher) -> anyhow::Result<()> {
        let l1 = &self.l1;
        let first = l1.published().first().context("nothing is committed yet")?.clone();
        let (plane, started) = (self.operator.plane(), Instant::now());
        let (witness, flows) = volunteer.provable(l1, &first, &self.workers)?;
        let previous = BatchHeader::genesis(volunteer.state());
        let batches = [(first.header, flows.clone())];
        let statement = Statement::new(plane.chain_id(), plane.plane_id(), &previous, &batches)?;
        let pool = ThreadPoolBuilder::new().num_threads(self.workers.count()).build()?;
        let proof = ghostplane_proof::prove(&statement, &[witness], &pool)?;
        let (took, bytes) = (started.elapsed(), proof.len());
        let under = l1.published().iter().filter(|other| other.first_batch == first.first_batch);
        let tree = merkle::Tree::new(under.map(|other| other.header.digest(plane.chain_id())).collect());
        let header_path = tree.path(0).context("the first batch is the first of its commitment")?;
        let batches = vec![ProvenBatch { header: first.header, header_path, flows }];
        let (number, entries) = (first.header.number, first.header.entries);
        let mut events = Vec::new();
        for message in run::proof_run(&ProofBundle { previous, batches, proof }) {
            events = self.l1.send(volunteer.l1_address(), message)?;
        }
        let proven = Event::Proven { first_batch: number, last_batch: number };
        ensure!(events.contains(&proven) && self.l1.settlement().is_proven(number), "the L1 takes the proof");
        ensure!(self.l1.settlement().final_number() == 0, "a proof alone makes nothing final");
        self.screen.good(&format!(
            "batch {number}, {} entries, was proved to conserve value by a volunteer in {}; the L1 verified {}",
            screen::grouped(entries.into()),
            screen::duration(took),
            screen::bytes(bytes as u64)
        ));
        self.report.proof(Proven { batch: number, entries, bytes, took });
        Ok(())
    }

    /// One batch is made final at once, by handing the L1 its witness.
    fn replay_first(&mut self) -> anyhow::Result<()> {
        let fresh = Watcher::new(self.operator.plane().clone(), cast::l1_address("volunteer"), 2, &self.workers)?;
        self.prove_first(&fresh)?;
        let l1 = &self.l1;
        let first = l1.published().first().context("nothing is committed yet")?.clone();
        let witness = fresh.witness(l1, &first, &self.workers);
        let started = Instant::now();
        let events = fresh.bring_case(&mut self.l1, Purpose::Replay, 1, &witness)?;
        self.report.replay_on_l1(started.elapsed(), witness.len());
        self.l1.mine(1)?;
        ensure!(events.contains(&Event::Replayed { batch: 1 }), "the L1 replays batch 1 and finds it true");
        ensure!(self.l1.settlement().final_number() == 1, "a replayed batch is final at once");
        self.screen.good("batch 1 was replayed by the L1 from a volunteer's witness: final at once");
        Ok(())
    }

    // Act two: payments.

    fn pay(&mut self, payments: &[Payment]) -> anyhow::Result<()> {
        self.screen.heading("Payments");
        let signed = self.sign(payments)?;
        let batches = signed.len().div_ceil(BATCH_TRANSACTIONS_MAX);
        let every = batches.div_ceil(COMMITMENTS_AIMED).max(1);
        let bar = self.screen.progress("verified, executed, committed", signed.len() as u64);
        for (at, batch) in signed.chunks(BATCH_TRANSACTIONS_MAX).enumerate() {
            self.execute(batch)?;
            bar.inc(batch.len() as u64);
            if (at + 1) % every == 0 || at + 1 == batches {
                self.commit_all()?;
            }
        }
        bar.finish(&screen::grouped(signed.len() as u64));
        Ok(())
    }

    fn sign(&mut self, payments: &[Payment]) -> anyhow::Result<Vec<Transaction>> {
        let bar = self.screen.progress("signed by their payers", payments.len() as u64);
        let started = Instant::now();
        let bodies = payments.iter().map(|payment| self.cast.payment(payment, self.l1.block().time));
        let bodies = bodies.collect::<anyhow::Result<Vec<_>>>()?;
        let cast = &self.cast;
        let signed = map_chunks(&self.workers, &bodies, 256, |chunk| {
            let signed: Vec<Transaction> = chunk.iter().map(|body| cast.sign(body)).collect();
            bar.inc(chunk.len() as u64);
            signed
        });
        self.report.signed(started.elapsed(), payments.len());
        bar.finish(&screen::grouped(payments.len() as u64));
        Ok(signed.into_iter().flatten().collect())
    }

    /// Verifies, executes and records one batch; every payment of it must apply.
    fn execute(&mut self, transactions: &[Transaction]) -> anyhow::Result<()> {
        let checked = self.operator.verify(transactions.to_vec(), &self.workers)?;
        let verified = checked.into_iter().collect::<Result<Vec<Verified>, _>>()?;
        self.produce(verified)
    }

    fn produce(&mut self, verified: Vec<Verified>) -> anyhow::Result<()> {
        let time = self.l1.block().time;
        let bodies: Vec<_> = verified.iter().map(|verified| verified.body().clone()).collect();
        let kept = self.operator.produce(time, &[], verified, &self.workers)?;
        for (body, (_, _, outcome)) in bodies.iter().zip(&kept.records) {
            ensure!(outcome.is_applied(), "{} paid with code {}", body.sender, outcome.code);
            self.cast.model.apply(body, outcome)?;
        }
        self.report.batch(kept);
        Ok(())
    }

    /// Commits everything that is waiting, a commitment an L1 block, and lets the watcher look at it.
    fn commit_all(&mut self) -> anyhow::Result<()> {
        while self.l1.published().len() < self.operator.batches().len() {
            self.l1.mine(1)?;
            self.operator.commit(&mut self.l1)?;
            self.report.commitments += 1;
        }
        let caught = self.watcher.follow(&self.l1, &self.workers)?;
        ensure!(caught.is_none(), "an honest batch was called false: {caught:?}");
        Ok(())
    }

    // Act three: a theft, and what becomes of it.

    fn steal(&mut self, payments: &[Payment]) -> anyhow::Result<()> {
        self.screen.heading("A theft");
        let signed = self.sign(payments)?;
        let (first, rest) = signed.split_at(signed.len().min(BATCH_TRANSACTIONS_MAX));
        let honest = self.operator.state().number;
        let model = self.cast.model.clone();
        let report = self.report.clone();

        self.execute(first)?;
        let (victim, loot) = self.cast.richest(&self.operator);
        let thief = cast::THIEF;
        self.operator.forge_theft(&cast::gid(&victim).address(), &cast::gid(thief).address(), loot, &self.workers)?;
        let stolen = Money { amount: loot, asset: AssetId::GCC };
        self.screen.bad(&format!("the operator moves {stolen} from {victim} to {thief}; roots and journal agree"));
        let away = self.cast.withdrawal(thief, stolen, self.l1.block().time)?;
        let checked = self.operator.verify(vec![self.cast.sign(&away)], &self.workers)?;
        let verified = checked.into_iter().collect::<Result<Vec<Verified>, _>>()?;
        let time = self.l1.block().time;
        let loot_batch = self.operator.produce(time, &[], verified, &self.workers)?.clone();
        self.l1.mine(1)?;
        self.operator.commit(&mut self.l1)?;

        let number = loot_batch.header.number;
        let early = claim_message(self.operator.plane(), self.l1.published(), number, &loot_batch.withdrawals, 0)?;
        let Err(refusal) = self.l1.send(cast::l1_address(thief), early) else { bail!("the loot was paid out") };
        self.screen.good(&format!("{thief} claims it on the L1 at once: refused, code {}: {refusal}", refusal.code()));

        let caught = self.watcher.follow(&self.l1, &self.workers)?.context("the watcher does not see the theft")?;
        self.screen.good(&format!("a watcher finds batch {} false: {}", caught.number, caught.difference));
        let started = Instant::now();
        let events = self.watcher.bring_case(&mut self.l1, Purpose::Challenge, caught.number, &caught.witness)?;
        self.report.challenge(started.elapsed(), caught.witness.len());
        let convicted = events.iter().find_map(|event| match event {
            Event::Reverted { first_batch, generation } => Some((*first_batch, *generation)),
            _ => None,
        });
        let (reverted, generation) = convicted.context("the L1 does not convict")?;
        ensure!(reverted == honest + 1, "exactly the forged batch and its successor are reverted");
        let reward = self.l1.balance(self.watcher.l1_address(), AssetId::GCC);
        let burned = self.l1.burned(AssetId::GCC);
        ensure!(reward > 0 && burned > 0, "the bond is split between the watcher and the fire");
        let gcc = |units: u128| {
            u64::try_from(units).ok().and_then(Amount::new).map(|amount| Money { amount, asset: AssetId::GCC })
        };
        let (reward, burned) = (gcc(reward.unsigned_abs()).context("a bond")?, gcc(burned).context("a bond")?);
        self.screen.good(&format!(
            "the L1 replays it and convicts: batches from {reverted} are gone, generation {generation}; {reward} of the bond go to the watcher, {burned} burn",
        ));

        self.cast.model = model;
        self.report.forget_reverted(&report);
        self.operator.revert(reverted, generation, &self.workers)?;
        self.cast.take_back(&away);
        self.operator.bond(&mut self.l1)?;
        for batch in [first].into_iter().chain(rest.chunks(BATCH_TRANSACTIONS_MAX)) {
            self.execute(batch)?;
        }
        self.commit_all()?;
        self.screen.good(&format!(
            "recovered: a new bond, the same {} payments again, honestly, in generation {generation}",
            screen::grouped(signed.len() as u64)
        ));
        Ok(())
    }

    // Act four: out again.

    fn withdraw(&mut self) -> anyhow::Result<()> {
        self.screen.heading("Withdrawals");
        let leaving = self.cast.leaving(&self.operator);
        let time = self.l1.block().time;
        let bodies = leaving.iter().map(|(who, money)| self.cast.withdrawal(who, *money, time));
        let bodies = bodies.collect::<anyhow::Result<Vec<_>>>()?;
        let signed: Vec<Transaction> = bodies.iter().map(|body| self.cast.sign(body)).collect();
        let mut batches = Vec::new();
        for batch in signed.chunks(BATCH_TRANSACTIONS_MAX) {
            self.execute(batch)?;
            batches.push(self.operator.state().number);
        }
        self.commit_all()?;
        let plane = self.operator.plane().clone();
        let terms = plane.genesis().settlement;
        let early = self.claims(&batches)?;
        let someone = cast::l1_address("a passer-by");
        let Err(refusal) = self.l1.send(someone, early[0].clone()) else { bail!("a claim was paid before its time") };
        self.screen.good(&format!("claimed before the window has passed: refused, code {}", refusal.code()));

        self.l1.mine(terms.window_unproven_blocks)?;
        let last = self.operator.state().number;
        ensure!(self.l1.settlement().final_number() == last, "all batches are final once the window has passed");
        self.screen.good(&format!("{} L1 blocks later all {last} batches are final", terms.window_unproven_blocks));
        for claim in &early {
            for event in self.l1.send(someone, claim.clone())? {
                if let Event::Pay { to, money } = event {
                    self.report.claimed(Money { amount: money.amount, asset: money.asset });
                    self.cast.paid_on_l1(to, money.asset, money.amount);
                }
            }
        }
        let Err(refusal) = self.l1.send(someone, early[0].clone()) else { bail!("a withdrawal was paid twice") };
        self.screen.good(&format!(
            "{} withdrawals claimed by path; once more: refused, code {}",
            early.len(),
            refusal.code()
        ));
        Ok(())
    }

    fn claims(&self, batches: &[u64]) -> anyhow::Result<Vec<Message>> {
        let mut claims = Vec::new();
        for number in batches {
            let kept = &self.operator.batches()[usize::try_from(number - 1)?];
            for index in 0..kept.withdrawals.len() {
                claims.push(claim_message(
                    self.operator.plane(),
                    self.l1.published(),
                    *number,
                    &kept.withdrawals,
                    index,
                )?);
            }
        }
        Ok(claims)
    }

    // The end: everything adds up.

    /// Compares every balance, proved against the roots that the L1 holds final, with the model's.
    fn check_everything(&mut self) -> anyhow::Result<()> {
        self.screen.heading("Checks");
        let roots = self.l1.settlement().tip().state().roots;
        ensure!(roots == self.operator.keystone().roots(), "the operator stands where the L1 stands");
        ensure!(roots == self.watcher.keystone().roots(), "the watcher stands where the L1 stands");
        let expected: Vec<_> = self.cast.model.balances().collect();
        let bar = self.screen.progress("balances proved against the L1's roots", expected.len() as u64);
        let keystone = self.operator.keystone();
        let wrong = map_chunks(&self.workers, &expected, 64, |chunk| {
            bar.inc(chunk.len() as u64);
            chunk.iter().find_map(|(address, asset, amount)| {
                let proved = cast::proved_balance(keystone, &roots, address, *asset);
                (proved != Some(*amount))
                    .then(|| format!("{address} has {proved:?} {asset}, the model says {amount:?}"))
            })
        });
        if let Some(wrong) = wrong.into_iter().flatten().next() {
            bail!("a balance is wrong: {wrong}");
        }
        bar.finish(&format!("{}, all as an independent model has them", screen::grouped(expected.len() as u64)));
        for asset in [AssetId::GCC, AssetId::ZMAN] {
            let on_plane: u128 = expected
                .iter()
                .filter(|(_, of, _)| *of == asset)
                .map(|(_, _, amount)| u128::from(amount.units()))
                .sum();
            let escrow = u128::from(self.l1.settlement().escrow(asset).context("a registered asset")?.units());
            ensure!(escrow == on_plane, "the L1 holds {escrow} {asset}, the plane {on_plane}");
            self.report.escrow(asset, escrow);
        }
        self.screen.good("for every asset the L1 holds exactly what the plane's balances add up to");
        self.cast.check_l1()?;
        self.screen.good("the L1 paid out exactly what was withdrawn");
        self.report.finish(&self.operator, &self.watcher, &self.l1);
        Ok(())
    }
}
