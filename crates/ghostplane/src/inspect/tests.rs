use ghostplane_engine::Plane;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, Domain, Signature, SigningKey, hex, merkle};
use ghostplane_keystone::{Keystone, Touched};
use ghostplane_settlement::{Claim, ClaimedUnder, FinalRecord, Message, Reserved, Settlement};
use ghostplane_types::commitment::COMMITMENT_VERSION;
use ghostplane_types::{
    Action, Address, Amount, AssetId, Attestation, BatchHeader, Commitment, Credential, CredentialTerms, Encode as _,
    EntityType, Flush, Genesis, Gid, InboxEntry, InboxPayload, KeyRef, L1Address, LogRecord, Nonce, ObjectKey, Outcome,
    Pay, PublicKey, SignedFlush, SlotIndex, Source, Transaction, TransactionBody, Withdrawal,
};
use serde_json::{Value, json};

use super::*;
use crate::keys;

const CHAINS: [u64; 2] = [CHAIN_PLANE, CHAIN_DEV];
const TIME: u64 = 1_767_225_600_000;

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32])
}

fn gid() -> Gid {
    let public_key = PublicKey::Ed25519(key().verification_key());
    Gid { public_key, chain_id: CHAIN_DEV, entity_type: EntityType::Wallet, version: 0 }
}

fn amount(units: u64) -> Amount {
    Amount::new(units).expect("a small amount")
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

/// A signed transfer of 1.5 GCC and withdrawal of 0.25 GCC.
pub(crate) fn sample_transaction() -> Transaction {
    let to = Address::from_bytes([9; 32]);
    let body = TransactionBody {
        chain_id: CHAIN_DEV,
        plane_id: digest(1),
        sender: gid().address(),
        nonce: Nonce { lane: 0, seq: 3 },
        valid_after: 0,
        valid_until: TIME,
        gas_limit: 10_000,
        gas_price_max: 2,
        pay: Pay::Gcc,
        key_ref: KeyRef::Carried(gid()),
        actions: vec![
            Action::Transfer { to, asset: AssetId::GCC, amount: amount(1_500_000_000) },
            Action::Withdraw { to: L1Address([5; 32]), asset: AssetId::GCC, amount: amount(250_000_000) },
        ],
        memo: b"coffee".to_vec(),
    };
    let auth = key().sign(Domain::TransactionAuth, CHAIN_DEV, &body.id());
    Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
}

/// A founded plane: its genesis, its state, and a settlement of both.
struct Founded {
    keystone: Keystone,
    settlement: Settlement,
    header: BatchHeader,
}

fn founded() -> Founded {
    let genesis = Genesis::dev(TIME, key().verification_key(), gid().address());
    let plane = Plane::new(genesis.clone()).expect("the dev terms are sound");
    let mut keystone = Keystone::new(1);
    let changes = plane.founding_changes().expect("the dev terms found a plane");
    let roots = keystone.apply(&changes, &Serial).expect("an empty state takes them");
    let state = plane.genesis_state(roots);
    let settlement = Settlement::new(genesis, &state).expect("the dev terms are sound");
    Founded { keystone, settlement, header: BatchHeader { number: 4, ..BatchHeader::genesis(&state) } }
}

fn commitment(header: BatchHeader) -> Commitment {
    let mut commitment = Commitment {
        version: COMMITMENT_VERSION,
        plane_id: digest(1),
        generation: 0,
        first_batch: 3,
        headers_root: digest(2),
        prev_header_digest: digest(3),
        last_header: header,
        data_digest: digest(4),
        data_len: 77,
        attestations: Vec::new(),
    };
    let signature = key().sign(Domain::Attestation, CHAIN_DEV, &commitment.digest(CHAIN_DEV));
    commitment.attestations.push(Attestation { key: key().verification_key(), signature });
    commitment
}

fn sample_credential() -> Credential {
    let terms = CredentialTerms {
        subject: Address::from_bytes([6; 32]),
        claims: digest(7),
        level: 2,
        certified: Some(EntityType::Oracle),
        expires: TIME + 1_000,
    };
    Credential { issuer: gid().address(), terms, issued: TIME }
}

/// One of each format.
fn samples() -> Vec<(Format, Vec<u8>)> {
    let Founded { keystone, settlement, header } = founded();
    let operator = ObjectKey::account(&gid().address());
    let slot = SlotIndex::new(1).expect("a small index");
    let absent = ObjectKey::account(&Address::from_bytes([9; 32]));
    let touched = Touched { slots: vec![slot], objects: vec![operator, absent], ..Touched::default() };
    let withdrawal = Withdrawal {
        index: 5,
        owner: gid().address(),
        to: L1Address([5; 32]),
        asset: AssetId::GCC,
        amount: amount(250_000_000),
    };
    let flush = Flush {
        plane_id: digest(1),
        generation: 0,
        flush: 8,
        first_position: 100,
        root: digest(2),
        prev_flush_digest: digest(3),
        batch_at_most: 9,
    };
    let deposit = InboxPayload::Deposit {
        from: L1Address([5; 32]),
        to: gid().address(),
        asset: AssetId::ZMAN,
        amount: amount(20_000_000_000),
    };
    let path = || merkle::Path { index: 0, count: 1, siblings: Vec::new() };
    let claim = Claim {
        under: ClaimedUnder::Recent { first_batch: 3 },
        header,
        header_path: path(),
        withdrawal,
        outbox_path: path(),
    };
    let outcome = Outcome {
        code: 200,
        action: 1,
        gas: 3_000,
        fee: 6_000,
        first_entry: 0,
        entries: 0,
        first_withdrawal: 0,
        withdrawals: 0,
    };
    let record = FinalRecord {
        first_batch: 1,
        last_batch: 4,
        headers_root: digest(1),
        data_digest: digest(2),
        last_header: digest(3),
    };
    let object = keystone.prove_object(&operator);
    let ghostplane_keystone::ProofLeaf::Present { value: account, .. } = &object.leaf else {
        panic!("the operator's account is made by genesis");
    };
    vec![
        (Format::KeyFile, KEY_FILE.replace("ADDRESS", &gid().address().to_string()).into_bytes()),
        (Format::Transaction, sample_transaction().to_bytes()),
        (Format::Commitment, commitment(header).to_bytes()),
        (Format::Settlement, settlement.to_bytes()),
        (Format::Genesis, settlement.genesis().to_bytes()),
        (Format::Header, header.to_bytes()),
        (Format::Account, account.to_vec()),
        (Format::Credential, sample_credential().to_bytes()),
        (Format::Message, Message::Claim(Box::new(claim)).to_bytes()),
        (Format::InboxEntry, InboxEntry { index: 6, l1_height: 12, l1_time: TIME, payload: deposit }.to_bytes()),
        (Format::SignedFlush, SignedFlush { flush, signature: Signature([3; 64]) }.to_bytes()),
        (Format::Flush, flush.to_bytes()),
        (Format::Withdrawal, withdrawal.to_bytes()),
        (Format::LogRecord, LogRecord { source: Source::Inbox(6), tx_id: digest(1), outcome: digest(2) }.to_bytes()),
        (Format::Outcome, outcome.to_bytes()),
        (Format::Witness, keystone.witness(&touched, &ghostplane_keystone::Changeset::default()).to_bytes()),
        (Format::SlotProof, keystone.prove_slot(slot).to_bytes()),
        (Format::ObjectProof, object.to_bytes()),
        (Format::PlaneState, header.state().to_bytes()),
        (Format::FinalRecord, record.to_bytes()),
        (Format::Slot, keystone.prove_slot(slot).slot.expect("genesis makes slots").to_bytes()),
        (Format::Gid, gid().to_bytes()),
        (Format::Address, gid().address().to_bytes()),
    ]
}

const KEY_FILE: &str = r#"{
  "format": "ghostplane-key", "version": 1, "name": "alice", "entity_type": "wallet", "chain_id": 1337,
  "gid_version": 0, "public_key": "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
  "address": "ADDRESS", "kind": "dev",
  "seed": "0707070707070707070707070707070707070707070707070707070707070707"
}"#;

