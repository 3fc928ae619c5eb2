//! What the node says, in the form in which it travels over gRPC.

use crate::node::api::{
    AccountView, Answers, AssetView, AssetsView, BatchView, BridgeView, CommitmentView, CredentialView,
    CredentialsView, ExecutedRecord, Flushed, KnownAsset, L1Refused, NodeEvent, PlaneRulesView, QueryError,
    ReceiptView, Refusal, RootsView, Rung, SentToL1, SimulationView, StatusView, TransactionView, WithdrawalView,
    code_name,
};
use crate::node::attesting::{AttestError, AttestingView};
use crate::node::prove::{Job, Kept};
use ghostplane_client::{gates, wire};
use ghostplane_engine::{self as engine, Plane};
use ghostplane_ghostcipher::{Digest, merkle};
use ghostplane_types::codec::put_list;
use ghostplane_types::{AssetId, Commitment, CovenantText, Encode, InboxEntry, L1Address, Reject, Source};
use tonic::codegen::Bytes;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Answers in one message: with 32 digests of path each they stay below 4 MiB.
const ANSWERS_IN_MESSAGE_MAX: usize = 2_048;
/// When the L1 is to be asked again: about a block later.
const L1_RETRY_MS: u64 = 1_000;

fn bytes<T: Encode>(value: &T) -> Bytes {
    value.to_bytes().into()
}

fn digest(value: &Digest) -> Bytes {
    Bytes::copy_from_slice(&value.0)
}

/// A path as the digests beside it, one after the other.
fn siblings(path: &merkle::Path) -> Bytes {
    let mut all = Vec::with_capacity(path.siblings.len() * 32);
    path.siblings.iter().for_each(|sibling| all.extend_from_slice(&sibling.0));
    all.into()
}

pub(super) fn rung(value: Rung) -> i32 {
    let rung = match value {
        Rung::Attested => wire::Rung::Attested,
        Rung::Challengeable => wire::Rung::Challengeable,
        Rung::Proven => wire::Rung::Proven,
        Rung::Final => wire::Rung::Final,
    };
    rung.into()
}

pub(super) fn refusal(value: &Refusal) -> wire::Refusal {
    wire::Refusal {
        code: value.code().into(),
        name: value.name().to_owned(),
        message: value.to_string(),
        retry_after_ms: value.retry_after_ms(),
    }
}

/// A failed call: the status, and the stable code beside it.
pub(super) fn status(grpc: Code, code: u16, message: impl Into<String>) -> Status {
    let mut status = Status::new(grpc, message);
    let metadata = status.metadata_mut();
    metadata.insert("ghostplane-code", MetadataValue::from(code));
    metadata.insert("ghostplane-name", MetadataValue::from_static(code_name(code)));
    status
}

/// The status of a query that cannot be answered.
pub(super) fn query_error(error: &QueryError) -> Status {
    let grpc = match error {
        QueryError::NotFound { .. } | QueryError::Pruned { .. } => Code::NotFound,
        QueryError::Busy => Code::ResourceExhausted,
        QueryError::Unavailable(_) => Code::Unavailable,
        QueryError::Unimplemented(_) => Code::Unimplemented,
    };
    status(grpc, error.code(), error.to_string())
}

/// The status of a call whose parameters are wrong.
pub(super) fn bad_request(message: impl Into<String>) -> Status {
    status(Code::InvalidArgument, 711, message)
}

/// The 32 bytes of a parameter.
pub(super) fn parse_32(what: &str, found: &[u8]) -> Result<[u8; 32], Status> {
    found.try_into().map_err(|_| bad_request(format!("{what} has 32 bytes, found {}", found.len())))
}

fn executed(reference: u64, record: &ExecutedRecord, flushed: Option<&Flushed>) -> wire::Executed {
    let outcome = &record.outcome;
    wire::Executed {
        reference,
        id: digest(&record.tx_id),
        position: record.position,
        batch: record.batch,
        code: outcome.code.into(),
        action: outcome.action.into(),
        gas: outcome.gas,
        fee: outcome.fee,
        path: flushed.and_then(|flushed| flushed.path(record.position)).map(|path| siblings(&path)).unwrap_or_default(),
    }
}

