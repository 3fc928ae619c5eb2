//! The command as a user meets it: the built binary, its output and its exit codes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ghostplane_ghostcipher::{Digest, Domain, SigningKey, hex};
use ghostplane_types::{
    Action, Address, Amount, AssetId, Encode as _, EntityType, Gid, KeyRef, Nonce, Pay, PublicKey, Transaction,
    TransactionBody,
};
use serde_json::Value;

/// A home of one test, removed at its end.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ghostplane-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a scratch file");
        path
    }

    /// The binary with this home and nothing of ours from the environment of the test.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ghostplane"));
        for variable in ["GHOSTPLANE_KEYS", "GHOSTPLANE_PASSPHRASE_FILE", "XDG_CONFIG_HOME", "NO_COLOR"] {
            command.env_remove(variable);
        }
        command.env("HOME", &self.0).args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().expect("the binary starts"))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(run.code, 0, "{run:?}");
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.out))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// It failed with `code` and said so on stderr only.
    fn failed(&self, code: i32, said: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(said), "{said:?} in {self:?}");
        assert_eq!(self.out, "", "{self:?}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("scratch paths are text")
}

fn transaction() -> Transaction {
    let key = SigningKey::from_seed([7; 32]);
    let public_key = PublicKey::Ed25519(key.verification_key());
    let gid = Gid { public_key, chain_id: 1337, entity_type: EntityType::Wallet, version: 0 };
    let amount = Amount::new(1_500_000_000).expect("a small amount");
    let body = TransactionBody {
        chain_id: 1337,
        plane_id: Digest([1; 32]),
        sender: gid.address(),
        nonce: Nonce { lane: 0, seq: 0 },
        valid_after: 0,
        valid_until: 1_767_225_600_000,
        gas_limit: 10_000,
        gas_price_max: 2,
        pay: Pay::Gcc,
        key_ref: KeyRef::Carried(gid),
        actions: vec![Action::Transfer { to: Address::from_bytes([9; 32]), asset: AssetId::GCC, amount }],
        memo: Vec::new(),
    };
    let auth = key.sign(Domain::TransactionAuth, 1337, &body.id());
    Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
}