fn input(bytes: &[u8]) -> Input {
    Input::parse(bytes.to_vec()).expect("samples are not empty")
}

fn json_of(format: Format) -> Value {
    let samples = samples();
    let (_, bytes) = samples.iter().find(|(sample, _)| *sample == format).expect("one of each");
    format.decode(&input(bytes), &CHAINS).expect("a sample decodes").to_json()
}

#[test]
fn there_is_a_sample_of_every_format_and_it_is_recognised() {
    let samples = samples();
    assert!(Format::all().eq(samples.iter().map(|(format, _)| *format)));
    for (format, bytes) in samples {
        let found = detect(&input(&bytes), &CHAINS).unwrap_or_else(|error| panic!("{}: {error}", format.word()));
        assert_eq!(found[0].format, format.word());
        assert!(!found[0].fields.is_empty());
        assert_eq!(found[0].bytes, bytes.len());
        let doubtful = found[1..].iter().all(|decoded| !decoded.doubts.is_empty());
        assert!(doubtful, "{} is also taken for something else without a doubt", format.word());
    }
}

#[test]
fn hexadecimal_text_is_taken_like_the_bytes() {
    for (format, bytes) in samples() {
        if format != Format::KeyFile {
            let text = format!("0x{}\n", hex::encode(&bytes));
            assert_eq!(input(text.as_bytes()), Input::Bytes(bytes), "{}", format.word());
        }
    }
}

#[test]
fn nothing_else_is_accepted_for_a_format() {
    for (format, bytes) in samples() {
        if format == Format::KeyFile {
            continue;
        }
        let longer = [&bytes[..], &[0]].concat();
        let shorter = &bytes[..bytes.len() - 1];
        for changed in [&longer, shorter] {
            let why = format.decode(&Input::Bytes(changed.to_vec()), &CHAINS);
            assert!(why.is_err(), "{} of {} bytes", format.word(), changed.len());
        }
    }
}