pub(super) fn receipt(view: &ReceiptView) -> wire::Receipt {
    wire::Receipt {
        signed_flush: bytes(&view.flushed.signed),
        flush_transactions: view.flushed.count,
        executed: Some(executed(0, &view.record, Some(&view.flushed))),
    }
}

/// Answers as messages, each of at most [`ANSWERS_IN_MESSAGE_MAX`].
pub(super) fn answers(answers: &Answers, paths: bool) -> Vec<wire::SubmitStreamResponse> {
    match answers {
        Answers::Executed { flushed, records } => {
            let signed_flush = bytes(&flushed.signed);
            let message = |records: &[(u64, ExecutedRecord)]| wire::SubmitStreamResponse {
                signed_flush: signed_flush.clone(),
                flush_transactions: flushed.count,
                executed: records
                    .iter()
                    .map(|(reference, record)| executed(*reference, record, paths.then_some(&**flushed)))
                    .collect(),
                refused: Vec::new(),
            };
            records.chunks(ANSWERS_IN_MESSAGE_MAX).map(message).collect()
        }
        Answers::Refused(refused) => {
            let one = |(reference, why): &(u64, Refusal)| wire::RefusedReference {
                reference: *reference,
                refusal: Some(refusal(why)),
            };
            let message = |refused: &[(u64, Refusal)]| wire::SubmitStreamResponse {
                refused: refused.iter().map(one).collect(),
                ..Default::default()
            };
            refused.chunks(ANSWERS_IN_MESSAGE_MAX).map(message).collect()
        }
    }
}

/// How many transactions some answers answer.
pub(super) fn answered(answers: &Answers) -> usize {
    match answers {
        Answers::Executed { records, .. } => records.len(),
        Answers::Refused(refused) => refused.len(),
    }
}

pub(super) fn transaction(view: &TransactionView) -> wire::TransactionStatus {
    let (record, outcome) = (&view.record, &view.record.outcome);
    wire::TransactionStatus {
        id: digest(&record.tx_id),
        position: record.position,
        batch: record.batch,
        code: outcome.code.into(),
        name: code_name(outcome.code).to_owned(),
        action: outcome.action.into(),
        gas: outcome.gas,
        fee: outcome.fee,
        rung: rung(view.rung),
        transaction: view.transaction.as_ref().map(bytes).unwrap_or_default(),
        time: view.time.unwrap_or(0),
        first_withdrawal: outcome.first_withdrawal,
        withdrawals: outcome.withdrawals,
    }
}

/// The symbol that genesis gives an asset; empty if it has none.
fn symbol(plane: &Plane, asset: AssetId) -> String {
    let known = plane.genesis().assets.iter().find(|known| known.asset == asset);
    known.map(|known| String::from_utf8_lossy(&known.symbol).into_owned()).unwrap_or_default()
}

pub(super) fn account(view: &AccountView, proof: bool) -> wire::Account {
    let record = view.account.as_ref().map(|(_, record)| record);
    let lane = record.and_then(|record| record.lanes.iter().find(|lane| lane.lane == 0));
    let balances = view.balances.iter().map(|balance| wire::Balance {
        asset: balance.asset.number(),
        symbol: balance.named.as_ref().map(|(symbol, _)| text(symbol)).unwrap_or_default(),
        amount: balance.amount.units(),
        slot: balance.slot,
        proof: balance.proof.as_ref().map(bytes).unwrap_or_default(),
    });
    wire::Account {
        address: bytes(&view.address),
        exists: record.is_some(),
        number: view.account.as_ref().map_or(0, |(number, _)| *number),
        record: record.map(bytes).unwrap_or_default(),
        next_sequence: lane.map_or(0, |lane| lane.next),
        balances: balances.collect(),
        batch: view.header.number,
        header: if proof { bytes(&view.header) } else { Bytes::new() },
        record_proof: view.proof.as_ref().map(bytes).unwrap_or_default(),
        rung: rung(view.rung),
        mana: Some(wire::Mana {
            at: view.mana.at,
            granted: view.mana.now.granted,
            regenerated: view.mana.now.regenerated,
            per_window: view.mana.per_window,
            cap: view.mana.cap,
            grant: view.mana.grant,
        }),
        identity: record.and_then(|record| gates::identity_message(record, view.header.time)),
        gates: record.and_then(|record| gates::gates_message(record, view.header.time)),
        time: view.header.time,
    }
}

