//! The file that `ghostplane node` is run with, and the genesis it names.
//!
//! ```toml
//! dir = "/var/lib/ghostplane"          # log, state, history, the embedded L1
//! genesis = "genesis.toml"             # as below, or canonical bytes
//! sequencer_key = "sequencer"          # a key file; its passphrase comes from passphrase_file or the terminal
//! keys = "/etc/ghostplane/keys"
//! passphrase_file = "/run/secrets/ghostplane"
//!
//! [serve]
//! grpc = "0.0.0.0:9090"
//! http = "0.0.0.0:9091"
//!
//! [l1]
//! block_ms = 1000
//! [[l1.balances]]                      # what accounts of a new embedded L1 hold, in its base units
//! address = "…64 hex digits…"
//! asset = 0
//! amount = "1000000000000000"
//!
//! [limits]                             # each may be left out
//! pool_transactions = 32768
//! pool_bytes = 33554432
//! sender_transactions = 512
//! uncommitted_bytes = 67108864
//! verify_threads = 0
//! decide_threads = 0
//! checkpoint_batches = 256
//! attestation_wait_ms = 60000
//!
//! [prover]                             # each may be left out
//! mode = "in-process"                  # or "external", or "off"
//! threads = 1
//! wait_ms = 2000
//! backlog_bytes = 4294967296
//! ```
//!
//! The file itself may be named by `GHOSTPLANE_CONFIG`; the flag `--config` goes before it.

use crate::keys::{self, Passphrase, PassphraseSource};
use crate::node::options::{ATTESTATION_WAIT_MS, CHECKPOINT_BATCHES};
use crate::node::{L1Options, Options, ProverMode, ProverOptions};
use crate::screen::Screen;
use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use ghostplane_ghostcipher::VerificationKey;
use ghostplane_sequencer::Limits;
use ghostplane_types::PublicKey;
use ghostplane_types::amount::SUPPLY_MAX;
use ghostplane_types::genesis::{FeeShare, GenesisAsset, Governance, SettlementTerms};
use ghostplane_types::{
    Address, Amount, AssetId, Authority, Committer, Committers, Decode, EntityTypes, Genesis, L1Address, ManaTerms,
};
use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a configuration or genesis file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What can be done with a configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read a configuration and everything it names, and say what is wrong; starts nothing
    Check {
        /// The configuration
        #[arg(value_name = "FILE.toml")]
        file: PathBuf,
    },
}

