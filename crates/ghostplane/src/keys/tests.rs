use std::fs;

use ghostplane_ghostcipher::{Digest, Domain};
use ghostplane_types::PublicKey;
use serde_json::{Value, json};

use super::file::KdfParameters;
use super::*;

/// Cheap enough for many tests; what is tested does not depend on the cost.
const CHEAP: KdfParameters = KdfParameters { memory_kib: 32, passes: 1, lanes: 4 };

/// A directory of one test, removed at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ghostplane-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_string()).expect("not empty")
}

fn make(dir: &Path, name: &str) -> KeyInfo {
    let right = passphrase("correct horse");
    create_with(dir, &NewKey::ed25519(name, EntityType::Service, 10_000), Some(&right), CHEAP).expect("a new key")
}

/// The file of `name` with one change.
fn alter(dir: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let path = directory::path_of(dir, name);
    let mut document: Value = serde_json::from_slice(&fs::read(&path).expect("a key file")).expect("JSON");
    change(&mut document);
    fs::write(&path, document.to_string()).expect("a scratch file");
}

#[test]
fn an_encrypted_key_opens_to_what_signs_for_its_address() {
    let dir = Scratch::new("round-trip");
    let made = make(dir.path(), "till-1");
    assert_eq!(made, describe(dir.path(), "till-1").expect("it was just made"));
    assert_eq!((made.kept, made.exposed), (Kept::Encrypted, false));
    assert!(made.address_text().starts_with("gsvc1"), "{}", made.address_text());
    assert!(made.did().starts_with("did:ghost:gsvc1"));

    let key = load(dir.path(), "till-1", Some(&passphrase("correct horse"))).expect("the right passphrase");
    let auth = key.consent(Domain::Test, 10_000, &Digest::ZERO);
    assert_eq!(made.gid.public_key.verify(Domain::Test, 10_000, &Digest::ZERO, &auth), Ok(()));
    assert_eq!(made.gid.address(), made.address);

    let bytes = fs::read(&made.path).expect("a key file");
    assert!(!String::from_utf8_lossy(&bytes).contains("seed"), "no secret in plain text");
}

#[test]
fn a_dev_key_needs_no_passphrase_and_says_what_it_is() {
    let dir = Scratch::new("dev");
    let made = create(dir.path(), &NewKey::ed25519("alice", EntityType::Wallet, 1337), None).expect("a new key");
    assert_eq!(made.kept, Kept::Dev);
    let key = load(dir.path(), "alice", None).expect("no passphrase needed");
    assert_eq!(key.public_key(), made.gid.public_key);
    let text = fs::read_to_string(&made.path).expect("a key file");
    assert!(text.contains("\"kind\": \"dev\"") && text.contains("never hold value"), "{text}");
}

#[test]
fn two_keys_are_never_alike() {
    let dir = Scratch::new("random");
    let keys: Vec<KeyInfo> = ["a", "b"].iter().map(|name| make(dir.path(), name)).collect();
    assert_ne!(keys[0].address, keys[1].address);
    let salts = ["a", "b"].map(|name| {
        let bytes = fs::read(directory::path_of(dir.path(), name)).expect("a key file");
        let document: Value = serde_json::from_slice(&bytes).expect("JSON");
        (document["kdf"]["salt"].clone(), document["aead"]["nonce"].clone())
    });
    assert_ne!(salts[0].0, salts[1].0);
    assert_ne!(salts[0].1, salts[1].1);
}

#[test]
fn a_wrong_or_missing_passphrase_opens_nothing() {
    let dir = Scratch::new("wrong");
    make(dir.path(), "alice");
    for wrong in ["correct hors", "correct horse ", "Correct horse"] {
        let error = load(dir.path(), "alice", Some(&passphrase(wrong))).expect_err("wrong");
        assert!(matches!(error, KeyFileError::WrongPassphraseOrAltered { .. }), "{error}");
    }
    let error = load(dir.path(), "alice", None).expect_err("missing");
    assert!(matches!(error, KeyFileError::PassphraseRequired { .. }), "{error}");
}

