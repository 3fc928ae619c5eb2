//! The fields of what `ghostplane-types` defines, and of key files.

use std::collections::BTreeMap;
use std::path::Path;

use ghostplane_ghostcipher::node::{self, TreeKey};
use ghostplane_ghostcipher::{Digest, Domain, Passkey, hex};
use ghostplane_types::account::{Lane, SlotOf};
use ghostplane_types::batch::PROTOCOL;
use ghostplane_types::gas;
use ghostplane_types::genesis::{FeeShare, GenesisAsset};
use ghostplane_types::reject::REJECT_CODES;
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, Approval, AssetId, Attestation, Auth, Authority, BatchHeader, Commitment,
    Committer, Credential, Encode as _, EntityType, Flush, Genesis, Gid, InboxEntry, InboxPayload, KeyRef, LogRecord,
    Money, ObjectKey, Outcome, PlaneState, PreparedKey, PublicKey, Reject, Scheme, SignedFlush, Slot, SlotKind, Source,
    Transaction, Withdrawal,
};
use serde_json::Value;

use super::format::{Decoded, Format};
use super::sheet::Sheet;
use super::{gates, mana};
use crate::keys::{self, KeyFile, Kind};

pub(super) fn transaction(transaction: &Transaction) -> Decoded {
    let body = &transaction.body;
    let fields = Sheet::new()
        .id("chain id", body.chain_id)
        .text("plane id", body.plane_id)
        .text("sender", body.sender)
        .id("lane", body.nonce.lane)
        .number("sequence number", body.nonce.seq);
    let fields = match body.valid_after {
        0 => fields.leaf("valid after", "at any time", 0.into()),
        time => fields.time("valid after", time),
    };
    let fields = fields
        .time("valid until", body.valid_until)
        .number("gas limit", body.gas_limit)
        .number("gas price max", body.gas_price_max);
    let fields = mana::pay(fields, &body.pay);
    let fields = match &body.key_ref {
        KeyRef::Registered(position) => {
            fields.leaf("key", format!("number {position} of the account"), (*position).into())
        }
        KeyRef::RegisteredPasskey(position) => {
            fields.leaf("key", format!("number {position} of the account, a passkey"), (*position).into())
        }
        KeyRef::Carried(gid) => fields.group("identity carried", gid_fields(gid)),
        KeyRef::Session => fields.text("key", "that of the session of the lane"),
        KeyRef::Delegate { account, position } => {
            fields.text("key", format!("number {position} of {account}, which acts for the sender"))
        }
        KeyRef::DelegatePasskey { account, position } => {
            fields.text("key", format!("number {position} of {account}, a passkey, which acts for the sender"))
        }
    };
    let fields = fields
        .list("actions", body.actions.iter().map(gates::action))
        .text("memo", readable(&body.memo))
        .text("signature", &transaction.auth);
    let fields = match &transaction.auth {
        Auth::Signature(_) => fields,
        Auth::Assertion(assertion) => fields
            .text("authenticator data", hex::encode(&assertion.authenticator_data))
            .text("client data", readable(&assertion.client_data)),
    };
    let approval = |by: &Approval| Sheet::new().text("key", key(&by.key)).text("signature", &by.auth);
    let fields = match &transaction.approvals[..] {
        [] => fields,
        approvals => fields.list("approvals", approvals.iter().map(approval)),
    };
    let fields = mana::sponsorship(fields, transaction.sponsorship.as_deref());

    let (bytes, id) = (transaction.to_bytes().len(), body.id());
    let of_others = gas::approvals(transaction.consents_of_others().map(|by| by.key.scheme()));
    let gas_min = gas::intrinsic(cheapest_scheme(&body.key_ref), bytes, body.actions.len()) + of_others;
    let derived =
        Sheet::new().text("transaction id", id).text("moves", moved(&body.actions)).number("gas at least", gas_min);
    let derived = match body.gas_limit.checked_mul(body.gas_price_max) {
        Some(fee) => derived.leaf("gas fee at most", gcc(fee), fee.into()),
        None => derived.text("gas fee at most", "more than any account can hold"),
    };
    let KeyRef::Carried(gid) = &body.key_ref else {
        let unknown = "the key is in the account's record, so it is not checked here";
        return Decoded::new(fields).derived(derived.text("signature holds", unknown));
    };
    let holds = gid.public_key.verify(Domain::TransactionAuth, body.chain_id, &id, &transaction.auth).is_ok();
    let stranger = gid.address() != body.sender;
    Decoded::new(fields)
        .derived(derived.flag("signature holds", holds))
        .doubt_if(stranger, format!("{} (code 107)", Reject::AddressMismatch { found: gid.address() }))
        .doubt_if(!holds, format!("{} (code 104)", Reject::BadSignature))
}