/// Settings that have been read, with paths as they are from here.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where HTTP is served.
    pub http: SocketAddr,
    dir: PathBuf,
    genesis: Genesis,
    keys: PathBuf,
    sequencer_key: String,
    passphrase_file: Option<PathBuf>,
    block_ms: u64,
    balances: Vec<(L1Address, AssetId, u128)>,
    limits: Limits,
    verify_threads: usize,
    decide_threads: usize,
    checkpoint_batches: u64,
    attestation_wait_ms: u64,
    prover: ProverOptions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dir: PathBuf,
    genesis: PathBuf,
    sequencer_key: String,
    keys: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    #[serde(default)]
    serve: ServeTable,
    #[serde(default)]
    l1: L1Table,
    #[serde(default)]
    limits: LimitsTable,
    #[serde(default)]
    prover: ProverTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServeTable {
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct L1Table {
    block_ms: Option<u64>,
    #[serde(default)]
    balances: Vec<BalanceTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BalanceTable {
    address: String,
    asset: u32,
    amount: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    pool_transactions: Option<usize>,
    pool_bytes: Option<usize>,
    sender_transactions: Option<usize>,
    uncommitted_bytes: Option<u64>,
    verify_threads: Option<usize>,
    decide_threads: Option<usize>,
    checkpoint_batches: Option<u64>,
    attestation_wait_ms: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProverTable {
    mode: Option<String>,
    threads: Option<usize>,
    wait_ms: Option<u64>,
    backlog_bytes: Option<u64>,
}

impl ProverTable {
    fn read(&self, usual_wait_ms: u64) -> anyhow::Result<ProverOptions> {
        let usual = ProverOptions::default();
        let mode = match self.mode.as_deref() {
            Some(word) => ProverMode::of(word)
                .with_context(|| format!("prover.mode is '{word}', it can be in-process, external or off"))?,
            None => usual.mode,
        };
        let threads = self.threads.unwrap_or(usual.threads);
        ensure!((1..=1024).contains(&threads), "prover.threads is {threads}, it can be 1 to 1024");
        let wait_ms = self.wait_ms.unwrap_or(usual_wait_ms);
        ensure!(wait_ms <= 600_000, "prover.wait_ms is {wait_ms}, it can be 0 to 600000");
        let backlog_bytes = self.backlog_bytes.unwrap_or(usual.backlog_bytes);
        Ok(ProverOptions { mode, threads, wait_ms, backlog_bytes })
    }
}

/// Checks a configuration and says what it comes to.
///
/// # Errors
/// The first thing that is wrong with it, and what to do.
pub fn run(args: &ConfigArgs, screen: &Screen) -> anyhow::Result<()> {
    let ConfigCommand::Check { file } = &args.command;
    let settings = read(file)?;
    let info = keys::describe(&settings.keys, &settings.sequencer_key)?;
    ensure!(
        info.gid.public_key == PublicKey::Ed25519(settings.genesis.sequencer),
        "key '{}' is not the sequencer that genesis names: {} stands there",
        settings.sequencer_key,
        settings.genesis.sequencer
    );
    if screen.is_json() {
        screen.emit(&json!({
            "ok": true,
            "plane_id": settings.genesis.plane_id().to_string(),
            "chain_id": settings.genesis.chain_id,
            "dir": settings.dir.display().to_string(),
            "grpc": settings.grpc.to_string(),
            "http": settings.http.to_string(),
        }));
    } else {
        screen.good(&format!("{} is good: plane {}", file.display(), settings.genesis.plane_id()));
        screen.note(&format!("gRPC {}, HTTP {}, data in {}", settings.grpc, settings.http, settings.dir.display()));
    }
    Ok(())
}

/// Reads a configuration. Paths in it are relative to its own directory.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(path: &Path) -> anyhow::Result<Settings> {
    let text = String::from_utf8(read_bounded(path)?).with_context(|| format!("{} is not text", path.display()))?;
    let file: File = toml::from_str(&text).with_context(|| format!("{} is no configuration", path.display()))?;
    let base = path.parent().unwrap_or(Path::new("."));
    let genesis = read_genesis(&base.join(&file.genesis))?;
    let usual = Limits::default();
    let limits = Limits {
        pool_transactions_max: file.limits.pool_transactions.unwrap_or(usual.pool_transactions_max),
        pool_bytes_max: file.limits.pool_bytes.unwrap_or(usual.pool_bytes_max),
        sender_transactions_max: file.limits.sender_transactions.unwrap_or(usual.sender_transactions_max),
        uncommitted_bytes_max: file.limits.uncommitted_bytes.unwrap_or(usual.uncommitted_bytes_max),
        ..usual
    };
    limits.check().with_context(|| format!("limits in {}", path.display()))?;
    let block_ms = file.l1.block_ms.unwrap_or(1_000);
    ensure!((10..=600_000).contains(&block_ms), "l1.block_ms is {block_ms}, it can be 10 to 600000");
    let balances = file.l1.balances.iter().map(BalanceTable::read).collect::<anyhow::Result<Vec<_>>>()?;
    let prover = file.prover.read(ProverOptions::usual_wait_ms(&genesis, block_ms))?;
    let attestation_wait_ms = file.limits.attestation_wait_ms.unwrap_or(ATTESTATION_WAIT_MS);
    ensure!(
        (1..=86_400_000).contains(&attestation_wait_ms),
        "limits.attestation_wait_ms is {attestation_wait_ms}, it can be 1 to 86400000"
    );
    let address = |usual: &str| usual.parse().expect("a constant address");
    Ok(Settings {
        grpc: file.serve.grpc.unwrap_or_else(|| address(crate::cli::GRPC)),
        http: file.serve.http.unwrap_or_else(|| address(crate::cli::HTTP)),
        dir: base.join(file.dir),
        genesis,
        keys: match file.keys {
            Some(keys) => base.join(keys),
            None => keys::default_dir()?,
        },
        sequencer_key: file.sequencer_key,
        passphrase_file: file.passphrase_file.map(|path| base.join(path)),
        block_ms,
        balances,
        limits,
        verify_threads: file.limits.verify_threads.unwrap_or(0),
        decide_threads: file.limits.decide_threads.unwrap_or(0),
        checkpoint_batches: file.limits.checkpoint_batches.unwrap_or(CHECKPOINT_BATCHES).max(1),
        attestation_wait_ms,
        prover,
    })
}

impl BalanceTable {
    fn read(&self) -> anyhow::Result<(L1Address, AssetId, u128)> {
        let address = hex_32(&self.address).context("l1.balances: address")?;
        let asset = AssetId::new(self.asset).with_context(|| format!("l1.balances: asset {}", self.asset))?;
        let amount = self.amount.parse().with_context(|| format!("l1.balances: amount '{}'", self.amount))?;
        Ok((L1Address(address), asset, amount))
    }
}

impl Settings {
    /// What a node is started with; opens the sequencer's key.
    ///
    /// # Errors
    /// If the key does not open.
    pub fn options(self) -> anyhow::Result<Options> {
        let needs_passphrase = keys::describe(&self.keys, &self.sequencer_key)?.kept == keys::Kept::Encrypted;
        let passphrase: Option<Passphrase> = if needs_passphrase {
            Some(PassphraseSource::new(self.passphrase_file.clone()).ask(&self.sequencer_key)?)
        } else {
            None
        };
        let sequencer = keys::load_ed25519(&self.keys, &self.sequencer_key, passphrase.as_ref())?;
        Ok(Options {
            dir: self.dir,
            genesis: self.genesis,
            sequencer: Arc::new(sequencer),
            l1: L1Options { block_ms: self.block_ms, balances: self.balances, founding: Vec::new() },
            limits: self.limits,
            verify_threads: self.verify_threads,
            decide_threads: self.decide_threads,
            checkpoint_batches: self.checkpoint_batches,
            attestation_wait_ms: self.attestation_wait_ms,
            prover: self.prover,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisFile {
    chain_id: u64,
    l1_chain_id: u64,
    protocol: u32,
    time: u64,
    gas_price: u64,
    slot_price: u64,
    object_price: u64,
    slots_max: u32,
    objects_max: u32,
    sequencer: String,
    assets: Vec<AssetTable>,
    fee_shares: Vec<ShareTable>,
    settlement: TermsTable,
    #[serde(default)]
    authorities: Vec<AuthorityTable>,
    #[serde(default)]
    governance: GovernanceTable,
    #[serde(default)]
    mana: ManaTable,
    #[serde(default)]
    committers: CommittersTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GovernanceTable {
    governor: Option<String>,
    notice_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssetTable {
    asset: u32,
    symbol: String,
    decimals: u8,
    l1_decimals: u8,
    deposit_min: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareTable {
    address: String,
    basis_points: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManaTable {
    rate: u64,
    window_ms: u64,
    cap_ms: u64,
    supply_max: u64,
    #[serde(default)]
    grants: Vec<u64>,
}

impl Default for ManaTable {
    /// No mana.
    fn default() -> Self {
        const DAY_MS: u64 = 24 * 3_600_000;
        Self { rate: 0, window_ms: DAY_MS, cap_ms: DAY_MS, supply_max: SUPPLY_MAX, grants: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityTable {
    address: String,
    #[serde(default)]
    level_max: u8,
    #[serde(default)]
    certifies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsTable {
    window_blocks: u64,
    window_unproven_blocks: u64,
    inbox_deadline_blocks: u64,
    reorg_depth: u64,
    data_per_block_max: u64,
    sequencer_bond: u64,
    challenge_bond: u64,
    challenge_blocks: u64,
    upgrade_notice_blocks: u64,
}

/// Nobody, where genesis does not name them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommittersTable {
    quorum: u32,
    members: Vec<CommitterTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitterTable {
    key: String,
    #[serde(default = "one")]
    weight: u16,
}

const fn one() -> u16 {
    1
}

impl CommittersTable {
    /// In whatever order they stand: genesis has them by their keys.
    fn read(self) -> anyhow::Result<Committers> {
        let member = |member: CommitterTable| {
            let key = hex_32(&member.key).and_then(|bytes| Ok(VerificationKey::parse(bytes)?));
            Ok(Committer { key: key.context("committers: key")?, weight: member.weight })
        };
        let mut members = self.members.into_iter().map(member).collect::<anyhow::Result<Vec<Committer>>>()?;
        members.sort_unstable_by_key(|member| *member.key.as_bytes());
        Ok(Committers { members, quorum: self.quorum })
    }
}

/// Reads a genesis: TOML if the file's name ends in it, else canonical bytes.
///
/// # Errors
/// If it is no genesis, or one that contradicts itself.
pub fn read_genesis(path: &Path) -> anyhow::Result<Genesis> {
    let bytes = read_bounded(path)?;
    let genesis = if path.extension().is_some_and(|extension| extension == "toml") {
        let text = String::from_utf8(bytes).with_context(|| format!("{} is not text", path.display()))?;
        let file: GenesisFile = toml::from_str(&text).with_context(|| format!("{} is no genesis", path.display()))?;
        file.read().with_context(|| format!("{} is no genesis", path.display()))?
    } else {
        Genesis::from_bytes(&bytes).with_context(|| format!("{} is no genesis", path.display()))?
    };
    genesis.check().with_context(|| format!("{}", path.display()))?;
    Ok(genesis)
}

impl GenesisFile {
    fn read(self) -> anyhow::Result<Genesis> {
        let amount = |units: u64, what: &str| Amount::new(units).with_context(|| format!("{what} is over 2^63 - 1"));
        let asset = |known: AssetTable| {
            Ok(GenesisAsset {
                asset: AssetId::new(known.asset).with_context(|| format!("asset {}", known.asset))?,
                symbol: known.symbol.into_bytes(),
                decimals: known.decimals,
                l1_decimals: known.l1_decimals,
                deposit_min: amount(known.deposit_min, "deposit_min")?,
            })
        };
        let share = |share: ShareTable| {
            let (address, _) = Address::parse(&share.address).with_context(|| format!("'{}'", share.address))?;
            Ok(FeeShare { address, basis_points: share.basis_points })
        };
        let authority = |known: AuthorityTable| {
            let (address, _) = Address::parse(&known.address).with_context(|| format!("'{}'", known.address))?;
            let entity = |word: &String| keys::entity_of(word).with_context(|| format!("'{word}' is no entity type"));
            let certifies = known.certifies.iter().map(entity).collect::<anyhow::Result<Vec<_>>>()?;
            Ok(Authority { address, level_max: known.level_max, certifies: EntityTypes::of(&certifies) })
        };
        // The file may list them in any order.
        let mut authorities = self.authorities.into_iter().map(authority).collect::<anyhow::Result<Vec<_>>>()?;
        authorities.sort_by_key(|known| known.address);
        let (terms, mana) = (self.settlement, self.mana);
        let governor = self.governance.governor.map(|text| {
            let (address, _) = Address::parse(&text).with_context(|| format!("governor '{text}'"))?;
            anyhow::Ok(address)
        });
        Ok(Genesis {
            chain_id: self.chain_id,
            l1_chain_id: self.l1_chain_id,
            protocol: self.protocol,
            time: self.time,
            assets: self.assets.into_iter().map(asset).collect::<anyhow::Result<_>>()?,
            gas_price: self.gas_price,
            slot_price: amount(self.slot_price, "slot_price")?,
            object_price: amount(self.object_price, "object_price")?,
            slots_max: self.slots_max,
            objects_max: self.objects_max,
            fee_shares: self.fee_shares.into_iter().map(share).collect::<anyhow::Result<_>>()?,
            sequencer: VerificationKey::parse(hex_32(&self.sequencer).context("sequencer")?)?,
            settlement: SettlementTerms {
                window_blocks: terms.window_blocks,
                window_unproven_blocks: terms.window_unproven_blocks,
                inbox_deadline_blocks: terms.inbox_deadline_blocks,
                reorg_depth: terms.reorg_depth,
                data_per_block_max: terms.data_per_block_max,
                sequencer_bond: amount(terms.sequencer_bond, "sequencer_bond")?,
                challenge_bond: amount(terms.challenge_bond, "challenge_bond")?,
                challenge_blocks: terms.challenge_blocks,
                upgrade_notice_blocks: terms.upgrade_notice_blocks,
            },
            governance: Governance { governor: governor.transpose()?, notice_ms: self.governance.notice_ms },
            mana: ManaTerms {
                rate: mana.rate,
                window_ms: mana.window_ms,
                cap_ms: mana.cap_ms,
                supply_max: amount(mana.supply_max, "supply_max")?,
                grants: mana.grants,
            },
            committers: self.committers.read()?,
            authorities,
        })
    }
}

fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let len = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    ensure!(len <= FILE_BYTES_MAX, "{} has {len} bytes, at most {FILE_BYTES_MAX} are read", path.display());
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// 64 hexadecimal digits.
fn hex_32(text: &str) -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        bail!("'{text}' is not 64 hexadecimal digits");
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digits = &text[2 * at..2 * at + 2];
        *byte = u8::from_str_radix(digits, 16).with_context(|| format!("'{text}' is not 64 hexadecimal digits"))?;
    }
    Ok(bytes)
}