#[test]
fn a_transaction_shows_what_it_does_and_whether_its_signature_holds() {
    let json = json_of(Format::Transaction);
    assert_eq!(json["fields"]["actions"][0]["kind"], "transfer");
    assert_eq!(json["fields"]["actions"][0]["amount"]["text"], "1.5gcc");
    assert_eq!(json["fields"]["memo"], "\"coffee\"");
    assert_eq!(json["derived"]["moves"], "1.75gcc");
    assert_eq!(json["derived"]["transaction_id"], sample_transaction().body.id().to_string());
    assert_eq!(json["derived"]["signature_holds"], true);
    assert_eq!(json["doubts"], json!([]));

    let mut forged = sample_transaction();
    forged.body.memo = b"tea".to_vec();
    let found = detect(&input(&forged.to_bytes()), &CHAINS).expect("well formed all the same");
    assert_eq!(found[0].to_json()["derived"]["signature_holds"], false);
    assert!(found[0].doubts[0].contains("code 104"), "{:?}", found[0].doubts);
}

#[test]
fn what_follows_from_the_bytes_is_derived() {
    let Founded { settlement, header, .. } = founded();
    assert_eq!(json_of(Format::Genesis)["derived"]["plane_id"], settlement.plane_id().to_string());
    assert_eq!(json_of(Format::Settlement)["derived"]["state_digest"], settlement.digest().to_string());
    assert_eq!(json_of(Format::Header)["derived"]["header_digest__chain_1337"], header.digest(1337).to_string());
    assert_eq!(json_of(Format::Commitment)["derived"]["attestation_0_holds"], "on chain 1337");
    assert_eq!(json_of(Format::Commitment)["derived"]["batches"], 2);
    assert_eq!(json_of(Format::Outcome)["fields"]["code"], 200);
    assert_eq!(json_of(Format::Gid)["derived"]["address"], gid().address().to_string());
    assert_eq!(json_of(Format::InboxEntry)["fields"]["amount"]["text"], "20zman");
    assert_eq!(json_of(Format::Account)["fields"]["address"], gid().address().to_string());
    assert_eq!(json_of(Format::Message)["fields"]["withdrawal"]["amount"]["units"], 250_000_000);
}

#[test]
fn a_witness_shows_the_accounts_in_it() {
    let json = json_of(Format::Witness);
    assert_eq!(json["fields"]["slots"][0]["slot"], 1);
    let objects = json["fields"]["objects"].as_array().expect("a list");
    let operator = gid().address().to_string();
    assert!(objects.iter().any(|object| object["account_record"]["address"] == *operator), "{json:#}");
}

#[test]
fn a_key_file_never_shows_its_secret() {
    let json = json_of(Format::KeyFile).to_string();
    assert!(!json.contains("0707"), "{json}");
    assert!(json.contains("ea4a6c63"), "{json}");
}

#[test]
fn garbage_is_refused_with_a_reason_for_every_format() {
    let error = detect(&Input::Bytes(vec![0xee; 57]), &CHAINS).map(|_| ()).expect_err("garbage").to_string();
    assert!(error.starts_with("these 57 bytes are in none of our formats"), "{error}");
    for format in Format::all() {
        assert!(error.lines().any(|line| line.trim_start().starts_with(format.word())), "{}: {error}", format.word());
    }
    for json in ["{}", "{\"format\": \"other\"}", "{"] {
        assert!(detect(&input(json.as_bytes()), &CHAINS).is_err(), "{json}");
    }
}

#[test]
fn damaged_samples_never_panic() {
    for (format, bytes) in samples() {
        for at in (0..bytes.len()).step_by(bytes.len().div_ceil(200)) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            let _ = format.decode(&Input::Bytes(changed), &CHAINS);
            let _ = format.decode(&Input::Bytes(bytes[..at].to_vec()), &CHAINS);
        }
    }
}

#[test]
fn what_a_release_does_not_run_is_said() {
    let message = Message::Reserved { what: Reserved::Freeze, body: vec![1, 2, 3] };
    let found = Format::Message.decode(&input(&message.to_bytes()), &CHAINS).expect("reserved, and known");
    assert!(found.doubts[0].contains("does not run it"), "{:?}", found.doubts);
}

#[test]
fn when_several_formats_fit_all_are_shown() {
    // A reserved message has a body of any length, so that it can be as long as an outcome.
    let message = Message::Reserved { what: Reserved::Freeze, body: vec![0; 38] };
    let found = detect(&Input::Bytes(message.to_bytes()), &CHAINS).expect("two formats");
    assert_eq!(found.iter().map(|decoded| decoded.format).collect::<Vec<_>>(), ["message", "outcome"]);
    assert!(found.iter().all(|decoded| decoded.doubts.len() == 1), "both are odd, and say so");
}

#[test]
fn entity_words_are_those_of_key_files() {
    for entity_type in EntityType::ALL {
        assert_eq!(keys::entity_of(keys::entity_word(entity_type)), Some(entity_type));
    }
}