fn text(symbol: &[u8]) -> String {
    String::from_utf8_lossy(symbol).into_owned()
}

pub(super) fn asset(view: &AssetView, proof: bool) -> wire::Asset {
    let mut answer = wire::Asset {
        asset: view.asset.number(),
        exists: view.known.is_some(),
        bridged: view.asset.is_bridged(),
        batch: view.header.number,
        header: if proof { bytes(&view.header) } else { Bytes::new() },
        proof: view.proof.as_ref().map(bytes).unwrap_or_default(),
        rung: rung(view.rung),
        ..wire::Asset::default()
    };
    if let Some(known) = &view.known {
        answer.symbol = text(known.symbol());
        answer.decimals = known.decimals().into();
    }
    if let Some(KnownAsset::Own(record)) = &view.known {
        answer.record = bytes(record);
        answer.issuer = bytes(&record.issuer);
        answer.cap = record.cap.units();
        answer.supply = record.supply.units();
        answer.frozen = record.is_frozen;
    }
    answer
}

pub(super) fn assets(view: &AssetsView) -> wire::ListAssetsResponse {
    wire::ListAssetsResponse {
        assets: view.assets.iter().map(|of| asset(of, false)).collect(),
        next: view.next.as_ref().map(bytes).unwrap_or_default(),
    }
}

pub(super) fn covenant(text: CovenantText) -> wire::Covenant {
    let CovenantText { schema_version, counts, cost, text, .. } = text;
    wire::Covenant { schema_version: schema_version.into(), text, cost, counts }
}

pub(super) fn plane_rules(view: &PlaneRulesView) -> wire::PlaneRules {
    wire::PlaneRules {
        rules: view.rules.as_ref().map(bytes).unwrap_or_default(),
        batch: view.header.number,
        header: bytes(&view.header),
        proof: bytes(&view.proof),
    }
}

pub(super) fn explanation(refusal: &engine::Refusal) -> wire::Explanation {
    let code = refusal.reject.code();
    let because = refusal.because.clone().unwrap_or_default();
    wire::Explanation {
        code: code.into(),
        name: code_name(code).to_owned(),
        message: refusal.reject.to_string(),
        policies: because.policies.into_iter().map(|(at, id)| wire::Policy { at: at.to_owned(), id }).collect(),
        facts: because.facts.into_iter().map(|(name, value)| wire::Fact { name, value }).collect(),
        would_pass: because.would_pass,
    }
}

pub(super) fn simulation(simulated: &Result<SimulationView, Reject>) -> wire::Simulation {
    match simulated {
        Ok(SimulationView { outcome, refusal }) => wire::Simulation {
            gas: outcome.gas,
            code: outcome.code.into(),
            action: outcome.action.into(),
            is_admitted: true,
            explanation: refusal.as_ref().map(explanation),
        },
        Err(reject) => wire::Simulation {
            gas: 0,
            code: reject.code().into(),
            action: 0,
            is_admitted: false,
            explanation: Some(explanation(&engine::Refusal { reject: reject.clone(), because: None })),
        },
    }
}

pub(super) fn credential(view: &CredentialView, proof: bool) -> wire::CredentialOf {
    wire::CredentialOf {
        credential: view.credential.as_ref().map(bytes).unwrap_or_default(),
        batch: view.header.number,
        time: view.header.time,
        header: if proof { bytes(&view.header) } else { Bytes::new() },
        proof: view.proof.as_ref().map(bytes).unwrap_or_default(),
        rung: rung(view.rung),
    }
}

pub(super) fn credentials(view: &CredentialsView) -> wire::Credentials {
    wire::Credentials {
        credentials: view.credentials.iter().map(bytes).collect(),
        resume_after: view.resume_after.as_ref().map(bytes).unwrap_or_default(),
        batch: view.header.number,
        time: view.header.time,
        rung: rung(view.rung),
    }
}

pub(super) fn roots(view: &RootsView) -> wire::StateRoots {
    wire::StateRoots {
        batch: view.batch,
        state_root: digest(&view.state_root),
        ledger_root: Bytes::copy_from_slice(&view.ledger_root.to_bytes()),
        object_root: digest(&view.object_root),
        slots_used: view.slots_used,
        objects_used: view.objects_used,
        time: view.time,
    }
}

