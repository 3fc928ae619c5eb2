//! The fields of what keystone and the settlement define.

use ghostplane_ghostcipher::{Digest, hex, merkle};
use ghostplane_keystone::{ObjectProof, ProofLeaf, SlotProof};
use ghostplane_settlement::{
    Claim, ClaimedUnder, FinalRecord, Message, OpenCaseRequest, Pending, Purpose, Reserved, Settlement,
};
use ghostplane_types::limits::COMMITMENT_BATCHES_MAX;
use ghostplane_types::{
    AccountRecord, AssetId, Decode as _, DecodeError, ObjectClass, ObjectKey, Reader, Slot, Transaction, batch,
};

use super::fields::{
    account_fields, commitment_fields, digests, header_fields, inbox_entry_fields, slot_fields, withdrawal_fields,
};
use super::format::Decoded;
use super::sheet::Sheet;
use crate::screen;
use serde_json::Value;

pub(super) fn slot_proof(proof: &SlotProof) -> Decoded {
    let fields = Sheet::new().id("slot", proof.index.index());
    let fields = match &proof.slot {
        Some(slot) => fields.group("content", slot_fields(slot)),
        None => fields.leaf("content", "none: not handed out", Value::Null),
    };
    Decoded::new(fields.items("siblings", &proof.siblings)).doubt_if(
        proof.slot.is_none() && !proof.siblings.is_empty(),
        "a proof of a slot not handed out has no siblings",
    )
}

pub(super) fn object_proof(proof: &ObjectProof) -> Decoded {
    let fields = Sheet::new().text("key", object_key(&proof.key));
    let fields = match &proof.leaf {
        ProofLeaf::Present { index, value, next } => {
            object_value(fields.text("says", "the object is there").id("index", index.index()), &proof.key, value)
                .text("next key", object_key(next))
        }
        ProofLeaf::Removed { index, next } => {
            fields.text("says", "the object was removed").id("index", index.index()).text("next key", object_key(next))
        }
        ProofLeaf::Absent { index, low, value_digest, next } => fields
            .text("says", "there is no such object")
            .id("index", index.index())
            .text("key below", object_key(low))
            .text("value digest", value_digest)
            .text("next key", object_key(next)),
    };
    Decoded::new(fields.items("siblings", &proof.siblings))
}

/// Reads the witness a second time, leaf by leaf; `bytes` have decoded as a whole before.
pub(super) fn witness(bytes: &[u8]) -> Decoded {
    read_witness(bytes).map_or_else(|_| Decoded::default(), Decoded::new)
}

fn read_witness(bytes: &[u8]) -> Result<Sheet, DecodeError> {
    let mut reader = Reader::new(bytes);
    let flags: u8 = reader.read()?;
    let mut slots = Vec::new();
    let mut index = 0;
    for _ in 0..reader.varint()? {
        index += reader.varint()? + 1;
        slots.push(Sheet::new().id("slot", index).group("content", slot_fields(&reader.read::<Slot>()?)));
    }
    let mut objects = Vec::new();
    let mut after = 0;
    for _ in 0..reader.varint()? {
        let index = after + reader.varint()?;
        after = index + 1;
        let key: ObjectKey = reader.read()?;
        let sheet = Sheet::new().id("object", index).text("key", object_key(&key));
        let sheet = match reader.varint()? {
            0 => sheet.text("value", "removed"),
            1 => sheet.text("value digest", reader.read::<Digest>()?),
            more => object_value(sheet, &key, reader.take(usize::try_from(more - 2).unwrap_or(usize::MAX))?),
        };
        objects.push(sheet.text("next key", object_key(&reader.read()?)));
    }
    let mut nodes = || -> Result<u64, DecodeError> {
        let count = reader.varint()?;
        reader.take(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(32))?;
        Ok(count)
    };
    Ok(Sheet::new()
        .flag("covers new slots", flags & 1 != 0)
        .flag("covers new objects", flags & 2 != 0)
        .list("slots", slots)
        .list("objects", objects)
        .number("ledger nodes", nodes()?)
        .number("object nodes", nodes()?))
}

fn object_value(sheet: Sheet, key: &ObjectKey, value: &[u8]) -> Sheet {
    match AccountRecord::from_bytes(value) {
        Ok(record) if key.is_of(ObjectClass::Account) => sheet.group("account record", account_fields(&record)),
        _ => sheet.text("value", hex::encode(value)),
    }
}