#[test]
fn a_new_key_needs_a_passphrase_of_some_length() {
    let dir = Scratch::new("short");
    let short = passphrase("1234567");
    let error =
        create(dir.path(), &NewKey::ed25519("alice", EntityType::Wallet, 1337), Some(&short)).expect_err("short");
    assert!(matches!(error, KeyFileError::PassphraseTooShort { chars: 7 }), "{error}");
    assert!(directory::names(dir.path()).expect("readable").is_empty());
}

/// Swaps the entity type and everything that follows from it, so that only the seal can tell.
fn retype(document: &mut Value, chain_id: u64, entity_type: EntityType, version: u16) {
    let key = document["public_key"].as_str().expect("a string");
    let key =
        ghostplane_ghostcipher::VerificationKey::from_bytes(ghostplane_ghostcipher::hex::decode(key).expect("a key"));
    let gid = Gid { public_key: PublicKey::Ed25519(key), chain_id, entity_type, version };
    document["entity_type"] = json!(entity_word(entity_type));
    document["chain_id"] = json!(chain_id);
    document["gid_version"] = json!(version);
    document["address"] = json!(gid.address().to_text(entity_type));
}

#[test]
fn no_field_of_the_header_can_be_swapped() {
    let dir = Scratch::new("swap");
    let other = make(dir.path(), "mallory");
    let other_key = other.gid.public_key;
    let flip = |value: &mut Value| {
        let text = value.as_str().expect("a string");
        let first = if text.starts_with('0') { "1" } else { "0" };
        *value = json!(format!("{first}{}", &text[1..]));
    };
    type Change<'a> = (&'a str, Box<dyn Fn(&mut Value) + 'a>);
    let changes: Vec<Change<'_>> = vec![
        ("format", Box::new(|d| d["format"] = json!("ghostplane-keys"))),
        ("version", Box::new(|d| d["version"] = json!(2))),
        ("name", Box::new(|d| d["name"] = json!("bob"))),
        ("entity_type", Box::new(|d| d["entity_type"] = json!("oracle"))),
        ("entity_type and address", Box::new(|d| retype(d, 10_000, EntityType::Oracle, 0))),
        ("chain_id", Box::new(|d| d["chain_id"] = json!(1337))),
        ("chain_id and address", Box::new(|d| retype(d, 1337, EntityType::Service, 0))),
        ("gid_version", Box::new(|d| d["gid_version"] = json!(1))),
        ("gid_version and address", Box::new(|d| retype(d, 10_000, EntityType::Service, 1))),
        ("public_key", Box::new(|d| d["public_key"] = json!(other_key.to_string()))),
        (
            "public_key and address",
            Box::new(|d| {
                d["public_key"] = json!(other_key.to_string());
                d["address"] = json!(other.address_text());
            }),
        ),
        ("address", Box::new(|d| d["address"] = json!(other.address_text()))),
        ("kind", Box::new(|d| d["kind"] = json!("dev"))),
        ("kdf name", Box::new(|d| d["kdf"]["name"] = json!("argon2i"))),
        ("memory", Box::new(|d| d["kdf"]["memory_kib"] = json!(33))),
        ("passes", Box::new(|d| d["kdf"]["passes"] = json!(2))),
        ("lanes", Box::new(|d| d["kdf"]["lanes"] = json!(3))),
        ("salt", Box::new(|d| flip(&mut d["kdf"]["salt"]))),
        ("aead name", Box::new(|d| d["aead"]["name"] = json!("aes-256-gcm"))),
        ("nonce", Box::new(|d| flip(&mut d["aead"]["nonce"]))),
        ("ciphertext", Box::new(|d| flip(&mut d["aead"]["ciphertext"]))),
        ("an added field", Box::new(|d| d["comment"] = json!("hello"))),
        ("an added seed", Box::new(|d| d["seed"] = json!("00".repeat(32)))),
        ("an added warning", Box::new(|d| d["warning"] = json!("hello"))),
        ("upper case", Box::new(|d| d["aead"]["ciphertext"] = json!("AB".repeat(48)))),
    ];
    for (what, change) in changes {
        let _ = fs::remove_file(directory::path_of(dir.path(), "alice"));
        make(dir.path(), "alice");
        alter(dir.path(), "alice", |_| {});
        load(dir.path(), "alice", Some(&passphrase("correct horse"))).expect("unchanged, only formatted anew");
        alter(dir.path(), "alice", change);
        assert!(load(dir.path(), "alice", Some(&passphrase("correct horse"))).is_err(), "{what}");
    }
}