/// How the key signs; of one in the record it is not known, and the cheapest is taken that can have that form of consent.
fn cheapest_scheme(key_ref: &KeyRef) -> Scheme {
    match key_ref {
        KeyRef::Carried(gid) => gid.public_key.scheme(),
        KeyRef::Registered(_) | KeyRef::Session | KeyRef::Delegate { .. } => Scheme::Ed25519,
        KeyRef::RegisteredPasskey(_) | KeyRef::DelegatePasskey { .. } => Scheme::Passkey,
    }
}

/// The sum of all actions for each asset.
fn moved(actions: &[Action]) -> String {
    let mut sums = BTreeMap::new();
    for action in actions {
        let Some((asset, amount)) = action.moves() else { continue };
        *sums.entry(asset).or_insert(0_u128) += u128::from(amount.units());
    }
    let sum = |(asset, units): (_, u128)| match u64::try_from(units).ok().and_then(Amount::new) {
        Some(amount) => Money { amount, asset }.to_string(),
        None => format!("{units} base units of {asset}, more than any account can hold"),
    };
    sums.into_iter().map(sum).collect::<Vec<_>>().join(" + ")
}

pub(super) fn genesis(genesis: &Genesis) -> Decoded {
    let asset = |known: &GenesisAsset| {
        Sheet::new()
            .id("id", known.asset.number())
            .text("symbol", readable(&known.symbol))
            .number("decimals", known.decimals)
            .number("decimals on the L1", known.l1_decimals)
            .leaf("deposit min", units(known.deposit_min), known.deposit_min.units().into())
    };
    let share =
        |share: &FeeShare| Sheet::new().text("address", share.address).number("basis points", share.basis_points);
    let committer = |member: &Committer| {
        Sheet::new().text("key", key(&PublicKey::Ed25519(member.key))).number("weight", member.weight)
    };
    let authority = |known: &Authority| {
        Sheet::new()
            .text("address", known.address)
            .number("level max", known.level_max)
            .items("certifies", known.certifies.iter().map(|certified| keys::entity_word(certified).to_owned()))
    };
    let terms = &genesis.settlement;
    let fields = Sheet::new()
        .id("chain id", genesis.chain_id)
        .id("L1 chain id", genesis.l1_chain_id)
        .id("protocol", genesis.protocol)
        .time("time", genesis.time)
        .list("assets", genesis.assets.iter().map(asset))
        .number("gas price", genesis.gas_price)
        .leaf("slot price", gcc(genesis.slot_price.units()), genesis.slot_price.units().into())
        .leaf("object price", gcc(genesis.object_price.units()), genesis.object_price.units().into())
        .number("slots max", genesis.slots_max)
        .number("objects max", genesis.objects_max)
        .list("fee shares", genesis.fee_shares.iter().map(share))
        .text("sequencer", key(&PublicKey::Ed25519(genesis.sequencer)))
        .group("settlement", {
            Sheet::new()
                .number("window blocks", terms.window_blocks)
                .number("window unproven blocks", terms.window_unproven_blocks)
                .number("inbox deadline blocks", terms.inbox_deadline_blocks)
                .number("reorg depth", terms.reorg_depth)
                .number("data per block max", terms.data_per_block_max)
                .leaf("sequencer bond", gcc(terms.sequencer_bond.units()), terms.sequencer_bond.units().into())
                .leaf("challenge bond", gcc(terms.challenge_bond.units()), terms.challenge_bond.units().into())
                .number("challenge blocks", terms.challenge_blocks)
                .number("upgrade notice blocks", terms.upgrade_notice_blocks)
        })
        .group("governance", {
            let governor =
                genesis.governance.governor.map_or_else(|| "nobody".to_owned(), |governor| governor.to_string());
            Sheet::new().text("governor", governor).number("notice ms", genesis.governance.notice_ms)
        })
        .group("mana", mana::terms(&genesis.mana))
        .list("committers", genesis.committers.members.iter().map(committer))
        .number("committer quorum", genesis.committers.quorum)
        .list("authorities", genesis.authorities.iter().map(authority));
    let refused = genesis.check().err();
    Decoded::new(fields).derived(Sheet::new().text("plane id", genesis.plane_id())).doubt_if(
        refused.is_some(),
        refused.map_or(String::new(), |error| format!("no plane can start with it: {error}")),
    )
}