pub(super) fn batch(chain_id: u64, plane_id: &Digest, view: &BatchView) -> wire::Batch {
    let header = &view.header;
    let records = view.records.iter().map(|(source, id, outcome)| {
        let (position, from_inbox) = match source {
            Source::Log(position) => (*position, false),
            Source::Inbox(index) => (*index, true),
        };
        let code = outcome.code.into();
        wire::BatchRecord { id: digest(id), position, from_inbox, code, gas: outcome.gas, fee: outcome.fee }
    });
    wire::Batch {
        number: header.number,
        header: bytes(header),
        generation: header.generation,
        time: header.time,
        transactions: view.transactions,
        inbox_entries: view.inbox_entries,
        gas: header.gas,
        bytes: header.bytes,
        entries: header.entries,
        state_root: digest(&header.state().digest(chain_id, plane_id)),
        rung: rung(view.rung),
        records: records.collect(),
        posted: view.posted.clone().map(Bytes::from).unwrap_or_default(),
    }
}

/// An event, if it is of one of these kinds; every kind if there are none.
pub(super) fn event(chain_id: u64, plane_id: &Digest, event: NodeEvent, kinds: &[i32]) -> Option<wire::Event> {
    use wire::event::Event;
    let (kind, event) = match event {
        NodeEvent::BatchSealed { header, transactions, inbox_entries } => {
            let (records, posted) = (Vec::new(), None);
            let view = BatchView { header, rung: Rung::Attested, transactions, inbox_entries, records, posted };
            (wire::EventKind::BatchSealed, Event::BatchSealed(batch(chain_id, plane_id, &view)))
        }
        NodeEvent::Committed { first_batch, last_batch, l1_height } => {
            (wire::EventKind::Committed, Event::Committed(wire::CommittedEvent { first_batch, last_batch, l1_height }))
        }
        NodeEvent::Proven { first_batch, last_batch, l1_height } => {
            (wire::EventKind::Proven, Event::Proven(wire::ProvenEvent { first_batch, last_batch, l1_height }))
        }
        NodeEvent::Final { batch, l1_height } => {
            (wire::EventKind::Final, Event::Final(wire::FinalEvent { batch, l1_height }))
        }
        NodeEvent::L1Block { height, time, inbox_end } => {
            (wire::EventKind::L1Block, Event::L1Block(wire::L1BlockEvent { height, time, inbox_end }))
        }
        NodeEvent::Reverted { first_batch, generation } => {
            (wire::EventKind::Reverted, Event::Reverted(wire::RevertedEvent { first_batch, generation }))
        }
        NodeEvent::Flushed { flush, first_position, transactions } => {
            (wire::EventKind::Flushed, Event::Flushed(wire::FlushedEvent { flush, first_position, transactions }))
        }
    };
    let wanted = kinds.is_empty() || kinds.contains(&kind.into());
    wanted.then_some(wire::Event { event: Some(event) })
}

/// What a subscriber is told that did not keep up.
pub(super) fn missed(events: u64) -> wire::Event {
    wire::Event { event: Some(wire::event::Event::Missed(wire::MissedEvent { events })) }
}

pub(super) fn bridge(plane: &Plane, view: &BridgeView) -> wire::BridgeStatus {
    let escrow = view.escrow.iter().map(|(asset, amount)| wire::Escrow {
        asset: asset.number(),
        symbol: symbol(plane, *asset),
        amount: amount.units(),
    });
    wire::BridgeStatus {
        l1_chain_id: plane.genesis().l1_chain_id,
        l1_height: view.l1_height,
        l1_time: view.l1_time,
        committed_batch: view.committed,
        final_batch: view.final_batch,
        inbox_end: view.inbox_end,
        inbox_consumed: view.inbox_consumed,
        generation: view.generation,
        bond: view.bond.units(),
        escrow: escrow.collect(),
        open_cases: view.cases,
        settlement_digest: digest(&view.digest),
        pending_commitments: view.pending,
    }
}

