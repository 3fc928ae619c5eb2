//! What can be asked of a node.

use super::api::{
    AccountView, AssetView, AssetsView, BalanceView, BatchView, Bounded, BridgeView, CommitmentView, Condition,
    CredentialView, CredentialsView, ExecutedRecord, Flushed, KnownAsset, L1Refused, ManaView, PlaneRulesView,
    ProofView, QueryError, ReceiptView, RootsView, Rung, SentToL1, SimulationView, StatusView, TransactionView,
    WithdrawalView,
};
use super::attesting::AttestError;
use super::options::ProverMode;
use super::prove::{HandInError, Job, LEASE};
use super::verify::VERIFYING_MAX;
use super::{Inner, Node, now_ms};
use ghostplane_engine::simulate::look_up;
use ghostplane_engine::{Simulated, simulate};
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_keystone::{Changeset, Keystone, Recorder, StateView, scan};
use ghostplane_settlement::Event;
use ghostplane_store::{HistoryBatch, HistoryError};
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, AssetRecord, Attestation, BatchHeader, Commitment, CovenantText,
    Credential, Decode, Encode as _, Genesis, InboxEntry, L1Address, ObjectClass, ObjectKey, PlaneRules, Reject,
    SignedL1Message, Source, Transaction,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tonic::codegen::Bytes;

/// Words about events that one answer carries at most.
const EVENTS_MAX: usize = 64;
/// Gas of a transaction whose outcome is tried out: some 0.2 s of a core.
const SIMULATION_GAS_MAX: u64 = 20_000_000;
/// Batches of one list.
const BATCHES_MAX: usize = 256;
/// Inbox entries of one answer, and their bytes; one entry is far shorter.
const INBOX_ENTRIES_MAX: u64 = 1_024;
const INBOX_BYTES_MAX: usize = 2 * 1024 * 1024;