pub(super) fn header_fields(header: &BatchHeader) -> Sheet {
    Sheet::new()
        .id("number", header.number)
        .id("protocol", header.protocol)
        .number("generation", header.generation)
        .time("time", header.time)
        .text("prev state", header.prev_state)
        .text("ledger root", header.ledger_root)
        .text("object root", header.object_root)
        .number("slots used", header.slots_used)
        .number("objects used", header.objects_used)
        .number("inbox upto", header.inbox_upto)
        .number("log upto", header.log_upto)
        .number("outbox upto", header.outbox_upto)
        .text("log root", header.log_root)
        .text("outbox root", header.outbox_root)
        .text("journal digest", header.journal_digest)
        .text("flows digest", header.flows_digest)
        .number("entries", header.entries)
        .number("gas", header.gas)
        .number("bytes", header.bytes)
}

pub(super) fn header(header: &BatchHeader, chains: &[u64]) -> Decoded {
    let foreign = format!("protocol {}, this release runs {PROTOCOL}", header.protocol);
    Decoded::new(header_fields(header))
        .derived(digests(Sheet::new(), "header digest", chains, |chain_id| header.digest(chain_id)))
        .doubt_if(header.protocol != PROTOCOL, foreign)
}

pub(super) fn commitment_fields(commitment: &Commitment) -> Sheet {
    let attestation =
        |by: &Attestation| Sheet::new().text("key", key(&PublicKey::Ed25519(by.key))).text("signature", by.signature);
    Sheet::new()
        .id("version", commitment.version)
        .text("plane id", commitment.plane_id)
        .number("generation", commitment.generation)
        .id("first batch", commitment.first_batch)
        .text("headers root", commitment.headers_root)
        .text("prev header digest", commitment.prev_header_digest)
        .group("last header", header_fields(&commitment.last_header))
        .text("data digest", commitment.data_digest)
        .number("data len", commitment.data_len)
        .list("attestations", commitment.attestations.iter().map(attestation))
}

pub(super) fn commitment(commitment: &Commitment, chains: &[u64]) -> Decoded {
    let derived = match commitment.batches() {
        Some(batches) => Sheet::new().number("batches", batches),
        None => Sheet::new().text("batches", "none: the last is before the first"),
    };
    let mut derived = digests(derived, "commitment digest", chains, |chain_id| commitment.digest(chain_id));
    for (position, by) in commitment.attestations.iter().enumerate() {
        let on = chains.iter().filter(|chain_id| commitment.verify_attestation(**chain_id, by).is_ok());
        let on: Vec<String> = on.map(|chain_id| format!("on chain {chain_id}")).collect();
        let holds = if on.is_empty() { format!("on none of {chains:?}") } else { on.join(", ") };
        derived = derived.text(&format!("attestation {position} holds"), holds);
    }
    let disorder = commitment.batches().is_none();
    Decoded::new(commitment_fields(commitment)).derived(derived).doubt_if(disorder, "it commits to no batch")
}