fn object_key(key: &ObjectKey) -> String {
    if *key == ObjectKey::SENTINEL { "sentinel".to_string() } else { hex::encode(key.as_bytes()) }
}

pub(super) fn final_record_fields(record: &FinalRecord) -> Sheet {
    Sheet::new()
        .id("first batch", record.first_batch)
        .id("last batch", record.last_batch)
        .text("headers root", record.headers_root)
        .text("data digest", record.data_digest)
        .text("last header", record.last_header)
}

pub(super) fn final_record(record: &FinalRecord, chains: &[u64]) -> Decoded {
    let batches = record.last_batch.checked_sub(record.first_batch).map(|span| span.saturating_add(1));
    let possible = batches.is_some_and(|batches| batches <= COMMITMENT_BATCHES_MAX as u64);
    Decoded::new(final_record_fields(record))
        .derived(digests(Sheet::new(), "archive leaf", chains, |chain_id| record.leaf(chain_id)))
        .doubt_if(!possible, "no commitment has such batches")
}

pub(super) fn message(message: &Message, chains: &[u64]) -> Decoded {
    let sheet = |kind: &str| Sheet::new().text("kind", kind);
    let fields = match message {
        Message::Deposit { asset, l1_amount, to } => {
            sheet("deposit").text("asset", asset).text("L1 base units", l1_amount).text("to", to)
        }
        Message::Force { transaction } => {
            let sheet = sheet("force");
            match Transaction::decode_bounded(transaction) {
                Ok(forced) => sheet.group("transaction", super::fields::transaction(&forced).fields),
                Err(refused) => sheet
                    .text("transaction", hex::encode(transaction))
                    .text("will be refused", format!("{refused} (code {})", refused.code())),
            }
        }
        Message::Bond { amount, signature } => {
            sheet("bond").money("amount", *amount, AssetId::GCC).text("signature", signature)
        }
        Message::Unbond => sheet("unbond"),
        Message::PostData { number, chunk, last, bytes } => sheet("post data")
            .id("batch", *number)
            .number("chunk", *chunk)
            .flag("last", *last)
            .leaf("data", screen::bytes(bytes.len() as u64), hex::encode(bytes).into()),
        Message::DiscardData => sheet("discard data"),
        Message::Commit { commitment, headers } => sheet("commit")
            .group("commitment", commitment_fields(commitment))
            .list("headers", headers.iter().map(header_fields)),
        Message::OpenCase(request) => open_case(sheet("open case"), request),
        Message::Material { case, offset, bytes } => sheet("material")
            .id("case", *case)
            .number("offset", *offset)
            .leaf("data", screen::bytes(bytes.len() as u64), hex::encode(bytes).into()),
        Message::Judge { case } => sheet("judge").id("case", *case),
        Message::Claim(claim) => self::claim(sheet("claim"), claim),
        Message::SubmitProof { first_batch, last_batch, len, offset, bytes } => sheet("submit proof")
            .id("first batch", *first_batch)
            .id("last batch", *last_batch)
            .number("bytes of the bundle", *len)
            .number("offset", *offset)
            .leaf("piece", screen::bytes(bytes.len() as u64), hex::encode(bytes).into()),
        Message::Reserved { what, body } => {
            sheet(reserved(*what)).leaf("content", screen::bytes(body.len() as u64), hex::encode(body).into())
        }
    };
    let derived = match message {
        Message::Commit { commitment, .. } => super::fields::commitment(commitment, chains).derived,
        Message::PostData { bytes, .. } => {
            digests(Sheet::new(), "chunk digest", chains, |chain_id| batch::chunk_digest(chain_id, bytes))
        }
        _ => Sheet::new(),
    };
    let missing = match message {
        Message::Reserved { what, .. } => Some(format!("this release does not run it: {}", what.what())),
        _ => None,
    };
    Decoded::new(fields).derived(derived).doubt_if(missing.is_some(), missing.unwrap_or_default())
}

fn reserved(what: Reserved) -> &'static str {
    match what {
        Reserved::Evidence => "evidence",
        Reserved::Freeze => "freeze",
        Reserved::ForcedExit => "forced exit",
        Reserved::ScheduleUpgrade => "schedule upgrade",
    }
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Challenge => "challenge",
        Purpose::Replay => "replay",
    }
}

fn path(path: &merkle::Path) -> Sheet {
    Sheet::new()
        .leaf("leaf", format!("{} of {}", path.index, path.count), path.index.into())
        .items("siblings", &path.siblings)
}