#[test]
fn a_dev_key_is_made_listed_and_shown() {
    let home = Home::new("dev-key");
    let run = home.run(&["key", "list"]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("ghostplane key new alice"), "{run:?}");

    let run = home.run(&["key", "new", "alice", "--dev"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert!(run.out.contains("never hold value"), "{run:?}");
    let made = home.json(&["key", "new", "bob", "--dev", "--type", "oracle", "--chain-id", "10000"]);
    assert_eq!((made["type"].as_str(), made["chain_id"].as_u64()), (Some("oracle"), Some(10_000)));

    let list = home.json(&["key", "list"]);
    let names: Vec<&str> =
        list["keys"].as_array().expect("a list").iter().filter_map(|key| key["name"].as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);

    let shown = home.json(&["key", "show", "bob"]);
    assert_eq!(shown, made);
    assert!(shown["address"].as_str().is_some_and(|address| address.starts_with("gorc1")), "{shown}");
    assert_eq!(shown["did"], format!("did:ghost:{}", shown["address"].as_str().expect("text")));
    assert_eq!(shown["path"], text(&home.path(".config/ghostplane/keys/bob.json")));

    let file = std::fs::read_to_string(home.path(".config/ghostplane/keys/bob.json")).expect("a key file");
    let file: Value = serde_json::from_str(&file).expect("JSON");
    let seed = file["seed"].as_str().expect("a dev key has its seed in plain text");
    for arguments in
        [&["key", "show", "bob"][..], &["key", "list"], &["inspect", shown["path"].as_str().expect("text")]]
    {
        let run = home.run(arguments);
        assert!(run.code == 0 && !run.out.contains(seed), "{run:?}");
    }
}

#[test]
fn an_encrypted_key_takes_its_passphrase_from_a_file() {
    let home = Home::new("encrypted-key");
    let passphrase = home.write("passphrase", "correct horse\n");
    let keys = home.path("keys");
    let made = home.json(&["key", "new", "till", "--dir", text(&keys), "--passphrase-file", text(&passphrase)]);
    assert_eq!(made["kept"], "encrypted");
    assert_eq!(home.json(&["key", "--dir", text(&keys), "show", "till"]), made);

    let dir_by_variable = home.command(&["key", "show", "till", "--json"]).env("GHOSTPLANE_KEYS", &keys).output();
    let run = Run::of(dir_by_variable.expect("the binary starts"));
    assert_eq!(serde_json::from_str::<Value>(&run.out).expect("JSON"), made);

    let short = home.write("short", "1234567\n");
    home.run(&["key", "new", "other", "--passphrase-file", text(&short)]).failed(1, "at least 8");
    let empty = home.write("empty", "\n");
    let run = home.command(&["key", "new", "other"]).env("GHOSTPLANE_PASSPHRASE_FILE", &empty).output();
    Run::of(run.expect("the binary starts")).failed(1, "empty");
}

#[test]
fn what_cannot_be_done_says_what_to_do_next() {
    let home = Home::new("errors");
    home.run(&["key", "new", "Alice", "--dev"]).failed(1, "'Alice' is no name for a key");
    home.run(&["key", "new", "../alice", "--dev"]).failed(1, "is no name for a key");
    home.run(&["key", "show", "nobody"]).failed(1, "ghostplane key new nobody");
    assert_eq!(home.run(&["key", "new", "alice", "--dev"]).code, 0);
    home.run(&["key", "new", "alice", "--dev"]).failed(1, "is not overwritten");
    home.run(&["key", "show", "bob"]).failed(1, "there are: alice");
    home.run(&["inspect", text(&home.path("nothing"))]).failed(1, "there is no file");
    home.run(&["inspect", text(&home.0)]).failed(1, "cannot read");
    home.run(&["inspect", "--text", "1.5btc"]).failed(1, "names no asset");
    home.run(&["demo", "--json", "--payments", text(&home.path("nothing.csv"))]).failed(1, "nothing.csv");
}

#[test]
fn errors_are_documents_for_programs() {
    let home = Home::new("json-errors");
    let run = home.run(&["key", "show", "nobody", "--json"]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    let error: Value = serde_json::from_str(&run.err).expect("JSON");
    assert!(error["error"].as_str().is_some_and(|text| text.contains("nobody")), "{error}");
}

#[test]
fn what_is_not_understood_has_its_own_exit_code() {
    let home = Home::new("usage");
    for arguments in [
        &["fly"][..],
        &["key"],
        &["key", "new"],
        &["key", "new", "alice", "--type", "king"],
        &["key", "new", "alice", "--dev", "--passphrase-file", "x"],
        &["inspect"],
        &["inspect", "x", "--as", "poem"],
        &["inspect", "x", "--text", "1gcc"],
        &["bench", "speed"],
        &["demo", "--seed", "minus one"],
    ] {
        let run = home.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}: {run:?}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let home = Home::new("help");
    let run = home.run(&["--version"]);
    assert!(run.code == 0 && run.out.starts_with(concat!("ghostplane ", env!("CARGO_PKG_VERSION"))), "{run:?}");
    for arguments in [&["--help"][..], &["help", "key"], &["demo", "--help"], &["inspect", "-h"]] {
        let run = home.run(arguments);
        assert!(run.code == 0 && run.out.contains("Usage: ghostplane"), "{run:?}");
    }
}

#[test]
fn a_transaction_is_inspected_from_hex_bytes_and_a_pipe() {
    let home = Home::new("inspect");
    let bytes = transaction().to_bytes();
    let hex_file = home.write("tx.hex", format!("0x{}\n", hex::encode(&bytes)));
    let raw_file = home.write("tx.bin", &bytes);
    let id = transaction().body.id().to_string();

    let run = home.run(&["inspect", text(&hex_file)]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    for shown in ["transaction", "1.5gcc", id.as_str(), "signature holds"] {
        assert!(run.out.contains(shown), "{shown}: {}", run.out);
    }
    let from_hex = home.json(&["inspect", text(&hex_file)]);
    assert_eq!(from_hex["format"], "transaction");
    assert_eq!(from_hex["derived"]["transaction_id"], id);
    assert_eq!(home.json(&["inspect", text(&raw_file)]), from_hex);
    assert_eq!(home.json(&["inspect", text(&raw_file), "--as", "transaction"]), from_hex);

    let mut child = home
        .command(&["inspect", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("piped").write_all(hex::encode(&bytes).as_bytes()).expect("it reads");
    let run = Run::of(child.wait_with_output().expect("it ends"));
    assert_eq!(serde_json::from_str::<Value>(&run.out).expect("JSON"), from_hex);
}

#[test]
fn damaged_input_is_refused_with_reasons() {
    let home = Home::new("damaged");
    let text_of = hex::encode(&transaction().to_bytes());
    let cut = home.write("cut.hex", &text_of[..text_of.len() - 2]);
    let run = home.run(&["inspect", text(&cut)]);
    run.failed(1, "none of our formats");
    assert!(run.err.contains("transaction   truncated at byte"), "{}", run.err);
    home.run(&["inspect", text(&cut), "--as", "transaction"]).failed(1, "1 more bytes needed");

    let odd = home.write("odd.hex", &text_of[..text_of.len() - 1]);
    home.run(&["inspect", text(&odd)]).failed(1, "one is missing");
    let typo = home.write("typo.hex", text_of.replacen('0', "O", 1));
    home.run(&["inspect", text(&typo)]).failed(1, "character 1 is 'O'");
    let empty = home.write("empty", "");
    home.run(&["inspect", text(&empty)]).failed(1, "nothing in it");
    let foreign = home.write("foreign.json", "{\"name\": \"alice\"}");
    home.run(&["inspect", text(&foreign)]).failed(1, "not a key file");
}

#[test]
fn texts_show_their_bytes() {
    let home = Home::new("text");
    assert_eq!(home.json(&["inspect", "--text", "1.5gcc"])["fields"]["base_units"], 1_500_000_000);
    let address = transaction().body.sender;
    let json = home.json(&["inspect", "--text", &address.to_did(EntityType::Wallet)]);
    assert_eq!(json["fields"]["bytes"], hex::encode(address.as_bytes()));
}

#[test]
fn no_colour_reaches_a_pipe_and_a_closed_pipe_is_no_panic() {
    let home = Home::new("pipe");
    let run = home.run(&["key", "new", "alice", "--dev"]);
    assert!(!run.out.contains('\u{1b}'), "{run:?}");

    let mut child = home
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().expect("it ends"));
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let home = Home::new("full");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let run = home.command(&["completions", "bash"]).stdout(full).output().expect("the binary starts");
    Run::of(run).failed(1, "cannot write to standard output");
}

#[test]
fn completions_exist_for_every_shell() {
    let home = Home::new("completions");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = home.run(&["completions", shell]);
        assert!(run.code == 0 && run.out.contains("ghostplane"), "{shell}");
        assert!(home.json(&["completions", shell])["script"].is_string());
    }
}

#[test]
fn rules_are_made_checked_and_tried_out() {
    let home = Home::new("covenant");
    let listed = home.json(&["covenant", "template", "list"]);
    assert_eq!(listed.as_array().expect("a list").len(), 9);
    let shown = home.run(&["covenant", "template", "show", "spending-limit", "limit=25gcc", "window=day"]);
    let rules = home.write("limit.cedar", &shown.out);
    let checked = home.json(&["covenant", "check", text(&rules)]);
    assert_eq!(checked["policies"], serde_json::json!(["spending-limit", "otherwise"]));
    let test = ["covenant", "test", text(&rules), "--tx", "transfer", "--spent-day", "5gcc", "--time", "1000"];
    let denied = home.json(&[&test[..], &["--amount", "30gcc"]].concat());
    assert_eq!((&denied["allowed"], &denied["code"]), (&Value::from(false), &Value::from(1)));
    assert_eq!(denied["policies"], serde_json::json!(["spending-limit"]));
    assert_eq!(denied["facts"]["spent.day"], "5gcc");
    assert_eq!(denied["would_pass"][0]["text"], "passes with amount <= 20gcc");
    let facts = home.write("facts.json", r#"{"amount": "20gcc", "spent_day": "9gcc"}"#);
    let allowed = home.json(&[&test[..], &["--facts", text(&facts)]].concat());
    assert_eq!(allowed["allowed"], true, "options count before the file");
    home.run(&["covenant", "test", text(&rules), "--tx", "transfer"]).failed(1, "--amount");
    home.run(&["covenant", "template", "show", "allow-list", "accounts=x"]).failed(1, "does not fit");
    let wrong = home.write("wrong.cedar", "permit (principal, action, resource) when { principal.age > 5 };");
    home.run(&["covenant", "check", text(&wrong)]).failed(1, "(16)");
}

#[test]
fn what_a_proof_is_worth_is_told_term_by_term() {
    let home = Home::new("proof-info");
    let json = home.json(&["proof", "info"]);
    let settings = json["settings"].as_array().expect("settings");
    assert_eq!(settings.iter().map(|settings| &settings["name"]).collect::<Vec<_>>(), ["fast", "small", "medium"]);
    for settings in settings {
        assert!(settings["proven_bits"].as_f64() >= Some(100.0), "{settings}");
        for height in settings["heights"].as_array().expect("heights") {
            let terms = height["terms"].as_object().expect("terms");
            assert!(terms.len() > 4 && terms.values().all(|bits| bits.as_f64() >= height["bits"].as_f64()), "{height}");
        }
    }
    assert!(json["not_proved"].as_array().expect("a list").iter().any(|item| item.to_string().contains("signatures")));
    let text = home.run(&["proof", "info"]).out;
    assert!(text.contains("low-degree-test") && text.contains("203 queries"), "{text}");
}

#[test]
fn a_trial_proves_and_draws() {
    let home = Home::new("proof-trial");
    let trial = |settings: &str| {
        home.json(&["proof", "trial", "--transfers", "50", "--among", "10", "--samples", "1", "--settings", settings])
    };
    let (fast, small) = (trial("fast"), trial("small"));
    for (json, settings) in [(&fast, "fast"), (&small, "small")] {
        let drawing = &json["proof"];
        assert_eq!((&drawing["settings"], &drawing["entries"]), (&settings.into(), &50.into()));
        let parts = drawing["parts"].as_array().expect("parts").iter();
        let sum: u64 = parts.map(|part| part["bytes"].as_u64().expect("a length")).sum();
        assert_eq!(Some(sum), drawing["bytes"].as_u64());
        assert_eq!(drawing["tables"].as_array().map(Vec::len), Some(5));
        assert!(json["bare_permutations_per_second"].as_f64() > Some(0.0));
    }
    assert!(small["proof"]["bytes"].as_u64() < fast["proof"]["bytes"].as_u64());
    let text = home.run(&["proof", "trial", "--transfers", "3", "--among", "2"]).out;
    assert!(text.contains("it verifies") && text.contains("rows of journal"), "{text}");
    home.run(&["proof", "trial", "--among", "1"]).failed(2, "--among");
}