#[test]
fn the_seal_itself_covers_name_and_parameters() {
    let dir = Scratch::new("seal");
    make(dir.path(), "alice");
    alter(dir.path(), "alice", |document| document["name"] = json!("bob"));
    fs::rename(directory::path_of(dir.path(), "alice"), directory::path_of(dir.path(), "bob")).expect("renamed");
    let error = load(dir.path(), "bob", Some(&passphrase("correct horse"))).expect_err("renamed inside and out");
    assert!(matches!(error, KeyFileError::WrongPassphraseOrAltered { .. }), "{error}");
}

#[test]
fn a_file_that_was_only_renamed_names_its_owner() {
    let dir = Scratch::new("renamed");
    make(dir.path(), "alice");
    fs::rename(directory::path_of(dir.path(), "alice"), directory::path_of(dir.path(), "bob")).expect("renamed");
    let error = describe(dir.path(), "bob").expect_err("not bob's");
    assert!(error.to_string().contains("it is the file of 'alice'"), "{error}");
}

#[test]
fn costs_that_would_exhaust_the_machine_are_refused_before_they_are_spent() {
    let dir = Scratch::new("hostile");
    let table = [
        ("memory_kib", 1024 * 1024 + 1),
        ("memory_kib", u32::MAX),
        ("memory_kib", 0),
        ("memory_kib", 31),
        ("passes", 17),
        ("passes", u32::MAX),
        ("passes", 0),
        ("lanes", 5),
        ("lanes", u32::MAX),
        ("lanes", 0),
    ];
    make(dir.path(), "alice");
    let path = directory::path_of(dir.path(), "alice");
    let good = fs::read(&path).expect("a key file");
    for (field, value) in table {
        fs::write(&path, &good).expect("a scratch file");
        alter(dir.path(), "alice", |document| document["kdf"][field] = json!(value));
        let error = load(dir.path(), "alice", Some(&passphrase("correct horse"))).expect_err(field);
        assert!(matches!(error, KeyFileError::Parameter { value: found, .. } if found == value), "{field}: {error}");
    }
}

#[test]
fn what_is_no_key_file_is_told_apart() {
    let dir = Scratch::new("foreign");
    let path = directory::path_of(dir.path(), "alice");
    let read = |content: &[u8]| {
        fs::write(&path, content).expect("a scratch file");
        describe(dir.path(), "alice").expect_err("no key file")
    };
    for content in [&b""[..], b"{}", b"[]", b"\xff", b"{\"format\": \"ghostplane-key\"}", &b"[".repeat(60_000)] {
        assert!(matches!(read(content), KeyFileError::Malformed { .. }));
    }
    let newer = json!({"format": "ghostplane-key", "version": 7, "shape": "unknown"}).to_string();
    assert!(matches!(read(newer.as_bytes()), KeyFileError::UnknownVersion { found: 7, .. }));
    assert!(matches!(read(&[b' '; KEY_FILE_BYTES_MAX + 1]), KeyFileError::TooLarge { .. }));
    fs::remove_file(&path).expect("it was written above");
    fs::create_dir(&path).expect("a scratch directory");
    assert!(matches!(describe(dir.path(), "alice"), Err(KeyFileError::NotAFile { .. })));
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let dir = Scratch::new("exists");
    let first = make(dir.path(), "alice");
    let before = fs::read(&first.path).expect("a key file");
    let error = create(dir.path(), &NewKey::ed25519("alice", EntityType::Wallet, 1337), None).expect_err("taken");
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    // Also when the other one appears only after the first look.
    let error = directory::write_new(dir.path(), "alice", b"other").expect_err("taken");
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&first.path).expect("a key file"), before);
    let left: Vec<_> = fs::read_dir(dir.path()).expect("readable").collect();
    assert_eq!(left.len(), 1, "no unfinished file stays behind");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_what_is_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    let dir = Scratch::new("modes");
    let deep = dir.path().join("config").join("keys");
    let made = make(&deep, "alice");
    assert_eq!(mode(&deep), 0o700);
    assert_eq!(mode(&made.path), 0o600);
    fs::set_permissions(&made.path, fs::Permissions::from_mode(0o640)).expect("ours");
    assert!(describe(&deep, "alice").expect("readable").exposed);
}

