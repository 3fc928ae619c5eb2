//! The workspace itself: which crate may import which, what core sources may not mention, and that the tables of
//! `docs/formats.md` say what the code says.

use ghostplane_ghostbridge::L1_REFUSAL_CODES;
use ghostplane_ghostcipher::domain::Domain;
use ghostplane_ghostcipher::poseidon2::FieldTag;
use ghostplane_settlement::{FinalRecord, REFUSAL_CODES};
use ghostplane_types::reject::REJECT_CODES;
use ghostplane_types::slot::{Flow, JournalEntry};
use ghostplane_types::transaction::ACTION_KINDS;
use ghostplane_types::{
    Attestation, BatchHeader, Decode, Flush, LogRecord, Outcome, PlaneState, Slot, Withdrawal, genesis::SettlementTerms,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rows of the workspace, lowest first. A crate imports only from rows below its own.
const ROWS: [&[&str]; 8] = [
    &["ghostcipher"],
    &["types"],
    &["keystone", "sdk"],
    &["shroud", "zvm", "proof"],
    &["engine"],
    &["settlement", "light", "client"],
    &["sequencer", "store", "ghostwire", "ghostbridge"],
    &["ghostplane", "wraith", "ffi", "sim"],
];
/// Rows below this are pure.
const CORE_ROWS: usize = 6;
const FILE_LINES_MAX: usize = 900;

fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in crates/");
    crates.parent().expect("crates/ is in the workspace").to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The members of the workspace: directory name and manifest.
fn members() -> BTreeMap<String, String> {
    let dirs = fs::read_dir(root().join("crates")).expect("the workspace has crates");
    let dirs = dirs.map(|entry| entry.expect("a readable directory").path());
    dirs.filter(|dir| dir.join("Cargo.toml").is_file())
        .map(|dir| {
            let name = dir.file_name().expect("a named directory").to_string_lossy().into_owned();
            (name, read(&dir.join("Cargo.toml")))
        })
        .collect()
}

fn row_of(name: &str) -> usize {
    let row = ROWS.iter().position(|row| row.contains(&name));
    row.unwrap_or_else(|| panic!("crate {name} has no row: give it one in this test and in ARCHITECTURE.md"))
}

fn is_core(name: &str) -> bool {
    // The client speaks to the network; it stands in the core's rows because light clients build on it.
    row_of(name) < CORE_ROWS && name != "client"
}

/// Every Rust file under `dir`.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn all_rust_files() -> Vec<PathBuf> {
    rust_files(&root().join("crates"))
}

/// One line of a manifest that says something: its table, key and value.
struct Setting<'a> {
    table: &'a str,
    key: &'a str,
    value: &'a str,
}

/// Reads as much TOML as our manifests use: tables, and a setting a line or over several with brackets.
fn settings(manifest: &str) -> Vec<Setting<'_>> {
    let mut table = "";
    let mut settings = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name;
        } else if let Some((key, value)) = line.split_once('=') {
            settings.push(Setting { table, key: key.trim(), value: value.trim() });
        }
    }
    settings
}

/// The names under `[dependencies]`, `[dependencies.NAME]` and the like, as `kind` (`dependencies`, `dev-dependencies`) says.
fn dependencies(manifest: &str, kind: &str) -> BTreeSet<String> {
    let of_kind = |setting: &Setting<'_>| {
        let (outer, inner) = setting.table.rsplit_once('.').unwrap_or(("", setting.table));
        let name = if inner == kind {
            setting.key.split('.').next().expect("a key is not empty")
        } else if outer == kind || outer.ends_with(&format!(".{kind}")) {
            inner
        } else {
            return None;
        };
        Some(name.trim_matches('"').to_owned())
    };
    settings(manifest).iter().filter_map(of_kind).collect()
}

/// The crates of the workspace among some dependencies, by directory name.
fn ours(dependencies: &BTreeSet<String>) -> Vec<String> {
    let of_ours = |name: &String| match name.strip_prefix("ghostplane-") {
        Some(short) => Some(short.to_owned()),
        None => (name == "ghostplane").then(|| name.clone()),
    };
    dependencies.iter().filter_map(of_ours).collect()
}

