//! Conformance vectors: every format, hash, root, code and price, frozen in `vectors/`.
//!
//! The files are written for readers in any language: hex, decimal numbers, and the words of `docs/formats.md`. A change
//! of any of them is a reviewed decision with a line in the CHANGELOG; `GHOSTPLANE_BLESS=1 cargo test --test vectors`
//! writes what the code gives now.

#![recursion_limit = "256"]

#[path = "vectors/credentials.rs"]
mod credentials;

use ghostplane::local::{LocalL1, Operator, Threads, Watcher, case_messages, claim_message};
use ghostplane::trial;
use ghostplane_engine::{Plane, posted};
use ghostplane_ghostbridge::{L1_REFUSAL_CODES, run};
use ghostplane_ghostcipher::node::{self, TreeKey};
use ghostplane_ghostcipher::poseidon2::{self, FieldTag};
use ghostplane_ghostcipher::webauthn::Authenticator;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{
    Digest, Domain, FieldDigest, SigningKey, VerificationKey, digest, domain, hex, merkle, p256, secp256k1,
    signing_bytes, signing_digest,
};
use ghostplane_keystone::{Keystone, StateView as _, journal};
use ghostplane_proof::{CIRCUIT_VERSION, Settings, ThreadPoolBuilder, prove_with};
use ghostplane_settlement::{Message, Purpose, REFUSAL_CODES};
use ghostplane_store::checkpoint::{self, CHECKPOINT_VERSION};
use ghostplane_store::log::segment::LOG_VERSION;
use ghostplane_store::{Cut, Frame, Log, LoggedFlush, Opened, Revert};
use ghostplane_types::batch::{chunk_digest, flows_digest, posted_digest};
use ghostplane_types::guardian::{Guardian, Member, Role, Roles, Thresholds};
use ghostplane_types::receipt::log_leaves;
use ghostplane_types::reject::REJECT_CODES;
use ghostplane_types::transaction::ACTION_KINDS;
use ghostplane_types::{
    Action, Address, Amount, Approval, AssetId, BatchHeader, Committer, Committers, ConsentForm, Decode, Encode,
    EntityType, Flow, Flush, Genesis, Gid, GuardianSet, Holder, InboxEntry, InboxPayload, JournalEntry, KeyChange,
    KeyRef, KindSet, L1Address, Limit, Money, Nonce, ObjectClass, ObjectKey, Outcome, Pay, PublicKey, Roots, Scheme,
    Scope, Session, SignedFlush, SignedL1Message, Signer, SlotIndex, Source, Transaction, TransactionBody, Window,
    Withdrawal, gas, limits,
};
use serde_json::{Value, json};
use std::path::PathBuf;

#[path = "vectors/mana.rs"]
mod mana;

const CHAIN: u64 = 1337;
const GENESIS_MS: u64 = 1_767_225_600_000;