#[test]
fn names_that_could_leave_the_directory_or_confuse_are_refused() {
    let dir = Scratch::new("names");
    let long = "a".repeat(NAME_CHARS_MAX + 1);
    for name in ["", "1a", "-a", "_a", "Alice", "a b", "a.b", "../a", "a/b", "a\0", "é", &long] {
        let error = create(dir.path(), &NewKey::ed25519(name, EntityType::Wallet, 1337), None).expect_err(name);
        assert!(matches!(error, KeyFileError::BadName { .. }), "{name}");
        assert!(matches!(load(dir.path(), name, None), Err(KeyFileError::BadName { .. })), "{name}");
    }
    create(dir.path(), &NewKey::ed25519(&"a".repeat(NAME_CHARS_MAX), EntityType::Wallet, 1337), None)
        .expect("the longest name");
}

#[test]
fn a_missing_key_is_told_with_those_there_are() {
    let dir = Scratch::new("missing");
    let error = load(&dir.path().join("nowhere"), "bob", None).expect_err("none");
    assert!(error.to_string().contains("ghostplane key new bob"), "{error}");
    make(dir.path(), "carol");
    make(dir.path(), "alice");
    let error = load(dir.path(), "bob", None).expect_err("none");
    assert!(error.to_string().contains("there are: alice, carol"), "{error}");
}

#[test]
fn a_list_shows_the_readable_and_names_the_rest() {
    let dir = Scratch::new("list");
    assert!(list(&dir.path().join("nowhere")).expect("no directory is an empty one").is_empty());
    make(dir.path(), "bob");
    make(dir.path(), "alice");
    for (file, content) in [("mallory.json", "{}"), ("notes.txt", "x"), (".bob.00.tmp", "x"), ("Upper.json", "x")] {
        fs::write(dir.path().join(file), content).expect("a scratch file");
    }
    let found = list(dir.path()).expect("readable");
    let shown: Vec<(&str, bool)> = found.iter().map(|(name, key)| (name.as_str(), key.is_ok())).collect();
    assert_eq!(shown, [("alice", true), ("bob", true), ("mallory", false)]);
}

#[test]
fn a_known_file_stays_readable() {
    let dir = Scratch::new("known");
    fs::write(directory::path_of(dir.path(), "frozen"), KNOWN_FILE).expect("a scratch file");
    let key = load(dir.path(), "frozen", Some(&passphrase("correct horse battery staple"))).expect("readable for ever");
    assert_eq!(key.public_key(), describe(dir.path(), "frozen").expect("readable").gid.public_key);
}