#[test]
fn crates_import_only_from_lower_rows() {
    for (name, manifest) in members() {
        let package = if name == "ghostplane" { name.clone() } else { format!("ghostplane-{name}") };
        let quoted = format!("\"{package}\"");
        let named = settings(&manifest).iter().any(|s| (s.table, s.key, s.value) == ("package", "name", &quoted));
        assert!(named, "crates/{name} is package {package}");
        for kind in ["dependencies", "build-dependencies"] {
            for import in ours(&dependencies(&manifest, kind)) {
                let (lower, own) = (row_of(&import), row_of(&name));
                assert!(lower < own, "{name} in row {own} imports {import} from row {lower}");
            }
        }
    }
}

#[test]
fn no_cycle_runs_through_tests() {
    let mut open: BTreeMap<String, Vec<String>> = members()
        .into_iter()
        .map(|(name, manifest)| {
            let kinds = ["dependencies", "build-dependencies", "dev-dependencies"];
            let imports = kinds.iter().flat_map(|kind| ours(&dependencies(&manifest, kind)));
            (name, imports.collect())
        })
        .collect();
    while !open.is_empty() {
        let free: Vec<String> = open
            .iter()
            .filter(|(name, imports)| imports.iter().all(|import| import != *name && !open.contains_key(import)))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!free.is_empty(), "dev-dependencies included, these import each other: {:?}", open.keys());
        free.iter().for_each(|name| drop(open.remove(name)));
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for (name, manifest) in members() {
        let takes = settings(&manifest).iter().any(|s| (s.table, s.key, s.value) == ("lints", "workspace", "true"));
        assert!(takes, "crates/{name}/Cargo.toml needs [lints] workspace = true");
    }
}

#[test]
fn every_dependency_is_from_crates_io() {
    let manifests = members().into_values().chain([read(&root().join("Cargo.toml"))]);
    for manifest in manifests {
        for setting in settings(&manifest) {
            let from_git = setting.key == "git" || setting.value.replace(' ', "").contains("git=\"");
            assert!(!from_git, "a dependency from git: {} = {}", setting.key, setting.value);
        }
    }
    for line in read(&root().join("Cargo.lock")).lines().filter(|line| line.starts_with("source = ")) {
        let from_registry = line.starts_with("source = \"registry+") && line.ends_with("/crates.io-index\"");
        assert!(from_registry, "a package from elsewhere: {line}");
    }
}

#[test]
fn files_are_short_and_named_as_modules() {
    for path in all_rust_files() {
        let lines = read(&path).lines().count();
        assert!(lines <= FILE_LINES_MAX, "{}: {lines} lines, at most {FILE_LINES_MAX}", path.display());
        assert!(!path.ends_with("mod.rs"), "{}: name it after its module", path.display());
    }
}

/// The source without comments and without what is only compiled for tests, and the modules that are.
struct Shipped {
    text: String,
    test_modules: Vec<String>,
}

/// Relies on rustfmt: an item that opens a block ends with a closing bracket at its own indentation.
fn shipped(source: &str) -> Shipped {
    let mut text = String::new();
    let mut test_modules = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        if !code.starts_with("#[cfg(test)]") {
            text.push_str(line);
            text.push('\n');
            continue;
        }
        let indentation = &line[..line.len() - code.len()];
        let item = lines.find(|line| !line.trim_start().starts_with("#[")).unwrap_or_default();
        let module = item.trim().strip_suffix(';').and_then(|item| item.rsplit_once("mod "));
        test_modules.extend(module.map(|(_, name)| name.to_owned()));
        if !item.ends_with(';') && !item.ends_with('}') {
            let closes = |line: &&str| line.strip_prefix(indentation).is_some_and(|rest| rest.starts_with('}'));
            lines.find(closes);
        }
    }
    Shipped { text, test_modules }
}