pub(super) fn inbox_entry_fields(entry: &InboxEntry) -> Sheet {
    let fields =
        Sheet::new().id("index", entry.index).number("L1 height", entry.l1_height).time("L1 time", entry.l1_time);
    match &entry.payload {
        InboxPayload::Deposit { from, to, asset, amount } => {
            fields.text("payload", "deposit").text("from", from).text("to", to).money("amount", *amount, *asset)
        }
        InboxPayload::Forced { transaction } => {
            let fields = fields.text("payload", "forced transaction");
            match Transaction::decode_bounded(transaction) {
                Ok(forced) => fields.group("transaction", self::transaction(&forced).fields),
                Err(refused) => fields
                    .text("transaction", hex::encode(transaction))
                    .text("will be refused", format!("{refused} (code {})", refused.code())),
            }
        }
    }
}

pub(super) fn inbox_entry(entry: &InboxEntry, chains: &[u64]) -> Decoded {
    let derived = digests(Sheet::new(), "entry digest", chains, |chain_id| entry.digest(chain_id));
    Decoded::new(inbox_entry_fields(entry)).derived(derived)
}

pub(super) fn withdrawal_fields(withdrawal: &Withdrawal) -> Sheet {
    Sheet::new().id("index", withdrawal.index).text("owner", withdrawal.owner).text("to", withdrawal.to).money(
        "amount",
        withdrawal.amount,
        withdrawal.asset,
    )
}

pub(super) fn withdrawal(withdrawal: &Withdrawal, chains: &[u64]) -> Decoded {
    let derived = digests(Sheet::new(), "outbox leaf", chains, |chain_id| withdrawal.leaf(chain_id));
    let stuck = !withdrawal.asset.is_bridged();
    Decoded::new(withdrawal_fields(withdrawal))
        .derived(derived)
        .doubt_if(stuck, format!("asset {} is not bridged, so nothing of it can leave", withdrawal.asset))
        .doubt_if(withdrawal.amount.is_zero(), "it withdraws nothing")
}

fn flush_fields(flush: &Flush) -> Sheet {
    Sheet::new()
        .text("plane id", flush.plane_id)
        .number("generation", flush.generation)
        .number("flush", flush.flush)
        .number("first position", flush.first_position)
        .text("root", flush.root)
        .text("prev flush digest", flush.prev_flush_digest)
        .number("batch at most", flush.batch_at_most)
}

pub(super) fn flush(flush: &Flush, chains: &[u64]) -> Decoded {
    Decoded::new(flush_fields(flush)).derived(digests(Sheet::new(), "flush digest", chains, |id| flush.digest(id)))
}

pub(super) fn signed_flush(signed: &SignedFlush, chains: &[u64]) -> Decoded {
    let fields = flush_fields(&signed.flush).text("signature", signed.signature);
    Decoded::new(fields).derived(digests(Sheet::new(), "flush digest", chains, |id| signed.flush.digest(id)))
}

pub(super) fn account_fields(record: &AccountRecord) -> Sheet {
    let fields = Sheet::new().text("address", record.address);
    let fields = match &record.identity {
        None => fields.leaf("identity", "not registered: it has only received so far", Value::Null),
        Some(identity) => {
            let keys = identity.keys.iter().map(key);
            fields.group("identity", {
                Sheet::new()
                    .text("type", keys::entity_word(identity.entity_type))
                    .id("version", identity.version)
                    .items("keys", keys)
            })
        }
    };
    let lane = |lane: &Lane| Sheet::new().id("lane", lane.lane).number("next sequence number", lane.next);
    let slot = |of: &SlotOf| Sheet::new().text("asset", of.asset).id("slot", of.slot.index());
    let fields = fields.list("lanes", record.lanes.iter().map(lane)).list("slots", record.slots.iter().map(slot));
    let fields = match &record.gates {
        None => fields,
        Some(gates) => gates::fields(fields, gates),
    };
    mana::record(fields, record.mana.as_deref())
}