/// A refusal of the L1's is an answer, like one of the plane's.
pub(super) fn sent_to_l1(sent: Result<SentToL1, L1Refused>) -> wire::SendToL1Response {
    match sent {
        Ok(SentToL1 { l1_height, events, inbox_index }) => {
            wire::SendToL1Response { l1_height, refusal: None, events, inbox_index }
        }
        Err(L1Refused { code, message, retryable }) => {
            let retry_after_ms = if retryable { L1_RETRY_MS } else { 0 };
            let refusal =
                wire::Refusal { code: code.into(), name: code_name(code).to_owned(), message, retry_after_ms };
            wire::SendToL1Response { refusal: Some(refusal), ..Default::default() }
        }
    }
}

pub(super) fn l1_account(
    plane: &Plane,
    address: &L1Address,
    next_sequence: u64,
    balances: &[(AssetId, u128)],
) -> wire::L1Account {
    let balances = balances.iter().map(|(asset, amount)| wire::L1Balance {
        asset: asset.number(),
        symbol: symbol(plane, *asset),
        amount: amount.to_string(),
    });
    wire::L1Account { address: bytes(address), next_sequence, balances: balances.collect() }
}

pub(super) fn withdrawal(view: &WithdrawalView) -> wire::Withdrawal {
    let leaves = &view.withdrawal;
    wire::Withdrawal {
        index: leaves.index,
        withdrawal: bytes(leaves),
        owner: bytes(&leaves.owner),
        to: bytes(&leaves.to),
        asset: leaves.asset.number(),
        amount: leaves.amount.units(),
        batch: view.batch,
        rung: rung(view.rung),
        claimed: view.claimed,
        claim: view.claim.as_ref().map(bytes).unwrap_or_default(),
    }
}

pub(super) fn commitment(view: &CommitmentView) -> wire::CommitmentOf {
    wire::CommitmentOf {
        commitment: bytes(&view.commitment),
        header: bytes(&view.header),
        path: siblings(&view.path),
        batches: u32::try_from(view.path.count).unwrap_or(u32::MAX),
        l1_height: view.l1_height,
        rung: rung(view.rung),
    }
}

pub(super) fn info(plane: &Plane) -> wire::Info {
    let genesis = plane.genesis();
    wire::Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        genesis: bytes(genesis),
        plane_id: digest(&plane.plane_id()),
        chain_id: genesis.chain_id,
        l1_chain_id: genesis.l1_chain_id,
        protocol: genesis.protocol,
        sequencer: bytes(&genesis.sequencer),
        unimplemented: vec![super::NO_STORAGE.to_owned()],
        gas_price: genesis.gas_price,
    }
}

pub(super) fn proof_job(job: &Job) -> wire::ProofJob {
    let flows = |kept: &Kept| {
        let mut out = Vec::new();
        put_list(&mut out, &kept.flows);
        out
    };
    let batch = |kept: &Kept| wire::ProofJobBatch {
        header: kept.header.to_bytes().into(),
        flows: flows(kept).into(),
        witness: kept.witness.clone().into(),
    };
    let previous = job.batches.first().map(|first| first.previous.to_bytes()).unwrap_or_default();
    wire::ProofJob {
        present: true,
        id: job.id,
        previous: previous.into(),
        batches: job.batches.iter().map(batch).collect(),
    }
}

pub(super) fn proposal(proposal: Option<&Commitment>) -> wire::CommitmentProposal {
    wire::CommitmentProposal { present: proposal.is_some(), commitment: proposal.map(bytes).unwrap_or_default() }
}

/// The status of an attestation that is not taken. What the L1 would refuse has the L1's code.
pub(super) fn attest_error(error: &AttestError) -> Status {
    match error {
        AttestError::NotProposed(_) => status(Code::NotFound, 710, error.to_string()),
        AttestError::Refused(refusal) => status(Code::InvalidArgument, refusal.code(), refusal.to_string()),
    }
}

pub(super) fn inbox(entries: &[InboxEntry]) -> wire::InboxEntries {
    wire::InboxEntries { entries: entries.iter().map(bytes).collect() }
}