/// The shipped sources of a crate. Modules that are only compiled for tests live below the file that names them.
fn shipped_sources(name: &str) -> Vec<(PathBuf, String)> {
    let src = root().join("crates").join(name).join("src");
    let files: Vec<(PathBuf, Shipped)> =
        rust_files(&src).into_iter().map(|path| (path.clone(), shipped(&read(&path)))).collect();
    let mut for_tests = Vec::new();
    for (path, shipped) in &files {
        let is_root = path.parent() == Some(&src) && ["lib.rs", "main.rs"].iter().any(|root| path.ends_with(root));
        let below = if is_root { src.clone() } else { path.with_extension("") };
        for module in &shipped.test_modules {
            for_tests.push(below.join(module));
            for_tests.push(below.join(format!("{module}.rs")));
        }
    }
    let is_for_tests = |path: &PathBuf| for_tests.iter().any(|tests| path.starts_with(tests));
    files.into_iter().filter(|(path, _)| !is_for_tests(path)).map(|(path, shipped)| (path, shipped.text)).collect()
}

/// The names that `use std::{...}` brings in at its first level, wherever it is.
fn std_names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for group in text.split("use std::{").skip(1) {
        let mut depth = 0;
        for part in group.split_inclusive([',', '{', '}']) {
            let name = part.trim_end_matches([',', '{', '}']).trim();
            let first = name.split("::").next().unwrap_or_default();
            if depth == 0 && !first.is_empty() {
                names.insert(first.to_owned());
            }
            depth += part.matches('{').count();
            match (part.ends_with('}'), depth) {
                (true, 0) => break,
                (true, _) => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

#[test]
fn the_core_mentions_nothing_impure() {
    let modules = ["env", "fs", "io", "net", "process", "thread", "time"];
    let macros = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
    for name in members().into_keys().filter(|name| is_core(name)) {
        for (path, text) in shipped_sources(&name) {
            for module in modules {
                let mentions = text.contains(&format!("std::{module}")) || std_names(&text).contains(module);
                assert!(!mentions, "{}: the core has no std::{module}", path.display());
            }
            for printing in macros {
                assert!(!text.contains(printing), "{}: the core has no {printing}", path.display());
            }
        }
    }
}

#[test]
fn shipped_leaves_tests_and_comments_out() {
    let source = "//! std::fs\nuse std::fmt;\n#[cfg(test)]\nmod far;\nfn f() {}\n\n#[cfg(test)]\n#[allow(dead_code)]\nmod tests {\n    fn g() {\n    }\n}\nfn h() {}\n";
    let shipped = shipped(source);
    assert_eq!(shipped.text, "use std::fmt;\nfn f() {}\n\nfn h() {}\n");
    assert_eq!(shipped.test_modules, ["far"]);
    let names = std_names(
        "use std::{\n    fmt::{self, Debug},\n    io,\n    time::Instant,\n};\nuse std::{thread, sync::Mutex};\nlet fs = 1;",
    );
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["fmt", "io", "sync", "thread", "time"]);
}

// The tables of docs/formats.md.

/// The cells of every table row under a heading, head and rule left out.
fn table_rows(heading: &str) -> Vec<Vec<String>> {
    let text = read(&root().join("docs/formats.md"));
    let mut found = false;
    let mut rows = Vec::new();
    for line in text.lines() {
        if line.starts_with('#') {
            found = line.trim_start_matches('#').trim() == heading;
        } else if found && line.starts_with('|') && !line.starts_with("|---") {
            let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
            rows.push(cells.collect());
        }
    }
    assert!(!rows.is_empty(), "docs/formats.md has a table under '{heading}'");
    rows
}

/// The rows that start with a number, and what stands in the second cell.
fn numbered(heading: &str) -> Vec<(u32, String)> {
    let number = |row: &Vec<String>| Some((row[0].parse().ok()?, row[1].clone()));
    table_rows(heading).iter().filter_map(number).collect()
}

fn listed<T: Into<u32> + Copy>(codes: &[(T, &str)]) -> Vec<(u32, String)> {
    codes.iter().map(|(code, name)| ((*code).into(), (*name).to_owned())).collect()
}

#[test]
fn the_tables_of_numbers_are_those_of_the_code() {
    assert_eq!(numbered("Reject codes"), listed(REJECT_CODES));
    assert_eq!(numbered("Refusal codes"), listed(REFUSAL_CODES));
    assert_eq!(numbered("L1 refusal codes"), listed(L1_REFUSAL_CODES));
    assert_eq!(numbered("Actions"), listed(ACTION_KINDS));
    let domains: Vec<(u16, &str)> = Domain::ALL.iter().map(|domain| (domain.tag(), domain.name())).collect();
    assert_eq!(numbered("Domains"), listed(&domains));
    let tags: Vec<(u32, String)> = FieldTag::ALL.iter().map(|tag| (*tag as u32, format!("{tag:?}"))).collect();
    assert_eq!(numbered("Poseidon2"), tags);
}

/// The rows of a table of constants: name and value.
fn documented_constants(heading: &str) -> BTreeMap<String, u128> {
    let is_constant = |name: &str| {
        name.contains('_') && name.bytes().all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let rows = table_rows(heading);
    let constants = rows.iter().filter(|row| is_constant(&row[0])).map(|row| {
        let value = row[1].replace(',', "").parse();
        (row[0].clone(), value.unwrap_or_else(|error| panic!("{}: {error}", row[0])))
    });
    constants.collect()
}

/// The public constants of a source file.
fn declared_constants(path: &str) -> BTreeSet<String> {
    let source = read(&root().join(path));
    let declared = source.lines().filter_map(|line| line.strip_prefix("pub const "));
    let declared = declared.filter(|rest| !rest.starts_with("fn "));
    declared.filter_map(|rest| rest.split_once(':')).map(|(name, _)| name.to_owned()).collect()
}

/// Compares a documented table with constants that are named one by one, and those with the file that declares them.
macro_rules! check_constants {
    ($heading:literal, $file:literal, $module:path, [$($name:ident),+ $(,)?]) => {{
        use $module as module;
        let named: BTreeMap<String, u128> =
            [$((stringify!($name), module::$name as u128)),+]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
        assert_eq!(documented_constants($heading), named, "the table '{}'", $heading);
        assert_eq!(declared_constants($file), named.into_keys().collect(), "{} and the list in this test", $file);
    }};
}

#[test]
fn the_tables_of_limits_and_gas_are_those_of_the_code() {
    check_constants!(
        "16 Limits",
        "crates/types/src/limits.rs",
        ghostplane_types::limits,
        [
            ACTIONS_MAX,
            MEMO_BYTES_MAX,
            SERVICE_BYTES_MAX,
            APPROVALS_MAX,
            AUTHENTICATOR_DATA_BYTES_MIN,
            AUTHENTICATOR_DATA_BYTES_MAX,
            CLIENT_DATA_BYTES_MAX,
            TRANSACTION_BYTES_MAX,
            LANE_AHEAD_MAX,
            VALIDITY_MS_MAX,
            BATCH_TRANSACTIONS_MAX,
            BATCH_BYTES_MAX,
            BATCH_GAS_MAX,
            PLANE_GAS_PER_SECOND,
            BATCH_ENTRIES_MAX,
            BATCH_FLOWS_MAX,
            BATCH_WITHDRAWALS_MAX,
            BATCH_OPEN_MS_MAX,
            WITNESS_BYTES_MAX,
            WITNESS_BOUND_MAX,
            LOG_REACH_BYTES_MAX,
            OBJECT_BYTES_MAX,
            ACCOUNT_KEYS_MAX,
            ACCOUNT_LANES_MAX,
            ACCOUNT_SLOTS_MAX,
            ACCOUNT_GATES_BYTES_MAX,
            SESSIONS_MAX,
            AUTHORITIES_MAX,
            LEVEL_MAX,
            CERTIFICATIONS_MAX,
            CREDENTIAL_MS_MAX,
            COVENANT_BYTES_MAX,
            SPENDING_MAX,
            SPENDING_BYTES_MAX,
            SESSION_RECIPIENTS_MAX,
            SESSION_CONTRACTS_MAX,
            SESSION_LIMITS_MAX,
            SESSION_MS_MAX,
            SPENT_BYTES_MAX,
            SESSION_BYTES_MAX,
            MANA_SPAN_MS_MAX,
            MANA_GRANTS_MAX,
            MANA_BYTES_MAX,
            GUARDIANS_MAX,
            GUARDIAN_ALLOWANCES_MAX,
            GUARDIAN_DELAY_MS_MAX,
            PROPOSALS_MAX,
            PROPOSAL_ACTIONS_MAX,
            PROPOSAL_BYTES_MAX,
            PROPOSAL_MS_MAX,
            ACCOUNT_RECORD_BYTES_MAX,
            COVENANT_TEXT_BYTES_MAX,
            COMMITMENT_BATCHES_MAX,
            ATTESTATIONS_MAX,
            COMMITTERS_MAX,
            CHUNK_BYTES_MAX,
            L1_MESSAGE_BYTES_MAX,
            GENESIS_ASSETS_MAX,
            FEE_SHARES_MAX,
            SYMBOL_BYTES_MAX,
        ]
    );
    check_constants!(
        "Settlement limits",
        "crates/settlement/src/limits.rs",
        ghostplane_settlement::limits,
        [
            INBOX_PENDING_MAX,
            INBOX_PENDING_BYTES_MAX,
            INBOX_BLOCK_ENTRIES_MAX,
            INBOX_BLOCK_BYTES_MAX,
            POSTED_BATCHES_MAX,
            POSTED_CHUNKS_MAX,
            PENDING_COMMITMENTS_MAX,
            ADVANCE_COMMITMENTS_MAX,
            RECENT_FINALS_MAX,
            ARCHIVE_DEPTH_MAX,
            CASES_OPEN_MAX,
            REPLAYS_OPEN_MAX,
            CASE_BYTES_MAX,
            PROOFS_OPEN_MAX,
            PROOF_BLOCKS_MAX,
            PROOF_STATEMENT_BYTES_MAX,
            PROOF_BUNDLE_BYTES_MAX,
            CLAIM_RUNS_MAX,
            MESSAGE_BYTES_MAX,
        ]
    );
    check_constants!(
        "15 Gas",
        "crates/types/src/gas.rs",
        ghostplane_types::gas,
        [
            GAS_TRANSACTION,
            GAS_BYTE,
            GAS_SIGNATURE_ED25519,
            GAS_SIGNATURE_SECP256K1,
            GAS_SIGNATURE_P256,
            GAS_ASSERTION,
            GAS_ACTION,
            GAS_NEW_SLOT,
            GAS_NEW_OBJECT,
            GAS_CREDENTIAL,
            GAS_DECISION_UNIT,
            GAS_COVENANT_BYTE,
            GAS_GATE
        ]
    );
}

/// Adds up the sizes of a table of fixed fields, and checks that each offset is where the field before ends.
fn fixed_bytes(heading: &str) -> usize {
    table_rows(heading).iter().filter(|row| row[0] != "offset").fold(0, |offset, row| {
        assert_eq!(row[0].parse(), Ok(offset), "offset of {} in '{heading}'", row[2]);
        offset + row[1].parse::<usize>().unwrap_or_else(|error| panic!("size of {} in '{heading}': {error}", row[2]))
    })
}

#[test]
fn the_fixed_layouts_are_as_long_as_the_code_has_them() {
    let table = [
        ("Slot", Slot::BYTES_MIN),
        ("Journal entry", JournalEntry::BYTES_MIN),
        ("Flow", Flow::BYTES_MIN),
        ("Withdrawal", Withdrawal::BYTES_MIN),
        ("State", PlaneState::BYTES_MIN),
        ("Batch header", BatchHeader::BYTES_MIN),
        ("Outcome", Outcome::BYTES_MIN),
        ("Log record", LogRecord::BYTES_MIN),
        ("Flush", Flush::BYTES_MIN),
        ("Attestation", Attestation::BYTES_MIN),
        ("Settlement terms", SettlementTerms::BYTES_MIN),
        ("Final record", FinalRecord::BYTES_MIN),
    ];
    for (heading, bytes) in table {
        assert_eq!(fixed_bytes(heading), bytes, "{heading}");
    }
}