pub(super) fn account(record: &AccountRecord) -> Decoded {
    let entity_type = record.identity.as_ref().map_or(EntityType::Wallet, |identity| identity.entity_type);
    let derived = Sheet::new()
        .text("DID", record.address.to_did(entity_type))
        .text("object key", hex::encode(ObjectKey::account(&record.address).as_bytes()))
        .text("owner digest", record.address.owner_digest());
    Decoded::new(account_fields(record)).derived(derived)
}

pub(super) fn credential(credential: &Credential) -> Decoded {
    let Credential { issuer, terms, .. } = credential;
    let key = ObjectKey::credential(issuer, &terms.subject, &terms.claims);
    Decoded::new(gates::credential(credential)).derived(Sheet::new().text("object key", hex::encode(key.as_bytes())))
}

pub(super) fn log_record(record: &LogRecord) -> Decoded {
    let source = match record.source {
        Source::Log(position) => format!("log position {position}"),
        Source::Inbox(index) => format!("inbox entry {index}"),
    };
    let fields = Sheet::new()
        .leaf("source", source, record.source.number().into())
        .text("transaction id", record.tx_id)
        .text("outcome", record.outcome);
    let mut leaf = [Digest::ZERO];
    node::hash_128(&TreeKey::new(Domain::LogRecord), &[record.block()], &mut leaf);
    Decoded::new(fields).derived(Sheet::new().text("log leaf", leaf[0]))
}

pub(super) fn outcome(outcome: &Outcome) -> Decoded {
    let name = REJECT_CODES.iter().find(|(code, _)| *code == outcome.code).map(|(_, name)| *name);
    let code = match (outcome.is_applied(), name) {
        (true, _) => "0, applied".to_string(),
        (false, Some(name)) => format!("{}, {name}", outcome.code),
        (false, None) => format!("{}, unknown to this release", outcome.code),
    };
    let fields = Sheet::new().leaf("code", code, outcome.code.into());
    let fields = match outcome.action {
        Outcome::NO_ACTION => fields.leaf("action", "of none in particular", Value::Null),
        action => fields.number("action", action),
    };
    let fields = fields
        .number("gas", outcome.gas)
        .leaf("fee", gcc(outcome.fee), outcome.fee.into())
        .number("first entry", outcome.first_entry)
        .number("entries", outcome.entries)
        .number("first withdrawal", outcome.first_withdrawal)
        .number("withdrawals", outcome.withdrawals);
    let mut digest = [Digest::ZERO];
    node::hash_64(&TreeKey::new(Domain::Outcome), &[outcome.block()], &mut digest);
    Decoded::new(fields)
        .derived(Sheet::new().text("outcome digest", digest[0]))
        .doubt_if(!outcome.is_applied() && name.is_none(), format!("no refusal has the code {}", outcome.code))
}

pub(super) fn plane_state(state: &PlaneState) -> Decoded {
    let fields = Sheet::new()
        .id("number", state.number)
        .time("time", state.time)
        .text("ledger root", state.roots.ledger_root)
        .text("object root", state.roots.object_root)
        .number("slots used", state.roots.slots_used)
        .number("objects used", state.roots.objects_used)
        .number("inbox upto", state.inbox_upto)
        .number("log upto", state.log_upto)
        .number("outbox upto", state.outbox_upto);
    // No plane is older than its software, and a small number here is rather a count.
    const YEAR_2020_MS: u64 = 1_577_836_800_000;
    Decoded::new(fields).doubt_if(state.time < YEAR_2020_MS, "its time is before the year 2020")
}

pub(super) fn slot_fields(slot: &Slot) -> Sheet {
    let kind = match slot.kind {
        SlotKind::Account => "account",
        SlotKind::Stream => "stream",
    };
    Sheet::new().text("kind", kind).text("owner digest", slot.owner).money("balance", slot.balance, slot.asset)
}

pub(super) fn slot(slot: &Slot) -> Decoded {
    Decoded::new(slot_fields(slot))
}