/// Compares with the frozen file, or writes it when blessing.
fn frozen(name: &str, value: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(name);
    let text = format!("{value:#}\n");
    if std::env::var_os("GHOSTPLANE_BLESS").is_some() {
        std::fs::write(&path, &text).expect("vectors/ can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("the vector file is there; GHOSTPLANE_BLESS=1 writes it");
    if kept != text {
        let kept = kept.lines().collect::<Vec<_>>();
        let line = text.lines().enumerate().find(|(at, line)| kept.get(*at) != Some(line));
        panic!("{name} differs from what the code gives, first at line {line:?}");
    }
}

fn bytes(value: &impl Encode) -> String {
    hex::encode(&value.to_bytes())
}

/// Encodes, checks that the bytes come back, and tells both.
fn encoding<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T) -> String {
    let encoded = value.to_bytes();
    assert_eq!(T::from_bytes(&encoded).as_ref(), Ok(value));
    hex::encode(&encoded)
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(digest::hash(Domain::Test, 0, &[name.as_bytes()]).0)
}

fn gid(name: &str) -> Gid {
    let public_key = PublicKey::Ed25519(key(name).verification_key());
    Gid { public_key, chain_id: CHAIN, entity_type: EntityType::Wallet, version: 0 }
}

fn amount(units: u64) -> Amount {
    Amount::new(units).expect("a small amount")
}

fn field(seed: u8) -> FieldDigest {
    poseidon2::reduce_wide(&[seed; 64])
}

fn transaction(plane: &Plane, from: &str, seq: u64, actions: Vec<Action>, memo: &str) -> Transaction {
    let gid = gid(from);
    let body = TransactionBody {
        chain_id: CHAIN,
        plane_id: plane.plane_id(),
        sender: gid.address(),
        nonce: Nonce { lane: Nonce::LANE_ROOT, seq },
        valid_after: 0,
        valid_until: GENESIS_MS + 3_600_000,
        gas_limit: 10_000 + 2_000 * actions.len() as u64,
        gas_price_max: 1,
        pay: Pay::Gcc,
        key_ref: if seq == 0 { KeyRef::Carried(gid) } else { KeyRef::Registered(0) },
        actions,
        memo: memo.as_bytes().to_vec(),
    };
    let auth = key(from).sign(Domain::TransactionAuth, CHAIN, &body.id());
    Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
}

/// A key of each scheme, its address, and what it consents to a body with: carried first, then registered.
fn consented(scheme: Scheme) -> Value {
    let secret = digest::hash(Domain::Test, 0, &[b"a key of ", scheme.name().as_bytes()]).0;
    let signer: Box<dyn Signer> = match scheme {
        Scheme::Ed25519 => Box::new(SigningKey::from_seed(secret)),
        Scheme::Secp256k1 => Box::new(secp256k1::SigningKey::from_secret(secret).expect("a scalar")),
        Scheme::P256 => Box::new(p256::SigningKey::from_secret(secret).expect("a scalar")),
        Scheme::Passkey => Box::new(Authenticator::new(secret, "wallet.example", true).expect("a scalar")),
    };
    let gid = Gid { public_key: signer.public_key(), chain_id: CHAIN, entity_type: EntityType::Wallet, version: 0 };
    let registered = match ConsentForm::of(scheme) {
        ConsentForm::Signature => KeyRef::Registered(1),
        ConsentForm::Assertion => KeyRef::RegisteredPasskey(1),
    };
    let transactions = [KeyRef::Carried(gid), registered].map(|key_ref| {
        let mut body = transaction(&plane(), "alice", 0, vec![pay("bob", AssetId::GCC, 7)], "").body;
        (body.sender, body.key_ref) = (gid.address(), key_ref);
        let auth = signer.consent(Domain::TransactionAuth, CHAIN, &body.id());
        assert_eq!(gid.public_key.verify(Domain::TransactionAuth, CHAIN, &body.id(), &auth), Ok(()));
        let signing_digest = hex::encode(&signing_digest(Domain::TransactionAuth, CHAIN, &body.id()));
        let transaction = Transaction { body, auth, approvals: Vec::new(), sponsorship: None };
        json!({
            "bytes": encoding(&transaction), "id": transaction.body.id().to_string(), "signing_digest": signing_digest,
            "intrinsic_gas": gas::intrinsic(scheme, transaction.to_bytes().len(), 1),
        })
    });
    json!({
        "scheme": scheme.name(), "secret": hex::encode(&secret), "public_key": encoding(&gid.public_key),
        "address": gid.address().to_string(), "transactions": transactions,
    })
}

fn pay(to: &str, asset: AssetId, units: u64) -> Action {
    Action::Transfer { to: gid(to).address(), asset, amount: amount(units) }
}

fn plane() -> Plane {
    let operator = key("operator").verification_key();
    Plane::new(Genesis::dev(GENESIS_MS, operator, gid("operator's wallet").address())).expect("the dev genesis holds")
}

#[test]
fn hashes() {
    let tags = Domain::ALL.iter().map(|tag| json!({ "name": tag.name(), "tag": *tag as u16 }));
    let field_tags = FieldTag::ALL.iter().map(|tag| json!({ "name": format!("{tag:?}"), "tag": *tag as u32 }));
    let compressed = [(0, 0), (0, 1), (1, 0), (7, 9)].map(|(left, right)| {
        let (left, right) = (field(left), field(right));
        let out = poseidon2::compress(&left, &right);
        json!({ "left": left.to_string(), "right": right.to_string(), "compress": out.to_string() })
    });
    let tree = |count: u8| (1..=count).map(|leaf| Digest([leaf; 32])).collect::<Vec<_>>();
    let roots =
        [0, 1, 2, 3, 4, 5, 8, 9].map(|count| json!({ "count": count, "root": merkle::root(&tree(count)).to_string() }));
    let entry = |at: u32| JournalEntry {
        from: SlotIndex::new(at).expect("small"),
        to: SlotIndex::new(at + 1).expect("small"),
        amount: amount(u64::from(at) * 0x1_0001_0001 + 1),
    };
    let journals = [0, 1, 63, 64, 65, 200].map(|count| {
        let entries: Vec<JournalEntry> = (0..count).map(entry).collect();
        json!({ "entries": count, "digest": journal::digest(&entries).to_string() })
    });
    let message = digest::hash(Domain::Test, CHAIN, &[b"message"]);
    let signature = key("alice").sign(Domain::TransactionAuth, CHAIN, &message);
    frozen(
        "hashes.json",
        &json!({
            "format_version": domain::FORMAT_VERSION,
            "domains": tags.collect::<Vec<_>>(),
            "field_tags": field_tags.collect::<Vec<_>>(),
            "digest": {
                "domain": "Test", "chain_id": CHAIN, "data": hex::encode(b"message"),
                "digest": message.to_string(),
                "wide": hex::encode(&digest::hash_wide(Domain::Test, CHAIN, b"message")),
            },
            "node": {
                "object_node_of_01_02": node::pair(&TreeKey::new(Domain::ObjectNode), &Digest([1; 32]), &Digest([2; 32])).to_string(),
                "merkle_node_of_01_02": node::pair(&TreeKey::new(Domain::MerkleNode), &Digest([1; 32]), &Digest([2; 32])).to_string(),
            },
            "poseidon2_compress": compressed,
            "reduce_wide_of_ff": poseidon2::reduce_wide(&[0xff; 64]).to_string(),
            "merkle_roots_of_leaves_01_02": roots,
            "journals": journals,
            "chunk_digest": chunk_digest(CHAIN, b"chunk").to_string(),
            "posted_digest": posted_digest(CHAIN, b"chunk").to_string(),
            "signature": {
                "seed": digest::hash(Domain::Test, 0, &[b"alice"]).to_string(),
                "key": key("alice").verification_key().to_string(),
                "message": hex::encode(&signing_bytes(Domain::TransactionAuth, CHAIN, &message)),
                "signature": hex::encode(&signature.0),
            },
        }),
    );
}

#[test]
fn addresses() {
    let entities = EntityType::ALL.map(|entity_type| {
        let gid = Gid { entity_type, ..gid("alice") };
        let address = gid.address();
        json!({
            "gid": encoding(&gid),
            "address": hex::encode(address.as_bytes()),
            "text": address.to_text(entity_type),
            "did": address.to_did(entity_type),
            "owner_digest": address.owner_digest().to_string(),
            "account_key": hex::encode(ObjectKey::account(&address).as_bytes()),
        })
    });
    let system = ["fees", "storage", "returns"]
        .map(|name| json!({ "name": name, "address": Address::system(CHAIN, name).to_string() }));
    let money = ["1.5gcc", "0.000000001gcc", "9223372036.854775807gcc", "20zman", "7#65536"].map(|text| {
        let money: Money = text.parse().expect(text);
        json!({ "text": text, "units": money.amount.units().to_string(), "asset": money.asset.number() })
    });
    let storage_key = ObjectKey::new(ObjectClass::Storage, 258, b"raw key");
    frozen(
        "addresses.json",
        &json!({
            "entities": entities,
            "system": system,
            "money": money,
            "object_key": { "class": 10, "owner": 258, "raw": hex::encode(b"raw key"), "key": hex::encode(storage_key.as_bytes()) },
        }),
    );
}

#[test]
fn encodings() {
    let plane = plane();
    let bundle = vec![
        pay("bob", AssetId::GCC, 1_500_000_000),
        Action::Withdraw { to: L1Address([4; 32]), asset: AssetId::ZMAN, amount: amount(2) },
    ];
    let transaction = transaction(&plane, "alice", 0, bundle, "for the tea");
    let outcome = Outcome {
        code: 200,
        action: 1,
        gas: 3_300,
        fee: 503_300,
        first_entry: 7,
        entries: 2,
        first_withdrawal: 9,
        withdrawals: 1,
    };
    let flush = Flush {
        plane_id: plane.plane_id(),
        generation: 1,
        flush: 2,
        first_position: 3,
        root: Digest([4; 32]),
        prev_flush_digest: Digest([5; 32]),
        batch_at_most: 6,
    };
    let signature = key("operator").sign(Domain::FlushSignature, CHAIN, &flush.digest(CHAIN));
    let signed = SignedFlush { flush, signature };
    assert!(signed.verify(CHAIN, &key("operator").verification_key()).is_ok());
    let deposit = InboxEntry {
        index: 5,
        l1_height: 6,
        l1_time: GENESIS_MS,
        payload: InboxPayload::Deposit {
            from: L1Address([1; 32]),
            to: gid("alice").address(),
            asset: AssetId::GCC,
            amount: amount(10),
        },
    };
    let payload = InboxPayload::Forced { transaction: vec![1, 2, 3] };
    let forced = InboxEntry { payload, index: 6, ..deposit.clone() };
    let withdrawal = Withdrawal {
        index: 3,
        owner: gid("bob").address(),
        to: L1Address([2; 32]),
        asset: AssetId::GCC,
        amount: amount(9),
    };
    let flows = [
        Flow { asset: AssetId::GCC, issued: amount(5), retired: amount(0) },
        Flow { asset: AssetId::ZMAN, issued: amount(0), retired: amount(6) },
    ];
    let records =
        [(Source::Log(8), transaction.body.id(), outcome), (Source::Inbox(5), deposit.digest(CHAIN), outcome)];
    let leaves = log_leaves(&records);
    let inner = Message::Deposit { asset: AssetId::GCC, l1_amount: 10, to: gid("alice").address() };
    let l1_chain_id = plane.genesis().l1_chain_id;
    let l1_message = SignedL1Message::sign(&key("alice"), l1_chain_id, 2, inner.to_bytes()).expect("it is short");
    assert!(l1_message.verify().is_ok());
    frozen(
        "encodings.json",
        &json!({
            "genesis": { "bytes": encoding(plane.genesis()), "plane_id": plane.plane_id().to_string() },
            "with_committers": with_committers(),
            "transaction": {
                "bytes": encoding(&transaction), "body": encoding(&transaction.body),
                "id": transaction.body.id().to_string(),
                "signing_bytes": hex::encode(&signing_bytes(Domain::TransactionAuth, CHAIN, &transaction.body.id())),
                "intrinsic_gas": gas::intrinsic(Scheme::Ed25519, transaction.to_bytes().len(), 2),
            },
            "schemes": Scheme::ALL.map(consented),
            "outcome": { "bytes": encoding(&outcome), "block": hex::encode(&outcome.block()) },
            "log_leaves": leaves.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "log_root": merkle::root(&leaves).to_string(),
            "signed_l1_message": { "bytes": encoding(&l1_message), "digest": l1_message.digest().to_string() },
            "signed_flush": { "bytes": encoding(&signed), "digest": flush.digest(CHAIN).to_string() },
            "deposit": {
                "bytes": encoding(&deposit), "digest": deposit.digest(CHAIN).to_string(),
                "chain_after_zero": deposit.chain(CHAIN, &Digest::ZERO).to_string(),
            },
            "forced": { "bytes": encoding(&forced), "digest": forced.digest(CHAIN).to_string() },
            "withdrawal": { "bytes": encoding(&withdrawal), "leaf": withdrawal.leaf(CHAIN).to_string() },
            "flows": { "bytes": flows.iter().map(bytes).collect::<Vec<_>>(), "digest": flows_digest(CHAIN, &flows).to_string() },
        }),
    );
}

#[test]
fn store() {
    let plane_id = plane().plane_id();
    let roots = Roots { ledger_root: field(1), object_root: Digest([2; 32]), slots_used: 3, objects_used: 4 };
    let genesis = BatchHeader::genesis(&plane().genesis_state(roots));
    let mut prev_flush_digest = Digest::ZERO;
    let mut flush = |flush, first_position, transactions: &[&[u8]]| {
        let flush = Flush {
            plane_id,
            generation: 0,
            flush,
            first_position,
            root: Digest([4; 32]),
            prev_flush_digest,
            batch_at_most: 2,
        };
        prev_flush_digest = flush.digest(CHAIN);
        let signature = key("operator").sign(Domain::FlushSignature, CHAIN, &prev_flush_digest);
        let transactions = transactions.iter().map(|bytes| bytes.to_vec()).collect();
        Frame::Flush(LoggedFlush { signed: SignedFlush { flush, signature }, transactions })
    };
    let deposit = InboxEntry {
        index: 0,
        l1_height: 6,
        l1_time: GENESIS_MS,
        payload: InboxPayload::Deposit {
            from: L1Address([1; 32]),
            to: gid("alice").address(),
            asset: AssetId::GCC,
            amount: amount(10),
        },
    };
    let time = GENESIS_MS + 7;
    let first = Opened { generation: 0, number: 1, time, position: 0, inbox: 0 };
    let second = Opened { generation: 0, number: 2, time: time + 50, position: 2, inbox: 1 };
    let header = BatchHeader { number: 1, time, log_upto: 2, inbox_upto: 1, ..genesis };
    let groups = [
        vec![
            Frame::Inbox(vec![deposit]),
            flush(0, 0, &[b"one", b"", b"three"]),
            Frame::Opened(first),
            Frame::Cut(Cut { number: 1, position: 2, inbox: 1 }),
            Frame::Opened(second),
        ],
        vec![flush(1, 3, &[b"four"]), Frame::Sealed(header)],
        vec![Frame::Revert(Revert { to: header, generation: 1 })],
    ];

    // The file itself is what is frozen.
    let dir = std::env::temp_dir().join(format!("ghostplane-vectors-store-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let (mut log, _) = Log::open(&dir, plane_id, CHAIN).expect("a new log");
    let sizes: Vec<u64> = groups.iter().map(|group| log.append(group).expect("they follow").bytes).collect();
    drop(log);
    let segment = std::fs::read(dir.join("log").join(format!("{:020}.log", 0))).expect("the first segment");
    let (log, _) = Log::open(&dir, plane_id, CHAIN).expect("it opens again");
    let read: Vec<Frame> = log.reader(0).map(|logged| logged.expect("it can be read").frame).collect();
    assert_eq!(read, groups.concat());
    drop(log);
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
    let (segment_header, mut rest) = segment.split_at(95);
    let logged = groups.iter().zip(sizes).map(|(group, size)| {
        let (mut bytes, behind) = rest.split_at(usize::try_from(size).expect("a small group"));
        rest = behind;
        let frames = group.iter().map(|frame| {
            let len = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"));
            let (frame_bytes, behind) = bytes.split_at(usize::try_from(len).expect("a small frame") + 14);
            bytes = behind;
            let name = match frame {
                Frame::Flush(_) => "Flush",
                Frame::Inbox(_) => "Inbox",
                Frame::Sealed(_) => "Sealed",
                Frame::Revert(_) => "Revert",
                Frame::Opened(_) => "Opened",
                Frame::Cut(_) => "Cut",
            };
            json!({ "frame": name, "bytes": hex::encode(frame_bytes) })
        });
        frames.collect::<Vec<_>>()
    });
    let logged: Vec<_> = logged.collect();
    frozen(
        "store.json",
        &json!({
            "log_version": LOG_VERSION,
            "checkpoint_version": CHECKPOINT_VERSION,
            "plane_id": plane_id.to_string(),
            "chain_id": CHAIN,
            "segment_header": hex::encode(segment_header),
            "groups": logged,
            "checkpoint_marker": hex::encode(&checkpoint::marker(&plane_id, &header)),
        }),
    );
}

#[test]
fn codes() {
    let list = |codes: &[(u16, &str)]| {
        codes.iter().map(|(code, name)| json!({ "code": code, "name": name })).collect::<Vec<_>>()
    };
    let kinds = ACTION_KINDS.iter().map(|(number, name)| json!({ "number": number, "name": name }));
    frozen(
        "codes.json",
        &json!({
            "reject": list(REJECT_CODES),
            "refusal": list(REFUSAL_CODES),
            "l1_refusal": list(L1_REFUSAL_CODES),
            "difference": list(ghostplane_engine::replay::DIFFERENCE_CODES),
            "action_kinds": kinds.collect::<Vec<_>>(),
        }),
    );
}

#[test]
fn prices_and_limits() {
    frozen(
        "limits.json",
        &json!({
            "gas": {
                "transaction": gas::GAS_TRANSACTION, "byte": gas::GAS_BYTE, "signature_ed25519": gas::GAS_SIGNATURE_ED25519,
                "signature_secp256k1": gas::GAS_SIGNATURE_SECP256K1, "signature_p256": gas::GAS_SIGNATURE_P256,
                "assertion": gas::GAS_ASSERTION, "gate": gas::GAS_GATE,
                "action": gas::GAS_ACTION, "new_slot": gas::GAS_NEW_SLOT, "new_object": gas::GAS_NEW_OBJECT,
            },
            "actions": limits::ACTIONS_MAX,
            "memo_bytes": limits::MEMO_BYTES_MAX,
            "authenticator_data_bytes": [limits::AUTHENTICATOR_DATA_BYTES_MIN, limits::AUTHENTICATOR_DATA_BYTES_MAX],
            "client_data_bytes": limits::CLIENT_DATA_BYTES_MAX,
            "transaction_bytes": limits::TRANSACTION_BYTES_MAX,
            "lane_ahead": limits::LANE_AHEAD_MAX,
            "validity_ms": limits::VALIDITY_MS_MAX,
            "batch_transactions": limits::BATCH_TRANSACTIONS_MAX,
            "batch_bytes": limits::BATCH_BYTES_MAX,
            "batch_gas": limits::BATCH_GAS_MAX,
            "plane_gas_per_second": limits::PLANE_GAS_PER_SECOND,
            "mana_span_ms": limits::MANA_SPAN_MS_MAX,
            "mana_grants": limits::MANA_GRANTS_MAX,
            "batch_entries": limits::BATCH_ENTRIES_MAX,
            "batch_flows": limits::BATCH_FLOWS_MAX,
            "batch_withdrawals": limits::BATCH_WITHDRAWALS_MAX,
            "witness_bytes": limits::WITNESS_BYTES_MAX,
            "witness_bound": limits::WITNESS_BOUND_MAX,
            "object_bytes": limits::OBJECT_BYTES_MAX,
            "account_keys": limits::ACCOUNT_KEYS_MAX,
            "account_lanes": limits::ACCOUNT_LANES_MAX,
            "account_slots": limits::ACCOUNT_SLOTS_MAX,
            "account_gates_bytes": limits::ACCOUNT_GATES_BYTES_MAX,
            "sessions": limits::SESSIONS_MAX,
            "session_recipients": limits::SESSION_RECIPIENTS_MAX,
            "session_contracts": limits::SESSION_CONTRACTS_MAX,
            "session_limits": limits::SESSION_LIMITS_MAX,
            "session_ms": limits::SESSION_MS_MAX,
            "approvals": limits::APPROVALS_MAX,
            "guardians": limits::GUARDIANS_MAX,
            "guardian_allowances": limits::GUARDIAN_ALLOWANCES_MAX,
            "guardian_delay_ms": limits::GUARDIAN_DELAY_MS_MAX,
            "proposals": limits::PROPOSALS_MAX,
            "proposal_actions": limits::PROPOSAL_ACTIONS_MAX,
            "proposal_bytes": limits::PROPOSAL_BYTES_MAX,
            "proposal_ms": limits::PROPOSAL_MS_MAX,
            "commitment_batches": limits::COMMITMENT_BATCHES_MAX,
            "attestations": limits::ATTESTATIONS_MAX,
            "committers": limits::COMMITTERS_MAX,
            "chunk_bytes": limits::CHUNK_BYTES_MAX,
            "witness_bytes_bound": [
                limits::witness_bytes_bound(2, 2, 1, 1, 80),
                limits::witness_bytes_bound(1 << 20, 1 << 20, 8_192, 8_192, 8_192 * 80),
            ],
        }),
    );
}

/// A plane whose commitments need weight 3 of 4, and a commitment that three vouch for: the sequencer and two.
fn with_committers() -> Value {
    let mut genesis = plane().genesis().clone();
    let member = |(name, weight)| Committer { key: key(name).verification_key(), weight };
    let mut members = [("first committer", 1), ("second committer", 2), ("third committer", 1)].map(member).to_vec();
    members.sort_unstable_by_key(|member| *member.key.as_bytes());
    genesis.committers = Committers { members, quorum: 3 };
    let plane = Plane::new(genesis).expect("a quorum can be had");
    let mut keystone = Keystone::new(0);
    let roots = keystone.apply(&plane.founding_changes().expect("genesis holds"), &Serial).expect("an empty state");
    let before = BatchHeader::genesis(&plane.genesis_state(roots));
    let header = BatchHeader { number: 1, bytes: 3, ..before };
    let batch = run::Committed::new(&plane, &header, &[1, 0, 0]);
    let mut commitment = run::claim(&plane, 0, &before, &[batch]).expect("one batch");
    for name in ["operator", "second committer", "third committer"] {
        commitment.attestations.push(run::attest(&plane, &key(name), &commitment));
    }
    assert_eq!(plane.genesis().committers.weight(&commitment.attestations), 3);
    json!({
        "genesis": encoding(plane.genesis()),
        "plane_id": plane.plane_id().to_string(),
        "commitment": encoding(&commitment),
        "digest": commitment.digest(CHAIN).to_string(),
    })
}

/// A whole life in small: deposits, payments, a bundle, refusals, a forced transaction, a withdrawal, a commitment, a
/// replay by the L1 and a claim. Freezes headers, posted data, witnesses, roots and settlement messages.
#[test]
fn a_plane_in_small() {
    let plane = plane();
    let mut operator = Operator::found(plane.clone(), key("operator"), 1, &Serial).expect("founded");
    let mut l1 = LocalL1::new(&plane, operator.state(), 1_000).expect("set up");
    let genesis_state = *operator.state();
    operator.bond(&mut l1).expect("bonded");
    let deposit = |name: &str, asset, units: u64| Message::Deposit {
        asset,
        l1_amount: u128::from(units),
        to: gid(name).address(),
    };
    let forced = {
        let mut body = transaction(&plane, "bob", 0, vec![pay("carol", AssetId::GCC, 4)], "").body;
        body.nonce.lane = Nonce::LANE_FORCED;
        let auth = key("bob").sign(Domain::TransactionAuth, CHAIN, &body.id());
        Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }.to_bytes()
    };
    let messages = [
        deposit("alice", AssetId::GCC, 10_000_000_000),
        deposit("alice", AssetId::ZMAN, 20_000_000_000),
        deposit("bob", AssetId::GCC, 1_000_000_000),
        Message::Force { transaction: forced },
        Message::Force { transaction: vec![0xff; 3] },
    ];
    for message in &messages {
        l1.send(L1Address([9; 32]), message.clone()).expect("taken");
    }
    l1.mine(3).expect("time passes");
    let inbox: Vec<InboxEntry> = l1.settlement().inbox_entries(0, 9).cloned().collect();
    operator.produce(l1.block().time, &inbox, Vec::new(), &Serial).expect("batch 1");

    let transactions = vec![
        transaction(&plane, "alice", 0, vec![pay("bob", AssetId::GCC, 1_500_000_000)], "tea"),
        transaction(
            &plane,
            "alice",
            1,
            vec![pay("bob", AssetId::GCC, 1), pay("dora", AssetId::ZMAN, 2), pay("erin", AssetId::GCC, 3)],
            "",
        ),
        transaction(&plane, "alice", 2, vec![pay("bob", AssetId::GCC, 1), pay("alice", AssetId::GCC, 1)], ""),
        transaction(
            &plane,
            "bob",
            0,
            vec![Action::Withdraw { to: L1Address([8; 32]), asset: AssetId::GCC, amount: amount(77) }],
            "",
        ),
    ];
    let verified = operator.verify(transactions, &Serial).expect("the state is whole");
    let verified = verified.into_iter().collect::<Result<Vec<_>, _>>().expect("all verify");
    operator.produce(l1.block().time, &[], verified, &Serial).expect("batch 2");
    let codes: Vec<u16> = operator.batches()[1].records.iter().map(|(_, _, outcome)| outcome.code).collect();
    assert_eq!(codes, [0, 0, 202, 0]);

    l1.mine(1).expect("time passes");
    operator.commit(&mut l1).expect("committed");
    let mut watcher = Watcher::new(plane.clone(), L1Address([7; 32]), 2, &Serial).expect("founded");
    let mut witnesses = Vec::new();
    let published = l1.published().to_vec();
    for batch in &published {
        let witness = watcher.witness(&l1, batch, &Serial);
        let number = batch.header.number;
        let request = case_messages(&plane, &published, Purpose::Replay, number, &witness).expect("it is committed");
        watcher.bring_case(&mut l1, Purpose::Replay, number, &witness).expect("judged");
        assert!(watcher.follow_one(&l1, &Serial).expect("its own state is whole").is_none());
        witnesses.push(json!({ "batch": number, "witness": hex::encode(&witness), "open_case": bytes(&Message::OpenCase(Box::new(request))) }));
    }
    l1.mine(1).expect("time passes");
    assert_eq!(l1.settlement().final_number(), 2);
    let claim = claim_message(&plane, l1.published(), 2, &operator.batches()[1].withdrawals, 0).expect("there is one");
    l1.send(L1Address([9; 32]), claim.clone()).expect("paid");

    let batches = operator.batches().iter().map(|kept| {
        let decoded =
            posted::decode(&plane, &fresh_state_before(&operator, kept.header.number), &kept.before, &kept.posted);
        json!({
            "header": encoding(&kept.header),
            "header_digest": kept.header.digest(CHAIN).to_string(),
            "state_root": kept.header.state().digest(CHAIN, &plane.plane_id()).to_string(),
            "posted": hex::encode(&kept.posted),
            "posted_digest": posted_digest(CHAIN, &kept.posted).to_string(),
            "transactions": decoded.expect("it was posted").transactions.iter().map(bytes).collect::<Vec<_>>(),
            "codes": kept.records.iter().map(|(_, _, outcome)| outcome.code).collect::<Vec<_>>(),
        })
    });
    frozen(
        "plane.json",
        &json!({
            "plane_id": plane.plane_id().to_string(),
            "genesis_state": encoding(&genesis_state),
            "genesis_state_root": genesis_state.digest(CHAIN, &plane.plane_id()).to_string(),
            "inbox": inbox.iter().map(bytes).collect::<Vec<_>>(),
            "batches": batches.collect::<Vec<_>>(),
            "replays": witnesses,
            "claim": bytes(&claim),
            "settlement_digest": l1.settlement().digest().to_string(),
        }),
    );
    let bytes = l1.settlement().to_bytes();
    let again = ghostplane_settlement::Settlement::from_bytes(&bytes).expect("the settlement's state comes back");
    assert_eq!(again.digest(), l1.settlement().digest());
}

/// Lets people live on a plane, a batch a round, has the L1 replay all of it, and tells what batches and Alice's record are.
fn lived(plane: &Plane, people: &[(&str, u128)], rounds: Vec<Vec<Transaction>>) -> Vec<Value> {
    let mut operator = Operator::found(plane.clone(), key("operator"), 1, &Serial).expect("founded");
    let mut l1 = LocalL1::new(plane, operator.state(), 1_000).expect("set up");
    operator.bond(&mut l1).expect("bonded");
    for &(name, l1_amount) in people {
        let message = Message::Deposit { asset: AssetId::GCC, l1_amount, to: gid(name).address() };
        l1.send(L1Address([9; 32]), message).expect("taken");
    }
    l1.mine(3).expect("time passes");
    let inbox: Vec<InboxEntry> = l1.settlement().inbox_entries(0, 9).cloned().collect();
    operator.produce(l1.block().time, &inbox, Vec::new(), &Serial).expect("batch 1");
    let mut records = Vec::new();
    for transactions in rounds {
        let verified = operator.verify(transactions, &Serial).expect("the state is whole");
        let verified = verified.into_iter().collect::<Result<Vec<_>, _>>().expect("all verify");
        operator.produce(l1.block().time, &[], verified, &Serial).expect("a batch");
        let codes = operator.batches().last().expect("just made").records.iter().map(|record| record.2.code);
        assert!(codes.clone().all(|code| code == 0), "{:?}", codes.collect::<Vec<_>>());
        let object = operator.keystone().object(&ObjectKey::account(&gid("alice").address())).expect("all is here");
        records.push(hex::encode(object.expect("it exists").value));
    }

    settle(plane, &mut operator, &mut l1);

    let batches = operator.batches().iter().skip(1).zip(records).map(|(kept, record)| {
        let before = fresh_state_before(&operator, kept.header.number);
        let decoded = posted::decode(plane, &before, &kept.before, &kept.posted).expect("it was posted");
        json!({
            "header": encoding(&kept.header),
            "posted": hex::encode(&kept.posted),
            "transactions": decoded.transactions.iter().map(bytes).collect::<Vec<_>>(),
            "record_of_alice": record,
        })
    });
    batches.collect()
}

/// Commits what the operator has, has the L1 execute each batch again, and sees it final.
fn settle(plane: &Plane, operator: &mut Operator, l1: &mut LocalL1) {
    l1.mine(1).expect("time passes");
    operator.commit(l1).expect("committed");
    let mut watcher = Watcher::new(plane.clone(), L1Address([7; 32]), 2, &Serial).expect("founded");
    for batch in &l1.published().to_vec() {
        let witness = watcher.witness(l1, batch, &Serial);
        watcher.bring_case(l1, Purpose::Replay, batch.header.number, &witness).expect("judged");
        assert!(watcher.follow_one(l1, &Serial).expect("its own state is whole").is_none());
    }
    l1.mine(1).expect("time passes");
    assert_eq!(l1.settlement().final_number(), operator.batches().len() as u64);
}

fn named_actions(actions: &[Action]) -> Vec<Value> {
    actions.iter().map(|action| json!({ "kind": action.kind(), "bytes": encoding(action) })).collect()
}

fn public(name: &str) -> PublicKey {
    PublicKey::Ed25519(key(name).verification_key())
}

fn daily(per_transaction: u64, per_window: u64) -> Limit {
    let (per_transaction, per_window) = (amount(per_transaction), amount(per_window));
    Limit { asset: AssetId::GCC, per_transaction, window: Window::Day, per_window }
}

/// Keys and sessions. Freezes actions, records, posted data and roots.
#[test]
fn gates() {
    let plane = plane();
    let session = Session {
        lane: 7,
        holder: Holder::Key(public("phone")),
        expires: GENESIS_MS + 86_400_000,
        scope: Scope {
            kinds: KindSet::of(&[Action::KIND_TRANSFER, Action::KIND_WITHDRAW]),
            recipients: Some(vec![gid("bob").address()]),
            l1_recipients: None,
            contracts: Vec::new(),
            limits: vec![daily(1_000_000, 5_000_000)],
        },
    };
    let actions = vec![
        Action::AddSession(Box::new(session)),
        Action::RotateKey(KeyChange::Add(public("spare"))),
        Action::RotateKey(KeyChange::Replace { position: 1, key: public("other spare") }),
        Action::RotateKey(KeyChange::Remove { position: 1 }),
        Action::RegisterIdentity { gid: Box::new(gid("dora")) },
    ];
    let by_session = {
        let mut body = transaction(&plane, "alice", 1, vec![pay("bob", AssetId::GCC, 4)], "").body;
        (body.nonce, body.key_ref) = (Nonce { lane: 7, seq: 0 }, KeyRef::Session);
        let auth = key("phone").sign(Domain::TransactionAuth, CHAIN, &body.id());
        Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
    };
    let rounds = vec![
        vec![transaction(&plane, "alice", 0, actions.clone(), "")],
        vec![by_session],
        vec![transaction(&plane, "alice", 1, vec![Action::RevokeSession { lane: 7 }], "")],
    ];
    let people = [("alice", 10_000_000_000), ("bob", 1_000_000_000)];
    frozen("gates.json", &json!({ "actions": named_actions(&actions), "batches": lived(&plane, &people, rounds) }));
}

/// Assets of the plane's own.
#[test]
fn assets() {
    let plane = plane();
    let asset = AssetId::new(70_000).expect("below 2^30");
    let actions = vec![
        Action::RegisterAsset { asset, symbol: b"tea".to_vec(), decimals: 3, cap: amount(1_000) },
        Action::Mint { asset, to: gid("bob").address(), amount: amount(600) },
        Action::Mint { asset, to: gid("alice").address(), amount: amount(300) },
        Action::Burn { asset, amount: amount(100) },
        Action::FreezeAsset { asset, is_frozen: true },
        Action::FreezeAsset { asset, is_frozen: false },
    ];
    let rounds = vec![
        vec![transaction(&plane, "alice", 0, actions.clone(), "")],
        vec![transaction(
            &plane,
            "bob",
            0,
            vec![pay("alice", asset, 7), Action::Burn { asset, amount: amount(1) }],
            "",
        )],
    ];
    let people = [("alice", 10_000_000_000), ("bob", 1_000_000_000)];
    frozen("assets.json", &json!({ "actions": named_actions(&actions), "batches": lived(&plane, &people, rounds) }));
}

/// Guardians, proposals, approvals, freeze and recovery.
#[test]
fn guardians() {
    let plane = plane();
    let alice = gid("alice").address();
    let member = |who, weight, roles: &[Role]| Member { who, weight, roles: Roles::of(roles) };
    let set = GuardianSet {
        members: vec![
            member(Guardian::Key(public("gina")), 1, &Role::ALL),
            member(Guardian::Account(gid("bob").address()), 2, &[Role::Spend, Role::Gates]),
        ],
        thresholds: Thresholds { spend: 2, gates: 2, freeze: 1, recover: 1 },
        allowances: vec![daily(1_000_000, 5_000_000)],
        gate_delay_ms: 0,
        recovery_delay_ms: 0,
    };
    let with_gas = |mut body: TransactionBody, from: &str, by: &[&str]| {
        body.gas_limit = 50_000;
        let auth = key(from).sign(Domain::TransactionAuth, CHAIN, &body.id());
        let approvals = by
            .iter()
            .map(|by| Approval { key: public(by), auth: key(by).sign(Domain::Approval, CHAIN, &body.id()).into() });
        Transaction { approvals: approvals.collect(), auth: auth.into(), body, sponsorship: None }
    };
    let sent = |from: &str, seq, actions: Vec<Action>, by: &[&str]| {
        with_gas(transaction(&plane, from, seq, actions, "").body, from, by)
    };
    let given = vec![Action::SetGuardians(Some(Box::new(set)))];
    let proposed = vec![Action::Propose {
        actions: vec![pay("carol", AssetId::GCC, 2_000_000_000), Action::RotateKey(KeyChange::Add(public("spare")))],
    }];
    let proposing = sent("alice", 2, proposed.clone(), &["gina"]);
    let proposal = proposing.body.id();
    let votes = [
        Action::Approve { account: alice, proposal },
        Action::Execute { account: alice, proposal },
        Action::Reject { account: alice, proposal },
    ];
    let stops = vec![
        Action::Freeze { account: alice },
        Action::Recover { account: alice, key: Box::new(public("new")) },
        Action::CancelRecovery { account: alice },
        Action::Recover { account: alice, key: Box::new(public("newer")) },
        Action::FinishRecovery { account: alice },
        Action::Freeze { account: alice },
    ];
    let rounds = vec![
        // Who is to be a guardian has to be registered.
        vec![sent("bob", 0, vec![pay("carol", AssetId::GCC, 1)], &[])],
        vec![sent("alice", 0, given.clone(), &[])],
        vec![sent("alice", 1, vec![pay("carol", AssetId::GCC, 3_000_000_000)], &["bob"]), proposing],
        vec![sent("bob", 1, votes[..2].to_vec(), &[])],
        vec![
            sent("carol", 0, stops.clone(), &["gina"]),
            sent("bob", 2, vec![Action::Unfreeze { account: alice }], &[]),
        ],
    ];
    let actions = [&given[..], &proposed, &votes, &stops, &[Action::Unfreeze { account: alice }]].concat();
    let people = [("alice", 10_000_000_000), ("bob", 1_000_000_000), ("carol", 1_000_000_000)];
    let batches = lived(&plane, &people, rounds);
    frozen("guardians.json", &json!({ "actions": named_actions(&actions), "batches": batches }));
}

/// The state before a batch, by applying all batches ahead of it to a new one.
fn fresh_state_before(operator: &Operator, number: u64) -> Keystone {
    let mut keystone = Keystone::new(3);
    let founding = operator.plane().founding_changes().expect("genesis holds");
    keystone.apply(&founding, &Serial).expect("the empty state takes genesis");
    for kept in operator.batches().iter().take_while(|kept| kept.header.number < number) {
        keystone.apply(&kept.changes, &Serial).expect("batches apply in order");
    }
    keystone
}

#[test]
fn proofs() {
    let mut run = trial::Run::make_up(64, 100, 20, Threads::new(2)).expect("a small run");
    let part = run.next_part().expect("a part").expect("one proof holds it");
    assert_eq!(run.left(), 0);
    let batch = &part.statement.batches()[0];
    let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    let proofs = Settings::ALL.map(|settings| {
        let proof =
            prove_with(&part.statement, &part.witnesses, settings, &pool, &mut |_| ()).expect("an honest batch");
        json!({
            "settings": settings.name(),
            "code": settings.code(),
            "header": hex::encode(&proof[..12]),
            "bytes": proof.len(),
            "blake3": blake3::hash(&proof).to_string(),
        })
    });
    frozen(
        "proof.json",
        &json!({
            "circuit": CIRCUIT_VERSION,
            "plane_id": part.statement.plane_id().to_string(),
            "header_digest": batch.header_digest.to_string(),
            "root_before": batch.root_before.to_string(),
            "root_after": batch.root_after.to_string(),
            "journal_digest": batch.journal_digest.to_string(),
            "journal": part.witnesses[0].entries().iter().map(bytes).collect::<Vec<_>>(),
            "statement_digest": part.statement.digest().to_string(),
            "proofs": proofs,
        }),
    );
}

#[test]
fn keys_that_no_signature_may_use_stay_refused() {
    // The identity and the point of order two: small order, refused wherever a key is set.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut order_two = [0xff; 32];
    order_two[0] = 0xec;
    order_two[31] = 0x7f;
    for bytes in [identity, order_two, [0; 32]] {
        assert!(VerificationKey::parse(bytes).is_err(), "{}", hex::encode(&bytes));
    }
}