/// Made once by this code with its recommended costs.
const KNOWN_FILE: &str = r#"{
  "format": "ghostplane-key",
  "version": 1,
  "name": "frozen",
  "entity_type": "wallet",
  "chain_id": 10000,
  "gid_version": 0,
  "public_key": "5e0b8e2cdff2f9d8da3091032713be80b16e6c4933e8d0fdd2085dee38cc3ffe",
  "address": "ghost1epa4hk5ah7dxs0jw97fms3ucyr5h7y6uhxys4zm7rvr5g7rx4d4qj77gza",
  "kind": "encrypted",
  "kdf": {
    "name": "argon2id",
    "memory_kib": 65536,
    "passes": 3,
    "lanes": 4,
    "salt": "27ca7bf377fc65f7365a7839b0a230d7"
  },
  "aead": {
    "name": "xchacha20poly1305",
    "nonce": "5bbc02972cd9ce37011a2befbff6f0bd944f475b3bd06f57",
    "ciphertext": "39fe049a1342bdc280d3c838da807c4caa40aa6c2ba71924a81aa04661247b26bff4634e9f07f3cd536c5b263fccf226"
  }
}
"#;

#[test]
fn keys_of_every_scheme_are_kept_and_open() {
    let dir = Scratch::new("schemes");
    let right = passphrase("correct horse");
    for scheme in SCHEMES {
        let new = NewKey { name: scheme.name(), scheme, entity_type: EntityType::Wallet, chain_id: 1337 };
        let made = create_with(dir.path(), &new, Some(&right), CHEAP).expect("a new key");
        assert_eq!(made.gid.public_key.scheme(), scheme);
        let key = load(dir.path(), scheme.name(), Some(&right)).expect("the right passphrase");
        let auth = key.consent(Domain::Test, 1337, &Digest::ZERO);
        assert_eq!(made.gid.public_key.verify(Domain::Test, 1337, &Digest::ZERO, &auth), Ok(()));
        let as_ed25519 = load_ed25519(dir.path(), scheme.name(), Some(&right));
        match scheme {
            Scheme::Ed25519 => assert!(as_ed25519.is_ok()),
            _ => assert!(matches!(as_ed25519, Err(KeyFileError::NotEd25519 { found, .. }) if found == scheme)),
        }
        // Files of Ed25519 are what they were before there were others.
        let text = fs::read_to_string(&made.path).expect("a key file");
        assert_eq!(text.contains("\"scheme\""), scheme != Scheme::Ed25519, "{text}");
    }
}

#[test]
fn the_scheme_of_a_file_is_its_keys() {
    let dir = Scratch::new("scheme-swap");
    for scheme in &SCHEMES[1..] {
        let new = NewKey { name: "alice", scheme: *scheme, entity_type: EntityType::Wallet, chain_id: 1337 };
        let made = create(dir.path(), &new, None).expect("a new key");
        let bytes = fs::read(&made.path).expect("a key file");
        let good: Value = serde_json::from_slice(&bytes).expect("JSON");
        for other in ["ed25519", "secp256k1", "p256", "passkey", "rsa", ""] {
            let mut document = good.clone();
            document["scheme"] = json!(other);
            fs::write(&made.path, document.to_string()).expect("a scratch file");
            assert_eq!(load(dir.path(), "alice", None).is_ok(), other == scheme.name(), "{other}");
        }
        let mut document = good.clone();
        document.as_object_mut().expect("an object").remove("scheme");
        fs::write(&made.path, document.to_string()).expect("a scratch file");
        let error = load(dir.path(), "alice", None).expect_err("33 bytes are no key of Ed25519");
        assert!(matches!(error, KeyFileError::Malformed { .. }), "{error}");
        fs::remove_file(&made.path).expect("a scratch file");
    }
}

#[test]
fn what_is_no_secret_of_the_curve_is_not_kept() {
    let dir = Scratch::new("no-secret");
    for scheme in &SCHEMES[1..] {
        let new = NewKey { name: "alice", scheme: *scheme, entity_type: EntityType::Wallet, chain_id: 1337 };
        for wrong in [[0; 32], [0xff; 32]] {
            let error = import(dir.path(), &new, &Zeroizing::new(wrong), None).expect_err("out of range");
            assert!(matches!(error, KeyFileError::NoSecret { scheme: found } if found == *scheme), "{error}");
        }
    }
    assert!(directory::names(dir.path()).expect("readable").is_empty());
}