pub(super) fn gid_fields(gid: &Gid) -> Sheet {
    let sheet = Sheet::new().text("public key", key(&gid.public_key));
    let sheet = match gid.public_key {
        PublicKey::Passkey(Passkey { rp_id_hash, verifies_user, .. }) => sheet
            .text("SHA-256 of the relying party", hex::encode(&rp_id_hash))
            .flag("verifies its user", verifies_user),
        _ => sheet,
    };
    sheet.id("chain id", gid.chain_id).text("type", keys::entity_word(gid.entity_type)).id("version", gid.version)
}

pub(super) fn gid(gid: &Gid) -> Decoded {
    let unusable = PreparedKey::parse(&gid.public_key).err();
    let derived = Sheet::new()
        .text("address", gid.address().to_text(gid.entity_type))
        .text("DID", gid.address().to_did(gid.entity_type));
    Decoded::new(gid_fields(gid))
        .derived(derived)
        .doubt_if(unusable.is_some(), unusable.map_or(String::new(), |error| error.to_string()))
}

pub(super) fn address(address: &Address) -> Decoded {
    let fields = Sheet::new().text("bytes", hex::encode(address.as_bytes()));
    let derived = Sheet::new().text("address", address).text("owner digest", address.owner_digest());
    Decoded::new(fields)
        .derived(derived)
        .doubt_if(true, "any 32 bytes make an address: these may as well be a digest or a key")
}

pub(super) fn key_file(json: &[u8]) -> Result<Decoded, String> {
    if json.len() > keys::KEY_FILE_BYTES_MAX {
        return Err(format!("larger than {} bytes", keys::KEY_FILE_BYTES_MAX));
    }
    let file = KeyFile::parse(json, Path::new("the file")).map_err(|error| error.to_string())?;
    let gid = file.gid();
    let fields = Sheet::new().text("name", file.name()).group("identity", gid_fields(gid));
    let fields = match file.kind() {
        Kind::Dev { .. } => fields.leaf("kept", "dev: in plain text, worthless", "dev".into()),
        Kind::Encrypted(sealed) => fields
            .leaf("kept", "encrypted under a passphrase", "encrypted".into())
            .group("argon2id", {
                Sheet::new()
                    .number("memory KiB", sealed.kdf.memory_kib)
                    .number("passes", sealed.kdf.passes)
                    .number("lanes", sealed.kdf.lanes)
                    .text("salt", hex::encode(&sealed.salt))
            })
            .group("xchacha20poly1305", Sheet::new().text("nonce", hex::encode(&sealed.nonce))),
    };
    let derived = Sheet::new()
        .text("address", gid.address().to_text(gid.entity_type))
        .text("DID", gid.address().to_did(gid.entity_type));
    Ok(Decoded::new(fields).derived(derived).of(Format::KeyFile.word(), json.len()))
}

/// A digest that depends on a chain the bytes do not name: one row a chain.
pub(super) fn digests(sheet: Sheet, name: &str, chains: &[u64], digest: impl Fn(u64) -> Digest) -> Sheet {
    match chains {
        [chain_id] => sheet.text(name, digest(*chain_id)),
        _ => chains.iter().fold(sheet, |sheet, id| sheet.text(&format!("{name}, chain {id}"), digest(*id))),
    }
}

pub(super) fn key(key: &PublicKey) -> String {
    format!("{}:{key}", key.scheme().name())
}

fn gcc(base_units: u64) -> String {
    match Amount::new(base_units) {
        Some(amount) => Money { amount, asset: AssetId::GCC }.to_string(),
        None => format!("{base_units} base units of gcc"),
    }
}

fn units(amount: Amount) -> String {
    format!("{} base units", crate::screen::grouped(amount.units()))
}

/// Bytes for the eye: quoted if they are text, else hexadecimal.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => "none".to_string(),
        Ok(text) if !text.chars().any(char::is_control) => format!("\"{text}\""),
        _ => hex::encode(bytes),
    }
}
