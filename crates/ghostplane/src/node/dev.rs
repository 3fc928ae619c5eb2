//! A plane for development: its keys, its genesis, and ten people with money.

use super::options::{Options, ProverOptions};
use crate::keys;
use crate::keys::KeyFileError;
use anyhow::Context as _;
use ghostplane_ghostbridge::run;
use ghostplane_ghostcipher::SigningKey;
use ghostplane_settlement::Message;
use ghostplane_types::genesis::CHAIN_DEV;
use ghostplane_types::{Address, AssetId, Decode, Encode, EntityType, Genesis, L1Address, PublicKey};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who has money on a development plane.
pub const NAMES: [&str; 10] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"];
/// What each of them has on the plane and again on the L1: GCC and ZMAN, in base units.
const FUNDS: [(AssetId, u128); 2] = [(AssetId::GCC, 10_000_000_000_000), (AssetId::ZMAN, 1_000_000_000_000)];
/// The operator's account on the L1: bonds, and what everybody is given.
const OPERATOR_FUNDS: u128 = 1_000_000_000_000_000;
/// How long before its first start a plane is founded: the first L1 blocks have times of their own in between.
const FOUNDED_MS_AGO: u64 = 10_000;
const GENESIS_FILE: &str = "genesis";
const OPERATOR: &str = "sequencer";

/// Somebody with money.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name of his key.
    pub name: String,
    /// His address.
    pub address: Address,
    /// Whether his key was made just now.
    pub is_new: bool,
}

/// What a development plane is started with, and who has money on it. Makes keys and genesis where there are none.
///
/// # Errors
/// If files cannot be read or written.
pub fn options(dir: &Path, keys_dir: &Path, now_ms: u64, block_ms: u64) -> anyhow::Result<(Options, Vec<Person>)> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let own_keys = dir.join("keys");
    let (operator, _) = key_of(&own_keys, OPERATOR, EntityType::Service)?;
    let sequencer = keys::load_ed25519(&own_keys, OPERATOR, None)?;
    let genesis = genesis(dir, now_ms, &sequencer, operator.address)?;
    let mut people = Vec::new();
    let mut options = Options::new(dir.to_path_buf(), genesis, Arc::new(sequencer));
    options.l1.block_ms = block_ms;
    options.prover.wait_ms = ProverOptions::usual_wait_ms(&options.genesis, block_ms);
    let operator_l1 = run::l1_address(&options.sequencer);
    options.l1.balances = FUNDS.map(|(asset, _)| (operator_l1, asset, OPERATOR_FUNDS)).to_vec();
    for name in NAMES {
        let (info, is_new) = key_of(keys_dir, name, EntityType::Wallet)?;
        // Keys of other schemes have no account on the L1.
        if let PublicKey::Ed25519(key) = info.gid.public_key {
            let l1 = L1Address(*key.as_bytes());
            options.l1.balances.extend(FUNDS.map(|(asset, amount)| (l1, asset, amount)));
        }
        options.l1.founding.extend(FUNDS.map(|(asset, l1_amount)| Message::Deposit {
            asset,
            l1_amount,
            to: info.address,
        }));
        people.push(Person { name: name.into(), address: info.address, is_new });
    }
    // The L1 was founded with the balances of its first start, which stay what they were if keys changed since.
    options.l1.balances = founding_balances(dir, options.l1.balances)?;
    Ok((options, people))
}

/// The key of that name; made as a development key if there is none.
fn key_of(dir: &Path, name: &str, entity_type: EntityType) -> Result<(keys::KeyInfo, bool), KeyFileError> {
    match keys::describe(dir, name) {
        Ok(info) => Ok((info, false)),
        Err(KeyFileError::NotFound { .. }) => {
            let new = keys::NewKey::ed25519(name, entity_type, CHAIN_DEV);
            Ok((keys::create(dir, &new, None)?, true))
        }
        Err(error) => Err(error),
    }
}

/// The genesis in the directory, or a new one.
fn genesis(dir: &Path, now_ms: u64, sequencer: &SigningKey, operator: Address) -> anyhow::Result<Genesis> {
    let path = dir.join(GENESIS_FILE);
    if let Some(bytes) = read_if_there(&path)? {
        return Genesis::from_bytes(&bytes).with_context(|| format!("{} is no genesis", path.display()));
    }
    let genesis = Genesis::dev(now_ms.saturating_sub(FOUNDED_MS_AGO), sequencer.verification_key(), operator);
    write_new(&path, &genesis.to_bytes())?;
    Ok(genesis)
}

fn founding_balances(
    dir: &Path,
    balances: Vec<(L1Address, AssetId, u128)>,
) -> anyhow::Result<Vec<(L1Address, AssetId, u128)>> {
    let path = dir.join("l1-balances");
    if let Some(bytes) = read_if_there(&path)? {
        let mut reader = ghostplane_types::Reader::new(&bytes);
        let mut known = Vec::new();
        while reader.offset() < bytes.len() {
            let read = (|| Ok((reader.read()?, reader.read()?, reader.read()?)))();
            let read: Result<_, ghostplane_types::DecodeError> = read;
            known.push(read.with_context(|| format!("{} is damaged", path.display()))?);
        }
        return Ok(known);
    }
    let mut bytes = Vec::new();
    for (address, asset, amount) in &balances {
        address.encode(&mut bytes);
        asset.encode(&mut bytes);
        amount.encode(&mut bytes);
    }
    write_new(&path, &bytes)?;
    Ok(balances)
}

fn read_if_there(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file that is there whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let unfinished: PathBuf = path.with_extension("unfinished");
    std::fs::write(&unfinished, bytes).with_context(|| format!("cannot write {}", unfinished.display()))?;
    std::fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))
}