fn open_case(sheet: Sheet, request: &OpenCaseRequest) -> Sheet {
    let sheet = sheet
        .text("purpose", purpose(request.purpose))
        .group("header", header_fields(&request.header))
        .group("header path", path(&request.header_path))
        .group("header before", header_fields(&request.prev));
    let sheet = match &request.prev_path {
        Some(prev) => sheet.group("path of the header before", path(prev)),
        None => sheet.leaf("path of the header before", "none: the batch is its commitment's first", Value::Null),
    };
    sheet
        .text("posted digest", request.posted)
        .group("posted path", path(&request.posted_path))
        .number("witness len", request.witness_len)
}

fn claim(sheet: Sheet, claim: &Claim) -> Sheet {
    let sheet = match &claim.under {
        ClaimedUnder::Recent { first_batch } => sheet.number("commitment's first batch", *first_batch),
        ClaimedUnder::Archived { record, path } => sheet
            .group("archived commitment", final_record_fields(record))
            .group("archive path", Sheet::new().number("leaf", path.index).items("siblings", &path.siblings)),
    };
    sheet
        .group("withdrawal", withdrawal_fields(&claim.withdrawal))
        .group("outbox path", path(&claim.outbox_path))
        .group("header", header_fields(&claim.header))
        .group("header path", path(&claim.header_path))
}

pub(super) fn settlement(settlement: &Settlement) -> Decoded {
    let genesis = settlement.genesis();
    let escrow = genesis.assets.iter().map(|known| {
        let held = settlement.escrow(known.asset).unwrap_or_default();
        Sheet::new().money("held", held, known.asset)
    });
    let proven = |pending: &Pending| {
        let batches = pending.first_batch..=pending.last_batch();
        batches.filter(|batch| pending.is_proven(*batch)).count() as u64
    };
    let pending = |pending: &Pending| {
        Sheet::new()
            .id("first batch", pending.first_batch)
            .id("last batch", pending.last_batch())
            .number("accepted at L1 height", pending.height)
            .number("batches proven", proven(pending))
            .text("headers root", pending.headers_root)
            .text("data digest", pending.data_digest)
    };
    let case = |(number, case): (&u64, &ghostplane_settlement::OpenCase)| {
        Sheet::new()
            .id("case", *number)
            .text("purpose", purpose(case.purpose))
            .id("batch", case.batch())
            .text("challenger", case.challenger)
            .number("deadline at L1 height", case.deadline)
            .leaf("material", format!("{} of {} bytes", case.brought(), case.needed()), case.brought().into())
    };
    let open_proof = |(sender, open): (&ghostplane_types::L1Address, &ghostplane_settlement::OpenProof)| {
        Sheet::new()
            .text("sender", sender)
            .id("first batch", open.first_batch)
            .id("last batch", open.last_batch)
            .number("deadline at L1 height", open.deadline)
            .leaf("brought", format!("{} of {} bytes", open.brought(), open.len), open.brought().into())
    };
    let fields = Sheet::new()
        .id("chain id", genesis.chain_id)
        .number("L1 height", settlement.block().height)
        .time("L1 time", settlement.block().time)
        .number("window clock", settlement.window_clock())
        .number("generation", settlement.generation())
        .number("committed upto batch", settlement.tip().number)
        .number("final upto batch", settlement.final_number())
        .list("escrow", escrow);
    let fields = match settlement.operator() {
        Some(operator) => fields.text("operator", operator),
        None => fields.leaf("operator", "none", Value::Null),
    };
    let entries = settlement.inbox_entries(settlement.inbox_start(), settlement.inbox_end());
    let fields = fields
        .money("bond", settlement.bond(), AssetId::GCC)
        .number("inbox start", settlement.inbox_start())
        .number("inbox end", settlement.inbox_end())
        .text("inbox chain", settlement.inbox_chain())
        .list("inbox", entries.map(inbox_entry_fields))
        .number("next batch to post", settlement.next_posted())
        .list("pending commitments", settlement.pending().iter().map(pending))
        .list("open cases", settlement.cases().iter().map(case))
        .list("open proofs", settlement.open_proofs().iter().map(open_proof))
        .number("archived commitments", settlement.archive().count())
        .list("recent final commitments", settlement.recent_finals().iter().map(final_record_fields))
        .number("withdrawals claimed below", settlement.claimed_below());
    let derived = Sheet::new().text("plane id", settlement.plane_id()).text("state digest", settlement.digest());
    Decoded::new(fields).derived(derived)
}