impl From<HistoryError> for QueryError {
    fn from(error: HistoryError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<ghostplane_ghostbridge::ReadError> for QueryError {
    fn from(error: ghostplane_ghostbridge::ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Inner {
    /// A batch from memory or disk.
    pub(super) fn history_batch(&self, number: u64) -> Result<Option<Arc<HistoryBatch>>, HistoryError> {
        if let Some(batch) = self.batches.read().get(&number) {
            return Ok(Some(Arc::clone(batch)));
        }
        Ok(self.history.batch(number)?.map(Arc::new))
    }

    fn header(&self, number: u64) -> Result<Option<BatchHeader>, HistoryError> {
        if let Some(batch) = self.batches.read().get(&number) {
            return Ok(Some(batch.header));
        }
        self.history.header(number)
    }

    fn rung_of(&self, batch: u64) -> Rung {
        let progress = *self.progress.borrow();
        if batch <= progress.final_batch {
            Rung::Final
        } else if batch <= progress.proven {
            Rung::Proven
        } else if batch <= progress.committed {
            Rung::Challengeable
        } else {
            Rung::Attested
        }
    }
}

fn credential(bytes: &[u8]) -> Result<Credential, QueryError> {
    Credential::from_bytes(bytes).map_err(|error| QueryError::Unavailable(format!("a credential: {error}")))
}

/// How long a question about a batch waits for the log to have it.
const SHOWN_WAIT: Duration = Duration::from_secs(5);

impl Node {
    /// Waits until the state shows what receipts have been given for so far, so that people read what they wrote.
    pub async fn caught_up(&self) {
        let mut progress = self.inner.progress.subscribe();
        let wanted = progress.borrow().answered;
        // It ends only with the node.
        let _ = progress.wait_for(|progress| progress.sealed >= wanted).await;
    }

    /// Waits until a batch that is sealed may be shown, which is once the log has all of it: whoever read its number can ask for it.
    /// What is not sealed is not waited for, nor is a disk that stays full.
    pub async fn shown(&self, batch: u64) {
        let wanted = self.inner.live.read().header.number.min(batch);
        let mut progress = self.inner.progress.subscribe();
        let _ = tokio::time::timeout(SHOWN_WAIT, progress.wait_for(|progress| progress.shown >= wanted)).await;
    }

    /// Waits until a batch has come as far as `rung`. Give up by dropping the future.
    pub async fn reached(&self, batch: u64, rung: Rung) -> Result<Rung, QueryError> {
        let mut progress = self.inner.progress.subscribe();
        let reached = progress.wait_for(|progress| match rung {
            Rung::Attested => progress.answered >= batch,
            Rung::Challengeable => progress.committed >= batch,
            Rung::Proven => progress.proven >= batch,
            Rung::Final => progress.final_batch >= batch,
        });
        let reached = reached.await.map(drop);
        reached.map_err(|_| QueryError::Unavailable("the node is stopping".into()))?;
        Ok(self.inner.rung_of(batch))
    }

    /// How the node does.
    #[must_use]
    pub fn status(&self) -> StatusView {
        let inner = &self.inner;
        let (sequencer, pending) = {
            let pulse = inner.pulse.lock();
            (pulse.sequencer, pulse.pending)
        };
        let limits = &inner.limits;
        let (header, roots) = {
            let live = inner.live.read();
            (live.header, live.keystone.roots())
        };
        let (log_position, generation) = {
            let end = inner.log_end.lock();
            (end.position, end.generation)
        };
        let progress = *inner.progress.borrow();
        let lag = inner.proving.lag();
        let bounded = |now: usize, max: usize| Bounded { now: now as u64, max: max as u64 };
        let verifying = VERIFYING_MAX.saturating_sub(inner.permits.available_permits());
        let verifying = Bounded { now: verifying as u64 + pending, max: VERIFYING_MAX as u64 };
        StatusView {
            condition: inner.condition(),
            batch: header.number,
            batch_time: header.time,
            log_position,
            committed: progress.committed,
            proven: progress.proven,
            final_batch: progress.final_batch,
            l1_height: inner.l1.block().height,
            generation,
            uptime_ms: u64::try_from(inner.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            objects_used: roots.objects_used,
            slots_used: roots.slots_used,
            pool: bounded(sequencer.pool_transactions, limits.pool_transactions_max),
            pool_bytes: bounded(sequencer.pool_bytes, limits.pool_bytes_max),
            verifying,
            unsealed: bounded(sequencer.unsealed_batches, limits.unsealed_batches_max),
            uncommitted: bounded(sequencer.uncommitted_batches, limits.uncommitted_batches_max),
            uncommitted_bytes: Bounded { now: sequencer.uncommitted_bytes, max: limits.uncommitted_bytes_max },
            accepted: inner.counters.accepted.load(Ordering::Relaxed),
            refused: inner.counters.refused.load(Ordering::Relaxed),
            flushes: inner.counters.flushes.load(Ordering::Relaxed),
            memory_bytes: resident_bytes(),
            rate_per_second: inner.counters.pace.per_second(Instant::now()),
            prover: inner.proving.mode(),
            unproven_batches: lag.batches,
            unproven_entries: lag.entries,
            unproven_bytes: Bounded { now: lag.bytes, max: lag.bytes_max },
            attesting: inner.attesting.view(Instant::now()),
            witness_us: inner.proving.collecting_us.load(Ordering::Relaxed),
            checkpoint: inner.checkpoint.load(Ordering::Relaxed),
            subscribers: inner.events.receiver_count() as u64,
        }
    }

    /// An account as of the newest sealed batch, its mana as of `at`, or now. An address that nobody paid yet is a view without
    /// account.
    pub fn account(&self, address: &Address, at: Option<u64>, proof: bool) -> Result<AccountView, QueryError> {
        let live = self.inner.live.read();
        let own = |_| QueryError::Unavailable("the node's own state says too little".into());
        let key = ObjectKey::account(address);
        let object = live.keystone.object(&key).map_err(own)?;
        let account = match object {
            Some(object) => {
                let record = AccountRecord::from_bytes(object.value);
                let record = record.map_err(|error| QueryError::Unavailable(format!("an account record: {error}")))?;
                Some((object.index.index(), record))
            }
            None => None,
        };
        let mut balances = Vec::new();
        for of in account.iter().flat_map(|(_, record)| &record.slots) {
            let slot = live.keystone.slot(of.slot).map_err(own)?;
            let amount = slot.map_or(Amount::ZERO, |slot| slot.balance);
            let proof = proof.then(|| live.keystone.prove_slot(of.slot));
            let known = self.known_asset(&live.keystone, of.asset)?;
            let named = known.map(|known| (known.symbol().to_vec(), known.decimals()));
            balances.push(BalanceView { asset: of.asset, amount, named, slot: of.slot.index(), proof });
        }
        let zman = balances.iter().find(|balance| balance.asset == AssetId::ZMAN).map(|balance| balance.amount);
        let at = at.unwrap_or_else(now_ms).max(live.header.time);
        let mana = mana_of(self.inner.plane.genesis(), account.as_ref().map(|(_, record)| record), zman, at);
        Ok(AccountView {
            address: *address,
            account,
            mana,
            balances,
            header: live.header,
            proof: proof.then(|| live.keystone.prove_object(&key)),
            rung: self.inner.rung_of(live.header.number),
        })
    }

    /// A published covenant.
    pub fn covenant(&self, digest: &Digest) -> Result<CovenantText, QueryError> {
        let live = self.inner.live.read();
        let object = live.keystone.object(&ObjectKey::covenant(digest));
        let object = object.map_err(|_| QueryError::Unavailable("the node's own state says too little".into()))?;
        let object = object.ok_or(QueryError::NotFound { what: "a covenant of this digest" })?;
        CovenantText::from_bytes(object.value).map_err(|error| QueryError::Unavailable(format!("a covenant: {error}")))
    }

    /// The rules of the plane and of the assets that the L1 holds, as of the newest sealed batch.
    pub fn plane_rules(&self) -> Result<PlaneRulesView, QueryError> {
        let live = self.inner.live.read();
        let key = ObjectKey::plane_rules();
        let object = live.keystone.object(&key);
        let object = object.map_err(|_| QueryError::Unavailable("the node's own state says too little".into()))?;
        let rules = object.map(|object| PlaneRules::from_bytes(object.value)).transpose();
        let rules = rules.map_err(|error| QueryError::Unavailable(format!("the plane's rules: {error}")))?;
        Ok(PlaneRulesView { rules, header: live.header, proof: live.keystone.prove_object(&key) })
    }

    /// What would become of a transaction now, and why; where gas is not priced, as if it were free. Executes it, when its turn
    /// comes.
    pub async fn simulate(
        &self,
        transaction: &[u8],
        is_priced: bool,
    ) -> Result<Result<SimulationView, Reject>, QueryError> {
        let transaction = match Transaction::decode_bounded(transaction) {
            Ok(transaction) => transaction,
            Err(reject) => return Ok(Err(reject)),
        };
        let (found, limit) = (transaction.body.gas_limit, SIMULATION_GAS_MAX);
        if found > limit {
            return Ok(Err(Reject::GasLimitTooHigh { found, limit }));
        }
        self.inner.thinking.wait_for(self, move |node| node.try_out(transaction, is_priced)).await
    }

    fn try_out(&self, transaction: Transaction, is_priced: bool) -> Result<Result<SimulationView, Reject>, QueryError> {
        let plane = &self.inner.plane;
        let gas_price = if is_priced { plane.genesis().gas_price } else { 0 };
        let own = |error: &dyn std::fmt::Display| QueryError::Unavailable(error.to_string());
        // The core waits for nobody who executes: what is read is taken out of the state, and the rest needs no more of it.
        let (witness, prev, time) = {
            let live = self.inner.live.read();
            let prev = live.header.state();
            let time = now_ms().max(prev.time);
            let recorder = Recorder::new(&live.keystone);
            look_up(plane, &recorder, prev, time, transaction.clone()).map_err(|halt| own(&halt))?;
            (live.keystone.witness(&recorder.touched(), &Changeset::default()), prev, time)
        };
        let view = witness.verify(&prev.roots).map_err(|error| own(&error))?;
        let simulated = simulate(plane, &view, prev, time, transaction, gas_price).map_err(|halt| own(&halt))?;
        Ok(simulated.map(|Simulated { outcome, refused }| SimulationView {
            outcome,
            refusal: refused.map(|refused| refused.explain()),
        }))
    }

    /// What there is to know of an asset.
    fn known_asset(&self, keystone: &Keystone, asset: AssetId) -> Result<Option<KnownAsset>, QueryError> {
        if asset.is_bridged() {
            return Ok(self.inner.plane.genesis().asset(asset).cloned().map(KnownAsset::Bridged));
        }
        let own = |_| QueryError::Unavailable("the node's own state says too little".into());
        let object = keystone.object(&ObjectKey::asset(asset)).map_err(own)?;
        object.map(|object| registration(object.value)).transpose()
    }

    /// What an issuer says of a subject by these claims, as of the newest sealed batch.
    pub fn credential(
        &self,
        issuer: &Address,
        subject: &Address,
        claims: &Digest,
        proof: bool,
    ) -> Result<CredentialView, QueryError> {
        let live = self.inner.live.read();
        let own = |_| QueryError::Unavailable("the node's own state says too little".into());
        let key = ObjectKey::credential(issuer, subject, claims);
        let credential = live.keystone.object(&key).map_err(own)?.map(|object| credential(object.value)).transpose()?;
        Ok(CredentialView {
            credential,
            header: live.header,
            proof: proof.then(|| live.keystone.prove_object(&key)),
            rung: self.inner.rung_of(live.header.number),
        })
    }

    /// What is said of an account, from just behind `after` or from the first; looks at no more than `count` objects.
    pub fn credentials(
        &self,
        subject: &Address,
        after: Option<&ObjectKey>,
        count: usize,
    ) -> Result<CredentialsView, QueryError> {
        let live = self.inner.live.read();
        let own = |_| QueryError::Unavailable("the node's own state says too little".into());
        let number = ObjectKey::subject_number(subject);
        let page = scan(&live.keystone, ObjectClass::Credential, number, after, count).map_err(own)?;
        let found = page.objects.iter().map(|(_, object)| credential(object.value));
        let mut credentials = found.collect::<Result<Vec<_>, _>>()?;
        // Others may have the number as well.
        credentials.retain(|credential| credential.terms.subject == *subject);
        let rung = self.inner.rung_of(live.header.number);
        Ok(CredentialsView { credentials, resume_after: page.resume_after, header: live.header, rung })
    }

    /// An asset as of the newest sealed batch. A number that nobody has registered is a view without asset.
    pub fn asset(&self, asset: AssetId, proof: bool) -> Result<AssetView, QueryError> {
        let live = self.inner.live.read();
        let proof = proof && !asset.is_bridged();
        Ok(AssetView {
            asset,
            known: self.known_asset(&live.keystone, asset)?,
            header: live.header,
            proof: proof.then(|| live.keystone.prove_object(&ObjectKey::asset(asset))),
            rung: self.inner.rung_of(live.header.number),
        })
    }

    /// Up to `count` assets: those of genesis, then those of the plane's own in the order of their keys, behind `after`.
    pub fn assets(&self, after: Option<&ObjectKey>, count: usize) -> Result<AssetsView, QueryError> {
        let live = self.inner.live.read();
        let (header, rung) = (live.header, self.inner.rung_of(live.header.number));
        let view = |asset, known| AssetView { asset, known: Some(known), header, proof: None, rung };
        let mut assets = Vec::new();
        if after.is_none() {
            let genesis = self.inner.plane.genesis().assets.iter();
            assets.extend(genesis.map(|known| view(known.asset, KnownAsset::Bridged(known.clone()))));
        }
        let own = |_| QueryError::Unavailable("the node's own state says too little".into());
        // Registrations are never removed, so that what is looked at is what is listed.
        let page = scan(&live.keystone, ObjectClass::Asset, 0, after, count).map_err(own)?;
        for (_, object) in &page.objects {
            let known = registration(object.value)?;
            let KnownAsset::Own(record) = &known else { continue };
            assets.push(view(record.asset, known));
        }
        Ok(AssetsView { assets, next: page.resume_after })
    }

    /// The newest roots.
    #[must_use]
    pub fn roots(&self) -> RootsView {
        let header = self.inner.live.read().header;
        let plane = &self.inner.plane;
        RootsView {
            batch: header.number,
            time: header.time,
            state_root: header.state().digest(plane.chain_id(), &plane.plane_id()),
            ledger_root: header.ledger_root,
            object_root: header.object_root,
            slots_used: header.slots_used,
            objects_used: header.objects_used,
        }
    }

    /// What became of a transaction. Reads the disk: call it where that may be waited for.
    pub fn transaction(&self, id: &Digest) -> Result<TransactionView, QueryError> {
        let recent = self.inner.recent.read().find(id).map(|(record, _)| record);
        let record = match recent {
            Some(record) => record,
            None => self.kept_record(id)?,
        };
        let time = self.inner.header(record.batch)?.map(|header| header.time);
        Ok(TransactionView { record, rung: self.inner.rung_of(record.batch), transaction: None, time })
    }

    /// The receipt of a transaction. Reads the disk.
    pub fn receipt(&self, id: &Digest) -> Result<ReceiptView, QueryError> {
        let recent = self.inner.recent.read().find(id);
        if let Some((record, flushed)) = recent {
            return Ok(ReceiptView { flushed, record });
        }
        let record = self.kept_record(id)?;
        let history = &self.inner.history;
        let flush = history.flush_at(record.position)?;
        let (signed, count) = flush.ok_or(QueryError::NotFound { what: "the receipt of this transaction" })?;
        let ids = history.ids_between(signed.flush.first_position, count)?;
        let tree = merkle::Tree::new(ids.ok_or(QueryError::NotFound { what: "the receipt of this transaction" })?);
        if tree.root() != signed.flush.root {
            return Err(QueryError::Unavailable("the history does not open this flush".into()));
        }
        Ok(ReceiptView { flushed: Arc::new(Flushed { signed, tree, count }), record })
    }

    fn kept_record(&self, id: &Digest) -> Result<ExecutedRecord, QueryError> {
        let not_found = QueryError::NotFound { what: "a transaction of this id" };
        let Some((batch, index)) = self.inner.history.find(id)? else { return Err(not_found) };
        let kept = self.inner.history_batch(batch)?;
        let records = kept.as_ref().map_or(&[][..], |kept| &kept.records);
        match usize::try_from(index).ok().and_then(|index| records.get(index)) {
            Some((Source::Log(position), tx_id, outcome)) if tx_id == id => {
                Ok(ExecutedRecord { tx_id: *tx_id, position: *position, batch, outcome: *outcome })
            }
            _ => Err(not_found),
        }
    }

    /// A sealed batch. Reads the disk.
    pub fn batch(&self, number: u64, records: bool, posted: bool) -> Result<BatchView, QueryError> {
        let batch = self.inner.history_batch(number)?.ok_or(QueryError::NotFound { what: "a batch of this number" })?;
        Ok(self.batch_view(&batch, records, posted))
    }

    fn batch_view(&self, batch: &HistoryBatch, records: bool, posted: bool) -> BatchView {
        let of_log = batch.records.iter().filter(|(source, ..)| matches!(source, Source::Log(_))).count();
        let count = |count: usize| u32::try_from(count).expect("a batch is bounded");
        BatchView {
            header: batch.header,
            rung: self.inner.rung_of(batch.header.number),
            transactions: count(of_log),
            inbox_entries: count(batch.records.len() - of_log),
            records: if records { batch.records.clone() } else { Vec::new() },
            posted: (posted && !batch.posted.is_empty()).then(|| batch.posted.clone()),
        }
    }

    /// Sealed batches from `upto` (`None` for the newest) down, at most `count`. Reads the disk.
    pub fn batches(&self, upto: Option<u64>, count: usize) -> Result<Vec<BatchView>, QueryError> {
        let newest = {
            let held = self.inner.batches.read().last_key_value().map(|(number, _)| *number);
            match held {
                Some(number) => number,
                None => self.inner.history.upto()?.map_or(0, |header| header.number),
            }
        };
        let upto = upto.unwrap_or(newest).min(newest);
        let mut views = Vec::new();
        for number in (1..=upto).rev().take(count.min(BATCHES_MAX)) {
            let Some(batch) = self.inner.history_batch(number)? else { break };
            views.push(self.batch_view(&batch, false, false));
        }
        Ok(views)
    }

    /// How plane and L1 stand to each other.
    #[must_use]
    pub fn bridge(&self) -> BridgeView {
        let inbox_consumed = self.inner.live.read().header.inbox_upto;
        let assets: Vec<AssetId> = self.inner.plane.genesis().assets.iter().map(|known| known.asset).collect();
        self.inner.l1.with_settlement(|l1| BridgeView {
            l1_height: l1.block().height,
            l1_time: l1.block().time,
            committed: l1.tip().number,
            final_batch: l1.final_number(),
            inbox_end: l1.inbox_end(),
            inbox_consumed,
            generation: l1.generation(),
            bond: l1.bond(),
            escrow: assets.iter().filter_map(|asset| Some((*asset, l1.escrow(*asset)?))).collect(),
            cases: u32::try_from(l1.cases().len()).unwrap_or(u32::MAX),
            pending: l1.pending().len() as u64,
            digest: l1.digest(),
        })
    }

    /// A withdrawal by its index. Reads the disk.
    pub fn withdrawal(&self, index: u64) -> Result<WithdrawalView, QueryError> {
        let not_found = QueryError::NotFound { what: "a withdrawal of this index" };
        let held = self.inner.batches.read().values().find_map(|batch| {
            let withdrawal = batch.withdrawals.iter().find(|withdrawal| withdrawal.index == index)?;
            Some((batch.header.number, *withdrawal))
        });
        let found = match held {
            Some(found) => Some(found),
            None => self.inner.history.withdrawal(index)?,
        };
        let (batch, withdrawal) = found.ok_or(not_found)?;
        let rung = self.inner.rung_of(batch);
        let claim = match rung {
            Rung::Final => {
                let kept = self.inner.history_batch(batch)?;
                let withdrawals = kept.as_ref().map_or(&[][..], |kept| &kept.withdrawals);
                let at = withdrawals.iter().position(|withdrawal| withdrawal.index == index);
                at.and_then(|at| self.inner.l1.claim(batch, withdrawals, at).ok())
            }
            _ => None,
        };
        let claimed = self.inner.l1.with_settlement(|l1| l1.is_claimed(index));
        Ok(WithdrawalView { withdrawal, batch, rung, claimed, claim })
    }

    /// The commitment that a batch is under. Reads the disk.
    pub fn commitment(&self, batch: u64) -> Result<CommitmentView, QueryError> {
        let not_found = || QueryError::NotFound { what: "a commitment to this batch" };
        let under = self.inner.l1.commitment_of(batch)?.ok_or_else(not_found)?;
        let chain_id = self.inner.plane.chain_id();
        let at = batch.checked_sub(under.commitment.first_batch).ok_or_else(not_found)?;
        let header = usize::try_from(at).ok().and_then(|at| under.headers.get(at)).copied().ok_or_else(not_found)?;
        let tree = merkle::Tree::new(under.headers.iter().map(|header| header.digest(chain_id)).collect());
        Ok(CommitmentView {
            commitment: under.commitment,
            header,
            path: tree.path(at).ok_or_else(not_found)?,
            l1_height: under.l1_height,
            rung: self.inner.rung_of(batch),
        })
    }

    /// The proof that the L1 took over this batch and others: a bundle with headers, flows and proof, see
    /// [`ghostplane_settlement::ProofBundle`]. Only the newest proofs are kept. Reads the disk.
    pub fn proof(&self, batch: u64) -> Result<ProofView, QueryError> {
        let found = self.inner.proving.proof_of(batch);
        let found = found.map_err(|error| QueryError::Unavailable(format!("a proof cannot be read: {error}")))?;
        let (first_batch, last_batch, bundle) =
            found.ok_or(QueryError::NotFound { what: "a kept proof over this batch" })?;
        Ok(ProofView { first_batch, last_batch, bundle })
    }

    /// Work for a prover elsewhere; none if there is nothing worth it now. Reads the disk.
    pub(super) fn proof_job(&self) -> Result<Option<Job>, QueryError> {
        match self.inner.proving.mode() {
            ProverMode::External => Ok(self.inner.proving.job(Some(LEASE))),
            ProverMode::InProcess => Err(QueryError::Unavailable("the node proves itself: prover.mode".into())),
            ProverMode::Off => Err(QueryError::Unavailable("the node has nothing proved: prover.mode".into())),
        }
    }

    /// Takes a proof of a job, and says of which batches. Verifies it, when its turn comes.
    pub(super) async fn hand_in_proof(
        &self,
        id: u64,
        proof: Vec<u8>,
    ) -> Result<Result<(u64, u64), HandInError>, QueryError> {
        self.inner.judging.wait_for(self, move |node| Ok(node.inner.proving.hand_in(id, proof))).await
    }

    /// Takes a job back that is too large for whoever has it.
    pub(super) fn decline_proof(&self, id: u64) -> Result<u64, HandInError> {
        self.inner.proving.decline(id)
    }

    /// What committers are asked to vouch for, if anything.
    pub(super) fn proposal(&self) -> Result<Option<Commitment>, QueryError> {
        if !self.inner.attesting.is_required() {
            return Err(QueryError::Unavailable("genesis names no committers: the sequencer commits alone".into()));
        }
        Ok(self.inner.attesting.proposal())
    }

    /// Takes a committer's word for what is proposed. Returns the weight of all so far, and the weight needed.
    pub(super) fn attest(&self, digest: &Digest, by: Attestation) -> Result<(u32, u32), AttestError> {
        let weight = self.inner.attesting.attest(digest, by)?;
        Ok((weight, self.inner.attesting.quorum()))
    }

    /// Inbox entries as the L1 has them, as many as one answer takes. Reads the disk.
    pub fn inbox(&self, from: u64, upto: u64) -> Result<Vec<InboxEntry>, QueryError> {
        let entries = self.inner.l1.inbox(from, upto.min(from.saturating_add(INBOX_ENTRIES_MAX)))?;
        let mut bytes = 0;
        let fits = |entry: &InboxEntry| {
            bytes += entry.to_bytes().len();
            bytes <= INBOX_BYTES_MAX
        };
        Ok(entries.into_iter().take_while(fits).collect())
    }

    /// An account on the L1: the next number of its messages, and its balances in the L1's base units.
    pub fn l1_account(&self, address: &L1Address) -> Result<(u64, Vec<(AssetId, u128)>), QueryError> {
        let account = self.inner.l1.account(address);
        let assets = self.inner.plane.genesis().assets.iter().map(|known| known.asset);
        Ok((account.next_sequence, assets.map(|asset| (asset, account.balance(asset))).collect()))
    }

    /// Hands a signed message to the L1 and waits until a block holds it.
    pub async fn send_to_l1(&self, message: Bytes) -> Result<SentToL1, L1Refused> {
        let refused = |code, message: String, retryable| L1Refused { code, message, retryable };
        let signed = SignedL1Message::from_bytes(&message)
            .map_err(|error| refused(600, format!("not a signed message to the L1: {error}"), false))?;
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.inner.l1.submit(signed, move |included| drop(answer.send(included)));
        let included = answered.await.map_err(|_| refused(610, "the L1 has stopped".into(), true))?;
        let included =
            included.map_err(|refusal| refused(refusal.code(), refusal.to_string(), refusal.is_retryable()))?;
        let inbox_index = included.events.iter().find_map(|event| match event {
            Event::InboxAppended { index, .. } => Some(*index),
            _ => None,
        });
        let events = included.events.iter().take(EVENTS_MAX).map(event_words).collect();
        Ok(SentToL1 { l1_height: included.height, events, inbox_index })
    }

    /// Whether the node is about to stop, and takes no more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.inner.condition() == Condition::Stopping
    }
}

/// What an account with so much ZMAN could pay with at some time.
fn mana_of(genesis: &Genesis, record: Option<&AccountRecord>, zman: Option<Amount>, at: u64) -> ManaView {
    let (terms, zman) = (&genesis.mana, zman.unwrap_or(Amount::ZERO));
    let now = record.map(|record| terms.now(record.mana(), zman, record.level(at), at)).unwrap_or_default();
    let grant = record.map_or(0, |record| terms.grant(record.level(at)));
    ManaView { at, now, per_window: terms.gas_per_window(zman), cap: terms.gas_cap(zman), grant }
}

/// The registration that an object holds.
fn registration(value: &[u8]) -> Result<KnownAsset, QueryError> {
    let record = AssetRecord::from_bytes(value);
    record.map(KnownAsset::Own).map_err(|error| QueryError::Unavailable(format!("an asset's registration: {error}")))
}

/// What came about on the L1, in words.
fn event_words(event: &Event) -> String {
    match event {
        Event::Take { money, .. } => format!("took {} of asset {}", money.amount.units(), money.asset),
        Event::Pay { money, .. } => format!("paid {} of asset {}", money.amount.units(), money.asset),
        Event::Burn { money } => format!("burned {} of asset {}", money.amount.units(), money.asset),
        Event::InboxAppended { index, .. } => format!("inbox entry {index}"),
        Event::Bonded { bond, .. } => format!("bond is now {}", bond.units()),
        Event::DataPosted { batch, .. } => format!("data of batch {batch} is complete"),
        Event::DataDropped { batches } => format!("data of {batches} batches was dropped"),
        Event::Committed { first_batch, last_batch } => format!("batches {first_batch} to {last_batch} are committed"),
        Event::CaseOpened { case, batch, .. } => format!("case {case} about batch {batch} is open"),
        Event::CaseClosed { case, batch, .. } => format!("case {case} about batch {batch} is closed"),
        Event::Reverted { first_batch, .. } => format!("batches from {first_batch} on are reverted"),
        Event::Replayed { batch } => format!("batch {batch} was replayed and is true"),
        Event::Proven { first_batch, last_batch } => format!("batches {first_batch} to {last_batch} are proven"),
        Event::Final { batch } => format!("batches up to {batch} are final"),
        Event::Archived { index, .. } => format!("commitment {index} is archived"),
        Event::Claimed { index } => format!("withdrawal {index} is claimed"),
    }
}

/// Bytes of this process in memory, where the system tells.
fn resident_bytes() -> Option<u64> {
    const PAGE_BYTES: u64 = 4_096;
    let stat = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(stat.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}