fn attesting(view: &AttestingView) -> wire::AttestingStatus {
    let (first_batch, last_batch) = view.batches;
    wire::AttestingStatus {
        quorum: view.quorum,
        weight: view.weight,
        first_batch,
        last_batch,
        waited_ms: view.waited_ms,
        wait_max_ms: view.wait_max_ms,
        missing: view.missing.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect(),
    }
}

pub(super) fn node_status(view: &StatusView) -> wire::Status {
    wire::Status {
        state: view.condition.word().to_owned(),
        batch: view.batch,
        batch_time: view.batch_time,
        log_position: view.log_position,
        committed_batch: view.committed,
        final_batch: view.final_batch,
        l1_height: view.l1_height,
        generation: view.generation,
        uptime_ms: view.uptime_ms,
        accounts: view.objects_used,
        slots: view.slots_used,
        pool_transactions: view.pool.now,
        pool_transactions_max: view.pool.max,
        pool_bytes: view.pool_bytes.now,
        verifying: view.verifying.now,
        verifying_max: view.verifying.max,
        unsealed_batches: view.unsealed.now,
        uncommitted_batches: view.uncommitted.now,
        uncommitted_bytes: view.uncommitted_bytes.now,
        uncommitted_bytes_max: view.uncommitted_bytes.max,
        accepted: view.accepted,
        refused: view.refused,
        flushes: view.flushes,
        memory_bytes: view.memory_bytes.unwrap_or(0),
        rate_per_second: view.rate_per_second,
        checkpoint_batch: view.checkpoint,
        prover: view.prover.word().to_owned(),
        proven_batch: view.proven,
        unproven_batches: view.unproven_batches,
        unproven_entries: view.unproven_entries,
        unproven_bytes: view.unproven_bytes.now,
        unproven_bytes_max: view.unproven_bytes.max,
        attesting: view.attesting.as_ref().map(attesting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::api::NODE_CODES;
    use ghostplane_types::Reject;

    #[test]
    fn a_failed_call_carries_the_stable_code() {
        let table = [
            (QueryError::NotFound { what: "batch 7" }, Code::NotFound, "710", "NotFound"),
            (QueryError::Pruned { what: "batch 7" }, Code::NotFound, "710", "NotFound"),
            (QueryError::Unavailable("no L1".into()), Code::Unavailable, "712", "Unavailable"),
            (QueryError::Unimplemented("proofs"), Code::Unimplemented, "714", "Unimplemented"),
        ];
        for (error, grpc, code, name) in table {
            let status = query_error(&error);
            let key = |key: &str| status.metadata().get(key).and_then(|value| value.to_str().ok());
            assert_eq!(status.code(), grpc);
            assert_eq!((key("ghostplane-code"), key("ghostplane-name")), (Some(code), Some(name)));
        }
        assert!(NODE_CODES.contains(&(711, "BadRequest")));
        assert_eq!(parse_32("id", &[1; 31]).map_err(|status| status.code()), Err(Code::InvalidArgument));
        assert_eq!(parse_32("id", &[1; 32]).ok(), Some([1; 32]));
    }

    #[test]
    fn refusals_are_split_and_none_is_lost() {
        let one = Refusal::from(Reject::Overdrawn { balance: 1, needed: 2 });
        let all: Vec<_> = (0..5_000).map(|reference| (reference, one.clone())).collect();
        let messages = answers(&Answers::Refused(all), true);
        let references: Vec<u64> = messages.iter().flat_map(|one| &one.refused).map(|one| one.reference).collect();
        assert_eq!(references, (0..5_000).collect::<Vec<u64>>());
        assert!(messages.iter().all(|one| one.refused.len() <= ANSWERS_IN_MESSAGE_MAX && one.executed.is_empty()));
        let first = messages[0].refused[0].refusal.as_ref().expect("a reason");
        assert_eq!((first.code, first.name.as_str()), (200, "Overdrawn"));
    }

    #[test]
    fn events_are_chosen_by_kind() {
        let block = NodeEvent::L1Block { height: 3, time: 4, inbox_end: 5 };
        assert!(event(1, &Digest([0; 32]), block.clone(), &[]).is_some());
        assert!(event(1, &Digest([0; 32]), block.clone(), &[wire::EventKind::L1Block.into()]).is_some());
        assert!(event(1, &Digest([0; 32]), block, &[wire::EventKind::Final.into()]).is_none());
    }
}
